//! A walk through an index along ascending spans, for comparing many small ones.
//!
//! Always: a span that begins where the one before ended costs no search, and no entry is unpacked further than key and vid.
//! Spec: none, it is about speed. Tested: `set/index/tests.rs`.

use super::leaf::Leaf;
use super::subtree::{Child, Subtree, child_of};
use super::{Index, SetKey};
use crate::id::Vid;

/// Gives the keys and vids of one span after the other.
#[derive(Clone, Debug)]
pub struct Walk<'a> {
    index: &'a Index,
    /// What is left of each fork on the way down, the root first.
    forks: Vec<std::slice::Iter<'a, Child>>,
    leaf: Option<&'a Leaf>,
    /// Position in the leaf.
    at: usize,
    /// The position is that of the first entry from this key on.
    stands_at: Option<SetKey>,
    found: Vec<(SetKey, Vid)>,
}

impl<'a> Walk<'a> {
    /// A walk that begins wherever the first span does.
    pub fn new(index: &'a Index) -> Walk<'a> {
        Walk { index, forks: Vec::new(), leaf: None, at: 0, stands_at: None, found: Vec::new() }
    }

    /// The index that is walked through.
    pub fn index(&self) -> &'a Index {
        self.index
    }

    /// The first entries with `lower <= key < upper`, ascending, at most so many.
    pub fn through(&mut self, lower: &SetKey, upper: Option<&SetKey>, most: usize) -> &[(SetKey, Vid)] {
        self.found.clear();
        if self.stands_at != Some(*lower) {
            self.seek(lower);
        }
        while let Some(leaf) = self.leaf {
            let end = upper.map_or(leaf.len(), |upper| leaf.end_of(self.at, upper));
            let taken = (end - self.at).min(most - self.found.len());
            leaf.pairs(self.at..self.at + taken, &mut self.found);
            self.at += taken;
            if self.at < leaf.len() || self.found.len() == most {
                break;
            }
            self.next_leaf();
        }
        // There may be more of this span.
        self.stands_at = upper.filter(|_| self.found.len() < most).copied();
        &self.found
    }

    fn seek(&mut self, lower: &SetKey) {
        self.forks.clear();
        (self.leaf, self.at) = (None, 0);
        let mut subtree = &self.index.root.subtree;
        loop {
            match subtree {
                Subtree::Fork(children) => {
                    let mut rest = children[child_of(children, lower)..].iter();
                    let Some(child) = rest.next() else { return };
                    self.forks.push(rest);
                    subtree = &child.subtree;
                }
                Subtree::Leaf(leaf) => {
                    (self.leaf, self.at) = (Some(leaf), leaf.find(lower).unwrap_or_else(|at| at));
                    return;
                }
            }
        }
    }

    fn next_leaf(&mut self) {
        (self.leaf, self.at) = (None, 0);
        while let Some(rest) = self.forks.last_mut() {
            match rest.next().map(|child| &child.subtree) {
                None => drop(self.forks.pop()),
                Some(Subtree::Fork(children)) => self.forks.push(children.iter()),
                Some(Subtree::Leaf(leaf)) => {
                    self.leaf = Some(leaf);
                    return;
                }
            }
        }
    }
}
