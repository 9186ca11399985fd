//! One CSV row becomes one draft, or two when a service brings its own address.
//!
//! Always: every cell that has content is either read or warned about; an error anywhere in the row rejects the row.

use std::collections::BTreeSet;

use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::limits::{LEASE_DAYS_MAX, LOCAL_ID_BYTES_MAX, TRANSLATED_FIELDS_MAX, TRANSLATIONS_MAX};
use fingerpost_proto::v1;

use super::column::Column;
use super::problem::{Finding, Findings, Problem, Severity, column_letter, excerpt};
use super::reference::{Pending, Reference, Slot, Target};
use super::sheet::{Header, Meaning};
use super::{Draft, DraftBody, ImportContext, Place, Reading, cell, contact, country, language};

mod event;
mod location;
mod opening;
mod organisation;
mod service;

pub(super) use location::secret_phrase_in;

/// A row while it is read.
pub(super) struct Row<'r, 'c> {
    place: Place,
    header: &'r Header,
    cells: &'r [String],
    reading: &'r mut Reading<'c>,
    used: BTreeSet<usize>,
    has_error: bool,
    references: Vec<Reference>,
    /// ISO code for phones, postcodes and prices.
    country: Option<String>,
    language: String,
    audience: Audience,
    lease_days: Option<u32>,
    local_id: String,
    has_derived_id: bool,
}

/// What every body begins with.
struct Common {
    local_id: String,
    language: String,
    translations: Vec<v1::Translation>,
    role: i32,
    assurer_email: String,
    source_url: String,
}

/// Reads the row into `reading.pending`, or into the rejected rows.
pub(super) fn read(mut row: Row<'_, '_>) {
    let kind = row.kind();
    let drafts_before = row.reading.pending.len();
    if let Some(kind) = kind {
        row.basics();
        match kind {
            Kind::ORGANISATION => organisation::read(&mut row),
            Kind::SERVICE => service::read(&mut row),
            Kind::LOCATION => location::read(&mut row),
            _ => event::read(&mut row),
        }
        row.warn_about_unread(kind);
    }
    if row.has_error {
        row.reading.pending.truncate(drafts_before);
        row.reading.rejected.insert(row.place);
        row.reading.rejected_ids.extend(kind.map(|kind| (kind, row.local_id)));
    }
}

impl<'r, 'c> Row<'r, 'c> {
    pub(super) fn new(place: Place, header: &'r Header, cells: &'r [String], reading: &'r mut Reading<'c>) -> Self {
        Row {
            place,
            header,
            cells,
            country: reading.context.default_country.clone(),
            language: reading.context.default_language.clone(),
            lease_days: reading.context.default_lease_days,
            reading,
            used: BTreeSet::new(),
            has_error: false,
            references: Vec::new(),
            audience: Audience::Public,
            local_id: String::new(),
            has_derived_id: false,
        }
    }

