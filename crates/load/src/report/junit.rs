//! JUnit XML: one test case a threshold, a check and an objective of a search. What fails here is
//! what makes the verdict bad, so a pipeline and the exit code agree.

use super::body::Body;
use picture::escape;
use std::fmt::Write;
use wire::report::Report;

/// The report as a test suite.
#[must_use]
pub fn junit(report: &Report<Body>) -> String {
    let body = &report.body;
    let class = escape(&report.name);
    let (mut cases, mut tests, mut failures, mut errors) = (String::new(), 0, 0, 0);
    let mut case = |name: &str, inner: Option<(&str, String)>| {
        tests += 1;
        let name = escape(name);
        // Writing to a string cannot fail.
        _ = match inner {
            None => writeln!(cases, "  <testcase classname=\"{class}\" name=\"{name}\"/>"),
            Some((tag, message)) => {
                failures += usize::from(tag == "failure");
                errors += usize::from(tag == "error");
                let message = escape(&message).replace('\n', "&#10;");
                writeln!(
                    cases,
                    "  <testcase classname=\"{class}\" name=\"{name}\"><{tag} \
                     message=\"{message}\"/></testcase>"
                )
            }
        };
    };
    if let Some(own) = &body.generator {
        let why = (!own.invalid.is_empty()).then(|| ("error", own.invalid.join("; ")));
        case("the generator was not the limit", why);
    }
    for threshold in &body.thresholds {
        let seen = threshold.seen.as_deref().unwrap_or("nothing was measured");
        let failure = (!threshold.held).then(|| ("failure", format!("seen: {seen}")));
        case(&threshold.expression, failure);
    }
    for (request, check) in body.checks() {
        let failure = check
            .never_ran()
            .then(|| ("failure", "it was never asked".to_owned()));
        let name = format!(
            "{request}: {} ({} passed, {} failed)",
            check.name, check.passed, check.failed
        );
        case(&name, failure);
    }
    if let Some(search) = &body.search {
        let why = search.why.clone().unwrap_or_default();
        let failure = match search.found.as_str() {
            "below" => Some(("failure", "not even the first rate held".to_owned())),
            "invalid" => Some(("error", why)),
            _ => None,
        };
        case(
            &format!("a rate holds {}", search.objectives.join(", ")),
            failure,
        );
    }
    // Other tools do not say when they ran.
    let when = match report.started.as_str() {
        "unknown" => String::new(),
        started => format!(" timestamp=\"{}\"", escape(started)),
    };
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"{class}\" tests=\"{tests}\" \
         failures=\"{failures}\" errors=\"{errors}\" time=\"{:.3}\"{when}>\n{cases}</testsuite>\n",
        report.seconds,
    )
}
