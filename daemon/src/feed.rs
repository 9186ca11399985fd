//! The HTTP feed: what directory sites, calendars and readers get from a node.
//!
//! In: anonymous GET and HEAD requests. Out: HSDS JSON, RPDE change lists, a calendar, plain HTML pages, signed bytes.
//! Always: only what [`directory::Directory`] shows, never an unescaped foreign text, never more than the limits in
//! [`limits`]; every answer carries a strong entity tag. Spec: `spec/10-feed.md`. Tested: `feed/tests.rs`.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{RawPathParams, State};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header};
use axum::middleware;
use axum::response::Response;
use axum::routing::{MethodRouter, get};
use fingerpost_proto::kind::Kind;
use tokio::sync::Semaphore;
use tower_http::compression::CompressionLayer;
use tower_http::cors::{Any, CorsLayer};
use tower_http::timeout::TimeoutLayer;

use directory::{Directory, Lookup};
use index::Index;
use limits::{RENDERS_AT_ONCE_MAX, REQUEST_TIMEOUT_DEFAULT};
use reader::Reader;
use reply::{Refusal, Reply};
use request::Ask;

mod calendar;
pub mod directory;
mod hsds;
mod index;
mod instant;
mod language;
pub mod limits;
mod page;
mod reader;
mod reply;
mod request;
mod rpde;
mod safe;
mod search;
mod structured;
