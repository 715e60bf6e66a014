//! Features and switches for OpenFeature clients, over OFREP (the OpenFeature Remote Evaluation
//! Protocol, <https://openfeature.dev/specification/appendix-c>): one flag or all of them.
//!
//! A feature of the pages is a flag that is true while it is shown; a switch is one that is true
//! while it is on. The context may name a route. Without one, a feature counts as off only if it is
//! off on every route that shows it. Who may ask is the business of whoever listens.

#[cfg(test)]
mod tests;

use bytes::Bytes;
use guard::RouteId;
use guard::switches::{Action, By, Flag, SwitchState, Switches, Target};
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH,
};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt::Write;

pub use crate::limits::FLAGS_BODY_BYTES_MAX;

const PATH: &str = "/ofrep/v1/evaluate/flags";

/// Whether a path is answered here.
#[must_use]
pub fn is_ours(path: &str) -> bool {
    path.strip_prefix(PATH)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What clients may name, and where features are shown.
#[derive(Clone, Debug, Default)]
pub struct FlagRoutes {
    ids: HashMap<String, RouteId>,
    names: Vec<String>,
    /// By feature.
    shown_on: HashMap<String, Vec<RouteId>>,
}

impl FlagRoutes {
    /// From the routes in their order, each with the features that it shows.
    pub fn new<'a>(routes: impl IntoIterator<Item = (&'a str, &'a [String])>) -> FlagRoutes {
        let mut known = FlagRoutes::default();
        for (place, (name, features)) in routes.into_iter().enumerate() {
            let Ok(place) = u16::try_from(place) else {
                break;
            };
            known.ids.insert(name.to_owned(), RouteId(place));
            known.names.push(name.to_owned());
            for feature in features {
                let shown_on = known.shown_on.entry(feature.clone()).or_default();
                shown_on.push(RouteId(place));
            }
        }
        known
    }

    #[must_use]
    pub fn of(door: &wire::gateway::Door) -> FlagRoutes {
        let routes = door.gateway.routes.iter();
        FlagRoutes::new(routes.map(|route| (route.name.as_str(), route.features.as_slice())))
    }
}

/// The answer to a request for which [`is_ours`]. `body` is all of it, at most
/// [`FLAGS_BODY_BYTES_MAX`] bytes.
#[must_use]
pub fn answer(
    parts: &Parts,
    body: &[u8],
    switches: &Switches,
    routes: &FlagRoutes,
) -> Response<Bytes> {
    let key = match parts.uri.path().strip_prefix(PATH) {
        Some("" | "/") => None,
        Some(rest) => match rest.strip_prefix('/') {
            Some(key) => Some(percent_decode_str(key).decode_utf8_lossy()),
            None => return general(StatusCode::NOT_FOUND, "no such path"),
        },
        None => return general(StatusCode::NOT_FOUND, "no such path"),
    };
    if parts.method != Method::POST {
        let mut response = general(StatusCode::METHOD_NOT_ALLOWED, "expected POST");
        let post = HeaderValue::from_static("POST");
        response.headers_mut().insert(ALLOW, post);
        return response;
    }
    let route = match route_of(body, routes) {
        Ok(route) => route,
        Err(wrong) => return failure(StatusCode::BAD_REQUEST, key.as_deref(), &wrong),
    };
    let view = View {
        switches,
        routes,
        route,
    };
    match key {
        Some(key) => match view.one(&key) {
            Some(flag) => json_response(StatusCode::OK, flag.to_string()),
            None => {
                let wrong = ("FLAG_NOT_FOUND", format!("no flag is named {key:?}"));
                failure(StatusCode::NOT_FOUND, Some(&key), &wrong)
            }
        },
        None => bulk(parts, view.all()),
    }
}

type Wrong = (&'static str, String);

/// The route that the context names.
fn route_of(body: &[u8], routes: &FlagRoutes) -> Result<Option<RouteId>, Wrong> {
    let parse_error = |what: &dyn std::fmt::Display| ("PARSE_ERROR", format!("the body {what}"));
    if body.len() > FLAGS_BODY_BYTES_MAX {
        let most = format!("has {} bytes, at most {FLAGS_BODY_BYTES_MAX}", body.len());
        return Err(parse_error(&most));
    }
    let request: Json = serde_json::from_slice(body)
        .map_err(|error| parse_error(&format!("is no JSON: {error}")))?;
    let Json::Object(request) = request else {
        return Err(parse_error(&"is no JSON object"));
    };
    let context = match request.get("context") {
        None | Some(Json::Null) => return Ok(None),
        Some(Json::Object(context)) => context,
        Some(_) => return Err(("INVALID_CONTEXT", "context is no JSON object".to_owned())),
    };
    match context.get("route") {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(name)) => match routes.ids.get(name) {
            Some(id) => Ok(Some(*id)),
            None => Err(("INVALID_CONTEXT", format!("no route is named {name:?}"))),
        },
        Some(_) => Err(("INVALID_CONTEXT", "context.route is no text".to_owned())),
    }
}

/// The flags as one client sees them.
struct View<'a> {
    switches: &'a Switches,
    routes: &'a FlagRoutes,
    route: Option<RouteId>,
}

