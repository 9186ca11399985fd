//! Vectors of the cards of one organisation: which counts, what it bears out, what does not follow: `spec/05-network.md`.

use ed25519_dalek::SigningKey;
use fingerpost_proto::id::OrgId;
use fingerpost_proto::kind::Kind;
use fingerpost_proto::network::card::upheld_name;
use fingerpost_proto::time::Hlc;
use fingerpost_proto::v1;
use prost::Message;
use serde_json::{Value, json};

use crate::cast::{NOW, card, key, public};
use crate::{File, bytes, case, file, hex};

/// Root keys of the first card: those with the seeds (1, 1) and (1, 2). Its recovery key is (6, 1).
fn first() -> v1::OrgCard {
    let mut first = card(1, "Harbour Refugee Forum");
    first.root_keys.push(bytes_of(&key(1, 2)));
    first.recovery_digest = blake3::hash(&bytes_of(&key(6, 1))).as_bytes().to_vec();
    first
}

fn bytes_of(key: &SigningKey) -> Vec<u8> {
    public(key).as_bytes().to_vec()
}

/// The card after `before` that this key signs, with what it changes.
fn next(before: &v1::OrgCard, signer: (u8, u8), change: impl FnOnce(&mut v1::OrgCard)) -> v1::OrgCard {
    let mut card = v1::OrgCard {
        sequence: before.sequence + 1,
        previous: digest(before),
        signed_by: bytes_of(&key(signer.0, signer.1)),
        nonce: vec![signer.1; 16],
        ..before.clone()
    };
    change(&mut card);
    card
}

fn digest(card: &v1::OrgCard) -> Vec<u8> {
    blake3::hash(&card.encode_to_vec()).as_bytes().to_vec()
}

fn org() -> OrgId {
    OrgId::of_genesis_card(&first().encode_to_vec())
}

pub(crate) fn files() -> Vec<File> {
    vec![
        file(
            "cards_valid",
            "Cards of one organisation in any order, which of them count, and what the last of these bears out: spec/05-network.md, sections 1.1 and 1.2.",
            valid(),
        ),
        file(
            "cards_invalid",
            "Cards that break a rule, or do not follow the card before: spec/05-network.md, sections 1 and 1.1.",
            invalid(),
        ),
    ]
}

fn succession(
    name: &str,
    why: &str,
    cards: &[&v1::OrgCard],
    chain: &[&v1::OrgCard],
    evidence: &[&v1::OrgCard],
) -> Value {
    let digests = |cards: &[&v1::OrgCard]| cards.iter().map(|card| hex(digest(card))).collect::<Vec<_>>();
    case(
        name,
        why,
        json!({
            "org": hex(org()), "cards": cards.iter().map(|card| bytes(card.encode_to_vec())).collect::<Vec<_>>(),
            "chain": digests(chain), "evidence": digests(evidence), "versions": [], "invitations": [],
        }),
    )
}

fn version(kind: Kind, device: &SigningKey, hlc: Hlc, vid: [u8; 16], counts: bool) -> Value {
    json!({ "kind": kind.0, "device": hex(bytes_of(device)), "hlc": hex(hlc.0.to_be_bytes()), "vid": hex(vid), "counts": counts })
}

