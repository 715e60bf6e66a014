//! After a 101: bytes in both directions, until both sides are done or nothing moves any more.

use crate::limits::TUNNEL_BYTES;
use crate::upstream::Checkout;
use bytes::{Buf, Bytes, BytesMut};
use host::http::Duplex;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

/// Runs until both directions ended, one failed, or nothing moved for `idle_ms`.
pub(super) async fn run(
    mut client: Box<dyn Duplex>,
    mut checkout: Checkout,
    from_client: Bytes,
    from_upstream: Bytes,
    idle_ms: u32,
) {
    let mut up = Direction::new(from_client);
    let mut down = Direction::new(from_upstream);
    let link = checkout.link();
    let extend = |deadline: &crate::upstream::Deadline| {
        deadline.set(deadline.now_ms().saturating_add(idle_ms.into()));
    };
    extend(&link.deadline);
    poll_fn(|cx| {
        let mut moved = false;
        let upwards = up.poll(cx, &mut *client, &mut link.stream, &mut moved);
        let downwards = down.poll(cx, &mut link.stream, &mut *client, &mut moved);
        if moved {
            extend(&link.deadline);
        }
        match (upwards, downwards) {
            (Poll::Ready(Err(_)), _) | (_, Poll::Ready(Err(_))) => Poll::Ready(()),
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(()),
            _ if link.deadline.is_over(cx) => Poll::Ready(()),
            _ => Poll::Pending,
        }
    })
    .await;
}

/// One way: read, write, and at the end pass the end on.
struct Direction {
    buffer: BytesMut,
    ended: bool,
    closed: bool,
}

impl Direction {
    fn new(early: Bytes) -> Self {
        let mut buffer = BytesMut::with_capacity(TUNNEL_BYTES.max(early.len()));
        buffer.extend_from_slice(&early);
        Direction {
            buffer,
            ended: false,
            closed: false,
        }
    }

    fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut R,
        into: &mut W,
        moved: &mut bool,
    ) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin + ?Sized,
        W: AsyncWrite + Unpin + ?Sized,
    {
        loop {
            if self.closed {
                return Poll::Ready(Ok(()));
            }
            while !self.buffer.is_empty() {
                let written = ready!(Pin::new(&mut *into).poll_write(cx, &self.buffer))?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.buffer.advance(written);
                *moved = true;
            }
            if self.ended {
                ready!(Pin::new(&mut *into).poll_shutdown(cx))?;
                self.closed = true;
                continue;
            }
            // What was written leaves no room behind: begin at the front again.
            self.buffer.clear();
            self.buffer.reserve(TUNNEL_BYTES);
            ready!(Pin::new(&mut *into).poll_flush(cx))?;
            let reading = from.read_buf(&mut self.buffer);
            if ready!(pin!(reading).poll(cx))? == 0 {
                self.ended = true;
            } else {
                *moved = true;
            }
        }
    }
}
