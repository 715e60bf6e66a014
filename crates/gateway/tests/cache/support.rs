//! A cache with a clock that is turned by hand, and upstreams that are lines of text.

use bytes::Bytes;
use gateway::cache::{Cache, CacheSettings, Clock, RouteCache};
use host::http::{Body, BodyCut, Relayed};
use http_body_util::BodyExt;
use hyper::http::request::Parts;
use hyper::{HeaderMap, Request, Response};
use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

pub const PATIENCE: Duration = Duration::from_secs(20);

/// As a worker of the host runs.
pub fn on_a_worker<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())
        .unwrap();
    runtime.block_on(work)
}

/// Lets other tasks and workers go on until it holds.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::task::yield_now().await;
        std::thread::yield_now();
    }
}

pub fn route() -> RouteCache {
    RouteCache {
        name: "r".into(),
        ttl: None,
        stale_while_revalidate: Duration::ZERO,
        stale_if_error: Duration::ZERO,
        query: None,
        answer_bytes: 64 << 10,
        authorized: false,
        compression: false,
    }
}

/// `GET /a`, then headers, one a line.
pub fn request(text: &str) -> Parts {
    let mut lines = text.lines();
    let (method, path) = lines.next().unwrap().split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(path);
    if !text.to_ascii_lowercase().contains("\nhost: ") {
        request = request.header("host", "t");
    }
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        request = request.header(name, value);
    }
    request.body(()).unwrap().into_parts().0
}

/// `200`, then headers, one a line, then an empty line and the body.
pub fn answer(text: &str) -> Response<Body> {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let mut answer = Response::builder().status(lines.next().unwrap());
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        answer = answer.header(name, value);
    }
    answer.body(Body::from(body.to_owned())).unwrap()
}

/// Pieces, and perhaps a failure after them.
pub fn flowing(pieces: Vec<Bytes>, fails: bool) -> Body {
    struct Pieces(std::vec::IntoIter<Bytes>, bool);
    impl hyper::body::Body for Pieces {
        type Data = Bytes;
        type Error = BodyCut;
        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, BodyCut>>> {
            std::task::Poll::Ready(match self.0.next() {
                Some(piece) => Some(Ok(hyper::body::Frame::data(piece))),
                None => self.1.then_some(Err(BodyCut { why: "test" })),
            })
        }
    }
    Body::Relayed(Relayed::new(Pieces(pieces.into_iter(), fails)))
}

#[derive(Debug)]
pub struct Got {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub whole: bool,
    /// The upstream was asked for it.
    pub asked: bool,
}

impl Got {
    pub async fn of(response: Response<Body>, asked: bool) -> Got {
        let (head, mut body) = response.into_parts();
        let (mut all, mut whole) = (Vec::new(), true);
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => all.extend_from_slice(&frame.into_data().unwrap_or_default()),
                Err(_) => {
                    whole = false;
                    break;
                }
            }
        }
        Got {
            status: head.status.as_u16(),
            headers: head.headers,
            body: all,
            whole,
            asked,
        }
    }
    /// Values of several lines with a comma between.
    pub fn header(&self, name: &str) -> String {
        let values = self.headers.get_all(name).iter();
        let values: Vec<_> = values.map(|value| value.to_str().unwrap()).collect();
        values.join(", ")
    }
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
    /// Whether the upstream was asked, and the body.
    pub fn short(&self) -> (bool, &str) {
        (self.asked, self.text())
    }
}

pub struct World {
    pub cache: Cache,
    pub now: Arc<AtomicU64>,
    pub route: Arc<RouteCache>,
    /// Requests as the upstream saw them.
    pub sent: Rc<RefCell<Vec<Parts>>>,
}

impl World {
    pub fn new() -> World {
        World::with(|_| {})
    }
    pub fn with(change: impl FnOnce(&mut RouteCache)) -> World {
        let mut own = route();
        change(&mut own);
        let (cache, now) = cache(CacheSettings::default());
        World {
            cache,
            now,
            route: Arc::new(own),
            sent: Rc::default(),
        }
    }
    pub fn pass(&self, ms: u64) {
        self.now.fetch_add(ms, SeqCst);
    }
    pub async fn get(&self, asked: &str, upstream: &str) -> Got {
        let upstream = upstream.to_owned();
        self.fetch(asked, move || Ok(answer(&upstream)))
            .await
            .unwrap()
    }
    /// The upstream fails.
    pub async fn get_failing(&self, asked: &str) -> Result<Got, &'static str> {
        self.fetch(asked, || Err("failed")).await
    }
    pub async fn fetch(
        &self,
        asked: &str,
        upstream: impl FnOnce() -> Result<Response<Body>, &'static str> + 'static,
    ) -> Result<Got, &'static str> {
        self.fetch_for(&self.route, false, asked, upstream).await
    }
    pub async fn fetch_for(
        &self,
        route: &Arc<RouteCache>,
        https: bool,
        asked: &str,
        upstream: impl FnOnce() -> Result<Response<Body>, &'static str> + 'static,
    ) -> Result<Got, &'static str> {
        let (before, sent) = (self.sent.borrow().len(), self.sent.clone());
        let fetch = move |parts| async move {
            sent.borrow_mut().push(parts);
            upstream()
        };
        let given = self
            .cache
            .answer(request(asked), https, route, fetch)
            .await?;
        let got = Got::of(given, false).await;
        let asked = self.sent.borrow().len() > before;
        Ok(Got { asked, ..got })
    }
    pub fn last_sent(&self, name: &str) -> String {
        let sent = self.sent.borrow();
        let value = sent.last().unwrap().headers.get(name);
        value.map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
    }
}

pub const START_MS: u64 = 1_800_000_000_000;

pub fn turned(now: &Arc<AtomicU64>) -> Clock {
    let now = Arc::clone(now);
    Arc::new(move || now.load(SeqCst))
}

pub fn cache(settings: CacheSettings) -> (Cache, Arc<AtomicU64>) {
    let now = Arc::new(AtomicU64::new(START_MS));
    (Cache::new(&settings, turned(&now)), now)
}
