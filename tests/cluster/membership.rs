//! Who is in: vouches, objections, leaving, and one node's own block.

use std::time::Duration;

use fingerpost_tests::cluster::{Cluster, ClusterError, Node, Publisher, service, wait_until};
use serde_json::Value;

/// Time for a statement to reach every node and take effect.
const EFFECT_WAIT: Duration = Duration::from_secs(10);

fn name(node: &Node) -> String {
    node.json(&["id"]).unwrap()["name"].as_str().unwrap().to_owned()
}

/// Publishes one service of a node's organisation and waits until every node shows it. Returns its record id.
fn published(cluster: &Cluster, at: usize, local_id: &str) -> String {
    let node = &cluster.nodes[at];
    let body = service(local_id, local_id);
    let acknowledged = Publisher::open(node, node).unwrap().publish(&[body]).unwrap();
    let record = acknowledged[0].version.header().record.to_string();
    wait_until(EFFECT_WAIT, || everywhere(cluster, &record, 200)).unwrap();
    record
}

fn everywhere(cluster: &Cluster, record: &str, status: u16) -> Result<bool, ClusterError> {
    cluster.nodes.iter().try_fold(true, |all, node| Ok(all && shows(node, record, status)?))
}

fn shows(node: &Node, record: &str, status: u16) -> Result<bool, ClusterError> {
    Ok(node.feed(&format!("/services/{record}"))?.status == status)
}

/// State of a record in the node's change list, with its change number.
fn change(node: &Node, record: &str) -> Option<(String, u64)> {
    let page: Value = serde_json::from_str(&node.feed("/rpde/services").unwrap().text()).unwrap();
    let item = page["items"].as_array().unwrap().iter().find(|item| item["id"] == record)?.clone();
    Some((item["state"].as_str().unwrap().to_owned(), item["modified"].as_u64().unwrap()))
}

fn standing(node: &Node, org: &str) -> String {
    node.json(&["why", org]).unwrap()["standing"].as_str().unwrap().to_owned()
}

#[test]
fn a_founder_to_whom_enough_object_is_put_out_and_the_network_goes_on() {
    let cluster = Cluster::found(4).unwrap();
    let (founder, others) = cluster.nodes.split_first().unwrap();
    let (of_founder, of_other) = (published(&cluster, 0, "founders"), published(&cluster, 1, "others"));
    let before = change(&others[2], &of_founder).unwrap();
    let org = founder.organisation().unwrap();

    let unsaid = others[0].cli(&["object", &org, "--yes"]).unwrap();
    assert_eq!(unsaid.code, 2, "a reason is required: {unsaid:?}");
    let asked = others[0].cli(&["object", &org, "--reason", "sells the list"]).unwrap();
    assert_eq!(asked.code, 2, "nobody can be asked: {asked:?}");
    assert!(asked.stdout.contains("1 of 2 with yours") && asked.stdout.contains("1 more objection"), "{asked:?}");
    let first = others[0].json(&["object", &org, "--reason", "sells the list", "--yes"]).unwrap();
    assert_eq!((&first["standing"], &first["objections"]), (&"member".into(), &1.into()));
    let second = others[1].json(&["object", &name(founder), "--reason", "so they do", "--yes"]).unwrap();
    assert_eq!(second["standing"], "participant", "{second}");

    wait_until(EFFECT_WAIT, || everywhere(&cluster, &of_founder, 410)).unwrap();
    let after = change(&others[2], &of_founder).unwrap();
    assert_eq!(after.0, "deleted");
    assert!(after.1 > before.1, "readers of the change list are told: {before:?} {after:?}");
    let why = others[2].json(&["why", &org]).unwrap();
    assert_eq!(why["objections"].as_array().unwrap().len(), 2, "{why}");
    assert!(why["objections"].to_string().contains("sells the list"), "{why}");
    assert!(why["missing"].to_string().contains("1 objection to be taken back"), "{why}");
    // What it publishes now is refused, by the rules and not for its data.
    let refused = founder.import("kind,id,name,description\norganisation,us,Us,We help.\n").unwrap();
    assert_eq!(refused.code, 7, "{refused:?}");

    assert!(everywhere(&cluster, &of_other, 200).unwrap());
    let fifth = Node::start("Fifth").unwrap();
    fifth.ok(&["init", "--name", "Fifth", "--yes"]).unwrap();
    fifth.join(&others[0].invite().unwrap()).unwrap();
    Publisher::open(&fifth, &fifth).unwrap().publish(&[service("new", "New")]).unwrap();
    wait_until(EFFECT_WAIT, || Ok(others[2].feed("/services")?.text().contains("New: come in"))).unwrap();
    let members = others[2].feed("/members").unwrap().text();
    assert!(
        members.contains(&fifth.organisation().unwrap()) && !members.contains(&format!("\"{org}\",\"name\"")),
        "{members}"
    );

    // One objection less, and it is back; others still have nothing of it until it publishes again.
    others[1].ok(&["object", &org, "--withdraw"]).unwrap();
    assert_eq!(standing(&others[1], &org), "member");
}

