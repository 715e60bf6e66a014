//! The ledger against the slow, obvious model: the same entries, the same outcomes, the same books.

mod generator;

use audit::{Model, outcome_name};
use generator::{Dice, World};
use proptest::prelude::*;
use sale::rows::Row;
use sale::*;
use std::collections::BTreeMap;

/// Runs a sequence through the ledger, a second ledger and the model.
fn agree(numbers: impl IntoIterator<Item = u64>, counts: &mut BTreeMap<&'static str, u64>) {
    let mut world = World::new();
    let (mut ledger, mut twin, mut model) = (Ledger::new(), Ledger::new(), Model::new());
    for (index, number) in numbers.into_iter().enumerate() {
        let entry = world.entry(number);
        let early = match &entry.command {
            Command::Place(place) => Some(ledger.refusal(place, entry.at)),
            _ => None,
        };
        let expected = model.apply(&entry);
        if let Some(early) = early {
            // What may be answered without the journal is what the journal's entry would get.
            let refused = (outcome_name(&expected) != "held").then_some(expected);
            assert_eq!(early, refused, "before {entry:?}");
        }
        let outcome = ledger.apply(&entry, &mut NoEffects);
        assert_eq!(outcome, expected, "{entry:?}");
        *counts.entry(outcome_name(&outcome)).or_default() += 1;
        for sku in (0..model.sku_count()).map(SkuId) {
            assert_eq!(
                ledger.books(sku),
                model.books(sku),
                "SKU {sku} after {entry:?}"
            );
        }
        assert_eq!(
            *model.tally(),
            model.recount(),
            "the model's own sums after {entry:?}"
        );
        let before = twin.digest();
        let mut count = |effect: Effect<'_>| match effect {
            Effect::OrderPaid { retaken: true, .. } => *counts.entry("(retaken)").or_default() += 1,
            Effect::OrderForgotten { .. } => *counts.entry("(forgotten)").or_default() += 1,
            Effect::OrderEnded {
                why: EndReason::Expired,
                ..
            } => {
                *counts.entry("(expired)").or_default() += 1;
            }
            _ => {}
        };
        assert_eq!(twin.apply(&entry, &mut count), outcome);
        assert_eq!(ledger.digest(), twin.digest(), "after {entry:?}");
        if outcome.changed() && outcome_name(&outcome) == "held" {
            assert_ne!(
                before,
                twin.digest(),
                "a digest that never moves says nothing"
            );
        }
        if index % 16 == 15 {
            // From here on the twin lives on what it was exported as.
            let mut rows: Vec<Row> = vec![];
            twin.export(&mut |row| rows.push(row));
            twin = Ledger::import(rows).expect("an export reads back");
            assert_eq!(
                ledger.digest(),
                twin.digest(),
                "export and import after {entry:?}"
            );
        }
        world.learn(&entry, &outcome);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..Default::default()
    })]
    #[test]
    fn ledger_and_model_agree(numbers in prop::collection::vec(any::<u64>(), 1..500)) {
        agree(numbers, &mut BTreeMap::new());
    }
}

/// Every outcome there is, in the words of [`outcome_name`], and three turns of an order.
const HAPPENINGS: &str = "
    replayed key_reused malformed_empty malformed_too_many malformed_quantity malformed_twice
    malformed_currencies malformed_total unknown_sku not_open closed buyer_limit coupon_unknown
    coupon_not_eligible coupon_used coupon_exhausted sold_out held configured listed
    already_listed terms_set opened shut_down adjusted too_few_free coupon_created coupon_exists
    out_of_bounds payment_begun paid refund_due wrong_amount payment_abandoned refund_settled
    unknown_payment unknown_order cancelled not_held returned not_paid not_returnable ticked
    (retaken) (forgotten) (expired)";

/// Agreement says little about what never happened: in a fixed long run everything happens.
#[test]
fn every_outcome_occurs() {
    let mut counts = BTreeMap::new();
    for seed in 0..60 {
        let mut dice = Dice(seed);
        agree((0..1_500).map(|_| dice.next()), &mut counts);
    }
    println!("{counts:?}");
    let names: Vec<&str> = HAPPENINGS.split_whitespace().collect();
    for name in &names {
        assert!(
            counts.get(name).is_some_and(|n| *n >= 10),
            "{name} is too rare: {counts:?}"
        );
    }
    assert_eq!(
        counts.len(),
        names.len(),
        "something is missing in the list: {counts:?}"
    );
}

/// One tick ends and forgets only so much; both must leave the same rest.
#[test]
fn a_tick_is_bounded() {
    let terms = SkuTerms {
        price: Money(100),
        currency: Currency::EUR,
        buyer_limit: None,
        opens: At(0),
        closes: None,
        hold: Millis(limits::HOLD_MS_MIN),
    };
    let window = Millis(limits::WINDOW_MS_MIN);
    let windows = Windows {
        remember: window,
        returns: window,
    };
    let sku = SkuId(0);
    let mut commands = vec![
        (0, Command::Configure { cell: 7, windows }),
        (
            0,
            Command::ListSku {
                code: generator::text("sku", 1),
                stock: Qty(50_000),
                terms,
            },
        ),
    ];
    let orders = limits::HOLDS_ENDED_PER_TICK_MAX as u128 + 50;
    for number in 0..orders {
        let place = Place {
            request: RequestId(number),
            buyer: BuyerId(number % 7),
            lines: Lines::One(Line { sku, qty: Qty(1) }),
            coupon: None,
        };
        // Later orders have earlier deadlines only where the rounding lets them.
        commands.push((u64::from(number % 100 == 99), Command::Place(place)));
    }
    for number in orders..2 * orders {
        let (delta, reason) = (UnitDelta(1), generator::text("reason", 1));
        commands.push((
            0,
            Command::AdjustStock {
                request: RequestId(number),
                sku,
                delta,
                reason,
            },
        ));
    }
    // Ends at most 10,000; then the rest; nothing; forgets both kinds; then the rest of both.
    for step in [300, 0, 0, 3_000, 0, 0] {
        commands.push((step, Command::Tick));
    }
    let (mut ledger, mut model, mut at) = (Ledger::new(), Model::new(), At(1_000));
    let mut ticks = vec![];
    for (index, (step, command)) in commands.into_iter().enumerate() {
        at = at.plus(Millis(step));
        let entry = Entry {
            seq: Seq(index as u64 + 1),
            at,
            command,
        };
        let outcome = ledger.apply(&entry, &mut NoEffects);
        assert_eq!(outcome, model.apply(&entry), "{entry:?}");
        if let Outcome::Ticked { ended, forgotten } = outcome {
            ticks.push((ended, forgotten));
        }
    }
    let expected = [(10_000, 0), (50, 0), (0, 0), (0, 20_000), (0, 100), (0, 0)];
    assert_eq!(ticks, expected);
}
