//! HSDS JSON: what becomes of records, copies, mistakes and unknown fields; then the official samples.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use fingerpost_proto::id::{OrgId, RecordId};
use fingerpost_proto::kind::{Audience, Kind};
use proptest::prelude::*;

use super::super::{DraftBody, Import, ImportContext, ImportError, Severity, read, read_bytes};

fn context() -> ImportContext {
    ImportContext::new(OrgId([7; 32]))
}

fn import(json: &serde_json::Value) -> Import {
    read_bytes(&[("hsds.json", json.to_string().as_bytes())], &context()).unwrap()
}

fn counts(import: &Import) -> [usize; 3] {
    [Kind::ORGANISATION, Kind::SERVICE, Kind::LOCATION]
        .map(|kind| import.drafts.iter().filter(|draft| draft.kind == kind).count())
}

fn service(id: &str) -> serde_json::Value {
    serde_json::json!({
        "id": id, "name": "Advice", "status": "active",
        "organization": {"id": "o", "name": "Lantern", "description": "Help"},
        "service_at_locations": [{"id": "l", "location": {
            "id": "hall", "location_type": "physical", "name": "Hall",
            "addresses": [{"id": "a", "address_1": "1 Road", "city": "Leeds", "postal_code": "LS1 1UR", "country": "GB"}],
        }}],
        "schedules": [{"id": "s", "freq": "WEEKLY", "byday": "MO,TU", "opens_at": "09:00:00", "closes_at": "17:00"}],
        "languages": [{"id": "x", "code": "ar"}, {"id": "y", "name": "others on request"}],
    })
}

#[test]
fn nested_organisations_and_locations_become_records_once() {
    let import = import(&serde_json::json!({"total_items": 2, "contents": [service("1"), service("2")]}));
    assert_eq!(counts(&import), [1, 2, 1]);
    assert_eq!((import.rows_read, import.rows_rejected), (4, 0));
    let body = import.drafts.iter().find_map(|draft| match &draft.body {
        DraftBody::Service(body) => Some(body),
        _ => None,
    });
    let body = body.unwrap();
    let id = |kind, id| RecordId::derive(&context().org, kind, Audience::Public, id).0.to_vec();
    assert_eq!(body.organisation, id(Kind::ORGANISATION, "o"));
    assert_eq!(body.locations[0].location, id(Kind::LOCATION, "hall"));
    assert_eq!((&*body.schedules[0].rrule, &*body.schedules[0].closes_at), ("FREQ=WEEKLY;BYDAY=MO,TU", "17:00"));
    assert_eq!((&*body.languages[0].tag, &*body.interpretation_services), ("ar", "others on request"));
}

#[test]
fn integer_ids_are_kept_as_local_ids() {
    let import = import(
        &serde_json::json!([{"id": 136, "name": "A", "status": "active", "organization": {"id": 7, "name": "B"}}]),
    );
    let ids: Vec<_> = import.drafts.iter().map(|draft| draft.local_id.as_str()).collect();
    assert_eq!(ids, ["7", "136"]);
}

#[test]
fn copies_that_differ_keep_the_first_and_say_so() {
    let mut other = service("2");
    other["organization"]["name"] = "Latern".into();
    other["organization"]["email"] = "a@example.org".into();
    let import = import(&serde_json::json!([service("1"), other]));
    let DraftBody::Organisation(body) = &import.drafts[0].body else { panic!("an organisation") };
    assert_eq!((&*body.name, &*body.email), ("Lantern", "a@example.org"));
    assert!(import.problems.iter().any(|problem| problem.reason.contains("other copies")), "{:?}", import.problems);
}

#[test]
fn a_bad_field_is_left_out_and_a_record_without_name_or_id_is_rejected() {
    let mut bad = service("1");
    bad["url"] = "not a url".into();
    bad["email"] = "[email protected]".into();
    let rejected =
        import(&serde_json::json!([bad, {"id": "2", "status": "active"}, {"name": "x", "status": "active"}]));
    assert_eq!((rejected.rows_read, rejected.rows_rejected), (5, 2));
    assert_eq!(counts(&rejected), [1, 1, 1]);
    let errors = rejected.problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    assert_eq!(errors, 2);
}

#[test]
fn unknown_fields_are_counted_and_listed() {
    let mut strange = service("1");
    strange["x_colour"] = "red".into();
    strange["schedules"][0]["byweekno"] = "1".into();
    let import = import(&serde_json::json!([strange]));
    let found: Vec<_> = import.problems.iter().map(|problem| problem.found.as_str()).collect();
    assert!(found.iter().any(|found| found.starts_with("service.x_colour, 1 times")), "{found:?}");
    assert!(found.iter().any(|found| found.starts_with("schedule.byweekno, 1 times")), "{found:?}");
}

#[test]
fn a_place_that_may_be_secret_is_rejected_until_it_says_so() {
    let location = |kind: Option<&str>| {
        let mut location =
            serde_json::json!({"id": "1", "name": "Women's refuge", "latitude": 53.8, "longitude": -1.5});
        if let Some(kind) = kind {
            location["location_type"] = kind.into();
        }
        import(&serde_json::json!([location])).drafts.len()
    };
    assert_eq!([location(None), location(Some("withheld")), location(Some("physical"))], [0, 0, 1]);
    let withheld = serde_json::json!([{"id": "1", "name": "Refuge", "location_type": "redacted"}]);
    assert_eq!(import(&withheld).drafts.len(), 1);
}

