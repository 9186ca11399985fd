//! Case `index`: what the index of a set costs in memory and time.
//!
//! Keys are those of 10,000 organisations with a hundred records each (at other counts, a hundredth as many organisations).
//! Heap is what was asked of the allocator and is held by the index, counted by the allocator of this binary. The tree is
//! loaded in key order, in random order, in falling order, and with keys of which no two begin alike, its worst case. A
//! `BTreeMap` of the same entries stands beside it; it knows no sums.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use fingerpost_proto::id::{OrgId, RecordId, Vid};
use fingerpost_proto::kind::Kind;
use fingerpost_proto::limits::RANGE_FAN_OUT;
use fingerpost_proto::set::{Entry, Index, SetKey};
use fingerpost_proto::time::{Hlc, UnixHour};
use peak_alloc::PeakAlloc;

use crate::Failure;
use crate::figure::Figure;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

const CASE: &str = "index";
/// Entries in the index.
const ENTRIES: usize = 1_000_000;
/// Records of one organisation.
const RECORDS_PER_ORGANISATION: usize = 100;
/// Single operations whose mean is taken.
const OPERATIONS: usize = 20_000;
/// What an index of a million may hold, in bytes.
const HEAP_BYTES_MOST: f64 = 40.0 * 1024.0 * 1024.0;
/// How long a million may take to load in key order, in milliseconds.
const LOAD_MS_MOST: f64 = 1_000.0;

type Row = (SetKey, Entry);

/// Runs the case. `count` replaces the number of entries.
pub(crate) fn run(count: Option<usize>) -> Result<Vec<Figure>, Failure> {
    let count = count.unwrap_or(ENTRIES);
    let per_million = ENTRIES as f64 / count as f64;
    let mut rows: Vec<Row> = (0..count).map(row).collect();
    rows.sort_unstable_by_key(|(key, _)| *key);
    let figure = |measure: &str, unit, ours| Figure::new(CASE, measure, unit, ours);
    let mut figures = Vec::new();

    let beside = load(|| map_of(&rows));
    let ordered = load(|| index_of(&rows));
    let bytes_most = HEAP_BYTES_MOST / per_million;
    figures.push(
        figure("heap, loaded in key order", "bytes", ordered.heap_bytes)
            .at_most(bytes_most)
            .beside("BTreeMap", beside.heap_bytes),
    );
    let order_ms = ordered.seconds * 1_000.0 * per_million;
    let load_figure = figure("load a million in key order", "ms", order_ms).at_most(LOAD_MS_MOST);
    let load_figure = load_figure.beside("BTreeMap", beside.seconds * 1_000.0 * per_million);
    drop(beside);
    let index = ordered.loaded;
    let times = operations(&index, &rows);
    drop(index);

    let falling: Vec<Row> = rows.iter().rev().copied().collect();
    let falling_heap = load(|| index_of(&falling)).heap_bytes;
    drop(falling);
    let mut shuffled = rows;
    shuffle(&mut shuffled);
    let beside = load(|| map_of(&shuffled));
    let random = load(|| index_of(&shuffled));
    figures.push(
        figure("heap, filled in random order", "bytes", random.heap_bytes)
            .at_most(bytes_most)
            .beside("BTreeMap", beside.heap_bytes),
    );
    figures.push(figure("heap, filled in falling order", "bytes", falling_heap).at_most(bytes_most));
    let churned = load_into(random.loaded, |index| churn(index, &shuffled));
    let churned_heap = random.heap_bytes + churned.heap_bytes;
    figures.push(
        figure("heap, random order, then half taken out and put back", "bytes", churned_heap).at_most(bytes_most),
    );
    let insert_ns = |seconds: f64| seconds * 1e9 / count as f64;
    let insert = figure("insert in random order, while growing", "ns", insert_ns(random.seconds));
    let insert = insert.beside("BTreeMap", insert_ns(beside.seconds));
    drop((beside, churned.loaded));

    let scattered: Vec<Row> = shuffled.iter().map(|(key, entry)| (scattered(key), *entry)).collect();
    let scattered_heap = load(|| index_of(&scattered)).heap_bytes;
    figures.push(figure("heap, no two keys begin alike (worst case)", "bytes", scattered_heap));

    figures.extend([load_figure, insert]);
    figures.extend(times);
    Ok(figures)
}

/// Something loaded, and what that cost.
struct Loaded<T> {
    loaded: T,
    heap_bytes: f64,
    seconds: f64,
}

fn load<T>(load: impl FnOnce() -> T) -> Loaded<T> {
    let before = HEAP.current_usage();
    let start = Instant::now();
    let loaded = load();
    let seconds = start.elapsed().as_secs_f64();
    Loaded { loaded, heap_bytes: HEAP.current_usage() as f64 - before as f64, seconds }
}

fn load_into(mut index: Index, change: impl FnOnce(&mut Index)) -> Loaded<Index> {
    load(move || {
        change(&mut index);
        index
    })
}

