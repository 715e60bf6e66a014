//! SKUs, their stock, and coupons: what merchandisers change.

use super::{
    Act, ActContent, Books, CouponRow, Effect, Effects, Ledger, Money, Outcome, Qty, RowHash,
    SkuRow, Taken, hash_words,
};
use crate::{
    At, CouponId, CouponTerms, Millis, RequestId, SkuId, SkuTerms, Text, UnitDelta, Windows, limits,
};

impl Ledger {
    pub(super) fn configure(&mut self, cell: u16, windows: Windows) -> Outcome {
        let bounds = limits::WINDOW_MS_MIN..=limits::WINDOW_MS_MAX;
        let windows_fit =
            bounds.contains(&windows.remember.0) && bounds.contains(&windows.returns.0);
        let moved = cell != self.cell && self.orders.accepted() > 0;
        if cell >= limits::CELLS_MAX || !windows_fit || moved {
            return Outcome::OutOfBounds;
        }
        self.cell = cell;
        self.windows = windows;
        Outcome::Configured
    }

    pub(super) fn list_sku<E: Effects>(
        &mut self,
        code: &Text,
        stock: Qty,
        terms: SkuTerms,
        effects: &mut E,
    ) -> Outcome {
        let room = self.skus.len() < limits::SKUS_MAX && stock.0 <= limits::STOCK_UNITS_MAX;
        if !room || !terms_fit(&terms) {
            return Outcome::OutOfBounds;
        }
        if let Some(&sku) = self.sku_codes.get(code) {
            return Outcome::AlreadyListed { sku };
        }
        let sku = SkuId(self.skus.len() as u32);
        let books = Books {
            stocked: stock,
            free: stock,
            ..Books::default()
        };
        self.add_sku(code.clone(), terms, books, false);
        if E::WANTED {
            effects.on(Effect::SkuListed {
                sku,
                code: code.as_str(),
            });
        }
        self.stock_effect(sku, effects);
        Outcome::Listed { sku }
    }

    pub(super) fn add_sku(&mut self, code: Text, terms: SkuTerms, books: Books, shut: bool) {
        let sku = SkuId(self.skus.len() as u32);
        let terms_hash = terms_hash(&code, &terms);
        let row = SkuRow {
            code: code.clone(),
            terms,
            books,
            shut,
            terms_hash,
        };
        self.digest.add(row.hash(sku));
        self.skus.push(row);
        self.sku_codes.insert(code, sku);
    }

    pub(super) fn set_terms(&mut self, sku: SkuId, terms: SkuTerms) -> Outcome {
        if self.skus.len() <= sku.0 as usize {
            return Outcome::UnknownSku { sku };
        }
        if !terms_fit(&terms) {
            return Outcome::OutOfBounds;
        }
        self.change_sku(sku, |row| row.terms = terms);
        Outcome::TermsSet
    }

    pub(super) fn open_sku(&mut self, sku: SkuId) -> Outcome {
        if self.skus.len() <= sku.0 as usize {
            return Outcome::UnknownSku { sku };
        }
        let now = self.at;
        self.change_sku(sku, |row| {
            row.shut = false;
            row.terms.opens = row.terms.opens.min(now);
            row.terms.closes = row.terms.closes.filter(|closes| *closes > now);
        });
        Outcome::Opened
    }

    pub(super) fn close_sku(&mut self, sku: SkuId) -> Outcome {
        if self.skus.len() <= sku.0 as usize {
            return Outcome::UnknownSku { sku };
        }
        self.change_sku(sku, |row| row.shut = true);
        Outcome::ShutDown
    }

    fn change_sku(&mut self, sku: SkuId, change: impl FnOnce(&mut SkuRow)) {
        let row = &mut self.skus[sku.0 as usize];
        self.digest.remove(row.hash(sku));
        change(row);
        row.terms_hash = terms_hash(&row.code, &row.terms);
        self.digest.add(row.hash(sku));
    }

    /// The only way that books change; they balance afterwards, or the process ends.
    #[inline]
    pub(super) fn change_books(
        &mut self,
        sku: SkuId,
        change: impl FnOnce(&mut Books) -> Option<()>,
    ) {
        let row = &mut self.skus[sku.0 as usize];
        self.digest.remove(row.hash(sku));
        let changed = change(&mut row.books);
        assert!(
            changed.is_some() && row.books.balance(),
            "the books of SKU {} balance: {:?}",
            row.code,
            row.books
        );
        self.digest.add(row.hash(sku));
    }

    pub(super) fn adjust_stock<E: Effects>(
        &mut self,
        request: RequestId,
        sku: SkuId,
        delta: UnitDelta,
        reason: &Text,
        effects: &mut E,
    ) -> Outcome {
        let content = ActContent::Adjust {
            sku,
            delta,
            reason: reason.clone(),
        };
        if let Some(outcome) = self.remembered(request, &content) {
            return outcome;
        }
        let Some(books) = self.books(sku) else {
            return Outcome::UnknownSku { sku };
        };
        let stocked = i64::from(books.stocked.0).checked_add(delta.0);
        if delta.0 == 0 || stocked.is_none_or(|s| s > i64::from(limits::STOCK_UNITS_MAX)) {
            return Outcome::OutOfBounds;
        }
        let free = i64::from(books.free.0) + delta.0;
        let (Ok(free), Some(Ok(stocked))) = (u32::try_from(free), stocked.map(u32::try_from))
        else {
            return Outcome::TooFewFree { free: books.free };
        };
        self.change_books(sku, |books| {
            books.free = Qty(free);
            books.stocked = Qty(stocked);
            Some(())
        });
        self.stock_effect(sku, effects);
        self.remember(request, content, Outcome::Adjusted { free: Qty(free) })
    }

