//! What a buyer does next: the small state machine behind every request.
//!
//! A buyer who got an order pays, cancels or forgets it; one whose request was never answered
//! asks again under the same key. Nothing here knows sockets: requests are composed as bytes and
//! answers come in whole.

use crate::answers::{HeldAnswer, Meaning, broken_end, broken_label, meaning};
use crate::client::{Answer, Broken};
use crate::limits;
use crate::load::{Load, Session};
use crate::plan::Fate;
use crate::receipts::{Got, Receipt, Unanswered, order_key, payment_key, return_key};
use crate::task::{Ask, Task};
use std::fmt::Write as _;
use std::io::Write as _;

/// How far a basket has come.
#[derive(Clone, Debug, Default)]
pub struct Purchase {
    pub asked: bool,
    pub held: Option<HeldAnswer>,
    pub refused: bool,
    pub turned_away: bool,
    pub paid: bool,
    pub payment_refused: bool,
    pub cancelled: bool,
    /// The payment or cancellation has been planned: a repeated answer must not plan it twice.
    followed: bool,
    /// The number of the payment's key.
    payment: u8,
    polls: u8,
    /// Units are asked back as soon as it is paid.
    return_waits: Vec<u32>,
}

impl Load {
    /// An arrival of the plan: buyers without a session sign in first.
    pub(crate) fn arrive(&mut self, task: Task) {
        match task.ask {
            Ask::SignIn(buyer) => {
                let buyer = &mut self.buyers[buyer as usize];
                if buyer.session == Session::None {
                    buyer.session = Session::Asked;
                    self.send(task);
                } else {
                    // Signed in by an order that came earlier: looks at the hall instead.
                    self.send(Task {
                        ask: Ask::Hall,
                        ..task
                    });
                }
            }
            Ask::Order(basket) => {
                self.purchases[basket as usize].asked = true;
                self.with_session(task, self.plan.baskets[basket as usize].buyer);
            }
            Ask::Return(plan) => {
                let basket = self.plan.returns[plan as usize].basket;
                let purchase = &mut self.purchases[basket as usize];
                if purchase.paid {
                    self.send(task);
                } else {
                    purchase.return_waits.push(plan);
                    self.measured.in_time += 1;
                }
            }
            Ask::Hall | Ask::Page(_) | Ask::Product(_) | Ask::Pay(_) | Ask::Cancel(_) => {
                self.send(task);
            }
        }
    }

    /// Sends `task` now if the buyer has a session, else the sign-in in its place.
    fn with_session(&mut self, task: Task, buyer: u32) {
        let state = &mut self.buyers[buyer as usize];
        match state.session {
            Session::Token(_) => self.send(task),
            Session::Asked => {
                state.waiting.push(task);
            }
            Session::None => {
                state.session = Session::Asked;
                // The arrival is the sign-in; the order follows from its answer.
                state.waiting.push(Task {
                    arrival: false,
                    ..task
                });
                self.send(Task {
                    ask: Ask::SignIn(buyer),
                    ..task
                });
            }
        }
    }

