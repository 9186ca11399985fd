//! The HTML pages: escaping, languages, search, structured data.

use std::sync::Arc;

use axum::http::StatusCode;
use fingerpost_proto::kind::Kind;
use fingerpost_proto::v1;
use serde_json::Value;

use super::{feed_of, get, send};
use crate::feed::limits::HTML_ENTRIES_PER_PAGE;
use crate::feed::memory::{
    HOSTILE, MemoryDirectory, id, rich_directory, rich_event, rich_location, rich_organisation, rich_service, weekly,
};

/// The JSON-LD of a page, as a browser would find it.
fn structured(html: &str) -> Value {
    let (_, rest) = html.split_once(r#"<script type="application/ld+json">"#).unwrap();
    let (json, _) = rest.split_once("</script>").unwrap();
    serde_json::from_str(json).unwrap()
}

#[tokio::test]
async fn a_service_page_shows_what_a_person_needs() {
    let feed = feed_of(&Arc::new(rich_directory()));
    let got = get(&feed, &format!("/directory/{}", id(Kind::SERVICE, "drop-in"))).await;
    let html = got.text();
    assert_eq!(got.status, StatusCode::OK);
    for wanted in [
        "<h1 lang=\"en\" dir=\"ltr\">Drop-in</h1>",
        "href=\"tel:+441632960018\"",
        "href=\"mailto:drop-in@harbour.example\"",
        "Closed on public holidays",
        "1 Quay Street, First floor, Harbourton",
        "<th scope=\"row\">Friday</th>",
        "14:00 to 16:00",
        "Last confirmed 1 March 2026",
        "Published by <bdi>Harbour Refugee Forum</bdi>",
        "Tigrinya: on Mondays",
        "every month on the second Tuesday",
        "href=\"?lang=ar\"",
        "href=\"#main\"",
    ] {
        assert!(html.contains(wanted), "{wanted} is missing in {html}");
    }
    let policy = got.header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && !policy.contains("script-src"), "{policy}");
    assert_eq!(got.header("referrer-policy"), "no-referrer");
    assert!(!html.contains("src="), "nothing is loaded from elsewhere");
    assert_eq!(structured(&html)["@type"], "Service");
    assert_eq!(structured(&html)["provider"]["name"], "Harbour Refugee Forum");
}

#[tokio::test]
async fn texts_carry_their_own_language_and_direction() {
    let feed = feed_of(&Arc::new(rich_directory()));
    let path = format!("/directory/{}", id(Kind::SERVICE, "drop-in"));
    let got = send(&feed, axum::http::Method::GET, &path, &[("accept-language", "ar")]).await;
    let html = got.text();
    assert!(html.contains("<h1 lang=\"ar\" dir=\"rtl\">استقبال مفتوح</h1>"));
    assert!(html.contains("lang=\"en\" dir=\"ltr\">Closed on public holidays"));
    assert_eq!(got.header("content-language"), "ar, en");
    let list = get(&feed, "/directory?kind=event&lang=fa").await.text();
    assert!(list.contains("<h2 lang=\"fa-AF\" dir=\"rtl\">"), "{list}");
}

#[tokio::test]
async fn an_event_page_carries_a_complete_event_for_search_engines() {
    let directory = Arc::new(rich_directory());
    let feed = feed_of(&directory);
    let path = format!("/directory/{}", id(Kind::EVENT, "class"));
    let html = get(&feed, &path).await.text();
    let data = structured(&html);
    assert_eq!(data["@type"], "Event");
    assert_eq!(data["name"], "English class");
    assert_eq!(data["startDate"], "2026-03-03T18:00:00+00:00");
    assert_eq!(data["location"][0]["address"]["streetAddress"], "1 Quay Street, First floor");
    assert_eq!(data["location"][1]["@type"], "VirtualLocation");
    assert_eq!(data["organizer"]["name"], "Harbour Refugee Forum");
    assert_eq!(data["offers"][0]["price"], "2");
    for wanted in [
        "Tuesday 3 March 2026, 18:00",
        "Repeats every week on Tuesday",
        "moved to Tuesday 10 March 2026, 19:00",
        "Quay Hall",
    ] {
        assert!(html.contains(wanted), "{wanted}: {html}");
    }
    directory.publish(Kind::EVENT, "class", &v1::Event { status: v1::EventStatus::Cancelled.into(), ..rich_event() });
    let html = get(&feed, &path).await.text();
    assert!(html.contains("dir=\"ltr\">Cancelled</p>"));
    assert_eq!(structured(&html)["eventStatus"], "https://schema.org/EventCancelled");
    assert!(get(&feed, "/directory?kind=event").await.text().contains("<p class=\"warn\">Cancelled</p>"));
}

