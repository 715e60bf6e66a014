//! The nouns as types: numbers that cannot be mixed up, with checked arithmetic only.

use crate::limits;
use std::fmt;
use std::num::NonZeroU32;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// The number of an entry in the journal; the first is 1.
    Seq(u64)
);
number!(
    /// An instant: milliseconds since the Unix epoch. Never goes back from one entry to the next.
    At(u64)
);
number!(
    /// A duration in milliseconds.
    Millis(u64)
);
number!(
    /// A SKU of this cell: dense, given in the order of listing, from 0.
    SkuId(u32)
);
number!(
    /// A coupon of this cell: dense, given in the order of creation, from 0.
    CouponId(u32)
);
number!(
    /// An opaque buyer: never a name or an address. Those live outside the journal.
    BuyerId(u128)
);
number!(
    /// One intention of one buyer, retried as often as needed: derived from the idempotency key.
    RequestId(u128)
);
number!(
    /// One attempt to pay, as the payment channel knows it.
    PaymentRef(u128)
);
number!(
    /// Which line of an order, from 0.
    LineIndex(u16)
);
number!(
    /// A change of stock in units, with its sign.
    UnitDelta(i64)
);

impl At {
    /// The instant `by` later; saturates at the end of time, which orders last.
    #[must_use]
    pub const fn plus(self, by: Millis) -> At {
        At(self.0.saturating_add(by.0))
    }
}

/// Units of a SKU, at most `u32::MAX`; sums are checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Qty(pub u32);

impl Qty {
    pub const ZERO: Qty = Qty(0);
    pub fn plus(self, other: Qty) -> Option<Qty> {
        self.0.checked_add(other.0).map(Qty)
    }
    pub fn minus(self, other: Qty) -> Option<Qty> {
        self.0.checked_sub(other.0).map(Qty)
    }
}

impl fmt::Display for Qty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An amount in minor units (cents) of a currency that its context names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money(pub i64);

impl Money {
    pub const ZERO: Money = Money(0);
    pub fn plus(self, other: Money) -> Option<Money> {
        self.0.checked_add(other.0).map(Money)
    }
    pub fn minus(self, other: Money) -> Option<Money> {
        self.0.checked_sub(other.0).map(Money)
    }
    pub fn times(self, units: Qty) -> Option<Money> {
        self.0.checked_mul(i64::from(units.0)).map(Money)
    }
    /// `self × part / whole`, rounded down, computed in 128 bits. `None` when `whole` is zero.
    pub fn share(self, part: Money, whole: Money) -> Option<Money> {
        let scaled = i128::from(self.0) * i128::from(part.0);
        i64::try_from(scaled.checked_div(i128::from(whole.0))?)
            .ok()
            .map(Money)
    }
    /// A price or amount off within [`limits::PRICE_MINOR_MAX`].
    pub fn is_price(self) -> bool {
        (0..=limits::PRICE_MINOR_MAX).contains(&self.0)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An ISO 4217 code: three capital letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    pub const EUR: Currency = Currency(*b"EUR");
    pub const GBP: Currency = Currency(*b"GBP");
    pub fn new(code: &str) -> Option<Currency> {
        let bytes: [u8; 3] = code.as_bytes().try_into().ok()?;
        bytes
            .iter()
            .all(u8::is_ascii_uppercase)
            .then_some(Currency(bytes))
    }
    /// The letters as a number, for digests and records.
    pub(crate) fn word(self) -> u32 {
        let [a, b, c] = self.0;
        u32::from_be_bytes([0, a, b, c])
    }
    pub(crate) fn of_word(word: u32) -> Currency {
        let [_, a, b, c] = word.to_be_bytes();
        Currency([a, b, c])
    }
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("???")
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An order's number. It routes: ten bits name the cell, ten the buyer's shard, 44 count the
/// acceptances of the cell from 1, so an order is found by its own id and by its buyer.
///
/// Shown as 13 characters of Crockford's base 32 in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(pub u64);

const ORDINAL_BITS: u32 = 44;
const SHARD_BITS: u32 = 10;
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

impl OrderId {
    /// `ordinal` counts from 1 and stays below 2^44 for seventeen trillion orders.
    pub fn new(cell: u16, buyer: BuyerId, ordinal: u64) -> Option<OrderId> {
        if cell >= limits::CELLS_MAX || ordinal == 0 || ordinal >> ORDINAL_BITS != 0 {
            return None;
        }
        let head = u64::from(cell) << (ORDINAL_BITS + SHARD_BITS);
        Some(OrderId(
            head | u64::from(Self::shard_of(buyer)) << ORDINAL_BITS | ordinal,
        ))
    }
    /// The shard a buyer's orders live in: the top ten bits of a fixed mix of the buyer.
    pub fn shard_of(buyer: BuyerId) -> u16 {
        let folded = (buyer.0 as u64) ^ ((buyer.0 >> 64) as u64).rotate_left(32);
        (folded.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - SHARD_BITS)) as u16
    }
    pub fn cell(self) -> u16 {
        (self.0 >> (ORDINAL_BITS + SHARD_BITS)) as u16
    }
    pub fn shard(self) -> u16 {
        (self.0 >> ORDINAL_BITS) as u16 & ((1 << SHARD_BITS) - 1)
    }
    pub fn ordinal(self) -> u64 {
        self.0 & ((1 << ORDINAL_BITS) - 1)
    }
    /// The 13 characters as bytes, for answers built by hand.
    pub fn encode(self) -> [u8; 13] {
        let mut out = [0; 13];
        for (place, byte) in out.iter_mut().enumerate() {
            *byte = ALPHABET[(self.0 >> (60 - 5 * place)) as usize & 31];
        }
        out
    }
    /// Reads the 13 characters back; nothing else is an order id.
    pub fn parse(text: &str) -> Option<OrderId> {
        if text.len() != 13 {
            return None;
        }
        let mut value: u128 = 0;
        for byte in text.bytes() {
            let digit = ALPHABET.iter().position(|b| *b == byte)?;
            value = value << 5 | digit as u128;
        }
        u64::try_from(value).ok().map(OrderId)
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.encode()).unwrap_or_default())
    }
}

/// A per-buyer limit: at least one unit, or none set.
pub(crate) type Limit = Option<NonZeroU32>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_ids_route_and_read_back() {
        let id = OrderId::new(1_023, BuyerId(77), 12_345).unwrap();
        assert_eq!(
            (id.cell(), id.shard(), id.ordinal()),
            (1_023, OrderId::shard_of(BuyerId(77)), 12_345)
        );
        assert_eq!(OrderId::parse(&id.to_string()), Some(id));
        for bad in ["", "0", "zzzzzzzzzzzzz", "000000000000U", "00000000000000"] {
            assert_eq!(OrderId::parse(bad), None, "{bad}");
        }
        assert_eq!(OrderId::new(1_024, BuyerId(0), 1), None);
        assert_eq!(OrderId::new(0, BuyerId(0), 0), None);
    }

    #[test]
    fn money_is_checked() {
        assert_eq!(Money(i64::MAX).plus(Money(1)), None);
        assert_eq!(Money(7).share(Money(1), Money(2)), Some(Money(3)));
        assert_eq!(Money(7).share(Money(1), Money(0)), None);
        assert_eq!(Currency::new("eur"), None);
        assert_eq!(Currency::new("EUR"), Some(Currency::EUR));
    }
}
