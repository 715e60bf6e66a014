//! The fewest free units of a SKU within any span of time: changes by instant, and a tree of
//! minima over them, so that millions of "sold out" answers can each be checked.

use sale::At;

/// Free units over time. Changes come in order of time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timeline {
    changes: Vec<Change>,
    /// A binary tree in an array: leaves are `changes`, each node the minimum of its two children.
    tree: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Change {
    at: At,
    /// The fewest during this instant, and what was free when it had passed.
    fewest: u32,
    last: u32,
}

impl Timeline {
    pub fn push(&mut self, at: At, free: u32) {
        match self.changes.last_mut() {
            Some(change) if change.at == at => {
                change.fewest = change.fewest.min(free);
                change.last = free;
            }
            _ => self.changes.push(Change {
                at,
                fewest: free,
                last: free,
            }),
        }
    }

    /// To be called once, after the last change.
    pub fn seal(&mut self) {
        let leaves = self.changes.len();
        self.tree = vec![u32::MAX; leaves];
        self.tree
            .extend(self.changes.iter().map(|change| change.fewest));
        for node in (1..leaves).rev() {
            self.tree[node] = self.tree[2 * node].min(self.tree[2 * node + 1]);
        }
    }

    /// The fewest units free at any moment from `from` to `to`, both included. Before the first
    /// change nothing was there.
    pub fn fewest(&self, from: At, to: At) -> u32 {
        let start = self.changes.partition_point(|change| change.at < from);
        let end = self.changes.partition_point(|change| change.at <= to);
        let before = start
            .checked_sub(1)
            .map_or(0, |index| self.changes[index].last);
        let (mut low, mut high) = (start + self.changes.len(), end + self.changes.len());
        let mut fewest = before;
        while low < high {
            if low % 2 == 1 {
                fewest = fewest.min(self.tree[low]);
                low += 1;
            }
            if high % 2 == 1 {
                high -= 1;
                fewest = fewest.min(self.tree[high]);
            }
            low /= 2;
            high /= 2;
        }
        fewest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minima_agree_with_a_plain_scan() {
        for length in 1..40_u64 {
            let mut timeline = Timeline::default();
            let free_at = |at: u64| (at * 7_919 % 23) as u32;
            for step in 0..length {
                timeline.push(At(10 + step * 3), free_at(step));
            }
            timeline.seal();
            for from in 0..(20 + length * 3) {
                for to in from..(20 + length * 3) {
                    let now = |at: u64| match at.checked_sub(10) {
                        None => 0,
                        Some(since) => free_at((since / 3).min(length - 1)),
                    };
                    // What was free when the span began counts as well, unless it changed then.
                    let plain = (from..=to).map(now).min().unwrap();
                    let before = if from == 0 { 0 } else { now(from - 1) };
                    let fewest = timeline.fewest(At(from), At(to));
                    assert_eq!(fewest, plain.min(before), "{length} changes, {from}..={to}");
                }
            }
        }
    }
}
