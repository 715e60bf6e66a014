//! The order API: place, place many, look, list, cancel.

use crate::answer::{self, Answer, Problem};
use crate::catalogue::Catalogue;
use crate::limits;
use crate::service::Front;
use crate::session;
use engine::{Reply, Turned};
use hyper::{StatusCode, header::HeaderValue};
use sale::{
    BuyerId, Command, CouponId, Line, LineIndex, Lines, MalformedLines, OrderId, OrderView,
    Outcome, Place, Qty, SkuId,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::borrow::Cow;
use wire::problem::Code;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderBody<'a> {
    #[serde(borrow)]
    pub lines: Vec<LineBody<'a>>,
    #[serde(borrow, default)]
    pub coupon: Option<Cow<'a, str>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineBody<'a> {
    #[serde(borrow)]
    pub sku: Cow<'a, str>,
    pub quantity: i64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchBody<'a> {
    #[serde(borrow)]
    orders: Vec<BatchOrder<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchOrder<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(borrow)]
    lines: Vec<LineBody<'a>>,
    #[serde(borrow, default)]
    coupon: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    buyer: Option<Cow<'a, str>>,
}

/// Numbers that no SKU has, one for each line that names an unknown code: the rules then give their
/// answer in their own order of precedence.
fn unknown_sku(line: usize) -> SkuId {
    SkuId(u32::MAX - line as u32)
}
const UNKNOWN_COUPON: CouponId = CouponId(u32::MAX - 1);

/// A quantity as the rules take it. What is no quantity becomes one that they refuse.
fn quantity(asked: i64) -> Qty {
    Qty(u32::try_from(asked.max(0)).unwrap_or(u32::MAX))
}

fn line(catalogue: &Catalogue, index: usize, body: &LineBody<'_>) -> Line {
    let sku = catalogue
        .find(&body.sku)
        .map_or_else(|| unknown_sku(index), |item| item.sku);
    Line {
        sku,
        qty: quantity(body.quantity),
    }
}

pub fn place_of(
    catalogue: &Catalogue,
    buyer: BuyerId,
    key: &str,
    lines: &[LineBody<'_>],
    coupon: Option<&str>,
) -> Place {
    let lines = match lines {
        [one] => Lines::One(line(catalogue, 0, one)),
        many => {
            let lines = many
                .iter()
                .enumerate()
                .take(sale::limits::LINES_PER_ORDER_MAX + 1);
            Lines::Many(
                lines
                    .map(|(index, body)| line(catalogue, index, body))
                    .collect(),
            )
        }
    };
    let coupon = coupon.map(|code| catalogue.coupon(code).unwrap_or(UNKNOWN_COUPON));
    Place {
        request: session::request_id(buyer, key),
        buyer,
        lines,
        coupon,
    }
}

pub fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| {
        Problem::new(Code::MalformedJson)
            .detail(format!("{error}"))
            .with("line", error.line())
            .with("column", error.column())
    })
}

pub fn turned(turned: Turned) -> Problem {
    Problem::new(match turned {
        Turned::Overloaded => Code::Overloaded,
        Turned::StorageLow => Code::StorageLow,
        Turned::Draining => Code::Draining,
    })
}

