//! The ledger: all state of the sale, changed only by [`Ledger::apply`].
//!
//! Everything an order needs is decided in one step: request id, limit, coupon and stock. The hot
//! path is two hash look-ups and four appends. docs/rules.md says what each command means.

mod digest;
mod export;
mod orders;
mod payments;
mod place;
pub mod rows;
mod stock;
mod table;
mod time;

pub use orders::OrderStatus;
pub use payments::{OpenPayment, PaymentView};

use crate::outcome::{Effect, Effects, Outcome};
use crate::{
    At, BuyerId, Command, CouponId, CouponTerms, Currency, Entry, Held, Line, LineIndex, Money,
    OrderId, PaymentRef, Place, Qty, RequestId, Seq, SkuId, SkuTerms, Text, UnitDelta, Windows,
};
use digest::{Digest, RowHash, hash_words, mix};
use orders::{OrderRow, Orders};
use std::collections::{BTreeMap, BTreeSet};
use table::Sharded;

/// The units of one SKU. `free + held + sold = stocked`, always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Books {
    pub stocked: Qty,
    pub free: Qty,
    pub held: Qty,
    pub sold: Qty,
}

impl Books {
    fn balance(&self) -> bool {
        let sum = u64::from(self.free.0) + u64::from(self.held.0) + u64::from(self.sold.0);
        sum == u64::from(self.stocked.0)
    }
}

#[derive(Clone, Debug)]
struct SkuRow {
    code: Text,
    terms: SkuTerms,
    books: Books,
    /// Closed by the operator.
    shut: bool,
    /// The hash of code and terms, which change seldom.
    terms_hash: u64,
}

#[derive(Clone, Debug)]
struct CouponRow {
    code: Text,
    terms: CouponTerms,
    uses: Qty,
}

/// A line of an order with several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LineRow {
    line: Line,
    price: Money,
    returned: Qty,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaymentState {
    Begun,
    Abandoned,
    /// Captured, and the order was bought with it.
    Bought,
    /// Captured in vain: all of it is due back.
    InVain,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PaymentRow {
    amount: Money,
    state: PaymentState,
    refund_due: Money,
    refund_settled: Money,
}

/// Where the order of a request id is: the low half of its ordinal, and enough of the hash to grow
/// the table without looking at the order.
#[derive(Clone, Copy, Debug)]
struct Slot {
    low: u32,
    tag: u32,
}

/// Units that a buyer holds or has bought of a SKU.
#[derive(Clone, Copy, Debug)]
struct Taken {
    buyer: [u64; 2],
    sku: SkuId,
    units: Qty,
}

/// A remembered adjustment or return.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Act {
    content: ActContent,
    outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum ActContent {
    Adjust {
        sku: SkuId,
        delta: UnitDelta,
        reason: Text,
    },
    Return {
        order: OrderId,
        lines: Vec<(LineIndex, Qty)>,
    },
}

/// What a merchandiser sees of a SKU.
#[derive(Clone, Copy, Debug)]
pub struct SkuView<'a> {
    pub sku: SkuId,
    pub code: &'a Text,
    pub terms: &'a SkuTerms,
    pub books: Books,
    pub shut: bool,
}

#[derive(Clone, Copy, Debug)]
pub struct CouponView<'a> {
    pub coupon: CouponId,
    pub code: &'a Text,
    pub terms: &'a CouponTerms,
    pub uses: Qty,
}

/// What a buyer sees of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderView {
    pub held: Held,
    pub buyer: BuyerId,
    pub status: OrderStatus,
    pub held_at: At,
    /// When it was paid or its hold ended.
    pub ended_at: Option<At>,
    /// Line, unit price, units returned.
    pub lines: Vec<(Line, Money, Qty)>,
    pub coupon: Option<CouponId>,
}

