//! switches.yaml: what the shop gives up when it must, who decides it, and for how long at most.

use super::limits::{
    ROUTE_SERIES_MAX, SENTENCE_CHARS_MAX, SWITCH_MS_MAX, SWITCH_NAMES_MAX, VALUE_CHARS_MAX,
};
use super::scalar::{FILE, INSTANT, Instant, NAME, URL, list, number, span, text, whole};
use super::shape::{Need, mapping, words};
use std::path::PathBuf;
use std::time::Duration;

words! {
    /// What a switch does while it is on.
    pub enum Action {
        /// Refuse.
        Shed "shed",
        /// Answer from the cache, however old.
        ServeStale "serve_stale",
        /// Answer with a page.
        StaticPage "static_page",
        /// Answer with a small file in place of data.
        Stub "stub",
        /// Send people to the simplified mode.
        Redirect "redirect",
        /// Tell upstream and pages to leave out a feature.
        Shield "shield",
    }
    /// What a trigger looks at.
    pub enum Metric {
        /// Share of the processors in use, 0 to 1.
        Cpu "cpu",
        /// Milliseconds, of the last seconds.
        LatencyP99 "latency_p99_ms",
        /// Share of answers that failed, 0 to 1.
        ErrorShare "error_share",
        /// Requests in flight.
        InFlight "in_flight",
        /// Requests a second.
        RequestRate "request_rate",
        /// Share of requests that were shed, 0 to 1.
        ShedShare "shed_share",
    }
    /// Who turns a switch off.
    pub enum Recovery {
        /// The trigger or the schedule that turned it on.
        Automatic "automatic",
        /// A person.
        Manual "manual",
    }
    /// How a switch begins.
    pub enum Initial { Off "off", On "on", }
}

mapping! {
    /// What is given up when it must be.
    pub struct Switches {
        /// The version of this format.
        version: u64 = whole(1, 1), Need::Required;
        /// The switches; where several are on for a route, the higher priority comes first.
        switches: Vec<Switch> = list(&Switch::ITEM, SWITCH_NAMES_MAX), Need::Optional;
    }

    /// One thing to give up.
    pub struct Switch {
        /// Its name, also as a feature flag.
        name: String = NAME, Need::Required;
        /// Routes on which it acts.
        routes: Vec<String> = list(&NAME, ROUTE_SERIES_MAX), Need::Optional;
        /// The feature on whose routes it acts, in place of routes.
        feature: Option<String> = NAME, Need::Optional;
        /// What it does.
        action: Action = Action::SHAPE, Need::Required;
        /// The page or stub.
        file: Option<PathBuf> = FILE, Need::Optional;
        /// Type of the page or stub; by its ending where this is absent.
        content_type: Option<String> = text(VALUE_CHARS_MAX), Need::Optional;
        /// Where people are sent.
        to: Option<String> = URL, Need::Optional;
        /// Who answers for it.
        owner: String = text(VALUE_CHARS_MAX), Need::Required;
        /// Why it exists.
        reason: String = text(SENTENCE_CHARS_MAX), Need::Required;
        /// When it is on.
        schedule: Option<Schedule> = Schedule::ITEM, Need::Optional;
        /// The measurement that turns it on.
        trigger: Option<Trigger> = Trigger::ITEM, Need::Optional;
        /// Who turns it off.
        recovery: Recovery = Recovery::SHAPE, Need::Or("automatic");
        /// It ends after this time and says so.
        max_duration: Duration = span(1_000, SWITCH_MS_MAX), Need::Required;
        /// Among switches that are on for the same route.
        priority: u64 = whole(0, 255), Need::Or("100");
        /// How it begins.
        initial: Initial = Initial::SHAPE, Need::Or("off");
    }

    /// When a switch is on.
    pub struct Schedule {
        /// From this instant.
        from: Instant = INSTANT, Need::Required;
        /// To this one.
        until: Instant = INSTANT, Need::Required;
    }

    /// The measurement that turns a switch on.
    pub struct Trigger {
        /// What is measured.
        metric: Metric = Metric::SHAPE, Need::Required;
        /// On above this.
        above: f64 = number(0.0, 10_000_000.0), Need::Required;
        /// Off below this; lower than `above`, so that it does not flutter.
        below: f64 = number(0.0, 10_000_000.0), Need::Required;
        /// How long it must be above, and how long below.
        r#for: Duration = span(0, 3_600_000), Need::Or("5s");
    }
}
