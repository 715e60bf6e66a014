//! What `seawall load find` can be told beside the search itself: k6 as the generator, and where
//! the target shows what it uses.

use super::{FindArgs, Stopped, ceiling, finding, interrupted, show, tell};
use ::load::Target;
use ::load::find::{Step, find_with};
use ::load::k6::{K6, all_but};
use ::load::metrics::Metrics;
use ::load::report::{About, Body, Source};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Instant, SystemTime};

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Driver {
    /// This process.
    Seawall,
    /// An installed k6; the scenario is a script of k6's.
    K6,
}

#[derive(Debug, clap::Args)]
pub struct More {
    /// Who sends. With k6 the file is a script of k6's, whose own scenarios give way to the rates
    /// of the search; --url is its __ENV.SEAWALL_URL, and it can reach nothing but this machine
    /// and that.
    #[arg(long, value_enum, default_value = "seawall")]
    pub driver: Driver,
    /// The k6 binary.
    #[arg(long, value_name = "PROGRAM", default_value = "k6")]
    pub k6: PathBuf,
    /// Virtual users of k6 at most; each takes some megabytes.
    #[arg(long, value_name = "COUNT", default_value_t = 1_000)]
    pub vus: u32,
    /// A page of the target in Prometheus' text format; what the process used stands at each
    /// step. Read only, and from any host.
    #[arg(long, value_name = "URL")]
    pub metrics: Option<String>,
}

impl More {
    pub fn metrics(&self) -> Result<Option<Arc<Metrics>>, Stopped> {
        let Some(url) = &self.metrics else {
            return Ok(None);
        };
        let metrics = Metrics::new(url).map_err(|error| Stopped::Usage(error.to_string()))?;
        let checked = metrics.check();
        checked.map_err(|why| Stopped::Usage(format!("--metrics {url}: {why}")))?;
        Ok(Some(Arc::new(metrics)))
    }
}

/// The search with k6 as the generator.
pub fn by_k6(args: &FindArgs) -> Result<ExitCode, Stopped> {
    let begun = (Instant::now(), SystemTime::now());
    let (common, more) = (&args.common, &args.more);
    let usage = |error: &dyn std::fmt::Display| Stopped::Usage(error.to_string());
    let target = match &common.url {
        None => None,
        Some(url) => {
            let tls = url.starts_with("https://").then(|| ::load::tls(None));
            let tls = tls.transpose().map_err(|error| usage(&error))?;
            Some(Target::new(url, tls).map_err(|error| usage(&error))?)
        }
    };
    let ceiling = match &target {
        None => f64::INFINITY,
        Some(target) => ceiling(target, &common.key_file)?,
    };
    let k6 = K6 {
        program: more.k6.clone(),
        script: common.scenario.clone(),
        url: common.url.clone(),
        blocked: all_but(target.as_ref().map(|target| target.address().ip())),
        vus_max: more.vus.max(1),
    };
    let version = k6.version(&args.slo).map_err(|error| usage(&error))?;
    let finding = finding(args, ceiling, ::load::arrivals::Spacing::Even)?;
    let stop = interrupted()?;
    let mut steps: Vec<Step> = Vec::new();
    let each = |step: &Step| {
        if !common.quiet {
            eprintln!("{}", show::step(step));
        }
        steps.push(step.clone());
    };
    let found = find_with(&finding, &stop, each, |rate| {
        k6.try_rate(&finding, rate, &stop)
    })?;
    if !common.quiet {
        eprintln!("{}", show::found(&found));
    }
    let name = common.scenario.file_stem().unwrap_or_default();
    let about = About {
        scenario: name.to_string_lossy().into_owned(),
        target: common
            .url
            .clone()
            .unwrap_or_else(|| "the script's".to_owned()),
        thresholds: Vec::new(),
        stopped: stop.load(Ordering::Relaxed),
        remarks: vec![format!(
            "{version} sent the load: rates are its iterations, and latency counts from its own \
             sending, of all answers"
        )],
    };
    let mut body = Body::of_find(&steps, &found, &args.slo, about);
    body.source = Source::K6;
    tell(body, begun, (&args.out, "find"), common.json)
}
