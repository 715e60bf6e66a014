//! The slow, obvious model of docs/rules.md: one plain struct, nothing is ever thrown away (a
//! forgotten order is an order with a flag), every rule is a few lines in the order of the page.
//! Sums run along so that a journal of millions can be audited; [`Model::recount`] says what they
//! must be, from the orders alone, and tests compare the two after every entry.
//!
//! It must not know how `sale::Ledger` does the same.

mod names;
mod payment;
mod place;
mod returns;
mod tally;
mod tick;

pub use names::outcome_name;
pub use tally::Tally;

use sale::{
    At, Books, BuyerId, Command, CouponId, CouponTerms, Currency, Entry, Held, Money, OrderId,
    Outcome, PaymentRef, Qty, Reason, RequestId, SkuId, SkuTerms, Text, UnitDelta, Windows,
};
use sale::{EndReason, LineIndex, limits};
use std::collections::{BTreeMap, BTreeSet};

/// The whole state of the rules.
#[derive(Clone, Debug, Default)]
pub struct Model {
    cell: u16,
    windows: Windows,
    skus: Vec<Sku>,
    sku_codes: BTreeMap<Text, SkuId>,
    coupons: Vec<CouponTerms>,
    coupon_codes: BTreeMap<Text, CouponId>,
    /// Every order ever accepted; the first has ordinal 1.
    orders: Vec<Order>,
    /// What each remembered request id was accepted as.
    requests: BTreeMap<RequestId, Remembered>,
    /// Holds that run, by deadline, then order number.
    holds: BTreeSet<(At, u64)>,
    /// Ended and paid orders, by the instant at which forgetting is looked at again.
    leaving: BTreeSet<(At, u64)>,
    /// Adjustments and returns, by the instant at which they are forgotten.
    leaving_requests: BTreeSet<(At, RequestId)>,
    tally: Tally,
}

#[derive(Clone, Debug)]
struct Sku {
    terms: SkuTerms,
    /// The operator's close.
    shut: bool,
    stocked: u32,
}

#[derive(Clone, Debug)]
struct Order {
    id: OrderId,
    request: RequestId,
    buyer: BuyerId,
    lines: Vec<OrderLine>,
    coupon: Option<CouponId>,
    currency: Currency,
    total: Money,
    pay_by: At,
    status: Status,
    payments: BTreeMap<PaymentRef, Payment>,
    /// Set once the order is in the queue of those that leave.
    queued: bool,
    forgotten: bool,
}

#[derive(Clone, Copy, Debug)]
struct OrderLine {
    sku: SkuId,
    qty: Qty,
    price: Money,
    returned: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Held,
    Ended { at: At, why: EndReason },
    Paid { at: At, by: PaymentRef },
}

#[derive(Clone, Copy, Debug)]
enum Payment {
    Begun {
        amount: Money,
    },
    Abandoned,
    /// `due` back in all, of which `settled` has gone.
    Confirmed {
        amount: Money,
        answer: Outcome,
        due: Money,
        settled: Money,
    },
}

#[derive(Clone, Debug)]
enum Remembered {
    Order {
        ordinal: u64,
    },
    Adjustment {
        sku: SkuId,
        delta: UnitDelta,
        reason: Reason,
        answer: Outcome,
    },
    Return {
        order: OrderId,
        lines: Vec<(LineIndex, Qty)>,
        answer: Outcome,
    },
}

impl Order {
    fn held(&self) -> Held {
        Held {
            order: self.id,
            total: self.total,
            currency: self.currency,
            pay_by: self.pay_by,
        }
    }
}

/// `at` rounded up to a multiple of `grain` milliseconds.
fn round_up(at: At, grain: u64) -> At {
    At(at.0.div_ceil(grain).saturating_mul(grain))
}

/// Forgetting looks at whole seconds.
const FORGET_GRAIN_MS: u64 = 1_000;

impl Model {
    pub fn new() -> Model {
        Model::default()
    }

