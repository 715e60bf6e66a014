//! Pages and forms: what a browser asks for, with or without scripts. Pages that everybody sees come
//! ready-made; personal ones are made for one answer and kept by nobody.

use crate::answer::{self, Answer, Problem};
use crate::catalogue::{Item, SaleState};
use crate::limits;
use crate::orders::{self, LineBody};
use crate::pages::{self, Again, Card, Price, Refusal, RefusalView, SaleState as PageState};
use crate::payment::PayAnswer;
use crate::service::{self, Front, field, fields};
use crate::session;
use hyper::body::Incoming;
use hyper::header::SET_COOKIE;
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use sale::{BuyerId, Command, OrderId, OrderView, Outcome, PaymentState};
use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;
use wire::problem::Code;

type Fields = Vec<(String, String)>;

pub async fn route(front: &Rc<Front>, parts: &Parts, body: Incoming) -> Answer {
    let path = parts.uri.path();
    let answered = match parts.method {
        Method::GET | Method::HEAD => get(front, parts, path).await,
        Method::POST => post(front, parts, path, body).await,
        _ => Err(Code::Method.into()),
    };
    answered.unwrap_or_else(|problem| problem_page(front, &problem))
}

/// A problem as a page; the same words that a program gets.
fn problem_page(front: &Front, problem: &Problem) -> Answer {
    let site = &front.shop.site;
    let status = problem.code.meaning().status;
    let retry_after_s = problem.retry_after_ms.map_or(1, |ms| ms.div_ceil(1_000).max(1) as u32);
    let html = match problem.code {
        Code::NotFound | Code::UnknownOrder => pages::render_not_found(site),
        Code::Overloaded | Code::StorageLow | Code::Draining => {
            pages::render_busy(site, retry_after_s, None)
        }
        Code::CrossSite => refusal_page(front, Refusal::CrossSite),
        Code::OutcomeUnknown => refusal_page(front, Refusal::Unknown),
        Code::KeyReused => refusal_page(front, Refusal::KeyReused),
        Code::NotHeld => refusal_page(front, Refusal::NotHeld),
        _ => {
            let title = problem.code.meaning().title.to_owned();
            refusal_page(front, Refusal::Other { title, detail: problem.detail.clone() })
        }
    };
    answer::page(pages::personal(status, html))
}

fn refusal_page(front: &Front, why: Refusal) -> String {
    pages::render_refusal(&RefusalView::new(front.shop.site.clone(), why))
}

async fn get(front: &Rc<Front>, parts: &Parts, path: &str) -> Result<Answer, Problem> {
    let query = fields(parts.uri.query().unwrap_or_default().as_bytes());
    if let Some(file) = pages::assets().get(path) {
        return Ok(ready(parts, file));
    }
    if let Some(name) = path.strip_prefix("/pictures/") {
        let picture = front.shop.pictures.get(&*service::decoded(name));
        return picture.map(|file| ready(parts, file)).ok_or_else(|| Code::NotFound.into());
    }
    if let Some(code) = path.strip_prefix("/p/") {
        return product(front, parts, &service::decoded(code));
    }
    if let Some(order) = path.strip_prefix("/orders/") {
        return order_page(front, parts, order, None).await;
    }
    match path {
        "/" => hall(front, parts, &query),
        "/checkout" => checkout(front, parts, &query),
        "/orders" => my_orders(front, parts, &query).await,
        "/sign-in" => {
            let next = field(&query, "next").unwrap_or("/");
            let name = match service::buyer(front, parts) {
                Some(buyer) => Some(name_of(front, buyer).await),
                None => None,
            };
            let view = sign_in_view(front, next, name);
            Ok(answer::page(pages::personal(200, pages::render_sign_in(&view))))
        }
        "/openapi.json" => Ok(answer::text(
            StatusCode::OK,
            "application/json",
            bytes::Bytes::from_static(include_bytes!("../openapi.json")),
        )),
        "/healthz" => Ok(answer::text(StatusCode::OK, "text/plain", "ok\n".into())),
        "/favicon.ico" => Ok(answer::see_other(&pages::assets().icon.path)),
        _ => Err(Code::NotFound.into()),
    }
}

