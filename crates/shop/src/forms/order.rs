//! A buyer's orders as pages and forms: place, look, pay.

use super::{
    Fields, fresh_key, name_of, picture_path, quantity_field, signed_in, signed_in_for_post,
};
use crate::answer::{self, Answer, Problem};
use crate::catalogue::Item;
use crate::orders::{self, LineBody};
use crate::pages::{self, Again, Price, Refusal, RefusalView};
use crate::payment::PayAnswer;
use crate::service::{self, Front, field};
use crate::session;
use hyper::http::request::Parts;
use sale::{BuyerId, Command, OrderId, OrderView, Outcome, PaymentState};
use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;
use wire::problem::Code;

pub(super) async fn my_orders(
    front: &Rc<Front>,
    parts: &Parts,
    query: &Fields,
) -> Result<Answer, Problem> {
    let buyer = match signed_in(front, parts) {
        Ok(buyer) => buyer,
        Err(sign_in) => return Ok(*sign_in),
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
    Ok(answer::page(pages::personal(
        200,
        pages::render_orders(&view),
    )))
}

fn order_row(front: &Front, order: &OrderView) -> pages::OrderRow {
    let catalogue = front.shop.catalogue();
    let first = order
        .lines
        .first()
        .and_then(|(line, _, _)| catalogue.of_sku(line.sku));
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
        units: order
            .lines
            .iter()
            .map(|(line, _, _)| line.qty.0)
            .fold(0, u32::saturating_add),
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
            if payments
                .iter()
                .any(|payment| payment.state == PaymentState::Begun)
            {
                pages::OrderStatus::Pending
            } else {
                pages::OrderStatus::Held
            }
        }
    }
}

pub(super) async fn order_page(
    front: &Rc<Front>,
    parts: &Parts,
    order: &str,
    notice: Option<String>,
) -> Result<Answer, Problem> {
    let buyer = match signed_in(front, parts) {
        Ok(buyer) => buyer,
        Err(sign_in) => return Ok(*sign_in),
    };
    let found = OrderId::parse(order).and_then(|order| orders::owned(front, buyer, order));
    let order = found.ok_or(Problem::new(Code::UnknownOrder))?;
    let view = order_view(front, &order, notice)?;
    Ok(answer::page(pages::personal(
        200,
        pages::render_order(&view),
    )))
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
    let shown = payments
        .iter()
        .rev()
        .find(|p| p.state != PaymentState::Abandoned);
    let coupon = order
        .coupon
        .and_then(|coupon| ledger.coupon(coupon))
        .map(|coupon| {
            (
                coupon.code.as_str().to_owned(),
                price(coupon.terms.amount_off),
            )
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
        refund: shown
            .filter(|p| p.refund_due.0 > 0)
            .map(|p| price(p.refund_due)),
        channel: front.shop.payments.channel.name().to_owned(),
        key: fresh_key()?,
        notice,
        server_ms: front.desk.now().0,
    })
}

pub(super) async fn place(
    front: &Rc<Front>,
    parts: &Parts,
    form: &Fields,
) -> Result<Answer, Problem> {
    let code = field(form, "sku").unwrap_or_default();
    let quantity = quantity_field(form)?;
    let escaped = pages::query_escape(code);
    let back = format!("/checkout?sku={escaped}&quantity={quantity}");
    let buyer = match signed_in_for_post(front, parts, &back) {
        Ok(buyer) => buyer,
        Err(sign_in) => return Ok(*sign_in),
    };
    let key = field(form, "key").filter(|key| session::is_key(key));
    let key = key.ok_or_else(|| Problem::new(Code::KeyMissing))?;
    let coupon = field(form, "coupon")
        .map(str::trim)
        .filter(|coupon| !coupon.is_empty());
    let catalogue = front.shop.catalogue();
    let lines = [LineBody {
        sku: Cow::Borrowed(code),
        quantity: i64::from(quantity),
    }];
    let place = orders::place_of(&catalogue, buyer, key, &lines, coupon);
    let answered = front
        .desk
        .ask(Command::Place(place))
        .await
        .map_err(orders::turned);
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
            Ok(answer::page(pages::personal(
                problem.code.meaning().status,
                html,
            )))
        }
    }
}

/// Nothing happened: the same form, with the same key, may be sent again.
fn busy(front: &Front, form: &Fields, problem: &Problem) -> Answer {
    let seconds = problem
        .retry_after_ms
        .map_or(1, |ms| ms.div_ceil(1_000).max(1) as u32);
    let again = Again {
        action: "/checkout".to_owned(),
        fields: form.clone(),
    };
    let html = pages::render_busy(&front.shop.site, seconds, Some(again));
    let mut answer = answer::page(pages::personal(problem.code.meaning().status, html));
    answer
        .headers_mut()
        .insert(hyper::header::RETRY_AFTER, u64::from(seconds).into());
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
            Refusal::SoldOut {
                asked,
                left: left.0,
                held: glance.held,
                sold: glance.sold,
            }
        }
        Outcome::BuyerLimit { left, .. } => {
            let limit = item?.product.buyer_limit?;
            Refusal::BuyerLimit {
                asked,
                left: left.0,
                limit,
            }
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

pub(super) async fn pay(
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
