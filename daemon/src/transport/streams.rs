//! Which connections are made use of: each stream that a handler serves is counted, and a connection without any for too
//! long is cut.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::PeerIdentity;

/// Who asks, and over which connection. Found by handlers in the extensions of every request.
#[derive(Clone, Debug)]
pub struct Visitor {
    identity: PeerIdentity,
    streams: Arc<Mutex<Streams>>,
}

#[derive(Debug)]
struct Streams {
    open: usize,
    /// When the last one ended; at first, when the connection was accepted.
    idle_since: Instant,
}

/// A stream that a handler serves. While one exists, its connection is not cut for being idle.
#[derive(Debug)]
pub struct StreamInUse {
    streams: Arc<Mutex<Streams>>,
}

impl Visitor {
    pub(super) fn new(identity: PeerIdentity) -> Visitor {
        let streams = Streams { open: 0, idle_since: Instant::now() };
        Visitor { identity, streams: Arc::new(Mutex::new(streams)) }
    }

    /// Who is at the other end.
    pub fn identity(&self) -> PeerIdentity {
        self.identity
    }

    /// To be held as long as the request is served.
    pub fn serve(&self) -> StreamInUse {
        locked(&self.streams).open += 1;
        StreamInUse { streams: Arc::clone(&self.streams) }
    }

    /// Since when no stream has been in use; `None` while one is.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let streams = locked(&self.streams);
        (streams.open == 0).then_some(streams.idle_since)
    }
}

impl Drop for StreamInUse {
    fn drop(&mut self) {
        let mut streams = locked(&self.streams);
        streams.open -= 1;
        streams.idle_since = Instant::now();
    }
}

fn locked(streams: &Mutex<Streams>) -> MutexGuard<'_, Streams> {
    // Every change is complete before anything that could panic.
    streams.lock().unwrap_or_else(PoisonError::into_inner)
}
