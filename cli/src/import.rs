//! Import: an admin's files become drafts of records. Nothing is signed or sent here.
//!
//! In: CSV files in the layout of `cli/TEMPLATE.md`, or HSDS JSON. Out: an [`Import`] with every draft and every problem.
//! Always: a row with an error gives no draft; a row is either in `drafts` or counted in `rows_rejected`; nothing that
//! was found is dropped without a problem that names it; `modified_ms` stays 0, the publish step sets it.
//! Tested: `import/tests.rs`, `import/hsds/tests.rs`, and on real directories in `tests/kit/convert/`.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use fingerpost_proto::id::OrgId;
use fingerpost_proto::key::SIGNATURE_BYTES;
use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::limits::ENVELOPE_BYTES_MAX;
use fingerpost_proto::v1;
use fingerpost_proto::version::HEADER_BYTES;

mod cell;
mod column;
mod contact;
mod country;
mod date;
mod encoding;
pub mod hours;
mod hsds;
mod language;
mod problem;
mod recurrence;
mod reference;
pub mod report;
mod row;
mod sheet;
mod term;

use problem::Problems;
pub use problem::{Problem, Severity};
use reference::Pending;

/// Largest file that is read, in bytes. A national directory of 100,000 services is about this large.
pub const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Most data rows in one CSV file, and most records in one JSON file.
pub const ROWS_MAX: u64 = 100_000;
/// Most columns in a CSV file. Spreadsheets export thousands of empty ones when a far cell was once touched.
pub const COLUMNS_MAX: usize = 10_000;
/// Longest cell, in bytes. Longer than any text a record may hold.
pub const CELL_BYTES_MAX: usize = 64 * 1024;
/// Problems kept; later ones are only counted.
pub const PROBLEMS_MAX: usize = 10_000;
/// Room for a body, in bytes: the envelope without signature and header, and eight bytes for `modified_ms`.
pub const BODY_BYTES_MAX: usize = ENVELOPE_BYTES_MAX - HEADER_BYTES - SIGNATURE_BYTES - 8;
/// Most files in one import.
pub const FILES_MAX: usize = 1_000;

/// What the importer has to know besides the files.
#[derive(Clone, Debug)]
pub struct ImportContext {
    /// The publisher: record ids are derived from it.
    pub org: OrgId,
    /// BCP 47 tag of texts whose row names no language.
    pub default_language: String,
    /// IANA zone of times whose row names none.
    pub default_timezone: String,
    /// ISO 3166-1 alpha-2 country of phone numbers and addresses whose row names none.
    pub default_country: Option<String>,
    /// Local id of the organisation that provides services whose row names none. Without it, the only organisation in
    /// the files is taken.
    pub default_organisation: Option<String>,
    /// Lease in days for rows that name none; `None` leaves it to the publish step.
    pub default_lease_days: Option<u32>,
    /// Applies the suggested phone number where a leading 0 was lost.
    pub fix_phones: bool,
    /// What is published already, as (kind, audience, local id), to check references against. `None`: not known.
    pub published: Option<BTreeSet<(Kind, Audience, String)>>,
}

impl ImportContext {
    /// A British English context for this publisher.
    pub fn new(org: OrgId) -> ImportContext {
        ImportContext {
            org,
            default_language: "en".into(),
            default_timezone: "Europe/London".into(),
            default_country: Some("GB".into()),
            default_organisation: None,
            default_lease_days: None,
            fix_phones: false,
            published: None,
        }
    }
}

/// Where a draft came from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Place {
    /// File name as it was given.
    pub file: String,
    /// Row as a spreadsheet counts it (the header is row 1); in JSON the place of the record in reading order, from 1.
    pub row: u64,
}

/// The body of a draft, by kind.
#[derive(Clone, Debug, PartialEq)]
pub enum DraftBody {
    /// Kind 1.
    Organisation(Box<v1::Organisation>),
    /// Kind 2.
    Service(Box<v1::Service>),
    /// Kind 3.
    Location(Box<v1::Location>),
    /// Kind 4.
    Event(Box<v1::Event>),
}

impl DraftBody {
    /// The kind of this body.
    pub fn kind(&self) -> Kind {
        match self {
            DraftBody::Organisation(_) => Kind::ORGANISATION,
            DraftBody::Service(_) => Kind::SERVICE,
            DraftBody::Location(_) => Kind::LOCATION,
            DraftBody::Event(_) => Kind::EVENT,
        }
    }

