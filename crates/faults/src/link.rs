//! One direction of a connection: its toxics in a row, what each holds back, and until when.
//!
//! A state machine without sockets and timers: bytes are pushed in, time is told, bytes come
//! out, and [`Link::advance`] says when to come back. So one task carries a whole connection
//! however many toxics it has, and a change of toxics loses nothing. Held bytes are counted, and
//! whoever reads asks [`Link::may_read`] first. It must not know where bytes come from.

use crate::dice::Dice;
use crate::limits::{
    HELD_BYTES_MAX, ITEM_BYTES, STAGE_ITEMS_MAX, WINDOW_BYTES_MAX, WINDOW_BYTES_MIN,
};
use crate::stage::{End, Piece, Pop, Stage};
use crate::toxic::{Stream, Toxic};
use bytes::{Buf as _, Bytes};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Bytes that all connections hold back together.
#[derive(Debug, Default)]
pub struct Held(AtomicUsize);

/// What comes of letting time pass.
#[derive(Debug, PartialEq, Eq)]
pub struct Advanced {
    /// When to come back, if nothing else happens.
    pub wake: Option<Instant>,
    /// A toxic resets the connection, now.
    pub reset: bool,
}

#[derive(Debug)]
pub struct Link {
    direction: Stream,
    stages: Vec<Stage>,
    /// What may be written, piece by piece.
    pub out: VecDeque<Bytes>,
    /// Comes after all of `out`.
    pub end: Option<End>,
    input_ended: bool,
    shut: bool,
    bytes: usize,
    told: usize,
    held: Arc<Held>,
    dice: Dice,
}

impl Link {
    #[must_use]
    pub fn new(direction: Stream, held: Arc<Held>) -> Link {
        Link {
            direction,
            stages: Vec::new(),
            out: VecDeque::new(),
            end: None,
            input_ended: false,
            shut: false,
            bytes: 0,
            told: 0,
            held,
            dice: Dice::new(),
        }
    }

    /// Whether more may be read for this direction.
    #[must_use]
    pub fn may_read(&self) -> bool {
        let full = self.held.0.load(Ordering::Relaxed) >= HELD_BYTES_MAX;
        let window = match full {
            true => WINDOW_BYTES_MIN,
            false => WINDOW_BYTES_MAX,
        };
        !self.input_ended && self.bytes < window
    }

    /// Bytes that were read.
    pub fn push(&mut self, data: &[u8], now: Instant) {
        self.give(0, Piece::Data(Bytes::copy_from_slice(data)), now);
        self.account();
    }

    /// The sender has finished.
    pub fn finish(&mut self, now: Instant) {
        self.input_ended = true;
        self.give(0, Piece::End(End::Finished), now);
    }

    /// So many bytes of the front of `out` were written.
    pub fn written(&mut self, bytes: usize) {
        let Some(front) = self.out.front_mut() else {
            return;
        };
        front.advance(bytes.min(front.len()));
        self.bytes -= bytes;
        if front.is_empty() {
            self.out.pop_front();
            self.bytes -= ITEM_BYTES;
        }
        self.account();
    }

    /// All that was to come out has, and then it ended like this.
    #[must_use]
    pub fn is_over(&self, end: End) -> bool {
        self.out.is_empty() && self.end == Some(end)
    }

    /// The receiver was told of the end.
    pub fn shut(&mut self) {
        self.shut = true;
    }

    #[must_use]
    pub fn is_shut(&self) -> bool {
        self.shut
    }

    /// Moves what is due. The last stage first, so that room is made before it is taken.
    pub fn advance(&mut self, now: Instant) -> Advanced {
        loop {
            let (mut moved, mut wake) = (false, None);
            for index in (0..self.stages.len()).rev() {
                while self.room_after(index) {
                    match self.stages[index].pop(now, &mut self.dice) {
                        Pop::Piece(piece, cost) => {
                            self.bytes -= cost;
                            self.give(index + 1, piece, now);
                            moved = true;
                        }
                        Pop::At(at) => {
                            wake = Some(wake.map_or(at, |other: Instant| other.min(at)));
                            break;
                        }
                        Pop::Nothing => break,
                        Pop::Reset => {
                            return Advanced { wake, reset: true };
                        }
                    }
                }
            }
            if !moved {
                self.account();
                return Advanced { wake, reset: false };
            }
        }
    }

    fn room_after(&self, index: usize) -> bool {
        let next = self.stages.get(index + 1);
        next.map_or(self.out.len(), Stage::items) < STAGE_ITEMS_MAX
    }

    /// Other toxics. What a toxic that is gone or changed held back goes on at once; one that
    /// has swallowed bytes closes the connection when it goes.
    pub fn apply(&mut self, toxics: &[Arc<Toxic>], now: Instant) {
        let ours = |toxic: &&Arc<Toxic>| toxic.stream == self.direction && !toxic.kind.is_http();
        let wanted: Vec<&Arc<Toxic>> = toxics.iter().filter(ours).collect();
        let mut old = std::mem::take(&mut self.stages);
        while let Some(mut stage) = old.pop() {
            let same = wanted.iter().find(|toxic| toxic.id == stage.toxic().id);
            if same.is_some_and(|toxic| toxic.revision == stage.toxic().revision) {
                self.stages.insert(0, stage);
                continue;
            }
            for (piece, cost) in stage.empty() {
                self.bytes -= cost;
                self.give(0, piece, now);
            }
            match same {
                Some(toxic) => {
                    let changed = stage.become_other(Arc::clone(toxic), now, &mut self.dice);
                    self.stages.insert(0, changed);
                }
                None if stage.loses() => self.give(0, Piece::End(End::Closed), now),
                None => {}
            }
        }
        for toxic in wanted {
            if !self.stages.iter().any(|stage| stage.toxic().id == toxic.id) {
                let stage = Stage::new(Arc::clone(toxic), now, &mut self.dice);
                self.stages.push(stage);
            }
        }
        self.account();
    }

    fn give(&mut self, index: usize, piece: Piece, now: Instant) {
        if let Some(stage) = self.stages.get_mut(index) {
            self.bytes += stage.push(piece, now, &mut self.dice);
            return;
        }
        match piece {
            // After an end there is nothing more to say.
            Piece::Data(data) if self.end.is_none() && !data.is_empty() => {
                self.bytes += data.len() + ITEM_BYTES;
                self.out.push_back(data);
            }
            Piece::Data(_) => {}
            // To be closed by a toxic wins over having finished.
            Piece::End(end) if self.end != Some(End::Closed) => self.end = Some(end),
            Piece::End(_) => {}
        }
    }

    fn account(&mut self) {
        let held = &self.held.0;
        match self.bytes >= self.told {
            true => held.fetch_add(self.bytes - self.told, Ordering::Relaxed),
            false => held.fetch_sub(self.told - self.bytes, Ordering::Relaxed),
        };
        self.told = self.bytes;
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.held.0.fetch_sub(self.told, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[path = "link_tests.rs"]
mod tests;
