//! Networks of real processes: `fingerpostd` on loopback, asked and told through the real `fingerpost`.
//!
//! In: how many nodes. Out: a [`Cluster`] whose nodes have one network, or single [`Node`]s to do other things with.
//! Always: every node has a home of its own with a short path, and ports that stay the same over restarts; dropping a
//! node kills its process, also when a test panics; a panic prints what the daemons logged last.
//! Tested: `tests/cluster`, `tests/faults`.

mod binaries;
mod clock;
mod computer;
mod files;
mod guest;
mod http;
mod node;
mod pages;
mod port;
mod publisher;

pub use binaries::{Binaries, BinariesError, FOLDER_VARIABLE};
pub use computer::Computer;
pub use files::{copy_home, files_holding, restore_folder};
pub use http::{Reply, get, request};
pub use node::{Listen, Node, NodeOptions, Output, SetState, Status};
pub use pages::FEED_PAGES;
pub use publisher::{Acknowledged, Publisher, service};

use std::path::PathBuf;
use std::process::ExitStatus;
use std::thread;
use std::time::{Duration, Instant};

/// Pause between two looks at something that is waited for.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Why a cluster does not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The binaries are not there and cannot be built.
    #[error(transparent)]
    Binaries(#[from] BinariesError),
    /// A file, a process or a socket.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The daemon ended instead of answering.
    #[error("{name}: fingerpostd ended with {status}; it logged:\n{log}")]
    Ended {
        /// Name of the node.
        name: String,
        /// How it ended.
        status: ExitStatus,
        /// Its last lines.
        log: String,
    },
    /// A command of the CLI ended with something else than 0.
    #[error("{name}: fingerpost {arguments} ended with {code}:\n{stderr}")]
    Command {
        /// Name of the node.
        name: String,
        /// What was asked.
        arguments: String,
        /// Exit code; -1 when a signal ended it.
        code: i32,
        /// What it said.
        stderr: String,
    },
    /// An answer without a part that it promises.
    #[error("{name}: {answer} has no {part}")]
    Incomplete {
        /// Name of the node.
        name: String,
        /// Which answer.
        answer: String,
        /// What is missing.
        part: String,
    },
    /// Something did not happen in time.
    #[error("after {waited:?} still waiting for {what}")]
    Timeout {
        /// How long.
        waited: Duration,
        /// For what, and how it stood last.
        what: String,
    },
    /// The node refused what the library path handed in.
    #[error("{name}: {reason}")]
    Refused {
        /// Name of the node.
        name: String,
        /// Why.
        reason: String,
    },
}

impl ClusterError {
    pub(crate) fn system(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> ClusterError {
        let what = what.into();
        move |source| ClusterError::System { what, source }
    }
}

/// Nodes of one network. The first one founded it and invited the others.
pub struct Cluster {
    /// The nodes, in the order of joining.
    pub nodes: Vec<Node>,
}

impl Cluster {
    /// Starts `count` nodes in one network, each an organisation of its own; returns when their sets are equal.
    pub fn found(count: usize) -> Result<Cluster, ClusterError> {
        Cluster::found_with(&vec![NodeOptions::default(); count])
    }

    /// Like [`Cluster::found`], one node for each entry of `options`. The first must be reachable for the others.
    pub fn found_with(options: &[NodeOptions]) -> Result<Cluster, ClusterError> {
        let mut cluster = Cluster { nodes: Vec::with_capacity(options.len()) };
        for (number, options) in options.iter().enumerate() {
            let node = Node::start_with(&format!("Node {number}"), options)?;
            node.ok(&["init", "--name", node.name(), "--yes"])?;
            match cluster.nodes.first() {
                None => drop(node.ok(&[
                    "network",
                    "create",
                    "--name",
                    "Test network",
                    "--purpose",
                    "Finding out whether it works",
                    "--yes",
                ])?),
                Some(founder) => node.join(&founder.invite()?)?,
            }
            cluster.nodes.push(node);
        }
        cluster.wait_until_equal(Duration::from_secs(30))?;
        Ok(cluster)
    }

    /// Waits until all running nodes report the same sets, and returns how long that took.
    ///
    /// Errors: [`ClusterError::Timeout`] with what each of them had last.
    pub fn wait_until_equal(&self, timeout: Duration) -> Result<Duration, ClusterError> {
        let running: Vec<&Node> = self.nodes.iter().filter(|node| node.is_running()).collect();
        wait_until_equal(&running, timeout)
    }
}

/// Waits until these nodes report the same sets: fingerprints and counts. Returns how long that took.
pub fn wait_until_equal(nodes: &[&Node], timeout: Duration) -> Result<Duration, ClusterError> {
    let mut found = Vec::new();
    let look = || {
        found = nodes.iter().map(|node| node.status().map(|status| status.sets)).collect::<Result<Vec<_>, _>>()?;
        Ok(found.windows(2).all(|pair| pair[0] == pair[1]))
    };
    wait_until(timeout, look).map_err(|error| match error {
        ClusterError::Timeout { waited, .. } => {
            let state = |(node, sets): (&&Node, &Vec<SetState>)| format!("\n{}: {sets:?}", node.name());
            let states: String = nodes.iter().zip(&found).map(state).collect();
            ClusterError::Timeout { waited, what: format!("equal sets; last seen:{states}") }
        }
        other => other,
    })
}

/// Asks until the answer is yes, and returns how long that took. Errors: those of `is_done`, or a timeout.
pub fn wait_until(
    timeout: Duration,
    mut is_done: impl FnMut() -> Result<bool, ClusterError>,
) -> Result<Duration, ClusterError> {
    let begin = Instant::now();
    loop {
        if is_done()? {
            return Ok(begin.elapsed());
        }
        if begin.elapsed() >= timeout {
            return Err(ClusterError::Timeout { waited: begin.elapsed(), what: "a condition".to_owned() });
        }
        thread::sleep(POLL_INTERVAL);
    }
}

/// A new folder with a short path, readable by this account alone: unix sockets in it fit their 107 bytes.
pub fn short_folder() -> Result<tempfile::TempDir, ClusterError> {
    let parent = PathBuf::from("/tmp");
    tempfile::Builder::new()
        .prefix("fp-")
        .tempdir_in(&parent)
        .map_err(ClusterError::system("a temporary folder in /tmp"))
}
