//! What the pages show, as plain values: whoever knows the sale fills these in.
//!
//! The small methods turn values into the words that templates print; the script uses the same
//! words (`say` in assets/app.js), so a live update never changes the tone.

use super::assets::assets;
use super::form::{self, duration_text, iso, query_escape};
use super::limits;
use super::money::{format_money, grouped};

/// What every page shares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The campaign's name, as in "Double Eleven".
    pub campaign: String,
    /// Where live stock comes from: `/v1/live`.
    pub live: String,
}

impl Site {
    pub(super) fn css(&self) -> &'static str {
        &assets().css.path
    }
    pub(super) fn script(&self) -> &'static str {
        &assets().script.path
    }
    pub(super) fn icon(&self) -> &'static str {
        &assets().icon.path
    }
}

/// How much of itself a page shows; operators can leave parts out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Pictures and scripts.
    pub rich: bool,
    /// Stock that moves, and a clock.
    pub live: bool,
}

impl Look {
    pub const FULL: Look = Look {
        rich: true,
        live: true,
    };
    pub(super) fn old_words(self) -> &'static str {
        "The stock shown may be old. Reload the page for fresh numbers."
    }
}

/// An amount in minor units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    pub amount: i64,
    pub currency: String,
}

impl Price {
    pub fn new(amount: i64, currency: &str) -> Price {
        Price {
            amount,
            currency: currency.to_owned(),
        }
    }
    pub fn text(&self) -> String {
        format_money(self.amount, &self.currency)
    }
}

/// Whether a product can be bought, in the words of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaleState {
    NotOpen,
    Open,
    SoldOut,
    Closed,
}

impl SaleState {
    pub fn code(self) -> &'static str {
        match self {
            SaleState::NotOpen => "not_open",
            SaleState::Open => "open",
            SaleState::SoldOut => "sold_out",
            SaleState::Closed => "closed",
        }
    }
    pub(super) fn is_open(self) -> bool {
        self == SaleState::Open
    }
}

/// One product with its numbers as of rendering.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    pub sku: String,
    pub title: String,
    /// May be empty.
    pub category: String,
    pub price: Price,
    /// A path of this site; anything else shows the shop's own picture.
    pub picture: Option<String>,
    /// Units there were: the length of the bar.
    pub stock: u32,
    pub free: u32,
    pub state: SaleState,
    /// 0 is open from the start.
    pub opens_ms: u64,
    pub closes_ms: Option<u64>,
    pub buyer_limit: Option<u32>,
}

impl Card {
    pub(super) fn link(&self) -> String {
        format!("/p/{}", query_escape(&self.sku))
    }
    pub(super) fn image(&self) -> &str {
        picture_or_ours(self.picture.as_deref())
    }
    pub(super) fn bar_max(&self) -> u32 {
        self.stock.max(self.free).max(1)
    }
    pub(super) fn closes(&self) -> u64 {
        self.closes_ms.unwrap_or(0)
    }
    /// The same sentence as `stockWords` in assets/app.js.
    pub(super) fn stock_words(&self) -> String {
        match self.state {
            SaleState::NotOpen => format!("{} in stock", grouped(self.free.into())),
            SaleState::Open if self.is_low() => format!("Only {} left", self.free),
            SaleState::Open => format!("{} left", grouped(self.free.into())),
            SaleState::SoldOut => "Sold out".to_owned(),
            SaleState::Closed => "Sale has ended".to_owned(),
        }
    }
    /// Ten units, or a twentieth of the stock: scarce enough to say so, rare enough to be true.
    pub(super) fn is_low(&self) -> bool {
        self.free <= 10.max(self.stock / 20)
    }
    /// What the buy button says: why it is asleep, while it is.
    pub(super) fn button_words(&self) -> &'static str {
        match self.state {
            SaleState::NotOpen => "Not open yet",
            SaleState::Open => "Buy now",
            SaleState::SoldOut => "Sold out",
            SaleState::Closed => "Sale has ended",
        }
    }
    pub(super) fn opens_short(&self) -> String {
        form::short_instant_text(self.opens_ms)
    }
    pub(super) fn opens_long(&self) -> String {
        form::instant_text(self.opens_ms)
    }
    pub(super) fn opens_iso(&self) -> String {
        iso(self.opens_ms)
    }
    pub(super) fn closes_long(&self) -> String {
        form::instant_text(self.closes())
    }
    pub(super) fn closes_iso(&self) -> String {
        iso(self.closes())
    }
}

