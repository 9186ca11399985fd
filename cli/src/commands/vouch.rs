//! `vouch ORG`: says that an organisation belongs here, or takes that back. Also turns claimed invitations into vouches.

use fingerpost_proto::id::OrgId;
use fingerpost_proto::kind::Kind;
use fingerpost_proto::v1;
use prost::Message;
use serde_json::json;

use super::record::find_organisation;
use super::voice::Voice;
use crate::args::VouchArgs;
use crate::failure::{Exit, Failure};
use crate::output::escape::shown;
use crate::output::moment::count;
use crate::session::Session;

/// A member's standing, as nodes name it.
pub(super) const MEMBER: &str = "member";
/// Vouches that one run makes out of claimed invitations; the rest is for the next run.
const SETTLED_PER_RUN_MAX: usize = 100;

pub(super) async fn run(session: &Session, args: VouchArgs) -> Result<Exit, Failure> {
    let mut voice = Voice::open(session).await?;
    let org = find_organisation(&voice.node, &args.org).await?;
    not_oneself(&voice, &org, "vouch for")?;
    let body = match args.withdraw {
        true => Vec::new(),
        false => v1::Vouch { subject: org.0.to_vec(), reason: args.reason.clone().unwrap_or_default() }.encode_to_vec(),
    };
    let before = voice.node.why(&org).await?;
    let name = called(&before, &org);
    if args.withdraw && !before.vouches.iter().any(|vouch| vouch.organisation == voice.identity.org().0) {
        return Err(Failure::new(Exit::Invalid, format!("your organisation does not vouch for {name}"))
            .because("nothing was changed")
            .hint(format!("see who does: fingerpost why {}", org.short())));
    }
    if args.withdraw {
        let counted = before.vouches.iter().filter(|vouch| vouch.weight == "counts").count();
        let question = if !before.founder && counted <= before.vouches_needed as usize && before.standing == MEMBER {
            format!("Take the vouch for {name} back? It then lacks one, and its records leave every feed")
        } else {
            format!("Take the vouch for {name} back?")
        };
        if !session.agree(&question, "--yes")? {
            return Ok(session.declined());
        }
    }
    voice.say(Kind::VOUCH, Some(&org), &body).await?;
    let after = voice.node.why(&org).await?;
    session.printer.object(
        "vouch/1",
        json!({
            "organisation": org.to_string(),
            "name": after.name,
            "withdrawn": args.withdraw,
            "standing_before": before.standing,
            "standing": after.standing,
        }),
    )?;
    let said = if args.withdraw { "Taken back" } else { "Vouched for" };
    session.printer.line(&format!("{said:<13} {name}"))?;
    session.printer.line(&format!("Standing      {}", standing_words(&after)))?;
    session.printer.next(&format!("fingerpost why {}", org.short()));
    Ok(Exit::Done)
}

/// [`settle_claims`], beside another command: a home without an organisation has nothing to settle, and what fails is tried
/// again by the next command.
pub(super) async fn settle_where_possible(session: &Session) {
    let Ok(mut voice) = Voice::open(session).await else { return };
    if let Err(failure) = settle_claims(session, &mut voice).await {
        session.printer.warning(&format!("an invite that was used is not a vouch of its own yet: {failure}"));
    }
}

/// Turns invitations of this organisation that exactly one other has claimed into direct vouches, so that a second
/// claim of the same invite changes nothing any more. What was taken back once is left alone.
async fn settle_claims(session: &Session, voice: &mut Voice) -> Result<(), Failure> {
    let own = voice.identity.org();
    let members = voice.node.members().await?;
    let claims = members.iter().filter(|member| member.invited_by == own.0).take(SETTLED_PER_RUN_MAX);
    for member in claims {
        let Some(org) = OrgId::from_slice(&member.organisation) else { continue };
        let body = v1::Vouch { subject: org.0.to_vec(), reason: "joined by our invite".to_owned() }.encode_to_vec();
        voice.say(Kind::VOUCH, Some(&org), &body).await?;
        session.printer.note(&format!(
            "Your invite was used: your organisation now vouches for {} directly. Is it not whom you invited? \
             fingerpost vouch {} --withdraw",
            shown(&member.name),
            org.short()
        ));
    }
    Ok(())
}

/// Errors: usage, when the organisation named is the one that speaks.
pub(super) fn not_oneself(voice: &Voice, org: &OrgId, verb: &str) -> Result<(), Failure> {
    if *org != voice.identity.org() {
        return Ok(());
    }
    Err(Failure::new(Exit::Usage, format!("an organisation does not {verb} itself"))
        .hint("see the others: fingerpost members"))
}

/// Its name, made harmless, or the start of its id.
pub(super) fn called(why: &v1::WhyReply, org: &OrgId) -> String {
    if why.name.is_empty() { org.short() } else { shown(&why.name).into_owned() }
}

/// The standing in words, with what is missing.
pub(super) fn standing_words(why: &v1::WhyReply) -> String {
    let missing = missing_words(why);
    let standing = match why.standing.as_str() {
        MEMBER if why.founder => "member, and a founder",
        MEMBER => MEMBER,
        "participant" => "not a member now: its records are in no feed",
        "claimant" => "waiting",
        _ => "not in the network",
    };
    if missing.is_empty() { standing.to_owned() } else { format!("{standing}; missing: {}", missing.join(", ")) }
}

/// What it lacks to be a member, in words.
pub(super) fn missing_words(why: &v1::WhyReply) -> Vec<String> {
    let mut missing = Vec::new();
    if why.lacks_acceptance {
        missing.push("its own acceptance of the charter (it runs: fingerpost join)".to_owned());
    }
    match why.lacks_vouches {
        0 => {}
        1 => missing.push("1 more vouch".to_owned()),
        several => missing.push(format!("{several} more vouches")),
    }
    if why.lacks_return {
        missing.push("it left, and has to accept the charter again (it runs: fingerpost join)".to_owned());
    }
    if why.objections_beyond > 0 {
        missing.push(format!("{} to be taken back", count(why.objections_beyond as usize, "objection")));
    }
    missing
}
