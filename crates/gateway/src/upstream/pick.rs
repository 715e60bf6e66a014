//! Which peer: the less loaded of two taken at random by weight ("power of two choices").
//!
//! Two random looks, the first by weight, find a lightly loaded peer nearly as well as looking at
//! all of them, and do not send every worker to the same one at once. Equal loads leave the first
//! look's choice, so that weights hold exactly on an idle pool.

use super::peer::{Peer, PeerState};
use super::pool::Pool;
use crate::limits::PICK_LOOKS_MAX;
use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

/// Random enough to choose a peer or name a trace; of no use for secrets (SplitMix64,
/// Steele, Lea and Flood 2014).
#[derive(Debug)]
pub(crate) struct Dice(Cell<u64>);

impl Dice {
    /// Differs between workers and runs: the standard library's hasher is seeded by the kernel.
    pub fn new() -> Self {
        Dice(Cell::new(RandomState::new().hash_one("dice")))
    }

    pub fn throw(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.0.set(state);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Below `sides`, evenly enough for sides far below 2^64.
    pub fn below(&self, sides: u64) -> u64 {
        ((u128::from(self.throw()) * u128::from(sides)) >> 64) as u64
    }
}

/// Peers that one request has asked in vain, or that had no connection for it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tried([u64; crate::limits::PEERS_MAX / 64]);

impl Tried {
    pub fn add(&mut self, peer: usize) {
        self.0[peer / 64] |= 1 << (peer % 64);
    }
    pub fn has(&self, peer: usize) -> bool {
        self.0[peer / 64] & (1 << (peer % 64)) != 0
    }
    pub fn count(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }
}

impl Pool {
    /// The place of a peer to ask. `None`: all were tried, or none may be asked.
    pub(super) fn pick(&self, dice: &Dice, tried: &Tried, now_ms: u64) -> Option<usize> {
        let peers = self.peers();
        if peers.len() == 1 {
            let may = self.spec().fail_open || usable(&peers[0], now_ms);
            return (may && !tried.has(0)).then_some(0);
        }
        let looks = || 0..PICK_LOOKS_MAX;
        let first = looks().find_map(|_| self.look_by_weight(dice, tried, now_ms));
        if let Some(first) = first {
            // Any other will do: its weight comes in when the two are compared.
            let other = looks().find_map(|_| {
                let step = 1 + dice.below(peers.len() as u64 - 1) as usize;
                self.accept((first + step) % peers.len(), dice, tried, now_ms)
            });
            return Some(other.map_or(first, |other| self.less_loaded(first, other, now_ms)));
        }
        // Looks in vain: most of the pool is out. Then all are looked at.
        self.scan(dice, tried, now_ms, false).or_else(|| {
            let open = self.spec().fail_open;
            open.then(|| self.scan(dice, tried, now_ms, true)).flatten()
        })
    }

    fn look_by_weight(&self, dice: &Dice, tried: &Tried, now_ms: u64) -> Option<usize> {
        let at = dice.below(*self.weights.last()?);
        let place = self.weights.partition_point(|sum| *sum <= at);
        self.accept(place, dice, tried, now_ms)
    }

    fn accept(&self, place: usize, dice: &Dice, tried: &Tried, now_ms: u64) -> Option<usize> {
        let peer = &self.peers()[place];
        if tried.has(place) || !usable(peer, now_ms) {
            return None;
        }
        let full = u64::from(peer.spec.weight) * crate::limits::WEIGHT_SCALE;
        let now = peer.weight_at(now_ms, self.spec().slow_start_ms);
        // One that starts slowly is overlooked as often as its weight is lowered.
        (now == full || dice.below(full) < now).then_some(place)
    }

    fn less_loaded(&self, a: usize, b: usize, now_ms: u64) -> usize {
        let load = |place: usize| {
            let peer = &self.peers()[place];
            let weight = peer.weight_at(now_ms, self.spec().slow_start_ms);
            (u64::from(peer.in_flight()), weight)
        };
        let ((load_a, weight_a), (load_b, weight_b)) = (load(a), load(b));
        if load_b.saturating_mul(weight_a) < load_a.saturating_mul(weight_b) {
            b
        } else {
            a
        }
    }

    fn scan(&self, dice: &Dice, tried: &Tried, now_ms: u64, anyone: bool) -> Option<usize> {
        let count = self.peers().len();
        let start = dice.below(count as u64) as usize;
        (0..count)
            .map(|step| (start + step) % count)
            .filter(|place| !tried.has(*place))
            .filter(|place| anyone || usable(&self.peers()[*place], now_ms))
            .reduce(|a, b| self.less_loaded(a, b, now_ms))
    }
}

fn usable(peer: &Peer, now_ms: u64) -> bool {
    peer.state_at(now_ms) == PeerState::Usable
}

#[cfg(test)]
mod tests;
