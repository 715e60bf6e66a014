//! Why something was not done, in words that leave nobody guessing: what happened, whether it
//! took effect, what is left, what can be done now.

use super::form::{self, iso, query_escape};
use super::money::grouped;
use super::view::{Price, Site};

/// A form to send again, with the same fields and so with the same key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Again {
    /// A path of this site.
    pub action: String,
    pub fields: Vec<(String, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusalView {
    pub site: Site,
    pub why: Refusal,
    /// The product it is about: title and SKU.
    pub product: Option<(String, String)>,
    pub again: Option<Again>,
}

impl RefusalView {
    pub fn new(site: Site, why: Refusal) -> RefusalView {
        RefusalView {
            site,
            why,
            product: None,
            again: None,
        }
    }
    pub(super) fn product_link(&self) -> String {
        let sku = self.product.as_ref().map_or("", |(_, sku)| sku.as_str());
        format!("/p/{}", query_escape(sku))
    }
    pub(super) fn opens_ms(&self) -> u64 {
        match self.why {
            Refusal::NotOpen { opens_ms } => opens_ms,
            _ => 0,
        }
    }
    pub(super) fn opens_iso(&self) -> String {
        iso(self.opens_ms())
    }
    pub(super) fn opens_long(&self) -> String {
        form::instant_text(self.opens_ms())
    }
}

/// Why something was not done. `Other` carries a problem's `title` and `detail`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// `held` units may come back, `sold` will not.
    SoldOut {
        asked: u32,
        left: u32,
        held: u32,
        sold: u32,
    },
    BuyerLimit {
        asked: u32,
        left: u32,
        limit: u32,
    },
    NotOpen {
        opens_ms: u64,
    },
    Closed,
    CouponUnknown {
        coupon: String,
    },
    CouponNotEligible {
        coupon: String,
        minimum: Price,
    },
    CouponUsed {
        coupon: String,
    },
    CouponExhausted {
        coupon: String,
    },
    UnknownSku,
    KeyReused,
    NotHeld,
    Busy {
        retry_after_s: u32,
    },
    /// It may have happened: asking again under the same key tells.
    Unknown,
    CrossSite,
    NotFound,
    Other {
        title: String,
        detail: String,
    },
}

/// A refusal in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    pub title: String,
    /// One sentence each.
    pub lines: Vec<String>,
    /// What the button that repeats the form says.
    pub again: &'static str,
}

impl Refusal {
    pub fn words(&self) -> Words {
        let (title, lines) = match self {
            Refusal::SoldOut {
                asked,
                left,
                held,
                sold,
            } => sold_out(*asked, *left, *held, *sold),
            Refusal::BuyerLimit { asked, left, limit } => buyer_limit(*asked, *left, *limit),
            Refusal::NotOpen { .. } => (
                "Not open yet",
                vec!["The sale of this product has not started. Nothing was ordered.".to_owned()],
            ),
            Refusal::Closed => (
                "This sale has ended",
                vec!["The product is no longer sold. Nothing was ordered.".to_owned()],
            ),
            Refusal::CouponUnknown { coupon } => (
                "We don’t know this coupon",
                vec![
                    format!("There is no coupon “{coupon}” in this sale."),
                    "Nothing was ordered. Check the code, or buy without it.".to_owned(),
                ],
            ),
            Refusal::CouponNotEligible { coupon, minimum } => (
                "This coupon doesn’t fit the order",
                vec![
                    format!("“{coupon}” needs an order of at least {}.", minimum.text()),
                    "Nothing was ordered.".to_owned(),
                ],
            ),
            Refusal::CouponUsed { coupon } => (
                "You have used this coupon",
                vec![
                    format!("“{coupon}” works once a buyer, and stands on another order of yours."),
                    "Nothing was ordered.".to_owned(),
                ],
            ),
            Refusal::CouponExhausted { coupon } => (
                "This coupon is used up",
                vec![
                    format!("Every use of “{coupon}” has gone to other buyers."),
                    "Nothing was ordered. You can buy without it.".to_owned(),
                ],
            ),
            Refusal::UnknownSku => (
                "We don’t sell that",
                vec!["No product has this number. Nothing was ordered.".to_owned()],
            ),
            Refusal::KeyReused => (
                "This form was sent before with something else in it",
                vec![
                    "Its first sending counts; look it up in your orders. To order something \
                     else, start from the product."
                        .to_owned(),
                ],
            ),
            Refusal::NotHeld => (
                "This order is not waiting any more",
                vec![
                    "It has been paid, was cancelled, or its hold ended. Nothing changed."
                        .to_owned(),
                ],
            ),
            Refusal::Busy { .. } => (
                "We are busy right now",
                vec!["Nothing happened: no order was made and nothing was charged.".to_owned()],
            ),
            Refusal::Unknown => (
                "We could not see the answer",
                vec![
                    "It may have gone through. Ask again below: the same order number is used, so \
                     there can’t be a second order or a second charge."
                        .to_owned(),
                ],
            ),
            Refusal::CrossSite => (
                "That came from another site",
                vec!["For your safety nothing was done. Start again from this shop.".to_owned()],
            ),
            Refusal::NotFound => (
                "There is nothing at this address",
                vec!["The link may be old, or mistyped.".to_owned()],
            ),
            Refusal::Other { title, detail } => (title.as_str(), vec![detail.clone()]),
        };
        let again = if *self == Refusal::Unknown {
            "Ask again"
        } else {
            "Try again"
        };
        Words {
            title: title.to_owned(),
            lines,
            again,
        }
    }
}

fn sold_out(asked: u32, left: u32, held: u32, sold: u32) -> (&'static str, Vec<String>) {
    let mut lines = Vec::with_capacity(3);
    if left > 0 {
        lines.push(format!(
            "You asked for {asked}; {left} left. Nothing was ordered."
        ));
    } else {
        lines.push("Other buyers’ orders came in before yours. Nothing was ordered.".to_owned());
    }
    let grouped = |count: u32| grouped(count.into());
    match (sold, held) {
        (0, 0) => {}
        (sold, 0) => lines.push(format!("{} sold, none on hold.", grouped(sold))),
        (sold, held) => lines.push(format!(
            "{} sold; {} on hold for buyers who have not paid yet. Units that are not paid in \
             time come back.",
            grouped(sold),
            grouped(held)
        )),
    }
    (
        if left > 0 {
            "Fewer left than you asked for"
        } else {
            "Sold out"
        },
        lines,
    )
}

fn buyer_limit(asked: u32, left: u32, limit: u32) -> (&'static str, Vec<String>) {
    let taken = limit.saturating_sub(left);
    let mut lines = vec![format!("One buyer may have {limit} of this product.")];
    if left == 0 {
        lines.push(format!(
            "You have {taken} already, held or bought. Nothing was ordered."
        ));
    } else {
        lines.push(format!(
            "You asked for {asked} and may take {left} more. Nothing was ordered."
        ));
    }
    ("More than one buyer may have", lines)
}
