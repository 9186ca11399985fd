//! A directory in memory for the feed, and the feed over it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::to_bytes;
use axum::http::{Request, Response, StatusCode, header};
use fingerpost_daemon::feed::directory::{Change, Directory, DirectoryError, Entry, Lookup, Removed, Roll, Signatory};
use fingerpost_daemon::feed::{FeedSettings, router};
use fingerpost_proto::id::{NetworkId, OrgId, RecordId, Vid};
use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::node::Completeness;
use fingerpost_proto::time::{Hlc, UnixMillis};
use fingerpost_proto::v1;
use tower::ServiceExt;

use super::body::{NOW_MS, PUBLISHER, header};

/// Largest answer of the feed that is taken for sane, in bytes. Far above what a page of 250 records takes.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Records that nobody changes.
#[derive(Debug)]
pub struct Shelf {
    entries: BTreeMap<RecordId, Entry>,
    network: String,
    publisher: String,
}

impl Shelf {
    /// Nothing yet, in a network of this name, all by a publisher of this name.
    pub fn named(network: &str, publisher: &str) -> Shelf {
        Shelf { entries: BTreeMap::new(), network: network.to_owned(), publisher: publisher.to_owned() }
    }

    /// Adds a record and returns its id.
    pub fn publish(&mut self, kind: Kind, local_id: &str, body: Vec<u8>) -> RecordId {
        let header = header(kind, Audience::Public, local_id);
        let envelope = [b"signature and header".as_slice(), &body].concat();
        let entry = Entry {
            record: header.record,
            org: PUBLISHER,
            kind,
            hlc: header.hlc,
            lease_until: header.lease_until,
            vid: Vid::of_envelope(&envelope),
            arrival: self.entries.len() as u64 + 1,
            publisher_name: self.publisher.clone(),
            body,
            envelope,
        };
        self.entries.insert(header.record, entry);
        header.record
    }

    fn of(&self, kind: Kind) -> impl Iterator<Item = &Entry> {
        self.entries.values().filter(move |entry| entry.kind == kind)
    }
}

impl Directory for Shelf {
    fn generation(&self) -> u64 {
        self.entries.len() as u64
    }

    fn now_ms(&self) -> UnixMillis {
        NOW_MS
    }

    fn network_name(&self) -> String {
        self.network.clone()
    }

    fn licence_url(&self) -> String {
        "https://creativecommons.org/licenses/by/4.0/".to_owned()
    }

    fn count(&self, kind: Kind) -> usize {
        self.of(kind).count()
    }

    fn page(&self, kind: Kind, offset: usize, limit: usize) -> Result<Vec<Entry>, DirectoryError> {
        Ok(self.of(kind).skip(offset).take(limit).cloned().collect())
    }

    fn record(&self, id: &RecordId) -> Result<Lookup, DirectoryError> {
        let found = self.entries.get(id).map(|entry| Lookup::Live(Box::new(entry.clone())));
        Ok(found.unwrap_or(Lookup::Unknown))
    }

    fn changes(&self, kind: Kind, after: u64, limit: usize) -> Result<Vec<Change>, DirectoryError> {
        let mut entries: Vec<&Entry> = self.of(kind).filter(|entry| entry.arrival > after).collect();
        entries.sort_by_key(|entry| entry.arrival);
        Ok(entries.into_iter().take(limit).map(|entry| Change::Updated(Box::new(entry.clone()))).collect())
    }

    /// A charter and a member in which every text is the network's or the publisher's name.
    fn completeness(&self, _: &OrgId) -> Option<Completeness> {
        Some(Completeness { head: Hlc(u64::MAX), complete_as_of: Some(Hlc(0)), lacking_since: None })
    }

    fn roll(&self) -> Option<Arc<Roll>> {
        let text = v1::Charter {
            name: self.network.clone(),
            purpose: self.network.clone(),
            principles: vec![self.network.clone()],
            licence_url: self.licence_url(),
            ..Default::default()
        };
        let member = Signatory {
            org: PUBLISHER,
            name: self.publisher.clone(),
            is_founder: true,
            since_ms: Some(NOW_MS),
            vouched_by: Vec::new(),
        };
        Some(Arc::new(Roll { network: NetworkId([9; 32]), charter: text, signatories: vec![member] }))
    }

    fn removed(&self, _: Kind, _: usize) -> Result<Vec<Removed>, DirectoryError> {
        Ok(Vec::new())
    }
}

/// The answer to a GET request: status, content type, body.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The content type, without its parameters.
    pub content_type: String,
    /// The body.
    pub text: String,
}

/// The feed over some records.
#[derive(Debug)]
pub struct Site {
    feed: axum::Router,
    runtime: tokio::runtime::Runtime,
}

impl Site {
    /// A feed that shows these records.
    pub fn new(shelf: Shelf) -> Site {
        let settings = FeedSettings { base_url: Some("https://feed.example".to_owned()), ..FeedSettings::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        Site { feed: router(Arc::new(shelf), settings), runtime }
    }

    /// Asks for a path with its query, as a browser or as a program.
    pub fn get(&self, path: &str, accept: &str) -> Answer {
        let request = Request::get(path).header(header::ACCEPT, accept).body(axum::body::Body::empty());
        self.ask(request.expect("a path without odd characters"))
    }

    /// Answers a request. Panics when the answer lacks what every answer must have.
    pub fn ask(&self, request: Request<axum::body::Body>) -> Answer {
        self.runtime.block_on(async {
            let Ok(response) = self.feed.clone().oneshot(request).await;
            check_headers(&response);
            let (parts, body) = response.into_parts();
            let bytes = to_bytes(body, ANSWER_BYTES_MAX).await.expect("an answer within bounds");
            let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
            let content_type = content_type.unwrap_or_default().split(';').next().unwrap_or_default().to_owned();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            Answer { status: parts.status, content_type, text }
        })
    }
}

fn check_headers<B>(response: &Response<B>) {
    let status = response.status();
    assert_ne!(status, StatusCode::INTERNAL_SERVER_ERROR, "no request makes the feed fail");
    let value = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // What the router answers without us has no body.
    if status.is_success() {
        assert_eq!(value(header::X_CONTENT_TYPE_OPTIONS), "nosniff");
        assert!(value(header::CONTENT_SECURITY_POLICY).starts_with("default-src 'none'"), "no script ever runs");
    }
}
