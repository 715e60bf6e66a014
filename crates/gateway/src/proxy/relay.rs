//! An answer's body on its way down, read from the upstream only as fast as the client takes it.

use super::decode::{Decoder, Piece};
use super::error::{Malformed, Why};
use super::exchange::Exchange;
use super::response::Framing;
use crate::upstream::Event;
use bytes::Bytes;
use host::http::BodyCut;
use hyper::body::{Body, Frame, SizeHint};
use std::any::Any;
use std::pin::Pin;
use std::task::{Context, Poll};

pub(super) struct Relay {
    /// Gone once the body is complete: its connection works for others by then.
    exchange: Option<Exchange>,
    decoder: Decoder,
    /// Read, but not passed on yet.
    rest: Bytes,
    keeps: bool,
    /// Waiting for the upstream, with a deadline; not while the client is the slow one.
    waiting: bool,
    allowed: u64,
    /// What must last as long as the answer.
    _keep: Option<Box<dyn Any>>,
}

impl Relay {
    pub fn new(
        exchange: Exchange,
        framing: Framing,
        rest: Bytes,
        keeps: bool,
        allowed: u64,
        keep: Option<Box<dyn Any>>,
    ) -> Self {
        Relay {
            exchange: Some(exchange),
            decoder: Decoder::new(framing),
            rest,
            keeps,
            waiting: false,
            allowed,
            _keep: keep,
        }
    }

    /// Gives the connection back as soon as the last byte is here.
    fn finish_if_done(&mut self) {
        if self.decoder.is_done()
            && let Some(exchange) = self.exchange.take()
        {
            exchange.finish(self.keeps && self.rest.is_empty());
        }
    }

    fn cut(&mut self, why: Why, event: Event) -> BodyCut {
        if let Some(exchange) = self.exchange.take() {
            let load = exchange.load();
            load.settle();
            load.peer().count(event);
            load.pool.pool.failed(load.peer());
            let peer = load.peer().name();
            tracing::debug!(peer, why = why.text(), "an answer was cut short");
        }
        BodyCut { why: why.text() }
    }

    /// The next frame out of what was read; `None` if more is needed.
    fn decoded(&mut self) -> Option<Option<Result<Frame<Bytes>, BodyCut>>> {
        let frame = match self.decoder.next(&mut self.rest) {
            Ok(Piece::More) => return None,
            Ok(Piece::Done) => None,
            Ok(Piece::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
            Ok(Piece::Data(data)) => match self.allowed.checked_sub(data.len() as u64) {
                Some(left) => {
                    self.allowed = left;
                    Some(Ok(Frame::data(data)))
                }
                None => {
                    let why = Why::Malformed(Malformed::BodyTooLarge);
                    return Some(Some(Err(self.cut(why, Event::Cut))));
                }
            },
            Err(how) => {
                let why = Why::Malformed(how);
                return Some(Some(Err(self.cut(why, Event::Malformed))));
            }
        };
        self.finish_if_done();
        Some(frame)
    }
}

impl Body for Relay {
    type Data = Bytes;
    type Error = BodyCut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyCut>>> {
        let this = &mut *self;
        loop {
            if let Some(frame) = this.decoded() {
                return Poll::Ready(frame);
            }
            let Some(exchange) = &mut this.exchange else {
                return Poll::Ready(None);
            };
            exchange.pump_beside(cx);
            match exchange.poll_chunk(cx) {
                Poll::Ready(Ok(chunk)) if !chunk.is_empty() => {
                    this.waiting = false;
                    this.rest = chunk;
                }
                Poll::Ready(ended) => {
                    if ended.is_ok() && this.decoder.end() {
                        this.finish_if_done();
                        return Poll::Ready(None);
                    }
                    return Poll::Ready(Some(Err(this.cut(Why::Lost, Event::Cut))));
                }
                Poll::Pending => {
                    if !std::mem::replace(&mut this.waiting, true) {
                        exchange.await_bytes();
                    }
                    if exchange.is_late(cx) {
                        let why = exchange.lateness();
                        return Poll::Ready(Some(Err(this.cut(why, Event::BodyTimeout))));
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.decoder.is_done()
    }

    fn size_hint(&self) -> SizeHint {
        match self.decoder.left() {
            Some(left) => SizeHint::with_exact(left),
            None => SizeHint::default(),
        }
    }
}
