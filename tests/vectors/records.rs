//! Vectors of bodies: `spec/02-records.md`.

mod samples;

use fingerpost_proto::id::{OrgId, RecordId};
use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::v1;
use prost::Message;
use samples::{
    event, full_event, full_location, full_organisation, full_service, location, organisation, service, translation,
    withheld,
};
use serde_json::{Value, json};

use crate::cast::City;
use crate::{File, bytes, case, file, hex};

pub(crate) fn files() -> Vec<File> {
    vec![
        file("record_valid", "Bodies that are accepted, with their record ids: spec/02-records.md.", valid()),
        file("record_invalid", "Bodies that are refused, with the field at fault: spec/02-records.md.", invalid()),
    ]
}

fn org() -> OrgId {
    City::new().forum.id
}

fn body(name: &str, why: &str, kind: Kind, local_id: &str, body: Vec<u8>) -> Value {
    let record = RecordId::derive(&org(), kind, Audience::Public, local_id);
    case(
        name,
        why,
        json!({ "org": hex(org()), "audience": "public", "kind": kind.0, "record": hex(record), "local_id": local_id, "body": bytes(body) }),
    )
}

fn refused(mut case: Value, error: &str, field: Option<&str>) -> Value {
    case["error"] = json!(error);
    if let Some(field) = field {
        case["field"] = json!(field);
    }
    case
}

/// A service with a number that nobody knows, inside so many groups of field 1000.
fn in_groups(depth: usize) -> Vec<u8> {
    let (begin, end) = ([0xc3, 0x3e], [0xc4, 0x3e]);
    [service().encode_to_vec(), begin.repeat(depth), vec![0xf8, 0x3f, 1], end.repeat(depth)].concat()
}

fn valid() -> Vec<Value> {
    let with_unknown = [service().encode_to_vec(), vec![0xfa, 0x3f, 3, b'n', b'e', b'w', 0x50, 7]].concat();
    let out_of_order = [&b"\x82\x01\x01x"[..], b"\x0a\x07drop-in", b"\x82\x01\x04Last"].concat();
    let all_day = v1::Event {
        start: "2028-02-29".into(),
        end: "2028-03-01".into(),
        all_day: true,
        timezone: String::new(),
        ..event()
    };
    let unknown_enum = v1::Service { status: 99, role: 50, ..service() };
    let text = v1::Service { description: "\u{200f}سلام\u{200e} \u{61c}a\tb\nc".into(), ..service() };
    let common = v1::Common { local_id: "n1".into(), language: "en".into(), ..Default::default() };
    let common = [common.encode_to_vec(), vec![0x82, 1, 2, 0xff, 0xfe]].concat();
    let withheld_translated = v1::Location { translations: vec![translation("description")], ..withheld() };
    vec![
        body("service-minimal", "local id and name are required", Kind::SERVICE, "drop-in", service().encode_to_vec()),
        body("service-full", "every field", Kind::SERVICE, "drop-in", full_service().encode_to_vec()),
        body(
            "organisation-minimal",
            "local id, name and description are required",
            Kind::ORGANISATION,
            "forum",
            organisation().encode_to_vec(),
        ),
        body(
            "organisation-full",
            "every field; the scheme of a URL may be in capitals",
            Kind::ORGANISATION,
            "forum",
            full_organisation().encode_to_vec(),
        ),
        body("location-minimal", "local id and type are required", Kind::LOCATION, "hall", location().encode_to_vec()),
        body(
            "location-full",
            "every field; coordinates at their limits",
            Kind::LOCATION,
            "hall",
            full_location().encode_to_vec(),
        ),
        body(
            "location-withheld",
            "an area, a phone and a name, and no place",
            Kind::LOCATION,
            "refuge",
            withheld().encode_to_vec(),
        ),
        body(
            "location-withheld-translated",
            "name, alternate_name and description may be translated",
            Kind::LOCATION,
            "refuge",
            withheld_translated.encode_to_vec(),
        ),
        body("event-minimal", "local id, name, start and time zone", Kind::EVENT, "supper", event().encode_to_vec()),
        body("event-full", "every field", Kind::EVENT, "supper", full_event().encode_to_vec()),
        body(
            "event-all-day",
            "dates, no time zone; 29 February of a leap year",
            Kind::EVENT,
            "supper",
            all_day.encode_to_vec(),
        ),
        body(
            "unknown-field",
            "fields 1023 and 10 are not known: they are skipped, and kept with the bytes",
            Kind::SERVICE,
            "drop-in",
            with_unknown,
        ),
        body(
            "unknown-enum-value",
            "an enum value without meaning is kept; readers treat it as unspecified",
            Kind::SERVICE,
            "drop-in",
            unknown_enum.encode_to_vec(),
        ),
        body(
            "unknown-kind",
            "of kind 77 only the common fields are read; field 16 may be anything",
            Kind(77),
            "n1",
            common,
        ),
        body(
            "field-order",
            "fields come in any order, the last value of a single field counts",
            Kind::SERVICE,
            "drop-in",
            out_of_order,
        ),
        body("groups-99", "an unknown field inside 99 groups is skipped", Kind::SERVICE, "drop-in", in_groups(99)),
        body(
            "text-directions",
            "U+200E, U+200F and U+061C, line feed and tab are allowed in running text",
            Kind::SERVICE,
            "drop-in",
            text.encode_to_vec(),
        ),
        body(
            "local-id-longest",
            "128 bytes",
            Kind::SERVICE,
            &"i".repeat(128),
            v1::Service { local_id: "i".repeat(128), ..service() }.encode_to_vec(),
        ),
        body(
            "line-longest",
            "1,000 bytes",
            Kind::SERVICE,
            "drop-in",
            v1::Service { name: "n".repeat(1_000), ..service() }.encode_to_vec(),
        ),
        body(
            "text-longest",
            "32,768 bytes",
            Kind::SERVICE,
            "drop-in",
            v1::Service { description: "d".repeat(32_768), ..service() }.encode_to_vec(),
        ),
        body(
            "list-longest",
            "256 entries",
            Kind::SERVICE,
            "drop-in",
            v1::Service { funding: vec!["f".into(); 256], ..service() }.encode_to_vec(),
        ),
        body(
            "url-longest",
            "2,048 bytes",
            Kind::SERVICE,
            "drop-in",
            v1::Service { url: format!("https://{}", "u".repeat(2_040)), ..service() }.encode_to_vec(),
        ),
    ]
}

