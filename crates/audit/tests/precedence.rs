//! Each refusal has a row, and each neighbouring pair of the precedence has a row where both
//! apply: the earlier one is the answer, and with its cause taken away the later one is. Both the
//! ledger and the model are asked.

use audit::{Model, outcome_name};
use sale::*;
use std::num::NonZeroU32;

/// The world that every row starts in. Ann holds an order of one `one-each` with coupon `ten`
/// under request `old`, pays for `bought` and has used `mine` up; Bob has used `last` up.
struct World {
    ledger: Ledger,
    model: Model,
    seq: u64,
}

const NOW: At = At(1_000_000);

/// code, price, currency, per-buyer limit (0: none), opening, stock
const SKUS: [(&str, i64, &str, u32, u64, u32); 12] = [
    ("plenty", 100, "EUR", 0, 0, 1_000),
    ("gone", 100, "EUR", 0, 0, 0),
    ("one-each", 100, "EUR", 1, 0, 1_000),
    ("one-gone", 100, "EUR", 1, 0, 1),
    ("shut", 100, "EUR", 0, 0, 10),
    ("shut-one", 100, "EUR", 1, 0, 10),
    ("soon", 100, "EUR", 0, 2_000_000, 10),
    ("soon-shut", 100, "EUR", 0, 2_000_000, 10),
    ("pounds", 100, "GBP", 0, 0, 10),
    ("gold", 1_000_000_000_000, "EUR", 0, 0, 10),
    ("gold-soon", 1_000_000_000_000, "EUR", 0, 2_000_000, 10),
    ("gold-pounds", 1_000_000_000_000, "GBP", 0, 0, 10),
];

/// code, quota, amount off, minimum, currency
const COUPONS: [(&str, u32, i64, i64, &str); 5] = [
    ("ten", 100, 10, 50, "EUR"),
    ("mine", 1, 10, 50, "EUR"),
    ("last", 1, 10, 50, "EUR"),
    ("big", 100, 10, 1_000, "EUR"),
    ("mine-big", 100, 10, 150, "EUR"),
];

fn code(text: &str) -> Text {
    Text::new(text).unwrap()
}

fn sku(name: &str) -> SkuId {
    // Gold comes in ten pieces, `gold0` to `gold9`, behind the table.
    let gold = name
        .strip_prefix("gold")
        .and_then(|n| n.parse::<u32>().ok());
    let row = SKUS.iter().position(|s| s.0 == name).map(|i| i as u32);
    SkuId(row.or(gold.map(|n| SKUS.len() as u32 + n)).unwrap_or(9_999))
}

fn coupon(name: &str) -> CouponId {
    CouponId(COUPONS.iter().position(|c| c.0 == name).unwrap_or(9_999) as u32)
}

fn number(name: &str) -> u128 {
    name.bytes().fold(0, |n, byte| n * 256 + u128::from(byte))
}

/// `request buyer: 2 plenty, 1 gone + coupon`; `-` is no line, `1001 x each` is a basket of so many
/// lines, `all gold` one million units of each of the ten.
fn place(text: &str) -> Command {
    let (who, wish) = text.split_once(": ").expect("request buyer: lines");
    let (request, buyer) = who.split_once(' ').expect("request buyer");
    let (lines, with) = match wish.split_once(" + ") {
        Some((lines, with)) => (lines, Some(coupon(with))),
        None => (wish, None),
    };
    let mut out = vec![];
    for line in lines.split(", ").filter(|line| *line != "-") {
        let (count, name) = line.split_once(' ').expect("count and SKU");
        match (count, name) {
            ("all", "gold") => {
                out.extend((0..10).map(|n| (sku(&format!("gold{n}")), Qty(1_000_000))));
            }
            (_, "baskets") => {
                let lines = count.parse().unwrap();
                out.extend((0..lines).map(|n| (SkuId(n), Qty(0))));
            }
            _ => out.push((sku(name), Qty(count.parse().unwrap()))),
        }
    }
    let lines: Vec<Line> = out
        .into_iter()
        .map(|(sku, qty)| Line { sku, qty })
        .collect();
    Command::Place(Place {
        request: RequestId(number(request)),
        buyer: BuyerId(number(buyer)),
        lines: lines.into(),
        coupon: with,
    })
}

