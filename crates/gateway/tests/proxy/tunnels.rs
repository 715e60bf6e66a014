//! Upgrades: both sides say so, then bytes go both ways until somebody has enough.

use crate::support::{Front, Upstream, until};
use gateway::upstream::Event;

const ASK: &str = "GET /chat HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                      Upgrade: websocket\r\nSec-WebSocket-Accept: abc\r\n\r\n";

fn echo() -> Upstream {
    Upstream::scripted(|talk, _| {
        let head = talk.request().unwrap().to_ascii_lowercase();
        assert!(head.contains("\r\nconnection: upgrade\r\n"), "{head}");
        assert!(head.contains("\r\nupgrade: websocket\r\n"), "{head}");
        assert!(head.contains("sec-websocket-key: "), "{head}");
        talk.say(format!("{SWITCH}first"));
        while let Some(some) = talk.some() {
            if some == "bye" {
                return;
            }
            talk.say(some);
        }
    })
}

#[test]
fn bytes_go_both_ways_after_an_upgrade() {
    let upstream = echo();
    let front = Front::to(&[upstream.addr]);
    let mut client = front.connect();
    client.send(format!("{ASK}early"));
    let head = client.head();
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    assert!(head.contains("\r\nconnection: upgrade\r\n"), "{head}");
    assert!(head.contains("\r\nupgrade: websocket\r\n"), "{head}");
    assert!(head.contains("sec-websocket-accept: abc"), "{head}");
    assert_eq!(client.some("firstearly".len()), "firstearly");
    for n in 0..100 {
        let text = format!("message {n}");
        client.send(&text);
        assert_eq!(client.some(text.len()), text);
    }
    let large = "x".repeat(1024 * 1024);
    let mut sender = client.stream.try_clone().unwrap();
    let copy = large.clone();
    let sending =
        std::thread::spawn(move || std::io::Write::write_all(&mut sender, copy.as_bytes()));
    assert_eq!(client.some(large.len()), large);
    sending.join().unwrap().unwrap();
    assert_eq!(front.count(Event::Upgraded), 1);
    client.send("bye");
    assert_eq!(client.rest(), "", "the end is passed on");
    drop(client);
    until("nothing is left", || {
        front.pool.peers()[0].connections() == 0
    });
}

#[test]
fn a_client_that_leaves_ends_the_tunnel_and_so_does_silence() {
    let upstream = echo();
    let front = Front::with(
        &[upstream.addr],
        |spec| spec.timeouts.between_ms = 200,
        |_| {},
    );
    let mut client = front.connect();
    client.send(ASK);
    client.head();
    drop(client);
    until("the upstream was let go", || upstream.closed() == 1);
    let mut silent = front.connect();
    silent.send(ASK);
    silent.head();
    assert_eq!(silent.rest(), "first");
    until("the upstream was let go", || upstream.closed() == 2);
}

#[test]
fn an_upgrade_may_be_refused_by_either() {
    let upstream = Upstream::scripted(|talk, _| {
        while let Some(request) = talk.request() {
            let asked = request.to_ascii_lowercase().contains("upgrade: ");
            talk.say(crate::support::ok(if asked {
                "asked"
            } else {
                "not asked"
            }));
        }
    });
    let front = Front::to(&[upstream.addr]);
    assert_eq!(
        front.connect().ask(ASK).body,
        "asked",
        "an answer like any other"
    );
    let h2c = "GET / HTTP/1.1\r\nHost: t\r\nConnection: Upgrade, HTTP2-Settings\r\n\
               Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n";
    assert_eq!(
        front.connect().ask(h2c).body,
        "not asked",
        "no way around the door"
    );
    let front = Front::with(&[upstream.addr], |_| {}, |ctx| ctx.may_upgrade = false);
    assert_eq!(front.connect().ask(ASK).body, "not asked");
}

#[test]
fn a_101_to_another_protocol_is_refused() {
    let upstream = Upstream::saying(SWITCH.replace("websocket", "other"));
    let front = Front::to(&[upstream.addr]);
    let got = front.connect().ask(ASK);
    assert_eq!((got.status, got.body.as_str()), (502, "malformed"));
}
