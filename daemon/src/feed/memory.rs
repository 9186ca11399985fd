//! A directory in memory for tests, and records to put into it. All names, numbers and places are made up.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use fingerpost_proto::id::{OrgId, RecordId, Vid};
use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::node::Completeness;
use fingerpost_proto::time::{HOUR_MS, Hlc, UnixHour, UnixMillis};
use fingerpost_proto::v1;
use prost::Message;

use super::directory::{Change, Directory, DirectoryError, Entry, Lookup, Removed, Roll, Signatory};

/// The clock of every test: 2026-03-01T09:30:00Z.
pub(crate) const NOW_MS: UnixMillis = 1_772_357_400_000;

/// The publisher of every test record.
pub(crate) const PUBLISHER: OrgId = OrgId([7; 32]);

#[derive(Default)]
pub(crate) struct MemoryDirectory {
    state: Mutex<BTreeMap<RecordId, Change>>,
    arrivals: AtomicU64,
    broken: std::sync::atomic::AtomicBool,
}

/// Id of a test record.
pub(crate) fn id(kind: Kind, local_id: &str) -> RecordId {
    RecordId::derive(&PUBLISHER, kind, Audience::Public, local_id)
}

impl MemoryDirectory {
    /// Publishes the body under the local id and returns its record id.
    pub(crate) fn publish(&self, kind: Kind, local_id: &str, body: &impl Message) -> RecordId {
        self.publish_bytes(kind, local_id, body.encode_to_vec())
    }

    pub(crate) fn publish_bytes(&self, kind: Kind, local_id: &str, body: Vec<u8>) -> RecordId {
        let record = id(kind, local_id);
        let arrival = self.arrivals.fetch_add(1, Ordering::SeqCst) + 1;
        let envelope = [b"signature and header".as_slice(), &body].concat();
        let entry = Entry {
            record,
            org: PUBLISHER,
            kind,
            hlc: Hlc::new(NOW_MS, 0),
            lease_until: UnixHour::containing(NOW_MS).plus_days(180),
            vid: Vid::of_envelope(&envelope),
            arrival,
            publisher_name: "Harbour Refugee Forum".to_owned(),
            body,
            envelope,
        };
        self.state.lock().unwrap().insert(record, Change::Updated(Box::new(entry)));
        record
    }

    pub(crate) fn withdraw(&self, record: RecordId) {
        let arrival = self.arrivals.fetch_add(1, Ordering::SeqCst) + 1;
        let mut state = self.state.lock().unwrap();
        let kind = match &state[&record] {
            Change::Updated(entry) => entry.kind,
            Change::Removed(removed) => removed.kind,
        };
        state.insert(record, Change::Removed(Removed { record, kind, arrival, at_ms: NOW_MS + 60_000 }));
    }

    /// Forgets a removal, as a node does after a week.
    pub(crate) fn forget(&self, record: RecordId) {
        self.state.lock().unwrap().remove(&record);
        self.arrivals.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn break_store(&self) {
        self.broken.store(true, Ordering::SeqCst);
    }

    fn select<T>(&self, pick: impl Fn(&Change) -> Option<T>) -> Result<Vec<T>, DirectoryError> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(DirectoryError { reason: "secret path /var/lib/x".to_owned() });
        }
        Ok(self.state.lock().unwrap().values().filter_map(pick).collect())
    }
}

impl Directory for MemoryDirectory {
    fn generation(&self) -> u64 {
        self.arrivals.load(Ordering::SeqCst)
    }

    fn now_ms(&self) -> UnixMillis {
        NOW_MS
    }

    fn network_name(&self) -> String {
        "Harbour <Network> & Friends".to_owned()
    }