    pub(super) fn create_coupon(&mut self, code: &Text, terms: CouponTerms) -> Outcome {
        let price = 1..=limits::PRICE_MINOR_MAX;
        let fits = terms.quota.0 > 0
            && price.contains(&terms.amount_off.0)
            && price.contains(&terms.minimum_total.0)
            && terms.minimum_total > terms.amount_off
            && self.coupons.len() < limits::COUPONS_MAX;
        if !fits {
            return Outcome::OutOfBounds;
        }
        if let Some(&coupon) = self.coupon_codes.get(code) {
            return Outcome::CouponExists { coupon };
        }
        let coupon = CouponId(self.coupons.len() as u32);
        self.add_coupon(code.clone(), terms, Qty::ZERO);
        Outcome::CouponCreated { coupon }
    }

    pub(super) fn add_coupon(&mut self, code: Text, terms: CouponTerms, uses: Qty) {
        let index = self.coupons.len() as u32;
        let row = CouponRow {
            code: code.clone(),
            terms,
            uses,
        };
        self.digest.add(row.hash(index));
        self.coupons.push(row);
        self.coupon_codes.insert(code, CouponId(index));
    }

    /// The first answer if this id was used for the same; `KeyReused` if for anything else.
    pub(super) fn remembered(&self, request: RequestId, content: &ActContent) -> Option<Outcome> {
        match self.acts.get(&request) {
            Some(act) if act.content == *content => Some(act.outcome),
            Some(_) => Some(Outcome::KeyReused),
            None => self.find_request(request).map(|_| Outcome::KeyReused),
        }
    }

    pub(super) fn remember(
        &mut self,
        request: RequestId,
        content: ActContent,
        outcome: Outcome,
    ) -> Outcome {
        let due = super::time::due(self.at, self.windows.remember);
        self.add_act(request, Act { content, outcome }, due);
        outcome
    }

    pub(super) fn add_act(&mut self, request: RequestId, act: Act, due: u64) {
        self.digest.add(act.hash(request));
        self.forget_acts.insert((due, request));
        self.acts.insert(request, act);
    }
}

fn terms_fit(terms: &SkuTerms) -> bool {
    terms.price.is_price()
        && (limits::HOLD_MS_MIN..=limits::HOLD_MS_MAX).contains(&terms.hold.0)
        && terms.closes.is_none_or(|closes| closes > terms.opens)
}

fn terms_hash(code: &Text, terms: &SkuTerms) -> u64 {
    let SkuTerms {
        price,
        currency,
        buyer_limit,
        opens,
        closes,
        hold: Millis(hold),
    } = terms;
    RowHash::new(6)
        .bytes(code.as_str().as_bytes())
        .word(price.0 as u64)
        .word(u64::from(currency.word()))
        .word(buyer_limit.map_or(0, |limit| u64::from(limit.get())))
        .word(opens.0)
        .word(closes.map_or(0, |At(closes)| closes.wrapping_add(1)))
        .word(*hold)
        .finish()
}

impl SkuRow {
    #[inline]
    fn hash(&self, sku: SkuId) -> u64 {
        let Books {
            stocked,
            free,
            held,
            sold,
        } = self.books;
        let words = [
            u64::from(sku.0) | u64::from(self.shut) << 32,
            self.terms_hash,
            u64::from(stocked.0) << 32 | u64::from(free.0),
            u64::from(held.0) << 32 | u64::from(sold.0),
        ];
        hash_words(2, words)
    }
}

impl CouponRow {
    pub(super) fn hash(&self, index: u32) -> u64 {
        let Money(off) = self.terms.amount_off;
        RowHash::new(3)
            .word(u64::from(index) << 32 | u64::from(self.uses.0))
            .bytes(self.code.as_str().as_bytes())
            .word(u64::from(self.terms.quota.0))
            .word(off as u64)
            .word(self.terms.minimum_total.0 as u64)
            .word(u64::from(self.terms.currency.word()))
            .finish()
    }
}

impl Taken {
    #[inline]
    pub(super) fn hash(&self) -> u64 {
        let what = u64::from(self.sku.0) << 32 | u64::from(self.units.0);
        hash_words(5, [self.buyer[0], self.buyer[1], what])
    }
}

impl Act {
    pub(super) fn hash(&self, request: RequestId) -> u64 {
        let head = RowHash::new(7).wide(request.0);
        let body = match &self.content {
            ActContent::Adjust { sku, delta, reason } => head
                .word(u64::from(sku.0))
                .word(delta.0 as u64)
                .bytes(reason.as_str().as_bytes()),
            ActContent::Return { order, lines } => {
                lines.iter().fold(head.word(order.0), |h, (line, qty)| {
                    h.word(u64::from(line.0) << 32 | u64::from(qty.0))
                })
            }
        };
        let (kind, amount, units) = match self.outcome {
            Outcome::Adjusted { free } => (1, 0, free),
            Outcome::Returned { refund, units } => (2, refund.0, units),
            _ => (0, 0, Qty::ZERO),
        };
        body.word(kind)
            .word(amount as u64)
            .word(u64::from(units.0))
            .finish()
    }
}
