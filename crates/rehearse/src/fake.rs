//! A small shop for tests: the real rules behind a thread per connection, entries kept in memory.
//!
//! It can be killed (connections cut, door closed, state kept, as if recovered) and opened again
//! on the same port, it can pause, and it can be told to lie, so that the audit is seen to fail.

use crate::plan::Product;
use sale::{
    At, BuyerId, Command, CouponTerms, Currency, Entry, Held, Ledger, Line, LineIndex, Lines,
    Millis, Money, NoEffects, OrderId, Outcome, PaymentRef, Place, Qty, RequestId, Seq, SkuTerms,
    Text,
};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[derive(Default)]
struct State {
    ledger: Ledger,
    entries: Vec<Entry>,
    captures: Vec<(OrderId, PaymentRef, Money)>,
    connections: Vec<TcpStream>,
    keys_seen: HashMap<String, u32>,
}

pub(crate) struct FakeShop {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
    open: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
    /// Every n-th accepted order is answered but not kept: the lie that an audit must find.
    pub(crate) forget_each: Arc<AtomicU64>,
    pub(crate) hold_ms: u64,
}

fn now() -> At {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    At(since.as_millis() as u64)
}

impl FakeShop {
    pub(crate) fn start(products: &[Product], limit: u32, hold_ms: u64) -> FakeShop {
        let mut state = State::default();
        for product in products {
            let terms = SkuTerms {
                price: Money(product.price),
                currency: product.currency,
                buyer_limit: std::num::NonZeroU32::new(limit),
                opens: At(0),
                closes: None,
                hold: Millis(hold_ms),
            };
            let code = Text::new(&product.sku).unwrap();
            let stock = Qty(product.stock as u32);
            state.apply(Command::ListSku { code, stock, terms });
        }
        let terms = CouponTerms {
            quota: Qty(5),
            amount_off: Money(10),
            currency: Currency::EUR,
            minimum_total: Money(20),
        };
        state.apply(Command::CreateCoupon {
            code: Text::new("TEN").unwrap(),
            terms,
        });
        let mut shop = FakeShop {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            state: Arc::new(Mutex::new(state)),
            open: Arc::new(AtomicBool::new(false)),
            acceptor: None,
            forget_each: Arc::new(AtomicU64::new(0)),
            hold_ms,
        };
        shop.open();
        shop
    }

    /// Listens, on the port that it had before if it had one.
    pub(crate) fn open(&mut self) {
        let listener = TcpListener::bind(self.address).unwrap();
        self.address = listener.local_addr().unwrap();
        self.open.store(true, Ordering::SeqCst);
        let (open, state) = (Arc::clone(&self.open), Arc::clone(&self.state));
        let forget_each = Arc::clone(&self.forget_each);
        self.acceptor = Some(std::thread::spawn(move || {
            for stream in listener.incoming() {
                if !open.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                state
                    .lock()
                    .unwrap()
                    .connections
                    .push(stream.try_clone().unwrap());
                let (state, forget_each) = (Arc::clone(&state), Arc::clone(&forget_each));
                std::thread::spawn(move || serve(stream, &state, &forget_each));
            }
        }));
    }

