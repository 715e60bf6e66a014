//! Pages that are rendered ahead, so that they survive a dead upstream – and a restart: each is
//! kept in memory and as a file of its own, replaced in one step.
//!
//! Who fetches is handed in; one task a process does it, see [`Pages::run`]. A page that failed
//! keeps its last good form until that is too old. It must not know routes or switches.
//!
//! Format of a file: `SWPAGE01`, length of the head and CRC-32 of head and body (4 bytes each,
//! big-endian), the head as JSON, the body.

use crate::cache::limits::{
    PAGE_BYTES_MAX, PAGE_ERROR_CHARS_MAX, PAGE_FETCH_MS, PAGE_FILE_BYTES_MAX, PAGE_RETRY_MS,
    PAGES_AT_ONCE_MAX,
};
use crate::cache::{Clock, Directives, Entry, is_page, ms};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use host::http::Body;
use http_body_util::BodyExt;
use hyper::header::{CONTENT_ENCODING, HOST, HeaderMap, HeaderName, HeaderValue, SET_COOKIE};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode, Uri};
use std::fs::{File, OpenOptions};
use std::future::Future;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use wire::gateway::routes::Prerendered;

const MAGIC: &[u8; 8] = b"SWPAGE01";
const PREFIX_BYTES: usize = 16;

/// How a page stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageState {
    /// Rendered when it was due.
    Good,
    /// Due twice over and not rendered, but good enough to stand in.
    Late,
    /// There is none, or it is too old.
    Missing,
}

impl PageState {
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            PageState::Good => "good",
            PageState::Late => "late",
            PageState::Missing => "missing",
        }
    }
}

/// What operators see of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageHealth {
    pub name: String,
    pub host: Option<String>,
    pub path: String,
    pub state: PageState,
    pub age_ms: Option<u64>,
    pub bytes: usize,
    pub rendered: u64,
    pub failed: u64,
    /// Why the last rendering, reading or writing failed; `None` after one that did not.
    pub error: Option<String>,
}

#[derive(Debug)]
struct Slot {
    spec: Prerendered,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default, Clone)]
struct Kept {
    /// With the moment at which it was rendered.
    page: Option<(Arc<Entry>, u64)>,
    due_ms: u64,
    rendered: u64,
    failed: u64,
    error: Option<String>,
}

impl Slot {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        // What a panic left is a page or none.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn good_page(&self, now_ms: u64) -> Option<Arc<Entry>> {
        let kept = self.kept();
        let (page, at_ms) = kept.page.as_ref()?;
        (now_ms.saturating_sub(*at_ms) <= ms(self.spec.age_max)).then(|| Arc::clone(page))
    }
}

/// The pages of one configuration.
pub struct Pages {
    slots: Vec<Slot>,
    folder: Option<PathBuf>,
    clock: Clock,
}

impl std::fmt::Debug for Pages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pages").finish_non_exhaustive()
    }
}

impl Pages {
    /// Takes over what the configuration before had, and reads what an earlier process left in
    /// `folder`. A file that cannot be read is told in [`Pages::health`] and made anew.
    #[must_use]
    pub fn open(
        pages: &[Prerendered],
        folder: Option<&Path>,
        clock: Clock,
        before: Option<&Pages>,
    ) -> Arc<Pages> {
        let slots = pages.iter().map(|spec| {
            let same = |slot: &&Slot| {
                let old = &slot.spec;
                (&old.name, &old.host, &old.path) == (&spec.name, &spec.host, &spec.path)
            };
            let old = before.and_then(|before| before.slots.iter().find(same));
            let mut kept = old.map_or_else(Kept::default, |old| old.kept().clone());
            if let (None, Some(folder)) = (&kept.page, folder) {
                match read(&file_of(folder, &spec.name), spec) {
                    Ok(page) => kept.page = page,
                    Err(error) => kept.error = Some(shown(&format!("its file: {error}"))),
                }
            }
            Slot {
                spec: spec.clone(),
                kept: Mutex::new(kept),
            }
        });
        Arc::new(Pages {
            slots: slots.collect(),
            folder: folder.map(Path::to_owned),
            clock,
        })
    }

    /// The page for a request, if there is one that is not too old.
    pub(crate) fn find(&self, parts: &Parts, now_ms: u64) -> Option<Arc<Entry>> {
        let mut slots = self.slots.iter();
        let of = |slot: &&Slot| is_page(parts, slot.spec.host.as_deref(), &slot.spec.path);
        slots.find(of)?.good_page(now_ms)
    }

    #[must_use]
    pub fn health(&self) -> Vec<PageHealth> {
        let now_ms = (self.clock)();
        self.slots.iter().map(|slot| health(slot, now_ms)).collect()
    }