    fn context(&self) -> &'c ImportContext {
        self.reading.context
    }

    /// The content of a cell, trimmed; `None` when it is empty. Marks it as read.
    fn raw(&mut self, column: Column) -> Option<&'r str> {
        let index = self.index(column)?;
        self.used.insert(index);
        self.peek(column)
    }

    /// The content of a cell without marking it as read.
    fn peek(&self, column: Column) -> Option<&'r str> {
        let text = self.cells.get(self.index(column)?)?.trim();
        (!text.is_empty()).then_some(text)
    }

    fn index(&self, column: Column) -> Option<usize> {
        self.header.positions.get(&Meaning::Plain(column)).copied()
    }

    /// Runs a check over a cell that has content; its findings become problems of that cell.
    fn check<T>(&mut self, column: Column, check: impl FnOnce(&str, &mut Findings) -> Option<T>) -> Option<T> {
        let text = self.raw(column)?;
        let mut findings = Findings::default();
        let value = check(&cell::readable(text, &mut findings), &mut findings);
        let index = self.index(column);
        for finding in findings.0 {
            self.say(index, finding);
        }
        value
    }

    fn line(&mut self, column: Column) -> String {
        self.check(column, cell::line).unwrap_or_default()
    }

    fn text(&mut self, column: Column) -> String {
        self.check(column, cell::text).unwrap_or_default()
    }

    fn url(&mut self, column: Column) -> String {
        self.check(column, contact::url).unwrap_or_default()
    }

    fn email(&mut self, column: Column) -> String {
        self.check(column, contact::email).unwrap_or_default()
    }

    fn list<T>(&mut self, column: Column, check: impl FnOnce(&str, &mut Findings) -> Vec<T>) -> Vec<T> {
        self.check(column, |text, findings| Some(check(text, findings))).unwrap_or_default()
    }

    fn phones(&mut self) -> Vec<v1::Phone> {
        let (country, fix_lost_zero) = (self.country.clone(), self.context().fix_phones);
        self.list(Column::Phone, |text, findings| contact::phones(text, country.as_deref(), fix_lost_zero, findings))
    }

    /// One of a few words. `choices` are (word, value), the first words being the ones to suggest.
    fn choice<T: Copy>(&mut self, column: Column, choices: &[(&str, T)]) -> Option<T> {
        self.check(column, |text, findings| {
            let plain = super::column::plain(text);
            match choices.iter().find(|(word, _)| super::column::plain(word) == plain) {
                Some((_, value)) => Some(*value),
                None => {
                    let words: Vec<&str> = choices.iter().map(|(word, _)| *word).take(5).collect();
                    findings.error(
                        text,
                        format!("not a value of {}", column.name()),
                        format!("write {}", words.join(", ")),
                    )
                }
            }
        })
    }

    fn error(&mut self, column: Column, found: &str, reason: impl Into<String>, fix: impl Into<String>) {
        let (reason, fix) = (reason.into(), fix.into());
        let finding = Finding { found: excerpt(found), reason, fix, severity: Severity::Error };
        self.say_at(column, finding);
    }

    fn warn(&mut self, column: Column, found: &str, reason: impl Into<String>, fix: impl Into<String>) {
        let (reason, fix) = (reason.into(), fix.into());
        self.say_at(column, Finding { found: excerpt(found), reason, fix, severity: Severity::Warning });
    }

    /// A problem of a column that may not be in the file.
    fn say_at(&mut self, column: Column, finding: Finding) {
        match self.index(column) {
            Some(index) => self.say(Some(index), finding),
            None => {
                self.say(None, finding);
                if let Some(problem) = self.reading.problems.kept.last_mut().filter(|problem| problem.column.is_none())
                {
                    problem.column = Some(column.name().to_owned());
                }
            }
        }
    }

    fn say(&mut self, index: Option<usize>, finding: Finding) {
        self.has_error |= finding.severity == Severity::Error;
        self.reading.problems.push(Problem {
            file: self.place.file.clone(),
            row: Some(self.place.row),
            column: index.and_then(|index| self.header.texts.get(index)).map(|text| excerpt(text.trim())),
            cell: index.map(|index| format!("{}{}", column_letter(index), self.place.row)),
            found: finding.found,
            reason: finding.reason,
            fix: finding.fix,
            severity: finding.severity,
        });
    }

    fn kind(&mut self) -> Option<Kind> {
        let choices = [
            ("organisation", Kind::ORGANISATION),
            ("service", Kind::SERVICE),
            ("location", Kind::LOCATION),
            ("event", Kind::EVENT),
            ("organisations", Kind::ORGANISATION),
            ("services", Kind::SERVICE),
            ("locations", Kind::LOCATION),
            ("events", Kind::EVENT),
            ("org", Kind::ORGANISATION),
            ("venue", Kind::LOCATION),
            ("place", Kind::LOCATION),
        ];
        if self.raw(Column::Kind).is_none() {
            self.error(
                Column::Kind,
                "",
                "nothing says what this row is",
                "write organisation, service, location or event",
            );
            return None;
        }
        self.choice(Column::Kind, &choices)
    }

    /// What the rest of the row is read by: audience, lease, language, country, id.
    fn basics(&mut self) {
        let audiences = [("public", Audience::Public), ("members", Audience::Members)];
        self.audience = self.choice(Column::Audience, &audiences).unwrap_or(Audience::Public);
        let lease_days =
            self.check(Column::LeaseDays, |text, findings| cell::number(text, 1, LEASE_DAYS_MAX, findings));
        self.lease_days = lease_days.or(self.lease_days);
        if let Some(tag) = self.check(Column::Language, language::text_language) {
            self.language = tag;
        }
        if let Some(code) = self.check(Column::Country, country::country) {
            self.country = Some(code);
        }
        self.id();
    }

    fn id(&mut self) {
        let written = self.check(Column::Id, |text, findings| {
            if cell::is_rounded_number(text) {
                let fix = "format the column as text in the spreadsheet and write the id again";
                return findings.error(text, "a spreadsheet has rounded this number", fix);
            }
            local_id(text, findings)
        });
        if let Some(id) = written {
            self.local_id = id;
            return;
        }
        if self.peek(Column::Id).is_some() {
            return;
        }
        let slug = slug(self.peek(Column::Name).unwrap_or_default());
        if slug.is_empty() {
            // Without a name there is an error already; a name of signs only needs an id.
            if self.peek(Column::Name).is_some() {
                self.error(Column::Id, "", "no id can be made from this name", "write an id of letters and digits");
            }
            return;
        }
        self.local_id = slug;
        self.has_derived_id = true;
    }

    fn name(&mut self) -> String {
        let name = self.line(Column::Name);
        if name.is_empty() && self.peek(Column::Name).is_none() {
            self.error(Column::Name, "", "the name is missing", "write the name that readers shall see");
        }
        name
    }

    /// The common fields. `fields` names the translatable columns of this kind with their protobuf field.
    fn common(&mut self, fields: &[(Column, &str)]) -> Common {
        let roles = [("owner", v1::Role::Owner), ("assurer", v1::Role::Assurer), ("compiler", v1::Role::Compiler)];
        Common {
            local_id: self.local_id.clone(),
            language: self.language.clone(),
            translations: self.translations(fields),
            role: self.choice(Column::Role, &roles).unwrap_or_default().into(),
            assurer_email: self.email(Column::AssurerEmail),
            source_url: self.url(Column::SourceUrl),
        }
    }

    fn translations(&mut self, fields: &[(Column, &str)]) -> Vec<v1::Translation> {
        let header = self.header;
        let mut translations: Vec<v1::Translation> = Vec::new();
        for (meaning, index) in &header.positions {
            let Meaning::Translation(column, tag) = meaning else { continue };
            let Some((_, field)) = fields.iter().find(|(known, _)| known == column) else { continue };
            let text = self.cells.get(*index).map(|text| text.trim()).filter(|text| !text.is_empty());
            self.used.insert(*index);
            let Some(text) = text else { continue };
            let mut findings = Findings::default();
            let is_line = matches!(column, Column::Name | Column::AlternateName);
            let read = if is_line { cell::line(text, &mut findings) } else { cell::text(text, &mut findings) };
            if *tag == self.language {
                let reason = format!("the row's own language is {tag}, so this is no translation");
                findings.error::<()>(text, reason, "correct the column's language or the language of the row");
            }
            for finding in findings.0 {
                self.say(Some(*index), finding);
            }
            let Some(text) = read else { continue };
            let entry = v1::FieldText { field: (*field).to_owned(), text };
            match translations.iter_mut().find(|translation| translation.language == *tag) {
                Some(translation) => translation.texts.push(entry),
                None => translations.push(v1::Translation { language: tag.clone(), texts: vec![entry] }),
            }
        }
        // The format has fewer translatable fields than this, so only languages can be too many.
        const { assert!(TRANSLATED_FIELDS_MAX > 16) };
        if translations.len() > TRANSLATIONS_MAX {
            let reason = format!("{} translations, the limit is {TRANSLATIONS_MAX}", translations.len());
            self.error(Column::Name, "", reason, "leave some languages out");
        }
        translations
    }

    /// Adds references for a cell that lists ids.
    fn refer(&mut self, column: Column, slot: Slot, kind: Kind) {
        let ids = self.list(column, |text, findings| {
            cell::list(text, findings).into_iter().filter_map(|id| local_id(id, findings)).collect()
        });
        for id in ids {
            self.refer_to(Some(column), slot, kind, Target::Text(id));
        }
    }

    fn refer_to(&mut self, column: Option<Column>, slot: Slot, kind: Kind, target: Target) {
        let index = column.and_then(|column| self.index(column));
        self.references.push(Reference {
            slot,
            kind,
            target,
            column: column
                .map(|column| index.map_or(column.name(), |index| self.header.texts[index].trim()).to_owned()),
            cell: index.map(|index| format!("{}{}", column_letter(index), self.place.row)),
        });
    }

    /// Refuses a list where only one id may stand.
    fn one_only(&mut self, column: Column, what: &str) {
        if let Some(text) = self.peek(column).filter(|text| text.contains([';', '\n'])) {
            self.error(column, text, format!("more than one {what}"), "keep one; for others write further rows");
        }
    }

    /// Same-as and replaces, which every kind has.
    fn refer_common(&mut self, kind: Kind) {
        self.refer(Column::SameAs, Slot::SameAs, kind);
        self.refer(Column::Replaces, Slot::Replaces, kind);
    }

    /// Hands the body on with the references gathered so far; gives its index.
    fn push(&mut self, local_id: String, body: DraftBody) -> usize {
        self.reading.pending.push(Pending {
            draft: Draft {
                kind: body.kind(),
                audience: self.audience,
                local_id,
                lease_days: self.lease_days,
                body,
                place: self.place.clone(),
            },
            has_derived_id: self.has_derived_id,
            references: std::mem::take(&mut self.references),
        });
        self.reading.pending.len() - 1
    }

    /// Nothing that somebody wrote disappears without a word.
    fn warn_about_unread(&mut self, kind: Kind) {
        let positions = &self.header.positions;
        for index in positions.values().filter(|index| !self.used.contains(index)).copied().collect::<Vec<_>>() {
            let Some(text) = self.cells.get(index).map(|text| text.trim()).filter(|text| !text.is_empty()) else {
                continue;
            };
            let reason = format!("this column is not used for a row of kind {kind}, so this is left out");
            let fix = "move it to a column or row where it belongs, or delete it".to_owned();
            self.say(Some(index), Finding { found: excerpt(text), reason, fix, severity: Severity::Warning });
        }
    }
}

/// A local id: 1 to [`LOCAL_ID_BYTES_MAX`] bytes on one line.
pub(super) fn local_id(text: &str, findings: &mut Findings) -> Option<String> {
    let id = cell::line(text, findings)?;
    if id.is_empty() || id.len() > LOCAL_ID_BYTES_MAX {
        let reason = format!("an id has 1 to {LOCAL_ID_BYTES_MAX} bytes, this one {}", id.len());
        return findings.error(text, reason, "shorten the id");
    }
    Some(id)
}

/// A name as an id: letters and digits in lower case with `-` between.
fn slug(name: &str) -> String {
    let mut slug = String::new();
    for char in name.chars().flat_map(char::to_lowercase) {
        let char = if char.is_alphanumeric() { char } else { '-' };
        // Room is left for "-location" and a number.
        if slug.len() + char.len_utf8() > LOCAL_ID_BYTES_MAX - 20 {
            break;
        }
        if char != '-' || !(slug.is_empty() || slug.ends_with('-')) {
            slug.push(char);
        }
    }
    slug.trim_end_matches('-').to_owned()
}
