//! What one peer, and all peers together, can have the driver hold and do. `spec/08-limits.md` lists them with their reasons; a
//! test compares the two.

use std::time::Duration;

/// Commands that wait for the driver; senders wait beyond.
pub(crate) const COMMANDS_MAX: usize = 1_024;
/// Frames that may wait for a peer.
pub(super) const QUEUE_FRAMES_MAX: usize = 4_096;
/// Bytes that may wait for a peer: full answers to all its open wants.
pub(super) const QUEUE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// A peer that lets frames wait for so long and takes none of them loses its link: a frame at 40 kbit/s takes 52 s. Keepalive is
/// answered by who reads no frames, too.
pub(super) const STALLED_MAX: Duration = Duration::from_millis(STALLED_MS_MAX);
/// The same in milliseconds.
pub(super) const STALLED_MS_MAX: u64 = 60_000;
/// Frames of one peer that are being worked on, over all its links; its next one is not read before.
pub(super) const FRAMES_IN_WORK_MAX: usize = 8;
/// Answers in a link's queue whose requests still count as frames in work: those of four wants, a fetch and a take. Some
/// room is left, or two nodes that answer each other would stop reading at the same time.
pub(super) const ANSWERS_OWED_MAX: usize = 6;
/// An answer to one request is cut off after so many bytes; the asker asks again for the rest. Large enough that the
/// round trip between two answers matters little, small enough that what people publish meanwhile waits for some milliseconds only, and
/// that four of them fit into a link's queue.
pub(super) const ANSWER_BYTES_MAX: usize = 512 * 1024;
/// Bytes of envelopes that a peer's key may have read for it at once: a whole set of a million usual records, twice.
pub(super) const ANSWERED_BYTES_BURST: u64 = 2 * 1024 * 1024 * 1024;
/// The same each second, in the long run: about a tenth of a core, and a whole set of a million every two minutes.
pub(super) const ANSWERED_BYTES_PER_SECOND: u64 = 8 * 1024 * 1024;
/// A row counts as so many bytes at least: looking it up costs as much as reading that.
pub(super) const ANSWERED_ROW_BYTES_MIN: u64 = 1_024;
/// Organisations without a node that one node carries, promised ones included.
pub(super) const HOSTED_MAX: usize = 256;

const _: () = assert!(ANSWERS_OWED_MAX + 2 <= FRAMES_IN_WORK_MAX);
const _: () = assert!(ANSWER_BYTES_MAX * 4 <= QUEUE_BYTES_MAX);