    /// Cuts every connection and closes the door; what was decided stays.
    pub(crate) fn kill(&mut self) {
        self.open.store(false, Ordering::SeqCst);
        // Wakes the acceptor, which then sees that it is closed.
        drop(TcpStream::connect(self.address));
        self.acceptor.take().unwrap().join().unwrap();
        for connection in std::mem::take(&mut self.lock().connections) {
            _ = connection.shutdown(Shutdown::Both);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Nobody is answered for that long.
    pub(crate) fn pause(&self, how_long: Duration) {
        let state = self.lock();
        std::thread::sleep(how_long);
        drop(state);
    }

    /// Ends holds until none is left, and hands out the journal.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        let mut state = self.lock();
        for _ in 0..self.hold_ms / 500 + 2 {
            let at = state.ledger.at().plus(Millis(500));
            let seq = Seq(state.entries.len() as u64 + 1);
            let entry = Entry {
                seq,
                at,
                command: Command::Tick,
            };
            state.ledger.apply(&entry, &mut NoEffects);
            state.entries.push(entry);
        }
        state.entries.clone()
    }

    pub(crate) fn captures(&self) -> Vec<(OrderId, PaymentRef, Money)> {
        self.lock().captures.clone()
    }
    /// How often each idempotency key of an order came in.
    pub(crate) fn keys(&self) -> HashMap<String, u32> {
        self.lock().keys_seen.clone()
    }
}

impl Drop for FakeShop {
    fn drop(&mut self) {
        if self.acceptor.is_some() {
            self.kill();
        }
    }
}

impl State {
    fn apply(&mut self, command: Command) -> Outcome {
        let at = now().max(self.ledger.at());
        let seq = Seq(self.entries.len() as u64 + 1);
        let entry = Entry { seq, at, command };
        let outcome = self.ledger.apply(&entry, &mut NoEffects);
        self.entries.push(entry);
        outcome
    }

    fn place(&mut self, buyer: BuyerId, key: &str, body: &Value) -> (u16, Value) {
        *self.keys_seen.entry(key.to_owned()).or_default() += 1;
        self.apply(Command::Tick);
        let mut lines = Vec::new();
        for line in body["lines"].as_array().unwrap() {
            let code = Text::new(line["sku"].as_str().unwrap()).unwrap();
            let sku = self.ledger.sku_by_code(&code).unwrap();
            lines.push(Line {
                sku,
                qty: Qty(line["quantity"].as_u64().unwrap() as u32),
            });
        }
        let coupon = body["coupon"].as_str().map(|code| {
            self.ledger
                .coupon_by_code(&Text::new(code).unwrap())
                .unwrap()
        });
        let request = crate::books::request_id(buyer, key);
        let lines = Lines::from(lines);
        let sku_of = |state: &State, sku| state.ledger.sku(sku).unwrap().code.as_str().to_owned();
        match self.apply(Command::Place(Place {
            request,
            buyer,
            lines,
            coupon,
        })) {
            Outcome::Held(held) => (201, held_body(&held)),
            Outcome::Replayed(held) => (201, held_body(&held)),
            Outcome::SoldOut { sku, .. } => {
                (409, json!({"code": "sold_out", "sku": sku_of(self, sku)}))
            }
            Outcome::BuyerLimit { sku, .. } => (
                409,
                json!({"code": "buyer_limit", "sku": sku_of(self, sku)}),
            ),
            Outcome::CouponUsed => (409, json!({"code": "coupon_used"})),
            Outcome::CouponExhausted => (409, json!({"code": "coupon_exhausted"})),
            Outcome::CouponNotEligible { .. } => (409, json!({"code": "coupon_not_eligible"})),
            other => (422, json!({"code": format!("{other:?}")})),
        }
    }

