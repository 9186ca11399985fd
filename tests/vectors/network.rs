//! Vectors of cards, charters, statements and invites: `spec/05-network.md`.

use ed25519_dalek::Signer;
use fingerpost_proto::id::OrgId;
use fingerpost_proto::key::Domain;
use fingerpost_proto::kind::Kind;
use fingerpost_proto::network::invite::{Invitation, InviteCode};
use fingerpost_proto::network::mirror_code::MirrorCode;
use fingerpost_proto::time::{Hlc, UnixHour};
use fingerpost_proto::v1;
use fingerpost_proto::version::SignedVersion;
use prost::Message;
use serde_json::{Value, json};

use crate::cast::{City, NOW, card, charter_message, key, public};
use crate::{File, bytes, case, file, hex};

pub(crate) fn files() -> Vec<File> {
    vec![
        file(
            "network_valid",
            "Cards, charters, statements, invite codes and claims that are accepted: spec/05-network.md.",
            valid(),
        ),
        file(
            "network_invalid",
            "Cards, charters, invite codes and claims that are refused: spec/05-network.md.",
            invalid(),
        ),
    ]
}

fn read_card(name: &str, why: &str, message: &v1::OrgCard) -> Value {
    let card = message.encode_to_vec();
    let devices: Vec<Value> = message
        .devices
        .iter()
        .map(|device| {
            json!({
                "key": hex(&device.key), "publishes": device.roles.contains(&1), "is_node": device.roles.contains(&2),
                "not_before": hex(device.not_before.to_be_bytes()),
            })
        })
        .collect();
    let roots: Vec<String> = message.root_keys.iter().map(hex).collect();
    case(
        name,
        why,
        json!({
            "what": "card", "card": bytes(&card), "org": hex(OrgId::of_genesis_card(&card)), "name_on_card": message.name,
            "root_keys": roots, "devices": devices, "endpoints": message.endpoints,
        }),
    )
}

fn read_charter(name: &str, why: &str, message: &v1::Charter) -> Value {
    let charter = message.encode_to_vec();
    let founders: Vec<String> = message.founders.iter().map(hex).collect();
    case(
        name,
        why,
        json!({
            "what": "charter", "charter": bytes(&charter), "network": hex(fingerpost_proto::id::NetworkId::of_charter(&charter)),
            "founders": founders, "vouches_needed": message.vouches_needed, "objections_needed": message.objections_needed,
        }),
    )
}

fn statement(name: &str, why: &str, version: &SignedVersion, says: Value) -> Value {
    case(
        name,
        why,
        json!({ "what": "statement", "envelope": bytes(version.envelope()), "record": hex(version.header().record), "says": says }),
    )
}

fn code(city: &City, seed: u8) -> InviteCode {
    InviteCode {
        network: city.network,
        invitation: city.forum.invitation(city.network, seed, UnixHour::containing(NOW).plus_days(14)),
        one_time_seed: key(4, seed).to_bytes().into(),
        node_key: public(&city.forum.node),
        addresses: vec!["node1.example:7474".into(), "[2001:db8::1]:7474".into()],
        inviter_name: "Harbour Refugee Forum".into(),
        network_name: "Harbour City Help".into(),
        carries: false,
    }
}

fn read_code(name: &str, why: &str, text: &str, code: &InviteCode) -> Value {
    case(
        name,
        why,
        json!({
            "what": "invite", "code": text, "network": hex(code.network), "inviter": hex(code.invitation.inviter),
            "device": hex(code.invitation.device), "one_time_key": hex(code.invitation.one_time_key),
            "expires_hour": code.invitation.expires.0, "one_time_seed": hex(*code.one_time_seed), "node_key": hex(code.node_key),
            "addresses": code.addresses, "check_words": code.check_words(), "carries": code.carries,
        }),
    )
}

fn mirror_code(city: &City) -> MirrorCode {
    let InviteCode { network, node_key, addresses, .. } = code(city, 9);
    MirrorCode { network, node_key, addresses }
}

fn read_mirror_code(name: &str, why: &str, text: &str, code: &MirrorCode) -> Value {
    let MirrorCode { network, node_key, addresses } = code;
    case(
        name,
        why,
        json!({ "what": "mirror-code", "code": text, "network": hex(network), "node_key": hex(node_key), "addresses": addresses }),
    )
}

fn invitation_of(code: &InviteCode) -> Value {
    let invitation = &code.invitation;
    json!({
        "inviter": hex(invitation.inviter), "device": hex(invitation.device), "one_time_key": hex(invitation.one_time_key),
        "expires_hour": invitation.expires.0, "signature": hex(invitation.signature),
    })
}

