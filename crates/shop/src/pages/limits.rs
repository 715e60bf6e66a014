//! Every bound of the pages, with its unit in the name and its reason beside it.

/// Products on one page of the hall: a catalogue of sixty shows on one.
pub const PRODUCTS_PER_PAGE: usize = 60;
/// Pages kept rendered. The hot ones are the hall's first pages and a few dozen products; a
/// catalogue of twenty thousand products must not fill the memory.
pub const CACHED_PAGES_MAX: usize = 2_048;
/// Bytes of all kept pages with their compressed forms.
pub const CACHED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Products that a product's page points to: one row on a wide screen, two on a phone.
pub const OTHERS_MAX: usize = 4;
/// Bytes of a `next` path: longer ones lead to the hall.
pub const NEXT_BYTES_MAX: usize = 512;
/// Units the quantity list offers; whoever may buy more types a number.
pub const QUANTITY_LISTED_MAX: u32 = 10;
/// Units the quantity field lets through when no limit is set.
pub const QUANTITY_TYPED_MAX: u32 = 9_999;
/// Bytes of a product's description in the page's meta element.
pub const META_DESCRIPTION_CHARS_MAX: usize = 155;
/// What hall and product page may weigh on the wire, pictures left out. A test holds them to it.
pub const PAGE_WIRE_BYTES_MAX: usize = 20 * 1024;
/// What the script may weigh before compression; a third of that on the wire.
pub const SCRIPT_BYTES_MAX: usize = 16 * 1024;
/// Compression of what changes every two seconds while a sale runs: fast before small.
pub(crate) const BROTLI_LIVE: u32 = 3;
/// Compression of what is made once, at start.
pub(crate) const BROTLI_ONCE: u32 = 11;
pub(crate) const GZIP_LIVE: u32 = 4;
pub(crate) const GZIP_ONCE: u32 = 9;

const _: () = {
    assert!(QUANTITY_LISTED_MAX <= QUANTITY_TYPED_MAX);
    assert!(PRODUCTS_PER_PAGE > 0 && CACHED_PAGES_MAX > 1);
};
