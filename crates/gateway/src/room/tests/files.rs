//! Restarts: with the journal, without it, in the middle of a draw, with other keys.

use super::{BEGIN_S, Keys, Site, Visitor, WaitingRoom, drawn, now, options};
use crate::room::RoomError;
use crate::room::journal::{Journal, Record, Remembered};
use guard::room::{Buyer, Phase, Place};
use std::fs;
use tempfile::TempDir;

fn places(site: &Site) -> std::path::PathBuf {
    site.folder.path().join("main.places")
}

/// Thirty in line, nobody let in yet.
fn crowd() -> (Site, Vec<Visitor>) {
    let site = Site::open();
    let mut people: Vec<_> = (0..30).map(Visitor::signed_in).collect();
    for (at, person) in people.iter_mut().enumerate() {
        assert_eq!(site.position(person), at as u64 + 1);
    }
    (site, people)
}

#[test]
fn a_restart_keeps_the_order_without_any_ticket() {
    let (mut site, mut people) = crowd();
    site.pass(2);
    let let_in = site.room.census().inside as usize;
    assert!((7..=9).contains(&let_in), "{let_in}");
    let mut site = site.restart(options);
    assert_eq!(site.room.census().phase, Phase::Serving);
    // Who was let in and shows a pass is in; who waits, waits where they waited.
    for (at, person) in people.iter_mut().enumerate().skip(let_in) {
        person.jar.clear();
        assert_eq!(site.position(person) as usize, at - let_in + 1);
    }
    // Who comes now stands behind them.
    assert_eq!(
        site.position(&mut Visitor::signed_in("new")) as usize,
        31 - let_in
    );
    site.pass(2);
    assert_eq!(site.status(&mut people[let_in])["state"], "admitted");
}

#[test]
fn a_restart_without_the_journal_keeps_the_order_of_tickets() {
    let (site, mut people) = crowd();
    fs::remove_file(places(&site)).unwrap();
    let site = site.restart(options);
    site.room.open(site.now());
    for person in people.iter_mut().rev() {
        site.status(person);
    }
    for (at, person) in people.iter_mut().enumerate() {
        assert_eq!(site.position(person), at as u64 + 1);
    }
}

#[test]
fn a_torn_end_costs_only_itself() {
    let (site, mut people) = crowd();
    let path = places(&site);
    let Site {
        room,
        folder,
        second,
    } = site;
    drop(room);
    let mut bytes = fs::read(&path).unwrap();
    assert_eq!(bytes.len(), 16 + 30 * 32);
    // The last record torn, the one before it damaged.
    bytes.truncate(bytes.len() - 10);
    let at = bytes.len() - 22 - 5;
    bytes[at] ^= 0x40;
    fs::write(&path, bytes).unwrap();
    let room = WaitingRoom::start(options(folder.path()), super::keys(), now(second)).unwrap();
    assert_eq!(room.census().waiting, 28);
    let site = Site {
        room,
        second,
        folder,
    };
    // The two lost ones bring their tickets.
    for at in [29, 28, 0] {
        site.status(&mut people[at]);
    }
    assert_eq!(site.position(&mut people[28]), 29);
    assert_eq!(site.position(&mut people[29]), 30);
}

#[test]
fn a_restart_before_t0_keeps_who_registered_and_after_it_the_root() {
    let mut site = Site::new(drawn);
    site.pass(11);
    let mut people: Vec<_> = (0..50).map(Visitor::signed_in).collect();
    for person in &mut people {
        site.status(person);
    }
    let mut site = site.restart(drawn);
    assert_eq!(site.room.census().phase, Phase::Registering);
    assert_eq!(site.room.census().waiting, 50);
    site.pass(190);
    assert_eq!(site.room.census().phase, Phase::Serving);
    let transcript = |site: &Site| site.room.publisher.as_ref().unwrap().json();
    let published = transcript(&site);
    let text = String::from_utf8(published.to_vec()).unwrap();
    assert!(
        text.contains("\"count\": 50") && !text.contains("revealed"),
        "{text}"
    );
    let mut site = site.restart(drawn);
    assert_eq!(transcript(&site), published);
    assert_eq!(site.room.census().phase, Phase::Serving, "no second draw");
    site.pass(62);
    assert!(transcript(&site).len() > published.len(), "revealed");
    let site = site.restart(drawn);
    // A ticket of the draw counts where the journal is lost, too.
    fs::remove_file(places(&site)).unwrap();
    let site = site.restart(drawn);
    let mut positions: Vec<_> = people
        .iter_mut()
        .map(|person| site.status(person))
        .collect();
    positions.retain(|status| status["state"] == "waiting");
    assert!(!positions.is_empty());
    let list = site.room.publisher.as_ref().unwrap().list().unwrap();
    let mut order: Vec<_> = people
        .iter_mut()
        .map(|person| {
            let id = super::keys().buyer(person.buyer.as_deref().unwrap());
            (
                list.find(id).unwrap().1,
                site.status(person)["position"].as_u64(),
            )
        })
        .collect();
    order.sort();
    assert!(
        order.is_sorted_by_key(|(_, position)| *position),
        "{order:?}"
    );
}

