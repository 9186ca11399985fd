//! Vectors of quotas: `spec/05-network.md`, section 2.1. They stand among those of receipt.

use fingerpost_proto::set::Slot;
use fingerpost_proto::time::{Hlc, UnixHour};
use fingerpost_proto::version::{Header, SignedVersion};
use serde_json::{Value, json};

use crate::cast::{City, NOW, sign};
use crate::receipt::receipt;

/// By a charter that allows two records of each organisation in a set, none longer than this.
const SHORT_BYTES_MAX: u32 = 300;

fn frugal() -> City {
    City::by(|charter| (charter.version_bytes_max, charter.records_max) = (SHORT_BYTES_MAX, 2))
}

/// A record with an envelope of so many bytes.
fn record_of_length(city: &City, length: usize) -> SignedVersion {
    let named = |count: usize| city.forum.service(city.network, "drop-in", &"n".repeat(count), Hlc::new(NOW, 0));
    (1..length).map(named).find(|version| version.envelope().len() == length).unwrap()
}

/// Records of one organisation, by ascending key.
fn by_key(city: &City) -> Vec<SignedVersion> {
    let mut records: Vec<SignedVersion> =
        ["a", "b", "c"].map(|id| city.forum.service(city.network, id, "Drop-in", Hlc::new(NOW, 0))).into();
    records.sort_by_key(|version| Slot::of(version.header()).key);
    records
}

pub(crate) fn refused() -> Vec<Value> {
    let city = frugal();
    let long = record_of_length(&city, SHORT_BYTES_MAX as usize + 1);
    let records = by_key(&city);
    let withdrawal = |of: &SignedVersion| {
        let header = Header { hlc: Hlc::new(NOW + 1, 0), lease_until: UnixHour(0), ..*of.header() };
        sign(&city.forum.device, &header, b"")
    };
    let refused = |name: &str, why: &str, known: &[SignedVersion], version: &SignedVersion, error: &str| {
        let mut case = receipt(name, why, &city, NOW + 10, known, version.envelope());
        case["error"] = json!(error);
        case
    };
    vec![
        refused("version-too-long", "one byte more than the charter allows", &[], &long, "version-too-long"),
        refused("over-quota", "two records with lower keys are here", &records[..2], &records[2], "over-quota"),
        refused(
            "over-quota-at-the-source",
            "handed in by an admin, it is refused whatever its key",
            &records[1..],
            &records[0],
            "over-quota",
        ),
        refused(
            "over-quota-withdrawn",
            "what is withdrawn keeps its place",
            &[records[0].clone(), records[1].clone(), withdrawal(&records[1])],
            &records[2],
            "over-quota",
        ),
    ]
}

pub(crate) fn taken() -> Vec<Value> {
    let city = frugal();
    let records = by_key(&city);
    let header = Header { hlc: Hlc::new(NOW + 1, 0), prev: records[0].vid().prefix(), ..*records[0].header() };
    let edited = sign(&city.forum.device, &header, records[0].body());
    let longest = record_of_length(&city, SHORT_BYTES_MAX as usize);
    let published = |name: &str, why: &str, known: &[SignedVersion], version: &SignedVersion| {
        let mut case = receipt(name, why, &city, NOW + 10, known, version.envelope());
        case["outcome"] = json!("published");
        case["concurrent"] = json!(false);
        case
    };
    vec![
        published("version-bytes-at-limit", "as long as the charter allows", &[], &longest),
        published("quota-at-limit", "the last record that the charter allows", &records[..1], &records[1]),
        published("quota-full-edit", "an edit of a record that is here is within the quota", &records[..2], &edited),
    ]
}
