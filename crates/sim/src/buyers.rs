//! Buyers and operators: they ask twice at once, hang up, come back after a crash with the same
//! request id, change their mind under the same id, and write down every answer.

use crate::flight::{Errand, Flight};
use crate::limits::TRIES_MAX;
use crate::world::World;
use audit::{Answer, CancelAnswer, Cancellation, Code, Receipt, outcome_name};
use engine::Reply;
use sale::{
    At, BuyerId, Command, CouponId, CouponTerms, Currency, Line, LineIndex, Millis, Money, OrderId,
    Outcome, Place, Qty, RequestId, SkuId, SkuTerms, Text, UnitDelta, Windows,
};
use std::num::NonZeroU32;

pub(crate) const BUYERS: u64 = 7;
const SKUS: u64 = 4;
const COUPONS: u64 = 2;
/// The windows of every seed: short, so that forgetting happens inside a run.
pub(crate) const WINDOW_MS: u64 = 1_000;

/// One thing that a buyer wants, under one request id.
#[derive(Debug)]
pub(crate) struct Wish {
    pub place: Place,
    /// Attempts under way that the buyer waits for.
    pub outstanding: u32,
    tries: u32,
    pub order: Option<(OrderId, Money)>,
    /// The last attempt has no answer, so it must be asked again.
    unknown: bool,
    pub paying: bool,
    cancelling: bool,
    left: bool,
}

impl Wish {
    pub fn is_done(&self) -> bool {
        self.outstanding == 0 && !self.unknown && !self.cancelling
    }
}

/// An operator's adjustment or return.
#[derive(Debug)]
pub(crate) struct Act {
    pub command: Command,
    pub request: RequestId,
    pub outstanding: u32,
    pub answer: Option<Outcome>,
    /// The payment that a return gives money back for.
    pub pay: Option<usize>,
}

impl Act {
    pub fn is_done(&self) -> bool {
        self.outstanding == 0 && self.answer.is_some()
    }
}

impl World {
    /// Some buyer does the next thing.
    pub(crate) fn buyer_acts(&mut self) {
        if self.set_up < SET_UP {
            return self.set_up_next();
        }
        let buyer = self.dice.place(self.following.len());
        let roll = self.dice.below(100);
        if self.draining || roll < 4 {
            return self.come_back();
        }
        if self.following[buyer].len() < 2 && roll < 60 {
            return self.wish_anew(buyer);
        }
        if self.following[buyer].is_empty() {
            return;
        }
        let at = self.dice.place(self.following[buyer].len());
        let wish = self.following[buyer][at];
        self.go_on(wish);
        if self.wishes[wish].left {
            self.following[buyer].retain(|w| *w != wish);
        }
    }

    fn wish_anew(&mut self, buyer: usize) {
        let place = self.wish_for(buyer);
        let wish = self.wishes.len();
        self.wishes.push(Wish {
            place,
            outstanding: 0,
            tries: 0,
            order: None,
            unknown: false,
            paying: false,
            cancelling: false,
            left: false,
        });
        self.following[buyer].push(wish);
        let copies = match self.dice.below(100) {
            0..=69 => 1,
            70..=94 => 2,
            _ => 3,
        };
        self.trace
            .count("(sent twice at once)", u64::from(copies > 1));
        for _ in 0..copies {
            self.ask(wish);
        }
    }

    fn wish_for(&mut self, buyer: usize) -> Place {
        let line = |world: &mut World| {
            let sku = match world.dice.below(100) {
                0..=59 => 0,
                60..=79 => 1,
                80..=98 => world.dice.below(SKUS),
                _ => 99,
            };
            let qty = match world.dice.below(100) {
                0..=79 => 1,
                80..=98 => 2,
                _ => 0,
            };
            Line {
                sku: SkuId(sku as u32),
                qty: Qty(qty),
            }
        };
        let mut lines = vec![line(self)];
        if self.dice.percent(20) {
            let mut second = line(self);
            if second.sku == lines[0].sku && !self.dice.percent(5) {
                second.sku = SkuId(3);
            }
            lines.push(second);
        }
        let coupon = match self.dice.below(100) {
            0..=39 => Some(CouponId(self.dice.below(COUPONS) as u32)),
            40 => Some(CouponId(77)),
            _ => None,
        };
        Place {
            request: RequestId(self.name()),
            buyer: BuyerId(buyer as u128 + 1),
            lines: lines.into(),
            coupon,
        }
    }

    fn ask(&mut self, wish: usize) {
        let place = self.wishes[wish].place.clone();
        self.wishes[wish].outstanding += 1;
        self.wishes[wish].tries += 1;
        self.wishes[wish].unknown = false;
        self.send(Errand::Place { wish, odd: false }, Command::Place(place));
    }

