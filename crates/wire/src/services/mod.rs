//! services.yaml, version 1: what stands behind the door, who answers for it, how much each can
//! take, whom it calls, and what can be given up.
//!
//! The same table of keys as for the door's files serves the reader, the JSON Schema and the
//! document. All that is wrong comes at once, disagreements and open questions (`TODO`) included.
//! It must not know how a capacity is found or what is decided from it.

mod check;
pub mod limits;
#[cfg(test)]
mod tests;

use crate::campaign::tree::{Problems, Reader};
use crate::gateway::limits::{
    FILE_BYTES_MAX, PATH_CHARS_MAX, ROUTE_SERIES_MAX, SENTENCE_CHARS_MAX, SWITCH_MS_MAX,
    VALUE_CHARS_MAX,
};
use crate::gateway::scalar::{
    FILE, FLAG, NAME, RATE, Rate, SHARE, URL, list, number, span, text, whole,
};
use crate::gateway::schema;
use crate::gateway::shape::{Mapping, Need, Shape, Take, mapping, words};
use crate::gateway::source::Source;
use crate::gateway::switches::{Action, Trigger};
use limits::{
    CALL_NAMES_MAX, CALLS_PER_REQUEST_MAX, COST_PER_HOUR_MAX, ENTRY_NAMES_MAX, INSTANCE_SLOTS_MAX,
    LEAD_MS_MAX, REPORT_FILES_MAX, SACRIFICE_NAMES_MAX, SERVICE_NAMES_MAX, SINGLE_POINT_NAMES_MAX,
    TRAFFIC_NAMES_MAX, VALID_MS_MAX,
};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What stands where a person has to decide; the check lists each.
pub const TODO: &str = "TODO";

const SENTENCE: Shape = text(SENTENCE_CHARS_MAX);
const COST: Shape = number(0.0, COST_PER_HOUR_MAX);
const CALLS: Shape = number(0.0, CALLS_PER_REQUEST_MAX);

words! {
    /// What it means to the sale when a service is not there.
    pub enum Class {
        /// Without it nothing is sold.
        Core "core",
        /// Without it less is sold.
        NonCore "non-core",
        /// It can be left out for a while.
        Degradable "degradable",
        /// Nobody has said it yet.
        Todo "TODO",
    }
}

