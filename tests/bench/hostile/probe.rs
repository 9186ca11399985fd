//! Two nodes that publish all the time, and how long each version takes to the other's feed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use fingerpost_proto::kind::Audience;
use fingerpost_tests::cluster::{Node, Publisher, service};
use fingerpost_tests::http::FeedReader;

use crate::Failure;

/// From one publish to the next.
const PUBLISH_INTERVAL: Duration = Duration::from_millis(50);
/// Rest between two looks at a feed, or the watchers would take the cores from the nodes.
const LOOK_PAUSE: Duration = Duration::from_millis(1);
/// A version that is not visible after this time counts as seen then.
const VISIBLE_WAIT_MAX: Duration = Duration::from_secs(10);
/// Records that are published in turn: each has some versions.
const RECORDS: usize = 50;

/// When each was published, and how long it took.
pub(super) type Samples = Vec<(Instant, Duration)>;

/// Both directions, under way.
pub(super) struct Probe {
    is_over: Arc<AtomicBool>,
    ways: Vec<JoinHandle<Result<Samples, String>>>,
}

impl Probe {
    /// Publishes from the first to the second and from the second to the first.
    pub(super) fn start(first: &Node, second: &Node) -> Result<Probe, Failure> {
        let is_over = Arc::new(AtomicBool::new(false));
        let mut ways = Vec::new();
        for (from, to) in [(first, second), (second, first)] {
            let publisher = Publisher::open(from, from)?;
            let reader = FeedReader::connect(&to.feed_url().ok_or("a node without a feed")?)?;
            let is_over = Arc::clone(&is_over);
            ways.push(thread::spawn(move || publish(publisher, reader, &is_over).map_err(|error| error.to_string())));
        }
        Ok(Probe { is_over, ways })
    }

    /// From the first, and to the first.
    pub(super) fn stop(self) -> Result<Vec<Samples>, Failure> {
        self.is_over.store(true, Ordering::Relaxed);
        let ways = self.ways.into_iter().map(|way| way.join().map_err(|_| "a probe panicked".to_owned())?);
        Ok(ways.collect::<Result<Vec<_>, String>>()?)
    }
}

fn publish(mut publisher: Publisher, mut reader: FeedReader, is_over: &AtomicBool) -> Result<Samples, Failure> {
    let mut samples = Samples::new();
    while !is_over.load(Ordering::Relaxed) {
        let mark = format!("mark-{}-end", samples.len());
        let body = service(&format!("probe-{}", samples.len() % RECORDS), &mark);
        let version = publisher.sign(Audience::Public, &body)?;
        let path = format!("/services/{}", version.header().record);
        let start = Instant::now();
        publisher.hand_in(vec![version])?;
        loop {
            let answer = reader.get(&path)?;
            let is_seen = answer.status == 200 && answer.body.windows(mark.len()).any(|part| part == mark.as_bytes());
            if is_seen || start.elapsed() > VISIBLE_WAIT_MAX {
                break;
            }
            thread::sleep(LOOK_PAUSE);
        }
        samples.push((start, start.elapsed()));
        thread::sleep(PUBLISH_INTERVAL.saturating_sub(start.elapsed()));
    }
    Ok(samples)
}

/// Nearest rank, in milliseconds; 0 for none.
pub(super) fn percentile_ms(durations: &[Duration], percent: usize) -> f64 {
    let mut sorted = durations.to_vec();
    sorted.sort_unstable();
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(at).map_or(0.0, |duration| duration.as_secs_f64() * 1_000.0)
}
