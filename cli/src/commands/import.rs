//! `import FILE…`: from spreadsheets to published records. Publishes the good rows, names the bad ones, and withdraws
//! nothing unless it is told to and the count is right.

use std::collections::BTreeSet;
use std::fs::File;

use fingerpost_proto::id::OrgId;
use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::network::charter::Charter;
use serde_json::{Value, json};

use super::outcome;
use super::withdraw::agree_on_count;
use crate::args::ImportArgs;
use crate::client::{Admin, NodeClient};
use crate::failure::{Exit, Failure};
use crate::identity::{Identity, agreed_network, load_card};
use crate::import::{self, Import, ImportContext, report};
use crate::output::moment::{count, now_ms};
use crate::progress::Progress;
use crate::publish::{Action, Desk, Holdings, Plan, Report};
use crate::session::Session;

/// Width of the table of problems when there is no terminal, in columns.
const WIDTH: u16 = 140;

pub(super) async fn run(session: &Session, args: ImportArgs) -> Result<Exit, Failure> {
    let signing = match signing(session).await {
        Ok(signing) => signing,
        // Without a node or a network a check can still tell what is wrong with the files.
        Err(failure) if args.check && matches!(failure.exit(), Exit::NodeUnreachable | Exit::Refused) => {
            let import = read(&args, load_card(&session.home)?.org, None)?;
            show_problems(session, &args, &import)?;
            return Err(failure);
        }
        Err(failure) => return Err(failure),
    };
    let (identity, node, charter) = &signing;
    let desk = Desk::open(node, identity, charter, now_ms()).await?;
    let import = read(&args, identity.org(), Some(published(desk.holdings())))?;
    show_problems(session, &args, &import)?;
    let files = json!(report::Report::of(&import));
    let rows_rejected = import.rows_rejected;

    let mut planner = desk.planner();
    import.drafts.into_iter().for_each(|draft| planner.draft(draft.into()));
    let missing = planner.missing();
    if args.withdraw_missing {
        missing.iter().for_each(|record| planner.withdraw(record));
    }
    let plan = planner.finish();
    if args.withdraw_missing && (rows_rejected > 0 || !plan.problems.is_empty()) {
        return Err(Failure::new(Exit::Invalid, "nothing was withdrawn or published: some rows could not be read")
            .because("a rejected row would look like a record that is missing from the files")
            .hint("correct the rows first, or import without --withdraw-missing"));
    }
    if !args.withdraw_missing && !missing.is_empty() {
        session.printer.note(&format!(
            "Not in these files, and left as they are: {} of yours. To take them back: --withdraw-missing",
            count(missing.len(), "record")
        ));
    }
    if args.check {
        return check(session, &plan, files, rows_rejected);
    }
    outcome::remarks(session, &plan);
    let going = plan.count(Action::Withdrawn);
    if going > 0 {
        list_going(session, &plan)?;
        if !agree_on_count(session, going, args.confirm)? {
            return Ok(session.declined());
        }
    } else if let Some(confirmed) = args.confirm.filter(|confirmed| *confirmed > 0) {
        return Err(Failure::new(Exit::Usage, format!("no record would be withdrawn, not {confirmed}")));
    }
    let mut progress = Progress::new(&session.printer, "publishing", plan.changes.len());
    let report = desk.carry_out(node, plan, &mut progress).await;
    finish(session, &report, files, rows_rejected)
}

async fn signing(session: &Session) -> Result<(Identity, NodeClient, Charter), Failure> {
    let (identity, node) = session.identity().await?;
    let charter = agreed_network(&session.home, &node.status().await?.network)?;
    Ok((identity, node, charter))
}

fn read(
    args: &ImportArgs,
    org: OrgId,
    published: Option<BTreeSet<(Kind, Audience, String)>>,
) -> Result<Import, Failure> {
    let context = ImportContext {
        default_language: args.language.clone(),
        default_timezone: args.timezone.clone(),
        default_country: Some(args.country.clone()).filter(|country| !country.is_empty()),
        default_organisation: args.organisation.clone(),
        default_lease_days: args.lease_days,
        fix_phones: args.fix_phones,
        published,
        ..ImportContext::new(org)
    };
    import::read(&args.files, &context)
        .map_err(|error| Failure::new(Exit::Invalid, "the files cannot be imported").because(error.to_string()))
}

/// What references in the files may point to.
fn published(holdings: &Holdings) -> BTreeSet<(Kind, Audience, String)> {
    let named = holdings.iter().filter(|(_, current)| current.body.is_some()).map(|(_, current)| {
        let header = current.version.header();
        (header.kind, header.audience, current.local_id().to_owned())
    });
    named.collect()
}

fn show_problems(session: &Session, args: &ImportArgs, import: &Import) -> Result<(), Failure> {
    let width = comfy_table::Table::new().width().unwrap_or(WIDTH);
    session.printer.line(report::table(import, width).trim_end())?;
    let Some(path) = &args.report else { return Ok(()) };
    let unwritten = |error: &dyn std::error::Error| {
        Failure::new(Exit::Usage, format!("the report {} cannot be written", path.display())).caused_by(error)
    };
    let file = File::create(path).map_err(|error| unwritten(&error))?;
    report::write_csv(import, file).map_err(|error| unwritten(&error))?;
    session.printer.note(&format!("All problems are in {}", path.display()));
    Ok(())
}

fn list_going(session: &Session, plan: &Plan) -> Result<(), Failure> {
    let going = plan.changes.iter().filter(|change| change.action == Action::Withdrawn).cloned().collect();
    outcome::list_changes(session, &Plan { changes: going, ..Plan::default() })
}

/// Ends with 1 when something would change or cannot be published.
fn check(session: &Session, plan: &Plan, files: Value, rows_rejected: u64) -> Result<Exit, Failure> {
    let mut object = outcome::plan_json(plan);
    object["files"] = files;
    session.printer.object("import-check/1", object)?;
    outcome::preview(session, plan)?;
    session.printer.note("Checked only: nothing was signed or sent.");
    if plan.changes.is_empty() && plan.problems.is_empty() && rows_rejected == 0 {
        return Ok(Exit::Done);
    }
    let is_clean = plan.problems.is_empty() && rows_rejected == 0;
    session.printer.next(if is_clean {
        "run it again without --check"
    } else {
        "correct what is named above; without --check the other rows are published"
    });
    Ok(Exit::Invalid)
}

fn finish(session: &Session, report: &Report, files: Value, rows_rejected: u64) -> Result<Exit, Failure> {
    let mut object = report.json();
    object["files"] = files;
    session.printer.object("import/1", object)?;
    let exit = outcome::lines(session, report, "fingerpost list --mine; fingerpost show ID")?;
    // Rows that were rejected before signing count like records that the node rejected.
    Ok(if exit == Exit::Done && rows_rejected > 0 { Exit::Invalid } else { exit })
}
