//! The pages that buyers see: views in, HTML out, and what it takes to serve it fast.
//!
//! Hall and product pages hold nothing personal and no clock reading, so one rendering serves
//! everybody until a number on it changes; live numbers arrive by server-sent events. Everything
//! works without script, which only saves reloads and repeats lost requests.
//!
//! This module must not know of routes, sessions, the engine or the clock: its views are plain
//! values as of one instant.

mod assets;
mod cache;
mod form;
pub mod limits;
mod money;
mod refusal;
mod rendered;
#[cfg(test)]
mod tests;
mod view;

pub use assets::{Asset, Assets, assets};
pub use cache::PageCache;
pub use form::{instant_text, query_escape, safe_next, short_instant_text};
pub use money::{format_money, grouped, minor_digits};
pub use refusal::{Again, Refusal, RefusalView, Words};
pub use rendered::{
    Answer, CONTENT_SECURITY_POLICY, Encoding, PICTURE_SECURITY_POLICY, Rendered, negotiate,
    personal, respond,
};
pub use view::*;

use askama::Template;

/// The hall: what is on. Pre-render it.
pub fn render_hall(view: &HallView) -> String {
    finish(HallPage {
        site: &view.site,
        view,
    })
}

/// One product. Pre-render it.
pub fn render_product(view: &ProductView) -> String {
    finish(ProductPage {
        site: &view.site,
        view,
    })
}

/// The last look before an order, for one buyer: send it with [`personal`].
pub fn render_checkout(view: &CheckoutView) -> String {
    finish(CheckoutPage {
        site: &view.site,
        view,
    })
}

pub fn render_order(view: &OrderView) -> String {
    finish(OrderPage {
        site: &view.site,
        view,
    })
}

pub fn render_orders(view: &OrdersView) -> String {
    finish(OrdersPage {
        site: &view.site,
        view,
    })
}

pub fn render_sign_in(view: &SignInView) -> String {
    finish(SignInPage {
        site: &view.site,
        view,
    })
}

/// Why something was not done, and what can be done now.
pub fn render_refusal(view: &RefusalView) -> String {
    finish(RefusalPage {
        site: &view.site,
        words: view.why.words(),
        view,
    })
}

pub fn render_not_found(site: &Site) -> String {
    render_refusal(&RefusalView::new(site.clone(), Refusal::NotFound))
}

/// 503: nothing happened; `again` repeats the form under the same key.
pub fn render_busy(site: &Site, retry_after_s: u32, again: Option<Again>) -> String {
    let mut view = RefusalView::new(site.clone(), Refusal::Busy { retry_after_s });
    view.again = again;
    render_refusal(&view)
}

#[derive(Template)]
#[template(path = "hall.html", whitespace = "minimize")]
struct HallPage<'a> {
    site: &'a Site,
    view: &'a HallView,
}

#[derive(Template)]
#[template(path = "product.html", whitespace = "minimize")]
struct ProductPage<'a> {
    site: &'a Site,
    view: &'a ProductView,
}

#[derive(Template)]
#[template(path = "checkout.html", whitespace = "minimize")]
struct CheckoutPage<'a> {
    site: &'a Site,
    view: &'a CheckoutView,
}

#[derive(Template)]
#[template(path = "order.html", whitespace = "minimize")]
struct OrderPage<'a> {
    site: &'a Site,
    view: &'a OrderView,
}

#[derive(Template)]
#[template(path = "orders.html", whitespace = "minimize")]
struct OrdersPage<'a> {
    site: &'a Site,
    view: &'a OrdersView,
}

#[derive(Template)]
#[template(path = "sign_in.html", whitespace = "minimize")]
struct SignInPage<'a> {
    site: &'a Site,
    view: &'a SignInView,
}

#[derive(Template)]
#[template(path = "refusal.html", whitespace = "minimize")]
struct RefusalPage<'a> {
    site: &'a Site,
    view: &'a RefusalView,
    words: Words,
}

/// Writing into a `String` cannot fail, and no filter or value of ours does.
fn finish(page: impl Template) -> String {
    page.render()
        .expect("the templates only write plain values into a String")
}
