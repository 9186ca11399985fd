//! What happens to a node.

use std::collections::BTreeSet;

use super::{Unverified, VerifiedVersion};
use crate::key::PublicKey;
use crate::overlay::DialFailure;
use crate::set::Slot;

/// A peer is named by its node key: two links to one node never exist at a time.
pub type Peer = PublicKey;

/// A cause, handed to [`Node::handle`](super::Node::handle).
#[derive(Debug)]
pub enum Input {
    /// A link to a peer is up; the transport has proven its key.
    Connected {
        /// The other node.
        peer: Peer,
        /// True when this node dialled, on purpose and with the key pinned.
        outbound: bool,
    },
    /// The link is down. Nothing more will arrive from it.
    Disconnected {
        /// The other node.
        peer: Peer,
    },
    /// A frame arrived. Its bytes are untrusted.
    Received {
        /// Who sent it.
        peer: Peer,
        /// Serialised `Frame`, at most [`FRAME_BYTES_MAX`](crate::limits::FRAME_BYTES_MAX).
        frame: Vec<u8>,
    },
    /// A frame was larger than any may be, by the length before it; the transport did not read it.
    Oversized {
        /// Who sent it.
        peer: Peer,
        /// What the transport says of it; told to the peer.
        message: String,
    },
    /// An admin, or a joining organisation, hands in signed versions.
    Published {
        /// Names the answer, [`Output::Published`](super::Output::Published).
        ticket: u64,
        /// Envelopes; untrusted.
        envelopes: Vec<Vec<u8>>,
    },
    /// What [`Output::Sign`](super::Output::Sign) asked for.
    Signed {
        /// The signed version's envelope.
        envelope: Vec<u8>,
    },
    /// Versions handed out by [`Output::Verify`](super::Output::Verify) were checked.
    Verified {
        /// The request's ticket.
        ticket: u64,
        /// In the order of the request.
        versions: Vec<Result<VerifiedVersion, Unverified>>,
    },
    /// The store no longer has this slot, or its bytes are damaged: forget it here, so that a peer sends it again.
    Lost {
        /// The slot.
        slot: Slot,
    },
    /// A dial that [`Output::Dial`](super::Output::Dial) asked for came to nothing.
    DialFailed {
        /// Whom.
        peer: Peer,
        /// Why.
        why: DialFailure,
    },
    /// A node to be linked to although no member's card names it (yet): from an invite, or from the operator.
    Introduced {
        /// The other node.
        peer: Peer,
    },
    /// The operator's list of allowed mirrors; replaces the one before. The first [`MIRRORS_MAX`](crate::limits::MIRRORS_MAX) count.
    Mirrors {
        /// Their node keys.
        keys: BTreeSet<Peer>,
    },
    /// About a quarter of a second has passed.
    Tick,
}
