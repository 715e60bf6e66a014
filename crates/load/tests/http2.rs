//! HTTP/2 towards a server of the test: many requests on few connections, what the target allows,
//! and what it says when it does not want one.

use base64::Engine as _;
use h2::Reason;
use h2::server::SendResponse;
use hyper::body::Bytes;
use hyper::{Request, Response};
use load::arrivals::{Plan, Segment, Spacing};
use load::measure::{End, Measured};
use load::run::Connections;
use load::script::{Check, Checked, Script, Template};
use load::{Options, Run, Target};
use rustls::pki_types::PrivatePkcs8KeyDer;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

/// What a server does with its requests.
#[derive(Clone, Copy)]
enum Does {
    /// Answers after so many milliseconds; on one connection so many at once.
    Wait { ms: u64, at_once: u32 },
    /// Says of the first of four that it did not look at it, and of the second that it failed.
    Reset,
    /// Ends each connection in a friendly way after ten requests.
    Leave,
    /// The body comes back, with the cookie.
    Echo,
}

#[derive(Default)]
struct Seen {
    connections: AtomicU64,
    requests: AtomicU64,
    /// The most at once on one connection.
    at_once: AtomicU64,
}

fn server(does: Does, tls: Option<TlsAcceptor>) -> (SocketAddr, Arc<Seen>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    let seen = Arc::new(Seen::default());
    let shared = Arc::clone(&seen);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            loop {
                let (io, _) = listener.accept().await.unwrap();
                io.set_nodelay(true).unwrap();
                let (seen, tls) = (Arc::clone(&shared), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(io, does, seen).await,
                        Some(tls) => {
                            if let Ok(io) = tls.accept(io).await {
                                serve(io, does, seen).await;
                            }
                        }
                    }
                });
            }
        });
    });
    (address, seen)
}

