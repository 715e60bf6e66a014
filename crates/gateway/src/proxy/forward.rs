//! From a request to the head of an answer: the tries, and which of them are allowed.
//!
//! Never twice what may have happened once: a request that is not repeatable is tried again only
//! if the kernel took no byte of it. And never many times what fails: each retry is paid for by
//! several requests, and goes to a peer that has not been asked yet. The one exception is an
//! idle connection that the peer closed at the very moment it was used.

use super::answer::{Reply, respond};
use super::error::{Happened, ProxyError, Why};
use super::exchange::{Exchange, Times};
use super::request::{Outgoing, Sending};
use super::upload::Upload;
use super::{ForwardContext, Worker, http2};
use crate::headers::{host_of, named_host, upgrade_of};
use crate::limits::{BODY_BUFFER_BYTES_MAX, RETRIES_MAX};
use crate::upstream::{Event, LocalPool, NoLink, Protocol, Timeouts, Tried, now_ms};
use host::http::{Body, BodyError, read_body};
use hyper::body::{Body as _, Incoming};
use hyper::header::{EXPECT, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode, Version};
use std::rc::Rc;
use std::time::Duration;

/// A request whose body is at hand, or flows: from here on it needs a connection.
#[derive(Debug)]
pub struct Received {
    parts: Parts,
    body: Sending,
    upgrade: Option<HeaderValue>,
    expects: bool,
}

/// Waits for a small body, so that a slow client holds nothing of the upstream's.
pub(super) async fn receive(
    request: Request<Incoming>,
    pool: &Rc<LocalPool>,
    ctx: &ForwardContext<'_>,
) -> Result<Received, ProxyError> {
    let (parts, body) = request.into_parts();
    if parts.method == Method::CONNECT {
        return Err(ProxyError::refused(Why::Unsupported));
    }
    let host = host_of(&parts.uri, &parts.headers);
    host.map_err(|()| ProxyError::refused(Why::BadHost))?;
    let timeouts = ctx.timeouts.unwrap_or(pool.pool.spec().timeouts);
    let upgrade = upgrade_of(&parts.headers)
        .filter(|protocol| ctx.may_upgrade && may_upgrade(&parts, protocol, &body))
        .cloned();
    let expects = parts.headers.contains_key(EXPECT);
    let body = sending(body, ctx, timeouts, expects).await;
    Ok(Received {
        body: body.map_err(ProxyError::refused)?,
        parts,
        upgrade,
        expects,
    })
}

pub(super) async fn forward(
    worker: &Rc<Worker>,
    received: Received,
    pool: &Rc<LocalPool>,
    mut ctx: ForwardContext<'_>,
) -> Result<Response<Body>, ProxyError> {
    worker.watch.set_now(now_ms());
    let keep = ctx.keep.take();
    let Received {
        parts,
        body,
        upgrade,
        expects,
    } = received;
    let upgrade = upgrade.as_ref();
    let host = named_host(&parts.uri, &parts.headers);
    let timeouts = ctx.timeouts.unwrap_or(pool.pool.spec().timeouts);
    pool.pay_in();
    let end_at_ms = timeouts.total_ms.map_or(u64::MAX, |total| {
        worker.watch.now_ms().saturating_add(total.into())
    });
    let mut tries = Tries {
        worker,
        pool,
        outgoing: Outgoing {
            parts: &parts,
            ctx: &ctx,
            host,
            expects,
            upgrade,
        },
        connect_ms: timeouts.connect_ms,
        times: Times {
            head_ms: timeouts.head_ms,
            between_ms: timeouts.between_ms,
            end_at_ms,
        },
        body,
        tried: Tried::default(),
        fresh: false,
        left: pool.pool.spec().retry.more_max.min(RETRIES_MAX),
        sent: false,
        last: None,
    };
    let reply = tries.run().await?;
    let response = respond(reply, tries.times, ctx.response_bytes_max, upgrade, keep)
        .map_err(|(why, peer)| tries.error(why, Some(peer)))?;
    worker.take_back(parts.headers);
    Ok(response)
}

/// Another protocol than HTTP/2, which would be a way around every check.
fn may_upgrade(parts: &Parts, protocol: &HeaderValue, body: &Incoming) -> bool {
    let http2 = protocol.as_bytes().split(|b| *b == b',').any(|token| {
        let token = token.trim_ascii();
        token.len() >= 2 && token[..2].eq_ignore_ascii_case(b"h2")
    });
    parts.version == Version::HTTP_11 && body.is_end_stream() && !http2
}

