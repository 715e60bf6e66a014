//! What all workers decide by together, behind one mutex that is held for well under a microsecond:
//! limits, overload control, breakers, filters, switches.

use super::Counts;
use super::endings::Endings;
use super::running::Running;
use super::shares::Shares;
use crate::cluster::{Budget, CAN_GOSSIP};
use crate::config::Compiled;
use crate::limits::{DUPLICATE_KEYS_MAX, DUPLICATE_LIFE_S, SOLD_OUT_SKUS_MAX};
use crate::room::Now;
use guard::switches::{MetricId, Switches};
use guard::{
    Admission, Begun, Breaker, BreakerConfig, BreakerTicket, Day, DuplicateTicket, Duplicates,
    Ended, Factor, Facts, Limits, Machine, Nanos, Overload, OverloadPermit, Permit, Refusal,
    Retired, SoldOut, Value, Verdict,
};
use std::sync::atomic::Ordering;

const MINUTE_US: i64 = 60_000_000;
const DAY_US: i64 = 1_440 * MINUTE_US;

#[derive(Debug)]
pub(super) struct Books {
    pub limits: Limits,
    pub overload: Option<Overload>,
    pub duplicates: Duplicates,
    pub sold_out: SoldOut,
    /// By the places of the pools.
    pub breakers: Vec<Option<(String, BreakerConfig, Breaker)>>,
    pub switches: Switches,
    /// Of budgets that instances share.
    pub shares: Shares,
    /// Of the configuration that breakers' places belong to.
    pub generation: u64,
    day_offset_minutes: i32,
    seen: Seen,
}

/// Where the counters stood at the last tick, for rates.
#[derive(Debug, Default)]
struct Seen {
    at: Nanos,
    requests: u64,
    shed: u64,
    ended: Endings,
}

/// Everything that a request took and must give back.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub permit: Option<Permit>,
    pub overload: Option<OverloadPermit>,
    pub breaker: Option<(usize, BreakerTicket)>,
    pub duplicate: Option<DuplicateTicket>,
    pub generation: u64,
}

impl Taken {
    /// `None` if nothing has to be given back.
    pub fn boxed(self) -> Option<Box<Taken>> {
        let slots = self
            .permit
            .as_ref()
            .is_some_and(|permit| !permit.is_empty());
        let any = slots || self.overload.is_some() || self.duplicate.is_some();
        (any || self.breaker.is_some()).then(|| Box::new(self))
    }
}

/// Why a request does not go on.
#[derive(Debug)]
pub(super) enum No {
    Limit(Refusal),
    Shed { retry_after: Nanos },
    Breaker { retry_after: Nanos },
    UnderWay,
}

impl Books {
    pub fn new(mut compiled: Parts, now: Now) -> Books {
        let mut books = Books {
            limits: Limits::new(no_rules(), Factor::ONE),
            overload: compiled.overload.map(Overload::new),
            duplicates: Duplicates::new(DUPLICATE_KEYS_MAX, Nanos::from_secs(DUPLICATE_LIFE_S)),
            sold_out: SoldOut::new(SOLD_OUT_SKUS_MAX),
            breakers: Vec::new(),
            switches: compiled.switches.take().unwrap_or_else(no_switches),
            shares: Shares::new(compiled.gossips),
            generation: 0,
            day_offset_minutes: compiled.day_offset_minutes,
            seen: Seen::default(),
        };
        drop(books.take_over(compiled, 0, now));
        books
    }

