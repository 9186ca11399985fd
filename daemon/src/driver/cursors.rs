//! Places in peers' arrival logs as bytes of one named value.
//!
//! Each is the peer's node key (32 bytes), the audience's number (1), the log's epoch (8) and the place in it (8), numbers
//! big-endian. Disposable: what cannot be read is left out.

use fingerpost_proto::key::PublicKey;
use fingerpost_proto::kind::Audience;
use fingerpost_proto::node::{LogPlace, Peer};

/// Bytes of one place.
const PLACE_BYTES: usize = 49;

pub(super) fn write(places: &[(Peer, Audience, LogPlace)]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(places.len() * PLACE_BYTES);
    for (peer, audience, place) in places {
        bytes.extend_from_slice(peer.as_bytes());
        bytes.push(audience.number());
        bytes.extend_from_slice(&place.epoch.to_be_bytes());
        bytes.extend_from_slice(&place.sequence.to_be_bytes());
    }
    bytes
}

pub(super) fn read(bytes: &[u8]) -> Vec<(Peer, Audience, LogPlace)> {
    bytes.as_chunks::<PLACE_BYTES>().0.iter().filter_map(read_place).collect()
}

fn read_place(bytes: &[u8; PLACE_BYTES]) -> Option<(Peer, Audience, LogPlace)> {
    let number = |at: usize| u64::from_be_bytes(std::array::from_fn(|i| bytes[at + i]));
    let peer = PublicKey::from_bytes(&bytes[..32]).ok()?;
    let audience = Audience::from_number(bytes[32].into())?;
    Some((peer, audience, LogPlace { epoch: number(33), sequence: number(41) }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn places_read_back_and_the_most_that_are_kept_fit_into_a_named_value() {
        let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]).verifying_key();
        let peer = PublicKey::from_bytes(key.as_bytes()).unwrap();
        let place = (peer, Audience::Members, LogPlace { epoch: 5, sequence: 1 << 40 });
        assert_eq!(read(&write(&[place; 1_024])), [place; 1_024]);
        assert!(write(&[place; 1_024]).len() <= crate::store::META_VALUE_BYTES_MAX);
        assert_eq!(read(&[1; 100]), []);
    }
}
