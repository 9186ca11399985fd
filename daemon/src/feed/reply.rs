//! Answers: their headers, entity tags, conditional requests and errors.
//!
//! In: a rendered body. Out: an HTTP response with a strong entity tag, `Vary`, caching and safety headers.
//! Always: equal bodies have equal tags, and a compressed answer has another tag than the plain one.
//! Spec: `spec/10-feed.md`, sections 3 and 8. Tested: `feed/tests/http.rs`.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use fingerpost_proto::kind::Kind;
use serde_json::json;

use super::directory::DirectoryError;
use super::limits::{QUERY_BYTES_MAX, READ_BYTES_MAX};

/// How long an ordinary answer may be reused without asking again.
const CACHE_SHORT: &str = "public, max-age=60";
/// Scripts never run, nothing is loaded from elsewhere, forms stay here.
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'";

/// Why a request gets no ordinary answer.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Refusal {
    #[error("parameter {name} is {found:?}; it must be {wanted}")]
    Parameter { name: &'static str, found: String, wanted: &'static str },
    #[error("parameter {name} is not supported by this feed; leave it out and filter the result")]
    UnsupportedParameter { name: &'static str },
    #[error("the query has {found_bytes} bytes, the limit is {QUERY_BYTES_MAX}; shorten it")]
    QueryTooLong { found_bytes: usize },
    #[error(
        "this page would need more than {READ_BYTES_MAX} bytes of records; ask for a smaller per_page, or full=false"
    )]
    PageTooLarge,
    #[error("there is no such {what} here")]
    NotFound { what: String },
    #[error(
        "this {kind} was withdrawn by its publisher, nobody confirmed it in time, or its publisher is not shown any more"
    )]
    Gone { kind: Kind },
    #[error("only GET and HEAD are answered here")]
    Method,
    #[error("this node is busy; try again in a minute")]
    Busy,
    #[error(
        "too many requests from this address; ask again in {seconds} s, more slowly, and use the change lists or the entity tags"
    )]
    TooMany { seconds: u64 },
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    #[error("the page could not be written: {reason}")]
    Rendering { reason: String },
}

impl Refusal {
    /// The HTTP status that says whose fault it is.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Refusal::Parameter { .. } | Refusal::UnsupportedParameter { .. } | Refusal::PageTooLarge => {
                StatusCode::BAD_REQUEST
            }
            Refusal::QueryTooLong { .. } => StatusCode::URI_TOO_LONG,
            Refusal::NotFound { .. } => StatusCode::NOT_FOUND,
            Refusal::Gone { .. } => StatusCode::GONE,
            Refusal::Method => StatusCode::METHOD_NOT_ALLOWED,
            Refusal::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Refusal::Busy | Refusal::Directory(_) => StatusCode::SERVICE_UNAVAILABLE,
            Refusal::Rendering { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What the reader is told. The store's own words stay in the log.
    pub(crate) fn message(&self) -> String {
        match self {
            Refusal::Directory(_) => "this node cannot read its records at the moment; try again later".to_owned(),
            Refusal::Rendering { .. } => {
                "this page could not be written; tell the administrator of this node".to_owned()
            }
            other => other.to_string(),
        }
    }

    /// The answer as JSON.
    pub(crate) fn into_json_reply(self) -> Reply {
        let status = self.status();
        let mut reply = Reply::json(&json!({ "status": status.as_u16(), "error": self.message() }));
        reply.status = status;
        reply.cache_control = "no-store";
        reply
    }
}

/// An answer before it becomes a response.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) content_type: &'static str,
    pub(crate) body: Vec<u8>,
    /// Languages of the texts, in the form of the header; empty: not said.
    pub(crate) content_language: String,
    pub(crate) cache_control: &'static str,
    /// Request headers, besides `Accept-Encoding`, that change the answer.
    pub(crate) vary: &'static str,
}

