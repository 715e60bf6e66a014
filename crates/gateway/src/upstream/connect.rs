//! Opening a connection to a peer.

use super::peer::Peer;
use super::spec::Address;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectError {
    Timeout,
    /// Refused, unreachable, no such name.
    Failed,
}

/// A connection within `connect_ms`, with the address and its generation.
pub(crate) async fn connect(
    peer: &Peer,
    connect_ms: u32,
) -> Result<(TcpStream, SocketAddr), ConnectError> {
    let limit = Duration::from_millis(connect_ms.into());
    match tokio::time::timeout(limit, open(peer)).await {
        Ok(Ok(connected)) => Ok(connected),
        Ok(Err(error)) => {
            tracing::debug!(peer = peer.name(), %error, "cannot connect");
            Err(ConnectError::Failed)
        }
        Err(_elapsed) => Err(ConnectError::Timeout),
    }
}

async fn open(peer: &Peer) -> std::io::Result<(TcpStream, SocketAddr)> {
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
