//! The room over HTTP: a page for people, JSON for programs, and what is public about the draw.
//! Everything here answers at once from memory.

use super::proof::{Proof, buyer_hex};
use super::{Known, Now, WaitingRoom};
use crate::limits::{
    ROOM_LIST_PAGE_BUYERS, ROOM_POLL_MS_MAX, ROOM_POLL_MS_MIN, ROOM_POLLS_PER_S, ROOM_TO_CHARS_MAX,
};
use guard::room::{Buyer, Census, Phase, Rules, Standing};
use host::http::Body;
use hyper::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, COOKIE, HeaderName, HeaderValue};
use hyper::header::{LINK, RETRY_AFTER, SET_COOKIE, VARY};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use serde_json::{Map, Value, json};

/// Everything under it is the rooms': `PREFIX` and the room's name.
pub const PREFIX: &str = "/.seawall/room/";
pub const TICKET: &str = "seawall_ticket_";
pub const PASS: &str = "seawall_pass_";
/// A ticket is kept for a day.
pub const TICKET_SECONDS: u64 = 86_400;

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const NO_STORE: HeaderValue = HeaderValue::from_static("private, no-store");

/// What a person is told, in whole numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    pub standing: Standing,
    /// When to ask again.
    pub next_ms: u64,
    pub waiting: u32,
}

impl Told {
    pub fn new(standing: Standing, census: &Census, buyer: Buyer, rules: &Rules) -> Told {
        let ms = |nanos: guard::Nanos| nanos.0 / 1_000_000;
        // All who wait share the questions that the room will answer in a second.
        let share = u64::from(census.waiting) * 1_000 / ROOM_POLLS_PER_S;
        let at = |next_ms| Told {
            standing,
            next_ms,
            waiting: census.waiting,
        };
        let wish = match standing {
            Standing::Admitted => return at(0),
            Standing::Registered { until } if ms(until) > 0 => {
                return at(before_t0(ms(until), share, buyer));
            }
            Standing::Registered { .. } => ROOM_POLL_MS_MIN,
            Standing::Waiting(wait) => wait.wait.map_or(ROOM_POLL_MS_MAX, |wait| ms(wait) / 10),
            Standing::SoldOut | Standing::Full => ROOM_POLL_MS_MAX,
        };
        // Twice within the time after which a person counts as away.
        let most = (ms(rules.away_after) / 3).min(ROOM_POLL_MS_MAX);
        let next = wish.max(share).clamp(ROOM_POLL_MS_MIN.min(most), most);
        at(next * (875 + spread(buyer) / 4) / 1_000)
    }

    pub fn state(&self) -> &'static str {
        match self.standing {
            Standing::Admitted => "admitted",
            Standing::Registered { .. } => "registered",
            Standing::Waiting(_) => "waiting",
            Standing::SoldOut => "sold_out",
            Standing::Full => "full",
        }
    }

    /// Seconds for `Retry-After`: never too early.
    pub fn next_s(&self) -> u64 {
        self.next_ms.div_ceil(1_000).max(1)
    }

    fn members(&self) -> Map<String, Value> {
        let mut members = Map::new();
        let mut put = |name: &str, value: Value| members.insert(name.to_owned(), value);
        put("state", self.state().into());
        match self.standing {
            Standing::Waiting(wait) => {
                put("position", (wait.ahead + 1).into());
                put("waiting", self.waiting.into());
                put("wait_s", wait.wait.map(|wait| seconds(wait.0)).into());
                put(
                    "odds",
                    wait.odds.map(|odds| f64::from(odds.0) / 1_000.0).into(),
                );
            }
            Standing::Registered { until } => {
                put("registered", self.waiting.into());
                put("opens_in_s", seconds(until.0).into());
            }
            Standing::Admitted | Standing::SoldOut | Standing::Full => {}
        }
        put("next_ms", self.next_ms.into());
        members
    }
}

/// 0 to 999 by the buyer's number, so that not all ask at one instant.
fn spread(buyer: Buyer) -> u64 {
    (buyer.0 % 1_000) as u64
}

fn seconds(nanos: u64) -> u64 {
    nanos.div_ceil(1_000_000_000)
}

/// Seldom, and once soon after T0, each at another moment.
fn before_t0(until_ms: u64, share_ms: u64, buyer: Buyer) -> u64 {
    let after = share_ms.max(ROOM_POLL_MS_MIN) * spread(buyer) / 1_000 + 500;
    let seldom = ROOM_POLL_MS_MAX.max(share_ms);
    if until_ms > 2 * seldom {
        seldom * (875 + spread(buyer) / 4) / 1_000
    } else {
        until_ms + after
    }
}

