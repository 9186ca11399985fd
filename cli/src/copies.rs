//! What this organisation published over a host, kept at its own side: a host that shows yesterday is noticed, and one that vanishes
//! takes nothing with it.
//!
//! In: versions before they are sent, the host's answers, what it lists later. Out: what is missing or old there, and all versions for
//! another host. File in the home: `published.copies`, two `Versions` messages one after the other (what a host said is on its
//! stable storage; what was sent and not answered for), mode 0600. Always: a version is in the file before it leaves this computer; the
//! file is complete or as it was. Spec: `spec/14-hosting.md`, section 5.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use fingerpost_proto::id::{NetworkId, RecordId};
use fingerpost_proto::kind::Class;
use fingerpost_proto::limits::ENVELOPE_BYTES_MAX;
use fingerpost_proto::network::card::OrgCard;
use fingerpost_proto::order::Precedence;
use fingerpost_proto::record::Body;
use fingerpost_proto::time::UnixMillis;
use fingerpost_proto::v1;
use fingerpost_proto::v1::publish_result::Outcome;
use fingerpost_proto::version::SignedVersion;
use prost::Message;
use rustix::fs::{FlockOperation, flock};

use crate::failure::{Exit, Failure};
use crate::identity::{keep_private_file, read_file};
use crate::output::escape::shown;
use crate::output::moment::date_time;
use crate::publish::Holdings;

/// File with the copies.
pub const COPIES_FILE: &str = "published.copies";
/// Records, cards and statements that are kept. Whoever publishes more is not tiny, and runs a node.
pub const COPIES_MAX: usize = 4_096;
/// Two versions of the largest size for each, with their framing; in bytes.
const COPIES_FILE_BYTES_MAX: usize = 2 * COPIES_MAX * (ENVELOPE_BYTES_MAX + 8);

/// Newest versions, by record.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Copies {
    records: BTreeMap<RecordId, Kept>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Kept {
    /// A host has said that it is on stable storage, or has listed it.
    acknowledged: Option<SignedVersion>,
    /// Sent later than that, and not answered for.
    sent: Option<SignedVersion>,
}

/// A record that the host does not show as it was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withheld {
    /// The record.
    pub record: RecordId,
    /// For people: `service:drop-in`, or the record id of a withdrawn one.
    pub handle: String,
    /// Its title; empty for a withdrawn one.
    pub name: String,
    /// When the version that was published was signed.
    pub published_ms: UnixMillis,
    /// When the version that the host shows was signed; `None`: it shows none.
    pub shown_ms: Option<UnixMillis>,
}

impl Copies {
    /// Reads the file; a home without one has no copies. Errors: permission, naming the file.
    pub fn load(home: &Path) -> Result<Copies, Failure> {
        let path = path(home);
        let broken = || {
            Failure::new(Exit::Permission, format!("{} cannot be read", path.display()))
                .hint("move it away: it is made anew from what the host lists; until then nothing is compared")
        };
        let Some(bytes) = read_file(&path, COPIES_FILE_BYTES_MAX)? else { return Ok(Copies::default()) };
        let mut rest = bytes.as_slice();
        let mut part = || v1::Versions::decode_length_delimited(&mut rest).map_err(|_| broken());
        let (acknowledged, sent) = (part()?, part()?);
        let mut copies = Copies::default();
        for envelope in acknowledged.envelopes {
            copies.acknowledge(SignedVersion::read(envelope).map_err(|_| broken())?);
        }
        for envelope in sent.envelopes {
            copies.send(SignedVersion::read(envelope).map_err(|_| broken())?);
        }
        Ok(copies)
    }

    /// Reads, changes and keeps the copies, one command at a time. Nothing is remembered between two commands but in the file.
    ///
    /// Errors: permission; refused beyond [`COPIES_MAX`], and then the file is as it was.
    pub fn change(home: &Path, change: impl FnOnce(&mut Copies)) -> Result<(), Failure> {
        // Released when the file is closed.
        let _lock = lock(home).map_err(|error| {
            Failure::new(Exit::Permission, format!("{} cannot be locked", home.display())).caused_by(&error)
        })?;
        let before = Copies::load(home)?;
        let mut copies = before.clone();
        change(&mut copies);
        if copies == before {
            return Ok(());
        }
        if copies.records.len() > COPIES_MAX {
            let found = copies.records.len();
            return Err(Failure::new(
                Exit::Refused,
                format!("{found} records and statements, at a host at most {COPIES_MAX}"),
            )
            .because("this computer keeps a copy of each, so that no host can withhold one unnoticed")
            .hint("run a node of your own: see README.md, \"Five minutes with a network of your own\""));
        }
        copies.keep(home)
    }

    /// Remembers versions that are about to leave this computer.
    pub fn sending(&mut self, envelopes: &[Vec<u8>]) {
        envelopes
            .iter()
            .filter_map(|envelope| SignedVersion::read(envelope.clone()).ok())
            .for_each(|version| self.send(version));
    }

    /// Remembers versions that a host let an organisation in with.
    pub fn acknowledged(&mut self, envelopes: &[Vec<u8>]) {
        let versions = envelopes.iter().filter_map(|envelope| SignedVersion::read(envelope.clone()).ok());
        versions.for_each(|version| self.acknowledge(version));
    }

    /// Remembers what a host answered, in the order of the versions.
    pub fn answered(&mut self, envelopes: &[Vec<u8>], results: &[v1::PublishResult]) {
        for (envelope, result) in envelopes.iter().zip(results) {
            let Ok(version) = SignedVersion::read(envelope.clone()) else { continue };
            match result.outcome() {
                Outcome::Published | Outcome::Duplicate => self.acknowledge(version),
                // It has a newer one of ours, or refuses this one: nothing to wait for.
                Outcome::Superseded | Outcome::Rejected | Outcome::Unspecified => self.take_back(&version),
            }
        }
    }

