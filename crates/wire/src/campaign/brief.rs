//! What a team agrees on before a sale: background, people, phases, products, third parties,
//! estimates with their basis, promises, money. All of it is optional, so that a campaign that is
//! only rehearsed stays short; the planner says what it misses.
//!
//! The same table of keys serves the reader, the JSON Schema and docs/campaign.md. It must not
//! know how a forecast or a plan is made.

#[cfg(test)]
mod tests;

use super::limits::{
    CONTACTS_MAX, EARLIER_MAX, GOALS_MAX, NEWS_MAX, PHASES_MAX, PRODUCTS_MAX, SENTENCES_CHARS_MAX,
    SLOS_MAX, THIRD_PARTIES_MAX, WINDOWS_MAX,
};
use crate::gateway::limits::SENTENCE_CHARS_MAX;
use crate::gateway::scalar::{
    FILE, INSTANT, Instant, Kind, RATE, Rate, SHARE, list, number, span, text, whole,
};
use crate::gateway::shape::{Need, Shape, mapping, words};
use std::path::PathBuf;
use std::time::Duration;

const PLAIN: Shape = text(200);
const SENTENCE: Shape = text(SENTENCE_CHARS_MAX);
const LONG: Shape = Shape::Scalar(Kind::Lines(SENTENCES_CHARS_MAX));
const SKU: Shape = text(sale::limits::TEXT_BYTES_MAX);
const COUNT: Shape = whole(0, 1_000_000_000_000);
const UNITS: Shape = whole(0, u32::MAX as u64);
const PRICE: Shape = whole(0, sale::limits::PRICE_MINOR_MAX as u64);
const SLO_MS_MAX: u64 = 600_000;

