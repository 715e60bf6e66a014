//! Admission, pure: who may go on, who must wait, who is refused, and why. No clock, no randomness,
//! no socket: `now` and every secret come in with the call.
//!
//! A flash sale refuses ninety-nine of a hundred, so a refusal is the main case: it charges nothing
//! and allocates nothing. Every rule is asked first; only if all agree is anything charged.

mod breaker;
mod duplicates;
mod ended;
mod facts;
mod gcra;
mod index;
pub mod limits;
mod overload;
pub mod room;
mod rules;
mod share;
mod sold_out;
pub mod switches;
mod table;
mod time;

pub use breaker::{
    Breaker, BreakerCause, BreakerConfig, BreakerEvent, BreakerOverride, BreakerRefusal,
    BreakerState, BreakerTicket,
};
pub use duplicates::{Begun, DuplicateCounts, DuplicateTicket, Duplicates};
pub use ended::Ended;
pub use facts::{Channel, Class, Facts, HEADERS_MAX, Method, Part, RouteId, Value};
pub use gcra::{Cell, Factor, Gcra, Tat};
pub use overload::{
    Admission, Machine, Overload, OverloadConfig, OverloadPermit, OverloadView, ShedWhy,
};
pub use rules::{
    Counters, Day, Description, Headroom, Key, Limit, Limits, Matcher, Missing, Mode, Override,
    PartValue, Permit, Provenance, Refusal, Retired, Rule, RuleId, RuleProblem, RuleSet,
    RuleStatus, Scope, Told, Verdict,
};
pub use share::{Granted, Instance, Line, Lost, Note, Share, ShareConfig};
pub use sold_out::{Fed, SoldOut, SoldOutCounts};
pub use time::Nanos;
