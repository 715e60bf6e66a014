//! The slow, obvious room: a list of people, sorted whenever somebody asks.

use guard::Nanos;
use guard::room::{Buyer, Phase, Place, Rate, Rules};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Waiting,
    Away,
    Missed,
    Called,
    Inside,
}

#[derive(Clone, Copy, Debug)]
pub struct Person {
    pub buyer: Buyer,
    pub place: Place,
    pub seen: u64,
    pub state: State,
}

/// What a person is told, without estimates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    Admitted,
    Registered,
    Waiting { place: Place, ahead: u32 },
    SoldOut,
    Full,
}

#[derive(Clone, Debug)]
pub struct Model {
    rules: Rules,
    pub people: Vec<Person>,
    pub phase: Phase,
    drawn: bool,
    since: Nanos,
    served: Option<Place>,
    last_came: u64,
    /// In people times the period of the rate.
    credit: u64,
    credited: Nanos,
    pub left: Option<u64>,
    /// When newcomers were counted.
    arrivals: Vec<Nanos>,
    /// When it began to let in.
    restarted: Nanos,
}

const SECOND: u64 = 1_000_000_000;

fn ticks(at: Nanos) -> u64 {
    at.0 / (1 << 26)
}

impl Model {
    pub fn new(rules: Rules) -> Model {
        Model {
            rules,
            people: Vec::new(),
            phase: Phase::Idle,
            drawn: false,
            since: Nanos(0),
            served: None,
            last_came: 0,
            credit: 0,
            credited: Nanos(0),
            left: None,
            arrivals: Vec::new(),
            restarted: Nanos(0),
        }
    }

    pub fn count(&self, states: &[State]) -> u32 {
        let of = self.people.iter().filter(|p| states.contains(&p.state));
        of.count() as u32
    }

    pub fn line(&self) -> Vec<Person> {
        let waits = |person: &&Person| person.state == State::Waiting;
        let mut line: Vec<Person> = self.people.iter().filter(waits).copied().collect();
        line.sort_by_key(|person| (person.place, person.buyer));
        line
    }

    fn sold_out(&self) -> bool {
        self.left == Some(0)
    }

    fn inside(&self) -> u32 {
        self.count(&[State::Called, State::Inside])
    }

    fn has_place(&self) -> bool {
        self.inside() < self.rules.places
    }

    fn older(&self, person: &Person, span: Nanos, now: Nanos) -> bool {
        ticks(now) > person.seen + ticks(span)
    }

    fn serve(&mut self, now: Nanos) {
        self.phase = Phase::Serving;
        self.since = now;
        self.credit = 0;
        self.credited = now;
        self.restarted = now;
    }

    fn turn(&mut self, now: Nanos) {
        if let Some(set) = self.rules.schedule.filter(|_| !self.drawn) {
            let settled = matches!(self.phase, Phase::Idle | Phase::Serving);
            if (settled || self.phase == Phase::Registering) && now >= set.t0 {
                (self.phase, self.since) = (Phase::Drawing, now);
            } else if settled && now >= set.opens {
                self.people.clear();
                self.served = None;
                (self.phase, self.since) = (Phase::Registering, now);
            }
        }
        if self.phase == Phase::Drawing && now.since(self.since) > Nanos::from_secs(30) {
            self.drawn = true;
            self.serve(now);
        }
    }

    pub fn drawn(&mut self, now: Nanos) {
        self.turn(now);
        if self.phase == Phase::Drawing {
            self.drawn = true;
            self.serve(now);
        }
    }

