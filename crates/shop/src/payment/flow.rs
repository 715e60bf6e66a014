//! How a payment runs: begin in the journal → authorise → capture → confirm in the journal; and the
//! worker that ends what was left open by a crash, a silent channel or a late confirmation.

use super::{Ask, Authorised, Channel, Closed};
use crate::answer::Problem;
use crate::limits;
use crate::orders::{refusal, turned};
use engine::{Answer, Desk, Desks};
use sale::{
    Command, Money, OpenPayment, OrderId, OrderStatus, OrderView, Outcome, PaymentRef, PaymentState,
};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, LocalSet};
use wire::problem::Code;

/// What the payer hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayAnswer {
    Paid,
    /// The channel has not decided; ask for the order, or repeat with the same key.
    Pending,
}

/// The channel and the payments that somebody in this process is seeing to.
pub struct Payments {
    pub channel: Arc<dyn Channel>,
    busy: Mutex<HashSet<PaymentRef>>,
}

impl std::fmt::Debug for Payments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Payments({})", self.channel.name())
    }
}

/// Held while a payment is being seen to, so that the worker keeps its hands off.
struct Busy {
    payments: Arc<Payments>,
    payment: PaymentRef,
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.payments.busy().remove(&self.payment);
    }
}

impl Payments {
    pub fn new(channel: Arc<dyn Channel>) -> Arc<Payments> {
        Arc::new(Payments {
            channel,
            busy: Mutex::default(),
        })
    }
    fn busy(&self) -> MutexGuard<'_, HashSet<PaymentRef>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn take(self: &Arc<Self>, payment: PaymentRef) -> Option<Busy> {
        let fresh = self.busy().insert(payment);
        fresh.then(|| Busy {
            payments: Arc::clone(self),
            payment,
        })
    }

    /// Starts the worker on a thread of its own; it ends when `ended` says so.
    pub fn watch(
        self: &Arc<Self>,
        desks: Desks,
        ended: impl Fn() -> bool + Send + 'static,
    ) -> std::io::Result<()> {
        let payments = Arc::clone(self);
        std::thread::Builder::new()
            .name("payments".into())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build();
                match runtime {
                    Ok(runtime) => {
                        LocalSet::new().block_on(&runtime, payments.reconcile(&desks, ended));
                    }
                    Err(error) => tracing::error!(%error, "payments are not reconciled"),
                }
            })?;
        Ok(())
    }

    async fn reconcile(self: Arc<Self>, desks: &Desks, ended: impl Fn() -> bool) {
        let desk = Rc::new(desks.open());
        let pumped = Rc::clone(&desk);
        tokio::task::spawn_local(async move { pumped.pump().await });
        let permits = Rc::new(Semaphore::new(limits::RECONCILE_AT_ONCE_MAX));
        let mut seen: HashMap<PaymentRef, Instant> = HashMap::new();
        // What is open at the start was left by a process that is gone.
        let mut orphans = true;
        while !ended() {
            let open = self.open(desks);
            let still: HashSet<PaymentRef> = open.iter().map(reference).collect();
            seen.retain(|payment, _| still.contains(payment));
            let old = Duration::from_millis(limits::UNDECIDED_MS_MAX);
            let mut round = JoinSet::new();
            for payment in open {
                let since = *seen.entry(reference(&payment)).or_insert_with(Instant::now);
                let overdue = orphans || since.elapsed() >= old;
                let (payments, desk) = (Arc::clone(&self), Rc::clone(&desk));
                let permits = Rc::clone(&permits);
                round.spawn_local(async move {
                    // The semaphore is never closed.
                    let _permit = permits.acquire().await;
                    payments.see_to(&desk, payment, overdue).await;
                });
            }
            while round.join_next().await.is_some() {}
            orphans = false;
            tokio::time::sleep(Duration::from_millis(limits::RECONCILE_MS)).await;
        }
    }

    fn open(&self, desks: &Desks) -> Vec<OpenPayment> {
        let ledger = desks.view().ledger();
        ledger
            .open_payments()
            .take(limits::RECONCILE_PER_ROUND_MAX)
            .collect()
    }

    async fn see_to(self: &Arc<Self>, desk: &Desk, open: OpenPayment, overdue: bool) {
        let Some(_busy) = self.take(reference(&open)) else {
            return;
        };
        let command = match open {
            OpenPayment::Undecided { order, payment, .. } if overdue => {
                match self.channel.close(payment).await {
                    Ok(Closed::Captured { amount }) => Command::ConfirmPayment {
                        order,
                        payment,
                        amount,
                    },
                    Ok(Closed::Void) => Command::AbandonPayment { order, payment },
                    Err(super::Unknown) => return,
                }
            }
            OpenPayment::Undecided { .. } => return,
            OpenPayment::RefundDue {
                order,
                payment,
                total,
                ..
            } => match self.channel.refund(payment, total).await {
                Ok(amount) if amount > Money::ZERO => Command::SettleRefund {
                    order,
                    payment,
                    amount,
                },
                Ok(_) | Err(super::Unknown) => return,
            },
        };
        if let Err(why) = desk.ask(command).await {
            tracing::debug!(?why, "a payment waits for the next round");
        }
    }
}

