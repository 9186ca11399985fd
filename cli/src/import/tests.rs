//! Rules of the CSV template: each column with a good value and its bad neighbour, and files meant to do harm.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn context() -> ImportContext {
    ImportContext::new(OrgId([7; 32]))
}

fn import(csv: &str) -> Import {
    read_bytes(&[("list.csv", csv.as_bytes())], &context()).unwrap()
}

/// Imports one row, given as (column, value) pairs beside the base of that kind.
fn row(kind: &str, cells: &[(&str, &str)]) -> Import {
    let mut all: Vec<(&str, &str)> = vec![("kind", kind), ("id", "x"), ("name", "Name"), ("organisation", "org")];
    if matches!(kind, "organisation" | "location") {
        all.retain(|(column, _)| *column != "organisation");
    }
    if kind == "location" && !cells.iter().any(|(column, _)| *column == "location_type") {
        all.push(("location_type", "physical"));
    }
    if kind == "event" && !cells.iter().any(|(column, _)| *column == "start") {
        all.push(("start", "2027-03-30 10:00"));
    }
    all.retain(|(column, _)| !cells.iter().any(|(other, _)| other == column));
    all.extend(cells);
    let quoted = |texts: Vec<&str>| {
        texts.iter().map(|text| format!("\"{}\"", text.replace('"', "\"\""))).collect::<Vec<_>>().join(",")
    };
    let header = quoted(all.iter().map(|(column, _)| *column).collect());
    let values = quoted(all.iter().map(|(_, value)| *value).collect());
    let mut context = context();
    let published = [(Kind::ORGANISATION, "org"), (Kind::LOCATION, "hall"), (Kind::SERVICE, "advice")];
    context.published = Some(published.map(|(kind, id)| (kind, Audience::Public, id.to_owned())).into());
    read_bytes(&[("list.csv", format!("{header}\n{values}\n").as_bytes())], &context).unwrap()
}

fn problems(import: &Import, severity: Severity) -> Vec<String> {
    let wanted = import.problems.iter().filter(|problem| problem.severity == severity);
    wanted.map(|problem| format!("{}: {}", problem.column.as_deref().unwrap_or("-"), problem.reason)).collect()
}

#[test]
fn the_template_imports_without_problems() {
    let import = import(template());
    assert_eq!(import.problems, []);
    assert_eq!((import.rows_read, import.rows_rejected, import.drafts.len()), (7, 0, 8));
    let kinds = |kind| import.drafts.iter().filter(|draft| draft.kind == kind).count();
    assert_eq!([Kind::ORGANISATION, Kind::SERVICE, Kind::LOCATION, Kind::EVENT].map(kinds), [1, 2, 3, 2]);
    let header = template().lines().next().unwrap();
    for column in column::Column::ALL {
        assert!(header.split(',').any(|name| name == column.name()), "{} is in the template", column.name());
    }
}

#[test]
fn the_template_is_read_as_it_was_meant() {
    let import = import(template());
    let org = context().org;
    let DraftBody::Service(advice) = &import.drafts[3].body else { panic!("a service") };
    let organisation = fingerpost_proto::id::RecordId::derive(&org, Kind::ORGANISATION, Audience::Public, "lantern");
    assert_eq!(advice.organisation, organisation.0);
    let hall = fingerpost_proto::id::RecordId::derive(&org, Kind::LOCATION, Audience::Public, "mill-hall");
    assert_eq!(advice.locations[0].location, hall.0);
    assert_eq!(advice.schedules.len(), 3);
    let morning = &advice.schedules[0];
    assert_eq!(
        (&*morning.opens_at, &*morning.closes_at, &*morning.rrule),
        ("09:30", "12:30", "FREQ=WEEKLY;BYDAY=MO,TU")
    );
    assert_eq!(morning.except_dates, ["2026-12-25", "2026-12-26"]);
    assert_eq!((&*morning.timezone, &*morning.notes), ("Europe/London", "Come before the last half hour."));
    assert_eq!(advice.translations[0].language, "ar");
    assert_eq!(
        advice.translations[0].texts.iter().map(|text| &*text.field).collect::<Vec<_>>(),
        ["name", "description"]
    );
    assert_eq!(advice.modified_ms, 0);
    let DraftBody::Event(course) = &import.drafts[7].body else { panic!("an event") };
    assert_eq!((&*course.start, &*course.end), ("2026-11-24T10:00:00", "2026-11-24T12:00:00"));
    assert_eq!(course.rrule, "FREQ=WEEKLY;BYDAY=TU,TH;UNTIL=20270325T235959Z");
    assert_eq!(course.except_starts, ["2026-12-24T10:00:00", "2026-12-29T10:00:00", "2026-12-31T10:00:00"]);
    assert_eq!(course.extra_starts, ["2026-12-18T10:00:00"]);
    assert_eq!((&*course.costs[0].amount, &*course.costs[0].currency), ("2.50", "GBP"));
}

