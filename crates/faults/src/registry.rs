//! All proxies, their toxics and the leases of both: each operation of the API in one function.
//!
//! One lock, since whoever changes faults does so now and then and wants an order. A lease that
//! ends takes its toxics away and opens again what it had closed. It must not know of HTTP.

use crate::leases::{Leases, Wish};
use crate::limits::{
    ADDRESS_BYTES_MAX, NAME_CHARS_MAX, PROXIES_MAX, REOPEN_MS, TOXICS_PER_PROXY_MAX,
};
use crate::proxy::{Ground, Proxy};
use crate::refusal::Refusal;
use crate::toxic::Toxic;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, Notify};

/// What was done, and under which lease it stands.
pub type Done = Result<(Value, Option<u64>), Refusal>;

#[derive(Debug)]
pub struct Registry {
    ground: Ground,
    /// Proxies may listen where others than this machine can connect.
    anywhere: bool,
    inner: Mutex<Inner>,
    /// The next end of a lease may be another than it was.
    leases_changed: Notify,
}

#[derive(Debug)]
struct Inner {
    proxies: BTreeMap<String, Proxy>,
    leases: Leases,
    toxics_made: u64,
}

impl Registry {
    #[must_use]
    pub fn new(ground: Ground, anywhere: bool, mandatory_ms: Option<u64>) -> Registry {
        Registry {
            ground,
            anywhere,
            inner: Mutex::new(Inner {
                proxies: BTreeMap::new(),
                leases: Leases::new(mandatory_ms),
                toxics_made: 0,
            }),
            leases_changed: Notify::new(),
        }
    }

    pub async fn proxies(&self) -> Value {
        let inner = self.inner.lock().await;
        let all = inner.proxies.iter();
        all.map(|(name, proxy)| (name.clone(), proxy.json()))
            .collect::<Map<_, _>>()
            .into()
    }

    pub async fn proxy(&self, name: &str) -> Result<Value, Refusal> {
        let mut inner = self.inner.lock().await;
        Ok(inner.proxy(name)?.json())
    }

    pub async fn create(&self, body: &Value) -> Result<Value, Refusal> {
        let wanted = Wanted::read(body, "")?;
        let mut inner = self.inner.lock().await;
        if inner.proxies.contains_key(&wanted.name) {
            return Err(Refusal::ProxyExists);
        }
        self.add(&mut inner, wanted).await
    }

    /// All of a list: those that are there as wanted stay, others are made or made anew. What
    /// was done before a failure stays done, and is told with it.
    pub async fn populate(&self, body: &Value) -> (Vec<Value>, Option<Refusal>) {
        let wanted = match Wanted::read_all(body) {
            Ok(wanted) => wanted,
            Err(refusal) => return (Vec::new(), Some(refusal)),
        };
        let mut inner = self.inner.lock().await;
        let mut done = Vec::new();
        for one in wanted {
            match self.add_or_replace(&mut inner, one).await {
                Ok(proxy) => done.push(proxy),
                Err(refusal) => return (done, Some(refusal)),
            }
        }
        (done, None)
    }

    async fn add_or_replace(&self, inner: &mut Inner, wanted: Wanted) -> Result<Value, Refusal> {
        if let Some(proxy) = inner.proxies.get_mut(&wanted.name) {
            let same_place = self.same_place(&proxy.listen, &wanted.listen).await?;
            if same_place && proxy.upstream == wanted.upstream && proxy.http == wanted.http {
                return Ok(proxy.json());
            }
            proxy.stop().await;
            inner.proxies.remove(&wanted.name);
            inner.forget_leases();
        }
        self.add(inner, wanted).await
    }

    async fn add(&self, inner: &mut Inner, wanted: Wanted) -> Result<Value, Refusal> {
        if inner.proxies.len() >= PROXIES_MAX {
            return Err(Refusal::TooMany("proxies"));
        }
        let addr = self.place(&wanted.listen).await?;
        let Wanted {
            name,
            upstream,
            http,
            ..
        } = wanted;
        let mut proxy = Proxy::new(name.clone(), addr.to_string(), upstream, http);
        if wanted.enabled {
            self.open(&mut proxy).await?;
        }
        let shown = proxy.json();
        inner.proxies.insert(name, proxy);
        Ok(shown)
    }

