//! Metrics: a latency histogram for the hot path, and the registry that all of them join.
//!
//! Names follow the Prometheus conventions with base units and one prefix:
//! `seawall_<what>_seconds`, `…_bytes`, `…_total`. What a process is (memory, CPU, descriptors)
//! keeps the names every dashboard knows: `process_…`.
//! It must not know what the metrics of the shop or the engine mean.

mod histogram;
mod process;

pub use histogram::{LatencyHistogram, Snapshot};
pub use process::{Process, process};

use crate::http::{Closed, HttpStats};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

pub const PREFIX: &str = "seawall";
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics of the process. Whoever has some registers them at start.
pub struct Metrics {
    registry: Mutex<Registry>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(process::Collect::default()));
        Metrics {
            registry: Mutex::new(registry),
        }
    }
}

impl Metrics {
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Registers under the prefix: `m.register("engine_batches", …)` is shown as
    /// `seawall_engine_batches`, a counter with `_total` behind it.
    pub fn with<R>(&self, register: impl FnOnce(&mut Registry) -> R) -> R {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        register(registry.sub_registry_with_prefix(PREFIX))
    }

    /// Shows what listeners count, by the label `listener`. Once, with all of them.
    pub fn listeners(&self, listeners: Vec<(&'static str, Arc<HttpStats>)>) {
        self.with(|r| r.register_collector(Box::new(Listeners(listeners))));
    }

    /// Shows a histogram as `seawall_<name>_seconds`.
    pub fn latency(&self, name: &'static str, help: &'static str, of: Arc<LatencyHistogram>) {
        self.with(|r| r.register_collector(Box::new(Latency { name, help, of })));
    }

    /// The exposition that `/metrics` answers with.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry)?;
        Ok(text)
    }
}

struct Latency {
    name: &'static str,
    help: &'static str,
    of: Arc<LatencyHistogram>,
}

impl fmt::Debug for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Collector for Latency {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (unit, kind) = (Some(&Unit::Seconds), MetricType::Histogram);
        let metric = encoder.encode_descriptor(self.name, self.help, unit, kind)?;
        encode_snapshot(metric, &self.of.snapshot())
    }
}

fn encode_snapshot(mut metric: MetricEncoder<'_>, s: &Snapshot) -> fmt::Result {
    metric.encode_histogram::<NoLabelSet>(s.sum_seconds, s.count, &s.buckets, None)
}

struct Listeners(Vec<(&'static str, Arc<HttpStats>)>);

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|(name, _)| name))
            .finish()
    }
}

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

impl Collector for Listeners {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut open = encoder.encode_descriptor(
            "http_connections",
            "Connections open now",
            None,
            MetricType::Gauge,
        )?;
        for (name, stats) in &self.0 {
            let value = i64::try_from(stats.open()).unwrap_or(i64::MAX);
            open.encode_family(&[("listener", *name)])?
                .encode_gauge(&value)?;
        }
        self.counter(
            &mut encoder,
            "accepted",
            "Connections accepted",
            HttpStats::accepted,
        )?;
        self.counter(
            &mut encoder,
            "accept_errors",
            "Connections the kernel would not give us",
            HttpStats::accept_errors,
        )?;
        let mut closed = encoder.encode_descriptor(
            "http_connections_closed",
            "Connections that we ended, by reason",
            None,
            MetricType::Counter,
        )?;
        for (name, stats) in &self.0 {
            for why in Closed::ALL {
                let labels = [("listener", *name), ("reason", why.label())];
                count(closed.encode_family(&labels)?, stats.closed(why))?;
            }
        }
        let mut answers = encoder.encode_descriptor(
            "http_answers",
            "Answers by class of status",
            None,
            MetricType::Counter,
        )?;
        for (name, stats) in &self.0 {
            for (index, class) in CLASSES.into_iter().enumerate() {
                let labels = [("listener", *name), ("class", class)];
                count(answers.encode_family(&labels)?, stats.answered(index))?;
            }
        }
        let mut latency = encoder.encode_descriptor(
            "http_answer",
            "From the complete request head to the head of the answer",
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        for (name, stats) in &self.0 {
            let labels = [("listener", *name)];
            encode_snapshot(latency.encode_family(&labels)?, &stats.latency().snapshot())?;
        }
        Ok(())
    }
}

impl Listeners {
    fn counter(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        what: &str,
        help: &str,
        of: impl Fn(&HttpStats) -> u64,
    ) -> fmt::Result {
        let name = format!("http_connections_{what}");
        let mut metric = encoder.encode_descriptor(&name, help, None, MetricType::Counter)?;
        for (name, stats) in &self.0 {
            count(metric.encode_family(&[("listener", *name)])?, of(stats))?;
        }
        Ok(())
    }
}

fn count(mut metric: MetricEncoder<'_>, value: u64) -> fmt::Result {
    metric.encode_counter::<NoLabelSet, u64, u64>(&value, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_is_registered_is_shown_under_its_conventional_name() {
        let metrics = Metrics::new();
        metrics.listeners(vec![
            ("front", HttpStats::new()),
            ("admin", HttpStats::new()),
        ]);
        let waits = Arc::new(LatencyHistogram::new(1));
        waits.record(0, Duration::from_micros(40));
        metrics.latency("engine_batch", "One batch", waits);
        let text = metrics.encode().unwrap();
        for line in [
            "seawall_http_connections{listener=\"admin\"} 0",
            "seawall_http_connections_accepted_total{listener=\"front\"} 0",
            "seawall_http_connections_closed_total{listener=\"front\",reason=\"slow_head\"} 0",
            "seawall_http_answers_total{listener=\"front\",class=\"2xx\"} 0",
            "seawall_http_answer_seconds_bucket{le=\"+Inf\",listener=\"front\"} 0",
            "seawall_engine_batch_seconds_bucket{le=\"0.000032\"} 0",
            "seawall_engine_batch_seconds_bucket{le=\"0.000048\"} 1",
            "seawall_engine_batch_seconds_count 1",
        ] {
            assert!(
                text.lines().any(|l| l == line),
                "no line {line:?} in\n{text}"
            );
        }
        assert!(text.ends_with("# EOF\n"), "{text}");
    }

    #[test]
    fn the_process_knows_itself() {
        let text = Metrics::new().encode().unwrap();
        for name in [
            "process_resident_memory_bytes",
            "process_cpu_seconds_total",
            "process_open_fds",
            "process_max_fds",
            "process_threads",
            "process_start_time_seconds",
        ] {
            let line = text
                .lines()
                .find_map(|l| l.strip_prefix(&format!("{name} ")));
            let value: f64 = line
                .unwrap_or_else(|| panic!("no {name} in\n{text}"))
                .parse()
                .unwrap();
            assert!(value > 0.0, "{name} is {value}");
        }
    }
}
