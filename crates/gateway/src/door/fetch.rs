//! One question to what is behind the door, for answers that are kept and pages rendered ahead. It
//! may outlive the request that caused it, so it owns all that it needs.

use super::answers::{self, No};
use super::books;
use super::faults::said;
use super::held::Held;
use super::late::Late;
use super::line::Told;
use super::serve::{blame, ended};
use super::service::{InProcess, Local, Session};
use super::{Door, running};
use crate::config::TargetSpec;
use crate::headers::Client;
use crate::proxy::{ForwardContext, Proxy, ProxyError, Target, Why};
use guard::Nanos;
use host::http::Body;
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use wire::problem::DoorCode;

/// Who pays for a fetch.
pub(super) enum Payer {
    /// A request that has asked everything already.
    Paid(Rc<Held>),
    /// The fetch itself.
    Late(Late),
}

pub(super) struct Fetch<S> {
    pub door: Arc<Door>,
    pub service: Rc<S>,
    pub proxy: Rc<Proxy>,
    pub local: Rc<Local>,
    /// Of the route.
    pub place: usize,
    pub client: Client,
    pub payer: Payer,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// By the door itself: nobody was asked.
    Refused {
        code: DoorCode,
        retry_after: Nanos,
    },
    Proxy(ProxyError),
    /// The route's pool is gone, or it never had one.
    Nobody,
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoAnswer::Refused { code, .. } => write!(f, "the door refused: {code:?}"),
            NoAnswer::Proxy(error) => error.fmt(f),
            NoAnswer::Nobody => f.write_str("nobody answers for this route"),
        }
    }
}

impl<S: InProcess> Fetch<S> {
    /// # Errors
    /// Nobody answered, or nobody may be asked now.
    pub async fn ask(self, parts: Parts, body: Incoming) -> Result<Response<Body>, NoAnswer> {
        let running = Arc::clone(&self.local.running);
        let spec = running.compiled.routes.get(self.place);
        let pool = match spec.map(|route| &route.target) {
            Some(TargetSpec::Service(_)) => None,
            Some(TargetSpec::Pool(pool)) => Some(*pool),
            Some(TargetSpec::Static | TargetSpec::Redirect { .. }) | None => {
                return Err(NoAnswer::Nobody);
            }
        };
        let held = self.held(pool)?;
        let Some(pool) = pool else {
            let answer = self.service.call(parts, body, Session::Unread).await;
            held.tell(ended(&answer, true));
            self.door.counts.served.fetch_add(1, Ordering::Relaxed);
            return Ok(answer);
        };
        let target = self.local.targets.get(pool).and_then(Option::as_ref);
        let target = target.ok_or(NoAnswer::Nobody)?;
        let request = Request::from_parts(parts, body);
        let ctx = context(&running, self.place, self.client, &held);
        self.forward(request, target, ctx, &held).await
    }

    async fn forward(
        &self,
        request: Request<Incoming>,
        target: &Target,
        ctx: ForwardContext<'_>,
        held: &Held,
    ) -> Result<Response<Body>, NoAnswer> {
        match self.proxy.forward(request, target, ctx).await {
            Ok(answer) => {
                held.tell(ended(&answer, false));
                self.door.counts.served.fetch_add(1, Ordering::Relaxed);
                Ok(answer)
            }
            Err(error) => {
                held.tell(blame(&error).1);
                let of = (&*self.local.running, self.place);
                self.door.counts.failed(&self.door.clocks, of, &error);
                Err(NoAnswer::Proxy(error))
            }
        }
    }

    /// What the fetch holds until the last byte from behind.
    fn held(&self, pool: Option<usize>) -> Result<Rc<Held>, NoAnswer> {
        let late = match &self.payer {
            Payer::Paid(held) => return Ok(Rc::clone(held)),
            Payer::Late(late) => late,
        };
        held_by(&self.door, self.local.generation, pool, late)
    }
}

/// Asks breaker and overload control, by a configuration's generation and the place of its pool.
pub(super) fn held_by(
    door: &Arc<Door>,
    generation: u64,
    pool: Option<usize>,
    late: &Late,
) -> Result<Rc<Held>, NoAnswer> {
    let now = door.clocks.now();
    let taken = {
        let mut books = door.books();
        // Of another configuration's breakers nothing is asked.
        let pool = pool.filter(|_| books.generation == generation);
        books.ask_fetch(late, pool, now)
    };
    let refused = |code, retry_after| NoAnswer::Refused { code, retry_after };
    match taken {
        Ok(taken) => Ok(Rc::new(Held::new(Arc::clone(door), taken, now))),
        Err(books::No::Breaker { retry_after }) => {
            Err(refused(DoorCode::UpstreamDown, retry_after))
        }
        Err(books::No::Shed { retry_after }) => Err(refused(DoorCode::Shed, retry_after)),
        Err(books::No::Limit(_) | books::No::UnderWay) => Err(NoAnswer::Nobody),
    }
}

/// What a route says about its requests to a pool.
pub(super) fn context<'a>(
    running: &'a running::Running,
    place: usize,
    client: Client,
    held: &Rc<Held>,
) -> ForwardContext<'a> {
    let mut ctx = ForwardContext::new(client, &running.announce);
    ctx.timeouts = running.timeouts[place];
    ctx.request_bytes_max = running.body_bytes_max[place];
    ctx.key_makes_safe = running.key_makes_safe[place];
    ctx.keep = Some(Box::new(Rc::clone(held)));
    ctx
}

impl NoAnswer {
    /// What the client is told, with its counts.
    pub fn answer(&self, door: &Door, told: &Told, headers: &HeaderMap) -> Response<Body> {
        let no = match self {
            NoAnswer::Refused { code, retry_after } => {
                told.code.set(Some(*code));
                let why = match code {
                    DoorCode::Shed => "More came than can be served well.",
                    _ => "What serves this is recovering.",
                };
                No {
                    retry_after: Some(*retry_after),
                    ..No::new(*code, why)
                }
            }
            NoAnswer::Proxy(error) => No::new(blame(error).0, said(error)),
            NoAnswer::Nobody => No::new(DoorCode::NoRoute, "The pool of this route is gone."),
        };
        door.counts.refuse(no.code);
        let mut answer = answers::refuse(&no, headers);
        if let NoAnswer::Proxy(error) = self
            && error.why == Why::Unsupported
        {
            *answer.status_mut() = StatusCode::NOT_IMPLEMENTED;
        }
        answer
    }
}
