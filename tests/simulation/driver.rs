//! A machine's driver, as dull as the daemon's: commits first, then everything else in order.

use std::rc::Rc;

use fingerpost_proto::kind::Audience;
use fingerpost_proto::kind::Kind;
use fingerpost_proto::network::members::Standing;
use fingerpost_proto::node::{Input, Notice, Operation, Output, Peer, versions_frames};
use fingerpost_proto::set::Slot;
use fingerpost_proto::v1;
use fingerpost_proto::v1::frame::Content;
use fingerpost_proto::version::SignedVersion;

use super::invariants::read_versions;
use super::network::{End, KEEPALIVE_US};
use super::store::{Disk, Kept, Row};
use super::world::{Checked, Event, World};

/// An answer to one `Want` is cut off after so many bytes, as in the daemon.
const ANSWER_BYTES_MAX: usize = 512 * 1024;
/// Every so many ticks a machine's index is compared with its store, row by row.
const TICKS_PER_FULL_CHECK: u64 = 20;

impl World {
    /// Gives a cause to a machine's node, if it runs, and performs what follows.
    pub(super) fn handle(&mut self, number: usize, input: Input) -> Checked {
        let now = self.clock(number);
        let Some(node) = self.machines[number].node.as_mut() else { return Ok(()) };
        let outputs = node.handle(now, input);
        self.perform(number, outputs)
    }

    pub(super) fn handle_into(&mut self, number: usize, input: Input, outputs: &mut Vec<Output>) {
        let now = self.clock(number);
        if let Some(node) = self.machines[number].node.as_mut() {
            outputs.extend(node.handle(now, input));
        }
    }

    pub(super) fn perform(&mut self, number: usize, outputs: Vec<Output>) -> Checked {
        let mut rest = outputs;
        while !rest.is_empty() {
            let mut operations = Vec::new();
            let mut is_durable = false;
            let mut others = Vec::with_capacity(rest.len());
            for output in rest {
                match output {
                    Output::Persist { operations: more, durable } => {
                        operations.extend(more);
                        is_durable |= durable;
                    }
                    other => others.push(other),
                }
            }
            rest = Vec::new();
            if !operations.is_empty() || is_durable {
                let is_committed = self.commit(number, operations, is_durable)?;
                if !is_committed && self.machines[number].read_only.is_none() {
                    return self.fail(number);
                }
                if is_committed && self.machines[number].dies_at_commit {
                    self.machines[number].dies_at_commit = false;
                    self.history.line(self.now_us, Some(number), || "dies between commit and sending".to_owned());
                    self.crash(number, true);
                    return Ok(());
                }
            }
            for output in others {
                self.perform_one(number, output, &mut rest)?;
            }
        }
        self.check_totals(number)
    }

