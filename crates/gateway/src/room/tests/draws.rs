//! The draw: pinned bytes, evenness, proofs, and a check that finds every manipulation.

use super::proof::{Check, Noted, Proof, Transcript, parse_list, verify};
use super::{Site, T0_S, Visitor, drawn, proof};
use crate::room::draw::{Hash, List, Run, Urn, root_of};
use crate::room::proof::{ALGORITHM, Closed, Revealed, buyer_hex, hex};
use guard::room::Buyer;
use sha2::{Digest, Sha256};

fn secret() -> Hash {
    std::array::from_fn(|at| at as u8)
}

fn run() -> Run {
    Run {
        room: "main".to_owned(),
        t0_s: T0_S,
    }
}

fn buyer(number: usize) -> Buyer {
    let hash: Hash = Sha256::digest(format!("buyer{number}")).into();
    Buyer(u128::from_be_bytes(*hash.first_chunk().unwrap()))
}

fn buyers(count: usize) -> Vec<Buyer> {
    let mut buyers: Vec<_> = (0..1_000).map(buyer).collect();
    buyers.sort();
    buyers.truncate(count);
    buyers
}

/// The values were computed by another program from docs/waiting-room.md.
#[test]
fn the_promised_bytes() {
    assert_eq!(
        hex(&run().commitment(&secret())),
        "85aef06d12fecca9cd96c3ee9c2ff2954e90f3efa7a4a9e16a7ddd4023fa39fd"
    );
    let urn = Urn::new(&secret());
    let roots = [
        (
            0,
            "a286d071078bdd5234f5252fcf69f1f0238b1a5f451f9360a5f4ce69556759cc",
        ),
        (
            1,
            "b8f93707ca370ef91d79c47d59758e6c3502630efb2ea080c8378f355fcfcddb",
        ),
        (
            2,
            "df0f11d4bc9b4b60971b0b66c6ae34e38f9697c45f4e07f3b35242b468587521",
        ),
        (
            3,
            "29ecd97c0eaa0eb600c97a8bb241a3519feec97daea8a723aa5bde2251f85973",
        ),
        (
            255,
            "67cf3cc9ca01923c6554a8c262aac36fee0218be3bd8e564a950b69e46dade29",
        ),
        (
            256,
            "2fa286a404c9019e30656eb4c07fbe1c467221ca8a56231896793e4f254da164",
        ),
        (
            257,
            "a3c84bcc39d5b75d300489d1c0e2e6bf526d19b8e09ee9200faaa6d70150ce36",
        ),
        (
            1_000,
            "28650fd0ae71b7887ef64c143f6f78cd60a45b7d44e3fddb4b242d727db3c1be",
        ),
    ];
    for (count, root) in roots {
        assert_eq!(
            hex(&List::close(buyers(count), &urn).root()),
            root,
            "{count} buyers"
        );
    }
    let first = buyers(1)[0];
    assert_eq!(buyer_hex(first), "0020b3c4af88025aab4ebca94fb29d4e");
    assert_eq!(urn.draw(first), 0x18a2_d607_fe88_16a8);
    let list = List::close(buyers(1_000), &urn);
    assert_eq!(list.find(first), Some((0, 199)));
    let last_name = "1b2ba4214bfc6ede6a470e59117c567f";
    assert_eq!(list.find(proof::buyer_of(last_name).unwrap()).unwrap().1, 0);
}

#[test]
fn everybody_in_a_list_can_prove_it_and_nobody_else() {
    let urn = Urn::new(&secret());
    for count in (1..20).chain([255, 256, 257, 511, 512, 513, 600, 768, 1_000]) {
        let list = List::close(buyers(count), &urn);
        for (index, &buyer) in list.buyers().iter().enumerate().step_by(1 + count / 50) {
            let inclusion = list.prove(index);
            assert_eq!(
                root_of(buyer, &inclusion, count),
                Some(list.root()),
                "{index} of {count}"
            );
            let mut moved = inclusion.clone();
            moved.index = (index + 1) % count;
            assert!(count == 1 || root_of(buyer, &moved, count) != Some(list.root()));
            let stranger = Buyer(buyer.0 ^ 1);
            assert_ne!(root_of(stranger, &inclusion, count), Some(list.root()));
            assert_ne!(root_of(buyer, &inclusion, count + 1), Some(list.root()));
            let mut longer = inclusion.clone();
            longer.path.push([0; 32]);
            assert_eq!(root_of(buyer, &longer, count), None);
            let mut shorter = inclusion;
            if shorter.path.pop().is_some() {
                assert_eq!(root_of(buyer, &shorter, count), None);
            }
        }
    }
}

