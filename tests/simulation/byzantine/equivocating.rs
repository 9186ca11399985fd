//! Two truths of one moment: one for each half of the peers.

use std::rc::Rc;

use fingerpost_proto::head::{Cover, Head};
use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::limits::CLOCK_AHEAD_MS_MAX;
use fingerpost_proto::node::{Peer, versions_frames};
use fingerpost_proto::time::{Hlc, UnixHour};
use fingerpost_proto::version::{Header, SignedVersion};

use super::frames;
use super::scheming::{Sending, halves};
use crate::simulation::random::Random;
use crate::simulation::world::World;

impl World {
    /// Two versions of a record, or two heads, with one clock by one device.
    pub(super) fn equivocate(&mut self, number: usize, peers: &[Peer], random: &mut Random) -> Vec<Sending> {
        let truths = if random.percent(50) {
            self.own_twice(number, random, 0)
        } else {
            let hlc = Hlc::new(self.true_ms() - random.below(CLOCK_AHEAD_MS_MAX), 0);
            // One copy of the node: else it would be two copies, which nobody is accused of.
            let incarnation = random.next();
            (0..2).map(|_| self.head_of_anything(number, hlc, incarnation, random)).collect()
        };
        let frames_of = |half: usize| frames(versions_frames(0, [truths[half].envelope().to_vec()], false));
        halves(peers).map(|(half, peer)| (peer, frames_of(half))).collect()
    }

    fn head_of_anything(
        &mut self,
        number: usize,
        hlc: Hlc,
        incarnation: u64,
        random: &mut Random,
    ) -> Rc<SignedVersion> {
        let org = self.cast.organisations[self.machines[number].org].id;
        let device = *self.machines[number].key.as_bytes();
        let audience = Audience::Public;
        let cover = Cover { from: Cover::from_hour(hlc), count: random.below(20), root: random.bytes() };
        let header = Header {
            audience,
            kind: Kind::HEAD,
            network: self.cast.network(),
            org,
            record: Head::record_id(&org, &device, audience),
            device,
            hlc,
            prev: [0; 8],
            lease_until: UnixHour::containing(hlc.ms()).plus_days(30),
        };
        let version = self.cast.signed_by(number, &header, &Head::body(&device, 0, incarnation, &cover));
        self.make(version)
    }
}
