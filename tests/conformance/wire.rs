//! Vectors of ids, keys, envelopes, sets, ranges and frames.

use fingerpost_proto::id::{NetworkId, OrgId, RecordId, Vid};
use fingerpost_proto::key::{Domain, KeyError, PublicKey};
use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::node::{Reject, read_compressed, read_frame, write_frame};
use fingerpost_proto::set::{Entry, Index, SetKey};
use fingerpost_proto::sync::{Digest, Pair, Range, RangeContent, RangeError, Side, answer, read_ranges, write_ranges};
use fingerpost_proto::time::{Hlc, UnixHour};
use fingerpost_proto::v1::frame::Content;
use fingerpost_proto::version::SignedVersion;
use prost::Message;
use serde_json::{Value, json};

use crate::vector::{bytes, bytes_of, fixed, hex, list, number, text};

pub(crate) fn id(case: &Value) {
    match text(case, "what") {
        "org" => assert_eq!(hex(OrgId::of_genesis_card(&bytes(case, "card"))), text(case, "id")),
        "network" => assert_eq!(hex(NetworkId::of_charter(&bytes(case, "charter"))), text(case, "id")),
        "vid" => {
            let vid = Vid::of_envelope(&bytes(case, "envelope"));
            assert_eq!((hex(vid), hex(vid.prefix())), (text(case, "id").to_owned(), text(case, "prev").to_owned()));
        }
        "record" => {
            let (org, audience) = (OrgId(fixed(case, "org")), Audience::from_name(text(case, "audience")).unwrap());
            let kind = Kind(number(case, "kind") as u16);
            let id = RecordId::derive(&org, kind, audience, text(case, "local_id"));
            assert_eq!(hex(id), text(case, "id"));
            assert_eq!(id.to_string(), text(case, "uuid"));
            assert_eq!(text(case, "uuid").parse(), Ok(id));
        }
        "clock" => {
            let (ms, hlc) = (number(case, "ms"), Hlc(u64::from_be_bytes(fixed(case, "hlc"))));
            assert_eq!(Hlc::new(ms, number(case, "counter") as u16), hlc);
            assert_eq!(u64::from(UnixHour::containing(ms).0), number(case, "hour"));
        }
        what => panic!("unknown case {what}"),
    }
}

pub(crate) fn id_text(case: &Value) -> Result<(), String> {
    let found = text(case, "text");
    let is_id = match text(case, "what") {
        "org" => found.parse::<OrgId>().is_ok(),
        "vid" => found.parse::<Vid>().is_ok(),
        _ => found.parse::<RecordId>().is_ok(),
    };
    if is_id { Ok(()) } else { Err("not-an-id".to_owned()) }
}

pub(crate) fn key_or_signature(case: &Value) -> Result<(), String> {
    let key = PublicKey::from_bytes(&bytes(case, "key")).map_err(|error| match error {
        KeyError::Length { .. } => "key-length".to_owned(),
        KeyError::NotAPoint => "key-not-a-point".to_owned(),
        KeyError::Weak => "key-weak".to_owned(),
    })?;
    if text(case, "what") == "key" {
        return Ok(());
    }
    let domain = match text(case, "domain") {
        "version" => Domain::Version,
        "invitation" => Domain::Invitation,
        _ => Domain::Claim,
    };
    assert_eq!(bytes(case, "prefix"), domain.prefix());
    key.verify(domain, &bytes(case, "message"), &bytes(case, "signature")).map_err(|_| "bad-signature".to_owned())
}

pub(crate) fn version(case: &Value) {
    let version = SignedVersion::read(bytes(case, "envelope")).unwrap();
    let (header, said) = (*version.header(), &case["header"]);
    let found = json!({
        "audience": header.audience.name(), "kind": header.kind.0, "network": hex(header.network), "org": hex(header.org),
        "record": hex(header.record), "device": hex(header.device), "hlc_ms": header.hlc.ms(),
        "hlc_counter": header.hlc.counter(), "prev": hex(header.prev), "lease_until": header.lease_until.0,
    });
    assert_eq!(&found, said);
    assert_eq!(version.body(), bytes(case, "body"));
    assert_eq!(version.is_withdrawal(), case["withdrawal"].as_bool().unwrap());
    assert_eq!(version.forget_at(), case["forget_at_ms"].as_u64());
    assert_eq!(hex(version.vid()), text(case, "vid"));
    let key = PublicKey::from_bytes(&header.device).unwrap();
    assert!(version.check_signature(&key).is_ok());
    // Signing is deterministic: the same seed gives the same envelope.
    let signer = ed25519_dalek::SigningKey::from_bytes(&fixed(case, "seed"));
    let signature = ed25519_dalek::Signer::sign(&signer, &header.signing_bytes(version.body())).to_bytes();
    let again = SignedVersion::assemble(&header, version.body(), &signature).unwrap();
    assert_eq!(again.envelope(), version.envelope());
}

