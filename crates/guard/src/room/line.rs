//! The line: who waits, ordered by place, with everybody's rank at hand.
//!
//! People enter it anywhere – by their draw before the sale, at the end afterwards, at their old
//! place when they come back – and leave it anywhere. So: sorted leaves of 256, a directory of
//! their
//! first places, and a Fenwick tree of their sizes. Insert, remove and rank are two binary searches
//! and a logarithmic sum; a leaf that splits or goes rebuilds the directory's sums, which is a few
//! microseconds once in a hundred arrivals. Two neighbours always hold more than three quarters
//! of a leaf together, so that scattered leavers cannot leave a large and empty line behind.

use super::Place;
use super::seats::{Seats, Slot};

const LEAF: usize = 256;
/// Entries of two neighbours that are joined.
const MERGE_MAX: usize = LEAF * 3 / 4;

#[derive(Clone, Debug)]
struct Leaf {
    len: usize,
    places: [Place; LEAF],
    slots: [Slot; LEAF],
}

#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    #[expect(
        clippy::vec_box,
        reason = "a new leaf moves pointers, not leaves of 3 KB"
    )]
    leaves: Vec<Box<Leaf>>,
    /// First place of each leaf.
    firsts: Vec<Place>,
    /// Fenwick tree of the leaves' lengths, one-based.
    sums: Vec<u32>,
    len: u32,
}

/// Where an entry is or belongs.
#[derive(Clone, Copy)]
struct At {
    leaf: usize,
    in_leaf: usize,
}

impl Line {
    pub(super) fn len(&self) -> u32 {
        self.len
    }

    pub(super) fn first(&self) -> Option<Slot> {
        self.leaves.first().map(|leaf| leaf.slots[0])
    }

