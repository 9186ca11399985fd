//! Case `sync`: what it costs two nodes with a million records to find out what one of them lacks.
//!
//! The asker dials the holder, which has newer versions of some records. Ours: two real nodes, once with the cursor that the
//! asker kept from the last link, once without. Beside them, in this process and on the same records and changes, the
//! crates `negentropy` and `iroh-docs`. Bytes are payload: no framing of transport, no TLS.
//!
//! Bookkeeping is whatever is said besides greetings, pings and the changed versions themselves.

use fingerpost_proto::limits::FOUNDERS_MAX;
use fingerpost_proto::time::{DAY_MS, Hlc};
use fingerpost_proto::version::SignedVersion;

use crate::Failure;
use crate::figure::Figure;
use crate::population::{Population, Subject, key, public};

mod iroh;
pub(crate) mod measure;
mod negentropy;
mod ours;

use measure::{ASKER, Costs, HOLDER};
use ours::{Pair, Versions};

const CASE: &str = "sync";
/// Records.
const RECORDS: usize = 1_000_000;
/// Records of one organisation.
const RECORDS_PER_ORGANISATION: usize = 100;
/// When the measured nodes live: an instant well after every first version.
const NOW: u64 = 1_790_000_000_000;
/// First versions were signed during so many days.
const DAYS: u64 = 300;

/// Promises for one set of changes, with a million records.
#[derive(Clone, Copy, Default)]
struct Promise {
    cursor_bytes: Option<f64>,
    cursor_round_trips: Option<f64>,
    bytes: Option<f64>,
    round_trips: Option<f64>,
}

struct Changes {
    name: String,
    subjects: Vec<Subject>,
    promise: Promise,
}

/// Runs the case. `count` replaces the number of records.
pub(crate) fn run(count: Option<usize>) -> Result<Vec<Figure>, Failure> {
    let records = count.unwrap_or(RECORDS);
    let organisations = (records / RECORDS_PER_ORGANISATION).max(FOUNDERS_MAX + 1);
    let peers = [public(&key("node key", ASKER))?, public(&key("node key", HOLDER))?];
    let population = Population::new(organisations, &peers, NOW - (DAYS + 1) * DAY_MS)?;
    let spread = |number: usize| NOW - (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) % (DAYS * DAY_MS) - 1;
    let services = population.services(records, spread)?;
    let versions = Versions::new(population.entries()?.into_iter().chain(services));
    let mut pair = Pair::new(&population.charter, versions, peers, NOW)?;
    let is_promised = records == RECORDS;
    let mut figures = in_sync(&mut pair, is_promised)?;

    let changes = change_sets(&population, records);
    let subjects: Vec<&[Subject]> = changes.iter().map(|set| set.subjects.as_slice()).collect();
    let (iroh_initial, iroh) = iroh::run(&population, records, &subjects)?;

    let mut edition = 0;
    for (set, iroh) in changes.into_iter().zip(iroh) {
        // Whoever is in sync has a cursor now; changes happen while the link is down.
        edition += 1;
        publish(&mut pair, &population, &set.subjects, edition)?;
        let negentropy = {
            let (asker, holder) =
                (negentropy::elements(pair.versions(ASKER))?, negentropy::elements(pair.versions(HOLDER))?);
            negentropy::reconcile([&asker, &holder], set.subjects.len())?
        };
        let by_cursor = pair.meet()?;
        pair.part()?;
        edition += 1;
        publish(&mut pair, &population, &set.subjects, edition)?;
        pair.restart_asker()?;
        let without = pair.meet()?;
        pair.part()?;
        let peers = [("negentropy", negentropy), ("iroh-docs", iroh)];
        figures.extend(rows(&set, &by_cursor, &without, &peers, is_promised));
    }
    figures.extend(initial(&mut pair, iroh_initial)?);
    Ok(figures)
}

