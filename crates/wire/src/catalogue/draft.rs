//! One product on its way in: texts by meaning, each with the name it has in the file, checked
//! into a [`Product`] with every problem told.

use super::limits::{
    ATTRIBUTE_BYTES_MAX, ATTRIBUTE_NAME_BYTES_MAX, ATTRIBUTES_MAX, CATEGORY_BYTES_MAX,
    DESCRIPTION_BYTES_MAX, PICTURE_BYTES_MAX, TITLE_BYTES_MAX,
};
use super::{Defaults, Problems, Product, quoted};
use sale::limits::{HOLD_MS_MAX, HOLD_MS_MIN, PRICE_MINOR_MAX, STOCK_UNITS_MAX};
use sale::{Currency, Money};

/// What a column or field means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Sku,
    Title,
    Description,
    Category,
    Price,
    PriceMinor,
    Currency,
    Stock,
    BuyerLimit,
    Opens,
    OpensMs,
    Closes,
    ClosesMs,
    HoldSeconds,
    HoldMs,
    Picture,
}

const SLOTS: usize = Slot::Picture as usize + 1;

impl Slot {
    /// Our own names, of columns and of JSON fields.
    pub(super) fn of_own_name(name: &str) -> Option<Slot> {
        Some(match name {
            "sku" => Slot::Sku,
            "title" => Slot::Title,
            "description" => Slot::Description,
            "category" => Slot::Category,
            "price" => Slot::Price,
            "price_minor" => Slot::PriceMinor,
            "currency" => Slot::Currency,
            "stock" => Slot::Stock,
            "buyer_limit" => Slot::BuyerLimit,
            "opens" => Slot::Opens,
            "opens_ms" => Slot::OpensMs,
            "closes" => Slot::Closes,
            "closes_ms" => Slot::ClosesMs,
            "hold_s" => Slot::HoldSeconds,
            "hold_ms" => Slot::HoldMs,
            "picture" => Slot::Picture,
            _ => return None,
        })
    }
}

/// A text and the name of its column.
#[derive(Clone, Debug)]
struct Named {
    field: String,
    text: String,
}

#[derive(Clone, Debug)]
pub(super) struct Draft {
    line: u64,
    slots: [Option<Named>; SLOTS],
    attributes: Vec<(String, String)>,
}

impl Draft {
    pub(super) fn new(line: u64) -> Self {
        Draft {
            line,
            slots: [const { None }; SLOTS],
            attributes: Vec::new(),
        }
    }

    /// An empty text is as good as none.
    pub(super) fn set(&mut self, slot: Slot, field: &str, text: String) {
        if !text.trim().is_empty() {
            self.slots[slot as usize] = Some(Named {
                field: field.to_owned(),
                text,
            });
        }
    }

    pub(super) fn attribute(&mut self, name: String, value: String) {
        if !name.trim().is_empty() && !value.trim().is_empty() {
            self.attributes.push((name, value));
        }
    }

    pub(super) fn line(&self) -> u64 {
        self.line
    }

    pub(super) fn has(&self, slot: Slot) -> bool {
        self.slots[slot as usize].is_some()
    }

    pub(super) fn sku_field(&self) -> &str {
        self.slots[Slot::Sku as usize]
            .as_ref()
            .map_or("sku", |named| &named.field)
    }

    pub(super) fn finish(self, defaults: &Defaults, problems: &mut Problems) -> Option<Product> {
        let before = problems.listed.len() as u64 + problems.more;
        let mut check = Check {
            draft: self,
            problems,
        };
        let currency = check.currency(defaults.currency);
        let opens_ms = check
            .instant(Slot::Opens, Slot::OpensMs)
            .or(defaults.opens_ms);
        let product = Product {
            sku: check.sku(),
            title: check.title(),
            description: check.text(Slot::Description, DESCRIPTION_BYTES_MAX),
            category: check.one_line(Slot::Category, CATEGORY_BYTES_MAX),
            price: check.price(currency),
            currency,
            stock: check.stock(defaults.stock),
            buyer_limit: check.buyer_limit().or(defaults.buyer_limit),
            opens_ms,
            closes_ms: check.closes(opens_ms, defaults.closes_ms),
            hold_ms: check.hold(defaults.hold_ms),
            picture: check.picture(),
            attributes: check.attributes(),
        };
        let after = problems.listed.len() as u64 + problems.more;
        (after == before).then_some(product)
    }
}

/// Takes the texts out one by one. A value that is wrong is told, and a harmless one goes on in
/// its place so that the other fields are checked too; `finish` then drops the product.
struct Check<'a> {
    draft: Draft,
    problems: &'a mut Problems,
}

