//! Checks signatures on threads of its own, as many as there are cores.
//!
//! In: [`Output::Verify`](fingerpost_proto::node::Output::Verify). Out: `Input::Verified`, to the driver.
//! Always: one rule for all, the strict one in `fingerpost-proto`; batches are only handed out in parallel.

use std::sync::{Arc, Mutex, PoisonError, mpsc};

use fingerpost_proto::key::PublicKey;
use fingerpost_proto::node::Input;
use fingerpost_proto::version::SignedVersion;

use crate::driver::{Command, DriverHandle};

type Job = (u64, Vec<(SignedVersion, PublicKey)>);

/// Hands batches to the threads. They end when it is dropped.
pub(crate) struct Verifier {
    jobs: mpsc::Sender<Job>,
}

impl Verifier {
    pub(crate) fn start(driver: DriverHandle) -> std::io::Result<Verifier> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        for number in 0..threads {
            let (queue, driver) = (Arc::clone(&queue), driver.clone());
            std::thread::Builder::new().name(format!("verify-{number}")).spawn(move || {
                loop {
                    let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((ticket, versions)) = job else { return };
                    if driver.blocking_send(Command::Verified(Input::verified(ticket, versions))).is_err() {
                        return;
                    }
                }
            })?;
        }
        Ok(Verifier { jobs })
    }

    /// Never blocks. What waits is bounded by the peers' permits and the admins' requests.
    pub(crate) fn check(&self, ticket: u64, versions: Vec<(SignedVersion, PublicKey)>) {
        // The threads live as long as this sender; a failure means the process is ending.
        let _ = self.jobs.send((ticket, versions));
    }
}
