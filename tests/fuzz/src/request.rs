//! Requests to the feed: paths, queries, headers.

use std::cell::RefCell;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Request, Uri, header};
use fingerpost_proto::kind::Kind;
use fingerpost_proto::v1;
use prost::Message;

use super::directory::{Shelf, Site};
use super::input::Bytes;
use super::outputs::check;

/// Paths of the feed; a first byte chooses one, or none, and then the path is in the bytes.
pub const PATHS: [&str; 12] = [
    "/",
    "/services",
    "/organizations",
    "/service_at_locations",
    "/taxonomies",
    "/taxonomy_terms",
    "/rpde/services",
    "/rpde/events",
    "/events.ics",
    "/directory",
    "/directory/",
    "/records/",
];
const HEADERS: [HeaderName; 6] = [
    header::ACCEPT,
    header::ACCEPT_LANGUAGE,
    header::HOST,
    header::IF_NONE_MATCH,
    header::ACCEPT_ENCODING,
    header::RANGE,
];

thread_local! {
    static SITE: RefCell<Option<Site>> = const { RefCell::new(None) };
}

/// First byte: path and method. Then what follows the path; then headers, each a byte for its name and a part.
pub fn run(bytes: &[u8]) {
    let mut bytes = Bytes::new(bytes);
    let Some(first) = bytes.byte() else { return };
    let path = PATHS.get(usize::from(first & 0x1f)).copied().unwrap_or_default();
    let Some(more) = bytes.part() else { return };
    let Ok(uri) = format!("{path}{}", String::from_utf8_lossy(more)).parse::<Uri>() else { return };
    let method = if first & 0x40 == 0 { "GET" } else { "HEAD" };
    let Ok(mut request) = Request::builder().method(method).uri(uri).body(Body::empty()) else { return };
    while let (Some(name), Some(value)) = (bytes.index(HEADERS.len()), bytes.part()) {
        // Compressed answers could not be read below.
        let value = HeaderValue::from_bytes(value).ok().filter(|_| HEADERS[name] != header::ACCEPT_ENCODING);
        if let Some(value) = value {
            request.headers_mut().append(HEADERS[name].clone(), value);
        }
    }
    let answer = SITE.with_borrow_mut(|site| site.get_or_insert_with(site_of_samples).ask(request));
    if method == "HEAD" {
        assert!(answer.text.is_empty(), "an answer to HEAD has no body");
    } else {
        check(&answer);
    }
}

fn site_of_samples() -> Site {
    let mut shelf = Shelf::named("Harbour", "Forum");
    let organisation = v1::Organisation {
        local_id: "org".into(),
        name: "Forum".into(),
        description: "A forum".into(),
        ..Default::default()
    };
    let organisation = shelf.publish(Kind::ORGANISATION, "org", organisation.encode_to_vec());
    let location = v1::Location { local_id: "hall".into(), name: "Hall".into(), r#type: 1, ..Default::default() };
    let location = shelf.publish(Kind::LOCATION, "hall", location.encode_to_vec());
    for number in 0..30 {
        let local_id = format!("service-{number}");
        let service = v1::Service {
            local_id: local_id.clone(),
            name: format!("Drop in {number}"),
            organisation: organisation.as_ref().to_vec(),
            locations: vec![v1::ServiceLocation { location: location.as_ref().to_vec(), ..Default::default() }],
            terms: vec![v1::Term {
                scheme_uri: "https://terms.example".into(),
                code: "food".into(),
                ..Default::default()
            }],
            ..Default::default()
        };
        shelf.publish(Kind::SERVICE, &local_id, service.encode_to_vec());
    }
    let event = v1::Event {
        local_id: "class".into(),
        name: "Class".into(),
        start: "2026-03-02T10:00:00".into(),
        timezone: "Europe/London".into(),
        rrule: "FREQ=WEEKLY;UNTIL=20261231".into(),
        ..Default::default()
    };
    shelf.publish(Kind::EVENT, "class", event.encode_to_vec());
    Site::new(shelf)
}
