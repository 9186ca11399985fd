//! Versions set aside: dated ahead, or waiting for their publisher's card or membership. In memory only.
//!
//! None of them is checked, so anybody can make them. Always: within the limits of number and bytes, for all peers together and
//! for each, and not for longer than an hour. What is dropped comes again by reconciliation.
//! Spec: `spec/04-merge.md`, section 3. Tested: below.

use std::collections::BTreeMap;

use super::Peer;
use crate::id::OrgId;
use crate::limits::{QUARANTINE_BYTES_MAX, QUARANTINE_VERSIONS_MAX};
use crate::time::UnixMillis;
use crate::version::SignedVersion;

/// Versions of one organisation that may wait for it.
pub(super) const WAITING_PER_ORGANISATION_MAX: usize = 256;
/// One peer may fill one part in so many of the quarantine.
pub(super) const QUARANTINE_SHARE: usize = 4;
/// What is further ahead than this is dropped at once, in milliseconds: nobody waits a day for a clock to be right.
pub(super) const QUARANTINE_AHEAD_MS_MAX: u64 = 86_400_000;
/// What waits for its publisher is dropped after so long, in milliseconds.
pub(super) const QUARANTINE_WAIT_MS_MAX: u64 = 3_600_000;
/// Between two looks at what has waited too long, in milliseconds.
const SWEEP_INTERVAL_MS: u64 = 60_000;

#[derive(Debug)]
struct Held {
    version: SignedVersion,
    /// Who brought it; not known of those that are tried again.
    from: Option<Peer>,
    since: UnixMillis,
}

/// How much is held.
#[derive(Clone, Copy, Debug, Default)]
struct Room {
    count: usize,
    bytes: usize,
}

#[derive(Debug, Default)]
pub(super) struct Quarantine {
    /// By the instant at which they are no longer ahead.
    ahead: BTreeMap<(UnixMillis, u64), Held>,
    /// By publisher.
    waiting: BTreeMap<OrgId, Vec<Held>>,
    total: Room,
    by_peer: BTreeMap<Peer, Room>,
    sequence: u64,
    swept_at: UnixMillis,
}

impl Quarantine {
    pub(super) fn len(&self) -> usize {
        self.total.count
    }

    /// Sets a version aside until `due`. False when there is no room for it.
    pub(super) fn hold_until(
        &mut self,
        now: UnixMillis,
        due: UnixMillis,
        version: SignedVersion,
        from: Option<Peer>,
    ) -> bool {
        let is_held = self.ahead.values().any(|held| held.version.vid() == version.vid());
        let is_too_far = due.saturating_sub(now) > QUARANTINE_AHEAD_MS_MAX;
        if is_held || is_too_far || !self.take_room(&version, from) {
            return is_held;
        }
        self.sequence += 1;
        self.ahead.insert((due, self.sequence), Held { version, from, since: now });
        true
    }

    /// Sets a version aside until more is known of its publisher. False when there is no room for it.
    pub(super) fn hold_for(&mut self, now: UnixMillis, org: OrgId, version: SignedVersion, from: Option<Peer>) -> bool {
        let held = self.waiting.get(&org).map_or(&[][..], Vec::as_slice);
        if held.iter().any(|held| held.version.vid() == version.vid()) {
            return true;
        }
        if held.len() >= WAITING_PER_ORGANISATION_MAX || !self.take_room(&version, from) {
            return false;
        }
        self.waiting.entry(org).or_default().push(Held { version, from, since: now });
        true
    }

    /// Takes out what is no longer ahead, and drops what has waited too long for its publisher.
    pub(super) fn due(&mut self, now: UnixMillis) -> Vec<SignedVersion> {
        if now.abs_diff(self.swept_at) >= SWEEP_INTERVAL_MS {
            self.swept_at = now;
            let is_late = |held: &mut Held| now.abs_diff(held.since) >= QUARANTINE_WAIT_MS_MAX;
            let late: Vec<Held> = self.waiting.values_mut().flat_map(|held| held.extract_if(.., is_late)).collect();
            self.waiting.retain(|_, held| !held.is_empty());
            self.give_room(late);
        }
        let later = self.ahead.split_off(&(now.saturating_add(1), 0));
        let due = std::mem::replace(&mut self.ahead, later).into_values().collect();
        self.give_room(due)
    }

    /// Takes out what waits for this organisation.
    pub(super) fn release(&mut self, org: &OrgId) -> Vec<SignedVersion> {
        let released = self.waiting.remove(org).unwrap_or_default();
        self.give_room(released)
    }

    fn take_room(&mut self, version: &SignedVersion, from: Option<Peer>) -> bool {
        let bytes = version.envelope().len();
        let fits = |room: &Room, share: usize| {
            room.count < QUARANTINE_VERSIONS_MAX / share && room.bytes + bytes <= QUARANTINE_BYTES_MAX / share
        };
        let own = from.and_then(|peer| self.by_peer.get(&peer).copied()).unwrap_or_default();
        if !fits(&self.total, 1) || from.is_some() && !fits(&own, QUARANTINE_SHARE) {
            return false;
        }
        let of_peer = from.map(|peer| self.by_peer.entry(peer).or_default());
        for room in of_peer.into_iter().chain([&mut self.total]) {
            (room.count, room.bytes) = (room.count + 1, room.bytes + bytes);
        }
        true
    }

