//! Performing a request that may go on: by a service in this process, by a pool, from a file.
//!
//! What a route adds to an answer on its way out belongs here. It must not decide who may enter.

use super::answers::{self, No};
use super::extras::RouteExtra;
use super::faults::said;
use super::fetch::{context, held_by};
use super::held::Held;
use super::kept::Came;
use super::late::Late;
use super::line::Told;
use super::running::Ready;
use super::service::{DoorService, InProcess, Local};
use crate::compress::{self, Accepted};
use crate::config::TargetSpec;
use crate::headers::Client;
use crate::proxy::{Happened, ProxyError, Target, Why};
use guard::{Ended, RouteId};
use host::http::Body;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use wire::problem::DoorCode;

impl<S: InProcess> DoorService<S> {
    pub(super) async fn serve(
        &self,
        local: &Rc<Local>,
        id: RouteId,
        request: Request<Incoming>,
        came: Came<'_, S::Buyer>,
    ) -> Response<Body> {
        let place = usize::from(id.0);
        match local.running.extras.route(place) {
            None => self.plainly(local, place, request, came).await,
            // Boxed: it is larger than all the rest, and rarer.
            Some(extra) => Box::pin(self.with_extras(local, place, extra, request, came)).await,
        }
    }

    /// A route whose answers are kept, or compressed.
    async fn with_extras(
        &self,
        local: &Rc<Local>,
        place: usize,
        extra: &RouteExtra,
        request: Request<Incoming>,
        came: Came<'_, S::Buyer>,
    ) -> Response<Body> {
        let running = &*local.running;
        if let (Some(cache), Some(route)) = (&running.extras.cache, &extra.cache) {
            let both = (cache, route);
            return self.through_cache(local, place, both, request, came).await;
        }
        let accepted = Accepted::by(request.headers());
        let is_file = matches!(running.compiled.routes[place].target, TargetSpec::Static);
        let answer = self.plainly(local, place, request, came).await;
        match is_file {
            true => extra.packed(accepted, answer),
            false => compress::answer(accepted, answer).await,
        }
    }

    async fn plainly(
        &self,
        local: &Rc<Local>,
        place: usize,
        request: Request<Incoming>,
        came: Came<'_, S::Buyer>,
    ) -> Response<Body> {
        let running = &*local.running;
        let Came {
            client,
            held,
            session,
            late,
            told,
        } = came;
        let route = &running.compiled.routes[place];
        let answer = match &route.target {
            TargetSpec::Service(_) => {
                let (parts, body) = request.into_parts();
                self.service.call(parts, body, session).await
            }
            TargetSpec::Pool(pool) => {
                let Some(Some(target)) = local.targets.get(*pool) else {
                    let no = No::new(DoorCode::NoRoute, "The pool of this route is gone.");
                    return answers::refuse(&no, request.headers());
                };
                let behind = Behind {
                    local,
                    place,
                    pool: *pool,
                    target,
                };
                return self
                    .forward(behind, request, (client, held), (late, told))
                    .await;
            }
            TargetSpec::Static => {
                let file = running.files.get(place).and_then(Option::as_ref);
                file.map_or_else(|| Response::new(Body::Empty), |file| whole(file, &request))
            }
            TargetSpec::Redirect { to, status } => {
                let answer = answers::redirect(to, *status);
                answer.unwrap_or_else(|| Response::new(Body::Empty))
            }
        };
        held.tell(ended(
            &answer,
            matches!(route.target, TargetSpec::Service(_)),
        ));
        self.door.counts.served.fetch_add(1, Ordering::Relaxed);
        answer
    }

    async fn forward(
        &self,
        behind: Behind<'_>,
        request: Request<Incoming>,
        (client, held): (Client, Rc<Held>),
        (late, told): (Option<Late>, &Told),
    ) -> Response<Body> {
        let Behind { place, target, .. } = behind;
        let accept = request.headers().get(ACCEPT).cloned();
        let mut ctx = context(&behind.local.running, place, client, &held);
        // What it pays once its body is there.
        let mut paid = None;
        let asked = match self.proxy.receive(request, target, &ctx).await {
            Err(error) => Err(error),
            Ok(received) => {
                if let Some(late) = late {
                    let generation = behind.local.generation;
                    match held_by(&self.door, generation, Some(behind.pool), &late) {
                        Ok(more) => {
                            ctx.keep = Some(Box::new((Rc::clone(&held), Rc::clone(&more))));
                            paid = Some(more);
                        }
                        Err(no) => {
                            held.tell(Ended::Dropped);
                            return no.answer(&self.door, told, &only(accept));
                        }
                    }
                }
                self.proxy.send(received, target, ctx).await
            }
        };
        // Breakers and overload control learn from what was paid, limits from what came.
        let both = || [Some(&held), paid.as_ref()].into_iter().flatten();
        match asked {
            Ok(answer) => {
                let how = ended(&answer, false);
                both().for_each(|held| held.tell(how));
                self.door.counts.served.fetch_add(1, Ordering::Relaxed);
                answer
            }
            Err(error) => {
                let (code, ended) = blame(&error);
                both().for_each(|held| held.tell(ended));
                self.door.counts.refuse(code);
                let of = (&*behind.local.running, place);
                self.door.counts.failed(&self.door.clocks, of, &error);
                let no = No::new(code, said(&error));
                let mut answer = answers::refuse(&no, &only(accept));
                if error.why == Why::Unsupported {
                    *answer.status_mut() = StatusCode::NOT_IMPLEMENTED;
                }
                answer
            }
        }
    }
}

/// Where a request goes that a pool answers.
struct Behind<'a> {
    local: &'a Rc<Local>,
    /// Of the route.
    place: usize,
    pool: usize,
    target: &'a Target,
}

/// The one header by which a refusal is written.
fn only(accept: Option<HeaderValue>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Some(accept) = accept {
        headers.insert(ACCEPT, accept);
    }
    headers
}

fn whole(file: &Ready, request: &Request<Incoming>) -> Response<Body> {
    let mut answer = file.answer();
    if *request.method() == Method::HEAD {
        *answer.body_mut() = Body::Empty;
    }
    answer
}

/// What breakers and overload control hear of an answer.
pub(super) fn ended(answer: &Response<Body>, in_process: bool) -> Ended {
    match answer.status().is_server_error() {
        // Turned away by the service's own bound: it lives.
        true if in_process && answer.status() == StatusCode::SERVICE_UNAVAILABLE => Ended::Dropped,
        true => Ended::Failed,
        false => Ended::Ok,
    }
}

/// What the client is told, and what breakers and overload control hear.
pub(super) fn blame(error: &ProxyError) -> (DoorCode, Ended) {
    match error.why {
        Why::BadHost | Why::Unsupported | Why::BodyBroken => (DoorCode::BadRequest, Ended::Dropped),
        Why::BodyTooLarge => (DoorCode::BodyTooLarge, Ended::Dropped),
        Why::BodyTooSlow => (DoorCode::BodyTooSlow, Ended::Dropped),
        Why::NoPeer
        | Why::Busy
        | Why::WaitedInVain
        | Why::ConnectFailed
        | Why::ConnectTimeout
        | Why::Tls(_) => (DoorCode::UpstreamDown, Ended::Failed),
        Why::HeadTimeout | Why::BodyTimeout | Why::TotalTimeout => {
            (DoorCode::UpstreamSlow, Ended::TimedOut)
        }
        Why::Lost | Why::Malformed(_) => match error.happened {
            Happened::No => (DoorCode::UpstreamDown, Ended::Failed),
            Happened::Perhaps => (DoorCode::UpstreamLost, Ended::Failed),
        },
    }
}
