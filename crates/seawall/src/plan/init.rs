//! `seawall plan init`: a campaign begun from a catalogue. What only people can decide is left to
//! them as comments; nothing is made up and nothing is overwritten.

use super::write_new;
use crate::seed::read_products;
use anyhow::{Context, anyhow};
use host::Exit;
use serde_json::json;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use wire::campaign::limits::PRODUCTS_MAX;
use wire::catalogue::{Defaults, Product};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The products: any catalogue that the shop reads.
    #[arg(long, value_name = "FILE")]
    products: PathBuf,
    /// The instant that the sale opens, with its zone.
    #[arg(long)]
    t0: jiff::Timestamp,
    /// A short name for it.
    #[arg(long, default_value = "campaign")]
    name: String,
    /// The folder that gets campaign.yaml and the catalogue.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Report as JSON.
    #[arg(long)]
    pub json: bool,
}

pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let products = read_products(&args.products, &Defaults::default())?;
    if products.len() > PRODUCTS_MAX {
        let found = products.len();
        return Err(anyhow!(
            "found {found} products, expected at most {PRODUCTS_MAX}"
        ));
    }
    std::fs::create_dir_all(&args.out)
        .with_context(|| format!("cannot make {}", args.out.display()))?;
    let name = args.products.file_name().unwrap_or_default();
    let catalogue = args.out.join(name);
    let same = |a: &Path, b: &Path| {
        let real = |path: &Path| std::fs::canonicalize(path).ok();
        real(a).is_some() && real(a) == real(b)
    };
    let text = campaign(args, &name.to_string_lossy(), &products);
    let file = args.out.join("campaign.yaml");
    write_new(&file, text.as_bytes())?;
    if !same(&catalogue, &args.products) {
        let bytes = std::fs::read(&args.products)
            .with_context(|| format!("cannot read {}", args.products.display()))?;
        write_new(&catalogue, &bytes)?;
    }
    let endless: Vec<&str> = products
        .iter()
        .filter(|product| product.stock > 0 && product.buyer_limit.is_none())
        .map(|product| product.sku.as_str())
        .collect();
    if args.json {
        let report = json!({
            "campaign": file, "catalogue": catalogue, "products": products.len(),
            "without_limit": endless,
        });
        println!("{report:#}");
    } else {
        println!("{}: {} products", file.display(), products.len());
    }
    if !endless.is_empty() {
        eprintln!(
            "{} products have stock and no limit for one buyer; decide it before `seawall check`",
            endless.len()
        );
    }
    Ok(Exit::Good)
}

fn campaign(args: &Args, catalogue: &str, products: &[Product]) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut text = format!(
        "# Begun by `seawall plan init`; docs/campaign.md has every key, `seawall check` all that\n\
         # is wrong. Whatever stands behind # is for people to decide.\n\
         version: 1\nname: {}\nt0: {}\ncatalogue: {}\nbuyers: 1000\n\
         # What a rehearsal sends: offsets from T0 and requests a second.\n\
         demand:\n  curve:\n    - [-10s, 50]\n    - [0s, 50]\n    - [0s, 500]\n    - [+20s, 100]\n\
         journeys:\n  before_t0: {{sign_in: 50, browse: 50}}\n  \
         after_t0: {{browse: 30, order: 70}}\n\n",
        quoted(&args.name),
        quoted(&args.t0.to_string()),
        quoted(catalogue),
    );
    text.push_str(
        "# background: why there is this sale\n\
         # goals: [{goal: everything is sold and nothing twice}]\n\
         # owners: [{role: product, name: …, agreed: …}]\n\
         # time_zone: Europe/Berlin\n\
         # phases: [{name: midnight, kind: opening, from: …, until: …}]\n\
         # granularity: sku\n\
         # intensity: {discount: 0.3, reach: 0.5, told_at: …}\n\
         # third_parties: [{name: …, quota: 500/s, service_level: {availability: 0.999}}]\n\
         # expected:\n\
         #   dau: {value: …, low: …, high: …, basis: …}\n\
         #   dat: {value: …, basis: …}\n\
         #   orders: {value: …, basis: …}\n\
         #   order_route: POST /v1/orders\n\
         # new_since_last: [{what: …}]\n\
         # slos: [{p99: 1s, errors: 0.01}]\n\
         # budget: {amount: …, currency: EUR}\n\
         # on_call: [{role: …, name: …, contact: …, from: …, until: …}]\n\
         # freeze: [{kind: releases, from: …, until: …}]\n\n",
    );
    text.push_str(if products.is_empty() {
        ""
    } else {
        "products:\n"
    });
    for product in products {
        // Writing to a string cannot fail.
        _ = write!(
            text,
            "  - {{sku: {}, stock: {}, price: {}",
            quoted(&product.sku),
            product.stock,
            product.price.0
        );
        if let Some(limit) = product.buyer_limit {
            _ = write!(text, ", limit: {limit}");
        }
        text.push_str("}\n");
    }
    text
}