#[test]
fn an_organisation_joins_by_vouches_alone() {
    let cluster = Cluster::found(2).unwrap();
    let hosted = Node::admin_only("Garden Group").unwrap();
    let socket = cluster.nodes[1].socket().display().to_string();
    let at_neighbour = |arguments: &[&str]| hosted.json(&[&["--node", &socket], arguments].concat());
    hosted.ok(&["--node", &socket, "init", "--name", "Garden Group", "--hosted", "--yes"]).unwrap();
    let accepted = at_neighbour(&["join", "--yes"]).unwrap();
    assert_eq!((&accepted["standing"], &accepted["vouches_missing"]), (&"stranger".into(), &1.into()), "{accepted}");
    let org = accepted["organisation"].as_str().unwrap();

    let short = cluster.nodes[0].cli(&["vouch", &org[..12]]).unwrap();
    assert_eq!(short.code, 2, "nobody here knows it yet: {short:?}");
    assert!(short.stderr.contains("whole id"), "{short:?}");
    cluster.nodes[0].ok(&["vouch", org, "--reason", "we dig with them"]).unwrap();
    wait_until(EFFECT_WAIT, || Ok(cluster.nodes.iter().all(|node| standing(node, org) == "member"))).unwrap();
    let why = cluster.nodes[1].json(&["why", "Garden Group"]).unwrap();
    assert_eq!(why["vouches"][0]["reason"], "we dig with them", "{why}");

    let sheet = hosted.home().join("sheet.csv");
    std::fs::write(
        &sheet,
        "kind,id,name,description\norganisation,us,Garden Group,We dig.\nservice,beds,Raised beds,\n",
    )
    .unwrap();
    at_neighbour(&["import", &sheet.display().to_string()]).unwrap();
    wait_until(EFFECT_WAIT, || Ok(cluster.nodes[0].feed("/services")?.text().contains("Raised beds"))).unwrap();

    let back = cluster.nodes[0].json(&["vouch", &org[..8], "--withdraw", "--yes"]).unwrap();
    assert_eq!((&back["standing_before"], &back["standing"]), (&"member".into(), &"stranger".into()), "{back}");
    wait_until(EFFECT_WAIT, || Ok(!cluster.nodes[1].feed("/services")?.text().contains("Raised beds"))).unwrap();
}

#[test]
fn an_inviters_next_command_turns_its_invite_into_a_vouch_that_it_can_take_back() {
    let cluster = Cluster::found(2).unwrap();
    let org = cluster.nodes[1].organisation().unwrap();
    let invited = |why: &Value| why["vouches"][0]["by_invitation"].clone();
    assert_eq!(invited(&cluster.nodes[1].json(&["why", &org]).unwrap()), true);
    cluster.nodes[0].ok(&["members"]).unwrap();
    assert_eq!(invited(&cluster.nodes[0].json(&["why", &org]).unwrap()), false);
    cluster.nodes[0].ok(&["vouch", &org, "--withdraw", "--yes"]).unwrap();
    assert_eq!(standing(&cluster.nodes[0], &org), "claimant");
    // What was taken back once is not vouched for again by itself.
    cluster.nodes[0].ok(&["members"]).unwrap();
    assert_eq!(standing(&cluster.nodes[0], &org), "claimant");
}

