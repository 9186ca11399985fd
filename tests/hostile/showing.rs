//! Every hostile text in every field of a record, a card and an import, through every output.

use fingerpost_cli::import::{Import, Problem, Severity, report};
use fingerpost_cli::output::escape::{is_dangerous, shown, shown_block, shown_json};
use fingerpost_cli::output::table;
use fingerpost_proto::kind::Audience;
use fingerpost_proto::network::card::{CardError, OrgCard};
use fingerpost_proto::record::{self, Body};
use fingerpost_proto::v1;
use prost::Message;

use crate::fuzz::body::header;
use crate::fuzz::cast::CAST;
use crate::fuzz::directory::Answer;
use crate::fuzz::page::show;
use crate::texts::{ACCEPTED, ADDRESSES, REFUSED};

fn phone(text: &str) -> v1::Phone {
    v1::Phone {
        number: text.into(),
        extension: text.into(),
        description: text.into(),
        r#type: text.into(),
        ..Default::default()
    }
}

fn contact(text: &str, address: &str) -> v1::Contact {
    v1::Contact {
        title: text.into(),
        name: text.into(),
        department: text.into(),
        email: address.into(),
        phones: vec![phone(text)],
    }
}

fn schedule(text: &str, address: &str) -> v1::Schedule {
    v1::Schedule {
        rrule: "FREQ=WEEKLY;BYDAY=MO".into(),
        opens_at: "09:00".into(),
        closes_at: "17:00".into(),
        description: text.into(),
        notes: text.into(),
        timezone: text.into(),
        attending_type: text.into(),
        link: address.into(),
        ..Default::default()
    }
}

fn translation(text: &str) -> v1::Translation {
    let fields = ["name", "description", "alert", "status_note", "location_text", "fees_description"];
    let texts = fields.map(|field| v1::FieldText { field: field.into(), text: text.into() });
    v1::Translation { language: "ar".into(), texts: texts.into() }
}

fn term(text: &str, address: &str) -> v1::Term {
    v1::Term { scheme_uri: address.into(), code: text.into(), label: text.into(), description: text.into() }
}

fn link(text: &str, address: &str) -> v1::Link {
    v1::Link { url: address.into(), label: text.into() }
}

fn area(text: &str, address: &str) -> v1::Area {
    v1::Area { name: text.into(), uri: address.into(), geojson: text.into() }
}

fn cost(text: &str) -> v1::Cost {
    v1::Cost {
        option: text.into(),
        currency: text.into(),
        amount: "3.50".into(),
        description: text.into(),
        ..Default::default()
    }
}

