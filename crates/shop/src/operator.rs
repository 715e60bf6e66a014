//! The operators' endpoints, behind the admin listener's token: books, SKUs, stock, coupons,
//! returns. They run on a thread of their own with a desk of its own, so that they answer while the
//! front drowns.

use crate::answer::{self, Answer, Problem};
use crate::catalogue::SaleState;
use crate::orders::{self, parse, refusal};
use crate::service::Front;
use crate::session;
use crate::shop::{Shop, outcome_of};
use bytes::Bytes;
use host::http::Body;
use hyper::{Method, Request, Response, StatusCode};
use sale::{
    Command, CouponTerms, Currency, LineIndex, Money, OrderId, Outcome, Qty, SkuId, Text, UnitDelta,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::rc::Rc;
use std::sync::Arc;
use store::ShopDb;
use tokio::sync::{mpsc, oneshot};
use wire::problem::Code;

/// Requests that wait for the operators' thread.
const QUEUE_MAX: usize = 256;

/// Whole answers: other bodies belong to the thread that made them.
type Asked = (Request<Bytes>, oneshot::Sender<Response<Bytes>>);

/// Hands requests to the operators' thread.
#[derive(Clone, Debug)]
pub struct Operators {
    queue: mpsc::Sender<Asked>,
}

impl Operators {
    pub async fn answer(&self, request: Request<Bytes>) -> Answer {
        let (reply, answer) = oneshot::channel();
        if self.queue.try_send((request, reply)).is_err() {
            return Problem::new(Code::Overloaded).answer();
        }
        match answer.await {
            Ok(answer) => answer.map(Body::from),
            Err(_) => Problem::new(Code::OutcomeUnknown).answer(),
        }
    }
}

pub fn start_operators(shop: Arc<Shop>) -> std::io::Result<Operators> {
    let (queue, mut requests) = mpsc::channel::<Asked>(QUEUE_MAX);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::Builder::new()
        .name("operators".into())
        .spawn(move || {
            let local = tokio::task::LocalSet::new();
            local.block_on(&runtime, async move {
                let front = Front::start(shop);
                while let Some((request, reply)) = requests.recv().await {
                    let front = Rc::clone(&front);
                    tokio::task::spawn_local(async move {
                        let answered = route(&front, &request).await;
                        let answered = answered.unwrap_or_else(|problem| problem.answer());
                        let whole = |body: Body| body.into_whole().expect("operators get it whole");
                        // An operator who hung up does not hear it.
                        let _ = reply.send(answered.map(whole));
                    });
                }
            });
        })?;
    Ok(Operators { queue })
}

async fn route(front: &Front, request: &Request<Bytes>) -> Result<Answer, Problem> {
    let path = request.uri().path();
    let Some(path) = path.strip_prefix("/operator/") else {
        return Err(Code::NotFound.into());
    };
    let parts: Vec<&str> = path.split('/').collect();
    let get = request.method() == Method::GET;
    let post = request.method() == Method::POST;
    match parts.as_slice() {
        ["books"] if get => Ok(books(front)),
        ["skus"] if post => put_product(front, request, None).await,
        ["skus", code, "terms"] if request.method() == Method::PUT => {
            put_product(front, request, Some(code)).await
        }
        ["skus", code, "open"] if post => open(front, code).await,
        ["skus", code, "close"] if post => {
            let sku = sku_of(front, code)?;
            done(front, Command::CloseSku { sku }).await
        }
        ["skus", code, "stock"] if post => adjust(front, code, request).await,
        ["coupons"] if post => create_coupon(front, request).await,
        ["orders", order, "returns"] if post => take_back(front, order, request).await,
        ["catalogue", "reload"] if post => reload(front).await,
        ["books"] | ["skus" | "coupons" | "orders" | "catalogue", ..] => Err(Code::Method.into()),
        _ => Err(Code::NotFound.into()),
    }
}

fn sku_of(front: &Front, code: &str) -> Result<SkuId, Problem> {
    let code = crate::service::decoded(code);
    let found = Text::new(&code)
        .ok()
        .and_then(|code| front.shop.desks.view().ledger().sku_by_code(&code));
    found.ok_or_else(|| {
        Problem::new(Code::UnknownSku)
            .with("sku", code.as_ref())
            .detail("No such SKU is listed.")
    })
}

/// Everything that balances, as one consistent picture.
fn books(front: &Front) -> Answer {
    let now = front.desk.now();
    let ledger = front.shop.desks.view().ledger();
    let skus: Vec<Value> = ledger
        .skus()
        .map(|view| {
            let free = view.books.free.0;
            json!({
                "sku": view.code.as_str(),
                "stocked": view.books.stocked.0,
                "free": free,
                "held": view.books.held.0,
                "sold": view.books.sold.0,
                "state": SaleState::of(view.terms, view.shut, free, now).as_str(),
                "opens_ms": view.terms.opens.0,
            })
        })
        .collect();
    let coupons: Vec<Value> = ledger
        .coupons()
        .map(|c| json!({"coupon": c.code.as_str(), "quota": c.terms.quota.0, "uses": c.uses.0}))
        .collect();
    let open = ledger.open_payments().count();
    let body = json!({
        "seq": ledger.seq().0,
        "at_ms": ledger.at().0,
        "server_ms": now.0,
        "digest": format!("{:016x}", ledger.digest()),
        "orders_accepted": ledger.orders_accepted(),
        "orders_in_memory": ledger.orders_live(),
        "payments_open": open,
        "skus": skus,
        "coupons": coupons,
    });
    drop(ledger);
    answer::no_store(answer::json(StatusCode::OK, &body))
}

async fn done(front: &Front, command: Command) -> Result<Answer, Problem> {
    match outcome_of(front.desk.ask(command).await)? {
        Outcome::Opened | Outcome::ShutDown | Outcome::TermsSet => {
            Ok(answer::json(StatusCode::OK, &json!({"done": true})))
        }
        Outcome::Adjusted { free } => Ok(answer::json(StatusCode::OK, &json!({"free": free.0}))),
        Outcome::CouponCreated { .. } => {
            Ok(answer::json(StatusCode::CREATED, &json!({"done": true})))
        }
        Outcome::Returned { refund, units } => {
            let body = json!({"refund": refund.0, "units": units.0});
            Ok(answer::json(StatusCode::OK, &body))
        }
        other => Err(refusal(other, front.desk.now().0, |_| String::new())),
    }
}

fn failed(error: &store::StoreError) -> Problem {
    tracing::error!(%error, "the catalogue cannot be written");
    Problem::new(Code::Overloaded).detail(format!("{error}."))
}

/// The catalogue is written first and the ledger follows it, so that a restart agrees.
async fn put_product(
    front: &Front,
    request: &Request<Bytes>,
    code: Option<&str>,
) -> Result<Answer, Problem> {
    let code = code.map(crate::service::decoded);
    let mut db = ShopDb::open(&front.shop.shop_db).map_err(|error| failed(&error))?;
    let known = match &code {
        Some(code) => db.product(code).map_err(|error| failed(&error))?,
        None => None,
    };
    if code.is_some() && known.is_none() {
        return Err(Code::UnknownSku.into());
    }
    let mut text: Value = parse(request.body())?;
    if let (Some(code), Some(fields)) = (&code, text.as_object_mut()) {
        fields.insert("sku".to_owned(), json!(code));
        if let Some(known) = &known {
            complete(fields, known);
        }
    }
    // One line of the import format: the same checks, the same words.
    let line = text.to_string();
    let defaults = wire::catalogue::Defaults::default();
    let mut products = Vec::new();
    let read = wire::catalogue::load(
        line.as_bytes(),
        wire::catalogue::Format::JsonLines,
        &defaults,
    );
    match read {
        Ok((read, _)) => products.extend(read),
        Err(error) => {
            return Err(Problem::new(Code::OutOfBounds).detail(format!("{error}")));
        }
    }
    db.upsert(products).map_err(|error| failed(&error))?;
    reload(front).await
}

/// What a change of terms leaves out stays as it is. A field with two names was left out if
/// neither is there.
fn complete(fields: &mut serde_json::Map<String, Value>, known: &wire::catalogue::Product) {
    let attributes_given = fields.keys().any(|name| name.starts_with("attr_"));
    let mut put = |names: &[&str], value: Value| {
        if !names.iter().any(|name| fields.contains_key(*name)) {
            fields.insert(names[0].to_owned(), value);
        }
    };
    put(&["title"], json!(known.title));
    put(&["description"], json!(known.description));
    put(&["category"], json!(known.category));
    put(&["price_minor", "price"], json!(known.price.0));
    put(&["currency"], json!(known.currency.as_str()));
    put(&["stock"], json!(known.stock));
    if let Some(limit) = known.buyer_limit {
        put(&["buyer_limit"], json!(limit));
    }
    if let Some(opens) = known.opens_ms {
        put(&["opens_ms", "opens"], json!(opens));
    }
    if let Some(closes) = known.closes_ms {
        put(&["closes_ms", "closes"], json!(closes));
    }
    put(&["hold_ms", "hold_s"], json!(known.hold_ms));
    if let Some(picture) = &known.picture {
        put(&["picture"], json!(picture));
    }
    if !attributes_given {
        let attributes = known.attributes.iter().map(|(n, v)| (n.clone(), json!(v)));
        put(&["attributes"], Value::Object(attributes.collect()));
    }
}

async fn open(front: &Front, code: &str) -> Result<Answer, Problem> {
    let sku = sku_of(front, code)?;
    // The catalogue must not close it again at the next start.
    let mut db = ShopDb::open(&front.shop.shop_db).map_err(|error| failed(&error))?;
    let name = crate::service::decoded(code);
    if let Some(mut product) = db.product(&name).map_err(|error| failed(&error))? {
        let now = front.desk.now().0;
        product.opens_ms = product.opens_ms.map(|opens| opens.min(now));
        product.closes_ms = product.closes_ms.filter(|closes| *closes > now);
        db.upsert([product]).map_err(|error| failed(&error))?;
    }
    let opened = done(front, Command::OpenSku { sku }).await?;
    reload(front).await?;
    Ok(opened)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AdjustBody {
    delta: i64,
    reason: String,
}

fn operator_key(request: &Request<Bytes>) -> Result<sale::RequestId, Problem> {
    let key = request
        .headers()
        .get("idempotency-key")
        .and_then(|value| value.to_str().ok());
    key.filter(|key| session::is_key(key))
        .map(session::operator_request_id)
        .ok_or_else(|| Problem::new(Code::KeyMissing).detail(orders::KEY_DETAIL))
}

fn text_of(name: &str, text: &str) -> Result<Text, Problem> {
    Text::new(text).map_err(|error| {
        Problem::new(Code::OutOfBounds).detail(format!("`{name}`: expected {error}."))
    })
}

async fn adjust(front: &Front, code: &str, request: &Request<Bytes>) -> Result<Answer, Problem> {
    let sku = sku_of(front, code)?;
    let key = operator_key(request)?;
    let body: AdjustBody = parse(request.body())?;
    let reason = text_of("reason", &body.reason)?;
    let delta = UnitDelta(body.delta);
    done(
        front,
        Command::AdjustStock {
            request: key,
            sku,
            delta,
            reason,
        },
    )
    .await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CouponBody {
    coupon: String,
    quota: u32,
    amount_off: i64,
    minimum_total: i64,
    currency: String,
}

async fn create_coupon(front: &Front, request: &Request<Bytes>) -> Result<Answer, Problem> {
    let body: CouponBody = parse(request.body())?;
    let code = text_of("coupon", &body.coupon)?;
    let currency = Currency::new(&body.currency).ok_or_else(|| {
        Problem::new(Code::OutOfBounds).detail("`currency`: expected three capital letters.")
    })?;
    let terms = CouponTerms {
        quota: Qty(body.quota),
        amount_off: Money(body.amount_off),
        currency,
        minimum_total: Money(body.minimum_total),
    };
    let created = done(front, Command::CreateCoupon { code, terms }).await?;
    reload(front).await?;
    Ok(created)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReturnBody {
    lines: Vec<ReturnLine>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReturnLine {
    line: u16,
    quantity: u32,
}

async fn take_back(
    front: &Front,
    order: &str,
    request: &Request<Bytes>,
) -> Result<Answer, Problem> {
    let key = operator_key(request)?;
    let order = OrderId::parse(order).ok_or_else(|| Problem::new(Code::UnknownOrder))?;
    let body: ReturnBody = parse(request.body())?;
    let lines = body
        .lines
        .iter()
        .map(|l| (LineIndex(l.line), Qty(l.quantity)))
        .collect();
    done(
        front,
        Command::Return {
            request: key,
            order,
            lines,
        },
    )
    .await
}

async fn reload(front: &Front) -> Result<Answer, Problem> {
    match front.shop.reload(&front.desk).await {
        Ok(reloaded) => Ok(answer::json(StatusCode::OK, &reloaded)),
        Err(error) => {
            tracing::error!(%error, "the catalogue was not loaded");
            Err(Problem::new(Code::Overloaded).detail(format!("{error}.")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::complete;
    use serde_json::{Value, json};
    use wire::catalogue::{Defaults, Format, Product, load};

    fn product(fields: &Value) -> Product {
        let line = fields.to_string();
        let read = load(line.as_bytes(), Format::JsonLines, &Defaults::default());
        read.expect("a good line").0.remove(0)
    }

    fn changed(change: Value) -> Product {
        let known = product(&json!({
            "sku": "mug", "title": "A mug", "description": "For tea.", "category": "Cups",
            "price": "19.99", "currency": "EUR", "stock": 5, "buyer_limit": 2,
            "opens_ms": 1_000, "closes_ms": 2_000, "hold_ms": 9_000, "picture": "/a.svg",
            "attributes": {"colour": "red", "size": "large"},
        }));
        let Value::Object(mut fields) = change else {
            panic!("a change is an object")
        };
        fields.insert("sku".to_owned(), json!("mug"));
        complete(&mut fields, &known);
        let after = product(&Value::Object(fields));
        // Whatever else the change did is compared by the caller.
        assert_eq!(
            (&after.title, &after.picture),
            (&known.title, &known.picture)
        );
        after
    }

    #[test]
    fn a_change_of_terms_changes_what_it_names_under_either_name() {
        let same = changed(json!({}));
        assert_eq!(
            (same.price.0, same.buyer_limit, same.hold_ms),
            (1_999, Some(2), 9_000)
        );
        assert_eq!((same.opens_ms, same.closes_ms), (Some(1_000), Some(2_000)));
        assert_eq!(same.attributes.len(), 2);
        assert_eq!(changed(json!({"price": "1.50"})).price.0, 150);
        assert_eq!(changed(json!({"price_minor": 150})).price.0, 150);
        assert_eq!(changed(json!({"hold_s": 60})).hold_ms, 60_000);
        assert_eq!(
            changed(json!({"opens": "1970-01-01T00:00:01.5Z"})).opens_ms,
            Some(1_500)
        );
        assert_eq!(changed(json!({"closes": null})).closes_ms, None);
        assert_eq!(changed(json!({"buyer_limit": null})).buyer_limit, None);
        let blue = changed(json!({"attr_colour": "blue"})).attributes;
        assert_eq!(blue, [("colour".to_owned(), "blue".to_owned())]);
    }
}