    pub fn ask(&mut self, buyer: Buyer, came_us: u64, ticket: Option<Place>, now: Nanos) -> Told {
        self.turn(now);
        let found = self.people.iter().position(|p| p.buyer == buyer);
        let Some(at) = found else {
            return self.newcomer(buyer, came_us, ticket, now);
        };
        let person = self.people[at];
        if person.state == State::Missed && self.older(&person, self.rules.grace, now) {
            self.people.remove(at);
            return self.newcomer(buyer, came_us, ticket, now);
        }
        let sold_out = self.sold_out();
        let person = &mut self.people[at];
        match person.state {
            State::Called if sold_out => {}
            State::Called | State::Inside => {
                person.state = State::Inside;
                person.seen = ticks(now);
            }
            State::Waiting | State::Away | State::Missed => {
                person.state = State::Waiting;
                person.seen = ticks(now);
            }
        }
        if self.phase == Phase::Idle && self.people[at].state == State::Waiting {
            if self.has_place() {
                self.let_in(buyer, State::Inside, now);
            } else {
                self.serve(now);
            }
        }
        self.told(buyer)
    }

    fn newcomer(&mut self, buyer: Buyer, came_us: u64, ticket: Option<Place>, now: Nanos) -> Told {
        if matches!(self.phase, Phase::Idle | Phase::Serving) {
            self.arrivals.push(now);
        }
        let seats = (self.rules.waiting_max + self.rules.places) as usize;
        let mut state = State::Waiting;
        if self.phase == Phase::Idle {
            let above = self.rules.open_above;
            let calm = |above: Rate| self.came_in(now.0 / above.per.0, above) <= above.count;
            if above.is_none_or(calm) && self.has_place() && self.people.len() < seats {
                state = State::Inside;
            } else {
                self.serve(now);
            }
        }
        if self.phase == Phase::Serving && self.sold_out() {
            return Told::SoldOut;
        }
        let place = match ticket {
            _ if self.phase == Phase::Registering => Place::drawn(super::spread(buyer.0 as u64, 3)),
            Some(place) if state == State::Waiting && self.counts(place, now) => place,
            _ => {
                self.last_came = came_us.max(self.last_came + 1);
                Place::came(self.last_came)
            }
        };
        let waiting = self.count(&[State::Waiting, State::Away, State::Missed]);
        let full = waiting >= self.rules.waiting_max || self.people.len() == seats;
        if state == State::Waiting && full {
            return Told::Full;
        }
        let seen = ticks(now);
        self.people.push(Person {
            buyer,
            place,
            seen,
            state,
        });
        if self.phase == Phase::Serving && self.line().len() == 1 {
            self.earn(now);
            if self.credit >= self.rules.admit.per.0 && self.has_place() {
                self.credit -= self.rules.admit.per.0;
                self.let_in(buyer, State::Inside, now);
            }
        }
        self.told(buyer)
    }

    /// Without a journal a ticket counts for a while after the start; later only if its turn has
    /// not come.
    fn counts(&self, place: Place, now: Nanos) -> bool {
        now <= self.rules.grace || self.served.is_none_or(|served| place > served)
    }

    fn told(&self, buyer: Buyer) -> Told {
        let Some(person) = self.people.iter().find(|p| p.buyer == buyer) else {
            unreachable!("only people of the room are told")
        };
        if person.state == State::Inside {
            return Told::Admitted;
        }
        if matches!(self.phase, Phase::Registering | Phase::Drawing) {
            return Told::Registered;
        }
        if self.sold_out() {
            return Told::SoldOut;
        }
        let key = (person.place, person.buyer);
        let line = self.line();
        let ahead = line.iter().filter(|p| (p.place, p.buyer) < key).count() as u32;
        Told::Waiting {
            place: person.place,
            ahead,
        }
    }

    fn let_in(&mut self, buyer: Buyer, state: State, now: Nanos) {
        for person in self.people.iter_mut().filter(|p| p.buyer == buyer) {
            person.state = state;
            person.seen = ticks(now);
            self.served = self.served.max(Some(person.place));
        }
    }

    fn earn(&mut self, now: Nanos) {
        let Rate { count, per } = self.rules.admit;
        let passed = now.since(self.credited).0.min(SECOND);
        let most = count * SECOND / 4 + per.0;
        self.credit = (self.credit + passed * count).min(most);
        self.credited = now;
    }

