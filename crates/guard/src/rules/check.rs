//! A rule set is checked whole: all problems at once, or a set without holes. A checked set also
//! knows which rules a request can concern, as four words to intersect.

use super::ready::Ready;
use super::{Limit, PartValue, Rule};
use crate::facts::{Class, Facts, HEADERS_MAX, Part};
use crate::gcra::Gcra;
use crate::limits::{
    BURST_REQUESTS_MAX, COUNT_REQUESTS_MAX, DAYS_ITEMS_MAX, KEY_PARTS_MAX, KEYS_PER_RULE_MAX,
    OVERRIDE_KINDS_PER_RULE_MAX, PERMIT_SLOTS_MAX, RATE_PERIOD_NS_MAX,
    RATE_REQUESTS_PER_SECOND_MAX, ROUTES_MAX, RULE_NAME_CHARACTERS_MAX, RULES_MAX,
    SPECIAL_KEYS_PER_RULE_MAX,
};
use std::fmt;

/// Rules that go together, narrow ones (more parts in the key) first.
#[derive(Debug)]
pub struct RuleSet {
    pub(super) rules: Vec<Ready>,
    pub(super) masks: Masks,
}

/// What is wrong, in which rule, and what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleProblem {
    pub rule: String,
    pub what: String,
}

/// For each value of a fact, the rules that it may concern: bit n is rule n.
#[derive(Debug, Default)]
pub(super) struct Masks {
    routes: Box<[u64]>,
    /// Routes that no rule names.
    other_routes: u64,
    methods: [u64; METHODS],
    channels: [u64; CHANNELS],
    classes: [u64; Class::ALL.len()],
}

const METHODS: usize = 8;
const CHANNELS: usize = 3;

impl RuleSet {
    /// # Errors
    /// Every problem of every rule.
    pub fn new(mut rules: Vec<Rule>) -> Result<RuleSet, Vec<RuleProblem>> {
        let mut found = Found::default();
        if rules.len() > RULES_MAX {
            found.add("", format!("{} rules, at most {RULES_MAX}", rules.len()));
        }
        rules.sort_by_key(|rule| std::cmp::Reverse(rule.key.parts.len()));
        for (at, rule) in rules.iter().enumerate() {
            check(rule, &mut found);
            if rules[..at].iter().any(|other| other.name == rule.name) {
                found.add(&rule.name, "another rule has this name".to_owned());
            }
        }
        if !found.problems.is_empty() {
            return Err(found.problems);
        }
        let masks = Masks::new(&rules);
        let slots = masks.slots_max(&rules);
        if slots > PERMIT_SLOTS_MAX {
            let what =
                format!("{slots} concurrency rules on one route, at most {PERMIT_SLOTS_MAX}");
            return Err(vec![RuleProblem {
                rule: String::new(),
                what,
            }]);
        }
        let rules = rules.into_iter().map(Ready::new).collect();
        Ok(RuleSet { rules, masks })
    }

    /// Names of the rules in the order of their ids.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|ready| ready.rule.name.as_str())
    }
}

impl Masks {
    fn new(rules: &[Rule]) -> Masks {
        let named = rules.iter().flat_map(|rule| &rule.matcher.routes);
        let routes = named
            .map(|route| usize::from(route.0) + 1)
            .max()
            .unwrap_or(0);
        let mut masks = Masks {
            routes: vec![0; routes].into(),
            ..Masks::default()
        };
        for (at, rule) in rules.iter().enumerate() {
            let (bit, matcher) = (1 << at, &rule.matcher);
            if matcher.routes.is_empty() {
                masks.routes.iter_mut().for_each(|mask| *mask |= bit);
                masks.other_routes |= bit;
            }
            for route in &matcher.routes {
                masks.routes[usize::from(route.0)] |= bit;
            }
            add(
                &mut masks.methods,
                matcher.methods.iter().map(|method| *method as usize),
                bit,
            );
            add(
                &mut masks.channels,
                matcher.channels.iter().map(|at| *at as usize),
                bit,
            );
            add(
                &mut masks.classes,
                matcher.classes.iter().map(|class| *class as usize),
                bit,
            );
        }
        masks
    }

    #[inline]
    pub(super) fn of(&self, facts: &Facts) -> u64 {
        let routes = self.routes.get(usize::from(facts.route.0));
        routes.unwrap_or(&self.other_routes)
            & self.methods[facts.method as usize]
            & self.channels[facts.channel as usize]
            & self.classes[facts.class as usize]
    }

    /// The most slots that a request could be given, whatever its method, channel and class.
    fn slots_max(&self, rules: &[Rule]) -> usize {
        let slots = rules.iter().enumerate();
        let slots = slots.filter(|(_, rule)| matches!(rule.limit, Limit::Concurrency { .. }));
        let slots: u64 = slots.map(|(at, _)| 1u64 << at).sum();
        let masks = self.routes.iter().chain([&self.other_routes]);
        masks
            .map(|mask| (mask & slots).count_ones() as usize)
            .max()
            .unwrap_or(0)
    }
}

/// Sets the bit for each value that is named; for all if none is.
fn add(masks: &mut [u64], named: impl ExactSizeIterator<Item = usize>, bit: u64) {
    if named.len() == 0 {
        masks.iter_mut().for_each(|mask| *mask |= bit);
    }
    named.for_each(|at| masks[at] |= bit);
}

#[derive(Default)]
struct Found {
    problems: Vec<RuleProblem>,
}

impl Found {
    fn add(&mut self, rule: &str, what: String) {
        let rule = rule.to_owned();
        self.problems.push(RuleProblem { rule, what });
    }
}

