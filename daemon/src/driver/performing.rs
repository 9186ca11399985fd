//! Performing what the node wants: commit first, then everything else, in order.

use std::time::Instant;

use ed25519_dalek::Signer;
use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::limits::DIRECT_VERSIONS_MAX;
use fingerpost_proto::node::{self, Bringer, Input, Notice, Operation, Output, Reject, versions_frames};
use fingerpost_proto::overlay::DialFailure;
use fingerpost_proto::set::Slot;
use fingerpost_proto::v1;
use fingerpost_proto::version::{Header, SignedVersion};

use super::answers::Answer;
use super::limits::{ANSWER_BYTES_MAX, ANSWERED_ROW_BYTES_MIN};
use super::{Driver, short};
use crate::clock;
use crate::store::{BATCH_OPERATIONS_MAX, Durability, StoreError};

/// Bytes of envelopes in one commit; the store takes up to four times as many.
const COMMIT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Writes are taken again only when so much more than the reserve is free, so that a full disk does not flap.
const SPACE_HYSTERESIS_BYTES: u64 = 16 * 1024 * 1024;

/// Number of changes that outputs want persisted.
pub(super) fn operations(outputs: &[Output]) -> usize {
    let count = |output: &Output| match output {
        Output::Persist { operations, .. } => operations.len(),
        _ => 0,
    };
    outputs.iter().map(count).sum()
}

/// True when somebody is told that these changes, or the ones before them, are stored.
fn is_relied_on(operations: &[Operation], durability: Durability) -> bool {
    durability == Durability::Now || operations.iter().any(|operation| matches!(operation, Operation::Put { .. }))
}

impl Driver {
    pub(super) fn perform(&mut self, outputs: Vec<Output>) {
        let mut rest = outputs;
        // What is performed may itself lead to outputs: a link that was too slow, a row that is damaged.
        while !rest.is_empty() {
            let mut persist = Vec::new();
            let mut durability = Durability::WithinASecond;
            let mut others = Vec::with_capacity(rest.len());
            for output in rest {
                match output {
                    Output::Persist { operations, durable } => {
                        persist.extend(operations);
                        if durable {
                            durability = Durability::Now;
                        }
                    }
                    other => others.push(other),
                }
            }
            rest = Vec::new();
            // Whatever the node decided while it did not know: an earlier cause in this batch may have had room still.
            let is_relied_on = is_relied_on(&persist, durability);
            if let Err(error) = self.persist(persist, durability) {
                let is_failure = self.read_only.is_none() || is_relied_on;
                if is_failure && !self.is_rebuilding {
                    self.refuse_all(others, &error);
                    self.fail(&error, &mut rest);
                    continue;
                }
                // Only clearing up is tried on a store that takes no versions: feeds follow it, and the store does after
                // a restart.
                tracing::warn!(%error, "the store takes no changes");
            }
            for output in others {
                self.perform_one(output, &mut rest);
            }
        }
    }

    fn persist(&mut self, operations: Vec<Operation>, durability: Durability) -> Result<(), StoreError> {
        let mut part = Vec::new();
        let mut bytes = 0;
        let is_sync_only = operations.is_empty() && durability == Durability::Now;
        let mut committed = if is_sync_only { self.store.sync() } else { Ok(()) };
        for operation in &operations {
            let operation_bytes = match operation {
                Operation::Put { envelope, .. } => envelope.len(),
                _ => 0,
            };
            let is_full = part.len() >= BATCH_OPERATIONS_MAX || bytes + operation_bytes > COMMIT_BYTES_MAX;
            if is_full && committed.is_ok() {
                bytes = 0;
                committed = self.store.commit(std::mem::take(&mut part), durability).map(drop);
            }
            bytes += operation_bytes;
            part.push(self.to_store(operation.clone()));
        }
        if !part.is_empty() && committed.is_ok() {
            committed = self.store.commit(part, durability).map(drop);
        }
        if committed.is_err() && self.read_only.is_none() {
            return committed;
        }
        self.follow(operations, committed.is_ok());
        committed
    }

