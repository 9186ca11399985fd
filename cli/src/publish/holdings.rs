//! What an organisation has published so far, as its node tells it and its own signatures prove it.

use std::collections::BTreeMap;

use fingerpost_proto::id::{NetworkId, RecordId};
use fingerpost_proto::kind::{Class, Kind};
use fingerpost_proto::network::card::OrgCard;
use fingerpost_proto::record::Body;
use fingerpost_proto::time::Hlc;
use fingerpost_proto::v1;
use fingerpost_proto::version::SignedVersion;

use crate::failure::{Exit, Failure};

/// The current version of one record.
#[derive(Clone, Debug, PartialEq)]
pub struct Current {
    /// The version, its signature checked.
    pub version: SignedVersion,
    /// Its content; `None` when it is withdrawn.
    pub body: Option<Body>,
    /// True when its lease ran out.
    pub lapsed: bool,
    /// Peers that are known to hold it.
    pub held_by: u32,
    /// Its number in the node's log of arrivals.
    pub arrival: u64,
}

impl Current {
    /// True when readers can see it.
    pub fn is_live(&self) -> bool {
        self.body.is_some() && !self.lapsed
    }

    /// The publisher's own name for it; empty when it is withdrawn, because the name went with the body.
    pub fn local_id(&self) -> &str {
        self.body.as_ref().map_or("", Body::local_id)
    }

    /// For people: `service:drop-in`, or the record id when the name is gone.
    pub fn handle(&self) -> String {
        match &self.body {
            Some(body) => format!("{}:{}", self.version.header().kind, body.local_id()),
            None => self.version.header().record.to_string(),
        }
    }
}

/// The current versions of one organisation.
#[derive(Clone, Debug, Default)]
pub struct Holdings {
    records: BTreeMap<RecordId, Current>,
    /// Entries that were not this organisation's own, or not readable: nothing is built on them.
    pub unproven: usize,
}

/// What an id on the command line stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Exactly this record.
    One(RecordId),
    /// None.
    Nothing,
    /// Several; here are their handles.
    Ambiguous(Vec<String>),
}

impl Holdings {
    /// Keeps the content entries that `card`'s devices signed in `network`.
    ///
    /// A node could hand us another body under our name, and `confirm` would sign it: so each signature is checked.
    pub fn of(entries: Vec<v1::Entry>, card: &OrgCard, network: &NetworkId) -> Holdings {
        let mut holdings = Holdings::default();
        for entry in entries {
            match prove(entry, card, network) {
                Some(current) => {
                    holdings.records.insert(current.version.header().record, current);
                }
                None => holdings.unproven += 1,
            }
        }
        holdings
    }

    /// The current version of a record.
    pub fn get(&self, record: &RecordId) -> Option<&Current> {
        self.records.get(record)
    }

    /// All current versions, by record id.
    pub fn iter(&self) -> impl Iterator<Item = (&RecordId, &Current)> {
        self.records.iter()
    }

    /// The newest clock among them.
    pub fn newest(&self) -> Hlc {
        self.records.values().map(|current| current.version.header().hlc).max().unwrap_or_default()
    }

    /// Finds a record by its id, the first 8 or more characters of its id, its local id, or `kind:local-id`.
    pub fn find(&self, text: &str) -> Selection {
        let (kind, local_id) = match text.split_once(':').and_then(|(kind, rest)| Kind::from_name(kind).zip(Some(rest)))
        {
            Some((kind, local_id)) => (Some(kind), local_id),
            None => (None, text),
        };
        let prefix = text.to_ascii_lowercase();
        let by_name = |current: &Current| {
            current.body.is_some()
                && current.local_id() == local_id
                && kind.is_none_or(|kind| kind == current.version.header().kind)
        };
        let found: Vec<(&RecordId, &Current)> = self
            .records
            .iter()
            .filter(|(id, current)| by_name(current) || (prefix.len() >= 8 && id.to_string().starts_with(&prefix)))
            .collect();
        match found.as_slice() {
            [] => Selection::Nothing,
            [(id, _)] => Selection::One(**id),
            several => Selection::Ambiguous(
                several
                    .iter()
                    .map(|(id, current)| format!("{} ({}, {id})", current.handle(), current.version.header().audience))
                    .collect(),
            ),
        }
    }

    /// The records that these texts name, each once, in order. Errors: usage, naming the first text that fits none or several.
    pub fn select(&self, texts: &[String]) -> Result<Vec<RecordId>, Failure> {
        let mut chosen = Vec::new();
        for text in texts {
            match self.find(text) {
                Selection::One(id) if chosen.contains(&id) => {}
                Selection::One(id) => chosen.push(id),
                Selection::Nothing => {
                    return Err(Failure::new(Exit::Usage, format!("this organisation has no record {text:?}"))
                        .hint("see them all: fingerpost list --mine --withdrawn"));
                }
                Selection::Ambiguous(handles) => {
                    let failure = Failure::new(Exit::Usage, format!("{text:?} names {} records", handles.len()));
                    return Err(handles
                        .into_iter()
                        .fold(failure, Failure::because)
                        .hint("name one of them by its whole record id"));
                }
            }
        }
        Ok(chosen)
    }
}

fn prove(entry: v1::Entry, card: &OrgCard, network: &NetworkId) -> Option<Current> {
    let version = SignedVersion::read(entry.envelope).ok()?;
    let header = version.header();
    if header.org != card.org || header.network != *network || header.kind.class() != Class::Record {
        return None;
    }
    let key = card.signer_of(header.kind.class(), &header.device, header.hlc, &version.vid())?;
    version.check_signature(&key).ok()?;
    let body = match version.is_withdrawal() {
        true => None,
        false => Some(Body::decode(header.kind, version.body()).ok()?),
    };
    Some(Current { version, body, lapsed: entry.lapsed, held_by: entry.held_by, arrival: entry.arrival })
}
