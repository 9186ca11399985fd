//! Seats: the bounded table of sockets that a listener holds.
//!
//! In: addresses of new sockets, keys of those that finished the handshake. Out: a [`Seat`] per socket, or which limit
//! is reached. Always: the counts equal the seats that exist; dropping a seat frees its place.
//! Spec: `spec/06-link.md`, section 1.6. Tested below and in `transport/tests.rs`.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use fingerpost_proto::canary::{Canary, is_out};
use fingerpost_proto::id::OrgId;
use fingerpost_proto::key::PublicKey;
use tokio::sync::oneshot;

use super::Admitted;
use super::listener::ListenerLimits;
use crate::rate::{Rate, Rates};

/// Sockets of one address over time, whatever became of those before: a network of a hundred behind one NAT, twice, after a
/// power cut; then what costs a hundredth of a core.
pub const ACCEPTS_PER_ADDRESS: Rate = Rate::new(256, 8);
/// Connections of one key over time. A node that is turned away waits a second at least, and longer each time.
pub const ACCEPTS_PER_KEY: Rate = Rate::new(64, 4);
/// Addresses, and keys, that were seen lately; more than can be of use in the time that a full account takes to be paid back.
pub const ACCEPTS_REMEMBERED_MAX: usize = 4_096;

/// The limit that left no seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    Connections,
    Pending,
    Address,
    Key,
    Organisation,
    Hosted,
    /// Too many of late.
    AddressRate,
    KeyRate,
}

impl Full {
    /// Its name in [`ListenerLimits`], for the log.
    pub(super) fn limit(self) -> &'static str {
        match self {
            Full::Connections => "connections_max",
            Full::Pending => "pending_handshakes_max",
            Full::Address => "connections_per_address_max",
            Full::Key => "connections_per_key_max",
            Full::Organisation => "connections_per_organisation_max or connections_per_hosted_max",
            Full::Hosted => "connections_hosted_max",
            Full::AddressRate => "accepts_per_address",
            Full::KeyRate => "accepts_per_key",
        }
    }
}

/// Shared table of the sockets of one listener.
#[derive(Clone)]
pub(super) struct Seats {
    limits: ListenerLimits,
    table: Arc<Mutex<Table>>,
}

struct Table {
    accepts_of_address: Rates<IpAddr>,
    accepts_of_key: Rates<PublicKey>,
    pending: usize,
    by_address: HashMap<IpAddr, usize>,
    by_key: HashMap<PublicKey, usize>,
    by_org: HashMap<OrgId, usize>,
    /// Those of organisations that this node carries, and of each.
    hosted: usize,
    by_hosted: HashMap<OrgId, usize>,
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
    /// Its entry in the table of open connections; `None` while the handshake runs.
    open: Option<Settled>,
}

/// Number in the table of open connections, key, whose it is, and as what it was admitted.
struct Settled {
    number: u64,
    key: PublicKey,
    org: Option<OrgId>,
    admitted: Admitted,
}

impl Table {
    /// What the organisation's connections are counted in: those of one that is carried apart from those of its nodes.
    fn of_org(&mut self, admitted: Admitted) -> &mut HashMap<OrgId, usize> {
        if admitted == Admitted::Hosted { &mut self.by_hosted } else { &mut self.by_org }
    }
}

impl Seats {
    pub(super) fn new(limits: ListenerLimits) -> Seats {
        let table = Table {
            accepts_of_address: Rates::new(limits.accepts_per_address, ACCEPTS_REMEMBERED_MAX),
            accepts_of_key: Rates::new(limits.accepts_per_key, ACCEPTS_REMEMBERED_MAX),
            pending: 0,
            by_address: HashMap::new(),
            by_key: HashMap::new(),
            by_org: HashMap::new(),
            hosted: 0,
            by_hosted: HashMap::new(),
            open: HashMap::new(),
            next: 0,
        };
        Seats { limits, table: Arc::new(Mutex::new(table)) }
    }

