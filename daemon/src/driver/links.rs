//! Links as the driver sees them: one queue for each peer, never waited for.
//!
//! Always: at most one link to a peer. Of two, the one that was dialled by the node with the lower key stays; a node that
//! dials again replaces its own older link (`spec/06-link.md`, section 2).

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use fingerpost_proto::key::PublicKey;
use fingerpost_proto::node::{Input, Peer, write_frame};
use fingerpost_proto::v1;
use fingerpost_proto::v1::frame::Content;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

/// Frames that may wait for a peer.
const QUEUE_FRAMES_MAX: usize = 4_096;
/// Bytes that may wait for a peer: two full answers to all its open wants.
const QUEUE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Frames of one peer that are being worked on, over all its links; its next one is not read before.
pub(super) const FRAMES_IN_WORK_MAX: usize = 8;

/// Room for frames in work, by peer. A peer that opens link after link has no more of it than one that keeps its link.
#[derive(Default)]
pub(crate) struct FramesInWork {
    rooms: Mutex<HashMap<Peer, Weak<Semaphore>>>,
}

impl FramesInWork {
    /// The room of this peer. It is the same one as long as a link of the peer's, or a frame in work, knows of it.
    pub(crate) fn of(&self, peer: Peer) -> Arc<Semaphore> {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(room) = rooms.get(&peer).and_then(Weak::upgrade) {
            return room;
        }
        rooms.retain(|_, room| room.strong_count() > 0);
        let room = Arc::new(Semaphore::new(FRAMES_IN_WORK_MAX));
        rooms.insert(peer, Arc::downgrade(&room));
        room
    }
}

/// The sending end of a link.
pub(crate) struct LinkQueue {
    /// Tells this link from later ones to the same peer.
    pub(crate) epoch: u64,
    frames: mpsc::Sender<Vec<u8>>,
    waiting_bytes: Arc<AtomicUsize>,
    /// Dropped with the queue, which tells the reading side that the link is over.
    _alive: watch::Sender<()>,
}

impl LinkQueue {
    /// A queue, its receiving end, and what is closed when the driver drops the queue.
    pub(crate) fn new(epoch: u64) -> (LinkQueue, mpsc::Receiver<Vec<u8>>, watch::Receiver<()>) {
        let (frames, receiver) = mpsc::channel(QUEUE_FRAMES_MAX);
        let (alive, over) = watch::channel(());
        (LinkQueue { epoch, frames, waiting_bytes: Arc::default(), _alive: alive }, receiver, over)
    }

    /// Counts the bytes of a frame that left the queue.
    pub(crate) fn counter(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.waiting_bytes)
    }

    /// False when the queue is full or its link is gone.
    fn push(&self, frame: Vec<u8>) -> bool {
        let bytes = frame.len();
        let waiting = self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        waiting + bytes <= QUEUE_BYTES_MAX && self.frames.try_send(frame).is_ok()
    }
}

/// All links, by peer.
pub(super) struct Links {
    own_key: PublicKey,
    links: HashMap<Peer, Link>,
    /// Of frames that the node has and is not done with.
    in_work: HashMap<Peer, Vec<OwnedSemaphorePermit>>,
}

struct Link {
    outbound: bool,
    queue: LinkQueue,
}

impl Links {
    pub(super) fn new(own_key: PublicKey) -> Links {
        Links { own_key, links: HashMap::new(), in_work: HashMap::new() }
    }

    /// Takes in a new link. Returns what the node is told: nothing when the link is turned down.
    pub(super) fn up(&mut self, peer: Peer, outbound: bool, queue: LinkQueue) -> Vec<Input> {
        let mut inputs = Vec::new();
        if let Some(link) = self.links.get(&peer) {
            let dialler_is_lower = |outbound: bool| if outbound { self.own_key < peer } else { peer < self.own_key };
            if link.outbound != outbound && !dialler_is_lower(outbound) {
                say_bye(&queue, v1::ByeCode::Duplicate, "there is another link between these nodes");
                return inputs;
            }
            say_bye(&link.queue, v1::ByeCode::Duplicate, "a later link between these nodes takes its place");
            inputs.push(Input::Disconnected { peer });
        }
        self.links.insert(peer, Link { outbound, queue });
        inputs.push(Input::Connected { peer, outbound });
        inputs
    }

    /// True when the link that went down was the current one.
    pub(super) fn down(&mut self, peer: &Peer, epoch: u64) -> bool {
        self.is_current(peer, epoch) && self.links.remove(peer).is_some()
    }

    pub(super) fn is_current(&self, peer: &Peer, epoch: u64) -> bool {
        self.links.get(peer).is_some_and(|link| link.queue.epoch == epoch)
    }

    /// Queues a frame. False when the peer reads too slowly: its link is gone now, and the node must be told.
    pub(super) fn send(&mut self, peer: &Peer, frame: Vec<u8>) -> bool {
        let Some(link) = self.links.get(peer) else { return true };
        if link.queue.push(frame) {
            return true;
        }
        tracing::warn!(peer = %super::short(peer), "the peer reads too slowly or is gone; its link is closed");
        self.links.remove(peer);
        false
    }

    /// Keeps the permit of a frame that the node is given.
    pub(super) fn begin(&mut self, peer: Peer, permit: OwnedSemaphorePermit) {
        self.in_work.entry(peer).or_default().push(permit);
    }

    /// Gives back the permit of a frame that is done with, over whichever link it came.
    pub(super) fn processed(&mut self, peer: &Peer) {
        let Some(permits) = self.in_work.get_mut(peer) else { return };
        permits.pop();
        if permits.is_empty() {
            self.in_work.remove(peer);
        }
    }

    /// Says why and closes.
    pub(super) fn close(&mut self, peer: &Peer, code: v1::ByeCode, message: &str) {
        if let Some(link) = self.links.remove(peer) {
            say_bye(&link.queue, code, message);
        }
    }

    /// Closes a link to which nothing more is to be said.
    pub(super) fn drop_silently(&mut self, peer: &Peer) {
        self.links.remove(peer);
    }

    /// Closes all links. Of frames in work nothing more will be heard.
    pub(super) fn close_all(&mut self, message: &str) {
        self.in_work.clear();
        for (_, link) in self.links.drain() {
            say_bye(&link.queue, v1::ByeCode::Shutdown, message);
        }
    }
}

/// Queues a last frame. Dropping the queue afterwards ends the link once it is sent.
fn say_bye(queue: &LinkQueue, code: v1::ByeCode, message: &str) {
    let bye = v1::Bye { code: code.into(), message: message.to_owned() };
    queue.push(write_frame(Content::Bye(bye)));
}
