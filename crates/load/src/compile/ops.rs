//! Steps as operations: blocks written out, loops as jumps, texts as templates.
//!
//! A block that is done in several places is written out in each, but its requests are one each
//! and have one row of figures. It must not know about loads and thresholds.

mod requests;

use super::data;
use crate::expr::{Expr, Names, Value};
use crate::limits::{BLOCK_LEVELS_MAX, JOURNEY_OPS_MAX, VARIABLE_PLACES_MAX};
use crate::script::{Feeder, From, Journey, Op, Order, RequestSpec, Script, Template};
use std::cell::Cell;
use std::collections::HashMap;
use wire::campaign::Problem;
use wire::gateway::shape::ScalarOr;
use wire::gateway::source::{Source, joined};
use wire::scenario::Scenario;
use wire::scenario::steps::{Do, Request, Step};

/// Rounds of a `while` that says no bound; the check asks for one.
const ROUNDS_UNSAID: u64 = 1;
/// The answer's status, in expressions.
const STATUS: &str = "status";

pub struct Scripts {
    pub main: Script,
    pub setup: Option<Script>,
    pub teardown: Option<Script>,
}

/// All scripts of a scenario. They share variables and feeders.
pub fn scripts(source: &mut Source, elsewhere: &mut Vec<Problem>, scenario: &Scenario) -> Scripts {
    let names = Variables::of(scenario);
    if names.places.len() > VARIABLE_PLACES_MAX {
        let found = format!("{} variables", names.places.len());
        source.wrong("", &found, &format!("at most {VARIABLE_PLACES_MAX}"));
    }
    let feeders = feeders(source, elsewhere, scenario, &names);
    let mut compiler = Compiler {
        source,
        scenario,
        names: &names,
        requests: Vec::new(),
        follows: Vec::new(),
        known: HashMap::new(),
        said: std::collections::HashSet::new(),
    };
    let mut journeys = Vec::new();
    for journey in &scenario.journeys {
        let mut ops = Vec::new();
        compiler.steps(&journey.steps, &mut ops, 0, &journey.at);
        journeys.push(Journey {
            name: journey.name.clone(),
            weight: journey.weight,
            ops,
        });
    }
    let main = compiler.script(journeys);
    // What nobody does is checked too; it has no figures.
    for (name, steps) in scenario.blocks.iter() {
        compiler.steps(steps, &mut Vec::new(), 0, &joined("blocks", name));
    }
    compiler.script(Vec::new());
    let mut once = |key: &str, blocks: &[String]| {
        let mut ops = Vec::new();
        for block in blocks {
            let steps = scenario.blocks.get(block).into_iter().flatten();
            compiler.steps(steps, &mut ops, 0, key);
        }
        let journey = Journey {
            name: key.to_owned(),
            weight: 1.0,
            ops,
        };
        (!blocks.is_empty()).then(|| compiler.script(vec![journey]))
    };
    let mut scripts = Scripts {
        setup: once("setup", &scenario.setup),
        teardown: once("teardown", &scenario.teardown),
        main,
    };
    let all = [scripts.setup.as_mut(), scripts.teardown.as_mut()];
    let all = all.into_iter().flatten().chain([&mut scripts.main]);
    for script in all {
        script.variables = names.places.len();
        script.feeders.clone_from(&feeders);
        if names.status_used.get() {
            let place = names.places[STATUS];
            for request in &mut script.requests {
                request.extract.insert(0, (place, From::Status));
            }
        }
    }
    scripts
}

/// Every variable that something gives a value, and its place in a buyer's row.
struct Variables {
    places: HashMap<String, u32>,
    status_used: Cell<bool>,
}

impl Names for Variables {
    fn place(&self, name: &str) -> Option<usize> {
        let place = self.places.get(name).map(|place| *place as usize);
        if name == STATUS {
            self.status_used.set(true);
        }
        place
    }
}

