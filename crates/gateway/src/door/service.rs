//! One worker's side of the door: takes requests from a listener and performs what was decided.

use super::acts::Acts;
use super::answers::{self, No};
use super::books;
use super::ending::Ending;
use super::held::Held;
use super::identity;
use super::kept::Came;
use super::late::Late;
use super::line::{Line, Told};
use super::note::{broken_off, is_own};
use super::render;
use super::running::{Ready, Running};
use super::serve::ended;
use super::{Counts, Door};
use crate::access_log::AccessWriter;
use crate::config::{Asked, RouteSpec, TargetSpec, method};
use crate::headers::Client;
use crate::mark::{self, SEAWALL_SHADOW};
use crate::proxy::{Proxy, Target};
use crate::recorder::Tap;
use crate::room::{Entry, PREFIX};
use guard::switches::Action;
use guard::{Class, Facts, RouteId};
use host::http::{Body, Service};
use hyper::body::Incoming;
use hyper::header::{
    CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, SET_COOKIE, TRANSFER_ENCODING,
};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use wire::problem::DoorCode;

/// Features that are shielded for a request, for whoever renders its pages.
pub const SHIELD: HeaderName = HeaderName::from_static("seawall-shield");

/// A service in this process that routes may end at.
pub trait InProcess: 'static {
    /// A buyer as the service names one: opaque, the same each time.
    type Buyer: Copy + fmt::Display + 'static;
    /// Whether it goes by this name in routes.
    fn is_called(&self, name: &str) -> bool;
    /// Whose session a request carries.
    fn buyer(&self, parts: &Parts) -> Option<Self::Buyer>;
    /// `session` is what `buyer` said of these parts, so that nobody has to verify it twice.
    fn call(
        &self,
        parts: Parts,
        body: Incoming,
        session: Session<Self::Buyer>,
    ) -> impl Future<Output = Response<Body>>;
}

/// What is known of a request's session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Session<B> {
    /// Nobody has looked.
    Unread,
    /// Verified: whose it is; `None` if it is nobody's.
    Of(Option<B>),
}

/// A door with nothing in its own process.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoService;

impl InProcess for NoService {
    type Buyer = u8;
    fn is_called(&self, _name: &str) -> bool {
        false
    }
    fn buyer(&self, _parts: &Parts) -> Option<u8> {
        None
    }
    async fn call(&self, parts: Parts, _body: Incoming, _session: Session<u8>) -> Response<Body> {
        let no = No::new(DoorCode::NoRoute, "No service of this name runs here.");
        answers::refuse(&no, &parts.headers)
    }
}

/// The running configuration as one worker uses it.
pub(super) struct Local {
    pub generation: u64,
    pub running: Arc<Running>,
    /// By the places of the pools.
    pub targets: Vec<Option<Target>>,
    pub log: Option<AccessWriter>,
    tap: Option<Tap>,
}

/// The door as a service of a listener.
pub struct DoorService<S> {
    pub(super) door: Arc<Door>,
    pub(super) service: Rc<S>,
    pub(super) proxy: Rc<Proxy>,
    local: RefCell<Rc<Local>>,
    tls: bool,
    seen: Cell<u64>,
}

impl<S: InProcess> DoorService<S> {
    /// Must be called on the worker, within its runtime. `tls`: whether the listener speaks it.
    #[must_use]
    pub fn new(door: Arc<Door>, service: S, tls: bool) -> Self {
        let (service, proxy) = (Rc::new(service), Rc::new(Proxy::new()));
        let local = Local::new(&door, &proxy);
        render::begin(&door, &service, &proxy);
        super::lag::watch(&door);
        DoorService {
            seen: Cell::new(local.generation),
            local: RefCell::new(Rc::new(local)),
            door,
            service,
            proxy,
            tls,
        }
    }

