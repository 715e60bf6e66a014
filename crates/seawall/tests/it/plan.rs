//! The planner through the binary: a map of real traces, services begun from what is there, a plan
//! whose files the door and nginx read, and limits that are refused when they are too old.

use crate::gateway::{Gate, Upstream};
use crate::site::{Ended, binary, command, run, until};
use load::report::{Body, Source};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

fn seawall(folder: &Path, args: &[&str]) -> Ended {
    let mut command = command(&binary());
    command.args(args).current_dir(folder);
    run(command)
}

/// The unpacked file of an archive, or `None` with a word on stderr where there is no real data.
fn real(archive: &str, file: &str) -> Option<(tempfile::TempDir, PathBuf)> {
    let data = std::env::var_os("SEAWALL_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    let archive = data.join(archive);
    if !archive.exists() {
        eprintln!("skipped: no real data at {}", data.display());
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut tar = Command::new("tar");
    tar.arg("-xJf").arg(archive).arg("-C").arg(folder.path());
    assert!(tar.status().unwrap().success());
    let file = folder.path().join(file);
    Some((folder, file))
}

#[test]
fn real_traces_have_twelve_services_and_each_call_its_thousand() {
    let Some((folder, file)) = real(
        "jaeger-socialnetwork.tar.xz",
        "dsb-socialnetwork-jaeger.json",
    ) else {
        return;
    };
    let file = file.to_str().unwrap();
    let args = [
        "plan", "map", file, "--rate", "1000", "--svg", "map.svg", "--json",
    ];
    let map = seawall(folder.path(), &args).json();
    let edges = map["edges"].as_array().unwrap();
    assert_eq!(
        (map["services"].as_array().unwrap().len(), edges.len()),
        (12, 11)
    );
    for edge in edges {
        assert_eq!(
            (&edge["seen"], &edge["per_s"]),
            (&json!(20), &json!(1_000.0)),
            "{edge}"
        );
    }
    assert_eq!(map["entries"][0]["to"], "nginx-web-server");
    let path = map["critical_path"].as_array().unwrap();
    let shares: f64 = path
        .iter()
        .map(|step| step["share"].as_f64().unwrap())
        .sum();
    assert!((shares - 1.0).abs() < 1e-9, "{path:?}");
    let picture = fs::read_to_string(folder.path().join("map.svg")).unwrap();
    assert_eq!(picture.matches("<rect").count(), 12);

    // Services begun from the same traces: the check lists what people have to say, and no more.
    let args = [
        "plan",
        "services",
        "--traces",
        file,
        "--out",
        "services.yaml",
    ];
    seawall(folder.path(), &args).said(0, &["12 services"]);
    let told = seawall(folder.path(), &["check", "services.yaml"]);
    assert_eq!(told.code, Some(64));
    assert_eq!(told.err.matches("found TODO").count(), 36, "{}", told.err);
    assert_eq!(told.err.trim().lines().count(), 36, "{}", told.err);
}

#[test]
fn services_are_begun_from_kubernetes_and_prometheus() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let named = |name: &str| json!({"name": name, "namespace": "shop", "labels": {"team": "t1"}});
    let node = |zone: &str| {
        let labels = json!({"topology.kubernetes.io/zone": zone});
        json!({"kind": "Node", "metadata": {"name": zone, "labels": labels}})
    };
    let dump = json!({"kind": "List", "items": [
        {"kind": "Deployment", "metadata": named("Pages"), "spec": {"replicas": 4}},
        {"kind": "StatefulSet", "metadata": named("stock"), "spec": {}},
        {"kind": "HorizontalPodAutoscaler", "metadata": named("any"),
         "spec": {"maxReplicas": 9, "scaleTargetRef": {"name": "Pages"}}},
        node("a"), node("b"), node("a"),
    ]});
    fs::write(path.join("k8s.json"), dump.to_string()).unwrap();
    let row = |from: &str, to: &str, rate: &str| {
        let labels = json!({"client": from, "server": to});
        json!({"metric": labels, "value": [1, rate]})
    };
    let answer = json!({"status": "success", "data": {"resultType": "vector", "result": [
        row("door", "pages", "50"), row("pages", "stock", "125"), row("x", "y", "NaN"),
    ]}});
    fs::write(path.join("prom.json"), answer.to_string()).unwrap();
    let args = [
        "plan",
        "services",
        "--kubernetes",
        "k8s.json",
        "--prometheus",
        "prom.json",
    ];
    let made = seawall(path, &args);
    made.said(0, &[]);
    for line in [
        "name: \"pages\"",
        "instances: 4",
        "zones: 2",
        "scaling: {max: 9, lead_time: TODO",
        "workload: {kind: Deployment, namespace: \"shop\", name: \"Pages\"}",
        "# its label says \"t1\"",
        "{to: \"stock\", per_request: 2.500, weak: false}",
    ] {
        assert!(made.out.contains(line), "{} lacks {line}", made.out);
    }
    fs::write(path.join("odd.json"), "{\"status\":\"error\"}").unwrap();
    let refused = seawall(path, &["plan", "services", "--prometheus", "odd.json"]);
    refused.said(64, &["odd.json: expected the answer of /api/v1/query"]);
}

/// A search's report of something that answers `most` a second.
fn report(folder: &Path, name: &str, most: f64) {
    let steps = [0.1, 0.2, 0.4, 0.8, 1.6, 1.2, 0.95].map(|share: f64| {
        let kept_up = share < 1.0;
        let answered = most * share.min(1.0);
        // One at a time, 1/most each: the latency of an M/M/1 queue.
        let mean = 1e3 / most / if kept_up { 1.0 - share } else { 0.01 };
        json!({
            "per_s": most * share, "confirms": false, "seconds": 10, "answered_per_s": answered,
            "latency_ms": {"count": 1, "mean": mean, "p50": null, "p90": null, "p95": null,
                "p99": null, "p999": null, "max": null},
            "ends": {"good": (answered * 10.0) as u64}, "because": [], "busiest": 0.1,
            "came_to": if kept_up { "held" } else { "failed" }, "lag_p99_ms": 0.1,
        })
    });
    let hour = jiff::SignedDuration::from_hours(1);
    let started = jiff::Timestamp::now() - hour;
    let mut body = serde_json::to_value(Body::empty(Source::Find)).unwrap();
    body["search"] = json!({
        "objectives": ["p99<1s"], "steps": steps, "found": "between",
        "held_per_s": most * 0.95, "failed_per_s": most * 1.2, "why": null,
    });
    let report = json!({
        "version": 1, "kind": "find", "name": name, "verdict": "holds", "exit_code": 0,
        "command": "seawall load find", "started": started.to_string(),
        "build": {"version": "9.9", "commit": "c", "profile": "release"},
        "machine": {"processor": "p", "cores": 2, "memory_mib": 1, "system": "s"},
        "seconds": 70.0, "body": body,
    });
    fs::write(folder.join(format!("{name}.json")), report.to_string()).unwrap();
}

/// Three minutes of the sale's opening.
fn forecast(folder: &Path, name: &str, from: i64, orders: f64) {
    let band = |rate: f64| json!({"expected": rate, "lower": rate / 2.0, "upper": rate * 1.25});
    let route = |name: &str, rate: f64| {
        json!({
            "route": name,
            "minutes": [band(rate / 4.0), band(rate), band(rate / 2.0)],
            "peak_minute": {"at_minute": from + 1, "per_second": band(rate)},
            "peak_second": {"at_minute": from + 1, "per_second": band(rate * 1.6)},
        })
    };
    let document = json!({
        "version": 1, "kind": "forecast", "from_minute": from, "level": 0.9,
        "routes": [route("POST /v1/orders", orders), route("GET /products/{n}", orders * 4.0)],
        "total": route("total", orders * 5.0),
    });
    fs::write(folder.join(name), document.to_string()).unwrap();
}

const SERVICES: &str = "version: 1
safety_factor: 1.25
door: {instances: 2, skew: 1.2}
entries:
  - {route: order, traffic: [POST /v1/orders], to: shop}
  - {route: product, traffic: ['GET /products/{n}'], to: shop, cache_hit: 0.75, core: false}
services:
  - name: shop
    class: core
    owner: shop team
    instances: 3
    zones: 3
    reports: [{file: shop.json}]
    scaling: {max: 12, lead_time: 10m, cost_per_hour: 0.5}
    workload: {namespace: shop, name: shop}
    calls:
      - {to: bank, routes: [order]}
      - {to: hints, weak: true, per_request: 2, routes: [product]}
  - {name: bank, class: core, owner: The Bank, third_party: {quota: 400/s}}
  - name: hints
    class: degradable
    owner: hints team
    instances: 2
    reports: [{file: hints.json, instances: 2}]
    degrade:
      - name: no-hints
        action: shield
        feature: hints
        skips: [hints]
        loss_per_hour: 30
        reason: hints are a luxury
        trigger: {metric: cpu, above: 0.8, below: 0.6}
";

/// All files of a folder by their names.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut left = vec![folder.to_path_buf()];
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
                continue;
            }
            let name = path.strip_prefix(folder).unwrap().display().to_string();
            found.insert(name, fs::read(&path).unwrap());
        }
    }
    found
}

