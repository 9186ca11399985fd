//! Far too much of everything, and old frames again.

use std::rc::Rc;

use fingerpost_proto::node::{versions_frames, write_frame};
use fingerpost_proto::set::SetKey;
use fingerpost_proto::sync::{Range, RangeContent, write_ranges};
use fingerpost_proto::v1;
use fingerpost_proto::v1::frame::Content;

use super::frames;
use crate::simulation::invariants::PRYING_WANT_MIN;
use crate::simulation::network::Frame;
use crate::simulation::random::Random;
use crate::simulation::world::World;

impl World {
    /// Versions that were superseded or withdrawn long ago, and frames of other conversations.
    pub(super) fn old_frames(&self, number: usize, random: &mut Random) -> Vec<Frame> {
        let count = random.within(1..30);
        let old =
            (0..count).filter_map(|_| random.pick(&self.made_in_order)).map(|version| version.envelope().to_vec());
        let mut replayed = frames(versions_frames(0, old.collect::<Vec<_>>(), false));
        if let Some(byzantine) = &self.machines[number].byzantine {
            replayed.extend((0..3).filter_map(|_| random.pick(&byzantine.remembered).cloned()));
        }
        replayed
    }

    /// Garbage, and requests in numbers and sizes that nobody needs.
    pub(super) fn flood(&self, random: &mut Random) -> Vec<Frame> {
        let keys =
            |random: &mut Random, count: usize| (0..count).flat_map(|_| random.bytes::<16>()).collect::<Vec<u8>>();
        let audience = random.below(3) as u32;
        match random.below(8) {
            0 => (0..20)
                .map(|_| {
                    let length = random.within(1..400) as usize;
                    Rc::new((0..length).map(|_| random.next() as u8).collect())
                })
                .collect(),
            1 => (0..50)
                .map(|n| Rc::new(write_frame(Content::Ping(v1::Ping { nonce: n, clock_ms: random.next() }))))
                .collect(),
            2 => (1..20)
                .map(|want| {
                    Rc::new(write_frame(Content::Want(v1::Want {
                        audience,
                        want,
                        keys: keys(random, 256),
                        ..Default::default()
                    })))
                })
                .collect(),
            3 => vec![Rc::new(write_frame(Content::Offer(v1::Offer {
                audience,
                pairs: keys(random, 2 * 4_096),
                ..Default::default()
            })))],
            4 => {
                let mut bounds: Vec<[u8; 16]> = (0..120).map(|_| random.bytes()).collect();
                bounds.sort_unstable();
                let content = |n: usize| match n % 4 {
                    0 => RangeContent::Fingerprint([7; 16]),
                    1 => RangeContent::ShortFingerprint([7; 8]),
                    2 => RangeContent::Digests(vec![[7; 4]; n % 33]),
                    _ => RangeContent::Lacking(vec![[7; 4]; n % 33]),
                };
                let range = |(n, bound): (usize, &[u8; 16])| Range { upper: Some(SetKey(*bound)), content: content(n) };
                let ranges: Vec<Range> = bounds.iter().enumerate().map(range).collect();
                let ranges = write_ranges(SetKey::default(), &ranges);
                let reconcile = v1::Reconcile { audience, session: 9, round: 0, lower: vec![0; 16], ranges };
                let frame = Rc::new(write_frame(Content::Reconcile(reconcile)));
                vec![frame; 8]
            }
            5 => {
                let fetch = |want| v1::Fetch { audience, want, lower: vec![0; 16], upper: None };
                (0..16).map(|n| Rc::new(write_frame(Content::Fetch(fetch(PRYING_WANT_MIN + n))))).collect()
            }
            6 => {
                let mut catch_up =
                    |want| v1::CatchUp { audience, want, epoch: random.next(), since: random.below(100) };
                let asked: Vec<Content> = (0..16).map(|n| Content::CatchUp(catch_up(PRYING_WANT_MIN + n))).collect();
                let take = v1::Take { want: PRYING_WANT_MIN, wanted: vec![255; 64] };
                asked.into_iter().chain([Content::Take(take)]).map(|content| Rc::new(write_frame(content))).collect()
            }
            _ => {
                let garbage: Vec<Vec<u8>> = (0..500).map(|_| random.bytes::<210>().to_vec()).collect();
                frames(versions_frames(random.below(3), garbage, false))
            }
        }
    }
}