fn ready(parts: &Parts, file: &pages::Rendered) -> Answer {
    let (encoding, tag) = (service::accept_encoding(parts), service::if_none_match(parts));
    answer::page(pages::respond(file, encoding, tag))
}

fn page_state(state: SaleState) -> PageState {
    match state {
        SaleState::NotOpen => PageState::NotOpen,
        SaleState::Open => PageState::Open,
        SaleState::SoldOut => PageState::SoldOut,
        SaleState::Closed => PageState::Closed,
    }
}

fn card(front: &Front, item: &Item) -> Card {
    let product = &item.product;
    let glance = front.shop.glance(item.sku).expect("the catalogue holds listed SKUs only");
    Card {
        sku: product.sku.clone(),
        title: product.title.clone(),
        category: product.category.clone(),
        price: Price::new(product.price.0, product.currency.as_str()),
        picture: product.picture.as_deref().map(picture_path),
        stock: glance.stocked,
        free: glance.free,
        state: page_state(glance.state),
        opens_ms: glance.opens.0,
        closes_ms: glance.closes.map(|closes| closes.0),
        buyer_limit: product.buyer_limit,
    }
}

/// A bare file name is one of ours.
fn picture_path(picture: &str) -> String {
    if picture.contains("://") || picture.starts_with('/') {
        return picture.to_owned();
    }
    let name = picture.strip_prefix("pictures/").unwrap_or(picture);
    format!("/pictures/{}", pages::query_escape(name))
}

/// The version of a page: anything that it shows has changed when this has.
fn version(parts: [u64; 2]) -> u64 {
    parts[0].wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ parts[1]
}

fn hall(front: &Front, parts: &Parts, query: &Fields) -> Result<Answer, Problem> {
    let shop = &front.shop;
    let catalogue = shop.catalogue();
    let total = catalogue.items().len();
    let count = total.div_ceil(limits::HALL_PAGE_PRODUCTS).max(1);
    let page = match field(query, "page") {
        None => 1,
        Some(text) => text.parse().ok().filter(|page| (1..=count).contains(page)).ok_or(
            Problem::new(Code::NotFound),
        )?,
    };
    let key = format!("/?page={page}");
    let version = version([catalogue.version, shop.live.hall_version()]);
    let rendered = shop.pages.get(&key, version, || {
        let start = (page - 1) * limits::HALL_PAGE_PRODUCTS;
        let end = total.min(start + limits::HALL_PAGE_PRODUCTS);
        let products: Vec<Card> =
            catalogue.items()[start..end].iter().map(|item| card(front, item)).collect();
        // The hall opens with the first of its products and closes with the last.
        let opens_ms = products.iter().map(|card| card.opens_ms).min().unwrap_or(0);
        let closes = products.iter().map(|card| card.closes_ms).collect::<Option<Vec<_>>>();
        let any = |state: PageState| products.iter().any(|card| card.state == state);
        let state = [PageState::Open, PageState::NotOpen, PageState::SoldOut]
            .into_iter()
            .find(|state| any(*state))
            .unwrap_or(PageState::Closed);
        pages::render_hall(&pages::HallView {
            site: shop.site.clone(),
            tagline: shop.tagline.clone(),
            state,
            opens_ms,
            closes_ms: closes.and_then(|closes| closes.into_iter().max()),
            products,
            total: total as u64,
            page: page as u32,
            pages: count as u32,
        })
    });
    Ok(ready(parts, &rendered))
}

fn product(front: &Front, parts: &Parts, code: &str) -> Result<Answer, Problem> {
    let shop = &front.shop;
    let catalogue = shop.catalogue();
    let item = catalogue.find(code).ok_or(Problem::new(Code::NotFound))?;
    let version = version([catalogue.version, shop.live.sku_version(item.sku)]);
    let rendered = shop.pages.get(&format!("/p/{code}"), version, || {
        pages::render_product(&pages::ProductView {
            site: shop.site.clone(),
            card: card(front, item),
            description: item.product.description.clone(),
            attributes: item.product.attributes.clone(),
            hold_ms: item.product.hold_ms,
        })
    });
    Ok(ready(parts, &rendered))
}

