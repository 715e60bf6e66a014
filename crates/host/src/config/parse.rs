//! From texts to values: each setting by its own little reader, all problems gathered.

use super::keys::find;
use super::layers::Layers;
use super::problem::Place;
use super::{Config, Http, Journal, Jwt, JwtAlgorithm, Log, Sandbox, Sessions, Windows};
use crate::limits::{CELLS_MAX, WINDOW_SECONDS_MAX, WORKERS_MAX};
use crate::log;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// `None` only if there are problems.
pub(super) fn config(layers: &mut Layers) -> Option<Config> {
    let l = layers;
    // All of them are read before the first that is missing ends it.
    let listen = l.value("listen", |t| t.parse().ok());
    let admin = l.value("admin", |t| t.parse().ok());
    let workers = l.value("workers", workers);
    let pin = l.value("pin", |t| t.parse().ok());
    let data = l.value("data", path);
    let cell = l.value("cell", |t| number(t, 0..=CELLS_MAX - 1));
    let origins = l.value("origins", origins);
    let (http, sessions) = (http(l), sessions(l));
    let (journal, windows, sandbox) = (journal(l), windows(l), sandbox(l));
    let jwt = jwt(l);
    let channel_tokens_file = l.optional("channel_tokens_file", path);
    let bank = l.optional("payment.bank", |text| text.parse().ok());
    let log = log(l);
    l.differ(listen, admin);
    Some(Config {
        listen: listen?,
        admin: admin?,
        workers: workers?,
        pin: pin?,
        data: data?,
        cell: cell?,
        origins: origins?,
        http: http?,
        sessions: sessions?,
        journal: journal?,
        windows: windows?,
        sandbox: sandbox?,
        bank: bank?,
        jwt: jwt?,
        channel_tokens_file: channel_tokens_file?,
        log: log?,
    })
}

fn http(l: &mut Layers) -> Option<Http> {
    let connections_max = l.value("http.connections_max", |t| number(t, 10..=1_000_000));
    let header_ms = l.value("http.header_ms", timeout);
    let first_byte_ms = l.value("http.first_byte_ms", timeout);
    let idle_ms = l.value("http.idle_ms", timeout);
    let body_ms = l.value("http.body_ms", timeout);
    let drain_ms = l.value("http.drain_ms", timeout);
    Some(Http {
        connections_max: connections_max?,
        header_ms: header_ms?,
        first_byte_ms: first_byte_ms?,
        idle_ms: idle_ms?,
        body_ms: body_ms?,
        drain_ms: drain_ms?,
    })
}

fn sessions(l: &mut Layers) -> Option<Sessions> {
    let hours = l.value("sessions.hours", |t| number(t, 1..=8_760));
    let cookie_secure = l.value("sessions.cookie_secure", |t| t.parse().ok());
    Some(Sessions {
        hours: hours?,
        cookie_secure: cookie_secure?,
    })
}

fn journal(l: &mut Layers) -> Option<Journal> {
    let segment_mib = l.value("journal.segment_mib", |t| number(t, 1..=1_024));
    let reserve_mib = l.value("journal.reserve_mib", |t| number(t, 1..=1_048_576));
    let prune = l.value("journal.prune", |t| t.parse().ok());
    Some(Journal {
        segment_mib: segment_mib?,
        reserve_mib: reserve_mib?,
        prune: prune?,
    })
}

fn windows(l: &mut Layers) -> Option<Windows> {
    let remember = l.value("windows.remember", window);
    let returns = l.value("windows.returns", window);
    Some(Windows {
        remember: remember?,
        returns: returns?,
    })
}

fn sandbox(l: &mut Layers) -> Option<Sandbox> {
    let delay_ms_median = l.value("payment.sandbox.delay_ms_median", |t| number(t, 0..=60_000));
    let shares = ["decline_share", "unknown_share", "unavailable_share"]
        .map(|name| l.value(&format!("payment.sandbox.{name}"), share));
    let [decline_share, unknown_share, unavailable_share] = shares;
    let (decline_share, unknown_share) = (decline_share?, unknown_share?);
    let unavailable_share = unavailable_share?;
    if decline_share + unknown_share + unavailable_share > 1.0 {
        let place = l.place("payment.sandbox.decline_share");
        l.problem(
            place,
            "the three shares of payment.sandbox are above 1 in sum".into(),
        );
    }
    Some(Sandbox {
        delay_ms_median: delay_ms_median?,
        decline_share,
        unknown_share,
        unavailable_share,
    })
}

