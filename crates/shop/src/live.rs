//! Live stock: looked at four times a second, sent as what changed to everybody who listens, and
//! counted into page versions so that a page is made again at most every two seconds, and at once
//! when its sale opens.

use crate::catalogue::{Catalogue, SaleState};
use crate::limits;
use bytes::Bytes;
use engine::Desks;
use host::http::{Body, BodySender};
use sale::SkuId;
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::error::TrySendError;

/// What a buyer is told of a SKU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stock {
    pub free: u32,
    pub state: SaleState,
}

#[derive(Debug, Default)]
struct Board {
    stock: HashMap<SkuId, Stock>,
    /// A count that goes up when the SKU's numbers change, at most every two seconds.
    versions: HashMap<SkuId, u64>,
}

#[derive(Debug, Default)]
pub struct Live {
    board: RwLock<Board>,
    listeners: Mutex<Vec<BodySender>>,
    open: AtomicUsize,
    hall_version: AtomicU64,
    dropped: AtomicU64,
}

impl Live {
    fn listeners(&self) -> MutexGuard<'_, Vec<BodySender>> {
        self.listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Connections that listen now, and those dropped because they read too slowly.
    pub fn listening(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
    /// Goes up when any number in the hall changes.
    pub fn hall_version(&self) -> u64 {
        self.hall_version.load(Ordering::Relaxed)
    }
    pub fn sku_version(&self, sku: SkuId) -> u64 {
        let board = self.board.read().unwrap_or_else(PoisonError::into_inner);
        board.versions.get(&sku).copied().unwrap_or(0)
    }

    /// A new listener: everything at first, then what changes. `None` when there are too many.
    pub fn listen(&self, catalogue: &Catalogue, server_ms: u64) -> Option<Body> {
        let mut listeners = self.listeners();
        if listeners.len() >= limits::LIVE_CONNECTIONS_MAX {
            // Those who hung up are noticed at the next event; somebody waits now.
            listeners.retain(|listener| !listener.is_closed());
            if listeners.len() >= limits::LIVE_CONNECTIONS_MAX {
                return None;
            }
        }
        let (sender, body) = Body::stream();
        let board = self.board.read().unwrap_or_else(PoisonError::into_inner);
        let all = catalogue
            .items()
            .iter()
            .take(limits::LIVE_SKUS_MAX)
            .filter_map(|item| Some((item.product.sku.as_str(), *board.stock.get(&item.sku)?)));
        let first = event(server_ms, all);
        // A new stream has room for its first event.
        let _ = sender.try_send(Bytes::from(format!("retry: 2000\n{first}")));
        listeners.push(sender);
        self.open.store(listeners.len(), Ordering::Relaxed);
        Some(body)
    }

    /// Looks once; gives the SKUs that changed, and whether one of them opened.
    fn look(&self, catalogue: &Catalogue, desks: &Desks) -> (Vec<(SkuId, Stock)>, bool) {
        let now = desks.now();
        let mut found = Vec::with_capacity(catalogue.items().len());
        {
            let ledger = desks.view().ledger();
            for item in catalogue.items() {
                if let Some(view) = ledger.sku(item.sku) {
                    let free = view.books.free.0;
                    let state = SaleState::of(view.terms, view.shut, free, now);
                    found.push((item.sku, Stock { free, state }));
                }
            }
        }
        let mut board = self.board.write().unwrap_or_else(PoisonError::into_inner);
        let mut opened = false;
        found.retain(|(sku, stock)| {
            let before = board.stock.insert(*sku, *stock);
            let waited = before.is_some_and(|before| before.state == SaleState::NotOpen);
            opened |= waited && stock.state == SaleState::Open;
            before != Some(*stock)
        });
        (found, opened)
    }

    fn count_versions(&self, changed: &mut HashMap<SkuId, Stock>) {
        if changed.is_empty() {
            return;
        }
        let mut board = self.board.write().unwrap_or_else(PoisonError::into_inner);
        for (sku, _) in changed.drain() {
            *board.versions.entry(sku).or_default() += 1;
        }
        self.hall_version.fetch_add(1, Ordering::Relaxed);
    }

    fn send(&self, event: String) {
        let event = Bytes::from(event);
        let mut slow = 0;
        let mut listeners = self.listeners();
        listeners.retain(|listener| match listener.try_send(event.clone()) {
            Ok(()) => true,
            // It reads slower than events come; it asks again and gets all.
            Err(TrySendError::Full(_)) => {
                slow += 1;
                false
            }
            Err(TrySendError::Closed(_)) => false,
        });
        self.dropped.fetch_add(slow, Ordering::Relaxed);
        self.open.store(listeners.len(), Ordering::Relaxed);
    }

    /// Runs until the shop has ended, on a thread of its own.
    pub fn run(
        &self,
        catalogue: impl Fn() -> std::sync::Arc<Catalogue>,
        desks: &Desks,
        ended: impl Fn() -> bool,
    ) {
        let mut for_pages: HashMap<SkuId, Stock> = HashMap::new();
        let (mut sent, mut paged) = (Instant::now(), Instant::now());
        while !ended() {
            let catalogue = catalogue();
            let (changed, opened) = self.look(&catalogue, desks);
            for_pages.extend(changed.iter().copied());
            // A page without a script would keep its visitors out until it is made again.
            if opened || paged.elapsed() >= Duration::from_millis(limits::PAGES_MS) {
                self.count_versions(&mut for_pages);
                paged = Instant::now();
            }
            let heartbeat = sent.elapsed() >= Duration::from_millis(limits::HEARTBEAT_MS);
            if !changed.is_empty() || heartbeat {
                let named =
                    changed
                        .iter()
                        .take(limits::LIVE_SKUS_MAX)
                        .filter_map(|(sku, stock)| {
                            Some((catalogue.of_sku(*sku)?.product.sku.as_str(), *stock))
                        });
                self.send(event(desks.now().0, named));
                sent = Instant::now();
            }
            std::thread::sleep(Duration::from_millis(limits::LIVE_MS));
        }
    }
}

fn event<'a>(server_ms: u64, skus: impl Iterator<Item = (&'a str, Stock)>) -> String {
    let mut out = format!("event: stock\ndata: {{\"server_ms\":{server_ms},\"skus\":{{");
    for (index, (code, Stock { free, state })) in skus.enumerate() {
        let comma = if index > 0 { "," } else { "" };
        let name = serde_json::to_string(code).unwrap_or_default();
        let state = state.as_str();
        // Writing to a string cannot fail.
        let _ = write!(
            out,
            "{comma}{name}:{{\"free\":{free},\"state\":\"{state}\"}}"
        );
    }
    out.push_str("}}\n\n");
    out
}