    fn pay(&mut self, order: OrderId, key: &str) -> (u16, Value) {
        let digest = crate::books::request_id(BuyerId(0), key).0;
        let payment = PaymentRef(digest);
        let Some(total) = self.ledger.order(order).map(|view| view.held.total) else {
            return (404, json!({"code": "unknown_order"}));
        };
        match self.apply(Command::BeginPayment {
            order,
            payment,
            amount: total,
        }) {
            Outcome::PaymentBegun => self.captures.push((order, payment, total)),
            Outcome::UnknownPayment => {}
            _ => return (409, json!({"code": "not_held"})),
        }
        match self.apply(Command::ConfirmPayment {
            order,
            payment,
            amount: total,
        }) {
            Outcome::Paid => {
                let payment = format!("{digest:032x}");
                (
                    200,
                    json!({"order": order.to_string(), "status": "paid", "payment": payment}),
                )
            }
            _ => (409, json!({"code": "refund_due"})),
        }
    }
}

fn held_body(held: &Held) -> Value {
    json!({
        "order": held.order.to_string(), "status": "held", "pay_by_ms": held.pay_by.0,
        "total": {"amount": held.total.0, "currency": held.currency.as_str()},
        "durability": "disk",
    })
}

fn serve(mut stream: TcpStream, state: &Mutex<State>, forget_each: &AtomicU64) {
    let (mut input, mut chunk) = (Vec::new(), [0u8; 16_384]);
    loop {
        let Ok(count) = stream.read(&mut chunk) else {
            return;
        };
        if count == 0 {
            return;
        }
        input.extend_from_slice(&chunk[..count]);
        while let Some((length, status, body)) = handle(&input, state, forget_each) {
            input.drain(..length);
            let body = body.to_string();
            let size = body.len();
            let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: {size}\r\n\r\n{body}");
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }
}

/// Bytes used, status and body of the first whole request in `input`.
fn handle(
    input: &[u8],
    state: &Mutex<State>,
    forget_each: &AtomicU64,
) -> Option<(usize, u16, Value)> {
    let mut headers = [httparse::EMPTY_HEADER; 16];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(head) = request.parse(input).unwrap() else {
        return None;
    };
    let header = |name: &str| {
        let found = request
            .headers
            .iter()
            .find(|h| h.name.eq_ignore_ascii_case(name));
        found.map(|h| std::str::from_utf8(h.value).unwrap().to_owned())
    };
    let length: usize = header("content-length").map_or(0, |value| value.parse().unwrap());
    let body = input.get(head..head + length)?;
    let body: Value = if length > 0 {
        serde_json::from_slice(body).unwrap()
    } else {
        Value::Null
    };
    let session = header("authorization").map(|value| value.replace("Bearer ", ""));
    let buyer = session
        .and_then(|text| u128::from_str_radix(&text, 16).ok())
        .map(BuyerId);
    let key = header("idempotency-key").unwrap_or_default();
    let path: Vec<&str> = request.path.unwrap().split('/').skip(1).collect();
    let mut state = state.lock().unwrap();
    let (status, body) = match (request.method.unwrap(), path.as_slice(), buyer) {
        ("GET", _, _) => (200, json!("a page")),
        ("POST", ["v1", "session"], _) => {
            let digest = crate::books::request_id(BuyerId(1), body["token"].as_str().unwrap()).0;
            let buyer = format!("{digest:032x}");
            (
                200,
                json!({"buyer": buyer, "session": buyer, "expires_ms": 0}),
            )
        }
        ("POST", ["v1", "orders"], Some(buyer)) => {
            let before = state.entries.len();
            let answer = state.place(buyer, &key, &body);
            let each = forget_each.load(Ordering::Relaxed);
            if each > 0 && answer.0 == 201 && state.ledger.orders_accepted().is_multiple_of(each) {
                // The entry is lost: another command takes its number.
                state.entries[before..]
                    .iter_mut()
                    .for_each(|e| e.command = Command::Tick);
            }
            answer
        }
        ("POST", ["v1", "orders", order, "payment"], Some(_)) => {
            state.pay(OrderId::parse(order).unwrap(), &key)
        }
        ("POST", ["v1", "orders", order, "cancel"], Some(_)) => {
            let order = OrderId::parse(order).unwrap();
            match state.apply(Command::Cancel { order }) {
                Outcome::Cancelled => (200, json!({"order": "", "status": "cancelled"})),
                _ => (409, json!({"code": "not_held"})),
            }
        }
        ("POST", ["operator", "orders", order, "returns"], _) => {
            let lines = body["lines"].as_array().unwrap().iter();
            let lines = lines.map(|line| {
                let index = LineIndex(line["line"].as_u64().unwrap() as u16);
                (index, Qty(line["quantity"].as_u64().unwrap() as u32))
            });
            let order = OrderId::parse(order).unwrap();
            let request = RequestId(crate::books::request_id(BuyerId(2), &key).0);
            let lines = lines.collect();
            match state.apply(Command::Return {
                request,
                order,
                lines,
            }) {
                Outcome::Returned { .. } => (200, json!({"status": "returned"})),
                _ => (409, json!({"code": "not_returnable"})),
            }
        }
        (_, _, None) => (401, json!({"code": "unauthenticated"})),
        _ => (404, json!({"code": "not_found"})),
    };
    Some((head + length, status, body))
}
