//! The coordinator: agents that are one generator.
//!
//! All talk happens on one thread of its own; what agents tell is kept on a board that whoever
//! follows the run looks at. Orders go the other way through a short queue of each agent.

use super::bundle::Bundle;
use super::frames::{Message, PlanShape};
use super::limits::{AGENTS_MAX, LEAD_MS, ORDERS_WAITING_MAX};
use super::member::{self, Orders};
use super::merge::{self, Lost, Member, Part};
use super::token::Token;
use crate::arrivals::Plan;
use crate::generator::{Ended, Generator, Running};
use crate::measure::Second;
use crate::run::RunError;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Instant;
use tokio::sync::mpsc;

/// How to reach agents.
#[derive(Clone)]
pub struct Reach {
    /// `HOST:PORT` of each.
    pub addresses: Vec<String>,
    pub token: Token,
    /// `None`: they speak without TLS.
    pub tls: Option<Arc<rustls::ClientConfig>>,
}

/// Why an agent does not take part.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    #[error("{0}")]
    Usage(String),
    #[error("agent {agent} refuses: {why}")]
    Refused { agent: String, why: String },
    #[error("agent {agent}: {why}")]
    Failed { agent: String, why: String },
}

/// Agents that are ready.
pub struct Fleet {
    board: Arc<Board>,
    orders: Vec<Orders>,
    thread: Option<std::thread::JoinHandle<()>>,
    runs: AtomicU32,
}

/// What is known of all agents.
pub(super) struct Board {
    members: Mutex<Vec<Member>>,
    changed: Condvar,
    epoch: Instant,
}

impl Board {
    pub fn now_us(&self) -> u64 {
        self.epoch.elapsed().as_micros() as u64
    }
    pub fn members(&self) -> MutexGuard<'_, Vec<Member>> {
        self.members.lock().unwrap_or_else(|bad| bad.into_inner())
    }
    /// Changes what is known of one.
    pub fn with<T>(&self, place: usize, change: impl FnOnce(&mut Member) -> T) -> T {
        let changed = change(&mut self.members()[place]);
        self.changed.notify_all();
        changed
    }
    /// Waits until it is so.
    fn until(&self, is: impl Fn(&[Member]) -> bool) -> MutexGuard<'_, Vec<Member>> {
        let waited = self.changed.wait_while(self.members(), |all| !is(all));
        waited.unwrap_or_else(|bad| bad.into_inner())
    }
}

impl Fleet {
    /// Connects to all and gives them the scenario. Either all take part, or everything that is
    /// wrong is told and nothing is sent.
    pub fn join(reach: Reach, bundle: Bundle) -> Result<Fleet, Vec<Trouble>> {
        let count = reach.addresses.len();
        if count == 0 || count > AGENTS_MAX {
            let what = format!("found {count} agents, expected 1 to {AGENTS_MAX}");
            return Err(vec![Trouble::Usage(what)]);
        }
        let failed = |why: String| vec![Trouble::Usage(why)];
        let members = reach.addresses.iter().map(|address| Member {
            name: address.clone(),
            ..Member::default()
        });
        let board = Arc::new(Board {
            members: Mutex::new(members.collect()),
            changed: Condvar::new(),
            epoch: Instant::now(),
        });
        let (orders, taken): (Vec<Orders>, Vec<_>) = (0..count)
            .map(|_| mpsc::channel(ORDERS_WAITING_MAX))
            .unzip();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| failed(error.to_string()))?;
        let talked = Arc::clone(&board);
        let talk = move || {
            let local = tokio::task::LocalSet::new();
            let (reach, bundle) = (Rc::new(reach), Rc::new(bundle));
            for (place, orders) in taken.into_iter().enumerate() {
                let (board, reach) = (Arc::clone(&talked), Rc::clone(&reach));
                let bundle = Rc::clone(&bundle);
                local.spawn_local(async move {
                    member::follow(&board, place, &reach, &bundle, orders).await;
                });
            }
            runtime.block_on(local);
        };
        let thread = std::thread::Builder::new()
            .name("agents".into())
            .spawn(talk);
        let fleet = Fleet {
            orders,
            thread: Some(thread.map_err(|error| failed(error.to_string()))?),
            runs: AtomicU32::new(0),
            board,
        };
        let settled = |member: &Member| member.prepared || member.lost.is_some();
        let members = fleet.board.until(|all| all.iter().all(settled));
        let troubles: Vec<Trouble> = members.iter().filter_map(trouble).collect();
        drop(members);
        match troubles.is_empty() {
            true => Ok(fleet),
            false => Err(troubles),
        }
    }

    /// A line about each.
    #[must_use]
    pub fn described(&self) -> Vec<String> {
        let members = self.board.members();
        let line = |member: &Member| {
            let unsure = member.clock.best().map_or(0, |best| best.unsure_us);
            let Member { name, workers, .. } = member;
            let ms = unsure as f64 / 1e3;
            format!("agent {name}: {workers} workers, clock known within ±{ms:.2} ms")
        };
        members.iter().map(line).collect()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for orders in &self.orders {
            // A full queue is one of an agent that is gone.
            let _ = orders.try_send(Message::Bye {});
        }
        self.orders.clear();
        if let Some(thread) = self.thread.take() {
            // What it had to say is on the board.
            let _ = thread.join();
        }
    }
}

