//! A location row, or the location that another row brings along.
//!
//! Always: a withheld location has no address, coordinates, property number, link or directions; a place that sounds
//! like a refuge must say whether it may be known.

use fingerpost_proto::kind::Kind;
use fingerpost_proto::v1::{self, LocationType};

use super::super::column::Column;
use super::super::reference::{Slot, Target};
use super::super::{DraftBody, cell, country, term};
use super::{Row, opening};

const TRANSLATABLE: [(Column, &str); 4] = [
    (Column::Name, "name"),
    (Column::AlternateName, "alternate_name"),
    (Column::Description, "description"),
    (Column::Transport, "transportation"),
];

/// What a withheld location may not carry.
const REVEALING: [Column; 10] = [
    Column::Address1,
    Column::Address2,
    Column::PostalCode,
    Column::Latitude,
    Column::Longitude,
    Column::Uprn,
    Column::Transport,
    Column::City,
    Column::Region,
    Column::StateProvince,
];

/// Any of these on a row of another kind makes a location of its own.
const INLINE: [Column; 12] = [
    Column::Address1,
    Column::Address2,
    Column::City,
    Column::Region,
    Column::StateProvince,
    Column::PostalCode,
    Column::Latitude,
    Column::Longitude,
    Column::Uprn,
    Column::LocationType,
    Column::Transport,
    Column::Accessibility,
];

/// Phrases that name places which are usually secret. Whole words: "refugee" is not "refuge".
const SECRET_PLACES: [&str; 14] = [
    "refuge",
    "refuges",
    "safe house",
    "safe houses",
    "safehouse",
    "safehouses",
    "safe accommodation",
    "women s shelter",
    "womens shelter",
    "domestic violence shelter",
    "domestic abuse shelter",
    "battered women",
    "trafficking shelter",
    "confidential location",
];

const TYPES: [(&str, LocationType); 8] = [
    ("physical", LocationType::Physical),
    ("postal", LocationType::Postal),
    ("virtual", LocationType::Virtual),
    ("withheld", LocationType::Withheld),
    ("online", LocationType::Virtual),
    ("secret", LocationType::Withheld),
    ("confidential", LocationType::Withheld),
    ("hidden", LocationType::Withheld),
];

pub(super) fn read(row: &mut Row<'_, '_>) {
    let name = row.name();
    let mut body = place(row);
    let common = row.common(&TRANSLATABLE);
    body.local_id.clone_from(&common.local_id);
    body.translations = common.translations;
    body.role = common.role;
    body.assurer_email = common.assurer_email;
    body.source_url = common.source_url;
    body.name = name;
    body.alternate_name = row.line(Column::AlternateName);
    body.description = row.text(Column::Description);
    body.phones = row.phones();
    body.areas = row.list(Column::Area, term::areas);
    body.schedules = opening::schedules(row);
    if let Some(url) = row.peek(Column::Url) {
        body.url = row.url(Column::Url);
        if body.r#type() == LocationType::Withheld {
            row.error(Column::Url, url, "a withheld location must not carry a link", "empty this cell");
        }
    }
    row.refer_common(Kind::LOCATION);
    row.push(common.local_id, DraftBody::Location(Box::new(body)));
}

/// Makes a location of the address columns of another row, named `<id>-location`, and refers to it at `slot`.
pub(super) fn read_inline(row: &mut Row<'_, '_>, name: &str, slot: Slot) -> Option<usize> {
    let first = INLINE.into_iter().find(|column| row.peek(*column).is_some())?;
    if let (Some(text), Some(location)) = (row.peek(first), row.peek(Column::Location)) {
        let reason = format!("the row has an address of its own and the location {location:?}");
        row.error(first, text, reason, "keep one: empty the address columns, or the location column");
    }
    let mut body = place(row);
    body.local_id = format!("{}-location", row.local_id);
    body.name = name.to_owned();
    body.translations = row.translations(&[(Column::Transport, "transportation")]);
    if body.r#type() == LocationType::Withheld {
        // The area is all that readers get; the service shows it too.
        body.areas = row.list(Column::Area, term::areas);
    }
    let id = body.local_id.clone();
    let index = row.push(id, DraftBody::Location(Box::new(body)));
    row.refer_to(Some(first), slot, Kind::LOCATION, Target::Pending(index));
    Some(index)
}

