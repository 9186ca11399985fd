//! Versions that were not signed by whom they say, or that are dated ahead, or two at once.

use std::rc::Rc;

use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::node::{Peer, versions_frames};
use fingerpost_proto::time::{Hlc, UnixHour};
use fingerpost_proto::v1;
use fingerpost_proto::version::{HEADER_BYTES, SignedVersion};
use prost::Message;

use super::frames;
use crate::simulation::network::Frame;
use crate::simulation::random::Random;
use crate::simulation::world::World;

impl World {
    /// Versions that must not be believed, or that are valid and troublesome.
    pub(super) fn forge(&mut self, number: usize, random: &mut Random) -> Vec<Frame> {
        let org = self.machines[number].org;
        let own: Vec<usize> = (0..self.made_in_order.len()).filter(|_| random.percent(5)).collect();
        let Some(victim) = random.pick(&own).map(|at| Rc::clone(&self.made_in_order[*at])) else { return Vec::new() };
        let mut versions = Vec::new();
        match random.below(4) {
            0 => {
                // Changed after signing.
                let mut envelope = victim.envelope().to_vec();
                let at = 64 + random.index(envelope.len() - 64);
                envelope[at] ^= 1 << random.below(8);
                versions.extend(self.forged(envelope));
            }
            1 => {
                // In another's name, later than what is there, under a key that is not on the other's card.
                let mut header = *victim.header();
                let key = &self.cast.organisations[org].devices[0];
                header.hlc = Hlc(header.hlc.0 + 1);
                if random.percent(50) {
                    header.device = key.verifying_key().to_bytes();
                }
                let signature = ed25519_dalek::Signer::sign(key, &header.signing_bytes(victim.body())).to_bytes();
                let envelope = [&signature[..], &header.write(), victim.body()].concat();
                if victim.header().org != self.cast.organisations[org].id {
                    versions.extend(self.forged(envelope));
                }
            }
            2 if !self.is_settling => {
                // Its own, dated ahead: minutes, days, years.
                // Far ahead only where no honest clock ever is: see "What it cannot do" in the tests' README.
                let far_ms = if self.options.faults.far_clocks { 650_000 } else { 1_000 * 86_400_000 };
                let ahead_ms = *random.pick(&[650_000, 86_400_000.min(far_ms), far_ms]).unwrap_or(&650_000);
                versions.extend(self.own_twice(number, random, ahead_ms).into_iter().take(1));
            }
            3 if !self.is_settling => {
                // Two truths of one instant, one for this peer and one for another.
                versions.extend(self.own_twice(number, random, 0));
                let other = versions.pop();
                let peers: Vec<Peer> = self.machines[number].links.keys().copied().collect();
                if let (Some(other), Some(peer)) = (other, random.pick(&peers).copied()) {
                    let frame = frames(versions_frames(0, [other.envelope().to_vec()], false));
                    // Its link may be full; then it has told only one.
                    let _ = self.send_raw(number, &peer, frame);
                }
            }
            _ => {}
        }
        if versions.is_empty() {
            return Vec::new();
        }
        frames(versions_frames(0, versions.iter().map(|version| version.envelope().to_vec()), false))
    }

    /// Puts a forgery on record, so that nobody may ever store it.
    pub(super) fn forged(&mut self, envelope: Vec<u8>) -> Option<Rc<SignedVersion>> {
        let version = Rc::new(SignedVersion::read(envelope).ok()?);
        if !self.made.contains_key(&version.vid()) {
            self.forged.insert(version.vid());
            self.made.insert(version.vid(), Rc::clone(&version));
        }
        Some(version)
    }

    /// Two versions of one record of a liar's organisation with one clock.
    pub(super) fn own_twice(&mut self, number: usize, random: &mut Random, ahead_ms: u64) -> Vec<Rc<SignedVersion>> {
        let org = self.machines[number].org;
        let audience = Audience::Public;
        let record = self.cast.record(org, audience, format!("lie{}", random.below(4)));
        let hlc = Hlc::new(self.true_ms() + ahead_ms, 0);
        let lease = UnixHour::containing(hlc.ms()).plus_days(30);
        let mut versions = Vec::new();
        for _ in 0..2 {
            let name = format!("Lie {}", random.next());
            let body = v1::Service { local_id: record.local_id.clone(), name, ..Default::default() }.encode_to_vec();
            let key = self.cast.organisations[org].devices[0].clone();
            let version = self.cast.sign(org, &key, (audience, Kind::SERVICE), record.id, hlc, [0; 8], lease, &body);
            debug_assert!(version.envelope().len() > HEADER_BYTES);
            versions.push(self.make(version));
        }
        versions
    }
}
