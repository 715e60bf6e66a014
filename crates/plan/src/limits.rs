//! Every bound of the planner, with its unit in the name or in the sentence above, and its reason.

/// Minutes of one campaign's forecast: 31 days; a sale that lasts longer is normal trade.
pub const SPAN_MINUTES_MAX: usize = 31 * 1_440;

/// Services of one map, by their names: a picture and a plan of more are of no use to anybody.
pub const SERVICE_NODES_MAX: usize = 2_000;
/// Circles of calls that are told at once, in lines.
pub const CYCLES_TOLD_MAX: usize = 20;
/// Steps of load reports that one curve is fitted to, in points: what ten long searches have.
pub const LOAD_STEPS_MAX: usize = 1_000;
/// Switches of which all sets are tried, in bits: 4,096 sets, each with its own rates.
pub const SWITCHES_TRIED_MAX: usize = 12;

/// Steps of history that a baseline is fitted to: sixteen weeks of hours. Older ones say little of
/// next week, and the fit grows with them.
pub const HISTORY_STEPS_MAX: usize = 16 * 168;
/// Steps that a baseline looks ahead: eight weeks of hours. Beyond it the same weekday of the next
/// week after the history stands for it, and the forecast says so.
pub const HORIZON_STEPS_MAX: usize = 8 * 168;
/// Rounds of a back-test, each with a stretch held back: more would be older than what is forecast
/// from.
pub const BACK_TEST_FOLDS_MAX: usize = 4;