#[test]
fn each_column_accepts_a_good_value_and_refuses_its_bad_neighbour() {
    for (kind, column, good, bad) in [
        ("service", "kind", "service", "servise"),
        ("service", "id", "drop-in", "1.15E+09"),
        ("service", "name", "Advice", ""),
        ("service", "description", "Text", "Te\u{0}xt"),
        ("service", "language", "ar", "arabish"),
        ("service", "status", "temporarily closed", "maybe"),
        ("service", "url", "https://example.org", "javascript:alert(1)"),
        ("service", "email", "a@example.org", "[email protected]"),
        ("service", "phone", "office: 0115 496 0321", "ring us"),
        ("service", "organisation", "org", "orgg"),
        ("service", "location", "hall; hall", "hal"),
        ("event", "service", "advice", "advise"),
        ("location", "country", "GB", "ZZ"),
        ("location", "uprn", "10092008082", "1.00920E+10"),
        ("location", "location_type", "virtual", "somewhere"),
        ("service", "area", "Nottingham <https://example.org/E06>", "<https://example.org/E06>"),
        ("service", "monday", "09:00-12:00, 13:00-17:00", "17:00-09:00"),
        ("service", "sunday", "closed", "by appointment"),
        ("service", "minimum_age", "16", "sixteen"),
        ("service", "maximum_age", "25", "250"),
        ("service", "topics", "esol=English classes", "esol="),
        ("service", "audiences", "Families", "x="),
        ("event", "start", "2027-03-30T10:00", "03/04/2027 10:00"),
        ("event", "end", "12:00", "09:00"),
        ("event", "all_day", "yes", "perhaps"),
        ("event", "timezone", "Europe/London", "BST"),
        ("event", "repeat", "weekly on Tuesday", "now and then"),
        ("event", "extra", "2027-04-07", "7 April"),
        ("event", "event_status", "cancelled", "off"),
        ("event", "attendance", "online", "somehow"),
        ("event", "join_url", "https://meet.example.org/a", "zoom"),
        ("event", "booking_url", "https://example.org/book", "ask"),
        ("event", "cost", "£3.50", "3\u{0}"),
        ("event", "is_free", "no", "nearly"),
        ("event", "capacity", "30", "-1"),
        ("organisation", "identifiers", "GB-CHC:1234567", "1234567"),
        ("organisation", "year_founded", "2009", "'09"),
        ("organisation", "parent", "org", "nobody"),
        ("organisation", "role", "compiler", "boss"),
        ("service", "same_as", "8a1c8b52-3c49-4f5b-9d43-0f6f8a1c7d11", "that one"),
        ("service", "replaces", "8a1c8b52-3c49-4f5b-9d43-0f6f8a1c7d11", "the old one"),
        ("service", "assurer_email", "a@example.org", "a"),
        ("service", "source_url", "https://example.org", "ftp://example.org"),
        ("service", "audience", "members", "friends"),
        ("service", "lease_days", "400", "401"),
        ("service", "name:ar", "اسم", "ا\u{1b}سم"),
    ] {
        let accepted = row(kind, &[(column, good)]);
        assert_eq!(problems(&accepted, Severity::Error), [""; 0], "{column} {good:?}");
        assert_eq!((accepted.drafts.len(), accepted.rows_rejected), (1, 0), "{column} {good:?}");
        let refused = row(kind, &[(column, bad)]);
        let errors = refused.problems.iter().filter(|problem| problem.severity == Severity::Error);
        assert!(
            errors.clone().any(|problem| problem.column.as_deref() == Some(column)),
            "{column} {bad:?}: {refused:?}"
        );
        assert!(errors.clone().all(|problem| !problem.fix.is_empty() && !problem.reason.is_empty()), "{column}");
        assert_eq!((refused.drafts.len(), refused.rows_rejected), (0, 1), "{column} {bad:?}");
    }
}