impl World {
    fn new() -> World {
        let mut world = World {
            ledger: Ledger::new(),
            model: Model::new(),
            seq: 0,
        };
        for (name, price, currency, limit, opens, stock) in SKUS {
            world.list(name, terms(price, currency, limit, opens), stock);
        }
        for n in 0..10 {
            world.list(
                &format!("gold{n}"),
                terms(1_000_000_000_000, "EUR", 0, 0),
                10,
            );
        }
        for (name, quota, off, minimum, currency) in COUPONS {
            let terms = CouponTerms {
                quota: Qty(quota),
                amount_off: Money(off),
                currency: Currency::new(currency).unwrap(),
                minimum_total: Money(minimum),
            };
            world.run(
                Command::CreateCoupon {
                    code: code(name),
                    terms,
                },
                "coupon_created",
            );
        }
        for order in [
            "old ann: 1 one-each + ten",
            "o2 ann: 1 one-gone",
            "o3 ann: 1 plenty + mine",
            "o4 bob: 1 plenty + last",
            "o5 ann: 1 shut-one",
            "o6 ann: 2 plenty + mine-big",
        ] {
            world.run(place(order), "held");
        }
        for name in ["shut", "shut-one", "soon-shut"] {
            world.run(Command::CloseSku { sku: sku(name) }, "shut_down");
        }
        let (request, sku, delta) = (RequestId(number("stocked")), SkuId(0), UnitDelta(1));
        let adjust = Command::AdjustStock {
            request,
            sku,
            delta,
            reason: code("delivery"),
        };
        world.run(adjust, "adjusted");
        // One order is paid, one cancelled.
        let paid = world.order("bought cid: 2 plenty");
        world.run(confirm(paid, "p1", 200), "paid");
        world.run(confirm(paid, "p2", 200), "refund_due");
        let cancelled = world.order("dropped cid: 1 plenty");
        world.run(begin(cancelled, "p1", 100), "payment_begun");
        world.run(
            Command::AbandonPayment {
                order: cancelled,
                payment: payment("p1"),
            },
            "payment_abandoned",
        );
        world.run(Command::Cancel { order: cancelled }, "cancelled");
        world
    }

    fn list(&mut self, name: &str, terms: SkuTerms, stock: u32) {
        let stock = Qty(stock);
        self.run(
            Command::ListSku {
                code: code(name),
                stock,
                terms,
            },
            "listed",
        );
    }

    /// Places an order and gives its number.
    fn order(&mut self, text: &str) -> OrderId {
        match self.ask(place(text)) {
            Outcome::Held(held) => held.order,
            other => panic!("{text}: {other:?}"),
        }
    }

    fn ask(&mut self, command: Command) -> Outcome {
        self.seq += 1;
        let entry = Entry {
            seq: Seq(self.seq),
            at: NOW,
            command,
        };
        let outcome = self.ledger.apply(&entry, &mut NoEffects);
        assert_eq!(self.model.apply(&entry), outcome, "the model: {entry:?}");
        outcome
    }

    fn run(&mut self, command: Command, expected: &str) {
        let text = format!("{command:?}");
        let outcome = self.ask(command);
        assert_eq!(outcome_name(&outcome), expected, "{text} gives {outcome:?}");
    }
}

fn terms(price: i64, currency: &str, limit: u32, opens: u64) -> SkuTerms {
    SkuTerms {
        price: Money(price),
        currency: Currency::new(currency).unwrap(),
        buyer_limit: NonZeroU32::new(limit),
        opens: At(opens),
        closes: None,
        hold: Millis(60_000),
    }
}

fn payment(name: &str) -> PaymentRef {
    PaymentRef(number(name))
}

fn begin(order: OrderId, name: &str, amount: i64) -> Command {
    Command::BeginPayment {
        order,
        payment: payment(name),
        amount: Money(amount),
    }
}

