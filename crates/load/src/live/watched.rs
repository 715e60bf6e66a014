//! A generator whose seconds are seen while whoever asked for the plan looks at them: a search
//! shows its windows without knowing that anybody watches.

use super::{Live, Moment};
use crate::arrivals::Plan;
use crate::generator::{Ended, Generator, Running};
use crate::measure::Second;
use crate::run::RunError;
use std::sync::Arc;

/// Each plan is a step.
pub struct Watched<'a> {
    pub generator: &'a dyn Generator,
    pub live: Arc<Live>,
}

impl Generator for Watched<'_> {
    fn start(&self, plan: Plan) -> Result<Box<dyn Running>, RunError> {
        let (rate, long) = (plan.peak_per_s(), plan.us() / 1_000_000);
        self.live.step(&format!("{rate:.1}/s for {long} s"));
        let run = self.generator.start(plan.clone())?;
        let live = Arc::clone(&self.live);
        Ok(Box::new(Seen { run, plan, live }))
    }
}

struct Seen {
    run: Box<dyn Running>,
    plan: Plan,
    live: Arc<Live>,
}

impl Running for Seen {
    fn seconds(&self, from: usize) -> Vec<Second> {
        let fresh = self.run.seconds(from);
        if self.live.is_picture() {
            for (at, second) in fresh.iter().enumerate() {
                let moment = Moment::of(from + at, second).planned(&self.plan);
                self.live.second(moment);
            }
        }
        fresh
    }
    fn stop(&self) {
        self.run.stop();
    }
    fn is_over(&self) -> bool {
        self.run.is_over()
    }
    fn join(self: Box<Self>) -> Result<Ended, RunError> {
        self.run.join()
    }
}
