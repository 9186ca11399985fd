//! Case `import`: how fast does a spreadsheet become acknowledged records, and what is that beside the bare work?
//!
//! 1. `fingerpost import` in a process of its own against a real node: reads the file, checks it, signs, sends, waits until
//!    everything is on stable storage.
//! 2. The same plan through the command line's publishing code in this process: signing, sending, acknowledgement only.
//! 3. A loop that only signs the same versions and commits them durably to a store of the same kind, in the same batches.
//! 4. Signing alone.
//!
//! Each of 1 and 2 gets a fresh node, so that neither finds the records of the other.

use std::fs;
use std::path::Path;
use std::time::Instant;

use fingerpost_cli::import::{self, DraftBody, ImportContext};
use fingerpost_cli::keys::Signer;
use fingerpost_cli::publish::{Change, Draft, ENVELOPES_PER_REQUEST_MAX, REQUEST_BYTES_MAX};
use fingerpost_daemon::store::{DiskOptions, Durability, Operation, SledStore, Store};
use fingerpost_proto::record::Body;
use fingerpost_proto::set::Slot;
use fingerpost_proto::version::{SignedVersion, VersionError};
use fingerpost_tests::cluster::{Cluster, Node};

use crate::Failure;
use crate::figure::Figure;
use crate::publisher::Publisher;

const CASE: &str = "import";
/// Services in the spreadsheet.
const SERVICES: usize = 20_000;

/// Runs the case. `count` replaces the number of services.
pub(crate) fn run(count: Option<usize>) -> Result<Vec<Figure>, Failure> {
    let services = count.unwrap_or(SERVICES);
    let folder = tempfile::tempdir()?;
    let sheet = folder.path().join("services.csv");
    write_spreadsheet(&sheet, services)?;

    let (command_seconds, node_kib) = by_command(&sheet, services)?;
    let published = by_publishing_code(&sheet)?;
    let (loop_seconds, envelope_bytes) = by_loop(&published.signer, &published.changes, folder.path())?;
    let start = Instant::now();
    for change in &published.changes {
        sign(&published.signer, change)?;
    }
    let signing_seconds = start.elapsed().as_secs_f64();

    // The organisation's own record is one more.
    let versions = published.changes.len() as f64;
    let rate = |seconds: f64| versions / seconds;
    let (bare, signed) = ("sign and store only", "sign only");
    let figure = |measure: &str, unit, ours| Figure::new(CASE, measure, unit, ours);
    Ok(vec![
        figure("fingerpost import, whole command", "records/s", rate(command_seconds))
            .beside(bare, rate(loop_seconds))
            .beside(signed, rate(signing_seconds)),
        figure("publishing: sign, send, acknowledged", "records/s", rate(published.seconds))
            .beside(bare, rate(loop_seconds))
            .beside(signed, rate(signing_seconds)),
        figure("whole command, share of the bare rate", "ratio", loop_seconds / command_seconds),
        figure("publishing, share of the bare rate", "ratio", loop_seconds / published.seconds),
        figure("reading and checking the file", "records/s", rate(published.reading_seconds)),
        figure("envelope, mean", "bytes", envelope_bytes as f64 / versions),
        figure("node, greatest resident memory", "MiB", node_kib as f64 / 1_024.0),
    ])
}

/// Services of about 1 KB each, and the organisation that provides them.
fn write_spreadsheet(path: &Path, services: usize) -> Result<(), csv::Error> {
    const COLUMNS: [&str; 12] = [
        "kind",
        "id",
        "name",
        "organisation",
        "description",
        "url",
        "email",
        "phone",
        "monday",
        "tuesday",
        "eligibility",
        "fees",
    ];
    let sentence = "Volunteers listen, explain letters, help with forms and phone calls and know who else can help. ";
    let mut sheet = csv::Writer::from_path(path)?;
    sheet.write_record(COLUMNS)?;
    let mut forum = [""; COLUMNS.len()];
    (forum[0], forum[1], forum[2], forum[4]) = ("organisation", "forum", "Measured Forum", sentence);
    sheet.write_record(forum)?;
    for number in 0..services {
        sheet.write_record([
            "service",
            &format!("advice-{number}"),
            &format!("Advice drop-in {number}"),
            "forum",
            &format!("{}Room {number}.", sentence.repeat(5)),
            &format!("https://forum.example/{number}"),
            &format!("advice{number}@forum.example"),
            &format!("020 7946 0{:03}", number % 1_000),
            "09:30-12:30",
            "10:00-13:00, 14:00-16:30",
            "Anyone who seeks refuge",
            "Free of charge",
        ])?;
    }
    sheet.flush().map_err(csv::Error::from)
}

