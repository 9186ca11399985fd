//! Redactions and receipts: what must vanish everywhere, and what a node says that it has erased.
//!
//! In: headers and bodies of the kinds 0x7f02 and 0x7f03. Out: a [`Redaction`] or [`Receipt`], or the field that is wrong.
//! Always: a redaction says nothing of what it is about but names that are hashes.
//! Spec: `spec/13-redaction.md`. Tested: below, `spec/vectors/redaction_*.json`, `node/tests/redacting.rs`.

use prost::Message;

use crate::id::{OrgId, RecordId, Vid, parse_hex};
use crate::key::PublicKey;
use crate::kind::{Audience, Class, Kind};
use crate::limits::{RECEIPT_ERASURES_MAX, REDACTION_LEASE_DAYS_MAX};
use crate::record::RecordError;
use crate::set::{SetKey, Slot};
use crate::time::{Hlc, UnixHour, UnixMillis};
use crate::v1;
use crate::version::Header;

/// Every version of a record older than one that is named must be erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redaction {
    /// The record, of the redaction's own publisher and audience.
    pub record: RecordId,
    /// Its kind.
    pub kind: Kind,
    /// The version that takes the place.
    pub replaced_by: Vid,
    /// Its clock.
    pub clock: Hlc,
}

impl Redaction {
    /// Reads a body. Errors: the first field that is wrong. Source: `spec/13-redaction.md`, section 1.
    pub fn read(header: &Header, body: &[u8]) -> Result<Redaction, RecordError> {
        let message: v1::Redaction = decode(header.kind, body)?;
        check_lease(header)?;
        let record = RecordId(digits("local_id", &message.local_id, "the id of a record in 32 hexadecimal digits")?);
        let kind =
            u16::try_from(message.kind).map(Kind).ok().filter(|kind| kind.0 != 0 && kind.class() == Class::Record);
        let kind = kind.ok_or_else(|| malformed("kind", &message.kind, "a kind of record, 1 to 32511"))?;
        let replaced_by = Vid(bytes("replaced_by", &message.replaced_by, "the 16 bytes of a vid")?);
        if message.clock == 0 || message.clock > header.hlc.0 {
            return Err(malformed("clock", &message.clock, "the clock of a version signed before the redaction"));
        }
        Ok(Redaction { record, kind, replaced_by, clock: Hlc(message.clock) })
    }

    /// The body to sign.
    pub fn write(&self) -> Vec<u8> {
        let Redaction { record, kind, replaced_by, clock } = self;
        let (kind, replaced_by) = (u32::from(kind.0), replaced_by.0.to_vec());
        v1::Redaction { local_id: hex(&record.0), kind, replaced_by, clock: clock.0 }.encode_to_vec()
    }

    /// The id under which the redaction of a record is published: there is one at a time.
    pub fn id_for(org: &OrgId, audience: Audience, record: &RecordId) -> RecordId {
        RecordId::derive(org, Kind::REDACTION, audience, &hex(&record.0))
    }

    /// The record's place.
    pub fn place(&self, org: &OrgId, audience: Audience) -> Slot {
        Slot { audience, key: SetKey::derive(self.kind, org, &self.record) }
    }
}

/// What a node has erased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The node's key, which is also the header's device.
    pub node: [u8; 32],
    /// Ascending by publisher and record; at most [`RECEIPT_ERASURES_MAX`].
    pub erasures: Vec<Erasure>,
}

/// One record of which nothing older than a named version is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Erasure {
    /// Publisher of the record.
    pub org: OrgId,
    /// The record.
    pub record: RecordId,
    /// As in the redaction.
    pub replaced_by: Vid,
    /// When it was gone from stable storage.
    pub erased_ms: UnixMillis,
}