/// 16 people, 4,000 secrets: 225 degrees of freedom, standard deviation 21.2; six of those on top.
#[test]
fn every_rank_is_as_likely_for_everybody() {
    const PEOPLE: usize = 16;
    const SECRETS: u32 = 4_000;
    let chi_square = |rank: &dyn Fn(&List, Buyer, u32) -> u32| {
        let mut counts = [[0_u32; PEOPLE]; PEOPLE];
        for number in 0..SECRETS {
            let secret: Hash = Sha256::digest(number.to_be_bytes()).into();
            let list = List::close((0..PEOPLE).map(buyer).collect(), &Urn::new(&secret));
            for (person, row) in counts.iter_mut().enumerate() {
                row[rank(&list, buyer(person), number) as usize] += 1;
            }
        }
        let expected = f64::from(SECRETS) / PEOPLE as f64;
        let deviation = |&count: &u32| (f64::from(count) - expected).powi(2) / expected;
        counts.iter().flatten().map(deviation).sum::<f64>()
    };
    let found = chi_square(&|list, buyer, _| list.find(buyer).unwrap().1);
    assert!((225.0 - 127.0..225.0 + 127.0).contains(&found), "{found}");
    // One in ten draws by position in the list instead: that shows.
    let unfair = chi_square(&|list, buyer, number| {
        let (index, rank) = list.find(buyer).unwrap();
        if number % 10 == 0 { index as u32 } else { rank }
    });
    assert!(unfair > 225.0 + 127.0, "{unfair}");
}

/// An honest draw of a hundred, and one ticket of it.
struct Draw {
    transcript: Transcript,
    proof: Proof,
    list: Vec<Buyer>,
    noted: Noted,
}

fn honest(secret: &Hash, list: Vec<Buyer>, holder: Buyer) -> Draw {
    let urn = Urn::new(secret);
    let closed = List::close(list.clone(), &urn);
    let transcript = Transcript {
        algorithm: ALGORITHM.to_owned(),
        room: run().room,
        t0: T0_S,
        commitment: run().commitment(secret),
        committed_at: T0_S - 100,
        closed: Some(Closed {
            root: closed.root(),
            count: list.len(),
            at: T0_S,
        }),
        revealed: Some(Revealed {
            secret: *secret,
            at: T0_S + 60,
        }),
    };
    let proof = Proof::new(&run(), holder, &closed, &urn).unwrap();
    Draw {
        noted: Noted {
            commitment: Some(transcript.commitment),
            root: Some(closed.root()),
        },
        transcript,
        proof,
        list,
    }
}

/// The names of the checks that failed.
fn failed(draw: &Draw) -> Vec<&'static str> {
    let checks = verify(
        &draw.proof,
        &draw.transcript,
        Some(draw.list.clone()),
        &draw.noted,
    );
    let bad = |check: Check| (!check.good).then_some(check.name);
    checks.unwrap().into_iter().filter_map(bad).collect()
}

