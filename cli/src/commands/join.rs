//! `join CODE`: shows who invites into what, and on a yes signs the acceptance and hands it in.

use std::time::Duration;

use fingerpost_proto::id::OrgId;
use fingerpost_proto::kind::Kind;
use fingerpost_proto::network::card::OrgCard;
use fingerpost_proto::network::charter::Charter;
use fingerpost_proto::network::invite::InviteCode;
use fingerpost_proto::time::{Hlc, UnixHour};
use fingerpost_proto::v1;
use fingerpost_proto::v1::publish_result::Outcome;
use serde_json::json;
use zeroize::Zeroizing;

use super::vouch::{MEMBER, standing_words};
use super::{accept, hosted};
use crate::args::JoinArgs;
use crate::client::{Admin, NodeClient};
use crate::failure::{Exit, Failure};
use crate::identity::{Identity, keep_charter, load_charter};
use crate::keys::{self, KeyPurpose};
use crate::output::escape::shown;
use crate::output::moment::{count, date_time, now_ms};
use crate::progress::Progress;
use crate::publish::check_clocks;
use crate::session::{self, Session};
use crate::statements::{acceptance_version, card_envelopes, check_inviter};

/// Longest wait until the node counts the organisation as a member: one comparison with one peer. What is published before is
/// refused.
const STANDING_WAIT: Duration = Duration::from_secs(20);
/// Time between two looks at the standing.
const STANDING_INTERVAL: Duration = Duration::from_millis(50);
/// Time between two looks at how much has arrived.
const WATCH_INTERVAL: Duration = Duration::from_millis(250);
/// Looks without news after which the first records are taken to have arrived.
const QUIET_LOOKS: u32 = 6;

pub(super) async fn run(session: &Session, args: JoinArgs) -> Result<Exit, Failure> {
    let Some(code) = args.code else { return accept::run(session).await };
    let text = Zeroizing::new(if code == "-" { session::read_line()? } else { code });
    let unusable =
        |error: &dyn std::error::Error| Failure::new(Exit::Invalid, "the invite cannot be used").caused_by(error);
    let code = InviteCode::decode(&text).map_err(|error| unusable(&error))?;
    let now = now_ms();
    code.invitation.check_fresh(now).map_err(|error| unusable(&error))?;
    if let Some(charter) = load_charter(&session.home)?.filter(|charter| charter.network != code.network) {
        return Err(Failure::new(Exit::Refused, format!("this organisation is in {:?} already", charter.text.name))
            .hint("another network needs another home: fingerpost --home DIR init …"));
    }
    if code.carries && !session.has_node() {
        return hosted::join(session, &code, &text, args.wait).await;
    }
    let (identity, node) = session.identity().await?;
    let status = node.status().await?;
    check_clocks(now, status.clock_ms)?;
    let way = Way::find(&node, &code, &text, &status).await?;
    if !way.is_hosted {
        check_node_listed(&identity.card, &status.node_key)?;
    }
    let charter = Charter::read(&way.charter)
        .map_err(|error| Failure::new(Exit::Refused, "the network's charter cannot be accepted").caused_by(&error))?;
    if charter.network != code.network {
        return Err(Failure::new(Exit::Refused, "the charter that came is not the one of the invite")
            .because("somebody between you and the inviter may have exchanged it")
            .hint("compare the check words with the inviter by phone, and ask for a new invite"));
    }
    if !way.inviter_cards.is_empty() {
        let card = check_inviter(&way.inviter_cards, &code).map_err(|error| {
            Failure::new(Exit::Refused, "the invite is not from the organisation that it names").caused_by(&error)
        })?;
        introduce(session, &code, &charter, &card.name)?;
    } else {
        introduce(session, &code, &charter, &code.inviter_name)?;
        session
            .printer
            .warning("this node does not know the inviter's card yet, so its name is only what the invite says");
    }
    if !session.agree("Do the words agree with the inviter's, and do you accept the charter?", "--yes")? {
        return Ok(session.declined());
    }
    let clock = Hlc(status.hlc_max).min(Hlc::new(now, 0)).next(now_ms());
    let envelopes = sign(session, &identity, &code, clock)?;
    if way.is_hosted {
        hand_in(session, &node, envelopes).await?;
    } else {
        node.join(v1::JoinRequest { code: text.to_string(), envelopes }).await?;
    }
    keep_charter(&session.home, &way.charter)?;
    let entered = if way.is_hosted { Entered::Carried } else { Entered::WithNode };
    report(session, &node, &code, &charter, &identity.org(), entered, args.wait).await
}

