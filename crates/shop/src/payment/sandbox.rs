//! The sandbox channel: a small bank in this process, with a ledger of its own that is synced
//! before it answers. It can be slow, decline, and fall silent, by configured shares.
//!
//! The ledger is JSON Lines: `{"payment","order","amount","currency","state"}` with `state` one of
//! `authorised`, `declined`, `captured`, `void`, `refunded` (`amount` is then what was given back
//! in all). A line is a fact once it is synced; a torn last line is cut when the file is opened.

use super::{Ask, Authorised, Channel, Closed, Pending, Unknown};
use sale::{Currency, Money, OrderId, PaymentRef};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Requests that wait for the ledger's thread; above it a caller hears nothing, as from a busy
/// bank.
const QUEUE_MAX: usize = 16_384;
/// Requests written and synced together.
const GROUP_MAX: usize = 1_024;

/// How the bank behaves. Shares are from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SandboxOptions {
    /// Time for an answer.
    pub delay: Duration,
    pub decline_share: f64,
    /// Of captures: the money moves, but the answer is lost.
    pub silent_share: f64,
    /// Of all requests: the bank does not even hear them.
    pub unavailable_share: f64,
}

impl Default for SandboxOptions {
    fn default() -> Self {
        let delay = Duration::from_millis(20);
        SandboxOptions {
            delay,
            decline_share: 0.0,
            silent_share: 0.0,
            unavailable_share: 0.0,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        doing: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{}:{line}: no line of a payment ledger: {why}", path.display())]
    Malformed {
        path: PathBuf,
        line: usize,
        why: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Authorised,
    Declined,
    Captured,
    Void,
    Refunded,
}

/// One line of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fact {
    pub payment: String,
    pub order: String,
    pub amount: i64,
    pub currency: String,
    pub state: State,
}

#[derive(Clone, Copy, Debug)]
struct Account {
    order: OrderId,
    amount: Money,
    currency: Currency,
    state: State,
    refunded: Money,
}

enum Request {
    Authorise(Ask, bool, oneshot::Sender<Authorised>),
    Capture(Ask, oneshot::Sender<Closed>),
    Close(PaymentRef, oneshot::Sender<Closed>),
    Refund(PaymentRef, Money, oneshot::Sender<Money>),
}

/// The channel; its ledger is written by one thread of its own.
#[derive(Debug)]
pub struct Sandbox {
    queue: mpsc::SyncSender<Request>,
    options: SandboxOptions,
    asked: AtomicU64,
}

impl Sandbox {
    /// Opens the ledger at `path`, or founds it.
    pub fn open(path: &Path, options: SandboxOptions) -> Result<Sandbox, SandboxError> {
        let mut bank = Bank::open(path)?;
        let (queue, requests) = mpsc::sync_channel(QUEUE_MAX);
        let io = |source| SandboxError::Io {
            doing: "serve",
            path: path.to_owned(),
            source,
        };
        std::thread::Builder::new()
            .name("sandbox".into())
            .spawn(move || bank.serve(&requests))
            .map_err(io)?;
        Ok(Sandbox {
            queue,
            options,
            asked: AtomicU64::new(0),
        })
    }

    fn ask<T: Send + 'static>(
        &self,
        silent: bool,
        request: impl FnOnce(oneshot::Sender<T>) -> Request + Send + 'static,
    ) -> Pending<T> {
        let (queue, delay) = (self.queue.clone(), self.options.delay);
        // Luck of the moment: the same request may be heard the next time.
        let turn = PaymentRef(u128::from(self.asked.fetch_add(1, Ordering::Relaxed)));
        let deaf = luck(turn, 3) < self.options.unavailable_share;
        Box::pin(async move {
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            if deaf {
                return Err(Unknown);
            }
            let (reply, answer) = oneshot::channel();
            queue.try_send(request(reply)).map_err(|_| Unknown)?;
            let answer = answer.await.map_err(|_| Unknown)?;
            if silent { Err(Unknown) } else { Ok(answer) }
        })
    }
}

/// A number from 0 to 1 that depends on the payment alone, so that a repeat meets the same luck.
fn luck(payment: PaymentRef, salt: u64) -> f64 {
    let folded = (payment.0 as u64) ^ (payment.0 >> 64) as u64 ^ salt;
    (folded.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 11) as f64 / (1u64 << 53) as f64
}

impl Channel for Sandbox {
    fn name(&self) -> &'static str {
        "sandbox"
    }
    fn authorise(&self, ask: Ask) -> Pending<Authorised> {
        let decline = luck(ask.payment, 1) < self.options.decline_share;
        self.ask(false, move |reply| Request::Authorise(ask, decline, reply))
    }
    fn capture(&self, ask: Ask) -> Pending<Closed> {
        let silent = luck(ask.payment, 2) < self.options.silent_share;
        self.ask(silent, move |reply| Request::Capture(ask, reply))
    }
    fn close(&self, payment: PaymentRef) -> Pending<Closed> {
        self.ask(false, move |reply| Request::Close(payment, reply))
    }
    fn refund(&self, payment: PaymentRef, total: Money) -> Pending<Money> {
        self.ask(false, move |reply| Request::Refund(payment, total, reply))
    }
}

