//! What a home remembers, against hosts that show less.

#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt;

use fingerpost_proto::id::OrgId;
use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::time::{Hlc, UnixHour};
use fingerpost_proto::version::Header;

use super::*;
use crate::keys::Signer;

const NOW: UnixMillis = 1_790_000_000_000;
const NETWORK: NetworkId = NetworkId([3; 32]);

fn device() -> Signer {
    Signer::from_seed(&[2; 32]).unwrap()
}

/// The card of an organisation whose publishing devices these are.
fn card(devices: &[&Signer]) -> OrgCard {
    let root = Signer::from_seed(&[1; 32]).unwrap();
    let device = |device: &&Signer| v1::Device {
        key: device.public().as_bytes().to_vec(),
        roles: vec![v1::DeviceRole::Publish.into()],
        ..Default::default()
    };
    let message = v1::OrgCard {
        root_keys: vec![root.public().as_bytes().to_vec()],
        recovery_digest: vec![9; 32],
        devices: devices.iter().map(device).collect(),
        name: "Garden".into(),
        nonce: vec![0; 16],
        ..Default::default()
    };
    // Devices come and go without another organisation, as its later cards do; these tests need no chain of them.
    OrgCard { org: org(), ..OrgCard::read(&message.encode_to_vec()).unwrap() }
}

fn org() -> OrgId {
    OrgId([7; 32])
}

/// A version of a service `minutes` after [`NOW`]; without a text it is withdrawn.
fn version(local_id: &str, minutes: u64, text: Option<&str>) -> SignedVersion {
    let body = text.map_or_else(Vec::new, |text| {
        let service = v1::Service { local_id: local_id.into(), name: text.into(), ..Default::default() };
        service.encode_to_vec()
    });
    let hlc = Hlc::new(NOW + minutes * 60_000, 0);
    let header = Header {
        audience: Audience::Public,
        kind: Kind::SERVICE,
        network: NETWORK,
        org: org(),
        record: RecordId::derive(&org(), Kind::SERVICE, Audience::Public, local_id),
        device: *device().public().as_bytes(),
        hlc,
        prev: [0; 8],
        lease_until: if text.is_some() { UnixHour::containing(hlc.ms()).plus_days(90) } else { UnixHour(0) },
    };
    device().sign_version(&header, &body).unwrap()
}

fn envelopes(versions: &[&SignedVersion]) -> Vec<Vec<u8>> {
    versions.iter().map(|version| version.envelope().to_vec()).collect()
}

fn results(outcomes: &[Outcome]) -> Vec<v1::PublishResult> {
    outcomes.iter().map(|outcome| v1::PublishResult { outcome: (*outcome).into(), ..Default::default() }).collect()
}

/// What a host lists when it shows these.
fn listed(versions: &[&SignedVersion]) -> Holdings {
    let entry = |version: &&SignedVersion| v1::Entry { envelope: version.envelope().to_vec(), ..Default::default() };
    Holdings::of(versions.iter().map(entry).collect(), &card(&[&device()]), &NETWORK)
}

fn published(versions: &[&SignedVersion]) -> Copies {
    let mut copies = Copies::default();
    copies.sending(&envelopes(versions));
    copies.answered(&envelopes(versions), &results(&vec![Outcome::Published; versions.len()]));
    copies
}

fn compare(copies: &mut Copies, shown: &[&SignedVersion]) -> Vec<Withheld> {
    copies.compare(&listed(shown), &card(&[&device()]), &NETWORK, NOW)
}

#[test]
fn a_host_that_lists_what_was_published_or_newer_is_not_complained_of() {
    let (old, new) = (version("a", 0, Some("Old")), version("a", 1, Some("New")));
    let mut copies = published(&[&old]);
    assert_eq!(compare(&mut copies, &[&old]), []);
    assert_eq!(compare(&mut copies, &[&new]), [], "another computer of the organisation published it");
    // From then on that one is remembered.
    assert_eq!(compare(&mut copies, &[&old]).len(), 1);
}

