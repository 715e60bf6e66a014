//! `seawall shadow leak`: what both sets of books say after a run, read from disk. A number that
//! belongs to one of them and stands in the other is a leak: request ids, buyers, payments and
//! orders are 64 to 128 bits wide and never meet by chance.
//!
//! Journals are read entry by entry with the code that reads them at a start, and nothing is
//! written anywhere. A running shop goes on meanwhile.

use super::note::{self, Note};
use super::probe::{self, Counted};
use super::report;
use crate::DataFolder;
use anyhow::{Context, anyhow};
use engine::recover;
use gateway::mark::RunId;
use host::Exit;
use journal::{Reader, RealDisk};
use sale::{BuyerId, Command, Entry, Ledger, OrderId, PaymentRef, RequestId, Seq};
use serde::Serialize;
use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Instant, SystemTime};
use store::{ProjectionReader, ShopReader};
use wire::report::Verdict;

/// Numbers of a shadow that are kept in memory, of each kind: 50 bytes each.
const NUMBERS_MAX: usize = 10_000_000;
/// Findings that are listed; all are counted.
const LISTED_MAX: usize = 100;
/// Order ids in a file of answers.
const ORDERS_MAX: usize = 10_000_000;
/// E-mail addresses that no person has; test buyers use this domain.
const TEST_BUYERS: &str =
    "SELECT count(*) FROM accounts WHERE email_key LIKE '%@rehearsal.invalid'";

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    folder: DataFolder,
    /// The run whose shadow is compared.
    #[arg(long)]
    run: String,
    /// Order ids that marked requests were answered with, one a line.
    #[arg(long)]
    orders: Option<PathBuf>,
    /// Queries that count marked rows in other databases (docs/shadow.md).
    #[arg(long)]
    probes: Option<PathBuf>,
    /// The report as JSON on stdout.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Body {
    run: String,
    shadow: Books,
    real: Books,
    checks: Vec<Check>,
    probes: Vec<Counted>,
}

#[derive(Debug, Serialize)]
struct Books {
    folder: PathBuf,
    cell: u16,
    /// Entries that were read: those since the shadow was opened.
    from: u64,
    through: u64,
    orders_accepted: u64,
    digest: String,
}

/// One question to the books.
#[derive(Debug, Default, Serialize)]
struct Check {
    name: &'static str,
    looked_at: u64,
    leaks: u64,
    /// The first of them.
    found: Vec<String>,
}

impl Check {
    fn new(name: &'static str) -> Check {
        Check {
            name,
            ..Check::default()
        }
    }
    fn see(&mut self, leaks: bool, what: impl FnOnce() -> String) {
        self.looked_at += 1;
        if leaks {
            self.leaks += 1;
            if self.found.len() < LISTED_MAX {
                self.found.push(what());
            }
        }
    }
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let begun = (Instant::now(), SystemTime::now());
    let usage = |why: String| {
        eprintln!("seawall: {why}");
        Ok(Exit::Usage.into())
    };
    let Some(run) = RunId::new(&args.run) else {
        return usage("--run: expected 1 to 64 letters, digits, '-' or '_'".to_owned());
    };
    let probes = match args.probes.as_deref().map(probe::read).transpose() {
        Ok(probes) => probes.unwrap_or_default(),
        Err(why) => return usage(format!("{why:#}")),
    };
    let data = &args.folder.data;
    let folder = note::folder(data, run.as_str());
    let Some(note) = Note::read(&folder)? else {
        eprintln!(
            "seawall: there is no shadow of {} in {}",
            args.run,
            data.display()
        );
        return Ok(Exit::NoVerdict.into());
    };
    let (numbers, ledger, (shadow, mut checks)) = shadow_books(&folder, &note)?;
    let (real, theirs) = match real_books(data, &note, &numbers) {
        Ok(read) => read,
        Err(NotRead::Pruned(first)) => {
            let wanted = note.real_seq + 1;
            eprintln!(
                "seawall: the real journal begins with entry {first}, and the run with {wanted}: \
                 what is between cannot be compared"
            );
            return Ok(Exit::NoVerdict.into());
        }
        Err(NotRead::Failed(error)) => return Err(error),
    };
    checks.extend(theirs);
    checks.push(accounts(data, &numbers)?);
    checks.push(projection(data, &numbers)?);
    if let Some(file) = &args.orders {
        checks.push(answers(file, &folder, &ledger)?);
    }
    let probes: Vec<Counted> = probes.iter().map(|p| p.count(run.as_str())).collect();
    let leaked = checks.iter().any(|c| c.leaks > 0) || probes.iter().any(Counted::is_bad);
    let verdict = match leaked {
        true => Verdict::Broken,
        false if probes.iter().any(|p| p.found.is_none()) => Verdict::None,
        false => Verdict::Holds,
    };
    let body = Body {
        run: run.as_str().to_owned(),
        shadow,
        real,
        checks,
        probes,
    };
    let report = report(("shadow-leak", run.as_str()), verdict, begun, body)?;
    match args.json {
        true => println!("{}", serde_json::to_string_pretty(&report)?),
        false => show(&report.body, verdict),
    }
    Ok(ExitCode::from(report.exit_code))
}

