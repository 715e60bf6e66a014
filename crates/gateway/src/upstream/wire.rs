//! A connection to a peer as a stream of bytes, plain or sealed. What HTTP/1.1 needs besides
//! reading and writing – to write without waiting, to see whether an idle one is still good – is
//! asked here, so that nobody else has to know which of the two it is.

use crate::limits::QUIET_READS_MAX;
use std::io::{self, IoSlice, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

#[derive(Debug)]
pub(crate) enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Wire {
    /// Writes what can be written now. An error means that the kernel took nothing; of what TLS
    /// took, some may still be to be flushed, see [`Wire::holds_back`].
    pub fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let tls = match self {
            Wire::Plain(tcp) => return tcp.try_write(bytes),
            Wire::Tls(tls) => tls,
        };
        let (tcp, session) = tls.get_mut();
        let taken = session.writer().write(bytes)?;
        let mut any = false;
        while session.wants_write() {
            match session.write_tls(&mut Now(tcp)) {
                Ok(1..) => any = true,
                Err(error) if !any && error.kind() != io::ErrorKind::WouldBlock => {
                    return Err(error);
                }
                // What is left is written, or fails again, when it is waited for.
                Ok(0) | Err(_) => break,
            }
        }
        Ok(taken)
    }

    /// Sealed bytes wait for the kernel: a flush is needed.
    pub fn holds_back(&self) -> bool {
        match self {
            Wire::Plain(_) => false,
            Wire::Tls(tls) => tls.get_ref().1.wants_write(),
        }
    }

    /// Neither closed nor spoken on by the peer while it was idle. The kernel is only asked if
    /// the socket was reported readable. What TLS says about itself, such as tickets for the
    /// next session, is heard and does not count.
    pub fn is_quiet(&mut self) -> bool {
        let would_block = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
        let tls = match self {
            Wire::Plain(tcp) => return tcp.try_read(&mut [0]).is_err_and(|e| would_block(&e)),
            Wire::Tls(tls) => tls,
        };
        let (tcp, session) = tls.get_mut();
        for _ in 0..QUIET_READS_MAX {
            let Ok(state) = session.process_new_packets() else {
                return false;
            };
            if state.plaintext_bytes_to_read() > 0 || state.peer_has_closed() {
                return false;
            }
            match session.read_tls(&mut Now(tcp)) {
                Ok(1..) => {}
                Ok(0) => return false,
                Err(error) => return would_block(&error),
            }
        }
        false
    }
}

/// Reads and writes what can be at once.
struct Now<'a>(&'a TcpStream);

impl Read for Now<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(into)
    }
}

impl Write for Now<'_> {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.0.try_write(from)
    }
    fn write_vectored(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(from)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(tcp) => Pin::new(tcp).poll_read(cx, into),
            Wire::Tls(tls) => Pin::new(&mut **tls).poll_read(cx, into),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Wire::Plain(tcp) => Pin::new(tcp).poll_write(cx, from),
            Wire::Tls(tls) => Pin::new(&mut **tls).poll_write(cx, from),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Wire::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, from),
            Wire::Tls(tls) => Pin::new(&mut **tls).poll_write_vectored(cx, from),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Wire::Tls(tls) => Pin::new(&mut **tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Wire::Tls(tls) => Pin::new(&mut **tls).poll_shutdown(cx),
        }
    }
}
