//! Degradation switches: what is left out, and where, while things are hard. Each has an owner, a
//! reason and a longest duration, and is turned by an operator, a schedule or a trigger with
//! hysteresis. What a request needs to know is worked out when something changes; a decision is a
//! look into a list. Wall-clock time and metrics come in as plain numbers. It must not know how an
//! action is carried out.

mod one;
mod spec;

use crate::facts::RouteId;
use crate::limits::SWITCH_EVENTS_MAX;
use crate::time::Nanos;
use one::{Change, One};
use spec::is_text;
use std::collections::VecDeque;

pub use one::{By, OffWhy, SwitchState};
pub use spec::{
    Action, Feature, FeatureId, MetricId, PageId, Recovery, Schedule, StubId, SwitchProblem,
    SwitchSet, SwitchSpec, Target, Trigger,
};

/// What happened, for the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwitchEvent {
    pub at: Nanos,
    /// Wall-clock time of the last [`Switches::tick`], in milliseconds since 1970.
    pub wall_ms: u64,
    pub switch: String,
    pub what: SwitchWhat,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SwitchWhat {
    TurnedOn {
        by: By,
        until: Nanos,
    },
    TurnedOff(OffWhy),
    /// An operator's "off" ran out; schedule and trigger count again.
    HoldOver,
    Ordered {
        on: bool,
        owner: String,
        reason: String,
        until: Nanos,
    },
    Cleared {
        owner: String,
        reason: String,
    },
}

/// Why an operator's order was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SwitchRefusal {
    /// No switch has this name.
    Unknown,
    /// An order needs its owner, within the length of a text.
    Owner,
    /// An order needs its reason, within the length of a text.
    Reason,
    /// Longer than the switch may last, or no time at all.
    Duration,
}

/// A feature as clients of flags see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flag<'a> {
    pub name: &'a str,
    pub value: bool,
    pub variant: &'a str,
    /// The switch that shields it, if one does.
    pub shielded_by: Option<&'a str>,
}

#[derive(Clone, Debug)]
pub struct Switches {
    set: SwitchSet,
    ones: Vec<One>,
    /// Places of switches, the strongest first.
    order: Vec<usize>,
    /// Per metric: the switches that its values trigger.
    watching: Vec<Vec<usize>>,
    /// Per route, and at the end for routes that are not in the list: what to do.
    actions: Vec<Vec<Action>>,
    /// When the next switch ends by itself.
    deadline: Nanos,
    wall_ms: u64,
    events: VecDeque<SwitchEvent>,
    events_lost: u64,
}

impl Switches {
    /// A set in which everything is right; else all that is wrong.
    pub fn new(set: SwitchSet) -> Result<Switches, Vec<SwitchProblem>> {
        let problems = set.problems();
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut order: Vec<usize> = (0..set.switches.len()).collect();
        order.sort_by_key(|at| {
            let switch = &set.switches[*at];
            (std::cmp::Reverse(switch.priority), switch.action, *at)
        });
        let mut watching = vec![Vec::new(); set.metrics.into()];
        for (at, switch) in set.switches.iter().enumerate() {
            if let Some(trigger) = &switch.trigger {
                watching[usize::from(trigger.metric.0)].push(at);
            }
        }
        Ok(Switches {
            ones: vec![One::new(); set.switches.len()],
            order,
            watching,
            actions: vec![Vec::new(); usize::from(set.routes) + 1],
            deadline: Nanos(u64::MAX),
            wall_ms: 0,
            events: VecDeque::new(),
            events_lost: 0,
            set,
        })
    }