impl Variables {
    fn of(scenario: &Scenario) -> Variables {
        let mut names = Variables {
            places: HashMap::new(),
            status_used: Cell::new(false),
        };
        names.add(STATUS);
        for feeder in &scenario.feeders {
            let columns = feeder.columns.iter();
            columns.for_each(|(_, variable)| names.add(variable));
        }
        let blocks = scenario.blocks.iter().flat_map(|(_, steps)| steps);
        let steps = scenario.journeys.iter().flat_map(|journey| &journey.steps);
        for step in blocks.chain(steps) {
            for (variable, _) in step.set.iter().flat_map(|set| set.iter()) {
                names.add(variable);
            }
            if let Some(ScalarOr::Map(request)) = &step.request {
                for (variable, _) in request.extract.iter() {
                    names.add(variable);
                }
                for check in &request.checks {
                    if check.json.is_some() {
                        names.add(&hidden(&check.at));
                    }
                }
            }
            if let Some(ScalarOr::Map(of)) = &step.r#do {
                names.add(&hidden(&of.at));
            }
        }
        names
    }
    fn add(&mut self, name: &str) {
        let next = self.places.len() as u32;
        self.places.entry(name.to_owned()).or_insert(next);
    }
    fn of_written(&self, name: &str) -> u32 {
        // Every one was added before the steps were looked at.
        self.places.get(name).copied().unwrap_or(0)
    }
}

/// The variable of the compiler's own that belongs to a place in the file; nobody can write it.
fn hidden(at: &str) -> String {
    let mut name = "_.".to_owned();
    for byte in at.bytes() {
        match byte {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => name.push(char::from(byte)),
            _ => name += &format!(".{byte:02x}."),
        }
    }
    name
}

fn feeders(
    source: &mut Source,
    elsewhere: &mut Vec<Problem>,
    scenario: &Scenario,
    names: &Variables,
) -> Vec<Feeder> {
    let mut all = Vec::new();
    for feeder in &scenario.feeders {
        let rows = match data::rows(feeder, elsewhere) {
            Ok(rows) => rows,
            Err(error) => {
                let what = format!("{}: not readable: {error}", feeder.file.display());
                source.problem(&joined(&feeder.at, "file"), what);
                Vec::new()
            }
        };
        let columns = feeder.columns.iter();
        all.push(Feeder {
            name: feeder.name.clone(),
            columns: columns
                .map(|(_, variable)| names.of_written(variable))
                .collect(),
            rows: rows.into(),
            order: match feeder.order {
                wire::scenario::Order::Circular => Order::Circular,
                wire::scenario::Order::Random => Order::Random,
                wire::scenario::Order::Once => Order::Once,
            },
        });
    }
    all
}

struct Compiler<'a> {
    source: &'a mut Source,
    scenario: &'a Scenario,
    names: &'a Variables,
    requests: Vec<RequestSpec>,
    /// How many redirects of each are followed.
    follows: Vec<u32>,
    /// Where each request's step stands, and its place among the script's.
    known: HashMap<String, u32>,
    /// Places whose problems were told: blocks are looked at wherever they are done.
    said: std::collections::HashSet<String>,
}

