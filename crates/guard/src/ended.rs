//! How work that was let through came to its end, as breakers and overload control need to know it.

/// The end of an attempt at an upstream. A refusal that means "no" in the shop's own terms (sold
/// out, limit per buyer) is [`Ended::Ok`]: the upstream did its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ended {
    Ok,
    /// The upstream could not: connection refused, reset, 5xx.
    Failed,
    /// We stopped waiting; the work may still be going on.
    TimedOut,
    /// The client went away first; says nothing unless it had already taken long.
    Dropped,
}
