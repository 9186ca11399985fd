//! Who is in, who goes, and who came in by theft.

use super::Told;
use super::stage::{
    all, change, is_everywhere, is_nowhere, member, publish, record, refused, seconds, until, until_equal,
    until_everywhere, until_nowhere,
};
use crate::cluster::{Cluster, Node};

fn standing(node: &Node, org: &str) -> Result<String, crate::cluster::ClusterError> {
    Ok(node.json(&["why", org])?["standing"].as_str().unwrap_or_default().to_owned())
}

fn newcomer(name: &str) -> Result<Node, crate::cluster::ClusterError> {
    let node = Node::start(name)?;
    node.ok(&["init", "--name", name, "--yes"])?;
    Ok(node)
}

pub(super) fn founder_disappears() -> Told {
    let mut cluster = Cluster::found(3)?;
    let founder = cluster.nodes[0].organisation()?;
    publish(&cluster.nodes[0], &[("old", "Founders' desk", "Nobody answers any more")]);
    until_everywhere(&all(&cluster.nodes), "Founders' desk");
    // With home and keys, for good.
    drop(cluster.nodes.remove(0));
    let begin = std::time::Instant::now();
    let fourth = newcomer("Fourth")?;
    fourth.join(&cluster.nodes[0].invite()?)?;
    publish(&fourth, &[("new", "New desk", "We take over")]);
    cluster.nodes.push(fourth);
    let nodes = all(&cluster.nodes);
    until_everywhere(&nodes, "New desk");
    let first = nodes[0].json(&["object", &founder, "--reason", "nobody is there any more", "--yes"])?;
    assert_eq!(first["standing"], "member", "one voice is not enough: {first}");
    assert!(is_everywhere(&nodes, "Founders' desk")?);
    nodes[1].json(&["object", &founder, "--reason", "so it is", "--yes"])?;
    until_nowhere(&nodes, "Founders' desk");
    // Whom the newcomer invites is in as well.
    let fifth = newcomer("Fifth")?;
    fifth.join(&nodes[2].invite()?)?;
    cluster.nodes.push(fifth);
    let nodes = all(&cluster.nodes);
    until_equal(&nodes);
    until("four members without the founder", || {
        nodes.iter().try_fold(true, |all, node| Ok(all && node.status()?.members == 4))
    });
    assert!(is_everywhere(&nodes, "New desk")? && is_nowhere(&nodes, "Founders' desk")?);
    Ok(format!("Two newcomers, one put out, 4 members, within {}.", seconds(begin.elapsed())))
}

pub(super) fn member_thrown_out() -> Told {
    let cluster = Cluster::found(4)?;
    let out = &cluster.nodes[3];
    let org = out.organisation()?;
    publish(out, &[("list", "We sell your names", "Call us")]);
    let nodes = all(&cluster.nodes);
    until_everywhere(&nodes, "We sell your names");
    let list = record(nodes[0], "We sell your names");
    nodes[0].ok(&["object", &org, "--reason", "sells the list", "--yes"])?;
    until("one objection is known", || {
        Ok(nodes[1].json(&["why", &org])?["objections"].as_array().map(Vec::len) == Some(1))
    });
    assert!(is_everywhere(&nodes, "We sell your names")?, "one voice puts nobody out");
    nodes[1].ok(&["object", &org, "--reason", "so it does", "--yes"])?;
    let took = until_nowhere(&nodes[..3], "We sell your names");
    for node in &nodes[..3] {
        assert_eq!((change(node, &list)?.as_str(), node.feed(&format!("/services/{list}"))?.status), ("deleted", 410));
        assert!(!node.feed("/members")?.text().contains(&org), "{}", node.name());
        assert_eq!(standing(node, &org)?, "participant");
    }
    // Its own node shows it no longer either, and takes nothing new.
    until_nowhere(&nodes, "We sell your names");
    refused(&out.import("kind,id,name,description\norganisation,us,Us,We help.\n")?, 7, &["not a member"]);
    Ok(format!("Out of 4 feeds and change lists within {}.", seconds(took)))
}

pub(super) fn member_leaves() -> Told {
    let cluster = Cluster::found(3)?;
    let (leaver, org) = (&cluster.nodes[2], cluster.nodes[2].organisation()?);
    publish(leaver, &[("closing", "Closing sale", "Until Friday")]);
    let nodes = all(&cluster.nodes);
    until_everywhere(&nodes, "Closing sale");
    let sale = record(leaver, "Closing sale");
    refused(&leaver.cli(&["leave"])?, 2, &["--yes"]);
    let left = leaver.json(&["leave", "--reason", "we close", "--yes"])?;
    assert_eq!(left["records"], 2, "{left}");
    let took = until_nowhere(&nodes, "Closing sale");
    for node in &nodes {
        assert_eq!(change(node, &sale)?, "deleted", "{}", node.name());
    }
    until("two members", || Ok(nodes[0].status()?.members == 2 && nodes[1].status()?.members == 2));
    assert!(!nodes[1].feed("/members")?.text().contains(&org));
    // The door stays open.
    let socket = nodes[1].socket().display().to_string();
    let back = leaver.json(&["--node", &socket, "join", "--yes"])?;
    assert_eq!(back["standing"], "member", "{back}");
    until("three members", || nodes.iter().try_fold(true, |all, node| Ok(all && node.status()?.members == 3)));
    Ok(format!("Gone within {}.", seconds(took)))
}

