//! Every bound of the rules, with its unit in the name and its reason beside it.

/// Lines of one order. A wholesale basket of the real data has over a thousand; it is split.
pub const LINES_PER_ORDER_MAX: usize = 1_000;
/// Units of one line: keeps `price × quantity` far inside `i64` together with [`PRICE_MINOR_MAX`].
pub const UNITS_PER_LINE_MAX: u32 = 1_000_000;
/// A unit price or an amount off, in minor units: ten billion euros in cents.
pub const PRICE_MINOR_MAX: i64 = 1_000_000_000_000;
/// Units stocked of one SKU.
pub const STOCK_UNITS_MAX: u32 = 1_000_000_000;
/// SKUs of one cell: dense 32-bit numbers, a row of under 200 bytes each.
pub const SKUS_MAX: usize = 4_000_000;
/// Coupons of one cell.
pub const COUPONS_MAX: usize = 1_000_000;
/// Bytes of a SKU code, a coupon code or a reason.
pub const TEXT_BYTES_MAX: usize = 64;
/// Holds ended by one tick; a tick that leaves some behind is followed by another at once.
pub const HOLDS_ENDED_PER_TICK_MAX: usize = 10_000;
/// Remembered things forgotten by one tick, for the same reason.
pub const FORGOTTEN_PER_TICK_MAX: usize = 10_000;
/// The shortest and longest hold, in milliseconds.
pub const HOLD_MS_MIN: u64 = 100;
pub const HOLD_MS_MAX: u64 = 7 * 24 * 3_600_000;
/// Deadlines of holds are rounded up to this, so that one bucket ends many holds at once.
pub const HOLD_GRAIN_MS: u64 = 100;
/// How long an accepted request id is remembered after its order ended, unless configured.
pub const REMEMBER_MS_DEFAULT: u64 = 24 * 3_600_000;
/// How long a paid order stays in memory (for returns), unless configured.
pub const RETURNS_MS_DEFAULT: u64 = 45 * 24 * 3_600_000;
/// Windows are bounded on both sides: an hour protects retries, ten years fits the clock.
pub const WINDOW_MS_MIN: u64 = 1_000;
pub const WINDOW_MS_MAX: u64 = 3_650 * 24 * 3_600_000;
/// Cells of a fleet: ten bits of an order id.
pub const CELLS_MAX: u16 = 1_024;

const _: () = {
    // One order's total cannot overflow an i64.
    assert!(
        (PRICE_MINOR_MAX as i128) * (UNITS_PER_LINE_MAX as i128) < i64::MAX as i128,
        "one line fits an i64"
    );
    assert!(HOLD_MS_MIN >= HOLD_GRAIN_MS && HOLD_MS_MAX.is_multiple_of(HOLD_GRAIN_MS));
    assert!(HOLD_MS_MAX < u32::MAX as u64);
    assert!(TEXT_BYTES_MAX <= u8::MAX as usize);
};
