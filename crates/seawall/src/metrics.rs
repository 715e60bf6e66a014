//! What the engine, the follower and the shop count, for `/metrics`.

use engine::Engine;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use shop::Shop;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use store::Follower;

/// Everything is read when it is asked for.
#[derive(Debug)]
pub struct EngineMetrics {
    engine: engine::Watcher,
    projected: Arc<AtomicU64>,
    shop: Arc<Shop>,
}

impl EngineMetrics {
    pub fn new(engine: &Engine, follower: &Follower, shop: &Arc<Shop>) -> EngineMetrics {
        EngineMetrics {
            engine: engine.watcher(),
            projected: follower.applied_handle(),
            shop: Arc::clone(shop),
        }
    }
}

impl Collector for EngineMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let stats = self.engine.stats();
        let load = |value: &AtomicU64| value.load(Ordering::Relaxed);
        let seconds = |value: &AtomicU64| value.load(Ordering::Relaxed) as f64 / 1e9;
        let counters: [(&str, &str, f64); 8] = [
            (
                "engine_batches",
                "Batches synced to the journal",
                load(&stats.batches) as f64,
            ),
            (
                "engine_entries",
                "Entries applied",
                load(&stats.entries) as f64,
            ),
            (
                "engine_answered_now",
                "Orders answered from applied state, without the journal",
                load(&stats.answered_now) as f64,
            ),
            (
                "engine_turned_away",
                "Commands turned away because the inbox was full",
                load(&stats.turned_away) as f64,
            ),
            (
                "engine_sync_seconds",
                "Time in append and sync",
                seconds(&stats.sync_nanos),
            ),
            (
                "engine_apply_seconds",
                "Time in apply",
                seconds(&stats.apply_nanos),
            ),
            (
                "engine_holds_ended",
                "Holds that ended unpaid",
                load(&stats.holds_ended) as f64,
            ),
            (
                "live_dropped",
                "Live connections dropped because they read too slowly",
                self.shop.live.dropped() as f64,
            ),
        ];
        for (name, help, value) in counters {
            let counter = ConstCounter::new(value);
            let kind = counter.metric_type();
            counter.encode(encoder.encode_descriptor(name, help, None, kind)?)?;
        }
        let view = self.engine.view();
        let applied = view.applied().0;
        let (live, accepted, open, stranded) = {
            let ledger = view.ledger();
            let now = self.shop.desks.now();
            let late = ledger
                .next_due()
                .map_or(0, |due| now.0.saturating_sub(due.0));
            let open = ledger.open_payments().take(100_000).count();
            (ledger.orders_live(), ledger.orders_accepted(), open, late)
        };
        let gauges: [(&str, &str, f64); 9] = [
            (
                "engine_applied_entry",
                "Number of the last entry applied",
                applied as f64,
            ),
            (
                "engine_inbox_bytes",
                "Work not yet answered",
                self.engine.inbox_bytes() as f64,
            ),
            (
                "engine_storage_low",
                "1 while new orders are turned away for lack of disk",
                f64::from(u8::from(view.storage_low())),
            ),
            (
                "engine_longest_sync_seconds",
                "Longest append and sync since the start",
                seconds(&stats.sync_nanos_max),
            ),
            ("orders_in_memory", "Orders in memory", live as f64),
            (
                "orders_accepted_ever",
                "Orders accepted since the cell was founded",
                accepted as f64,
            ),
            (
                "payments_open",
                "Payments undecided or with a refund to settle",
                open as f64,
            ),
            (
                "holds_overdue_seconds",
                "How long the oldest ended hold has waited for its units to be free again",
                stranded as f64 / 1e3,
            ),
            (
                "projection_lag_entries",
                "Entries applied that the projection does not have yet",
                applied.saturating_sub(load(&self.projected)) as f64,
            ),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(value);
            let kind = gauge.metric_type();
            gauge.encode(encoder.encode_descriptor(name, help, None, kind)?)?;
        }
        Ok(())
    }
}
