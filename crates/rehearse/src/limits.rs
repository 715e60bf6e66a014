//! Every bound of a rehearsal, with its unit in the name and its reason beside it.

/// Connections that the generator keeps open at most: at 17,500 requests/s they are used up when
/// the shop takes half a second to answer. Below the shop's own bound of 12,000.
pub const CONNECTIONS_MAX: usize = 8_192;
/// And as many more for buyers who hold something: they are connected already, and must not queue
/// behind newcomers until their hold ends.
pub const CONNECTIONS_OF_HOLDERS_MAX: usize = 1_024;
/// Requests that wait for a free connection; beyond it arrivals are dropped and said to be.
pub const WAITING_MAX: usize = 500_000;
/// A request without an answer after this long has timed out.
pub const ANSWER_MS_MAX: u64 = 10_000;
/// An arrival that leaves later than this after its planned instant was not sent as planned.
pub const LATE_MS_MAX: u64 = 1_000;
/// Attempts of one request whose answer never came, the first included.
pub const ATTEMPTS_MAX: u8 = 40;
/// First and longest pause between two attempts.
pub const RETRY_MS_MIN: u64 = 100;
pub const RETRY_MS_MAX: u64 = 1_000;
/// Attempts of a buyer whom the shop turned away for load (503).
pub const TURNED_AWAY_ATTEMPTS_MAX: u8 = 4;
/// Questions after a payment that the channel has not decided.
pub const PENDING_POLLS_MAX: u8 = 240;
pub const PENDING_POLL_MS: u64 = 250;
/// Payments of one order, declined ones included.
pub const PAYMENTS_PER_ORDER_MAX: u8 = 3;
pub const DECLINED_PAUSE_MS: u64 = 400;
/// Bytes of one answer that are kept; a product page is far below it.
pub const ANSWER_BYTES_MAX: usize = 4 << 20;
/// Headers of one answer.
pub const HEADERS_MAX: usize = 48;
/// After the last planned arrival, how long answers, payments and retries may go on.
pub const TAIL_MS_MAX: u64 = 60_000;
/// How long a shop may take from start to its first answer.
pub const START_MS_MAX: u64 = 60_000;
/// How long a shop may take to drain and end.
pub const DRAIN_MS_MAX: u64 = 60_000;
/// How long holds may take to end after the last answer.
pub const SETTLE_MS_MAX: u64 = 120_000;
/// The longest latency that histograms tell apart, in microseconds.
pub const LATENCY_US_MAX: u64 = 600_000_000;
/// Seconds of one run that the series keep.
pub const SECONDS_MAX: usize = 100_000;
/// Files of a folder with real orders.
pub const ORDER_FILES_MAX: usize = 10_000;
/// Rows of real orders.
pub const ORDER_ROWS_MAX: usize = 20_000_000;
/// Rows that made no sense and are shown with file and line; all are counted.
pub const ODD_ROWS_SHOWN_MAX: usize = 20;
/// Broken promises shown by name; all are counted.
pub const FINDINGS_SHOWN_MAX: usize = 20;
/// Series of the door's metrics that are kept: a thousand routes and rules with all their labels.
pub const DOOR_SERIES_MAX: usize = 10_000;
/// Rows of routes and rules in the readable table; the JSON has all.
pub const DOOR_ROWS_SHOWN_MAX: usize = 12;
/// The lease of a drill's faults and how often it is renewed, in milliseconds: when the runner dies
/// its faults end within the lease, and a runner that waits for a processor keeps them.
pub const DRILL_LEASE_MS: u64 = 5_000;
pub const DRILL_RENEW_MS: u64 = 500;
/// How long one call of a fault proxy's control may take, in milliseconds.
pub const CONTROL_MS_MAX: u64 = 5_000;
/// How often a process is asked whether it is ready, in milliseconds.
pub const READY_ASK_MS: u64 = 20;
/// Rounds of a crash test.
pub const CRASH_ROUNDS_MAX: u32 = 100_000;

const _: () = {
    assert!(RETRY_MS_MIN <= RETRY_MS_MAX);
    // A shop that restarts within its bound is still asked again by everybody.
    assert!(ATTEMPTS_MAX as u64 * RETRY_MS_MAX / 2 >= ANSWER_MS_MAX);
    assert!(LATENCY_US_MAX / 1_000 >= TAIL_MS_MAX + START_MS_MAX);
};
