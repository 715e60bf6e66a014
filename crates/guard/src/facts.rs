//! What the door knows about a request before it decides. Texts became 64-bit values by a keyed
//! hash of the shell, so that nobody outside can aim at another's key and nothing is copied here.

use std::num::NonZeroU64;

/// A text (buyer, device, address, key, header, SKU) under the process's keyed hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value(pub NonZeroU64);

/// A route by its place in the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteId(pub u16);

/// Where a request was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Channel {
    #[default]
    Web,
    App,
    Pos,
}

/// HTTP methods that rules tell apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Method {
    #[default]
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
    Other,
}

/// How much a request matters under overload; the last is shed first. Whoever is already in –
/// holds units and pays – comes before whoever looks around.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Pay or cancel: the buyer holds units.
    Pay,
    Order,
    Cart,
    Product,
    Search,
    #[default]
    Optional,
}

impl Class {
    pub const ALL: [Class; 6] = [
        Class::Pay,
        Class::Order,
        Class::Cart,
        Class::Product,
        Class::Search,
        Class::Optional,
    ];
}

/// As many different headers as rules of one configuration may use in keys.
pub const HEADERS_MAX: usize = 4;

/// What a rule's key is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    Buyer,
    Device,
    /// The client's address; of IPv6 the /64.
    Address,
    ApiKey,
    /// A header by its place in the configuration's list, below [`HEADERS_MAX`].
    Header(u8),
    Route,
    Method,
    Sku,
    Channel,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    pub route: RouteId,
    pub method: Method,
    pub channel: Channel,
    pub class: Class,
    pub buyer: Option<Value>,
    pub device: Option<Value>,
    pub address: Option<Value>,
    pub api_key: Option<Value>,
    pub sku: Option<Value>,
    pub headers: [Option<Value>; HEADERS_MAX],
}
