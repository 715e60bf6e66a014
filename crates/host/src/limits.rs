//! Every bound of a process, with its unit in the name and its reason beside it.

/// Connections of one listener. 10,000 idle buyers fit with room for those who are busy.
pub const CONNECTIONS_MAX: usize = 12_000;
/// Worker threads of one listener: more cores than this are better used by more cells.
pub const WORKERS_MAX: usize = 64;
/// Connections the kernel keeps for us until we accept them; its own cap may be lower.
pub const BACKLOG_CONNECTIONS: i32 = 4_096;
/// Connections accepted in one go before the worker looks at anything else.
pub const ACCEPT_BURST_MAX: usize = 64;
/// Pause after the kernel refused to give us another descriptor; retrying at once would spin.
pub const ACCEPT_PAUSE_MS: u64 = 50;

/// From the first byte of a request head to its last. Slower senders hold memory for nothing.
pub const HEADER_MS_DEFAULT: u32 = 5_000;
/// A TLS handshake takes two round trips; this is for those who are very far away.
pub const HANDSHAKE_MS_DEFAULT: u32 = 5_000;
/// Handshakes of one worker at once: some tens of KiB each. Beyond it the oldest makes room.
pub const HANDSHAKES_MAX: usize = 512;
/// A new connection that sends nothing. Browsers open spare ones; ten seconds serve them.
pub const FIRST_BYTE_MS_DEFAULT: u32 = 10_000;
/// A connection between two requests.
pub const IDLE_MS_DEFAULT: u32 = 60_000;
/// A response of which the client takes no byte.
pub const WRITE_STALL_MS_DEFAULT: u32 = 30_000;
/// A tunnel, after an upgrade, without a byte in either direction. WebSockets ping more often.
pub const TUNNEL_IDLE_MS_DEFAULT: u32 = 300_000;
/// In-flight requests get this long to end when the process drains.
pub const DRAIN_MS_DEFAULT: u32 = 10_000;
/// Accepted but silent when the drain begins: the request is probably on its way.
pub const DRAIN_FRESH_MS_DEFAULT: u32 = 250;
/// Idle longer than this may be closed to make room for a new connection at the cap.
pub const EVICT_IDLE_MS_DEFAULT: u32 = 1_000;
/// Idle longer than this gives back its buffers (8 KiB and more) and keeps only its socket.
pub const PARK_IDLE_MS: u32 = 2_000;
/// How often a worker looks at the ages of its connections: the grain of every time above.
pub const SWEEP_MS: u64 = 100;
/// Connections noted as evictable in one look; the look costs time, so it is done once a sweep.
pub const EVICT_LIST_MAX: usize = 1_024;

/// Bytes of a request head, and the read buffer of a connection, where a listener does not say
/// otherwise.
pub const HEAD_BYTES_MAX: usize = 32 * 1_024;
/// The read buffer of a connection that takes small heads only: hyper refuses a smaller one.
pub const HEAD_BUFFER_BYTES_MIN: usize = 8 * 1_024;
/// Bytes of a request line, target included: longer ones are answered 414.
pub const TARGET_BYTES_MAX: usize = 8 * 1_024;
/// Header lines of a request, where a listener does not say otherwise; hyper's own bound for
/// HTTP/1.
pub const HEADERS_MAX: usize = 100;
/// Heads of pipelined requests waiting behind one: what a full buffer of the shortest holds.
pub const PIPELINED_HEADS_MAX: usize = 2 * HEAD_BYTES_MAX / 16;
/// Bytes read at once; one such buffer for a whole worker.
pub const READ_BYTES: usize = 16 * 1_024;
/// Up to this many bytes, copying head and body together costs less than a vectored write.
pub const JOINED_BYTES_MAX: usize = 4 * 1_024;
/// Chunks a streaming answer may be ahead of its reader: then its sender has to wait or drop.
pub const STREAM_CHUNKS_MAX: usize = 64;