fn picture_or_ours(picture: Option<&str>) -> &str {
    let ours = picture.filter(|path| path.starts_with('/') && !path.starts_with("//"));
    ours.unwrap_or(&assets().no_picture.path)
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HallView {
    pub site: Site,
    /// One sentence under the campaign's name.
    pub tagline: String,
    /// Of the campaign as a whole.
    pub state: SaleState,
    pub opens_ms: u64,
    pub closes_ms: Option<u64>,
    /// At most [`limits::PRODUCTS_PER_PAGE`].
    pub products: Vec<Card>,
    /// Products of the whole catalogue.
    pub total: u64,
    /// From 1.
    pub page: u32,
    pub pages: u32,
    pub look: Look,
}

/// One entry of the paging: a page, or a gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Page(u32),
    Gap,
}

impl HallView {
    pub(super) fn opens_long(&self) -> String {
        form::instant_text(self.opens_ms)
    }
    pub(super) fn opens_iso(&self) -> String {
        iso(self.opens_ms)
    }
    pub(super) fn closes(&self) -> u64 {
        self.closes_ms.unwrap_or(0)
    }
    pub(super) fn closes_long(&self) -> String {
        form::instant_text(self.closes())
    }
    pub(super) fn closes_iso(&self) -> String {
        iso(self.closes())
    }
    pub(super) fn total_words(&self) -> String {
        grouped(self.total)
    }
    pub(super) fn previous_link(&self) -> String {
        self.page_link(&self.page.saturating_sub(1))
    }
    pub(super) fn next_link(&self) -> String {
        self.page_link(&self.page.saturating_add(1))
    }
    /// By reference, as templates hand values over.
    pub(super) fn page_link(&self, page: &u32) -> String {
        if *page <= 1 {
            "/#products".to_owned()
        } else {
            format!("/?page={page}#products")
        }
    }
    /// First, last and the neighbours of the current page.
    pub(super) fn steps(&self) -> Vec<Step> {
        let near = self.page.saturating_sub(1)..=self.page.saturating_add(1);
        let mut steps = Vec::new();
        let mut last = 0;
        let wanted = |page: &u32| *page == 1 || *page == self.pages || near.contains(page);
        let candidates = [1].into_iter().chain(near.clone()).chain([self.pages]);
        for page in candidates.filter(wanted) {
            if page <= last || page > self.pages {
                continue;
            }
            if page == last + 2 {
                steps.push(Step::Page(last + 1));
            } else if page > last + 1 {
                steps.push(Step::Gap);
            }
            steps.push(Step::Page(page));
            last = page;
        }
        steps
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductView {
    pub site: Site,
    pub card: Card,
    /// Plain text; a blank line starts a paragraph.
    pub description: String,
    pub attributes: Vec<(String, String)>,
    /// How long units are held for an unpaid order.
    pub hold_ms: u64,
    /// Of the same category; none where recommendations are left out.
    pub others: Vec<Other>,
    pub look: Look,
}

/// A product that another one's page points to. It says nothing of stock, because that page is
/// not made again when this product's stock changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other {
    pub sku: String,
    pub title: String,
    pub price: Price,
    pub picture: Option<String>,
}

impl Other {
    pub(super) fn link(&self) -> String {
        format!("/p/{}", query_escape(&self.sku))
    }
    pub(super) fn image(&self) -> &str {
        picture_or_ours(self.picture.as_deref())
    }
}

impl ProductView {
    pub(super) fn paragraphs(&self) -> Vec<&str> {
        let parts = self.description.split("\n\n").map(str::trim);
        parts.filter(|part| !part.is_empty()).collect()
    }
    pub(super) fn summary(&self) -> String {
        let words = [self.card.title.as_str(), self.description.as_str()].join(". ");
        form::summary(&words, limits::META_DESCRIPTION_CHARS_MAX)
    }
    pub(super) fn hold_words(&self) -> String {
        duration_text(self.hold_ms)
    }
    pub(super) fn quantity(&self) -> QuantityField {
        QuantityField::of(self.card.buyer_limit)
    }
}

/// What a buyer chooses a quantity with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuantityField {
    One,
    List(u32),
    Typed(u32),
}

