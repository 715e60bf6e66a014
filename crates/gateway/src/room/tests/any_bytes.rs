//! Tickets, passes, published files and the file of places, changed in every way: what nobody
//! signed is no ticket, what does not fit is told, and nothing panics.

use super::keys;
use crate::mutate::{Edit, apply, edits, text};
use crate::room::draw::{List, Run, Urn};
use crate::room::journal::{Journal, Record, Remembered};
use crate::room::proof::{
    ALGORITHM, Closed, Noted, Proof, Revealed, Transcript, buyer_hex, parse_list, verify,
};
use crate::room::ticket::{Keys, Pass, Ticket};
use guard::room::{Buyer, Place};
use proptest::prelude::*;

const JSON: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "null",
    "-1",
    "1e9",
    "18446744073709551616",
    "\\u0000",
    "0",
    "f",
    "\"at\":1,",
    "\"rank\":0,",
    " ",
    "\n",
];
const BASE64: &[&str] = &["A", "_", "-", "=", "+", "/", " ", "é"];

/// A published draw of a few, and the ticket of one of them.
fn drawn() -> (Transcript, Proof, String) {
    let secret = std::array::from_fn(|at| at as u8);
    let run = Run {
        room: "main".to_owned(),
        t0_s: 1_700_000_000,
    };
    let urn = Urn::new(&secret);
    let buyers = (1..=40_u128)
        .map(|n| Buyer((n << 120) | (n * 77)))
        .collect();
    let list = List::close(buyers, &urn);
    let proof = Proof::new(&run, Buyer((7 << 120) | (7 * 77)), &list, &urn).unwrap();
    let published: String = list.buyers().iter().map(|b| buyer_hex(*b) + "\n").collect();
    let transcript = Transcript {
        algorithm: ALGORITHM.to_owned(),
        room: run.room.clone(),
        t0: run.t0_s,
        commitment: run.commitment(&secret),
        committed_at: run.t0_s - 100,
        closed: Some(Closed {
            root: list.root(),
            count: list.buyers().len(),
            at: run.t0_s,
        }),
        revealed: Some(Revealed {
            secret,
            at: run.t0_s + 60,
        }),
    };
    (transcript, proof, published)
}

/// Whether every check is good; `None` if nobody can judge.
fn holds(proof: &Proof, transcript: &Transcript, list: &str) -> Option<bool> {
    let list = parse_list(list).ok()?;
    let checks = verify(proof, transcript, Some(list), &Noted::default())?;
    Some(checks.iter().all(|check| check.good))
}

/// What the ticket says, whatever letters its digits have.
fn said(proof: &Proof) -> String {
    serde_json::to_string(proof).unwrap().to_ascii_lowercase()
}

