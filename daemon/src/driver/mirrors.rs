//! Read-only mirrors that the operator allows to get the public set from this node.
//!
//! In: an admin's word. Out: keys that may connect, and the node's list of mirrors.
//! Always: the list is on stable storage before the first connection; it is this node's own and told to nobody.
//! Spec: `spec/06-link.md`, section 9. Tested: below, `tests/cluster`.

use std::collections::BTreeMap;

use fingerpost_proto::id::OrgId;
use fingerpost_proto::key::PublicKey;
use fingerpost_proto::limits::{MIRRORS_MAX, NAME_BYTES_MAX};
use fingerpost_proto::node::{Input, Node};
use fingerpost_proto::time::UnixMillis;
use fingerpost_proto::v1;
use prost::Message;

use super::{Driver, View, short};
use crate::clock;
use crate::store::{self, StoreError};

/// Name of the list in the store.
const MIRRORS: &str = "mirrors";
/// Bytes under which one is kept: key, label, instant and framing.
const MIRROR_BYTES: usize = 32 + NAME_BYTES_MAX + 10 + 12;

const _: () = assert!(MIRRORS_MAX * MIRROR_BYTES <= store::META_VALUE_BYTES_MAX);

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AllowedMirror {
    /// For people.
    pub(crate) label: String,
    pub(crate) allowed_ms: UnixMillis,
}

/// By node key.
pub(crate) type Mirrors = BTreeMap<PublicKey, AllowedMirror>;

fn write(mirrors: &Mirrors) -> Vec<u8> {
    let state = |(key, mirror): (&PublicKey, &AllowedMirror)| v1::MirrorState {
        node_key: key.as_bytes().to_vec(),
        label: mirror.label.clone(),
        allowed_ms: mirror.allowed_ms,
        linked: false,
    };
    v1::MirrorsReply { mirrors: mirrors.iter().map(state).collect() }.encode_to_vec()
}

fn read(bytes: &[u8]) -> Mirrors {
    let kept = v1::MirrorsReply::decode(bytes).unwrap_or_default().mirrors;
    let mirrors = kept.into_iter().filter_map(|state| {
        let mirror = AllowedMirror { label: state.label, allowed_ms: state.allowed_ms };
        Some((PublicKey::from_bytes(&state.node_key).ok()?, mirror))
    });
    mirrors.take(MIRRORS_MAX).collect()
}

impl Driver {
    /// Allows a mirror. False when it was allowed, under this label. Errors: in words; nothing is changed then.
    pub(super) fn allow_mirror(&mut self, key: PublicKey, label: String) -> Result<bool, String> {
        let node = self.node.as_ref().ok_or("this node has no network yet; there is nothing to mirror")?;
        if node.member_nodes().any(|(listed, ..)| listed == key) {
            return Err("this key is on a member's card: that node gets everything as a member".to_owned());
        }
        if owner_of(node, &self.own_key).is_none() {
            return Err("this node is on no member's card, so mirrors would not take it for a source".to_owned());
        }
        if label.len() > NAME_BYTES_MAX || label.chars().any(char::is_control) {
            return Err(format!("a label is one line of at most {NAME_BYTES_MAX} bytes; this one has {}", label.len()));
        }
        if self.mirrors.get(&key).is_some_and(|mirror| mirror.label == label) {
            return Ok(false);
        }
        if self.mirrors.len() >= MIRRORS_MAX && !self.mirrors.contains_key(&key) {
            return Err(format!(
                "{MIRRORS_MAX} mirrors are allowed at this node, which is the limit; forbid one first"
            ));
        }
        let mut mirrors = self.mirrors.clone();
        let allowed_ms = mirrors.get(&key).map_or_else(clock::now_ms, |mirror| mirror.allowed_ms);
        mirrors.insert(key, AllowedMirror { label, allowed_ms });
        self.change_mirrors(mirrors)?;
        tracing::info!(peer = %short(&key), "an admin allowed a read-only mirror");
        Ok(true)
    }

