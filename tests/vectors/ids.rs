//! Vectors of ids and clocks: `spec/01-model.md`.

use fingerpost_proto::id::{OrgId, RecordId};
use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::network::card::card_record_id;
use fingerpost_proto::time::{Hlc, UnixHour};
use serde_json::{Value, json};

use crate::cast::{City, NOW};
use crate::{File, bytes, case, file, hex};

pub(crate) fn files() -> Vec<File> {
    vec![
        file("ids_valid", "Derived ids, hybrid logical clocks and hours: spec/01-model.md.", valid()),
        file("ids_invalid", "Texts that are no ids: spec/01-model.md, section 2.", invalid()),
    ]
}

fn record(name: &str, why: &str, org: &OrgId, kind: Kind, audience: Audience, local_id: &str) -> Value {
    let id = RecordId::derive(org, kind, audience, local_id);
    let name_bytes = format!("{}/{}/{local_id}", kind.0, audience.name());
    case(
        name,
        why,
        json!({
            "what": "record", "org": hex(org), "kind": kind.0, "audience": audience.name(), "local_id": local_id,
            "namespace": hex(&org.0[..16]), "name_bytes": hex(name_bytes), "id": hex(id), "uuid": id.to_string(),
        }),
    )
}

fn valid() -> Vec<Value> {
    let city = City::new();
    let version = city.forum.service(city.network, "drop-in", "Drop-in", Hlc::new(NOW, 0));
    let org = &city.forum.id;
    let clock = |name: &str, ms: u64, counter: u16| {
        let hlc = Hlc::new(ms, counter);
        let hour = UnixHour::containing(ms).0;
        let why = "48 bits of milliseconds, then 16 bits of counter; the hour contains the milliseconds";
        case(
            name,
            why,
            json!({ "what": "clock", "ms": ms, "counter": counter, "hlc": hex(hlc.0.to_be_bytes()), "hour": hour }),
        )
    };
    let card_id = card_record_id(org, &city.forum.card);
    vec![
        case(
            "org-id",
            "an OrgId is BLAKE3 of the genesis card's bytes",
            json!({ "what": "org", "card": bytes(&city.forum.card), "id": hex(org) }),
        ),
        case(
            "network-id",
            "a NetworkId is BLAKE3 of the charter's bytes",
            json!({ "what": "network", "charter": bytes(&city.charter_bytes), "id": hex(city.network) }),
        ),
        case(
            "vid",
            "a vid is the first 16 bytes of BLAKE3 of the envelope, signature included; prev is its first 8",
            json!({ "what": "vid", "envelope": bytes(version.envelope()), "id": hex(version.vid()), "prev": hex(version.vid().prefix()) }),
        ),
        record(
            "record-service",
            "kind number in decimal, audience in words, local id",
            org,
            Kind::SERVICE,
            Audience::Public,
            "drop-in",
        ),
        record(
            "record-members",
            "the audience is part of the identity",
            org,
            Kind::SERVICE,
            Audience::Members,
            "drop-in",
        ),
        record(
            "record-utf8",
            "the local id is UTF-8, unnormalised",
            org,
            Kind::EVENT,
            Audience::Public,
            "نوروز/2026 é",
        ),
        record(
            "record-unknown-kind",
            "kinds without a meaning here have ids all the same",
            org,
            Kind(77),
            Audience::Public,
            "x",
        ),
        record(
            "record-acceptance",
            "statements about oneself have the local id self",
            org,
            Kind::ACCEPTANCE,
            Audience::Public,
            "self",
        ),
        record(
            "record-leave",
            "statements about oneself have the local id self",
            org,
            Kind::LEAVE,
            Audience::Public,
            "self",
        ),
        record(
            "record-vouch",
            "statements about another have its OrgId in hexadecimal",
            org,
            Kind::VOUCH,
            Audience::Public,
            &hex(city.kitchen.id),
        ),
        record(
            "record-objection",
            "statements about another have its OrgId in hexadecimal",
            org,
            Kind::OBJECTION,
            Audience::Public,
            &hex(city.kitchen.id),
        ),
        case(
            "record-card",
            "a card's local id is BLAKE3 of its bytes in hexadecimal, which for a genesis card is the OrgId",
            json!({
                "what": "record", "org": hex(org), "kind": Kind::CARD.0, "audience": "public", "local_id": hex(org),
                "namespace": hex(&org.0[..16]), "name_bytes": hex(format!("32769/public/{}", hex(org))),
                "id": hex(card_id), "uuid": card_id.to_string(),
            }),
        ),
        clock("clock", NOW, 3),
        clock("clock-zero", 0, 0),
        clock("clock-last-millisecond-of-an-hour", 1_789_999_199_999, u16::MAX),
        clock("clock-first-millisecond-of-an-hour", 1_789_999_200_000, 0),
    ]
}

fn invalid() -> Vec<Value> {
    let text = |name: &str, why: &str, what: &str, text: &str| {
        case(name, why, json!({ "what": what, "text": text, "error": "not-an-id" }))
    };
    vec![
        text("org-short", "63 digits; an OrgId has 64", "org", &"a".repeat(63)),
        text("org-long", "65 digits; an OrgId has 64", "org", &"a".repeat(65)),
        text("vid-alphabet", "g is no hexadecimal digit", "vid", &"g".repeat(32)),
        text("vid-sign", "a sign is no hexadecimal digit", "vid", &"+1".repeat(16)),
        text("record-short", "a UUID has 32 digits", "record", "0b4fcf36-15f1-5a6e-a4e0-6d1b2b2d2c"),
    ]
}
