//! Refused versions and closed links in the log: the first of a minute one by one, the rest counted.
//!
//! In: who sent what was refused, and why. Out: whether to log it by itself, and once a minute a line for each peer.
//! Always: every refusal is either logged or counted in a line; a peer adds at most [`LOGGED_PER_MINUTE_MAX`] lines for
//! each name and one more in a minute; memory does not grow with the number of refusals.
//! Tested: below.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::{Duration, Instant};

use fingerpost_proto::node::Peer;

use super::short;

/// Refusals of one peer and name that are logged one by one in a minute. Enough to see what is wrong.
const LOGGED_PER_MINUTE_MAX: u64 = 5;
/// Peers that are told apart in one minute; the rest are counted together. More than can be connected at a time.
const PEERS_MAX: usize = 256;
/// Length of the minute.
const INTERVAL: Duration = Duration::from_secs(60);

/// Refusals of the current minute.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// When the minute began: at its first refusal.
    since: Option<Instant>,
    peers: HashMap<Peer, Names>,
    others: Names,
}

/// Refusals by name of the error.
type Names = BTreeMap<&'static str, u64>;

/// What one peer sent in a minute beyond what was logged one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Summary {
    /// `None`: several peers together.
    peer: Option<Peer>,
    /// Name of the error and number, most frequent first.
    more: Vec<(&'static str, u64)>,
}

impl Refusals {
    /// Counts a refusal. True: it is among the first and to be logged by itself.
    pub(super) fn note(&mut self, now: Instant, peer: Peer, name: &'static str) -> bool {
        self.since.get_or_insert(now);
        let is_told_apart = self.peers.len() < PEERS_MAX || self.peers.contains_key(&peer);
        let names = if is_told_apart { self.peers.entry(peer).or_default() } else { &mut self.others };
        let count = names.entry(name).or_default();
        *count += 1;
        *count <= LOGGED_PER_MINUTE_MAX
    }

    /// Logs a line for each peer when the minute is over, and begins a new one.
    pub(super) fn log_when_due(&mut self, now: Instant) {
        if self.since.is_some_and(|since| now.duration_since(since) >= INTERVAL) {
            self.log();
        }
    }

    /// Logs what was counted so far, whether the minute is over or not.
    pub(super) fn log(&mut self) {
        for summary in self.take() {
            let peer = summary.peer.as_ref().map(short).unwrap_or_default();
            tracing::warn!(peer, "… and {summary}");
        }
    }

    /// Everything that was counted and not logged; begins a new minute.
    fn take(&mut self) -> Vec<Summary> {
        let Refusals { peers, others, .. } = std::mem::take(self);
        let mut peers: Vec<_> = peers.into_iter().map(|(peer, names)| (Some(peer), names)).collect();
        peers.sort_by_key(|(peer, _)| *peer);
        peers.push((None, others));
        peers.into_iter().filter_map(|(peer, names)| Summary::of(peer, &names)).collect()
    }
}

impl Summary {
    /// `None` when every refusal was logged.
    fn of(peer: Option<Peer>, names: &Names) -> Option<Summary> {
        let unlogged = names.iter().map(|(name, count)| (*name, count.saturating_sub(LOGGED_PER_MINUTE_MAX)));
        let mut more: Vec<_> = unlogged.filter(|(_, count)| *count > 0).collect();
        more.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        (!more.is_empty()).then_some(Summary { peer, more })
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.more.iter().map(|(_, count)| count).sum();
        let from = if self.peer.is_some() { "this peer" } else { "further peers" };
        write!(f, "{} more from {from}:", grouped(total))?;
        for (at, (name, count)) in self.more.iter().enumerate() {
            write!(f, "{} {name} {}", if at == 0 { "" } else { "," }, grouped(*count))?;
        }
        Ok(())
    }
}

/// `1234567` as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;
    use fingerpost_proto::key::PublicKey;

    use super::*;

    fn peer(number: usize) -> Peer {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&number.to_be_bytes());
        let key = SigningKey::from_bytes(&seed).verifying_key().to_bytes();
        PublicKey::from_bytes(&key).expect("a fresh key is not weak")
    }

    fn lines(refusals: &mut Refusals) -> Vec<String> {
        refusals.take().iter().map(Summary::to_string).collect()
    }

    #[test]
    fn the_first_refusals_of_each_peer_and_name_are_logged_and_the_rest_counted() {
        let (now, mut refusals) = (Instant::now(), Refusals::default());
        let mut logged = 0;
        for _ in 0..3_405 {
            logged += u64::from(refusals.note(now, peer(1), "not-a-member"));
        }
        assert_eq!(logged, LOGGED_PER_MINUTE_MAX);
        for _ in 0..17 {
            logged += u64::from(refusals.note(now, peer(1), "bad-signature"));
        }
        assert_eq!(logged, 2 * LOGGED_PER_MINUTE_MAX);
        // Another peer at the limit is logged whole and has no line.
        for _ in 0..LOGGED_PER_MINUTE_MAX {
            assert!(refusals.note(now, peer(2), "not-a-member"));
        }
        assert_eq!(lines(&mut refusals), ["3,412 more from this peer: not-a-member 3,400, bad-signature 12"]);
    }

    #[test]
    fn a_minute_begins_with_its_first_refusal_and_ends_after_a_minute() {
        let (start, mut refusals) = (Instant::now(), Refusals::default());
        refusals.log_when_due(start + 5 * INTERVAL);
        for _ in 0..=LOGGED_PER_MINUTE_MAX {
            refusals.note(start, peer(1), "not-a-member");
        }
        refusals.log_when_due(start + INTERVAL - Duration::from_millis(1));
        assert!(!refusals.note(start + INTERVAL, peer(1), "not-a-member"), "the minute goes on until it is logged");
        refusals.log_when_due(start + INTERVAL);
        assert!(refusals.note(start + INTERVAL, peer(1), "not-a-member"), "a new one has begun");
        assert!(lines(&mut refusals).is_empty());
    }

    #[test]
    fn peers_beyond_the_limit_are_counted_together() {
        let (now, mut refusals) = (Instant::now(), Refusals::default());
        let mut logged = 0;
        for number in 0..PEERS_MAX + 10 {
            logged += u64::from(refusals.note(now, peer(number), "not-a-member"));
        }
        assert_eq!(refusals.peers.len(), PEERS_MAX);
        assert_eq!(logged, PEERS_MAX as u64 + LOGGED_PER_MINUTE_MAX);
        // A peer that is known goes on being counted by itself.
        assert!(refusals.note(now, peer(0), "not-a-member"));
        assert_eq!(lines(&mut refusals), ["5 more from further peers: not-a-member 5"]);
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
