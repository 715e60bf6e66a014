//! What kept answers, pages rendered ahead, the recorder and marks show in `/metrics`. Labels are
//! words of this file and names of pages, of which the configuration has a bounded number.

use super::Door;
use super::metrics::{Counters, Gauges, family};
use crate::cache::Cache;
use crate::prerender::PageHealth;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use std::sync::atomic::{AtomicU64, Ordering};

pub(super) fn extras(door: &Door, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
    let running = door.running();
    let extras = &running.extras;
    if let Some(cache) = &extras.cache {
        kept(cache, encoder)?;
    }
    if let Some(pages) = &extras.rendered {
        rendered(&pages.health(), encoder)?;
    }
    if let Some(recorder) = &extras.recorder {
        let counts = recorder.counts();
        let rows = [
            ("written", counts.written),
            ("dropped", counts.dropped),
            ("failed", counts.failed),
        ];
        what(encoder, "door_recorder", "Recorded requests", rows)?;
    }
    let marks = extras.marks.counts();
    let rows = [
        ("marked", marks.marked),
        ("forged", marks.forged),
        ("expired", marks.expired),
    ];
    what(encoder, "door_marks", "Marks of rehearsals", rows)
}

fn kept(cache: &Cache, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
    let counts = cache.counts();
    let load = |value: &AtomicU64| value.load(Ordering::Relaxed);
    let rows = [
        ("hit", load(&counts.hits)),
        ("stale", load(&counts.stale)),
        ("stood_in", load(&counts.stood_in)),
        ("collapsed", load(&counts.collapsed)),
        ("fetched", load(&counts.fetched)),
        ("revalidated", load(&counts.revalidated)),
        ("kept", load(&counts.kept)),
        ("uncacheable", load(&counts.uncacheable)),
        ("bypassed", load(&counts.bypassed)),
        ("impatient", load(&counts.impatient)),
    ];
    what(encoder, "door_cache", "What the cache did", rows)?;
    let sizes = [
        ("door_cache_bytes", "Bytes of kept answers", cache.bytes()),
        (
            "door_cache_entries",
            "Kept answers, their forms and notes",
            cache.entries() as u64,
        ),
        (
            "door_cache_waiting",
            "Requests that wait for what another one fetches",
            cache.waiting() as u64,
        ),
        (
            "door_cache_fetching",
            "Fetches for the cache under way",
            cache.fetching() as u64,
        ),
    ];
    for (name, help, value) in sizes {
        let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
        let metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
        gauge.encode(metric)?;
    }
    Ok(())
}

fn rendered(pages: &[PageHealth], encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
    let (state, age) = <(Gauges, Gauges)>::default();
    let done = Counters::default();
    for page in pages {
        let label = vec![("page", page.name.clone())];
        if let Some(age_ms) = page.age_ms {
            age.get_or_create(&label).set(age_ms as f64 / 1e3);
        }
        for (what, value) in [("rendered", page.rendered), ("failed", page.failed)] {
            let labels = vec![("page", page.name.clone()), ("what", what.to_owned())];
            done.get_or_create(&labels).inc_by(value);
        }
        let labels = vec![
            ("page", page.name.clone()),
            ("state", page.state.label().to_owned()),
        ];
        state.get_or_create(&labels).set(1.0);
    }
    family(encoder, "door_page", "Renderings of pages", &done)?;
    family(
        encoder,
        "door_page_age_seconds",
        "Since a page was rendered",
        &age,
    )?;
    family(
        encoder,
        "door_page_state",
        "1 for the state that a page is in",
        &state,
    )
}

fn what<const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    rows: [(&'static str, u64); N],
) -> std::fmt::Result {
    let counters = Counters::default();
    for (what, value) in rows {
        let labels = vec![("what", what.to_owned())];
        counters.get_or_create(&labels).inc_by(value);
    }
    family(encoder, name, help, &counters)
}