    fn commit(&mut self, number: usize, operations: Vec<Operation>, is_durable: bool) -> Result<bool, String> {
        let now = self.clock(number);
        let mut has_versions = false;
        let mut changes = Vec::with_capacity(operations.len());
        let mut kept = Kept::default();
        for operation in &operations {
            let (slot, row) = match operation {
                Operation::Put { slot, vid, envelope, kind: _, own: _ } => {
                    has_versions = true;
                    let Some(version) = self.made.get(vid) else {
                        return Err(format!("n{number} stores version {vid}, which nobody made"));
                    };
                    if version.envelope() != envelope {
                        return Err(format!("n{number} stores bytes under the name {vid} that are not that version's"));
                    }
                    (*slot, Some(Row { version: Rc::clone(version), lapsed: false }))
                }
                Operation::Lapse { slot, has_lapsed } => {
                    let row = changes_or_store(&changes, &self.machines[number], slot);
                    let Some(row) = row else { return Err(format!("n{number} lapses an empty slot")) };
                    (*slot, Some(Row { lapsed: *has_lapsed, ..row }))
                }
                Operation::Forget { slot } => (*slot, None),
                Operation::Cursors { places } => {
                    kept.cursors = Some(places.clone());
                    continue;
                }
                Operation::Vouched { org } => {
                    self.history.counts.vouches += 1;
                    kept.vouched.push((*org, true));
                    continue;
                }
                Operation::Audited { org } => {
                    kept.vouched.push((*org, false));
                    continue;
                }
            };
            changes.push((slot, row));
        }
        let before: Vec<Option<Row>> =
            changes.iter().map(|(slot, _)| self.machines[number].store.get(slot).cloned()).collect();
        let is_committed = self.machines[number].store.commit(changes.clone(), kept, has_versions, is_durable);
        if !is_committed {
            return Ok(false);
        }
        let is_of_row = |operation: &Operation| {
            matches!(operation, Operation::Put { .. } | Operation::Lapse { .. } | Operation::Forget { .. })
        };
        let operations = operations.into_iter().filter(is_of_row);
        for ((operation, (slot, row)), before) in operations.zip(changes).zip(before) {
            match operation {
                Operation::Put { .. } => {
                    let Some(row) = row else { continue };
                    self.history.counts.puts += 1;
                    self.history.note(&[number as u64, u64::from_le_bytes(row.version.vid().prefix())]);
                    self.line_of(number, "stores", &row);
                    self.check_put(number, now, slot, &row)?;
                }
                Operation::Lapse { .. } => {
                    let Some(row) = row else { continue };
                    self.history.counts.lapses += 1;
                    self.line_of(number, "lapses", &row);
                    self.check_lapse(number, now, &row)?;
                }
                Operation::Forget { .. } => {
                    let Some(before) = before else { continue };
                    self.history.counts.forgets += 1;
                    self.line_of(number, "forgets", &before);
                    self.check_forget(number, now, slot, &before)?;
                }
                Operation::Cursors { .. } | Operation::Vouched { .. } | Operation::Audited { .. } => {}
            }
        }
        Ok(true)
    }

    fn line_of(&mut self, number: usize, verb: &str, row: &Row) {
        let (now_us, history) = (self.now_us, &mut self.history);
        history.line(now_us, Some(number), || format!("{verb} {}", describe(&row.version)));
    }