    /// Lets the feed's index follow what was committed, and what in read-only mode would have been cleared up.
    fn follow(&mut self, operations: Vec<Operation>, is_committed: bool) {
        for operation in operations {
            match operation {
                Operation::Put { .. } if !is_committed => {}
                Operation::Put { slot, envelope, .. } => {
                    if let Ok(version) = SignedVersion::read(envelope) {
                        self.catalogue.put(slot, &version, false);
                        self.remember_if_own_head(&version);
                    }
                }
                Operation::Lapse { slot, has_lapsed: true } => self.catalogue.lapse(&slot),
                Operation::Lapse { slot, has_lapsed: false } => self.show_again(&slot),
                Operation::Forget { slot } => {
                    self.catalogue.forget(&slot);
                    self.show_removal(&slot);
                }
                Operation::Vouched { org } => self.catalogue.hold_back(&org),
                Operation::Audited { org } => self.catalogue.release(&org),
                Operation::Cursors { .. } => {}
            }
        }
    }

    /// A version whose lease runs again.
    pub(super) fn show_again(&self, slot: &Slot) {
        // A damaged row is met again, and healed, by whoever reads it.
        if let Ok(Some(row)) = self.reader.get(slot)
            && let Ok(version) = SignedVersion::read(row.envelope)
        {
            self.catalogue.put(*slot, &version, row.lapsed);
        }
    }

    fn perform_one(&mut self, output: Output, more: &mut Vec<Output>) {
        match output {
            Output::Persist { .. } => debug_assert!(false, "persisted before"),
            Output::Verify { ticket, versions } => {
                let bringer = self.node.as_ref().map_or(Bringer::Nobody, |node| node.brought_by(ticket));
                self.verifier.check(ticket, bringer, versions);
            }
            Output::Audit { ticket, slots } => {
                let versions = slots.iter().filter_map(|(slot, key)| Some((self.audited(slot, more)?, *key))).collect();
                self.verifier.check(ticket, Bringer::Nobody, versions);
            }
            Output::Send { to, frame } => {
                for peer in to {
                    self.send(&peer, frame.clone(), more);
                }
            }
            Output::SendVersions { to, want, slots, more: has_more } => {
                self.answer_in_time(&to, Answer { want, slots, has_more }, more);
            }
            Output::Dial { peer } if self.blocked_nodes.contains(&peer) => {
                self.handle(Input::DialFailed { peer, why: DialFailure::Refused }, more);
            }
            Output::Dial { peer } => {
                if self.dials.try_send(peer).is_err() {
                    self.handle(Input::DialFailed { peer, why: DialFailure::Unreachable }, more);
                }
            }
            Output::Disconnect { peer, code, message } => self.close_link(&peer, code, &message),
            Output::Close { peer } => self.links.drop_silently(&peer),
            Output::Processed { peer } => self.links.processed(&peer),
            Output::Published { ticket, outcomes } => self.answer(ticket, outcomes),
            Output::Sign { header, body } => self.sign(&header, &body, more),
            Output::Notice(notice) => self.notice(notice),
        }
    }

    /// The version in a slot, to be checked after all.
    fn audited(&mut self, slot: &Slot, more: &mut Vec<Output>) -> Option<SignedVersion> {
        match self.reader.get(slot) {
            Ok(row) => SignedVersion::read(row?.envelope).ok(),
            Err(error) => {
                tracing::error!(%error, "a row is damaged; it is asked for again from other nodes");
                self.handle(Input::Lost { slot: *slot }, more);
                None
            }
        }
    }

    /// Signs with the node's key.
    fn sign(&mut self, header: &Header, body: &[u8], more: &mut Vec<Output>) {
        let signature = self.signing_key.sign(&header.signing_bytes(body)).to_bytes();
        match SignedVersion::assemble(header, body, &signature) {
            Ok(version) => {
                if header.kind == Kind::HEAD {
                    self.note_signed_head(version.vid());
                }
                self.handle(Input::Signed { envelope: version.envelope().to_vec() }, more);
            }
            Err(error) => tracing::error!(kind = %header.kind, %error, "what the node says of itself cannot be signed"),
        }
    }

    /// Says why, to the peer and in the log, and closes.
    pub(super) fn close_link(&mut self, peer: &node::Peer, code: v1::ByeCode, message: &str) {
        // A peer that comes back again and again fills no disk with that.
        if self.refusals.note(Instant::now(), *peer, "link-closed") {
            tracing::warn!(peer = %short(peer), code = code.as_str_name(), %message, "link closed by this node");
        }
        self.links.close(peer, code, message);
    }

