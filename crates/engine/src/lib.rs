//! The engine: one log, one thread, one answer.
//!
//! [`Sequencer`] is the synchronous core that the simulator drives step by step; [`Engine`] runs it
//! on a thread behind a bounded inbox. [`View`] is what everybody else may read meanwhile.
//! This crate must not know about HTTP, pages or databases.

mod desk;
mod in_flight;
pub mod limits;
mod recover;
mod sequencer;
mod thread;
mod view;

pub use desk::Desk;
pub use in_flight::InFlight;
pub use recover::{RecoverError, Recovered, from_snapshot, recover, replay};
pub use sequencer::{Answer, Fatal, Offered, Reply, Sequencer, Turned, enter};
pub use thread::{Desks, Engine, EngineOptions, Stats, Watcher};
pub use view::View;