impl Check<'_> {
    fn take(&mut self, slot: Slot) -> Option<Named> {
        self.draft.slots[slot as usize].take()
    }

    fn wrong(&mut self, named: &Named, expected: impl Into<String>) {
        self.problems
            .add(self.draft.line, &named.field, quoted(&named.text), expected);
    }

    fn missing(&mut self, field: &str, expected: &str) {
        self.problems
            .add(self.draft.line, field, "nothing".to_owned(), expected);
    }

    fn sku(&mut self) -> String {
        let Some(named) = self.take(Slot::Sku) else {
            self.missing("sku", "a SKU");
            return String::new();
        };
        match sale::Text::new(named.text.trim()) {
            Ok(sku) => sku.as_str().to_owned(),
            Err(bounds) => {
                self.wrong(&named, bounds.to_string());
                String::new()
            }
        }
    }

    fn title(&mut self) -> String {
        if !self.draft.has(Slot::Title) {
            self.missing("title", "a title");
        }
        self.one_line(Slot::Title, TITLE_BYTES_MAX)
    }

    /// White space of any kind becomes one space.
    fn one_line(&mut self, slot: Slot, bytes_max: usize) -> String {
        let text = self.text(slot, bytes_max);
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Keeps line ends; other control characters become spaces.
    fn text(&mut self, slot: Slot, bytes_max: usize) -> String {
        let Some(named) = self.take(slot) else {
            return String::new();
        };
        if named.text.len() > bytes_max {
            self.wrong(&named, format!("at most {bytes_max} bytes"));
            return String::new();
        }
        let clean = |c: char| if c.is_control() && c != '\n' { ' ' } else { c };
        named.text.trim().chars().map(clean).collect()
    }

    fn currency(&mut self, default: Currency) -> Currency {
        let Some(named) = self.take(Slot::Currency) else {
            return default;
        };
        Currency::new(named.text.trim()).unwrap_or_else(|| {
            self.wrong(&named, "three capital letters, such as EUR");
            default
        })
    }

    fn price(&mut self, currency: Currency) -> Money {
        let (named, is_minor) = match (self.take(Slot::Price), self.take(Slot::PriceMinor)) {
            (Some(named), None) => (named, false),
            (None, Some(named)) => (named, true),
            (None, None) => {
                self.missing("price", "a price");
                return Money::ZERO;
            }
            (Some(_), Some(named)) => {
                self.wrong(&named, "either price or price_minor, not both");
                return Money::ZERO;
            }
        };
        let text = named.text.trim();
        let digits = minor_digits(currency);
        let minor = if is_minor {
            whole(text)
        } else {
            decimal(text, digits)
        };
        let minor = minor.and_then(|minor| i64::try_from(minor).ok());
        match minor.map(Money).filter(|price| price.is_price()) {
            Some(price) => price,
            None if is_minor => {
                let expected = format!("whole minor units of {currency}, 0 to {PRICE_MINOR_MAX}");
                self.wrong(&named, expected);
                Money::ZERO
            }
            None => {
                let example = ["19", "19.9", "19.99", "19.999"][digits.min(3)];
                let expected = format!(
                    "an amount in {currency} such as {example}, without sign or thousands separator"
                );
                self.wrong(&named, expected);
                Money::ZERO
            }
        }
    }

    fn stock(&mut self, default: u32) -> u32 {
        let Some(named) = self.take(Slot::Stock) else {
            return default;
        };
        bounded(&named.text, 0, u64::from(STOCK_UNITS_MAX)).unwrap_or_else(|| {
            self.wrong(&named, format!("whole units, 0 to {STOCK_UNITS_MAX}"));
            0
        }) as u32
    }

    fn buyer_limit(&mut self) -> Option<u32> {
        let named = self.take(Slot::BuyerLimit)?;
        let limit = bounded(&named.text, 1, u64::from(u32::MAX));
        if limit.is_none() {
            self.wrong(&named, "whole units, at least 1; empty for no limit");
        }
        limit.map(|limit| limit as u32)
    }

    /// An instant as text or in milliseconds, whichever the file has.
    fn instant(&mut self, text: Slot, milliseconds: Slot) -> Option<u64> {
        if let Some(named) = self.take(milliseconds) {
            let at = bounded(&named.text, 0, i64::MAX as u64);
            if at.is_none() {
                self.wrong(&named, "milliseconds since 1970-01-01T00:00:00Z");
            }
            return at;
        }
        let named = self.take(text)?;
        let at = named.text.trim().parse::<jiff::Timestamp>().ok();
        let at = at.and_then(|at| u64::try_from(at.as_millisecond()).ok());
        if at.is_none() {
            self.wrong(
                &named,
                "an instant with its offset, such as 2026-11-11T00:00:00+01:00",
            );
        }
        at
    }

    fn closes(&mut self, opens_ms: Option<u64>, default: Option<u64>) -> Option<u64> {
        let named = [Slot::ClosesMs, Slot::Closes]
            .into_iter()
            .find_map(|slot| self.draft.slots[slot as usize].clone());
        let closes = self.instant(Slot::Closes, Slot::ClosesMs);
        if named.is_some() && closes.is_none() {
            return None;
        }
        let closes = closes.or(default)?;
        if closes > opens_ms.unwrap_or(0) {
            return Some(closes);
        }
        let named = named.unwrap_or(Named {
            field: "closes".into(),
            text: closes.to_string(),
        });
        self.wrong(&named, "an instant after the opening");
        None
    }

    fn hold(&mut self, default: u64) -> u64 {
        let (named, scale) = match (self.take(Slot::HoldMs), self.take(Slot::HoldSeconds)) {
            (Some(named), _) => (named, 1),
            (None, Some(named)) => (named, 1_000),
            (None, None) => return default,
        };
        let hold = bounded(&named.text, 0, HOLD_MS_MAX).map(|hold| hold * scale);
        hold.filter(|ms| (HOLD_MS_MIN..=HOLD_MS_MAX).contains(ms))
            .unwrap_or_else(|| {
                self.wrong(
                    &named,
                    format!("a hold of {HOLD_MS_MIN} ms to {HOLD_MS_MAX} ms"),
                );
                default
            })
    }

    fn picture(&mut self) -> Option<String> {
        let named = self.take(Slot::Picture)?;
        let text = named.text.trim();
        let known = ["https://", "http://"]
            .iter()
            .any(|scheme| text.starts_with(scheme));
        let printable = !text.chars().any(|c| c.is_whitespace() || c.is_control());
        if text.len() <= PICTURE_BYTES_MAX && printable && (known || !text.contains(':')) {
            return Some(text.to_owned());
        }
        self.wrong(&named, "an http or https address, or a path on this site");
        None
    }

    fn attributes(&mut self) -> Vec<(String, String)> {
        let mut attributes = std::mem::take(&mut self.draft.attributes);
        if attributes.len() > ATTRIBUTES_MAX {
            let found = format!("{} attributes", attributes.len());
            let expected = format!("at most {ATTRIBUTES_MAX}");
            self.problems
                .add(self.draft.line, "attributes", found, expected);
        }
        for (name, value) in &mut attributes {
            *name = name.split_whitespace().collect::<Vec<_>>().join(" ");
            *value = value.split_whitespace().collect::<Vec<_>>().join(" ");
            if name.len() > ATTRIBUTE_NAME_BYTES_MAX || value.len() > ATTRIBUTE_BYTES_MAX {
                let found = format!("{} bytes of name, {} of value", name.len(), value.len());
                let expected =
                    format!("at most {ATTRIBUTE_NAME_BYTES_MAX} and {ATTRIBUTE_BYTES_MAX}");
                self.problems.add(self.draft.line, name, found, expected);
            }
        }
        attributes
    }
}

