//! Deadlines of one worker, without a timer for each.
//!
//! A connection notes until when something has to happen; every [`WATCH_MS`] its worker looks at
//! all of them and wakes whom time has run out for. That costs a store for each request and a few
//! nanoseconds for each connection and look, where a timer would cost two tree operations.

use super::now_ms;
use crate::limits::WATCH_MS;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};

/// The deadlines of a worker and its clock.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    clock_ms: Cell<u64>,
    entries: RefCell<Vec<Rc<Entry>>>,
}

#[derive(Debug)]
struct Entry {
    deadline_ms: Cell<u64>,
    waker: RefCell<Option<Waker>>,
    slot: Cell<usize>,
}

impl Watch {
    /// The time as of the last request or look: never more than [`WATCH_MS`] and one turn old.
    pub fn now_ms(&self) -> u64 {
        self.clock_ms.get()
    }
    pub fn set_now(&self, now_ms: u64) {
        self.clock_ms.set(now_ms);
    }

    /// A place for one deadline, far away at first.
    pub fn deadline(self: &Rc<Self>) -> Deadline {
        let mut entries = self.entries.borrow_mut();
        let entry = Rc::new(Entry {
            deadline_ms: Cell::new(u64::MAX),
            waker: RefCell::new(None),
            slot: Cell::new(entries.len()),
        });
        entries.push(entry.clone());
        Deadline {
            watch: self.clone(),
            entry,
        }
    }

    /// Wakes whom time has run out for.
    pub fn look(&self) {
        self.set_now(now_ms());
        let now = self.now_ms();
        for entry in self.entries.borrow().iter() {
            if entry.deadline_ms.get() <= now
                && let Some(waker) = entry.waker.take()
            {
                waker.wake();
            }
        }
    }

    pub fn interval() -> tokio::time::Interval {
        let mut each = tokio::time::interval(std::time::Duration::from_millis(WATCH_MS));
        each.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        each
    }
}

/// One deadline, moved again and again.
#[derive(Debug)]
pub(crate) struct Deadline {
    watch: Rc<Watch>,
    entry: Rc<Entry>,
}

impl Deadline {
    pub fn now_ms(&self) -> u64 {
        self.watch.now_ms()
    }
    pub fn set(&self, deadline_ms: u64) {
        self.entry.deadline_ms.set(deadline_ms);
    }
    pub fn never(&self) {
        self.set(u64::MAX);
        self.entry.waker.replace(None);
    }

    /// Whether it is over; if not, the task is woken when it is.
    pub fn is_over(&self, cx: &Context<'_>) -> bool {
        if self.entry.deadline_ms.get() <= self.watch.now_ms() {
            return true;
        }
        let mut waker = self.entry.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        false
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        let mut entries = self.watch.entries.borrow_mut();
        let slot = self.entry.slot.get();
        entries.swap_remove(slot);
        if let Some(moved) = entries.get(slot) {
            moved.slot.set(slot);
        }
    }
}
