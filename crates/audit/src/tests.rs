//! The auditor audited: an honest run passes every check and gives each something to look at; one
//! planted violation at a time, and the check that is there for it fails.

use crate::check::names;
use crate::*;
use sale::limits;
use sale::*;
use std::num::NonZeroU32;

/// A run as it would be read from files. `planted` is an answer the rules never gave.
struct Run {
    settings: Settings,
    entries: Vec<(Entry, Option<Outcome>)>,
    receipts: Vec<Receipt>,
    payments: Vec<Payment>,
    cancellations: Vec<Cancellation>,
    captures: Vec<Capture>,
    refunds: Vec<Refund>,
}

const ANN: BuyerId = BuyerId(1);
const BOB: BuyerId = BuyerId(2);
const CID: BuyerId = BuyerId(3);
const EVE: BuyerId = BuyerId(5);
const HOT: SkuId = SkuId(0);
const CALM: SkuId = SkuId(1);
const COUPON: CouponId = CouponId(0);
/// Ann's order has a coupon of 10 off.
const TOTAL: Money = Money(90);

fn order(buyer: BuyerId, ordinal: u64) -> OrderId {
    OrderId::new(0, buyer, ordinal).unwrap()
}

fn wish(request: u128, buyer: BuyerId, sku: SkuId, qty: u32, coupon: Option<CouponId>) -> Place {
    let lines = Lines::One(Line { sku, qty: Qty(qty) });
    Place {
        request: RequestId(request),
        buyer,
        lines,
        coupon,
    }
}

fn receipt(place: &Place, sent: u64, answer: Answer) -> Receipt {
    Receipt {
        request: place.request,
        buyer: place.buyer,
        lines: place.lines.clone(),
        coupon: place.coupon,
        answer,
        sent_at: At(sent),
        answered_at: At(sent + 5),
    }
}

fn accepted(order: OrderId, total: Money, pay_by: u64) -> Answer {
    Answer::Accepted {
        order,
        total,
        pay_by: At(pay_by),
    }
}

fn refused(code: &str) -> Answer {
    Answer::Refused {
        code: Code::parse(code),
        sku: None,
    }
}

impl Run {
    /// Ann and Bob take the two hot units; Cid and Dan are sold out; Ann pays, Bob cancels; Eve's
    /// hold ends, she pays late and is served, then pays again by mistake and gets that back.
    fn honest() -> Run {
        let mut run = Run {
            settings: Settings {
                hold_grace: Millis(150),
                clock_skew: Millis(0),
                answer_lag: Millis(2),
                drained: true,
            },
            entries: vec![],
            receipts: vec![],
            payments: vec![],
            cancellations: vec![],
            captures: vec![],
            refunds: vec![],
        };
        run.set_up();
        let ann = wish(11, ANN, HOT, 1, Some(COUPON));
        let bob = wish(12, BOB, HOT, 1, None);
        let eve = wish(15, EVE, CALM, 1, None);
        let (anns, bobs, eves) = (order(ANN, 1), order(BOB, 2), order(EVE, 3));
        run.at(1_010, Command::Place(ann.clone()));
        run.at(1_020, Command::Place(bob.clone()));
        run.pay(1_030, anns, 1, TOTAL, PaymentAnswer::Paid);
        run.at(1_050, Command::Cancel { order: bobs });
        run.at(1_060, Command::Place(eve.clone()));
        run.at(1_060, Command::Place(eve.clone()));
        run.at(1_200, Command::Tick);
        run.pay(1_210, eves, 2, Money(100), PaymentAnswer::Paid);
        run.pay(1_220, eves, 3, Money(100), PaymentAnswer::RefundDue);
        let (payment, amount) = (PaymentRef(3), Money(100));
        run.at(
            1_240,
            Command::SettleRefund {
                order: eves,
                payment,
                amount,
            },
        );
        run.at(1_300, Command::Tick);
        run.receipts = vec![
            receipt(&ann, 1_005, accepted(anns, TOTAL, 1_200)),
            receipt(&bob, 1_015, accepted(bobs, Money(100), 1_200)),
            receipt(&wish(13, CID, HOT, 1, None), 1_025, refused("sold_out")),
            receipt(
                &wish(14, BuyerId(4), HOT, 1, None),
                1_026,
                refused("sold_out"),
            ),
            receipt(&eve, 1_058, Answer::Unknown),
            receipt(&eve, 1_059, accepted(eves, Money(100), 1_200)),
        ];
        run.cancellations.push(Cancellation {
            order: bobs,
            answer: CancelAnswer::Cancelled,
        });
        let declined = PaymentAnswer::Declined;
        let (payment, amount) = (Some(PaymentRef(9)), TOTAL);
        run.payments.push(Payment {
            order: anns,
            payment,
            amount,
            answer: declined,
        });
        run.refunds.push(Refund {
            order: eves,
            payment: PaymentRef(3),
            amount: Money(100),
        });
        run
    }

