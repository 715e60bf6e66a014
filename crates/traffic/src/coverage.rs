//! How much of the recorded traffic a run stands for: one percentage, and the list of what is
//! missing with the points that it costs. docs/traffic.md has the formula and its reasons. It must
//! not know where the two profiles come from.

use crate::error::Problems;
use crate::profile::{Knows, Profile, Revenue};
use crate::template::Pattern;
use crate::yaml;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Whatever has a tenth of its recorded share in the run counts as exercised.
const ENOUGH: f64 = 0.1;

/// One side of the traffic that is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    Endpoints,
    Parameters,
    Journey,
    Sizes,
    Edges,
}

impl Dimension {
    const ALL: [Dimension; 5] = [
        Dimension::Endpoints,
        Dimension::Parameters,
        Dimension::Journey,
        Dimension::Sizes,
        Dimension::Edges,
    ];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Dimension::Endpoints => "endpoints",
            Dimension::Parameters => "parameters",
            Dimension::Journey => "journey",
            Dimension::Sizes => "sizes",
            Dimension::Edges => "edges",
        }
    }

    fn default_weight(self) -> f64 {
        match self {
            Dimension::Endpoints => 40.0,
            Dimension::Parameters | Dimension::Journey => 20.0,
            Dimension::Sizes | Dimension::Edges => 10.0,
        }
    }
}

/// What matters how much, as a file that people write. Everything has a default.
#[derive(Clone, Debug, Default)]
pub struct Weights {
    pub revenue: Revenue,
    /// Paths that need not be learnt.
    pub templates: Vec<Pattern>,
    leave_out: BTreeSet<String>,
    dimensions: BTreeMap<&'static str, f64>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    revenue: BTreeMap<String, f64>,
    dimensions: BTreeMap<String, f64>,
    templates: Vec<String>,
    leave_out: Vec<String>,
}

impl Weights {
    /// All that is wrong with a file at once.
    pub fn parse(text: &str) -> Result<Weights, Problems> {
        let file: File = yaml::parse(text)?;
        let mut weights = Weights::default();
        let mut problems = Vec::new();
        for (name, money) in file.revenue {
            match yaml::endpoint(&name) {
                Ok(_) if !(0.0..=1e15).contains(&money) => {
                    problems.push(format!(
                        "revenue of {name}: found {money}, expected 0 to 1e15"
                    ));
                }
                Ok((method, path)) => {
                    weights
                        .revenue
                        .insert(format!("{method} {}", path.template()), money);
                    weights.templates.push(path);
                }
                Err(what) => problems.push(format!("revenue: {what}")),
            }
        }
        for (name, weight) in file.dimensions {
            let known = Dimension::ALL
                .into_iter()
                .find(|dimension| dimension.name() == name);
            match known {
                Some(known) if (0.0..=1e6).contains(&weight) => {
                    weights.dimensions.insert(known.name(), weight);
                }
                Some(_) => problems.push(format!("dimensions.{name}: found {weight}, below zero")),
                None => problems.push(format!(
                    "dimensions.{name}: expected endpoints, parameters, journey, sizes or edges"
                )),
            }
        }
        for text in &file.templates {
            match Pattern::parse(text) {
                Ok(pattern) => weights.templates.push(pattern),
                Err(what) => problems.push(format!("templates: {what}")),
            }
        }
        for text in &file.leave_out {
            match yaml::endpoint(text) {
                Ok((method, path)) => {
                    weights
                        .leave_out
                        .insert(format!("{method} {}", path.template()));
                    weights.templates.push(path);
                }
                Err(what) => problems.push(format!("leave_out: {what}")),
            }
        }
        if problems.is_empty() {
            Ok(weights)
        } else {
            Err(Problems(problems))
        }
    }

    fn of(&self, dimension: Dimension) -> f64 {
        let given = self.dimensions.get(dimension.name()).copied();
        given.unwrap_or_else(|| dimension.default_weight())
    }
}

/// The judgement.
#[derive(Clone, Debug, Serialize)]
pub struct Coverage {
    /// From 0 to 100.
    pub percent: f64,
    pub dimensions: Vec<DimensionCoverage>,
    /// What is missing or too rare, the most expensive first. The points add up to what is missing
    /// to 100.
    pub missing: Vec<Missing>,
    /// Weights came from revenue as well as from volume.
    pub by_revenue: bool,
}

