//! Marks: signed, forged, expired, taken out.

use super::*;
use crate::mutate::{apply, edits};
use proptest::prelude::*;
use wire::gateway::listeners::Mark;

const KEY: [u8; 32] = [7; 32];
const NOW: u64 = 1_800_000_000;

fn head(values: &[&[u8]]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in values {
        let value = HeaderValue::from_bytes(value).expect("a header's value");
        headers.append(SEAWALL_MARK, value);
    }
    headers
}

fn signed(key: &[u8; 32], run: &str, expiry_s: u64) -> String {
    let run = RunId::new(run).expect("a run");
    let mark = Marks::of_key(key).sign(&run, expiry_s).expect("a key");
    mark.to_str().expect("ASCII").to_owned()
}

/// Made with Python's hmac and base64, so that the format cannot drift with the code.
#[test]
fn the_format_is_pinned() {
    assert_eq!(
        signed(&KEY, "run-2026_11", 1_800_000_060),
        "v1.run-2026_11.1800000060.in29n1JocHHcxSxNuEutZXFN8AlcNed31_-QeJb09p8"
    );
}

#[test]
fn a_mark_is_good_until_its_second() {
    let mark = signed(&KEY, "r1", NOW);
    let run = RunId::new("r1").expect("a run");
    let check = |now_s| Marks::of_key(&KEY).check(&head(&[mark.as_bytes()]), now_s);
    assert_eq!(check(NOW - 1), Marked::Marked { run });
    assert_eq!(check(NOW), Marked::Expired);
}

#[test]
fn everything_else_is_forged() {
    let good = signed(&KEY, "r1", NOW + 60);
    let (rest, tag) = good.rsplit_once('.').expect("dots");
    let other = signed(&[8; 32], "r1", NOW + 60);
    let another_tag = good.replace(&tag[..1], if tag.starts_with('A') { "B" } else { "A" });
    // The last letter holds two bits that decode to nothing.
    let spelled = format!("{rest}.{}{}", &tag[..42], "-");
    let rows: &[(&str, String)] = &[
        ("empty", String::new()),
        ("no mark", "hello".into()),
        ("of another key", other),
        ("another version", good.replacen("v1", "v2", 1)),
        ("another run", good.replacen("r1", "r2", 1)),
        ("another expiry", good.replace("1800000060", "1800000061")),
        ("a zero before", good.replace("1800000060", "01800000060")),
        ("a sign", good.replace("1800000060", "+1800000060")),
        ("a part more", good.replacen("r1", "r1.x", 1)),
        ("no run", good.replacen("r1", "", 1)),
        ("no tag", format!("{rest}.")),
        ("a short tag", format!("{rest}.{}", &tag[..42])),
        ("a padded tag", format!("{good}=")),
        ("another tag", another_tag),
        ("another spelling", spelled),
        ("space", format!("{good} ")),
        (
            "an expiry beyond numbers",
            good.replace("1800000060", &"9".repeat(30)),
        ),
    ];
    for (what, mark) in rows {
        let marked = Marks::of_key(&KEY).check(&head(&[mark.as_bytes()]), NOW);
        assert_eq!(marked, Marked::Forged, "{what}: {mark}");
    }
    let twice = head(&[good.as_bytes(), good.as_bytes()]);
    assert_eq!(Marks::of_key(&KEY).check(&twice, NOW), Marked::Forged);
    let letters = head(&[b"v1.\xff.1.x"]);
    assert_eq!(Marks::of_key(&KEY).check(&letters, NOW), Marked::Forged);
}

#[test]
fn what_is_not_good_is_taken_out_and_counted() {
    let marks = Marks::of_key(&KEY);
    let good = signed(&KEY, "r1", NOW + 1);
    let old = signed(&KEY, "r1", NOW);
    let mut heads = [
        (head(&[good.as_bytes()]), 1),
        (head(&[old.as_bytes()]), 0),
        (head(&[b"x"]), 0),
        (head(&[good.as_bytes(), good.as_bytes()]), 0),
        (head(&[]), 0),
    ];
    for (headers, left) in &mut heads {
        marks.admit(headers, NOW);
        assert_eq!(headers.get_all(SEAWALL_MARK).iter().count(), *left);
    }
    let counts = MarkCounts {
        marked: 1,
        forged: 2,
        expired: 1,
    };
    assert_eq!(marks.counts(), counts);
}

#[test]
fn without_keys_no_mark_is_believed() {
    let good = signed(&KEY, "r1", NOW + 60);
    let mut headers = head(&[good.as_bytes()]);
    assert!(Marks::none().admit(&mut headers, NOW).is_none());
    assert!(!headers.contains_key(SEAWALL_MARK));
    assert_eq!(
        Marks::none().sign(&RunId::new("r").expect("run"), NOW),
        None
    );
}

