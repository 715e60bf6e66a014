//! Real orders as demand: the lines of a shop's own books, replayed against a stock that is too
//! small.
//!
//! One invoice is one basket. Price variants of a stock code are one product with one stock; it
//! sells at the price at which most units were asked for. `C…` invoices bring units back, line
//! by line, from the customer's latest baskets first. Whatever makes no sense is left out,
//! counted by reason and shown with file and line. It knows rows and plans, no shop.

mod rows;

use crate::judge::Demands;
use crate::limits;
use crate::plan::{Arrival, Basket, Fate, Plan, Product, ReturnPlan, What};
use crate::run::{CampaignText, Failed, T0_MARK};
use crate::stage::{Kill, Staged, catalogue_text, kill_us};
use load::rng::Rng;
use picture::thousands;
use rows::{Reading, Row};
use sale::Currency;
use sale::limits::{LINES_PER_ORDER_MAX, STOCK_UNITS_MAX, UNITS_PER_LINE_MAX};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use wire::campaign::Expectations;
use wire::catalogue;

/// Milliseconds that a basket of the replay is held: enough to pay in, short enough to end soon.
const HOLD_MS: u64 = 10_000;
/// Before the first basket, so that the shop is open.
const QUIET_US: u64 = 1_000_000;

/// What became of the rows, in figures for the report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) files: usize,
    pub(crate) rows: u64,
    pub(crate) invoices: u64,
    pub(crate) baskets: u64,
    pub(crate) merged: u64,
    pub(crate) merged_across_prices: u64,
    pub(crate) split: u64,
    pub(crate) products: u64,
    pub(crate) products_of_several_prices: u64,
    pub(crate) return_lines: u64,
    pub(crate) returned_units: u64,
    pub(crate) unmatched_return_lines: u64,
    pub(crate) unmatched_units: u64,
    /// Lines that make no sense, by reason, and the first few by file and line.
    pub(crate) odd: BTreeMap<&'static str, u64>,
    pub(crate) odd_shown: Vec<String>,
}

/// Invoices in the order in which they were written.
#[derive(Debug, Default)]
struct Invoices {
    facts: Facts,
    list: Vec<Invoice>,
    by_number: HashMap<String, usize>,
    codes: HashMap<String, u32>,
    products: Vec<Article>,
    customers: HashMap<String, u32>,
    buyers: u32,
}

#[derive(Debug)]
struct Invoice {
    back: bool,
    buyer: u32,
    /// Product, price and units; one line for each product and price.
    lines: Vec<(u32, i64, u64)>,
}

#[derive(Debug)]
struct Article {
    code: String,
    title: String,
    /// Units asked for at each price.
    prices: BTreeMap<i64, u64>,
    demand: u64,
}

/// Reads the source and plans its replay.
pub(crate) fn stage(
    source: &Path,
    rate: f64,
    stock_share: f64,
    kill: Kill,
    seed: u64,
    folder: &Path,
) -> Result<Staged, Failed> {
    if !(0.1..=1e6).contains(&rate) || !(0.0..=100.0).contains(&stock_share) {
        let what = format!(
            "found {rate} baskets/s and a stock share of {stock_share}, expected a rate of 0.1 to \
             1000000 and a share of 0 to 100"
        );
        return Err(Failed::Usage(what));
    }
    let mut invoices = Invoices::default();
    rows::read(source, folder, &mut |reading| invoices.take(reading))?;
    if invoices.list.is_empty() {
        let what = "no order line that makes sense in it".to_owned();
        return Err(Failed::File {
            file: source.to_path_buf(),
            what,
        });
    }
    let (plan, facts) = invoices.plan(rate, stock_share, seed);
    let catalogue = catalogue_of(&plan)?;
    let kill_ms = if let Kill::At(offset_ms) = kill {
        Some(offset_ms)
    } else {
        None
    };
    let kills_us = kill_us(&plan, kill_ms)?;
    let yaml = format!(
        "version: 1\nname: orders\nt0: {T0_MARK}\ncatalogue: catalogue.csv\nbuyers: {}\n\
         demand:\n  curve: [[0s, 1], [1s, 1]]\njourneys:\n  before_t0: {{browse: 1}}\n  \
         after_t0: {{order: 1}}\n",
        plan.buyers,
    );
    let expectations = Expectations::default();
    let demands = Demands {
        expectations,
        t0: false,
        kills: kills_us.len(),
    };
    Ok(Staged {
        kind: "orders",
        name: "orders".to_owned(),
        title: format!("Real orders from {}", source.display()),
        remarks: facts.remarks(rate, stock_share),
        drill: None,
        plan,
        text: CampaignText { yaml, catalogue },
        kills_us,
        demands,
    })
}

impl Invoices {
    fn take(&mut self, reading: Reading<'_>) {
        match reading {
            Reading::File => self.facts.files += 1,
            Reading::Row(row) => {
                self.facts.rows += 1;
                self.row(row);
            }
            Reading::Odd { why, file, line } => {
                self.facts.rows += 1;
                *self.facts.odd.entry(why).or_default() += 1;
                if self.facts.odd_shown.len() < limits::ODD_ROWS_SHOWN_MAX {
                    self.facts
                        .odd_shown
                        .push(format!("{}:{line}: {why}", file.display()));
                }
            }
        }
    }

