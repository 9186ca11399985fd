//! Samples of what goes over a link, to train the compression dictionary on and to measure it with.
//!
//! In: a seed. Out: serialised `Versions` messages with one envelope each.
//! Always: made of the project's own words and of numbers that belong to nobody (reserved telephone numbers, domains
//! below `example`, invented towns); signatures, ids and hashes are random and new in every sample; one seed gives the
//! same bytes on every machine.
//! Spec: `spec/dictionary/README.md`. Tested: below.

use fingerpost_proto::id::{NetworkId, OrgId, RecordId};
use fingerpost_proto::key::SIGNATURE_BYTES;
use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::time::{Hlc, UnixHour};
use fingerpost_proto::v1;
use fingerpost_proto::version::{HEADER_BYTES, Header};
use prost::Message as _;

mod city;
mod generated;
pub mod measuring;
mod phrases;
mod training;

pub use city::city_bodies;
pub use generated::generated_body;
pub use training::{DICTIONARY_BYTES_MAX, train};

/// Generated samples beside those of the demo city.
const GENERATED_SAMPLES: u32 = 6_000;
/// Every so many generated samples one is a withdrawal.
const WITHDRAWAL_INTERVAL: u32 = 20;
/// Earliest time of signing, Unix milliseconds: 1 January 2026.
const SIGNED_MS_MIN: u64 = 1_767_225_600_000;
/// Length of the span in which samples are signed, in milliseconds: three years.
const SIGNED_MS_SPAN: u64 = 3 * 365 * 24 * 3_600 * 1_000;

/// A source of bytes that a seed fixes: BLAKE3's extended output.
pub struct Random(blake3::OutputReader);

impl Random {
    /// Bytes that no other name gives.
    pub fn named(name: &str) -> Random {
        Random(blake3::Hasher::new_derive_key("fingerpost 2026 samples").update(name.as_bytes()).finalize_xof())
    }

    /// The next bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill(&mut bytes);
        bytes
    }

    /// A number below `end`, which is at least 1. The bias of the remainder is of no importance here.
    pub fn below(&mut self, end: u64) -> u64 {
        u64::from_le_bytes(self.bytes()) % end
    }

    /// True in `percent` of 100 cases.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One entry of a list that is not empty.
    pub fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[usize::try_from(self.below(list.len() as u64)).unwrap_or(0)]
    }

    /// A record id that belongs to no record.
    pub fn record_id(&mut self) -> Vec<u8> {
        self.bytes::<16>().to_vec()
    }
}

/// A body and the kind that it has.
pub type KindAndBody = (Kind, Vec<u8>);

/// The samples that the dictionary is trained on, always the same ones.
pub fn training_samples() -> Vec<Vec<u8>> {
    let mut random = Random::named("training");
    let mut bodies: Vec<KindAndBody> = city_bodies(&mut random);
    for number in 0..GENERATED_SAMPLES {
        let (kind, body) = generated_body(&mut random);
        bodies.push((kind, if number % WITHDRAWAL_INTERVAL == 0 { Vec::new() } else { body }));
    }
    // The trainer tests its candidates on the last samples: each part must have some of every sort.
    for at in (1..bodies.len()).rev() {
        let other = usize::try_from(random.below(at as u64 + 1)).unwrap_or(at);
        bodies.swap(at, other);
    }
    bodies
        .iter()
        .map(|(kind, body)| push(&[envelope(*kind, body, &Origin::random(&mut random), &mut random)]))
        .collect()
}

/// What all versions of one publisher share.
pub struct Origin {
    network: NetworkId,
    org: OrgId,
    device: [u8; 32],
}

impl Origin {
    /// A publisher that nobody has seen before.
    pub fn random(random: &mut Random) -> Origin {
        Origin { network: NetworkId(random.bytes()), org: OrgId(random.bytes()), device: random.bytes() }
    }

    /// Another publisher of the same network.
    pub fn neighbour(&self, random: &mut Random) -> Origin {
        Origin { network: self.network, ..Origin::random(random) }
    }
}

/// An envelope around a body, with a signature that is only random bytes. An empty body makes it a withdrawal.
pub fn envelope(kind: Kind, body: &[u8], origin: &Origin, random: &mut Random) -> Vec<u8> {
    let hlc = Hlc::new(SIGNED_MS_MIN + random.below(SIGNED_MS_SPAN), u16::from(random.chance(5)));
    let lease_days = if random.chance(80) { 180 } else { 30 + u32::from(random.bytes::<1>()[0]) };
    let lease_until = UnixHour::containing(hlc.ms()).plus_days(lease_days);
    let is_first = !body.is_empty() && random.chance(70);
    let header = Header {
        audience: if random.chance(90) { Audience::Public } else { Audience::Members },
        kind,
        network: origin.network,
        org: origin.org,
        record: RecordId(random.bytes()),
        device: origin.device,
        hlc,
        prev: if is_first { [0; 8] } else { random.bytes() },
        lease_until: if body.is_empty() { UnixHour(0) } else { lease_until },
    };
    let mut envelope = Vec::with_capacity(SIGNATURE_BYTES + HEADER_BYTES + body.len());
    envelope.extend(random.bytes::<SIGNATURE_BYTES>());
    envelope.extend(header.write());
    envelope.extend(body);
    envelope
}

/// A `Versions` message that pushes these envelopes.
pub fn push(envelopes: &[Vec<u8>]) -> Vec<u8> {
    v1::Versions { envelopes: envelopes.to_vec(), want: 0, last: false, ..Default::default() }.encode_to_vec()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use fingerpost_proto::record;
    use fingerpost_proto::version::SignedVersion;

    use super::*;

    #[test]
    fn samples_are_versions_with_bodies_that_a_node_would_accept_apart_from_their_ids_and_signatures() {
        let samples = training_samples();
        assert!(samples.len() > 6_000);
        let mut withdrawals = 0;
        for sample in samples {
            let versions = v1::Versions::decode(sample.as_slice()).unwrap();
            let version = SignedVersion::read(versions.envelopes[0].clone()).unwrap();
            if version.is_withdrawal() {
                withdrawals += 1;
                continue;
            }
            let header = version.header();
            let local_id = v1::Common::decode(version.body()).unwrap().local_id;
            let record = RecordId::derive(&header.org, header.kind, header.audience, &local_id);
            record::check(&Header { record, ..*header }, version.body()).unwrap();
        }
        assert!(withdrawals > 100);
    }
}
