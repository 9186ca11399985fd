//! What a node knows of organisations: cards, statements and the standings that follow from them.
//!
//! Always: `standings` is the evaluation of what was learnt, once [`Trust::evaluate`] has run; statements that are kept are
//! borne out by their organisation's effective card, once [`Trust::follow_cards`] has run.
//! Spec: `spec/05-network.md`, section 5.

mod cards;

use std::collections::{BTreeMap, BTreeSet};

use crate::canary::{Canary, is_out};
use crate::id::{OrgId, RecordId};
use crate::key::PublicKey;
use crate::kind::Kind;
use crate::network::card::OrgCard;
use crate::network::charter::Charter;
use crate::network::members::{Accepted, Explanation, Standing, Standings, Statements};
use crate::network::statement::{Statement, statement_record_id};
use crate::network::succession::Succession;
use crate::order::Precedence;
use crate::set::Slot;
use crate::time::Hlc;
use crate::version::SignedVersion;

/// Statements of one organisation without standing that are remembered: more than an honest newcomer makes.
pub(super) const STATEMENTS_PER_STRANGER_MAX: usize = 16;
/// Organisations without standing whose card and statements are remembered, in memory only.
pub(super) const STRANGERS_MAX: usize = 256;
/// Bytes of all that is remembered of organisations without standing: 64 KiB for each of them, room for a hundred usual cards.
pub(super) const STRANGER_BYTES_MAX: usize = 16 * 1024 * 1024;

#[derive(Debug)]
struct Place {
    precedence: Precedence,
    statement: Statement,
    /// Whether the inviter's card bears out the invitation in an acceptance; unknown until that card is here.
    invitation_holds: Option<bool>,
    /// The version, as long as it is not in the set.
    outside: Option<SignedVersion>,
}

/// An organisation whose standing changed, with the versions that enter the set now.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) org: OrgId,
    pub(super) before: Standing,
    pub(super) after: Standing,
    pub(super) entering: Vec<SignedVersion>,
}

#[derive(Debug)]
pub(super) struct Trust {
    charter: Charter,
    cards: BTreeMap<OrgId, Succession>,
    /// Whose cards name a node's key: asked at each link, so it must not need a look at all cards.
    node_owners: BTreeMap<PublicKey, BTreeSet<OrgId>>,
    places: BTreeMap<(OrgId, RecordId), Place>,
    standings: Standings,
    is_stale: bool,
    /// Strangers had to be forgotten since this was last asked.
    has_dropped: bool,
    /// Cards read from the store, in whatever order they stood there, until all are read.
    stored: Vec<(SignedVersion, Statement)>,
    /// Organisations of which another card counts than when statements were last looked at, and whether one did before.
    turned: BTreeMap<OrgId, bool>,
    /// Those of which another card counts than at the last evaluation.
    rotated: BTreeSet<OrgId>,
    /// Places whose statement or card no longer counts, since the last evaluation.
    leaving: Vec<Slot>,
}

impl Trust {
    pub(super) fn new(charter: Charter) -> Trust {
        let standings = Standings::evaluate(&charter, &Statements::default());
        Trust {
            charter,
            cards: BTreeMap::new(),
            node_owners: BTreeMap::new(),
            places: BTreeMap::new(),
            standings,
            is_stale: false,
            has_dropped: false,
            stored: Vec::new(),
            turned: BTreeMap::new(),
            rotated: BTreeSet::new(),
            leaving: Vec::new(),
        }
    }

    pub(super) fn charter(&self) -> &Charter {
        &self.charter
    }

    /// The card of an organisation that counts.
    pub(super) fn card(&self, org: &OrgId) -> Option<&OrgCard> {
        self.cards.get(org)?.effective()
    }

    /// The cards of all organisations that count.
    pub(super) fn cards(&self) -> impl Iterator<Item = &OrgCard> {
        self.cards.values().filter_map(Succession::effective)
    }

    /// All cards of an organisation that matter.
    pub(super) fn succession(&self, org: &OrgId) -> Option<&Succession> {
        self.cards.get(org)
    }

    pub(super) fn standing(&self, org: &OrgId) -> Standing {
        self.standings.of(org)
    }

