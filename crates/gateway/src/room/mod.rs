//! The waiting room as the door performs it: keys, clock, files and answers around `guard::room`.
//!
//! One `WaitingRoom` a process, shared by all workers; the room itself stands behind one mutex
//! that is
//! held for less than a microsecond a question. Nothing here waits for a disk except the ticker's
//! own thread. What people are told is in `http.rs` and `page.rs`; what a draw is, in `draw.rs`.
//! It must not know routes: the door asks [`WaitingRoom::enter`] where a route says so, and hands
//! everything under [`PREFIX`] to [`WaitingRoom::serve`].

pub mod draw;
mod http;
mod journal;
mod page;
pub mod proof;
mod publish;
#[cfg(test)]
mod tests;
pub mod ticket;

pub use http::PREFIX;
pub use ticket::{BadKeys, Keys};

use crate::limits::{ROOM_NAME_CHARS_MAX, ROOM_TICK_MS};
use draw::{Run, Urn};
use guard::Nanos;
use guard::room::{BadRules, Buyer, Census, Phase, Place, Room, Rules, Schedule};
use guard::room::{Standing, Visitor};
use host::http::Body;
use http::Told;
use hyper::Response;
use hyper::header::HeaderValue;
use hyper::http::request::Parts;
use journal::{Journal, Record};
use publish::Publisher;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use ticket::{Pass, Ticket};

/// Both clocks, read once for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    pub nanos: Nanos,
    /// Microseconds since 1970.
    pub unix_us: u64,
}

impl Now {
    fn unix_s(self) -> u64 {
        self.unix_us / 1_000_000
    }
    /// The instant of the other clock at which the wall clock says so; now at the earliest zero.
    fn nanos_at(self, unix_ms: u64) -> Nanos {
        let (at, now) = (unix_ms.saturating_mul(1_000), self.unix_us);
        match at.checked_sub(now) {
            Some(ahead) => self.nanos.plus(Nanos(ahead.saturating_mul(1_000))),
            None => Nanos(
                self.nanos
                    .0
                    .saturating_sub((now - at).saturating_mul(1_000)),
            ),
        }
    }
}

/// The set hours of a sale, on the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    pub registers_ms: u64,
    pub t0_ms: u64,
}

#[derive(Clone, Debug)]
pub struct Options {
    /// Lower-case letters, digits and hyphens: it stands in paths, cookies and file names.
    pub name: String,
    /// What people wait for.
    pub title: String,
    /// Without a schedule; [`Options::hours`] has it.
    pub rules: Rules,
    pub hours: Option<Hours>,
    /// A pass is good for so long and is renewed while it is used.
    pub pass: Duration,
    /// From the root to the secret: so that others have seen the one before the other.
    pub reveal_after: Duration,
    /// Cookies only over TLS.
    pub secure: bool,
    /// Where journal, lists and transcripts are kept.
    pub folder: PathBuf,
}

/// Why a room cannot start.
#[derive(Debug, thiserror::Error)]
pub enum RoomError {
    #[error(
        "the room's name is {0:?}, expected 1 to {max} lower-case letters, digits or hyphens",
        max = ROOM_NAME_CHARS_MAX
    )]
    Name(String),
    #[error("the room {room:?}: {problem}")]
    Rules { room: String, problem: BadRules },
    #[error("the room {room:?}: {path:?}: {source}")]
    File {
        room: String,
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the room {room:?}: {path:?}: {problem}; a draw that was published must not change")]
    Published {
        room: String,
        path: PathBuf,
        problem: String,
    },
}

/// May the request go on?
#[derive(Debug)]
pub enum Entry {
    /// Yes; the answer to it should carry the cookie.
    Open { cookie: Option<HeaderValue> },
    /// No: this is the answer.
    Hold(Box<Response<Body>>),
}