#[test]
fn columns_that_depend_on_a_neighbour_say_so() {
    for (kind, good, bad, column) in [
        (
            "location",
            &[("latitude", "52.9"), ("longitude", "-1.1")][..],
            &[("latitude", "52.9"), ("longitude", "")][..],
            "longitude",
        ),
        (
            "location",
            &[("latitude", "90"), ("longitude", "180")],
            &[("latitude", "90.1"), ("longitude", "180")],
            "latitude",
        ),
        (
            "service",
            &[("minimum_age", "16"), ("maximum_age", "16")],
            &[("minimum_age", "17"), ("maximum_age", "16")],
            "maximum_age",
        ),
        (
            "service",
            &[("monday", "9am-5pm"), ("hours_valid_from", "2027-01-01"), ("hours_valid_to", "2027-01-01")],
            &[("monday", "9am-5pm"), ("hours_valid_from", "2027-01-02"), ("hours_valid_to", "2027-01-01")],
            "hours_valid_to",
        ),
        (
            "event",
            &[("repeat", "daily"), ("except", "2027-04-01")],
            &[("repeat", "daily"), ("except", "1 April")],
            "except",
        ),
        ("event", &[("cost", "free"), ("is_free", "yes")], &[("cost", "£2"), ("is_free", "yes")], "is_free"),
        ("event", &[("location", "hall"), ("city", "")], &[("location", "hall"), ("city", "Leeds")], "city"),
    ] {
        assert_eq!(problems(&row(kind, good), Severity::Error), [""; 0], "{good:?}");
        let refused = row(kind, bad);
        assert_eq!(refused.drafts.len(), 0, "{bad:?}");
        assert!(
            refused.problems.iter().any(|problem| problem.column.as_deref() == Some(column)),
            "{bad:?}: {refused:?}"
        );
    }
}

#[test]
fn plain_text_columns_are_read_into_their_fields() {
    let import = row(
        "service",
        &[
            ("alternate_name", "AN"),
            ("eligibility", "EL"),
            ("fees", "FE"),
            ("interpretation", "IN"),
            ("application", "AP"),
            ("wait_time", "WA"),
            ("required_documents", "D1; D2"),
            ("alert", "AL"),
            ("hours_notes", "HN"),
            ("languages", "Arabic; fa"),
        ],
    );
    assert_eq!(import.problems, []);
    let DraftBody::Service(body) = &import.drafts[0].body else { panic!("a service") };
    let texts = [
        &body.alternate_name,
        &body.eligibility_description,
        &body.fees_description,
        &body.interpretation_services,
        &body.application_process,
        &body.wait_time,
        &body.alert,
        &body.schedules[0].notes,
    ];
    assert_eq!(texts.map(String::as_str), ["AN", "EL", "FE", "IN", "AP", "WA", "AL", "HN"]);
    assert_eq!(body.required_documents, ["D1", "D2"]);
    assert_eq!(body.languages.iter().map(|language| &*language.tag).collect::<Vec<_>>(), ["ar", "fa"]);
    let import = row(
        "location",
        &[
            ("address_1", "A1"),
            ("address_2", "A2"),
            ("city", "CI"),
            ("region", "RE"),
            ("state_province", "ST"),
            ("postal_code", "NG1 5FS"),
            ("transport", "TR"),
            ("accessibility", "AC; AD"),
        ],
    );
    assert_eq!(import.problems, []);
    let DraftBody::Location(body) = &import.drafts[0].body else { panic!("a location") };
    let address = &body.addresses[0];
    let texts =
        [&address.line_1, &address.line_2, &address.city, &address.region, &address.state_province, &address.country];
    assert_eq!(texts.map(String::as_str), ["A1", "A2", "CI", "RE", "ST", "GB"]);
    assert_eq!((&*body.transportation, body.accessibility.len()), ("TR", 2));
    let import = row("organisation", &[("legal_status", "charity")]);
    let DraftBody::Organisation(body) = &import.drafts[0].body else { panic!("an organisation") };
    assert_eq!(body.legal_status, "charity");
}

