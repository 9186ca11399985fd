//! Links as the driver sees them: one queue for each peer, never waited for.
//!
//! Always: at most one link to a peer. Of two, the one that was dialled by the node with the lower key stays; a node that
//! dials again replaces its own older link (`spec/06-link.md`, section 2).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fingerpost_proto::key::PublicKey;
use fingerpost_proto::node::{Input, Peer, write_frame};
use fingerpost_proto::v1;
use fingerpost_proto::v1::frame::Content;
use tokio::sync::{Semaphore, mpsc};

/// Frames that may wait for a peer.
const QUEUE_FRAMES_MAX: usize = 4_096;
/// Bytes that may wait for a peer: two full answers to all its open wants.
const QUEUE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Frames of one peer that are being worked on; its next one is not read before.
const FRAMES_IN_WORK_MAX: usize = 8;

/// The sending end of a link.
#[derive(Clone)]
pub(crate) struct LinkQueue {
    /// Tells this link from later ones to the same peer.
    pub(crate) epoch: u64,
    frames: mpsc::Sender<Vec<u8>>,
    waiting_bytes: Arc<AtomicUsize>,
    /// Given back one by one as frames are done with.
    pub(crate) permits: Arc<Semaphore>,
}

impl LinkQueue {
    /// A queue and its receiving end. The receiver reports each frame it took with [`LinkQueue::sent`].
    pub(crate) fn new(epoch: u64) -> (LinkQueue, mpsc::Receiver<Vec<u8>>) {
        let (frames, receiver) = mpsc::channel(QUEUE_FRAMES_MAX);
        let permits = Arc::new(Semaphore::new(FRAMES_IN_WORK_MAX));
        (LinkQueue { epoch, frames, waiting_bytes: Arc::default(), permits }, receiver)
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
}

struct Link {
    outbound: bool,
    queue: LinkQueue,
}

impl Links {
    pub(super) fn new(own_key: PublicKey) -> Links {
        Links { own_key, links: HashMap::new() }
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
        if let Some(old) = self.links.insert(peer, Link { outbound, queue }) {
            old.queue.permits.close();
        }
        inputs.push(Input::Connected { peer, outbound });
        inputs
    }

    /// True when the link that went down was the current one.
    pub(super) fn down(&mut self, peer: &Peer, epoch: u64) -> bool {
        self.is_current(peer, epoch) && self.take(peer).is_some()
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
        self.take(peer);
        false
    }

    /// Gives back the permit of a frame that is done with.
    pub(super) fn processed(&self, peer: &Peer) {
        if let Some(link) = self.links.get(peer) {
            link.queue.permits.add_permits(1);
        }
    }

    /// Says why and closes.
    pub(super) fn close(&mut self, peer: &Peer, code: v1::ByeCode, message: &str) {
        if let Some(link) = self.take(peer) {
            say_bye(&link.queue, code, message);
        }
    }

    /// Closes a link to which nothing more is to be said.
    pub(super) fn drop_silently(&mut self, peer: &Peer) {
        self.take(peer);
    }

    /// Takes a link out and wakes its reader, which may be waiting for a permit that will never come.
    fn take(&mut self, peer: &Peer) -> Option<Link> {
        self.links.remove(peer).inspect(|link| link.queue.permits.close())
    }

    pub(super) fn close_all(&mut self, message: &str) {
        for (_, link) in self.links.drain() {
            link.queue.permits.close();
            say_bye(&link.queue, v1::ByeCode::Shutdown, message);
        }
    }
}

/// Queues a last frame. Dropping the queue afterwards ends the link once it is sent.
fn say_bye(queue: &LinkQueue, code: v1::ByeCode, message: &str) {
    let bye = v1::Bye { code: code.into(), message: message.to_owned() };
    queue.push(write_frame(Content::Bye(bye)));
}