pub(crate) fn version_error(case: &Value) -> Result<(), String> {
    let version =
        SignedVersion::read(bytes(case, "envelope")).map_err(|error| Reject::from(error).name().to_owned())?;
    let key = PublicKey::from_bytes(&bytes(case, "key")).unwrap();
    version.check_signature(&key).map_err(|_| Reject::BadSignature.name().to_owned())
}

fn pairs(case: &Value, field: &str) -> Vec<Pair> {
    list(case, field).iter().map(|entry| (SetKey(fixed(entry, "key")), Vid(fixed(entry, "vid")))).collect()
}

fn index(case: &Value) -> Index {
    let mut index = Index::new();
    for (key, vid) in pairs(case, "entries") {
        index.insert(key, Entry { vid, hlc: Hlc(0), device: 0, lease_hours: 0, has_lapsed: false });
    }
    index
}

fn bound(value: &Value) -> Option<SetKey> {
    (!value.is_null()).then(|| SetKey(bytes_of(value).try_into().unwrap()))
}

pub(crate) fn set(case: &Value) {
    if text(case, "what") == "key" {
        let (org, record) = (OrgId(fixed(case, "org")), RecordId(fixed(case, "record")));
        let key = SetKey::derive(Kind(number(case, "kind") as u16), &org, &record);
        return assert_eq!(hex(key), text(case, "key"));
    }
    let upper = bound(&case["upper"]);
    let summary = index(case).summary(&SetKey(fixed(case, "lower")), upper.as_ref());
    assert_eq!(
        (hex(summary.fingerprint()), summary.count),
        (text(case, "fingerprint").to_owned(), number(case, "count"))
    );
}

fn digests(range: &Value) -> Vec<Digest> {
    bytes(range, "digests").as_chunks().0.to_vec()
}

fn said(case: &Value) -> Vec<Range> {
    let range = |range: &Value| {
        let content = match text(range, "mode") {
            "skip" => RangeContent::Skip,
            "fingerprint" => RangeContent::Fingerprint(fixed(range, "fingerprint")),
            "short-fingerprint" => RangeContent::ShortFingerprint(fixed(range, "fingerprint")),
            "digests" => RangeContent::Digests(digests(range)),
            "lacking" => RangeContent::Lacking(digests(range)),
            "fetching" => RangeContent::Fetching,
            mode => panic!("unknown mode {mode}"),
        };
        Range { upper: bound(&range["upper"]), content }
    };
    list(case, "says").iter().map(range).collect()
}

pub(crate) fn ranges(case: &Value) {
    let lower = SetKey(fixed(case, "lower"));
    let found = bytes(case, "ranges");
    if text(case, "what") == "ranges" {
        let read = read_ranges(lower, &found, case["reply"].as_bool().unwrap()).unwrap();
        assert_eq!((&read, write_ranges(lower, &read)), (&said(case), found));
        return;
    }
    let read = read_ranges(lower, &found, false).unwrap();
    let side = if text(case, "side") == "initiator" { Side::Initiator } else { Side::Responder };
    let answer = answer(&index(case), side, number(case, "session"), lower, &read);
    assert_eq!(answer.offers, pairs(case, "offers"));
    let spans: Vec<_> =
        list(case, "fetches").iter().map(|span| (SetKey(fixed(span, "lower")), bound(&span["upper"]))).collect();
    assert_eq!(answer.fetches, spans);
    assert_eq!((write_ranges(lower, &answer.ranges), answer.ranges), (bytes(case, "answer"), said(case)));
}