#[tokio::test]
async fn hostile_texts_never_become_markup() {
    let directory = Arc::new(rich_directory());
    let mut service = rich_service();
    let mut event = rich_event();
    let mut organisation = rich_organisation();
    let mut location = rich_location();
    for field in [
        &mut service.name,
        &mut service.description,
        &mut service.alert,
        &mut service.phones[0].number,
        &mut service.contacts[0].name,
        &mut service.schedules[0].rrule,
        &mut service.languages[0].tag,
        &mut service.language,
        &mut service.required_documents[0],
        &mut service.service_areas[0].name,
        &mut service.translations[0].language,
        &mut event.name,
        &mut event.description,
        &mut event.timezone,
        &mut event.location_text,
        &mut event.rrule,
        &mut event.terms[0].label,
        &mut event.occurrences[0].note,
        &mut event.costs[0].option,
        &mut organisation.name,
        &mut organisation.description,
        &mut organisation.contacts[0].title,
        &mut location.name,
        &mut location.addresses[0].line_1,
        &mut location.transportation,
        &mut location.areas[0].name,
    ] {
        *field = HOSTILE.to_owned();
    }
    service.phones[0].description = HOSTILE.to_owned();
    service.schedules[1].opens_at = HOSTILE.to_owned();
    for link in [
        &mut service.url,
        &mut service.source_url,
        &mut event.url,
        &mut event.join_url,
        &mut event.booking_url,
        &mut event.image_url,
        &mut organisation.website,
        &mut location.url,
        &mut location.map_url,
    ] {
        *link = "javascript:alert(document.domain)".to_owned();
    }
    service.email = "a@b.example?bcc=x\"><script>".into();
    directory.publish(Kind::SERVICE, "drop-in", &service);
    directory.publish(Kind::EVENT, "class", &event);
    directory.publish(Kind::ORGANISATION, "forum", &organisation);
    directory.publish(Kind::LOCATION, "hall", &location);
    let feed = feed_of(&directory);
    let mut paths: Vec<String> =
        ["service", "event", "organisation", "location"].map(|kind| format!("/directory?kind={kind}")).to_vec();
    paths.push(format!("/directory?q={}", "%22%3E%3Cscript%3Ealert(1)%3C/script%3E"));
    for (kind, local_id) in
        [(Kind::SERVICE, "drop-in"), (Kind::EVENT, "class"), (Kind::ORGANISATION, "forum"), (Kind::LOCATION, "hall")]
    {
        paths.push(format!("/directory/{}", id(kind, local_id)));
    }
    for path in paths {
        let got = get(&feed, &path).await;
        assert_eq!(got.status, StatusCode::OK, "{path}");
        let html = got.text();
        assert!(!html.contains("<script>") && !html.contains("<img"), "{path}: {html}");
        let without_data = html.replace(r#"<script type="application/ld+json">"#, "");
        assert_eq!(without_data.matches("<script").count(), 0, "{path}");
        assert!(!html.contains("href=\"javascript:"), "{path}");
        assert_eq!(
            html.matches("</script>").count(),
            html.matches(r#"<script type="application/ld+json">"#).count(),
            "{path}"
        );
        if html.contains("ld+json") {
            assert!(!structured(&html).to_string().contains("javascript:"), "{path}");
        }
    }
}

#[tokio::test]
async fn the_list_is_searched_filtered_and_paged_without_script() {
    let directory = Arc::new(rich_directory());
    for number in 0..HTML_ENTRIES_PER_PAGE {
        let service = v1::Service {
            name: format!("Food {number}"),
            languages: vec![v1::Language { tag: "ti-ER".into(), note: String::new() }],
            ..Default::default()
        };
        directory.publish(Kind::SERVICE, &format!("food{number}"), &service);
    }
    let feed = feed_of(&directory);
    let html = get(&feed, "/directory?kind=service").await.text();
    assert_eq!(html.matches("<li>\n<h2").count(), HTML_ENTRIES_PER_PAGE);
    assert!(html.contains("href=\"/directory?kind=service&#38;page=2\""), "{html}");
    let second = get(&feed, "/directory?kind=service&page=2").await.text();
    assert_eq!(second.matches("<li>\n<h2").count(), 1);
    assert!(second.contains("rel=\"prev\"") && !second.contains("rel=\"next\""));
    let found = get(&feed, "/directory?kind=service&q=food").await.text();
    assert!(found.contains(&format!("1 to {HTML_ENTRIES_PER_PAGE} of {HTML_ENTRIES_PER_PAGE}.")));
    assert!(!found.contains("rel=\"next\""));
    assert!(get(&feed, "/directory?language=ti").await.text().contains(&format!("of {}.", HTML_ENTRIES_PER_PAGE + 1)));
    assert!(get(&feed, "/directory?language=ti&q=tea").await.text().contains("1 to 1 of 1."));
    assert!(get(&feed, "/directory?language=so").await.text().contains("Nothing found."));
    let refused = get(&feed, "/directory?kind=secret").await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(refused.header("content-type").starts_with("text/html"));
}

#[tokio::test]
async fn an_organisation_page_lists_its_services() {
    let feed = feed_of(&Arc::new(rich_directory()));
    let html = get(&feed, &format!("/directory/{}", id(Kind::ORGANISATION, "forum"))).await.text();
    assert!(html.contains(&format!("href=\"/directory/{}\"", id(Kind::SERVICE, "drop-in"))));
}

#[tokio::test]
async fn a_closed_service_says_so_before_anything_else() {
    let directory = Arc::new(MemoryDirectory::default());
    let service = v1::Service {
        name: "Kitchen".into(),
        status: v1::ServiceStatus::TemporarilyClosed.into(),
        schedules: vec![weekly("MO", "09:00", "10:00")],
        ..Default::default()
    };
    let record = directory.publish(Kind::SERVICE, "kitchen", &service);
    let html = get(&feed_of(&directory), &format!("/directory/{record}")).await.text();
    let (warning, table) = (html.find("Temporarily closed").unwrap(), html.find("09:00 to 10:00").unwrap());
    assert!(warning < table);
}
