//! Versions set aside: dated ahead, or waiting for their publisher's card or membership. In memory only.
//!
//! Always: within the limits of number and bytes. What does not fit is dropped; reconciliation brings it again.
//! Spec: `spec/04-merge.md`, section 3.

use std::collections::BTreeMap;

use crate::id::OrgId;
use crate::limits::{QUARANTINE_BYTES_MAX, QUARANTINE_VERSIONS_MAX};
use crate::time::UnixMillis;
use crate::version::SignedVersion;

/// Versions of one organisation that may wait for it.
pub(super) const WAITING_PER_ORGANISATION_MAX: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Quarantine {
    /// By the instant at which they are no longer ahead.
    ahead: BTreeMap<(UnixMillis, u64), SignedVersion>,
    /// By publisher.
    waiting: BTreeMap<OrgId, Vec<SignedVersion>>,
    count: usize,
    bytes: usize,
    sequence: u64,
}

impl Quarantine {
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Sets a version aside until `due`. False when there is no room.
    pub(super) fn hold_until(&mut self, due: UnixMillis, version: SignedVersion) -> bool {
        let is_held = self.ahead.values().any(|held| held.vid() == version.vid());
        if is_held || !self.take_room(&version) {
            return is_held;
        }
        self.sequence += 1;
        self.ahead.insert((due, self.sequence), version);
        true
    }

    /// Sets a version aside until more is known of its publisher. False when there is no room.
    pub(super) fn hold_for(&mut self, org: OrgId, version: SignedVersion) -> bool {
        let held = self.waiting.get(&org).map_or(&[][..], Vec::as_slice);
        if held.iter().any(|held| held.vid() == version.vid()) {
            return true;
        }
        if held.len() >= WAITING_PER_ORGANISATION_MAX || !self.take_room(&version) {
            return false;
        }
        self.waiting.entry(org).or_default().push(version);
        true
    }

    /// Takes out what is no longer ahead.
    pub(super) fn due(&mut self, now: UnixMillis) -> Vec<SignedVersion> {
        let later = self.ahead.split_off(&(now.saturating_add(1), 0));
        let due: Vec<_> = std::mem::replace(&mut self.ahead, later).into_values().collect();
        self.give_room(&due);
        due
    }

    /// Takes out what waits for this organisation.
    pub(super) fn release(&mut self, org: &OrgId) -> Vec<SignedVersion> {
        let released = self.waiting.remove(org).unwrap_or_default();
        self.give_room(&released);
        released
    }

    fn take_room(&mut self, version: &SignedVersion) -> bool {
        let bytes = self.bytes + version.envelope().len();
        if self.count >= QUARANTINE_VERSIONS_MAX || bytes > QUARANTINE_BYTES_MAX {
            return false;
        }
        (self.count, self.bytes) = (self.count + 1, bytes);
        true
    }

    fn give_room(&mut self, versions: &[SignedVersion]) {
        self.count -= versions.len();
        self.bytes -= versions.iter().map(|version| version.envelope().len()).sum::<usize>();
    }
}
