//! Old disks, lost disks, and a relay that plays an old one.

use std::fs;

use fingerpost_cli::client::{Admin, NodeClient};
use fingerpost_proto::kind::Kind;
use fingerpost_proto::v1;

use super::Told;
use super::keys::hand_in;
use super::stage::{
    all, is_everywhere, is_nowhere, member, publish, record, refused, seconds, sheet, until, until_equal,
    until_everywhere, until_nowhere, warns,
};
use crate::cluster::{Cluster, ClusterError, Listen, Node, NodeOptions, copy_home, restore_folder};

const DAY_S: i64 = 24 * 60 * 60;

pub(super) fn yesterdays_disk_twice() -> Told {
    let mut cluster = Cluster::found(3)?;
    publish(&cluster.nodes[0], &[("desk", "Front desk", "Yesterday"), ("phone", "Telephone line", "Yesterday")]);
    until_everywhere(&all(&cluster.nodes), "Telephone line");
    cluster.nodes[0].terminate()?;
    // Yesterday's backup, before today's edit.
    let mut second = Node::prepare("Second machine", &NodeOptions::default())?;
    copy_home(cluster.nodes[0].home(), second.home())?;
    cluster.nodes[0].launch()?;
    publish(
        &cluster.nodes[0],
        &[("desk", "Front desk", "Edited on the first"), ("phone", "Telephone line", "Yesterday")],
    );
    second.launch()?;
    let edit = sheet(&[("desk", "Front desk", "Yesterday"), ("phone", "Telephone line", "Edited on the second")]);
    let begin = std::time::Instant::now();
    // It takes nothing before it has compared with another node; a person tries again.
    until("the second machine publishes", || {
        let tried = second.import(&edit)?;
        assert!(tried.code == 0 || tried.code == 7 || tried.stderr.contains("restored"), "{tried:?}");
        Ok(tried.code == 0)
    });
    let published = begin.elapsed();
    for at in [0, 1] {
        publish(
            if at == 0 { &cluster.nodes[0] } else { &second },
            &[("desk", "Front desk", &format!("Last word {at}")), ("phone", "Telephone line", "Edited on the second")],
        );
    }
    let (first, others) = cluster.nodes.split_first().unwrap();
    let nodes = [first, &second, &others[0], &others[1]];
    let told = until("both operators are told", || {
        let words = "another copy of this node is at work";
        Ok(warns(first, words)? && warns(&second, words)?)
    });
    until_equal(&nodes);
    let winner = if is_everywhere(&nodes, "Last word 0")? { "Last word 0" } else { "Last word 1" };
    assert!(is_everywhere(&nodes, winner)? && is_everywhere(&nodes, "Edited on the second")?);
    let cards = first.json(&["device", "list"])?;
    assert_eq!(cards["forks"], serde_json::json!([]), "{cards}");
    assert!(nodes.iter().all(|node| node.status().is_ok_and(|status| status.members == 3)));
    Ok(format!("The second took records after {}; both were told within {}.", seconds(published), seconds(told)))
}

