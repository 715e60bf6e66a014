//! The task that renders pages ahead: one a process, on the first worker that there is.
//!
//! A page is asked for past the cache, over its own route, and what protects the upstream is asked
//! for it as for any fetch: a breaker that is tripped is no place for pages either.

use super::Door;
use super::fetch::{Fetch, NoAnswer, Payer};
use super::incoming;
use super::late::Late;
use super::service::{InProcess, Local, find};
use crate::headers::Client;
use crate::proxy::Proxy;
use guard::Facts;
use host::http::Body;
use hyper::Response;
use hyper::http::request::Parts;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Begins the task, unless another worker has.
pub(super) fn begin<S: InProcess>(door: &Arc<Door>, service: &Rc<S>, proxy: &Rc<Proxy>) {
    if door.renders.swap(true, Ordering::AcqRel) {
        return;
    }
    let (door, service, proxy) = (Arc::clone(door), Rc::clone(service), Rc::clone(proxy));
    tokio::task::spawn_local(async move {
        loop {
            let pages = door.running().extras.rendered.clone();
            let Some(pages) = pages else {
                door.swapped.notified().await;
                continue;
            };
            let fetch = |parts| page(&door, &service, &proxy, parts);
            let wait = pages.render_due(&fetch).await;
            drop(pages);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = door.swapped.notified() => {}
            }
        }
    });
}

async fn page<S: InProcess>(
    door: &Arc<Door>,
    service: &Rc<S>,
    proxy: &Rc<Proxy>,
    parts: Parts,
) -> Result<Response<Body>, NoAnswer> {
    let local = Rc::new(Local::new(door, proxy));
    let running = &local.running;
    let (id, route) = find(running, &parts).ok_or(NoAnswer::Nobody)?;
    let place = usize::from(id.0);
    let class = route.class;
    let mut listeners = running.written.gateway.listeners.iter();
    let tls = listeners.any(|listener| listener.tls.is_some());
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let trusted = &running.compiled.trusted;
    let client = Client::of(&parts.headers, peer.ip(), tls, trusted);
    let late = Late::of(
        &Facts {
            class,
            ..Facts::default()
        },
        false,
    );
    let body = incoming::empty().await.ok_or(NoAnswer::Nobody)?;
    let fetch = Fetch {
        door: Arc::clone(door),
        service: Rc::clone(service),
        proxy: Rc::clone(proxy),
        place,
        client,
        payer: Payer::Late(late),
        local,
    };
    fetch.ask(parts, body).await
}
