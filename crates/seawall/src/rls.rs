//! Envoy's rate limit service beside the door: how it is called for, and what it counted.

use anyhow::Context as _;
use gateway::door::Door;
use host::Drain;
use host::http::{HttpStats, Listening};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use rls::limits::DOMAIN_NAMES_MAX;
use rls::{Counts, Entries, Options};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug, clap::Args)]
pub struct RlsArgs {
    /// Answer Envoy's rate limit service (gRPC) on this address with the same limits
    /// (docs/envoy.md).
    #[arg(long, value_name = "ADDR")]
    rls: Option<SocketAddr>,
    /// The domain that Envoy's calls name; may be given several times.
    #[arg(long, value_name = "NAME", default_value = "seawall", requires = "rls")]
    rls_domain: Vec<String>,
    /// What an entry of a descriptor says, such as user_id=buyer; may be given several times.
    #[arg(long, value_name = "KEY=ATTRIBUTE", requires = "rls")]
    rls_entry: Vec<String>,
    /// Threads that answer it.
    #[arg(long, value_name = "COUNT", default_value_t = 1, requires = "rls",
          value_parser = clap::value_parser!(u16).range(1..=256))]
    rls_workers: u16,
}

impl RlsArgs {
    /// What is called for; `None`: nothing.
    ///
    /// # Errors
    /// What is wrong with it, for the caller.
    pub fn options(&self) -> Result<Option<Options>, String> {
        let Some(addr) = self.rls else {
            return Ok(None);
        };
        if self.rls_domain.len() > DOMAIN_NAMES_MAX {
            return Err(format!(
                "--rls-domain: expected at most {DOMAIN_NAMES_MAX} of them"
            ));
        }
        let entries = Entries::parse(self.rls_entry.iter().map(String::as_str));
        Ok(Some(Options {
            workers: usize::from(self.rls_workers),
            domains: self.rls_domain.clone(),
            entries: entries.map_err(|problem| format!("--rls-entry: {problem}"))?,
            ..Options::new(addr)
        }))
    }
}

/// The service at work.
pub struct Service {
    pub listening: Listening,
    pub counts: Arc<Counts>,
    pub stats: Arc<HttpStats>,
}

pub fn start(options: &Options, door: &Arc<Door>, drain: &Drain) -> anyhow::Result<Service> {
    let (counts, stats) = (Arc::<Counts>::default(), HttpStats::new());
    let started = rls::start(options, door, &counts, drain.clone(), Arc::clone(&stats));
    Ok(Service {
        listening: started.context("the rate limit service")?,
        counts,
        stats,
    })
}

/// Read when it is asked for.
#[derive(Debug)]
pub struct RlsMetrics(pub Arc<Counts>);

impl Collector for RlsMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let counts = &self.0;
        let load = |value: &AtomicU64| value.load(Ordering::Relaxed);
        let mut calls = encoder.encode_descriptor(
            "rls_calls",
            "Calls of the rate limit service by how they ended",
            None,
            MetricType::Counter,
        )?;
        for (end, value) in [
            ("ok", &counts.ok),
            ("over_limit", &counts.over_limit),
            ("unknown_domain", &counts.unknown_domain),
            ("malformed", &counts.malformed),
        ] {
            let counter = ConstCounter::new(load(value));
            counter.encode(calls.encode_family(&[("end", end)])?)?;
        }
        for (name, help, value) in [
            (
                "rls_descriptors",
                "Descriptors of these calls",
                &counts.descriptors,
            ),
            (
                "rls_unknown_entries",
                "Entries of descriptors that said nothing to the rules",
                &counts.unknown_entries,
            ),
            (
                "rls_overrides",
                "Descriptors that brought a limit of their own",
                &counts.overrides,
            ),
            (
                "rls_refunds_ignored",
                "Descriptors that wanted hits back, which is not done",
                &counts.refunds_ignored,
            ),
            (
                "rls_health_checks",
                "Health checks of the rate limit service",
                &counts.health_checks,
            ),
        ] {
            let counter = ConstCounter::new(load(value));
            let metric = encoder.encode_descriptor(name, help, None, counter.metric_type())?;
            counter.encode(metric)?;
        }
        Ok(())
    }
}
