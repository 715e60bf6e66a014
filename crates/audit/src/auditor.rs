//! The journal's side of an audit: which orders the entries make, in sums of its own. What each
//! entry is answered comes from the model; whether the answers may stand together (no unit twice,
//! no buyer over the limit, no coupon twice) is checked here with counters that trust no one's.
//!
//! It must not know the ledger, the engine or any server's word.

use crate::check::{Tickets, names};
use crate::hearing::Hearing;
use crate::model::{Model, outcome_name};
use crate::timeline::Timeline;
use sale::{
    At, BuyerId, Command, CouponId, Entry, Held, Line, LineIndex, Lines, Millis, Money, OrderId,
    Outcome, PaymentRef, Place, Qty, RequestId, SkuId, SkuTerms, UnitDelta, Windows, limits,
};
use std::collections::{BTreeMap, BTreeSet};

/// What the audit may assume about the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long after its deadline a hold may still stand: the distance of ticks, and outages.
    pub hold_grace: Millis,
    /// How far the clients' clock and the journal's may be apart.
    pub clock_skew: Millis,
    /// How far the state that answers come from may trail the journal: one batch and its sync.
    pub answer_lag: Millis,
    /// The run went on until every hold had ended: nothing may be held in the end.
    pub drained: bool,
}

/// Reads the journal, entry by entry; then [`Auditor::hear`] takes the clients' side.
#[derive(Debug)]
pub struct Auditor {
    pub(crate) settings: Settings,
    pub(crate) tickets: Tickets,
    model: Model,
    last: Option<(u64, At)>,
    last_tick: Option<At>,
    /// The shortest windows that were ever in force.
    windows: Windows,
    pub(crate) skus: BTreeMap<SkuId, SkuBooks>,
    pub(crate) orders: BTreeMap<u64, Order>,
    /// Which orders (by ordinal) a request id was ever accepted as.
    pub(crate) by_request: BTreeSet<(RequestId, u64)>,
    holds: BTreeSet<(At, u64)>,
    taken: BTreeMap<(BuyerId, SkuId), u64>,
    coupons: BTreeMap<CouponId, Coupon>,
    pub(crate) payments: BTreeMap<(OrderId, PaymentRef), Booked>,
    entries: u64,
    outcomes: BTreeMap<&'static str, u64>,
}

#[derive(Debug)]
pub(crate) struct SkuBooks {
    terms: SkuTerms,
    pub stocked: i64,
    pub free: i64,
    pub held: i64,
    pub sold: i64,
    pub stock_max: i64,
    pub free_min: i64,
    pub timeline: Timeline,
}

#[derive(Debug)]
pub(crate) struct Order {
    pub held: Held,
    pub held_at: At,
    pub request: RequestId,
    pub buyer: BuyerId,
    pub lines: Lines,
    pub coupon: Option<CouponId>,
    pub state: State,
    pub cancelled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Held,
    Ended { at: At },
    Paid { at: At },
}

#[derive(Debug, Default)]
struct Coupon {
    quota: u64,
    uses: u64,
    /// How many standing orders of a buyer have it.
    users: BTreeMap<BuyerId, u32>,
}

/// A payment as the journal tells it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Booked {
    pub amount: Money,
    pub what: Booking,
    /// Due back in all, and how much of it has gone.
    pub due: Money,
    pub settled: Money,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Booking {
    Begun,
    Abandoned,
    Paid,
    RefundDue,
}

impl Auditor {
    pub fn new(settings: Settings) -> Auditor {
        Auditor {
            settings,
            tickets: Tickets::default(),
            model: Model::new(),
            last: None,
            last_tick: None,
            windows: Windows::default(),
            skus: BTreeMap::new(),
            orders: BTreeMap::new(),
            by_request: BTreeSet::new(),
            holds: BTreeSet::new(),
            taken: BTreeMap::new(),
            coupons: BTreeMap::new(),
            payments: BTreeMap::new(),
            entries: 0,
            outcomes: BTreeMap::new(),
        }
    }

