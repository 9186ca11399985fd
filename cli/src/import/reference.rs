//! References between records: ids must be unique, and every reference becomes a record id.
//!
//! In: pending drafts of all files. Out: the same with references filled in, and problems.
//! Always: a local id means the publisher's own record; a UUID that is nobody's local id here means somebody else's.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use fingerpost_proto::id::RecordId;
use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::limits::LOCAL_ID_BYTES_MAX;

use super::column::nearest;
use super::problem::{Problem, Severity, excerpt};
use super::{Draft, DraftBody, Place, Reading};

/// Unknown ids for which a similar one is looked for; comparing all with all would take hours on a hostile file.
const SUGGESTIONS_MAX: u32 = 200;
/// Ids compared with an unknown one.
const SUGGESTION_IDS_MAX: usize = 5_000;

/// A draft whose references are still texts.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) draft: Draft,
    /// The id was made from the name, so it may be changed to keep ids apart.
    pub(super) has_derived_id: bool,
    pub(super) references: Vec<Reference>,
}

/// One reference: where it goes, and what it names.
#[derive(Debug)]
pub(super) struct Reference {
    pub(super) slot: Slot,
    pub(super) kind: Kind,
    pub(super) target: Target,
    /// Header or JSON path, for problems.
    pub(super) column: Option<String>,
    pub(super) cell: Option<String>,
}

/// Where a record id is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    /// `Organisation.parent`.
    Parent,
    /// `Service.organisation` or `Event.organiser`.
    Organisation,
    /// The next of `Organisation.locations`, or `Event.location`.
    Location,
    /// The entry of `Service.locations` with this index.
    ServiceLocation(usize),
    /// `Event.service`.
    Service,
    SameAs,
    Replaces,
}

/// What a reference names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A local id, or a UUID of anybody's record.
    Text(String),
    /// A local id, even when it looks like a UUID.
    Own(String),
    /// The pending draft with this index.
    Pending(usize),
    /// Whoever provides services that name nobody.
    DefaultOrganisation,
}

/// Refuses a second record with the id of a first; ids made from names are numbered instead.
pub(super) fn check_unique(reading: &mut Reading<'_>) {
    let mut seen: BTreeMap<(Kind, Audience, String), Place> = BTreeMap::new();
    // Where counting goes on for a name that many rows share; starting at 2 each time would take quadratic time.
    let mut next_numbers: BTreeMap<(Kind, Audience, String), u32> = BTreeMap::new();
    // Written ids first: an id made from a name gives way to one that somebody chose, wherever it stands.
    for is_derived in [false, true] {
        for index in 0..reading.pending.len() {
            let pending = &mut reading.pending[index];
            if pending.has_derived_id != is_derived || reading.rejected.contains(&pending.draft.place) {
                continue;
            }
            let draft = &mut pending.draft;
            let key = |id: &str| (draft.kind, draft.audience, id.to_owned());
            let Some(first) = seen.get(&key(&draft.local_id)) else {
                seen.insert(key(&draft.local_id), draft.place.clone());
                continue;
            };
            let (place, found) = (draft.place.clone(), draft.local_id.clone());
            let taken_by = format!("the {} in {} row {} has this id too", draft.kind, first.file, first.row);
            let (severity, reason, fix) = if is_derived {
                let number = next_numbers.entry(key(&found)).or_insert(2);
                while seen.contains_key(&key(&numbered(&found, *number))) {
                    *number += 1;
                }
                let id = numbered(&found, *number);
                seen.insert(key(&id), place.clone());
                let fix = format!("\"{id}\" is used now; write an id of your own, so that it stays when rows move");
                set_local_id(draft, id);
                (Severity::Warning, format!("made from the name, but {taken_by}"), fix)
            } else {
                reading.rejected.insert(place.clone());
                (Severity::Error, taken_by, "give one of them another id, or delete the row if it is a copy".to_owned())
            };
            reading.problems.push(Problem {
                file: place.file,
                row: Some(place.row),
                column: Some("id".into()),
                cell: None,
                found: excerpt(&found),
                reason,
                fix,
                severity,
            });
        }
    }
}

