//! Building the node from its store, entering a network, registering invites.

use std::ops::ControlFlow;

use fingerpost_proto::id::OrgId;
use fingerpost_proto::key::PublicKey;
use fingerpost_proto::kind::{Audience, Class};
use fingerpost_proto::network::charter::{Charter, CharterError};
use fingerpost_proto::network::invite::Invitation;
use fingerpost_proto::node::{Input, Node, Outcome, Output, Peer};
use fingerpost_proto::set::{SetKey, Slot};
use fingerpost_proto::v1;
use fingerpost_proto::version::SignedVersion;
use prost::Message;

use super::{Driver, View, cursors};
use crate::catalogue::Removal;
use crate::clock;
use crate::store::StoreError;

/// Name of the charter in the store.
const CHARTER: &str = "charter";
/// Name of the versions with which this node's organisation entered the network.
const ENTRY: &str = "entry";
/// Name of the inviter's node key and addresses, separated by spaces.
const INVITER: &str = "inviter";
/// Names of the open invites begin so.
const INVITES: &str = "invites-";
/// Name of the places in peers' arrival logs.
pub(super) const CURSORS: &str = "cursors";
/// Name under which it is noted that an organisation's records are still to be audited.
pub(super) fn unaudited(org: &OrgId) -> String {
    format!("unaudited-{org}")
}

/// Named values that may hold invites.
const INVITE_PARTS_MAX: usize = 4;

/// The store's content does not make a node.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RestoreError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The kept charter cannot be used.
    #[error("the charter in the store cannot be used: {0}")]
    Charter(#[from] CharterError),
}

impl Driver {
    /// Builds the node anew from what the store has. Without a charter there is no node yet.
    ///
    /// With the `index` of a clean stop only cards and statements are read from the store, which are its first rows.
    pub(super) fn restore(&mut self, index: Option<Vec<u8>>) -> Result<(), RestoreError> {
        self.catalogue.clear();
        self.restore_blocked()?;
        self.restore_hosting()?;
        self.restore_mirrors()?;
        for part in 0..INVITE_PARTS_MAX {
            if let Some(part) = self.reader.meta(&format!("{INVITES}{part}"))? {
                self.invites.read(&part);
            }
        }
        let Some(charter) = self.reader.meta(CHARTER)? else { return Ok(()) };
        // Answers to the old node's requests must not be taken for answers to the new one's.
        self.seed = self.seed.wrapping_add(1 << 32);
        let mut node = self.new_node(Charter::read(&charter)?);
        let mut damaged = Vec::new();
        let (reader, catalogue) = (self.reader.clone(), self.catalogue.clone());
        catalogue.reserve(self.store.usage()?.rows as usize);
        let mut looked_up = None;
        let is_indexed = index.is_some_and(|bytes| super::index::read(&bytes, &mut node, &catalogue).is_some());
        reader.rows(&mut |slot, row| {
            if is_indexed && slot.key.is_content() {
                return ControlFlow::Break(());
            }
            match row {
                Ok(row) => {
                    let lapsed = row.lapsed;
                    if let Some(removal) = Removal::read(&row.envelope) {
                        catalogue.put_removal(slot, row.kind, &removal);
                    } else if let Ok(version) = SignedVersion::read(row.envelope) {
                        let org = version.header().org;
                        if slot.key.class() == Class::Record && looked_up.replace(org) != Some(org) {
                            match reader.meta(&unaudited(&org)) {
                                Ok(None) => {}
                                // Checking once more than needed harms nothing.
                                Ok(Some(_)) | Err(_) => {
                                    node.restore_vouched(org);
                                    catalogue.hold_back(&org);
                                }
                            }
                        }
                        catalogue.put(slot, &version, lapsed);
                        node.restore(version, lapsed);
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "a row is damaged");
                    damaged.push(slot);
                }
            }
            ControlFlow::Continue(())
        })?;
        // Without them sets are compared, which costs more and finds the same.
        let places = self.reader.meta(CURSORS)?.map(|places| cursors::read(&places)).unwrap_or_default();
        places.into_iter().for_each(|(peer, audience, place)| node.restore_cursor(peer, audience, place));
        if is_indexed {
            self.restore_upkeep(&mut node, &mut damaged);
        }
        node.sign_heads(self.incarnation.number);
        node.start_by_heads();
        if self.incarnation.is_copy {
            node.wait_for_peers();
        }
        let outputs = node.restored();
        node.set_read_only(self.read_only.clone());
        self.node = Some(node);
        self.refresh_members();
        self.perform(outputs);
        self.introduce();
        if let Some(entry) = self.reader.meta(ENTRY)? {
            // Until the first sync told who vouches for us, our own card and acceptance wait outside the set, in memory.
            let envelopes = v1::Versions::decode(entry.as_slice()).map(|entry| entry.envelopes).unwrap_or_default();
            let mut outputs = Vec::new();
            self.handle(Input::Published { ticket: 0, envelopes }, &mut outputs);
            self.perform(outputs);
        }
        Ok(())
    }