fn index_of(rows: &[Row]) -> Index {
    let mut index = Index::new();
    for (key, entry) in rows {
        index.insert(*key, *entry);
    }
    index
}

fn map_of(rows: &[Row]) -> BTreeMap<SetKey, Entry> {
    let mut map = BTreeMap::new();
    for (key, entry) in rows {
        map.insert(*key, *entry);
    }
    map
}

/// Takes every second row out, then puts them back.
fn churn(index: &mut Index, rows: &[Row]) {
    for (key, _) in rows.iter().step_by(2) {
        index.remove(key);
    }
    for (key, entry) in rows.iter().step_by(2) {
        index.insert(*key, *entry);
    }
}

fn operations(index: &Index, rows: &[Row]) -> Vec<Figure> {
    let mut index = index.clone();
    let mut picks: Vec<&Row> = rows.iter().step_by((rows.len() / OPERATIONS).max(1)).collect();
    shuffle(&mut picks);
    let mean_ns = |mut act: Box<dyn FnMut(&Row) + '_>| {
        let start = Instant::now();
        picks.iter().for_each(|row| act(row));
        start.elapsed().as_secs_f64() * 1e9 / picks.len() as f64
    };
    let figure = |measure: &str, ns: f64| Figure::new(CASE, measure, "ns", ns);
    let mut figures = vec![
        figure("get", mean_ns(Box::new(|(key, _)| _ = black_box(index.get(key))))),
        figure("total and its fingerprint", mean_ns(Box::new(|_| _ = black_box(index.total().fingerprint())))),
    ];
    let ends: Vec<(SetKey, SetKey)> = picks.windows(2).map(|pair| (pair[0].0, pair[1].0)).collect();
    let mut end = ends.iter().cycle().copied();
    let mut next_range = move || end.next().map_or_else(Default::default, |(a, b)| (a.min(b), a.max(b)));
    let summary = mean_ns(Box::new(|_| {
        let (lower, upper) = next_range();
        black_box(index.summary(&lower, Some(&upper)));
    }));
    let split = mean_ns(Box::new(|_| {
        let (lower, upper) = next_range();
        let (mut from, upper) = (index.bound(Some(lower)), index.bound(Some(upper)));
        for to in index.split(&from, &upper, RANGE_FAN_OUT) {
            black_box(to.since(&from).fingerprint());
            from = to;
        }
    }));
    figures.push(figure("summary of a random range", summary));
    figures.push(figure("split of a random range in 16, with their fingerprints", split));
    let replace = mean_ns(Box::new(|(key, entry)| {
        index.insert(*key, Entry { vid: Vid([7; 16]), ..*entry });
    }));
    figures.push(figure("replace", replace));
    figures.push(figure("remove", mean_ns(Box::new(|(key, _)| _ = black_box(index.remove(key))))));
    let start = Instant::now();
    let hour = UnixHour(0);
    let due = index
        .range(&SetKey::default(), None)
        .filter(|(_, entry)| black_box(entry.has_lapsed_by(hour) || entry.is_forgotten_by(hour)));
    black_box(due.count());
    let search_ms = start.elapsed().as_secs_f64() * 1_000.0 * ENTRIES as f64 / rows.len() as f64;
    figures.push(Figure::new(CASE, "search a million for deadlines, once an hour", "ms", search_ms));
    figures
}

/// The entry of a number; keys as records have them.
fn row(n: usize) -> Row {
    let organisation = (n / RECORDS_PER_ORGANISATION) as u64;
    let mut org = OrgId([0; 32]);
    for (part, seed) in org.0.chunks_exact_mut(8).zip(1u64..) {
        part.copy_from_slice(&mix(organisation * 4 + seed).to_be_bytes());
    }
    let mut record = RecordId([0; 16]);
    record.0[8..].copy_from_slice(&(n as u64).to_be_bytes());
    let mut vid = Vid([0; 16]);
    vid.0[..8].copy_from_slice(&mix(n as u64).to_be_bytes());
    vid.0[8..].copy_from_slice(&mix(!(n as u64)).to_be_bytes());
    let hlc = Hlc::new(1_790_000_000_000 + n as u64, 0);
    (
        SetKey::derive(Kind::SERVICE, &org, &record),
        Entry { vid, hlc, device: organisation as u32, lease_hours: 4_320, has_lapsed: false },
    )
}

/// The key with its end first: no two begin alike.
fn scattered(key: &SetKey) -> SetKey {
    let mut turned = *key;
    turned.0.rotate_left(8);
    turned
}

/// Same order in every run (splitmix64).
fn shuffle<T>(rows: &mut [T]) {
    for at in (1..rows.len()).rev() {
        rows.swap(at, (mix(at as u64) % (at as u64 + 1)) as usize);
    }
}

fn mix(number: u64) -> u64 {
    let mut value = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
