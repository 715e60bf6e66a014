//! Answers every request with a constant 200: what the accept loop costs, beside
//! nginx's `return 200` with an answer of the same size.
//!
//! `cargo run --release -p host --example constant -- 127.0.0.1:9090 [workers]`

use host::http::{Body, HttpStats, ListenOptions, Service, start};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue, SERVER};
use hyper::{Request, Response};
use std::net::SocketAddr;

struct Constant(Bytes);

impl Service for Constant {
    async fn call(&self, _request: Request<Incoming>, _peer: SocketAddr) -> Response<Body> {
        let mut response = Response::new(Body::Full(self.0.clone()));
        let headers = response.headers_mut();
        headers.insert(SERVER, HeaderValue::from_static("nginx"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        response
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let addr = args
        .next()
        .unwrap_or_else(|| "127.0.0.1:9090".into())
        .parse()?;
    let workers = args.next().map_or(Ok(1), |n| n.parse())?;
    let options = ListenOptions {
        workers,
        ..ListenOptions::new("constant", addr)
    };
    let make = |_worker| Constant(Bytes::from_static(b"Hello, world\n"));
    let listening = start(&options, make, host::Drain::new(), HttpStats::new())?;
    eprintln!("listening on {}", listening.local_addr());
    listening.join();
    Ok(())
}
