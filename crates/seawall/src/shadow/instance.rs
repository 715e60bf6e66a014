//! The shadow in a running shop: opened at an operator's word, seeded with what the real shop
//! sells at that moment, served only once this very process was shown to keep it apart.
//!
//! A shadow is a whole shop in a folder of its own, made by the same code as the real one. Its
//! failures are its own: it stops serving, and the sale goes on. After a restart nothing is open;
//! opening the same run again replays its journal, and it has to be proven again.

use super::evidence;
use super::note::{self, Note};
use crate::up;
use anyhow::{Context, anyhow};
use engine::{Desk, Engine, EngineOptions};
use gateway::mark::RunId;
use host::config::Config;
use host::http::Body;
use hyper::body::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use sale::limits::CELLS_MAX;
use sale::{Command, CouponTerms, OrderId, Outcome, Qty, Text};
use serde::Deserialize;
use serde_json::{Value, json};
use shop::{Problem, Shadow, Shadows, Shop};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::{Follower, ShopDb, ShopReader};
use wire::problem::Code;

const PATH: &str = "/operator/shadow";
/// Products of one look at the catalogue.
const PAGE: usize = 1_000;

/// The shop and whatever shadow is open beside it.
pub struct Rehearsals {
    pub shadows: Arc<Shadows>,
    real: Arc<Shop>,
    config: Config,
    opened: Mutex<Option<Opened>>,
}

