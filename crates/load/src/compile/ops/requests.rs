//! Requests: their texts, bodies, checks and extractions.
//!
//! It must not know in which order they are sent.

use super::{Compiler, hidden};
use crate::expr::{Expr, Value};
use crate::script::{Check, Checked, From, Part, RequestSpec, Statuses, Template, form_text};
use hyper::Method;
use hyper::header::HeaderName;
use wire::gateway::shape::{Json, Table};
use wire::gateway::source::joined;
use wire::scenario::steps::{self, Extract, Request};

impl Compiler<'_> {
    /// The place of a request among the script's; a step that was met before has one.
    pub(super) fn request(&mut self, request: &Request) -> u32 {
        if let Some(place) = self.known.get(&request.at) {
            return *place;
        }
        let at = &request.at;
        let mut headers = Vec::new();
        for (name, value) in request.headers.iter() {
            let path = joined(&joined(at, "headers"), name);
            match name.parse::<HeaderName>() {
                Ok(name) => headers.push((name, self.template(value, &path))),
                Err(_) => self.problem(&path, format!("{name:?} is no name of a header")),
            }
        }
        let body = self.body(request);
        if let Some((content_type, _)) = &body
            && !content_type.is_empty()
            && !headers.iter().any(|(name, _)| name == "content-type")
        {
            let name = HeaderName::from_static("content-type");
            headers.push((name, Template::text(content_type)));
        }
        let mut extract = Vec::new();
        for (variable, from) in request.extract.iter() {
            let place = self.names.of_written(variable);
            extract.extend(self.found(from).map(|from| (place, from)));
        }
        let mut checks = Vec::new();
        for check in &request.checks {
            checks.extend(self.check(check, &mut extract));
        }
        let timeout = request.timeout.unwrap_or(self.scenario.target.timeout);
        let expect = request.expect.as_ref().map(|expect| {
            let ranges = expect.0.iter().map(|range| (range.low, range.high));
            Statuses(ranges.collect())
        });
        let spec = RequestSpec {
            name: request.shown_name(),
            figures: self.requests.len() as u32,
            method: method(request.method),
            path: self.template(&request.path, &joined(at, "path")),
            headers,
            body: body.map(|(_, body)| body),
            timeout_us: timeout.as_micros() as u64,
            expect: expect.unwrap_or_default(),
            checks,
            extract,
        };
        let place = self.requests.len() as u32;
        self.requests.push(spec);
        let follows = request.follow_redirects;
        let follows = follows.unwrap_or(self.scenario.target.follow_redirects);
        self.follows.push(u32::try_from(follows).unwrap_or(0));
        self.known.insert(request.at.clone(), place);
        place
    }

    /// With its content type; none where the scenario has to say it.
    fn body(&mut self, request: &Request) -> Option<(&'static str, Template)> {
        let at = &request.at;
        if let Some(json) = &request.json {
            let mut parts = Parts::default();
            self.json(json, &joined(at, "json"), &mut parts);
            return Some(("application/json", parts.template()));
        }
        if let Some(form) = &request.form {
            let parts = self.form(form, &joined(at, "form"));
            return Some(("application/x-www-form-urlencoded", parts.template()));
        }
        let body = request.body.as_ref()?;
        Some(("", self.template(body, &joined(at, "body"))))
    }

    fn json(&mut self, json: &Json, path: &str, out: &mut Parts) {
        match json {
            Json::Null => out.text("null"),
            Json::Plain(plain) => out.text(plain),
            Json::Text(text) => {
                let template = self.template(text, path);
                match &template.0[..] {
                    [Part::Value(expr)] => out.part(Part::Json(expr.clone())),
                    parts => {
                        out.text("\"");
                        for part in parts {
                            match part {
                                Part::Value(expr) => out.part(Part::JsonText(expr.clone())),
                                Part::Text(text) => {
                                    let quoted = serde_json::Value::from(&**text).to_string();
                                    out.text(&quoted[1..quoted.len() - 1]);
                                }
                                other => out.part(other.clone()),
                            }
                        }
                        out.text("\"");
                    }
                }
            }
            Json::List(items) => {
                out.text("[");
                for (index, item) in items.iter().enumerate() {
                    out.text(if index == 0 { "" } else { "," });
                    self.json(item, &format!("{path}[{index}]"), out);
                }
                out.text("]");
            }
            Json::Map(entries) => {
                out.text("{");
                for (index, (key, value)) in entries.iter().enumerate() {
                    out.text(if index == 0 { "" } else { "," });
                    out.text(&serde_json::Value::from(&**key).to_string());
                    out.text(":");
                    self.json(value, &joined(path, key), out);
                }
                out.text("}");
            }
        }
    }

    fn form(&mut self, form: &Table<String>, path: &str) -> Parts {
        let mut out = Parts::default();
        for (index, (key, value)) in form.iter().enumerate() {
            out.text(if index == 0 { "" } else { "&" });
            form_text(key, &mut out.plain);
            out.text("=");
            for part in self.template(value, &joined(path, key)).0 {
                match part {
                    Part::Text(text) => form_text(&text, &mut out.plain),
                    Part::Value(expr) => out.part(Part::Form(expr)),
                    other => out.part(other),
                }
            }
        }
        out
    }

    fn check(&mut self, check: &steps::Check, extract: &mut Vec<(u32, From)>) -> Option<Check> {
        let path = |key: &str| joined(&check.at, key);
        let (asks, what) = if let Some(text) = &check.is {
            (text.clone(), Checked::Is(self.expr(text, &path("is"))))
        } else if let Some(text) = &check.contains {
            let part = self.template(text, &path("contains"));
            (format!("contains {text}"), Checked::BodyContains(part))
        } else if let Some(name) = &check.header {
            let Ok(header) = name.parse::<HeaderName>() else {
                self.problem(&path("header"), format!("{name:?} is no name of a header"));
                return None;
            };
            let value = check.equals.as_ref();
            let value = value.map(|text| self.template(text, &path("equals")));
            (format!("header {name}"), Checked::Header(header, value))
        } else {
            let pointer = check.json.as_ref()?;
            // A variable of its own, found like any other and then compared.
            let name = hidden(&check.at);
            let variable = self.names.of_written(&name);
            extract.push((variable, From::JsonPointer(pointer.clone())));
            let what = match &check.equals {
                Some(text) => Checked::Equals(variable, self.template(text, &path("equals"))),
                None => {
                    let is = Expr::parse(&format!("{name} != null"), self.names);
                    Checked::Is(is.unwrap_or_else(|_| Expr::constant(Value::Null)))
                }
            };
            (format!("json {pointer}"), what)
        };
        Some(Check {
            name: check.name.clone().unwrap_or(asks),
            what,
        })
    }

    fn found(&mut self, extract: &Extract) -> Option<From> {
        let path = |key: &str| joined(&extract.at, key);
        if let Some(pointer) = &extract.json {
            return Some(From::JsonPointer(pointer.clone()));
        }
        if let Some(selector) = &extract.css {
            if !is_selector(selector) {
                let what = format!(
                    "{selector:?} is no selector that is understood: expected tags, .class, \
                     #id and [attribute=value], with blanks or > between"
                );
                self.problem(&path("css"), what);
            }
            return Some(From::Css {
                selector: selector.clone(),
                attribute: extract.attribute.clone(),
            });
        }
        if let Some(name) = &extract.header {
            return name.parse().ok().map(From::Header);
        }
        if let Some(pattern) = &extract.regex {
            return match regex::Regex::new(pattern) {
                Ok(regex) => Some(From::Regex(regex)),
                Err(error) => {
                    let said = error.to_string();
                    let last = said.lines().last().unwrap_or_default();
                    let what = format!("{pattern:?} is no regular expression: {last}");
                    self.problem(&path("regex"), what);
                    None
                }
            };
        }
        if let Some(name) = &extract.cookie {
            return Some(From::Cookie(name.clone()));
        }
        extract.status.then_some(From::Status)
    }
}

fn is_selector(text: &str) -> bool {
    let page = tl::parse("<p></p>", tl::ParserOptions::default());
    page.is_ok_and(|page| page.query_selector(text).is_some())
}

fn method(method: steps::Method) -> Method {
    match method {
        steps::Method::Get => Method::GET,
        steps::Method::Head => Method::HEAD,
        steps::Method::Post => Method::POST,
        steps::Method::Put => Method::PUT,
        steps::Method::Patch => Method::PATCH,
        steps::Method::Delete => Method::DELETE,
        steps::Method::Options => Method::OPTIONS,
    }
}

/// Parts of a template, with neighbouring texts as one.
#[derive(Default)]
struct Parts {
    parts: Vec<Part>,
    plain: String,
}

impl Parts {
    fn text(&mut self, text: &str) {
        self.plain.push_str(text);
    }
    fn part(&mut self, part: Part) {
        if !self.plain.is_empty() {
            self.parts.push(Part::Text(std::mem::take(&mut self.plain)));
        }
        self.parts.push(part);
    }
    fn template(mut self) -> Template {
        if !self.plain.is_empty() || self.parts.is_empty() {
            self.parts.push(Part::Text(self.plain));
        }
        Template(self.parts)
    }
}
