//! Links: the `Peer` service for those who dial us, and the pump between a gRPC stream and the driver.
//!
//! In: frames as bytes, from an authenticated peer. Out: frames from the driver's queue for that peer.
//! Always: a frame is read only while fewer than `FRAMES_IN_WORK_MAX` of the peer's are being worked on; frames are not
//! decoded here.
//! Spec: `spec/06-link.md`. Tested: `tests/cluster`.

mod dialler;
mod frame;
mod joining;
mod service;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use fingerpost_proto::limits::FRAME_BYTES_MAX;
use fingerpost_proto::node::Peer;
use tokio::sync::{mpsc, watch};
use tokio_stream::{Stream, StreamExt};
use tonic::{Code, Status};

pub(crate) use dialler::Dialler;
pub use frame::RawFrame;
pub(crate) use joining::{JoinError, Joining};
pub(crate) use service::PeerService;

use crate::driver::{Command, DriverHandle, LinkQueue};

/// A link that was closed is given so long to deliver its last frame.
const FAREWELL: Duration = Duration::from_secs(2);

static EPOCHS: AtomicU64 = AtomicU64::new(1);

/// The two ends of a new link's queue.
struct Ends {
    queue: LinkQueue,
    outgoing: Outgoing,
    ended: watch::Receiver<bool>,
}

fn ends() -> Ends {
    let (queue, frames) = LinkQueue::new(EPOCHS.fetch_add(1, Ordering::Relaxed));
    let (end, ended) = watch::channel(false);
    let outgoing = Outgoing { frames, waiting_bytes: queue.counter(), end };
    Ends { queue, outgoing, ended }
}

/// Frames of the driver's queue as a stream. Tells the reading side when the driver closed the queue.
pub(crate) struct Outgoing {
    frames: mpsc::Receiver<Vec<u8>>,
    waiting_bytes: Arc<AtomicUsize>,
    end: watch::Sender<bool>,
}

impl Outgoing {
    fn poll_frame(&mut self, context: &mut std::task::Context<'_>) -> std::task::Poll<Option<RawFrame>> {
        self.frames.poll_recv(context).map(|frame| match frame {
            Some(frame) => {
                self.waiting_bytes.fetch_sub(frame.len(), Ordering::Relaxed);
                Some(RawFrame::from(frame))
            }
            None => {
                self.end.send_replace(true);
                None
            }
        })
    }
}

/// Reads frames until either side ends, then says that the link is down.
async fn pump(
    driver: DriverHandle,
    peer: Peer,
    outbound: bool,
    queue: LinkQueue,
    mut ended: watch::Receiver<bool>,
    mut incoming: impl Stream<Item = Result<RawFrame, Status>> + Unpin,
) {
    let (epoch, permits) = (queue.epoch, Arc::clone(&queue.permits));
    // The driver alone keeps the queue: when it drops it, the link ends.
    if driver.send(Command::LinkUp { peer, outbound, queue }).await.is_err() {
        return;
    }
    loop {
        let Ok(permit) = permits.acquire().await else { break };
        permit.forget();
        let frame = tokio::select! {
            frame = incoming.next() => frame,
            () = has_ended(&mut ended) => {
                // Our last words are on their way. The peer closes when it has read them.
                let _ = tokio::time::timeout(FAREWELL, async { while let Some(Ok(_)) = incoming.next().await {} }).await;
                break;
            }
        };
        let frame = match frame {
            Some(Ok(frame)) => frame,
            Some(Err(status)) if status.code() == Code::OutOfRange => {
                let message = format!("a frame has at most {FRAME_BYTES_MAX} bytes: {}", status.message());
                if driver.send(Command::Oversized { peer, epoch, message }).await.is_ok() {
                    let _ = tokio::time::timeout(FAREWELL, has_ended(&mut ended)).await;
                }
                break;
            }
            _ => break,
        };
        if driver.send(Command::Received { peer, epoch, frame: frame.into_bytes() }).await.is_err() {
            break;
        }
    }
    let _ = driver.send(Command::LinkDown { peer, epoch }).await;
}

async fn has_ended(ended: &mut watch::Receiver<bool>) {
    // An error means that the sending side is gone, which is an end as well.
    let _ = ended.wait_for(|ended| *ended).await;
}