#[test]
fn every_manipulation_is_found() {
    let holder = buyers(100)[42];
    let fresh = || honest(&secret(), buyers(100), holder);
    assert_eq!(failed(&fresh()), Vec::<&str>::new());
    type Change = (&'static str, fn(&mut Draw), &'static [&'static str]);
    #[rustfmt::skip]
    let cases: &[Change] = &[
        ("another secret", |d| d.transcript.revealed.as_mut().unwrap().secret[0] ^= 1,
            &["commitment", "draw", "exact rank"]),
        ("secret and commitment replaced", |d| {
            let other = [9; 32];
            d.transcript.commitment = run().commitment(&other);
            d.transcript.revealed.as_mut().unwrap().secret = other;
        }, &["noted commitment", "draw", "exact rank"]),
        ("all of it replaced, the list ground", |d| {
            let mut ground = buyers(100);
            ground[0] = Buyer(5);
            let noted = d.noted.clone();
            *d = honest(&secret(), ground, buyers(100)[42]);
            d.noted = noted;
        }, &["noted root"]),
        ("a better rank", |d| d.proof.rank -= 1, &["exact rank"]),
        ("a rank beyond the list", |d| d.proof.rank = 100, &["rank", "exact rank"]),
        ("another draw", |d| d.proof.draw = "0000000000000001".into(), &["draw"]),
        ("a buyer left out", |d| {
            let list = d.list.iter().copied().filter(|b| *b != buyers(100)[42]).collect();
            let other = honest(&secret(), list, buyers(100)[1]);
            d.transcript = other.transcript;
            d.list = other.list;
            d.noted.root = None;
        }, &["list", "exact rank"]),
        ("a list that is not the one of the root", |d| { d.list.remove(7); },
            &["whole list"]),
        ("a count that is not the list's", |d| d.transcript.closed.as_mut().unwrap().count = 99,
            &["list", "whole list"]),
        ("a path changed", |d| d.proof.path[2].replace_range(0..2, "zz"), &["list"]),
        ("another position", |d| d.proof.index = 41, &["list"]),
        ("another buyer", |d| d.proof.buyer = buyer_hex(Buyer(9)), &["list", "draw", "exact rank"]),
        ("no buyer", |d| d.proof.buyer = "+1".into(), &["list", "draw", "exact rank"]),
        ("a ticket of another room", |d| d.proof.room = "other".into(), &["room"]),
        ("a ticket of another day", |d| d.proof.t0 += 1, &["room"]),
        ("the secret before the root", |d| d.transcript.closed.as_mut().unwrap().at = T0_S + 61,
            &["times"]),
        ("the list closed before T0", |d| d.transcript.closed.as_mut().unwrap().at = T0_S - 1,
            &["times"]),
        ("committed after T0", |d| d.transcript.committed_at = T0_S + 1, &["times"]),
    ];
    for (name, change, expected) in cases {
        let mut draw = fresh();
        // Removing from the list may or may not move this holder's rank.
        change(&mut draw);
        let mut found = failed(&draw);
        if *name == "a list that is not the one of the root" {
            found.retain(|check| *check != "exact rank");
        }
        assert_eq!(&found, expected, "{name}");
    }
}

#[test]
fn before_the_secret_is_revealed_nobody_can_judge() {
    let mut draw = honest(&secret(), buyers(10), buyers(10)[3]);
    draw.transcript.revealed = None;
    assert_eq!(
        verify(&draw.proof, &draw.transcript, None, &draw.noted),
        None
    );
}

#[test]
fn unreadable_texts_say_why() {
    for (text, why) in [
        ("", "in the code: EOF"),
        ("{}", "missing field `room`"),
        ("eyJhIjoxfQ", "in the code"),
        ("§", "neither JSON nor"),
    ] {
        let error = Proof::parse(text).unwrap_err().to_string();
        assert!(
            error.starts_with("the ticket: ") && error.contains(why),
            "{error}"
        );
    }
    let one = buyer_hex(Buyer(1));
    for (text, why) in [
        (format!("{one}\n{one}\n"), "line 2: expected ascending"),
        (
            format!("{}\n{one}\n", buyer_hex(Buyer(2))),
            "line 2: expected ascending",
        ),
        ("1\n".to_owned(), "line 1: expected 32"),
        (format!("{one}\n\n"), "line 2: expected 32"),
    ] {
        let error = parse_list(&text).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    let draw = honest(&secret(), buyers(3), buyers(3)[1]);
    let json = serde_json::to_string(&draw.transcript).unwrap();
    assert_eq!(Transcript::parse(&json), Ok(draw.transcript));
    let other = json.replace(ALGORITHM, "seawall.room.v2");
    assert!(
        Transcript::parse(&other)
            .unwrap_err()
            .to_string()
            .contains("expected")
    );
    assert_eq!(Proof::parse(&draw.proof.code()), Ok(draw.proof));
}

/// From the first registration to a checked ticket, over HTTP.
#[test]
fn a_whole_draw() {
    let mut site = Site::new(drawn);
    let transcript = |site: &Site| {
        let mut nobody = Visitor::default();
        let answer = site.send(
            &mut nobody,
            hyper::Method::GET,
            "/.seawall/room/main/draw",
            "*/*",
        );
        Transcript::parse(&answer.text()).unwrap()
    };
    let announced = transcript(&site);
    assert!(announced.closed.is_none() && announced.revealed.is_none());
    site.pass(11);
    let mut people: Vec<_> = (0..40).map(Visitor::signed_in).collect();
    for person in &mut people {
        let status = site.status(person);
        assert_eq!(
            (&status["state"], &status["opens_in_s"]),
            (&"registered".into(), &189.into())
        );
        // Nothing tells the draw before the list is closed.
        let keys: Vec<_> = status.as_object().unwrap().keys().cloned().collect();
        assert_eq!(
            keys,
            ["room", "state", "registered", "opens_in_s", "next_ms"]
        );
        let ticket = person.jar["seawall_ticket_main"].clone();
        assert_eq!(super::keys().read_ticket(&ticket).unwrap().place, None);
    }
    site.pass(188);
    let nothing = site.send(
        &mut people[0],
        hyper::Method::GET,
        "/.seawall/room/main/draw/ticket",
        "",
    );
    assert_eq!(nothing.status, 404);
    site.pass(1);
    // T0: the root is public, the secret is not. Tickets can be had at once.
    let closed = transcript(&site);
    assert_eq!(closed.commitment, announced.commitment);
    assert_eq!(closed.closed.as_ref().map(|closed| closed.count), Some(40));
    assert_eq!(closed.revealed, None);
    let mut late = Visitor::signed_in("late");
    for person in people.iter_mut().chain([&mut late]) {
        assert_eq!(site.status(person)["state"], "waiting");
    }
    let proofs: Vec<_> = people
        .iter_mut()
        .map(|person| {
            let path = "/.seawall/room/main/draw/ticket";
            let mut json = site.send(person, hyper::Method::GET, path, "").json();
            let code = json.as_object_mut().unwrap().remove("code").unwrap();
            let proof = Proof::parse(&json.to_string()).unwrap();
            assert_eq!(Proof::parse(code.as_str().unwrap()).unwrap(), proof);
            proof
        })
        .collect();
    // Let in is whoever drew the smallest numbers; the latecomer stands behind all of them.
    site.pass(2);
    for (person, proof) in people.iter_mut().zip(&proofs) {
        let state = site.status(person)["state"].clone();
        let is_in = state == "admitted";
        assert!(is_in || proof.rank >= 8, "{proof:?} {state}");
        assert!(!is_in || proof.rank <= 13, "{proof:?} {state}");
    }
    let last = site.position(&mut late);
    assert_eq!(last, u64::from(site.room.census().waiting));
    site.pass(70);
    let revealed = transcript(&site);
    assert_eq!(revealed.closed, closed.closed);
    let path = "/.seawall/room/main/draw/list";
    let list = site.send(&mut late, hyper::Method::GET, path, "").text();
    let list = parse_list(&list).unwrap();
    for proof in &proofs {
        let noted = Noted {
            commitment: Some(announced.commitment),
            root: closed.closed.as_ref().map(|closed| closed.root),
        };
        let checks = verify(proof, &revealed, Some(list.clone()), &noted).unwrap();
        assert!(checks.iter().all(|check| check.good), "{checks:?}");
        assert_eq!(checks.len(), 10);
    }
    let unlisted = site.send(
        &mut late,
        hyper::Method::GET,
        "/.seawall/room/main/draw/ticket",
        "",
    );
    assert_eq!(unlisted.status, 404);
}
