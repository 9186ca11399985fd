//! What would be signed, and why not more: decided before anything is.

use std::collections::{BTreeMap, BTreeSet};

use fingerpost_proto::id::{NetworkId, OrgId, RecordId};
use fingerpost_proto::key::{PublicKey, SIGNATURE_BYTES};
use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::limits::{ENVELOPE_BYTES_MAX, LEASE_DAYS_MAX};
use fingerpost_proto::network::charter::Charter;
use fingerpost_proto::record::{self, Body};
use fingerpost_proto::time::{Hlc, UnixHour, UnixMillis};
use fingerpost_proto::version::{HEADER_BYTES, Header};

use super::{Current, Draft, Holdings};

/// What a change does to its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// There was none, or it was withdrawn.
    New,
    /// Its content differs.
    Changed,
    /// The same content with a new lease.
    Confirmed,
    /// It is taken back.
    Withdrawn,
}

impl Action {
    /// Every action, in the order of reports.
    pub const ALL: [Action; 4] = [Action::New, Action::Changed, Action::Confirmed, Action::Withdrawn];

    /// Name for people and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Action::New => "new",
            Action::Changed => "changed",
            Action::Confirmed => "confirmed",
            Action::Withdrawn => "withdrawn",
        }
    }

    /// The sign before it in a list of differences.
    pub fn sign(self) -> char {
        match self {
            Action::New => '+',
            Action::Changed => '~',
            Action::Confirmed => '=',
            Action::Withdrawn => '-',
        }
    }
}

/// One version to sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What it does.
    pub action: Action,
    /// Its header, complete.
    pub header: Header,
    /// Its body; empty for a withdrawal.
    pub body: Vec<u8>,
    /// The publisher's own name for the record; empty for a withdrawn one.
    pub local_id: String,
    /// Its title.
    pub name: String,
    /// Where the draft comes from.
    pub place: String,
}

/// A draft that cannot be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it comes from.
    pub place: String,
    /// The publisher's own name for it.
    pub local_id: String,
    /// Why not, and what to do.
    pub reason: String,
}

/// Everything that a command would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In the order of signing.
    pub changes: Vec<Change>,
    /// Drafts whose content is published already.
    pub unchanged: usize,
    /// Those of them whose lease ran out: saying the same again does not renew it, confirming does.
    pub lapsed: Vec<String>,
    /// Records that are still live for another audience under the same local id.
    pub elsewhere: Vec<(Audience, String)>,
    /// Drafts that were left out.
    pub problems: Vec<Problem>,
}

impl Plan {
    /// Number of changes of one sort.
    pub fn count(&self, action: Action) -> usize {
        self.changes.iter().filter(|change| change.action == action).count()
    }

    /// Number of changes of one sort, by kind of record.
    pub fn counts_by_kind(&self, action: Action) -> BTreeMap<Kind, usize> {
        let mut counts = BTreeMap::new();
        for change in self.changes.iter().filter(|change| change.action == action) {
            *counts.entry(change.header.kind).or_default() += 1;
        }
        counts
    }
}

/// Collects a [`Plan`]. Each version's clock is later than the one before it.
#[derive(Debug)]
pub struct Planner<'a> {
    holdings: &'a Holdings,
    network: NetworkId,
    org: OrgId,
    device: [u8; 32],
    lease_days_default: u32,
    lease_days_max: u32,
    envelope_bytes_max: usize,
    clock: Hlc,
    now_ms: UnixMillis,
    places: BTreeMap<RecordId, String>,
    kinds: BTreeSet<Kind>,
    plan: Plan,
}

