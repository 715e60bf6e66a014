//! The channel over HTTP: asks a bank that runs elsewhere, such as `seawall bank`.
//!
//! One thread with a runtime of its own holds the connections, because who asks lives on several
//! runtimes. Whatever is not a clear answer in time is [`Unknown`], which the worker of `flow`
//! brings to an end; nothing is guessed. It must not know what the bank does.

use super::service::{Question, Reply};
use super::{Ask, Authorised, Channel, Closed, Pending, Unknown};
use crate::limits::{BANK_ANSWER_MS, BANK_ASKED_MAX, BANK_CONNECTIONS_MAX, SMALL_BODY_BYTES_MAX};
use host::http::{Body, read_body};
use hyper::client::conn::http1::SendRequest;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use sale::{Money, PaymentRef};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::LocalSet;

/// A bank at an address.
#[derive(Debug)]
pub struct HttpChannel {
    questions: mpsc::Sender<Asked>,
}

#[derive(Debug)]
struct Asked {
    path: &'static str,
    body: Vec<u8>,
    reply: oneshot::Sender<Reply>,
}

impl HttpChannel {
    /// Nothing is asked yet: a bank that is away is no reason not to sell.
    pub fn start(bank: SocketAddr) -> std::io::Result<HttpChannel> {
        let (questions, asked) = mpsc::channel(BANK_ASKED_MAX);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let thread = std::thread::Builder::new().name("bank".into());
        thread.spawn(move || LocalSet::new().block_on(&runtime, ask_all(bank, asked)))?;
        Ok(HttpChannel { questions })
    }

    fn ask(&self, path: &'static str, question: &Question) -> Pending<Reply> {
        let questions = self.questions.clone();
        // Plain words and numbers always serialise.
        let body = serde_json::to_vec(question).unwrap_or_default();
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            let asked = Asked { path, body, reply };
            // Too many wait: the bank is not asked, which the asker cannot tell from silence.
            questions.try_send(asked).map_err(|_| Unknown)?;
            answer.await.map_err(|_| Unknown)
        })
    }
}

impl Channel for HttpChannel {
    fn name(&self) -> &'static str {
        "http"
    }
    fn authorise(&self, ask: Ask) -> Pending<Authorised> {
        let reply = self.ask("/v1/authorise", &question(ask));
        Box::pin(async move {
            match reply.await? {
                Reply::Approved => Ok(Authorised::Approved),
                Reply::Declined => Ok(Authorised::Declined),
                _ => Err(Unknown),
            }
        })
    }
    fn capture(&self, ask: Ask) -> Pending<Closed> {
        closed(self.ask("/v1/capture", &question(ask)))
    }
    fn close(&self, payment: PaymentRef) -> Pending<Closed> {
        closed(self.ask("/v1/close", &about(payment)))
    }
    fn refund(&self, payment: PaymentRef, total: Money) -> Pending<Money> {
        let question = Question {
            amount: total.0,
            ..about(payment)
        };
        let reply = self.ask("/v1/refund", &question);
        Box::pin(async move {
            match reply.await? {
                Reply::Refunded { amount } => Ok(Money(amount)),
                _ => Err(Unknown),
            }
        })
    }
}

fn about(payment: PaymentRef) -> Question {
    Question {
        payment: format!("{:032x}", payment.0),
        order: String::new(),
        amount: 0,
        currency: String::new(),
    }
}

fn question(ask: Ask) -> Question {
    Question {
        order: ask.order.to_string(),
        amount: ask.amount.0,
        currency: ask.currency.as_str().to_owned(),
        ..about(ask.payment)
    }
}

fn closed(reply: Pending<Reply>) -> Pending<Closed> {
    Box::pin(async move {
        match reply.await? {
            Reply::Captured { amount } => Ok(Closed::Captured {
                amount: Money(amount),
            }),
            Reply::Void => Ok(Closed::Void),
            _ => Err(Unknown),
        }
    })
}

type Connection = SendRequest<Body>;

/// Connections at rest; the one used last is taken first.
struct Bank {
    address: SocketAddr,
    idle: RefCell<Vec<Connection>>,
    open: Semaphore,
}

