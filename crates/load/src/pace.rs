//! Waking at the planned instant. tokio's timers have milliseconds; arrivals of a load test have
//! microseconds, and latency counts from them. A kernel timer (timerfd) has nanoseconds.

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use std::io;
use std::os::fd::AsFd;
use tokio::net::unix::pipe::Receiver;

/// A timerfd is read like a pipe, eight bytes each time it has gone off; this is tokio's safe way
/// to wait for such a descriptor.
pub(crate) struct Timer(Receiver);

impl Timer {
    /// Must be called within a tokio runtime.
    pub fn new() -> io::Result<Timer> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let fd = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        Ok(Timer(Receiver::from_owned_fd_unchecked(fd)?))
    }

    pub async fn sleep_us(&self, us: u64) -> io::Result<()> {
        let zero = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let value = Timespec {
            tv_sec: (us / 1_000_000) as i64,
            tv_nsec: (us % 1_000_000) as i64 * 1_000,
        };
        let once = Itimerspec {
            it_interval: zero,
            it_value: value,
        };
        timerfd_settime(self.0.as_fd(), TimerfdTimerFlags::empty(), &once)?;
        loop {
            self.0.readable().await?;
            match self.0.try_read(&mut [0; 8]) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn sleeps_are_exact_to_a_part_of_a_millisecond() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .unwrap();
        runtime.block_on(async {
            let timer = Timer::new().unwrap();
            let mut best = Duration::MAX;
            for _ in 0..50 {
                let start = Instant::now();
                timer.sleep_us(300).await.unwrap();
                assert!(start.elapsed() >= Duration::from_micros(300));
                best = best.min(start.elapsed());
            }
            assert!(best < Duration::from_micros(900), "{best:?}");
        });
    }
}