    /// Other addresses, or off and on. Off may stand under a lease.
    pub async fn update(&self, name: &str, body: &Value, wish: Wish) -> Done {
        let mut inner = self.inner.lock().await;
        let proxy = inner.proxy(name)?;
        let wanted = Wanted::changed(proxy, body)?;
        let was_enabled = proxy.enabled();
        let same_place = self.same_place(&proxy.listen, &wanted.listen).await?;
        if !same_place || wanted.upstream != proxy.upstream {
            let addr = self.place(&wanted.listen).await?;
            proxy.stop().await;
            proxy.listen = addr.to_string();
            proxy.upstream = wanted.upstream;
        }
        if wanted.enabled {
            if wish != Wish::None {
                let what = "it is for toxics and for \"enabled\": false";
                return Err(Refusal::Lease(what.into()));
            }
            if !proxy.enabled() {
                self.open(proxy).await?;
            }
        } else if was_enabled || proxy.down.is_some() {
            // Asked for first: without its lease, a fault does not begin.
            let lease = inner.leases.take(wish, Instant::now())?;
            let proxy = inner.proxy(name)?;
            proxy.stop().await;
            proxy.down = lease;
        } else if wish != Wish::None {
            return Err(Refusal::Lease("it is disabled already, without one".into()));
        }
        inner.forget_leases();
        self.leases_changed.notify_one();
        let proxy = inner.proxy(name)?;
        Ok((proxy.json(), proxy.down))
    }

    pub async fn delete(&self, name: &str) -> Result<(), Refusal> {
        let mut inner = self.inner.lock().await;
        inner.proxy(name)?.stop().await;
        inner.proxies.remove(name);
        inner.forget_leases();
        Ok(())
    }

    /// No toxics, and every proxy enabled.
    pub async fn reset(&self) -> Result<(), Refusal> {
        let mut inner = self.inner.lock().await;
        for proxy in inner.proxies.values_mut() {
            proxy.toxics.clear();
            proxy.show();
        }
        let mut failed = Ok(());
        for proxy in inner.proxies.values_mut().filter(|p| !p.enabled()) {
            failed = failed.and(self.open(proxy).await);
        }
        inner.forget_leases();
        failed
    }

    pub async fn toxics(&self, proxy: &str) -> Result<Value, Refusal> {
        let mut inner = self.inner.lock().await;
        Ok(inner.proxy(proxy)?.toxics_json())
    }

    pub async fn toxic(&self, proxy: &str, toxic: &str) -> Result<Value, Refusal> {
        let mut inner = self.inner.lock().await;
        let proxy = inner.proxy(proxy)?;
        Ok(proxy.toxics[find(proxy, toxic)?].json())
    }

    pub async fn add_toxic(&self, proxy: &str, body: &Value, wish: Wish) -> Done {
        let mut inner = self.inner.lock().await;
        let id = inner.toxics_made + 1;
        let to = inner.proxy(proxy)?;
        let read = Toxic::read(id, None, body)?;
        if find(to, &read.name).is_ok() {
            return Err(Refusal::ToxicExists);
        }
        if to.toxics.len() >= TOXICS_PER_PROXY_MAX {
            return Err(Refusal::TooMany("toxics of this proxy"));
        }
        if read.kind.is_http() && !to.http {
            let what = "type: expected a proxy with \"protocol\": \"http\"";
            return Err(Refusal::BadBody(what.into()));
        }
        let lease = inner.leases.take(wish, Instant::now())?;
        inner.toxics_made = id;
        let to = inner.proxy(proxy)?;
        let toxic = Arc::new(Toxic { lease, ..read });
        let shown = toxic.json();
        to.toxics.push(toxic);
        to.show();
        self.leases_changed.notify_one();
        Ok((shown, lease))
    }

    pub async fn update_toxic(&self, proxy: &str, toxic: &str, body: &Value) -> Done {
        let mut inner = self.inner.lock().await;
        let proxy = inner.proxy(proxy)?;
        let index = find(proxy, toxic)?;
        let changed = Arc::new(proxy.toxics[index].changed(body)?);
        let (shown, lease) = (changed.json(), changed.lease);
        proxy.toxics[index] = changed;
        proxy.show();
        Ok((shown, lease))
    }

    pub async fn delete_toxic(&self, proxy: &str, toxic: &str) -> Result<(), Refusal> {
        let mut inner = self.inner.lock().await;
        let proxy = inner.proxy(proxy)?;
        let index = find(proxy, toxic)?;
        proxy.toxics.remove(index);
        proxy.show();
        inner.forget_leases();
        Ok(())
    }

    pub async fn leases(&self) -> Value {
        self.inner.lock().await.leases.json(Instant::now())
    }

