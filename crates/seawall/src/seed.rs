//! What a new shop starts with: the products, pictures and coupons of a campaign. A shop that has
//! products keeps them, so that a restart with the same command changes nothing.

use anyhow::{Context, anyhow};
use engine::Desk;
use sale::{Command, CouponTerms, Outcome, Text};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use store::ShopDb;
use wire::campaign::Campaign;
use wire::catalogue::{self, Defaults, Format, Product};

/// A campaign that has been read and checked whole.
#[derive(Debug)]
pub struct Seed {
    campaign: Campaign,
    products: Vec<Product>,
    pictures: PathBuf,
}

/// What the pages say about the campaign.
#[derive(Debug, Serialize, Deserialize)]
pub struct Show {
    pub campaign: String,
    pub tagline: String,
}

impl Show {
    fn path(data: &Path) -> PathBuf {
        data.join("show.json")
    }
    pub fn read(data: &Path) -> anyhow::Result<Show> {
        let path = Show::path(data);
        match std::fs::read(&path) {
            Ok(text) => {
                serde_json::from_slice(&text).with_context(|| format!("{}", path.display()))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Show {
                campaign: "Seawall Shop".to_owned(),
                tagline: "Everything in stock is really there.".to_owned(),
            }),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }
}

/// `+15s`, `+5m`, `+2h` from now, or an RFC 3339 instant; in milliseconds since the epoch.
fn instant(text: &str) -> anyhow::Result<u64> {
    let bad = || anyhow!("--t0: found {text:?}, expected +15s, +5m, +2h or an RFC 3339 instant");
    if let Some(ahead) = text.strip_prefix('+') {
        let (number, unit) = ahead.split_at(ahead.len().saturating_sub(1));
        let number: u64 = number.parse().map_err(|_| bad())?;
        let unit = match unit {
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(bad()),
        };
        let now = jiff::Timestamp::now().as_millisecond().max(0) as u64;
        return number
            .checked_mul(unit)
            .and_then(|ms| ms.checked_add(now))
            .ok_or_else(bad);
    }
    let at: jiff::Timestamp = text.parse().map_err(|_| bad())?;
    u64::try_from(at.as_millisecond()).map_err(|_| bad())
}

impl Seed {
    /// Reads the campaign and its catalogue; nothing is changed anywhere.
    pub fn load(path: &Path, t0: Option<&str>) -> anyhow::Result<Seed> {
        let campaign = Campaign::load(path).map_err(|problems| anyhow!("{problems}"))?;
        let t0 = match t0 {
            Some(text) => instant(text)?,
            None => campaign.t0.0,
        };
        let defaults = Defaults {
            opens_ms: Some(t0),
            ..Defaults::default()
        };
        let products = read_products(&campaign.catalogue, &defaults)?;
        let folder = campaign.catalogue.parent().unwrap_or(Path::new("."));
        Ok(Seed {
            pictures: folder.join("pictures"),
            campaign,
            products,
        })
    }

    pub fn products(&self) -> usize {
        self.products.len()
    }

    /// Creates the campaign's coupons that do not exist yet.
    pub fn coupons(&self, desk: &Desk) -> anyhow::Result<()> {
        for coupon in &self.campaign.coupons {
            let code = Text::new(&coupon.code).map_err(|error| anyhow!("coupon: {error}"))?;
            let terms = CouponTerms {
                quota: coupon.quota,
                amount_off: coupon.amount_off,
                currency: coupon.currency,
                minimum_total: coupon.minimum_total,
            };
            if desk.view().ledger().coupon_by_code(&code).is_some() {
                continue;
            }
            let reply = desk.block_on(desk.ask(Command::CreateCoupon { code, terms }));
            match reply.map(|answer| answer.outcome) {
                Ok(Outcome::CouponCreated { .. } | Outcome::CouponExists { .. }) => {}
                other => return Err(anyhow!("coupon {} was not created: {other:?}", coupon.code)),
            }
        }
        Ok(())
    }
}

/// Reads a catalogue file whole; gzip is unpacked.
pub fn read_products(path: &Path, defaults: &Defaults) -> anyhow::Result<Vec<Product>> {
    let name = path.to_string_lossy();
    let format = Format::of_name(&name)
        .ok_or_else(|| anyhow!("{name}: expected a name that ends in .csv, .tsv or .jsonl"))?;
    let file = File::open(path).with_context(|| format!("cannot open {name}"))?;
    let input = catalogue::unpacked(BufReader::new(file)).with_context(|| format!("{name}"))?;
    let (products, _) =
        catalogue::load(input, format, defaults).map_err(|error| anyhow!("{name}: {error}"))?;
    Ok(products)
}

/// Opens (or makes) `shop.db` and plants the campaign if there are no products yet.
pub fn plant(data: &Path, shop_db: &Path, seed: Option<&Seed>) -> anyhow::Result<()> {
    let mut db = ShopDb::open(shop_db)?;
    let Some(seed) = seed else { return Ok(()) };
    if db.catalogue_version()? > 0 {
        tracing::info!("the shop has products: the campaign's catalogue is not read again");
        return Ok(());
    }
    copy_pictures(&seed.pictures, &data.join("pictures"))?;
    let show = Show {
        campaign: seed.campaign.title.clone(),
        tagline: format!(
            "{} products, and every unit is really there.",
            seed.products.len()
        ),
    };
    let path = Show::path(data);
    std::fs::write(&path, serde_json::to_vec_pretty(&show)?)
        .with_context(|| format!("cannot write {}", path.display()))?;
    // Last, since it decides whether all this is done again.
    let done = db.upsert(seed.products.iter().cloned())?;
    eprintln!(
        "seawall: planted {} products of {}",
        done.added, seed.campaign.name
    );
    Ok(())
}

fn copy_pictures(from: &Path, to: &Path) -> anyhow::Result<()> {
    if !from.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for entry in std::fs::read_dir(from).with_context(|| format!("{}", from.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name()))
                .with_context(|| format!("cannot copy {}", entry.path().display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::instant;

    #[test]
    fn t0_is_an_instant_or_a_distance() {
        let now = jiff::Timestamp::now().as_millisecond() as u64;
        let ahead = instant("+15s").unwrap();
        assert!((now + 14_000..now + 20_000).contains(&ahead));
        assert_eq!(instant("1970-01-01T00:00:05Z").unwrap(), 5_000);
        for bad in [
            "",
            "+",
            "15s",
            "+15",
            "+xs",
            "tomorrow",
            "+99999999999999999999h",
        ] {
            assert!(instant(bad).is_err(), "{bad}");
        }
    }
}
