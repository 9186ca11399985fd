//! `join` and `move` of an organisation without a node, with the code of a host.

use std::path::Path;

use fingerpost_proto::kind::Kind;
use fingerpost_proto::network::charter::Charter;
use fingerpost_proto::network::invite::InviteCode;
use fingerpost_proto::time::Hlc;
use fingerpost_proto::v1;
use fingerpost_proto::v1::publish_result::Outcome;
use serde_json::json;
use zeroize::Zeroizing;

use super::join::{self, introduce, sign};
use crate::args::MoveArgs;
use crate::client::{Admin, NodeClient};
use crate::copies::Copies;
use crate::failure::{Exit, Failure};
use crate::host::{HOST_FILE, Host, HostClient};
use crate::identity::{CHARTER_FILE, Identity, keep_charter, load_charter};
use crate::joining::{Introduction, JoinError, Joining};
use crate::keys::{self, KeyPurpose};
use crate::output::escape::shown;
use crate::output::moment::{count, now_ms};
use crate::publish::{ENVELOPES_PER_REQUEST_MAX, check_clocks};
use crate::session::{self, Session};
use crate::statements::{card_envelopes, check_inviter};

/// Joins the network of a host's code, over that host. Seconds to watch the first records are the caller's.
pub(super) async fn join(session: &Session, code: &InviteCode, text: &str, wait: u64) -> Result<Exit, Failure> {
    let identity = Identity::load(&session.home)?;
    let Introduction { charter: charter_bytes, inviter_cards, clock_ms } = meet(text).await?;
    let now = now_ms();
    check_clocks(now, clock_ms)?;
    let charter = Charter::read(&charter_bytes)
        .map_err(|error| Failure::new(Exit::Refused, "the network's charter cannot be accepted").caused_by(&error))?;
    let host = host_of(code, &inviter_cards)?;
    introduce(session, code, &charter, &host.name)?;
    session.printer.line(&carried_by(&host))?;
    if !session.agree("Do the words agree with the inviter's, and do you accept the charter?", "--yes")? {
        return Ok(session.declined());
    }
    let envelopes = sign(session, &identity, code, Hlc::new(now, 0).next(now_ms()))?;
    // The person may have read for longer than a node keeps a connection over which nothing is asked.
    let joining = Joining::start(text).await.map_err(|error| no_entry(&error))?;
    // All of it before the knock: when the answer is lost, the next command finds its way all the same.
    let before = Before::look(&session.home)?;
    Copies::change(&session.home, |copies| copies.sending(&envelopes))?;
    keep_charter(&session.home, &charter_bytes)?;
    host.keep(&session.home)?;
    let client = match admit(session, joining, &host, &envelopes).await {
        Err(failure) if matches!(failure.exit(), Exit::Refused | Exit::Invalid) => {
            before.restore(&session.home)?;
            return Err(failure);
        }
        admitted => admitted?,
    };
    Copies::change(&session.home, |copies| copies.acknowledged(&envelopes))?;
    join::report(session, &NodeClient::over(client), code, &charter, &identity.org(), join::Entered::Carried, wait)
        .await
}

