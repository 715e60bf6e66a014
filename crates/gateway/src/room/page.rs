//! The page of the waiting room: one answer with style and script inside, below 12 KB, because a
//! crowd that waits should cost one request each. It works without script by reloading itself.
//! It must not know the room; it is told what to say.

use super::draw::Hash;
use super::http::{PREFIX, Told};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use guard::room::Standing;
use hyper::header::HeaderValue;
use sha2::{Digest, Sha256};

const CSS: &str = include_str!("page/room.css");
const SCRIPT: &str = include_str!("page/room.js");
const HTML: &str = include_str!("page/room.html");

#[derive(Debug)]
pub struct Page {
    /// The template with all that is the same for everybody filled in.
    html: String,
    policy: HeaderValue,
}

impl Page {
    pub fn new(title: &str) -> Page {
        let title = escape(&in_words(title));
        let html = fill(HTML, &[("css", CSS), ("script", SCRIPT), ("title", &title)]);
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; \
             connect-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; \
             frame-ancestors 'none'; require-trusted-types-for 'script'",
            hash(CSS),
            hash(SCRIPT)
        );
        Page {
            html,
            policy: HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("")),
        }
    }

    pub fn policy(&self) -> HeaderValue {
        self.policy.clone()
    }

    /// `to` is where the person wanted to go.
    pub fn render(&self, room: &str, told: &Told, to: &str) -> String {
        let words = Words::new(told);
        let status = format!("{PREFIX}{room}");
        let to = escape(to);
        let go = match told.standing {
            Standing::Admitted => format!(";url={to}"),
            _ => String::new(),
        };
        fill(
            &self.html,
            &[
                ("state", told.state()),
                ("to", &to),
                ("go", &go),
                ("status", &status),
                ("next_s", &told.next_s().to_string()),
                ("next_ms", &told.next_ms.to_string()),
                ("opens_ms", &words.opens_ms),
                ("ahead", &words.ahead),
                ("heading", words.heading),
                ("line", &words.line),
                ("position", &words.position),
                ("wait", &words.wait),
                ("odds", &words.odds),
            ],
        )
    }
}

/// What the page says; the script says the same from the same numbers.
struct Words {
    heading: &'static str,
    line: String,
    position: String,
    ahead: String,
    wait: String,
    odds: String,
    /// Until T0, for the script, which counts down by itself.
    opens_ms: String,
}

impl Words {
    fn new(told: &Told) -> Words {
        let mut words = Words {
            heading: "Please wait a moment",
            line: String::new(),
            position: "–".to_owned(),
            ahead: String::new(),
            wait: "–".to_owned(),
            odds: "–".to_owned(),
            opens_ms: String::new(),
        };
        match told.standing {
            Standing::Waiting(wait) => {
                words.heading = "You are in line";
                words.line = "Keep this page open: you will be let in by yourself. Your place is \
                              yours on all your devices."
                    .to_owned();
                words.position = grouped(u64::from(wait.ahead) + 1);
                words.ahead = wait.ahead.to_string();
                words.wait = wait.wait.map_or("not known yet".to_owned(), |wait| {
                    about(wait.0.div_ceil(1_000_000_000))
                });
                words.odds = wait.odds.map_or("–".to_owned(), |odds| chance(odds.0));
            }
            Standing::Registered { until } => {
                let left = until.0.div_ceil(1_000_000_000);
                words.heading = "You are registered";
                words.line = match left {
                    0 => "The draw is being held.".to_owned(),
                    _ => "When the sale opens, all who are registered are drawn by lot; coming \
                          earlier gives no advantage."
                        .to_owned(),
                };
                words.wait = about(left);
                words.opens_ms = (until.0 / 1_000_000).to_string();
            }
            Standing::SoldOut => {
                words.heading = "Sold out";
                words.line = "Everything is sold. If something comes back, the line goes on \
                              where it stopped."
                    .to_owned();
            }
            Standing::Full => {
                words.heading = "The waiting room is full";
                words.line = "So many people are waiting that we can take no more. This page \
                              tries again by itself."
                    .to_owned();
            }
            Standing::Admitted => {
                words.heading = "It is your turn";
                words.line = "You can go in now.".to_owned();
            }
        }
        words
    }
}

fn about(seconds: u64) -> String {
    match seconds {
        0..=59 => "less than a minute".to_owned(),
        60..=5_399 => format!("about {} min", seconds.div_ceil(60)),
        _ => format!("about {} h", (seconds + 1_800) / 3_600),
    }
}

/// Odds are never promised: neither certainty nor hopelessness.
fn chance(permille: u16) -> String {
    match permille {
        0..=9 => "under 1 %".to_owned(),
        991.. => "over 99 %".to_owned(),
        _ => format!("about {} %", (permille + 5) / 10),
    }
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Replaces each `{{name}}`; a name without a value stays for a later round.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut page = String::with_capacity(template.len() + 1_024);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        page.push_str(before);
        let known = after.split_once("}}").and_then(|(name, after)| {
            let value = values.iter().find(|(known, _)| *known == name)?;
            Some((value.1, after))
        });
        match known {
            Some((value, after)) => {
                page.push_str(value);
                rest = after;
            }
            None => {
                page.push_str("{{");
                rest = after;
            }
        }
    }
    page.push_str(rest);
    page
}

/// A name of the configuration as people read it: `double-11` is "Double 11". Real titles stay.
fn in_words(title: &str) -> String {
    let is_name = title
        .bytes()
        .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.'));
    if !is_name {
        return title.to_owned();
    }
    let mut words = title.replace(['-', '_'], " ");
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    words
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // A title or path cannot become a place of the template.
            '{' => escaped.push_str("&#123;"),
            other => escaped.push(other),
        }
    }
    escaped
}

fn hash(text: &str) -> String {
    let hash: Hash = Sha256::digest(text.as_bytes()).into();
    STANDARD.encode(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_without_a_title_goes_by_its_name() {
        for (title, shown) in [
            ("sale", "Sale"),
            ("double-11", "Double 11"),
            ("Double <11>", "Double <11>"),
            ("T-shirt sale", "T-shirt sale"),
            ("", ""),
        ] {
            assert_eq!(in_words(title), shown);
        }
    }
}