    /// Takes over another set at once. Orders of operators stand for switches of the same name,
    /// and all state of those whose schedule and trigger are the same. A bad set changes nothing.
    pub fn swap(&mut self, set: SwitchSet, now: Nanos) -> Result<(), Vec<SwitchProblem>> {
        let mut new = Switches::new(set)?;
        for (at, spec) in new.set.switches.iter().enumerate() {
            if let Some(old) = self.place(&spec.name) {
                let was = &self.set.switches[old];
                let unchanged = was.schedule == spec.schedule && was.trigger == spec.trigger;
                new.ones[at] = self.ones[old].carry(unchanged);
            }
        }
        new.wall_ms = self.wall_ms;
        new.events = std::mem::take(&mut self.events);
        new.events_lost = self.events_lost;
        *self = new;
        for at in 0..self.ones.len() {
            self.settle(at, now);
        }
        self.work_out();
        Ok(())
    }

    /// What to do with a request of this route, the strongest first: nothing after the first that
    /// answers by itself. Does not allocate unless a switch ends at this very moment.
    pub fn decide(&mut self, route: RouteId, now: Nanos) -> &[Action] {
        if now >= self.deadline {
            self.advance(now);
        }
        let last = self.actions.len() - 1;
        &self.actions[usize::from(route.0).min(last)]
    }

    /// The wall clock, some times a second: schedules begin and end here.
    pub fn tick(&mut self, now: Nanos, wall_ms: u64) {
        self.wall_ms = wall_ms;
        for (one, spec) in self.ones.iter_mut().zip(&self.set.switches) {
            one.wall(spec, wall_ms);
        }
        self.advance(now);
    }

    /// A value of a metric; what is not a number is left out.
    pub fn observe(&mut self, metric: MetricId, value: f64, now: Nanos) {
        let mut changed = false;
        for at in 0..self.watching.get(usize::from(metric.0)).map_or(0, Vec::len) {
            let at = self.watching[usize::from(metric.0)][at];
            let spec = &self.set.switches[at];
            if let Some(trigger) = &spec.trigger {
                self.ones[at].observe(trigger, spec.recovery, value, now);
            }
            changed |= self.settle(at, now);
        }
        if changed {
            self.work_out();
        }
    }

    /// An operator's order: on, or held off, for `lasts` or else as long as the switch may.
    pub fn set(
        &mut self,
        name: &str,
        on: bool,
        lasts: Option<Nanos>,
        (owner, reason): (&str, &str),
        now: Nanos,
    ) -> Result<(), SwitchRefusal> {
        let at = self.may(name, owner, reason)?;
        let most = self.set.switches[at].duration_max;
        let lasts = lasts.unwrap_or(most);
        if lasts > most || lasts == Nanos(0) {
            return Err(SwitchRefusal::Duration);
        }
        self.ones[at].order(on, now, lasts);
        let what = SwitchWhat::Ordered {
            on,
            owner: owner.to_owned(),
            reason: reason.to_owned(),
            until: now.plus(lasts),
        };
        self.say(at, now, what);
        self.settle(at, now);
        self.work_out();
        Ok(())
    }

    /// Ends what holds the switch, on or off. A trigger or schedule that turned it on counts again
    /// only after it has been off.
    pub fn clear(
        &mut self,
        name: &str,
        (owner, reason): (&str, &str),
        now: Nanos,
    ) -> Result<(), SwitchRefusal> {
        let at = self.may(name, owner, reason)?;
        self.ones[at].clear();
        let what = SwitchWhat::Cleared {
            owner: owner.to_owned(),
            reason: reason.to_owned(),
        };
        self.say(at, now, what);
        self.settle(at, now);
        self.work_out();
        Ok(())
    }

    /// Every switch with its state, in the order of the configuration.
    pub fn states(&self) -> impl Iterator<Item = (&SwitchSpec, SwitchState)> {
        self.set
            .switches
            .iter()
            .zip(self.ones.iter().map(One::state))
    }