    /// False when the link ended by it.
    fn send(&mut self, peer: &node::Peer, frame: Vec<u8>, more: &mut Vec<Output>) -> bool {
        let is_queued = self.links.send(peer, frame);
        if !is_queued {
            self.handle(Input::Disconnected { peer: *peer }, more);
        }
        is_queued
    }

    /// Sends a few versions at once; puts off more of them until all that waits for the driver is done, and everything when the
    /// peer had too many of late.
    fn answer_in_time(&mut self, to: &node::Peer, answer: Answer, more: &mut Vec<Output>) {
        if answer.slots.len() <= DIRECT_VERSIONS_MAX && self.allowances.may_answer(Instant::now(), to) {
            self.send_versions(to, answer, more);
        } else {
            self.links.put_off(to, answer);
        }
    }

    /// Whose answer is due: of the peers whose budgets allow one, the next in turn.
    pub(super) fn next_to_answer(&self) -> Option<node::Peer> {
        let now = Instant::now();
        let mut due: Vec<node::Peer> = self.links.waiting();
        due.retain(|peer| self.allowances.may_answer(now, peer));
        due.sort_unstable();
        let later = due.iter().find(|peer| self.answered_last.is_some_and(|last| **peer > last));
        later.or(due.first()).copied()
    }

    /// Sends one answer that was put off.
    pub(super) fn answer_next(&mut self, peer: node::Peer) {
        self.answered_last = Some(peer);
        let Some((answer, permit)) = self.links.next_put_off(&peer) else { return };
        let mut outputs = Vec::new();
        self.send_versions(&peer, answer, &mut outputs);
        self.links.answered_late(&peer, permit);
        self.perform(outputs);
    }

    fn send_versions(&mut self, to: &node::Peer, answer: Answer, more: &mut Vec<Output>) {
        // Its link may have ended with an earlier answer of the same batch: nothing is read for nobody.
        if !self.links.is_up(to) {
            return;
        }
        let Answer { want, slots, mut has_more } = answer;
        let mut envelopes = Vec::with_capacity(slots.len());
        let (mut bytes, mut cost) = (0, 0);
        for slot in slots {
            if bytes >= ANSWER_BYTES_MAX {
                has_more = true;
                break;
            }
            let row = self.reader.get(&slot);
            let row_bytes = row.as_ref().map_or(0, |row| row.as_ref().map_or(0, |row| row.envelope.len()));
            cost += (row_bytes as u64).max(ANSWERED_ROW_BYTES_MIN);
            match row {
                Ok(Some(row)) => {
                    bytes += row_bytes;
                    envelopes.push(row.envelope);
                }
                Ok(None) => {}
                Err(error @ StoreError::Damaged { .. }) => {
                    tracing::error!(%error, "a row is damaged; it is asked for again from other nodes");
                    self.handle(Input::Lost { slot }, more);
                }
                Err(error) => tracing::error!(%error, "a row cannot be read"),
            }
        }
        self.allowances.charge(Instant::now(), *to, cost);
        for frame in versions_frames(want, envelopes, has_more) {
            if !self.send(to, frame, more) {
                return;
            }
        }
        self.links.answered(to);
    }

    /// The store did not commit: nothing that relied on it is performed, and askers are told.
    fn refuse_all(&mut self, outputs: Vec<Output>, error: &StoreError) {
        for output in outputs {
            if let Output::Published { ticket, outcomes } = output {
                let reason = error.to_string();
                let refused = node::Outcome::Rejected(Reject::ReadOnly { reason });
                self.answer(ticket, vec![refused; outcomes.len()]);
            }
        }
    }

    /// The node decided on changes that the store did not take: it is built again from what the store has, and takes no
    /// versions until the store takes writes again.
    pub(super) fn fail(&mut self, error: &StoreError, outputs: &mut Vec<Output>) {
        tracing::error!(%error, "the store takes no writes; reading goes on");
        outputs.clear();
        // Requests whose signatures are still being checked belong to a node that no longer is.
        let refused = node::Outcome::Rejected(Reject::ReadOnly { reason: error.to_string() });
        for (_, (count, reply)) in self.replies.drain() {
            let _ = reply.send(vec![refused.clone(); count]);
        }
        self.links.close_all("this node's store takes no writes now");
        self.set_read_only(Some(error.to_string()));
        self.is_rebuilding = true;
        if let Err(error) = self.restore(None) {
            tracing::error!(%error, "the node cannot be rebuilt from its store; restart the daemon");
            self.node = None;
        }
        self.is_rebuilding = false;
        self.set_read_only(self.read_only.clone());
    }

