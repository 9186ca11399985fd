//! What the tests of the overlay share, and both machines together in a small network.

use std::sync::{Mutex, PoisonError};

use ed25519_dalek::SigningKey;

use crate::id::OrgId;
use crate::key::PublicKey;
use crate::node::Peer;

/// A node key for every number. Kept, for making them takes longer than most tests.
pub(super) fn peer(number: u32) -> Peer {
    static KEYS: Mutex<Vec<Peer>> = Mutex::new(Vec::new());
    let mut keys = KEYS.lock().unwrap_or_else(PoisonError::into_inner);
    for next in keys.len() as u32..=number {
        let mut seed = [7; 32];
        seed[..4].copy_from_slice(&next.to_be_bytes());
        let key = SigningKey::from_bytes(&seed).verifying_key();
        keys.push(PublicKey::from_bytes(key.as_bytes()).expect("a key made from a seed is fit"));
    }
    keys[number as usize]
}

/// An organisation for every number.
pub(super) fn org(number: u32) -> OrgId {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    OrgId(bytes)
}
