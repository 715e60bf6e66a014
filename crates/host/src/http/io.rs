//! A connection as hyper sees it.
//!
//! It notes when a request begins to arrive, shows all bytes of HTTP/1 to `framing.rs`, and sends
//! a head with its small body in one piece. Ending the connection is left to `conn.rs`,
//! because a client that is still sending has to see its answer first; so the transport is
//! only lent to hyper, and taken back whatever hyper does with its half.

use super::conn::{ConnState, Phase};
use super::transport::Transport;
use crate::limits::{JOINED_BYTES_MAX, READ_BYTES};
use hyper::rt::{Read, ReadBufCursor, Write};
use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What a worker's connections share, one after the other.
pub(super) struct Buffers {
    read: RefCell<Box<[u8]>>,
    joined: RefCell<Vec<u8>>,
}

impl Default for Buffers {
    fn default() -> Self {
        Buffers {
            read: RefCell::new(vec![0; READ_BYTES].into()),
            joined: RefCell::default(),
        }
    }
}

impl Buffers {
    /// Reads through the shared buffer. What hyper has received cannot be looked at, hence the
    /// copy.
    fn poll_read(
        &self,
        transport: &mut Transport,
        cx: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
        show: impl FnOnce(&[u8]),
    ) -> Poll<io::Result<()>> {
        let mut bytes = self.read.borrow_mut();
        let room = into.remaining().min(bytes.len());
        let mut buf = ReadBuf::new(&mut bytes[..room]);
        ready!(Pin::new(transport).poll_read(cx, &mut buf))?;
        let received = buf.filled();
        into.put_slice(received);
        if !received.is_empty() {
            show(received);
        }
        Poll::Ready(Ok(()))
    }
}

/// For HTTP/1, which gives its transport back.
pub(super) struct Io {
    transport: Transport,
    state: Rc<ConnState>,
    buffers: Rc<Buffers>,
}

impl Io {
    pub fn new(transport: Transport, state: Rc<ConnState>, buffers: Rc<Buffers>) -> Self {
        Io {
            transport,
            state,
            buffers,
        }
    }

    pub fn into_transport(self) -> Transport {
        self.transport
    }
}

impl Read for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let Io {
            transport,
            state,
            buffers,
        } = &mut *self;
        buffers.poll_read(transport, cx, into, |received| {
            state.framing.received(received);
            if matches!(state.phase.get(), Phase::Fresh | Phase::Idle) {
                state.enter(Phase::Head);
            }
        })
    }
}

impl Write for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.transport).poll_write(cx, buf)
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let total: usize = bufs.iter().map(|buf| buf.len()).sum();
        let Io {
            transport, buffers, ..
        } = &mut *self;
        if total <= JOINED_BYTES_MAX {
            let mut joined = buffers.joined.borrow_mut();
            joined.clear();
            bufs.iter().for_each(|buf| joined.extend_from_slice(buf));
            Pin::new(transport).poll_write(cx, &joined)
        } else {
            Pin::new(transport).poll_write_vectored(cx, bufs)
        }
    }
    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }
    /// hyper asks for this at each turn, also while it waits for the service: then it shows whether
    /// somebody is still there to be answered.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let waits = self.state.phase.get() == Phase::Serving && self.state.framing.is_at_rest();
        if waits && self.transport.has_ended(cx) {
            self.state.gone.set(true);
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        Pin::new(&mut self.transport).poll_flush(cx)
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// For HTTP/2, which keeps what it is given: the transport stays with whoever lent it.
pub(super) struct Lent {
    transport: Rc<RefCell<Transport>>,
    buffers: Rc<Buffers>,
}

impl Lent {
    pub fn new(transport: Rc<RefCell<Transport>>, buffers: Rc<Buffers>) -> Self {
        Lent { transport, buffers }
    }
}

impl Read for Lent {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let transport = &mut *self.transport.borrow_mut();
        self.buffers.poll_read(transport, cx, into, |_| {})
    }
}

impl Write for Lent {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.transport.borrow_mut()).poll_write(cx, buf)
    }
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.transport.borrow_mut()).poll_write_vectored(cx, bufs)
    }
    fn is_write_vectored(&self) -> bool {
        self.transport.borrow().is_write_vectored()
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.transport.borrow_mut()).poll_flush(cx)
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