/// The file without these sections: its calendar holds for its own T0 only.
fn without(text: &str, sections: &[&str]) -> String {
    let mut left_out = false;
    let kept = text.lines().filter(|line| {
        if !line.starts_with([' ', '#']) && !line.is_empty() {
            left_out = sections.iter().any(|section| line.starts_with(section));
        }
        !left_out
    });
    kept.map(|line| format!("{line}\n")).collect()
}

#[test]
fn a_plan_is_made_twice_alike_and_the_door_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("services.yaml"), SERVICES).unwrap();
    report(path, "shop", 250.0);
    report(path, "hints", 300.0);
    // A sale that is always tomorrow.
    let now = jiff::Timestamp::now().as_second() / 60;
    let opens = now + 1_440;
    let instant = |minute: i64| {
        let at = jiff::Timestamp::from_second(minute * 60).unwrap();
        at.to_string()
    };
    forecast(path, "expected.json", opens, 150.0);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = fs::read_to_string(root.join("examples/double11/campaign.yaml")).unwrap();
    let text = text.replace("2026-11-11T00:00:00+01:00", &instant(opens));
    let text = without(&text, &["phases:", "on_call:", "freeze:"]);
    fs::write(path.join("campaign.yaml"), text).unwrap();
    let at = instant(now);
    let make = |forecast: &str, out: &str| {
        let args = [
            "plan",
            "make",
            "campaign.yaml",
            "--services",
            "services.yaml",
            "--forecast",
            forecast,
            "--out",
            out,
            "--at",
            &at,
            "--json",
        ];
        seawall(path, &args)
    };
    seawall(path, &["check", "services.yaml"]).said(0, &[]);
    let made = make("expected.json", "one");
    let plan = made.json();
    assert_eq!(plan["refused"], json!([]), "{plan:#}");
    make("expected.json", "two");
    let (one, two) = (files(&path.join("one")), files(&path.join("two")));
    assert!(one.keys().eq(two.keys()), "{:?}", one.keys());
    for (name, bytes) in &one {
        assert!(bytes == &two[name], "{name} differs");
    }
    for name in [
        "limits.yaml",
        "switches.yaml",
        "plan.html",
        "plan.md",
        "plan.json",
        "readiness.md",
        "proxies/nginx-http.conf",
        "proxies/envoy-local.yaml",
        "proxies/envoy-global.yaml",
        "proxies/sentinel.json",
        "scaling/shop.yaml",
        "pictures/map.svg",
        "pictures/forecast.svg",
    ] {
        assert!(one.contains_key(name), "{name} is not there");
    }
    // 300 orders and a quarter of 1,200 products a second come to 600; an instance may get 190.
    let decision = |name: &str| {
        let all = plan["plan"]["services"].as_array().unwrap();
        all.iter()
            .find(|one| one["service"] == name)
            .unwrap()
            .clone()
    };
    assert_eq!(
        (&decision("shop")["decision"], &decision("shop")["planned"]),
        (&json!("scale_out"), &json!(6)),
        "{plan:#}"
    );
    assert_eq!(decision("hints")["decision"], "degrade");
    assert_eq!(decision("bank")["decision"], "fine");
    let text = |name: &str| String::from_utf8(one[name].clone()).unwrap();
    let schedule = format!("schedule: {{from: {}", instant(opens));
    assert!(
        text("switches.yaml").contains(&schedule),
        "{}",
        text("switches.yaml")
    );
    assert!(
        text("limits.yaml").contains("build: \"9.9\"") && text("limits.yaml").contains("budget:")
    );
    assert!(text("scaling/shop.yaml").contains("averageUtilization: 70"));
    let begin = format!("# At {}", instant(opens - 10));
    assert!(
        text("scaling/shop.yaml").contains(&begin),
        "{}",
        text("scaling/shop.yaml")
    );
    assert!(
        serde_json::from_slice::<Value>(&one["proxies/sentinel.json"])
            .unwrap()
            .is_array()
    );
    for file in ["limits.yaml", "switches.yaml"] {
        seawall(&path.join("one"), &["check", file]).said(0, &[]);
    }
    nginx_agrees(&path.join("one/proxies"));

    // Twice as many orders: more of everything, and the comparison says why.
    forecast(path, "more.json", opens, 300.0);
    make("more.json", "three");
    let changed = seawall(path, &["plan", "diff", "one", "three"]).out;
    let why = "because upper_per_s 600 → 1200 (+100 %)";
    assert!(changed.contains(why), "{changed}");
    let same = seawall(path, &["plan", "diff", "one", "two"]).out;
    assert_eq!(same, "the plans say the same\n");
    fs::write(path.join("none.json"), "{}").unwrap();
    make("none.json", "four").said(64, &["none.json: expected the forecast"]);
}

