//! HSDS output against the published schemas, filters and fallbacks.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use fingerpost_proto::kind::Kind;
use fingerpost_proto::v1;

use super::schema::assert_valid;
use super::{feed_of, get, get_json, send};
use crate::feed::limits::{PER_PAGE_MAX, SCAN_RECORDS_MAX};
use crate::feed::memory::{
    HOSTILE, MemoryDirectory, NOW_MS, id, rich_directory, rich_location, rich_organisation, rich_service, term, weekly,
};
use crate::feed::{FeedSettings, router};

#[tokio::test]
async fn a_service_with_every_field_is_valid_in_all_profiles() {
    let directory = Arc::new(rich_directory());
    let feed = feed_of(&directory);
    let service = get_json(&feed, &format!("/services/{}", id(Kind::SERVICE, "drop-in"))).await;
    assert_valid("service", &[&service]);
    for key in [
        "alert",
        "alternate_name",
        "application_process",
        "assured_date",
        "assurer_email",
        "attributes",
        "capacities",
        "contacts",
        "cost_options",
        "description",
        "eligibility_description",
        "email",
        "fees_description",
        "funding",
        "interpretation_services",
        "languages",
        "last_modified",
        "licenses",
        "maximum_age",
        "minimum_age",
        "organization",
        "organization_id",
        "phones",
        "required_documents",
        "schedules",
        "service_areas",
        "service_at_locations",
        "url",
        "wait_time",
        "accreditations",
        "additional_urls",
        "x_fingerpost",
    ] {
        assert!(service.get(key).is_some(), "{key} is missing: {service:#}");
    }
    assert_eq!(service["organization"]["name"], "Harbour Refugee Forum");
    assert_eq!(service["assured_date"], "2026-03-01");
    assert_eq!(service["last_modified"], "2026-03-01T08:30:00.000Z");
    let place = &service["service_at_locations"][0]["location"];
    assert_eq!(place["addresses"][0]["state_province"], "United Kingdom");
    assert_eq!(place["addresses"][0]["country"], "GB");
    assert_eq!(place["addresses"].as_array().unwrap().len(), 1, "an address without a street is no HSDS address");
    assert_eq!(place["x_fingerpost"]["addresses_incomplete"][0]["city"], "Harbourton");
    assert_eq!(place["latitude"], 52.5);
    let organisation = get_json(&feed, &format!("/organizations/{}", id(Kind::ORGANISATION, "forum"))).await;
    assert_valid("organization", &[&organisation]);
    assert_eq!(organisation["organization_identifiers"][1]["identifier_type"], "GB-COH");
}

#[tokio::test]
async fn schedules_keep_what_hsds_can_say_and_the_rest_as_text() {
    let directory = Arc::new(rich_directory());
    let service = get_json(&feed_of(&directory), &format!("/services/{}", id(Kind::SERVICE, "drop-in"))).await;
    let schedules = service["schedules"].as_array().unwrap();
    assert_eq!((&schedules[0]["freq"], &schedules[0]["byday"]), (&"WEEKLY".into(), &"MO,WE".into()));
    assert_eq!(schedules[0]["notes"], "Ring the bell. Not on 2026-12-25.");
    assert_eq!((&schedules[1]["freq"], &schedules[1]["byday"]), (&"WEEKLY".into(), &"MO,TU,WE,TH,FR,SA,SU".into()));
    assert_eq!(schedules[1]["closes_at"], "23:59");
    assert_eq!(schedules[1]["x_fingerpost"]["closes_at"], "24:00");
    assert_eq!((&schedules[2]["freq"], &schedules[2]["until"]), (&"MONTHLY".into(), &"2026-12-31".into()));
    assert!(schedules[3].get("freq").is_none());
    assert_eq!(schedules[3]["timezone"], 5.5);
    assert_eq!((&schedules[4]["valid_from"], &schedules[4]["valid_to"]), (&"2026-06-20".into(), &"2026-06-20".into()));
}