#[test]
fn who_leaves_is_gone_everywhere_and_may_come_back() {
    let cluster = Cluster::found(3).unwrap();
    let leaver = &cluster.nodes[2];
    let (org, record) = (leaver.organisation().unwrap(), published(&cluster, 2, "closing"));
    assert_eq!(leaver.cli(&["leave"]).unwrap().code, 2, "nobody can be asked");
    let left = leaver.json(&["leave", "--reason", "we close", "--yes"]).unwrap();
    assert_eq!(left["records"], 1, "{left}");
    wait_until(EFFECT_WAIT, || everywhere(&cluster, &record, 410)).unwrap();
    wait_until(EFFECT_WAIT, || Ok(cluster.nodes[0].status()?.members == 2)).unwrap();
    assert_eq!(change(&cluster.nodes[1], &record).unwrap().0, "deleted");
    let members = cluster.nodes[1].ok(&["members"]).unwrap().stdout;
    assert!(members.lines().any(|line| line.contains(&org[..16]) && line.contains("left")), "{members}");
    assert_eq!(leaver.cli(&["leave", "--yes"]).unwrap().code, 1, "once is enough");

    let socket = cluster.nodes[1].socket().display().to_string();
    let back = leaver.json(&["--node", &socket, "join", "--yes"]).unwrap();
    assert_eq!(back["standing"], "member", "the old vouch still counts: {back}");
    wait_until(EFFECT_WAIT, || Ok(cluster.nodes[0].status()?.members == 3)).unwrap();
}

#[test]
fn a_block_hides_at_one_node_what_all_others_show_and_changes_no_set() {
    let mut cluster = Cluster::found(3).unwrap();
    let record = published(&cluster, 2, "hidden");
    let (org, other) = (cluster.nodes[2].organisation().unwrap(), published(&cluster, 1, "seen"));
    assert_eq!(cluster.nodes[0].cli(&["block", &cluster.nodes[0].organisation().unwrap(), "--yes"]).unwrap().code, 7);
    let first = change(&cluster.nodes[0], &record).unwrap();
    let blocked = cluster.nodes[0].json(&["block", &org[..10], "--yes"]).unwrap();
    assert_eq!(blocked["changed"], true, "{blocked}");
    let (blocker, bystander) = (&cluster.nodes[0], &cluster.nodes[1]);
    assert!(shows(blocker, &record, 410).unwrap() && shows(blocker, &other, 200).unwrap());
    assert!(shows(bystander, &record, 200).unwrap());
    assert!(!blocker.feed("/directory").unwrap().text().contains("hidden"));
    let gone = change(blocker, &record).unwrap();
    assert!(gone.0 == "deleted" && gone.1 > first.1, "{gone:?}");
    assert!(!blocker.json(&["why", &org]).unwrap()["blocked_here"].is_null());
    assert!(bystander.json(&["why", &org]).unwrap()["blocked_here"].is_null());
    assert_eq!(standing(blocker, &org), "member", "its standing is the network's");
    wait_until(EFFECT_WAIT, || {
        let peers = blocker.json(&["peers"])?;
        let mut linked = peers["peers"].as_array().into_iter().flatten().filter(|peer| peer["state"] == "linked");
        Ok(linked.all(|peer| peer["organisation"] != org.as_str()))
    })
    .unwrap();

    // What it publishes from now on is carried, over the bystander, and shown as little.
    let node = &cluster.nodes[2];
    let more = Publisher::open(node, node).unwrap().publish(&[service("more", "More")]).unwrap();
    let more = more[0].version.header().record.to_string();
    cluster.wait_until_equal(EFFECT_WAIT).unwrap();
    assert!(!shows(&cluster.nodes[0], &more, 200).unwrap() && shows(&cluster.nodes[1], &more, 200).unwrap());

    // It outlasts a crash and a clean stop.
    cluster.nodes[0].kill_nine();
    cluster.nodes[0].launch().unwrap();
    assert!(shows(&cluster.nodes[0], &record, 410).unwrap());
    cluster.nodes[0].terminate().unwrap();
    cluster.nodes[0].launch().unwrap();
    assert!(shows(&cluster.nodes[0], &record, 410).unwrap() && shows(&cluster.nodes[0], &other, 200).unwrap());
    assert_eq!(change(&cluster.nodes[0], &record).unwrap().0, "deleted");

    cluster.nodes[0].ok(&["block", &org, "--lift"]).unwrap();
    assert!(shows(&cluster.nodes[0], &record, 200).unwrap() && shows(&cluster.nodes[0], &more, 200).unwrap());
    let again = change(&cluster.nodes[0], &record).unwrap();
    assert!(again.0 == "updated" && again.1 > gone.1, "{again:?}");
    cluster.wait_until_equal(EFFECT_WAIT).unwrap();
}