/// The newest heads of an organisation that a node holds, as envelopes.
fn heads(at: &Node, org: &str) -> Result<Vec<Vec<u8>>, ClusterError> {
    let bytes = (0..32).map(|byte| u8::from_str_radix(&org[2 * byte..2 * byte + 2], 16).unwrap()).collect();
    let request = v1::ListRequest { organisation: bytes, kind: Kind::HEAD.0.into(), ..Default::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let entries = runtime.block_on(async {
        let client = NodeClient::connect(&at.socket(), at.home()).await.unwrap();
        client.entries(request).await.unwrap()
    });
    Ok(entries.into_iter().map(|entry| entry.envelope).collect())
}

pub(super) fn relay_serves_last_week() -> Told {
    // The owner and the reader's node only dial; the relay is between them.
    let clock = NodeOptions { has_own_clock: true, ..NodeOptions::default() };
    let dials = NodeOptions { peer: Listen::Off, ..clock.clone() };
    let mut cluster = Cluster::found_with(&[clock.clone(), dials.clone(), dials, clock])?;
    let week = |cluster: &Cluster, seconds| cluster.nodes.iter().try_for_each(|node| node.set_clock_ahead(seconds));
    let org = cluster.nodes[1].organisation()?;
    publish(
        &cluster.nodes[1],
        &[("desk", "Front desk", "As of last week"), ("gone", "Closed since", "As of last week")],
    );
    until_everywhere(&all(&cluster.nodes), "As of last week");
    until("last week's head is everywhere", || {
        cluster.nodes.iter().try_fold(true, |all, node| Ok(all && member(node, &org)?["complete_as_of"].is_string()))
    });
    let (relay, backup) = (cluster.nodes[0].home().to_owned(), cluster.nodes[0].home().with_extension("last-week"));
    for node in &mut cluster.nodes {
        node.terminate()?;
    }
    copy_home(&relay, &backup)?;

    // A week later the owner edits and withdraws while only the honest fourth node listens.
    week(&cluster, 7 * DAY_S)?;
    cluster.nodes[3].launch()?;
    cluster.nodes[1].launch()?;
    publish(&cluster.nodes[1], &[("desk", "Front desk", "As of today"), ("gone", "Closed since", "As of last week")]);
    cluster.nodes[1].ok(&["withdraw", "service:gone", "--yes"])?;
    until_nowhere(&[&cluster.nodes[3]], "Closed since");
    until("today's head", || Ok(member(&cluster.nodes[3], &org)?["complete_as_of"].is_string()));
    let mut today = Vec::new();
    until("today's head is signed", || {
        let own = cluster.nodes[1].status()?.sets[0].clone();
        today = heads(&cluster.nodes[3], &org)?;
        Ok(own == cluster.nodes[3].status()?.sets[0] && is_as_of_today(&cluster.nodes[3], &org)?)
    });
    cluster.nodes[1].terminate()?;
    cluster.nodes[3].terminate()?;

    // The relay shows last week to a node that has nobody else: silence is told.
    cluster.nodes[0].launch()?;
    cluster.nodes[2].launch()?;
    until("a link to the relay", || Ok(cluster.nodes[2].status()?.links == 1));
    let victim = &cluster.nodes[2];
    assert!(is_everywhere(&[victim], "As of last week")?);
    let page = victim.ok(&["members"])?.stdout;
    let line = page.lines().find(|line| line.contains(&org[..16])).unwrap_or_default();
    assert!(line.contains("silent for"), "{page}");

    // It lets the newest head through and keeps back what it covers: a lack is told, on the pages, too.
    let answers = hand_in(&cluster.nodes[0], today)?;
    assert!(answers.iter().all(|answer| answer == "published"), "{answers:?}");
    let noticed = until("the lack is noticed", || Ok(member(victim, &org)?["incomplete_since"].is_string()));
    assert!(victim.ok(&["members"])?.stdout.contains("NO, for"), "the list of members says so");
    let told = victim.feed("/members")?.text();
    assert!(told.contains("incomplete_since"), "{told}");

    // An honest node comes back, and with it what is true.
    cluster.nodes[3].launch()?;
    let healed = until("another node heals it", || {
        Ok(is_everywhere(&[&cluster.nodes[2]], "As of today")? && is_nowhere(&[&cluster.nodes[2]], "Closed since")?)
    });
    until("everything is complete again", || Ok(member(&cluster.nodes[2], &org)?["incomplete_since"].is_null()));
    fs::remove_dir_all(backup).map_err(ClusterError::system("the backup"))?;
    Ok(format!("Noticed within {}, healed within {} of the other node's start.", seconds(noticed), seconds(healed)))
}

/// A node has everything of an organisation as of a time that is not last week.
fn is_as_of_today(node: &Node, org: &str) -> Result<bool, ClusterError> {
    let page = node.ok(&["members"])?.stdout;
    let line = page.lines().find(|line| line.contains(&org[..16])).unwrap_or_default().to_owned();
    Ok(line.contains(" ago") && !line.contains("d ago") && !line.contains("day"))
}

pub(super) fn disk_lost() -> Told {
    let mut cluster = Cluster::found(3)?;
    publish(&cluster.nodes[1], &[("desk", "Front desk", "Open daily"), ("court", "Court support", "On request")]);
    publish(&cluster.nodes[2], &[("law", "Law clinic", "On Fridays")]);
    until_everywhere(&all(&cluster.nodes), "Court support");
    until_everywhere(&all(&cluster.nodes), "Law clinic");
    let (org, desk) = (cluster.nodes[1].organisation()?, record(&cluster.nodes[0], "Front desk"));
    // What README.md says to back up, and nothing else.
    let backup = tempfile::tempdir().map_err(ClusterError::system("a folder for the backup"))?;
    let home = cluster.nodes[1].home().to_owned();
    let keep = |from: &std::path::Path, to: &std::path::Path| -> Result<(), ClusterError> {
        for name in ["node.key", "org.card", "org.cards", "network.charter"] {
            if from.join(name).exists() {
                fs::copy(from.join(name), to.join(name)).map_err(ClusterError::system(name))?;
            }
        }
        restore_folder(&from.join("keys"), &to.join("keys"))
    };
    keep(&home, backup.path())?;
    cluster.nodes[1].kill_nine();
    for entry in fs::read_dir(&home).map_err(ClusterError::system("the dead disk"))?.flatten() {
        if entry.file_name() == "fingerpostd.toml" || entry.file_name() == "daemon.log" {
            continue;
        }
        let path = entry.path();
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(ClusterError::system(path.display().to_string()))?;
    }
    // Without the node's own key nobody would talk to it, and it is said before anything is signed.
    keep(backup.path(), &home)?;
    fs::remove_file(home.join("node.key")).map_err(ClusterError::system("node.key"))?;
    cluster.nodes[1].launch()?;
    let invite = cluster.nodes[0].invite()?;
    refused(&cluster.nodes[1].cli(&["join", &invite, "--yes", "--wait", "0"])?, 7, &["node.key from your backup"]);
    cluster.nodes[1].terminate()?;
    keep(backup.path(), &home)?;
    cluster.nodes[1].launch()?;
    let begin = std::time::Instant::now();
    cluster.nodes[1].join(&invite)?;
    until_equal(&all(&cluster.nodes));
    let took = begin.elapsed();
    let nodes = all(&cluster.nodes);
    assert!(is_everywhere(&nodes, "Court support")? && is_everywhere(&nodes, "Law clinic")?);
    assert_eq!((cluster.nodes[1].organisation()?, record(&cluster.nodes[1], "Front desk")), (org, desk));
    publish(
        &cluster.nodes[1],
        &[("desk", "Front desk", "Open again after the crash"), ("court", "Court support", "On request")],
    );
    until_everywhere(&nodes, "Open again after the crash");
    assert!(nodes.iter().all(|node| node.status().is_ok_and(|status| status.members == 3)));
    refused(&cluster.nodes[1].cli(&["init", "--name", "Again", "--yes"])?, 5, &[]);
    Ok(format!("All records were back within {}.", seconds(took)))
}
