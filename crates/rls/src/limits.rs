//! Every bound of the service, with its unit in the name or in the sentence above, and its reason.

/// Bytes of one call's message: descriptors of one request are some hundred.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1_024;
/// How long a call's message may take to arrive; it comes in one piece with its head.
pub const MESSAGE_MS_MAX: u64 = 2_000;
/// Descriptors of one call. What has more is refused whole, so that none goes uncounted.
pub const DESCRIPTORS_MAX: usize = guard::limits::DESCRIPTIONS_MAX;
/// Entries of one descriptor: one for each attribute, and some that nobody knows.
pub const ENTRIES_PER_DESCRIPTOR_MAX: usize = 32;
/// Hits of one descriptor: more at once than any rate allows.
pub const HITS_MAX: u32 = guard::limits::BURST_REQUESTS_MAX;
/// Connections: each worker thread of each Envoy has a few.
pub const CONNECTIONS_MAX: usize = 4_096;
/// A connection without a call, in milliseconds: proxies keep theirs, and reconnecting costs the
/// first buyer after a pause.
pub const IDLE_MS: u32 = 600_000;
/// Domains and entries that may be named.
pub const DOMAIN_NAMES_MAX: usize = 64;
pub const ENTRY_NAMES_MAX: usize = 64;