mapping! {
    /// What a team agrees on before a sale.
    pub struct Brief {
        /// Why there is this sale, in a few sentences.
        background: Option<String> = LONG, Need::Optional;
        /// What it shall reach.
        goals: Vec<Goal> = list(&Goal::ITEM, GOALS_MAX), Need::Optional;
        /// Who answers for what, and who agreed when.
        owners: Vec<Owner> = list(&Owner::ITEM, CONTACTS_MAX), Need::Optional;
        /// The zone in which people read its instants, such as `Europe/Berlin`.
        time_zone: Option<String> = PLAIN, Need::Optional;
        /// Its stretches of time, one after the other.
        phases: Vec<Phase> = list(&Phase::ITEM, PHASES_MAX), Need::Optional;
        /// At which level the promotion runs.
        granularity: Option<Granularity> = Granularity::SHAPE, Need::Optional;
        /// How hard it is pushed.
        intensity: Option<Intensity> = Intensity::ITEM, Need::Optional;
        /// The products that take part, with what is promised of them.
        products: Vec<Product> = list(&Product::ITEM, PRODUCTS_MAX), Need::Optional;
        /// Others whose services the sale uses.
        third_parties: Vec<ThirdParty> =
            list(&ThirdParty::ITEM, THIRD_PARTIES_MAX), Need::Optional;
        /// What is expected of the busiest day, each with its basis.
        expected: Option<Expected> = Expected::ITEM, Need::Optional;
        /// Campaigns before this one, with the traffic that they had.
        earlier: Vec<Earlier> = list(&Earlier::ITEM, EARLIER_MAX), Need::Optional;
        /// What was not there at the last campaign.
        new_since_last: Vec<News> = list(&News::ITEM, NEWS_MAX), Need::Optional;
        /// What is promised to users.
        slos: Vec<Slo> = list(&Slo::ITEM, SLOS_MAX), Need::Optional;
        /// What it may cost to get ready.
        budget: Option<Budget> = Budget::ITEM, Need::Optional;
        /// Who answers the phone, and when.
        on_call: Vec<OnCall> = list(&OnCall::ITEM, CONTACTS_MAX), Need::Optional;
        /// When nothing may change, or nothing may be sold.
        freeze: Vec<Freeze> = list(&Freeze::ITEM, WINDOWS_MAX), Need::Optional;
    }

    /// What the sale shall reach.
    pub struct Goal {
        /// In a sentence.
        goal: String = SENTENCE, Need::Required;
        /// By what it is measured.
        measure: Option<String> = PLAIN, Need::Optional;
        /// From which figure on it is reached.
        target: Option<f64> = number(-1e15, 1e15), Need::Optional;
    }

    /// Somebody who answers for a part.
    pub struct Owner {
        /// For what, such as `product` or `payment`.
        role: String = PLAIN, Need::Required;
        /// The person or team.
        name: String = PLAIN, Need::Required;
        /// How to reach them.
        contact: Option<String> = PLAIN, Need::Optional;
        /// When they agreed to this file; absent until they do.
        agreed: Option<Instant> = INSTANT, Need::Optional;
    }

    /// A stretch of time.
    pub struct Phase {
        /// What it is called.
        name: String = PLAIN, Need::Required;
        /// What it is.
        kind: PhaseKind = PhaseKind::SHAPE, Need::Required;
        /// Its first instant.
        from: Instant = INSTANT, Need::Required;
        /// The first instant after it.
        until: Instant = INSTANT, Need::Required;
        /// How many times a normal day's traffic at the same hour; where absent, the forecast
        /// finds it.
        uplift: Option<f64> = number(0.0, 10_000.0), Need::Optional;
    }

    /// How hard the promotion is pushed.
    pub struct Intensity {
        /// Off the usual price, as a share; the mean over what takes part.
        discount: Option<f64> = SHARE, Need::Optional;
        /// What buyers who are told of it are as a share of all; 1 is everybody.
        reach: Option<f64> = SHARE, Need::Optional;
        /// By which ways they are told, in words.
        channels: Option<String> = SENTENCE, Need::Optional;
        /// When they are told: everybody comes at once after it.
        told_at: Option<Instant> = INSTANT, Need::Optional;
    }

    /// A product that takes part.
    pub struct Product {
        /// As the catalogue has it.
        sku: String = SKU, Need::Required;
        /// Units for the sale.
        stock: Option<u64> = UNITS, Need::Optional;
        /// In minor units of its currency.
        price: Option<u64> = PRICE, Need::Optional;
        /// Units that one buyer may have.
        limit: Option<u64> = UNITS, Need::Optional;
        /// What makes it a bargain.
        promotion: Option<Promotion> = Promotion::ITEM, Need::Optional;
    }

    /// What makes a product a bargain.
    pub struct Promotion {
        /// Its kind.
        kind: PromotionKind = PromotionKind::SHAPE, Need::Required;
        /// The price while it lasts, in minor units.
        price: Option<u64> = PRICE, Need::Optional;
        /// In a sentence, for people.
        about: Option<String> = SENTENCE, Need::Optional;
    }

    /// Somebody else's service.
    pub struct ThirdParty {
        /// What it is called in services.yaml.
        name: String = PLAIN, Need::Required;
        /// Who of us talks to them.
        owner: Option<String> = PLAIN, Need::Optional;
        /// How much they take from us.
        quota: Option<Rate> = RATE, Need::Optional;
        /// What they promise.
        service_level: Option<ServiceLevel> = ServiceLevel::ITEM, Need::Optional;
        /// What happens without them.
        fallback: Option<String> = SENTENCE, Need::Optional;
        /// How to reach them during the sale.
        contact: Option<String> = PLAIN, Need::Optional;
    }

    /// What a third party promises.
    pub struct ServiceLevel {
        /// The share of requests that succeed, such as 0.999.
        availability: Option<f64> = SHARE, Need::Optional;
        /// The 99th percentile of its answers.
        p99: Option<Duration> = span(1, SLO_MS_MAX), Need::Optional;
    }

    /// What is expected of the busiest day.
    pub struct Expected {
        /// Daily active users: people who come.
        dau: Option<Estimate> = Estimate::ITEM, Need::Optional;
        /// Daily active transactions: attempts to buy.
        dat: Option<Estimate> = Estimate::ITEM, Need::Optional;
        /// Orders that are accepted.
        orders: Option<Estimate> = Estimate::ITEM, Need::Optional;
        /// The route by which one orders, as the traffic has it, such as `POST /v1/orders`.
        order_route: Option<String> = PLAIN, Need::Optional;
    }

    /// A figure with the reason to believe it.
    pub struct Estimate {
        /// The figure.
        value: u64 = COUNT, Need::Required;
        /// The least that is thought possible.
        low: Option<u64> = COUNT, Need::Optional;
        /// The most that is thought possible.
        high: Option<u64> = COUNT, Need::Optional;
        /// Where it comes from.
        basis: String = SENTENCE, Need::Required;
    }

    /// A campaign before this one.
    pub struct Earlier {
        /// What it was called.
        name: String = PLAIN, Need::Required;
        /// The instant it opened.
        t0: Instant = INSTANT, Need::Required;
        /// Its traffic, with two weeks before it, from `seawall traffic import`.
        series: PathBuf = FILE, Need::Required;
        /// The people who came on its busiest day, where known.
        dau: Option<u64> = COUNT, Need::Optional;
    }

    /// Something that was not there at the last campaign.
    pub struct News {
        /// What it is.
        what: String = SENTENCE, Need::Required;
        /// Who answers for it.
        owner: Option<String> = PLAIN, Need::Optional;
        /// The load report that shows what it can do.
        report: Option<PathBuf> = FILE, Need::Optional;
        /// Whether core flows go through it.
        critical: bool = Shape::Scalar(Kind::Flag), Need::Or("false");
    }

    /// What is promised to users.
    pub struct Slo {
        /// The route, or absent for all.
        route: Option<String> = PLAIN, Need::Optional;
        /// The 99th percentile of answers, refusals left out.
        p99: Option<Duration> = span(1, SLO_MS_MAX), Need::Optional;
        /// Failed requests at most, as a share; refusals are no failures.
        errors: Option<f64> = SHARE, Need::Optional;
    }

    /// What it may cost to get ready.
    pub struct Budget {
        /// In minor units.
        amount: u64 = COUNT, Need::Required;
        /// Three capital letters.
        currency: String = text(3), Need::Required;
        /// What it is for.
        about: Option<String> = SENTENCE, Need::Optional;
    }

    /// Somebody on call.
    pub struct OnCall {
        /// For what.
        role: String = PLAIN, Need::Required;
        /// The person or team.
        name: String = PLAIN, Need::Required;
        /// How to reach them.
        contact: String = PLAIN, Need::Required;
        /// From when.
        from: Instant = INSTANT, Need::Required;
        /// Until when.
        until: Instant = INSTANT, Need::Required;
    }

    /// A stretch of time in which something must not happen.
    pub struct Freeze {
        /// What must not happen.
        kind: FreezeKind = FreezeKind::SHAPE, Need::Required;
        /// From when.
        from: Instant = INSTANT, Need::Required;
        /// Until when.
        until: Instant = INSTANT, Need::Required;
        /// Why, and who may allow exceptions.
        about: Option<String> = SENTENCE, Need::Optional;
    }
}

words! {
    /// What a phase is, in their order.
    pub enum PhaseKind {
        WarmUp "warm_up",
        Presale "presale",
        /// Begins at T0.
        Opening "opening",
        Peak "peak",
        Tail "tail",
    }
    /// At which level a promotion runs.
    pub enum Granularity {
        Sku "sku",
        Category "category",
        Shop "shop",
        Site "site",
    }
    /// What makes a product a bargain.
    pub enum PromotionKind {
        PriceOff "price_off",
        Coupon "coupon",
        Bundle "bundle",
        Gift "gift",
        None "none",
    }
    /// What must not happen.
    pub enum FreezeKind {
        /// Releases and changes of settings: has to cover the sale.
        Releases "releases",
        /// Changes of data.
        Data "data",
        /// Sales, such as while a bank is being serviced: must not touch the sale.
        Sales "sales",
    }
}
