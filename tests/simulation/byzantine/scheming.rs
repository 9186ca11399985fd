//! What a liar undertakes with good keys: its own, or one that it stole.

use std::rc::Rc;

use fingerpost_proto::node::Peer;
use fingerpost_proto::version::SignedVersion;

use crate::simulation::network::Frame;
use crate::simulation::random::Random;
use crate::simulation::world::{Checked, World};

/// Frames for one peer.
pub(super) type Sending = (Peer, Vec<Frame>);

/// Which schemes a liar has, and what it prepared for them. Drawn apart from other habits.
#[derive(Debug)]
pub(super) struct Schemes {
    /// Tells one half of its peers one thing and the other half another, of one record or of its organisation's whole state.
    pub(super) equivocates: bool,
    /// Signs more records than its charter allows, and tells each half of its peers of others.
    pub(super) overflows: bool,
    /// Vouches for organisations that it invented.
    pub(super) invents: bool,
    /// Has a device key of an honest organisation.
    pub(super) steals: bool,
    /// Gives members' records to whom they are not for, and asks for them without being a member.
    pub(super) pries: bool,
    /// Records beyond the quota, signed once.
    pub(super) surplus: Vec<Rc<SignedVersion>>,
    /// Cards and statements of invented organisations.
    pub(super) invented: Vec<Rc<SignedVersion>>,
    random: Random,
}

impl Schemes {
    pub(super) fn drawn(mut random: Random) -> Schemes {
        Schemes {
            equivocates: random.percent(40),
            overflows: random.percent(50),
            invents: random.percent(40),
            steals: random.percent(60),
            pries: random.percent(50),
            surplus: Vec::new(),
            invented: Vec::new(),
            random,
        }
    }
}

impl World {
    /// Once a second a liar may go on with a scheme.
    pub(super) fn scheme(&mut self, number: usize) -> Checked {
        let Some(byzantine) = &mut self.machines[number].byzantine else { return Ok(()) };
        let schemes = &mut byzantine.schemes;
        let is_due = schemes.random.percent(12);
        let kind = schemes.random.below(5);
        let mut random = schemes.random.fork();
        // Nothing new is signed while agreement is awaited; prying goes on.
        let is_on = match kind {
            0 => schemes.equivocates && !self.is_settling,
            1 => schemes.overflows && !self.is_settling,
            2 => schemes.invents && !self.is_settling,
            3 => schemes.steals && !self.is_settling,
            _ => schemes.pries,
        };
        if !is_due || !is_on {
            return Ok(());
        }
        let peers: Vec<Peer> = self.machines[number].links.keys().copied().collect();
        let sendings = match kind {
            0 => self.equivocate(number, &peers, &mut random),
            1 => self.overflow(number, &peers, &mut random),
            2 => self.invent(number, &peers, &mut random),
            3 => self.backdate(&peers, &mut random),
            _ => self.pry(&peers, &mut random),
        };
        for (peer, frames) in sendings {
            let (count, to) = (frames.len(), self.cast.numbers[&peer]);
            self.history.counts.schemes += 1;
            self.history.line(self.now_us, Some(number), || {
                format!("schemes towards n{to:03}: {count} frames of scheme {kind}")
            });
            self.send_raw(number, &peer, frames)?;
        }
        Ok(())
    }
}

/// Some of the peers tell apart what the others are told: every second one.
pub(super) fn halves(peers: &[Peer]) -> impl Iterator<Item = (usize, Peer)> {
    peers.iter().enumerate().map(|(at, peer)| (at % 2, *peer))
}
