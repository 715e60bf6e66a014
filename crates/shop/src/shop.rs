//! What all workers share.

use crate::answer::{self, Answer, Problem};
use crate::catalogue::{Catalogue, Item, SaleState, terms_of};
use crate::limits;
use crate::live::Live;
use crate::pages::{PageCache, Rendered, Site};
use crate::payment::Payments;
use crate::people::People;
use crate::service::Front;
use crate::session::{COOKIE, Sessions};
use bytes::Bytes;
use engine::{Answer as Answered, Desk, Desks};
use hyper::StatusCode;
use hyper::header::{HeaderValue, SET_COOKIE};
use sale::{At, BuyerId, Command, Line, OrderId, OrderView, Outcome, SkuId, Text};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use store::{ProjectionReader, ShopReader, StoreError};
use subtle::ConstantTimeEq;
use wire::problem::Code;

#[derive(Debug)]
pub struct Shop {
    pub desks: Desks,
    pub sessions: Sessions,
    pub people: People,
    pub payments: Arc<Payments>,
    pub live: Live,
    pub pages: PageCache,
    pub site: Site,
    pub tagline: String,
    pub pictures: HashMap<String, Rendered>,
    pub cookie_secure: bool,
    pub session_ms: u64,
    /// How long a body may take to arrive.
    pub body_ms: u64,
    /// Origins, beside the one in `Host`, whose pages may write.
    pub origins: Vec<String>,
    /// Names and secrets of trusted channels.
    pub channels: Vec<(String, String)>,
    pub shop_db: PathBuf,
    pub projection_db: PathBuf,
    /// The last entry in the projection.
    pub projected: Arc<AtomicU64>,
    catalogue: RwLock<Arc<Catalogue>>,
    ended: AtomicBool,
}

/// What a shop is made of.
#[derive(Debug)]
pub struct Parts {
    pub desks: Desks,
    pub sessions: Sessions,
    pub people: People,
    pub payments: Arc<Payments>,
    pub campaign: String,
    pub tagline: String,
    pub pictures: HashMap<String, Rendered>,
    pub cookie_secure: bool,
    pub session_ms: u64,
    /// How long a body may take to arrive.
    pub body_ms: u64,
    pub origins: Vec<String>,
    pub channels: Vec<(String, String)>,
    pub shop_db: PathBuf,
    pub projection_db: PathBuf,
    pub projected: Arc<AtomicU64>,
}

/// What [`Shop::reload`] did to the ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Reloaded {
    pub products: usize,
    pub listed: usize,
    pub terms_set: usize,
    /// Products that the ledger would not take.
    pub refused: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the engine takes no commands: {0:?}")]
    Turned(engine::Turned),
}

impl Shop {
    pub fn new(parts: Parts) -> Arc<Shop> {
        Arc::new(Shop {
            desks: parts.desks,
            sessions: parts.sessions,
            people: parts.people,
            payments: parts.payments,
            live: Live::default(),
            pages: PageCache::default(),
            site: Site {
                campaign: parts.campaign,
                live: "/v1/live".to_owned(),
            },
            tagline: parts.tagline,
            pictures: parts.pictures,
            cookie_secure: parts.cookie_secure,
            session_ms: parts.session_ms,
            body_ms: parts.body_ms,
            origins: parts.origins,
            channels: parts.channels,
            shop_db: parts.shop_db,
            projection_db: parts.projection_db,
            projected: parts.projected,
            catalogue: RwLock::default(),
            ended: AtomicBool::new(false),
        })
    }

