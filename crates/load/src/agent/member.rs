//! One agent from the coordinator's side: the greeting, the scenario, beats, orders, figures.
//! Whatever goes wrong here is one agent's trouble and ends on the board, never in another's.

use super::bundle::Bundle;
use super::fleet::{Board, Reach};
use super::frames::{Frame, Message};
use super::limits::{
    BEAT_MS, CLOCK_UNSURE_US_MAX, GREETING_MS_MAX, PIECE_BYTES, PREPARE_MS_MAX, SILENT_MS_MAX,
    STOP_MS_MAX, WORKERS_MAX,
};
use super::link::{Incoming, Line, Outgoing, shown};
use super::merge::Lost;
use super::token::{Side, fresh};
use super::{BUILD, PROTOCOL};
use rustls::pki_types::ServerName;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;

pub(super) type Orders = mpsc::Sender<Message>;

/// Until the end, whichever it is.
pub(super) async fn follow(
    board: &Board,
    place: usize,
    reach: &Reach,
    bundle: &Bundle,
    orders: mpsc::Receiver<Message>,
) {
    let ended = talk(board, place, reach, bundle, orders).await;
    board.with(place, |member| match ended {
        // Said goodbye to: there is nothing left to expect.
        Ok(()) => drop(
            member
                .lost
                .get_or_insert(Lost::Failed("it was let go".to_owned())),
        ),
        Err(lost) => drop(member.lost.get_or_insert(lost)),
    });
}

async fn talk(
    board: &Board,
    place: usize,
    reach: &Reach,
    bundle: &Bundle,
    orders: mpsc::Receiver<Message>,
) -> Result<(), Lost> {
    let most = Duration::from_millis(GREETING_MS_MAX);
    let late = |_| {
        Err(Lost::Failed(format!(
            "no greeting within {} s",
            most.as_secs()
        )))
    };
    let greeted = tokio::time::timeout(most, greet(reach, &reach.addresses[place])).await;
    let (mut from, mut to, workers) = greeted.unwrap_or_else(late)?;
    board.with(place, |member| member.workers = workers);
    let most = Duration::from_millis(PREPARE_MS_MAX);
    let late = |_| {
        Err(Lost::Failed(format!(
            "not ready within {} s",
            most.as_secs()
        )))
    };
    let prepared = tokio::time::timeout(most, prepare(bundle, &mut from, &mut to)).await;
    prepared.unwrap_or_else(late)?;
    Member {
        board,
        place,
        to,
        beats: Beats::default(),
        stopping: None,
    }
    .lead(from, orders)
    .await
}

async fn greet(reach: &Reach, address: &str) -> Result<(Incoming, Outgoing, usize), Lost> {
    let failed = |why: String| Lost::Failed(why);
    let stream = TcpStream::connect(address).await;
    let stream = stream.map_err(|error| failed(format!("it cannot be reached: {error}")))?;
    let _ = stream.set_nodelay(true);
    let mut line = match &reach.tls {
        None => Line::new(stream),
        Some(tls) => {
            let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
            let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned());
            let name = name.map_err(|error| failed(error.to_string()))?;
            let tls = TlsConnector::from(std::sync::Arc::clone(tls));
            let stream = tls.connect(name, stream).await;
            Line::new(stream.map_err(|error| failed(format!("no TLS came about: {error}")))?)
        }
    };
    let (theirs, protocol, build) = match line.hear().await.map_err(failed)? {
        Message::Hello {
            protocol,
            build,
            number,
        } => (number, protocol, build),
        _ => {
            return Err(failed(
                "something else than a greeting came first".to_owned(),
            ));
        }
    };
    if protocol != PROTOCOL {
        return Err(Lost::Refused(format!(
            "it is seawall {} and speaks version {protocol} of the talk, this one ({BUILD}) \
             {PROTOCOL}",
            shown(&build)
        )));
    }
    let ours = fresh().map_err(failed)?;
    let join = Message::Join {
        protocol: PROTOCOL,
        proof: reach.token.proof(Side::Coordinator, &theirs, &ours),
        number: ours.clone(),
    };
    line.tell(&join).await.map_err(failed)?;
    match line.hear().await.map_err(failed)? {
        Message::Refused { why } => Err(Lost::Refused(shown(&why))),
        Message::Welcome { proof, workers } => {
            if !reach.token.proves(Side::Agent, &theirs, &ours, &proof) {
                return Err(Lost::Refused("it does not have the token".to_owned()));
            }
            if !(1..=WORKERS_MAX).contains(&workers) {
                let what = format!("found {workers} workers, expected 1 to {WORKERS_MAX}");
                return Err(failed(what));
            }
            let (from, to) = line.open();
            Ok((from, to, workers))
        }
        _ => Err(failed("something else than a welcome came".to_owned())),
    }
}

