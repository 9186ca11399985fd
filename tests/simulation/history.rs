//! What happened: a running hash over every event, counts, and on demand one readable line for each.

use std::io::Write;

/// How a history is recorded beyond its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recording {
    /// Hash and counts only.
    None,
    /// Keeps this many of the last lines.
    Last(usize),
    /// Prints every line.
    Print,
}

/// What a history, or many, contained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Counts {
    pub events: u64,
    pub publishes: u64,
    pub acknowledged: u64,
    pub withdrawals: u64,
    pub redactions: u64,
    pub receipts: u64,
    pub crashes: u64,
    pub torn: u64,
    pub snapshots_restored: u64,
    pub partitions: u64,
    pub flaps: u64,
    pub clock_changes: u64,
    pub calendar_leaps: u64,
    pub full_disks: u64,
    pub dead_disks: u64,
    pub slow_lines: u64,
    pub joins: u64,
    pub leaves: u64,
    pub objections: u64,
    pub byzantine_nodes: u64,
    pub byzantine_acts: u64,
    pub schemes: u64,
    pub revocations: u64,
    pub displaced: u64,
    pub sybils: u64,
    pub links: u64,
    pub links_overflowed: u64,
    pub breaches_of_byzantine: u64,
    pub frames: u64,
    pub bytes: u64,
    pub puts: u64,
    pub lapses: u64,
    pub forgets: u64,
    pub heads: u64,
    pub proofs: u64,
    pub accusations: u64,
    pub lacks: u64,
    pub vouches: u64,
    pub signatures: u64,
    pub full_checks: u64,
    pub virtual_ms: u64,
    pub calendar_ms: u64,
    pub settling_ms: u64,
    pub lacking_ms_max: u64,
    pub quiet_frames_per_link_max: u64,
}

macro_rules! add_fields {
    ($into:expr, $from:expr, $($field:ident),* $(,)?) => { $( $into.$field += $from.$field; )* };
}

impl Counts {
    /// Adds another history's counts.
    pub fn add(&mut self, other: &Counts) {
        add_fields!(
            self,
            other,
            events,
            publishes,
            acknowledged,
            withdrawals,
            redactions,
            receipts,
            crashes,
            torn,
            snapshots_restored,
            partitions,
            flaps,
            clock_changes,
            calendar_leaps,
            full_disks,
            dead_disks,
            slow_lines,
            joins,
            leaves,
            objections,
            byzantine_nodes,
            byzantine_acts,
            schemes,
            revocations,
            displaced,
            sybils,
            links,
            links_overflowed,
            breaches_of_byzantine,
            frames,
            bytes,
            puts,
            lapses,
            forgets,
            heads,
            proofs,
            accusations,
            lacks,
            vouches,
            signatures,
            full_checks,
            virtual_ms,
            calendar_ms,
        );
        self.settling_ms = self.settling_ms.max(other.settling_ms);
        self.lacking_ms_max = self.lacking_ms_max.max(other.lacking_ms_max);
        self.quiet_frames_per_link_max = self.quiet_frames_per_link_max.max(other.quiet_frames_per_link_max);
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let hours = |ms: u64| ms as f64 / 3_600_000.0;
        writeln!(
            f,
            "events {}, frames {}, bytes {}, links {}, versions stored {}, signatures checked {}, full checks {}",
            self.events, self.frames, self.bytes, self.links, self.puts, self.signatures, self.full_checks
        )?;
        writeln!(
            f,
            "publishes {} (acknowledged {}, withdrawals {}, redactions {}), receipts {}, joins {}, leaves {}, objections {}, \
             lapses {}, forgotten {}, heads {} (found lacking {}, vouched for a start {}), \
             proofs of two truths {} (first heard of {} times)",
            self.publishes,
            self.acknowledged,
            self.withdrawals,
            self.redactions,
            self.receipts,
            self.joins,
            self.leaves,
            self.objections,
            self.lapses,
            self.forgets,
            self.heads,
            self.lacks,
            self.vouches,
            self.proofs,
            self.accusations
        )?;
        writeln!(
            f,
            "crashes {} ({} lost commits), old disks {}, partitions {}, flaps {}, slow lines {}, queues overflowed {}, \
             full disks {}, dead disks {}, clocks set {}, leaps of all clocks {}",
            self.crashes,
            self.torn,
            self.snapshots_restored,
            self.partitions,
            self.flaps,
            self.slow_lines,
            self.links_overflowed,
            self.full_disks,
            self.dead_disks,
            self.clock_changes,
            self.calendar_leaps
        )?;
        writeln!(
            f,
            "byzantine nodes {}, their acts {}, schemes {} (organisations invented {}, records displaced {}), their links \
             closed for a breach {}; devices revoked {}",
            self.byzantine_nodes,
            self.byzantine_acts,
            self.schemes,
            self.sybils,
            self.displaced,
            self.breaches_of_byzantine,
            self.revocations
        )?;
        write!(
            f,
            "virtual time {:.1} h awake, {:.0} h with leaps; the slowest took {:.0} s to agree, the longest lack {:.0} s; \
             then at most {} frames over one link in 65 s",
            hours(self.virtual_ms),
            hours(self.calendar_ms),
            self.settling_ms as f64 / 1_000.0,
            self.lacking_ms_max as f64 / 1_000.0,
            self.quiet_frames_per_link_max
        )
    }
}

#[derive(Debug)]
pub(super) struct History {
    hash: u64,
    recording: Recording,
    lines: std::collections::VecDeque<String>,
    pub(super) counts: Counts,
}

impl History {
    pub(super) fn new(recording: Recording) -> History {
        History { hash: 0xcbf2_9ce4_8422_2325, recording, lines: Default::default(), counts: Counts::default() }
    }

    /// Takes an event into the hash.
    pub(super) fn note(&mut self, words: &[u64]) {
        for word in words {
            self.hash = (self.hash ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
        }
    }

    /// Takes bytes into the hash.
    pub(super) fn note_bytes(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.note(&[u64::from_le_bytes(word)]);
        }
        self.note(&[bytes.len() as u64]);
    }

    /// Writes a line, if anybody wants to read it.
    pub(super) fn line(&mut self, at_us: u64, machine: Option<usize>, text: impl FnOnce() -> String) {
        if self.recording == Recording::None {
            return;
        }
        let machine = machine.map_or_else(|| "   -".to_owned(), |machine| format!("n{machine:03}"));
        let line = format!("{:>14.6} {machine} {}", at_us as f64 / 1_000_000.0, text());
        match self.recording {
            Recording::None => {}
            Recording::Print => {
                // A reader who has seen enough closes the pipe.
                let _ = writeln!(std::io::stdout(), "{line}");
            }
            Recording::Last(count) => {
                self.lines.push_back(line);
                if self.lines.len() > count {
                    self.lines.pop_front();
                }
            }
        }
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    pub(super) fn into_lines(self) -> Vec<String> {
        self.lines.into()
    }
}
