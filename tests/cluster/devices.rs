//! Keys that come, go and are stolen: devices on the card, revoking, and the recovery words.

use std::fs;
use std::time::Duration;

use fingerpost_tests::cluster::{Cluster, ClusterError, Computer, Node, wait_until};

/// Time for a card or version to reach every node and take effect.
const EFFECT_WAIT: Duration = Duration::from_secs(10);

fn sheet(local_id: &str) -> String {
    format!("kind,id,name,description\norganisation,us,Us,We help.\nservice,{local_id},Service {local_id},Come in.\n")
}

fn shown(nodes: &[Node], local_id: &str, is_shown: bool) -> Result<bool, ClusterError> {
    let name = format!("Service {local_id}");
    nodes.iter().try_fold(true, |all, node| Ok(all && node.feed("/services")?.text().contains(&name) == is_shown))
}

fn wait_until_shown(nodes: &[Node], local_id: &str, is_shown: bool) {
    let waited = wait_until(EFFECT_WAIT, || shown(nodes, local_id, is_shown));
    assert!(waited.is_ok(), "{local_id} everywhere: {is_shown}, {waited:?}");
}

#[test]
fn a_device_added_on_a_second_computer_publishes_and_one_that_is_removed_leaves_what_it_signed() {
    let cluster = Cluster::found(2).unwrap();
    let owner = &cluster.nodes[0];
    let org = owner.organisation().unwrap();
    let second = Computer::new("Front desk", owner).unwrap();
    let unknown = second.import(&sheet("early")).unwrap();
    assert_eq!(unknown.code, 4, "no organisation in this home: {unknown:?}");
    let request = second.json(&["device", "request", &org, "--yes"]).unwrap();
    let early = second.import(&sheet("early")).unwrap();
    assert_eq!(early.code, 4, "not on the card: {early:?}");
    assert!(early.stderr.contains("device request"), "{early:?}");

    let code = request["code"].as_str().unwrap();
    let asked = owner.cli(&["device", "add", code]).unwrap();
    assert_eq!(asked.code, 2, "nobody can be asked: {asked:?}");
    let words: Vec<&str> =
        request["check_words"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    assert!(asked.stdout.contains(&words.join(" · ")), "the same words: {asked:?}");
    let foreign = cluster.nodes[1].cli(&["device", "add", code, "--yes"]).unwrap();
    assert_eq!(foreign.code, 1, "for another organisation: {foreign:?}");
    let added = owner.json(&["device", "add", code, "--label", "front desk", "--yes"]).unwrap();
    assert_eq!(added["card"], 1, "{added}");
    assert_eq!(owner.cli(&["device", "add", code, "--yes"]).unwrap().code, 5, "twice");

    let published = second.import(&sheet("desk")).unwrap();
    assert_eq!(published.code, 0, "{published:?}");
    wait_until_shown(&cluster.nodes, "desk", true);
    let listed = second.json(&["device", "list"]).unwrap();
    assert!(listed["devices"].as_array().unwrap().iter().any(|device| device["this_computer"] == true), "{listed}");
    let refused = second.cli(&["device", "add", code, "--yes"]).unwrap();
    assert_eq!(refused.code, 4, "no root key there: {refused:?}");

    owner.ok(&["device", "remove", "front desk", "--yes"]).unwrap();
    let ended = second.import(&sheet("after")).unwrap();
    assert_eq!(ended.code, 4, "{ended:?}");
    assert!(ended.stderr.contains("ended on"), "{ended:?}");
    cluster.wait_until_equal(EFFECT_WAIT).unwrap();
    assert!(shown(&cluster.nodes, "desk", true).unwrap(), "what it signed stays");
    assert!(shown(&cluster.nodes, "after", false).unwrap());
}

#[test]
fn what_a_revoked_device_signed_leaves_every_node_and_republishing_keeps_it_under_another() {
    let mut cluster = Cluster::found(3).unwrap();
    let (first, second) = {
        let owner = &cluster.nodes[0];
        let (org, with_root) = (owner.organisation().unwrap(), |arguments: &[&str]| owner.json(arguments));
        let (one, two) = (Computer::new("One", owner).unwrap(), Computer::new("Two", owner).unwrap());
        let keys = (one.be_added(&org, &with_root, "one").unwrap(), two.be_added(&org, &with_root, "two").unwrap());
        assert_eq!(one.import(&sheet("one")).unwrap().code, 0);
        assert_eq!(two.import(&sheet("two")).unwrap().code, 0);
        wait_until_shown(&cluster.nodes, "one", true);
        wait_until_shown(&cluster.nodes, "two", true);
        keys
    };
    // A node that is off while the devices are revoked hears of it when it comes back.
    cluster.nodes[2].terminate().unwrap();
    let owner = &cluster.nodes[0];
    let asked = owner.cli(&["revoke", &first]).unwrap();
    assert_eq!(asked.code, 2, "nobody can be asked: {asked:?}");
    assert!(asked.stderr.contains("let 2 records of yours leave"), "told before asked: {asked:?}");
    let itself = owner.cli(&["revoke", "admin", "--yes"]).unwrap();
    assert_eq!(itself.code, 7, "{itself:?}");
    let revoked = owner.json(&["revoke", &first, "--yes"]).unwrap();
    assert_eq!((&revoked["records_left"], &revoked["records_republished"]), (&2.into(), &0.into()), "{revoked}");
    wait_until_shown(&cluster.nodes[..2], "one", false);
    let revoked = owner.json(&["revoke", &second, "--republish", "--yes"]).unwrap();
    assert_eq!((&revoked["records_left"], &revoked["records_republished"]), (&0.into(), &1.into()), "{revoked}");
    wait_until_shown(&cluster.nodes[..2], "two", true);
    let listed = owner.json(&["device", "list"]).unwrap();
    let own = listed["devices"].as_array().unwrap().iter().find(|device| device["this_computer"] == true).unwrap();
    let record = owner.json(&["show", "service:two"]).unwrap();
    assert_eq!(record["versions"][0]["device"], own["key"], "{record}");
    cluster.nodes[2].launch().unwrap();
    cluster.wait_until_equal(EFFECT_WAIT).unwrap();
    wait_until_shown(&cluster.nodes, "one", false);
    wait_until_shown(&cluster.nodes, "two", true);
    assert_eq!(cluster.nodes[1].status().unwrap().members, 3, "its organisation is a member as before");
    // What left is gone from disk as well.
    cluster.nodes[1].kill_nine();
    cluster.nodes[1].launch().unwrap();
    cluster.wait_until_equal(EFFECT_WAIT).unwrap();
    assert!(shown(&cluster.nodes, "one", false).unwrap() && shown(&cluster.nodes, "two", true).unwrap());
}

#[test]
fn of_a_revoked_device_what_had_come_by_a_trusted_head_stays_and_what_came_later_goes() {
    let cluster = Cluster::found(2).unwrap();
    let owner = &cluster.nodes[0];
    let (org, with_root) = (owner.organisation().unwrap(), |arguments: &[&str]| owner.json(arguments));
    let stolen = Computer::new("Stolen", owner).unwrap();
    let key = stolen.be_added(&org, &with_root, "stolen").unwrap();
    assert_eq!(stolen.import(&sheet("good")).unwrap().code, 0);
    wait_until_shown(&cluster.nodes, "good", true);
    let mut head = serde_json::Value::Null;
    let covers_it = || {
        head = owner.json(&["heads"])?["heads"].get(0).cloned().unwrap_or_default();
        Ok(head["records"] == 2)
    };
    wait_until(EFFECT_WAIT, covers_it).unwrap();
    assert_eq!((&head["audience"], &head["comparable"]), (&"public".into(), &true.into()), "{head}");
    let name = head["head"].as_str().unwrap();
    assert_eq!(stolen.import(&sheet("trap")).unwrap().code, 0);
    wait_until_shown(&cluster.nodes, "trap", true);

    let unknown = owner.cli(&["revoke", &key, "--republish", "--last-good", "00000000", "--yes"]).unwrap();
    assert_eq!(unknown.code, 2, "{unknown:?}");
    assert!(unknown.stderr.contains("no head") && unknown.stderr.contains("fingerpost heads"), "{unknown:?}");
    let alone = owner.cli(&["revoke", &key, "--last-good", name, "--yes"]).unwrap();
    assert_eq!(alone.code, 2, "only with --republish: {alone:?}");

    let revoked = owner.json(&["revoke", &key, "--republish", "--last-good", &name[..8], "--yes"]).unwrap();
    assert_eq!((&revoked["records_left"], &revoked["records_republished"]), (&1.into(), &2.into()), "{revoked}");
    wait_until_shown(&cluster.nodes, "trap", false);
    wait_until_shown(&cluster.nodes, "good", true);
}

/// Copies what a thief takes: keys and cards.
fn steal(from: &Node, to: &Node) {
    for name in ["org.card", "org.cards", "network.charter", "keys/root.key", "keys/device.key"] {
        let (source, target) = (from.home().join(name), to.home().join(name));
        if source.exists() {
            use std::os::unix::fs::DirBuilderExt;
            let folder = target.parent().unwrap();
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).unwrap();
            fs::copy(source, target).unwrap();
        }
    }
}