fn valid() -> Vec<Value> {
    let first = first();
    let second = next(&first, (1, 1), |card| card.name = "Second".into());
    let third = next(&second, (1, 2), |card| card.name = "Third".into());
    let by_second_root = next(&first, (1, 2), |card| card.name = "By the second root key".into());
    let recovered = next(&first, (6, 1), |card| {
        card.name = "Recovered".into();
        card.root_keys = vec![bytes_of(&key(1, 9))];
    });
    let twins = {
        let mut twins = ["One", "Other"].map(|name| next(&first, (1, 1), |card| card.name = name.into()));
        twins.sort_by_key(digest);
        twins
    };
    let after_loser = next(&by_second_root, (1, 1), |_| {});
    let rewritten = next(&first, (1, 1), |card| card.name = "Rewritten".into());
    let late = next(&by_second_root, (6, 1), |card| card.name = "Recovered late".into());
    let both = {
        let mut root = first.clone();
        root.root_keys[1] = bytes_of(&key(6, 1));
        root
    };
    let mut cases = vec![
        succession("first", "an organisation begins with one card", &[&first], &[&first], &[]),
        succession("rotation", "cards in a row", &[&first, &second, &third], &[&first, &second, &third], &[]),
        succession(
            "root-keys-in-order",
            "two cards on one: that by the first root key counts, the other is kept as evidence",
            &[&first, &by_second_root, &second],
            &[&first, &second],
            &[&by_second_root],
        ),
        succession(
            "recovery-outranks-roots",
            "a thief has both root keys and made a longer chain; the recovery key wins",
            &[&first, &second, &third, &by_second_root, &recovered],
            &[&first, &recovered],
            &[&second],
        ),
        succession(
            "lower-digest",
            "two cards by one key: that with the lower BLAKE3 counts",
            &[&first, &twins[1], &twins[0]],
            &[&first, &twins[0]],
            &[&twins[1]],
        ),
        succession(
            "after-a-loser",
            "what follows a card that lost does not matter, whoever signed it",
            &[&first, &second, &by_second_root, &after_loser],
            &[&first, &second],
            &[&by_second_root],
        ),
        succession(
            "recovery-too-late",
            "a recovery on a later card falls with that card: it is signed on the earliest one that the phrase fits",
            &[&first, &by_second_root, &late, &rewritten],
            &[&first, &rewritten],
            &[&by_second_root],
        ),
        succession(
            "orphan",
            "a card whose predecessor is not known counts for nothing",
            &[&first, &third],
            &[&first],
            &[],
        ),
    ];
    let mut as_root =
        succession("recovery-among-roots", "a recovery key that is a root key, too, has class 0", &[], &[], &[]);
    let (by_first, by_recovery) = (next(&both, (1, 1), |_| {}), next(&both, (6, 1), |_| {}));
    as_root["org"] = json!(hex(OrgId::of_genesis_card(&both.encode_to_vec())));
    as_root["cards"] = [&both, &by_first, &by_recovery].map(|card| bytes(card.encode_to_vec())).into_iter().collect();
    as_root["chain"] = json!([hex(digest(&both)), hex(digest(&by_recovery))]);
    as_root["evidence"] = json!([hex(digest(&by_first))]);
    cases.push(as_root);

    let (laptop, lost, kept_vid, retired_at) = (key(2, 1), key(8, 1), [7; 16], Hlc::new(NOW, 5));
    let (kept, forgotten) = ([1; 64], [2; 64]);
    let stricter = next(&first, (1, 1), |card| {
        card.devices[0].not_before = Hlc::new(NOW, 0).0;
        card.devices[0].retired_at = retired_at.0;
        let mut upheld = vec![kept_vid.to_vec(), upheld_name(&kept).0.to_vec()];
        upheld.sort();
        card.upheld = upheld;
    });
    let mut borne_out = succession(
        "what-counts",
        "clocks of a device that came and went, and what is upheld of one that is not listed",
        &[&first, &stricter],
        &[&first, &stricter],
        &[],
    );
    borne_out["versions"] = json!([
        version(Kind::SERVICE, &laptop, Hlc::new(NOW - 1, 65_535), [9; 16], false),
        version(Kind::SERVICE, &laptop, Hlc::new(NOW, 0), [9; 16], true),
        version(Kind::SERVICE, &laptop, retired_at, [9; 16], true),
        version(Kind::SERVICE, &laptop, Hlc(retired_at.0 + 1), [9; 16], false),
        version(Kind::SERVICE, &laptop, Hlc(retired_at.0 + 1), kept_vid, true),
        version(Kind::SERVICE, &lost, Hlc::new(NOW, 0), [9; 16], false),
        version(Kind::SERVICE, &lost, Hlc::new(NOW, 0), kept_vid, true),
        version(Kind::SERVICE, &key(3, 1), Hlc::new(NOW, 0), [9; 16], false),
        version(Kind::HEAD, &key(3, 1), Hlc::new(NOW, 0), [9; 16], true),
        version(Kind::VOUCH, &key(3, 1), Hlc::new(NOW, 0), [9; 16], false),
        version(Kind::HEAD, &laptop, Hlc::new(NOW, 0), [9; 16], true),
        version(Kind::HEAD, &lost, Hlc::new(NOW, 0), [9; 16], false),
    ]);
    let invitation = |device: &SigningKey, signature: [u8; 64], counts: bool| json!({ "device": hex(bytes_of(device)), "signature": hex(signature), "counts": counts });
    borne_out["invitations"] = json!([
        invitation(&laptop, forgotten, true),
        invitation(&lost, kept, true),
        invitation(&lost, forgotten, false),
    ]);
    cases.push(borne_out);
    cases
}

