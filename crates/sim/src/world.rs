//! One seed: buyers, a channel that takes money, operators, the shop's process and the faults, all
//! on one thread with one clock that only this file moves.

use crate::buyers::{Act, Wish};
use crate::channel::Pay;
use crate::dice::Dice;
use crate::faults::Faultline;
use crate::flight::{Errand, Flight, Net, Packet, Served};
use crate::limits;
use crate::server::{Arrived, NOBODY, NotStarted, Server};
use crate::trace::Trace;
use audit::{Cancellation, Capture, Payment, Receipt, outcome_name};
use engine::{Fatal, Reply, Turned};
use journal::faulty::Crash;
use sale::{At, Command, Outcome, RequestId, Seq};

/// Everything of one seed.
pub(crate) struct World {
    pub seed: u64,
    pub dice: Dice,
    pub now: u64,
    pub trace: Trace,
    pub net: Net,
    pub server: Server,
    pub faults: Faultline,
    pub wishes: Vec<Wish>,
    /// Wishes that each buyer still follows.
    pub following: Vec<Vec<usize>>,
    pub pays: Vec<Pay>,
    /// Payments that still need something.
    pub open_pays: Vec<usize>,
    pub acts: Vec<Act>,
    pub set_up: usize,
    pub setting_up: bool,
    /// Commands that reached the server.
    pub commands: u64,
    pub commands_wanted: u64,
    pub draining: bool,
    /// The shop is down until then.
    pub up_at: u64,
    pub served: Vec<Served>,
    /// Answers with the number of their entry, as they left the server.
    pub answers: Vec<(Seq, Outcome)>,
    pub receipts: Vec<Receipt>,
    pub payments: Vec<Payment>,
    pub cancellations: Vec<Cancellation>,
    pub captures: Vec<Capture>,
    /// What is wrong, in words.
    pub findings: Vec<String>,
    /// The next name for a payment or an operator's request.
    pub next_name: u128,
    pub act_answers: Vec<(RequestId, At, Outcome)>,
}

impl World {
    /// Runs to the end: everything asked is answered or given up, and every hold has ended.
    pub fn run(&mut self) {
        let mut steps = 0;
        while self.findings.is_empty() {
            steps += 1;
            if steps > limits::STEPS_MAX {
                self.finding(format!("no rest after {steps} steps: {}", self.unrest()));
                return;
            }
            self.step();
            if !self.draining && self.may_end() {
                self.draining = true;
                self.faults.cease(&self.server.disk);
                self.trace.note(self.now, "draining", &[self.commands]);
            }
            if self.draining && self.is_at_rest() {
                return;
            }
        }
    }

    fn may_end(&self) -> bool {
        self.commands >= self.commands_wanted && self.faults.struck >= 1
    }

    fn is_at_rest(&self) -> bool {
        self.server.is_up()
            && self.net.is_quiet()
            && !self.server.has_work()
            && self.open_pays.is_empty()
            && !self.setting_up
            && self.acts.iter().all(Act::is_done)
            && self.wishes.iter().all(Wish::is_done)
            && self.server.held() == 0
    }

    fn unrest(&self) -> String {
        format!(
            "up {}, quiet {}, work {}, {} payments, acts {}, wishes {}, {} units held",
            self.server.is_up(),
            self.net.is_quiet(),
            self.server.has_work(),
            self.open_pays.len(),
            self.acts.iter().filter(|act| !act.is_done()).count(),
            self.wishes.iter().filter(|wish| !wish.is_done()).count(),
            self.server.held()
        )
    }

    pub fn finding(&mut self, what: String) {
        self.findings.push(what);
    }

