//! `seawall check`: everything that is wrong with files, at once, before anything is started.

use crate::seed::Seed;
use host::Exit;
use host::config::{self, Sources};
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Configuration file to check, together with the environment.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Campaign files to check, with their catalogues.
    campaigns: Vec<PathBuf>,
    /// Report as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut problems = Vec::new();
    let mut good = Vec::new();
    let sources = Sources::of_process(args.config.clone(), Vec::new());
    match config::load(sources) {
        Ok(_) => good.push(match &args.config {
            Some(path) => format!("{}: a good configuration", path.display()),
            None => "the configuration of this environment is good".to_owned(),
        }),
        Err(found) => problems.push(found.to_string()),
    }
    for path in &args.campaigns {
        match Seed::load(path, None) {
            Ok(seed) => {
                let products = seed.products();
                good.push(format!(
                    "{}: a good campaign of {products} products",
                    path.display()
                ));
            }
            Err(found) => problems.push(format!("{found:#}")),
        }
    }
    if args.json {
        let lines: Vec<&str> = problems
            .iter()
            .flat_map(|text| text.trim_end().lines())
            .collect();
        println!(
            "{}",
            json!({"good": problems.is_empty(), "checked": good, "problems": lines})
        );
    } else {
        for line in &good {
            println!("{line}");
        }
        for text in &problems {
            eprintln!("{}", text.trim_end());
        }
    }
    Ok(if problems.is_empty() {
        Exit::Good.into()
    } else {
        Exit::Usage.into()
    })
}