    fn set_up(&mut self) {
        let window = Millis(limits::WINDOW_MS_MIN);
        let windows = Windows {
            remember: window,
            returns: window,
        };
        self.at(900, Command::Configure { cell: 0, windows });
        let terms = SkuTerms {
            price: Money(100),
            currency: Currency::EUR,
            buyer_limit: NonZeroU32::new(2),
            opens: At(0),
            closes: None,
            hold: Millis(100),
        };
        for (code, stock) in [("hot", 2), ("calm", 10)] {
            let code = Text::new(code).unwrap();
            self.at(
                1_000,
                Command::ListSku {
                    code,
                    stock: Qty(stock),
                    terms,
                },
            );
        }
        let terms = CouponTerms {
            quota: Qty(1),
            amount_off: Money(10),
            currency: Currency::EUR,
            minimum_total: Money(50),
        };
        let code = Text::new("ten").unwrap();
        self.at(1_000, Command::CreateCoupon { code, terms });
    }

    fn at(&mut self, at: u64, command: Command) {
        let seq = Seq(self.entries.len() as u64 + 1);
        self.entries.push((
            Entry {
                seq,
                at: At(at),
                command,
            },
            None,
        ));
    }

    /// An entry that the rules would refuse, answered as if they had not.
    fn planted(&mut self, at: u64, command: Command, outcome: Outcome) {
        self.at(at, command);
        self.entries.last_mut().unwrap().1 = Some(outcome);
    }

    fn planted_hold(&mut self, place: Place) {
        let held = Held {
            order: order(place.buyer, 77),
            total: Money(100),
            currency: Currency::EUR,
            pay_by: At(1_400),
        };
        self.planted(1_300, Command::Place(place), Outcome::Held(held));
    }

    fn pay(&mut self, at: u64, order: OrderId, by: u128, amount: Money, answer: PaymentAnswer) {
        let payment = PaymentRef(by);
        self.at(
            at,
            Command::BeginPayment {
                order,
                payment,
                amount,
            },
        );
        self.at(
            at + 2,
            Command::ConfirmPayment {
                order,
                payment,
                amount,
            },
        );
        self.captures.push(Capture {
            order,
            payment,
            amount,
        });
        self.payments.push(Payment {
            order,
            payment: Some(payment),
            amount,
            answer,
        });
    }

    /// The place of the first entry of that kind.
    fn find(&self, kind: impl Fn(&Command) -> bool) -> usize {
        self.entries
            .iter()
            .position(|(entry, _)| kind(&entry.command))
            .unwrap()
    }

    fn audit(&self) -> Verdict {
        let mut auditor = Auditor::new(self.settings);
        for (entry, planted) in &self.entries {
            match planted {
                Some(outcome) => auditor.note(entry, outcome, false),
                None => {
                    auditor.entry(entry);
                }
            }
        }
        let mut hearing = auditor.hear();
        self.receipts.iter().for_each(|r| hearing.receipt(r));
        self.payments.iter().for_each(|p| hearing.payment(p));
        self.cancellations.iter().for_each(|c| hearing.cancel(c));
        hearing.channel_ledger();
        self.captures.iter().for_each(|c| hearing.capture(c));
        self.refunds.iter().for_each(|r| hearing.refund(r));
        hearing.verdict()
    }
}

#[test]
fn an_honest_run_holds_and_every_check_saw_something() {
    let verdict = Run::honest().audit();
    for check in &verdict.checks {
        assert!(check.passed && check.failures.is_empty(), "{check:?}");
        assert!(check.examined > 0, "{} looked at nothing", check.name);
    }
    assert!(verdict.holds());
    assert_eq!((verdict.entries, verdict.orders), (18, 3));
    let hot = verdict.skus[0];
    let counted = (
        hot.stocked.0,
        hot.free.0,
        hot.held.0,
        hot.sold.0,
        hot.demand,
        hot.free_min.0,
    );
    assert_eq!(counted, (2, 1, 0, 1, 4, 0));
}

