//! limits.yaml: how much each may, who "each" is, and from which measurement that came.

use super::limits::{
    HOST_NAMES_MAX, INSTANCE_CELLS_MAX, KEY_ATTRIBUTES_MAX, OVERRIDE_KEYS_MAX, ROUTE_SERIES_MAX,
    RULE_NAMES_MAX, VALUE_CHARS_MAX,
};
use super::listeners::{Channel, Provenance};
use super::routes::{Class, Method};
use super::scalar::{KeyPart, Kind, NAME, Offset, RATE, Rate, SHARE, list, whole};
use super::shape::{Need, Several, Shape, mapping, words};

const QUOTA: Shape = Shape::Scalar(Kind::Quota);
const PART: Shape = Shape::Scalar(Kind::KeyPart);
const BURST: Shape = Shape::Scalar(Kind::Whole(1, 10_000_000));
const VALUES: Shape = Shape::OneOrList(Kind::Text(VALUE_CHARS_MAX), KEY_ATTRIBUTES_MAX);

words! {
    /// What happens to a request without a part of the key.
    pub enum WhenMissing {
        /// The rule does not ask it.
        Skip "skip",
        /// All such requests share one key.
        Shared "shared",
    }
    /// Who shares a limit.
    pub enum Scope { Instance "instance", Cluster "cluster", }
    /// Whether a rule refuses, or only counts what it would refuse.
    pub enum Mode { Enforce "enforce", Shadow "shadow", }
}

mapping! {
    /// How much each may.
    pub struct Limits {
        /// The version of this format.
        version: u64 = whole(1, 1), Need::Required;
        /// Every rule that fits is asked; a request is charged only if all agree.
        rules: Vec<Rule> = list(&Rule::ITEM, RULE_NAMES_MAX), Need::Optional;
        /// When the day of a quota begins: how far local midnight is from that of UTC.
        utc_offset: Offset = Shape::Scalar(Kind::Offset), Need::Or("+00:00");
    }

    /// One limit.
    pub struct Rule {
        /// Its name in answers, logs and metrics.
        name: String = NAME, Need::Required;
        /// Which requests it asks; all of them where this is absent.
        r#match: RuleMatch = RuleMatch::ITEM, Need::Optional;
        /// Who "each" is; one for all where this is absent.
        key: Vec<KeyPart> = list(&PART, KEY_ATTRIBUTES_MAX), Need::Optional;
        /// What happens to a request without a part of the key.
        when_missing: WhenMissing = WhenMissing::SHAPE, Need::Or("skip");
        /// Requests in a period, for each key.
        rate: Option<Rate> = RATE, Need::Optional;
        /// Requests that may come at once; those of a second, at least 1, where this is absent.
        burst: Option<u64> = BURST, Need::Optional;
        /// Requests at once, for each key.
        concurrency: Option<u64> = whole(1, 1_000_000), Need::Optional;
        /// Requests in a calendar day, for each key.
        quota: Option<Rate> = QUOTA, Need::Optional;
        /// Who shares the limit.
        scope: Scope = Scope::SHAPE, Need::Or("instance");
        /// The rate that all instances share, with scope cluster, in place of `rate`.
        budget: Option<Rate> = RATE, Need::Optional;
        /// Instances there may be; each one alone may use its part of the budget.
        max_instances: Option<u64> = whole(1, INSTANCE_CELLS_MAX), Need::Optional;
        /// Whether it refuses.
        mode: Mode = Mode::SHAPE, Need::Or("enforce");
        /// Of a hundred keys, how many it refuses; the others are only counted.
        enforce_percent: u64 = whole(0, 100), Need::Or("100");
        /// Share of the limit from which a request counts as near it.
        near_limit: f64 = SHARE, Need::Or("0.8");
        /// Keys with a limit of their own.
        overrides: Vec<Override> = list(&Override::ITEM, OVERRIDE_KEYS_MAX), Need::Optional;
        /// Keys that it lets through.
        allow: Vec<Several<String>> = list(&VALUES, OVERRIDE_KEYS_MAX), Need::Optional;
        /// Where the figure came from.
        provenance: Option<Provenance> = Provenance::ITEM, Need::Optional;
    }

    /// Which requests a rule asks: in each list one must fit.
    pub struct RuleMatch {
        /// Routes by name.
        routes: Vec<String> = list(&NAME, ROUTE_SERIES_MAX), Need::Optional;
        /// Methods.
        methods: Vec<Method> = list(&Method::SHAPE, HOST_NAMES_MAX), Need::Optional;
        /// Channels.
        channels: Vec<Channel> = list(&Channel::SHAPE, HOST_NAMES_MAX), Need::Optional;
        /// Classes.
        classes: Vec<Class> = list(&Class::SHAPE, HOST_NAMES_MAX), Need::Optional;
    }

    /// A key with a limit of its own.
    pub struct Override {
        /// Its values in the order of the rule's key.
        key: Several<String> = VALUES, Need::Required;
        /// In place of the rule's rate or budget.
        rate: Option<Rate> = RATE, Need::Optional;
        /// In place of its burst.
        burst: Option<u64> = BURST, Need::Optional;
        /// In place of its concurrency.
        concurrency: Option<u64> = whole(1, 1_000_000), Need::Optional;
        /// In place of its quota.
        quota: Option<Rate> = QUOTA, Need::Optional;
    }
}

/// The one limit that a checked rule has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// `burst` is at least 1.
    Rate {
        rate: Rate,
        burst: u64,
    },
    Concurrency(u64),
    /// In a calendar day.
    Quota(u64),
}

impl Rule {
    /// `None` before the check, which demands exactly one.
    #[must_use]
    pub fn limit(&self) -> Option<Limit> {
        limit(
            self.rate.or(self.budget),
            self.burst,
            self.concurrency,
            self.quota,
        )
    }
}

impl Override {
    /// What stands here, and the rule's where nothing does.
    #[must_use]
    pub fn limit(&self, rule: &Rule) -> Option<Limit> {
        // A rate of its own has a burst of its own: the rule's may be far too large for it.
        let burst = if self.rate.is_some() {
            self.burst
        } else {
            self.burst.or(rule.burst)
        };
        limit(
            self.rate.or(rule.rate).or(rule.budget),
            burst,
            self.concurrency.or(rule.concurrency),
            self.quota.or(rule.quota),
        )
    }
}

fn limit(
    rate: Option<Rate>,
    burst: Option<u64>,
    concurrency: Option<u64>,
    quota: Option<Rate>,
) -> Option<Limit> {
    match (rate, concurrency, quota) {
        (Some(rate), None, None) => {
            let second = rate.count.div_ceil(rate.period.as_secs().max(1));
            let burst = burst.unwrap_or(second).max(1);
            Some(Limit::Rate { rate, burst })
        }
        (None, Some(most), None) => Some(Limit::Concurrency(most)),
        (None, None, Some(quota)) => Some(Limit::Quota(quota.count)),
        _ => None,
    }
}
