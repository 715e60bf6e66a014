//! Keys of the tables. Both are about where a new row lands: a batch that touches few pages is
//! cheap, one that touches a page for each row is not.

use crate::sqlite::{bits, unbits};
use rusqlite::types::{ToSql, ToSqlOutput};
use sale::{BuyerId, OrderId};

const SHARD_BITS: u32 = 10;
const ORDINAL_BITS: u32 = 44;

/// An order's number with its parts in another order: cell, ordinal, shard instead of cell, shard,
/// ordinal. New orders then land at the end of their tables, where their number alone would
/// scatter them over 1,024 places. A higher key is a newer order of the cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct OrderKey(pub(super) i64);

impl OrderKey {
    pub(super) fn of(order: OrderId) -> OrderKey {
        let cell = u64::from(order.cell()) << (ORDINAL_BITS + SHARD_BITS);
        OrderKey(bits(
            cell | order.ordinal() << SHARD_BITS | u64::from(order.shard()),
        ))
    }

    pub(super) fn order(self) -> OrderId {
        let key = unbits(self.0);
        let cell = key >> (ORDINAL_BITS + SHARD_BITS) << (ORDINAL_BITS + SHARD_BITS);
        let shard = (key & ((1 << SHARD_BITS) - 1)) << ORDINAL_BITS;
        OrderId(cell | shard | (key >> SHARD_BITS & ((1 << ORDINAL_BITS) - 1)))
    }
}

impl ToSql for OrderKey {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.0))
    }
}

/// A buyer in the table of histories: 32 bits instead of 128 halve its pages, and it is the one
/// table whose pages are hit at random. Buyers that share them are told apart in the order's row.
pub(super) fn buyer_key(buyer: BuyerId) -> u32 {
    let folded = (buyer.0 as u64) ^ ((buyer.0 >> 64) as u64).rotate_left(32);
    (folded.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_lead_back_and_sort_by_age() {
        let order = |cell, buyer, ordinal| OrderId::new(cell, BuyerId(buyer), ordinal).unwrap();
        for id in [
            order(0, 1, 1),
            order(1_023, 77, (1 << 44) - 1),
            order(513, 5, 123_456),
        ] {
            assert_eq!(OrderKey::of(id).order(), id);
        }
        for (older, newer) in [
            (order(3, 1, 9), order(3, 2, 10)),
            (order(700, 9, 1), order(700, 1, 2)),
        ] {
            assert!(OrderKey::of(older) < OrderKey::of(newer));
        }
    }
}
