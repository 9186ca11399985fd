//! What a node wants done.

use super::arrivals::LogPlace;
use super::input::Peer;
use super::reject::Reject;
use crate::id::{OrgId, RecordId, Vid};
use crate::key::PublicKey;
use crate::kind::{Audience, Kind};
use crate::set::Slot;
use crate::time::Hlc;
use crate::v1;
use crate::version::{Header, SignedVersion};

/// An effect. Outputs are performed in order; whatever follows a [`Output::Persist`] relies on it.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Check these versions ([`VerifiedVersion`](super::VerifiedVersion)), each under the key beside it, and come back with [`Input::Verified`](super::Input).
    Verify {
        /// Names the answer.
        ticket: u64,
        /// What to check.
        versions: Vec<(SignedVersion, PublicKey)>,
    },
    /// Read what stands in these slots and check it as for [`Output::Verify`], each under the key beside it; what is not there
    /// is left out. Comes back as [`Input::Verified`](super::Input), also when nothing is there. Nobody waits for it.
    Audit {
        /// Names the answer.
        ticket: u64,
        /// What to read and check.
        slots: Vec<(Slot, PublicKey)>,
    },
    /// Change the store. All of it or nothing.
    Persist {
        /// In order; a later one may concern the same slot. None and `durable`: only what came before must be.
        operations: Vec<Operation>,
        /// On stable storage before the next output is performed; otherwise within a second.
        durable: bool,
    },
    /// Queue a frame for each of these peers. A peer whose queue is full loses its link.
    Send {
        /// Receivers.
        to: Vec<Peer>,
        /// Serialised `Frame`.
        frame: Vec<u8>,
    },
    /// Read these slots from the store and queue them for a peer, by [`versions_frames`](super::versions_frames).
    SendVersions {
        /// Receiver.
        to: Peer,
        /// The `Want` that this answers; 0: none.
        want: u64,
        /// What to read; absent slots are left out.
        slots: Vec<Slot>,
        /// Tell the receiver, in the last frame, that more was asked for than is sent. Also true when not all of `slots`
        /// are sent because they are too many bytes.
        more: bool,
    },
    /// Dial this node at the addresses on members' cards or from elsewhere. Comes back as [`Input::Connected`](super::Input)
    /// or [`Input::DialFailed`](super::Input).
    Dial {
        /// Whom.
        peer: Peer,
    },
    /// Queue a `Bye` and close the link once it is sent.
    Disconnect {
        /// The other node.
        peer: Peer,
        /// Told to it.
        code: v1::ByeCode,
        /// Told to it and logged.
        message: String,
    },
    /// Close a link without a word: the peer said its last.
    Close {
        /// The other node.
        peer: Peer,
    },
    /// A frame of this peer is done with, over whichever of its links it came: the next may be read.
    Processed {
        /// Whose frame.
        peer: Peer,
    },
    /// Sign this with the node's key and come back with [`Input::Signed`](super::Input::Signed).
    Sign {
        /// All but the signature of a version of an upkeep kind, of this node's own organisation.
        header: Box<Header>,
        /// Its body.
        body: Vec<u8>,
    },
    /// Answer to [`Input::Published`](super::Input::Published), one outcome for each envelope.
    Published {
        /// The request's ticket.
        ticket: u64,
        /// In the order of the request.
        outcomes: Vec<Outcome>,
    },
    /// For logs, metrics and the address book. Losing one harms nothing.
    Notice(Notice),
}

/// A change of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// This version wins its slot; whatever was there is erased.
    Put {
        /// Where.
        slot: Slot,
        /// What it is about.
        kind: Kind,
        /// Its name.
        vid: Vid,
        /// Its bytes.
        envelope: Vec<u8>,
        /// Handed in here: also goes to the journal.
        own: bool,
    },
    /// The lease ran out: the row stays, feeds drop it. Or it turned out that it had not, by a clock that was set right: feeds
    /// show it again.
    Lapse {
        /// Where.
        slot: Slot,
        /// Whether it ran out.
        has_lapsed: bool,
    },
    /// Nothing of this slot is needed any more.
    Forget {
        /// Where.
        slot: Slot,
    },
    /// The public records of this organisation that follow were taken for its head: nobody is shown any of them until
    /// [`Operation::Audited`]. Remembered by the store, for [`Node::restore_vouched`](super::Node::restore_vouched).
    Vouched {
        /// Whose.
        org: OrgId,
    },
    /// All of this organisation's records are checked by now: they may be shown.
    Audited {
        /// Whose.
        org: OrgId,
    },
    /// How far peers' arrival logs are consumed; replaces what was kept. Never ahead of what was persisted before.
    Cursors {
        /// At most 1,024.
        places: Vec<(Peer, Audience, LogPlace)>,
    },
}

/// What became of a published envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Stored; it wins its record.
    Published {
        /// It replaced something else than its signer had seen.
        concurrent: bool,
    },
    /// The same version was here already.
    Duplicate,
    /// A newer version is here; nothing changed.
    Superseded,
    /// Not acceptable; nothing changed.
    Rejected(Reject),
}

/// Something worth a log line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A version from a peer was not accepted. The peer may be innocent.
    Rejected {
        /// Who sent it.
        peer: Peer,
        /// Which record, when that could be read.
        record: Option<(OrgId, RecordId)>,
        /// Why.
        why: Reject,
    },
    /// Two people edited one record at once; the later edit shows.
    Concurrent {
        /// Publisher.
        org: OrgId,
        /// The record.
        record: RecordId,
        /// The version that shows.
        winner: Vid,
    },
    /// Members or their endpoints changed.
    MembersChanged,
    /// A set equals the peer's.
    InSync {
        /// The other node.
        peer: Peer,
        /// Which set.
        audience: Audience,
    },
    /// The peer's clock is off by more than a signer would accept.
    ClockDiffers {
        /// The other node.
        peer: Peer,
        /// Its clock minus ours, milliseconds.
        ahead_ms: i64,
    },
    /// [`Node::completeness`](super::Node::completeness) says something else of this organisation than before.
    Completeness {
        /// The organisation.
        org: OrgId,
        /// Of which records.
        audience: Audience,
    },
    /// By its newest head an organisation has something that is not here, or not as it is here, and it did not come within a minute.
    Lacking {
        /// The organisation.
        org: OrgId,
        /// Of which records.
        audience: Audience,
        /// Versions that the head covers.
        wanted: u64,
        /// Versions here that it should cover.
        found: u64,
    },
    /// A head of its organisation vouched for a version whose body or signature does not hold. It was not shown, nor sent on, and
    /// is gone.
    AuditFailed {
        /// The organisation.
        org: OrgId,
        /// Which record.
        record: RecordId,
        /// What is wrong with it.
        why: Reject,
    },
    /// Another copy of this node is at work: it signs heads with the same key.
    SecondCopy {
        /// When it signed one.
        signed_at: Hlc,
    },
    /// Peers hold a head that this node signed and no longer has: its home was set back to an older state.
    SetBack {
        /// When it was signed.
        signed_at: Hlc,
    },
    /// The first proof came that a device of this organisation signed two heads of one moment.
    Equivocation {
        /// The organisation.
        org: OrgId,
        /// The device.
        device: [u8; 32],
    },
    /// The peer said goodbye.
    Farewell {
        /// The other node.
        peer: Peer,
        /// Its reason.
        message: String,
    },
}
