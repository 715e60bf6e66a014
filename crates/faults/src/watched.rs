//! Faults of processes and disks, from the side of whoever wants them: a drill, a person.
//!
//! The fault is made and undone by a watcher, a process of its own that holds the other end of a
//! pipe: the watcher undoes it when it is told to, when the lease ends, and when the pipe breaks
//! because we are dead – by SIGKILL, too. It must not know how a fault is made.

use crate::limits::{LEASE_MS_MAX, LEASE_MS_MIN, WATCHER_START};
use rustix::process::{Pid, PidfdFlags, Signal, getpid, getppid, pidfd_open, pidfd_send_signal};
use std::ffi::OsString;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The process stands still (SIGSTOP) until the end (SIGCONT).
    Stop { pid: u32 },
    /// The folder's file system has at most `leave_bytes` free until the end. Without `anywhere`
    /// only on a file system that is not the one of `/`.
    Fill {
        folder: PathBuf,
        leave_bytes: u64,
        anywhere: bool,
    },
}

impl Fault {
    fn words(&self) -> Vec<OsString> {
        match self {
            Fault::Stop { pid } => vec!["stop".into(), "--pid".into(), pid.to_string().into()],
            Fault::Fill {
                folder,
                leave_bytes,
                anywhere,
            } => {
                let leave = leave_bytes.to_string().into();
                let mut words = vec!["fill".into(), "--leave-bytes".into(), leave];
                if *anywhere {
                    words.push("--anywhere".into());
                }
                words.extend(["--".into(), folder.into()]);
                words
            }
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    #[error("a lease of {0} ms: expected {min} to {max}", min = LEASE_MS_MIN, max = LEASE_MS_MAX)]
    Lease(u128),
    #[error("the watcher {program}: {source}")]
    Start { program: PathBuf, source: io::Error },
    #[error("{0}")]
    Refused(String),
    #[error("the watcher has not answered within {patience:?}", patience = WATCHER_START)]
    Silent,
    #[error("the watcher is gone, and the fault with it")]
    Gone,
    #[error("the fault could not be undone: {0}")]
    NotUndone(String),
}

/// A fault that is on. Dropping it ends it.
#[derive(Debug)]
pub struct Watched {
    fault: Fault,
    child: Child,
    /// `None`: the watcher was told to end.
    pipe: Option<ChildStdin>,
}

impl Watched {
    /// Makes the fault; returns when it is on. `program` is our binary, usually
    /// [`std::env::current_exe`]. Without [`Watched::renew`] it ends after `lease`.
    ///
    /// # Errors
    /// The watcher could not be started, or has refused the fault.
    pub fn begin(program: &Path, fault: Fault, lease: Duration) -> Result<Watched, WatchError> {
        let ms = lease.as_millis();
        if !(u128::from(LEASE_MS_MIN)..=u128::from(LEASE_MS_MAX)).contains(&ms) {
            return Err(WatchError::Lease(ms));
        }
        let failed = |source| WatchError::Start {
            program: program.to_path_buf(),
            source,
        };
        let mut child = Command::new(program)
            .args(["faults", "watch", "--lease-ms", &ms.to_string()])
            .args(fault.words())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // What is meant for us, such as an interrupt of the terminal, is not for the watcher.
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let (pipe, said) = (child.stdin.take(), child.stdout.take());
        let mut watched = Watched { fault, child, pipe };
        let (tell, hear) = mpsc::channel();
        std::thread::Builder::new()
            .name("watcher's word".into())
            .spawn(move || {
                let mut line = String::new();
                if let Some(said) = said {
                    // An unreadable word is as none.
                    let _ = BufReader::new(said).read_line(&mut line);
                }
                let _ = tell.send(line);
            })
            .map_err(failed)?;
        match hear.recv_timeout(WATCHER_START) {
            Ok(line) if line.trim() == "on" => Ok(watched),
            Ok(line) => {
                watched.pipe = None;
                let _ = watched.child.wait();
                let why = line.trim().strip_prefix("no: ");
                let why = why.unwrap_or("the watcher ended without a word");
                Err(WatchError::Refused(why.to_owned()))
            }
            Err(_) => {
                // It may have begun, and is undone by the drop.
                let _ = watched.child.kill();
                Err(WatchError::Silent)
            }
        }
    }

    /// The lease begins anew.
    ///
    /// # Errors
    /// The lease has ended already.
    pub fn renew(&mut self) -> Result<(), WatchError> {
        let told = self.pipe.as_mut().map(|pipe| pipe.write_all(b"renew\n"));
        match told {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) | None => Err(WatchError::Gone),
        }
    }

    /// Waits for the end of the lease.
    ///
    /// # Errors
    /// The watcher has failed.
    pub fn wait(mut self) -> Result<(), WatchError> {
        self.ended()
    }

    /// Ends the fault; returns when it is undone.
    ///
    /// # Errors
    /// The watcher has failed.
    pub fn end(mut self) -> Result<(), WatchError> {
        self.pipe = None;
        self.ended()
    }

    fn ended(&mut self) -> Result<(), WatchError> {
        match self.child.wait() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => {
                self.undo_without_watcher();
                Err(WatchError::NotUndone(format!("the watcher: {status}")))
            }
            Err(error) => Err(WatchError::NotUndone(error.to_string())),
        }
    }

    /// A watcher that was killed holds nothing: its file is gone with it, and a process that
    /// stands still is woken here.
    fn undo_without_watcher(&self) {
        if let Fault::Stop { pid } = self.fault {
            // It may be gone by now, too.
            let _ = open(pid).and_then(|process| pidfd_send_signal(process, Signal::CONT));
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.pipe = None;
        let _ = self.ended();
    }
}

/// Ends a process at once (SIGKILL). There is nothing to undo, and so no lease.
///
/// # Errors
/// There is no such process, it is not ours to kill, or it is ourselves.
pub fn kill(pid: u32) -> io::Result<()> {
    let process = strange(pid)?;
    Ok(pidfd_send_signal(process, Signal::KILL)?)
}

/// A process that is neither the first one, nor we, nor who has started us.
pub(crate) fn strange(pid: u32) -> io::Result<OwnedFd> {
    let own = [Some(getpid()), getppid(), Some(Pid::INIT)];
    let own = own.map(|one| one.map(|pid| pid.as_raw_nonzero().get()));
    if own.contains(&i32::try_from(pid).ok()) {
        return Err(io::Error::other(format!(
            "process {pid} is the first one of the system, or our own"
        )));
    }
    open(pid).map_err(|error| io::Error::other(format!("process {pid}: {error}")))
}

/// A handle, so that a number that is given to another process meanwhile does no harm.
fn open(pid: u32) -> rustix::io::Result<OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pidfd_open(pid.ok_or(rustix::io::Errno::SRCH)?, PidfdFlags::empty())
}
