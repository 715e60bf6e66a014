//! Pages and forms: what a browser asks for, with or without scripts. Pages that everybody sees
//! come ready-made; personal ones are made for one answer and kept by nobody.

mod account;
mod order;

use crate::answer::{self, Answer, Problem};
use crate::catalogue::{Catalogue, Item, SaleState};
use crate::limits;
use crate::orders;
use crate::pages::{self, Card, Price, Refusal, RefusalView, SaleState as PageState};
use crate::service::{self, Front, field, fields};
use crate::shield::Shield;
use hyper::body::Incoming;
use hyper::header::{ALLOW, HeaderValue, RETRY_AFTER, SET_COOKIE};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use sale::BuyerId;
use std::rc::Rc;
use wire::problem::Code;

use account::{create_account, sign_in, sign_in_view};
use order::{my_orders, order_page, pay, place};

type Fields = Vec<(String, String)>;

pub async fn route(front: &Rc<Front>, parts: &Parts, body: Incoming) -> Answer {
    let path = parts.uri.path();
    let answered = match parts.method {
        Method::GET | Method::HEAD => get(front, parts, path).await,
        Method::POST => post(front, parts, path, body).await,
        _ => Err(Code::Method.into()),
    };
    answered.unwrap_or_else(|problem| {
        let mut answer = problem_page(front, &problem);
        if problem.code == Code::Method {
            let methods = HeaderValue::from_static(methods_of(path));
            answer.headers_mut().insert(ALLOW, methods);
        }
        answer
    })
}

/// What a page can be asked with.
fn methods_of(path: &str) -> &'static str {
    match path {
        "/checkout" | "/sign-in" => "GET, HEAD, POST",
        "/accounts" | "/sign-out" => "POST",
        order if order.ends_with("/pay") || order.ends_with("/cancel") => "POST",
        _ => "GET, HEAD",
    }
}

/// A problem as a page; the same words that a program gets.
fn problem_page(front: &Front, problem: &Problem) -> Answer {
    let site = &front.shop.site;
    let status = problem.code.meaning().status;
    let retry_after_s = problem
        .retry_after_ms
        .map_or(1, |ms| ms.div_ceil(1_000).max(1) as u32);
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
            refusal_page(
                front,
                Refusal::Other {
                    title,
                    detail: problem.detail.clone(),
                },
            )
        }
    };
    let mut answer = answer::page(pages::personal(status, html));
    if problem.retry_after_ms.is_some() {
        answer
            .headers_mut()
            .insert(RETRY_AFTER, u64::from(retry_after_s).into());
    }
    answer
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
        return picture
            .map(|file| ready(parts, file))
            .ok_or_else(|| Code::NotFound.into());
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
            Ok(answer::page(pages::personal(
                200,
                pages::render_sign_in(&view),
            )))
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
    let (encoding, tag) = (
        service::accept_encoding(parts),
        service::if_none_match(parts),
    );
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
    let glance = front
        .shop
        .glance(item.sku)
        .expect("the catalogue holds listed SKUs only");
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
        Some(text) => text
            .parse()
            .ok()
            .filter(|page| (1..=count).contains(page))
            .ok_or(Problem::new(Code::NotFound))?,
    };
    let shield = Shield::of(&parts.headers).of_hall();
    let key = shield.key(format!("/?page={page}"));
    let version = version([catalogue.version, shop.live.hall_version()]);
    let rendered = shop.pages.get(&key, version, || {
        let start = (page - 1) * limits::HALL_PAGE_PRODUCTS;
        let end = total.min(start + limits::HALL_PAGE_PRODUCTS);
        let products: Vec<Card> = catalogue.items()[start..end]
            .iter()
            .map(|item| card(front, item))
            .collect();
        // The hall opens with the first of its products and closes with the last.
        let opens_ms = products.iter().map(|card| card.opens_ms).min().unwrap_or(0);
        let closes = products
            .iter()
            .map(|card| card.closes_ms)
            .collect::<Option<Vec<_>>>();
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
            look: shield.look(),
        })
    });
    Ok(ready(parts, &rendered))
}

