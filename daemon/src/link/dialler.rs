//! Dials the nodes that the overlay asks for, and keeps their links.
//!
//! In: node keys, from the driver. Out: links, or word of failure; how it stands with each, for people.
//! Always: whom to dial, when and how often is decided in `fingerpost_proto::overlay`; here only addresses are found and
//! tried; every request comes to an end, as a link or as word of failure. Tested: `dialler/tests.rs`.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fingerpost_proto::limits::FRAME_BYTES_MAX;
use fingerpost_proto::node::Peer;
use fingerpost_proto::overlay::DialFailure;
use tokio::sync::{mpsc, watch};
use tonic::{Code, Request, Status};

use super::{Ends, ends, pump};
use crate::driver::{Command, DriverHandle, short};
use crate::rpc::peer_client::PeerClient;
use crate::transport::{DIAL_DEADLINE, DialError, TlsIdentity, dial};

/// Addresses tried for one node.
const ADDRESSES_PER_NODE_MAX: usize = 16;
/// From the call to the response headers, which a server sends without waiting for anything (`spec/06-link.md`, 1.5). As long
/// as dialling itself.
const LINK_ANSWER_WAIT: Duration = Duration::from_secs(10);
/// Nodes of which it is remembered how dialling went.
const STATES_MAX: usize = 256;

/// How it stands with one node that this one would like to be linked to.
#[derive(Clone, Debug)]
pub(crate) struct DialState {
    /// Addresses, tried in order.
    pub(crate) addresses: Vec<String>,
    /// `dialling`, `linked`, `waiting`, `unreachable` or `refused`.
    pub(crate) state: &'static str,
    /// Why the last attempt failed; empty when there was none.
    pub(crate) reason: String,
}

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
enum LinkError {
    /// No connection to that node at this address.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The right node is there, and says no.
    #[error("the node opens no link: {}", .0.message())]
    Refused(Status),
    /// The right node is there, and says nothing.
    #[error("the node did not answer the call for a link within {} s", .0.as_secs_f32())]
    Silent(Duration),
}

impl LinkError {
    /// What the overlay is told.
    fn failure(&self) -> DialFailure {
        const REFUSALS: [Code; 4] =
            [Code::PermissionDenied, Code::Unauthenticated, Code::Unimplemented, Code::FailedPrecondition];
        match self {
            LinkError::Dial(DialError::RefusedByPeer { .. }) => DialFailure::Refused,
            LinkError::Refused(status) if REFUSALS.contains(&status.code()) => DialFailure::Refused,
            _ => DialFailure::Unreachable,
        }
    }

    /// Another address leads to the same node, which has proved its key, and to the same answer.
    fn is_final(&self) -> bool {
        !matches!(self, LinkError::Dial(_))
    }
}

/// Dials in the background until dropped.
#[derive(Clone)]
pub(crate) struct Dialler {
    shared: Arc<Shared>,
}

struct Shared {
    driver: DriverHandle,
    identity: TlsIdentity,
    configured: Vec<(Peer, String)>,
    /// [`LINK_ANSWER_WAIT`]; tests wait less.
    answer_wait: Duration,
    states: Mutex<BTreeMap<Peer, DialState>>,
    /// Nodes to dial although they are on no member's card yet, from an invite.
    introduced: Mutex<BTreeMap<Peer, Vec<String>>>,
}

impl Dialler {
    pub(crate) fn new(driver: DriverHandle, identity: TlsIdentity, configured: Vec<(Peer, String)>) -> Dialler {
        Dialler::with_wait(driver, identity, configured, LINK_ANSWER_WAIT)
    }

    fn with_wait(
        driver: DriverHandle,
        identity: TlsIdentity,
        configured: Vec<(Peer, String)>,
        answer_wait: Duration,
    ) -> Dialler {
        let (states, introduced) = (Mutex::default(), Mutex::default());
        Dialler { shared: Arc::new(Shared { driver, identity, configured, answer_wait, states, introduced }) }
    }

    /// A node to dial from now on, whatever the cards say.
    pub(crate) async fn introduce(&self, peer: Peer, addresses: Vec<String>) -> Result<(), crate::driver::Stopped> {
        self.shared.introduced.lock().unwrap_or_else(PoisonError::into_inner).insert(peer, addresses);
        self.shared.driver.send(Command::Introduce { peer }).await
    }

    /// True when a node, at one of these addresses, admits the key of this one.
    pub(crate) async fn is_admitted(&self, peer: Peer, addresses: &[String]) -> bool {
        for address in addresses {
            if dial(address, peer, &self.shared.identity, DIAL_DEADLINE).await.is_ok() {
                return true;
            }
        }
        false
    }

    /// State of every node that is dialled.
    pub(crate) fn states(&self) -> BTreeMap<Peer, DialState> {
        self.states_mut().clone()
    }