/// All state of one cell's sale.
#[derive(Clone, Debug)]
pub struct Ledger {
    seq: Seq,
    at: At,
    cell: u16,
    windows: Windows,
    skus: Vec<SkuRow>,
    sku_codes: BTreeMap<Text, SkuId>,
    coupons: Vec<CouponRow>,
    coupon_codes: BTreeMap<Text, CouponId>,
    orders: Orders,
    by_request: Sharded<Slot>,
    lines: BTreeMap<u64, Box<[LineRow]>>,
    taken: Sharded<Taken>,
    used: BTreeSet<(CouponId, BuyerId)>,
    payments: BTreeMap<(u64, PaymentRef), PaymentRow>,
    acts: BTreeMap<RequestId, Act>,
    /// Ordinals by the instant their hold ends; paid ones are skipped when it comes.
    deadlines: BTreeMap<u64, Vec<u64>>,
    /// Ordinals by the instant they may be forgotten.
    forget_orders: BTreeSet<(u64, u64)>,
    forget_acts: BTreeSet<(u64, RequestId)>,
    digest: Digest,
}

/// Lines of one order that are looked at ahead; the rest would push out what is needed first.
const WARM_LINES_MAX: usize = 8;

impl Default for Ledger {
    fn default() -> Self {
        Ledger::new()
    }
}

impl Ledger {
    pub fn new() -> Ledger {
        Ledger {
            seq: Seq(0),
            at: At(0),
            cell: 0,
            windows: Windows::default(),
            skus: Vec::new(),
            sku_codes: BTreeMap::new(),
            coupons: Vec::new(),
            coupon_codes: BTreeMap::new(),
            orders: Orders::default(),
            by_request: Sharded::new(),
            lines: BTreeMap::new(),
            taken: Sharded::new(),
            used: BTreeSet::new(),
            payments: BTreeMap::new(),
            acts: BTreeMap::new(),
            deadlines: BTreeMap::new(),
            forget_orders: BTreeSet::new(),
            forget_acts: BTreeSet::new(),
            digest: Digest::default(),
        }
    }

    /// Applies the next entry. Panics if the number is not the next one, if the instant goes back,
    /// or if the books do not balance afterwards: each is a bug, and going on would sell wrongly.
    pub fn apply<E: Effects>(&mut self, entry: &Entry, effects: &mut E) -> Outcome {
        assert_eq!(
            entry.seq.0,
            self.seq.0 + 1,
            "entries are applied in their order"
        );
        assert!(
            entry.at >= self.at,
            "time never goes back: {} after {}",
            entry.at,
            self.at
        );
        self.seq = entry.seq;
        self.at = entry.at;
        match &entry.command {
            Command::Place(place) => self.place(place, effects),
            Command::Configure { cell, windows } => self.configure(*cell, *windows),
            Command::ListSku { code, stock, terms } => self.list_sku(code, *stock, *terms, effects),
            Command::SetTerms { sku, terms } => self.set_terms(*sku, *terms),
            Command::OpenSku { sku } => self.open_sku(*sku),
            Command::CloseSku { sku } => self.close_sku(*sku),
            Command::AdjustStock {
                request,
                sku,
                delta,
                reason,
            } => self.adjust_stock(*request, *sku, *delta, reason, effects),
            Command::CreateCoupon { code, terms } => self.create_coupon(code, *terms),
            Command::BeginPayment {
                order,
                payment,
                amount,
            } => self.begin_payment(*order, *payment, *amount, effects),
            Command::ConfirmPayment {
                order,
                payment,
                amount,
            } => self.confirm_payment(*order, *payment, *amount, effects),
            Command::AbandonPayment { order, payment } => {
                self.abandon_payment(*order, *payment, effects)
            }
            Command::SettleRefund {
                order,
                payment,
                amount,
            } => self.settle_refund(*order, *payment, *amount, effects),
            Command::Cancel { order } => self.cancel(*order, effects),
            Command::Return {
                request,
                order,
                lines,
            } => self.return_units(*request, *order, lines, effects),
            Command::Tick => self.tick(effects),
        }
    }

