//! Links: the `Peer` service for those who dial us, and the pump between a gRPC stream and the driver.
//!
//! In: frames as bytes, from an authenticated peer. Out: frames from the driver's queue for that peer.
//! Always: a frame is read only while fewer than `FRAMES_IN_WORK_MAX` of the peer's are being worked on; frames are not
//! decoded here.
//! Spec: `spec/06-link.md`. Tested: `tests/cluster`.

mod dialler;
mod following;
mod frame;
mod service;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use fingerpost_proto::node::Peer;
use tokio::sync::{mpsc, watch};
use tokio_stream::{Stream, StreamExt};
use tonic::{Code, Status};

pub(crate) use dialler::Dialler;
pub(crate) use following::follow;
pub use frame::RawFrame;
pub(crate) use service::PeerService;

use crate::driver::{Command, DriverHandle, LinkQueue, Queued, Waiting};

/// A link that was closed is given so long to deliver what is queued.
const LAST_WORDS: Duration = Duration::from_secs(10);
/// The peer is given so long to read the last frame and to close.
const FAREWELL: Duration = Duration::from_secs(2);

/// Frames that are read and dropped meanwhile: what was under way when the link ended. More are left to flow control.
const FAREWELL_FRAMES_MAX: usize = 256;

static EPOCHS: AtomicU64 = AtomicU64::new(1);

/// The two ends of a new link's queue.
struct Ends {
    queue: LinkQueue,
    outgoing: Outgoing,
    ends: Ending,
}

/// How the reading side learns that the link ends.
struct Ending {
    /// The driver dropped the queue.
    over: watch::Receiver<()>,
    /// All that was queued has left.
    ended: watch::Receiver<bool>,
}

fn ends() -> Ends {
    let (queue, frames, over) = LinkQueue::new(EPOCHS.fetch_add(1, Ordering::Relaxed));
    let (end, ended) = watch::channel(false);
    let outgoing = Outgoing { frames, waiting: queue.waiting(), end };
    Ends { queue, outgoing, ends: Ending { over, ended } }
}

/// Frames of the driver's queue as a stream. Tells the reading side when the driver closed the queue.
pub(crate) struct Outgoing {
    frames: mpsc::Receiver<Queued>,
    waiting: Arc<Waiting>,
    end: watch::Sender<bool>,
}

impl Outgoing {
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<RawFrame>> {
        loop {
            return match self.frames.poll_recv(context) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Some(Queued::Frame(frame))) => {
                    self.waiting.leave(frame.len());
                    Poll::Ready(Some(RawFrame::from(frame)))
                }
                Poll::Ready(Some(Queued::Answered(owed))) => {
                    drop(owed);
                    continue;
                }
                Poll::Ready(None) => {
                    self.end.send_replace(true);
                    Poll::Ready(None)
                }
            };
        }
    }
}

/// Reads frames until either side ends, then says that the link is down.
async fn pump(
    driver: DriverHandle,
    peer: Peer,
    outbound: bool,
    queue: LinkQueue,
    ends: Ending,
    mut incoming: impl Stream<Item = Result<RawFrame, Status>> + Unpin,
) {
    let (epoch, Ending { mut over, mut ended }) = (queue.epoch, ends);
    let room = driver.frames_in_work(peer);
    // The driver alone keeps the queue: when it drops it, the link ends.
    if driver.send(Command::LinkUp { peer, outbound, queue }).await.is_err() {
        return;
    }
    loop {
        // The permit is held by whoever works on the frame, so that a link's end gives none away.
        let read = async {
            let permit = Arc::clone(&room).acquire_owned().await;
            (incoming.next().await, permit)
        };
        let read = tokio::select! {
            read = read => Some(read),
            _ = over.changed() => None,
            () = has_ended(&mut ended) => None,
        };
        let Some((frame, Ok(permit))) = read else {
            farewell(&mut incoming, &mut ended).await;
            break;
        };
        let frame = match frame {
            Some(Ok(frame)) => frame,
            Some(Err(status)) if status.code() == Code::OutOfRange => {
                let message = status.message().to_owned();
                if driver.send(Command::Oversized { peer, epoch, message }).await.is_ok() {
                    let _ = tokio::time::timeout(FAREWELL, has_ended(&mut ended)).await;
                }
                break;
            }
            _ => break,
        };
        if driver.send(Command::Received { peer, epoch, frame: frame.into_bytes(), permit }).await.is_err() {
            break;
        }
    }
    let _ = driver.send(Command::LinkDown { peer, epoch }).await;
}

async fn has_ended(ended: &mut watch::Receiver<bool>) {
    // An error means that the sending side is gone, which is an end as well.
    let _ = ended.wait_for(|ended| *ended).await;
}

/// Our last words are on their way: gives the peer time to read them and to close. What it still sends is dropped.
async fn farewell<E>(
    incoming: &mut (impl Stream<Item = Result<RawFrame, E>> + Unpin),
    ended: &mut watch::Receiver<bool>,
) {
    let closed = async {
        for _ in 0..FAREWELL_FRAMES_MAX {
            let Some(Ok(_)) = incoming.next().await else { return };
        }
        std::future::pending().await
    };
    let until = async {
        let _ = tokio::time::timeout(LAST_WORDS, has_ended(ended)).await;
        tokio::time::sleep(FAREWELL).await;
    };
    tokio::select! {
        () = closed => {}
        () = until => {}
    }
}
