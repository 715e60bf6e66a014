//! The storefront: pages, order API, sessions, payment, live stock. It asks the engine and believes
//! its answers; it must not decide who gets a unit.

mod answer;
mod catalogue;
mod forms;
pub mod limits;
mod live;
#[cfg(test)]
#[path = "../../wire/tests/mutate/mod.rs"]
mod mutate;
mod operator;
mod orders;
pub mod pages;
pub mod payment;
mod people;
mod service;
mod session;
mod shadow;
mod shield;
mod shop;

pub use answer::Problem;
pub use catalogue::{Catalogue, SaleState, terms_of};
pub use operator::{Operators, start_operators};
pub use people::{Issuer, IssuerError, People};
pub use service::{Front, ROUTES, ShopService, buyer};
pub use session::{Sessions, buyer_of_subject, request_id};
pub use shadow::{Shadow, ShadowFronts, Shadows, Standing};
pub use shop::{Parts, ReloadError, Reloaded, Shop, load_pictures};
