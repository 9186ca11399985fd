//! Every limit that two nodes must agree on, with its unit. Reasons: `spec/08-limits.md`; a test compares the two.

/// Largest envelope (signature, header and body), in bytes.
pub const ENVELOPE_BYTES_MAX: usize = 64 * 1024;
/// Largest frame on a link, in bytes of serialised protobuf.
pub const FRAME_BYTES_MAX: usize = 256 * 1024;
/// Envelopes in one `Versions` frame.
pub const VERSIONS_PER_FRAME_MAX: usize = 1_024;
/// Bytes of envelopes that a sender puts into one `Versions` frame.
pub const VERSIONS_FRAME_BYTES_MAX: usize = 240 * 1024;
/// Ranges in one `Reconcile` frame, those without content included.
pub const RANGES_PER_FRAME_MAX: usize = 2_304;
/// Ranges that are not skipped in a `Reconcile` frame that asks for a reply.
pub const OPEN_RANGES_PER_REQUEST_MAX: usize = 128;
/// Digests listed in one range.
pub const DIGESTS_PER_RANGE_MAX: usize = 32;
/// Own entries of a range that are compared with listed digests. A side with more cuts the range.
pub const COMPARED_ENTRIES_PER_RANGE_MAX: usize = 64;
/// Parts into which a differing range is cut.
pub const RANGE_FAN_OUT: usize = 16;
/// Rounds in one reconciliation session.
pub const ROUNDS_MAX: u32 = 16;
/// Pairs that one answer to a `Reconcile` offers. A peer that lacks more hears of the rest in its next session.
pub const OFFERS_PER_ANSWER_MAX: usize = 16_384;
/// Pairs in one `Offer`.
pub const OFFER_PAIRS_MAX: usize = 4_096;
/// Keys in one `Want`.
pub const WANT_KEYS_MAX: usize = 1_024;
/// Keys of one answer to a `Fetch`.
pub const FETCH_KEYS_MAX: usize = 4_096;
/// Hints in one `Arrivals`.
pub const HINTS_PER_ARRIVALS_MAX: usize = 12_288;
/// Versions that are sent at once, without a hint or offer before: arrivals, and what a session found.
pub const DIRECT_VERSIONS_MAX: usize = 16;
/// `Want` frames of one peer that are not yet answered.
pub const WANTS_OPEN_MAX: usize = 4;

/// A version whose clock is further ahead of this node's than this is set aside, in milliseconds.
pub const CLOCK_AHEAD_MS_MAX: u64 = 10 * 60 * 1_000;
/// Longest lease, and how long a version can matter at all, in days.
pub const LEASE_DAYS_MAX: u32 = 400;
/// Lease when the publisher names none, in days.
pub const LEASE_DAYS_DEFAULT: u32 = 180;
/// Kept beyond [`LEASE_DAYS_MAX`] for nodes whose clocks are slow, in hours.
pub const RETENTION_MARGIN_HOURS: u32 = 24;

/// Versions set aside because their clock is ahead or their publisher is unknown, per node.
pub const QUARANTINE_VERSIONS_MAX: usize = 4_096;
/// Bytes of envelopes set aside, per node.
pub const QUARANTINE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Links that one node keeps open.
pub const LINKS_MAX: usize = 64;
/// Mirrors that one node allows, besides its links.
pub const MIRRORS_MAX: usize = 16;

/// Longest local id, in bytes.
pub const LOCAL_ID_BYTES_MAX: usize = 128;
/// Longest one-line text (name, title, label …), in bytes.
pub const LINE_BYTES_MAX: usize = 1_000;
/// Longest running text (description …), in bytes.
pub const TEXT_BYTES_MAX: usize = 32 * 1024;
/// Longest URL or e-mail address, in bytes.
pub const URL_BYTES_MAX: usize = 2_048;
/// Entries in any list of a body.
pub const LIST_ENTRIES_MAX: usize = 256;
/// Translations of one record.
pub const TRANSLATIONS_MAX: usize = 64;
/// Translated fields in one translation.
pub const TRANSLATED_FIELDS_MAX: usize = 32;
/// Longest BCP 47 tag, in bytes.
pub const LANGUAGE_TAG_BYTES_MAX: usize = 35;

/// Erasures in one receipt.
pub const RECEIPT_ERASURES_MAX: usize = 256;
/// Bytes of a head's envelope in a proof: more than twice what one takes.
pub const PROVEN_HEAD_BYTES_MAX: usize = 1_024;
/// Longest lease of a redaction or receipt, in days.
pub const REDACTION_LEASE_DAYS_MAX: u32 = 60;

/// Largest card or charter, in bytes.
pub const CARD_BYTES_MAX: usize = 16 * 1024;
/// Root keys on one card.
pub const ROOT_KEYS_MAX: usize = 8;
/// Devices on one card.
pub const DEVICES_MAX: usize = 64;
/// Highest sequence of a card: so many cards may follow the first.
pub const CARD_SEQUENCE_MAX: u64 = 1_023;
/// Versions and invitations that one card upholds although it does not list their devices.
pub const UPHELD_MAX: usize = 256;
/// Endpoints on one card or invite code.
pub const ENDPOINTS_MAX: usize = 8;
/// Longest `host:port`, in bytes.
pub const ENDPOINT_BYTES_MAX: usize = 262;
/// Longest name of an organisation, device or network on a card or charter, in bytes.
pub const NAME_BYTES_MAX: usize = 200;
/// Principles in a charter.
pub const PRINCIPLES_MAX: usize = 32;
/// Longest purpose or principle, in bytes.
pub const PRINCIPLE_BYTES_MAX: usize = 4_000;
/// Founders in a charter.
pub const FOUNDERS_MAX: usize = 256;
/// Longest invite code, in characters.
pub const INVITE_CODE_CHARS_MAX: usize = 8_192;

const _: () = assert!(VERSIONS_FRAME_BYTES_MAX >= ENVELOPE_BYTES_MAX, "one version must fit into a frame");
const _: () = assert!(VERSIONS_FRAME_BYTES_MAX + VERSIONS_PER_FRAME_MAX * 4 + 64 < FRAME_BYTES_MAX, "framing fits too");
const _: () = assert!(
    OPEN_RANGES_PER_REQUEST_MAX * (RANGE_FAN_OUT + 1) < RANGES_PER_FRAME_MAX,
    "a reply fits its frame, with a gap before and after each range that it cuts"
);
const _: () = assert!(
    OPEN_RANGES_PER_REQUEST_MAX * (DIGESTS_PER_RANGE_MAX * 4 + 19) < FRAME_BYTES_MAX,
    "a reply made only of lists fits its frame"
);
const _: () = assert!(OFFER_PAIRS_MAX * 33 < FRAME_BYTES_MAX && WANT_KEYS_MAX * 17 < FRAME_BYTES_MAX);
const _: () = assert!(HINTS_PER_ARRIVALS_MAX * 21 + 64 < FRAME_BYTES_MAX);
const _: () = assert!(TEXT_BYTES_MAX < ENVELOPE_BYTES_MAX);
const _: () = assert!(RECEIPT_ERASURES_MAX * 84 + 512 < ENVELOPE_BYTES_MAX, "a full receipt fits its envelope");
