//! Upstreams and trusted proxies as the proxy takes them.

use crate::headers::{Cidr, ClientSource, TrustedProxies};
use crate::upstream::{
    Address, ClientFiles, ConnectionSpec, EjectionSpec, HealthSpec, PeerSpec, PoolSpec, Protocol,
    RetrySpec, Timeouts, TlsSpec,
};
use std::time::Duration;
use wire::gateway::listeners::AddressHeader;
use wire::gateway::scalar::Block;
use wire::gateway::upstreams::{self as written, Upstream};

pub fn spec(upstream: &Upstream) -> PoolSpec {
    let times = &upstream.timeouts;
    let connections = &upstream.connections;
    PoolSpec {
        name: upstream.name.clone(),
        peers: upstream.peers.iter().map(peer).collect(),
        protocol: match upstream.protocol {
            written::Protocol::Http1 => Protocol::Http1,
            written::Protocol::Http2 => Protocol::Http2,
        },
        tls: upstream.tls.as_ref().map(tls),
        timeouts: Timeouts {
            connect_ms: ms(times.connect),
            head_ms: ms(times.head),
            between_ms: ms(times.between_bytes),
            total_ms: Some(ms(times.total)),
        },
        connections: ConnectionSpec {
            per_peer_max: small(connections.most),
            idle_max: usize::try_from(connections.idle).unwrap_or(usize::MAX),
            idle_ms: ms(times.idle),
            waiting_max: usize::try_from(connections.waiting).unwrap_or(usize::MAX),
            wait_ms: ms(connections.wait),
        },
        health: upstream.health.as_ref().map(|health| HealthSpec {
            path: health.path.clone(),
            host: None,
            interval_ms: ms(health.interval),
            timeout_ms: ms(health.timeout),
            healthy_after: small(health.healthy_after),
            unhealthy_after: small(health.unhealthy_after),
        }),
        ejection: EjectionSpec {
            consecutive: small(upstream.outliers.failures),
            base_ms: ms(upstream.outliers.eject),
            longest_ms: ms(upstream.outliers.eject_max),
            share_percent: percent(upstream.outliers.eject_share_max),
        },
        retry: RetrySpec {
            more_max: small(upstream.retry.attempts),
            budget_percent: percent(upstream.retry.budget),
            on_bad_status: upstream.retry.bad_status,
        },
        slow_start_ms: ms(upstream.slow_start),
        resolve_ms: ms(upstream.resolve_every),
        fail_open: true,
    }
}

fn tls(written: &written::UpstreamTls) -> TlsSpec {
    // The check of the files takes both or neither.
    let client = written.cert_file.as_ref().zip(written.key_file.as_ref());
    TlsSpec {
        ca_file: written.ca_file.clone(),
        server_name: written.server_name.clone(),
        client: client.map(|(cert_file, key_file)| ClientFiles {
            cert_file: cert_file.clone(),
            key_file: key_file.clone(),
        }),
    }
}

pub fn trusted(blocks: &[Block], header: AddressHeader) -> TrustedProxies {
    let source = match header {
        AddressHeader::XForwardedFor => ClientSource::XForwardedFor,
        AddressHeader::Forwarded => ClientSource::Forwarded,
    };
    let cidr = |block: &Block| {
        format!("{}/{}", block.address, block.bits)
            .parse::<Cidr>()
            .ok()
    };
    TrustedProxies::new(blocks.iter().filter_map(cidr).collect(), source)
}

fn peer(peer: &written::Peer) -> PeerSpec {
    let named = || {
        let (host, port) = peer.address.rsplit_once(':').unwrap_or((&peer.address, ""));
        // The reader takes no peer without port.
        Address::Name {
            host: host.to_owned(),
            port: port.parse().unwrap_or(80),
        }
    };
    PeerSpec {
        address: peer
            .address
            .parse()
            .map_or_else(|_| named(), Address::Fixed),
        weight: small(peer.weight),
    }
}

fn ms(span: Duration) -> u32 {
    u32::try_from(span.as_millis()).unwrap_or(u32::MAX)
}

fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn percent(share: f64) -> u32 {
    (share * 100.0).round().clamp(0.0, 100.0) as u32
}
