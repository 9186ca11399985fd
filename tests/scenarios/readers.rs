//! What must not be read: a redacted refuge, what is for members, and what a website's mirror gets.

use super::Told;
use super::stage::{all, done, is_nowhere, publish, record, seconds, sightings, until, until_equal, until_everywhere};
use crate::cluster::{Cluster, FEED_PAGES, Node, files_holding, short_folder};

const SECRET: &str = "Blackthorn Cottage 17 Mill Lane";

pub(super) fn refuge_redacted() -> Told {
    let mut cluster = Cluster::found(6)?;
    // The sheet lies where the office keeps its sheets, not in a node's home.
    let desk = short_folder()?;
    let sheet = desk.path().join("sheet.csv").display().to_string();
    let rows = format!("kind,id,name,description\norganisation,us,Us,We help.\nservice,refuge,Refuge,{SECRET}\n");
    std::fs::write(&sheet, rows).unwrap();
    cluster.nodes[0].ok(&["import", &sheet])?;
    until_everywhere(&all(&cluster.nodes), SECRET);
    let refuge = record(&cluster.nodes[0], "Refuge");
    for away in [4, 5] {
        cluster.nodes[away].kill_nine();
    }
    let begin = std::time::Instant::now();
    cluster.nodes[0].ok(&["redact", "service:refuge", "--urgent"])?;
    let confirmed = |node: &Node| -> Result<(u64, u64), crate::cluster::ClusterError> {
        let redaction = node.json(&["receipts"])?["redactions"][0].clone();
        Ok((redaction["confirmed"].as_u64().unwrap_or(0), redaction["of"].as_u64().unwrap_or(0)))
    };
    let four = until("the four that are there confirm", || Ok(confirmed(&cluster.nodes[0])? == (4, 6)));
    let told = cluster.nodes[0].ok(&["receipts", "service:refuge"])?.stdout;
    assert!(told.contains("4 of 6") && told.contains("Node 4") && told.contains("not yet"), "{told}");
    let here: Vec<&Node> = cluster.nodes[..4].iter().collect();
    assert!(is_nowhere(&here, "17 Mill Lane")?);
    for away in [4, 5] {
        cluster.nodes[away].launch()?;
    }
    until("all confirm", || Ok(confirmed(&cluster.nodes[0])? == (6, 6)));
    let took = begin.elapsed();
    for node in &cluster.nodes {
        assert!(sightings(node, "17 Mill Lane")?.is_empty());
        assert_eq!(node.feed(&format!("/services/{refuge}"))?.status, 410, "{}", node.name());
        assert_eq!(node.feed(&format!("/records/{refuge}/signed"))?.status, 410, "{}", node.name());
    }
    for node in &mut cluster.nodes {
        node.terminate()?;
        assert_eq!(files_holding(node.home(), "Blackthorn")?, Vec::<std::path::PathBuf>::new(), "{}", node.name());
    }
    Ok(format!("4 of 6 within {}, all after {}.", seconds(four), seconds(took)))
}

pub(super) fn refuge_for_members() -> Told {
    let cluster = Cluster::found(3)?;
    let nodes = all(&cluster.nodes);
    let sheet = "kind,id,audience,name,description,organisation,phone\n\
                 organisation,refuge-org,members,Hidden house,For women.,,\n\
                 service,refuge,members,Hidden refuge line,Day and night.,refuge-org,0115 496 0123\n\
                 organisation,us,public,Us,We help.,,\nservice,open,public,Open house,Come in.,us,\n";
    done(&nodes[0].import(sheet)?);
    let lists = |text: &str| {
        nodes.iter().try_fold(true, |all, node| Ok(all && node.json(&["list"])?.to_string().contains(text)))
    };
    let took = until("every member has it", || lists("Hidden refuge line"));
    until_everywhere(&nodes, "Open house");
    let refuge = record(nodes[0], "Hidden refuge line");
    for node in &nodes {
        let shown = node.json(&["show", &refuge])?.to_string();
        assert!(shown.contains("0115"), "{shown}");
        for text in ["Hidden house", "Hidden refuge line", "0115", refuge.as_str()] {
            for page in FEED_PAGES {
                assert!(!node.feed(page)?.text().contains(text), "{text} on {page} of {}", node.name());
            }
        }
        for page in ["/services/", "/directory/", "/organizations/"] {
            assert_eq!(node.feed(&format!("{page}{refuge}"))?.status, 404, "{page}");
        }
        assert!(!node.log().contains("Hidden") && !node.log().contains("0115"), "the log of {}", node.name());
    }
    let seen = nodes[0].json(&["who-sees", "service:refuge"])?;
    assert_eq!((&seen["anybody"], seen["members"].as_array().map(Vec::len)), (&false.into(), Some(3)), "{seen}");
    nodes[0].ok(&["withdraw", "service:refuge", "--yes"])?;
    until("no member lists it", || {
        Ok(nodes
            .iter()
            .all(|node| node.json(&["list"]).is_ok_and(|list| !list.to_string().contains("Hidden refuge line"))))
    });
    assert_eq!(nodes[1].feed(&format!("/services/{refuge}"))?.status, 404, "not even that it is gone");
    Ok(format!("At 3 members within {}, on none of {} pages.", seconds(took), FEED_PAGES.len()))
}

pub(super) fn website_mirror() -> Told {
    let cluster = Cluster::found(2)?;
    let source = &cluster.nodes[0];
    let sheet = |more: &str| {
        format!(
            "kind,id,audience,name,description\norganisation,us,public,Us,We help.\nservice,open,public,Open house,Come in.\n\
             service,refuge,members,Hidden refuge,Ring us.\n{more}"
        )
    };
    done(&source.import(&sheet(""))?);
    let code = source.json(&["mirror", "code"])?["code"].as_str().unwrap().to_owned();
    let (mut mirror, key) = Node::prepare_mirror("Mirror", &[&code])?;
    mirror.launch()?;
    until("it says what to ask for", || Ok(mirror.log().contains(&format!("fingerpost mirror allow {key}"))));
    assert!(mirror.feed("/services")?.status == 200 && !mirror.feed("/services")?.text().contains("Open house"));
    source.ok(&["mirror", "allow", &key, "--label", "Town website"])?;
    let first =
        until("the mirror shows what is public", || Ok(mirror.feed("/services")?.text().contains("Open house")));
    done(&source.import(&sheet("service,more,public,More for all,Today.\n"))?);
    let news = until("news come", || Ok(mirror.feed("/directory")?.text().contains("More for all")));
    source.ok(&["withdraw", "service:open", "--yes"])?;
    until("withdrawals come", || Ok(!mirror.feed("/services")?.text().contains("Open house")));
    assert!(is_nowhere(&[&mirror], "Hidden refuge")?);
    let status = mirror.status()?;
    assert_eq!((status.sets[1].count, source.status()?.sets[1].live), (0, 1), "{status:?}");
    assert_eq!(status.sets[0].fingerprint, source.status()?.sets[0].fingerprint);

    source.ok(&["mirror", "forbid", "Town website"])?;
    until("its link ends", || Ok(mirror.status()?.links == 0));
    publish(&cluster.nodes[1], &[("later", "Later news", "Tomorrow")]);
    until_everywhere(&all(&cluster.nodes), "Later news");
    until_equal(&all(&cluster.nodes));
    assert!(is_nowhere(&[&mirror], "Later news")?);
    assert!(mirror.feed("/services")?.text().contains("More for all"), "what it has it serves on");
    Ok(format!("Filled within {}, news within {}.", seconds(first), seconds(news)))
}
