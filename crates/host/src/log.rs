//! Logs: to stderr, because stdout belongs to data; as text for people or JSON for machines.

use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Text,
    Json,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("{filter:?} is no log level: expected error, warn, info, debug, trace or {HINT}")]
    Filter { filter: String },
    #[error("the log was set up before")]
    Twice,
}

const HINT: &str = "directives such as info,engine=debug";

/// Sets up the log of the process, once, first thing.
pub fn init(format: Format, filter: &str) -> Result<(), LogError> {
    let filter = parse(filter)?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    match format {
        Format::Text => builder.with_ansi(colours).try_init(),
        Format::Json => builder
            .json()
            .flatten_event(true)
            .with_ansi(false)
            .try_init(),
    }
    .map_err(|_| LogError::Twice)
}

/// Whether [`init`] would take this filter.
pub fn is_filter(filter: &str) -> bool {
    parse(filter).is_ok()
}

fn parse(filter: &str) -> Result<EnvFilter, LogError> {
    // A bare word that is no level would be read as the name of a module, which helps nobody.
    let bare_levels = filter.split(',').filter(|d| !d.contains('='));
    let known =
        |level: &str| ["off", "error", "warn", "info", "debug", "trace"].contains(&level.trim());
    let filter = filter.to_owned();
    if !bare_levels.into_iter().all(known) {
        return Err(LogError::Filter {
            filter: filter.clone(),
        });
    }
    EnvFilter::builder()
        .parse(&filter)
        .map_err(|_| LogError::Filter { filter })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters() {
        let cases = [
            ("info", true),
            ("off", true),
            ("warn,engine=debug", true),
            ("loud", false),
            ("engine=loud", false),
            ("", false),
        ];
        for (filter, good) in cases {
            assert_eq!(is_filter(filter), good, "{filter:?}");
        }
    }
}