    /// Dials whomever the node asks for, until `stop` is set.
    pub(crate) async fn run(self, mut requests: mpsc::Receiver<Peer>, mut stop: watch::Receiver<bool>) {
        loop {
            let peer = tokio::select! {
                peer = requests.recv() => peer,
                _ = stop.wait_for(|stop| *stop) => return,
            };
            let Some(peer) = peer else { return };
            let dialler = self.clone();
            tokio::spawn(async move { dialler.attempt(peer).await });
        }
    }

    /// Addresses of a node: the operator's, then those on members' cards, then those of an invite.
    async fn addresses(&self, peer: Peer) -> Result<Vec<String>, crate::driver::Stopped> {
        let configured = self.shared.configured.iter().filter(|(key, _)| *key == peer);
        let mut addresses: Vec<String> = configured.map(|(_, address)| address.clone()).collect();
        // A card proves nothing about the node keys on it: another card's endpoints are tried as well.
        let on_cards = self.shared.driver.look(move |view| {
            let nodes = view.node.map(|node| node.member_nodes().filter(|(key, ..)| *key == peer));
            let cards: Vec<&[String]> = nodes.into_iter().flatten().map(|(_, _, endpoints)| endpoints).collect();
            in_turn(&cards)
        });
        let introduced = self.shared.introduced.lock().unwrap_or_else(PoisonError::into_inner).get(&peer).cloned();
        for address in on_cards.await?.into_iter().chain(introduced.unwrap_or_default()) {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        addresses.truncate(ADDRESSES_PER_NODE_MAX);
        Ok(addresses)
    }

    /// One attempt, and the link's whole life when it succeeds.
    async fn attempt(&self, peer: Peer) {
        let Ok(addresses) = self.addresses(peer).await else { return };
        let mut failure = None;
        self.note(peer, &addresses, "dialling", None);
        for address in &addresses {
            match self.link(peer, address).await {
                Ok(()) => {
                    self.note(peer, &addresses, "waiting", None);
                    return;
                }
                Err(why) => {
                    let is_final = why.is_final();
                    failure = Some((address.clone(), why));
                    if is_final {
                        break;
                    }
                }
            }
        }
        let why = failure.as_ref().map_or(DialFailure::Unreachable, |(_, why)| why.failure());
        if let Some((address, error)) = failure {
            let state = if why == DialFailure::Refused { "refused" } else { "unreachable" };
            if self.note(peer, &addresses, state, Some(error.to_string())) {
                tracing::warn!(peer = %short(&peer), %address, %error, "no link");
            }
        }
        let _ = self.shared.driver.send(Command::DialFailed { peer, why }).await;
    }

    /// Notes how it stands, for people. True when the reason is news.
    fn note(&self, peer: Peer, addresses: &[String], state: &'static str, reason: Option<String>) -> bool {
        let mut states = self.states_mut();
        if states.len() >= STATES_MAX && !states.contains_key(&peer) {
            states.pop_first();
        }
        let before = states.get(&peer).map(|state| state.reason.clone()).unwrap_or_default();
        // While an attempt is under way the last reason still stands.
        let is_news = reason.as_ref().is_some_and(|reason| *reason != before);
        let reason = reason.unwrap_or(if state == "dialling" { before } else { String::new() });
        states.insert(peer, DialState { addresses: addresses.to_vec(), state, reason });
        is_news
    }

    /// Dials and keeps the link until it ends.
    async fn link(&self, peer: Peer, address: &str) -> Result<(), LinkError> {
        let channel = dial(address, peer, &self.shared.identity, DIAL_DEADLINE).await?;
        let mut client = PeerClient::new(channel)
            .max_decoding_message_size(FRAME_BYTES_MAX)
            .max_encoding_message_size(FRAME_BYTES_MAX);
        let Ends { queue, outgoing, ends } = ends();
        let frames = OutgoingFrames(outgoing);
        let answer = tokio::time::timeout(self.shared.answer_wait, client.link(Request::new(frames))).await;
        let answer = answer.map_err(|_| LinkError::Silent(self.shared.answer_wait))?;
        let response = answer.map_err(LinkError::Refused)?;
        tracing::info!(peer = %short(&peer), %address, "link dialled");
        self.note(peer, &[address.to_owned()], "linked", None);
        pump(self.shared.driver.clone(), peer, true, queue, ends, response.into_inner()).await;
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

/// The first endpoint of each card, then the second of each, and so on: no card crowds out the others'.
fn in_turn(cards: &[&[String]]) -> Vec<String> {
    let turns = cards.iter().map(|endpoints| endpoints.len()).max().unwrap_or(0);
    let endpoints = (0..turns).flat_map(|turn| cards.iter().filter_map(move |endpoints| endpoints.get(turn)));
    endpoints.take(ADDRESSES_PER_NODE_MAX).cloned().collect()
}
