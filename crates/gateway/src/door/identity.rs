//! Who sends a request, by what the configuration believes: sessions of a service in this process,
//! signed tokens, headers of trusted proxies, cookies. What is not believed counts as absent.

use super::Hasher;
use super::service::{InProcess, Session};
use crate::config::{Digest, SkuPlace, channel, network, normal, parts};
use crate::headers::Client;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use guard::{Channel, Facts, HEADERS_MAX, Value};
use hmac::{Hmac, KeyInit, Mac};
use hyper::header::{COOKIE, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use jsonwebtoken::{DecodingKey, Validation};
use sha2::Sha256;
use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use wire::gateway::listeners::{self as written, Algorithm, Buyer};

const DEVICE_BYTES: usize = 16;
/// Of the signature in a device's cookie: enough that nobody guesses one.
const DEVICE_MAC_BYTES: usize = 12;

/// Checked and with its keys read.
pub(super) struct Identity {
    buyers: Vec<From>,
    device: Option<Device>,
    api_key: Option<HeaderName>,
    channels: Vec<Sign>,
    default_channel: Channel,
}

enum From {
    Service(String),
    Jwt(Box<Jwt>),
    /// From trusted proxies only.
    Header(HeaderName),
    Cookie(String),
}

struct Jwt {
    header: HeaderName,
    claim: String,
    key: DecodingKey,
    validation: Validation,
}

struct Device {
    cookie: String,
    issue: bool,
    seconds: u64,
    key: Hmac<Sha256>,
}

struct Sign {
    channel: Channel,
    host: Option<String>,
    header: Option<(HeaderName, Option<String>)>,
}

/// Why an identity cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("cannot read {file}: {source}")]
    Read {
        file: String,
        source: std::io::Error,
    },
    #[error("{file} holds no key for {algorithm}: {why}")]
    Key {
        file: String,
        algorithm: &'static str,
        why: String,
    },
}

/// What was found out about one request.
#[derive(Debug)]
pub(super) struct Known<'a, B> {
    buyer: Option<Name<'a, B>>,
    /// What the service in this process said, if it was asked.
    pub session: Session<B>,
    /// A cookie for a device that had none.
    pub device_cookie: Option<HeaderValue>,
}

#[derive(Debug)]
enum Name<'a, B> {
    OfService(B),
    /// As it stands in tokens, headers and cookies.
    Text(Cow<'a, str>),
}

impl<B: fmt::Display> Known<'_, B> {
    /// The buyer's opaque text, for waiting rooms.
    pub fn text(&self) -> Option<String> {
        Some(match self.buyer.as_ref()? {
            Name::OfService(buyer) => buyer.to_string(),
            Name::Text(text) => text.clone().into_owned(),
        })
    }
}

/// Room on the stack for the text of a service's buyer; a longer one is put together on the heap.
const BUYER_TEXT_BYTES: usize = 64;

/// The digest of a buyer's text, without a string for it.
fn digest(buyer: impl fmt::Display, hasher: &Hasher) -> Value {
    use std::io::Write;
    let mut room = [0; BUYER_TEXT_BYTES];
    let mut left = &mut room[..];
    if write!(left, "{buyer}").is_err() {
        return hasher.text(&buyer.to_string());
    }
    let used = BUYER_TEXT_BYTES - left.len();
    // Display writes text, so this is some.
    let text = std::str::from_utf8(&room[..used]).unwrap_or_default();
    hasher.text(text)
}

impl Identity {
    pub fn new(written: &written::Identity) -> Result<Identity, IdentityError> {
        let buyers = written.buyer.iter().map(buyer);
        let device = written.device.as_ref().map(device).transpose()?;
        let name = |text: &String| HeaderName::from_bytes(text.as_bytes()).ok();
        let sign = |rule: &written::ChannelRule| Sign {
            channel: channel(rule.channel),
            host: rule.host.as_ref().map(|host| host.to_ascii_lowercase()),
            header: rule
                .header
                .as_ref()
                .and_then(|header| Some((name(&header.name)?, header.value.clone()))),
        };
        Ok(Identity {
            buyers: buyers.collect::<Result<_, _>>()?,
            device,
            api_key: written.api_key_header.as_ref().and_then(name),
            channels: written.channels.iter().map(sign).collect(),
            default_channel: channel(written.default_channel),
        })
    }

