//! Every arrival of a rehearsal, decided before the first one leaves.
//!
//! The plan is open loop: it says when each buyer comes, whatever the shop does. The same seed,
//! campaign and catalogue give the same plan. What follows from an answer (paying, cancelling,
//! asking again) is decided here too and only waits for the answer. It knows nothing of sockets.

use crate::weighted::Weighted;
use load::rng::Rng;
use sale::Currency;
use wire::campaign::{Campaign, Curve, Mix};

/// One product on sale.
#[derive(Clone, Debug, PartialEq)]
pub struct Product {
    pub sku: String,
    pub title: String,
    pub stock: u64,
    pub price: i64,
    pub currency: Currency,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    SignIn,
    Hall,
    /// The page of a product.
    Page(u32),
    /// The product as data.
    Product(u32),
    Order(u32),
    /// The same order again under the same key.
    Repeat(u32),
    /// Units of a paid basket come back.
    Return(u32),
}

/// A buyer comes: when (microseconds from the start of the plan), who, for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    pub at_us: u64,
    pub buyer: u32,
    pub what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Pay,
    Abandon,
    Cancel,
}

/// What somebody wants to buy, and what becomes of it if they get it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basket {
    pub buyer: u32,
    /// Index of the product and units.
    pub lines: Box<[(u32, u32)]>,
    pub coupon: Option<u32>,
    pub fate: Fate,
    /// From the shop's answer to the payment or the cancellation.
    pub think_ms: u32,
}

/// Units of a basket's lines that come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnPlan {
    pub basket: u32,
    pub lines: Vec<(u16, u32)>,
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub products: Vec<Product>,
    pub coupons: Vec<String>,
    pub buyers: u32,
    pub arrivals: Vec<Arrival>,
    pub baskets: Vec<Basket>,
    pub returns: Vec<ReturnPlan>,
    /// T0 in microseconds from the start of the plan.
    pub t0_us: u64,
    pub end_us: u64,
}

impl Plan {
    /// Units asked for by product.
    #[cfg(test)]
    pub fn demand(&self) -> Vec<u64> {
        let mut units = vec![0u64; self.products.len()];
        for basket in &self.baskets {
            for (product, quantity) in &basket.lines {
                units[*product as usize] += u64::from(*quantity);
            }
        }
        units
    }

    /// Planned arrivals in each second from the start of the plan.
    pub fn per_second(&self) -> Vec<u64> {
        let mut seconds = Vec::new();
        for arrival in &self.arrivals {
            let second = (arrival.at_us / 1_000_000) as usize;
            if seconds.len() <= second {
                seconds.resize(second + 1, 0);
            }
            seconds[second] += 1;
        }
        seconds
    }
}

/// The instants of a curve, in microseconds from its start: `n` requests where the area is `n`,
/// each at a random place of its own slot, so that counts are exact and spacing is not.
pub fn instants(curve: &Curve, rng: &mut Rng) -> Vec<u64> {
    let mut out = Vec::with_capacity(curve.total() as usize);
    let (mut before, mut next) = (0.0, rng.unit());
    for pair in curve.points.windows(2) {
        let area = Curve::area(pair[0], pair[1]);
        let from_us = (pair[0].offset_ms - curve.start_ms()) as f64 * 1_000.0;
        let seconds = (pair[1].offset_ms - pair[0].offset_ms) as f64 / 1_000.0;
        while next < before + area {
            let (x, rate) = (next - before, pair[0].per_second);
            // Solves rate·t + slope/2·t² = x in the form that stays exact for a slope of 0.
            let slope = (pair[1].per_second - rate) / seconds;
            let root = (rate * rate + 2.0 * slope * x).max(0.0).sqrt();
            let t = (2.0 * x / (rate + root)).min(seconds);
            out.push((from_us + t * 1e6) as u64);
            next = out.len() as f64 + rng.unit();
        }
        before += area;
    }
    out
}

/// Plans a campaign.
pub fn campaign(campaign: &Campaign, products: Vec<Product>, seed: u64) -> Plan {
    let mut rng = Rng::new(seed);
    let instants = instants(&campaign.demand, &mut rng);
    let t0_us = micros(-campaign.demand.start_ms());
    let mut planner = Planner::new(campaign, &products, rng, t0_us);
    let mut arrivals = Vec::with_capacity(instants.len() + instants.len() / 16);
    for at_us in instants {
        planner.arrive(at_us, &mut arrivals);
    }
    arrivals.sort_by_key(|arrival| arrival.at_us);
    Plan {
        coupons: campaign
            .coupons
            .iter()
            .map(|coupon| coupon.code.clone())
            .collect(),
        buyers: campaign.buyers,
        arrivals,
        baskets: planner.baskets,
        returns: Vec::new(),
        t0_us,
        end_us: micros(campaign.demand.end_ms() - campaign.demand.start_ms()),
        products,
    }
}

fn micros(ms: i64) -> u64 {
    u64::try_from(ms).unwrap_or(0) * 1_000
}

/// A buyer who signed in this long ago is taken to have a session.
const SESSION_US: u64 = 1_000_000;

