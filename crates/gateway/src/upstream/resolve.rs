//! Names to addresses, again and again, because a name is given so that what it means can change.

use super::peer::Peer;
use super::spec::Address;
use crate::limits::{RESOLVE_MS_MIN, RESOLVE_TIMEOUT_MS};
use std::time::Duration;

/// Keeps a peer's addresses fresh. For a fixed address there is nothing to do.
pub(super) async fn keep_fresh(peer: &Peer, every_ms: u32) {
    if let Address::Fixed(_) = peer.spec.address {
        return;
    }
    let every = Duration::from_millis(u64::from(every_ms).max(RESOLVE_MS_MIN));
    loop {
        look_up(peer).await;
        tokio::time::sleep(every).await;
    }
}

/// One look-up. A failed one leaves what was known.
pub(super) async fn look_up(peer: &Peer) {
    let Address::Name { host, port } = &peer.spec.address else {
        return;
    };
    let asked = tokio::net::lookup_host((host.as_str(), *port));
    let limit = Duration::from_millis(RESOLVE_TIMEOUT_MS);
    match tokio::time::timeout(limit, asked).await {
        Ok(Ok(found)) => peer.set_addresses(found.collect()),
        Ok(Err(error)) => tracing::warn!(peer = peer.name(), %error, "cannot look up"),
        Err(_elapsed) => tracing::warn!(peer = peer.name(), "looking up takes too long"),
    }
}
