//! Every bound of the planner, with its unit in the name or in the sentence above, and its reason.

/// Minutes of one campaign's forecast: 31 days; a sale that lasts longer is normal trade.
pub const SPAN_MINUTES_MAX: usize = 31 * 1_440;

/// Services of one map: a picture and a plan of more are of no use to anybody.
pub const SERVICE_NODES_MAX: usize = 2_000;
/// Circles of calls that are told at once, in lines.
pub const CYCLES_TOLD_MAX: usize = 20;
/// Steps of load reports that one curve is fitted to, in points: what ten long searches have.
pub const LOAD_STEPS_MAX: usize = 1_000;
/// Switches of which all sets are tried, in bits: 4,096 sets, each with its own rates.
pub const SWITCHES_TRIED_MAX: usize = 12;
