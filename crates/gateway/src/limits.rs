//! Every bound of the gateway, with its unit in the name or in the sentence above, and its reason.

// ── upstreams and the proxy ────────────────────────────────────────────────────────────────────

/// Pools of one configuration, in names: more services than one door is put before.
pub const POOLS_MAX: usize = 1_024;
/// Peers of one pool; a request notes which of them it has tried in so many bits.
pub const PEERS_MAX: usize = 256;
pub const WEIGHT_MAX: u32 = 1_000;
/// Weights are handled in thousandths, so that a slow start has steps.
pub const WEIGHT_SCALE: u64 = 1_000;
/// Random looks for two usable peers before all are looked at.
pub const PICK_LOOKS_MAX: usize = 8;
/// Addresses kept of one name.
pub const ADDRESSES_MAX: usize = 64;
/// Looking a name up more often than each second asks too much of name servers.
pub const RESOLVE_MS_MIN: u64 = 1_000;
/// A look-up that takes longer counts as failed; the next one will come.
pub const RESOLVE_TIMEOUT_MS: u64 = 5_000;
/// More health checks a second would be load instead of a look.
pub const HEALTH_MS_MIN: u64 = 100;
/// Bytes of the head of a health check's answer.
pub const HEALTH_HEAD_BYTES_MAX: usize = 16 * 1_024;

/// How often a worker looks at deadlines: the grain of every time-out of the proxy.
pub const WATCH_MS: u64 = 20;
/// How often a worker looks through its idle connections, in looks at deadlines.
pub const SWEEP_EVERY_LOOKS: u32 = 10;

/// Retries a fresh worker may make before requests have paid for any, in hundredths: five.
pub const RETRY_BUDGET_START_PERCENT: u32 = 500;
/// Saved-up retries, in hundredths: fifty. A quiet hour must not pay for a storm.
pub const RETRY_BUDGET_MAX_PERCENT: u32 = 5_000;
/// Retries of one request, whatever a pool says.
pub const RETRIES_MAX: u32 = 8;

/// Bytes of an upstream's answer head, and of trailers.
pub const RESPONSE_HEAD_BYTES_MAX: usize = 32 * 1_024;
/// Lines of an upstream's answer head.
pub const RESPONSE_HEADERS_MAX: usize = 100;
/// Room for so many lines at first; most answers have fewer.
pub const ANSWER_HEADERS: usize = 16;
/// Header maps kept by a worker for the next answers, and the largest that is worth keeping.
pub const SPARE_MAPS_MAX: usize = 64;
pub const SPARE_MAP_HEADERS_MAX: usize = 64;
/// Interim answers (1xx) before a final one.
pub const INTERIM_MAX: u32 = 8;
/// Bytes of a chunk's extension, which nobody needs.
pub const CHUNK_EXTENSION_BYTES_MAX: usize = 256;
/// A worker's read buffer; what is read is handed on without a copy.
pub const READ_BYTES: usize = 32 * 1_024;
/// With less room than this left in it, the read buffer is renewed.
pub const READ_ROOM_BYTES_MIN: usize = 8 * 1_024;
/// The first size of a worker's buffer for request heads.
pub const HEAD_OUT_BYTES: usize = 4 * 1_024;
/// A body up to this length is read before its request is sent: it can be sent again, travels
/// with its head, and a slow client does not hold a connection.
pub const BODY_BUFFER_BYTES_MAX: usize = 16 * 1_024;
/// Request bodies, unless a route says otherwise.
pub const REQUEST_BYTES_MAX_DEFAULT: u64 = 16 * 1_024 * 1_024;
/// How long an upstream may take to say `100 Continue` before the body is sent all the same.
pub const CONTINUE_MS: u64 = 1_000;
/// Bytes in flight in each direction of a tunnel.
pub const TUNNEL_BYTES: usize = 16 * 1_024;
/// A busy HTTP/2 connection to an upstream that is silent for so long is asked whether it lives.
pub const HTTP2_PING_MS: u64 = 10_000;
/// Names in `Connection` that are obeyed; nobody has more to hide from the next hop.
pub const CONNECTION_NAMES_MAX: usize = 16;
/// Ranges of trusted proxies.
pub const TRUSTED_MAX: usize = 1_024;
/// Proxies in a row that are believed.
pub const FORWARDED_HOPS_MAX: usize = 32;

