//! Looks for one order in all books of this process: it must be in the shadow's and in none of
//! the real ones. Each place that is looked at is a hop with its own answer and its own figures.

use sale::{OrderId, OrderStatus, PaymentState, Text};
use serde::{Deserialize, Serialize};
use shop::Shop;
use shop::payment::read_ledger;
use std::path::Path;
use std::time::{Duration, Instant};
use store::{Follower, ProjectionReader, ShopReader};

/// How long the projections may take to know what the ledgers know.
const PROJECTED_WITHIN: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(10);

/// One place on the way of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hop {
    pub hop: String,
    /// 1: test data in real stores; 2: the mark arrives; 3: stores of its own.
    pub level: u8,
    pub proven: bool,
    /// What was seen, or what was not.
    pub evidence: String,
}

impl Hop {
    pub fn new(hop: &str, level: u8, seen: Result<String, String>) -> Hop {
        let proven = seen.is_ok();
        Hop {
            hop: hop.to_owned(),
            level: if proven { level } else { 0 },
            proven,
            evidence: seen.unwrap_or_else(|not| not),
        }
    }
}

/// `follower` is the shadow's.
pub fn of(order: OrderId, (real, shadow): (&Shop, &Shop), follower: &Follower) -> Vec<Hop> {
    vec![
        Hop::new("ledger", 3, ledgers(order, real, shadow)),
        Hop::new(
            "projection",
            3,
            projections(order, (real, shadow), follower),
        ),
        Hop::new("accounts", 3, accounts(order, real, shadow)),
        Hop::new("payment", 3, payments(order, real, shadow)),
    ]
}

fn ledgers(order: OrderId, real: &Shop, shadow: &Shop) -> Result<String, String> {
    let (cell, seq, found, codes) = {
        let ledger = shadow.desks.view().ledger();
        let found = ledger.order(order);
        let found = found.ok_or_else(|| format!("{order} is not in the shadow's ledger"))?;
        // The same SKU may have another number in each ledger.
        let code = |sku| ledger.sku(sku).map(|view| view.code.clone());
        let lines = found.lines.iter();
        let codes: Vec<Text> = lines.filter_map(|(line, ..)| code(line.sku)).collect();
        (ledger.cell(), ledger.seq().0, found, codes)
    };
    if found.status != OrderStatus::Paid {
        return Err(format!(
            "{order} is {:?} in the shadow, not paid",
            found.status
        ));
    }
    let ledger = real.desks.view().ledger();
    if ledger.order(order).is_some() {
        return Err(format!("{order} is in the real ledger"));
    }
    let mut skus = codes.iter().filter_map(|code| ledger.sku_by_code(code));
    if skus.any(|sku| ledger.taken(found.buyer, sku).0 > 0) {
        return Err(format!("the real ledger knows the buyer of {order}"));
    }
    if cell == ledger.cell() || order.cell() != cell {
        let (own, theirs) = (order.cell(), ledger.cell());
        return Err(format!("{order} has cell {own}, the real ledger {theirs}"));
    }
    let real_seq = ledger.seq().0;
    Ok(format!(
        "{order} is paid in cell {cell} at entry {seq} of the shadow's journal; the real ledger, \
         at entry {real_seq} of another, has neither it nor its buyer"
    ))
}

fn projections(
    order: OrderId,
    (real, shadow): (&Shop, &Shop),
    follower: &Follower,
) -> Result<String, String> {
    let wanted = shadow.desks.view().applied().0;
    if !follower.wait_for(wanted, PROJECTED_WITHIN) {
        return Err(format!(
            "the shadow's projection did not reach entry {wanted}"
        ));
    }
    let (started, real_wanted) = (Instant::now(), real.desks.view().applied().0);
    let projected = || real.projected.load(std::sync::atomic::Ordering::Acquire);
    while projected() < real_wanted {
        if started.elapsed() > PROJECTED_WITHIN {
            return Err(format!(
                "the real projection did not reach entry {real_wanted}"
            ));
        }
        std::thread::sleep(LOOK);
    }
    let row = |path: &Path| {
        let reader = ProjectionReader::open(path).map_err(|error| error.to_string())?;
        reader.order(order).map_err(|error| error.to_string())
    };
    if row(&shadow.projection_db)?.is_none() {
        return Err(format!("{order} is not in the shadow's projection"));
    }
    if row(&real.projection_db)?.is_some() {
        return Err(format!("{order} is in the real projection"));
    }
    Ok(format!(
        "{order} is a row of the shadow's projection and none of the real one, which has all \
         entries to {real_wanted}"
    ))
}

fn accounts(order: OrderId, real: &Shop, shadow: &Shop) -> Result<String, String> {
    let buyer = shadow.desks.view().ledger().order(order).map(|o| o.buyer);
    let buyer = buyer.ok_or_else(|| format!("{order} is not in the shadow's ledger"))?;
    let known = |path: &Path| {
        let reader = ShopReader::open(path).map_err(|error| error.to_string())?;
        let account = reader.account(buyer).map_err(|error| error.to_string())?;
        Ok::<bool, String>(account.is_some())
    };
    match (known(&shadow.shop_db)?, known(&real.shop_db)?) {
        (true, false) => Ok("the buyer has an account with the shadow only".to_owned()),
        (false, _) => Err("the buyer has no account with the shadow".to_owned()),
        (true, true) => Err("the buyer has an account with the real shop".to_owned()),
    }
}

fn payments(order: OrderId, real: &Shop, shadow: &Shop) -> Result<String, String> {
    let channel = shadow.payments.channel.name();
    if channel != "sandbox" {
        return Err(format!(
            "the shadow pays through {channel}, not through the sandbox"
        ));
    }
    let paid = shadow.desks.view().ledger().payments(order);
    let paid = paid.iter().find(|p| p.state == PaymentState::Bought);
    let paid = paid.ok_or_else(|| format!("no payment of {order} was captured"))?;
    if !real.desks.view().ledger().payments(order).is_empty() {
        return Err(format!("the real ledger has a payment of {order}"));
    }
    let name = format!("{:032x}", paid.payment.0);
    let folder = shadow.shop_db.parent().unwrap_or(Path::new("."));
    let bank = read_ledger(&folder.join("payments/sandbox.jsonl"));
    let bank = bank.map_err(|error| error.to_string())?;
    if !bank.iter().any(|fact| fact.payment == name) {
        return Err(format!("payment {name} is not in the shadow's own bank"));
    }
    Ok(format!(
        "payment {name} is in the shadow's own sandbox bank"
    ))
}
