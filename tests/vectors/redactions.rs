//! Vectors of redactions and receipts: `spec/13-redaction.md`.

use fingerpost_proto::id::{OrgId, RecordId, Vid};
use fingerpost_proto::key::PublicKey;
use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::limits::RECEIPT_ERASURES_MAX;
use fingerpost_proto::redaction::{Erasure, Receipt, Redaction};
use fingerpost_proto::time::{Hlc, UnixHour};
use fingerpost_proto::v1;
use prost::Message;
use serde_json::{Value, json};

use crate::cast::City;
use crate::{File, bytes, case, file, hex};

const NOW_MS: u64 = 1_790_000_000_000;

pub(crate) fn files() -> Vec<File> {
    vec![
        file("redaction_valid", "Redactions and receipts, and what they say: spec/13-redaction.md.", valid()),
        file("redaction_invalid", "Those that are refused, with the field at fault: spec/13-redaction.md.", invalid()),
    ]
}

fn org() -> OrgId {
    City::new().forum.id
}

fn device() -> PublicKey {
    let key = ed25519_dalek::SigningKey::from_bytes(&[13; 32]).verifying_key();
    PublicKey::from_bytes(key.as_bytes()).unwrap()
}

fn redaction() -> Redaction {
    let record = RecordId::derive(&org(), Kind::LOCATION, Audience::Public, "refuge");
    Redaction { record, kind: Kind::LOCATION, replaced_by: Vid([0x42; 16]), clock: Hlc::new(NOW_MS - 1, 7) }
}

fn receipt(count: usize) -> Receipt {
    let erasure = |n: usize| Erasure {
        org: org(),
        record: RecordId((n as u128 + 1).to_be_bytes()),
        replaced_by: Vid([0x42; 16]),
        erased_ms: NOW_MS - 5,
    };
    Receipt { node: *device().as_bytes(), erasures: (0..count).map(erasure).collect() }
}

fn version(name: &str, why: &str, kind: Kind, local_id: &str, days: u32, body: &[u8]) -> Value {
    let record = RecordId::derive(&org(), kind, Audience::Public, local_id);
    let lease_until = UnixHour::containing(NOW_MS).plus_days(days);
    case(
        name,
        why,
        json!({
            "org": hex(org()), "audience": "public", "kind": kind.0, "record": hex(record), "device": hex(device()),
            "hlc": hex(Hlc::new(NOW_MS, 0).0.to_be_bytes()), "lease_until": lease_until.0, "body": bytes(body),
        }),
    )
}

fn of_redaction(name: &str, why: &str, days: u32, change: impl FnOnce(&mut v1::Redaction)) -> Value {
    let mut body = v1::Redaction::decode(redaction().write().as_slice()).unwrap();
    change(&mut body);
    version(name, why, Kind::REDACTION, &body.local_id.clone(), days, &body.encode_to_vec())
}

fn of_receipt(name: &str, why: &str, count: usize, change: impl FnOnce(&mut v1::Receipt)) -> Value {
    let mut body = v1::Receipt::decode(receipt(count).write().as_slice()).unwrap();
    change(&mut body);
    version(name, why, Kind::RECEIPT, &body.local_id.clone(), 60, &body.encode_to_vec())
}

fn valid() -> Vec<Value> {
    let mut order = of_redaction("redaction", "what takes the place, by name and clock", 60, |_| {});
    order["says"] = json!({
        "of_record": hex(redaction().record), "of_kind": redaction().kind.0, "replaced_by": hex(redaction().replaced_by),
        "clock": hex(redaction().clock.0.to_be_bytes()),
    });
    let mut cases = vec![order];
    for (name, why, count) in [
        ("receipt", "two records", 2),
        ("receipt-empty", "nothing is confirmed any more", 0),
        ("receipt-full", "as many as there may be", RECEIPT_ERASURES_MAX),
    ] {
        let mut receipt_case = of_receipt(name, why, count, |_| {});
        let records = receipt(count).erasures.iter().map(|erasure| hex(erasure.record)).collect::<Vec<_>>();
        receipt_case["says"] = json!({ "node": hex(device()), "records": records, "erased_ms": NOW_MS - 5 });
        cases.push(receipt_case);
    }
    cases
}

fn invalid() -> Vec<Value> {
    let malformed = "field-malformed";
    let cases = [
        (of_redaction("redaction-lease", "61 days", 61, |_| {}), malformed, "lease_until"),
        (
            of_redaction("redaction-capitals", "digits in upper case", 60, |body| {
                body.local_id = body.local_id.to_uppercase();
            }),
            malformed,
            "local_id",
        ),
        (
            of_redaction("redaction-of-upkeep", "only records are redacted", 60, |body| {
                body.kind = u32::from(Kind::RECEIPT.0);
            }),
            malformed,
            "kind",
        ),
        (of_redaction("redaction-vid", "15 bytes", 60, |body| body.replaced_by.truncate(15)), malformed, "replaced_by"),
        (
            of_redaction("redaction-clock", "names a version that is later than itself", 60, |body| {
                body.clock = Hlc::new(NOW_MS, 1).0;
            }),
            malformed,
            "clock",
        ),
        (
            of_receipt("receipt-of-another", "the name of another node", 1, |body| body.local_id = "ab".repeat(32)),
            malformed,
            "local_id",
        ),
        (
            of_receipt("receipt-too-long", "one more than there may be", RECEIPT_ERASURES_MAX + 1, |_| {}),
            "list-too-long",
            "erasures",
        ),
        (of_receipt("receipt-order", "descending", 2, |body| body.erasures.reverse()), malformed, "erasures"),
        (
            of_receipt("receipt-ahead", "erased after it was signed", 1, |body| {
                body.erasures[0].erased_ms = NOW_MS + 1
            }),
            malformed,
            "erasures.erased_ms",
        ),
    ];
    let refused = |(mut case, error, field): (Value, &str, &str)| {
        (case["error"], case["field"]) = (json!(error), json!(field));
        case
    };
    cases.into_iter().map(refused).collect()
}