/// Others link only to nodes that the organisation's card lists. Errors: this one is not listed, and would join for nothing.
fn check_node_listed(card: &OrgCard, node_key: &[u8]) -> Result<(), Failure> {
    if card.node_keys().any(|listed| listed.as_bytes() == node_key) {
        return Ok(());
    }
    let failure = Failure::new(
        Exit::Refused,
        "this node's key is not on your organisation's card: no other node would link to it",
    );
    Err(match card.node_keys().next() {
        Some(listed) => failure
            .because(format!("the card lists {listed}; this node made itself a new key, as in an empty home"))
            .hint("stop the daemon, put node.key from your backup into the home, start it, and run the command again; \
                   without a backup join over a neighbour's node: fingerpost join fph1:… in a home where no daemon runs"),
        None => failure
            .because("the organisation was made without a node: fingerpost init --hosted")
            .hint("join over a neighbour's node: fingerpost join fph1:… in a home where no daemon runs"),
    })
}

/// How an organisation got into its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entered {
    /// Its own node joined.
    WithNode,
    /// A node that was in the network already took it in.
    Carried,
}

/// Waits for the standing, watches records arrive, and says what came of it.
pub(super) async fn report(
    session: &Session,
    node: &NodeClient,
    code: &InviteCode,
    charter: &Charter,
    org: &OrgId,
    entered: Entered,
    wait_seconds: u64,
) -> Result<Exit, Failure> {
    let why = standing(node, org).await?;
    let arrived = watch(session, node, wait_seconds).await?;
    session.printer.object(
        "join/1",
        json!({
            "network": charter.network.to_string(),
            "name": charter.text.name,
            "organisation": org.to_string(),
            "inviter": code.invitation.inviter.to_string(),
            "hosted": entered == Entered::Carried,
            "standing": why.standing,
            "records": arrived.live,
            "members": arrived.members,
            "links": arrived.links,
        }),
    )?;
    session.printer.line(&format!("Joined        {}", shown(&charter.text.name)))?;
    session.printer.line(&format!(
        "Arrived       {} from {} so far",
        count(arrived.live, "record"),
        count(arrived.members, "member")
    ))?;
    if why.standing == MEMBER {
        session.printer.next("fingerpost import FILE to publish; fingerpost status to see how it goes");
    } else {
        session.printer.line(&format!("Standing      {}", standing_words(&why)))?;
        session.printer.next(&format!("fingerpost why {} to see what is missing", org.short()));
    }
    Ok(Exit::Done)
}

/// Why the organisation has its standing, once the node counts it as a member or the wait is over.
async fn standing(node: &NodeClient, org: &OrgId) -> Result<v1::WhyReply, Failure> {
    let ends = tokio::time::Instant::now() + STANDING_WAIT;
    loop {
        let why = node.why(org).await?;
        if why.standing == MEMBER || tokio::time::Instant::now() >= ends {
            return Ok(why);
        }
        tokio::time::sleep(STANDING_INTERVAL).await;
    }
}

/// How this organisation gets in: by its node's own joining, or through a node that is in the network already.
struct Way {
    charter: Vec<u8>,
    inviter_cards: Vec<Vec<u8>>,
    is_hosted: bool,
}

impl Way {
    async fn find(node: &NodeClient, code: &InviteCode, text: &str, status: &v1::StatusReply) -> Result<Way, Failure> {
        // A node that is in this network and linked to nobody may be one whose organisation left: it dials the inviter again.
        let is_alone = status.network == code.network.0 && status.links == 0;
        if status.network.is_empty() || (is_alone && status.node_key != code.node_key.as_bytes()) {
            let request = v1::JoinRequest { code: text.to_owned(), envelopes: Vec::new() };
            let reply = node.introduce(request).await.map_err(|failure| {
                failure.hint(format!(
                    "ask the inviter whether their node runs at {}; an invite works once",
                    code.addresses.join(", ")
                ))
            })?;
            check_clocks(now_ms(), reply.inviter_clock_ms)?;
            return Ok(Way { charter: reply.charter, inviter_cards: reply.inviter_cards, is_hosted: false });
        }
        if status.network != code.network.0 {
            return Err(Failure::new(Exit::Refused, "the node is in another network than the invite is for")
                .because(format!("invite: {} ({})", code.network_name, code.network))
                .hint("use a node of that network, or one of your own: --node SOCKET"));
        }
        let cards = v1::ListRequest {
            organisation: code.invitation.inviter.0.to_vec(),
            kind: Kind::CARD.0.into(),
            ..Default::default()
        };
        let inviter_cards = node.entries(cards).await?.into_iter().map(|entry| entry.envelope).collect();
        Ok(Way { charter: status.charter.clone(), inviter_cards, is_hosted: true })
    }
}

