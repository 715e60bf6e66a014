//! The waiting room at its boundary: commands in, standings out. A slow and obvious model stands
//! beside it; what the model does not tell – fairness, time, memory – has tests of its own.

#[path = "room/agreement.rs"]
mod agreement;
#[path = "room/draw.rs"]
mod draw;
#[path = "room/figures.rs"]
mod figures;
#[path = "room/line.rs"]
mod line;
#[path = "room/model.rs"]
mod model;
#[path = "room/opening.rs"]
mod opening;
#[path = "room/told.rs"]
mod told;

use guard::Nanos;
use guard::room::{Answer, Buyer, Place, Rate, Room, Rules, Schedule, Standing, Visitor, Wait};

/// The hash of a shell, well enough spread for tests.
pub fn spread(number: u64, seed: u64) -> u64 {
    let mut z = (number ^ seed.rotate_left(32)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

pub fn buyer(number: u64) -> Buyer {
    Buyer(u128::from(spread(number, 1)) << 64 | u128::from(spread(number, 2)))
}

pub fn visitor(number: u64, now: Nanos) -> Visitor {
    Visitor {
        buyer: buyer(number),
        came_us: now.0 / 1_000,
        ticket: None,
    }
}

pub fn secs(seconds: u64) -> Nanos {
    Nanos::from_secs(seconds)
}

pub fn millis(millis: u64) -> Nanos {
    Nanos::from_millis(millis)
}

/// One a second, ten places, no schedule.
pub fn rules() -> Rules {
    Rules {
        waiting_max: 100,
        places: 10,
        admit: Rate::per_s(1),
        open_above: Some(Rate::per_s(5)),
        close_below: Rate::per_s(2),
        calm: secs(30),
        away_after: secs(60),
        grace: secs(120),
        idle: secs(600),
        units_per_buyer: 1,
        schedule: None,
    }
}

pub fn drawn_at(t0_s: u64) -> Rules {
    Rules {
        schedule: Some(Schedule {
            opens: secs(1),
            t0: secs(t0_s),
        }),
        ..rules()
    }
}

/// A room and a clock.
pub struct Desk {
    pub room: Room,
    pub now: Nanos,
    pub seed: u64,
    pub called: Vec<Buyer>,
}

impl Desk {
    pub fn new(rules: Rules) -> Desk {
        Desk {
            room: Room::new(rules, Nanos(0)).unwrap(),
            now: Nanos(0),
            seed: 3,
            called: Vec::new(),
        }
    }
    /// Serving, with nobody in it yet.
    pub fn open(rules: Rules) -> Desk {
        let mut desk = Desk::new(rules);
        desk.room.open(Nanos(0));
        desk
    }
    pub fn answer(&mut self, number: u64, ticket: Option<Place>) -> Answer {
        let seed = self.seed;
        let visitor = Visitor {
            ticket,
            ..visitor(number, self.now)
        };
        let draw = |buyer: Buyer| spread(buyer.0 as u64, seed);
        self.room.ask(visitor, draw, self.now)
    }
    pub fn ask(&mut self, number: u64) -> Standing {
        self.answer(number, None).standing
    }
    #[track_caller]
    pub fn wait(&mut self, number: u64) -> Wait {
        match self.ask(number) {
            Standing::Waiting(wait) => wait,
            other => panic!("{number} does not wait: {other:?}"),
        }
    }
    pub fn tick(&mut self) {
        let called = &mut self.called;
        self.room.tick(self.now, |buyer, _| called.push(buyer));
    }
    /// Goes on by tenths of a second, as the shell does.
    pub fn pass(&mut self, span: Nanos) {
        let until = self.now.plus(span);
        while self.now < until {
            self.now = self.now.plus(millis(100));
            self.tick();
        }
    }
    pub fn order(&self) -> Vec<Buyer> {
        self.room.in_line().map(|(buyer, _)| buyer).collect()
    }
}
