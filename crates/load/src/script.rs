//! What buyers do, compiled: a row of operations for each journey, requests with their templates,
//! checks and extractions. A buyer is a place in such a row and a few variables, so that millions
//! fit in memory. It must not know where the script was written or how requests travel.

use crate::expr::{Expr, Scope, Value};
use hyper::header::HeaderName;
use hyper::{Method, StatusCode};
use std::fmt::Write;

/// A scenario ready to run.
#[derive(Clone, Debug, Default)]
pub struct Script {
    pub journeys: Vec<Journey>,
    pub requests: Vec<RequestSpec>,
    /// Places of a buyer's variables.
    pub variables: usize,
    pub feeders: Vec<Feeder>,
    /// How many redirects of each request are followed, by its place; none where it ends.
    pub follows: Vec<u32>,
    /// A recording says itself who begins when, in rising order; else the plan and the weights do.
    pub starts: Option<std::sync::Arc<[Start]>>,
}

/// The first request of somebody in a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Microseconds from the start of the run.
    pub at_us: u64,
    pub journey: u32,
}

impl Script {
    /// How many redirects of a request are followed.
    #[must_use]
    pub fn follows(&self, request: u32) -> u32 {
        self.follows.get(request as usize).copied().unwrap_or(0)
    }

    /// Where requests to which a redirect led are counted, and what they are called.
    pub fn redirected(&self) -> impl Iterator<Item = (u32, String)> {
        let requests = (0_u32..).zip(&self.requests);
        let followed = requests.filter(|(place, _)| self.follows(*place) > 0);
        followed.map(|(_, spec)| (spec.figures, format!("{} (redirected)", spec.name)))
    }

    /// One journey of one GET: the smallest load there is.
    #[must_use]
    pub fn get(path: &str, timeout_us: u64) -> Script {
        Script {
            journeys: vec![Journey {
                name: "get".into(),
                weight: 1.0,
                ops: vec![Op::Request(0)],
            }],
            requests: vec![RequestSpec {
                name: "get".into(),
                figures: 0,
                method: Method::GET,
                path: Template::text(path),
                headers: Vec::new(),
                body: None,
                timeout_us,
                expect: Statuses::default(),
                checks: Vec::new(),
                extract: Vec::new(),
            }],
            ..Script::default()
        }
    }
}

#[derive(Clone, Debug)]
pub struct Journey {
    pub name: String,
    pub weight: f64,
    pub ops: Vec<Op>,
}

/// One operation; places are of the journey's row.
#[derive(Clone, Debug)]
pub enum Op {
    /// By its place in the script.
    Request(u32),
    /// Goes on at this instant of the run; what follows counts from it.
    At {
        us: u64,
    },
    Think {
        min_us: u64,
        max_us: u64,
    },
    Set {
        variable: u32,
        to: Expr,
    },
    /// The next row of a feeder into its variables.
    Feed(u32),
    /// Goes on at `to` unless it is true.
    Unless {
        is: Expr,
        to: u32,
    },
    Jump(u32),
}

#[derive(Clone, Debug)]
pub struct RequestSpec {
    pub name: String,
    /// Where it is counted; requests of one name may share it. Places rise without gaps.
    pub figures: u32,
    pub method: Method,
    pub path: Template,
    pub headers: Vec<(HeaderName, Template)>,
    pub body: Option<Template>,
    pub timeout_us: u64,
    /// Statuses that are answers; others are failures, but 429 and 503 are refusals unless listed.
    pub expect: Statuses,
    pub checks: Vec<Check>,
    pub extract: Vec<(u32, From)>,
}

impl RequestSpec {
    /// Whether the body is looked at, or only counted.
    #[must_use]
    pub fn reads_body(&self) -> bool {
        let extracts = self.extract.iter().any(|(_, from)| from.reads_body());
        extracts || self.checks.iter().any(|check| check.what.reads_body())
    }
}

/// Status codes in ranges, both ends included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statuses(pub Vec<(u16, u16)>);

impl Default for Statuses {
    fn default() -> Statuses {
        Statuses(vec![(200, 399)])
    }
}

impl Statuses {
    #[must_use]
    pub fn contains(&self, status: StatusCode) -> bool {
        let status = status.as_u16();
        self.0
            .iter()
            .any(|(low, high)| (*low..=*high).contains(&status))
    }
}

#[derive(Clone, Debug)]
pub struct Check {
    pub name: String,
    pub what: Checked,
}

#[derive(Clone, Debug)]
pub enum Checked {
    /// True after the extractions.
    Is(Expr),
    BodyContains(Template),
    Header(HeaderName, Option<Template>),
    /// A variable that is there, as text.
    Equals(u32, Template),
}

impl Checked {
    fn reads_body(&self) -> bool {
        matches!(self, Checked::BodyContains(_))
    }
}

/// Where a variable's value is found in an answer.
#[derive(Clone, Debug)]
pub enum From {
    Status,
    Header(HeaderName),
    /// RFC 6901.
    JsonPointer(String),
    Regex(regex::Regex),
    Css {
        selector: String,
        /// Its text if there is none.
        attribute: Option<String>,
    },
    Cookie(String),
}

impl From {
    fn reads_body(&self) -> bool {
        !matches!(self, From::Status | From::Header(_) | From::Cookie(_))
    }
}

/// Text with expressions in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Template(pub Vec<Part>);

#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    Text(String),
    Value(Expr),
    /// As a value of JSON, with its type.
    Json(Expr),
    /// Within a text of JSON: quotes and controls escaped.
    JsonText(Expr),
    /// Within a form: everything but letters, digits and `-._` as `%XX`.
    Form(Expr),
}

