//! Links as the driver sees them: one queue for each peer, never waited for.
//!
//! Always: at most one link to a peer. Of two, the one that was dialled by the node with the lower key stays; a node that
//! dials again replaces its own older link (`spec/06-link.md`, section 2).

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;

use fingerpost_proto::key::PublicKey;
use fingerpost_proto::node::{Input, Peer, write_frame};
use fingerpost_proto::v1;
use fingerpost_proto::v1::frame::Content;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

use super::answers::Answer;
use super::limits::{ANSWERS_OWED_MAX, FRAMES_IN_WORK_MAX, QUEUE_BYTES_MAX, QUEUE_FRAMES_MAX, STALLED_MAX};

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

/// What waits for a peer.
pub(crate) enum Queued {
    Frame(Vec<u8>),
    /// The answer to a request has left: the request is no longer in work.
    Answered(Owed),
}

/// The permit of a request whose answer waits in the queue; given back when this is dropped.
pub(crate) struct Owed {
    _permit: OwnedSemaphorePermit,
    owed: Arc<AtomicUsize>,
}

impl Drop for Owed {
    fn drop(&mut self) {
        self.owed.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How it stands with a link's queue.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    bytes: AtomicUsize,
    /// Frames that have left.
    taken: AtomicU64,
}

impl Waiting {
    /// Counts a frame that left the queue.
    pub(crate) fn leave(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.taken.fetch_add(1, Ordering::Relaxed);
    }
}

/// The sending end of a link.
pub(crate) struct LinkQueue {
    /// Tells this link from later ones to the same peer.
    pub(crate) epoch: u64,
    frames: mpsc::Sender<Queued>,
    waiting: Arc<Waiting>,
    /// Number of [`Owed`] in the queue.
    owed: Arc<AtomicUsize>,
    /// Dropped with the queue, which tells the reading side that the link is over.
    _alive: watch::Sender<()>,
}

impl LinkQueue {
    /// A queue, its receiving end, and what is closed when the driver drops the queue.
    pub(crate) fn new(epoch: u64) -> (LinkQueue, mpsc::Receiver<Queued>, watch::Receiver<()>) {
        let (frames, receiver) = mpsc::channel(QUEUE_FRAMES_MAX);
        let (alive, over) = watch::channel(());
        (LinkQueue { epoch, frames, waiting: Arc::default(), owed: Arc::default(), _alive: alive }, receiver, over)
    }

    /// To be told of each frame that leaves the queue.
    pub(crate) fn waiting(&self) -> Arc<Waiting> {
        Arc::clone(&self.waiting)
    }

    /// False when the queue is full or its link is gone.
    fn push(&self, frame: Vec<u8>) -> bool {
        let bytes = frame.len();
        let waiting = self.waiting.bytes.fetch_add(bytes, Ordering::Relaxed);
        waiting + bytes <= QUEUE_BYTES_MAX && self.frames.try_send(Queued::Frame(frame)).is_ok()
    }

    /// Gives the permit back when all that is queued now has left, so that whoever reads slowly asks slowly.
    fn give_back_later(&self, permit: OwnedSemaphorePermit) {
        if self.owed.load(Ordering::Relaxed) < ANSWERS_OWED_MAX {
            self.owed.fetch_add(1, Ordering::Relaxed);
            let owed = Owed { _permit: permit, owed: Arc::clone(&self.owed) };
            // A full queue gives it back at once; its link ends with the next frame.
            let _ = self.frames.try_send(Queued::Answered(owed));
        }
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
    /// Versions were queued since a frame of the peer was last done with: they are its answer.
    has_answered: bool,
    /// Put off until the peer's budget allows them; bounded by the permits that they keep.
    put_off: VecDeque<(Answer, Option<OwnedSemaphorePermit>)>,
    /// Frames that had left the queue, and since when it has been so.
    taken: (u64, Instant),
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
        let taken = (0, Instant::now());
        let link = Link { outbound, queue, has_answered: false, put_off: VecDeque::new(), taken };
        self.links.insert(peer, link);
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

    /// Peers that have let frames wait for [`STALLED_MAX`] and taken none of them. What they leave in the queue is memory.
    pub(super) fn stalled(&mut self, now: Instant) -> Vec<Peer> {
        let mut stalled = Vec::new();
        for (peer, link) in &mut self.links {
            let taken = link.queue.waiting.taken.load(Ordering::Relaxed);
            if taken != link.taken.0 || link.queue.waiting.bytes.load(Ordering::Relaxed) == 0 {
                link.taken = (taken, now);
            } else if now.saturating_duration_since(link.taken.1) >= STALLED_MAX {
                stalled.push(*peer);
            }
        }
        stalled
    }

    /// Keeps the permit of a frame that the node is given.
    pub(super) fn begin(&mut self, peer: Peer, permit: OwnedSemaphorePermit) {
        self.in_work.entry(peer).or_default().push(permit);
    }

    /// Gives back the permit of a frame that is done with, over whichever link it came: at once, or when its answer has
    /// left.
    pub(super) fn processed(&mut self, peer: &Peer) {
        let Some(permits) = self.in_work.get_mut(peer) else { return };
        let permit = permits.pop();
        if permits.is_empty() {
            self.in_work.remove(peer);
        }
        let (Some(permit), Some(link)) = (permit, self.links.get_mut(peer)) else { return };
        let has_answered = std::mem::take(&mut link.has_answered);
        match link.put_off.back_mut() {
            Some((_, kept @ None)) => *kept = Some(permit),
            _ if has_answered => link.queue.give_back_later(permit),
            _ => {}
        }
    }

    /// Notes that versions were queued.
    pub(super) fn answered(&mut self, peer: &Peer) {
        if let Some(link) = self.links.get_mut(peer) {
            link.has_answered = true;
        }
    }

    /// Keeps an answer until the peer's budget allows it.
    pub(super) fn put_off(&mut self, peer: &Peer, answer: Answer) {
        if let Some(link) = self.links.get_mut(peer) {
            link.put_off.push_back((answer, None));
        }
    }

    /// Peers with answers that were put off.
    pub(super) fn waiting(&self) -> Vec<Peer> {
        self.links.iter().filter(|(_, link)| !link.put_off.is_empty()).map(|(peer, _)| *peer).collect()
    }

    /// The oldest answer that was put off, with the permit of its request.
    pub(super) fn next_put_off(&mut self, peer: &Peer) -> Option<(Answer, Option<OwnedSemaphorePermit>)> {
        self.links.get_mut(peer)?.put_off.pop_front()
    }

    /// Gives back the permit of an answer that was put off and is queued now.
    pub(super) fn answered_late(&mut self, peer: &Peer, permit: Option<OwnedSemaphorePermit>) {
        if let (Some(permit), Some(link)) = (permit, self.links.get_mut(peer)) {
            link.has_answered = false;
            link.queue.give_back_later(permit);
        }
    }

    pub(super) fn is_up(&self, peer: &Peer) -> bool {
        self.links.contains_key(peer)
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
