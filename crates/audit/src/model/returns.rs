//! "Return": units of a paid order back into stock, money back by value.

use super::{Model, Payment, Remembered, Status};
use sale::{At, LineIndex, MalformedLines, Money, OrderId, Outcome, Qty, RequestId, limits};
use std::collections::BTreeSet;

impl Model {
    pub(super) fn return_units(
        &mut self,
        at: At,
        request: RequestId,
        id: OrderId,
        lines: &[(LineIndex, Qty)],
    ) -> Outcome {
        match self.requests.get(&request) {
            Some(Remembered::Return {
                order,
                lines: before,
                answer,
            }) if *order == id && before == lines => {
                return *answer;
            }
            Some(_) => return Outcome::KeyReused,
            None => {}
        }
        if let Some(what) = malformed(lines) {
            return Outcome::Malformed(what);
        }
        let Some(index) = self.find(id) else {
            return Outcome::UnknownOrder;
        };
        let Status::Paid { by, .. } = self.orders[index].status else {
            return Outcome::NotPaid;
        };
        for (line, qty) in lines {
            let known = self.orders[index].lines.get(usize::from(line.0));
            let left = known.map_or(0, |l| l.qty.0 - l.returned);
            if left < qty.0 {
                return Outcome::NotReturnable {
                    line: *line,
                    left: Qty(left),
                };
            }
        }
        let answer = self.take_in(index, by, lines);
        let lines = lines.to_vec();
        self.remember(
            at,
            request,
            Remembered::Return {
                order: id,
                lines,
                answer,
            },
        );
        answer
    }

    /// Books the units and the money of a return that was found in order.
    fn take_in(
        &mut self,
        index: usize,
        by: sale::PaymentRef,
        lines: &[(LineIndex, Qty)],
    ) -> Outcome {
        let order = &mut self.orders[index];
        let mut units = 0;
        for (line, qty) in lines {
            let line = &mut order.lines[usize::from(line.0)];
            line.returned += qty.0;
            units += qty.0;
            self.tally.give_back(order.buyer, line.sku, qty.0);
        }
        let (mut gross, mut value) = (0_i128, 0_i128);
        for line in &order.lines {
            gross += i128::from(line.price.0) * i128::from(line.qty.0);
            value += i128::from(line.price.0) * i128::from(line.returned);
        }
        let total = i128::from(order.total.0);
        let in_all = if gross == 0 { 0 } else { total * value / gross };
        let in_all = Money(i64::try_from(in_all).expect("no more than was paid"));
        let paid = order.payments.get_mut(&by);
        let Some(Payment::Confirmed { due, .. }) = paid else {
            unreachable!("an order is paid by a confirmed payment");
        };
        let refund = Money(in_all.0 - due.0);
        *due = in_all;
        Outcome::Returned {
            refund,
            units: Qty(units),
        }
    }
}

fn malformed(lines: &[(LineIndex, Qty)]) -> Option<MalformedLines> {
    if lines.is_empty() {
        return Some(MalformedLines::Empty);
    }
    if lines.len() > limits::LINES_PER_ORDER_MAX {
        return Some(MalformedLines::TooMany);
    }
    let mut seen = BTreeSet::new();
    for (line, qty) in lines {
        if qty.0 == 0 {
            return Some(MalformedLines::Quantity { line: *line });
        }
        if !seen.insert(*line) {
            return Some(MalformedLines::Twice { line: *line });
        }
    }
    None
}