pub(super) fn local_block() -> Told {
    let mut cluster = Cluster::found(3)?;
    let org = cluster.nodes[2].organisation()?;
    publish(&cluster.nodes[2], &[("fake", "Doubtful offer", "Pay first")]);
    publish(&cluster.nodes[1], &[("real", "Law clinic", "Free")]);
    until_everywhere(&all(&cluster.nodes), "Doubtful offer");
    until_everywhere(&all(&cluster.nodes), "Law clinic");
    cluster.nodes[0].ok(&["block", &org[..10], "--yes"])?;
    let feed_has = |node: &Node, text: &str| -> Result<bool, crate::cluster::ClusterError> {
        Ok(node.feed("/services")?.text().contains(text) || node.feed("/directory")?.text().contains(text))
    };
    let offer = record(&cluster.nodes[1], "Doubtful offer");
    let holds = |cluster: &Cluster| -> Result<bool, crate::cluster::ClusterError> {
        let [blocker, other, blocked] = &cluster.nodes[..] else { panic!("three nodes") };
        Ok(!feed_has(blocker, "Doubtful offer")?
            && change(blocker, &offer)? == "deleted"
            && feed_has(blocker, "Law clinic")?
            && is_everywhere(&[other, blocked], "Doubtful offer")?
            && standing(blocker, &org)? == "member")
    };
    assert!(holds(&cluster)?);
    // It outlasts power cuts and news.
    cluster.nodes[0].kill_nine();
    publish(
        &cluster.nodes[2],
        &[("fake", "Doubtful offer", "Pay first"), ("more", "Another doubtful offer", "Pay more")],
    );
    cluster.nodes[0].launch()?;
    until_equal(&all(&cluster.nodes));
    assert!(holds(&cluster)? && !feed_has(&cluster.nodes[0], "Another doubtful offer")?);
    assert!(cluster.nodes[0].json(&["why", &org])?["blocked_here"].is_string(), "the operator can see why");
    cluster.nodes[0].ok(&["block", &org, "--lift"])?;
    until_everywhere(&all(&cluster.nodes), "Another doubtful offer");
    let served = all(&cluster.nodes)
        .iter()
        .map(|node| node.status().map(|status| status.sets))
        .collect::<Result<Vec<_>, _>>()?;
    assert!(served.windows(2).all(|pair| pair[0] == pair[1]), "a block changes no set");
    Ok("Sets stayed the same; lifted, everything was back.".to_owned())
}

pub(super) fn invite_stolen() -> Told {
    let cluster = Cluster::found(2)?;
    let inviter = &cluster.nodes[0];
    let invite = inviter.invite()?;
    let thief = newcomer("Northgate Law Center")?;
    thief.join(&invite)?;
    publish(&thief, &[("fake", "Fake law centre", "Bring your papers")]);
    until_everywhere(&all(&cluster.nodes), "Fake law centre");
    // The invited comes second.
    let invited = newcomer("Northgate Law Centre")?;
    refused(&invited.cli(&["join", &invite, "--yes", "--wait", "0"])?, 7, &["invite"]);
    assert!(invited.status()?.json["network"].is_null(), "a failed join leaves no trace");
    // The inviter looks who came, and takes its word back.
    let org = thief.organisation()?;
    assert_eq!(member(inviter, &org)?["name"], "Northgate Law Center");
    let back = inviter.json(&["vouch", &org, "--withdraw", "--yes"])?;
    assert_ne!(back["standing"], "member", "{back}");
    let nodes = all(&cluster.nodes);
    let took = until_nowhere(&nodes, "Fake law centre");
    invited.join(&inviter.invite()?)?;
    publish(&invited, &[("real", "Real law centre", "Free of charge")]);
    until_everywhere(&nodes, "Real law centre");
    until("three members", || nodes.iter().try_fold(true, |all, node| Ok(all && node.status()?.members == 3)));
    assert!(is_nowhere(&nodes, "Fake law centre")?);
    refused(&thief.import("kind,id,name,description\norganisation,us,Us,We help.\n")?, 7, &[]);
    Ok(format!("The thief's records were gone within {}.", seconds(took)))
}
