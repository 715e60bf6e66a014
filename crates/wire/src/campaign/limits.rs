//! Bounds of the campaign file, each with its reason; those of demand and rehearsal stand beside
//! their types in `campaign.rs`.

/// Characters of the background: a page.
pub const SENTENCES_CHARS_MAX: usize = 4_000;
/// Items of goals: more than these are none.
pub const GOALS_MAX: usize = 32;
/// Records of people: a large team with everybody on call in turns.
pub const CONTACTS_MAX: usize = 256;
/// Entries of phases in one sale.
pub const PHASES_MAX: usize = 32;
/// Products of one sale, as many as one catalogue of a cell.
pub const PRODUCTS_MAX: usize = 20_000;
/// Names of third parties.
pub const THIRD_PARTIES_MAX: usize = 128;
/// Records of earlier campaigns whose traffic is read.
pub const EARLIER_MAX: usize = 12;
/// Items on what is new.
pub const NEWS_MAX: usize = 256;
/// Items promised to users: one for each route that matters.
pub const SLOS_MAX: usize = 128;
/// Entries of windows in which something must not happen.
pub const WINDOWS_MAX: usize = 64;
