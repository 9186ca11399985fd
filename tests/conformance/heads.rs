//! Vectors of heads.

use fingerpost_proto::equivocation::Equivocation;
use fingerpost_proto::head::{Cover, Head};
use fingerpost_proto::id::{NetworkId, OrgId, RecordId, Vid};
use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::node::Reject;
use fingerpost_proto::record;
use fingerpost_proto::set::Entry;
use fingerpost_proto::time::Hlc;
use fingerpost_proto::version::{Header, SignedVersion, lease_until_max};
use serde_json::Value;

use crate::vector::{bytes, bytes_of, fixed, list, number};

fn clock(case: &Value) -> Hlc {
    Hlc(u64::from_be_bytes(fixed(case, "hlc")))
}

pub(crate) fn head(case: &Value) {
    let mut entries: Vec<([u8; 16], Entry)> = list(case, "entries")
        .iter()
        .map(|said| {
            let vid = Vid(fixed(said, "vid"));
            let entry = Entry { vid, hlc: clock(said), device: 0, lease_hours: 1, has_lapsed: false };
            (fixed(said, "key"), entry)
        })
        .collect();
    entries.sort_by_key(|(key, _)| *key);
    let hlc = clock(case);
    let cover = Cover::of(entries.into_iter().map(|(_, entry)| entry), Cover::from_hour(hlc), hlc);
    assert_eq!(u64::from(cover.from.0), number(case, "from_hour"));
    assert_eq!((cover.count, cover.root), (number(case, "count"), fixed(case, "root")));
    let device = fixed(case, "device");
    let (sequence, incarnation) = (number(case, "card_sequence"), u64::from_be_bytes(fixed(case, "incarnation")));
    assert_eq!(Head::body(&device, sequence, incarnation, &cover), bytes(case, "body"));
}

pub(crate) fn refused(case: &Value) -> Result<(), String> {
    let header = Header {
        audience: Audience::Public,
        kind: Kind::HEAD,
        network: NetworkId([0; 32]),
        org: OrgId(fixed(case, "org")),
        record: RecordId(fixed(case, "record")),
        device: fixed(case, "device"),
        hlc: clock(case),
        prev: [0; 8],
        lease_until: lease_until_max(clock(case)),
    };
    record::check(&header, &bytes(case, "body")).map(drop).map_err(|error| {
        let field = error.field().unwrap_or_default().to_owned();
        format!("{}: {field}", Reject::from(error).name())
    })
}

fn header(case: &Value, network: NetworkId, audience: Audience) -> Header {
    Header {
        audience,
        kind: Kind::EQUIVOCATION,
        network,
        org: OrgId(fixed(case, "org")),
        record: RecordId(fixed(case, "record")),
        device: fixed(case, "device"),
        hlc: clock(case),
        prev: [0; 8],
        lease_until: lease_until_max(clock(case)),
    }
}

pub(crate) fn equivocation(case: &Value) {
    let heads: Vec<SignedVersion> =
        list(case, "heads").iter().map(|head| SignedVersion::read(bytes_of(head)).unwrap()).collect();
    let [one, other] = &heads[..] else { panic!("two heads") };
    let proof = Equivocation::of(one.clone(), other.clone()).unwrap();
    let witness = OrgId(fixed(case, "witness"));
    let header = proof.header(&witness, fixed(case, "device"), clock(case));
    assert_eq!((proof.device, header.record), (fixed(case, "accused"), RecordId(fixed(case, "record"))));
    assert_eq!(u64::from(header.lease_until.0), number(case, "lease_until"));
    assert_eq!(proof.write(), bytes(case, "body"));
    assert!(record::check(&header, &proof.write()).is_ok());
}

pub(crate) fn no_equivocation(case: &Value) -> Result<(), String> {
    let audience = if case["audience"] == "members" { Audience::Members } else { Audience::Public };
    let header = header(case, NetworkId(fixed(case, "network")), audience);
    record::check(&header, &bytes(case, "body")).map(drop).map_err(|error| {
        let field = error.field().unwrap_or_default().to_owned();
        format!("{}: {field}", Reject::from(error).name())
    })
}