fn confirm(order: OrderId, name: &str, amount: i64) -> Command {
    Command::ConfirmPayment {
        order,
        payment: payment(name),
        amount: Money(amount),
    }
}

/// two causes at once · the answer · the first cause taken away · the next answer
#[rustfmt::skip]
const ORDERS: [[&str; 4]; 21] = [
    ["old ann: 1 one-each + ten", "replayed",       "new ann: 1 one-each + ten", "buyer_limit"],
    ["old ann: -", "key_reused",                    "new ann: -", "malformed_empty"],
    ["stocked ann: 1001 baskets", "key_reused",     "new ann: 1001 baskets", "malformed_too_many"],
    ["new ann: 1001 baskets", "malformed_too_many", "new ann: 1000 baskets", "malformed_quantity"],
    ["new ann: 1 gold, 0 gold", "malformed_quantity", "new ann: 1 gold, 1 gold", "malformed_twice"],
    ["new ann: 1000001 gone", "malformed_quantity", "new ann: 1000000 gone", "sold_out"],
    ["new ann: 1 nil, 1 nil", "malformed_twice",    "new ann: 1 nil, 1 plenty", "unknown_sku"],
    ["new ann: 1 soon, 1 pounds, 1 nil", "unknown_sku",
                                    "new ann: 1 soon, 1 pounds", "malformed_currencies"],
    ["new ann: all gold, 1000000 gold-pounds", "malformed_currencies",
                                    "new ann: all gold, 1000000 gold", "malformed_total"],
    ["new ann: all gold, 1 soon", "malformed_total", "new ann: 1 gold, 1 soon", "not_open"],
    ["new ann: 1 shut, 1 soon", "not_open",         "new ann: 1 shut, 1 plenty", "closed"],
    ["new ann: 1 soon-shut", "not_open",            "new ann: 1 shut", "closed"],
    ["new ann: 1 one-each, 1 shut", "closed",       "new ann: 1 one-each", "buyer_limit"],
    ["new ann: 1 shut-one", "closed",               "new ann: 1 one-gone", "buyer_limit"],
    ["new ann: 1 one-each + nil", "buyer_limit",    "new ann: 1 plenty + nil", "coupon_unknown"],
    ["new ann: 1 gone + nil", "coupon_unknown",     "new ann: 1 gone + big", "coupon_not_eligible"],
    ["new ann: 1 plenty + mine-big", "coupon_not_eligible",
                                    "new ann: 2 plenty + mine-big", "coupon_used"],
    ["new ann: 1 plenty + mine", "coupon_used",     "new bob: 1 plenty + mine", "coupon_exhausted"],
    ["new ann: 1 gone + last", "coupon_exhausted",  "new bob: 1 gone + ten", "sold_out"],
    ["new bob: 1 one-gone", "sold_out",             "new bob: 1 one-each", "held"],
    ["new ann: 1 pounds + ten", "coupon_not_eligible", "new ann: 1 pounds", "held"],
];

#[test]
fn orders_are_refused_in_the_documented_order() {
    for [both, answer, cured, next] in ORDERS {
        World::new().run(place(both), answer);
        World::new().run(place(cured), next);
    }
}

/// Every answer to an order stands in the table: first as the answer to two causes, then alone.
#[test]
fn every_answer_to_an_order_has_a_row() {
    let order = "replayed key_reused malformed_empty malformed_too_many malformed_quantity \
        malformed_twice unknown_sku malformed_currencies malformed_total not_open closed \
        buyer_limit coupon_unknown coupon_not_eligible coupon_used coupon_exhausted sold_out held";
    let order: Vec<&str> = order.split_whitespace().collect();
    for pair in order.windows(2) {
        // A basket is empty or has too many lines, never both; an id is known with the same
        // content or with other, never both.
        if matches!(pair, ["malformed_empty", _] | ["replayed", _]) {
            continue;
        }
        let known = |row: &[&str; 4]| row[1] == pair[0] && row[3] == pair[1];
        assert!(ORDERS.iter().any(known), "no row for {pair:?}");
    }
}

/// One wish, which answer it gets, the wish with the first cause taken away, and its answer.
type Row = (Command, &'static str, Command, &'static str);

