//! Ending a run before its plan does: rules asked once a second, on the generator's own figures,
//! on a Prometheus query, on a business figure of the target. The first that is broken stops it.
//!
//! A source that cannot be read for as long as its rule allows stops the run as well: high load
//! with closed eyes is not a test. Asking may block for [`SOURCE_TIMEOUT`]; runs are watched on a
//! thread of their own.

use crate::compile::StopRule;
use crate::limits::STOP_SOURCE_TIMEOUT_MS;
use crate::measure::Second;
use crate::run::{RunError, Target};
use hyper::StatusCode;
use std::time::{Duration, Instant};

const SOURCE_TIMEOUT: Duration = Duration::from_millis(STOP_SOURCE_TIMEOUT_MS);

/// The rules of a run, with what they remember.
pub struct Watch {
    rules: Vec<Rule>,
}

enum Rule {
    /// Broken when the window of the threshold does not hold.
    Figures(crate::thresholds::Threshold),
    Source {
        source: Box<Source>,
        hold: Duration,
        /// Since when it has been broken, and how.
        broken: Option<(Instant, String)>,
    },
}

enum Source {
    Prometheus {
        target: Target,
        path: String,
        above: Option<f64>,
        below: Option<f64>,
        query: String,
    },
    Business {
        target: Target,
        path: String,
        counter: String,
        below_per_min: f64,
        last: Option<(Instant, f64)>,
    },
}

impl Watch {
    /// # Errors
    /// An address of a rule is none.
    pub fn new(rules: &[StopRule]) -> Result<Watch, RunError> {
        let rules = rules.iter().map(rule).collect::<Result<_, _>>()?;
        Ok(Watch { rules })
    }

    /// Whether the run has to end, and why. `seconds`: all whole ones so far.
    pub fn look(&mut self, seconds: &[Second], now: Instant) -> Option<String> {
        self.rules.iter_mut().find_map(|rule| match rule {
            Rule::Figures(threshold) => figures(threshold, seconds),
            Rule::Source {
                source,
                hold,
                broken,
            } => {
                match source.ask(now) {
                    None => *broken = None,
                    Some(why) => {
                        let since = broken.as_ref().map_or(now, |(since, _)| *since);
                        *broken = Some((since, why));
                    }
                }
                let (since, why) = broken.as_ref()?;
                (now.duration_since(*since) >= *hold).then(|| why.clone())
            }
        })
    }
}

fn rule(rule: &StopRule) -> Result<Rule, RunError> {
    let (source, hold) = match rule {
        StopRule::Figures(threshold) => return Ok(Rule::Figures(threshold.clone())),
        StopRule::Prometheus {
            url,
            query,
            above,
            below,
            hold,
        } => {
            let (target, base) = split(url)?;
            let written = form_urlencoded::byte_serialize(query.as_bytes());
            let path = format!("{base}/api/v1/query?query={}", written.collect::<String>());
            let source = Source::Prometheus {
                target,
                path,
                above: *above,
                below: *below,
                query: query.clone(),
            };
            (source, *hold)
        }
        StopRule::Business {
            url,
            counter,
            below_per_min,
            hold,
        } => {
            let (target, path) = split(url)?;
            let source = Source::Business {
                target,
                path,
                counter: counter.clone(),
                below_per_min: *below_per_min,
                last: None,
            };
            (source, *hold)
        }
    };
    Ok(Rule::Source {
        source: Box::new(source),
        hold,
        broken: None,
    })
}

/// An address into the target and the path without a last slash.
fn split(url: &str) -> Result<(Target, String), RunError> {
    let host_end = url.find("://").map_or(0, |at| at + 3);
    let path = url[host_end..]
        .find('/')
        .map_or(url.len(), |at| host_end + at);
    let target = Target::new(&url[..path], None)?;
    Ok((target, url[path..].trim_end_matches('/').to_owned()))
}

fn figures(threshold: &crate::thresholds::Threshold, seconds: &[Second]) -> Option<String> {
    let window = threshold.window_s.unwrap_or(1).max(1) as usize;
    let delay = (threshold.delay_abort_s as usize).max(window);
    // Nothing is said before the window is full.
    let last = seconds
        .len()
        .checked_sub(window)
        .filter(|_| seconds.len() >= delay)?;
    let judged = threshold.window(&seconds[last..]);
    (!judged.holds).then(|| {
        let seen = judged.seen.map_or("nothing".to_owned(), |seen| {
            format!("{seen:.3} {}", judged.unit)
        });
        format!("{} is {seen} over {window} s", judged.expression)
    })
}

impl Source {
    /// Why it is broken now.
    fn ask(&mut self, now: Instant) -> Option<String> {
        match self {
            Source::Prometheus {
                target,
                path,
                above,
                below,
                query,
            } => match prometheus(target, path) {
                Err(why) => Some(format!("{query}: {why}")),
                Ok(value) => {
                    let high = above.is_some_and(|above| value > above);
                    let low = below.is_some_and(|below| value < below);
                    (high || low).then(|| format!("{query} is {value}"))
                }
            },
            Source::Business {
                target,
                path,
                counter,
                below_per_min,
                last,
            } => match page(target, path).and_then(|page| sum(&page, counter)) {
                Err(why) => Some(format!("{counter}: {why}")),
                Ok(value) => {
                    let before = last.replace((now, value));
                    let (since, before) = before?;
                    let minutes = now.duration_since(since).as_secs_f64() / 60.0;
                    // A counter that fell was started again; then it counts from zero.
                    let grown = if value < before {
                        value
                    } else {
                        value - before
                    };
                    let rate = grown / minutes.max(1e-9);
                    let low = rate < *below_per_min;
                    low.then(|| format!("{counter} grows by {rate:.0} a minute"))
                }
            },
        }
    }
}

