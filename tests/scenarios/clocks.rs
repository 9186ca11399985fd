//! Clocks that are wrong, and time that passes.

use super::Told;
use super::stage::{
    all, done, is_everywhere, is_nowhere, publish, refused, seconds, sheet, until, until_equal, until_everywhere, warns,
};
use crate::cluster::{Cluster, NodeOptions};

const DAY_S: i64 = 24 * 60 * 60;

fn cluster(count: usize) -> Result<Cluster, crate::cluster::ClusterError> {
    Cluster::found_with(&vec![NodeOptions { has_own_clock: true, ..NodeOptions::default() }; count])
}

pub(super) fn a_day_wrong() -> Told {
    let cluster = cluster(3)?;
    let (wrong, nodes) = (&cluster.nodes[1], all(&cluster.nodes));
    publish(wrong, &[("desk", "Front desk", "In good time")]);
    until_everywhere(&nodes, "In good time");
    let tomorrow = sheet(&[("desk", "Front desk", "Signed tomorrow")]);
    for ahead in [DAY_S, -DAY_S] {
        wrong.set_clock_ahead(ahead)?;
        until("its operator is told", || {
            Ok(wrong.status()?.json["clock_ahead_ms"].as_i64().is_some_and(|ahead| ahead.abs() > 120_000)
                && warns(wrong, "clock")?)
        });
        // Nothing is signed by a clock that all others contradict.
        refused(&wrong.import(&tomorrow)?, 7, &["other nodes differ by", "timedatectl"]);
        assert!(is_nowhere(&nodes, "Signed tomorrow")? && is_everywhere(&nodes, "In good time")?);
        // Everybody else goes on meanwhile; where it is yesterday, what was signed today waits.
        publish(&cluster.nodes[2], &[("law", "Law clinic", &format!("While a clock was {ahead} s wrong"))]);
        until_everywhere(&[nodes[0], nodes[2]], &format!("While a clock was {ahead} s wrong"));
    }
    wrong.set_clock_ahead(0)?;
    let took = until("the right clock is noticed", || {
        Ok(wrong.import(&sheet(&[("desk", "Front desk", "Signed today")]))?.code == 0)
    });
    until_everywhere(&nodes, "Signed today");
    until_everywhere(&nodes, &format!("While a clock was {} s wrong", -DAY_S));
    until_equal(&nodes);
    Ok(format!("Refused in both directions; published {} after the clock was set.", seconds(took)))
}

pub(super) fn nobody_confirms() -> Told {
    let mut cluster = cluster(3)?;
    let publisher = &cluster.nodes[0];
    let file = publisher.home().join("short.csv");
    let csv = sheet(&[("fair", "Summer fair", "For a week"), ("old", "Summer school", "For a week")]);
    std::fs::write(&file, csv).unwrap();
    publisher.ok(&["import", &file.display().to_string(), "--lease-days", "7"])?;
    publish(&cluster.nodes[1], &[("law", "Law clinic", "For half a year")]);
    for text in ["Summer fair", "Law clinic"] {
        until_everywhere(&all(&cluster.nodes), text);
    }
    // Eight days pass; one node sleeps through them.
    cluster.nodes[2].terminate()?;
    for node in &cluster.nodes {
        node.set_clock_ahead(8 * DAY_S)?;
    }
    cluster.nodes[2].launch()?;
    let nodes = all(&cluster.nodes);
    let feed_has = |text: &str| -> Result<usize, crate::cluster::ClusterError> {
        nodes.iter().try_fold(0, |count, node| Ok(count + usize::from(node.feed("/services")?.text().contains(text))))
    };
    let took = until("the record is in no feed", || Ok(feed_has("Summer fair")? == 0));
    assert_eq!(feed_has("Law clinic")?, 3, "what lives longer stays");
    let due = nodes[0].json(&["list", "--mine", "--due", "0"])?;
    assert!(due.to_string().contains("lapsed"), "{due}");
    assert!(warns(nodes[0], "lapsed")? || nodes[0].cli(&["status"])?.stdout.contains("lapsed"), "the operator is told");
    // A person who says that it is still true brings it back, everywhere; what nobody names stays away.
    until("clocks agree again", || Ok(nodes[0].cli(&["confirm", "service:fair", "--yes"])?.code == 0));
    until_everywhere(&nodes, "Summer fair");
    assert_eq!(feed_has("Summer school")?, 0);
    done(&nodes[0].cli(&["status"])?);
    Ok(format!("Out of 3 feeds {} after the hour.", seconds(took)))
}
