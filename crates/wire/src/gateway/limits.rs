//! Bounds of the files that people write for the door. They keep a wrong file from taking memory,
//! and are far above what a right one needs.

/// Bytes of one file: ten thousand rules with overrides are below 4 MiB.
pub const FILE_BYTES_MAX: u64 = 4 << 20;
/// Characters of a name: it becomes a label of metrics.
pub const NAME_CHARS_MAX: usize = 64;
/// Characters of the name of a file, as systems bound it.
pub const FILE_NAME_CHARS_MAX: usize = 4_096;
/// Characters of a host name, RFC 1035.
pub const HOST_CHARS_MAX: usize = 253;
/// Characters of a path or a URL: what a listener accepts at least.
pub const PATH_CHARS_MAX: usize = 2_048;
/// Characters of a header's name.
pub const HEADER_NAME_CHARS_MAX: usize = 64;
/// Characters of a header's or a key's value.
pub const VALUE_CHARS_MAX: usize = 256;
/// Characters of reasons and other sentences.
pub const SENTENCE_CHARS_MAX: usize = 500;
/// Requests in one period of a rate: ten million a second is beyond one machine.
pub const RATE_COUNT_MAX: u64 = 10_000_000;

/// Listeners of one process: names.
pub const LISTENER_NAMES_MAX: usize = 16;
/// Certificates of one listener: names and keys are kept in memory.
pub const CERTIFICATE_FILES_MAX: usize = 256;
/// Names of one certificate or route: hosts.
pub const HOST_NAMES_MAX: usize = 64;
/// Blocks of proxies that are trusted; asked for each request, so few: addresses in batches.
pub const TRUSTED_BATCHES_MAX: usize = 64;
/// Places where an identity is looked for, keys in order.
pub const IDENTITY_KEYS_MAX: usize = 8;
/// Routes: their numbers have 16 bits and their metrics one series each.
pub const ROUTE_SERIES_MAX: usize = 1_000;
/// Headers that one route may ask for.
pub const ROUTE_HEADERS_MAX: usize = 8;
/// Names of features of one route.
pub const FEATURE_NAMES_MAX: usize = 32;
/// Upstreams: one pool of connections each on every worker.
pub const UPSTREAM_NAMES_MAX: usize = 256;
/// Peers of one upstream: names.
pub const PEER_NAMES_MAX: usize = 256;
/// Waiting rooms by name.
pub const ROOM_NAMES_MAX: usize = 16;
/// Pages that are rendered ahead.
pub const PRERENDERED_PAGES_MAX: usize = 256;
/// Names of fields that the recorder blanks.
pub const REDACTED_NAMES_MAX: usize = 64;

/// Limits: a request's rules are found as bits of one word; their names are labels.
pub const RULE_NAMES_MAX: usize = 64;
/// Limits of requests at once that may meet on one route: a request holds a slot of each.
pub const ROUTE_SLOTS_MAX: usize = 4;
/// Different limits among the overrides of one rule, in kinds (things) told apart by an index.
pub const OVERRIDE_LEVELS_MAX: usize = 256;
/// Seats of one waiting room, those inside included: what its memory holds.
pub const ROOM_SEATS_SLOTS_MAX: u64 = 4_000_000;
/// Requests in flight: the table of buyers has a place for each.
pub const IN_FLIGHT_REQUESTS_MAX: u64 = 65_536;
/// Attributes in one key.
pub const KEY_ATTRIBUTES_MAX: usize = 4;
/// Different headers in keys of all rules: facts have room for so many headers.
pub const KEY_HEADERS_MAX: usize = 4;
/// Keys of one rule with a limit of their own, and keys that it lets through.
pub const OVERRIDE_KEYS_MAX: usize = 10_000;
/// Instances among which a budget may be shared: threads of gossip grow with them, in cells.
pub const INSTANCE_CELLS_MAX: u64 = 1_000;
/// Instances that are asked for the others: one that answers is enough.
pub const SEED_NAMES_MAX: usize = 64;

/// Switches: names.
pub const SWITCH_NAMES_MAX: usize = 256;
/// Milliseconds that a switch may stay on: a week; what lasts longer is a deployment.
pub const SWITCH_MS_MAX: u64 = 7 * 86_400_000;
/// Bytes of a switch's name, owner and reason: they are kept with each event.
pub const SWITCH_TEXT_BYTES_MAX: usize = 256;
/// Edits that an unknown key may be away from the one that is suggested, in characters.
pub const SUGGESTION_CHARS_MAX: usize = 3;
