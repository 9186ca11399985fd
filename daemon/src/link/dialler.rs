//! Keeps links up: dials members' nodes that are not linked, patiently.
//!
//! Always: one attempt at a time for each node, with doubling pauses between failures; never more than
//! [`DIALS_AT_ONCE_MAX`] attempts together; no dialling beyond [`LINKS_WANTED`] links.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use fingerpost_proto::key::PublicKey;
use fingerpost_proto::limits::FRAME_BYTES_MAX;
use fingerpost_proto::node::Peer;
use tokio::sync::watch;
use tonic::Request;

use super::{Ends, ends, pump};
use crate::driver::{DriverHandle, short};
use crate::rpc::peer_client::PeerClient;
use crate::transport::{DIAL_DEADLINE, DialError, TlsIdentity, dial};

/// Links that a node tries to have; those that others dial come on top.
const LINKS_WANTED: usize = 30;
/// Attempts under way at once.
const DIALS_AT_ONCE_MAX: usize = 4;
/// Addresses tried for one node.
const ADDRESSES_PER_NODE_MAX: usize = 16;
/// First pause after a failure.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// Longest pause between attempts.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// How often the list of nodes is gone through.
const ROUND: Duration = Duration::from_millis(500);

/// How it stands with one node that this one would like to be linked to.
#[derive(Clone, Debug)]
pub(crate) struct DialState {
    /// Addresses, tried in order.
    pub(crate) addresses: Vec<String>,
    /// `dialling`, `waiting` or `refused`.
    pub(crate) state: &'static str,
    /// Why the last attempt failed; empty when there was none.
    pub(crate) reason: String,
    pause: Duration,
    next_at: Instant,
    /// An attempt is under way, or the link that came of it is up.
    has_attempt: bool,
    is_up: bool,
}

/// Dials in the background until dropped.
#[derive(Clone)]
pub(crate) struct Dialler {
    shared: Arc<Shared>,
}

struct Shared {
    driver: DriverHandle,
    identity: TlsIdentity,
    own_key: PublicKey,
    configured: Vec<(Peer, String)>,
    order: RandomState,
    states: Mutex<BTreeMap<Peer, DialState>>,
    /// Nodes to dial although they are on no member's card yet, from an invite.
    introduced: Mutex<BTreeMap<Peer, Vec<String>>>,
}

impl Dialler {
    pub(crate) fn new(
        driver: DriverHandle,
        identity: TlsIdentity,
        own_key: PublicKey,
        configured: Vec<(Peer, String)>,
    ) -> Dialler {
        let (states, introduced) = (Mutex::default(), Mutex::default());
        Dialler {
            shared: Arc::new(Shared {
                driver,
                identity,
                own_key,
                configured,
                order: RandomState::new(),
                states,
                introduced,
            }),
        }
    }

    /// A node to dial from now on, whatever the cards say.
    pub(crate) fn introduce(&self, peer: Peer, addresses: Vec<String>) {
        self.shared.introduced.lock().unwrap_or_else(PoisonError::into_inner).insert(peer, addresses);
    }

    /// State of every node that is dialled.
    pub(crate) fn states(&self) -> BTreeMap<Peer, DialState> {
        self.states_mut().clone()
    }

