//! A journal as lines of JSON, for people, scripts and auditors. Numbers that do not fit a double
//! are strings; request ids, buyers and payments are 32 hexadecimal digits.

use sale::{Command, Entry, Lines, Outcome, Place, SkuTerms};
use serde_json::{Value, json};

fn wide(value: u128) -> String {
    format!("{value:032x}")
}

fn terms(terms: &SkuTerms) -> Value {
    json!({
        "price": terms.price.0,
        "currency": terms.currency.as_str(),
        "buyer_limit": terms.buyer_limit,
        "opens_ms": terms.opens.0,
        "closes_ms": terms.closes.map(|closes| closes.0),
        "hold_ms": terms.hold.0,
    })
}

/// `{"seq", "at_ms", "command", …the command's own fields}`.
pub fn entry(entry: &Entry) -> Value {
    let (name, mut body) = command(&entry.command);
    let mut line = json!({"seq": entry.seq.0, "at_ms": entry.at.0, "command": name});
    if let (Some(line), Some(body)) = (line.as_object_mut(), body.as_object_mut()) {
        line.append(body);
    }
    line
}

fn command(command: &Command) -> (&'static str, Value) {
    match command {
        Command::Place(place) => ("place", self::place(place)),
        Command::Tick => ("tick", json!({})),
        Command::BeginPayment {
            order,
            payment,
            amount,
        } => (
            "begin_payment",
            json!({"order": order.to_string(), "payment": wide(payment.0), "amount": amount.0}),
        ),
        Command::ConfirmPayment {
            order,
            payment,
            amount,
        } => (
            "confirm_payment",
            json!({"order": order.to_string(), "payment": wide(payment.0), "amount": amount.0}),
        ),
        Command::AbandonPayment { order, payment } => (
            "abandon_payment",
            json!({"order": order.to_string(), "payment": wide(payment.0)}),
        ),
        Command::SettleRefund {
            order,
            payment,
            amount,
        } => (
            "settle_refund",
            json!({"order": order.to_string(), "payment": wide(payment.0), "amount": amount.0}),
        ),
        Command::Cancel { order } => ("cancel", json!({"order": order.to_string()})),
        Command::Return {
            request,
            order,
            lines,
        } => {
            let lines: Vec<Value> = lines
                .iter()
                .map(|(line, qty)| json!({"line": line.0, "quantity": qty.0}))
                .collect();
            let order = order.to_string();
            (
                "return",
                json!({"request": wide(request.0), "order": order, "lines": lines}),
            )
        }
        Command::ListSku {
            code,
            stock,
            terms: t,
        } => (
            "list_sku",
            json!({"code": code.as_str(), "stock": stock.0, "terms": terms(t)}),
        ),
        Command::SetTerms { sku, terms: t } => {
            ("set_terms", json!({"sku": sku.0, "terms": terms(t)}))
        }
        Command::OpenSku { sku } => ("open_sku", json!({"sku": sku.0})),
        Command::CloseSku { sku } => ("close_sku", json!({"sku": sku.0})),
        Command::AdjustStock {
            request,
            sku,
            delta,
            reason,
        } => (
            "adjust_stock",
            json!({
                "request": wide(request.0),
                "sku": sku.0,
                "delta": delta.0,
                "reason": reason.as_str(),
            }),
        ),
        Command::CreateCoupon { code, terms } => (
            "create_coupon",
            json!({
                "code": code.as_str(),
                "quota": terms.quota.0,
                "amount_off": terms.amount_off.0,
                "currency": terms.currency.as_str(),
                "minimum_total": terms.minimum_total.0,
            }),
        ),
        Command::Configure { cell, windows } => (
            "configure",
            json!({
                "cell": cell,
                "remember_ms": windows.remember.0,
                "returns_ms": windows.returns.0,
            }),
        ),
    }
}

fn place(place: &Place) -> Value {
    let lines: Vec<Value> = match &place.lines {
        Lines::One(line) => vec![json!({"sku": line.sku.0, "quantity": line.qty.0})],
        Lines::Many(lines) => lines
            .iter()
            .map(|l| json!({"sku": l.sku.0, "quantity": l.qty.0}))
            .collect(),
    };
    json!({
        "request": wide(place.request.0),
        "buyer": wide(place.buyer.0),
        "lines": lines,
        "coupon": place.coupon.map(|coupon| coupon.0),
    })
}

/// The outcome's name and its figures, as its own type writes them.
pub fn outcome(outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Held(held) => json!({
            "held": held.order.to_string(),
            "total": held.total.0,
            "pay_by_ms": held.pay_by.0,
        }),
        Outcome::Replayed(held) => json!({"replayed": held.order.to_string()}),
        other => json!(format!("{other:?}")),
    }
}