fn reference(open: &OpenPayment) -> PaymentRef {
    match open {
        OpenPayment::Undecided { payment, .. } | OpenPayment::RefundDue { payment, .. } => *payment,
    }
}

/// Pays an order. The caller has checked whose it is. Must run to its end even if the payer hangs
/// up.
pub async fn pay(
    payments: &Arc<Payments>,
    desk: &Desk,
    order: &OrderView,
    payment: PaymentRef,
    amount: Money,
) -> Result<PayAnswer, Problem> {
    let Some(_busy) = payments.take(payment) else {
        return Ok(PayAnswer::Pending);
    };
    let id = order.held.order;
    if let Some(refused) = refused_now(desk, order, payment, amount) {
        return refused;
    }
    let begun = desk
        .ask(Command::BeginPayment {
            order: id,
            payment,
            amount,
        })
        .await;
    match begun.map_err(turned)?.outcome {
        Outcome::PaymentBegun => {}
        Outcome::UnknownPayment => return repeat(desk, id, payment),
        other => return Err(refusal(other, desk.now().0, |_| String::new())),
    }
    let ask = Ask {
        payment,
        order: id,
        amount,
        currency: order.held.currency,
    };
    let captured = match payments.channel.authorise(ask).await {
        Ok(Authorised::Approved) => payments.channel.capture(ask).await,
        Ok(Authorised::Declined) => Ok(Closed::Void),
        Err(unknown) => Err(unknown),
    };
    match captured {
        Ok(Closed::Captured { amount }) => confirm(desk, id, payment, amount).await,
        Ok(Closed::Void) => {
            let command = Command::AbandonPayment { order: id, payment };
            match desk.ask(command).await {
                Ok(_) => Err(Problem::new(Code::PaymentDeclined)),
                Err(_) => Ok(PayAnswer::Pending),
            }
        }
        Err(super::Unknown) => Ok(PayAnswer::Pending),
    }
}

/// What the ledger would answer without changing: late payments come in floods too, and need no
/// entry each.
fn refused_now(
    desk: &Desk,
    order: &OrderView,
    payment: PaymentRef,
    amount: Money,
) -> Option<Result<PayAnswer, Problem>> {
    let id = order.held.order;
    let (known, view) = {
        let ledger = desk.view().ledger();
        let known = ledger
            .payments(id)
            .into_iter()
            .find(|known| known.payment == payment);
        (known, ledger.order(id))
    };
    if known.is_some_and(|known| known.state != PaymentState::Begun) {
        return Some(repeat(desk, id, payment));
    }
    let refused = |outcome| Some(Err(refusal(outcome, 0, |_| String::new())));
    let Some(view) = view else {
        return refused(Outcome::UnknownOrder);
    };
    if known.is_none() && amount != view.held.total {
        return refused(Outcome::WrongAmount {
            due: view.held.total,
        });
    }
    if known.is_none() && view.status != OrderStatus::Held {
        return refused(Outcome::NotHeld);
    }
    None
}

async fn confirm(
    desk: &Desk,
    order: OrderId,
    payment: PaymentRef,
    amount: Money,
) -> Result<PayAnswer, Problem> {
    match desk
        .ask(Command::ConfirmPayment {
            order,
            payment,
            amount,
        })
        .await
    {
        Ok(Answer {
            outcome: Outcome::Paid,
            ..
        }) => Ok(PayAnswer::Paid),
        Ok(answered) => Err(refusal(answered.outcome, answered.at.0, |_| String::new())),
        // The money is taken; the worker confirms it in its next round.
        Err(_) => Ok(PayAnswer::Pending),
    }
}

/// The answer that this payment was given before.
fn repeat(desk: &Desk, order: OrderId, payment: PaymentRef) -> Result<PayAnswer, Problem> {
    let known = desk
        .view()
        .ledger()
        .payments(order)
        .into_iter()
        .find(|p| p.payment == payment);
    match known.map(|known| (known.state, known.amount)) {
        Some((PaymentState::Bought, _)) => Ok(PayAnswer::Paid),
        Some((PaymentState::Begun, _)) => Ok(PayAnswer::Pending),
        Some((PaymentState::InVain, amount)) => {
            Err(refusal(Outcome::RefundDue { amount }, 0, |_| String::new()))
        }
        Some((PaymentState::Abandoned, _)) => Err(Problem::new(Code::PaymentDeclined)),
        None => Err(Problem::new(Code::KeyReused)),
    }
}