    /// The features as they are for one route, or for what is shielded everywhere.
    pub fn flags(&self, route: Option<RouteId>) -> impl Iterator<Item = Flag<'_>> {
        (0..self.set.features.len()).map(move |at| self.flag_at(at, route))
    }

    #[must_use]
    pub fn flag(&self, name: &str, route: Option<RouteId>) -> Option<Flag<'_>> {
        let at = self.set.features.iter().position(|f| f.name == name)?;
        Some(self.flag_at(at, route))
    }

    /// The oldest event not taken yet. Beyond [`SWITCH_EVENTS_MAX`] the oldest are lost.
    pub fn take_event(&mut self) -> Option<SwitchEvent> {
        self.events.pop_front()
    }

    #[must_use]
    pub fn events_lost(&self) -> u64 {
        self.events_lost
    }

    fn flag_at(&self, feature: usize, route: Option<RouteId>) -> Flag<'_> {
        let shields = |at: &&usize| {
            let spec = &self.set.switches[**at];
            let covers = match (&spec.target, route) {
                (Target::Everywhere, _) => true,
                (Target::Routes(routes), Some(route)) => routes.contains(&route),
                (Target::Routes(_), None) => false,
            };
            let action = spec.action == Action::Shield(FeatureId(feature as u16));
            action && covers && self.is_on(**at)
        };
        let by = self.order.iter().find(shields);
        let feature = &self.set.features[feature];
        Flag {
            name: &feature.name,
            value: by.is_none(),
            variant: match by {
                None => &feature.variant_on,
                Some(_) => &feature.variant_shielded,
            },
            shielded_by: by.map(|at| self.set.switches[*at].name.as_str()),
        }
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.set.switches.iter().position(|spec| spec.name == name)
    }

    fn may(&self, name: &str, owner: &str, reason: &str) -> Result<usize, SwitchRefusal> {
        let at = self.place(name).ok_or(SwitchRefusal::Unknown)?;
        if !is_text(owner) {
            return Err(SwitchRefusal::Owner);
        }
        if !is_text(reason) {
            return Err(SwitchRefusal::Reason);
        }
        Ok(at)
    }

    fn is_on(&self, at: usize) -> bool {
        matches!(self.ones[at].state(), SwitchState::On { .. })
    }

    fn advance(&mut self, now: Nanos) {
        let mut changed = false;
        for at in 0..self.ones.len() {
            changed |= self.settle(at, now);
        }
        if changed || now >= self.deadline {
            self.work_out();
        }
    }

    fn settle(&mut self, at: usize, now: Nanos) -> bool {
        let before = self.ones[at].state();
        let most = self.set.switches[at].duration_max;
        let change = self.ones[at].settle(now, most);
        let until = self.ones[at].deadline().unwrap_or(now);
        match change {
            Some(Change::On(by)) => self.say(at, now, SwitchWhat::TurnedOn { by, until }),
            Some(Change::Off(why)) => self.say(at, now, SwitchWhat::TurnedOff(why)),
            Some(Change::HoldOver) => self.say(at, now, SwitchWhat::HoldOver),
            None => {}
        }
        before != self.ones[at].state()
    }

    fn say(&mut self, at: usize, now: Nanos, what: SwitchWhat) {
        if self.events.len() >= SWITCH_EVENTS_MAX {
            self.events.pop_front();
            self.events_lost += 1;
        }
        self.events.push_back(SwitchEvent {
            at: now,
            wall_ms: self.wall_ms,
            switch: self.set.switches[at].name.clone(),
            what,
        });
    }

    /// The lists that decisions look into, and when one must look again.
    fn work_out(&mut self) {
        let deadlines = self.ones.iter().filter_map(One::deadline);
        self.deadline = deadlines.min().unwrap_or(Nanos(u64::MAX));
        self.actions.iter_mut().for_each(Vec::clear);
        let routes = self.actions.len();
        for at in &self.order {
            if !matches!(self.ones[*at].state(), SwitchState::On { .. }) {
                continue;
            }
            let spec = &self.set.switches[*at];
            let mut add = |route: usize| {
                let actions = &mut self.actions[route];
                let answered = actions.last().is_some_and(|last| last.is_answer());
                if !answered && !actions.contains(&spec.action) {
                    actions.push(spec.action);
                }
            };
            match &spec.target {
                Target::Everywhere => (0..routes).for_each(add),
                Target::Routes(listed) => listed.iter().for_each(|r| add(r.0.into())),
            }
        }
    }
}
