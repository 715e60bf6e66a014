//! Every bound of the query side, with its unit in the name and its reason beside it.

use std::time::Duration;

/// A projection transaction is committed once it has so many changes (and at most those of one
/// more entry): enough that the commit costs nothing per change, few enough that readers see new
/// rows soon and the write-ahead log stays small.
pub const BATCH_CHANGES_FULL: usize = 50_000;
/// A transaction that is not full is committed after this long, so that a trickle is seen too.
pub const BATCH_AGE_MAX: Duration = Duration::from_millis(100);
/// Rows of one page of a listing.
pub const PAGE_ROWS_MAX: usize = 1_000;
/// Minutes of one answer about sales: a week.
pub const SALES_MINUTES_MAX: usize = 7 * 24 * 60;
/// How long a statement waits for another connection's lock before it fails.
pub const LOCK_WAIT: Duration = Duration::from_secs(5);
/// Prepared statements a connection keeps: more than there are in this crate.
pub const STATEMENTS_MAX: usize = 64;
/// Page cache of the connection that writes, in KiB.
pub const WRITER_CACHE_KIB: i64 = 64 * 1024;
/// Page cache of a connection that reads, in KiB.
pub const READER_CACHE_KIB: i64 = 8 * 1024;
/// Pages of write-ahead log after which SQLite copies them back by itself: 4 MiB. The copying is
/// synced, and syncs of the sale queue behind it: 64 MiB at once held orders up for 70 ms.
pub const WAL_PAGES: i64 = 1_024;
/// Bytes of an e-mail address (RFC 5321, 4.5.3.1.3, less the angle brackets).
pub const EMAIL_BYTES_MAX: usize = 254;
/// Bytes of a person's name.
pub const NAME_BYTES_MAX: usize = 200;
/// Bytes of a password hash in PHC form.
pub const HASH_BYTES_MAX: usize = 512;
/// Bytes of an issuer's address and of a subject of an external sign-in (OpenID Connect caps a
/// subject at 255).
pub const ISSUER_BYTES_MAX: usize = 512;
pub const SUBJECT_BYTES_MAX: usize = 255;
/// Entries the follower replays before it looks whether it shall stop or commit: some 20 ms.
pub const TURN_ENTRIES_MAX: usize = 20_000;
/// Orders whose places in the replica are looked at ahead; more would push out the first ones.
pub const WARM_PLACES_MAX: usize = 512;
/// How often the follower looks whether more is durable. It reads one number.
pub const POLL: Duration = Duration::from_millis(10);
/// How long it waits before it tries a failed commit again.
pub const RETRY_WAIT: Duration = Duration::from_secs(1);
/// The follower's priority: the sale comes first where processors are few.
pub const FOLLOWER_NICE: i32 = 10;
/// Entries between two snapshots: about two segments of the journal, half a second of replay.
pub const SNAPSHOT_ENTRIES: u64 = 1_000_000;
/// Good snapshots that stay: the newest, and one more should that one rot.
pub const SNAPSHOTS_KEPT: usize = 2;
/// Entries between two digests of the engine.
pub const DIGEST_CHECK_ENTRIES: u64 = engine::limits::MARK_EVERY_ENTRIES;

const _: () = assert!(SNAPSHOT_ENTRIES.is_multiple_of(DIGEST_CHECK_ENTRIES));