#[derive(Debug)]
pub struct WaitingRoom {
    options: Options,
    keys: Keys,
    /// T0 in seconds, or zero: which draw tickets and passes belong to.
    run: u64,
    urn: Urn,
    room: Mutex<Room>,
    journal: Journal,
    publisher: Option<Publisher>,
    page: page::Page,
    last_phase: Mutex<Phase>,
}

/// Who asks, as far as cookies and the sign-in tell.
struct Known {
    buyer: Buyer,
    ticket: Option<Place>,
    /// Nobody knew them before: they need a cookie to be known again.
    is_new: bool,
}

impl WaitingRoom {
    /// Rebuilds the room from its folder. Blocks for as long as the files take.
    pub fn start(options: Options, keys: Keys, now: Now) -> Result<WaitingRoom, RoomError> {
        let name = options.name.clone();
        let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let len = name.len();
        if !(1..=ROOM_NAME_CHARS_MAX).contains(&len) || !name.bytes().all(good) {
            return Err(RoomError::Name(name));
        }
        let failed = |path: &PathBuf, source| RoomError::File {
            room: name.clone(),
            path: path.clone(),
            source,
        };
        let folder = &options.folder;
        std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
        let publisher = match options.hours {
            Some(hours) => Publisher::open(&options, hours, &keys, now)?,
            None => None,
        };
        // A draw that was never announced and whose T0 has passed is none.
        let hours = options.hours.filter(|_| publisher.is_some());
        let run = hours.map_or(0, |hours| hours.t0_ms / 1_000);
        let urn = Urn::new(&keys.secret(&Run {
            room: name.clone(),
            t0_s: run,
        }));
        let schedule = hours.map(|hours| {
            let opens = now.nanos_at(hours.registers_ms);
            let t0 = now.nanos_at(hours.t0_ms).max(opens.plus(Nanos(1)));
            Schedule { opens, t0 }
        });
        let rules = Rules {
            schedule,
            ..options.rules
        };
        let room = Room::new(rules, now.nanos);
        let mut room = room.map_err(|problem| RoomError::Rules {
            room: name.clone(),
            problem,
        })?;
        let path = folder.join(format!("{name}.places"));
        let opened = Journal::open(&path, run);
        let (journal, remembered) = opened.map_err(|error| failed(&path, error))?;
        let left_out = remembered
            .waiting
            .iter()
            .filter(|(buyer, place)| !room.restore(*buyer, *place, now.nanos))
            .count();
        if let Some(place) = remembered.served {
            room.restore_served(place);
        }
        if left_out > 0 {
            tracing::warn!(room = %name, left_out, "the room is smaller than its journal");
        }
        if publisher
            .as_ref()
            .is_some_and(|publisher| publisher.list().is_some())
        {
            room.drawn(now.nanos);
        }
        let last_phase = Mutex::new(room.phase());
        let page = page::Page::new(&options.title);
        Ok(WaitingRoom {
            options,
            keys,
            run,
            urn,
            room: Mutex::new(room),
            journal,
            publisher,
            page,
            last_phase,
        })
    }

    pub fn name(&self) -> &str {
        &self.options.name
    }

    /// May a request behind this room go on? `buyer` is who signed in, if anybody did; others are
    /// known by their cookie.
    pub fn enter(&self, parts: &Parts, buyer: Option<&str>, now: Now) -> Entry {
        if let Some(pass) = self.pass_of(parts, buyer, now) {
            self.lock().touch(pass.buyer, now.nanos);
            let left = Duration::from_secs(pass.expires_s.saturating_sub(now.unix_s()));
            let renewed = left < self.options.pass / 2;
            let cookie = renewed.then(|| self.pass_cookie(pass.buyer, now));
            return Entry::Open { cookie };
        }
        let known = self.known(parts, buyer);
        let (standing, census, cookie) = self.ask(&known, now);
        if standing != Standing::Admitted {
            let told = Told::new(standing, &census, known.buyer, &self.options.rules);
            return Entry::Hold(Box::new(self.held(parts, &told, cookie)));
        }
        let cookie = match census.phase {
            Phase::Idle => cookie,
            _ => Some(self.pass_cookie(known.buyer, now)),
        };
        Entry::Open { cookie }
    }

