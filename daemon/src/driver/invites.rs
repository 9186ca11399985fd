//! Invites that were registered at this node: whose one-time keys may knock.

use std::collections::BTreeMap;

use fingerpost_proto::id::OrgId;
use fingerpost_proto::key::PublicKey;
use fingerpost_proto::network::invite::Invitation;
use fingerpost_proto::time::UnixMillis;
use fingerpost_proto::v1;
use prost::Message;

/// Open invites at one node. More than any partnership needs at a time.
pub(super) const INVITES_OPEN_MAX: usize = 1_000;
/// Bytes under which all open invites are kept as one named value.
const INVITE_BYTES: usize = 3 + 200;

const _: () = assert!(INVITES_OPEN_MAX * INVITE_BYTES < 256 * 1024);

#[derive(Debug, Default)]
pub(super) struct Invites {
    open: BTreeMap<PublicKey, Invitation>,
}

impl Invites {
    /// One-time keys with the organisation that invites.
    pub(super) fn keys(&self) -> impl Iterator<Item = (PublicKey, OrgId)> + '_ {
        self.open.iter().map(|(key, invitation)| (*key, invitation.inviter))
    }

    /// The invite with this key.
    pub(super) fn get(&self, key: &PublicKey) -> Option<&Invitation> {
        self.open.get(key)
    }

    /// True when there is no room for another.
    pub(super) fn is_full(&self) -> bool {
        self.open.len() >= INVITES_OPEN_MAX
    }

    /// Does nothing when there is no room.
    pub(super) fn add(&mut self, invitation: Invitation) {
        if !self.is_full() {
            self.open.insert(invitation.one_time_key, invitation);
        }
    }

    pub(super) fn remove(&mut self, key: &PublicKey) -> bool {
        self.open.remove(key).is_some()
    }

    /// Forgets those that ran out. True when there were any.
    pub(super) fn expire(&mut self, now: UnixMillis) -> bool {
        let before = self.open.len();
        self.open.retain(|_, invitation| invitation.check_fresh(now).is_ok());
        self.open.len() != before
    }

    /// Length-delimited messages, cut into named values of at most 64 KiB.
    pub(super) fn write(&self) -> Vec<Vec<u8>> {
        let mut parts = vec![Vec::new()];
        for invitation in self.open.values() {
            let bytes = invitation.message().encode_length_delimited_to_vec();
            match parts.last_mut() {
                Some(part) if part.len() + bytes.len() <= crate::store::META_VALUE_BYTES_MAX => part.extend(bytes),
                _ => parts.push(bytes),
            }
        }
        parts
    }

    pub(super) fn read(&mut self, part: &[u8]) {
        let mut rest = part;
        while !rest.is_empty() {
            let Ok(message) = v1::Invitation::decode_length_delimited(&mut rest) else { return };
            if let Ok(invitation) = Invitation::read(&message) {
                self.add(invitation);
            }
        }
    }
}
