//! A store with the daemon's promises: a durable commit survives a power cut, with all before it; of the others a prefix
//! of whole commits does.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use fingerpost_proto::id::OrgId;
use fingerpost_proto::kind::Audience;
use fingerpost_proto::node::{LogPlace, Peer};
use fingerpost_proto::order::Precedence;
use fingerpost_proto::set::Slot;
use fingerpost_proto::time::UnixHour;
use fingerpost_proto::version::SignedVersion;

#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) version: Rc<SignedVersion>,
    pub(super) lapsed: bool,
}

impl Row {
    /// True for what a feed would show.
    pub(super) fn is_shown(&self) -> bool {
        !self.lapsed && !self.version.is_withdrawal() && self.version.header().kind.is_content()
    }

    pub(super) fn precedence(&self) -> Precedence {
        Precedence::of(&self.version)
    }
}

/// What a store does with commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disk {
    /// Takes all of them.
    Good,
    /// Refuses those with new versions.
    Full,
    /// Refuses all of them until the process starts again.
    Dead,
}

pub(super) type Rows = BTreeMap<Slot, Row>;

/// A change of one slot: `None` empties it.
pub(super) type Change = (Slot, Option<Row>);

/// How far peers' arrival logs are consumed.
pub(super) type Cursors = Vec<(Peer, Audience, LogPlace)>;

/// What a commit did, so that a power cut can take it back.
#[derive(Debug, Default)]
struct Undo {
    changes: Vec<Change>,
    cursors: Option<Cursors>,
    unaudited: Option<BTreeSet<OrgId>>,
}

/// What a commit changes besides rows.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) cursors: Option<Cursors>,
    /// Organisations that are vouched for from now on (true), or audited.
    pub(super) vouched: Vec<(OrgId, bool)>,
}

#[derive(Debug)]
pub(super) struct Store {
    rows: Rows,
    cursors: Cursors,
    /// Whose records were taken for a head and are not all checked.
    unaudited: BTreeSet<OrgId>,
    /// For each commit that a power cut could lose: what was there before.
    undo: Vec<Undo>,
    sums: [Sum; 2],
    /// Rows changed since the totals were last compared, by audience.
    changed: [bool; 2],
    /// Shown rows by the end of their lease.
    leases: BTreeSet<(UnixHour, Slot)>,
    pub(super) disk: Disk,
}

impl Store {
    pub(super) fn new(rows: Rows, cursors: Cursors, unaudited: BTreeSet<OrgId>) -> Store {
        let mut store = Store {
            rows: Rows::new(),
            cursors,
            unaudited,
            undo: Vec::new(),
            sums: Default::default(),
            changed: [true; 2],
            leases: BTreeSet::new(),
            disk: Disk::Good,
        };
        for (slot, row) in rows {
            store.set(slot, Some(row));
        }
        store
    }

    pub(super) fn rows(&self) -> &Rows {
        &self.rows
    }

    pub(super) fn cursors(&self) -> &Cursors {
        &self.cursors
    }

    pub(super) fn unaudited(&self) -> &BTreeSet<OrgId> {
        &self.unaudited
    }

    pub(super) fn get(&self, slot: &Slot) -> Option<&Row> {
        self.rows.get(slot)
    }

    /// Whether this slot's row would survive a power cut now.
    pub(super) fn is_durable(&self, slot: &Slot) -> bool {
        self.undo.iter().flat_map(|undo| &undo.changes).all(|(changed, _)| changed != slot)
    }

    /// Commits. False when the disk refuses; nothing is changed then.
    pub(super) fn commit(&mut self, changes: Vec<Change>, kept: Kept, has_versions: bool, durable: bool) -> bool {
        match self.disk {
            Disk::Dead => return false,
            Disk::Full if has_versions => return false,
            Disk::Full | Disk::Good => {}
        }
        let changes = changes.into_iter().map(|(slot, row)| (slot, self.set(slot, row))).collect();
        let cursors = kept.cursors.map(|cursors| std::mem::replace(&mut self.cursors, cursors));
        let unaudited = (!kept.vouched.is_empty()).then(|| self.unaudited.clone());
        for (org, is_vouched) in kept.vouched {
            let _ = if is_vouched { self.unaudited.insert(org) } else { self.unaudited.remove(&org) };
        }
        self.undo.push(Undo { changes, cursors, unaudited });
        if durable {
            self.undo.clear();
        }
        true
    }

