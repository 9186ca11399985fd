//! Publishing: from what an organisation wants to say to signed versions at its node.
//!
//! In: drafts, or ids to confirm or withdraw. Out: a [`Plan`] that can be shown, then a [`Report`] of what became of it.
//! Always: nothing is signed twice for one content, nothing is signed on top of a version that this organisation did
//! not sign itself, clocks rise from version to version, and nothing at all is signed while two clocks disagree.
//! Spec: `spec/04-merge.md` for `prev` and clocks. Tested: `publish/tests.rs`.

mod holdings;
mod plan;
mod redaction;
mod report;
#[cfg(test)]
mod tests;

pub use holdings::{Current, Holdings, Selection};
pub use plan::{Action, Change, Plan, Planner, Problem};
pub use redaction::Ordered;
pub use report::{Refused, Report};

use std::panic::resume_unwind;
use std::thread;

use fingerpost_proto::canary::{Canary, is_out};
use fingerpost_proto::kind::Audience;
use fingerpost_proto::limits::CLOCK_AHEAD_MS_MAX;
use fingerpost_proto::network::charter::Charter;
use fingerpost_proto::record::Body;
use fingerpost_proto::time::{Hlc, UnixMillis};
use fingerpost_proto::v1;
use fingerpost_proto::version::{SignedVersion, VersionError};

use crate::client::Admin;
use crate::failure::{Exit, Failure};
use crate::identity::Identity;
use crate::import::{self, DraftBody};
use crate::keys::Signer;
use crate::output::moment;
use crate::progress::Progress;

/// Envelopes in one publish request.
pub const ENVELOPES_PER_REQUEST_MAX: usize = 256;
/// Bytes of envelopes in one publish request.
pub const REQUEST_BYTES_MAX: usize = 1024 * 1024;
/// A thread that signs fewer versions than this costs more than it saves.
const CHANGES_PER_THREAD_MIN: usize = 64;
/// Difference between this clock and the node's beyond which nothing is signed, in milliseconds.
pub const CLOCK_DIFFERENCE_MS_MAX: u64 = 2 * 60 * 1_000;

/// What an organisation wants to say about one thing.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// Who may read it.
    pub audience: Audience,
    /// Length of the lease; `None`: the charter's default.
    pub lease_days: Option<u32>,
    /// The content. When it was modified is filled in here.
    pub body: Body,
    /// Where it comes from, for messages: "services.csv, row 12".
    pub place: String,
}

impl From<import::Draft> for Draft {
    fn from(draft: import::Draft) -> Draft {
        let body = match draft.body {
            DraftBody::Organisation(body) => Body::Organisation(body),
            DraftBody::Service(body) => Body::Service(body),
            DraftBody::Location(body) => Body::Location(body),
            DraftBody::Event(body) => Body::Event(body),
        };
        let place = format!("{}, row {}", draft.place.file, draft.place.row);
        Draft { audience: draft.audience, lease_days: draft.lease_days, body, place }
    }
}

/// Everything that publishing needs to know beforehand, fetched once.
#[derive(Debug)]
pub struct Desk<'a> {
    identity: &'a Identity,
    charter: &'a Charter,
    holdings: Holdings,
    clock: Hlc,
    now_ms: UnixMillis,
}

impl<'a> Desk<'a> {
    /// Fetches the node's state and this organisation's current versions, withdrawn and lapsed ones included.
    ///
    /// Errors: [`check_clocks`], and whatever the node answers.
    pub async fn open<A: Admin>(
        node: &A,
        identity: &'a Identity,
        charter: &'a Charter,
        now_ms: UnixMillis,
    ) -> Result<Desk<'a>, Failure> {
        let status = node.status().await?;
        check_clocks(now_ms, status.clock_ms)?;
        check_peers_clocks(now_ms, &status)?;
        let request = v1::ListRequest {
            organisation: identity.org().0.to_vec(),
            include_withdrawn: true,
            include_lapsed: true,
            ..Default::default()
        };
        let holdings = Holdings::of(node.entries(request).await?, &identity.card, &charter.network);
        let seen = if is_out(Canary::ClockSeen) { Hlc(0) } else { Hlc(status.hlc_max) };
        let clock = holdings.newest().max(seen);
        check_newest(now_ms, clock)?;
        Ok(Desk { identity, charter, holdings, clock, now_ms })
    }

    /// What this organisation has published so far.
    pub fn holdings(&self) -> &Holdings {
        &self.holdings
    }

    /// Starts a plan.
    pub fn planner(&self) -> Planner<'_> {
        Planner::new(
            &self.holdings,
            self.charter,
            self.identity.org(),
            self.identity.device.public(),
            self.clock,
            self.now_ms,
        )
    }

    /// Signs the plan's changes and hands them to the node. Never fails as a whole: see [`Report::exit`].
    pub async fn carry_out<A: Admin>(&self, node: &A, plan: Plan, progress: &mut Progress) -> Report {
        send(node, &self.identity.device, plan, progress).await
    }
}