/// What the issue names: nothing, one record, one organisation, many organisations whole, many a little.
fn change_sets(population: &Population, records: usize) -> Vec<Changes> {
    let subject = |number: usize, edition| Subject { edition, ..population.subject(number, records) };
    let many = (records / 100).max(1);
    let clustered = (0..many).map(|number| {
        let (cluster, place) = (number / RECORDS_PER_ORGANISATION, number % RECORDS_PER_ORGANISATION);
        subject(cluster * RECORDS_PER_ORGANISATION * 97 % records + place, 0)
    });
    let promise = Promise::default();
    vec![
        Changes { name: "nothing changed".to_owned(), subjects: Vec::new(), promise },
        Changes {
            name: "1 changed".to_owned(),
            subjects: vec![subject(records / 2 + 7, 0)],
            promise: Promise {
                cursor_bytes: Some(64.0),
                cursor_round_trips: Some(1.0),
                bytes: Some(2_000.0),
                round_trips: Some(3.0),
            },
        },
        Changes {
            name: "100 changed in one organisation".to_owned(),
            subjects: (0..RECORDS_PER_ORGANISATION.min(records)).map(|number| subject(number, 0)).collect(),
            promise,
        },
        Changes {
            name: format!("{many} changed in whole organisations"),
            subjects: clustered.collect(),
            promise: Promise { cursor_bytes: Some(250_000.0), bytes: Some(450_000.0), ..promise },
        },
        Changes {
            name: format!("{many} changed, scattered"),
            subjects: (0..many).map(|number| subject(number * (records / many) + number % 89, 0)).collect(),
            promise: Promise { cursor_bytes: Some(250_000.0), bytes: Some(4_000_000.0), ..promise },
        },
    ]
}

fn publish(pair: &mut Pair, population: &Population, subjects: &[Subject], edition: u32) -> Result<(), Failure> {
    let at = Hlc::new(pair.later(), 0);
    let sign = |subject: &Subject| -> Result<SignedVersion, Failure> {
        let subject = Subject { edition, ..*subject };
        let prev = pair.prefix_of(&population.slot(subject));
        population.service(subject, at, prev)
    };
    let versions = subjects.iter().map(sign).collect::<Result<Vec<_>, _>>()?;
    pair.publish(&versions)
}

/// Two nodes with equal sets: when they meet, and when they compare again on the same link.
fn in_sync(pair: &mut Pair, is_promised: bool) -> Result<Vec<Figure>, Failure> {
    let meeting = pair.meet()?;
    let comparison = pair.compare()?;
    pair.part()?;
    let mut figures = Vec::new();
    // A comparison on a link is one check for each of two sets, public and members.
    for (name, costs, checks) in [("in sync, meeting", meeting, 1.0), ("in sync, comparing on a link", comparison, 2.0)]
    {
        let bytes = costs.bookkeeping_total() / checks;
        let bytes = Figure::new(CASE, format!("{name}: bytes of a check beside the greeting"), "B", bytes);
        figures.push(if is_promised { bytes.at_most(32.0) } else { bytes });
        for (which, side) in [(ASKER, "asker"), (HOLDER, "holder")] {
            let measure = format!("{name}: processor time, {side}");
            figures.push(Figure::new(CASE, measure, "ms", costs.bookkeeping[which].as_secs_f64() * 1_000.0));
        }
    }
    Ok(figures)
}

