//! Vectors of proofs that a device said two things of one moment: `spec/15-heads.md`, section 6.

use ed25519_dalek::{Signer, SigningKey};
use fingerpost_proto::equivocation::Equivocation;
use fingerpost_proto::head::{Cover, Head};
use fingerpost_proto::id::{NetworkId, OrgId, RecordId};
use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::node::Reject;
use fingerpost_proto::record;
use fingerpost_proto::time::{Hlc, UnixHour};
use fingerpost_proto::v1;
use fingerpost_proto::version::{Header, SignedVersion};
use prost::Message;
use serde_json::{Value, json};

use crate::cast::NOW;
use crate::{File, bytes, case, file, hex};

const WITNESS: OrgId = OrgId([0x77; 32]);
const WITNESS_DEVICE: [u8; 32] = [0xd7; 32];

pub(crate) fn files() -> Vec<File> {
    vec![
        file("equivocation_valid", "Two heads, and the proof that they make: spec/15-heads.md, section 6.", valid()),
        file("equivocation_invalid", "Bodies that prove nothing: spec/15-heads.md, section 6.", invalid()),
    ]
}

/// What makes one head another.
#[derive(Clone, Copy)]
struct Said {
    network: u8,
    org: u8,
    device: u8,
    audience: Audience,
    hlc: Hlc,
    incarnation: u64,
    count: u64,
    root: u8,
    card_sequence: u64,
}

const ONE: Said = Said {
    network: 1,
    org: 0x42,
    device: 3,
    audience: Audience::Public,
    hlc: Hlc(NOW << 16),
    incarnation: 9,
    count: 4,
    root: 7,
    card_sequence: 1,
};
const OTHER: Said = Said { count: 5, ..ONE };

fn signed(header: &Header, body: &[u8], seed: u8) -> SignedVersion {
    let signature = SigningKey::from_bytes(&[seed; 32]).sign(&header.signing_bytes(body)).to_bytes();
    SignedVersion::assemble(header, body, &signature).unwrap()
}

fn head(said: Said) -> SignedVersion {
    let device = SigningKey::from_bytes(&[said.device; 32]).verifying_key().to_bytes();
    let org = OrgId([said.org; 32]);
    let cover = Cover { from: Cover::from_hour(said.hlc), count: said.count, root: [said.root; 32] };
    let header = Header {
        audience: said.audience,
        kind: Kind::HEAD,
        network: NetworkId([said.network; 32]),
        org,
        record: Head::record_id(&org, &device, said.audience),
        device,
        hlc: said.hlc,
        prev: [0; 8],
        lease_until: UnixHour::containing(said.hlc.ms()).plus_days(60),
    };
    signed(&header, &Head::body(&device, said.card_sequence, said.incarnation, &cover), said.device)
}

fn valid() -> Vec<Value> {
    let proven = |name: &str, why: &str, heads: [Said; 2]| {
        let heads = heads.map(head);
        let proof = Equivocation::of(heads[0].clone(), heads[1].clone()).unwrap();
        let header = proof.header(&WITNESS, WITNESS_DEVICE, Hlc::new(NOW + 1, 0));
        record::check(&header, &proof.write()).unwrap();
        let content = json!({
            "witness": hex(WITNESS), "device": hex(WITNESS_DEVICE), "hlc": hex(header.hlc.0.to_be_bytes()),
            "heads": heads.each_ref().map(|head| hex(head.envelope())), "record": hex(header.record),
            "lease_until": header.lease_until.0, "accused": hex(proof.device), "body": bytes(proof.write()),
        });
        case(name, why, content)
    };
    let members = |said| Said { audience: Audience::Members, ..said };
    vec![
        proven("two-counts", "one clock, two counts", [ONE, OTHER]),
        proven("other-way-round", "the head with the lower vid comes first, whichever was met first", [OTHER, ONE]),
        proven("two-roots", "one count, two hashes", [ONE, Said { root: 8, ..ONE }]),
        proven("for-members", "what was said to members is told to members", [members(ONE), members(OTHER)]),
    ]
}