impl Receipt {
    /// Reads a body. Errors: the first field that is wrong. Source: `spec/13-redaction.md`, section 2.
    pub fn read(header: &Header, body: &[u8]) -> Result<Receipt, RecordError> {
        let message: v1::Receipt = decode(header.kind, body)?;
        check_lease(header)?;
        let wanted = "the key that signs the receipt in 64 hexadecimal digits";
        let node = digits("local_id", &message.local_id, wanted)?;
        if node != header.device {
            return Err(malformed("local_id", &message.local_id, wanted));
        }
        if message.erasures.len() > RECEIPT_ERASURES_MAX {
            let (found, max) = (message.erasures.len(), RECEIPT_ERASURES_MAX);
            return Err(RecordError::TooMany { field: "erasures".to_owned(), found, max });
        }
        let mut erasures: Vec<Erasure> = Vec::with_capacity(message.erasures.len());
        for erasure in message.erasures {
            let erasure = Erasure {
                org: OrgId(bytes("erasures.organisation", &erasure.organisation, "the 32 bytes of an OrgId")?),
                record: RecordId(bytes("erasures.record", &erasure.record, "the 16 bytes of a record id")?),
                replaced_by: Vid(bytes("erasures.replaced_by", &erasure.replaced_by, "the 16 bytes of a vid")?),
                erased_ms: erasure.erased_ms,
            };
            if erasure.erased_ms == 0 || erasure.erased_ms > header.hlc.ms() {
                let wanted = "an instant before the receipt was signed";
                return Err(malformed("erasures.erased_ms", &erasure.erased_ms, wanted));
            }
            if erasures.last().is_some_and(|last| last.key() >= erasure.key()) {
                return Err(malformed("erasures", &erasure.record, "ascending by publisher and record"));
            }
            erasures.push(erasure);
        }
        Ok(Receipt { node, erasures })
    }

    /// The body to sign.
    pub fn write(&self) -> Vec<u8> {
        let erasures = self.erasures.iter().map(|erasure| v1::Erasure {
            organisation: erasure.org.0.to_vec(),
            record: erasure.record.0.to_vec(),
            replaced_by: erasure.replaced_by.0.to_vec(),
            erased_ms: erasure.erased_ms,
        });
        v1::Receipt { local_id: hex(&self.node), erasures: erasures.collect() }.encode_to_vec()
    }

    /// The id under which a node publishes its receipt: one for each audience.
    pub fn id_of(org: &OrgId, audience: Audience, node: &PublicKey) -> RecordId {
        RecordId::derive(org, Kind::RECEIPT, audience, &node.to_string())
    }
}

impl Erasure {
    /// What a receipt is in the order of.
    pub fn key(&self) -> (OrgId, RecordId) {
        (self.org, self.record)
    }
}

fn decode<M: Message + Default>(kind: Kind, body: &[u8]) -> Result<M, RecordError> {
    M::decode(body).map_err(|error| RecordError::Undecodable { kind, reason: error.to_string() })
}

fn check_lease(header: &Header) -> Result<(), RecordError> {
    if header.lease_until <= UnixHour::containing(header.hlc.ms()).plus_days(REDACTION_LEASE_DAYS_MAX) {
        return Ok(());
    }
    Err(malformed("lease_until", &header.lease_until.0, "an hour at most 60 days after the clock"))
}

fn malformed(field: &str, found: &impl std::fmt::Display, wanted: &'static str) -> RecordError {
    let found = found.to_string().chars().take(100).collect();
    RecordError::Malformed { field: field.to_owned(), found, wanted }
}

fn bytes<const N: usize>(field: &str, found: &[u8], wanted: &'static str) -> Result<[u8; N], RecordError> {
    found.try_into().map_err(|_| malformed(field, &format!("{} bytes", found.len()), wanted))
}

