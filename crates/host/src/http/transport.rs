//! A connection's bytes, plain or through TLS, with notes on whether the peer takes any.
//!
//! Stalls are noted beneath TLS, where the kernel says so: above it, bytes that have only been
//! encrypted look as if they had been sent. It must not know about HTTP.

use super::conn::{ConnState, Phase};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// The socket, noting in the connection's state when it takes no more and when it moves.
pub(super) struct Wire {
    tcp: TcpStream,
    state: Rc<ConnState>,
}

impl Wire {
    pub fn new(tcp: TcpStream, state: Rc<ConnState>) -> Self {
        Wire { tcp, state }
    }

    fn wrote<T>(&self, result: Poll<T>) -> Poll<T> {
        match (&result, self.state.blocked_ms.get()) {
            (Poll::Pending, None) => self.state.blocked_ms.set(Some(self.state.clock.get())),
            (Poll::Ready(_), Some(_)) => {
                self.state.blocked_ms.set(None);
                if self.state.phase.get() == Phase::Idle {
                    // Idle from the last byte sent, not from when the answer was ready.
                    self.state.enter(Phase::Idle);
                }
            }
            (Poll::Pending, Some(_)) | (Poll::Ready(_), None) => {}
        }
        self.moved();
        result
    }

    /// A tunnel is idle from the last byte in either direction.
    fn moved(&self) {
        if self.state.phase.get() == Phase::Tunnel {
            self.state.enter(Phase::Tunnel);
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.tcp).poll_read(cx, buf);
        if let Poll::Ready(outcome) = &result {
            if outcome.is_err() || buf.filled().len() == before {
                self.state.gone.set(true);
            }
            self.moved();
        }
        result
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.tcp).poll_write(cx, buf);
        self.wrote(result)
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs);
        self.wrote(result)
    }
    fn is_write_vectored(&self) -> bool {
        true
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

/// What HTTP is spoken over. TLS is boxed: plain connections do not pay for its size.
pub(super) enum Transport {
    Plain(Wire),
    Tls(Box<TlsStream<Wire>>),
}

impl Transport {
    pub fn tcp(&self) -> &TcpStream {
        match self {
            Transport::Plain(wire) => &wire.tcp,
            Transport::Tls(tls) => &tls.get_ref().0.tcp,
        }
    }

    /// Beneath TLS, for whoever wants bytes only to drop them.
    pub fn wire(&mut self) -> &mut Wire {
        match self {
            Transport::Plain(wire) => wire,
            Transport::Tls(tls) => tls.get_mut().0,
        }
    }

    /// Whether a client that has nothing to say has gone; if not, the task is woken when it may
    /// have. Only of a plain connection: TLS has ends of its own.
    pub fn has_ended(&self, cx: &mut Context<'_>) -> bool {
        let Transport::Plain(wire) = self else {
            return false;
        };
        match wire.tcp.poll_read_ready(cx) {
            Poll::Pending => return false,
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => return true,
        }
        match wire.tcp.poll_peek(cx, &mut ReadBuf::new(&mut [0])) {
            Poll::Pending => false,
            Poll::Ready(peeked) => !matches!(peeked, Ok(1..)),
        }
    }

    pub fn is_plain(&self) -> bool {
        matches!(self, Transport::Plain(_))
    }

    /// Whether the handshake agreed on HTTP/2.
    pub fn agreed_h2(&self) -> bool {
        match self {
            Transport::Plain(_) => false,
            Transport::Tls(tls) => tls.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }

    /// Hands over what can be taken at once of a last word, and says goodbye. Never waits.
    pub async fn part(&mut self, last_word: &[u8]) {
        std::future::poll_fn(|cx| {
            // Best effort: it fits the socket's buffer, or the client reads nothing.
            if !last_word.is_empty() {
                let _ = Pin::new(&mut *self).poll_write(cx, last_word);
            }
            let _ = Pin::new(&mut *self).poll_shutdown(cx);
            Poll::Ready(())
        })
        .await;
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Transport::Plain(wire) => Pin::new(wire).poll_read(cx, buf),
            Transport::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Transport::Plain(wire) => Pin::new(wire).poll_write(cx, buf),
            Transport::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
        }
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Transport::Plain(wire) => Pin::new(wire).poll_write_vectored(cx, bufs),
            Transport::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, bufs),
        }
    }
    /// Into TLS everything is copied anyway, and one piece makes fewer records.
    fn is_write_vectored(&self) -> bool {
        matches!(self, Transport::Plain(_))
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Transport::Plain(wire) => Pin::new(wire).poll_flush(cx),
            Transport::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Transport::Plain(wire) => Pin::new(wire).poll_shutdown(cx),
            Transport::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
