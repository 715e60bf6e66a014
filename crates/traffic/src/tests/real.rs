//! Real data, where it is.

use crate::limits::REORDER_REQUESTS;
use crate::profile::Profile;
use crate::template::Learner;
use crate::traces::add_jaeger;
use crate::{Format, Options, Seen, Speed, Summary, open, plan};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The unpacked files of an archive, or `None` with a word on stderr where there is no real data.
fn unpacked(archive: &str) -> Option<tempfile::TempDir> {
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
    let tar = Command::new("tar")
        .arg("-xJf")
        .arg(archive)
        .arg("-C")
        .arg(folder.path())
        .status();
    assert!(tar.unwrap().success());
    Some(folder)
}

#[test]
fn ten_thousand_real_lines() {
    let Some(folder) = unpacked("apache-access-10k.tar.xz") else {
        return;
    };
    let file = folder.path().join("apache_logs");
    let mut learner = Learner::new(Vec::new());
    open(&file, &Options::default())
        .unwrap()
        .flatten()
        .for_each(|seen| learner.learn(seen.path()));
    let templates = learner.finish();
    let mut summary = Summary::default();
    let reader = open(&file, &Options::default()).unwrap();
    assert_eq!(reader.format(), Format::Combined);
    reader.for_each(|next| summary.take(&next, &templates));
    assert_eq!((summary.understood, summary.refused_lines()), (10_000, 0));
    let statuses: Vec<(u16, u64)> = summary.statuses.clone().into_iter().collect();
    // As the README of the data says.
    let expected = [
        (200, 9_126),
        (206, 45),
        (301, 164),
        (304, 445),
        (403, 2),
        (404, 213),
        (416, 2),
        (500, 3),
    ];
    assert_eq!(statuses, expected);
    // Of 1,387 different methods and paths.
    let endpoints = summary.endpoints.len();
    assert!(endpoints < 1_000, "{endpoints}");
    hourly_shares_stay(&file, &summary);
}

fn hourly_shares_stay(file: &Path, summary: &Summary) {
    let first = summary.first_us.unwrap();
    let requests = open(file, &Options::default()).unwrap().flatten();
    let mut hours: BTreeMap<u64, u64> = BTreeMap::new();
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    let mut planned = plan(requests, Speed::times(1_000));
    for next in planned.by_ref() {
        *hours
            .entry((first + next.at_us * 1_000) / 3_600_000_000)
            .or_default() += 1;
        let client = next.seen.client.unwrap();
        let before = last.insert(client, next.seen.at_us).unwrap_or(0);
        assert!(before <= next.seen.at_us, "a client's order");
    }
    assert_eq!(planned.late(), 0, "a window of {REORDER_REQUESTS}");
    assert_eq!(hours.len(), summary.hours.len());
    for (hour, recorded) in &summary.hours {
        let found = hours.get(hour).copied().unwrap_or(0);
        let share = found as f64 / *recorded as f64;
        assert!(
            (0.95..=1.05).contains(&share),
            "hour {hour}: {recorded} became {found}"
        );
    }
}

/// The samples are a module of JavaScript; what runs it makes them the files that they stand for.
#[test]
fn real_har_recordings() {
    let Some(folder) = unpacked("otlp-har-promtext.tar.xz") else {
        return;
    };
    let module = folder.path().join("har/package/dist/index.cjs");
    let script = "const all = require(process.argv[1]); const fs = require('fs');\
        for (const [name, har] of Object.entries(all)) fs.writeFileSync(\
        process.argv[2] + '/' + name + '.har', JSON.stringify(har, null, 1));";
    let mut node = Command::new("node");
    node.args(["-e", script]).arg(&module).arg(folder.path());
    match node.status() {
        Ok(done) => assert!(done.success()),
        Err(error) => {
            eprintln!("skipped: no node: {error}");
            return;
        }
    }
    let (mut files, mut requests) = (0, 0);
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "har") {
            continue;
        }
        files += 1;
        let text = std::fs::read(&path).unwrap();
        let whole: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let entries = whole["log"]["entries"].as_array().unwrap();
        // Some samples are texts for other tools and have no instant: they are refused by it.
        let dated = entries
            .iter()
            .filter(|entry| entry["startedDateTime"].is_string())
            .count();
        let options = Options {
            format: Some(Format::Har),
            ..Options::default()
        };
        let all: Vec<_> = open(&path, &options).unwrap().collect();
        assert_eq!(all.len(), entries.len(), "{}", path.display());
        let read: Vec<Seen> = all.into_iter().flatten().collect();
        assert_eq!(read.len(), dated, "{}", path.display());
        requests += read.len();
    }
    assert!(
        files > 10 && requests > 10,
        "{requests} requests of {files} files"
    );
}

#[test]
fn real_traces_have_eleven_edges() {
    let Some(folder) = unpacked("jaeger-socialnetwork.tar.xz") else {
        return;
    };
    let mut profile = Profile::default();
    let file = File::open(folder.path().join("dsb-socialnetwork-jaeger.json")).unwrap();
    assert_eq!(add_jaeger(&mut profile, file).unwrap(), 220);
    assert_eq!(profile.edges.len(), 11);
    assert!(
        profile.edges.values().all(|calls| *calls == 20),
        "{:?}",
        profile.edges
    );
}
