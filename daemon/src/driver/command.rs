//! What the driver is told, and the handle that tells it.

use std::sync::Arc;

use fingerpost_proto::id::OrgId;
use fingerpost_proto::key::PublicKey;
use fingerpost_proto::network::invite::Invitation;
use fingerpost_proto::node::{Input, Node, Outcome, Peer};
use fingerpost_proto::overlay::DialFailure;
use fingerpost_proto::set::Slot;
use fingerpost_proto::v1;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::blocking::Blocked;
use super::hosting::Hosting;
use super::invites::Invites;
use super::limits::COMMANDS_MAX;
use super::links::{FramesInWork, LinkQueue};
use super::mirrors::Mirrors;
use crate::store::{Store, Usage};

/// A cause for the driver.
pub(crate) enum Command {
    /// A link is up; frames for it go into `queue`.
    LinkUp { peer: Peer, outbound: bool, queue: LinkQueue },
    /// The link with this number is down.
    LinkDown { peer: Peer, epoch: u64 },
    /// A frame came over the link with this number. The permit is given back when the node is done with it.
    Received { peer: Peer, epoch: u64, frame: Vec<u8>, permit: OwnedSemaphorePermit },
    /// A frame over the link with this number was larger than any may be; it was not read.
    Oversized { peer: Peer, epoch: u64, message: String },
    /// Signatures were checked.
    Verified(Input),
    /// Somebody hands in versions. The reply is dropped when there is no network.
    Publish { envelopes: Vec<Vec<u8>>, reply: oneshot::Sender<Vec<Outcome>> },
    /// Enter a network with these first versions; refused when there is one. `inviter` is the node to begin with.
    Found {
        charter: Vec<u8>,
        envelopes: Vec<Vec<u8>>,
        inviter: Option<(Peer, Vec<String>)>,
        reply: oneshot::Sender<Result<(), String>>,
    },
    /// Let the holder of the one-time key knock.
    /// Who uses it is carried from then on, if `carries`.
    RegisterInvite { invitation: v1::Invitation, carries: bool, reply: oneshot::Sender<Result<(), String>> },
    /// Show an organisation's records no more, or again. Answers whether anything changed, or why not.
    Block { org: OrgId, lift: bool, reply: oneshot::Sender<Result<bool, String>> },
    /// The one-time key opened the door once, for this organisation; that was all it was for. Answers when it is remembered whom
    /// this node carries now.
    InviteUsed { key: PublicKey, org: OrgId, reply: oneshot::Sender<Result<(), String>> },
    /// Carry an organisation no longer. Answers whether anything changed, or why not.
    StopHosting { org: OrgId, reply: oneshot::Sender<Result<bool, String>> },
    /// Let a read-only mirror in. Answers whether anything changed, or why not.
    AllowMirror { key: PublicKey, label: String, reply: oneshot::Sender<Result<bool, String>> },
    /// Let it in no more; its link ends.
    ForbidMirror { key: PublicKey, reply: oneshot::Sender<Result<bool, String>> },
    /// Look at the state between two batches.
    Look(Box<dyn FnOnce(&View<'_>) + Send>),
    /// A dial that the node asked for failed.
    DialFailed { peer: Peer, why: DialFailure },
    /// A node to be linked to, whatever members' cards say.
    Introduce { peer: Peer },
    /// A reader met a damaged row.
    Lost { slot: Slot },
    /// A quarter of a second has passed.
    Tick,
    /// Rewrite the store.
    Compact { reply: oneshot::Sender<Result<Usage, String>> },
    /// Say goodbye, sync, end.
    Stop { done: oneshot::Sender<()> },
}

impl Command {
    /// True for what somebody waits for who is no peer: it goes before all that peers sent.
    fn is_urgent(&self) -> bool {
        matches!(self, Command::Publish { .. })
    }
}

/// What waits for the driver.
pub(crate) struct Commands {
    sent: mpsc::Receiver<Option<Command>>,
    urgent: mpsc::Receiver<Command>,
}

impl Commands {
    /// Waits for the next command; urgent ones come first. `None`: every handle is gone.
    pub(crate) fn take(&mut self) -> Option<Command> {
        loop {
            if let Ok(command) = self.urgent.try_recv() {
                return Some(command);
            }
            // An empty one only wakes the driver.
            if let Some(command) = self.sent.blocking_recv()? {
                return Some(command);
            }
        }
    }

    /// As [`Commands::take`], for tests that have a runtime.
    #[cfg(test)]
    pub(crate) async fn recv(&mut self) -> Option<Command> {
        loop {
            if let Ok(command) = self.urgent.try_recv() {
                return Some(command);
            }
            if let Some(command) = self.sent.recv().await? {
                return Some(command);
            }
        }
    }

    /// The next command that waits already, and whether it is urgent.
    pub(crate) fn try_take(&mut self) -> Option<(Command, bool)> {
        loop {
            if let Ok(command) = self.urgent.try_recv() {
                return Some((command, true));
            }
            if let Some(command) = self.sent.try_recv().ok()? {
                return Some((command, false));
            }
        }
    }
}

/// The driver's state, for looking.
pub(crate) struct View<'a> {
    /// `None` before a network is created or joined.
    pub(crate) node: Option<&'a Node>,
    pub(crate) store: &'a dyn Store,
    pub(crate) read_only: Option<&'a str>,
    pub(super) invites: &'a Invites,
    /// Organisations that this node does not show.
    pub(crate) blocked: &'a Blocked,
    /// Organisations without a node that this node carries.
    pub(crate) hosting: &'a Hosting,
    /// Mirrors that may get the public set from this node.
    pub(crate) mirrors: &'a Mirrors,
    pub(super) own_key: PublicKey,
}

impl View<'_> {
    /// The open invite with this one-time key.
    pub(crate) fn invitation(&self, one_time_key: &PublicKey) -> Option<&Invitation> {
        self.invites.get(one_time_key)
    }
}