    fn row(&mut self, row: Row<'_>) {
        let buyer = self.buyer(row.customer, row.invoice);
        let product = self.product(&row);
        let index = *self
            .by_number
            .entry(row.invoice.to_owned())
            .or_insert_with(|| {
                self.list.push(Invoice {
                    back: row.back,
                    buyer,
                    lines: Vec::new(),
                });
                self.list.len() - 1
            });
        if !row.back {
            let article = &mut self.products[product as usize];
            article.demand += row.units;
            *article.prices.entry(row.price).or_default() += row.units;
        }
        let lines = &mut self.list[index].lines;
        let same = lines
            .iter_mut()
            .find(|(p, price, _)| (*p, *price) == (product, row.price));
        match same {
            Some((_, _, units)) => {
                *units += row.units;
                self.facts.merged += 1;
            }
            None => lines.push((product, row.price, row.units)),
        }
    }

    /// A customer is one buyer; an invoice without a customer is a guest of its own.
    fn buyer(&mut self, customer: &str, invoice: &str) -> u32 {
        let name = if customer.is_empty() {
            invoice
        } else {
            customer
        };
        if let Some(buyer) = self.customers.get(name) {
            return *buyer;
        }
        self.buyers += 1;
        self.customers.insert(name.to_owned(), self.buyers - 1);
        self.buyers - 1
    }

    fn product(&mut self, row: &Row<'_>) -> u32 {
        let code = row.code.to_ascii_uppercase();
        if let Some(product) = self.codes.get(&code) {
            return *product;
        }
        let title = if row.title.is_empty() {
            &code
        } else {
            row.title
        }
        .to_owned();
        let product = self.products.len() as u32;
        let (prices, demand) = (BTreeMap::new(), 0);
        self.products.push(Article {
            code: code.clone(),
            title,
            prices,
            demand,
        });
        self.codes.insert(code, product);
        product
    }

    fn plan(mut self, rate: f64, stock_share: f64, seed: u64) -> (Plan, Facts) {
        let mut rng = Rng::new(seed);
        let mut plan = Plan {
            products: self
                .products
                .iter()
                .map(|article| article.on_sale(stock_share))
                .collect(),
            coupons: Vec::new(),
            buyers: self.buyers,
            arrivals: Vec::new(),
            baskets: Vec::new(),
            returns: Vec::new(),
            t0_us: QUIET_US,
            end_us: 0,
        };
        // Baskets of each buyer, latest last, with what has not come back yet.
        let mut bought: HashMap<u32, Vec<u32>> = HashMap::new();
        let mut left: Vec<Vec<u64>> = Vec::new();
        for (number, invoice) in std::mem::take(&mut self.list).into_iter().enumerate() {
            let slot_us = (number as f64 + rng.unit()) / rate * 1e6;
            let at_us = QUIET_US + slot_us as u64;
            self.facts.invoices += 1;
            if invoice.back {
                let baskets = bought.get(&invoice.buyer).map_or(&[][..], Vec::as_slice);
                self.facts
                    .bring_back(&invoice, baskets, &mut left, at_us, &mut plan);
            } else {
                for lines in self.facts.baskets(&invoice) {
                    let basket = plan.baskets.len() as u32;
                    let buyer = invoice.buyer;
                    bought.entry(buyer).or_default().push(basket);
                    left.push(lines.iter().map(|(_, units)| u64::from(*units)).collect());
                    let think_ms = rng.between(20, 300) as u32;
                    let (coupon, fate) = (None, Fate::Pay);
                    plan.baskets.push(Basket {
                        buyer,
                        lines,
                        coupon,
                        fate,
                        think_ms,
                    });
                    plan.arrivals.push(Arrival {
                        at_us,
                        buyer,
                        what: What::Order(basket),
                    });
                }
            }
            plan.end_us = plan.end_us.max(at_us + 1);
        }
        plan.arrivals.sort_by_key(|arrival| arrival.at_us);
        self.facts.products = self.products.len() as u64;
        let several = self
            .products
            .iter()
            .filter(|article| article.prices.len() > 1);
        self.facts.products_of_several_prices = several.count() as u64;
        (plan, self.facts)
    }
}

impl Article {
    fn on_sale(&self, stock_share: f64) -> Product {
        // The price at which most units were asked for; of two such, the lower.
        let most = self
            .prices
            .iter()
            .max_by_key(|(price, units)| (**units, -**price));
        let stock = (self.demand as f64 * stock_share) as u64;
        Product {
            sku: self.code.clone(),
            title: self.title.clone(),
            stock: stock.min(u64::from(STOCK_UNITS_MAX)),
            // Only ever returned, never bought: any price will do, nothing is in stock.
            price: most.map_or(1, |(price, _)| *price),
            currency: Currency::GBP,
        }
    }
}

