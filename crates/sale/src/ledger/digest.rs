//! A state digest that is kept while the state changes: the wrapping sum of one strong hash per
//! row. Sums do not care for order, so no table needs sorting, and a changed row costs two hashes.
//! It finds wrong replays and damaged snapshots; it is no defence against a forger.

/// Odd constants with well spread bits (digits of pi).
const SPREAD: [u64; 2] = [0x2437_6a88_85a3_08d3, 0xa409_3822_299f_31d1];

/// Multiplies to 128 bits and folds: every input bit reaches every output bit.
#[inline]
pub(super) fn mix(a: u64, b: u64) -> u64 {
    let wide = u128::from(a ^ SPREAD[0]) * u128::from(b ^ SPREAD[1]);
    (wide as u64) ^ ((wide >> 64) as u64)
}

/// The hash of one row, fed word by word.
#[derive(Clone, Copy)]
pub(super) struct RowHash(u64);

impl RowHash {
    /// `kind` keeps rows of different tables apart.
    #[inline]
    pub(super) fn new(kind: u64) -> RowHash {
        RowHash(mix(kind, 0x1319_8a2e_0370_7344))
    }
    #[inline]
    pub(super) fn word(self, word: u64) -> RowHash {
        RowHash(mix(self.0, word))
    }
    #[inline]
    pub(super) fn wide(self, word: u128) -> RowHash {
        self.word(word as u64).word((word >> 64) as u64)
    }
    pub(super) fn bytes(self, bytes: &[u8]) -> RowHash {
        let mut hash = self.word(bytes.len() as u64);
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            hash = hash.word(u64::from_le_bytes(word));
        }
        hash
    }
    #[inline]
    pub(super) fn finish(self) -> u64 {
        mix(self.0, self.0 >> 32)
    }
}

/// The hash of a row of fixed width, for the rows of the hot path: the multiplications do not wait
/// for one another. Each pair of words has keys of its own, so their order counts.
#[inline]
pub(super) fn hash_words<const N: usize>(kind: u64, words: [u64; N]) -> u64 {
    let mut sum = kind;
    let mut key = SPREAD[0];
    for pair in words.chunks(2) {
        key = key.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let second = pair.get(1).copied().unwrap_or(0);
        sum = sum.wrapping_add(mix(pair[0].wrapping_add(key), second ^ key.rotate_left(29)));
    }
    mix(sum, sum >> 32)
}

/// The running sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Digest(pub(super) u64);

impl Digest {
    #[inline]
    pub(super) fn add(&mut self, row: u64) {
        self.0 = self.0.wrapping_add(row);
    }
    #[inline]
    pub(super) fn remove(&mut self, row: u64) {
        self.0 = self.0.wrapping_sub(row);
    }
}
