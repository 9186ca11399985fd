//! A service row.

use fingerpost_proto::kind::Kind;
use fingerpost_proto::v1::{self, ServiceStatus};

use super::super::column::Column;
use super::super::reference::{Slot, Target};
use super::super::{DraftBody, cell, language, term};
use super::{Row, location, opening};

const TRANSLATABLE: [(Column, &str); 9] = [
    (Column::Name, "name"),
    (Column::AlternateName, "alternate_name"),
    (Column::Description, "description"),
    (Column::Alert, "alert"),
    (Column::Application, "application_process"),
    (Column::Fees, "fees_description"),
    (Column::Eligibility, "eligibility_description"),
    (Column::Interpretation, "interpretation_services"),
    (Column::WaitTime, "wait_time"),
];

const STATUSES: [(&str, ServiceStatus); 13] = [
    ("active", ServiceStatus::Active),
    ("inactive", ServiceStatus::Inactive),
    ("defunct", ServiceStatus::Defunct),
    ("temporarily closed", ServiceStatus::TemporarilyClosed),
    ("open", ServiceStatus::Active),
    ("running", ServiceStatus::Active),
    ("seasonal", ServiceStatus::Inactive),
    ("closed", ServiceStatus::Defunct),
    ("closed permanently", ServiceStatus::Defunct),
    ("ended", ServiceStatus::Defunct),
    ("paused", ServiceStatus::TemporarilyClosed),
    ("suspended", ServiceStatus::TemporarilyClosed),
    ("closed temporarily", ServiceStatus::TemporarilyClosed),
];

pub(super) fn read(row: &mut Row<'_, '_>) {
    let name = row.name();
    let inline = location::read_inline(row, &name, Slot::ServiceLocation(0));
    let common = row.common(&TRANSLATABLE);
    let (languages, interpretation) = languages(row);
    let age = |text: &str, findings: &mut _| cell::number(text, 0, 130, findings);
    let (minimum_age, maximum_age) = (row.check(Column::MinimumAge, age), row.check(Column::MaximumAge, age));
    if let (Some(minimum), Some(maximum)) = (minimum_age, maximum_age)
        && minimum > maximum
    {
        let found = format!("{minimum} to {maximum}");
        row.error(Column::MaximumAge, &found, "the highest age is below the lowest", "swap or correct them");
    }
    let mut body = v1::Service {
        local_id: common.local_id.clone(),
        language: common.language,
        translations: common.translations,
        role: common.role,
        assurer_email: common.assurer_email,
        source_url: common.source_url,
        name,
        alternate_name: row.line(Column::AlternateName),
        description: row.text(Column::Description),
        status: row.choice(Column::Status, &STATUSES).unwrap_or_default().into(),
        url: row.url(Column::Url),
        email: row.email(Column::Email),
        alert: row.text(Column::Alert),
        application_process: row.text(Column::Application),
        fees_description: row.text(Column::Fees),
        eligibility_description: row.text(Column::Eligibility),
        minimum_age,
        maximum_age,
        languages,
        interpretation_services: interpretation,
        phones: row.phones(),
        schedules: opening::schedules(row),
        service_areas: row.list(Column::Area, term::areas),
        terms: row.list(Column::Topics, term::terms),
        required_documents: row.check(Column::RequiredDocuments, cell::lines).unwrap_or_default(),
        wait_time: row.line(Column::WaitTime),
        audiences: row.list(Column::Audiences, term::terms),
        ..Default::default()
    };
    row.one_only(Column::Organisation, "organisation");
    if row.raw(Column::Organisation).is_some() {
        row.refer(Column::Organisation, Slot::Organisation, Kind::ORGANISATION);
    } else {
        row.refer_to(Some(Column::Organisation), Slot::Organisation, Kind::ORGANISATION, Target::DefaultOrganisation);
    }
    if inline.is_none() {
        row.refer(Column::Location, Slot::ServiceLocation(0), Kind::LOCATION);
    }
    row.refer_common(Kind::SERVICE);
    // Each location of the list gets its own entry.
    let mut count = 0;
    for reference in &mut row.references {
        if let Slot::ServiceLocation(index) = &mut reference.slot {
            *index = count;
            count += 1;
        }
    }
    body.locations = vec![v1::ServiceLocation::default(); count];
    row.push(common.local_id, DraftBody::Service(Box::new(body)));
}

/// Languages, and the interpretation text with what was no language.
pub(super) fn languages(row: &mut Row<'_, '_>) -> (Vec<v1::Language>, String) {
    let read = row.check(Column::Languages, |text, findings| Some(language::languages(text, findings)));
    let (languages, others) = read.unwrap_or_default();
    let mut interpretation = row.text(Column::Interpretation);
    for other in others {
        if !interpretation.is_empty() {
            interpretation.push_str("; ");
        }
        interpretation.push_str(&other);
    }
    (languages, interpretation)
}
