//! The change lists: order, removals, the last page.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use fingerpost_proto::kind::Kind;
use fingerpost_proto::v1;
use serde_json::Value;

use super::{BASE, feed_of, get, get_json};
use crate::feed::limits::{CHANGE_NUMBER_MAX, RPDE_ITEMS_PER_PAGE, RPDE_PAGE_BODY_BYTES_MAX};
use crate::feed::memory::{MemoryDirectory, id, rich_directory, rich_location};

/// Follows `next` to the end: all items in order, and the URL of the last page.
async fn walk(feed: &Router, path: &str) -> (Vec<Value>, String) {
    let mut url = path.to_owned();
    let mut items = Vec::new();
    for _ in 0..1_000 {
        let got = get(feed, &url).await;
        assert_eq!(got.status, StatusCode::OK);
        assert!(!got.text().contains("afterChangeNumber=0\""));
        let page = got.json();
        let next = page["next"].as_str().unwrap().strip_prefix(BASE).unwrap().to_owned();
        assert!(page["license"].as_str().unwrap().starts_with("https://"));
        let new = page["items"].as_array().unwrap();
        if new.is_empty() {
            assert_eq!(next, url, "the last page names itself");
            assert_eq!(got.header("cache-control"), "public, max-age=8");
            return (items, url);
        }
        assert_eq!(got.header("cache-control"), "public, max-age=3600");
        assert!(new.len() <= RPDE_ITEMS_PER_PAGE);
        items.extend(new.iter().cloned());
        url = next;
    }
    panic!("the list never ends");
}

fn bare(name: &str) -> v1::Service {
    v1::Service { name: name.into(), ..Default::default() }
}

#[tokio::test]
async fn a_walk_lists_every_record_once_in_the_order_of_change() {
    let directory = Arc::new(MemoryDirectory::default());
    for number in 0..2 * RPDE_ITEMS_PER_PAGE + 1 {
        directory.publish(Kind::SERVICE, &number.to_string(), &bare("x"));
    }
    let feed = feed_of(&directory);
    let (items, last) = walk(&feed, "/rpde/services").await;
    assert_eq!(items.len(), 2 * RPDE_ITEMS_PER_PAGE + 1);
    let numbers: Vec<u64> = items.iter().map(|item| item["modified"].as_u64().unwrap()).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b));
    let first = get_json(&feed, "/rpde/services").await;
    assert_eq!(first["items"].as_array().unwrap().len(), RPDE_ITEMS_PER_PAGE);
    // A reader at the end sees exactly what changes afterwards.
    directory.publish(Kind::SERVICE, "3", &bare("changed"));
    directory.withdraw(id(Kind::SERVICE, "4"));
    let (news, _) = walk(&feed, &last).await;
    assert_eq!(news.len(), 2);
    assert_eq!((&news[0]["state"], &news[0]["data"]["name"]), (&"updated".into(), &"changed".into()));
    assert_eq!(news[1]["state"], "deleted");
    assert!(news[1].get("data").is_none());
    let (all, _) = walk(&feed, "/rpde/services").await;
    let states: BTreeMap<&str, &str> =
        all.iter().map(|item| (item["id"].as_str().unwrap(), item["state"].as_str().unwrap())).collect();
    assert_eq!(states.len(), all.len(), "each id once");
    assert_eq!(states[id(Kind::SERVICE, "4").to_string().as_str()], "deleted");
}

#[tokio::test]
async fn an_empty_list_and_the_largest_number_are_last_pages() {
    let empty = feed_of(&Arc::new(MemoryDirectory::default()));
    let (items, last) = walk(&empty, "/rpde/events").await;
    assert!(items.is_empty());
    assert_eq!(last, "/rpde/events");
    let feed = feed_of(&Arc::new(rich_directory()));
    for list in ["services", "events", "organizations", "locations"] {
        let (items, _) = walk(&feed, &format!("/rpde/{list}?afterChangeNumber={CHANGE_NUMBER_MAX}")).await;
        assert!(items.is_empty());
    }
    let zero = get_json(&feed, "/rpde/services?afterChangeNumber=0").await;
    assert_eq!(zero, get_json(&feed, "/rpde/services").await);
    for bad in [(CHANGE_NUMBER_MAX + 1).to_string(), "-1".into(), "x".into()] {
        let got = get(&feed, &format!("/rpde/services?afterChangeNumber={bad}")).await;
        assert_eq!(got.status, StatusCode::BAD_REQUEST, "{bad}");
    }
}

#[tokio::test]
async fn an_item_does_not_change_when_a_record_that_it_names_does() {
    let directory = Arc::new(rich_directory());
    let feed = feed_of(&directory);
    let before = get_json(&feed, "/rpde/services").await;
    let event_before = get_json(&feed, "/rpde/events").await;
    let mut moved = rich_location();
    moved.name = "Another hall".into();
    directory.publish(Kind::LOCATION, "hall", &moved);
    directory.withdraw(id(Kind::ORGANISATION, "forum"));
    assert_eq!(get_json(&feed, "/rpde/services").await, before);
    assert_eq!(get_json(&feed, "/rpde/events").await, event_before);
    let data = &before["items"][0]["data"];
    assert_eq!(data["service_at_locations"][0]["location_id"], id(Kind::LOCATION, "hall").to_string());
    assert_eq!(data["x_fingerpost"]["translations"]["ar"]["name"], "استقبال مفتوح");
    let places = get_json(&feed, "/rpde/locations").await;
    assert_eq!(places["items"][0]["data"]["name"], "Another hall");
    let organisations = get_json(&feed, "/rpde/organizations").await;
    assert_eq!(organisations["items"][0]["state"], "deleted");
}

#[tokio::test]
async fn an_event_item_is_a_schema_org_event_with_offsets() {
    let feed = feed_of(&Arc::new(rich_directory()));
    let page = get_json(&feed, "/rpde/events").await;
    let data = &page["items"][0]["data"];
    assert_eq!(data["@type"], "Event");
    assert_eq!(data["startDate"], "2026-03-03T18:00:00+00:00");
    assert_eq!(data["eventSchedule"]["repeatFrequency"], "P1W");
    assert_eq!(data["eventSchedule"]["byDay"][0], "https://schema.org/Tuesday");
    assert_eq!(data["eventAttendanceMode"], "https://schema.org/MixedEventAttendanceMode");
}

#[tokio::test]
async fn a_page_of_large_bodies_ends_early_and_loses_nothing() {
    let directory = Arc::new(MemoryDirectory::default());
    let large = v1::Service { name: "x".into(), description: "y".repeat(60_000), ..Default::default() };
    let fitting = RPDE_PAGE_BODY_BYTES_MAX / prost::Message::encoded_len(&large);
    for number in 0..=fitting {
        directory.publish(Kind::SERVICE, &number.to_string(), &large);
    }
    let feed = feed_of(&directory);
    let first = get_json(&feed, "/rpde/services").await;
    assert_eq!(first["items"].as_array().unwrap().len(), fitting);
    assert_eq!(walk(&feed, "/rpde/services").await.0.len(), fitting + 1);
}
