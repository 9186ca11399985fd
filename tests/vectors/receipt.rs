//! Vectors of receipt: `spec/04-merge.md`, section 2.

use fingerpost_proto::id::{NetworkId, OrgId, RecordId};
use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::time::{DAY_MS, Hlc, UnixHour};
use fingerpost_proto::v1;
use fingerpost_proto::version::{Header, SignedVersion, forget_at};
use prost::Message;
use serde_json::{Value, json};

use crate::cast::{City, NOW, Org, key, sign, sign_unchecked};
use crate::merge::{edit, envelopes};
use crate::{File, bytes, case, file};

pub(crate) fn files() -> Vec<File> {
    vec![
        file(
            "receipt_valid",
            "What a node that holds `known` does with an envelope that is handed in: spec/04-merge.md, section 2.",
            receipt_valid(),
        ),
        file(
            "receipt_invalid",
            "Envelopes that a node refuses, by the first check that fails: spec/04-merge.md, section 2.",
            receipt_invalid(),
        ),
    ]
}

pub(crate) fn receipt(name: &str, why: &str, city: &City, now: u64, known: &[SignedVersion], envelope: &[u8]) -> Value {
    case(
        name,
        why,
        json!({
            "charter": bytes(&city.charter_bytes), "welcome": envelopes(&city.welcome()), "welcome_at_ms": NOW, "now_ms": now,
            "known": envelopes(known), "envelope": bytes(envelope),
        }),
    )
}

/// The card after `before`, of the forum, with what it changes.
fn next_card(
    city: &City,
    before: &[u8],
    signer: &ed25519_dalek::SigningKey,
    change: impl Fn(&mut v1::OrgCard),
) -> SignedVersion {
    let (forum, signed_by) = (&city.forum, signer.verifying_key().to_bytes());
    let mut card = v1::OrgCard::decode(before).unwrap();
    card.sequence += 1;
    card.previous = blake3::hash(before).as_bytes().to_vec();
    card.signed_by = signed_by.to_vec();
    change(&mut card);
    let card = card.encode_to_vec();
    let header = Header {
        record: fingerpost_proto::network::card::card_record_id(&forum.id, &card),
        device: signed_by,
        ..forum.header(city.network, Kind::CARD, Audience::Public, "", Hlc::new(NOW - 500, 0))
    };
    sign(signer, &header, &card)
}

