//! Configuration: what is read from where, and what is said when it is wrong.

use host::config::{Config, JwtAlgorithm, KEYS, Place, Problems, Sources, documented, load};
use std::path::PathBuf;
use std::time::Duration;

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
        .collect()
}

fn loaded(
    yaml: Option<&str>,
    env: &[(&str, &str)],
    flags: &[(&str, &str)],
) -> Result<Config, Problems> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seawall.yaml");
    if let Some(yaml) = yaml {
        std::fs::write(&file, yaml).unwrap();
    }
    let file = yaml.map(|_| file);
    load(Sources {
        file,
        env: pairs(env),
        flags: pairs(flags),
    })
}

/// The problems as `line: text`, without the folder.
fn problems(yaml: &str) -> Vec<String> {
    let short = |place: &Place| match place {
        Place::File { line, .. } => line.to_string(),
        other => other.to_string(),
    };
    let problems = loaded(Some(yaml), &[], &[]).unwrap_err().0;
    problems
        .iter()
        .map(|p| format!("{}: {}", short(&p.place), p.what))
        .collect()
}

#[test]
fn the_defaults_are_a_whole_configuration() {
    let config = loaded(None, &[], &[]).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.admin.to_string(), "127.0.0.1:8081");
    assert!(config.workers >= 1);
    assert_eq!(config.windows.remember, Duration::from_secs(24 * 3_600));
    assert_eq!(config.windows.returns, Duration::from_secs(45 * 24 * 3_600));
    assert_eq!((config.jwt, config.channel_tokens_file), (None, None));
    assert!(config.origins.is_empty());
    assert_eq!(loaded(Some(""), &[], &[]).unwrap().listen, config.listen);
}

#[test]
fn each_layer_covers_the_one_below() {
    let yaml = "cell: 1\nhttp:\n  header_ms: 1000\n  idle_ms: 1000\n  body_ms: 1000\n";
    let env = [
        ("SEAWALL_HTTP_IDLE_MS", "2000"),
        ("SEAWALL_HTTP_BODY_MS", "2000"),
    ];
    let config = loaded(Some(yaml), &env, &[("http.body_ms", "3000")]).unwrap();
    let h = config.http;
    let seen = (h.first_byte_ms, h.header_ms, h.idle_ms, h.body_ms);
    assert_eq!(
        seen,
        (10_000, 1_000, 2_000, 3_000),
        "default, file, environment, flag"
    );
    assert_eq!(config.cell, 1);
}

#[test]
fn a_whole_file_is_read() {
    let yaml = r#"
listen: "0.0.0.0:80"
admin: 127.0.0.1:0
workers: 3
data: /var/lib/seawall
cell: 7
origins:
  - https://shop.example
  - HTTPS://m.shop.example:8443
http: {connections_max: 500, header_ms: 1000}
sessions: {hours: 12, cookie_secure: true}
journal: {segment_mib: 16, reserve_mib: 100}
windows: {remember: 90s, returns: 2h}
payment:
  sandbox: {delay_ms_median: 5, decline_share: 0.5, unknown_share: 1e-1, unavailable_share: 0}
jwt: {issuer: "https://id.example", audience: shop, algorithm: ES256, key_file: key.pem}
channel_tokens_file: tokens
log: {format: json, level: "warn,engine=debug"}
"#;
    let config = loaded(Some(yaml), &[], &[]).unwrap();
    assert_eq!(config.listen.port(), 80);
    assert_eq!((config.workers, config.cell), (3, 7));
    assert_eq!(
        config.origins,
        ["https://shop.example", "https://m.shop.example:8443"]
    );
    assert_eq!(
        (config.http.connections_max, config.http.idle_ms),
        (500, 60_000)
    );
    assert!(config.sessions.cookie_secure);
    assert_eq!(config.windows.remember, Duration::from_secs(90));
    assert!((config.sandbox.unknown_share - 0.1).abs() < 1e-12);
    let jwt = config.jwt.unwrap();
    assert_eq!(
        (jwt.algorithm, jwt.key_file),
        (JwtAlgorithm::Es256, PathBuf::from("key.pem"))
    );
    assert_eq!(config.channel_tokens_file, Some("tokens".into()));
    assert_eq!(config.log.level, "warn,engine=debug");
}

