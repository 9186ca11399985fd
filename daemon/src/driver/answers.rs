//! What answering a peer may cost: a budget of bytes for each key, whatever links it opens.
//!
//! In: what was read for whom, and when. Out: whether more may be read for it now.
//! Always: who has used up its budget is answered again as it fills; nobody else's budget is touched; memory holds only
//! peers whose budget is not full.
//! Spec: `spec/06-link.md`, section 6. Tested: below and in `driver/tests.rs`.

use std::collections::HashMap;
use std::time::Instant;

use fingerpost_proto::node::Peer;
use fingerpost_proto::set::Slot;

/// Versions to send to a peer.
#[derive(Debug)]
pub(super) struct Answer {
    /// The request; 0: none.
    pub(super) want: u64,
    pub(super) slots: Vec<Slot>,
    /// The peer is told that there is more.
    pub(super) has_more: bool,
}

/// Budgets by peer.
#[derive(Debug)]
pub(super) struct Allowances {
    burst: u64,
    per_second: u64,
    peers: HashMap<Peer, Allowance>,
}

#[derive(Debug)]
struct Allowance {
    /// Below 0 after an answer that was larger than what was left.
    left: i64,
    at: Instant,
}

impl Allowances {
    pub(super) fn new(burst: u64, per_second: u64) -> Allowances {
        Allowances { burst, per_second, peers: HashMap::new() }
    }

    /// True while anything is left. The answer may cost more than that; what is too much is missing for the next.
    pub(super) fn may_answer(&self, now: Instant, peer: &Peer) -> bool {
        self.peers.get(peer).is_none_or(|allowance| self.left(allowance, now) > 0)
    }

    /// Takes what was read for a peer from its budget.
    pub(super) fn charge(&mut self, now: Instant, peer: Peer, bytes: u64) {
        let left = self.peers.get(&peer).map_or(self.burst as i64, |allowance| self.left(allowance, now));
        let left = left.saturating_sub(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.peers.insert(peer, Allowance { left, at: now });
    }

    /// Forgets budgets that are full again.
    pub(super) fn forget_full(&mut self, now: Instant) {
        let mut peers = std::mem::take(&mut self.peers);
        peers.retain(|_, allowance| self.left(allowance, now) < self.burst as i64);
        self.peers = peers;
    }

    fn left(&self, allowance: &Allowance, now: Instant) -> i64 {
        let elapsed_ms = now.saturating_duration_since(allowance.at).as_millis();
        let refilled = elapsed_ms.saturating_mul(u128::from(self.per_second)) / 1_000;
        let refilled = i64::try_from(refilled).unwrap_or(i64::MAX);
        allowance.left.saturating_add(refilled).min(self.burst as i64)
    }

    /// As if enough time had passed for so many bytes.
    #[cfg(test)]
    pub(super) fn refill_for_test(&mut self, peer: Peer, bytes: u64) {
        if let Some(allowance) = self.peers.get_mut(&peer) {
            allowance.left += bytes as i64;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::{key, public};
    use super::*;

    #[test]
    fn a_budget_is_there_to_its_last_byte_and_fills_with_time() {
        let (start, peer, mut allowances) = (Instant::now(), public(&key(1)), Allowances::new(1_000, 100));
        allowances.charge(start, peer, 999);
        assert!(allowances.may_answer(start, &peer));
        allowances.charge(start, peer, 1);
        assert!(!allowances.may_answer(start, &peer));
        assert!(allowances.may_answer(start, &public(&key(2))), "another peer's is its own");
        // An answer that was larger than what was left is made up for.
        allowances.charge(start, peer, 200);
        assert!(!allowances.may_answer(start + Duration::from_secs(2), &peer));
        assert!(allowances.may_answer(start + Duration::from_millis(2_010), &peer));
        allowances.forget_full(start + Duration::from_millis(11_990));
        assert_eq!(allowances.peers.len(), 1);
        allowances.forget_full(start + Duration::from_secs(12));
        assert!(allowances.peers.is_empty());
    }
}
