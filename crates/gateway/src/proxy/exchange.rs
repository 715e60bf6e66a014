//! One try: a request on one HTTP/1.1 connection, until the head of its answer.
//!
//! An own client, for two reasons that hyper's cannot meet: it hides an answer's length beside
//! chunks instead of refusing it, and it cannot say whether the kernel took a byte of a request,
//! which decides whether an order may be sent again. It is also no slower: polled within the
//! client's own connection, woken by the upstream's socket, it needs no task, no channel and
//! exactly one write and one read for a small request.

use super::Worker;
use super::error::{Malformed, Why};
use super::response::{Head, parse};
use super::upload::Upload;
use crate::limits::{CONTINUE_MS, INTERIM_MAX, READ_BYTES, READ_ROOM_BYTES_MIN};
use crate::upstream::{Checkout, Load};
use bytes::{Buf, Bytes, BytesMut};
use hyper::header::HeaderMap;
use hyper::{Method, StatusCode};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncReadExt, AsyncWrite};

/// The times that one exchange must keep.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub head_ms: u32,
    pub between_ms: u32,
    /// When the whole request must be over.
    pub end_at_ms: u64,
}

pub(super) struct Exchange {
    checkout: Checkout,
    worker: Rc<Worker>,
    times: Times,
    unsent: Bytes,
    /// In a box, since few requests have one and all would carry its room.
    upload: Option<Box<Upload>>,
    /// Still sending; what comes back is read all the same.
    sending: bool,
    /// Not all of the request was or will be sent: nothing may follow it.
    spoiled: bool,
    /// The kernel took a byte: the upstream may have acted on it.
    pub sent: bool,
    /// The upstream sent a byte.
    pub heard: bool,
    /// Bytes of a head that is not complete yet.
    early: BytesMut,
    interim: u32,
}

impl Exchange {
    pub fn new(checkout: Checkout, worker: Rc<Worker>, times: Times) -> Self {
        Exchange {
            checkout,
            worker,
            times,
            unsent: Bytes::new(),
            upload: None,
            sending: false,
            spoiled: false,
            sent: false,
            heard: false,
            early: BytesMut::new(),
            interim: 0,
        }
    }

    pub fn load(&self) -> &Load {
        &self.checkout.load
    }
    pub fn is_reused(&mut self) -> bool {
        self.checkout.link().reused
    }

