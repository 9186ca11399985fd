//! Heads: who is complete where, homes that are restored, and two copies of one home.

use std::fs;
use std::path::Path;
use std::time::Duration;

use fingerpost_tests::cluster::{Cluster, Node, NodeOptions, copy_home, wait_until};
use serde_json::Value;

/// Time for a change, the head after it, and a link after a start.
const EFFECT_WAIT: Duration = Duration::from_secs(40);

fn publish(node: &Node, local_id: &str) -> fingerpost_tests::cluster::Output {
    let sheet = "kind,id,name,description\norganisation,us,Us,We help.\n";
    node.import(&format!("{sheet}service,{local_id},Service {local_id},Come in.\n")).unwrap()
}

/// What a node knows of a member.
fn member(node: &Node, org: &str) -> Value {
    let members = node.json(&["members"]).unwrap();
    members["members"].as_array().unwrap().iter().find(|member| member["organisation"] == org).unwrap().clone()
}

fn has_warning(node: &Node, words: &str) -> bool {
    let warnings = node.status().unwrap().json["warnings"].clone();
    warnings.as_array().unwrap().iter().any(|warning| warning.as_str().unwrap().contains(words))
}

#[test]
fn members_and_feed_say_as_of_when_an_organisations_records_are_complete() {
    let cluster = Cluster::found(2).unwrap();
    let [owner, other] = &cluster.nodes[..] else { unreachable!() };
    let org = owner.organisation().unwrap();
    assert_eq!(publish(owner, "drop-in").code, 0);
    let is_complete = |member: &Value| member["complete_as_of"].is_string() && member["incomplete_since"].is_null();
    let waited = wait_until(EFFECT_WAIT, || Ok(is_complete(&member(other, &org))));
    assert!(waited.is_ok(), "{waited:?} {}", member(other, &org));
    let page = other.feed("/members").unwrap().json();
    let told = page["contents"].as_array().unwrap().iter().find(|told| told["id"] == org.as_str()).unwrap().clone();
    assert!(told["records"]["complete_as_of"].is_string(), "{told}");
    let said = other.cli(&["members"]).unwrap();
    assert!(said.stdout.contains("COMPLETE HERE") && said.stdout.contains(" ago"), "{said:?}");
}

/// As a backup program puts a file back.
fn restore(file: &Path) {
    let draft = file.with_extension("restored");
    fs::copy(file, &draft).unwrap();
    fs::rename(draft, file).unwrap();
}

#[test]
fn a_restored_home_takes_no_records_before_it_has_compared_with_another_node() {
    let mut cluster = Cluster::found(2).unwrap();
    assert_eq!(publish(&cluster.nodes[0], "before").code, 0);
    for node in &mut cluster.nodes {
        node.terminate().unwrap();
    }
    restore(&cluster.nodes[0].home().join("incarnation"));
    cluster.nodes[0].launch().unwrap();
    let early = publish(&cluster.nodes[0], "early");
    assert_ne!(early.code, 0, "{early:?}");
    assert!(format!("{early:?}").contains("restored from a backup"), "{early:?}");
    assert!(has_warning(&cluster.nodes[0], "before it has compared with another node"));
    cluster.nodes[1].launch().unwrap();
    let waited = wait_until(EFFECT_WAIT, || Ok(publish(&cluster.nodes[0], "early").code == 0));
    assert!(waited.is_ok(), "{waited:?}");
    assert!(!has_warning(&cluster.nodes[0], "before it has compared with another node"));
}

#[test]
fn two_copies_of_one_home_are_noticed_when_both_publish_and_no_record_is_lost() {
    let mut cluster = Cluster::found(2).unwrap();
    cluster.nodes[0].terminate().unwrap();
    let mut copy = Node::prepare("copy", &NodeOptions::default()).unwrap();
    copy_home(cluster.nodes[0].home(), copy.home()).unwrap();
    cluster.nodes[0].launch().unwrap();
    assert_eq!(publish(&cluster.nodes[0], "original").code, 0);
    copy.launch().unwrap();
    let published = wait_until(EFFECT_WAIT, || Ok(publish(&copy, "copy").code == 0));
    assert!(published.is_ok(), "{published:?}");
    let words = "another copy of this node is at work";
    let noticed =
        wait_until(EFFECT_WAIT, || Ok([&cluster.nodes[0], &copy].iter().any(|node| has_warning(node, words))));
    assert!(noticed.is_ok(), "{noticed:?}");
    let is_shown = |name: &str| cluster.nodes[1].feed("/services").map(|reply| reply.text().contains(name));
    let both = wait_until(EFFECT_WAIT, || Ok(is_shown("Service original")? && is_shown("Service copy")?));
    assert!(both.is_ok(), "{both:?}");
}
