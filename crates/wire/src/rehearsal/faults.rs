//! What can be broken on purpose: the keys of `faults[].what`.
//!
//! It must not know how a fault is made.

use super::limits::{BYTES_MAX, DELAY_MS_MAX, RULE_CHARS_MAX};
use crate::gateway::scalar::{FILE, FLAG, NAME, SHARE, bytes, span, text, whole};
use crate::gateway::shape::{Mapping, Need, mapping, one_of, words};
use std::path::PathBuf;
use std::time::Duration;

mapping! {
    /// What passes comes later.
    pub struct Delay {
        /// Between whom: the name of an upstream.
        upstream: String = NAME, Need::Required;
        /// How much later.
        latency: Duration = span(1, DELAY_MS_MAX), Need::Required;
        /// Give or take.
        jitter: Duration = span(0, DELAY_MS_MAX), Need::Or("0s");
        /// Share of the connections (of the requests, where the upstream is `http`) that it meets.
        share: f64 = SHARE, Need::Or("1");
    }

    /// Requests are answered with an error; the upstream is not asked.
    pub struct Error {
        /// The name of an upstream whose `protocol` is `http`.
        upstream: String = NAME, Need::Required;
        /// The answer's status.
        status: u64 = whole(400, 599), Need::Or("503");
        /// Share of the requests that it meets.
        share: f64 = SHARE, Need::Or("1");
        /// Only this path; `*` at its end stands for anything.
        path: Option<String> = text(RULE_CHARS_MAX), Need::Optional;
    }

    /// Nothing comes back, and nothing ends.
    pub struct Hang {
        /// The name of an upstream.
        upstream: String = NAME, Need::Required;
        /// Share of the connections (of the requests, where the upstream is `http`) that it meets.
        share: f64 = SHARE, Need::Or("1");
    }

    /// Connections end.
    pub struct Disconnect {
        /// The name of an upstream.
        upstream: String = NAME, Need::Required;
        /// `refused`: all connections end, new ones are refused. `reset`: each is reset at its
        /// first byte.
        how: How = How::SHAPE, Need::Or("refused");
    }

    /// Bytes pass slowly, in both directions.
    pub struct Bandwidth {
        /// The name of an upstream.
        upstream: String = NAME, Need::Required;
        /// Bytes a second of each connection and direction.
        per_second: u64 = bytes(1_000, BYTES_MAX), Need::Required;
    }

    /// A process stands still (SIGSTOP) and goes on at the end.
    pub struct Stop {
        /// `shop`, `bank`, or the name of a service with a command.
        process: String = NAME, Need::Required;
    }

    /// A process is ended (SIGKILL).
    pub struct Kill {
        /// `shop`, `bank`, or the name of a service with a command.
        process: String = NAME, Need::Required;
        /// Whether it is started again at the fault's end; without `for` that is at once.
        restart: bool = FLAG, Need::Or("true");
    }

    /// A file system is full.
    pub struct Fill {
        /// A folder on it.
        folder: PathBuf = FILE, Need::Required;
        /// What stays free.
        leave: u64 = bytes(0, BYTES_MAX), Need::Or("0");
        /// Also on the file system of `/`, which everything else needs.
        anywhere: bool = FLAG, Need::Or("false");
    }
}

one_of! {
    /// What is broken.
    pub enum What {
        /// What passes comes later.
        Delay(Delay) "delay" = Delay::ITEM;
        /// Requests are answered with an error.
        Error(Error) "error" = Error::ITEM;
        /// Nothing comes back.
        Hang(Hang) "hang" = Hang::ITEM;
        /// Connections end.
        Disconnect(Disconnect) "disconnect" = Disconnect::ITEM;
        /// Bytes pass slowly.
        Bandwidth(Bandwidth) "bandwidth" = Bandwidth::ITEM;
        /// A process stands still.
        Stop(Stop) "stop" = Stop::ITEM;
        /// A process is ended.
        Kill(Kill) "kill" = Kill::ITEM;
        /// A file system is full.
        Fill(Fill) "fill" = Fill::ITEM;
    }
}

words! {
    /// How connections end.
    pub enum How { Refused "refused", Reset "reset", }
}

impl What {
    /// The upstream that it stands on.
    #[must_use]
    pub fn upstream(&self) -> Option<&str> {
        match self {
            What::Delay(one) => Some(&one.upstream),
            What::Error(one) => Some(&one.upstream),
            What::Hang(one) => Some(&one.upstream),
            What::Disconnect(one) => Some(&one.upstream),
            What::Bandwidth(one) => Some(&one.upstream),
            What::Stop(_) | What::Kill(_) | What::Fill(_) => None,
        }
    }
    /// The process that it is about.
    #[must_use]
    pub fn process(&self) -> Option<&str> {
        match self {
            What::Stop(one) => Some(&one.process),
            What::Kill(one) => Some(&one.process),
            _ => None,
        }
    }
}
