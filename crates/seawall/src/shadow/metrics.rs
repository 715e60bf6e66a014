//! What the shadow counts, for `/metrics`: figures of their own, so that those of the real shop
//! say nothing about rehearsals.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use shop::{Shadows, Standing};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Everything is read when it is asked for.
#[derive(Debug)]
pub struct ShadowMetrics(pub Arc<Shadows>);

impl Collector for ShadowMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let refused = ConstCounter::new(self.0.refused.load(Ordering::Relaxed));
        let help = "Marked requests that no shadow took";
        let kind = refused.metric_type();
        refused.encode(encoder.encode_descriptor("shadow_refused", help, None, kind)?)?;
        let open = self.0.current();
        let mut gauges = vec![(
            "shadow_open",
            "1 while a shadow is open",
            f64::from(u8::from(open.is_some())),
        )];
        if let Some(shadow) = open {
            let proven = shadow.standing() == Standing::Proven;
            let ledger = shadow.shop.desks.view().ledger();
            gauges.extend([
                (
                    "shadow_proven",
                    "1 once a canary showed that the open shadow is apart",
                    f64::from(u8::from(proven)),
                ),
                (
                    "shadow_requests",
                    "Requests that the open shadow served",
                    shadow.requests.load(Ordering::Relaxed) as f64,
                ),
                (
                    "shadow_orders_accepted",
                    "Orders in the open shadow's ledger since it was founded",
                    ledger.orders_accepted() as f64,
                ),
                (
                    "shadow_applied_entry",
                    "Number of the last entry in the open shadow's ledger",
                    ledger.seq().0 as f64,
                ),
            ]);
        }
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(value);
            let kind = gauge.metric_type();
            gauge.encode(encoder.encode_descriptor(name, help, None, kind)?)?;
        }
        Ok(())
    }
}
