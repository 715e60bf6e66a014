//! The waiting room: who is let in, who waits, in which order, and what they may be told.
//!
//! Whoever came before T0 stands in the order of a draw, whoever came later behind them in order of
//! arrival; both are one number, a [`Place`], and the room is one line sorted by it. A person who
//! has
//! not been seen for a while leaves the line but keeps the place: coming back – from another tab,
//! after a restart, through another instance, with a ticket – is entering the line at the old place
//! again. So people who went away hold nobody up, and one mechanism serves the draw, absence and
//! recovery.
//!
//! The shell brings the hashes, the clocks and the signatures: [`Buyer`] must be the output of a
//! keyed
//! hash, a draw comes from a secret committed to beforehand, a ticket has been checked. The room
//! must
//! not know what people want inside; it is told how much is left.

mod admit;
mod index;
mod line;
mod odds;
mod pace;
mod rules;
mod seats;

pub use odds::Odds;
pub use rules::{BadRules, Rate, Rules, Schedule};

use crate::Nanos;
use crate::limits::ROOM_DRAWING_SECONDS_MAX;
use index::Index;
use line::Line;
use odds::{Stock, odds};
use pace::{Meter, Pace};
use seats::{Seat, Seats, Slot, State, Tick};

/// A person as the room knows them: 128 bits of a keyed hash of the buyer, the same from every
/// device and on every instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Buyer(pub u128);

/// A place in the order of admission, comparable between instances: the lower comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(pub u64);

const CAME: u64 = 1 << 63;

impl Place {
    /// By the draw: its 63 low bits. Before all who came later.
    #[must_use]
    pub fn drawn(draw: u64) -> Place {
        Place(draw & !CAME)
    }
    /// By arrival, in microseconds of the wall clock.
    #[must_use]
    pub fn came(micros: u64) -> Place {
        Place(micros | CAME)
    }
    #[must_use]
    pub fn is_drawn(self) -> bool {
        self.0 < CAME
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visitor {
    pub buyer: Buyer,
    /// Microseconds of the wall clock; instances are compared by it.
    pub came_us: u64,
    /// The place of a ticket of this room that the shell has checked.
    pub ticket: Option<Place>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Everybody goes in.
    Idle,
    /// Before T0: everybody registers.
    Registering,
    /// The list is closed; the shell publishes its root and says [`Room::drawn`].
    Drawing,
    /// People are let in one after another.
    Serving,
}

/// The answer to a person who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Admitted,
    /// In the draw of T0, which is this far away; zero while it is being held.
    Registered {
        until: Nanos,
    },
    Waiting(Wait),
    /// Nothing is left; places are kept in case something comes back.
    SoldOut,
    /// The room holds as many people as it may.
    Full,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    pub place: Place,
    /// People in line before this one, all of them seen lately.
    pub ahead: u32,
    /// From the measured rate of admission; `None` while nobody is let in.
    pub wait: Option<Nanos>,
    /// `None`: the room was not told what is left.
    pub odds: Option<Odds>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    pub standing: Standing,
    /// A place given just now: the shell writes it down and hands out a ticket.
    pub given: Option<Place>,
}

/// What is going on, for metrics and operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Census {
    pub phase: Phase,
    pub sold_out: bool,
    /// In line.
    pub waiting: u32,
    /// Not in line but with a place that still counts.
    pub away: u32,
    /// Let in and not gone, whether or not they know yet.
    pub inside: u32,
    pub let_in_total: u64,
    pub missed_total: u64,
}

#[derive(Clone, Debug)]
pub struct Room {
    rules: Rules,
    seats_max: u32,
    seats: Seats,
    index: Index,
    line: Line,
    phase: Phase,
    /// When the phase began.
    since: Nanos,
    created: Nanos,
    /// A journal told who stood where; otherwise tickets do, for a while.
    recovered: bool,
    /// The draw of the present schedule has been held.
    drawn: bool,
    away: u32,
    inside: u32,
    /// Everybody up to this place has had a turn.
    served: Option<Place>,
    last_came: u64,
    /// Billionths of a person who may be let in, and until when they were counted.
    credit: u64,
    credited: Nanos,
    /// What was earned below a billionth, in parts of the rate's period: no rate is rounded.
    credit_rest: u64,
    /// By the rates that open the room and that end it.
    coming: Meter,
    calming: Meter,
    pace: Pace,
    stock: Option<Stock>,
    sweep: u32,
    let_in_total: u64,
    missed_total: u64,
}

