//! Vectors that a whole node answers: merge, receipt, relaying, breaches, exchanges.

use ed25519_dalek::SigningKey;
use fingerpost_proto::key::PublicKey;
use fingerpost_proto::kind::Audience;
use fingerpost_proto::network::charter::Charter;
use fingerpost_proto::node::{Input, Node, Operation, Outcome, Output, Peer, read_compressed, read_frame};
use fingerpost_proto::order::Precedence;
use fingerpost_proto::set::Slot;
use fingerpost_proto::v1::ByeCode;
use fingerpost_proto::v1::frame::Content;
use fingerpost_proto::version::SignedVersion;
use serde_json::Value;

use crate::pair::{Host, Pair, kind_of};
use crate::vector::{bytes, bytes_of, hex, list, number, text};

fn charter(case: &Value) -> Charter {
    Charter::read(&bytes(case, "charter")).unwrap()
}

fn envelopes(case: &Value, field: &str) -> Vec<Vec<u8>> {
    list(case, field).iter().map(bytes_of).collect()
}

fn peer(seed: u8) -> Peer {
    PublicKey::from_bytes(SigningKey::from_bytes(&[seed; 32]).verifying_key().as_bytes()).unwrap()
}

/// A node to which the welcome and what is known was handed in when it was new.
fn host(case: &Value) -> Host {
    let mut host = Host::new(&charter(case), peer(98), 1);
    let welcome_at = case["welcome_at_ms"].as_u64().unwrap_or(number(case, "now_ms"));
    for outcome in host.publish(welcome_at, envelopes(case, "welcome")) {
        assert_eq!(outcome, Outcome::Published { concurrent: false });
    }
    if !case["known"].is_null() {
        host.publish(number(case, "now_ms"), envelopes(case, "known"));
    }
    host
}

pub(crate) fn permutations(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![vec![]];
    }
    let mut all = Vec::new();
    for shorter in permutations(count - 1) {
        for at in 0..count {
            let mut order = shorter.clone();
            order.insert(at, count - 1);
            all.push(order);
        }
    }
    all
}

pub(crate) fn merge(case: &Value) {
    let versions = envelopes(case, "versions");
    let mut read: Vec<SignedVersion> =
        versions.iter().map(|envelope| SignedVersion::read(envelope.clone()).unwrap()).collect();
    let slot = Slot::of(read[0].header());
    read.sort_by_key(Precedence::of);
    let ascending: Vec<String> = read.iter().map(|version| hex(version.vid())).collect();
    assert_eq!(serde_json::json!(ascending), case["ascending"]);
    for order in permutations(versions.len()) {
        let mut host = host(case);
        for i in order {
            host.publish(number(case, "now_ms"), vec![versions[i].clone()]);
            host.node.handle(number(case, "now_ms"), Input::Tick);
        }
        let (_, entry) = host.node.winner(&slot).unwrap();
        assert_eq!(hex(entry.vid), text(case, "winner"));
        assert_eq!(host.store[&slot], read.last().unwrap().envelope());
    }
}

fn received(case: &Value) -> Outcome {
    host(case).publish(number(case, "now_ms"), vec![bytes(case, "envelope")]).remove(0)
}

pub(crate) fn receipt(case: &Value) {
    let expected = match text(case, "outcome") {
        "published" => Outcome::Published { concurrent: case["concurrent"].as_bool().unwrap() },
        "duplicate" => Outcome::Duplicate,
        _ => Outcome::Superseded,
    };
    assert_eq!(received(case), expected);
}

pub(crate) fn receipt_error(case: &Value) -> Result<(), String> {
    match received(case) {
        Outcome::Rejected(why) => Err(why.name().to_owned()),
        _ => Ok(()),
    }
}

/// The envelope reaches a linked peer, and the store, exactly as it came.
pub(crate) fn relay(case: &Value) {
    let now = number(case, "now_ms");
    let mut host = host(case);
    let peer = peer(99);
    host.node.handle(now, Input::Connected { peer, outbound: false });
    let hello = host.node.handle(now, Input::Connected { peer, outbound: false });
    let Some(Output::Send { frame: hello, .. }) = hello.into_iter().next() else { panic!("a node greets") };
    host.node.handle(now, Input::Received { peer, frame: hello });
    let envelope = bytes(case, "envelope");
    let mut inputs = vec![Input::Published { ticket: 0, envelopes: vec![envelope.clone()] }];
    let (mut is_stored, mut is_sent) = (false, false);
    while let Some(input) = inputs.pop() {
        for output in host.node.handle(now, input) {
            match output {
                Output::Verify { ticket, versions } => inputs.push(Input::verified(ticket, versions)),
                Output::Persist { operations, .. } => {
                    is_stored |= operations.iter().any(
                        |operation| matches!(operation, Operation::Put { envelope: stored, .. } if *stored == envelope),
                    );
                }
                Output::Send { frame, .. } => {
                    let versions = match read_frame(&frame) {
                        Ok(Content::Versions(versions)) => Some(versions),
                        Ok(Content::Compressed(frame)) => read_compressed(&frame).ok(),
                        _ => None,
                    };
                    if let Some(versions) = versions {
                        is_sent |= versions.envelopes == [envelope.clone()];
                    }
                }
                _ => {}
            }
        }
    }
    assert!(is_stored && is_sent, "stored: {is_stored}, sent: {is_sent}");
}

pub(crate) fn breach(case: &Value) {
    let now = number(case, "now_ms");
    let mut node = Node::new(charter(case), self::peer(98), 1);
    let peer = peer(99);
    node.handle(now, Input::Connected { peer, outbound: false });
    if case["greeted"].as_bool().unwrap() {
        let outputs = node.handle(now, Input::Received { peer, frame: bytes(case, "hello") });
        assert!(!outputs.iter().any(|output| matches!(output, Output::Disconnect { .. })), "the Hello is a good one");
    }
    let outputs = node.handle(now, Input::Received { peer, frame: bytes(case, "frame") });
    let code = outputs.iter().find_map(|output| match output {
        Output::Disconnect { code, .. } => Some(*code),
        _ => None,
    });
    let expected = ByeCode::from_str_name(&format!("BYE_CODE_{}", text(case, "bye"))).unwrap();
    assert_eq!(code, Some(expected));
    assert_eq!(node.links().count(), 0);
    assert_eq!(node.set(Audience::Public).len(), 0);
}

pub(crate) fn exchange(case: &Value) {
    let side = |name: &str| {
        let key = PublicKey::from_bytes(&bytes(&case[name], "node_key")).unwrap();
        (key, envelopes(&case[name], "envelopes"))
    };
    let ((key_a, a), (key_b, b)) = (side("a"), side("b"));
    let mut pair = Pair::new(&charter(case), [key_a, key_b], number(case, "now_ms"), [a, b]);
    let ticks: Vec<u64> = list(case, "ticks_ms").iter().map(|tick| tick.as_u64().unwrap()).collect();
    let frames = pair.run(&ticks);
    let expected = list(case, "frames");
    for (i, ((from, frame), said)) in frames.iter().zip(expected).enumerate() {
        assert_eq!((["a", "b"][*from], kind_of(frame)), (text(said, "from"), text(said, "type")), "frame {i}");
        assert_eq!(hex(frame), hex(bytes(said, "frame")), "frame {i}");
    }
    assert_eq!(frames.len(), expected.len());
    let end = (bytes(case, "fingerprint").try_into().unwrap(), number(case, "count"));
    assert_eq!(pair.fingerprints(), [end, end]);
}
