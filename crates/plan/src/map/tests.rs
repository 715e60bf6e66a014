//! The map on small systems that can be followed by hand.

use super::*;

fn edge(from: &str, to: &str, per_request: f64, cache_hit: f64) -> Edge {
    Edge {
        from: from.to_owned(),
        to: to.to_owned(),
        per_request,
        cache_hit,
        weak: false,
        routes: Vec::new(),
        seen: 0,
    }
}

fn entry(route: &str, to: &str, cache_hit: f64) -> Entry {
    Entry {
        route: route.to_owned(),
        to: to.to_owned(),
        per_request: 1.0,
        cache_hit,
        core: true,
    }
}

fn map(entries: Vec<Entry>, edges: Vec<Edge>) -> Map {
    let names = edges
        .iter()
        .flat_map(|edge| [edge.from.clone(), edge.to.clone()])
        .chain(entries.iter().map(|entry| entry.to.clone()));
    Map::new(names.collect(), entries, edges).unwrap()
}

fn rates(rows: &[(&str, f64)]) -> Vec<(String, f64)> {
    rows.iter().map(|(r, v)| ((*r).to_owned(), *v)).collect()
}

#[test]
fn rates_follow_calls_caches_and_routes() {
    let mut only_orders = edge("pages", "stock", 3.0, 0.0);
    only_orders.routes = vec!["order".to_owned()];
    let map = map(
        vec![entry("order", "pages", 0.0), entry("product", "pages", 0.9)],
        vec![
            edge("pages", "hints", 2.0, 0.75),
            only_orders,
            edge("hints", "db", 1.0, 0.0),
            edge("stock", "db", 2.0, 0.5),
        ],
    );
    let found = flows(&map, &rates(&[("order", 100.0), ("product", 1_000.0)])).unwrap();
    let rows = [
        ("pages", 200.0),
        ("hints", 100.0),
        ("stock", 300.0),
        ("db", 400.0),
    ];
    for (service, rate) in rows {
        assert!(
            (found.service(service) - rate).abs() < 1e-9,
            "{service}: {found:?}"
        );
    }
    assert!((found.of("product", "stock") - 0.0).abs() < 1e-9);
    assert!((found.of("product", "db") - 50.0).abs() < 1e-9);
    let depths: Vec<usize> = ["pages", "stock", "db"]
        .map(|one| found.depth[one])
        .to_vec();
    assert_eq!(depths, [1, 2, 3]);
    assert_eq!(map.fan_out("pages"), 2);
}

#[test]
fn circles_are_named_and_nothing_else_is() {
    let map = map(
        vec![entry("order", "a", 0.0)],
        vec![
            edge("a", "b", 1.0, 0.0),
            edge("b", "c", 1.0, 0.0),
            edge("c", "b", 1.0, 0.0),
            edge("c", "d", 1.0, 0.0),
            edge("e", "e", 1.0, 0.0),
        ],
    );
    let circles = flows(&map, &rates(&[("order", 1.0)])).unwrap_err();
    assert_eq!(circles, [vec!["b", "c", "b"], vec!["e", "e"]]);
}

fn span(id: &str, parent: &str, service: &str, start: u64, micros: u64, failed: bool) -> Span {
    Span {
        id: id.to_owned(),
        parents: Some(parent)
            .filter(|parent| !parent.is_empty())
            .map(str::to_owned)
            .into_iter()
            .collect(),
        service: service.to_owned(),
        start_us: start,
        micros,
        failed,
    }
}

/// The door asks stock twice and hints once; hints fails, and nobody minds.
fn trace() -> Vec<Span> {
    vec![
        span("1", "", "door", 0, 100, false),
        span("2", "1", "door", 5, 90, false),
        span("3", "2", "stock", 10, 20, false),
        span("4", "2", "stock", 40, 50, false),
        span("5", "2", "hints", 41, 9, true),
    ]
}

#[test]
fn traces_become_calls_a_request() {
    let seen = observe(&[trace(), trace()]).unwrap();
    let calls: Vec<(&str, f64, bool, u64)> = seen
        .edges
        .iter()
        .map(|edge| (&*edge.to, edge.per_request, edge.weak, edge.seen))
        .collect();
    assert_eq!(calls, [("hints", 1.0, true, 2), ("stock", 2.0, false, 4)]);
    assert_eq!(seen.roots(), ["door"]);
}

#[test]
fn the_critical_path_holds_who_was_waited_for() {
    let steps = critical_path(&[trace()]);
    let found: Vec<(&str, f64)> = steps.iter().map(|s| (&*s.service, s.micros)).collect();
    // 10..30 and 40..90 are stock's; hints ended before stock did, beside it.
    assert_eq!(found, [("stock", 70.0), ("door", 30.0)]);
    assert!((steps[0].share - 0.7).abs() < 1e-9);
    // Spans that are their own ancestors end as well.
    let mut odd = trace();
    odd[1].parents = vec!["3".to_owned()];
    odd[2].parents = vec!["2".to_owned()];
    assert!(critical_path(&[odd, Vec::new()]).len() <= 3);
}

#[test]
fn what_people_said_stands_and_differences_are_told() {
    let declared = map(
        vec![entry("order", "door", 0.0)],
        vec![
            edge("door", "stock", 4.0, 0.75),
            edge("door", "mail", 1.0, 0.0),
        ],
    );
    let (merged, differences) = declared.with_seen(&observe(&[trace()]).unwrap());
    let said: Vec<String> = differences.iter().map(Difference::sentence).collect();
    assert_eq!(
        said,
        [
            "door calls hints 1.00 times a request; nobody declared it",
            "door calls stock 2.00 times a request in traces, 1.00 declared",
            "door is said to call mail; no trace of door has it",
        ]
    );
    let stock = merged.edges.iter().find(|edge| edge.to == "stock").unwrap();
    assert!(stock.seen == 2 && (stock.cache_hit - 0.75).abs() < 1e-9);
    assert_eq!(merged.edges.len(), 3);
}

#[test]
fn the_picture_stands_alone_and_escapes_names() {
    let map = map(
        vec![entry("order", "a<b>", 0.0)],
        vec![edge("a<b>", "c", 1.0, 0.0)],
    );
    let found = flows(&map, &rates(&[("order", 1_000.0)])).unwrap();
    let picture = svg(&map, &found, &|name| name == "c");
    assert!(
        picture.contains("a&lt;b&gt;") && picture.contains("1,000/s"),
        "{picture}"
    );
    assert!(picture.matches("class=\"hot\"").count() == 1, "{picture}");
}
