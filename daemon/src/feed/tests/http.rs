//! What holds for every endpoint: tags, conditions, compression, methods, errors.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use fingerpost_proto::kind::Kind;

use super::{feed_of, get, send};
use crate::feed::memory::{id, rich_directory, rich_service};
use crate::feed::{FeedSettings, router};

/// One address of each endpoint.
fn addresses() -> Vec<String> {
    let service = id(Kind::SERVICE, "drop-in");
    let mut all: Vec<String> = [
        "/",
        "/services",
        "/organizations",
        "/service_at_locations",
        "/taxonomies",
        "/taxonomy_terms",
        "/rpde/services",
        "/rpde/events",
        "/rpde/organizations",
        "/rpde/locations",
        "/events.ics",
        "/directory",
    ]
    .map(str::to_owned)
    .to_vec();
    all.extend([format!("/services/{service}"), format!("/directory/{service}"), format!("/records/{service}/signed")]);
    all
}

#[tokio::test]
async fn every_answer_has_a_strong_tag_and_is_not_sent_twice() {
    let feed = feed_of(&Arc::new(rich_directory()));
    for path in addresses() {
        let got = get(&feed, &path).await;
        assert_eq!(got.status, StatusCode::OK, "{path}");
        let tag = got.header("etag");
        assert!(tag.starts_with('"') && tag.len() == 34, "{path}: {tag}");
        assert_eq!(got.header("access-control-allow-origin"), "*", "{path}");
        assert_eq!(got.header("x-content-type-options"), "nosniff", "{path}");
        assert!(got.header("vary").to_lowercase().contains("accept-encoding"), "{path}");
        for wanted in [tag.clone(), format!("\"other\", {tag}"), format!("W/{tag}"), "*".to_owned()] {
            let again = send(&feed, Method::GET, &path, &[("if-none-match", &wanted)]).await;
            assert_eq!(again.status, StatusCode::NOT_MODIFIED, "{path} {wanted}");
            assert!(again.body.is_empty());
            assert!(again.header("content-length").is_empty());
            assert_eq!(again.header("etag"), tag);
            assert!(!again.header("cache-control").is_empty());
        }
        let other = send(&feed, Method::GET, &path, &[("if-none-match", "\"other\"")]).await;
        assert_eq!(other.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_tag_changes_with_the_content() {
    let directory = Arc::new(rich_directory());
    let feed = feed_of(&directory);
    let tag = get(&feed, "/services").await.header("etag");
    let mut service = rich_service();
    service.name = "Another name".into();
    directory.publish(Kind::SERVICE, "drop-in", &service);
    let got = send(&feed, Method::GET, "/services", &[("if-none-match", &tag)]).await;
    assert_eq!(got.status, StatusCode::OK);
    assert_ne!(got.header("etag"), tag);
}

#[tokio::test]
async fn a_compressed_answer_has_its_own_tag_and_both_revalidate() {
    let feed = feed_of(&Arc::new(rich_directory()));
    for path in addresses().into_iter().filter(|path| !path.ends_with("/signed")) {
        let plain = get(&feed, &path).await;
        let gzip = send(&feed, Method::GET, &path, &[("accept-encoding", "gzip")]).await;
        assert_eq!(gzip.header("content-encoding"), "gzip", "{path}");
        assert_ne!(gzip.body, plain.body);
        assert_ne!(gzip.header("etag"), plain.header("etag"));
        assert!(gzip.header("etag").ends_with("-gzip\""));
        for tag in [plain.header("etag"), gzip.header("etag")] {
            let again = send(&feed, Method::GET, &path, &[("accept-encoding", "gzip"), ("if-none-match", &tag)]).await;
            assert_eq!(again.status, StatusCode::NOT_MODIFIED, "{path}");
            assert_eq!(again.header("etag"), gzip.header("etag"));
            assert!(again.header("content-encoding").is_empty());
        }
    }
}

#[tokio::test]
async fn head_answers_like_get_without_a_body() {
    let feed = feed_of(&Arc::new(rich_directory()));
    for path in addresses() {
        let get = get(&feed, &path).await;
        let head = send(&feed, Method::HEAD, &path, &[]).await;
        assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0), "{path}");
        for name in ["etag", "content-type", "content-length", "cache-control", "vary", "content-language"] {
            assert_eq!(head.header(name), get.header(name), "{path} {name}");
        }
        let again = send(&feed, Method::HEAD, &path, &[("if-none-match", &get.header("etag"))]).await;
        assert_eq!(again.status, StatusCode::NOT_MODIFIED);
    }
}

#[tokio::test]
async fn other_methods_are_refused_and_preflights_allowed() {
    let feed = feed_of(&Arc::new(rich_directory()));
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
        let got = send(&feed, method, "/services", &[]).await;
        assert_eq!(got.status, StatusCode::METHOD_NOT_ALLOWED);
        assert!(got.header("allow").contains("GET"), "{}", got.header("allow"));
        assert_eq!(got.json()["status"], 405);
    }
    let preflight = [("origin", "https://site.example"), ("access-control-request-method", "GET")];
    let got = send(&feed, Method::OPTIONS, "/services", &preflight).await;
    assert_eq!(got.status, StatusCode::OK);
    assert_eq!(got.header("access-control-allow-origin"), "*");
    assert!(got.header("access-control-allow-methods").contains("GET"));
}