fn check(rows: impl Fn(&World) -> Vec<Row>) {
    let count = rows(&World::new()).len();
    for index in 0..count {
        let mut world = World::new();
        let (both, answer, cured, next) = rows(&world).swap_remove(index);
        world.run(both, answer);
        let mut world = World::new();
        let _ = rows(&world);
        world.run(cured, next);
    }
}

fn known(world: &World, request: &str) -> OrderId {
    let id = RequestId(number(request));
    world
        .ledger
        .order_by_request(id)
        .expect("the row names an order of the world")
}

#[test]
fn payments_are_refused_in_the_documented_order() {
    check(|world| {
        let nobody = OrderId(1 << 60);
        let held = known(world, "old");
        let paid = known(world, "bought");
        let cancelled = known(world, "dropped");
        let abandon = |order, name| Command::AbandonPayment {
            order,
            payment: payment(name),
        };
        let settle = |order, name, amount| Command::SettleRefund {
            order,
            payment: payment(name),
            amount: Money(amount),
        };
        let cancel = |order| Command::Cancel { order };
        vec![
            (
                begin(nobody, "p1", 1),
                "unknown_order",
                begin(cancelled, "p1", 1),
                "unknown_payment",
            ),
            (
                begin(paid, "p1", 1),
                "unknown_payment",
                begin(paid, "p9", 1),
                "wrong_amount",
            ),
            (
                begin(paid, "p9", 1),
                "wrong_amount",
                begin(paid, "p9", 200),
                "not_held",
            ),
            (
                begin(cancelled, "p9", 100),
                "not_held",
                begin(held, "p9", 90),
                "payment_begun",
            ),
            (
                confirm(nobody, "p1", 1),
                "unknown_order",
                confirm(paid, "p1", 1),
                "wrong_amount",
            ),
            (
                confirm(paid, "p1", 200),
                "paid",
                confirm(paid, "p1", 1),
                "wrong_amount",
            ),
            (
                confirm(paid, "p2", 200),
                "refund_due",
                confirm(paid, "p2", 1),
                "wrong_amount",
            ),
            (
                confirm(paid, "p9", 1),
                "wrong_amount",
                confirm(paid, "p9", 200),
                "refund_due",
            ),
            (
                confirm(cancelled, "p1", 1),
                "wrong_amount",
                confirm(cancelled, "p1", 100),
                "paid",
            ),
            (
                abandon(nobody, "p1"),
                "unknown_order",
                abandon(paid, "p1"),
                "unknown_payment",
            ),
            (
                abandon(held, "p9"),
                "unknown_payment",
                abandon(cancelled, "p1"),
                "payment_abandoned",
            ),
            (
                settle(nobody, "p2", 999),
                "unknown_order",
                settle(paid, "p1", 999),
                "unknown_payment",
            ),
            (
                settle(paid, "p1", 999),
                "unknown_payment",
                settle(paid, "p2", 999),
                "wrong_amount",
            ),
            (
                settle(paid, "p2", 201),
                "wrong_amount",
                settle(paid, "p2", 200),
                "refund_settled",
            ),
            (cancel(nobody), "unknown_order", cancel(paid), "not_held"),
            (cancel(paid), "not_held", cancel(cancelled), "cancelled"),
        ]
    });
}

