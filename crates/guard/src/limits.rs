//! Every bound of admission, with its unit and its reason.

// ── rate limits, quotas, rules ───────────────────────────────────────────────────────────────

/// Requests per second of one rate: an interval of 100 ns, ten times above what one process serves.
pub const RATE_REQUESTS_PER_SECOND_MAX: u64 = 10_000_000;
/// Requests at once of one rate: as many as the fastest rate lets through in a second.
pub const BURST_REQUESTS_MAX: u32 = 10_000_000;
/// The longest period of a rate, in nanoseconds: a year.
pub const RATE_PERIOD_NS_MAX: u64 = 366 * 24 * 3_600 * 1_000_000_000;
/// Intervals and tolerances stop growing here, at two years in nanoseconds, so that a state fits
/// the 58 bits of a table's entry for years.
pub const SPAN_NS_MAX: u64 = 1 << 56;
/// A daily quota and a number of slots, in requests: 24 bits of a table's entry.
pub const COUNT_REQUESTS_MAX: u32 = (1 << 24) - 1;

/// Keys of one rule's table: at up to 24 bytes each, 400 MB for a rule that needs them all.
pub const KEYS_PER_RULE_MAX: usize = 1 << 24;
/// Keys of one rule's table unless configured: more buyers than one instance serves at once.
pub const KEYS_PER_RULE_DEFAULT: usize = 1_000_000;
/// Keys of one shard on average when the table is full; bounds the work of one growth step to
/// some ten microseconds.
pub const KEYS_PER_SHARD: usize = 1_024;
/// Buckets of four entries looked at before a full table forgets a key that is still live.
pub const EVICTION_BUCKETS: usize = 16;

const _: () = {
    assert!(KEYS_PER_RULE_DEFAULT <= KEYS_PER_RULE_MAX);
    // `shards × KEYS_PER_SHARD` is exact, and a place fits its 32-bit fields.
    assert!(KEYS_PER_RULE_MAX.is_multiple_of(KEYS_PER_SHARD) && KEYS_PER_SHARD.is_power_of_two());
    assert!(KEYS_PER_RULE_MAX < u32::MAX as usize);
    // A year, a burst and an interval together fit an entry.
    assert!(RATE_PERIOD_NS_MAX < SPAN_NS_MAX && SPAN_NS_MAX < (1 << 58) / 3);
    // A numerator fits an entry: it is below the number of requests a second.
    assert!(RATE_REQUESTS_PER_SECOND_MAX <= COUNT_REQUESTS_MAX as u64);
};

// The waiting room.

/// Seats of one room, in buyers waiting and inside together: 4 million, some 240 MB.
pub const ROOM_SEATS_MAX: u32 = 4_000_000;
/// Buyers let in a second, at most: keeps billionths of a person within 64 bits.
pub const ROOM_ADMIT_PER_S_MAX: u64 = 1_000_000;
/// The longest period of a room's rate, in seconds: a day. Nobody waits for longer ones.
pub const ROOM_RATE_PERIOD_SECONDS_MAX: u64 = 86_400;
/// With fewer buyers than this stated for [`ROOM_PACE_SECONDS`], the wait is told from the rate:
/// a measure of so few would jump.
pub const ROOM_PACE_BUYERS_MIN: u64 = 10;
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

/// Descriptions of one request, in entries, each a part of what another proxy knows of it: those
/// of one route
/// are a handful.
pub const DESCRIPTIONS_MAX: usize = 16;
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

// ── overload control ─────────────────────────────────────────────────────────────────────────

