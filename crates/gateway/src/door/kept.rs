//! One request of a route whose answers are kept.

use super::fetch::{Fetch, Payer};
use super::held::Held;
use super::late::Late;
use super::line::Told;
use super::serve::ended;
use super::service::{DoorService, InProcess, Local, SHIELD, Session};
use crate::cache::{Cache, RouteCache};
use crate::headers::Client;
use crate::mark::RunId;
use bytes::Bytes;
use host::http::{Body, BodyCut, Relayed};
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use hyper::header::{ACCEPT, HeaderMap};
use hyper::{Request, Response};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

/// Who came, and what that one holds.
pub(super) struct Came<'a, B> {
    pub client: Client,
    pub session: Session<B>,
    pub held: Rc<Held>,
    pub late: Option<Late>,
    pub told: &'a Told,
}

impl<S: InProcess> DoorService<S> {
    pub(super) async fn through_cache(
        &self,
        local: &Rc<Local>,
        place: usize,
        (cache, route): (&Cache, &Arc<RouteCache>),
        request: Request<Incoming>,
        came: Came<'_, S::Buyer>,
    ) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let apart = apart(route, &parts.headers, came.told);
        let route = apart.as_ref().unwrap_or(route);
        let https = came.client.scheme == "https";
        let counts = &self.door.counts;
        if came.late.is_some_and(|late| late.stale)
            && let Some(answer) = cache.stale_only(parts.clone(), https, route).await
        {
            counts.by_switch.fetch_add(1, Ordering::Relaxed);
            came.held.tell(ended(&answer, false));
            return answer;
        }
        // For a refusal, should it come to one.
        let mut headers = HeaderMap::new();
        if let Some(accept) = parts.headers.get(ACCEPT) {
            headers.insert(ACCEPT, accept.clone());
        }
        let fetch = Fetch {
            door: Arc::clone(&self.door),
            service: Rc::clone(&self.service),
            proxy: Rc::clone(&self.proxy),
            local: Rc::clone(local),
            place,
            client: came.client,
            payer: match came.late {
                Some(late) => Payer::Late(late),
                None => Payer::Paid(Rc::clone(&came.held)),
            },
        };
        // A body that HTTP/2 did not announce is no part of what answers are kept under.
        let asked = match came.late.is_some() && !body.is_end_stream() {
            true => fetch.ask(parts, body).await,
            false => {
                let ask = move |parts| fetch.ask(parts, body);
                cache.answer(parts, https, route, ask).await
            }
        };
        match asked {
            Ok(answer) if came.late.is_some() => {
                came.held.tell(ended(&answer, false));
                until_the_end(answer, came.held)
            }
            Ok(answer) => answer,
            Err(no) => {
                let answer = no.answer(&self.door, came.told, &headers);
                if came.late.is_some() {
                    let refused = came.told.code.get().is_some();
                    came.held.tell(match refused {
                        true => guard::Ended::Dropped,
                        false => guard::Ended::Failed,
                    });
                }
                answer
            }
        }
    }
}

/// What the door itself tells the target makes other answers: features that are left out, and the
/// shadow of the shop that rehearsals see. They are kept apart, whatever `Vary` says.
fn apart(route: &Arc<RouteCache>, headers: &HeaderMap, told: &Told) -> Option<Arc<RouteCache>> {
    let (shield, run) = (headers.get(SHIELD), told.run.get());
    if shield.is_none() && run.is_none() {
        return None;
    }
    let shield = shield.and_then(|shield| shield.to_str().ok());
    let run = run.as_ref().map(RunId::as_str);
    let name = format!("{}\n{shield:?}\n{run:?}", route.name);
    Some(Arc::new(RouteCache {
        name: name.into(),
        ..(**route).clone()
    }))
}

/// What flows on to this client alone keeps what the client holds.
fn until_the_end(answer: Response<Body>, held: Rc<Held>) -> Response<Body> {
    if !matches!(answer.body(), Body::Relayed(_)) {
        return answer;
    }
    answer.map(|body| Body::Relayed(Relayed::new(With { body, _held: held })))
}

struct With {
    body: Body,
    _held: Rc<Held>,
}

impl hyper::body::Body for With {
    type Data = Bytes;
    type Error = BodyCut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyCut>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }
    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
