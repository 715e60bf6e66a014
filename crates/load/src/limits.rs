//! Every bound of this crate, with its unit and its reason.

/// Of an expression's text: a person reads it.
pub const EXPR_TEXT_BYTES_MAX: usize = 2_000;
/// Levels of an expression: its evaluation is recursive.
pub const EXPR_DEPTH_MAX: usize = 64;
/// Of a variable's text: every live buyer keeps its own.
pub const TEXT_BYTES_MAX: usize = 4_096;
/// Of an answer's body that is kept for checks and extraction.
pub const BODY_KEPT_BYTES_MAX: usize = 1 << 20;
/// Of an answer's head.
pub const HEAD_BYTES_MAX: usize = 64 << 10;
/// Lines of an answer's head.
pub const HEAD_LINES_MAX: usize = 100;
/// Requests at once on one connection of HTTP/2 unless the scenario says otherwise: what RFC 9113
/// asks targets to allow at least.
pub const STREAMS_PER_CONNECTION: usize = 100;
/// Of connections that are looked at for room when a request needs a new place.
pub const HTTP2_CONNECTIONS_ASKED_MAX: usize = 64;
/// Bytes of an answer that a target may send before we have read them, on one stream.
pub const HTTP2_STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// The same on one connection.
pub const HTTP2_CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
/// Milliseconds in which a target that is asked before a run has to speak HTTP/2.
pub const HTTP2_PROBE_MS: u64 = 5_000;
/// Read from a socket at once.
pub const READ_BYTES: usize = 16 << 10;
/// Connections of one generator unless the scenario says less; beyond it buyers wait, and the lag
/// says so.
pub const CONNECTIONS_MAX: usize = 20_000;
/// Cookies of one buyer.
pub const COOKIES_PER_BUYER_MAX: usize = 32;
/// Of one cookie.
pub const COOKIE_BYTES_MAX: usize = 4_096;
/// Operations that a buyer does without a request between: a loop without one would never end.
pub const OPS_WITHOUT_REQUEST_MAX: u32 = 10_000;
/// Microseconds between two looks at overdue answers.
pub const SWEEP_US: u64 = 20_000;
/// Microseconds before a planned instant below which waiting for the clock is not worth a sleep.
pub const SPIN_US: u64 = 40;
/// Microseconds of the longest sleep, so that orders to stop are seen.
pub const SLEEP_US_MAX: u64 = 50_000;
/// Microseconds after the planned instant from which a request counts as sent late.
pub const LATE_US: u64 = 10_000;
/// Milliseconds between two tries of a search, in which the target comes to rest.
pub const FIND_REST_MS: u64 = 300;
/// A median this many times an objective's bound will not come back under it within the window.
pub const FIND_ABORT_FACTOR: f64 = 4.0;
/// A value this many times an objective's bound needs no second look.
pub const FIND_FAR_FACTOR: f64 = 1.5;
/// Milliseconds that a stop rule's source has to answer: the rules are asked every second, and a
/// run ends within three.
pub const STOP_SOURCE_TIMEOUT_MS: u64 = 800;
/// Operations of one journey, blocks written out: blocks that do blocks could make it endless.
pub const JOURNEY_OPS_MAX: usize = 100_000;
/// Levels of blocks within blocks: the compiler calls itself.
pub const BLOCK_LEVELS_MAX: usize = 32;
/// Variables of one scenario, in places of a buyer's row.
pub const VARIABLE_PLACES_MAX: usize = 1_000;
/// Rows of one feeder: they are in memory.
pub const FEEDER_ROWS_MAX: usize = 5_000_000;
/// Of all values of one feeder, as memory: what a generator can spare.
pub const FEEDER_BYTES_MAX: usize = 1 << 30;
/// Of one line of a feeder or rate file.
pub const FEEDER_LINE_BYTES_MAX: usize = 64 << 10;
/// Problems of one feeder or rate file that are told; a file of another kind has one a line.
pub const FILE_PROBLEMS_MAX: usize = 20;
/// Seconds of a rate file: a week.
pub const RATE_FILE_S_MAX: usize = 7 * 86_400;
/// Names of requests in a JMeter result file: each has three histograms.
pub const JTL_LABELS_MAX: usize = 1_000;
/// Of one record of a JMeter result file; a quote that nobody closes must not take all memory.
pub const JTL_RECORD_BYTES_MAX: usize = 1 << 20;
/// From the first second of a JMeter result file to the last: two days, some 100 bytes each.
pub const JTL_SECONDS_MAX: i64 = 172_800;
/// Bytes of a report or summary that is read whole.
pub const REPORT_BYTES_MAX: u64 = 256 << 20;
/// Seconds behind the newest in which lines of a JMeter result file may still come: each open one
/// has a histogram.
pub const JTL_OPEN_SECONDS: i64 = 120;
/// Levels of groups within groups in a summary of k6: they are read recursively.
pub const K6_GROUP_DEPTH_MAX: usize = 32;
/// Virtual users of k6 at the lowest rate; at higher ones a fifth of a second's arrivals.
pub const K6_VUS_LEAST: f64 = 10.0;
/// Seconds beyond its window after which k6 is ended: it starts, and waits for its last answers.
pub const K6_GRACE_S: u64 = 60;
/// Bytes of what k6 said that are looked at when it failed.
pub const K6_ERROR_BYTES_MAX: u64 = 64 << 10;
/// Microseconds of lag at p99 from which a sender that is always awake counts as too busy.
pub const BUSY_LAG_US: u64 = 1_000;
/// Requests of a recording that is replayed: they are in memory, some 100 bytes each at least.
pub const RECORDED_REQUESTS_MAX: usize = 5_000_000;
/// Of a recording in memory: what a generator can spare.
pub const RECORDED_BYTES_MAX: usize = 1 << 30;
/// Sample buyers of an outline: shares of a thousandth are seen.
pub const OUTLINE_BUYERS: u32 = 1_000;
/// Names of requests in a replay; each has three histograms in every worker.
pub const RECORDED_NAMES_MAX: usize = 200;
