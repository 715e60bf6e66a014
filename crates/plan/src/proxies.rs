//! The same limits for other proxies: nginx `limit_req`, Envoy's local and global rate limits,
//! Sentinel's flow rules. Each proxy instance alone gets its even part, so that they can never
//! admit more together than what is behind them can take; Envoy's global limit asks one service
//! and has no need for parts.
//!
//! Formats: nginx ngx_http_limit_req_module; Envoy v3 `LocalRateLimit` and `RateLimit`; Sentinel
//! `FlowRule`. It must not know how a limit was found.

use crate::capacity::Limits;
use crate::text::quoted;
use std::collections::BTreeMap;
use std::fmt::Write;

/// How requests of a route are recognised.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Way {
    /// Any if there is none.
    pub method: Option<String>,
    /// Whole parts may be `{…}`.
    pub path: String,
}

/// A limit with the requests that it is about.
#[derive(Clone, Debug, PartialEq)]
pub struct Guarded {
    pub route: String,
    pub ways: Vec<Way>,
    /// Requests a second of all proxies, and of one of them.
    pub cluster: f64,
    pub each: f64,
}

impl Way {
    /// `POST /v1/orders`, or a path; `None` for other words.
    #[must_use]
    pub fn parse(text: &str) -> Option<Way> {
        let plain = |c: char| c.is_ascii_graphic() && !"\"'\\;$`".contains(c);
        let (method, path) = match text.split_once(' ') {
            Some((method, path)) => (Some(method), path),
            None => (None, text),
        };
        let word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_uppercase());
        let good = path.starts_with('/') && path.chars().all(plain) && method.is_none_or(word);
        good.then(|| Way {
            method: method.map(str::to_owned),
            path: path.to_owned(),
        })
    }

    /// As a regular expression that both proxies read alike; `None` where the path stands for
    /// itself.
    fn pattern(&self) -> Option<String> {
        if !self.path.contains('{') {
            return None;
        }
        let part = |part: &str| {
            if part.starts_with('{') && part.ends_with('}') {
                return "[^/]+".to_owned();
            }
            let mut out = String::new();
            for c in part.chars() {
                if !c.is_ascii_alphanumeric() && !"-_~%".contains(c) {
                    out.push('\\');
                }
                out.push(c);
            }
            out
        };
        let parts: Vec<String> = self.path.split('/').map(part).collect();
        Some(parts.join("/"))
    }
}

/// Limits with the ways that lead to them; routes without one cannot be told apart by a proxy.
#[must_use]
pub fn guarded(limits: &Limits, ways: &BTreeMap<String, Vec<Way>>, proxies: u64) -> Vec<Guarded> {
    let one = |limit: &crate::capacity::RouteLimit| {
        let ways = ways.get(&limit.route).filter(|ways| !ways.is_empty())?;
        Some(Guarded {
            route: limit.route.clone(),
            ways: ways.clone(),
            cluster: limit.cluster,
            each: limit.cluster / proxies.max(1) as f64,
        })
    };
    limits.routes.iter().filter_map(one).collect()
}

/// Two files to include: one for `http`, one for `server`.
#[must_use]
pub fn nginx(guarded: &[Guarded]) -> (String, String) {
    let mut http = String::from("# Written by `seawall plan make`; include it in http {}.\n");
    let mut locations: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (index, one) in guarded.iter().enumerate() {
        // nginx counts in whole requests a second or a minute; never more than the limit.
        let (count, unit) = match one.each {
            each if each >= 10.0 => (each.floor(), "s"),
            each => ((each * 60.0).floor(), "m"),
        };
        if count < 1.0 {
            _ = writeln!(http, "# {}: less than one a minute; left out", one.route);
            continue;
        }
        let burst = one.each.floor().max(1.0);
        for (place, way) in one.ways.iter().enumerate() {
            let key = format!("$limit_{index}_{place}");
            let zone = format!("{}_{index}_{place}", zone_name(&one.route));
            // Words that nginx compares the method with; who may GET may HEAD.
            let counted = match way.method.as_deref() {
                Some("GET") => "default \"\"; GET all; HEAD all;".to_owned(),
                Some(method) => format!("default \"\"; {method} all;"),
                None => "default all;".to_owned(),
            };
            // Each way alone may use the whole limit only if it is the only one.
            let part = (count / one.ways.len() as f64).floor().max(1.0);
            _ = write!(
                http,
                "# {}\nmap $request_method {key} {{ {counted} }}\n\
                 limit_req_zone {key} zone={zone}:64k rate={part}r/{unit};\n",
                one.route
            );
            let location = match way.pattern() {
                Some(pattern) => format!("~ \"^{pattern}$\""),
                None if way.path == "/" => "/".to_owned(),
                None => format!("= {}", way.path),
            };
            let burst = (burst / one.ways.len() as f64).floor().max(1.0);
            let line = format!("limit_req zone={zone} burst={burst} nodelay;");
            locations.entry(location).or_default().push(line);
        }
    }
    let mut server = String::from(
        "# Written by `seawall plan make`; include it in server {}. $behind is what is behind.\n\
         limit_req_status 429;\n",
    );
    for (location, lines) in locations {
        _ = writeln!(server, "location {location} {{");
        for line in lines {
            _ = writeln!(server, "  {line}");
        }
        server.push_str("  proxy_pass http://behind;\n}\n");
    }
    (http, server)
}

fn zone_name(route: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    route.chars().map(letter).collect()
}

