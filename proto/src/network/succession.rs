//! Which of an organisation's cards counts: a pure function of the cards that are known, whatever their order of arrival.
//!
//! In: cards whose signatures hold. Out: the chain of effective cards, the last of which counts, and for each link the best
//! card that lost. Always: each card of the chain is the best of all that were taken and follow the one before it. A choice
//! depends on direct successors only, so it is a maximum, and what follows a card that lost never matters again.
//! Spec: `spec/05-network.md`, section 1.1. Tested: `succession/tests.rs`, by property.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::card::{CardDigest, OrgCard};
use super::statement::Statement;
use crate::canary::{Canary, is_out};
use crate::id::{NetworkId, OrgId};
use crate::key::PublicKey;
use crate::version::SignedVersion;

/// Why a card does not follow the one that it names. The bytes of both decide, so every node answers the same.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum SuccessionError {
    /// Not one more than the card before.
    #[error("the card has sequence {found}, after the card that it follows comes {expected}")]
    Sequence {
        /// Sequence found.
        found: u64,
        /// Sequence that would be right.
        expected: u64,
    },
    /// Its version is signed by another key than it names, or the card before does not let that key sign.
    #[error(
        "the card must be signed by the key {signer} that it names, and that must be a root key or the recovery key of the card before"
    )]
    Signer {
        /// The key that the card names.
        signer: PublicKey,
    },
}

/// How good the claim of a successor is; the least wins.
///
/// The recovery key has class 0, root key number i class i + 1. Of one key's cards that with the lower digest wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    class: usize,
    digest: CardDigest,
}

impl Rank {
    /// The rank of `card` among the successors of `before`. Errors: [`SuccessionError`].
    pub fn of(card: &OrgCard, before: &OrgCard) -> Result<Rank, SuccessionError> {
        let expected = before.sequence.saturating_add(1);
        let Some(origin) = card.origin.filter(|_| card.sequence == expected) else {
            return Err(SuccessionError::Sequence { found: card.sequence, expected });
        };
        let signer = origin.signed_by;
        let class = if *blake3::hash(signer.as_bytes()).as_bytes() == before.recovery_digest {
            Some(0)
        } else {
            before.root_keys.iter().position(|root| *root == signer).map(|position| position + 1)
        };
        let class = class.ok_or(SuccessionError::Signer { signer })?;
        Ok(Rank { class, digest: card.digest })
    }

    /// True for a card that the recovery key signed.
    pub fn is_recovery(&self) -> bool {
        self.class == 0
    }
}

/// What a card means beside those that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bearing {
    /// It becomes part of the chain: from its predecessor on another card counts.
    Counts,
    /// It loses, and is the best of those that lost against the same card: kept as evidence.
    Rivals,
    /// It is part of the chain or kept as evidence already.
    Known,
    /// It loses against better cards, or follows one that lost: it never matters.
    Loses,
    /// The card that it names is not known. It may never have counted, or not have come yet.
    Waits,
}

/// The cards of one organisation that matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Succession {
    /// The first card, then the best successor of each.
    chain: Vec<OrgCard>,
    /// The second-best successor of the card at this place of the chain.
    rivals: BTreeMap<usize, OrgCard>,
}

impl Succession {
    /// What these envelopes prove of an organisation in a network, in whatever order they are given. What is no card version of
    /// it, or not signed as it must be, is left out.
    pub fn proven(org: &OrgId, network: &NetworkId, envelopes: impl IntoIterator<Item = Vec<u8>>) -> Succession {
        let mut succession = Succession::default();
        succession.learn(org, network, envelopes);
        succession
    }

    /// Takes in what these envelopes prove, and returns the versions whose cards matter now. As [`Succession::proven`], beside
    /// what is known.
    pub fn learn(
        &mut self,
        org: &OrgId,
        network: &NetworkId,
        envelopes: impl IntoIterator<Item = Vec<u8>>,
    ) -> Vec<SignedVersion> {
        let mut cards: Vec<(OrgCard, SignedVersion)> = Vec::new();
        for envelope in envelopes {
            let Ok(version) = SignedVersion::read(envelope) else { continue };
            let header = version.header();
            if header.org != *org || header.network != *network {
                continue;
            }
            if let Ok(Statement::Card(card)) = Statement::read(&version)
                && card.signer(&header.device).is_some_and(|key| version.check_signature(&key).is_ok())
            {
                cards.push((*card, version));
            }
        }
        cards.sort_by_key(|(card, _)| card.sequence);
        let mut mattering = Vec::new();
        for (card, version) in cards {
            // One that does not follow proves nothing.
            if let Ok((Bearing::Counts | Bearing::Rivals | Bearing::Known, _)) = self.take(card) {
                mattering.push(version);
            }
        }
        mattering
    }