fn digits<const N: usize>(field: &str, found: &str, wanted: &'static str) -> Result<[u8; N], RecordError> {
    let is_lower = |bytes: &[u8; N]| hex(bytes) == found;
    parse_hex(found).filter(is_lower).ok_or_else(|| malformed(field, &found, wanted))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::id::NetworkId;
    use crate::record;

    const NOW: UnixMillis = 1_790_000_000_000;

    type Change = fn(&mut v1::Redaction);

    fn key() -> PublicKey {
        PublicKey::from_bytes(ed25519_dalek::SigningKey::from_bytes(&[7; 32]).verifying_key().as_bytes()).unwrap()
    }

    fn header(kind: Kind, record: RecordId, days: u32) -> Header {
        Header {
            audience: Audience::Public,
            kind,
            network: NetworkId([1; 32]),
            org: OrgId([2; 32]),
            record,
            device: *key().as_bytes(),
            hlc: Hlc::new(NOW, 0),
            prev: [0; 8],
            lease_until: UnixHour::containing(NOW).plus_days(days),
        }
    }

    fn redaction() -> Redaction {
        let record = RecordId::derive(&OrgId([2; 32]), Kind::LOCATION, Audience::Public, "refuge");
        Redaction { record, kind: Kind::LOCATION, replaced_by: Vid([4; 16]), clock: Hlc::new(NOW - 1, 0) }
    }

    fn of_redaction(days: u32) -> Header {
        let id = Redaction::id_for(&OrgId([2; 32]), Audience::Public, &redaction().record);
        header(Kind::REDACTION, id, days)
    }

    fn receipt(count: usize) -> (Header, Receipt) {
        let id = Receipt::id_of(&OrgId([2; 32]), Audience::Public, &key());
        let erasure = |n: usize| Erasure {
            org: OrgId([3; 32]),
            record: RecordId((n as u128).to_be_bytes()),
            replaced_by: Vid([5; 16]),
            erased_ms: NOW,
        };
        let erasures = (0..count).map(erasure).collect();
        (header(Kind::RECEIPT, id, 60), Receipt { node: *key().as_bytes(), erasures })
    }

    fn field_of(checked: Result<record::Body, RecordError>) -> Option<String> {
        checked.err().and_then(|error| error.field().map(str::to_owned))
    }

    #[test]
    fn a_redaction_and_a_receipt_read_back_what_was_written() {
        let found = Redaction::read(&of_redaction(60), &redaction().write());
        assert_eq!(found, Ok(redaction()));
        let (header, receipt) = receipt(3);
        assert_eq!(Receipt::read(&header, &receipt.write()), Ok(receipt.clone()));
        assert!(record::check(&header, &receipt.write()).is_ok());
    }

    #[test]
    fn a_redaction_names_a_record_and_an_earlier_version_and_lasts_sixty_days_at_most() {
        let wrong: [(&str, Change); 5] = [
            ("local_id", |body| body.local_id = "x".repeat(32)),
            ("kind", |body| body.kind = u32::from(Kind::HEAD.0)),
            ("kind", |body| body.kind = 0),
            ("replaced_by", |body| body.replaced_by.push(0)),
            ("clock", |body| body.clock = Hlc::new(NOW, 1).0),
        ];
        for (field, change) in wrong {
            let mut body = v1::Redaction::decode(redaction().write().as_slice()).unwrap();
            change(&mut body);
            let id = RecordId::derive(&OrgId([2; 32]), Kind::REDACTION, Audience::Public, &body.local_id);
            let found = record::check(&Header { record: id, ..of_redaction(60) }, &body.encode_to_vec());
            assert_eq!(field_of(found).as_deref(), Some(field));
        }
        let long = record::check(&of_redaction(61), &redaction().write());
        assert_eq!(field_of(long).as_deref(), Some("lease_until"));
    }

    #[test]
    fn a_receipt_lists_erasures_up_to_the_limit_and_not_one_more() {
        let (header, full) = receipt(RECEIPT_ERASURES_MAX);
        assert!(record::check(&header, &full.write()).is_ok());
        let (header, beyond) = receipt(RECEIPT_ERASURES_MAX + 1);
        let error = record::check(&header, &beyond.write()).unwrap_err();
        assert_eq!(error.to_string(), "erasures has 257 entries, the limit is 256; leave some out");
    }

    #[test]
    fn a_receipt_is_signed_by_the_node_that_it_names_and_lists_each_record_once() {
        let (header, receipt) = receipt(2);
        let of_another = Header { device: [9; 32], ..header };
        assert_eq!(field_of(record::check(&of_another, &receipt.write())).as_deref(), Some("local_id"));
        let twice = Receipt { erasures: vec![receipt.erasures[1]; 2], ..receipt.clone() };
        assert_eq!(field_of(record::check(&header, &twice.write())).as_deref(), Some("erasures"));
        let mut ahead = receipt;
        ahead.erasures[0].erased_ms = NOW + 1;
        assert_eq!(field_of(record::check(&header, &ahead.write())).as_deref(), Some("erasures.erased_ms"));
    }
}