#[tokio::test]
async fn what_is_unknown_is_404_and_what_was_withdrawn_410() {
    let directory = Arc::new(rich_directory());
    let feed = feed_of(&directory);
    let service = id(Kind::SERVICE, "drop-in");
    directory.withdraw(service);
    let unknown = id(Kind::SERVICE, "unknown");
    for path in ["/services", "/directory"] {
        assert_eq!(get(&feed, &format!("{path}/{service}")).await.status, StatusCode::GONE);
        assert_eq!(get(&feed, &format!("{path}/{unknown}")).await.status, StatusCode::NOT_FOUND);
        assert_eq!(get(&feed, &format!("{path}/seven")).await.status, StatusCode::BAD_REQUEST);
    }
    assert_eq!(get(&feed, &format!("/records/{service}/signed")).await.status, StatusCode::GONE);
    assert_eq!(get(&feed, &format!("/organizations/{service}")).await.status, StatusCode::NOT_FOUND);
    let got = get(&feed, "/no/such/page").await;
    assert_eq!((got.status, got.header("cache-control").as_str()), (StatusCode::NOT_FOUND, "no-store"));
    assert_eq!(got.json()["status"], 404);
    assert!(got.header("etag").is_empty());
    assert!(get(&feed, &format!("/directory/{service}")).await.text().contains("No longer there"));
    assert_eq!(get(&feed, &format!("/services?x={}", "y".repeat(3_000))).await.status, StatusCode::URI_TOO_LONG);
}

#[tokio::test]
async fn a_request_that_names_no_path_is_404_like_any_other_that_names_nothing() {
    let feed = feed_of(&Arc::new(rich_directory()));
    for target in ["example", "*"] {
        assert_eq!(get(&feed, target).await.status, StatusCode::NOT_FOUND, "{target}");
    }
}

#[tokio::test]
async fn a_path_that_is_no_text_is_refused_like_any_other_odd_parameter() {
    let got = get(&feed_of(&Arc::new(rich_directory())), "/directory/%ff").await;
    assert_eq!((got.status, got.header("content-type").as_str()), (StatusCode::BAD_REQUEST, "application/json"));
    assert_eq!(got.json()["status"], 400);
}

#[tokio::test]
async fn the_signed_bytes_are_served_as_they_are() {
    let feed = feed_of(&Arc::new(rich_directory()));
    let got = get(&feed, &format!("/records/{}/signed", id(Kind::SERVICE, "drop-in"))).await;
    assert_eq!(got.header("content-type"), "application/octet-stream");
    assert!(got.body.starts_with(b"signature and header"));
}

#[tokio::test]
async fn a_broken_store_is_503_and_keeps_its_secrets() {
    let directory = Arc::new(rich_directory());
    directory.break_store();
    let feed = feed_of(&directory);
    for path in ["/services", "/directory", "/rpde/services", "/events.ics"] {
        let got = get(&feed, path).await;
        assert_eq!(got.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert!(!got.text().contains("/var/lib"));
    }
}

#[tokio::test]
async fn the_root_describes_the_api_to_programs_and_greets_people() {
    let directory = Arc::new(rich_directory());
    let feed = feed_of(&directory);
    let got = get(&feed, "/").await;
    assert_eq!(got.json()["version"], "HSDS-UK-3.0");
    assert_eq!(got.json()["x_fingerpost"]["rpde"]["services"], "https://feed.example/rpde/services");
    assert!(got.json()["openapi_url"].as_str().unwrap().starts_with("https://"));
    assert!(got.header("vary").contains("Accept"));
    let html = send(&feed, Method::GET, "/", &[("accept", "text/html,*/*;q=0.8")]).await;
    assert!(html.header("content-type").starts_with("text/html"));
    assert!(html.text().contains("Harbour &#60;Network&#62;"));
    let by_host = router(directory, FeedSettings::default());
    let got = send(&by_host, Method::GET, "/rpde/services", &[("host", "node.example:8080")]).await;
    assert!(got.json()["next"].as_str().unwrap().starts_with("http://node.example:8080/rpde/services?"));
}

#[tokio::test]
async fn a_slow_store_does_not_hold_a_request_for_ever() {
    struct Slow(crate::feed::memory::MemoryDirectory);
    impl crate::feed::directory::Directory for Slow {
        fn generation(&self) -> u64 {
            0
        }
        fn now_ms(&self) -> u64 {
            0
        }
        fn network_name(&self) -> String {
            String::new()
        }
        fn licence_url(&self) -> String {
            String::new()
        }
        fn roll(&self) -> Option<std::sync::Arc<crate::feed::directory::Roll>> {
            None
        }
        fn completeness(&self, _: &fingerpost_proto::id::OrgId) -> Option<fingerpost_proto::node::Completeness> {
            None
        }
        fn count(&self, _: Kind) -> usize {
            std::thread::sleep(Duration::from_millis(500));
            0
        }
        fn page(&self, kind: Kind, offset: usize, limit: usize) -> PageResult {
            self.0.page(kind, offset, limit)
        }
        fn record(&self, id: &fingerpost_proto::id::RecordId) -> LookupResult {
            self.0.record(id)
        }
        fn changes(&self, kind: Kind, after: u64, limit: usize) -> ChangesResult {
            self.0.changes(kind, after, limit)
        }
        fn removed(&self, kind: Kind, limit: usize) -> RemovedResult {
            self.0.removed(kind, limit)
        }
    }
    use crate::feed::directory::{Change, DirectoryError, Entry, Lookup, Removed};
    type PageResult = Result<Vec<Entry>, DirectoryError>;
    type LookupResult = Result<Lookup, DirectoryError>;
    type ChangesResult = Result<Vec<Change>, DirectoryError>;
    type RemovedResult = Result<Vec<Removed>, DirectoryError>;
    let settings = FeedSettings { request_timeout: Duration::from_millis(20), ..FeedSettings::default() };
    let feed = router(Arc::new(Slow(rich_directory())), settings);
    assert_eq!(get(&feed, "/services").await.status, StatusCode::SERVICE_UNAVAILABLE);
}