    /// Takes a seat for a socket from `address` whose handshake is to come.
    pub(super) fn take(&self, address: IpAddr) -> Result<Seat, Full> {
        let network = network_of(address);
        let mut table = self.lock();
        if table.open.len() >= self.limits.connections_max {
            return Err(Full::Connections);
        }
        if table.pending >= self.limits.pending_handshakes_max && !is_out(Canary::Seats) {
            return Err(Full::Pending);
        }
        if table.by_address.get(&network).is_some_and(|count| *count >= self.limits.connections_per_address_max) {
            return Err(Full::Address);
        }
        if table.accepts_of_address.count(Instant::now(), network).is_err() {
            return Err(Full::AddressRate);
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
    /// Turns the seat of a handshake into that of a connection of `key`, which belongs to `org` and was admitted so.
    ///
    /// The receiver resolves when the connection has to be closed.
    pub(super) fn settle(
        &mut self,
        key: PublicKey,
        org: Option<OrgId>,
        admitted: Admitted,
    ) -> Result<oneshot::Receiver<()>, Full> {
        let seats = self.seats.clone();
        let mut table = seats.lock();
        if table.open.len() >= seats.limits.connections_max {
            return Err(Full::Connections);
        }
        let of_key = table.by_key.get(&key).copied().unwrap_or_default();
        if of_key >= seats.limits.connections_per_key_max && !is_out(Canary::Seats) {
            return Err(Full::Key);
        }
        let is_hosted = admitted == Admitted::Hosted;
        if is_hosted && table.hosted >= seats.limits.connections_hosted_max {
            return Err(Full::Hosted);
        }
        let per_org_max = match is_hosted {
            true => seats.limits.connections_per_hosted_max,
            false => seats.limits.connections_per_organisation_max,
        };
        if org.is_some_and(|org| table.of_org(admitted).get(&org).is_some_and(|count| *count >= per_org_max)) {
            return Err(Full::Organisation);
        }
        if table.accepts_of_key.count(Instant::now(), key).is_err() {
            return Err(Full::KeyRate);
        }
        let (cut, when_cut) = oneshot::channel();
        let number = table.next;
        table.next += 1;
        table.pending -= 1;
        *table.by_key.entry(key).or_default() += 1;
        table.hosted += usize::from(is_hosted);
        if let Some(org) = org {
            *table.of_org(admitted).entry(org).or_default() += 1;
        }
        table.open.insert(number, Open { key, cut });
        self.open = Some(Settled { number, key, org, admitted });
        Ok(when_cut)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut table = self.seats.lock();
        match self.open {
            None => table.pending -= 1,
            Some(Settled { number, key, org, admitted }) => {
                // Already gone when the connection was cut.
                table.open.remove(&number);
                release(&mut table.by_key, key);
                table.hosted -= usize::from(admitted == Admitted::Hosted);
                if let Some(org) = org {
                    release(table.of_org(admitted), org);
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
pub(crate) fn network_of(address: IpAddr) -> IpAddr {
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
            connections_hosted_max: 2,
            connections_per_hosted_max: 1,
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
        held[0].settle(key(1), None, Admitted::Member).unwrap();
        held[1].settle(key(1), None, Admitted::Member).unwrap();
        assert_eq!(held[2].settle(key(1), None, Admitted::Member).err(), Some(Full::Key));
        held[2].settle(key(2), None, Admitted::Member).unwrap();
    }

    #[test]
    fn the_last_seat_of_an_organisation_is_given_and_the_next_is_refused() {
        let seats = seats();
        let mut held: Vec<Seat> = (0..3).map(|last| seats.take(address(last)).unwrap()).collect();
        let (org, other) = (Some(OrgId([1; 32])), Some(OrgId([2; 32])));
        held[0].settle(key(1), org, Admitted::Member).unwrap();
        held[1].settle(key(2), org, Admitted::Member).unwrap();
        assert_eq!(held[2].settle(key(3), org, Admitted::Member).err(), Some(Full::Organisation));
        held[2].settle(key(3), other, Admitted::Member).unwrap();
        held.remove(0);
        let mut next = seats.take(address(4)).unwrap();
        next.settle(key(3), org, Admitted::Member).unwrap();
        drop((held, next));
        assert!(seats.lock().by_org.is_empty(), "nothing is kept of organisations without a seat");
    }

    #[test]
    fn the_last_seat_of_one_that_is_carried_and_of_all_that_are_is_given_and_the_next_refused() {
        let seats = seats();
        let mut held: Vec<Seat> = (0..4).map(|last| seats.take(address(last)).unwrap()).collect();
        let (org, other, third) = (Some(OrgId([1; 32])), Some(OrgId([2; 32])), Some(OrgId([3; 32])));
        held[0].settle(key(1), org, Admitted::Hosted).unwrap();
        assert_eq!(held[1].settle(key(2), org, Admitted::Hosted).err(), Some(Full::Organisation));
        held[1].settle(key(2), other, Admitted::Hosted).unwrap();
        assert_eq!(held[2].settle(key(3), third, Admitted::Hosted).err(), Some(Full::Hosted));
        // What guests occupy is not their organisation's share of links.
        held[2].settle(key(3), org, Admitted::Member).unwrap();
        held.remove(0);
        let mut next = seats.take(address(5)).unwrap();
        next.settle(key(4), third, Admitted::Hosted).unwrap();
        drop((held, next));
        assert!(seats.lock().by_hosted.is_empty() && seats.lock().hosted == 0);
    }

    #[test]
    fn an_address_and_a_key_that_come_again_and_again_are_refused_after_their_last_one_however_short_they_stay() {
        let rate = Rate::new(3, 1);
        let by_address = Seats::new(ListenerLimits { accepts_per_address: rate, ..ListenerLimits::default() });
        for _ in 0..3 {
            drop(by_address.take(address(1)).unwrap());
        }
        assert_eq!(by_address.take(address(1)).err(), Some(Full::AddressRate));
        assert!(by_address.take(address(2)).is_ok());
        let by_key = Seats::new(ListenerLimits { accepts_per_key: rate, ..ListenerLimits::default() });
        let settle = |seed: u8| by_key.take(address(seed)).unwrap().settle(key(seed), None, Admitted::Member).map(drop);
        for _ in 0..3 {
            settle(1).unwrap();
        }
        assert_eq!(settle(1), Err(Full::KeyRate));
        assert_eq!(settle(2), Ok(()));
        assert_eq!(by_key.open(), 0);
    }

    #[test]
    fn the_last_connection_is_given_and_the_next_is_refused() {
        let seats = seats();
        let mut held: Vec<Seat> = (0..4).map(|last| seats.take(address(last)).unwrap()).collect();
        for (number, seat) in held.iter_mut().take(3).enumerate() {
            seat.settle(key(u8::try_from(number).unwrap()), None, Admitted::Member).unwrap();
        }
        assert_eq!(held[3].settle(key(9), None, Admitted::Member).err(), Some(Full::Connections));
        assert_eq!(seats.take(address(9)).err(), Some(Full::Connections));
        held.remove(0);
        assert!(seats.take(address(9)).is_ok());
    }

    #[test]
    fn only_connections_of_refused_keys_are_cut() {
        let seats = seats();
        let mut held: Vec<Seat> = (0..2).map(|last| seats.take(address(last)).unwrap()).collect();
        let mut first = held[0].settle(key(1), None, Admitted::Member).unwrap();
        let mut second = held[1].settle(key(2), None, Admitted::Member).unwrap();
        assert_eq!(seats.cut_unless(|asked| *asked == key(2)), 1);
        assert_eq!(first.try_recv(), Ok(()));
        assert!(second.try_recv().is_err());
        assert_eq!(seats.open(), 1);
        drop(held);
        assert_eq!(seats.open(), 0);
        assert!(seats.lock().by_key.is_empty());
    }
}
