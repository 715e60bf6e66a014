//! When things go wrong: a plan drawn from the seed, so that every seed has at least one crash and
//! most have several kinds of trouble.

use crate::dice::Dice;
use crate::limits::{CRASHES_PLANNED_MAX, RESERVE_BYTES};
use journal::Disk;
use journal::faulty::{CrashAt, Faults, FaultyDisk};

pub(crate) struct Faultline {
    base: Faults,
    /// Numbers of commands after which a crash strikes; the last one first.
    crashes: Vec<u64>,
    /// From when to when the disk is nearly full, in commands.
    full: Option<(u64, u64)>,
    is_full: bool,
    start_crashes: u64,
    commands_wanted: u64,
    pub struck: u64,
    pub starts_failed: u32,
}

impl Faultline {
    pub fn new(dice: &mut Dice, commands: u64) -> Faultline {
        let mut often = |percent: u64, most: u64| {
            if dice.percent(percent) {
                dice.below(most) as u32
            } else {
                0
            }
        };
        let base = Faults {
            short_write: often(60, 80_000),
            interrupted: often(40, 40_000),
            failed_write: often(15, 1_500),
            failed_read: often(10, 3_000),
            failed_sync: often(15, 2_500),
            early_write_back: often(60, 300_000),
            capacity_bytes: None,
        };
        let count = 1 + dice.below(CRASHES_PLANNED_MAX);
        let mut crashes: Vec<u64> = (0..count).map(|_| 30 + dice.below(commands - 60)).collect();
        crashes.sort_unstable_by(|a, b| b.cmp(a));
        let full = dice.percent(25).then(|| {
            let from = dice.below(commands);
            (from, from + 20 + dice.below(120))
        });
        let start_crashes = dice.below(3);
        Faultline {
            base,
            crashes,
            full,
            is_full: false,
            commands_wanted: commands,
            start_crashes,
            struck: 0,
            starts_failed: 0,
        }
    }

    pub fn begin(&self, disk: &FaultyDisk) {
        disk.set_faults(self.base);
    }

    /// Now and then: a crash inside one of the next operations, a sync that fails, a full disk.
    pub fn arm(&mut self, dice: &mut Dice, disk: &FaultyDisk, commands: u64) {
        self.fill(dice, disk, commands);
        let Some(at) = self.crashes.last().copied() else {
            return;
        };
        if commands + 40 < at {
            return;
        }
        match dice.below(4) {
            0 => disk.crash_at(CrashAt::Byte(dice.below(4_000))),
            1 => disk.crash_at(CrashAt::Operation(dice.below(30))),
            2 => disk.fail_sync_in(dice.below(6)),
            _ => return,
        }
        self.crashes.pop();
    }

    fn fill(&mut self, dice: &mut Dice, disk: &FaultyDisk, commands: u64) {
        let Some((from, to)) = self.full else { return };
        let full = (from..to).contains(&commands);
        if full == self.is_full {
            return;
        }
        self.is_full = full;
        let mut faults = self.base;
        disk.set_faults(faults);
        if full {
            let used = disk.free_bytes().map_or(0, |free| u64::MAX - free);
            faults.capacity_bytes = Some(used + dice.below(2 * RESERVE_BYTES));
            disk.set_faults(faults);
        }
    }

    /// A planned crash whose time has come and that no operation has had inside it; or the one
    /// that every seed must have, where a snapshot swallowed the planned fault.
    pub fn wants_crash(&mut self, commands: u64) -> bool {
        let due = self.crashes.last().is_some_and(|at| *at <= commands);
        if due {
            self.crashes.pop();
        }
        due || (commands >= self.commands_wanted && self.struck == 0)
    }

    pub fn wants_crash_in_start(&mut self, dice: &mut Dice) -> bool {
        let wants = self.start_crashes > 0 && dice.percent(40);
        self.start_crashes -= u64::from(wants);
        wants
    }
    pub fn arm_start(&self, dice: &mut Dice, disk: &FaultyDisk) {
        disk.crash_at(CrashAt::Operation(dice.below(14)));
    }

    /// After a failed start somebody makes room and replaces the cable.
    pub fn relent(&mut self, disk: &FaultyDisk) {
        let faults = Faults {
            failed_write: 0,
            failed_read: 0,
            failed_sync: 0,
            ..self.base
        };
        self.base = faults;
        self.full = None;
        disk.set_faults(faults);
    }

    /// No more trouble: the run comes to its end.
    pub fn cease(&mut self, disk: &FaultyDisk) {
        self.crashes.clear();
        self.full = None;
        self.base = Faults::default();
        disk.set_faults(self.base);
        // Whatever is armed strikes far away.
        disk.crash_at(CrashAt::Operation(u64::MAX));
        disk.fail_sync_in(u64::MAX);
    }
}