    /// Everybody, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Slot> + '_ {
        self.leaves
            .iter()
            .flat_map(|leaf| leaf.slots[..leaf.len].iter().copied())
    }

    pub(super) fn insert(&mut self, slot: Slot, seats: &Seats) {
        self.len += 1;
        let place = seats[slot].place;
        let mut at = self.locate(slot, seats);
        if self.leaves.is_empty() {
            self.leaves.push(Leaf::empty());
        } else if self.leaves[at.leaf].len == LEAF {
            at = self.split(at);
        }
        let leaf = &mut self.leaves[at.leaf];
        leaf.insert(at.in_leaf, place, slot);
        let first = leaf.places[0];
        if self.firsts.len() == self.leaves.len() {
            self.firsts[at.leaf] = first;
            self.add(at.leaf, 1);
        } else {
            self.rebuild();
        }
    }

    /// The seat must be in line.
    pub(super) fn remove(&mut self, slot: Slot, seats: &Seats) {
        let at = self.locate(slot, seats);
        let leaf = &mut self.leaves[at.leaf];
        assert!(
            at.in_leaf < leaf.len && leaf.slots[at.in_leaf] == slot,
            "who leaves the line stands in it"
        );
        leaf.remove(at.in_leaf);
        self.len -= 1;
        if self.merge(at.leaf) {
            self.rebuild();
        } else {
            self.firsts[at.leaf] = self.leaves[at.leaf].places[0];
            self.add(at.leaf, -1);
        }
    }

    /// How many stand before this seat, which need not be in line itself.
    pub(super) fn rank(&self, slot: Slot, seats: &Seats) -> u32 {
        let at = self.locate(slot, seats);
        let mut sum = at.in_leaf as u32;
        let mut node = at.leaf;
        while node > 0 {
            sum += self.sums[node];
            node &= node - 1;
        }
        sum
    }

    pub(super) fn bytes(&self) -> usize {
        self.leaves.len() * size_of::<Leaf>()
            + self.leaves.capacity() * size_of::<Box<Leaf>>()
            + self.firsts.capacity() * size_of::<Place>()
            + self.sums.capacity() * size_of::<u32>()
    }

    /// The first entry that is not before (place, id) of the seat. Equal places – two draws can
    /// meet – are ordered by id.
    fn locate(&self, slot: Slot, seats: &Seats) -> At {
        let (place, id) = (seats[slot].place, seats[slot].id);
        let before =
            |other: Place, slot: Slot| other < place || (other == place && seats[slot].id < id);
        // The last leaf whose first entry is before it, or the first leaf; then, at that leaf's
        // end, the next leaf's first may be the entry itself.
        let after = partition_point(self.firsts.len(), |leaf| {
            before(self.firsts[leaf], self.leaves[leaf].slots[0])
        });
        let leaf = after.saturating_sub(1);
        let Some(found) = self.leaves.get(leaf) else {
            return At {
                leaf: 0,
                in_leaf: 0,
            };
        };
        let in_leaf = partition_point(found.len, |at| before(found.places[at], found.slots[at]));
        let is_next = in_leaf == found.len
            && self
                .leaves
                .get(leaf + 1)
                .is_some_and(|next| next.slots[0] == slot);
        if is_next {
            At {
                leaf: leaf + 1,
                in_leaf: 0,
            }
        } else {
            At { leaf, in_leaf }
        }
    }

    /// Cuts a full leaf in two and says where the entry belongs now. Behind the last entry a new
    /// leaf begins, so that arrivals in order fill their leaves.
    fn split(&mut self, at: At) -> At {
        let is_end = at.leaf + 1 == self.leaves.len() && at.in_leaf == LEAF;
        let cut = if is_end { LEAF } else { LEAF / 2 };
        let mut right = Leaf::empty();
        let left = &mut self.leaves[at.leaf];
        right.len = left.len - cut;
        right.places[..right.len].copy_from_slice(&left.places[cut..left.len]);
        right.slots[..right.len].copy_from_slice(&left.slots[cut..left.len]);
        left.len = cut;
        self.leaves.insert(at.leaf + 1, right);
        if at.in_leaf >= cut && (is_end || at.in_leaf > cut) {
            At {
                leaf: at.leaf + 1,
                in_leaf: at.in_leaf - cut,
            }
        } else {
            at
        }
    }

    /// Joins a leaf with a neighbour if both are small, and drops an empty one.
    fn merge(&mut self, at: usize) -> bool {
        let small = |line: &Line, left: usize| {
            let pair = line.leaves.get(left).zip(line.leaves.get(left + 1));
            pair.is_some_and(|(left, right)| left.len + right.len <= MERGE_MAX)
        };
        let left = if small(self, at) {
            at
        } else if at > 0 && small(self, at - 1) {
            at - 1
        } else {
            let is_empty = self.leaves[at].len == 0;
            if is_empty {
                self.leaves.remove(at);
            }
            return is_empty;
        };
        let right = self.leaves.remove(left + 1);
        let leaf = &mut self.leaves[left];
        let end = leaf.len + right.len;
        leaf.places[leaf.len..end].copy_from_slice(&right.places[..right.len]);
        leaf.slots[leaf.len..end].copy_from_slice(&right.slots[..right.len]);
        leaf.len = end;
        if end == 0 {
            self.leaves.remove(left);
        }
        true
    }

    fn rebuild(&mut self) {
        self.firsts.clear();
        self.firsts
            .extend(self.leaves.iter().map(|leaf| leaf.places[0]));
        self.sums.clear();
        self.sums.push(0);
        self.sums
            .extend(self.leaves.iter().map(|leaf| leaf.len as u32));
        for node in 1..self.sums.len() {
            let parent = node + (node & node.wrapping_neg());
            if parent < self.sums.len() {
                self.sums[parent] += self.sums[node];
            }
        }
    }

    fn add(&mut self, leaf: usize, change: i32) {
        let mut node = leaf + 1;
        while node < self.sums.len() {
            self.sums[node] = self.sums[node].wrapping_add_signed(change);
            node += node & node.wrapping_neg();
        }
    }
}

impl Leaf {
    fn empty() -> Box<Leaf> {
        Box::new(Leaf {
            len: 0,
            places: [Place(0); LEAF],
            slots: [Slot(0); LEAF],
        })
    }

    fn insert(&mut self, at: usize, place: Place, slot: Slot) {
        self.places.copy_within(at..self.len, at + 1);
        self.slots.copy_within(at..self.len, at + 1);
        self.places[at] = place;
        self.slots[at] = slot;
        self.len += 1;
    }

    fn remove(&mut self, at: usize) {
        self.places.copy_within(at + 1..self.len, at);
        self.slots.copy_within(at + 1..self.len, at);
        self.len -= 1;
    }
}

/// The first of `0..len` for which `before` is false.
fn partition_point(len: usize, before: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, len);
    while low < high {
        let middle = low + (high - low) / 2;
        if before(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}
