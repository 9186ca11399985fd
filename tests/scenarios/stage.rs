//! What stories share: sheets, waiting, and looking at every node.

use std::time::Duration;

use serde_json::Value;

use crate::cluster::{ClusterError, FEED_PAGES, Node, Output, wait_until};

/// Longest wait for anything to reach every node, on a machine that tells several stories at once.
const EFFECT_WAIT: Duration = Duration::from_secs(60);

/// Waits until it is so, and returns how long that took. Panics with what was waited for: then the nodes' logs are shown, too.
#[track_caller]
pub(super) fn until(what: &str, is_so: impl FnMut() -> Result<bool, ClusterError>) -> Duration {
    wait_until(EFFECT_WAIT, is_so).unwrap_or_else(|error| panic!("{what}: {error}"))
}

/// A sheet of one organisation and its services: (local id, name, description).
pub(super) fn sheet(services: &[(&str, &str, &str)]) -> String {
    let rows = services.iter().map(|(id, name, description)| format!("service,{id},\"{name}\",\"{description}\"\n"));
    format!("kind,id,name,description\norganisation,us,Us,We help.\n{}", rows.collect::<String>())
}

/// Imports services, all of which must be published.
#[track_caller]
pub(super) fn publish(at: &Node, services: &[(&str, &str, &str)]) {
    done(&at.import(&sheet(services)).unwrap());
}

/// The command did all that was asked.
#[track_caller]
pub(super) fn done(output: &Output) {
    assert_eq!(output.code, 0, "{output:?}");
}

/// The command ended with this code and said these words.
#[track_caller]
pub(super) fn refused(output: &Output, code: i32, words: &[&str]) {
    assert_eq!(output.code, code, "{output:?}");
    for word in words {
        assert!(output.stderr.contains(word) || output.stdout.contains(word), "{word:?} is not in {output:?}");
    }
}

/// Where at a node a text can be read: pages of the feed, and what its admin lists.
pub(super) fn sightings(node: &Node, text: &str) -> Result<Vec<String>, ClusterError> {
    let mut found = Vec::new();
    if node.feed_url().is_some() {
        let search = format!("/directory?q={}", text.split(' ').next().unwrap_or_default());
        for page in FEED_PAGES.iter().copied().chain([search.as_str()]) {
            if node.feed(page)?.text().replace("&#32;", " ").contains(text) {
                found.push(format!("{} {page}", node.name()));
            }
        }
    }
    if node.json(&["list"])?.to_string().contains(text) {
        found.push(format!("{} list", node.name()));
    }
    Ok(found)
}

/// A service in which the text stands is in the pages, change lists and command lines of all these nodes.
pub(super) fn is_everywhere(nodes: &[&Node], text: &str) -> Result<bool, ClusterError> {
    nodes.iter().try_fold(true, |all, node| {
        let page = node.feed("/services?per_page=250")?.json();
        let items = page["contents"].as_array().into_iter().flatten();
        let ids: Vec<&str> =
            items.filter(|item| item.to_string().contains(text)).filter_map(|item| item["id"].as_str()).collect();
        let (changes, listed) = (node.feed("/rpde/services")?.text(), node.json(&["list"])?.to_string());
        Ok(all && !ids.is_empty() && changes.contains(text) && ids.iter().all(|id| listed.contains(id)))
    })
}

/// The text is on no page and in no list of these nodes.
pub(super) fn is_nowhere(nodes: &[&Node], text: &str) -> Result<bool, ClusterError> {
    nodes.iter().try_fold(true, |all, node| Ok(all && sightings(node, text)?.is_empty()))
}

/// Waits until the name of a service is seen at all these nodes.
#[track_caller]
pub(super) fn until_everywhere(nodes: &[&Node], text: &str) -> Duration {
    until(&format!("{text:?} at every node"), || is_everywhere(nodes, text))
}

/// Waits until a text is seen at none of these nodes.
#[track_caller]
pub(super) fn until_nowhere(nodes: &[&Node], text: &str) -> Duration {
    let mut last = Vec::new();
    let waited = wait_until(EFFECT_WAIT, || {
        last.clear();
        for node in nodes {
            last.extend(sightings(node, text)?);
        }
        Ok(last.is_empty())
    });
    waited.unwrap_or_else(|error| panic!("{text:?} at no node: {error}; seen at {last:?}"))
}

/// Waits until the sets of all these nodes are the same.
#[track_caller]
pub(super) fn until_equal(nodes: &[&Node]) -> Duration {
    crate::cluster::wait_until_equal(nodes, EFFECT_WAIT).unwrap_or_else(|error| panic!("{error}"))
}

/// State of a record in a node's change list of services: `updated`, `deleted`, or nothing.
pub(super) fn change(node: &Node, record: &str) -> Result<String, ClusterError> {
    let page = node.feed("/rpde/services")?.json();
    let item = page["items"].as_array().into_iter().flatten().find(|item| item["id"] == record).cloned();
    Ok(item.unwrap_or_default()["state"].as_str().unwrap_or_default().to_owned())
}

/// Record id of a service, by the name that a node lists.
#[track_caller]
pub(super) fn record(node: &Node, name: &str) -> String {
    let list = node.json(&["list"]).unwrap();
    let records = list["records"].as_array().unwrap();
    let found = records.iter().find(|record| record["name"] == name);
    found.unwrap_or_else(|| panic!("{name} is not in {list}"))["record"].as_str().unwrap().to_owned()
}

/// What a node knows of a member; `Null` when it lists none.
pub(super) fn member(node: &Node, org: &str) -> Result<Value, ClusterError> {
    let members = node.json(&["members"])?;
    Ok(members["members"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|member| member["organisation"] == org)
        .cloned()
        .unwrap_or_default())
}

/// Whether `status` warns in these words. `status` ends with 1 when a host lacks something.
pub(super) fn warns(node: &Node, words: &str) -> Result<bool, ClusterError> {
    let warnings = node.status()?.json["warnings"].clone();
    Ok(warnings
        .as_array()
        .into_iter()
        .flatten()
        .any(|warning| warning.as_str().is_some_and(|text| text.contains(words))))
}

/// All of them, for the calls above.
pub(super) fn all(nodes: &[Node]) -> Vec<&Node> {
    nodes.iter().collect()
}

/// `1.2 s`.
pub(super) fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
