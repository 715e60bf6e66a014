//! Bounds of a scenario file. They keep a wrong file from taking memory, and are far above what a
//! right one needs.

/// Journeys of one scenario: names in its report.
pub const JOURNEY_NAMES_MAX: usize = 256;
/// Blocks of one scenario: names.
pub const BLOCK_NAMES_MAX: usize = 256;
/// Steps of one list, in operations a person wrote.
pub const STEP_OPS_MAX: usize = 1_000;
/// Feeders: names of files, whose rows are kept in memory.
pub const FEEDER_NAMES_MAX: usize = 64;
/// Columns of one feeder: names of variables, which every buyer carries.
pub const COLUMN_NAMES_MAX: usize = 256;
/// Names of variables of one step.
pub const VARIABLE_NAMES_MAX: usize = 64;
/// Names of headers and of form fields of one request.
pub const FIELD_NAMES_MAX: usize = 64;
/// Checks of one request: names in the report.
pub const CHECK_NAMES_MAX: usize = 64;
/// Metrics with thresholds: names.
pub const METRIC_NAMES_MAX: usize = 256;
/// Thresholds of one metric, in rules.
pub const THRESHOLD_RULES_MAX: usize = 64;
/// Stop rules: each is asked every second.
pub const STOP_RULES_MAX: usize = 64;
/// Ranges of statuses of one request.
pub const STATUS_RANGES_MAX: usize = 32;
/// Characters of an expression, a selector, a pattern or a query.
pub const EXPR_CHARS_MAX: usize = 2_000;
/// Characters of a body: files with more than this belong elsewhere.
pub const BODY_CHARS_MAX: usize = 1 << 20;
/// Points of a curve: one a second for nearly three hours.
pub const CURVE_POINTS_MAX: usize = 10_000;
/// Steps of a stair: its levels.
pub const LEVELS_MAX: u64 = 10_000;
/// Arrivals a second: beyond any one generator.
pub const RATE_PER_S_MAX: f64 = 10_000_000.0;
/// Milliseconds of one part of a load: a week.
pub const PART_MS_MAX: u64 = 7 * 86_400_000;
/// Rounds of one loop, a bound in times.
pub const LOOP_TIMES_MAX: u64 = 100_000;
/// Requests at once on one connection of HTTP/2: targets seldom allow more.
pub const STREAMS_MAX: u64 = 10_000;
/// Redirects of one request that are followed: a browser gives up after 20.
pub const REDIRECTS_MAX: u64 = 20;
/// Sockets of one generator, as systems bound them.
pub const SOCKETS_MAX: u64 = 1_000_000;
/// The largest seed: whole numbers beyond it are not exact in JSON (in bits: 53).
pub const SEED_BITS_MAX: u64 = (1 << 53) - 1;
