//! Access logs of one JSON object a line: nginx with a `log_format` of its own, our gateway, Caddy,
//! Traefik, and whatever else has names for the same things. The names are tried in turn, or said
//! with [`Fields`]. It must not know files.

use crate::combined;
use crate::error::{Problems, Why};
use crate::seen::{Seen, is_method, status};
use crate::time;
use serde_json::Value;

/// Which member says what: for each thing the names to try, the first that is there counts.
/// `request.uri` is also the member `uri` of the object `request`.
#[derive(Clone, Debug)]
pub struct Fields {
    time: Vec<String>,
    client: Vec<String>,
    method: Vec<String>,
    target: Vec<String>,
    query: Vec<String>,
    request: Vec<String>,
    host: Vec<String>,
    status: Vec<String>,
    request_bytes: Vec<String>,
    response_bytes: Vec<String>,
    duration: Vec<String>,
    user_agent: Vec<String>,
    referer: Vec<String>,
    /// The instant is the one of the line, at the end of the request.
    time_is_end: Option<bool>,
}

/// Names that servers give by default or in their handbooks.
impl Default for Fields {
    fn default() -> Fields {
        let of = |names: &str| names.split_whitespace().map(str::to_owned).collect();
        Fields {
            time: of(
                "StartUTC time_us time time_iso8601 time_local msec timestamp @timestamp ts \
                      datetime date",
            ),
            client: of(
                "client remote_addr client_ip clientip remote_ip request.client_ip \
                        request.remote_ip ClientHost ip",
            ),
            method: of("method request_method request.method RequestMethod verb"),
            target: of("target request_uri request.uri RequestPath uri path url"),
            query: of("args query_string query"),
            request: of("request request_line"),
            host: of("host http_host request.host RequestHost server_name vhost"),
            status: of("status DownstreamStatus status_code response"),
            request_bytes: of("request_bytes RequestContentSize bytes_read"),
            response_bytes: of(
                "bytes body_bytes_sent response_bytes DownstreamContentSize \
                                size bytes_sent",
            ),
            duration: of("duration_us duration_ms request_time Duration:ns duration \
                          response_time elapsed_ms"),
            user_agent: of("user_agent http_user_agent agent"),
            referer: of("referer http_referer referrer"),
            time_is_end: None,
        }
    }
}

impl Fields {
    /// `time=ts,client=ip,duration=took:ms`: these names instead of the usual ones. `time_is=end`
    /// or `time_is=start` says what the instant means.
    pub fn with(text: &str) -> Result<Fields, Problems> {
        let mut fields = Fields::default();
        let mut problems = Vec::new();
        for pair in text
            .split(',')
            .map(str::trim)
            .filter(|pair| !pair.is_empty())
        {
            match pair.split_once('=') {
                Some((key, name)) if !name.is_empty() => {
                    if let Err(what) = fields.set(key.trim(), name.trim()) {
                        problems.push(what);
                    }
                }
                _ => problems.push(format!("field {pair:?}: expected THING=MEMBER")),
            }
        }
        if problems.is_empty() {
            Ok(fields)
        } else {
            Err(Problems(problems))
        }
    }

    fn set(&mut self, key: &str, name: &str) -> Result<(), String> {
        let place = match key {
            "time" => &mut self.time,
            "client" => &mut self.client,
            "method" => &mut self.method,
            "target" => &mut self.target,
            "query" => &mut self.query,
            "request" => &mut self.request,
            "host" => &mut self.host,
            "status" => &mut self.status,
            "request_bytes" => &mut self.request_bytes,
            "response_bytes" => &mut self.response_bytes,
            "duration" => &mut self.duration,
            "user_agent" => &mut self.user_agent,
            "referer" => &mut self.referer,
            "time_is" => {
                self.time_is_end = Some(match name {
                    "end" => true,
                    "start" => false,
                    _ => return Err(format!("time_is={name}: expected start or end")),
                });
                return Ok(());
            }
            _ => {
                return Err(format!(
                    "field {key:?}: expected time, client, method, target, query, request, host, \
                     status, request_bytes, response_bytes, duration, user_agent, referer or \
                     time_is"
                ));
            }
        };
        if let Some((_, unit)) = name.rsplit_once(':')
            && key == "duration"
            && nanoseconds(unit).is_none()
        {
            return Err(format!("duration unit {unit:?}: expected s, ms, us or ns"));
        }
        *place = vec![name.to_owned()];
        Ok(())
    }

