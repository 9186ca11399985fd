//! The compression dictionary: it is what the training makes, it holds nobody's data, and a bomb costs no memory.

#![allow(clippy::unwrap_used)]

use std::collections::HashSet;

use fingerpost_proto::compression::{DICTIONARY, DICTIONARY_BYTES, DICTIONARY_ID, compress, decompress};
use fingerpost_proto::key::SIGNATURE_BYTES;
use fingerpost_proto::limits::FRAME_BYTES_MAX;
use fingerpost_proto::v1;
use fingerpost_proto::version::HEADER_BYTES;
use fingerpost_tests::samples::{DICTIONARY_BYTES_MAX, measuring, train, training_samples};
use prost::Message as _;

/// Bytes in a row that two random texts of this length never share by chance.
const WINDOW_BYTES: usize = 8;

#[test]
fn the_dictionary_is_what_the_training_makes() {
    assert!(DICTIONARY_BYTES.len() <= DICTIONARY_BYTES_MAX);
    let trained = train(DICTIONARY_BYTES_MAX).unwrap();
    assert!(trained == DICTIONARY_BYTES, "`cargo run -p fingerpost-tests --bin train-dictionary` gives another file");
}

#[test]
fn the_dictionary_has_the_digest_that_the_specification_states() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../spec/dictionary/README.md")).unwrap();
    let digest = blake3::hash(DICTIONARY_BYTES).to_hex();
    assert!(page.contains(digest.as_str()), "spec/dictionary/README.md does not name {digest}");
}

#[test]
fn no_signature_id_or_hash_of_a_sample_is_in_the_dictionary() {
    let known: HashSet<&[u8]> = DICTIONARY_BYTES.windows(WINDOW_BYTES).collect();
    let (mut looked_at, mut found) = (0, 0);
    for sample in training_samples() {
        let versions = v1::Versions::decode(sample.as_slice()).unwrap();
        let envelope = &versions.envelopes[0];
        let header = &envelope[SIGNATURE_BYTES..SIGNATURE_BYTES + HEADER_BYTES];
        // Signature; network, organisation, record and device.
        for random in [&envelope[..SIGNATURE_BYTES], &header[4..116]] {
            looked_at += 1;
            found += usize::from(random.windows(WINDOW_BYTES).any(|window| known.contains(window)));
        }
    }
    assert!(looked_at > 10_000);
    assert_eq!(found, 0, "random parts of samples are in the dictionary");
}

#[test]
fn records_shrink_one_by_one_and_in_batches() {
    for set in measuring::payloads().unwrap() {
        let (mut before, mut after) = (0, 0);
        for payload in &set.payloads {
            let frame = compress(payload);
            if let Some(frame) = &frame {
                assert_eq!(&decompress(DICTIONARY, payload.len(), frame, FRAME_BYTES_MAX).unwrap(), payload);
            }
            before += payload.len();
            after += frame.map_or(payload.len(), |frame| frame.len());
        }
        println!("{:<30}{before:>11} B -> {after:>10} B, {:.3}", set.name, after as f64 / before as f64);
        let left_max = if set.name.contains("one by one") { 0.95 } else { 0.5 };
        assert!((after as f64) < before as f64 * left_max, "{}: {before} B became {after} B", set.name);
    }
}

/// Largest resident memory of this process so far, in KiB.
fn memory_kib_max() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmPeak:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_bomb_of_gigabytes_takes_no_more_memory_than_the_limit() {
    // A block of 128 KiB zeros takes four bytes; 16,384 of them give 2 GiB.
    let block = ((128_u32 * 1024) << 3 | 1 << 1).to_le_bytes();
    let blocks = [block[0], block[1], block[2], 0].repeat(16_384);
    let frame = |claimed: u64| {
        let id = (DICTIONARY_ID as u16).to_le_bytes();
        [&[0x28, 0xB5, 0x2F, 0xFD, 0b1110_0010][..], &id, &claimed.to_le_bytes(), &blocks, &[1, 0, 0]].concat()
    };
    let before_kib = memory_kib_max();
    for claimed in [1 << 31, 1 << 62, FRAME_BYTES_MAX as u64 + 1, FRAME_BYTES_MAX as u64, 1_000] {
        let bomb = frame(claimed);
        for stated in [usize::try_from(claimed).unwrap(), FRAME_BYTES_MAX, 1_000] {
            assert!(decompress(DICTIONARY, stated, &bomb, FRAME_BYTES_MAX).is_err(), "{claimed}, {stated}");
        }
    }
    let grown_kib = memory_kib_max() - before_kib;
    // The other tests of this program run beside it; what they take is far below what the bomb would.
    assert!(grown_kib < 1024 * 1024, "{grown_kib} KiB more than before");
}