    fn local(&self) -> Rc<Local> {
        if self.door.generation() != self.seen.get() {
            let fresh = Local::new(&self.door, &self.proxy);
            self.seen.set(fresh.generation);
            *self.local.borrow_mut() = Rc::new(fresh);
        }
        Rc::clone(&self.local.borrow())
    }

    /// Who asks, for what, and whether they may go on; by one configuration only.
    fn decide(
        &self,
        local: &Local,
        parts: &Parts,
        peer: SocketAddr,
        told: &Told,
    ) -> Decided<S::Buyer> {
        let (door, running) = (&self.door, &*local.running);
        let trusted = &running.compiled.trusted;
        let client = Client::of(&parts.headers, peer.ip(), self.tls, trusted);
        let mut facts = Facts::default();
        let known = running
            .identity
            .find(&mut facts, parts, &client, &door.hasher, &*self.service);
        told.client.set(client.address);
        told.buyer.set(facts.buyer);
        // Rooms and recordings know buyers by their text; without them nobody needs it.
        let named = !running.rooms.is_empty() || local.tap.is_some();
        let buyer = named.then(|| known.text()).flatten();
        let buyer = buyer.as_deref();
        if let Some(tap) = &local.tap {
            self.record(tap, running, parts, buyer, told);
        }
        if let Some(answer) = self.of_rooms(running, parts, buyer) {
            return Decided::No(Box::new(answer));
        }
        let Some((id, route)) = find(running, parts) else {
            door.counts.refuse(DoorCode::NoRoute);
            told.code.set(Some(DoorCode::NoRoute));
            let no = No::new(DoorCode::NoRoute, "No route takes this request.");
            return Decided::No(Box::new(answers::refuse(&no, &parts.headers)));
        };
        told.route.set(Some(id));
        complete(&mut facts, running, route, id, parts, &door.hasher);
        let counts = &running.counts[usize::from(id.0)];
        match self.enter((local, told), route, id, &facts, parts, buyer) {
            Ok(entered) => {
                counts.requests.fetch_add(1, Ordering::Relaxed);
                let extras = Extras {
                    device_cookie: known.device_cookie,
                    ..entered.extras
                };
                Decided::Go(Going {
                    id,
                    client,
                    held: entered.held,
                    session: known.session,
                    extras: extras.boxed(),
                    late: entered.late,
                })
            }
            Err(Turned::Again) => Decided::Again,
            Err(Turned::Answer(answer)) => {
                counts.requests.fetch_add(1, Ordering::Relaxed);
                counts.refused.fetch_add(1, Ordering::Relaxed);
                Decided::No(answer)
            }
        }
    }

