//! Vectors of keys and signatures, the doubtful ones above all: `spec/03-versions.md`, sections 3 and 4.

use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT as BASE, EIGHT_TORSION};
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use ed25519_dalek::Signer;
use fingerpost_proto::key::{Domain, PublicKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha512};

use crate::cast::key;
use crate::{File, case, file, hex};

/// The order of the base point, little-endian.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];
const MESSAGE: &[u8] = b"a message";

pub(crate) fn files() -> Vec<File> {
    vec![
        file("keys_valid", "Keys that are accepted and signatures that hold: spec/03-versions.md.", valid()),
        file("keys_invalid", "Keys and signatures that must be refused: spec/03-versions.md.", invalid()),
    ]
}

fn domain_name(domain: Domain) -> &'static str {
    match domain {
        Domain::Version => "version",
        Domain::Invitation => "invitation",
        Domain::Claim => "claim",
    }
}

fn signature(name: &str, why: &str, key: &[u8], domain: Domain, message: &[u8], signature: &[u8]) -> Value {
    case(
        name,
        why,
        json!({
            "what": "signature", "key": hex(key), "domain": domain_name(domain), "prefix": hex(domain.prefix()),
            "message": hex(message), "signature": hex(signature),
        }),
    )
}

fn valid() -> Vec<Value> {
    let signer = key(2, 1);
    let public = signer.verifying_key().to_bytes();
    let mut cases = vec![case("key", "an ordinary public key", json!({ "what": "key", "key": hex(public) }))];
    for domain in [Domain::Version, Domain::Invitation, Domain::Claim] {
        let bytes = signer.sign(&domain.signing_bytes(MESSAGE)).to_bytes();
        let name = format!("signature-{}", domain_name(domain));
        let mut case =
            signature(&name, "Ed25519 of RFC 8032 over prefix and message", &public, domain, MESSAGE, &bytes);
        case["seed"] = json!(hex(signer.to_bytes()));
        cases.push(case);
    }
    let empty = signer.sign(&Domain::Claim.signing_bytes(b"")).to_bytes();
    cases.push(signature(
        "signature-empty-message",
        "an empty message is a message",
        &public,
        Domain::Claim,
        b"",
        &empty,
    ));
    cases
}

fn with_error(mut case: Value, error: &str) -> Value {
    case["error"] = json!(error);
    case
}

fn bad_key(name: &str, why: &str, key: &[u8], error: &str) -> Value {
    case(name, why, json!({ "what": "key", "key": hex(key), "error": error }))
}

fn bad_signature(name: &str, why: &str, key: &[u8], domain: Domain, bytes: &[u8]) -> Value {
    with_error(signature(name, why, key, domain, MESSAGE, bytes), "bad-signature")
}

/// A y coordinate of at most 18 written with p added: another encoding of the same point.
fn plus_p(y: u8, sign: u8) -> [u8; 32] {
    let mut bytes = [0xff; 32];
    bytes[0] = 0xed + y;
    bytes[31] = 0x7f | (sign << 7);
    bytes
}

fn challenge(r: &EdwardsPoint, key: &[u8], message: &[u8]) -> Scalar {
    let mut hash = Sha512::new();
    hash.update(r.compress().as_bytes());
    hash.update(key);
    hash.update(message);
    Scalar::from_bytes_mod_order_wide(&hash.finalize().into())
}

