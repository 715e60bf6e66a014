//! Which threads run on which processor.
//!
//! A worker that may run anywhere is drawn to the processor of whoever woke it – its client, its
//! disk – while another one idles: on two cores that costs a third of the durable orders. So each
//! worker keeps a processor of its own, taken from the end, and the thread that decides keeps to
//! the others. Only where the machine is ours: programs that each pin to the last processor would
//! fight for it.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Processors by their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cores {
    /// One for each worker.
    pub workers: Vec<usize>,
    /// What is left for the thread that decides.
    pub rest: Vec<usize>,
}

/// `None` where there are too few processors, or where they are shared by a quota.
#[must_use]
pub fn plan(workers: usize) -> Option<Cores> {
    let quota = std::fs::read_to_string("/sys/fs/cgroup/cpu.max").unwrap_or_default();
    let online = std::fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    let mine = sched_getaffinity(None).ok()?;
    let mine: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|n| mine.is_set(*n)).collect();
    divide(&mine, count(&online)?, &quota, workers)
}

fn divide(mine: &[usize], online: usize, quota: &str, workers: usize) -> Option<Cores> {
    let limited = quota.split_whitespace().next().is_some_and(|q| q != "max");
    if limited || mine.len() < online || workers >= mine.len() {
        return None;
    }
    let (rest, own) = mine.split_at(mine.len() - workers);
    Some(Cores {
        workers: own.to_vec(),
        rest: rest.to_vec(),
    })
}

/// Does `work` kept to `cores`: threads that it starts stay there, the calling one does not.
pub fn kept_to<T>(cores: &[usize], work: impl FnOnce() -> T) -> T {
    let before = sched_getaffinity(None);
    keep_to(cores);
    let done = work();
    // Where it cannot be read it cannot have been set either.
    if let Ok(before) = before {
        let _ = sched_setaffinity(None, &before);
    }
    done
}

/// How many processors a list such as `0-3,8` names.
fn count(list: &str) -> Option<usize> {
    let ranges = list.trim().split(',').map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (first.parse::<usize>().ok()?, last.parse::<usize>().ok()?);
        (last + 1).checked_sub(first)
    });
    ranges.sum()
}

/// Keeps the calling thread to `cores`. A wish: where the system says no, it runs as before.
pub fn keep_to(cores: &[usize]) {
    let mut set = CpuSet::new();
    for core in cores.iter().filter(|core| **core < CpuSet::MAX_CPU) {
        set.set(*core);
    }
    if let Err(error) = sched_setaffinity(None, &set) {
        tracing::warn!(%error, ?cores, "the thread was not pinned");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ours, online, the quota, workers, and what comes of it.
    type Row<'a> = (&'a [usize], usize, &'a str, usize, Option<Cores>);

    #[test]
    fn workers_take_the_last_processors_and_leave_some() {
        let cores = |workers: &[usize], rest: &[usize]| {
            Some(Cores {
                workers: workers.to_vec(),
                rest: rest.to_vec(),
            })
        };
        #[rustfmt::skip]
        let rows: &[Row<'_>] = &[
            (&[0, 1], 2, "max 100000", 1, cores(&[1], &[0])),
            (&[0, 1, 2, 3], 4, "", 2, cores(&[2, 3], &[0, 1])),
            (&[0, 2, 4], 3, "max", 1, cores(&[4], &[0, 2])),
            // Nothing would be left.
            (&[0], 1, "max", 1, None),
            (&[0, 1], 2, "max", 2, None),
            // Somebody else has the others, or a share of all.
            (&[0, 1], 4, "max", 1, None),
            (&[0, 1], 2, "150000 100000", 1, None),
        ];
        for (mine, online, quota, workers, expected) in rows {
            let found = divide(mine, *online, quota, *workers);
            assert_eq!(
                &found, expected,
                "{mine:?} of {online}, {quota:?}, {workers}"
            );
        }
    }

    #[test]
    fn a_list_of_processors_is_counted() {
        assert_eq!(count("0-3,8\n"), Some(5));
        assert_eq!(count("0"), Some(1));
        assert_eq!(count("3-0"), None);
        assert_eq!(count(""), None);
    }

    #[test]
    fn a_thread_stays_where_it_was_told() {
        let first = sched_getaffinity(None).unwrap();
        let first = (0..CpuSet::MAX_CPU).find(|n| first.is_set(*n)).unwrap();
        let before = sched_getaffinity(None).unwrap().count();
        let started = || std::thread::spawn(|| sched_getaffinity(None).unwrap().count());
        let inherited = kept_to(&[first], started);
        assert_eq!(inherited.join().unwrap(), 1);
        assert_eq!(sched_getaffinity(None).unwrap().count(), before);
    }
}
