//! The watcher: makes one fault, holds it, and undoes it, whatever happens to its parent.
//!
//! Runs as a process of its own (`seawall faults watch`). It undoes when stdin ends, when the
//! lease does, and on SIGTERM, SIGINT and SIGHUP. Only its own SIGKILL leaves a stopped process
//! stopped; a full disk is free even then, because the file that fills it has no name and goes
//! with the process. It must not know what the fault is for.

use crate::limits::{FILL_WRITE_BYTES, REFILL_MS, WATCHER_LINE_BYTES_MAX};
use crate::watched::{Fault, strange};
use rustix::fs::{FallocateFlags, fallocate, fstatvfs};
use rustix::io::Errno;
use rustix::process::{Signal, geteuid, pidfd_send_signal};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior};

/// Makes the fault, says `on` on stdout, and returns when it is undone; `false`: it could not be
/// made, and `no: …` was said instead.
///
/// # Errors
/// It could not be undone.
pub fn run(fault: &Fault, lease: Duration) -> io::Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let begun = Watch::begin(fault);
        let mut stdout = io::stdout();
        match begun {
            Ok(mut watch) => {
                // A parent that is gone is seen on the other pipe.
                let _ = stdout.write_all(b"on\n").and_then(|()| stdout.flush());
                watch.hold(lease).await;
                watch.made.undo().map(|()| true)
            }
            Err(error) => {
                let _ = writeln!(stdout, "no: {error}");
                Ok(false)
            }
        }
    })
}

struct Watch {
    parent: Receiver,
    ends: [tokio::signal::unix::Signal; 3],
    made: Made,
}

enum Made {
    Stopped(OwnedFd),
    Filled(Filler),
}

impl Watch {
    /// All that may fail first, and the fault last.
    fn begin(fault: &Fault) -> io::Result<Watch> {
        let stdin = io::stdin().as_fd().try_clone_to_owned()?;
        let parent = Receiver::from_owned_fd(stdin)
            .map_err(|error| io::Error::other(format!("stdin: expected a pipe: {error}")))?;
        let ends = [
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
            signal(SignalKind::hangup())?,
        ];
        let made = match fault {
            Fault::Stop { pid } => {
                let process = strange(*pid)?;
                pidfd_send_signal(&process, Signal::STOP)?;
                Made::Stopped(process)
            }
            Fault::Fill {
                folder,
                leave_bytes,
                anywhere,
            } => Made::Filled(Filler::begin(folder, *leave_bytes, *anywhere)?),
        };
        Ok(Watch { parent, ends, made })
    }

    /// Until something ends it.
    async fn hold(&mut self, lease: Duration) {
        let mut until = Instant::now() + lease;
        let mut line = [0; WATCHER_LINE_BYTES_MAX];
        let mut look = tokio::time::interval(Duration::from_millis(REFILL_MS));
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let [terminate, interrupt, hangup] = &mut self.ends;
        loop {
            tokio::select! {
                // Whatever is said means that somebody is there.
                said = self.parent.read(&mut line) => match said {
                    Ok(0) | Err(_) => return,
                    Ok(_) => until = Instant::now() + lease,
                },
                () = tokio::time::sleep_until(until) => return,
                _ = terminate.recv() => return,
                _ = interrupt.recv() => return,
                _ = hangup.recv() => return,
                _ = look.tick() => if let Made::Filled(filler) = &mut self.made {
                    // A disk that fails is not full; there is nobody to tell.
                    let _ = filler.fill();
                },
            }
        }
    }
}

impl Made {
    fn undo(self) -> io::Result<()> {
        match self {
            Made::Stopped(process) => match pidfd_send_signal(process, Signal::CONT) {
                // It was ended meanwhile.
                Ok(()) | Err(Errno::SRCH) => Ok(()),
                Err(error) => Err(error.into()),
            },
            Made::Filled(filler) => filler.file.set_len(0),
        }
    }
}

/// A file without a name that takes what is free.
struct Filler {
    file: File,
    leave_bytes: u64,
    length: u64,
}

impl Filler {
    fn begin(folder: &Path, leave_bytes: u64, anywhere: bool) -> io::Result<Filler> {
        let at = |error: io::Error| io::Error::other(format!("{}: {error}", folder.display()));
        let system = folder.metadata().map_err(at)?;
        if system.dev() == Path::new("/").metadata()?.dev() && !anywhere {
            return Err(io::Error::other(format!(
                "{} is on the file system of /: expected one of its own, or --anywhere",
                folder.display()
            )));
        }
        let path = folder.join(format!(".seawall-fill-{}", std::process::id()));
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        let file = options.open(&path).map_err(at)?;
        // Without a name nothing is left behind, however this process ends.
        std::fs::remove_file(&path).map_err(at)?;
        let mut filler = Filler {
            file,
            leave_bytes,
            length: 0,
        };
        filler.fill().map_err(at)?;
        Ok(filler)
    }

    /// Takes what is free beyond what is to be left.
    fn fill(&mut self) -> io::Result<()> {
        let mut piece = u64::MAX;
        while let Some(free) = self.too_much()? {
            piece = piece.min(free);
            match fallocate(&self.file, FallocateFlags::empty(), self.length, piece) {
                Ok(()) => self.length += piece,
                // Less than was promised: reserved blocks, bookkeeping of its own, a quota.
                Err(Errno::NOSPC | Errno::DQUOT) if piece > 1 => piece /= 2,
                Err(Errno::NOSPC | Errno::DQUOT) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(Errno::OPNOTSUPP) => return self.write(free),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn too_much(&self) -> io::Result<Option<u64>> {
        let system = fstatvfs(&self.file)?;
        let blocks = match geteuid().is_root() {
            true => system.f_bfree,
            false => system.f_bavail,
        };
        let free = blocks.saturating_mul(system.f_frsize);
        let more = free.saturating_sub(self.leave_bytes);
        // Less than a block cannot be taken.
        Ok((more >= system.f_frsize.max(1)).then_some(more))
    }

    fn write(&mut self, bytes: u64) -> io::Result<()> {
        let zeros = vec![0; FILL_WRITE_BYTES];
        let end = self.length.saturating_add(bytes);
        while self.length < end {
            let most = usize::try_from(end - self.length).unwrap_or(FILL_WRITE_BYTES);
            match self
                .file
                .write_at(&zeros[..most.min(FILL_WRITE_BYTES)], self.length)
            {
                Ok(written) => self.length += written as u64,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::StorageFull => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::QuotaExceeded => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