/// What of a part's value has to be escaped.
fn escaped(part: &Part, scope: &mut impl Scope, out: &mut String) {
    // Writing to a string cannot fail.
    let _ = match part {
        Part::Text(text) => out.write_str(text),
        Part::Value(expr) => write!(out, "{}", expr.value(scope)),
        Part::Json(expr) => match expr.value(scope) {
            Value::Null => out.write_str("null"),
            Value::Text(text) => write!(out, "{}", serde_json::Value::from(&*text)),
            other => write!(out, "{other}"),
        },
        Part::JsonText(expr) => {
            let quoted = serde_json::Value::from(expr.value(scope).to_string()).to_string();
            out.write_str(&quoted[1..quoted.len() - 1])
        }
        Part::Form(expr) => {
            form_text(&expr.value(scope).to_string(), out);
            Ok(())
        }
    };
}

/// A text as forms have it.
pub(crate) fn form_text(text: &str, out: &mut String) {
    for byte in text.bytes() {
        let _ = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
                out.write_char(char::from(byte))
            }
            _ => write!(out, "%{byte:02X}"),
        };
    }
}

impl Template {
    #[must_use]
    pub fn text(text: &str) -> Template {
        Template(vec![Part::Text(text.to_owned())])
    }

    /// `${expression}` anywhere in a text; `$$` is a dollar.
    pub fn parse(
        text: &str,
        names: &(impl crate::expr::Names + ?Sized),
    ) -> Result<Template, crate::expr::BadExpr> {
        let (mut parts, mut plain, mut at) = (Vec::new(), String::new(), 0);
        while let Some(found) = text[at..].find('$') {
            plain.push_str(&text[at..at + found]);
            at += found;
            let rest = &text[at..];
            if rest.starts_with("$$") {
                plain.push('$');
                at += 2;
            } else if let Some(inner) = rest.strip_prefix("${") {
                let bad = |what: &str| crate::expr::BadExpr {
                    at,
                    what: what.to_owned(),
                };
                let end = end_of(inner).ok_or_else(|| bad("${ has no closing }"))?;
                let begin = at + 2;
                let expr = Expr::parse(&inner[..end], names).map_err(|mut bad| {
                    bad.at += begin;
                    bad
                })?;
                if !plain.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                }
                parts.push(Part::Value(expr));
                at = begin + end + 1;
            } else {
                plain.push('$');
                at += 1;
            }
        }
        plain.push_str(&text[at..]);
        if !plain.is_empty() || parts.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Template(parts))
    }

    /// Appends the text as it is for this buyer.
    pub fn render(&self, scope: &mut impl Scope, out: &mut String) {
        self.0.iter().for_each(|part| escaped(part, scope, out));
    }

    /// The whole text, if there is nothing to compute.
    #[must_use]
    pub fn constant(&self) -> Option<&str> {
        match &self.0[..] {
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }
}

/// Where an expression's closing brace is; those within quotes do not count.
fn end_of(text: &str) -> Option<usize> {
    let mut quote = None;
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match (quote, char) {
            (Some(_), '\\') => {
                chars.next();
            }
            (Some(open), _) if open == char => quote = None,
            (None, '"' | '\'') => quote = Some(char),
            (None, '}') => return Some(at),
            _ => {}
        }
    }
    None
}

/// Rows of data that buyers take.
#[derive(Clone, Debug)]
pub struct Feeder {
    pub name: String,
    /// Which variables its columns fill.
    pub columns: Vec<u32>,
    pub rows: std::sync::Arc<[Box<[Value]>]>,
    pub order: Order,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// From the first to the last, and again.
    Circular,
    Random,
    /// Each row once; a buyer who finds none leaves, and it is counted.
    Once,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    struct Row(Vec<Value>, Rng);
    impl Scope for Row {
        fn variable(&self, place: usize) -> &Value {
            &self.0[place]
        }
        fn rng(&mut self) -> &mut Rng {
            &mut self.1
        }
        fn now_ms(&self) -> u64 {
            0
        }
    }

    #[test]
    fn templates() {
        let names = ["sku".to_owned()];
        let cases = [
            ("", ""),
            ("/p/${sku}", "/p/mug"),
            ("${sku}${sku}!", "mugmug!"),
            ("$$5 and $6", "$5 and $6"),
            ("${sku == 'mug' ? '}' : \"x\"}", "}"),
            ("{\"n\": ${1 + 1}}", "{\"n\": 2}"),
        ];
        for (text, wanted) in cases {
            let template = Template::parse(text, &names[..]).unwrap();
            let mut out = String::new();
            template.render(&mut Row(vec![Value::text("mug")], Rng::new(1)), &mut out);
            assert_eq!(out, wanted, "{text}");
        }
        let bad = Template::parse("/p/${sku", &names[..]).unwrap_err();
        assert_eq!((bad.at, bad.what.as_str()), (3, "${ has no closing }"));
        let bad = Template::parse("/p/${ nix }", &names[..]).unwrap_err();
        assert_eq!((bad.at, bad.what.as_str()), (6, "there is no variable nix"));
        for (part, wanted) in [
            (Part::Json as fn(Expr) -> Part, r#""a\"&\n""#),
            (Part::JsonText, r#"a\"&\n"#),
            (Part::Form, "a%22%26%0A"),
        ] {
            let template = Template(vec![part(Expr::parse("sku", &names[..]).unwrap())]);
            let mut out = String::new();
            template.render(&mut Row(vec![Value::text("a\"&\n")], Rng::new(1)), &mut out);
            assert_eq!(out, wanted);
        }
        assert_eq!(
            Template::parse("/a", &names[..]).unwrap().constant(),
            Some("/a")
        );
    }
}