    pub(super) fn standings(&self) -> &Standings {
        &self.standings
    }

    /// Why an organisation has its standing.
    pub(super) fn explain(&self, org: &OrgId) -> Explanation {
        Explanation::of(&self.charter, &self.statements(), &self.standings, org)
    }

    /// When each organisation accepted, and left if it did not come back.
    pub(super) fn accepted_and_left(&self) -> BTreeMap<OrgId, (Option<Hlc>, Option<Hlc>)> {
        let statements = self.statements();
        let orgs = statements.acceptances.keys().chain(statements.leaves.keys());
        let accepted = |org: &OrgId| statements.acceptances.get(org).map(|accepted| accepted.hlc);
        orgs.map(|org| (*org, (accepted(org), statements.left(org)))).collect()
    }

    /// The organisation one of whose nodes has this key.
    pub(super) fn node_owner(&self, node: &PublicKey) -> Option<OrgId> {
        self.node_owners.get(node)?.iter().copied().max_by_key(|org| self.standing(org))
    }

    /// The precedence of the statement known at this place.
    pub(super) fn precedence(&self, org: &OrgId, record: &RecordId) -> Option<Precedence> {
        self.places.get(&(*org, *record)).map(|place| place.precedence)
    }

    /// Remembers a verified version of a network kind. False when a later one is known, or when a stranger has said enough.
    ///
    /// `is_stored`: the version is in the set already (read from the store; cards wait for [`Trust::settle_stored`]).
    pub(super) fn learn(&mut self, version: SignedVersion, statement: Statement, is_stored: bool) -> bool {
        let header = *version.header();
        let precedence = Precedence::of(&version);
        let at = (header.org, header.record);
        if self.places.get(&at).is_some_and(|place| place.precedence.holds_against(&precedence)) {
            return false;
        }
        let is_new = !self.places.contains_key(&at);
        // What decides about membership is never capped, or a newcomer could be kept out by its own vouches.
        let is_decisive = matches!(statement, Statement::Card(_) | Statement::Acceptance(_) | Statement::Leave);
        let is_stranger = self.standing(&header.org) == Standing::Stranger;
        let is_capped = is_new && is_stranger && !is_stored && !is_decisive;
        if is_capped && self.remembered(&header.org) >= STATEMENTS_PER_STRANGER_MAX {
            return false;
        }
        if let Statement::Card(card) = &statement {
            if is_stored {
                self.stored.push((version, statement));
                return true;
            }
            if !self.take_card(&header.org, (**card).clone()) {
                return false;
            }
        }
        let outside = (!is_stored).then_some(version);
        self.places.insert(at, Place { precedence, statement, invitation_holds: None, outside });
        self.is_stale = true;
        true
    }

    /// Number of statements, the card included, that are remembered of an organisation.
    pub(super) fn remembered(&self, org: &OrgId) -> usize {
        self.records_of(org).count()
    }

    /// Evaluates the standings again if anything was learnt, and tells what changed.
    pub(super) fn evaluate(&mut self) -> Vec<Change> {
        if !self.is_stale {
            return Vec::new();
        }
        self.is_stale = false;
        self.follow_cards();
        self.check_invitations();
        let after = Standings::evaluate(&self.charter, &self.statements());
        let before = std::mem::replace(&mut self.standings, after);
        let mut changes: BTreeMap<OrgId, Change> = BTreeMap::new();
        for (org, was, is) in self.standings.changed_from(&before) {
            changes.insert(org, Change { org, before: was, after: is, entering: Vec::new() });
        }
        for ((org, _), place) in self.places.iter_mut().filter(|(_, place)| place.outside.is_some()) {
            let standing = self.standings.of(org);
            if standing == Standing::Stranger {
                continue;
            }
            if let Some(version) = place.outside.take() {
                let unchanged = || Change { org: *org, before: standing, after: standing, entering: Vec::new() };
                changes.entry(*org).or_insert_with(unchanged).entering.push(version);
            }
        }
        let lost: Vec<OrgId> =
            changes.values().filter(|change| change.after == Standing::Stranger).map(|change| change.org).collect();
        lost.iter().for_each(|org| self.drop_organisation(org));
        self.drop_strangers();
        changes.into_values().collect()
    }