    /// The answer that the rules give to `entry`, and the change that comes with it.
    pub fn apply(&mut self, entry: &Entry) -> Outcome {
        let at = entry.at;
        match &entry.command {
            Command::Configure { cell, windows } => self.configure(*cell, *windows),
            Command::ListSku { code, stock, terms } => self.list(code, *stock, *terms),
            Command::SetTerms { sku, terms } => self.set_terms(*sku, *terms),
            Command::OpenSku { sku } => self.open(*sku, at),
            Command::CloseSku { sku } => self.close(*sku),
            Command::AdjustStock {
                request,
                sku,
                delta,
                reason,
            } => self.adjust(at, *request, *sku, *delta, reason),
            Command::CreateCoupon { code, terms } => self.create_coupon(code, *terms),
            Command::Place(place) => self.place(at, place),
            Command::BeginPayment {
                order,
                payment,
                amount,
            } => self.begin_payment(*order, *payment, *amount),
            Command::ConfirmPayment {
                order,
                payment,
                amount,
            } => self.confirm_payment(at, *order, *payment, *amount),
            Command::AbandonPayment { order, payment } => self.abandon_payment(*order, *payment),
            Command::SettleRefund {
                order,
                payment,
                amount,
            } => self.settle_refund(*order, *payment, *amount),
            Command::Cancel { order } => self.cancel(at, *order),
            Command::Return {
                request,
                order,
                lines,
            } => self.return_units(at, *request, *order, lines),
            Command::Tick => self.tick(at),
        }
    }

    /// The books of a SKU.
    pub fn books(&self, sku: SkuId) -> Option<Books> {
        let stocked = self.skus.get(sku.0 as usize)?.stocked;
        let held = self.tally.held(sku);
        let sold = self.tally.sold(sku);
        Some(Books {
            stocked: Qty(stocked),
            free: Qty(self.free(sku)),
            held: Qty(held),
            sold: Qty(sold),
        })
    }

    /// Whether a request id belongs to something that is still in memory.
    pub fn remembers(&self, request: RequestId) -> bool {
        self.requests.contains_key(&request)
    }

    /// How many SKUs are listed.
    pub fn sku_count(&self) -> u32 {
        self.skus.len() as u32
    }

    /// The running sums that answers were made with.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The same sums from the orders alone: what [`Model::tally`] must be.
    pub fn recount(&self) -> Tally {
        let mut tally = Tally::default();
        for order in &self.orders {
            match order.status {
                Status::Held => tally.hold(order),
                Status::Ended { .. } => {}
                Status::Paid { .. } => {
                    tally.hold(order);
                    tally.sell(order);
                    for line in &order.lines {
                        tally.give_back(order.buyer, line.sku, line.returned);
                    }
                }
            }
        }
        tally
    }

    fn free(&self, sku: SkuId) -> u32 {
        let stocked = self.skus.get(sku.0 as usize).map_or(0, |s| s.stocked);
        let taken = self.tally.held(sku) + self.tally.sold(sku);
        stocked
            .checked_sub(taken)
            .expect("the model never gives more than there is")
    }

    /// The index of an order that is still in memory.
    fn find(&self, id: OrderId) -> Option<usize> {
        let index = usize::try_from(id.ordinal().checked_sub(1)?).ok()?;
        let order = self.orders.get(index)?;
        (order.id == id && !order.forgotten).then_some(index)
    }

    fn configure(&mut self, cell: u16, windows: Windows) -> Outcome {
        let bounds = limits::WINDOW_MS_MIN..=limits::WINDOW_MS_MAX;
        let fits = cell < limits::CELLS_MAX
            && bounds.contains(&windows.remember.0)
            && bounds.contains(&windows.returns.0);
        let moves = cell != self.cell && !self.orders.is_empty();
        if !fits || moves {
            return Outcome::OutOfBounds;
        }
        self.cell = cell;
        self.windows = windows;
        Outcome::Configured
    }

    fn list(&mut self, code: &Text, stock: Qty, terms: SkuTerms) -> Outcome {
        let stock_fits = stock.0 <= limits::STOCK_UNITS_MAX;
        if !terms_fit(&terms) || !stock_fits || self.skus.len() >= limits::SKUS_MAX {
            return Outcome::OutOfBounds;
        }
        if let Some(sku) = self.sku_codes.get(code) {
            return Outcome::AlreadyListed { sku: *sku };
        }
        let sku = SkuId(self.skus.len() as u32);
        self.skus.push(Sku {
            terms,
            shut: false,
            stocked: stock.0,
        });
        self.sku_codes.insert(code.clone(), sku);
        Outcome::Listed { sku }
    }