/// `id-2`, cut so that it stays within the limit.
fn numbered(id: &str, number: u32) -> String {
    let end = format!("-{number}");
    let mut cut = id.len().min(LOCAL_ID_BYTES_MAX - end.len());
    while !id.is_char_boundary(cut) {
        cut -= 1;
    }
    format!("{}{end}", &id[..cut])
}

fn set_local_id(draft: &mut Draft, id: String) {
    match &mut draft.body {
        DraftBody::Organisation(body) => body.local_id.clone_from(&id),
        DraftBody::Service(body) => body.local_id.clone_from(&id),
        DraftBody::Location(body) => body.local_id.clone_from(&id),
        DraftBody::Event(body) => body.local_id.clone_from(&id),
    }
    draft.local_id = id;
}

/// Fills in every reference.
pub(super) fn resolve(reading: &mut Reading<'_>) {
    let mut known: BTreeMap<Kind, BTreeMap<String, BTreeSet<Audience>>> = BTreeMap::new();
    let mut named: Vec<(Kind, Audience, String)> = Vec::new();
    for pending in &reading.pending {
        let draft = &pending.draft;
        named.push((draft.kind, draft.audience, draft.local_id.clone()));
        if !reading.rejected.contains(&draft.place) {
            let ids = known.entry(draft.kind).or_default();
            ids.entry(draft.local_id.clone()).or_default().insert(draft.audience);
        }
    }
    for (kind, audience, id) in reading.context.published.iter().flatten() {
        known.entry(*kind).or_default().entry(id.clone()).or_default().insert(*audience);
    }
    let only_organisation = match known.get(&Kind::ORGANISATION).map(|ids| (ids.len(), ids.first_key_value())) {
        Some((1, Some((id, _)))) => Some(id.clone()),
        _ => None,
    };
    let resolver = Resolver {
        known: &known,
        named: &named,
        only_organisation: only_organisation.as_deref(),
        suggestions_left: Cell::new(SUGGESTIONS_MAX),
    };
    for index in 0..reading.pending.len() {
        if reading.rejected.contains(&reading.pending[index].draft.place) {
            continue;
        }
        for reference in std::mem::take(&mut reading.pending[index].references) {
            let audience = reading.pending[index].draft.audience;
            let answer = resolver.resolve(&reference, audience, reading);
            let draft = &mut reading.pending[index].draft;
            if let Some(id) = answer.id {
                write(&mut draft.body, reference.slot, id);
            }
            if let Some((severity, found, reason, fix)) = answer.finding {
                let place = draft.place.clone();
                if severity == Severity::Error {
                    reading.rejected.insert(place.clone());
                }
                reading.problems.push(Problem {
                    file: place.file,
                    row: Some(place.row),
                    column: reference.column,
                    cell: reference.cell,
                    found: excerpt(&found),
                    reason,
                    fix,
                    severity,
                });
            }
        }
    }
}

struct Resolver<'a> {
    known: &'a BTreeMap<Kind, BTreeMap<String, BTreeSet<Audience>>>,
    named: &'a [(Kind, Audience, String)],
    only_organisation: Option<&'a str>,
    suggestions_left: Cell<u32>,
}

#[derive(Default)]
struct Answer {
    id: Option<RecordId>,
    finding: Option<(Severity, String, String, String)>,
}

