//! Opening a connection to a peer, TLS included.

use super::pool::Pool;
use super::spec::Address;
use super::tls::TlsFault;
use super::wire::Wire;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectError {
    Timeout,
    /// Refused, unreachable, no such name.
    Failed,
    Tls(TlsFault),
}

/// A connection to the peer at this place within `connect_ms`, and its address.
pub(crate) async fn connect(
    pool: &Pool,
    place: usize,
    connect_ms: u32,
) -> Result<(Wire, SocketAddr), ConnectError> {
    let limit = Duration::from_millis(connect_ms.into());
    let opened = async {
        let peer = &pool.peers()[place];
        let opened = open(peer).await;
        let (tcp, addr) = opened.map_err(|error| {
            // Once, and not at each request: what the system says is said nowhere else.
            match peer.is_news(true) {
                true => tracing::warn!(peer = peer.name(), %error, "cannot connect"),
                false => tracing::debug!(peer = peer.name(), %error, "cannot connect"),
            }
            ConnectError::Failed
        })?;
        if peer.is_news(false) {
            tracing::info!(peer = peer.name(), "connects again");
        }
        let wire = match &pool.tls {
            None => Wire::Plain(tcp),
            // In a box: only pools with TLS make room for a handshake.
            Some(tls) => {
                let shaken = Box::pin(tls.shake(place, peer.name(), tcp)).await;
                Wire::Tls(shaken.map_err(ConnectError::Tls)?)
            }
        };
        Ok((wire, addr))
    };
    let opened = tokio::time::timeout(limit, opened).await;
    opened.unwrap_or(Err(ConnectError::Timeout))
}

async fn open(peer: &super::peer::Peer) -> std::io::Result<(TcpStream, SocketAddr)> {
    let (mut addresses, mut turn) = peer.addresses();
    if addresses.is_empty() {
        // Asked for before the first look-up has ended.
        super::resolve::look_up(peer).await;
        (addresses, turn) = peer.addresses();
    }
    let mut last = None;
    for step in 0..addresses.len() {
        let addr = addresses[(turn + step) % addresses.len()];
        match TcpStream::connect(addr).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok((stream, addr));
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| match &peer.spec.address {
        Address::Name { host, .. } => std::io::Error::other(format!("no address for {host}")),
        Address::Fixed(addr) => std::io::Error::other(format!("no address for {addr}")),
    }))
}
