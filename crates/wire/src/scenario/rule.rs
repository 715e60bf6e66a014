//! A threshold with its options, whose keys are k6's: people bring theirs along.
#![expect(non_snake_case, reason = "keys of k6")]

use super::limits::{EXPR_CHARS_MAX, PART_MS_MAX};
use crate::gateway::scalar::{FLAG, span, text};
use crate::gateway::shape::{Need, mapping};
use std::time::Duration;

mapping! {
    /// A threshold that may end the run.
    pub struct ThresholdRule {
        /// What has to hold, such as `p(95)<200` or `rate<0.01 over 10s`.
        threshold: String = text(EXPR_CHARS_MAX), Need::Required;
        /// Whether the run ends as soon as it does not hold. The key is k6's.
        abortOnFail: bool = FLAG, Need::Or("false");
        /// How long after the start it is first asked. The key is k6's.
        delayAbortEval: Duration = span(0, PART_MS_MAX), Need::Or("0s");
    }
}