impl WaitingRoom {
    /// Answers what lies under this room's path; `None`: it is not this room's.
    pub fn serve(&self, parts: &Parts, buyer: Option<&str>, now: Now) -> Option<Response<Body>> {
        let rest = parts.uri.path().strip_prefix(PREFIX)?;
        let rest = rest.strip_prefix(self.name())?;
        let is_read = matches!(parts.method, Method::GET | Method::HEAD);
        Some(match (rest, is_read) {
            ("", true) => self.status(parts, buyer, now),
            ("/draw", true) => self.draw(),
            ("/draw/list", true) => self.list(parts),
            ("/draw/ticket", true) => self.proof(parts, buyer),
            ("/leave", false) if parts.method == Method::POST => self.leave(parts, buyer),
            ("" | "/draw" | "/draw/list" | "/draw/ticket", false) => wrong_method("GET, HEAD"),
            ("/leave", _) => wrong_method("POST"),
            // Another room whose name begins alike.
            _ if !rest.starts_with('/') => return None,
            _ => nothing("there is nothing here"),
        })
    }

    /// The answer to a request that may not go on.
    pub(super) fn held(
        &self,
        parts: &Parts,
        told: &Told,
        cookie: Option<HeaderValue>,
    ) -> Response<Body> {
        let status = match told.standing {
            Standing::SoldOut => StatusCode::CONFLICT,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        let mut answer = if wants_html(parts) {
            // The page asks for the same address until it is let in; a form is not sent again.
            let to = match parts.method {
                Method::GET | Method::HEAD => parts.uri.path_and_query().map(|to| to.as_str()),
                _ => None,
            };
            self.html(status, told, to.unwrap_or("/"))
        } else {
            self.problem(status, told)
        };
        finish(&mut answer, told, cookie);
        answer
    }

    fn status(&self, parts: &Parts, buyer: Option<&str>, now: Now) -> Response<Body> {
        let pass = self.pass_of(parts, buyer, now);
        let known = match pass {
            Some(pass) => Known {
                buyer: pass.buyer,
                ticket: None,
                is_new: false,
            },
            None => self.known(parts, buyer),
        };
        let (standing, census, mut cookie) = match pass {
            Some(_) => (Standing::Admitted, self.census(), None),
            None => self.ask(&known, now),
        };
        if standing == Standing::Admitted && pass.is_none() && census.phase != Phase::Idle {
            cookie = Some(self.pass_cookie(known.buyer, now));
        }
        let told = Told::new(standing, &census, known.buyer, &self.options.rules);
        let mut answer = if wants_html(parts) {
            self.html(StatusCode::OK, &told, to_of(parts))
        } else {
            let mut members = Map::new();
            members.insert("room".to_owned(), self.name().into());
            members.extend(told.members());
            bytes(StatusCode::OK, JSON, Value::Object(members).to_string())
        };
        finish(&mut answer, &told, cookie);
        answer
    }

    fn html(&self, status: StatusCode, told: &Told, to: &str) -> Response<Body> {
        let mut answer = bytes(status, HTML, self.page.render(self.name(), told, to));
        let headers = answer.headers_mut();
        let policy = HeaderName::from_static("content-security-policy");
        headers.insert(policy, self.page.policy());
        let nosniff = HeaderName::from_static("x-content-type-options");
        headers.insert(nosniff, HeaderValue::from_static("nosniff"));
        let referrer = HeaderName::from_static("referrer-policy");
        headers.insert(referrer, HeaderValue::from_static("same-origin"));
        answer
    }

    fn problem(&self, status: StatusCode, told: &Told) -> Response<Body> {
        let (code, title, detail) = match told.standing {
            Standing::SoldOut => ("sold_out", "Sold out", "Nothing is left."),
            Standing::Full => ("room_full", "The waiting room is full", "Please try again."),
            Standing::Registered { .. } => (
                "waiting_room",
                "The sale has not begun",
                "You are registered for the draw.",
            ),
            Standing::Waiting(_) | Standing::Admitted => (
                "waiting_room",
                "Please wait",
                "You have a place in the waiting room; send the cookie with the next request.",
            ),
        };
        let mut body = json!({
            "type": format!("/problems/{code}"),
            "title": title,
            "status": status.as_u16(),
            "detail": detail,
            "code": code,
            "happened": "no",
            "retry_after_ms": told.next_ms,
            "room": format!("{PREFIX}{}", self.name()),
        });
        if let Value::Object(body) = &mut body {
            body.extend(told.members());
        }
        bytes(status, PROBLEM, body.to_string())
    }

    fn leave(&self, parts: &Parts, buyer: Option<&str>) -> Response<Body> {
        let site = parts.headers.get("sec-fetch-site");
        if site.is_some_and(|site| site != "same-origin" && site != "none") {
            let why = "only a page of this site may give up a place";
            return plain(StatusCode::FORBIDDEN, why);
        }
        let known = self.known(parts, buyer);
        if !known.is_new {
            self.gone(known.buyer);
        }
        let mut answer = plain(StatusCode::NO_CONTENT, "");
        *answer.body_mut() = Body::Empty;
        let ended = self.cookie(TICKET, "", 0);
        answer.headers_mut().insert(SET_COOKIE, ended);
        answer
    }

    fn draw(&self) -> Response<Body> {
        match &self.publisher {
            Some(publisher) => bytes(StatusCode::OK, JSON, publisher.json()),
            None => nothing("this room holds no draw"),
        }
    }

    /// The list, ten thousand buyers a page; `Link` names the next.
    fn list(&self, parts: &Parts) -> Response<Body> {
        let Some(list) = self.publisher.as_ref().and_then(super::Publisher::list) else {
            return nothing("the list is not closed yet");
        };
        let query = parts.uri.query().unwrap_or_default();
        let page: usize = match query.strip_prefix("page=").unwrap_or("0").parse() {
            Ok(page) => page,
            Err(_) => return plain(StatusCode::BAD_REQUEST, "page is a number from 0 on"),
        };
        let Some(from) = page.checked_mul(ROOM_LIST_PAGE_BUYERS) else {
            return nothing("the list is not so long");
        };
        let rest = list.buyers().get(from..).unwrap_or_default();
        if rest.is_empty() && page > 0 {
            return nothing("the list is not so long");
        }
        let shown = &rest[..rest.len().min(ROOM_LIST_PAGE_BUYERS)];
        let mut body = String::with_capacity(shown.len() * 33);
        for &buyer in shown {
            body.push_str(&buyer_hex(buyer));
            body.push('\n');
        }
        let mut answer = bytes(StatusCode::OK, TEXT, body);
        if rest.len() > shown.len() {
            let next = format!(
                "<{PREFIX}{}/draw/list?page={}>; rel=\"next\"",
                self.name(),
                page + 1
            );
            if let Ok(next) = HeaderValue::from_str(&next) {
                answer.headers_mut().insert(LINK, next);
            }
        }
        answer
    }

    /// The visitor's own ticket, for `seawall queue verify`.
    fn proof(&self, parts: &Parts, buyer: Option<&str>) -> Response<Body> {
        let Some(publisher) = &self.publisher else {
            return nothing("this room holds no draw");
        };
        let Some(list) = publisher.list() else {
            return nothing("the list is not closed yet");
        };
        let known = self.known(parts, buyer);
        match Proof::new(publisher.run(), known.buyer, &list, &self.urn) {
            Some(proof) => {
                let mut body = json!(proof);
                if let Value::Object(body) = &mut body {
                    body.insert("code".to_owned(), proof.code().into());
                }
                let mut answer = bytes(StatusCode::OK, JSON, body.to_string());
                answer.headers_mut().insert(CACHE_CONTROL, NO_STORE);
                answer
            }
            None => nothing("you are not in the list of this draw"),
        }
    }

    pub(super) fn cookie(&self, prefix: &str, token: &str, seconds: u64) -> HeaderValue {
        let secure = if self.options.secure { "; Secure" } else { "" };
        let text = format!(
            "{prefix}{}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}",
            self.name()
        );
        HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
    }
}

/// The value of the cookie `{prefix}{name}`.
pub fn cookie<'a>(parts: &'a Parts, prefix: &str, name: &str) -> Option<&'a str> {
    let lines = parts.headers.get_all(COOKIE).iter();
    let pairs = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'));
    let value = |pair: &'a str| {
        let rest = pair.trim_start().strip_prefix(prefix)?;
        rest.strip_prefix(name)?.strip_prefix('=')
    };
    pairs.filter_map(value).next()
}

