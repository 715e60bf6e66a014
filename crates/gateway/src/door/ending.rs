//! What is written down about a request once its answer has ended: its line of the access log, and
//! the recorded request. Of a stream that is when its last byte went, or its client.

use super::Door;
use super::incoming::Flow;
use super::line::{Line, Told};
use super::service::Local;
use crate::recorder::Capture;
use bytes::Bytes;
use guard::Nanos;
use host::http::{Body, BodyCut, Relayed};
use hyper::Response;
use hyper::body::{Body as _, Frame, SizeHint};
use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A request that is being recorded.
pub(super) struct Recording {
    capture: Rc<RefCell<Capture>>,
    began: Nanos,
    /// Its body, on its way to whoever reads it.
    pub flow: Option<Flow>,
}

impl std::fmt::Debug for Recording {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Recording")
    }
}

impl Recording {
    pub fn new(capture: Capture, began: Nanos) -> Recording {
        Recording {
            capture: Rc::new(RefCell::new(capture)),
            began,
            flow: None,
        }
    }

    /// What is to see each part of the request's body.
    pub fn sees(&self) -> impl FnMut(&[u8]) + 'static {
        let capture = Rc::clone(&self.capture);
        move |part| capture.borrow_mut().body_part(part)
    }
}

/// Written down when it is dropped.
pub(super) struct Ending {
    pub door: Arc<Door>,
    pub local: Rc<Local>,
    pub told: Told,
    pub line: Option<Line>,
    pub status: u16,
    /// Of the answer's body, as they went out.
    pub bytes: u64,
}

impl Ending {
    /// Waits for the end of the answer; of one that is at hand, that is now.
    pub fn of(mut self, answer: Response<Body>) -> Response<Body> {
        self.status = answer.status().as_u16();
        match answer.body() {
            Body::Empty | Body::Upgrade(_) | Body::Full(_) => {
                self.bytes = answer.body().size_hint().lower();
                answer
            }
            Body::Stream(_) | Body::Relayed(_) => {
                answer.map(|body| Body::Relayed(Relayed::new(Watched { body, ending: self })))
            }
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let clocks = &self.door.clocks;
        if let (Some(line), Some(log)) = (&self.line, &self.local.log) {
            let (running, told) = (&self.local.running, &self.told);
            line.write(log, (running, told), (self.status, self.bytes), clocks);
        }
        if let Some(recording) = self.told.recording.get_mut() {
            let took = clocks.now().since(recording.began);
            let mut capture = recording.capture.borrow_mut();
            capture.answered(self.status, took.0 / 1_000);
        }
    }
}

/// A body whose end is waited for. The body goes first: what it held of the request is over then.
struct Watched {
    body: Body,
    ending: Ending,
}

impl hyper::body::Body for Watched {
    type Data = Bytes;
    type Error = BodyCut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyCut>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            self.ending.bytes += data.len() as u64;
        }
        polled
    }
    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
