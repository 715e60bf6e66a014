//! Bounds of agents and of whoever leads them, with unit and reason.

/// Of one frame: a second of figures has some kilobytes, one request's histograms at most a
/// megabyte.
pub const FRAME_BYTES_MAX: usize = 4 << 20;
/// Of a frame from somebody who has not proved yet to have the token.
pub const GREETING_BYTES_MAX: usize = 4 << 10;
/// Of one piece of a file.
pub const PIECE_BYTES: usize = 1 << 20;
/// Of all files of a scenario: they are sent to every agent and held in memory on the way.
pub const FILES_BYTES_MAX: u64 = 256 << 20;
/// Files of a scenario.
pub const FILES_MAX: usize = 1_000;
/// Agents of one run: each is a connection and a row of figures.
pub const AGENTS_MAX: usize = 200;
/// Workers of one agent that a coordinator believes.
pub const WORKERS_MAX: usize = 1_024;
/// Frames on their way between a socket and whoever handles them.
pub const FRAMES_WAITING_MAX: usize = 64;
/// Orders to one agent that wait for its socket: begin, stop, end.
pub const ORDERS_WAITING_MAX: usize = 16;
/// People who say hello to an agent at the same time.
pub const GREETINGS_MAX: usize = 8;
/// Milliseconds in which a connection comes about and both have proved the token.
pub const GREETING_MS_MAX: u64 = 5_000;
/// Milliseconds in which an agent reads a scenario with its files.
pub const PREPARE_MS_MAX: u64 = 60_000;
/// Milliseconds between two beats.
pub const BEAT_MS: u64 = 500;
/// Milliseconds without a beat after which the other counts as gone; a busy machine may miss some.
pub const SILENT_MS_MAX: u64 = 5_000;
/// Milliseconds in which an agent confirms a stop; one that does not counts as lost.
pub const STOP_MS_MAX: u64 = 3_000;
/// Milliseconds between two looks at a run under way.
pub const LOOK_MS: u64 = 100;
/// Round trips by which a clock is read; the shortest of them counts.
pub const CLOCK_ROUNDS: usize = 16;
/// Microseconds by which a clock may be unsure: arrivals of different agents would be mixed up
/// by as much.
pub const CLOCK_UNSURE_US_MAX: u64 = 100_000;
/// Milliseconds from the order to begin to the plan's zero, beside the longest round trip.
pub const LEAD_MS: u64 = 500;
/// Seconds of figures in one frame.
pub const SECONDS_PER_FRAME: usize = 60;
/// Seconds of one run: two weeks.
pub const RUN_SECONDS_MAX: usize = 14 * 86_400;
/// Names of requests in one agent's figures.
pub const NAMED_MAX: usize = 10_000;
/// Characters of a reason from the other side that are shown.
pub const REASON_CHARS_MAX: usize = 1_000;
/// Of a token's file.
pub const TOKEN_BYTES_MAX: usize = 4 << 10;
/// Of a token: shorter ones can be guessed.
pub const TOKEN_BYTES_MIN: usize = 16;

const _: () = assert!(GREETING_BYTES_MAX < FRAME_BYTES_MAX && PIECE_BYTES < FRAME_BYTES_MAX);
const _: () = assert!(BEAT_MS * 4 < SILENT_MS_MAX && LOOK_MS < BEAT_MS);