    fn step(&mut self) {
        while let Some(packet) = self.net.due(self.now) {
            match packet {
                Packet::ToServer(id) => self.deliver(id),
                Packet::ToClient(id, reply) => self.receive(id, reply),
            }
        }
        if !self.server.is_up() {
            self.now += 1 + self.dice.below(8);
            if self.now >= self.up_at {
                self.start();
            }
            return;
        }
        match self.dice.below(100) {
            0..=33 => self.buyer_acts(),
            34..=41 => self.channel_acts(),
            42..=44 => self.operator_acts(),
            45..=54 => {
                let most = 1 + self.dice.below(6);
                self.phase("gather", |world| world.server.gather(most, world.now));
            }
            55..=63 => self.phase("write", |world| world.server.write(world.now)),
            64..=73 => self.phase("sync", |world| world.server.sync()),
            74..=81 => self.phase("apply", |world| {
                world.server.apply();
                Ok(())
            }),
            82..=85 => {
                if self.server.tick(self.now) {
                    self.trace.note(self.now, "tick", &[]);
                }
            }
            86 => self.operate(),
            _ => self.now += 1 + self.dice.below(11),
        }
    }

    /// Snapshots and faults, each now and then.
    fn operate(&mut self) {
        if self.dice.percent(40) && !self.draining {
            if let Err(what) = self.server.snapshot(&mut self.trace, self.now) {
                self.finding(what);
            }
            if self.server.disk.is_down() {
                self.crash("(crash in a snapshot)", Crash::Machine);
            }
        } else if !self.draining {
            self.faults
                .arm(&mut self.dice, &self.server.disk, self.commands);
        }
    }

    /// One phase of the sequencer; a failure of the journal ends the process.
    fn phase(&mut self, name: &'static str, run: impl FnOnce(&mut World) -> Result<(), Fatal>) {
        if let Err(fatal) = run(self) {
            let why = match (&fatal, self.server.disk.is_down()) {
                (_, true) => "(crash in a write or sync)",
                (Fatal::Unknown(_), false) => "(failed sync)",
                (Fatal::Append(_), false) => "(failed write)",
                (Fatal::Fenced, false) => "(fenced)",
            };
            let machine = self
                .dice
                .percent(if self.server.disk.is_down() { 80 } else { 30 });
            self.crash(
                why,
                if machine {
                    Crash::Machine
                } else {
                    Crash::Process
                },
            );
            return;
        }
        let answered = std::mem::take(&mut self.server.answered);
        if !answered.is_empty() || name != "apply" {
            self.trace.note(self.now, name, &[answered.len() as u64]);
        }
        for (id, reply) in answered {
            self.answer(id, reply);
        }
        if self.faults.wants_crash(self.commands) && !self.draining {
            let machine = self.dice.percent(50);
            let why = if machine {
                "(power lost)"
            } else {
                "(process killed)"
            };
            self.crash(
                why,
                if machine {
                    Crash::Machine
                } else {
                    Crash::Process
                },
            );
        }
    }

    /// A command reaches the server.
    fn deliver(&mut self, id: u64) {
        let Some(flight) = self.net.flights.get_mut(&id) else {
            return;
        };
        let arrived = self.server.arrive(flight.command.clone(), id, self.now);
        if !matches!(arrived, Arrived::Down) {
            self.commands += 1;
            flight.arrival = Some(self.commands);
        }
        match arrived {
            Arrived::Queued => {
                self.net.waiting.insert(id);
            }
            Arrived::Answered(reply) => {
                self.net.waiting.insert(id);
                self.answer(id, reply);
            }
            Arrived::Down => self.net.post(self.now + 1, Packet::ToClient(id, None)),
        }
    }

    /// The server answers; the answer takes its way.
    fn answer(&mut self, id: u64, reply: Reply) {
        let name = match &reply {
            Ok(answer) => outcome_name(&answer.outcome),
            Err(Turned::Overloaded) => "(overloaded)",
            Err(Turned::StorageLow) => "(storage low)",
            Err(Turned::Draining) => "(draining)",
        };
        let seq = reply
            .as_ref()
            .map_or(0, |answer| answer.seq.map_or(0, |seq| seq.0));
        self.trace.happened(self.now, name, &[id, seq]);
        if let Ok(answer) = &reply {
            match answer.seq {
                Some(seq) => self.answers.push((seq, answer.outcome)),
                None => self.trace.count("(answered without the journal)", 1),
            }
        }
        if id == NOBODY {
            return;
        }
        self.net.waiting.remove(&id);
        if let Some(flight) = self.net.flights.get(&id) {
            let served = served(flight, &reply, self.now);
            self.served.extend(served);
        }
        let delay = self.delay();
        self.net
            .post(self.now + delay, Packet::ToClient(id, Some(reply)));
    }

