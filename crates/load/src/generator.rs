//! Who sends a plan: this process, or several agents as one. Whoever follows a run or searches for
//! a rate must not know which.

use crate::arrivals::Plan;
use crate::measure::{Measured, Second};
use crate::run::{Control, Options, Run, RunError, Target};
use crate::script::Script;
use std::sync::Arc;

/// Sends plans, one after another.
pub trait Generator {
    /// # Errors
    /// Nothing was sent.
    fn start(&self, plan: Plan) -> Result<Box<dyn Running>, RunError>;
}

/// A plan under way.
pub trait Running {
    /// The whole seconds from this one on that all who send have behind them.
    fn seconds(&self, from: usize) -> Vec<Second>;
    /// Nobody new arrives; requests under way may end.
    fn stop(&self);
    fn is_over(&self) -> bool;
    /// Waits for the end.
    fn join(self: Box<Self>) -> Result<Ended, RunError>;
}

/// What a plan came to.
#[derive(Debug)]
pub struct Ended {
    pub measured: Measured,
    /// Why it says nothing about the target, beyond what the figures show themselves.
    pub broken: Vec<String>,
    /// What a reader of the figures should know.
    pub remarks: Vec<String>,
}

/// This process.
pub struct Here {
    pub script: Arc<Script>,
    pub target: Arc<Target>,
    pub options: Options,
}

impl Generator for Here {
    fn start(&self, plan: Plan) -> Result<Box<dyn Running>, RunError> {
        let (script, target) = (Arc::clone(&self.script), Arc::clone(&self.target));
        let run = Run::start(script, plan, target, &self.options);
        let control = run.control();
        Ok(Box::new(Threads { run, control }))
    }
}

struct Threads {
    run: Run,
    control: Control,
}

impl Running for Threads {
    fn seconds(&self, from: usize) -> Vec<Second> {
        self.control.seconds(from)
    }
    fn stop(&self) {
        self.control.stop();
    }
    fn is_over(&self) -> bool {
        self.run.is_over()
    }
    fn join(self: Box<Self>) -> Result<Ended, RunError> {
        let measured = self.run.join()?;
        Ok(Ended {
            measured,
            broken: Vec::new(),
            remarks: Vec::new(),
        })
    }
}