/// The buyer, or a way to sign in and come back.
fn signed_in(front: &Front, parts: &Parts) -> Result<BuyerId, Answer> {
    service::buyer(front, parts).ok_or_else(|| {
        let here = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        answer::see_other(&format!("/sign-in?next={}", pages::query_escape(here)))
    })
}

fn fresh_key() -> Result<String, Problem> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes).map_err(|_| Problem::new(Code::Overloaded))?;
    Ok(format!("{:032x}", u128::from_le_bytes(bytes)))
}

fn checkout(front: &Front, parts: &Parts, query: &Fields) -> Result<Answer, Problem> {
    if let Err(sign_in) = signed_in(front, parts) {
        return Ok(sign_in);
    }
    let catalogue = front.shop.catalogue();
    let item = field(query, "sku").and_then(|code| catalogue.find(code));
    let item = item.ok_or(Problem::new(Code::NotFound))?;
    let quantity = quantity_field(query)?;
    let total = item.product.price.times(sale::Qty(quantity)).unwrap_or(item.product.price);
    let view = pages::CheckoutView {
        site: front.shop.site.clone(),
        card: card(front, item),
        quantity,
        total: Price::new(total.0, item.product.currency.as_str()),
        hold_ms: item.product.hold_ms,
        coupon: field(query, "coupon").unwrap_or_default().to_owned(),
        key: fresh_key()?,
        server_ms: front.desk.now().0,
    };
    Ok(answer::page(pages::personal(200, pages::render_checkout(&view))))
}

fn quantity_field(fields: &Fields) -> Result<u32, Problem> {
    let text = field(fields, "quantity").unwrap_or("1");
    let bounds = 1..=sale::limits::UNITS_PER_LINE_MAX;
    text.parse().ok().filter(|quantity| bounds.contains(quantity)).ok_or_else(|| {
        let most = sale::limits::UNITS_PER_LINE_MAX;
        Problem::new(Code::MalformedLines).detail(format!("A quantity is from 1 to {most}."))
    })
}

async fn name_of(front: &Front, buyer: BuyerId) -> String {
    front.shop.people.name(buyer).await.unwrap_or_else(|| "you".to_owned())
}

async fn my_orders(front: &Rc<Front>, parts: &Parts, query: &Fields) -> Result<Answer, Problem> {
    let buyer = match signed_in(front, parts) {
        Ok(buyer) => buyer,
        Err(sign_in) => return Ok(sign_in),
    };
    let before = field(query, "before").and_then(OrderId::parse);
    let limit = 20;
    let found = front.shop.orders_of(front, buyer, limit, before).await?;
    let next = (found.len() == limit).then(|| found.last().map(|o| o.held.order.to_string()));
    let view = pages::OrdersView {
        site: front.shop.site.clone(),
        name: name_of(front, buyer).await,
        orders: found.iter().map(|order| order_row(front, order)).collect(),
        next: next.flatten(),
    };
    Ok(answer::page(pages::personal(200, pages::render_orders(&view))))
}

fn order_row(front: &Front, order: &OrderView) -> pages::OrderRow {
    let catalogue = front.shop.catalogue();
    let first = order.lines.first().and_then(|(line, _, _)| catalogue.of_sku(line.sku));
    let title = first.map_or_else(|| "Order".to_owned(), |item| item.product.title.clone());
    let summary = match order.lines.len() {
        0 | 1 => title,
        more => format!("{title} and {} more", more - 1),
    };
    pages::OrderRow {
        order: order.held.order.to_string(),
        status: page_status(front, order),
        total: Price::new(order.held.total.0, order.held.currency.as_str()),
        summary,
        units: order.lines.iter().map(|(line, _, _)| line.qty.0).fold(0, u32::saturating_add),
        pay_by_ms: order.held.pay_by.0,
    }
}