/// The rows of one set of changes.
fn rows(set: &Changes, by_cursor: &Costs, without: &Costs, peers: &[(&str, Costs)], is_promised: bool) -> Vec<Figure> {
    let promise = if is_promised { set.promise } else { Promise::default() };
    let mut figures = Vec::new();
    let ways = [
        ("by cursor", by_cursor, promise.cursor_bytes, promise.cursor_round_trips),
        ("without cursor", without, promise.bytes, promise.round_trips),
    ];
    for (way, costs, bytes_most, round_trips_most) in ways {
        let mut row = |measure: &str, unit, of: &dyn Fn(&Costs) -> Option<f64>, most: Option<f64>| {
            let measure = format!("{}, {way}: {measure}", set.name);
            let figure = Figure::new(CASE, measure, unit, of(costs).unwrap_or_default());
            let figure = most.map_or(figure.clone(), |most| figure.at_most(most));
            let with = |figure: Figure, (name, costs): &(&str, Costs)| match of(costs) {
                Some(value) => figure.beside(name, value),
                None => figure,
            };
            figures.push(peers.iter().fold(figure, with));
        };
        row("bookkeeping", "B", &|costs| Some(costs.bookkeeping_total()), bytes_most);
        row("bookkeeping, asker to holder", "B", &|costs| Some(costs.bookkeeping_bytes[ASKER] as f64), None);
        row("bookkeeping, holder to asker", "B", &|costs| Some(costs.bookkeeping_bytes[HOLDER] as f64), None);
        row("round trips until known", "RTT", &|costs| Some(costs.round_trips_to_know), None);
        row("round trips until there", "RTT", &|costs| costs.round_trips_to_have, round_trips_most);
        row("messages", "messages", &|costs| Some(costs.frames as f64), None);
        row("processor time of bookkeeping, asker", "ms", &|costs| Some(millis(costs.bookkeeping[ASKER])), None);
        row("processor time of bookkeeping, holder", "ms", &|costs| Some(millis(costs.bookkeeping[HOLDER])), None);
        row("greatest heap above the sets", "KiB", &|costs| Some(costs.heap_bytes as f64 / 1_024.0), None);
        let all = |measure: &str, of: &dyn Fn(&Costs) -> f64, unit| {
            Figure::new(CASE, format!("{}, {way}: {measure}", set.name), unit, of(costs))
        };
        figures.push(all("versions, holder to asker", &|costs| costs.version_bytes[HOLDER] as f64, "B"));
        figures.push(all("links lost", &|costs| f64::from(costs.links_lost), "links").at_most(0.0));
        figures.push(all("outdated versions, asker to holder", &|costs| costs.version_bytes[ASKER] as f64, "B"));
        figures.push(all("processor time with versions, asker", &|costs| millis(costs.everything[ASKER]), "ms"));
        figures.push(all("processor time with versions, holder", &|costs| millis(costs.everything[HOLDER]), "ms"));
    }
    figures
}

/// The asker has nothing.
fn initial(pair: &mut Pair, iroh: Costs) -> Result<Vec<Figure>, Failure> {
    let holder = negentropy::elements(pair.versions(HOLDER))?;
    pair.empty_asker();
    let asker = negentropy::elements(pair.versions(ASKER))?;
    let count = ::negentropy::NegentropyStorageBase::size(&holder)?;
    let peers = [("negentropy", negentropy::reconcile([&asker, &holder], count)?), ("iroh-docs", iroh)];
    drop((asker, holder));
    let costs = pair.meet()?;
    let row = |measure: &str, unit, of: &dyn Fn(&Costs) -> f64| {
        let figure = Figure::new(CASE, format!("asker empty: {measure}"), unit, of(&costs));
        peers.iter().fold(figure, |figure, (name, costs)| figure.beside(name, of(costs)))
    };
    Ok(vec![
        row("bookkeeping", "B", &Costs::bookkeeping_total),
        row("round trips", "RTT", &|costs| costs.round_trips_to_have.unwrap_or(costs.round_trips_to_know)),
        row("messages", "messages", &|costs| costs.frames as f64),
        row("processor time of bookkeeping, asker", "ms", &|costs| millis(costs.bookkeeping[ASKER])),
        row("processor time of bookkeeping, holder", "ms", &|costs| millis(costs.bookkeeping[HOLDER])),
        row("greatest heap above the sets", "KiB", &|costs| costs.heap_bytes as f64 / 1_024.0),
        Figure::new(CASE, "asker empty: versions", "B", costs.version_bytes.iter().sum::<u64>() as f64),
        Figure::new(CASE, "asker empty: processor time with versions, asker", "ms", millis(costs.everything[ASKER])),
    ])
}

fn millis(time: std::time::Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
