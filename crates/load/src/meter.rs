//! The processor time of a worker's thread, as the kernel counts it: whether the generator itself
//! was short of it.

use crate::measure::Measured;

/// The processor time of this thread, as the kernel counts it.
pub(crate) struct Meter {
    first: Option<(u64, u64)>,
    second: (u64, u64),
}

impl Meter {
    pub fn new() -> Meter {
        let first = Meter::read();
        Meter {
            first,
            second: (0, first.map_or(0, |(cpu, _)| cpu)),
        }
    }
    /// Time on a processor and time waiting for one; `None` where the kernel does not say.
    fn read() -> Option<(u64, u64)> {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        let mut numbers = text.split_whitespace().map(str::parse::<u64>);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    }
    pub fn sample(&mut self, now_us: u64, measured: &mut Measured) {
        let (since_us, since_cpu) = self.second;
        if now_us < since_us + 1_000_000 && measured.wall_us == 0 && since_us > 0 {
            return;
        }
        let (Some(first), Some((cpu, starved))) = (self.first, Meter::read()) else {
            return;
        };
        measured.cpu_ns = cpu - first.0;
        measured.starved_ns = starved - first.1;
        if now_us >= since_us + 1_000_000 {
            let span_ns = (now_us - since_us) as f64 * 1e3;
            measured.busiest = measured.busiest.max((cpu - since_cpu) as f64 / span_ns);
            self.second = (now_us, cpu);
        }
    }
}
