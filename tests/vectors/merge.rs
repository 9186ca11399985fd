//! Vectors of order and relaying: `spec/04-merge.md`.

use fingerpost_proto::id::{NetworkId, OrgId};
use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::order::Precedence;
use fingerpost_proto::time::{HOUR_MS, Hlc, UnixHour};
use fingerpost_proto::v1;
use fingerpost_proto::version::{Header, SignedVersion};
use prost::Message;
use serde_json::{Value, json};

use crate::cast::{City, NOW, Org, key, sign};
use crate::receipt::receipt;
use crate::{File, bytes, case, file, hex};

pub(crate) fn files() -> Vec<File> {
    vec![
        file(
            "merge_valid",
            "Versions of one record and which one wins, whatever their order: spec/04-merge.md, section 1.",
            merge(),
        ),
        file(
            "relay_valid",
            "What a node does not understand leaves it byte for byte as it came: spec/02-records.md, section 7.",
            relay(),
        ),
    ]
}

/// For a list of versions that are known.
pub(crate) fn envelopes(versions: &[SignedVersion]) -> Vec<Value> {
    versions.iter().map(|version| bytes(version.envelope())).collect()
}

/// A version of the forum's drop-in.
pub(crate) fn edit(org: &Org, network: NetworkId, name: &str, at: Hlc, change: impl Fn(&mut Header)) -> SignedVersion {
    let mut header = org.header(network, Kind::SERVICE, Audience::Public, "drop-in", at);
    change(&mut header);
    let body = v1::Service { local_id: "drop-in".into(), name: name.into(), ..Default::default() };
    sign(&org.device, &header, &body.encode_to_vec())
}

/// An organisation with two publishing devices.
fn two_devices() -> (Org, ed25519_dalek::SigningKey) {
    let second = key(8, 1);
    let mut card = crate::cast::card(1, "Two Desks");
    card.devices.push(v1::Device {
        key: second.verifying_key().to_bytes().to_vec(),
        roles: vec![1],
        ..Default::default()
    });
    let mut org = Org::new(1, "Two Desks");
    org.card = card.encode_to_vec();
    org.id = OrgId::of_genesis_card(&org.card);
    (org, second)
}

fn merge() -> Vec<Value> {
    let (org, second) = two_devices();
    let charter = crate::cast::charter_message(&[&org]).encode_to_vec();
    let network = NetworkId::of_charter(&charter);
    let welcome = vec![org.card_version(network), org.acceptance(network, None)];
    let merge = |name: &str, why: &str, now: u64, versions: Vec<SignedVersion>| {
        let mut ascending: Vec<&SignedVersion> = versions.iter().collect();
        ascending.sort_by_key(|version| Precedence::of(version));
        let order: Vec<String> = ascending.iter().map(|version| hex(version.vid())).collect();
        case(
            name,
            why,
            json!({
                "charter": bytes(&charter), "welcome": envelopes(&welcome), "now_ms": now,
                "versions": envelopes(&versions), "ascending": order, "winner": order.last(),
            }),
        )
    };
    let at = |ms: u64, counter: u16| Hlc::new(NOW + ms, counter);
    let by_second = |name: &str, at: Hlc| {
        let mut header = org.header(network, Kind::SERVICE, Audience::Public, "drop-in", at);
        header.device = second.verifying_key().to_bytes();
        let body = v1::Service { local_id: "drop-in".into(), name: name.into(), ..Default::default() };
        sign(&second, &header, &body.encode_to_vec())
    };
    let plain = |name: &str, at: Hlc| edit(&org, network, name, at, |_| ());
    let first = edit(&org, network, "first", at(0, 0), |header| {
        header.lease_until = UnixHour(UnixHour::containing(NOW).0 + 9_600)
    });
    let short = edit(&org, network, "second", at(5, 0), |header| {
        (header.lease_until, header.prev) = (UnixHour(UnixHour::containing(NOW).0 + 1), first.vid().prefix());
    });
    vec![
        merge(
            "later-milliseconds",
            "the later clock wins",
            NOW + 60_000,
            vec![plain("a", at(0, 9)), plain("b", at(1, 0)), plain("c", at(0, 0))],
        ),
        merge(
            "later-counter",
            "in one millisecond the counter decides",
            NOW,
            vec![plain("a", at(0, 0)), plain("b", at(0, 1)), plain("c", at(0, 65_535))],
        ),
        merge(
            "higher-device",
            "at one clock the greater device key wins, compared as bytes",
            NOW,
            vec![plain("a", at(0, 0)), by_second("b", at(0, 0))],
        ),
        merge(
            "higher-vid",
            "at one clock and device (a copied key, a restored clock) the greater vid wins",
            NOW,
            vec![plain("a", at(0, 0)), plain("b", at(0, 0)), plain("c", at(0, 0))],
        ),
        merge(
            "withdrawal-wins",
            "a withdrawal is a version like any other",
            NOW + 60_000,
            vec![plain("a", at(0, 0)), org.withdrawal(network, "drop-in", at(1, 0)), plain("b", at(0, 7))],
        ),
        merge(
            "withdrawal-loses",
            "a later edit brings a record back, on purpose",
            NOW + 60_000,
            vec![org.withdrawal(network, "drop-in", at(1, 0)), plain("b", at(2, 0))],
        ),
        merge(
            "prev-decides-nothing",
            "prev is shown to people; it takes no part in the order",
            NOW + 60_000,
            vec![
                edit(&org, network, "a", at(2, 0), |header| header.prev = [9; 8]),
                edit(&org, network, "b", at(1, 0), |header| header.prev = [8; 8]),
            ],
        ),
        merge(
            "lapsed-winner-stays",
            "two hours later the winner has lapsed: the older version with the longer lease does not return",
            NOW + 2 * HOUR_MS,
            vec![first, short],
        ),
    ]
}

fn relay() -> Vec<Value> {
    let city = City::new();
    let (forum, network) = (&city.forum, city.network);
    let relay =
        |name: &str, why: &str, version: &SignedVersion| receipt(name, why, &city, NOW, &[], version.envelope());
    let header = |kind: Kind, local_id: &str| forum.header(network, kind, Audience::Public, local_id, Hlc::new(NOW, 0));
    let service =
        v1::Service { local_id: "drop-in".into(), name: "Drop-in".into(), ..Default::default() }.encode_to_vec();
    let with_unknown = [service, vec![0xfa, 0x3f, 3, b'n', b'e', b'w', 0x58, 0x80, 0x01]].concat();
    let backwards = [&b"\x82\x01\x07Drop-in"[..], b"\x0a\x07drop-in"].concat();
    let kind_77 =
        [v1::Common { local_id: "n1".into(), ..Default::default() }.encode_to_vec(), vec![0x82, 1, 4, 0, 0xff, 1, 2]]
            .concat();
    let unknown_statement = forum.statement(network, Kind(0x8077), None, b"later", Hlc::new(NOW, 0));
    vec![
        relay(
            "unknown-field",
            "a service with a field that this level does not know",
            &sign(&forum.device, &header(Kind::SERVICE, "drop-in"), &with_unknown),
        ),
        relay(
            "unusual-order",
            "a body whose fields a common encoder would write in another order",
            &sign(&forum.device, &header(Kind::SERVICE, "drop-in"), &backwards),
        ),
        relay("unknown-kind", "a record of kind 77", &sign(&forum.device, &header(Kind(77), "n1"), &kind_77)),
        relay("unknown-network-kind", "a statement of kind 0x8077", &unknown_statement),
    ]
}
