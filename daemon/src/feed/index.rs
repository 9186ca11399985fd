//! Which services there are, by what filters ask for: kept in memory, without bodies, and brought up to date from the
//! directory's list of changes.
//!
//! In: the directory. Out: ids of services, services at locations, terms and taxonomies.
//! Always: after `refresh` of a directory at rest, as many services as it counts; otherwise it is built anew.
//! Tested: below and in `feed/tests/hsds.rs`.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use fingerpost_proto::id::RecordId;
use fingerpost_proto::kind::Kind;
use fingerpost_proto::time::UnixMillis;
use fingerpost_proto::v1;

use super::directory::{Change, Directory, DirectoryError, Entry};
use super::hsds::parts;
use super::hsds::provenance::modified_ms;
use super::hsds::record::{at_location_id, organisation_id};
use super::limits::{CHUNK_RECORDS, INDEX_SERVICES_MAX, LOCATIONS_PER_RECORD_MAX, TERMS_MAX, TERMS_PER_SERVICE_MAX};
use super::reader::body;

/// What a list of services may be narrowed to. Conditions combine with AND.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) organisation: Option<RecordId>,
    pub(crate) term: Option<RecordId>,
    pub(crate) taxonomy: Option<RecordId>,
    /// On or after.
    pub(crate) modified_after_ms: Option<UnixMillis>,
}

/// What the index knows about one service.
pub(crate) struct Facts {
    organisation: RecordId,
    modified_ms: UnixMillis,
    terms: Box<[(RecordId, RecordId)]>,
    at_locations: Box<[RecordId]>,
}

impl Facts {
    /// Facts of a service and the terms it uses.
    fn of(entry: &Entry, service: &v1::Service) -> (Facts, Vec<v1::Term>) {
        let terms: Vec<v1::Term> =
            service.terms.iter().chain(&service.audiences).take(TERMS_PER_SERVICE_MAX).cloned().collect();
        let links = service.locations.iter().take(LOCATIONS_PER_RECORD_MAX);
        let facts = Facts {
            organisation: organisation_id(entry, service),
            modified_ms: modified_ms(entry, service.modified_ms),
            terms: terms.iter().map(|term| (parts::term_id(term), parts::taxonomy_id(parts::scheme(term)))).collect(),
            at_locations: links
                .filter_map(|link| RecordId::from_slice(&link.location))
                .map(|location| at_location_id(entry.record, &location))
                .collect(),
        };
        (facts, terms)
    }

    fn pass(&self, filter: &Filter) -> bool {
        filter.organisation.is_none_or(|id| self.organisation == id)
            && filter.modified_after_ms.is_none_or(|ms| self.modified_ms >= ms)
            && filter.term.is_none_or(|id| self.terms.iter().any(|(term, _)| *term == id))
            && filter.taxonomy.is_none_or(|id| self.terms.iter().any(|(_, taxonomy)| *taxonomy == id))
    }
}

/// True when the service of this entry passes the filter.
pub(crate) fn passes(entry: &Entry, service: &v1::Service, filter: &Filter) -> bool {
    Facts::of(entry, service).0.pass(filter)
}

struct Term {
    term: v1::Term,
    uses: usize,
}

#[derive(Default)]
struct State {
    generation: Option<u64>,
    after: u64,
    services: BTreeMap<RecordId, Facts>,
    at_locations: BTreeMap<RecordId, RecordId>,
    terms: BTreeMap<RecordId, Term>,
}

impl State {
    fn insert(&mut self, entry: &Entry) {
        self.remove(&entry.record);
        if self.services.len() >= INDEX_SERVICES_MAX {
            return;
        }
        // A body that cannot be read still counts, or the count would never agree with the directory's.
        let service = body::<v1::Service>(entry).unwrap_or_default();
        let (facts, terms) = Facts::of(entry, &service);
        for term in terms {
            let id = parts::term_id(&term);
            if let Some(known) = self.terms.get_mut(&id) {
                known.uses += 1;
            } else if self.terms.len() < TERMS_MAX {
                self.terms.insert(id, Term { term, uses: 1 });
            }
        }
        self.at_locations.extend(facts.at_locations.iter().map(|id| (*id, entry.record)));
        self.services.insert(entry.record, facts);
    }

    fn remove(&mut self, record: &RecordId) {
        let Some(facts) = self.services.remove(record) else { return };
        for id in &facts.at_locations {
            self.at_locations.remove(id);
        }
        for (id, _) in &facts.terms {
            if let Some(term) = self.terms.get_mut(id) {
                term.uses -= 1;
                if term.uses == 0 {
                    self.terms.remove(id);
                }
            }
        }
    }