    /// Takes the next entry of the journal and says what the rules answer to it.
    pub fn entry(&mut self, entry: &Entry) -> Outcome {
        let repeated = match &entry.command {
            Command::AdjustStock { request, .. } | Command::Return { request, .. } => {
                self.model.remembers(*request)
            }
            _ => false,
        };
        let outcome = self.model.apply(entry);
        self.note(entry, &outcome, repeated);
        outcome
    }

    /// The model that the entries were put to.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The journal is read; now the clients and the channel.
    pub fn hear(mut self) -> Hearing {
        self.close();
        Hearing::new(self)
    }

    /// Books an entry with its answer. Apart from [`Auditor::entry`] so that tests can plant
    /// answers that the rules would never give. `repeated`: the answer is a remembered one.
    pub(crate) fn note(&mut self, entry: &Entry, outcome: &Outcome, repeated: bool) {
        self.entries += 1;
        *self.outcomes.entry(outcome_name(outcome)).or_default() += 1;
        let (seq, at) = (entry.seq.0, entry.at);
        let (before, then) = self.last.unwrap_or((0, At(0)));
        self.tickets.look(names::NUMBERS, seq == before + 1, || {
            format!("entry {seq} follows entry {before}")
        });
        self.tickets.look(names::INSTANTS, at >= then, || {
            format!("entry {seq} at {at} follows an entry at {then}")
        });
        self.last = Some((seq, at));
        match (&entry.command, outcome) {
            (Command::Configure { windows, .. }, Outcome::Configured) => {
                let shortest = &mut self.windows;
                shortest.remember = shortest.remember.min(windows.remember);
                shortest.returns = shortest.returns.min(windows.returns);
            }
            (Command::ListSku { stock, terms, .. }, Outcome::Listed { sku }) => {
                self.listed(*sku, *stock, *terms);
                self.moved(entry, *sku);
            }
            (Command::SetTerms { sku, terms }, Outcome::TermsSet) => {
                if let Some(books) = self.skus.get_mut(sku) {
                    books.terms = *terms;
                }
            }
            (Command::AdjustStock { sku, delta, .. }, Outcome::Adjusted { .. }) if !repeated => {
                self.adjusted(*sku, *delta);
                self.moved(entry, *sku);
            }
            (Command::CreateCoupon { terms, .. }, Outcome::CouponCreated { coupon }) => {
                let quota = u64::from(terms.quota.0);
                self.coupons.insert(
                    *coupon,
                    Coupon {
                        quota,
                        ..Coupon::default()
                    },
                );
            }
            (Command::Place(place), Outcome::Held(held)) => self.held(entry, place, *held),
            (Command::Cancel { order }, Outcome::Cancelled) => self.cancelled(entry, *order),
            (Command::Return { order, lines, .. }, Outcome::Returned { refund, .. })
                if !repeated =>
            {
                self.returned(entry, *order, lines, *refund);
            }
            (Command::Tick, Outcome::Ticked { ended, .. }) => self.ticked(entry, *ended),
            _ => self.money(entry, outcome),
        }
    }

    fn listed(&mut self, sku: SkuId, stock: Qty, terms: SkuTerms) {
        let stocked = i64::from(stock.0);
        self.skus.insert(
            sku,
            SkuBooks {
                terms,
                stocked,
                free: stocked,
                held: 0,
                sold: 0,
                stock_max: stocked,
                free_min: stocked,
                timeline: Timeline::default(),
            },
        );
    }

    fn adjusted(&mut self, sku: SkuId, delta: UnitDelta) {
        if let Some(books) = self.skus.get_mut(&sku) {
            books.stocked += delta.0;
            books.free += delta.0;
            books.stock_max = books.stock_max.max(books.stocked);
        }
    }