/// A whole nginx.conf around the two files, to try them.
#[must_use]
pub fn nginx_conf() -> String {
    "# An example around the two files; change the addresses.\n\
     events {}\n\
     http {\n  access_log off;\n  upstream behind { server 127.0.0.1:8081; }\n  \
     include nginx-http.conf;\n  \
     server {\n    listen 127.0.0.1:8080;\n    include nginx-server.conf;\n  }\n}\n"
        .to_owned()
}

/// Which limit Envoy applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Envoy {
    /// Its own token buckets.
    Local,
    /// What a rate limit service says, such as `seawall gateway --rls`.
    Global,
}

/// A whole configuration, with addresses to change.
#[must_use]
pub fn envoy(guarded: &[Guarded], kind: Envoy) -> String {
    let mut routes = String::new();
    for one in guarded {
        for way in &one.ways {
            push_route(&mut routes, one, way, kind);
        }
    }
    let (filter, cluster) = match kind {
        Envoy::Local => (include_str!("proxies/local-filter.yaml"), ""),
        Envoy::Global => (
            include_str!("proxies/global-filter.yaml"),
            include_str!("proxies/global-cluster.yaml"),
        ),
    };
    include_str!("proxies/envoy.yaml")
        .replacen("FILTER\n", filter, 1)
        .replacen("CLUSTERS\n", cluster, 1)
        // Last: names of routes may be any words.
        .replacen("ROUTES\n", &routes, 1)
}

fn push_route(out: &mut String, one: &Guarded, way: &Way, kind: Envoy) {
    let path = match way.pattern() {
        Some(pattern) => format!("safe_regex: {{regex: {}}}", quoted(&pattern)),
        None if way.path == "/" => "prefix: /".to_owned(),
        None => format!("path: {}", quoted(&way.path)),
    };
    let method = way.method.as_ref().map_or_else(String::new, |method| {
        let words = if method == "GET" { "GET|HEAD" } else { method };
        let regex = quoted(words);
        format!(
            ", headers: [{{name: \":method\", string_match: {{safe_regex: {{regex: {regex}}}}}}}]"
        )
    });
    let indent = " ".repeat(24);
    // Writing to a string cannot fail.
    _ = write!(
        out,
        "{indent}# {}\n{indent}- match: {{{path}{method}}}\n",
        one.route
    );
    out.push_str(&match kind {
        Envoy::Global => {
            include_str!("proxies/global-route.yaml").replacen("ROUTE", &quoted(&one.route), 1)
        }
        Envoy::Local => {
            let (count, interval) = tokens(one.each / one.ways.len() as f64);
            include_str!("proxies/local-route.yaml")
                .replace("COUNT", &count.to_string())
                .replace("INTERVAL", interval)
                .replace("STAT", &quoted(&zone_name(&one.route)))
        }
    });
}

/// Tokens and the time in which they come back, never more than the rate.
fn tokens(per_s: f64) -> (u64, &'static str) {
    if per_s >= 10.0 {
        return (per_s.min(4e9).floor() as u64, "1s");
    }
    (((per_s * 60.0).floor() as u64).max(1), "60s")
}

/// Flow rules of routes and services, by queries a second of one instance; with a cluster's token
/// server the sum is exact.
#[must_use]
pub fn sentinel(guarded: &[Guarded], limits: &Limits) -> String {
    let routes = guarded.iter().map(|one| (&one.route, one.each));
    let services = limits
        .services
        .iter()
        .map(|one| (&one.service, one.cluster / one.instances.max(1) as f64));
    let rules: Vec<String> = routes
        .chain(services)
        .map(|(resource, count)| {
            format!(
                "  {{\"resource\": {}, \"limitApp\": \"default\", \"grade\": 1, \"count\": {:.3}, \
                 \"strategy\": 0, \"controlBehavior\": 0, \"clusterMode\": false}}",
                quoted(resource),
                // Cut, not rounded: three digits of a request are enough.
                (count * 1e3).floor() / 1e3
            )
        })
        .collect();
    format!("[\n{}\n]\n", rules.join(",\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(way: &str, cluster: f64) -> Guarded {
        Guarded {
            route: "order now".to_owned(),
            ways: vec![Way::parse(way).unwrap()],
            cluster,
            each: cluster / 2.0,
        }
    }

    #[test]
    fn ways_are_read_and_other_words_are_not() {
        for (text, pattern) in [
            ("POST /v1/orders", None),
            ("/a.b/{n}", Some("/a\\.b/[^/]+")),
            ("GET /{n}/x", Some("/[^/]+/x")),
        ] {
            assert_eq!(Way::parse(text).unwrap().pattern().as_deref(), pattern);
        }
        for text in ["order", "post /x", "GET /a;b", "GET /\"", "GET /a b", ""] {
            assert_eq!(Way::parse(text), None, "{text}");
        }
    }

    #[test]
    fn nginx_counts_by_method_and_never_more_than_its_part() {
        let (http, server) = nginx(&[one("POST /v1/orders", 333.0), one("/p/{n}", 9.0)]);
        for line in [
            "map $request_method $limit_0_0 { default \"\"; POST all; }",
            "limit_req_zone $limit_0_0 zone=order_now_0_0:64k rate=166r/s;",
            "map $request_method $limit_1_0 { default all; }",
            "rate=270r/m;",
        ] {
            assert!(http.contains(line), "{http} lacks {line}");
        }
        assert!(
            server.contains("location = /v1/orders {\n  limit_req zone=order_now_0_0 burst=166")
        );
        assert!(server.contains("location ~ \"^/p/[^/]+$\" {"), "{server}");
    }

    #[test]
    fn sentinel_has_routes_and_services() {
        let text = sentinel(&[one("/a", 3.000_9)], &Limits::default());
        assert!(text.contains("\"resource\": \"order now\"") && text.contains("\"count\": 1.500"));
    }
}
