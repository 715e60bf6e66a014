//! Bounds of series, each with its reason, and the figures by which gaps and clocks are judged.

/// Minutes of one series: two years, so that the season a year ago is in it.
pub const MINUTES_MAX: u64 = 2 * 366 * 1_440;
/// Cells, that is minutes times routes: 256 MiB of figures.
pub const CELLS_MAX: u64 = 32 << 20;
/// Series: routes with counts of their own; the rarest are counted together.
pub const ROUTE_SERIES_MAX: usize = 64;
/// Entries of clients told apart on one day; beyond it the day says "at least".
pub const DAY_CLIENTS_MAX: usize = 1 << 20;
/// Sessions whose last step is remembered at a time, for the journey mix.
pub const SESSIONS_MAX: usize = 1 << 20;
/// Bytes of a Prometheus answer or a CSV file, which are read whole.
pub const FILE_BYTES_MAX: u64 = 256 << 20;
/// Requests that a stretch without any would have had at the log's quiet hours' rate, from which
/// on it is missing data: by chance it is empty once in e^14, a million times.
pub const GAP_REQUESTS: f64 = 14.0;
/// Minutes that a stretch without any request has to last at least to be missing data.
pub const GAP_MINUTES_MIN: u64 = 5;
/// Seconds that the instants of a log may go back before its clock is suspected: logs are written
/// when requests end, and some last minutes.
pub const CLOCK_BACK_SECONDS: u64 = 600;
/// Lines in a row that have to say so.
pub const CLOCK_BACK_LINES: u32 = 20;
/// Of a hundred lines, how many may be no requests before it is a log of another format.
pub const REFUSED_PERCENT_MAX: u64 = 50;
/// Requests of a minute from which on its seconds tell something of burstiness.
pub const BURST_REQUESTS_MIN: u32 = 30;
/// Lines of notes kept; further ones are counted.
pub const NOTES_MAX: usize = 200;
