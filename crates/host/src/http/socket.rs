//! Listening sockets, one per worker on one address, and what to say when there is none.

use crate::limits::BACKLOG_CONNECTIONS;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener};

/// Why there is no listener.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error(
        "{addr} is in use by another process: stop that one (`ss -ltnp 'sport = :{}'` shows \
         it), or choose another address; port 0 takes a free one",
        addr.port()
    )]
    InUse { addr: SocketAddr },
    #[error(
        "{addr} may not be used by this user: ports below 1024 need a privilege; \
         choose a higher port"
    )]
    Denied { addr: SocketAddr },
    #[error("{addr} is no address of this machine: expected one of its own, or 0.0.0.0 for all")]
    NotLocal { addr: SocketAddr },
    #[error("cannot listen on {addr}: {source}")]
    Socket { addr: SocketAddr, source: io::Error },
    #[error("cannot start a worker of the listener: {source}")]
    Worker { source: io::Error },
}

impl ListenError {
    fn at(addr: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => ListenError::InUse { addr },
            io::ErrorKind::PermissionDenied => ListenError::Denied { addr },
            io::ErrorKind::AddrNotAvailable => ListenError::NotLocal { addr },
            _ => ListenError::Socket { addr, source },
        }
    }
}

pub(super) struct Sockets {
    pub local_addr: SocketAddr,
    pub each: Vec<TcpListener>,
}

/// Binds `workers` sockets, or one if the system cannot share a port.
pub(super) fn listen(addr: SocketAddr, workers: usize) -> Result<Sockets, ListenError> {
    let at = |source| ListenError::at(addr, source);
    // The first is bound without sharing: otherwise a second process of the same user would be
    // let in silently, and the two would take each other's requests.
    let first = bind(addr, false).map_err(at)?;
    let shared = workers > 1 && first.set_reuse_port(true).is_ok();
    first.listen(BACKLOG_CONNECTIONS).map_err(at)?;
    let first = TcpListener::from(first);
    let local_addr = first.local_addr().map_err(at)?;
    let mut each = vec![first];
    if shared {
        for _ in 1..workers {
            let socket = bind(local_addr, true).map_err(at)?;
            socket.listen(BACKLOG_CONNECTIONS).map_err(at)?;
            each.push(socket.into());
        }
    }
    Ok(Sockets { local_addr, each })
}

fn bind(addr: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    // Lets a restart bind while old connections wait out their time; never two listeners.
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    // Accepted sockets inherit it: an answer is not held back for a fuller packet.
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    Ok(socket)
}