/// Tells the driver. Cheap to clone.
#[derive(Clone)]
pub(crate) struct DriverHandle {
    sender: mpsc::Sender<Option<Command>>,
    urgent: mpsc::Sender<Command>,
    frames_in_work: Arc<FramesInWork>,
}

/// The driver has stopped.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the node is shutting down; try again when it runs")]
pub(crate) struct Stopped;

impl DriverHandle {
    /// A handle, and where its commands arrive.
    pub(crate) fn new() -> (DriverHandle, Commands) {
        let ((sender, sent), (urgent, waiting)) = (mpsc::channel(COMMANDS_MAX), mpsc::channel(COMMANDS_MAX));
        let handle = DriverHandle { sender, urgent, frames_in_work: Arc::default() };
        (handle, Commands { sent, urgent: waiting })
    }

    /// Whoever reads frames of this peer takes a permit for each before reading it.
    pub(crate) fn frames_in_work(&self, peer: Peer) -> Arc<Semaphore> {
        self.frames_in_work.of(peer)
    }

    pub(crate) async fn send(&self, command: Command) -> Result<(), Stopped> {
        if !command.is_urgent() {
            return self.sender.send(Some(command)).await.map_err(|_| Stopped);
        }
        self.urgent.send(command).await.map_err(|_| Stopped)?;
        // Where there is no room for it the driver is awake.
        let _ = self.sender.try_send(None);
        Ok(())
    }

    /// For threads without a runtime.
    pub(crate) fn blocking_send(&self, command: Command) -> Result<(), Stopped> {
        self.sender.blocking_send(Some(command)).map_err(|_| Stopped)
    }

    /// As [`DriverHandle::blocking_send`], before all that peers sent.
    pub(crate) fn blocking_send_first(&self, command: Command) -> Result<(), Stopped> {
        self.urgent.blocking_send(command).map_err(|_| Stopped)?;
        let _ = self.sender.try_send(None);
        Ok(())
    }

    /// Reports a damaged row, if there is room in the queue: whoever meets it next reports it again.
    pub(crate) fn report_lost(&self, slot: Slot) {
        let _ = self.sender.try_send(Some(Command::Lost { slot }));
    }

    /// Runs `look` on the driver's thread and returns what it returns. It must be quick.
    pub(crate) async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&View<'_>) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (sender, receiver) = oneshot::channel();
        let look = Box::new(move |view: &View<'_>| drop(sender.send(look(view))));
        self.send(Command::Look(look)).await?;
        receiver.await.map_err(|_| Stopped)
    }

    /// Hands in versions and waits for their outcomes; `Ok(None)` when there is no network yet.
    pub(crate) async fn publish(&self, envelopes: Vec<Vec<u8>>) -> Result<Option<Vec<Outcome>>, Stopped> {
        let (reply, outcomes) = oneshot::channel();
        self.send(Command::Publish { envelopes, reply }).await?;
        Ok(outcomes.await.ok())
    }
}