impl<'a> Planner<'a> {
    /// Starts with the organisation's current versions and the newest clock that is known anywhere.
    pub fn new(
        holdings: &'a Holdings,
        charter: &Charter,
        org: OrgId,
        device: &PublicKey,
        clock: Hlc,
        now_ms: UnixMillis,
    ) -> Planner<'a> {
        let charter_bytes_max = charter.text.version_bytes_max as usize;
        Planner {
            holdings,
            network: charter.network,
            org,
            device: *device.as_bytes(),
            lease_days_default: charter.text.lease_days_default,
            lease_days_max: charter.text.lease_days_max.min(LEASE_DAYS_MAX),
            // A charter may say nothing about size.
            envelope_bytes_max: if charter_bytes_max == 0 { ENVELOPE_BYTES_MAX } else { charter_bytes_max },
            clock,
            now_ms,
            places: BTreeMap::new(),
            kinds: BTreeSet::new(),
            plan: Plan::default(),
        }
    }

    /// Adds what a draft needs: a new version, a changed one, or nothing. What cannot be signed becomes a [`Problem`].
    pub fn draft(&mut self, draft: Draft) {
        let Draft { audience, lease_days, mut body, place } = draft;
        let (kind, local_id, name) = (body.kind(), body.local_id().to_owned(), body.name().to_owned());
        let record = RecordId::derive(&self.org, kind, audience, &local_id);
        self.kinds.insert(kind);
        if let Some(first) = self.places.get(&record) {
            let reason = format!("{kind} {local_id:?} is there twice, first at {first}; give each its own local id");
            return self.plan.problems.push(Problem { place, local_id, reason });
        }
        self.places.insert(record, place.clone());
        self.note_other_audience(kind, audience, &local_id);
        let current = self.holdings.get(&record);
        let action = match current.and_then(|current| current.body.as_ref()) {
            None => Action::New,
            Some(published) => {
                body.set_modified_ms(published.modified_ms());
                if body == *published {
                    return self.note_unchanged(current);
                }
                Action::Changed
            }
        };
        body.set_modified_ms(self.now_ms);
        let lease_days = lease_days.unwrap_or(self.lease_days_default);
        if lease_days == 0 || lease_days > self.lease_days_max {
            let reason = format!("a lease of {lease_days} days: this network allows 1 to {}", self.lease_days_max);
            return self.plan.problems.push(Problem { place, local_id, reason });
        }
        let lease_until = UnixHour::containing(self.clock.next(self.now_ms).ms()).plus_days(lease_days);
        let header = self.header(kind, audience, record, current, lease_until);
        let bytes = body.encode();
        let change = Change { action, header, body: bytes, local_id, name, place };
        self.admit(change);
    }

    /// Adds a version with the same content and a new lease of the same length as the old one.
    pub fn confirm(&mut self, record: &RecordId) {
        let Some((current, body)) = self.current(record) else { return };
        let old = current.version.header();
        let hours = old.lease_until.0.saturating_sub(UnixHour::containing(old.hlc.ms()).0);
        let lease_days = hours.div_ceil(24).clamp(1, self.lease_days_max);
        let lease_until = UnixHour::containing(self.clock.next(self.now_ms).ms()).plus_days(lease_days);
        let header = self.header(old.kind, old.audience, *record, Some(current), lease_until);
        // The bytes, not the decoded body: fields that this software does not know stay as they are.
        let bytes = current.version.body().to_vec();
        let (local_id, name) = (body.local_id().to_owned(), body.name().to_owned());
        self.admit(Change { action: Action::Confirmed, header, body: bytes, local_id, name, place: String::new() });
    }

    /// Adds a version with the same content and the same lease, for a record whose version is to lose its device. One whose lease ends
    /// within the hour is withdrawn.
    pub fn sign_again(&mut self, record: &RecordId) {
        let Some((current, body)) = self.current(record) else { return self.withdraw_again(record) };
        let old = current.version.header();
        let header = self.header(old.kind, old.audience, *record, Some(current), old.lease_until);
        if old.lease_until <= UnixHour::containing(header.hlc.ms()) {
            return self.withdraw(record);
        }
        let bytes = current.version.body().to_vec();
        let (local_id, name) = (body.local_id().to_owned(), body.name().to_owned());
        self.admit(Change { action: Action::Confirmed, header, body: bytes, local_id, name, place: String::new() });
    }

    /// Adds a version with this body and the same lease, for a record that has content.
    pub fn replace(&mut self, record: &RecordId, body: Vec<u8>) {
        let Some((current, old_body)) = self.current(record) else { return };
        let old = current.version.header();
        let header = self.header(old.kind, old.audience, *record, Some(current), old.lease_until);
        let (local_id, name) = (old_body.local_id().to_owned(), old_body.name().to_owned());
        self.admit(Change { action: Action::Changed, header, body, local_id, name, place: String::new() });
    }

    /// Adds the withdrawal of a record, also when it is withdrawn already, by a version that is to lose its device.
    pub fn withdraw_again(&mut self, record: &RecordId) {
        let Some(current) = self.holdings.get(record).filter(|current| current.body.is_none()) else {
            return self.withdraw(record);
        };
        let old = current.version.header();
        let header = self.header(old.kind, old.audience, *record, Some(current), UnixHour(0));
        let (local_id, name, place) = (String::new(), String::new(), String::new());
        self.admit(Change { action: Action::Withdrawn, header, body: Vec::new(), local_id, name, place });
    }

    /// Adds the withdrawal of a record; does nothing when it is withdrawn already.
    pub fn withdraw(&mut self, record: &RecordId) {
        let Some((current, body)) = self.current(record) else { return };
        let old = current.version.header();
        let header = self.header(old.kind, old.audience, *record, Some(current), UnixHour(0));
        let (local_id, name) = (body.local_id().to_owned(), body.name().to_owned());
        self.admit(Change {
            action: Action::Withdrawn,
            header,
            body: Vec::new(),
            local_id,
            name,
            place: String::new(),
        });
    }

    /// Records of the kinds that were drafted which no draft names: live or lapsed, not withdrawn.
    pub fn missing(&self) -> Vec<RecordId> {
        let is_missing = |id: &RecordId, current: &Current| {
            current.body.is_some()
                && self.kinds.contains(&current.version.header().kind)
                && !self.places.contains_key(id)
        };
        self.holdings.iter().filter(|(id, current)| is_missing(id, current)).map(|(id, _)| *id).collect()
    }

    /// The plan.
    pub fn finish(self) -> Plan {
        self.plan
    }

    fn current(&self, record: &RecordId) -> Option<(&'a Current, &'a Body)> {
        let current = self.holdings.get(record)?;
        current.body.as_ref().map(|body| (current, body))
    }

    fn note_unchanged(&mut self, current: Option<&Current>) {
        self.plan.unchanged += 1;
        if let Some(current) = current.filter(|current| current.lapsed) {
            self.plan.lapsed.push(current.handle());
        }
    }

    fn note_other_audience(&mut self, kind: Kind, audience: Audience, local_id: &str) {
        for other in Audience::ALL.into_iter().filter(|other| *other != audience) {
            let record = RecordId::derive(&self.org, kind, other, local_id);
            if self.holdings.get(&record).is_some_and(Current::is_live) {
                self.plan.elsewhere.push((other, record.to_string()));
            }
        }
    }

    fn header(
        &self,
        kind: Kind,
        audience: Audience,
        record: RecordId,
        current: Option<&Current>,
        lease_until: UnixHour,
    ) -> Header {
        Header {
            audience,
            kind,
            network: self.network,
            org: self.org,
            record,
            device: self.device,
            hlc: self.clock.next(self.now_ms),
            prev: current.map_or([0; 8], |current| current.version.vid().prefix()),
            lease_until,
        }
    }

    /// Takes the change in when every node would, else makes it a problem; the clock moves on only then.
    fn admit(&mut self, change: Change) {
        let found = SIGNATURE_BYTES + HEADER_BYTES + change.body.len();
        let max = self.envelope_bytes_max;
        let reason = if found > max {
            let reason = format!("the record has {found} bytes, the limit is {max}; shorten its longest text");
            Some((String::new(), reason))
        } else if change.action == Action::Withdrawn {
            None
        } else {
            record::check(&change.header, &change.body).err().map(|error| {
                // The importer's columns have the names of the fields, or names close to them.
                let column = error.field().map_or_else(String::new, |field| format!(", column {field}"));
                (column, error.to_string())
            })
        };
        match reason {
            Some((column, reason)) => {
                let place = format!("{}{column}", change.place);
                self.plan.problems.push(Problem { place, local_id: change.local_id, reason });
            }
            None => {
                self.clock = change.header.hlc;
                self.plan.changes.push(change);
            }
        }
    }
}
