//! Who may go in, what they carry, and what they read.

use super::{Keys, Site, Visitor, drawn, now, options};
use crate::room::http::Told;
use crate::room::ticket::{BadKeys, Pass, Ticket};
use guard::Nanos;
use guard::room::{Buyer, Place, Standing, Wait};
use hyper::Method;

const PASS: &str = "seawall_pass_main";
const TICKET: &str = "seawall_ticket_main";
const STATUS: &str = "/.seawall/room/main";

fn ticket() -> Ticket {
    Ticket {
        run: 5,
        buyer: Buyer(77),
        place: Some(Place::came(9)),
        issued_s: 1_000,
    }
}

fn a_pass() -> Pass {
    Pass {
        run: 5,
        buyer: Buyer(77),
        expires_s: 2_000,
        issued_s: 1_000,
    }
}

#[test]
fn forged_and_foreign_tickets_and_passes_are_nothing() {
    let keys = super::keys();
    let (token, pass) = (keys.ticket(&ticket()), keys.pass(&a_pass()));
    assert_eq!(keys.read_ticket(&token), Some(ticket()));
    assert_eq!(keys.read_pass(&pass), Some(a_pass()));
    assert_eq!(keys.read_pass(&token), None, "a ticket is no pass");
    assert_eq!(keys.read_ticket(&pass), None, "a pass is no ticket");
    for token in [&token, &pass] {
        for at in 0..token.len() {
            let mut forged = token.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).unwrap();
            let read = (keys.read_ticket(&forged), keys.read_pass(&forged));
            assert_eq!(read, (None, None), "changed at {at}");
        }
        for cut in 0..token.len() {
            assert_eq!(keys.read_pass(&token[..cut]), None);
        }
    }
    let other_room = Keys::new("other", &[super::KEY]).unwrap();
    assert_eq!(other_room.read_ticket(&token), None);
    assert_eq!(other_room.read_pass(&pass), None);
    assert_eq!(
        Keys::new("main", &[[8; 32]]).unwrap().read_ticket(&token),
        None
    );
    assert_eq!(keys.read_ticket(&"é".repeat(39)), None);
}

#[test]
fn keys_rotate() {
    let old = super::keys();
    let new = Keys::new("main", &[[9; 32], super::KEY]).unwrap();
    let token = old.ticket(&ticket());
    assert_eq!(
        new.read_ticket(&token),
        Some(ticket()),
        "the old key is still accepted"
    );
    assert_ne!(new.ticket(&ticket()), token, "the first key signs");
    assert_eq!(old.read_ticket(&new.ticket(&ticket())), None);
    assert_eq!(new.buyer("x"), old.buyer("x"), "people stay who they are");
    assert_ne!(new.buyer("x"), new.buyer("y"));
    assert_eq!(
        Keys::new::<[u8; 32]>("main", &[]).err(),
        Some(BadKeys::None)
    );
    let short = Keys::new("main", &[[1; 31]]).err();
    assert_eq!(short, Some(BadKeys::Length { found: 31 }));
}

#[test]
fn one_ticket_a_buyer_from_any_device() {
    let site = Site::open();
    let mut phone = Visitor::signed_in("anna");
    assert_eq!(site.position(&mut phone), 1);
    assert_eq!(site.position(&mut Visitor::signed_in("bert")), 2);
    let mut laptop = Visitor::signed_in("anna");
    assert_eq!(site.position(&mut laptop), 1);
    assert_eq!(
        laptop.jar[TICKET], phone.jar[TICKET],
        "she gets her ticket there, too"
    );
    assert_eq!(site.room.census().waiting, 2);
    // Another's ticket does not help.
    let mut thief = Visitor::signed_in("carl");
    thief.jar.clone_from(&phone.jar);
    assert_eq!(site.position(&mut thief), 3);
    // Nobody signed in: the cookie is who they are.
    let mut device = Visitor::default();
    assert_eq!(site.position(&mut device), 4);
    assert_eq!(site.position(&mut device), 4);
    assert_eq!(site.position(&mut Visitor::default()), 5);
}