const PERSON: u64 = 1_000_000_000;

impl Room {
    pub fn new(rules: Rules, now: Nanos) -> Result<Room, BadRules> {
        rules.check()?;
        let seats_max = rules.seats().ok_or(BadRules::Seats)?;
        Ok(Room {
            rules,
            seats_max,
            seats: Seats::new(seats_max),
            index: Index::new(seats_max),
            line: Line::default(),
            phase: Phase::Idle,
            since: now,
            created: now,
            recovered: false,
            drawn: false,
            away: 0,
            inside: 0,
            served: None,
            last_came: 0,
            credit: 0,
            credited: now,
            credit_rest: 0,
            coming: Meter::default(),
            calming: Meter::default(),
            pace: Pace::new(now),
            stock: None,
            sweep: 0,
            let_in_total: 0,
            missed_total: 0,
        })
    }

    /// A person asks, for the first time or again; asking is the sign of life. `draw` is called at
    /// most once, and only for a newcomer before T0.
    pub fn ask(&mut self, visitor: Visitor, draw: impl FnOnce(Buyer) -> u64, now: Nanos) -> Answer {
        self.turn(now);
        let tick = Tick::of(now);
        let Some(slot) = self.index.find(visitor.buyer, &self.seats) else {
            return self.newcomer(visitor, draw, now);
        };
        let sold_out = self.is_sold_out();
        let seat = &mut self.seats[slot];
        if seat.state == State::Missed && seat.seen.older(self.rules.grace, tick) {
            self.forget(slot);
            return self.newcomer(visitor, draw, now);
        }
        match seat.state {
            State::Inside => seat.seen = tick,
            State::Called if sold_out => {}
            State::Called => {
                seat.seen = tick;
                seat.state = State::Inside;
            }
            State::Waiting => seat.seen = tick,
            State::Away | State::Missed => {
                seat.seen = tick;
                seat.state = State::Waiting;
                self.away -= 1;
                self.line.insert(slot, &self.seats);
            }
            State::Free => unreachable!("a free seat is not in the index"),
        }
        if self.phase == Phase::Idle && self.seats[slot].state == State::Waiting {
            if self.has_place() {
                self.admit(slot, State::Inside, now);
            } else {
                self.become_phase(Phase::Serving, now);
            }
        }
        self.answer(slot, None, now)
    }

    /// A sign of life of somebody who shows a checked pass. After a restart the pass is what tells
    /// that they are inside. `false`: no seat is left to remember them by.
    pub fn touch(&mut self, buyer: Buyer, now: Nanos) -> bool {
        let tick = Tick::of(now);
        if let Some(slot) = self.index.find(buyer, &self.seats) {
            match self.seats[slot].state {
                State::Waiting => self.line.remove(slot, &self.seats),
                State::Away | State::Missed => self.away -= 1,
                State::Called | State::Inside => self.inside -= 1,
                State::Free => unreachable!("a free seat is not in the index"),
            }
            self.inside += 1;
            self.seats[slot].state = State::Inside;
            self.seats[slot].seen = tick;
            return true;
        }
        let place = self.served.unwrap_or(Place(0));
        self.sit(buyer, place, State::Inside, tick).is_some()
    }

    /// The person is done – has bought, or gives up: the seat is free at once.
    pub fn leave(&mut self, buyer: Buyer) {
        if let Some(slot) = self.index.find(buyer, &self.seats) {
            if self.seats[slot].state == State::Waiting {
                self.line.remove(slot, &self.seats);
            }
            self.forget(slot);
        }
    }

    /// A place that a journal remembers, before anybody asks. `false`: no seat is left.
    pub fn restore(&mut self, buyer: Buyer, place: Place, now: Nanos) -> bool {
        self.turn(now);
        self.recovered = true;
        if self.index.find(buyer, &self.seats).is_some() {
            return true;
        }
        if !place.is_drawn() {
            self.last_came = self.last_came.max(place.0 & !CAME);
        }
        let is_sat = self.enter(buyer, place, Tick::of(now)).is_some();
        if is_sat && self.phase == Phase::Idle {
            self.become_phase(Phase::Serving, now);
        }
        is_sat
    }

    /// Somebody the journal says was let in: everybody before has had a turn.
    pub fn restore_served(&mut self, place: Place) {
        self.recovered = true;
        self.served = self.served.max(Some(place));
    }

