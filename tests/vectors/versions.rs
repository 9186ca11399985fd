//! Vectors of headers and envelopes: `spec/03-versions.md`.

use ed25519_dalek::Signer;
use fingerpost_proto::key::Domain;
use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::limits::ENVELOPE_BYTES_MAX;
use fingerpost_proto::time::{Hlc, UnixHour};
use fingerpost_proto::v1;
use fingerpost_proto::version::{HEADER_BYTES, Header, SignedVersion};
use prost::Message;
use serde_json::{Value, json};

use crate::cast::{City, NOW, sign, sign_unchecked};
use crate::{File, bytes, case, file, hex};

pub(crate) fn files() -> Vec<File> {
    vec![
        file("version_valid", "Envelopes that are read and whose signature holds: spec/03-versions.md.", valid()),
        file(
            "version_invalid",
            "Envelopes that are refused, by the bytes or by the signature: spec/03-versions.md.",
            invalid(),
        ),
    ]
}

fn valid_case(name: &str, why: &str, seed: &[u8], version: &SignedVersion) -> Value {
    let header = version.header();
    case(
        name,
        why,
        json!({
            "seed": hex(seed), "envelope": bytes(version.envelope()), "vid": hex(version.vid()),
            "withdrawal": version.is_withdrawal(), "forget_at_ms": version.forget_at(), "body": bytes(version.body()),
            "header": {
                "audience": header.audience.name(), "kind": header.kind.0, "network": hex(header.network),
                "org": hex(header.org), "record": hex(header.record), "device": hex(header.device),
                "hlc_ms": header.hlc.ms(), "hlc_counter": header.hlc.counter(), "prev": hex(header.prev),
                "lease_until": header.lease_until.0,
            },
        }),
    )
}

fn valid() -> Vec<Value> {
    let city = City::new();
    let (forum, network) = (&city.forum, city.network);
    let seed = forum.device.to_bytes();
    let at = Hlc::new(NOW, 3);
    let header = forum.header(network, Kind::SERVICE, Audience::Public, "drop-in", at);
    let body = v1::Service { local_id: "drop-in".into(), name: "Drop-in".into(), ..Default::default() }.encode_to_vec();
    let first = sign(&forum.device, &header, &body);
    let hour = UnixHour::containing(NOW).0;
    let with = |change: &dyn Fn(&mut Header), body: &[u8]| {
        let mut changed = header;
        change(&mut changed);
        sign(&forum.device, &changed, body)
    };
    let largest = vec![0x20; ENVELOPE_BYTES_MAX - 64 - HEADER_BYTES];
    vec![
        valid_case("first", "a first version: prev is zero", &seed, &first),
        valid_case(
            "second",
            "prev names the version that it replaces",
            &seed,
            &with(
                &|header| {
                    (header.prev, header.hlc) = (first.vid().prefix(), Hlc::new(NOW + 1, 0));
                },
                &body,
            ),
        ),
        valid_case(
            "members",
            "the audience is signed",
            &seed,
            &with(&|header| header.audience = Audience::Members, &body),
        ),
        valid_case(
            "withdrawal",
            "no body and no lease: 200 bytes",
            &seed,
            &with(
                &|header| {
                    (header.lease_until, header.prev, header.hlc) =
                        (UnixHour(0), first.vid().prefix(), Hlc::new(NOW + 2, 0));
                },
                b"",
            ),
        ),
        valid_case(
            "lease-shortest",
            "the lease ends with the hour of signing",
            &seed,
            &with(&|header| header.lease_until = UnixHour(hour + 1), &body),
        ),
        valid_case(
            "lease-longest",
            "the lease ends 9,600 hours after the hour of signing",
            &seed,
            &with(&|header| header.lease_until = UnixHour(hour + 9_600), &body),
        ),
        valid_case(
            "counter-largest",
            "the counter takes part in the order only",
            &seed,
            &with(&|header| header.hlc = Hlc::new(NOW, u16::MAX), &body),
        ),
        valid_case(
            "clock-zero",
            "every clock is readable; whether it is acceptable is asked at receipt",
            &seed,
            &with(&|header| (header.hlc, header.lease_until) = (Hlc(0), UnixHour(1)), &body),
        ),
        valid_case(
            "unknown-kind",
            "kind 77 has no meaning yet: it is read, kept and relayed",
            &seed,
            &with(&|header| header.kind = Kind(77), &body),
        ),
        valid_case(
            "largest-content-kind",
            "32767 is content",
            &seed,
            &with(&|header| header.kind = Kind(0x7fff), &body),
        ),
        valid_case(
            "first-network-kind",
            "32768 is of the network: public, no lease",
            &seed,
            &with(&|header| (header.kind, header.lease_until) = (Kind(0x8000), UnixHour(0)), &body),
        ),
        valid_case("largest", "65,536 bytes", &seed, &with(&|_| (), &largest)),
        valid_case(
            "card",
            "a card is signed by a root key of the card itself and is never forgotten",
            &forum.root.to_bytes(),
            &forum.card_version(network),
        ),
    ]
}