fn trouble(member: &Member) -> Option<Trouble> {
    let agent = member.name.clone();
    member.lost.as_ref().map(|lost| match lost.clone() {
        Lost::Refused(why) => Trouble::Refused { agent, why },
        Lost::Failed(why) => Trouble::Failed { agent, why },
    })
}

impl Generator for Fleet {
    fn start(&self, plan: Plan) -> Result<Box<dyn Running>, RunError> {
        let run = self.runs.fetch_add(1, Ordering::Relaxed) + 1;
        let mut members = self.board.members();
        let of = members.iter().map(|member| member.workers).sum();
        let unsure = members.iter().filter_map(|member| member.clock.best());
        // The way of the slowest order is paid for.
        let trip_us = unsure.map(|best| best.unsure_us * 2).max().unwrap_or(0);
        let zero_us = self.board.now_us() + LEAD_MS * 1_000 + trip_us;
        let mut first = 0;
        for (member, orders) in members.iter_mut().zip(&self.orders) {
            let clock = member.clock.best();
            member.part = Part::new(run, clock);
            if let (Some(clock), None) = (clock, &member.lost) {
                let begin = Message::Begin {
                    run,
                    at_us: clock.theirs_us(zero_us),
                    first,
                    of,
                    plan: PlanShape::from(&plan),
                };
                if orders.try_send(begin).is_err() {
                    let why = "it takes no orders any more".to_owned();
                    member.lost = Some(Lost::Failed(why));
                }
            }
            first += member.workers;
        }
        Ok(Box::new(Together {
            board: Arc::clone(&self.board),
            orders: self.orders.clone(),
            run,
            plan,
            stopped: AtomicBool::new(false),
        }))
    }
}

/// One plan sent by all.
struct Together {
    board: Arc<Board>,
    orders: Vec<Orders>,
    run: u32,
    plan: Plan,
    stopped: AtomicBool,
}

impl Running for Together {
    fn seconds(&self, from: usize) -> Vec<Second> {
        merge::seconds(&self.board.members(), from)
    }

    fn stop(&self) {
        if self.stopped.swap(true, Ordering::Relaxed) {
            return;
        }
        for (place, orders) in self.orders.iter().enumerate() {
            if orders.try_send(Message::Stop { run: self.run }).is_err() {
                let why = "it takes no orders any more".to_owned();
                self.board.with(place, |member| {
                    member.lost.get_or_insert(Lost::Failed(why));
                });
            }
        }
    }

    fn is_over(&self) -> bool {
        merge::is_over(&self.board.members())
    }

    fn join(self: Box<Self>) -> Result<Ended, RunError> {
        let mut members = self.board.until(merge::is_over);
        let stopped = self.stopped.load(Ordering::Relaxed);
        Ok(merge::merge(&mut members, &self.plan, stopped))
    }
}
