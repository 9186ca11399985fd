//! What is published on one node reaches all.

use std::time::Duration;

use fingerpost_tests::cluster::{Cluster, Publisher, service, wait_until};

#[test]
fn a_record_published_on_one_node_is_in_every_nodes_feed_within_a_second() {
    let cluster = Cluster::found(3).unwrap();
    let mut publisher = Publisher::open(&cluster.nodes[1], &cluster.nodes[1]).unwrap();
    let body = service("advice", "Advice drop-in");
    let record = publisher.publish(&[body]).unwrap()[0].version.header().record;
    wait_until(Duration::from_secs(1), || {
        let mut pages = cluster.nodes.iter().map(|node| node.feed(&format!("/services/{record}")));
        pages.try_fold(true, |all, page| Ok(all && page?.status == 200))
    })
    .unwrap();
}
