//! Plans and reports of publishing, as people read them.

use serde_json::{Value, json};

use crate::failure::{Exit, Failure};
use crate::output::moment::count;
use crate::publish::{Action, Plan, Refused, Report};
use crate::session::Session;

/// Names listed before the rest is only counted.
const LISTED_MAX: usize = 20;

/// One line for a plan: `+ 14 services  ~ 1 event  = 20 unchanged`.
pub(super) fn summary(plan: &Plan) -> String {
    let mut parts = Vec::new();
    for action in Action::ALL {
        for (kind, number) in plan.counts_by_kind(action) {
            parts.push(format!("{} {}", action.sign(), count(number, &kind.to_string())));
        }
    }
    parts.push(format!("= {} unchanged", plan.unchanged));
    parts.join("   ")
}

/// The plan's changes by name: every withdrawal, of the others at most [`LISTED_MAX`].
pub(super) fn list_changes(session: &Session, plan: &Plan) -> Result<(), Failure> {
    let mut listed = 0;
    for change in &plan.changes {
        if change.action != Action::Withdrawn && listed >= LISTED_MAX {
            continue;
        }
        listed += 1;
        let (sign, kind) = (change.action.sign(), change.header.kind);
        session.printer.line(&format!("  {sign} {kind}:{}  {}", change.local_id, change.name))?;
    }
    if plan.changes.len() > listed {
        session.printer.line(&format!("  … and {} more", plan.changes.len() - listed))?;
    }
    Ok(())
}

/// Remarks that belong to a plan: lapsed records, and records that stay public beside their members' twin.
pub(super) fn remarks(session: &Session, plan: &Plan) {
    if !plan.lapsed.is_empty() {
        let names = plan.lapsed.iter().take(LISTED_MAX).cloned().collect::<Vec<_>>().join(" ");
        session.printer.warning(&format!(
            "unchanged but lapsed, so out of every feed: {}; what is still correct: fingerpost confirm {names}",
            count(plan.lapsed.len(), "record"),
        ));
    }
    for (audience, record) in plan.elsewhere.iter().take(LISTED_MAX) {
        session.printer.warning(&format!(
            "the same local id is still live for the audience {audience:?}; to take it back: fingerpost withdraw {record}",
        ));
    }
}

/// Prints a report and ends the command as it says.
pub(super) fn print(session: &Session, report: &Report, next: &str) -> Result<Exit, Failure> {
    session.printer.object("publish/1", report.json())?;
    lines(session, report, next)
}

/// The same for people only.
pub(super) fn lines(session: &Session, report: &Report, next: &str) -> Result<Exit, Failure> {
    let counts = [
        (report.new, "new"),
        (report.changed, "changed"),
        (report.confirmed, "confirmed"),
        (report.withdrawn, "withdrawn"),
        (report.unchanged, "unchanged"),
        (report.rejected.len() + report.problems.len(), "rejected"),
        (report.superseded.len(), "superseded"),
        (report.unanswered, "unanswered"),
    ];
    let counts: Vec<String> =
        counts.into_iter().filter(|(number, _)| *number > 0).map(|(number, word)| format!("{number} {word}")).collect();
    let counts = if counts.is_empty() { "nothing to do".to_owned() } else { counts.join(", ") };
    session.printer.line(&format!("Published     {counts}"))?;
    for problem in report.problems.iter().take(LISTED_MAX) {
        session.printer.warning(&format!("{} {}: {}", problem.place, problem.local_id, problem.reason));
    }
    for (what, list) in
        [("rejected", &report.rejected), ("superseded", &report.superseded), ("edited twice", &report.concurrent)]
    {
        list.iter().take(LISTED_MAX).for_each(|refused| session.printer.warning(&refused_line(what, refused)));
        if list.len() > LISTED_MAX {
            session.printer.warning(&format!("{} more {what}; all of them: -o json", list.len() - LISTED_MAX));
        }
    }
    match &report.broken {
        Some(broken) => {
            session.printer.failure(broken);
            session.printer.next("run the same command again: what has arrived is not sent twice");
        }
        None if report.published() > 0 => session.printer.next(next),
        None => {}
    }
    Ok(report.exit())
}

fn refused_line(what: &str, refused: &Refused) -> String {
    let place = if refused.place.is_empty() { String::new() } else { format!(" ({})", refused.place) };
    let error = if refused.error.is_empty() { String::new() } else { format!(" [{}]", refused.error) };
    format!("{what}: {} {}{place}: {}{error}", refused.record, refused.local_id, refused.reason)
}

/// A plan as JSON fields.
pub(super) fn plan_json(plan: &Plan) -> Value {
    let changes: Vec<Value> = plan
        .changes
        .iter()
        .map(|change| {
            json!({
                "action": change.action.name(),
                "record": change.header.record.to_string(),
                "kind": change.header.kind.to_string(),
                "audience": change.header.audience.name(),
                "local_id": change.local_id,
                "name": change.name,
                "place": change.place,
            })
        })
        .collect();
    let problems: Vec<Value> = plan
        .problems
        .iter()
        .map(|problem| json!({"local_id": problem.local_id, "place": problem.place, "reason": problem.reason}))
        .collect();
    json!({ "changes": changes, "unchanged": plan.unchanged, "lapsed": plan.lapsed, "problems": problems })
}

/// Prints what would happen, without a result of its own in JSON.
pub(super) fn preview(session: &Session, plan: &Plan) -> Result<(), Failure> {
    session.printer.line(&summary(plan))?;
    list_changes(session, plan)?;
    remarks(session, plan);
    for problem in plan.problems.iter().take(LISTED_MAX) {
        session.printer.warning(&format!("{} {}: {}", problem.place, problem.local_id, problem.reason));
    }
    Ok(())
}
