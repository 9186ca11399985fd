//! A whole exchange between two nodes, frame by frame: `spec/07-sync.md`, section 9.

use std::collections::BTreeMap;

use fingerpost_proto::time::Hlc;
use fingerpost_proto::version::SignedVersion;
use serde_json::{Value, json};

use crate::cast::{City, NOW};
use crate::pair::{Pair, kind_of};
use crate::{File, bytes, case, file, hex};

pub(crate) fn files() -> Vec<File> {
    vec![file(
        "exchange_valid",
        "All frames between two nodes from the first Hello until their sets are equal. Cuts and bounds of ranges, session and want numbers and the order of independent frames are the sender's choice: spec/07-sync.md, section 9.",
        vec![few(), many()],
    )]
}

fn exchange(name: &str, why: &str, city: &City, a: Vec<SignedVersion>, b: Vec<SignedVersion>) -> Value {
    let welcome = city.welcome();
    let envelopes = |own: &[SignedVersion]| -> Vec<Vec<u8>> {
        welcome.iter().chain(own).map(|version| version.envelope().to_vec()).collect()
    };
    let (a, b) = (envelopes(&a), envelopes(&b));
    let keys = [crate::cast::public(&city.forum.node), crate::cast::public(&city.council.node)];
    let mut pair = Pair::new(&city.charter, keys, NOW, [a.clone(), b.clone()]);
    let frames: Vec<Value> = pair
        .run(&[0, 1_500, 3_000, 5_000])
        .into_iter()
        .map(|(from, frame)| json!({ "from": (if from == 0 { "a" } else { "b" }), "type": kind_of(&frame), "frame": bytes(frame) }))
        .collect();
    let [end_a, end_b] = pair.fingerprints();
    assert_eq!(end_a, end_b);
    case(
        name,
        why,
        json!({
            "charter": bytes(&city.charter_bytes), "now_ms": NOW, "ticks_ms": [0, 1_500, 3_000, 5_000],
            "a": { "node_key": hex(keys[0]), "dialled": true, "envelopes": a.iter().map(bytes).collect::<Vec<_>>() },
            "b": { "node_key": hex(keys[1]), "dialled": false, "envelopes": b.iter().map(bytes).collect::<Vec<_>>() },
            "frames": frames, "fingerprint": hex(end_a.0), "count": end_a.1,
        }),
    )
}

/// One record on each side only, and one that was edited and one that was withdrawn while they were apart.
fn few() -> Value {
    let city = City::new();
    let (forum, council, network) = (&city.forum, &city.council, city.network);
    let service =
        |n: u8, name: &str, at: u64| forum.service(network, &format!("s{n}"), name, Hlc::new(NOW - 5_000 + at, 0));
    let a = vec![
        service(1, "edited later", 10),
        service(2, "same", 0),
        service(3, "only at a", 0),
        forum.withdrawal(network, "s4", Hlc::new(NOW - 4_000, 0)),
    ];
    let b = vec![
        service(1, "older", 0),
        service(2, "same", 0),
        service(4, "withdrawn meanwhile", 0),
        council.service(network, "own", "only at b", Hlc::new(NOW - 5_000, 0)),
    ];
    exchange("few", "small sets: one list, and everything is known", &city, a, b)
}

/// Enough records that ranges are cut.
fn many() -> Value {
    let city = City::new();
    let (forum, network) = (&city.forum, city.network);
    let all: BTreeMap<u8, SignedVersion> =
        (0..60).map(|n| (n, forum.service(network, &format!("s{n}"), "x", Hlc::new(NOW - 5_000, 0)))).collect();
    let a = all.iter().filter(|(n, _)| **n != 30).map(|(_, version)| version.clone()).collect();
    let b = all.iter().filter(|(n, _)| **n != 50).map(|(_, version)| version.clone()).collect();
    exchange("many", "66 entries: the set is cut into 16 ranges, of which two differ", &city, a, b)
}
