//! What keeps a shop from starting, and whether it says so: what was wrong, where, and what was
//! expected.

use crate::http::Client;
use crate::site::{Ended, Site, binary, command, product, run};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

/// A stopped shop that has sold something, in `orders` batches.
fn sold(orders: u32) -> Site {
    let site = Site::selling("A", 1_000);
    let shop = site.up();
    let mut buyer = shop.buyer(1);
    for n in 0..orders {
        buyer.order(&format!("k{n}"), "A", 1).order();
    }
    shop.kill();
    site
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

/// Changes one file's bytes.
fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

/// Where each record of a segment starts, with its length.
fn records(bytes: &[u8]) -> Vec<(usize, usize)> {
    let mut at = 512;
    let mut found = Vec::new();
    while bytes[at..].starts_with(b"SWbr") {
        let payload = u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize;
        let length = 32 + payload.next_multiple_of(8);
        found.push((at, length));
        at += length;
    }
    found
}

#[test]
fn a_journal_of_another_version() {
    let site = sold(3);
    let segment = site.segments().remove(0);
    for file in [segment.clone(), site.data().join("journal/META")] {
        let before = fs::read(&file).unwrap();
        edit(&file, |bytes| {
            bytes[8..12].copy_from_slice(&77u32.to_le_bytes())
        });
        let words = [
            name_of(&file),
            "version 77".to_owned(),
            "version 1".to_owned(),
        ];
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        site.refuses().said(1, &words);
        site.seawall(&["journal", "verify"]).said(1, &words);
        fs::write(&file, before).unwrap();
    }
    let shop = site.up();
    assert_eq!(
        shop.units("A"),
        [997, 3, 0],
        "nothing was changed by refusing"
    );
}

#[test]
fn damage_in_the_middle_of_the_journal() {
    let site = sold(20);
    let segment = site.segments().remove(0);
    let whole = fs::read(&segment).unwrap();
    let found = records(&whole);
    assert!(found.len() > 10, "{} records", found.len());
    let (at, length) = found[found.len() / 2];
    // name, byte: in the record's head, in its payload, in its checksum
    for (name, byte) in [
        ("head", at + 12),
        ("payload", at + length - 12),
        ("checksum", at + 5),
    ] {
        edit(&segment, |bytes| bytes[byte] ^= 0x40);
        let place = format!("{} is damaged at byte {at}", name_of(&segment));
        for ended in [site.refuses(), site.seawall(&["journal", "verify"])] {
            assert!(
                ended.err.contains(&place),
                "{name}: no {place:?} in {ended:?}"
            );
            ended.said(1, &[]);
        }
        let verdict = site.seawall(&["journal", "verify", "--json"]).json();
        assert_eq!(verdict["good"], false, "{name}");
        assert!(
            verdict["problem"].as_str().unwrap().contains(&place),
            "{name}: {verdict}"
        );
        fs::write(&segment, &whole).unwrap();
    }
    site.seawall(&["journal", "verify"]).said(0, &[]);
}

#[test]
fn a_torn_tail_is_cut_and_told() {
    type Tear = fn(&mut Vec<u8>, usize, usize);
    // name, what a crash left of the last batch
    let cases: [(&str, Tear); 3] = [
        ("its end never came", |bytes, at, length| {
            bytes[at + length - 16..at + length].fill(0)
        }),
        ("half of it is garbage", |bytes, at, length| {
            bytes[at + 24..at + length].fill(0xa5)
        }),
        ("only its first bytes", |bytes, at, length| {
            bytes[at + 6..at + length].fill(0)
        }),
    ];
    for (name, tear) in cases {
        let site = sold(10);
        let segment = site.segments().remove(0);
        let whole = fs::read(&segment).unwrap();
        let (at, length) = *records(&whole).last().unwrap();
        edit(&segment, |bytes| tear(bytes, at, length));
        let verify = site.seawall(&["journal", "verify"]);
        assert!(verify.out.contains("torn"), "{name}: {verify:?}");
        let shop = site.up();
        assert!(
            shop.log().contains("cut the torn batch"),
            "{name}: {}",
            shop.log()
        );
        let held = shop.units("A")[1];
        assert!(
            (9..=10).contains(&held),
            "{name}: {held} of ten orders left"
        );
        shop.buyer(2).order("on", "A", 1).order();
        shop.stop();
        site.seawall(&["journal", "verify"]).said(0, &[]);
    }
}

/// The binary where every user may run it.
fn for_everybody(folder: &Path) -> PathBuf {
    let copy = folder.join("seawall");
    fs::copy(binary(), &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    copy
}

#[test]
fn an_unreadable_data_folder() {
    let site = Site::empty();
    fs::create_dir(site.data()).unwrap();
    let program = for_everybody(site.folder.path());
    fs::set_permissions(site.data(), fs::Permissions::from_mode(0o000)).unwrap();
    let mut command = site.up_command(&program);
    command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    if rustix::process::getuid().is_root() {
        // No folder is unreadable for root.
        command.uid(65_534).gid(65_534);
    }
    let ended = run(command);
    fs::set_permissions(site.data(), fs::Permissions::from_mode(0o700)).unwrap();
    let data = site.data().to_str().unwrap();
    ended.said(
        1,
        &["cannot read the data folder", data, "Permission denied"],
    );
}

#[test]
fn a_data_path_that_is_a_file() {
    let site = Site::empty();
    fs::write(site.data(), "not a folder").unwrap();
    site.refuses()
        .said(1, &[site.data().to_str().unwrap(), "is not a folder"]);
    assert_eq!(fs::read_to_string(site.data()).unwrap(), "not a folder");
}

#[test]
fn a_port_in_use() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    // The listener of the shop, and that of the operators.
    for (listen, admin) in [
        (addr.as_str(), "127.0.0.1:0"),
        ("127.0.0.1:0", addr.as_str()),
    ] {
        let site = Site::empty();
        let mut command = site.up_command(&binary());
        command.args(["--listen", listen, "--admin", admin]);
        run(command).said(1, &[&addr, "in use"]);
    }
}

#[test]
fn a_second_process_on_the_same_folder() {
    let site = Site::selling("A", 10);
    let shop = site.up();
    let holder = format!("process {}", shop.pid());
    site.refuses()
        .said(1, &["journal", &holder, "only one process"]);
    shop.buyer(1).order("k", "A", 1).order();
    shop.stop();
    // The lock went with its process.
    assert_eq!(site.up().units("A"), [9, 1, 0]);
}

#[test]
fn a_broken_campaign_file() {
    let site = Site::empty();
    let file = site.path("broken.yaml");
    let text = "version: 2\nname: broken\ntitle: \"\"\nt0: tomorrow\ncatalogue: nowhere.csv\n\
                buyers: -5\nsurprise: 1\ncoupons:\n  - {code: X, quota: many, amount_off: 1, \
                minimum_total: 0, currency: euro}\ndemand:\n  curve:\n    - [0s, 1]\n    - [-5s, 2]\n";
    fs::write(&file, text).unwrap();
    let all = [
        "broken.yaml",
        "version",
        "t0",
        "buyers",
        "surprise",
        "quota",
        "currency",
    ];
    let mut command = site.up_command(&binary());
    command
        .arg("--campaign")
        .arg(&file)
        .args(["--listen", "127.0.0.1:0"]);
    run(command).said(64, &all);
    assert!(!site.data().join("journal").exists(), "nothing was started");
    let mut check = self::check();
    check.arg("--json").arg(&file);
    let ended = run(check);
    ended.said(64, &[]);
    let report = ended.json();
    assert_eq!(report["good"], false);
    let problems = report["problems"].to_string();
    for word in all {
        assert!(problems.contains(word), "no {word} in {problems}");
    }
    // A campaign that is well-formed but names no catalogue that exists.
    let bundled =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/double11/campaign.yaml");
    let text = fs::read_to_string(bundled).unwrap();
    fs::write(&file, text.replace("catalogue.csv", "nowhere.csv")).unwrap();
    let mut check = self::check();
    check.arg(&file);
    run(check).said(64, &["nowhere.csv"]);
}

fn check() -> std::process::Command {
    let mut check = command(&binary());
    check.arg("check");
    check
}

#[test]
fn a_broken_configuration() {
    let site = Site::empty();
    let text = "wrokers: 2\njournal: {segment_mib: 0}\nwindows: {remember: 1y}\nlisten: 8080\n";
    fs::write(site.path("seawall.yaml"), text).unwrap();
    let words = [
        "wrokers",
        "\"workers\"",
        "journal.segment_mib",
        "windows.remember",
        "1y",
    ];
    let started = run({
        let mut command = site.up_command(&binary());
        command.args(["--admin", "127.0.0.1:0"]);
        command
    });
    started.said(64, &words);
    assert!(started.err.contains("4 problems"), "{}", started.err);
    assert!(!site.data().exists(), "nothing was started");
    let mut check = self::check();
    check.arg("--config").arg(site.path("seawall.yaml"));
    run(check).said(64, &words);
    fs::write(site.path("seawall.yaml"), "log: {level: [").unwrap();
    let mut check = self::check();
    check.arg("--config").arg(site.path("seawall.yaml"));
    run(check).said(64, &["seawall.yaml"]);
    let mut typo = site.up_command(&binary());
    typo.env("SEAWALL_WROKERS", "2");
    run(typo).said(64, &["SEAWALL_WROKERS"]);
    run(site.up_command(&binary()).tap("--no-such-flag")).said(64, &["--no-such-flag"]);
}

trait Tap {
    fn tap(self, arg: &str) -> Self;
}
impl Tap for std::process::Command {
    fn tap(mut self, arg: &str) -> Self {
        self.arg(arg);
        self
    }
}

/// A projection whose journal is another: refused in clear words, and put right by one command.
#[test]
fn a_projection_of_another_journal() {
    let (site, other) = (sold(5), sold(9));
    let projection = |site: &Site| site.data().join("projection.db");
    // Let the other shop's projection catch up.
    let shop = other.up();
    assert_eq!(
        shop.buyer(1).get("/v1/orders").json()["orders"]
            .as_array()
            .unwrap()
            .len(),
        9
    );
    shop.stop();
    for beside in ["-wal", "-shm"] {
        // Belongs to the file that goes.
        let _ = fs::remove_file(site.data().join(format!("projection.db{beside}")));
    }
    fs::copy(projection(&other), projection(&site)).unwrap();
    let ended: Ended = site.refuses();
    ended.said(1, &["projection.db", "another journal", "rebuild"]);
    site.seawall(&["rebuild", "projection"]).said(0, &[]);
    let shop = site.up();
    let listed = shop.buyer(1).get("/v1/orders").json();
    assert_eq!(listed["orders"].as_array().unwrap().len(), 5);
}

#[test]
fn verbs_on_folders_without_a_journal() {
    let site = Site::empty();
    for verb in [
        ["journal", "verify"],
        ["journal", "digest"],
        ["journal", "dump"],
    ] {
        site.seawall(&verb)
            .said(1, &["no journal", site.data().to_str().unwrap()]);
    }
    site.seawall(&["rebuild", "projection"])
        .said(1, &["journal"]);
    assert!(
        !site.data().join("projection.db").exists(),
        "nothing to rebuild, nothing made"
    );
}

#[test]
fn health_and_operators_are_apart_from_buyers() {
    let site = Site::new(&[product("A", 5)]);
    let shop = site.up();
    let mut anybody = Client::new(shop.admin);
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(anybody.get(path).status, 200, "{path}");
    }
    // name, authorization
    let session = format!("Bearer {}", shop.session(1, u64::MAX));
    for (name, value) in [
        ("none", ""),
        ("wrong", "Bearer x"),
        ("a buyer's", session.as_str()),
    ] {
        for (method, path) in [
            ("GET", "/operator/books"),
            ("POST", "/operator/skus/A/close"),
        ] {
            let answer = anybody.send(method, path, &[("Authorization", value)], b"");
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (401, "unauthenticated"),
                "{name}"
            );
        }
    }
    assert_eq!(
        shop.operator()
            .send("GET", "/operator/books", &[], b"")
            .status,
        200
    );
    // The buyers' listener has none of it.
    for path in ["/operator/books", "/metrics"] {
        assert_eq!(shop.operator_at_front().get(path).status, 404, "{path}");
    }
}
