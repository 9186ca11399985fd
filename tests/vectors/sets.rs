//! Vectors of set keys, fingerprints, ranges and answers: `spec/07-sync.md`.

use fingerpost_proto::id::{OrgId, RecordId, Vid};
use fingerpost_proto::kind::Kind;
use fingerpost_proto::set::{Entry, Index, SetKey};
use fingerpost_proto::sync::Side::{Initiator, Responder};
use fingerpost_proto::sync::{
    Pair, Range, RangeContent, Side, answer, digest, opening, short_fingerprint, write_ranges,
};
use fingerpost_proto::time::Hlc;
use serde_json::{Value, json};

use crate::{File, bytes, case, file, hex};

/// Number of the session in all cases.
const SESSION: u64 = 7;

pub(crate) fn files() -> Vec<File> {
    vec![
        file("set_valid", "Set keys and fingerprints: spec/07-sync.md, sections 1 and 2.", sets()),
        file("ranges_valid", "Ranges as bytes, and what they are answered with: spec/07-sync.md, section 6.", ranges()),
        file("ranges_invalid", "Bytes that are no ranges: spec/07-sync.md, section 6.", bad_ranges()),
    ]
}

fn set_key(name: &str, why: &str, kind: Kind, org: OrgId, record: RecordId) -> Value {
    let key = SetKey::derive(kind, &org, &record);
    case(name, why, json!({ "what": "key", "kind": kind.0, "org": hex(org), "record": hex(record), "key": hex(key) }))
}

/// An entry whose key and vid follow from a number.
fn pair(n: u8) -> Pair {
    (SetKey::derive(Kind::SERVICE, &OrgId([n / 8; 32]), &RecordId([n; 16])), Vid([n ^ 0x5a; 16]))
}

fn index(pairs: &[Pair]) -> Index {
    let mut index = Index::new();
    for (key, vid) in pairs {
        index.insert(*key, Entry { vid: *vid, hlc: Hlc(0), device: 0, lease_hours: 0, has_lapsed: false });
    }
    index
}

fn listed(pairs: &[Pair]) -> Vec<Value> {
    pairs.iter().map(|(key, vid)| json!({ "key": hex(key), "vid": hex(vid) })).collect()
}

fn bound(upper: &Option<SetKey>) -> Value {
    upper.as_ref().map_or(Value::Null, |key| json!(hex(key)))
}

fn fingerprint(name: &str, why: &str, pairs: &[Pair], lower: SetKey, upper: Option<SetKey>) -> Value {
    let summary = index(pairs).summary(&lower, upper.as_ref());
    case(
        name,
        why,
        json!({
            "what": "fingerprint", "entries": listed(pairs), "lower": hex(lower), "upper": bound(&upper),
            "count": summary.count, "fingerprint": hex(summary.fingerprint()),
        }),
    )
}

fn sets() -> Vec<Value> {
    let org = OrgId(std::array::from_fn(|i| i as u8));
    let pairs: Vec<Pair> = (0..40).map(pair).collect();
    let mut sorted = pairs.clone();
    sorted.sort_unstable();
    let zero = SetKey::default();
    vec![
        set_key(
            "key-content",
            "class 2, seven bytes of the OrgId, eight of BLAKE3 of OrgId and record id",
            Kind::SERVICE,
            org,
            RecordId([7; 16]),
        ),
        set_key("key-other-kind", "among content the kind takes no part", Kind(77), org, RecordId([7; 16])),
        set_key("key-upkeep", "class 1: between them", Kind::HEAD, org, RecordId([7; 16])),
        set_key("key-last-record-kind", "the last kind that is not upkeep", Kind(0x7eff), org, RecordId([7; 16])),
        set_key("key-network", "class 0: cards and statements come first", Kind::CARD, org, RecordId([7; 16])),
        fingerprint("empty", "an empty set", &[], zero, None),
        fingerprint("one", "one entry", &pairs[..1], zero, None),
        fingerprint("forty", "the order of entries does not matter; sums are modulo 2^256", &pairs, zero, None),
        fingerprint("range", "lower bound included, upper bound excluded", &pairs, sorted[10].0, Some(sorted[20].0)),
        fingerprint(
            "range-empty",
            "a range without entries has the fingerprint of the empty set",
            &pairs,
            sorted[39].0,
            Some(SetKey([0xff; 16])),
        ),
    ]
}

