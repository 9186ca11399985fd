//! Liars who keep something from others: one organisation's records, its later versions, or all news.

use std::rc::Rc;

use fingerpost_proto::id::OrgId;
use fingerpost_proto::kind::Class;
use fingerpost_proto::node::{read_frame, write_frame};
use fingerpost_proto::v1::frame::Content;
use fingerpost_proto::version::{Header, SignedVersion};

use crate::simulation::cast::{Cast, Role};
use crate::simulation::invariants::read_versions;
use crate::simulation::network::Frame;
use crate::simulation::random::Random;

/// What a liar keeps from others, and from when on, in virtual microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Hiding {
    /// Passes none of this organisation's records on, and answers as if there were none. Its heads are passed on.
    Withholds { org: OrgId },
    /// Takes nothing new of this organisation: serves the versions and the head of that moment for ever.
    RollsBack { org: OrgId, since_us: u64 },
    /// Takes no news at all, and answers as if it were current.
    Freezes { since_us: u64 },
}

impl Hiding {
    /// Of one honest organisation, or of all; `None` for most liars.
    pub(super) fn drawn(random: &mut Random, cast: &Cast, active_ms: u64) -> Option<Hiding> {
        let is_target = |number: &usize| {
            !cast.organisations[*number].is_byzantine && cast.organisations[*number].role != Role::Outsider
        };
        let targets: Vec<usize> = (0..cast.organisations.len()).filter(is_target).collect();
        let org = cast.organisations[*random.pick(&targets)?].id;
        let since_us = random.below(active_ms * 1_000);
        match random.below(100) {
            0..25 => Some(Hiding::Withholds { org }),
            25..50 => Some(Hiding::RollsBack { org, since_us }),
            50..60 => Some(Hiding::Freezes { since_us }),
            _ => None,
        }
    }

    /// What goes out in place of a frame; `None`: the frame as it is.
    pub(super) fn tells(&self, frame: &Frame) -> Option<Frame> {
        match self {
            Hiding::Withholds { org } => {
                without(frame, |header| header.org == *org && header.kind.class() == Class::Record)
            }
            Hiding::RollsBack { .. } | Hiding::Freezes { .. } => None,
        }
    }

    /// What is listened to in place of a frame that arrived; `None`: the frame as it is.
    pub(super) fn hears(&self, now_us: u64, frame: &Frame) -> Option<Frame> {
        match self {
            Hiding::RollsBack { org, since_us } if *since_us <= now_us => {
                without(frame, |header| header.org == *org && header.kind.is_content())
            }
            Hiding::Freezes { since_us } if *since_us <= now_us => without(frame, |_| true),
            _ => None,
        }
    }
}

/// A frame with versions, without some of them; `None` when none of its versions goes.
fn without(frame: &Frame, goes: impl Fn(&Header) -> bool) -> Option<Frame> {
    let mut versions = read_versions(read_frame(frame).ok()?)?;
    let count = versions.envelopes.len();
    let stays = |envelope: &Vec<u8>| SignedVersion::read(envelope.clone()).is_ok_and(|version| !goes(version.header()));
    versions.envelopes.retain(stays);
    (versions.envelopes.len() < count).then(|| Rc::new(write_frame(Content::Versions(versions))))
}