    async fn go(
        &self,
        local: &Rc<Local>,
        (mut parts, body): (Parts, Incoming),
        (going, told): (Going<S::Buyer>, &Told),
    ) -> Response<Body> {
        // Nobody outside tells services what to leave out.
        parts.headers.remove(SHIELD);
        let mut extras = going.extras;
        if let Some(features) = extras.as_mut().and_then(|extras| extras.shield.take()) {
            parts.headers.insert(SHIELD, features);
        }
        let Going { id, client, .. } = going;
        let place = usize::from(id.0);
        let running = &local.running;
        let in_process = matches!(
            running.compiled.routes[place].target,
            TargetSpec::Service(_)
        );
        let mut answer = if in_process && running.extras.route(place).is_none() {
            // What is held is given back when the answer is there.
            let answer = self.service.call(parts, body, going.session).await;
            going.held.end(ended(&answer, true));
            self.door.counts.served.fetch_add(1, Ordering::Relaxed);
            answer
        } else {
            let came = Came {
                client,
                session: going.session,
                held: Rc::new(going.held),
                late: going.late,
                told,
            };
            let request = Request::from_parts(parts, body);
            // Boxed: what a relay keeps must not make every request's future large.
            Box::pin(self.serve(local, id, request, came)).await
        };
        if answer.status().is_server_error() {
            let counts = &local.running.counts[usize::from(id.0)];
            counts.failed.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(extras) = extras {
            for cookie in [extras.device_cookie, extras.room_cookie]
                .into_iter()
                .flatten()
            {
                answer.headers_mut().append(SET_COOKIE, cookie);
            }
        }
        answer
    }

    /// Everything under the rooms' own path.
    fn of_rooms(
        &self,
        running: &Running,
        parts: &Parts,
        buyer: Option<&str>,
    ) -> Option<Response<Body>> {
        if running.rooms.is_empty() || !parts.uri.path().starts_with(PREFIX) {
            return None;
        }
        let now = self.door.clocks.both();
        let mut rooms = running.rooms.iter();
        rooms.find_map(|room| room.serve(parts, buyer, now))
    }

    /// All that is asked before a request is served.
    fn enter(
        &self,
        (local, told): (&Local, &Told),
        route: &RouteSpec,
        id: RouteId,
        facts: &Facts,
        parts: &Parts,
        buyer: Option<&str>,
    ) -> Result<Entered, Turned> {
        let (door, running) = (&self.door, &*local.running);
        let now = door.clocks.both();
        let counts = &door.counts;
        let no = |no: No<'_>| {
            counts.refuse(no.code);
            told.code.set(Some(no.code));
            Err(Turned::Answer(Box::new(answers::refuse(
                &no,
                &parts.headers,
            ))))
        };
        let pool = match route.target {
            TargetSpec::Pool(pool) => Some(pool),
            TargetSpec::Service(_) | TargetSpec::Static | TargetSpec::Redirect { .. } => None,
        };
        let key = key_under_way(door, route, facts, parts);
        let room = route.room.and_then(|room| running.rooms.get(room));
        let place = usize::from(id.0);
        let plain = pool.is_some() && running.extras.route(place).is_none();
        let late = match plain {
            true => may_have_body(parts),
            false => running.extras.may_be_kept(place, parts),
        };
        let (acts, gone, asked) = {
            let mut books = door.books();
            if books.generation != local.generation {
                return Err(Turned::Again);
            }
            let acts = Acts::of(books.switches.decide(id, now.nanos));
            let buys = matches!(facts.class, Class::Order | Class::Cart);
            let gone = buys && facts.sku.is_some_and(|sku| books.sold_out.is_gone(sku));
            // A shadow has a stock of its own, and knows best.
            let gone = gone && told.run.get().is_none();
            // With a room before it there is more to ask first, outside the lock.
            let at_once = !gone && acts.answer.is_none() && room.is_none();
            let asked = at_once.then(|| books.ask_now(late, facts, pool, key, now.nanos));
            (acts, gone, asked)
        };
        if let Some(action) = acts.answer
            && let Some(answer) = switched(running, id, action, counts, &parts.headers)
        {
            return Err(Turned::Answer(Box::new(answer)));
        }
        if gone {
            return no(No::new(
                DoorCode::Gone,
                "All units are sold or held. Held ones may come back.",
            ));
        }
        let mut cookie = None;
        if let Some(room) = room {
            match room.enter(parts, buyer, now) {
                Entry::Open { cookie: passes } => cookie = passes,
                Entry::Hold(answer) => {
                    counts.held_in_room.fetch_add(1, Ordering::Relaxed);
                    told.in_room.set(true);
                    return Err(Turned::Answer(answer));
                }
            }
        }
        let asked = match asked {
            Some(asked) => asked,
            None => {
                let mut books = door.books();
                if books.generation != local.generation {
                    return Err(Turned::Again);
                }
                books.ask_now(late, facts, pool, key, now.nanos)
            }
        };
        match asked {
            Ok(taken) => Ok(Entered {
                held: Held::new(Arc::clone(door), taken, now.nanos),
                extras: Extras {
                    room_cookie: cookie,
                    shield: acts.shield(running),
                    device_cookie: None,
                },
                late: late.then(|| Late::of(facts, acts.stale)),
            }),
            Err(books::No::Limit(refusal)) => {
                told.rule.set(Some(refusal.rule));
                no(No {
                    retry_after: Some(refusal.retry_after),
                    limit: Some((running.rule_name(refusal.rule), refusal.headroom)),
                    ..No::new(DoorCode::RateLimited, "This limit is used up for now.")
                })
            }
            Err(books::No::Shed { retry_after }) => no(No {
                retry_after: Some(retry_after),
                ..No::new(DoorCode::Shed, "More came than can be served well.")
            }),
            Err(books::No::Breaker { retry_after }) => no(No {
                retry_after: Some(retry_after),
                ..No::new(DoorCode::UpstreamDown, "What serves this is recovering.")
            }),
            Err(books::No::UnderWay) => no(No::new(
                DoorCode::UnderWay,
                "The first request with this key is not answered yet.",
            )),
        }
    }
}

