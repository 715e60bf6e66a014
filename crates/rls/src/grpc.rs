//! Unary gRPC over HTTP/2: five bytes in front of the message, the outcome in a trailer (the
//! "gRPC over HTTP2" protocol document). It must not know any message.

use bytes::{BufMut, Bytes, BytesMut};
use host::http::{Body, BodyCut, Relayed};
use hyper::body::Frame;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use prost::Message;
use std::pin::Pin;
use std::task::{Context, Poll};

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// A flag for compression and the length of the message.
const PREFIX_BYTES: usize = 5;

/// Why a call has no answer, by the codes of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    InvalidArgument(&'static str),
    NotFound(&'static str),
    DeadlineExceeded,
    ResourceExhausted(&'static str),
    Unimplemented(&'static str),
}

impl Failure {
    fn code(self) -> (u16, &'static str) {
        match self {
            Failure::InvalidArgument(why) => (3, why),
            Failure::DeadlineExceeded => (4, "the message did not arrive in time"),
            Failure::NotFound(why) => (5, why),
            Failure::ResourceExhausted(why) => (8, why),
            Failure::Unimplemented(why) => (12, why),
        }
    }
}

/// Whether a content type is that of gRPC with messages of this kind.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let kind = kind.unwrap_or_default();
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default();
    matches!(
        kind.trim_ascii(),
        b"application/grpc" | b"application/grpc+proto"
    )
}

/// The one message of a call's body.
pub(crate) fn unframed<M: Message + Default>(body: &Bytes) -> Result<M, Failure> {
    let Some((prefix, message)) = body.split_at_checked(PREFIX_BYTES) else {
        return Err(Failure::InvalidArgument("the call has no message"));
    };
    if prefix[0] != 0 {
        return Err(Failure::Unimplemented("compressed messages are not read"));
    }
    let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]);
    if usize::try_from(length) != Ok(message.len()) {
        return Err(Failure::InvalidArgument(
            "expected one message of the length it announces",
        ));
    }
    M::decode(message).map_err(|_| Failure::InvalidArgument("the message is malformed"))
}

pub(crate) fn answer(message: &impl Message) -> Response<Body> {
    let length = message.encoded_len();
    let mut framed = BytesMut::with_capacity(PREFIX_BYTES + length);
    framed.put_u8(0);
    framed.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    framed.extend_from_slice(&message.encode_to_vec());
    let mut trailers = HeaderMap::new();
    trailers.insert(GRPC_STATUS, HeaderValue::from(0));
    let body = Unary {
        message: Some(framed.freeze()),
        trailers: Some(trailers),
    };
    let mut response = Response::new(Body::Relayed(Relayed::new(body)));
    response.headers_mut().insert(CONTENT_TYPE, GRPC);
    response
}

/// A head that says everything.
pub(crate) fn fail(failure: Failure) -> Response<Body> {
    let (code, why) = failure.code();
    let mut response = Response::new(Body::Empty);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, GRPC);
    headers.insert(GRPC_STATUS, HeaderValue::from(code));
    headers.insert(GRPC_MESSAGE, HeaderValue::from_static(why));
    response
}

/// For whoever does not speak gRPC.
pub(crate) fn plain(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    response
}

struct Unary {
    message: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

impl hyper::body::Body for Unary {
    type Data = Bytes;
    type Error = BodyCut;
    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyCut>>> {
        let frame = match self.message.take() {
            Some(message) => Some(Frame::data(message)),
            None => self.trailers.take().map(Frame::trailers),
        };
        Poll::Ready(frame.map(Ok))
    }
    fn is_end_stream(&self) -> bool {
        self.message.is_none() && self.trailers.is_none()
    }
}
