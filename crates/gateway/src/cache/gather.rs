//! Bodies that are gathered to be kept, and what becomes of those that are too large for it.

use super::limits::GATHER_BYTES_MAX;
use bytes::{Bytes, BytesMut};
use host::http::{Body, BodyCut, Relayed};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

pub(crate) enum Gathered {
    Whole(Bytes),
    /// All of it, still flowing.
    TooLarge(Body),
    /// What came, and then the failure.
    Cut(Body),
}

/// Bytes that are being gathered by the whole process.
#[derive(Debug, Default)]
pub(crate) struct Budget(AtomicU64);

struct Charge {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Charge {
    fn more(&mut self, bytes: u64) -> bool {
        let more = |n: u64| (n + bytes <= GATHER_BYTES_MAX).then_some(n + bytes);
        let taken = self
            .budget
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        self.bytes += if taken.is_ok() { bytes } else { 0 };
        taken.is_ok()
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.0.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

pub(crate) async fn gather(mut body: Body, bytes_max: u64, budget: &Arc<Budget>) -> Gathered {
    match body {
        Body::Full(bytes) if bytes.len() as u64 <= bytes_max => return Gathered::Whole(bytes),
        Body::Empty => return Gathered::Whole(Bytes::new()),
        Body::Upgrade(_) | Body::Full(_) => return Gathered::TooLarge(body),
        Body::Stream(_) | Body::Relayed(_) => {}
    }
    if body.size_hint().lower() > bytes_max {
        return Gathered::TooLarge(body);
    }
    let mut charge = Charge {
        budget: Arc::clone(budget),
        bytes: 0,
    };
    let mut all = BytesMut::new();
    loop {
        let data = match body.frame().await {
            None => return Gathered::Whole(all.freeze()),
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            Some(Err(cut)) => return Gathered::Cut(cut_after(all.freeze(), cut)),
        };
        all.extend_from_slice(&data);
        if all.len() as u64 > bytes_max || !charge.more(data.len() as u64) {
            let first = all.freeze();
            let rest = Rest::Body(Box::new(body));
            return Gathered::TooLarge(Body::Relayed(Relayed::new(After { first, rest })));
        }
    }
}

/// These bytes, and then the failure.
pub(crate) fn cut_after(first: Bytes, cut: BodyCut) -> Body {
    let rest = Rest::Cut(cut);
    Body::Relayed(Relayed::new(After { first, rest }))
}

/// What was read already, and what comes after it.
struct After {
    first: Bytes,
    rest: Rest,
}

enum Rest {
    Body(Box<Body>),
    Cut(BodyCut),
}

impl hyper::body::Body for After {
    type Data = Bytes;
    type Error = BodyCut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyCut>>> {
        if !self.first.is_empty() {
            let first = std::mem::take(&mut self.first);
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        match &mut self.rest {
            Rest::Body(body) => Pin::new(&mut **body).poll_frame(cx),
            Rest::Cut(cut) => Poll::Ready(Some(Err(*cut))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.rest {
            Rest::Body(body) => self.first.is_empty() && body.is_end_stream(),
            Rest::Cut(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = match &self.rest {
            Rest::Body(body) => body.size_hint(),
            Rest::Cut(_) => SizeHint::default(),
        };
        let first = self.first.len() as u64;
        let upper = hint.upper().map(|upper| upper.saturating_add(first));
        hint.set_lower(
            hint.lower()
                .saturating_add(first)
                .min(upper.unwrap_or(u64::MAX)),
        );
        if let Some(upper) = upper {
            hint.set_upper(upper);
        }
        hint
    }
}
