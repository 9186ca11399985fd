//! Checks signatures on threads of its own, as many as there are cores.
//!
//! In: [`Output::Verify`](fingerpost_proto::node::Output::Verify). Out: `Input::Verified`, to the driver.
//! Always: one rule for all, the strict one in `fingerpost-proto`; batches are only handed out in parallel, those with redactions first.

use std::sync::{Arc, Mutex, PoisonError, mpsc};

use fingerpost_proto::key::PublicKey;
use fingerpost_proto::kind::Kind;
use fingerpost_proto::node::Input;
use fingerpost_proto::version::SignedVersion;

use crate::driver::{Command, DriverHandle};

type Job = (u64, Vec<(SignedVersion, PublicKey)>);

/// Hands batches to the threads. They end when it is dropped.
pub(crate) struct Verifier {
    /// `None`: look into the other queue.
    jobs: mpsc::Sender<Option<Job>>,
    /// Goes before whatever waits in `jobs`.
    urgent: mpsc::Sender<Job>,
}

/// The receiving ends.
struct Queues {
    jobs: mpsc::Receiver<Option<Job>>,
    urgent: mpsc::Receiver<Job>,
}

impl Queues {
    /// Waits for work: urgent batches, then the one that is next. `None`: there will be no more.
    fn take(&self) -> Option<Vec<Job>> {
        let next = self.jobs.recv().ok()?;
        Some(self.urgent.try_iter().chain(next).collect())
    }
}

impl Verifier {
    pub(crate) fn start(driver: DriverHandle) -> std::io::Result<Verifier> {
        let ((jobs, waiting), (urgent, waiting_urgently)) = (mpsc::channel(), mpsc::channel());
        let queues = Arc::new(Mutex::new(Queues { jobs: waiting, urgent: waiting_urgently }));
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        for number in 0..threads {
            let (queues, driver) = (Arc::clone(&queues), driver.clone());
            std::thread::Builder::new().name(format!("verify-{number}")).spawn(move || {
                loop {
                    let taken = queues.lock().unwrap_or_else(PoisonError::into_inner).take();
                    let Some(taken) = taken else { return };
                    for (ticket, versions) in taken {
                        if driver.blocking_send(Command::Verified(Input::verified(ticket, versions))).is_err() {
                            return;
                        }
                    }
                }
            })?;
        }
        Ok(Verifier { jobs, urgent })
    }

    /// Never blocks. What waits is bounded by the peers' permits and the admins' requests.
    pub(crate) fn check(&self, ticket: u64, versions: Vec<(SignedVersion, PublicKey)>) {
        // The threads live as long as this sender; a failure means the process is ending.
        if versions.iter().any(|(version, _)| version.header().kind == Kind::REDACTION) {
            let _ = self.urgent.send((ticket, versions));
            let _ = self.jobs.send(None);
        } else {
            let _ = self.jobs.send(Some((ticket, versions)));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_urgent_batch_is_taken_before_those_that_wait_and_none_is_lost() {
        let ((jobs, waiting), (urgent, waiting_urgently)) = (mpsc::channel(), mpsc::channel());
        let queues = Queues { jobs: waiting, urgent: waiting_urgently };
        for ticket in 1..=2 {
            jobs.send(Some((ticket, Vec::new()))).unwrap();
        }
        urgent.send((3, Vec::new())).unwrap();
        jobs.send(None).unwrap();
        drop(jobs);
        let taken = std::iter::from_fn(|| queues.take()).flatten().map(|(ticket, _)| ticket);
        assert_eq!(taken.collect::<Vec<u64>>(), [3, 1, 2]);
    }
}