    /// Looks at the places that placing these orders will read. Waiting for memory is most of the
    /// work on a large ledger, and here the processor waits for many places at once. Changes
    /// nothing.
    pub fn warm<'a>(&self, places: impl Iterator<Item = &'a Place>) -> usize {
        let touched = places.map(|place| {
            let hash = request_hash(place.request);
            let request = self.by_request.touch(hash);
            let buyer = wide(place.buyer.0);
            let taken = |l: &Line| self.taken.touch(taken_hash(buyer, l.sku));
            let lines = place.lines.as_slice().iter().take(WARM_LINES_MAX);
            request + lines.map(taken).sum::<usize>()
        });
        touched.sum()
    }

    /// The number of the last entry applied; 0 before the first.
    pub fn seq(&self) -> Seq {
        self.seq
    }
    /// The instant of the last entry applied.
    pub fn at(&self) -> At {
        self.at
    }
    pub fn cell(&self) -> u16 {
        self.cell
    }
    pub fn windows(&self) -> Windows {
        self.windows
    }
    /// A number that two ledgers share if and only if (but for chance) they hold the same state.
    pub fn digest(&self) -> u64 {
        let head = RowHash::new(0)
            .word(self.seq.0)
            .word(self.at.0)
            .word(u64::from(self.cell));
        let head = head
            .word(self.windows.remember.0)
            .word(self.windows.returns.0);
        head.word(self.orders.accepted())
            .word(self.digest.0)
            .finish()
    }
    pub fn sku_count(&self) -> usize {
        self.skus.len()
    }
    /// Orders accepted since the beginning, forgotten ones included.
    pub fn orders_accepted(&self) -> u64 {
        self.orders.accepted()
    }
    /// Orders in memory.
    pub fn orders_live(&self) -> usize {
        self.orders.live()
    }
    pub fn books(&self, sku: SkuId) -> Option<Books> {
        Some(self.skus.get(sku.0 as usize)?.books)
    }
    pub fn sku(&self, sku: SkuId) -> Option<SkuView<'_>> {
        let row = self.skus.get(sku.0 as usize)?;
        Some(SkuView {
            sku,
            code: &row.code,
            terms: &row.terms,
            books: row.books,
            shut: row.shut,
        })
    }
    pub fn skus(&self) -> impl Iterator<Item = SkuView<'_>> {
        (0..self.skus.len() as u32).filter_map(|sku| self.sku(SkuId(sku)))
    }
    pub fn sku_by_code(&self, code: &Text) -> Option<SkuId> {
        self.sku_codes.get(code).copied()
    }
    pub fn coupon(&self, coupon: CouponId) -> Option<CouponView<'_>> {
        let row = self.coupons.get(coupon.0 as usize)?;
        Some(CouponView {
            coupon,
            code: &row.code,
            terms: &row.terms,
            uses: row.uses,
        })
    }
    pub fn coupons(&self) -> impl Iterator<Item = CouponView<'_>> {
        (0..self.coupons.len() as u32).filter_map(|coupon| self.coupon(CouponId(coupon)))
    }
    pub fn coupon_by_code(&self, code: &Text) -> Option<CouponId> {
        self.coupon_codes.get(code).copied()
    }
    /// Units this buyer holds or has bought, less returned ones.
    pub fn taken(&self, buyer: BuyerId, sku: SkuId) -> Qty {
        let key = wide(buyer.0);
        let found = self
            .taken
            .find(taken_hash(key, sku), |t| t.buyer == key && t.sku == sku);
        found.map_or(Qty::ZERO, |t| t.units)
    }
    /// The order, as long as it is remembered.
    pub fn order(&self, order: OrderId) -> Option<OrderView> {
        let (ordinal, row) = self.find_order(order)?;
        Some(OrderView {
            held: self.held(ordinal, row),
            buyer: row.buyer(),
            status: row.status,
            held_at: At(row.held_at),
            ended_at: (row.ended_at != 0).then_some(At(row.ended_at)),
            lines: self.lines_of(ordinal, row),
            coupon: row.coupon(),
        })
    }
    /// The accepted order of a request id, as long as it is remembered.
    pub fn order_by_request(&self, request: RequestId) -> Option<OrderId> {
        self.find_request(request)
            .map(|(ordinal, row)| self.held(ordinal, row).order)
    }

    fn find_order(&self, order: OrderId) -> Option<(u64, &OrderRow)> {
        let ordinal = order.ordinal();
        let row = self.orders.get(ordinal)?;
        (OrderId::new(self.cell, row.buyer(), ordinal)? == order).then_some((ordinal, row))
    }
    #[inline]
    fn find_request(&self, request: RequestId) -> Option<(u64, &OrderRow)> {
        let hash = request_hash(request);
        let orders = &self.orders;
        let same = |slot: &Slot| {
            let row = || orders.get(ordinal_of(slot.low, orders));
            slot.tag == tag(hash) && row().is_some_and(|row| row.request() == request)
        };
        let slot = self.by_request.find(hash, same)?;
        let ordinal = ordinal_of(slot.low, orders);
        Some((ordinal, orders.get(ordinal)?))
    }
    fn index_request(&mut self, request: RequestId, ordinal: u64) {
        let hash = request_hash(request);
        let slot = Slot {
            low: ordinal as u32,
            tag: tag(hash),
        };
        self.by_request.insert(hash, slot);
    }
    fn unindex_request(&mut self, request: RequestId, ordinal: u64) {
        let hash = request_hash(request);
        let same = |slot: &Slot| slot.low == ordinal as u32 && slot.tag == tag(hash);
        self.by_request
            .remove(hash, same)
            .expect("kept orders are indexed");
    }
    /// The first answer to an order, worked out again.
    fn held(&self, ordinal: u64, row: &OrderRow) -> Held {
        let order = OrderId::new(self.cell, row.buyer(), ordinal).expect("accepted under an id");
        let (gross, currency) = self.gross(row);
        Held {
            order,
            total: self.less_coupon(gross, row.coupon()),
            currency,
            pay_by: At(row.pay_by),
        }
    }
    /// The sum of the lines as they were priced, and the currency.
    fn gross(&self, row: &OrderRow) -> (Money, Currency) {
        let gross = if row.many {
            row.price
        } else {
            line_total(row.price, row.qty)
        };
        (gross, row.currency())
    }
    fn less_coupon(&self, gross: Money, coupon: Option<CouponId>) -> Money {
        match coupon {
            None => gross,
            Some(c) => gross
                .minus(self.coupons[c.0 as usize].terms.amount_off)
                .expect("the minimum is above the amount off"),
        }
    }
    fn lines_of(&self, ordinal: u64, row: &OrderRow) -> Vec<(Line, Money, Qty)> {
        if row.many {
            let lines = &self.lines[&ordinal];
            return lines
                .iter()
                .map(|l| (l.line, l.price, l.returned))
                .collect();
        }
        vec![(
            Line {
                sku: row.sku,
                qty: row.qty,
            },
            row.price,
            row.returned,
        )]
    }
    fn stock_effect<E: Effects>(&self, sku: SkuId, effects: &mut E) {
        if E::WANTED {
            effects.on(Effect::Stock {
                sku,
                books: self.skus[sku.0 as usize].books,
            });
        }
    }
}