/// Type, address, coordinates and access of a place.
fn place(row: &mut Row<'_, '_>) -> v1::Location {
    let written = row.choice(Column::LocationType, &TYPES);
    let has_place = REVEALING.iter().any(|column| row.peek(*column).is_some());
    let r#type = written.unwrap_or(LocationType::Physical);
    if row.peek(Column::LocationType).is_none() {
        if let Some((column, phrase)) = secret_phrase(row) {
            let found = row.peek(column).unwrap_or_default();
            let reason = format!("says \"{phrase}\", and nothing says whether the place may be known");
            let fix =
                "write withheld in location_type and delete the address, or physical if it may be shown to everybody";
            row.error(Column::LocationType, found, reason, fix);
        } else if !has_place {
            let fix = "write physical, postal, virtual or withheld";
            row.error(Column::LocationType, "", "there is no address, and nothing says what kind of place it is", fix);
        }
    }
    if r#type == LocationType::Withheld {
        for column in REVEALING {
            if let Some(text) = row.raw(column) {
                let fix = "empty this cell; the area column may say roughly where it is";
                row.error(column, text, "a withheld location must not say where it is", fix);
            }
        }
    }
    let country = row.country.clone();
    let postal_code = row.check(Column::PostalCode, |text, findings| {
        let code = cell::line(text, findings)?;
        country::check_postcode(&code, country.as_deref().unwrap_or_default(), findings);
        Some(code)
    });
    let mut address = v1::Address {
        line_1: row.line(Column::Address1),
        line_2: row.line(Column::Address2),
        city: row.line(Column::City),
        region: row.line(Column::Region),
        state_province: row.line(Column::StateProvince),
        postal_code: postal_code.unwrap_or_default(),
        ..Default::default()
    };
    let has_address = address != v1::Address::default();
    address.country = country.unwrap_or_default();
    address.r#type = if r#type == LocationType::Postal { "postal".into() } else { String::new() };
    let (latitude_e7, longitude_e7) = coordinates(row);
    let uprn = row.check(Column::Uprn, |text, findings| {
        let digits = text.trim().trim_end_matches(".0");
        if digits.len() > 12 || digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            let fix = "write up to 12 digits; format the column as text in the spreadsheet";
            return findings.error(text, "not a unique property reference number", fix);
        }
        Some(digits.to_owned())
    });
    let access = row.list(Column::Accessibility, |text, findings| cell::lines(text, findings).unwrap_or_default());
    v1::Location {
        language: row.language.clone(),
        r#type: r#type.into(),
        addresses: if has_address && r#type != LocationType::Withheld { vec![address] } else { Vec::new() },
        latitude_e7,
        longitude_e7,
        external_identifier_type: if uprn.is_some() { "UPRN".into() } else { String::new() },
        external_identifier: uprn.unwrap_or_default(),
        transportation: row.text(Column::Transport),
        accessibility: access
            .into_iter()
            .map(|description| v1::Accessibility { description, ..Default::default() })
            .collect(),
        ..Default::default()
    }
}

fn coordinates(row: &mut Row<'_, '_>) -> (Option<i32>, Option<i32>) {
    let latitude = row.check(Column::Latitude, |text, findings| cell::degrees_e7(text, 90, findings));
    let longitude = row.check(Column::Longitude, |text, findings| cell::degrees_e7(text, 180, findings));
    for (present, missing) in [(Column::Latitude, Column::Longitude), (Column::Longitude, Column::Latitude)] {
        if let (Some(text), None) = (row.peek(present), row.peek(missing)) {
            row.error(missing, text, format!("{} without {}", present.name(), missing.name()), "write both or neither");
        }
    }
    if (latitude, longitude) == (Some(0), Some(0)) {
        row.warn(Column::Latitude, "0, 0", "this point is in the sea off Africa", "correct it, or empty both cells");
    }
    (latitude, longitude)
}

/// The first phrase in name or descriptions that names a place which is usually secret.
fn secret_phrase(row: &Row<'_, '_>) -> Option<(Column, &'static str)> {
    [Column::Name, Column::AlternateName, Column::Description, Column::Topics].into_iter().find_map(|column| {
        let phrase = secret_phrase_in(row.peek(column)?)?;
        Some((column, phrase))
    })
}

/// The first such phrase in a text.
pub(in super::super) fn secret_phrase_in(text: &str) -> Option<&'static str> {
    let words: String =
        text.chars().flat_map(char::to_lowercase).map(|char| if char.is_alphanumeric() { char } else { ' ' }).collect();
    let words = format!(" {} ", words.split_whitespace().collect::<Vec<_>>().join(" "));
    SECRET_PLACES.into_iter().find(|phrase| words.contains(&format!(" {phrase} ")))
}
