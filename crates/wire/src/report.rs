//! The envelope of every report: who ran what, where, when, and how it ended. What is inside
//! belongs to the kind.
//!
//! Reports are compared across builds and machines, so the envelope says both; a figure without
//! command, commit and machine is worth nothing. Version 1.

use serde::{Deserialize, Serialize};

/// The version of the envelope that this build writes.
pub const VERSION: u32 = 1;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report<T> {
    pub version: u32,
    /// `rehearsal`, `orders`, `crash` …
    pub kind: String,
    pub name: String,
    pub verdict: Verdict,
    /// The same as the exit code of the command.
    pub exit_code: u8,
    pub command: String,
    pub build: Build,
    pub machine: Machine,
    /// RFC 3339, in UTC.
    pub started: String,
    pub seconds: f64,
    pub body: T,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything that was promised held.
    Holds,
    /// Something that was promised did not hold.
    Broken,
    /// Nothing can be said: the load was not what was planned, or the books are not at hand.
    None,
}

impl Verdict {
    /// 0 good, 99 the verdict is bad, 2 no verdict.
    pub fn exit_code(self) -> u8 {
        match self {
            Verdict::Holds => 0,
            Verdict::Broken => 99,
            Verdict::None => 2,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Build {
    pub version: String,
    pub commit: String,
    /// `release` or `debug`.
    pub profile: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    pub processor: String,
    pub cores: u32,
    pub memory_mib: u64,
    pub system: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_envelope_reads_back_and_refuses_what_it_does_not_know() {
        let report = Report {
            version: VERSION,
            kind: "rehearsal".to_owned(),
            name: "small".to_owned(),
            verdict: Verdict::Broken,
            exit_code: Verdict::Broken.exit_code(),
            command: "seawall rehearse".to_owned(),
            build: Build {
                version: "0.1.0".to_owned(),
                commit: "abc".to_owned(),
                profile: "release".to_owned(),
            },
            machine: Machine {
                processor: "p".to_owned(),
                cores: 2,
                memory_mib: 3,
                system: "s".to_owned(),
            },
            started: "2026-11-11T00:00:00Z".to_owned(),
            seconds: 1.5,
            body: vec![1],
        };
        let text = serde_json::to_string(&report).unwrap();
        assert!(
            text.contains(r#""verdict":"broken","exit_code":99"#),
            "{text}"
        );
        assert_eq!(
            serde_json::from_str::<Report<Vec<i32>>>(&text).unwrap(),
            report
        );
        let unknown = text.replacen("\"kind\"", "\"sort\"", 1);
        assert!(serde_json::from_str::<Report<Vec<i32>>>(&unknown).is_err());
    }
}
