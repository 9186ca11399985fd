//! Groups without a computer of their own, and what becomes of their hosts.

use super::Told;
use super::stage::{all, done, is_everywhere, record, refused, seconds, sheet, until, until_everywhere};
use crate::cluster::{Cluster, ClusterError, Node, copy_home, restore_folder};

pub(super) fn hosted_group_moves() -> Told {
    let mut cluster = Cluster::found(3)?;
    let (group, _) = Node::guest("Garden Group", &cluster.nodes[0])?;
    let services: Vec<(String, String)> = (0..11).map(|n| (format!("bed{n}"), format!("Raised bed {n}"))).collect();
    let rows: Vec<(&str, &str, &str)> =
        services.iter().map(|(id, name)| (id.as_str(), name.as_str(), "Come and dig")).collect();
    done(&group.import(&sheet(&rows))?);
    until_everywhere(&all(&cluster.nodes), "Raised bed 10");
    let ids = |at: &Node| services.iter().map(|(_, name)| record(at, name)).collect::<Vec<_>>();
    let before = ids(&cluster.nodes[1]);
    let org = group.organisation()?;
    // The host is gone, with its disk.
    drop(cluster.nodes.remove(0));
    refused(&group.cli(&["list"])?, 3, &["fingerpost move CODE"]);
    let begin = std::time::Instant::now();
    let moved = group.json(&["move", &cluster.nodes[0].host_code()?, "--yes"])?;
    let mut changed = rows.clone();
    changed[10].2 = "Come and dig on Fridays";
    done(&group.import(&sheet(&changed))?);
    until_everywhere(&all(&cluster.nodes), "Come and dig on Fridays");
    let took = begin.elapsed();
    for node in &cluster.nodes {
        assert_eq!(ids(node), before, "{}", node.name());
    }
    assert_eq!((group.organisation()?, ids(&group)), (org, before));
    Ok(format!("{} records, published anew within {}.", moved["records"], seconds(took)))
}

pub(super) fn host_goes_back() -> Told {
    let mut cluster = Cluster::found(2)?;
    let (group, _) = Node::guest("Garden Group", &cluster.nodes[0])?;
    done(&group.import(&sheet(&[("beds", "Raised beds", "Behind the church")]))?);
    until_everywhere(&all(&cluster.nodes), "Behind the church");
    let (store, backup) = (cluster.nodes[0].home().join("store"), cluster.nodes[0].home().join("backup"));
    cluster.nodes[0].terminate()?;
    copy_home(&store, &backup)?;
    cluster.nodes[0].launch()?;
    done(
        &group
            .import(&sheet(&[("beds", "Raised beds", "Moved to Mill Lane"), ("seeds", "Seed swap", "Bring some")]))?,
    );
    until_everywhere(&all(&cluster.nodes), "Moved to Mill Lane");
    // The host's operator puts last month's disk in while the other node is off: nobody else could heal it.
    for node in &mut cluster.nodes {
        node.terminate()?;
    }
    restore_folder(&backup, &store)?;
    cluster.nodes[0].launch()?;
    assert!(is_everywhere(&[&cluster.nodes[0]], "Behind the church")?, "the old disk is in");
    let begin = std::time::Instant::now();
    refused(
        &group.cli(&["status"])?,
        1,
        &["Raised beds (service:beds) as of", "did not list Seed swap", "fingerpost move CODE"],
    );
    until_everywhere(&[&cluster.nodes[0]], "Moved to Mill Lane");
    let took = begin.elapsed();
    done(&group.cli(&["status"])?);

    // Then it stops carrying: the group goes to the other, and nobody's reader notices.
    cluster.nodes[1].launch()?;
    let (host, other) = (&cluster.nodes[0], &cluster.nodes[1]);
    host.ok(&["host", "stop", "Garden Group", "--yes"])?;
    refused(&group.cli(&["list"])?, 7, &["fingerpost move CODE"]);
    let shown = || -> Result<bool, ClusterError> { is_everywhere(&[host, other], "Moved to Mill Lane") };
    until("both nodes show the group", shown);
    group.ok(&["move", &other.host_code()?, "--yes"])?;
    done(&group.import(&sheet(&[("beds", "Raised beds", "Mill Lane again"), ("seeds", "Seed swap", "Bring some")]))?);
    until_everywhere(&all(&cluster.nodes), "Mill Lane again");
    assert!(is_everywhere(&all(&cluster.nodes), "Seed swap")?);
    Ok(format!("Named by record, and mended within {}.", seconds(took)))
}