    /// The root of the list is published: people may be let in.
    pub fn drawn(&mut self, now: Nanos) {
        self.turn(now);
        if self.phase == Phase::Drawing {
            self.drawn = true;
            self.become_phase(Phase::Serving, now);
        }
    }

    /// An operator opens the room; it ends by itself as always.
    pub fn open(&mut self, now: Nanos) {
        self.turn(now);
        if self.phase == Phase::Idle {
            self.become_phase(Phase::Serving, now);
        }
    }

    /// What is left to sell, whenever it changes; `None`: unknown. At zero everybody waiting is
    /// told
    /// at their next question; above it the room goes on where it stopped.
    pub fn set_stock(&mut self, left: Option<u64>) {
        self.stock = left.map(|left| {
            let before = self.stock.unwrap_or(Stock {
                left,
                ..Stock::default()
            });
            Stock {
                left,
                taken: (before.taken + before.left).saturating_sub(left),
                let_in: before.let_in,
            }
        });
    }

    /// Other rules from now on. A bad set changes nothing.
    pub fn change(&mut self, rules: Rules, now: Nanos) -> Result<(), BadRules> {
        rules.check()?;
        if rules.seats().is_none_or(|seats| seats > self.seats_max) {
            return Err(BadRules::Grown);
        }
        if rules.schedule != self.rules.schedule {
            self.drawn = false;
        }
        if rules.schedule.is_none() && matches!(self.phase, Phase::Registering | Phase::Drawing) {
            self.become_phase(Phase::Serving, now);
        }
        if rules.admit != self.rules.admit {
            // It was a part of another period.
            self.credit_rest = 0;
        }
        self.rules = rules;
        Ok(())
    }

    pub fn census(&self) -> Census {
        Census {
            phase: self.phase,
            sold_out: self.is_sold_out(),
            waiting: self.line.len(),
            away: self.away,
            inside: self.inside,
            let_in_total: self.let_in_total,
            missed_total: self.missed_total,
        }
    }

