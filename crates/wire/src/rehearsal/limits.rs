//! Bounds of a rehearsal file: far above what a drill needs, low enough to keep a wrong file small.

/// Services, upstreams, phases, faults and expectations of one file: names in its report.
pub const NAMES_MAX: usize = 64;
/// Words of one command, and variables of its environment.
pub const WORDS_MAX: usize = 256;
/// Characters of one word.
pub const WORD_CHARS_MAX: usize = 4_000;
/// Metrics of one expectation, and rules of one metric.
pub const METRIC_NAMES_MAX: usize = 64;
pub const RULES_MAX: usize = 16;
/// Characters of a rule and of a URL.
pub const RULE_CHARS_MAX: usize = 500;
/// Milliseconds of one fault and of one phase: a day.
pub const SPAN_MS_MAX: u64 = 86_400_000;
/// The same, on both sides of the zero.
pub const OFFSET_MS_MAX: i64 = SPAN_MS_MAX as i64;
/// Milliseconds that a fault may delay one piece.
pub const DELAY_MS_MAX: u64 = 600_000;
/// Bytes a second that a fault may leave, and bytes that it may leave free: a terabyte.
pub const BYTES_MAX: u64 = 1 << 40;