const _: () = {
    assert!(
        PEERS_MAX.is_multiple_of(64),
        "tried peers are noted in whole words"
    );
    assert!(READ_ROOM_BYTES_MIN < READ_BYTES);
    assert!(RETRY_BUDGET_START_PERCENT <= RETRY_BUDGET_MAX_PERCENT);
};

// ── the waiting room ───────────────────────────────────────────────────────────────────────────

/// Characters of a room's name: it stands in cookies and paths.
pub const ROOM_NAME_CHARS_MAX: usize = 32;
/// A tick of a room in ms: ten times a second people are let in.
pub const ROOM_TICK_MS: u64 = 100;
/// The questions a second that all who wait may ask together.
pub const ROOM_POLLS_PER_S: u64 = 20_000;
/// Nobody asks more often; a person at the head of the line learns it so soon.
pub const ROOM_POLL_MS_MIN: u64 = 2_000;
/// Nobody asks more seldom, unless a million wait.
pub const ROOM_POLL_MS_MAX: u64 = 30_000;
/// Characters of the path to which a person returns.
pub const ROOM_TO_CHARS_MAX: usize = 2_048;
/// Buyers of one list: a room holds no more.
pub const ROOM_LIST_BUYERS_MAX: usize = 4_000_000;
/// Bytes of a list's file: 33 a buyer.
pub const ROOM_LIST_FILE_BYTES_MAX: u64 = 33 * ROOM_LIST_BUYERS_MAX as u64;
/// Buyers of one page of the public list: 330 kB.
pub const ROOM_LIST_PAGE_BUYERS: usize = 10_000;
/// Hashes on the way to a root, at most: two levels above the largest list. In pieces of 32 bytes.
pub const ROOM_PATH_HASHES_MAX: usize = 24;
/// Records that wait for the disk: half a second of the fastest arrivals.
pub const ROOM_JOURNAL_QUEUE_RECORDS: usize = 65_536;
/// Records of one write and sync: 256 KiB.
pub const ROOM_JOURNAL_GROUP_RECORDS: usize = 8_192;
/// Bytes of one room's journal; it begins anew with each start and whenever nobody waits.
pub const ROOM_JOURNAL_BYTES_MAX: u64 = 1 << 30;

// ── the mark of rehearsals ─────────────────────────────────────────────────────────────────────

/// Bytes of a run's name: it stands in a header, in logs and in labels.
pub const MARK_RUN_BYTES_MAX: usize = 64;
/// Bytes of a key: as many as SHA-256 gives.
pub const MARK_KEY_BYTES_MIN: usize = 32;
/// Bytes of a key's file; more is not a key.
pub const MARK_KEY_BYTES_MAX: usize = 4_096;

const _: () = assert!(MARK_RUN_BYTES_MAX < 256, "its length is one byte");

// ── the door ───────────────────────────────────────────────────────────────────────────────────

/// Idempotency keys under way that are watched; beyond it requests go on to the engine, which is
/// exact. Some 32 bytes each.
pub const DUPLICATE_KEYS_MAX: usize = 65_536;
/// Seconds after which a key whose request never ended is forgotten.
pub const DUPLICATE_LIFE_S: u64 = 60;
/// SKUs of the filter for what is sold out.
pub const SOLD_OUT_SKUS_MAX: usize = 1_000_000;
/// Turned switches that operators can look up, in entries.
pub const SWITCH_EVENTS_KEPT_ENTRIES: usize = 1_000;
/// Bytes of a file that is an answer and stays in memory.
pub const STATIC_FILE_BYTES_MAX: u64 = 4 << 20;
/// Bytes of such a file that is also kept compressed: that is done when it is read, and takes some
/// ten milliseconds for each.
pub const COMPRESSED_FILE_BYTES_MAX: usize = 1 << 20;
/// Bytes of a key that the door makes for itself.
pub const ROOM_KEY_BYTES_MIN: usize = 32;

// ── access log and recorder ────────────────────────────────────────────────────────────────────

