//! Frames: four bytes of length, one that says what follows, and that: a message in JSON, or a
//! piece of a file. Nothing is read before its length is within the bound, and whatever is no frame
//! gets an error in words: some other program may have connected. It must not know what messages
//! mean.

use super::limits::FRAME_BYTES_MAX;
use crate::measure::{Measured, Named, Second};
use serde::{Deserialize, Serialize};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// What is said. An agent begins.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Message {
    /// Agent: who it is; `number` is fresh.
    Hello {
        protocol: u32,
        build: String,
        number: String,
    },
    /// Coordinator: proves the token.
    Join {
        protocol: u32,
        number: String,
        proof: String,
    },
    /// Agent: proves it as well; so many threads will send.
    Welcome { proof: String, workers: usize },
    /// Agent: no, and the connection ends.
    Refused { why: String },
    /// Coordinator: the scenario; its files follow in pieces, in this order.
    Scenario {
        name: String,
        text: String,
        url: String,
        files: Vec<FileHead>,
    },
    /// Agent: it was read, and the target is one that may be loaded.
    Prepared {},
    /// Coordinator, again and again: how late is it?
    Beat { count: u64 },
    /// Agent: microseconds on its own clock.
    Beaten { count: u64, at_us: u64 },
    /// Coordinator: send your share of this plan.
    Begin {
        run: u32,
        /// The plan's zero, on the agent's clock.
        at_us: u64,
        /// The number of its first worker, and workers of all agents.
        first: usize,
        of: usize,
        plan: PlanShape,
    },
    /// Coordinator: nobody new.
    Stop { run: u32 },
    /// Agent: nobody new any more.
    Stopped { run: u32 },
    /// Agent: whole seconds while they pass.
    Seconds {
        run: u32,
        from: usize,
        seconds: Vec<Second>,
    },
    /// Agent, after the run: all seconds, with what came late to them.
    Final {
        run: u32,
        from: usize,
        seconds: Vec<Second>,
    },
    /// Agent, after the run: one request.
    Named { run: u32, named: Box<Named> },
    /// Agent: the run is over; the rest of the figures.
    Done { run: u32, measured: Box<Measured> },
    /// Coordinator: that was all.
    Bye {},
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileHead {
    /// As people know it.
    pub name: String,
    pub bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanShape {
    /// From and to a rate a second, in microseconds.
    pub segments: Vec<(f64, f64, u64)>,
    /// Of a Poisson process; `None`: evenly spaced.
    pub seed: Option<u64>,
}

/// What comes over the line.
#[derive(Debug)]
pub enum Frame {
    Message(Box<Message>),
    Piece(Vec<u8>),
}

/// Why there is no frame.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("the connection ended")]
    Ended,
    #[error("the connection broke: {0}")]
    Broken(io::Error),
    #[error(
        "a frame of {found} bytes, expected at most {most}: this is no talk between `seawall \
         agent` and `seawall load --agents`"
    )]
    TooLong { found: usize, most: usize },
    #[error("a frame of kind {0}, expected {MESSAGE} (a message) or {PIECE} (a piece of a file)")]
    Kind(u8),
    #[error("a message that cannot be read: {0}")]
    Message(String),
}

const MESSAGE: u8 = 1;
const PIECE: u8 = 2;

/// The next frame, of at most so many bytes.
pub async fn read(from: &mut (impl AsyncRead + Unpin), most: usize) -> Result<Frame, FrameError> {
    let mut head = [0; 5];
    whole(from, &mut head).await?;
    let [a, b, c, d, kind] = head;
    let found = u32::from_be_bytes([a, b, c, d]) as usize;
    if found > most {
        return Err(FrameError::TooLong { found, most });
    }
    if ![MESSAGE, PIECE].contains(&kind) {
        return Err(FrameError::Kind(kind));
    }
    let mut body = vec![0; found];
    whole(from, &mut body).await?;
    if kind == PIECE {
        return Ok(Frame::Piece(body));
    }
    let message = serde_json::from_slice(&body);
    let message = message.map_err(|error| FrameError::Message(error.to_string()))?;
    Ok(Frame::Message(Box::new(message)))
}

pub async fn write(to: &mut (impl AsyncWrite + Unpin), message: &Message) -> io::Result<()> {
    let body = serde_json::to_vec(message).map_err(io::Error::other)?;
    send(to, MESSAGE, &body).await
}

pub async fn write_piece(to: &mut (impl AsyncWrite + Unpin), piece: &[u8]) -> io::Result<()> {
    send(to, PIECE, piece).await
}

