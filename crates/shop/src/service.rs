//! One request: who asks, from where, for what. The order path comes first and touches nothing that
//! it does not need.

use crate::answer::{self, Answer, Problem};
use crate::forms;
use crate::limits;
use crate::orders::{self, BatchFor};
use crate::payment::{self, PayAnswer};
use crate::session::{self, COOKIE};
use crate::shield::Shield;
use crate::shop::Shop;
use bytes::Bytes;
use engine::Desk;
use host::http::{Body, BodyError, read_body};
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT_ENCODING, ALLOW, AUTHORIZATION, CONTENT_TYPE, COOKIE as COOKIE_HEADER, HOST,
    HeaderValue, IF_NONE_MATCH, ORIGIN, SET_COOKIE,
};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use sale::{BuyerId, Money, OrderId};
use serde::Deserialize;
use serde_json::json;
use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use store::ProjectionReader;
use wire::problem::Code;

/// What one worker needs: the shared shop, its own desk and its own look at the projection.
#[derive(Debug)]
pub struct Front {
    pub shop: Arc<Shop>,
    pub desk: Desk,
    pub projection: RefCell<Option<ProjectionReader>>,
}

impl Front {
    /// Must be called on the worker's thread, inside its `LocalSet`.
    pub fn start(shop: Arc<Shop>) -> Rc<Front> {
        let front = Front::of(shop);
        let pumped = Rc::clone(&front);
        tokio::task::spawn_local(async move { pumped.desk.pump().await });
        front
    }

    /// Whoever has it pumps its desk.
    pub(crate) fn of(shop: Arc<Shop>) -> Rc<Front> {
        let desk = shop.desks.open();
        Rc::new(Front {
            shop,
            desk,
            projection: RefCell::new(None),
        })
    }
}

/// The shop as a service of a listener.
#[derive(Clone, Debug)]
pub struct ShopService(pub Rc<Front>);

impl ShopService {
    /// `buyer` is whose session the request carries, as [`buyer`] tells.
    pub async fn answer(
        &self,
        parts: Parts,
        body: Incoming,
        buyer: Option<BuyerId>,
    ) -> Response<Body> {
        if parts.method == Method::POST && parts.uri.path() == "/v1/orders" {
            return place(&self.0, &parts, body, buyer).await;
        }
        let head = parts.method == Method::HEAD;
        let mut answer = Box::pin(route(&self.0, &parts, body)).await;
        if head {
            *answer.body_mut() = Body::Empty;
        }
        answer
    }
}

/// Who asks, if their session is good.
pub fn buyer(front: &Front, parts: &Parts) -> Option<BuyerId> {
    let now = front.desk.now().0;
    front.shop.sessions.buyer(token(parts)?, now)
}

/// The session that a request carries: in the cookie, or as a bearer token.
fn token(parts: &Parts) -> Option<&str> {
    if let Some(bearer) = bearer(parts) {
        return Some(bearer);
    }
    let cookies = parts
        .headers
        .get_all(COOKIE_HEADER)
        .iter()
        .filter_map(|v| v.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';'));
    pairs.find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

