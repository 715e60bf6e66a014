//! Templates, profiles and coverage.

use super::seen;
use crate::coverage::{Coverage, Dimension, Weights, compare};
use crate::list::List;
use crate::profile::Profile;
use crate::template::{Learner, Pattern, Templates, class};
use crate::{Seen, in_order};

#[test]
fn classes_of_values() {
    #[rustfmt::skip]
    let cases = [
        ("", "empty"), ("7", "number"), ("-7", "negative number"), ("7.5", "decimal"), ("true", "yes or no"),
        ("f47ac10b-58cc-4372-a567-0e02b2c3d479", "uuid"), ("2015-05-17", "date"), ("2015-05-17T10:05", "date"),
        ("deadbeef01", "hex"), ("deadbeef", "word"), ("https://a.b", "url"), ("a@b.c", "email"),
        ("a,b", "list"), ("red shoes", "words"), ("schön", "words"), ("red", "word"),
        ("eyJhbGciOiJIUzI1NiJ9abc12", "token"), ("logstash-monitorama-2013", "word"),
    ];
    for (text, expected) in cases {
        assert_eq!(class(text), expected, "{text}");
    }
}

fn learnt(paths: impl IntoIterator<Item = String>) -> Templates {
    let mut learner = Learner::new(vec![Pattern::parse("/shops/{shop}/about").unwrap()]);
    paths.into_iter().for_each(|path| learner.learn(&path));
    learner.finish()
}

#[test]
fn templates_by_sight_and_learnt() {
    let tags = (0..200).map(|n| {
        format!(
            "/tags/{}{}/feed",
            "abcdefghij".split_at(n % 10).0,
            letters(n)
        )
    });
    let files = (0..100).map(|n| format!("/img/{}.png", letters(n)));
    let often = (0..100).map(|_| "/tags/puppet/feed".to_owned());
    let templates = learnt(tags.chain(files).chain(often).chain(["/about".to_owned()]));
    #[rustfmt::skip]
    let cases = [
        ("/products/77", "/products/{n}"), ("/products/77.json", "/products/{n}.json"),
        ("/p/f47ac10b-58cc-4372-a567-0e02b2c3d479/x", "/p/{n}/x"), ("/about", "/about"),
        ("/tags/qqq/feed", "/tags/{n}/feed"), ("/tags/never/feed", "/tags/{n}/feed"),
        ("/tags/puppet/feed", "/tags/puppet/feed"), ("/img/zzz.png", "/img/{n}.png"),
        ("/shops/any/about", "/shops/{n}/about"), ("/other/word", "/other/word"), ("/", "/"), ("*", "*"),
        ("/blog/", "/blog/"), ("/a;jsessionid=1", "/a"),
    ];
    for (path, expected) in cases {
        assert_eq!(templates.of(path), expected, "{path}");
    }
}

fn letters(n: usize) -> String {
    let letter = |n: usize| char::from(b'a' + (n % 26) as u8);
    [letter(n), letter(n / 26), 'q'].iter().collect()
}

fn profile(requests: &[Seen], weights: &Weights) -> Profile {
    let templates = Learner::new(weights.templates.clone()).finish();
    let mut profile = Profile::default();
    for seen in in_order(requests.iter().cloned()) {
        profile.observe(&seen, &templates, &weights.revenue);
    }
    profile
}

/// Clients who each look at the start, at a product and perhaps order.
fn journeys(clients: u64, orders: bool) -> Vec<Seen> {
    let one = |client: u64| {
        let name = format!("c{client}");
        let mut all = vec![
            seen(client * 10, &name, "GET", "/"),
            seen(
                client * 10 + 1,
                &name,
                "GET",
                &format!("/products/{client}?page=2"),
            ),
        ];
        if orders {
            all.push(seen(client * 10 + 2, &name, "POST", "/orders"));
        }
        all
    };
    (0..clients).flat_map(one).collect()
}

fn judged(recorded: &[Seen], run: &[Seen], weights: &str) -> Coverage {
    let weights = Weights::parse(weights).unwrap();
    let coverage = compare(
        &profile(recorded, &weights),
        &profile(run, &weights),
        &weights,
    )
    .unwrap();
    let lost: f64 = coverage.missing.iter().map(|missing| missing.points).sum();
    let sum = coverage.percent + lost;
    assert!((sum - 100.0).abs() < 1e-6, "the points add up: {sum}");
    coverage
}

fn of(coverage: &Coverage, dimension: Dimension) -> f64 {
    let found = coverage
        .dimensions
        .iter()
        .find(|found| found.dimension == dimension);
    found.unwrap().percent.unwrap()
}

#[test]
fn the_same_traffic_covers_itself_whatever_its_volume() {
    let coverage = judged(&journeys(100, true), &journeys(7, true), "{}");
    assert!((coverage.percent - 100.0).abs() < 1e-9, "{coverage:?}");
    assert!(coverage.missing.is_empty(), "{coverage:?}");
    // Sizes count by answers here; edges were not given.
    let edges = coverage.dimensions.last().unwrap();
    assert_eq!((edges.percent, edges.why_not.is_some()), (None, true));
}

