//! One request's view of the directory: counts what it reads, and reads a linked record once.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use fingerpost_proto::id::RecordId;
use fingerpost_proto::kind::Kind;
use prost::Message;

use super::directory::{Change, Directory, Entry, Lookup};
use super::language::Texts;
use super::limits::READ_BYTES_MAX;
use super::reply::Refusal;
use super::request::Ask;
use super::safe;

/// Reads on behalf of one request.
pub(crate) struct Reader<'a> {
    pub(crate) ask: &'a Ask,
    directory: &'a dyn Directory,
    linked: RefCell<HashMap<RecordId, Option<Rc<Entry>>>>,
    bytes_read: Cell<usize>,
    languages: RefCell<BTreeSet<String>>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(directory: &'a dyn Directory, ask: &'a Ask) -> Reader<'a> {
        Reader { ask, directory, linked: RefCell::default(), bytes_read: Cell::new(0), languages: RefCell::default() }
    }

    pub(crate) fn directory(&self) -> &'a dyn Directory {
        self.directory
    }

    /// Name of the network, as one harmless line.
    pub(crate) fn network_name(&self) -> String {
        safe::line(&self.directory.network_name())
    }

    fn spend(&self, bytes: usize) -> Result<(), Refusal> {
        self.bytes_read.set(self.bytes_read.get().saturating_add(bytes));
        if self.bytes_read.get() > READ_BYTES_MAX { Err(Refusal::PageTooLarge) } else { Ok(()) }
    }

    /// Visible records of `kind` by record id.
    pub(crate) fn page(&self, kind: Kind, offset: usize, limit: usize) -> Result<Vec<Entry>, Refusal> {
        let entries = self.directory.page(kind, offset, limit)?;
        self.spend(entries.iter().map(|entry| entry.body.len()).sum())?;
        Ok(entries)
    }

    /// The same for a scan that keeps nothing: not counted, but bounded by the number of records.
    pub(crate) fn scan_chunk(&self, kind: Kind, offset: usize, limit: usize) -> Result<Vec<Entry>, Refusal> {
        Ok(self.directory.page(kind, offset, limit)?)
    }

    /// Changes of `kind` after the arrival number.
    pub(crate) fn changes(&self, kind: Kind, after: u64, limit: usize) -> Result<Vec<Change>, Refusal> {
        Ok(self.directory.changes(kind, after, limit)?)
    }

    /// The live record of this kind, or why there is none.
    pub(crate) fn record(&self, id: &RecordId, kind: Kind, what: &str) -> Result<Entry, Refusal> {
        match self.directory.record(id)? {
            Lookup::Live(entry) if entry.kind == kind => {
                self.spend(entry.body.len())?;
                Ok(*entry)
            }
            Lookup::Gone { kind: gone } if gone == kind => Err(Refusal::Gone { kind }),
            _ => Err(Refusal::NotFound { what: what.to_owned() }),
        }
    }

    /// A record that another one names; `None` when the id is no id, or nothing of that kind is visible under it.
    pub(crate) fn linked(&self, id: &[u8], kind: Kind) -> Result<Option<Rc<Entry>>, Refusal> {
        let Some(id) = RecordId::from_slice(id) else { return Ok(None) };
        if let Some(known) = self.linked.borrow().get(&id) {
            return Ok(known.clone());
        }
        let found = match self.directory.record(&id)? {
            Lookup::Live(entry) if entry.kind == kind => {
                self.spend(entry.body.len())?;
                Some(Rc::new(*entry))
            }
            _ => None,
        };
        self.linked.borrow_mut().insert(id, found.clone());
        Ok(found)
    }

    /// Notes the languages of texts that went into the answer.
    pub(crate) fn note_languages(&self, texts: &Texts<'_>) {
        self.languages.borrow_mut().extend(texts.used().map(str::to_owned));
    }

    /// Value of `Content-Language`.
    pub(crate) fn content_language(&self) -> String {
        let languages = self.languages.borrow();
        let safe = languages.iter().filter(|tag| super::language::is_tag(tag) && *tag != "*").take(16);
        safe.map(String::as_str).collect::<Vec<_>>().join(", ")
    }
}

/// The body of an entry. A body that cannot be read is passed over by lists and unknown by its id: one bad record
/// must not take the others away.
pub(crate) fn body<M: Message + Default>(entry: &Entry) -> Option<M> {
    M::decode(entry.body.as_slice()).ok()
}