    /// Puts the decisions of a new configuration in place; what did not change goes on as it was.
    pub fn take_over(&mut self, parts: Parts, generation: u64, now: Now) -> Retired {
        self.generation = generation;
        self.day_offset_minutes = parts.day_offset_minutes;
        let mut before = std::mem::take(&mut self.breakers);
        let mut keep = |(name, config): (String, Option<BreakerConfig>), seed| {
            let config = config?;
            let same = |old: &Option<(String, BreakerConfig, Breaker)>| {
                old.as_ref()
                    .is_some_and(|(old, was, _)| *old == name && *was == config)
            };
            match before.iter().position(same) {
                Some(place) => before.swap_remove(place),
                None => Some((name, config, Breaker::new(config, seed))),
            }
        };
        self.breakers = parts
            .breakers
            .into_iter()
            .enumerate()
            .map(|(place, named)| keep(named, now.nanos.0 ^ place as u64))
            .collect();
        if parts.overload != parts.overload_before {
            self.overload = parts.overload.map(Overload::new);
        }
        let retired = self.limits.swap(parts.rules);
        self.share(parts.budgets);
        self.set_day(now);
        for place in parts.initially_on {
            self.switch_on_at_start(place, now);
        }
        retired
    }

    fn switch_on_at_start(&mut self, place: usize, now: Now) {
        let found = self.switches.states().nth(place);
        let Some((spec, _)) = found else { return };
        let (name, owner, reason) = (spec.name.clone(), spec.owner.clone(), spec.reason.clone());
        let by = (owner.as_str(), reason.as_str());
        if let Err(why) = self.switches.set(&name, true, None, by, now.nanos) {
            tracing::warn!(name, ?why, "the switch is not on");
        }
    }

    fn set_day(&mut self, now: Now) {
        let local = now.unix_us as i64 + i64::from(self.day_offset_minutes) * MINUTE_US;
        let into_us = local.rem_euclid(DAY_US) as u64;
        let start = Nanos(now.nanos.0.saturating_sub(into_us * 1_000));
        let end = now.nanos.plus(Nanos((DAY_US as u64 - into_us) * 1_000));
        self.limits
            .set_day(crate::config::CALENDAR, Day { start, end });
    }

    /// All are asked; only if all agree is anything charged.
    pub fn ask(
        &mut self,
        facts: &Facts,
        pool: Option<usize>,
        key: Option<Value>,
        now: Nanos,
    ) -> Result<Taken, No> {
        self.end_shares(now);
        let mut taken = Taken {
            generation: self.generation,
            ..Taken::default()
        };
        let breaker = |books: &Books| {
            let place = pool?;
            Some((place, books.breakers.get(place)?.as_ref()?.2.look(now)))
        };
        let guarded = match breaker(self) {
            Some((_, Err(refusal))) => {
                return Err(No::Breaker {
                    retry_after: refusal.retry_after,
                });
            }
            Some((place, Ok(()))) => Some(place),
            None => None,
        };
        if let Some(key) = key {
            match self.duplicates.begin(key, now) {
                Begun::First(ticket) => taken.duplicate = Some(ticket),
                Begun::InFlight { .. } => return Err(No::UnderWay),
                // Exactness is the engine's; a full filter only filters less.
                Begun::Uncounted => {}
            }
        }
        if let Some(overload) = &mut self.overload {
            let who = facts.buyer.or(facts.device).or(facts.address);
            match overload.admit(now, facts.class, who) {
                Admission::Admitted(permit) => taken.overload = Some(permit),
                Admission::Shed { retry_after, .. } => {
                    self.give_back(taken, now, Nanos(0), Ended::Dropped);
                    return Err(No::Shed { retry_after });
                }
            }
        }
        match self.limits.ask(facts, now) {
            Verdict::Allowed { permit, .. } => taken.permit = Some(permit),
            Verdict::Refused(refusal) => {
                self.give_back(taken, now, Nanos(0), Ended::Dropped);
                return Err(No::Limit(refusal));
            }
        }
        if let Some(place) = guarded
            && let Some(Some((_, _, breaker))) = self.breakers.get_mut(place)
            && let Ok(ticket) = breaker.ask(now)
        {
            taken.breaker = Some((place, ticket));
        }
        Ok(taken)
    }