#[test]
fn what_is_missing_is_named_by_its_weight() {
    let (recorded, run) = (journeys(100, true), journeys(100, false));
    let coverage = judged(&recorded, &run, "{}");
    assert!((of(&coverage, Dimension::Endpoints) - 200.0 / 3.0).abs() < 1e-6);
    // Recorded: three kinds of step, a third each; of the run's two kinds each is a half.
    assert!((of(&coverage, Dimension::Journey) - 200.0 / 3.0).abs() < 1e-6);
    assert_eq!(of(&coverage, Dimension::Parameters), 100.0);
    let first = &coverage.missing[0];
    assert_eq!((first.what.as_str(), first.run), ("POST /orders", 0.0));
    // The order brings all the money; its journeys share it, so it weighs more than its volume.
    let dearer = judged(
        &recorded,
        &run,
        "revenue: {POST /orders: 49.9}\ndimensions: {journey: 0}",
    );
    assert!(dearer.by_revenue);
    let plain = judged(&recorded, &run, "dimensions: {journey: 0}");
    assert!(
        (dearer.percent - plain.percent).abs() < 1e-9,
        "equal steps, equal shares"
    );
    let browsing = [recorded, journeys(900, false)].concat();
    let dearer = judged(&browsing, &run, "revenue: {POST /orders: 49.9}");
    let plain = judged(&browsing, &run, "{}");
    assert!(
        dearer.percent < plain.percent,
        "{} {}",
        dearer.percent,
        plain.percent
    );
}

#[test]
fn a_tenth_of_its_share_is_enough_but_not_for_the_mix() {
    let recorded: Vec<Seen> = (0..200)
        .map(|n| seen(n, "c", "GET", if n % 2 == 0 { "/a" } else { "/b" }))
        .collect();
    let run = |every: u64| -> Vec<Seen> {
        let path = |n: u64| if n.is_multiple_of(every) { "/a" } else { "/b" };
        (0..200).map(|n| seen(n, "c", "GET", path(n))).collect()
    };
    let coverage = judged(&recorded, &run(20), "{}");
    assert_eq!(of(&coverage, Dimension::Endpoints), 100.0);
    assert!(of(&coverage, Dimension::Journey) < 20.0, "{coverage:?}");
    let rarer = judged(&recorded, &run(40), "{}");
    assert!(
        (of(&rarer, Dimension::Endpoints) - 75.0).abs() < 1e-6,
        "{rarer:?}"
    );
    let missing: Vec<&str> = rarer
        .missing
        .iter()
        .map(|missing| missing.what.as_str())
        .collect();
    assert!(missing.contains(&"GET /a"), "{missing:?}");
}

#[test]
fn parameters_and_sizes_are_compared_by_class() {
    let one = |target: &str, bytes: u64| Seen {
        response_bytes: Some(bytes),
        ..seen(1, "c", "GET", target)
    };
    let recorded = [one("/s?q=shoes", 100), one("/s?q=red+shoes", 3_000)];
    let coverage = judged(&recorded, &[one("/s?q=hats", 7), one("/s?q=ties", 9)], "{}");
    assert_eq!(of(&coverage, Dimension::Parameters), 50.0);
    assert_eq!(of(&coverage, Dimension::Sizes), 50.0);
    let named: Vec<&str> = coverage
        .missing
        .iter()
        .map(|missing| missing.what.as_str())
        .collect();
    assert!(named.contains(&"GET /s  query q: words"), "{named:?}");
    assert!(named.contains(&"GET /s  to 4 KiB"), "{named:?}");
}

#[test]
fn a_list_is_a_run_and_edges_count_where_given() {
    let list = List::parse(
        "
endpoints:
  - {endpoint: GET /, share: 1}
  - {endpoint: \"GET /products/{sku}\", share: 1, parameters: {path 2: number, query page: number}}
journeys:
  - {steps: [GET /, \"GET /products/{sku}\"]}
edges:
  - {from: web, to: stock}
",
    )
    .unwrap();
    let weights = Weights::default();
    let mut recorded = profile(&journeys(10, false), &weights);
    recorded.add_edge("web", "stock", 3);
    recorded.add_edge("web", "mail", 1);
    let coverage = compare(&recorded, &list.profile, &weights).unwrap();
    assert_eq!(of(&coverage, Dimension::Endpoints), 100.0);
    assert_eq!(of(&coverage, Dimension::Parameters), 100.0);
    assert_eq!(of(&coverage, Dimension::Journey), 100.0);
    assert_eq!(of(&coverage, Dimension::Edges), 75.0);
    assert_eq!(coverage.missing[0].what, "web → mail");
    let wrong = List::parse(
        "endpoints: [{endpoint: /a}, {endpoint: GET /a, share: 0, parameters: {q: x}}]",
    );
    assert_eq!(wrong.unwrap_err().0.len(), 3);
}

#[test]
fn left_out_endpoints_count_for_nothing_and_nothing_is_no_verdict() {
    let recorded = [
        journeys(10, false),
        vec![seen(1, "probe", "GET", "/health"); 500],
    ]
    .concat();
    let coverage = judged(&recorded, &journeys(10, false), "leave_out: [GET /health]");
    assert!((coverage.percent - 100.0).abs() < 1e-9, "{coverage:?}");
    let coverage = judged(&recorded, &journeys(10, false), "{}");
    assert!(coverage.percent < 50.0, "{coverage:?}");
    let weights = Weights::default();
    let some = profile(&recorded, &weights);
    assert!(compare(&some, &Profile::default(), &weights).is_none());
    assert!(compare(&Profile::default(), &some, &weights).is_none());
    let problems = Weights::parse(
        "revenue: {/a: 1, GET /b: -1}\ndimensions: {colour: 1}\ntemplates: [x]\nleave_out: [GET]",
    );
    assert_eq!(problems.unwrap_err().0.len(), 5);
}
