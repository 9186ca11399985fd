//! Heads: what an organisation has in one audience, counted and hashed, signed by one of its devices.
//!
//! With a head a node can tell whether all that an organisation published has come: a relayer that withholds, freezes or
//! rolls back cannot make one. Spec: `spec/15-heads.md`. Tested: below, `spec/vectors/head_*.json`.

use prost::Message;

use crate::id::{OrgId, RecordId, Vid};
use crate::kind::{Audience, Kind};
use crate::limits::{LEASE_DAYS_MAX, RETENTION_MARGIN_HOURS};
use crate::record::RecordError;
use crate::set::{Entry, SetKey, Slot};
use crate::time::{Hlc, UnixHour};
use crate::v1;
use crate::version::Header;

/// For so long after it was signed a head covers nothing that may be forgotten, in hours: a week without its organisation
/// makes nobody doubt what is here.
pub const HEAD_EXACT_HOURS: u32 = 7 * 24;
/// Lease of a head, in days: an organisation that is silent for so long has no head.
pub const HEAD_LEASE_DAYS: u32 = 60;

/// A checked head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The organisation that it is about, and whose device signed it.
    pub org: OrgId,
    /// Whose set it is about.
    pub audience: Audience,
    /// The device that signed it.
    pub device: [u8; 32],
    /// When: later versions are not covered.
    pub hlc: Hlc,
    /// Name of the version that carries it.
    pub vid: Vid,
    /// Sequence of the card that counted for the signer.
    pub card_sequence: u64,
    /// Which copy of the signer signed it.
    pub incarnation: u64,
    /// What it covers.
    pub cover: Cover,
}

/// What a head says of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cover {
    /// Versions of earlier hours are left out.
    pub from: UnixHour,
    /// How many versions are covered.
    pub count: u64,
    /// BLAKE3 of their vids in the order of their set keys.
    pub root: [u8; 32],
}

impl Cover {
    /// Covers, of an organisation's entries in the order of their keys, those from the hour `from` up to the clock `until`.
    ///
    /// Costs some 30 nanoseconds an entry. Source: `spec/15-heads.md`, section 2.
    pub fn of(entries: impl IntoIterator<Item = Entry>, from: UnixHour, until: Hlc) -> Cover {
        let mut hasher = blake3::Hasher::new();
        let mut count = 0;
        for entry in entries {
            if is_covered(&entry, from, until) {
                hasher.update(&entry.vid.0);
                count += 1;
            }
        }
        Cover { from, count, root: *hasher.finalize().as_bytes() }
    }

    /// Whether a head with this cover and the clock `until` speaks of such an entry.
    pub fn covers(&self, entry: &Entry, until: Hlc) -> bool {
        is_covered(entry, self.from, until)
    }

    /// The first hour that a head of this clock covers.
    pub fn from_hour(hlc: Hlc) -> UnixHour {
        let kept_hours = LEASE_DAYS_MAX * 24 + RETENTION_MARGIN_HOURS - HEAD_EXACT_HOURS;
        UnixHour(UnixHour::containing(hlc.ms()).0.saturating_sub(kept_hours))
    }
}

impl Head {
    /// Reads the body of a head and checks all that bytes and header can tell; the record id is checked as for every content kind.
    ///
    /// Errors: [`RecordError`], naming the field. Source: `spec/15-heads.md`, section 1.
    pub fn read(header: &Header, vid: Vid, body: &[u8]) -> Result<Head, RecordError> {
        let said = v1::Head::decode(body)
            .map_err(|error| RecordError::Undecodable { kind: header.kind, reason: error.to_string() })?;
        let malformed =
            |field: &str, found: String, wanted| Err(RecordError::Malformed { field: field.to_owned(), found, wanted });
        if said.local_id != local_id(&header.device) {
            let found = said.local_id.chars().take(64).collect();
            return malformed("local_id", found, "the signing device in 64 lower-case hexadecimal digits");
        }
        let found = said.root.len();
        let Ok(root) = said.root.as_slice().try_into() else {
            return malformed("root", format!("{found} bytes"), "a BLAKE3 hash of 32 bytes");
        };
        let from = UnixHour(said.from_hour);
        if from > UnixHour::containing(header.hlc.ms()) {
            return malformed("from_hour", from.0.to_string(), "an hour up to that of signing");
        }
        Ok(Head {
            org: header.org,
            audience: header.audience,
            device: header.device,
            hlc: header.hlc,
            vid,
            card_sequence: said.card_sequence,
            incarnation: said.incarnation,
            cover: Cover { from, count: said.count, root },
        })
    }

