//! Each accepted body beside its rejected neighbour.

#![allow(clippy::unwrap_used)]

use prost::Message;

use super::*;
use crate::id::{NetworkId, OrgId};
use crate::kind::Audience;
use crate::limits::{
    LANGUAGE_TAG_BYTES_MAX, LINE_BYTES_MAX, LIST_ENTRIES_MAX, LOCAL_ID_BYTES_MAX, TEXT_BYTES_MAX,
    TRANSLATED_FIELDS_MAX, TRANSLATIONS_MAX, URL_BYTES_MAX,
};
use crate::time::{Hlc, UnixHour};
use crate::v1;
use crate::version::Header;

/// Checks a body under the record id that its own local id gives.
fn checked(kind: Kind, local_id: &str, bytes: &[u8]) -> Result<Body, RecordError> {
    check(&header(kind, local_id), bytes)
}

fn header(kind: Kind, local_id: &str) -> Header {
    let org = OrgId([7; 32]);
    Header {
        audience: Audience::Public,
        kind,
        network: NetworkId([1; 32]),
        org,
        record: RecordId::derive(&org, kind, Audience::Public, local_id),
        device: [2; 32],
        hlc: Hlc(0),
        prev: [0; 8],
        lease_until: UnixHour(1),
    }
}

fn organisation(change: impl FnOnce(&mut v1::Organisation)) -> Result<Body, RecordError> {
    let mut body = v1::Organisation {
        local_id: "x".into(),
        name: "Forum".into(),
        description: "Helps.".into(),
        ..Default::default()
    };
    change(&mut body);
    checked(Kind::ORGANISATION, &body.local_id, &body.encode_to_vec())
}

fn service(change: impl FnOnce(&mut v1::Service)) -> Result<Body, RecordError> {
    let mut body = v1::Service { local_id: "x".into(), name: "Drop-in".into(), ..Default::default() };
    change(&mut body);
    checked(Kind::SERVICE, &body.local_id, &body.encode_to_vec())
}