    fn perform_one(&mut self, number: usize, output: Output, more: &mut Vec<Output>) -> Checked {
        match output {
            Output::Persist { .. } => {}
            Output::Dial { peer } => return self.dial(number, &peer),
            Output::Verify { ticket, versions } => self.verify(number, ticket, versions),
            Output::Audit { ticket, slots } => {
                let store = &self.machines[number].store;
                let row = |(slot, key)| Some((SignedVersion::clone(&store.get(&slot)?.version), key));
                let versions = slots.into_iter().filter_map(row).collect();
                self.verify(number, ticket, versions);
            }
            Output::Send { to, frame } => {
                let frame = Rc::new(frame);
                for peer in to {
                    self.check_sending(number, &peer, &frame)?;
                    self.send(number, &peer, &frame, more);
                }
            }
            Output::SendVersions { to, want, slots, more: mut has_more } => {
                self.check_answering(number, &to, &slots)?;
                let mut envelopes = Vec::with_capacity(slots.len());
                let mut bytes = 0;
                for row in slots.iter().filter_map(|slot| self.machines[number].store.get(slot)) {
                    if bytes >= ANSWER_BYTES_MAX {
                        has_more = true;
                        break;
                    }
                    bytes += row.version.envelope().len();
                    envelopes.push(row.version.envelope().to_vec());
                }
                for frame in versions_frames(want, envelopes, has_more) {
                    self.send(number, &to, &Rc::new(frame), more);
                }
            }
            Output::Disconnect { peer, code, message } => {
                self.check_parting(number, &peer, code, &message)?;
                self.part(number, &peer, Some((code, &message)));
            }
            Output::Close { peer } => self.part(number, &peer, None),
            Output::Processed { peer } => {
                if let Some((link, _)) = self.machines[number].links.get(&peer).copied() {
                    let wire = 1 - self.network.end_of(link, number);
                    self.done_with_frame(link, wire);
                }
            }
            Output::Published { ticket, outcomes } => {
                if let Some(versions) = self.machines[number].asked.remove(&ticket) {
                    self.answered(number, &versions, &outcomes)?;
                }
            }
            Output::Sign { header, body } => {
                let version = self.cast.signed_by(number, &header, &body);
                match header.kind {
                    Kind::HEAD => self.history.counts.heads += 1,
                    Kind::EQUIVOCATION => self.history.counts.proofs += 1,
                    _ => self.check_receipt(number, &version)?,
                }
                let version = self.make(version);
                self.handle_into(number, Input::Signed { envelope: version.envelope().to_vec() }, more);
            }
            Output::Notice(Notice::MembersChanged) => {
                self.refresh_members(number);
                let count = self.machines[number].members.len();
                self.history.line(self.now_us, Some(number), || format!("members changed: {count} nodes"));
            }
            Output::Notice(notice) => match notice {
                Notice::MembersChanged
                | Notice::InSync { .. }
                | Notice::Completeness { .. }
                | Notice::ClockDiffers { .. }
                | Notice::Farewell { .. } => {}
                Notice::Rejected { peer, why, .. } => {
                    let from = self.cast.numbers[&peer];
                    self.check_rejection(number, from, &why)?;
                    self.history
                        .line(self.now_us, Some(number), || format!("refuses a version of n{from:03}: {}", why.name()));
                }
                Notice::Lacking { org, audience, wanted, found } => {
                    self.history.counts.lacks += 1;
                    let org = self.cast.org_numbers[&org];
                    let said = || format!("lacks {audience} records of o{org}: {found} of {wanted}");
                    self.history.line(self.now_us, Some(number), said);
                }
                Notice::AuditFailed { record, why, .. } => {
                    self.history
                        .line(self.now_us, Some(number), || format!("drops {record} after all: {}", why.name()));
                }
                Notice::Equivocation { device, .. } => self.check_accusation(number, &device)?,
                Notice::SecondCopy { signed_at } | Notice::SetBack { signed_at } => {
                    self.history
                        .line(self.now_us, Some(number), || format!("meets a head of its own key of {signed_at}"));
                }
                Notice::Concurrent { winner, .. } => {
                    self.history.line(self.now_us, Some(number), || format!("edited at once; {winner} shows"));
                }
            },
        }
        Ok(())
    }

    /// The node decided on changes that the store did not take: it is built again from what the store has.
    fn fail(&mut self, number: usize) -> Checked {
        self.history
            .line(self.now_us, Some(number), || "the store takes no writes; the node is built again".to_owned());
        self.machines[number].asked.clear();
        let peers: Vec<Peer> = self.machines[number].links.keys().copied().collect();
        for peer in peers {
            self.part(number, &peer, Some((v1::ByeCode::Shutdown, "this node's store takes no writes now")));
        }
        let is_dead = self.machines[number].store.disk == Disk::Dead;
        self.machines[number].read_only = Some(if is_dead { "the disk is dead" } else { "disk full" });
        self.build(number)
    }

    pub(super) fn refresh_members(&mut self, number: usize) {
        let Some(node) = &self.machines[number].node else { return };
        let members: Vec<Peer> = node.member_nodes().map(|(key, ..)| key).collect();
        let machine = &mut self.machines[number];
        machine.admitted = members.iter().copied().collect();
        machine.members = members;
    }

    pub(super) fn tick(&mut self, number: usize) -> Checked {
        if self.machines[number].node.is_none() {
            return Ok(());
        }
        let machine = &mut self.machines[number];
        machine.store.sync();
        // The daemon looks at the free space once a second.
        let read_only = match (machine.store.disk, machine.read_only) {
            (Disk::Full, None) => Some("disk full"),
            (Disk::Good, Some("disk full")) => None,
            (_, read_only) => read_only,
        };
        if read_only != machine.read_only {
            machine.read_only = read_only;
            if let Some(node) = &mut machine.node {
                node.set_read_only(read_only.map(str::to_owned));
            }
        }
        self.handle(number, Input::Tick)?;
        self.check_leases(number)?;
        if (self.now_us / 1_000_000 + number as u64).is_multiple_of(TICKS_PER_FULL_CHECK) {
            self.check_rows(number)?;
        }
        self.misbehave(number)
    }

