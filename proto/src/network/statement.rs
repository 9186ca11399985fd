//! Signed statements: acceptance, vouch, objection, leave. Each has one place per organisation and subject.
//!
//! Spec: `spec/05-network.md`, section 3.

use prost::Message;

use super::card::{CardError, OrgCard, card_record_id};
use super::invite::{Invitation, InviteError};
use super::succession::SuccessionError;
use crate::id::{OrgId, RecordId};
use crate::key::Reading;
use crate::kind::{Audience, Kind};
use crate::limits::PRINCIPLE_BYTES_MAX;
use crate::record::forbidden;
use crate::v1;
use crate::version::SignedVersion;

/// Why the body of a network kind is refused.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum StatementError {
    /// Not the message of its kind.
    #[error("the body is not a readable {kind}: {reason}")]
    Undecodable {
        /// Kind in the header.
        kind: Kind,
        /// The decoder's words.
        reason: String,
    },
    /// Not under the record id of its kind and subject.
    #[error("record id {found} is not the place of this {kind} ({expected})")]
    IdMismatch {
        /// Kind in the header.
        kind: Kind,
        /// Id in the header.
        found: RecordId,
        /// Id it must have.
        expected: RecordId,
    },
    /// The subject is no OrgId, or the organisation itself.
    #[error("a {kind} names another organisation by its OrgId of 32 bytes")]
    Subject {
        /// Kind in the header.
        kind: Kind,
    },
    /// An acceptance that does not say which charter it accepts, or another one than its header.
    #[error("an acceptance names the charter of its network by 32 bytes, this one says {found}")]
    Charter {
        /// What it says, in hexadecimal; empty when nothing.
        found: String,
    },
    /// A reason that is too long.
    #[error("the reason has {found} bytes, the limit is {max}")]
    ReasonTooLong {
        /// Bytes found.
        found: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// A character in a reason that no text may contain.
    #[error("the reason contains the character U+{character:04X}, which is not allowed in a text")]
    ReasonCharacter {
        /// Code point found.
        character: u32,
    },
    /// A card is not acceptable.
    #[error(transparent)]
    Card(#[from] CardError),
    /// The card is of another organisation than the header says.
    #[error("the header names organisation {found}, the card is of {expected}")]
    CardOfAnother {
        /// In the header.
        found: OrgId,
        /// By the card's bytes.
        expected: OrgId,
    },
    /// A card does not follow the one that it names.
    #[error(transparent)]
    Succession(#[from] SuccessionError),
    /// A card cannot be withdrawn; a later card replaces it.
    #[error("a card cannot be withdrawn")]
    CardWithdrawn,
    /// The invitation inside an acceptance is not acceptable.
    #[error(transparent)]
    Invite(#[from] InviteError),
}

/// What a version of a network kind says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// Kind 0x8001.
    Card(Box<OrgCard>),
    /// Kind 0x8002. The invitation's own signature is not yet checked: its signer's card may be unknown.
    Acceptance(Option<Box<Invitation>>),
    /// Kind 0x8003.
    Vouch(OrgId),
    /// Kind 0x8004.
    Objection(OrgId),
    /// Kind 0x8005.
    Leave,
    /// A network kind that this code does not know: kept and relayed.
    Unknown,
    /// A statement taken back.
    Withdrawn,
}

/// The local id from which a statement's record id is made: the subject in hexadecimal, or `self`.
pub fn statement_record_id(org: &OrgId, kind: Kind, subject: Option<&OrgId>) -> RecordId {
    let local_id = subject.map_or_else(|| "self".to_owned(), OrgId::to_string);
    RecordId::derive(org, kind, Audience::Public, &local_id)
}

impl Statement {
    /// Reads a version of a network kind and checks all that its bytes alone can tell.
    ///
    /// Errors: [`StatementError`]. Source: `spec/05-network.md`, section 3.
    pub fn read(version: &SignedVersion) -> Result<Statement, StatementError> {
        Statement::read_as(version, Reading::First)
    }

    /// As [`Statement::read`], of a version out of the own store that was read so before it was accepted. What takes curve
    /// arithmetic is not checked again: with thousands of cards it takes seconds.
    pub fn read_again(version: &SignedVersion) -> Result<Statement, StatementError> {
        Statement::read_as(version, Reading::Again)
    }

    fn read_as(version: &SignedVersion, reading: Reading) -> Result<Statement, StatementError> {
        let (header, body) = (version.header(), version.body());
        let kind = header.kind;
        if version.is_withdrawal() {
            return if kind == Kind::CARD { Err(StatementError::CardWithdrawn) } else { Ok(Statement::Withdrawn) };
        }
        let place = |expected: RecordId| {
            let found = header.record;
            if found == expected { Ok(()) } else { Err(StatementError::IdMismatch { kind, found, expected }) }
        };
        let other = |subject: &[u8]| match OrgId::from_slice(subject) {
            Some(subject) if subject != header.org => Ok(subject),
            _ => Err(StatementError::Subject { kind }),
        };
        match kind {
            Kind::CARD => {
                let card = OrgCard::read_as(&header.org, body, reading)?;
                let genesis = OrgId::of_genesis_card(body);
                if card.origin.is_none() && genesis != header.org {
                    return Err(StatementError::CardOfAnother { found: header.org, expected: genesis });
                }
                place(card_record_id(&header.org, body))?;
                if let Some(origin) = card.origin.filter(|origin| origin.signed_by.as_bytes() != &header.device) {
                    return Err(SuccessionError::Signer { signer: origin.signed_by }.into());
                }
                Ok(Statement::Card(Box::new(card)))
            }
            Kind::ACCEPTANCE => {
                let acceptance: v1::Acceptance = message(kind, body)?;
                if acceptance.charter != header.network.0 {
                    let found = acceptance.charter.iter().take(32).map(|byte| format!("{byte:02x}")).collect();
                    return Err(StatementError::Charter { found });
                }
                place(statement_record_id(&header.org, kind, None))?;
                let invitation = match acceptance.invitation {
                    Some(invitation) => {
                        let invitation = Invitation::read_as(&invitation, reading)?;
                        if reading == Reading::First {
                            invitation.check_claim(&header.network, &header.org, header.hlc, &acceptance.claim)?;
                        }
                        Some(Box::new(invitation))
                    }
                    None => None,
                };
                Ok(Statement::Acceptance(invitation))
            }
            Kind::VOUCH => {
                let vouch: v1::Vouch = message(kind, body)?;
                reason(&vouch.reason)?;
                let subject = other(&vouch.subject)?;
                place(statement_record_id(&header.org, kind, Some(&subject)))?;
                Ok(Statement::Vouch(subject))
            }
            Kind::OBJECTION => {
                let objection: v1::Objection = message(kind, body)?;
                reason(&objection.reason)?;
                let subject = other(&objection.subject)?;
                place(statement_record_id(&header.org, kind, Some(&subject)))?;
                Ok(Statement::Objection(subject))
            }
            Kind::LEAVE => {
                let leave: v1::Leave = message(kind, body)?;
                reason(&leave.reason)?;
                place(statement_record_id(&header.org, kind, None))?;
                Ok(Statement::Leave)
            }
            _ => Ok(Statement::Unknown),
        }
    }
}

fn message<M: Message + Default>(kind: Kind, body: &[u8]) -> Result<M, StatementError> {
    M::decode(body).map_err(|error| StatementError::Undecodable { kind, reason: error.to_string() })
}

fn reason(text: &str) -> Result<(), StatementError> {
    if text.len() > PRINCIPLE_BYTES_MAX {
        return Err(StatementError::ReasonTooLong { found: text.len(), max: PRINCIPLE_BYTES_MAX });
    }
    forbidden(text, true).map_or(Ok(()), |character| Err(StatementError::ReasonCharacter { character }))
}
