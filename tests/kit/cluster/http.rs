//! Reading the feed as a plain HTTP client does.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::ClusterError;

/// Longest wait for a feed to answer.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// Largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// What the feed answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Status code.
    pub status: u16,
    /// Header lines, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// The first header of this name (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; `Null` when it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// Gets `path` (with its leading slash) from a feed at `base_url`, `http://ADDRESS`.
///
/// HTTP/1.0: the answer ends with the connection, so nothing has to be known about chunks.
pub fn get(base_url: &str, path: &str) -> Result<Reply, ClusterError> {
    request(base_url, "GET", path, &[])
}

/// The same with another method and with header fields.
pub fn request(base_url: &str, method: &str, path: &str, fields: &[(&str, &str)]) -> Result<Reply, ClusterError> {
    let what = format!("{method} {base_url}{path}");
    let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let address = base_url.trim_start_matches("http://");
    let fetch = || -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(ANSWER_WAIT))?;
        write!(stream, "{method} {path} HTTP/1.0\r\nHost: {address}\r\n{fields}\r\n")?;
        let mut answer = Vec::new();
        stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
        Ok(answer)
    };
    let answer = fetch().map_err(ClusterError::system(&what))?;
    read(&answer).ok_or_else(|| ClusterError::Incomplete {
        name: address.to_owned(),
        answer: what,
        part: "HTTP header".to_owned(),
    })
}

fn read(answer: &[u8]) -> Option<Reply> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let header = |line: &str| line.split_once(':').map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()));
    Some(Reply { status, headers: lines.filter_map(header).collect(), body: answer[end + 4..].to_vec() })
}