impl Facts {
    /// The baskets of an invoice: one, unless it has more lines than an order may have.
    fn baskets(&mut self, invoice: &Invoice) -> Vec<Box<[(u32, u32)]>> {
        let mut lines: Vec<(u32, u32)> = Vec::with_capacity(invoice.lines.len());
        let mut at: HashMap<u32, usize> = HashMap::new();
        for (product, _, units) in &invoice.lines {
            let units = u32::try_from(*units)
                .unwrap_or(UNITS_PER_LINE_MAX)
                .min(UNITS_PER_LINE_MAX);
            match at.get(product) {
                Some(index) => {
                    let sum = lines[*index].1.saturating_add(units);
                    lines[*index].1 = sum.min(UNITS_PER_LINE_MAX);
                    self.merged_across_prices += 1;
                }
                None => {
                    at.insert(*product, lines.len());
                    lines.push((*product, units));
                }
            }
        }
        self.split += u64::from(lines.len() > LINES_PER_ORDER_MAX);
        let baskets: Vec<Box<[(u32, u32)]>> =
            lines.chunks(LINES_PER_ORDER_MAX).map(Into::into).collect();
        self.baskets += baskets.len() as u64;
        baskets
    }

    /// Takes units of a `C…` invoice from the buyer's latest baskets first.
    fn bring_back(
        &mut self,
        invoice: &Invoice,
        baskets: &[u32],
        left: &mut [Vec<u64>],
        at_us: u64,
        plan: &mut Plan,
    ) {
        let mut back: BTreeMap<u32, Vec<(u16, u32)>> = BTreeMap::new();
        for (product, _, units) in &invoice.lines {
            self.return_lines += 1;
            let mut wanted = *units;
            for basket in baskets.iter().rev().copied() {
                let lines = &plan.baskets[basket as usize].lines;
                let Some(line) = lines.iter().position(|(p, _)| p == product) else {
                    continue;
                };
                let rest = &mut left[basket as usize][line];
                let taken = wanted.min(*rest);
                if taken > 0 {
                    *rest -= taken;
                    wanted -= taken;
                    let entry = back.entry(basket).or_default();
                    // Two prices of one product: one line of one basket comes back once.
                    match entry
                        .iter_mut()
                        .find(|(index, _)| usize::from(*index) == line)
                    {
                        Some((_, sum)) => *sum += taken as u32,
                        None => entry.push((line as u16, taken as u32)),
                    }
                }
                if wanted == 0 {
                    break;
                }
            }
            self.returned_units += units - wanted;
            self.unmatched_units += wanted;
            self.unmatched_return_lines += u64::from(wanted > 0);
        }
        for (basket, lines) in back {
            let index = plan.returns.len() as u32;
            plan.returns.push(ReturnPlan { basket, lines });
            let buyer = invoice.buyer;
            plan.arrivals.push(Arrival {
                at_us,
                buyer,
                what: What::Return(index),
            });
        }
    }

    fn remarks(&self, rate: f64, stock_share: f64) -> Vec<String> {
        let n = thousands;
        let mut out = vec![
            format!(
                "Read {} files with {} lines: {} invoices, {} baskets to order, {} products. \
                 Stock is {:.0} % of each product's demand; {rate} invoices a second.",
                n(self.files as u64),
                n(self.rows),
                n(self.invoices),
                n(self.baskets),
                n(self.products),
                stock_share * 100.0,
            ),
            format!(
                "{} lines were merged with another of the same code and price, {} with another \
                 price; {} baskets with more than {} lines were split. {} products had several \
                 prices: they share one stock and sell at the price at which most units were \
                 asked for.",
                n(self.merged),
                n(self.merged_across_prices),
                n(self.split),
                n(LINES_PER_ORDER_MAX as u64),
                n(self.products_of_several_prices),
            ),
            format!(
                "C invoices: {} lines; {} units matched to an earlier basket of the same \
                 customer, {} lines with {} units could not be.",
                n(self.return_lines),
                n(self.returned_units),
                n(self.unmatched_return_lines),
                n(self.unmatched_units),
            ),
        ];
        if !self.odd.is_empty() {
            let reasons: Vec<String> = self
                .odd
                .iter()
                .map(|(why, count)| format!("{why}: {}", n(*count)))
                .collect();
            let shown = self
                .odd_shown
                .first()
                .map(String::as_str)
                .unwrap_or_default();
            out.push(format!(
                "Lines that make no sense, left out: {}. The first: {shown}.",
                reasons.join("; ")
            ));
        }
        out
    }
}

fn catalogue_of(plan: &Plan) -> Result<String, Failed> {
    let product = |product: &Product| catalogue::Product {
        sku: product.sku.clone(),
        title: product.title.clone(),
        description: String::new(),
        category: String::new(),
        price: sale::Money(product.price),
        currency: product.currency,
        stock: u32::try_from(product.stock).unwrap_or(STOCK_UNITS_MAX),
        buyer_limit: None,
        opens_ms: None,
        closes_ms: None,
        hold_ms: HOLD_MS,
        picture: None,
        attributes: Vec::new(),
    };
    let products: Vec<catalogue::Product> = plan.products.iter().map(product).collect();
    catalogue_text(&products, None)
}

#[cfg(test)]
mod tests;
