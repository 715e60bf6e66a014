//! Active health checks and name look-ups: what is done about peers without any request.
//!
//! One future for all pools of a configuration; whoever runs it decides on which thread. Dropping
//! it stops the checks and keeps what they found.

use super::connect::connect;
use super::pool::{Pool, Upstreams};
use super::spec::{HealthSpec, Protocol};
use super::stats::Event;
use super::wire::Wire;
use crate::limits::{HEALTH_HEAD_BYTES_MAX, HEALTH_MS_MIN};
use bytes::{Bytes, BytesMut};
use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

impl Upstreams {
    /// Checks health and looks names up until it is dropped.
    pub async fn watch(&self) {
        let mut tasks = JoinSet::new();
        for pool in self.pools() {
            for (place, peer) in pool.peers().iter().enumerate() {
                let (of, fresh) = (pool.clone(), peer.clone());
                tasks.spawn(async move {
                    super::resolve::keep_fresh(&fresh, of.spec().resolve_ms).await;
                });
                if pool.spec().health.is_some() {
                    tasks.spawn(check(pool.clone(), place));
                } else if peer.is_unhealthy() {
                    // Its health is no longer checked, so nobody could find it well again.
                    peer.set_healthy(true, super::now_ms());
                }
            }
        }
        while tasks.join_next().await.is_some() {}
        // Fixed addresses without checks: nothing to do, but not done either.
        std::future::pending().await
    }
}

/// Checks and look-ups on a thread of their own; dropping this ends them.
#[derive(Debug)]
pub struct Watching {
    _until_dropped: oneshot::Sender<()>,
}

impl Watching {
    /// A thread of its own, so that checks are on time while the workers drown.
    pub fn start(upstreams: Arc<Upstreams>) -> std::io::Result<Watching> {
        let (until_dropped, dropped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        let thread = std::thread::Builder::new().name("upstreams".into());
        thread.spawn(move || {
            runtime.block_on(async move {
                tokio::select! {
                    () = upstreams.watch() => {}
                    // The sender sends nothing: it goes, and that is the message.
                    _gone = dropped => {}
                }
            });
        })?;
        Ok(Watching {
            _until_dropped: until_dropped,
        })
    }
}

async fn check(pool: Arc<Pool>, place: usize) {
    let Some(spec) = pool.spec().health.clone() else {
        return;
    };
    let peer = &pool.peers()[place];
    let every = Duration::from_millis(u64::from(spec.interval_ms).max(HEALTH_MS_MIN));
    let limit = Duration::from_millis(spec.timeout_ms.into());
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut good, mut bad) = (0_u32, 0_u32);
    loop {
        ticks.tick().await;
        let asked = tokio::time::timeout(limit, ask(&pool, place, &spec)).await;
        let passed = matches!(asked, Ok(Some(200..=399)));
        peer.count(if passed {
            Event::HealthPassed
        } else {
            Event::HealthFailed
        });
        (good, bad) = if passed {
            (good.saturating_add(1), 0)
        } else {
            (0, bad.saturating_add(1))
        };
        if peer.is_unhealthy() && good >= spec.healthy_after.max(1) {
            peer.set_healthy(true, super::now_ms());
        } else if !peer.is_unhealthy() && bad >= spec.unhealthy_after.max(1) {
            peer.set_healthy(false, super::now_ms());
        }
    }
}

/// The status of the answer, if there is one.
async fn ask(pool: &Pool, place: usize, spec: &HealthSpec) -> Option<u16> {
    let (stream, _) = connect(pool, place, spec.timeout_ms).await.ok()?;
    let host = spec.host.as_deref().unwrap_or(pool.peers()[place].name());
    match pool.spec().protocol {
        Protocol::Http1 => ask_http1(stream, host, &spec.path).await,
        Protocol::Http2 => ask_http2(stream, host, &spec.path).await,
    }
}

async fn ask_http1(mut stream: Wire, host: &str, path: &str) -> Option<u16> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: seawall-health\r\n\
         connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.ok()?;
    stream.flush().await.ok()?;
    let mut head = BytesMut::with_capacity(1_024);
    while head.len() < HEALTH_HEAD_BYTES_MAX {
        if stream.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
        let mut headers = [httparse::EMPTY_HEADER; crate::limits::RESPONSE_HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        if response.parse(&head).ok()?.is_complete() {
            return response.code;
        }
    }
    None
}

async fn ask_http2(stream: Wire, host: &str, path: &str) -> Option<u16> {
    let io = TokioIo::new(stream);
    let http = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let (mut sender, connection) = http.handshake::<_, Empty<Bytes>>(io).await.ok()?;
    let request = hyper::Request::get(format!("http://{host}{path}"));
    let request = request.body(Empty::new()).ok()?;
    let answer = async move { Some(sender.send_request(request).await.ok()?.status().as_u16()) };
    tokio::select! {
        status = answer => status,
        _ended = connection => None,
    }
}