fn receipt_valid() -> Vec<Value> {
    let city = City::new();
    let (forum, network) = (&city.forum, city.network);
    let root = &forum.root;
    let second_card = next_card(&city, &forum.card, root, |card| card.name = "Second".into());
    let third_card = next_card(&city, second_card.body(), root, |card| card.name = "Third".into());
    let mut forks = ["A", "B", "C"].map(|name| next_card(&city, &forum.card, root, |card| card.name = name.into()));
    forks.sort_by_key(|version| *blake3::hash(version.body()).as_bytes());
    let [best, evidence, dropped] = &forks;
    let kept = edit(forum, network, "kept", Hlc::new(NOW, 0), |_| ());
    let without_laptop = next_card(&city, &forum.card, root, |card| {
        card.devices.remove(0);
        card.upheld = vec![kept.vid().0.to_vec()];
    });
    let first = edit(forum, network, "first", Hlc::new(NOW, 0), |_| ());
    let second = |prev: [u8; 8]| edit(forum, network, "second", Hlc::new(NOW + 1, 0), |header| header.prev = prev);
    let outcome = |mut case: Value, outcome: &str, concurrent: bool| {
        case["outcome"] = json!(outcome);
        case["concurrent"] = json!(concurrent);
        case
    };
    let receive = |name: &str, why: &str, now: u64, known: &[SignedVersion], version: &SignedVersion| {
        receipt(name, why, &city, now, known, version.envelope())
    };
    let ahead = edit(forum, network, "ahead", Hlc::new(NOW + 600_000, 0), |_| ());
    let last_moment = forget_at(first.header().hlc) - 1;
    let vouch = v1::Vouch { subject: city.kitchen.id.0.to_vec(), reason: "We know them.".into() }.encode_to_vec();
    let vouch = forum.statement(network, Kind::VOUCH, Some(&city.kitchen.id), &vouch, Hlc::new(NOW, 0));
    vec![
        outcome(receive("first", "nothing was known", NOW, &[], &first), "published", false),
        outcome(
            receive(
                "edit",
                "prev names the version that it replaces",
                NOW + 10,
                std::slice::from_ref(&first),
                &second(first.vid().prefix()),
            ),
            "published",
            false,
        ),
        outcome(
            receive(
                "concurrent",
                "prev names another version: accepted all the same, and shown to the organisation's admins",
                NOW + 10,
                std::slice::from_ref(&first),
                &second([7; 8]),
            ),
            "published",
            true,
        ),
        outcome(
            receive("duplicate", "the same envelope again", NOW + 10, std::slice::from_ref(&first), &first),
            "duplicate",
            false,
        ),
        outcome(
            receive("superseded", "a newer version is known", NOW + 10, &[second(first.vid().prefix())], &first),
            "superseded",
            false,
        ),
        outcome(
            receive("ahead-at-limit", "ten minutes ahead of the receiver's clock", NOW, &[], &ahead),
            "published",
            false,
        ),
        outcome(
            receive("old-at-limit", "the last millisecond before it may be forgotten", last_moment, &[], &first),
            "published",
            false,
        ),
        outcome(
            receive(
                "withdrawal-of-unknown",
                "a withdrawal is kept although the record was never here",
                NOW + 10,
                &[],
                &forum.withdrawal(network, "gone", Hlc::new(NOW, 0)),
            ),
            "published",
            false,
        ),
        outcome(receive("vouch", "statements are versions", NOW, &[], &vouch), "published", false),
        outcome(receive("card-second", "a card that follows the first", NOW, &[], &second_card), "published", false),
        outcome(
            receive("card-third", "and one that follows it", NOW, std::slice::from_ref(&second_card), &third_card),
            "published",
            false,
        ),
        outcome(
            receive("card-fork", "it loses, and is kept as evidence", NOW, std::slice::from_ref(best), evidence),
            "published",
            false,
        ),
        outcome(
            receive("card-lost", "two better ones are known", NOW, &[best.clone(), evidence.clone()], dropped),
            "superseded",
            false,
        ),
        outcome(
            receive(
                "upheld",
                "its device is on no card any longer; the card names this very version",
                NOW,
                &[without_laptop],
                &kept,
            ),
            "published",
            false,
        ),
        outcome(
            receive(
                "lapsed-on-arrival",
                "its lease has run out: it takes its place and is shown nowhere",
                NOW + 30 * DAY_MS,
                &[],
                &edit(forum, network, "lapsed", Hlc::new(NOW, 0), |header| {
                    header.lease_until = UnixHour(UnixHour::containing(NOW).0 + 1)
                }),
            ),
            "published",
            false,
        ),
    ]
    .into_iter()
    .chain(crate::quotas::taken())
    .collect()
}