    /// The process is gone. `is_power_cut`: nobody is told, and what was not synced may be lost.
    pub(super) fn crash(&mut self, number: usize, is_power_cut: bool) {
        self.history.counts.crashes += 1;
        let unsynced = self.machines[number].store.unsynced();
        let kept = if is_power_cut { self.fault_random.index(unsynced + 1) } else { unsynced };
        self.history.counts.torn += (unsynced - kept) as u64;
        let machine = &mut self.machines[number];
        machine.store.lose(kept);
        machine.node = None;
        machine.incarnation += 1;
        machine.asked.clear();
        machine.links.clear();
        machine.dials.clear();
        machine.dies_at_commit = false;
        let live: Vec<usize> = self.network.live().collect();
        for link in live {
            if !self.network.links[link].machines.contains(&number) {
                continue;
            }
            let end = self.network.end_of(link, number);
            if self.network.links[link].ends[end] == End::Closed {
                continue;
            }
            self.network.lose_queue(link, end);
            if is_power_cut {
                self.network.links[link].ends[end] = End::Closed;
                self.after(KEEPALIVE_US, Event::Keepalive { link });
            } else {
                self.close(link, end);
            }
        }
        self.history.line(self.now_us, Some(number), || {
            format!("crashes; of {unsynced} commits that were not synced {kept} survive")
        });
    }

    /// The organisation of a peer, and whether a machine's node takes it for a member.
    pub(super) fn takes_for_member(&self, number: usize, peer: &Peer) -> bool {
        let Some(node) = &self.machines[number].node else { return false };
        let Some(other) = self.cast.numbers.get(peer) else { return false };
        let org = &self.cast.organisations[self.machines[*other].org];
        node.standing(&org.id) == Standing::Member
    }
}

/// The row that a slot will have once these changes are made.
fn changes_or_store(changes: &[super::store::Change], machine: &super::machine::Machine, slot: &Slot) -> Option<Row> {
    match changes.iter().rev().find(|(changed, _)| changed == slot) {
        Some((_, row)) => row.clone(),
        None => machine.store.get(slot).cloned(),
    }
}

/// A version in a few words.
pub(super) fn describe(version: &fingerpost_proto::version::SignedVersion) -> String {
    let header = version.header();
    let what = if version.is_withdrawal() { "withdrawal of" } else { "version of" };
    let audience = if header.audience == Audience::Members { "members'" } else { "public" };
    let record = header.record.to_string();
    format!(
        "{what} {audience} {} {} of {}, {}, at {}, lease {}",
        header.kind,
        &record[..8],
        header.org.short(),
        &version.vid().to_string()[..8],
        header.hlc,
        header.lease_until.0
    )
}

pub(super) fn describe_frame(frame: &[u8]) -> String {
    match fingerpost_proto::node::read_frame(frame) {
        Ok(content) => {
            let text = format!("{content:?}");
            let name = text.split('(').next().unwrap_or_default().to_owned();
            let detail = match content {
                content @ (Content::Versions(_) | Content::Compressed(_)) => {
                    let versions = read_versions(content).unwrap_or_default();
                    format!("{} for want {}", versions.envelopes.len(), versions.want)
                }
                Content::CatchUp(catch_up) => format!("{} since {}", catch_up.want, catch_up.since),
                Content::Arrivals(arrivals) => {
                    format!("for {}: {} B of hints, stale {}", arrivals.want, arrivals.hints.len(), arrivals.stale)
                }
                Content::Fetch(fetch) => fetch.want.to_string(),
                Content::Want(want) => format!("{}: {} keys", want.want, want.keys.len() / 16),
                Content::Offer(offer) => format!("{} pairs", offer.pairs.len() / 32),
                Content::Reconcile(reconcile) => format!("session {} round {}", reconcile.session, reconcile.round),
                Content::Bye(bye) => bye.message,
                _ => String::new(),
            };
            format!("{name} {detail}, {} B", frame.len())
        }
        Err(breach) => format!("{} B that are no frame: {breach}", frame.len()),
    }
}
