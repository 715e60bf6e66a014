//! Every bound of the crate, with its unit in the name or in the sentence above, and its reason.

use std::time::Duration;

/// Entries of the list of proxies: a test bed has tens of services.
pub const PROXIES_MAX: usize = 256;
/// Entries of one proxy's list of toxics; each costs every connection a look.
pub const TOXICS_PER_PROXY_MAX: usize = 64;
/// Entries of the table of leases: one for each toxic of a busy drill, and some.
pub const LEASES_MAX: usize = 4_096;
/// Characters of a name: it stands in paths and logs.
pub const NAME_CHARS_MAX: usize = 200;
/// Bytes of an address: the longest DNS name and a port.
pub const ADDRESS_BYTES_MAX: usize = 262;
/// Bytes of a method, and of a path or its beginning, that an HTTP fault is for.
pub const METHOD_BYTES_MAX: usize = 32;
pub const PATH_BYTES_MAX: usize = 2_048;
/// Bytes of the body that an `http_error` answers with.
pub const ERROR_BODY_BYTES_MAX: usize = 64 * 1_024;
/// Bytes of one request to the control listener: a list of all proxies.
pub const CONTROL_BODY_BYTES_MAX: usize = 1 << 20;
/// How long it may take to arrive.
pub const CONTROL_BODY_MS: u64 = 5_000;
/// Connections to the control listener: a few controllers and a few people.
pub const CONTROL_CONNECTIONS_MAX: usize = 256;

/// Connections of one proxy unless told otherwise. More wait in the listen queue.
pub const CONNECTIONS_MAX_DEFAULT: usize = 1_024;
/// Most connections of one proxy that may be asked for.
pub const CONNECTIONS_MAX: usize = 65_536;
/// Connections that wait to be accepted.
pub const BACKLOG_CONNECTIONS: u32 = 1_024;
/// How long the upstream may take to accept, and how long one failing accept is paused.
pub const CONNECT_MS: u64 = 10_000;
pub const ACCEPT_PAUSE_MS: u64 = 50;

/// Bytes of one read, from a buffer that the thread shares.
pub const READ_BYTES: usize = 64 * 1_024;
/// What an item in a queue costs beside its data, in bytes, so that many small items count.
pub const ITEM_BYTES: usize = 64;
/// Bytes that one direction of a connection may hold back: 4 MiB are 4 MB/s at one second of
/// latency.
pub const WINDOW_BYTES_MAX: usize = 4 << 20;
/// Bytes that it may hold even when all connections together hold [`HELD_BYTES_MAX`].
pub const WINDOW_BYTES_MIN: usize = READ_BYTES;
/// Bytes that all connections together may hold before each shrinks to the smaller window.
pub const HELD_BYTES_MAX: usize = 256 << 20;
/// Items that a stage takes from the one before it, so that a slicer cannot multiply its input.
pub const STAGE_ITEMS_MAX: usize = 16 * 1_024;
/// How much is paced at once, in milliseconds of the rate: coarser than the timer, finer than
/// anybody measures.
pub const PACE_MS: u64 = 20;
/// Bytes between the HTTP side of a proxy and its socket.
pub const HTTP_PIPE_BYTES: usize = 64 * 1_024;
/// Bytes of a request's or answer's head in an HTTP proxy.
pub const HTTP_HEAD_BYTES_MAX: usize = 64 * 1_024;
/// How long a connection that is closed on purpose still reads, so that the other side sees an
/// end and not a reset.
pub const LINGER: Duration = Duration::from_millis(500);
/// How long connections may finish after the end was asked for.
pub const DRAIN: Duration = Duration::from_millis(2_000);

/// Longest delay or timeout: a day, in milliseconds. Longer is a slip of the pen.
pub const DELAY_MS_MAX: u64 = 86_400_000;
/// Longest pause of a slicer, in microseconds.
pub const SLICE_DELAY_US_MAX: u64 = 60_000_000;
/// Fastest rate of a bandwidth toxic, in kilobytes per second: a terabyte in bytes.
pub const RATE_KB_MAX: u64 = 1_000_000_000;

/// Shortest and longest lease, in milliseconds. A shorter one would end between two renewals.
pub const LEASE_MS_MIN: u64 = 100;
pub const LEASE_MS_MAX: u64 = 86_400_000;
/// Pause before a listener that could not be opened again at the end of a lease is tried again.
pub const REOPEN_MS: u64 = 250;

/// How long a watcher may take to say that its fault is on.
pub const WATCHER_START: Duration = Duration::from_secs(5);
/// How often a watcher looks whether the disk is still full, in milliseconds.
pub const REFILL_MS: u64 = 200;
/// Bytes written at once where a file system cannot reserve space.
pub const FILL_WRITE_BYTES: usize = 1 << 20;
/// Bytes of one line that a watcher is told.
pub const WATCHER_LINE_BYTES_MAX: usize = 64;

const _: () = assert!(WINDOW_BYTES_MIN < WINDOW_BYTES_MAX);
const _: () = assert!(WINDOW_BYTES_MAX < HELD_BYTES_MAX);
const _: () = assert!(LEASE_MS_MIN < LEASE_MS_MAX);