    fn set_terms(&mut self, id: SkuId, terms: SkuTerms) -> Outcome {
        let Some(sku) = self.skus.get_mut(id.0 as usize) else {
            return Outcome::UnknownSku { sku: id };
        };
        if !terms_fit(&terms) {
            return Outcome::OutOfBounds;
        }
        sku.terms = terms;
        Outcome::TermsSet
    }

    fn open(&mut self, id: SkuId, at: At) -> Outcome {
        let Some(sku) = self.skus.get_mut(id.0 as usize) else {
            return Outcome::UnknownSku { sku: id };
        };
        sku.terms.opens = sku.terms.opens.min(at);
        sku.terms.closes = sku.terms.closes.filter(|closes| *closes > at);
        sku.shut = false;
        Outcome::Opened
    }

    fn close(&mut self, id: SkuId) -> Outcome {
        let Some(sku) = self.skus.get_mut(id.0 as usize) else {
            return Outcome::UnknownSku { sku: id };
        };
        sku.shut = true;
        Outcome::ShutDown
    }

    fn adjust(
        &mut self,
        at: At,
        request: RequestId,
        id: SkuId,
        delta: UnitDelta,
        reason: &Reason,
    ) -> Outcome {
        match self.requests.get(&request) {
            Some(Remembered::Adjustment {
                sku,
                delta: d,
                reason: r,
                answer,
            }) if *sku == id && *d == delta && r == reason => {
                return *answer;
            }
            Some(_) => return Outcome::KeyReused,
            None => {}
        }
        let Some(sku) = self.skus.get(id.0 as usize) else {
            return Outcome::UnknownSku { sku: id };
        };
        let free = self.free(id);
        let stocked = i128::from(sku.stocked) + i128::from(delta.0);
        if delta.0 == 0 || stocked > i128::from(limits::STOCK_UNITS_MAX) {
            return Outcome::OutOfBounds;
        }
        if i128::from(free) + i128::from(delta.0) < 0 {
            return Outcome::TooFewFree { free: Qty(free) };
        }
        self.skus[id.0 as usize].stocked = stocked as u32;
        let answer = Outcome::Adjusted {
            free: Qty(self.free(id)),
        };
        let remembered = Remembered::Adjustment {
            sku: id,
            delta,
            reason: reason.clone(),
            answer,
        };
        self.remember(at, request, remembered);
        answer
    }

    /// Remembers an adjustment or a return for the window of now.
    fn remember(&mut self, at: At, request: RequestId, what: Remembered) {
        self.requests.insert(request, what);
        let due = round_up(at.plus(self.windows.remember), FORGET_GRAIN_MS);
        self.leaving_requests.insert((due, request));
    }

    fn create_coupon(&mut self, code: &Text, terms: CouponTerms) -> Outcome {
        let prices = 1..=limits::PRICE_MINOR_MAX;
        let fits = terms.quota.0 > 0
            && prices.contains(&terms.amount_off.0)
            && terms.minimum_total > terms.amount_off
            && terms.minimum_total.0 <= limits::PRICE_MINOR_MAX
            && self.coupons.len() < limits::COUPONS_MAX;
        if !fits {
            return Outcome::OutOfBounds;
        }
        if let Some(coupon) = self.coupon_codes.get(code) {
            return Outcome::CouponExists { coupon: *coupon };
        }
        let coupon = CouponId(self.coupons.len() as u32);
        self.coupons.push(terms);
        self.coupon_codes.insert(code.clone(), coupon);
        Outcome::CouponCreated { coupon }
    }

    fn cancel(&mut self, at: At, id: OrderId) -> Outcome {
        let Some(index) = self.find(id) else {
            return Outcome::UnknownOrder;
        };
        match self.orders[index].status {
            Status::Held => {
                self.end_hold(index, at, EndReason::Cancelled);
                Outcome::Cancelled
            }
            Status::Ended {
                why: EndReason::Cancelled,
                ..
            } => Outcome::Cancelled,
            Status::Ended {
                why: EndReason::Expired,
                ..
            }
            | Status::Paid { .. } => Outcome::NotHeld,
        }
    }
}

fn terms_fit(terms: &SkuTerms) -> bool {
    let holds = limits::HOLD_MS_MIN..=limits::HOLD_MS_MAX;
    terms.price.is_price()
        && holds.contains(&terms.hold.0)
        && terms.closes.is_none_or(|closes| closes > terms.opens)
}
