//! The one loop: takes causes, asks the node, performs what it wants, in order.
//!
//! In: [`Command`]s from links, admins and the clock. Out: commits to the store, frames into links' queues, answers.
//! Always: whatever a batch of inputs wants persisted is committed before anything else of it is performed; no queue and
//! no peer is ever waited for.
//! Tested: `tests/cluster`, `tests/faults`.

mod answers;
mod blocking;
mod command;
mod cursors;
mod hosting;
mod index;
mod invites;
mod limits;
mod links;
mod mirrors;
pub(crate) mod own_heads;
mod performing;
mod refusals;
mod removing;
mod restoring;
mod roll;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use ed25519_dalek::SigningKey;
use fingerpost_proto::id::{OrgId, Vid};
use fingerpost_proto::key::PublicKey;
use fingerpost_proto::node::{Input, Node, Outcome, Output, Peer};
use fingerpost_proto::overlay::neighbours::INTRODUCED_MAX;
use fingerpost_proto::v1;
use tokio::sync::{mpsc, oneshot};

use crate::catalogue::Catalogue;
use crate::clock;
use crate::incarnation::Incarnation;
use crate::rate::{Rate, Rates};
use crate::store::{Durability, Operation, Store, StoreError, StoreReader};
use crate::transport::Admitted;
use crate::verifier::Verifier;

use answers::Allowances;
pub(crate) use command::{Command, Commands, DriverHandle, Stopped, View};
use limits::{ANSWERED_BYTES_BURST, ANSWERED_BYTES_PER_SECOND};
use links::Links;
pub(crate) use links::{LinkQueue, Queued, Waiting};
pub(crate) use mirrors::AllowedMirror;
pub(crate) use restoring::RestoreError;

/// Inputs whose effects share one commit.
const INPUTS_PER_COMMIT_MAX: usize = 256;
/// Changes after which a commit is made at once.
const OPERATIONS_PER_COMMIT: usize = 128;
/// Between two ticks of the node: announcements are sent, and what was announced is asked for.
pub(crate) const TICK_INTERVAL: Duration = Duration::from_millis(250);
/// Relayed versions are synced, and free space is checked, each so many ticks: once a second.
const TICKS_PER_SYNC: u64 = 4;
/// A node without a network tries its operator's peers each so many ticks, so that people see what they say.
const TICKS_PER_KNOCK: u64 = 40;
/// Removals that nobody needs to be told of are cleared up each so many ticks: every ten minutes.
const TICKS_PER_CLEARING: u64 = 2_400;
/// Edits at once of one publisher that are logged: whoever signs them by the thousand fills no disk.
const CONCURRENT_LOGGED: Rate = Rate { burst: 20, interval: Duration::from_secs(60) };
/// Publishers whose edits at once are counted for the log by themselves.
const PUBLISHERS_LOGGED_MAX: usize = 256;
/// Dials that wait for the dialler; the overlay asks for four at once.
pub(crate) const DIALS_MAX: usize = 16;

/// Keys that may connect and whose they are, kept for the listener: nodes of members, invites that were registered here, and mirrors
/// that are allowed here, which count for this node's own organisation.
pub(crate) type AdmittedKeys = Arc<RwLock<HashMap<PublicKey, (Admitted, OrgId)>>>;

/// Everything that the loop owns.
pub(crate) struct Driver {
    node: Option<Node>,
    store: Box<dyn Store>,
    reader: Arc<dyn StoreReader>,
    catalogue: Catalogue,
    links: Links,
    allowances: Allowances,
    /// Peers with answers to come take turns.
    answered_last: Option<Peer>,
    verifier: Verifier,
    admitted: AdmittedKeys,
    invites: invites::Invites,
    /// Read-only mirrors that may connect.
    mirrors: mirrors::Mirrors,
    /// This node is a mirror itself.
    is_mirror: bool,
    /// Answers that are due, with the number of envelopes in the request.
    replies: HashMap<u64, (usize, oneshot::Sender<Vec<Outcome>>)>,
    next_ticket: u64,
    own_key: PublicKey,
    /// Signs what the node says of itself: upkeep.
    signing_key: SigningKey,
    incarnation: Incarnation,
    /// Own heads that are not committed yet.
    signed_heads: Vec<Vid>,
    /// Whom to dial, for the dialler.
    dials: mpsc::Sender<Peer>,
    /// To be linked to, whatever members' cards say.
    introduced: BTreeSet<Peer>,
    /// Not shown by this node.
    blocked: blocking::Blocked,
    /// Not linked to, for that reason.
    blocked_nodes: BTreeSet<Peer>,
    /// Organisations without a node that this node carries.
    hosting: hosting::Hosting,
    ticks: u64,
    members_changed: tokio::sync::watch::Sender<u64>,
    /// Why the store takes no writes now.
    read_only: Option<String>,
    /// The node is being built again after a failed commit, which must not lead to another attempt.
    is_rebuilding: bool,
    refusals: refusals::Refusals,
    /// Edits at once that were logged of late, by publisher.
    concurrent_logged: Rates<OrgId>,
    seed: u64,
}