fn invalid() -> Vec<Value> {
    let of_service = |name: &str, why: &str, message: v1::Service, error: &str, field: &str| {
        let local_id = message.local_id.clone();
        refused(body(name, why, Kind::SERVICE, &local_id, message.encode_to_vec()), error, Some(field))
    };
    let of_location = |name: &str, why: &str, message: v1::Location, error: &str, field: &str| {
        let local_id = message.local_id.clone();
        refused(body(name, why, Kind::LOCATION, &local_id, message.encode_to_vec()), error, Some(field))
    };
    let of_event = |name: &str, why: &str, message: v1::Event, error: &str, field: &str| {
        let local_id = message.local_id.clone();
        refused(body(name, why, Kind::EVENT, &local_id, message.encode_to_vec()), error, Some(field))
    };
    let raw = |name: &str, why: &str, bytes: &[u8]| {
        let bytes = [&b"\x0a\x07drop-in\x82\x01\x01x"[..], bytes].concat();
        refused(body(name, why, Kind::SERVICE, "drop-in", bytes), "body-undecodable", None)
    };
    let described = |description: &str| v1::Service { description: description.into(), ..service() };
    let named = |name: &str| v1::Service { name: name.into(), ..service() };
    let give_away = |field: &str, change: &dyn Fn(&mut v1::Location)| {
        let mut message = withheld();
        change(&mut message);
        of_location(
            &format!("withheld-{field}"),
            "a withheld location must not carry this field",
            message,
            "withheld-place",
            field,
        )
    };
    let other_record = {
        let mut case = body(
            "record-id-of-another",
            "the record id is made from another local id",
            Kind::SERVICE,
            "drop-in",
            service().encode_to_vec(),
        );
        case["record"] = json!(hex(RecordId::derive(&org(), Kind::SERVICE, Audience::Public, "other")));
        refused(case, "record-id-mismatch", None)
    };
    let other_audience = {
        let mut case = body(
            "record-id-of-other-audience",
            "the record id is made for the other audience",
            Kind::SERVICE,
            "drop-in",
            service().encode_to_vec(),
        );
        case["record"] = json!(hex(RecordId::derive(&org(), Kind::SERVICE, Audience::Members, "drop-in")));
        refused(case, "record-id-mismatch", None)
    };
    vec![
        raw(
            "wire-type",
            "field 17 (string) written as a varint: a known field with another wire type",
            b"\x88\x01\x01",
        ),
        raw("utf-8", "a string that is not UTF-8", b"\x8a\x01\x02\xc3\x28"),
        raw("cut", "the last field is cut", b"\x8a\x01\x05abc"),
        raw("field-zero", "field number 0", b"\x00\x01"),
        raw("group-end", "the end of a group that was not begun", b"\xfc\x3f"),
        raw("wire-type-6", "wire type 6 does not exist", b"\xfe\x3f"),
        refused(
            body("groups-100", "a field inside 100 groups", Kind::SERVICE, "drop-in", in_groups(100)),
            "body-undecodable",
            None,
        ),
        raw("varint-too-long", "a varint of 11 bytes", b"\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        other_record,
        other_audience,
        of_service(
            "local-id-missing",
            "the local id is required",
            v1::Service { local_id: String::new(), ..service() },
            "field-missing",
            "local_id",
        ),
        of_service(
            "local-id-too-long",
            "129 bytes",
            v1::Service { local_id: "i".repeat(129), ..service() },
            "text-too-long",
            "local_id",
        ),
        of_service(
            "local-id-line-feed",
            "a line feed in a local id",
            v1::Service { local_id: "a\nb".into(), ..service() },
            "forbidden-character",
            "local_id",
        ),
        of_service("name-missing", "a name of spaces is no name", named("  "), "field-missing", "name"),
        of_service("line-too-long", "1,001 bytes", named(&"n".repeat(1_001)), "text-too-long", "name"),
        of_service(
            "line-with-line-feed",
            "line feeds are for running text",
            named("a\nb"),
            "forbidden-character",
            "name",
        ),
        of_service("text-too-long", "32,769 bytes", described(&"d".repeat(32_769)), "text-too-long", "description"),
        of_service("text-control", "U+0007", described("a\u{7}"), "forbidden-character", "description"),
        of_service("text-carriage-return", "U+000D", described("a\r\n"), "forbidden-character", "description"),
        of_service("text-c1", "U+0085", described("a\u{85}"), "forbidden-character", "description"),
        of_service(
            "text-override",
            "U+202E turns the direction of what follows",
            described("a\u{202e}b"),
            "forbidden-character",
            "description",
        ),
        of_service("text-isolate", "U+2066", described("a\u{2066}b"), "forbidden-character", "description"),
        of_service("text-line-separator", "U+2028", described("a\u{2028}b"), "forbidden-character", "description"),
        of_service("text-byte-order-mark", "U+FEFF", described("\u{feff}a"), "forbidden-character", "description"),
        of_service(
            "list-too-long",
            "257 entries",
            v1::Service { funding: vec!["f".into(); 257], ..service() },
            "list-too-long",
            "funding",
        ),
        of_service(
            "url-too-long",
            "2,049 bytes",
            v1::Service { url: format!("https://{}", "u".repeat(2_041)), ..service() },
            "text-too-long",
            "url",
        ),
        of_service(
            "url-scheme",
            "only http and https",
            v1::Service { url: "javascript:alert(1)".into(), ..service() },
            "field-malformed",
            "url",
        ),
        of_service(
            "url-mark",
            "U+200F: the address would not be read as it is written",
            v1::Service { url: "https://example.org/\u{200f}x".into(), ..service() },
            "field-malformed",
            "url",
        ),
        of_service(
            "url-host",
            "no host",
            v1::Service { url: "https:///x".into(), ..service() },
            "field-malformed",
            "url",
        ),
        of_service(
            "url-space",
            "a space",
            v1::Service { url: "https://a b".into(), ..service() },
            "field-malformed",
            "url",
        ),
        of_service(
            "language-tag",
            "an underscore is no part of a tag",
            v1::Service { language: "en_GB".into(), ..service() },
            "field-malformed",
            "language",
        ),
        of_service(
            "language-too-long",
            "36 bytes",
            v1::Service { language: format!("en-{}-x", "abcdefg-".repeat(4).trim_end_matches('-')), ..service() },
            "text-too-long",
            "language",
        ),
        of_service(
            "translations-too-many",
            "65 translations",
            v1::Service { translations: vec![translation("name"); 65], ..service() },
            "list-too-long",
            "translations",
        ),
        of_service(
            "reference-length",
            "a record id has 16 bytes",
            v1::Service { organisation: vec![1; 15], ..service() },
            "field-malformed",
            "organisation",
        ),
        of_service(
            "reference-empty-in-list",
            "an entry of a list of references may not be empty",
            v1::Service { same_as: vec![vec![]], ..service() },
            "field-malformed",
            "same_as",
        ),
        of_service(
            "cost-amount",
            "a decimal number",
            v1::Service { costs: vec![v1::Cost { amount: "3,50".into(), ..Default::default() }], ..service() },
            "field-malformed",
            "costs.amount",
        ),
        of_service(
            "schedule-time",
            "25:00 is no time of day",
            v1::Service {
                schedules: vec![v1::Schedule { opens_at: "25:00".into(), ..Default::default() }],
                ..service()
            },
            "field-malformed",
            "schedules.opens_at",
        ),
        of_service(
            "phone-without-number",
            "a phone has a number",
            v1::Service { phones: vec![v1::Phone::default()], ..service() },
            "field-missing",
            "phones.number",
        ),
        refused(
            body(
                "organisation-description",
                "an organisation says what it does",
                Kind::ORGANISATION,
                "forum",
                v1::Organisation { description: String::new(), ..organisation() }.encode_to_vec(),
            ),
            "field-missing",
            Some("description"),
        ),
        of_location(
            "location-type",
            "the type must be stated",
            v1::Location { r#type: 0, ..location() },
            "field-missing",
            "type",
        ),
        of_location(
            "latitude-alone",
            "latitude and longitude go together",
            v1::Location { latitude_e7: Some(1), ..location() },
            "field-malformed",
            "latitude_e7",
        ),
        of_location(
            "latitude-range",
            "90.0000001 degrees",
            v1::Location { latitude_e7: Some(900_000_001), longitude_e7: Some(0), ..location() },
            "field-malformed",
            "latitude_e7",
        ),
        of_location(
            "longitude-range",
            "180.0000001 degrees",
            v1::Location { latitude_e7: Some(0), longitude_e7: Some(1_800_000_001), ..location() },
            "field-malformed",
            "longitude_e7",
        ),
        give_away("addresses", &|place| {
            place.addresses = vec![v1::Address { line_1: "1 Secret Street".into(), ..Default::default() }]
        }),
        give_away("latitude_e7", &|place| (place.latitude_e7, place.longitude_e7) = (Some(0), Some(0))),
        give_away("external_identifier", &|place| place.external_identifier = "1".into()),
        give_away("transportation", &|place| place.transportation = "Bus 7".into()),
        give_away("accessibility", &|place| place.accessibility = vec![v1::Accessibility::default()]),
        give_away("url", &|place| place.url = "https://refuge.example".into()),
        give_away("map_url", &|place| place.map_url = "https://maps.example/1".into()),
        give_away("source_url", &|place| place.source_url = "https://refuge.example".into()),
        give_away("areas.geojson", &|place| place.areas[0].geojson = "{}".into()),
        give_away("translations", &|place| place.translations = vec![translation("transportation")]),
        of_event(
            "event-start-missing",
            "an event has a start",
            v1::Event { start: String::new(), ..event() },
            "field-missing",
            "start",
        ),
        of_event(
            "event-start-date-only",
            "a date where a time is needed",
            v1::Event { start: "2026-10-02".into(), ..event() },
            "field-malformed",
            "start",
        ),
        of_event(
            "event-start-zone",
            "an offset: times are local to the time zone",
            v1::Event { start: "2026-10-02T18:00:00Z".into(), ..event() },
            "field-malformed",
            "start",
        ),
        of_event(
            "event-start-second-60",
            "there is no second 60",
            v1::Event { start: "2026-10-02T18:00:60".into(), ..event() },
            "field-malformed",
            "start",
        ),
        of_event(
            "event-all-day-time",
            "a time where a date is needed",
            v1::Event { all_day: true, ..event() },
            "field-malformed",
            "start",
        ),
        of_event(
            "event-no-such-day",
            "29 February of a common year",
            v1::Event { start: "2027-02-29".into(), all_day: true, ..event() },
            "field-malformed",
            "start",
        ),
        of_event(
            "event-zone-missing",
            "an event with a time has a time zone",
            v1::Event { timezone: String::new(), ..event() },
            "field-missing",
            "timezone",
        ),
        of_event(
            "occurrence-without-original",
            "an occurrence names the start that the rule gives it",
            v1::Event { occurrences: vec![v1::Occurrence::default()], ..event() },
            "field-missing",
            "occurrences.original_start",
        ),
    ]
}