    /// Of upkeep the node wants more than the index has: what it says.
    fn restore_upkeep(&self, node: &mut Node, damaged: &mut Vec<Slot>) {
        let first = SetKey::first_of(Class::Upkeep, &OrgId([0; 32]));
        for audience in Audience::ALL {
            let keys = node.set(audience).range(&first, None).map(|(key, _)| key);
            let slots: Vec<Slot> =
                keys.take_while(|key| key.class() == Class::Upkeep).map(|key| Slot { audience, key }).collect();
            for slot in slots {
                match self.reader.get(&slot) {
                    Ok(Some(row)) => {
                        let lapsed = row.lapsed;
                        if let Ok(version) = SignedVersion::read(row.envelope) {
                            node.restore(version, lapsed);
                        }
                    }
                    Ok(None) => {}
                    Err(error) => {
                        tracing::error!(%error, "a row is damaged");
                        damaged.push(slot);
                    }
                }
            }
        }
    }

    fn new_node(&self, charter: Charter) -> Node {
        let of = if self.is_mirror { Node::new_mirror } else { Node::new };
        of(charter, self.own_key, self.seed)
    }

    /// Tells a new node whom it is to be linked to besides members, and which mirrors are allowed.
    fn introduce(&mut self) {
        self.tell_mirrors();
        let mut outputs = Vec::new();
        for peer in self.introduced.clone() {
            self.handle(Input::Introduced { peer }, &mut outputs);
        }
        self.perform(outputs);
    }

    /// Enters a network. Errors say why not; nothing is changed then.
    pub(super) fn found(
        &mut self,
        charter: &[u8],
        envelopes: Vec<Vec<u8>>,
        inviter: Option<(Peer, Vec<String>)>,
    ) -> Result<(), String> {
        let read = Charter::read(charter).map_err(|error| error.to_string())?;
        if let Some(node) = &self.node {
            let network = node.network();
            if network != read.network {
                return Err(format!("this node is in network {network} already; one node serves one network"));
            }
        } else {
            let mut node = self.new_node(read);
            node.sign_heads(self.incarnation.number);
            node.start_by_heads();
            self.keep(CHARTER, charter.to_vec()).map_err(|error| error.to_string())?;
            self.node = Some(node);
            self.introduce();
            self.refresh_members();
        }
        if let Some((key, addresses)) = inviter {
            let line = [vec![key.to_string()], addresses].concat().join(" ");
            self.keep(INVITER, line.into_bytes()).map_err(|error| error.to_string())?;
        }
        let entry = v1::Versions { envelopes: envelopes.clone(), ..Default::default() }.encode_to_vec();
        self.keep(ENTRY, entry).map_err(|error| error.to_string())?;
        let mut outputs = Vec::new();
        self.handle(Input::Published { ticket: 0, envelopes }, &mut outputs);
        let mut refusal = None;
        for output in &outputs {
            if let Output::Published { outcomes, .. } = output {
                refusal = outcomes.iter().find_map(unacceptable);
            }
        }
        self.perform(outputs);
        self.refresh_members();
        refusal.map_or(Ok(()), Err)
    }

    pub(super) fn register_invite(&mut self, message: &v1::Invitation, carries: bool) -> Result<(), String> {
        let invitation = Invitation::read(message).map_err(|error| error.to_string())?;
        let node = self.node.as_ref().ok_or("this node has no network yet; create or join one first")?;
        invitation.check_fresh(clock::now_ms()).map_err(|error| error.to_string())?;
        let card = node.card(&invitation.inviter).ok_or("the inviting organisation is not known to this node")?;
        invitation.check_signature(&node.network(), card).map_err(|error| error.to_string())?;
        if self.invites.is_full() {
            return Err(format!(
                "{} invites are open at this node; wait until some are used or run out",
                super::invites::INVITES_OPEN_MAX
            ));
        }
        // The promise first: a code without it would let an organisation in and then turn its devices away.
        if carries {
            self.promise_hosting(invitation.one_time_key)?;
        }
        self.invites.add(invitation);
        self.keep_invites().map_err(|error| error.to_string())?;
        self.refresh_members();
        Ok(())
    }

    /// The one-time key has let `org` in. Errors: in words, when it could not be remembered that the organisation is carried; the
    /// key stays open then.
    pub(super) fn use_invite(&mut self, key: &PublicKey, org: OrgId) -> Result<(), String> {
        self.carry(key, org).map_err(|error| error.to_string())?;
        if self.invites.remove(key)
            && let Err(error) = self.keep_invites()
        {
            tracing::error!(%error, "a used invite could not be struck off");
        }
        self.refresh_members();
        Ok(())
    }

    /// An invite was used: its key opens nothing any more.
    pub(super) fn keep_invites(&mut self) -> Result<(), StoreError> {
        let mut parts = self.invites.write();
        parts.resize(INVITE_PARTS_MAX, Vec::new());
        for (number, part) in parts.into_iter().enumerate() {
            self.keep(&format!("{INVITES}{number}"), part)?;
        }
        Ok(())
    }
}

impl View<'_> {
    /// The inviter's node, while this node knows nobody else of its network: it stopped after it had joined, before the
    /// members' cards were on stable storage. Without the inviter it would never find, nor let in, anybody again.
    pub(crate) fn inviter_to_dial(&self, own_key: &PublicKey) -> Option<(Peer, Vec<String>)> {
        if self.node?.member_nodes().any(|(key, ..)| key != *own_key) {
            return None;
        }
        let line = String::from_utf8(self.store.reader().meta(INVITER).ok()??).ok()?;
        let mut words = line.split(' ').map(str::to_owned);
        Some((words.next()?.parse().ok()?, words.collect()))
    }
}

/// Being outside the set is no fault while the network's members are not known yet.
fn unacceptable(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Rejected(why) if why.name() != "not-a-member" => Some(why.to_string()),
        _ => None,
    }
}
