//! Every bound of a catalogue import, with its unit in the name and its reason beside it.

/// Bytes of one line, or of one CSV record whose quoted fields span lines. The longest line of
/// 19,406 real products has 15 KB; long HTML descriptions of shop exports reach some hundred.
pub const LINE_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of a whole file once unpacked: a small gzip file must not fill memory or disk.
pub const IMPORT_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;
/// Products of one import: each costs about a kilobyte of memory until it is applied.
pub const PRODUCTS_MAX: usize = 1_000_000;
/// Problems that are told in full; the others are counted.
pub const PROBLEMS_MAX: usize = 50;
/// Bytes of a found value that a problem shows.
pub const FOUND_BYTES_MAX: usize = 80;
/// Columns of a CSV file: the widest shop exports have about 120.
pub const COLUMNS_MAX: usize = 1_024;
/// Bytes of a title: real ones reach 300.
pub const TITLE_BYTES_MAX: usize = 500;
pub const DESCRIPTION_BYTES_MAX: usize = 64 * 1024;
pub const CATEGORY_BYTES_MAX: usize = 200;
pub const PICTURE_BYTES_MAX: usize = 2_048;
/// Attributes of one product: real ones have up to 186.
pub const ATTRIBUTES_MAX: usize = 256;
pub const ATTRIBUTE_NAME_BYTES_MAX: usize = 100;
/// Bytes of an attribute's value: real lists of compatible models reach 7 KB.
pub const ATTRIBUTE_BYTES_MAX: usize = 16 * 1024;
/// How long units are held for an unpaid order, unless the file or the options say otherwise.
pub const HOLD_MS_DEFAULT: u64 = 15 * 60 * 1_000;

const _: () = assert!(DESCRIPTION_BYTES_MAX < LINE_BYTES_MAX);
