//! One buyer on the way through a journey: a place, variables, cookies. Small, for there are many.

use crate::expr::{Scope, Value};
use crate::limits::OPS_WITHOUT_REQUEST_MAX;
use crate::redirect::Way;
use crate::rng::Rng;
use crate::script::{Feeder, Op, Order, Script};
use std::time::{SystemTime, UNIX_EPOCH};

#[derive(Debug)]
pub(crate) struct Buyer {
    pub journey: u32,
    /// The operation that comes next.
    pub at: u32,
    /// The request under way, by its place in the script.
    pub request: u32,
    /// It is the arrival itself, which the plan wants sent at its instant.
    pub arrival: bool,
    /// When the request under way should have left, in microseconds of the run.
    pub planned_us: u64,
    /// When it did.
    pub sent_us: u64,
    pub vars: Box<[Value]>,
    pub cookies: Vec<Cookie>,
    /// Of a request that may be redirected.
    pub way: Option<Box<Way>>,
    pub rng: Rng,
}

#[derive(Clone, Debug)]
pub(crate) struct Cookie {
    pub name: Box<str>,
    pub value: Box<str>,
}

/// What a buyer does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// `Buyer::request` says which.
    Request,
    Think {
        us: u64,
    },
    /// At this instant of the run.
    At {
        us: u64,
    },
    /// The journey is over.
    Leave,
    /// A feeder had no row left.
    Unfed,
    /// A loop of the scenario does nothing but loop.
    Stuck,
}

impl Scope for Buyer {
    fn variable(&self, place: usize) -> &Value {
        const NONE: Value = Value::Null;
        self.vars.get(place).unwrap_or(&NONE)
    }
    fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }
    fn now_ms(&self) -> u64 {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH);
        wall.map_or(0, |wall| wall.as_millis() as u64)
    }
}

impl Buyer {
    pub fn new(journey: u32, variables: usize, seed: u64) -> Buyer {
        Buyer {
            journey,
            at: 0,
            request: 0,
            arrival: true,
            planned_us: 0,
            sent_us: 0,
            vars: vec![Value::Null; variables].into(),
            cookies: Vec::new(),
            way: None,
            rng: Rng::new(seed),
        }
    }

    /// Goes on to the next request, pause or end.
    pub fn advance(&mut self, script: &Script, fed: &mut Fed) -> Next {
        let ops = &script.journeys[self.journey as usize].ops;
        for _ in 0..OPS_WITHOUT_REQUEST_MAX {
            let Some(op) = ops.get(self.at as usize) else {
                return Next::Leave;
            };
            self.at += 1;
            match op {
                Op::Request(request) => {
                    self.request = *request;
                    return Next::Request;
                }
                Op::At { us } => return Next::At { us: *us },
                Op::Think { min_us, max_us } => {
                    let us = self.rng.between(*min_us, *max_us);
                    return Next::Think { us };
                }
                Op::Set { variable, to } => {
                    let value = to.value(self);
                    self.vars[*variable as usize] = value;
                }
                Op::Feed(feeder) => {
                    let place = *feeder as usize;
                    let feeder = &script.feeders[place];
                    let Some(row) = fed.next(place, feeder, &mut self.rng) else {
                        return Next::Unfed;
                    };
                    for (column, value) in feeder.columns.iter().zip(&feeder.rows[row]) {
                        self.vars[*column as usize] = value.clone();
                    }
                }
                Op::Unless { is, to } => {
                    if !is.is_true(self) {
                        self.at = *to;
                    }
                }
                Op::Jump(to) => self.at = *to,
            }
        }
        Next::Stuck
    }
}

/// How far one worker has read the feeders. Workers take turns with the rows, so that each row
/// that must be taken once is.
#[derive(Debug)]
pub(crate) struct Fed {
    next: Vec<usize>,
    step: usize,
}

impl Fed {
    pub fn new(feeders: usize, worker: usize, workers: usize) -> Fed {
        Fed {
            next: vec![worker; feeders],
            step: workers,
        }
    }

    pub fn next(&mut self, place: usize, feeder: &Feeder, rng: &mut Rng) -> Option<usize> {
        let rows = feeder.rows.len();
        if rows == 0 {
            return None;
        }
        if feeder.order == Order::Random {
            return Some(rng.below(rows as u64) as usize);
        }
        let next = &mut self.next[place];
        let row = *next;
        match feeder.order {
            Order::Once if row >= rows => return None,
            Order::Once => *next = row + self.step,
            Order::Circular | Order::Random => *next = (row + self.step) % (rows * self.step),
        }
        Some(row % rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::Expr;
    use crate::script::Journey;

    fn script(ops: Vec<Op>) -> Script {
        let journey = Journey {
            name: "j".into(),
            weight: 1.0,
            ops,
        };
        Script {
            journeys: vec![journey],
            variables: 2,
            ..Script::default()
        }
    }

    #[test]
    fn a_loop_with_a_request_in_it_ends_when_its_condition_does() {
        let names = ["n".to_owned(), "sku".to_owned()];
        let expr = |text| Expr::parse(text, &names[..]).unwrap();
        let script = script(vec![
            Op::Set {
                variable: 0,
                to: expr("0"),
            },
            Op::Unless {
                is: expr("n < 3"),
                to: 5,
            },
            Op::Request(4),
            Op::Set {
                variable: 0,
                to: expr("n + 1"),
            },
            Op::Jump(1),
            Op::Think {
                min_us: 5,
                max_us: 5,
            },
        ]);
        let mut buyer = Buyer::new(0, 2, 1);
        let mut fed = Fed::new(0, 0, 1);
        let mut next = || buyer.advance(&script, &mut fed);
        for _ in 0..3 {
            assert_eq!(next(), Next::Request);
        }
        assert_eq!((next(), next()), (Next::Think { us: 5 }, Next::Leave));
    }

    #[test]
    fn a_loop_without_a_request_is_stuck_and_ends() {
        let script = script(vec![Op::Jump(0)]);
        let mut fed = Fed::new(0, 0, 1);
        assert_eq!(Buyer::new(0, 0, 1).advance(&script, &mut fed), Next::Stuck);
    }

    #[test]
    fn workers_share_rows_without_giving_one_twice() {
        let rows = (0..5).map(|n| vec![Value::Number(f64::from(n))].into());
        let feeder = Feeder {
            name: "f".into(),
            columns: vec![0],
            rows: rows.collect::<Vec<_>>().into(),
            order: Order::Once,
        };
        let mut rng = Rng::new(1);
        let mut seen = Vec::new();
        for worker in 0..2 {
            let mut fed = Fed::new(1, worker, 2);
            seen.extend(std::iter::from_fn(|| fed.next(0, &feeder, &mut rng)));
        }
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2, 3, 4]);
        let circular = Feeder {
            order: Order::Circular,
            ..feeder
        };
        let mut fed = Fed::new(1, 0, 2);
        let turns: Vec<_> = (0..6)
            .filter_map(|_| fed.next(0, &circular, &mut rng))
            .collect();
        assert_eq!(turns, [0, 2, 4, 1, 3, 0]);
    }

    #[test]
    fn a_live_buyer_is_small() {
        // Without cookies and texts: the struct and sixteen variables.
        let bytes = size_of::<Buyer>() + 16 * size_of::<Value>();
        assert!(bytes <= 640, "{bytes}");
    }
}