    fn completeness(&self, org: &OrgId) -> Option<Completeness> {
        let (head, lacking) = (Hlc::new(NOW_MS, 0), Some(NOW_MS));
        match org.0[0] {
            1 => Some(Completeness { head, complete_as_of: Some(head), lacking_since: None }),
            2 => Some(Completeness { head, complete_as_of: None, lacking_since: lacking }),
            3 => Some(Completeness {
                head: Hlc::new(NOW_MS - 49 * HOUR_MS, 0),
                complete_as_of: None,
                lacking_since: None,
            }),
            _ => None,
        }
    }

    fn roll(&self) -> Option<Arc<Roll>> {
        let signatory = |n: u8| Signatory {
            org: OrgId([n; 32]),
            name: format!("Pantry {n} <script>alert(1)</script>"),
            is_founder: n == 1,
            since_ms: (n > 1).then_some(NOW_MS),
            vouched_by: if n > 1 { vec![OrgId([1; 32])] } else { Vec::new() },
        };
        let charter = v1::Charter {
            name: self.network_name(),
            purpose: "Current information\n<b>for all</b>".to_owned(),
            principles: vec!["Nobody owns the <i>list</i>".to_owned()],
            founders: vec![vec![1; 32]],
            vouches_needed: 1,
            objections_needed: 2,
            lease_days_default: 180,
            lease_days_max: 400,
            licence_url: "javascript:alert(1)".to_owned(),
            ..Default::default()
        };
        let network = fingerpost_proto::id::NetworkId([9; 32]);
        Some(Arc::new(Roll { network, charter, signatories: (1..=60).map(signatory).collect() }))
    }

    fn licence_url(&self) -> String {
        "https://creativecommons.org/licenses/by/4.0/".to_owned()
    }

    fn count(&self, kind: Kind) -> usize {
        self.page(kind, 0, usize::MAX).map_or(0, |entries| entries.len())
    }

    fn page(&self, kind: Kind, offset: usize, limit: usize) -> Result<Vec<Entry>, DirectoryError> {
        let live = self.select(|change| match change {
            Change::Updated(entry) if entry.kind == kind => Some((**entry).clone()),
            _ => None,
        })?;
        Ok(live.into_iter().skip(offset).take(limit).collect())
    }

    fn record(&self, id: &RecordId) -> Result<Lookup, DirectoryError> {
        let found = self.select(|change| match change {
            Change::Updated(entry) if entry.record == *id => Some(Lookup::Live(entry.clone())),
            Change::Removed(removed) if removed.record == *id => Some(Lookup::Gone { kind: removed.kind }),
            _ => None,
        })?;
        Ok(found.into_iter().next().unwrap_or(Lookup::Unknown))
    }

    fn changes(&self, kind: Kind, after: u64, limit: usize) -> Result<Vec<Change>, DirectoryError> {
        let of_kind = |change: &Change| match change {
            Change::Updated(entry) => entry.kind == kind,
            Change::Removed(removed) => removed.kind == kind,
        };
        let mut changes =
            self.select(|change| (of_kind(change) && change.arrival() > after).then(|| change.clone()))?;
        changes.sort_by_key(Change::arrival);
        changes.truncate(limit);
        Ok(changes)
    }

    fn removed(&self, kind: Kind, limit: usize) -> Result<Vec<Removed>, DirectoryError> {
        let mut removed = self.select(|change| match change {
            Change::Removed(removed) if removed.kind == kind => Some(*removed),
            _ => None,
        })?;
        removed.sort_by_key(|removed| std::cmp::Reverse(removed.arrival));
        removed.truncate(limit);
        Ok(removed)
    }
}

fn phone() -> v1::Phone {
    v1::Phone {
        number: "+44 (0)1632 960 018".into(),
        description: "Weekdays".into(),
        languages: vec!["ar".into(), "en".into()],
        r#type: "voice".into(),
        extension: "12".into(),
    }
}

fn contact() -> v1::Contact {
    v1::Contact {
        title: "Duty adviser".into(),
        name: "The desk".into(),
        department: "Advice".into(),
        email: "desk@harbour.example".into(),
        phones: vec![phone(), v1::Phone { extension: "front desk".into(), ..phone() }],
    }
}

