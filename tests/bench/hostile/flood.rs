//! The kinds of floods: what is sent, and what came back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fingerpost_daemon::link::RawFrame;
use fingerpost_proto::id::{OrgId, RecordId, Vid};
use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::limits::{FRAME_BYTES_MAX, OFFER_PAIRS_MAX};
use fingerpost_proto::network::statement::statement_record_id;
use fingerpost_proto::node::{versions_frames, write_frame};
use fingerpost_proto::redaction::Redaction;
use fingerpost_proto::set::SetKey;
use fingerpost_proto::sync::{Range, RangeContent, write_pairs, write_ranges};
use fingerpost_proto::time::Hlc;
use fingerpost_proto::v1;
use fingerpost_proto::v1::frame::Content;
use fingerpost_proto::version::SignedVersion;
use fingerpost_tests::cluster::service;
use prost::Message;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::member::Member;
use crate::{Failure, now_ms};

/// Versions that are signed before an interval for each second of it: more than a node takes.
const VERSIONS_PER_SECOND: f64 = 8_000.0;
/// The same for statements and upkeep.
const STATEMENTS_PER_SECOND: f64 = 3_000.0;
/// Versions in one frame.
const VERSIONS_PER_FRAME: usize = 200;
/// Connections that are opened at once.
const CONNECTIONS_AT_ONCE: usize = 8;
/// Before the next attempt when it was not let in: as soon as possible without taking a core for that alone.
const RETRY_PAUSE: Duration = Duration::from_millis(5);
/// Longest reason that is kept.
const REASON_CHARS_MAX: usize = 110;

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Flood {
    /// New records, validly signed.
    NewRecords,
    /// Edits of one record, each later than the one before.
    Edits,
    /// Withdrawals of records that never were.
    Withdrawals,
    /// The same records over and over.
    Repeated,
    /// Records whose signatures do not hold.
    BadSignatures,
    /// Frames that cannot be read.
    Garbage,
    /// Frames that are one byte too large.
    Oversized,
    /// Requests for everything.
    Fetches,
    /// Comparisons of whole sets.
    Comparisons,
    /// Announcements of versions that there are not.
    Offers,
    /// Pings.
    Pings,
    /// Vouches for organisations that there are not.
    Statements,
    /// Redactions of records that there are not.
    Upkeep,
    /// Connections that are closed at once.
    Connections,
    /// Streams that are reset at once.
    Streams,
    /// Requests for everything whose answers are never read.
    NeverReads,
}

/// What was sent in one interval, and what came back.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) bytes: u64,
    pub(super) frames: u64,
    /// Links that were up.
    pub(super) links: u64,
    /// Attempts to connect that came to nothing.
    pub(super) not_let_in: u64,
    /// Why links ended, as the member was told.
    pub(super) reasons: BTreeMap<String, u64>,
}

impl Sent {
    /// Links that ended with a reason.
    pub(super) fn cuts(&self) -> u64 {
        self.reasons.values().sum()
    }

    pub(super) fn summary(&self) -> String {
        format!(
            "{} frames, {:.1} MB over {} links, {} cuts, {} times not let in",
            self.frames,
            self.bytes as f64 / 1e6,
            self.links,
            self.cuts(),
            self.not_let_in
        )
    }

    fn told(&mut self, reason: &str) {
        let digits = |character: char| if character.is_ascii_digit() { '#' } else { character };
        let mut text = String::new();
        for character in reason.chars().map(digits).take(REASON_CHARS_MAX) {
            if !(character == '#' && text.ends_with('#')) {
                text.push(character);
            }
        }
        *self.reasons.entry(text).or_default() += 1;
    }
}

fn wire(content: Content) -> Vec<u8> {
    write_frame(content)
}

fn frames_of(versions: &[SignedVersion]) -> Vec<Vec<u8>> {
    let chunks = versions.chunks(VERSIONS_PER_FRAME);
    chunks.flat_map(|chunk| versions_frames(0, chunk.iter().map(|v| v.envelope().to_vec()), false)).collect()
}