fn receipt_invalid() -> Vec<Value> {
    let city = City::new();
    let (forum, network) = (&city.forum, city.network);
    let now = NOW;
    let good = edit(forum, network, "good", Hlc::new(NOW, 0), |_| ());
    let refused_after = |known: &[SignedVersion], name: &str, why: &str, now: u64, envelope: &[u8], error: &str| {
        let mut case = receipt(name, why, &city, now, known, envelope);
        case["error"] = json!(error);
        case
    };
    let refused = |name: &str, why: &str, now: u64, envelope: &[u8], error: &str| {
        refused_after(&[], name, why, now, envelope, error)
    };
    let root = &forum.root;
    let second_card = next_card(&city, &forum.card, root, |card| card.name = "Second".into());
    let third_card = next_card(&city, second_card.body(), root, |card| card.name = "Third".into());
    let skipped_card = next_card(&city, &forum.card, root, |card| card.sequence = 2);
    let card_by_laptop = next_card(&city, &forum.card, &forum.device, |_| ());
    let mislabelled_card = {
        let header = Header { device: forum.device.verifying_key().to_bytes(), ..*second_card.header() };
        sign(&forum.device, &header, second_card.body())
    };
    let without_laptop = next_card(&city, &forum.card, root, |card| drop(card.devices.remove(0)));
    let header = forum.header(network, Kind::SERVICE, Audience::Public, "drop-in", Hlc::new(NOW, 0));
    let mut flipped = good.envelope().to_vec();
    let last = flipped.len() - 1;
    flipped[last] = b'D';
    let stranger = Org::new(50, "Stranger");
    let invited = Org::new(51, "Vouched for by nobody");
    let nameless = v1::Service { local_id: "drop-in".into(), ..Default::default() }.encode_to_vec();
    let elsewhere = Header { network: NetworkId([9; 32]), ..header };
    let by_node = Header { device: forum.node.verifying_key().to_bytes(), ..header };
    let by_council = Header { device: city.council.device.verifying_key().to_bytes(), ..header };
    let ahead = edit(forum, network, "ahead", Hlc::new(NOW + 600_001, 0), |_| ());
    let at = Hlc::new(NOW, 1);
    let objection = |subject: &[u8], org: &OrgId, reason: String| {
        let body = v1::Objection { subject: subject.to_vec(), reason }.encode_to_vec();
        forum.statement(network, Kind::OBJECTION, Some(org), &body, at)
    };
    let kitchen = city.kitchen.id;
    let long = "r".repeat(4_001);
    let changed_card = {
        let mut card = crate::cast::card(52, "Weak");
        card.devices[0].key = vec![0; 32];
        let card = card.encode_to_vec();
        let org = OrgId::of_genesis_card(&card);
        let header = Header {
            org,
            record: fingerpost_proto::network::card::card_record_id(&org, &card),
            ..invited.header(network, Kind::CARD, Audience::Public, "", at)
        };
        sign(&invited.root, &Header { device: invited.root.verifying_key().to_bytes(), ..header }, &card)
    };
    let foreign_card = {
        let header = Header { org: forum.id, ..*invited.card_version(network).header() };
        sign(&invited.root, &header, &invited.card)
    };
    let card_by_device = {
        let header =
            Header { device: invited.device.verifying_key().to_bytes(), ..*invited.card_version(network).header() };
        sign(&invited.device, &header, &invited.card)
    };
    let withdrawn_card = sign(&forum.root, forum.card_version(network).header(), b"");
    let stale = {
        let expires = UnixHour(UnixHour::containing(NOW).0 - 1);
        let invitation = forum.invitation(network, 70, expires);
        let claim = fingerpost_proto::network::invite::Invitation::claim_message(
            &network,
            &city.kitchen.id,
            &invitation.one_time_key,
        );
        let claim =
            ed25519_dalek::Signer::sign(&key(4, 70), &fingerpost_proto::key::Domain::Claim.signing_bytes(&claim))
                .to_bytes()
                .to_vec();
        let body = v1::Acceptance { invitation: Some(invitation.message()), claim, charter: network.0.to_vec() }
            .encode_to_vec();
        city.kitchen.statement(network, Kind::ACCEPTANCE, None, &body, Hlc::new(NOW, 0))
    };
    let unclaimed = {
        let mut body = city.kitchen.acceptance_body(network, Some((forum, 9)));
        body.claim[3] ^= 1;
        city.kitchen.statement(network, Kind::ACCEPTANCE, None, &body.encode_to_vec(), Hlc::new(NOW, 0))
    };
    let other_charter = {
        let mut body = city.kitchen.acceptance_body(network, None);
        body.charter[31] ^= 1;
        city.kitchen.statement(network, Kind::ACCEPTANCE, None, &body.encode_to_vec(), at)
    };
    let own_vouch = {
        let body = v1::Vouch { subject: forum.id.0.to_vec(), reason: String::new() }.encode_to_vec();
        forum.statement(network, Kind::VOUCH, Some(&forum.id), &body, at)
    };
    let too_old_at = forget_at(good.header().hlc);
    let unreadable = Header { record: RecordId::derive(&forum.id, Kind::SERVICE, Audience::Public, "x"), ..header };
    vec![
        refused("envelope-length", "not an envelope at all", now, &[7; 10], "envelope-length"),
        refused(
            "wrong-network",
            "signed for another network, before anything else is asked",
            now,
            &sign_unchecked(&forum.device, &elsewhere, &nameless),
            "wrong-network",
        ),
        refused(
            "too-old",
            "the first millisecond at which it may be forgotten",
            too_old_at,
            good.envelope(),
            "too-old",
        ),
        refused(
            "body-undecodable",
            "not protobuf",
            now,
            &sign_unchecked(&forum.device, &unreadable, &[0xff; 9]),
            "body-undecodable",
        ),
        refused(
            "field-missing",
            "the body is checked before the signature",
            now,
            &sign_unchecked(&stranger.device, &header, &nameless),
            "field-missing",
        ),
        refused(
            "unknown-organisation-first",
            "the publisher is looked up before the body is checked",
            now,
            &sign_unchecked(
                &stranger.device,
                &Header {
                    org: stranger.id,
                    record: RecordId::derive(&stranger.id, Kind::SERVICE, Audience::Public, "drop-in"),
                    ..header
                },
                &nameless,
            ),
            "unknown-organisation",
        ),
        refused(
            "unknown-organisation",
            "no card of its publisher is known",
            now,
            stranger.service(network, "x", "X", Hlc::new(NOW, 0)).envelope(),
            "unknown-organisation",
        ),
        refused(
            "unknown-device",
            "another organisation's device",
            now,
            &sign_unchecked(&city.council.device, &by_council, good.body()),
            "unknown-device",
        ),
        refused(
            "node-key-does-not-publish",
            "a device with the role node only",
            now,
            &sign_unchecked(&forum.node, &by_node, good.body()),
            "unknown-device",
        ),
        refused(
            "from-the-future",
            "ten minutes and a millisecond ahead of the receiver's clock",
            now,
            ahead.envelope(),
            "from-the-future",
        ),
        refused("bad-signature", "the last byte of the body was changed", now, &flipped, "bad-signature"),
        refused("card", "a device key of small order", now, changed_card.envelope(), "card"),
        refused(
            "card-of-another",
            "a card under another organisation's id",
            now,
            foreign_card.envelope(),
            "card-of-another",
        ),
        refused(
            "card-not-by-root",
            "a card signed by a device that is no root key",
            now,
            card_by_device.envelope(),
            "unknown-device",
        ),
        refused(
            "unknown-predecessor",
            "the card that it follows is not known",
            now,
            third_card.envelope(),
            "unknown-predecessor",
        ),
        refused("card-sequence", "2 after 0", now, skipped_card.envelope(), "card-sequence"),
        refused("card-signer", "a publishing device signs no card", now, card_by_laptop.envelope(), "card-signer"),
        refused(
            "card-signer-in-header",
            "signed by another key than the card names",
            now,
            mislabelled_card.envelope(),
            "card-signer",
        ),
        refused_after(
            &[without_laptop],
            "revoked-device",
            "a later card does not list the device, whatever the clock of its version says",
            now,
            good.envelope(),
            "unknown-device",
        ),
        refused("card-withdrawn", "a card cannot be withdrawn", now, withdrawn_card.envelope(), "card-withdrawn"),
        refused(
            "card-of-stranger",
            "a good card of an organisation without standing is remembered, not shared",
            now,
            invited.card_version(network).envelope(),
            "not-a-member",
        ),
        refused(
            "statement-undecodable",
            "an objection that is not protobuf",
            now,
            forum.statement(network, Kind::OBJECTION, Some(&kitchen), &[0xff; 5], at).envelope(),
            "statement-undecodable",
        ),
        refused(
            "statement-id-mismatch",
            "an objection under the place of one to another organisation",
            now,
            objection(&kitchen.0, &city.council.id, String::new()).envelope(),
            "statement-id-mismatch",
        ),
        refused(
            "statement-charter-missing",
            "an acceptance that does not say what it accepts: an empty claim, written out",
            now,
            city.kitchen.statement(network, Kind::ACCEPTANCE, None, &[0x12, 0], at).envelope(),
            "statement-charter",
        ),
        refused(
            "statement-charter",
            "an acceptance that restates the charter of another network",
            now,
            other_charter.envelope(),
            "statement-charter",
        ),
        refused("statement-subject", "a vouch for oneself", now, own_vouch.envelope(), "statement-subject"),
        refused(
            "statement-subject-length",
            "an OrgId of 31 bytes",
            now,
            objection(&kitchen.0[..31], &kitchen, String::new()).envelope(),
            "statement-subject",
        ),
        refused(
            "statement-reason",
            "a reason of 4,001 bytes",
            now,
            objection(&kitchen.0, &kitchen, long).envelope(),
            "statement-reason",
        ),
        refused(
            "statement-reason-escape",
            "a reason with U+001B",
            now,
            objection(&kitchen.0, &kitchen, "\u{1b}[2J".to_owned()).envelope(),
            "statement-reason",
        ),
        refused(
            "invite-stale",
            "accepted in the hour after the invitation ran out",
            now,
            stale.envelope(),
            "invite-stale",
        ),
        refused("invite", "the claim is not signed by the one-time key", now, unclaimed.envelope(), "invite"),
    ]
    .into_iter()
    .chain(crate::quotas::refused())
    .collect()
}