impl Compiler<'_> {
    fn script(&mut self, journeys: Vec<Journey>) -> Script {
        self.known.clear();
        Script {
            journeys,
            requests: std::mem::take(&mut self.requests),
            follows: std::mem::take(&mut self.follows),
            ..Script::default()
        }
    }

    fn problem(&mut self, path: &str, what: String) {
        if self.said.insert(path.to_owned()) {
            self.source.problem(path, what);
        }
    }

    fn expr(&mut self, text: &str, path: &str) -> Expr {
        Expr::parse(text, self.names).unwrap_or_else(|bad| {
            self.problem(path, format!("{text:?} {bad}"));
            Expr::constant(Value::Null)
        })
    }

    fn template(&mut self, text: &str, path: &str) -> Template {
        Template::parse(text, self.names).unwrap_or_else(|bad| {
            self.problem(path, format!("{text:?} {bad}"));
            Template::text("")
        })
    }

    fn steps<'s>(
        &mut self,
        steps: impl IntoIterator<Item = &'s Step>,
        ops: &mut Vec<Op>,
        level: usize,
        whole: &str,
    ) {
        if level > BLOCK_LEVELS_MAX {
            // A block that does itself was reported.
            if !self.source.troubled("blocks") {
                let what = format!("blocks within blocks deeper than {BLOCK_LEVELS_MAX}");
                self.problem(whole, what);
            }
            return;
        }
        for step in steps {
            if ops.len() >= JOURNEY_OPS_MAX {
                let what = format!("more than {JOURNEY_OPS_MAX} steps, blocks written out");
                self.problem(whole, what);
                return;
            }
            self.step(step, ops, level, whole);
        }
    }

    fn step(&mut self, step: &Step, ops: &mut Vec<Op>, level: usize, whole: &str) {
        let start = ops.len();
        if let Some(when) = &step.when {
            let is = self.expr(when, &joined(&step.at, "when"));
            ops.push(Op::Unless { is, to: 0 });
        }
        if let Some(request) = &step.request {
            let path = joined(&step.at, "request");
            let place = match request {
                ScalarOr::Map(request) => Some(self.request(request)),
                ScalarOr::Scalar(short) => {
                    Request::of_short(short, &path).map(|request| self.request(&request))
                }
            };
            ops.extend(place.map(Op::Request));
        }
        if let Some(think) = &step.think {
            let (from, to) = match think {
                ScalarOr::Scalar(long) => (*long, *long),
                ScalarOr::Map(think) => (think.from, think.to.max(think.from)),
            };
            ops.push(Op::Think {
                min_us: from.as_micros() as u64,
                max_us: to.as_micros() as u64,
            });
        }
        for (variable, text) in step.set.iter().flat_map(|set| set.iter()) {
            let path = joined(&joined(&step.at, "set"), variable);
            let to = self.expr(text, &path);
            let variable = self.names.of_written(variable);
            ops.push(Op::Set { variable, to });
        }
        if let Some(feed) = &step.feed {
            let mut feeders = self.scenario.feeders.iter();
            let place = feeders.position(|feeder| feeder.name == *feed);
            ops.extend(place.map(|place| Op::Feed(place as u32)));
        }
        match &step.r#do {
            None => {}
            Some(ScalarOr::Scalar(block)) => self.block(block, ops, level, whole),
            Some(ScalarOr::Map(of)) => self.in_loop(of, ops, level, whole),
        }
        if step.when.is_some() {
            let end = ops.len() as u32;
            if let Some(Op::Unless { to, .. }) = ops.get_mut(start) {
                *to = end;
            }
        }
    }

    fn block(&mut self, block: &str, ops: &mut Vec<Op>, level: usize, whole: &str) {
        let scenario = self.scenario;
        let steps = scenario.blocks.get(block).into_iter().flatten();
        self.steps(steps, ops, level + 1, whole);
    }

    /// A counter of the compiler's own bounds every loop.
    fn in_loop(&mut self, of: &Do, ops: &mut Vec<Op>, level: usize, whole: &str) {
        let most = match (&of.r#while, of.times, of.most) {
            (None, None, _) => return self.block(&of.block, ops, level, whole),
            (None, Some(times), _) => times,
            (Some(_), _, most) => most.unwrap_or(ROUNDS_UNSAID),
        };
        let name = hidden(&of.at);
        let counter = self.names.of_written(&name);
        let own = |text: String| {
            Expr::parse(&text, self.names).unwrap_or_else(|_| Expr::constant(Value::Null))
        };
        let (more, next) = (own(format!("{name} < {most}")), own(format!("{name} + 1")));
        ops.push(Op::Set {
            variable: counter,
            to: Expr::constant(Value::Number(0.0)),
        });
        let start = ops.len();
        ops.push(Op::Unless { is: more, to: 0 });
        if let Some(text) = &of.r#while {
            let is = self.expr(text, &joined(&of.at, "while"));
            ops.push(Op::Unless { is, to: 0 });
        }
        let body = ops.len();
        ops.push(Op::Set {
            variable: counter,
            to: next,
        });
        self.block(&of.block, ops, level, whole);
        ops.push(Op::Jump(start as u32));
        let end = ops.len() as u32;
        for op in &mut ops[start..body] {
            if let Op::Unless { to, .. } = op {
                *to = end;
            }
        }
    }
}
