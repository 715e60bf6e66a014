//! Every bound of the engine, with its unit in the name and its reason beside it.

/// Work accepted and not yet answered, in bytes: about 160,000 orders, a third of a second at the
/// largest measured rate. Above it new work is turned away at once, with "did it happen: no".
pub const INBOX_BYTES_MAX: usize = 24 * 1024 * 1024;
/// What one command weighs beside its encoded size: queue entries, waiting answers.
pub const COMMAND_OVERHEAD_BYTES: usize = 104;
/// Bytes of one batch's payload before it is closed; the journal takes 512 KiB.
pub const BATCH_BYTES_MAX: usize = 512 * 1024;
/// Commands of one batch, so that one apply stays in the low milliseconds.
pub const BATCH_COMMANDS_MAX: usize = 16_384;
/// Commands applied under one lock of the ledger: bounds how long a reader waits (about 60 µs).
pub const APPLY_COMMANDS_PER_LOCK: usize = 256;
/// Commands of a batch from which on it is applied beside the next one's sync: about as long as the
/// hand-over to the syncing thread and back takes.
pub const OVERLAP_COMMANDS_MIN: usize = 512;
/// Counters of request ids in flight. Two ids that share one cost a detour, never a wrong answer.
pub const IN_FLIGHT_COUNTERS: usize = 65_536;
/// Entries between two published digests.
pub const MARK_EVERY_ENTRIES: u64 = 100_000;
/// Published digests kept for followers that lag.
pub const MARKS_MAX: usize = 64;
/// How long the sequencer sleeps at most when nothing is to do, in milliseconds.
pub const IDLE_MS_MAX: u64 = 200;
/// How often holds are looked at, in milliseconds: a released unit is sellable again within the
/// grain of deadlines (100 ms) plus this.
pub const TICK_MS: u64 = 20;

const _: () = {
    assert!(INBOX_BYTES_MAX >= 8 * BATCH_BYTES_MAX);
    assert!(IN_FLIGHT_COUNTERS.is_power_of_two());
};