fn page_status(front: &Front, order: &OrderView) -> pages::OrderStatus {
    match order.status {
        sale::OrderStatus::Paid => pages::OrderStatus::Paid,
        sale::OrderStatus::Expired => pages::OrderStatus::Expired,
        sale::OrderStatus::Cancelled => pages::OrderStatus::Cancelled,
        sale::OrderStatus::Held => {
            let payments = front.shop.desks.view().ledger().payments(order.held.order);
            if payments.iter().any(|payment| payment.state == PaymentState::Begun) {
                pages::OrderStatus::Pending
            } else {
                pages::OrderStatus::Held
            }
        }
    }
}

async fn order_page(
    front: &Rc<Front>,
    parts: &Parts,
    order: &str,
    notice: Option<String>,
) -> Result<Answer, Problem> {
    let buyer = match signed_in(front, parts) {
        Ok(buyer) => buyer,
        Err(sign_in) => return Ok(sign_in),
    };
    let found = OrderId::parse(order).and_then(|order| orders::owned(front, buyer, order));
    let order = found.ok_or(Problem::new(Code::UnknownOrder))?;
    let view = order_view(front, &order, notice)?;
    Ok(answer::page(pages::personal(200, pages::render_order(&view))))
}

fn order_view(
    front: &Front,
    order: &OrderView,
    notice: Option<String>,
) -> Result<pages::OrderView, Problem> {
    let catalogue = front.shop.catalogue();
    let price = |amount: sale::Money| Price::new(amount.0, order.held.currency.as_str());
    let line = |(line, unit, returned): &(sale::Line, sale::Money, sale::Qty)| {
        let product = catalogue.of_sku(line.sku).map(|item| &item.product);
        pages::OrderLine {
            sku: product.map_or_else(String::new, |p| p.sku.clone()),
            title: product.map_or_else(|| "A product".to_owned(), |p| p.title.clone()),
            picture: product.and_then(|p| p.picture.as_deref()).map(picture_path),
            quantity: line.qty.0,
            returned: returned.0,
            unit_price: price(*unit),
            sum: price(unit.times(line.qty).unwrap_or(*unit)),
        }
    };
    let ledger = front.shop.desks.view().ledger();
    let payments = ledger.payments(order.held.order);
    let shown = payments.iter().rev().find(|p| p.state != PaymentState::Abandoned);
    let coupon = order.coupon.and_then(|coupon| ledger.coupon(coupon)).map(|coupon| {
        (coupon.code.as_str().to_owned(), price(coupon.terms.amount_off))
    });
    drop(ledger);
    Ok(pages::OrderView {
        site: front.shop.site.clone(),
        order: order.held.order.to_string(),
        status: page_status(front, order),
        lines: order.lines.iter().map(line).collect(),
        total: price(order.held.total),
        coupon,
        pay_by_ms: order.held.pay_by.0,
        payment: shown.map(|payment| format!("{:032x}", payment.payment.0)),
        refund: shown.filter(|p| p.refund_due.0 > 0).map(|p| price(p.refund_due)),
        channel: front.shop.payments.channel.name().to_owned(),
        key: fresh_key()?,
        notice,
        server_ms: front.desk.now().0,
    })
}

fn sign_in_view(front: &Front, next: &str, signed_in: Option<String>) -> pages::SignInView {
    pages::SignInView {
        site: front.shop.site.clone(),
        next: pages::safe_next(next).to_owned(),
        signed_in,
        email: String::new(),
        name: String::new(),
        sign_in_error: None,
        create_error: None,
        password_chars_min: limits::PASSWORD_CHARS_MIN as u32,
    }
}

