//! Decisions and delivery, against a node in memory.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Mutex;

use fingerpost_proto::id::{NetworkId, RecordId};
use fingerpost_proto::kind::Kind;
use fingerpost_proto::network::card::OrgCard;
use fingerpost_proto::time::{DAY_MS, UnixHour};
use fingerpost_proto::v1::publish_result::Outcome;
use fingerpost_proto::version::{Header, SignedVersion};
use prost::Message;

use super::*;
use crate::client::Delivery;

const NOW: UnixMillis = 1_790_000_000_000;

/// A node in memory: keeps the newest version of each record and answers as asked.
#[derive(Default)]
struct FakeNode {
    clock_ms: UnixMillis,
    hlc_max: u64,
    versions: Mutex<BTreeMap<RecordId, SignedVersion>>,
    lapsed: Vec<RecordId>,
    requests: Mutex<Vec<v1::PublishRequest>>,
    breaks_after: Option<usize>,
    outcome: Option<v1::PublishResult>,
}

impl FakeNode {
    fn new() -> FakeNode {
        FakeNode { clock_ms: NOW, ..FakeNode::default() }
    }

    fn version(&self, record: &RecordId) -> SignedVersion {
        self.versions.lock().unwrap().get(record).unwrap().clone()
    }
}

impl Admin for FakeNode {
    async fn status(&self) -> Result<v1::StatusReply, Failure> {
        Ok(v1::StatusReply { clock_ms: self.clock_ms, hlc_max: self.hlc_max, ..Default::default() })
    }

    async fn entries(&self, _: v1::ListRequest) -> Result<Vec<v1::Entry>, Failure> {
        let versions = self.versions.lock().unwrap();
        Ok(versions
            .values()
            .map(|version| v1::Entry {
                envelope: version.envelope().to_vec(),
                lapsed: self.lapsed.contains(&version.header().record),
                ..Default::default()
            })
            .collect())
    }

    async fn publish(&self, requests: Vec<v1::PublishRequest>, mut answered: impl FnMut(usize) + Send) -> Delivery {
        let mut delivery = Delivery::default();
        for (at, request) in requests.into_iter().enumerate() {
            if self.breaks_after == Some(at) {
                delivery.broken = Some(Failure::new(Exit::NodeUnreachable, "gone"));
                break;
            }
            for envelope in &request.envelopes {
                let version = SignedVersion::read(envelope.clone()).unwrap();
                self.versions.lock().unwrap().insert(version.header().record, version);
                let published = v1::PublishResult { outcome: Outcome::Published.into(), ..Default::default() };
                delivery.results.push(self.outcome.clone().unwrap_or(published));
            }
            answered(request.envelopes.len());
            self.requests.lock().unwrap().push(request);
        }
        delivery
    }
}

fn identity() -> Identity {
    let (root, device) = (Signer::from_seed(&[1; 32]).unwrap(), Signer::from_seed(&[2; 32]).unwrap());
    let roles = vec![v1::DeviceRole::Publish.into()];
    let card_bytes = v1::OrgCard {
        root_keys: vec![root.public().as_bytes().to_vec()],
        recovery_digest: vec![9; 32],
        devices: vec![v1::Device { key: device.public().as_bytes().to_vec(), roles, ..Default::default() }],
        name: "Forum".into(),
        nonce: vec![0; 16],
        ..Default::default()
    }
    .encode_to_vec();
    Identity { card: OrgCard::read(&card_bytes).unwrap(), card_bytes, envelopes: Vec::new(), device }
}

fn charter() -> Charter {
    let text = v1::Charter {
        name: "City".into(),
        founders: vec![identity().org().0.to_vec()],
        vouches_needed: 1,
        objections_needed: 2,
        lease_days_default: 90,
        lease_days_max: 200,
        nonce: vec![0; 16],
        ..Default::default()
    };
    Charter::read(&text.encode_to_vec()).unwrap()
}

fn organisation(local_id: &str, description: &str) -> Draft {
    let body = v1::Organisation {
        local_id: local_id.into(),
        name: format!("Name of {local_id}"),
        description: description.into(),
        role: v1::Role::Owner.into(),
        ..Default::default()
    };
    let body = Body::Organisation(Box::new(body));
    Draft { audience: Audience::Public, lease_days: None, body, place: format!("row {local_id}") }
}

