//! What a target shows of itself in Prometheus' text format: processor time, memory, open files.
//!
//! The names are those that client libraries of Prometheus give to every process. It must not know
//! what the target is.

use crate::run::RunError;
use crate::stop::Page;
use std::time::Instant;

const CPU: &str = "process_cpu_seconds_total";
const MEMORY: &str = "process_resident_memory_bytes";
const FILES: &str = "process_open_fds";

/// A page of metrics.
pub struct Metrics(Page);

/// What the target used while it was watched.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Used {
    /// Processors on the average; 1.5 is one and a half.
    pub processors: Option<f64>,
    /// At the end.
    pub memory_bytes: Option<f64>,
    pub open_files: Option<f64>,
}

/// A target that is being watched.
pub struct Watched<'a> {
    metrics: &'a Metrics,
    since: Instant,
    cpu_s: Option<f64>,
}

impl Metrics {
    /// # Errors
    /// The address is none.
    pub fn new(url: &str) -> Result<Metrics, RunError> {
        Page::new(url).map(Metrics)
    }

    /// # Errors
    /// The page is not there, or says nothing of a process.
    pub fn check(&self) -> Result<(), String> {
        let page = self.0.read()?;
        let known = [CPU, MEMORY]
            .iter()
            .any(|name| value(&page, name).is_some());
        let missing = || format!("it has neither {CPU} nor {MEMORY}");
        known.then_some(()).ok_or_else(missing)
    }

    #[must_use]
    pub fn watch(&self) -> Watched<'_> {
        let page = self.0.read().unwrap_or_default();
        Watched {
            metrics: self,
            since: Instant::now(),
            cpu_s: value(&page, CPU),
        }
    }
}

impl Watched<'_> {
    /// `None` where the page does not answer now.
    #[must_use]
    pub fn used(&self) -> Option<Used> {
        let page = self.metrics.0.read().ok()?;
        let seconds = self.since.elapsed().as_secs_f64();
        // A counter that fell is another process's.
        let grown = value(&page, CPU).zip(self.cpu_s);
        let grown = grown.filter(|(now, before)| now >= before);
        Some(Used {
            processors: grown.map(|(now, before)| (now - before) / seconds.max(1e-3)),
            memory_bytes: value(&page, MEMORY),
            open_files: value(&page, FILES),
        })
    }
}

fn value(page: &str, name: &str) -> Option<f64> {
    crate::stop::sum(page, name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stop::tests::server;
    use std::sync::{Arc, Mutex};

    #[test]
    fn processors_are_the_growth_of_processor_time() {
        let page = |cpu: f64| format!("{CPU} {cpu}\n# TYPE x gauge\n{MEMORY} 1.5e+07\nother 1\n");
        let text = Arc::new(Mutex::new(page(10.0)));
        let metrics = Metrics::new(&(server(&text) + "/metrics")).unwrap();
        assert_eq!(metrics.check(), Ok(()));
        let watched = metrics.watch();
        *text.lock().unwrap() = page(11.0);
        while watched.since.elapsed().as_millis() < 50 {
            std::hint::spin_loop();
        }
        let used = watched.used().unwrap();
        let processors = used.processors.unwrap();
        assert!(processors > 1.0 && processors < 21.0, "{processors}");
        assert_eq!((used.memory_bytes, used.open_files), (Some(1.5e7), None));
        // Another process: its counter began again.
        *text.lock().unwrap() = page(0.5);
        assert_eq!(watched.used().unwrap().processors, None);
        *text.lock().unwrap() = "other 1\n".into();
        assert!(metrics.check().unwrap_err().contains(MEMORY));
    }
}
