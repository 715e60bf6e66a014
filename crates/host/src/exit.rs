//! How a verb ends, in the one number that scripts and CI look at.

use std::process::{ExitCode, Termination};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done; of a verb that judges: the verdict is good.
    Good = 0,
    /// It could not be done; the reason is on stderr.
    Failed = 1,
    /// It ran but cannot judge, because the measurement itself was not sound.
    NoVerdict = 2,
    /// Wrong flags, files or configuration: nothing was begun.
    Usage = 64,
    /// The verdict is bad.
    Bad = 99,
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(self as u8)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.report()
    }
}
