#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::*;

/// Envelopes' worth of bytes that shrink to about a half.
fn payload(bytes: usize) -> Vec<u8> {
    let mut payload = Vec::with_capacity(bytes + 64);
    for number in 0_u64.. {
        if payload.len() >= bytes {
            break;
        }
        payload.extend(blake3::hash(&number.to_le_bytes()).as_bytes());
        payload.extend(b"FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR");
    }
    payload.truncate(bytes);
    payload
}

fn open(payload_bytes: usize, frame: &[u8]) -> Result<Vec<u8>, CompressionError> {
    decompress(DICTIONARY, payload_bytes, frame, FRAME_BYTES_MAX)
}

/// A frame with another header: descriptor and what follows it. `blocks` are appended.
fn forged(descriptor: u8, header: &[u8], blocks: &[u8]) -> Vec<u8> {
    [&[0x28, 0xB5, 0x2F, 0xFD, descriptor][..], header, blocks].concat()
}

/// A last block of `bytes` times the same byte, which takes four bytes.
fn run_of_zeros(bytes: u32, is_last: bool) -> Vec<u8> {
    let header = (bytes << 3 | 1 << 1 | u32::from(is_last)).to_le_bytes();
    [&header[..3], &[0]].concat()
}

/// Single segment, four bytes of content size, two bytes of dictionary id.
fn header_claiming(content_bytes: u32) -> Vec<u8> {
    [&(DICTIONARY_ID as u16).to_le_bytes()[..], &content_bytes.to_le_bytes()].concat()
}

const CLAIMING: u8 = 0b1010_0010;

#[test]
fn a_payload_comes_back_at_the_limits_of_size_and_is_left_alone_beyond() {
    for bytes in [COMPRESS_BYTES_MIN, 1_000, 240 * 1024, FRAME_BYTES_MAX] {
        let payload = payload(bytes);
        let frame = compress(&payload).unwrap();
        assert_eq!(open(bytes, &frame), Ok(payload), "{bytes} bytes");
    }
    for bytes in [0, COMPRESS_BYTES_MIN - 1, FRAME_BYTES_MAX + 1] {
        assert_eq!(compress(&payload(bytes)), None, "{bytes} bytes");
    }
}

#[test]
fn what_does_not_shrink_is_sent_as_it_is() {
    let mut random = vec![0; 10_000];
    blake3::Hasher::new().finalize_xof().fill(&mut random);
    assert_eq!(compress(&random), None);
    // One part in sixteen, and one byte less than that.
    let saved = |bytes: &[u8]| compress(bytes).map(|frame| bytes.len() - frame.len());
    let sizes = (0..2_000).map(|zeros| [&random[..8_000], &vec![0; zeros]].concat());
    let (kept, compressed): (Vec<_>, Vec<_>) = sizes.partition(|payload| saved(payload).is_none());
    assert!(!kept.is_empty() && !compressed.is_empty());
    assert!(compressed.iter().all(|payload| saved(payload).unwrap() >= payload.len() / COMPRESS_SAVING_MIN));
}

#[test]
fn the_dictionary_helps_a_single_record() {
    let with = compress(&payload(400)).unwrap().len();
    let without = zstd::bulk::compress(&payload(400), LEVEL).unwrap().len();
    assert!(with + 16 <= without, "{with} bytes with it, {without} without");
}

#[test]
fn the_dictionary_has_its_id() {
    assert_eq!(zstd_safe::get_dict_id_from_dict(DICTIONARY_BYTES).map(u32::from), Some(DICTIONARY_ID));
}

#[test]
fn a_payload_is_taken_at_the_limit_and_refused_before_it_is_allocated_beyond() {
    let payload = payload(5_000);
    let frame = compress(&payload).unwrap();
    assert!(decompress(DICTIONARY, 5_000, &frame, 5_000).is_ok());
    let error = CompressionError::PayloadTooLarge { found: 5_000, max: 4_999 };
    assert_eq!(decompress(DICTIONARY, 5_000, &frame, 4_999), Err(error));
    let error = CompressionError::PayloadTooLarge { found: usize::MAX, max: FRAME_BYTES_MAX };
    assert_eq!(open(usize::MAX, &frame), Err(error));
}

#[test]
fn another_dictionary_is_refused_by_number_and_by_id() {
    let payload = payload(5_000);
    let frame = compress(&payload).unwrap();
    for found in [0, DICTIONARY + 1, u32::MAX] {
        let refused = decompress(found, 5_000, &frame, FRAME_BYTES_MAX);
        assert_eq!(refused, Err(CompressionError::UnknownDictionary { found }));
    }
    let bare = zstd::bulk::compress(&payload, LEVEL).unwrap();
    assert_eq!(open(5_000, &bare), Err(CompressionError::OtherDictionaryId { found: 0 }));
    let mut other = DICTIONARY_BYTES.to_vec();
    other[4..8].copy_from_slice(&0xF902_u32.to_le_bytes());
    let frame = Compressor::with_dictionary(LEVEL, &other).unwrap().compress(&payload).unwrap();
    assert_eq!(open(5_000, &frame), Err(CompressionError::OtherDictionaryId { found: 0xF902 }));
}

