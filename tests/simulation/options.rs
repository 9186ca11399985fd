//! What kind of history a seed is: which faults, how many of what. Drawn first, so that seeds differ in kind.

use super::history::Recording;
use super::random::Random;

/// How one history runs. [`Options::drawn`] makes them from a seed; a test may change them after.
#[derive(Clone, Debug)]
pub struct Options {
    /// Decides everything.
    pub seed: u64,
    /// Number of machines, byzantine ones included.
    pub nodes: usize,
    /// Time with acts and faults, in virtual milliseconds, leaps of all clocks not counted.
    pub active_ms: u64,
    /// How long honest nodes may take to agree after the last fault, in virtual milliseconds.
    pub settling_ms_max: u64,
    /// What is kept of the event log.
    pub recording: Recording,
    pub(super) byzantine_percent: u64,
    pub(super) queue_bytes_max: usize,
    pub(super) latency_us_max: u64,
    pub(super) bytes_per_second: u64,
    pub(super) verify_us_max: u64,
    /// Mean pause between acts of publishers, in milliseconds.
    pub(super) act_pause_ms: u64,
    /// Mean pause between faults, in milliseconds.
    pub(super) fault_pause_ms: u64,
    /// Most records of one burst.
    pub(super) burst_max: u64,
    pub(super) faults: FaultKinds,
    pub(super) rules: Rules,
}

/// What the charter says, and whether a device is stolen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// Records of one organisation in each set; 0: no quota.
    pub(super) records_max: u32,
    /// Bytes of one record's version; 0: as long as any.
    pub(super) version_bytes_max: u32,
    /// Vouches of participants that make a member.
    pub(super) vouches_needed: u32,
    /// An organisation notices that a device key is in wrong hands, and revokes it.
    pub(super) has_theft: bool,
}

impl Rules {
    fn drawn(mut random: Random) -> Rules {
        let has_quota = random.percent(35);
        Rules {
            records_max: if has_quota { random.within(6..24) as u32 } else { 0 },
            version_bytes_max: if has_quota { 1_024 } else { 0 },
            vouches_needed: if random.percent(35) { 2 } else { 1 },
            has_theft: random.percent(40),
        }
    }
}

/// Which faults a history has.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FaultKinds {
    pub(super) crashes: bool,
    pub(super) old_disks: bool,
    pub(super) partitions: bool,
    pub(super) flaps: bool,
    pub(super) slow_lines: bool,
    pub(super) clocks: bool,
    pub(super) far_clocks: bool,
    pub(super) full_disks: bool,
    pub(super) calendar_leaps: bool,
    pub(super) memberships: bool,
}

impl Options {
    /// The history of a seed among so many nodes.
    pub fn drawn(seed: u64, nodes: usize) -> Options {
        let mut random = Random::new(seed);
        let mut is_on = |chance| random.percent(chance);
        let faults = FaultKinds {
            crashes: is_on(75),
            old_disks: is_on(40),
            partitions: is_on(75),
            flaps: is_on(60),
            slow_lines: is_on(40),
            clocks: is_on(60),
            far_clocks: is_on(35),
            full_disks: is_on(40),
            calendar_leaps: is_on(45),
            memberships: is_on(60),
        };
        let byzantine_percent = if is_on(60) { random.within(5..31) } else { 0 };
        Options {
            seed,
            nodes,
            active_ms: 300_000,
            settling_ms_max: 45 * 60 * 1_000,
            recording: Recording::None,
            byzantine_percent,
            queue_bytes_max: *random.pick(&[8 << 20, 8 << 20, 256 << 10]).unwrap_or(&(8 << 20)),
            latency_us_max: *random.pick(&[2_000, 40_000, 150_000, 600_000]).unwrap_or(&40_000),
            bytes_per_second: *random.pick(&[20_000, 125_000, 1_250_000, 12_500_000]).unwrap_or(&1_250_000),
            verify_us_max: *random.pick(&[200, 5_000, 400_000]).unwrap_or(&5_000),
            act_pause_ms: *random.pick(&[1_500, 3_000, 6_000]).unwrap_or(&3_000),
            fault_pause_ms: *random.pick(&[2_000, 5_000, 15_000]).unwrap_or(&5_000),
            burst_max: *random.pick(&[2, 8, 40]).unwrap_or(&8),
            faults,
            // From a source of their own, so that faults stay what they are.
            rules: Rules::drawn(Random::new(!seed)),
        }
    }
}