impl Reply {
    fn new(content_type: &'static str, body: Vec<u8>) -> Reply {
        Reply {
            status: StatusCode::OK,
            content_type,
            body,
            content_language: String::new(),
            cache_control: CACHE_SHORT,
            vary: "Accept-Language",
        }
    }

    /// A JSON document.
    pub(crate) fn json(value: &serde_json::Value) -> Reply {
        Reply::new("application/json", value.to_string().into_bytes())
    }

    /// An HTML page.
    pub(crate) fn html(page: String) -> Reply {
        Reply::new("text/html; charset=utf-8", page.into_bytes())
    }

    /// A calendar.
    pub(crate) fn calendar(text: String) -> Reply {
        Reply::new("text/calendar; charset=utf-8", text.into_bytes())
    }

    /// Bytes as they are.
    pub(crate) fn bytes(body: Vec<u8>) -> Reply {
        Reply { vary: "", ..Reply::new("application/octet-stream", body) }
    }

    /// The HTTP response.
    pub(crate) fn into_response(self) -> Response {
        let tag = format!("\"{}\"", &blake3::hash(&self.body).to_hex()[..32]);
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(self.cache_control));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY));
        if !self.vary.is_empty() {
            headers.insert(header::VARY, HeaderValue::from_static(self.vary));
        }
        if self.status == StatusCode::OK
            && let Ok(tag) = HeaderValue::from_str(&tag)
        {
            headers.insert(header::ETAG, tag);
        }
        if let Ok(languages) = HeaderValue::from_str(&self.content_language)
            && !languages.is_empty()
        {
            headers.insert(header::CONTENT_LANGUAGE, languages);
        }
        response
    }
}

/// Ending that marks the tag of a compressed answer.
const GZIP_TAG_END: &str = "-gzip\"";

/// Middleware outside compression: answers HEAD and conditional requests, and gives compressed answers their own tag.
///
/// A strong tag names exact bytes, so the compressed form needs another one; both forms revalidate either tag,
/// because both are made from the same body.
pub(crate) async fn conditional(mut request: Request, next: Next) -> Response {
    if request.method() == Method::HEAD {
        // Asked as GET inside, so that every header of a HEAD answer is that of the GET answer. The router takes the
        // body away outside, after its length is known.
        *request.method_mut() = Method::GET;
    }
    let wanted = request.headers().get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let mut response = next.run(request).await;
    let compressed = response.headers().get(header::CONTENT_ENCODING).is_some_and(|coding| coding == "gzip");
    // Without Content-Encoding the same URL may still be compressed for another reader.
    add_vary(response.headers_mut(), "Accept-Encoding");
    if let Some(plain) = response.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned) {
        let tag = if compressed { plain.trim_end_matches('"').to_owned() + GZIP_TAG_END } else { plain.clone() };
        if let Ok(value) = HeaderValue::from_str(&tag) {
            response.headers_mut().insert(header::ETAG, value);
        }
        if wanted.is_some_and(|wanted| names(&wanted, &plain)) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            for gone in [header::CONTENT_LENGTH, header::CONTENT_TYPE, header::CONTENT_ENCODING] {
                response.headers_mut().remove(gone);
            }
            // A body of length 0 would be announced as the length of the document.
            *response.body_mut() = Body::from_stream(tokio_stream::empty::<Result<Bytes, Infallible>>());
        }
    }
    response
}

/// True when an `If-None-Match` value names the tag of the plain body, in its plain or compressed form.
fn names(wanted: &str, plain: &str) -> bool {
    let inner = plain.trim_matches('"');
    wanted.split(',').map(str::trim).any(|tag| {
        let tag = tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"');
        tag == "*" || tag == inner || tag.strip_suffix("-gzip") == Some(inner)
    })
}

fn add_vary(headers: &mut HeaderMap, name: &'static str) {
    let present = headers.get_all(header::VARY).iter().any(|value| {
        value.to_str().is_ok_and(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(name)))
    });
    if !present {
        headers.append(header::VARY, HeaderValue::from_static(name));
    }
}
