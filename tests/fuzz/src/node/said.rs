//! What the other peers say: frames that are well formed, with content of the bytes' choice.

use fingerpost_proto::kind::Audience;
use fingerpost_proto::node::{read_frame, write_compressed};
use fingerpost_proto::set::SetKey;
use fingerpost_proto::sync::{opening_of_differing, write_keys, write_ranges};
use fingerpost_proto::v1;
use fingerpost_proto::v1::frame::Content;

use super::super::cast::CAST;
use super::super::input::Bytes;
use super::World;

impl World {
    /// One of the pool, or bytes.
    pub(super) fn envelope(&self, bytes: &mut Bytes<'_>) -> Option<Vec<u8>> {
        let place = usize::from(bytes.byte()?);
        if let Some(envelope) = CAST.pool.get(place) {
            return Some(envelope.clone());
        }
        bytes.part().map(<[u8]>::to_vec)
    }

    /// A frame that is well formed, with content of the bytes' choice.
    pub(super) fn content(&self, bytes: &mut Bytes<'_>) -> Option<Content> {
        let node = &self.machines[0].node;
        let audience = u32::from(bytes.byte()? % 3);
        let set = node.set(if audience == 1 { Audience::Members } else { Audience::Public });
        let number = |bytes: &mut Bytes<'_>| bytes.number().map(u64::from);
        Some(match bytes.index(16)? {
            0 => {
                let summary = |audience: u32| v1::SetSummary { audience, ..Default::default() };
                Content::Hello(v1::Hello {
                    level: 1,
                    level_min: u32::from(bytes.byte()? / 200),
                    network: node.network().0.to_vec(),
                    clock_ms: self.now.saturating_add_signed(i64::from(bytes.number()?.cast_signed()) * 1_000),
                    sets: (0..audience).map(summary).collect(),
                    software: String::new(),
                })
            }
            1 | 2 => {
                let count = bytes.index(6)?;
                let envelopes = (0..count).map(|_| self.envelope(bytes)).collect::<Option<Vec<_>>>()?;
                let flags = bytes.byte()?;
                let route = (flags & 4 != 0).then_some(v1::Route { direct: flags & 8 != 0 });
                let want = u64::from(flags >> 4);
                let versions = v1::Versions { envelopes, want, last: flags & 1 != 0, more: flags & 2 != 0, route };
                write_compressed(&versions).map_or(Content::Versions(versions), Content::Compressed)
            }
            3 | 4 => {
                let (session, round) = (number(bytes)?, u32::from(bytes.byte()? % 18));
                let part = bytes.part()?;
                let own = || write_ranges(SetKey::default(), &opening_of_differing(set, session));
                let ranges = if part.is_empty() { own() } else { part.to_vec() };
                Content::Reconcile(v1::Reconcile { audience, session, round, lower: Vec::new(), ranges })
            }
            5 => {
                let (announced, pairs, keys) = (bytes.byte()? & 1 == 1, bytes.part()?.to_vec(), bytes.part()?.to_vec());
                Content::Offer(v1::Offer { audience, pairs, announced, keys })
            }
            6 => {
                let (want, graft) = (number(bytes)?, bytes.byte()? & 1 == 1);
                let held: Vec<SetKey> = set.range(&SetKey::default(), None).map(|(key, _)| key).take(9).collect();
                Content::Want(v1::Want { audience, want, keys: write_keys(&held), graft })
            }
            7 => {
                let (want, lower) = (number(bytes)?, vec![bytes.byte()?; 16]);
                let upper = bytes.byte().filter(|byte| *byte > 0).map(|byte| vec![byte; 16]);
                Content::Fetch(v1::Fetch { audience, want, lower, upper })
            }
            8 => Content::CatchUp(v1::CatchUp {
                audience,
                want: number(bytes)?,
                epoch: self.epoch(bytes)?,
                since: number(bytes)?,
            }),
            9 => {
                let (want, stale, through) = (number(bytes)?, bytes.byte()? & 1 == 1, number(bytes)?);
                let fingerprint = if stale { Vec::new() } else { set.total().fingerprint().to_vec() };
                Content::Arrivals(v1::Arrivals { want, stale, through, hints: bytes.part()?.to_vec(), fingerprint })
            }
            10 => Content::Take(v1::Take { want: number(bytes)?, wanted: bytes.part()?.to_vec() }),
            11 => Content::Progress(v1::Progress {
                audience,
                sequence: number(bytes)?,
                consumed: number(bytes)?,
                level: bytes.byte()? & 1 == 1,
            }),
            12 => Content::Beat(v1::Beat {
                root: self.anyone(bytes)?.as_bytes().to_vec(),
                sequence: self.now / 60_000 + u64::from(bytes.byte()?),
                hops: u32::from(bytes.byte()?),
            }),
            13 => Content::Neighbours(v1::Neighbours { keys: self.anyone(bytes)?.as_bytes().repeat(bytes.index(40)?) }),
            14 => Content::Pong(v1::Ping { nonce: number(bytes)?, clock_ms: self.now }),
            _ => match bytes.index(3)? {
                0 => Content::Prune(v1::Prune::default()),
                1 => Content::Ping(v1::Ping { nonce: number(bytes)?, clock_ms: self.now }),
                _ => Content::Bye(v1::Bye { code: i32::from(bytes.byte()?), message: String::new() }),
            },
        })
    }

    /// The name of an arrival log as the honest node was told it, or something else.
    fn epoch(&self, bytes: &mut Bytes<'_>) -> Option<u64> {
        let known = self.seen.iter().find_map(|frame| match read_frame(frame) {
            Ok(Content::Hello(hello)) => hello.sets.first().map(|set| set.log_epoch),
            _ => None,
        });
        Some(if bytes.byte()? < 200 { known.unwrap_or(1) } else { 2 })
    }
}