async fn send(to: &mut (impl AsyncWrite + Unpin), kind: u8, body: &[u8]) -> io::Result<()> {
    if body.len() > FRAME_BYTES_MAX {
        let found = body.len();
        let what = format!("a frame of {found} bytes, expected at most {FRAME_BYTES_MAX}");
        return Err(io::Error::other(what));
    }
    let mut head = [0; 5];
    head[..4].copy_from_slice(&(body.len() as u32).to_be_bytes());
    head[4] = kind;
    to.write_all(&head).await?;
    to.write_all(body).await?;
    to.flush().await
}

async fn whole(from: &mut (impl AsyncRead + Unpin), into: &mut [u8]) -> Result<(), FrameError> {
    match from.read_exact(into).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(FrameError::Ended),
        Err(error) => Err(FrameError::Broken(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::limits::GREETING_BYTES_MAX;
    use super::*;
    use crate::measure::{End, Latency};
    use proptest::prelude::{any, prop, proptest};

    fn now<T>(what: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread();
        { runtime }.build().unwrap().block_on(what)
    }

    fn parse(mut bytes: &[u8], most: usize) -> Result<Frame, FrameError> {
        now(read(&mut bytes, most))
    }

    #[test]
    fn figures_arrive_as_they_were() {
        let mut second = Second::default();
        (second.arrived, second.sent, second.buyers) = (7, 6, 5);
        second.ends[End::Refused as usize] = 4;
        for us in [0, 1, 90, 91, 12_345, 1_000_000, 3_600_000_000, u64::MAX] {
            second.latency.record(us);
        }
        let mut named = Named::new("pay", ["ok".to_owned()].into_iter());
        (named.sent, named.checks[0].failed) = (3, 2);
        named.latency = Latency::new(3);
        (0..500).for_each(|n| named.latency.record(n * n));
        named.statuses.insert(500, 9);
        let mut sent = Vec::new();
        now(async {
            let seconds = Message::Seconds {
                run: 1,
                from: 3,
                seconds: vec![second.clone()],
            };
            write(&mut sent, &seconds).await.unwrap();
            let message = Message::Named {
                run: 1,
                named: Box::new(named.clone()),
            };
            write(&mut sent, &message).await.unwrap();
        });
        let (mut bytes, most) = (&sent[..], FRAME_BYTES_MAX);
        let next = |bytes: &mut &[u8]| match now(read(bytes, most)).unwrap() {
            Frame::Message(message) => *message,
            Frame::Piece(_) => panic!("no piece was sent"),
        };
        let Message::Seconds {
            seconds,
            from: 3,
            run: 1,
        } = next(&mut bytes)
        else {
            panic!("seconds were sent");
        };
        let same = |a: &Latency, b: &Latency| *a.histogram() == *b.histogram();
        let got = &seconds[0];
        assert_eq!((got.arrived, got.sent, got.buyers), (7, 6, 5));
        assert_eq!(got.ends, second.ends);
        assert!(same(&got.latency, &second.latency));
        let Message::Named { named: got, .. } = next(&mut bytes) else {
            panic!("a request was sent");
        };
        assert!(same(&got.latency, &named.latency));
        assert_eq!((got.checks, got.statuses), (named.checks, named.statuses));
        assert!(matches!(parse(bytes, most), Err(FrameError::Ended)));
    }

    #[test]
    fn what_is_no_frame_is_told_in_words() {
        let http = b"GET / HTTP/1.1\r\n\r\n";
        let said = |bytes: &[u8]| parse(bytes, GREETING_BYTES_MAX).unwrap_err().to_string();
        assert!(
            said(http).contains("expected at most 4096"),
            "{}",
            said(http)
        );
        assert!(said(b"\0\0\0\x01\x09x").contains("a frame of kind 9"));
        assert!(said(b"\0\0\0\x02\x01{}").contains("cannot be read"));
        let unknown = b"\0\0\0\x1a\x01{\"stop\":{\"run\":1,\"why\":2}}";
        assert!(said(unknown).contains("why"), "{}", said(unknown));
        for cut in 0..http.len().min(5) {
            assert!(matches!(parse(&http[..cut], 9), Err(FrameError::Ended)));
        }
        let histogram = br#"{"digits":9,"counts":[]}"#;
        let error = serde_json::from_slice::<Latency>(histogram).unwrap_err();
        assert!(error.to_string().contains("digits"), "{error}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_frame_or_an_error(
            bytes in prop::collection::vec(any::<u8>(), 0..64), small in any::<bool>(),
        ) {
            let mut bytes = bytes;
            if small && bytes.len() >= 5 {
                bytes[..4].copy_from_slice(&[0, 0, 0, 16]);
                bytes[4] %= 3;
            }
            if let Ok(Frame::Piece(piece)) = parse(&bytes, 1 << 10) {
                assert_eq!(bytes[5..5 + piece.len()], piece[..]);
            }
        }
    }
}