fn record(local_id: &str) -> RecordId {
    RecordId::derive(&identity().org(), Kind::ORGANISATION, Audience::Public, local_id)
}

/// Plans and carries out `edit` at `now_ms`, with the node's clock set right.
async fn run(node: &mut FakeNode, now_ms: UnixMillis, edit: impl FnOnce(&mut Planner<'_>)) -> (Plan, Report) {
    node.clock_ms = now_ms;
    let (identity, charter) = (identity(), charter());
    let desk = Desk::open(node, &identity, &charter, now_ms).await.unwrap();
    let mut planner = desk.planner();
    edit(&mut planner);
    let plan = planner.finish();
    let report = desk.carry_out(node, plan.clone(), &mut Progress::silent()).await;
    (plan, report)
}

async fn publish(node: &mut FakeNode, now_ms: UnixMillis, drafts: Vec<Draft>) -> (Plan, Report) {
    run(node, now_ms, |planner| drafts.into_iter().for_each(|draft| planner.draft(draft))).await
}

#[tokio::test]
async fn the_first_time_everything_is_new_and_the_second_time_nothing_changes() {
    let mut node = FakeNode::new();
    let drafts = || vec![organisation("a", "one"), organisation("b", "two")];
    let (_, first) = publish(&mut node, NOW, drafts()).await;
    assert_eq!((first.new, first.changed, first.unchanged), (2, 0, 0));
    assert_eq!(node.version(&record("a")).header().prev, [0; 8]);
    let (plan, second) = publish(&mut node, NOW + DAY_MS, drafts()).await;
    assert_eq!((second.new, second.changed, second.unchanged), (0, 0, 2));
    assert!(plan.changes.is_empty());
    assert_eq!(node.requests.lock().unwrap().len(), 1, "nothing is sent for nothing");
}

#[tokio::test]
async fn changed_content_names_the_version_it_replaces_and_when_it_was_modified() {
    let mut node = FakeNode::new();
    publish(&mut node, NOW, vec![organisation("a", "one")]).await;
    let before = node.version(&record("a"));
    let (_, report) = publish(&mut node, NOW + 5_000, vec![organisation("a", "other")]).await;
    assert_eq!(report.changed, 1);
    let after = node.version(&record("a"));
    assert_eq!(after.header().prev, before.vid().prefix());
    assert!(after.header().hlc > before.header().hlc);
    let modified = |version: &SignedVersion| Body::decode(Kind::ORGANISATION, version.body()).unwrap().modified_ms();
    assert_eq!((modified(&before), modified(&after)), (NOW, NOW + 5_000));
}

#[tokio::test]
async fn clocks_rise_from_version_to_version_and_beyond_what_the_node_has_seen() {
    let mut node = FakeNode::new();
    let ahead = Hlc::new(NOW + 60_000, 7);
    node.hlc_max = ahead.0;
    let (plan, _) = publish(&mut node, NOW, (0..50).map(|n| organisation(&format!("r{n}"), "x")).collect()).await;
    let clocks: Vec<Hlc> = plan.changes.iter().map(|change| change.header.hlc).collect();
    assert!(clocks[0] > ahead);
    assert!(clocks.is_sorted_by(|a, b| a < b));
    let (plan, _) = publish(&mut node, NOW - 1_000, vec![organisation("r0", "y")]).await;
    assert!(plan.changes[0].header.hlc > clocks[49], "a clock that went back signs later all the same");
}

#[tokio::test]
async fn confirming_keeps_content_and_lease_length_and_moves_the_lease() {
    let mut node = FakeNode::new();
    let mut draft = organisation("a", "one");
    draft.lease_days = Some(30);
    publish(&mut node, NOW, vec![draft]).await;
    let before = node.version(&record("a"));
    let later = NOW + 20 * DAY_MS;
    let (_, report) = run(&mut node, later, |planner| planner.confirm(&record("a"))).await;
    assert_eq!(report.confirmed, 1);
    let after = node.version(&record("a"));
    assert_eq!(after.body(), before.body());
    assert_eq!(after.header().lease_until, UnixHour::containing(later).plus_days(30));
    assert_eq!(after.header().prev, before.vid().prefix());
}

#[tokio::test]
async fn signing_again_keeps_content_and_lease_and_withdraws_what_has_none_left() {
    let mut node = FakeNode::new();
    let mut draft = organisation("a", "one");
    draft.lease_days = Some(30);
    publish(&mut node, NOW, vec![draft]).await;
    let before = node.version(&record("a"));
    let last = UnixHour::containing(NOW).plus_days(30).start_ms() - 1;
    let (plan, report) = run(&mut node, last, |planner| planner.sign_again(&record("a"))).await;
    assert_eq!((report.confirmed, report.withdrawn), (1, 0));
    let header = &plan.changes[0].header;
    assert_eq!((header.lease_until, header.prev), (before.header().lease_until, before.vid().prefix()));
    assert_eq!(plan.changes[0].body, before.body());
    let (_, report) = run(&mut node, last + 1, |planner| planner.sign_again(&record("a"))).await;
    assert_eq!(
        (report.confirmed, report.withdrawn),
        (0, 1),
        "no version may be signed in the hour in which its lease ends"
    );
    // A withdrawal that is to lose its device is signed again, too; an unknown record is nothing to sign.
    let (plan, report) = run(&mut node, last + 2, |planner| {
        planner.sign_again(&record("a"));
        planner.withdraw_again(&record("unknown"));
    })
    .await;
    assert_eq!((plan.changes.len(), report.withdrawn), (1, 1));
}

#[tokio::test]
async fn a_withdrawal_has_no_body_and_publishing_again_makes_the_record_new_on_top_of_it() {
    let mut node = FakeNode::new();
    publish(&mut node, NOW, vec![organisation("a", "one")]).await;
    let (_, report) = run(&mut node, NOW + 1, |planner| planner.withdraw(&record("a"))).await;
    assert_eq!(report.withdrawn, 1);
    let withdrawal = node.version(&record("a"));
    assert!(withdrawal.is_withdrawal());
    let (_, again) = run(&mut node, NOW + 2, |planner| planner.withdraw(&record("a"))).await;
    assert_eq!(again.withdrawn, 0);
    let (_, back) = publish(&mut node, NOW + 3, vec![organisation("a", "one")]).await;
    assert_eq!(back.new, 1);
    assert_eq!(node.version(&record("a")).header().prev, withdrawal.vid().prefix());
}

#[tokio::test]
async fn saying_the_same_again_does_not_renew_a_lapsed_lease() {
    let mut node = FakeNode::new();
    publish(&mut node, NOW, vec![organisation("a", "one")]).await;
    node.lapsed.push(record("a"));
    let (plan, report) = publish(&mut node, NOW + 100 * DAY_MS, vec![organisation("a", "one")]).await;
    assert_eq!(report.unchanged, 1);
    assert_eq!(plan.lapsed, ["organisation:a"]);
}

#[tokio::test]
async fn leases_follow_the_charter() {
    let mut node = FakeNode::new();
    let mut longest = organisation("a", "one");
    longest.lease_days = Some(200);
    let mut too_long = organisation("b", "one");
    too_long.lease_days = Some(201);
    let (plan, _) = publish(&mut node, NOW, vec![longest, too_long, organisation("c", "one")]).await;
    let hour = UnixHour::containing(NOW);
    let leases: Vec<UnixHour> = plan.changes.iter().map(|change| change.header.lease_until).collect();
    assert_eq!(leases, [hour.plus_days(200), hour.plus_days(90)]);
    assert_eq!(plan.problems.len(), 1);
}

#[tokio::test]
async fn a_draft_that_no_node_would_accept_is_a_problem_and_does_not_stop_the_others() {
    let mut node = FakeNode::new();
    let drafts = vec![organisation("a", ""), organisation("b", "two"), organisation("b", "three")];
    let (plan, report) = publish(&mut node, NOW, drafts).await;
    assert_eq!(report.new, 1);
    assert_eq!(plan.problems.len(), 2);
    assert!(plan.problems[0].reason.contains("description"), "{:?}", plan.problems);
    assert!(plan.problems[1].reason.contains("row b"), "{:?}", plan.problems);
    assert_eq!(report.exit(), Exit::Invalid);
}

#[tokio::test]
async fn a_changed_audience_is_another_record_and_the_old_one_is_named() {
    let mut node = FakeNode::new();
    publish(&mut node, NOW, vec![organisation("a", "one")]).await;
    let members = Draft { audience: Audience::Members, ..organisation("a", "one") };
    let (plan, report) = publish(&mut node, NOW + 1, vec![members]).await;
    assert_eq!(report.new, 1);
    assert_eq!(plan.elsewhere, [(Audience::Public, record("a").to_string())]);
}

#[tokio::test]
async fn missing_are_records_of_the_drafted_kinds_that_no_draft_names() {
    let mut node = FakeNode::new();
    let location = v1::Location {
        local_id: "hall".into(),
        name: "Hall".into(),
        r#type: v1::LocationType::Virtual.into(),
        ..Default::default()
    };
    let location =
        Draft { body: Body::Location(Box::new(location)), place: "hall".into(), ..organisation("unused", "x") };
    let (_, report) = publish(&mut node, NOW, vec![organisation("a", "one"), organisation("b", "two"), location]).await;
    assert_eq!(report.new, 3, "{report:?}");
    run(&mut node, NOW + 1, |planner| {
        planner.draft(organisation("a", "one"));
        assert_eq!(planner.missing(), [record("b")], "the location is of a kind that was not drafted");
    })
    .await;
}

#[tokio::test]
async fn a_body_that_this_organisation_did_not_sign_is_never_built_upon() {
    let mut node = FakeNode::new();
    publish(&mut node, NOW, vec![organisation("a", "one")]).await;
    let version = node.version(&record("a"));
    let forger = Signer::from_seed(&[66; 32]).unwrap();
    let body = organisation("a", "forged").body.encode();
    let forged_by_stranger = Header { device: *forger.public().as_bytes(), ..*version.header() };
    let mut broken = version.envelope().to_vec();
    *broken.last_mut().unwrap() ^= 1;
    for forged in [forger.sign_version(&forged_by_stranger, &body).unwrap(), SignedVersion::read(broken).unwrap()] {
        node.versions.lock().unwrap().insert(record("a"), forged);
        let (identity, charter) = (identity(), charter());
        let desk = Desk::open(&node, &identity, &charter, NOW).await.unwrap();
        assert_eq!(desk.holdings().unproven, 1);
        assert_eq!(desk.holdings().find("a"), Selection::Nothing);
    }
}

#[tokio::test]
async fn a_version_of_another_network_is_not_ours_to_build_upon() {
    let mut node = FakeNode::new();
    publish(&mut node, NOW, vec![organisation("a", "one")]).await;
    let elsewhere = Charter { network: NetworkId([5; 32]), ..charter() };
    let identity = identity();
    let desk = Desk::open(&node, &identity, &elsewhere, NOW).await.unwrap();
    assert_eq!(desk.holdings().unproven, 1);
}

#[tokio::test]
async fn a_record_is_found_by_id_by_its_start_and_by_name_unless_that_is_ambiguous() {
    let mut node = FakeNode::new();
    let members = Draft { audience: Audience::Members, ..organisation("a", "one") };
    publish(&mut node, NOW, vec![organisation("a", "one"), members, organisation("b", "x")]).await;
    let (identity, charter) = (identity(), charter());
    let desk = Desk::open(&node, &identity, &charter, NOW).await.unwrap();
    let id = record("b").to_string();
    for text in [id.as_str(), &id[..8], "b", "organisation:b", &id.to_uppercase()] {
        assert_eq!(desk.holdings().find(text), Selection::One(record("b")), "{text}");
    }
    for text in [&id[..7], "service:b", "c", ""] {
        assert_eq!(desk.holdings().find(text), Selection::Nothing, "{text}");
    }
    assert!(matches!(desk.holdings().find("a"), Selection::Ambiguous(handles) if handles.len() == 2));
    assert_eq!(desk.holdings().select(&["a".to_owned()]).unwrap_err().exit(), Exit::Usage);
    let twice = desk.holdings().select(&["b".to_owned(), id]).unwrap();
    assert_eq!(twice, [record("b")]);
}

#[tokio::test]
async fn nothing_is_signed_while_two_clocks_differ_by_more_than_two_minutes() {
    let (identity, charter) = (identity(), charter());
    let mut node = FakeNode::new();
    for (clock_ms, good) in [
        (NOW + CLOCK_DIFFERENCE_MS_MAX, true),
        (NOW - CLOCK_DIFFERENCE_MS_MAX, true),
        (NOW + CLOCK_DIFFERENCE_MS_MAX + 1, false),
        (NOW - CLOCK_DIFFERENCE_MS_MAX - 1, false),
    ] {
        node.clock_ms = clock_ms;
        let opened = Desk::open(&node, &identity, &charter, NOW).await;
        assert_eq!(opened.is_ok(), good, "{clock_ms}");
        if let Err(failure) = opened {
            assert_eq!(failure.exit(), Exit::Refused);
            assert_eq!(failure.lines().len(), 4, "both clocks and a hint: {failure}");
        }
    }
}

#[tokio::test]
async fn a_node_cannot_make_us_sign_for_the_far_future() {
    let (identity, charter) = (identity(), charter());
    let mut node = FakeNode::new();
    node.hlc_max = Hlc::new(NOW + CLOCK_AHEAD_MS_MAX, 0).0;
    assert!(Desk::open(&node, &identity, &charter, NOW).await.is_ok());
    node.hlc_max = Hlc::new(NOW + CLOCK_AHEAD_MS_MAX + 1, 0).0;
    assert_eq!(Desk::open(&node, &identity, &charter, NOW).await.unwrap_err().exit(), Exit::Refused);
}

#[tokio::test]
async fn requests_hold_at_most_256_envelopes_and_one_mebibyte() {
    let mut node = FakeNode::new();
    let many = (0..ENVELOPES_PER_REQUEST_MAX + 1).map(|n| organisation(&format!("r{n}"), "x")).collect();
    publish(&mut node, NOW, many).await;
    let sizes: Vec<usize> = node.requests.lock().unwrap().iter().map(|request| request.envelopes.len()).collect();
    assert_eq!(sizes, [ENVELOPES_PER_REQUEST_MAX, 1]);
    let mut node = FakeNode::new();
    let text = "x".repeat(30_000);
    let (_, report) = publish(&mut node, NOW, (0..40).map(|n| organisation(&format!("r{n}"), &text)).collect()).await;
    assert_eq!(report.new, 40);
    for request in node.requests.lock().unwrap().iter() {
        assert!(request.envelopes.iter().map(Vec::len).sum::<usize>() <= REQUEST_BYTES_MAX);
    }
    assert_eq!(node.requests.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn what_broke_off_is_partial_and_says_how_many_are_open() {
    let mut node = FakeNode::new();
    node.breaks_after = Some(1);
    let many = || (0..300).map(|n| organisation(&format!("r{n}"), "x")).collect();
    let (_, report) = publish(&mut node, NOW, many()).await;
    assert_eq!((report.new, report.unanswered), (256, 44));
    assert_eq!(report.exit(), Exit::Partial);
    node.breaks_after = Some(0);
    let (_, report) = publish(&mut node, NOW, many()).await;
    assert_eq!((report.new, report.unchanged, report.unanswered), (0, 256, 44));
    assert_eq!(report.exit(), Exit::NodeUnreachable);
    node.breaks_after = None;
    let (_, report) = publish(&mut node, NOW, many()).await;
    assert_eq!((report.new, report.unchanged), (44, 256), "running it again completes it");
}

#[tokio::test]
async fn each_answer_of_the_node_has_its_place_in_the_report_and_its_exit_code() {
    let result = |outcome: Outcome, concurrent| v1::PublishResult {
        outcome: outcome.into(),
        concurrent,
        error: "name".into(),
        message: "why".into(),
    };
    let by_policy = v1::PublishResult { error: "not-a-member".into(), ..result(Outcome::Rejected, false) };
    let cases = [
        (by_policy, Exit::Refused),
        (result(Outcome::Published, false), Exit::Done),
        (result(Outcome::Duplicate, false), Exit::Done),
        (result(Outcome::Published, true), Exit::Conflict),
        (result(Outcome::Superseded, false), Exit::Conflict),
        (result(Outcome::Rejected, false), Exit::Invalid),
        (result(Outcome::Unspecified, false), Exit::Invalid),
    ];
    for (outcome, exit) in cases {
        let mut node = FakeNode::new();
        node.outcome = Some(outcome.clone());
        let (_, report) = publish(&mut node, NOW, vec![organisation("a", "x")]).await;
        assert_eq!(report.exit(), exit, "{outcome:?}");
    }
}
