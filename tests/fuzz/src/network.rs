//! Cards, charters, statements, invitations and invite codes.

use fingerpost_proto::id::OrgId;
use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::limits::{CARD_BYTES_MAX, INVITE_CODE_CHARS_MAX};
use fingerpost_proto::network::card::{OrgCard, card_record_id};
use fingerpost_proto::network::charter::Charter;
use fingerpost_proto::network::invite::{Invitation, InviteCode};
use fingerpost_proto::network::statement::{Statement, statement_record_id};
use fingerpost_proto::time::UnixHour;
use fingerpost_proto::v1;
use fingerpost_proto::version::{Header, SignedVersion};
use prost::Message;

use super::body::header;

/// First byte: what the rest is to be read as.
pub fn run(bytes: &[u8]) {
    let Some((first, bytes)) = bytes.split_first() else { return };
    match first % 6 {
        0 => card(bytes),
        1 => charter(bytes),
        2 => invitation(bytes),
        3 => code(&String::from_utf8_lossy(bytes)),
        4 => code(&v1::InviteCode::decode(bytes).map(|message| sealed(&message)).unwrap_or_default()),
        _ => statement(bytes),
    }
}

fn card(bytes: &[u8]) {
    let Ok(card) = OrgCard::read(bytes) else { return };
    assert!(bytes.len() <= CARD_BYTES_MAX);
    assert_eq!(card.org, OrgId::of_genesis_card(bytes));
    assert!(!card.root_keys.is_empty() && !card.devices.is_empty());
    for device in &card.devices {
        let found = card.publisher(device.key.as_bytes(), device.not_before);
        let is_in_use = device.retired_at.is_none_or(|retired_at| retired_at >= device.not_before);
        assert_eq!(found.is_some(), device.publishes && is_in_use);
    }
    let nodes = card.devices.iter().filter(|device| device.is_node && device.retired_at.is_none());
    assert_eq!(card.node_keys().count(), nodes.count());
}

fn charter(bytes: &[u8]) {
    if let Ok(charter) = Charter::read(bytes) {
        assert!(bytes.len() <= CARD_BYTES_MAX && !charter.founders.is_empty());
    }
}

fn invitation(bytes: &[u8]) {
    let Ok(message) = v1::Invitation::decode(bytes) else { return };
    if let Ok(invitation) = Invitation::read(&message) {
        assert_eq!(Invitation::read(&invitation.message()), Ok(invitation));
    }
}

/// A code with the right checksum.
fn sealed(message: &v1::InviteCode) -> String {
    use std::fmt::Write;
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bytes = message.encode_to_vec();
    let checksum = blake3_of(&bytes);
    bytes.extend(checksum);
    let mut text = "fp1:".to_owned();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            let digit = word >> (18 - 6 * place) & 63;
            // Writing into a String cannot fail.
            let _ = write!(text, "{}", char::from(ALPHABET[digit as usize]));
        }
    }
    text
}

/// First four bytes of the BLAKE3 of `bytes`, which is also how an organisation is named after its card.
fn blake3_of(bytes: &[u8]) -> [u8; 4] {
    let digest = blake3::hash(bytes);
    std::array::from_fn(|i| digest.as_bytes()[i])
}

fn code(text: &str) {
    let Ok(code) = InviteCode::decode(text) else { return };
    assert!(text.len() <= INVITE_CODE_CHARS_MAX);
    assert_eq!(InviteCode::decode(&code.encode()).as_ref(), Ok(&code), "a code is written as it was read");
    assert_eq!(code.check_words().len(), 4);
    assert!(!format!("{code:?}").contains("seed"));
}

/// First byte: the kind. Then the body, under the record id that it asks for.
fn statement(bytes: &[u8]) {
    let Some((first, body)) = bytes.split_first() else { return };
    let kind = Kind(0x8001 + u16::from(first % 6));
    let subject = match kind {
        Kind::VOUCH => v1::Vouch::decode(body).map(|vouch| vouch.subject).unwrap_or_default(),
        Kind::OBJECTION => v1::Objection::decode(body).map(|objection| objection.subject).unwrap_or_default(),
        _ => Vec::new(),
    };
    let mut header = Header { lease_until: UnixHour(0), ..header(kind, Audience::Public, "") };
    if kind == Kind::CARD {
        header.org = OrgId::of_genesis_card(body);
        header.record = card_record_id(&header.org, body);
    } else {
        header.record = statement_record_id(&header.org, kind, OrgId::from_slice(&subject).as_ref());
    }
    let Ok(version) = SignedVersion::assemble(&header, body, &[0; 64]) else { return };
    match Statement::read(&version) {
        Ok(Statement::Vouch(subject) | Statement::Objection(subject)) => assert_ne!(subject, header.org),
        Ok(Statement::Card(card)) => assert_eq!(card.org, header.org),
        _ => {}
    }
}
