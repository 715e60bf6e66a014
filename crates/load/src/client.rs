//! One connection: a task that takes work, writes a request, reads its answer and tells the worker.
//!
//! The worker can cut it off at any moment; whatever was under way then has no answer. While it
//! has no work it listens, so that a connection closed by the target is not used again.

use crate::http1::{Broken, Reader};
use crate::http2::{self, Link};
use crate::measure::End;
use crate::run::{ALPN_HTTP2, Host, Target};
use crate::worker::Worker;
use hyper::StatusCode;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// What a worker knows of a connection.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    /// Its place among the worker's connections.
    pub place: Cell<usize>,
    /// A buyer whose request is next.
    work: Cell<Option<u32>>,
    /// The buyer whose request is under way.
    pub busy: Cell<Option<u32>>,
    pub deadline_us: Cell<u64>,
    cut: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Slot {
    pub fn new(work: u32, deadline_us: u64) -> Slot {
        let slot = Slot::default();
        slot.work.set(Some(work));
        slot.deadline_us.set(deadline_us);
        slot
    }
    pub fn give(&self, work: u32) {
        self.work.set(Some(work));
        self.wake();
    }
    /// The same by its own task.
    pub fn put(&self, work: u32) {
        self.work.set(Some(work));
    }
    pub fn take_work(&self) -> Option<u32> {
        self.work.take()
    }
    /// Its task ends at its next turn.
    pub fn cut_off(&self) {
        self.cut.set(true);
        self.wake();
    }
    /// Whoever was to be served by it.
    pub fn left_over(&self) -> Option<u32> {
        self.busy.take().or(self.work.take())
    }
    fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
    fn listen(&self, cx: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }
}

/// Serves buyers until the connection ends, or a place on one of HTTP/2; gives the slot back to the
/// worker.
pub(crate) async fn connection(worker: Rc<Worker>, slot: Rc<Slot>, link: Option<Rc<Link>>) {
    let end = {
        let mut driven = pin!(async {
            match &link {
                None => drive(&worker, &slot).await,
                Some(link) => http2::lane(&worker, &slot, link).await,
            }
        });
        poll_fn(|cx| {
            slot.listen(cx);
            if slot.cut.get() {
                return Poll::Ready(End::TimedOut);
            }
            driven.as_mut().poll(cx)
        })
        .await
    };
    if let Some(link) = link {
        link.leave();
    }
    worker.closed(&slot, end);
}

async fn drive(worker: &Rc<Worker>, slot: &Slot) -> End {
    let mut io = match connect(&worker.target).await {
        Ok(io) => io,
        Err(error) if is_own_limit(&error) => return End::Ours,
        Err(_) => return End::Connect,
    };
    worker.connected();
    let (mut reader, mut out) = (Reader::default(), Vec::new());
    loop {
        let Some(buyer) = work(slot, &mut io).await else {
            return End::Broken;
        };
        slot.busy.set(Some(buyer));
        let request = worker.compose(buyer, slot, &mut out);
        if io.write_all(&out).await.is_err() || io.flush().await.is_err() {
            return End::Broken;
        }
        worker.sent(buyer);
        let got = reader
            .answer(&mut io, request.reads_body, request.is_head)
            .await;
        let got = match got {
            Ok(got) => got,
            Err(Broken::Closed | Broken::CutOff | Broken::NotHttp | Broken::TooLarge) => {
                return End::Broken;
            }
        };
        slot.busy.set(None);
        slot.deadline_us.set(u64::MAX);
        let next = worker.answered(buyer, got, reader.head(), reader.body());
        let stays = got.keeps_alive && worker.keeps_connections();
        match next {
            Some(next) if stays => slot.put(next),
            Some(next) => {
                worker.dispatch(next);
                return End::Good;
            }
            None if stays => worker.idle(slot),
            None => return End::Good,
        }
        out.clear();
    }
}

/// The next buyer; `None` if the target closed the connection or said something unasked.
async fn work(slot: &Slot, io: &mut Io) -> Option<u32> {
    poll_fn(|cx| {
        if let Some(work) = slot.take_work() {
            return Poll::Ready(Some(work));
        }
        let mut byte = [0];
        match Pin::new(&mut *io).poll_read(cx, &mut ReadBuf::new(&mut byte)) {
            Poll::Ready(_) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// One GET outside of any plan, for notes and metrics; in HTTP/1.1, whatever the plan speaks.
pub(crate) async fn get(target: &Target, path: &str) -> Result<(StatusCode, Vec<u8>), String> {
    let io = connect_as(target, target.tls.as_ref()).await;
    let mut io = io.map_err(|error| error.to_string())?;
    let mut out = format!("GET {path} HTTP/1.1\r\n").into_bytes();
    out.extend_from_slice(&target.host_line);
    out.extend_from_slice(b"connection: close\r\n\r\n");
    io.write_all(&out)
        .await
        .map_err(|error| error.to_string())?;
    io.flush().await.map_err(|error| error.to_string())?;
    let mut reader = Reader::default();
    let got = reader.answer(&mut io, true, false).await;
    let got = got.map_err(|broken| format!("no answer: {broken:?}"))?;
    Ok((got.status, reader.body().to_vec()))
}

/// Speaks what the target is to be asked in.
pub(crate) async fn connect(target: &Target) -> io::Result<Io> {
    let Some(http2) = &target.http2 else {
        return connect_as(target, target.tls.as_ref()).await;
    };
    let io = connect_as(target, http2.tls.as_ref()).await?;
    let chosen = match &io {
        Io::Plain(_) => true,
        Io::Tls(tls) => tls.get_ref().1.alpn_protocol() == Some(ALPN_HTTP2),
    };
    match chosen {
        true => Ok(io),
        false => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "it does not offer HTTP/2 (ALPN h2)",
        )),
    }
}

async fn connect_as(target: &Target, tls: Option<&TlsConnector>) -> io::Result<Io> {
    let tcp = TcpStream::connect(target.address).await?;
    tcp.set_nodelay(true)?;
    match tls {
        None => Ok(Io::Plain(tcp)),
        Some(tls) => {
            let Host::Name(name) = &target.tls_name else {
                return Err(io::Error::other("no name to verify"));
            };
            let stream = tls.connect(name.clone(), tcp).await?;
            Ok(Io::Tls(Box::new(stream)))
        }
    }
}

/// The machine gives this process no more sockets; says nothing about the target.
pub(crate) fn is_own_limit(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let own = [
        Errno::MFILE,
        Errno::NFILE,
        Errno::ADDRNOTAVAIL,
        Errno::NOBUFS,
    ];
    Errno::from_io_error(error).is_some_and(|error| own.contains(&error))
}

pub(crate) enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Io::Plain(io) => Pin::new(io).poll_read(cx, buffer),
            Io::Tls(io) => Pin::new(io).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Io::Plain(io) => Pin::new(io).poll_write(cx, bytes),
            Io::Tls(io) => Pin::new(io).poll_write(cx, bytes),
        }
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Io::Plain(io) => Pin::new(io).poll_flush(cx),
            Io::Tls(io) => Pin::new(io).poll_flush(cx),
        }
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Io::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Io::Tls(io) => Pin::new(io).poll_shutdown(cx),
        }
    }
}