#[test]
fn links_that_stand_alone_join_service_and_location() {
    let import = import(&serde_json::json!([{
        "id": "link", "description": "Room 2",
        "service": {"id": "s", "name": "S", "status": "active", "organization": {"id": "o", "name": "O"}},
        "location": {"id": "l", "name": "L", "location_type": "virtual"},
    }]));
    assert_eq!(counts(&import), [1, 1, 1]);
    let DraftBody::Service(body) = &import.drafts[1].body else { panic!("a service: {:?}", import.drafts) };
    assert_eq!(&*body.locations[0].description, "Room 2");
    assert!(!body.locations[0].location.is_empty());
}

#[test]
fn what_is_no_hsds_is_refused() {
    for json in ["{", "[1,", "{\"version\": \"1\", \"openapi_url\": \"x\"}", "[]", "{}", "{\"contents\": []}"] {
        let result = read_bytes(&[("x.json", json.as_bytes())], &context());
        assert!(matches!(result, Err(ImportError::NotUnderstood { .. })), "{json}: {result:?}");
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(read_bytes(&[("x.json", deep.as_bytes())], &context()).is_err());
}

#[test]
fn a_service_of_too_many_parts_is_bounded() {
    let mut many = service("1");
    many["phones"] = (0..1_000).map(|i| serde_json::json!({"number": format!("+44 115 496 {i:04}")})).collect();
    let import = import(&serde_json::json!([many]));
    let DraftBody::Service(body) = &import.drafts[2].body else { panic!("a service") };
    assert_eq!(body.phones.len(), 256);
    assert!(import.problems.iter().any(|problem| problem.reason.contains("the limit is 256")));
}

#[test]
fn organisations_in_services_in_organisations_end_somewhere() {
    let mut json = serde_json::json!({"id": "0", "name": "O", "services": []});
    for depth in 1..20 {
        json = serde_json::json!({
            "id": depth.to_string(), "name": "O",
            "services": [{"id": depth.to_string(), "name": "S", "status": "active", "organization": json}],
        });
    }
    let import = import(&json);
    assert!(import.problems.iter().any(|problem| problem.reason == "nested too deeply"), "{:?}", import.problems);
    assert_eq!(counts(&import)[0], 5);
}

#[test]
fn invented_fields_are_counted_without_end() {
    let mut strange = service("1");
    for number in 0..2_000 {
        strange[format!("x{number}")] = 1.into();
    }
    let import = import(&serde_json::json!([strange]));
    assert!(import.problems.len() < 510);
    assert!(import.problems.iter().any(|problem| problem.found.starts_with("service.(other fields), 1500 times")));
}

/// The folder of shared data, when this workplace has one.
fn shared() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os("FINGERPOST_SHARED") {
        return Some(folder.into());
    }
    let start = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    start.ancestors().map(|folder| folder.join("shared")).find(|folder| folder.join("data").is_dir())
}

#[test]
fn the_official_samples_and_the_validators_mocks_are_read() {
    let Some(samples) = shared().map(|folder| folder.join("data/hsds-samples")).filter(|folder| folder.is_dir()) else {
        eprintln!("SKIPPED: no shared/data/hsds-samples; set FINGERPOST_SHARED to its folder");
        return;
    };
    let folders = ["hsds-3.0", "hsds-3.1-dev", "hsds-uk-3.0", "oruk-validator-mocks/Default"];
    let mocks = ["oruk-validator-mocks/Test", "oruk-validator-mocks/Fail", "oruk-validator-mocks/Warn"];
    for folder in folders.into_iter().chain(mocks) {
        let mut paths: Vec<PathBuf> =
            std::fs::read_dir(samples.join(folder)).unwrap().map(|e| e.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        paths.sort();
        for path in paths {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            match read(&[&path], &context()) {
                Ok(import) => {
                    let errors = import.problems.iter().filter(|problem| problem.severity == Severity::Error);
                    let reasons: Vec<_> =
                        errors.map(|p| format!("{}: {}", p.column.as_deref().unwrap_or(""), p.reason)).collect();
                    println!(
                        "{folder}/{name}: {} records, {} rejected {reasons:?}, {} problems, organisations/services/locations {:?}",
                        import.rows_read,
                        import.rows_rejected,
                        import.problems.len(),
                        counts(&import)
                    );
                    assert_eq!(import.drafts.len() as u64 + import.rows_rejected, import.rows_read);
                    if name.starts_with("service_full") {
                        assert_eq!(counts(&import)[1], 1, "{folder}/{name}");
                    }
                    if folder.ends_with("Test") && name == "service_list.json" {
                        // The mock page repeats one service 128 times.
                        let said = |problem: &super::super::Problem| problem.reason.contains("128 times");
                        assert!(import.problems.iter().any(said), "{:?}", import.problems);
                    }
                }
                Err(error) => {
                    println!("{folder}/{name}: {error}");
                    assert!(
                        ["base.json", "api_details.json", "tabular.json"].contains(&name.as_str()),
                        "{name}: {error}"
                    );
                }
            }
        }
    }
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let key = prop::sample::select(vec![
        "id",
        "name",
        "status",
        "organization",
        "organization_id",
        "service_at_locations",
        "location",
        "locations",
        "services",
        "phones",
        "number",
        "schedules",
        "freq",
        "byday",
        "opens_at",
        "addresses",
        "location_type",
        "latitude",
        "contents",
        "languages",
        "code",
        "attributes",
        "taxonomy_term",
        "service",
        "until",
        "x",
    ]);
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        ".{0,12}".prop_map(Into::into),
        Just("WEEKLY".into()),
        Just("1".into()),
    ];
    leaf.prop_recursive(5, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::Array),
            prop::collection::vec((key.clone(), inner), 0..8)
                .prop_map(|pairs| pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_json_makes_the_reader_panic(json in json()) {
        let _ = read_bytes(&[("random.json", json.to_string().as_bytes())], &context());
    }
}
