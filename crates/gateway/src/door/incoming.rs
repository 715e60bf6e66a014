//! Request bodies that do not come straight from a client.
//!
//! Everything behind the door takes hyper's own body of a request, which only a connection of
//! hyper's makes. So there is one in memory: for a page that is rendered ahead, which has no body,
//! and for a recorded request, whose body is looked at while it flows. Nothing is read from the
//! client before the reader wants it, and a body that breaks off breaks off for the reader too.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::Request;
use hyper::body::{Body as _, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::cell::Cell;
use std::convert::Infallible;
use std::io;
use std::rc::Rc;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Bytes on the way between the two ends: as many as a frame usually has.
const PIPE_BYTES: usize = 16 << 10;

/// The body of a request that has none.
pub(super) async fn empty() -> Option<Incoming> {
    let (mut near, far) = tokio::io::duplex(PIPE_BYTES);
    near.write_all(b"GET / HTTP/1.1\r\n\r\n").await.ok()?;
    let (give, body) = oneshot::channel();
    tokio::select! {
        () = serve(far, give) => None,
        body = body => body.ok(),
    }
}

/// Ends its task when it is dropped: then nobody reads any more.
pub(super) struct Flow(JoinHandle<()>);

impl Drop for Flow {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The same body once more, each part of it shown to `see` as the reader takes it.
pub(super) async fn shown(
    body: Incoming,
    see: impl FnMut(&[u8]) + 'static,
) -> Option<(Incoming, Flow)> {
    let length = body.size_hint().exact();
    let framing = match length {
        Some(length) => format!("content-length: {length}"),
        None => "transfer-encoding: chunked".to_owned(),
    };
    // Told to go on only when the reader wants something.
    let head = format!("POST / HTTP/1.1\r\n{framing}\r\nexpect: 100-continue\r\n\r\n");
    let (mut near, far) = tokio::io::duplex(PIPE_BYTES);
    near.write_all(head.as_bytes()).await.ok()?;
    let (give, again) = oneshot::channel();
    let flow = tokio::task::spawn_local(async move {
        let pump = async move {
            // What fails here has failed for the reader already, or the reader has gone. The near
            // end is dropped in any case, and in the middle of a body that is its failure.
            let _ = pump(near, body, length.is_none(), see).await;
        };
        tokio::join!(serve(far, give), pump);
    });
    let flow = Flow(flow);
    Some((again.await.ok()?, flow))
}

/// Hands the body out and answers nothing.
async fn serve(far: DuplexStream, give: oneshot::Sender<Incoming>) {
    let give = Rc::new(Cell::new(Some(give)));
    let service = service_fn(move |request: Request<Incoming>| {
        let give = Rc::clone(&give);
        async move {
            if let Some(give) = give.take() {
                // Whoever asked may have gone.
                let _ = give.send(request.into_body());
            }
            std::future::pending::<Result<hyper::Response<host::http::Body>, Infallible>>().await
        }
    });
    let mut http = http1::Builder::new();
    http.keep_alive(false).header_read_timeout(None);
    // It ends with the near end.
    let _ = http.serve_connection(TokioIo::new(far), service).await;
}

async fn pump(
    mut near: DuplexStream,
    mut body: Incoming,
    chunked: bool,
    mut see: impl FnMut(&[u8]),
) -> io::Result<()> {
    // Whatever it says, be it in pieces, it means "go on".
    let mut go_on = [0; 64];
    if near.read(&mut go_on).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut trailers = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame.map_err(io::Error::other)?.into_data() {
            Ok(data) if data.is_empty() => {}
            Ok(data) => {
                see(&data);
                part(&mut near, &data, chunked).await?;
            }
            Err(frame) => trailers = lines(&frame),
        }
    }
    if chunked {
        near.write_all(b"0\r\n").await?;
        near.write_all(&trailers).await?;
        near.write_all(b"\r\n").await?;
    }
    Ok(())
}

async fn part(near: &mut DuplexStream, data: &[u8], chunked: bool) -> io::Result<()> {
    if !chunked {
        return near.write_all(data).await;
    }
    near.write_all(format!("{:x}\r\n", data.len()).as_bytes())
        .await?;
    near.write_all(data).await?;
    near.write_all(b"\r\n").await
}

fn lines(frame: &Frame<Bytes>) -> Vec<u8> {
    let mut lines = Vec::new();
    for (name, value) in frame.trailers_ref().into_iter().flatten() {
        let parts: [&[u8]; 4] = [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"];
        lines.extend_from_slice(&parts.concat());
    }
    lines
}

#[cfg(test)]
mod tests;