/// Takes the organisation to another host: its identity, keys, records and their ids stay as they are.
pub(super) async fn run(session: &Session, args: MoveArgs) -> Result<Exit, Failure> {
    let text = Zeroizing::new(if args.code == "-" { session::read_line()? } else { args.code });
    let unusable =
        |error: &dyn std::error::Error| Failure::new(Exit::Invalid, "the code cannot be used").caused_by(error);
    let code = InviteCode::decode(&text).map_err(|error| unusable(&error))?;
    if !code.carries {
        return Err(Failure::new(Exit::Usage, "this is an invite to a network, not the code of a host")
            .hint("whoever is to carry your records runs: fingerpost host code; the line begins with fph1:"));
    }
    let now = now_ms();
    code.invitation.check_fresh(now).map_err(|error| unusable(&error))?;
    let Some(charter) = load_charter(&session.home)? else {
        return Err(Failure::new(Exit::Refused, "this organisation is in no network yet")
            .hint("with the same code: fingerpost join CODE"));
    };
    if charter.network != code.network {
        return Err(Failure::new(Exit::Refused, "the code is of a host in another network")
            .because(format!("yours: {}", charter.text.name))
            .because(format!("the code's: {} ({})", code.network_name, code.network))
            .hint("ask a member of your network for a host's code"));
    }
    // A file that cannot be read is what this command mends.
    let old = Host::load(&session.home).unwrap_or_default();
    if old.as_ref().is_some_and(|old| old.node_key == code.node_key.to_string()) {
        session.printer.note("This is the host that carries you already: it admits you anew.");
    } else if let Some(old) = &old {
        // What another computer of the organisation published there is among the copies afterwards.
        if let Err(failure) = session.over(old.clone()).await {
            session.printer.note(&format!("Your old host was not asked ({failure}); what this computer has goes on."));
        }
    }
    let identity = Identity::load(&session.home)?;
    let acceptance = Copies::load(&session.home)?
        .versions()
        .into_iter()
        .find_map(|version| (version.header().kind == Kind::ACCEPTANCE).then(|| version.envelope().to_vec()));
    let Some(acceptance) = acceptance else {
        return Err(Failure::new(Exit::Refused, "this home has no copy of what it published, so nothing can be moved")
            .because("copies are kept from the first command over a host on")
            .hint("with the same code: fingerpost join CODE; then import your records again"));
    };
    let Introduction { inviter_cards, clock_ms, .. } = meet(&text).await?;
    check_clocks(now, clock_ms)?;
    let host = host_of(&code, &inviter_cards)?;
    session.printer.line(&format!("Network       {}", shown(&charter.text.name)))?;
    session.printer.line(&carried_by(&host))?;
    let words = code.check_words().join(" · ");
    session.printer.line(&format!("Check words   {words}   (compare them with the host's operator by phone)"))?;
    if !session.agree("Do the words agree with the operator's, and is this node to carry your records?", "--yes")? {
        return Ok(session.declined());
    }
    let root = || Ok(keys::load(&session.home, KeyPurpose::Root)?);
    let mut envelopes = card_envelopes(root, &identity, charter.network, Hlc::new(now, 0))?;
    envelopes.push(acceptance);
    let joining = Joining::start(&text).await.map_err(|error| no_entry(&error))?;
    let client = admit(session, joining, &host, &envelopes).await?;
    host.keep(&session.home)?;
    let handed = hand_in(session, &client, &identity).await?;
    print(session, &host, &identity, &handed)
}

/// What a home knew before it knocked.
struct Before {
    host: Option<Host>,
    had_charter: bool,
}

impl Before {
    fn look(home: &Path) -> Result<Before, Failure> {
        Ok(Before { host: Host::load(home).unwrap_or_default(), had_charter: load_charter(home)?.is_some() })
    }

    /// As if nobody had knocked: an organisation that was refused may go elsewhere.
    fn restore(&self, home: &Path) -> Result<(), Failure> {
        let mut gone = Vec::new();
        match &self.host {
            Some(host) => host.keep(home)?,
            None => gone.push(home.join(HOST_FILE)),
        }
        if !self.had_charter {
            gone.push(home.join(CHARTER_FILE));
        }
        for path in gone {
            std::fs::remove_file(&path).map_err(|error| {
                Failure::new(Exit::Permission, format!("{} cannot be removed", path.display())).caused_by(&error)
            })?;
        }
        Ok(())
    }
}

/// Asks the node of a code what its network is; checked against the code.
async fn meet(text: &str) -> Result<Introduction, Failure> {
    let mut joining = Joining::start(text).await.map_err(|error| no_entry(&error))?;
    joining.introduce().await.map_err(|error| no_entry(&error))
}

/// Knocks with the one-time key, and dials again with the device's. Returns a line to the host that carries this organisation now.
async fn admit(
    session: &Session,
    mut joining: Joining,
    host: &Host,
    envelopes: &[Vec<u8>],
) -> Result<HostClient, Failure> {
    match joining.admit(envelopes.to_vec()).await {
        // A used key's connections are closed, perhaps before the answer is through: whether the device is let in tells.
        Ok(()) | Err(JoinError::NoAnswer(_)) => {}
        Err(error) => return Err(no_entry(&error)),
    }
    HostClient::dial_first(&session.home, host.clone()).await
}

