//! Accepted orders in the order of their acceptance, in chunks: found by number without a search,
//! grown without moving, and given back chunk by chunk when all orders of one are forgotten.

use super::digest::hash_words;
use crate::{BuyerId, CouponId, Currency, Money, Qty, RequestId, SkuId};
use std::collections::VecDeque;

const CHUNK: u64 = 4_096;
const NO_COUPON: u32 = u32::MAX;

/// What became of an accepted order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OrderStatus {
    Held,
    Paid,
    Expired,
    Cancelled,
}

/// One accepted order in 80 bytes. Of an order with several lines the lines are kept beside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OrderRow {
    request: [u64; 2],
    buyer: [u64; 2],
    /// When it was held, and until when.
    pub(super) held_at: u64,
    pub(super) pay_by: u64,
    /// When it was paid or its hold ended; 0 while held.
    pub(super) ended_at: u64,
    /// The unit price of a single line; of several lines their sum.
    pub(super) price: Money,
    pub(super) sku: SkuId,
    pub(super) qty: Qty,
    /// Units returned of a single line.
    pub(super) returned: Qty,
    coupon: u32,
    currency: u32,
    pub(super) status: OrderStatus,
    pub(super) many: bool,
}

const _: () = assert!(size_of::<OrderRow>() <= 88);

fn split(wide: u128) -> [u64; 2] {
    [wide as u64, (wide >> 64) as u64]
}

fn join(parts: [u64; 2]) -> u128 {
    u128::from(parts[0]) | u128::from(parts[1]) << 64
}

impl OrderRow {
    pub(super) fn held(
        (request, buyer): (RequestId, BuyerId),
        (held_at, pay_by): (u64, u64),
        (sku, qty, price, many): (SkuId, Qty, Money, bool),
        (currency, coupon): (Currency, Option<CouponId>),
    ) -> OrderRow {
        OrderRow {
            request: split(request.0),
            buyer: split(buyer.0),
            held_at,
            pay_by,
            ended_at: 0,
            price,
            sku,
            qty,
            returned: Qty::ZERO,
            coupon: coupon.map_or(NO_COUPON, |c| c.0),
            currency: currency.word(),
            status: OrderStatus::Held,
            many,
        }
    }
    pub(super) fn request(&self) -> RequestId {
        RequestId(join(self.request))
    }
    pub(super) fn buyer(&self) -> BuyerId {
        BuyerId(join(self.buyer))
    }
    pub(super) fn currency(&self) -> Currency {
        Currency::of_word(self.currency)
    }
    pub(super) fn coupon(&self) -> Option<CouponId> {
        (self.coupon != NO_COUPON).then_some(CouponId(self.coupon))
    }
    /// Reads whole fields only: bytes written one by one and read as a word would make the
    /// processor wait for every store before them.
    #[inline]
    pub(super) fn hash(&self, ordinal: u64) -> u64 {
        let small = u64::from(self.sku.0) << 32 | u64::from(self.qty.0);
        let more = u64::from(self.returned.0) << 32 | u64::from(self.coupon);
        let kind =
            (self.status as u64) | u64::from(self.many) << 8 | u64::from(self.currency) << 16;
        let words = [
            ordinal,
            self.request[0],
            self.request[1],
            self.buyer[0],
            self.buyer[1],
            self.held_at,
            self.pay_by,
            self.ended_at,
            self.price.0 as u64,
            small,
            more,
            kind,
        ];
        hash_words(1, words)
    }
}

#[derive(Clone, Debug)]
struct Chunk {
    rows: Vec<Option<OrderRow>>,
    live: u32,
}

/// Rows by acceptance ordinal, from 1.
#[derive(Clone, Debug, Default)]
pub(super) struct Orders {
    chunks: VecDeque<Option<Chunk>>,
    /// The number of the first chunk kept.
    first: u64,
    accepted: u64,
    live: usize,
}

impl Orders {
    pub(super) fn accepted(&self) -> u64 {
        self.accepted
    }
    pub(super) fn live(&self) -> usize {
        self.live
    }
    fn place(ordinal: u64) -> (u64, usize) {
        ((ordinal - 1) / CHUNK, ((ordinal - 1) % CHUNK) as usize)
    }
    /// Appends the next order; its ordinal is [`Orders::accepted`] afterwards.
    #[inline]
    pub(super) fn push(&mut self, row: OrderRow) -> u64 {
        self.accepted += 1;
        self.put(self.accepted, row);
        self.accepted
    }
    fn put(&mut self, ordinal: u64, row: OrderRow) {
        let (chunk, slot) = Self::place(ordinal);
        if self.chunks.is_empty() {
            self.first = chunk;
        }
        while self.first + (self.chunks.len() as u64) <= chunk {
            self.chunks.push_back(None);
        }
        let place = &mut self.chunks[(chunk - self.first) as usize];
        let chunk = place.get_or_insert_with(|| Chunk {
            rows: Vec::with_capacity(CHUNK as usize),
            live: 0,
        });
        if chunk.rows.len() <= slot {
            chunk.rows.resize(slot, None);
            chunk.rows.push(Some(row));
        } else {
            chunk.rows[slot] = Some(row);
        }
        chunk.live += 1;
        self.live += 1;
    }
    /// Puts a row back that a snapshot kept, in ascending order.
    pub(super) fn restore(&mut self, ordinal: u64, row: OrderRow) {
        self.put(ordinal, row);
    }
    pub(super) fn restore_accepted(&mut self, accepted: u64) {
        self.accepted = accepted;
    }
    #[inline]
    pub(super) fn get(&self, ordinal: u64) -> Option<&OrderRow> {
        let (chunk, slot) = Self::place(ordinal.max(1));
        let index = usize::try_from(chunk.checked_sub(self.first)?).ok()?;
        self.chunks.get(index)?.as_ref()?.rows.get(slot)?.as_ref()
    }
    #[inline]
    pub(super) fn get_mut(&mut self, ordinal: u64) -> Option<&mut OrderRow> {
        let (chunk, slot) = Self::place(ordinal.max(1));
        let index = usize::try_from(chunk.checked_sub(self.first)?).ok()?;
        self.chunks
            .get_mut(index)?
            .as_mut()?
            .rows
            .get_mut(slot)?
            .as_mut()
    }
    pub(super) fn remove(&mut self, ordinal: u64) -> Option<OrderRow> {
        let (chunk, slot) = Self::place(ordinal.max(1));
        let index = usize::try_from(chunk.checked_sub(self.first)?).ok()?;
        let place = self.chunks.get_mut(index)?;
        let held = place.as_mut()?;
        let row = held.rows.get_mut(slot)?.take()?;
        held.live -= 1;
        self.live -= 1;
        // A chunk that new orders still go into stays.
        if held.live == 0 && held.rows.len() == CHUNK as usize {
            *place = None;
            while matches!(self.chunks.front(), Some(None)) {
                self.chunks.pop_front();
                self.first += 1;
            }
        }
        Some(row)
    }
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &OrderRow)> {
        self.chunks
            .iter()
            .enumerate()
            .flat_map(move |(index, chunk)| {
                let base = (self.first + index as u64) * CHUNK;
                let rows = chunk.iter().flat_map(|c| c.rows.iter().enumerate());
                rows.filter_map(move |(slot, row)| Some((base + slot as u64 + 1, row.as_ref()?)))
            })
    }
}