#[test]
fn a_problem_names_file_row_column_cell_and_what_was_found() {
    let import = import("kind;name;phone\nservice;Advice;ring us\n");
    let problem = import.problems.iter().find(|problem| problem.found == "ring us").unwrap();
    assert_eq!((problem.file.as_str(), problem.row, problem.column.as_deref()), ("list.csv", Some(2), Some("phone")));
    assert_eq!(problem.cell.as_deref(), Some("C2"));
}

#[test]
fn all_errors_of_a_row_are_told_at_once() {
    let import =
        row("service", &[("url", "a b"), ("email", "a"), ("phone", "x"), ("monday", "x"), ("lease_days", "0")]);
    assert_eq!(problems(&import, Severity::Error).len(), 5);
}

#[test]
fn rows_are_counted_as_a_spreadsheet_counts_them() {
    let import = import("kind,name,email\norganisation,\"A\nB\",\n\n\n,,\norganisation,C,bad\n");
    assert_eq!(import.problems[0].row, Some(6));
    assert_eq!((import.rows_read, import.rows_rejected), (2, 1));
}

#[test]
fn an_unknown_column_is_named_with_the_nearest_known_one() {
    let import = import("kind,name,descripton,favourite colour\norganisation,A,B,C\n");
    assert_eq!(import.drafts.len(), 1);
    assert!(import.problems[0].fix.contains("\"description\""), "{:?}", import.problems[0]);
    assert_eq!(import.problems[1].cell.as_deref(), Some("D1"));
}

#[test]
fn a_value_in_a_column_of_another_kind_is_warned_about() {
    let import = row("organisation", &[("start", "2027-01-01")]);
    assert_eq!((import.drafts.len(), problems(&import, Severity::Warning).len()), (1, 1));
}

#[test]
fn a_service_with_an_address_brings_its_location() {
    let import = row("service", &[("address_1", "3 Bell Yard"), ("city", "Nottingham"), ("postal_code", "NG1 6HX")]);
    assert_eq!(import.problems, []);
    let DraftBody::Service(service) = &import.drafts[1].body else { panic!("a service") };
    assert_eq!((import.drafts[0].kind, import.drafts[0].local_id.as_str()), (Kind::LOCATION, "x-location"));
    let id = fingerpost_proto::id::RecordId::derive(&context().org, Kind::LOCATION, Audience::Public, "x-location");
    assert_eq!(service.locations[0].location, id.0);
}

#[test]
fn a_place_that_sounds_like_a_refuge_must_say_whether_it_may_be_known() {
    for name in ["Women's Refuge", "Safe-house north", "The SAFEHOUSE"] {
        let import = row("location", &[("name", name), ("location_type", ""), ("city", "Leeds")]);
        assert_eq!(import.drafts.len(), 0, "{name}");
        assert_eq!(import.problems[0].column.as_deref(), Some("location_type"));
    }
    assert_eq!(
        row("location", &[("name", "Women's Refuge"), ("location_type", "physical"), ("city", "Leeds")]).drafts.len(),
        1
    );
    assert_eq!(
        row("location", &[("name", "Refugee Centre"), ("location_type", ""), ("city", "Leeds")]).drafts.len(),
        1
    );
    let inline = row("service", &[("description", "A refuge."), ("address_1", "3 Bell Yard")]);
    assert_eq!(inline.drafts.len(), 0);
}

