//! One switch's state. What turns it on – an operator, its schedule, its trigger – is kept apart;
//! on is whatever they make of it. It must not know of other switches.

use super::spec::{Recovery, SwitchSpec, Trigger};
use crate::limits::SWITCH_METRIC_GAP_MS_MAX;
use crate::time::Nanos;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum By {
    Operator,
    Schedule,
    Trigger,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwitchState {
    Off,
    /// Held off by an operator until then, whatever schedule and trigger say.
    HeldOff {
        until: Nanos,
    },
    On {
        since: Nanos,
        by: By,
        until: Nanos,
    },
}

/// Why it is not on any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OffWhy {
    Operator,
    ScheduleOver,
    Recovered,
    /// The longest duration is over.
    Expired,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Order {
    on: bool,
    since: Nanos,
    until: Nanos,
}

/// What [`One::settle`] changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    On(By),
    Off(OffWhy),
    /// An operator's "off" ran out.
    HoldOver,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct One {
    order: Option<Order>,
    /// Inside the schedule.
    scheduled: bool,
    /// The trigger has fired and was not reset.
    fired: bool,
    /// The present schedule and firing were ended by an operator or by the longest duration: they
    /// count again only after they have been off.
    schedule_spent: bool,
    trigger_spent: bool,
    /// Since when the metric has been beyond the threshold that matters, and when last seen.
    beyond: Option<Nanos>,
    seen: Nanos,
    state: SwitchState,
}

impl One {
    pub(super) fn new() -> One {
        One {
            order: None,
            scheduled: false,
            fired: false,
            schedule_spent: false,
            trigger_spent: false,
            beyond: None,
            seen: Nanos(0),
            state: SwitchState::Off,
        }
    }

    pub(super) fn state(&self) -> SwitchState {
        self.state
    }

    /// When something ends by itself.
    pub(super) fn deadline(&self) -> Option<Nanos> {
        match self.state {
            SwitchState::Off => None,
            SwitchState::HeldOff { until } | SwitchState::On { until, .. } => Some(until),
        }
    }

    pub(super) fn order(&mut self, on: bool, now: Nanos, lasts: Nanos) {
        self.order = Some(Order {
            on,
            since: now,
            until: now.plus(lasts),
        });
    }

    /// The operator ends what holds it, on or off. What was held off goes back to its schedule and
    /// trigger; what was on stays off until they have been off.
    pub(super) fn clear(&mut self) {
        match self.state {
            SwitchState::HeldOff { .. } => self.order = None,
            SwitchState::Off | SwitchState::On { .. } => self.spend(),
        }
    }

    /// For the same switch in another configuration: an operator's order stands; the rest only if
    /// schedule and trigger are the same.
    pub(super) fn carry(&self, unchanged: bool) -> One {
        if unchanged {
            return *self;
        }
        One {
            order: self.order,
            ..One::new()
        }
    }

    pub(super) fn wall(&mut self, spec: &SwitchSpec, wall_ms: u64) {
        let inside = |s: super::spec::Schedule| (s.from_ms..s.until_ms).contains(&wall_ms);
        self.scheduled = spec.schedule.is_some_and(inside);
        self.schedule_spent &= self.scheduled;
    }

    /// A value of the trigger's metric. A gap in the series starts the time over.
    pub(super) fn observe(
        &mut self,
        trigger: &Trigger,
        recovery: Recovery,
        value: f64,
        now: Nanos,
    ) {
        if !value.is_finite() {
            return;
        }
        let gap = now.since(self.seen) > Nanos::from_millis(SWITCH_METRIC_GAP_MS_MAX);
        self.seen = now;
        let (beyond, needed) = if self.fired {
            (value < trigger.below, trigger.below_for)
        } else {
            (value > trigger.above, trigger.above_for)
        };
        if !beyond {
            self.beyond = None;
            return;
        }
        let since = self.beyond.filter(|_| !gap).unwrap_or(now);
        self.beyond = Some(since);
        if now.since(since) < needed {
            return;
        }
        self.beyond = None;
        if !self.fired {
            self.fired = true;
        } else if recovery == Recovery::Automatic || self.trigger_spent {
            // A spent manual trigger is armed again by the same calm.
            self.fired = false;
            self.trigger_spent = false;
        }
    }

    /// Brings the state in line with what holds it.
    pub(super) fn settle(&mut self, now: Nanos, duration_max: Nanos) -> Option<Change> {
        let was = self.state;
        let mut over = false;
        if self.order.is_some_and(|order| now >= order.until) {
            self.order = None;
            over = true;
        }
        if let SwitchState::On { until, .. } = was
            && now >= until
        {
            over = true;
            self.spend();
        }
        let by = self.holder();
        self.state = match (by, self.order) {
            (_, Some(order)) if !order.on => SwitchState::HeldOff { until: order.until },
            (None, _) => SwitchState::Off,
            (Some(by), order) => One::on(was, by, order, now, duration_max),
        };
        match (was, self.state) {
            (SwitchState::On { by: old, .. }, SwitchState::On { by: new, .. }) => {
                (old != new).then_some(Change::On(new))
            }
            (_, SwitchState::On { by, .. }) => Some(Change::On(by)),
            (SwitchState::On { .. }, _) if over => Some(Change::Off(OffWhy::Expired)),
            (SwitchState::On { by, .. }, SwitchState::Off) => Some(Change::Off(match by {
                By::Operator => OffWhy::Operator,
                By::Schedule if self.schedule_spent => OffWhy::Operator,
                By::Schedule => OffWhy::ScheduleOver,
                By::Trigger if self.trigger_spent => OffWhy::Operator,
                By::Trigger => OffWhy::Recovered,
            })),
            (SwitchState::On { .. }, SwitchState::HeldOff { .. }) => {
                Some(Change::Off(OffWhy::Operator))
            }
            (SwitchState::HeldOff { .. }, SwitchState::Off) if over => Some(Change::HoldOver),
            _ => None,
        }
    }

    /// An operator's word counts most, then the schedule.
    fn holder(&self) -> Option<By> {
        match self.order {
            Some(order) => order.on.then_some(By::Operator),
            None if self.scheduled && !self.schedule_spent => Some(By::Schedule),
            None if self.fired && !self.trigger_spent => Some(By::Trigger),
            None => None,
        }
    }

    /// Stays on since when it was; only an operator starts the longest duration anew.
    fn on(was: SwitchState, by: By, order: Option<Order>, now: Nanos, most: Nanos) -> SwitchState {
        let ends = |since: Nanos| since.plus(most);
        match (was, order) {
            (_, Some(order)) => SwitchState::On {
                since: order.since,
                by,
                until: order.until.min(ends(order.since)),
            },
            (SwitchState::On { since, until, .. }, None) => SwitchState::On { since, by, until },
            (_, None) => SwitchState::On {
                since: now,
                by,
                until: ends(now),
            },
        }
    }

    fn spend(&mut self) {
        self.order = None;
        self.schedule_spent = self.scheduled;
        self.trigger_spent = self.fired;
        self.beyond = None;
    }
}