/// How a refusal names its SKU: `code_of` knows what the client called it.
pub fn refusal(outcome: Outcome, now_ms: u64, code_of: impl Fn(SkuId) -> String) -> Problem {
    let about = |code: Code, sku: SkuId| Problem::new(code).with("sku", code_of(sku));
    match outcome {
        Outcome::KeyReused => Problem::new(Code::KeyReused)
            .detail("This key was accepted before with other content. Use a new key."),
        Outcome::Malformed(why) => malformed(why),
        Outcome::UnknownSku { sku } => about(Code::UnknownSku, sku)
            .detail(format!("No product has the code “{}”.", code_of(sku))),
        Outcome::NotOpen { sku, opens } => about(Code::NotOpen, sku)
            .with("opens_ms", opens.0)
            .retry_after_ms(opens.0.saturating_sub(now_ms))
            .detail("The sale of this product has not started."),
        Outcome::Closed { sku } => {
            about(Code::Closed, sku).detail("The sale of this product has ended.")
        }
        Outcome::BuyerLimit { sku, left } => about(Code::BuyerLimit, sku)
            .with("left", left.0)
            .detail(format!("You may take {} more of this product.", left.0)),
        Outcome::CouponUnknown => Problem::new(Code::CouponUnknown),
        Outcome::CouponNotEligible { minimum_total } => Problem::new(Code::CouponNotEligible)
            .with("minimum_total", minimum_total.0)
            .detail("The order is below the coupon’s minimum, or in another currency."),
        Outcome::CouponUsed => Problem::new(Code::CouponUsed),
        Outcome::CouponExhausted => Problem::new(Code::CouponExhausted),
        Outcome::SoldOut { sku, left } => {
            about(Code::SoldOut, sku)
                .with("left", left.0)
                .detail(if left == Qty::ZERO {
                    "All units are sold or held. Held ones may come back.".to_owned()
                } else {
                    format!("Only {} are left.", left.0)
                })
        }
        Outcome::UnknownOrder => Problem::new(Code::UnknownOrder),
        Outcome::NotHeld => {
            Problem::new(Code::NotHeld).detail("It was paid, was cancelled, or its hold ended.")
        }
        Outcome::WrongAmount { due } => Problem::new(Code::WrongAmount)
            .with("due", due.0)
            .detail(format!("{} is due, in minor units.", due.0)),
        Outcome::RefundDue { amount } => Problem::new(Code::RefundDue).with("refund", amount.0),
        Outcome::UnknownPayment => Problem::new(Code::KeyReused)
            .detail("This key belongs to a payment that was decided otherwise."),
        Outcome::OutOfBounds => Problem::new(Code::OutOfBounds),
        Outcome::AlreadyListed { .. } | Outcome::CouponExists { .. } => Problem::new(Code::Exists),
        Outcome::TooFewFree { free } => Problem::new(Code::TooFewFree).with("free", free.0),
        Outcome::NotPaid => Problem::new(Code::NotPaid),
        Outcome::NotReturnable { line, left } => Problem::new(Code::NotReturnable)
            .with("line", line.0)
            .with("left", left.0),
        Outcome::Held(_)
        | Outcome::Replayed(_)
        | Outcome::Configured
        | Outcome::Listed { .. }
        | Outcome::TermsSet
        | Outcome::Opened
        | Outcome::ShutDown
        | Outcome::Adjusted { .. }
        | Outcome::CouponCreated { .. }
        | Outcome::PaymentBegun
        | Outcome::Paid
        | Outcome::PaymentAbandoned
        | Outcome::RefundSettled { .. }
        | Outcome::Cancelled
        | Outcome::Returned { .. }
        | Outcome::Ticked { .. } => unreachable!("{outcome:?} is no refusal"),
    }
}

fn malformed(why: MalformedLines) -> Problem {
    let at = |LineIndex(line)| Problem::new(Code::MalformedLines).with("line", line);
    match why {
        MalformedLines::Empty => {
            Problem::new(Code::MalformedLines).detail("An order has at least one line.")
        }
        MalformedLines::TooMany => Problem::new(Code::MalformedLines).detail(format!(
            "An order has at most {} lines.",
            sale::limits::LINES_PER_ORDER_MAX
        )),
        MalformedLines::Quantity { line } => at(line).detail(format!(
            "Line {}: a quantity is from 1 to {}.",
            line.0,
            sale::limits::UNITS_PER_LINE_MAX
        )),
        MalformedLines::Twice { line } => at(line).detail(format!(
            "Line {} names a product of an earlier line.",
            line.0
        )),
        MalformedLines::Currencies { line } => at(line).detail(format!(
            "Line {} is in another currency than line 0.",
            line.0
        )),
        MalformedLines::Total => {
            Problem::new(Code::MalformedLines).detail("The sum of the lines is too large.")
        }
    }
}

/// The code that the client used for a SKU.
fn code_in<'a>(
    catalogue: &'a Catalogue,
    lines: &'a [LineBody<'_>],
) -> impl Fn(SkuId) -> String + 'a {
    move |sku| match catalogue.of_sku(sku) {
        Some(item) => item.product.sku.clone(),
        None => {
            let line = (u32::MAX - sku.0) as usize;
            lines
                .get(line)
                .map_or_else(String::new, |line| line.sku.clone().into_owned())
        }
    }
}