struct Bank {
    path: PathBuf,
    file: File,
    accounts: HashMap<PaymentRef, Account>,
    lines: Vec<u8>,
}

type Answered = Box<dyn FnOnce() + Send>;

impl Bank {
    fn open(path: &Path) -> Result<Bank, SandboxError> {
        let io = |doing| {
            let path = path.to_owned();
            move |source| SandboxError::Io {
                doing,
                path,
                source,
            }
        };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(io("make the folder of"))?;
        }
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).read(true).write(true);
        let mut file = options.open(path).map_err(io("open"))?;
        let (facts, whole) = read_facts(path, &file)?;
        // A line without its end was never answered for.
        file.set_len(whole).map_err(io("cut the torn line of"))?;
        file.seek(SeekFrom::End(0)).map_err(io("seek in"))?;
        let mut bank = Bank {
            path: path.to_owned(),
            file,
            accounts: HashMap::new(),
            lines: Vec::new(),
        };
        for (index, fact) in facts.iter().enumerate() {
            bank.recall(fact).map_err(|why| SandboxError::Malformed {
                path: path.to_owned(),
                line: index + 1,
                why,
            })?;
        }
        Ok(bank)
    }

    fn recall(&mut self, fact: &Fact) -> Result<(), String> {
        let payment = u128::from_str_radix(&fact.payment, 16).map_err(|e| e.to_string())?;
        let order = OrderId::parse(&fact.order).ok_or("no order id")?;
        let currency = Currency::new(&fact.currency).ok_or("no currency")?;
        let amount = Money(fact.amount);
        let fresh = Account {
            order,
            amount,
            currency,
            state: fact.state,
            refunded: Money::ZERO,
        };
        let account = self.accounts.entry(PaymentRef(payment)).or_insert(fresh);
        if fact.state == State::Refunded {
            account.refunded = amount;
        } else {
            account.state = fact.state;
        }
        Ok(())
    }

    /// Answers what waits, group by group, each after one sync. A failed sync ends the thread and
    /// with it every waiting answer: nobody is told what is not on disk.
    fn serve(&mut self, requests: &mpsc::Receiver<Request>) {
        while let Ok(first) = requests.recv() {
            let mut answers: Vec<Answered> = vec![self.decide(first)];
            while answers.len() < GROUP_MAX
                && let Ok(next) = requests.try_recv()
            {
                answers.push(self.decide(next));
            }
            if !self.lines.is_empty() {
                let written = self.file.write_all(&self.lines);
                if let Err(error) = written.and_then(|()| self.file.sync_data()) {
                    tracing::error!(%error, path = %self.path.display(), "payment ledger failed");
                    return;
                }
                self.lines.clear();
            }
            for answer in answers {
                answer();
            }
        }
    }

    fn note(&mut self, payment: PaymentRef, account: &Account, state: State, amount: Money) {
        let fact = Fact {
            payment: format!("{:032x}", payment.0),
            order: account.order.to_string(),
            amount: amount.0,
            currency: account.currency.as_str().to_owned(),
            state,
        };
        // Plain strings and numbers always serialise.
        let _ = serde_json::to_writer(&mut self.lines, &fact);
        self.lines.push(b'\n');
    }

    fn enter(&mut self, ask: Ask, state: State) {
        let account = Account {
            order: ask.order,
            amount: ask.amount,
            currency: ask.currency,
            state,
            refunded: Money::ZERO,
        };
        self.note(ask.payment, &account, state, ask.amount);
        self.accounts.insert(ask.payment, account);
    }

    fn decide(&mut self, request: Request) -> Answered {
        match request {
            Request::Authorise(ask, decline, reply) => {
                if !self.accounts.contains_key(&ask.payment) {
                    self.enter(
                        ask,
                        if decline {
                            State::Declined
                        } else {
                            State::Authorised
                        },
                    );
                }
                let approved = match self.accounts[&ask.payment].state {
                    State::Authorised | State::Captured | State::Refunded => Authorised::Approved,
                    State::Declined | State::Void => Authorised::Declined,
                };
                Box::new(move || {
                    // Whoever asked may be gone.
                    let _ = reply.send(approved);
                })
            }
            Request::Capture(ask, reply) => {
                let state = self.accounts.get(&ask.payment).map(|account| account.state);
                if state == Some(State::Authorised) {
                    self.enter(ask, State::Captured);
                }
                let closed = self.closed(ask.payment);
                Box::new(move || {
                    // Whoever asked may be gone.
                    let _ = reply.send(closed);
                })
            }
            Request::Close(payment, reply) => {
                match self.accounts.get(&payment).copied() {
                    Some(account) if account.state == State::Authorised => {
                        self.note(payment, &account, State::Void, account.amount);
                        self.accounts.insert(
                            payment,
                            Account {
                                state: State::Void,
                                ..account
                            },
                        );
                    }
                    Some(_) => {}
                    None => self.enter(never_asked(payment), State::Void),
                }
                let closed = self.closed(payment);
                Box::new(move || {
                    // Whoever asked may be gone.
                    let _ = reply.send(closed);
                })
            }
            Request::Refund(payment, total, reply) => {
                let mut refunded = Money::ZERO;
                if let Some(mut account) = self.accounts.get(&payment).copied() {
                    let most = total.min(account.amount);
                    if account.state == State::Captured && most > account.refunded {
                        account.refunded = most;
                        self.note(payment, &account, State::Refunded, most);
                        self.accounts.insert(payment, account);
                    }
                    refunded = account.refunded;
                }
                Box::new(move || {
                    // Whoever asked may be gone.
                    let _ = reply.send(refunded);
                })
            }
        }
    }

    fn closed(&self, payment: PaymentRef) -> Closed {
        match self.accounts.get(&payment) {
            Some(Account {
                state: State::Captured,
                amount,
                ..
            }) => Closed::Captured { amount: *amount },
            _ => Closed::Void,
        }
    }
}

