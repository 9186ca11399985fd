//! `object ORG`: says that an organisation must go, or takes that back.

use fingerpost_proto::kind::Kind;
use fingerpost_proto::v1;
use prost::Message;
use serde_json::json;

use super::record::find_organisation;
use super::voice::Voice;
use super::vouch::{called, not_oneself, standing_words};
use crate::args::ObjectArgs;
use crate::failure::{Exit, Failure};
use crate::output::escape::shown;
use crate::output::moment::count;
use crate::session::Session;

pub(super) async fn run(session: &Session, args: ObjectArgs) -> Result<Exit, Failure> {
    let mut voice = Voice::open(session).await?;
    let org = find_organisation(&voice.node, &args.org).await?;
    not_oneself(&voice, &org, "object to")?;
    let before = voice.node.why(&org).await?;
    let name = called(&before, &org);
    let own = voice.identity.org();
    let has_objected = before.objections.iter().any(|objection| objection.organisation == own.0);
    let counted = before.objections.iter().filter(|objection| objection.weight == "counts").count();
    let needed = before.objections_needed as usize;
    let body = if args.withdraw {
        if !has_objected {
            return Err(Failure::new(Exit::Invalid, format!("your organisation does not object to {name}"))
                .because("nothing was changed")
                .hint(format!("see who does: fingerpost why {}", org.short())));
        }
        Vec::new()
    } else {
        let reason = args.reason.as_deref().unwrap_or_default().trim();
        if reason.is_empty() {
            return Err(Failure::new(Exit::Usage, "an objection needs a reason; every member can read it")
                .hint("say what happened: --reason \"…\""));
        }
        // Who has objected already may give another reason; that makes no further objection.
        let after = counted + usize::from(!has_objected);
        session.printer.line(&format!("Organisation  {name}"))?;
        session.printer.line(&format!("Objections    {after} of {needed} with yours"))?;
        session.printer.line(&format!("Reason        {}", shown(reason)))?;
        session.printer.line(&format!(
            "What happens  {}",
            if after >= needed {
                "it is put out: its records leave every feed at every node, and its nodes lose their links".to_owned()
            } else {
                format!("nothing yet; {} would put it out", count(needed - after, "more objection"))
            }
        ))?;
        session.printer.line("Signed        by your organisation, for every member to read; you can take it back")?;
        if !session.agree(&format!("Object to {name}?"), "--yes")? {
            return Ok(session.declined());
        }
        v1::Objection { subject: org.0.to_vec(), reason: reason.to_owned() }.encode_to_vec()
    };
    voice.say(Kind::OBJECTION, Some(&org), &body).await?;
    let after = voice.node.why(&org).await?;
    let counted = after.objections.iter().filter(|objection| objection.weight == "counts").count();
    session.printer.object(
        "object/1",
        json!({
            "organisation": org.to_string(),
            "name": after.name,
            "withdrawn": args.withdraw,
            "objections": counted,
            "objections_needed": after.objections_needed,
            "standing_before": before.standing,
            "standing": after.standing,
        }),
    )?;
    session.printer.line(&format!("{:<13} {name}", if args.withdraw { "Taken back" } else { "Objected to" }))?;
    session.printer.line(&format!("Objections    {counted} of {needed}"))?;
    session.printer.line(&format!("Standing      {}", standing_words(&after)))?;
    session.printer.next(&format!("fingerpost why {}", org.short()));
    Ok(Exit::Done)
}
