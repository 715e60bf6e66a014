//! One toxic at work on one direction of one connection: what goes in, what comes out, and when.
//!
//! Items keep their order whatever their delays. Costs are bytes of memory: data, and a fixed
//! price an item. It must not know what stands before and behind it.

use crate::dice::Dice;
use crate::limits::{ITEM_BYTES, PACE_MS};
use crate::toxic::{Kind, Toxic};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How a direction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The sender has finished; the other direction goes on.
    Finished,
    /// A toxic closes the whole connection.
    Closed,
}

#[derive(Debug)]
pub enum Piece {
    Data(Bytes),
    End(End),
}

impl Piece {
    fn cost(&self) -> usize {
        match self {
            Piece::Data(data) => data.len() + ITEM_BYTES,
            Piece::End(_) => 0,
        }
    }
}

/// What a stage has to give.
#[derive(Debug)]
pub enum Pop {
    /// A piece, and the cost that is free now.
    Piece(Piece, usize),
    At(Instant),
    Nothing,
    /// The connection is to be reset.
    Reset,
}

#[derive(Debug)]
pub struct Stage {
    toxic: Arc<Toxic>,
    /// Whether it meets this connection: drawn once.
    meets: bool,
    counted: bool,
    queue: VecDeque<(Instant, Piece)>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Each item leaves at its instant.
    Due,
    /// The line is busy until `free_at`; the piece on it arrives whole at its instant.
    Pace {
        free_at: Instant,
        piece: Option<(usize, Instant)>,
    },
    Slice {
        next_at: Instant,
    },
    Swallow {
        close_at: Option<Instant>,
        closed: bool,
    },
    Reset {
        at: Option<Instant>,
    },
    Count {
        passed: u64,
        closed: bool,
    },
}

impl Stage {
    pub fn new(toxic: Arc<Toxic>, now: Instant, dice: &mut Dice) -> Stage {
        let state = match toxic.kind {
            Kind::Latency { .. } | Kind::SlowClose { .. } | Kind::Http { .. } => State::Due,
            Kind::Bandwidth { .. } => State::Pace {
                free_at: now,
                piece: None,
            },
            Kind::Slicer { .. } => State::Slice { next_at: now },
            Kind::Timeout { timeout } => State::Swallow {
                close_at: (timeout > 0).then(|| now + Duration::from_millis(timeout)),
                closed: false,
            },
            Kind::ResetPeer { .. } => State::Reset { at: None },
            Kind::LimitData { .. } => State::Count {
                passed: 0,
                closed: false,
            },
        };
        Stage {
            meets: dice.share(toxic.toxicity),
            counted: false,
            queue: VecDeque::new(),
            state,
            toxic,
        }
    }

    /// The stage after a change of its toxic. What a limit has counted stays counted.
    pub fn become_other(self, toxic: Arc<Toxic>, now: Instant, dice: &mut Dice) -> Stage {
        let mut changed = Stage::new(toxic, now, dice);
        if let State::Count { passed, .. } = self.state {
            changed.state = State::Count {
                passed,
                closed: false,
            };
        }
        changed
    }

    pub fn toxic(&self) -> &Toxic {
        &self.toxic
    }

    pub fn items(&self) -> usize {
        self.queue.len()
    }

    /// It has swallowed bytes, or would have: without it the connection cannot go on as if
    /// nothing had happened.
    pub fn loses(&self) -> bool {
        self.meets
            && match self.state {
                State::Swallow { .. } => true,
                State::Reset { at } => at.is_some(),
                _ => false,
            }
    }

    /// Gives up all that it holds.
    pub fn empty(&mut self) -> Vec<(Piece, usize)> {
        let all = self.queue.drain(..).map(|(_, piece)| {
            let cost = piece.cost();
            (piece, cost)
        });
        all.collect()
    }

    /// Takes a piece in; the cost of it.
    pub fn push(&mut self, piece: Piece, now: Instant, dice: &mut Dice) -> usize {
        if !self.meets {
            return self.keep(now, piece);
        }
        if !self.counted {
            self.counted = true;
            self.toxic.hit();
        }
        let is_data = matches!(piece, Piece::Data(_));
        match (&self.toxic.kind, &mut self.state) {
            (Kind::Latency { latency, jitter }, _) if is_data => {
                let delay = Duration::from_millis(dice.around(*latency, *jitter));
                self.keep(now + delay, piece)
            }
            (Kind::SlowClose { delay }, _) if !is_data => {
                let delay = Duration::from_millis(*delay);
                self.keep(now + delay, piece)
            }
            (Kind::Timeout { .. }, _) if is_data => 0,
            (Kind::ResetPeer { timeout }, State::Reset { at }) => {
                at.get_or_insert(now + Duration::from_millis(*timeout));
                0
            }
            (Kind::LimitData { bytes }, State::Count { .. }) => {
                let bytes = *bytes;
                self.count(piece, bytes, now)
            }
            _ => self.keep(now, piece),
        }
    }

