//! Every bound of admission, with its unit and its reason.

// ── rate limits, quotas, rules ───────────────────────────────────────────────────────────────

/// Requests per second of one rate: an interval of 100 ns, ten times above what one process serves.
pub const RATE_REQUESTS_PER_SECOND_MAX: u64 = 10_000_000;
/// Requests at once of one rate: as many as the fastest rate lets through in a second.
pub const BURST_REQUESTS_MAX: u32 = 10_000_000;
/// The longest period of a rate, in nanoseconds: a year.
pub const RATE_PERIOD_NS_MAX: u64 = 366 * 24 * 3_600 * 1_000_000_000;
/// Intervals and tolerances stop growing here, at 73 years in nanoseconds, so that sums of them
/// fit a `u64`.
pub const SPAN_NS_MAX: u64 = 1 << 61;

/// Keys of one rule's table: at up to 41 bytes each, 650 MB for a rule that needs them all.
pub const KEYS_PER_RULE_MAX: usize = 1 << 24;
/// Keys of one rule's table unless configured: more buyers than one instance serves at once.
pub const KEYS_PER_RULE_DEFAULT: usize = 1_000_000;
/// Keys of one shard on average when the table is full; bounds the work of one growth step to
/// some ten microseconds.
pub const KEYS_PER_SHARD: usize = 1_024;
/// Buckets of three entries looked at before a full table forgets a key that is still live.
pub const EVICTION_BUCKETS: usize = 16;

const _: () = {
    assert!(KEYS_PER_RULE_DEFAULT <= KEYS_PER_RULE_MAX);
    // `shards × KEYS_PER_SHARD` is exact, and a place fits its 32-bit fields.
    assert!(KEYS_PER_RULE_MAX.is_multiple_of(KEYS_PER_SHARD) && KEYS_PER_SHARD.is_power_of_two());
    assert!(KEYS_PER_RULE_MAX < u32::MAX as usize);
    // Now, a debt and an interval together.
    assert!(SPAN_NS_MAX < u64::MAX / 4);
};

// The waiting room.

/// Seats of one room, waiting and inside together: 4 million, some 240 MB.
pub const ROOM_SEATS_MAX: u32 = 4_000_000;
/// Buyers let in a second, at most: keeps billionths of a person within 64 bits.
pub const ROOM_ADMIT_PER_S_MAX: u32 = 1_000_000;
/// Admission saved up while nobody could go in: 250 ms of the rate, two and a half ticks of the
/// shell, so that a late tick loses nothing and a pause does not end in a burst.
pub const ROOM_BURST_MS: u64 = 250;
/// Places in line looked at in one tick, let in or passed over: some 4 ms under the lock.
pub const ROOM_ADMIT_STEPS_PER_TICK: u32 = 16_384;
/// Seats looked at in one tick for those who went away: a million in six seconds.
pub const ROOM_SWEEP_PER_TICK_SEATS: u32 = 16_384;
/// A draw whose root has not been published after so many seconds opens all the same.
pub const ROOM_DRAWING_SECONDS_MAX: u64 = 30;
/// The rate of admission is measured over so many seconds, less the running one.
pub const ROOM_PACE_SECONDS: usize = 31;
/// Imagined buyers who took all they may, with whom the odds begin.
pub const ROOM_ODDS_PRIOR: u32 = 20;

// ── filters and breakers ─────────────────────────────────────────────────────────────────────

/// Percent of an index's slots that hold keys at most: probes stay short, and a search always ends
/// at an empty one.
pub const INDEX_FILL_PERCENT_MAX: usize = 75;
/// SKUs that the sold-out filter remembers: as many as hot ones can be, 48 bytes each.
pub const SOLD_OUT_SKUS_MAX: usize = 1 << 20;
/// Slots that one feed into a full sold-out filter looks at for a free SKU to forget.
pub const SOLD_OUT_SWEEP_SLOTS_MAX: usize = 256;
/// Idempotency keys under way: more than requests can be, about 60 bytes each.
pub const DUPLICATES_KEYS_MAX: usize = 1 << 20;
/// The shortest and longest time that a key under way is remembered, in milliseconds: longer than
/// any request, short enough that a lost ticket does not shut out a buyer.
pub const DUPLICATES_LIFE_MS_MIN: u64 = 100;
pub const DUPLICATES_LIFE_MS_MAX: u64 = 600_000;
/// Buckets of a breaker's window: results leave it in steps of a tenth.
pub const BREAKER_BUCKETS: usize = 10;
/// Events (changes of state) that wait to be taken; one call makes at most two.
pub const BREAKER_EVENTS_MAX: usize = 4;
/// Doublings of a breaker's rest, in times: 2^16 times the first is beyond every `rest_max`.
pub const BREAKER_BACKOFF_DOUBLINGS_MAX: u32 = 16;
/// What a refused request is told while probes are under way: they take about that long.
pub const BREAKER_PROBE_RETRY_MS: u64 = 1_000;

/// Rules of one set: a request's rules are found as bits of a 64-bit word.
pub const RULES_MAX: usize = 64;
/// Parts of one key.
pub const KEY_PARTS_MAX: usize = 4;
/// Concurrency slots one request may hold, that is rules with such a limit on one route: a permit
/// is an inline array.
pub const PERMIT_SLOTS_MAX: usize = 4;
/// Routes that rules may name: a word of bits each.
pub const ROUTES_MAX: usize = 4_096;
/// Characters of a rule's name: it is a metric label and a word in a header.
pub const RULE_NAME_CHARACTERS_MAX: usize = 64;
/// Key values of one rule with an override or on its allow-list, 16 bytes and up to as much again.
pub const SPECIAL_KEYS_PER_RULE_MAX: usize = 100_000;
/// Different limits among the overrides of one rule, in things told apart by an index.
pub const OVERRIDE_KINDS_PER_RULE_MAX: usize = 256;
/// Calendars (UTC offsets) that quotas may follow, in things of 16 bytes held in place.
pub const DAYS_ITEMS_MAX: usize = 16;
/// A day until the shell says otherwise, in nanoseconds.
pub const DAY_NS: u64 = 24 * 3_600 * 1_000_000_000;
/// What a refusal for concurrency says about coming back: nobody knows when a slot frees, and a
/// second is what people and programs wait anyway. In nanoseconds.
pub const CONCURRENCY_RETRY_NS: u64 = 1_000_000_000;
/// A limit whose measurement has expired is enforced at this much of itself at most, in millionths;
/// the overload controller may say less. A fifth off is the usual safety factor once more.
pub const STALE_FACTOR_MILLIONTHS_MAX: u64 = 800_000;
/// Buckets of each rule's table that one tick looks at: a million keys in some minutes of ticks a
/// second apart, at a cost of microseconds.
pub const SWEEP_BUCKETS_PER_TICK: usize = 2_048;
