//! What nodes sign, and clocks that are wrong meanwhile.
//!
//! Always: while most peers contradict this node's clock it signs nothing; when it agrees with them again, what nodes signed by such
//! clocks, which everybody else refuses, leaves the sets.
//! Spec: `spec/15-heads.md`, section 4. Tested: `node/tests/heads.rs`, the simulator.

use super::output::Operation;
use super::peering::CLOCK_DIFFERENCE_MS_MAX;
use super::{Node, Output};
use crate::id::OrgId;
use crate::key::PublicKey;
use crate::kind::{Audience, Class};
use crate::limits::CLOCK_AHEAD_MS_MAX;
use crate::set::{Entry, SetKey, Slot};
use crate::time::{Hlc, UnixMillis};

/// True for a clock that would be refused from a peer.
pub(super) fn is_ahead(now: UnixMillis, hlc: Hlc) -> bool {
    hlc.ms() > now.saturating_add(CLOCK_AHEAD_MS_MAX)
}

impl Node {
    pub(super) fn mind_upkeep(&mut self, now: UnixMillis, outputs: &mut Vec<Output>) {
        if !self.is_clock_confirmed && self.is_clock_off() == Some(false) {
            self.is_clock_confirmed = true;
            self.drop_upkeep_of_the_future(now, outputs);
        }
        self.mind_heads(now, outputs);
        if self.is_clock_off() != Some(true) {
            self.mind_witness(now, outputs);
            self.mind_redactions(now, outputs);
        }
    }

    /// Whether this clock is another than that of most peers; `None` while there are none.
    pub(super) fn is_clock_off(&self) -> Option<bool> {
        Some(self.clock_ahead_ms()?.abs() > CLOCK_DIFFERENCE_MS_MAX)
    }

    /// What was taken in, or signed, while this clock was wrong leaves: others refuse it, and it would say for years what is no
    /// longer so. What people signed stays.
    fn drop_upkeep_of_the_future(&mut self, now: UnixMillis, outputs: &mut Vec<Output>) {
        let none = OrgId([0; 32]);
        let (first, end) = (SetKey::first_of(Class::Upkeep, &none), SetKey::first_of(Class::Record, &none));
        let mut operations = Vec::new();
        for audience in Audience::ALL {
            let is_by_node = |entry: &Entry| {
                let device = PublicKey::from_bytes(&self.devices.device(entry.device).1);
                device.is_ok_and(|device| self.trust.node_owner(&device).is_some())
            };
            let ahead = self.set(audience).range(&first, Some(&end)).filter(|(_, entry)| is_ahead(now, entry.hlc));
            let slots: Vec<Slot> =
                ahead.filter(|(_, entry)| is_by_node(entry)).map(|(key, _)| Slot { audience, key }).collect();
            for slot in slots {
                self.take_out(&slot);
                operations.push(Operation::Forget { slot });
            }
        }
        if !operations.is_empty() {
            outputs.push(Output::Persist { operations, durable: false });
        }
    }
}
