//! The simulator: the real sequencer, journal and rules on one thread, from a seed. Clients are
//! slow, repeat themselves and hang up; the disk tears, reorders, fills and fails; the process dies
//! at any byte. Then an independent auditor judges what clients were told against what the journal
//! holds.
//!
//! One seed is one run: [`run`] gives the same [`Report`] for the same seed, the digest of its
//! trace included. This crate must not be needed by anything that is shipped.

mod buyers;
mod channel;
mod dice;
mod faults;
mod flight;
mod judge;
pub mod limits;
mod server;
mod trace;
mod world;

use buyers::BUYERS;
use dice::Dice;
use faults::Faultline;
use flight::Net;
use journal::faulty::FaultyDisk;
use server::Server;
use std::collections::BTreeMap;
use trace::Trace;
use world::World;

/// What one seed showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub seed: u64,
    /// Folded over every event in order: equal for equal runs.
    pub digest: u64,
    pub events: u64,
    pub commands: u64,
    pub crashes: u64,
    /// How often each outcome occurred, each fault (in brackets), and how often each check looked.
    pub counts: BTreeMap<&'static str, u64>,
    /// What is wrong; empty when the seed holds.
    pub findings: Vec<String>,
}

impl Report {
    pub fn holds(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Runs one seed. `print` shows every event on stdout.
pub fn run(seed: u64, print: bool) -> Report {
    let mut dice = Dice(seed.wrapping_mul(0xD134_2543_DE82_EF95) ^ 0x5EA_3A11);
    let commands_wanted = limits::COMMANDS_MIN + dice.below(limits::COMMANDS_EXTRA_MAX);
    let faults = Faultline::new(&mut dice, commands_wanted);
    let disk = FaultyDisk::sound(dice.draw());
    faults.begin(&disk);
    let mut world = World {
        seed,
        now: 1_000_000,
        trace: Trace {
            print,
            ..Trace::default()
        },
        net: Net::default(),
        server: Server::new(disk),
        faults,
        wishes: Vec::new(),
        following: vec![Vec::new(); BUYERS as usize],
        pays: Vec::new(),
        open_pays: Vec::new(),
        acts: Vec::new(),
        set_up: 0,
        setting_up: false,
        commands: 0,
        commands_wanted,
        draining: false,
        up_at: 0,
        served: Vec::new(),
        answers: Vec::new(),
        receipts: Vec::new(),
        payments: Vec::new(),
        cancellations: Vec::new(),
        captures: Vec::new(),
        findings: Vec::new(),
        next_name: 0,
        act_answers: Vec::new(),
        dice,
    };
    world.run();
    if world.findings.is_empty() {
        world.judge();
    }
    let disk = world.server.disk.counts();
    for (what, times) in [
        ("(short write)", disk.short_writes),
        ("(interrupted call)", disk.interruptions),
        ("(write that failed)", disk.failed_writes),
        ("(read that failed)", disk.failed_reads),
        ("(sync that failed)", disk.failed_syncs),
        ("(disk full)", disk.full),
        ("(early write back)", disk.early_write_backs),
        ("(sector lost)", disk.sectors_lost),
        ("(un-synced sector kept)", disk.sectors_kept),
        ("(name lost)", disk.names_lost),
        ("(bit flipped)", disk.bits_flipped),
    ] {
        world.trace.count(what, times);
    }
    world.findings.truncate(limits::FINDINGS_SHOWN_MAX);
    Report {
        seed,
        digest: world.trace.digest,
        events: world.trace.events,
        commands: world.commands,
        crashes: world.faults.struck,
        counts: world.trace.counts,
        findings: world.findings,
    }
}
