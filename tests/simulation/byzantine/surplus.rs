//! A flood with a good key: more records than the charter allows, and longer ones.

use std::rc::Rc;

use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::node::{Peer, versions_frames};
use fingerpost_proto::time::{Hlc, UnixHour};
use fingerpost_proto::v1;
use fingerpost_proto::version::SignedVersion;
use prost::Message;

use super::frames;
use super::scheming::{Sending, halves};
use crate::simulation::random::Random;
use crate::simulation::world::World;

impl World {
    /// Different records beyond the quota for each half of the peers; now and then one that is too long.
    pub(super) fn overflow(&mut self, number: usize, peers: &[Peer], random: &mut Random) -> Vec<Sending> {
        let text = &self.cast.charter.text;
        let (records_max, bytes_max) = (text.records_max as usize, text.version_bytes_max as usize);
        if records_max == 0 {
            return Vec::new();
        }
        if random.percent(5) {
            let long = self.surplus_record(number, "long", "x".repeat(bytes_max), Audience::Public);
            let frame = frames(long.map(|long| versions_frames(0, [long], false)).unwrap_or_default());
            return random.pick(peers).map(|peer| (*peer, frame)).into_iter().collect();
        }
        let is_new = self.machines[number].byzantine.as_ref().is_some_and(|liar| liar.schemes.surplus.is_empty());
        if is_new {
            let audience = if random.percent(50) { Audience::Public } else { Audience::Members };
            let mut surplus = Vec::new();
            for at in 0..2 * records_max {
                let envelope = self.surplus_record(number, &format!("surplus{at}"), String::new(), audience);
                surplus.extend(envelope.and_then(|envelope| SignedVersion::read(envelope).ok()));
            }
            let surplus: Vec<_> = surplus.into_iter().map(|version| self.make(Rc::new(version))).collect();
            if let Some(liar) = &mut self.machines[number].byzantine {
                liar.schemes.surplus = surplus;
            }
        }
        let Some(liar) = &self.machines[number].byzantine else { return Vec::new() };
        let mut sendings = Vec::new();
        for (half, peer) in halves(peers) {
            let told = liar.schemes.surplus.iter().skip(half).step_by(2).filter(|_| random.percent(70));
            let told: Vec<Vec<u8>> = told.map(|version| version.envelope().to_vec()).collect();
            sendings.push((peer, frames(versions_frames(0, told, false))));
        }
        sendings
    }

    /// An envelope of a liar's own record; one that is longer than the charter allows goes on record as a forgery.
    fn surplus_record(
        &mut self,
        number: usize,
        local_id: &str,
        description: String,
        audience: Audience,
    ) -> Option<Vec<u8>> {
        let org = self.machines[number].org;
        let record = self.cast.record(org, audience, format!("{local_id}-{number}"));
        let hlc = Hlc::new(self.true_ms(), 0);
        let lease = UnixHour::containing(hlc.ms()).plus_days(30);
        let is_long = !description.is_empty();
        let service = v1::Service {
            local_id: record.local_id.clone(),
            name: "Surplus".into(),
            description,
            ..Default::default()
        };
        let key = self.cast.organisations[org].devices[0].clone();
        let what = (audience, Kind::SERVICE);
        let version = self.cast.sign(org, &key, what, record.id, hlc, [0; 8], lease, &service.encode_to_vec());
        let envelope = version.envelope().to_vec();
        if is_long {
            self.forged(envelope.clone())?;
        }
        Some(envelope)
    }
}