/// `POST /v1/orders`.
pub async fn place(front: &Front, buyer: BuyerId, key: &str, body: &[u8]) -> Answer {
    let body: OrderBody<'_> = match parse(body) {
        Ok(body) => body,
        Err(problem) => return problem.answer(),
    };
    let catalogue = front.shop.catalogue();
    let place = place_of(&catalogue, buyer, key, &body.lines, body.coupon.as_deref());
    match front.desk.ask(Command::Place(place)).await {
        Ok(answered) => match answered.outcome {
            Outcome::Held(held) => answer::held(&held, false),
            Outcome::Replayed(held) => answer::held(&held, true),
            refused => refusal(refused, answered.at.0, code_in(&catalogue, &body.lines)).answer(),
        },
        Err(why) => turned(why).answer(),
    }
}

/// Who a batch is for.
#[derive(Clone, Debug)]
pub enum BatchFor {
    /// All orders are this buyer's.
    Buyer(BuyerId),
    /// A trusted channel names the buyer of each order.
    Channel(String),
}

/// `POST /v1/orders:batch`: independent orders, one journal group, an answer for each.
pub async fn place_batch(front: &Front, who: &BatchFor, body: &[u8]) -> Answer {
    let body: BatchBody<'_> = match parse(body) {
        Ok(body) => body,
        Err(problem) => return problem.answer(),
    };
    let count = body.orders.len();
    if !(1..=limits::BATCH_ORDERS_MAX).contains(&count) {
        let most = limits::BATCH_ORDERS_MAX;
        let detail = format!("A batch has 1 to {most} orders, this one has {count}.");
        return Problem::new(Code::OutOfBounds).detail(detail).answer();
    }
    let catalogue = front.shop.catalogue();
    let mut commands = Vec::with_capacity(count);
    // What is answered without the engine; the rest follows in the order of the commands.
    let mut early: Vec<Option<Result<engine::Answer, Problem>>> = Vec::with_capacity(count);
    for order in &body.orders {
        let place = match batch_place(&catalogue, who, order) {
            Ok(place) => place,
            Err(problem) => {
                early.push(Some(Err(problem)));
                continue;
            }
        };
        match front.desk.refuse_now(&place) {
            Some(answered) => early.push(Some(Ok(answered))),
            None => {
                commands.push(Command::Place(place));
                early.push(None);
            }
        }
    }
    let mut replies = front.desk.ask_all(commands).await.into_iter();
    let mut out = Vec::with_capacity(160 * count);
    out.extend_from_slice(b"{\"answers\":[");
    for (index, (order, early)) in body.orders.iter().zip(early).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let reply: Result<Reply, Problem> = match early {
            Some(Ok(answered)) => Ok(Ok(answered)),
            Some(Err(problem)) => Err(problem),
            None => Ok(replies.next().unwrap_or(Err(Turned::Draining))),
        };
        match reply {
            Ok(Ok(engine::Answer { outcome, at, .. })) => match outcome {
                Outcome::Held(held) | Outcome::Replayed(held) => {
                    answer::write_held(&mut out, &held);
                }
                refused => {
                    refusal(refused, at.0, code_in(&catalogue, &order.lines)).write(&mut out);
                }
            },
            Ok(Err(why)) => turned(why).write(&mut out),
            Err(problem) => problem.write(&mut out),
        }
    }
    out.extend_from_slice(b"]}");
    answer::bytes(
        StatusCode::OK,
        HeaderValue::from_static("application/json"),
        out,
    )
}

fn batch_place(
    catalogue: &Catalogue,
    who: &BatchFor,
    order: &BatchOrder<'_>,
) -> Result<Place, Problem> {
    if !session::is_key(&order.key) {
        return Err(Problem::new(Code::KeyMissing).detail(KEY_DETAIL));
    }
    let buyer = match (who, order.buyer.as_deref()) {
        (BatchFor::Buyer(buyer), None) => *buyer,
        (BatchFor::Buyer(_), Some(_)) => {
            let detail = "Only a channel may name the buyer of an order.";
            return Err(Problem::new(Code::OutOfBounds).detail(detail));
        }
        (BatchFor::Channel(channel), Some(buyer)) if (1..=128).contains(&buyer.len()) => {
            session::buyer_of_subject(channel, buyer)
        }
        (BatchFor::Channel(_), _) => {
            let detail = "A channel names the buyer of each order, in 1 to 128 bytes.";
            return Err(Problem::new(Code::OutOfBounds).detail(detail));
        }
    };
    Ok(place_of(
        catalogue,
        buyer,
        &order.key,
        &order.lines,
        order.coupon.as_deref(),
    ))
}

pub const KEY_DETAIL: &str =
    "Send Idempotency-Key with 1 to 64 visible ASCII characters, the same for every repeat.";

