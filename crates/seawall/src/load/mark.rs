//! `--mark`: a run on a shop that sells. Every request carries the run's mark, and the first answer
//! that does not acknowledge it ends the run without a verdict (docs/shadow.md).

use super::{Ready, Stopped, now_s};
use ::load::Target;
use gateway::mark::RunId;
use std::path::PathBuf;
use std::sync::Arc;

/// A mark is good for the plan, and for so much longer.
const LONGER_S: u64 = 600;

#[derive(Debug, clap::Args)]
pub struct Mark {
    /// Mark every request as of this rehearsal, and stop at the first answer that does not
    /// acknowledge it.
    #[arg(long = "mark", value_name = "RUN", requires = "mark_key_file")]
    pub run: Option<String>,
    /// The key that signs marks: mark.key of the shop's data folder, or what its door names.
    #[arg(long, requires = "run")]
    mark_key_file: Option<PathBuf>,
}

impl Mark {
    /// The same run, marked if that was asked for.
    pub fn on(&self, ready: Ready) -> Result<Ready, Stopped> {
        let (Some(run), Some(file)) = (&self.run, &self.mark_key_file) else {
            return Ok(ready);
        };
        let usage = |why: &str| Stopped::Usage(format!("--mark: {why}"));
        let run =
            RunId::new(run).ok_or_else(|| usage("expected 1 to 64 letters, digits, '-' or '_'"))?;
        let marks =
            crate::shadow::marks(file).map_err(|error| Stopped::Usage(error.to_string()))?;
        let until_s = now_s() + ready.compiled.plan.us() / 1_000_000 + LONGER_S;
        let (mark, acknowledgement) = (marks.sign(&run, until_s), marks.acknowledgement(&run));
        let text = |value: Option<hyper::header::HeaderValue>| {
            value.and_then(|value| value.to_str().map(str::to_owned).ok())
        };
        let target = Arc::into_inner(ready.target)
            .zip(text(mark))
            .zip(text(acknowledgement))
            .and_then(|((target, mark), told)| target.marked(&mark, &told));
        let target = target.ok_or_else(|| usage("the mark cannot be put on requests"))?;
        Ok(Ready {
            target: Arc::new(target),
            ..ready
        })
    }
}

/// Why nothing may be sent any more, if an answer did not acknowledge the mark.
pub fn lost(target: &Target) -> Option<String> {
    let missing = target.unacknowledged();
    let reason = || {
        format!(
            "INVALID: {missing} answers did not acknowledge the mark: whatever was sent may have \
             reached the real books; seawall shadow canary says where it was lost, seawall shadow \
             leak what came of it"
        )
    };
    (missing > 0).then(reason)
}