    /// What is left to sell; the room closes at zero and goes on above it.
    pub fn set_stock(&self, left: Option<u64>) {
        self.lock().set_stock(left);
    }

    /// Other rules from now on; the hours of the sale stay as announced. A bad set changes nothing.
    pub fn change(&self, rules: Rules, now: Now) -> Result<(), BadRules> {
        let mut room = self.lock();
        let schedule = room.rules().schedule;
        room.change(Rules { schedule, ..rules }, now.nanos)
    }

    /// An operator opens the room.
    pub fn open(&self, now: Now) {
        self.lock().open(now.nanos);
    }

    pub fn census(&self) -> Census {
        self.lock().census()
    }

    /// Places that live in tickets only, because the journal could not take them.
    pub fn lost(&self) -> u64 {
        self.journal.lost()
    }

    /// Somebody is done and makes room at once: has paid, or gave up.
    pub fn done(&self, buyer: &str) {
        self.gone(self.keys.buyer(buyer));
    }

    /// Ticks until the room is dropped, on a thread of its own.
    pub fn keep(self: &Arc<Self>, clock: impl Fn() -> Now + Send + 'static) -> std::io::Result<()> {
        let room = Arc::downgrade(self);
        std::thread::Builder::new()
            .name(format!("room-{}", self.options.name))
            .spawn(move || {
                while let Some(room) = room.upgrade() {
                    room.tick(&clock);
                    drop(room);
                    std::thread::sleep(Duration::from_millis(ROOM_TICK_MS));
                }
            })
            .map(|_detached| ())
    }

    /// One tick: lets people in, holds the draw when it is time. May wait for the disk.
    pub fn tick(&self, clock: &impl Fn() -> Now) {
        let now = clock();
        let phase = {
            let mut room = self.lock();
            let note = |buyer, place| self.journal.note(Record::LetIn(buyer, place));
            room.tick(now.nanos, note);
            room.phase()
        };
        if let Some(publisher) = &self.publisher {
            self.hold_draw(publisher, phase, clock);
        }
        let mut last = self
            .last_phase
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if *last == Phase::Serving && phase == Phase::Idle {
            self.journal.note(Record::Emptied);
        }
        *last = phase;
    }

    fn hold_draw(&self, publisher: &Publisher, phase: Phase, clock: &impl Fn() -> Now) {
        if phase == Phase::Drawing {
            let registered = || {
                let room = self.lock();
                let drawn = room.in_line().filter(|(_, place)| place.is_drawn());
                drawn.map(|(buyer, _)| buyer).collect()
            };
            match publisher.close(registered, &self.urn, clock().unix_s()) {
                Ok(()) => self.lock().drawn(clock().nanos),
                Err(error) => {
                    tracing::error!(room = self.name(), %error, "the list is not published yet");
                }
            }
        }
        if phase != Phase::Drawing
            && let Err(error) = publisher.reveal(clock().unix_s())
        {
            tracing::error!(room = self.name(), %error, "the secret is not published yet");
        }
    }

