//! Heads that this node signed, and how far its log of arrivals had come by then.
//!
//! In: own heads as they are committed. Out: for `revoke --last-good HEAD`, what had arrived here before a head. The log is this node's own,
//! so a thief who puts earlier dates on versions changes nothing in it.
//! Always: a named value of at most [`OWN_HEADS_MAX`] entries; disposable. Spec: `spec/decisions/0022-last-good-head.md`.

use fingerpost_proto::head::Head;
use fingerpost_proto::id::Vid;
use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::time::{DAY_MS, Hlc};
use fingerpost_proto::version::SignedVersion;

use super::Driver;
use crate::store;

/// Name of the list in the store.
pub(crate) const OWN_HEADS: &str = "heads";
/// Heads that are remembered: a busy fortnight, and one of each day before that for more than a year.
pub(crate) const OWN_HEADS_MAX: usize = 512;
/// vid, audience, clock, count, epoch, and the last arrival number of both audiences.
const OWN_HEAD_BYTES: usize = 16 + 1 + 8 + 8 + 8 + 16;

const _: () = assert!(OWN_HEADS_MAX * OWN_HEAD_BYTES <= store::META_VALUE_BYTES_MAX);

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OwnHead {
    pub(crate) vid: Vid,
    pub(crate) audience: Audience,
    pub(crate) hlc: Hlc,
    /// How many versions it covers.
    pub(crate) count: u64,
    /// Of the log of arrivals.
    pub(crate) epoch: u64,
    /// Last arrival number by then, public ones first.
    pub(crate) arrivals: [u64; 2],
}

/// The oldest first; numbers big-endian.
fn write(heads: &[OwnHead]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(heads.len() * OWN_HEAD_BYTES);
    for head in heads {
        bytes.extend_from_slice(&head.vid.0);
        bytes.push(head.audience.number());
        for number in [head.hlc.0, head.count, head.epoch, head.arrivals[0], head.arrivals[1]] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
    }
    bytes
}

/// What cannot be read is left out.
pub(crate) fn read(bytes: &[u8]) -> Vec<OwnHead> {
    bytes.as_chunks::<OWN_HEAD_BYTES>().0.iter().filter_map(read_one).collect()
}

fn read_one(bytes: &[u8; OWN_HEAD_BYTES]) -> Option<OwnHead> {
    let number = |at: usize| u64::from_be_bytes(std::array::from_fn(|i| bytes[17 + 8 * at + i]));
    Some(OwnHead {
        vid: Vid(std::array::from_fn(|i| bytes[i])),
        audience: Audience::from_number(bytes[16].into())?,
        hlc: Hlc(number(0)),
        count: number(1),
        epoch: number(2),
        arrivals: [number(3), number(4)],
    })
}

/// Adds the newest. Beyond the limit the oldest day that has several of one audience loses the first of them; if no day has, the oldest goes.
fn add(heads: &mut Vec<OwnHead>, head: OwnHead) {
    heads.push(head);
    if heads.len() > OWN_HEADS_MAX {
        let day = |head: &OwnHead| head.hlc.ms() / DAY_MS;
        let has_later = |at: usize| {
            let rest = heads[at + 1..].iter().take_while(|later| day(later) == day(&heads[at]));
            rest.into_iter().any(|later| later.audience == heads[at].audience)
        };
        let goes = (0..heads.len() - 1).find(|at| has_later(*at)).unwrap_or(0);
        heads.remove(goes);
    }
}

impl Driver {
    /// Notes a head that was signed just now; it may still turn out not to fit.
    pub(super) fn note_signed_head(&mut self, vid: Vid) {
        self.signed_heads.push(vid);
        // Each audience has one on the way at most.
        if self.signed_heads.len() > Audience::ALL.len() {
            self.signed_heads.remove(0);
        }
    }

    /// Remembers a version that was committed, if it is a head that was signed just now.
    pub(super) fn remember_if_own_head(&mut self, version: &SignedVersion) {
        // One that comes back from a peer is no news: what else has come back by then, and in which order, says nothing.
        let signed = self.signed_heads.iter().position(|vid| *vid == version.vid());
        let Some(signed) = signed.filter(|_| version.header().kind == Kind::HEAD) else { return };
        self.signed_heads.remove(signed);
        let Ok(said) = Head::read(version.header(), version.vid(), version.body()) else { return };
        let arrivals = Audience::ALL.map(|audience| self.reader.last_arrival(audience));
        let (epoch, count) = (self.reader.epoch(), said.cover.count);
        let head = OwnHead { vid: said.vid, audience: said.audience, hlc: said.hlc, count, epoch, arrivals };
        let mut heads = match self.reader.meta(OWN_HEADS) {
            Ok(bytes) => read(&bytes.unwrap_or_default()),
            Err(error) => return tracing::warn!(%error, "the list of own heads cannot be read"),
        };
        add(&mut heads, head);
        if let Err(error) = self.keep(OWN_HEADS, write(&heads)) {
            tracing::warn!(%error, "an own head is not remembered: nobody can go back to it");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(number: u64, day: u64) -> OwnHead {
        let mut vid = [0; 16];
        vid[..8].copy_from_slice(&number.to_be_bytes());
        let (audience, hlc) = (Audience::Public, Hlc::new(day * DAY_MS + number, 0));
        OwnHead { vid: Vid(vid), audience, hlc, count: number, epoch: 9, arrivals: [number, 2 * number] }
    }

    #[test]
    fn heads_read_back_and_what_is_none_is_left_out() {
        let heads = [head(1, 20_000), OwnHead { audience: Audience::Members, ..head(2, 20_000) }];
        assert_eq!(read(&write(&heads)), heads);
        assert_eq!(read(&[0xff; OWN_HEAD_BYTES + 3]), []);
    }

    #[test]
    fn as_many_heads_as_the_limit_stay_and_with_one_more_the_oldest_busy_day_loses_its_first() {
        let mut heads = Vec::new();
        // One day with three, then one each day.
        for number in 0..OWN_HEADS_MAX as u64 {
            add(&mut heads, head(number, 20_000 + number.saturating_sub(2)));
        }
        assert_eq!(heads.len(), OWN_HEADS_MAX);
        add(&mut heads, head(600, 21_000));
        assert_eq!(heads.len(), OWN_HEADS_MAX);
        assert_eq!((heads[0].count, heads[1].count), (1, 2));
        add(&mut heads, head(601, 21_001));
        assert_eq!((heads[0].count, heads[1].count), (2, 3), "the last of a day stays");
        add(&mut heads, head(602, 21_002));
        assert_eq!((heads[0].count, heads.len()), (3, OWN_HEADS_MAX), "no day has two: the oldest goes");
    }

    #[test]
    fn a_day_keeps_a_head_of_each_audience() {
        let mut heads = vec![OwnHead { audience: Audience::Members, ..head(0, 20_000) }];
        (1..=OWN_HEADS_MAX as u64).for_each(|number| add(&mut heads, head(number, 20_000)));
        assert_eq!((heads.len(), heads[0].audience, heads[1].count), (OWN_HEADS_MAX, Audience::Members, 2));
    }
}
