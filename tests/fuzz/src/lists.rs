//! Byte layouts inside frames: ranges, keys, pairs, compressed data; and what a node answers to ranges.

use std::sync::LazyLock;

use fingerpost_proto::compression::decompress;
use fingerpost_proto::id::Vid;
use fingerpost_proto::limits::{
    FRAME_BYTES_MAX, OFFER_PAIRS_MAX, OFFERS_PER_ANSWER_MAX, RANGES_PER_FRAME_MAX, WANT_KEYS_MAX,
};
use fingerpost_proto::set::{Entry, Index, SetKey};
use fingerpost_proto::sync::{Side, answer, read_keys, read_pairs, read_ranges, write_keys, write_pairs, write_ranges};
use fingerpost_proto::time::Hlc;

/// First byte: which list. For ranges a second one: how many bytes of the lower bound follow.
pub fn run(bytes: &[u8]) {
    let Some((first, bytes)) = bytes.split_first() else { return };
    match first % 4 {
        0 => {
            let Some((length, bytes)) = bytes.split_first() else { return };
            let length = usize::from(*length).min(16).min(bytes.len());
            let mut lower = [0; 16];
            lower[..length].copy_from_slice(&bytes[..length]);
            ranges(SetKey(lower), &bytes[length..]);
        }
        1 => keys(bytes),
        2 => pairs(bytes),
        _ => {
            let Some((length, data)) = bytes.split_first_chunk::<4>() else { return };
            let length = u32::from_be_bytes(*length) as usize;
            if let Ok(payload) = decompress(1, length, data, FRAME_BYTES_MAX) {
                assert!(payload.len() == length && length <= FRAME_BYTES_MAX);
            }
        }
    }
}

/// Reads ranges as a request and as a reply, and answers them.
pub fn ranges(lower: SetKey, bytes: &[u8]) {
    for is_reply in [false, true] {
        let Ok(ranges) = read_ranges(lower, bytes, is_reply) else { continue };
        assert!(!ranges.is_empty() && ranges.len() <= RANGES_PER_FRAME_MAX);
        let bounds = ranges.iter().filter_map(|range| range.upper);
        assert!(std::iter::once(lower).chain(bounds).is_sorted(), "bounds ascend");
        let written = write_ranges(lower, &ranges);
        assert_eq!(
            read_ranges(lower, &written, is_reply).as_ref(),
            Ok(&ranges),
            "ranges are written as they were read"
        );
        let side = if is_reply { Side::Initiator } else { Side::Responder };
        let answer = answer(&INDEX, side, 5, lower, &ranges);
        assert!(answer.offers.len() <= OFFERS_PER_ANSWER_MAX, "{} offers", answer.offers.len());
    }
}

/// Reads keys.
pub fn keys(bytes: &[u8]) {
    if let Ok(keys) = read_keys(bytes, WANT_KEYS_MAX) {
        assert!(keys.len() <= WANT_KEYS_MAX);
        assert_eq!(read_keys(&write_keys(&keys), WANT_KEYS_MAX), Ok(keys), "keys are written as they were read");
    }
}

/// Reads pairs.
pub fn pairs(bytes: &[u8]) {
    if let Ok(pairs) = read_pairs(bytes, OFFER_PAIRS_MAX) {
        assert!(pairs.len() <= OFFER_PAIRS_MAX);
        assert_eq!(read_pairs(&write_pairs(&pairs), OFFER_PAIRS_MAX), Ok(pairs), "pairs are written as they were read");
    }
}

/// A few hundred entries of four organisations.
static INDEX: LazyLock<Index> = LazyLock::new(|| {
    let mut index = Index::new();
    for number in 0_u16..400 {
        let mut key = [0; 16];
        (key[0], key[1]) = (u8::from(number % 40 > 0), (number % 4) as u8);
        key[8..10].copy_from_slice(&number.wrapping_mul(163).to_be_bytes());
        let vid = Vid(std::array::from_fn(|i| (usize::from(number) * 7 + i) as u8));
        index.insert(SetKey(key), Entry { vid, hlc: Hlc(0), device: 0, lease_hours: 0, has_lapsed: false });
    }
    index
});
