//! Rules that tests take out, one at a time, to see whether anything notices.
//!
//! Only with the feature `canaries`, which nothing but tests switches on: without it every rule is in, and the compiler
//! removes the questions. One rule is out for a whole process, and for the processes it starts: the simulator calls
//! `take_out`, everything else is started with the rule's name in the variable `FINGERPOST_WITHOUT`.
//! Tested: `tests/simulation/canaries.rs` and `tests/switches`.

#[cfg(feature = "canaries")]
use std::sync::LazyLock;
#[cfg(feature = "canaries")]
use std::sync::atomic::{AtomicU32, Ordering};

/// The variable that names the rule which is out in a process and in those that it starts.
#[cfg(feature = "canaries")]
pub const VARIABLE: &str = "FINGERPOST_WITHOUT";

/// Writes the rules down once: the enum, and all of them.
macro_rules! rules {
    ($($(#[$text:meta])* $name:ident,)*) => {
        /// A rule that can be taken out.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Canary {
            $($(#[$text])* $name,)*
        }

        impl Canary {
            /// All of them.
            pub const ALL: &[Canary] = &[$(Canary::$name,)*];
        }
    };
}

rules! {
    /// The greatest version wins: without it the one that comes last does.
    MergeRule,
    /// Of equal clocks the greater device key wins: without it the one that comes first does.
    MergeTie,
    /// Withdrawals, and what has lapsed, are kept as long as what they replaced could come back: without it, two days.
    Tombstone,
    /// What is too old is refused.
    TooOld,
    /// A version is taken only if its signature holds.
    Signature,
    /// What an admin handed in is on stable storage before the answer.
    Durability,
    /// Members' records go to members' nodes only.
    Audience,
    /// What lapses is no longer shown.
    Lease,
    /// A node confirms that it has erased something once that is on stable storage: without it, as soon as it hears of it.
    Receipt,
    /// What a revoked device signed leaves: without it, what was there stays.
    Revocation,
    /// Records beyond the charter's quota give way to those with lower keys: without it, none does.
    Quota,
    /// As many participants vouch for a member as the charter wants: without it, one is enough.
    Admission,
    /// A signature is checked strictly (RFC 8032): without it, with points of small order.
    StrictSignature,
    /// Keys of small order, or with a part of it, are refused.
    WeakKey,
    /// A version counts in one network.
    Network,
    /// The id of a record is made from its owner: without it, two organisations can have one.
    Owner,
    /// The id of a record is made from its audience, too.
    AudienceInId,
    /// A peer of another level of the protocol is parted from at the greeting.
    Level,
    /// What lacks by a head is looked for.
    HeadCover,
    /// Two heads of one device and moment become a proof.
    Witness,
    /// What is dated too far ahead waits.
    FarAhead,
    /// A clock far ahead that a node tells is not signed beyond.
    ClockOfNode,
    /// A clock is later than all that the node has seen.
    ClockSeen,
    /// A home that was copied or set back takes no records before it has compared.
    WaitForPeers,
    /// Of two successors of a card the better key wins: without it, the first to come.
    CardRank,
    /// Of organisations without standing a few statements of a few are remembered.
    Strangers,
    /// Whom to dial is drawn, and hints of neighbours choose between two at most: without it, among all.
    LinkDraw,
    /// Versions beyond the charter's number wait for another day.
    DayAllowance,
    /// Of one organisation so much is taken without having been asked for.
    PushPace,
    /// Work for nothing is counted, and costs the link.
    Burden,
    /// A frame has a greatest size.
    FrameSize,
    /// The size that a compressed frame states is its own and within the limit.
    StatedSize,
    /// A connection has a few streams.
    Streams,
    /// Connections and handshakes under way have a number.
    Seats,
    /// Streams that are opened and reset are counted.
    ResetStreams,
    /// The headers of a request have a greatest size.
    HeaderList,
    /// An error of `accept` is waited out: without it, it ends the loop.
    AcceptErrors,
    /// Ranges are in order, and no more than allowed.
    Ranges,
    /// A session has a greatest number of requests.
    SessionEnd,
    /// Digests are salted for each session.
    DigestSalt,
    /// Each version of a frame is judged alone: without it, one that is refused takes the others along.
    OneByOne,
    /// Only http, https, mailto and tel become links.
    Addresses,
    /// Controls and direction overrides are refused in texts.
    ForbiddenCharacters,
    /// Cells of a report that begin like a formula are made text.
    Formulas,
    /// Texts in calendars are escaped.
    CalendarText,
    /// Texts of others are escaped on the terminal.
    TerminalText,
    /// Texts of others are escaped in the log.
    LogText,
    /// The feed shows the public set only.
    PublicFeed,
    /// A key file that others can read is refused.
    KeyFileMode,
    /// No crash writes a dump of memory.
    MemoryDumps,
    /// Only the owner and root reach the admin socket.
    AdminUser,
    /// Requests of one address have a pace.
    FeedPace,
    /// A search reads a greatest number of records.
    SearchBound,
    /// No reader is named in the log.
    ReaderLog,
    /// As many participants object as the charter wants before a member is out: without it, one is enough.
    ObjectionQuorum,
    /// Whoever is linked anew asks for what it missed.
    CatchUp,
    /// What is read from the store is compared with its hash.
    RowProof,
    /// Only devices on an organisation's card sign for it, so that no host speaks for its guest.
    DeviceOnCard,
}

impl Canary {
    /// Those that the simulator must notice.
    pub const SIMULATED: [Canary; 12] = [
        Canary::MergeRule,
        Canary::MergeTie,
        Canary::Tombstone,
        Canary::TooOld,
        Canary::Signature,
        Canary::Durability,
        Canary::Audience,
        Canary::Lease,
        Canary::Receipt,
        Canary::Revocation,
        Canary::Quota,
        Canary::Admission,
    ];
}

#[cfg(feature = "canaries")]
#[allow(clippy::disallowed_methods, reason = "never part of a node that talks to others")]
static OUT: LazyLock<AtomicU32> = LazyLock::new(|| {
    let named = std::env::var(VARIABLE).unwrap_or_default();
    let canary = Canary::ALL.iter().find(|canary| format!("{canary:?}") == named);
    assert!(named.is_empty() || canary.is_some(), "{VARIABLE}: no rule is called {named}");
    AtomicU32::new(canary.map_or(0, |canary| number(*canary)))
});

/// Whether this rule is out. Without the feature none ever is.
#[cfg(not(feature = "canaries"))]
pub const fn is_out(_: Canary) -> bool {
    false
}

/// Takes one rule out of this process, or with `None` puts all back.
#[cfg(feature = "canaries")]
pub fn take_out(canary: Option<Canary>) {
    OUT.store(canary.map_or(0, number), Ordering::SeqCst);
}

/// Whether this rule is out.
#[cfg(feature = "canaries")]
pub fn is_out(canary: Canary) -> bool {
    OUT.load(Ordering::Relaxed) == number(canary)
}

/// Zero is none.
#[cfg(feature = "canaries")]
fn number(canary: Canary) -> u32 {
    canary as u32 + 1
}