fn show(body: &Body, verdict: Verdict) {
    for (name, books) in [("shadow", &body.shadow), ("real", &body.real)] {
        println!(
            "{name:<7} cell {:<5} entries {} to {}, {} orders accepted, digest {}",
            books.cell, books.from, books.through, books.orders_accepted, books.digest
        );
    }
    for check in &body.checks {
        println!(
            "{:<42} {:>10} looked at {:>6} leaks",
            check.name, check.looked_at, check.leaks
        );
        check.found.iter().for_each(|found| println!("    {found}"));
    }
    for probe in &body.probes {
        let found = match (&probe.found, &probe.problem) {
            (Some(found), _) => format!("{found} rows, {} expected", probe.expected),
            (None, problem) => format!("not counted: {}", problem.as_deref().unwrap_or("?")),
        };
        println!("probe {:<36} {found}", probe.name);
    }
    println!(
        "{}",
        match verdict {
            Verdict::Holds => "no leak",
            Verdict::Broken => "LEAK",
            Verdict::None => "no verdict: not everything could be counted",
        }
    );
}

/// All that is the shadow's own.
#[derive(Default)]
struct Numbers {
    requests: HashSet<RequestId>,
    buyers: HashSet<BuyerId>,
    payments: HashSet<PaymentRef>,
}

/// What one entry names.
fn named(command: &Command) -> (Option<RequestId>, Option<BuyerId>, Option<PaymentRef>) {
    match command {
        Command::Place(place) => (Some(place.request), Some(place.buyer), None),
        Command::Return { request, .. } | Command::AdjustStock { request, .. } => {
            (Some(*request), None, None)
        }
        Command::BeginPayment { payment, .. }
        | Command::ConfirmPayment { payment, .. }
        | Command::AbandonPayment { payment, .. }
        | Command::SettleRefund { payment, .. } => (None, None, Some(*payment)),
        Command::Configure { .. }
        | Command::ListSku { .. }
        | Command::SetTerms { .. }
        | Command::OpenSku { .. }
        | Command::CloseSku { .. }
        | Command::CreateCoupon { .. }
        | Command::Cancel { .. }
        | Command::Tick => (None, None, None),
    }
}

fn order_of(command: &Command) -> Option<OrderId> {
    match command {
        Command::BeginPayment { order, .. }
        | Command::ConfirmPayment { order, .. }
        | Command::AbandonPayment { order, .. }
        | Command::SettleRefund { order, .. }
        | Command::Cancel { order }
        | Command::Return { order, .. } => Some(*order),
        Command::Place(_)
        | Command::AdjustStock { .. }
        | Command::Configure { .. }
        | Command::ListSku { .. }
        | Command::SetTerms { .. }
        | Command::OpenSku { .. }
        | Command::CloseSku { .. }
        | Command::CreateCoupon { .. }
        | Command::Tick => None,
    }
}

/// Hands over each entry from `from` to `through`.
fn each_entry(
    disk: RealDisk,
    (from, through): (u64, u64),
    mut see: impl FnMut(&Entry) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    if from > through {
        return Ok(());
    }
    let mut reader = Reader::open(disk, from)?;
    while let Some(batch) = reader.next_through(through)? {
        let malformed = || format!("the batch that starts with entry {}", batch.first);
        let entries = wire::record::Entries::new(batch.first, batch.count, &batch.payload);
        for entry in entries.with_context(malformed)? {
            let entry = entry.with_context(malformed)?;
            // A batch may begin before the entry that was asked for.
            if entry.seq >= Seq(from) {
                see(&entry)?;
            }
        }
    }
    Ok(())
}

fn books(folder: &Path, disk: &RealDisk, from: u64) -> anyhow::Result<(u64, Ledger, Books)> {
    let survey = journal::survey(disk, u64::MAX)
        .with_context(|| format!("the journal of {}", folder.display()))?;
    // Replay checks that the books balance after every entry.
    let recovered = recover(disk, survey.id, survey.last, |_| ())?;
    let books = Books {
        folder: folder.to_owned(),
        cell: recovered.ledger.cell(),
        from,
        through: survey.last,
        orders_accepted: recovered.ledger.orders_accepted(),
        digest: format!("{:016x}", recovered.ledger.digest()),
    };
    Ok((survey.first, recovered.ledger, books))
}

