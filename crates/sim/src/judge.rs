//! The end of a seed: everything is read back from disk and put to the auditor, with what clients
//! and the channel wrote down. Two more questions only a simulator can ask: did anybody overtake
//! himself, and was each answer the one that the rules give to its entry?

use crate::buyers::WINDOW_MS;
use crate::flight::Served;
use crate::limits;
use crate::world::World;
use audit::{Auditor, Refund, Settings, names};
use sale::{At, Command, Millis, Money, OrderId, Outcome, RequestId};
use std::collections::BTreeMap;

impl World {
    /// Adds to the findings; none means that the seed holds.
    pub(crate) fn judge(&mut self) {
        if let Err(what) = self.server.close() {
            self.finding(what);
        }
        let mut auditor = Auditor::new(Settings {
            hold_grace: Millis(limits::HOLD_GRACE_MS),
            clock_skew: Millis(0),
            answer_lag: Millis(limits::ANSWER_LAG_MS),
            drained: true,
        });
        let mut outcomes = Vec::with_capacity(self.server.history.len());
        for entry in &self.server.history {
            outcomes.push(auditor.entry(entry));
        }
        let mut shown = 0;
        for (seq, outcome) in std::mem::take(&mut self.answers) {
            let right = outcomes.get(seq.0 as usize - 1);
            if right != Some(&outcome) && shown < limits::WRONG_ANSWERS_SHOWN_MAX {
                shown += 1;
                let entry = self.server.history.get(seq.0 as usize - 1);
                self.finding(format!(
                    "entry {seq} was answered {outcome:?}; the rules say {right:?} to {entry:?}"
                ));
            }
        }
        let mut hearing = auditor.hear();
        self.receipts
            .iter()
            .for_each(|receipt| hearing.receipt(receipt));
        self.payments
            .iter()
            .for_each(|payment| hearing.payment(payment));
        self.cancellations
            .iter()
            .for_each(|cancellation| hearing.cancel(cancellation));
        hearing.channel_ledger();
        self.captures
            .iter()
            .for_each(|capture| hearing.capture(capture));
        for pay in self.pays.iter().filter(|pay| pay.refunded > Money::ZERO) {
            let (order, payment, amount) = (pay.order, pay.reference(), pay.refunded);
            hearing.refund(&Refund {
                order,
                payment,
                amount,
            });
        }
        let verdict = hearing.verdict();
        // Whether everything sells out is a question to a flood, not to a handful of buyers of whom
        // some want two and find one.
        let judged = verdict
            .checks
            .iter()
            .filter(|check| check.name != names::SOLD_OUT);
        for check in judged.filter(|check| !check.passed) {
            self.finding(format!("{}: {}", check.name, check.failures.join("; ")));
        }
        for check in &verdict.checks {
            self.trace.count(check.name, check.examined);
        }
        self.trace
            .note(self.now, "audited", &[verdict.entries, verdict.orders]);
        self.nobody_overtakes_himself();
        self.repeated_acts_agree();
    }

    /// Of two attempts with one id and the same content, the second to reach the server is never
    /// refused when the first is accepted.
    fn nobody_overtakes_himself(&mut self) {
        self.served
            .sort_by_key(|served| (served.request, served.arrival));
        let mut found = Vec::new();
        // The order that the request id stands for, and since when it is known to.
        let mut standing: Option<(Served, OrderId)> = None;
        for served in &self.served {
            let known = standing
                .filter(|(first, _)| first.request == served.request && first.wish == served.wish);
            match (known, served.order) {
                (Some((_, order)), Some(again)) if order == again => {}
                (_, Some(order)) => standing = Some((*served, order)),
                (Some((first, order)), None) if served.at <= first.at + WINDOW_MS => {
                    found.push(format!(
                        "request {}: attempt {} was accepted at {} as order {order}; attempt {}, \
                         which reached the server later, was refused at {}",
                        first.request, first.arrival, first.at, served.arrival, served.at
                    ));
                }
                (_, None) => {}
            }
        }
        self.findings.extend(found);
    }

    /// Adjustments and returns: the same id, the same answer, as long as it is remembered. That is
    /// counted from the first entry with the id; its answer may have been lost.
    fn repeated_acts_agree(&mut self) {
        let mut first: BTreeMap<RequestId, (At, Option<Outcome>)> = BTreeMap::new();
        for entry in &self.server.history {
            let (Command::AdjustStock { request, .. } | Command::Return { request, .. }) =
                &entry.command
            else {
                continue;
            };
            first.entry(*request).or_insert((entry.at, None));
        }
        for (request, at, outcome) in std::mem::take(&mut self.act_answers) {
            let Some((then, before)) = first.get_mut(&request) else {
                continue;
            };
            let before = *before.get_or_insert(outcome);
            if outcome != before && at.0 <= then.0 + WINDOW_MS {
                self.findings
                    .push(format!("request {request}: {before:?}, then {outcome:?}"));
            }
        }
    }
}
