//! The socket as hyper sees it.
//!
//! It notes when a request begins to arrive and when the socket takes no more, keeps the last
//! bytes read (see `framing.rs`), and sends a head with its small body in one piece. Ending the
//! connection is left to `conn.rs`, because a client that is still sending has to see
//! its answer first.

use super::conn::{ConnState, Phase};
use super::framing::Heard;
use crate::limits::JOINED_BYTES_MAX;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::net::TcpStream;

/// What a worker's connections share, one after the other.
#[derive(Default)]
pub(super) struct Buffers {
    pub heard: Heard,
    joined: RefCell<Vec<u8>>,
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
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.state.phase.get() == Phase::Serving {
            return Pin::new(&mut self.socket).poll_read(cx, buf);
        }
        let Io {
            socket,
            state,
            buffers,
        } = &mut *self;
        let n = ready!(
            buffers
                .heard
                .poll_read(socket.inner_mut(), state.id, cx, buf)
        )?;
        if n > 0 {
            if state.phase.get() != Phase::Head {
                state.enter(Phase::Head);
            }
            state
                .head_reads
                .set(state.head_reads.get().saturating_add(1));
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
