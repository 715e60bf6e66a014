//! Stock: what each SKU will sell, how much more is kept against surprise, when to order again,
//! and what the sale gets. It must not know where orders come from.
//!
//! * Demand of a week: the mean of the last eight, the largest counted as the second largest, so
//!   that one wholesaler's order is no promise of the next.
//! * Safety stock: as much as held back weeks say is needed for the service level. The error of a
//!   forecast f is measured as (demand − f) / (f + 1) over all SKUs with a demand of its size,
//!   because single SKUs have too few weeks. A floor of 10 to 15 % of the demand stays below it.
//! * Service level: the share of SKU-weeks whose demand is met in full.

use crate::forecast::quantile;

/// Weeks that a demand is made from.
const WEEKS: usize = 8;
/// Weeks held back to measure errors.
const HELD_BACK_WEEKS: usize = 12;
/// Classes of demand with errors of their own.
const CLASSES: usize = 4;

/// Units sold of one SKU, by whole weeks, the oldest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Sold {
    pub sku: String,
    pub weeks: Vec<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// The share of SKU-weeks whose demand is met in full: 0.95.
    pub service_level: f64,
    /// Safety stock at least, as a share of demand: 0.10 to 0.15.
    pub floor: f64,
    /// Weeks from an order to its arrival.
    pub lead_weeks: f64,
}

impl Policy {
    /// `None` where a figure is out of its bounds.
    #[must_use]
    pub fn checked(self) -> Option<Policy> {
        let good = (0.5..=0.999).contains(&self.service_level)
            && (0.10..=0.15).contains(&self.floor)
            && (0.0..=52.0).contains(&self.lead_weeks);
        good.then_some(self)
    }
}

/// Units of the next week.
#[must_use]
pub fn demand(weeks: &[f64]) -> f64 {
    let last = &weeks[weeks.len().saturating_sub(WEEKS)..];
    if last.is_empty() {
        return 0.0;
    }
    let mut sorted = last.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let cap = sorted[sorted.len().saturating_sub(2)];
    last.iter().map(|units| units.min(cap)).sum::<f64>() / last.len() as f64
}

/// How wrong demands were, by their size.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Errors {
    /// The least demand of each class but the first.
    edges: Vec<f64>,
    /// Relative errors of each class, sorted.
    classes: Vec<Vec<f64>>,
}

impl Errors {
    /// Measured on the last weeks, each held back in its turn.
    #[must_use]
    pub fn measured(sold: &[Sold]) -> Errors {
        let mut found: Vec<(f64, f64)> = Vec::new();
        for one in sold {
            let from = one.weeks.len().saturating_sub(HELD_BACK_WEEKS);
            for week in from..one.weeks.len() {
                let before = &one.weeks[..week];
                // A SKU that was never sold is no forecast.
                if before.iter().any(|units| *units > 0.0) {
                    let expected = demand(before);
                    found.push((expected, (one.weeks[week] - expected) / (expected + 1.0)));
                }
            }
        }
        found.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let mut edges: Vec<f64> = Vec::new();
        for class in 1..CLASSES {
            let edge = found
                .get(found.len() * class / CLASSES)
                .map(|found| found.0);
            edges.extend(edge.filter(|edge| edges.last().is_none_or(|last| last < edge)));
        }
        let mut errors = Errors {
            classes: vec![Vec::new(); edges.len() + 1],
            edges,
        };
        for (expected, error) in found {
            let class = errors.class(expected);
            errors.classes[class].push(error);
        }
        for class in &mut errors.classes {
            class.sort_unstable_by(f64::total_cmp);
        }
        errors
    }

    fn class(&self, expected: f64) -> usize {
        self.edges.partition_point(|edge| *edge <= expected)
    }

    /// Units above a demand that keep the service level; at least the floor.
    #[must_use]
    pub fn safety(&self, expected: f64, policy: &Policy) -> f64 {
        let floor = expected * policy.floor;
        let class = self.classes.get(self.class(expected));
        class.map_or(floor, |errors| {
            let share = quantile(errors, policy.service_level);
            (share * (expected + 1.0)).max(floor)
        })
    }

    /// The share of weeks with such a demand that this stock would have met in full.
    #[must_use]
    pub fn service(&self, expected: f64, stock: f64) -> f64 {
        let share = (stock - expected) / (expected + 1.0);
        match self.classes.get(self.class(expected)) {
            Some(errors) if !errors.is_empty() => {
                errors.partition_point(|error| *error <= share) as f64 / errors.len() as f64
            }
            _ => f64::from(u8::from(stock >= expected)),
        }
    }
}

/// What the sale asks of one SKU.
#[derive(Clone, Debug, PartialEq)]
pub struct Offered {
    pub sku: String,
    /// Units on hand for sale and normal trade together.
    pub stock: u64,
    /// Units that the sale is expected to ask for.
    pub sale_demand: f64,
}

/// What people have to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alert {
    /// Less on hand than the sale is expected to ask for: it sells out.
    SellsOut,
    /// Enough for what is expected, not for the service level.
    Short,
    /// Below the reorder point: order now.
    Reorder,
    /// Never sold: nothing is known of its demand but what the campaign says.
    NoHistory,
}

impl Alert {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Alert::SellsOut => "sells_out",
            Alert::Short => "short",
            Alert::Reorder => "reorder",
            Alert::NoHistory => "no_history",
        }
    }
}

