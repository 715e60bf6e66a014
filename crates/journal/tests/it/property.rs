//! Many seeds over the faulty disk: whatever was settled as durable is there after every crash,
//! in order and byte for byte, and nothing else but at most the one batch in flight.

use crate::helpers::*;
use journal::faulty::{Counts, Crash, CrashAt, Faults, FaultyDisk};
use journal::{Batch, FileLog, Log, OpenError, Options, Settled, prune_segments};

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }
    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }
}

#[derive(Default)]
struct Tally {
    batches: u64,
    lives: u64,
    in_flight_kept: u64,
    in_flight_lost: u64,
    torn: u64,
    refused_openings: u64,
    pruned: u64,
}

/// What a batch carries follows from its place and the life it was written in.
fn payload(first: u64, life: u64) -> Vec<u8> {
    let len = match (first + life) % 7 {
        0 => 0,
        1..=4 => 20 + (first * 31 + life) % 300,
        5 => 1_500,
        _ => 3_900,
    };
    bytes(first << 16 | life, len as usize)
}

struct Course {
    random: Random,
    disk: FaultyDisk,
    /// Settled: first, count, life.
    durable: Vec<(u64, u32, u64)>,
    /// Handed over in the last life, fate unknown.
    in_flight: Option<(u64, u32, u64)>,
    tally: Tally,
}

impl Course {
    fn new(seed: u64) -> Course {
        let random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let disk = FaultyDisk::sound(seed);
        let (durable, tally) = (Vec::new(), Tally::default());
        Course {
            random,
            disk,
            durable,
            in_flight: None,
            tally,
        }
    }

    fn faults(&mut self) {
        let mut rate = |per: u32| if self.random.one_in(2) { per } else { 0 };
        self.disk.set_faults(Faults {
            short_write: rate(200_000),
            interrupted: rate(100_000),
            failed_write: rate(5_000),
            failed_read: rate(500),
            failed_sync: rate(10_000),
            early_write_back: rate(300_000),
            capacity_bytes: None,
        });
        match self.random.below(3) {
            0 => self
                .disk
                .crash_at(CrashAt::Operation(self.random.below(120))),
            1 => self.disk.crash_at(CrashAt::Byte(self.random.below(40_000))),
            _ => {}
        }
    }

    /// Opens until it succeeds: faults may end an opening, and it can be repeated.
    fn open(&mut self) -> FileLog<FaultyDisk> {
        let segment_bytes = [4_096, 8_192, 16_384][self.random.below(3) as usize];
        let options = Options {
            segment_bytes,
            ..options()
        };
        for attempt in 0.. {
            match FileLog::open(self.disk.clone(), options) {
                Ok((log, recovery)) => {
                    self.tally.torn += u64::from(recovery.torn.is_some());
                    self.judge(recovery.last);
                    return log;
                }
                Err(OpenError::Read(journal::ReadError::Damaged(damage))) => {
                    panic!("damage after a crash: {damage}")
                }
                Err(_) => self.tally.refused_openings += 1,
            }
            if attempt > 20 {
                self.disk.set_faults(Faults::default());
            }
            self.restart();
        }
        unreachable!()
    }

    fn restart(&mut self) {
        let crash = if self.random.one_in(3) {
            Crash::Process
        } else {
            Crash::Machine
        };
        self.disk = self.disk.restart(crash);
    }

    /// The batch in flight is there whole or not at all.
    fn judge(&mut self, last: u64) {
        let settled = self
            .durable
            .last()
            .map_or(0, |(first, count, _)| first + u64::from(*count) - 1);
        if let Some(batch) = self.in_flight.take() {
            if last == batch.0 + u64::from(batch.1) - 1 {
                self.tally.in_flight_kept += 1;
                self.durable.push(batch);
                return;
            }
            self.tally.in_flight_lost += 1;
        }
        assert_eq!(last, settled);
    }

