//! The door of the shop in this process: its configuration, the shop as a service behind it, and
//! what the engine tells it about stock.

use anyhow::anyhow;
use gateway::door::{Door, InProcess, Session, Sources};
use gateway::mark::{SEAWALL_SHADOW, Verified};
use host::Drain;
use host::http::Body;
use hyper::Response;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use sale::BuyerId;
use shop::{ShadowFronts, Shop, ShopService};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use wire::gateway::Context;

/// What stands before the shop where no file is given.
const BUILT_IN: &str = include_str!("shop.door.yaml");
/// Signs the marks of rehearsals; in the data folder.
pub const MARK_KEY: &str = "mark.key";
/// How soon the door hears that a SKU is gone, or back.
const STOCK_EVERY: Duration = Duration::from_millis(20);
/// Looks at the stock between two of the clock.
const TICK_LOOKS: u32 = 12;

/// The shop as the door sees it, and beside it the shadow for what the door verified to be of a
/// rehearsal. Only the door can say so: it stands in the request's extensions, not in its headers.
pub struct InShop {
    pub shop: ShopService,
    pub shadow: ShadowFronts,
}

/// A buyer's number in digits: the cheapest text, the same each time.
#[derive(Clone, Copy, Debug)]
pub struct Opaque(BuyerId);

impl fmt::Display for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(itoa::Buffer::new().format(self.0.0))
    }
}

impl InProcess for InShop {
    type Buyer = Opaque;
    fn is_called(&self, name: &str) -> bool {
        name == "shop"
    }
    fn buyer(&self, parts: &Parts) -> Option<Opaque> {
        match parts.extensions.get::<Verified>() {
            None => shop::buyer(&self.shop.0, parts).map(Opaque),
            Some(mark) => self.shadow.buyer(mark.run.as_str(), parts).map(Opaque),
        }
    }
    async fn call(&self, parts: Parts, body: Incoming, session: Session<Opaque>) -> Response<Body> {
        let session = match session {
            Session::Of(buyer) => Some(buyer.map(|Opaque(buyer)| buyer)),
            Session::Unread => None,
        };
        if let Some(mark) = parts.extensions.get::<Verified>().cloned() {
            // Boxed: few are marked, and all requests would carry its room.
            return Box::pin(self.rehearse(mark, parts, body, session)).await;
        }
        let buyer = session.unwrap_or_else(|| shop::buyer(&self.shop.0, &parts));
        self.shop.answer(parts, body, buyer).await
    }
}

impl InShop {
    /// What the shadow answered is acknowledged; its refusals are not.
    async fn rehearse(
        &self,
        mark: Verified,
        parts: Parts,
        body: Incoming,
        session: Option<Option<BuyerId>>,
    ) -> Response<Body> {
        let run = mark.run.as_str();
        match self.shadow.answer(run, parts, body, session).await {
            Ok(mut answer) => {
                let headers = answer.headers_mut();
                headers.insert(SEAWALL_SHADOW, mark.acknowledgement);
                answer
            }
            Err(refused) => refused,
        }
    }
}

/// `file` instead of the door that is built in, which believes the marks of the data folder's key.
pub fn open(file: Option<&PathBuf>, data: &Path) -> anyhow::Result<Arc<Door>> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let context = Context {
        now_ms: now.as_millis() as u64,
        build: Some(env!("CARGO_PKG_VERSION").to_owned()),
        services: Some(vec!["shop".to_owned()]),
    };
    let sources = match file {
        Some(path) => Sources::File {
            path: path.clone(),
            context,
        },
        None => {
            let path = Path::new("shop.door.yaml");
            let key = std::path::absolute(data.join(MARK_KEY))?;
            crate::up::secret(&key)?;
            // JSON is YAML, whatever letters are in the name.
            let mark = serde_json::json!({"key_files": [key]});
            let text = format!("{BUILT_IN}mark: {mark}\n");
            let files = wire::gateway::parse(path, &text, &context);
            Sources::Made(Box::new(files.map_err(|problems| anyhow!("{problems}"))?))
        }
    };
    Door::open(sources, data).map_err(|error| anyhow!("{error}"))
}

/// Tells the door what is sold out and what came back, and lets its time pass, until the drain.
pub fn keep(door: &Arc<Door>, shop: &Arc<Shop>, drain: &Drain) -> std::io::Result<()> {
    let (door, shop, drain) = (Arc::clone(door), Arc::clone(shop), drain.clone());
    let thread = std::thread::Builder::new().name("door-stock".into());
    thread.spawn(move || {
        let (mut told, mut seen, mut cpu) = (Vec::new(), u64::MAX, crate::gateway::Cpu::read());
        for look in 0_u32.. {
            if drain.is_draining() {
                return;
            }
            std::thread::sleep(STOCK_EVERY);
            let applied = shop.desks.view().applied().0;
            if applied != seen {
                seen = applied;
                tell_stock(&door, &shop, &mut told);
            }
            if look.is_multiple_of(TICK_LOOKS) {
                let now = crate::gateway::Cpu::read();
                door.tick(now.busy_since(&cpu));
                cpu = now;
            }
        }
    })?;
    Ok(())
}

/// `told` is what the door knows: by SKU, whether some are free.
fn tell_stock(door: &Door, shop: &Shop, told: &mut Vec<bool>) {
    let ledger = shop.desks.view().ledger();
    let version = ledger.seq().0;
    let mut left = 0_u64;
    let mut news = Vec::new();
    for (place, sku) in ledger.skus().enumerate() {
        let free = sku.books.free.0 > 0;
        left += u64::from(sku.books.free.0) + u64::from(sku.books.held.0);
        if told.get(place) != Some(&free) {
            news.push((sku.code.to_string(), free));
            told.resize(told.len().max(place + 1), free);
            told[place] = free;
        }
    }
    let any = ledger.sku_count() > 0;
    drop(ledger);
    for (code, free) in news {
        door.stock(&code, free, version);
    }
    if any {
        door.units_left(left);
    }
}