#[derive(Clone, Debug, Serialize)]
pub struct DimensionCoverage {
    pub dimension: Dimension,
    /// Its part of the whole, of 100, after those that could not be compared were left out.
    pub weight: f64,
    /// `None`: it could not be compared, for the reason beside it.
    pub percent: Option<f64>,
    pub why_not: Option<&'static str>,
    /// Different things in the recording, and those of them that the run lacks altogether.
    pub recorded: usize,
    pub absent: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Missing {
    pub dimension: Dimension,
    pub what: String,
    /// Its shares of the two, of 1.
    pub recorded: f64,
    pub run: f64,
    /// Points of the percentage that it costs.
    pub points: f64,
}

/// One thing of a dimension, on both sides.
struct Item {
    what: String,
    weight: f64,
    recorded: f64,
    run: f64,
    /// How much of it counts as covered, of 1.
    credit: f64,
}

/// `None` if one side has no requests: nothing can be said then.
#[must_use]
pub fn compare(recorded: &Profile, run: &Profile, weights: &Weights) -> Option<Coverage> {
    let sides = Sides::new(recorded, run, weights)?;
    let mut found: Vec<(Dimension, Result<Vec<Item>, &'static str>)> = Vec::new();
    for dimension in Dimension::ALL {
        let items = match dimension {
            Dimension::Endpoints => Ok(sides.endpoints()),
            Dimension::Parameters => sides.parameters(),
            Dimension::Journey => sides.journey(),
            Dimension::Sizes => sides.sizes(),
            Dimension::Edges => sides.edges(),
        };
        let items = items.and_then(|items| match items.is_empty() {
            true => Err("the recording has none"),
            false if weights.of(dimension) <= 0.0 => Err("its weight is 0"),
            false => Ok(items),
        });
        found.push((dimension, items));
    }
    let compared = found.iter().filter(|(_, items)| items.is_ok());
    let total: f64 = compared.map(|(dimension, _)| weights.of(*dimension)).sum();
    if total <= 0.0 {
        return None;
    }
    let mut coverage = Coverage {
        percent: 0.0,
        dimensions: Vec::new(),
        missing: Vec::new(),
        by_revenue: sides.money > 0.0,
    };
    for (dimension, items) in found {
        let weight = weights.of(dimension) / total * 100.0;
        coverage.add(dimension, weight, items);
    }
    coverage.missing.sort_by(|a, b| {
        let points = b.points.total_cmp(&a.points);
        points.then_with(|| (a.dimension, &a.what).cmp(&(b.dimension, &b.what)))
    });
    Some(coverage)
}

impl Coverage {
    fn add(&mut self, dimension: Dimension, weight: f64, items: Result<Vec<Item>, &'static str>) {
        let items = match items {
            Ok(items) => items,
            Err(why_not) => {
                self.dimensions.push(DimensionCoverage {
                    dimension,
                    weight: 0.0,
                    percent: None,
                    why_not: Some(why_not),
                    recorded: 0,
                    absent: 0,
                });
                return;
            }
        };
        let total: f64 = items.iter().map(|item| item.weight).sum();
        let mut share = 0.0;
        for item in &items {
            let part = if total > 0.0 {
                item.weight / total
            } else {
                0.0
            };
            share += part * item.credit;
            let points = weight * part * (1.0 - item.credit);
            if points > 1e-9 {
                self.missing.push(Missing {
                    dimension,
                    what: item.what.clone(),
                    recorded: item.recorded,
                    run: item.run,
                    points,
                });
            }
        }
        self.percent += weight * share;
        self.dimensions.push(DimensionCoverage {
            dimension,
            weight,
            percent: Some(share * 100.0),
            why_not: None,
            recorded: items.len(),
            absent: items.iter().filter(|item| item.run <= 0.0).count(),
        });
    }
}

struct Sides<'a> {
    recorded: &'a Profile,
    run: &'a Profile,
    leave_out: &'a BTreeSet<String>,
    /// Requests of each side without what is left out.
    requests: (f64, f64),
    money: f64,
}

impl<'a> Sides<'a> {
    fn new(recorded: &'a Profile, run: &'a Profile, weights: &'a Weights) -> Option<Sides<'a>> {
        let leave_out = &weights.leave_out;
        let count = |side: &Profile| {
            let kept = side
                .endpoints
                .iter()
                .filter(|(name, _)| !leave_out.contains(*name));
            kept.map(|(_, endpoint)| endpoint.requests).sum::<u64>() as f64
        };
        let requests = (count(recorded), count(run));
        if requests.0 <= 0.0 || requests.1 <= 0.0 {
            return None;
        }
        let kept = recorded
            .endpoints
            .iter()
            .filter(|(name, _)| !leave_out.contains(*name));
        Some(Sides {
            recorded,
            run,
            leave_out,
            requests,
            money: kept.map(|(_, endpoint)| endpoint.money).sum(),
        })
    }

    fn recorded(&self) -> impl Iterator<Item = (&'a String, &'a crate::profile::Endpoint)> {
        let leave_out = self.leave_out;
        self.recorded
            .endpoints
            .iter()
            .filter(move |(name, endpoint)| endpoint.requests > 0 && !leave_out.contains(*name))
    }

    /// The weight of an endpoint: its share of requests, or the mean of that and of its share of
    /// the money where money is known.
    fn weight(&self, endpoint: &crate::profile::Endpoint) -> f64 {
        let volume = endpoint.requests as f64 / self.requests.0;
        if self.money > 0.0 {
            (volume + endpoint.money / self.money) / 2.0
        } else {
            volume
        }
    }

    fn endpoints(&self) -> Vec<Item> {
        let item = |(name, endpoint): (&String, &crate::profile::Endpoint)| {
            let recorded = endpoint.requests as f64 / self.requests.0;
            let run = self
                .run
                .endpoints
                .get(name)
                .map_or(0, |endpoint| endpoint.requests);
            let run = run as f64 / self.requests.1;
            Item {
                what: name.clone(),
                weight: self.weight(endpoint),
                recorded,
                run,
                credit: enough(recorded, run),
            }
        };
        self.recorded().map(item).collect()
    }

    /// Shares within their endpoint, so that a rare endpoint's usual parameter is still usual.
    fn within<'b, K: Ord + AsRef<str> + 'b>(
        &'b self,
        of: impl Fn(&'b crate::profile::Endpoint) -> &'b BTreeMap<K, u64>,
        asked: impl Fn(&str) -> bool,
    ) -> Vec<Item> {
        let mut items = Vec::new();
        for (name, endpoint) in self.recorded() {
            let other = self.run.endpoints.get(name);
            let all: u64 = of(endpoint).values().sum();
            for (key, count) in of(endpoint).iter().filter(|(key, _)| asked(key.as_ref())) {
                let recorded = *count as f64 / endpoint.requests as f64;
                let found = other
                    .and_then(|other| of(other).get(key))
                    .copied()
                    .unwrap_or(0);
                let run = found as f64 / other.map_or(1, |other| other.requests.max(1)) as f64;
                items.push(Item {
                    what: format!("{name}  {}", key.as_ref()),
                    weight: self.weight(endpoint) * *count as f64 / all.max(1) as f64,
                    recorded,
                    run,
                    credit: enough(recorded, run),
                });
            }
        }
        items
    }

    fn knows(&self) -> (Knows, Knows) {
        (self.recorded.knows, self.run.knows)
    }

    fn parameters(&self) -> Result<Vec<Item>, &'static str> {
        let (recorded, run) = self.knows();
        if !recorded.parameters || !run.parameters {
            return Err("one side does not tell parameters");
        }
        // A log has no bodies; what it cannot show is not held against it.
        let bodies = run.bodies;
        let asked = |key: &str| bodies || !key.starts_with("body ");
        Ok(self.within(|endpoint| &endpoint.parameters, asked))
    }

    fn sizes(&self) -> Result<Vec<Item>, &'static str> {
        let (recorded, run) = self.knows();
        if recorded.request_bytes && run.request_bytes {
            return Ok(self.within(|endpoint| &endpoint.request_sizes, |_| true));
        }
        if recorded.response_bytes && run.response_bytes {
            return Ok(self.within(|endpoint| &endpoint.response_sizes, |_| true));
        }
        Err("the sides do not tell the same sizes")
    }

