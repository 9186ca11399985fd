//! When leases run out and versions may be forgotten, by the hour.

use std::collections::BTreeMap;

use crate::id::Vid;
use crate::set::Slot;
use crate::time::{UnixHour, UnixMillis};

/// What is due at an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Lapse,
    Forget,
}

/// Deadlines are not taken back when a version is superseded: the vid tells whether one still matters.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    hours: BTreeMap<UnixHour, Vec<(Slot, Vid, Due)>>,
}

impl Deadlines {
    pub(super) fn add(&mut self, at: UnixHour, slot: Slot, vid: Vid, due: Due) {
        self.hours.entry(at).or_default().push((slot, vid, due));
    }

    /// Takes out everything whose hour has begun.
    pub(super) fn take(&mut self, now: UnixMillis) -> Vec<(Slot, Vid, Due)> {
        let later = self.hours.split_off(&UnixHour(UnixHour::containing(now).0.saturating_add(1)));
        std::mem::replace(&mut self.hours, later).into_values().flatten().collect()
    }
}
