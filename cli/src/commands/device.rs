//! `device list | request | add | remove`: which computers and nodes act for the organisation.

use fingerpost_proto::key::PublicKey;
use fingerpost_proto::limits::{DEVICES_MAX, NAME_BYTES_MAX};
use fingerpost_proto::network::charter::Charter;
use fingerpost_proto::v1;
use serde_json::{Value, json};

use super::record::find_organisation;
use super::turn::{Turn, called, find_device, roles, short, tell_upheld};
use crate::args::{DeviceAddArgs, DeviceCommand, DeviceRemoveArgs, DeviceRequestArgs};
use crate::cards::Cards;
use crate::client::Admin;
use crate::device_request::DeviceRequest;
use crate::failure::{Exit, Failure};
use crate::identity::{CARD_FILE, keep_card, keep_charter, load_charter};
use crate::keys::{self, KeyFileError, KeyPurpose};
use crate::output::escape::shown;
use crate::output::moment::{date, rfc3339};
use crate::session::{self, Session};

pub(super) async fn run(session: &Session, command: DeviceCommand) -> Result<Exit, Failure> {
    match command {
        DeviceCommand::List => list(session).await,
        DeviceCommand::Request(args) => request(session, args).await,
        DeviceCommand::Add(args) => add(session, args).await,
        DeviceCommand::Remove(args) => remove(session, args).await,
    }
}

async fn list(session: &Session) -> Result<Exit, Failure> {
    let mut cards = Cards::load(&session.home)?;
    match session.node().await {
        Ok(node) => cards.refresh(&session.home, &node).await?,
        Err(failure) => {
            session.printer.warning(&format!("this is what the home knows; the node was not asked: {failure}"))
        }
    }
    let own = keys::load(&session.home, KeyPurpose::Device).ok().map(|device| *device.public());
    let card = cards.effective();
    let forks: Vec<u64> = cards.succession().forks().map(|(winner, _)| winner.sequence).collect();
    let devices: Vec<Value> = card
        .devices
        .iter()
        .map(|device| {
            json!({
                "key": device.key.to_string(),
                "label": device.label,
                "publishes": device.publishes,
                "node": device.is_node,
                "retired": device.retired_at.map(|at| rfc3339(at.ms())),
                "this_computer": own == Some(device.key),
            })
        })
        .collect();
    session.printer.object(
        "device-list/1",
        json!({
            "organisation": cards.org().to_string(),
            "card": card.sequence,
            "devices": devices,
            "forks": forks,
        }),
    )?;
    let rows: Vec<Vec<String>> = card
        .devices
        .iter()
        .map(|device| {
            let state = match device.retired_at {
                Some(at) => format!("ended {}", date(at.ms())),
                None if own == Some(device.key) => "in use, this computer".to_owned(),
                None => "in use".to_owned(),
            };
            vec![device.label.clone(), short(&device.key), roles(device), state]
        })
        .collect();
    session.printer.table(&["label", "key", "role", "state"], &rows)?;
    for sequence in forks {
        session.printer.warning(&format!(
            "two cards claim to be number {sequence}: a root key is in two hands, or was used on two computers at once. \
             If none of you signed the other: fingerpost recover"
        ));
    }
    Ok(Exit::Done)
}

