//! Organisations without a node that this node carries: their publishing devices are let in, to hand in what they signed.
//!
//! In: codes whose one-time keys were promised it, organisations that used one, an operator who stops. Out: which keys may knock,
//! and for whom. Always: promises and organisations together are at most [`HOSTED_MAX`], so a code that was made finds room;
//! being carried gives nobody the power to sign, and stopping takes no record away.
//! Spec: `spec/14-hosting.md`. Tested: below and in `tests/cluster`.

use std::collections::{BTreeMap, BTreeSet};

use fingerpost_proto::id::OrgId;
use fingerpost_proto::key::PublicKey;
use fingerpost_proto::network::card::OrgCard;
use fingerpost_proto::time::UnixMillis;

use super::limits::HOSTED_MAX;
use super::{Driver, View};
use crate::clock;
use crate::store::{META_VALUE_BYTES_MAX, StoreError};

/// Name of the list of organisations in the store.
const HOSTED: &str = "hosted";
/// Name of the list of one-time keys in the store.
const PROMISED: &str = "hosting-promised";
/// `org(32) since_ms(8)`
const HOSTED_BYTES: usize = 40;
/// One-time key.
const PROMISED_BYTES: usize = 32;

const _: () = assert!(HOSTED_MAX * HOSTED_BYTES <= META_VALUE_BYTES_MAX);

/// Whom a node carries, and whom it has promised to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hosting {
    since: BTreeMap<OrgId, UnixMillis>,
    promised: BTreeSet<PublicKey>,
}

impl Hosting {
    /// Organisations, with since when.
    pub(crate) fn organisations(&self) -> impl Iterator<Item = (&OrgId, UnixMillis)> {
        self.since.iter().map(|(org, since)| (org, *since))
    }

    /// Codes that nobody has used yet.
    pub(crate) fn promised(&self) -> usize {
        self.promised.len()
    }

    /// Whether the invite with this one-time key carries a promise.
    pub(crate) fn promises(&self, one_time_key: &PublicKey) -> bool {
        self.promised.contains(one_time_key)
    }

    /// False when there is no room.
    fn promise(&mut self, one_time_key: PublicKey) -> bool {
        if self.since.len() + self.promised.len() >= HOSTED_MAX {
            return false;
        }
        self.promised.insert(one_time_key)
    }

    /// Makes good on a promise. False when there was none.
    fn carry(&mut self, one_time_key: &PublicKey, org: OrgId, now: UnixMillis) -> bool {
        let was_promised = self.promised.remove(one_time_key);
        if was_promised {
            self.since.entry(org).or_insert(now);
        }
        was_promised
    }

    /// Those among the organisations that let `device` publish now, by their cards.
    fn of_device<'a>(
        &'a self,
        card: impl Fn(&OrgId) -> Option<&'a OrgCard> + 'a,
        device: &'a PublicKey,
    ) -> impl Iterator<Item = OrgId> + 'a {
        self.since
            .keys()
            .filter(move |org| card(org).is_some_and(|card| devices(card).any(|key| key == *device)))
            .copied()
    }

    fn write(&self) -> (Vec<u8>, Vec<u8>) {
        let since = self.since.iter().flat_map(|(org, since)| org.0.into_iter().chain(since.to_be_bytes()));
        (since.collect(), self.promised.iter().flat_map(|key| *key.as_bytes()).collect())
    }

    fn read(since: &[u8], promised: &[u8]) -> Hosting {
        let entry = |entry: &[u8; HOSTED_BYTES]| {
            let since = u64::from_be_bytes(std::array::from_fn(|i| entry[32 + i]));
            (OrgId(std::array::from_fn(|i| entry[i])), since)
        };
        let keys = promised.as_chunks::<PROMISED_BYTES>().0.iter();
        Hosting {
            since: since.as_chunks::<HOSTED_BYTES>().0.iter().map(entry).collect(),
            promised: keys.filter_map(|key| PublicKey::from_bytes(key).ok()).collect(),
        }
    }
}

/// Keys that publish for an organisation now.
fn devices(card: &OrgCard) -> impl Iterator<Item = PublicKey> + '_ {
    card.devices.iter().filter(|device| device.publishes && device.retired_at.is_none()).map(|device| device.key)
}

impl Driver {
    /// Promises to carry whoever uses the invite with this key. Errors: in words; nothing is changed then.
    pub(super) fn promise_hosting(&mut self, one_time_key: PublicKey) -> Result<(), String> {
        let before = self.hosting.clone();
        if !self.hosting.promise(one_time_key) {
            return Err(format!(
                "this node carries, or has promised to carry, {HOSTED_MAX} organisations, which is the limit; stop one first: fingerpost host stop ORG"
            ));
        }
        self.keep_hosting_or(before).map_err(|error| error.to_string())
    }

