//! What breaks: machines, disks, lines, clocks. And how it becomes whole again.

use super::network::KEEPALIVE_US;
use super::store::{Disk, Store};
use super::world::{Checked, Event, World};

const SECOND_US: u64 = 1_000_000;
const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

/// The end of a fault.
#[derive(Clone, Copy, Debug)]
pub(super) enum Undo {
    /// A process starts.
    Start(usize),
    /// All machines can talk again.
    Partition,
    /// A clock is right again.
    Clock(usize),
    /// A disk takes writes again.
    Disk(usize),
    /// A line is as fast as others.
    Line(usize),
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Crash,
    OldDisk,
    Partition,
    Flap,
    SlowLine,
    Clock,
    FarClock,
    Disk,
    CalendarLeap,
}

impl World {
    pub(super) fn fault(&mut self) -> Checked {
        if self.is_settling {
            return Ok(());
        }
        let pause_us = self.options.fault_pause_ms * 2_000;
        let wait_us = self.fault_random.below(pause_us);
        self.after(wait_us, Event::Fault);
        let on = self.options.faults;
        let kinds = [
            (on.crashes, 4, Kind::Crash),
            (on.old_disks, 1, Kind::OldDisk),
            (on.partitions, 2, Kind::Partition),
            (on.flaps, 4, Kind::Flap),
            (on.slow_lines, 2, Kind::SlowLine),
            (on.clocks, 3, Kind::Clock),
            (on.far_clocks, 1, Kind::FarClock),
            (on.full_disks, 2, Kind::Disk),
            (on.calendar_leaps, 1, Kind::CalendarLeap),
        ];
        let bag: Vec<Kind> = kinds
            .into_iter()
            .filter(|(is_on, ..)| *is_on)
            .flat_map(|(_, weight, kind)| std::iter::repeat_n(kind, weight))
            .collect();
        let Some(kind) = self.fault_random.pick(&bag).copied() else { return Ok(()) };
        let number = self.fault_random.index(self.machines.len());
        match kind {
            Kind::Crash => self.crash_somehow(number),
            Kind::OldDisk => self.restore_old_disk(number),
            Kind::Partition => self.partition(),
            Kind::Flap => return self.flap(),
            Kind::SlowLine => {
                self.history.counts.slow_lines += 1;
                self.network.slowness[number] = self.fault_random.within(20..400);
                self.history.line(self.now_us, Some(number), || "the line is slow".to_owned());
                self.undo_after(10..60, Undo::Line(number));
            }
            Kind::Clock => {
                let ahead_ms = self.fault_random.around_zero(9 * 60_000);
                self.set_clock(number, ahead_ms);
                self.undo_after(5..120, Undo::Clock(number));
            }
            Kind::FarClock => {
                let far_ms =
                    *self.fault_random.pick(&[DAY_MS, 30 * DAY_MS, 420 * DAY_MS, 1_500 * DAY_MS]).unwrap_or(&DAY_MS);
                let ahead_ms = self.fault_random.around_zero(far_ms);
                self.set_clock(number, ahead_ms);
                self.undo_after(2..60, Undo::Clock(number));
            }
            Kind::Disk => self.spoil_disk(number),
            Kind::CalendarLeap => {
                let span_ms = *self
                    .fault_random
                    .pick(&[48 * HOUR_MS, 48 * HOUR_MS, 60 * DAY_MS, 450 * DAY_MS])
                    .unwrap_or(&HOUR_MS);
                let leap_ms = self.fault_random.within(HOUR_MS..span_ms);
                self.calendar_ms += leap_ms;
                self.history.counts.calendar_leaps += 1;
                self.history.line(self.now_us, None, || format!("all clocks leap by {} h", leap_ms / HOUR_MS));
            }
        }
        Ok(())
    }

    fn undo_after(&mut self, seconds: std::ops::Range<u64>, undo: Undo) {
        let wait_us = self.fault_random.within(seconds.start * SECOND_US..seconds.end * SECOND_US);
        self.after(wait_us, Event::Undo(undo));
    }

    pub(super) fn undo(&mut self, undo: Undo) -> Checked {
        match undo {
            Undo::Start(number) => return self.start(number),
            Undo::Partition => self.unblock(),
            Undo::Clock(number) => {
                if !self.is_settling {
                    let ahead_ms = self.fault_random.around_zero(1_000);
                    self.set_clock(number, ahead_ms);
                }
            }
            Undo::Disk(number) => {
                if self.machines[number].store.disk == Disk::Dead && self.machines[number].node.is_some() {
                    self.crash(number, false);
                    self.undo_after(1..20, Undo::Start(number));
                }
                self.machines[number].store.disk = Disk::Good;
            }
            Undo::Line(number) => self.network.slowness[number] = 1,
        }
        Ok(())
    }

