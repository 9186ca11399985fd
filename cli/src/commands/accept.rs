//! `join` without an invite: accepts the charter of the node's network. Members' vouches let the organisation in.

use fingerpost_proto::kind::Kind;
use fingerpost_proto::network::charter::Charter;
use fingerpost_proto::network::statement::Statement;
use fingerpost_proto::time::Hlc;
use fingerpost_proto::v1;
use fingerpost_proto::v1::publish_result::Outcome;
use fingerpost_proto::version::SignedVersion;
use serde_json::json;

use super::join::charter_lines;
use super::vouch::{MEMBER, standing_words};
use crate::client::{Admin, NodeClient};
use crate::failure::{Exit, Failure};
use crate::identity::{Identity, keep_charter, load_charter};
use crate::keys::{self, KeyPurpose};
use crate::output::escape::shown;
use crate::output::moment::now_ms;
use crate::publish::{check_clocks, check_newest};
use crate::session::Session;
use crate::statements::{acceptance_version, card_envelopes, statement_version};

/// What the node says of a statement that waits for vouches.
const WAITING: &str = "not-a-member";

pub(super) async fn run(session: &Session) -> Result<Exit, Failure> {
    let (identity, node) = session.identity().await?;
    let status = node.status().await?;
    if status.network.is_empty() {
        return Err(Failure::new(Exit::Usage, "there is no charter to accept: this node is in no network")
            .hint("join with an invite: fingerpost join fp1:…; or ask a member to carry you, with the line of: fingerpost host code"));
    }
    let unfit = |error: &dyn std::error::Error| {
        Failure::new(Exit::Refused, "the network's charter cannot be accepted").caused_by(error)
    };
    let charter = Charter::read(&status.charter).map_err(|error| unfit(&error))?;
    if let Some(agreed) = load_charter(&session.home)?.filter(|agreed| agreed.network != charter.network) {
        return Err(Failure::new(Exit::Refused, format!("this organisation is in {:?} already", agreed.text.name))
            .hint("another network needs another home: fingerpost --home DIR init …"));
    }
    let now = now_ms();
    check_clocks(now, status.clock_ms)?;
    check_newest(now, Hlc(status.hlc_max))?;
    let before = node.why(&identity.org()).await?;
    if before.standing == MEMBER {
        session.printer.note("This organisation is a member already.");
        return Ok(Exit::Done);
    }
    if !before.lacks_acceptance && !before.lacks_return {
        // Signing again would help nothing, and would drop the invite that an acceptance may hold.
        session.printer.line(&format!("Standing      {}", standing_words(&before)))?;
        return Err(Failure::new(
            Exit::Refused,
            "this organisation has accepted the charter already; that is not what is missing",
        )
        .hint(format!("see what is: fingerpost why {}", identity.org().short())));
    }
    charter_lines(&charter).iter().try_for_each(|line| session.printer.line(line))?;
    session.printer.line("You share     only what you publish; members can see that you are a member")?;
    if !session.agree("Do you accept the charter?", "--yes")? {
        return Ok(session.declined());
    }
    let unsigned =
        |error: &dyn std::error::Error| Failure::new(Exit::Invalid, "the acceptance cannot be signed").caused_by(error);
    let clock = Hlc(status.hlc_max).next(now_ms());
    let root = || Ok(keys::load(&session.home, KeyPurpose::Root)?);
    let mut envelopes = card_envelopes(root, &identity, charter.network, clock)?;
    let acceptance = match invited_before(&node, &identity).await? {
        Some(body) => {
            let (network, clock) = (charter.network, clock.next(0));
            statement_version(&identity, network, clock, Kind::ACCEPTANCE, None, &body)
                .map_err(|error| unsigned(&error))?
        }
        None => {
            acceptance_version(&identity, charter.network, clock.next(0), None).map_err(|error| unsigned(&error))?
        }
    };
    envelopes.push(acceptance.envelope().to_vec());
    let delivery = node.publish(vec![v1::PublishRequest { envelopes }], |_| ()).await;
    if let Some(broken) = delivery.broken {
        return Err(broken);
    }
    for result in delivery.results {
        let is_refused = matches!(result.outcome(), Outcome::Rejected | Outcome::Unspecified);
        if is_refused && result.error != WAITING {
            return Err(Failure::new(Exit::of_rejection(&result.error), "the node did not take the acceptance")
                .because(result.message));
        }
    }
    keep_charter(&session.home, &status.charter)?;
    let after = node.why(&identity.org()).await?;
    session.printer.object(
        "accept/1",
        json!({
            "network": charter.network.to_string(),
            "name": charter.text.name,
            "organisation": identity.org().to_string(),
            "standing": after.standing,
            "vouches_missing": after.lacks_vouches,
        }),
    )?;
    session.printer.line(&format!("Accepted      {}", shown(&charter.text.name)))?;
    session.printer.line(&format!("Standing      {}", standing_words(&after)))?;
    if after.standing == MEMBER {
        session.printer.next("fingerpost import FILE to publish; fingerpost status to see how it goes");
    } else {
        session
            .printer
            .note("The node remembers it in memory only until you are in: after its restart run this command again.");
        session.printer.next(&format!("members let you in with: fingerpost vouch {}", identity.org()));
    }
    Ok(Exit::Done)
}

/// The body of the last acceptance, when it holds an invitation that has not run out: who comes back keeps that vouch.
async fn invited_before(node: &NodeClient, identity: &Identity) -> Result<Option<Vec<u8>>, Failure> {
    let request = v1::ListRequest {
        organisation: identity.org().0.to_vec(),
        kind: Kind::ACCEPTANCE.0.into(),
        ..Default::default()
    };
    let entry = node.entries(request).await?.into_iter().next();
    let Some(version) = entry.and_then(|entry| SignedVersion::read(entry.envelope).ok()) else { return Ok(None) };
    let Ok(Statement::Acceptance(Some(invitation))) = Statement::read(&version) else { return Ok(None) };
    Ok(invitation.check_fresh(now_ms()).is_ok().then(|| version.body().to_vec()))
}
