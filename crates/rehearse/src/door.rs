//! What the front door says that it did: its counters, read once a second from the admin listener.
//!
//! This is the door's own word and is shown as that. Nothing of it reaches the audit or the
//! verdict, which go on using only what clients received. A door that was killed begins again from
//! zero, so increases are added up, never end values; a target without a door has no section.

mod add_up;
mod show;

pub(crate) use show::{charts, sections};

use crate::limits;
use crate::measure::Shared;
use add_up::{Ledger, Reading};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// All that a run learnt from its door.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DoorFigures {
    pub readings: u64,
    /// Readings without an answer: the shop was down or had no time.
    pub readings_failed: u64,
    /// How often the counters began again.
    pub restarts: u64,
    pub requests: u64,
    pub served: u64,
    pub held_in_room: u64,
    pub by_switch: u64,
    pub admitted_share: Option<f64>,
    /// By code, only those that occurred.
    pub refused: BTreeMap<String, u64>,
    pub routes: Vec<DoorRoute>,
    pub classes: Vec<DoorClass>,
    pub rules: Vec<DoorRule>,
    pub switches: Vec<DoorSwitch>,
    pub breakers: Vec<DoorBreaker>,
    /// `None` where the door has no overload control.
    pub overload: Option<DoorOverload>,
    pub seconds: Vec<DoorSecond>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct DoorRoute {
    pub name: String,
    /// Empty where the door did not say it.
    pub class: String,
    pub requests: u64,
    pub refused: u64,
    pub failed: u64,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct DoorClass {
    pub name: String,
    pub requests: u64,
    pub refused: u64,
    /// Refused by overload control.
    pub shed: u64,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct DoorRule {
    pub name: String,
    pub allowed: u64,
    pub refused: u64,
    /// Would have been refused, had the rule been enforced.
    pub shadow_refused: u64,
    pub near_limit: u64,
    pub keys_peak: u64,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct DoorSwitch {
    pub name: String,
    /// Readings that found it on.
    pub on_readings: u64,
    /// Times that a reading found it turned, on or off.
    pub turned: u64,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct DoorBreaker {
    pub upstream: String,
    pub probing_readings: u64,
    pub tripped_readings: u64,
    /// Times that a reading found it Tripped after it was not.
    pub trips: u64,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct DoorOverload {
    pub in_flight_peak: u64,
    pub limit_lowest: u64,
    pub limit_highest: u64,
}

/// What happened between two readings, in the seconds that they are apart.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DoorSecond {
    pub requests: u64,
    pub served: u64,
    pub rate_limited: u64,
    pub shed: u64,
    pub gone: u64,
    pub refused_otherwise: u64,
    pub held_in_room: u64,
    pub by_switch: u64,
    /// What was neither refused nor held nor answered by a switch, of what came; `None` where
    /// nothing came. Not `served` of `requests`: what takes long is served in a later second.
    pub admitted_share: Option<f64>,
    pub in_flight: Option<u64>,
    pub in_flight_limit: Option<u64>,
}

impl DoorSecond {
    fn admitted_share(&self) -> Option<f64> {
        let refused = self.rate_limited + self.shed + self.gone + self.refused_otherwise;
        let kept_out = refused + self.held_in_room + self.by_switch;
        let admitted = self.requests.saturating_sub(kept_out);
        (self.requests > 0).then(|| crate::report::share(admitted, self.requests))
    }
    fn add(&mut self, other: &DoorSecond) {
        self.requests += other.requests;
        self.served += other.served;
        self.rate_limited += other.rate_limited;
        self.shed += other.shed;
        self.gone += other.gone;
        self.refused_otherwise += other.refused_otherwise;
        self.held_in_room += other.held_in_room;
        self.by_switch += other.by_switch;
    }
}

/// Reads the door's counters until it is told to stop.
#[derive(Debug)]
pub(crate) struct Watch {
    stop: Sender<()>,
    thread: JoinHandle<Ledger>,
}

const EVERY: Duration = Duration::from_secs(1);

impl Watch {
    /// `start` is the beginning of the plan, which may lie ahead. What the door counted before
    /// this call is left out.
    pub(crate) fn start(
        admin: SocketAddr,
        operator_token: &str,
        start: Instant,
        shared: Arc<Shared>,
    ) -> io::Result<Watch> {
        let (stop, stopped) = channel();
        let classes = classes(admin, operator_token);
        let mut ledger = Ledger::new(classes);
        ledger.enter(read(admin).as_ref(), us_since(start), None);
        let thread = std::thread::Builder::new().name("door-watch".to_owned());
        let thread = thread.spawn(move || {
            // At the borders of the plan's seconds, so that differences are those of a second.
            let mut next = start.max(Instant::now());
            for _ in 0..limits::SECONDS_MAX {
                next += EVERY;
                let pause = next.saturating_duration_since(Instant::now());
                let ended = stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout);
                let reading = read(admin);
                ledger.enter(reading.as_ref(), us_since(start), shared.last_back_us());
                if ended {
                    break;
                }
                // A reading that took long is not followed by a burst.
                while next + EVERY <= Instant::now() {
                    next += EVERY;
                }
            }
            ledger
        })?;
        Ok(Watch { stop, thread })
    }

    /// One last reading, and all of them added up. `Err` says why there is nothing.
    pub(crate) fn end(self) -> Result<DoorFigures, &'static str> {
        // The thread may have ended by itself; then there is nobody to be told.
        _ = self.stop.send(());
        let ledger = self.thread.join();
        ledger
            .map_err(|_| "The door's counters were not read to the end.")?
            .figures()
    }
}

fn us_since(start: Instant) -> u64 {
    let elapsed = Instant::now().saturating_duration_since(start);
    u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
}

fn read(admin: SocketAddr) -> Option<Reading> {
    match crate::child::get(admin, "/metrics", None) {
        Ok((200, body)) => Some(Reading::parse(&String::from_utf8_lossy(&body))),
        _ => None,
    }
}

/// Which class a route belongs to, as the door tells operators; empty where it does not.
fn classes(admin: SocketAddr, token: &str) -> BTreeMap<String, String> {
    let Ok((200, body)) = crate::child::get(admin, "/operator/door", Some(token)) else {
        return BTreeMap::new();
    };
    let state: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let routes = state["routes"].as_array().into_iter().flatten();
    let pair = |route: &serde_json::Value| {
        let class = route["class"].as_str()?.to_lowercase();
        Some((route["name"].as_str()?.to_owned(), class))
    };
    routes
        .take(limits::DOOR_SERIES_MAX)
        .filter_map(pair)
        .collect()
}

#[cfg(test)]
mod tests;
