//! Fault proxies before named upstreams: `seawall faults` as a process of its own, controlled over
//! its REST API. Its leases are renewed from here, so that they run out when we are gone.

use crate::limits::{CONTROL_MS_MAX, DRILL_LEASE_MS, DRILL_RENEW_MS, START_MS_MAX};
use serde_json::{Value, json};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;
use wire::rehearsal::Protocol;
use wire::rehearsal::faults::{How, What};

/// Where a proxy stands.
#[derive(Clone, Debug)]
pub(crate) struct Proxy {
    pub(crate) name: String,
    pub(crate) protocol: Protocol,
    pub(crate) listen: SocketAddr,
}

#[derive(Debug)]
pub(crate) struct Proxies {
    child: Child,
    control: SocketAddr,
    pub(crate) all: Vec<Proxy>,
    over: Arc<AtomicBool>,
    renewing: Option<JoinHandle<()>>,
}

/// A proxy that is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) name: String,
    pub(crate) protocol: Protocol,
    pub(crate) upstream: SocketAddr,
    pub(crate) listen: Option<String>,
}

impl Proxies {
    pub(crate) fn start(seawall: &Path, wanted: &[Wanted]) -> Result<Proxies, String> {
        let mut child = Command::new(seawall)
            .args([
                "faults",
                "--listen",
                "127.0.0.1:0",
                "--log",
                "warn",
                "--tied",
            ])
            .args(["--connections-max", "16384"])
            .args(["--lease", &format!("{DRILL_LEASE_MS}ms")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("the fault proxy: {error}"))?;
        let control = match said(&mut child) {
            Ok(control) => control,
            Err(why) => {
                _ = child.kill();
                _ = child.wait();
                return Err(format!("the fault proxy: {why}"));
            }
        };
        let mut proxies = Proxies {
            child,
            control,
            all: Vec::new(),
            over: Arc::default(),
            renewing: None,
        };
        for one in wanted {
            let proxy = proxies.add(one)?;
            proxies.all.push(proxy);
        }
        let over = Arc::clone(&proxies.over);
        let renew = std::thread::Builder::new().name("leases".into());
        let renew = renew.spawn(move || {
            while !over.load(Ordering::Relaxed) {
                // A lease that could not be renewed runs out, and its end is noticed then.
                _ = ask(control, "PUT", "/leases", None);
                std::thread::park_timeout(Duration::from_millis(DRILL_RENEW_MS));
            }
        });
        proxies.renewing = Some(renew.map_err(|error| error.to_string())?);
        Ok(proxies)
    }

    pub(crate) fn address(&self, name: &str) -> Option<SocketAddr> {
        let found = self.all.iter().find(|proxy| proxy.name == name);
        found.map(|proxy| proxy.listen)
    }

    fn add(&self, wanted: &Wanted) -> Result<Proxy, String> {
        let mut body = json!({
            "name": wanted.name,
            "listen": wanted.listen.as_deref().unwrap_or("127.0.0.1:0"),
            "upstream": wanted.upstream.to_string(),
        });
        if wanted.protocol == Protocol::Http {
            body["protocol"] = json!("http");
        }
        let made = self.must("POST", "/proxies", Some(&body))?;
        let listen = made["listen"].as_str().and_then(|text| text.parse().ok());
        Ok(Proxy {
            name: wanted.name.clone(),
            protocol: wanted.protocol,
            listen: listen.ok_or("the proxy does not say where it listens")?,
        })
    }

    /// Makes a fault under a lease of its own; the lease's id.
    pub(crate) fn begin(&self, what: &What) -> Result<u64, String> {
        let lease = self.must("POST", "/leases", Some(&json!({"ms": DRILL_LEASE_MS})))?;
        let id = lease["id"].as_u64().ok_or("a lease without an id")?;
        let name = what.upstream().unwrap_or_default();
        let found = self.all.iter().find(|proxy| proxy.name == name);
        let http = found.is_some_and(|proxy| proxy.protocol == Protocol::Http);
        for (path, body) in wishes(what, http) {
            let path = format!("/proxies/{name}{path}?lease={id}");
            if let Err(why) = self.must("POST", &path, Some(&body)) {
                // Half a fault is none.
                _ = self.end(id);
                return Err(why);
            }
        }
        Ok(id)
    }

    /// Ends a fault; an error if it was not on any more.
    pub(crate) fn end(&self, lease: u64) -> Result<(), String> {
        let (status, body) = ask(self.control, "DELETE", &format!("/leases/{lease}"), None)
            .map_err(|error| format!("the fault proxy: {error}"))?;
        match status {
            200..=299 => Ok(()),
            404 => Err("its lease had run out before".to_owned()),
            _ => Err(format!("the fault proxy: {status} {body}")),
        }
    }

    fn must(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, String> {
        let (status, answer) = ask(self.control, method, path, body)
            .map_err(|error| format!("the fault proxy: {error}"))?;
        match status {
            200..=299 => Ok(answer),
            _ => {
                let why = answer["error"].as_str().unwrap_or("no reason given");
                Err(format!("the fault proxy: {status}, {why}"))
            }
        }
    }
}

impl Drop for Proxies {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.renewing.take() {
            thread.thread().unpark();
            _ = thread.join();
        }
        // Nobody goes through it any more.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// What a fault is in the proxy's words: below which path, with what body.
fn wishes(what: &What, http: bool) -> Vec<(&'static str, Value)> {
    let toxic = |kind: &str, stream: &str, share: f64, attributes: Value| {
        let body = json!({"name": format!("{kind}-{stream}"), "type": kind, "stream": stream,
                          "toxicity": share, "attributes": attributes});
        ("/toxics", body)
    };
    match what {
        What::Delay(one) => {
            let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            let kind = if http { "http_delay" } else { "latency" };
            let attributes = json!({"latency": ms(one.latency), "jitter": ms(one.jitter)});
            vec![toxic(kind, "downstream", one.share, attributes)]
        }
        What::Error(one) => {
            let mut attributes = json!({"status": one.status});
            if let Some(path) = &one.path {
                attributes["path"] = json!(path);
            }
            vec![toxic("http_error", "upstream", one.share, attributes)]
        }
        What::Hang(one) => {
            let kind = if http { "http_hang" } else { "timeout" };
            vec![toxic(kind, "downstream", one.share, json!({"timeout": 0}))]
        }
        What::Disconnect(one) => match one.how {
            How::Refused => vec![("", json!({"enabled": false}))],
            How::Reset => vec![toxic("reset_peer", "upstream", 1.0, json!({"timeout": 0}))],
        },
        What::Bandwidth(one) => {
            let both = ["downstream", "upstream"].into_iter();
            let rate = json!({"rate": one.per_second / 1_000});
            both.map(|stream| toxic("bandwidth", stream, 1.0, rate.clone()))
                .collect()
        }
        What::Stop(_) | What::Kill(_) | What::Fill(_) => Vec::new(),
    }
}

/// Where the control listener is, from the process' first line.
fn said(child: &mut Child) -> Result<SocketAddr, String> {
    let out = child.stdout.take().ok_or("it has no stdout")?;
    let (tell, hear) = mpsc::channel();
    let reader = std::thread::Builder::new().name("proxy's word".into());
    reader
        .spawn(move || {
            let mut line = String::new();
            // An unreadable line is as none.
            _ = BufReader::new(out.take(1_024)).read_line(&mut line);
            _ = tell.send(line);
        })
        .map_err(|error| error.to_string())?;
    let line = hear.recv_timeout(Duration::from_millis(START_MS_MAX));
    let line = line.map_err(|_| "it did not say where it listens".to_owned())?;
    let address = line
        .split_whitespace()
        .nth(1)
        .and_then(|text| text.parse().ok());
    address.ok_or_else(|| format!("found {line:?}, expected `control  ADDRESS`"))
}

/// One call on a connection of its own: status and body.
fn ask(
    control: SocketAddr,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> io::Result<(u16, Value)> {
    let time = Duration::from_millis(CONTROL_MS_MAX);
    let mut stream = TcpStream::connect_timeout(&control, time)?;
    stream.set_read_timeout(Some(time))?;
    stream.set_write_timeout(Some(time))?;
    let body = body.map_or_else(String::new, Value::to_string);
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {control}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream
        .take(crate::limits::ANSWER_BYTES_MAX as u64)
        .read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| io::Error::other("no HTTP answer"))?;
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Ok((status, serde_json::from_str(body).unwrap_or(Value::Null)))
}