fn invalid() -> Vec<Value> {
    let signer = key(2, 1);
    let public = signer.verifying_key().to_bytes();
    let secret = signer.to_scalar();
    let domain = Domain::Version;
    let signed = domain.signing_bytes(MESSAGE);
    let good = signer.sign(&signed).to_bytes();
    let torsion = EIGHT_TORSION[1];

    let mut flipped_s = good;
    flipped_s[32] ^= 1;
    let mut flipped_r = good;
    flipped_r[0] ^= 1;
    let mut plus_order = good;
    let mut carry = 0u16;
    for (byte, order) in plus_order[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        (*byte, carry) = (sum as u8, sum >> 8);
    }
    // R carries a point of order 8: cofactored verification would accept it.
    let nonce = Scalar::from(424_242u64);
    let mixed_r = nonce * BASE + torsion;
    let s = nonce + challenge(&mixed_r, &public, &signed) * secret;
    let mixed_r_signature = [mixed_r.compress().to_bytes(), s.to_bytes()].concat();
    // R is the neutral point: the equation holds, strict verification refuses the small order.
    let neutral = EIGHT_TORSION[0];
    let s = challenge(&neutral, &public, &signed) * secret;
    let neutral_r_signature = [neutral.compress().to_bytes(), s.to_bytes()].concat();
    let mut far_r_signature = neutral_r_signature.clone();
    far_r_signature[..32].copy_from_slice(&plus_p(1, 0));

    let mixed_key = (EdwardsPoint::mul_base(&secret) + torsion).compress().to_bytes();
    let on_curve = |y: &u8| CompressedEdwardsY(plus_p(*y, 0)).decompress().is_some_and(|point| !point.is_small_order());
    let far_y = (0..19).find(on_curve).unwrap();
    let no_point = (2..).map(|y: u8| std::array::from_fn(|i| if i == 0 { y } else { 0 }));
    let no_point: [u8; 32] =
        no_point.into_iter().find(|bytes| CompressedEdwardsY(*bytes).decompress().is_none()).unwrap();
    let mut negative_zero = neutral.compress().to_bytes();
    negative_zero[31] |= 0x80;
    let small = |i: usize| EIGHT_TORSION[i].compress().to_bytes();
    assert!(PublicKey::from_bytes(&plus_p(far_y, 0)).is_err());
    vec![
        bad_key("key-short", "31 bytes", &public[..31], "key-length"),
        bad_key("key-no-point", "no x belongs to this y", &no_point, "key-not-a-point"),
        bad_key("key-small-order-1", "A is the neutral point", &small(0), "key-weak"),
        bad_key("key-small-order-2", "A has order 2", &small(4), "key-weak"),
        bad_key("key-small-order-4", "A has order 4", &small(2), "key-weak"),
        bad_key("key-small-order-8", "A has order 8", &small(1), "key-weak"),
        bad_key("key-mixed-order", "A is an ordinary point plus one of order 8", &mixed_key, "key-weak"),
        bad_key(
            "key-y-plus-p",
            "y is written as y + p, a second encoding of a point of large order",
            &plus_p(far_y, 0),
            "key-not-a-point",
        ),
        bad_key("key-small-order-y-plus-p", "the neutral point with y + p", &plus_p(1, 0), "key-not-a-point"),
        bad_key("key-negative-zero", "x is 0 and its sign bit is set", &negative_zero, "key-not-a-point"),
        bad_signature("signature-s-flipped", "one bit of S", &public, domain, &flipped_s),
        bad_signature("signature-r-flipped", "one bit of R", &public, domain, &flipped_r),
        bad_signature(
            "signature-s-plus-order",
            "S + L satisfies the equation but is not canonical",
            &public,
            domain,
            &plus_order,
        ),
        bad_signature(
            "signature-r-torsion",
            "R + T with T of order 8: holds when multiplied by 8, not as it stands",
            &public,
            domain,
            &mixed_r_signature,
        ),
        bad_signature(
            "signature-r-neutral",
            "R is the neutral point: the equation holds, the order of R is small",
            &public,
            domain,
            &neutral_r_signature,
        ),
        bad_signature("signature-r-y-plus-p", "R is a second encoding", &public, domain, &far_r_signature),
        bad_signature(
            "signature-other-domain",
            "signed as a version, presented as a claim",
            &public,
            Domain::Claim,
            &good,
        ),
        bad_signature("signature-short", "63 bytes", &public, domain, &good[..63]),
        bad_signature(
            "signature-other-key",
            "signed by another key",
            &key(2, 2).verifying_key().to_bytes(),
            domain,
            &good,
        ),
        bad_signature(
            "signature-without-prefix",
            "the prefix was left out when signing",
            &public,
            domain,
            &signer.sign(MESSAGE).to_bytes(),
        ),
    ]
}
