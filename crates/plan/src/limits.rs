//! Every bound of the planner, with its unit in the name or in the sentence above, and its reason.

/// Minutes of one campaign's forecast: 31 days; a sale that lasts longer is normal trade.
pub const SPAN_MINUTES_MAX: usize = 31 * 1_440;
