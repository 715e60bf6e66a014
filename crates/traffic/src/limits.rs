//! Every bound of recorded traffic, with its unit in the name or in the sentence above, and its
//! reason. Recordings are as long as people like; what is held of one at a time is bounded here.

// ── reading ────────────────────────────────────────────────────────────────────────────────────

/// Bytes of one line: our gateway's recorder writes none longer.
pub const LINE_BYTES_MAX: usize = 8 << 20;
/// Bytes of one GoReplay payload or one HAR entry: a body of 8 MiB, escaped in JSON.
pub const ITEM_BYTES_MAX: usize = 16 << 20;
/// Bytes at the start of a recording by which its format is recognised: some tens of lines.
pub const HEAD_BYTES: usize = 64 << 10;
/// Lines at the start that are tried; the first ones may be broken.
pub const HEAD_LINES: usize = 20;
/// GoReplay requests that wait for their answer: with 65,536 a second of heavy traffic.
pub const PENDING_REQUESTS_MAX: usize = 65_536;
/// Bytes of the payloads that wait for their answer.
pub const PENDING_BYTES_MAX: usize = 64 << 20;
/// Headers of one request; no server takes more.
pub const HEADERS_MAX: usize = 256;
/// Levels of a HAR document around its entries, and of JSON at all: as deep as serde_json goes.
pub const DEPTH_LEVELS_MAX: usize = 128;
/// Microseconds since 1970 that are believed: the last instant of the calendar, in the year 9999.
pub const AT_US_MAX: u64 = 253_402_207_199_999_999;

// ── what was understood ────────────────────────────────────────────────────────────────────────

/// Line numbers kept of each reason for which lines were refused: enough to look at some.
pub const REFUSED_LINES_KEPT: usize = 10;
/// Clients told apart; beyond it the answer is "at least". 16 MiB.
pub const CLIENTS_MAX: usize = 1 << 20;
/// Hours with a count of their own: two years and more.
pub const HOURS_MAX: usize = 20_000;
/// Methods with a count of their own; there are about forty registered ones.
pub const METHOD_LABELS_MAX: usize = 64;

// ── replay ─────────────────────────────────────────────────────────────────────────────────────

/// Requests held back to bring them into the order of their instants: logs are written at the end
/// of a request, by several threads, and some are shuffled within a minute.
pub const REORDER_REQUESTS: usize = 65_536;
/// Bytes of the requests held back, since some have bodies.
pub const REORDER_BYTES_MAX: usize = 64 << 20;
/// Speed in permille of the recorded one: ×0.1, so that an hour lasts ten.
pub const SPEED_MILLI_MIN: u64 = 100;
/// Speed in permille of the recorded one: ×10,000; a day lasts nine seconds.
pub const SPEED_MILLI_MAX: u64 = 10_000_000;
/// Seconds of a rate file: 31 days. A single wrong year must not write a gigabyte of zeros.
pub const RATE_SECONDS_MAX: u64 = 31 * 86_400;
/// Requests of one second of a rate file: more is no rate but a mistake.
pub const RATE_REQUESTS_MAX: u64 = 1_000_000_000;

// ── substitution ───────────────────────────────────────────────────────────────────────────────

/// Bytes of a file that people write: rules, weights, a list of endpoints.
pub const RULES_BYTES_MAX: u64 = 1 << 20;
/// Items of the list of rules of one file.
pub const RULE_ITEMS_MAX: usize = 256;
/// Test buyers: as many as a rehearsal has.
pub const BUYERS_MAX: u64 = 100_000_000;
/// Items of one list from which values are drawn.
pub const DRAW_ITEMS_MAX: usize = 10_000;

// ── profiles ───────────────────────────────────────────────────────────────────────────────────

/// Items of a path, that is its segments; what is deeper counts as one.
pub const SEGMENT_ITEMS_MAX: usize = 24;
/// Bytes of a segment that is kept as a name; longer ones are values.
pub const SEGMENT_BYTES_MAX: usize = 64;
/// Items below one place of a path before they are taken for values of one parameter.
pub const SIBLING_ITEMS_MAX: usize = 48;
/// Records of places in all paths while templates are learnt; what comes later is not learnt.
pub const PLACE_RECORDS_MAX: usize = 200_000;
/// Series: endpoints of a profile. Requests of further ones are counted together.
pub const ENDPOINT_SERIES_MAX: usize = 4_096;
/// Names of parameters of one endpoint; further ones are counted together.
pub const PARAMETER_NAMES_MAX: usize = 64;
/// Series: pairs of endpoints in the journey mix.
pub const PAIR_SERIES_MAX: usize = 200_000;
/// Sessions that are followed at a time; those that rest longest are forgotten.
pub const SESSIONS_MAX: usize = 200_000;
/// A client that was silent for so many microseconds begins a new journey: the half hour of web
/// analytics.
pub const SESSION_GAP_US: u64 = 1_800_000_000;
/// Steps of a journey among which its money is divided.
pub const JOURNEY_STEPS_MAX: usize = 32;
/// Requests that a line of a list may stand for: shares are proportions.
pub const SHARE_REQUESTS_MAX: u64 = 1_000_000_000;
/// Series: dependency edges.
pub const EDGE_SERIES_MAX: usize = 10_000;
/// Bytes of a file with traces: it is read at once.
pub const TRACES_BYTES_MAX: u64 = 256 << 20;
/// Spans that one span may name as its causes, as things; more than a batch of messages has.
pub const SPAN_PARENTS_MAX: usize = 1_000;