pub(crate) fn ranges_error(case: &Value) -> Result<(), String> {
    let read = read_ranges(SetKey(fixed(case, "lower")), &bytes(case, "ranges"), case["reply"].as_bool().unwrap());
    let detail = match read {
        Ok(_) => return Ok(()),
        Err(RangeError::Truncated) => "truncated",
        Err(RangeError::BoundLength { .. }) => "bound-length",
        Err(RangeError::Mode { .. }) => "mode",
        Err(RangeError::Order) => "order",
        Err(RangeError::TooMany { .. }) => "too-many",
        Err(RangeError::TooManyDigests { .. }) => "too-many-digests",
        Err(RangeError::Empty) => "empty",
    };
    Err(format!("ranges: {detail}"))
}

fn route(route: &fingerpost_proto::v1::Route) -> Value {
    json!({ "direct": route.direct })
}

pub(crate) fn frame(case: &Value) {
    let content = read_frame(&bytes(case, "frame")).unwrap();
    let found = match &content {
        Content::Hello(hello) => {
            let set = |set: &fingerpost_proto::v1::SetSummary| json!({ "audience": set.audience, "fingerprint": hex(&set.fingerprint), "count": set.count, "log_epoch": set.log_epoch.to_string(), "log_sequence": set.log_sequence });
            let sets: Vec<Value> = hello.sets.iter().map(set).collect();
            json!({ "hello": {
                "level": hello.level, "level_min": hello.level_min, "network": hex(&hello.network),
                "clock_ms": hello.clock_ms, "sets": sets, "software": hello.software,
            } })
        }
        Content::Bye(bye) => json!({ "bye": { "code": bye.code, "message": bye.message } }),
        Content::Versions(versions) => {
            let envelopes: Vec<String> = versions.envelopes.iter().map(hex).collect();
            json!({ "versions": { "envelopes": envelopes, "want": versions.want, "last": versions.last, "more": versions.more, "route": versions.route.as_ref().map(route) } })
        }
        Content::Reconcile(frame) => json!({ "reconcile": {
            "audience": frame.audience, "session": frame.session, "round": frame.round,
            "lower": hex(&frame.lower), "ranges": hex(&frame.ranges),
        } }),
        Content::Offer(offer) => {
            json!({ "offer": { "audience": offer.audience, "pairs": hex(&offer.pairs), "announced": offer.announced, "keys": hex(&offer.keys) } })
        }
        Content::Want(want) => {
            json!({ "want": { "audience": want.audience, "want": want.want, "keys": hex(&want.keys), "graft": want.graft } })
        }
        Content::Ping(ping) => json!({ "ping": { "nonce": ping.nonce, "clock_ms": ping.clock_ms } }),
        Content::Pong(pong) => json!({ "pong": { "nonce": pong.nonce, "clock_ms": pong.clock_ms } }),
        Content::CatchUp(frame) => json!({ "catch_up": {
            "audience": frame.audience, "want": frame.want, "epoch": frame.epoch.to_string(), "since": frame.since,
        } }),
        Content::Arrivals(frame) => json!({ "arrivals": {
            "want": frame.want, "stale": frame.stale, "through": frame.through, "hints": hex(&frame.hints),
            "fingerprint": hex(&frame.fingerprint),
        } }),
        Content::Take(frame) => json!({ "take": { "want": frame.want, "wanted": hex(&frame.wanted) } }),
        Content::Fetch(frame) => json!({ "fetch": {
            "audience": frame.audience, "want": frame.want, "lower": hex(&frame.lower), "upper": frame.upper.as_ref().map(hex),
        } }),
        Content::Progress(frame) => json!({ "progress": {
            "audience": frame.audience, "sequence": frame.sequence, "consumed": frame.consumed, "level": frame.level,
        } }),
        Content::Compressed(frame) => json!({ "compressed": {
            "dictionary": frame.dictionary, "payload_bytes": frame.payload_bytes, "data": hex(&frame.data), "signatures": hex(&frame.signatures),
            "versions": hex(read_compressed(frame).unwrap().encode_to_vec()),
        } }),
        Content::Prune(_) => json!({ "prune": {} }),
        Content::Neighbours(frame) => json!({ "neighbours": { "keys": hex(&frame.keys) } }),
        Content::Beat(beat) => {
            json!({ "beat": { "root": hex(&beat.root), "sequence": beat.sequence, "hops": beat.hops } })
        }
    };
    assert_eq!(found, case["says"]);
    assert_eq!(hex(write_frame(content)), text(case, "frame"));
}