#[test]
fn a_pass_opens_the_door_until_it_ends_and_is_renewed_in_use() {
    let mut site = Site::open();
    let mut anna = Visitor::signed_in("anna");
    let held = site.enter(&mut anna, "/buy", "application/json").unwrap();
    assert_eq!(held.status, 503);
    site.pass(1);
    assert!(site.enter(&mut anna, "/buy", "").is_none());
    let pass = anna.jar[PASS].clone();
    site.second += 200;
    assert!(site.enter(&mut anna, "/buy", "").is_none());
    assert_eq!(anna.jar[PASS], pass, "more than half is left");
    site.second += 200;
    assert!(site.enter(&mut anna, "/buy", "").is_none());
    assert_ne!(anna.jar[PASS], pass, "renewed");
    // A pass is one person's.
    let mut thief = Visitor::signed_in("carl");
    thief.jar.clone_from(&anna.jar);
    site.room.set_stock(Some(0));
    assert_eq!(site.enter(&mut thief, "/buy", "").unwrap().status, 409);
    assert!(site.enter(&mut anna, "/buy", "").is_none());
    // It ends, and with it the place inside.
    site.second += 601;
    site.pass(1);
    assert_eq!(site.enter(&mut anna, "/buy", "").unwrap().status, 409);
}

#[test]
fn a_pass_of_before_the_draw_is_void_when_registration_begins() {
    let mut site = Site::new(drawn);
    site.room.open(site.now());
    let mut anna = Visitor::signed_in("anna");
    site.status(&mut anna);
    site.pass(1);
    assert_eq!(site.status(&mut anna)["state"], "admitted");
    assert!(site.enter(&mut anna, "/buy", "").is_none());
    site.pass(10);
    assert_eq!(site.status(&mut anna)["state"], "registered");
    assert_eq!(site.enter(&mut anna, "/buy", "").unwrap().status, 503);
}

#[test]
fn sold_out_closes_the_room_at_once_and_stock_opens_it_again() {
    let site = Site::open();
    let mut people: Vec<_> = (0..20).map(Visitor::signed_in).collect();
    for person in &mut people {
        site.status(person);
    }
    site.room.set_stock(Some(0));
    for person in &mut people {
        assert_eq!(site.status(person)["state"], "sold_out");
        let told = site.enter(person, "/buy", "application/json").unwrap();
        assert_eq!(
            (told.status, told.header("content-type")),
            (409, "application/problem+json")
        );
        assert_eq!(told.json()["code"], "sold_out");
        let page = site.enter(person, "/buy", "text/html").unwrap();
        assert!(page.status == 409 && page.text().contains("<h1 id=\"heading\">Sold out</h1>"));
    }
    site.room.set_stock(Some(3));
    let status = site.status(&mut people[5]);
    assert_eq!(
        (&status["state"], &status["position"]),
        (&"waiting".into(), &6.into())
    );
}

#[test]
fn programs_read_numbers() {
    let site = Site::open();
    site.room.set_stock(Some(1_000));
    for person in 0..8 {
        site.status(&mut Visitor::signed_in(person));
    }
    let mut last = Visitor::signed_in("last");
    let held = site
        .enter(&mut last, "/buy?x=1", "application/json")
        .unwrap();
    assert_eq!(
        (held.status, held.header("cache-control")),
        (503, "private, no-store")
    );
    let problem = held.json();
    for (name, value) in [
        ("type", "/problems/waiting_room"),
        ("code", "waiting_room"),
        ("happened", "no"),
        ("room", STATUS),
        ("state", "waiting"),
    ] {
        assert_eq!(problem[name], value, "{name}");
    }
    assert_eq!(
        (problem["position"].as_u64(), problem["wait_s"].as_u64()),
        (Some(9), Some(3))
    );
    assert_eq!(problem["odds"].as_f64(), Some(1.0));
    let again: u64 = held.header("retry-after").parse().unwrap();
    let next = problem["next_ms"].as_u64().unwrap();
    assert_eq!(
        (problem["retry_after_ms"].as_u64(), again),
        (Some(next), next.div_ceil(1_000))
    );
}