fn wants_html(parts: &Parts) -> bool {
    let accepts = parts.headers.get_all(ACCEPT).iter();
    accepts
        .filter_map(|line| line.to_str().ok())
        .any(|line| line.contains("text/html"))
}

/// Where the page leads once the person is let in: a path of this site, else the front page.
fn to_of(parts: &Parts) -> &str {
    let query = parts.uri.query().unwrap_or_default();
    let to = query.split('&').find_map(|pair| pair.strip_prefix("to="));
    let is_path = |to: &&str| {
        let second = to.as_bytes().get(1);
        to.len() <= ROOM_TO_CHARS_MAX
            && to.starts_with('/')
            && !matches!(second, Some(b'/' | b'\\'))
    };
    to.filter(is_path).unwrap_or("/")
}

fn finish(answer: &mut Response<Body>, told: &Told, cookie: Option<HeaderValue>) {
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, NO_STORE);
    headers.insert(VARY, HeaderValue::from_static("accept, cookie"));
    if told.standing != Standing::Admitted {
        headers.insert(RETRY_AFTER, told.next_s().into());
    }
    if let Some(cookie) = cookie {
        headers.append(SET_COOKIE, cookie);
    }
}

fn bytes(status: StatusCode, kind: HeaderValue, body: impl Into<Body>) -> Response<Body> {
    let mut answer = Response::new(body.into());
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}

fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    bytes(status, TEXT, text)
}

fn nothing(why: &'static str) -> Response<Body> {
    plain(StatusCode::NOT_FOUND, why)
}

fn wrong_method(allowed: &'static str) -> Response<Body> {
    let mut answer = plain(
        StatusCode::METHOD_NOT_ALLOWED,
        "this method is not allowed here",
    );
    answer
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(allowed));
    answer
}
