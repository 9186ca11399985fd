//! Bodies of each kind, from the smallest to every field.

use fingerpost_proto::v1;

pub(super) fn service() -> v1::Service {
    v1::Service { local_id: "drop-in".into(), name: "Drop-in".into(), ..Default::default() }
}

pub(super) fn location() -> v1::Location {
    v1::Location { local_id: "hall".into(), r#type: v1::LocationType::Physical as i32, ..Default::default() }
}

pub(super) fn withheld() -> v1::Location {
    v1::Location {
        local_id: "refuge".into(),
        r#type: v1::LocationType::Withheld as i32,
        name: "Refuge".into(),
        areas: vec![v1::Area { name: "Harbour City".into(), ..Default::default() }],
        phones: vec![v1::Phone { number: "07700 900123".into(), ..Default::default() }],
        ..Default::default()
    }
}

pub(super) fn event() -> v1::Event {
    v1::Event {
        local_id: "supper".into(),
        name: "Community supper".into(),
        start: "2026-10-02T18:00:00".into(),
        timezone: "Europe/London".into(),
        ..Default::default()
    }
}

pub(super) fn organisation() -> v1::Organisation {
    v1::Organisation {
        local_id: "forum".into(),
        name: "Harbour Refugee Forum".into(),
        description: "Brings together those who help.".into(),
        ..Default::default()
    }
}

pub(super) fn id(n: u8) -> Vec<u8> {
    vec![n; 16]
}

pub(super) fn phone() -> v1::Phone {
    v1::Phone {
        number: "07700 900123".into(),
        description: "Helpline".into(),
        languages: vec!["en".into(), "fa-AF".into()],
        r#type: "voice".into(),
        extension: "12".into(),
    }
}

pub(super) fn contact() -> v1::Contact {
    v1::Contact {
        title: "duty adviser".into(),
        name: "A. Example".into(),
        department: "Advice".into(),
        email: "advice@forum.example".into(),
        phones: vec![phone()],
    }
}

pub(super) fn schedule() -> v1::Schedule {
    v1::Schedule {
        opens_at: "09:30".into(),
        closes_at: "24:00".into(),
        rrule: "FREQ=WEEKLY;BYDAY=MO,WE".into(),
        starts_on: "2026-09-21".into(),
        valid_from: "2026-09-21".into(),
        valid_to: "2027-09-20".into(),
        timezone: "Europe/London".into(),
        except_dates: vec!["2026-12-25".into()],
        description: "Ring the bell.".into(),
        notes: "Step-free from the quay.".into(),
        link: "https://forum.example/hours".into(),
        attending_type: "in-person".into(),
    }
}

pub(super) fn term() -> v1::Term {
    v1::Term {
        scheme_uri: "https://example.org/terms".into(),
        code: "food".into(),
        label: "Food".into(),
        description: "Meals and parcels".into(),
    }
}

pub(super) fn translation(field: &str) -> v1::Translation {
    let text = v1::FieldText { field: field.into(), text: "خدمة".into() };
    v1::Translation { language: "ar".into(), texts: vec![text] }
}

pub(super) fn full_service() -> v1::Service {
    v1::Service {
        language: "en".into(),
        modified_ms: 1_789_000_000_000,
        translations: vec![translation("name")],
        role: v1::Role::Owner as i32,
        same_as: vec![id(1)],
        replaces: vec![id(2)],
        assurer_email: "desk@forum.example".into(),
        source_url: "https://forum.example/drop-in".into(),
        alternate_name: "Open door".into(),
        description: "Tea,\n\tadvice and company.".into(),
        rich_description: "<p>Tea</p>".into(),
        organisation: id(3),
        status: v1::ServiceStatus::Active as i32,
        url: "https://forum.example/".into(),
        email: "hello@forum.example".into(),
        alert: "Closed on Friday".into(),
        application_process: "Walk in".into(),
        fees_description: "Free".into(),
        costs: vec![v1::Cost {
            option: "lunch".into(),
            currency: "GBP".into(),
            amount: "3.50".into(),
            valid_from: "2026-01-01".into(),
            ..Default::default()
        }],
        eligibility_description: "Everyone".into(),
        minimum_age: Some(0),
        maximum_age: Some(120),
        languages: vec![v1::Language { tag: "ckb".into(), note: "mornings".into() }],
        interpretation_services: "On request".into(),
        phones: vec![phone()],
        contacts: vec![contact()],
        schedules: vec![schedule()],
        service_areas: vec![v1::Area {
            name: "Harbour City".into(),
            uri: "https://example.org/areas/1".into(),
            geojson: "{}".into(),
        }],
        terms: vec![term()],
        required_documents: vec!["none".into()],
        locations: vec![v1::ServiceLocation {
            location: id(4),
            description: "Back door".into(),
            schedules: vec![schedule()],
            phones: vec![phone()],
        }],
        capacities: vec![v1::Capacity { unit: "places".into(), available: 3, maximum: 20, updated_ms: 1 }],
        wait_time: "None".into(),
        accreditations: "AQS".into(),
        licenses: "none".into(),
        additional_links: vec![v1::Link { url: "http://forum.example/more".into(), label: "More".into() }],
        funding: vec!["Harbour Fund".into()],
        audiences: vec![term()],
        ..service()
    }
}

pub(super) fn full_location() -> v1::Location {
    v1::Location {
        name: "Hall".into(),
        alternate_name: "Old hall".into(),
        description: "By the quay".into(),
        addresses: vec![v1::Address {
            attention: "Desk".into(),
            line_1: "1 Quay".into(),
            line_2: "Hall".into(),
            city: "Harbour City".into(),
            region: "South".into(),
            state_province: "Harbourshire".into(),
            postal_code: "HC1 1AA".into(),
            country: "GB".into(),
            r#type: "physical".into(),
        }],
        latitude_e7: Some(900_000_000),
        longitude_e7: Some(-1_800_000_000),
        external_identifier: "10001".into(),
        external_identifier_type: "UPRN".into(),
        transportation: "Bus 7".into(),
        accessibility: vec![v1::Accessibility {
            description: "Ramp".into(),
            details: "Side door".into(),
            url: "https://forum.example/ramp".into(),
        }],
        phones: vec![phone()],
        url: "https://forum.example/hall".into(),
        areas: vec![v1::Area { geojson: "{\"type\":\"Point\",\"coordinates\":[0,0]}".into(), ..Default::default() }],
        schedules: vec![schedule()],
        map_url: "https://forum.example/map".into(),
        ..location()
    }
}

pub(super) fn full_event() -> v1::Event {
    v1::Event {
        description: "Food and music".into(),
        rich_description: "<p>Food</p>".into(),
        end: "2026-10-02T21:00:00".into(),
        rrule: "FREQ=WEEKLY;COUNT=10".into(),
        except_starts: vec!["2026-10-09T18:00:00".into()],
        extra_starts: vec!["2026-10-10T12:00:00".into()],
        occurrences: vec![v1::Occurrence {
            original_start: "2026-10-16T18:00:00".into(),
            start: "2026-10-16T19:00:00".into(),
            end: "2026-10-16T22:00:00".into(),
            status: 4,
            note: "Later".into(),
            location: id(9),
        }],
        status: v1::EventStatus::Rescheduled as i32,
        previous_start: "2026-10-01T18:00:00".into(),
        attendance: v1::Attendance::Mixed as i32,
        location: id(5),
        location_text: "The hall".into(),
        join_url: "https://forum.example/join".into(),
        service: id(6),
        organiser: id(7),
        url: "https://forum.example/supper".into(),
        booking_url: "https://forum.example/book".into(),
        is_free: Some(false),
        costs: vec![v1::Cost { amount: "0".into(), ..Default::default() }],
        image_url: "https://forum.example/i.jpg".into(),
        image_alt: "A table".into(),
        languages: vec![v1::Language { tag: "en".into(), note: String::new() }],
        terms: vec![term()],
        contacts: vec![contact()],
        capacity_maximum: Some(40),
        capacity_available: Some(0),
        status_note: "An hour later".into(),
        ..event()
    }
}

pub(super) fn full_organisation() -> v1::Organisation {
    v1::Organisation {
        alternate_name: "HRF".into(),
        website: "HTTPS://forum.example".into(),
        email: "hello@forum.example".into(),
        phones: vec![phone()],
        contacts: vec![contact()],
        identifiers: vec![v1::Identifier {
            scheme: "GB-CHC".into(),
            value: "0000001".into(),
            r#type: "charity".into(),
        }],
        logo_url: "https://forum.example/logo.svg".into(),
        uri: "https://forum.example/#org".into(),
        parent: id(1),
        additional_links: vec![v1::Link { url: "https://forum.example/x".into(), label: "X".into() }],
        legal_status: "charity".into(),
        year_founded: 1999,
        locations: vec![id(2)],
        terms: vec![term()],
        ..organisation()
    }
}
