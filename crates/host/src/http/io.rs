//! The socket as hyper sees it.
//!
//! It notes when a request begins to arrive and when the socket takes no more, shows all bytes
//! read to `framing.rs`, and sends a head with its small body in one piece. Ending the
//! connection is left to `conn.rs`, because a client that is still sending has to see
//! its answer first.

use super::conn::{ConnState, Phase};
use crate::limits::{JOINED_BYTES_MAX, READ_BYTES};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

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

pub(super) struct Io {
    socket: TokioIo<TcpStream>,
    state: Rc<ConnState>,
    buffers: Rc<Buffers>,
}

impl Io {
    pub fn new(socket: TcpStream, state: Rc<ConnState>, buffers: Rc<Buffers>) -> Self {
        Io {
            socket: TokioIo::new(socket),
            state,
            buffers,
        }
    }

    pub fn into_socket(self) -> TcpStream {
        self.socket.into_inner()
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
        result
    }
}

impl Read for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let Io {
            socket,
            state,
            buffers,
        } = &mut *self;
        // What hyper has received cannot be looked at, hence the copy.
        let mut bytes = buffers.read.borrow_mut();
        let room = into.remaining().min(bytes.len());
        let mut buf = ReadBuf::new(&mut bytes[..room]);
        ready!(Pin::new(socket.inner_mut()).poll_read(cx, &mut buf))?;
        let received = buf.filled();
        into.put_slice(received);
        if !received.is_empty() {
            state.framing.received(received);
            if matches!(state.phase.get(), Phase::Fresh | Phase::Idle) {
                state.enter(Phase::Head);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Write for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.socket).poll_write(cx, buf);
        self.wrote(result)
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let total: usize = bufs.iter().map(|buf| buf.len()).sum();
        let Io {
            socket, buffers, ..
        } = &mut *self;
        let result = if total <= JOINED_BYTES_MAX {
            let mut joined = buffers.joined.borrow_mut();
            joined.clear();
            bufs.iter().for_each(|buf| joined.extend_from_slice(buf));
            Pin::new(socket).poll_write(cx, &joined)
        } else {
            Pin::new(socket).poll_write_vectored(cx, bufs)
        };
        self.wrote(result)
    }
    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