fn said(ranges: &[Range]) -> Vec<Value> {
    ranges
        .iter()
        .map(|range| match &range.content {
            RangeContent::Skip => json!({ "upper": bound(&range.upper), "mode": "skip" }),
            RangeContent::Fingerprint(fingerprint) => {
                json!({ "upper": bound(&range.upper), "mode": "fingerprint", "fingerprint": hex(fingerprint) })
            }
            RangeContent::ShortFingerprint(fingerprint) => {
                json!({ "upper": bound(&range.upper), "mode": "short-fingerprint", "fingerprint": hex(fingerprint) })
            }
            RangeContent::Fetching => json!({ "upper": bound(&range.upper), "mode": "fetching" }),
            RangeContent::Digests(digests) => {
                json!({ "upper": bound(&range.upper), "mode": "digests", "digests": bytes(digests.as_flattened()) })
            }
            RangeContent::Lacking(digests) => {
                json!({ "upper": bound(&range.upper), "mode": "lacking", "digests": bytes(digests.as_flattened()) })
            }
        })
        .collect()
}

fn written(name: &str, why: &str, lower: SetKey, is_reply: bool, ranges: &[Range]) -> Value {
    case(
        name,
        why,
        json!({ "what": "ranges", "lower": hex(lower), "reply": is_reply, "ranges": bytes(write_ranges(lower, ranges)), "says": said(ranges) }),
    )
}

fn answered(name: &str, why: &str, side: Side, own: &[Pair], ranges: &[Range]) -> Value {
    let lower = SetKey::default();
    let answer = answer(&index(own), side, SESSION, lower, ranges);
    case(
        name,
        why,
        json!({
            "what": "answer", "entries": listed(own), "side": if side == Side::Initiator { "initiator" } else { "responder" },
            "session": SESSION, "lower": hex(lower), "ranges": bytes(write_ranges(lower, ranges)),
            "answer": bytes(write_ranges(lower, &answer.ranges)), "says": said(&answer.ranges), "offers": listed(&answer.offers),
            "fetches": answer.fetches.iter().map(|(lower, upper)| json!({ "lower": hex(lower), "upper": bound(upper) })).collect::<Vec<_>>(),
        }),
    )
}

fn key(bytes: &[u8]) -> SetKey {
    let mut key = [0; 16];
    key[..bytes.len()].copy_from_slice(bytes);
    SetKey(key)
}