impl Flood {
    pub(super) const ALL: [Flood; 16] = [
        Flood::NewRecords,
        Flood::Edits,
        Flood::Withdrawals,
        Flood::Repeated,
        Flood::BadSignatures,
        Flood::Garbage,
        Flood::Oversized,
        Flood::Fetches,
        Flood::Comparisons,
        Flood::Offers,
        Flood::Pings,
        Flood::Statements,
        Flood::Upkeep,
        Flood::Connections,
        Flood::Streams,
        Flood::NeverReads,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Flood::NewRecords => "new records",
            Flood::Edits => "edits of one record",
            Flood::Withdrawals => "withdrawals of what never was",
            Flood::Repeated => "the same records again",
            Flood::BadSignatures => "bad signatures",
            Flood::Garbage => "garbage",
            Flood::Oversized => "oversized frames",
            Flood::Fetches => "fetches of everything",
            Flood::Comparisons => "comparisons",
            Flood::Offers => "announcements of nothing",
            Flood::Pings => "pings",
            Flood::Statements => "vouches for nobody",
            Flood::Upkeep => "redactions",
            Flood::Connections => "connections",
            Flood::Streams => "streams",
            Flood::NeverReads => "asks and never reads",
        }
    }

    /// The frames, signed beforehand so that signing costs the flood no time.
    pub(super) fn prepare(self, member: &Member, interval: Duration) -> Result<Vec<Vec<u8>>, Failure> {
        let now = now_ms();
        let count = |per_second: f64| (per_second * interval.as_secs_f64()) as u64;
        let record = |name: &str, at: u64, text: &str| {
            let body = service(name, text);
            let id = RecordId::derive(&member.org(), Kind::SERVICE, Audience::Public, name);
            member.sign(Kind::SERVICE, id, Hlc::new(now, 0).next(now + at), &body.encode())
        };
        let text = "come in and ask ".repeat(20);
        let versions: Result<Vec<SignedVersion>, Failure> = match self {
            Flood::NewRecords => (0..count(VERSIONS_PER_SECOND)).map(|n| record(&format!("n{n}"), 0, &text)).collect(),
            // Up to ten minutes ahead is taken.
            Flood::Edits => (0..count(VERSIONS_PER_SECOND)).map(|n| record("edited", n, &text)).collect(),
            Flood::Withdrawals => (0..count(VERSIONS_PER_SECOND))
                .map(|n| {
                    let id = RecordId::derive(&member.org(), Kind::SERVICE, Audience::Public, &format!("w{n}"));
                    member.sign(Kind::SERVICE, id, Hlc::new(now, 0), b"")
                })
                .collect(),
            Flood::Repeated => (0..VERSIONS_PER_FRAME as u64).map(|n| record(&format!("r{n}"), 0, &text)).collect(),
            Flood::BadSignatures => (0..VERSIONS_PER_FRAME as u64)
                .map(|n| {
                    let mut envelope = record(&format!("b{n}"), 0, &text)?.envelope().to_vec();
                    envelope[0] ^= 1;
                    Ok(SignedVersion::read(envelope)?)
                })
                .collect(),
            Flood::Statements => (0..count(STATEMENTS_PER_SECOND))
                .map(|n| {
                    let subject = OrgId(std::array::from_fn(|i| (n >> (8 * (i % 8))) as u8 ^ i as u8));
                    let body = v1::Vouch { subject: subject.0.to_vec(), ..Default::default() }.encode_to_vec();
                    let id = statement_record_id(&member.org(), Kind::VOUCH, Some(&subject));
                    member.sign(Kind::VOUCH, id, Hlc::new(now, 0), &body)
                })
                .collect(),
            Flood::Upkeep => (0..count(STATEMENTS_PER_SECOND))
                .map(|n| {
                    let record = RecordId(std::array::from_fn(|i| (n >> (8 * (i % 8))) as u8));
                    let (replaced_by, clock) = (Vid([7; 16]), Hlc::new(now - 1, 0));
                    let body = Redaction { record, kind: Kind::SERVICE, replaced_by, clock }.write();
                    let id = Redaction::id_for(&member.org(), Audience::Public, &record);
                    member.sign(Kind::REDACTION, id, Hlc::new(now, 0), &body)
                })
                .collect(),
            _ => Ok(Vec::new()),
        };
        let versions = versions?;
        if !versions.is_empty() {
            return Ok(frames_of(&versions));
        }
        let audience = 0;
        Ok(match self {
            Flood::Garbage => vec![vec![0xff; 1_000]],
            Flood::Oversized => vec![vec![0; FRAME_BYTES_MAX + 1]],
            Flood::Fetches | Flood::NeverReads => {
                vec![wire(Content::Fetch(v1::Fetch { audience, want: 1, lower: Vec::new(), upper: None }))]
            }
            Flood::Comparisons => {
                let ranges = write_ranges(
                    SetKey::default(),
                    &[Range { upper: None, content: RangeContent::Fingerprint([9; 16]) }],
                );
                vec![wire(Content::Reconcile(v1::Reconcile { audience, session: 1, ranges, ..Default::default() }))]
            }
            Flood::Offers => {
                let pair = |n: u64| {
                    (SetKey(std::array::from_fn(|i| if i < 8 { n.to_be_bytes()[i] } else { 2 })), Vid([3; 16]))
                };
                let frame = |from: u64| {
                    let pairs: Vec<_> =
                        (from..from + OFFER_PAIRS_MAX as u64).map(|n| pair(0x0200_0000_0000_0000 + n)).collect();
                    let offer = v1::Offer { audience, pairs: write_pairs(&pairs), announced: true, keys: Vec::new() };
                    wire(Content::Offer(offer))
                };
                (0..64).map(|n| frame(n * OFFER_PAIRS_MAX as u64)).collect()
            }
            Flood::Pings => vec![wire(Content::Ping(v1::Ping { nonce: 7, clock_ms: now }))],
            _ => Vec::new(),
        })
    }

    /// True when frames are sent once; others over and over.
    fn is_sent_once(self) -> bool {
        matches!(self, Flood::NewRecords | Flood::Edits | Flood::Withdrawals | Flood::Statements | Flood::Upkeep)
    }

    /// Sends until the deadline, and connects again at once whenever it is cut.
    pub(super) fn run(self, member: &Member, frames: Vec<Vec<u8>>, until: Instant) -> Result<Sent, String> {
        let runtime: Runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let mut sent = Sent::default();
        runtime.block_on(async {
            match self {
                Flood::Connections => connect_again_and_again(member, until, &mut sent).await,
                Flood::Streams => open_streams(member, until, &mut sent).await,
                _ => {
                    let mut next = 0;
                    while Instant::now() < until {
                        self.link(member, &frames, &mut next, until, &mut sent).await;
                    }
                }
            }
        });
        // Readers that never read hold the runtime's tasks.
        runtime.shutdown_timeout(Duration::from_millis(100));
        Ok(sent)
    }

    /// One link, from dialling until it ends.
    async fn link(self, member: &Member, frames: &[Vec<u8>], next: &mut usize, until: Instant, sent: &mut Sent) {
        let Ok(mut client) = member.dial().await else {
            sent.not_let_in += 1;
            tokio::time::sleep(RETRY_PAUSE).await;
            return;
        };
        let (sender, receiver) = mpsc::channel(16);
        // There is room for it: the channel is empty.
        let _ = sender.try_send(member.hello());
        let replies = match client.link(ReceiverStream::new(receiver)).await {
            Ok(replies) => replies.into_inner(),
            Err(status) => {
                sent.told(status.message());
                return;
            }
        };
        sent.links += 1;
        let deadline = tokio::time::Instant::from_std(until);
        let (frames_sent, bytes_sent) = (AtomicU64::new(0), AtomicU64::new(0));
        let sending = async {
            loop {
                if self.is_sent_once() && *next >= frames.len() {
                    std::future::pending::<()>().await;
                }
                let frame = frames[*next % frames.len()].clone();
                *next += 1;
                bytes_sent.fetch_add(frame.len() as u64, Ordering::Relaxed);
                frames_sent.fetch_add(1, Ordering::Relaxed);
                if sender.send(RawFrame::from(frame)).await.is_err() {
                    // The other side has ended it; why is read beside.
                    std::future::pending::<()>().await;
                }
            }
        };
        let reading = async {
            if self == Flood::NeverReads {
                std::future::pending::<()>().await;
            }
            reason(replies).await
        };
        let reason = tokio::select! {
            reason = reading => reason,
            () = sending => None,
            () = tokio::time::sleep_until(deadline) => None,
        };
        sent.frames += frames_sent.into_inner();
        sent.bytes += bytes_sent.into_inner();
        if let Some(reason) = reason {
            sent.told(&reason);
        }
    }
}