#[test]
fn a_withheld_place_that_says_where_it_is_names_each_column() {
    let revealing = [
        ("address_1", "1 Road"),
        ("city", "Leeds"),
        ("postal_code", "LS1 1UR"),
        ("latitude", "53.8"),
        ("longitude", "-1.5"),
        ("uprn", "1"),
        ("transport", "Bus 5"),
        ("url", "https://example.org/map"),
    ];
    let import = row("location", &[&revealing[..], &[("location_type", "withheld")]].concat());
    let named: BTreeSet<_> = import.problems.iter().filter_map(|problem| problem.column.as_deref()).collect();
    assert!(revealing.iter().all(|(column, _)| named.contains(column)), "{named:?}");
    assert_eq!(import.drafts.len(), 0);
    let good = row("location", &[("location_type", "withheld"), ("area", "Leeds"), ("phone", "0113 496 0321")]);
    assert_eq!(good.drafts.len(), 1, "{good:?}");
}

#[test]
fn an_id_twice_is_an_error_and_an_id_from_a_name_gives_way() {
    let import = import("kind,id,name\norganisation,a,A\norganisation,a,B\norganisation,,A\norganisation,,A\n");
    assert_eq!((import.rows_rejected, import.drafts.len()), (1, 3));
    let ids: Vec<_> = import.drafts.iter().map(|draft| draft.local_id.as_str()).collect();
    assert_eq!(ids, ["a", "a-2", "a-3"]);
    assert_eq!(problems(&import, Severity::Warning).len(), 2);
}

#[test]
fn two_files_are_read_together() {
    let organisations = b"kind,id,name\norganisation,a,A\norganisation,b,B\n".as_slice();
    let services = b"kind,id,name,organisation\nservice,s,S,b\norganisation,a,Again,\n".as_slice();
    let import = read_bytes(&[("one.csv", organisations), ("two.csv", services)], &context()).unwrap();
    let DraftBody::Service(service) = &import.drafts[2].body else { panic!("a service") };
    let id = fingerpost_proto::id::RecordId::derive(&context().org, Kind::ORGANISATION, Audience::Public, "b");
    assert_eq!(service.organisation, id.0);
    assert_eq!((import.rows_read, import.rows_rejected), (4, 1));
    assert!(import.problems[0].reason.contains("one.csv row 2"), "{:?}", import.problems);
}

#[test]
fn a_reference_to_a_rejected_row_says_so() {
    let import = import("kind,id,name,email,organisation\norganisation,a,A,bad,\nservice,s,S,,a\n");
    assert_eq!((import.drafts.len(), import.rows_rejected), (1, 1));
    assert!(problems(&import, Severity::Warning)[0].contains("has errors"));
}

#[test]
fn a_public_record_that_needs_a_members_record_is_warned_about() {
    let import = import("kind,id,name,audience,organisation\norganisation,a,A,members,\nservice,s,S,public,a\n");
    assert!(problems(&import, Severity::Warning)[0].contains("members only"), "{:?}", import.problems);
}

#[test]
fn the_same_table_is_read_from_every_separator_and_encoding() {
    let comma = import("kind,name,description\norganisation,Café,\"a, b; c\"\n");
    let semicolon = import("kind;name;description\norganisation;Café;\"a, b; c\"\n");
    let tab = import("sep=\t\nkind\tname\tdescription\norganisation\tCafé\ta, b; c\n");
    let old_mac = import("kind,name,description\rorganisation,Café,\"a, b; c\"\r");
    let bodies: Vec<_> = [&comma, &semicolon, &tab, &old_mac].map(|import| import.drafts[0].body.clone()).into();
    assert!(bodies.iter().all(|body| *body == bodies[0]));
    assert_eq!(tab.drafts[0].place.row, 3);
    let latin =
        read_bytes(&[("l", b"kind,name,description\norganisation,Caf\xe9,\"a, b; c\"\n".as_slice())], &context())
            .unwrap();
    assert_eq!(latin.drafts[0].body, bodies[0]);
}