    /// Runs until `stop` is set.
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut round = tokio::time::interval(ROUND);
        round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = round.tick() => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            if self.round().await.is_err() {
                return;
            }
        }
    }

    async fn round(&self) -> Result<(), crate::driver::Stopped> {
        let own_key = self.shared.own_key;
        let (mut wanted, linked) = self
            .shared
            .driver
            .look(move |view| {
                let Some(node) = view.node else { return (BTreeMap::new(), BTreeSet::new()) };
                let members = node.member_nodes().filter(|(key, ..)| *key != own_key);
                let mut wanted: BTreeMap<Peer, Vec<String>> = BTreeMap::new();
                for (key, _, endpoints) in members {
                    // A card proves nothing about the node keys on it: another card's endpoints are tried as well.
                    let addresses = wanted.entry(key).or_default();
                    let room = ADDRESSES_PER_NODE_MAX.saturating_sub(addresses.len());
                    addresses.extend(endpoints.iter().take(room).cloned());
                }
                (wanted, node.links().map(|link| link.peer).collect::<BTreeSet<Peer>>())
            })
            .await?;
        for (peer, address) in &self.shared.configured {
            wanted.entry(*peer).or_default().insert(0, address.clone());
        }
        for (peer, addresses) in self.shared.introduced.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let entry = wanted.entry(*peer).or_default();
            entry.extend(addresses.iter().filter(|address| !entry.contains(address)).cloned().collect::<Vec<_>>());
        }
        wanted.retain(|_, addresses| !addresses.is_empty());
        let due = self.choose(wanted, &linked);
        for (peer, addresses) in due {
            let dialler = self.clone();
            tokio::spawn(async move { dialler.attempt(peer, addresses).await });
        }
        Ok(())
    }

    /// Whom to dial now. Marks them.
    fn choose(&self, wanted: BTreeMap<Peer, Vec<String>>, linked: &BTreeSet<Peer>) -> Vec<(Peer, Vec<String>)> {
        let now = Instant::now();
        let mut states = self.states_mut();
        states.retain(|peer, state| wanted.contains_key(peer) || state.has_attempt);
        let mut busy = states.values().filter(|state| state.has_attempt && !state.is_up).count();
        let mut room = LINKS_WANTED.saturating_sub(linked.len());
        let mut due = Vec::new();
        // In an order that nobody outside can choose, so that nobody can choose whom this node is linked to.
        let mut candidates: Vec<_> = wanted.into_iter().collect();
        candidates.sort_by_cached_key(|(peer, _)| self.shared.order.hash_one(peer));
        for (peer, addresses) in candidates {
            let state = states.entry(peer).or_insert_with(|| DialState {
                addresses: Vec::new(),
                state: "waiting",
                reason: String::new(),
                pause: PAUSE_MIN,
                next_at: now,
                has_attempt: false,
                is_up: false,
            });
            state.addresses = addresses;
            let may_dial = !linked.contains(&peer) && !state.has_attempt && state.next_at <= now;
            if may_dial && busy < DIALS_AT_ONCE_MAX && room > 0 {
                state.has_attempt = true;
                state.state = "dialling";
                (busy, room) = (busy + 1, room - 1);
                due.push((peer, state.addresses.clone()));
            }
        }
        due
    }

    /// One attempt, and the link's whole life when it succeeds.
    async fn attempt(&self, peer: Peer, addresses: Vec<String>) {
        let started = Instant::now();
        let mut failure = None;
        for address in &addresses {
            match self.link(peer, address).await {
                Ok(()) => {
                    failure = None;
                    break;
                }
                Err(why) => failure = Some((address.clone(), why)),
            }
        }
        let mut states = self.states_mut();
        let Some(state) = states.get_mut(&peer) else { return };
        (state.has_attempt, state.is_up) = (false, false);
        state.state = "waiting";
        match failure {
            None => {
                // A link that held counts as success; one that ended at once must not lead to a storm of dialling.
                let held = started.elapsed() > PAUSE_MAX;
                state.pause = if held { PAUSE_MIN } else { (state.pause * 2).min(PAUSE_MAX / 6) };
                state.reason = String::new();
            }
            Some((address, why)) => {
                let is_refused = matches!(why, DialError::RefusedByPeer { .. });
                let news = state.reason != why.to_string();
                state.state = if is_refused { "refused" } else { "unreachable" };
                state.reason = why.to_string();
                state.pause = (state.pause * 2).min(PAUSE_MAX);
                if news {
                    tracing::warn!(peer = %short(&peer), %address, %why, "no link");
                }
            }
        }
        state.next_at = Instant::now() + state.pause;
    }

    /// Dials and keeps the link until it ends.
    async fn link(&self, peer: Peer, address: &str) -> Result<(), DialError> {
        let channel = dial(address, peer, &self.shared.identity, DIAL_DEADLINE).await?;
        let mut client = PeerClient::new(channel)
            .max_decoding_message_size(FRAME_BYTES_MAX)
            .max_encoding_message_size(FRAME_BYTES_MAX);
        let Ends { queue, outgoing, ended } = ends();
        let frames = OutgoingFrames(outgoing);
        match client.link(Request::new(frames)).await {
            Ok(response) => {
                tracing::info!(peer = %short(&peer), %address, "link dialled");
                if let Some(state) = self.states_mut().get_mut(&peer) {
                    state.state = "linked";
                    state.is_up = true;
                    state.reason = String::new();
                }
                pump(self.shared.driver.clone(), peer, true, queue, ended, response.into_inner()).await;
            }
            Err(status) => {
                tracing::warn!(peer = %short(&peer), %address, %status, "the peer opens no link");
            }
        }
        Ok(())
    }

    fn states_mut(&self) -> std::sync::MutexGuard<'_, BTreeMap<Peer, DialState>> {
        self.shared.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The client's side of a link wants frames without results.
struct OutgoingFrames(super::Outgoing);

impl tokio_stream::Stream for OutgoingFrames {
    type Item = super::RawFrame;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.0.poll_frame(context)
    }
}