impl Resolver<'_> {
    fn resolve(&self, reference: &Reference, from: Audience, reading: &Reading<'_>) -> Answer {
        let kind = reference.kind;
        let derive = |audience, id: &str| Some(RecordId::derive(&reading.context.org, kind, audience, id));
        let text = match &reference.target {
            Target::Pending(index) => {
                let (_, audience, id) = &self.named[*index];
                return Answer { id: derive(*audience, id), finding: None };
            }
            Target::DefaultOrganisation => {
                match reading.context.default_organisation.as_deref().or(self.only_organisation) {
                    Some(id) => id.to_owned(),
                    None => {
                        let reason = "nothing says which organisation this belongs to".to_owned();
                        let fix = "write the organisation's id; its own row may be in another file".to_owned();
                        return Answer { id: None, finding: Some((Severity::Error, String::new(), reason, fix)) };
                    }
                }
            }
            Target::Text(text) | Target::Own(text) => text.clone(),
        };
        let ids = self.known.get(&kind);
        if let Some(audiences) = ids.and_then(|ids| ids.get(&text)) {
            let audience = if audiences.contains(&from) { from } else { *audiences.first().unwrap_or(&from) };
            let is_leak = from == Audience::Public && audience == Audience::Members;
            let finding = is_leak.then(|| {
                let reason = format!("the {kind} is shown to members only, so that public readers find nothing there");
                (Severity::Warning, text.clone(), reason, "make both public, or both for members".to_owned())
            });
            return Answer { id: derive(audience, &text), finding };
        }
        if let (Target::Text(_), Ok(id)) = (&reference.target, text.parse::<RecordId>()) {
            return Answer { id: Some(id), finding: None };
        }
        let (reason, is_rejected) = if reading.rejected_ids.contains(&(kind, text.clone())) {
            (format!("the row of this {kind} has errors and is not imported"), true)
        } else {
            (format!("no {kind} has this id in these files"), false)
        };
        let suggest = !is_rejected && self.suggestions_left.get() > 0;
        let candidates = ids.into_iter().flat_map(|ids| ids.keys()).map(String::as_str).take(SUGGESTION_IDS_MAX);
        let near = suggest.then(|| nearest(&text, candidates)).flatten();
        self.suggestions_left.set(self.suggestions_left.get().saturating_sub(u32::from(suggest)));
        let fix = match near {
            None if is_rejected => "correct that row first".to_owned(),
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("check it, or import the {kind} first"),
        };
        // Without a list of what is published, an unknown id is as likely an older record as a slip.
        let is_error =
            reading.context.published.is_some() && !is_rejected && reference.target != Target::DefaultOrganisation;
        let severity = if is_error { Severity::Error } else { Severity::Warning };
        Answer { id: derive(from, &text), finding: Some((severity, text, reason, fix)) }
    }
}

fn write(body: &mut DraftBody, slot: Slot, id: RecordId) {
    let id = id.0.to_vec();
    match (body, slot) {
        (DraftBody::Organisation(body), Slot::Parent) => body.parent = id,
        (DraftBody::Organisation(body), Slot::Location) => body.locations.push(id),
        (DraftBody::Organisation(body), Slot::SameAs) => body.same_as.push(id),
        (DraftBody::Organisation(body), Slot::Replaces) => body.replaces.push(id),
        (DraftBody::Service(body), Slot::Organisation) => body.organisation = id,
        (DraftBody::Service(body), Slot::ServiceLocation(index)) => {
            if let Some(location) = body.locations.get_mut(index) {
                location.location = id;
            }
        }
        (DraftBody::Service(body), Slot::SameAs) => body.same_as.push(id),
        (DraftBody::Service(body), Slot::Replaces) => body.replaces.push(id),
        (DraftBody::Location(body), Slot::SameAs) => body.same_as.push(id),
        (DraftBody::Location(body), Slot::Replaces) => body.replaces.push(id),
        (DraftBody::Event(body), Slot::Organisation) => body.organiser = id,
        (DraftBody::Event(body), Slot::Location) => body.location = id,
        (DraftBody::Event(body), Slot::Service) => body.service = id,
        (DraftBody::Event(body), Slot::SameAs) => body.same_as.push(id),
        (DraftBody::Event(body), Slot::Replaces) => body.replaces.push(id),
        // No reader makes such a reference.
        (_, _) => {}
    }
}