mapping! {
    /// What stands behind the door.
    pub struct Services {
        /// The version of this format.
        version: u64 = whole(1, 1), Need::Required;
        /// The currency of all costs.
        currency: String = text(8), Need::Or("EUR");
        /// By what measured capacities are divided before they become limits.
        safety_factor: f64 = number(1.0, 10.0), Need::Or("1.3");
        /// How long a measured capacity counts.
        valid_for: Duration = span(3_600_000, VALID_MS_MAX), Need::Or("30d");
        /// The front door itself.
        door: DoorFleet = DoorFleet::ITEM, Need::Optional;
        /// Where requests of the door's routes enter.
        entries: Vec<Entry> = list(&Entry::ITEM, ENTRY_NAMES_MAX), Need::Required;
        /// The services, other people's included.
        services: Vec<Service> = list(&Service::ITEM, SERVICE_NAMES_MAX), Need::Required;
    }

    /// The front door itself.
    pub struct DoorFleet {
        /// Instances of it.
        instances: u64 = whole(1, 1_000), Need::Or("1");
        /// What the busiest instance gets, as a multiple of the mean.
        skew: f64 = number(1.0, 100.0), Need::Or("1.2");
    }

    /// Where requests of a route enter.
    pub struct Entry {
        /// The route, as in the gateway file.
        route: String = NAME, Need::Required;
        /// What the forecast calls it, such as `POST /v1/orders`; as the route where this is
        /// absent. Several are added up.
        traffic: Vec<String> = list(&text(PATH_CHARS_MAX), TRAFFIC_NAMES_MAX), Need::Optional;
        /// The service that is called.
        to: String = NAME, Need::Required;
        /// Calls for each request.
        per_request: f64 = CALLS, Need::Or("1");
        /// Share of them that the door answers from its cache.
        cache_hit: f64 = SHARE, Need::Or("0");
        /// Whether the sale lives from it; what is core is never given up.
        core: bool = FLAG, Need::Or("true");
    }

    /// One service.
    pub struct Service {
        /// Its name in traces and calls.
        name: String = NAME, Need::Required;
        /// What it means to the sale when it is not there.
        class: Class = Class::SHAPE, Need::Required;
        /// Who answers for it.
        owner: String = text(VALUE_CHARS_MAX), Need::Required;
        /// What could go wrong.
        risk: Option<Risk> = Risk::ITEM, Need::Optional;
        /// That it belongs to others, and how much of it may be used.
        third_party: Option<ThirdParty> = ThirdParty::ITEM, Need::Optional;
        /// Instances that run now.
        instances: u64 = whole(1, INSTANCE_SLOTS_MAX), Need::Or("1");
        /// Zones over which they are spread evenly.
        zones: u64 = whole(1, 64), Need::Or("1");
        /// What the busiest instance gets, as a multiple of the mean.
        skew: f64 = number(1.0, 100.0), Need::Or("1");
        /// The build that the reports measured; where this is absent, what they say of themselves.
        build: Option<String> = text(VALUE_CHARS_MAX), Need::Optional;
        /// Load reports that show how much it can take.
        reports: Vec<LoadReport> = list(&LoadReport::ITEM, REPORT_FILES_MAX), Need::Optional;
        /// Why there is no report; then nothing is promised for it.
        unmeasured: Option<String> = SENTENCE, Need::Optional;
        /// How far and how fast it can grow; not at all where this is absent.
        scaling: Option<Scaling> = Scaling::ITEM, Need::Optional;
        /// The object in Kubernetes that runs it.
        workload: Option<Workload> = Workload::ITEM, Need::Optional;
        /// Whom it calls.
        calls: Vec<Call> = list(&Call::ITEM, CALL_NAMES_MAX), Need::Optional;
        /// What can be given up to take load off it.
        degrade: Vec<Sacrifice> =
            list(&Sacrifice::ITEM, SACRIFICE_NAMES_MAX), Need::Optional;
    }

    /// What could go wrong; the risk is impact × likelihood.
    pub struct Risk {
        /// How bad it would be, 5 is worst.
        impact: u64 = whole(1, 5), Need::Required;
        /// How probable it is, 5 is most.
        likelihood: u64 = whole(1, 5), Need::Required;
        /// Parts of which there is only one.
        single_points: Vec<String> = list(&SENTENCE, SINGLE_POINT_NAMES_MAX), Need::Optional;
    }

    /// That it belongs to others.
    pub struct ThirdParty {
        /// How much of it may be used.
        quota: Rate = RATE, Need::Required;
        /// Percent of the time that they promise to be there.
        availability: Option<f64> = number(0.0, 100.0), Need::Optional;
    }

    /// A load report.
    pub struct LoadReport {
        /// The report of `seawall load`, of k6 or JMeter.
        file: PathBuf = FILE, Need::Required;
        /// Instances that ran when it was made.
        instances: u64 = whole(1, INSTANCE_SLOTS_MAX), Need::Or("1");
    }

    /// How far and how fast it can grow.
    pub struct Scaling {
        /// Instances at most.
        max: u64 = whole(1, INSTANCE_SLOTS_MAX), Need::Required;
        /// From the decision until the new ones serve.
        lead_time: Duration = span(0, LEAD_MS_MAX), Need::Required;
        /// What one instance costs an hour.
        cost_per_hour: f64 = COST, Need::Required;
    }

    /// The object in Kubernetes that runs it.
    pub struct Workload {
        /// Its kind, such as Deployment.
        kind: String = text(64), Need::Or("Deployment");
        /// Its namespace.
        namespace: String = NAME, Need::Or("default");
        /// Its name.
        name: String = NAME, Need::Required;
    }

    /// One service that it calls.
    pub struct Call {
        /// The service.
        to: String = NAME, Need::Required;
        /// Calls for each request that it gets.
        per_request: f64 = CALLS, Need::Or("1");
        /// Share of them that a cache answers.
        cache_hit: f64 = SHARE, Need::Or("0");
        /// Whether it can do without.
        weak: bool = FLAG, Need::Or("false");
        /// Only for requests of these routes; of all where this is absent.
        routes: Vec<String> = list(&NAME, ROUTE_SERIES_MAX), Need::Optional;
    }

    /// Something that can be given up; it becomes a switch of the door.
    pub struct Sacrifice {
        /// The switch.
        name: String = NAME, Need::Required;
        /// What it does.
        action: Action = Action::SHAPE, Need::Required;
        /// Routes on which it acts.
        routes: Vec<String> = list(&NAME, ROUTE_SERIES_MAX), Need::Optional;
        /// The feature that is left out, with action shield.
        feature: Option<String> = NAME, Need::Optional;
        /// Services that are not called while it is on, with action shield.
        skips: Vec<String> = list(&NAME, CALL_NAMES_MAX), Need::Optional;
        /// Share of the requests or calls that it takes away.
        frees: f64 = SHARE, Need::Or("1");
        /// What an hour of it costs: sales, refunds, trust.
        loss_per_hour: f64 = COST, Need::Required;
        /// Why it may be given up.
        reason: String = SENTENCE, Need::Required;
        /// Who answers for it; the service's owner where this is absent.
        owner: Option<String> = text(VALUE_CHARS_MAX), Need::Optional;
        /// The page or stub.
        file: Option<PathBuf> = FILE, Need::Optional;
        /// Where people are sent.
        to: Option<String> = URL, Need::Optional;
        /// The measurement that turns it on; by hand where this is absent.
        trigger: Option<Trigger> = Trigger::ITEM, Need::Optional;
        /// It ends after this time and says so.
        max_duration: Duration = span(1_000, SWITCH_MS_MAX), Need::Or("2h");
    }
}