    pub async fn lease(&self, id: u64) -> Result<Value, Refusal> {
        self.inner.lock().await.leases.one(id, Instant::now())
    }

    pub async fn create_lease(&self, ms: Option<u64>) -> Result<Value, Refusal> {
        let (mut inner, now) = (self.inner.lock().await, Instant::now());
        let id = inner.leases.create(ms, now)?;
        self.leases_changed.notify_one();
        inner.leases.one(id, now)
    }

    pub async fn renew_lease(&self, id: u64, ms: Option<u64>) -> Result<Value, Refusal> {
        let (mut inner, now) = (self.inner.lock().await, Instant::now());
        inner.leases.renew(id, ms, now)?;
        self.leases_changed.notify_one();
        inner.leases.one(id, now)
    }

    pub async fn renew_all_leases(&self) -> Value {
        let (mut inner, now) = (self.inner.lock().await, Instant::now());
        inner.leases.renew_all(now);
        inner.leases.json(now)
    }

    /// Ends the lease and what stands under it, now.
    pub async fn end_lease(&self, id: u64) -> Result<(), Refusal> {
        let mut inner = self.inner.lock().await;
        inner.leases.one(id, Instant::now())?;
        self.undo(&mut inner, id).await
    }

    /// Ends leases in time, for as long as the process lives.
    pub async fn watch_leases(&self) {
        loop {
            let next = self.inner.lock().await.leases.next_end();
            let changed = self.leases_changed.notified();
            match next {
                None => changed.await,
                Some(at) => {
                    let _ = tokio::time::timeout_at(at.into(), changed).await;
                }
            }
            let mut inner = self.inner.lock().await;
            let now = Instant::now();
            while let Some(id) = inner.leases.over(now) {
                tracing::info!("lease {id} has ended");
                if let Err(refusal) = self.undo(&mut inner, id).await {
                    tracing::warn!("lease {id}: {refusal}; trying again");
                    let again = now + Duration::from_millis(REOPEN_MS);
                    inner.leases.postpone(id, again);
                }
            }
        }
    }

    /// Before the end of the process: what toxics hold back goes on.
    pub async fn let_go(&self) {
        let mut inner = self.inner.lock().await;
        for proxy in inner.proxies.values_mut() {
            proxy.toxics.clear();
            proxy.show();
        }
    }

    /// Waits until the listeners, who know of the drain, have ended their connections.
    pub async fn finished(&self) {
        let mut inner = self.inner.lock().await;
        for proxy in inner.proxies.values_mut() {
            proxy.finished().await;
        }
    }

    async fn undo(&self, inner: &mut Inner, id: u64) -> Result<(), Refusal> {
        let mut undone = Ok(());
        for proxy in inner.proxies.values_mut() {
            let before = proxy.toxics.len();
            proxy.toxics.retain(|toxic| toxic.lease != Some(id));
            if proxy.toxics.len() != before {
                proxy.show();
            }
            if proxy.down == Some(id) {
                undone = undone.and(self.open(proxy).await);
            }
        }
        undone?;
        inner.leases.end(id)
    }

    async fn open(&self, proxy: &mut Proxy) -> Result<(), Refusal> {
        let addr = self.place(&proxy.listen).await?;
        let opened = proxy.start(addr, &self.ground).await;
        opened.map_err(|error| Refusal::Failed(format!("{}: {addr}: {error}", proxy.name)))
    }

    async fn same_place(&self, is: &str, wanted: &str) -> Result<bool, Refusal> {
        Ok(is == wanted || is == self.place(wanted).await?.to_string())
    }

    /// Where to listen: without a host on loopback, or everywhere if that is allowed.
    async fn place(&self, listen: &str) -> Result<SocketAddr, Refusal> {
        let anywhere = match self.anywhere {
            true => "0.0.0.0",
            false => "127.0.0.1",
        };
        let text = match listen {
            "" => format!("{anywhere}:0"),
            port if port.starts_with(':') => format!("{anywhere}{port}"),
            whole => whole.to_owned(),
        };
        let wrong = |what: String| Refusal::BadBody(format!("listen: {what}"));
        let found = tokio::net::lookup_host(&text).await;
        let mut found: Vec<SocketAddr> = match found {
            Ok(found) => found.collect(),
            Err(error) => {
                return Err(wrong(format!(
                    "expected HOST:PORT, found {text:?}: {error}"
                )));
            }
        };
        found.sort_by_key(|addr| matches!(addr.ip(), IpAddr::V6(_)));
        let addr = *found
            .first()
            .ok_or_else(|| wrong(format!("{text} has no address")))?;
        if !addr.ip().is_loopback() && !self.anywhere {
            return Err(Refusal::Forbidden(format!(
                "listen: {addr} can be reached from other machines, and \
                 --allow-remote-clients was not given"
            )));
        }
        Ok(addr)
    }
}