async fn post(
    front: &Rc<Front>,
    parts: &Parts,
    path: &str,
    body: Incoming,
) -> Result<Answer, Problem> {
    service::same_site(front, parts)?;
    let body = service::read(front, body, limits::SMALL_BODY_BYTES_MAX).await?;
    let form = fields(&body);
    if let Some(rest) = path.strip_prefix("/orders/") {
        let buyer = match signed_in_for_post(front, parts, "/orders") {
            Ok(buyer) => buyer,
            Err(sign_in) => return Ok(sign_in),
        };
        return match rest.rsplit_once('/') {
            Some((order, "pay")) => pay(front, parts, buyer, order, &form).await,
            Some((order, "cancel")) => {
                let order = orders::cancel_order(front, buyer, order).await?;
                Ok(answer::see_other(&format!("/orders/{order}")))
            }
            _ => Err(Code::NotFound.into()),
        };
    }
    match path {
        "/checkout" => place(front, parts, &form).await,
        "/sign-in" => sign_in(front, &form).await,
        "/accounts" => create_account(front, &form).await,
        "/sign-out" => {
            let mut answer = answer::see_other("/");
            answer.headers_mut().insert(SET_COOKIE, front.shop.cookie("", 0));
            Ok(answer)
        }
        _ => Err(Code::NotFound.into()),
    }
}

fn signed_in_for_post(front: &Front, parts: &Parts, next: &str) -> Result<BuyerId, Answer> {
    service::buyer(front, parts)
        .ok_or_else(|| answer::see_other(&format!("/sign-in?next={}", pages::query_escape(next))))
}

async fn place(front: &Rc<Front>, parts: &Parts, form: &Fields) -> Result<Answer, Problem> {
    let code = field(form, "sku").unwrap_or_default();
    let quantity = quantity_field(form)?;
    let escaped = pages::query_escape(code);
    let back = format!("/checkout?sku={escaped}&quantity={quantity}");
    let buyer = match signed_in_for_post(front, parts, &back) {
        Ok(buyer) => buyer,
        Err(sign_in) => return Ok(sign_in),
    };
    let key = field(form, "key").filter(|key| session::is_key(key));
    let key = key.ok_or_else(|| Problem::new(Code::KeyMissing))?;
    let coupon = field(form, "coupon").map(str::trim).filter(|coupon| !coupon.is_empty());
    let catalogue = front.shop.catalogue();
    let lines = [LineBody { sku: Cow::Borrowed(code), quantity: i64::from(quantity) }];
    let place = orders::place_of(&catalogue, buyer, key, &lines, coupon);
    let answered = front.desk.ask(Command::Place(place)).await.map_err(orders::turned);
    let item = catalogue.find(code);
    let outcome = match answered {
        Ok(answered) => answered.outcome,
        Err(problem) => return Ok(busy(front, form, &problem)),
    };
    match outcome {
        Outcome::Held(held) | Outcome::Replayed(held) => {
            Ok(answer::see_other(&format!("/orders/{}", held.order)))
        }
        refused => {
            let problem = orders::refusal(refused, front.desk.now().0, |_| code.to_owned());
            let why = why(front, refused, item, quantity, coupon);
            let why = why.unwrap_or_else(|| Refusal::Other {
                title: problem.code.meaning().title.to_owned(),
                detail: problem.detail.clone(),
            });
            let view = RefusalView {
                site: front.shop.site.clone(),
                why,
                product: item.map(|i| (i.product.title.clone(), i.product.sku.clone())),
                again: None,
            };
            let html = pages::render_refusal(&view);
            Ok(answer::page(pages::personal(problem.code.meaning().status, html)))
        }
    }
}

/// Nothing happened: the same form, with the same key, may be sent again.
fn busy(front: &Front, form: &Fields, problem: &Problem) -> Answer {
    let seconds = problem.retry_after_ms.map_or(1, |ms| ms.div_ceil(1_000).max(1) as u32);
    let again = Again { action: "/checkout".to_owned(), fields: form.clone() };
    let html = pages::render_busy(&front.shop.site, seconds, Some(again));
    let mut answer = answer::page(pages::personal(problem.code.meaning().status, html));
    answer.headers_mut().insert(hyper::header::RETRY_AFTER, u64::from(seconds).into());
    answer
}