    /// Hands the head, with a small body behind it, to the kernel; keeps what it does not take.
    pub fn send(&mut self, head: &[u8], upload: Option<Upload>) -> Result<(), Why> {
        let written = match self.checkout.link().stream.try_write(head) {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_) => return Err(Why::Lost),
        };
        self.sent = written > 0;
        if written < head.len() {
            self.unsent = Bytes::copy_from_slice(&head[written..]);
        }
        self.upload = upload.map(Box::new);
        let held = self.upload.as_ref().is_some_and(|upload| upload.held);
        let held_back = self.checkout.link().stream.holds_back();
        self.sending = self.upload.is_some() || !self.unsent.is_empty() || held_back;
        self.wait_until(match (held, self.sending) {
            (true, _) => CONTINUE_MS,
            (false, true) => self.times.between_ms.into(),
            (false, false) => self.times.head_ms.into(),
        });
        Ok(())
    }

    /// The body back, if nothing was taken from it.
    pub fn untouched_body(&mut self) -> Option<hyper::body::Incoming> {
        self.upload
            .take()
            .and_then(|upload| upload.into_untouched())
    }

    /// The head of the final answer, its headers in `headers`, with what came behind it.
    pub async fn answer(
        &mut self,
        method: &Method,
        headers: &mut HeaderMap,
    ) -> Result<(Head, Bytes), Why> {
        poll_fn(|cx| self.poll_answer(cx, method, headers)).await
    }

    fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
        method: &Method,
        headers: &mut HeaderMap,
    ) -> Poll<Result<(Head, Bytes), Why>> {
        if self.sending {
            self.pump(cx)?;
        }
        while let Poll::Ready(chunk) = self.poll_chunk(cx) {
            let Some(chunk) = chunk.ok().filter(|chunk| !chunk.is_empty()) else {
                return Poll::Ready(Err(Why::Lost));
            };
            self.heard = true;
            match self.hear(chunk, method, headers) {
                Ok(None) if self.sending => self.pump(cx)?,
                Ok(None) => {}
                Ok(Some(answer)) => return Poll::Ready(Ok(answer)),
                Err(how) => return Poll::Ready(Err(Why::Malformed(how))),
            }
        }
        while self.checkout.link().deadline.is_over(cx) {
            let held = self.upload.as_ref().is_some_and(|upload| upload.held);
            if !held || !self.unsent.is_empty() || self.is_past_end() {
                return Poll::Ready(Err(self.lateness()));
            }
            // The upstream had its time to say that it wants the body.
            self.go_on();
            self.pump(cx)?;
        }
        Poll::Pending
    }

    /// Sends what can be sent. An upstream that closes instead of reading may have answered
    /// before, so that is not an error here.
    fn pump(&mut self, cx: &mut Context<'_>) -> Result<(), Why> {
        let mut moved = false;
        match self.poll_send(cx, &mut moved) {
            Poll::Ready(Ok(())) => {
                self.sending = false;
                self.wait_until(self.times.head_ms.into());
            }
            Poll::Ready(Err(Why::Lost)) => {
                (self.sending, self.spoiled) = (false, true);
                self.wait_until(self.times.head_ms.into());
            }
            Poll::Ready(Err(why)) => return Err(why),
            Poll::Pending if moved => self.wait_until(self.times.between_ms.into()),
            Poll::Pending => {}
        }
        Ok(())
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, moved: &mut bool) -> Poll<Result<(), Why>> {
        let stream = &mut self.checkout.link().stream;
        while !self.unsent.is_empty() {
            let written = Pin::new(&mut *stream).poll_write(cx, &self.unsent);
            let Ok(written @ 1..) = ready!(written) else {
                return Poll::Ready(Err(Why::Lost));
            };
            *moved = true;
            self.sent = true;
            self.unsent.advance(written);
        }
        let uploaded = match &mut self.upload {
            Some(upload) => upload.poll(cx, stream, moved),
            None => Poll::Ready(Ok(())),
        };
        if stream.holds_back() && !matches!(uploaded, Poll::Ready(Err(_))) {
            // What TLS has sealed must not wait for the client's next piece.
            match Pin::new(stream).poll_flush(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Why::Lost)),
                Poll::Pending => {
                    let upload = self.upload.iter_mut();
                    upload.for_each(|upload| upload.waits_for_client = false);
                    return Poll::Pending;
                }
            }
        }
        uploaded
    }

    fn hear(
        &mut self,
        chunk: Bytes,
        method: &Method,
        headers: &mut HeaderMap,
    ) -> Result<Option<(Head, Bytes)>, Malformed> {
        let mut bytes = if self.early.is_empty() {
            chunk
        } else {
            // Only a line's end can complete a head; looking after each byte of a slow one
            // would make it expensive.
            let worth_a_look = chunk.contains(&b'\n');
            self.early.extend_from_slice(&chunk);
            if !worth_a_look && self.early.len() < crate::limits::RESPONSE_HEAD_BYTES_MAX {
                return Ok(None);
            }
            std::mem::take(&mut self.early).freeze()
        };
        while !bytes.is_empty() {
            let Some((head, length)) = parse(&bytes, method, headers)? else {
                self.early.extend_from_slice(&bytes);
                return Ok(None);
            };
            bytes.advance(length);
            let interim = head.status.is_informational();
            if !interim || head.status == StatusCode::SWITCHING_PROTOCOLS {
                return Ok(Some((head, bytes)));
            }
            self.interim += 1;
            if self.interim > INTERIM_MAX {
                return Err(Malformed::TooManyInterim);
            }
            if head.status == StatusCode::CONTINUE {
                self.go_on();
            }
        }
        Ok(None)
    }

    /// The upstream wants the body, or has had its time to say so.
    fn go_on(&mut self) {
        if let Some(upload) = &mut self.upload
            && std::mem::take(&mut upload.held)
        {
            self.wait_until(self.times.between_ms.into());
        }
    }

    fn is_past_end(&mut self) -> bool {
        self.checkout.link().deadline.now_ms() >= self.times.end_at_ms
    }

    /// Which time is over.
    pub fn lateness(&mut self) -> Why {
        if self.is_past_end() {
            return Why::TotalTimeout;
        }
        match &self.upload {
            Some(upload) if self.sending && upload.waits_for_client => Why::BodyTooSlow,
            _ if self.sending => Why::BodyTimeout,
            _ => Why::HeadTimeout,
        }
    }

    fn wait_until(&mut self, span_ms: u64) {
        let end = self.times.end_at_ms;
        let deadline = &self.checkout.link().deadline;
        deadline.set(deadline.now_ms().saturating_add(span_ms).min(end));
    }

    // ── after the head ─────────────────────────────────────────────────────────────────────────

    /// Bytes of the answer's body begin or go on: they may take so long.
    pub fn await_bytes(&mut self) {
        self.wait_until(self.times.between_ms.into());
    }
    pub fn is_late(&mut self, cx: &Context<'_>) -> bool {
        self.checkout.link().deadline.is_over(cx)
    }

    /// Goes on sending beside the answer; an upstream that wants no more is not asked why.
    pub fn pump_beside(&mut self, cx: &mut Context<'_>) {
        if self.sending {
            match self.poll_send(cx, &mut false) {
                Poll::Ready(Ok(())) => self.sending = false,
                Poll::Ready(Err(_)) => (self.sending, self.spoiled) = (false, true),
                Poll::Pending => {}
            }
        }
    }

    /// Some bytes; none at the end.
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let mut buffer = self.worker.read.borrow_mut();
        if buffer.capacity() - buffer.len() < READ_ROOM_BYTES_MIN {
            buffer.reserve(READ_BYTES);
        }
        let reading = self.checkout.link().stream.read_buf(&mut *buffer);
        ready!(pin!(reading).poll(cx))?;
        Poll::Ready(Ok(buffer.split().freeze()))
    }

    /// The answer is complete. Its connection carries the next request if both sides are done.
    pub fn finish(self, keeps: bool) {
        self.checkout.load.settle();
        let upload_done = self.upload.as_ref().is_none_or(|upload| upload.is_done());
        if keeps && upload_done && !self.sending && !self.spoiled && self.early.is_empty() {
            self.checkout.give_back();
        }
    }

    /// For a tunnel: the connection without HTTP.
    pub fn into_checkout(self) -> Checkout {
        self.checkout.load.settle();
        self.checkout
    }
}