/// The real nginx reads the files, and holds the limit of orders under more than it: 400 a second
/// of the bank, half of them at each of two proxies.
fn nginx_agrees(proxies: &Path) {
    let own = format!(
        "pid {0}/nginx.pid; error_log {0}/error.log;",
        proxies.display()
    );
    let nginx = |config: &str, own: &str| {
        let mut nginx = Command::new("nginx");
        nginx
            .arg("-p")
            .arg(proxies)
            .arg("-c")
            .arg(proxies.join(config));
        nginx.args(["-g", own]).stdin(Stdio::null());
        nginx
    };
    let Ok(done) = nginx("nginx.conf", &own).arg("-t").output() else {
        eprintln!("skipped: no nginx here");
        return;
    };
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{said}");
    // On a socket that nobody else has, with nobody behind: 502 is let through, 429 is not.
    let socket = proxies.join("front.sock");
    let text = fs::read_to_string(proxies.join("nginx.conf")).unwrap();
    let text = text
        .replace("127.0.0.1:8080", &format!("unix:{}", socket.display()))
        .replace("127.0.0.1:8081", "unix:/nowhere.sock");
    fs::write(proxies.join("try.conf"), text).unwrap();
    let own = format!("daemon off; master_process off; {own}");
    let mut child = nginx("try.conf", &own).spawn().unwrap();
    let mut front = None;
    until("nginx listens", || {
        front = UnixStream::connect(&socket).ok();
        front.is_some()
    });
    let mut writer = front.unwrap();
    let mut reader = BufReader::new(writer.try_clone().unwrap());
    let from = Instant::now();
    let (mut through, mut refused) = (0, 0);
    for _ in 0..900 {
        let request = b"POST /v1/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
        writer.write_all(request).unwrap();
        match status(&mut reader) {
            429 => refused += 1,
            502 => through += 1,
            other => panic!("{other}"),
        }
    }
    let most = 202.0 + 200.0 * from.elapsed().as_secs_f64();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        through >= 200 && f64::from(through) <= most,
        "{through} of {most}"
    );
    assert!(refused > 0 || most >= 900.0, "nothing was refused");
}

