//! Seats: the bounded table of sockets that a listener holds.
//!
//! In: addresses of new sockets, keys of those that finished the handshake. Out: a [`Seat`] per socket, or which limit
//! is reached. Always: the counts equal the seats that exist; dropping a seat frees its place.
//! Spec: `spec/06-link.md`, section 1.6. Tested below and in `transport/tests.rs`.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fingerpost_proto::id::OrgId;
use fingerpost_proto::key::PublicKey;
use tokio::sync::oneshot;

use super::listener::ListenerLimits;

/// The limit that left no seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    Connections,
    Pending,
    Address,
    Key,
    Organisation,
}

/// Shared table of the sockets of one listener.
#[derive(Clone)]
pub(super) struct Seats {
    limits: ListenerLimits,
    table: Arc<Mutex<Table>>,
}

#[derive(Default)]
struct Table {
    pending: usize,
    by_address: HashMap<IpAddr, usize>,
    by_key: HashMap<PublicKey, usize>,
    by_org: HashMap<OrgId, usize>,
    open: HashMap<u64, Open>,
    next: u64,
}

struct Open {
    key: PublicKey,
    cut: oneshot::Sender<()>,
}

/// The place of one socket, from `accept` until it is closed.
pub(super) struct Seat {
    seats: Seats,
    network: IpAddr,
    /// Number in the table of open connections, key and whose it is; `None` while the handshake runs.
    open: Option<(u64, PublicKey, Option<OrgId>)>,
}

impl Seats {
    pub(super) fn new(limits: ListenerLimits) -> Seats {
        Seats { limits, table: Arc::default() }
    }

    /// Takes a seat for a socket from `address` whose handshake is to come.
    pub(super) fn take(&self, address: IpAddr) -> Result<Seat, Full> {
        let network = network_of(address);
        let mut table = self.lock();
        if table.open.len() >= self.limits.connections_max {
            return Err(Full::Connections);
        }
        if table.pending >= self.limits.pending_handshakes_max {
            return Err(Full::Pending);
        }
        if table.by_address.get(&network).is_some_and(|count| *count >= self.limits.connections_per_address_max) {
            return Err(Full::Address);
        }
        table.pending += 1;
        *table.by_address.entry(network).or_default() += 1;
        drop(table);
        Ok(Seat { seats: self.clone(), network, open: None })
    }

    /// Closes the connections whose key fails `keep`. Returns how many.
    pub(super) fn cut_unless(&self, keep: impl Fn(&PublicKey) -> bool) -> usize {
        let keys: Vec<PublicKey> = self.lock().by_key.keys().copied().collect();
        // Asked without the lock: what decides may be slow, and must not hold up new connections.
        let refused: Vec<PublicKey> = keys.into_iter().filter(|key| !keep(key)).collect();
        let mut table = self.lock();
        let numbers: Vec<u64> =
            table.open.iter().filter(|(_, open)| refused.contains(&open.key)).map(|(number, _)| *number).collect();
        let cut: Vec<Open> = numbers.into_iter().filter_map(|number| table.open.remove(&number)).collect();
        drop(table);
        // A receiver that is gone belongs to a connection that just closed by itself.
        cut.into_iter().filter_map(|open| open.cut.send(()).ok()).count()
    }

    pub(super) fn open(&self) -> usize {
        self.lock().open.len()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // Every change of the table is complete before anything that could panic.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Turns the seat of a handshake into that of a connection of `key`, which belongs to `org`.
    ///
    /// The receiver resolves when the connection has to be closed.
    pub(super) fn settle(&mut self, key: PublicKey, org: Option<OrgId>) -> Result<oneshot::Receiver<()>, Full> {
        let seats = self.seats.clone();
        let mut table = seats.lock();
        if table.open.len() >= seats.limits.connections_max {
            return Err(Full::Connections);
        }
        if table.by_key.get(&key).is_some_and(|count| *count >= seats.limits.connections_per_key_max) {
            return Err(Full::Key);
        }
        let of_org = org.and_then(|org| table.by_org.get(&org));
        if of_org.is_some_and(|count| *count >= seats.limits.connections_per_organisation_max) {
            return Err(Full::Organisation);
        }
        let (cut, when_cut) = oneshot::channel();
        let number = table.next;
        table.next += 1;
        table.pending -= 1;
        *table.by_key.entry(key).or_default() += 1;
        if let Some(org) = org {
            *table.by_org.entry(org).or_default() += 1;
        }
        table.open.insert(number, Open { key, cut });
        self.open = Some((number, key, org));
        Ok(when_cut)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut table = self.seats.lock();
        match self.open {
            None => table.pending -= 1,
            Some((number, key, org)) => {
                // Already gone when the connection was cut.
                table.open.remove(&number);
                release(&mut table.by_key, key);
                if let Some(org) = org {
                    release(&mut table.by_org, org);
                }
            }
        }
        release(&mut table.by_address, self.network);
    }
}

fn release<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: K) {
    if let Some(count) = counts.get_mut(&key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&key);
        }
    }
}

