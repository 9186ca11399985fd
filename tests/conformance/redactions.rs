//! Vectors of redactions and receipts.

use fingerpost_proto::id::{NetworkId, OrgId, RecordId};
use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::record;
use fingerpost_proto::redaction::{Receipt, Redaction};
use fingerpost_proto::time::{Hlc, UnixHour};
use fingerpost_proto::version::Header;
use serde_json::{Value, json};

use crate::bodies::at_fault;
use crate::vector::{bytes, fixed, hex, number, text};

fn header(case: &Value) -> Header {
    Header {
        audience: Audience::from_name(text(case, "audience")).unwrap(),
        kind: Kind(number(case, "kind") as u16),
        network: NetworkId([0; 32]),
        org: OrgId(fixed(case, "org")),
        record: RecordId(fixed(case, "record")),
        device: fixed(case, "device"),
        hlc: Hlc(u64::from_be_bytes(fixed(case, "hlc"))),
        prev: [0; 8],
        lease_until: UnixHour(number(case, "lease_until") as u32),
    }
}

pub(crate) fn read(case: &Value) {
    let (header, body) = (header(case), bytes(case, "body"));
    record::check(&header, &body).unwrap();
    let said = if header.kind == Kind::REDACTION {
        let redaction = Redaction::read(&header, &body).unwrap();
        json!({
            "of_record": hex(redaction.record), "of_kind": redaction.kind.0, "replaced_by": hex(redaction.replaced_by),
            "clock": hex(redaction.clock.0.to_be_bytes()),
        })
    } else {
        let receipt = Receipt::read(&header, &body).unwrap();
        let records: Vec<String> = receipt.erasures.iter().map(|erasure| hex(erasure.record)).collect();
        let erased_ms =
            receipt.erasures.first().map_or(case["says"]["erased_ms"].clone(), |erasure| json!(erasure.erased_ms));
        json!({ "node": hex(receipt.node), "records": records, "erased_ms": erased_ms })
    };
    assert_eq!(said, case["says"]);
}

pub(crate) fn refused(case: &Value) -> Result<(), String> {
    record::check(&header(case), &bytes(case, "body")).map(drop).map_err(at_fault)
}