fn bearer(parts: &Parts) -> Option<&str> {
    let value = parts.headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// A write that a page of another site may have caused is refused: browsers say where a request
/// comes from, and programs with a bearer token are nobody's page.
pub fn same_site(front: &Front, parts: &Parts) -> Result<(), Problem> {
    if bearer(parts).is_some() {
        return Ok(());
    }
    let header = |name: &str| {
        parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let refused = || Err(Problem::new(Code::CrossSite));
    match header("sec-fetch-site") {
        Some("same-origin" | "none") => return Ok(()),
        Some(_) => return refused(),
        None => {}
    }
    let Some(origin) = parts.headers.get(ORIGIN) else {
        return Ok(());
    };
    let Ok(origin) = origin.to_str() else {
        return refused();
    };
    if front.shop.origins.iter().any(|ours| ours == origin) {
        return Ok(());
    }
    let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    match (origin.split_once("://"), host) {
        (Some((_, authority)), Some(host)) if authority.eq_ignore_ascii_case(host) => Ok(()),
        _ => refused(),
    }
}

pub async fn read(front: &Front, body: Incoming, bytes_max: usize) -> Result<Bytes, Problem> {
    let timeout = Duration::from_millis(front.shop.body_ms);
    read_body(body, bytes_max, timeout).await.map_err(|error| {
        let code = match error {
            BodyError::TooLarge { .. } => Code::TooLarge,
            BodyError::TooSlow { .. } => Code::TooSlow,
            BodyError::Broken => Code::MalformedJson,
        };
        Problem::new(code).detail(format!("{error}."))
    })
}

fn is_json(parts: &Parts) -> Result<(), Problem> {
    let kind = parts.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let json = kind.is_some_and(|kind| {
        let essence = kind.split(|byte| *byte == b';').next().unwrap_or_default();
        essence
            .trim_ascii()
            .eq_ignore_ascii_case(b"application/json")
    });
    if json {
        Ok(())
    } else {
        Err(Code::WrongType.into())
    }
}

fn key(parts: &Parts) -> Result<&str, Problem> {
    let key = parts
        .headers
        .get("idempotency-key")
        .and_then(|value| value.to_str().ok());
    key.filter(|key| session::is_key(key))
        .ok_or_else(|| Problem::new(Code::KeyMissing).detail(orders::KEY_DETAIL))
}

fn signed_in(front: &Front, parts: &Parts) -> Result<BuyerId, Problem> {
    buyer(front, parts).ok_or_else(|| Code::Unauthenticated.into())
}

/// Everything about a write that can be told without its body.
fn write_allowed(front: &Front, parts: &Parts) -> Result<BuyerId, Problem> {
    let buyer = signed_in(front, parts)?;
    same_site(front, parts)?;
    Ok(buyer)
}

async fn place(front: &Front, parts: &Parts, body: Incoming, buyer: Option<BuyerId>) -> Answer {
    let asked = || {
        let buyer = buyer.ok_or(Problem::from(Code::Unauthenticated))?;
        same_site(front, parts)?;
        is_json(parts)?;
        Ok::<_, Problem>((buyer, key(parts)?))
    };
    let asked = asked();
    let (buyer, key) = match asked {
        Ok(asked) => asked,
        Err(problem) => return problem.answer(),
    };
    match read(front, body, limits::ORDER_BODY_BYTES_MAX).await {
        Ok(body) => orders::place(front, buyer, key, &body).await,
        Err(problem) => problem.answer(),
    }
}

/// One entry of the API: what a method and a path mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    Accounts,
    SignIn,
    SignOut,
    Products,
    Product,
    Place,
    PlaceBatch,
    Orders,
    Order,
    Pay,
    Cancel,
    Live,
}

/// The API's routes, as the OpenAPI document names them.
pub const ROUTES: &[(&str, &str, Api)] = &[
    ("POST", "/v1/accounts", Api::Accounts),
    ("POST", "/v1/session", Api::SignIn),
    ("DELETE", "/v1/session", Api::SignOut),
    ("GET", "/v1/products", Api::Products),
    ("GET", "/v1/products/{sku}", Api::Product),
    ("POST", "/v1/orders", Api::Place),
    ("POST", "/v1/orders:batch", Api::PlaceBatch),
    ("GET", "/v1/orders", Api::Orders),
    ("GET", "/v1/orders/{order}", Api::Order),
    ("POST", "/v1/orders/{order}/payment", Api::Pay),
    ("POST", "/v1/orders/{order}/cancel", Api::Cancel),
    ("GET", "/v1/live", Api::Live),
];

/// The variable part of a path, if the path is of that shape.
fn variable<'a>(template: &str, path: &'a str) -> Option<&'a str> {
    let Some(open) = template.find('{') else {
        return (template == path).then_some("");
    };
    let after = template.find('}').map(|close| &template[close + 1..])?;
    let rest = path.strip_prefix(&template[..open])?;
    let value = rest.strip_suffix(after)?;
    (!value.is_empty() && !value.contains('/')).then_some(value)
}

pub fn decoded(text: &str) -> Cow<'_, str> {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy()
}

/// The fields of a query or a form.
pub fn fields(text: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(text).into_owned().collect()
}

pub fn field<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    fields
        .iter()
        .find(|(found, _)| found == name)
        .map(|(_, value)| value.as_str())
}

async fn route(front: &Rc<Front>, parts: &Parts, body: Incoming) -> Answer {
    let path = parts.uri.path();
    if !path.starts_with("/v1/") {
        return forms::route(front, parts, body).await;
    }
    let method = if parts.method == Method::HEAD {
        "GET"
    } else {
        parts.method.as_str()
    };
    let found = ROUTES.iter().find_map(|(verb, template, api)| {
        (*verb == method).then(|| variable(template, path).map(|value| (*api, value)))?
    });
    match found {
        Some((api, value)) => {
            let value = decoded(value);
            call(front, api, &value, parts, body)
                .await
                .unwrap_or_else(|problem| problem.answer())
        }
        None => not_routed(path),
    }
}

fn not_routed(path: &str) -> Answer {
    let mut methods: Vec<&str> = ROUTES
        .iter()
        .filter(|(_, template, _)| variable(template, path).is_some())
        .map(|(verb, ..)| *verb)
        .collect();
    if methods.is_empty() {
        return Problem::new(Code::NotFound).answer();
    }
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    let mut answer = Problem::new(Code::Method).answer();
    if let Ok(allow) = HeaderValue::from_str(&methods.join(", ")) {
        answer.headers_mut().insert(ALLOW, allow);
    }
    answer
}

