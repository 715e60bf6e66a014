//! What a configuration adds around the serving of its routes: kept answers, pages rendered ahead,
//! compression, recorded requests, marks of rehearsals.
//!
//! A route with none of it has `None` here, and its requests pay for none of it. What has not
//! changed is taken over from the configuration before: kept answers, pages, the recorder, counts.

use super::running::{DoorError, Ready, own_key};
use crate::cache::{Cache, CacheSettings, Clock, RouteCache};
use crate::compress::{self, Accepted, Coding, Effort};
use crate::limits::COMPRESSED_FILE_BYTES_MAX;
use crate::mark::Marks;
use crate::prerender::Pages;
use crate::recorder::Recorder;
use bytes::Bytes;
use host::http::Body;
use hyper::header::UPGRADE;
use hyper::http::request::Parts;
use hyper::{Method, Response};
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::path::Path;
use std::sync::Arc;
use wire::gateway::routes::{Route, Target};
use wire::gateway::{Door as Files, Gateway};

pub(super) struct Extras {
    /// By route.
    pub routes: Vec<Option<Box<RouteExtra>>>,
    pub cache: Option<Cache>,
    pub rendered: Option<Arc<Pages>>,
    pub recorder: Option<Arc<Recorder>>,
    pub marks: Marks,
    settings: Option<CacheSettings>,
}

/// What one route has of it.
pub(super) struct RouteExtra {
    /// Of what comes from somewhere else: a file is in memory already.
    pub cache: Option<Arc<RouteCache>>,
    pub compression: bool,
    /// A file's forms, made when it was read.
    packed: Vec<(Coding, Bytes)>,
}

impl Extras {
    pub fn new(
        files: &Files,
        clock: &Clock,
        data: &Path,
        before: Option<(&Files, &Extras)>,
    ) -> Result<Extras, DoorError> {
        let gateway = &files.gateway;
        let routes = gateway.routes.iter().map(|route| extra(route, gateway));
        let routes: Vec<_> = routes.collect();
        let settings = settings(gateway, &routes);
        let before_settings = before.and_then(|(_, before)| before.settings.clone());
        let (settings, cache) = match (settings, before_settings) {
            (None, _) => (None, None),
            // There is room for the largest answers still.
            (Some(new), Some(old)) if new.answer_bytes <= old.answer_bytes => (
                Some(old),
                before.and_then(|(_, before)| before.cache.clone()),
            ),
            (Some(new), _) => {
                let cache = Cache::new(&new, Arc::clone(clock));
                (Some(new), Some(cache))
            }
        };
        let before_pages = before.and_then(|(_, before)| before.rendered.as_deref());
        let rendered = (!gateway.prerendered.is_empty()).then(|| {
            let folder = data.join("pages");
            let clock = Arc::clone(clock);
            Pages::open(&gateway.prerendered, Some(&folder), clock, before_pages)
        });
        let marks = match &gateway.mark {
            Some(mark) => Marks::read(mark).map_err(|error| DoorError::File {
                file: mark.key_files.first().cloned().unwrap_or_default(),
                problem: error.to_string(),
            })?,
            None => Marks::none(),
        };
        Ok(Extras {
            routes,
            cache,
            rendered,
            recorder: recorder(gateway, data, before)?,
            marks: match before {
                Some((_, before)) => marks.after(&before.marks),
                None => marks,
            },
            settings,
        })
    }

    /// Makes the forms of the files that routes answer with.
    pub fn pack(&mut self, files: &[Option<Ready>]) {
        for (extra, file) in self.routes.iter_mut().zip(files) {
            if let (Some(extra), Some(file)) = (extra, file) {
                extra.pack(file);
            }
        }
    }

    /// Once nothing can keep the configuration from running: from here on these pages stand in.
    pub fn begin(&self) {
        if let Some(cache) = &self.cache {
            cache.set_pages(self.rendered.clone());
        }
    }

    pub fn route(&self, place: usize) -> Option<&RouteExtra> {
        self.routes.get(place)?.as_deref()
    }

    /// Whether a request may be answered without asking anybody behind the door, so that breaker
    /// and overload control are asked only when somebody is.
    pub fn may_be_kept(&self, place: usize, parts: &Parts) -> bool {
        self.route(place).is_some_and(|extra| {
            extra.cache.is_some()
                && matches!(parts.method, Method::GET | Method::HEAD)
                && !parts.headers.contains_key(UPGRADE)
        })
    }
}

