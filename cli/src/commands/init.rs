//! `init`: makes an organisation. Nothing is written before the recovery words were shown.

use fingerpost_proto::key::PublicKey;
use serde_json::json;

use super::phrase::show_phrase;
use crate::args::InitArgs;
use crate::client::Admin;
use crate::failure::{Exit, Failure};
use crate::founding::Founding;
use crate::identity::CARD_FILE;
use crate::keys::{self, KeyPurpose};
use crate::session::Session;

pub(super) async fn run(session: &Session, args: InitArgs) -> Result<Exit, Failure> {
    check_empty(session)?;
    let node = if args.hosted { None } else { Some(node_of(session).await?) };
    let advertised = node.as_ref().map(|node| node.addresses.clone()).unwrap_or_default();
    let endpoints = if args.endpoint.is_empty() { advertised } else { args.endpoint };
    let founding = Founding::draft(&args.name, endpoints, node.as_ref().map(|node| &node.key))?;
    let (card, phrase) = (&founding.card, &founding.phrase);
    show_phrase(session, phrase)?;
    founding.keep(&session.home)?;

    session.printer.object(
        "init/1",
        json!({
            "organisation": card.org.to_string(),
            "name": card.name,
            "home": session.home.display().to_string(),
            "endpoints": card.endpoints,
            "node_key": node.as_ref().map(|node| node.key.to_string()),
            "recovery_phrase": phrase.words().join(" "),
        }),
    )?;
    session.printer.line(&format!("Organisation  {}", card.name))?;
    session.printer.line(&format!("Id            {}", card.org))?;
    let beside = if node.is_some() { ", and node.key beside it" } else { "" };
    session.printer.line(&format!(
        "Keys          {} (back this folder up{beside})",
        session.home.join(keys::KEYS_FOLDER).display()
    ))?;
    match (&node, card.endpoints.as_slice()) {
        (None, _) => session.printer.line("Node          none of its own: a neighbour's carries its records")?,
        (Some(node), []) => {
            session.printer.line(&format!("Node          {} (others cannot dial it; it dials them)", node.key))?
        }
        (Some(node), endpoints) => {
            session.printer.line(&format!("Node          {} at {}", node.key, endpoints.join(", ")))?
        }
    }
    session.printer.next(if args.hosted {
        "fingerpost join fph1:… with the line that the operator of a member's node prints by: fingerpost host code"
    } else {
        "fingerpost join fp1:… with an invite, or found a network: fingerpost network create --name … --purpose …"
    });
    Ok(Exit::Done)
}

struct NodeOf {
    key: PublicKey,
    addresses: Vec<String>,
}

async fn node_of(session: &Session) -> Result<NodeOf, Failure> {
    let without = |failure: Failure| match failure.exit() {
        Exit::NodeUnreachable => failure.hint(format!(
            "start your node first: fingerpostd run --home {}; or, without a node of your own, add --hosted",
            session.home.display()
        )),
        _ => failure,
    };
    let status = session.node().await.map_err(without)?.status().await?;
    let key = PublicKey::from_bytes(&status.node_key)
        .map_err(|error| Failure::new(Exit::Invalid, "the node has no usable key").caused_by(&error))?;
    // The node joins several addresses with a comma.
    let addresses = status.advertised_address.split(',').map(str::trim).filter(|address| !address.is_empty());
    Ok(NodeOf { key, addresses: addresses.map(str::to_owned).collect() })
}

fn check_empty(session: &Session) -> Result<(), Failure> {
    let card = session.home.join(CARD_FILE);
    if card.exists() {
        return Err(Failure::new(
            Exit::Conflict,
            format!("there is an organisation in {} already", session.home.display()),
        )
        .hint("see it: fingerpost id; make a second one elsewhere: fingerpost --home DIR init …"));
    }
    for purpose in [KeyPurpose::Root, KeyPurpose::Device] {
        let path = purpose.path(&session.home);
        if path.exists() {
            return Err(Failure::new(
                Exit::Conflict,
                format!("{} is left from an init that broke off", path.display()),
            )
            .hint(format!(
                "move {} away, then run the command again",
                session.home.join(keys::KEYS_FOLDER).display()
            )));
        }
    }
    Ok(())
}
