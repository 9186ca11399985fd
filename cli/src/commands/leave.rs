//! `leave`: the organisation goes. Its records vanish everywhere; what it said about others stays.

use fingerpost_proto::kind::Kind;
use fingerpost_proto::v1;
use prost::Message;
use serde_json::json;

use super::voice::Voice;
use super::vouch::MEMBER;
use crate::args::LeaveArgs;
use crate::client::Admin;
use crate::failure::{Exit, Failure};
use crate::output::escape::shown;
use crate::output::moment::count;
use crate::session::Session;

pub(super) async fn run(session: &Session, args: LeaveArgs) -> Result<Exit, Failure> {
    let mut voice = Voice::open(session).await?;
    let own = voice.identity.org();
    let before = voice.node.why(&own).await?;
    if before.standing != MEMBER {
        return Err(Failure::new(Exit::Invalid, "your organisation is not a member now")
            .because("nothing was changed")
            .hint(format!("see why: fingerpost why {}", own.short())));
    }
    let request = v1::ListRequest { organisation: own.0.to_vec(), ..Default::default() };
    let records = voice.node.entries(request).await?.len();
    session.printer.line(&format!("Network       {}", shown(&voice.charter.text.name)))?;
    session.printer.line(&format!(
        "Goes          {} of yours, from every feed and every node, within seconds where nodes are on-line",
        count(records, "record")
    ))?;
    session.printer.line(
        "Stays         your card and what you said about others; your vouches count on, so nobody else goes with you",
    )?;
    session.printer.line("Not undone    copies that readers made of the feeds")?;
    session.printer.line(
        "Coming back   with a new invite, or by fingerpost join at a member's node (--node); then publish again",
    )?;
    if !session.agree("Leave the network?", "--yes")? {
        return Ok(session.declined());
    }
    // Clearing the reason would leave an empty body, which takes the leave back instead of making it.
    let reason = args.reason.as_deref().map(str::trim).filter(|reason| !reason.is_empty()).unwrap_or("left");
    voice.say(Kind::LEAVE, None, &v1::Leave { reason: reason.to_owned() }.encode_to_vec()).await?;
    session.printer.object(
        "leave/1",
        json!({ "organisation": own.to_string(), "network": voice.charter.network.to_string(), "records": records }),
    )?;
    session.printer.line(&format!("Left          {}", shown(&voice.charter.text.name)))?;
    session.printer.next("your node can be switched off once others have heard: fingerpost peers");
    Ok(Exit::Done)
}