    pub(super) fn set_read_only(&mut self, reason: Option<String>) {
        if let Some(node) = &mut self.node {
            node.set_read_only(reason.clone());
        }
        self.read_only = reason;
    }

    /// Stops taking versions before the disk is full, and takes them again when there is room.
    pub(super) fn check_space(&mut self) {
        let Ok(usage) = self.store.usage() else { return };
        let is_low = usage.free_bytes < usage.reserve_bytes;
        let has_room = usage.free_bytes >= usage.reserve_bytes + SPACE_HYSTERESIS_BYTES;
        if is_low && self.read_only.is_none() {
            let reason = format!(
                "disk full: {} MiB free, {} MiB are kept in reserve; free some space, reading goes on",
                usage.free_bytes >> 20,
                usage.reserve_bytes >> 20
            );
            tracing::error!(reason, "the store takes no writes");
            self.set_read_only(Some(reason));
        } else if has_room && self.read_only.as_ref().is_some_and(|reason| reason.starts_with("disk full")) {
            tracing::info!("there is room on the disk again; the store takes writes");
            self.set_read_only(None);
        }
        if usage.stray_blobs > 0 {
            tracing::error!(
                count = usage.stray_blobs,
                "files in the engine's blobs folder would not survive a power cut"
            );
        }
    }

    fn notice(&mut self, notice: Notice) {
        match notice {
            Notice::Rejected { peer, record, why } => {
                if !self.refusals.note(Instant::now(), peer, why.name()) {
                    return;
                }
                let (org, record) = record.map(|(org, record)| (org.short(), record.to_string())).unzip();
                let (org, record) = (org.unwrap_or_default(), record.unwrap_or_default());
                tracing::warn!(peer = %short(&peer), org, record, name = why.name(), %why, "version not accepted");
            }
            Notice::Concurrent { org, record, winner } => {
                if self.concurrent_logged.count(Instant::now(), org).is_err() {
                    return;
                }
                tracing::warn!(org = %org.short(), %record, %winner, "two people edited one record at once; the later shows");
            }
            Notice::MembersChanged => {
                self.refresh_members();
                if let Some(node) = &self.node {
                    tracing::info!(members = node.standings().iter().count(), "members changed");
                }
            }
            Notice::InSync { peer, audience } => {
                tracing::debug!(peer = %short(&peer), %audience, "sets are equal");
            }
            Notice::Completeness { org, audience } => {
                let Some(node) = self.node.as_ref().filter(|_| audience == Audience::Public) else { return };
                self.catalogue.set_completeness(org, node.completeness(audience, &org));
            }
            Notice::Lacking { org, audience, wanted, found } => {
                let org = org.short();
                tracing::warn!(
                    org, %audience, wanted, found,
                    "an organisation's own count and hash say that its records are not complete here; other nodes are asked"
                );
            }
            Notice::AuditFailed { org, record, why } => {
                let org = org.short();
                tracing::error!(
                    org, %record, name = why.name(), %why,
                    "a head counted a version that is not acceptable; it was not shown or passed on, and is dropped: whoever \
                     runs that organisation's node should be asked"
                );
            }
            Notice::Equivocation { org, device } => {
                let device: String = device.iter().map(|byte| format!("{byte:02x}")).collect();
                let org = org.short();
                tracing::error!(
                    org,
                    device,
                    "a device signed two different heads of one moment, which a member has published as a proof: its key may \
                     be in other hands; ask whoever runs it"
                );
            }
            Notice::SecondCopy { signed_at } => {
                let at_ms = signed_at.ms();
                tracing::error!(at_ms, "another copy of this node is at work with the same key; stop one of them");
            }
            Notice::SetBack { signed_at } => {
                let at_ms = signed_at.ms();
                tracing::warn!(
                    at_ms,
                    "this node's home was set back to an older state; what it lacks comes from other nodes"
                );
            }
            Notice::ClockDiffers { peer, ahead_ms } => {
                let ours = clock::now_ms();
                tracing::warn!(peer = %short(&peer), ahead_ms, ours, "clocks differ by more than two minutes; check both");
            }
            Notice::Farewell { peer, message } => {
                tracing::info!(peer = %short(&peer), message, "the peer ends the link")
            }
        }
    }
}
