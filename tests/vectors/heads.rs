//! Vectors of heads: what they cover, and bodies that are none: `spec/15-heads.md`.

use fingerpost_proto::head::{Cover, Head};
use fingerpost_proto::id::{NetworkId, OrgId, RecordId, Vid};
use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::node::Reject;
use fingerpost_proto::record;
use fingerpost_proto::set::{Entry, SetKey};
use fingerpost_proto::time::{Hlc, UnixHour};
use fingerpost_proto::v1;
use fingerpost_proto::version::{Header, lease_until_max};
use prost::Message;
use serde_json::{Value, json};

use crate::cast::NOW;
use crate::{File, bytes, case, file, hex};

const ORG: OrgId = OrgId([0x42; 32]);
const DEVICE: [u8; 32] = [0xd1; 32];
const INCARNATION: u64 = 0x0102_0304_0506_0708;

pub(crate) fn files() -> Vec<File> {
    vec![
        file("head_valid", "What a head covers, and its body: spec/15-heads.md, sections 1 and 2.", valid()),
        file("head_invalid", "Bodies that are no heads: spec/15-heads.md, section 1.", invalid()),
    ]
}

fn now() -> Hlc {
    Hlc::new(NOW, 7)
}

/// Entries by number, each with its clock.
fn covering(name: &str, why: &str, clocks: &[Hlc]) -> Value {
    let mut entries: Vec<(SetKey, Entry)> = (0_u8..)
        .zip(clocks)
        .map(|(n, hlc)| {
            let vid = Vid([n ^ 0x5a; 16]);
            let entry = Entry { vid, hlc: *hlc, device: 0, lease_hours: 1, has_lapsed: false };
            (SetKey::derive(Kind::SERVICE, &ORG, &RecordId([n; 16])), entry)
        })
        .collect();
    let listed: Vec<Value> = entries
        .iter()
        .map(|(key, entry)| json!({ "key": hex(key), "vid": hex(entry.vid), "hlc": hex(entry.hlc.0.to_be_bytes()) }))
        .collect();
    entries.sort_by_key(|(key, _)| *key);
    let cover = Cover::of(entries.into_iter().map(|(_, entry)| entry), Cover::from_hour(now()), now());
    let body = Head::body(&DEVICE, 3, INCARNATION, &cover);
    case(
        name,
        why,
        json!({
            "device": hex(DEVICE), "hlc": hex(now().0.to_be_bytes()), "card_sequence": 3,
            "incarnation": hex(INCARNATION.to_be_bytes()), "entries": listed, "from_hour": cover.from.0,
            "count": cover.count, "root": hex(cover.root), "body": bytes(body),
        }),
    )
}

fn valid() -> Vec<Value> {
    let first_ms = Cover::from_hour(now()).start_ms();
    let two = [Hlc::new(NOW - 1, 0), now()];
    vec![
        covering("no-records", "an organisation without records has a head, too", &[]),
        covering("two-records", "vids in the order of keys, whatever the order of signing", &two),
        covering("later", "what is later than the head is not covered", &[two[0], Hlc(now().0 + 1), two[1]]),
        covering(
            "older",
            "what may be forgotten within a week is not covered, and the first hour is",
            &[two[0], Hlc::new(first_ms - 1, 65_535), Hlc::new(first_ms, 0)],
        ),
    ]
}

fn invalid() -> Vec<Value> {
    let refused = |name: &str, why: &str, field: &str, change: &dyn Fn(&mut v1::Head)| {
        let record = Head::record_id(&ORG, &DEVICE, Audience::Public);
        let cover = Cover::of([], Cover::from_hour(now()), now());
        let mut head = v1::Head::decode(Head::body(&DEVICE, 3, INCARNATION, &cover).as_slice()).unwrap();
        change(&mut head);
        // The record id goes with what the body says of itself.
        let record = match head.local_id.as_str() {
            "" => record,
            local_id => RecordId::derive(&ORG, Kind::HEAD, Audience::Public, local_id),
        };
        let header = Header {
            audience: Audience::Public,
            kind: Kind::HEAD,
            network: NetworkId([0; 32]),
            org: ORG,
            record,
            device: DEVICE,
            hlc: now(),
            prev: [0; 8],
            lease_until: lease_until_max(now()),
        };
        let body = head.encode_to_vec();
        let error = record::check(&header, &body).unwrap_err();
        assert_eq!(error.field(), Some(field), "{name}");
        let content = json!({
            "org": hex(ORG), "device": hex(DEVICE), "hlc": hex(now().0.to_be_bytes()), "record": hex(record),
            "body": bytes(body), "error": Reject::from(error).name(), "field": field,
        });
        case(name, why, content)
    };
    let hour = UnixHour::containing(NOW).0;
    vec![
        refused("no-local-id", "a head says whose it is", "local_id", &|head| head.local_id.clear()),
        refused("another-device", "nobody speaks for another device", "local_id", &|head| {
            head.local_id = hex([0xd2; 32]);
        }),
        refused("upper-case", "there is one way to write a key", "local_id", &|head| {
            head.local_id = head.local_id.to_uppercase();
        }),
        refused("root-31", "a root has 32 bytes", "root", &|head| head.root.truncate(31)),
        refused("root-33", "a root has 32 bytes", "root", &|head| head.root.push(0)),
        refused("from-later", "covers nothing that can be", "from_hour", &|head| head.from_hour = hour + 1),
    ]
}
