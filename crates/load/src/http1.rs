//! One answer of HTTP/1.1, read strictly and without keeping more of it than is asked for.

use crate::limits::{BODY_KEPT_BYTES_MAX, HEAD_BYTES_MAX, HEAD_LINES_MAX, READ_BYTES};
use hyper::StatusCode;
use std::ops::Range;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Why a connection is of no use any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// Before any byte of an answer.
    Closed,
    /// Within an answer.
    CutOff,
    NotHttp,
    TooLarge,
}

/// What a connection has read; one for all its answers.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    buffer: Vec<u8>,
    /// Bytes of the buffer that belong to an answer given out already.
    used: usize,
    /// The body of the last answer if it was kept and did not stand in the buffer whole.
    body: Vec<u8>,
    head: Range<usize>,
}

/// One answer. Its head and body are in the reader.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Got {
    pub status: StatusCode,
    pub keeps_alive: bool,
    /// Head and body as they came.
    pub bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Known(u64),
    Chunked,
    UntilClosed,
}

impl Reader {
    /// The head of the last answer, with its last empty line.
    pub fn head(&self) -> &[u8] {
        &self.buffer[self.head.clone()]
    }
    /// The body of the last answer, if it was kept.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// `keeps`: whether the body is wanted; `no_body`: the answer is to a HEAD.
    pub async fn answer(
        &mut self,
        io: &mut (impl AsyncRead + Unpin),
        keeps: bool,
        no_body: bool,
    ) -> Result<Got, Broken> {
        self.body.clear();
        self.buffer.drain(..self.used);
        self.used = 0;
        loop {
            let (status, length, keeps_alive, end) = loop {
                if let Some(head) = parse(&self.buffer)? {
                    break head;
                }
                if self.buffer.len() > HEAD_BYTES_MAX {
                    return Err(Broken::TooLarge);
                }
                if !self.more(io).await? {
                    return Err(match self.buffer.is_empty() {
                        true => Broken::Closed,
                        false => Broken::CutOff,
                    });
                }
            };
            if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
                self.buffer.drain(..end);
                continue;
            }
            self.head = 0..end;
            self.used = end;
            let bare = status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
            let length = match no_body || bare {
                true => Length::Known(0),
                false => length,
            };
            let body = match length {
                Length::Known(length) => self.known(io, length, keeps).await?,
                Length::Chunked => self.chunked(io, keeps).await?,
                Length::UntilClosed => self.until_closed(io, keeps).await?,
            };
            return Ok(Got {
                status,
                keeps_alive: keeps_alive && length != Length::UntilClosed,
                bytes: end as u64 + body,
            });
        }
    }

    /// `false`: the other side has closed.
    async fn more(&mut self, io: &mut (impl AsyncRead + Unpin)) -> Result<bool, Broken> {
        self.buffer.reserve(
            READ_BYTES
                .min(2 << 10)
                .max(self.buffer.len())
                .min(READ_BYTES),
        );
        let read = io.read_buf(&mut self.buffer).await;
        read.map(|read| read > 0).map_err(|_| Broken::CutOff)
    }

    fn take(&mut self, most: u64, keeps: bool) -> Result<u64, Broken> {
        let there = (self.buffer.len() - self.used) as u64;
        let taken = there.min(most);
        let end = self.used + taken as usize;
        if keeps {
            if self.body.len() + taken as usize > BODY_KEPT_BYTES_MAX {
                return Err(Broken::TooLarge);
            }
            self.body.extend_from_slice(&self.buffer[self.used..end]);
        }
        self.used = end;
        Ok(taken)
    }

    /// Makes room without losing the head.
    fn forget(&mut self) {
        self.buffer.drain(self.head.end..self.used);
        self.used = self.head.end;
    }

    async fn known(
        &mut self,
        io: &mut (impl AsyncRead + Unpin),
        length: u64,
        keeps: bool,
    ) -> Result<u64, Broken> {
        let mut left = length;
        loop {
            left -= self.take(left, keeps)?;
            if left == 0 {
                return Ok(length);
            }
            self.forget();
            if !self.more(io).await? {
                return Err(Broken::CutOff);
            }
        }
    }

    async fn until_closed(
        &mut self,
        io: &mut (impl AsyncRead + Unpin),
        keeps: bool,
    ) -> Result<u64, Broken> {
        let mut all = 0;
        loop {
            all += self.take(u64::MAX, keeps)?;
            self.forget();
            if !self.more(io).await? {
                return Ok(all);
            }
        }
    }

    async fn chunked(
        &mut self,
        io: &mut (impl AsyncRead + Unpin),
        keeps: bool,
    ) -> Result<u64, Broken> {
        let mut all = 0;
        loop {
            let line = self.line(io).await?;
            let size = chunk_size(&self.buffer[line])?;
            if size == 0 {
                break;
            }
            all += self.known(io, size, keeps).await?;
            if !self.line(io).await?.is_empty() {
                return Err(Broken::NotHttp);
            }
        }
        // Trailers, to the empty line.
        for _ in 0..HEAD_LINES_MAX {
            if self.line(io).await?.is_empty() {
                return Ok(all);
            }
        }
        Err(Broken::TooLarge)
    }

    /// The next line, without its end.
    async fn line(&mut self, io: &mut (impl AsyncRead + Unpin)) -> Result<Range<usize>, Broken> {
        loop {
            let rest = &self.buffer[self.used..];
            if let Some(at) = rest.iter().position(|byte| *byte == b'\n') {
                let begin = self.used;
                self.used += at + 1;
                return match rest[..at].strip_suffix(b"\r") {
                    Some(line) => Ok(begin..begin + line.len()),
                    None => Err(Broken::NotHttp),
                };
            }
            if rest.len() > HEAD_BYTES_MAX {
                return Err(Broken::TooLarge);
            }
            self.forget();
            if !self.more(io).await? {
                return Err(Broken::CutOff);
            }
        }
    }
}