fn invalid() -> Vec<Value> {
    let city = City::new();
    let (forum, network) = (&city.forum, city.network);
    let header = forum.header(network, Kind::SERVICE, Audience::Public, "drop-in", Hlc::new(NOW, 3));
    let body = v1::Service { local_id: "drop-in".into(), name: "Drop-in".into(), ..Default::default() }.encode_to_vec();
    let good = sign(&forum.device, &header, &body);
    let key = hex(forum.device.verifying_key().as_bytes());
    let hour = UnixHour::containing(NOW).0;
    let refused = |name: &str, why: &str, envelope: Vec<u8>, error: &str| {
        case(name, why, json!({ "key": key, "envelope": bytes(envelope), "error": error }))
    };
    // One byte of the good envelope, counted from the start of the header.
    let moved = |name: &str, why: &str, at: usize, byte: u8, error: &str| {
        let mut envelope = good.envelope().to_vec();
        assert_ne!(envelope[64 + at], byte);
        envelope[64 + at] = byte;
        refused(name, why, envelope, error)
    };
    let flip = |name: &str, why: &str, at: usize| moved(name, why, at, good.envelope()[64 + at] ^ 1, "bad-signature");
    let signed = |name: &str, why: &str, change: &dyn Fn(&mut Header), body: &[u8], error: &str| {
        let mut changed = header;
        change(&mut changed);
        refused(name, why, sign_unchecked(&forum.device, &changed, body), error)
    };
    let with_signature = |signature: [u8; 64]| [signature.as_slice(), &good.envelope()[64..]].concat();
    let message = &good.envelope()[64..];
    let largest = vec![0x20; ENVELOPE_BYTES_MAX - 64 - HEADER_BYTES + 1];
    vec![
        refused("empty", "0 bytes", vec![], "envelope-length"),
        refused(
            "too-short",
            "199 bytes: a signature and a header have 200",
            good.envelope()[..199].to_vec(),
            "envelope-length",
        ),
        signed("too-long", "65,537 bytes", &|_| (), &largest, "envelope-length"),
        moved("format-0", "format 0", 0, 0, "unknown-format"),
        moved("format-2", "a later format", 0, 2, "unknown-format"),
        moved("audience-2", "audience 2 has no meaning", 1, 2, "unknown-audience"),
        flip("audience-moved", "a public version shown as one for members", 1),
        flip("kind-moved", "a service shown as a location", 3),
        moved(
            "kind-made-network",
            "a service shown as a network kind: its lease is wrong before its signature is",
            2,
            0x80,
            "lease",
        ),
        flip("network-moved", "a version shown in another network", 4),
        flip("org-moved", "a version shown as another organisation's", 36),
        flip("record-moved", "a version shown as one of another record", 68),
        flip("device-moved", "a version shown as another device's", 84),
        flip("hlc-moved", "a version shown as later by a counter", 123),
        flip("prev-moved", "another predecessor", 131),
        flip("lease-moved", "a lease longer by an hour", 135),
        flip("body-moved", "one bit of the body", 136),
        {
            let mut envelope = good.envelope().to_vec();
            envelope.push(0);
            refused("body-longer", "a byte after the body", envelope, "bad-signature")
        },
        {
            let mut envelope = good.envelope().to_vec();
            envelope[0] ^= 1;
            refused("signature-moved", "one bit of the signature", envelope, "bad-signature")
        },
        refused(
            "other-device",
            "signed by another organisation's device",
            sign_unchecked(&city.council.device, &header, &body),
            "bad-signature",
        ),
        refused(
            "no-prefix",
            "signed without the domain prefix",
            with_signature(forum.device.sign(message).to_bytes()),
            "bad-signature",
        ),
        refused(
            "other-domain",
            "signed as an invitation",
            with_signature(forum.device.sign(&Domain::Invitation.signing_bytes(message)).to_bytes()),
            "bad-signature",
        ),
        signed("kind-zero", "kind 0 is not a kind", &|header| header.kind = Kind(0), &body, "kind-zero"),
        signed(
            "network-kind-for-members",
            "network kinds are public",
            &|header| {
                (header.kind, header.audience, header.lease_until) = (Kind::VOUCH, Audience::Members, UnixHour(0))
            },
            &body,
            "network-kind-not-public",
        ),
        signed(
            "network-kind-with-lease",
            "network kinds have no lease",
            &|header| header.kind = Kind::VOUCH,
            &body,
            "lease",
        ),
        signed("lease-none", "content without a lease", &|header| header.lease_until = UnixHour(0), &body, "lease"),
        signed(
            "lease-hour-of-signing",
            "the lease ends before it begins",
            &|header| header.lease_until = UnixHour(hour),
            &body,
            "lease",
        ),
        signed("lease-too-long", "9,601 hours", &|header| header.lease_until = UnixHour(hour + 9_601), &body, "lease"),
        signed("withdrawal-with-lease", "a withdrawal has no lease", &|_| (), b"", "lease"),
    ]
}