async fn ask_all(address: SocketAddr, mut asked: mpsc::Receiver<Asked>) {
    let bank = Rc::new(Bank {
        address,
        idle: RefCell::default(),
        open: Semaphore::new(BANK_CONNECTIONS_MAX),
    });
    while let Some(asked) = asked.recv().await {
        let bank = Rc::clone(&bank);
        // As many as the channel lets in at once: it holds what waits, tasks hold what runs.
        tokio::task::spawn_local(async move {
            let Asked { path, body, reply } = asked;
            let time = Duration::from_millis(BANK_ANSWER_MS);
            if let Ok(Some(answer)) = tokio::time::timeout(time, bank.ask(path, body)).await {
                // Whoever asked may be gone.
                let _ = reply.send(answer);
            }
        });
    }
}

impl Bank {
    async fn ask(&self, path: &str, body: Vec<u8>) -> Option<Reply> {
        let _permit = self.open.acquire().await.ok()?;
        let kept = self.kept();
        let was_kept = kept.is_some();
        let connection = match kept {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        match self.exchange(connection, path, body.clone()).await {
            // A connection at rest may have been closed meanwhile; questions may be repeated.
            None if was_kept => {
                let connection = self.connect().await?;
                self.exchange(connection, path, body).await?
            }
            answered => answered?,
        }
    }

    fn kept(&self) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        while let Some(connection) = idle.pop() {
            if connection.is_ready() {
                return Some(connection);
            }
        }
        None
    }

    async fn connect(&self) -> Option<Connection> {
        let stream = TcpStream::connect(self.address).await.ok()?;
        stream.set_nodelay(true).ok()?;
        let (connection, driver) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .ok()?;
        tokio::task::spawn_local(async move {
            // How it ends shows at the question on it.
            let _ = driver.await;
        });
        Some(connection)
    }

    /// `None`: no whole HTTP answer came. `Some(None)`: one that is no clear reply.
    async fn exchange(
        &self,
        mut connection: Connection,
        path: &str,
        body: Vec<u8>,
    ) -> Option<Option<Reply>> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(HOST, self.address.to_string())
            .header(CONTENT_TYPE, "application/json")
            .body(Body::from(body))
            .ok()?;
        let answer = connection.send_request(request).await.ok()?;
        let (head, body) = answer.into_parts();
        let time = Duration::from_millis(BANK_ANSWER_MS);
        let body = read_body(body, SMALL_BODY_BYTES_MAX, time).await.ok()?;
        if connection.ready().await.is_ok() {
            self.idle.borrow_mut().push(connection);
        }
        let reply = serde_json::from_slice(&body).ok();
        Some(reply.filter(|_| head.status == StatusCode::OK))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Sandbox, SandboxOptions, serve};
    use super::*;
    use host::Drain;
    use sale::{Currency, OrderId};
    use std::sync::Arc;

    fn wait<T>(pending: Pending<T>) -> Result<T, Unknown> {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(pending)
    }

    fn ask(n: u128) -> Ask {
        Ask {
            payment: PaymentRef(n),
            order: OrderId(1 << 44 | n as u64),
            amount: Money(500),
            currency: Currency::EUR,
        }
    }

    #[test]
    fn a_bank_elsewhere_answers_as_one_in_process_and_silence_is_unknown() {
        let folder = tempfile::tempdir().unwrap();
        let options = SandboxOptions {
            delay: Duration::ZERO,
            ..SandboxOptions::default()
        };
        let ledger = folder.path().join("bank.jsonl");
        let sandbox = Arc::new(Sandbox::open(&ledger, options).unwrap());
        let drain = Drain::new();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let bank = serve(any, sandbox, drain.clone()).unwrap();
        let channel = HttpChannel::start(bank.local_addr()).unwrap();
        assert_eq!(wait(channel.authorise(ask(1))), Ok(Authorised::Approved));
        let captured = Closed::Captured { amount: Money(500) };
        for _ in 0..3 {
            assert_eq!(wait(channel.capture(ask(1))), Ok(captured));
        }
        assert_eq!(wait(channel.close(PaymentRef(1))), Ok(captured));
        assert_eq!(wait(channel.close(PaymentRef(2))), Ok(Closed::Void));
        assert_eq!(wait(channel.authorise(ask(2))), Ok(Authorised::Declined));
        let refunded = wait(channel.refund(PaymentRef(1), Money(200)));
        assert_eq!(refunded, Ok(Money(200)));
        // The bank goes away: whoever asks gets no answer, and no wrong one.
        drain.begin();
        bank.join();
        assert_eq!(wait(channel.capture(ask(1))), Err(Unknown));
    }
}
