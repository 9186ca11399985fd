//! The feed as its readers see it: requests into the router, no sockets.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use serde_json::Value;
use tower::ServiceExt;

use super::memory::MemoryDirectory;
use super::{FeedSettings, router};

mod calendar;
mod hsds;
mod http;
mod network;
mod page;
mod rpde;
mod schema;

/// Where the feed of the tests is reached.
const BASE: &str = "https://feed.example";

struct Got {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    fn header(&self, name: &str) -> String {
        let values: Vec<&str> = self.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect();
        values.join(", ")
    }
}

fn feed_of(directory: &Arc<MemoryDirectory>) -> Router {
    router(directory.clone(), FeedSettings { base_url: Some(BASE.to_owned()), ..FeedSettings::default() })
}

async fn send(feed: &Router, method: Method, path: &str, headers: &[(&str, &str)]) -> Got {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = feed.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    Got { status: parts.status, headers: parts.headers, body }
}

async fn get(feed: &Router, path: &str) -> Got {
    send(feed, Method::GET, path, &[]).await
}

/// A page that must be there, as JSON.
async fn get_json(feed: &Router, path: &str) -> Value {
    let got = get(feed, path).await;
    assert_eq!(got.status, StatusCode::OK, "{path}: {}", got.text());
    got.json()
}
