//! The HTTP feed: what directory sites, calendars and readers get from a node.
//!
//! In: anonymous GET and HEAD requests. Out: HSDS JSON, RPDE change lists, a calendar, plain HTML pages, signed bytes.
//! Always: only what [`directory::Directory`] shows, never an unescaped foreign text, never more than the limits in
//! [`limits`]; every answer carries a strong entity tag. Spec: `spec/10-feed.md`. Tested: `feed/tests.rs`.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
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
mod completeness;
pub mod directory;
mod hsds;
mod index;
pub(crate) mod instant;
mod language;
pub mod limits;
#[cfg(test)]
mod memory;
mod network;
mod page;
mod reader;
mod reply;
mod request;
mod rpde;
mod safe;
mod search;
pub(crate) mod serving;
mod structured;
#[cfg(test)]
mod tests;

/// How this node presents its feed.
#[derive(Clone, Debug)]
pub struct FeedSettings {
    /// Scheme and authority under which readers reach the feed, for example `https://help.example`. Without it the
    /// `Host` header of each request is believed and `http` assumed; set it whenever a proxy stands in front.
    pub base_url: Option<String>,
    /// Who answers for this feed as a whole; empty: the network's name.
    pub publisher_name: String,
    /// Identifier of that publisher from org-id.guide, for example `GB-CHC-123`; may be empty.
    pub publisher_identifier: String,
    /// E-mail address of that publisher; may be empty.
    pub publisher_email: String,
    /// Web address of that publisher; may be empty.
    pub publisher_website: String,
    /// A request that takes longer is answered with 503.
    pub request_timeout: Duration,
}

impl Default for FeedSettings {
    fn default() -> FeedSettings {
        FeedSettings {
            base_url: None,
            publisher_name: String::new(),
            publisher_identifier: String::new(),
            publisher_email: String::new(),
            publisher_website: String::new(),
            request_timeout: REQUEST_TIMEOUT_DEFAULT,
        }
    }
}

/// What all requests share.
struct Feed {
    directory: Arc<dyn Directory>,
    settings: FeedSettings,
    index: Index,
    renders: Arc<Semaphore>,
}

/// The feed as a service, to be served at the root of its own address: its pages link to each other from `/`.
///
/// Rendering runs on blocking threads, at most [`RENDERS_AT_ONCE_MAX`] at a time.
pub fn router(directory: Arc<dyn Directory>, settings: FeedSettings) -> Router {
    let timeout = settings.request_timeout;
    let renders = Arc::new(Semaphore::new(RENDERS_AT_ONCE_MAX));
    let feed = Arc::new(Feed { directory, settings, index: Index::default(), renders });
    let cors = CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::HEAD])
        .allow_headers(Any)
        .expose_headers([header::ETAG, header::CONTENT_LANGUAGE]);
    Router::new()
        .route("/", answer(root))
        .route("/services", answer(hsds::services))
        .route("/services/{id}", answer(hsds::service))
        .route("/organizations", answer(hsds::organisations))
        .route("/organizations/{id}", answer(hsds::organisation))
        .route("/service_at_locations", answer(hsds::services_at_locations))
        .route("/service_at_locations/{id}", answer(hsds::service_at_location))
        .route("/taxonomies", answer(hsds::taxonomies))
        .route("/taxonomies/{id}", answer(hsds::taxonomy))
        .route("/taxonomy_terms", answer(hsds::taxonomy_terms))
        .route("/taxonomy_terms/{id}", answer(hsds::taxonomy_term))
        .route("/rpde/services", answer(rpde::services))
        .route("/rpde/events", answer(rpde::events))
        .route("/rpde/organizations", answer(rpde::organisations))
        .route("/rpde/locations", answer(rpde::locations))
        .route("/events.ics", answer(calendar::events))
        .route("/directory", answer(page::list))
        .route("/directory/{id}", answer(page::record))
        .route("/records/{id}/signed", answer(signed))
        .route("/charter", answer(network::charter))
        .route("/members", answer(network::members))
        .fallback(handler(|_, _| Err(Refusal::NotFound { what: "page".to_owned() })))
        .method_not_allowed_fallback(handler(|_, _| Err(Refusal::Method)))
        .layer(CompressionLayer::new().gzip(true))
        .layer(middleware::from_fn(reply::conditional))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, timeout))
        .layer(cors)
        .with_state(feed)
}