async fn serve(io: impl AsyncRead + AsyncWrite + Unpin, does: Does, seen: Arc<Seen>) {
    seen.connections.fetch_add(1, Ordering::Relaxed);
    let mut builder = h2::server::Builder::new();
    if let Does::Wait { at_once, .. } = does {
        builder.max_concurrent_streams(at_once);
    }
    let Ok(mut connection) = builder.handshake(io).await else {
        return;
    };
    let now = Arc::new(AtomicU64::new(0));
    let mut here = 0;
    while let Some(Ok((request, answer))) = connection.accept().await {
        here += 1;
        let count = seen.requests.fetch_add(1, Ordering::Relaxed);
        if matches!(does, Does::Leave) && here == 10 {
            connection.graceful_shutdown();
        }
        let at_once = now.fetch_add(1, Ordering::Relaxed) + 1;
        seen.at_once.fetch_max(at_once, Ordering::Relaxed);
        let now = Arc::clone(&now);
        tokio::spawn(async move {
            answered(does, count, request, answer).await;
            now.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

async fn answered(
    does: Does,
    count: u64,
    request: Request<h2::RecvStream>,
    mut answer: SendResponse<Bytes>,
) {
    let mut body = Bytes::from_static(b"ok");
    match does {
        Does::Wait { ms, .. } => tokio::time::sleep(Duration::from_millis(ms)).await,
        Does::Reset if count.is_multiple_of(4) => return answer.send_reset(Reason::REFUSED_STREAM),
        Does::Reset if count % 4 == 1 => return answer.send_reset(Reason::INTERNAL_ERROR),
        Does::Reset | Does::Leave => {}
        Does::Echo => {
            let cookie = request.headers().get("cookie").cloned();
            let mut all = cookie.map_or(Vec::new(), |cookie| cookie.as_bytes().to_vec());
            let mut from = request.into_body();
            while let Some(Ok(part)) = from.data().await {
                all.extend_from_slice(&part);
                let _ = from.flow_control().release_capacity(part.len());
            }
            body = Bytes::from(all);
        }
    }
    let head = Response::builder().header("set-cookie", "s=1").body(());
    if let Ok(mut stream) = answer.send_response(head.unwrap(), false) {
        let _ = stream.send_data(body, true);
    }
}

fn run(script: Script, target: Target, rate: f64, streams: usize) -> Measured {
    let plan = Plan {
        segments: vec![Segment::constant(rate, 1_000_000)],
        spacing: Spacing::Even,
    };
    let options = Options {
        workers: 1,
        streams,
        ..Options::default()
    };
    let run = Run::start(Arc::new(script), plan, Arc::new(target), &options);
    run.join().unwrap()
}

#[test]
fn where_connections_are_new_each_has_one_request() {
    let (address, seen) = server(Does::Wait { ms: 5, at_once: 9 }, None);
    let plan = Plan {
        segments: vec![Segment::constant(100.0, 1_000_000)],
        spacing: Spacing::Even,
    };
    let options = Options {
        workers: 1,
        connections: Connections::New,
        ..Options::default()
    };
    let script = Arc::new(Script::get("/", 5_000_000));
    let run = Run::start(script, plan, Arc::new(plain(address)), &options);
    let measured = run.join().unwrap();
    assert_eq!(
        (measured.total().ended(End::Good), measured.connected),
        (100, 100)
    );
    assert_eq!(seen.at_once.load(Ordering::Relaxed), 1);
    // They are closed again.
    assert!(
        measured.connections_max < 50,
        "{}",
        measured.connections_max
    );
}

fn plain(address: SocketAddr) -> Target {
    let target = Target::new(&format!("http://{address}"), None).unwrap();
    target.in_http2()
}

#[test]
fn requests_share_connections_as_far_as_both_sides_allow() {
    // 400/s of 50 ms are 20 at once.
    let cases = [(100, 100, 1), (5, 100, 4), (100, 5, 4)];
    for (ours, theirs, least) in cases {
        let (address, seen) = server(
            Does::Wait {
                ms: 50,
                at_once: theirs,
            },
            None,
        );
        let measured = run(Script::get("/", 5_000_000), plain(address), 400.0, ours);
        let total = measured.total();
        let at_once = seen.at_once.load(Ordering::Relaxed);
        let shown = format!("{ours} {theirs}: {at_once}, {:?}", total.ends);
        assert_eq!(total.ended(End::Good), 400, "{shown}");
        assert!(at_once <= u64::from(theirs).min(ours as u64), "{shown}");
        let connections = seen.connections.load(Ordering::Relaxed);
        assert_eq!(measured.connected, connections);
        assert!(connections >= least, "{connections} {shown}");
        // A place that a request left is used again: no connection for each request.
        assert!(connections < 60, "{connections} {shown}");
        assert!(measured.connections_max <= connections);
        let p50 = total.latency.quantile_us(0.5).unwrap();
        assert!(p50 >= 50_000, "{p50}");
    }
}

#[test]
fn a_refused_stream_is_a_refusal_and_another_reset_is_not() {
    let (address, _) = server(Does::Reset, None);
    let measured = run(Script::get("/", 5_000_000), plain(address), 100.0, 100);
    let total = measured.total();
    assert_eq!((total.sent, total.ended(End::Good)), (100, 50));
    assert_eq!(total.ended(End::Refused), 25);
    assert_eq!(total.ended(End::Broken), 25);
    let reasons: Vec<(&str, u64)> = total.reasons.iter().map(|(r, n)| (&**r, *n)).collect();
    assert_eq!(reasons, [("INTERNAL_ERROR", 25), ("REFUSED_STREAM", 25)]);
}

#[test]
fn a_connection_that_says_goodbye_is_followed_by_another() {
    let (address, seen) = server(Does::Leave, None);
    let measured = run(Script::get("/", 5_000_000), plain(address), 100.0, 100);
    let total = measured.total();
    let lost = total.ended(End::Refused);
    assert_eq!(total.ended(End::Good) + lost, 100, "{:?}", total.ends);
    assert!(lost <= 10, "{lost} {:?}", total.reasons);
    assert!(seen.connections.load(Ordering::Relaxed) >= 9);
}

#[test]
fn over_tls_bodies_beyond_the_window_and_cookies_arrive() {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    let text = base64::engine::general_purpose::STANDARD.encode(made.cert.der());
    let lines: Vec<&[u8]> = text.as_bytes().chunks(64).collect();
    let text = String::from_utf8(lines.join(&b'\n')).unwrap();
    let text = format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
    std::fs::write(&ca, text).unwrap();
    let acceptor = |alpn: &[&[u8]]| {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.into())
            .unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    };
    let target = |address: SocketAddr| {
        let roots = load::tls(Some(&ca)).unwrap();
        let target = Target::new(&format!("https://{address}"), Some(roots)).unwrap();
        target.in_http2()
    };
    let (address, _) = server(Does::Echo, Some(acceptor(&[b"h2"])));
    assert_eq!(target(address).probe(), Ok(()));
    // Two requests of one buyer: the second has the cookie of the first.
    let mut script = Script::get("/", 5_000_000);
    let spec = &mut script.requests[0];
    spec.method = hyper::Method::POST;
    // The window that a server gives without saying so has 65,535 bytes.
    let body = "x".repeat(200_000) + "end";
    spec.body = Some(Template::text(&body));
    let mut second = spec.clone();
    (second.name, second.figures) = ("second".into(), 1);
    second.checks = vec![Check {
        name: "all".into(),
        what: Checked::BodyContains(Template::text(&format!("s=1{body}"))),
    }];
    script.requests.push(second);
    script.journeys[0].ops.push(load::script::Op::Request(1));
    let measured = run(script, target(address), 10.0, 100);
    assert_eq!(
        measured.named[1].ended(End::Good),
        10,
        "{:?}",
        measured.named
    );
    assert_eq!(
        (measured.connected, measured.named[1].checks[0].passed),
        (1, 10)
    );

    let (address, _) = server(Does::Echo, Some(acceptor(&[])));
    let target = target(address);
    let said = target.probe().unwrap_err();
    assert!(said.contains("ALPN"), "{said}");
    let measured = run(Script::get("/", 5_000_000), target, 10.0, 100);
    assert_eq!(measured.total().ended(End::Connect), 10);
}
