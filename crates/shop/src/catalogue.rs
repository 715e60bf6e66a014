//! The catalogue in memory: what a code means, what a product says about itself. Made anew as a
//! whole when products change, and swapped at once.

use sale::{At, Ledger, Millis, SkuId, SkuTerms, Text};
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use wire::catalogue::Product;

#[derive(Debug)]
pub struct Item {
    pub sku: SkuId,
    pub product: Product,
}

#[derive(Debug, Default)]
pub struct Catalogue {
    /// In the order of the hall: as listed.
    items: Vec<Arc<Item>>,
    by_code: HashMap<String, usize>,
    by_sku: HashMap<SkuId, usize>,
    /// Places in the hall, ascending, of the products of each category.
    by_category: HashMap<String, Vec<usize>>,
    coupons: HashMap<String, sale::CouponId>,
    /// Counts the catalogues of this process; pages of another one are old.
    pub version: u64,
}

impl Catalogue {
    /// Products that the ledger lists, in the order of their listing.
    pub fn new(products: Vec<Product>, ledger: &Ledger, version: u64) -> Catalogue {
        let mut items: Vec<Arc<Item>> = products
            .into_iter()
            .filter_map(|product| {
                let sku = ledger.sku_by_code(&Text::new(&product.sku).ok()?)?;
                Some(Arc::new(Item { sku, product }))
            })
            .collect();
        items.sort_by_key(|item| item.sku);
        let codes = items
            .iter()
            .enumerate()
            .map(|(n, item)| (item.product.sku.clone(), n));
        let skus = items.iter().enumerate().map(|(n, item)| (item.sku, n));
        let mut by_category: HashMap<String, Vec<usize>> = HashMap::new();
        for (place, item) in items.iter().enumerate() {
            let category = &item.product.category;
            if !category.is_empty() {
                by_category.entry(category.clone()).or_default().push(place);
            }
        }
        let coupons = ledger
            .coupons()
            .map(|c| (c.code.as_str().to_owned(), c.coupon));
        Catalogue {
            by_code: codes.collect(),
            by_sku: skus.collect(),
            coupons: coupons.collect(),
            by_category,
            items,
            version,
        }
    }
    pub fn items(&self) -> &[Arc<Item>] {
        &self.items
    }
    pub fn find(&self, code: &str) -> Option<&Arc<Item>> {
        self.by_code.get(code).map(|&at| &self.items[at])
    }
    /// Where a product stands in the hall.
    pub fn position(&self, code: &str) -> Option<usize> {
        self.by_code.get(code).copied()
    }
    pub fn of_sku(&self, sku: SkuId) -> Option<&Arc<Item>> {
        self.by_sku.get(&sku).map(|&at| &self.items[at])
    }
    /// Up to `most` other products of its category: those after it in the hall, then the first
    /// ones, so that each product is pointed to by as many pages as any other.
    pub fn others(&self, code: &str, most: usize) -> Vec<&Arc<Item>> {
        let Some(place) = self.position(code) else {
            return Vec::new();
        };
        let category = &self.items[place].product.category;
        let Some(places) = self.by_category.get(category) else {
            return Vec::new();
        };
        let after = places.partition_point(|other| *other <= place);
        let around = places[after..].iter().chain(&places[..after]);
        let others = around.filter(|other| **other != place).take(most);
        others.map(|other| &self.items[*other]).collect()
    }
    pub fn coupon(&self, code: &str) -> Option<sale::CouponId> {
        self.coupons.get(code).copied()
    }
}

/// The terms that the ledger shall sell a product under.
pub fn terms_of(product: &Product) -> SkuTerms {
    SkuTerms {
        price: product.price,
        currency: product.currency,
        buyer_limit: product.buyer_limit.and_then(NonZeroU32::new),
        opens: At(product.opens_ms.unwrap_or(0)),
        closes: product.closes_ms.map(At),
        hold: Millis(product.hold_ms),
    }
}

/// Whether a SKU can be bought, as pages and the API say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaleState {
    NotOpen,
    Open,
    SoldOut,
    Closed,
}

impl SaleState {
    pub fn as_str(self) -> &'static str {
        match self {
            SaleState::NotOpen => "not_open",
            SaleState::Open => "open",
            SaleState::SoldOut => "sold_out",
            SaleState::Closed => "closed",
        }
    }
    pub fn of(terms: &SkuTerms, shut: bool, free: u32, now: At) -> SaleState {
        if now < terms.opens {
            SaleState::NotOpen
        } else if shut || terms.closes.is_some_and(|closes| closes <= now) {
            SaleState::Closed
        } else if free == 0 {
            SaleState::SoldOut
        } else {
            SaleState::Open
        }
    }
}