    /// Renders pages when they are due, for ever. `fetch` asks the upstream, past the cache.
    pub async fn run<F, Fut, E>(&self, fetch: F)
    where
        F: Fn(Parts) -> Fut,
        Fut: Future<Output = Result<Response<Body>, E>>,
        E: std::fmt::Display,
    {
        loop {
            let wait = self.render_due(&fetch).await;
            tokio::time::sleep(wait).await;
        }
    }

    /// Renders what is due, and says when to come again.
    pub async fn render_due<F, Fut, E>(&self, fetch: &F) -> Duration
    where
        F: Fn(Parts) -> Fut,
        Fut: Future<Output = Result<Response<Body>, E>>,
        E: std::fmt::Display,
    {
        let now_ms = (self.clock)();
        let due = self
            .slots
            .iter()
            .filter(|slot| slot.kept().due_ms <= now_ms);
        futures_util::stream::iter(due)
            .for_each_concurrent(PAGES_AT_ONCE_MAX, |slot| self.render(slot, fetch))
            .await;
        let next = self.slots.iter().map(|slot| slot.kept().due_ms).min();
        let wait_ms = next.map_or(PAGE_RETRY_MS, |next| next.saturating_sub((self.clock)()));
        // Not at once again, even if the clock stands still.
        Duration::from_millis(wait_ms.clamp(100, 60_000))
    }

    async fn render<F, Fut, E>(&self, slot: &Slot, fetch: &F)
    where
        F: Fn(Parts) -> Fut,
        Fut: Future<Output = Result<Response<Body>, E>>,
        E: std::fmt::Display,
    {
        let made = tokio::time::timeout(Duration::from_millis(PAGE_FETCH_MS), async {
            let parts = request(&slot.spec)?;
            let response = fetch(parts).await.map_err(|error| error.to_string())?;
            page_of(response, (self.clock)(), &slot.spec).await
        });
        let made = match made.await {
            Ok(made) => made,
            Err(_elapsed) => Err(format!("no whole answer within {PAGE_FETCH_MS} ms")),
        };
        let now_ms = (self.clock)();
        let saved = match &made {
            Ok(page) => self.save(slot, page, now_ms).await,
            Err(_) => Ok(()),
        };
        let mut kept = slot.kept();
        let every = ms(slot.spec.every);
        match made {
            Ok(page) => {
                kept.page = Some((page, now_ms));
                kept.rendered += 1;
                kept.due_ms = now_ms.saturating_add(every);
                kept.error = saved
                    .err()
                    .map(|error| shown(&format!("its file: {error}")));
            }
            Err(why) => {
                kept.failed += 1;
                kept.due_ms = now_ms.saturating_add(every.min(PAGE_RETRY_MS));
                kept.error = Some(shown(&why));
            }
        }
        if let Some(error) = &kept.error {
            tracing::warn!(
                page = slot.spec.name,
                error,
                "a page was not rendered ahead"
            );
        }
    }

    async fn save(&self, slot: &Slot, page: &Arc<Entry>, now_ms: u64) -> io::Result<()> {
        let Some(folder) = self.folder.clone() else {
            return Ok(());
        };
        let (spec, page) = (slot.spec.clone(), Arc::clone(page));
        let written = tokio::task::spawn_blocking(move || write(&folder, &spec, &page, now_ms));
        written
            .await
            .unwrap_or_else(|ended| Err(io::Error::other(ended)))
    }
}

fn health(slot: &Slot, now_ms: u64) -> PageHealth {
    let kept = slot.kept();
    let age_ms = kept.page.as_ref().map(|(_, at)| now_ms.saturating_sub(*at));
    let state = match age_ms {
        Some(age) if age > ms(slot.spec.age_max) => PageState::Missing,
        Some(age) if age > 2 * ms(slot.spec.every) => PageState::Late,
        Some(_) => PageState::Good,
        None => PageState::Missing,
    };
    PageHealth {
        name: slot.spec.name.clone(),
        host: slot.spec.host.clone(),
        path: slot.spec.path.clone(),
        state,
        age_ms,
        bytes: kept.page.as_ref().map_or(0, |(page, _)| page.body.len()),
        rendered: kept.rendered,
        failed: kept.failed,
        error: kept.error.clone(),
    }
}

/// Nobody's request: no cookie, no language, plain.
fn request(spec: &Prerendered) -> Result<Parts, String> {
    let uri: Uri = spec
        .path
        .parse()
        .map_err(|error| format!("its path: {error}"))?;
    let mut request = Request::new(());
    *request.method_mut() = Method::GET;
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    if let Some(host) = &spec.host {
        let host = HeaderValue::from_str(host).map_err(|error| format!("its host: {error}"))?;
        headers.insert(HOST, host);
    }
    headers.insert("user-agent", HeaderValue::from_static("seawall-prerender"));
    Ok(request.into_parts().0)
}

