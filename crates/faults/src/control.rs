//! The control listener: the REST API of Toxiproxy, and leases.
//!
//! Whoever can reach it can break what stands behind the proxies, so it listens on loopback, and
//! a browser – which would carry any page's wish here – is refused. It must not know how
//! anything is done.

use crate::leases::Wish;
use crate::limits::{CONTROL_BODY_BYTES_MAX, CONTROL_BODY_MS};
use crate::refusal::Refusal;
use crate::registry::{Registry, version};
use host::http::{Body, Service, read_body};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, ORIGIN, USER_AGENT};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The lease under which the answered fault stands.
const SEAWALL_LEASE: HeaderName = HeaderName::from_static("seawall-lease");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

#[derive(Debug, Clone)]
pub struct Control(pub Arc<Registry>);

impl Service for Control {
    async fn call(&self, request: Request<Incoming>, _peer: SocketAddr) -> Response<Body> {
        match self.answer(request).await {
            Ok(said) => said.response(),
            Err(refusal) => Said::new(refusal.status(), refusal.json()).response(),
        }
    }
}

struct Said {
    status: u16,
    body: Option<Value>,
    lease: Option<u64>,
}

impl Said {
    fn new(status: u16, body: Value) -> Said {
        Said {
            status,
            body: Some(body),
            lease: None,
        }
    }

    fn ok(body: Value) -> Result<Said, Refusal> {
        Ok(Said::new(200, body))
    }

    fn nothing() -> Result<Said, Refusal> {
        Ok(Said {
            status: 204,
            body: None,
            lease: None,
        })
    }

    fn leased((body, lease): (Value, Option<u64>)) -> Result<Said, Refusal> {
        Ok(Said {
            lease,
            ..Said::new(200, body)
        })
    }

    fn response(self) -> Response<Body> {
        let mut answer = Response::new(match self.body {
            Some(body) => Body::from(body.to_string()),
            None => Body::Empty,
        });
        *answer.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = answer.headers_mut();
        if self.status != 204 {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(lease) = self.lease {
            headers.insert(SEAWALL_LEASE, lease.into());
        }
        answer
    }
}

impl Control {
    async fn answer(&self, request: Request<Incoming>) -> Result<Said, Refusal> {
        let (parts, body) = request.into_parts();
        no_browser(&parts.headers)?;
        let timeout = Duration::from_millis(CONTROL_BODY_MS);
        let body = read_body(body, CONTROL_BODY_BYTES_MAX, timeout).await;
        let body = body.map_err(|error| Refusal::BadBody(error.to_string()))?;
        let path: Vec<String> = parts.uri.path().split('/').skip(1).map(decoded).collect();
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let json = || match serde_json::from_slice::<Value>(&body) {
            Ok(value) => Ok(value),
            Err(error) => Err(Refusal::BadBody(error.to_string())),
        };
        match path.as_slice() {
            ["proxies" | "populate" | "reset" | "version"] => {
                self.top(&parts.method, path[0], json).await
            }
            ["proxies", name] => self.proxy(&parts, name, json).await,
            ["proxies", name, "toxics"] => self.toxics(&parts, name, json).await,
            ["proxies", name, "toxics", toxic] => {
                self.toxic(&parts.method, name, toxic, json).await
            }
            ["leases"] => self.leases(&parts.method, json).await,
            ["leases", id] => {
                let id = id.parse::<u64>().map_err(|_| Refusal::LeaseNotFound)?;
                // Without a body: as long as before.
                let ms = match body.is_empty() {
                    true => None,
                    false => milliseconds(&json()?)?,
                };
                self.lease(&parts.method, id, ms).await
            }
            _ => Err(Refusal::NoSuchPath),
        }
    }

    async fn top(
        &self,
        method: &Method,
        path: &str,
        json: impl Fn() -> Result<Value, Refusal>,
    ) -> Result<Said, Refusal> {
        match (method, path) {
            (&Method::GET, "proxies") => Said::ok(self.0.proxies().await),
            (&Method::POST, "proxies") => Ok(Said::new(201, self.0.create(&json()?).await?)),
            (&Method::POST, "populate") => {
                let (proxies, refusal) = self.0.populate(&json()?).await;
                let status = refusal.as_ref().map_or(201, Refusal::status);
                let mut body = refusal.map_or(json!({}), |refusal| refusal.json());
                body["proxies"] = proxies.into();
                Ok(Said::new(status, body))
            }
            (&Method::POST, "reset") => {
                self.0.reset().await?;
                Said::nothing()
            }
            (&Method::GET, "version") => Said::ok(version()),
            _ => Err(Refusal::Method),
        }
    }

