//! Checks signatures on threads of its own, as many as there are cores.
//!
//! In: [`Output::Verify`](fingerpost_proto::node::Output::Verify), and who brought it. Out: `Input::Verified`, to the driver.
//! Always: one rule for all, the strict one in `fingerpost-proto`; what was published here goes first, then batches with
//! redactions, then peers take turns, so that nobody waits for more than one portion of each of the others.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use fingerpost_proto::key::PublicKey;
use fingerpost_proto::kind::Kind;
use fingerpost_proto::node::{Bringer, Input, Unverified, VerifiedVersion};
use fingerpost_proto::version::SignedVersion;

use crate::driver::{Command, DriverHandle};

/// Versions that a thread checks before it looks who is next: some 4 ms.
const PORTION_VERSIONS: usize = 64;

type Checked = Result<VerifiedVersion, Unverified>;

/// Hands batches to the threads. They end when it is dropped.
pub(crate) struct Verifier {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    queues: Mutex<Queues>,
    work: Condvar,
}

/// A part of a batch.
struct Portion {
    ticket: u64,
    bringer: Bringer,
    number: usize,
    versions: Vec<(SignedVersion, PublicKey)>,
}

/// A batch of which not all portions are checked.
struct Open {
    left: usize,
    /// By number of the portion.
    checked: Vec<Vec<Checked>>,
}

/// What waits. Earlier queues go before later ones.
#[derive(Default)]
struct Queues {
    own: Turns,
    urgent: Turns,
    others: Turns,
    open: HashMap<u64, Open>,
    is_over: bool,
}

/// Portions by who brought them. Each has its turn.
#[derive(Default)]
struct Turns {
    waiting: BTreeMap<Bringer, VecDeque<Portion>>,
    order: VecDeque<Bringer>,
}

impl Turns {
    fn push(&mut self, portion: Portion) {
        let waiting = self.waiting.entry(portion.bringer).or_default();
        if waiting.is_empty() {
            self.order.push_back(portion.bringer);
        }
        waiting.push_back(portion);
    }

    fn pop(&mut self) -> Option<Portion> {
        let bringer = self.order.pop_front()?;
        let waiting = self.waiting.get_mut(&bringer)?;
        let portion = waiting.pop_front();
        if waiting.is_empty() {
            self.waiting.remove(&bringer);
        } else {
            self.order.push_back(bringer);
        }
        portion
    }
}

impl Queues {
    fn push(&mut self, ticket: u64, bringer: Bringer, versions: Vec<(SignedVersion, PublicKey)>) {
        let is_urgent = versions.iter().any(|(version, _)| version.header().kind == Kind::REDACTION);
        let turns = match bringer {
            Bringer::Here => &mut self.own,
            _ if is_urgent => &mut self.urgent,
            _ => &mut self.others,
        };
        let mut rest = versions.into_iter();
        let mut number = 0;
        loop {
            let versions: Vec<_> = rest.by_ref().take(PORTION_VERSIONS).collect();
            // A batch of none is answered like any other.
            if versions.is_empty() && number > 0 {
                break;
            }
            turns.push(Portion { ticket, bringer, number, versions });
            number += 1;
        }
        self.open.insert(ticket, Open { left: number, checked: (0..number).map(|_| Vec::new()).collect() });
    }

    fn pop(&mut self) -> Option<Portion> {
        self.own.pop().or_else(|| self.urgent.pop()).or_else(|| self.others.pop())
    }

