//! A read-only mirror as a process: what it serves, what it never gets, and who decides that it may.

use std::time::{Duration, Instant};

use fingerpost_proto::kind::Audience;
use fingerpost_tests::cluster::{Cluster, ClusterError, Node, Publisher, service, wait_until};

/// Time for news to come to a mirror that is linked.
const NEWS_WAIT: Duration = Duration::from_secs(5);
/// Time in which a mirror that waits to be allowed asks again.
const ALLOWED_WAIT: Duration = Duration::from_secs(45);

fn shows(node: &Node, record: &str, status: u16) -> Result<bool, ClusterError> {
    Ok(node.feed(&format!("/services/{record}"))?.status == status)
}

fn hidden(publisher: &mut Publisher, local_id: &str) {
    let version = publisher.sign(Audience::Members, &service(local_id, "Hidden refuge")).unwrap();
    publisher.hand_in(vec![version]).unwrap();
}

#[test]
fn a_mirror_serves_what_is_public_and_its_withdrawal_never_what_is_for_members_and_is_cut_when_forbidden() {
    let mut cluster = Cluster::found(2).unwrap();
    let mut publisher = Publisher::open(&cluster.nodes[0], &cluster.nodes[0]).unwrap();
    hidden(&mut publisher, "before");
    let open = publisher.publish(&[service("open", "Open to all")]).unwrap()[0].version.header().record;
    let code = cluster.nodes[0].json(&["mirror", "code"]).unwrap()["code"].as_str().unwrap().to_owned();
    let (mut mirror, key) = Node::prepare_mirror("Mirror", &[&code]).unwrap();
    mirror.launch().unwrap();
    // Nobody allowed it yet: it is told what to ask for, and gets nothing.
    wait_until(NEWS_WAIT, || Ok(mirror.log_end().contains(&format!("fingerpost mirror allow {key}")))).unwrap();
    assert!(mirror.status().unwrap().json["network"].is_null());
    let allowed = cluster.nodes[0].json(&["mirror", "allow", &key, "--label", "Town website"]).unwrap();
    assert_eq!(allowed["changed"], true, "{allowed}");
    wait_until(ALLOWED_WAIT, || shows(&mirror, &open.to_string(), 200)).unwrap();
    let status = mirror.status().unwrap();
    assert_eq!((&status.json["mirror"], status.members), (&true.into(), 2), "it evaluates members itself");

    // News of both members, and what is for members beside it.
    hidden(&mut publisher, "while linked");
    let more = publisher.publish(&[service("more", "More")]).unwrap()[0].version.header().record;
    let second = &cluster.nodes[1];
    let others = Publisher::open(second, second).unwrap().publish(&[service("others", "Others")]).unwrap();
    let others = others[0].version.header().record;
    let shows_both = || Ok(shows(&mirror, &more.to_string(), 200)? && shows(&mirror, &others.to_string(), 200)?);
    wait_until(NEWS_WAIT, shows_both).unwrap();
    publisher.withdraw(&[open]).unwrap();
    wait_until(NEWS_WAIT, || shows(&mirror, &open.to_string(), 410)).unwrap();

    // Away for a while, it catches up.
    mirror.kill_nine();
    hidden(&mut publisher, "while away");
    let missed = publisher.publish(&[service("missed", "Missed")]).unwrap()[0].version.header().record;
    mirror.launch().unwrap();
    wait_until(NEWS_WAIT * 2, || shows(&mirror, &missed.to_string(), 200)).unwrap();
    let (source, copy) = (cluster.nodes[0].status().unwrap(), mirror.status().unwrap());
    assert_eq!((source.sets[1].live, copy.sets[1].count), (3, 0), "{copy:?}");
    assert_eq!(source.sets[0].fingerprint, copy.sets[0].fingerprint);
    for page in ["/services", "/rpde/services", "/directory?q=Hidden", "/directory"] {
        assert!(!mirror.feed(page).unwrap().text().contains("Hidden refuge"), "{page}");
    }
    assert!(!mirror.json(&["list"]).unwrap().to_string().contains("Hidden refuge"));

    // It takes nothing, joins nothing and lets nobody in.
    let refused = Publisher::open(&cluster.nodes[0], &mirror).unwrap().publish(&[service("no", "No")]);
    assert!(format!("{refused:?}").contains("read-only mirror"), "{refused:?}");
    let refused = mirror.cli(&["mirror", "allow", &key]).unwrap();
    assert!(refused.code == 7 && refused.stderr.contains("read-only mirror"), "{refused:?}");

    // The list outlasts a restart of the source; then its operator forbids the mirror.
    cluster.nodes[0].terminate().unwrap();
    cluster.nodes[0].launch().unwrap();
    let linked = || Ok(cluster.nodes[0].json(&["mirror", "list"])?["mirrors"][0]["linked"] == true);
    wait_until(ALLOWED_WAIT, linked).unwrap();
    cluster.nodes[0].ok(&["mirror", "forbid", "Town website"]).unwrap();
    let begin = Instant::now();
    wait_until(NEWS_WAIT, || Ok(mirror.status()?.links == 0)).unwrap();
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
    let mut publisher = Publisher::open(&cluster.nodes[0], &cluster.nodes[0]).unwrap();
    let later = publisher.publish(&[service("later", "Later")]).unwrap()[0].version.header().record;
    wait_until(NEWS_WAIT, || shows(&cluster.nodes[1], &later.to_string(), 200)).unwrap();
    assert!(shows(&mirror, &later.to_string(), 404).unwrap());
    assert!(shows(&mirror, &more.to_string(), 200).unwrap(), "what it has it goes on serving");
}

#[test]
fn a_members_home_is_not_turned_into_a_mirrors() {
    let cluster = Cluster::found(1).unwrap();
    let node = &cluster.nodes[0];
    let code = node.json(&["mirror", "code"]).unwrap()["code"].as_str().unwrap().to_owned();
    let mut command = node.daemon_command();
    let program = command.get_program().to_owned();
    command = std::process::Command::new(program);
    let refused = command.arg("mirror").arg("--home").arg(node.home()).arg(code).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("a home of its own"), "{said}");
    let own_key = node.status().unwrap().json["node_key"].as_str().unwrap().to_owned();
    let refused = node.cli(&["mirror", "allow", &own_key]).unwrap();
    assert!(refused.code == 7 && refused.stderr.contains("as a member"), "{refused:?}");
    assert_eq!(node.cli(&["mirror", "allow", "nonsense"]).unwrap().code, 2);
    assert_eq!(node.cli(&["mirror", "forbid", "nobody"]).unwrap().code, 2);
}