fn valid() -> Vec<Value> {
    let city = City::new();
    let network = city.network;
    let at = Hlc::new(NOW, 0);
    let mut full = card(20, &"n".repeat(200));
    full.root_keys = (100..108).map(|seed| key(1, seed).verifying_key().to_bytes().to_vec()).collect();
    full.endpoints = (0..8).map(|n| format!("n{n}.example:7474")).collect();
    full.devices = (0..64)
        .map(|n| v1::Device {
            key: key(5, n).verifying_key().to_bytes().to_vec(),
            roles: vec![1, 2, 9],
            not_before: 7,
            ..Default::default()
        })
        .collect();
    let mut strict = charter_message(&[&city.forum]);
    (strict.vouches_needed, strict.objections_needed, strict.lease_days_max, strict.lease_days_default) =
        (256, 256, 1, 1);
    let mut levelless = charter_message(&[&city.forum]);
    levelless.protocol_level_min = 0;
    let invite = code(&city, 9);
    let mirror = mirror_code(&city);
    let text = invite.encode();
    let hosting = InviteCode { carries: true, ..invite.clone() };
    let (head, tail) = text.split_at(60);
    let claim_message = Invitation::claim_message(&network, &city.kitchen.id, &invite.invitation.one_time_key);
    let claim = key(4, 9).sign(&Domain::Claim.signing_bytes(&claim_message)).to_bytes();
    let kitchen = &city.kitchen.id;
    let about = |kind: Kind, body: Vec<u8>| city.forum.statement(network, kind, Some(kitchen), &body, at);
    let vouch =
        about(Kind::VOUCH, v1::Vouch { subject: kitchen.0.to_vec(), reason: "We know them.".into() }.encode_to_vec());
    let objection = about(
        Kind::OBJECTION,
        v1::Objection { subject: kitchen.0.to_vec(), reason: "r".repeat(4_000) }.encode_to_vec(),
    );
    let leave =
        city.forum.statement(network, Kind::LEAVE, None, &v1::Leave { reason: "Merged.".into() }.encode_to_vec(), at);
    let taken_back = city.forum.statement(network, Kind::VOUCH, Some(kitchen), b"", at);
    let unknown = city.forum.statement(network, Kind(0x8077), None, b"anything", at);
    vec![
        read_card("card", "a genesis card", &card(1, "Harbour Refugee Forum")),
        read_card(
            "card-full",
            "8 root keys, 64 devices, 8 endpoints, a name of 200 bytes, a role without meaning",
            &full,
        ),
        read_charter("charter", "two founders", &charter_message(&[&city.forum, &city.council])),
        read_charter("charter-strict", "needs and leases at their limits", &strict),
        read_charter("charter-levelless", "the level is not stated: any will do", &levelless),
        statement(
            "card-version",
            "a card is the body of kind 0x8001",
            &city.forum.card_version(network),
            json!({ "type": "card", "org": hex(city.forum.id) }),
        ),
        statement(
            "acceptance-without-invitation",
            "accepted without an invitation: it names the charter and nothing else",
            &city.forum.statement(
                network,
                Kind::ACCEPTANCE,
                None,
                &city.forum.acceptance_body(network, None).encode_to_vec(),
                at,
            ),
            json!({ "type": "acceptance" }),
        ),
        statement(
            "acceptance",
            "accepted by an invitation and its claim",
            &city.kitchen.acceptance(network, Some((&city.forum, 9))),
            json!({ "type": "acceptance", "inviter": hex(city.forum.id), "one_time_key": hex(invite.invitation.one_time_key) }),
        ),
        statement("vouch", "for another organisation", &vouch, json!({ "type": "vouch", "subject": hex(kitchen) })),
        statement(
            "objection",
            "with the longest reason",
            &objection,
            json!({ "type": "objection", "subject": hex(kitchen) }),
        ),
        statement("leave", "the organisation goes", &leave, json!({ "type": "leave" })),
        statement(
            "vouch-taken-back",
            "a statement without body is taken back",
            &taken_back,
            json!({ "type": "withdrawn" }),
        ),
        statement("unknown", "a network kind without meaning here", &unknown, json!({ "type": "unknown" })),
        read_code("invite", "the pasted string", &text, &invite),
        read_code(
            "invite-broken-lines",
            "white space anywhere is ignored",
            &format!("  {head}\r\n\t{tail} \n"),
            &invite,
        ),
        read_code("invite-of-a-host", "the same message with the prefix of a host", &hosting.encode(), &hosting),
        read_mirror_code("mirror-code", "where a mirror finds its source: spec/06-link.md", &mirror.encode(), &mirror),
        read_mirror_code(
            "mirror-code-broken-lines",
            "white space anywhere is ignored",
            &format!(" {}\r\n", mirror.encode().replacen('A', " A", 3)),
            &mirror,
        ),
        case(
            "invitation",
            "the inviter's device signs network, inviter, one-time key and last hour",
            json!({
                "what": "invitation", "network": hex(network), "invitation": invitation_of(&invite), "card": bytes(&city.forum.card),
                "message": hex(Invitation::signing_message(&network, &city.forum.id, &invite.invitation.one_time_key, invite.invitation.expires)),
            }),
        ),
        case(
            "claim",
            "the one-time key signs network, joiner and itself; the last millisecond of the last hour",
            json!({
                "what": "claim", "network": hex(network), "joiner": hex(kitchen), "invitation": invitation_of(&invite), "claim": hex(claim),
                "message": hex(&claim_message), "hlc_ms": invite.invitation.expires.start_ms() + 3_599_999,
            }),
        ),
    ]
}

