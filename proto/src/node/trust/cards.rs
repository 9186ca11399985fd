//! What follows when another card of an organisation counts.
//!
//! Spec: `spec/05-network.md`, sections 1.1 and 1.2. Tested: `node/tests/cards.rs`.

use std::collections::BTreeSet;
use std::collections::btree_map::Entry;

use super::{Place, Trust};
use crate::id::{OrgId, RecordId};
use crate::key::PublicKey;
use crate::kind::{Audience, Class, Kind};
use crate::network::card::{OrgCard, card_place};
use crate::network::statement::Statement;
use crate::network::succession::{Bearing, SuccessionError};
use crate::order::Precedence;
use crate::set::{SetKey, Slot};

impl Trust {
    /// What a card of this organisation would mean. Errors: as [`Succession::bearing`](crate::network::succession::Succession).
    pub(in crate::node) fn bearing(&self, org: &OrgId, card: &OrgCard) -> Result<Bearing, SuccessionError> {
        match self.cards.get(org) {
            Some(succession) => succession.bearing(card),
            None if card.origin.is_none() => Ok(Bearing::Counts),
            None => Ok(Bearing::Waits),
        }
    }

    /// Takes a card into its organisation's succession. False when it does not matter.
    pub(super) fn take_card(&mut self, org: &OrgId, card: OrgCard) -> bool {
        let succession = self.cards.entry(*org).or_default();
        let node_keys = |card: &OrgCard| -> Vec<PublicKey> { card.node_keys().collect() };
        let before = succession.effective().map(|card| (card.digest, node_keys(card)));
        let taken = succession.take(card);
        let after = succession.effective().map(|card| (card.digest, node_keys(card)));
        let Some((digest, nodes)) = after else {
            self.cards.remove(org);
            return false;
        };
        let Ok((bearing, dropped)) = taken else { return false };
        for card in dropped {
            self.forget(org, card_place(org, &card));
        }
        if before.as_ref().is_none_or(|(before, _)| *before != digest) {
            self.disown(org, before.iter().flat_map(|(_, nodes)| nodes.clone()).collect());
            for node in nodes {
                self.node_owners.entry(node).or_default().insert(*org);
            }
            *self.turned.entry(*org).or_default() |= before.is_some();
        }
        matches!(bearing, Bearing::Counts | Bearing::Rivals | Bearing::Known)
    }

    /// After the cards of a batch, before anything that they are to bear out: statements that the effective cards do not bear
    /// out are forgotten, and the invitations of these organisations are to be checked again.
    pub(in crate::node) fn follow_cards(&mut self) {
        let turned = std::mem::take(&mut self.turned);
        // Before an organisation has its first card nothing of it was learnt.
        let rotated: BTreeSet<OrgId> =
            turned.into_iter().filter(|(_, had_card)| *had_card).map(|(org, _)| org).collect();
        for org in &rotated {
            let records: Vec<RecordId> = self.records_of(org).collect();
            for record in records {
                if !self.is_borne_out(org, &record) {
                    self.forget(org, record);
                }
            }
        }
        if rotated.is_empty() {
            return;
        }
        for place in self.places.values_mut() {
            if matches!(&place.statement, Statement::Acceptance(Some(said)) if rotated.contains(&said.inviter)) {
                place.invitation_holds = None;
            }
        }
        self.rotated.extend(rotated);
        self.is_stale = true;
    }

    /// Ends reading the store: cards stand there in any order, and follow one another only now.
    pub(in crate::node) fn settle_stored(&mut self) {
        let mut stored = std::mem::take(&mut self.stored);
        stored.sort_by_key(|(_, statement)| match statement {
            Statement::Card(card) => card.sequence,
            _ => 0,
        });
        for (version, statement) in stored {
            let (org, record) = (version.header().org, version.header().record);
            let Statement::Card(card) = &statement else { continue };
            if self.take_card(&org, (**card).clone()) {
                let precedence = Precedence::of(&version);
                let place = Place { precedence, statement, invitation_holds: None, outside: None };
                self.places.insert((org, record), place);
            } else {
                self.leaving.push(slot(&org, &record));
            }
            self.is_stale = true;
        }
    }

    /// Places that left since this was last asked, and organisations of which another card counts.
    pub(in crate::node) fn turn(&mut self) -> (Vec<Slot>, BTreeSet<OrgId>) {
        (std::mem::take(&mut self.leaving), std::mem::take(&mut self.rotated))
    }

    /// Forgets the cards of an organisation and the keys of its nodes.
    pub(super) fn drop_cards(&mut self, org: &OrgId) {
        let Some(succession) = self.cards.remove(org) else { return };
        let nodes = succession.effective().map(|card| card.node_keys().collect());
        self.disown(org, nodes.unwrap_or_default());
        self.rotated.remove(org);
    }

    fn disown(&mut self, org: &OrgId, nodes: Vec<PublicKey>) {
        for key in nodes {
            if let Entry::Occupied(mut owners) = self.node_owners.entry(key) {
                owners.get_mut().remove(org);
                if owners.get().is_empty() {
                    owners.remove();
                }
            }
        }
    }

    fn is_borne_out(&self, org: &OrgId, record: &RecordId) -> bool {
        let Some(place) = self.places.get(&(*org, *record)) else { return true };
        let Precedence { device, hlc, vid } = &place.precedence;
        // A card is borne out by the card before it.
        matches!(place.statement, Statement::Card(_))
            || self.card(org).is_some_and(|card| card.bears_out(Class::Network, device, *hlc, vid))
    }

    fn forget(&mut self, org: &OrgId, record: RecordId) {
        self.places.remove(&(*org, record));
        self.leaving.push(slot(org, &record));
    }
}

fn slot(org: &OrgId, record: &RecordId) -> Slot {
    // Only the class of the kind matters.
    Slot { audience: Audience::Public, key: SetKey::derive(Kind::CARD, org, record) }
}
