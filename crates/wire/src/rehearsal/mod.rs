//! rehearsal.yaml, version 1: a subject, load on it, what breaks meanwhile, and what has to hold
//! before, during and after.
//!
//! The same table of keys as for the other files serves the reader, the JSON Schema and the
//! document; all that is wrong comes at once, each problem with its line. What thresholds mean is
//! checked by who judges, into the same list. It must not know how faults or load are made.

mod check;
pub mod faults;
pub mod limits;
#[cfg(test)]
mod tests;

use crate::campaign::tree::{Problems, Reader, offset_ms};
use crate::gateway::limits::{FILE_BYTES_MAX, SENTENCE_CHARS_MAX};
use crate::gateway::scalar::{FILE, Kind, NAME, list, span, table, text, whole};
use crate::gateway::schema;
use crate::gateway::shape::{Choice, Mapping, Need, Shape, Table, Take, mapping, one_of, words};
use crate::gateway::source::Source;
use faults::What;
use limits::{
    METRIC_NAMES_MAX, NAMES_MAX, OFFSET_MS_MAX, RULE_CHARS_MAX, RULES_MAX, SPAN_MS_MAX,
    WORD_CHARS_MAX, WORDS_MAX,
};
use std::path::{Path, PathBuf};
use std::time::Duration;

const WORD: Shape = text(WORD_CHARS_MAX);
const URL_TEXT: Shape = text(RULE_CHARS_MAX);
const RULE: Shape = text(RULE_CHARS_MAX);
const RULES: Shape = list(&RULE, RULES_MAX);
const OFFSET: Shape = text(32);
const PEER: Shape = Shape::Scalar(Kind::Peer);

