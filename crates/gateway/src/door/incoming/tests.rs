//! Bodies through the pipe: whole, broken, with trailers, untouched.

use super::{DuplexStream, empty, serve, shown};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use std::cell::RefCell;
use std::rc::Rc;
use tokio::io::AsyncWriteExt;
use tokio::sync::oneshot;

fn on_a_worker(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, work);
}

/// A request's body as a listener would hand it over, and the end that a client would write to.
async fn incoming(head: &str) -> (DuplexStream, Incoming) {
    let (mut near, far) = tokio::io::duplex(64);
    let (give, body) = oneshot::channel();
    tokio::task::spawn_local(serve(far, give));
    let head = format!("POST / HTTP/1.1\r\n{head}\r\n\r\n");
    near.write_all(head.as_bytes()).await.unwrap();
    (near, body.await.unwrap())
}

type Seen = Rc<RefCell<Vec<u8>>>;

async fn watched(body: Incoming) -> (Incoming, super::Flow, Seen) {
    let seen = Seen::default();
    let to = Rc::clone(&seen);
    let see = move |part: &[u8]| to.borrow_mut().extend_from_slice(part);
    let (again, flow) = shown(body, see).await.unwrap();
    (again, flow, seen)
}

#[test]
fn a_body_that_is_not_there_is_empty() {
    on_a_worker(async {
        let body = empty().await.unwrap();
        assert!(body.is_end_stream());
    });
}

#[test]
fn all_of_a_body_passes_by_with_its_length_or_its_trailers() {
    on_a_worker(async {
        let text = "0123456789".repeat(20_000);
        let sent = text.clone();
        let (mut client, body) = incoming(&format!("content-length: {}", text.len())).await;
        let (again, _flow, seen) = watched(body).await;
        assert_eq!(again.size_hint().exact(), Some(text.len() as u64));
        tokio::task::spawn_local(async move {
            client.write_all(sent.as_bytes()).await.unwrap();
            std::future::pending::<()>().await;
        });
        let whole = again.collect().await.unwrap().to_bytes();
        assert_eq!(whole, text.as_bytes());
        assert_eq!(*seen.borrow(), text.as_bytes());

        let head = "transfer-encoding: chunked\r\ntrailer: x-sum";
        let (mut client, body) = incoming(head).await;
        let (again, _flow, seen) = watched(body).await;
        assert_eq!(again.size_hint().exact(), None);
        let chunks = b"3\r\nabc\r\n5\r\ndefgh\r\n0\r\nx-sum: 8\r\n\r\n";
        client.write_all(chunks).await.unwrap();
        let whole = again.collect().await.unwrap();
        assert_eq!(whole.trailers().unwrap()["x-sum"], "8");
        assert_eq!(whole.to_bytes(), "abcdefgh");
        assert_eq!(*seen.borrow(), b"abcdefgh");
    });
}

#[test]
fn a_body_that_breaks_off_is_a_failure_for_its_reader() {
    on_a_worker(async {
        for (head, part) in [
            ("content-length: 10", "abc"),
            ("transfer-encoding: chunked", "3\r\nabc\r\n"),
        ] {
            let (mut client, body) = incoming(head).await;
            let (mut again, _flow, seen) = watched(body).await;
            client.write_all(part.as_bytes()).await.unwrap();
            let first = again.frame().await.unwrap().unwrap();
            assert_eq!(first.into_data().unwrap(), "abc", "{head}");
            drop(client);
            assert!(again.frame().await.unwrap().is_err(), "{head}");
            assert_eq!(*seen.borrow(), b"abc");
        }
    });
}

#[test]
fn nothing_is_taken_from_the_client_before_the_reader_wants_it() {
    on_a_worker(async {
        let (mut client, body) = incoming("content-length: 1000000").await;
        let (again, flow, seen) = watched(body).await;
        let writes = client.write_all(&[b'x'; 100_000]);
        let waits = tokio::time::timeout(std::time::Duration::from_millis(50), writes);
        assert!(waits.await.is_err(), "the pipe is full, and stays so");
        assert!(seen.borrow().is_empty());
        drop((again, flow));
    });
}