/// What the loop needs to start.
pub(crate) struct Parts {
    pub(crate) store: Box<dyn Store>,
    pub(crate) catalogue: Catalogue,
    pub(crate) verifier: Verifier,
    pub(crate) admitted: AdmittedKeys,
    pub(crate) own_key: PublicKey,
    /// The secret half of `own_key`, for upkeep.
    pub(crate) signing_key: SigningKey,
    pub(crate) incarnation: Incarnation,
    pub(crate) dials: mpsc::Sender<Peer>,
    pub(crate) introduced: BTreeSet<Peer>,
    pub(crate) members_changed: tokio::sync::watch::Sender<u64>,
    /// The home is a read-only mirror's.
    pub(crate) is_mirror: bool,
    pub(crate) seed: u64,
    /// What the store kept of the last clean stop.
    pub(crate) index: Option<Vec<u8>>,
}

impl Driver {
    /// Builds the node from the store, if it has a network. Errors: the store's, in words.
    pub(crate) fn new(parts: Parts) -> Result<Driver, restoring::RestoreError> {
        let Parts { store, catalogue, verifier, admitted, own_key, signing_key, incarnation, .. } = parts;
        let Parts { dials, introduced, members_changed, is_mirror, seed, index, .. } = parts;
        let mut driver = Driver {
            node: None,
            reader: store.reader(),
            store,
            catalogue,
            links: Links::new(own_key),
            allowances: Allowances::new(ANSWERED_BYTES_BURST, ANSWERED_BYTES_PER_SECOND),
            answered_last: None,
            verifier,
            admitted,
            invites: invites::Invites::default(),
            mirrors: mirrors::Mirrors::new(),
            is_mirror,
            replies: HashMap::new(),
            next_ticket: 0,
            own_key,
            signing_key,
            incarnation,
            signed_heads: Vec::new(),
            dials,
            introduced,
            blocked: blocking::Blocked::new(),
            blocked_nodes: BTreeSet::new(),
            hosting: hosting::Hosting::default(),
            ticks: 0,
            members_changed,
            read_only: None,
            is_rebuilding: false,
            refusals: refusals::Refusals::default(),
            concurrent_logged: Rates::new(CONCURRENT_LOGGED, PUBLISHERS_LOGGED_MAX),
            seed,
        };
        driver.restore(index)?;
        Ok(driver)
    }

    /// Runs until [`Command::Stop`] or until every sender is gone. Blocking: give it a thread of its own.
    pub(crate) fn run(mut self, mut commands: Commands) {
        loop {
            // One answer at a time, and what has come meanwhile before the next: whoever asks for everything holds up nobody.
            let due = self.next_to_answer();
            let command = match due {
                Some(_) => commands.try_take().map(|(command, _)| command),
                None => commands.take(),
            };
            let Some(command) = command else {
                let Some(peer) = due else { return };
                self.answer_next(peer);
                continue;
            };
            let mut outputs = Vec::new();
            let mut stopped = self.take(command, &mut outputs);
            for _ in 1..INPUTS_PER_COMMIT_MAX {
                if stopped.is_some() || performing::operations(&outputs) >= OPERATIONS_PER_COMMIT {
                    break;
                }
                let Some((command, is_urgent)) = commands.try_take() else { break };
                stopped = self.take(command, &mut outputs);
                // Somebody waits for what follows.
                if is_urgent {
                    break;
                }
            }
            self.perform(outputs);
            if let Some(done) = stopped {
                self.stop(done);
                return;
            }
            if let Some(peer) = due {
                self.answer_next(peer);
            }
        }
    }