/// Applies one change to the honest run; the named check must fail, with words.
fn plant(name: &str, change: impl Fn(&mut Run)) {
    let mut run = Run::honest();
    change(&mut run);
    let verdict = run.audit();
    let check = verdict.check(name).expect("a known name");
    assert!(!check.passed, "not seen by: {name}");
    assert!(!check.failures.is_empty() && check.failed > 0, "{check:?}");
    assert!(!verdict.holds());
}

fn is_tick(command: &Command) -> bool {
    matches!(command, Command::Tick)
}

#[test]
fn each_check_of_the_journal_fails_when_it_should() {
    plant(names::NUMBERS, |run| {
        let tick = run.find(is_tick);
        run.entries.remove(tick);
    });
    plant(names::NUMBERS, |run| run.entries[0].0.seq = Seq(2));
    plant(names::INSTANTS, |run| run.entries[5].0.at = At(999));
    plant(names::BOOKS, |run| {
        // Paid a second time: the units are counted twice.
        let (order, payment, amount) = (order(ANN, 1), PaymentRef(8), TOTAL);
        run.planted(
            1_300,
            Command::ConfirmPayment {
                order,
                payment,
                amount,
            },
            Outcome::Paid,
        );
    });
    plant(names::BOOKS, |run| {
        // Our sums are right and the model's are not: it never heard of this delivery.
        let (request, sku, delta) = (RequestId(99), HOT, UnitDelta(3));
        let reason = Text::new("delivery").unwrap();
        let command = Command::AdjustStock {
            request,
            sku,
            delta,
            reason,
        };
        run.planted(1_300, command, Outcome::Adjusted { free: Qty(4) });
    });
    plant(names::OVERSOLD, |run| {
        run.planted_hold(wish(31, CID, HOT, 2, None))
    });
    plant(names::HOLDS, |run| {
        let tick = run.find(is_tick);
        run.entries
            .iter_mut()
            .skip(tick)
            .for_each(|(entry, _)| entry.at.0 += 151);
    });
    plant(names::HOLDS, |run| {
        run.at(1_301, Command::Place(wish(40, CID, HOT, 1, None)));
        run.at(1_651, Command::OpenSku { sku: HOT });
    });
    plant(names::STRANDED, |run| {
        let tick = run.find(is_tick);
        run.entries[tick].1 = Some(Outcome::Ticked {
            ended: 0,
            forgotten: 0,
        });
    });
    plant(names::STRANDED, |run| {
        let outcome = Outcome::Ticked {
            ended: 1,
            forgotten: 0,
        };
        run.planted(1_301, Command::Tick, outcome);
    });
    plant(names::STRANDED, |run| {
        run.at(1_301, Command::Place(wish(41, CID, HOT, 1, None)))
    });
    plant(names::LIMIT, |run| {
        run.planted_hold(wish(32, EVE, CALM, 2, None))
    });
    plant(names::QUOTA, |run| {
        run.planted_hold(wish(33, BOB, CALM, 1, Some(COUPON)))
    });
    plant(names::COUPON_ONCE, |run| {
        run.planted_hold(wish(34, ANN, CALM, 1, Some(COUPON)))
    });
    plant(names::ONE_ANSWER, |run| {
        run.planted_hold(wish(11, ANN, HOT, 1, None))
    });
}