fn product(front: &Front, parts: &Parts, code: &str) -> Result<Answer, Problem> {
    let shop = &front.shop;
    let catalogue = shop.catalogue();
    let item = catalogue.find(code).ok_or(Problem::new(Code::NotFound))?;
    let version = version([catalogue.version, shop.live.sku_version(item.sku)]);
    let shield = Shield::of(&parts.headers);
    let key = shield.key(format!("/p/{code}"));
    let rendered = shop.pages.get(&key, version, || {
        pages::render_product(&pages::ProductView {
            site: shop.site.clone(),
            card: card(front, item),
            description: item.product.description.clone(),
            attributes: item.product.attributes.clone(),
            hold_ms: item.product.hold_ms,
            others: match shield.recommendations() {
                true => Vec::new(),
                false => others(&catalogue, code),
            },
            look: shield.look(),
        })
    });
    Ok(ready(parts, &rendered))
}

fn others(catalogue: &Catalogue, code: &str) -> Vec<pages::Other> {
    let others = catalogue.others(code, pages::limits::OTHERS_MAX);
    let other = |item: &std::sync::Arc<Item>| pages::Other {
        sku: item.product.sku.clone(),
        title: item.product.title.clone(),
        price: Price::new(item.product.price.0, item.product.currency.as_str()),
        picture: item.product.picture.as_deref().map(picture_path),
    };
    others.into_iter().map(other).collect()
}

/// The buyer, or a way to sign in and come back.
fn signed_in(front: &Front, parts: &Parts) -> Result<BuyerId, Box<Answer>> {
    service::buyer(front, parts).ok_or_else(|| {
        let here = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        Box::new(answer::see_other(&format!(
            "/sign-in?next={}",
            pages::query_escape(here)
        )))
    })
}

fn fresh_key() -> Result<String, Problem> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes).map_err(|_| Problem::new(Code::Overloaded))?;
    Ok(format!("{:032x}", u128::from_le_bytes(bytes)))
}

fn checkout(front: &Front, parts: &Parts, query: &Fields) -> Result<Answer, Problem> {
    if let Err(sign_in) = signed_in(front, parts) {
        return Ok(*sign_in);
    }
    let catalogue = front.shop.catalogue();
    let item = field(query, "sku").and_then(|code| catalogue.find(code));
    let item = item.ok_or(Problem::new(Code::NotFound))?;
    let quantity = quantity_field(query)?;
    let total = item
        .product
        .price
        .times(sale::Qty(quantity))
        .unwrap_or(item.product.price);
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
    Ok(answer::page(pages::personal(
        200,
        pages::render_checkout(&view),
    )))
}

fn quantity_field(fields: &Fields) -> Result<u32, Problem> {
    let text = field(fields, "quantity").unwrap_or("1");
    let bounds = 1..=sale::limits::UNITS_PER_LINE_MAX;
    text.parse()
        .ok()
        .filter(|quantity| bounds.contains(quantity))
        .ok_or_else(|| {
            let most = sale::limits::UNITS_PER_LINE_MAX;
            Problem::new(Code::MalformedLines).detail(format!("A quantity is from 1 to {most}."))
        })
}

async fn name_of(front: &Front, buyer: BuyerId) -> String {
    front
        .shop
        .people
        .name(buyer)
        .await
        .unwrap_or_else(|| "you".to_owned())
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
            Err(sign_in) => return Ok(*sign_in),
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
            answer
                .headers_mut()
                .insert(SET_COOKIE, front.shop.cookie("", 0));
            Ok(answer)
        }
        _ => Err(Code::NotFound.into()),
    }
}

fn signed_in_for_post(front: &Front, parts: &Parts, next: &str) -> Result<BuyerId, Box<Answer>> {
    service::buyer(front, parts).ok_or_else(|| {
        Box::new(answer::see_other(&format!(
            "/sign-in?next={}",
            pages::query_escape(next)
        )))
    })
}