impl RouteExtra {
    /// The answer that is a file, in the coding that the client likes best.
    pub fn packed(&self, accepted: Accepted, mut answer: Response<Body>) -> Response<Body> {
        if !self.compression || self.packed.is_empty() {
            return answer;
        }
        let mut packed = self.packed.iter();
        match packed.find(|(coding, _)| *coding == accepted.best) {
            Some((coding, bytes)) => {
                compress::mark(answer.headers_mut(), *coding);
                if !matches!(answer.body(), Body::Empty) {
                    *answer.body_mut() = Body::Full(bytes.clone());
                }
            }
            None => compress::mark(answer.headers_mut(), Coding::Plain),
        }
        answer
    }

    /// Makes the forms of a file, if it gains by them.
    fn pack(&mut self, file: &Ready) {
        let answer = file.answer();
        let length = file.body.len();
        let fits = self.compression
            && length <= COMPRESSED_FILE_BYTES_MAX
            && compress::fits(answer.status(), answer.headers(), length);
        let codings = [Coding::Brotli, Coding::Gzip];
        let made = codings.into_iter().filter(|_| fits).filter_map(|coding| {
            let packed = compress::body(coding, Effort::Kept, &file.body)?;
            Some((coding, packed))
        });
        self.packed = made.collect();
    }
}

fn extra(route: &Route, gateway: &Gateway) -> Option<Box<RouteExtra>> {
    let fetched = matches!(route.target, Target::Service(_) | Target::Upstream(_));
    let cache = RouteCache::new(route).filter(|_| fetched).map(|mut cache| {
        let kept_under = format!("{}\n{:016x}", route.name, sameness(route, gateway));
        if let Some(cache) = Arc::get_mut(&mut cache) {
            cache.name = kept_under.into();
        }
        cache
    });
    (cache.is_some() || route.compression).then(|| {
        Box::new(RouteExtra {
            cache,
            compression: route.compression,
            packed: Vec::new(),
        })
    })
}

/// Answers are kept under this besides the route's name. With another target, or kept by other
/// rules, a route begins anew; requests that are still under way by the old ones disturb nothing.
fn sameness(route: &Route, gateway: &Gateway) -> u64 {
    let mut hasher = DefaultHasher::new();
    let cache = route.cache.as_ref().map(|cache| {
        let windows = (cache.stale_while_revalidate, cache.stale_if_error);
        (
            format!("{:?}", cache.mode),
            cache.ttl,
            windows,
            &cache.query,
        )
    });
    cache.hash(&mut hasher);
    match &route.target {
        Target::Upstream(name) => {
            let mut pools = gateway.upstreams.iter();
            if let Some(pool) = pools.find(|pool| pool.name == *name) {
                let peers = pool.peers.iter().map(|peer| format!("{:?}", peer.address));
                (name, peers.collect::<Vec<_>>()).hash(&mut hasher);
                (format!("{:?}", pool.protocol), pool.tls.is_some()).hash(&mut hasher);
            }
        }
        Target::Service(name) => ("service", name).hash(&mut hasher),
        Target::Static(_) | Target::Redirect(_) => {}
    }
    hasher.finish()
}

fn settings(gateway: &Gateway, routes: &[Option<Box<RouteExtra>>]) -> Option<CacheSettings> {
    let both = gateway.routes.iter().zip(routes);
    let kept = both.filter(|(_, extra)| extra.as_ref().is_some_and(|extra| extra.cache.is_some()));
    let largest = kept.filter_map(|(route, _)| Some(route.cache.as_ref()?.answer_bytes));
    largest.max().map(|answer_bytes| CacheSettings {
        answer_bytes,
        ..CacheSettings::default()
    })
}

fn recorder(
    gateway: &Gateway,
    data: &Path,
    before: Option<(&Files, &Extras)>,
) -> Result<Option<Arc<Recorder>>, DoorError> {
    let Some(written) = &gateway.recorder else {
        return Ok(None);
    };
    let same = before.filter(|(files, _)| files.gateway.recorder.as_ref() == Some(written));
    if let Some(recorder) = same.and_then(|(_, before)| before.recorder.clone()) {
        return Ok(Some(recorder));
    }
    let file = data.join("recorder.key");
    let bytes = own_key(&file)?;
    let mut key = [0; 32];
    // A key has at least so many.
    key.copy_from_slice(&bytes[..32]);
    let started = Recorder::start(written, &key).map_err(|error| DoorError::File {
        file: written.file.clone(),
        problem: error.to_string(),
    })?;
    Ok(Some(Arc::new(started)))
}
