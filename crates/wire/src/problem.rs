//! The one table of refusals and failures at the HTTP boundary: code → status → did it happen →
//! when to retry. docs/errors.md has a section for each; what the buyer reads is `title`.

/// Whether the request took effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    No,
    /// Only a repeat with the same key can tell.
    Perhaps,
    Yes,
}

impl Happened {
    pub const fn as_str(self) -> &'static str {
        match self {
            Happened::No => "no",
            Happened::Perhaps => "perhaps",
            Happened::Yes => "yes",
        }
    }
}

/// What one code means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning {
    pub code: &'static str,
    pub status: u16,
    pub title: &'static str,
    pub happened: Happened,
    /// Seconds after which the same request may succeed; `None` where repeating does not help.
    pub retry_after_s: Option<u32>,
}

macro_rules! problems {
    ($(#[$doc:meta])* $enum:ident: $(
        $name:ident $code:literal $status:literal $happened:ident $retry:expr, $title:literal;
    )*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $enum { $($name,)* }

        impl $enum {
            pub const ALL: &'static [$enum] = &[$($enum::$name,)*];
            pub const fn meaning(self) -> Meaning {
                match self {
                    $($enum::$name => Meaning {
                        code: $code,
                        status: $status,
                        title: $title,
                        happened: Happened::$happened,
                        retry_after_s: $retry,
                    },)*
                }
            }
        }
    };
}

problems! {
    /// Every code of the shop, in the order of docs/api.md.
    Code:
    SoldOut "sold_out" 409 No None, "Sold out";
    BuyerLimit "buyer_limit" 409 No None, "Limit per buyer reached";
    NotOpen "not_open" 409 No None, "Not on sale yet";
    Closed "closed" 409 No None, "No longer on sale";
    CouponNotEligible "coupon_not_eligible" 409 No None, "The coupon does not apply to this order";
    CouponUsed "coupon_used" 409 No None, "You have used this coupon";
    CouponExhausted "coupon_exhausted" 409 No None, "This coupon is used up";
    CouponUnknown "coupon_unknown" 422 No None, "There is no such coupon";
    UnknownSku "unknown_sku" 422 No None, "There is no such product";
    MalformedLines "malformed_lines" 422 No None, "The order makes no sense";
    KeyReused "key_reused" 422 No None, "This key was used for something else";
    NotHeld "not_held" 409 No None, "The order is not held any more";
    WrongAmount "wrong_amount" 409 No None, "Another amount is due";
    RefundDue "refund_due" 409 Yes None, "Paid too late: your money is on its way back";
    PaymentDeclined "payment_declined" 402 No None, "The payment was declined";
    UnknownOrder "unknown_order" 404 No None, "There is no such order";
    NotFound "not_found" 404 No None, "There is nothing here";
    Unauthenticated "unauthenticated" 401 No None, "Please sign in";
    CrossSite "cross_site" 403 No None, "The request came from another site";
    KeyMissing "key_missing" 400 No None, "An Idempotency-Key is needed";
    MalformedJson "malformed_json" 400 No None, "The request cannot be read";
    OutOfBounds "out_of_bounds" 422 No None, "A value is outside its bounds";
    Exists "exists" 409 No None, "It exists already";
    TooFewFree "too_few_free" 409 No None, "Fewer units are free than shall go";
    NotPaid "not_paid" 409 No None, "The order is not paid";
    NotReturnable "not_returnable" 409 No None, "More units than are left to return";
    TooLarge "too_large" 413 No None, "The request is too large";
    WrongType "wrong_type" 415 No None, "The content type must be application/json";
    Method "method" 405 No None, "This method is not allowed here";
    TooSlow "too_slow" 408 No Some(1), "The request took too long to arrive";
    Overloaded "overloaded" 503 No Some(1), "Very busy: nothing happened, please try again";
    StorageLow "storage_low" 503 No Some(30), "No new orders for a moment: nothing happened";
    Draining "draining" 503 No Some(2), "Restarting: nothing happened, please try again";
    NoShadow "no_shadow" 409 No None, "No shadow of the shop takes this rehearsal";
    ShadowUnproven "shadow_unproven" 409 No None, "The shadow is not proven to be apart yet";
    OutcomeUnknown "outcome_unknown" 500 Perhaps Some(1), "Please repeat with the same key";
}

problems! {
    /// Every code of the front door: what it says before or instead of what is behind it.
    DoorCode:
    RateLimited "rate_limited" 429 No Some(1), "Too many requests";
    Shed "shed" 503 No Some(1), "Very busy: nothing happened, please try again";
    SwitchedOff "switched_off" 503 No Some(30), "Switched off for a while";
    Gone "gone_for_now" 409 No None, "Sold out";
    UnderWay "under_way" 409 Perhaps Some(1), "The same request is being worked on";
    NoRoute "no_route" 404 No None, "There is nothing here";
    BadRequest "bad_request" 400 No None, "The request cannot be passed on";
    BodyTooLarge "body_too_large" 413 No None, "The request is too large";
    BodyTooSlow "body_too_slow" 408 Perhaps Some(1), "The request took too long to arrive";
    UpstreamDown "upstream_down" 503 No Some(1), "Not available right now: nothing happened";
    UpstreamLost "upstream_lost" 502 Perhaps Some(1), "No answer: please repeat with the same key";
    UpstreamSlow "upstream_slow" 504 Perhaps Some(1), "No answer yet: repeat with the same key";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_unique_and_say_when_to_retry() {
        let codes: BTreeSet<_> = Code::ALL.iter().map(|c| c.meaning().code).collect();
        assert_eq!(codes.len(), Code::ALL.len());
        for code in Code::ALL {
            let Meaning {
                status,
                retry_after_s,
                code,
                happened,
                ..
            } = code.meaning();
            assert_eq!(
                status >= 500 || status == 408,
                retry_after_s.is_some(),
                "{code}"
            );
            assert!(happened != Happened::Perhaps || status == 500, "{code}");
        }
    }

    #[test]
    fn the_doors_codes_are_nobody_elses() {
        let meanings = || {
            let shop = Code::ALL.iter().map(|code| code.meaning());
            shop.chain(DoorCode::ALL.iter().map(|code| code.meaning()))
        };
        let codes: BTreeSet<_> = meanings().map(|meaning| meaning.code).collect();
        assert_eq!(codes.len(), Code::ALL.len() + DoorCode::ALL.len());
        for meaning in meanings().filter(|meaning| meaning.status >= 500) {
            assert!(meaning.retry_after_s.is_some(), "{}", meaning.code);
        }
    }
}
