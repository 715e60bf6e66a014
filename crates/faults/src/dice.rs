//! Chance: which connections and requests a fault meets, and how far a delay strays.
//!
//! SplitMix64 from a seed of the kernel: cheap, and a drill needs no secrets.

/// A source of numbers for one connection.
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    #[must_use]
    pub fn new() -> Dice {
        let mut seed = [0; 8];
        // Without the kernel's numbers every connection throws alike, which is no failure.
        let _ = getrandom::fill(&mut seed);
        Dice(u64::from_le_bytes(seed))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// True for this share of throws: never at 0, always at 1.
    pub fn share(&mut self, share: f64) -> bool {
        ((self.next() >> 11) as f64 / (1u64 << 53) as f64) < share
    }

    /// `middle` give or take at most `spread`, never below zero.
    pub fn around(&mut self, middle: u64, spread: u64) -> u64 {
        if spread == 0 {
            return middle;
        }
        let width = spread.saturating_mul(2).saturating_add(1);
        middle
            .saturating_add(self.next() % width)
            .saturating_sub(spread)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_spreads() {
        let mut dice = Dice(7);
        let hits = (0..10_000).filter(|_| dice.share(0.3)).count();
        assert!((2_850..3_150).contains(&hits), "{hits}");
        assert!((0..1_000).all(|_| dice.share(1.0)));
        assert!(!(0..1_000).any(|_| dice.share(0.0)));
        let thrown: Vec<u64> = (0..1_000).map(|_| dice.around(100, 50)).collect();
        assert!(thrown.iter().all(|n| (50..=150).contains(n)));
        assert!(thrown.iter().any(|n| *n < 60) && thrown.iter().any(|n| *n > 140));
        assert!((0..1_000).all(|_| dice.around(1, 5) <= 6));
    }
}