fn shadow_books(
    folder: &Path,
    note: &Note,
) -> anyhow::Result<(Numbers, Ledger, (Books, Vec<Check>))> {
    let disk = RealDisk::new(folder);
    let (_, ledger, books) = books(folder, &disk, 1)?;
    let mut cells = Check::new("cells of the shadow's orders");
    cells.see(books.cell != note.cell, || {
        format!("the ledger has cell {}, the note {}", books.cell, note.cell)
    });
    let mut numbers = Numbers::default();
    each_entry(disk, (1, books.through), |entry| {
        let (request, buyer, payment) = named(&entry.command);
        numbers.requests.extend(request);
        numbers.buyers.extend(buyer);
        numbers.payments.extend(payment);
        if numbers.requests.len().max(numbers.payments.len()) > NUMBERS_MAX {
            return Err(anyhow!("the shadow has more than {NUMBERS_MAX} requests"));
        }
        if let Some(order) = order_of(&entry.command) {
            cells.see(order.cell() != note.cell, || {
                format!("entry {} is about {order} of another cell", entry.seq.0)
            });
        }
        Ok(())
    })?;
    Ok((numbers, ledger, (books, vec![cells])))
}

enum NotRead {
    Pruned(u64),
    Failed(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for NotRead {
    fn from(error: E) -> NotRead {
        NotRead::Failed(error.into())
    }
}

/// What of the shadow stands in the real journal since it was opened.
fn real_books(data: &Path, note: &Note, numbers: &Numbers) -> Result<(Books, Vec<Check>), NotRead> {
    let disk = RealDisk::new(data);
    let from = note.real_seq + 1;
    let (first, _, books) = books(data, &disk, from)?;
    if first > from && books.through >= from {
        return Err(NotRead::Pruned(first));
    }
    let mut requests = Check::new("marked requests in the real ledger");
    let mut buyers = Check::new("buyers of the shadow in the real ledger");
    let mut payments = Check::new("payments of the shadow in the real ledger");
    let mut cells = Check::new("cells of the real orders");
    cells.see(books.cell != note.real_cell, || {
        format!(
            "the ledger has cell {}, the note {}",
            books.cell, note.real_cell
        )
    });
    each_entry(disk, (from, books.through), |entry| {
        let seq = entry.seq.0;
        let (request, buyer, payment) = named(&entry.command);
        if let Some(request) = request {
            requests.see(numbers.requests.contains(&request), || {
                format!("entry {seq} has request {:032x}", request.0)
            });
        }
        if let Some(buyer) = buyer {
            buyers.see(numbers.buyers.contains(&buyer), || {
                format!("entry {seq} is of buyer {:032x}", buyer.0)
            });
        }
        if let Some(payment) = payment {
            payments.see(numbers.payments.contains(&payment), || {
                format!("entry {seq} has payment {:032x}", payment.0)
            });
        }
        if let Some(order) = order_of(&entry.command) {
            cells.see(order.cell() != note.real_cell, || {
                format!("entry {seq} is about {order} of another cell")
            });
        }
        Ok(())
    })?;
    Ok((books, vec![requests, buyers, payments, cells]))
}

/// The real shop has neither the shadow's buyers nor test buyers.
fn accounts(data: &Path, numbers: &Numbers) -> anyhow::Result<Check> {
    let mut check = Check::new("buyers of the shadow with real accounts");
    let shop_db = data.join("shop.db");
    let real = ShopReader::open(&shop_db)?;
    for buyer in &numbers.buyers {
        let known = real.account(*buyer)?.is_some();
        check.see(known, || {
            format!("buyer {:032x} has a real account", buyer.0)
        });
    }
    let test = store::count_rows(&shop_db, TEST_BUYERS)?;
    check.see(test > 0, || {
        format!("{test} accounts of @rehearsal.invalid are in the real shop.db")
    });
    Ok(check)
}

fn projection(data: &Path, numbers: &Numbers) -> anyhow::Result<Check> {
    let mut check = Check::new("buyers of the shadow in the real projection");
    let reader = ProjectionReader::open(&data.join("projection.db"))?;
    for buyer in &numbers.buyers {
        let rows = reader.orders_of(*buyer, None, 1)?;
        check.see(!rows.is_empty(), || {
            format!("buyer {:032x} has {}", buyer.0, rows[0].order)
        });
    }
    Ok(check)
}

/// Every order that a marked request was told of is in the shadow's ledger, or in its projection if
/// the ledger has forgotten it.
fn answers(file: &Path, folder: &Path, ledger: &Ledger) -> anyhow::Result<Check> {
    let mut check = Check::new("orders that marked requests were told of");
    let named = || format!("{}", file.display());
    let reader = ProjectionReader::open(&folder.join("projection.db"))?;
    let lines = BufReader::new(std::fs::File::open(file).with_context(named)?).lines();
    for (index, line) in lines.enumerate() {
        let line = line.with_context(named)?;
        anyhow::ensure!(
            index < ORDERS_MAX,
            "{}: more than {ORDERS_MAX} lines",
            named()
        );
        if line.trim().is_empty() {
            continue;
        }
        let order = OrderId::parse(line.trim())
            .ok_or_else(|| anyhow!("{}:{}: expected an order id", named(), index + 1))?;
        let own = ledger.order(order).is_some() || reader.order(order)?.is_some();
        check.see(!own, || format!("{order} is not in the shadow's books"));
    }
    Ok(check)
}