    /// Compares with what the host lists, learns what is newer there, and forgets what nobody keeps any more: what is too old, and what
    /// the organisation's own card no longer bears out. Returns what is missing or older there, by record id.
    pub fn compare(
        &mut self,
        listed: &Holdings,
        card: &OrgCard,
        network: &NetworkId,
        now: UnixMillis,
    ) -> Vec<Withheld> {
        let counts = |version: &SignedVersion| {
            let header = version.header();
            let class = header.kind.class();
            header.network == *network
                && card.bears_out(class, &header.device, header.hlc, &version.vid())
                && version.forget_at().is_none_or(|at| now < at)
        };
        for copy in self.records.values_mut() {
            copy.acknowledged.take_if(|version| !counts(version));
            copy.sent.take_if(|version| !counts(version));
        }
        self.records.retain(|_, copy| *copy != Kept::default());
        let mut withheld = Vec::new();
        for (record, copy) in &mut self.records {
            let shown = listed.get(record).map(|current| &current.version);
            if shown.is_some() && shown.map(SignedVersion::vid) == copy.sent.as_ref().map(SignedVersion::vid) {
                copy.acknowledged = copy.sent.take();
            }
            let Some(ours) = copy.acknowledged.as_ref().filter(|ours| ours.header().kind.class() == Class::Record)
            else {
                continue;
            };
            if shown.is_none_or(|shown| Precedence::of(shown) < Precedence::of(ours)) {
                withheld.push(Withheld::of(ours, shown));
            }
        }
        for (_, current) in listed.iter() {
            if self.records.len() < COPIES_MAX || self.records.contains_key(&current.version.header().record) {
                self.acknowledge(current.version.clone());
            }
        }
        withheld
    }

    /// The newest version of everything, oldest first.
    pub fn versions(&self) -> Vec<&SignedVersion> {
        let newest = self.records.values().filter_map(|copy| copy.sent.as_ref().or(copy.acknowledged.as_ref()));
        let mut versions: Vec<&SignedVersion> = newest.collect();
        versions.sort_by_key(|version| Precedence::of(version));
        versions
    }

    fn send(&mut self, version: SignedVersion) {
        let copy = self.records.entry(version.header().record).or_default();
        let newest = copy.sent.as_ref().or(copy.acknowledged.as_ref());
        if newest.is_none_or(|newest| Precedence::of(newest) < Precedence::of(&version)) {
            copy.sent = Some(version);
        }
    }

    fn acknowledge(&mut self, version: SignedVersion) {
        let copy = self.records.entry(version.header().record).or_default();
        let found = Precedence::of(&version);
        copy.sent.take_if(|sent| Precedence::of(sent) <= found);
        if copy.acknowledged.as_ref().is_none_or(|known| Precedence::of(known) < found) {
            copy.acknowledged = Some(version);
        }
    }

    fn take_back(&mut self, version: &SignedVersion) {
        let record = version.header().record;
        let Some(copy) = self.records.get_mut(&record) else { return };
        copy.sent.take_if(|sent| sent.vid() == version.vid());
        if *copy == Kept::default() {
            self.records.remove(&record);
        }
    }

    fn keep(&self, home: &Path) -> Result<(), Failure> {
        let part = |of: fn(&Kept) -> &Option<SignedVersion>| v1::Versions {
            envelopes: self
                .records
                .values()
                .filter_map(|copy| of(copy).as_ref())
                .map(|it| it.envelope().to_vec())
                .collect(),
            ..Default::default()
        };
        let (acknowledged, sent) = (part(|copy| &copy.acknowledged), part(|copy| &copy.sent));
        let mut bytes = acknowledged.encode_length_delimited_to_vec();
        bytes.extend(sent.encode_length_delimited_to_vec());
        keep_private_file(&path(home), &bytes)
    }
}

impl Withheld {
    /// In words. `host` has been made harmless.
    pub fn sentence(&self, host: &str) -> String {
        let what = match self.name.as_str() {
            "" => format!("the withdrawal of {}", self.handle),
            name => format!("{} ({})", shown(name), shown(&self.handle)),
        };
        let published = date_time(self.published_ms);
        match self.shown_ms {
            None => format!("your host {host} did not list {what}, which you published on {published}"),
            Some(at) => {
                format!("your host {host} listed {what} as of {}, but you published it on {published}", date_time(at))
            }
        }
    }

    fn of(ours: &SignedVersion, shown: Option<&SignedVersion>) -> Withheld {
        let header = ours.header();
        let body = if ours.is_withdrawal() { None } else { Body::decode(header.kind, ours.body()).ok() };
        Withheld {
            record: header.record,
            handle: body
                .as_ref()
                .map_or_else(|| header.record.to_string(), |body| format!("{}:{}", header.kind, body.local_id())),
            name: body.as_ref().map_or_else(String::new, |body| body.name().to_owned()),
            published_ms: header.hlc.ms(),
            shown_ms: shown.map(|shown| shown.header().hlc.ms()),
        }
    }
}

/// Waits until no other command changes the copies of this home.
fn lock(home: &Path) -> io::Result<File> {
    let folder = File::open(home)?;
    flock(&folder, FlockOperation::LockExclusive)?;
    Ok(folder)
}

fn path(home: &Path) -> PathBuf {
    home.join(COPIES_FILE)
}

#[cfg(test)]
mod tests;