    fn follow(&mut self, directory: &dyn Directory) -> Result<(), DirectoryError> {
        loop {
            let changes = directory.changes(Kind::SERVICE, self.after, CHUNK_RECORDS)?;
            let Some(last) = changes.last().map(Change::arrival) else { return Ok(()) };
            for change in &changes {
                match change {
                    Change::Updated(entry) => self.insert(entry),
                    Change::Removed(removed) => self.remove(&removed.record),
                }
            }
            self.after = self.after.max(last);
        }
    }

    fn rebuild(&mut self, directory: &dyn Directory) -> Result<(), DirectoryError> {
        *self = State::default();
        for offset in (0..INDEX_SERVICES_MAX).step_by(CHUNK_RECORDS) {
            let entries = directory.page(Kind::SERVICE, offset, CHUNK_RECORDS)?;
            for entry in &entries {
                self.after = self.after.max(entry.arrival);
                self.insert(entry);
            }
            if entries.len() < CHUNK_RECORDS {
                break;
            }
        }
        Ok(())
    }

    fn refresh(&mut self, directory: &dyn Directory) -> Result<(), DirectoryError> {
        let generation = directory.generation();
        if self.generation == Some(generation) {
            return Ok(());
        }
        self.follow(directory)?;
        // Changes that the directory has forgotten (nobody asked for a week) cannot be followed.
        let agrees = self.services.len() == directory.count(Kind::SERVICE).min(INDEX_SERVICES_MAX);
        if directory.generation() != generation {
            // Something changed meanwhile, so the counts may differ for that reason: the next request follows it.
            return Ok(());
        }
        if !agrees {
            self.rebuild(directory)?;
        }
        self.generation = Some(generation);
        Ok(())
    }
}

/// The index, shared by all requests.
#[derive(Default)]
pub(crate) struct Index(Mutex<State>);

impl Index {
    fn with<T>(&self, directory: &dyn Directory, ask: impl FnOnce(&State) -> T) -> Result<T, DirectoryError> {
        // A panic while refreshing leaves a state that the count or the next rebuild corrects.
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.refresh(directory)?;
        Ok(ask(&state))
    }

    /// Ids of the services that pass, by id: how many there are, and those of one page.
    pub(crate) fn services(
        &self,
        directory: &dyn Directory,
        filter: &Filter,
        offset: usize,
        limit: usize,
    ) -> Result<(usize, Vec<RecordId>), DirectoryError> {
        self.with(directory, |state| {
            let mut total = 0;
            let mut page = Vec::new();
            for (id, _) in state.services.iter().filter(|(_, facts)| facts.pass(filter)) {
                if total >= offset && page.len() < limit {
                    page.push(*id);
                }
                total += 1;
            }
            (total, page)
        })
    }

    /// Ids of services at locations whose service passes, each with its service.
    pub(crate) fn at_locations(
        &self,
        directory: &dyn Directory,
        filter: &Filter,
        offset: usize,
        limit: usize,
    ) -> Result<(usize, Vec<(RecordId, RecordId)>), DirectoryError> {
        self.with(directory, |state| {
            let mut total = 0;
            let mut page = Vec::new();
            for (id, service) in &state.at_locations {
                if *filter != Filter::default() && !state.services.get(service).is_some_and(|facts| facts.pass(filter))
                {
                    continue;
                }
                if total >= offset && page.len() < limit {
                    page.push((*id, *service));
                }
                total += 1;
            }
            (total, page)
        })
    }

    /// The service to which a service at a location belongs.
    pub(crate) fn service_at(
        &self,
        directory: &dyn Directory,
        id: &RecordId,
    ) -> Result<Option<RecordId>, DirectoryError> {
        self.with(directory, |state| state.at_locations.get(id).copied())
    }

    /// Terms in use, by id, narrowed to one taxonomy if given.
    pub(crate) fn terms(
        &self,
        directory: &dyn Directory,
        taxonomy: Option<RecordId>,
    ) -> Result<Vec<v1::Term>, DirectoryError> {
        self.with(directory, |state| {
            let within = |term: &&Term| taxonomy.is_none_or(|id| parts::taxonomy_id(parts::scheme(&term.term)) == id);
            state.terms.values().filter(within).map(|term| term.term.clone()).collect()
        })
    }
}