/// Buffers of the access log, in threads that write: one for each worker, and for those of the
/// configuration before.
pub const ACCESS_WRITERS_MAX: usize = 1_024;
/// A worker's buffer of lines in bytes; when it holds so much, further lines are dropped. A second
/// of ten thousand requests is two.
pub const ACCESS_BUFFER_BYTES_MAX: usize = 2 << 20;
/// A buffer that reaches so many bytes is written at once: large enough for few system calls.
pub const ACCESS_WAKE_BYTES: usize = 64 << 10;
/// How long a line waits at most, if no buffer fills: short for whoever follows the file.
pub const ACCESS_WRITE_MS: u64 = 100;
/// Things that the log's thread is asked to do and has not yet done.
pub const ACCESS_ORDERS: usize = 64;
/// Bytes of a target in a line; longer ones are attacks or mistakes.
pub const ACCESS_TARGET_BYTES_MAX: usize = 4_096;
/// Bytes of every other text in a line.
pub const ACCESS_TEXT_BYTES_MAX: usize = 1_024;

/// Requests that wait for the recorder's thread.
pub const RECORDER_QUEUE_REQUESTS: usize = 1_024;
/// Bytes of the requests that wait, since some have bodies.
pub const RECORDER_QUEUE_BYTES_MAX: usize = 16 << 20;
/// Bytes of recorded requests that are written at once.
pub const RECORDER_GROUP_BYTES: usize = 64 << 10;
/// Bytes of one recorded request: a body of 1 MiB and a head of 256 KiB, each byte escaped in six.
pub const RECORD_LINE_BYTES_MAX: usize = 8 << 20;

const _: () = assert!(ACCESS_WAKE_BYTES * 2 <= ACCESS_BUFFER_BYTES_MAX);
const _: () = assert!(RECORD_LINE_BYTES_MAX >= 6 * ((1 << 20) + (256 << 10)));

/// Bytes of a question about flags: its context has a key and some words.
pub const FLAGS_BODY_BYTES_MAX: usize = 64 << 10;
/// From the published root to the secret, in seconds: time for witnesses to note the root.
pub const ROOM_REVEAL_AFTER: std::time::Duration = std::time::Duration::from_secs(60);

// ── budgets that instances share ───────────────────────────────────────────────────────────────

/// How often an instance tells the others what it has and lacks, in milliseconds.
pub const SHARE_ROUND_MS: u64 = 200;
/// How often values are exchanged with some others, in milliseconds: twice a round, so that a note
/// is with everybody within about one.
#[cfg(feature = "cluster")]
pub const GOSSIP_MS: u64 = 100;
/// How long a loan of a share lasts, in milliseconds: ten rounds, so that lost packets and busy
/// processors seldom end one.
pub const SHARE_LEASE_MS: u64 = 2_000;
/// Within this, in milliseconds, instances that are not cut off hear of each other: five rounds.
pub const SHARE_HEAR_MS: u64 = 1_000;
/// After so many seconds without a sign an instance is forgotten by the gossip.
#[cfg(feature = "cluster")]
pub const GOSSIP_FORGET_S: u64 = 60;
/// Instances of the gossip whose values are looked at, the dead included; more are strangers.
#[cfg(feature = "cluster")]
pub const GOSSIP_INSTANCES_MAX: usize = 1_024;
/// Lines of a note: one for each other instance.
pub const NOTE_LINES_MAX: usize = guard::limits::SHARE_INSTANCES_MAX;
/// Values of one instance that are looked at: one for each rule there can be.
#[cfg(feature = "cluster")]
pub const SHARED_RULES_MAX: usize = guard::limits::RULES_MAX;
/// Bytes of a note: 64 lines of three numbers with 47 digits, a head and a MAC.
pub const NOTE_BYTES_MAX: usize = 4_096;
/// Opening the address again after the gossip ended, in milliseconds.
#[cfg(feature = "cluster")]
pub const GOSSIP_AGAIN_MS: u64 = 1_000;

const _: () = assert!(SHARE_LEASE_MS >= 5 * SHARE_ROUND_MS && SHARE_HEAR_MS >= 3 * SHARE_ROUND_MS);
/// Bytes of a file with certificates or a key towards upstreams: a system's whole list is a
/// quarter of a MiB.
pub const UPSTREAM_PEM_BYTES_MAX: u64 = 1 << 20;
/// Reads in which an idle TLS connection may tell about itself (tickets for the next session)
/// before it counts as one that talks unasked.
pub const QUIET_READS_MAX: usize = 4;