impl View<'_> {
    /// A feature goes before a switch of the same name.
    fn one(&self, key: &str) -> Option<Json> {
        if let Some(flag) = self.switches.flag(key, self.route) {
            return Some(self.feature(&flag, &self.shields()));
        }
        let mut states = self.switches.states();
        let (spec, state) = states.find(|(spec, _)| spec.name == key)?;
        Some(switch(&spec.name, spec.action, state))
    }

    fn all(&self) -> Vec<Json> {
        let shields = self.shields();
        let features = self.switches.flags(self.route);
        let mut all: Vec<Json> = features.map(|flag| self.feature(&flag, &shields)).collect();
        for (spec, state) in self.switches.states() {
            if self.switches.flag(&spec.name, None).is_none() {
                all.push(switch(&spec.name, spec.action, state));
            }
        }
        all
    }

    /// By feature: the places where it is shielded now. `None`: everywhere.
    fn shields(&self) -> HashMap<&str, Option<Vec<RouteId>>> {
        let names: Vec<&str> = self.switches.flags(None).map(|flag| flag.name).collect();
        let mut shields: HashMap<&str, Option<Vec<RouteId>>> = HashMap::new();
        for (spec, state) in self.switches.states() {
            let (Action::Shield(feature), SwitchState::On { .. }) = (spec.action, state) else {
                continue;
            };
            let Some(name) = names.get(usize::from(feature.0)).copied() else {
                continue;
            };
            let places = shields.entry(name).or_insert_with(|| Some(Vec::new()));
            match (&spec.target, places) {
                (Target::Everywhere, places) => *places = None,
                (Target::Routes(routes), Some(places)) => places.extend(routes),
                (Target::Routes(_), None) => {}
            }
        }
        shields
    }

    fn feature(&self, flag: &Flag<'_>, shields: &HashMap<&str, Option<Vec<RouteId>>>) -> Json {
        let none = Vec::new();
        let shown_on = self.routes.shown_on.get(flag.name).unwrap_or(&none);
        let off_on: Vec<RouteId> = match shields.get(flag.name) {
            None => Vec::new(),
            Some(None) => shown_on.clone(),
            Some(Some(places)) => {
                let off = shown_on.iter().filter(|route| places.contains(route));
                off.copied().collect()
            }
        };
        let everywhere = matches!(shields.get(flag.name), Some(None));
        let off = everywhere || (!off_on.is_empty() && off_on.len() == shown_on.len());
        let value = flag.value && !off;
        let reason = match (off, off_on.is_empty(), self.route) {
            (true, _, _) => "DISABLED",
            (false, true, _) => "STATIC",
            (false, false, Some(_)) => "TARGETING_MATCH",
            // It differs by route, and none was named.
            (false, false, None) => "DEFAULT",
        };
        let mut metadata = Map::new();
        metadata.insert("kind".to_owned(), "feature".into());
        if let Some(by) = flag.shielded_by {
            metadata.insert("switch".to_owned(), by.into());
        }
        if !off_on.is_empty() {
            let name = |id: &RouteId| self.routes.names.get(usize::from(id.0)).map(String::as_str);
            let names: Vec<&str> = off_on.iter().filter_map(name).collect();
            metadata.insert("off_on".to_owned(), names.join(",").into());
        }
        let variant = if value == flag.value {
            flag.variant
        } else {
            "off"
        };
        json!({
            "key": flag.name,
            "value": value,
            "reason": reason,
            "variant": variant,
            "metadata": metadata,
        })
    }
}

fn switch(name: &str, action: Action, state: SwitchState) -> Json {
    let mut metadata = Map::new();
    metadata.insert("kind".to_owned(), "switch".into());
    metadata.insert("action".to_owned(), action_label(action).into());
    let value = match state {
        SwitchState::Off | SwitchState::HeldOff { .. } => false,
        SwitchState::On { by, .. } => {
            metadata.insert("by".to_owned(), by_label(by).into());
            true
        }
    };
    json!({
        "key": name,
        "value": value,
        "reason": "STATIC",
        "variant": if value { "on" } else { "off" },
        "metadata": metadata,
    })
}

fn action_label(action: Action) -> &'static str {
    match action {
        Action::Shed => "shed",
        Action::StaticPage(_) => "static_page",
        Action::Stub(_) => "stub",
        Action::RedirectSimplified => "redirect",
        Action::ServeStale => "serve_stale",
        Action::Shield(_) => "shield",
    }
}

fn by_label(by: By) -> &'static str {
    match by {
        By::Operator => "operator",
        By::Schedule => "schedule",
        By::Trigger => "trigger",
    }
}

/// All flags with their tag, or only that nothing has changed.
fn bulk(parts: &Parts, flags: Vec<Json>) -> Response<Bytes> {
    let body = json!({ "flags": flags }).to_string();
    let mut tag = String::with_capacity(34);
    tag.push('"');
    for byte in &Sha256::digest(body.as_bytes())[..16] {
        // A text takes what is written to it.
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    let known = parts.headers.get_all(IF_NONE_MATCH).iter();
    let known = known.filter_map(|value| value.to_str().ok()).any(|list| {
        let mut tags = list.split(',').map(str::trim);
        tags.any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
    });
    let mut response = if known {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        json_response(StatusCode::OK, body)
    };
    // Quotes and hexadecimal digits.
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

fn failure(status: StatusCode, key: Option<&str>, (code, details): &Wrong) -> Response<Bytes> {
    let mut body = Map::new();
    if let Some(key) = key {
        body.insert("key".to_owned(), key.into());
    }
    body.insert("errorCode".to_owned(), (*code).into());
    body.insert("errorDetails".to_owned(), details.as_str().into());
    json_response(status, Json::Object(body).to_string())
}

fn general(status: StatusCode, details: &str) -> Response<Bytes> {
    json_response(status, json!({ "errorDetails": details }).to_string())
}

fn json_response(status: StatusCode, body: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let headers: [(HeaderName, &'static str); 2] = [
        (CONTENT_TYPE, "application/json"),
        (CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in headers {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}