/// Streams of one HTTP/2 connection at once, where a listener does not say otherwise: more than a
/// page asks for.
pub const H2_STREAMS_MAX: u32 = 100;
/// Bytes of the table that a client compresses its headers with; the protocol's default.
pub const H2_TABLE_BYTES_MAX: u32 = 4 * 1_024;
/// Streams reset by the client before we saw their request: a few when a page is left, more in
/// an attack (CVE-2023-44487), which ends the connection.
pub const H2_PENDING_RESETS_MAX: usize = 32;
/// Streams that we reset for errors of the client, of one connection.
pub const H2_LOCAL_RESETS_MAX: usize = 128;
/// Requests given up before their answer, of one connection. Beyond it, and beyond half of
/// all its requests, cancelling is what it came for.
pub const H2_CANCELLED_MAX: u32 = 200;
/// Bytes of a body that may be under way unread: of a stream, and of a connection.
pub const H2_STREAM_WINDOW_BYTES: u32 = 64 * 1_024;
pub const H2_CONNECTION_WINDOW_BYTES: u32 = 256 * 1_024;
/// Bytes of a frame, and of an answer's piece: what a stalled stream can hold of ours.
pub const H2_FRAME_BYTES_MAX: usize = 16 * 1_024;
/// Bytes of a stream waiting to be sent: the piece that is taken, and the next.
pub const H2_SEND_BYTES_MAX: usize = 2 * H2_FRAME_BYTES_MAX;
/// Silence after which a peer is asked whether it is there, and how long it has to say so.
pub const H2_PING_MS: u64 = 20_000;
pub const H2_PONG_MS: u64 = 10_000;

/// Certificates of one listener, names of one certificate, and bytes of a PEM file: a chain has
/// a few thousand.
pub const CERTIFICATES_MAX: usize = 1_024;
pub const NAMES_PER_CERTIFICATE_MAX: usize = 256;
pub const PEM_BYTES_MAX: u64 = 256 * 1_024;

/// After an early answer the client may still be sending; what it sends is read and dropped,
/// so that it sees the answer instead of a reset. Until it stops, or this long, or this much.
pub const LINGER_MS: u64 = 2_000;
pub const LINGER_BYTES_MAX: usize = 16 * 1_024 * 1_024;
pub const LINGER_READ_BYTES: usize = 16 * 1_024;

/// First allocation for a body that comes in pieces; it grows up to the caller's limit.
pub const BODY_START_BYTES: usize = 8 * 1_024;

/// An operator's request: lists of SKUs and terms, sent by hand or by a script.
pub const ADMIN_BODY_BYTES_MAX: usize = 4 * 1_024 * 1_024;
pub const ADMIN_BODY_MS: u64 = 5_000;
/// Bytes of an operators' token, the end of its line not counted: one of ours has 43.
pub const TOKEN_FILE_BYTES_MAX: u64 = 256;
/// Characters that a token of the operators' own must have: fewer can be guessed.
pub const TOKEN_GIVEN_CHARS_MIN: usize = 32;

/// Bytes of a configuration file: ours has under a hundred lines.
pub const CONFIG_BYTES_MAX: u64 = 1_024 * 1_024;

/// Cells of a fleet: ten bits of an order id.
pub const CELLS_MAX: u16 = 1_024;
/// Windows of remembering: ten years of seconds.
pub const WINDOW_SECONDS_MAX: u64 = 3_650 * 24 * 3_600;

const _: () = {
    assert!(HEAD_BYTES_MAX >= HEAD_BUFFER_BYTES_MIN);
    assert!(
        SWEEP_MS as u32 * 2 <= DRAIN_FRESH_MS_DEFAULT,
        "a sweep sees a fresh connection in time"
    );
    assert!(
        PARK_IDLE_MS < IDLE_MS_DEFAULT,
        "idle connections are parked before they end"
    );
    assert!(EVICT_LIST_MAX <= CONNECTIONS_MAX);
};