/// Renders one endpoint; blocking.
type Render = fn(&Feed, &Reader<'_>) -> Result<Reply, Refusal>;

/// What stands in a request's path, or why nothing does.
type Parameters = Result<RawPathParams, RawPathParamsRejection>;

/// The answer of a handler, under way.
type Answer = Pin<Box<dyn Future<Output = Response> + Send>>;

fn answer(render: Render) -> MethodRouter<Arc<Feed>> {
    get(handler(render))
}

/// A handler that renders on a blocking thread.
fn handler(
    render: Render,
) -> impl Fn(State<Arc<Feed>>, Parameters, Uri, HeaderMap) -> Answer + Clone + Send + Sync + 'static {
    move |State(feed), parameters, uri, headers| {
        Box::pin(async move {
            let id = match parameters {
                Ok(parameters) => parameters.iter().find(|(name, _)| *name == "id").map(|(_, value)| value.to_owned()),
                // A target without a path: "*", or a host alone.
                Err(RawPathParamsRejection::MissingPathParams(_)) => None,
                Err(odd) => {
                    let found = odd.to_string();
                    let odd = Refusal::Parameter { name: "id", found, wanted: "text in UTF-8, percent-encoded" };
                    return odd.into_json_reply().into_response();
                }
            };
            let Ok(permit) = feed.renders.clone().acquire_owned().await else {
                return Refusal::Busy.into_json_reply().into_response();
            };
            let rendering = tokio::task::spawn_blocking(move || {
                // Held by the thread, not by the request: a reader who goes away does not free the thread.
                let _permit = permit;
                reply_to(&feed, render, &uri, &headers, id)
            });
            let broken = |error: tokio::task::JoinError| {
                tracing::error!(%error, "a feed page could not be rendered");
                Refusal::Rendering { reason: String::new() }.into_json_reply()
            };
            rendering.await.unwrap_or_else(broken).into_response()
        })
    }
}

/// The answer to one request, errors included: HTML for readers of pages, JSON for everybody else.
fn reply_to(feed: &Feed, render: Render, uri: &Uri, headers: &HeaderMap, id: Option<String>) -> Reply {
    let ask = match Ask::read(uri, headers, id, feed.settings.base_url.as_deref()) {
        Ok(ask) => ask,
        Err(refusal) => return refusal.into_json_reply(),
    };
    let reader = Reader::new(feed.directory.as_ref(), &ask);
    render(feed, &reader).unwrap_or_else(|refusal| {
        if let Refusal::Directory(error) = &refusal {
            tracing::error!(%error, path = ask.path, "the feed could not read the directory");
        }
        if ask.path.starts_with("/directory") || (ask.html && HTML_IF_WANTED.contains(&ask.path.as_str())) {
            page::refused(&reader, refusal)
        } else {
            refusal.into_json_reply()
        }
    })
}

/// `GET /`: the HSDS description of the API, or a start page for people.
fn root(feed: &Feed, reader: &Reader<'_>) -> Result<Reply, Refusal> {
    if reader.ask.html { page::start(feed, reader) } else { hsds::root(feed, reader) }
}

/// `GET /records/{id}/signed`: the envelope, for readers who check the signature themselves.
fn signed(_: &Feed, reader: &Reader<'_>) -> Result<Reply, Refusal> {
    match reader.directory().record(&reader.ask.record_in_path()?)? {
        Lookup::Live(entry) => Ok(Reply::bytes(entry.envelope)),
        Lookup::Gone { kind } => Err(Refusal::Gone { kind }),
        Lookup::Unknown => Err(Refusal::NotFound { what: "record".to_owned() }),
    }
}

/// Paths that answer with HTML or JSON, as the reader prefers.
const HTML_IF_WANTED: [&str; 3] = ["/", "/charter", "/members"];

/// The kinds that have pages, with their names in URLs and for people.
const PAGE_KINDS: [(Kind, &str, &str); 4] = [
    (Kind::SERVICE, "service", "Services"),
    (Kind::EVENT, "event", "Events"),
    (Kind::ORGANISATION, "organisation", "Organisations"),
    (Kind::LOCATION, "location", "Places"),
];