#[tokio::test]
async fn every_record_says_who_published_it_and_when_it_was_confirmed() {
    let directory = Arc::new(rich_directory());
    let record = id(Kind::SERVICE, "drop-in");
    let service = get_json(&feed_of(&directory), &format!("/services/{record}")).await;
    let says = &service["x_fingerpost"];
    assert_eq!(says["publisher"]["name"], "Harbour Refugee Forum");
    assert_eq!(says["publisher"]["id"], "07".repeat(32));
    assert_eq!(says["role"], "assurer");
    assert_eq!(says["last_confirmed"], "2026-03-01T09:30:00.000Z");
    assert_eq!(says["lease_until"], "2026-08-28T09:00:00.000Z");
    assert_eq!(says["signed"], format!("https://feed.example/records/{record}/signed"));
    assert_eq!(says["same_as"][0], "04040404-0404-0404-0404-040404040404");
}

#[tokio::test]
async fn a_service_with_nothing_but_a_name_is_valid() {
    let directory = Arc::new(MemoryDirectory::default());
    let bare = directory.publish(Kind::SERVICE, "bare", &v1::Service { name: "Bare".into(), ..Default::default() });
    let nameless = directory.publish(Kind::SERVICE, "nameless", &v1::Service::default());
    let pointing = v1::Service { name: "Points".into(), organisation: vec![8; 16], ..Default::default() };
    let pointing = directory.publish(Kind::SERVICE, "pointing", &pointing);
    let feed = feed_of(&directory);
    for record in [bare, nameless, pointing] {
        let service = get_json(&feed, &format!("/services/{record}")).await;
        assert_valid("service", &[&service]);
        assert_eq!(service["organization"]["name"], "Harbour Refugee Forum");
        assert_eq!(service["organization"]["id"], service["organization_id"]);
    }
    let service = get_json(&feed, &format!("/services/{pointing}")).await;
    assert_eq!(service["organization_id"], "08080808-0808-0808-0808-080808080808");
}

#[tokio::test]
async fn an_organisation_without_description_is_described_by_its_name() {
    let directory = Arc::new(MemoryDirectory::default());
    let record =
        directory.publish(Kind::ORGANISATION, "o", &v1::Organisation { name: "O".into(), ..Default::default() });
    let organisation = get_json(&feed_of(&directory), &format!("/organizations/{record}")).await;
    assert_valid("organization", &[&organisation]);
    assert_eq!(organisation["description"], "O");
}

