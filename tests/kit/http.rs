//! A small HTTP/1.1 reader for the tests: one kept connection, GET only, no compression.
//!
//! In: a node's feed address. Out: status and body. Always: waits at most [`ANSWER_WAIT_MAX`] for an answer.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest wait for an answer.
pub const ANSWER_WAIT_MAX: Duration = Duration::from_secs(30);
/// Largest body that is read, in bytes.
const BODY_BYTES_MAX: usize = 256 * 1024 * 1024;

/// A kept connection to one feed.
#[derive(Debug)]
pub struct FeedReader {
    address: SocketAddr,
    connection: BufReader<TcpStream>,
}

/// What a feed answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON. Errors: says what is wrong with it.
    pub fn json(&self) -> io::Result<serde_json::Value> {
        serde_json::from_slice(&self.body).map_err(|error| invalid(error.to_string()))
    }
}

fn invalid(reason: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.into())
}

impl FeedReader {
    /// Connects. `url` is `http://address:port`, as a node's status shows it; a path behind it is ignored.
    pub fn connect(url: &str) -> io::Result<FeedReader> {
        let authority = url.strip_prefix("http://").and_then(|rest| rest.split('/').next());
        let address = authority.and_then(|text| text.parse().ok()).ok_or_else(|| invalid(format!("no feed: {url}")))?;
        Ok(FeedReader { address, connection: open(address)? })
    }

    /// `GET path`. Connects anew when the node has closed the connection since the last answer.
    pub fn get(&mut self, path: &str) -> io::Result<Answer> {
        match self.ask(path) {
            Err(error) if is_closed(&error) => {
                self.connection = open(self.address)?;
                self.ask(path)
            }
            answer => answer,
        }
    }

    fn ask(&mut self, path: &str) -> io::Result<Answer> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nAccept: application/json\r\n\r\n", self.address);
        self.connection.get_mut().write_all(request.as_bytes())?;
        let status_line = self.line()?;
        let status = status_line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| invalid(format!("no status: {status_line:?}")))?;
        let (mut length, mut is_chunked) = (None, false);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            match line.split_once(':').map(|(name, value)| (name, value.trim())) {
                _ if line.is_empty() => break,
                Some(("content-length", value)) => length = value.parse::<usize>().ok(),
                Some(("transfer-encoding", value)) => is_chunked = value.contains("chunked"),
                _ => {}
            }
        }
        let body = match length {
            Some(length) => self.bytes(length)?,
            None if is_chunked => self.chunks()?,
            None => Vec::new(),
        };
        Ok(Answer { status, body })
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.connection.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        line.truncate(line.trim_end_matches(['\r', '\n']).len());
        Ok(line)
    }

    fn bytes(&mut self, length: usize) -> io::Result<Vec<u8>> {
        if length > BODY_BYTES_MAX {
            return Err(invalid(format!("a body of {length} bytes")));
        }
        let mut bytes = vec![0; length];
        self.connection.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            let size = line.split(';').next().and_then(|digits| usize::from_str_radix(digits.trim(), 16).ok());
            let size = size.ok_or_else(|| invalid(format!("no chunk size: {line:?}")))?;
            if body.len() + size > BODY_BYTES_MAX {
                return Err(invalid("a body without end"));
            }
            body.extend(self.bytes(size)?);
            self.line()?;
            if size == 0 {
                return Ok(body);
            }
        }
    }
}

fn open(address: SocketAddr) -> io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_WAIT_MAX))?;
    Ok(BufReader::with_capacity(64 * 1024, stream))
}

fn is_closed(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::TcpListener;

    use super::*;

    /// Answers each connection with the given bytes, one for each request on it.
    fn serve(answers: Vec<Vec<&'static str>>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for connection in answers {
                let mut reader = BufReader::new(listener.accept().unwrap().0);
                for answer in connection {
                    let mut line = String::new();
                    while reader.read_line(&mut line).unwrap() > 2 {
                        line.clear();
                    }
                    reader.get_mut().write_all(answer.as_bytes()).unwrap();
                }
            }
        });
        url
    }

    #[test]
    fn several_answers_are_read_from_one_connection_and_a_closed_one_is_opened_again() {
        let sized = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        let chunked =
            "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n";
        let url = serve(vec![vec![sized, chunked], vec![sized]]);
        let mut reader = FeedReader::connect(&url).unwrap();
        assert_eq!(reader.get("/").unwrap().json().unwrap(), serde_json::json!({}));
        assert_eq!(reader.get("/").unwrap(), Answer { status: 404, body: b"abcde".to_vec() });
        assert_eq!(reader.get("/").unwrap().status, 200);
    }

    #[test]
    fn what_is_no_http_is_an_error() {
        let url = serve(vec![vec!["hello\r\n\r\n"]]);
        assert!(FeedReader::connect(&url).unwrap().get("/").is_err());
        assert!(FeedReader::connect("ftp://127.0.0.1:1").is_err());
    }
}
