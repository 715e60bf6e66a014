//! Every bound of the journal, with its unit in the name and its reason beside it.

/// Payload of one batch. A replicated log takes messages up to about this size, and one sync of
/// it stays within a few milliseconds.
pub const BATCH_PAYLOAD_BYTES_MAX: usize = 512 * 1024;
/// Bytes before a payload.
pub const RECORD_HEADER_BYTES: usize = 32;
/// Records start at multiples of this.
pub const RECORD_ALIGN_BYTES: usize = 8;
/// The largest record on disk.
pub const RECORD_BYTES_MAX: usize = RECORD_HEADER_BYTES + BATCH_PAYLOAD_BYTES_MAX;
/// What a disk is taken to write whole or not at all.
pub const SECTOR_BYTES: usize = 512;
/// The head of a segment: a sector of its own, never rewritten with the first batch.
pub const SEGMENT_HEADER_BYTES: usize = SECTOR_BYTES;
/// A segment, unless configured: a roll about every half a million orders.
pub const SEGMENT_BYTES_DEFAULT: u64 = 64 * 1024 * 1024;
/// The smallest segment (simulator) and the largest (a roll must stay preparable in seconds).
pub const SEGMENT_BYTES_MIN: u64 = 4 * 1024;
pub const SEGMENT_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Free space below which the journal calls itself low, unless configured.
pub const RESERVE_BYTES_DEFAULT: u64 = 256 * 1024 * 1024;
/// `statvfs` is asked once per so many questions about room: clock-free, below 1 µs on average.
pub const ROOM_QUESTIONS_PER_LOOK: u32 = 64;
/// Bytes per read: small while following the tail, large while replaying.
pub const READ_CHUNK_BYTES_MIN: usize = 16 * 1024;
pub const READ_CHUNK_BYTES_MAX: usize = 1024 * 1024;
/// Looks at a journal that is being written before what a survey sees is told as it is.
pub const SURVEY_LOOKS_MAX: usize = 5;
/// Zeros written per step while a segment is prepared; between steps the thread may be stopped.
pub const ZERO_CHUNK_BYTES: usize = 1024 * 1024;
/// Names read from one folder: a journal of 64 TiB has a million segments.
pub const FOLDER_ENTRIES_MAX: usize = 1_048_576;
/// Attempts of one read or write that a signal interrupted or that moved nothing.
pub const INTERRUPTIONS_MAX: u32 = 1_000;
/// Bytes gathered before a snapshot is written on, and read ahead when it is loaded.
pub const SNAPSHOT_CHUNK_BYTES: usize = 256 * 1024;

const _: () = {
    assert!(
        RECORD_HEADER_BYTES.is_multiple_of(RECORD_ALIGN_BYTES),
        "payloads start aligned"
    );
    assert!(
        BATCH_PAYLOAD_BYTES_MAX.is_multiple_of(RECORD_ALIGN_BYTES),
        "the bound is padded"
    );
    assert!(
        SEGMENT_BYTES_MIN.is_multiple_of(SECTOR_BYTES as u64),
        "segments are whole sectors"
    );
    assert!(
        SEGMENT_BYTES_DEFAULT > (SEGMENT_HEADER_BYTES + RECORD_BYTES_MAX) as u64,
        "the default segment holds the largest batch"
    );
    assert!(
        READ_CHUNK_BYTES_MAX > RECORD_BYTES_MAX,
        "one large read holds the largest batch"
    );
};
