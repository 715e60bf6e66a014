//! A run as a list that people write: endpoints with shares and parameters, journeys, edges. It is
//! for what has not run yet, or has no recording. It must not know how it is compared.

use crate::error::Problems;
use crate::limits::SHARE_REQUESTS_MAX;
use crate::profile::Profile;
use crate::template::Pattern;
use crate::yaml;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A list, and the patterns of its paths, by which the recording is read too.
#[derive(Debug, Default)]
pub struct List {
    pub profile: Profile,
    pub patterns: Vec<Pattern>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    endpoints: Vec<Row>,
    journeys: Vec<Journey>,
    edges: Vec<Edge>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    endpoint: String,
    #[serde(default = "one")]
    share: u64,
    /// `query page` to `number`.
    #[serde(default)]
    parameters: BTreeMap<String, String>,
    request_bytes: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Journey {
    steps: Vec<String>,
    #[serde(default = "one")]
    share: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Edge {
    from: String,
    to: String,
    #[serde(default = "one")]
    calls: u64,
}

fn one() -> u64 {
    1
}

impl List {
    /// All that is wrong with a file at once.
    pub fn parse(text: &str) -> Result<List, Problems> {
        let file: File = yaml::parse(text)?;
        let mut list = List::default();
        let mut problems = Vec::new();
        for (index, row) in file.endpoints.iter().enumerate() {
            let at = |what| format!("endpoints[{index}]: {what}");
            if let Err(what) = share(row.share) {
                problems.push(at(what));
            }
            for name in row.parameters.keys() {
                if !["path ", "query ", "body "]
                    .iter()
                    .any(|place| name.starts_with(place))
                {
                    problems.push(at(format!(
                        "parameter {name:?}: expected `path 2`, `query NAME` or `body NAME`"
                    )));
                }
            }
            match list.endpoint(&row.endpoint) {
                Ok(name) => list.declare(row, &name),
                Err(what) => problems.push(at(what)),
            }
        }
        for (index, journey) in file.journeys.iter().enumerate() {
            let steps = journey.steps.iter().map(|step| list.endpoint(step));
            let steps = steps.collect::<Result<Vec<_>, String>>();
            match share(journey.share).and(steps) {
                Ok(steps) => list.profile.declare_journey(&steps, journey.share),
                Err(what) => problems.push(format!("journeys[{index}]: {what}")),
            }
        }
        for edge in &file.edges {
            list.profile
                .add_edge(&edge.from, &edge.to, edge.calls.min(SHARE_REQUESTS_MAX));
        }
        if problems.is_empty() {
            Ok(list)
        } else {
            Err(Problems(problems))
        }
    }

    fn endpoint(&mut self, text: &str) -> Result<String, String> {
        let (method, pattern) = yaml::endpoint(text)?;
        let name = format!("{method} {}", pattern.template());
        if !self.patterns.contains(&pattern) {
            self.patterns.push(pattern);
        }
        Ok(name)
    }

    fn declare(&mut self, row: &Row, name: &str) {
        let named = row
            .parameters
            .iter()
            .map(|(name, class)| format!("{name}: {class}"));
        let parameters: Vec<String> = named.collect();
        self.profile.declare(name, row.share, &parameters);
        if let Some(bytes) = row.request_bytes {
            self.profile.declare_request_bytes(name, bytes, row.share);
        }
    }
}

fn share(share: u64) -> Result<(), String> {
    match share {
        1..=SHARE_REQUESTS_MAX => Ok(()),
        _ => Err(format!(
            "share: found {share}, expected 1 to {SHARE_REQUESTS_MAX}"
        )),
    }
}
