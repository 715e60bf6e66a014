//! Bounds of services.yaml. They keep a wrong file from taking memory, and are far above what a
//! right one needs.

/// Services of one site: a thousand is more than the largest shops have behind one door.
pub const SERVICE_NAMES_MAX: usize = 1_000;
/// Places where requests of routes enter: names of routes.
pub const ENTRY_NAMES_MAX: usize = 1_000;
/// Services that one service calls by name.
pub const CALL_NAMES_MAX: usize = 200;
/// Things of one service that can be given up, by name.
pub const SACRIFICE_NAMES_MAX: usize = 32;
/// Load reports of one service: files.
pub const REPORT_FILES_MAX: usize = 32;
/// Single points of failure that are told of one service, in sentences: names.
pub const SINGLE_POINT_NAMES_MAX: usize = 32;
/// Instances of one service: things.
pub const INSTANCE_SLOTS_MAX: u64 = 100_000;
/// Calls that one request makes to one service, in events.
pub const CALLS_PER_REQUEST_MAX: f64 = 10_000.0;
/// Money an hour, in units of the file's currency.
pub const COST_PER_HOUR_MAX: f64 = 1e9;
/// Milliseconds that more instances may take until they serve: a quarter, for what is bought.
pub const LEAD_MS_MAX: u64 = 92 * 86_400_000;
/// Milliseconds for which a measured capacity may count: a year.
pub const VALID_MS_MAX: u64 = 366 * 86_400_000;
/// Names that the forecast may have for one route: templates of its paths, with methods.
pub const TRAFFIC_NAMES_MAX: usize = 100;
