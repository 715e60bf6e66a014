//! Where one thread hands commands in and gets answers back. The answers of a whole batch come in
//! one message and one wake-up: a hand-over between threads for each order costs more than the
//! disk.
//!
//! A desk belongs to its thread. [`Desk::pump`] must run beside the futures that ask.

use crate::sequencer::{Reply, Turned};
use crate::thread::{Job, Shared, To, weight};
use sale::{At, Command, Place};
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// Answers on their way back to one desk.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    state: Mutex<Mail>,
}

#[derive(Debug, Default)]
struct Mail {
    answers: Vec<(To, Reply)>,
    waker: Option<Waker>,
}

impl Mailbox {
    /// Takes a batch of answers and wakes the desk once.
    pub(crate) fn deliver(&self, answers: &mut Vec<(To, Reply)>) {
        let waker = {
            let mut mail = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if mail.answers.is_empty() {
                std::mem::swap(&mut mail.answers, answers);
            } else {
                mail.answers.append(answers);
            }
            mail.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

#[derive(Debug, Default)]
struct Slot {
    replies: Vec<Option<Reply>>,
    left: usize,
    waker: Option<Waker>,
    /// Whoever asked is gone; the answers are dropped when they have all come.
    abandoned: bool,
}

#[derive(Debug, Default)]
struct Slots {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

#[derive(Debug)]
pub struct Desk {
    shared: Arc<Shared>,
    mailbox: Arc<Mailbox>,
    number: u32,
    slots: RefCell<Slots>,
    arrived: RefCell<Vec<(To, Reply)>>,
}

impl Desk {
    pub(crate) fn new(shared: Arc<Shared>, mailbox: Arc<Mailbox>, number: u32) -> Desk {
        let (slots, arrived) = (RefCell::default(), RefCell::default());
        Desk {
            shared,
            mailbox,
            number,
            slots,
            arrived,
        }
    }

    pub fn view(&self) -> &crate::View {
        &self.shared.view
    }
    pub fn now(&self) -> At {
        self.shared.clock.now()
    }

    /// Asks and waits for the answer. Dropping the future does not take the command back.
    pub async fn ask(&self, command: Command) -> Reply {
        if let Command::Place(place) = &command
            && let Some(answer) = self.refuse_now(place)
        {
            return Ok(answer);
        }
        let bytes = weight(&command);
        let asked = self.submit(std::iter::once(command), 1, bytes)?;
        let mut reply = None;
        poll_fn(|context| asked.poll(context, |one| reply = Some(one))).await;
        reply.expect("one command has one answer")
    }

    /// Asks many at once: they enter the journal as one group, and the answers keep their order.
    pub async fn ask_all(&self, commands: Vec<Command>) -> Vec<Reply> {
        let count = commands.len();
        let bytes = commands.iter().map(weight).sum();
        let asked = match self.submit(commands.into_iter(), count, bytes) {
            Ok(asked) => asked,
            Err(turned) => return vec![Err(turned); count],
        };
        let mut replies = Vec::with_capacity(count);
        poll_fn(|context| asked.poll(context, |one| replies.push(one))).await;
        replies
    }

    /// The answer to an order that changes nothing, if it can be had without queueing.
    pub fn refuse_now(&self, place: &Place) -> Option<crate::Answer> {
        let at = self.now();
        let outcome = self.shared.view.refuse_now(place, at)?;
        self.shared.stats.answered_now();
        Some(crate::Answer {
            outcome,
            seq: None,
            at,
        })
    }

    fn submit(
        &self,
        commands: impl Iterator<Item = Command>,
        count: usize,
        bytes: usize,
    ) -> Result<Asked<'_>, Turned> {
        let slot = {
            let mut slots = self.slots.borrow_mut();
            let slot = slots.free.pop().unwrap_or_else(|| {
                slots.slots.push(Slot::default());
                slots.slots.len() as u32 - 1
            });
            let place = &mut slots.slots[slot as usize];
            place.replies.clear();
            place.replies.resize(count, None);
            place.left = count;
            place.abandoned = false;
            slot
        };
        let jobs = commands.enumerate().map(|(index, command)| {
            let to = To {
                desk: self.number,
                slot,
                index: index as u32,
            };
            Job {
                command,
                to: Some(to),
            }
        });
        if let Err(turned) = self.shared.submit(jobs, bytes) {
            self.slots.borrow_mut().free.push(slot);
            return Err(turned);
        }
        Ok(Asked { desk: self, slot })
    }

    /// Takes answers from the mailbox to those who wait, for ever.
    pub async fn pump(&self) {
        poll_fn(|context| self.poll_pump(context)).await
    }

    fn poll_pump(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut arrived = self.arrived.borrow_mut();
        {
            let mut mail = self
                .mailbox
                .state
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            std::mem::swap(&mut mail.answers, &mut arrived);
            mail.waker = Some(context.waker().clone());
        }
        let mut slots = self.slots.borrow_mut();
        for (to, reply) in arrived.drain(..) {
            let slot = &mut slots.slots[to.slot as usize];
            slot.replies[to.index as usize] = Some(reply);
            slot.left -= 1;
            if slot.left == 0 {
                if slot.abandoned {
                    slots.free.push(to.slot);
                } else if let Some(waker) = slot.waker.take() {
                    waker.wake();
                }
            }
        }
        Poll::Pending
    }

    /// Runs a future on this thread, pumping answers meanwhile: for programs without a runtime.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        struct Unpark(std::thread::Thread);
        impl Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut context = Context::from_waker(&waker);
        let mut future = pin!(future);
        loop {
            let _ = self.poll_pump(&mut context);
            if let Poll::Ready(output) = Pin::as_mut(&mut future).poll(&mut context) {
                return output;
            }
            std::thread::park();
        }
    }
}

/// One or more commands that wait for their answers.
struct Asked<'a> {
    desk: &'a Desk,
    slot: u32,
}

impl Asked<'_> {
    /// Hands each answer to `take`, in order, once all have come.
    fn poll(&self, context: &mut Context<'_>, mut take: impl FnMut(Reply)) -> Poll<()> {
        let mut slots = self.desk.slots.borrow_mut();
        let slot = &mut slots.slots[self.slot as usize];
        if slot.left > 0 {
            slot.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        slot.replies.drain(..).flatten().for_each(&mut take);
        Poll::Ready(())
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        let mut slots = self.desk.slots.borrow_mut();
        let slot = &mut slots.slots[self.slot as usize];
        slot.waker = None;
        if slot.left == 0 {
            slots.free.push(self.slot);
        } else {
            slot.abandoned = true;
        }
    }
}
