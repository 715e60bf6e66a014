//! A bare proxy, for measuring: everything arriving at LISTEN goes to UPSTREAM, by one worker.
//!
//!     forward LISTEN UPSTREAM [--bare] [--http2]
//!
//! `--bare` announces the client by `X-Forwarded-For` only, as the peers of `bench/gateway.sh` do.

use gateway::headers::{Announce, Client};
use gateway::proxy::{ForwardContext, Proxy, ProxyError, Target};
use gateway::upstream::{Address, PeerSpec, PoolSpec, Protocol, Upstreams};
use host::Drain;
use host::http::{Body, HttpStats, ListenOptions, Service, start};
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::{Request, Response};
use std::net::SocketAddr;
use std::sync::Arc;

struct Forward {
    proxy: Proxy,
    target: Target,
    announce: Arc<Announce>,
}

impl Service for Forward {
    async fn call(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        let trusted = &self.announce.trusted;
        let client = Client::of(request.headers(), peer.ip(), false, trusted);
        let ctx = ForwardContext::new(client, &self.announce);
        match self.proxy.forward(request, &self.target, ctx).await {
            Ok(response) => response,
            Err(error) => refusal(&error),
        }
    }
}

fn refusal(error: &ProxyError) -> Response<Body> {
    let mut response = Response::new(Body::from(error.to_string()));
    *response.status_mut() = error.why.status();
    let happened = HeaderValue::from_static(error.happened.label());
    response.headers_mut().insert("x-happened", happened);
    response
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [listen, upstream, options @ ..] = &args[..] else {
        return Err("expected LISTEN and UPSTREAM, two addresses".into());
    };
    let has = |name: &str| options.iter().any(|option| option == name);
    let mut spec = PoolSpec::new(
        "bench",
        vec![PeerSpec {
            address: Address::Fixed(upstream.parse()?),
            weight: 1,
        }],
    );
    if has("--http2") {
        spec.protocol = Protocol::Http2;
    }
    let upstreams = Upstreams::new(vec![spec], None)?;
    let pool = upstreams.pool("bench").ok_or("no pool")?.clone();
    let mut announce = Announce::default();
    if has("--bare") {
        announce.forwarded = false;
        announce.via = None;
        announce.trace = false;
    }
    let announce = Arc::new(announce);
    let make = move |_worker| {
        let proxy = Proxy::new();
        let target = proxy.target(&pool);
        Forward {
            proxy,
            target,
            announce: announce.clone(),
        }
    };
    let options = ListenOptions::new("front", listen.parse()?);
    let listening = start(&options, make, Drain::new(), HttpStats::new())?;
    println!("listening on {}", listening.local_addr());
    listening.join();
    Ok(())
}