/// Shows who invites into what.
pub(super) fn introduce(session: &Session, code: &InviteCode, charter: &Charter, inviter: &str) -> Result<(), Failure> {
    let mut lines = charter_lines(charter);
    let until = UnixHour(code.invitation.expires.0.saturating_add(1)).start_ms();
    lines.push(format!("Invited by    {}, valid until {}", shown(inviter), date_time(until)));
    lines.push("You share     only what you publish; members can see that you are a member".to_owned());
    lines.push(format!("Check words   {}   (compare them with the inviter by phone)", code.check_words().join(" · ")));
    lines.iter().try_for_each(|line| session.printer.line(line))
}

/// What a charter says, line by line.
pub(super) fn charter_lines(charter: &Charter) -> Vec<String> {
    let text = &charter.text;
    let mut lines =
        vec![format!("Network       {}", shown(&text.name)), format!("Purpose       {}", shown(&text.purpose))];
    lines.extend(text.principles.iter().map(|principle| format!("Principle     {}", shown(principle))));
    lines.push(format!(
        "Rules         {} to join, {} to be put out; records live {} days unless confirmed",
        count(text.vouches_needed as usize, "vouch").replace("vouchs", "vouches"),
        count(text.objections_needed as usize, "objection"),
        text.lease_days_default
    ));
    if !text.licence_url.is_empty() {
        lines.push(format!("Licence       {}", shown(&text.licence_url)));
    }
    lines
}

/// The cards and the acceptance, signed, as envelopes.
pub(super) fn sign(
    session: &Session,
    identity: &Identity,
    code: &InviteCode,
    clock: Hlc,
) -> Result<Vec<Vec<u8>>, Failure> {
    let unsigned =
        |error: &dyn std::error::Error| Failure::new(Exit::Invalid, "the acceptance cannot be signed").caused_by(error);
    let root = || Ok(keys::load(&session.home, KeyPurpose::Root)?);
    let mut envelopes = card_envelopes(root, identity, code.network, clock)?;
    let acceptance =
        acceptance_version(identity, code.network, clock.next(0), Some(code)).map_err(|error| unsigned(&error))?;
    envelopes.push(acceptance.envelope().to_vec());
    Ok(envelopes)
}

/// Hands card and acceptance to a node that is in the network already.
async fn hand_in(session: &Session, node: &NodeClient, envelopes: Vec<Vec<u8>>) -> Result<(), Failure> {
    let delivery = node.publish(vec![v1::PublishRequest { envelopes }], |_| ()).await;
    if let Some(broken) = delivery.broken {
        return Err(broken);
    }
    for result in delivery.results {
        match result.outcome() {
            Outcome::Published | Outcome::Duplicate => {}
            Outcome::Superseded => session.printer.note("This organisation had joined before."),
            Outcome::Rejected | Outcome::Unspecified => {
                return Err(Failure::new(Exit::Refused, "the node did not take the acceptance").because(result.message));
            }
        }
    }
    Ok(())
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Arrived {
    live: usize,
    members: usize,
    links: usize,
}

/// Watches records arrive until nothing new comes or `seconds` are over.
async fn watch(session: &Session, node: &NodeClient, seconds: u64) -> Result<Arrived, Failure> {
    let mut progress = Progress::new(&session.printer, "records arrived", 0);
    let ends = tokio::time::Instant::now() + Duration::from_secs(seconds);
    let (mut arrived, mut quiet) = (Arrived::default(), 0);
    loop {
        let status = node.status().await?;
        let live = status.sets.iter().map(|set| usize::try_from(set.live).unwrap_or(usize::MAX)).sum();
        let now = Arrived { live, members: status.members as usize, links: status.links as usize };
        quiet = if now == arrived { quiet + 1 } else { 0 };
        arrived = now;
        progress.set(arrived.live, arrived.live);
        if (quiet >= QUIET_LOOKS && arrived.links > 0) || tokio::time::Instant::now() >= ends {
            progress.finish();
            return Ok(arrived);
        }
        tokio::time::sleep(WATCH_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::identity::GenesisCard;
    use crate::keys::Signer;

    #[test]
    fn a_node_that_the_card_does_not_list_is_told_so_before_anything_is_signed() {
        let [root, device, node, other] = [1, 2, 3, 4].map(|seed| Signer::from_seed(&[seed; 32]).unwrap());
        let card = |node| {
            let card = GenesisCard {
                name: "Forum",
                root: root.public(),
                recovery_digest: [9; 32],
                device: device.public(),
                node,
                endpoints: Vec::new(),
                nonce: [0; 16],
            };
            OrgCard::read(&card.encode()).unwrap()
        };
        assert!(check_node_listed(&card(Some(node.public())), node.public().as_bytes()).is_ok());
        let lost = check_node_listed(&card(Some(node.public())), other.public().as_bytes()).unwrap_err();
        assert_eq!(lost.exit(), Exit::Refused);
        let hosted = check_node_listed(&card(None), node.public().as_bytes()).unwrap_err();
        assert_eq!(hosted.exit(), Exit::Refused);
    }
}
