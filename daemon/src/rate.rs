//! How often something may be done in somebody's name: so many times at once, and then at a steady pace.
//!
//! In: who, and when. Out: yes, or how long to wait. Always: the table holds only those who were counted lately, and never more than
//! its limit; whoever comes when it is full shares one account with all others who do.
//! Tested: below.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// Between two searches of a full table for those who need not be remembered any more.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// So many at once, and one more each time that so long has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// At once. At least 1.
    pub burst: u32,
    /// In which one more may be done.
    pub interval: Duration,
}

impl Rate {
    /// So many at once, and so many a second in the long run. Both at least 1.
    pub const fn new(burst: u32, per_second: u32) -> Rate {
        Rate { burst, interval: Duration::from_nanos(1_000_000_000 / per_second as u64) }
    }
}

/// Accounts of those who were counted lately.
#[derive(Debug)]
pub(crate) struct Rates<K> {
    rate: Rate,
    accounts_max: usize,
    /// When all that was done is paid back.
    paid_at: HashMap<K, Instant>,
    /// The same for those who found no room in the table.
    others_paid_at: Option<Instant>,
    swept_at: Option<Instant>,
}

impl<K: Eq + Hash> Rates<K> {
    pub(crate) fn new(rate: Rate, accounts_max: usize) -> Rates<K> {
        Rates { rate, accounts_max, paid_at: HashMap::new(), others_paid_at: None, swept_at: None }
    }

    /// Counts one for this key. Errors: it had too many; in so long it may have one more. That attempt is not counted.
    pub(crate) fn count(&mut self, now: Instant, key: K) -> Result<(), Duration> {
        let is_full = self.paid_at.len() >= self.accounts_max && !self.paid_at.contains_key(&key);
        if is_full && self.swept_at.is_none_or(|at| now.saturating_duration_since(at) >= SWEEP_INTERVAL) {
            self.swept_at = Some(now);
            self.paid_at.retain(|_, paid_at| *paid_at > now);
        }
        let has_room = self.paid_at.len() < self.accounts_max || self.paid_at.contains_key(&key);
        let paid_at = match has_room {
            true => self.paid_at.entry(key).or_insert(now),
            false => self.others_paid_at.get_or_insert(now),
        };
        let interval = self.rate.interval;
        let next = (*paid_at).max(now) + interval;
        let latest = now + interval * self.rate.burst.max(1);
        if next > latest {
            return Err(next - latest);
        }
        *paid_at = next;
        Ok(())
    }

    /// Accounts that are kept.
    #[cfg(test)]
    pub(crate) fn accounts(&self) -> usize {
        self.paid_at.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate::new(5, 2);

    fn counted(rates: &mut Rates<u32>, now: Instant, key: u32) -> usize {
        std::iter::from_fn(|| rates.count(now, key).ok()).count()
    }

    #[test]
    fn as_many_as_the_burst_are_taken_at_once_and_then_so_many_a_second() {
        let (start, mut rates) = (Instant::now(), Rates::new(RATE, 10));
        assert_eq!(counted(&mut rates, start, 1), 5);
        assert_eq!(rates.count(start, 1), Err(Duration::from_millis(500)));
        assert_eq!(counted(&mut rates, start + Duration::from_millis(499), 1), 0);
        assert_eq!(counted(&mut rates, start + Duration::from_secs(1), 1), 2);
        assert_eq!(counted(&mut rates, start + Duration::from_secs(1), 2), 5, "another's account is its own");
        assert_eq!(counted(&mut rates, start + Duration::from_secs(100), 1), 5, "no more than at first");
    }

    #[test]
    fn the_table_keeps_to_its_limit_and_who_finds_no_room_shares_one_account() {
        let (start, mut rates) = (Instant::now(), Rates::new(RATE, 3));
        for key in 0..3 {
            assert!(rates.count(start, key).is_ok());
        }
        let taken = (3..100).filter(|key| rates.count(start, *key).is_ok()).count();
        assert_eq!((taken, rates.accounts()), (5, 3));
        assert!(rates.count(start, 2).is_ok(), "who is known keeps the own account");
        // Paid back: there is room again.
        let later = start + Duration::from_secs(10);
        assert_eq!(counted(&mut rates, later, 200), 5);
        assert_eq!(rates.accounts(), 1);
    }
}
