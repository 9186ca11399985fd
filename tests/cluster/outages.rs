//! Nodes that were away come back to what the others have.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use fingerpost_proto::id::RecordId;
use fingerpost_tests::cluster::{Cluster, Publisher, service};

/// Relayed versions are on stable storage within a second.
const SYNC_WAIT: Duration = Duration::from_millis(2_500);

#[test]
fn a_node_killed_with_kill_nine_and_restarted_converges() {
    let mut cluster = Cluster::found(3).unwrap();
    let bodies: Vec<_> = (0..50).map(|number| service(&format!("s{number}"), &format!("Service {number}"))).collect();
    Publisher::open(&cluster.nodes[0], &cluster.nodes[0]).unwrap().publish(&bodies).unwrap();
    // Hardly joined, in the middle of taking records in, before relayed versions were synced.
    cluster.nodes[2].kill_nine();
    let more = [service("late", "Came while one was down")];
    Publisher::open(&cluster.nodes[1], &cluster.nodes[1]).unwrap().publish(&more).unwrap();
    cluster.nodes[2].launch().unwrap();
    cluster.wait_until_equal(Duration::from_secs(15)).unwrap();
    assert_eq!(cluster.nodes[2].status().unwrap().sets[0].live, 51);
}

#[test]
fn a_node_offline_during_a_thousand_edits_and_a_hundred_withdrawals_converges_and_nothing_withdrawn_returns() {
    let mut cluster = Cluster::found(3).unwrap();
    let mut publisher = Publisher::open(&cluster.nodes[0], &cluster.nodes[0]).unwrap();
    let body = |number: usize, name: &str| service(&format!("s{number}"), &format!("{name} {number}"));
    let first: Vec<_> = (0..300).map(|number| body(number, "First")).collect();
    publisher.publish(&first).unwrap();
    cluster.wait_until_equal(Duration::from_secs(10)).unwrap();
    thread::sleep(SYNC_WAIT);
    cluster.nodes[2].kill_nine();

    for round in 0..5 {
        let edits: Vec<_> = (0..200).map(|number| body(number, &format!("Edit {round} of"))).collect();
        publisher.publish(&edits).unwrap();
    }
    let gone: Vec<RecordId> = (150..250)
        .map(|number| publisher.record(fingerpost_proto::kind::Audience::Public, &body(number, "")))
        .collect();
    publisher.withdraw(&gone).unwrap();

    // It still has, and would hand on, the versions that were edited and withdrawn meanwhile.
    cluster.nodes[2].launch().unwrap();
    cluster.wait_until_equal(Duration::from_secs(20)).unwrap();
    let gone: BTreeSet<String> = gone.iter().map(RecordId::to_string).collect();
    for node in &cluster.nodes {
        let status = node.status().unwrap();
        assert_eq!((status.sets[0].live, status.sets[0].withdrawn), (200, 100), "{}", node.name());
        let listed = node.json(&["list"]).unwrap();
        let records = listed["records"].as_array().unwrap();
        assert_eq!(records.len(), 200);
        assert!(records.iter().all(|record| !gone.contains(record["record"].as_str().unwrap())));
        let edited = records.iter().filter(|record| record["name"].as_str().unwrap().starts_with("Edit 4 of")).count();
        assert_eq!(edited, 150);
        let page = node.feed("/services?per_page=1").unwrap().json();
        assert_eq!(page["total_items"], 200, "{page}");
    }
}

#[test]
fn a_restarted_node_serves_what_it_had_before_any_link_is_up() {
    let mut cluster = Cluster::found(2).unwrap();
    let body = service("advice", "Advice drop-in");
    let mut publisher = Publisher::open(&cluster.nodes[0], &cluster.nodes[0]).unwrap();
    let record = publisher.publish(&[body]).unwrap()[0].version.header().record;
    cluster.wait_until_equal(Duration::from_secs(5)).unwrap();
    drop(publisher);
    thread::sleep(SYNC_WAIT);
    cluster.nodes.iter_mut().for_each(|node| node.kill_nine());
    // Alone: the only node that could tell it anything stays down.
    cluster.nodes[1].launch().unwrap();
    let status = cluster.nodes[1].status().unwrap();
    assert_eq!((status.links, status.members, status.sets[0].live), (0, 2, 1));
    assert_eq!(cluster.nodes[1].feed(&format!("/services/{record}")).unwrap().status, 200);
    // And an organisation can publish at it.
    let alone = &cluster.nodes[1];
    Publisher::open(alone, alone).unwrap().publish(&[service("alone", "Published alone")]).unwrap();
    cluster.nodes[0].launch().unwrap();
    cluster.wait_until_equal(Duration::from_secs(15)).unwrap();
    assert_eq!(cluster.nodes[0].status().unwrap().sets[0].live, 2);
}
