//! Vectors of frames: `spec/06-link.md`, sections 2 to 6.

use fingerpost_proto::id::Vid;
use fingerpost_proto::kind::Audience;
use fingerpost_proto::limits::FRAME_BYTES_MAX;
use fingerpost_proto::node::{write_compressed, write_frame};
use fingerpost_proto::set::{Index, SetKey};
use fingerpost_proto::sync::{Pair, write_keys, write_pairs};
use fingerpost_proto::time::Hlc;
use fingerpost_proto::v1;
use fingerpost_proto::v1::frame::Content;
use prost::Message;
use serde_json::{Value, json};

use crate::cast::{City, NOW};
use crate::{File, bytes, case, file, hex};

pub(crate) fn files() -> Vec<File> {
    vec![
        file("frames_valid", "Frames and what they say: spec/06-link.md and spec/07-sync.md.", valid()),
        file(
            "frames_invalid",
            "Frames that end a link, after a Hello unless `greeted` is false: spec/06-link.md.",
            invalid(),
        ),
    ]
}

fn hello(city: &City) -> v1::Hello {
    let empty = Index::new().total().fingerprint().to_vec();
    let set = |audience: Audience| v1::SetSummary {
        audience: audience.number().into(),
        fingerprint: empty.clone(),
        log_epoch: 0x0123_4567_89ab_cdef,
        log_sequence: 300,
        ..Default::default()
    };
    v1::Hello {
        level: 1,
        level_min: 1,
        network: city.network.0.to_vec(),
        clock_ms: NOW,
        sets: Audience::ALL.map(set).to_vec(),
        software: "example/1.0".into(),
    }
}

/// Three services, as one message.
fn many_versions(city: &City) -> v1::Versions {
    let service = |n: u8| city.forum.service(city.network, &format!("s{n}"), "Drop-in", Hlc::new(NOW, 0));
    let envelopes = (0..3).map(|n| service(n).envelope().to_vec()).collect();
    v1::Versions { envelopes, want: 9, last: true, ..Default::default() }
}