    /// The once-a-second sync.
    pub(super) fn sync(&mut self) {
        if self.disk != Disk::Dead {
            self.undo.clear();
        }
    }

    pub(super) fn unsynced(&self) -> usize {
        self.undo.len()
    }

    /// A power cut: all but the first `kept` of the unsynced commits are lost.
    pub(super) fn lose(&mut self, kept: usize) {
        while self.undo.len() > kept {
            let Undo { changes, cursors, unaudited } = self.undo.pop().unwrap_or_default();
            for (slot, row) in changes.into_iter().rev() {
                self.set(slot, row);
            }
            if let Some(cursors) = cursors {
                self.cursors = cursors;
            }
            if let Some(unaudited) = unaudited {
                self.unaudited = unaudited;
            }
        }
        self.undo.clear();
    }

    /// First 16 bytes of BLAKE3 of sum and count, as `spec/07-sync.md`, section 2 says; computed apart from the index.
    pub(super) fn fingerprint(&self, audience: Audience) -> [u8; 16] {
        self.sums[usize::from(audience.number())].fingerprint()
    }

    /// True once after a change of this audience's rows.
    pub(super) fn take_changed(&mut self, audience: Audience) -> bool {
        std::mem::take(&mut self.changed[usize::from(audience.number())])
    }

    /// End of the lease of the shown row that has the shortest.
    pub(super) fn earliest_lease(&self) -> Option<&(UnixHour, Slot)> {
        self.leases.first()
    }

    fn set(&mut self, slot: Slot, row: Option<Row>) -> Option<Row> {
        let at = usize::from(slot.audience.number());
        self.changed[at] = true;
        let sum = &mut self.sums[at];
        if let Some(row) = &row {
            sum.add(&slot, row);
            if row.is_shown() {
                self.leases.insert((row.version.header().lease_until, slot));
            }
        }
        let before = match row {
            Some(row) => self.rows.insert(slot, row),
            None => self.rows.remove(&slot),
        };
        if let Some(before) = &before {
            sum.subtract(&slot, before);
            let lease = (before.version.header().lease_until, slot);
            if before.is_shown() && !self.rows.get(&slot).is_some_and(|row| is_under(row, lease.0)) {
                self.leases.remove(&lease);
            }
        }
        before
    }
}

fn is_under(row: &Row, lease: UnixHour) -> bool {
    row.is_shown() && row.version.header().lease_until == lease
}

#[derive(Debug, Default)]
struct Sum {
    /// Little-endian limbs.
    limbs: [u64; 4],
    count: u64,
}

impl Sum {
    fn element(slot: &Slot, row: &Row) -> [u64; 4] {
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(&slot.key.0);
        bytes[16..].copy_from_slice(&row.version.vid().0);
        let digest = blake3::hash(&bytes);
        std::array::from_fn(|limb| {
            let mut word = [0; 8];
            word.copy_from_slice(&digest.as_bytes()[8 * limb..8 * limb + 8]);
            u64::from_le_bytes(word)
        })
    }

    fn add(&mut self, slot: &Slot, row: &Row) {
        let mut carry = 0u128;
        for (limb, more) in self.limbs.iter_mut().zip(Self::element(slot, row)) {
            let sum = u128::from(*limb) + u128::from(more) + carry;
            (*limb, carry) = (sum as u64, sum >> 64);
        }
        self.count += 1;
    }

    fn subtract(&mut self, slot: &Slot, row: &Row) {
        let mut borrow = false;
        for (limb, less) in self.limbs.iter_mut().zip(Self::element(slot, row)) {
            let (first, one) = limb.overflowing_sub(less);
            let (second, two) = first.overflowing_sub(u64::from(borrow));
            (*limb, borrow) = (second, one | two);
        }
        self.count -= 1;
    }

    fn fingerprint(&self) -> [u8; 16] {
        let mut bytes = [0; 40];
        for (part, word) in bytes.chunks_exact_mut(8).zip(self.limbs.iter().chain([&self.count])) {
            part.copy_from_slice(&word.to_le_bytes());
        }
        let mut fingerprint = [0; 16];
        fingerprint.copy_from_slice(&blake3::hash(&bytes).as_bytes()[..16]);
        fingerprint
    }
}