impl QuantityField {
    fn of(limit: Option<u32>) -> QuantityField {
        match limit {
            Some(0 | 1) => QuantityField::One,
            Some(most) if most <= limits::QUANTITY_LISTED_MAX => QuantityField::List(most),
            Some(most) => QuantityField::Typed(most),
            None => QuantityField::Typed(limits::QUANTITY_TYPED_MAX),
        }
    }
}

/// The last look before an order is placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckoutView {
    pub site: Site,
    pub card: Card,
    pub quantity: u32,
    pub total: Price,
    pub hold_ms: u64,
    pub coupon: String,
    /// A fresh idempotency key: the form that carries it makes one order however often it is sent.
    pub key: String,
    pub server_ms: u64,
}

impl CheckoutView {
    pub(super) fn hold_words(&self) -> String {
        duration_text(self.hold_ms)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderStatus {
    Held,
    /// A payment is under way and undecided.
    Pending,
    Paid,
    Expired,
    Cancelled,
}

impl OrderStatus {
    pub fn code(self) -> &'static str {
        match self {
            OrderStatus::Held => "held",
            OrderStatus::Pending => "pending",
            OrderStatus::Paid => "paid",
            OrderStatus::Expired => "expired",
            OrderStatus::Cancelled => "cancelled",
        }
    }
    pub(super) fn label(self) -> &'static str {
        match self {
            OrderStatus::Held => "Held for you",
            OrderStatus::Pending => "Payment under way",
            OrderStatus::Paid => "Paid",
            OrderStatus::Expired => "Hold ended",
            OrderStatus::Cancelled => "Cancelled",
        }
    }
    pub(super) fn is_held(self) -> bool {
        self == OrderStatus::Held
    }
    pub(super) fn is_pending(self) -> bool {
        self == OrderStatus::Pending
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderLine {
    pub sku: String,
    pub title: String,
    pub picture: Option<String>,
    pub quantity: u32,
    pub returned: u32,
    pub unit_price: Price,
    /// Unit price × quantity.
    pub sum: Price,
}

impl OrderLine {
    pub(super) fn link(&self) -> String {
        format!("/p/{}", query_escape(&self.sku))
    }
    pub(super) fn image(&self) -> &str {
        picture_or_ours(self.picture.as_deref())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderView {
    pub site: Site,
    pub order: String,
    pub status: OrderStatus,
    pub lines: Vec<OrderLine>,
    pub total: Price,
    /// The coupon's code and what it takes off.
    pub coupon: Option<(String, Price)>,
    pub pay_by_ms: u64,
    /// The channel's reference of the payment.
    pub payment: Option<String>,
    /// Money on its way back to the buyer.
    pub refund: Option<Price>,
    /// The name of the channel that takes the money.
    pub channel: String,
    /// A fresh idempotency key for the payment.
    pub key: String,
    /// Why the last thing asked for was not done (a declined payment, say), in plain words.
    pub notice: Option<String>,
    pub server_ms: u64,
}

impl OrderView {
    pub(super) fn pay_by_long(&self) -> String {
        form::instant_text(self.pay_by_ms)
    }
    pub(super) fn pay_by_iso(&self) -> String {
        iso(self.pay_by_ms)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderRow {
    pub order: String,
    pub status: OrderStatus,
    pub total: Price,
    /// "Harbour kettle and 2 more".
    pub summary: String,
    pub units: u32,
    pub pay_by_ms: u64,
}

impl OrderRow {
    pub(super) fn pay_by_short(&self) -> String {
        form::short_instant_text(self.pay_by_ms)
    }
    pub(super) fn pay_by_iso(&self) -> String {
        iso(self.pay_by_ms)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrdersView {
    pub site: Site,
    /// The buyer's name, to greet them.
    pub name: String,
    pub orders: Vec<OrderRow>,
    /// The order to continue before, when there are older ones.
    pub next: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignInView {
    pub site: Site,
    /// Must have been through [`super::safe_next`].
    pub next: String,
    /// Who is signed in already.
    pub signed_in: Option<String>,
    /// What was typed, to be typed only once. Never the password.
    pub email: String,
    pub name: String,
    /// What was wrong with signing in.
    pub sign_in_error: Option<String>,
    /// What was wrong with creating an account.
    pub create_error: Option<String>,
    pub password_chars_min: u32,
}