    fn held(&mut self, entry: &Entry, place: &Place, held: Held) {
        let ordinal = held.order.ordinal();
        let earlier = (place.request, 0)..=(place.request, u64::MAX);
        if let Some((_, before)) = self.by_request.range(earlier).next_back() {
            let free_from = self.forgettable_from(*before);
            self.tickets.look(
                names::ONE_ANSWER,
                free_from.is_some_and(|t| t <= entry.at),
                || {
                    format!(
                        "entry {} accepts request {} again, as order {}; order {before} had it",
                        entry.seq, place.request, held.order
                    )
                },
            );
        }
        self.by_request.insert((place.request, ordinal));
        self.holds.insert((held.pay_by, ordinal));
        let order = Order {
            held,
            held_at: entry.at,
            request: place.request,
            buyer: place.buyer,
            lines: place.lines.clone(),
            coupon: place.coupon,
            state: State::Held,
            cancelled: false,
        };
        self.take(entry, &order);
        self.orders.insert(ordinal, order);
    }

    /// From when on an order's request id may be used again; `None` while it is held.
    pub(crate) fn forgettable_from(&self, ordinal: u64) -> Option<At> {
        match self.orders.get(&ordinal)?.state {
            State::Held => None,
            State::Ended { at } => Some(at.plus(self.windows.remember)),
            State::Paid { at } => Some(at.plus(self.windows.returns)),
        }
    }

    /// Units from free to held, allowance and coupon used – with every check that this asks for.
    fn take(&mut self, entry: &Entry, order: &Order) {
        let (seq, buyer) = (entry.seq, order.buyer);
        for line in order.lines.as_slice() {
            let taken = self.taken.entry((buyer, line.sku)).or_default();
            *taken += u64::from(line.qty.0);
            if let Some(books) = self.skus.get_mut(&line.sku) {
                books.free -= i64::from(line.qty.0);
                books.held += i64::from(line.qty.0);
                if let Some(limit) = books.terms.buyer_limit {
                    let fits = *taken <= u64::from(limit.get());
                    self.tickets.look(names::LIMIT, fits, || {
                        format!(
                            "entry {seq}: buyer {buyer} has {taken} of SKU {} (limit {limit})",
                            line.sku
                        )
                    });
                }
            }
            self.moved(entry, line.sku);
        }
        if let Some(id) = order.coupon {
            let coupon = self.coupons.entry(id).or_default();
            coupon.uses += 1;
            let uses = coupon.users.entry(buyer).or_default();
            *uses += 1;
            self.tickets
                .look(names::QUOTA, coupon.uses <= coupon.quota, || {
                    format!(
                        "entry {seq}: use {} of coupon {id}, quota {}",
                        coupon.uses, coupon.quota
                    )
                });
            self.tickets.look(names::COUPON_ONCE, *uses == 1, || {
                format!("entry {seq}: use {uses} of coupon {id} by buyer {buyer}")
            });
        }
    }

    fn cancelled(&mut self, entry: &Entry, order: OrderId) {
        let ordinal = order.ordinal();
        if let Some(order) = self.orders.get_mut(&ordinal) {
            order.cancelled = true;
            if order.state == State::Held {
                self.end(entry, ordinal);
            }
        }
    }

    /// Units from held to free, allowance and coupon back.
    fn end(&mut self, entry: &Entry, ordinal: u64) {
        let Some(mut order) = self.orders.remove(&ordinal) else {
            return;
        };
        self.hold_ended(entry, &order);
        order.state = State::Ended { at: entry.at };
        for line in order.lines.as_slice() {
            if let Some(books) = self.skus.get_mut(&line.sku) {
                books.free += i64::from(line.qty.0);
                books.held -= i64::from(line.qty.0);
            }
            self.give_back(order.buyer, line.sku, line.qty);
            self.moved(entry, line.sku);
        }
        if let Some(coupon) = order.coupon.and_then(|id| self.coupons.get_mut(&id)) {
            coupon.uses = coupon.uses.saturating_sub(1);
            if let Some(uses) = coupon.users.get_mut(&order.buyer) {
                *uses = uses.saturating_sub(1);
            }
        }
        self.orders.insert(ordinal, order);
    }

