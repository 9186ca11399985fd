//! `confirm`: a person says that records are still correct.

use fingerpost_proto::id::RecordId;
use fingerpost_proto::time::DAY_MS;

use crate::args::ConfirmArgs;
use crate::client::Admin;
use crate::failure::{Exit, Failure};
use crate::identity::agreed_network;
use crate::output::moment::{count, now_ms};
use crate::progress::Progress;
use crate::publish::{Current, Desk, Holdings};
use crate::session::Session;

use super::outcome;

pub(super) async fn run(session: &Session, args: ConfirmArgs) -> Result<Exit, Failure> {
    let (identity, node) = session.identity().await?;
    let charter = agreed_network(&session.home, &node.status().await?.network)?;
    let now = now_ms();
    let desk = Desk::open(&node, &identity, &charter, now).await?;
    let by_name = !args.ids.is_empty();
    let chosen = if by_name {
        named(desk.holdings(), &args.ids)?
    } else {
        let ends_before = args.due.map(|days| now.saturating_add(u64::from(days) * DAY_MS));
        ending(desk.holdings(), ends_before)
    };
    let mut planner = desk.planner();
    chosen.iter().for_each(|record| planner.confirm(record));
    let plan = planner.finish();
    if !by_name && !plan.changes.is_empty() {
        // Naming records is a statement about each; choosing them by date is not, until somebody has seen the list.
        outcome::list_changes(session, &plan)?;
        if !session.agree(&format!("Still correct: {}?", count(plan.changes.len(), "record")), "--yes")? {
            return Ok(session.declined());
        }
    }
    let mut progress = Progress::new(&session.printer, "confirming", plan.changes.len());
    let report = desk.carry_out(&node, plan, &mut progress).await;
    outcome::print(session, &report, "fingerpost list --mine --due 90")
}

fn named(holdings: &Holdings, ids: &[String]) -> Result<Vec<RecordId>, Failure> {
    let chosen = holdings.select(ids)?;
    match chosen.iter().find(|record| holdings.get(record).is_none_or(|current| current.body.is_none())) {
        None => Ok(chosen),
        Some(record) => Err(Failure::new(Exit::Invalid, format!("{record} is withdrawn; its content is gone"))
            .hint("publish it anew: fingerpost import FILE")),
    }
}

/// Live records, those whose lease ends before an instant only when one is given.
fn ending(holdings: &Holdings, ends_before: Option<u64>) -> Vec<RecordId> {
    let is_due = |current: &Current| {
        ends_before.is_none_or(|instant| current.version.header().lease_until.start_ms() <= instant)
    };
    holdings.iter().filter(|(_, current)| current.is_live() && is_due(current)).map(|(record, _)| *record).collect()
}
