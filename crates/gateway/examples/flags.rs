//! A shop's flags over OFREP on a free port, for `tests/ofrep`: the first line on standard output
//! is the address. `POST /switch/NAME/on` and `…/off` turn a switch.

use bytes::Bytes;
use gateway::flags::{FLAGS_BODY_BYTES_MAX, FlagRoutes, answer, is_ours};
use guard::switches::{
    Action, Feature, FeatureId, Recovery, SwitchSet, SwitchSpec, Switches, Target,
};
use guard::{Nanos, RouteId};
use host::Drain;
use host::http::{Body, HttpStats, ListenOptions, Service, read_body, start};
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

struct Flags {
    switches: Arc<Mutex<Switches>>,
    routes: Arc<FlagRoutes>,
    started: Instant,
}

impl Service for Flags {
    async fn call(&self, request: Request<Incoming>, _peer: SocketAddr) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path();
        if !is_ours(path) {
            let status = match self.turn(path) {
                true => StatusCode::NO_CONTENT,
                false => StatusCode::NOT_FOUND,
            };
            return plain(status);
        }
        let read = read_body(body, FLAGS_BODY_BYTES_MAX, Duration::from_secs(5)).await;
        let Ok(body) = read else {
            return plain(StatusCode::BAD_REQUEST);
        };
        let switches = self.switches.lock().unwrap_or_else(PoisonError::into_inner);
        answer(&parts, &body, &switches, &self.routes).map(|body: Bytes| Body::from(body))
    }
}

impl Flags {
    fn turn(&self, path: &str) -> bool {
        let order = path
            .strip_prefix("/switch/")
            .and_then(|rest| rest.split_once('/'));
        let Some((name, order @ ("on" | "off"))) = order else {
            return false;
        };
        let elapsed = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let mut switches = self.switches.lock().unwrap_or_else(PoisonError::into_inner);
        let by = ("tests/ofrep", "a check");
        let done = switches.set(name, order == "on", None, by, Nanos(elapsed));
        done.is_ok()
    }
}

fn plain(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    response
}

fn switch(name: &str, routes: &[u16]) -> SwitchSpec {
    SwitchSpec {
        name: name.to_owned(),
        owner: "ops".to_owned(),
        reason: "an example".to_owned(),
        target: Target::Routes(routes.iter().map(|id| RouteId(*id)).collect()),
        action: Action::Shield(FeatureId(0)),
        priority: 0,
        schedule: None,
        trigger: None,
        recovery: Recovery::Manual,
        duration_max: Nanos::from_millis(3_600_000),
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let set = SwitchSet {
        switches: vec![switch("no-reviews", &[0, 1]), switch("search-light", &[1])],
        features: vec![Feature {
            name: "reviews".to_owned(),
            variant_on: "on".to_owned(),
            variant_shielded: "off".to_owned(),
        }],
        routes: 2,
        metrics: 0,
    };
    let switches = Switches::new(set).map_err(|problems| format!("{problems:?}"))?;
    let switches = Arc::new(Mutex::new(switches));
    let reviews = ["reviews".to_owned()];
    let routes: [(&str, &[String]); 2] = [("product", &reviews), ("search", &reviews)];
    let routes = Arc::new(FlagRoutes::new(routes));
    let started = Instant::now();
    let make = move |_worker| Flags {
        switches: Arc::clone(&switches),
        routes: Arc::clone(&routes),
        started,
    };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let options = ListenOptions::new("flags", address);
    let listening = start(&options, make, Drain::new(), HttpStats::new())?;
    println!("http://{}", listening.local_addr());
    listening.join();
    Ok(())
}
