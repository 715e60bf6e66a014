//! What an answer means to a buyer: one closed set, read from status and body.
//!
//! A refusal is an answer, being turned away for load is another, an error is neither. The three
//! are never counted together. It knows the API's words and nothing of sockets or plans.

use crate::client::{Answer, Broken};
use load::measure::End;
use sale::{At, Currency, Money, OrderId};
use serde::Deserialize;

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    SignIn,
    Browse,
    Order,
    Pay,
    Cancel,
    Return,
}

impl Class {
    pub const ALL: [Class; 6] = [
        Class::SignIn,
        Class::Browse,
        Class::Order,
        Class::Pay,
        Class::Cancel,
        Class::Return,
    ];
    /// As thresholds name it.
    pub fn name(self) -> &'static str {
        match self {
            Class::SignIn => "sign_in",
            Class::Browse => "browse",
            Class::Order => "order",
            Class::Pay => "pay",
            Class::Cancel => "cancel",
            Class::Return => "return",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    Session {
        token: String,
        buyer: String,
    },
    /// A page or a product came.
    Seen,
    Held(HeldAnswer),
    Paid {
        payment: String,
    },
    /// The payment channel has not decided.
    Pending,
    Cancelled,
    Returned,
    /// The rules said no; the code says why.
    Refused {
        code: String,
        sku: Option<String>,
    },
    /// Nothing happened because there is too much to do (503), or too much of one buyer (429).
    TurnedAway {
        code: String,
        retry_after_s: Option<u32>,
    },
    /// It may have happened: to be asked again under the same key.
    Unknown,
    /// The session is not known (any more).
    NoSession,
    /// An answer that a working shop does not give.
    Wrong {
        label: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldAnswer {
    pub order: OrderId,
    pub total: Money,
    pub currency: Currency,
    pub pay_by: At,
    pub replayed: bool,
}

#[derive(Deserialize)]
struct SessionBody {
    buyer: String,
    session: String,
}

#[derive(Deserialize)]
struct MoneyBody {
    amount: i64,
    currency: String,
}

#[derive(Deserialize)]
struct HeldBody {
    order: String,
    status: String,
    total: MoneyBody,
    pay_by_ms: u64,
}

#[derive(Deserialize)]
struct StatusBody {
    status: String,
    #[serde(default)]
    payment: Option<String>,
}

#[derive(Deserialize)]
struct ProblemBody {
    code: String,
    #[serde(default)]
    sku: Option<String>,
}

/// The rules' own words for no, by what was asked.
fn is_refusal(class: Class, status: u16, code: &str) -> bool {
    match class {
        Class::Order => {
            let coupon = matches!(
                code,
                "coupon_not_eligible" | "coupon_used" | "coupon_exhausted" | "coupon_unknown"
            );
            // A door in front says "gone" from what the shop told it.
            coupon
                || matches!(
                    code,
                    "sold_out" | "gone_for_now" | "buyer_limit" | "not_open" | "closed"
                )
        }
        Class::Pay => {
            status == 402 || matches!(code, "not_held" | "refund_due" | "payment_declined")
        }
        Class::Cancel => code == "not_held",
        Class::Return => matches!(code, "not_paid" | "not_returnable" | "unknown_order"),
        Class::SignIn | Class::Browse => false,
    }
}

impl Meaning {
    /// How the request ended, in the words of thresholds. What the rules refuse is an answer.
    pub fn end(&self) -> End {
        match self {
            Meaning::TurnedAway { .. } => End::Refused,
            Meaning::Unknown | Meaning::NoSession | Meaning::Wrong { .. } => End::Status,
            Meaning::Session { .. }
            | Meaning::Seen
            | Meaning::Held(_)
            | Meaning::Paid { .. }
            | Meaning::Pending
            | Meaning::Cancelled
            | Meaning::Returned
            | Meaning::Refused { .. } => End::Good,
        }
    }
}

pub fn meaning(class: Class, answer: &Answer) -> Meaning {
    let read = match (class, answer.status) {
        (Class::Browse, 200 | 304) => Some(Meaning::Seen),
        (Class::SignIn, 200 | 201) => session(&answer.body),
        (Class::Order, 200 | 201) => held(answer),
        (Class::Pay, 200 | 202) => payment(&answer.body),
        (Class::Cancel, 200) => Some(Meaning::Cancelled),
        (Class::Return, 200 | 201) => Some(Meaning::Returned),
        (_, 200..=299) => None,
        _ => Some(problem(class, answer)),
    };
    read.unwrap_or_else(|| Meaning::Wrong {
        label: format!("{} unreadable", answer.status),
    })
}

fn session(body: &[u8]) -> Option<Meaning> {
    let body: SessionBody = serde_json::from_slice(body).ok()?;
    Some(Meaning::Session {
        token: body.session,
        buyer: body.buyer,
    })
}

fn held(answer: &Answer) -> Option<Meaning> {
    let body: HeldBody = serde_json::from_slice(&answer.body).ok()?;
    if body.status != "held" {
        return None;
    }
    Some(Meaning::Held(HeldAnswer {
        order: OrderId::parse(&body.order)?,
        total: Money(body.total.amount),
        currency: Currency::new(&body.total.currency)?,
        pay_by: At(body.pay_by_ms),
        replayed: answer.replayed,
    }))
}

fn payment(body: &[u8]) -> Option<Meaning> {
    let body: StatusBody = serde_json::from_slice(body).ok()?;
    match body.status.as_str() {
        "paid" => Some(Meaning::Paid {
            payment: body.payment.unwrap_or_default(),
        }),
        "pending" => Some(Meaning::Pending),
        _ => None,
    }
}

fn problem(class: Class, answer: &Answer) -> Meaning {
    let body: Option<ProblemBody> = serde_json::from_slice(&answer.body).ok();
    let (code, sku) = body.map_or((None, None), |body| (Some(body.code), body.sku));
    let retry_after_s = answer.retry_after_s;
    match (answer.status, code) {
        // By the shop's own bounds, or by a limit of the door before it.
        (status @ (429 | 503), code) => {
            let code = code.unwrap_or_else(|| status.to_string());
            Meaning::TurnedAway {
                code,
                retry_after_s,
            }
        }
        // The same key is being worked on: this attempt did nothing, the other one may.
        (409, Some(code)) if code == "under_way" => Meaning::TurnedAway {
            code,
            retry_after_s,
        },
        (500, Some(code)) if code == "outcome_unknown" => Meaning::Unknown,
        (401, _) => Meaning::NoSession,
        (status, Some(code)) if is_refusal(class, status, &code) => Meaning::Refused { code, sku },
        (status, Some(code)) => Meaning::Wrong {
            label: format!("{status} {code}"),
        },
        (status, None) => Meaning::Wrong {
            label: status.to_string(),
        },
    }
}

/// The same of an answer that never came.
pub fn broken_end(broken: Broken) -> End {
    match broken {
        Broken::Refused => End::Connect,
        Broken::Closed | Broken::Nonsense => End::Broken,
        Broken::TimedOut => End::TimedOut,
    }
}

/// The word for an answer that never came.
pub fn broken_label(broken: Broken) -> &'static str {
    match broken {
        Broken::Refused => "connection refused",
        Broken::Closed => "connection lost",
        Broken::Nonsense => "no HTTP",
        Broken::TimedOut => "timed out",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(class: Class, status: u16, body: &str) -> Meaning {
        let retry_after_s = (status == 503).then_some(2);
        meaning(
            class,
            &Answer {
                status,
                body: body.into(),
                retry_after_s,
                replayed: false,
            },
        )
    }

    #[test]
    fn each_answer_has_one_meaning() {
        let order = OrderId(0x0000_1000_0000_0001);
        let held = format!(
            r#"{{"order":"{order}","status":"held","total":{{"amount":1999,"currency":"EUR"}},
               "pay_by_ms":7000,"durability":"disk"}}"#
        );
        assert_eq!(
            check(Class::Order, 201, &held),
            Meaning::Held(HeldAnswer {
                order,
                total: Money(1_999),
                currency: Currency::EUR,
                pay_by: At(7_000),
                replayed: false,
            })
        );
        let refused = |code: &str| Meaning::Refused {
            code: code.to_owned(),
            sku: None,
        };
        let wrong = |label: &str| Meaning::Wrong {
            label: label.to_owned(),
        };
        let rows = [
            (
                Class::Order,
                409,
                r#"{"code":"sold_out"}"#,
                refused("sold_out"),
            ),
            (
                Class::Order,
                422,
                r#"{"code":"coupon_unknown"}"#,
                refused("coupon_unknown"),
            ),
            (
                Class::Order,
                422,
                r#"{"code":"unknown_sku"}"#,
                wrong("422 unknown_sku"),
            ),
            (
                Class::Order,
                409,
                r#"{"code":"not_held"}"#,
                wrong("409 not_held"),
            ),
            (
                Class::Order,
                500,
                r#"{"code":"outcome_unknown"}"#,
                Meaning::Unknown,
            ),
            (Class::Order, 500, "oops", wrong("500")),
            (Class::Order, 201, "{}", wrong("201 unreadable")),
            (Class::Order, 401, "", Meaning::NoSession),
            (
                Class::Pay,
                402,
                r#"{"code":"payment_declined"}"#,
                refused("payment_declined"),
            ),
            (
                Class::Pay,
                202,
                r#"{"order":"x","status":"pending"}"#,
                Meaning::Pending,
            ),
            (
                Class::Pay,
                200,
                r#"{"status":"held"}"#,
                wrong("200 unreadable"),
            ),
            (
                Class::Order,
                409,
                r#"{"code":"gone_for_now"}"#,
                refused("gone_for_now"),
            ),
            (Class::Browse, 304, "", Meaning::Seen),
            (
                Class::Browse,
                404,
                r#"{"code":"not_found"}"#,
                wrong("404 not_found"),
            ),
            (
                Class::Cancel,
                409,
                r#"{"code":"not_held"}"#,
                refused("not_held"),
            ),
        ];
        for (class, status, body, expected) in rows {
            assert_eq!(check(class, status, body), expected, "{status} {body}");
        }
        let overloaded = r#"{"code":"overloaded","happened":"no"}"#;
        let away = Meaning::TurnedAway {
            code: "overloaded".to_owned(),
            retry_after_s: Some(2),
        };
        assert_eq!(check(Class::Order, 503, overloaded), away);
        let limited = Meaning::TurnedAway {
            code: "rate_limited".to_owned(),
            retry_after_s: None,
        };
        let body = r#"{"code":"rate_limited","happened":"no"}"#;
        assert_eq!(check(Class::Browse, 429, body), limited);
    }
}