/// A payment that is closed before it was ever asked for must stay closed.
fn never_asked(payment: PaymentRef) -> Ask {
    Ask {
        payment,
        order: OrderId(0),
        amount: Money::ZERO,
        currency: Currency::EUR,
    }
}

fn read_facts(path: &Path, file: &File) -> Result<(Vec<Fact>, u64), SandboxError> {
    let mut reader = BufReader::new(file);
    let (mut facts, mut whole, mut line) = (Vec::new(), 0, Vec::new());
    loop {
        line.clear();
        let read = reader
            .read_until(b'\n', &mut line)
            .map_err(|source| SandboxError::Io {
                doing: "read",
                path: path.to_owned(),
                source,
            })?;
        if read == 0 || line.last() != Some(&b'\n') {
            return Ok((facts, whole));
        }
        let fact = serde_json::from_slice(&line).map_err(|error| SandboxError::Malformed {
            path: path.to_owned(),
            line: facts.len() + 1,
            why: error.to_string(),
        })?;
        facts.push(fact);
        whole += read as u64;
    }
}

/// The facts of a ledger, for auditors.
pub fn read_ledger(path: &Path) -> Result<Vec<Fact>, SandboxError> {
    let io = |source| SandboxError::Io {
        doing: "open",
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(io)?;
    Ok(read_facts(path, &file)?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(n: u128) -> Ask {
        let order = OrderId(1 << 44 | n as u64);
        Ask {
            payment: PaymentRef(n),
            order,
            amount: Money(500),
            currency: Currency::EUR,
        }
    }

    fn wait<T>(pending: Pending<T>) -> Result<T, Unknown> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        runtime.expect("a runtime").block_on(pending)
    }

    #[test]
    fn a_capture_survives_and_a_void_payment_stays_void() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("payments/sandbox.jsonl");
        let options = SandboxOptions {
            delay: Duration::ZERO,
            ..SandboxOptions::default()
        };
        let bank = Sandbox::open(&path, options).unwrap();
        assert_eq!(wait(bank.authorise(ask(1))), Ok(Authorised::Approved));
        assert_eq!(
            wait(bank.capture(ask(1))),
            Ok(Closed::Captured { amount: Money(500) })
        );
        assert_eq!(wait(bank.close(PaymentRef(2))), Ok(Closed::Void));
        assert_eq!(
            wait(bank.authorise(ask(2))),
            Ok(Authorised::Declined),
            "closed before asked"
        );
        assert_eq!(wait(bank.refund(PaymentRef(1), Money(200))), Ok(Money(200)));
        drop(bank);
        // A torn line at the end was never answered for.
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"payment\":\"00").unwrap();
        let bank = Sandbox::open(&path, options).unwrap();
        assert_eq!(
            wait(bank.close(PaymentRef(1))),
            Ok(Closed::Captured { amount: Money(500) })
        );
        assert_eq!(
            wait(bank.refund(PaymentRef(1), Money(900))),
            Ok(Money(500)),
            "never more"
        );
        assert_eq!(wait(bank.capture(ask(2))), Ok(Closed::Void));
        let facts = read_ledger(&path).unwrap();
        let captured = facts
            .iter()
            .filter(|fact| fact.state == State::Captured)
            .count();
        assert_eq!(captured, 1);
    }

    #[test]
    fn shares_decline_and_fall_silent() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sandbox.jsonl");
        let delay = Duration::ZERO;
        let options = SandboxOptions {
            delay,
            decline_share: 0.5,
            silent_share: 0.5,
            unavailable_share: 0.0,
        };
        let bank = Sandbox::open(&path, options).unwrap();
        let (mut declined, mut silent) = (0, 0);
        for n in 1..200 {
            let n = n * 0x1234_5678_9abc_def1;
            match wait(bank.authorise(ask(n))) {
                Ok(Authorised::Approved) => {
                    silent += u32::from(wait(bank.capture(ask(n))).is_err())
                }
                other => declined += u32::from(other == Ok(Authorised::Declined)),
            }
        }
        assert!((60..140).contains(&declined), "{declined} of 199 declined");
        assert!((20..80).contains(&silent), "{silent} of about 100 silent");
    }
}