impl<S: InProcess> Service for DoorService<S> {
    async fn call(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        let (door, mut told) = (&self.door, Told::default());
        door.counts.requests.fetch_add(1, Ordering::Relaxed);
        let logs = self.local.borrow().log.is_some();
        let line = logs.then(|| Line::of(&request, &door.clocks));
        let (mut parts, body) = request.into_parts();
        let acknowledgement = match mark::may_carry(&parts.headers) {
            true => self.admit_mark(&mut parts, &told),
            false => None,
        };
        let (decided, local) = loop {
            let local = self.local();
            match self.decide(&local, &parts, peer, &told) {
                // A swap in between; there is one configuration for the whole request.
                Decided::Again => {}
                decided => break (decided, local),
            }
        };
        let by_door = matches!(decided, Decided::No(_));
        let mut answer = match decided {
            Decided::Go(going) => match self.body(body, &told).await {
                Some(body) => self.go(&local, (parts, body), (going, &told)).await,
                None => answers::refuse(&broken_off(), &parts.headers),
            },
            Decided::No(answer) => *answer,
            Decided::Again => unreachable!("the loop goes on"),
        };
        if let Some(acknowledgement) = acknowledgement
            && (by_door || is_own(&local.running, &told))
        {
            answer.headers_mut().insert(SEAWALL_SHADOW, acknowledgement);
        }
        if line.is_none() && told.recording.get_mut().is_none() {
            return answer;
        }
        let ending = Ending {
            door: Arc::clone(door),
            local,
            told,
            line,
            status: 0,
            bytes: 0,
        };
        ending.of(answer)
    }
}

impl Local {
    pub fn new(door: &Door, proxy: &Proxy) -> Local {
        // The number first: a swap in between is seen at the next look.
        let generation = door.generation();
        let running = door.running();
        let names = running.compiled.pools.iter().map(|pool| &pool.name);
        let target = |name: &String| running.upstreams.pool(name).map(|pool| proxy.target(pool));
        Local {
            generation,
            targets: names.map(target).collect(),
            log: running.log.as_ref().map(|log| log.writer()),
            tap: running
                .extras
                .recorder
                .as_ref()
                .map(|recorder| recorder.tap()),
            running,
        }
    }
}

enum Decided<B> {
    Go(Going<B>),
    No(Box<Response<Body>>),
    /// The configuration was swapped meanwhile.
    Again,
}

struct Going<B> {
    id: RouteId,
    client: Client,
    held: Held,
    session: Session<B>,
    extras: Option<Box<Extras>>,
    late: Option<Late>,
}

/// What few requests have.
#[derive(Default)]
struct Extras {
    device_cookie: Option<HeaderValue>,
    room_cookie: Option<HeaderValue>,
    /// Features that the service should leave out.
    shield: Option<HeaderValue>,
}

impl Extras {
    fn boxed(self) -> Option<Box<Extras>> {
        let any = self.device_cookie.is_some() || self.room_cookie.is_some();
        (any || self.shield.is_some()).then(|| Box::new(self))
    }
}

enum Turned {
    Answer(Box<Response<Body>>),
    Again,
}