    /// A one-time key has opened the door for `org`. Errors: the store's; the organisation is not carried then.
    pub(super) fn carry(&mut self, one_time_key: &PublicKey, org: OrgId) -> Result<(), StoreError> {
        let before = self.hosting.clone();
        if !self.hosting.carry(one_time_key, org, clock::now_ms()) {
            return Ok(());
        }
        self.keep_hosting_or(before)?;
        tracing::info!(org = %org.short(), "this node carries the organisation from now on");
        Ok(())
    }

    /// Carries an organisation no longer. False when it did not. Errors: the store's, in words.
    pub(super) fn stop_hosting(&mut self, org: &OrgId) -> Result<bool, String> {
        let before = self.hosting.clone();
        if self.hosting.since.remove(org).is_none() {
            return Ok(false);
        }
        self.keep_hosting_or(before).map_err(|error| error.to_string())?;
        self.refresh_members();
        tracing::info!(org = %org.short(), "the operator stopped carrying the organisation");
        Ok(true)
    }

    /// Forgets promises whose invites are gone.
    pub(super) fn expire_promises(&mut self) {
        let before = self.hosting.clone();
        self.hosting.promised.retain(|key| self.invites.get(key).is_some());
        if self.hosting != before
            && let Err(error) = self.keep_hosting_or(before)
        {
            tracing::error!(%error, "promises that ran out could not be struck off");
        }
    }

    pub(super) fn restore_hosting(&mut self) -> Result<(), StoreError> {
        let named = |name| Ok::<_, StoreError>(self.reader.meta(name)?.unwrap_or_default());
        self.hosting = Hosting::read(&named(HOSTED)?, &named(PROMISED)?);
        Ok(())
    }

    /// Publishing devices of the organisations that are carried.
    pub(super) fn hosted_devices(&self) -> Vec<(PublicKey, OrgId)> {
        let Some(node) = &self.node else { return Vec::new() };
        let cards = self.hosting.since.keys().filter_map(|org| Some((org, node.card(org)?)));
        cards.flat_map(|(org, card)| devices(card).map(|key| (key, *org))).collect()
    }

    /// Keeps the lists, or goes back to how they were.
    fn keep_hosting_or(&mut self, before: Hosting) -> Result<(), StoreError> {
        let (since, promised) = self.hosting.write();
        // The organisation first: one that is on both lists is carried.
        let kept = self.keep(HOSTED, since).and_then(|()| self.keep(PROMISED, promised));
        if kept.is_err() {
            self.hosting = before;
        }
        kept
    }
}

impl View<'_> {
    /// Organisations that this node carries and for which this device publishes now.
    pub(crate) fn hosted_by_device(&self, device: &PublicKey) -> Vec<OrgId> {
        let Some(node) = self.node else { return Vec::new() };
        self.hosting.of_device(|org| node.card(org), device).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn key(number: u16) -> PublicKey {
        let mut seed = [0; 32];
        seed[..2].copy_from_slice(&number.to_be_bytes());
        fingerpost_cli::transport::tls::public_half(&ed25519_dalek::SigningKey::from_bytes(&seed))
    }

    fn org(number: u16) -> OrgId {
        let mut id = [0; 32];
        id[..2].copy_from_slice(&number.to_be_bytes());
        OrgId(id)
    }

    #[test]
    fn the_last_place_at_a_host_is_promised_and_the_next_is_refused() {
        let mut hosting = Hosting::default();
        for number in 0..HOSTED_MAX as u16 {
            assert!(hosting.promise(key(number)));
            if number % 2 == 0 {
                assert!(hosting.carry(&key(number), org(number), 7), "a promise finds room");
            }
        }
        assert!(!hosting.promise(key(HOSTED_MAX as u16)));
        assert!(!hosting.carry(&key(HOSTED_MAX as u16), org(9_999), 7), "who was promised nothing is not carried");
        // An organisation that is carried already gives its second promise back.
        assert!(hosting.carry(&key(1), org(0), 8));
        assert!(hosting.promise(key(HOSTED_MAX as u16)));
    }

    #[test]
    fn the_lists_of_a_host_read_back_and_a_cut_one_loses_its_end_only() {
        let mut hosting = Hosting::default();
        for number in 0..6 {
            assert!(hosting.promise(key(number)));
            assert!(number < 3 || hosting.carry(&key(number), org(number), u64::from(number) * 1_000));
        }
        let (since, promised) = hosting.write();
        assert_eq!(Hosting::read(&since, &promised), hosting);
        let cut = Hosting::read(&since[..since.len() - 1], &promised[..promised.len() - 1]);
        assert_eq!((cut.since.len(), cut.promised.len()), (2, 2));
    }
}