    fn give_room(&mut self, held: Vec<Held>) -> Vec<SignedVersion> {
        for held in &held {
            let bytes = held.version.envelope().len();
            let of_peer = held.from.and_then(|peer| self.by_peer.get_mut(&peer));
            for room in of_peer.into_iter().chain([&mut self.total]) {
                (room.count, room.bytes) = (room.count - 1, room.bytes - bytes);
            }
        }
        self.by_peer.retain(|_, room| room.count > 0);
        held.into_iter().map(|held| held.version).collect()
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer, SigningKey};

    use super::*;
    use crate::id::{NetworkId, RecordId};
    use crate::key::{PublicKey, SIGNATURE_BYTES};
    use crate::kind::{Audience, Kind};
    use crate::limits::ENVELOPE_BYTES_MAX;
    use crate::time::{Hlc, UnixHour};
    use crate::version::{HEADER_BYTES, Header};

    const NOW: UnixMillis = 1_790_000_000_000;

    fn peer(n: u8) -> Peer {
        PublicKey::from_bytes(SigningKey::from_bytes(&[n; 32]).verifying_key().as_bytes()).expect("not weak")
    }

    fn version(n: usize) -> SignedVersion {
        with_body(n, b"x")
    }

    fn with_body(n: usize, body: &[u8]) -> SignedVersion {
        let key = SigningKey::from_bytes(&[7; 32]);
        let header = Header {
            audience: Audience::Public,
            kind: Kind::SERVICE,
            network: NetworkId([1; 32]),
            org: org(n),
            record: RecordId([3; 16]),
            device: key.verifying_key().to_bytes(),
            hlc: Hlc::new(NOW, (n % 65_536) as u16),
            prev: [0; 8],
            lease_until: UnixHour(UnixHour::containing(NOW).0 + 5),
        };
        SignedVersion::assemble(&header, body, &key.sign(&header.signing_bytes(body)).to_bytes()).expect("valid")
    }

    /// One for each 200 versions, so that no organisation's limit is met.
    fn org(n: usize) -> OrgId {
        OrgId([(n / 200) as u8; 32])
    }

    fn hold(quarantine: &mut Quarantine, numbers: std::ops::Range<usize>, from: Peer) -> usize {
        numbers.filter(|n| quarantine.hold_for(NOW, org(*n), version(*n), Some(from))).count()
    }

    #[test]
    fn one_peer_fills_only_its_share_and_all_peers_together_the_whole() {
        let mut quarantine = Quarantine::default();
        let share = QUARANTINE_VERSIONS_MAX / QUARANTINE_SHARE;
        for number in 0..QUARANTINE_SHARE {
            let first = number * (share + 1);
            assert_eq!(hold(&mut quarantine, first..first + share + 1, peer(number as u8)), share);
        }
        assert_eq!(quarantine.len(), QUARANTINE_VERSIONS_MAX);
        assert_eq!(hold(&mut quarantine, 9_000..9_001, peer(99)), 0);
        let released = quarantine.release(&org(0)).len();
        assert_eq!((released, hold(&mut quarantine, 9_000..9_001, peer(99))), (200, 1));
    }

    #[test]
    fn one_peer_fills_only_its_share_of_the_bytes_and_all_peers_together_the_whole() {
        let mut quarantine = Quarantine::default();
        let body = vec![7; ENVELOPE_BYTES_MAX - HEADER_BYTES - SIGNATURE_BYTES];
        let mut hold = |n: usize, from: u8| quarantine.hold_for(NOW, org(n), with_body(n, &body), Some(peer(from)));
        let share = QUARANTINE_BYTES_MAX / QUARANTINE_SHARE / ENVELOPE_BYTES_MAX;
        for from in 0..QUARANTINE_SHARE {
            let first = from * (share + 1);
            assert_eq!((first..=first + share).filter(|n| hold(*n, from as u8)).count(), share);
        }
        assert!(!quarantine.hold_for(NOW, org(9_000), version(9_000), Some(peer(99))), "not a byte is left");
        assert_eq!(quarantine.total.bytes, QUARANTINE_BYTES_MAX);
    }

    #[test]
    fn an_organisation_is_waited_for_with_256_versions_and_no_more() {
        let mut quarantine = Quarantine::default();
        let numbers = 0..WAITING_PER_ORGANISATION_MAX + 1;
        let held = numbers.filter(|n| quarantine.hold_for(NOW, OrgId([9; 32]), version(*n), Some(peer(1)))).count();
        assert_eq!(held, WAITING_PER_ORGANISATION_MAX);
    }

    #[test]
    fn what_waits_too_long_is_dropped_and_gives_its_room_back() {
        let mut quarantine = Quarantine::default();
        assert_eq!(hold(&mut quarantine, 0..3, peer(1)), 3);
        assert!(quarantine.due(NOW + QUARANTINE_WAIT_MS_MAX - 1).is_empty());
        assert_eq!(quarantine.len(), 3);
        assert!(quarantine.due(NOW + QUARANTINE_WAIT_MS_MAX - 1 + SWEEP_INTERVAL_MS).is_empty());
        assert_eq!((quarantine.len(), quarantine.by_peer.len()), (0, 0));
    }

    #[test]
    fn what_is_up_to_a_day_ahead_is_held_until_it_is_not_and_more_is_dropped() {
        let mut quarantine = Quarantine::default();
        let due = NOW + QUARANTINE_AHEAD_MS_MAX;
        assert!(quarantine.hold_until(NOW, due, version(1), Some(peer(1))));
        assert!(!quarantine.hold_until(NOW, due + 1, version(2), Some(peer(1))));
        assert!(quarantine.due(due - 1).is_empty());
        assert_eq!(quarantine.due(due).len(), 1);
        assert_eq!(quarantine.len(), 0);
    }
}