mapping! {
    /// A subject, load on it, faults, and what has to hold.
    pub struct Rehearsal {
        /// The version of this format.
        version: u64 = whole(1, 1), Need::Required;
        /// What it is called in reports.
        name: String = NAME, Need::Required;
        /// What it is for, in a sentence.
        about: Option<String> = text(SENTENCE_CHARS_MAX), Need::Optional;
        /// What is rehearsed.
        subject: Subject = Subject::ITEM, Need::Required;
        /// What is sent, where the subject is `services`; a shop gets its campaign's buyers.
        load: Option<Load> = Load::ITEM, Need::Optional;
        /// Servers before which the runner puts a fault proxy.
        upstreams: Vec<Upstream> = list(&Upstream::ITEM, NAMES_MAX), Need::Optional;
        /// Parts of the time that have a name.
        phases: Vec<Phase> = list(&Phase::ITEM, NAMES_MAX), Need::Optional;
        /// What breaks, when, for how long.
        faults: Vec<Fault> = list(&Fault::ITEM, NAMES_MAX), Need::Optional;
        /// What has to hold when.
        expectations: Vec<Expectation> = list(&Expectation::ITEM, NAMES_MAX), Need::Optional;
    }

    /// The bundled shop with a campaign: started, flooded, audited.
    pub struct Shop {
        /// The campaign file.
        campaign: PathBuf = FILE, Need::Required;
        /// Where its payments go: the sandbox in its own process, or a bank that the runner
        /// starts beside it, behind a fault proxy: upstream `bank`, process `bank`.
        payment: Payment = Payment::SHAPE, Need::Or("in_process");
    }

    /// A service of one's own.
    pub struct Service {
        /// The process's name in faults.
        name: String = NAME, Need::Required;
        /// What starts it, word by word; without it, it has to run already. `${port.NAME}` is a
        /// free port that the runner found for that service, `${upstream.NAME}` the address and
        /// port of the fault proxy before that upstream.
        command: Vec<String> = list(&WORD, WORDS_MAX), Need::Optional;
        /// Variables of its environment, with the same placeholders.
        env: Table<String> = table(&WORD, WORDS_MAX), Need::Optional;
        /// The folder in which it is started; the rehearsal file's, where this is absent.
        folder: Option<PathBuf> = FILE, Need::Optional;
        /// An http URL that answers with 200 to 399 once it is ready; with the same placeholders.
        ready: String = URL_TEXT, Need::Required;
    }

    /// What is sent.
    pub struct Load {
        /// A scenario file: arrivals, journeys, thresholds over the whole run.
        scenario: PathBuf = FILE, Need::Required;
        /// Instead of the scenario's target; with the placeholders of a service.
        url: Option<String> = URL_TEXT, Need::Optional;
    }

    /// A server before which the runner puts a fault proxy.
    pub struct Upstream {
        /// Its name in faults and placeholders.
        name: String = NAME, Need::Required;
        /// Where it really is, such as `127.0.0.1:9000`; with the placeholders of ports.
        address: String = URL_TEXT, Need::Required;
        /// Whether the proxy sees bytes, or requests (HTTP/1.1).
        protocol: Protocol = Protocol::SHAPE, Need::Or("tcp");
        /// Where the proxy listens; a free port of the loopback, where this is absent.
        listen: Option<String> = PEER, Need::Optional;
    }

    /// A part of the time.
    pub struct Phase {
        /// Its name in expectations and reports.
        name: String = NAME, Need::Required;
        /// From when: `+20s`, `-5s`. A shop's zero is T0, a scenario's is its first arrival.
        from: String = OFFSET, Need::Required;
        /// Until when.
        to: String = OFFSET, Need::Required;
    }

    /// Something breaks, for a while. It is a lease: it ends by itself when the runner dies.
    pub struct Fault {
        /// Its name in expectations and reports.
        name: String = NAME, Need::Required;
        /// When it begins: `+20s`, from the same zero as phases.
        from: String = OFFSET, Need::Required;
        /// How long it lasts. Only `kill` may be without.
        r#for: Option<Duration> = span(100, SPAN_MS_MAX), Need::Optional;
        /// What breaks.
        what: What = What::ITEM, Need::Required;
    }

    /// What has to hold in one part of the time.
    pub struct Expectation {
        /// What it is called in reports.
        name: String = text(SENTENCE_CHARS_MAX), Need::Required;
        /// When.
        r#in: Span = Span::ITEM, Need::Required;
        /// What, by metric, in k6's grammar; windows (`over 5s`) slide within the part. Metrics
        /// are those that seconds have: `http_req_duration`, `http_req_failed`,
        /// `http_req_refused`, `http_req_errors`, `http_reqs`; of a shop also `orders_held` and
        /// `orders_paid` (count, rate), and `{name:…}` with `sign_in`, `browse`, `order`, `pay`
        /// or `cancel`.
        thresholds: Table<Vec<String>> = table(&RULES, METRIC_NAMES_MAX), Need::Required;
    }

    /// The time after a fault until all is well again.
    pub struct Recovery {
        /// The fault.
        fault: String = NAME, Need::Required;
        /// How soon after the fault's end the thresholds have to hold again.
        within: Duration = span(1_000, SPAN_MS_MAX), Need::Required;
        /// For how long on end, before they count as holding again.
        over: Duration = span(1_000, SPAN_MS_MAX), Need::Or("3s");
    }
}

one_of! {
    /// What is rehearsed.
    pub enum Subject {
        /// The bundled shop with a campaign.
        Shop(Shop) "shop" = Shop::ITEM;
        /// Services of one's own.
        Services(Vec<Service>) "services" = list(&Service::ITEM, NAMES_MAX);
    }

    /// A part of the time.
    pub enum Span {
        /// A phase.
        Phase(String) "phase" = NAME;
        /// Before a fault: from the end of the fault before it, or from the start.
        Before(String) "before" = NAME;
        /// While a fault is on, touched seconds included.
        During(String) "during" = NAME;
        /// After a fault, until the next one begins or the load ends.
        After(String) "after" = NAME;
        /// How long it takes to recover from a fault.
        Recovery(Recovery) "recovery" = Recovery::ITEM;
    }
}

