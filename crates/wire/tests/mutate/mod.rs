//! Bytes that are nearly good: a good input with a few changes. What is only random is refused by
//! the first byte of most formats; what is nearly good reaches every other line of a reader.
//! Included by the tests of other crates too. It must not know any format.

use proptest::prelude::*;
use proptest::sample::Index;

/// One change.
#[derive(Clone, Debug)]
pub enum Edit {
    Set(Index, u8),
    Flip(Index, u8),
    /// All from here on is gone.
    Cut(Index),
    Drop(Index, usize),
    Insert(Index, Vec<u8>),
    /// A piece of it once more, somewhere else.
    Copy(Index, usize, Index),
}

/// One to five changes; inserted are random bytes, and words that mean something to the format.
pub fn edits(words: &'static [&'static str]) -> impl Strategy<Value = Vec<Edit>> {
    let at = any::<Index>;
    let random = prop::collection::vec(any::<u8>(), 1..6);
    let word = prop::sample::select(words).prop_map(|word| word.as_bytes().to_vec());
    let edit = prop_oneof![
        2 => (at(), any::<u8>()).prop_map(|(at, byte)| Edit::Set(at, byte)),
        2 => (at(), 0..8_u8).prop_map(|(at, bit)| Edit::Flip(at, bit)),
        1 => at().prop_map(Edit::Cut),
        2 => (at(), 1..20_usize).prop_map(|(at, len)| Edit::Drop(at, len)),
        1 => (at(), random).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        4 => (at(), word).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        2 => (at(), 1..60_usize, at()).prop_map(|(from, len, to)| Edit::Copy(from, len, to)),
    ];
    prop::collection::vec(edit, 1..6)
}

pub fn apply(bytes: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for edit in edits {
        let place = |at: &Index| at.index(bytes.len() + 1);
        match edit {
            Edit::Set(at, byte) => {
                let at = place(at);
                if let Some(found) = bytes.get_mut(at) {
                    *found = *byte;
                }
            }
            Edit::Flip(at, bit) => {
                let at = place(at);
                if let Some(found) = bytes.get_mut(at) {
                    *found ^= 1 << bit;
                }
            }
            Edit::Cut(at) => bytes.truncate(place(at)),
            Edit::Drop(at, len) => {
                let from = place(at);
                let to = (from + len).min(bytes.len());
                bytes.drain(from..to);
            }
            Edit::Insert(at, new) => {
                let at = place(at);
                bytes.splice(at..at, new.iter().copied());
            }
            Edit::Copy(from, len, to) => {
                let (from, to) = (place(from), place(to));
                let piece = bytes[from..(from + len).min(bytes.len())].to_vec();
                bytes.splice(to..to, piece);
            }
        }
    }
    bytes
}

/// As text, whatever it is.
#[allow(dead_code, reason = "not every format is text")]
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
