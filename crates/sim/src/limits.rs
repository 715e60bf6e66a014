//! Every bound of the simulator, with its unit in the name and its reason beside it.

/// Commands that reach the server in one seed, at least; then nothing new is begun.
pub const COMMANDS_MIN: u64 = 500;
/// Added at random, so that crashes and ends fall on different places.
pub const COMMANDS_EXTRA_MAX: u64 = 120;
/// Steps of one seed: ten times what the longest takes. More is a shop that never comes to rest.
pub const STEPS_MAX: u64 = 60_000;
/// How many times a crash is planned in one seed; failed syncs and the like come on top.
pub const CRASHES_PLANNED_MAX: u64 = 4;
/// Starts that may fail one after the other (the machine goes down again while recovering).
pub const STARTS_MAX: u32 = 20;
/// Segments are small, so that one seed rolls over many of them.
pub const SEGMENT_BYTES: u64 = 8 * 1024;
/// Free space below which new orders are turned away: three segments.
pub const RESERVE_BYTES: u64 = 24 * 1024;
/// Commands that wait for the sequencer; more are turned away as overloaded.
pub const INBOX_COMMANDS_MAX: usize = 10;
/// How often the shop looks at holds, in milliseconds of virtual time, as the engine does.
pub const TICK_MS: u64 = 20;
/// The longest time the process is down, in milliseconds of virtual time.
pub const DOWN_MS_MAX: u64 = 150;
/// How long a hold may outlive its deadline: down-times in a row, and a sequencer that is slow.
pub const HOLD_GRACE_MS: u64 = 1_500;
/// How far applied state may trail the journal: a batch that waits for its sync and its turn.
pub const ANSWER_LAG_MS: u64 = 250;
/// Attempts with one request id that a buyer makes when refused.
pub const TRIES_MAX: u32 = 5;
/// Findings shown for one seed, in lines.
pub const FINDINGS_SHOWN_MAX: usize = 12;
/// Of which answers that the rules do not give: one draws a hundred after it.
pub const WRONG_ANSWERS_SHOWN_MAX: usize = 3;

const _: () = assert!(RESERVE_BYTES >= 2 * SEGMENT_BYTES);
