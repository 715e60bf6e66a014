//! Whether the generator itself was the limit: its processor time, and the time that it wanted to
//! run but could not, as the kernel counts them for this thread.

use crate::measure::Measured;

pub(crate) struct Meter {
    first: Option<(u64, u64)>,
    second: (u64, u64),
}

impl Meter {
    pub(crate) fn new() -> Meter {
        let first = Meter::read();
        Meter {
            first,
            second: (0, first.map_or(0, |(cpu, _)| cpu)),
        }
    }
    /// `None` where the kernel does not say.
    fn read() -> Option<(u64, u64)> {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        let mut numbers = text.split_whitespace().map(str::parse::<u64>);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    }
    pub(crate) fn sample(&mut self, now_us: u64, measured: &mut Measured) {
        let (Some(first), Some((cpu, starved))) = (self.first, Meter::read()) else {
            return;
        };
        measured.cpu_ns = cpu - first.0;
        measured.starved_ns = starved - first.1;
        let (since_us, since_cpu) = self.second;
        if now_us >= since_us + 1_000_000 {
            let per_second = (cpu - since_cpu) * 1_000_000 / (now_us - since_us);
            measured.cpu_second_ns_max = measured.cpu_second_ns_max.max(per_second);
            self.second = (now_us, cpu);
        }
    }
}