    /// The card that counts now. `None` as long as the first card is not known.
    pub fn effective(&self) -> Option<&OrgCard> {
        self.chain.last()
    }

    /// The effective cards, from the first to the one that counts now.
    pub fn chain(&self) -> &[OrgCard] {
        &self.chain
    }

    /// Cards that lost, each with the card of the chain that it lost against: proof that two keys, or one key twice, made a
    /// successor of one card.
    pub fn forks(&self) -> impl Iterator<Item = (&OrgCard, &OrgCard)> {
        self.rivals.iter().filter_map(|(at, rival)| self.chain.get(at + 1).map(|winner| (winner, rival)))
    }

    /// True when a device that is not on the effective card was on an earlier one of the chain: it was revoked.
    pub fn has_revoked(&self, device: &[u8; 32]) -> bool {
        let (last, earlier) = match self.chain.split_last() {
            Some(split) => split,
            None => return false,
        };
        last.device(device).is_none() && earlier.iter().any(|card| card.device(device).is_some())
    }

    /// The card that counts in the place of one that lost, if it names a card of the chain.
    pub fn better_than(&self, card: &OrgCard) -> Option<&OrgCard> {
        self.chain.get(self.position(&card.origin?.previous)? + 1)
    }

    /// What a card whose signature holds would mean. Nothing changes.
    /// Errors: [`SuccessionError`] when the card that it names is known and it does not follow from it.
    pub fn bearing(&self, card: &OrgCard) -> Result<Bearing, SuccessionError> {
        let Some(origin) = card.origin else {
            return Ok(match self.chain.first() {
                None => Bearing::Counts,
                // The digest of the first card is the OrgId, so there is no other.
                Some(_) => Bearing::Known,
            });
        };
        if let Some(lost) = self.rivals.values().find(|rival| rival.digest == origin.previous) {
            return Rank::of(card, lost).map(|_| Bearing::Loses);
        }
        let Some(at) = self.position(&origin.previous) else { return Ok(Bearing::Waits) };
        let before = &self.chain[at];
        let rank = Rank::of(card, before)?;
        // Whatever is in the chain or kept was ranked when it was taken.
        let rank_of = |card: &OrgCard| Rank::of(card, before).ok();
        let best = self.chain.get(at + 1).and_then(rank_of);
        let second = self.rivals.get(&at).and_then(rank_of);
        Ok(match (best, second) {
            (None, _) => Bearing::Counts,
            (Some(best), _) if rank < best && !is_out(Canary::CardRank) => Bearing::Counts,
            (Some(best), _) if rank == best => Bearing::Known,
            (_, None) => Bearing::Rivals,
            (_, Some(second)) if rank < second => Bearing::Rivals,
            (_, Some(second)) if rank == second => Bearing::Known,
            _ => Bearing::Loses,
        })
    }

    /// Takes a card in. Returns what it means, and the digests of the cards that no longer matter.
    /// Errors: as [`Succession::bearing`]; nothing changed.
    pub fn take(&mut self, card: OrgCard) -> Result<(Bearing, Vec<CardDigest>), SuccessionError> {
        let bearing = self.bearing(&card)?;
        let mut dropped = Vec::new();
        let place = card.origin.map(|origin| self.position(&origin.previous));
        match (bearing, place) {
            (Bearing::Counts, None) => self.chain.push(card),
            (Bearing::Counts, Some(Some(at))) => {
                let lost = self.chain.split_off(at + 1);
                let mut displaced: Vec<OrgCard> = self.rivals.split_off(&at).into_values().collect();
                let mut lost = lost.into_iter();
                // What counted so far was better than the second best, so it is the evidence now.
                if let Some(beaten) = lost.next() {
                    self.rivals.insert(at, beaten);
                } else {
                    // Without a best successor there is no second best either.
                    debug_assert!(displaced.is_empty());
                }
                displaced.extend(lost);
                dropped = displaced.into_iter().map(|card| card.digest).collect();
                self.chain.push(card);
            }
            (Bearing::Rivals, Some(Some(at))) => {
                dropped.extend(self.rivals.insert(at, card).map(|rival| rival.digest));
            }
            _ => {}
        }
        Ok((bearing, dropped))
    }

    /// Position of a card in the chain.
    fn position(&self, digest: &CardDigest) -> Option<usize> {
        self.chain.iter().rposition(|card| card.digest == *digest)
    }
}
