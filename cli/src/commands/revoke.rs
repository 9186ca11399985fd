//! `revoke DEVICE`: a device that is lost or stolen counts no more, whatever it signed and whenever.

use fingerpost_proto::id::RecordId;
use fingerpost_proto::network::card::Device;
use serde_json::json;

use super::device::check_another_publishes;
use super::heads::LastGood;
use super::outcome;
use super::turn::{Turn, called, find_device, roles, tell_upheld};
use crate::args::RevokeArgs;
use crate::failure::{Exit, Failure};
use crate::identity::Identity;
use crate::output::moment::{count, now_ms};
use crate::progress::Progress;
use crate::publish::{Action, Current, Desk, Plan};
use crate::session::Session;

pub(super) async fn run(session: &Session, args: RevokeArgs) -> Result<Exit, Failure> {
    let mut turn = Turn::open(session).await?;
    let root = turn.root(&session.home)?;
    let identity = Identity::with(&session.home, turn.cards.clone())?;
    let before = turn.cards.effective().clone();
    let device = find_device(&before, &args.device)?;
    if device.key == *identity.device.public() {
        return Err(Failure::new(Exit::Refused, "this is the device of this computer; it cannot revoke itself")
            .because("if its key was stolen, the root key beside it may be, too")
            .hint("with the recovery words: fingerpost recover; or run it on another computer that has a root key"));
    }
    check_another_publishes(&before, &device.key)?;
    let mut next = turn.draft(&before, root.public())?;
    next.revoke(|key| key == device.key.as_bytes());
    let finished = turn.finish(next).await?;

    let charter = turn.charter.clone();
    let desk = Desk::open(&turn.node, &identity, &charter, now_ms()).await?;
    let last_good = match &args.last_good {
        Some(head) => Some(LastGood::find(&turn.node, head).await?),
        None => None,
    };
    let stays = |current: &Current| args.republish && last_good.as_ref().is_none_or(|head| head.has(current));
    let plan = plan(&desk, device, stays);
    let (stays, goes) = (plan.count(Action::Confirmed), live_withdrawn(&plan));
    session.printer.line(&format!("Device        {}, {}", called(device), roles(device)))?;
    let signed =
        desk.holdings().iter().filter(|(_, current)| current.version.header().device == *device.key.as_bytes());
    let live = signed.filter(|(_, current)| current.is_live()).count();
    session.printer.line(&format!(
        "Leaves        {} that it signed, {live} of them in feeds now, at every node and whenever it was signed",
        count(plan.changes.len(), "version")
    ))?;
    if args.republish {
        let which = match &last_good {
            Some(head) => format!("as they have been since head {}; this computer signs them again", head.called()),
            None => "this computer signs them again as they are now; look at them first".to_owned(),
        };
        session.printer.line(&format!("Stays         {}: {which}", count(stays, "record")))?;
    }
    session.printer.line(&format!(
        "Goes          {}, from every feed; this computer signs that they are withdrawn",
        count(goes, "record")
    ))?;
    if last_good.is_some() && goes > 0 {
        session
            .printer
            .line("              What they said before is erased everywhere: import your list again afterwards")?;
    }
    outcome::list_changes(session, &plan)?;
    session.printer.line("Void          invites that it signed and nobody has used")?;
    tell_upheld(session, &finished)?;
    let question = match (goes, stays) {
        (0, 0) => format!("Revoke {}?", called(device)),
        (goes, 0) => format!("Revoke {}, and let {} of yours leave every feed?", called(device), count(goes, "record")),
        (goes, stays) => format!(
            "Revoke {}, sign {} again, and let {goes} leave every feed?",
            called(device),
            count(stays, "record")
        ),
    };
    if !session.agree(&question, "--yes")? {
        return Ok(session.declined());
    }
    // First what is to stay, so that no reader misses it for a moment; then the card; then once more, for what the other device
    // published meanwhile made way only when the card came.
    let mut progress = Progress::new(&session.printer, "signing", plan.changes.len());
    let first = desk.carry_out(&turn.node, plan.clone(), &mut progress).await;
    if let Some(broken) = first.broken {
        return Err(broken
            .because(format!("{} is not revoked yet", called(device)))
            .hint("run the same command again: what has arrived is not sent twice"));
    }
    let acceptance = turn.accepted_again(&identity, &finished)?;
    turn.publish(session, &root, &finished, acceptance.as_ref()).await?;
    turn.accept_if_missing(&identity).await?;
    let report = desk.carry_out(&turn.node, plan, &mut Progress::silent()).await;
    session.printer.object(
        "revoke/1",
        json!({
            "organisation": turn.cards.org().to_string(),
            "card": finished.card.sequence,
            "key": device.key.to_string(),
            "label": device.label,
            "records_left": goes,
            "records_republished": stays,
            "upheld": finished.upheld.len() + finished.invitations.len(),
            "publish": report.json(),
        }),
    )?;
    session.printer.line(&format!("Revoked       {}, by card {}", called(device), finished.card.sequence))?;
    outcome::lines(session, &report, "fingerpost device list; fingerpost list --mine")
}

/// Records that readers lose: those that are withdrawn now, not those that were.
fn live_withdrawn(plan: &Plan) -> usize {
    plan.changes.iter().filter(|change| change.action == Action::Withdrawn && !change.local_id.is_empty()).count()
}

/// What this computer signs so that nothing older returns: the same again, or withdrawals.
fn plan(desk: &Desk<'_>, device: &Device, stays: impl Fn(&Current) -> bool) -> Plan {
    let by_it = desk.holdings().iter().filter(|(_, current)| current.version.header().device == *device.key.as_bytes());
    let records: Vec<(RecordId, bool)> =
        by_it.map(|(record, current)| (*record, current.is_live() && stays(current))).collect();
    let mut planner = desk.planner();
    for (record, stays) in records {
        if stays { planner.sign_again(&record) } else { planner.withdraw_again(&record) }
    }
    planner.finish()
}
