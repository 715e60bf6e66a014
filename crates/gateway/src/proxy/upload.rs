//! A request's body on its way up: taken from the client only as fast as the upstream takes it.

use super::error::Why;
use crate::upstream::Wire;
use bytes::{Buf, Bytes};
use hyper::body::{Body as _, Incoming};
use hyper::header::HeaderMap;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::AsyncWrite;

/// Slices handed to one write: a chunk's size, its data, its end.
const SLICES: usize = 4;

#[derive(Debug)]
pub(super) struct Upload {
    body: Incoming,
    chunked: bool,
    /// Bytes that this route still allows.
    allowed: u64,
    queue: VecDeque<Bytes>,
    ended: bool,
    /// Something was taken from the body: it cannot be sent a second time.
    pub touched: bool,
    /// Until the upstream wants it (`Expect: 100-continue`).
    pub held: bool,
    /// It is the client that we wait for, not the upstream.
    pub waits_for_client: bool,
}

impl Upload {
    pub fn new(body: Incoming, allowed: u64, held: bool) -> Self {
        Upload {
            chunked: body.size_hint().exact().is_none(),
            body,
            allowed,
            queue: VecDeque::new(),
            ended: false,
            touched: false,
            held,
            waits_for_client: false,
        }
    }

    /// The body back, if nothing was taken from it.
    pub fn into_untouched(self) -> Option<Incoming> {
        (!self.touched).then_some(self.body)
    }

    pub fn is_done(&self) -> bool {
        self.ended && self.queue.is_empty()
    }

    /// Moves what can be moved; ready when all of it is with the kernel. `moved` is set if any was.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut Wire,
        moved: &mut bool,
    ) -> Poll<Result<(), Why>> {
        loop {
            while !self.queue.is_empty() {
                let mut slices = [IoSlice::new(&[]); SLICES];
                for (slice, bytes) in slices.iter_mut().zip(&self.queue) {
                    *slice = IoSlice::new(bytes);
                }
                let written = Pin::new(&mut *stream).poll_write_vectored(cx, &slices);
                self.waits_for_client = false;
                let Ok(written) = ready!(written) else {
                    return Poll::Ready(Err(Why::Lost));
                };
                *moved = true;
                self.drop_written(written);
            }
            if self.ended {
                return Poll::Ready(Ok(()));
            }
            if self.held {
                return Poll::Pending;
            }
            self.waits_for_client = true;
            let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
            self.touched = true;
            match frame {
                None => self.end(None),
                Some(Err(_)) => return Poll::Ready(Err(Why::BodyBroken)),
                Some(Ok(frame)) => {
                    *moved = true;
                    match frame.into_data() {
                        Ok(data) => self.push(data)?,
                        Err(frame) => self.end(frame.into_trailers().ok()),
                    }
                }
            }
        }
    }

    fn drop_written(&mut self, mut written: usize) {
        while let Some(first) = self.queue.front_mut() {
            if written < first.len() {
                first.advance(written);
                return;
            }
            written -= first.len();
            self.queue.pop_front();
        }
    }

    fn push(&mut self, data: Bytes) -> Result<(), Why> {
        if data.is_empty() {
            // An empty chunk would be the last.
            return Ok(());
        }
        let length = data.len() as u64;
        self.allowed = self.allowed.checked_sub(length).ok_or(Why::BodyTooLarge)?;
        if self.chunked {
            self.queue.push_back(format!("{length:x}\r\n").into());
            self.queue.push_back(data);
            self.queue.push_back(Bytes::from_static(b"\r\n"));
        } else {
            self.queue.push_back(data);
        }
        Ok(())
    }

    fn end(&mut self, trailers: Option<HeaderMap>) {
        self.ended = true;
        self.waits_for_client = false;
        if !self.chunked {
            return;
        }
        let mut last = b"0\r\n".to_vec();
        if let Some(trailers) = trailers {
            crate::headers::pass_on(&trailers, &mut last);
        }
        last.extend_from_slice(b"\r\n");
        self.queue.push_back(last.into());
    }
}