#[test]
fn the_first_key_signs_and_all_are_accepted() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, key: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, key).expect("a file");
        path
    };
    let (new, old) = (file("new", &[9; 32]), file("old", &KEY));
    let key_files = vec![new, old.clone()];
    let marks = Marks::read(&Mark {
        key_files,
        at: String::new(),
    })
    .expect("two keys");
    let run = RunId::new("r1").expect("a run");
    let by_old = signed(&KEY, "r1", NOW + 60);
    let checked = marks.check(&head(&[by_old.as_bytes()]), NOW);
    assert_eq!(checked, Marked::Marked { run });
    let own = marks.sign(&run, NOW + 60).expect("a mark");
    assert_eq!(
        own.to_str().expect("ASCII"),
        signed(&[9; 32], "r1", NOW + 60)
    );

    let short = file("short", &[1; 31]);
    let key_files = vec![old, short];
    let error = Marks::read(&Mark {
        key_files,
        at: String::new(),
    })
    .expect_err("a short key");
    let text = error.to_string();
    assert!(
        text.ends_with("short holds 31 bytes, expected 32 to 4096"),
        "{text}"
    );
    let key_files = vec![folder.path().join("none")];
    let error = Marks::read(&Mark {
        key_files,
        at: String::new(),
    })
    .expect_err("no file");
    assert!(
        error.to_string().contains("none is not readable"),
        "{error}"
    );
}

/// What is left of `baggage` after the door, beside a mark in the header if there is `plain`.
fn baggage(lists: &[&str], plain: Option<&str>) -> (bool, Vec<String>, bool) {
    let mut headers = head(&plain.map(str::as_bytes).into_iter().collect::<Vec<_>>());
    for list in lists {
        let list = HeaderValue::from_str(list).expect("a header's value");
        headers.append(BAGGAGE, list);
    }
    let good = Marks::of_key(&KEY).admit(&mut headers, NOW).is_some();
    let left = headers.get_all(BAGGAGE).iter();
    let left = left.map(|list| list.to_str().expect("ASCII").to_owned());
    let plain = headers.contains_key(SEAWALL_MARK);
    (good, left.collect(), plain)
}

#[test]
fn a_mark_may_stand_in_baggage_and_goes_on_in_both_places() {
    let mark = signed(&KEY, "r1", NOW + 60);
    let other = signed(&KEY, "r2", NOW + 60);
    let old = signed(&KEY, "r1", NOW);
    let ours = format!("{MEMBER}={mark}");
    let both = |left: &str| (true, vec![left.to_owned()], true);
    assert_eq!(baggage(&[&ours], None), both(&ours));
    let among = format!("a=1;p=2, {MEMBER} = {mark} ;ttl=1,b=2");
    assert_eq!(baggage(&[&among], None), both(&among));
    assert_eq!(baggage(&[&ours], Some(&mark)), both(&ours));
    assert_eq!(
        baggage(&["a=1"], Some(&mark)),
        (true, vec!["a=1".into(), ours.clone()], true)
    );

    let gone = |left: &[&str]| {
        let left = left.iter().map(|list| (*list).to_owned()).collect();
        (false, left, false)
    };
    let forged = format!("a=1,{MEMBER}=yes,b=2");
    assert_eq!(baggage(&[&forged], None), gone(&["a=1,b=2"]));
    assert_eq!(baggage(&[&format!("{MEMBER}={old}")], None), gone(&[]));
    assert_eq!(baggage(&[&ours, &ours], None), gone(&[]), "twice");
    assert_eq!(baggage(&[&ours], Some(&other)), gone(&[]), "two runs");
    assert_eq!(baggage(&["a=1,b"], None), gone(&["a=1,b"]), "none at all");
}

/// Made with Python's hmac and base64, so that other languages can make them.
#[test]
fn acknowledgements_are_signed_apart_from_marks() {
    let run = RunId::new("run-2026_11").expect("a run");
    let marks = Marks::of_key(&KEY);
    let told = marks.acknowledgement(&run).expect("a key");
    assert_eq!(
        told,
        "v1.run-2026_11.bjedZSCz9TYJtzsy8BKR3FJCY6jzpUeW775J67vkSu0"
    );
    let mark = signed(&KEY, "run-2026_11", NOW + 60);
    let admitted = marks.admit(&mut head(&[mark.as_bytes()]), NOW);
    assert_eq!(admitted.expect("a mark").acknowledgement, told);
}

#[test]
fn a_run_has_a_plain_name() {
    for bad in ["", "a b", "a.b", "ä", "a\n", &"x".repeat(65)] {
        assert_eq!(RunId::new(bad), None, "{bad:?}");
    }
    assert!(RunId::new(&"x".repeat(64)).is_some());
}

proptest! {
    /// A mark that was changed, or that nobody signed, is never taken for one.
    #[test]
    fn any_bytes_are_forged(
        run in "[A-Za-z0-9_-]{1,64}",
        expiry_s in NOW + 1..NOW * 2,
        changes in edits(&[".", "v1", "0", "A", "-", "=", "1800000060"]),
        random in prop::collection::vec(any::<u8>(), 0..160),
    ) {
        let good = signed(&KEY, &run, expiry_s);
        let marks = Marks::of_key(&KEY);
        let run = RunId::new(&run).unwrap();
        prop_assert_eq!(marks.check(&head(&[good.as_bytes()]), NOW), Marked::Marked { run });
        for other in [apply(good.as_bytes(), &changes), random] {
            if other == good.as_bytes() || HeaderValue::from_bytes(&other).is_err() {
                continue;
            }
            let mut headers = head(&[&other]);
            prop_assert_eq!(marks.check(&headers, NOW), Marked::Forged, "{:?}", other);
            prop_assert!(marks.admit(&mut headers, NOW).is_none());
            prop_assert!(headers.is_empty());
        }
    }
}