fn chunk_size(line: &[u8]) -> Result<u64, Broken> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
    let text = std::str::from_utf8(digits.trim_ascii_end()).map_err(|_| Broken::NotHttp)?;
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match plain.then(|| u64::from_str_radix(text, 16)) {
        Some(Ok(size)) => Ok(size),
        _ => Err(Broken::NotHttp),
    }
}

type Head = (StatusCode, Length, bool, usize);

fn parse(bytes: &[u8]) -> Result<Option<Head>, Broken> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let mut lines = [httparse::EMPTY_HEADER; HEAD_LINES_MAX];
    let mut response = httparse::Response::new(&mut lines);
    let end = match response.parse(bytes) {
        Ok(httparse::Status::Complete(end)) => end,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(Broken::NotHttp),
    };
    let status = response
        .code
        .and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or(Broken::NotHttp)?;
    let mut keeps_alive = response.version == Some(1);
    let mut length = Length::UntilClosed;
    for header in response.headers.iter() {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        let value = header.value.trim_ascii();
        if is("content-length") && length != Length::Chunked {
            let text = std::str::from_utf8(value).map_err(|_| Broken::NotHttp)?;
            let number = text.parse().map_err(|_| Broken::NotHttp)?;
            // Two lengths are two opinions about where the next answer begins.
            if matches!(length, Length::Known(other) if other != number) {
                return Err(Broken::NotHttp);
            }
            length = Length::Known(number);
        } else if is("transfer-encoding") {
            let last = value
                .rsplit(|byte| *byte == b',')
                .next()
                .unwrap_or_default();
            if !last.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                return Err(Broken::NotHttp);
            }
            length = Length::Chunked;
        } else if is("connection") {
            let has = |word: &[u8]| {
                let mut words = value.split(|byte| *byte == b',');
                words.any(|found| found.trim_ascii().eq_ignore_ascii_case(word))
            };
            keeps_alive = (keeps_alive || has(b"keep-alive")) && !has(b"close");
        }
    }
    Ok(Some((status, length, keeps_alive, end)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, proptest};

    /// Gives bytes in pieces of a given size.
    struct Drip<'a>(&'a [u8], usize);
    impl AsyncRead for Drip<'_> {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            buffer: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            let n = self.1.min(self.0.len()).min(buffer.remaining());
            let (now, later) = self.0.split_at(n);
            buffer.put_slice(now);
            self.0 = later;
            std::task::Poll::Ready(Ok(()))
        }
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(future)
    }

    const TWO: &[u8] =
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 100 Continue\r\n\r\n\
        HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
        3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: r\r\n\r\n";

    #[test]
    fn answers_in_pieces_of_any_size() {
        for size in [1, 2, 3, 7, 1_000] {
            let mut drip = Drip(TWO, size);
            let mut reader = Reader::default();
            let got = run(reader.answer(&mut drip, true, false)).unwrap();
            assert_eq!((got.status.as_u16(), got.keeps_alive), (200, true));
            assert_eq!((reader.body(), got.bytes), (&b"hello"[..], 43));
            let got = run(reader.answer(&mut drip, true, false)).unwrap();
            assert_eq!((got.status.as_u16(), got.keeps_alive), (404, false));
            assert_eq!(reader.body(), b"abc0123456789");
            assert!(reader.head().starts_with(b"HTTP/1.1 404"));
            let end = run(reader.answer(&mut drip, true, false));
            assert_eq!(end.unwrap_err(), Broken::Closed);
        }
    }

    #[test]
    fn what_is_no_answer() {
        let cases: [(&[u8], Broken); 7] = [
            (b"", Broken::Closed),
            (b"HTTP/1.1 200", Broken::CutOff),
            (b"SSH-2.0-x\r\n\r\n", Broken::NotHttp),
            (
                b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
                Broken::CutOff,
            ),
            (
                b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
                Broken::NotHttp,
            ),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                Broken::NotHttp,
            ),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
                Broken::NotHttp,
            ),
        ];
        for (bytes, wanted) in cases {
            let mut reader = Reader::default();
            let got = run(reader.answer(&mut Drip(bytes, 4), false, false));
            let text = String::from_utf8_lossy(bytes);
            assert_eq!(got.unwrap_err(), wanted, "{text}");
        }
    }

    #[test]
    fn bodies_that_are_none_and_bodies_without_a_length() {
        let mut reader = Reader::default();
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n";
        let got = run(reader.answer(&mut Drip(head, 9), true, true)).unwrap();
        assert!(got.keeps_alive && reader.body().is_empty());
        let open = b"HTTP/1.1 200 OK\r\n\r\nto the end";
        let mut reader = Reader::default();
        let got = run(reader.answer(&mut Drip(open, 3), true, false)).unwrap();
        assert_eq!(
            (got.keeps_alive, reader.body()),
            (false, &b"to the end"[..])
        );
    }

    proptest! {
        #[test]
        fn garbage_never_panics(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..60),
            at in 0..TWO.len(),
            size in 1..20_usize,
        ) {
            let mut mixed = TWO[..at].to_vec();
            mixed.append(&mut bytes);
            mixed.extend_from_slice(&TWO[at..]);
            let (mut drip, mut reader) = (Drip(&mixed, size), Reader::default());
            for _ in 0..5 {
                if run(reader.answer(&mut drip, true, false)).is_err() {
                    break;
                }
            }
        }
    }
}
