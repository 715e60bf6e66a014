//! The configuration of `seawall up`: defaults, under a YAML file, under the environment, under
//! flags; read first, then checked into a type without holes.
//!
//! All problems are told at once, each with its place and what was expected there. The settings
//! stand in one table (`keys.rs`), from which docs/configuration.md is written.
//! It must not know what the settings do.

mod keys;
mod layers;
mod parse;
mod problem;

pub use keys::{ENV_FILE, KEYS, Key};
pub use problem::{Place, Problem, Problems};

use crate::log;
use layers::Layers;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Checked: every value is in its bounds, what belongs together is there together.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub listen: SocketAddr,
    pub admin: SocketAddr,
    pub workers: usize,
    /// Processors kept for each worker, unless they are shared with others.
    pub pin: bool,
    pub data: PathBuf,
    pub cell: u16,
    /// Scheme, host and port as browsers send them in `Origin`, without a path.
    pub origins: Vec<String>,
    pub http: Http,
    pub sessions: Sessions,
    pub journal: Journal,
    pub windows: Windows,
    pub sandbox: Sandbox,
    /// A payment channel over HTTP, instead of the sandbox.
    pub bank: Option<SocketAddr>,
    pub jwt: Option<Jwt>,
    pub channel_tokens_file: Option<PathBuf>,
    pub log: Log,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Http {
    pub connections_max: usize,
    pub header_ms: u32,
    pub first_byte_ms: u32,
    pub idle_ms: u32,
    pub body_ms: u32,
    pub drain_ms: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sessions {
    pub hours: u32,
    pub cookie_secure: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Journal {
    pub segment_mib: u32,
    pub reserve_mib: u32,
    /// Old segments are removed behind a verified snapshot.
    pub prune: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    pub remember: Duration,
    pub returns: Duration,
}

/// The in-process payment channel for trying things out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sandbox {
    pub delay_ms_median: u32,
    pub decline_share: f64,
    pub unknown_share: f64,
    pub unavailable_share: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JwtAlgorithm {
    Hs256,
    Rs256,
    Ps256,
    Es256,
    EdDsa,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jwt {
    pub issuer: String,
    pub audience: String,
    pub algorithm: JwtAlgorithm,
    pub key_file: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    pub format: log::Format,
    pub level: String,
}

/// What is laid over the defaults, the later over the earlier.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    pub file: Option<PathBuf>,
    /// All variables of the process; those that are not ours are passed over.
    pub env: Vec<(String, String)>,
    /// Path of the setting and its text.
    pub flags: Vec<(String, String)>,
}

impl Sources {
    /// The file that is named by the flag, or else by [`ENV_FILE`]; this process's environment.
    #[must_use]
    pub fn of_process(file: Option<PathBuf>, flags: Vec<(String, String)>) -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            // What is no UTF-8 becomes a text that no setting accepts, and is told so.
            (
                name.to_string_lossy().into_owned(),
                value.to_string_lossy().into_owned(),
            )
        };
        let file = file.or_else(|| std::env::var_os(ENV_FILE).map(PathBuf::from));
        Sources {
            file,
            env: std::env::vars_os().map(text).collect(),
            flags,
        }
    }
}

/// Reads and checks. Touches nothing but the configuration file.
pub fn load(sources: Sources) -> Result<Config, Problems> {
    let mut layers = Layers::defaults();
    if let Some(file) = &sources.file {
        layers.file(file);
    }
    layers.env(sources.env);
    layers.flags(sources.flags);
    let config = parse::config(&mut layers);
    match config {
        Some(config) if layers.problems.is_empty() => Ok(config),
        _ => Err(Problems(layers.problems)),
    }
}

/// The table of docs/configuration.md.
#[must_use]
pub fn documented() -> String {
    let mut table =
        String::from("| setting | default | value | what it does |\n|---|---|---|---|\n");
    for key in KEYS {
        let default = match key.default {
            Some("") => "empty".to_owned(),
            Some(default) => format!("`{default}`"),
            None => "–".to_owned(),
        };
        table += &format!(
            "| `{}` | {default} | {} | {} |\n",
            key.path, key.expected, key.about
        );
    }
    table
}
