//! `why ORG`: why an organisation is, or is not, a member here: who vouches, who objects, what is missing.

use fingerpost_proto::id::OrgId;
use fingerpost_proto::v1;
use serde_json::{Value, json};

use super::record::find_organisation;
use super::vouch::{called, missing_words, standing_words};
use crate::args::WhyArgs;
use crate::failure::{Exit, Failure};
use crate::output::escape::shown;
use crate::output::moment::{count, date, date_time, rfc3339};
use crate::session::Session;

pub(super) async fn run(session: &Session, args: WhyArgs) -> Result<Exit, Failure> {
    let node = session.node().await?;
    let org = find_organisation(&node, &args.org).await?;
    let why = node.why(&org).await?;
    let instant = |ms: u64| if ms == 0 { Value::Null } else { json!(rfc3339(ms)) };
    session.printer.object(
        "why/1",
        json!({
            "organisation": org.to_string(),
            "name": why.name,
            "standing": why.standing,
            "founder": why.founder,
            "accepted": instant(why.accepted_ms),
            "left": instant(why.left_ms),
            "vouches": why.vouches.iter().map(heard_json).collect::<Vec<_>>(),
            "vouches_needed": why.vouches_needed,
            "objections": why.objections.iter().map(heard_json).collect::<Vec<_>>(),
            "objections_needed": why.objections_needed,
            "rivals": why.rivals.iter().map(|rival| id(rival)).collect::<Vec<_>>(),
            "missing": missing_words(&why),
            "blocked_here": instant(why.blocked_ms),
            "records": why.records,
            "equivocations": why.equivocations.iter().map(equivocation_json).collect::<Vec<_>>(),
        }),
    )?;
    let line = |head: &str, text: &str| session.printer.line(&format!("{head:<13} {text}"));
    line("Organisation", &called(&why, &org))?;
    line("Id", &org.to_string())?;
    line("Standing", &standing_words(&why))?;
    line("Records", &count(usize::try_from(why.records).unwrap_or(usize::MAX), "record"))?;
    let signed = if why.accepted_ms == 0 { "no".to_owned() } else { format!("signed {}", date(why.accepted_ms)) };
    line(
        "Charter",
        &if why.founder { format!("{signed}; named in it as a founder, so it needs no vouch") } else { signed },
    )?;
    if why.left_ms > 0 {
        line("Left", &date_time(why.left_ms))?;
    }
    let counted = |heard: &[v1::HeardState]| heard.iter().filter(|heard| heard.weight == "counts").count();
    if !why.founder || !why.vouches.is_empty() {
        line("Vouches", &format!("{} of {}", counted(&why.vouches), why.vouches_needed))?;
        why.vouches.iter().try_for_each(|heard| session.printer.line(&format!("  {}", heard_words(heard))))?;
    }
    line("Objections", &format!("{} of {} that put it out", counted(&why.objections), why.objections_needed))?;
    why.objections.iter().try_for_each(|heard| session.printer.line(&format!("  {}", heard_words(heard))))?;
    if !why.rivals.is_empty() {
        let rivals: Vec<String> = why.rivals.iter().map(|rival| id(rival)).collect();
        line("Claimed too", &format!("the same invite by {}; only the inviter knows who is meant", rivals.join(", ")))?;
    }
    for said in &why.equivocations {
        line("Two truths", &equivocation_words(said))?;
    }
    if !why.equivocations.is_empty() {
        session.printer.line(
            "  Ask them, by telephone. If the key is in other hands, they run: fingerpost revoke DEVICE. If they cannot explain it, \
             fingerpost object is there.",
        )?;
    }
    if why.blocked_ms > 0 {
        line(
            "Blocked here",
            &format!(
                "since {}, by this node's admin: this node does not show its records and does not link to its nodes; \
                 its standing is the network's",
                date_time(why.blocked_ms)
            ),
        )?;
    }
    Ok(Exit::Done)
}

fn id(bytes: &[u8]) -> String {
    OrgId::from_slice(bytes).map_or_else(String::new, |org| org.to_string())
}

fn equivocation_json(said: &v1::EquivocationState) -> Value {
    json!({
        "device": hex(&said.device),
        "at": rfc3339(said.at_ms),
        "witness": id(&said.witness),
        "witness_name": said.witness_name,
    })
}

fn equivocation_words(said: &v1::EquivocationState) -> String {
    let witness = match said.witness_name.as_str() {
        "" => id(&said.witness),
        name => shown(name).into_owned(),
    };
    format!(
        "its device {} signed two different counts of its records for one moment, {}; proof published by {witness}. Its key may be \
         in other hands, or it was copied while it ran, or somebody tells two stories",
        hex(&said.device),
        date_time(said.at_ms)
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn heard_json(heard: &v1::HeardState) -> Value {
    json!({
        "organisation": id(&heard.organisation),
        "name": heard.name,
        "by_invitation": heard.by_invitation,
        "weight": heard.weight,
        "said": if heard.said_ms == 0 { Value::Null } else { json!(rfc3339(heard.said_ms)) },
        "reason": heard.reason,
    })
}

fn heard_words(heard: &v1::HeardState) -> String {
    let name = if heard.name.is_empty() {
        OrgId::from_slice(&heard.organisation).map_or_else(|| "?".to_owned(), |org| org.short())
    } else {
        shown(&heard.name).into_owned()
    };
    let how = if heard.by_invitation { ", by an invite" } else { "" };
    let when = if heard.said_ms == 0 { String::new() } else { format!(", {}", date(heard.said_ms)) };
    let reason = if heard.reason.is_empty() { String::new() } else { format!(": {}", shown(&heard.reason)) };
    let weight = match heard.weight.as_str() {
        "counts" => "",
        "not-a-participant" => " (does not count: not in the network)",
        "taken-back" => " (taken back)",
        "claimed-twice" => " (does not count: the invite was claimed twice)",
        _ => " (does not count)",
    };
    format!("{name}{how}{when}{weight}{reason}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_names_device_moment_and_witness_and_a_witness_cannot_act_on_the_terminal() {
        let said = |witness_name: &str| {
            equivocation_words(&v1::EquivocationState {
                device: vec![0xab; 32],
                at_ms: 1_790_000_000_000,
                witness: vec![7; 32],
                witness_name: witness_name.to_owned(),
            })
        };
        let words = said("Old\u{1b}[2J Mill");
        assert!(words.contains(&"ab".repeat(32)) && words.contains("2026-09-21") && words.contains("Mill"), "{words}");
        assert!(!words.contains('\u{1b}'), "{words}");
        assert!(said("").contains(&"07".repeat(32)), "without a name its id is shown");
    }
}