    /// Fills in who asks. `service` is the one in this process, which knows its own sessions.
    pub fn find<'a, S: InProcess>(
        &self,
        facts: &mut Facts,
        parts: &'a Parts,
        client: &Client,
        hasher: &Hasher,
        service: &S,
    ) -> Known<'a, S::Buyer> {
        let mut known = Known {
            buyer: None,
            session: Session::Unread,
            device_cookie: None,
        };
        facts.address = Some(hasher.address(network(client.address)));
        let trusted = client.peer_is_trusted;
        let session = &mut known.session;
        known.buyer = self.buyers.iter().find_map(|from| match from {
            From::Service(name) if service.is_called(name) => {
                let buyer = service.buyer(parts);
                *session = Session::Of(buyer);
                buyer.map(Name::OfService)
            }
            From::Service(_) => None,
            From::Jwt(jwt) => jwt
                .buyer(&parts.headers)
                .map(|text| Name::Text(text.into())),
            From::Header(name) if trusted => {
                let text = text(&parts.headers, name);
                text.map(|text| Name::Text(text.into()))
            }
            From::Header(_) => None,
            From::Cookie(name) => {
                let text = cookie(&parts.headers, name);
                text.map(|text| Name::Text(text.into()))
            }
        });
        facts.buyer = known.buyer.as_ref().map(|buyer| match buyer {
            Name::OfService(buyer) => digest(buyer, hasher),
            Name::Text(text) => hasher.text(text),
        });
        if let Some(device) = &self.device {
            let (value, cookie) = device.of(&parts.headers, hasher, client.scheme == "https");
            facts.device = value;
            known.device_cookie = cookie;
        }
        let api_key = self
            .api_key
            .as_ref()
            .and_then(|name| text(&parts.headers, name));
        facts.api_key = api_key.map(|key| hasher.text(key));
        facts.channel = self.channel(parts, trusted);
        known
    }

    /// The device of a good cookie, as it stands there.
    pub fn device<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        let device = self.device.as_ref()?;
        cookie(headers, &device.cookie).filter(|told| device.is_ours(told))
    }

    fn channel(&self, parts: &Parts, trusted: bool) -> Channel {
        if self.channels.is_empty() {
            return self.default_channel;
        }
        let host = parts.uri.host().map(Cow::Borrowed).or_else(|| {
            let host = text(&parts.headers, &hyper::header::HOST)?;
            Some(Cow::Borrowed(crate::config::host_key(host)))
        });
        let fits = |sign: &&Sign| {
            let host_fits = sign.host.as_ref().is_none_or(|wanted| {
                host.as_deref()
                    .is_some_and(|host| host.eq_ignore_ascii_case(wanted))
            });
            let header_fits = sign.header.as_ref().is_none_or(|(name, wanted)| {
                let found = text(&parts.headers, name).filter(|_| trusted);
                found.is_some_and(|found| wanted.as_ref().is_none_or(|wanted| wanted == found))
            });
            host_fits && header_fits
        };
        let found = self.channels.iter().find(fits);
        found.map_or(self.default_channel, |sign| sign.channel)
    }
}

fn buyer(from: &Buyer) -> Result<From, IdentityError> {
    let name = |text: &str| HeaderName::from_bytes(text.as_bytes());
    Ok(match from {
        Buyer::Service(name) => From::Service(name.clone()),
        // The check took only names of headers.
        Buyer::Header(text) => match name(text) {
            Ok(name) => From::Header(name),
            Err(_) => From::Cookie(String::new()),
        },
        Buyer::Cookie(name) => From::Cookie(name.clone()),
        Buyer::Jwt(jwt) => From::Jwt(Box::new(Jwt::new(jwt)?)),
    })
}

fn read(file: &Path) -> Result<Vec<u8>, IdentityError> {
    std::fs::read(file).map_err(|source| IdentityError::Read {
        file: file.display().to_string(),
        source,
    })
}

impl Jwt {
    fn new(written: &written::Jwt) -> Result<Jwt, IdentityError> {
        let bytes = read(&written.key_file)?;
        let (algorithm, name, key) = match written.algorithm {
            Algorithm::Hs256 => (
                jsonwebtoken::Algorithm::HS256,
                "HS256",
                Ok(DecodingKey::from_secret(bytes.trim_ascii())),
            ),
            Algorithm::Rs256 => (
                jsonwebtoken::Algorithm::RS256,
                "RS256",
                DecodingKey::from_rsa_pem(&bytes),
            ),
            Algorithm::Ps256 => (
                jsonwebtoken::Algorithm::PS256,
                "PS256",
                DecodingKey::from_rsa_pem(&bytes),
            ),
            Algorithm::Es256 => (
                jsonwebtoken::Algorithm::ES256,
                "ES256",
                DecodingKey::from_ec_pem(&bytes),
            ),
            Algorithm::EdDsa => (
                jsonwebtoken::Algorithm::EdDSA,
                "EdDSA",
                DecodingKey::from_ed_pem(&bytes),
            ),
        };
        let key = key.map_err(|error| IdentityError::Key {
            file: written.key_file.display().to_string(),
            algorithm: name,
            why: error.to_string(),
        })?;
        let mut validation = Validation::new(algorithm);
        validation.set_issuer(&[&written.issuer]);
        validation.set_audience(&[&written.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        Ok(Jwt {
            header: HeaderName::from_bytes(written.header.as_bytes())
                .unwrap_or(hyper::header::AUTHORIZATION),
            claim: written.claim.clone(),
            key,
            validation,
        })
    }

    fn buyer(&self, headers: &HeaderMap) -> Option<String> {
        let value = text(headers, &self.header)?;
        let token = match value.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
            Some(_) => return None,
            None => value,
        };
        type Claims = serde_json::Map<String, serde_json::Value>;
        let data = jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation).ok()?;
        match data.claims.get(&self.claim)? {
            serde_json::Value::String(buyer) => Some(buyer.clone()),
            serde_json::Value::Number(buyer) => Some(buyer.to_string()),
            _ => None,
        }
    }
}

