//! From what somebody wants to rehearse to a plan, a shop to sell it, and what is expected.

use crate::drill::Planned;
use crate::drill::expect::{Expecting, Phase};
use crate::drill::file::File;
use crate::judge::Demands;
use crate::plan::{self, Plan, Product};
use crate::run::{CampaignText, Failed, T0_MARK, file_failed};
use load::rng::Rng;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use wire::campaign::{Campaign, Expectations};
use wire::catalogue;
use wire::rehearsal::faults::What;
use wire::rehearsal::{Payment, Protocol, SHOP};

/// What is rehearsed.
#[derive(Clone, Debug)]
pub enum Subject {
    Campaign {
        file: PathBuf,
        kill: Kill,
    },
    /// A rehearsal file: a shop with a campaign or services of one's own, and faults.
    File(PathBuf),
    /// Real order lines, replayed.
    Orders {
        source: PathBuf,
        /// Baskets a second.
        rate: f64,
        /// Stock of each product as a share of its demand.
        stock_share: f64,
        kill: Kill,
    },
    /// Killed again and again on one data folder.
    Crash {
        rounds: u32,
        seconds_per_round: u32,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kill {
    /// As the campaign says; real orders: not at all.
    AsPlanned,
    /// Milliseconds from T0.
    At(i64),
    Never,
}

/// Everything that is known before a shop is started.
pub(crate) struct Staged {
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) plan: Plan,
    pub(crate) text: CampaignText,
    pub(crate) kills_us: Vec<u64>,
    pub(crate) demands: Demands,
    pub(crate) remarks: Vec<String>,
    /// What a rehearsal file adds.
    pub(crate) drill: Option<StagedDrill>,
}

/// Faults, phases and expectations of a shop's rehearsal.
#[derive(Clone, Debug)]
pub(crate) struct StagedDrill {
    pub(crate) planned: Vec<Planned>,
    pub(crate) phases: Vec<Phase>,
    pub(crate) expecting: Vec<Expecting>,
    /// Payments go to a bank of their own, behind a proxy that sees bytes or requests.
    pub(crate) bank: Option<Protocol>,
}

/// Reads and checks all input; nothing runs yet.
pub(crate) fn stage(subject: &Subject, seed: u64, folder: &Path) -> Result<Staged, Failed> {
    match subject {
        Subject::Campaign { file, kill } => campaign(file, *kill, seed),
        Subject::File(path) => shop(crate::drill::file::read(path)?, seed),
        Subject::Orders {
            source,
            rate,
            stock_share,
            kill,
        } => crate::orders::stage(source, *rate, *stock_share, *kill, seed, folder),
        Subject::Crash {
            rounds,
            seconds_per_round,
        } => crash(*rounds, *seconds_per_round, seed),
    }
}

fn campaign(file: &Path, kill: Kill, seed: u64) -> Result<Staged, Failed> {
    let campaign = Campaign::load(file)?;
    let products = read_catalogue(&campaign.catalogue)?;
    let catalogue = catalogue_text(&products, campaign.rehearsal.hold_ms)?;
    let text = std::fs::read_to_string(file).map_err(file_failed(file))?;
    let yaml = relocate(&text).ok_or_else(|| Failed::File {
        file: file.to_path_buf(),
        what: "t0: and catalogue: must each start a line, so that a rehearsal can replace them"
            .to_owned(),
    })?;
    let plan = plan::campaign(&campaign, products.into_iter().map(planned).collect(), seed);
    let kill_ms = match kill {
        Kill::AsPlanned => campaign.rehearsal.kill_at_ms,
        Kill::At(offset_ms) => Some(offset_ms),
        Kill::Never => None,
    };
    let kills_us = kill_us(&plan, kill_ms)?;
    Ok(Staged {
        kind: "rehearsal",
        demands: Demands {
            expectations: campaign.rehearsal.expectations.clone(),
            t0: true,
            kills: kills_us.len(),
        },
        kills_us,
        text: CampaignText { yaml, catalogue },
        name: campaign.name,
        title: campaign.title,
        plan,
        remarks: Vec::new(),
        drill: None,
    })
}

/// The shop of a rehearsal file: its campaign, with the file's faults instead of its own kill.
pub(crate) fn shop(file: File, seed: u64) -> Result<Staged, Failed> {
    let wire::rehearsal::Subject::Shop(shop) = &file.rehearsal.subject else {
        let what = "services of one's own are no shop".to_owned();
        return Err(Failed::Usage(what));
    };
    let mut staged = campaign(&shop.campaign, Kill::Never, seed)?;
    let (planned, phases) = file
        .timed(staged.plan.t0_us, staged.plan.end_us)
        .map_err(Failed::Usage)?;
    let of_shop = |one: &&Planned| matches!(&one.what, What::Kill(kill) if kill.process == SHOP);
    staged.kills_us = planned
        .iter()
        .filter(of_shop)
        .map(|one| one.from_us)
        .collect();
    staged.demands.kills = staged.kills_us.len();
    // Requests are read only where a fault is about requests: bytes are cheaper to carry.
    let requests = planned.iter().any(|one| matches!(one.what, What::Error(_)));
    let protocol = if requests {
        Protocol::Http
    } else {
        Protocol::Tcp
    };
    staged.name.clone_from(&file.rehearsal.name);
    staged.title = file.rehearsal.about.clone().unwrap_or(staged.title);
    staged.drill = Some(StagedDrill {
        planned,
        phases,
        bank: (shop.payment == Payment::Bank).then_some(protocol),
        expecting: file.expecting,
    });
    Ok(staged)
}

/// The planned kill in microseconds from the start of the plan, inside of it.
pub(crate) fn kill_us(plan: &Plan, offset_ms: Option<i64>) -> Result<Vec<u64>, Failed> {
    let Some(offset_ms) = offset_ms else {
        return Ok(Vec::new());
    };
    let at_us = i64::try_from(plan.t0_us)
        .unwrap_or(i64::MAX)
        .saturating_add(offset_ms * 1_000);
    match u64::try_from(at_us) {
        Ok(at_us) if at_us < plan.end_us => Ok(vec![at_us]),
        _ => {
            let what = format!("a kill at {offset_ms} ms from T0 is outside of the demand's curve");
            Err(Failed::Usage(what))
        }
    }
}

fn planned(product: catalogue::Product) -> Product {
    Product {
        sku: product.sku,
        title: product.title,
        stock: u64::from(product.stock),
        price: product.price.0,
        currency: product.currency,
    }
}

fn read_catalogue(file: &Path) -> Result<Vec<catalogue::Product>, Failed> {
    let wrong = |what: String| Failed::File {
        file: file.to_path_buf(),
        what,
    };
    let name = file.to_string_lossy();
    let format = catalogue::Format::of_name(&name)
        .ok_or_else(|| wrong("expected a name ending in .csv or .jsonl".to_owned()))?;
    let input = BufReader::new(std::fs::File::open(file).map_err(file_failed(file))?);
    let input = catalogue::unpacked(input).map_err(file_failed(file))?;
    let (products, _) = catalogue::load(input, format, &catalogue::Defaults::default())
        .map_err(|error| wrong(format!("\n{error}")))?;
    if products.is_empty() {
        Err(wrong("no product in it".to_owned()))
    } else {
        Ok(products)
    }
}

/// A catalogue file in our own columns, with `hold_ms` in place of the products' own.
pub(crate) fn catalogue_text(
    products: &[catalogue::Product],
    hold_ms: Option<u64>,
) -> Result<String, Failed> {
    let failed = |what: String| Failed::File {
        file: PathBuf::from("catalogue.csv"),
        what,
    };
    let mut writer = csv::Writer::from_writer(Vec::new());
    let head = [
        "sku",
        "title",
        "description",
        "category",
        "price",
        "currency",
        "stock",
        "buyer_limit",
        "hold_s",
        "picture",
    ];
    writer
        .write_record(head)
        .map_err(|error| failed(error.to_string()))?;
    for product in products {
        let hold_ms = hold_ms.unwrap_or(product.hold_ms);
        let (whole, pence) = (product.price.0 / 100, product.price.0 % 100);
        let limit = product
            .buyer_limit
            .map(|limit| limit.to_string())
            .unwrap_or_default();
        let row = [
            product.sku.as_str(),
            &product.title,
            &product.description,
            &product.category,
            &format!("{whole}.{pence:02}"),
            product.currency.as_str(),
            &product.stock.to_string(),
            &limit,
            &hold_ms.div_ceil(1_000).max(1).to_string(),
            product.picture.as_deref().unwrap_or_default(),
        ];
        writer
            .write_record(row)
            .map_err(|error| failed(error.to_string()))?;
    }
    let bytes = writer
        .into_inner()
        .map_err(|error| failed(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| failed(error.to_string()))
}

/// What a shop sells by. The rest of a campaign is what a team agreed on for the real T0 – phases,
/// people on call, a freeze – and would not fit to another instant.
const SOLD_BY: [&str; 10] = [
    "version",
    "name",
    "title",
    "t0",
    "catalogue",
    "coupons",
    "buyers",
    "demand",
    "journeys",
    "rehearsal",
];

/// The campaign's own text with its instant and its catalogue replaced, as far as a shop sells by
/// it; that stays as its author wrote it.
fn relocate(text: &str) -> Option<String> {
    let (mut t0, mut catalogue, mut kept) = (false, false, true);
    let mut out = String::with_capacity(text.len() + 64);
    for line in text.lines() {
        let key = line.split_once(':').map(|(key, _)| key);
        if let Some(key) = key.filter(|_| line.starts_with(|c: char| c.is_ascii_lowercase())) {
            kept = SOLD_BY.contains(&key);
        }
        if !kept {
            continue;
        }
        if line.starts_with("t0:") {
            t0 = true;
            out.push_str("t0: ");
            out.push_str(T0_MARK);
        } else if line.starts_with("catalogue:") {
            catalogue = true;
            out.push_str("catalogue: catalogue.csv");
        } else {
            out.push_str(line);
        }
        out.push('\n');
    }
    (t0 && catalogue).then_some(out)
}

/// Requests a second of a crash test: enough that every kill finds work in flight.
const CRASH_RATE_PER_S: u32 = 1_500;
const CRASH_PRODUCTS: u32 = 40;
/// Units of each: some sell out, most do not, so that kills find acceptances to lose.
const CRASH_STOCK: u32 = 20_000;

fn crash(rounds: u32, seconds: u32, seed: u64) -> Result<Staged, Failed> {
    if !(1..=crate::limits::CRASH_ROUNDS_MAX).contains(&rounds) || !(2..=3_600).contains(&seconds) {
        let most = crate::limits::CRASH_ROUNDS_MAX;
        let what = format!(
            "found {rounds} rounds of {seconds} s, expected 1 to {most} rounds of 2 \
                            to 3600 s"
        );
        return Err(Failed::Usage(what));
    }
    let end = u64::from(rounds) * u64::from(seconds);
    let yaml = format!(
        "version: 1\nname: crash\ntitle: Crash test, {rounds} kills\nt0: {T0_MARK}\n\
         catalogue: catalogue.csv\ncoupons:\n  - {{code: CRASH, quota: 500, amount_off: 100, \
         minimum_total: 200, currency: EUR}}\nbuyers: 20000\ndemand:\n  curve:\n    - [-1s, 500]\n\
         \x20   - [0s, {CRASH_RATE_PER_S}]\n    - [{end}s, {CRASH_RATE_PER_S}]\njourneys:\n  \
         before_t0: {{sign_in: 1}}\n  after_t0: {{sign_in: 20, browse: 10, order: 70}}\n  \
         zipf: 0.8\n  lines: [80, 15, 5]\n  abandon: 0.2\n  cancel: 0.1\n  coupon: 0.05\n  \
         repeat: 0.05\n  think_min: 10ms\n  think_max: 2s\n"
    );
    let parsed = yaml.replace(T0_MARK, "2026-11-11T00:00:00Z");
    let campaign = Campaign::parse(Path::new("campaign.yaml"), &parsed)?;
    let product = |n: u32| catalogue::Product {
        sku: format!("CRASH-{n:02}"),
        title: format!("Crash test article {n}"),
        description: String::new(),
        category: String::new(),
        price: sale::Money(i64::from(100 + 50 * n)),
        currency: sale::Currency::EUR,
        // The first few sell out early: refusals are part of the load.
        stock: if n < 4 { 200 } else { CRASH_STOCK },
        buyer_limit: Some(50),
        opens_ms: None,
        closes_ms: None,
        hold_ms: 3_000,
        picture: None,
        attributes: Vec::new(),
    };
    let products: Vec<catalogue::Product> = (0..CRASH_PRODUCTS).map(product).collect();
    let catalogue = catalogue_text(&products, None)?;
    let plan = plan::campaign(&campaign, products.into_iter().map(planned).collect(), seed);
    let kills_us = crash_kills(&plan, rounds, seconds, seed);
    let demands = Demands {
        expectations: Expectations::default(),
        t0: false,
        kills: kills_us.len(),
    };
    Ok(Staged {
        kind: "crash",
        name: "crash".to_owned(),
        title: campaign.title,
        plan,
        text: CampaignText { yaml, catalogue },
        kills_us,
        demands,
        remarks: Vec::new(),
        drill: None,
    })
}

/// One kill a round, anywhere in its first three quarters.
fn crash_kills(plan: &Plan, rounds: u32, seconds: u32, seed: u64) -> Vec<u64> {
    let mut rng = Rng::new(!seed);
    let round_us = u64::from(seconds) * 1_000_000;
    let kill = |round: u32| {
        plan.t0_us + u64::from(round) * round_us + rng.between(100_000, round_us * 3 / 4)
    };
    (0..rounds).map(kill).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_campaign_keeps_its_words_and_gets_another_instant() {
        let text = "name: a\nt0: 2026-11-11T00:00:00Z  # midnight\ncatalogue: x/y.csv\n\
                    freeze:\n  from: 2026-11-10T00:00:00Z\n- x\nbuyers: 3\n";
        let moved = relocate(text).unwrap();
        assert_eq!(
            moved,
            "name: a\nt0: @T0@\ncatalogue: catalogue.csv\nbuyers: 3\n"
        );
        assert_eq!(relocate("name: a\n"), None);
    }

    #[test]
    fn the_bundled_campaign_is_a_flood() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/double11");
        let staged = campaign(&file.join("campaign.yaml"), Kill::AsPlanned, 11).unwrap();
        let plan = &staged.plan;
        assert_eq!((plan.buyers, plan.products.len()), (200_000, 60));
        assert!(
            (400_000..600_000).contains(&plan.arrivals.len()),
            "{}",
            plan.arrivals.len()
        );
        let at_t0 = plan.per_second()[(plan.t0_us / 1_000_000) as usize];
        assert!(at_t0 >= 16_000, "{at_t0} requests in the first second");
        let demand = plan.demand();
        let rush = demand
            .iter()
            .zip(&plan.products)
            .filter(|(d, p)| **d >= 2 * p.stock);
        assert!(rush.count() >= 50);
        // In the middle: the flood still goes on when the shop is back.
        assert!(staged.kills_us[0] > plan.t0_us && staged.kills_us[0] + 10_000_000 < plan.end_us);
        assert!(staged.text.catalogue.contains(",EUR,") && staged.text.yaml.contains("t0: @T0@"));
    }

    #[test]
    fn a_crash_test_kills_once_a_round_at_random_moments() {
        let staged = crash(5, 4, 1).unwrap();
        assert_eq!(staged.kills_us.len(), 5);
        for (round, kill) in staged.kills_us.iter().enumerate() {
            let from = staged.plan.t0_us + round as u64 * 4_000_000;
            assert!(
                (from..from + 3_000_000).contains(kill),
                "round {round}: {kill}"
            );
        }
        assert_ne!(staged.kills_us, crash(5, 4, 2).unwrap().kills_us);
        assert!(crash(0, 4, 1).is_err());
    }
}