    async fn proxy(
        &self,
        parts: &Parts,
        name: &str,
        json: impl Fn() -> Result<Value, Refusal>,
    ) -> Result<Said, Refusal> {
        match parts.method {
            Method::GET => Said::ok(self.0.proxy(name).await?),
            Method::POST | Method::PATCH => {
                Said::leased(self.0.update(name, &json()?, wish(parts)?).await?)
            }
            Method::DELETE => {
                self.0.delete(name).await?;
                Said::nothing()
            }
            _ => Err(Refusal::Method),
        }
    }

    async fn toxics(
        &self,
        parts: &Parts,
        name: &str,
        json: impl Fn() -> Result<Value, Refusal>,
    ) -> Result<Said, Refusal> {
        match parts.method {
            Method::GET => Said::ok(self.0.toxics(name).await?),
            Method::POST => Said::leased(self.0.add_toxic(name, &json()?, wish(parts)?).await?),
            _ => Err(Refusal::Method),
        }
    }

    async fn toxic(
        &self,
        method: &Method,
        name: &str,
        toxic: &str,
        json: impl Fn() -> Result<Value, Refusal>,
    ) -> Result<Said, Refusal> {
        match *method {
            Method::GET => Said::ok(self.0.toxic(name, toxic).await?),
            Method::POST | Method::PATCH => {
                Said::leased(self.0.update_toxic(name, toxic, &json()?).await?)
            }
            Method::DELETE => {
                self.0.delete_toxic(name, toxic).await?;
                Said::nothing()
            }
            _ => Err(Refusal::Method),
        }
    }

    async fn leases(
        &self,
        method: &Method,
        json: impl Fn() -> Result<Value, Refusal>,
    ) -> Result<Said, Refusal> {
        match *method {
            Method::GET => Said::ok(self.0.leases().await),
            Method::POST => {
                let ms = milliseconds(&json()?)?;
                Ok(Said::new(201, self.0.create_lease(ms).await?))
            }
            Method::PUT => Said::ok(self.0.renew_all_leases().await),
            _ => Err(Refusal::Method),
        }
    }

    async fn lease(&self, method: &Method, id: u64, ms: Option<u64>) -> Result<Said, Refusal> {
        match *method {
            Method::GET => Said::ok(self.0.lease(id).await?),
            Method::PUT => Said::ok(self.0.renew_lease(id, ms).await?),
            Method::DELETE => {
                self.0.end_lease(id).await?;
                Said::nothing()
            }
            _ => Err(Refusal::Method),
        }
    }
}

fn decoded(segment: &str) -> String {
    let decoded = percent_encoding::percent_decode_str(segment);
    decoded.decode_utf8_lossy().into_owned()
}

fn milliseconds(body: &Value) -> Result<Option<u64>, Refusal> {
    match body.get("ms") {
        None | Some(Value::Null) => Ok(None),
        Some(ms) => ms
            .as_u64()
            .map(Some)
            .ok_or_else(|| Refusal::BadBody(format!("ms: expected a whole number, found {ms}"))),
    }
}

fn no_browser(headers: &HeaderMap) -> Result<(), Refusal> {
    let agent = headers.get(USER_AGENT).map(HeaderValue::as_bytes);
    let looks_like_one = agent.is_some_and(|agent| agent.starts_with(b"Mozilla/"));
    match looks_like_one || headers.contains_key(ORIGIN) || headers.contains_key(SEC_FETCH_SITE) {
        true => Err(Refusal::Forbidden("this is not for browsers".into())),
        false => Ok(()),
    }
}

/// `?lease_ms=…` for a lease of its own, `?lease=ID` for one that exists.
fn wish(parts: &Parts) -> Result<Wish, Refusal> {
    let query = parts.uri.query().unwrap_or_default();
    let mut wish = Wish::None;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let number = || {
            let wrong = |_| Refusal::Lease(format!("{name}: expected a number, found {value:?}"));
            value.parse::<u64>().map_err(wrong)
        };
        let next = match name.as_ref() {
            "lease_ms" => Wish::Own { ms: number()? },
            "lease" => Wish::Join(number()?),
            other => {
                let what = format!("expected lease_ms or lease in the query, found {other:?}");
                return Err(Refusal::Lease(what));
            }
        };
        if wish != Wish::None {
            return Err(Refusal::Lease("expected one of lease_ms and lease".into()));
        }
        wish = next;
    }
    Ok(wish)
}
