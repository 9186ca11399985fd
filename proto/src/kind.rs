//! What a version is about, and who may read it.
//!
//! Spec: `spec/01-model.md`, section 3.

use std::fmt;

/// Kind number of a version. Unknown kinds are kept and relayed.
///
/// Numbers below [`Kind::NETWORK_FIRST`] are content: owned by a member, leased, withdrawable. Among them, those from
/// [`Kind::UPKEEP_FIRST`] on are upkeep: what nodes say about records, never shown to readers.
/// Numbers from [`Kind::NETWORK_FIRST`] on say who takes part in the network; they have no lease.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(pub u16);

impl Kind {
    /// An organisation's description of itself or of another.
    pub const ORGANISATION: Kind = Kind(1);
    /// A service that an organisation offers.
    pub const SERVICE: Kind = Kind(2);
    /// A place, or a place that must not be known.
    pub const LOCATION: Kind = Kind(3);
    /// Something at a date, once or repeating.
    pub const EVENT: Kind = Kind(4);
    /// First number of upkeep.
    pub const UPKEEP_FIRST: Kind = Kind(0x7f00);
    /// An organisation's signed summary of its live set.
    pub const HEAD: Kind = Kind(0x7f01);
    /// What must vanish everywhere.
    pub const REDACTION: Kind = Kind(0x7f02);
    /// What a node has erased.
    pub const RECEIPT: Kind = Kind(0x7f03);
    /// Proof that one device said two things of one moment.
    pub const EQUIVOCATION: Kind = Kind(0x7f04);
    /// First number that is about the network itself.
    pub const NETWORK_FIRST: Kind = Kind(0x8000);
    /// An organisation's card: its keys, devices and endpoints.
    pub const CARD: Kind = Kind(0x8001);
    /// Acceptance of the charter.
    pub const ACCEPTANCE: Kind = Kind(0x8002);
    /// A vouch for another organisation.
    pub const VOUCH: Kind = Kind(0x8003);
    /// An objection to another organisation.
    pub const OBJECTION: Kind = Kind(0x8004);
    /// The organisation leaves.
    pub const LEAVE: Kind = Kind(0x8005);

    /// True for kinds that a member owns, leases and can withdraw: records, and upkeep.
    pub fn is_content(self) -> bool {
        self < Self::NETWORK_FIRST
    }

    /// True for what nodes say about records, which readers never see.
    pub fn is_upkeep(self) -> bool {
        self.class() == Class::Upkeep
    }

    /// The class whose rules a kind follows.
    pub fn class(self) -> Class {
        match self {
            kind if kind >= Self::NETWORK_FIRST => Class::Network,
            kind if kind >= Self::UPKEEP_FIRST => Class::Upkeep,
            _ => Class::Record,
        }
    }

    /// The class whose signers may sign this kind: a redaction orders what is to be erased, so a node's key is not enough.
    pub fn signers(self) -> Class {
        if self == Self::REDACTION { Class::Record } else { self.class() }
    }

    /// Name in lower case for people and JSON; `None` for a kind this code does not know.
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::ORGANISATION => "organisation",
            Self::SERVICE => "service",
            Self::LOCATION => "location",
            Self::EVENT => "event",
            Self::CARD => "card",
            Self::ACCEPTANCE => "acceptance",
            Self::VOUCH => "vouch",
            Self::OBJECTION => "objection",
            Self::LEAVE => "leave",
            Self::HEAD => "head",
            Self::REDACTION => "redaction",
            Self::RECEIPT => "receipt",
            Self::EQUIVOCATION => "equivocation",
            _ => return None,
        })
    }

    /// The content kind with this name.
    pub fn from_name(name: &str) -> Option<Kind> {
        [Self::ORGANISATION, Self::SERVICE, Self::LOCATION, Self::EVENT]
            .into_iter()
            .find(|kind| kind.name() == Some(name))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "kind {}", self.0),
        }
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Kinds with the same rules, in the order of their wire numbers: the first byte of a set key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Who takes part: cards and statements.
    Network,
    /// What nodes say about records: heads. Leased and owned like records; node keys may sign it, too.
    Upkeep,
    /// What readers are shown.
    Record,
}

impl Class {
    /// Wire number: 0 network, 1 upkeep, 2 records.
    pub fn number(self) -> u8 {
        match self {
            Class::Network => 0,
            Class::Upkeep => 1,
            Class::Record => 2,
        }
    }
}

/// Who may receive a record. Part of the record's identity: changing it is a withdrawal plus a new record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Audience {
    /// Anyone: feeds, mirrors, search engines.
    Public,
    /// Nodes of members only; never in a public output.
    Members,
}

impl Audience {
    /// Both audiences, in the order of their wire numbers.
    pub const ALL: [Audience; 2] = [Audience::Public, Audience::Members];

    /// Wire number: 0 public, 1 members.
    pub fn number(self) -> u8 {
        match self {
            Audience::Public => 0,
            Audience::Members => 1,
        }
    }

    /// The audience with this wire number.
    pub fn from_number(number: u32) -> Option<Audience> {
        match number {
            0 => Some(Audience::Public),
            1 => Some(Audience::Members),
            _ => None,
        }
    }

    /// `"public"` or `"members"`.
    pub fn name(self) -> &'static str {
        match self {
            Audience::Public => "public",
            Audience::Members => "members",
        }
    }

    /// The audience with this name.
    pub fn from_name(name: &str) -> Option<Audience> {
        Self::ALL.into_iter().find(|audience| audience.name() == name)
    }
}

impl fmt::Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