fn location(change: impl FnOnce(&mut v1::Location)) -> Result<Body, RecordError> {
    let mut body =
        v1::Location { local_id: "x".into(), r#type: v1::LocationType::Physical as i32, ..Default::default() };
    change(&mut body);
    checked(Kind::LOCATION, &body.local_id, &body.encode_to_vec())
}

fn event(change: impl FnOnce(&mut v1::Event)) -> Result<Body, RecordError> {
    let mut body = v1::Event {
        local_id: "x".into(),
        name: "Supper".into(),
        start: "2026-10-02T18:00:00".into(),
        timezone: "Europe/London".into(),
        ..Default::default()
    };
    change(&mut body);
    checked(Kind::EVENT, &body.local_id, &body.encode_to_vec())
}

fn withheld(change: impl FnOnce(&mut v1::Location)) -> Result<Body, RecordError> {
    location(|body| {
        body.r#type = v1::LocationType::Withheld as i32;
        change(body);
    })
}

fn too_long(result: Result<Body, RecordError>, limit: usize) -> bool {
    matches!(result, Err(RecordError::TooLong { found, max, .. }) if found == limit + 1 && max == limit)
}

fn too_many(result: Result<Body, RecordError>, limit: usize) -> bool {
    matches!(result, Err(RecordError::TooMany { found, max, .. }) if found == limit + 1 && max == limit)
}

fn missing(result: Result<Body, RecordError>, name: &str) -> bool {
    matches!(result, Err(RecordError::Missing { field }) if field == name)
}

fn malformed(result: Result<Body, RecordError>, name: &str) -> bool {
    matches!(result, Err(RecordError::Malformed { field, .. }) if field == name)
}

fn forbidden(result: Result<Body, RecordError>, name: &str, wanted: char) -> bool {
    matches!(result, Err(RecordError::ForbiddenCharacter { field, character }) if field == name && character == u32::from(wanted))
}

fn address(line_1: &str) -> v1::Address {
    v1::Address { line_1: line_1.into(), ..Default::default() }
}

fn url_of(bytes: usize) -> String {
    format!("https://{}", "u".repeat(bytes - 8))
}

fn translation(language: &str, field: &str, text: &str) -> v1::Translation {
    v1::Translation { language: language.into(), texts: vec![v1::FieldText { field: field.into(), text: text.into() }] }
}

#[test]
fn the_smallest_body_of_each_kind_is_accepted() {
    assert!(organisation(|_| ()).is_ok());
    assert!(service(|_| ()).is_ok());
    assert!(location(|_| ()).is_ok());
    assert!(event(|_| ()).is_ok());
}

#[test]
fn what_is_required_may_not_be_empty_or_blank() {
    assert!(missing(service(|body| body.local_id = String::new()), "local_id"));
    for blank in ["", " ", "\u{a0}"] {
        assert!(missing(organisation(|body| body.name = blank.into()), "name"));
        assert!(missing(organisation(|body| body.description = blank.into()), "description"));
        assert!(missing(service(|body| body.name = blank.into()), "name"));
        assert!(missing(event(|body| body.name = blank.into()), "name"));
        assert!(missing(event(|body| body.start = blank.into()), "start"));
    }
    assert!(missing(location(|body| body.r#type = 0), "type"));
    assert!(missing(service(|body| body.phones = vec![v1::Phone::default()]), "phones.number"));
    assert!(missing(service(|body| body.languages = vec![v1::Language::default()]), "languages.tag"));
    assert!(missing(service(|body| body.translations = vec![v1::Translation::default()]), "translations.language"));
    assert!(missing(organisation(|body| body.identifiers = vec![v1::Identifier::default()]), "identifiers.value"));
}

#[test]
fn a_record_id_belongs_to_one_local_id_kind_publisher_and_audience() {
    let bytes = v1::Service { local_id: "x".into(), name: "n".into(), ..Default::default() }.encode_to_vec();
    let good = header(Kind::SERVICE, "x");
    assert!(check(&good, &bytes).is_ok());
    for other in [
        Header { record: RecordId::derive(&good.org, Kind::SERVICE, Audience::Public, "y"), ..good },
        Header { record: RecordId::derive(&good.org, Kind::EVENT, Audience::Public, "x"), ..good },
        Header { org: OrgId([8; 32]), ..good },
        Header { audience: Audience::Members, ..good },
    ] {
        assert!(matches!(check(&other, &bytes), Err(RecordError::IdMismatch { .. })));
    }
}

#[test]
fn a_local_id_is_accepted_at_128_bytes_and_refused_beyond() {
    assert!(service(|body| body.local_id = "i".repeat(LOCAL_ID_BYTES_MAX)).is_ok());
    assert!(too_long(service(|body| body.local_id = "i".repeat(LOCAL_ID_BYTES_MAX + 1)), LOCAL_ID_BYTES_MAX));
    assert!(forbidden(service(|body| body.local_id = "a\tb".into()), "local_id", '\t'));
}

#[test]
fn lengths_are_counted_in_bytes_not_in_characters() {
    assert!(service(|body| body.name = "é".repeat(LINE_BYTES_MAX / 2)).is_ok());
    assert!(matches!(
        service(|body| body.name = "é".repeat(LINE_BYTES_MAX / 2 + 1)),
        Err(RecordError::TooLong { found: 1_002, max: 1_000, .. })
    ));
}

#[test]
fn a_line_is_accepted_at_its_limit_and_refused_beyond() {
    let changes: [fn(&mut v1::Service, String); 7] = [
        |body, line| body.name = line,
        |body, line| body.alternate_name = line,
        |body, line| body.terms = vec![v1::Term { label: line, ..Default::default() }],
        |body, line| body.phones = vec![v1::Phone { number: line, ..Default::default() }],
        |body, line| body.contacts = vec![v1::Contact { title: line, ..Default::default() }],
        |body, line| body.capacities = vec![v1::Capacity { unit: line, ..Default::default() }],
        |body, line| body.schedules = vec![v1::Schedule { timezone: line, ..Default::default() }],
    ];
    for change in changes {
        assert!(service(|body| change(body, "l".repeat(LINE_BYTES_MAX))).is_ok());
        assert!(too_long(service(|body| change(body, "l".repeat(LINE_BYTES_MAX + 1))), LINE_BYTES_MAX));
    }
}

#[test]
fn a_text_is_accepted_at_its_limit_and_refused_beyond() {
    let changes: [fn(&mut v1::Service, String); 6] = [
        |body, text| body.description = text,
        |body, text| body.alert = text,
        |body, text| body.required_documents = vec![text],
        |body, text| body.funding = vec![text],
        |body, text| body.service_areas = vec![v1::Area { geojson: text, ..Default::default() }],
        |body, text| body.translations = vec![translation("ar", "description", &text)],
    ];
    for change in changes {
        assert!(service(|body| change(body, "t".repeat(TEXT_BYTES_MAX))).is_ok());
        assert!(too_long(service(|body| change(body, "t".repeat(TEXT_BYTES_MAX + 1))), TEXT_BYTES_MAX));
    }
}

#[test]
fn a_url_and_an_email_address_are_accepted_at_their_limit_and_refused_beyond() {
    assert!(service(|body| body.url = url_of(URL_BYTES_MAX)).is_ok());
    assert!(too_long(service(|body| body.url = url_of(URL_BYTES_MAX + 1)), URL_BYTES_MAX));
    assert!(service(|body| body.email = "e".repeat(URL_BYTES_MAX)).is_ok());
    assert!(too_long(service(|body| body.email = "e".repeat(URL_BYTES_MAX + 1)), URL_BYTES_MAX));
    assert!(service(|body| body.assurer_email = "e".repeat(URL_BYTES_MAX)).is_ok());
    assert!(too_long(service(|body| body.assurer_email = "e".repeat(URL_BYTES_MAX + 1)), URL_BYTES_MAX));
}

#[test]
fn a_list_is_accepted_at_256_entries_and_refused_beyond() {
    let changes: [fn(&mut v1::Service, usize); 8] = [
        |body, count| body.same_as = vec![vec![1; 16]; count],
        |body, count| body.replaces = vec![vec![1; 16]; count],
        |body, count| body.costs = vec![v1::Cost::default(); count],
        |body, count| body.contacts = vec![v1::Contact::default(); count],
        |body, count| body.schedules = vec![v1::Schedule::default(); count],
        |body, count| body.funding = vec!["f".into(); count],
        |body, count| body.additional_links = vec![v1::Link::default(); count],
        |body, count| {
            body.schedules =
                vec![v1::Schedule { except_dates: vec!["2026-01-01".into(); count], ..Default::default() }];
        },
    ];
    for change in changes {
        assert!(service(|body| change(body, LIST_ENTRIES_MAX)).is_ok());
        assert!(too_many(service(|body| change(body, LIST_ENTRIES_MAX + 1)), LIST_ENTRIES_MAX));
    }
    assert!(location(|body| body.addresses = vec![address(""); LIST_ENTRIES_MAX]).is_ok());
    assert!(too_many(location(|body| body.addresses = vec![address(""); LIST_ENTRIES_MAX + 1]), LIST_ENTRIES_MAX));
    let starts = |count| vec!["2026-10-02T18:00:00".to_owned(); count];
    assert!(event(|body| body.except_starts = starts(LIST_ENTRIES_MAX)).is_ok());
    assert!(too_many(event(|body| body.except_starts = starts(LIST_ENTRIES_MAX + 1)), LIST_ENTRIES_MAX));
    assert!(too_many(event(|body| body.extra_starts = starts(LIST_ENTRIES_MAX + 1)), LIST_ENTRIES_MAX));
}

#[test]
fn translations_are_accepted_at_their_limits_and_refused_beyond() {
    let one = || translation("ar", "name", "خدمة");
    assert!(service(|body| body.translations = vec![one(); TRANSLATIONS_MAX]).is_ok());
    assert!(too_many(service(|body| body.translations = vec![one(); TRANSLATIONS_MAX + 1]), TRANSLATIONS_MAX));
    let fields = |count| v1::Translation { language: "ar".into(), texts: vec![v1::FieldText::default(); count] };
    assert!(service(|body| body.translations = vec![fields(TRANSLATED_FIELDS_MAX)]).is_ok());
    assert!(too_many(
        service(|body| body.translations = vec![fields(TRANSLATED_FIELDS_MAX + 1)]),
        TRANSLATED_FIELDS_MAX
    ));
    assert!(too_long(
        service(|body| body.translations = vec![translation("ar", &"f".repeat(LINE_BYTES_MAX + 1), "")]),
        LINE_BYTES_MAX
    ));
}

#[test]
fn a_language_tag_has_the_shape_of_bcp_47() {
    let longest = format!("abcdefgh-{}", "abcdefgh-".repeat(3).trim_end_matches('-'));
    assert_eq!(longest.len(), LANGUAGE_TAG_BYTES_MAX);
    for good in ["", "en", "fa-AF", "zh-Hant-TW", "x-own", "a", &longest] {
        assert!(service(|body| body.language = good.into()).is_ok(), "{good}");
    }
    for bad in ["e n", "en_GB", "-en", "en-", "1en", "en--GB", "abcdefghi", "ɛn"] {
        assert!(malformed(service(|body| body.language = bad.into()), "language"), "{bad}");
    }
    assert!(too_long(service(|body| body.language = format!("{longest}x")), LANGUAGE_TAG_BYTES_MAX));
}

#[test]
fn marks_of_honest_right_to_left_text_pass_and_overrides_do_not() {
    for good in ['\u{200e}', '\u{200f}', '\u{61c}', '\u{200c}', '\u{200d}', '\u{a0}'] {
        assert!(service(|body| body.name = format!("a{good}b")).is_ok(), "{:04x}", u32::from(good));
    }
    let bad = ('\u{202a}'..='\u{202e}').chain('\u{2066}'..='\u{2069}').chain(['\u{2028}', '\u{2029}', '\u{feff}']);
    for bad in bad.chain('\u{7f}'..='\u{9f}').chain(['\0', '\u{7}', '\r', '\u{1b}', '\u{1f}']) {
        assert!(forbidden(service(|body| body.name = format!("a{bad}b")), "name", bad));
        assert!(forbidden(service(|body| body.description = format!("a{bad}b")), "description", bad));
    }
}

#[test]
fn line_feeds_and_tabs_belong_in_running_text_only() {
    for character in ['\n', '\t'] {
        assert!(service(|body| body.description = format!("a{character}b")).is_ok());
        assert!(forbidden(service(|body| body.name = format!("a{character}b")), "name", character));
        assert!(forbidden(service(|body| body.email = format!("a{character}b")), "email", character));
    }
}

#[test]
fn a_url_begins_with_http_and_names_a_host() {
    for good in ["", "https://a", "http://a/b?c#d", "HTTPS://A.example", "https://[::1]:8/x", "https://ü.example/é"] {
        assert!(service(|body| body.url = good.into()).is_ok(), "{good}");
    }
    for bad in
        ["a.example", "ftp://a", "javascript:alert(1)", "https:", "https://", "https:///x", "https://a b", " https://a"]
    {
        assert!(malformed(service(|body| body.url = bad.into()), "url"), "{bad}");
        let link = v1::Link { url: bad.into(), ..Default::default() };
        assert!(malformed(service(|body| body.additional_links = vec![link]), "additional_links"), "{bad}");
        assert!(malformed(event(|body| body.join_url = bad.into()), "join_url"), "{bad}");
        assert!(malformed(organisation(|body| body.logo_url = bad.into()), "logo_url"), "{bad}");
    }
}

#[test]
fn a_reference_is_empty_or_a_record_id_and_in_a_list_never_empty() {
    for length in [0, 16] {
        assert!(service(|body| body.organisation = vec![1; length]).is_ok());
        assert!(event(|body| body.location = vec![1; length]).is_ok());
        assert!(organisation(|body| body.parent = vec![1; length]).is_ok());
    }
    for length in [1, 15, 17] {
        assert!(malformed(service(|body| body.organisation = vec![1; length]), "organisation"));
        assert!(malformed(event(|body| body.location = vec![1; length]), "location"));
        assert!(malformed(event(|body| body.service = vec![1; length]), "service"));
        assert!(malformed(event(|body| body.organiser = vec![1; length]), "organiser"));
        assert!(malformed(organisation(|body| body.parent = vec![1; length]), "parent"));
    }
    assert!(service(|body| body.same_as = vec![vec![1; 16]]).is_ok());
    for length in [0, 15, 17] {
        assert!(malformed(service(|body| body.same_as = vec![vec![1; length]]), "same_as"));
        assert!(malformed(service(|body| body.replaces = vec![vec![1; length]]), "replaces"));
        assert!(malformed(organisation(|body| body.locations = vec![vec![1; length]]), "locations"));
        let at = v1::ServiceLocation { location: vec![1; length], ..Default::default() };
        assert!(malformed(service(|body| body.locations = vec![at]), "locations.location"));
    }
}

#[test]
fn coordinates_come_in_pairs_and_lie_on_the_globe() {
    let at = |latitude, longitude| {
        location(|body| (body.latitude_e7, body.longitude_e7) = (latitude, longitude)).map(drop).is_ok()
    };
    assert!(at(None, None) && at(Some(0), Some(0)));
    assert!(at(Some(900_000_000), Some(1_800_000_000)) && at(Some(-900_000_000), Some(-1_800_000_000)));
    assert!(!at(Some(0), None) && !at(None, Some(0)));
    assert!(!at(Some(900_000_001), Some(0)) && !at(Some(-900_000_001), Some(0)));
    assert!(!at(Some(0), Some(1_800_000_001)) && !at(Some(0), Some(i32::MIN)));
}

#[test]
fn a_withheld_location_has_areas_phones_and_names() {
    assert!(withheld(|_| ()).is_ok());
    assert!(
        withheld(|body| {
            body.name = "Refuge".into();
            body.description = "Call first.".into();
            body.areas = vec![v1::Area { name: "Harbour City".into(), ..Default::default() }];
            body.phones = vec![v1::Phone { number: "1".into(), ..Default::default() }];
            body.translations = vec![translation("ar", "name", "x"), translation("fa", "alternate_name", "x")];
        })
        .is_ok()
    );
}

#[test]
fn a_withheld_location_with_any_sign_of_its_place_is_refused_and_a_physical_one_is_not() {
    let area = || v1::Area { geojson: "{}".into(), ..Default::default() };
    type Change = Box<dyn Fn(&mut v1::Location)>;
    let changes: Vec<(&str, Change)> = vec![
        ("addresses", Box::new(|body| body.addresses = vec![v1::Address::default()])),
        ("latitude_e7", Box::new(|body| (body.latitude_e7, body.longitude_e7) = (Some(0), Some(0)))),
        ("longitude_e7", Box::new(|body| body.longitude_e7 = Some(1))),
        ("external_identifier", Box::new(|body| body.external_identifier = "1".into())),
        ("external_identifier", Box::new(|body| body.external_identifier_type = "UPRN".into())),
        ("transportation", Box::new(|body| body.transportation = "Bus".into())),
        ("accessibility", Box::new(|body| body.accessibility = vec![v1::Accessibility::default()])),
        ("url", Box::new(|body| body.url = "https://a".into())),
        ("map_url", Box::new(|body| body.map_url = "https://a".into())),
        ("source_url", Box::new(|body| body.source_url = "https://a".into())),
        ("areas.geojson", Box::new(move |body| body.areas = vec![v1::Area::default(), area()])),
        ("translations", Box::new(|body| body.translations = vec![translation("ar", "transportation", "x")])),
        ("translations", Box::new(|body| body.translations = vec![translation("ar", "anything", "")])),
    ];
    for (name, change) in changes {
        let found = withheld(|body| change(body));
        assert!(matches!(&found, Err(RecordError::WithheldPlace { field }) if field == name), "{name}: {found:?}");
        if name != "longitude_e7" {
            assert!(location(|body| change(body)).is_ok(), "{name}");
        }
    }
}

#[test]
fn an_event_has_local_times_or_when_it_takes_all_day_dates() {
    for good in ["2026-10-02T18:00:00", "2026-12-31T23:59:59", "2028-02-29T00:00:00", "0000-01-01T00:00:00"] {
        assert!(event(|body| body.start = good.into()).is_ok(), "{good}");
    }
    let bad_times = [
        "2026-10-02",
        "2026-10-02T18:00",
        "2026-10-02 18:00:00",
        "2026-10-02T18:00:00Z",
        "2026-10-02T18:00:00+01:00",
        "2026-10-02T24:00:00",
        "2026-10-02T18:60:00",
        "2026-10-02T18:00:60",
        "2026-02-29T18:00:00",
        "2026-13-01T18:00:00",
        "+026-10-02T18:00:00",
        "2026-10-02T18:0٠:00",
    ];
    for bad in bad_times {
        assert!(malformed(event(|body| body.start = bad.into()), "start"), "{bad}");
        assert!(malformed(event(|body| body.end = bad.into()), "end"), "{bad}");
        assert!(malformed(event(|body| body.previous_start = bad.into()), "previous_start"), "{bad}");
        assert!(malformed(event(|body| body.except_starts = vec![bad.into()]), "except_starts"), "{bad}");
        assert!(malformed(event(|body| body.extra_starts = vec![bad.into()]), "extra_starts"), "{bad}");
    }
    let all_day =
        |start: &str| event(|body| (body.all_day, body.start, body.timezone) = (true, start.to_owned(), String::new()));
    for good in ["2026-10-02", "2028-02-29", "2000-02-29"] {
        assert!(all_day(good).is_ok(), "{good}");
    }
    for bad in ["2026-10-02T18:00:00", "2026-2-1", "1900-02-29", "2026-00-01", "2026-04-31", "20261002", "２026-1-1"] {
        assert!(malformed(all_day(bad), "start"), "{bad}");
    }
}

#[test]
fn an_event_with_a_time_has_a_time_zone_and_an_all_day_event_needs_none() {
    assert!(missing(event(|body| body.timezone = String::new()), "timezone"));
    assert!(
        event(|body| (body.all_day, body.start, body.timezone) = (true, "2026-10-02".into(), String::new())).is_ok()
    );
}

#[test]
fn an_occurrence_names_the_start_that_it_replaces() {
    let with = |original_start: &str, start: &str, location: usize| {
        let occurrence = v1::Occurrence {
            original_start: original_start.into(),
            start: start.into(),
            location: vec![1; location],
            ..Default::default()
        };
        event(|body| body.occurrences = vec![occurrence])
    };
    assert!(with("2026-10-09T18:00:00", "", 0).is_ok());
    assert!(with("2026-10-09T18:00:00", "2026-10-09T19:00:00", 16).is_ok());
    assert!(missing(with("", "2026-10-09T19:00:00", 0), "occurrences.original_start"));
    assert!(malformed(with("2026-10-09", "", 0), "occurrences.original_start"));
    assert!(malformed(with("2026-10-09T18:00:00", "19:00", 0), "occurrences.start"));
    assert!(malformed(with("2026-10-09T18:00:00", "", 15), "occurrences.location"));
}

#[test]
fn opening_times_are_times_of_day_and_dates() {
    let with = |change: &dyn Fn(&mut v1::Schedule)| {
        let mut schedule = v1::Schedule::default();
        change(&mut schedule);
        service(|body| body.schedules = vec![schedule])
    };
    for good in ["", "00:00", "23:59", "24:00"] {
        assert!(with(&|schedule| schedule.closes_at = good.into()).is_ok(), "{good}");
    }
    for bad in ["24:01", "25:00", "9:00", "09:60", "09", "09:00:00", "ab:cd", "-1:00"] {
        assert!(malformed(with(&|schedule| schedule.opens_at = bad.into()), "schedules.opens_at"), "{bad}");
    }
    assert!(with(&|schedule| schedule.starts_on = "2026-09-21".into()).is_ok());
    assert!(malformed(with(&|schedule| schedule.starts_on = "21.9.2026".into()), "schedules.starts_on"));
    assert!(malformed(with(&|schedule| schedule.except_dates = vec!["x".into()]), "schedules.except_dates"));
}

#[test]
fn an_amount_is_a_decimal_number() {
    let with =
        |amount: &str| service(|body| body.costs = vec![v1::Cost { amount: amount.into(), ..Default::default() }]);
    for good in ["", "0", "3.50", "10000000", "0.001"] {
        assert!(with(good).is_ok(), "{good}");
    }
    for bad in ["3,50", "-1", ".5", "5.", "1.2.3", "£3", "1e3", "٣"] {
        assert!(malformed(with(bad), "costs.amount"), "{bad}");
    }
}

#[test]
fn fields_and_enum_values_that_are_not_known_do_not_matter() {
    let bytes = v1::Service { local_id: "x".into(), name: "n".into(), status: 99, role: 7, ..Default::default() };
    let mut bytes = bytes.encode_to_vec();
    // Field 1023, three bytes; field 10, which is reserved, a number.
    bytes.extend([0xfa, 0x3f, 3, 0xff, 0xfe, 0xfd, 0x50, 7]);
    assert!(checked(Kind::SERVICE, "x", &bytes).is_ok());
}

#[test]
fn of_a_kind_that_is_not_known_the_common_fields_are_checked() {
    let with = |change: &dyn Fn(&mut v1::Common)| {
        let mut body = v1::Common { local_id: "x".into(), ..Default::default() };
        change(&mut body);
        // Field 16 of that kind: bytes that are no text.
        let bytes = [body.encode_to_vec(), vec![0x82, 1, 2, 0xff, 0xfe]].concat();
        checked(Kind(77), &body.local_id, &bytes)
    };
    assert!(with(&|_| ()).is_ok());
    assert!(missing(with(&|body| body.local_id = String::new()), "local_id"));
    assert!(malformed(with(&|body| body.source_url = "x".into()), "source_url"));
    assert!(malformed(with(&|body| body.same_as = vec![vec![1; 15]]), "same_as"));
}

#[test]
fn a_body_that_is_no_protobuf_of_its_kind_is_undecodable() {
    for bad in [&[0xff][..], &[0x08, 1], &[0x0a, 5, b'a'], &[0x0a, 2, 0xc3, 0x28], &[0, 1]] {
        assert!(matches!(checked(Kind::SERVICE, "x", bad), Err(RecordError::Undecodable { .. })), "{bad:?}");
        assert!(matches!(checked(Kind(77), "x", bad), Err(RecordError::Undecodable { .. })), "{bad:?}");
    }
}
