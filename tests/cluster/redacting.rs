//! A secret that was published by mistake vanishes from every node, and the office sees who has confirmed.

use std::path::PathBuf;
use std::time::Duration;

use fingerpost_tests::cluster::{Cluster, ClusterError, Node, Publisher, files_holding, service, wait_until};
use serde_json::Value;

/// Receipts of four nodes are signed and here within it, on a busy machine, too.
const RECEIPTS_WAIT: Duration = Duration::from_secs(60);
const SECRET: &str = "Blackthorn Cottage 17 Mill Lane";

fn redactions(node: &Node) -> Result<Vec<Value>, ClusterError> {
    Ok(node.json(&["receipts"])?["redactions"].as_array().cloned().unwrap_or_default())
}

/// Waits until so many nodes have confirmed the only redaction, and returns it.
fn wait_for_receipts(node: &Node, wanted: u64) -> Value {
    let mut last = Value::Null;
    let waited = wait_until(RECEIPTS_WAIT, || {
        last = redactions(node)?.first().cloned().unwrap_or_default();
        Ok(last["confirmed"] == wanted)
    });
    waited.unwrap_or_else(|error| panic!("{error}: {last:#}"));
    last
}

fn names(redaction: &Value, is_confirmed: bool) -> Vec<&str> {
    let nodes = redaction["nodes"].as_array().unwrap().iter().filter(|node| node["confirmed"] == is_confirmed);
    let mut names: Vec<&str> = nodes.map(|node| node["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    names
}

#[test]
fn a_redacted_record_is_confirmed_by_all_but_the_node_that_is_away_and_by_that_one_once_it_is_back_and_no_file_holds_it()
 {
    let mut cluster = Cluster::found(4).unwrap();
    let mut publisher = Publisher::open(&cluster.nodes[0], &cluster.nodes[0]).unwrap();
    let record = publisher.publish(&[service("refuge", SECRET)]).unwrap()[0].version.header().record.to_string();
    drop(publisher);
    cluster.wait_until_equal(Duration::from_secs(20)).unwrap();
    assert_eq!(cluster.nodes[3].terminate().unwrap().code(), Some(0));

    let office = &cluster.nodes[0];
    let asked = office.cli(&["redact", "service:refuge"]).unwrap();
    assert_eq!(asked.code, 2, "without --urgent it is asked for: {}", asked.stderr);
    assert!(asked.stderr.contains("every node erases the old text at once") && asked.stderr.contains("--urgent"));
    assert_eq!(redactions(office).unwrap(), Vec::<Value>::new());
    let redacted = office.json(&["redact", "service:refuge", "--urgent"]).unwrap();
    assert_eq!(redacted["record"], record.as_str());

    let redaction = wait_for_receipts(office, 3);
    assert_eq!((&redaction["record"], &redaction["of"]), (&Value::from(record.as_str()), &Value::from(4)));
    assert_eq!(names(&redaction, true), ["Node 0", "Node 1", "Node 2"]);
    assert_eq!(names(&redaction, false), ["Node 3"]);
    let told = office.ok(&["receipts", "service:refuge"]).unwrap();
    assert!(told.stdout.contains("3 of 4 nodes of 4 organisations"), "{}", told.stdout);
    assert!(told.stderr.contains("cannot be called back"), "{}", told.stderr);
    for node in &cluster.nodes[..3] {
        assert_eq!(node.feed(&format!("/services/{record}")).unwrap().status, 410, "{}", node.name());
        let search = node.feed("/directory?q=Blackthorn").unwrap();
        assert!(!String::from_utf8_lossy(&search.body).contains("Mill Lane"), "{}", node.name());
    }

    cluster.nodes[3].launch().unwrap();
    let redaction = wait_for_receipts(&cluster.nodes[0], 4);
    assert_eq!(names(&redaction, false), [""; 0]);
    // Ends by itself, for all have confirmed.
    cluster.nodes[0].ok(&["receipts", &record[..8], "--watch"]).unwrap();
    // A restart builds the node from what a clean stop left, and confirms nothing else.
    for node in &mut cluster.nodes {
        assert_eq!(node.terminate().unwrap().code(), Some(0));
        assert_eq!(files_holding(node.home(), SECRET).unwrap(), Vec::<PathBuf>::new(), "{}", node.name());
    }
    cluster.nodes[0].launch().unwrap();
    assert_eq!(redactions(&cluster.nodes[0]).unwrap()[0]["confirmed"], 4);
}

#[test]
fn a_redacted_field_goes_with_its_translations_and_the_rest_of_the_record_stays() {
    let cluster = Cluster::found(1).unwrap();
    let office = &cluster.nodes[0];
    let mut body = service("drop-in", "Drop-in");
    if let fingerpost_proto::record::Body::Service(service) = &mut body {
        service.description = SECRET.into();
        service.translations = vec![fingerpost_proto::v1::Translation {
            language: "fa".into(),
            texts: vec![
                fingerpost_proto::v1::FieldText { field: "description".into(), text: format!("fa {SECRET}") },
                fingerpost_proto::v1::FieldText { field: "name".into(), text: "fa Drop-in".into() },
            ],
        }];
    }
    Publisher::open(office, office).unwrap().publish(&[body]).unwrap();
    let unknown = office.cli(&["redact", "drop-in", "--field", "adress", "--urgent"]).unwrap();
    assert_eq!(unknown.code, 2, "{}", unknown.stderr);
    assert!(unknown.stderr.contains("its fields:") && unknown.stderr.contains("description"), "{}", unknown.stderr);
    let needed = office.cli(&["redact", "drop-in", "--field", "name", "--urgent"]).unwrap();
    assert_eq!(needed.code, 1, "{}", needed.stderr);
    assert!(needed.stderr.contains("not valid without name"), "{}", needed.stderr);
    office.ok(&["redact", "drop-in", "--field", "description", "--urgent"]).unwrap();
    wait_for_receipts(office, 1);
    let shown = office.json(&["show", "drop-in"]).unwrap();
    let body = &shown["versions"][0]["body"];
    assert_eq!((&body["name"], &body["description"]), (&Value::from("Drop-in"), &Value::Null));
    assert!(body.to_string().contains("fa Drop-in") && !body.to_string().contains(SECRET), "{body:#}");
    assert_eq!(files_holding(office.home(), SECRET).unwrap(), Vec::<PathBuf>::new());
}
