//! The waiting room from outside: requests in, answers out, files on disk.

mod any_bytes;
mod door;
mod draws;
mod files;

use super::{Entry, Hours, Keys, Now, Options, WaitingRoom, proof};
use guard::Nanos;
use guard::room::{Rate, Rules};
use host::http::Body;
use hyper::header::{ACCEPT, COOKIE, SET_COOKIE};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

const KEY: [u8; 32] = [7; 32];
const BEGIN_S: u64 = 1_794_355_000;
const T0_S: u64 = BEGIN_S + 200;

fn now(second: u64) -> Now {
    Now {
        nanos: Nanos::from_secs(second),
        unix_us: (BEGIN_S + second) * 1_000_000,
    }
}

fn options(folder: &Path) -> Options {
    Options {
        name: "main".to_owned(),
        title: "Double <11>".to_owned(),
        rules: Rules {
            waiting_max: 5_000,
            places: 1_000,
            admit: Rate::per_s(4),
            open_above: Some(Rate::per_s(5)),
            close_below: Rate::per_s(2),
            calm: Nanos::from_secs(30),
            away_after: Nanos::from_secs(60),
            grace: Nanos::from_secs(300),
            idle: Nanos::from_secs(600),
            units_per_buyer: 1,
            schedule: None,
        },
        hours: None,
        pass: Duration::from_secs(600),
        reveal_after: Duration::from_secs(60),
        secure: false,
        folder: folder.to_owned(),
    }
}

fn drawn(folder: &Path) -> Options {
    Options {
        hours: Some(Hours {
            registers_ms: (BEGIN_S + 10) * 1_000,
            t0_ms: T0_S * 1_000,
        }),
        ..options(folder)
    }
}

fn keys() -> Keys {
    Keys::new("main", &[KEY]).unwrap()
}

/// A browser with a jar, perhaps signed in.
#[derive(Clone, Default)]
struct Visitor {
    buyer: Option<String>,
    jar: BTreeMap<String, String>,
}

struct Site {
    room: WaitingRoom,
    second: u64,
    folder: TempDir,
}

struct Answer {
    status: u16,
    response: Response<Body>,
}

impl Answer {
    fn text(&self) -> String {
        match self.response.body() {
            Body::Full(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
            _ => String::new(),
        }
    }
    fn json(&self) -> Value {
        serde_json::from_str(&self.text()).unwrap()
    }
    fn header(&self, name: &str) -> &str {
        let value = self.response.headers().get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }
}

impl Visitor {
    fn signed_in(name: impl ToString) -> Visitor {
        Visitor {
            buyer: Some(name.to_string()),
            jar: BTreeMap::new(),
        }
    }
    fn parts(&self, method: Method, path: &str, accept: &str) -> Parts {
        let jar: Vec<_> = self
            .jar
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(ACCEPT, accept);
        let request = request.header(COOKIE, format!("other=1; {}", jar.join("; ")));
        request.body(()).unwrap().into_parts().0
    }
    fn keep(&mut self, cookie: &str) {
        let (name, rest) = cookie.split_once('=').unwrap();
        let value = rest.split(';').next().unwrap();
        self.jar.insert(name.to_owned(), value.to_owned());
    }
}

impl Site {
    fn new(make: impl Fn(&Path) -> Options) -> Site {
        let folder = TempDir::new().unwrap();
        let room = WaitingRoom::start(make(folder.path()), keys(), now(0)).unwrap();
        Site {
            room,
            second: 0,
            folder,
        }
    }
    /// Serving from the first second on.
    fn open() -> Site {
        let site = Site::new(options);
        site.room.open(now(0));
        site
    }
    fn now(&self) -> Now {
        now(self.second)
    }
    /// The process ends and another begins in the same folder, with clocks of its own.
    fn restart(self, make: impl Fn(&Path) -> Options) -> Site {
        let Site {
            room,
            second,
            folder,
        } = self;
        drop(room);
        let room = WaitingRoom::start(make(folder.path()), keys(), now(second)).unwrap();
        Site {
            room,
            second,
            folder,
        }
    }
    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            for tenth in 1..=10 {
                let mut now = self.now();
                now.nanos = now.nanos.plus(Nanos::from_millis(tenth * 100));
                now.unix_us += tenth * 100_000;
                self.room.tick(&|| now);
            }
            self.second += 1;
        }
    }
    fn send(&self, visitor: &mut Visitor, method: Method, path: &str, accept: &str) -> Answer {
        let parts = visitor.parts(method, path, accept);
        let served = self
            .room
            .serve(&parts, visitor.buyer.as_deref(), self.now());
        answered(visitor, served.expect("a path of this room"))
    }
    fn status(&self, visitor: &mut Visitor) -> Value {
        let answer = self.send(
            visitor,
            Method::GET,
            "/.seawall/room/main",
            "application/json",
        );
        assert_eq!(answer.status, 200);
        answer.json()
    }
    fn position(&self, visitor: &mut Visitor) -> u64 {
        let status = self.status(visitor);
        status["position"]
            .as_u64()
            .unwrap_or_else(|| panic!("{status}"))
    }
    /// `None`: may go on.
    fn enter(&self, visitor: &mut Visitor, path: &str, accept: &str) -> Option<Answer> {
        let parts = visitor.parts(Method::GET, path, accept);
        match self
            .room
            .enter(&parts, visitor.buyer.as_deref(), self.now())
        {
            Entry::Open { cookie } => {
                if let Some(cookie) = cookie {
                    visitor.keep(cookie.to_str().unwrap());
                }
                None
            }
            Entry::Hold(response) => Some(answered(visitor, *response)),
        }
    }
}

fn answered(visitor: &mut Visitor, response: Response<Body>) -> Answer {
    for cookie in response.headers().get_all(SET_COOKIE) {
        visitor.keep(cookie.to_str().unwrap());
    }
    Answer {
        status: response.status().as_u16(),
        response,
    }
}