/// Reads a small body; leaves a large one to flow.
async fn sending(
    body: Incoming,
    ctx: &ForwardContext<'_>,
    timeouts: Timeouts,
    expects: bool,
) -> Result<Sending, Why> {
    if body.is_end_stream() {
        return Ok(Sending::Nothing);
    }
    let length = body.size_hint().exact();
    if body.size_hint().lower() > ctx.request_bytes_max {
        return Err(Why::BodyTooLarge);
    }
    let small = length.is_some_and(|length| length <= BODY_BUFFER_BYTES_MAX as u64);
    if !small || expects {
        let body = Some(body);
        return Ok(Sending::Stream { body, length });
    }
    let limit = Duration::from_millis(timeouts.between_ms.into());
    match read_body(body, BODY_BUFFER_BYTES_MAX, limit).await {
        Ok(bytes) => Ok(Sending::Whole(bytes)),
        Err(BodyError::TooLarge { .. }) => Err(Why::BodyTooLarge),
        Err(BodyError::TooSlow { .. }) => Err(Why::BodyTooSlow),
        Err(BodyError::Broken) => Err(Why::BodyBroken),
    }
}

/// How one try ended without the head of an answer.
struct Failed {
    why: Why,
    peer: Option<usize>,
    /// The kernel took a byte of the request.
    sent: bool,
    heard: bool,
    reused: bool,
}

struct Tries<'a, 'c> {
    worker: &'a Rc<Worker>,
    pool: &'a Rc<LocalPool>,
    outgoing: Outgoing<'a, 'c>,
    connect_ms: u32,
    times: Times,
    body: Sending,
    tried: Tried,
    /// The next try must not use an idle connection.
    fresh: bool,
    left: u32,
    /// Of any try so far.
    sent: bool,
    last: Option<(Why, usize)>,
}

impl Tries<'_, '_> {
    async fn run(&mut self) -> Result<Reply, ProxyError> {
        loop {
            let tried = match self.pool.pool.spec().protocol {
                Protocol::Http1 => self.http1().await,
                Protocol::Http2 => self.http2().await,
            };
            match tried {
                Ok(reply) => {
                    self.sent = true;
                    if self.is_to_keep(&reply) {
                        return Ok(reply);
                    }
                }
                Err(failed) => {
                    self.sent |= failed.sent;
                    if !self.again_after(&failed) {
                        // No peer left to ask says less than why the last one did not answer.
                        let (why, peer) = match self.last {
                            Some((why, peer)) if failed.peer.is_none() => (why, Some(peer)),
                            Some(_) | None => (failed.why, failed.peer),
                        };
                        return Err(self.error(why, peer));
                    }
                }
            }
        }
    }

    fn error(&self, why: Why, peer: Option<usize>) -> ProxyError {
        let effect = self.sent && !self.outgoing.parts.method.is_safe();
        ProxyError {
            why,
            happened: if effect {
                Happened::Perhaps
            } else {
                Happened::No
            },
            peer: peer.map(|peer| self.pool.peer(peer).clone()),
        }
    }

    /// An answer of 502 to 504 is a failure of the peer, and perhaps another one can do better.
    fn is_to_keep(&mut self, reply: &Reply) -> bool {
        let load = reply.load();
        let bad = matches!(
            reply.status(),
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
        );
        if !bad {
            self.pool.pool.succeeded(load.peer());
            return true;
        }
        load.peer().count(Event::BadStatus);
        self.pool.pool.failed(load.peer());
        let wanted = self.pool.pool.spec().retry.on_bad_status;
        if wanted && self.is_repeatable() && self.may_ask_another(load.peer) {
            load.settle();
            return false;
        }
        true
    }

    fn again_after(&mut self, failed: &Failed) -> bool {
        let Some(place) = failed.peer else {
            return false;
        };
        let peer = self.pool.peer(place);
        let stale = failed.reused && failed.why == Why::Lost && !failed.heard;
        if stale {
            peer.count(Event::Stale);
            if !self.fresh && self.is_intact() && (!failed.sent || self.is_repeatable()) {
                self.fresh = true;
                return true;
            }
        } else if let Some(event) = failed.why.event() {
            peer.count(event);
            self.pool.pool.failed(peer);
        }
        self.last = Some((failed.why, place));
        let elsewhere = failed.why.event().is_some() && failed.why != Why::TotalTimeout;
        let safe = if failed.sent {
            self.is_repeatable()
        } else {
            self.is_intact()
        };
        elsewhere && safe && self.may_ask_another(place)
    }