    /// Takes that back; its link ends at once. False when it was not allowed. Errors: in words; nothing is changed then.
    pub(super) fn forbid_mirror(&mut self, key: &PublicKey) -> Result<bool, String> {
        let mut mirrors = self.mirrors.clone();
        if mirrors.remove(key).is_none() {
            return Ok(false);
        }
        self.change_mirrors(mirrors)?;
        tracing::info!(peer = %short(key), "an admin forbade a read-only mirror");
        Ok(true)
    }

    fn change_mirrors(&mut self, mirrors: Mirrors) -> Result<(), String> {
        self.keep(MIRRORS, write(&mirrors)).map_err(|error| error.to_string())?;
        self.mirrors = mirrors;
        self.tell_mirrors();
        self.refresh_members();
        Ok(())
    }

    /// Reads the list.
    pub(super) fn restore_mirrors(&mut self) -> Result<(), StoreError> {
        self.mirrors = self.reader.meta(MIRRORS)?.map(|bytes| read(&bytes)).unwrap_or_default();
        Ok(())
    }

    /// Gives the node the list, a new node, too.
    pub(super) fn tell_mirrors(&mut self) {
        let mut outputs = Vec::new();
        self.handle(Input::Mirrors { keys: self.mirrors.keys().copied().collect() }, &mut outputs);
        self.perform(outputs);
    }

    /// Keys of mirrors with the organisation whose seats they take: this node's own.
    pub(super) fn mirror_keys(&self) -> Vec<(PublicKey, OrgId)> {
        let own = self.node.as_ref().and_then(|node| owner_of(node, &self.own_key));
        own.map_or_else(Vec::new, |own| self.mirrors.keys().map(|key| (*key, own)).collect())
    }
}

impl View<'_> {
    /// Whose node this is, by members' cards.
    pub(crate) fn own_org(&self) -> Option<OrgId> {
        self.node.and_then(|node| owner_of(node, &self.own_key))
    }
}

fn owner_of(node: &Node, own_key: &PublicKey) -> Option<OrgId> {
    node.member_nodes().find(|(key, ..)| key == own_key).map(|(_, org, _)| org)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::tests::{Rig, key, public};
    use super::*;

    #[test]
    fn mirrors_are_allowed_up_to_the_limit_kept_over_a_restart_and_forbidden_again() {
        let mut rig = Rig::new();
        let keys: Vec<PublicKey> = (1..=MIRRORS_MAX as u8 + 1).map(|n| public(&key(100 + n))).collect();
        for key in &keys[..MIRRORS_MAX] {
            assert_eq!(rig.driver.allow_mirror(*key, "Library".to_owned()), Ok(true));
        }
        assert_eq!(rig.driver.allow_mirror(keys[0], "Library".to_owned()), Ok(false));
        assert_eq!(rig.driver.allow_mirror(keys[0], "Town site".to_owned()), Ok(true));
        let refused = rig.driver.allow_mirror(keys[MIRRORS_MAX], String::new()).unwrap_err();
        assert!(refused.contains(&MIRRORS_MAX.to_string()), "{refused}");
        assert!(rig.driver.allow_mirror(public(&key(3)), String::new()).is_err(), "a member's own node");
        let label = "x".repeat(NAME_BYTES_MAX + 1);
        assert!(rig.driver.allow_mirror(keys[1], label.clone()).is_err());
        assert_eq!(rig.driver.allow_mirror(keys[1], label[1..].to_owned()), Ok(true));
        let before = rig.driver.mirrors.clone();
        rig.driver.mirrors.clear();
        rig.driver.restore_mirrors().unwrap();
        assert_eq!(rig.driver.mirrors, before);
        assert_eq!(rig.driver.admitted.read().unwrap().len(), MIRRORS_MAX);
        assert_eq!(rig.driver.forbid_mirror(&keys[0]), Ok(true));
        assert_eq!(rig.driver.forbid_mirror(&keys[0]), Ok(false));
        assert!(!rig.driver.admitted.read().unwrap().contains_key(&keys[0]));
        assert_eq!(rig.driver.allow_mirror(keys[MIRRORS_MAX], String::new()), Ok(true));
    }

    #[test]
    fn a_damaged_list_allows_nobody() {
        assert!(read(b"\xff\xff").is_empty());
    }
}
