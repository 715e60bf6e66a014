//! Every bound of the audit, with its unit in the name and its reason beside it.

/// Offending ids shown for one check: enough to start looking, never a flood of its own.
pub const FAILURES_SHOWN_MAX: usize = 8;
/// Bytes of one shown failure.
pub const FAILURE_BYTES_MAX: usize = 400;
/// A SKU was wanted by a flood when demand is this many times its stock: then it must sell out.
pub const FLOOD_DEMAND_FACTOR: u64 = 2;