async fn request(session: &Session, args: DeviceRequestArgs) -> Result<Exit, Failure> {
    let cards = if session.home.join(CARD_FILE).exists() {
        let mut cards = Cards::load(&session.home)?;
        // Without a node the request can be made as well.
        if let Ok(node) = session.node().await {
            cards.refresh(&session.home, &node).await?;
        }
        if let Some(text) = &args.org
            && *text != cards.effective().name
            && !(text.len() >= 8 && cards.org().to_string().starts_with(&text.to_ascii_lowercase()))
        {
            return Err(Failure::new(Exit::Conflict, format!("this home is for {}", shown(&cards.effective().name)))
                .hint("another organisation needs another home: fingerpost --home DIR device request ORG"));
        }
        cards
    } else {
        let Some(text) = &args.org else {
            return Err(Failure::new(Exit::Usage, "for which organisation?")
                .hint("fingerpost device request ORG; see them: fingerpost members"));
        };
        match found(session, text).await? {
            Some(cards) => cards,
            None => return Ok(session.declined()),
        }
    };
    let device = match keys::load(&session.home, KeyPurpose::Device) {
        Ok(device) => device,
        Err(KeyFileError::Missing { .. }) => {
            keys::keep(&session.home, KeyPurpose::Device, &keys::fresh_seed()?)?;
            keys::load(&session.home, KeyPurpose::Device)?
        }
        Err(error) => return Err(error.into()),
    };
    if let Some(listed) = cards.effective().device(device.public().as_bytes()).filter(|listed| listed.publishes) {
        return Err(Failure::new(Exit::Conflict, format!("this computer is on the card already: {}", called(listed)))
            .hint("see: fingerpost device list"));
    }
    if cards.succession().has_revoked(device.public().as_bytes()) {
        return Err(Failure::new(Exit::Refused, "the device key of this computer was revoked")
            .because("nodes would go on to refuse what it signs")
            .hint(format!(
                "move {} away, then run the command again for a new key",
                KeyPurpose::Device.path(&session.home).display()
            )));
    }
    let request = DeviceRequest::new(device.public(), &cards.org());
    let (code, words) = (request.encode(), request.check_words());
    session.printer.object(
        "device-request/1",
        json!({
            "organisation": cards.org().to_string(),
            "key": device.public().to_string(),
            "code": code,
            "check_words": words,
        }),
    )?;
    session.printer.line(&code)?;
    session.printer.line(&format!("Check words   {}", words.join(" · ")))?;
    session.printer.next("on the computer with the root key: fingerpost device add fpd1:…; compare the words");
    Ok(Exit::Done)
}

/// Finds an organisation and its network at the node, and keeps both in this home. `None`: somebody said no.
pub(super) async fn found(session: &Session, text: &str) -> Result<Option<Cards>, Failure> {
    let node = session.node().await?;
    let status = node.status().await?;
    let org = find_organisation(&node, text).await?;
    let charter = Charter::read(&status.charter)
        .map_err(|error| Failure::new(Exit::Refused, "the node is in no network").caused_by(&error))?;
    if let Some(agreed) = load_charter(&session.home)?.filter(|agreed| agreed.network != charter.network) {
        return Err(Failure::new(Exit::Refused, format!("this home is for the network {:?}", agreed.text.name))
            .hint("use a node of that network, or another home: --node SOCKET, --home DIR"));
    }
    let cards = Cards::at(&node, &org, &charter.network).await?;
    session.printer.line(&format!("Organisation  {}", shown(&cards.effective().name)))?;
    session.printer.line(&format!("Id            {org}"))?;
    session.printer.line(&format!("Network       {}", shown(&charter.text.name)))?;
    if !session.agree("Is this your organisation?", "--yes")? {
        return Ok(None);
    }
    keep_charter(&session.home, &status.charter)?;
    keep_card(&session.home, cards.first())?;
    cards.keep(&session.home)?;
    Ok(Some(cards))
}

async fn add(session: &Session, args: DeviceAddArgs) -> Result<Exit, Failure> {
    let text = if args.code == "-" { session::read_line()? } else { args.code };
    let unusable = |error| Failure::new(Exit::Invalid, "the request cannot be used").caused_by(&error);
    let request = DeviceRequest::decode(&text).map_err(unusable)?;
    let mut turn = Turn::open(session).await?;
    request.check_organisation(&turn.cards.org()).map_err(unusable)?;
    let root = turn.root(&session.home)?;
    let label = args.label.trim();
    if label.len() > NAME_BYTES_MAX {
        let found = label.len();
        return Err(Failure::new(Exit::Usage, format!("a label has at most {NAME_BYTES_MAX} bytes, this one {found}")));
    }
    check_addable(&turn.cards, &request.key)?;
    let before = turn.cards.effective().clone();
    let mut next = turn.draft(&before, root.public())?;
    next.list(&request.key, v1::DeviceRole::Publish, label);
    let finished = turn.finish(next).await?;
    session.printer.line(&format!("Device        {}, {}", shown(label), short(&request.key)))?;
    session.printer.line(&format!("Check words   {}", request.check_words().join(" · ")))?;
    session.printer.line(
        "It may        publish, change and withdraw every record, vouch, object and leave; not change the card",
    )?;
    if !session.agree("Do the words agree with those on the new computer, and is it to sign for you?", "--yes")? {
        return Ok(session.declined());
    }
    turn.publish(session, &root, &finished, None).await?;
    session.printer.object(
        "device-add/1",
        json!({
            "organisation": turn.cards.org().to_string(),
            "card": finished.card.sequence,
            "key": request.key.to_string(),
            "label": label,
        }),
    )?;
    session.printer.line(&format!(
        "Added         {} ({}), by card {}",
        shown(label),
        short(&request.key),
        finished.card.sequence
    ))?;
    session.printer.next("the new computer can publish as soon as its node has heard: fingerpost import FILE");
    Ok(Exit::Done)
}