    /// The body of a head to sign.
    pub fn body(device: &[u8; 32], card_sequence: u64, incarnation: u64, cover: &Cover) -> Vec<u8> {
        v1::Head {
            local_id: local_id(device),
            card_sequence,
            incarnation,
            from_hour: cover.from.0,
            count: cover.count,
            root: cover.root.to_vec(),
        }
        .encode_to_vec()
    }

    /// Where a device's head for an audience stands.
    pub fn record_id(org: &OrgId, device: &[u8; 32], audience: Audience) -> RecordId {
        RecordId::derive(org, Kind::HEAD, audience, &local_id(device))
    }

    /// Its slot.
    pub fn slot(&self) -> Slot {
        let record = Head::record_id(&self.org, &self.device, self.audience);
        Slot { audience: self.audience, key: SetKey::derive(Kind::HEAD, &self.org, &record) }
    }
}

fn is_covered(entry: &Entry, from: UnixHour, until: Hlc) -> bool {
    UnixHour::containing(entry.hlc.ms()) >= from && entry.hlc <= until
}

fn local_id(device: &[u8; 32]) -> String {
    device.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::id::NetworkId;
    use crate::version::{forget_at, lease_until_max};

    const NOW: Hlc = Hlc(1_790_000_000_000 << 16);

    fn header() -> Header {
        let (org, device) = (OrgId([1; 32]), [2; 32]);
        Header {
            audience: Audience::Public,
            kind: Kind::HEAD,
            network: NetworkId([3; 32]),
            org,
            record: Head::record_id(&org, &device, Audience::Public),
            device,
            hlc: NOW,
            prev: [0; 8],
            lease_until: lease_until_max(NOW),
        }
    }

    fn entry(n: u8, hlc: Hlc) -> Entry {
        Entry { vid: Vid([n; 16]), hlc, device: 0, lease_hours: 1, has_lapsed: false }
    }

    fn cover() -> Cover {
        Cover::of([entry(1, NOW)], Cover::from_hour(NOW), NOW)
    }

    fn read(change: impl Fn(&mut v1::Head)) -> Result<Head, RecordError> {
        let header = header();
        let mut said = v1::Head::decode(Head::body(&header.device, 4, 5, &cover()).as_slice()).unwrap();
        change(&mut said);
        Head::read(&header, Vid([9; 16]), &said.encode_to_vec())
    }

    #[test]
    fn a_head_reads_back() {
        let head = read(|_| {}).unwrap();
        assert_eq!((head.card_sequence, head.incarnation, head.cover), (4, 5, cover()));
        assert_eq!(head.slot(), Slot::of(&header()));
    }

    #[test]
    fn a_head_under_another_device_without_root_or_from_the_future_is_refused() {
        let field = |change: &dyn Fn(&mut v1::Head)| read(change).unwrap_err().field().map(str::to_owned);
        assert_eq!(field(&|head| head.local_id = local_id(&[7; 32])).as_deref(), Some("local_id"));
        assert_eq!(field(&|head| head.root = vec![0; 31]).as_deref(), Some("root"));
        let hour = UnixHour::containing(NOW.ms()).0;
        assert!(read(|head| head.from_hour = hour).is_ok());
        assert_eq!(field(&|head| head.from_hour = hour + 1).as_deref(), Some("from_hour"));
    }

    #[test]
    fn a_cover_tells_every_change_of_what_is_covered_and_nothing_else() {
        let from = UnixHour::containing(NOW.ms());
        let all = [entry(1, NOW), entry(2, NOW)];
        let whole = Cover::of(all, from, NOW);
        assert_eq!(whole.count, 2);
        assert_ne!(Cover::of([all[1], all[0]], from, NOW).root, whole.root, "order");
        assert_ne!(Cover::of([all[0]], from, NOW).root, whole.root, "one withheld");
        assert_ne!(Cover::of([all[0], entry(3, NOW)], from, NOW).root, whole.root, "one rolled back");
        let (later, earlier) = (entry(4, Hlc(NOW.0 + 1)), entry(5, Hlc::new(from.start_ms() - 1, 0)));
        assert_eq!(Cover::of([all[0], later, earlier, all[1]], from, NOW), whole);
    }

    #[test]
    fn nothing_that_a_head_covers_is_forgotten_within_a_week() {
        let earliest = Hlc::new(Cover::from_hour(NOW).start_ms(), 0);
        let week_ms = u64::from(HEAD_EXACT_HOURS) * crate::time::HOUR_MS;
        assert!(forget_at(earliest) >= UnixHour::containing(NOW.ms()).start_ms() + week_ms);
    }
}