/// Reads what the node says until it says why the link ends.
async fn reason(mut replies: Streaming<RawFrame>) -> Option<String> {
    loop {
        match replies.message().await {
            Ok(Some(frame)) => {
                let frame = v1::Frame::decode(frame.into_bytes().as_slice()).ok();
                if let Some(Content::Bye(bye)) = frame.and_then(|frame| frame.content) {
                    return Some(format!("{}: {}", bye.code().as_str_name(), bye.message));
                }
            }
            Ok(None) => return Some("the stream ended".to_owned()),
            Err(status) => return Some(words(&status)),
        }
    }
}

fn words(status: &Status) -> String {
    format!("{:?}: {}", status.code(), status.message())
}

async fn connect_again_and_again(member: &Member, until: Instant, sent: &mut Sent) {
    let (up, refused) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let one_by_one = |_| {
        let (up, refused) = (Arc::clone(&up), Arc::clone(&refused));
        async move {
            while Instant::now() < until {
                match member.dial().await {
                    Ok(client) => {
                        up.fetch_add(1, Ordering::Relaxed);
                        drop(client);
                    }
                    Err(_) => {
                        refused.fetch_add(1, Ordering::Relaxed);
                        tokio::time::sleep(RETRY_PAUSE).await;
                    }
                }
            }
        }
    };
    let mut all: Vec<_> = (0..CONNECTIONS_AT_ONCE).map(one_by_one).map(Box::pin).collect();
    std::future::poll_fn(|context| {
        all.retain_mut(|one| one.as_mut().poll(context).is_pending());
        if all.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    sent.links = up.load(Ordering::Relaxed);
    sent.not_let_in = refused.load(Ordering::Relaxed);
}

async fn open_streams(member: &Member, until: Instant, sent: &mut Sent) {
    while Instant::now() < until {
        let Ok(mut client) = member.dial().await else {
            sent.not_let_in += 1;
            tokio::time::sleep(RETRY_PAUSE).await;
            continue;
        };
        while Instant::now() < until {
            let (sender, receiver) = mpsc::channel(1);
            let _ = sender.try_send(member.hello());
            sent.frames += 1;
            match client.link(ReceiverStream::new(receiver)).await {
                // Dropped at once, which resets it.
                Ok(_) => sent.links += 1,
                Err(status) => {
                    sent.told(&words(&status));
                    break;
                }
            }
        }
    }
}