#[test]
fn paths_and_methods() {
    let site = Site::open();
    let mut anna = Visitor::signed_in("anna");
    let get = |path: &str| anna.parts(Method::GET, path, "");
    assert!(
        site.room
            .serve(&get("/.seawall/room/main2"), None, now(0))
            .is_none()
    );
    assert!(site.room.serve(&get("/other"), None, now(0)).is_none());
    for (method, path, status) in [
        (Method::POST, "", 405),
        (Method::GET, "/leave", 405),
        (Method::GET, "/nothing", 404),
        (Method::GET, "/draw", 404),
        (Method::GET, "/draw/list", 404),
        (Method::GET, "/draw/ticket", 404),
        (Method::DELETE, "/draw", 405),
    ] {
        let found = site.send(&mut anna, method.clone(), &format!("{STATUS}{path}"), "");
        assert_eq!(found.status, status, "{method} {path}");
        assert_eq!(status == 405, !found.header("allow").is_empty());
    }
    assert_eq!(site.room.census().waiting, 0, "none of these is a question");
}

#[test]
fn leaving_gives_the_place_up_but_only_from_this_site() {
    let site = Site::open();
    let mut anna = Visitor::signed_in("anna");
    let mut bert = Visitor::signed_in("bert");
    site.status(&mut anna);
    assert_eq!(site.position(&mut bert), 2);
    let mut parts = anna.parts(Method::POST, &format!("{STATUS}/leave"), "");
    parts
        .headers
        .insert("sec-fetch-site", "cross-site".parse().unwrap());
    let refused = site.room.serve(&parts, Some("anna"), now(0)).unwrap();
    assert_eq!(refused.status(), 403);
    assert_eq!(site.position(&mut bert), 2);
    let left = site.send(&mut anna, Method::POST, &format!("{STATUS}/leave"), "");
    assert_eq!((left.status, anna.jar[TICKET].as_str()), (204, ""));
    assert_eq!(site.position(&mut bert), 1);
    assert_eq!(site.position(&mut anna), 2, "back at the end");
}

#[test]
fn while_the_room_is_idle_people_pass_and_are_known_again() {
    let site = Site::new(options);
    let mut device = Visitor::default();
    assert!(site.enter(&mut device, "/", "text/html").is_none());
    let cookie = device.jar[TICKET].clone();
    for _ in 0..50 {
        assert!(site.enter(&mut device, "/", "text/html").is_none());
    }
    assert_eq!(device.jar[TICKET], cookie);
    assert_eq!(site.room.census().inside, 1);
    let mut anna = Visitor::signed_in("anna");
    assert!(site.enter(&mut anna, "/", "").is_none());
    assert!(anna.jar.is_empty(), "who signed in needs no cookie");
    // The sixth newcomer of one second opens the room; who was in stays in.
    let mut held = 0;
    for person in 0..10 {
        held += usize::from(
            site.enter(&mut Visitor::signed_in(person), "/", "")
                .is_some(),
        );
    }
    assert_eq!(held, 7);
    assert!(site.enter(&mut device, "/", "").is_none());
    assert!(device.jar.contains_key(PASS));
}

/// A cookie that only says who somebody is must not become a place in the draw.
#[test]
fn a_visit_before_registration_is_no_registration() {
    let mut site = Site::new(drawn);
    let mut early = Visitor::default();
    assert!(site.enter(&mut early, "/", "").is_none());
    site.pass(11);
    let mut good = Visitor::default();
    site.status(&mut good);
    site.pass(189);
    let late = early.clone();
    assert_eq!(
        site.room
            .known(&late.parts(Method::GET, "/", ""), None)
            .ticket,
        None
    );
    let known = site.room.known(&good.parts(Method::GET, "/", ""), None);
    assert!(known.ticket.is_some_and(Place::is_drawn));
}