fn valid() -> Vec<Value> {
    let city = City::new();
    let frame = |name: &str, why: &str, content: Content, says: Value| {
        case(name, why, json!({ "frame": bytes(write_frame(content)), "says": says }))
    };
    let hello = hello(&city);
    let sets: Vec<Value> = hello
        .sets
        .iter()
        .map(|set| json!({ "audience": set.audience, "fingerprint": hex(&set.fingerprint), "count": set.count, "log_epoch": set.log_epoch.to_string(), "log_sequence": set.log_sequence }))
        .collect();
    let version = city.forum.service(city.network, "drop-in", "Drop-in", Hlc::new(NOW, 0));
    let pair = write_pairs(&[(SetKey([1; 16]), Vid([2; 16]))]);
    let keys = write_keys([&SetKey([1; 16]), &SetKey([1, 1, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])]);
    let versions = many_versions(&city);
    let compressed = write_compressed(&versions).expect("headers of one organisation are alike");
    let hints = [vec![1; 8], vec![2], vec![2; 8], vec![9; 4], vec![3; 8], vec![8; 4]].concat();
    vec![
        frame(
            "hello",
            "the first frame of each side",
            Content::Hello(hello.clone()),
            json!({
                "hello": { "level": 1, "level_min": 1, "network": hex(&hello.network), "clock_ms": NOW, "sets": sets, "software": "example/1.0" },
            }),
        ),
        frame(
            "bye",
            "the last frame of a side",
            Content::Bye(v1::Bye { code: 2, message: "there is another link to this node".into() }),
            json!({
                "bye": { "code": 2, "message": "there is another link to this node" },
            }),
        ),
        frame(
            "versions-pushed",
            "want 0: pushed",
            Content::Versions(v1::Versions {
                envelopes: vec![version.envelope().to_vec()],
                want: 0,
                last: true,
                more: false,
                route: Some(v1::Route { direct: true }),
            }),
            json!({
                "versions": { "envelopes": [bytes(version.envelope())], "want": 0, "last": true, "more": false, "route": { "direct": true } },
            }),
        ),
        frame(
            "versions-none",
            "the answer to a Want for nothing that is here",
            Content::Versions(v1::Versions { envelopes: vec![], want: 7, last: true, ..Default::default() }),
            json!({
                "versions": { "envelopes": [], "want": 7, "last": true, "more": false, "route": null },
            }),
        ),
        frame(
            "reconcile",
            "the opening of a session: the whole set by its fingerprint",
            Content::Reconcile(v1::Reconcile {
                audience: 0,
                session: 1,
                round: 0,
                lower: vec![],
                ranges: [&[0x81][..], &[0xab; 16]].concat(),
            }),
            json!({
                "reconcile": { "audience": 0, "session": 1, "round": 0, "lower": "", "ranges": hex([&[0x81][..], &[0xab; 16]].concat()) },
            }),
        ),
        frame(
            "reconcile-reply",
            "nothing is open",
            Content::Reconcile(v1::Reconcile { audience: 0, session: 1, round: 1, lower: vec![], ranges: vec![] }),
            json!({
                "reconcile": { "audience": 0, "session": 1, "round": 1, "lower": "", "ranges": "" },
            }),
        ),
        frame(
            "offer",
            "one pair of key and vid",
            Content::Offer(v1::Offer { audience: 0, pairs: pair.clone(), announced: false, keys: vec![] }),
            json!({ "offer": { "audience": 0, "pairs": hex(&pair), "announced": false, "keys": "" } }),
        ),
        frame(
            "offer-keys",
            "two places that a session found to differ",
            Content::Offer(v1::Offer {
                audience: 1,
                pairs: vec![],
                announced: false,
                keys: write_keys(&[SetKey([1; 16]), SetKey([2; 16])]),
            }),
            json!({ "offer": { "audience": 1, "pairs": "", "announced": false, "keys": hex(write_keys(&[SetKey([1; 16]), SetKey([2; 16])])) } }),
        ),
        frame(
            "offer-announced",
            "news that another link probably brings",
            Content::Offer(v1::Offer { audience: 1, pairs: pair.clone(), announced: true, keys: vec![] }),
            json!({ "offer": { "audience": 1, "pairs": hex(pair), "announced": true, "keys": "" } }),
        ),
        frame(
            "want",
            "two keys",
            Content::Want(v1::Want { audience: 0, want: 3, keys: keys.clone(), graft: false }),
            json!({ "want": { "audience": 0, "want": 3, "keys": hex(&keys), "graft": false } }),
        ),
        frame(
            "want-graft",
            "asks, and to be pushed to from now on",
            Content::Want(v1::Want { audience: 0, want: 4, keys: keys.clone(), graft: true }),
            json!({ "want": { "audience": 0, "want": 4, "keys": hex(&keys), "graft": true } }),
        ),
        frame(
            "fetch",
            "everything from a key to the end",
            Content::Fetch(v1::Fetch { audience: 0, want: 5, lower: vec![1, 2], upper: None }),
            json!({ "fetch": { "audience": 0, "want": 5, "lower": "0102", "upper": null } }),
        ),
        frame(
            "fetch-span",
            "everything between two keys",
            Content::Fetch(v1::Fetch { audience: 1, want: 6, lower: vec![], upper: Some(vec![1]) }),
            json!({ "fetch": { "audience": 1, "want": 6, "lower": "", "upper": "01" } }),
        ),
        frame(
            "catch-up",
            "what arrived after the 300th arrival",
            Content::CatchUp(v1::CatchUp { audience: 0, want: 7, epoch: 0x0123_4567_89ab_cdef, since: 300 }),
            json!({ "catch_up": { "audience": 0, "want": 7, "epoch": 0x0123_4567_89ab_cdef_u64.to_string(), "since": 300 } }),
        ),
        frame(
            "arrivals",
            "two hints under one first half of keys; nothing after them",
            Content::Arrivals(v1::Arrivals {
                want: 7,
                stale: false,
                through: 302,
                hints: hints.clone(),
                fingerprint: vec![0xab; 16],
            }),
            json!({ "arrivals": { "want": 7, "stale": false, "through": 302, "hints": hex(&hints), "fingerprint": "ab".repeat(16) } }),
        ),
        frame(
            "arrivals-stale",
            "the place is not in the log",
            Content::Arrivals(v1::Arrivals { want: 7, stale: true, ..Default::default() }),
            json!({ "arrivals": { "want": 7, "stale": true, "through": 0, "hints": "", "fingerprint": "" } }),
        ),
        frame(
            "take",
            "the second of the two",
            Content::Take(v1::Take { want: 7, wanted: vec![0b10] }),
            json!({ "take": { "want": 7, "wanted": "02" } }),
        ),
        frame(
            "progress",
            "how far this side has told, how far it holds",
            Content::Progress(v1::Progress { audience: 0, sequence: 302, consumed: 12, level: true }),
            json!({ "progress": { "audience": 0, "sequence": 302, "consumed": 12, "level": true } }),
        ),
        frame(
            "compressed",
            "versions, compressed with the dictionary",
            Content::Compressed(compressed.clone()),
            json!({ "compressed": { "dictionary": 1, "payload_bytes": compressed.payload_bytes, "data": hex(&compressed.data), "signatures": hex(&compressed.signatures), "versions": hex(versions.encode_to_vec()) } }),
        ),
        frame(
            "neighbours",
            "one node",
            Content::Neighbours(v1::Neighbours { keys: city.forum.node.verifying_key().to_bytes().to_vec() }),
            json!({ "neighbours": { "keys": hex(city.forum.node.verifying_key().to_bytes()) } }),
        ),
        frame(
            "beat",
            "the root of the tree is three links away",
            Content::Beat(v1::Beat {
                root: city.forum.node.verifying_key().to_bytes().to_vec(),
                sequence: NOW / 60_000,
                hops: 3,
            }),
            json!({ "beat": { "root": hex(city.forum.node.verifying_key().to_bytes()), "sequence": NOW / 60_000, "hops": 3 } }),
        ),
        frame("prune", "announce instead of pushing", Content::Prune(v1::Prune {}), json!({ "prune": {} })),
        frame(
            "ping",
            "asks for a Pong with the same nonce",
            Content::Ping(v1::Ping { nonce: 300, clock_ms: NOW }),
            json!({ "ping": { "nonce": 300, "clock_ms": NOW } }),
        ),
        frame(
            "pong",
            "answers",
            Content::Pong(v1::Ping { nonce: 300, clock_ms: NOW }),
            json!({ "pong": { "nonce": 300, "clock_ms": NOW } }),
        ),
    ]
}