struct Opened {
    shadow: Arc<Shadow>,
    engine: Engine,
    follower: Follower,
    note: Note,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OpenBody {
    run: String,
    /// Everything is on sale at once, whatever its terms say.
    #[serde(default)]
    open_now: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AttestBody {
    order: String,
}

type Answer = Result<(StatusCode, Value), Problem>;

impl Rehearsals {
    pub fn new(config: &Config, real: &Arc<Shop>) -> Arc<Rehearsals> {
        Arc::new(Rehearsals {
            shadows: Arc::default(),
            real: Arc::clone(real),
            config: config.clone(),
            opened: Mutex::default(),
        })
    }

    pub fn real(&self) -> &Arc<Shop> {
        &self.real
    }

    /// Whether an operator's request is for here.
    pub fn is_asked(request: &Request<Bytes>) -> bool {
        let rest = request.uri().path().strip_prefix(PATH);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    pub async fn answer(self: Arc<Self>, request: Request<Bytes>) -> Response<Body> {
        // Opening waits for disks; other operators shall not.
        let done = tokio::task::spawn_blocking(move || self.perform(&request)).await;
        let (status, value) = match done {
            Ok(Ok(done)) => done,
            Ok(Err(problem)) => return problem.answer(),
            Err(_) => return Problem::new(Code::OutcomeUnknown).answer(),
        };
        let mut answer = Response::new(Body::from(value.to_string()));
        *answer.status_mut() = status;
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        answer
    }

    /// Ends the shadow, if one is open; gives its run.
    pub fn close(&self) -> Option<String> {
        let opened = self.opened().take()?;
        self.shadows.close();
        // Everything that was let in is answered before the workers let go.
        opened.engine.stop();
        opened.follower.stop();
        opened.shadow.end();
        tracing::info!(run = opened.note.run, "the shadow is closed");
        Some(opened.note.run)
    }

    fn opened(&self) -> MutexGuard<'_, Option<Opened>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn perform(&self, request: &Request<Bytes>) -> Answer {
        let path = request.uri().path();
        let rest = path.strip_prefix(PATH).unwrap_or_default();
        match (request.method(), rest) {
            (&Method::GET, "") => Ok((StatusCode::OK, self.state())),
            (&Method::POST, "") => {
                let body: OpenBody = parse(request.body())?;
                let run = RunId::new(&body.run).ok_or_else(bad_run)?;
                self.open(run.as_str(), body.open_now)?;
                Ok((StatusCode::CREATED, self.state()))
            }
            (&Method::DELETE, "") => {
                let run = self.close().ok_or_else(none_open)?;
                Ok((StatusCode::OK, json!({"closed": true, "run": run})))
            }
            (&Method::POST, "/attest") => {
                let body: AttestBody = parse(request.body())?;
                let order = OrderId::parse(&body.order).ok_or_else(|| {
                    Problem::new(Code::OutOfBounds).detail("`order` is an order id.")
                })?;
                self.attest(order)
            }
            (_, "" | "/attest") => Err(Code::Method.into()),
            _ => Err(Code::NotFound.into()),
        }
    }

    fn state(&self) -> Value {
        let opened = self.opened();
        let Some(opened) = &*opened else {
            return json!({"state": "closed"});
        };
        let shadow = &opened.shadow;
        let ledger = shadow.shop.desks.view().ledger();
        let skus = ledger.skus().map(|view| {
            let books = view.books;
            json!({
                "sku": view.code.as_str(), "stocked": books.stocked.0, "free": books.free.0,
                "held": books.held.0, "sold": books.sold.0,
            })
        });
        let skus: Vec<Value> = skus.collect();
        json!({
            "state": shadow.standing().as_str(),
            "run": shadow.run,
            "probe": shadow.probe,
            "proven": shadow.standing() == shop::Standing::Proven,
            "cell": opened.note.cell,
            "real_cell": opened.note.real_cell,
            "real_seq": opened.note.real_seq,
            "opened_ms": opened.note.opened_ms,
            "requests": shadow.requests.load(Ordering::Relaxed),
            "seq": ledger.seq().0,
            "orders_accepted": ledger.orders_accepted(),
            "digest": format!("{:016x}", ledger.digest()),
            "skus": skus,
        })
    }

    fn open(&self, run: &str, open_now: bool) -> Result<(), Problem> {
        let mut place = self.opened();
        if let Some(opened) = &*place {
            let detail = format!("The shadow of {} is open.", opened.note.run);
            return Err(Problem::new(Code::Exists)
                .with("run", opened.note.run.as_str())
                .detail(detail));
        }
        let opened = self.make(run, open_now).map_err(|error| {
            tracing::error!(error = format!("{error:#}"), run, "the shadow did not open");
            Problem::new(Code::Overloaded).detail(format!("{error:#}."))
        })?;
        // The place was empty under the lock, and only this fills it.
        let _ = self.shadows.open(&opened.shadow);
        tracing::info!(run, "a shadow is open; it is not proven yet");
        *place = Some(opened);
        Ok(())
    }

    fn make(&self, run: &str, open_now: bool) -> anyhow::Result<Opened> {
        let folder = note::folder(&self.config.data, run);
        let before = Note::read(&folder)?;
        if before.is_none() && folder.exists() {
            // A process ended while it was seeding: nobody was served from it.
            std::fs::remove_dir_all(&folder)
                .with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        host::data_folder::prepare(&folder)?;
        let note = match before {
            Some(note) => note,
            None => self.copy_catalogue(&folder, run, open_now)?,
        };
        let config = self.config_of(&folder, note.cell);
        let (log, ledger) = up::open_journal(&config)?;
        let broken = Arc::new(AtomicBool::new(false));
        let gave_up = Arc::clone(&broken);
        let engine = Engine::start(log, ledger, EngineOptions::default(), move |error| {
            tracing::error!(%error, "the shadow's journal failed: it serves nobody any more");
            gave_up.store(true, Ordering::Release);
        })?;
        let gave_up = Arc::clone(&broken);
        let follower = up::follow(&config, &engine, move |error| {
            tracing::error!(%error, "the shadow's projection ended: it serves nobody any more");
            gave_up.store(true, Ordering::Release);
        })?;
        let desk = engine.desks().open();
        up::configure(&desk, &config)?;
        let shop = up::open_shop(&config, &engine, &follower, None)?;
        desk.block_on(shop.reload(&desk))
            .context("the catalogue was not loaded")?;
        if Note::read(&folder)?.is_none() {
            self.copy_terms(&desk)?;
            note.write(&folder)?;
        }
        shop.start()?;
        let probe = format!("probe-{:016x}", random()?);
        Ok(Opened {
            shadow: Shadow::new(run.to_owned(), probe, shop, broken),
            engine,
            follower,
            note,
        })
    }

    /// The shop's settings, with books, buyers and bank of its own, and nobody else's sign-ins.
    fn config_of(&self, folder: &Path, cell: u16) -> Config {
        let mut config = self.config.clone();
        config.data = folder.to_owned();
        config.cell = cell;
        config.bank = None;
        config.jwt = None;
        config.channel_tokens_file = None;
        config.journal.prune = false;
        // On a disk that fills up the shadow stops first.
        config.journal.reserve_mib = config.journal.reserve_mib.saturating_mul(2);
        config
    }

    /// Products with the units that are free now. Accounts stay where they are.
    fn copy_catalogue(&self, folder: &Path, run: &str, open_now: bool) -> anyhow::Result<Note> {
        let reader = ShopReader::open(&self.real.shop_db)?;
        let mut db = ShopDb::open(&folder.join("shop.db"))?;
        let now = self.real.desks.now().0;
        let mut after: Option<String> = None;
        loop {
            let page = reader.products(after.as_deref(), PAGE)?;
            let mut products = page.products;
            {
                let ledger = self.real.desks.view().ledger();
                for product in &mut products {
                    let sku = Text::new(&product.sku).ok();
                    let sku = sku.and_then(|code| ledger.sku_by_code(&code));
                    if let Some(books) = sku.and_then(|sku| ledger.books(sku)) {
                        product.stock = books.free.0;
                    }
                    if open_now {
                        product.opens_ms = product.opens_ms.map(|opens| opens.min(now));
                        product.closes_ms = product.closes_ms.filter(|closes| *closes > now);
                    }
                }
            }
            db.upsert(products)?;
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        let show = self.config.data.join("show.json");
        if show.is_file() {
            std::fs::copy(&show, folder.join("show.json"))?;
        }
        let pictures = std::path::absolute(self.config.data.join("pictures"))?;
        if pictures.is_dir() {
            std::os::unix::fs::symlink(pictures, folder.join("pictures"))?;
        }
        let ledger = self.real.desks.view().ledger();
        Ok(Note::new(run, other_cell(ledger.cell()), &ledger, now))
    }

    /// What the catalogue does not say: coupons with what is left of them, and what is closed.
    fn copy_terms(&self, desk: &Desk) -> anyhow::Result<()> {
        let mut commands = Vec::new();
        {
            let ledger = self.real.desks.view().ledger();
            for coupon in ledger.coupons() {
                let left = coupon.terms.quota.0.saturating_sub(coupon.uses.0);
                if left > 0 {
                    let terms = CouponTerms {
                        quota: Qty(left),
                        ..*coupon.terms
                    };
                    let code = coupon.code.clone();
                    commands.push(Command::CreateCoupon { code, terms });
                }
            }
            let own = desk.view().ledger();
            for view in ledger.skus().filter(|view| view.shut) {
                if let Some(sku) = own.sku_by_code(view.code) {
                    commands.push(Command::CloseSku { sku });
                }
            }
        }
        for group in commands.chunks(PAGE) {
            for reply in desk.block_on(desk.ask_all(group.to_vec())) {
                match reply.map(|answer| answer.outcome) {
                    Ok(Outcome::CouponCreated { .. } | Outcome::ShutDown) => {}
                    other => return Err(anyhow!("the shadow refused what is real: {other:?}")),
                }
            }
        }
        Ok(())
    }

    /// Looks for an order of the probe in all books; marks of the run are served if it is where
    /// it belongs and nowhere else.
    fn attest(&self, order: OrderId) -> Answer {
        // Nobody closes the shadow meanwhile.
        let opened = self.opened();
        let opened = opened.as_ref().ok_or_else(none_open)?;
        let shadow = &opened.shadow;
        let hops = evidence::of(order, (&self.real, &shadow.shop), &opened.follower);
        let proven = hops.iter().all(|hop| hop.proven);
        if proven {
            shadow.prove();
        }
        tracing::info!(run = shadow.run, proven, "the shadow was looked at");
        let body = json!({"proven": proven, "run": shadow.run, "hops": hops});
        Ok((StatusCode::OK, body))
    }
}

/// Order ids carry their cell, so that none of the shadow's can be taken for a real one.
fn other_cell(real: u16) -> u16 {
    match CELLS_MAX - 1 {
        last if last == real => last - 1,
        last => last,
    }
}

fn random() -> anyhow::Result<u64> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| anyhow!("no randomness: {error}"))?;
    Ok(u64::from_le_bytes(bytes))
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Problem> {
    serde_json::from_slice(body)
        .map_err(|error| Problem::new(Code::MalformedJson).detail(format!("{error}.")))
}

fn bad_run() -> Problem {
    let detail = "`run`: expected 1 to 64 letters, digits, '-' or '_'.";
    Problem::new(Code::OutOfBounds).detail(detail)
}

fn none_open() -> Problem {
    Problem::new(Code::NoShadow).detail("No shadow is open on this instance.")
}