pub fn status_name(status: sale::OrderStatus) -> &'static str {
    match status {
        sale::OrderStatus::Held => "held",
        sale::OrderStatus::Paid => "paid",
        sale::OrderStatus::Expired => "expired",
        sale::OrderStatus::Cancelled => "cancelled",
    }
}

/// An order of this buyer; anybody else's does not exist.
pub fn owned(front: &Front, buyer: BuyerId, order: OrderId) -> Option<OrderView> {
    front
        .shop
        .desks
        .view()
        .ledger()
        .order(order)
        .filter(|view| view.buyer == buyer)
}

pub fn order_json(front: &Front, view: &OrderView) -> Value {
    let catalogue = front.shop.catalogue();
    let currency = view.held.currency.as_str();
    let money = |amount: sale::Money| json!({"amount": amount.0, "currency": currency});
    let lines: Vec<Value> = view
        .lines
        .iter()
        .map(|(line, price, returned)| {
            json!({
                "sku": catalogue.of_sku(line.sku).map(|item| item.product.sku.as_str()),
                "quantity": line.qty.0,
                "unit_price": money(*price),
                "returned": returned.0,
            })
        })
        .collect();
    let mut order = json!({
        "order": view.held.order.to_string(),
        "status": status_name(view.status),
        "lines": lines,
        "total": money(view.held.total),
        "held_ms": view.held_at.0,
        "pay_by_ms": view.held.pay_by.0,
    });
    let ledger = front.shop.desks.view().ledger();
    if let Some(coupon) = view.coupon.and_then(|coupon| ledger.coupon(coupon)) {
        order["coupon"] = json!(coupon.code.as_str());
    }
    let payments = ledger.payments(view.held.order);
    let told = |p: &&sale::PaymentView| p.state != sale::PaymentState::Abandoned;
    if let Some(payment) = payments.iter().rev().find(told) {
        order["payment"] = json!({
            "payment": format!("{:032x}", payment.payment.0),
            "state": match payment.state {
                sale::PaymentState::Begun => "pending",
                sale::PaymentState::Abandoned => "declined",
                sale::PaymentState::Bought => "captured",
                sale::PaymentState::InVain => "refund",
            },
            "refund_due": money(payment.refund_due),
            "refunded": money(payment.refund_settled),
        });
    }
    order
}

/// `GET /v1/orders/{order}`.
pub fn look(front: &Front, buyer: BuyerId, order: &str) -> Answer {
    match OrderId::parse(order).and_then(|order| owned(front, buyer, order)) {
        Some(view) => answer::no_store(answer::json(StatusCode::OK, &order_json(front, &view))),
        None => Problem::new(Code::UnknownOrder).answer(),
    }
}

/// `GET /v1/orders`: newest first. The list comes from the projection, which is given a moment to
/// catch up with what this buyer may have just done; each order's state comes from the ledger.
pub async fn list(front: &Front, buyer: BuyerId, limit: usize, before: Option<OrderId>) -> Answer {
    let found = match front.shop.orders_of(front, buyer, limit, before).await {
        Ok(found) => found,
        Err(problem) => return problem.answer(),
    };
    let next = (found.len() == limit).then(|| found.last().map(|o| o.held.order.to_string()));
    let orders: Vec<Value> = found.iter().map(|view| order_json(front, view)).collect();
    let body = json!({"orders": orders, "next": next.flatten()});
    answer::no_store(answer::json(StatusCode::OK, &body))
}

/// `POST /v1/orders/{order}/cancel`.
pub async fn cancel(front: &Front, buyer: BuyerId, order: &str) -> Answer {
    match cancel_order(front, buyer, order).await {
        Ok(order) => {
            let body = json!({"order": order.to_string(), "status": "cancelled"});
            answer::json(StatusCode::OK, &body)
        }
        Err(problem) => problem.answer(),
    }
}

pub async fn cancel_order(front: &Front, buyer: BuyerId, order: &str) -> Result<OrderId, Problem> {
    let found = OrderId::parse(order).and_then(|order| owned(front, buyer, order));
    let Some(view) = found else {
        return Err(Problem::new(Code::UnknownOrder));
    };
    let order = view.held.order;
    match front.desk.ask(Command::Cancel { order }).await {
        Ok(engine::Answer {
            outcome: Outcome::Cancelled,
            ..
        }) => Ok(order),
        Ok(answered) => Err(refusal(answered.outcome, answered.at.0, |_| String::new())),
        Err(why) => Err(turned(why)),
    }
}