    /// The mix itself is compared here: a pair counts as far as the run has its share of it.
    fn journey(&self) -> Result<Vec<Item>, &'static str> {
        let (recorded, run) = self.knows();
        if !recorded.clients || !run.clients {
            return Err("one side does not tell clients");
        }
        let (ours, theirs) = (self.pairs(self.recorded), self.pairs(self.run));
        let (all, of): (u64, u64) = (ours.values().sum(), theirs.values().sum());
        let mut items = Vec::new();
        for ((from, to), count) in &ours {
            let recorded = *count as f64 / all.max(1) as f64;
            let run = theirs.get(&(*from, *to)).copied().unwrap_or(0) as f64 / of.max(1) as f64;
            // As much dearer than its volume as the endpoint to which it leads.
            let endpoint = self.recorded.endpoints.get(*to);
            let dearer = endpoint.map_or(1.0, |endpoint| {
                let volume = endpoint.requests.max(1) as f64 / self.requests.0;
                self.weight(endpoint) / volume
            });
            items.push(Item {
                what: format!("{from} → {to}"),
                weight: recorded * dearer,
                recorded,
                run,
                credit: (run / recorded).min(1.0),
            });
        }
        Ok(items)
    }

    fn pairs(&self, side: &'a Profile) -> BTreeMap<(&'a str, &'a str), u64> {
        let mut named: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for ((from, to), count) in &side.pairs {
            let pair = (side.name(*from), side.name(*to));
            if !self.leave_out.contains(pair.0) && !self.leave_out.contains(pair.1) {
                *named.entry(pair).or_default() += count;
            }
        }
        named
    }

    fn edges(&self) -> Result<Vec<Item>, &'static str> {
        let (recorded, run) = self.knows();
        if !recorded.edges || !run.edges {
            return Err("no traces of both sides were given");
        }
        let (ours, theirs) = (&self.recorded.edges, &self.run.edges);
        let (all, of): (u64, u64) = (ours.values().sum(), theirs.values().sum());
        let item = |((from, to), count): (&(String, String), &u64)| {
            let recorded = *count as f64 / all.max(1) as f64;
            let edge = (from.clone(), to.clone());
            let run = theirs.get(&edge).copied().unwrap_or(0) as f64 / of.max(1) as f64;
            Item {
                what: format!("{from} → {to}"),
                weight: recorded,
                recorded,
                run,
                credit: enough(recorded, run),
            }
        };
        Ok(ours.iter().map(item).collect())
    }
}

/// All of it from a tenth of its share on; below, in proportion.
fn enough(recorded: f64, run: f64) -> f64 {
    if recorded <= 0.0 {
        return 1.0;
    }
    (run / (recorded * ENOUGH)).min(1.0)
}