fn invalid() -> Vec<Value> {
    let city = City::new();
    let network = city.network;
    let of_card = |name: &str, why: &str, change: &dyn Fn(&mut v1::OrgCard)| {
        let mut message = card(20, "Changed");
        change(&mut message);
        case(name, why, json!({ "what": "card", "card": bytes(message.encode_to_vec()), "error": "card" }))
    };
    let of_charter = |name: &str, why: &str, change: &dyn Fn(&mut v1::Charter)| {
        let mut message = charter_message(&[&city.forum, &city.council]);
        change(&mut message);
        case(name, why, json!({ "what": "charter", "charter": bytes(message.encode_to_vec()), "error": "charter" }))
    };
    let of_code = |name: &str, why: &str, text: &str, detail: &str| {
        case(name, why, json!({ "what": "invite", "code": text, "error": "invite", "detail": detail }))
    };
    let of_mirror = |name: &str, why: &str, text: &str, detail: &str| {
        case(name, why, json!({ "what": "mirror-code", "code": text, "error": "mirror-code", "detail": detail }))
    };
    let mirror_text = mirror_code(&city).encode();
    let mirror_with = |addresses| MirrorCode { addresses, ..mirror_code(&city) }.encode();
    let invite = code(&city, 9);
    let text = invite.encode();
    let mut swapped: Vec<char> = text.chars().collect();
    swapped.swap(100, 101);
    if swapped[100] == swapped[101] {
        swapped[100] = if swapped[100] == 'A' { 'B' } else { 'A' };
    }
    let swapped: String = swapped.into_iter().collect();
    let no_address = InviteCode { addresses: vec![], ..invite.clone() }.encode();
    let nine = InviteCode { addresses: vec!["a:1".into(); 9], ..invite.clone() }.encode();
    let spoofed = InviteCode { inviter_name: "Forum\u{202e}".into(), ..invite.clone() }.encode();
    let two_lines = InviteCode { addresses: vec!["a:1\nb:2".into()], ..invite.clone() }.encode();
    let claim = |signer: &ed25519_dalek::SigningKey, joiner: &OrgId, of: &fingerpost_proto::id::NetworkId| {
        let message = Invitation::claim_message(of, joiner, &invite.invitation.one_time_key);
        signer.sign(&Domain::Claim.signing_bytes(&message)).to_bytes()
    };
    let of_claim = |name: &str, why: &str, claim: [u8; 64], late_hours: u64, detail: &str| {
        let error = if detail == "stale" { "invite-stale" } else { "invite" };
        case(
            name,
            why,
            json!({
                "what": "claim", "network": hex(network), "joiner": hex(city.kitchen.id), "invitation": invitation_of(&invite),
                "claim": hex(claim), "hlc_ms": invite.invitation.expires.start_ms() + late_hours * 3_600_000, "error": error, "detail": detail,
            }),
        )
    };
    let one_time = key(4, 9);
    let good = claim(&one_time, &city.kitchen.id, &network);
    let invitation = |name: &str, why: &str, change: &dyn Fn(&mut Value)| {
        let mut case = case(
            name,
            why,
            json!({
                "what": "invitation", "network": hex(network), "invitation": invitation_of(&invite), "card": bytes(&city.forum.card),
                "error": "invite", "detail": "bad-signature",
            }),
        );
        change(&mut case);
        case
    };
    let long = |length: usize| "x".repeat(length);
    vec![
        case(
            "card-too-large",
            "16,385 bytes",
            json!({ "what": "card", "card": bytes(vec![0x20; 16_385]), "error": "card" }),
        ),
        case("card-undecodable", "not protobuf", json!({ "what": "card", "card": "ffff", "error": "card" })),
        of_card("card-sequence", "a successor that names no card before it", &|card| card.sequence = 1),
        of_card("card-previous", "a first card has no predecessor", &|card| card.previous = vec![1; 32]),
        of_card("card-revocations", "reserved", &|card| card.revocations = vec![v1::Revocation::default()]),
        of_card("card-signed-by", "a first card is not signed by a key of another card", &|card| {
            card.signed_by = card.root_keys[0].clone()
        }),
        of_card("card-upheld", "a first card upholds nothing", &|card| card.upheld = vec![vec![1; 16]]),
        of_card("card-without-roots", "no root key", &|card| card.root_keys.clear()),
        of_card("card-nine-roots", "9 root keys", &|card| {
            card.root_keys = (100..109).map(|seed| key(1, seed).verifying_key().to_bytes().to_vec()).collect()
        }),
        of_card("card-root-twice", "one root key twice", &|card| card.root_keys.push(card.root_keys[0].clone())),
        of_card("card-device-twice", "one device key twice", &|card| card.devices.push(card.devices[0].clone())),
        of_card("card-without-devices", "no device", &|card| card.devices.clear()),
        of_card("card-weak-root", "a root key of small order", &|card| card.root_keys[0] = vec![0; 32]),
        of_card("card-short-key", "a device key of 31 bytes", &|card| card.devices[0].key.truncate(31)),
        of_card("card-without-role", "a device without a role", &|card| card.devices[0].roles.clear()),
        of_card("card-nine-roles", "a device with 9 roles", &|card| card.devices[0].roles = vec![1; 9]),
        of_card("card-label", "a label of 201 bytes", &|card| card.devices[0].label = long(201)),
        of_card("card-nine-endpoints", "9 endpoints", &|card| card.endpoints = vec!["a:1".into(); 9]),
        of_card("card-empty-endpoint", "an empty endpoint", &|card| card.endpoints = vec![String::new()]),
        of_card("card-long-endpoint", "an endpoint of 263 bytes", &|card| card.endpoints = vec![long(263)]),
        of_card("card-blank-name", "a name of spaces", &|card| card.name = "  ".into()),
        of_card("card-name-override", "a name with U+202E", &|card| card.name = "Forum\u{202e}x".into()),
        of_card("card-name-line-feed", "a name of two lines", &|card| card.name = "Forum\nx".into()),
        of_card("card-label-escape", "a label with U+001B", &|card| card.devices[0].label = "\u{1b}[2J".into()),
        of_card("card-endpoint-line-feed", "an endpoint with U+000A", &|card| card.endpoints = vec!["a:1\n".into()]),
        of_card("card-long-name", "a name of 201 bytes", &|card| card.name = long(201)),
        of_card("card-nonce", "a nonce of 15 bytes", &|card| card.nonce = vec![1; 15]),
        of_card("card-recovery-digest", "a recovery digest of 31 bytes", &|card| card.recovery_digest = vec![1; 31]),
        case(
            "charter-too-large",
            "16,385 bytes",
            json!({ "what": "charter", "charter": bytes(vec![0x20; 16_385]), "error": "charter" }),
        ),
        case(
            "charter-undecodable",
            "not protobuf",
            json!({ "what": "charter", "charter": "ffff", "error": "charter" }),
        ),
        of_charter("charter-blank-name", "a name of spaces", &|charter| charter.name = " ".into()),
        of_charter("charter-name-override", "a name with U+2067", &|charter| charter.name = "City\u{2067}".into()),
        of_charter("charter-purpose-escape", "a purpose with U+001B", &|charter| charter.purpose = "\u{1b}c".into()),
        of_charter("charter-principle-override", "a principle with U+202D", &|charter| {
            charter.principles = vec!["p\u{202d}".into()];
        }),
        of_charter("charter-licence-line-feed", "a licence with U+000A", &|charter| {
            charter.licence_url = "https://licence.example/\n".into();
        }),
        of_charter("charter-long-purpose", "a purpose of 4,001 bytes", &|charter| charter.purpose = long(4_001)),
        of_charter("charter-33-principles", "33 principles", &|charter| charter.principles = vec!["p".into(); 33]),
        of_charter("charter-empty-principle", "an empty principle", &|charter| {
            charter.principles = vec![String::new()]
        }),
        of_charter("charter-without-founders", "no founder", &|charter| charter.founders.clear()),
        of_charter("charter-257-founders", "257 founders", &|charter| {
            charter.founders = (0..257u16).map(|n| [&n.to_be_bytes()[..], &[0; 30]].concat()).collect()
        }),
        of_charter("charter-founders-descending", "founders out of order", &|charter| charter.founders.reverse()),
        of_charter("charter-founder-twice", "a founder twice", &|charter| {
            charter.founders[1] = charter.founders[0].clone()
        }),
        of_charter("charter-founder-short", "a founder of 31 bytes", &|charter| charter.founders[0].truncate(31)),
        of_charter("charter-no-vouches", "no vouch needed", &|charter| charter.vouches_needed = 0),
        of_charter("charter-257-vouches", "257 vouches needed", &|charter| charter.vouches_needed = 257),
        of_charter("charter-no-objections", "no objection needed", &|charter| charter.objections_needed = 0),
        of_charter("charter-lease-401", "leases of 401 days", &|charter| charter.lease_days_max = 401),
        of_charter("charter-lease-default", "a default above the greatest", &|charter| {
            (charter.lease_days_max, charter.lease_days_default) = (10, 11)
        }),
        of_charter("charter-level", "a later protocol level", &|charter| charter.protocol_level_min = 2),
        of_charter("charter-nonce", "a nonce of 17 bytes", &|charter| charter.nonce = vec![1; 17]),
        of_code("invite-prefix", "the prefix is missing", &text[4..], "not-an-invite"),
        of_code("invite-other-prefix", "a prefix of something else", &text.replace("fp1:", "fph2:"), "not-an-invite"),
        of_code("invite-empty", "nothing behind the prefix", "fp1:", "damaged"),
        of_code("invite-cut", "the last three characters are missing", &text[..text.len() - 3], "damaged"),
        of_code("invite-swapped", "two characters are exchanged", &swapped, "damaged"),
        of_code("invite-padding", "padding does not belong there", &format!("{text}="), "damaged"),
        of_code("invite-without-address", "no address", &no_address, "field"),
        of_code("invite-nine-addresses", "9 addresses", &nine, "field"),
        of_code("invite-name-override", "the inviter's name has U+202E", &spoofed, "field"),
        of_code("invite-address-line-feed", "an address of two lines", &two_lines, "field"),
        of_mirror(
            "mirror-code-prefix",
            "the prefix of an invite",
            &mirror_text.replacen("fpm1:", "fp1:", 1),
            "not-a-mirror-code",
        ),
        of_mirror(
            "mirror-code-cut",
            "the last three characters are missing",
            &mirror_text[..mirror_text.len() - 3],
            "damaged",
        ),
        of_mirror("mirror-code-padding", "padding does not belong there", &format!("{mirror_text}="), "damaged"),
        of_mirror("mirror-code-without-address", "no address", &mirror_with(vec![]), "field"),
        of_mirror("mirror-code-nine-addresses", "9 addresses", &mirror_with(vec!["a:1".into(); 9]), "field"),
        of_mirror("mirror-code-line-feed", "an address of two lines", &mirror_with(vec!["a:1\nb:2".into()]), "field"),
        of_code("invite-too-long", "8,193 characters", &format!("fp1:{}", long(8_189)), "field"),
        of_claim("claim-stale", "the first millisecond after the last hour", good, 1, "stale"),
        of_claim(
            "claim-other-key",
            "signed by another key",
            claim(&key(4, 10), &city.kitchen.id, &network),
            0,
            "bad-claim",
        ),
        of_claim(
            "claim-of-another",
            "signed for another organisation",
            claim(&one_time, &city.council.id, &network),
            0,
            "bad-claim",
        ),
        of_claim(
            "claim-other-network",
            "signed for another network",
            claim(&one_time, &city.kitchen.id, &fingerpost_proto::id::NetworkId([9; 32])),
            0,
            "bad-claim",
        ),
        invitation("invitation-expiry-moved", "valid for an hour longer than was signed", &|case| {
            case["invitation"]["expires_hour"] = json!(invite.invitation.expires.0 + 1)
        }),
        invitation("invitation-other-network", "signed for another network", &|case| {
            case["network"] = json!(hex([9; 32]))
        }),
        invitation("invitation-other-card", "the card is of another organisation than the inviter", &|case| {
            case["card"] = bytes(&city.council.card)
        }),
        invitation("invitation-by-node-key", "the signing device does not publish", &|case| {
            case["invitation"]["device"] = json!(hex(city.forum.node.verifying_key().as_bytes()))
        }),
    ]
}
