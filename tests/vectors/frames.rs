//! Vectors of frames: `spec/06-link.md`, sections 2 to 6.

use fingerpost_proto::kind::Audience;
use fingerpost_proto::limits::FRAME_BYTES_MAX;
use fingerpost_proto::node::write_frame;
use fingerpost_proto::set::Index;
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

fn valid() -> Vec<Value> {
    let city = City::new();
    let frame = |name: &str, why: &str, content: Content, says: Value| {
        case(name, why, json!({ "frame": bytes(write_frame(content)), "says": says }))
    };
    let hello = hello(&city);
    let sets: Vec<Value> = hello
        .sets
        .iter()
        .map(|set| json!({ "audience": set.audience, "fingerprint": hex(&set.fingerprint), "count": set.count }))
        .collect();
    let version = city.forum.service(city.network, "drop-in", "Drop-in", Hlc::new(NOW, 0));
    let pair = [[1u8; 16], [2; 16]].concat();
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
            Content::Versions(v1::Versions { envelopes: vec![version.envelope().to_vec()], want: 0, last: true }),
            json!({
                "versions": { "envelopes": [bytes(version.envelope())], "want": 0, "last": true },
            }),
        ),
        frame(
            "versions-none",
            "the answer to a Want for nothing that is here",
            Content::Versions(v1::Versions { envelopes: vec![], want: 7, last: true }),
            json!({
                "versions": { "envelopes": [], "want": 7, "last": true },
            }),
        ),
        frame(
            "reconcile",
            "the opening of a session: the whole set by its fingerprint",
            Content::Reconcile(v1::Reconcile {
                audience: 0,
                session: 1,
                round: 0,
                reply: false,
                lower: vec![0; 16],
                ranges: [&[0, 1][..], &[0xab; 16], &5u64.to_be_bytes()].concat(),
            }),
            json!({
                "reconcile": { "audience": 0, "session": 1, "round": 0, "reply": false, "lower": "00".repeat(16), "ranges": hex([&[0, 1][..], &[0xab; 16], &5u64.to_be_bytes()].concat()) },
            }),
        ),
        frame(
            "reconcile-reply",
            "nothing is open",
            Content::Reconcile(v1::Reconcile {
                audience: 1,
                session: 1,
                round: 1,
                reply: true,
                lower: vec![0; 16],
                ranges: vec![0, 0],
            }),
            json!({
                "reconcile": { "audience": 1, "session": 1, "round": 1, "reply": true, "lower": "00".repeat(16), "ranges": "0000" },
            }),
        ),
        frame(
            "offer",
            "one pair of key and vid",
            Content::Offer(v1::Offer { audience: 0, pairs: pair.clone() }),
            json!({ "offer": { "audience": 0, "pairs": hex(pair) } }),
        ),
        frame(
            "want",
            "two keys",
            Content::Want(v1::Want { audience: 0, want: 3, keys: vec![1; 32] }),
            json!({ "want": { "audience": 0, "want": 3, "keys": "01".repeat(32) } }),
        ),
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
        let mut frame =
            v1::Reconcile { audience: 0, session: 1, round: 0, reply: false, lower: vec![0; 16], ranges: vec![0, 0] };
        change(&mut frame);
        Content::Reconcile(frame)
    };
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
        breach("offer-audience", "audience 2", Content::Offer(v1::Offer { audience: 2, pairs: vec![] }), "audience"),
        breach(
            "offer-uneven",
            "33 bytes of pairs",
            Content::Offer(v1::Offer { audience: 0, pairs: vec![1; 33] }),
            "uneven",
        ),
        breach(
            "offer-4097",
            "4,097 pairs",
            Content::Offer(v1::Offer { audience: 0, pairs: vec![1; 4_097 * 32] }),
            "too-many",
        ),
        breach(
            "want-audience",
            "audience 7",
            Content::Want(v1::Want { audience: 7, want: 1, keys: vec![] }),
            "audience",
        ),
        breach(
            "want-uneven",
            "15 bytes of keys",
            Content::Want(v1::Want { audience: 0, want: 1, keys: vec![1; 15] }),
            "uneven",
        ),
        breach(
            "want-257",
            "257 keys",
            Content::Want(v1::Want { audience: 0, want: 1, keys: vec![1; 257 * 16] }),
            "too-many",
        ),
        breach("reconcile-audience", "audience 2", reconcile(&|frame| frame.audience = 2), "audience"),
        breach("reconcile-round-16", "round 16", reconcile(&|frame| frame.round = 16), "rounds"),
        breach("reconcile-lower", "a lower bound of 15 bytes", reconcile(&|frame| frame.lower = vec![0; 15]), "uneven"),
        breach("reconcile-ranges", "no range", reconcile(&|frame| frame.ranges = vec![]), "ranges"),
    ]
}