    /// The protobuf encoding, ready to be signed as a version's body once `modified_ms` is set.
    pub fn encode(&self) -> Vec<u8> {
        use prost::Message as _;
        match self {
            DraftBody::Organisation(body) => body.encode_to_vec(),
            DraftBody::Service(body) => body.encode_to_vec(),
            DraftBody::Location(body) => body.encode_to_vec(),
            DraftBody::Event(body) => body.encode_to_vec(),
        }
    }

    /// Sets the field `modified_ms`, in Unix milliseconds.
    pub fn set_modified_ms(&mut self, modified_ms: u64) {
        match self {
            DraftBody::Organisation(body) => body.modified_ms = modified_ms,
            DraftBody::Service(body) => body.modified_ms = modified_ms,
            DraftBody::Location(body) => body.modified_ms = modified_ms,
            DraftBody::Event(body) => body.modified_ms = modified_ms,
        }
    }

    /// The name of the record, for people; may be empty for a location.
    pub fn name(&self) -> &str {
        match self {
            DraftBody::Organisation(body) => &body.name,
            DraftBody::Service(body) => &body.name,
            DraftBody::Location(body) => &body.name,
            DraftBody::Event(body) => &body.name,
        }
    }
}

/// One record as the admin wrote it, not yet signed.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// What it is about.
    pub kind: Kind,
    /// Who may read it.
    pub audience: Audience,
    /// The publisher's own name for it.
    pub local_id: String,
    /// Lease in days; `None`: the default.
    pub lease_days: Option<u32>,
    /// The content.
    pub body: DraftBody,
    /// Where it was found.
    pub place: Place,
}

/// All that was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Import {
    /// Records without errors, in the order of the files. Their references are filled in.
    pub drafts: Vec<Draft>,
    /// Errors and warnings in the order found, at most [`PROBLEMS_MAX`].
    pub problems: Vec<Problem>,
    /// Problems found beyond [`PROBLEMS_MAX`].
    pub problems_more: u64,
    /// Data rows (CSV) or records (JSON) found.
    pub rows_read: u64,
    /// Rows that gave no draft; each has at least one problem of severity error, unless that is among `problems_more`.
    pub rows_rejected: u64,
}

/// Why nothing at all could be read.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file cannot be opened or read.
    #[error("{file}: cannot be read: {source}")]
    Read {
        /// File name as given.
        file: String,
        /// The cause.
        source: std::io::Error,
    },
    /// No file, or too many.
    #[error("{found} files given; an import takes 1 to {max}")]
    Files {
        /// Files given.
        found: usize,
        /// Most allowed.
        max: usize,
    },
    /// The file is too large.
    #[error(
        "{file}: {found_bytes} bytes, the limit is {max_bytes}; split it into several files and give them together"
    )]
    TooLarge {
        /// File name as given.
        file: String,
        /// Bytes found.
        found_bytes: u64,
        /// Most allowed.
        max_bytes: u64,
    },
    /// Too many columns or rows.
    #[error("{file}: {found} {what}, the limit is {max}; {fix}")]
    TooMany {
        /// File name as given.
        file: String,
        /// Number found; reading stopped there.
        found: u64,
        /// `"columns"`, `"rows"` or `"records"`.
        what: &'static str,
        /// Most allowed.
        max: u64,
        /// What to do.
        fix: &'static str,
    },
    /// Not a table and not HSDS JSON.
    #[error("{file}: {found}; {fix}")]
    NotUnderstood {
        /// File name as given.
        file: String,
        /// What the content looks like.
        found: String,
        /// What to do.
        fix: String,
    },
    /// A default of the context is unusable.
    #[error("default {what} {found:?} cannot be used: {reason}")]
    Context {
        /// Which default.
        what: &'static str,
        /// What was given.
        found: String,
        /// Why not.
        reason: String,
    },
}

/// The CSV template with example rows, as UTF-8.
pub fn template() -> &'static str {
    include_str!("../template.csv")
}

/// Reads the files together: references may cross files, and an id may occur only once in all of them.
///
/// Errors: [`ImportError`] when a file cannot be read as a whole; everything else is in [`Import::problems`].
/// Reads files, changes nothing.
pub fn read<P: AsRef<Path>>(paths: &[P], context: &ImportContext) -> Result<Import, ImportError> {
    if paths.is_empty() || paths.len() > FILES_MAX {
        return Err(ImportError::Files { found: paths.len(), max: FILES_MAX });
    }
    let mut reading = Reading::new(context)?;
    for path in paths {
        let path: PathBuf = path.as_ref().to_owned();
        let name = path.display().to_string();
        reading.file(&name, &file_bytes(&path, &name)?)?;
    }
    Ok(reading.finish())
}

