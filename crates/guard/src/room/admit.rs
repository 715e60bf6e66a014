//! What happens ten times a second: people are let in, and those who went away lose first their
//! place in line and then their seat. Each tick does a bounded piece of it, since everybody who
//! asks
//! meanwhile waits for the lock.

use super::seats::{Slot, State, Tick};
use super::{Buyer, PERSON, Phase, Place, Room};
use crate::Nanos;
use crate::limits::{ROOM_ADMIT_STEPS_PER_TICK, ROOM_BURST_MS, ROOM_SWEEP_PER_TICK_SEATS};

impl Room {
    /// Lets people in and looks after those who went away; call it ten times a second. `called`
    /// hears
    /// of everybody who is let in.
    pub fn tick(&mut self, now: Nanos, mut called: impl FnMut(Buyer, Place)) {
        self.turn(now);
        if matches!(self.phase, Phase::Idle | Phase::Serving) {
            self.sweep(Tick::of(now));
        }
        if self.phase != Phase::Serving || self.is_sold_out() {
            self.credited = now;
            return;
        }
        self.earn(now);
        for _ in 0..ROOM_ADMIT_STEPS_PER_TICK {
            let Some(slot) = self.line.first() else {
                break;
            };
            let tick = Tick::of(now);
            if self.seats[slot].seen.older(self.rules.away_after, tick) {
                self.line.remove(slot, &self.seats);
                self.miss(slot, tick);
                self.away += 1;
                continue;
            }
            if self.credit < PERSON || !self.has_place() {
                break;
            }
            self.credit -= PERSON;
            self.admit(slot, State::Called, now);
            called(self.seats[slot].id, self.seats[slot].place);
        }
        self.maybe_end(now);
    }

    pub(super) fn earn(&mut self, now: Nanos) {
        let rate = self.rules.admit;
        let (count, per) = (u128::from(rate.count), u128::from(rate.per.0));
        let people = |nanos: u64| u128::from(nanos) * count * u128::from(PERSON);
        // The part of a person that is left from the last tick does not count as saved up.
        let most = people(ROOM_BURST_MS * 1_000_000) / per + u128::from(PERSON);
        let passed = now.since(self.credited).0.min(1_000 * 1_000_000);
        let earned = people(passed) + u128::from(self.credit_rest);
        let credit = (u128::from(self.credit) + earned / per).min(most);
        // Rates are checked: both are far below 64 bits.
        self.credit = u64::try_from(credit).unwrap_or(u64::MAX);
        self.credit_rest = u64::try_from(earned % per).unwrap_or(0);
        self.credited = now;
    }

    pub(super) fn admit(&mut self, slot: Slot, state: State, now: Nanos) {
        self.line.remove(slot, &self.seats);
        self.inside += 1;
        let seat = &mut self.seats[slot];
        seat.state = state;
        seat.seen = Tick::of(now);
        self.served = self.served.max(Some(seat.place));
        self.count_let_in(now);
    }

    pub(super) fn count_let_in(&mut self, now: Nanos) {
        self.let_in_total += 1;
        if let Some(stock) = &mut self.stock {
            stock.let_in += 1;
        }
        self.pace.let_in(now);
    }

    /// The turn came and the person was not there.
    fn miss(&mut self, slot: Slot, tick: Tick) {
        let seat = &mut self.seats[slot];
        seat.state = State::Missed;
        seat.seen = tick;
        self.served = self.served.max(Some(seat.place));
        self.missed_total += 1;
    }

    /// Looks at the next seats: who went away, who missed a turn for good, which places inside are
    /// free again. While nothing is left, time does not run against those who wait.
    fn sweep(&mut self, now: Tick) {
        let extent = self.seats.extent();
        let running = self.phase == Phase::Serving && !self.is_sold_out();
        let crowded = self.is_crowded();
        // With nobody in line, everybody who is away has had a turn.
        let nobody = self.line.len() == 0;
        for _ in 0..ROOM_SWEEP_PER_TICK_SEATS.min(extent) {
            let slot = Slot(self.sweep % extent);
            self.sweep = slot.0 + 1;
            let seat = self.seats[slot];
            let rules = &self.rules;
            match seat.state {
                State::Waiting if seat.seen.older(rules.away_after, now) => {
                    self.line.remove(slot, &self.seats);
                    self.seats[slot].state = State::Away;
                    self.away += 1;
                }
                // Tickets bring such places back; the list of the draw is kept.
                State::Away if crowded && seat.is_forgettable(rules.grace, now) => {
                    self.forget(slot);
                }
                State::Away if running => {
                    let had_turn = self.served.is_some_and(|served| seat.place <= served);
                    if had_turn || nobody {
                        self.miss(slot, now);
                    }
                }
                State::Called if running && seat.seen.older(rules.away_after, now) => {
                    self.inside -= 1;
                    self.away += 1;
                    self.miss(slot, now);
                }
                State::Missed if !self.is_sold_out() && seat.seen.older(rules.grace, now) => {
                    self.forget(slot);
                }
                State::Inside if seat.seen.older(rules.idle, now) => self.forget(slot),
                _ => {}
            }
        }
    }

    /// Nobody waits and it has been calm: everybody goes in again.
    fn maybe_end(&mut self, now: Nanos) {
        let rules = &self.rules;
        let calm = self.calming.is_calm(now, rules.close_below, rules.calm);
        if calm && self.line.len() == 0 && self.has_place() {
            self.become_phase(Phase::Idle, now);
        }
    }
}