#[test]
fn a_frame_that_is_none_or_has_another_form_is_refused_by_name() {
    let payload = payload(5_000);
    let frame = compress(&payload).unwrap();
    assert_eq!(open(0, &[]), Err(CompressionError::NotZstd));
    assert_eq!(open(5_000, &payload), Err(CompressionError::NotZstd));
    // A skippable frame is none.
    let skippable = [&[0x50, 0x2A, 0x4D, 0x18, 0, 0, 0, 0][..], &frame].concat();
    assert_eq!(open(5_000, &skippable), Err(CompressionError::NotZstd));
    let reserved = forged(CLAIMING | 0b1000, &header_claiming(10), &run_of_zeros(10, true));
    assert_eq!(open(10, &reserved), Err(CompressionError::ReservedBit));

    let mut compressor = Compressor::with_prepared_dictionary(&ENCODER).unwrap();
    compressor.include_checksum(true).unwrap();
    let refused = open(5_000, &compressor.compress(&payload).unwrap());
    assert_eq!(refused, Err(CompressionError::Checksum));
    compressor.include_checksum(false).unwrap();
    compressor.include_contentsize(false).unwrap();
    let refused = open(5_000, &compressor.compress(&payload).unwrap());
    assert_eq!(refused, Err(CompressionError::NoContentSize));
}

#[test]
fn a_size_that_differs_from_the_stated_one_is_refused() {
    let frame = compress(&payload(5_000)).unwrap();
    for stated in [4_999, 5_001] {
        assert_eq!(open(stated, &frame), Err(CompressionError::ContentSizeDiffers { found: 5_000, stated }));
    }
    assert!(open(10, &forged(CLAIMING, &header_claiming(10), &run_of_zeros(10, true))).is_ok());
    // Header and message agree, the blocks give less or more.
    for produced in [9, 11, 100_000] {
        let frame = forged(CLAIMING, &header_claiming(10), &run_of_zeros(produced, true));
        assert_eq!(open(10, &frame), Err(CompressionError::Corrupt { stated: 10 }), "{produced}");
    }
}

#[test]
fn a_window_is_taken_at_the_limit_and_refused_beyond() {
    // Not a single segment: a window descriptor comes first.
    let with_window = |window| {
        let header = [&[window][..], &header_claiming(10)].concat();
        open(10, &forged(CLAIMING & !0b10_0000, &header, &run_of_zeros(10, true)))
    };
    assert!(with_window(8 << 3).is_ok());
    assert_eq!(with_window(8 << 3 | 1), Err(CompressionError::WindowTooLarge { found: 294_912 }));
    assert_eq!(with_window(0xFF), Err(CompressionError::WindowTooLarge { found: (1 << 41) / 8 * 15 }));
}

#[test]
fn a_bomb_ends_at_the_size_that_it_states() {
    let zeros: Vec<u8> = (0..50_000).flat_map(|_| run_of_zeros(128 * 1024, false)).collect();
    let claimed = 10 * 128 * 1024;
    let bomb = forged(CLAIMING, &header_claiming(claimed), &[zeros, run_of_zeros(1, true)].concat());
    let error = CompressionError::PayloadTooLarge { found: claimed as usize, max: FRAME_BYTES_MAX };
    assert_eq!(open(claimed as usize, &bomb), Err(error));
    assert_eq!(open(10, &bomb), Err(CompressionError::ContentSizeDiffers { found: claimed.into(), stated: 10 }));
    // Six gigabytes behind an allowed claim.
    let lying = [&forged(CLAIMING, &header_claiming(200_000), &[])[..], &bomb[11..]].concat();
    assert_eq!(open(200_000, &lying), Err(CompressionError::Corrupt { stated: 200_000 }));
}

#[test]
fn bytes_after_the_frame_are_refused_be_they_another_frame() {
    let payload = payload(5_000);
    let frame = compress(&payload).unwrap();
    let empty = forged(CLAIMING, &header_claiming(0), &run_of_zeros(0, true));
    for after in [&[0][..], &frame, &empty, &[0x50, 0x2A, 0x4D, 0x18, 0, 0, 0, 0]] {
        let refused = open(5_000, &[&frame[..], after].concat());
        assert_eq!(refused, Err(CompressionError::TrailingBytes { found: after.len() }));
    }
}

#[test]
fn a_frame_that_is_cut_off_is_refused_wherever_it_is_cut() {
    let frame = compress(&payload(1_000)).unwrap();
    for end in 0..frame.len() {
        let error = open(1_000, &frame[..end]).unwrap_err();
        let expected = match end {
            0..4 => CompressionError::NotZstd,
            // Magic, descriptor, two bytes of id, two bytes of size.
            4..9 => CompressionError::HeaderCut,
            _ => CompressionError::FrameCut,
        };
        assert_eq!(error, expected, "cut after {end} bytes");
    }
}

proptest! {
    #[test]
    fn every_payload_that_is_compressed_comes_back(
        parts in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..300), 1_usize..20), 0..60),
    ) {
        let payload: Vec<u8> = parts.iter().flat_map(|(part, times)| part.repeat(*times)).collect();
        if let Some(frame) = compress(&payload) {
            prop_assert!(frame.len() < payload.len());
            prop_assert_eq!(open(payload.len(), &frame), Ok(payload));
        }
    }

    #[test]
    fn a_damaged_frame_gives_an_error_or_the_stated_number_of_bytes(
        at in any::<prop::sample::Index>(), bit in 0_u8..8, stated in 0_usize..6_000,
    ) {
        let mut frame = compress(&payload(5_000)).unwrap();
        let at = at.index(frame.len());
        frame[at] ^= 1 << bit;
        for stated in [stated, 5_000] {
            prop_assert!(open(stated, &frame).is_err_and(|_| true) || open(stated, &frame).unwrap().len() == stated);
        }
    }

    #[test]
    fn any_bytes_after_a_good_header_give_an_error_or_the_stated_number_of_bytes(
        blocks in prop::collection::vec(any::<u8>(), 0..400), stated in 0_u32..2_000,
    ) {
        let frame = forged(CLAIMING, &header_claiming(stated), &blocks);
        if let Ok(payload) = open(stated as usize, &frame) {
            prop_assert_eq!(payload.len(), stated as usize);
        }
    }
}