fn invalid() -> Vec<Value> {
    let first = first();
    let refused = |name: &str, why: &str, before: Option<&v1::OrgCard>, card: &v1::OrgCard, error: &str| {
        let before = before.map(|before| bytes(before.encode_to_vec()));
        case(
            name,
            why,
            json!({ "org": hex(org()), "before": before, "card": bytes(card.encode_to_vec()), "error": error }),
        )
    };
    let changed = |change: &dyn Fn(&mut v1::OrgCard)| next(&first, (1, 1), change);
    let upheld = |names: Vec<Vec<u8>>| changed(&|card| card.upheld = names.clone());
    let names = |count: u16| (0..count).map(|n| [&n.to_be_bytes()[..], &[0; 14]].concat()).collect::<Vec<_>>();
    let second = changed(&|card| card.root_keys = vec![bytes_of(&key(1, 9))]);
    vec![
        refused(
            "sequence-1024",
            "the highest is 1,023",
            None,
            &changed(&|card| card.sequence = 1_024),
            "card-sequence",
        ),
        refused("sequence-skipped", "2 after 0", Some(&first), &changed(&|card| card.sequence = 2), "card-sequence"),
        refused(
            "previous-missing",
            "a successor without a card before it",
            None,
            &changed(&|card| card.previous.clear()),
            "card",
        ),
        refused("previous-31", "31 bytes", None, &changed(&|card| card.previous.truncate(31)), "card"),
        refused(
            "signer-missing",
            "a successor that names no key",
            None,
            &changed(&|card| card.signed_by.clear()),
            "card",
        ),
        refused("signer-weak", "a key of small order", None, &changed(&|card| card.signed_by = vec![0; 32]), "card"),
        refused(
            "revocations",
            "reserved",
            None,
            &changed(&|card| card.revocations = vec![v1::Revocation::default()]),
            "card",
        ),
        refused("upheld-257", "257 names", None, &upheld(names(257)), "card"),
        refused("upheld-15", "a name of 15 bytes", None, &upheld(vec![vec![1; 15]]), "card"),
        refused("upheld-twice", "one name twice", None, &upheld(vec![vec![1; 16], vec![1; 16]]), "card"),
        refused("upheld-descending", "names out of order", None, &upheld(vec![vec![2; 16], vec![1; 16]]), "card"),
        refused(
            "signer-of-a-device",
            "a publishing device signs no card",
            Some(&first),
            &next(&first, (2, 1), |_| {}),
            "card-signer",
        ),
        refused(
            "signer-of-the-new-card",
            "a root key that only the new card lists",
            Some(&first),
            &next(&first, (1, 9), |card| card.root_keys = vec![bytes_of(&key(1, 9))]),
            "card-signer",
        ),
        refused(
            "signer-taken-off",
            "a root key of an earlier card that the card before no longer lists",
            Some(&second),
            &next(&second, (1, 1), |_| {}),
            "card-signer",
        ),
        refused(
            "recovery-of-another",
            "a recovery key whose BLAKE3 the card before does not carry",
            Some(&first),
            &next(&first, (6, 2), |_| {}),
            "card-signer",
        ),
    ]
}