    /// Within the number of tries and the budget; notes the peer as asked.
    fn may_ask_another(&mut self, asked: usize) -> bool {
        self.tried.add(asked);
        if self.left == 0 || self.tried.count() >= self.pool.pool.peers().len() {
            return false;
        }
        if self.worker.watch.now_ms() >= self.times.end_at_ms || !self.pool.pay_out() {
            return false;
        }
        self.left -= 1;
        self.pool.peer(asked).count(Event::Retried);
        true
    }

    fn is_intact(&self) -> bool {
        !matches!(self.body, Sending::Stream { body: None, .. })
    }

    /// Twice is as good as once, and all of it is still here.
    fn is_repeatable(&self) -> bool {
        let parts = self.outgoing.parts;
        let keyed =
            self.outgoing.ctx.key_makes_safe && parts.headers.contains_key("idempotency-key");
        self.is_intact() && (parts.method.is_idempotent() || keyed)
    }

    async fn http1(&mut self) -> Result<Reply, Failed> {
        let checkout = self.pool.checkout(&self.tried, self.fresh, self.connect_ms);
        let checkout = checkout.await.map_err(without_link)?;
        let peer = checkout.load.peer;
        checkout.load.ask();
        let mut exchange = Exchange::new(checkout, self.worker.clone(), self.times);
        let mut headers = self.worker.header_map();
        let answer = match self.send(&mut exchange) {
            Ok(()) => {
                let method = &self.outgoing.parts.method;
                exchange.answer(method, &mut headers).await
            }
            Err(why) => Err(why),
        };
        match answer {
            Ok((head, rest)) => Ok(Reply::Http1 {
                exchange,
                head,
                headers,
                rest,
            }),
            Err(why) => {
                exchange.load().settle();
                if let Sending::Stream { body, .. } = &mut self.body {
                    *body = exchange.untouched_body();
                }
                Err(Failed {
                    why,
                    peer: Some(peer),
                    sent: exchange.sent,
                    heard: exchange.heard,
                    reused: exchange.is_reused(),
                })
            }
        }
    }

    fn send(&mut self, exchange: &mut Exchange) -> Result<(), Why> {
        let mut out = self.worker.out.borrow_mut();
        let peer = exchange.load().peer();
        self.outgoing
            .write(&mut out, peer, &self.body, &self.worker.dice);
        let (allowed, expects) = (self.outgoing.ctx.request_bytes_max, self.outgoing.expects);
        let upload = match &mut self.body {
            Sending::Nothing | Sending::Whole(_) => None,
            Sending::Stream { body, .. } => {
                let body = body.take();
                body.map(|body| Upload::new(body, allowed, expects))
            }
        };
        exchange.send(&out, upload)
    }

    async fn http2(&mut self) -> Result<Reply, Failed> {
        let failed = |why, peer, sent| Failed {
            why,
            peer,
            sent,
            heard: false,
            reused: false,
        };
        let load = self.pool.pick(&self.tried);
        let load = load.ok_or_else(|| failed(Why::NoPeer, None, false))?;
        let peer = Some(load.peer);
        let sender = http2::sender(&load, self.connect_ms).await;
        let sender = sender.map_err(|why| failed(why, peer, false))?;
        load.ask();
        let deadline = self.worker.watch.deadline();
        let until = deadline.now_ms().saturating_add(self.times.head_ms.into());
        deadline.set(until.min(self.times.end_at_ms));
        let dice = &self.worker.dice;
        let asked = http2::ask(
            sender,
            &self.outgoing,
            &load,
            &deadline,
            &mut self.body,
            dice,
        );
        match asked.await {
            Ok(response) => Ok(Reply::Http2 {
                response,
                load,
                deadline,
            }),
            Err(no) => {
                load.settle();
                Err(failed(no.why, peer, no.sent))
            }
        }
    }
}

fn without_link(no: NoLink) -> Failed {
    let (why, peer) = match no {
        NoLink::NoPeer => (Why::NoPeer, None),
        NoLink::Full => (Why::Busy, None),
        NoLink::WaitedInVain => (Why::WaitedInVain, None),
        NoLink::Connect { peer, why } => (why.into(), Some(peer)),
    };
    Failed {
        why,
        peer,
        sent: false,
        heard: false,
        reused: false,
    }
}
