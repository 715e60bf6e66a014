//! Every bound of the cache, of pages rendered ahead and of compression, with its reason.

/// Bytes of all kept answers, unless the file says otherwise.
pub const STORE_BYTES_DEFAULT: u64 = 128 << 20;
/// Below this, heads and marks alone would push answers out.
pub const STORE_BYTES_MIN: u64 = 1 << 20;
/// An answer may take this part of a shard: one that empties it helps nobody.
pub const ANSWERS_PER_SHARD_MIN: u64 = 4;
/// Locks that share the store; more than there are workers gains nothing.
pub const SHARDS_MAX: u64 = 16;
/// A guess of an answer's usual bytes, from which tables are sized.
pub const ANSWER_BYTES_USUAL: u64 = 8 << 10;
/// What an answer costs besides its body, head and key, in bytes.
pub const ENTRY_OVERHEAD_BYTES: u64 = 512;
/// Bytes of an answer's head; what says more about itself is not kept.
pub const KEPT_HEAD_BYTES_MAX: usize = 16 << 10;
/// Bytes of scheme, host, path and query; longer ones are asked for anew each time.
pub const URL_BYTES_MAX: usize = 4 << 10;
/// Headers by which the answers of one address differ.
pub const VARY_NAMES_MAX: usize = 8;
/// Bytes of their values in one request.
pub const VARIANT_BYTES_MAX: usize = 2 << 10;
/// Tags of one answer, for purging.
pub const TAGS_MAX: usize = 64;
/// Directives of one Cache-Control that are read; an answer with more is not kept.
pub const DIRECTIVES_MAX: usize = 32;
/// The longest time that a header can state, in seconds: 68 years, as RFC 9111 proposes.
pub const SECONDS_MAX: u64 = 1 << 31;

/// Answers that are being fetched for others at once; beyond it each fetches its own.
pub const FLIGHTS_MAX: usize = 4_096;
/// Requests that wait for one of them.
pub const WAITERS_MAX: usize = 10_000;
/// How long a request waits for an answer that another one fetches, in ms.
pub const WAIT_MS: u64 = 10_000;
/// The same where a stale answer could be given instead.
pub const WAIT_WITH_STALE_MS: u64 = 1_000;
/// Answers that a request waits for, or fetches for others, before it goes for itself.
pub const ROUNDS_MAX: usize = 3;
/// How long requests are not gathered after an answer that may not be kept, in ms.
pub const UNCACHEABLE_MS: u64 = 5_000;
/// How long a stale answer is given without another try after a failure, in ms.
pub const QUIET_MS: u64 = 1_000;
/// Bytes of all answers that are being gathered; beyond it they stream through.
pub const GATHER_BYTES_MAX: u64 = 64 << 20;

/// Shorter bodies gain nothing from compression.
pub const COMPRESS_BYTES_MIN: usize = 512;
/// A body of one request only; a larger one costs more time than its transfer.
pub const COMPRESS_ONCE_BYTES_MAX: usize = 256 << 10;
/// A kept body, which is compressed once and given often.
pub const COMPRESS_KEPT_BYTES_MAX: usize = 4 << 20;
/// Up to so many bytes the worker does it itself: below a millisecond.
pub const COMPRESS_INLINE_BYTES_MAX: usize = 16 << 10;
/// Bodies that are compressed on other threads at once; beyond it they go as they are.
pub const COMPRESS_AT_ONCE_MAX: usize = 4;

/// Bytes of a page that is rendered ahead.
pub const PAGE_BYTES_MAX: usize = 4 << 20;
/// Bytes of its file: the page, its head and what the format adds.
pub const PAGE_FILE_BYTES_MAX: u64 = (PAGE_BYTES_MAX + 2 * KEPT_HEAD_BYTES_MAX + 4_096) as u64;
/// A page that failed is tried again after so many ms, or when it is due, if that is sooner.
pub const PAGE_RETRY_MS: u64 = 5_000;
/// How long one rendering may take, in ms.
pub const PAGE_FETCH_MS: u64 = 30_000;
/// Pages that are rendered at once: the upstream has something else to do.
pub const PAGES_AT_ONCE_MAX: usize = 2;
/// Characters of the failure that operators are shown.
pub const PAGE_ERROR_CHARS_MAX: usize = 200;

const _: () = {
    assert!(STORE_BYTES_MIN <= STORE_BYTES_DEFAULT);
    assert!(COMPRESS_INLINE_BYTES_MAX <= COMPRESS_ONCE_BYTES_MAX);
    assert!(WAIT_WITH_STALE_MS <= WAIT_MS);
};