/// Returns seconds and the node's greatest resident memory in KiB.
fn by_command(sheet: &Path, services: usize) -> Result<(f64, u64), Failure> {
    let cluster = Cluster::found(1)?;
    let node = &cluster.nodes[0];
    let start = Instant::now();
    let report = node.json(&["import", &sheet.display().to_string()])?;
    let seconds = start.elapsed().as_secs_f64();
    if report["new"] != services + 1 {
        return Err(format!("{} of {} records were published", report["new"], services + 1).into());
    }
    Ok((seconds, memory_kib_max(node)?))
}

/// Greatest resident memory of a node's process so far, in KiB.
fn memory_kib_max(node: &Node) -> Result<u64, Failure> {
    let process = node.process_id().ok_or("the node does not run")?;
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")).and_then(|digits| digits.trim().parse().ok());
    kib.ok_or_else(|| "this system does not tell a process's greatest memory".into())
}

/// What the publishing code was given and how long it took.
struct Published {
    signer: Signer,
    changes: Vec<Change>,
    seconds: f64,
    reading_seconds: f64,
}

fn by_publishing_code(sheet: &Path) -> Result<Published, Failure> {
    let cluster = Cluster::found(1)?;
    let node = &cluster.nodes[0];
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let publisher = runtime.block_on(Publisher::open(node.home(), &node.socket()))?;
    let start = Instant::now();
    let import = import::read(&[sheet.to_owned()], &ImportContext::new(publisher.identity.org()))?;
    let reading_seconds = start.elapsed().as_secs_f64();
    let drafts = import.drafts.into_iter().map(publishable).collect();
    let prepared = runtime.block_on(publisher.prepare(drafts))?;
    let changes = prepared.plan.changes.clone();
    let start = Instant::now();
    runtime.block_on(prepared.publish())?;
    let seconds = start.elapsed().as_secs_f64();
    Ok(Published { signer: publisher.identity.device, changes, seconds, reading_seconds })
}

fn publishable(draft: import::Draft) -> Draft {
    let body = match draft.body {
        DraftBody::Organisation(body) => Body::Organisation(body),
        DraftBody::Service(body) => Body::Service(body),
        DraftBody::Location(body) => Body::Location(body),
        DraftBody::Event(body) => Body::Event(body),
    };
    Draft { audience: draft.audience, lease_days: draft.lease_days, body, place: String::new() }
}

fn sign(signer: &Signer, change: &Change) -> Result<SignedVersion, VersionError> {
    signer.sign_version(&change.header, &change.body)
}

/// Signs and stores, nothing else. Returns seconds and the sum of all envelopes in bytes.
fn by_loop(signer: &Signer, changes: &[Change], folder: &Path) -> Result<(f64, u64), Failure> {
    let (mut store, _) = SledStore::open(DiskOptions::new(folder.join("store")))?;
    let mut envelope_bytes = 0;
    let start = Instant::now();
    let mut batch = Vec::new();
    let mut batch_bytes = 0;
    for change in changes {
        let version = sign(signer, change)?;
        let envelope = version.envelope().to_vec();
        // The limits of a publish request, so that both sides write in the same batches.
        if batch.len() == ENVELOPES_PER_REQUEST_MAX || batch_bytes + envelope.len() > REQUEST_BYTES_MAX {
            store.commit(std::mem::take(&mut batch), Durability::Now)?;
            batch_bytes = 0;
        }
        batch_bytes += envelope.len();
        envelope_bytes += envelope.len() as u64;
        let slot = Slot::of(&change.header);
        batch.push(Operation::Put { slot, kind: change.header.kind, vid: version.vid(), envelope, own: true });
    }
    store.commit(batch, Durability::Now)?;
    Ok((start.elapsed().as_secs_f64(), envelope_bytes))
}
