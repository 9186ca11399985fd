//! Real directories become organisations that publish through the command line, each with keys of its own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use fingerpost_tests::cluster::{Cluster, Node};
use serde_json::Value;

/// Commands that run at the same time.
const COMMANDS_AT_ONCE: usize = 3;

/// One organisation that publishes one file.
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) file: PathBuf,
    /// More arguments of `import`.
    pub(crate) arguments: &'static [&'static str],
}

/// A row that became no record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rejected {
    pub(crate) file: String,
    pub(crate) row: u64,
    /// Empty when the whole row is meant.
    pub(crate) column: String,
    pub(crate) reason: String,
}

/// What became of the rows of some files.
#[derive(Debug, Default)]
pub(crate) struct Imported {
    pub(crate) publishers: u64,
    pub(crate) rows_read: u64,
    pub(crate) published: u64,
    /// Rows, not reasons: one row may have several.
    pub(crate) rows_rejected: u64,
    pub(crate) reasons: Vec<Rejected>,
}

impl Imported {
    fn add(&mut self, other: Imported) {
        self.publishers += other.publishers;
        self.rows_read += other.rows_read;
        self.published += other.published;
        self.rows_rejected += other.rows_rejected;
        self.reasons.extend(other.reasons);
    }

    /// Rows that some reason names.
    pub(crate) fn rows_named(&self) -> u64 {
        let rows: BTreeSet<_> = self.reasons.iter().map(|reason| (&reason.file, reason.row)).collect();
        rows.len() as u64
    }
}

/// Makes an organisation for each source, lets it join as hosted on one of the nodes in turn, and imports its file.
pub(crate) fn publish_all(cluster: &Cluster, sources: &[Source]) -> Imported {
    let share = sources.len().div_ceil(cluster.nodes.len());
    let invites: Vec<Vec<String>> = cluster.nodes.iter().map(|node| invites(node, share)).collect();
    let (next, imported) = (AtomicUsize::new(0), Mutex::new(Imported::default()));
    thread::scope(|scope| {
        for _ in 0..COMMANDS_AT_ONCE {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(source) = sources.get(number) else { return };
                    let at = number % cluster.nodes.len();
                    let done = publish(&cluster.nodes[at], &invites[at][number / cluster.nodes.len()], source);
                    imported.lock().unwrap().add(done);
                }
            });
        }
    });
    imported.into_inner().unwrap()
}

/// One-time invites, each for one organisation.
fn invites(node: &Node, count: usize) -> Vec<String> {
    let made = node.json(&["invite", "--count", &count.to_string()]).unwrap();
    made["invites"].as_array().unwrap().iter().map(|invite| invite["code"].as_str().unwrap().to_owned()).collect()
}

fn publish(at: &Node, invite: &str, source: &Source) -> Imported {
    let admin = Node::admin_only(&source.name).unwrap();
    let socket = at.socket().display().to_string();
    admin.ok(&["init", "--name", &source.name, "--hosted", "--yes"]).unwrap();
    admin.ok(&["join", invite, "--node", &socket, "--wait", "0", "--yes"]).unwrap();
    let file = source.file.display().to_string();
    let arguments = [&["import", &file, "--node", &socket, "-o", "json"], source.arguments].concat();
    let output = admin.cli(&arguments).unwrap();
    // 1 says that some rows were rejected; they are named in the report.
    assert!(matches!(output.code, 0 | 1), "{}: exit code {}: {}", source.name, output.code, output.stderr);
    imported(&source.file, &output.json())
}

fn imported(file: &Path, report: &Value) -> Imported {
    let number = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("no count in {report:#}"));
    let list = |value: &Value| value.as_array().cloned().unwrap_or_else(|| panic!("no list in {report:#}"));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let file_name = file.file_name().unwrap().to_string_lossy().into_owned();
    let files = &report["files"];
    assert_eq!(number(&files["problems_more"]), 0, "{file_name}: some problems were only counted");
    let mut reasons = Vec::new();
    for problem in list(&files["problems"]).iter().filter(|problem| problem["severity"] == "error") {
        let (row, column) = (number(&problem["row"]), text(&problem["column"]));
        reasons.push(Rejected { file: file_name.clone(), row, column, reason: text(&problem["reason"]) });
    }
    // What was found when signing names its place in words: "FILE, row N, column C".
    let (unsigned, refused) = (list(&report["problems"]), list(&report["rejected"]));
    for problem in unsigned.iter().chain(&refused) {
        let place = text(&problem["place"]);
        let at = place.rsplit_once(", row ").map_or("", |(_, at)| at);
        let (row, column) = at.split_once(", column ").unwrap_or((at, ""));
        let row = row.parse().unwrap_or_else(|_| panic!("no row in {problem:#}"));
        let (column, reason) = (column.to_owned(), text(&problem["reason"]));
        reasons.push(Rejected { file: file_name.clone(), row, column, reason });
    }
    for list_name in ["superseded", "concurrent"] {
        assert_eq!(list(&report[list_name]).len(), 0, "{file_name}: {list_name}: {report:#}");
    }
    let others = ["changed", "confirmed", "withdrawn", "unchanged", "unanswered"].map(|name| number(&report[name]));
    assert_eq!(others, [0; 5], "{file_name}: everything is new in a fresh network: {report:#}");
    Imported {
        publishers: 1,
        rows_read: number(&files["rows_read"]),
        published: number(&report["new"]),
        rows_rejected: number(&files["rows_rejected"]) + (unsigned.len() + refused.len()) as u64,
        reasons,
    }
}