fn ranges() -> Vec<Value> {
    let skip = |upper: Option<SetKey>| Range { upper, content: RangeContent::Skip };
    let print = |upper: Option<SetKey>| Range { upper, content: RangeContent::Fingerprint([0xab; 16]) };
    let named = |pairs: &[Pair]| pairs.iter().map(|(_, vid)| digest(SESSION, vid)).collect::<Vec<_>>();
    let digests = |upper: Option<SetKey>, pairs: &[Pair]| Range { upper, content: RangeContent::Digests(named(pairs)) };
    let short = |upper: Option<SetKey>, pairs: &[Pair]| Range {
        upper,
        content: RangeContent::ShortFingerprint(short_fingerprint(SESSION, pairs)),
    };
    let lacking = |upper: Option<SetKey>, pairs: &[Pair]| Range { upper, content: RangeContent::Lacking(named(pairs)) };
    let mut pairs: Vec<Pair> = (0..40).map(pair).collect();
    pairs.sort_unstable();
    let mut many_pairs: Vec<Pair> = (0..65).map(pair).collect();
    many_pairs.sort_unstable();
    let hundreds: Vec<Pair> = (0..513u16).map(|n| (key(&n.to_be_bytes()), Vid([n as u8; 16]))).collect();
    let zero = SetKey::default();
    let many: Vec<Range> = (1..=128u8).map(|n| print(Some(key(&[n])))).collect();
    let without_one: Vec<Pair> =
        pairs.iter().copied().enumerate().filter(|(i, _)| *i != 12).map(|(_, pair)| pair).collect();
    let mut changed = pairs[..20].to_vec();
    changed[3].1 = Vid([0; 16]);
    vec![
        written("skip-all", "one range up to the end, nothing to say", zero, true, &[skip(None)]),
        written("opening", "the first frame of a session", zero, false, &[print(None)]),
        written(
            "fetching",
            "nothing is held here, all of it is fetched",
            zero,
            false,
            &[Range { upper: None, content: RangeContent::Fetching }],
        ),
        written(
            "bounds-shared",
            "a bound is written by how many bytes it shares with the one before, and its new bytes",
            key(&[7; 12]),
            false,
            &[print(Some(key(&[7, 7, 7, 7, 7, 7, 7, 7, 9]))), skip(Some(key(&[7, 7, 7, 7, 7, 7, 7, 7, 9, 1])))],
        ),
        written(
            "bounds",
            "a bound is written without its trailing zeros",
            zero,
            false,
            &[
                print(Some(key(&[1]))),
                skip(Some(key(&[1, 0, 2]))),
                digests(Some(SetKey([0xff; 16])), &pairs[..1]),
                skip(None),
            ],
        ),
        written("digests", "32 digests, the most in a range", zero, false, &[digests(None, &pairs[..32])]),
        written(
            "lacking",
            "three digests of the other side that are lacking here",
            zero,
            false,
            &[lacking(None, &pairs[..3])],
        ),
        written(
            "not-to-the-end",
            "the last range need not reach the end of the key space",
            key(&[1]),
            false,
            &[print(Some(key(&[2])))],
        ),
        written("request-of-128", "128 ranges with content, the most in a request", zero, false, &many),
        answered("answer-equal", "equal sets: no range is open", Responder, &pairs, &opening(&index(&pairs))),
        answered(
            "answer-nothing-here",
            "no own entries: the span is fetched whole",
            Responder,
            &[],
            &opening(&index(&pairs)),
        ),
        answered(
            "answer-digests",
            "at most 32 own entries: their digests are listed",
            Responder,
            &pairs[..20],
            &opening(&index(&pairs)),
        ),
        answered(
            "answer-split",
            "33 to 512 own entries: 16 parts, each by its short fingerprint",
            Responder,
            &pairs,
            &opening(&index(&without_one)),
        ),
        answered(
            "answer-split-513",
            "more than 512 own entries: 16 parts, each by its fingerprint",
            Responder,
            &hundreds,
            &[print(None)],
        ),
        answered("short-equal", "the same few entries: skip", Responder, &pairs[..32], &[short(None, &pairs[..32])]),
        answered(
            "short-differs",
            "other entries, at most 32: the own digests are listed",
            Initiator,
            &pairs[..20],
            &[short(None, &changed)],
        ),
        answered(
            "short-nothing-here",
            "no own entries: the span is fetched whole",
            Initiator,
            &[],
            &[short(None, &pairs[..2])],
        ),
        answered(
            "short-33-here",
            "more than 32 own entries: they differ, whatever the short fingerprint, and are cut",
            Responder,
            &pairs[..33],
            &[short(None, &pairs[..32])],
        ),
        answered(
            "digests-other-version-responder",
            "another version on each side: the responder offers its own",
            Responder,
            &pairs[..20],
            &[digests(None, &changed)],
        ),
        answered(
            "digests-other-version-initiator",
            "another version on each side: the initiator says what it lacks",
            Initiator,
            &pairs[..20],
            &[digests(None, &changed)],
        ),
        answered(
            "digests-missing-there",
            "the initiator has one more: it offers it",
            Initiator,
            &pairs[..20],
            &[digests(None, &pairs[1..20])],
        ),
        answered(
            "digests-missing-here",
            "the responder has one less: it says so",
            Responder,
            &pairs[..19],
            &[digests(Some(pairs[20].0), &pairs[..20]), skip(None)],
        ),
        answered(
            "digests-nothing-here",
            "no own entries: the span is fetched whole",
            Initiator,
            &[],
            &[digests(None, &pairs[..2])],
        ),
        answered(
            "digests-64-here",
            "up to 64 own entries are compared with what is listed",
            Responder,
            &many_pairs[..64],
            &[digests(None, &many_pairs[..2])],
        ),
        answered(
            "digests-65-here",
            "more own entries are cut into parts",
            Responder,
            &many_pairs,
            &[digests(None, &many_pairs[..2])],
        ),
        answered(
            "lacking-two",
            "what the other side lacks is offered; a digest of nothing here is passed over",
            Responder,
            &pairs[..20],
            &[lacking(None, &[pairs[3], pairs[7], pairs[30]])],
        ),
    ]
}