    fn go_on(&mut self, id: usize) {
        let roll = self.dice.below(100);
        let wish = &mut self.wishes[id];
        match wish.order {
            Some(order) => match roll {
                0..=34 if !wish.paying => self.pay(id, order),
                35..=44 if !wish.cancelling => {
                    wish.cancelling = true;
                    self.send(
                        Errand::Cancel { wish: id },
                        Command::Cancel { order: order.0 },
                    );
                }
                45..=59 => self.ask(id),
                60..=64 => self.ask_oddly(id),
                65..=79 => wish.left = true,
                _ => {}
            },
            None if wish.outstanding > 0 => match roll {
                0..=19 if wish.tries < TRIES_MAX => self.ask(id),
                20..=27 => self.hang_up(id),
                _ => {}
            },
            None if wish.unknown => self.ask(id),
            None if wish.tries < TRIES_MAX && roll < 60 => self.ask(id),
            None => wish.left = true,
        }
    }

    /// Same id, other content: nobody may be served that.
    fn ask_oddly(&mut self, id: usize) {
        let mut place = self.wishes[id].place.clone();
        place.coupon = place.coupon.is_none().then_some(CouponId(0));
        self.wishes[id].outstanding += 1;
        self.send(
            Errand::Place {
                wish: id,
                odd: true,
            },
            Command::Place(place),
        );
    }

    /// The buyer stops waiting: for him it may or may not have happened.
    fn hang_up(&mut self, id: usize) {
        self.trace.count("(client hung up)", 1);
        let now = self.now;
        for flight in self.net.flights.values_mut() {
            if let Errand::Place { wish, odd } = flight.errand
                && wish == id
                && !flight.hung_up
            {
                flight.hung_up = true;
                self.wishes[id].outstanding -= 1;
                self.wishes[id].unknown |= !odd;
                self.receipts.extend(receipt(flight, Answer::Unknown, now));
            }
        }
    }

    /// Somebody returns to an old wish: to ask what became of it, or because nothing was answered.
    fn come_back(&mut self) {
        if self.wishes.is_empty() {
            return;
        }
        if self.draining {
            let open = |wish: &Wish| wish.unknown && wish.outstanding == 0;
            if let Some(wish) = self.wishes.iter().position(open) {
                self.ask(wish);
            }
            return;
        }
        let wish = self.dice.place(self.wishes.len());
        if self.wishes[wish].outstanding == 0 {
            self.ask(wish);
        }
    }

    pub(crate) fn placed(&mut self, flight: Flight, id: usize, odd: bool, reply: Option<Reply>) {
        if flight.hung_up {
            return;
        }
        let answer = match reply {
            None => Answer::Unknown,
            Some(Err(_)) => Answer::Refused {
                code: Code::NotAsked,
                sku: None,
            },
            Some(Ok(answer)) => answer_of(&answer.outcome),
        };
        self.receipts.extend(receipt(&flight, answer, self.now));
        let wish = &mut self.wishes[id];
        wish.outstanding -= 1;
        match answer {
            Answer::Unknown => wish.unknown |= !odd,
            Answer::Accepted { order, total, .. } => wish.order = Some((order, total)),
            Answer::Refused { .. } => {}
        }
    }

    pub(crate) fn cancelled(&mut self, id: usize, reply: Option<Reply>) {
        let wish = &mut self.wishes[id];
        wish.cancelling = false;
        let Some((order, _)) = wish.order else { return };
        let answer = match reply {
            None => CancelAnswer::Unknown,
            Some(Ok(answer)) if answer.outcome == Outcome::Cancelled => CancelAnswer::Cancelled,
            Some(_) => CancelAnswer::Refused,
        };
        self.cancellations.push(Cancellation { order, answer });
    }

    /// Deliveries, returns, doors that open and close; each under an id of its own, and again
    /// until it is answered.
    pub(crate) fn operator_acts(&mut self) {
        let open = |act: &Act| act.outstanding == 0 && act.answer.is_none();
        if let Some(act) = self.acts.iter().position(open) {
            return self.send_act(act);
        }
        if self.draining || self.set_up < SET_UP {
            return;
        }
        let sku = SkuId(self.dice.below(3) as u32);
        match self.dice.below(100) {
            0..=19 => self.adjust(sku),
            20..=49 => self.take_back(),
            50..=64 if !self.acts.is_empty() => {
                let act = self.dice.place(self.acts.len());
                self.send_act(act);
            }
            65 => {
                self.send(Errand::Stray, Command::CloseSku { sku });
            }
            66..=79 => {
                self.send(Errand::Stray, Command::OpenSku { sku });
            }
            80..=82 => {
                let terms = terms(self.dice.below(3), self.now);
                self.send(Errand::Stray, Command::SetTerms { sku, terms });
            }
            _ => {}
        }
    }

