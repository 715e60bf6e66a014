//! What this process takes: read from /proc when asked, never in between.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// One look at the process. What /proc does not tell is 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Process {
    pub resident_bytes: u64,
    pub cpu_seconds: f64,
    pub open_fds: u64,
    pub max_fds: u64,
    pub threads: u64,
}

#[must_use]
pub fn process() -> Process {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| -> u64 {
        let value = status.lines().find_map(|line| line.strip_prefix(name));
        value
            .and_then(|v| v.split_whitespace().next()?.parse().ok())
            .unwrap_or(0)
    };
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    let open_fds = std::fs::read_dir("/proc/self/fd").map_or(0, |d| d.count() as u64);
    Process {
        resident_bytes: field("VmRSS:") * 1_024,
        cpu_seconds: cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9,
        // Without the one that lists them.
        open_fds: open_fds.saturating_sub(1),
        max_fds: getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX),
        threads: field("Threads:"),
    }
}

/// Shows it at every scrape. Made at start: that instant counts as the start of the process.
#[derive(Debug)]
pub(super) struct Collect {
    started_seconds: f64,
}

impl Default for Collect {
    fn default() -> Self {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Collect {
            started_seconds: since_epoch.as_secs_f64(),
        }
    }
}

impl Collector for Collect {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let p = process();
        let gauges = [
            (
                "process_resident_memory",
                Some(Unit::Bytes),
                p.resident_bytes as f64,
                "In memory",
            ),
            (
                "process_open_fds",
                None,
                p.open_fds as f64,
                "Open descriptors",
            ),
            (
                "process_max_fds",
                None,
                p.max_fds as f64,
                "Most descriptors",
            ),
            ("process_threads", None, p.threads as f64, "Threads"),
            (
                "process_start_time",
                Some(Unit::Seconds),
                self.started_seconds,
                "Start, Unix time",
            ),
        ];
        for (name, unit, value, help) in gauges {
            encoder
                .encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?
                .encode_gauge(&value)?;
        }
        encoder
            .encode_descriptor(
                "process_cpu",
                "CPU time taken",
                Some(&Unit::Seconds),
                MetricType::Counter,
            )?
            .encode_counter::<NoLabelSet, f64, f64>(&p.cpu_seconds, None)
    }
}