/// Reads one answer to its end.
fn status(reader: &mut impl BufRead) -> u16 {
    let (mut status, mut length) = (0, 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let line = line.trim_end();
        if let Some(rest) = line.strip_prefix("HTTP/1.1 ") {
            status = rest[..3].parse().unwrap();
        }
        if let Some(rest) = line.strip_prefix("Content-Length: ") {
            length = rest.parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
    }
    reader.read_exact(&mut vec![0; length]).unwrap();
    status
}

#[test]
fn a_door_refuses_old_limits_and_lets_go_of_those_that_become_old() {
    let upstream = Upstream::saying("ok");
    let file = |build: &str, expires_in_ms: i64| {
        let at = |ms: i64| {
            let now = jiff::Timestamp::now().as_millisecond();
            jiff::Timestamp::from_millisecond(now + ms)
                .unwrap()
                .to_string()
        };
        format!(
            "routes: [{{name: order, target: {{upstream: shop}}}}]\n{}limits:\n  version: 1\n  \
             rules:\n    - name: all\n      rate: 100/h\n      burst: 100\n      provenance: \
             {{run: r, build: {build}, safety_factor: 1.5, measured: '{}', expires: '{}'}}\n",
            upstream.pool("shop", ""),
            at(-86_400_000),
            at(expires_in_ms)
        )
    };
    let gate = Gate::new(&file("\"1.0\"", 5_000));
    assert_eq!(gate.client().get("/").status, 200);
    assert_eq!(gate.seen("rules", "all")["stale"], false);
    until("the limit is told to be old", || {
        gate.seen("rules", "all")["stale"] == true
    });
    assert_eq!(gate.client().get("/").status, 200);
    let metric = "seawall_door_rule_total{rule=\"all\",what=\"stale\"}";
    assert!(gate.metric(metric) >= 1.0);
    // The same file again is refused, and so is another build's; both say so.
    gate.write(&file("\"1.0\"", -1_000));
    let config = gate.path("gateway.yaml");
    let check = |build: &str| {
        let file = config.to_str().unwrap();
        seawall(config.parent().unwrap(), &["check", file, "--build", build])
    };
    check("1.0").said(64, &["expired at", "expected a newer limit"]);
    gate.write(&file("\"1.0\"", 86_400_000));
    check("1.0").said(0, &[]);
    check("2.0").said(
        64,
        &["found build \"1.0\", expected \"2.0\", the build that stands here"],
    );
}
