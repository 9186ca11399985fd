//! `mirror code | allow | list | forbid`: which read-only mirrors get everything public from this node.

use fingerpost_proto::id::NetworkId;
use fingerpost_proto::key::PublicKey;
use fingerpost_proto::network::mirror_code::MirrorCode;
use fingerpost_proto::v1;
use serde_json::{Value, json};

use crate::args::{MirrorAllowArgs, MirrorCodeArgs, MirrorCommand, MirrorForbidArgs};
use crate::client::Admin;
use crate::failure::{Exit, Failure};
use crate::output::moment::{count, date, rfc3339};
use crate::session::Session;

/// Characters of a key that name it, and that tables show.
const KEY_CHARS_SHOWN: usize = 16;
/// Fewest characters of a key that name it.
const KEY_CHARS_MIN: usize = 8;

pub(super) async fn run(session: &Session, command: MirrorCommand) -> Result<Exit, Failure> {
    match command {
        MirrorCommand::Code(args) => code(session, args).await,
        MirrorCommand::Allow(args) => allow(session, args).await,
        MirrorCommand::List => list(session).await,
        MirrorCommand::Forbid(args) => forbid(session, args).await,
    }
}

async fn code(session: &Session, args: MirrorCodeArgs) -> Result<Exit, Failure> {
    let status = session.node().await?.status().await?;
    let refused = |what: &str| Failure::new(Exit::Refused, what.to_owned());
    if status.mirror {
        return Err(refused("this node is a read-only mirror, and no source of others")
            .hint("ask the operator of a member's node for a code"));
    }
    let network = NetworkId::from_slice(&status.network)
        .ok_or_else(|| refused("this node is in no network yet").hint("join one first: fingerpost join fp1:…"))?;
    let node_key = PublicKey::from_bytes(&status.node_key)
        .map_err(|error| Failure::new(Exit::Invalid, "the node has no usable key").caused_by(&error))?;
    let advertised = status.advertised_address.split(", ").filter(|address| !address.is_empty());
    let addresses: Vec<String> =
        if args.address.is_empty() { advertised.map(str::to_owned).collect() } else { args.address };
    if addresses.is_empty() {
        return Err(Failure::new(Exit::Usage, "the code would lead nowhere: the node knows no address of its own")
            .hint("say where others reach it: fingerpost mirror code --address HOST:PORT"));
    }
    let code = MirrorCode { network, node_key, addresses }.encode();
    // A code that the mirror would not read is worse than an error here.
    let code = MirrorCode::decode(&code)
        .map_err(|error| Failure::new(Exit::Usage, "the code cannot be made").caused_by(&error))?;
    session.printer.object(
        "mirror-code/1",
        json!({
            "code": code.encode(), "network": code.network.to_string(),
            "node_key": code.node_key.to_string(), "addresses": code.addresses,
        }),
    )?;
    session.printer.line(&code.encode())?;
    session.printer.note("It holds no secret. A mirror gets what is public, and nothing before you allow its key.");
    session.printer.next("they run: fingerpostd mirror fpm1:…, and tell you a key; then: fingerpost mirror allow KEY");
    Ok(Exit::Done)
}

async fn allow(session: &Session, args: MirrorAllowArgs) -> Result<Exit, Failure> {
    let key: PublicKey = args.key.trim().parse().map_err(|error| {
        Failure::new(Exit::Usage, format!("{:?} is no key of a mirror", args.key))
            .caused_by(&error)
            .hint("it has 64 hexadecimal digits; the mirror's operator sees it with: fingerpostd mirror CODE")
    })?;
    let request = v1::AllowMirrorRequest { node_key: key.as_bytes().to_vec(), label: args.label.clone() };
    let changed = session.node().await?.allow_mirror(request).await?.changed;
    session
        .printer
        .object("mirror-allow/1", json!({ "node_key": key.to_string(), "label": args.label, "changed": changed }))?;
    let again = if changed { "" } else { ", as before" };
    session.printer.line(&format!("Allowed       {}{again}", named(&args.label, key.as_bytes())))?;
    session.printer.line("It gets       every public record and its withdrawal; nothing that is for members")?;
    session.printer.next("fingerpost mirror list; to take it back: fingerpost mirror forbid KEY");
    Ok(Exit::Done)
}