    fn take(&mut self, command: Command, outputs: &mut Vec<Output>) -> Option<oneshot::Sender<()>> {
        match command {
            Command::LinkUp { peer, outbound, queue } => {
                // What came before belongs to the link that this one may replace.
                self.perform(std::mem::take(outputs));
                for input in self.links.up(peer, outbound, queue) {
                    self.handle(input, outputs);
                }
                if self.blocked_nodes.contains(&peer) {
                    self.perform(std::mem::take(outputs));
                    self.part_from_blocked();
                }
            }
            Command::LinkDown { peer, epoch } => {
                if self.links.down(&peer, epoch) {
                    self.handle(Input::Disconnected { peer }, outputs);
                }
            }
            Command::Received { peer, epoch, frame, permit } => {
                if self.links.is_current(&peer, epoch) && self.node.is_some() {
                    self.links.begin(peer, permit);
                    self.handle(Input::Received { peer, frame }, outputs);
                }
            }
            Command::Oversized { peer, epoch, message } => {
                if self.links.is_current(&peer, epoch) {
                    if self.node.is_none() {
                        self.close_link(&peer, v1::ByeCode::Breach, &message);
                    }
                    self.handle(Input::Oversized { peer, message }, outputs);
                }
            }
            Command::Verified(input) => self.handle(input, outputs),
            Command::Publish { envelopes, reply } => self.publish(envelopes, reply, outputs),
            Command::Found { charter, envelopes, inviter, reply } => {
                // What came before belongs to the old state of things.
                self.perform(std::mem::take(outputs));
                let _ = reply.send(self.found(&charter, envelopes, inviter));
            }
            Command::RegisterInvite { invitation, carries, reply } => {
                let _ = reply.send(self.register_invite(&invitation, carries));
            }
            Command::Block { org, lift, reply } => {
                self.perform(std::mem::take(outputs));
                let _ = reply.send(self.block(org, lift));
            }
            Command::AllowMirror { key, label, reply } => {
                self.perform(std::mem::take(outputs));
                let _ = reply.send(self.allow_mirror(key, label));
            }
            Command::ForbidMirror { key, reply } => {
                self.perform(std::mem::take(outputs));
                let _ = reply.send(self.forbid_mirror(&key));
            }
            Command::InviteUsed { key, org, reply } => {
                self.perform(std::mem::take(outputs));
                let _ = reply.send(self.use_invite(&key, org));
            }
            Command::StopHosting { org, reply } => {
                self.perform(std::mem::take(outputs));
                let _ = reply.send(self.stop_hosting(&org));
            }
            Command::Look(look) => {
                // Looks see only what is stored.
                self.perform(std::mem::take(outputs));
                look(&View {
                    node: self.node.as_ref(),
                    store: self.store.as_ref(),
                    read_only: self.read_only.as_deref(),
                    invites: &self.invites,
                    blocked: &self.blocked,
                    hosting: &self.hosting,
                    mirrors: &self.mirrors,
                    own_key: self.own_key,
                });
            }
            Command::DialFailed { peer, why } => self.handle(Input::DialFailed { peer, why }, outputs),
            Command::Introduce { peer } => {
                if self.introduced.len() < INTRODUCED_MAX {
                    self.introduced.insert(peer);
                }
                self.handle(Input::Introduced { peer }, outputs);
            }
            Command::Lost { slot } => {
                // What was damaged may have been replaced since.
                if matches!(self.reader.get(&slot), Err(StoreError::Damaged { .. })) {
                    self.handle(Input::Lost { slot }, outputs);
                }
            }
            Command::Tick => self.tick(outputs),
            Command::Compact { reply } => {
                self.perform(std::mem::take(outputs));
                let _ = reply.send(self.store.compact().map_err(|error| error.to_string()));
            }
            Command::Stop { done } => return Some(done),
        }
        None
    }

    fn handle(&mut self, input: Input, outputs: &mut Vec<Output>) {
        if let Some(node) = &mut self.node {
            outputs.extend(node.handle(clock::now_ms(), input));
        }
    }

    fn publish(&mut self, envelopes: Vec<Vec<u8>>, reply: oneshot::Sender<Vec<Outcome>>, outputs: &mut Vec<Output>) {
        // Without a network the sender is dropped, which the asker reads as "no network".
        if self.node.is_some() {
            self.next_ticket += 1;
            self.replies.insert(self.next_ticket, (envelopes.len(), reply));
            self.handle(Input::Published { ticket: self.next_ticket, envelopes }, outputs);
        }
    }