/// A page that is read again and again.
pub(crate) struct Page(Target, String);

impl Page {
    pub fn new(url: &str) -> Result<Page, RunError> {
        let (target, path) = split(url)?;
        Ok(Page(target, path))
    }
    pub fn read(&self) -> Result<String, String> {
        page(&self.0, &self.1)
    }
}

fn page(target: &Target, path: &str) -> Result<String, String> {
    let (status, body) = target.get(if path.is_empty() { "/" } else { path }, SOURCE_TIMEOUT)?;
    match status {
        StatusCode::OK => String::from_utf8(body).map_err(|_| "it is no text".to_owned()),
        status => Err(format!("the answer is {status}")),
    }
}

fn prometheus(target: &Target, path: &str) -> Result<f64, String> {
    let text = page(target, path)?;
    let json: serde_json::Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let value = json
        .pointer("/data/result/0/value/1")
        .or_else(|| json.pointer("/data/result/1"));
    let value = value.and_then(serde_json::Value::as_str);
    let value = value.ok_or("the query has no value")?;
    value.parse().map_err(|_| format!("{value:?} is no number"))
}

/// All series of a counter on a page in Prometheus' text format.
pub(crate) fn sum(page: &str, counter: &str) -> Result<f64, String> {
    let values = page.lines().filter_map(|line| {
        let rest = line.strip_prefix(counter)?;
        let rest = match rest.strip_prefix('{') {
            Some(labels) => &labels[labels.rfind('}')? + 1..],
            None => rest,
        };
        rest.strip_prefix(' ')?
            .split(' ')
            .next()?
            .parse::<f64>()
            .ok()
    });
    let (count, sum) = values.fold((0, 0.0), |(n, sum), value| (n + 1, sum + value));
    if count == 0 {
        return Err("the page has no such counter".to_owned());
    }
    Ok(sum)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::measure::End;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::{Arc, Mutex};

    /// Serves whatever the text is at the moment.
    pub fn server(text: &Arc<Mutex<String>>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let text = Arc::clone(text);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let mut client = client.unwrap();
                let _ = client.read(&mut [0; 4_096]);
                let body = text.lock().unwrap().clone();
                let length = body.len();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
                let _ = client.write_all((head + &body).as_bytes());
            }
        });
        url
    }

    #[test]
    fn a_query_beyond_its_bound_for_long_enough_stops() {
        let text = Arc::new(Mutex::new(String::new()));
        let say = |value: &str| {
            *text.lock().unwrap() = format!(
                r#"{{"data":{{"resultType":"vector","result":[{{"value":[1,"{value}"]}}]}}}}"#
            );
        };
        say("0.5");
        let rule = StopRule::Prometheus {
            url: server(&text),
            query: "cpu{a=\"b\"} > 1".into(),
            above: Some(0.9),
            below: None,
            hold: Duration::from_secs(3),
        };
        let (mut watch, start) = (Watch::new(&[rule]).unwrap(), Instant::now());
        let mut look = |s| watch.look(&[], start + Duration::from_secs(s));
        assert_eq!((look(0), look(9)), (None, None));
        say("0.95");
        assert_eq!((look(10), look(12)), (None, None));
        say("0.2");
        assert_eq!(look(13), None, "it came back");
        say("0.99");
        assert_eq!(look(14), None);
        assert_eq!(look(17).unwrap(), "cpu{a=\"b\"} > 1 is 0.99");
        *text.lock().unwrap() = "not json".into();
        assert!(look(30).is_some(), "closed eyes");
    }

    #[test]
    fn a_business_figure_that_dries_up_stops() {
        let text = Arc::new(Mutex::new(String::new()));
        let say = |a: u64, b: u64| {
            *text.lock().unwrap() = format!(
                "# HELP orders x\norders{{sku=\"a}}b\"}} {a}\norders{{sku=\"c\"}} {b} 1700\norders_more 9\n"
            );
        };
        say(100, 5);
        let rule = StopRule::Business {
            url: server(&text) + "/metrics",
            counter: "orders".into(),
            below_per_min: 60.0,
            hold: Duration::from_secs(2),
        };
        let (mut watch, start) = (Watch::new(&[rule]).unwrap(), Instant::now());
        let mut look = |s| watch.look(&[], start + Duration::from_secs(s));
        assert_eq!(look(0), None);
        say(101, 6);
        assert_eq!(look(1), None, "120 a minute");
        assert_eq!(look(2), None, "not for long");
        assert_eq!(look(4).unwrap(), "orders grows by 0 a minute");
    }

    #[test]
    fn own_figures_stop_when_their_window_is_full() {
        let threshold = crate::thresholds::Threshold::parse("http_req_failed", "rate<0.5");
        let mut threshold = threshold.unwrap();
        threshold.window_s = Some(2);
        let mut watch = Watch::new(&[StopRule::Figures(threshold)]).unwrap();
        let mut bad = Second::default();
        bad.ends[End::Broken as usize] = 10;
        assert_eq!(watch.look(&[bad.clone()], Instant::now()), None);
        assert!(watch.look(&[bad.clone(), bad], Instant::now()).is_some());
    }
}