#[test]
fn a_title_above_the_header_is_skipped_with_a_warning() {
    let import = import("Our services 2027,,\n,,\nkind,name,email\norganisation,A,bad\n");
    assert!(import.problems[0].reason.contains("row 3"), "{:?}", import.problems);
    assert_eq!(import.problems[1].cell.as_deref(), Some("C4"));
}

#[test]
fn a_file_that_is_no_table_is_refused_with_the_way_out() {
    for bytes in [b"".as_slice(), b"\n\n", b"hello world", b"PK\x03\x04xlsx", b"%PDF-1.7", &[0; 64]] {
        assert!(read_bytes(&[("x", bytes)], &context()).is_err(), "{bytes:?}");
    }
    assert!(matches!(read::<&str>(&[], &context()), Err(ImportError::Files { found: 0, .. })));
    assert!(matches!(read(&["/nonexistent/list.csv"], &context()), Err(ImportError::Read { .. })));
}

#[test]
fn a_file_that_claims_a_gigabyte_is_refused_unread() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("huge.csv");
    File::create(&path).unwrap().set_len(1 << 30).unwrap();
    assert!(matches!(read(&[&path], &context()), Err(ImportError::TooLarge { found_bytes: 0x4000_0000, .. })));
}

#[test]
fn columns_are_accepted_at_their_limit_and_refused_beyond() {
    let table = |columns: usize| format!("kind,name{}\norganisation,A\n", ",".repeat(columns - 2));
    let import = |columns: usize| read_bytes(&[("x", table(columns).as_bytes())], &context());
    assert_eq!(import(COLUMNS_MAX).unwrap().drafts.len(), 1);
    assert!(matches!(import(COLUMNS_MAX + 1), Err(ImportError::TooMany { found: 10_001, what: "columns", .. })));
}

#[test]
fn rows_are_accepted_at_their_limit_and_refused_beyond() {
    let table = |rows: u64| format!("kind,name\n{}", "organisation,\n".repeat(usize::try_from(rows).unwrap()));
    let import = |rows: u64| read_bytes(&[("x", table(rows).as_bytes())], &context());
    let full = import(ROWS_MAX).unwrap();
    assert_eq!((full.rows_read, full.rows_rejected), (ROWS_MAX, ROWS_MAX));
    assert_eq!((full.problems.len(), full.problems_more), (PROBLEMS_MAX, ROWS_MAX - PROBLEMS_MAX as u64));
    assert!(matches!(import(ROWS_MAX + 1), Err(ImportError::TooMany { what: "rows", .. })));
}

#[test]
fn a_cell_is_accepted_at_its_limit_and_refused_beyond() {
    let table = |bytes: usize| format!("kind,name,unknown column\norganisation,A,{}\n", "x".repeat(bytes));
    let rejected = |bytes: usize| import(&table(bytes)).rows_rejected;
    assert_eq!((rejected(CELL_BYTES_MAX), rejected(CELL_BYTES_MAX + 1)), (0, 1));
}

#[test]
fn a_record_is_accepted_at_its_limit_and_refused_beyond() {
    let with = |bytes: usize| {
        let (half, rest) = ("a".repeat(30_000), "b".repeat(bytes));
        row("service", &[("description", &half), ("eligibility", &half), ("fees", &rest)])
    };
    let small = with(1_000).drafts[0].body.encode().len();
    let room = BODY_BYTES_MAX - small;
    assert_eq!(with(1_000 + room).drafts[0].body.encode().len(), BODY_BYTES_MAX);
    let refused = with(1_000 + room + 1);
    assert_eq!(refused.drafts.len(), 0);
    assert!(problems(&refused, Severity::Error)[0].contains("the whole record"), "{:?}", refused.problems);
}