    /// Starts a process that does not run.
    pub(super) fn start(&mut self, number: usize) -> Checked {
        let machine = &mut self.machines[number];
        if machine.node.is_some() {
            return Ok(());
        }
        if machine.store.disk == Disk::Dead {
            machine.store.disk = Disk::Good;
        }
        machine.read_only = None;
        let rows = machine.store.rows().len();
        self.history.line(self.now_us, Some(number), || format!("starts with {rows} rows"));
        self.check_acknowledged(number)?;
        self.build(number)
    }

    fn crash_somehow(&mut self, number: usize) {
        if self.machines[number].node.is_none() {
            return;
        }
        if self.fault_random.percent(30) {
            self.machines[number].dies_at_commit = true;
        } else {
            let is_power_cut = self.fault_random.percent(60);
            self.crash(number, is_power_cut);
        }
        let seconds = if self.fault_random.percent(80) { 1..20 } else { 20..150 };
        self.undo_after(seconds, Undo::Start(number));
    }

    fn restore_old_disk(&mut self, number: usize) {
        let machine = &mut self.machines[number];
        let (Some((rows, cursors, unaudited)), true) = (machine.snapshot.clone(), machine.node.is_some()) else {
            return;
        };
        self.crash(number, true);
        let machine = &mut self.machines[number];
        machine.store = Store::new(rows, cursors, unaudited);
        machine.watch.excuse_lost(&machine.store);
        self.history.counts.snapshots_restored += 1;
        self.history.line(self.now_us, Some(number), || "an old copy of the disk is put back".to_owned());
        self.undo_after(1..30, Undo::Start(number));
    }

    /// Cuts the machines in two, or one way only, or one from all others.
    fn partition(&mut self) {
        let count = self.machines.len();
        let is_one_way = self.fault_random.percent(35);
        let here: Vec<bool> = if self.fault_random.percent(40) {
            let alone = self.fault_random.index(count);
            (0..count).map(|number| number == alone).collect()
        } else {
            (0..count).map(|_| self.fault_random.percent(50)).collect()
        };
        for from in 0..count {
            for to in 0..count {
                if here[from] != here[to] && (here[from] || !is_one_way) {
                    self.network.block(from, to, self.now_us);
                }
            }
        }
        let cut: Vec<usize> = self
            .network
            .live()
            .filter(|link| {
                let [a, b] = self.network.links[*link].machines;
                self.network.is_cut(a, b)
            })
            .collect();
        for link in cut {
            self.after(KEEPALIVE_US, Event::Keepalive { link });
        }
        self.history.counts.partitions += 1;
        let apart = here.iter().filter(|is_here| **is_here).count();
        self.history.line(self.now_us, None, || format!("{apart} machines are cut off, one way only: {is_one_way}"));
        self.undo_after(2..60, Undo::Partition);
    }

    pub(super) fn unblock(&mut self) {
        self.network.unblock_all();
        self.history.line(self.now_us, None, || "all machines can talk".to_owned());
        let live: Vec<usize> = self.network.live().collect();
        for link in live {
            self.look_at(link, 0);
            self.look_at(link, 1);
        }
    }

    fn flap(&mut self) -> Checked {
        let live: Vec<usize> = self.network.live().collect();
        for _ in 0..self.fault_random.within(1..5) {
            if let Some(link) = self.fault_random.pick(&live).copied() {
                self.history.counts.flaps += 1;
                self.history.line(self.now_us, None, || format!("link {link} breaks"));
                self.break_link(link)?;
            }
        }
        Ok(())
    }

    pub(super) fn set_clock(&mut self, number: usize, ahead_ms: i64) {
        self.machines[number].clock_ahead_ms = ahead_ms;
        self.history.counts.clock_changes += 1;
        self.history.line(self.now_us, Some(number), || format!("the clock is set to {ahead_ms} ms ahead"));
    }

    fn spoil_disk(&mut self, number: usize) {
        if self.machines[number].store.disk != Disk::Good || self.machines[number].node.is_none() {
            return;
        }
        let is_dead = self.fault_random.percent(30);
        self.machines[number].store.disk = if is_dead { Disk::Dead } else { Disk::Full };
        if is_dead {
            self.history.counts.dead_disks += 1;
        } else {
            self.history.counts.full_disks += 1;
        }
        self.history.line(self.now_us, Some(number), || format!("the disk takes no writes, dead: {is_dead}"));
        self.undo_after(5..60, Undo::Disk(number));
    }
}