fn no_entry(error: &JoinError) -> Failure {
    let exit = match error {
        JoinError::Dial(crate::transport::DialError::RefusedByPeer { .. }) => Exit::Refused,
        JoinError::Dial(_) | JoinError::NoAnswer(_) => Exit::NodeUnreachable,
        JoinError::Invite(_) => Exit::Invalid,
        _ => Exit::Refused,
    };
    Failure::new(exit, "the host did not let this organisation in")
        .caused_by(error)
        .hint("a code works once: ask the host's operator for a new one, and whether their node runs")
}

/// The host of a code, named by the card that proves the invitation and not by the code.
fn host_of(code: &InviteCode, inviter_cards: &[Vec<u8>]) -> Result<Host, Failure> {
    let card = check_inviter(inviter_cards, code).map_err(|error| {
        Failure::new(Exit::Refused, "the code is not from the organisation that it names").caused_by(&error)
    })?;
    Ok(Host { name: card.name, ..Host::of(code) })
}

fn carried_by(host: &Host) -> String {
    format!(
        "Carried by    {}: its node passes on what you sign, and cannot change it or sign for you",
        shown(&host.name)
    )
}

/// What became of the copies at the new host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Handed {
    records: usize,
    missing: usize,
    refused: Vec<String>,
}

/// Hands in all copies that still count; the host says which of them it lacked.
async fn hand_in(session: &Session, client: &HostClient, identity: &Identity) -> Result<Handed, Failure> {
    let copies = Copies::load(&session.home)?;
    let counts = |version: &&fingerpost_proto::version::SignedVersion| {
        let header = version.header();
        header.kind == Kind::CARD
            || identity.card.bears_out(header.kind.class(), &header.device, header.hlc, &version.vid())
    };
    let versions: Vec<_> = copies.versions().into_iter().filter(counts).collect();
    let envelopes: Vec<Vec<u8>> = versions.iter().map(|version| version.envelope().to_vec()).collect();
    let requests = envelopes.chunks(ENVELOPES_PER_REQUEST_MAX);
    let requests = requests.map(|some| v1::PublishRequest { envelopes: some.to_vec() }).collect();
    let delivery = client.publish(requests, |_| ()).await;
    if let Some(broken) = delivery.broken {
        return Err(
            broken.hint("the new host carries you already; what is still missing goes in with the next command")
        );
    }
    let mut handed = Handed::default();
    for (version, result) in versions.iter().zip(&delivery.results) {
        let is_content = version.header().kind.is_content();
        handed.records += usize::from(is_content);
        match result.outcome() {
            Outcome::Published => handed.missing += usize::from(is_content),
            Outcome::Duplicate | Outcome::Superseded => {}
            Outcome::Rejected | Outcome::Unspecified => {
                handed.refused.push(format!("{}: {}", version.header().record, result.message));
            }
        }
    }
    Ok(handed)
}

fn print(session: &Session, host: &Host, identity: &Identity, handed: &Handed) -> Result<Exit, Failure> {
    session.printer.object(
        "move/1",
        json!({
            "organisation": identity.org().to_string(),
            "host": host.name,
            "addresses": host.addresses,
            "records": handed.records,
            "handed_in": handed.missing,
            "refused": handed.refused,
        }),
    )?;
    session.printer.line(&format!("Moved         to {}", shown(&host.name)))?;
    session.printer.line(&format!(
        "Records       {}, {} of them handed in because the host lacked them",
        count(handed.records, "record"),
        handed.missing
    ))?;
    for refused in &handed.refused {
        session.printer.warning(&format!("the host did not take {}", shown(refused)));
    }
    session.printer.next("fingerpost status; your old host may keep you on its list, which harms nobody");
    Ok(if handed.refused.is_empty() { Exit::Done } else { Exit::Partial })
}
