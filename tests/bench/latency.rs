//! Case `latency`: how long after an admin publishes does a reader of another node see it?
//!
//! Three nodes in processes of their own, each with an organisation, all linked. One version after another is
//! published, half of them new records, half edits of the record before; meanwhile one thread for each node asks its feed
//! for the record until the new text is there. The time starts just before the request with the signed version is sent.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use fingerpost_proto::kind::Audience;
use fingerpost_proto::record::Body;
use fingerpost_proto::v1;
use fingerpost_tests::cluster::{Cluster, Publisher, wait_until};
use fingerpost_tests::http::FeedReader;

use crate::Failure;
use crate::figure::{Figure, percentiles};

const CASE: &str = "latency";
/// Nodes.
const NODES: usize = 3;
/// Versions published on the first node, and again on all nodes in turn.
const PUBLISHES: usize = 500;
/// 99 of 100 versions are to be visible on both other nodes within this time.
const VISIBLE_MS_MAX: f64 = 250.0;
/// Rest between two looks at a feed. Without it the watchers would take the cores from the nodes that they watch.
const LOOK_PAUSE: Duration = Duration::from_micros(500);
/// A version that is not visible after this time ends the run.
const VISIBLE_WAIT_MAX: Duration = Duration::from_secs(30);
/// Longest wait for all links.
const LINKS_WAIT_MAX: Duration = Duration::from_secs(60);
/// Words of a record's description: about 800 bytes.
const DESCRIPTION_WORDS: usize = 100;

/// Runs the case. `count` replaces the number of publishes.
pub(crate) fn run(count: Option<usize>) -> Result<Vec<Figure>, Failure> {
    let cluster = Cluster::found(NODES)?;
    wait_for_links(&cluster)?;
    let mut publishers = Vec::new();
    let mut watchers = Vec::new();
    for node in &cluster.nodes {
        publishers.push(Publisher::open(node, node)?);
        watchers.push(Watcher::start(&node.feed_url().ok_or("a node without a feed")?)?);
    }
    let mut figures = Vec::new();
    for (from, ways) in [("first node", 1), ("all in turn", NODES)] {
        let (mut acknowledged, mut here, mut elsewhere) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..count.unwrap_or(PUBLISHES) {
            let at = number % ways;
            let mark = format!("mark-{ways}-{number}-end");
            // Every second version of a node edits the record of the one before.
            let body = service(&format!("{ways}-{}", number / ways / 2), &mark);
            let version = publishers[at].sign(Audience::Public, &body)?;
            let path = format!("/services/{}", version.header().record);
            let start = Instant::now();
            let sights: Vec<Receiver<io::Result<Duration>>> =
                watchers.iter().map(|watcher| watcher.watch(&path, &mark, start)).collect();
            publishers[at].hand_in(vec![version])?;
            acknowledged.push(start.elapsed());
            let mut slowest = Duration::ZERO;
            for (index, sight) in sights.into_iter().enumerate() {
                let took = sight.recv()??;
                if index == at {
                    here.push(took);
                } else {
                    slowest = slowest.max(took);
                }
            }
            elsewhere.push(slowest);
        }
        figures.extend(percentiles(CASE, &format!("published at {from}: acknowledged"), acknowledged, None));
        figures.extend(percentiles(CASE, &format!("published at {from}: visible there"), here, None));
        let measure = format!("published at {from}: visible on both others");
        figures.extend(percentiles(CASE, &measure, elsewhere, Some(VISIBLE_MS_MAX)));
    }
    Ok(figures)
}

/// Everybody linked to everybody, or the figures would be those of another network.
fn wait_for_links(cluster: &Cluster) -> Result<(), Failure> {
    let is_full = || {
        for node in &cluster.nodes {
            if node.status()?.links + 1 < NODES as u64 {
                return Ok(false);
            }
        }
        Ok(true)
    };
    wait_until(LINKS_WAIT_MAX, is_full).map(drop).map_err(|error| format!("not all nodes are linked: {error}").into())
}

fn service(local_id: &str, mark: &str) -> Body {
    Body::Service(Box::new(v1::Service {
        local_id: local_id.to_owned(),
        language: "en".to_owned(),
        role: v1::Role::Owner.into(),
        name: format!("Advice drop-in {mark}"),
        description: "welcome ".repeat(DESCRIPTION_WORDS),
        status: v1::ServiceStatus::Active.into(),
        ..Default::default()
    }))
}

/// What to look for.
struct Watch {
    path: String,
    mark: String,
    start: Instant,
    seen: Sender<io::Result<Duration>>,
}

/// A thread with one kept connection to a node's feed. It ends when this is dropped.
struct Watcher {
    watches: Sender<Watch>,
}

impl Watcher {
    fn start(feed_url: &str) -> io::Result<Watcher> {
        let mut reader = FeedReader::connect(feed_url)?;
        let (watches, orders) = channel::<Watch>();
        thread::Builder::new().name("watcher".to_owned()).spawn(move || {
            for watch in orders {
                // Nobody waits for the answer when another watcher failed.
                let _ = watch.seen.send(look_until_seen(&mut reader, &watch));
            }
        })?;
        Ok(Watcher { watches })
    }

    /// Where the time from `start` until the feed shows `mark` under `path` will arrive.
    fn watch(&self, path: &str, mark: &str, start: Instant) -> Receiver<io::Result<Duration>> {
        let (seen, sight) = channel();
        let watch = Watch { path: path.to_owned(), mark: mark.to_owned(), start, seen };
        // A watcher that has ended drops `seen`, which the receiver tells.
        let _ = self.watches.send(watch);
        sight
    }
}

fn look_until_seen(reader: &mut FeedReader, watch: &Watch) -> io::Result<Duration> {
    loop {
        let answer = reader.get(&watch.path)?;
        let mark = watch.mark.as_bytes();
        if answer.status == 200 && answer.body.windows(mark.len()).any(|window| window == mark) {
            return Ok(watch.start.elapsed());
        }
        if watch.start.elapsed() > VISIBLE_WAIT_MAX {
            let reason = format!("{} does not show {} after {VISIBLE_WAIT_MAX:?}", watch.path, watch.mark);
            return Err(io::Error::new(io::ErrorKind::TimedOut, reason));
        }
        thread::sleep(LOOK_PAUSE);
    }
}