    /// The request that a line speaks of.
    pub fn parse(&self, line: &[u8]) -> Result<Seen, Why> {
        let value: Value = serde_json::from_slice(line).map_err(Why::Json)?;
        if !value.is_object() {
            return Err(Why::Shape("an object"));
        }
        self.seen(&value)
    }

    fn seen(&self, value: &Value) -> Result<Seen, Why> {
        let mut seen = Seen {
            host: text(value, &self.host).filter(|host| host != "-"),
            client: text(value, &self.client).filter(|client| client != "-"),
            ..Seen::default()
        };
        let when = need(value, &self.time)?;
        seen.at_us = time::instant(&when).ok_or_else(|| Why::Time(Why::excerpt(&when)))?;
        self.set_request(&mut seen, value)?;
        if let Some(code) = text(value, &self.status).filter(|code| code != "-") {
            seen.status = code.parse().ok().and_then(status);
            // Zero is how several servers say that nobody got an answer.
            if seen.status.is_none() && !code.trim_matches('0').is_empty() {
                return Err(Why::Status(Why::excerpt(&code)));
            }
        }
        seen.request_bytes = number(value, &self.request_bytes)?;
        seen.response_bytes = number(value, &self.response_bytes)?;
        let (duration, ends) = self.duration(value);
        seen.duration_us = duration;
        if let Some(duration) = duration
            && self.time_is_end.unwrap_or(ends)
        {
            seen.at_us = seen.at_us.saturating_sub(duration);
        }
        for (name, names) in [("referer", &self.referer), ("user-agent", &self.user_agent)] {
            if let Some(value) = text(value, names).filter(|value| value != "-") {
                seen.headers.push((name.to_owned(), value));
            }
        }
        Ok(seen)
    }

    fn set_request(&self, seen: &mut Seen, value: &Value) -> Result<(), Why> {
        let method = text(value, &self.method);
        let target = text(value, &self.target);
        let (Some(method), Some(mut target)) = (method, target) else {
            return combined::set_request(
                seen,
                &need(value, &self.request).map_err(|_| {
                    Why::Missing(format!(
                        "for the request: expected {} and {}, or {}",
                        self.method.join("|"),
                        self.target.join("|"),
                        self.request.join("|")
                    ))
                })?,
            );
        };
        if !target.contains('?')
            && let Some(query) = text(value, &self.query).filter(|query| !query.is_empty())
            && query != "-"
        {
            target.push('?');
            target.push_str(query.trim_start_matches('?'));
        }
        if !is_method(&method) || !seen.set_target(&target) {
            return Err(Why::RequestLine(Why::excerpt(&format!(
                "{method} {target}"
            ))));
        }
        seen.method = method;
        Ok(())
    }

    /// In microseconds, and whether the server that calls it so stamps the end of a request: nginx
    /// writes `request_time`, and its clock variables are those of the log phase.
    fn duration(&self, value: &Value) -> (Option<u64>, bool) {
        for name in &self.duration {
            let (member, unit) = name.rsplit_once(':').unwrap_or((name, ""));
            let Some(text) = find(value, member).and_then(plain) else {
                continue;
            };
            let unit = nanoseconds(unit).unwrap_or_else(|| {
                let suffix = member.rsplit_once('_').map_or("", |(_, suffix)| suffix);
                nanoseconds(suffix).unwrap_or(1e9)
            });
            let number = text.parse::<f64>().ok().filter(|n| (0.0..1e15).contains(n));
            let micros = number.map(|number| (number * unit / 1e3).round() as u64);
            return (micros, member == "request_time");
        }
        (None, false)
    }
}

fn nanoseconds(unit: &str) -> Option<f64> {
    match unit {
        "s" => Some(1e9),
        "ms" => Some(1e6),
        "us" => Some(1e3),
        "ns" => Some(1.0),
        _ => None,
    }
}

/// A member by its name, or by the names on the way to it.
fn find<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    value.get(name).or_else(|| {
        let mut parts = name.split('.');
        let first = value.get(parts.next()?)?;
        parts.try_fold(first, |value, part| value.get(part))
    })
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn text(value: &Value, names: &[String]) -> Option<String> {
    names
        .iter()
        .find_map(|name| find(value, name).and_then(plain))
}

fn need(value: &Value, names: &[String]) -> Result<String, Why> {
    text(value, names).ok_or_else(|| Why::Missing(names.join("|")))
}

fn number(value: &Value, names: &[String]) -> Result<Option<u64>, Why> {
    match text(value, names).filter(|text| !matches!(text.as_str(), "" | "-")) {
        None => Ok(None),
        Some(text) => match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(Why::Bytes(Why::excerpt(&text))),
        },
    }
}