#[tokio::test]
async fn a_withheld_place_shows_its_area_and_nothing_that_finds_it() {
    let directory = Arc::new(rich_directory());
    // Even a body that should never have been accepted must not leak through the feed.
    let mut hidden = rich_location();
    hidden.r#type = v1::LocationType::Withheld.into();
    directory.publish(Kind::LOCATION, "hall", &hidden);
    let feed = feed_of(&directory);
    let service = get_json(&feed, &format!("/services/{}", id(Kind::SERVICE, "drop-in"))).await;
    assert_valid("service", &[&service]);
    let at_location = &service["service_at_locations"][0];
    assert_eq!(at_location["location"]["location_type"], "virtual");
    assert_eq!(at_location["location"]["x_fingerpost"]["withheld"], true);
    assert_eq!(at_location["service_areas"][0]["name"], "Harbour district");
    assert_eq!(service["service_areas"].as_array().unwrap().len(), 2);
    let event = id(Kind::EVENT, "class");
    let hall = id(Kind::LOCATION, "hall");
    for path in [
        "/services?full=true".to_owned(),
        "/services".to_owned(),
        "/service_at_locations?full=true".to_owned(),
        format!("/organizations/{}", id(Kind::ORGANISATION, "forum")),
        "/rpde/locations".to_owned(),
        "/rpde/events".to_owned(),
        "/events.ics".to_owned(),
        format!("/directory/{event}"),
        format!("/directory/{hall}"),
        format!("/directory/{}", id(Kind::SERVICE, "drop-in")),
        "/directory?kind=location".to_owned(),
    ] {
        let text = get(&feed, &path).await.text();
        for secret in [
            "1 Quay Street",
            "ZZ1 1ZZ",
            "52.5",
            "10000000001",
            "Bus 1",
            "maps.example",
            "harbour.example/hall",
            "harbour.example/access",
        ] {
            let area_of_the_service = secret == "52.5" && text.contains(r#"[1.5,52.5]"#);
            let extent = text.replace(r#"\"coordinates\":[1.5,52.5]"#, "");
            assert!(
                !text.contains(secret) || (area_of_the_service && !extent.contains(secret)),
                "{path} shows {secret}"
            );
        }
    }
    assert!(get(&feed, "/directory?kind=location&q=quay+street").await.text().contains("Nothing found"));
}

#[tokio::test]
async fn a_reader_of_arabic_gets_arabic_where_there_is_some() {
    let directory = Arc::new(rich_directory());
    let feed = feed_of(&directory);
    let path = format!("/services/{}", id(Kind::SERVICE, "drop-in"));
    let got = send(&feed, axum::http::Method::GET, &path, &[("accept-language", "ar-SY, en;q=0.5")]).await;
    let service = got.json();
    assert_valid("service", &[&service]);
    assert_eq!(service["name"], "استقبال مفتوح");
    assert_eq!(service["alert"], "Closed on public holidays");
    assert_eq!(service["organization"]["name"], "منتدى الميناء");
    assert_eq!(got.header("content-language"), "ar, en");
    assert!(got.header("vary").to_lowercase().contains("accept-language"));
    let named = get_json(&feed, &format!("{path}?lang=ar")).await;
    assert_eq!(named["name"], "استقبال مفتوح");
    assert_eq!(get_json(&feed, &path).await["name"], "Drop-in");
    assert_eq!(get_json(&feed, &format!("{path}?lang=fr")).await["name"], "Drop-in");
}

#[tokio::test]
async fn every_page_of_every_list_is_valid_and_adds_up() {
    let directory = Arc::new(rich_directory());
    for number in 0..7 {
        let mut service = rich_service();
        service.name = format!("Service {number}");
        directory.publish(Kind::SERVICE, &format!("s{number}"), &service);
    }
    let feed = feed_of(&directory);
    for (path, object, total) in [
        ("/services", "service", 8),
        ("/organizations", "organization", 1),
        ("/service_at_locations", "service_at_location", 16),
        ("/taxonomies", "taxonomy", 2),
        ("/taxonomy_terms", "taxonomy_term", 3),
    ] {
        for option in ["", "&full=true", "&minimal=true"] {
            let mut seen = std::collections::BTreeSet::new();
            let mut number = 1;
            loop {
                let page = get_json(&feed, &format!("{path}?per_page=3&page={number}{option}")).await;
                assert_eq!(page["total_items"], total, "{path}");
                assert_eq!(page["total_pages"], (total as usize).div_ceil(3));
                assert_eq!(page["page_number"], number);
                assert_eq!(page["first_page"], number == 1);
                let contents = page["contents"].as_array().unwrap();
                assert_eq!(page["size"], contents.len());
                assert_eq!(page["empty"], contents.is_empty());
                assert_valid(object, &contents.iter().collect::<Vec<_>>());
                seen.extend(contents.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
                if page["last_page"] == true {
                    break;
                }
                number += 1;
            }
            assert_eq!(seen.len(), total as usize, "{path}{option}");
            let beyond = get_json(&feed, &format!("{path}?per_page=3&page=99{option}")).await;
            assert_eq!((&beyond["empty"], &beyond["last_page"]), (&true.into(), &true.into()));
        }
    }
    let first = get_json(&feed, "/service_at_locations").await["contents"][0].clone();
    let again = get_json(&feed, &format!("/service_at_locations/{}", first["id"].as_str().unwrap())).await;
    assert_valid("service_at_location", &[&again]);
    assert_eq!(again["location_id"], first["location_id"]);
    for list in ["taxonomies", "taxonomy_terms"] {
        let first = get_json(&feed, &format!("/{list}")).await["contents"][0].clone();
        assert_eq!(get_json(&feed, &format!("/{list}/{}", first["id"].as_str().unwrap())).await, first);
    }
}

#[tokio::test]
async fn a_list_without_full_has_the_organisation_but_no_lists() {
    let directory = Arc::new(rich_directory());
    let page = get_json(&feed_of(&directory), "/services").await;
    let service = &page["contents"][0];
    assert_eq!(service["organization"]["name"], "Harbour Refugee Forum");
    let lists: Vec<_> = service.as_object().unwrap().iter().filter(|(_, value)| value.is_array()).collect();
    assert!(lists.is_empty(), "{lists:?}");
}

#[tokio::test]
async fn filters_narrow_the_list_and_combine() {
    let directory = Arc::new(rich_directory());
    let other = v1::Service {
        name: "Food parcels".into(),
        modified_ms: NOW_MS - 10 * 86_400_000,
        terms: vec![term("food", "Food")],
        schedules: vec![weekly("MO", "09:00", "10:00")],
        ..Default::default()
    };
    directory.publish(Kind::SERVICE, "food", &other);
    let feed = feed_of(&directory);
    let names = async |query: &str| -> Vec<String> {
        let page = get_json(&feed, &format!("/services?{query}")).await;
        let names: Vec<String> =
            page["contents"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap().to_owned()).collect();
        assert_eq!(page["total_items"], names.len());
        names
    };
    let forum = id(Kind::ORGANISATION, "forum");
    assert_eq!(names(&format!("organization_id={forum}")).await, ["Drop-in"]);
    assert_eq!(names("modified_after=2026-02-25").await, ["Drop-in"]);
    assert_eq!(names("modified_after=2026-03-01T08:30:00Z").await, ["Drop-in"]);
    assert!(names("modified_after=2026-03-01T08:30:01Z").await.is_empty());
    assert_eq!(names("search=FOOD+parcel").await, ["Food parcels"]);
    assert_eq!(names("search=%D8%B4%D8%A7%D9%8A").await, ["Drop-in"]);
    assert!(names(&format!("search=food&organization_id={forum}")).await.is_empty());
    let terms = get_json(&feed, "/taxonomy_terms?search=food").await;
    let food = terms["contents"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(names(&format!("taxonomy_term_id={food}")).await, ["Food parcels"]);
    let taxonomy = terms["contents"][0]["taxonomy_id"].as_str().unwrap();
    assert_eq!(names(&format!("taxonomy_id={taxonomy}")).await.len(), 2);
    let nested = get_json(&feed, &format!("/services/{}", id(Kind::SERVICE, "food"))).await;
    assert_eq!(nested["attributes"][0]["taxonomy_term_id"], food);
    let organisations = get_json(&feed, "/organizations?search=harbour").await;
    assert_eq!(organisations["total_items"], 1);
    assert_eq!(get_json(&feed, "/organizations?modified_after=2026-03-01").await["total_items"], 0);
}

#[tokio::test]
async fn filters_follow_changes_withdrawals_and_forgotten_withdrawals() {
    let directory = Arc::new(rich_directory());
    let feed = feed_of(&directory);
    let forum = id(Kind::ORGANISATION, "forum");
    let count = async || get_json(&feed, &format!("/services?organization_id={forum}")).await["total_items"].clone();
    let at_locations = async || get_json(&feed, "/service_at_locations").await["total_items"].clone();
    assert_eq!((count().await, at_locations().await), (1.into(), 2.into()));
    let second = directory.publish(Kind::SERVICE, "second", &rich_service());
    assert_eq!((count().await, at_locations().await), (2.into(), 4.into()));
    directory.withdraw(id(Kind::SERVICE, "drop-in"));
    assert_eq!((count().await, at_locations().await), (1.into(), 2.into()));
    // Withdrawn and forgotten between two requests: no change says so, only the count.
    directory.withdraw(second);
    directory.forget(second);
    assert_eq!((count().await, at_locations().await), (0.into(), 0.into()));
    assert_eq!(get_json(&feed, "/taxonomy_terms").await["total_items"], 0);
}

#[tokio::test]
async fn malformed_and_unsupported_parameters_are_named() {
    let directory = Arc::new(rich_directory());
    let feed = feed_of(&directory);
    let at_limit = get(&feed, &format!("/services?per_page={PER_PAGE_MAX}")).await;
    assert_eq!(at_limit.status, StatusCode::OK);
    let beyond = format!("per_page={}", PER_PAGE_MAX + 1);
    for (name, query) in [
        ("per_page", beyond.as_str()),
        ("page", "page=0"),
        ("organization_id", "organization_id=7"),
        ("taxonomy_term_id", "taxonomy_term_id=x"),
        ("modified_after", "modified_after=soon"),
        ("full", "full=yes"),
        ("minimum_age", "minimum_age=16"),
        ("postcode", "postcode=ZZ1"),
        ("format", "format=ndjson"),
        ("lang", "lang=%00"),
    ] {
        let got = get(&feed, &format!("/services?{query}")).await;
        assert_eq!(got.status, StatusCode::BAD_REQUEST, "{query}");
        assert!(got.json()["error"].as_str().unwrap().contains(&format!("parameter {name} ")), "{}", got.text());
    }
}

#[tokio::test]
async fn hostile_texts_stay_texts_in_valid_json() {
    let directory = Arc::new(rich_directory());
    let mut service = rich_service();
    for field in [
        &mut service.name,
        &mut service.url,
        &mut service.email,
        &mut service.assurer_email,
        &mut service.source_url,
        &mut service.schedules[0].rrule,
        &mut service.terms[0].scheme_uri,
        &mut service.service_areas[0].uri,
        &mut service.costs[0].amount,
        &mut service.phones[0].extension,
        &mut service.languages[0].tag,
        &mut service.contacts[0].email,
        &mut service.additional_links[0].url,
        &mut service.language,
    ] {
        *field = HOSTILE.to_owned();
    }
    service.schedules[0].timezone = HOSTILE.to_owned();
    service.schedules[0].link = HOSTILE.to_owned();
    service.terms[0].code = HOSTILE.to_owned();
    service.phones.push(v1::Phone { description: "no number".into(), ..Default::default() });
    service.languages.push(v1::Language::default());
    service.organisation = b"short".to_vec();
    service.locations[1].location = vec![1; 17];
    service.costs[1].amount = "NaN".into();
    let mut organisation = rich_organisation();
    organisation.website = "javascript:alert(1)".into();
    organisation.logo_url = "data:text/html,x".into();
    organisation.uri = HOSTILE.into();
    organisation.parent = vec![1];
    organisation.identifiers.push(v1::Identifier { scheme: "GB-CHC".into(), ..Default::default() });
    let record = directory.publish(Kind::SERVICE, "hostile", &service);
    let other = directory.publish(Kind::ORGANISATION, "hostile", &organisation);
    let broken = directory.publish_bytes(Kind::SERVICE, "broken", vec![0xff; 40]);
    let feed = feed_of(&directory);
    let service = get_json(&feed, &format!("/services/{record}")).await;
    assert_valid("service", &[&service]);
    assert_eq!(service["name"], HOSTILE);
    assert!(service.get("url").is_none() && service.get("email").is_none());
    let organisation = get_json(&feed, &format!("/organizations/{other}")).await;
    assert_valid("organization", &[&organisation]);
    assert!(!organisation.to_string().contains("javascript:"));
    let terms = get_json(&feed, "/taxonomy_terms").await;
    assert_valid("taxonomy_term", &terms["contents"].as_array().unwrap().iter().collect::<Vec<_>>());
    // One body that cannot be read does not take the others away.
    let page = get_json(&feed, "/services?full=true").await;
    assert_eq!((&page["total_items"], &page["size"]), (&3.into(), &2.into()));
    assert_eq!(get(&feed, &format!("/services/{broken}")).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_search_reads_at_most_its_limit_and_says_so() {
    let directory = Arc::new(MemoryDirectory::default());
    for number in 0..SCAN_RECORDS_MAX {
        directory.publish(Kind::SERVICE, &number.to_string(), &v1::Service { name: "x".into(), ..Default::default() });
    }
    let patient = FeedSettings { request_timeout: Duration::from_secs(600), ..FeedSettings::default() };
    let feed = router(directory.clone(), patient);
    let page = get_json(&feed, "/services?search=x&per_page=1").await;
    assert_eq!(page["total_items"], SCAN_RECORDS_MAX);
    assert!(page.get("x_fingerpost").is_none());
    directory.publish(Kind::SERVICE, "one more", &v1::Service { name: "x".into(), ..Default::default() });
    let page = get_json(&feed, "/services?search=x&per_page=1").await;
    assert_eq!(page["total_items"], SCAN_RECORDS_MAX);
    assert!(page["x_fingerpost"]["warning"].as_str().unwrap().contains("20000"));
}

#[tokio::test]
async fn a_page_that_would_read_too_much_is_refused_with_advice() {
    let directory = Arc::new(MemoryDirectory::default());
    for number in 0..PER_PAGE_MAX {
        let service = v1::Service { name: "x".into(), description: "y".repeat(150_000), ..Default::default() };
        directory.publish(Kind::SERVICE, &number.to_string(), &service);
    }
    let feed = feed_of(&directory);
    let got = get(&feed, &format!("/services?per_page={PER_PAGE_MAX}")).await;
    assert_eq!(got.status, StatusCode::BAD_REQUEST);
    assert!(got.json()["error"].as_str().unwrap().contains("smaller per_page"));
    assert_eq!(get(&feed, "/services?per_page=200").await.status, StatusCode::OK);
}