fn check(rule: &Rule, found: &mut Found) {
    let mut add = |what: String| found.add(&rule.name, what);
    let characters = rule.name.chars().count();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if characters == 0 || characters > RULE_NAME_CHARACTERS_MAX || !rule.name.chars().all(plain) {
        add(format!(
            "a name has 1 to {RULE_NAME_CHARACTERS_MAX} letters, digits, `_`, `-` or `.`"
        ));
    }
    if rule.key.parts.len() > KEY_PARTS_MAX {
        let parts = rule.key.parts.len();
        add(format!("{parts} parts in the key, at most {KEY_PARTS_MAX}"));
    }
    for (at, part) in rule.key.parts.iter().enumerate() {
        if rule.key.parts[..at].contains(part) {
            add(format!("{part:?} is in the key twice"));
        }
        if matches!(part, Part::Header(header) if usize::from(*header) >= HEADERS_MAX) {
            add(format!(
                "{part:?}: headers are numbered from 0 to {}",
                HEADERS_MAX - 1
            ));
        }
    }
    for route in rule
        .matcher
        .routes
        .iter()
        .filter(|route| usize::from(route.0) >= ROUTES_MAX)
    {
        add(format!(
            "route {}: rules may name routes below {ROUTES_MAX}",
            route.0
        ));
    }
    for (name, percent) in [
        ("enforce", rule.enforce_percent),
        ("near", rule.near_percent),
    ] {
        if percent > 100 {
            add(format!("{name}_percent is {percent}, at most 100"));
        }
    }
    if !(1..=KEYS_PER_RULE_MAX).contains(&rule.keys_max) {
        add(format!(
            "keys_max is {}, from 1 to {KEYS_PER_RULE_MAX}",
            rule.keys_max
        ));
    }
    check_limit("the limit", &rule.limit, &mut add);
    check_special(rule, &mut add);
}

fn check_limit(where_: &str, limit: &Limit, add: &mut impl FnMut(String)) {
    match *limit {
        Limit::Rate {
            count,
            period,
            burst,
        } => {
            if Gcra::new(count, period, burst).is_none() {
                add(format!(
                    "{where_}: {count} requests a {} ns, {burst} at once: expected a period of \
                     1 to {RATE_PERIOD_NS_MAX} ns, 1 to {BURST_REQUESTS_MAX} at once, and above \
                     none and up to {RATE_REQUESTS_PER_SECOND_MAX} requests a second",
                    period.0
                ));
            }
        }
        Limit::Concurrency { at_once } => {
            if !(1..=COUNT_REQUESTS_MAX).contains(&at_once) {
                let most = COUNT_REQUESTS_MAX;
                add(format!(
                    "{where_}: {at_once} at the same time; expected 1 to {most}"
                ));
            }
        }
        Limit::Quota { per_day, calendar } => {
            if !(1..=COUNT_REQUESTS_MAX).contains(&per_day) {
                let most = COUNT_REQUESTS_MAX;
                add(format!("{where_}: {per_day} a day; expected 1 to {most}"));
            }
            if usize::from(calendar) >= DAYS_ITEMS_MAX {
                add(format!(
                    "{where_}: calendar {calendar}, below {DAYS_ITEMS_MAX}"
                ));
            }
        }
    }
}

fn check_special(rule: &Rule, add: &mut impl FnMut(String)) {
    let special = rule.overrides.len() + rule.allowed.len();
    if special > SPECIAL_KEYS_PER_RULE_MAX {
        let most = SPECIAL_KEYS_PER_RULE_MAX;
        add(format!(
            "{special} overrides and allowed keys, at most {most}"
        ));
        return;
    }
    let mut limits: Vec<&Limit> = Vec::new();
    for own in &rule.overrides {
        if !own.limit.same_kind(&rule.limit) {
            let (ours, its) = (&rule.limit, &own.limit);
            add(format!(
                "the override {its:?} is of another kind than the rule's {ours:?}"
            ));
        }
        let known = limits.contains(&&own.limit);
        if !known && limits.len() < OVERRIDE_KINDS_PER_RULE_MAX {
            limits.push(&own.limit);
            check_limit("an override", &own.limit, add);
        } else if !known {
            add(format!(
                "more than {OVERRIDE_KINDS_PER_RULE_MAX} different limits among the overrides"
            ));
            return;
        }
    }
    let named = rule.overrides.iter().map(|own| own.values.as_slice());
    let named: Vec<&[PartValue]> = named
        .chain(rule.allowed.iter().map(Vec::as_slice))
        .collect();
    let parts = &rule.key.parts;
    let fits = |values: &[PartValue]| {
        values.len() == parts.len() && values.iter().zip(parts).all(|(v, part)| v.fits(*part))
    };
    for values in named.iter().filter(|values| !fits(values)) {
        add(format!(
            "the key value {values:?} does not fit the key {parts:?}"
        ));
    }
    if parts.is_empty() && !named.is_empty() {
        add("a rule without a key has no key values to override or allow".to_owned());
    }
    let maker = super::key::KeyMaker::new(&rule.name, &rule.key);
    let mut tags: Vec<u64> = named.iter().map(|values| maker.tag_of(values)).collect();
    tags.sort_unstable();
    if tags.windows(2).any(|pair| pair[0] == pair[1]) {
        add("a key value is overridden or allowed twice".to_owned());
    }
}

impl fmt::Display for RuleProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rule.as_str() {
            "" => write!(f, "rules: {}", self.what),
            rule => write!(f, "rule {rule}: {}", self.what),
        }
    }
}