    /// Notes what came of a portion. Returns the whole batch after its last one.
    fn finish(&mut self, ticket: u64, number: usize, checked: Vec<Checked>) -> Option<Input> {
        let open = self.open.get_mut(&ticket)?;
        open.checked[number] = checked;
        open.left -= 1;
        if open.left > 0 {
            return None;
        }
        let open = self.open.remove(&ticket)?;
        Some(Input::Verified { ticket, versions: open.checked.into_iter().flatten().collect() })
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queues> {
        // Every change is complete before anything that could panic.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for work. `None`: there will be no more.
    fn take(&self) -> Option<Portion> {
        let mut queues = self.lock();
        loop {
            if queues.is_over {
                return None;
            }
            if let Some(portion) = queues.pop() {
                return Some(portion);
            }
            queues = self.work.wait(queues).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Verifier {
    pub(crate) fn start(driver: DriverHandle) -> std::io::Result<Verifier> {
        let verifier = Verifier { shared: Arc::default() };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        for number in 0..threads {
            let (shared, driver) = (Arc::clone(&verifier.shared), driver.clone());
            std::thread::Builder::new().name(format!("verify-{number}")).spawn(move || {
                while let Some(Portion { ticket, bringer, number, versions }) = shared.take() {
                    let check = |(version, key): (SignedVersion, PublicKey)| VerifiedVersion::verify(version, &key);
                    let checked = versions.into_iter().map(check).collect();
                    let finished = shared.lock().finish(ticket, number, checked);
                    let Some(input) = finished else { continue };
                    let command = Command::Verified(input);
                    let sent = match bringer {
                        Bringer::Here => driver.blocking_send_first(command),
                        _ => driver.blocking_send(command),
                    };
                    if sent.is_err() {
                        return;
                    }
                }
            })?;
        }
        Ok(verifier)
    }

    /// Never blocks. What waits is bounded by the peers' permits and the admins' requests.
    pub(crate) fn check(&self, ticket: u64, bringer: Bringer, versions: Vec<(SignedVersion, PublicKey)>) {
        self.shared.lock().push(ticket, bringer, versions);
        self.shared.work.notify_all();
    }
}

impl Drop for Verifier {
    fn drop(&mut self) {
        self.shared.lock().is_over = true;
        self.shared.work.notify_all();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use fingerpost_proto::id::{NetworkId, OrgId, RecordId};
    use fingerpost_proto::kind::Audience;
    use fingerpost_proto::time::{Hlc, UnixHour};
    use fingerpost_proto::version::Header;

    use super::*;
    use crate::driver::tests::{key, public};

    fn batch(kind: Kind, count: usize) -> Vec<(SignedVersion, PublicKey)> {
        let header = Header {
            audience: Audience::Public,
            kind,
            network: NetworkId([1; 32]),
            org: OrgId([1; 32]),
            record: RecordId([1; 16]),
            device: [1; 32],
            hlc: Hlc::new(1_790_000_000_000, 0),
            prev: [0; 8],
            lease_until: UnixHour(0),
        };
        let version = SignedVersion::assemble(&header, b"", &[0; 64]).unwrap();
        vec![(version, public(&key(1))); count]
    }

    fn tickets(queues: &mut Queues) -> Vec<u64> {
        std::iter::from_fn(|| queues.pop()).map(|portion| portion.ticket).collect()
    }

    #[test]
    fn what_is_published_here_goes_first_then_redactions_and_peers_take_turns() {
        let (flooder, other) = (Bringer::Peer(public(&key(1))), Bringer::Peer(public(&key(2))));
        let mut queues = Queues::default();
        queues.push(1, flooder, batch(Kind::SERVICE, 4 * PORTION_VERSIONS));
        queues.push(2, other, batch(Kind::SERVICE, PORTION_VERSIONS + 1));
        queues.push(3, flooder, batch(Kind::SERVICE, 1));
        queues.push(4, other, batch(Kind::REDACTION, 1));
        queues.push(5, Bringer::Here, batch(Kind::SERVICE, 1));
        assert_eq!(tickets(&mut queues), [5, 4, 1, 2, 1, 2, 1, 1, 3]);
        assert!(
            queues.others.waiting.is_empty() && queues.others.order.is_empty(),
            "nothing is kept of who waits no more"
        );
    }

    #[test]
    fn a_batch_is_answered_once_and_in_order_whatever_order_its_portions_end_in() {
        let mut queues = Queues::default();
        let mut versions = batch(Kind::SERVICE, PORTION_VERSIONS);
        versions.extend(batch(Kind::EVENT, 1));
        queues.push(7, Bringer::Nobody, versions);
        let refused = |portion: &Portion| -> Vec<Checked> {
            portion.versions.iter().map(|(version, key)| VerifiedVersion::verify(version.clone(), key)).collect()
        };
        let (first, last) = (queues.pop().unwrap(), queues.pop().unwrap());
        assert!(queues.finish(7, last.number, refused(&last)).is_none());
        let Some(Input::Verified { ticket: 7, versions }) = queues.finish(7, first.number, refused(&first)) else {
            panic!("the batch is not answered");
        };
        let kinds: Vec<Kind> = versions
            .iter()
            .map(|checked| checked.as_ref().map_or_else(|(version, _)| version.header().kind, |v| v.header().kind))
            .collect();
        assert_eq!(
            (kinds.len(), kinds[0], kinds[PORTION_VERSIONS]),
            (PORTION_VERSIONS + 1, Kind::SERVICE, Kind::EVENT)
        );
        assert!(queues.open.is_empty());
        queues.push(8, Bringer::Here, Vec::new());
        let none = queues.pop().unwrap();
        assert!(queues.finish(8, none.number, Vec::new()).is_some(), "a batch of none is answered, too");
    }
}
