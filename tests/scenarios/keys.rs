//! Keys that are stolen, and keys that are lost.

use std::time::{Duration, SystemTime};

use fingerpost_proto::kind::Audience;

use super::Told;
use super::stage::{
    all, done, is_everywhere, is_nowhere, publish, record, refused, seconds, sheet, until, until_equal,
    until_everywhere, until_nowhere,
};
use crate::cluster::{Cluster, ClusterError, Computer, Node, Publisher, service};

pub(super) fn stolen_laptop() -> Told {
    let mut cluster = Cluster::found(3)?;
    let org = cluster.nodes[0].organisation()?;
    // Long before the laptop was stolen, or even listed.
    let ten_days_ago = SystemTime::now() - Duration::from_secs(10 * 24 * 60 * 60);
    let ten_days_ago = ten_days_ago.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64;
    let (backdated, took) = {
        let owner = &cluster.nodes[0];
        let laptop = Computer::new("Laptop", owner)?;
        laptop.be_added(&org, &|arguments| owner.json(arguments), "laptop")?;
        done(&laptop.import(&sheet(&[("drop-in", "Advice drop-in", "Tuesdays")]))?);
        until_everywhere(&all(&cluster.nodes), "Advice drop-in");

        // Stolen. The thief sits at another member's node.
        let thief = Publisher::open(&laptop.home, &cluster.nodes[1])?;
        let backdated = thief.sign_dated(Audience::Public, &service("old", "Backdated lie"), ten_days_ago)?;
        drop(thief);
        let laptop = Computer { home: laptop.home, at: &cluster.nodes[1] };
        done(&laptop.import(&sheet(&[("lie", "Money for your papers", "Ring us")]))?);
        until_everywhere(&all(&cluster.nodes), "Money for your papers");

        // The owner withdraws the lie, keeps what is good, and shuts the laptop out.
        owner.ok(&["withdraw", "service:lie", "--yes"])?;
        let revoked = owner.json(&["revoke", "laptop", "--republish", "--yes"])?;
        assert!(revoked["records_republished"].as_u64() >= Some(1), "{revoked}");
        let took = until_nowhere(&all(&cluster.nodes), "Money for your papers");
        until_everywhere(&all(&cluster.nodes), "Advice drop-in");
        refused(&laptop.import(&sheet(&[("late", "Late lie", "Now")]))?, 4, &["revoked"]);
        (backdated, took)
    };
    // At a third node the thief hands in what bears the old date.
    until_equal(&all(&cluster.nodes));
    let envelope = backdated.envelope().to_vec();
    let answers = hand_in(&cluster.nodes[2], vec![envelope])?;
    assert!(answers.iter().all(|answer| answer != "published"), "{answers:?}");
    for node in &mut cluster.nodes {
        node.terminate()?;
        node.launch()?;
    }
    until_equal(&all(&cluster.nodes));
    let nodes = all(&cluster.nodes);
    assert!(is_everywhere(&nodes, "Advice drop-in")?);
    for lie in ["Money for your papers", "Backdated lie", "Late lie"] {
        assert!(is_nowhere(&nodes, lie)?, "{lie}");
    }
    assert!(nodes.iter().all(|node| node.status().is_ok_and(|status| status.members == 3)));
    Ok(format!("Gone within {}; 3 members as before.", seconds(took)))
}

/// Hands envelopes in at a node as an admin does who has a socket and no scruples; returns the outcomes.
pub(super) fn hand_in(at: &Node, envelopes: Vec<Vec<u8>>) -> Result<Vec<String>, ClusterError> {
    use fingerpost_cli::client::{Admin, NodeClient};
    use fingerpost_proto::v1;
    use fingerpost_proto::v1::publish_result::Outcome;

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let delivery = runtime.block_on(async {
        let client = NodeClient::connect(&at.socket(), at.home()).await.unwrap();
        client.publish(vec![v1::PublishRequest { envelopes }], |_| ()).await
    });
    let word = |result: &v1::PublishResult| match result.outcome() {
        Outcome::Published => "published".to_owned(),
        Outcome::Duplicate => "duplicate".to_owned(),
        _ => result.error.clone(),
    };
    Ok(delivery.results.iter().map(word).collect())
}

pub(super) fn only_the_phrase_is_left() -> Told {
    let cluster = Cluster::found(2)?;
    let office = Node::start("Old Mill")?;
    let made = office.json(&["init", "--name", "Old Mill", "--yes"])?;
    let (org, words) =
        (made["organisation"].as_str().unwrap().to_owned(), made["recovery_phrase"].as_str().unwrap().to_owned());
    office.join(&cluster.nodes[0].invite()?)?;
    publish(&office, &[("kitchen", "Soup kitchen", "Daily at noon"), ("beds", "Night shelter", "From eight")]);
    until_everywhere(&all(&cluster.nodes), "Soup kitchen");
    let kitchen = record(&cluster.nodes[0], "Soup kitchen");
    // It burns down with every computer in it: home, keys and backups are gone.
    drop(office);

    let rescue = Computer::new("Rescue", &cluster.nodes[1])?;
    let wrong = words.replacen(words.split(' ').next().unwrap(), "zebra", 1);
    let recover = ["recover", org.as_str(), "--republish", "--yes", "-o", "json"];
    refused(&rescue.cli_with_input(&recover, &wrong)?, 1, &["recovery words"]);
    let recovered = rescue.cli_with_input(&recover, &words)?;
    done(&recovered);
    let recovered = recovered.json();
    assert_eq!(
        (&recovered["standing"], &recovered["organisation"]),
        (&"member".into(), &org.as_str().into()),
        "{recovered}"
    );
    assert!(recovered["recovery_phrase"] != words.as_str() && recovered["recovery_phrase"].is_string(), "new words");
    let kept = recovered["records_republished"].clone();
    done(&rescue.import(&sheet(&[
        ("kitchen", "Soup kitchen", "In the church hall now"),
        ("beds", "Night shelter", "From eight"),
    ]))?);
    let took = until_everywhere(&all(&cluster.nodes), "In the church hall now");
    assert_eq!(record(&cluster.nodes[0], "Soup kitchen"), kitchen, "readers' links go on");
    assert!(is_everywhere(&all(&cluster.nodes), "Night shelter")?);
    // The old paper is worth nothing to whoever finds it.
    let finder = Computer::new("Finder", &cluster.nodes[0])?;
    until("the new card at the other node", || {
        let tried = finder.cli_with_input(&["recover", &org, "--yes"], &words)?;
        Ok(tried.code == 7 && tried.stderr.contains("used already"))
    });
    Ok(format!("{kept} records kept with their ids; an edit was everywhere within {}.", seconds(took)))
}