async fn call(
    front: &Rc<Front>,
    api: Api,
    value: &str,
    parts: &Parts,
    body: Incoming,
) -> Result<Answer, Problem> {
    let shop = &front.shop;
    match api {
        Api::Accounts => create_account(front, parts, body).await,
        Api::SignIn => sign_in(front, parts, body).await,
        Api::SignOut => {
            same_site(front, parts)?;
            let mut answer = answer::no_content();
            answer.headers_mut().insert(SET_COOKIE, shop.cookie("", 0));
            Ok(answer)
        }
        Api::Products => products(front, parts),
        Api::Product => match shop.catalogue().find(value) {
            Some(item) => {
                let mut product = shop.product_json(item, true);
                product["server_ms"] = json!(front.desk.now().0);
                Ok(answer::no_store(answer::json(StatusCode::OK, &product)))
            }
            None => Err(Problem::new(Code::NotFound).detail("No product has this code.")),
        },
        Api::Place => Ok(place(front, parts, body, buyer(front, parts)).await),
        Api::PlaceBatch => place_batch(front, parts, body).await,
        Api::Orders => {
            let buyer = signed_in(front, parts)?;
            let fields = fields(parts.uri.query().unwrap_or_default().as_bytes());
            let limit = page_limit(&fields, limits::ORDERS_PAGE_MAX)?;
            let before = match field(&fields, "before") {
                None => None,
                Some(id) => Some(OrderId::parse(id).ok_or_else(|| {
                    Problem::new(Code::OutOfBounds).detail("`before` is an order id.")
                })?),
            };
            Ok(orders::list(front, buyer, limit, before).await)
        }
        Api::Order => Ok(orders::look(front, signed_in(front, parts)?, value)),
        Api::Pay => pay(front, parts, value, body).await,
        Api::Cancel => {
            let buyer = write_allowed(front, parts)?;
            read(front, body, limits::SMALL_BODY_BYTES_MAX).await?;
            Ok(orders::cancel(front, buyer, value).await)
        }
        Api::Live => {
            if Shield::of(&parts.headers).live_stock() {
                return Ok(answer::switched_off(
                    "Live stock is switched off for a while.",
                ));
            }
            let body = shop.live.listen(&shop.catalogue(), front.desk.now().0);
            let body = body.ok_or_else(|| Problem::new(Code::Overloaded))?;
            let kind = HeaderValue::from_static("text/event-stream");
            Ok(answer::no_store(answer::bytes(StatusCode::OK, kind, body)))
        }
    }
}

/// `limit` of a query: 1 to `most`, 50 unless said.
fn page_limit(fields: &[(String, String)], most: usize) -> Result<usize, Problem> {
    let Some(text) = field(fields, "limit") else {
        return Ok(50.min(most));
    };
    let limit = text.parse().ok().filter(|limit| (1..=most).contains(limit));
    limit.ok_or_else(|| {
        Problem::new(Code::OutOfBounds).detail(format!("`limit` is from 1 to {most}."))
    })
}

fn products(front: &Front, parts: &Parts) -> Result<Answer, Problem> {
    let fields = fields(parts.uri.query().unwrap_or_default().as_bytes());
    let limit = page_limit(&fields, limits::PRODUCTS_PAGE_MAX)?;
    let catalogue = front.shop.catalogue();
    let start = match field(&fields, "after") {
        None => 0,
        Some(code) => match catalogue.position(code) {
            Some(position) => position + 1,
            None => {
                let detail = "`after` is not the code of a product.";
                return Err(Problem::new(Code::OutOfBounds).detail(detail));
            }
        },
    };
    let items = catalogue.items();
    let page = &items[start.min(items.len())..items.len().min(start + limit)];
    let more = start + page.len() < items.len();
    let next = page
        .last()
        .filter(|_| more)
        .map(|item| item.product.sku.as_str());
    let products: Vec<_> = page
        .iter()
        .map(|item| front.shop.product_json(item, false))
        .collect();
    let body = json!({"products": products, "next": next, "server_ms": front.desk.now().0});
    Ok(answer::no_store(answer::json(StatusCode::OK, &body)))
}

async fn place_batch(front: &Front, parts: &Parts, body: Incoming) -> Result<Answer, Problem> {
    let channel = bearer(parts).and_then(|token| front.shop.channel_of(token));
    let who = match channel {
        Some(channel) => BatchFor::Channel(channel),
        None => BatchFor::Buyer(write_allowed(front, parts)?),
    };
    is_json(parts)?;
    let body = read(front, body, limits::BATCH_BODY_BYTES_MAX).await?;
    Ok(orders::place_batch(front, &who, &body).await)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewAccount<'a> {
    #[serde(borrow)]
    email: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    password: Cow<'a, str>,
}

