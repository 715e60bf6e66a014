//! Carries one connection: two sockets, two [`Link`]s, one task and one timer.
//!
//! Reads go through one buffer of the thread, so that a quiet connection holds no memory. Pieces
//! are written one by one, because a slicer means what it cuts. It must not know what is spoken.

use crate::limits::{LINGER, READ_BYTES};
use crate::link::Link;
use crate::stage::End;
use crate::toxic::Toxic;
use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Sleep;

/// All toxics of a proxy, as they are now.
pub type Toxics = watch::Receiver<Arc<[Arc<Toxic>]>>;

/// One end of a carried connection.
pub trait Side: AsyncRead + AsyncWrite + Unpin {
    /// What is unsent is thrown away, and the other side sees a reset once this is dropped.
    fn reset(&self);
}

impl Side for TcpStream {
    fn reset(&self) {
        // Fails only on a socket that is gone, which is what is wanted.
        let _ = self.set_zero_linger();
    }
}

/// A connection, and what stands between its sides.
#[derive(Debug)]
pub struct Carry<C, U> {
    pub client: C,
    pub upstream: U,
    /// From the client to the upstream.
    pub up: Link,
    pub down: Link,
}

#[derive(Debug, PartialEq, Eq)]
enum Ended {
    /// Both sides have finished.
    Finished,
    /// A toxic closes it.
    Closed,
    /// A toxic, or one of the sides, has reset it.
    Reset,
}

impl<C: Side, U: Side> Carry<C, U> {
    /// Until the end of the connection, whoever brings it.
    pub async fn run(mut self, mut toxics: Toxics) {
        let mut timer = Box::pin(tokio::time::sleep(Duration::ZERO));
        let ended = loop {
            let now = Instant::now();
            let current = Arc::clone(&toxics.borrow_and_update());
            self.up.apply(&current, now);
            self.down.apply(&current, now);
            tokio::select! {
                ended = std::future::poll_fn(|cx| self.poll(&mut timer, cx)) => break ended,
                changed = toxics.changed() => if changed.is_err() {
                    // The proxy is gone, and with it all its connections.
                    break Ended::Closed;
                },
            }
        };
        match ended {
            Ended::Finished => {}
            Ended::Closed => self.close().await,
            Ended::Reset => {
                self.client.reset();
                self.upstream.reset();
            }
        }
    }

    fn poll(&mut self, timer: &mut Pin<Box<Sleep>>, cx: &mut Context<'_>) -> Poll<Ended> {
        loop {
            let now = Instant::now();
            let (up, down) = (self.up.advance(now), self.down.advance(now));
            if up.reset || down.reset {
                return Poll::Ready(Ended::Reset);
            }
            let moved = [
                take(&mut self.client, &mut self.up, now, cx),
                put(&mut self.upstream, &mut self.up, cx),
                take(&mut self.upstream, &mut self.down, now, cx),
                put(&mut self.client, &mut self.down, cx),
            ];
            let mut any = false;
            for one in moved {
                match one {
                    Poll::Ready(Ok(_)) => any = true,
                    Poll::Ready(Err(_)) => return Poll::Ready(Ended::Reset),
                    Poll::Pending => {}
                }
            }
            if self.up.is_over(End::Closed) || self.down.is_over(End::Closed) {
                return Poll::Ready(Ended::Closed);
            }
            if self.up.is_shut() && self.down.is_shut() {
                return Poll::Ready(Ended::Finished);
            }
            if any {
                continue;
            }
            let wakes = [up.wake, down.wake];
            let Some(wake) = wakes.into_iter().flatten().min() else {
                return Poll::Pending;
            };
            timer.as_mut().reset(wake.into());
            ready!(timer.as_mut().poll(cx));
        }
    }

    /// Both sides hear of the end; what they still send is read for a moment, because closing
    /// over unread bytes would be a reset.
    async fn close(&mut self) {
        let Carry {
            client, upstream, ..
        } = self;
        let quiet = async {
            let _ = tokio::join!(client.shutdown(), upstream.shutdown());
            tokio::join!(read_away(client), read_away(upstream));
        };
        let _ = tokio::time::timeout(LINGER, quiet).await;
    }
}

async fn read_away(side: &mut impl Side) {
    let _ = tokio::io::copy(side, &mut tokio::io::sink()).await;
}

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
}

/// One read, if there is room for it.
fn take<S: Side>(
    side: &mut S,
    link: &mut Link,
    now: Instant,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    if !link.may_read() {
        return Poll::Pending;
    }
    BUFFER.with_borrow_mut(|buffer| {
        let mut read = ReadBuf::new(buffer);
        ready!(Pin::new(side).poll_read(cx, &mut read))?;
        match read.filled() {
            [] => link.finish(now),
            data => link.push(data, now),
        }
        Poll::Ready(Ok(()))
    })
}

/// One write, or the end once all is written.
fn put<S: Side>(side: &mut S, link: &mut Link, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    if let Some(front) = link.out.front() {
        let bytes = ready!(Pin::new(side).poll_write(cx, front))?;
        if bytes == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        link.written(bytes);
        return Poll::Ready(Ok(()));
    }
    if link.is_over(End::Finished) && !link.is_shut() {
        // Who has gone already need not be told.
        let _ = ready!(Pin::new(side).poll_shutdown(cx));
        link.shut();
        return Poll::Ready(Ok(()));
    }
    Poll::Pending
}
