//! The tree below the index: leaves, and forks that know the lower key and the summary of each child.
//!
//! Always: all keys of a child are at or above its lower key and below the next child's; the first child's lower key is the
//! parent's, and the root's is the least there is; a summary is the sum over all entries; every leaf is equally deep. Nothing but the root and the last of its level is less than half full.

use super::super::entry::Entry;
use super::super::key::SetKey;
use super::super::summary::Summary;
use super::leaf::{LEAF_ENTRIES_MAX, Leaf};

/// Children of a fork before it is cut in two.
pub(super) const CHILDREN_MAX: usize = 32;

/// A part of the index, with what its parent knows of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Child {
    /// No key is below.
    pub(super) lower: SetKey,
    /// Sum over all entries.
    pub(super) summary: Summary,
    pub(super) subtree: Subtree,
}

#[derive(Clone, Debug)]
pub(super) enum Subtree {
    Leaf(Leaf),
    Fork(Vec<Child>),
}

/// What putting an entry led to.
pub(super) struct Change {
    pub(super) replaced: Option<Entry>,
    /// To be added to the summaries of all that the entry is in.
    difference: Summary,
}

impl Default for Subtree {
    fn default() -> Subtree {
        Subtree::Leaf(Leaf::default())
    }
}

impl Child {
    /// Puts an entry. `is_last`: nothing in the index comes after this child.
    ///
    /// The child may be too full afterwards: [`Child::cut`].
    pub(super) fn insert(&mut self, key: &SetKey, entry: Entry, is_last: bool) -> Change {
        let change = match &mut self.subtree {
            Subtree::Leaf(leaf) => insert_into_leaf(leaf, key, entry),
            Subtree::Fork(children) => {
                let at = child_of(children, key);
                let is_last = is_last && at + 1 == children.len();
                let change = children[at].insert(key, entry, is_last);
                if let Some(upper) = children[at].cut(is_last) {
                    children.reserve_exact(1);
                    children.insert(at + 1, upper);
                }
                change
            }
        };
        self.summary.add(&change.difference);
        change
    }

    /// Takes an entry out. Returns it with its summary.
    pub(super) fn remove(&mut self, key: &SetKey) -> Option<(Entry, Summary)> {
        let removed = match &mut self.subtree {
            Subtree::Leaf(leaf) => {
                let at = leaf.find(key).ok()?;
                let entry = leaf.entry(at);
                leaf.remove(at);
                (entry, Summary::of(key, &entry.vid))
            }
            Subtree::Fork(children) => {
                let at = child_of(children, key);
                let removed = children.get_mut(at)?.remove(key)?;
                if children[at].subtree.is_underfull() {
                    mend(children, at);
                }
                removed
            }
        };
        self.summary.subtract(&removed.1);
        Some(removed)
    }

    /// Marks whether the lease of an entry has run out. False when the key is not there.
    pub(super) fn set_lapsed(&mut self, key: &SetKey, has_lapsed: bool) -> bool {
        match &mut self.subtree {
            Subtree::Leaf(leaf) => {
                let Ok(at) = leaf.find(key) else { return false };
                leaf.replace(at, Entry { has_lapsed, ..leaf.entry(at) });
                true
            }
            Subtree::Fork(children) => {
                let at = child_of(children, key);
                children.get_mut(at).is_some_and(|child| child.set_lapsed(key, has_lapsed))
            }
        }
    }

    /// Cuts off the upper part of a child that is too full.
    ///
    /// The last one of its level keeps all it can, so that loading in key order leaves full leaves and forks.
    pub(super) fn cut(&mut self, is_last: bool) -> Option<Child> {
        let (length, length_max) = (self.subtree.len(), self.subtree.len_max());
        if length <= length_max {
            return None;
        }
        let at = if is_last { length_max } else { length / 2 };
        let (lower, summary, subtree) = match &mut self.subtree {
            Subtree::Leaf(leaf) => {
                let upper = leaf.split_off(at);
                (upper.key(0)?, upper.summary(0..upper.len()), Subtree::Leaf(upper))
            }
            Subtree::Fork(children) => {
                let upper = children.split_off(at);
                children.shrink_to_fit();
                let mut summary = Summary::default();
                upper.iter().for_each(|child| summary.add(&child.summary));
                (upper.first()?.lower, summary, Subtree::Fork(upper))
            }
        };
        self.summary.subtract(&summary);
        Some(Child { lower, summary, subtree })
    }

    /// Takes in the next child of the same depth.
    fn append(&mut self, upper: Child) {
        match (&mut self.subtree, upper.subtree) {
            (Subtree::Leaf(leaf), Subtree::Leaf(upper)) => leaf.append(upper),
            (Subtree::Fork(children), Subtree::Fork(upper)) => {
                children.reserve_exact(upper.len());
                children.extend(upper);
            }
            _ => unreachable!("all leaves are equally deep"),
        }
        self.summary.add(&upper.summary);
    }
}

impl Subtree {
    /// Number of direct parts: entries of a leaf, children of a fork.
    pub(super) fn len(&self) -> usize {
        match self {
            Subtree::Leaf(leaf) => leaf.len(),
            Subtree::Fork(children) => children.len(),
        }
    }

    pub(super) fn len_max(&self) -> usize {
        match self {
            Subtree::Leaf(_) => LEAF_ENTRIES_MAX,
            Subtree::Fork(_) => CHILDREN_MAX,
        }
    }

    fn is_underfull(&self) -> bool {
        self.len() < self.len_max() / 2
    }
}

/// Number of the child in which a key is, if it is anywhere.
pub(super) fn child_of(children: &[Child], key: &SetKey) -> usize {
    children.partition_point(|child| child.lower <= *key).saturating_sub(1)
}

fn insert_into_leaf(leaf: &mut Leaf, key: &SetKey, entry: Entry) -> Change {
    match leaf.find(key) {
        Ok(at) => {
            let old = leaf.entry(at);
            leaf.replace(at, entry);
            let mut difference = Summary::default();
            if old.vid != entry.vid {
                difference.add(&Summary::of(key, &entry.vid));
                difference.subtract(&Summary::of(key, &old.vid));
            }
            Change { replaced: Some(old), difference }
        }
        Err(at) => {
            leaf.insert(at, key, entry);
            Change { replaced: None, difference: Summary::of(key, &entry.vid) }
        }
    }
}

/// Joins a child that is less than half full with a neighbour, or shares the neighbour's content with it.
fn mend(children: &mut Vec<Child>, at: usize) {
    if children[at].subtree.len() == 0 {
        children.remove(at);
    } else if children.len() > 1 {
        let left = at.saturating_sub(1);
        let right = children.remove(left + 1);
        children[left].append(right);
        if let Some(upper) = children[left].cut(false) {
            children.insert(left + 1, upper);
        }
    }
    children.shrink_to_fit();
}