    fn give_back(&mut self, buyer: BuyerId, sku: SkuId, qty: Qty) {
        if let Some(taken) = self.taken.get_mut(&(buyer, sku)) {
            *taken = taken.saturating_sub(u64::from(qty.0));
        }
    }

    /// A hold is over, whatever ended it: was it over in time?
    fn hold_ended(&mut self, entry: &Entry, order: &Order) {
        self.holds
            .remove(&(order.held.pay_by, order.held.order.ordinal()));
        let latest = order.held.pay_by.plus(self.settings.hold_grace);
        self.tickets.look(names::HOLDS, entry.at <= latest, || {
            format!(
                "order {} was to be paid by {} and was still held at {}",
                order.held.order, order.held.pay_by, entry.at
            )
        });
    }

    /// The earliest deadlines first, as many as the rules let go.
    fn ticked(&mut self, entry: &Entry, ended: u32) {
        self.last_tick = Some(entry.at);
        for _ in 0..ended {
            let first = self
                .holds
                .first()
                .copied()
                .filter(|(due, _)| *due <= entry.at);
            self.tickets.look(names::STRANDED, first.is_some(), || {
                format!("entry {}: {ended} holds ended, fewer were due", entry.seq)
            });
            if let Some((_, ordinal)) = first {
                self.end(entry, ordinal);
            }
        }
        let due = self.holds.first().filter(|(due, _)| *due <= entry.at);
        let done = due.is_none() || ended as usize == limits::HOLDS_ENDED_PER_TICK_MAX;
        self.tickets.look(names::STRANDED, done, || {
            format!(
                "entry {}: a tick left a hold that was due: {due:?}",
                entry.seq
            )
        });
    }

    fn returned(
        &mut self,
        entry: &Entry,
        order: OrderId,
        lines: &[(LineIndex, Qty)],
        refund: Money,
    ) {
        let Some(known) = self.orders.get(&order.ordinal()) else {
            return;
        };
        let buyer = known.buyer;
        let of = known.lines.clone();
        for (index, qty) in lines {
            let Some(Line { sku, .. }) = of.as_slice().get(usize::from(index.0)).copied() else {
                continue;
            };
            if let Some(books) = self.skus.get_mut(&sku) {
                books.sold -= i64::from(qty.0);
                books.free += i64::from(qty.0);
            }
            self.give_back(buyer, sku, *qty);
            self.moved(entry, sku);
        }
        let all = (order, PaymentRef(0))..=(order, PaymentRef(u128::MAX));
        let mut payments = self.payments.range_mut(all);
        if let Some((_, paid)) = payments.find(|(_, p)| p.what == Booking::Paid) {
            paid.due.0 += refund.0;
        }
    }

    /// Payments and refunds.
    fn money(&mut self, entry: &Entry, outcome: &Outcome) {
        match (&entry.command, outcome) {
            (
                Command::BeginPayment {
                    order,
                    payment,
                    amount,
                },
                Outcome::PaymentBegun,
            ) => {
                self.book(*order, *payment, *amount, Booking::Begun);
            }
            (Command::AbandonPayment { order, payment }, Outcome::PaymentAbandoned) => {
                self.book(*order, *payment, Money::ZERO, Booking::Abandoned);
            }
            (
                Command::ConfirmPayment {
                    order,
                    payment,
                    amount,
                },
                Outcome::Paid,
            ) if !self.is_confirmed(*order, *payment) => {
                self.book(*order, *payment, *amount, Booking::Paid);
                self.paid(entry, order.ordinal());
            }
            (
                Command::ConfirmPayment {
                    order,
                    payment,
                    amount,
                },
                Outcome::RefundDue { .. },
            ) if !self.is_confirmed(*order, *payment) => {
                self.book(*order, *payment, *amount, Booking::RefundDue);
            }
            (Command::SettleRefund { order, payment, .. }, Outcome::RefundSettled { amount }) => {
                if let Some(booked) = self.payments.get_mut(&(*order, *payment)) {
                    booked.settled = *amount;
                }
            }
            _ => {}
        }
    }

