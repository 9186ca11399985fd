//! The recovery key: 24 words on paper that outrank every other key of the organisation.
//!
//! The 32 bytes that the words encode (BIP 39 English word list and checksum) are the seed of an Ed25519 key; the card
//! carries only the digest of its public key. Always: neither words nor seed are written to disk.
//! Spec: `spec/05-network.md`, section 1.

use bip39::Mnemonic;
use zeroize::Zeroizing;

use crate::keys::{KeyFileError, Seed, Signer, fresh_seed};

/// Number of words.
pub const WORDS: usize = 24;
/// Words that `init` asks for, to see that they were written down. Counted from 1.
pub const WORDS_ASKED: [usize; 2] = [3, 17];

/// A phrase that does not give a recovery key.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum PhraseError {
    /// Not 24 words.
    #[error("a recovery phrase has 24 words, found {found}")]
    Length {
        /// Words found.
        found: usize,
    },
    /// A word that is not in the list.
    #[error("word {position} is not in the word list; compare it with the paper")]
    UnknownWord {
        /// Position of the word, from 1.
        position: usize,
    },
    /// All words are known but do not belong together.
    #[error("the words do not belong together: one of them, or their order, is wrong")]
    Checksum,
}

/// A recovery phrase; wiped when dropped.
pub struct RecoveryPhrase {
    seed: Seed,
    words: Zeroizing<Vec<String>>,
}

impl RecoveryPhrase {
    /// Makes a new one from the system's randomness.
    pub fn fresh() -> Result<RecoveryPhrase, KeyFileError> {
        Ok(RecoveryPhrase::from_seed(fresh_seed()?))
    }

    fn from_seed(seed: Seed) -> RecoveryPhrase {
        let mnemonic =
            Mnemonic::from_entropy(seed.as_slice()).expect("32 bytes are a length that the word list allows");
        let words = Zeroizing::new(mnemonic.words().map(str::to_owned).collect());
        RecoveryPhrase { seed, words }
    }

    /// Reads words as a person types or pipes them: any case, any white space, with or without their numbers.
    pub fn parse(text: &str) -> Result<RecoveryPhrase, PhraseError> {
        let text = Zeroizing::new(text.to_lowercase());
        let is_number = |word: &&str| word.bytes().all(|byte| byte.is_ascii_digit());
        let words: Vec<&str> = text.split_whitespace().filter(|word| !is_number(word)).collect();
        if words.len() != WORDS {
            return Err(PhraseError::Length { found: words.len() });
        }
        let joined = Zeroizing::new(words.join(" "));
        let mnemonic =
            Mnemonic::parse_in_normalized(bip39::Language::English, &joined).map_err(|error| match error {
                bip39::Error::UnknownWord(index) => PhraseError::UnknownWord { position: index + 1 },
                _ => PhraseError::Checksum,
            })?;
        let mut seed = Seed::default();
        let entropy = Zeroizing::new(mnemonic.to_entropy());
        seed.copy_from_slice(&entropy);
        Ok(RecoveryPhrase::from_seed(seed))
    }

    /// The words in order.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// The words numbered, four to a line, as they are printed.
    pub fn lines(&self) -> Vec<String> {
        let numbered: Vec<String> =
            self.words.iter().enumerate().map(|(at, word)| format!("{:>2} {word:<9}", at + 1)).collect();
        numbered.chunks(4).map(|line| line.join(" ").trim_end().to_owned()).collect()
    }

    /// True when `typed` is the word at `position`, counted from 1.
    pub fn is_word(&self, position: usize, typed: &str) -> bool {
        position
            .checked_sub(1)
            .and_then(|at| self.words.get(at))
            .is_some_and(|word| word == &typed.trim().to_lowercase())
    }

    /// BLAKE3 of the recovery public key: what the card carries. Errors: see [`Signer::from_seed`].
    pub fn digest(&self) -> Result<[u8; 32], fingerpost_proto::key::KeyError> {
        Ok(*blake3::hash(self.signer()?.public().as_bytes()).as_bytes())
    }

    /// The recovery key, which signs the card that takes the organisation back. Errors: see [`Signer::from_seed`].
    pub fn signer(&self) -> Result<Signer, fingerpost_proto::key::KeyError> {
        Signer::from_seed(&self.seed)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_words_give_the_same_key_again() {
        let phrase = RecoveryPhrase::fresh().unwrap();
        assert_eq!(phrase.words().len(), WORDS);
        let typed = format!("  {}\n", phrase.words().join("   ").to_uppercase());
        assert_eq!(RecoveryPhrase::parse(&typed).unwrap().digest(), phrase.digest());
        let printed = phrase.lines().join("\n");
        assert_eq!(RecoveryPhrase::parse(&printed).unwrap().digest(), phrase.digest());
    }

    #[test]
    fn a_wrong_word_a_missing_word_and_a_swap_are_told_apart() {
        let phrase = RecoveryPhrase::from_seed(Seed::new(std::array::from_fn(|i| i as u8 * 5)));
        let mut words = phrase.words().to_vec();
        assert_eq!(RecoveryPhrase::parse(&words[1..].join(" ")).err(), Some(PhraseError::Length { found: 23 }));
        words.swap(0, 1);
        assert_eq!(RecoveryPhrase::parse(&words.join(" ")).err(), Some(PhraseError::Checksum));
        words[4] = "fingerpost".to_owned();
        assert_eq!(RecoveryPhrase::parse(&words.join(" ")).err(), Some(PhraseError::UnknownWord { position: 5 }));
    }

    #[test]
    fn the_words_asked_for_are_recognised_and_others_are_not() {
        let phrase = RecoveryPhrase::fresh().unwrap();
        for position in WORDS_ASKED {
            assert!(phrase.is_word(position, &format!(" {} ", phrase.words()[position - 1])));
            assert!(!phrase.is_word(position, "fingerpost"));
        }
        assert!(!phrase.is_word(0, "") && !phrase.is_word(25, ""));
        assert_eq!(phrase.lines().len(), 6);
    }
}
