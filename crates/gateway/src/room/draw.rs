//! The draw: what is hashed, and how. docs/waiting-room.md promises every byte of it, so that
//! anyone
//! can check a ticket with tools of their own; a change here needs a new version in the labels.
//!
//! It must not know rooms, files or HTTP.

use guard::room::Buyer;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

pub type Hash = [u8; 32];

/// Leaves under one node that is kept; below it a proof hashes anew. A power of two, so that the
/// kept nodes are nodes of the whole tree.
const CHUNK: usize = 256;

/// One draw: a room and its T0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    pub room: String,
    /// T0 in seconds since 1970.
    pub t0_s: u64,
}

impl Run {
    /// `SHA-256("seawall.room.secret.v1\0" · len(room) · room · t0 · secret)`
    pub fn commitment(&self, secret: &Hash) -> Hash {
        let mut hash = Sha256::new();
        hash.update(b"seawall.room.secret.v1\0");
        hash.update((self.room.len() as u32).to_be_bytes());
        hash.update(self.room.as_bytes());
        hash.update(self.t0_s.to_be_bytes());
        hash.update(secret);
        hash.finalize().into()
    }
}

pub fn mac(key: &[u8], label: &[u8], parts: &[&[u8]]) -> Hash {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length is a key");
    mac.update(label);
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// Draws with one secret; cheap to ask a million times.
#[derive(Clone)]
pub struct Urn {
    mac: Hmac<Sha256>,
}

impl std::fmt::Debug for Urn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Urn(secret)")
    }
}

impl Urn {
    pub fn new(secret: &Hash) -> Urn {
        let mut mac = Hmac::new_from_slice(secret).expect("any length is a key");
        mac.update(b"seawall.room.draw.v1\0");
        Urn { mac }
    }

    /// The first eight bytes of `HMAC-SHA-256(secret, "seawall.room.draw.v1\0" · buyer)`,
    /// big-endian,
    /// without the highest bit. The smallest goes first; equal ones in order of buyers.
    pub fn draw(&self, buyer: Buyer) -> u64 {
        let mut mac = self.mac.clone();
        mac.update(&buyer.0.to_be_bytes());
        let bytes: Hash = mac.finalize().into_bytes().into();
        let mut first = [0; 8];
        first.copy_from_slice(&bytes[..8]);
        u64::from_be_bytes(first) & (u64::MAX >> 1)
    }
}

/// The closed list: who registered, in ascending order, with the tree over them.
#[derive(Debug)]
pub struct List {
    buyers: Vec<Buyer>,
    /// How many drew a smaller number, by position in `buyers`.
    ranks: Vec<u32>,
    /// The tree above [`CHUNK`] leaves: nodes over so many each, then level by level to the top.
    levels: Vec<Vec<Hash>>,
    root: Hash,
}

/// That a buyer stands in a list: the position and the neighbours on the way to the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inclusion {
    pub index: usize,
    pub path: Vec<Hash>,
}

impl List {
    /// Sorts and draws; a third of a second for a million buyers.
    pub fn close(mut buyers: Vec<Buyer>, urn: &Urn) -> List {
        buyers.sort_unstable();
        buyers.dedup();
        let mut order: Vec<(u64, u32)> = buyers
            .iter()
            .zip(0..)
            .map(|(&buyer, at)| (urn.draw(buyer), at))
            .collect();
        // Positions follow the order of buyers, so equal draws fall as promised.
        order.sort_unstable();
        let mut ranks = vec![0; buyers.len()];
        for (rank, (_, at)) in order.into_iter().enumerate() {
            ranks[at as usize] = rank as u32;
        }
        let chunks = buyers.chunks(CHUNK).map(|chunk| top(&rise(leaves(chunk))));
        let levels = rise(chunks.collect());
        let root = sealed(buyers.len(), &top(&levels));
        List {
            buyers,
            ranks,
            levels,
            root,
        }
    }

    pub fn root(&self) -> Hash {
        self.root
    }
    pub fn buyers(&self) -> &[Buyer] {
        &self.buyers
    }

    /// Where a buyer stands in the list, and how many drew a smaller number.
    pub fn find(&self, buyer: Buyer) -> Option<(usize, u32)> {
        let at = self.buyers.binary_search(&buyer).ok()?;
        Some((at, self.ranks[at]))
    }

    pub fn prove(&self, index: usize) -> Inclusion {
        let chunk = index / CHUNK;
        let from = chunk * CHUNK;
        let to = self.buyers.len().min(from + CHUNK);
        let mut path = Vec::new();
        walk(
            &rise(leaves(&self.buyers[from..to])),
            index - from,
            &mut path,
        );
        walk(&self.levels, chunk, &mut path);
        Inclusion { index, path }
    }
}

/// `SHA-256("seawall.room.list.v1\0" · count · tree)`: the number of buyers is sealed as well.
fn sealed(count: usize, tree: &Hash) -> Hash {
    let mut hash = Sha256::new();
    hash.update(b"seawall.room.list.v1\0");
    hash.update((count as u64).to_be_bytes());
    hash.update(tree);
    hash.finalize().into()
}

fn leaf(buyer: Buyer) -> Hash {
    let mut hash = Sha256::new();
    hash.update([0]);
    hash.update(buyer.0.to_be_bytes());
    hash.finalize().into()
}

fn leaves(buyers: &[Buyer]) -> Vec<Hash> {
    buyers.iter().copied().map(leaf).collect()
}

fn node(left: &Hash, right: &Hash) -> Hash {
    let mut hash = Sha256::new();
    hash.update([1]);
    hash.update(left);
    hash.update(right);
    hash.finalize().into()
}

/// The levels of the tree of RFC 6962, section 2.1: an odd last node goes up as it is.
fn rise(leaves: Vec<Hash>) -> Vec<Vec<Hash>> {
    let mut levels = vec![leaves];
    while let Some(level) = levels.last().filter(|level| level.len() > 1) {
        levels.push(up(level));
    }
    levels
}

fn top(levels: &[Vec<Hash>]) -> Hash {
    let last = levels.last().and_then(|level| level.first());
    last.copied().unwrap_or_else(|| Sha256::digest(b"").into())
}

fn up(level: &[Hash]) -> Vec<Hash> {
    let pair = |pair: &[Hash]| match pair {
        [left, right] => node(left, right),
        [alone, ..] => *alone,
        [] => [0; 32],
    };
    level.chunks(2).map(pair).collect()
}

/// The neighbours from the lowest level up; a node without one goes up alone.
fn walk(levels: &[Vec<Hash>], mut index: usize, path: &mut Vec<Hash>) {
    for level in levels {
        path.extend(level.get(index ^ 1));
        index /= 2;
    }
}

/// The root that a path leads to; `None`: the path does not have the length that it must.
pub fn root_of(buyer: Buyer, inclusion: &Inclusion, count: usize) -> Option<Hash> {
    if inclusion.index >= count {
        return None;
    }
    let mut path = inclusion.path.iter();
    let (mut index, mut width) = (inclusion.index, count);
    let mut hash = leaf(buyer);
    while width > 1 {
        if index ^ 1 < width {
            let neighbour = path.next()?;
            hash = match index % 2 {
                0 => node(&hash, neighbour),
                _ => node(neighbour, &hash),
            };
        }
        index /= 2;
        width = width.div_ceil(2);
    }
    path.next().is_none().then(|| sealed(count, &hash))
}