    fn is_confirmed(&self, order: OrderId, payment: PaymentRef) -> bool {
        let known = self.payments.get(&(order, payment));
        known.is_some_and(|p| matches!(p.what, Booking::Paid | Booking::RefundDue))
    }

    fn book(&mut self, order: OrderId, payment: PaymentRef, amount: Money, what: Booking) {
        let due = if what == Booking::RefundDue {
            amount
        } else {
            Money::ZERO
        };
        let booked = Booked {
            amount,
            what,
            due,
            settled: Money::ZERO,
        };
        self.payments.insert((order, payment), booked);
    }

    /// Units from held to sold; an ended order takes its units again first.
    fn paid(&mut self, entry: &Entry, ordinal: u64) {
        let Some(mut order) = self.orders.remove(&ordinal) else {
            return;
        };
        match order.state {
            State::Held => self.hold_ended(entry, &order),
            State::Ended { .. } => self.take(entry, &order),
            State::Paid { .. } => {
                self.tickets.look(names::OVERSOLD, false, || {
                    format!(
                        "entry {}: order {} is paid twice",
                        entry.seq, order.held.order
                    )
                });
            }
        }
        order.state = State::Paid { at: entry.at };
        for line in order.lines.as_slice() {
            if let Some(books) = self.skus.get_mut(&line.sku) {
                books.held -= i64::from(line.qty.0);
                books.sold += i64::from(line.qty.0);
            }
            self.moved(entry, line.sku);
        }
        self.orders.insert(ordinal, order);
    }

    /// After each change of a SKU: its own sums, and that the model's say the same.
    fn moved(&mut self, entry: &Entry, sku: SkuId) {
        let Some(books) = self.skus.get_mut(&sku) else {
            return;
        };
        let SkuBooks {
            stocked,
            free,
            held,
            sold,
            ..
        } = *books;
        books.free_min = books.free_min.min(free);
        books.timeline.push(entry.at, free.max(0) as u32);
        let balanced = free + held + sold == stocked && free >= 0 && held >= 0 && sold >= 0;
        let words = || {
            format!(
                "entry {}, SKU {sku}: free {free} + held {held} + sold {sold} against {stocked}",
                entry.seq
            )
        };
        self.tickets.look(names::BOOKS, balanced, words);
        self.tickets
            .look(names::OVERSOLD, held + sold <= stocked, words);
    }

    /// What can only be said at the end.
    fn close(&mut self) {
        let end = self.last.map_or(At(0), |(_, at)| at);
        for (pay_by, ordinal) in &self.holds {
            let in_time = end <= pay_by.plus(self.settings.hold_grace);
            self.tickets.look(names::HOLDS, in_time, || {
                format!("order {ordinal} was to be paid by {pay_by} and is held at {end}")
            });
        }
        for (sku, books) in &mut self.skus {
            books.timeline.seal();
            let left = !self.settings.drained || books.held == 0;
            self.tickets.look(names::STRANDED, left, || {
                format!("SKU {sku}: {} units are held in the end", books.held)
            });
            let ours = [books.stocked, books.free, books.held, books.sold];
            let theirs = self
                .model
                .books(*sku)
                .map(|b| [b.stocked, b.free, b.held, b.sold].map(|qty| i64::from(qty.0)));
            self.tickets.look(names::BOOKS, theirs == Some(ours), || {
                format!("SKU {sku}: counted {ours:?}, the model has {theirs:?}")
            });
        }
    }

    pub(crate) fn counts(&self) -> (u64, u64, BTreeMap<&'static str, u64>) {
        (
            self.entries,
            self.orders.len() as u64,
            self.outcomes.clone(),
        )
    }
}
