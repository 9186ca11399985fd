#![allow(clippy::unwrap_used)]

use fingerpost_proto::id::{NetworkId, OrgId};
use fingerpost_proto::limits::DEVICES_MAX;
use fingerpost_proto::network::statement::statement_record_id;
use fingerpost_proto::time::UnixHour;
use fingerpost_proto::version::Header;

use super::*;
use crate::keys::Signer;
use fingerpost_proto::kind::Audience;

const NETWORK: NetworkId = NetworkId([3; 32]);

fn signer(seed: u8) -> Signer {
    Signer::from_seed(&[seed; 32]).unwrap()
}

/// A first card with root key 1 and devices 2 and 3.
fn first() -> (OrgCard, Vec<u8>) {
    let device = |seed: u8| v1::Device {
        key: signer(seed).public().as_bytes().to_vec(),
        roles: vec![v1::DeviceRole::Publish.into()],
        ..Default::default()
    };
    let bytes = v1::OrgCard {
        root_keys: vec![signer(1).public().as_bytes().to_vec()],
        recovery_digest: vec![9; 32],
        devices: vec![device(2), device(3)],
        name: "Forum".into(),
        nonce: vec![0; 16],
        ..Default::default()
    }
    .encode_to_vec();
    (OrgCard::read(&bytes).unwrap(), bytes)
}

fn next() -> (OrgCard, NextCard) {
    let (card, bytes) = first();
    (card.clone(), NextCard::after(&card, &bytes, signer(1).public(), [7; 16]))
}

fn key(seed: u8) -> [u8; 32] {
    *signer(seed).public().as_bytes()
}

/// A vouch for (or, with an empty reason, a statement about) organisation number `subject`, signed by this device.
fn statement(device: u8, kind: Kind, subject: u16) -> SignedVersion {
    let org = first().0.org;
    let about = OrgId(std::array::from_fn(|at| subject.to_be_bytes()[at % 2]));
    let subject = (kind != Kind::LEAVE && kind != Kind::ACCEPTANCE).then_some(&about);
    let header = Header {
        audience: Audience::Public,
        kind,
        network: NETWORK,
        org,
        record: statement_record_id(&org, kind, subject),
        device: key(device),
        hlc: Hlc(5),
        prev: [0; 8],
        lease_until: UnixHour(0),
    };
    signer(device).sign_version(&header, b"body").unwrap()
}

fn invitation(device: u8, one_time: u8) -> Invitation {
    let one_time_key = *signer(one_time).public();
    Invitation {
        inviter: first().0.org,
        device: key(device),
        one_time_key,
        expires: UnixHour(9),
        signature: [one_time; 64],
    }
}

#[test]
fn a_next_card_follows_the_one_before_and_lists_the_new_device() {
    let (before, mut next) = next();
    next.list(signer(4).public(), v1::DeviceRole::Publish, "front desk");
    let finished = next.finish(&before, vec![statement(2, Kind::ACCEPTANCE, 0)], Vec::new()).unwrap();
    assert_eq!((finished.card.org, finished.card.sequence, finished.card.name.as_str()), (before.org, 1, "Forum"));
    let rank = fingerpost_proto::network::succession::Rank::of(&finished.card, &before).unwrap();
    assert!(!rank.is_recovery());
    assert_eq!(finished.card.device(&key(4)).unwrap().label, "front desk");
    assert!(finished.card.upheld.is_empty(), "what its device bears out needs no name");
}

#[test]
fn a_retired_device_keeps_what_it_signed_and_a_revoked_one_only_what_is_upheld() {
    let vouch = statement(2, Kind::VOUCH, 1);
    let (before, mut retiring) = next();
    retiring.retire(signer(2).public(), Hlc(5));
    let finished = retiring.finish(&before, vec![vouch.clone()], vec![invitation(2, 8)]).unwrap();
    assert!(finished.card.upheld.is_empty() && finished.card.publisher(&key(2), Hlc(5)).is_some());

    let (before, mut revoking) = next();
    revoking.revoke(|key| key == signer(2).public().as_bytes());
    let statements = vec![vouch.clone(), statement(3, Kind::VOUCH, 2), statement(2, Kind::LEAVE, 0)];
    let finished = revoking.finish(&before, statements, vec![invitation(2, 8), invitation(3, 9)]).unwrap();
    assert_eq!(finished.upheld, std::slice::from_ref(&vouch));
    assert_eq!(finished.invitations, [invitation(2, 8)]);
    assert_eq!(finished.dropped.len(), 1, "a leave by a device that is not trusted");
    let names: BTreeSet<Vid> = [vouch.vid(), upheld_name(&[8; 64])].into();
    assert_eq!(finished.card.upheld, names);
}

#[test]
fn what_is_not_signed_by_the_organisation_is_never_upheld() {
    let (before, mut next) = next();
    next.revoke(|key| key == signer(2).public().as_bytes());
    let stranger = statement(6, Kind::VOUCH, 1);
    // Device 2's name on a signature by another key.
    let header = *statement(2, Kind::VOUCH, 2).header();
    let forged = signer(6).sign_version(&header, b"body").unwrap();
    let finished = next.finish(&before, vec![stranger, forged], vec![invitation(6, 8)]).unwrap();
    assert!(finished.upheld.is_empty() && finished.card.upheld.is_empty());
}

#[test]
fn a_card_upholds_256_statements_and_no_more_and_invitations_where_there_is_room() {
    let vouches = |count: u16| (0..count).map(|at| statement(2, Kind::VOUCH, at)).collect::<Vec<_>>();
    let finish = |count: u16| {
        let (before, mut next) = next();
        next.revoke(|key| key == signer(2).public().as_bytes());
        next.finish(&before, vouches(count), vec![invitation(2, 8)])
    };
    let full = finish(256).unwrap();
    assert_eq!((full.card.upheld.len(), full.invitations.len()), (256, 0));
    assert_eq!(finish(255).unwrap().invitations.len(), 1);
    assert!(matches!(finish(257), Err(NextCardError::TooManyUpheld { found: 257 })));
}

#[test]
fn what_one_card_upholds_the_next_one_repeats() {
    let (before, mut revoking) = next();
    revoking.revoke(|key| key == signer(2).public().as_bytes());
    let second = revoking.finish(&before, vec![statement(2, Kind::VOUCH, 1)], Vec::new()).unwrap();
    let third = NextCard::after(&second.card, &second.bytes, signer(1).public(), [8; 16]);
    let third = third.finish(&second.card, Vec::new(), Vec::new()).unwrap();
    assert_eq!(third.card.upheld, second.card.upheld, "also where the node asked had not heard of it");
}

#[test]
fn a_card_lists_64_devices_and_no_more() {
    let with = |count: usize| {
        let (before, mut next) = next();
        (2..count).for_each(|at| next.list(signer(at as u8 + 10).public(), v1::DeviceRole::Publish, ""));
        next.finish(&before, Vec::new(), Vec::new())
    };
    assert_eq!(with(DEVICES_MAX).unwrap().card.devices.len(), DEVICES_MAX);
    assert!(matches!(with(DEVICES_MAX + 1), Err(NextCardError::Card(CardError::Size { field: "devices", .. }))));
}