#[test]
fn the_recovery_words_take_over_and_the_thief_of_every_other_key_loses_everywhere() {
    let cluster = Cluster::found(2).unwrap();
    let owner = Node::start("Robbed").unwrap();
    let made = owner.json(&["init", "--name", "Robbed", "--yes"]).unwrap();
    let (org, words) = (made["organisation"].as_str().unwrap(), made["recovery_phrase"].as_str().unwrap());
    owner.join(&cluster.nodes[0].invite().unwrap()).unwrap();
    assert_eq!(owner.import(&sheet("ours")).unwrap().code, 0);
    wait_until_shown(&cluster.nodes, "ours", true);

    // The thief has every key, lists a device, and puts the owner's off the card.
    let (first, thief) =
        (Computer::new("Stolen", &cluster.nodes[1]).unwrap(), Computer::new("Thief", &cluster.nodes[1]).unwrap());
    steal(&owner, &first.home);
    let with_root = |arguments: &[&str]| first.json(arguments);
    thief.be_added(org, &with_root, "thief").unwrap();
    let folder = thief.home.home().join("keys/root.key");
    fs::copy(owner.home().join("keys/root.key"), folder).unwrap();
    thief.json(&["revoke", "admin", "--republish", "--yes"]).unwrap();
    assert_eq!(thief.import(&sheet("theirs")).unwrap().code, 0);
    wait_until_shown(&cluster.nodes, "theirs", true);
    let robbed = owner.import(&sheet("more")).unwrap();
    assert_eq!(robbed.code, 4, "{robbed:?}");
    assert!(robbed.stderr.contains("was revoked") && robbed.stderr.contains("fingerpost recover"), "{robbed:?}");

    // With nothing but the paper, on another computer.
    let rescue = Computer::new("Rescue", &owner).unwrap();
    let socket = owner.socket().display().to_string();
    let recover = |words: &str| {
        let arguments = ["--node", &socket, "recover", org, "--yes", "-o", "json"];
        rescue.home.cli_with_input(&arguments, words).unwrap()
    };
    let wrong = recover(&words.replacen(words.split(' ').next().unwrap(), "zebra", 1));
    assert_eq!(wrong.code, 1, "{wrong:?}");
    let recovered = recover(words);
    assert_eq!(recovered.code, 0, "{recovered:?}");
    assert!(!recovered.stderr.contains(words));
    let recovered = recovered.json();
    assert_eq!(recovered["standing"], "member", "{recovered}");
    assert_ne!(recovered["recovery_phrase"], words);
    wait_until_shown(&cluster.nodes, "theirs", false);
    wait_until_shown(&cluster.nodes, "ours", false);
    assert_eq!(rescue.import(&sheet("saved")).unwrap().code, 0);
    wait_until_shown(&cluster.nodes, "saved", true);

    // Whatever the thief signs now, with whatever key, counts nowhere.
    let late = thief.import(&sheet("late")).unwrap();
    assert_eq!(late.code, 4, "{late:?}");
    let request =
        Computer::new("Fence", &cluster.nodes[1]).unwrap().json(&["device", "request", org, "--yes"]).unwrap();
    let listing = first.cli(&["device", "add", request["code"].as_str().unwrap(), "--yes"]).unwrap();
    assert_eq!(listing.code, 4, "the root key counts no more: {listing:?}");
    let again = rescue.home.cli_with_input(&["--node", &socket, "recover", "--yes"], words).unwrap();
    assert_eq!(again.code, 0, "done already, for the keys in this home: {again:?}");
    fingerpost_tests::cluster::wait_until_equal(&[&cluster.nodes[0], &cluster.nodes[1], &owner], EFFECT_WAIT).unwrap();
    assert!(shown(&cluster.nodes, "saved", true).unwrap() && shown(&cluster.nodes, "late", false).unwrap());
}