async fn prepare(bundle: &Bundle, from: &mut Incoming, to: &mut Outgoing) -> Result<(), Lost> {
    let scenario = Message::Scenario {
        name: bundle.name.clone(),
        text: bundle.text.clone(),
        url: bundle.url.clone(),
        files: bundle.heads(),
    };
    let sent = async {
        to.tell(&scenario).await?;
        for (_, content) in &bundle.files {
            for piece in content.chunks(PIECE_BYTES) {
                to.piece(piece).await?;
            }
        }
        Ok(())
    };
    // Whoever refused in the middle does not read the rest, but has said why.
    let sent: Result<(), String> = sent.await;
    match from.next().await {
        Ok(Frame::Message(message)) => match *message {
            Message::Prepared {} => sent.map_err(Lost::Failed),
            Message::Refused { why } => Err(Lost::Refused(shown(&why))),
            _ => Err(Lost::Failed("a message at the wrong time".to_owned())),
        },
        Ok(Frame::Piece(_)) => Err(Lost::Failed("a piece of a file came back".to_owned())),
        Err(why) => Err(Lost::Failed(sent.err().unwrap_or(why))),
    }
}

struct Member<'a> {
    board: &'a Board,
    place: usize,
    to: Outgoing,
    beats: Beats,
    /// Since when it should have confirmed a stop.
    stopping: Option<Instant>,
}

/// The last beat: one is under way at a time, so its answer is its own.
#[derive(Default)]
struct Beats {
    count: u64,
    sent_us: Option<u64>,
}

impl Member<'_> {
    async fn lead(
        mut self,
        mut from: Incoming,
        mut orders: mpsc::Receiver<Message>,
    ) -> Result<(), Lost> {
        let mut beat = tokio::time::interval(Duration::from_millis(BEAT_MS));
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        loop {
            tokio::select! {
                frame = from.next() => {
                    heard = Instant::now();
                    match frame.map_err(Lost::Failed)? {
                        Frame::Message(message) => self.take(*message).await?,
                        Frame::Piece(_) => {
                            return Err(Lost::Failed("a piece of a file came back".to_owned()));
                        }
                    }
                }
                order = orders.recv() => {
                    let order = order.unwrap_or(Message::Bye {});
                    let last = matches!(order, Message::Bye {});
                    if matches!(order, Message::Stop { .. }) {
                        self.stopping = Some(Instant::now());
                    }
                    self.to.tell(&order).await.map_err(Lost::Failed)?;
                    if last {
                        return Ok(());
                    }
                }
                _ = beat.tick() => {
                    self.beat().await?;
                    self.overdue(heard)?;
                }
            }
        }
    }

    async fn beat(&mut self) -> Result<(), Lost> {
        if self.beats.sent_us.is_some() {
            return Ok(());
        }
        self.beats.count += 1;
        self.beats.sent_us = Some(self.board.now_us());
        let count = self.beats.count;
        let told = self.to.tell(&Message::Beat { count }).await;
        told.map_err(Lost::Failed)
    }

    fn overdue(&self, heard: Instant) -> Result<(), Lost> {
        if heard.elapsed() > Duration::from_millis(SILENT_MS_MAX) {
            let seconds = SILENT_MS_MAX / 1_000;
            return Err(Lost::Failed(format!("no beat for {seconds} s")));
        }
        let most = Duration::from_millis(STOP_MS_MAX);
        match self.stopping {
            Some(since) if since.elapsed() > most => Err(Lost::Failed(format!(
                "it did not confirm the stop within {} s",
                most.as_secs()
            ))),
            _ => Ok(()),
        }
    }

    async fn take(&mut self, message: Message) -> Result<(), Lost> {
        match message {
            Message::Beaten { count, at_us } => {
                let heard_us = self.board.now_us();
                let Some(sent_us) = self
                    .beats
                    .sent_us
                    .take()
                    .filter(|_| count == self.beats.count)
                else {
                    let what = format!("it answers beat {count}, which was not asked");
                    return Err(Lost::Failed(what));
                };
                self.clock(sent_us, heard_us, at_us).await
            }
            Message::Stopped { .. } => {
                self.stopping = None;
                Ok(())
            }
            Message::Refused { why } => Err(Lost::Failed(shown(&why))),
            figures => {
                let taken = self
                    .board
                    .with(self.place, |member| member.part.take(figures));
                taken.map_err(Lost::Failed)
            }
        }
    }

    /// At first as fast as it goes, until the clock is known well enough.
    async fn clock(&mut self, sent_us: u64, heard_us: u64, at_us: u64) -> Result<(), Lost> {
        let unsure = self.board.with(self.place, |member| {
            member.clock.add(sent_us, heard_us, at_us);
            let settled = member.clock.is_settled();
            let best = member.clock.best().filter(|_| settled);
            let fresh = best.filter(|_| !member.prepared);
            let unsure = fresh.map(|best| best.unsure_us);
            let good = unsure.is_some_and(|us| us <= CLOCK_UNSURE_US_MAX);
            member.prepared |= good;
            (settled, unsure.filter(|_| !good))
        });
        match unsure {
            (false, _) => self.beat().await,
            (true, Some(us)) => Err(Lost::Refused(format!(
                "its clock is known only within ±{} ms, {} are allowed: the way to it is too long",
                us / 1_000,
                CLOCK_UNSURE_US_MAX / 1_000
            ))),
            (true, None) => Ok(()),
        }
    }
}