    /// Mostly a few milliseconds; some lines are slow.
    pub fn delay(&mut self) -> u64 {
        if self.dice.percent(6) {
            20 + self.dice.below(120)
        } else {
            self.dice.below(4)
        }
    }

    /// The process ends; whoever waits finds the connection broken.
    fn crash(&mut self, why: &'static str, crash: Crash) {
        self.faults.struck += 1;
        let applied = self.server.applied().unwrap_or(0);
        self.trace.happened(
            self.now,
            why,
            &[applied, u64::from(crash == Crash::Machine)],
        );
        self.server.die(crash);
        if self.dice.percent(40) && self.server.rot(&mut self.dice) {
            self.trace
                .happened(self.now, "(bit rot in a snapshot)", &[]);
        }
        for id in std::mem::take(&mut self.net.waiting) {
            let delay = self.delay();
            self.net.post(self.now + delay, Packet::ToClient(id, None));
        }
        let dice = &mut self.dice;
        self.net.lose_answers(|| dice.percent(40));
        self.up_at = self.now + 3 + self.dice.below(limits::DOWN_MS_MAX);
    }

    fn start(&mut self) {
        if self.faults.wants_crash_in_start(&mut self.dice) && !self.draining {
            self.faults.arm_start(&mut self.dice, &self.server.disk);
        }
        let from_snapshot = self.dice.percent(70);
        match self.server.start(from_snapshot, &mut self.trace, self.now) {
            Ok(()) => self.faults.starts_failed = 0,
            Err(NotStarted::Wrong(what)) => self.finding(what),
            Err(NotStarted::Again) => {
                self.trace.happened(self.now, "(start failed)", &[]);
                self.faults.starts_failed += 1;
                self.faults.struck += u64::from(self.server.disk.is_down());
                if self.faults.starts_failed > limits::STARTS_MAX {
                    self.finding("the shop does not start again".into());
                }
                let machine = self.dice.percent(60);
                self.server.die(if machine {
                    Crash::Machine
                } else {
                    Crash::Process
                });
                self.faults.relent(&self.server.disk);
                self.up_at = self.now + 1 + self.dice.below(20);
            }
        }
    }

    pub fn send(&mut self, errand: Errand, command: Command) -> u64 {
        let delay = self.delay();
        self.net.send(errand, command, self.now, delay)
    }

    /// A name for a payment or a request that nobody had before.
    pub fn name(&mut self) -> u128 {
        self.next_name += 1;
        u128::from(self.seed) << 64 | self.next_name
    }

    /// An answer, or a broken connection, reaches whoever asked.
    fn receive(&mut self, id: u64, reply: Option<Reply>) {
        let Some(flight) = self.net.flights.remove(&id) else {
            return;
        };
        self.trace
            .note(self.now, "received", &[id, u64::from(reply.is_some())]);
        match flight.errand {
            Errand::Place { wish, odd } => self.placed(flight, wish, odd, reply),
            Errand::Cancel { wish } => self.cancelled(wish, reply),
            Errand::Begin { pay } => self.begun(pay, reply),
            Errand::Confirm { pay } => self.confirmed(pay, reply),
            Errand::Abandon { pay } => self.abandoned(pay, reply),
            Errand::Settle { pay, amount } => self.settled(pay, amount, reply),
            Errand::Act { act } => self.act_answered(act, reply),
            Errand::SetUp => {
                self.setting_up = false;
                self.set_up += usize::from(matches!(reply, Some(Ok(_))));
            }
            Errand::Stray => {}
        }
    }
}

/// For orders that the rules decided: accepted or refused, in the order of arrival.
fn served(flight: &Flight, reply: &Reply, at: u64) -> Option<Served> {
    let (Errand::Place { wish, odd: false }, Command::Place(place)) =
        (flight.errand, &flight.command)
    else {
        return None;
    };
    let outcome = reply.as_ref().ok()?.outcome;
    let order = match outcome {
        Outcome::Held(held) | Outcome::Replayed(held) => Some(held.order),
        _ => None,
    };
    let arrival = flight.arrival?;
    Some(Served {
        request: place.request,
        wish,
        arrival,
        order,
        at,
    })
}
