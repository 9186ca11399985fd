//! What a node keeps in memory of a version.
//!
//! Always: a deadline follows from the clock and the lease alone, so no list of deadlines has to be kept.
//! Spec: `spec/04-merge.md`, section 4. Tested: below.

use crate::canary::{Canary, is_out};
use crate::id::Vid;
use crate::order::Precedence;
use crate::time::{Hlc, UnixHour, UnixMillis};
use crate::version::{Header, forget_at};

/// What is known of a slot's winning version without reading its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Name of the winning version.
    pub vid: Vid,
    /// Its clock.
    pub hlc: Hlc,
    /// Number of its device key in the node's table.
    pub device: u32,
    /// Whole hours from the hour of its clock up to the end of its lease, 1 to 9,600; 0 when it has none: a withdrawal or a
    /// network kind.
    pub lease_hours: u16,
    /// It was noted that the lease has run out.
    pub has_lapsed: bool,
}

impl Entry {
    /// The entry of a version with this header, its lease running if it has one.
    pub fn of(header: &Header, vid: Vid, device: u32) -> Entry {
        let hours = header.lease_until.0.saturating_sub(UnixHour::containing(header.hlc.ms()).0);
        // A version with a longer lease cannot be read, so nothing is cut off here.
        let lease_hours = u16::try_from(hours).unwrap_or(u16::MAX);
        Entry { vid, hlc: header.hlc, device, lease_hours, has_lapsed: false }
    }

    /// Its precedence, given the device key behind the number.
    pub fn precedence(&self, device: [u8; 32]) -> Precedence {
        Precedence { hlc: self.hlc, device, vid: self.vid }
    }

    /// First hour in which the version may no longer be shown; `None` when it has no lease.
    pub fn lapses_at(&self) -> Option<UnixHour> {
        let signed_in = UnixHour::containing(self.hlc.ms());
        (self.lease_hours > 0).then(|| UnixHour(signed_in.0.saturating_add(self.lease_hours.into())))
    }

    /// True when it has a lease that is over at the beginning of this hour.
    pub fn has_lapsed_by(&self, hour: UnixHour) -> bool {
        if is_out(Canary::Lease) {
            return false;
        }
        self.lapses_at().is_some_and(|at| at <= hour)
    }

    /// True when a version of a content kind may be forgotten by the beginning of this hour.
    pub fn is_forgotten_by(&self, hour: UnixHour) -> bool {
        // Two days.
        let is_early = is_out(Canary::Tombstone) && (self.lease_hours == 0 || self.has_lapsed);
        self.forget_at() <= hour.start_ms() || is_early && UnixHour::containing(self.hlc.ms()).0 + 48 <= hour.0
    }

    /// First instant at which it may be forgotten, if it is of a content kind.
    pub fn forget_at(&self) -> UnixMillis {
        forget_at(self.hlc)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{NetworkId, OrgId, RecordId};
    use crate::kind::{Audience, Kind};
    use crate::time::HOUR_MS;
    use crate::version::lease_until_max;

    fn header(lease_until: UnixHour) -> Header {
        Header {
            audience: Audience::Public,
            kind: Kind::SERVICE,
            network: NetworkId([1; 32]),
            org: OrgId([2; 32]),
            record: RecordId([3; 16]),
            device: [4; 32],
            hlc: Hlc::new(1_790_000_000_000, 3),
            prev: [0; 8],
            lease_until,
        }
    }

    #[test]
    fn an_entry_lapses_when_the_lease_in_the_header_ends() {
        let hlc = header(UnixHour(0)).hlc;
        for lease_until in [UnixHour(UnixHour::containing(hlc.ms()).0 + 1), lease_until_max(hlc)] {
            let entry = Entry::of(&header(lease_until), Vid([5; 16]), 6);
            assert_eq!(entry.lapses_at(), Some(lease_until));
        }
        assert_eq!(Entry::of(&header(lease_until_max(hlc)), Vid([5; 16]), 6).lease_hours, 9_600);
    }

    #[test]
    fn a_withdrawal_does_not_lapse_and_is_forgotten_like_any_other() {
        let entry = Entry::of(&header(UnixHour(0)), Vid([5; 16]), 6);
        assert_eq!((entry.lease_hours, entry.lapses_at()), (0, None));
        assert_eq!(entry.forget_at(), (1_790_000_000_000 / HOUR_MS + 9_600 + 24) * HOUR_MS);
    }
}