#[test]
fn all_problems_are_told_at_once_with_line_and_expectation() {
    let yaml = "\
listen: localhost
wrokers: 3
cell: 1024
http:
  idle_ms: soon
  header_ms:
  idle: 3
journal: 64
windows:
  remember: 0s
  returns: 99999999999999999999d
payment: {sandbox: {decline_share: 1.5}}
origins: [https://shop.example/path, ftp://x, \"https://shop.example:443\"]
sessions: [1]
log: {level: loud, format: [text, json]}
segment_mib: 3
";
    let told = problems(yaml);
    let expected = [
        "1: listen: expected an address with a port",
        "2: \"wrokers\" is no setting; did you mean \"workers\"?",
        "3: cell: expected a whole number from 0 to 1023, found \"1024\"",
        "5: http.idle_ms: expected milliseconds from 100 to 3600000, found \"soon\"",
        "6: http.header_ms has no value",
        "7: \"http.idle\" is no setting",
        "8: \"journal\": expected settings below it, found \"64\"",
        "10: windows.remember: expected a duration from 1s to 3650d",
        "11: windows.returns: expected a duration from 1s to 3650d",
        "12: payment.sandbox.decline_share: expected a number from 0 to 1, found \"1.5\"",
        "13: origins: expected web origins",
        "14: \"sessions\"",
        "15: log.level: expected error, warn",
        "15: log.format: expected text or json",
        "16: \"segment_mib\" is no setting; did you mean \"journal.segment_mib\"?",
    ];
    for begin in expected {
        assert!(
            told.iter().any(|p| p.starts_with(begin)),
            "no {begin:?} in {told:#?}"
        );
    }
    assert_eq!(told.len(), expected.len(), "{told:#?}");
}

#[test]
fn what_belongs_together_is_checked_together() {
    let cases = [
        (
            "jwt: {issuer: a, algorithm: RS256}",
            "jwt.issuer needs jwt.audience, jwt.key_file as well",
        ),
        (
            "jwt: {issuer: a, audience: b, algorithm: none, key_file: c}",
            "jwt.algorithm: expected",
        ),
        (
            "admin: 127.0.0.1:8080",
            "admin: expected another address than listen",
        ),
        (
            "payment: {sandbox: {decline_share: 0.5, unknown_share: 0.6}}",
            "the three shares of payment.sandbox are above 1",
        ),
    ];
    for (yaml, begin) in cases {
        let told = problems(yaml);
        assert_eq!(told.len(), 1, "{yaml}: {told:?}");
        assert!(
            told[0].starts_with(&format!("1: {begin}")),
            "{yaml}: {told:?}"
        );
    }
    loaded(Some("listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\n"), &[], &[]).unwrap();
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let missing = Sources {
        file: Some("/nowhere/seawall.yaml".into()),
        ..Sources::default()
    };
    let told = load(missing).unwrap_err().to_string();
    assert!(
        told.contains("/nowhere/seawall.yaml: cannot read the configuration"),
        "{told}"
    );

    for broken in [
        "a: [1",
        "listen: x\nlisten: y\n",
        "- 1\n",
        "just a text",
        "a: *nobody\n",
    ] {
        let told = problems(broken);
        assert_eq!(told.len(), 1, "{broken:?}: {told:?}");
    }
    assert!(problems("cell: 1\n  admin: [\n")[0].starts_with("2: not readable as YAML"));
    let large = format!("# {}\n", "x".repeat(1_100_000));
    assert!(problems(&large)[0].contains("expected at most 1048576 bytes"));
}

#[test]
fn environment_and_flags_name_themselves() {
    let env = [
        ("SEAWALL_LISTEN", "nowhere"),
        ("SEAWALL_LITSEN", "127.0.0.1:1"),
        ("SEAWALL_ORIGINS", "https://a.example, https://b.example"),
        ("SEAWALL_CONFIG", "elsewhere.yaml"),
        ("SEAWALL_SERVICE_HOST", "10.0.0.1"),
        ("SEAWALL_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
        ("PATH", "/bin"),
    ];
    let flags = [("workers", "0"), ("colour", "red")];
    let told = loaded(None, &env, &flags).unwrap_err().0;
    let places: Vec<String> = told.iter().map(|p| p.place.to_string()).collect();
    assert_eq!(
        places,
        [
            "SEAWALL_LITSEN",
            "--set colour",
            "SEAWALL_LISTEN",
            "--workers"
        ]
    );

    let fine = loaded(None, &env[2..], &[]).unwrap();
    assert_eq!(fine.origins, ["https://a.example", "https://b.example"]);
}

#[test]
fn every_setting_is_read_and_documented() {
    for key in KEYS {
        // A text that no setting but a free one takes shows that somebody reads it.
        let told = loaded(None, &[(&key.env(), "\u{0}")], &[]);
        let free = ["data", "channel_tokens_file"].contains(&key.path);
        let alone = key.path.starts_with("jwt.");
        let read = match told {
            Ok(config) => free && format!("{config:?}").contains("\\0"),
            Err(p) => {
                p.0.iter()
                    .any(|p| alone || p.what.starts_with(&format!("{}:", key.path)))
            }
        };
        assert!(read, "nobody reads {}", key.path);
    }
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    let page = std::fs::read_to_string(page).unwrap();
    assert!(
        page.contains(&documented()),
        "docs/configuration.md has another table than this one:\n{}",
        documented()
    );
}

#[test]
fn the_example_of_the_page_is_a_configuration() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    let page = std::fs::read_to_string(page).unwrap();
    let example = page
        .split("```yaml\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    let config = loaded(Some(example.unwrap()), &[], &[]).unwrap();
    assert_eq!(
        config.origins,
        ["https://shop.example"],
        "the example is the one that was read"
    );
}