/// Requests under way at most: the table of buyers takes 24 to 48 bytes for each.
pub const OVERLOAD_LIMIT_MAX: u32 = 65_536;
/// The shortest window, in milliseconds: a reaction within a few tenths of a second.
pub const OVERLOAD_WINDOW_MS_MIN: u64 = 100;
/// The longest, in milliseconds: then it is judged with what it has.
pub const OVERLOAD_WINDOW_MS_MAX: u64 = 1_000;
/// A window lasts this many times the expected latency, so that it judges its own requests.
pub const OVERLOAD_WINDOW_LATENCIES: f64 = 4.0;
/// Samples that a window waits for: a mean of 16 is within a quarter of the spread.
pub const OVERLOAD_WINDOW_SAMPLES_MIN: u32 = 16;
/// Samples until a class's expected latency is known.
pub const OVERLOAD_FIRST_SAMPLES: u32 = 16;
/// Times the limit may shrink in one window, before its root is added.
pub const OVERLOAD_GRADIENT_MIN: f64 = 0.5;
/// Part of the way to the target that the limit goes per window (times the distance): with the
/// root's own pull the distance shrinks to about 0.6 a window, without overshoot.
pub const OVERLOAD_SMOOTHING: f64 = 0.5;
/// A latency counts as at most this many times the expected one.
pub const OVERLOAD_OUTLIER: f64 = 8.0;
/// Weight of one sample (times its distance) from far below the limit, and of a probe's mean per
/// class.
pub const OVERLOAD_DRIFT: f64 = 1.0 / 64.0;
/// Weight of one probe (times its distance) that found about what was expected.
pub const OVERLOAD_BELIEVE: f64 = 0.25;
/// A probe that found this many times more or less is believed whole.
pub const OVERLOAD_JUMP: f64 = 1.5;
/// A probe within this share (times the expected latency), chance apart, confirms it.
pub const OVERLOAD_SETTLED: f64 = 0.15;
/// A window this many times slower than expected asks for a probe at once.
pub const OVERLOAD_SURPRISE: f64 = 1.75;
/// A request is far below the limit while at most one of this many places (slots) is used.
pub const OVERLOAD_CALM_SHARE: u32 = 4;
/// A probe's first level, in times the work that goes on at once.
pub const OVERLOAD_PROBE_DEPTH: f64 = 0.8;
/// The first level is never below this many times the requests under way: the work was estimated
/// with the latency that is in doubt.
pub const OVERLOAD_PROBE_FIRST_DEPTH_MIN: f64 = 0.6;
/// Each further level, in times the one before.
pub const OVERLOAD_PROBE_STEP_DEPTH: f64 = 0.75;
/// Latency that falls by this many times the level's own fall was a queue: one step deeper.
pub const OVERLOAD_PROBE_ELASTIC: f64 = 0.75;
/// Samples of a step, in rounds of its level, and their bounds.
pub const OVERLOAD_PROBE_ROUNDS: f64 = 4.0;
pub const OVERLOAD_PROBE_SAMPLES_MIN: u32 = 16;
pub const OVERLOAD_PROBE_SAMPLES_MAX: u32 = 256;
/// Milliseconds between probes: the shortest while they find news, doubling to the longest.
pub const OVERLOAD_PROBE_MS_MIN: u64 = 250;
pub const OVERLOAD_PROBE_MS_MAX: u64 = 4_000;
/// And never more often than every this many times the expected latency.
pub const OVERLOAD_PROBE_PAUSE_LATENCIES: f64 = 25.0;
/// A step that has not its samples after this many times the expected latency is given up.
pub const OVERLOAD_PROBE_LATENCIES_MAX: f64 = 30.0;
/// A probe leaves the highest class alone while the level is this many times its demand.
pub const OVERLOAD_PROBE_EXEMPT: f64 = 4.0;
/// Milliseconds in which a class's demand is forgotten when it ends.
pub const OVERLOAD_DEMAND_MS: f64 = 1_000.0;
/// Slots that a class keeps free for higher ones beyond their demand, in times its root (the
/// spread of Poisson arrivals) and in the order of `Class::ALL`: the most for whoever pays, and
/// less where much would stay unused.
pub const OVERLOAD_STAFFING: [f64; 6] = [0.0, 3.0, 2.25, 1.75, 1.5, 1.5];
/// Percent of the limit kept free for higher classes, in the order of `Class::ALL`, also before
/// any of them was seen.
pub const OVERLOAD_KEPT_PERCENT: [f64; 6] = [0.0, 10.0, 15.0, 20.0, 25.0, 30.0];
/// From this percent of the limit on, buyers are weighed against each other.
pub const OVERLOAD_SOFT_PERCENT: u64 = 75;
/// Seconds after which the shed are asked back, at most.
pub const OVERLOAD_RETRY_SECONDS_MAX: f64 = 60.0;
/// Nanoseconds (5 ms): a latency below is good, whatever was expected. CoDel's target for a queue
/// that stands (RFC 8289, 4.4); nobody notices it, and a fast service far below it is merely busy.
pub const OVERLOAD_GOOD_NS: f64 = 5e6;
/// Times that a limit in use grows per window while the mean latency is good: as fast as that of a
/// TCP connection before its first loss.
pub const OVERLOAD_GOOD_GROWTH: f64 = 1.5;
/// Readings of the machine are used at most this often: every 100 milliseconds.
pub const OVERLOAD_READING_MS_MIN: u64 = 100;
/// In percent over 100: above this share of the CPU, while answers are slow, the limit is cut in
/// proportion. A full CPU alone is none of its business: whoever shares the machine may fill it.
pub const OVERLOAD_CPU_TARGET: f64 = 0.9;
/// In percent over 100: below this share it grows back; between the two it stays.
pub const OVERLOAD_CPU_LOW: f64 = 0.8;
/// Answers are slow from this many times the expected latency on: a queue of a tenth.
pub const OVERLOAD_CPU_SLOW: f64 = 1.1;
/// And for this long after the window that found it, in milliseconds: then it is news no more.
pub const OVERLOAD_CPU_SLOW_MS: u64 = 1_000;
/// Nanoseconds (20 ms) that requests wait for the door itself before the limit is cut, in
/// proportion: more than the time slices of a full machine make of it.
pub const OVERLOAD_QUEUE_NS: f64 = 20e6;
/// It is not cut below this many times itself per reading, however long the queue.
pub const OVERLOAD_QUEUE_CUT_MIN: f64 = 0.7;
/// Below this many times [`OVERLOAD_QUEUE_NS`] it grows back; between the two it stays.
pub const OVERLOAD_QUEUE_LOW: f64 = 0.5;
/// Times that the machine's limit grows per reading.
pub const OVERLOAD_MACHINE_GROWTH: f64 = 1.1;
/// Percent of the limit that requests whose bodies still flow may take, but always one: a client
/// can take hours to send a large one, and nobody works for it meanwhile.
pub const OVERLOAD_FLOWING_PERCENT: u32 = 25;