#[test]
fn the_page_is_small_safe_and_works_without_script() {
    let site = Site::open();
    for person in 0..1_500 {
        site.status(&mut Visitor::signed_in(person));
    }
    let path = "/buy?a=1&b=%22%3E%3Cscript%3E";
    let mut anna = Visitor::signed_in("anna");
    let page = site
        .enter(&mut anna, path, "text/html,application/xhtml+xml")
        .unwrap();
    let text = page.text();
    assert!(text.len() < 12_000, "{} bytes", text.len());
    assert_eq!(page.status, 503);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(!page.header("retry-after").is_empty());
    assert!(
        text.contains("<title>You are in line · Double &lt;11&gt;</title>"),
        "{text}"
    );
    assert!(text.contains("<dd id=\"position\">1,501</dd>"));
    assert!(text.contains("<dd id=\"wait\">about 7 min</dd>"));
    assert!(text.contains("data-to=\"/buy?a=1&amp;b=%22%3E%3Cscript%3E\""));
    assert!(text.contains("<noscript><meta http-equiv=\"refresh\" content=\""));
    assert!(!text.contains("{{") && !text.contains("Double <11>"));
    // The policy allows exactly the style and script that are in the page.
    let policy = page.header("content-security-policy");
    for (open, close, kind) in [
        ("<style>", "</style>", "style-src"),
        ("<script type=\"module\">", "</script>", "script-src"),
    ] {
        let inside = text
            .split_once(open)
            .unwrap()
            .1
            .split_once(close)
            .unwrap()
            .0;
        use base64::Engine as _;
        use sha2::Digest as _;
        let hash = sha2::Sha256::digest(inside.as_bytes());
        let hash = base64::engine::general_purpose::STANDARD.encode(hash);
        assert!(
            policy.contains(&format!("{kind} 'sha256-{hash}'")),
            "{kind}"
        );
    }
    // Let in: the page leads on, without script as well; other sites are no goal.
    let mut site = Site::open();
    site.status(&mut anna);
    site.pass(1);
    for (to, expected) in [
        ("/buy", "/buy"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("", "/"),
    ] {
        let path = format!("{STATUS}?to={to}");
        let page = site.send(&mut anna, Method::GET, &path, "text/html");
        let text = page.text();
        assert_eq!(page.status, 200);
        let go = format!("content=\"1;url={expected}\"");
        assert!(
            text.contains("It is your turn") && text.contains(&go),
            "{to}: {text}"
        );
        assert!(text.contains(&format!("data-to=\"{expected}\"")), "{to}");
    }
}

#[test]
fn questions_come_often_enough_to_be_there_and_seldom_enough_to_be_answered() {
    let site = Site::open();
    let rules = site.room.options.rules;
    let mut census = site.room.census();
    let told = |standing, census: &_, buyer| Told::new(standing, census, Buyer(buyer), &rules);
    let waiting = |seconds: u64| {
        Standing::Waiting(Wait {
            place: Place::came(1),
            ahead: 10,
            wait: Some(Nanos::from_secs(seconds)),
            odds: None,
        })
    };
    for buyer in 0..1_000 {
        let soon = told(waiting(1), &census, buyer).next_ms;
        assert!((1_750..=2_250).contains(&soon), "{soon}");
        let far = told(waiting(100_000), &census, buyer).next_ms;
        assert!(
            (15_000..=30_000).contains(&far),
            "{far}: twice before one counts as away"
        );
        let early = Standing::Registered {
            until: Nanos::from_secs(3_600),
        };
        assert!(told(early, &census, buyer).next_ms >= 26_000);
        let near = Standing::Registered {
            until: Nanos::from_secs(20),
        };
        let near = told(near, &census, buyer).next_ms;
        assert!((20_500..=22_500).contains(&near), "{near}: right after T0");
    }
    // A hundred thousand people: five seconds for everybody, even at the head.
    census.waiting = 100_000;
    let crowded: Vec<_> = (0..1_000)
        .map(|b| told(waiting(1), &census, b).next_ms)
        .collect();
    let rate: f64 = crowded.iter().map(|&ms| 100.0 * 1_000.0 / ms as f64).sum();
    assert!(rate < 1.05 * 20_000.0, "{rate} questions a second");
}

/// What the door pays for a buyer who is in. Printed, not judged: machines differ.
#[test]
fn a_pass_is_checked_in_nanoseconds() {
    let mut site = Site::open();
    let mut anna = Visitor::signed_in("anna");
    site.status(&mut anna);
    site.pass(1);
    assert!(site.enter(&mut anna, "/buy", "").is_none());
    let parts = anna.parts(Method::GET, "/buy", "text/html");
    let now = site.now();
    let begun = std::time::Instant::now();
    const ROUNDS: u32 = 100_000;
    for _ in 0..ROUNDS {
        let entry = site.room.enter(&parts, None, now);
        assert!(matches!(entry, crate::room::Entry::Open { cookie: None }));
    }
    eprintln!("a pass at the door: {:?}", begun.elapsed() / ROUNDS);
}