proptest! {
    #[test]
    fn only_what_a_key_signed_is_a_ticket_or_a_pass(
        (run, buyer, number, at) in (any::<u64>(), any::<u128>(), any::<u64>(), any::<u64>()),
        changes in edits(BASE64),
        random in "\\PC{0,90}",
    ) {
        let (keys, buyer) = (keys(), Buyer(buyer));
        let place = (number != 0).then_some(Place(number));
        let ticket = Ticket { run, buyer, place, issued_s: at };
        let pass = Pass { run, buyer, expires_s: number, issued_s: at };
        let (ticket_text, pass_text) = (keys.ticket(&ticket), keys.pass(&pass));
        prop_assert_eq!(keys.read_ticket(&ticket_text), Some(ticket));
        prop_assert_eq!(keys.read_pass(&pass_text), Some(pass));
        prop_assert!(keys.read_pass(&ticket_text).is_none(), "a place is no permission");
        prop_assert!(keys.read_ticket(&pass_text).is_none());
        let elsewhere = Keys::new("other", &[super::KEY]).unwrap();
        prop_assert!(elsewhere.read_ticket(&ticket_text).is_none(), "of another room");
        for good in [&ticket_text, &pass_text] {
            let other = text(&apply(good.as_bytes(), &changes));
            if other != *good {
                prop_assert!(keys.read_ticket(&other).is_none(), "{}", other);
                prop_assert!(keys.read_pass(&other).is_none(), "{}", other);
            }
        }
        prop_assert!(keys.read_ticket(&random).is_none() && keys.read_pass(&random).is_none());
    }

    /// A ticket, a transcript or a list that says anything else than what was drawn fails.
    #[test]
    fn published_files_that_were_changed_are_found_out(
        changes in edits(JSON),
        digits in edits(&["0", "f", "\n"]),
        random in "\\PC{0,200}",
    ) {
        let (transcript, proof, list) = drawn();
        prop_assert_eq!(holds(&proof, &transcript, &list), Some(true));
        let json = serde_json::to_string(&proof).unwrap();
        for other in [text(&apply(json.as_bytes(), &changes)), text(&apply(proof.code().as_bytes(), &changes))] {
            if let Ok(other) = Proof::parse(&other) && said(&other) != said(&proof) {
                prop_assert_eq!(holds(&other, &transcript, &list), Some(false), "{:?}", other);
            }
        }
        let json = serde_json::to_string(&transcript).unwrap();
        if let Ok(other) = Transcript::parse(&text(&apply(json.as_bytes(), &changes)))
            && holds(&proof, &other, &list) == Some(true)
        {
            // Instants may differ as long as their order is the right one.
            let timeless = |it: &Transcript| {
                let (closed, revealed) = (it.closed.clone().unwrap(), it.revealed.clone().unwrap());
                (it.run(), it.commitment, closed.root, closed.count, revealed.secret)
            };
            prop_assert_eq!(timeless(&other), timeless(&transcript));
        }
        let other = text(&apply(list.as_bytes(), &digits));
        if let Ok(buyers) = parse_list(&other) && buyers != parse_list(&list).unwrap() {
            prop_assert_eq!(holds(&proof, &transcript, &other), Some(false));
        }
        let _ = (Proof::parse(&random), Transcript::parse(&random), parse_list(&random));
    }

    /// What is left of a file of places is its beginning, and all of that.
    #[test]
    fn a_damaged_file_of_places_is_its_sound_beginning(
        people in prop::collection::vec((1..50_u128, 1..1_000_u64, 0..4_u8), 0..30),
        changes in edits(&["\u{0}", "SWROOM01"]),
        random in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("main.places");
        let remembered = |path: &std::path::Path| Journal::open(path, 9).map(|(_, kept)| kept);
        let (journal, _) = Journal::open(&path, 9).unwrap();
        let records: Vec<Record> = people.iter().map(|&(buyer, place, kind)| {
            let (buyer, place) = (Buyer(buyer), Place(place));
            match kind {
                0 | 1 => Record::Placed(buyer, place),
                2 => Record::LetIn(buyer, place),
                _ => Record::Gone(buyer),
            }
        }).collect();
        records.iter().for_each(|record| journal.note(*record));
        drop(journal);
        let good = std::fs::read(&path).unwrap();
        let sound = |count: usize| {
            let (mut waiting, mut served) = (std::collections::BTreeMap::new(), None);
            for record in &records[..count] {
                match *record {
                    Record::Placed(buyer, place) => drop(waiting.insert(buyer, place)),
                    Record::LetIn(buyer, place) => {
                        waiting.remove(&buyer);
                        served = served.max(Some(place));
                    }
                    Record::Gone(buyer) => drop(waiting.remove(&buyer)),
                    Record::Emptied => {}
                }
            }
            let mut waiting: Vec<_> = waiting.into_iter().collect();
            waiting.sort_by_key(|&(buyer, place)| (place, buyer));
            Remembered { waiting, served }
        };
        let other = apply(&good, &changes);
        std::fs::write(&path, &other).unwrap();
        let same = good.iter().zip(&other).take_while(|(a, b)| a == b).count();
        let found = remembered(&path).unwrap();
        let whole = same.saturating_sub(16) / 32;
        // Whole records that were moved are good ones with their checksums.
        let moved = |edit: &Edit| matches!(edit, Edit::Copy(..) | Edit::Drop(..));
        let copied = changes.iter().any(moved);
        let expected = if same < 16 { Remembered::default() } else { sound(whole.min(records.len())) };
        prop_assert!(found == expected || copied, "{:?}, expected {:?}", found, expected);
        std::fs::write(&path, &random).unwrap();
        prop_assert_eq!(remembered(&path).unwrap(), Remembered::default());
    }
}