/// Reads and checks a file.
pub fn load(path: &Path) -> Result<Services, Problems> {
    let failed = |error: std::io::Error| Problems::one(path, 0, format!("not readable: {error}"));
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > FILE_BYTES_MAX {
        let what = format!("found {size} bytes, expected at most {FILE_BYTES_MAX}");
        return Err(Problems::one(path, 0, what));
    }
    parse(path, &std::fs::read_to_string(path).map_err(failed)?)
}

/// Checks `text` as the content of `path`, which names it and roots the files named inside.
pub fn parse(path: &Path, text: &str) -> Result<Services, Problems> {
    let tree = Reader::parse(path, text)?;
    let mut source = Source::new(path);
    source.note("", tree.line);
    let services = Services::take(&mut source, &Services::ITEM, &tree, "");
    if let Some(services) = &services {
        check::services(&mut source, services);
    }
    let problems = source.finished();
    match services {
        Some(services) if problems.is_empty() => Ok(services),
        _ => Err(Problems(problems)),
    }
}

/// Whether a file's keys show it to be one of services.
#[must_use]
pub fn is_services(path: &Path) -> bool {
    let small = std::fs::metadata(path).is_ok_and(|file| file.len() <= FILE_BYTES_MAX);
    let text = small.then(|| std::fs::read_to_string(path).ok()).flatten();
    let tree = text.and_then(|text| Reader::parse(path, &text).ok());
    let entries = tree.as_ref().and_then(|tree| tree.entries());
    entries.is_some_and(|entries| entries.iter().any(|(_, name, _)| name == "services"))
}

/// The JSON Schema as text.
#[must_use]
pub fn schema_text() -> String {
    schema::shown(&schema::of_map("services", Services::SHAPE))
}

/// The tables of keys for the document.
#[must_use]
pub fn documented() -> String {
    schema::documented_map(Services::SHAPE)
}
