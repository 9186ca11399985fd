//! A stolen device key: versions in an honest organisation's name, with clocks from before the theft was noticed.

use fingerpost_proto::node::{Peer, versions_frames};
use fingerpost_proto::time::{Hlc, UnixHour};

use super::frames;
use super::scheming::Sending;
use crate::simulation::random::Random;
use crate::simulation::world::World;

const DAY_MS: u64 = 86_400_000;

impl World {
    /// A state of a record of the victim, or its withdrawal, dated now or days ago, for some of the peers.
    pub(super) fn backdate(&mut self, peers: &[Peer], random: &mut Random) -> Vec<Sending> {
        let Some(record) = self.script.record_of_victim(random) else { return Vec::new() };
        let age_ms = if random.percent(50) { random.below(10 * DAY_MS) } else { 0 };
        let hlc = Hlc::new(self.true_ms() - age_ms, 0);
        let lease = UnixHour::containing(hlc.ms()).plus_days(30);
        let name = (!random.percent(20)).then(|| format!("Stolen {}", random.next()));
        let version = self.cast.content(&record, 1, hlc, [0; 8], lease, name.as_deref());
        let version = self.make(version);
        let told = peers.iter().filter(|_| random.percent(60));
        told.map(|peer| (*peer, frames(versions_frames(0, [version.envelope().to_vec()], false)))).collect()
    }
}