    /// A panic elsewhere leaves a room that still keeps its own books.
    fn lock(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gone(&self, buyer: Buyer) {
        self.lock().leave(buyer);
        self.journal.note(Record::Gone(buyer));
    }

    fn pass_of(&self, parts: &Parts, buyer: Option<&str>, now: Now) -> Option<Pass> {
        let token = http::cookie(parts, http::PASS, &self.options.name)?;
        let pass = self.keys.read_pass(token)?;
        let hours = self.options.hours.filter(|_| self.run != 0);
        // What was given before the draw is void from the beginning of registration.
        let void = hours.is_some_and(|hours| {
            now.unix_us / 1_000 >= hours.registers_ms && pass.issued_s < self.run
        });
        let good = pass.run == self.run && now.unix_s() < pass.expires_s && !void;
        let is_theirs = || buyer.is_none_or(|buyer| self.keys.buyer(buyer) == pass.buyer);
        (good && is_theirs()).then_some(pass)
    }

    fn known(&self, parts: &Parts, buyer: Option<&str>) -> Known {
        let token = http::cookie(parts, http::TICKET, &self.options.name);
        let ticket = token.and_then(|token| self.keys.read_ticket(token));
        let id = match buyer {
            Some(buyer) => Some(self.keys.buyer(buyer)),
            None => ticket.map(|ticket| ticket.buyer),
        };
        let Some(id) = id else {
            return Known {
                buyer: Buyer(random()),
                ticket: None,
                is_new: true,
            };
        };
        // A ticket is good for its own buyer and its own draw.
        let ticket = ticket.filter(|ticket| ticket.buyer == id && ticket.run == self.run);
        Known {
            buyer: id,
            ticket: ticket.and_then(|ticket| self.place_of(&ticket)),
            is_new: false,
        }
    }

    fn place_of(&self, ticket: &Ticket) -> Option<Place> {
        if ticket.place.is_some() || self.run == 0 {
            return ticket.place;
        }
        // Registered, it says; once the list is public, the list says.
        let list = self.publisher.as_ref().and_then(Publisher::list);
        let is_listed = list.is_none_or(|list| list.find(ticket.buyer).is_some());
        is_listed.then(|| Place::drawn(self.urn.draw(ticket.buyer)))
    }

    /// Asks the room, and writes down and signs what it gave.
    fn ask(&self, known: &Known, now: Now) -> (Standing, Census, Option<HeaderValue>) {
        let visitor = Visitor {
            buyer: known.buyer,
            came_us: now.unix_us,
            ticket: known.ticket,
        };
        let (answer, census) = {
            let mut room = self.lock();
            let answer = room.ask(visitor, |buyer| self.urn.draw(buyer), now.nanos);
            (answer, room.census())
        };
        if let Some(place) = answer.given {
            self.journal.note(Record::Placed(known.buyer, place));
            if answer.standing == Standing::Admitted {
                self.journal.note(Record::LetIn(known.buyer, place));
            }
        }
        let place = match answer.standing {
            Standing::Waiting(wait) => Some(wait.place),
            _ => answer.given,
        };
        let cookie = match (place, census.phase) {
            (Some(place), _) if answer.given.is_some() || known.ticket != Some(place) => {
                let shown = (!place.is_drawn()).then_some(place);
                Some(self.ticket_cookie(known.buyer, self.run, shown, now))
            }
            // Nobody has a place while all may go in; the cookie only says who it is.
            (None, Phase::Idle) if known.is_new => {
                Some(self.ticket_cookie(known.buyer, u64::MAX, None, now))
            }
            (None, Phase::Registering) if known.ticket.is_none() => {
                Some(self.ticket_cookie(known.buyer, self.run, None, now))
            }
            _ => None,
        };
        (answer.standing, census, cookie)
    }

    fn ticket_cookie(&self, buyer: Buyer, run: u64, place: Option<Place>, now: Now) -> HeaderValue {
        let token = self.keys.ticket(&Ticket {
            run,
            buyer,
            place,
            issued_s: now.unix_s(),
        });
        self.cookie(http::TICKET, &token, http::TICKET_SECONDS)
    }

    fn pass_cookie(&self, buyer: Buyer, now: Now) -> HeaderValue {
        let seconds = self.options.pass.as_secs().max(1);
        let token = self.keys.pass(&Pass {
            run: self.run,
            buyer,
            expires_s: now.unix_s() + seconds,
            issued_s: now.unix_s(),
        });
        self.cookie(http::PASS, &token, seconds)
    }
}

/// A device that nobody knows. Without randomness from the system there is no safe answer.
fn random() -> u128 {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system has random numbers");
    u128::from_be_bytes(bytes)
}