/// A body of each kind with the text in every field that is free, and the address in every field for one.
fn bodies(text: &str, address: &str) -> Vec<Body> {
    let languages = vec![v1::Language { tag: "ar".into(), note: text.into() }];
    let organisation = v1::Organisation {
        local_id: "o".into(),
        name: text.into(),
        alternate_name: text.into(),
        description: text.into(),
        legal_status: text.into(),
        website: address.into(),
        logo_url: address.into(),
        uri: address.into(),
        email: address.into(),
        assurer_email: address.into(),
        source_url: address.into(),
        phones: vec![phone(text)],
        contacts: vec![contact(text, address)],
        identifiers: vec![v1::Identifier { scheme: text.into(), value: text.into(), r#type: text.into() }],
        additional_links: vec![link(text, address)],
        terms: vec![term(text, address)],
        translations: vec![translation(text)],
        ..Default::default()
    };
    let service = v1::Service {
        local_id: "s".into(),
        name: text.into(),
        alternate_name: text.into(),
        description: text.into(),
        rich_description: text.into(),
        alert: text.into(),
        application_process: text.into(),
        fees_description: text.into(),
        eligibility_description: text.into(),
        interpretation_services: text.into(),
        wait_time: text.into(),
        accreditations: text.into(),
        licenses: text.into(),
        url: address.into(),
        email: address.into(),
        source_url: address.into(),
        assurer_email: address.into(),
        costs: vec![cost(text)],
        languages: languages.clone(),
        phones: vec![phone(text)],
        contacts: vec![contact(text, address)],
        schedules: vec![schedule(text, address)],
        service_areas: vec![area(text, address)],
        terms: vec![term(text, address)],
        audiences: vec![term(text, address)],
        required_documents: vec![text.into()],
        funding: vec![text.into()],
        additional_links: vec![link(text, address)],
        translations: vec![translation(text)],
        ..Default::default()
    };
    let location = v1::Location {
        local_id: "l".into(),
        r#type: v1::LocationType::Physical.into(),
        name: text.into(),
        alternate_name: text.into(),
        external_identifier: text.into(),
        external_identifier_type: text.into(),
        description: text.into(),
        transportation: text.into(),
        addresses: vec![v1::Address {
            attention: text.into(),
            line_1: text.into(),
            line_2: text.into(),
            city: text.into(),
            region: text.into(),
            state_province: text.into(),
            postal_code: text.into(),
            country: text.into(),
            r#type: text.into(),
        }],
        accessibility: vec![v1::Accessibility { description: text.into(), details: text.into(), url: address.into() }],
        phones: vec![phone(text)],
        url: address.into(),
        map_url: address.into(),
        source_url: address.into(),
        areas: vec![area(text, address)],
        schedules: vec![schedule(text, address)],
        translations: vec![translation(text)],
        ..Default::default()
    };
    let event = v1::Event {
        local_id: "e".into(),
        name: text.into(),
        description: text.into(),
        rich_description: text.into(),
        status_note: text.into(),
        location_text: text.into(),
        image_alt: text.into(),
        start: "2026-03-09T10:00:00".into(),
        end: "2026-03-09T11:00:00".into(),
        timezone: text.into(),
        rrule: text.into(),
        occurrences: vec![v1::Occurrence {
            original_start: "2026-03-16T10:00:00".into(),
            note: text.into(),
            ..Default::default()
        }],
        join_url: address.into(),
        url: address.into(),
        booking_url: address.into(),
        image_url: address.into(),
        source_url: address.into(),
        costs: vec![cost(text)],
        languages,
        terms: vec![term(text, address)],
        contacts: vec![contact(text, address)],
        translations: vec![translation(text)],
        ..Default::default()
    };
    vec![
        Body::Organisation(Box::new(organisation)),
        Body::Service(Box::new(service)),
        Body::Location(Box::new(location)),
        Body::Event(Box::new(event)),
    ]
}

fn is_accepted(body: &Body) -> bool {
    record::check(&header(body.kind(), Audience::Public, body.local_id()), &body.encode()).is_ok()
}

fn pages(answers: &[Answer]) -> String {
    answers.iter().filter(|answer| answer.content_type == "text/html").map(|answer| answer.text.as_str()).collect()
}

#[test]
fn whatever_a_record_says_every_page_calendar_and_data_set_only_shows_it() {
    for text in ACCEPTED {
        for body in bodies(text, "https://example.org/") {
            assert!(is_accepted(&body), "{text:?} is accepted in a {:?}", body.kind());
            let answers = show(&body, &body.encode(), text);
            let outputs = answers.iter().filter(|answer| answer.status.is_success()).count();
            assert!(outputs > 15, "{outputs} outputs");
            // Shown, not left out: what stands between tags, with the marks of the page made plain.
            let plain = pages(&answers).replace("&#60;", "<").replace("&#62;", ">").replace("&#34;", "\"");
            let plain = plain.replace("&#39;", "'").replace("&#38;", "&");
            assert!(plain.contains(text.trim()), "{text:?} is shown for a {:?}", body.kind());
        }
    }
}

#[test]
fn an_address_of_another_scheme_is_a_link_nowhere_not_even_if_a_node_let_it_in() {
    for address in ADDRESSES {
        for body in bodies("Help", address) {
            // The outputs are checked inside: whatever is a link leads to the web, a mailbox or a telephone.
            show(&body, &body.encode(), "Forum");
        }
        let [.., event] = &bodies("Help", "")[..] else { panic!("four kinds") };
        let Body::Event(mut event) = event.clone() else { panic!("the last is an event") };
        event.url = address.to_owned();
        let is_web =
            address.to_ascii_lowercase().starts_with("https://") && !address.contains(' ') && address.len() > 8;
        (event.timezone, event.rrule) = ("Europe/London".into(), String::new());
        assert_eq!(is_accepted(&Body::Event(event)), is_web, "{address:?}");
    }
}

#[test]
fn a_text_that_could_act_on_a_terminal_or_turn_a_line_around_is_in_no_record_and_on_no_card() {
    let genesis = v1::OrgCard::decode(CAST.welcome[0].body()).unwrap();
    for text in REFUSED {
        for body in bodies(text, "") {
            assert!(!is_accepted(&body), "{text:?} in a {:?}", body.kind());
        }
        let named = v1::OrgCard { name: format!("Forum {text}"), ..genesis.clone() };
        let found = OrgCard::read(&named.encode_to_vec());
        assert!(matches!(found, Err(CardError::Character { field: "name", .. })), "{text:?}: {found:?}");
    }
}

#[test]
fn a_publisher_or_network_with_a_forged_name_does_not_act_on_readers() {
    let service = v1::Service { local_id: "s".into(), name: "Help".into(), ..Default::default() };
    let body = Body::Service(Box::new(service));
    for name in ACCEPTED.iter().chain(&REFUSED) {
        show(&body, &body.encode(), name);
    }
}

#[test]
fn nothing_that_others_wrote_reaches_the_terminal_as_a_command() {
    for text in ACCEPTED.iter().chain(&REFUSED).chain(&ADDRESSES) {
        for line in [shown(text).into_owned(), shown_json(&serde_json::json!({ "name": text }).to_string())] {
            assert!(!line.chars().any(is_dangerous), "{line:?}");
        }
        assert!(!shown_block(text).chars().any(|c| c != '\n' && is_dangerous(c)));
        let rows = vec![vec![(*text).to_owned(), "second".to_owned()]];
        let printed = table(&["name", "other"], &rows, None);
        assert_eq!(printed.lines().count(), 2, "{printed:?}");
        assert!(!printed.chars().any(|c| c != '\n' && is_dangerous(c)), "{printed:?}");
    }
}

fn import_with(text: &str) -> Import {
    let problem = Problem {
        file: text.into(),
        row: Some(2),
        column: Some(text.into()),
        cell: Some(text.into()),
        found: text.into(),
        reason: text.into(),
        fix: text.into(),
        severity: Severity::Error,
    };
    Import { problems: vec![problem], rows_read: 1, rows_rejected: 1, ..Import::default() }
}

#[test]
fn a_report_about_a_hostile_sheet_is_text_on_the_terminal_and_text_in_a_spreadsheet() {
    for text in ACCEPTED.iter().chain(&REFUSED).chain(&ADDRESSES) {
        let import = import_with(text);
        let printed = report::table(&import, 100);
        assert!(!printed.chars().any(|c| c != '\n' && is_dangerous(c)), "{printed:?}");
        let mut sheet = Vec::new();
        report::write_csv(&import, &mut sheet).unwrap();
        for record in csv::Reader::from_reader(sheet.as_slice()).records() {
            for cell in &record.unwrap() {
                let first = cell.trim_start().chars().next();
                let is_formula = matches!(first, Some('=' | '+' | '-' | '@' | '|' | '%' | '＝' | '＋' | '－' | '＠'));
                assert!(!is_formula && !cell.starts_with(['\t', '\r', '\n']), "{cell:?}");
                assert!(!cell.chars().any(|c| c != '\n' && c != '\t' && is_dangerous(c)), "{cell:?}");
            }
        }
    }
}

#[test]
fn the_checker_of_outputs_finds_what_it_looks_for() {
    use crate::fuzz::outputs::{calendar, html, json};
    let page = |inside: &str| format!("<!DOCTYPE html><html><body><p>{inside}</p></body></html>");
    let breaks = |check: &dyn Fn()| std::panic::catch_unwind(std::panic::AssertUnwindSafe(check)).is_err();
    assert!(!breaks(&|| html(&page("<a href=\"/x\">&#60;b&#62;</a>"))));
    for bad in [
        "<img src=x>",
        "<a onclick=\"x\">x</a>",
        "<a href=\"javascript:x\">x</a>",
        "<a href=\"//x\">x</a>",
        "<script>x</script>",
        "a > b",
        "\u{202e}",
    ] {
        assert!(breaks(&|| html(&page(bad))), "{bad}");
    }
    let entry = |line: &str| format!("BEGIN:VCALENDAR\r\n{line}\r\nEND:VCALENDAR\r\n");
    assert!(!breaks(&|| calendar(&entry("SUMMARY:a\\, b"))));
    for bad in ["ATTENDEE:x", "SUMMARY:a;b", "SUMMARY:a\nb", "URL:javascript:x", "BEGIN:VEVENT", "SUMMARY:a\u{202e}"] {
        assert!(breaks(&|| calendar(&entry(bad))), "{bad}");
    }
    assert!(breaks(&|| calendar(&entry(&format!("SUMMARY:{}", "a".repeat(70))))));
    assert!(!breaks(&|| json(&serde_json::json!({ "url": "https://example.org/" }), "")));
    for bad in [serde_json::json!({ "url": "data:x" }), serde_json::json!({ "name": "\u{1b}" })] {
        assert!(breaks(&|| json(&bad, "")), "{bad}");
    }
}