/// Reads contents that are in memory already; `files` are (name, bytes). Otherwise like [`read`].
pub fn read_bytes(files: &[(&str, &[u8])], context: &ImportContext) -> Result<Import, ImportError> {
    if files.is_empty() || files.len() > FILES_MAX {
        return Err(ImportError::Files { found: files.len(), max: FILES_MAX });
    }
    let mut reading = Reading::new(context)?;
    for (name, bytes) in files {
        reading.file(name, bytes)?;
    }
    Ok(reading.finish())
}

/// The whole file, refused by its size before it is read and again while it is read (it may grow, or be a pipe).
fn file_bytes(path: &Path, name: &str) -> Result<Vec<u8>, ImportError> {
    let error = |source| ImportError::Read { file: name.to_owned(), source };
    let file = File::open(path).map_err(error)?;
    let claimed = file.metadata().map_err(error)?.len();
    let mut bytes = Vec::new();
    if claimed <= FILE_BYTES_MAX {
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(error)?;
    }
    let found_bytes = claimed.max(bytes.len() as u64);
    if found_bytes > FILE_BYTES_MAX {
        return Err(ImportError::TooLarge { file: name.to_owned(), found_bytes, max_bytes: FILE_BYTES_MAX });
    }
    Ok(bytes)
}

/// Work in progress over all files.
struct Reading<'a> {
    context: &'a ImportContext,
    problems: Problems,
    pending: Vec<Pending>,
    rows_read: u64,
    /// Rows with an error.
    rejected: BTreeSet<Place>,
    /// Records that were found but rejected, so that references to them can be explained.
    rejected_ids: BTreeSet<(Kind, String)>,
}

impl<'a> Reading<'a> {
    fn new(context: &'a ImportContext) -> Result<Self, ImportError> {
        if let Err(error) = oxilangtag::LanguageTag::parse(context.default_language.as_str()) {
            let found = context.default_language.clone();
            return Err(ImportError::Context { what: "language", found, reason: error.to_string() });
        }
        if let Err(error) = jiff::tz::TimeZone::get(&context.default_timezone) {
            let found = context.default_timezone.clone();
            return Err(ImportError::Context { what: "timezone", found, reason: error.to_string() });
        }
        Ok(Reading {
            context,
            problems: Problems::default(),
            pending: Vec::new(),
            rows_read: 0,
            rejected: BTreeSet::new(),
            rejected_ids: BTreeSet::new(),
        })
    }

    fn file(&mut self, name: &str, bytes: &[u8]) -> Result<(), ImportError> {
        if bytes.len() as u64 > FILE_BYTES_MAX {
            let found_bytes = bytes.len() as u64;
            return Err(ImportError::TooLarge { file: name.to_owned(), found_bytes, max_bytes: FILE_BYTES_MAX });
        }
        let text = encoding::decode(name, bytes, &mut self.problems)?;
        match text.trim_start().chars().next() {
            Some('{' | '[') => hsds::read(name, &text, self),
            _ => sheet::read(name, &text, self),
        }
    }

    /// Refuses records that no envelope can hold; their references are part of their size.
    fn check_sizes(&mut self) {
        for pending in &self.pending {
            let bytes = pending.draft.body.encode().len();
            let place = &pending.draft.place;
            if bytes <= BODY_BYTES_MAX || self.rejected.contains(place) {
                continue;
            }
            self.problems.push(Problem {
                file: place.file.clone(),
                row: Some(place.row),
                column: None,
                cell: None,
                found: problem::excerpt(pending.draft.body.name()),
                reason: format!("the whole record has {bytes} bytes, the limit is {BODY_BYTES_MAX}"),
                fix: "shorten the longest texts, or leave out translations".into(),
                severity: Severity::Error,
            });
            self.rejected.insert(place.clone());
        }
    }

    fn finish(mut self) -> Import {
        reference::check_unique(&mut self);
        reference::resolve(&mut self);
        self.check_sizes();
        let rejected = std::mem::take(&mut self.rejected);
        let drafts = self.pending.into_iter().map(|pending| pending.draft);
        Import {
            drafts: drafts.filter(|draft| !rejected.contains(&draft.place)).collect(),
            rows_read: self.rows_read,
            rows_rejected: rejected.len() as u64,
            problems_more: self.problems.more,
            problems: self.problems.kept,
        }
    }
}

#[cfg(test)]
mod tests;