words! {
    /// Where a shop's payments go.
    pub enum Payment { InProcess "in_process", Bank "bank", }
    /// What a fault proxy sees.
    pub enum Protocol { Tcp "tcp", Http "http", }
}

/// The names that the shop's own parts have in faults.
pub const SHOP: &str = "shop";
pub const BANK: &str = "bank";

/// Milliseconds from the zero, such as `+20s`, `-300ms`.
#[must_use]
pub fn offset(text: &str) -> Option<i64> {
    offset_ms(-OFFSET_MS_MAX, OFFSET_MS_MAX)(text).ok()
}

/// Replaces `${kind.name}`; the error names the placeholder that means nothing.
pub fn filled(text: &str, known: impl Fn(&str, &str) -> Option<String>) -> Result<String, String> {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(start) = rest.find("${") {
        out.push_str(&rest[..start]);
        let inside = &rest[start + 2..];
        let Some(end) = inside.find('}') else {
            return Err(format!("{:?} has no end", &rest[start..]));
        };
        let name = &inside[..end];
        let value = name
            .split_once('.')
            .and_then(|(kind, name)| known(kind, name));
        match value {
            Some(value) => out.push_str(&value),
            None => return Err(format!("${{{name}}} means nothing here")),
        }
        rest = &inside[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

/// A file that was taken apart: what could be read of it, and what is wrong so far.
#[derive(Clone, Debug)]
pub struct Read {
    /// `None` if too much is missing to look further.
    pub rehearsal: Option<Rehearsal>,
    pub source: Source,
}

impl Read {
    /// The rehearsal, if nothing is wrong.
    pub fn settled(self) -> Result<Rehearsal, Problems> {
        let problems = self.source.finished();
        match self.rehearsal {
            Some(rehearsal) if problems.is_empty() => Ok(rehearsal),
            _ => Err(Problems(problems)),
        }
    }
}

/// Reads a file. What is wrong with its values is in the result, so that the runner can add.
pub fn load(path: &Path) -> Result<Read, Problems> {
    let failed = |error: std::io::Error| Problems::one(path, 0, format!("not readable: {error}"));
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > FILE_BYTES_MAX {
        let what = format!("found {size} bytes, expected at most {FILE_BYTES_MAX}");
        return Err(Problems::one(path, 0, what));
    }
    parse(path, &std::fs::read_to_string(path).map_err(failed)?)
}

/// Reads `text` as the content of `path`, which names it and roots the files named inside.
pub fn parse(path: &Path, text: &str) -> Result<Read, Problems> {
    let tree = Reader::parse(path, text)?;
    let mut source = Source::new(path);
    source.note("", tree.line);
    let rehearsal = Rehearsal::take(&mut source, &Rehearsal::ITEM, &tree, "");
    if let Some(rehearsal) = &rehearsal {
        check::rehearsal(&mut source, rehearsal);
    }
    Ok(Read { rehearsal, source })
}

/// Whether a file's keys show it to be a rehearsal.
#[must_use]
pub fn is_rehearsal(path: &Path) -> bool {
    let small = std::fs::metadata(path).is_ok_and(|file| file.len() <= FILE_BYTES_MAX);
    let text = small.then(|| std::fs::read_to_string(path).ok()).flatten();
    let tree = text.and_then(|text| Reader::parse(path, &text).ok());
    let entries = tree.as_ref().and_then(|tree| tree.entries());
    entries.is_some_and(|entries| entries.iter().any(|(_, name, _)| name == "subject"))
}

/// The JSON Schema as text.
#[must_use]
pub fn schema_text() -> String {
    schema::shown(&schema::of_map("rehearsal", Rehearsal::SHAPE))
}

/// The tables of keys for the document.
#[must_use]
pub fn documented() -> String {
    schema::documented_map(Rehearsal::SHAPE)
}