    fn verify(&mut self) {
        self.disk.set_faults(Faults::default());
        let Some((first, count, _)) = self.durable.last().copied() else {
            return;
        };
        let last = first + u64::from(count) - 1;
        let oldest = segments(&self.disk)[0][..20].parse().unwrap();
        let mut reader = journal::Reader::open(self.disk.clone(), oldest).unwrap();
        let mut expected = self
            .durable
            .iter()
            .skip_while(|(first, _, _)| *first < oldest);
        while let Some(batch) = reader.next_through(last).unwrap() {
            let (first, count, life) = *expected.next().unwrap();
            assert_eq!((batch.first, batch.count), (first, count));
            assert!(
                batch.payload == payload(first, life),
                "batch {first} of life {life}"
            );
        }
        assert_eq!(expected.next(), None);
    }

    fn life(&mut self, life: u64) {
        let mut log = self.open();
        self.tally.lives += 1;
        self.faults();
        for _ in 0..self.random.below(60) {
            let (first, count) = (log.next(), 1 + self.random.below(4) as u32);
            let payload = payload(first, life);
            if payload.len() > log.payload_bytes_max() {
                continue;
            }
            if log
                .append(Batch {
                    first,
                    count,
                    payload: &payload,
                })
                .is_err()
            {
                // Written in part, or the roll failed before anything was.
                self.in_flight = Some((first, count, life));
                break;
            }
            self.in_flight = Some((first, count, life));
            if self.random.one_in(100) {
                break;
            }
            match log.settle() {
                Settled::Durable { through } => {
                    assert_eq!(through, first + u64::from(count) - 1);
                    self.tally.batches += 1;
                    self.durable.extend(self.in_flight.take());
                }
                Settled::Unknown(_) => break,
                Settled::Fenced => panic!("nobody else writes"),
            }
            if self.random.one_in(40) {
                let settled = self.durable.len();
                let at = self.durable[settled / 2].0;
                let pruned = prune_segments(&self.disk, at);
                self.tally.pruned += pruned.map_or(0, |pruned| pruned.segments as u64);
            }
        }
        if self.random.one_in(4) {
            let _ = log.close();
        }
        self.restart();
    }
}

fn run(seed: u64) -> (Tally, Counts) {
    let mut course = Course::new(seed);
    for life in 0..8 {
        course.life(life);
    }
    course.disk.set_faults(Faults::default());
    drop(course.open());
    course.verify();
    (course.tally, course.disk.counts())
}

#[test]
fn what_was_settled_is_there_after_every_crash() {
    let seeds = 3_000;
    let mut sum = Tally::default();
    let mut counts = Counts::default();
    for seed in 1..=seeds {
        let caught = std::panic::catch_unwind(|| run(seed));
        let Ok((tally, found)) = caught else {
            panic!("seed {seed}")
        };
        sum.batches += tally.batches;
        sum.lives += tally.lives;
        sum.in_flight_kept += tally.in_flight_kept;
        sum.in_flight_lost += tally.in_flight_lost;
        sum.torn += tally.torn;
        sum.refused_openings += tally.refused_openings;
        sum.pruned += tally.pruned;
        counts.failed_syncs += found.failed_syncs;
        counts.sectors_lost += found.sectors_lost;
        counts.names_lost += found.names_lost;
        counts.early_write_backs += found.early_write_backs;
    }
    // The test has tested something.
    let happened = [
        ("batches", sum.batches, 50 * seeds),
        ("lives", sum.lives, 8 * seeds),
        ("kept in flight", sum.in_flight_kept, seeds / 4),
        ("lost in flight", sum.in_flight_lost, seeds / 4),
        ("torn", sum.torn, seeds / 10),
        ("refused openings", sum.refused_openings, seeds / 50),
        ("pruned", sum.pruned, seeds / 10),
        ("failed syncs", counts.failed_syncs, seeds / 10),
        ("sectors lost", counts.sectors_lost, seeds),
        ("names lost", counts.names_lost, seeds / 50),
        ("early write-backs", counts.early_write_backs, seeds),
    ];
    for (what, found, least) in happened {
        assert!(found >= least, "{what}: {found} of at least {least}");
    }
}