    /// Writes the request of `ask` into `out`.
    pub(crate) fn compose(&self, ask: Ask, out: &mut Vec<u8>) {
        let result = match ask {
            Ask::SignIn(buyer) => {
                let run = &self.receipts.run;
                let token = self.target.issuer.token(&format!("{run}-{buyer}"));
                self.post(
                    out,
                    "/v1/session",
                    None,
                    None,
                    &format!(r#"{{"token":"{token}"}}"#),
                )
            }
            Ask::Hall => self.get(out, "/"),
            Ask::Page(product) => self.get(out, &format!("/p/{}", self.sku(product))),
            Ask::Product(product) => self.get(out, &format!("/v1/products/{}", self.sku(product))),
            Ask::Order(basket) => {
                let key = order_key(&self.receipts.run, basket);
                let buyer = self.plan.baskets[basket as usize].buyer;
                self.post(
                    out,
                    "/v1/orders",
                    Some(&key),
                    Some(buyer),
                    &self.order_body(basket),
                )
            }
            Ask::Pay(basket) => self.compose_payment(basket, out),
            Ask::Cancel(basket) => {
                let order = self.order_text(basket);
                let buyer = self.plan.baskets[basket as usize].buyer;
                self.post(
                    out,
                    &format!("/v1/orders/{order}/cancel"),
                    None,
                    Some(buyer),
                    "{}",
                )
            }
            Ask::Return(plan) => self.compose_return(plan, out),
        };
        // Writing to a vector cannot fail.
        debug_assert!(result.is_ok());
    }

    fn sku(&self, product: u32) -> &str {
        &self.plan.products[product as usize].sku
    }
    fn order_text(&self, basket: u32) -> String {
        let held = self.purchases[basket as usize].held;
        held.map(|held| held.order.to_string()).unwrap_or_default()
    }

    fn order_body(&self, basket: u32) -> String {
        let basket = &self.plan.baskets[basket as usize];
        let mut body = String::with_capacity(64 * basket.lines.len() + 64);
        body.push_str(r#"{"lines":["#);
        for (index, (product, units)) in basket.lines.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            let sku = serde_json::Value::from(self.sku(*product));
            // Writing to a string cannot fail.
            _ = write!(body, r#"{comma}{{"sku":{sku},"quantity":{units}}}"#);
        }
        body.push(']');
        if let Some(coupon) = basket.coupon {
            let code = serde_json::Value::from(self.plan.coupons[coupon as usize].as_str());
            _ = write!(body, r#","coupon":{code}"#);
        }
        body.push('}');
        body
    }

    fn compose_payment(&self, basket: u32, out: &mut Vec<u8>) -> std::io::Result<()> {
        let purchase = &self.purchases[basket as usize];
        let Some(held) = purchase.held else {
            return Ok(());
        };
        let (total, currency) = (held.total, held.currency);
        let body = format!(r#"{{"amount":{{"amount":{total},"currency":"{currency}"}}}}"#);
        let key = payment_key(&self.receipts.run, basket, purchase.payment);
        let buyer = self.plan.baskets[basket as usize].buyer;
        let path = format!("/v1/orders/{}/payment", held.order);
        self.post(out, &path, Some(&key), Some(buyer), &body)
    }

    fn compose_return(&self, index: u32, out: &mut Vec<u8>) -> std::io::Result<()> {
        let plan = &self.plan.returns[index as usize];
        let lines: Vec<serde_json::Value> = plan
            .lines
            .iter()
            .map(|(line, units)| serde_json::json!({"line": line, "quantity": units}))
            .collect();
        let body = serde_json::json!({ "lines": lines }).to_string();
        let key = return_key(&self.receipts.run, index);
        let order = self.order_text(plan.basket);
        write!(
            out,
            "POST /operator/orders/{order}/returns HTTP/1.1\r\nHost: {}\r\n\
             Authorization: Bearer {}\r\nIdempotency-Key: {key}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.target.admin,
            self.target.operator_token,
            body.len(),
        )
    }

    fn get(&self, out: &mut Vec<u8>, path: &str) -> std::io::Result<()> {
        let host = self.target.shop;
        write!(
            out,
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept-Encoding: br, gzip\r\n\r\n"
        )
    }

    fn post(
        &self,
        out: &mut Vec<u8>,
        path: &str,
        key: Option<&str>,
        buyer: Option<u32>,
        body: &str,
    ) -> std::io::Result<()> {
        write!(
            out,
            "POST {path} HTTP/1.1\r\nHost: {}\r\n",
            self.target.shop
        )?;
        if let Some(buyer) = buyer
            && let Session::Token(token) = &self.buyers[buyer as usize].session
        {
            write!(out, "Authorization: Bearer {token}\r\n")?;
        }
        if let Some(key) = key {
            write!(out, "Idempotency-Key: {key}\r\n")?;
        }
        let length = body.len();
        write!(
            out,
            "Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )
    }

    /// An answer came; what it means decides what comes next.
    pub(crate) fn on_answer(&mut self, task: Task, answer: &Answer) {
        let now = self.now_us();
        let class = task.ask.class();
        let in_kill = self.shared.in_kill(task.planned_us, now);
        self.measured.record(class, task.planned_us, now, in_kill);
        let meaning = meaning(class, answer);
        let end = meaning.end();
        self.measured.ended(class, end, task.planned_us, now);
        match meaning {
            Meaning::Session { token, buyer } => {
                self.measured.second(now).seen += 1;
                self.on_session(task, token, buyer);
            }
            Meaning::Seen => self.measured.second(now).seen += 1,
            Meaning::Held(held) => self.on_held(task, held, now),
            Meaning::Paid { payment } => self.on_paid(task, payment, now),
            Meaning::Pending => self.on_pending(task, now),
            Meaning::Cancelled => self.on_cancelled(task, now),
            Meaning::Returned => self.on_returned(task, None, now),
            Meaning::Refused { code, sku } => self.on_refused(task, &code, sku, now),
            Meaning::TurnedAway {
                code,
                retry_after_s,
            } => {
                self.measured.turn_away(&code, now, in_kill);
                if let Ask::Order(basket) = task.ask {
                    self.receipt(task, basket, Got::Refused { code, sku: None }, now);
                }
                self.on_turned_away(task, retry_after_s, now);
            }
            Meaning::Unknown => {
                self.measured.error("500 outcome_unknown", now, in_kill);
                self.no_answer(task, now);
                self.again(task, now);
            }
            Meaning::NoSession => self.on_no_session(task, now, in_kill),
            Meaning::Wrong { label } => {
                let label = format!("{class:?}: {label}").to_lowercase();
                self.measured.error(&label, now, in_kill);
                self.no_answer(task, now);
                self.give_up(task);
            }
        }
    }

    /// No answer came. Pages are not asked for again; everything else is, under the same key.
    pub(crate) fn on_broken(&mut self, task: Task, broken: Broken) {
        let now = self.now_us();
        let in_kill = self.shared.in_kill(task.planned_us, now);
        self.measured.error(broken_label(broken), now, in_kill);
        let (class, end) = (task.ask.class(), broken_end(broken));
        self.measured.ended(class, end, task.planned_us, now);
        if broken != Broken::Refused {
            self.no_answer(task, now);
        }
        match task.ask {
            Ask::Hall | Ask::Page(_) | Ask::Product(_) => {}
            _ => self.again(task, now),
        }
    }

    /// Asks again under the same key after a pause, unless that was done often enough.
    fn again(&mut self, task: Task, now: u64) {
        if task.attempt + 1 >= limits::ATTEMPTS_MAX {
            return self.give_up(task);
        }
        let pause = (limits::RETRY_MS_MIN << task.attempt.min(8)).min(limits::RETRY_MS_MAX);
        let pause_us = self.rng.between(pause * 500, pause * 1_000);
        self.later(
            now + pause_us,
            Task {
                attempt: task.attempt + 1,
                ..task
            },
        );
    }

    /// The buyer never learns the answer.
    pub(crate) fn give_up(&mut self, task: Task) {
        let unanswered = match task.ask {
            Ask::Order(basket) => Unanswered::Order { basket },
            Ask::Pay(basket) => Unanswered::Payment { basket },
            Ask::Cancel(basket) => Unanswered::Cancel { basket },
            Ask::Return(plan) => Unanswered::Return { plan },
            Ask::SignIn(buyer) => {
                let state = &mut self.buyers[buyer as usize];
                state.session = Session::None;
                for waiting in std::mem::take(&mut state.waiting) {
                    self.give_up(waiting);
                }
                return;
            }
            Ask::Hall | Ask::Page(_) | Ask::Product(_) => return,
        };
        self.receipts.unanswered.push(unanswered);
    }

    fn on_session(&mut self, task: Task, token: String, opaque: String) {
        let Ask::SignIn(buyer) = task.ask else { return };
        self.receipts.buyers[buyer as usize] = opaque;
        let state = &mut self.buyers[buyer as usize];
        state.session = Session::Token(token);
        for waiting in std::mem::take(&mut state.waiting) {
            self.send(waiting);
        }
    }

    fn on_no_session(&mut self, task: Task, now: u64, in_kill: bool) {
        self.measured.error("401 unauthenticated", now, in_kill);
        let basket = match task.ask {
            Ask::Order(basket) | Ask::Pay(basket) | Ask::Cancel(basket) => basket,
            _ => return self.give_up(task),
        };
        if task.attempt + 1 >= limits::ATTEMPTS_MAX {
            return self.give_up(task);
        }
        let buyer = self.plan.baskets[basket as usize].buyer;
        if matches!(self.buyers[buyer as usize].session, Session::Token(_)) {
            self.buyers[buyer as usize].session = Session::None;
        }
        let task = Task {
            attempt: task.attempt + 1,
            arrival: false,
            ..task
        };
        self.with_session(task, buyer);
    }

    fn receipt(&mut self, task: Task, basket: u32, got: Got, now: u64) {
        let (sent_ms, answered_ms) = (self.wall_ms(task.sent_us), self.wall_ms(now));
        self.receipts.answers.push(Receipt {
            basket,
            got,
            sent_ms,
            answered_ms,
        });
    }

    /// Notes that an attempt has no answer: the audit must know that it may have happened.
    fn no_answer(&mut self, task: Task, now: u64) {
        let (basket, got) = match task.ask {
            Ask::Order(basket) => (basket, Got::NoAnswer),
            Ask::Pay(basket) => {
                let Some(held) = self.purchases[basket as usize].held else {
                    return;
                };
                (
                    basket,
                    Got::NoPaymentAnswer {
                        order: held.order,
                        amount: held.total.0,
                    },
                )
            }
            _ => return,
        };
        self.receipt(task, basket, got, now);
    }

    fn on_held(&mut self, task: Task, held: HeldAnswer, now: u64) {
        let Ask::Order(basket) = task.ask else { return };
        self.receipt(task, basket, Got::Held(held), now);
        let plan = &self.plan.baskets[basket as usize];
        let purchase = &mut self.purchases[basket as usize];
        if purchase.held.is_some() {
            return;
        }
        purchase.held = Some(held);
        self.measured.held(now);
        let due = now + u64::from(plan.think_ms) * 1_000;
        let ask = match plan.fate {
            Fate::Abandon => return,
            Fate::Pay => Ask::Pay(basket),
            Fate::Cancel => Ask::Cancel(basket),
        };
        if !std::mem::replace(&mut purchase.followed, true) {
            self.later(due, Task::following(due, ask));
        }
    }

    fn on_paid(&mut self, task: Task, payment: String, now: u64) {
        let Ask::Pay(basket) = task.ask else { return };
        let purchase = &mut self.purchases[basket as usize];
        let Some(held) = purchase.held else { return };
        let first = !std::mem::replace(&mut purchase.paid, true);
        let waits = std::mem::take(&mut purchase.return_waits);
        if first {
            self.measured.paid(now);
        }
        let amount = held.total.0;
        self.receipt(
            task,
            basket,
            Got::Paid {
                order: held.order,
                payment,
                amount,
            },
            now,
        );
        for plan in waits {
            self.later(now, Task::following(now, Ask::Return(plan)));
        }
    }

    fn on_pending(&mut self, task: Task, now: u64) {
        let Ask::Pay(basket) = task.ask else { return };
        let purchase = &mut self.purchases[basket as usize];
        purchase.polls += 1;
        if purchase.polls >= limits::PENDING_POLLS_MAX {
            return self.give_up(task);
        }
        let due = now + limits::PENDING_POLL_MS * 1_000;
        self.later(due, Task::following(due, task.ask));
    }

    fn on_cancelled(&mut self, task: Task, now: u64) {
        let Ask::Cancel(basket) = task.ask else {
            return;
        };
        let purchase = &mut self.purchases[basket as usize];
        let Some(held) = purchase.held else { return };
        purchase.cancelled = true;
        self.receipt(task, basket, Got::Cancelled { order: held.order }, now);
    }

    fn on_returned(&mut self, task: Task, code: Option<&str>, now: u64) {
        let Ask::Return(plan) = task.ask else { return };
        let basket = self.plan.returns[plan as usize].basket;
        let Some(held) = self.purchases[basket as usize].held else {
            return;
        };
        let order = held.order;
        let got = match code {
            None => Got::Returned { order },
            Some(code) => Got::ReturnRefused {
                order,
                code: code.to_owned(),
            },
        };
        self.receipt(task, plan, got, now);
    }

    fn on_refused(&mut self, task: Task, code: &str, sku: Option<String>, now: u64) {
        self.measured.refuse(code, now);
        match task.ask {
            Ask::Order(basket) => {
                self.purchases[basket as usize].refused = true;
                self.receipt(
                    task,
                    basket,
                    Got::Refused {
                        code: code.to_owned(),
                        sku,
                    },
                    now,
                );
            }
            Ask::Pay(basket) => self.on_payment_refused(task, basket, code, now),
            Ask::Return(_) => self.on_returned(task, Some(code), now),
            // The hold ended before the buyer cancelled it.
            Ask::Cancel(_) | Ask::SignIn(_) | Ask::Hall | Ask::Page(_) | Ask::Product(_) => {}
        }
    }

    fn on_payment_refused(&mut self, task: Task, basket: u32, code: &str, now: u64) {
        let purchase = &mut self.purchases[basket as usize];
        let Some(held) = purchase.held else { return };
        let order = held.order;
        purchase.payment += 1;
        let again = code == "payment_declined" && purchase.payment < limits::PAYMENTS_PER_ORDER_MAX;
        purchase.payment_refused = !again;
        self.receipt(
            task,
            basket,
            Got::PaymentRefused {
                order,
                code: code.to_owned(),
            },
            now,
        );
        if again {
            // Another card, another key.
            let due = now + limits::DECLINED_PAUSE_MS * 1_000;
            self.later(due, Task::following(due, task.ask));
        }
    }

    fn on_turned_away(&mut self, task: Task, retry_after_s: Option<u32>, now: u64) {
        if let Ask::Order(basket) = task.ask {
            self.purchases[basket as usize].turned_away = true;
        }
        let paying = matches!(task.ask, Ask::Pay(_) | Ask::Cancel(_) | Ask::Return(_));
        let most = if paying {
            limits::ATTEMPTS_MAX
        } else {
            limits::TURNED_AWAY_ATTEMPTS_MAX
        };
        if matches!(task.ask, Ask::Hall | Ask::Page(_) | Ask::Product(_)) {
            return;
        }
        if task.attempt + 1 >= most {
            return self.give_up(task);
        }
        let seconds = u64::from(retry_after_s.unwrap_or(1).clamp(1, 10));
        let jitter = self.rng.below(500_000);
        let due = now + seconds * 1_000_000 + jitter;
        self.later(
            due,
            Task {
                attempt: task.attempt + 1,
                ..task
            },
        );
    }
}