// ── switches ─────────────────────────────────────────────────────────────────────────────────

/// Switches of one configuration: more than an operator can keep in mind, commands to read each.
pub const SWITCHES_MAX: usize = 256;
/// Features that switches may shield; each is a label in answers and headers.
pub const SWITCH_FEATURES_MAX: usize = 256;
/// Routes with a list of actions: pages and services of one door.
pub const SWITCH_ROUTES_MAX: usize = 8_192;
/// Series (samples over time) that triggers look at.
pub const SWITCH_METRICS_MAX: usize = 1_024;
/// Bytes of a name, an owner or a reason: a sentence in the audit log.
pub const SWITCH_TEXT_BYTES_MAX: usize = 256;
/// The shortest and longest "largest duration", in milliseconds: a second, and a week of sale.
pub const SWITCH_DURATION_MS_MIN: u64 = 1_000;
pub const SWITCH_DURATION_MS_MAX: u64 = 7 * 24 * 3_600_000;
/// A series with a longer pause than this, in milliseconds, does not say what was in between.
pub const SWITCH_METRIC_GAP_MS_MAX: u64 = 30_000;
/// Events that wait for the audit log; the shell takes them several times a second.
pub const SWITCH_EVENTS_MAX: usize = 1_024;

// ── shares of a cluster's budget ─────────────────────────────────────────────────────────────

/// Instances that one instance hears besides itself, in lines of its notes.
pub const SHARE_INSTANCES_MAX: usize = 64;
/// Of a place, in millionths (these are five percent): never lent, so that whoever was idle can
/// start at once, and all that a restarted instance has at first. With all demand at one of many,
/// so much is not used.
pub const SHARE_FLOOR_MILLIONTHS: u64 = 50_000;
/// Loans change in steps of more than this, in millionths of the budget: less is noise.
pub const SHARE_STEP_MILLIONTHS: u64 = 10_000;
/// Demand follows what is measured by one part in so many a round (EWMA): sums of few requests
/// jump.
pub const SHARE_SMOOTHING_ROUNDS: u64 = 4;
/// Rounds whose sending time is kept: a loan that answers an older one has run out.
pub const SHARE_ROUNDS_KEPT: usize = 64;
/// Falling loans to one borrower that it may not have heard of; then they do not fall further.
pub const SHARE_GRANTS_MAX: usize = 32;
/// A borrower's lease is shorter than the lender's by one part in so many: 1 % between two clocks,
/// far more than crystals drift.
pub const SHARE_DRIFT_DIVISOR: u64 = 100;