/// Errors: refused when this clock and the node's differ by more than [`CLOCK_DIFFERENCE_MS_MAX`]; both are named.
pub fn check_clocks(now_ms: UnixMillis, node_clock_ms: UnixMillis) -> Result<(), Failure> {
    let difference = now_ms.abs_diff(node_clock_ms);
    if difference <= CLOCK_DIFFERENCE_MS_MAX {
        return Ok(());
    }
    Err(Failure::new(Exit::Refused, format!("nothing was signed: two clocks differ by {}", moment::span(difference)))
        .because(format!("this machine: {}", moment::date_time(now_ms)))
        .because(format!("the node: {}", moment::date_time(node_clock_ms)))
        .hint("set the wrong clock (timedatectl set-ntp true) and run the command again"))
}

/// Errors: refused when the node's clock is off the median of its peers by more than [`CLOCK_DIFFERENCE_MS_MAX`]. Where
/// admin and node share one machine, only the peers can tell that its clock is wrong.
fn check_peers_clocks(now_ms: UnixMillis, status: &v1::StatusReply) -> Result<(), Failure> {
    if status.links == 0 || status.clock_ahead_ms.unsigned_abs() <= CLOCK_DIFFERENCE_MS_MAX {
        return Ok(());
    }
    let difference = moment::span(status.clock_ahead_ms.unsigned_abs());
    let theirs = now_ms.saturating_add_signed(status.clock_ahead_ms);
    Err(Failure::new(
        Exit::Refused,
        format!("nothing was signed: this clock and those of other nodes differ by {difference}"),
    )
    .because(format!("here: {}", moment::date_time(now_ms)))
    .because(format!("the other nodes (median): {}", moment::date_time(theirs)))
    .hint("set this machine's clock (timedatectl set-ntp true) and run the command again in a minute; the node notices by itself"))
}

/// Errors: refused when a version is known whose clock no other node would accept yet. Signing after it would put this
/// organisation's records out of reach until that time.
pub fn check_newest(now_ms: UnixMillis, newest: Hlc) -> Result<(), Failure> {
    if newest.ms() <= now_ms.saturating_add(CLOCK_AHEAD_MS_MAX) || is_out(Canary::ClockOfNode) {
        return Ok(());
    }
    Err(Failure::new(Exit::Refused, "nothing was signed: the node knows a version from the future")
        .because(format!(
            "it is dated {}, this machine says {}",
            moment::date_time(newest.ms()),
            moment::date_time(now_ms)
        ))
        .hint("set this machine's clock if it is wrong; else tell whoever runs the node"))
}

async fn send<A: Admin>(node: &A, device: &Signer, plan: Plan, progress: &mut Progress) -> Report {
    let mut report = Report::of(&plan);
    let mut sent = Vec::with_capacity(plan.changes.len());
    let mut requests = vec![v1::PublishRequest::default()];
    let mut request_bytes = 0;
    let versions = sign_all(device, &plan.changes);
    for (change, version) in plan.changes.into_iter().zip(versions) {
        let version = match version {
            Ok(version) => version,
            Err(error) => {
                report.refuse(&change, "version", error.to_string());
                continue;
            }
        };
        let envelope = version.envelope().to_vec();
        let is_full = requests.last().is_some_and(|last| last.envelopes.len() == ENVELOPES_PER_REQUEST_MAX);
        if is_full || request_bytes + envelope.len() > REQUEST_BYTES_MAX {
            requests.push(v1::PublishRequest::default());
            request_bytes = 0;
        }
        request_bytes += envelope.len();
        if let Some(last) = requests.last_mut() {
            last.envelopes.push(envelope);
        }
        sent.push(change);
    }
    if sent.is_empty() {
        return report;
    }
    let delivery = node.publish(requests, |count| progress.advance(count)).await;
    progress.finish();
    report.settle(&sent, delivery);
    report
}

/// Signs on all cores; results in the order of the changes.
fn sign_all(device: &Signer, changes: &[Change]) -> Vec<Result<SignedVersion, VersionError>> {
    let sign = |change: &Change| device.sign_version(&change.header, &change.body);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let share = changes.len().div_ceil(threads).max(CHANGES_PER_THREAD_MIN);
    thread::scope(|scope| {
        let parts = changes.chunks(share).map(|part| scope.spawn(move || part.iter().map(sign).collect::<Vec<_>>()));
        // Collected first, or each thread would be waited for before the next one starts.
        let parts: Vec<_> = parts.collect();
        let finished =
            |part: thread::ScopedJoinHandle<'_, Vec<_>>| part.join().unwrap_or_else(|panic| resume_unwind(panic));
        parts.into_iter().flat_map(finished).collect()
    })
}