fn device(written: &written::Device) -> Result<Device, IdentityError> {
    let key = match &written.key_file {
        Some(file) => read(file)?,
        None => {
            let mut key = vec![0; 32];
            getrandom::fill(&mut key).map_err(|error| IdentityError::Read {
                file: "random numbers".to_owned(),
                source: std::io::Error::other(error.to_string()),
            })?;
            key
        }
    };
    Ok(Device {
        cookie: written.cookie.clone(),
        issue: written.issue,
        seconds: written.lifetime.as_secs(),
        key: Hmac::new_from_slice(key.trim_ascii()).expect("an HMAC takes keys of any length"),
    })
}

impl Device {
    /// The device of a good cookie; else, if we give cookies, a new one with it.
    fn of(
        &self,
        headers: &HeaderMap,
        hasher: &Hasher,
        secure: bool,
    ) -> (Option<Value>, Option<HeaderValue>) {
        let told = cookie(headers, &self.cookie).filter(|told| self.is_ours(told));
        if let Some(told) = told {
            return (Some(hasher.text(told)), None);
        }
        let mut id = [0; DEVICE_BYTES];
        if !self.issue || getrandom::fill(&mut id).is_err() {
            return (None, None);
        }
        let signed = [&id[..], &self.mac(&id)].concat();
        let value = URL_SAFE_NO_PAD.encode(signed);
        let secure = if secure { "; Secure" } else { "" };
        let cookie = format!(
            "{}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={}{secure}",
            self.cookie, self.seconds
        );
        // Nobody has been seen with it yet, so it must not have an allowance of its own: who
        // throws cookies away would have a new one each time.
        (None, HeaderValue::from_str(&cookie).ok())
    }

    fn mac(&self, id: &[u8]) -> [u8; DEVICE_MAC_BYTES] {
        let mut mac = self.key.clone();
        mac.update(b"seawall device v1");
        mac.update(id);
        let mut short = [0; DEVICE_MAC_BYTES];
        short.copy_from_slice(&mac.finalize().into_bytes()[..DEVICE_MAC_BYTES]);
        short
    }

    fn is_ours(&self, told: &str) -> bool {
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(told) else {
            return false;
        };
        let Some((id, told)) = bytes.split_at_checked(DEVICE_BYTES) else {
            return false;
        };
        let mut mac = self.key.clone();
        mac.update(b"seawall device v1");
        mac.update(id);
        told.len() == DEVICE_MAC_BYTES && mac.verify_truncated_left(told).is_ok()
    }
}

pub(super) fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers
        .get(name)?
        .to_str()
        .ok()
        .filter(|text| !text.is_empty())
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(COOKIE).iter();
    let mut pairs = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'));
    pairs
        .find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
        .filter(|value| !value.is_empty())
}

/// The SKU that a request is about, where its route says it stands.
pub(super) fn sku<'a>(parts: &'a Parts, place: &SkuPlace) -> Option<Cow<'a, str>> {
    match place {
        SkuPlace::Part(index) => {
            let path = normal(parts.uri.path())?;
            self::parts(&path)
                .nth(*index)
                .map(|sku| Cow::Owned(sku.to_owned()))
        }
        SkuPlace::Query(name) => {
            let pairs = parts.uri.query()?.split('&');
            let mut values = pairs.filter_map(|pair| pair.split_once('='));
            values
                .find(|(key, _)| key == name)
                .map(|(_, value)| Cow::Borrowed(value))
        }
        SkuPlace::Header(name) => text(&parts.headers, name).map(Cow::Borrowed),
    }
}

/// Values of the headers that rules have in their keys.
pub(super) fn headers(
    parts: &Parts,
    names: &[HeaderName],
    hasher: &Hasher,
) -> [Option<Value>; HEADERS_MAX] {
    let mut values = [None; HEADERS_MAX];
    for (value, name) in values.iter_mut().zip(names) {
        *value = text(&parts.headers, name).map(|text| hasher.text(text));
    }
    values
}

#[cfg(test)]
mod tests;
