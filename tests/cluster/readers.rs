//! Who reads is nobody's business: no reader's address, program or question is written down or shown.

use std::time::Duration;

use fingerpost_tests::cluster::{Cluster, FEED_PAGES, Publisher, files_holding, service};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

/// Longest wait for an answer; half a request gets none.
const ANSWER_WAIT: Duration = Duration::from_millis(500);
/// What tells who the reader is: the address it comes from, those that a proxy adds, its program, where it was, what it asks.
const TRACES: [&str; 6] =
    ["127.77.66.55", "203.0.113.77", "Borrowed-Telephone", "forum.example", "session-8f3a", "deportation"];

/// Sends bytes from the reader's own address and reads the answer, if one comes.
async fn send(feed: &str, bytes: &[u8]) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{}:0", TRACES[0]).parse().unwrap()).unwrap();
    let mut stream = socket.connect(feed.parse().unwrap()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    // A node may cut what it does not like.
    let _ = tokio::time::timeout(ANSWER_WAIT, stream.read_to_end(&mut answer)).await;
}

fn request(method: &str, path: &str) -> Vec<u8> {
    let [_, proxy, program, referer, cookie, _] = TRACES;
    format!(
        "{method} {path} HTTP/1.0\r\nHost: x\r\nX-Forwarded-For: {proxy}\r\nForwarded: for={proxy}\r\nUser-Agent: {program}\r\n\
         Referer: https://{referer}/\r\nCookie: id={cookie}\r\n\r\n"
    )
    .into_bytes()
}

#[test]
fn no_log_feed_or_file_holds_a_readers_address_program_or_question() {
    let mut cluster = Cluster::found(1).unwrap();
    Publisher::open(&cluster.nodes[0], &cluster.nodes[0]).unwrap().publish(&[service("law", "Law clinic")]).unwrap();
    let url = cluster.nodes[0].feed_url().unwrap();
    let feed = url.trim_start_matches("http://").to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let question = TRACES[5];
        for page in FEED_PAGES {
            send(&feed, &request("GET", page)).await;
        }
        for (method, path) in [
            ("GET", format!("/services?search={question}")),
            ("GET", format!("/directory?q={question}")),
            ("GET", format!("/{question}")),
            ("GET", format!("/services/{question}")),
            ("GET", format!("/services?page={question}")),
            ("GET", format!("/services?search={}", question.repeat(300))),
            ("POST", format!("/services?{question}")),
            ("HEAD", "/directory".to_owned()),
        ] {
            send(&feed, &request(method, &path)).await;
        }
        send(&feed, b"\x16\x03\x01 no HTTP at all\r\n\r\n").await;
        send(&feed, &request("GET", "/services")[..60]).await;
        let long = [request("GET", "/services"), vec![b'a'; 64 * 1024]].concat();
        send(&feed, &long[..long.len() - 2]).await;
    });
    let node = &mut cluster.nodes[0];
    for page in FEED_PAGES {
        let text = node.feed(page).unwrap().text();
        TRACES.iter().for_each(|trace| assert!(!text.contains(trace), "{trace} on {page}"));
    }
    node.terminate().unwrap();
    assert!(node.log().contains("node has stopped"), "the log was written");
    for trace in TRACES {
        // The log lies in the home as well.
        assert_eq!(files_holding(node.home(), trace).unwrap(), Vec::<std::path::PathBuf>::new(), "{trace}");
    }
}