    fn tick(&mut self, outputs: &mut Vec<Output>) {
        self.refusals.log_when_due(Instant::now());
        if self.invites.expire(clock::now_ms()) {
            self.expire_promises();
            self.refresh_members();
        }
        if self.node.is_none() && !self.is_mirror && self.ticks.is_multiple_of(TICKS_PER_KNOCK) {
            // Before this node is in a network, nothing but the operator's word says whom to dial.
            for peer in &self.introduced {
                let _ = self.dials.try_send(*peer);
            }
        }
        let is_second = self.ticks.is_multiple_of(TICKS_PER_SYNC);
        self.ticks += 1;
        if is_second {
            // A store that has stopped says so each time; the node was rebuilt from it when it first did.
            if let Err(error) = self.store.sync()
                && self.read_only.is_none()
            {
                self.fail(&error, outputs);
            }
            self.check_space();
            self.part_from_stalled(Instant::now(), outputs);
        }
        if self.ticks % TICKS_PER_CLEARING == 1 {
            self.clear_removals();
        }
        self.allowances.forget_full(Instant::now());
        self.handle(Input::Tick, outputs);
    }

    /// Ends the links of peers that read nothing.
    fn part_from_stalled(&mut self, now: Instant, outputs: &mut Vec<Output>) {
        for peer in self.links.stalled(now) {
            let message = "nothing of what waits for this node was read within 60 s";
            self.close_link(&peer, v1::ByeCode::TooSlow, message);
            self.handle(Input::Disconnected { peer }, outputs);
        }
    }

    fn stop(mut self, done: oneshot::Sender<()>) {
        self.links.close_all("this node is shutting down");
        self.refusals.log();
        if let Err(error) = self.store.sync() {
            tracing::error!(%error, "the last seconds of relayed versions are not on stable storage");
        }
        // What is not audited is found row by row.
        if let Some(node) = self.node.as_ref().filter(|node| node.unaudited() == 0) {
            self.store.keep_index(index::write(node, &self.catalogue));
        }
        drop(self);
        let _ = done.send(());
    }

    /// Keeps a named value at once.
    fn keep(&mut self, name: &str, value: Vec<u8>) -> Result<(), crate::store::StoreError> {
        let operation = Operation::PutMeta { name: name.to_owned(), value };
        self.store.commit(vec![operation], Durability::Now).map(|_| ())
    }

    /// Tells the listener and the dialler who is a member now.
    fn refresh_members(&mut self) {
        let Some(node) = &self.node else { return };
        let mut keys = HashMap::new();
        let blocked_nodes = self.nodes_of_blocked();
        for (key, org, _) in node.member_nodes() {
            if key != self.own_key && !blocked_nodes.contains(&key) {
                keys.insert(key, (Admitted::Member, org));
            }
        }
        for (key, inviter) in self.invites.keys().filter(|(_, inviter)| !self.blocked.contains_key(inviter)) {
            keys.entry(key).or_insert((Admitted::Invitee, inviter));
        }
        // Last: a card proves nothing about the keys on it, and must not turn another's node or invite away.
        for (device, org) in self.hosted_devices() {
            keys.entry(device).or_insert((Admitted::Hosted, org));
        }
        for (key, own) in self.mirror_keys().into_iter().filter(|(key, _)| !blocked_nodes.contains(key)) {
            keys.entry(key).or_insert((Admitted::Mirror, own));
        }
        *self.admitted.write().unwrap_or_else(PoisonError::into_inner) = keys;
        let names = node.standings().iter().filter_map(|(org, _)| node.card(org));
        let names = names.map(|card| (card.org, card.name.clone())).collect();
        self.catalogue.set_network(names, roll::of(node));
        self.blocked_nodes = blocked_nodes;
        self.members_changed.send_modify(|generation| *generation += 1);
    }

    fn answer(&mut self, ticket: u64, outcomes: Vec<Outcome>) {
        if let Some((_, reply)) = self.replies.remove(&ticket) {
            let _ = reply.send(outcomes);
        }
    }
}

/// Tells peers apart in logs by the first digits of their key.
pub(crate) fn short(peer: &Peer) -> String {
    peer.to_string()[..16].to_owned()
}
