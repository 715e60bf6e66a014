//! An agent: it listens, lets in who has the token, and serves one coordinator at a time.

use super::frames::Message;
use super::limits::{GREETING_MS_MAX, GREETINGS_MAX, LOOK_MS};
use super::link::{Incoming, Line, Outgoing, shown};
use super::session;
use super::token::{Side, Token, fresh};
use super::{BUILD, PROTOCOL};
use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

/// How to serve.
pub struct Agent {
    pub listener: std::net::TcpListener,
    pub token: Token,
    /// The key of notes, for targets that are not this machine.
    pub key: Option<Vec<u8>>,
    /// Threads that send; 0: one a processor.
    pub workers: usize,
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// It ends with its first coordinator.
    pub once: bool,
}

/// What an agent and its connections have in common.
pub(super) struct Desk {
    pub agent: Agent,
    pub stop: Arc<AtomicBool>,
    pub say: Box<dyn Fn(&str)>,
    /// Instants are told as microseconds from here.
    pub epoch: Instant,
    busy: Cell<bool>,
    /// Coordinators served, and whether the last went well.
    served: Cell<Option<bool>>,
    greetings: Arc<Semaphore>,
}

/// A coordinator has this agent until this is dropped.
struct Taken(Rc<Desk>);

impl Taken {
    fn new(desk: &Rc<Desk>) -> Taken {
        desk.busy.set(true);
        Taken(Rc::clone(desk))
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.busy.set(false);
    }
}

/// Until `stop` is set, or its first coordinator has gone. Whether the last one went well.
pub fn serve(agent: Agent, stop: Arc<AtomicBool>, say: Box<dyn Fn(&str)>) -> io::Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    agent.listener.set_nonblocking(true)?;
    let listener = agent.listener.try_clone()?;
    let desk = Rc::new(Desk {
        agent,
        stop,
        say,
        epoch: Instant::now(),
        busy: Cell::new(false),
        served: Cell::new(None),
        greetings: Arc::new(Semaphore::new(GREETINGS_MAX)),
    });
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let look = tokio::time::sleep(Duration::from_millis(LOOK_MS));
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, from)) => desk.greet(stream, from),
                    Err(error) => {
                        (desk.say)(&format!("nobody can connect: {error}"));
                        tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
                    }
                },
                () = look => {}
            }
            let over = desk.agent.once && desk.served.get().is_some();
            if (over || desk.stop.load(Ordering::Relaxed)) && !desk.busy.get() {
                return Ok(desk.served.get().unwrap_or(true));
            }
        }
    })
}

impl Desk {
    pub fn now_us(&self) -> u64 {
        self.epoch.elapsed().as_micros() as u64
    }

    /// Threads that send.
    pub fn workers(&self) -> usize {
        match self.agent.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            workers => workers,
        }
    }

    /// Too many at the door are turned away without a word.
    fn greet(self: &Rc<Self>, stream: TcpStream, from: SocketAddr) {
        let Ok(permit) = Arc::clone(&self.greetings).try_acquire_owned() else {
            return;
        };
        let desk = Rc::clone(self);
        tokio::task::spawn_local(async move {
            let most = Duration::from_millis(GREETING_MS_MAX);
            let greeted = tokio::time::timeout(most, desk.greeted(stream)).await;
            drop(permit);
            match greeted.unwrap_or_else(|_| Err("it said nothing for too long".to_owned())) {
                Err(why) => (desk.say)(&format!("{from} was refused: {}", shown(&why))),
                Ok((incoming, outgoing, taken)) => {
                    (desk.say)(&format!("{from} leads this agent"));
                    let ended = session::session(&desk, incoming, outgoing).await;
                    desk.served.set(Some(ended.is_ok()));
                    drop(taken);
                    match ended {
                        Ok(()) => (desk.say)(&format!("{from} is done")),
                        Err(why) => (desk.say)(&format!("{from}: {}", shown(&why))),
                    }
                }
            }
        });
    }

    /// Both prove the token; nobody is told more before.
    async fn greeted(
        self: &Rc<Self>,
        stream: TcpStream,
    ) -> Result<(Incoming, Outgoing, Taken), String> {
        let _ = stream.set_nodelay(true);
        let mut line = match &self.agent.tls {
            None => Line::new(stream),
            Some(tls) => {
                let stream = TlsAcceptor::from(Arc::clone(tls)).accept(stream).await;
                Line::new(stream.map_err(|error| format!("no TLS came about: {error}"))?)
            }
        };
        let ours = fresh()?;
        let hello = Message::Hello {
            protocol: PROTOCOL,
            build: BUILD.to_owned(),
            number: ours.clone(),
        };
        line.tell(&hello).await?;
        let no = match line.hear().await {
            Ok(Message::Join {
                protocol,
                number: theirs,
                proof,
            }) => match self.allows(protocol, &ours, &theirs, &proof) {
                None => {
                    // From here on nobody else is let in.
                    let taken = Taken::new(self);
                    let proof = self.agent.token.proof(Side::Agent, &ours, &theirs);
                    let workers = self.workers();
                    line.tell(&Message::Welcome { proof, workers }).await?;
                    let (incoming, outgoing) = line.open();
                    return Ok((incoming, outgoing, taken));
                }
                Some(no) => no,
            },
            Ok(_) => "something else than a greeting came first".to_owned(),
            Err(why) => why,
        };
        // Whoever it is may have gone already.
        let _ = line.tell(&Message::Refused { why: no.clone() }).await;
        Err(no)
    }

    /// Why not.
    fn allows(&self, protocol: u32, ours: &str, theirs: &str, proof: &str) -> Option<String> {
        let token = &self.agent.token;
        if protocol != PROTOCOL {
            return Some(format!(
                "it speaks version {protocol} of the talk with agents, this agent {PROTOCOL} \
                 (seawall {BUILD})"
            ));
        }
        if !token.proves(Side::Coordinator, ours, theirs, proof) {
            return Some("its token is not the one of this agent".to_owned());
        }
        if self.busy.get() {
            return Some("this agent already has a coordinator".to_owned());
        }
        let ends = self.stop.load(Ordering::Relaxed) || self.served.get().is_some();
        (ends && (self.agent.once || self.stop.load(Ordering::Relaxed)))
            .then(|| "this agent is about to end".to_owned())
    }
}
