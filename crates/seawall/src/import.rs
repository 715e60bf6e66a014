//! `seawall import`: data from files, all of it or nothing.

use crate::DataFolder;
use anyhow::{Context, anyhow};
use host::Exit;
use sale::Currency;
use serde_json::json;
use std::fs::File;
use std::io::{BufReader, IsTerminal, Read};
use std::path::PathBuf;
use std::process::ExitCode;
use store::ShopDb;
use wire::catalogue::{self, Defaults, Format, ImportError};

#[derive(Debug, clap::Subcommand)]
pub enum What {
    /// Products from CSV or JSON Lines (docs/catalogue.md). A running shop takes them over on
    /// SIGHUP or `POST /operator/catalogue/reload`, any other at its next start.
    ///
    /// Example: seawall import catalogue products.csv --currency GBP --stock 100
    Catalogue(Catalogue),
}

#[derive(Debug, clap::Args)]
pub struct Catalogue {
    /// The file: .csv, .tsv, .jsonl, each also with .gz.
    file: PathBuf,
    #[command(flatten)]
    folder: DataFolder,
    /// Currency of prices that name none.
    #[arg(long, default_value = "EUR")]
    currency: String,
    /// Stock of products that name none.
    #[arg(long, default_value_t = 0)]
    stock: u32,
    /// Units per buyer where the file says nothing.
    #[arg(long)]
    buyer_limit: Option<u32>,
    /// Report as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(what: &What) -> anyhow::Result<ExitCode> {
    let What::Catalogue(args) = what;
    let name = args.file.display();
    let Some(currency) = Currency::new(&args.currency) else {
        eprintln!(
            "--currency: found {:?}, expected three capital letters",
            args.currency
        );
        return Ok(Exit::Usage.into());
    };
    let Some(format) = Format::of_name(&args.file.to_string_lossy()) else {
        eprintln!("{name}: expected a name that ends in .csv, .tsv, .txt, .jsonl or .ndjson");
        return Ok(Exit::Usage.into());
    };
    let defaults = Defaults {
        currency,
        stock: args.stock,
        buyer_limit: args.buyer_limit,
        ..Defaults::default()
    };
    let data = &args.folder.data;
    std::fs::create_dir_all(data).with_context(|| format!("cannot make {}", data.display()))?;
    let mut db = ShopDb::open(&data.join("shop.db"))?;
    let file = File::open(&args.file).with_context(|| format!("cannot open {name}"))?;
    let length = file.metadata().map(|meta| meta.len()).unwrap_or(0);
    let counted = Counted {
        inner: file,
        read: 0,
        length,
        shown: 0,
    };
    let input = catalogue::unpacked(BufReader::new(counted))?;
    let mut import = db.import()?;
    let mut failed = None;
    let read = catalogue::read(input, format, &defaults, |product| {
        if failed.is_none() {
            failed = import.put(&product).err();
        }
    });
    if let Some(error) = failed {
        return Err(anyhow!(error).context("nothing was imported"));
    }
    let summary = match read {
        Ok(summary) => summary,
        Err(ImportError::Problems(problems)) => {
            if args.json {
                let listed: Vec<_> = problems.listed.iter().map(ToString::to_string).collect();
                println!(
                    "{}",
                    json!({"imported": false, "problems": listed, "more": problems.more})
                );
            } else {
                eprintln!("{name}: nothing was imported:\n{problems}");
            }
            return Ok(Exit::Failed.into());
        }
        Err(error) => return Err(anyhow!(error).context(format!("{name}: nothing was imported"))),
    };
    let done = import.commit()?;
    if args.json {
        let body = json!({
            "imported": true,
            "products": summary.products,
            "lines": summary.lines,
            "added": done.added,
            "changed": done.changed,
            "unchanged": done.unchanged,
            "notes": summary.notes,
        });
        println!("{body}");
        return Ok(Exit::Good.into());
    }
    println!(
        "{} products in {} lines of {name}",
        summary.products, summary.lines
    );
    println!(
        "added {}, changed {}, unchanged {}",
        done.added, done.changed, done.unchanged
    );
    for (reason, count) in &summary.notes {
        println!("note: {reason}: {count}");
    }
    Ok(Exit::Good.into())
}

/// Shows on a terminal how far a large file has been read.
struct Counted {
    inner: File,
    read: u64,
    length: u64,
    shown: u64,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.read += read as u64;
        let step = 16 * 1024 * 1024;
        if self.read / step > self.shown && std::io::stderr().is_terminal() {
            self.shown = self.read / step;
            eprint!("\r{} of {} MiB", self.read >> 20, self.length >> 20);
        }
        Ok(read)
    }
}
