//! One file of the faulty disk: what reads see, and what of it is not durable yet. It knows
//! nothing of names, faults or other files.

use super::{Counts, Fate};
use crate::limits::SECTOR_BYTES as SECTOR;
use std::sync::Arc;

#[derive(Clone)]
pub(super) struct Dirty {
    pub(super) sector: usize,
    /// The place of the durable content in `File::undo`.
    pub(super) undo: usize,
    /// A failed sync dropped it: no later sync writes it unless it is written again.
    pub(super) dropped: bool,
}

#[derive(Clone, Default)]
pub(super) struct File {
    pub(super) live: Vec<u8>,
    pub(super) durable_len: usize,
    /// Sectors below `durable_len` whose content differs from the durable one.
    pub(super) dirty: Vec<Dirty>,
    pub(super) undo: Vec<u8>,
    /// A bit for each sector in `dirty`.
    pub(super) marked: Vec<u64>,
    pub(super) handles: Arc<()>,
}

impl File {
    pub(super) fn is_marked(&self, sector: usize) -> bool {
        self.marked
            .get(sector / 64)
            .is_some_and(|word| word >> (sector % 64) & 1 == 1)
    }

    /// Remembers the durable content of the sectors that `from..to` touches.
    pub(super) fn touch(&mut self, from: usize, to: usize) {
        let to = to.min(self.durable_len);
        if from >= to {
            return;
        }
        for sector in from / SECTOR..to.div_ceil(SECTOR) {
            if self.is_marked(sector) {
                if let Some(dirty) = self
                    .dirty
                    .iter_mut()
                    .find(|d| d.dropped && d.sector == sector)
                {
                    dirty.dropped = false;
                }
                continue;
            }
            if self.marked.len() <= sector / 64 {
                self.marked.resize(sector / 64 + 1, 0);
            }
            self.marked[sector / 64] |= 1 << (sector % 64);
            let start = sector * SECTOR;
            let end = (start + SECTOR).min(self.durable_len);
            self.dirty.push(Dirty {
                sector,
                undo: self.undo.len(),
                dropped: false,
            });
            self.undo.extend_from_slice(&self.live[start..end]);
            self.undo
                .resize(self.undo.len() + SECTOR - (end - start), 0);
        }
    }

    pub(super) fn unmark(&mut self, sector: usize) {
        self.marked[sector / 64] &= !(1 << (sector % 64));
    }

    pub(super) fn grow(&mut self, len: usize) {
        if self.live.is_empty() {
            // Fresh zeros from the allocator cost nothing until they are touched.
            self.live = vec![0; len];
        } else if len > self.live.len() {
            self.live.resize(len, 0);
        }
    }

    pub(super) fn synced(&mut self) {
        self.durable_len = self.live.len();
        if self.dirty.iter().all(|dirty| !dirty.dropped) {
            for at in 0..self.dirty.len() {
                self.unmark(self.dirty[at].sector);
            }
            self.dirty.clear();
            self.undo.clear();
            return;
        }
        for at in 0..self.dirty.len() {
            if !self.dirty[at].dropped {
                self.unmark(self.dirty[at].sector);
            }
        }
        self.dirty.retain(|dirty| dirty.dropped);
    }

    /// The durable content of what did not persist comes back; the rest becomes durable.
    pub(super) fn crash(
        &mut self,
        id: usize,
        counts: &mut Counts,
        keeps: &mut dyn FnMut(Fate) -> bool,
    ) {
        for dirty in std::mem::take(&mut self.dirty) {
            let start = dirty.sector * SECTOR;
            let fate = Fate::Sector {
                file: id,
                sector: dirty.sector,
            };
            if !dirty.dropped && keeps(fate) {
                counts.sectors_kept += 1;
                continue;
            }
            counts.sectors_lost += 1;
            let end = (start + SECTOR).min(self.durable_len);
            let undo = &self.undo[dirty.undo..dirty.undo + end - start];
            self.live[start..end].copy_from_slice(undo);
        }
        self.undo.clear();
        self.marked.clear();
        if self.live.len() == self.durable_len {
            return;
        }
        if !keeps(Fate::Length { file: id }) {
            self.live.truncate(self.durable_len);
            return;
        }
        // The length persisted; each new sector is there or a hole of zeros.
        let mut at = self.durable_len;
        while at < self.live.len() {
            let end = ((at / SECTOR + 1) * SECTOR).min(self.live.len());
            let fresh = &mut self.live[at..end];
            if fresh.iter().any(|b| *b != 0) {
                if keeps(Fate::Sector {
                    file: id,
                    sector: at / SECTOR,
                }) {
                    counts.sectors_kept += 1;
                } else {
                    counts.sectors_lost += 1;
                    fresh.fill(0);
                }
            }
            at = end;
        }
        self.durable_len = self.live.len();
    }
}