async fn create_account(front: &Front, parts: &Parts, body: Incoming) -> Result<Answer, Problem> {
    same_site(front, parts)?;
    is_json(parts)?;
    let body = read(front, body, limits::SMALL_BODY_BYTES_MAX).await?;
    let new: NewAccount<'_> = orders::parse(&body)?;
    let buyer = front
        .shop
        .people
        .create(&new.email, &new.name, &new.password)
        .await?;
    Ok(front
        .shop
        .session_answer(StatusCode::CREATED, buyer, front.desk.now().0))
}

#[derive(Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum SignIn<'a> {
    Password {
        #[serde(borrow)]
        email: Cow<'a, str>,
        #[serde(borrow)]
        password: Cow<'a, str>,
    },
    Token {
        #[serde(borrow)]
        token: Cow<'a, str>,
    },
}

async fn sign_in(front: &Front, parts: &Parts, body: Incoming) -> Result<Answer, Problem> {
    same_site(front, parts)?;
    is_json(parts)?;
    let body = read(front, body, limits::SMALL_BODY_BYTES_MAX).await?;
    let buyer = match orders::parse::<SignIn<'_>>(&body)? {
        SignIn::Password { email, password } => {
            front.shop.people.sign_in(&email, &password).await?
        }
        SignIn::Token { token } => front.shop.people.exchange(&token)?,
    };
    Ok(front
        .shop
        .session_answer(StatusCode::OK, buyer, front.desk.now().0))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PayBody<'a> {
    #[serde(borrow)]
    amount: Amount<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Amount<'a> {
    amount: i64,
    #[serde(borrow)]
    currency: Cow<'a, str>,
}

async fn pay(
    front: &Rc<Front>,
    parts: &Parts,
    order: &str,
    body: Incoming,
) -> Result<Answer, Problem> {
    let buyer = write_allowed(front, parts)?;
    is_json(parts)?;
    let key = key(parts)?;
    let body = read(front, body, limits::SMALL_BODY_BYTES_MAX).await?;
    let asked: PayBody<'_> = orders::parse(&body)?;
    let id = OrderId::parse(order).ok_or_else(|| Problem::new(Code::UnknownOrder))?;
    let view = orders::owned(front, buyer, id).ok_or_else(|| Problem::new(Code::UnknownOrder))?;
    if asked.amount.currency != view.held.currency.as_str() {
        let due = view.held.currency.as_str();
        let detail = format!("The order is in {due}.");
        return Err(Problem::new(Code::WrongAmount)
            .with("currency", due)
            .detail(detail));
    }
    let payment = session::payment_ref(buyer, id, key);
    let paid = pay_to_the_end(front, view, payment, Money(asked.amount.amount)).await?;
    let reference = format!("{:032x}", payment.0);
    let (status, word) = match paid {
        PayAnswer::Paid => (StatusCode::OK, "paid"),
        PayAnswer::Pending => (StatusCode::ACCEPTED, "pending"),
    };
    let body = json!({"order": order, "status": word, "payment": reference});
    Ok(answer::json(status, &body))
}

/// Runs a payment apart from its request: a payer who hangs up does not stop it.
pub async fn pay_to_the_end(
    front: &Rc<Front>,
    view: sale::OrderView,
    payment: sale::PaymentRef,
    amount: Money,
) -> Result<PayAnswer, Problem> {
    let runner = Rc::clone(front);
    let run = tokio::task::spawn_local(async move {
        payment::pay(&runner.shop.payments, &runner.desk, &view, payment, amount).await
    });
    run.await
        .unwrap_or_else(|_| Err(Problem::new(Code::OutcomeUnknown)))
}

pub fn accept_encoding(parts: &Parts) -> Option<&str> {
    parts
        .headers
        .get(ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok())
}

pub fn if_none_match(parts: &Parts) -> Option<&str> {
    parts
        .headers
        .get(IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::variable;

    #[test]
    fn templates_take_one_segment() {
        assert_eq!(variable("/v1/orders", "/v1/orders"), Some(""));
        assert_eq!(
            variable("/v1/orders/{order}", "/v1/orders/abc"),
            Some("abc")
        );
        assert_eq!(
            variable("/v1/orders/{order}/cancel", "/v1/orders/abc/cancel"),
            Some("abc")
        );
        for path in [
            "/v1/orders/",
            "/v1/orders/a/b",
            "/v1/orders//cancel",
            "/v1/order",
        ] {
            assert_eq!(variable("/v1/orders/{order}", path), None, "{path}");
        }
    }
}