/// What a request got on its way in.
struct Entered {
    held: Held,
    extras: Extras,
    /// It may be answered from what is kept, and has not paid for more.
    late: Option<Late>,
}

pub(super) fn find<'a>(running: &'a Running, parts: &Parts) -> Option<(RouteId, &'a RouteSpec)> {
    let of_header = || parts.headers.get(hyper::header::HOST)?.to_str().ok();
    let host = parts.uri.host().or_else(of_header).unwrap_or("");
    let id = running.compiled.router.find(&Asked {
        host,
        path: parts.uri.path(),
        method: &parts.method,
        headers: &parts.headers,
    })?;
    Some((id, running.compiled.route(id)?))
}

fn complete(
    facts: &mut Facts,
    running: &Running,
    route: &RouteSpec,
    id: RouteId,
    parts: &Parts,
    hasher: &super::Hasher,
) {
    facts.route = id;
    facts.class = route.class;
    facts.method = method_of(&parts.method);
    facts.headers = identity::headers(parts, &running.compiled.key_headers, hasher);
    facts.sku = route.sku.as_ref().and_then(|place| {
        let sku = identity::sku(parts, place)?;
        Some(crate::config::Digest::text(hasher, &sku))
    });
}

fn method_of(asked: &Method) -> guard::Method {
    use wire::gateway::routes::Method as Written;
    match *asked {
        Method::GET => method(Written::Get),
        Method::HEAD => method(Written::Head),
        Method::POST => method(Written::Post),
        Method::PUT => method(Written::Put),
        Method::PATCH => method(Written::Patch),
        Method::DELETE => method(Written::Delete),
        Method::OPTIONS => method(Written::Options),
        _ => guard::Method::Other,
    }
}

/// Whether a client may still be sending when its request is decided.
fn may_have_body(parts: &Parts) -> bool {
    let bare = matches!(parts.method, Method::GET | Method::HEAD);
    !bare
        || parts.headers.contains_key(CONTENT_LENGTH)
        || parts.headers.contains_key(TRANSFER_ENCODING)
}

/// One buyer's key: somebody else's with the same text is another one.
fn key_under_way(
    door: &Door,
    route: &RouteSpec,
    facts: &Facts,
    parts: &Parts,
) -> Option<guard::Value> {
    let key = identity::text(&parts.headers, route.idempotency.as_ref()?)?;
    let who = facts.buyer.or(facts.address)?;
    let both = format!("{:x}:{}:{key}", who.0, facts.route.0);
    Some(crate::config::Digest::text(&door.hasher, &both))
}

/// What a switch puts in place of the answer. `None`: this one cannot; serve as usual.
fn switched(
    running: &Running,
    id: RouteId,
    action: Action,
    counts: &Counts,
    headers: &hyper::HeaderMap,
) -> Option<Response<Body>> {
    let file = |ready: Option<&Ready>| {
        let ready = ready?;
        let mut answer = Response::new(Body::from(ready.body.clone()));
        answer
            .headers_mut()
            .insert(CONTENT_TYPE, ready.kind.clone());
        Some(answer)
    };
    let answer = match action {
        Action::Shed => {
            counts.refuse(DoorCode::SwitchedOff);
            let no = No::new(
                DoorCode::SwitchedOff,
                "An operator switched this off for a while.",
            );
            Some(answers::refuse(&no, headers))
        }
        Action::StaticPage(page) => file(running.pages.get(usize::from(page.0))),
        Action::Stub(stub) => file(running.stubs.get(usize::from(stub.0))),
        Action::RedirectSimplified => {
            let redirects = &running.compiled.switches.redirects;
            let to = redirects.get(usize::from(id.0))?.as_ref()?;
            answers::redirect(to, 302)
        }
        Action::ServeStale | Action::Shield(_) => None,
    }?;
    counts.by_switch.fetch_add(1, Ordering::Relaxed);
    Some(answer)
}