async fn page_of(
    response: Response<Body>,
    now_ms: u64,
    spec: &Prerendered,
) -> Result<Arc<Entry>, String> {
    if response.status() != StatusCode::OK {
        return Err(format!("answered {}, expected 200", response.status()));
    }
    let directives = Directives::of(response.headers());
    for forbids in ["no-store", "private"] {
        if directives.has(forbids) {
            return Err(format!("the answer forbids to keep it: {forbids}"));
        }
    }
    for forbids in [SET_COOKIE, CONTENT_ENCODING] {
        if response.headers().contains_key(&forbids) {
            return Err(format!("the answer has {forbids}, expected none"));
        }
    }
    let (parts, mut body) = response.into_parts();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let data = frame
            .map_err(|cut| cut.to_string())?
            .into_data()
            .unwrap_or_default();
        if all.len() + data.len() > PAGE_BYTES_MAX {
            return Err(format!("longer than {PAGE_BYTES_MAX} bytes"));
        }
        all.extend_from_slice(&data);
    }
    let page = Entry::page(parts.headers, all.freeze(), now_ms, ms(spec.every));
    page.map(Arc::new)
        .ok_or_else(|| "its head is too long".to_owned())
}

fn shown(error: &str) -> String {
    error.chars().take(PAGE_ERROR_CHARS_MAX).collect()
}

fn file_of(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.page"))
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Head {
    host: Option<String>,
    path: String,
    rendered_ms: u64,
    /// What is text; the rest is left out.
    headers: Vec<(String, String)>,
}

/// In one step: a crash leaves the page before or this one, never half of one.
fn write(folder: &Path, spec: &Prerendered, page: &Entry, rendered_ms: u64) -> io::Result<()> {
    let headers = page.head.iter().filter_map(|(name, value)| {
        let value = value.to_str().ok()?;
        Some((name.as_str().to_owned(), value.to_owned()))
    });
    let head = serde_json::to_vec(&Head {
        host: spec.host.clone(),
        path: spec.path.clone(),
        rendered_ms,
        headers: headers.collect(),
    })?;
    let mut sum = crc32fast::Hasher::new();
    sum.update(&head);
    sum.update(&page.body);
    let length = u32::try_from(head.len()).map_err(io::Error::other)?;
    std::fs::create_dir_all(folder)?;
    let path = file_of(folder, &spec.name);
    let beside = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&beside)?;
    file.write_all(MAGIC)?;
    file.write_all(&length.to_be_bytes())?;
    file.write_all(&sum.finalize().to_be_bytes())?;
    file.write_all(&head)?;
    file.write_all(&page.body)?;
    file.sync_all()?;
    std::fs::rename(&beside, &path)?;
    File::open(folder)?.sync_all()
}

type Read1 = Option<(Arc<Entry>, u64)>;

/// `None`: no file, or one of another page that had this name.
fn read(path: &Path, spec: &Prerendered) -> io::Result<Read1> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut all = Vec::new();
    file.take(PAGE_FILE_BYTES_MAX + 1).read_to_end(&mut all)?;
    let bad = |what: &'static str| io::Error::new(io::ErrorKind::InvalidData, what);
    if all.len() as u64 > PAGE_FILE_BYTES_MAX {
        return Err(bad("too long for a page"));
    }
    if all.len() < PREFIX_BYTES || !all.starts_with(MAGIC) {
        return Err(bad("not a page that was rendered ahead"));
    }
    let number = |at: usize| u32::from_be_bytes([all[at], all[at + 1], all[at + 2], all[at + 3]]);
    let (length, sum) = (number(8) as usize, number(12));
    let content = &all[PREFIX_BYTES..];
    if crc32fast::hash(content) != sum || length > content.len() {
        return Err(bad("damaged"));
    }
    let (head, body) = content.split_at(length);
    let head: Head = serde_json::from_slice(head)?;
    if (&head.host, &head.path) != (&spec.host, &spec.path) {
        return Ok(None);
    }
    let mut headers = HeaderMap::new();
    for (name, value) in &head.headers {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
            headers.append(name, value);
        }
    }
    let body = Bytes::copy_from_slice(body);
    let page = Entry::page(headers, body, head.rendered_ms, ms(spec.every));
    let page = page.ok_or_else(|| bad("its head is too long"))?;
    Ok(Some((Arc::new(page), head.rendered_ms)))
}