/// The plan of one SKU, in units.
#[derive(Clone, Debug, PartialEq)]
pub struct SkuPlan {
    pub sku: String,
    pub weekly_demand: f64,
    pub sale_demand: f64,
    /// Kept against surprise in the sale.
    pub safety: u64,
    /// Order again when fewer than these are left in normal trade.
    pub reorder_point: u64,
    /// What the sale gets; the rest stays for normal trade.
    pub allocated: u64,
    /// How likely the sale's demand is met in full.
    pub service: f64,
    pub alerts: Vec<Alert>,
}

/// Plans each SKU, in the order of the offer.
#[must_use]
pub fn plan(sold: &[Sold], offered: &[Offered], policy: &Policy) -> Vec<SkuPlan> {
    let errors = Errors::measured(sold);
    let plans = offered.iter().map(|offer| {
        let history = sold.iter().find(|sold| sold.sku == offer.sku);
        let weekly = history.map_or(0.0, |sold| demand(&sold.weeks));
        let sale = offer.sale_demand.max(0.0);
        let safety = errors.safety(sale, policy).ceil();
        // Surprises of several weeks partly even out: they grow with the root of time.
        let lead = weekly * policy.lead_weeks;
        let of_lead = errors.safety(weekly, policy) * policy.lead_weeks.sqrt();
        let reorder = lead + of_lead.max(lead * policy.floor);
        let wanted = sale.ceil() + safety;
        let allocated = offer.stock.min(wanted as u64);
        let mut alerts = Vec::new();
        if (offer.stock as f64) < sale {
            alerts.push(Alert::SellsOut);
        } else if (offer.stock as f64) < wanted {
            alerts.push(Alert::Short);
        }
        if history.is_some() && ((offer.stock - allocated) as f64) < reorder {
            alerts.push(Alert::Reorder);
        }
        if history.is_none() {
            alerts.push(Alert::NoHistory);
        }
        SkuPlan {
            sku: offer.sku.clone(),
            weekly_demand: weekly,
            sale_demand: sale,
            safety: safety as u64,
            reorder_point: reorder.ceil() as u64,
            allocated,
            service: errors.service(sale, allocated as f64),
            alerts,
        }
    });
    plans.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const POLICY: Policy = Policy {
        service_level: 0.95,
        floor: 0.12,
        lead_weeks: 2.0,
    };

    fn sold(sku: &str, weeks: &[f64]) -> Sold {
        Sold {
            sku: sku.to_owned(),
            weeks: weeks.to_vec(),
        }
    }

    #[test]
    fn one_large_order_is_no_promise() {
        assert_eq!(demand(&[9.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 80.0]), 1.0);
        assert_eq!(demand(&[4.0, 8.0]), 4.0);
        assert_eq!(demand(&[]), 0.0);
    }

    #[test]
    fn a_sku_is_planned() {
        let steady = sold("A", &[10.0; 20]);
        let offer = |sku: &str, stock: u64, sale_demand: f64| Offered {
            sku: sku.to_owned(),
            stock,
            sale_demand,
        };
        let all = [
            offer("A", 500, 100.0),
            offer("A", 90, 100.0),
            offer("B", 105, 100.0),
        ];
        let plans = plan(&[steady], &all, &POLICY);
        // Never wrong so far: the floor of 12 % is all the safety there is.
        assert_eq!(
            (plans[0].safety, plans[0].allocated, plans[0].service),
            (12, 112, 1.0)
        );
        assert_eq!(plans[0].reorder_point, 23);
        assert_eq!(plans[0].alerts, []);
        assert_eq!(plans[1].alerts, [Alert::SellsOut, Alert::Reorder]);
        assert_eq!((plans[1].allocated, plans[1].service), (90, 0.0));
        assert_eq!(plans[2].alerts, [Alert::Short, Alert::NoHistory]);
    }

    #[test]
    fn a_policy_out_of_bounds_is_none() {
        assert!(POLICY.checked().is_some());
        for bad in [
            Policy {
                service_level: 1.0,
                ..POLICY
            },
            Policy {
                floor: 0.05,
                ..POLICY
            },
            Policy {
                floor: 0.2,
                ..POLICY
            },
            Policy {
                lead_weeks: f64::NAN,
                ..POLICY
            },
        ] {
            assert_eq!(bad.checked(), None, "{bad:?}");
        }
    }

    fn history() -> impl Strategy<Value = Vec<Sold>> {
        let weeks = prop::collection::vec(0_u32..200, 0..30);
        prop::collection::vec(weeks, 1..12).prop_map(|all| {
            let named = all.into_iter().enumerate();
            let sold = named.map(|(at, weeks)| Sold {
                sku: format!("S{at}"),
                weeks: weeks.into_iter().map(f64::from).collect(),
            });
            sold.collect()
        })
    }

    proptest! {
        #[test]
        fn more_stock_never_lowers_service(
            sold in history(), stock in 0_u64..2_000, more in 0_u64..500, sale in 0_f64..900.0,
        ) {
            let offer = |stock| [Offered { sku: "S0".into(), stock, sale_demand: sale }];
            let of = |stock| plan(&sold, &offer(stock), &POLICY).remove(0);
            let (less, more) = (of(stock), of(stock + more));
            prop_assert!(less.service <= more.service);
            prop_assert!(less.allocated <= more.allocated && more.allocated <= stock + 500);
            prop_assert!(less.allocated <= stock);
            prop_assert!(less.safety as f64 >= sale * POLICY.floor);
        }

        #[test]
        fn a_higher_level_never_keeps_less(
            sold in history(), expected in 0_f64..300.0, level in 0.5_f64..0.9,
        ) {
            let errors = Errors::measured(&sold);
            let at = |service_level| errors.safety(expected, &Policy { service_level, ..POLICY });
            prop_assert!(at(level) <= at(level + 0.09));
        }
    }
}
