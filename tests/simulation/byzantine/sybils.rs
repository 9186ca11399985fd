//! Organisations that a liar invents and vouches for.

use fingerpost_proto::kind::Audience;
use fingerpost_proto::node::{Peer, versions_frames};
use fingerpost_proto::time::{Hlc, UnixHour};

use super::frames;
use super::scheming::Sending;
use crate::simulation::random::Random;
use crate::simulation::world::World;

impl World {
    /// Cards, acceptances by invitation of the inventor, its vouches, vouches of the invented for one another, and a record of
    /// each: some of them for each peer.
    pub(super) fn invent(&mut self, number: usize, peers: &[Peer], random: &mut Random) -> Vec<Sending> {
        let is_new = self.machines[number].byzantine.as_ref().is_some_and(|liar| liar.schemes.invented.is_empty());
        if is_new {
            let inventor = self.machines[number].org;
            let hlc = Hlc::new(self.true_ms(), 0);
            let lease = UnixHour::containing(hlc.ms()).plus_days(30);
            let sybils: Vec<usize> = (0..random.within(2..5)).map(|_| self.cast.invent(random)).collect();
            self.history.counts.sybils += sybils.len() as u64;
            let mut said = Vec::new();
            for (at, sybil) in sybils.iter().copied().enumerate() {
                said.push(self.cast.card(sybil));
                said.push(self.cast.acceptance(sybil, Some(inventor), hlc));
                said.push(self.cast.vouch(inventor, sybil, hlc));
                let other = sybils[(at + 1) % sybils.len()];
                said.push(self.cast.vouch(other, sybil, hlc));
                let record = self.cast.record(sybil, Audience::Public, "invented".into());
                said.push(self.cast.content(&record, 0, hlc, [0; 8], lease, Some("Invented")));
            }
            let said: Vec<_> = said.into_iter().map(|version| self.make(version)).collect();
            if let Some(liar) = &mut self.machines[number].byzantine {
                liar.schemes.invented = said;
            }
        }
        let Some(liar) = &self.machines[number].byzantine else { return Vec::new() };
        let mut sendings = Vec::new();
        for peer in peers {
            let told = liar.schemes.invented.iter().filter(|_| random.percent(80));
            let told: Vec<Vec<u8>> = told.map(|version| version.envelope().to_vec()).collect();
            sendings.push((*peer, frames(versions_frames(0, told, false))));
        }
        sendings
    }
}