pub(crate) fn term(code: &str, label: &str) -> v1::Term {
    v1::Term {
        scheme_uri: "https://terms.example/needs".into(),
        code: code.into(),
        label: label.into(),
        description: format!("All about {label}"),
    }
}

fn area() -> v1::Area {
    v1::Area {
        name: "Harbour district".into(),
        uri: "https://areas.example/E01".into(),
        geojson: r#"{"type":"Point","coordinates":[1.5,52.5]}"#.into(),
    }
}

pub(crate) fn weekly(days: &str, opens_at: &str, closes_at: &str) -> v1::Schedule {
    v1::Schedule {
        opens_at: opens_at.into(),
        closes_at: closes_at.into(),
        rrule: format!("FREQ=WEEKLY;BYDAY={days}"),
        starts_on: "2026-01-05".into(),
        timezone: "Europe/London".into(),
        ..Default::default()
    }
}

/// An organisation with every field filled.
pub(crate) fn rich_organisation() -> v1::Organisation {
    v1::Organisation {
        local_id: "forum".into(),
        language: "en".into(),
        modified_ms: NOW_MS - 86_400_000,
        translations: vec![translation("ar", &[("name", "منتدى الميناء"), ("description", "نساعد الوافدين الجدد")])],
        role: v1::Role::Owner.into(),
        same_as: vec![vec![1; 16]],
        replaces: vec![vec![2; 16]],
        assurer_email: "desk@harbour.example".into(),
        source_url: "https://harbour.example/about".into(),
        name: "Harbour Refugee Forum".into(),
        alternate_name: "The Forum".into(),
        description: "Helps people who have just arrived.".into(),
        website: "https://harbour.example".into(),
        email: "desk@harbour.example".into(),
        phones: vec![phone()],
        contacts: vec![contact()],
        identifiers: vec![
            v1::Identifier { scheme: "GB-CHC".into(), value: "000000".into(), r#type: "charity number".into() },
            v1::Identifier { scheme: "GB-COH".into(), value: "00000000".into(), r#type: String::new() },
        ],
        logo_url: "https://harbour.example/logo.png".into(),
        uri: "https://harbour.example/id".into(),
        parent: vec![3; 16],
        additional_links: vec![v1::Link { url: "https://social.example/harbour".into(), label: "Social".into() }],
        legal_status: "charity".into(),
        year_founded: 2015,
        locations: vec![id(Kind::LOCATION, "hall").0.to_vec()],
        terms: vec![term("advice", "Advice")],
    }
}

pub(crate) fn translation(language: &str, texts: &[(&str, &str)]) -> v1::Translation {
    let text = |(field, text): &(&str, &str)| v1::FieldText { field: (*field).into(), text: (*text).into() };
    v1::Translation { language: language.into(), texts: texts.iter().map(text).collect() }
}

/// A service with every field filled.
pub(crate) fn rich_service() -> v1::Service {
    v1::Service {
        local_id: "drop-in".into(),
        language: "en".into(),
        modified_ms: NOW_MS - 3_600_000,
        translations: vec![translation("ar", &[("name", "استقبال مفتوح"), ("description", "شاي ونصيحة")])],
        role: v1::Role::Assurer.into(),
        same_as: vec![vec![4; 16]],
        replaces: vec![vec![5; 16]],
        assurer_email: "desk@harbour.example".into(),
        source_url: "https://harbour.example/drop-in".into(),
        name: "Drop-in".into(),
        alternate_name: "Open door".into(),
        description: "Tea and advice.\nNo appointment.".into(),
        rich_description: "<p>Tea and <b>advice</b></p>".into(),
        organisation: id(Kind::ORGANISATION, "forum").0.to_vec(),
        status: v1::ServiceStatus::Active.into(),
        url: "https://harbour.example/drop-in?a=[b]|c".into(),
        email: "drop-in@harbour.example".into(),
        alert: "Closed on public holidays".into(),
        application_process: "Walk in".into(),
        fees_description: "Free".into(),
        costs: vec![
            v1::Cost {
                option: "Lunch".into(),
                currency: "GBP".into(),
                amount: "3.50".into(),
                description: "hot".into(),
                valid_from: "2026-01-01".into(),
                valid_to: "2026-12-31".into(),
            },
            v1::Cost { option: "Class".into(), amount: "ask".into(), ..Default::default() },
        ],
        eligibility_description: "Anybody".into(),
        minimum_age: Some(0),
        maximum_age: Some(120),
        languages: vec![v1::Language { tag: "ti".into(), note: "on Mondays".into() }],
        interpretation_services: "By telephone".into(),
        phones: vec![phone()],
        contacts: vec![contact()],
        schedules: vec![
            v1::Schedule {
                except_dates: vec!["2026-12-25".into()],
                valid_from: "2026-01-01".into(),
                valid_to: "2026-12-31".into(),
                description: "Main session".into(),
                notes: "Ring the bell.".into(),
                link: "https://harbour.example/book".into(),
                attending_type: "in-person".into(),
                ..weekly("MO,WE", "09:30", "12:00")
            },
            v1::Schedule { rrule: "FREQ=DAILY".into(), closes_at: "24:00".into(), ..weekly("MO", "18:00", "24:00") },
            v1::Schedule {
                rrule: "FREQ=MONTHLY;BYDAY=2TU;UNTIL=20261231T235959Z".into(),
                ..weekly("MO", "10:00", "11:00")
            },
            v1::Schedule {
                rrule: "FREQ=YEARLY;BYMONTH=12".into(),
                timezone: "Asia/Kolkata".into(),
                ..weekly("MO", "10:00", "11:00")
            },
            v1::Schedule { rrule: String::new(), starts_on: "2026-06-20".into(), ..weekly("MO", "10:00", "11:00") },
        ],
        service_areas: vec![area()],
        terms: vec![term("advice", "Advice"), v1::Term { label: "Tea".into(), ..Default::default() }],
        required_documents: vec!["A letter, if you have one".into()],
        locations: vec![
            v1::ServiceLocation {
                location: id(Kind::LOCATION, "hall").0.to_vec(),
                description: "Upstairs".into(),
                schedules: vec![weekly("FR", "14:00", "16:00")],
                phones: vec![phone()],
            },
            v1::ServiceLocation { location: vec![9; 16], ..Default::default() },
        ],
        capacities: vec![
            v1::Capacity { unit: "chairs".into(), available: 4, maximum: 20, updated_ms: NOW_MS },
            v1::Capacity { unit: String::new(), available: 1, ..Default::default() },
        ],
        wait_time: "None".into(),
        accreditations: "Advice quality mark".into(),
        licenses: "None needed".into(),
        additional_links: vec![
            v1::Link { url: "https://harbour.example/more".into(), label: "More".into() },
            v1::Link { url: "not an address".into(), label: "Lost".into() },
        ],
        funding: vec!["Harbour trust".into()],
        audiences: vec![term("newcomers", "Newcomers")],
    }
}

/// A place with every field filled.
pub(crate) fn rich_location() -> v1::Location {
    v1::Location {
        local_id: "hall".into(),
        modified_ms: NOW_MS,
        role: v1::Role::Owner.into(),
        source_url: "https://harbour.example/hall".into(),
        r#type: v1::LocationType::Physical.into(),
        name: "Quay Hall".into(),
        alternate_name: "The hall".into(),
        description: "Red door".into(),
        addresses: vec![
            v1::Address {
                attention: "Reception".into(),
                line_1: "1 Quay Street".into(),
                line_2: "First floor".into(),
                city: "Harbourton".into(),
                region: String::new(),
                state_province: String::new(),
                postal_code: "ZZ1 1ZZ".into(),
                country: "gb".into(),
                r#type: String::new(),
            },
            v1::Address { city: "Harbourton".into(), ..Default::default() },
        ],
        latitude_e7: Some(525_000_000),
        longitude_e7: Some(15_000_000),
        external_identifier: "10000000001".into(),
        external_identifier_type: "UPRN".into(),
        transportation: "Bus 1".into(),
        accessibility: vec![v1::Accessibility {
            description: "Ramp".into(),
            details: "At the side".into(),
            url: "https://harbour.example/access".into(),
        }],
        phones: vec![phone()],
        url: "https://harbour.example/hall".into(),
        areas: vec![area()],
        schedules: vec![weekly("MO,TU", "08:00", "18:00")],
        map_url: "https://maps.example/hall".into(),
        ..Default::default()
    }
}

/// A weekly event with exceptions.
pub(crate) fn rich_event() -> v1::Event {
    v1::Event {
        local_id: "class".into(),
        modified_ms: NOW_MS - 1_000,
        role: v1::Role::Owner.into(),
        translations: vec![translation("fa-AF", &[("name", "صنف انگلیسی")])],
        name: "English class".into(),
        description: "For beginners; bring a pen, please.\nAll welcome.".into(),
        rich_description: "<p>For beginners</p>".into(),
        start: "2026-03-03T18:00:00".into(),
        end: "2026-03-03T19:30:00".into(),
        timezone: "Europe/London".into(),
        rrule: "FREQ=WEEKLY;BYDAY=TU;UNTIL=20260630".into(),
        except_starts: vec!["2026-04-07T18:00:00".into()],
        extra_starts: vec!["2026-04-09T18:00:00".into()],
        occurrences: vec![
            v1::Occurrence {
                original_start: "2026-03-10T18:00:00".into(),
                start: "2026-03-10T19:00:00".into(),
                note: "An hour later".into(),
                ..Default::default()
            },
            v1::Occurrence {
                original_start: "2026-03-17T18:00:00".into(),
                status: v1::EventStatus::Cancelled.into(),
                ..Default::default()
            },
        ],
        status: v1::EventStatus::Scheduled.into(),
        attendance: v1::Attendance::Mixed.into(),
        location: id(Kind::LOCATION, "hall").0.to_vec(),
        join_url: "https://meet.example/class".into(),
        service: id(Kind::SERVICE, "drop-in").0.to_vec(),
        organiser: id(Kind::ORGANISATION, "forum").0.to_vec(),
        url: "https://harbour.example/class".into(),
        booking_url: "https://harbour.example/class/book".into(),
        is_free: Some(false),
        costs: vec![v1::Cost {
            option: "Book".into(),
            currency: "GBP".into(),
            amount: "2".into(),
            ..Default::default()
        }],
        image_url: "https://harbour.example/class.jpg".into(),
        image_alt: "A classroom".into(),
        languages: vec![v1::Language { tag: "en".into(), note: String::new() }],
        terms: vec![term("learning", "Learning, languages")],
        contacts: vec![contact()],
        capacity_maximum: Some(20),
        capacity_available: Some(3),
        status_note: "New room".into(),
        ..Default::default()
    }
}

/// Strings that break out of careless outputs.
pub(crate) const HOSTILE: &str =
    "</script><script>alert(1)</script>\"'><img src=x onerror=alert(1)>\r\nATTENDEE:mailto:x@x.example\u{2028}{{7*7}}";

/// A directory with one record of each kind, all fields filled.
pub(crate) fn rich_directory() -> MemoryDirectory {
    let directory = MemoryDirectory::default();
    directory.publish(Kind::ORGANISATION, "forum", &rich_organisation());
    directory.publish(Kind::LOCATION, "hall", &rich_location());
    directory.publish(Kind::SERVICE, "drop-in", &rich_service());
    directory.publish(Kind::EVENT, "class", &rich_event());
    directory
}
