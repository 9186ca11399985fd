//! Invites, and keys that nobody invited.

use std::time::Duration;

use fingerpost_cli::identity::{Identity, load_charter};
use fingerpost_cli::keys::{Signer, fresh_seed};
use fingerpost_cli::statements::invitation;
use fingerpost_proto::network::invite::InviteCode;
use fingerpost_proto::time::UnixHour;
use fingerpost_tests::cluster::{Cluster, Node, NodeOptions, wait_until};

#[test]
fn an_invite_works_once() {
    let cluster = Cluster::found(1).unwrap();
    let invite = cluster.nodes[0].invite().unwrap();
    let first = Node::start("First").unwrap();
    first.ok(&["init", "--name", "First", "--yes"]).unwrap();
    first.join(&invite).unwrap();
    let second = Node::start("Second").unwrap();
    second.ok(&["init", "--name", "Second", "--yes"]).unwrap();
    let refused = second.cli(&["join", &invite, "--yes", "--wait", "0", "-o", "json"]).unwrap();
    assert_eq!(refused.code, 7, "{refused:?}");
    let error: serde_json::Value = serde_json::from_str(&refused.stderr).unwrap();
    assert_eq!(error["kind"], "refused", "{error}");
    assert_eq!(cluster.nodes[0].status().unwrap().members, 2);
    assert!(second.status().unwrap().json["network"].is_null(), "a failed join leaves no trace");
}

#[test]
fn a_stale_invite_is_refused_by_name_and_leaves_no_trace() {
    let cluster = Cluster::found(1).unwrap();
    let inviter = &cluster.nodes[0];
    let valid = InviteCode::decode(&inviter.invite().unwrap()).unwrap();
    let identity = Identity::load(inviter.home()).unwrap();
    let network = load_charter(inviter.home()).unwrap().unwrap().network;
    let seed = fresh_seed().unwrap();
    let one_time = Signer::from_seed(&seed).unwrap();
    let last_hour = UnixHour(valid.invitation.expires.0 - 14 * 24 - 1);
    let stale = InviteCode {
        invitation: invitation(&identity, &network, &one_time, last_hour),
        one_time_seed: seed.clone(),
        ..valid
    };
    let late = Node::start("Late").unwrap();
    late.ok(&["init", "--name", "Late", "--yes"]).unwrap();
    let refused = late.cli(&["join", &stale.encode(), "--yes", "--wait", "0"]).unwrap();
    assert_ne!(refused.code, 0);
    assert!(refused.stderr.contains("the invite was valid until"), "{}", refused.stderr);
    assert!(refused.stderr.contains("ask for a new one"), "{}", refused.stderr);
    assert!(late.status().unwrap().json["network"].is_null());
    assert_eq!(inviter.status().unwrap().members, 1);
}

#[test]
fn an_unknown_key_is_refused_with_a_clear_error_on_both_sides() {
    let cluster = Cluster::found(1).unwrap();
    let member = &cluster.nodes[0];
    let node_key = member.status().unwrap().json["node_key"].as_str().unwrap().to_owned();
    let address = member.peer_address().unwrap();
    let dial = format!("[[peer.dial]]\naddress = \"{address}\"\nnode_key = \"{node_key}\"\n");
    let stranger = Node::start_with("Stranger", &NodeOptions { more: dial, ..NodeOptions::default() }).unwrap();
    let own_key = stranger.status().unwrap().json["node_key"].as_str().unwrap().to_owned();
    let mut peers = serde_json::Value::Null;
    wait_until(Duration::from_secs(10), || {
        peers = stranger.json(&["peers"])?;
        Ok(peers["peers"][0]["state"] == "refused")
    })
    .unwrap_or_else(|error| panic!("{error}: {peers}"));
    let reason = peers["peers"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("does not know this node's key") && reason.contains(&own_key), "{reason}");
    let log = member.log();
    let line = log.lines().find(|line| line.contains("belongs to no member")).unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains(&own_key), "{line}");
    assert_eq!(member.status().unwrap().links, 0);
}

#[test]
fn a_node_of_another_network_gets_no_link() {
    let (ours, theirs) = (Cluster::found(1).unwrap(), Cluster::found(1).unwrap());
    let address = theirs.nodes[0].peer_address().unwrap();
    let mut invite = InviteCode::decode(&theirs.nodes[0].invite().unwrap()).unwrap();
    assert_eq!(invite.addresses, [address.to_string()]);
    invite.network = load_charter(ours.nodes[0].home()).unwrap().unwrap().network;
    let joiner = Node::start("Joiner").unwrap();
    joiner.ok(&["init", "--name", "Joiner", "--yes"]).unwrap();
    let refused = joiner.cli(&["join", &invite.encode(), "--yes", "--wait", "0"]).unwrap();
    assert_ne!(refused.code, 0);
    assert!(refused.stderr.contains("another network"), "{}", refused.stderr);
    // An organisation that is in a network does not slip into a second one.
    let second = ours.nodes[0].cli(&["join", &theirs.nodes[0].invite().unwrap(), "--yes", "--wait", "0"]).unwrap();
    assert_ne!(second.code, 0, "{second:?}");
}