fn why(
    front: &Front,
    refused: Outcome,
    item: Option<&Arc<Item>>,
    asked: u32,
    coupon: Option<&str>,
) -> Option<Refusal> {
    let coupon = coupon.unwrap_or_default().to_owned();
    Some(match refused {
        Outcome::SoldOut { sku, left } => {
            let glance = front.shop.glance(sku)?;
            Refusal::SoldOut { asked, left: left.0, held: glance.held, sold: glance.sold }
        }
        Outcome::BuyerLimit { left, .. } => {
            let limit = item?.product.buyer_limit?;
            Refusal::BuyerLimit { asked, left: left.0, limit }
        }
        Outcome::NotOpen { opens, .. } => Refusal::NotOpen { opens_ms: opens.0 },
        Outcome::Closed { .. } => Refusal::Closed,
        Outcome::UnknownSku { .. } => Refusal::UnknownSku,
        Outcome::KeyReused => Refusal::KeyReused,
        Outcome::CouponUnknown => Refusal::CouponUnknown { coupon },
        Outcome::CouponUsed => Refusal::CouponUsed { coupon },
        Outcome::CouponExhausted => Refusal::CouponExhausted { coupon },
        Outcome::CouponNotEligible { minimum_total } => {
            let currency = item?.product.currency;
            let minimum = Price::new(minimum_total.0, currency.as_str());
            Refusal::CouponNotEligible { coupon, minimum }
        }
        _ => return None,
    })
}

async fn pay(
    front: &Rc<Front>,
    parts: &Parts,
    buyer: BuyerId,
    order: &str,
    form: &Fields,
) -> Result<Answer, Problem> {
    let found = OrderId::parse(order).and_then(|order| orders::owned(front, buyer, order));
    let view = found.ok_or(Problem::new(Code::UnknownOrder))?;
    let key = field(form, "key").filter(|key| session::is_key(key));
    let key = key.ok_or_else(|| Problem::new(Code::KeyMissing))?;
    let payment = session::payment_ref(buyer, view.held.order, key);
    let total = view.held.total;
    match service::pay_to_the_end(front, view, payment, total).await {
        Ok(PayAnswer::Paid | PayAnswer::Pending) => {
            Ok(answer::see_other(&format!("/orders/{order}")))
        }
        Err(problem) if matches!(problem.code, Code::PaymentDeclined | Code::RefundDue) => {
            order_page(front, parts, order, Some(problem.detail)).await
        }
        Err(problem) => Err(problem),
    }
}

fn welcome(front: &Front, buyer: BuyerId, next: &str) -> Answer {
    let expires_ms = front.desk.now().0 + front.shop.session_ms;
    let session = front.shop.sessions.issue(buyer, expires_ms);
    let mut answer = answer::see_other(pages::safe_next(next));
    let cookie = front.shop.cookie(&session, front.shop.session_ms / 1_000);
    answer.headers_mut().insert(SET_COOKIE, cookie);
    answer
}

async fn sign_in(front: &Front, form: &Fields) -> Result<Answer, Problem> {
    let text = |name| field(form, name).unwrap_or_default();
    let (email, next) = (text("email"), text("next"));
    match front.shop.people.sign_in(email, text("password")).await {
        Ok(buyer) => Ok(welcome(front, buyer, next)),
        Err(problem) => {
            let mut view = sign_in_view(front, next, None);
            view.email = email.to_owned();
            view.sign_in_error = Some(problem.detail);
            let status = problem.code.meaning().status;
            Ok(answer::page(pages::personal(status, pages::render_sign_in(&view))))
        }
    }
}

async fn create_account(front: &Front, form: &Fields) -> Result<Answer, Problem> {
    let text = |name| field(form, name).unwrap_or_default();
    let (email, name, next) = (text("email"), text("name"), text("next"));
    match front.shop.people.create(email, name, text("password")).await {
        Ok(buyer) => Ok(welcome(front, buyer, next)),
        Err(problem) => {
            let mut view = sign_in_view(front, next, None);
            view.email = email.to_owned();
            view.name = name.to_owned();
            view.create_error = Some(problem.detail);
            let status = problem.code.meaning().status;
            Ok(answer::page(pages::personal(status, pages::render_sign_in(&view))))
        }
    }
}
