//! The table of all keys of a campaign file: those of the sale and the rehearsal, which
//! `campaign.rs` reads by hand, and those of the brief. From it come the JSON Schema and
//! docs/campaign.md; a test compares it with what the reader takes.

use super::brief::Brief;
use super::{BASKET_LINES_MAX, BUYERS_MAX, COUPONS_MAX, CURVE_POINTS_MAX, RATE_PER_S_MAX};
use crate::gateway::scalar::{FILE, INSTANT, SHARE, list, number, table, text, whole};
use crate::gateway::schema;
use crate::gateway::shape::{Key, Map, Mapping, Need, Shape};
use serde_json::json;
use std::sync::LazyLock;

const PRICE: Shape = whole(1, sale::limits::PRICE_MINOR_MAX as u64);
const WEIGHT: Shape = number(0.0, 1_000_000.0);
const OFFSET: Shape = text(32);

macro_rules! keys {
    ($about:literal: $($key:literal $shape:expr, $need:expr, $what:literal;)*) => {
        Map {
            about: $about,
            keys: &[$(Key::new($key, $what, $shape, $need),)*],
        }
    };
}

const COUPON: Map = keys! { "A coupon that buyers may use.":
    "code" text(sale::limits::TEXT_BYTES_MAX), Need::Required, "What buyers type.";
    "quota" whole(1, u32::MAX as u64), Need::Required, "How many orders may use it.";
    "amount_off" PRICE, Need::Required, "In minor units.";
    "minimum_total" PRICE, Need::Required, "Above `amount_off`, in minor units.";
    "currency" text(3), Need::Required, "Three capital letters.";
};
const DEMAND: Map = keys! { "What a rehearsal sends.":
    "curve" list(&Shape::Json, CURVE_POINTS_MAX), Need::Required,
        "Points `[offset from T0, requests a second]`, straight lines between, a step where two \
         share an offset.";
};
const MIX: Map = keys! { "How many of those who arrive do what, in proportion.":
    "sign_in" WEIGHT, Need::Or("0"), "They sign in.";
    "browse" WEIGHT, Need::Or("0"), "They look at pages.";
    "order" WEIGHT, Need::Or("0"), "They order.";
};
const JOURNEYS: Map = keys! { "What the buyers of a rehearsal do.":
    "before_t0" Shape::Map(&MIX), Need::Required, "Before the sale opens.";
    "after_t0" Shape::Map(&MIX), Need::Required, "From then on.";
    "zipf" number(0.0, 4.0), Need::Or("0.9"),
        "How uneven demand is: the n-th product has the weight 1 / n^zipf.";
    "weights" table(&WEIGHT, 1_000_000), Need::Optional, "Weights of single SKUs instead.";
    "lines" list(&WEIGHT, BASKET_LINES_MAX), Need::Optional,
        "Weights of baskets with 1, 2, 3 … products.";
    "abandon" SHARE, Need::Or("0"), "Share of those who got their order and never pay.";
    "cancel" SHARE, Need::Or("0"), "Share of those who cancel.";
    "abandon_until" OFFSET, Need::Optional, "From this offset on nobody does either.";
    "coupon" SHARE, Need::Or("0"), "Share of orders with a coupon.";
    "repeat" SHARE, Need::Or("0"), "Share of orders sent twice under one key.";
    "think_min" OFFSET, Need::Or("300ms"), "Shortest time before paying.";
    "think_max" OFFSET, Need::Or("3s"), "Longest time before paying.";
};
const EXPECTATIONS: Map = keys! { "What a rehearsal has to show.":
    "min_rps_at_t0" whole(0, RATE_PER_S_MAX), Need::Or("15000"),
        "Requests sent in the first second.";
    "sent_share" SHARE, Need::Or("0.99"), "Of the planned arrivals, how many were sent.";
    "error_share_max" SHARE, Need::Or("0.01"), "Failed requests outside the kill.";
    "sold_out_at_demand" number(1.0, 1_000.0), Need::Or("2"),
        "SKUs with this many times their stock in demand must sell out.";
};
const REHEARSAL: Map = keys! { "What a rehearsal does to the shop.":
    "kill_at" OFFSET, Need::Optional, "When the shop is killed.";
    "hold" OFFSET, Need::Optional, "Replaces the holds of the catalogue.";
    "expectations" Shape::Map(&EXPECTATIONS), Need::Optional, "What it has to show.";
};
const SALE: Map = keys! { "A sale: what is sold from when, what is expected of it, who agreed.":
    "version" whole(1, 1), Need::Required, "The version of this format.";
    "name" text(64), Need::Required, "A short name.";
    "title" text(200), Need::Optional, "A line for people.";
    "t0" INSTANT, Need::Required, "The instant it opens.";
    "catalogue" FILE, Need::Required, "The products, as CSV or JSON Lines.";
    "coupons" list(&Shape::Map(&COUPON), COUPONS_MAX), Need::Optional, "Coupons.";
    "buyers" whole(1, BUYERS_MAX), Need::Required, "How many people a rehearsal has.";
    "demand" Shape::Map(&DEMAND), Need::Required, "What a rehearsal sends.";
    "journeys" Shape::Map(&JOURNEYS), Need::Required, "What its buyers do.";
    "rehearsal" Shape::Map(&REHEARSAL), Need::Optional, "What it does to the shop.";
};

/// All keys, those of the sale first.
pub static ALL: LazyLock<Map> = LazyLock::new(|| {
    let keys = SALE.keys.iter().chain(Brief::SHAPE.keys).copied();
    Map {
        about: SALE.about,
        keys: Box::leak(keys.collect()),
    }
});

/// The JSON Schema of a campaign file, with a line at its end.
#[must_use]
pub fn schema_text() -> String {
    let mut schema = schema::of_map("campaign", &ALL);
    let offset = json!({"type": "string", "pattern": "^[+-]?[0-9]+(ms|s|m|h)$"});
    let point = json!({
        "type": "array", "minItems": 2, "maxItems": 2,
        "prefixItems": [offset, {"type": "number", "minimum": 0, "maximum": RATE_PER_S_MAX}]
    });
    // The table has no word for a pair.
    if let Some(items) = schema.pointer_mut(CURVE_ITEMS) {
        *items = point;
    }
    schema::shown(&schema)
}

const CURVE_ITEMS: &str = "/properties/demand/properties/curve/items";

/// Tables of its keys, for docs/campaign.md.
#[must_use]
pub fn documented() -> String {
    schema::documented_map(&ALL)
}
