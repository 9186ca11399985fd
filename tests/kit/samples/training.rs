//! The dictionary's training: samples in, dictionary out, the same bytes on every machine with the same zstd.

use fingerpost_proto::compression::DICTIONARY_ID;

use super::training_samples;

/// Size of the dictionary, in bytes. Larger ones hardly help records that they were not trained on; the measurement is
/// in `spec/dictionary/README.md`.
pub const DICTIONARY_BYTES_MAX: usize = 16 * 1024;
/// Place of the id in a dictionary (RFC 8878, section 5): after the magic number.
const ID_AT: std::ops::Range<usize> = 4..8;

/// Trains a dictionary of at most `bytes_max` bytes.
///
/// Errors: whatever zstd's trainer says, in words.
pub fn train(bytes_max: usize) -> std::io::Result<Vec<u8>> {
    let mut dictionary = zstd::dict::from_samples(&training_samples(), bytes_max)?;
    // The trainer draws an id from the content; ours is shorter in every frame and says which dictionary it is.
    dictionary[ID_AT].copy_from_slice(&DICTIONARY_ID.to_le_bytes());
    Ok(dictionary)
}