/// What counts as one address: an IPv4 address, or the /64 that a single IPv6 customer gets.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn seats() -> Seats {
        Seats::new(ListenerLimits {
            connections_max: 3,
            connections_per_key_max: 2,
            connections_per_organisation_max: 2,
            connections_per_address_max: 4,
            pending_handshakes_max: 5,
            ..ListenerLimits::default()
        })
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn key(seed: u8) -> PublicKey {
        crate::transport::node_key::public_half(&ed25519_dalek::SigningKey::from_bytes(&[seed; 32]))
    }

    #[test]
    fn the_last_pending_seat_is_given_and_the_next_is_refused() {
        let seats = seats();
        let held: Vec<Seat> = (0..5).map(|last| seats.take(address(last)).unwrap()).collect();
        assert_eq!(seats.take(address(9)).err(), Some(Full::Pending));
        drop(held);
        assert!(seats.take(address(9)).is_ok());
        assert!(seats.lock().by_address.is_empty(), "nothing is kept of addresses without a seat");
    }

    #[test]
    fn the_last_seat_of_an_address_is_given_and_the_next_is_refused() {
        let seats = seats();
        let mut held: Vec<Seat> = (0..4).map(|_| seats.take(address(1)).unwrap()).collect();
        assert_eq!(seats.take(address(1)).err(), Some(Full::Address));
        assert_eq!(seats.take("::ffff:192.0.2.1".parse().unwrap()).err(), Some(Full::Address));
        assert!(seats.take(address(2)).is_ok());
        held.pop();
        assert!(seats.take(address(1)).is_ok());
    }

    #[test]
    fn addresses_of_one_ipv6_customer_count_together() {
        let seats = seats();
        let at = |last: u16| IpAddr::from([0x2001, 0xdb8, 0, 7, 0, 0, 0, last]);
        let _held: Vec<Seat> = (0..4).map(|last| seats.take(at(last)).unwrap()).collect();
        assert_eq!(seats.take(at(4)).err(), Some(Full::Address));
        assert!(seats.take("2001:db8:0:8::1".parse().unwrap()).is_ok());
    }

    #[test]
    fn the_last_seat_of_a_key_is_given_and_the_next_is_refused() {
        let seats = seats();
        let mut held: Vec<Seat> = (0..3).map(|last| seats.take(address(last)).unwrap()).collect();
        held[0].settle(key(1), None).unwrap();
        held[1].settle(key(1), None).unwrap();
        assert_eq!(held[2].settle(key(1), None).err(), Some(Full::Key));
        held[2].settle(key(2), None).unwrap();
    }

    #[test]
    fn the_last_seat_of_an_organisation_is_given_and_the_next_is_refused() {
        let seats = seats();
        let mut held: Vec<Seat> = (0..3).map(|last| seats.take(address(last)).unwrap()).collect();
        let (org, other) = (Some(OrgId([1; 32])), Some(OrgId([2; 32])));
        held[0].settle(key(1), org).unwrap();
        held[1].settle(key(2), org).unwrap();
        assert_eq!(held[2].settle(key(3), org).err(), Some(Full::Organisation));
        held[2].settle(key(3), other).unwrap();
        held.remove(0);
        let mut next = seats.take(address(4)).unwrap();
        next.settle(key(3), org).unwrap();
        drop((held, next));
        assert!(seats.lock().by_org.is_empty(), "nothing is kept of organisations without a seat");
    }

    #[test]
    fn the_last_connection_is_given_and_the_next_is_refused() {
        let seats = seats();
        let mut held: Vec<Seat> = (0..4).map(|last| seats.take(address(last)).unwrap()).collect();
        for (number, seat) in held.iter_mut().take(3).enumerate() {
            seat.settle(key(u8::try_from(number).unwrap()), None).unwrap();
        }
        assert_eq!(held[3].settle(key(9), None).err(), Some(Full::Connections));
        assert_eq!(seats.take(address(9)).err(), Some(Full::Connections));
        held.remove(0);
        assert!(seats.take(address(9)).is_ok());
    }

    #[test]
    fn only_connections_of_refused_keys_are_cut() {
        let seats = seats();
        let mut held: Vec<Seat> = (0..2).map(|last| seats.take(address(last)).unwrap()).collect();
        let mut first = held[0].settle(key(1), None).unwrap();
        let mut second = held[1].settle(key(2), None).unwrap();
        assert_eq!(seats.cut_unless(|asked| *asked == key(2)), 1);
        assert_eq!(first.try_recv(), Ok(()));
        assert!(second.try_recv().is_err());
        assert_eq!(seats.open(), 1);
        drop(held);
        assert_eq!(seats.open(), 0);
        assert!(seats.lock().by_key.is_empty());
    }
}