/// All four or none. The outer `None` says that there are problems.
fn jwt(l: &mut Layers) -> Option<Option<Jwt>> {
    const ALL: [&str; 4] = [
        "jwt.issuer",
        "jwt.audience",
        "jwt.algorithm",
        "jwt.key_file",
    ];
    let issuer = l.optional(ALL[0], words);
    let audience = l.optional(ALL[1], words);
    let algorithm = l.optional(ALL[2], algorithm);
    let key_file = l.optional(ALL[3], path);
    let (set, missing): (Vec<&str>, Vec<&str>) = ALL
        .into_iter()
        .partition(|path| l.settings.contains_key(path));
    if let (Some(first), false) = (set.first(), missing.is_empty()) {
        let place = l.place(first);
        l.problem(
            place,
            format!("{first} needs {} as well", missing.join(", ")),
        );
        return None;
    }
    match (issuer?, audience?, algorithm?, key_file?) {
        (Some(issuer), Some(audience), Some(algorithm), Some(key_file)) => Some(Some(Jwt {
            issuer,
            audience,
            algorithm,
            key_file,
        })),
        _ => Some(None),
    }
}

fn log(l: &mut Layers) -> Option<Log> {
    let format = l.value("log.format", |t| match t {
        "text" => Some(log::Format::Text),
        "json" => Some(log::Format::Json),
        _ => None,
    });
    let level = l.value("log.level", |t| log::is_filter(t).then(|| t.to_owned()));
    Some(Log {
        format: format?,
        level: level?,
    })
}

impl Layers {
    /// A setting that has a default.
    fn value<T>(&mut self, path: &str, read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        self.optional(path, read).flatten()
    }

    /// `Some(None)`: not set. `None`: set to what cannot be read, which is noted.
    fn optional<T>(
        &mut self,
        path: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<Option<T>> {
        let Some(setting) = self.settings.get(path) else {
            return Some(None);
        };
        let value = read(setting.text.trim());
        if value.is_none() {
            let expected = find(path).map_or("", |key| key.expected);
            let what = format!("{path}: expected {expected}, found {:?}", setting.text);
            self.problem(setting.place.clone(), what);
        }
        value.map(Some)
    }

    fn place(&self, path: &str) -> Place {
        self.settings
            .get(path)
            .map_or(Place::Default, |setting| setting.place.clone())
    }

    /// Two listeners on one address would only be found out when the second one starts.
    fn differ(
        &mut self,
        listen: Option<std::net::SocketAddr>,
        admin: Option<std::net::SocketAddr>,
    ) {
        if listen.is_some() && listen == admin && listen.is_some_and(|a| a.port() != 0) {
            let place = self.place("admin");
            self.problem(place, "admin: expected another address than listen".into());
        }
    }
}

fn number<N: FromStr + PartialOrd>(text: &str, bounds: RangeInclusive<N>) -> Option<N> {
    text.parse().ok().filter(|n| bounds.contains(n))
}

fn timeout(text: &str) -> Option<u32> {
    number(text, 100..=3_600_000)
}

fn share(text: &str) -> Option<f64> {
    number(text, 0.0..=1.0)
}

fn words(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn path(text: &str) -> Option<PathBuf> {
    (!text.is_empty()).then(|| text.into())
}

fn workers(text: &str) -> Option<usize> {
    if text == "auto" {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        return Some((cores / 2).clamp(1, WORKERS_MAX));
    }
    number(text, 1..=WORKERS_MAX)
}

fn window(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (amount, unit) = text.split_at(digits);
    let unit_seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 24 * 3_600,
        _ => return None,
    };
    let seconds = amount.parse::<u64>().ok()?.checked_mul(unit_seconds)?;
    (1..=WINDOW_SECONDS_MAX)
        .contains(&seconds)
        .then(|| Duration::from_secs(seconds))
}

fn algorithm(text: &str) -> Option<JwtAlgorithm> {
    Some(match text {
        "HS256" => JwtAlgorithm::Hs256,
        "RS256" => JwtAlgorithm::Rs256,
        "PS256" => JwtAlgorithm::Ps256,
        "ES256" => JwtAlgorithm::Es256,
        "EdDSA" => JwtAlgorithm::EdDsa,
        _ => return None,
    })
}

fn origins(text: &str) -> Option<Vec<String>> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(origin)
        .collect()
}

/// As a browser sends it: scheme and host in small letters, a port, nothing behind.
fn origin(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let authority = lower
        .strip_prefix("https://")
        .or_else(|| lower.strip_prefix("http://"))?;
    let authority: hyper::http::uri::Authority = authority.parse().ok()?;
    let bare = !authority.host().is_empty() && !authority.as_str().contains('@');
    // A browser leaves the scheme's own port away, so an origin with it would match nothing.
    let own_port = match authority.port_u16() {
        Some(443) => lower.starts_with("https://"),
        Some(80) => lower.starts_with("http://"),
        Some(_) | None => false,
    };
    (bare && !own_port).then_some(lower)
}