#[test]
fn a_list_that_cannot_be_written_is_tried_again_and_never_drawn_twice() {
    let mut site = Site::new(drawn);
    site.pass(11);
    for person in 0..5 {
        site.status(&mut Visitor::signed_in(person));
    }
    // A folder stands where the list belongs.
    let path = site
        .folder
        .path()
        .join(format!("main-{}.list", super::T0_S));
    fs::create_dir(&path).unwrap();
    site.pass(190);
    assert_eq!(site.room.census().phase, Phase::Drawing);
    assert_eq!(site.room.census().inside, 0);
    site.status(&mut Visitor::signed_in("late"));
    fs::remove_dir(&path).unwrap();
    site.pass(2);
    assert_eq!(site.room.census().phase, Phase::Serving);
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 5);
}

#[test]
fn keys_must_not_change_under_a_draw_but_rotate_in_front_of_it() {
    let site = Site::new(drawn);
    let Site { room, folder, .. } = site;
    drop(room);
    let start = |keys: &[[u8; 32]]| {
        let keys = Keys::new("main", keys).unwrap();
        WaitingRoom::start(drawn(folder.path()), keys, now(20))
    };
    let error = start(&[[8; 32]]).unwrap_err();
    assert!(matches!(error, RoomError::Published { .. }), "{error}");
    assert!(error.to_string().contains("oldest key"), "{error}");
    assert!(start(&[[8; 32], super::KEY]).is_ok());
}

#[test]
fn a_changed_list_is_noticed_at_start() {
    let mut site = Site::new(drawn);
    site.pass(11);
    for person in 0..5 {
        site.status(&mut Visitor::signed_in(person));
    }
    site.pass(190);
    let Site { room, folder, .. } = site;
    drop(room);
    let path = folder.path().join(format!("main-{}.list", super::T0_S));
    let text = fs::read_to_string(&path).unwrap();
    let shorter: Vec<_> = text
        .lines()
        .skip(1)
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(&path, shorter.concat()).unwrap();
    let error = WaitingRoom::start(drawn(folder.path()), super::keys(), now(300)).unwrap_err();
    assert!(error.to_string().contains("published root"), "{error}");
}

#[test]
fn a_draw_never_announced_is_none() {
    let folder = TempDir::new().unwrap();
    let room = WaitingRoom::start(drawn(folder.path()), super::keys(), now(500)).unwrap();
    assert_eq!(room.census().phase, Phase::Idle);
    assert!(room.publisher.is_none());
}

#[test]
fn bad_names_and_rules_are_refused() {
    let folder = TempDir::new().unwrap();
    for name in ["", "Main", "a/b", "..", "ä", &"x".repeat(33)] {
        let mut options = options(folder.path());
        options.name = name.to_owned();
        let error = WaitingRoom::start(options, super::keys(), now(0)).unwrap_err();
        assert!(matches!(error, RoomError::Name(_)), "{name}: {error}");
    }
    let mut bad = options(folder.path());
    bad.rules.places = 0;
    let error = WaitingRoom::start(bad, super::keys(), now(0)).unwrap_err();
    assert!(error.to_string().contains("places"), "{error}");
}

#[test]
fn the_journal_remembers_what_still_counts() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x.places");
    let open = |run| Journal::open(&path, run).unwrap();
    let (journal, found) = open(BEGIN_S);
    assert_eq!(found, Remembered::default());
    let place = |number: u64| Place::came(number);
    for number in 1..=6 {
        journal.note(Record::Placed(Buyer(u128::from(number)), place(number)));
    }
    journal.note(Record::LetIn(Buyer(1), place(1)));
    journal.note(Record::LetIn(Buyer(3), place(3)));
    journal.note(Record::Gone(Buyer(5)));
    assert_eq!(journal.lost(), 0);
    drop(journal);
    let expected = Remembered {
        waiting: [2, 4, 6].map(|n| (Buyer(n), place(n as u64))).to_vec(),
        served: Some(place(3)),
    };
    let (journal, found) = open(BEGIN_S);
    assert_eq!(found, expected);
    assert_eq!(
        fs::metadata(&path).unwrap().len(),
        16 + 4 * 32,
        "only what counts"
    );
    // Places given now stand behind what was there.
    journal.note(Record::Placed(Buyer(9), place(9)));
    drop(journal);
    let (journal, found) = open(BEGIN_S);
    assert_eq!((found.waiting.len(), found.served), (4, Some(place(3))));
    journal.note(Record::Emptied);
    journal.note(Record::Placed(Buyer(7), place(7)));
    drop(journal);
    let (journal, found) = open(BEGIN_S);
    assert_eq!((found.waiting.len(), found.served), (1, None));
    drop(journal);
    let (_, found) = open(BEGIN_S + 1);
    assert_eq!(found, Remembered::default(), "another draw's file");
}
