//! Every bound of the shop, with its unit in the name and its reason beside it.

/// An order body: a thousand lines of a 64-byte code and a quantity fit.
pub const ORDER_BODY_BYTES_MAX: usize = 256 * 1024;
/// A batch of orders.
pub const BATCH_BODY_BYTES_MAX: usize = 1024 * 1024;
/// Orders of one batch request: one journal group.
pub const BATCH_ORDERS_MAX: usize = 1_000;
/// Any other body: forms, sign-ins, payments.
pub const SMALL_BODY_BYTES_MAX: usize = 16 * 1024;
/// Questions to a bank over HTTP that wait or run, and connections to it; above, nobody is asked.
pub const BANK_ASKED_MAX: usize = 16_384;
pub const BANK_CONNECTIONS_MAX: usize = 1_024;
/// How long a bank over HTTP may take to answer, and a shop to send it a body, in milliseconds.
pub const BANK_ANSWER_MS: u64 = 2_000;
pub const BANK_BODY_MS: u64 = 5_000;
/// Characters of an idempotency key.
pub const KEY_CHARS_MAX: usize = 64;
/// Characters of a password; more would only cost hashing time.
pub const PASSWORD_CHARS_MIN: usize = 8;
pub const PASSWORD_BYTES_MAX: usize = 256;
/// Characters of a name and an e-mail address.
pub const NAME_BYTES_MAX: usize = 100;
pub const EMAIL_BYTES_MAX: usize = 254;
/// Sign-ins that wait for the password threads: at 26 ms each about a second's worth.
pub const PASSWORD_QUEUE_MAX: usize = 64;
/// Threads that hash passwords. Half the smallest machine, so that orders go on.
pub const PASSWORD_THREADS: usize = 1;
/// Products of one catalogue page of the API, and of one page of the hall.
pub const PRODUCTS_PAGE_MAX: usize = 200;
pub const HALL_PAGE_PRODUCTS: usize = 60;
/// Orders of one page of somebody's orders.
pub const ORDERS_PAGE_MAX: usize = 100;
/// Pictures kept in memory, in bytes, and one of them.
pub const PICTURES_BYTES_MAX: usize = 64 * 1024 * 1024;
pub const PICTURE_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Live connections (server-sent events) of the process.
pub const LIVE_CONNECTIONS_MAX: usize = 8_000;
/// How often live stock is looked at, and how often pages may be made again, in milliseconds.
pub const LIVE_MS: u64 = 250;
pub const PAGES_MS: u64 = 2_000;
/// A sign of life on live connections.
pub const HEARTBEAT_MS: u64 = 10_000;
/// SKUs in one live event; a larger catalogue sends only what changed.
pub const LIVE_SKUS_MAX: usize = 2_000;
/// How long a page of orders waits for the projection to catch up.
pub const PROJECTION_WAIT_MS: u64 = 300;
/// A payment without a decision is asked about again after this.
pub const RECONCILE_MS: u64 = 500;
/// A payment that has been with its channel for longer is closed: captured or never.
pub const UNDECIDED_MS_MAX: u64 = 5_000;
/// Open payments that the channel is asked about at the same time.
pub const RECONCILE_AT_ONCE_MAX: usize = 128;
/// Open payments seen to in one round.
pub const RECONCILE_PER_ROUND_MAX: usize = 5_000;
/// A clock of another machine may be this far off when its tokens are checked.
pub const TOKEN_LEEWAY_S: u64 = 30;
/// A shadow whose journal failed answers nobody; whoever waits is told after this. Longer than any
/// answer of a shop that lives.
pub const SHADOW_ANSWER_MS_MAX: u64 = 30_000;

const _: () = {
    assert!(BATCH_BODY_BYTES_MAX > BATCH_ORDERS_MAX * 256);
    assert!(LIVE_MS <= PAGES_MS && PAGES_MS <= HEARTBEAT_MS);
};