#[test]
fn returns_are_refused_in_the_documented_order() {
    check(|world| {
        let nobody = OrderId(1 << 60);
        let (held, paid) = (known(world, "old"), known(world, "bought"));
        let back = |request: &str, order, lines: &[(u16, u32)]| Command::Return {
            request: RequestId(number(request)),
            order,
            lines: lines
                .iter()
                .map(|(line, qty)| (LineIndex(*line), Qty(*qty)))
                .collect(),
        };
        let many = vec![(0, 0); limits::LINES_PER_ORDER_MAX + 1];
        let fewer = &many[1..];
        vec![
            (
                back("old", nobody, &[]),
                "key_reused",
                back("new", nobody, &[]),
                "malformed_empty",
            ),
            (
                back("old", nobody, &many),
                "key_reused",
                back("new", nobody, &many),
                "malformed_too_many",
            ),
            (
                back("new", nobody, &many),
                "malformed_too_many",
                back("new", nobody, fewer),
                "malformed_quantity",
            ),
            (
                back("new", nobody, &[(0, 1), (0, 0)]),
                "malformed_quantity",
                back("new", nobody, &[(0, 1), (0, 1)]),
                "malformed_twice",
            ),
            (
                back("new", nobody, &[(0, 1), (0, 1)]),
                "malformed_twice",
                back("new", nobody, &[(0, 1)]),
                "unknown_order",
            ),
            (
                back("new", nobody, &[(9, 1)]),
                "unknown_order",
                back("new", held, &[(9, 1)]),
                "not_paid",
            ),
            (
                back("new", held, &[(9, 1)]),
                "not_paid",
                back("new", paid, &[(9, 1)]),
                "not_returnable",
            ),
            (
                back("new", paid, &[(0, 3)]),
                "not_returnable",
                back("new", paid, &[(0, 2)]),
                "returned",
            ),
        ]
    });
}

#[test]
fn operators_are_refused_in_the_documented_order() {
    check(|_| {
        let adjust = |request: &str, sku: SkuId, delta| Command::AdjustStock {
            request: RequestId(number(request)),
            sku,
            delta: UnitDelta(delta),
            reason: code("delivery"),
        };
        let good = terms(1, "EUR", 0, 0);
        let bad = SkuTerms {
            hold: Millis(limits::HOLD_MS_MIN - 1),
            ..good
        };
        let list = |name: &str, terms| Command::ListSku {
            code: code(name),
            stock: Qty(1),
            terms,
        };
        let set = |sku, terms| Command::SetTerms { sku, terms };
        let coupon = |name: &str, minimum| Command::CreateCoupon {
            code: code(name),
            terms: CouponTerms {
                quota: Qty(1),
                amount_off: Money(5),
                currency: Currency::EUR,
                minimum_total: Money(minimum),
            },
        };
        let windows = Windows::default();
        let cell = |cell| Command::Configure { cell, windows };
        let (plenty, gone, nil) = (sku("plenty"), sku("gone"), sku("nil"));
        vec![
            (
                adjust("stocked", plenty, 1),
                "adjusted",
                adjust("stocked", plenty, 2),
                "key_reused",
            ),
            (
                adjust("stocked", nil, 0),
                "key_reused",
                adjust("new", nil, 0),
                "unknown_sku",
            ),
            (
                adjust("new", nil, 0),
                "unknown_sku",
                adjust("new", plenty, 0),
                "out_of_bounds",
            ),
            (
                adjust("new", plenty, 1_000_000_000),
                "out_of_bounds",
                adjust("new", gone, -1),
                "too_few_free",
            ),
            (
                adjust("new", gone, -1),
                "too_few_free",
                adjust("new", gone, 1),
                "adjusted",
            ),
            (
                list("plenty", bad),
                "out_of_bounds",
                list("plenty", good),
                "already_listed",
            ),
            (
                list("plenty", good),
                "already_listed",
                list("fresh", good),
                "listed",
            ),
            (
                set(nil, bad),
                "unknown_sku",
                set(plenty, bad),
                "out_of_bounds",
            ),
            (
                set(plenty, bad),
                "out_of_bounds",
                set(plenty, good),
                "terms_set",
            ),
            (
                coupon("ten", 5),
                "out_of_bounds",
                coupon("ten", 6),
                "coupon_exists",
            ),
            (
                coupon("ten", 6),
                "coupon_exists",
                coupon("fresh", 6),
                "coupon_created",
            ),
            (cell(1_024), "out_of_bounds", cell(1), "out_of_bounds"),
            (cell(1), "out_of_bounds", cell(0), "configured"),
            (
                Command::OpenSku { sku: nil },
                "unknown_sku",
                Command::OpenSku { sku: plenty },
                "opened",
            ),
            (
                Command::CloseSku { sku: nil },
                "unknown_sku",
                Command::CloseSku { sku: plenty },
                "shut_down",
            ),
        ]
    });
}