fn invalid() -> Vec<Value> {
    let city = City::new();
    let breaks = |name: &str, why: &str, is_greeted: bool, frame: Vec<u8>, code: &str, error: &str| {
        case(
            name,
            why,
            json!({
                "charter": bytes(&city.charter_bytes), "now_ms": NOW, "hello": bytes(write_frame(Content::Hello(hello(&city)))),
                "greeted": is_greeted, "frame": bytes(frame), "bye": code, "error": error,
            }),
        )
    };
    let breach = |name: &str, why: &str, content: Content, error: &str| {
        breaks(name, why, true, write_frame(content), "BREACH", error)
    };
    let with_hello = |name: &str, why: &str, change: &dyn Fn(&mut v1::Hello), code: &str, error: &str| {
        let mut hello = hello(&city);
        change(&mut hello);
        breaks(name, why, false, write_frame(Content::Hello(hello)), code, error)
    };
    let reconcile = |change: &dyn Fn(&mut v1::Reconcile)| {
        let mut frame = v1::Reconcile { audience: 0, session: 1, round: 0, lower: vec![], ranges: vec![0x80] };
        change(&mut frame);
        Content::Reconcile(frame)
    };
    let many = |count: u32| -> Vec<Pair> {
        let key = |n: u32| SetKey(std::array::from_fn(|i| if i < 4 { n.to_be_bytes()[i] } else { 1 }));
        (0..count).map(|n| (key(n), Vid([0; 16]))).collect()
    };
    let squeezed = write_compressed(&many_versions(&city)).expect("headers of one organisation are alike");
    let empty = v1::Frame { content: None }.encode_to_vec();
    vec![
        breaks("too-large", "262,145 bytes", true, vec![0; FRAME_BYTES_MAX + 1], "BREACH", "frame-too-large"),
        breaks("unreadable", "not protobuf", true, vec![0xff; 8], "BREACH", "frame-unreadable"),
        breaks("empty", "a frame without content", true, empty, "BREACH", "frame-unreadable"),
        breaks("unknown-content", "content of a later level", true, vec![0xfa, 1, 0], "BREACH", "frame-unreadable"),
        breaks(
            "before-hello",
            "a Ping before Hello",
            false,
            write_frame(Content::Ping(v1::Ping { nonce: 1, clock_ms: NOW })),
            "BREACH",
            "hello-order",
        ),
        breach("hello-twice", "a second Hello", Content::Hello(hello(&city)), "hello-order"),
        with_hello(
            "hello-three-sets",
            "three sets",
            &|hello| hello.sets.push(v1::SetSummary::default()),
            "BREACH",
            "too-many",
        ),
        with_hello(
            "other-network",
            "the other side is in another network",
            &|hello| hello.network = vec![9; 32],
            "WRONG_NETWORK",
            "wrong-network",
        ),
        with_hello(
            "level-newer",
            "the other side understands level 2 and later only",
            &|hello| (hello.level, hello.level_min) = (3, 2),
            "INCOMPATIBLE_LEVEL",
            "incompatible-level",
        ),
        with_hello(
            "level-zero",
            "the other side speaks level 0",
            &|hello| (hello.level, hello.level_min) = (0, 0),
            "INCOMPATIBLE_LEVEL",
            "incompatible-level",
        ),
        breach(
            "offer-audience",
            "audience 2",
            Content::Offer(v1::Offer { audience: 2, pairs: vec![], announced: false, keys: vec![] }),
            "audience",
        ),
        breach(
            "offer-cut",
            "the vid is cut",
            Content::Offer(v1::Offer { audience: 0, pairs: vec![1; 17], announced: false, keys: vec![] }),
            "keys",
        ),
        breach(
            "offer-4097",
            "4,097 pairs",
            Content::Offer(v1::Offer { audience: 0, pairs: write_pairs(&many(4_097)), announced: false, keys: vec![] }),
            "keys",
        ),
        breach(
            "want-audience",
            "audience 7",
            Content::Want(v1::Want { audience: 7, want: 1, keys: vec![], graft: false }),
            "audience",
        ),
        breach(
            "offer-4097-with-keys",
            "4,096 pairs and a key",
            Content::Offer(v1::Offer {
                audience: 0,
                pairs: write_pairs(&many(4_096)),
                announced: false,
                keys: write_keys(&[SetKey([1; 16])]),
            }),
            "keys",
        ),
        breach(
            "want-descending",
            "keys 2 and 1",
            Content::Want(v1::Want { audience: 0, want: 1, keys: vec![1, 2, 1, 1], graft: false }),
            "keys",
        ),
        breach(
            "want-1025",
            "1,025 keys",
            Content::Want(v1::Want {
                audience: 0,
                want: 1,
                keys: write_keys(many(1_025).iter().map(|(key, _)| key)),
                graft: false,
            }),
            "keys",
        ),
        breach(
            "fetch-lower",
            "a lower bound of 17 bytes",
            Content::Fetch(v1::Fetch { audience: 0, want: 1, lower: vec![1; 17], upper: None }),
            "bound",
        ),
        breach(
            "catch-up-audience",
            "audience 2",
            Content::CatchUp(v1::CatchUp { audience: 2, want: 1, epoch: 0, since: 0 }),
            "audience",
        ),
        breach(
            "arrivals-hints",
            "a group of one hint that is cut",
            Content::Arrivals(v1::Arrivals { want: 1, hints: vec![1; 20], ..Default::default() }),
            "hints",
        ),
        breach(
            "compressed-too-large",
            "more bytes are stated than a frame may have",
            Content::Compressed(v1::Compressed { payload_bytes: FRAME_BYTES_MAX as u32 + 1, ..squeezed.clone() }),
            "compressed",
        ),
        breach(
            "compressed-other-size",
            "one byte less is stated than comes out",
            Content::Compressed(v1::Compressed { payload_bytes: squeezed.payload_bytes - 1, ..squeezed.clone() }),
            "compressed",
        ),
        breach(
            "compressed-dictionary",
            "dictionary 2",
            Content::Compressed(v1::Compressed { dictionary: 2, ..squeezed.clone() }),
            "compressed",
        ),
        breach(
            "compressed-signatures",
            "two signatures for three envelopes",
            Content::Compressed(v1::Compressed { signatures: squeezed.signatures[..128].to_vec(), ..squeezed.clone() }),
            "compressed",
        ),
        breach(
            "compressed-trailing",
            "a byte after the zstd frame",
            Content::Compressed(v1::Compressed { data: [squeezed.data.as_slice(), &[0]].concat(), ..squeezed.clone() }),
            "compressed",
        ),
        breach("neighbours-17", "17 keys", Content::Neighbours(v1::Neighbours { keys: vec![1; 17 * 32] }), "too-many"),
        breach("reconcile-audience", "audience 2", reconcile(&|frame| frame.audience = 2), "audience"),
        breach("reconcile-round-16", "round 16", reconcile(&|frame| frame.round = 16), "rounds"),
        breach("reconcile-lower", "a lower bound of 17 bytes", reconcile(&|frame| frame.lower = vec![0; 17]), "bound"),
        breach("reconcile-ranges", "no range", reconcile(&|frame| frame.ranges = vec![]), "ranges"),
    ]
}