    pub fn phase(&self) -> Phase {
        self.phase
    }

    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Everybody in line with their place, in order.
    pub fn in_line(&self) -> impl Iterator<Item = (Buyer, Place)> + '_ {
        self.line
            .iter()
            .map(|slot| (self.seats[slot].id, self.seats[slot].place))
    }

    /// Memory of all tables, reserved parts included.
    pub fn bytes(&self) -> usize {
        self.seats.bytes() + self.index.bytes() + self.line.bytes()
    }

    fn is_sold_out(&self) -> bool {
        self.stock.is_some_and(|stock| stock.left == 0)
    }

    /// Seven eighths of the waiting seats are taken.
    fn is_crowded(&self) -> bool {
        let taken = u64::from(self.line.len() + self.away);
        taken * 8 >= u64::from(self.rules.waiting_max) * 7
    }

    fn has_place(&self) -> bool {
        self.inside < self.rules.places
    }

    /// What the clock alone brings about.
    fn turn(&mut self, now: Nanos) {
        if let Some(set) = self.rules.schedule.filter(|_| !self.drawn) {
            let before = matches!(self.phase, Phase::Idle | Phase::Serving);
            if before && now >= set.t0 {
                self.become_phase(Phase::Drawing, now);
            } else if before && now >= set.opens {
                self.clear();
                self.become_phase(Phase::Registering, now);
            } else if self.phase == Phase::Registering && now >= set.t0 {
                self.become_phase(Phase::Drawing, now);
            }
        }
        let late = Nanos::from_secs(ROOM_DRAWING_SECONDS_MAX);
        if self.phase == Phase::Drawing && now.since(self.since) > late {
            // A draw that cannot be published must not stop the sale; the transcript tells.
            self.drawn = true;
            self.become_phase(Phase::Serving, now);
        }
    }

    fn become_phase(&mut self, phase: Phase, now: Nanos) {
        self.phase = phase;
        self.since = now;
        if phase == Phase::Serving {
            self.pace = Pace::new(now);
            self.calming.restart(now, self.rules.close_below);
            (self.credit, self.credit_rest) = (0, 0);
            self.credited = now;
        }
    }

    /// Registration begins with an empty room: whoever was in or waited registers like anybody.
    fn clear(&mut self) {
        self.seats = Seats::new(self.seats_max);
        self.index = Index::new(self.seats_max);
        self.line = Line::default();
        self.away = 0;
        self.inside = 0;
        self.served = None;
        self.sweep = 0;
    }

    /// Counts a newcomer; whether that is more than the room stays idle for.
    fn came(&mut self, now: Nanos) -> bool {
        self.calming.came(now, self.rules.close_below);
        let above = self.rules.open_above;
        above.is_some_and(|above| self.coming.came(now, above))
    }

    fn newcomer(
        &mut self,
        visitor: Visitor,
        draw: impl FnOnce(Buyer) -> u64,
        now: Nanos,
    ) -> Answer {
        let tick = Tick::of(now);
        let buyer = visitor.buyer;
        if self.phase == Phase::Idle {
            let is_rush = self.came(now);
            if !is_rush && self.has_place() && !self.seats.is_full() {
                let place = self.arrival(visitor.came_us);
                if let Some(slot) = self.sit(buyer, place, State::Inside, tick) {
                    self.count_let_in(now);
                    return self.answer(slot, None, now);
                }
            }
            self.become_phase(Phase::Serving, now);
        } else if self.phase == Phase::Serving {
            self.came(now);
        }
        let refused = |standing| Answer {
            standing,
            given: None,
        };
        if self.phase == Phase::Serving && self.is_sold_out() {
            return refused(Standing::SoldOut);
        }
        let place = if self.phase == Phase::Registering {
            Place::drawn(draw(buyer))
        } else {
            self.place_of(visitor, now)
        };
        let Some(slot) = self.enter(buyer, place, tick) else {
            return refused(Standing::Full);
        };
        if self.phase == Phase::Serving && self.line.len() == 1 {
            self.earn(now);
            if self.credit >= PERSON && self.has_place() {
                self.credit -= PERSON;
                self.admit(slot, State::Inside, now);
            }
        }
        self.answer(slot, Some(place), now)
    }

    /// A ticket's place counts while its turn has not come – or if this room has only just started
    /// without a journal and cannot know who has had theirs. Otherwise: the end of the line.
    fn place_of(&mut self, visitor: Visitor, now: Nanos) -> Place {
        let forgot = !self.recovered && now.since(self.created) <= self.rules.grace;
        let good = |place: &Place| forgot || self.served.is_none_or(|served| *place > served);
        match visitor.ticket.filter(good) {
            Some(place) => place,
            None => self.arrival(visitor.came_us),
        }
    }

    /// Arrivals never share a place and never go back.
    fn arrival(&mut self, came_us: u64) -> Place {
        self.last_came = (came_us & !CAME).max(self.last_came + 1);
        Place::came(self.last_came)
    }

    fn enter(&mut self, buyer: Buyer, place: Place, tick: Tick) -> Option<Slot> {
        if self.line.len() + self.away >= self.rules.waiting_max {
            return None;
        }
        let slot = self.sit(buyer, place, State::Waiting, tick)?;
        self.line.insert(slot, &self.seats);
        Some(slot)
    }

    fn sit(&mut self, id: Buyer, place: Place, state: State, seen: Tick) -> Option<Slot> {
        let slot = self.seats.take(Seat {
            id,
            place,
            seen,
            state,
        })?;
        self.index.insert(id, slot);
        if state == State::Inside {
            self.inside += 1;
        }
        Some(slot)
    }

    /// Frees a seat that is not in line (or has just been taken out of it).
    fn forget(&mut self, slot: Slot) {
        match self.seats[slot].state {
            State::Away | State::Missed => self.away -= 1,
            State::Called | State::Inside => self.inside -= 1,
            State::Waiting | State::Free => {}
        }
        self.index.remove(slot, &self.seats);
        self.seats.free(slot);
    }

    fn answer(&mut self, slot: Slot, given: Option<Place>, now: Nanos) -> Answer {
        let seat = self.seats[slot];
        let standing = match (self.phase, seat.state) {
            (_, State::Inside) => Standing::Admitted,
            (Phase::Registering | Phase::Drawing, _) => Standing::Registered {
                until: self
                    .rules
                    .schedule
                    .map_or(Nanos(0), |set| set.t0.since(now)),
            },
            _ if self.is_sold_out() => Standing::SoldOut,
            _ => {
                let ahead = self.line.rank(slot, &self.seats);
                let before = ahead + self.inside;
                let per_buyer = self.rules.units_per_buyer;
                Standing::Waiting(Wait {
                    place: seat.place,
                    ahead,
                    wait: self.pace.wait(ahead + 1, self.rules.admit, now),
                    odds: self.stock.map(|stock| odds(before, stock, per_buyer)),
                })
            }
        };
        Answer { standing, given }
    }
}