fn check_addable(cards: &Cards, key: &PublicKey) -> Result<(), Failure> {
    let card = cards.effective();
    if let Some(listed) = card.device(key.as_bytes()) {
        return Err(Failure::new(Exit::Conflict, format!("this device is on the card already: {}", called(listed)))
            .because("nothing was changed")
            .hint("see them: fingerpost device list"));
    }
    if cards.succession().has_revoked(key.as_bytes()) {
        return Err(Failure::new(Exit::Refused, "this device was revoked")
            .because("its key may be in other hands; and what it signed before would count again")
            .hint("make a new key on that computer: move its keys/device.key away, then fingerpost device request"));
    }
    if card.devices.len() >= DEVICES_MAX {
        return Err(Failure::new(
            Exit::Refused,
            format!("a card lists at most {DEVICES_MAX} devices, and so many it has"),
        )
        .hint("revoke one that signed nothing that you need: fingerpost revoke DEVICE --republish"));
    }
    Ok(())
}

async fn remove(session: &Session, args: DeviceRemoveArgs) -> Result<Exit, Failure> {
    let mut turn = Turn::open(session).await?;
    let root = turn.root(&session.home)?;
    let before = turn.cards.effective().clone();
    let device = find_device(&before, &args.device)?;
    if device.retired_at.is_some() {
        return Err(Failure::new(Exit::Invalid, format!("the use of {} has ended already", called(device)))
            .because("nothing was changed"));
    }
    check_another_publishes(&before, &device.key)?;
    let mut next = turn.draft(&before, root.public())?;
    let at = turn.tick();
    next.retire(&device.key, at);
    let finished = turn.finish(next).await?;
    session.printer.line(&format!("Device        {}, {}", called(device), roles(device)))?;
    session.printer.line("Stays         everything that it signed")?;
    session.printer.line("Ends          it signs nothing new; as a node it loses its links")?;
    session.printer.line("Not for       a device that is lost or stolen, for it could antedate: fingerpost revoke")?;
    tell_upheld(session, &finished)?;
    if !session.agree(&format!("End the use of {}?", called(device)), "--yes")? {
        return Ok(session.declined());
    }
    turn.publish(session, &root, &finished, None).await?;
    session.printer.object(
        "device-remove/1",
        json!({
            "organisation": turn.cards.org().to_string(),
            "card": finished.card.sequence,
            "key": device.key.to_string(),
            "label": device.label,
            "retired": rfc3339(at.ms()),
        }),
    )?;
    session.printer.line(&format!("Ended         {}, by card {}", called(device), finished.card.sequence))?;
    session.printer.next("delete keys/device.key on that computer; fingerpost device list");
    Ok(Exit::Done)
}

/// Errors: refused, when without `key` nobody could publish.
pub(super) fn check_another_publishes(
    card: &fingerpost_proto::network::card::OrgCard,
    key: &PublicKey,
) -> Result<(), Failure> {
    let mut others = card.devices.iter().filter(|device| device.key != *key);
    if others.any(|device| device.publishes && device.retired_at.is_none()) {
        return Ok(());
    }
    Err(Failure::new(Exit::Refused, "without this device nobody could publish for your organisation")
        .because("nothing was changed")
        .hint("add another one first: fingerpost device request on the other computer"))
}
