//! A connection between a coordinator and an agent: plain or TLS, its frames read by a task of
//! their own, so that whoever handles them can wait for other things too.

use super::frames::{self, Frame, FrameError, Message};
use super::limits::{
    FRAME_BYTES_MAX, FRAMES_WAITING_MAX, GREETING_BYTES_MAX, REASON_CHARS_MAX, SILENT_MS_MAX,
};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadHalf, WriteHalf};
use tokio::sync::mpsc;

pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// Both ways, before anybody has proved anything.
pub(crate) struct Line {
    from: ReadHalf<Box<dyn Stream>>,
    to: Outgoing,
}

pub(crate) struct Incoming {
    frames: mpsc::Receiver<Result<Frame, FrameError>>,
    reader: tokio::task::JoinHandle<()>,
}

pub(crate) struct Outgoing(WriteHalf<Box<dyn Stream>>);

impl Line {
    pub fn new(stream: impl Stream + 'static) -> Line {
        let stream: Box<dyn Stream> = Box::new(stream);
        let (from, to) = tokio::io::split(stream);
        Line {
            from,
            to: Outgoing(to),
        }
    }

    pub async fn tell(&mut self, message: &Message) -> Result<(), String> {
        self.to.tell(message).await
    }

    /// A short message.
    pub async fn hear(&mut self) -> Result<Message, String> {
        let frame = frames::read(&mut self.from, GREETING_BYTES_MAX).await;
        match frame.map_err(|error| error.to_string())? {
            Frame::Message(message) => Ok(*message),
            Frame::Piece(_) => Err("a piece of a file came before anything else".to_owned()),
        }
    }

    /// From now on frames may be large. Must be called within a `LocalSet`.
    pub fn open(self) -> (Incoming, Outgoing) {
        let (tell, frames) = mpsc::channel(FRAMES_WAITING_MAX);
        let mut from = self.from;
        let reader = tokio::task::spawn_local(async move {
            loop {
                let frame = frames::read(&mut from, FRAME_BYTES_MAX).await;
                let last = frame.is_err();
                if tell.send(frame).await.is_err() || last {
                    return;
                }
            }
        });
        (Incoming { frames, reader }, self.to)
    }
}

impl Incoming {
    /// May be given up and asked again.
    pub async fn next(&mut self) -> Result<Frame, String> {
        let frame = self.frames.recv().await.unwrap_or(Err(FrameError::Ended));
        frame.map_err(|error| error.to_string())
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Outgoing {
    /// Whoever does not read is gone.
    pub async fn tell(&mut self, message: &Message) -> Result<(), String> {
        in_time(frames::write(&mut self.0, message)).await
    }
    pub async fn piece(&mut self, piece: &[u8]) -> Result<(), String> {
        in_time(frames::write_piece(&mut self.0, piece)).await
    }
}

async fn in_time(written: impl Future<Output = std::io::Result<()>>) -> Result<(), String> {
    let most = Duration::from_millis(SILENT_MS_MAX);
    match tokio::time::timeout(most, written).await {
        Ok(written) => written.map_err(|error| format!("the connection broke: {error}")),
        Err(_) => Err(format!("nothing could be told for {} s", most.as_secs())),
    }
}

/// What the other side says, fit for a terminal.
pub(crate) fn shown(text: &str) -> String {
    let fit = text.chars().filter(|c| !c.is_control() || *c == '\n');
    fit.take(REASON_CHARS_MAX).collect()
}