async fn list(session: &Session) -> Result<Exit, Failure> {
    let mirrors = session.node().await?.mirrors().await?;
    let objects: Vec<Value> = mirrors
        .iter()
        .map(|mirror| {
            json!({
                "node_key": hex(&mirror.node_key),
                "label": mirror.label,
                "allowed": rfc3339(mirror.allowed_ms),
                "linked": mirror.linked,
            })
        })
        .collect();
    session.printer.object("mirror-list/1", json!({ "mirrors": objects }))?;
    if mirrors.is_empty() {
        session.printer.note("This node allows no mirror.");
        session
            .printer
            .next("fingerpost mirror code; then, with the key that they tell you: fingerpost mirror allow KEY");
        return Ok(Exit::Done);
    }
    let row = |mirror: &v1::MirrorState| {
        let state = if mirror.linked { "linked" } else { "not linked" };
        vec![mirror.label.clone(), short(&mirror.node_key), date(mirror.allowed_ms), state.to_owned()]
    };
    let rows: Vec<Vec<String>> = mirrors.iter().map(row).collect();
    session.printer.table(&["label", "key", "allowed", "state"], &rows)?;
    session.printer.note(&count(mirrors.len(), "mirror"));
    Ok(Exit::Done)
}

async fn forbid(session: &Session, args: MirrorForbidArgs) -> Result<Exit, Failure> {
    let node = session.node().await?;
    let mirrors = node.mirrors().await?;
    let mirror = choose(&mirrors, &args.key)?;
    let changed = node.forbid_mirror(v1::ForbidMirrorRequest { node_key: mirror.node_key.clone() }).await?.changed;
    let (node_key, label) = (hex(&mirror.node_key), &mirror.label);
    session.printer.object("mirror-forbid/1", json!({ "node_key": node_key, "label": label, "changed": changed }))?;
    session.printer.line(&format!("Forbidden     {}", named(label, &mirror.node_key)))?;
    session.printer.line("It keeps      what it has, until that lapses; nothing new comes to it from this node")?;
    Ok(Exit::Done)
}

/// The mirror that a text names: its key, the first 8 or more characters of it, or its whole label. Errors: none, or several.
fn choose<'a>(mirrors: &'a [v1::MirrorState], text: &str) -> Result<&'a v1::MirrorState, Failure> {
    let prefix = text.trim().to_ascii_lowercase();
    let fits = |mirror: &&v1::MirrorState| {
        mirror.label == text || (prefix.len() >= KEY_CHARS_MIN && hex(&mirror.node_key).starts_with(&prefix))
    };
    match mirrors.iter().filter(fits).collect::<Vec<_>>()[..] {
        [mirror] => Ok(mirror),
        [] => Err(Failure::new(Exit::Usage, format!("no mirror that is allowed here is called {text:?}"))
            .hint("see them: fingerpost mirror list")),
        ref several => Err(Failure::new(Exit::Usage, format!("{text:?} names {} mirrors", several.len()))
            .hint("use the key of one of them: fingerpost mirror list -o json")),
    }
}

fn named(label: &str, key: &[u8]) -> String {
    if label.is_empty() { short(key) } else { format!("{label} ({})", short(key)) }
}

fn short(key: &[u8]) -> String {
    hex(key).chars().take(KEY_CHARS_SHOWN).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_mirror_is_named_by_its_key_the_start_of_it_or_its_label_and_by_nothing_that_fits_two() {
        let mirror = |first: u8, last: u8, label: &str| {
            let node_key = std::iter::once(first).chain([7; 30]).chain([last]).collect();
            v1::MirrorState { node_key, label: label.to_owned(), ..Default::default() }
        };
        let mirrors = [mirror(1, 1, "Town"), mirror(1, 2, "Library"), mirror(3, 3, "Library")];
        let chosen = |text: &str| choose(&mirrors, text).map(|mirror| (mirror.node_key[0], mirror.node_key[31]));
        assert_eq!(chosen("Town").unwrap(), (1, 1));
        assert_eq!(chosen(&hex(&mirrors[1].node_key)).unwrap(), (1, 2));
        assert_eq!(chosen("03070707").unwrap(), (3, 3));
        for wrong in ["Library", "01070707", "0307070", "Nobody", ""] {
            assert_eq!(chosen(wrong).unwrap_err().exit(), Exit::Usage, "{wrong}");
        }
    }
}
