//! Whatever a node accepts, shown on every output of the feed.

use fingerpost_proto::id::RecordId;
use fingerpost_proto::kind::Kind;
use fingerpost_proto::record::{self, Body};
use fingerpost_proto::v1;
use prost::Message;

use super::body;
use super::directory::{Shelf, Site};
use super::outputs::check;

/// First byte: the kind. Then the body.
pub fn run(bytes: &[u8]) {
    let Some((header, body, bytes)) = body::read(bytes) else { return };
    if record::check(&header, bytes).is_ok() {
        show(&body, bytes, "Forum");
    }
}

/// Shows a body, and records that link to it, on every output. Panics when one of them is not safe.
///
/// Returns all answers, for checks of their own.
pub fn show(body: &Body, bytes: &[u8], publisher: &str) -> Vec<super::directory::Answer> {
    let mut shelf = Shelf::named(publisher, publisher);
    let record = shelf.publish(body.kind(), body.local_id(), bytes.to_vec());
    let linking = link_to(&mut shelf, body.kind(), record);
    let site = Site::new(shelf);
    let mut paths: Vec<String> = ["services", "organizations", "service_at_locations", "taxonomies", "taxonomy_terms"]
        .iter()
        .map(|list| format!("/{list}?full=true"))
        .collect();
    paths.extend(["services", "events", "organizations", "locations"].map(|list| format!("/rpde/{list}")));
    paths.extend(["/", "/events.ics", "/charter", "/members"].map(str::to_owned));
    for record in linking.into_iter().chain([record]) {
        paths.extend(["services", "organizations"].map(|kind| format!("/{kind}/{record}")));
    }
    let mut answers: Vec<_> = paths.iter().map(|path| site.get(path, "application/json")).collect();
    let mut pages: Vec<String> =
        ["service", "event", "organisation", "location"].map(|kind| format!("/directory?kind={kind}")).into();
    pages.extend(linking.into_iter().chain([record]).map(|record| format!("/directory/{record}")));
    pages.extend(languages(body).map(|tag| format!("/directory/{record}?lang={tag}")));
    pages.extend(["/", "/charter", "/members"].map(str::to_owned));
    answers.extend(pages.iter().map(|page| site.get(page, "text/html")));
    answers.iter().for_each(check);
    answers
}

/// Records of other kinds that show parts of this one.
fn link_to(shelf: &mut Shelf, kind: Kind, record: RecordId) -> [RecordId; 2] {
    let link = |wanted: Kind| if kind == wanted { record.as_ref().to_vec() } else { Vec::new() };
    let at = v1::ServiceLocation { location: record.as_ref().to_vec(), ..Default::default() };
    let service = v1::Service {
        local_id: "linking-service".into(),
        name: "Linking".into(),
        organisation: link(Kind::ORGANISATION),
        locations: if kind == Kind::LOCATION { vec![at] } else { Vec::new() },
        ..Default::default()
    };
    let event = v1::Event {
        local_id: "linking-event".into(),
        name: "Linking".into(),
        start: "2026-03-02".into(),
        all_day: true,
        organiser: link(Kind::ORGANISATION),
        location: link(Kind::LOCATION),
        service: link(Kind::SERVICE),
        ..Default::default()
    };
    [
        shelf.publish(Kind::SERVICE, "linking-service", service.encode_to_vec()),
        shelf.publish(Kind::EVENT, "linking-event", event.encode_to_vec()),
    ]
}

/// Languages of the first translations.
fn languages(body: &Body) -> impl Iterator<Item = &str> {
    let translations: &[v1::Translation] = match body {
        Body::Organisation(body) => &body.translations,
        Body::Service(body) => &body.translations,
        Body::Location(body) => &body.translations,
        Body::Event(body) => &body.translations,
        Body::Other(_, body) => &body.translations,
    };
    translations.iter().take(2).map(|translation| translation.language.as_str())
}
