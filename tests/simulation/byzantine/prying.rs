//! Members' records under a false label, for whom they are not, and questions by those who are no members.

use std::rc::Rc;

use fingerpost_proto::kind::Audience;
use fingerpost_proto::node::{Peer, versions_frames, write_frame};
use fingerpost_proto::set::Slot;
use fingerpost_proto::v1;
use fingerpost_proto::v1::frame::Content;
use fingerpost_proto::version::SignedVersion;

use super::frames;
use super::scheming::Sending;
use crate::simulation::invariants::PRYING_WANT_MIN;
use crate::simulation::network::Frame;
use crate::simulation::random::Random;
use crate::simulation::world::World;

impl World {
    /// One peer, any: what it must not have, what claims to be public, or a question.
    pub(super) fn pry(&mut self, peers: &[Peer], random: &mut Random) -> Vec<Sending> {
        let some: Vec<usize> = (0..self.made_in_order.len()).filter(|_| random.percent(10)).collect();
        let made = some.iter().map(|at| &self.made_in_order[*at]);
        let is_secret = |version: &&Rc<SignedVersion>| version.header().audience == Audience::Members;
        let secrets: Vec<Rc<SignedVersion>> = made.filter(is_secret).take(32).map(Rc::clone).collect();
        let (Some(first), Some(peer)) = (secrets.first(), random.pick(peers).copied()) else { return Vec::new() };
        let kind = random.below(4);
        let told = match kind {
            0 => frames(versions_frames(0, secrets.iter().map(|version| version.envelope().to_vec()), false)),
            1 if !self.is_settling => self.labelled_public(first),
            2 => self.offered_as_public(&secrets),
            _ => asked_for(&secrets, random),
        };
        vec![(peer, told)]
    }

    /// The same version with another audience in its header: a forgery.
    fn labelled_public(&mut self, secret: &SignedVersion) -> Vec<Frame> {
        let mut header = *secret.header();
        header.audience = Audience::Public;
        let envelope = [&secret.envelope()[..64], &header.write(), secret.body()].concat();
        let forged = self.forged(envelope).map(|version| version.envelope().to_vec());
        frames(versions_frames(0, forged, false))
    }

    fn offered_as_public(&self, secrets: &[Rc<SignedVersion>]) -> Vec<Frame> {
        let pair = |version: &Rc<SignedVersion>| [Slot::of(version.header()).key.0, version.vid().0].concat();
        let mut pairs: Vec<Vec<u8>> = secrets.iter().map(pair).collect();
        pairs.sort_unstable();
        pairs.dedup_by_key(|pair| pair[..16].to_vec());
        let audience = u32::from(Audience::Public.number());
        vec![Rc::new(write_frame(Content::Offer(v1::Offer { audience, pairs: pairs.concat(), ..Default::default() })))]
    }
}

/// Asks for members' records by name, whole, and from the beginning.
fn asked_for(secrets: &[Rc<SignedVersion>], random: &mut Random) -> Vec<Frame> {
    let mut keys: Vec<[u8; 16]> = secrets.iter().map(|version| Slot::of(version.header()).key.0).collect();
    keys.sort_unstable();
    keys.dedup();
    let audience = u32::from(Audience::Members.number());
    let want = PRYING_WANT_MIN + random.below(1 << 20);
    let contents = [
        Content::Want(v1::Want { audience, want, keys: keys.concat(), ..Default::default() }),
        Content::Fetch(v1::Fetch { audience, want: want + 1, lower: vec![0; 16], upper: None }),
        Content::CatchUp(v1::CatchUp { audience, want: want + 2, epoch: random.next(), since: 0 }),
    ];
    contents.into_iter().map(|content| Rc::new(write_frame(content))).collect()
}
