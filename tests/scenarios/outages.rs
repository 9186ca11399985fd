//! Power cuts, routers that let nobody in, and networks in two halves.

use super::Told;
use super::stage::{all, done, is_everywhere, publish, seconds, sheet, until, until_equal, until_everywhere};
use crate::cluster::{Cluster, Computer, Listen, NodeOptions};

pub(super) fn half_are_killed() -> Told {
    let mut cluster = Cluster::found(4)?;
    let mut published = Vec::new();
    for round in 0..6 {
        let rows: Vec<(String, String)> =
            (0..20).map(|n| (format!("s{n}"), format!("Service {n} of round {round} at {}", round % 2))).collect();
        let rows: Vec<(&str, &str, &str)> =
            rows.iter().map(|(id, name)| (id.as_str(), name.as_str(), "Come in")).collect();
        // Two of four have no power: the next round's publisher and a bystander, right after this one was told "published".
        let (at, other) = (round % 2, 1 - round % 2);
        done(&cluster.nodes[at].import(&sheet(&rows))?);
        published.push((at, rows.last().map(|row| row.1.to_owned()).unwrap_or_default()));
        for down in [at, 2 + round % 2] {
            cluster.nodes[down].kill_nine();
        }
        // One comes back while the other half goes on publishing.
        let more = [("during", format!("Published by {other} while {at} was down, round {round}"))];
        let more: Vec<(&str, &str, &str)> = more.iter().map(|(id, name)| (*id, name.as_str(), "Now")).collect();
        let current = sheet(&more);
        done(&cluster.nodes[other].import(&current)?);
        published.push((other, more[0].1.to_owned()));
        for down in [at, 2 + round % 2] {
            cluster.nodes[down].launch()?;
        }
    }
    let took = until_equal(&all(&cluster.nodes));
    let nodes = all(&cluster.nodes);
    // Of each record the last that was said to be published is at every node.
    let last = |needle: &str| published.iter().rev().find(|(_, name)| name.contains(needle)).unwrap().1.clone();
    for text in [last("of round 4"), last("of round 5"), last("Published by 0"), last("Published by 1")] {
        assert!(is_everywhere(&nodes, &text)?, "{text}");
    }
    for node in &nodes {
        let status = node.status()?;
        assert_eq!((status.sets[0].live, status.members), (2 * (1 + 20 + 1), 4), "{}", node.name());
    }
    Ok(format!("12 kills, 132 signed versions, equal {} after the last start.", seconds(took)))
}

pub(super) fn behind_nat() -> Told {
    let nat = NodeOptions { peer: Listen::Off, ..NodeOptions::default() };
    let mut cluster = Cluster::found_with(&[NodeOptions::default(), nat.clone(), nat])?;
    for hidden in [1, 2] {
        assert_eq!(cluster.nodes[hidden].status()?.json["peer_address"], "");
    }
    publish(&cluster.nodes[1], &[("one", "From behind one router", "Hello")]);
    publish(&cluster.nodes[2], &[("two", "From behind another", "Hello")]);
    let took = until_everywhere(&all(&cluster.nodes), "From behind one router");
    until_everywhere(&all(&cluster.nodes), "From behind another");
    // The node in between is away for a while; both find it again by themselves.
    cluster.nodes[0].kill_nine();
    publish(&cluster.nodes[1], &[("one", "From behind one router, later", "Hello")]);
    cluster.nodes[0].launch()?;
    let again = until_everywhere(&all(&cluster.nodes), "From behind one router, later");
    until_equal(&all(&cluster.nodes));
    Ok(format!("There within {}; again {} after the one in between came back.", seconds(took), seconds(again)))
}

pub(super) fn halves_apart() -> Told {
    let mut cluster = Cluster::found(4)?;
    let org = cluster.nodes[0].organisation()?;
    let both = [("desk", "Front desk", "Before the cut"), ("phone", "Telephone line", "Before the cut")];
    let desk = {
        let owner = &cluster.nodes[0];
        let desk = Computer::new("Second computer", &cluster.nodes[3])?;
        desk.be_added(&org, &|arguments| owner.json(arguments), "second")?;
        publish(owner, &both);
        until_everywhere(&all(&cluster.nodes), "Before the cut");
        until("the far node knows the second computer", || {
            Ok(desk.json(&["device", "list"])?.to_string().contains("second"))
        });
        until_equal(&all(&cluster.nodes));
        desk.home
    };
    // Neither half sees the other: one is up, then the other. To records it is the same as a cut line.
    for far in [2, 3] {
        cluster.nodes[far].terminate()?;
    }
    publish(
        &cluster.nodes[0],
        &[("desk", "Front desk", "Edited in the west"), ("phone", "Telephone line", "Edited in the west")],
    );
    until_everywhere(&[&cluster.nodes[0], &cluster.nodes[1]], "Edited in the west");
    for near in [0, 1] {
        cluster.nodes[near].terminate()?;
    }
    for far in [2, 3] {
        cluster.nodes[far].launch()?;
    }
    let second = Computer { home: desk, at: &cluster.nodes[3] };
    done(&second.import(&sheet(&[
        ("desk", "Front desk", "Edited in the east"),
        ("phone", "Telephone line", "Before the cut"),
        ("new", "Night bus", "Only known in the east"),
    ]))?);
    until_everywhere(&[&cluster.nodes[2], &cluster.nodes[3]], "Only known in the east");
    drop(second);
    for near in [0, 1] {
        cluster.nodes[near].launch()?;
    }
    let took = until_equal(&all(&cluster.nodes));
    let nodes = all(&cluster.nodes);
    for node in &nodes {
        let shown =
            |id: &str| node.json(&["show", id, "--org", &org]).map(|shown| shown["versions"][0]["body"].to_string());
        assert!(shown("desk")?.contains("Edited in the east"), "the later edit wins: {}", node.name());
        assert!(shown("phone")?.contains("Edited in the west"), "the only edit stays: {}", node.name());
        assert!(shown("new")?.contains("Only known in the east"), "{}", node.name());
    }
    assert!(is_everywhere(&nodes, "Night bus")?);
    let told = nodes.iter().filter(|node| node.log().contains("two people edited one record at once")).count();
    assert!(told > 0, "no node says that two people edited one record");
    Ok(format!("One winner at 4 nodes within {}; {told} of them say that two edited one record.", seconds(took)))
}