/// Digits after the point (ISO 4217, "minor unit").
fn minor_digits(currency: Currency) -> usize {
    match currency.as_str() {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX"
        | "UYI" | "VND" | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        "CLF" | "UYW" => 4,
        _ => 2,
    }
}

/// `19.99` in minor units. One comma counts as the point if fewer than three digits follow, so
/// that it cannot mean thousands. Digits beyond the minor unit must be zeros.
fn decimal(text: &str, digits: usize) -> Option<u64> {
    let (units, part) = match text.split_once(['.', ',']) {
        Some((_, part)) if text.contains(',') && part.len() > 2 => return None,
        Some((units, part)) => (units, part),
        None => (text, ""),
    };
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if units.is_empty() || !is_number(units) || !is_number(part) {
        return None;
    }
    let (kept, beyond) = part.split_at(digits.min(part.len()));
    if beyond.bytes().any(|byte| byte != b'0') {
        return None;
    }
    let zeros = digits - kept.len();
    format!("{units}{kept}{}", "0".repeat(zeros)).parse().ok()
}

/// `5`, or `5.0` as spreadsheets write it.
fn whole(text: &str) -> Option<u64> {
    let (units, part) = text.split_once('.').unwrap_or((text, ""));
    let is_whole = part.bytes().all(|byte| byte == b'0');
    let is_number = units.bytes().all(|byte| byte.is_ascii_digit());
    if is_whole && is_number {
        units.parse().ok()
    } else {
        None
    }
}

fn bounded(text: &str, least: u64, most: u64) -> Option<u64> {
    whole(text.trim()).filter(|value| (least..=most).contains(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_become_minor_units() {
        for (text, digits, expect) in [
            ("19.99", 2, Some(1_999)),
            ("19", 2, Some(1_900)),
            ("19.9", 2, Some(1_990)),
            ("19.990", 2, Some(1_999)),
            ("19.995", 2, None),
            ("19,99", 2, Some(1_999)),
            ("1,299", 2, None),
            ("1,299.00", 2, None),
            ("1980", 0, Some(1_980)),
            ("1980.5", 0, None),
            ("1.234", 3, Some(1_234)),
            ("-1", 2, None),
            ("+1", 2, None),
            (".5", 2, None),
            ("1e3", 2, None),
            ("€5", 2, None),
            ("99999999999999999999", 2, None),
        ] {
            assert_eq!(decimal(text, digits), expect, "{text} with {digits} digits");
        }
    }

    #[test]
    fn whole_numbers_may_carry_a_spreadsheets_zero() {
        for (text, expect) in [
            ("5", Some(5)),
            ("5.0", Some(5)),
            ("5.5", None),
            ("-5", None),
            ("", None),
        ] {
            assert_eq!(whole(text), expect, "{text}");
        }
    }
}
