//! Rendered pages, kept as long as they are right and as many as fit.
//!
//! The key is the path, the version is whatever changes when a number on that page does: a count
//! or a hash. A page of another version is rendered again by whoever asks next, so that pages
//! nobody looks at cost nothing, however large the catalogue is.

use super::limits;
use super::rendered::Rendered;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Debug)]
pub struct PageCache {
    inner: Mutex<Shelf>,
    pages_max: usize,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Shelf {
    pages: HashMap<String, Kept>,
    bytes: usize,
    /// Counts uses; the page with the oldest use goes first.
    now: u64,
}

#[derive(Debug)]
struct Kept {
    version: u64,
    used: u64,
    page: Arc<Rendered>,
}

impl Default for PageCache {
    fn default() -> PageCache {
        PageCache::new(limits::CACHED_PAGES_MAX, limits::CACHED_BYTES_MAX)
    }
}

impl PageCache {
    pub fn new(pages_max: usize, bytes_max: usize) -> PageCache {
        PageCache {
            inner: Mutex::default(),
            pages_max,
            bytes_max,
        }
    }

    /// The page at this version. It is rendered outside the lock: two who miss at once both
    /// render, which costs a millisecond and stops nobody.
    pub fn get(&self, key: &str, version: u64, render: impl FnOnce() -> String) -> Arc<Rendered> {
        if let Some(page) = self.find(key, version) {
            return page;
        }
        let page = Arc::new(Rendered::new(render()));
        self.keep(key, version, &page);
        page
    }

    pub fn len(&self) -> usize {
        self.shelf().pages.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A holder of this lock only moves numbers, so a poisoned one is still in order.
    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, key: &str, version: u64) -> Option<Arc<Rendered>> {
        let mut shelf = self.shelf();
        shelf.now += 1;
        let now = shelf.now;
        let kept = shelf
            .pages
            .get_mut(key)
            .filter(|kept| kept.version == version)?;
        kept.used = now;
        Some(Arc::clone(&kept.page))
    }

    fn keep(&self, key: &str, version: u64, page: &Arc<Rendered>) {
        let weight = page.weight();
        if weight > self.bytes_max {
            return;
        }
        let mut shelf = self.shelf();
        if shelf
            .pages
            .get(key)
            .is_some_and(|kept| kept.version > version)
        {
            return;
        }
        shelf.remove(key);
        while shelf.pages.len() >= self.pages_max || shelf.bytes + weight > self.bytes_max {
            let oldest = shelf.pages.iter().min_by_key(|(_, kept)| kept.used);
            let Some(oldest) = oldest.map(|(key, _)| key.clone()) else {
                return;
            };
            shelf.remove(&oldest);
        }
        shelf.bytes += weight;
        let kept = Kept {
            version,
            used: shelf.now,
            page: Arc::clone(page),
        };
        shelf.pages.insert(key.to_owned(), kept);
    }
}

impl Shelf {
    fn remove(&mut self, key: &str) {
        if let Some(gone) = self.pages.remove(key) {
            self.bytes -= gone.page.weight();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_rendered_once_a_version() {
        let cache = PageCache::default();
        let first = cache.get("/", 1, || "one".to_owned());
        let again = cache.get("/", 1, || panic!("rendered again"));
        assert!(Arc::ptr_eq(&first, &again));
        let newer = cache.get("/", 2, || "two".to_owned());
        assert_eq!(&newer.identity[..], b"two");
        // Versions may be hashes: only the same one is right, a lower one is not older.
        let other = cache.get("/", 1, || "three".to_owned());
        assert_eq!(&other.identity[..], b"three");
        assert_eq!(cache.len(), 1);
    }

    #[test]
    fn the_oldest_use_goes_first() {
        let cache = PageCache::new(2, 1 << 20);
        cache.get("/a", 1, || "a".to_owned());
        cache.get("/b", 1, || "b".to_owned());
        cache.get("/a", 1, || panic!("/a was kept"));
        cache.get("/c", 1, || "c".to_owned());
        assert_eq!(cache.len(), 2);
        cache.get("/a", 1, || panic!("/a was used last"));
        let mut rendered = false;
        cache.get("/b", 1, || {
            rendered = true;
            "b".to_owned()
        });
        assert!(rendered, "/b had to go");
    }

    #[test]
    fn bytes_are_bounded() {
        let weight = Rendered::new("x".repeat(1000)).weight();
        let cache = PageCache::new(100, weight * 3);
        for number in 0..10 {
            cache.get(&format!("/{number}"), 1, || "x".repeat(1000));
        }
        assert_eq!(cache.len(), 3);
        cache.get("/huge", 1, || "y".repeat(weight * 3 + 1));
        assert_eq!(cache.len(), 3, "a page larger than all room is not kept");
    }
}
