//! What a scenario would ask, without asking: sample buyers walk every journey once, taking rows of
//! its feeders. For comparing a scenario with recorded traffic before it has run.
//!
//! No answers come, so every step is taken once, whatever conditions and loops say, and what would
//! be taken out of an answer is a number.

use crate::buyer::{Buyer, Fed};
use crate::expr::Value;
use crate::limits::OUTLINE_BUYERS;
use crate::script::{Op, RequestSpec, Script, Template};

/// Stands for what an answer would have said.
const OF_AN_ANSWER: f64 = 1_000_001.0;

/// One request of a sample buyer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Which of the sample buyers.
    pub buyer: u32,
    pub method: String,
    /// Path and query.
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<String>,
}

/// The requests of as many sample buyers as [`OUTLINE_BUYERS`], by the weights of the journeys;
/// each journey has one at least.
#[must_use]
pub fn outline(script: &Script) -> Vec<Asked> {
    let all: f64 = script.journeys.iter().map(|journey| journey.weight).sum();
    let mut fed = Fed::new(script.feeders.len(), 0, 1);
    let (mut asked, mut number) = (Vec::new(), 0);
    for (place, journey) in script.journeys.iter().enumerate() {
        let share = journey.weight / all.max(f64::MIN_POSITIVE);
        let buyers = (share * f64::from(OUTLINE_BUYERS)).round().max(1.0) as u32;
        for _ in 0..buyers {
            let mut buyer = Buyer::new(place as u32, script.variables, u64::from(number));
            walk(script, &mut buyer, &mut fed, number, &mut asked);
            number += 1;
        }
    }
    asked
}

fn walk(script: &Script, buyer: &mut Buyer, fed: &mut Fed, number: u32, asked: &mut Vec<Asked>) {
    for op in &script.journeys[buyer.journey as usize].ops {
        match op {
            Op::Request(place) => {
                let spec = &script.requests[*place as usize];
                asked.push(request(spec, buyer, number));
                for (variable, _) in &spec.extract {
                    buyer.vars[*variable as usize] = Value::Number(OF_AN_ANSWER);
                }
            }
            Op::Set { variable, to } => {
                let value = to.value(buyer);
                buyer.vars[*variable as usize] = value;
            }
            Op::Feed(place) => {
                let feeder = &script.feeders[*place as usize];
                if let Some(row) = fed.next(*place as usize, feeder, &mut buyer.rng) {
                    for (column, value) in feeder.columns.iter().zip(&feeder.rows[row]) {
                        buyer.vars[*column as usize] = value.clone();
                    }
                }
            }
            Op::At { .. } | Op::Think { .. } | Op::Unless { .. } | Op::Jump(_) => {}
        }
    }
}

fn request(spec: &RequestSpec, buyer: &mut Buyer, number: u32) -> Asked {
    let mut text = |template: &Template| {
        let mut out = String::new();
        template.render(buyer, &mut out);
        out
    };
    Asked {
        buyer: number,
        method: spec.method.to_string(),
        target: text(&spec.path),
        headers: spec
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect(),
        body: spec.body.as_ref().map(&mut text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile;

    #[test]
    fn every_step_is_there_once_and_journeys_by_their_weights() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("skus.csv"), "sku\nmug\nhat\n").unwrap();
        let text = "version: 1\nname: o\ntarget: {url: \"http://127.0.0.1:1\"}\n\
            load: {shape: {constant: {rate: 1, for: 1s}}}\n\
            feeders: [{name: skus, file: skus.csv, columns: {sku: sku}}]\n\
            journeys:\n\
            - name: look\n  weight: 9\n  steps:\n  - feed: skus\n  - request: \"/p/${sku}?a=1\"\n\
            - name: buy\n  weight: 1\n  steps:\n\
            \x20 - request: {method: POST, path: /orders, json: {n: 2}, extract: {id: {json: /id}}}\n\
            \x20 - {when: id == 'never', request: \"/orders/${id}\"}\n";
        let compiled = compile::text(&folder.path().join("s.yaml"), text);
        let asked = outline(&compiled.unwrap_or_else(|bad| panic!("{bad}")).script);
        let count = |what: &str| asked.iter().filter(|one| one.target == what).count();
        assert_eq!((count("/p/mug?a=1"), count("/p/hat?a=1")), (450, 450));
        assert_eq!((count("/orders"), count("/orders/1000001")), (100, 100));
        let order = asked.iter().find(|one| one.target == "/orders").unwrap();
        assert_eq!(order.method, "POST");
        assert_eq!(order.body.as_deref(), Some(r#"{"n":2}"#));
    }
}
