//! Free ports that a daemon can have again after a restart.
//!
//! They lie below the range from which the kernel takes ports for outgoing connections: while a daemon is down nobody
//! gets its port by accident.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

const FIRST: u16 = 10_240;
const COUNT: u16 = 20_000;

/// A loopback address on which nobody listens now, and which this process gives out once.
pub(super) fn free() -> Option<SocketAddr> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test processes that run beside each other begin at different places.
    let start = (std::process::id() % u32::from(COUNT)) as u16;
    (0..COUNT).find_map(|_| {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (u32::from(start) * 97 + u32::from(step)).rem_euclid(u32::from(COUNT)) as u16;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        TcpListener::bind(address).is_ok().then_some(address)
    })
}