#[test]
fn a_host_that_shows_yesterday_or_leaves_a_record_out_is_named_with_the_record() {
    let (old, new) = (version("a", 0, Some("Old")), version("a", 1, Some("New")));
    let other = version("b", 0, Some("Other"));
    let mut copies = published(&[&old, &new, &other]);
    let withheld = compare(&mut copies, &[&old]);
    let handles: Vec<_> = withheld.iter().map(|of| (of.handle.as_str(), of.name.as_str(), of.shown_ms)).collect();
    assert!(handles.contains(&("service:a", "New", Some(NOW))), "{handles:?}");
    assert!(handles.contains(&("service:b", "Other", None)), "{handles:?}");
    let words = withheld.iter().map(|of| of.sentence("Forum")).collect::<String>();
    assert!(words.contains("Other (service:b)") && words.contains("did not list"), "{words}");
    // What it would show is not learnt from it.
    assert_eq!(compare(&mut copies, &[&old]).len(), 2);
}

#[test]
fn a_host_that_shows_what_was_withdrawn_is_noticed() {
    let (live, withdrawn) = (version("a", 0, Some("Closed now")), version("a", 1, None));
    let mut copies = published(&[&live, &withdrawn]);
    let withheld = compare(&mut copies, &[&live]);
    assert_eq!(withheld[0].handle, withdrawn.header().record.to_string());
    assert!(withheld[0].sentence("Forum").contains("the withdrawal of"));
}

#[test]
fn what_was_sent_and_not_answered_for_is_nobodys_fault_and_is_known_once_it_is_listed() {
    let sent = version("a", 0, Some("Sent"));
    let mut copies = Copies::default();
    copies.sending(&envelopes(&[&sent]));
    assert_eq!(compare(&mut copies, &[]), [], "it may never have arrived");
    assert_eq!(copies.versions(), [&sent], "another host gets it all the same");
    assert_eq!(compare(&mut copies, &[&sent]), []);
    assert_eq!(compare(&mut copies, &[]).len(), 1, "it had arrived");
    let refused = version("b", 0, Some("Refused"));
    copies.sending(&envelopes(&[&refused]));
    copies.answered(&envelopes(&[&refused]), &results(&[Outcome::Rejected]));
    assert_eq!(copies.versions(), [&sent]);
}

#[test]
fn what_nobody_keeps_any_more_is_forgotten_and_not_missed() {
    let old = version("a", 0, Some("Old"));
    let due = old.forget_at().unwrap();
    let at = |now, card: &OrgCard| published(&[&old]).compare(&listed(&[]), card, &NETWORK, now).len();
    let ours = card(&[&device()]);
    assert_eq!((at(due - 1, &ours), at(due, &ours)), (1, 0));
    // Revoked: its own organisation took it away everywhere.
    let another = Signer::from_seed(&[5; 32]).unwrap();
    assert_eq!(at(NOW, &card(&[&another])), 0);
}

#[test]
fn copies_are_kept_for_the_owner_alone_and_read_back() {
    let home = tempfile::tempdir().unwrap();
    let (first, second) = (version("a", 0, Some("First")), version("b", 1, Some("Second")));
    Copies::change(home.path(), |copies| copies.acknowledged(&envelopes(&[&first]))).unwrap();
    Copies::change(home.path(), |copies| copies.sending(&envelopes(&[&second]))).unwrap();
    let mut expected = published(&[&first]);
    expected.sending(&envelopes(&[&second]));
    assert_eq!(Copies::load(home.path()).unwrap(), expected);
    let path = home.path().join(COPIES_FILE);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::write(&path, [255, 255]).unwrap();
    assert_eq!(Copies::load(home.path()).unwrap_err().exit(), Exit::Permission);
}

#[test]
fn the_last_copy_is_kept_and_one_more_is_refused_before_it_is_sent() {
    let home = tempfile::tempdir().unwrap();
    let all: Vec<SignedVersion> = (0..=COPIES_MAX).map(|number| version(&number.to_string(), 0, None)).collect();
    let all = envelopes(&all.iter().collect::<Vec<_>>());
    Copies::change(home.path(), |copies| copies.sending(&all[..COPIES_MAX])).unwrap();
    let refused = Copies::change(home.path(), |copies| copies.sending(&all[COPIES_MAX..])).unwrap_err();
    assert_eq!(refused.exit(), Exit::Refused);
    assert_eq!(Copies::load(home.path()).unwrap().versions().len(), COPIES_MAX);
}
