//! `withdraw ID…`: takes records back. Deletes only what is ours, was named, and was counted.

use crate::args::WithdrawArgs;
use crate::client::Admin;
use crate::failure::{Exit, Failure};
use crate::identity::agreed_network;
use crate::output::moment::{count, now_ms};
use crate::progress::Progress;
use crate::publish::{Action, Desk};
use crate::session::Session;

use super::outcome;

pub(super) async fn run(session: &Session, args: WithdrawArgs) -> Result<Exit, Failure> {
    let (identity, node) = session.identity().await?;
    let charter = agreed_network(&session.home, &node.status().await?.network)?;
    let desk = Desk::open(&node, &identity, &charter, now_ms()).await?;
    let mut planner = desk.planner();
    desk.holdings().select(&args.ids)?.iter().for_each(|record| planner.withdraw(record));
    let plan = planner.finish();
    if plan.changes.is_empty() {
        session.printer.note("They are withdrawn already.");
        return outcome::print(session, &desk.carry_out(&node, plan, &mut Progress::silent()).await, "");
    }
    outcome::list_changes(session, &plan)?;
    if !agree_on_count(session, plan.count(Action::Withdrawn), args.confirm)? {
        return Ok(session.declined());
    }
    let mut progress = Progress::new(&session.printer, "withdrawing", plan.changes.len());
    let report = desk.carry_out(&node, plan, &mut progress).await;
    outcome::print(session, &report, "fingerpost list --mine --withdrawn")
}

/// True when so many records may go. Errors: usage, when the count given is wrong or nobody can be asked.
pub(super) fn agree_on_count(session: &Session, going: usize, confirmed: Option<usize>) -> Result<bool, Failure> {
    match confirmed {
        Some(confirmed) if confirmed == going => Ok(true),
        Some(confirmed) => {
            Err(Failure::new(Exit::Usage, format!("{} would go, not {confirmed}", count(going, "record")))
                .because("nothing was changed")
                .hint(format!("look at the list above; if it is right, use --confirm {going}")))
        }
        None => {
            session.agree(&format!("Withdraw {} everywhere?", count(going, "record")), &format!("--confirm {going}"))
        }
    }
}