    fn adjust(&mut self, sku: SkuId) {
        let delta = match self.dice.below(10) {
            0..=3 => -1 - self.dice.below(3) as i64,
            4 => 0,
            _ => 1 + self.dice.below(3) as i64,
        };
        let request = RequestId(self.name());
        let reason = text("counted again");
        let command = Command::AdjustStock {
            request,
            sku,
            delta: UnitDelta(delta),
            reason,
        };
        self.act(request, command, None);
    }

    fn take_back(&mut self) {
        let paid: Vec<usize> = (0..self.pays.len())
            .filter(|p| self.pays[*p].is_paid())
            .collect();
        if paid.is_empty() {
            return;
        }
        let pay = paid[self.dice.place(paid.len())];
        let request = RequestId(self.name());
        let lines = vec![(LineIndex(self.dice.below(2) as u16), Qty(1))];
        let command = Command::Return {
            request,
            order: self.pays[pay].order,
            lines,
        };
        self.act(request, command, Some(pay));
    }

    fn act(&mut self, request: RequestId, command: Command, pay: Option<usize>) {
        self.acts.push(Act {
            command,
            request,
            outstanding: 0,
            answer: None,
            pay,
        });
        self.send_act(self.acts.len() - 1);
    }

    fn send_act(&mut self, act: usize) {
        self.acts[act].outstanding += 1;
        let command = self.acts[act].command.clone();
        self.send(Errand::Act { act }, command);
    }

    pub(crate) fn act_answered(&mut self, id: usize, reply: Option<Reply>) {
        let act = &mut self.acts[id];
        act.outstanding -= 1;
        let Some(Ok(answer)) = reply else { return };
        let first = act.answer.replace(answer.outcome).is_none();
        if matches!(
            answer.outcome,
            Outcome::Adjusted { .. } | Outcome::Returned { .. }
        ) {
            self.act_answers
                .push((act.request, answer.at, answer.outcome));
        }
        if let (true, Outcome::Returned { refund, .. }, Some(pay)) =
            (first, answer.outcome, act.pay)
        {
            self.owe(pay, refund);
        }
    }
}

fn receipt(flight: &Flight, answer: Answer, now: u64) -> Option<Receipt> {
    let Command::Place(place) = &flight.command else {
        return None;
    };
    Some(Receipt {
        request: place.request,
        buyer: place.buyer,
        lines: place.lines.clone(),
        coupon: place.coupon,
        answer,
        sent_at: At(flight.sent_at),
        answered_at: At(now),
    })
}

/// What the buyer reads.
fn answer_of(outcome: &Outcome) -> Answer {
    let sku = match outcome {
        Outcome::Held(held) | Outcome::Replayed(held) => {
            let (order, total, pay_by) = (held.order, held.total, held.pay_by);
            return Answer::Accepted {
                order,
                total,
                pay_by,
            };
        }
        Outcome::SoldOut { sku, .. } => Some(*sku),
        _ => None,
    };
    let code = match outcome {
        Outcome::Malformed(_) => Code::Malformed,
        other => Code::parse(outcome_name(other)),
    };
    Answer::Refused { code, sku }
}

fn text(text: &str) -> Text {
    Text::new(text).expect("a short text")
}

/// Four SKUs: two hot ones, one with a limit of one that opens later, one with enough for all.
fn terms(sku: u64, now: u64) -> SkuTerms {
    SkuTerms {
        price: Money([1_999, 250, 999, 10][sku as usize]),
        currency: Currency::EUR,
        buyer_limit: NonZeroU32::new([3, 0, 1, 0][sku as usize]),
        opens: At(if sku == 2 { now + 200 } else { 0 }),
        closes: None,
        hold: Millis([300, 160, 400, 500][sku as usize]),
    }
}

const SET_UP: usize = 1 + SKUS as usize + COUPONS as usize;

impl World {
    /// The shop is furnished one command after the other, each until it is answered.
    fn set_up_next(&mut self) {
        if self.setting_up {
            return;
        }
        self.setting_up = true;
        let step = self.set_up as u64;
        let window = Millis(WINDOW_MS);
        let command = match step {
            0 => {
                let windows = Windows {
                    remember: window,
                    returns: window,
                };
                Command::Configure {
                    cell: (self.seed % 1_024) as u16,
                    windows,
                }
            }
            1..=SKUS => {
                let sku = step - 1;
                let stock = Qty([8, 6, 5, 40][sku as usize]);
                let code = text(["hot", "warm", "late", "plenty"][sku as usize]);
                Command::ListSku {
                    code,
                    stock,
                    terms: terms(sku, self.now),
                }
            }
            _ => {
                let coupon = step - 1 - SKUS;
                let terms = CouponTerms {
                    quota: Qty([2, 5][coupon as usize]),
                    amount_off: Money([100, 5][coupon as usize]),
                    currency: Currency::EUR,
                    minimum_total: Money([200, 6][coupon as usize]),
                };
                Command::CreateCoupon {
                    code: text(["few", "some"][coupon as usize]),
                    terms,
                }
            }
        };
        self.send(Errand::SetUp, command);
    }
}