fn invalid() -> Vec<Value> {
    let refused = |name: &str,
                   why: &str,
                   field: &str,
                   envelopes: [Vec<u8>; 2],
                   change: &dyn Fn(&mut Header, &mut v1::Equivocation)| {
        let honest = Equivocation::of(head(ONE), head(OTHER)).unwrap();
        let mut header = honest.header(&WITNESS, WITNESS_DEVICE, Hlc::new(NOW + 1, 0));
        let [first, second] = envelopes;
        let mut message = v1::Equivocation { local_id: hex(honest.device), first, second };
        change(&mut header, &mut message);
        // The record id goes with what the body says of itself.
        header.record = RecordId::derive(&WITNESS, Kind::EQUIVOCATION, header.audience, &message.local_id);
        let body = message.encode_to_vec();
        let error = record::check(&header, &body).unwrap_err();
        assert_eq!(error.field(), Some(field), "{name}: {error}");
        let content = json!({
            "network": hex(header.network), "audience": header.audience.name(), "org": hex(WITNESS),
            "device": hex(WITNESS_DEVICE), "hlc": hex(header.hlc.0.to_be_bytes()), "record": hex(header.record),
            "body": bytes(body), "error": Reject::from(error).name(), "field": field,
        });
        case(name, why, content)
    };
    let sorted = |mut heads: [SignedVersion; 2]| {
        heads.sort_by_key(SignedVersion::vid);
        heads.map(|head| head.envelope().to_vec())
    };
    let unchanged = |_: &mut Header, _: &mut v1::Equivocation| {};
    let pair = |other: Said| sorted([head(ONE), head(other)]);
    let honest = || pair(OTHER);
    let swapped = || {
        let [first, second] = honest();
        [second, first]
    };
    // Another signature gives another vid; a bit is taken that keeps the order.
    let forged = (0..64).map(|at| {
        let [mut first, second] = honest();
        first[at] ^= 1;
        [first, second]
    });
    let keeps_order = |pair: &[Vec<u8>; 2]| {
        let [first, second] = pair.clone().map(|envelope| SignedVersion::read(envelope).unwrap().vid());
        first < second
    };
    let forged = forged.into_iter().find(keeps_order).unwrap();
    let service = signed(&Header { kind: Kind::SERVICE, ..*head(OTHER).header() }, head(OTHER).body(), ONE.device);
    let no_head = if head(ONE).vid() < service.vid() { "second" } else { "first" };
    vec![
        refused("no-envelope", "bytes that are no version", "first", [vec![0; 20], honest()[1].clone()], &unchanged),
        refused("swapped", "there is one way to write a proof", "second", swapped(), &unchanged),
        refused("forged", "one of the two signatures does not hold", "first", forged, &unchanged),
        refused(
            "later",
            "a later head may say something else",
            "second",
            pair(Said { hlc: Hlc(ONE.hlc.0 + 1), ..OTHER }),
            &unchanged,
        ),
        refused(
            "another-copy",
            "a copied or restored home is no lie",
            "second",
            pair(Said { incarnation: 10, ..OTHER }),
            &unchanged,
        ),
        refused(
            "same-cover",
            "the same said twice is no lie",
            "second",
            pair(Said { card_sequence: 2, ..ONE }),
            &unchanged,
        ),
        refused("another-device", "two devices may differ", "second", pair(Said { device: 4, ..OTHER }), &unchanged),
        refused(
            "another-organisation",
            "two organisations may differ",
            "second",
            pair(Said { org: 0x43, ..OTHER }),
            &unchanged,
        ),
        refused("no-head", "a service is no head", no_head, sorted([head(ONE), service]), &unchanged),
        refused("another-network", "a proof speaks of its own network", "first", honest(), &|header, _| {
            header.network = NetworkId([2; 32])
        }),
        refused("another-audience", "what was said to members stays among them", "first", honest(), &|header, _| {
            header.audience = Audience::Members
        }),
        refused("another-name", "the local id is the device that is accused", "local_id", honest(), &|_, message| {
            message.local_id = hex([9; 32])
        }),
    ]
}