    fn keep(&mut self, due: Instant, piece: Piece) -> usize {
        let cost = piece.cost();
        self.queue.push_back((due, piece));
        cost
    }

    fn count(&mut self, piece: Piece, bytes: u64, now: Instant) -> usize {
        let State::Count { passed, closed } = &mut self.state else {
            return 0;
        };
        if *closed {
            return 0;
        }
        let Piece::Data(mut data) = piece else {
            return self.keep(now, piece);
        };
        let left = bytes.saturating_sub(*passed);
        data.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        *passed += data.len() as u64;
        *closed = *passed >= bytes;
        let closes = *closed;
        let mut cost = 0;
        if !data.is_empty() {
            cost += self.keep(now, Piece::Data(data));
        }
        if closes {
            cost += self.keep(now, Piece::End(End::Closed));
        }
        cost
    }

    /// What is due, if anything is.
    pub fn pop(&mut self, now: Instant, dice: &mut Dice) -> Pop {
        if !self.meets {
            return self.pop_due(now);
        }
        match (&self.toxic.kind, &mut self.state) {
            (_, State::Swallow { close_at, closed }) => match *close_at {
                Some(at) if !*closed && at <= now => {
                    *closed = true;
                    Pop::Piece(Piece::End(End::Closed), 0)
                }
                at => match self.pop_due(now) {
                    Pop::Nothing => at.filter(|_| !self.closed()).map_or(Pop::Nothing, Pop::At),
                    other => other,
                },
            },
            (_, State::Reset { at }) => match *at {
                Some(at) if at <= now => Pop::Reset,
                Some(at) => Pop::At(at),
                None => Pop::Nothing,
            },
            (Kind::Bandwidth { rate }, State::Pace { .. }) => {
                let rate = *rate;
                self.pace(rate, now)
            }
            (
                Kind::Slicer {
                    average_size,
                    size_variation,
                    delay_us,
                },
                State::Slice { .. },
            ) => {
                let size = dice.around(*average_size, *size_variation).max(1);
                let pause = Duration::from_micros(*delay_us);
                self.slice(size, pause, now)
            }
            _ => self.pop_due(now),
        }
    }

    fn closed(&self) -> bool {
        matches!(self.state, State::Swallow { closed: true, .. })
    }

    fn pop_due(&mut self, now: Instant) -> Pop {
        match self.queue.front() {
            None => Pop::Nothing,
            Some((due, _)) if *due > now => Pop::At(*due),
            Some(_) => self.pop_front(usize::MAX),
        }
    }

    /// At most `size` bytes of the first item.
    fn pop_front(&mut self, size: usize) -> Pop {
        match self.queue.pop_front() {
            None => Pop::Nothing,
            Some((due, Piece::Data(mut data))) if data.len() > size => {
                let first = data.split_to(size);
                self.queue.push_front((due, Piece::Data(data)));
                Pop::Piece(Piece::Data(first), size)
            }
            Some((_, piece)) => {
                let cost = piece.cost();
                Pop::Piece(piece, cost)
            }
        }
    }

    /// Byte n arrives n/rate after the first could leave; what a late timer missed is caught up.
    fn pace(&mut self, rate: u64, now: Instant) -> Pop {
        let State::Pace { free_at, piece } = &mut self.state else {
            return Pop::Nothing;
        };
        let (came, length) = match self.queue.front() {
            None => return Pop::Nothing,
            Some((_, Piece::End(_))) => return self.pop_front(0),
            Some((came, Piece::Data(data))) => (*came, data.len()),
        };
        // A rate of nothing lets nothing pass.
        let Some(most) = rate.checked_mul(PACE_MS).filter(|most| *most > 0) else {
            return Pop::Nothing;
        };
        let (size, due) = *piece.get_or_insert_with(|| {
            let size = length.min(usize::try_from(most).unwrap_or(usize::MAX));
            let busy = Duration::from_nanos((size as u64).saturating_mul(1_000_000) / rate);
            (size, (*free_at).max(came) + busy)
        });
        if due > now {
            return Pop::At(due);
        }
        *free_at = due;
        *piece = None;
        self.pop_front(size)
    }

    fn slice(&mut self, size: u64, pause: Duration, now: Instant) -> Pop {
        let State::Slice { next_at } = &mut self.state else {
            return Pop::Nothing;
        };
        let Some((came, _)) = self.queue.front() else {
            return Pop::Nothing;
        };
        let at = (*next_at).max(*came);
        if at > now {
            return Pop::At(at);
        }
        *next_at = at + pause;
        self.pop_front(usize::try_from(size).unwrap_or(usize::MAX))
    }
}