#[test]
fn each_check_of_receipts_fails_when_it_should() {
    let ann = wish(11, ANN, HOT, 1, Some(COUPON));
    let anns = order(ANN, 1);
    plant(names::ACKNOWLEDGED, |run| {
        let lost = run.find(|c| matches!(c, Command::Place(place) if place.buyer == BOB));
        run.entries.truncate(lost);
    });
    for (id, total, pay_by) in [
        (order(BOB, 1), TOTAL, 1_200),
        (anns, Money(100), 1_200),
        (anns, TOTAL, 1_300),
        (order(BOB, 2), Money(100), 1_200),
    ] {
        plant(names::ACKNOWLEDGED, |run| {
            run.receipts[0].answer = accepted(id, total, pay_by)
        });
        plant(names::ONE_ANSWER, |run| {
            run.receipts
                .push(receipt(&ann, 1_100, accepted(id, total, pay_by)));
        });
    }
    plant(names::ACKNOWLEDGED, |run| run.receipts[0].buyer = BOB);
    plant(names::ACKNOWLEDGED, |run| {
        run.receipts[0].request = RequestId(1)
    });
    plant(names::ACKNOWLEDGED, |run| run.receipts[0].coupon = None);
    plant(names::ACKNOWLEDGED, |run| {
        run.receipts[0].lines = Lines::One(Line {
            sku: HOT,
            qty: Qty(2),
        });
    });
    // Sent after the journal had it, and before the first answer came.
    plant(names::ONE_ANSWER, |run| {
        run.receipts.push(receipt(&ann, 1_011, refused("sold_out")))
    });
    // The clocks are apart, but the client knew.
    plant(names::ONE_ANSWER, |run| {
        run.settings.clock_skew = Millis(500);
        run.receipts
            .push(receipt(&ann, 1_011, refused("buyer_limit")));
    });
    plant(names::REFUSED, |run| {
        run.receipts[1].answer = refused("overloaded")
    });
    plant(names::SOLD_OUT_TRUE, |run| {
        run.receipts.push(receipt(
            &wish(21, CID, HOT, 1, None),
            1_060,
            refused("sold_out"),
        ));
    });
    plant(names::SOLD_OUT_TRUE, |run| {
        let answer = Answer::Refused {
            code: Code::SoldOut,
            sku: Some(CALM),
        };
        let mut receipt = receipt(&wish(21, CID, HOT, 1, None), 1_025, answer);
        let line = |sku| Line { sku, qty: Qty(1) };
        receipt.lines = Lines::Many(vec![line(HOT), line(CALM)]);
        run.receipts.push(receipt);
    });
    plant(names::SOLD_OUT, |run| {
        run.receipts.push(receipt(
            &wish(21, CID, CALM, 20, None),
            1_060,
            Answer::Unknown,
        ));
    });
    plant(names::CANCELLED, |run| run.cancellations[0].order = anns);
}

#[test]
fn each_check_of_money_fails_when_it_should() {
    let (anns, bobs) = (order(ANN, 1), order(BOB, 2));
    plant(names::PAID, |run| run.payments[0].order = bobs);
    plant(names::PAID, |run| run.payments[0].amount = Money(100));
    plant(names::PAID, |run| {
        run.payments[0].payment = Some(PaymentRef(7))
    });
    plant(names::DECLINED, |run| {
        run.payments[0].answer = PaymentAnswer::Declined
    });
    plant(names::REFUND_TOLD, |run| {
        run.payments[0].answer = PaymentAnswer::RefundDue
    });
    plant(names::CAPTURED, |run| {
        run.captures.push(Capture {
            order: bobs,
            payment: PaymentRef(7),
            amount: Money(100),
        });
    });
    plant(names::CAPTURED, |run| run.captures[0].amount = Money(91));
    plant(names::CAPTURED, |run| {
        // Begun, captured, and never confirmed.
        let confirm = |c: &Command| matches!(c, Command::ConfirmPayment { .. });
        let index = run.find(confirm);
        run.entries[index].0.command = Command::Tick;
    });
    plant(names::CONFIRMED, |run| {
        run.captures.remove(0);
    });
    plant(names::REFUNDS, |run| run.refunds[0].amount = Money(101));
    plant(names::REFUNDS, |run| run.refunds[0].amount = Money(99));
    plant(names::REFUNDS, |run| {
        run.refunds.push(Refund {
            order: anns,
            payment: PaymentRef(1),
            amount: Money(1),
        });
    });
}

/// After the stated window a request id may be used again: that is no second answer.
#[test]
fn a_forgotten_id_may_be_used_again() {
    let mut run = Run::honest();
    let bob = wish(12, BOB, CALM, 1, None);
    run.at(3_000, Command::Tick);
    run.at(3_001, Command::Place(bob.clone()));
    run.at(3_200, Command::Tick);
    run.receipts.push(receipt(
        &bob,
        2_999,
        accepted(order(BOB, 4), Money(100), 3_200),
    ));
    let gone = wish(15, EVE, CALM, 1, None);
    run.receipts
        .push(receipt(&gone, 3_050, refused("key_reused")));
    let verdict = run.audit();
    assert!(
        verdict.holds(),
        "{:?}",
        verdict.checks.iter().find(|c| !c.passed)
    );
}

#[test]
fn failures_are_bounded() {
    let mut run = Run::honest();
    for _ in 0..100 {
        let anns = order(ANN, 1);
        run.cancellations.push(Cancellation {
            order: anns,
            answer: CancelAnswer::Cancelled,
        });
    }
    let verdict = run.audit();
    let check = verdict.check(names::CANCELLED).unwrap();
    assert_eq!((check.examined, check.failed), (101, 100));
    assert_eq!(check.failures.len(), crate::limits::FAILURES_SHOWN_MAX);
    assert!(
        check
            .failures
            .iter()
            .all(|f| f.len() <= crate::limits::FAILURE_BYTES_MAX)
    );
}