struct Planner<'a> {
    campaign: &'a Campaign,
    rng: Rng,
    t0_us: u64,
    popularity: Option<Weighted>,
    basket_lines: Option<Weighted>,
    baskets: Vec<Basket>,
    /// When buyer n signs in; the index is the buyer.
    signed_in_us: Vec<u64>,
    /// Buyers of that list who are taken to have a session by now.
    ready: usize,
}

impl<'a> Planner<'a> {
    fn new(campaign: &'a Campaign, products: &[Product], rng: Rng, t0_us: u64) -> Planner<'a> {
        let journeys = &campaign.journeys;
        let weights = products.iter().enumerate().map(|(rank, product)| {
            let own = journeys.weights.iter().find(|(sku, _)| *sku == product.sku);
            own.map_or_else(
                || ((rank + 1) as f64).powf(-journeys.zipf),
                |(_, weight)| *weight,
            )
        });
        Planner {
            popularity: Weighted::new(weights),
            basket_lines: Weighted::new(journeys.lines.iter().copied()),
            campaign,
            rng,
            t0_us,
            baskets: Vec::new(),
            signed_in_us: Vec::new(),
            ready: 0,
        }
    }

    fn arrive(&mut self, at_us: u64, out: &mut Vec<Arrival>) {
        while self
            .signed_in_us
            .get(self.ready)
            .is_some_and(|at| at + SESSION_US <= at_us)
        {
            self.ready += 1;
        }
        let journeys = &self.campaign.journeys;
        let mix = if at_us < self.t0_us {
            journeys.before_t0
        } else {
            journeys.after_t0
        };
        let Mix {
            sign_in,
            browse,
            order,
        } = mix;
        let draw = self.rng.unit() * (sign_in + browse + order);
        let newcomers = (self.signed_in_us.len() as u64) < u64::from(self.campaign.buyers);
        if draw < sign_in && newcomers {
            let buyer = self.newcomer(at_us);
            out.push(Arrival {
                at_us,
                buyer,
                what: What::SignIn,
            });
        } else if draw < sign_in + browse {
            let buyer = self.rng.below(u64::from(self.campaign.buyers)) as u32;
            out.push(Arrival {
                at_us,
                buyer,
                what: self.browse(),
            });
        } else {
            self.order(at_us, newcomers, out);
        }
    }

    fn newcomer(&mut self, at_us: u64) -> u32 {
        self.signed_in_us.push(at_us);
        (self.signed_in_us.len() - 1) as u32
    }

    fn browse(&mut self) -> What {
        let Some(product) = self.product() else {
            return What::Hall;
        };
        match self.rng.below(100) {
            0..30 => What::Hall,
            30..70 => What::Page(product),
            _ => What::Product(product),
        }
    }

    fn product(&mut self) -> Option<u32> {
        let popularity = self.popularity.as_ref()?;
        Some(popularity.draw(&mut self.rng) as u32)
    }

    fn order(&mut self, at_us: u64, newcomers: bool, out: &mut Vec<Arrival>) {
        let buyer = match self.ready {
            0 if newcomers => self.newcomer(at_us),
            0 => self.rng.below(u64::from(self.campaign.buyers)) as u32,
            ready => self.rng.below(ready as u64) as u32,
        };
        let lines = self.lines();
        if lines.is_empty() {
            out.push(Arrival {
                at_us,
                buyer,
                what: What::Hall,
            });
            return;
        }
        let j = &self.campaign.journeys;
        let coupons = self.campaign.coupons.len() as u64;
        let coupon =
            (coupons > 0 && self.rng.chance(j.coupon)).then(|| self.rng.below(coupons) as u32);
        let serious = at_us >= self.t0_us + micros(j.abandon_until_ms);
        let draw = self.rng.unit();
        let fate = match () {
            () if serious => Fate::Pay,
            () if draw < j.abandon => Fate::Abandon,
            () if draw < j.abandon + j.cancel => Fate::Cancel,
            () => Fate::Pay,
        };
        let think_ms = self.rng.between(j.think_ms.0, j.think_ms.1) as u32;
        let basket = self.baskets.len() as u32;
        self.baskets.push(Basket {
            buyer,
            lines,
            coupon,
            fate,
            think_ms,
        });
        out.push(Arrival {
            at_us,
            buyer,
            what: What::Order(basket),
        });
        if self.rng.chance(j.repeat) {
            let at_us = at_us + self.rng.between(5_000, 250_000);
            out.push(Arrival {
                at_us,
                buyer,
                what: What::Repeat(basket),
            });
        }
    }

    fn lines(&mut self) -> Box<[(u32, u32)]> {
        let wanted = self
            .basket_lines
            .as_ref()
            .map_or(1, |w| w.draw(&mut self.rng) + 1);
        let mut lines: Vec<(u32, u32)> = Vec::with_capacity(wanted);
        // A few draws more than lines: a basket names each product once.
        for _ in 0..wanted * 4 {
            let Some(product) = self.product() else { break };
            if lines.iter().all(|(other, _)| *other != product) {
                let units = match self.rng.below(100) {
                    0..88 => 1,
                    88..98 => 2,
                    _ => 3,
                };
                lines.push((product, units));
            }
            if lines.len() == wanted {
                break;
            }
        }
        lines.into_boxed_slice()
    }
}