    pub fn tick(&mut self, now: Nanos) -> Vec<Buyer> {
        self.turn(now);
        let mut called = Vec::new();
        if matches!(self.phase, Phase::Idle | Phase::Serving) {
            self.sweep(now);
        }
        if self.phase != Phase::Serving || self.sold_out() {
            self.credited = now;
            return called;
        }
        self.earn(now);
        while let Some(&first) = self.line().first() {
            if self.older(&first, self.rules.away_after, now) {
                self.miss(first.buyer, now);
            } else if self.credit >= self.rules.admit.per.0 && self.has_place() {
                self.credit -= self.rules.admit.per.0;
                self.let_in(first.buyer, State::Called, now);
                called.push(first.buyer);
            } else {
                break;
            }
        }
        if self.is_calm(now) && self.line().is_empty() && self.has_place() {
            self.phase = Phase::Idle;
        }
        called
    }

    fn miss(&mut self, buyer: Buyer, now: Nanos) {
        for person in self.people.iter_mut().filter(|p| p.buyer == buyer) {
            person.state = State::Missed;
            person.seen = ticks(now);
            self.served = self.served.max(Some(person.place));
        }
    }

    fn sweep(&mut self, now: Nanos) {
        let running = self.phase == Phase::Serving && !self.sold_out();
        let waiting = self.count(&[State::Waiting, State::Away, State::Missed]);
        let crowded = waiting * 8 >= self.rules.waiting_max * 7;
        let nobody = self.line().is_empty();
        let Rules {
            away_after,
            grace,
            idle,
            ..
        } = self.rules;
        for person in self.people.clone() {
            let older = |span| self.older(&person, span, now);
            let had_turn = self.served.is_some_and(|served| person.place <= served);
            let drop = match person.state {
                State::Away => crowded && !person.place.is_drawn() && older(grace),
                State::Missed => !self.sold_out() && older(grace),
                State::Inside => older(idle),
                State::Waiting | State::Called => false,
            };
            if drop {
                self.people.retain(|p| p.buyer != person.buyer);
                continue;
            }
            match person.state {
                State::Waiting if older(away_after) => {
                    for p in self.people.iter_mut().filter(|p| p.buyer == person.buyer) {
                        p.state = State::Away;
                    }
                }
                State::Away if running && (had_turn || nobody) => self.miss(person.buyer, now),
                State::Called if running && older(away_after) => self.miss(person.buyer, now),
                _ => {}
            }
        }
    }

    fn came_in(&self, period: u64, rate: Rate) -> u64 {
        let all = self.arrivals.iter();
        all.filter(|at| at.0 / rate.per.0 == period).count() as u64
    }

    fn is_calm(&self, now: Nanos) -> bool {
        let below = self.rules.close_below;
        let per = below.per.0;
        let from = now.0.saturating_sub(self.rules.calm.0);
        // Every period that lies in the last `calm`, even in part, since the room opened.
        let calm_long = self.restarted.0 / per * per + self.rules.calm.0 <= now.0;
        let mut periods = from / per..=now.0 / per;
        calm_long && periods.all(|p| self.came_in(p, below) <= below.count || (p + 1) * per <= from)
    }

    pub fn leave(&mut self, buyer: Buyer) {
        self.people.retain(|p| p.buyer != buyer);
    }

    pub fn touch(&mut self, buyer: Buyer, now: Nanos) -> bool {
        let place = self.served.unwrap_or(Place(0));
        let seats = (self.rules.waiting_max + self.rules.places) as usize;
        let seen = ticks(now);
        let state = State::Inside;
        if let Some(person) = self.people.iter_mut().find(|p| p.buyer == buyer) {
            (person.state, person.seen) = (state, seen);
            return true;
        }
        if self.people.len() == seats {
            return false;
        }
        self.people.push(Person {
            buyer,
            place,
            seen,
            state,
        });
        true
    }
}
