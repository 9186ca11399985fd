//! Why a version is not accepted.
//!
//! Spec: `spec/09-errors.md`, section 1: the names are stable and told to admins and in vectors.

use crate::id::{NetworkId, OrgId};
use crate::kind::Audience;
use crate::network::card::CardError;
use crate::network::statement::StatementError;
use crate::network::succession::SuccessionError;
use crate::record::RecordError;
use crate::version::VersionError;

/// Why a version is not accepted.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Reject {
    /// The envelope or header is wrong.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// The body is wrong.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A card or statement is wrong.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// Signed for another network.
    #[error("signed for network {found}, this network is {expected}; sign it again for this one")]
    WrongNetwork {
        /// In the header.
        found: NetworkId,
        /// This network.
        expected: NetworkId,
    },
    /// Dated ahead. Relayed versions are set aside and tried again when due.
    #[error("dated {ahead_ms} ms ahead of this node's clock, the limit is {max_ms} ms; check both clocks")]
    FromTheFuture {
        /// How far ahead.
        ahead_ms: u64,
        /// How far is allowed.
        max_ms: u64,
    },
    /// Older than anything that can still matter.
    #[error("signed more than 400 days ago; confirm the record and publish it again")]
    TooOld,
    /// No card of its publisher is here yet.
    #[error("the card of organisation {org} is not known here; it must join the network first")]
    UnknownOrganisation {
        /// The publisher.
        org: OrgId,
    },
    /// A card whose predecessor is not here yet.
    #[error(
        "the card that this one follows is not known here; hand in all cards of organisation {org} that came before"
    )]
    UnknownPredecessor {
        /// The publisher.
        org: OrgId,
    },
    /// Its publisher is not (or no longer) a member.
    #[error("organisation {org} is not a member of this network; nothing that it publishes is shared")]
    NotAMember {
        /// The publisher.
        org: OrgId,
    },
    /// Signed by a key that may not sign for its publisher.
    #[error(
        "the signing key is not a publishing device on the current card of organisation {org}; see: fingerpost device list"
    )]
    UnknownDevice {
        /// The publisher.
        org: OrgId,
    },
    /// The signature does not hold.
    #[error("the signature does not hold; the version was changed after signing, or signed by another key")]
    BadSignature,
    /// No room to set it aside.
    #[error("too much is waiting for its publisher's membership; try again later")]
    QuarantineFull,
    /// Longer than the charter allows.
    #[error(
        "a record takes {found} bytes, this network's charter allows {max}; shorten its texts and publish it again"
    )]
    VersionTooLong {
        /// Bytes of the envelope.
        found: usize,
        /// Bytes that the charter allows.
        max: usize,
    },
    /// As many records of its publisher as the charter allows are here.
    #[error(
        "organisation {org} has {held} {audience} records, this network's charter allows {max}; give new contents to records \
         that are here. Withdrawn and lapsed records count until they are forgotten, 400 days and 24 hours after their last change, and a charter \
         cannot be changed: for more at once, agree on a new network with the others"
    )]
    OverQuota {
        /// The publisher.
        org: OrgId,
        /// In whose set.
        audience: Audience,
        /// Records here, withdrawn ones included.
        held: usize,
        /// Records that the charter allows.
        max: usize,
    },
    /// The publisher has used up its versions of a day.
    #[error(
        "this node takes {max} versions of organisation {org} in a day, and has; nothing is lost: hand this in again in {} minutes",
        wait_ms.div_ceil(60_000)
    )]
    TooManyToday {
        /// The publisher.
        org: OrgId,
        /// Versions in a day.
        max: u64,
        /// Until one more is taken, milliseconds.
        wait_ms: u64,
    },
    /// More of one publisher came at once than was asked for.
    #[error(
        "this node takes {max} versions of organisation {org} at once that it did not ask for, and then so many a second; nothing is \
         lost: it asks for the rest in some seconds"
    )]
    TooManyAtOnce {
        /// The publisher.
        org: OrgId,
        /// Versions at once.
        max: u64,
    },
    /// The store refuses writes.
    #[error("this node cannot store anything now: {reason}")]
    ReadOnly {
        /// In words.
        reason: String,
    },
}

impl Reject {
    /// Stable name, as in `spec/09-errors.md`.
    pub fn name(&self) -> &'static str {
        match self {
            Reject::Version(error) => match error {
                VersionError::Length { .. } => "envelope-length",
                VersionError::UnknownFormat { .. } => "unknown-format",
                VersionError::UnknownAudience { .. } => "unknown-audience",
                VersionError::KindZero => "kind-zero",
                VersionError::NetworkKindNotPublic { .. } => "network-kind-not-public",
                VersionError::Lease { .. } => "lease",
            },
            Reject::Record(error) => match error {
                RecordError::Undecodable { .. } => "body-undecodable",
                RecordError::IdMismatch { .. } => "record-id-mismatch",
                RecordError::TooLong { .. } => "text-too-long",
                RecordError::TooMany { .. } => "list-too-long",
                RecordError::ForbiddenCharacter { .. } => "forbidden-character",
                RecordError::Missing { .. } => "field-missing",
                RecordError::Malformed { .. } => "field-malformed",
                RecordError::WithheldPlace { .. } => "withheld-place",
            },
            Reject::Statement(error) => match error {
                StatementError::Undecodable { .. } => "statement-undecodable",
                StatementError::IdMismatch { .. } => "statement-id-mismatch",
                StatementError::Subject { .. } => "statement-subject",
                StatementError::Charter { .. } => "statement-charter",
                StatementError::ReasonTooLong { .. } | StatementError::ReasonCharacter { .. } => "statement-reason",
                StatementError::Card(CardError::Sequence { .. }) => "card-sequence",
                StatementError::Card(_) => "card",
                StatementError::Succession(SuccessionError::Sequence { .. }) => "card-sequence",
                StatementError::Succession(SuccessionError::Signer { .. }) => "card-signer",
                StatementError::CardOfAnother { .. } => "card-of-another",
                StatementError::CardWithdrawn => "card-withdrawn",
                StatementError::Invite(crate::network::invite::InviteError::Stale { .. }) => "invite-stale",
                StatementError::Invite(_) => "invite",
            },
            Reject::WrongNetwork { .. } => "wrong-network",
            Reject::FromTheFuture { .. } => "from-the-future",
            Reject::TooOld => "too-old",
            Reject::UnknownOrganisation { .. } => "unknown-organisation",
            Reject::UnknownPredecessor { .. } => "unknown-predecessor",
            Reject::NotAMember { .. } => "not-a-member",
            Reject::UnknownDevice { .. } => "unknown-device",
            Reject::BadSignature => "bad-signature",
            Reject::QuarantineFull => "quarantine-full",
            Reject::VersionTooLong { .. } => "version-too-long",
            Reject::OverQuota { .. } => "over-quota",
            Reject::TooManyToday { .. } => "too-many-today",
            Reject::TooManyAtOnce { .. } => "too-many-at-once",
            Reject::ReadOnly { .. } => "read-only",
        }
    }

    /// True when no honest node would have sent it: the bytes alone are wrong, for every node and at every time.
    pub fn is_breach(&self) -> bool {
        match self {
            Reject::Version(error) => {
                !matches!(error, VersionError::UnknownFormat { .. } | VersionError::UnknownAudience { .. })
            }
            Reject::Record(_) | Reject::Statement(_) | Reject::WrongNetwork { .. } => true,
            Reject::VersionTooLong { .. } | Reject::BadSignature => true,
            _ => false,
        }
    }
}