    pub fn catalogue(&self) -> Arc<Catalogue> {
        Arc::clone(
            &self
                .catalogue
                .read()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// Starts the threads that keep live stock and payments going.
    pub fn start(self: &Arc<Self>) -> std::io::Result<()> {
        let shop = Arc::clone(self);
        let ended = move || shop.ended.load(Ordering::Relaxed);
        self.payments.watch(self.desks.clone(), ended)?;
        let shop = Arc::clone(self);
        let live = std::thread::Builder::new().name("live".into());
        live.spawn(move || {
            let ended = || shop.ended.load(Ordering::Relaxed);
            shop.live.run(|| shop.catalogue(), &shop.desks, ended);
        })?;
        Ok(())
    }

    /// Lets the threads of [`Shop::start`] end at their next turn: a shadow ends before the
    /// process does.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    /// Makes the ledger sell what the catalogue says: lists new products, changes terms that
    /// differ, and swaps the catalogue. Stock of listed products is left alone.
    pub async fn reload(&self, desk: &Desk) -> Result<Reloaded, ReloadError> {
        let products = all_products(&self.shop_db)?;
        let mut done = Reloaded {
            products: products.len(),
            ..Reloaded::default()
        };
        let mut commands = Vec::new();
        {
            let ledger = self.desks.view().ledger();
            for product in &products {
                let Ok(code) = Text::new(&product.sku) else {
                    continue;
                };
                let terms = terms_of(product);
                match ledger.sku_by_code(&code).and_then(|sku| ledger.sku(sku)) {
                    None => {
                        let stock = sale::Qty(product.stock);
                        commands.push(Command::ListSku { code, stock, terms });
                    }
                    Some(view) if *view.terms != terms => {
                        commands.push(Command::SetTerms {
                            sku: view.sku,
                            terms,
                        });
                    }
                    Some(_) => {}
                }
            }
        }
        // The ledger is the judge; a group is small enough for the inbox.
        for group in commands.chunks(4_096) {
            for reply in desk.ask_all(group.to_vec()).await {
                match reply.map_err(ReloadError::Turned)?.outcome {
                    Outcome::Listed { .. } => done.listed += 1,
                    Outcome::TermsSet => done.terms_set += 1,
                    _ => done.refused += 1,
                }
            }
        }
        let mut place = self
            .catalogue
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let version = place.version + 1;
        *place = Arc::new(Catalogue::new(
            products,
            &self.desks.view().ledger(),
            version,
        ));
        Ok(done)
    }

    /// The channel that a bearer token proves.
    pub fn channel_of(&self, token: &str) -> Option<String> {
        let same = |secret: &str| bool::from(secret.as_bytes().ct_eq(token.as_bytes()));
        // Every secret is compared, so that time tells nothing.
        let found = self.channels.iter().fold(
            None,
            |found, (name, secret)| {
                if same(secret) { Some(name) } else { found }
            },
        );
        found.cloned()
    }

    pub fn cookie(&self, session: &str, max_age_s: u64) -> HeaderValue {
        let secure = if self.cookie_secure { "; Secure" } else { "" };
        let cookie = format!(
            "{COOKIE}={session}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Lax{secure}"
        );
        HeaderValue::from_str(&cookie).expect("base 64 and digits fit a header")
    }

    /// Signs a buyer in: the session in the body for programs, in the cookie for browsers.
    pub fn session_answer(&self, status: StatusCode, buyer: BuyerId, now_ms: u64) -> Answer {
        let expires_ms = now_ms + self.session_ms;
        let session = self.sessions.issue(buyer, expires_ms);
        let body = json!({
            "buyer": format!("{:032x}", buyer.0),
            "session": session,
            "expires_ms": expires_ms,
        });
        let mut answer = answer::no_store(answer::json(status, &body));
        let cookie = self.cookie(&session, self.session_ms / 1_000);
        answer.headers_mut().insert(SET_COOKIE, cookie);
        answer
    }

    pub fn product_json(&self, item: &Item, whole: bool) -> Value {
        let product = &item.product;
        let ledger = self.desks.view().ledger();
        let view = ledger
            .sku(item.sku)
            .expect("the catalogue holds listed SKUs only");
        let now = self.desks.now();
        let free = view.books.free.0;
        let mut value = json!({
            "sku": product.sku,
            "title": product.title,
            "category": product.category,
            "price": {"amount": view.terms.price.0, "currency": view.terms.currency.as_str()},
            "picture": product.picture,
            "opens_ms": view.terms.opens.0,
            "closes_ms": view.terms.closes.map(|closes| closes.0),
            "buyer_limit": view.terms.buyer_limit,
            "free": free,
            "state": SaleState::of(view.terms, view.shut, free, now).as_str(),
        });
        if whole {
            value["description"] = json!(product.description);
            let attributes: serde_json::Map<_, _> = product
                .attributes
                .iter()
                .map(|(n, v)| (n.clone(), json!(v)))
                .collect();
            value["attributes"] = Value::Object(attributes);
        }
        value
    }

    /// A buyer's orders, newest first. Waits a moment for the projection to know what the ledger
    /// knows now.
    pub async fn orders_of(
        &self,
        front: &Front,
        buyer: BuyerId,
        limit: usize,
        before: Option<OrderId>,
    ) -> Result<Vec<OrderView>, Problem> {
        let known = self.desks.view().applied().0;
        let start = Instant::now();
        let patience = Duration::from_millis(limits::PROJECTION_WAIT_MS);
        while self.projected.load(Ordering::Acquire) < known && start.elapsed() < patience {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let failed = |error: StoreError| {
            tracing::error!(%error, "reading the projection");
            Problem::new(Code::Overloaded).detail("Orders cannot be listed at the moment.")
        };
        let mut reader = front.projection.borrow_mut();
        if reader.is_none() {
            *reader = Some(ProjectionReader::open(&self.projection_db).map_err(failed)?);
        }
        let Some(reader) = reader.as_ref() else {
            return Ok(Vec::new());
        };
        let rows = reader.orders_of(buyer, before, limit).map_err(failed)?;
        let ledger = self.desks.view().ledger();
        let view =
            |row: &store::projection::OrderRow| ledger.order(row.order).unwrap_or_else(|| old(row));
        Ok(rows.iter().map(view).collect())
    }
}

/// An order that the ledger has forgotten, as the projection remembers it.
fn old(row: &store::projection::OrderRow) -> OrderView {
    let held = sale::Held {
        order: row.order,
        total: row.total,
        currency: row.currency,
        pay_by: row.pay_by,
    };
    let line = |l: &store::projection::OrderLine| {
        (
            Line {
                sku: l.sku,
                qty: l.qty,
            },
            l.unit_price,
            l.returned,
        )
    };
    OrderView {
        held,
        buyer: row.buyer,
        status: row.status,
        held_at: row.held_at,
        ended_at: row.ended_at,
        lines: row.lines.iter().map(line).collect(),
        coupon: row.coupon,
    }
}

fn all_products(shop_db: &Path) -> Result<Vec<wire::catalogue::Product>, StoreError> {
    let reader = ShopReader::open(shop_db)?;
    let mut products = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = reader.products(after.as_deref(), 1_000)?;
        products.extend(page.products);
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(products),
        }
    }
}

/// Reads the pictures of a folder, up to the bounds of memory.
pub fn load_pictures(folder: &Path) -> std::io::Result<HashMap<String, Rendered>> {
    let mut pictures = HashMap::new();
    let mut bytes = 0;
    let mut entries: Vec<_> = std::fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = match name.rsplit_once('.').map(|(_, ending)| ending) {
            Some("svg") => "image/svg+xml",
            Some("png") => "image/png",
            Some("jpg" | "jpeg") => "image/jpeg",
            Some("webp") => "image/webp",
            _ => continue,
        };
        let length = entry.metadata()?.len() as usize;
        if length > limits::PICTURE_BYTES_MAX || bytes + length > limits::PICTURES_BYTES_MAX {
            tracing::warn!(
                name,
                length,
                "a picture is too large to be served from memory"
            );
            continue;
        }
        bytes += length;
        let body = Bytes::from(std::fs::read(entry.path())?);
        pictures.insert(name, Rendered::picture(body, kind));
    }
    Ok(pictures)
}

/// What the ledger says about a SKU and when, for pages.
#[derive(Clone, Copy, Debug)]
pub struct Glance {
    pub sku: SkuId,
    pub stocked: u32,
    pub free: u32,
    pub held: u32,
    pub sold: u32,
    pub state: SaleState,
    pub opens: At,
    pub closes: Option<At>,
}

impl Shop {
    pub fn glance(&self, sku: SkuId) -> Option<Glance> {
        let ledger = self.desks.view().ledger();
        let view = ledger.sku(sku)?;
        let books = view.books;
        Some(Glance {
            sku,
            stocked: books.stocked.0,
            free: books.free.0,
            held: books.held.0,
            sold: books.sold.0,
            state: SaleState::of(view.terms, view.shut, books.free.0, self.desks.now()),
            opens: view.terms.opens,
            closes: view.terms.closes,
        })
    }
}

/// Asks, and takes only the outcome.
pub fn outcome_of(answered: Result<Answered, engine::Turned>) -> Result<Outcome, Problem> {
    answered
        .map(|answered| answered.outcome)
        .map_err(crate::orders::turned)
}