#[test]
fn translations_are_accepted_at_their_limit_and_refused_beyond() {
    let with = |count: usize| {
        let headers: Vec<String> = (0..count)
            .map(|i| format!("name:x{}{}", (b'a' + (i / 26) as u8) as char, (b'a' + (i % 26) as u8) as char))
            .collect();
        let cells: Vec<(&str, &str)> = headers.iter().map(|header| (header.as_str(), "Name")).collect();
        row("organisation", &cells).drafts.len()
    };
    assert_eq!((with(64), with(65)), (1, 0));
}

#[test]
fn files_are_accepted_at_their_limit_and_refused_beyond() {
    let file = b"kind,name\n".as_slice();
    assert!(read_bytes(&vec![("x", file); FILES_MAX], &context()).is_ok());
    assert!(read_bytes(&vec![("x", file); FILES_MAX + 1], &context()).is_err());
}

#[test]
fn a_quote_that_is_never_closed_is_told() {
    let import = import("kind,name\norganisation,A\norganisation,\"B\norganisation,C\norganisation,D\n");
    assert_eq!(import.drafts.len(), 1);
    assert!(import.problems.iter().any(|problem| problem.reason.contains("never closed")), "{:?}", import.problems);
    assert!(super::tests::import("kind,name\norganisation,5\" pipe\n").problems.is_empty());
}

#[test]
fn a_row_with_more_cells_than_the_header_is_refused() {
    let import = import("kind,name\norganisation,A, and B\n");
    assert_eq!((import.drafts.len(), import.problems[0].cell.as_deref()), (0, Some("C2")));
}

#[test]
fn zero_bytes_are_refused_in_their_cell() {
    let import = import("kind,name\norganisation,A\0B\n");
    assert_eq!((import.drafts.len(), import.problems[0].cell.as_deref()), (0, Some("B2")));
}

#[test]
fn many_rows_with_one_name_and_unknown_references_stay_quick() {
    let table = format!("kind,name,organisation\n{}", "service,Same,nobody-at-all\n".repeat(20_000));
    let started = std::time::Instant::now();
    let import = import(&table);
    assert_eq!(import.drafts.len(), 20_000);
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}

proptest! {
    // Each case fills every column of every kind, so few are enough.
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_texts_make_the_reader_panic(cells in proptest::collection::vec(".{0,40}", column::Column::ALL.len())) {
        for kind in ["organisation", "service", "location", "event"] {
            let mut pairs: Vec<(&str, &str)> =
                column::Column::ALL.iter().map(|column| column.name()).zip(cells.iter().map(String::as_str)).collect();
            pairs[0].1 = kind;
            let import = row(kind, &pairs);
            prop_assert_eq!(import.rows_read, 1);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        let _ = read_bytes(&[("random", &bytes)], &context());
        let _ = read_bytes(&[("random", &[b"kind,name,phone,start,repeat\n".as_slice(), &bytes].concat())], &context());
    }

    #[test]
    fn nearly_right_texts_do_not_make_the_reader_panic(
        hours in "[0-9apm:. -]{0,14}", date in "[0-9]{1,4}[-/. ][0-9a-z]{1,3}[-/. ][0-9]{1,4}( [0-9:pam]{0,6})?",
        rule in "((FREQ=(WEEKLY|MONTHLY|YEARLY|DAILY));)?[A-Z]{2,9}=[A-Z0-9,-]{0,12}(;[A-Z]{5}=[0-9TZ]{0,17})?",
    ) {
        row("service", &[("monday", &hours), ("except", &date)]);
        row("event", &[("start", &date), ("end", &hours)]);
        row("event", &[("repeat", &rule)]);
    }
}

#[test]
fn every_column_is_documented() {
    let manual = include_str!("../../TEMPLATE.md");
    let undocumented = column::Column::ALL.iter().map(|column| column.name()).filter(|name| {
        let is_weekday = name.ends_with("day") && *name != "all_day";
        !is_weekday && !manual.contains(&format!("`{name}`"))
    });
    assert_eq!(undocumented.collect::<Vec<_>>(), [""; 0]);
}