    pub fn give_back(&mut self, taken: Taken, now: Nanos, latency: Nanos, ended: Ended) {
        if let Some(permit) = taken.permit {
            self.limits.release(permit);
        }
        if let (Some(permit), Some(overload)) = (taken.overload, &mut self.overload) {
            overload.done(now, permit, latency, ended);
        }
        // A ticket of another configuration's breaker is told to nobody.
        if let Some((place, ticket)) = taken.breaker
            && taken.generation == self.generation
            && let Some(Some((_, _, breaker))) = self.breakers.get_mut(place)
        {
            breaker.done(now, ticket, latency, ended);
        }
        if let Some(ticket) = taken.duplicate {
            self.duplicates.end(ticket);
        }
    }

    /// Lets time pass: days, forgetting, measured values for switches and stale limits.
    pub fn tick(&mut self, counts: &Counts, now: Now, machine: Machine) {
        self.set_day(now);
        self.end_shares(now.nanos);
        self.limits.tick(now.nanos);
        if let Some(overload) = &mut self.overload {
            overload.machine(now.nanos, machine);
            let view = overload.view();
            self.limits
                .set_adaptive(Factor::from_millionths((view.admitted_share * 1e6) as u64));
        }
        let seen = &mut self.seen;
        let span_s = now.nanos.since(seen.at).0 as f64 / 1e9;
        let requests = counts.requests.load(Ordering::Relaxed);
        let shed = counts.shed();
        let came = requests - seen.requests;
        let all = counts.endings.now();
        let ended = all.since(&seen.ended);
        let share = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
        let in_flight = self.overload.as_ref().map_or(0, |o| o.view().in_flight);
        // In the order of `config::switches::METRICS`.
        let values = [
            machine.cpu_share,
            ended.quantile_ms(0.99),
            share(ended.badly, ended.count()),
            f64::from(in_flight),
            if span_s > 0.0 {
                came as f64 / span_s
            } else {
                0.0
            },
            share(shed - seen.shed, came),
        ];
        for (place, value) in values.into_iter().enumerate() {
            self.switches
                .observe(MetricId(place as u16), value, now.nanos);
        }
        self.switches.tick(now.nanos, now.unix_us / 1_000);
        *seen = Seen {
            at: now.nanos,
            requests,
            shed,
            ended: all,
        };
    }
}

/// What of a compiled configuration the books take over.
pub(super) struct Parts {
    pub rules: guard::RuleSet,
    pub breakers: Vec<(String, Option<BreakerConfig>)>,
    pub overload: Option<guard::OverloadConfig>,
    pub overload_before: Option<guard::OverloadConfig>,
    /// Of a first start; a swap has turned them over already.
    pub switches: Option<Switches>,
    pub initially_on: Vec<usize>,
    /// Of rules with scope cluster.
    pub budgets: Vec<Budget>,
    /// Whether other instances are listened to; of a first start.
    pub gossips: bool,
    pub day_offset_minutes: i32,
}

impl Parts {
    pub fn of(
        compiled: &mut Compiled,
        written: &wire::gateway::Door,
        before: Option<&Running>,
    ) -> Parts {
        let names = compiled.pools.iter().map(|pool| pool.name.clone());
        Parts {
            rules: std::mem::replace(&mut compiled.rules, no_rules()),
            breakers: names.zip(compiled.breakers.iter().copied()).collect(),
            overload: compiled.overload,
            overload_before: before.and_then(|before| before.compiled.overload),
            switches: None,
            budgets: Budget::of(&written.limits),
            gossips: CAN_GOSSIP && written.gateway.cluster.is_some(),
            initially_on: match before {
                None => compiled.switches.initially_on.clone(),
                Some(_) => Vec::new(),
            },
            day_offset_minutes: compiled.day_offset_minutes,
        }
    }
}

fn no_rules() -> guard::RuleSet {
    guard::RuleSet::new(Vec::new()).expect("no rule has no problem")
}

fn no_switches() -> Switches {
    Switches::new(guard::switches::SwitchSet::default()).expect("no switch has no problem")
}