fn bad_ranges() -> Vec<Value> {
    let refused = |name: &str, why: &str, lower: SetKey, is_reply: bool, ranges: &[u8], detail: &str| {
        case(
            name,
            why,
            json!({ "lower": hex(lower), "reply": is_reply, "ranges": bytes(ranges), "error": "ranges", "detail": detail }),
        )
    };
    let zero = SetKey::default();
    let print = [0xab; 16];
    // 256 and its multiples end in a zero byte, which a reader accepts.
    let open = |number: u16| -> Vec<u8> {
        (1..=number).flat_map(|n| [&[1u8, 0x02][..], &n.to_be_bytes(), &print].concat()).collect()
    };
    let list = |mode: u8, count: u8| [&[0x80 | mode, count][..], &vec![7; usize::from(count) * 4]].concat();
    vec![
        refused("none", "no range at all", zero, false, &[], "empty"),
        refused("cut", "the bound is missing", zero, false, &[0], "truncated"),
        refused("cut-bound", "the bound is cut", zero, false, &[0, 0x03, 1, 2], "truncated"),
        refused(
            "cut-fingerprint",
            "the fingerprint is cut",
            zero,
            false,
            &[&[0x81][..], &print[..15]].concat(),
            "truncated",
        ),
        refused("bound-17", "a bound of 17 bytes", zero, false, &[&[0, 0x2f][..], &[1; 15]].concat(), "bound-length"),
        refused("mode-6", "mode 6 has no meaning", zero, false, &[0x86], "mode"),
        refused("bound-zero", "a bound that is not above the lower bound", zero, false, &[0, 0x01, 0], "order"),
        refused("bound-descending", "bounds 2 and 1", zero, false, &[0, 0x01, 2, 0, 0x01, 1], "order"),
        refused("bound-equal", "the bound equals the lower bound", key(&[5]), false, &[0, 0x01, 5], "order"),
        refused("after-end", "a range after the end of the key space", zero, false, &[0x80, 0, 0x01, 2], "order"),
        refused("digests-33", "33 digests", zero, false, &list(2, 33), "too-many-digests"),
        refused("lacking-33", "33 lacking digests", zero, false, &list(4, 33), "too-many-digests"),
        refused("cut-digest", "the last digest is cut", zero, false, &[0x82, 2, 1, 1, 1, 1, 2, 2, 2], "truncated"),
        refused("open-129", "129 ranges with content in a request", zero, false, &open(129), "too-many"),
        refused("ranges-2305", "2,305 ranges in a reply", zero, true, &open(2_305), "too-many"),
    ]
}
