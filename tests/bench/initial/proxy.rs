//! A TCP relay on the loopback interface that counts what passes: TLS records with all that is in them, nothing of TCP.
//!
//! Its threads end with their connections; the one that accepts ends with the process.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Instant;

/// Bytes that are carried at once.
const BUFFER_BYTES: usize = 128 * 1024;

/// What passed.
#[derive(Default)]
struct Counters {
    /// From those who dial.
    up: AtomicU64,
    /// To them.
    down: AtomicU64,
    first: OnceLock<Instant>,
}

/// A relay to one address.
pub(crate) struct Proxy {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    counters: Arc<Counters>,
}

impl Proxy {
    /// Relays every connection to `target`, which need not listen yet.
    pub(crate) fn start(target: SocketAddr) -> io::Result<Proxy> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let counters = Arc::new(Counters::default());
        let shared = Arc::clone(&counters);
        thread::Builder::new().name("proxy".to_owned()).spawn(move || {
            for stream in listener.incoming() {
                // A connection that cannot be relayed is closed; the dialler tries again.
                let _ = stream.and_then(|stream| relay(stream, target, &shared));
            }
        })?;
        Ok(Proxy { address, counters })
    }

    /// Bytes from the dialling side and to it, so far.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        (self.counters.up.load(Ordering::Relaxed), self.counters.down.load(Ordering::Relaxed))
    }

    /// When the first connection came.
    pub(crate) fn first_connection(&self) -> Option<Instant> {
        self.counters.first.get().copied()
    }
}

fn relay(dialler: TcpStream, target: SocketAddr, counters: &Arc<Counters>) -> io::Result<()> {
    let server = TcpStream::connect(target)?;
    counters.first.get_or_init(Instant::now);
    for stream in [&dialler, &server] {
        stream.set_nodelay(true)?;
    }
    let (from_dialler, from_server) = (dialler.try_clone()?, server.try_clone()?);
    let (up, down) = (Arc::clone(counters), Arc::clone(counters));
    thread::Builder::new().name("proxy-up".to_owned()).spawn(move || carry(from_dialler, server, &up.up))?;
    thread::Builder::new().name("proxy-down".to_owned()).spawn(move || carry(from_server, dialler, &down.down))?;
    Ok(())
}

/// Until either side is gone; then the other is told.
fn carry(mut from: TcpStream, mut to: TcpStream, counter: &AtomicU64) {
    let mut buffer = vec![0; BUFFER_BYTES];
    while let Ok(bytes @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..bytes]).is_err() {
            break;
        }
        counter.fetch_add(bytes as u64, Ordering::Relaxed);
    }
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}