impl Inner {
    fn proxy(&mut self, name: &str) -> Result<&mut Proxy, Refusal> {
        self.proxies.get_mut(name).ok_or(Refusal::ProxyNotFound)
    }

    fn forget_leases(&mut self) {
        let proxies = &self.proxies;
        self.leases.keep(|id| {
            proxies.values().any(|proxy| {
                proxy.down == Some(id) || proxy.toxics.iter().any(|t| t.lease == Some(id))
            })
        });
    }
}

fn find(proxy: &Proxy, toxic: &str) -> Result<usize, Refusal> {
    let position = proxy.toxics.iter().position(|one| one.name == toxic);
    position.ok_or(Refusal::ToxicNotFound)
}

/// A proxy as a caller wants it.
#[derive(Debug)]
struct Wanted {
    name: String,
    listen: String,
    upstream: String,
    http: bool,
    enabled: bool,
}

impl Wanted {
    fn read(body: &Value, at: &str) -> Result<Wanted, Refusal> {
        let name = text(body, "name")?.unwrap_or_default();
        if name.is_empty() {
            return Err(Refusal::Missing(format!("name{at}")));
        }
        if name.chars().count() > NAME_CHARS_MAX {
            let what = format!("name: expected at most {NAME_CHARS_MAX} characters");
            return Err(Refusal::BadBody(what));
        }
        let upstream = address(body, "upstream")?.unwrap_or_default();
        if upstream.is_empty() {
            return Err(Refusal::Missing(format!("upstream{at}")));
        }
        let http = match text(body, "protocol")? {
            None | Some("tcp") => false,
            Some("http") => true,
            Some(other) => {
                let what = format!("protocol: expected tcp or http, found {other:?}");
                return Err(Refusal::BadBody(what));
            }
        };
        Ok(Wanted {
            name: name.to_owned(),
            listen: address(body, "listen")?.unwrap_or_default().to_owned(),
            upstream: upstream.to_owned(),
            http,
            enabled: flag(body, "enabled")?.unwrap_or(true),
        })
    }

    fn read_all(body: &Value) -> Result<Vec<Wanted>, Refusal> {
        let list = body
            .as_array()
            .ok_or_else(|| Refusal::BadBody("expected a list of proxies".into()))?;
        if list.len() > PROXIES_MAX {
            return Err(Refusal::TooMany("proxies"));
        }
        let each = list.iter().enumerate();
        each.map(|(index, one)| Wanted::read(one, &format!(" at proxy {}", index + 1)))
            .collect()
    }

    fn changed(proxy: &Proxy, body: &Value) -> Result<Wanted, Refusal> {
        Ok(Wanted {
            name: proxy.name.clone(),
            listen: address(body, "listen")?.unwrap_or(&proxy.listen).to_owned(),
            upstream: address(body, "upstream")?
                .unwrap_or(&proxy.upstream)
                .to_owned(),
            http: proxy.http,
            enabled: flag(body, "enabled")?.unwrap_or(proxy.enabled()),
        })
    }
}

fn text<'a>(body: &'a Value, name: &str) -> Result<Option<&'a str>, Refusal> {
    let body = body
        .as_object()
        .ok_or_else(|| Refusal::BadBody("expected an object".into()))?;
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Refusal::BadBody(format!("{name}: expected a string"))),
    }
}

fn address<'a>(body: &'a Value, name: &str) -> Result<Option<&'a str>, Refusal> {
    match text(body, name)? {
        Some(long) if long.len() > ADDRESS_BYTES_MAX => Err(Refusal::BadBody(format!(
            "{name}: expected at most {ADDRESS_BYTES_MAX} bytes"
        ))),
        other => Ok(other),
    }
}

fn flag(body: &Value, name: &str) -> Result<Option<bool>, Refusal> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(_) => Err(Refusal::BadBody(format!("{name}: expected true or false"))),
    }
}

/// What the server says of itself.
#[must_use]
pub fn version() -> Value {
    json!({"version": concat!("seawall-", env!("CARGO_PKG_VERSION")), "api": "toxiproxy-2"})
}