    /// An invitation counts from the moment its inviter's card can bear out its signature. Each is checked once.
    fn check_invitations(&mut self) {
        for place in self.places.values_mut().filter(|place| place.invitation_holds.is_none()) {
            if let Statement::Acceptance(Some(invitation)) = &place.statement
                && let Some(card) = self.cards.get(&invitation.inviter).and_then(Succession::effective)
            {
                place.invitation_holds = Some(invitation.check_signature(&self.charter.network, card).is_ok());
            }
        }
    }

    fn statements(&self) -> Statements {
        let mut statements = Statements::default();
        let withdrawn = self.places.iter().filter(|(_, place)| matches!(place.statement, Statement::Withdrawn));
        let withdrawn: BTreeSet<(OrgId, RecordId)> = withdrawn.map(|(at, _)| *at).collect();
        for ((org, _), place) in &self.places {
            match &place.statement {
                Statement::Acceptance(invitation) => {
                    let invitation = invitation.as_ref().filter(|_| place.invitation_holds == Some(true));
                    let invitation = invitation.map(|invitation| (invitation.inviter, invitation.one_time_key));
                    // A withdrawal does not say of whom it speaks, but it stands where the vouch stood.
                    let vouch = |inviter| (inviter, statement_record_id(&inviter, Kind::VOUCH, Some(org)));
                    let withdrew = |inviter| withdrawn.range((inviter, RecordId::default())..).next();
                    let has_withdrawn = |inviter| withdrew(inviter).is_some_and(|(by, _)| *by == inviter);
                    let is_taken_back = |inviter| has_withdrawn(inviter) && withdrawn.contains(&vouch(inviter));
                    if let Some((inviter, _)) = invitation.filter(|(inviter, _)| is_taken_back(*inviter)) {
                        statements.taken_back.insert((inviter, *org));
                    }
                    statements.acceptances.insert(*org, Accepted { hlc: place.precedence.hlc, invitation });
                }
                Statement::Vouch(subject) => drop(statements.vouches.insert((*org, *subject))),
                Statement::Objection(subject) => drop(statements.objections.insert((*org, *subject))),
                Statement::Leave => drop(statements.leaves.insert(*org, place.precedence.hlc)),
                Statement::Card(_) | Statement::Unknown | Statement::Withdrawn => {}
            }
        }
        statements
    }

    fn drop_organisation(&mut self, org: &OrgId) {
        self.drop_cards(org);
        let records: Vec<RecordId> = self.records_of(org).collect();
        records.into_iter().for_each(|record| drop(self.places.remove(&(*org, record))));
    }

    fn records_of<'a>(&'a self, org: &'a OrgId) -> impl Iterator<Item = RecordId> + 'a {
        let of_org = self.places.range((*org, RecordId::default())..).take_while(move |((owner, _), _)| owner == org);
        of_org.map(|((_, record), _)| *record)
    }

    /// Strangers beyond the limits of number and bytes are forgotten, the highest OrgIds first.
    fn drop_strangers(&mut self) {
        let strangers = self.cards.keys().filter(|org| self.standings.of(org) == Standing::Stranger);
        let (mut bytes, mut surplus) = (0, Vec::new());
        for (number, org) in strangers.enumerate() {
            bytes += self.bytes_outside(org);
            if (number >= STRANGERS_MAX || bytes > STRANGER_BYTES_MAX) && !is_out(Canary::Strangers) {
                surplus.push(*org);
            }
        }
        self.has_dropped |= !surplus.is_empty();
        surplus.iter().for_each(|org| self.drop_organisation(org));
    }

    /// Whether strangers had to be forgotten since this was last asked.
    pub(super) fn take_dropped(&mut self) -> bool {
        std::mem::take(&mut self.has_dropped)
    }

    fn bytes_outside(&self, org: &OrgId) -> usize {
        let places = self.places.range((*org, RecordId::default())..).take_while(|((owner, _), _)| owner == org);
        places.filter_map(|(_, place)| place.outside.as_ref()).map(|version| version.envelope().len()).sum()
    }
}
