//! What is published on one node reaches all that may have it, and nobody else.

use std::time::Duration;

use fingerpost_proto::kind::Audience;
use fingerpost_tests::cluster::{Cluster, FEED_PAGES, Listen, Node, NodeOptions, Publisher, service, wait_until};

#[test]
fn a_record_published_on_one_node_is_in_every_nodes_feed_within_a_second() {
    let cluster = Cluster::found(4).unwrap();
    let mut publisher = Publisher::open(&cluster.nodes[1], &cluster.nodes[1]).unwrap();
    let body = service("advice", "Advice drop-in");
    let record = publisher.publish(&[body]).unwrap()[0].version.header().record;
    wait_until(Duration::from_secs(1), || {
        let mut pages = cluster.nodes.iter().map(|node| node.feed(&format!("/services/{record}")));
        pages.try_fold(true, |all, page| Ok(all && page?.status == 200))
    })
    .unwrap();
    publisher.withdraw(&[record]).unwrap();
    wait_until(Duration::from_secs(1), || {
        let mut pages = cluster.nodes.iter().map(|node| node.feed(&format!("/services/{record}")));
        pages.try_fold(true, |all, page| Ok(all && page?.status != 200))
    })
    .unwrap();
}

#[test]
fn a_node_behind_nat_that_only_dials_gets_everything_and_its_own_records_get_out() {
    let nat = NodeOptions { peer: Listen::Off, feed: Listen::Off, ..NodeOptions::default() };
    let mut cluster = Cluster::found_with(&[NodeOptions::default(), NodeOptions::default(), nat]).unwrap();
    let (open, hidden) = (&cluster.nodes[1], &cluster.nodes[2]);
    let state = hidden.status().unwrap().json;
    assert_eq!((&state["peer_address"], &state["feed_url"]), (&"".into(), &"".into()));
    Publisher::open(open, open).unwrap().publish(&[service("in", "Comes in")]).unwrap();
    Publisher::open(hidden, hidden).unwrap().publish(&[service("out", "Goes out")]).unwrap();
    cluster.wait_until_equal(Duration::from_secs(5)).unwrap();
    assert_eq!(cluster.nodes[2].status().unwrap().sets[0].live, 2);
    // After a restart it finds its way out again by the members' cards alone.
    cluster.nodes[2].kill_nine();
    Publisher::open(&cluster.nodes[1], &cluster.nodes[1]).unwrap().publish(&[service("more", "More")]).unwrap();
    cluster.nodes[2].launch().unwrap();
    cluster.wait_until_equal(Duration::from_secs(10)).unwrap();
    assert_eq!(cluster.nodes[2].status().unwrap().sets[0].live, 3);
}

#[test]
fn a_hosted_organisation_publishes_through_its_neighbours_node() {
    let cluster = Cluster::found(2).unwrap();
    let neighbour = &cluster.nodes[1];
    let hosted = Node::admin_only("Garden Group").unwrap();
    let socket = neighbour.socket().display().to_string();
    let at_neighbour = |arguments: &[&str]| hosted.ok(&[&["--node", &socket], arguments].concat());
    hosted.ok(&["init", "--name", "Garden Group", "--hosted", "--yes"]).unwrap();
    let invite = cluster.nodes[0].invite().unwrap();
    at_neighbour(&["join", &invite, "--yes", "--wait", "0"]).unwrap();
    let sheet = hosted.home().join("sheet.csv");
    std::fs::write(
        &sheet,
        "kind,id,name,description\norganisation,us,Garden Group,We dig.\nservice,beds,Raised beds,\n",
    )
    .unwrap();
    at_neighbour(&["import", &sheet.display().to_string()]).unwrap();
    cluster.wait_until_equal(Duration::from_secs(5)).unwrap();
    let listed = cluster.nodes[0].json(&["list", "--org", "Garden Group"]).unwrap();
    assert_eq!(listed["records"].as_array().unwrap().len(), 2, "{listed}");
    assert_eq!(cluster.nodes[0].status().unwrap().members, 3);
    // Hosting gives no power to speak for them: the neighbour's own list stays empty.
    assert_eq!(neighbour.json(&["list", "--mine"]).unwrap()["records"].as_array().unwrap().len(), 0);
}

#[test]
fn members_only_records_reach_every_member_and_never_a_feed() {
    let cluster = Cluster::found(3).unwrap();
    let mut publisher = Publisher::open(&cluster.nodes[0], &cluster.nodes[0]).unwrap();
    let hidden = service("hidden", "Hidden refuge");
    let version = publisher.sign(Audience::Members, &hidden).unwrap();
    let record = version.header().record;
    publisher.hand_in(vec![version]).unwrap();
    publisher.publish(&[service("seen", "Seen by all")]).unwrap();
    cluster.wait_until_equal(Duration::from_secs(5)).unwrap();
    for node in &cluster.nodes {
        assert_eq!(node.status().unwrap().sets[1].live, 1, "{} lacks it", node.name());
        let listed = node.json(&["list"]).unwrap().to_string();
        assert!(listed.contains("Hidden refuge"));
        assert!(node.feed("/services").unwrap().text().contains("Seen by all"));
        for page in FEED_PAGES {
            let reply = node.feed(page).unwrap();
            assert!(reply.status < 500, "{page}: {}", reply.status);
            let text = reply.text();
            assert!(
                !text.contains("Hidden refuge") && !text.contains(&record.to_string()),
                "{page} of {}",
                node.name()
            );
        }
        for page in ["/services/", "/directory/", "/records/"] {
            let end = if page == "/records/" { "/signed" } else { "" };
            let reply = node.feed(&format!("{page}{record}{end}")).unwrap();
            assert_eq!(reply.status, 404, "{page}");
            assert!(!reply.text().contains("Hidden refuge"));
        }
    }
}
