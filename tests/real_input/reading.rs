//! Reads whole feeds as directory sites do: every page, every record, every change list to its end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use fingerpost_tests::cluster::Node;
use fingerpost_tests::http::FeedReader;
use serde_json::Value;

use crate::schema::{Schemas, Shape};

/// Records on a page.
const PER_PAGE: u64 = 100;
/// Connections, each with a thread that reads and validates.
const READERS: usize = 3;
/// Faults shown before the rest is only counted.
const FAULTS_SHOWN: usize = 20;
/// More pages than this in one change list are a loop.
const CHANGE_PAGES_MAX: usize = 10_000;

/// Answers that were read and found valid.
#[derive(Debug, Default)]
pub(crate) struct Validated {
    /// Number of answers and of objects in them, by shape.
    pub(crate) counts: BTreeMap<Shape, (u64, u64)>,
    /// Texts of the pages of lists, without the node's address, by path.
    pub(crate) pages: BTreeMap<String, String>,
}

impl Validated {
    fn add(&mut self, shape: Shape, path: &str, value: &Value, text: String) {
        let contents = value["contents"].as_array();
        let (answers, objects) = self.counts.entry(shape).or_default();
        (*answers, *objects) = (*answers + 1, *objects + contents.map_or(1, Vec::len) as u64);
        if contents.is_some() {
            self.pages.insert(path.to_owned(), text);
        }
    }
}

/// One feed.
pub(crate) struct Feed {
    url: String,
}

impl Feed {
    pub(crate) fn of(node: &Node) -> Feed {
        Feed { url: node.feed_url().unwrap() }
    }

    fn reader(&self) -> FeedReader {
        FeedReader::connect(&self.url).unwrap()
    }

    /// How many live records of each sort the feed says it has.
    pub(crate) fn counts(&self) -> BTreeMap<&'static str, u64> {
        let root = self.reader().get("/").unwrap().json().unwrap();
        ["services", "organizations", "locations", "events"]
            .map(|sort| (sort, root["x_fingerpost"][sort].as_u64().unwrap()))
            .into()
    }

    /// Paths of all pages of a list, and the ids on them in their order.
    pub(crate) fn pages(&self, list: &str) -> (Vec<String>, Vec<String>) {
        let mut reader = self.reader();
        let (mut paths, mut ids) = (Vec::new(), Vec::new());
        loop {
            let path = format!("/{list}?page={}&per_page={PER_PAGE}", paths.len() + 1);
            let page = reader.get(&path).unwrap().json().unwrap();
            assert_eq!(page["page_number"], paths.len() + 1, "{path}");
            assert_eq!(page["size"], page["contents"].as_array().unwrap().len(), "{path}");
            ids.extend(page["contents"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()));
            paths.push(path);
            if page["last_page"] == true {
                assert_eq!(page["total_items"], ids.len(), "{list}: the pages hold another number than they say");
                assert_eq!(page["total_pages"], paths.len(), "{list}");
                return (paths, ids);
            }
        }
    }

    /// Ids of the live records that a change list ends up with. Every record occurs in it once.
    pub(crate) fn changes(&self, list: &str) -> BTreeSet<String> {
        let mut reader = self.reader();
        let mut path = format!("/rpde/{list}");
        let (mut live, mut seen, mut last) = (BTreeSet::new(), BTreeSet::new(), 0);
        for _ in 0..CHANGE_PAGES_MAX {
            let page = reader.get(&path).unwrap().json().unwrap();
            let items = page["items"].as_array().unwrap();
            for item in items {
                let (id, modified) = (item["id"].as_str().unwrap(), item["modified"].as_u64().unwrap());
                assert!(seen.insert(id.to_owned()), "{path}: {id} is listed twice");
                assert!(modified > last, "{path}: {id} with change {modified} stands after {last}");
                last = modified;
                if item["state"] == "updated" {
                    assert_eq!(item["data"]["id"].as_str().unwrap_or(id), id, "{path}: the data of another record");
                    live.insert(id.to_owned());
                }
            }
            path = page["next"].as_str().unwrap().strip_prefix(&self.url).unwrap().to_owned();
            if items.is_empty() {
                return live;
            }
        }
        panic!("{list}: the change list has no end");
    }

    /// Reads every path and checks every answer against the schemas. Panics with the faults.
    pub(crate) fn validate(&self, schemas: &Schemas, work: &[(Shape, String)]) -> Validated {
        let next = AtomicUsize::new(0);
        let (validated, faults) = (Mutex::new(Validated::default()), Mutex::new(Vec::<String>::new()));
        thread::scope(|scope| {
            for _ in 0..READERS {
                scope.spawn(|| {
                    let mut reader = self.reader();
                    while let Some((shape, path)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let text = self.text(&mut reader, path);
                        let value: Value = serde_json::from_str(&text).unwrap();
                        let found = schemas.faults(*shape, &value);
                        if !found.is_empty() {
                            faults.lock().unwrap().extend(found.iter().map(|fault| format!("{path}: {fault}")));
                        }
                        validated.lock().unwrap().add(*shape, path, &value, self.without_address(text));
                    }
                });
            }
        });
        let faults = faults.into_inner().unwrap();
        let shown = faults.iter().take(FAULTS_SHOWN).cloned().collect::<Vec<_>>().join("\n");
        assert!(faults.is_empty(), "{} faults, the first:\n{shown}", faults.len());
        validated.into_inner().unwrap()
    }

    /// Reads the pages again from this feed: byte by byte the same, addresses aside. Returns how many there were.
    pub(crate) fn assert_same_pages(&self, pages: &BTreeMap<String, String>) -> usize {
        let mut reader = self.reader();
        for (path, expected) in pages {
            let text = self.text(&mut reader, path);
            assert!(self.without_address(text) == *expected, "{path} differs on {}", self.url);
        }
        pages.len()
    }

    fn text(&self, reader: &mut FeedReader, path: &str) -> String {
        let answer = reader.get(path).unwrap();
        assert_eq!(answer.status, 200, "{path}");
        String::from_utf8(answer.body).unwrap()
    }

    /// The text without this node's own address, to compare nodes with each other.
    fn without_address(&self, text: String) -> String {
        text.replace(&self.url, "")
    }

    /// One answer, for looking at it.
    pub(crate) fn value(&self, path: &str) -> Value {
        self.reader().get(path).unwrap().json().unwrap()
    }
}