/// `price × units`, known to fit since the bounds were checked.
fn line_total(price: Money, qty: Qty) -> Money {
    price.times(qty).expect("price and units are bounded")
}

fn wide(value: u128) -> [u64; 2] {
    [value as u64, (value >> 64) as u64]
}

/// Its low half, the tag, is never 0: that marks an empty slot.
#[inline]
fn request_hash(request: RequestId) -> u64 {
    let [low, high] = wide(request.0);
    let hash = mix(low, high);
    hash | u64::from(tag(hash) == 0)
}

/// The half of a request's hash that its slot keeps.
#[inline]
fn tag(hash: u64) -> u32 {
    hash as u32
}

#[inline]
fn taken_hash(buyer: [u64; 2], sku: SkuId) -> u64 {
    mix(buyer[0] ^ u64::from(sku.0).rotate_left(32), buyer[1])
}

impl table::Entry for Slot {
    const EMPTY: Slot = Slot { low: 0, tag: 0 };
    #[inline]
    fn is_empty(&self) -> bool {
        self.tag == 0
    }
    #[inline]
    fn home(&self) -> u32 {
        self.tag
    }
}

impl table::Entry for Taken {
    const EMPTY: Taken = Taken {
        buyer: [0; 2],
        sku: SkuId(0),
        units: Qty::ZERO,
    };
    /// Whoever has taken nothing has no row.
    #[inline]
    fn is_empty(&self) -> bool {
        self.units == Qty::ZERO
    }
    #[inline]
    fn home(&self) -> u32 {
        taken_hash(self.buyer, self.sku) as u32
    }
}

/// The ordinal whose low half is `low`: of those below 2^32 back from the newest.
#[inline]
fn ordinal_of(low: u32, orders: &Orders) -> u64 {
    let newest = orders.accepted();
    newest - u64::from((newest as u32).wrapping_sub(low))
}
