//! `seawall rehearse`: the flood, the kill, the audit.

use anyhow::{Context, anyhow};
use host::Exit;
use rehearse::{Admin, Kill, Options, Running, Subject, Where};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The campaign file, or a rehearsal file: a subject, load, faults, expectations.
    #[arg(value_name = "FILE", required_unless_present_any = ["orders", "crash_rounds"])]
    campaign: Option<PathBuf>,
    /// Rehearse a shop that runs already, such as http://127.0.0.1:8080 (loopback only).
    #[arg(long, requires = "key_file")]
    url: Option<String>,
    /// With --url: the issuer, audience and shared key (HS256) of tokens that the shop accepts.
    #[arg(long, default_value = "seawall-rehearsal")]
    issuer: String,
    #[arg(long, default_value = "seawall")]
    audience: String,
    #[arg(long)]
    key_file: Option<PathBuf>,
    /// With --url: the shop's data folder, for the audit.
    #[arg(long)]
    data: Option<PathBuf>,
    /// With --url: the shop's admin listener, such as http://127.0.0.1:8081; then the report has
    /// what its front door says.
    #[arg(long, requires = "url")]
    admin_url: Option<String>,
    /// With --admin-url: the file with the operators' token.
    #[arg(long, requires = "admin_url")]
    token_file: Option<PathBuf>,
    /// Replay real order lines instead: a CSV file, a folder of them, or a .tar.xz.
    #[arg(long, conflicts_with_all = ["campaign", "crash_rounds", "url"])]
    orders: Option<PathBuf>,
    /// With --orders: baskets a second.
    #[arg(long, default_value_t = 400.0)]
    rate: f64,
    /// With --orders: stock of each product as a share of its demand.
    #[arg(long, default_value_t = 0.85)]
    stock_share: f64,
    /// Kill and restart a shop under load this often, on one data folder.
    #[arg(long, conflicts_with_all = ["campaign", "url"])]
    crash_rounds: Option<u32>,
    /// With --crash-rounds: seconds from one kill to the next.
    #[arg(long, default_value_t = 3)]
    round_seconds: u32,
    /// When to kill the shop, in seconds from T0.
    #[arg(long, allow_negative_numbers = true, conflicts_with = "no_kill")]
    kill_at: Option<f64>,
    /// Do not kill the shop.
    #[arg(long)]
    no_kill: bool,
    /// The same seed plans the same buyers.
    #[arg(long, default_value_t = 11)]
    seed: u64,
    /// Where the report goes.
    #[arg(long, default_value = "out")]
    out: PathBuf,
    /// Keep the shop's data, log and configuration in this folder.
    #[arg(long)]
    keep: Option<PathBuf>,
    /// The report as JSON on stdout instead of the table.
    #[arg(long)]
    json: bool,
    /// No progress on stderr.
    #[arg(long)]
    quiet: bool,
}

fn subject(args: &Args) -> Subject {
    let kill = match (args.kill_at, args.no_kill) {
        (_, true) => Kill::Never,
        (Some(seconds), _) => Kill::At((seconds * 1_000.0) as i64),
        (None, _) => Kill::AsPlanned,
    };
    if let Some(rounds) = args.crash_rounds {
        return Subject::Crash {
            rounds,
            seconds_per_round: args.round_seconds,
        };
    }
    match &args.orders {
        Some(source) => Subject::Orders {
            source: source.clone(),
            rate: args.rate,
            stock_share: args.stock_share,
            kill,
        },
        None => {
            let file = args.campaign.clone().unwrap_or_default();
            match wire::rehearsal::is_rehearsal(&file) {
                true => Subject::File(file),
                false => Subject::Campaign { file, kill },
            }
        }
    }
}

fn loopback(flag: &str, url: &str) -> anyhow::Result<SocketAddr> {
    let address = url
        .strip_prefix("http://")
        .unwrap_or(url)
        .trim_end_matches('/');
    let address: SocketAddr = address.parse().map_err(|_| {
        anyhow!("{flag}: found {url:?}, expected http:// and an address such as 127.0.0.1:8080")
    })?;
    match address.ip().is_loopback() {
        true => Ok(address),
        false => Err(anyhow!(
            "{flag}: {address} is not on this machine; a flood stays on loopback"
        )),
    }
}

fn place(args: &Args) -> anyhow::Result<Where> {
    let Some(url) = &args.url else {
        let seawall = std::env::current_exe().context("where this program is")?;
        return Ok(Where::Own { seawall });
    };
    let admin = args.admin_url.as_ref();
    let admin = admin.map(|url| loopback("--admin-url", url)).transpose()?;
    Ok(Where::Running(Running {
        shop: loopback("--url", url)?,
        admin: admin.map(|address| Admin {
            address,
            token_file: args.token_file.clone(),
        }),
        issuer: args.issuer.clone(),
        audience: args.audience.clone(),
        key_file: args.key_file.clone().unwrap_or_default(),
        data: args.data.clone(),
    }))
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let subject = subject(args);
    if matches!(subject, Subject::File(_)) && (args.kill_at.is_some() || args.no_kill) {
        eprintln!("seawall: a rehearsal file says itself what is killed; leave --kill-at out");
        return Ok(Exit::Usage.into());
    }
    let place = match place(args) {
        Ok(place) => place,
        Err(error) => {
            eprintln!("seawall: {error:#}");
            return Ok(Exit::Usage.into());
        }
    };
    let options = Options {
        subject,
        place,
        seed: args.seed,
        folder: args.keep.clone(),
        command: std::env::args().collect::<Vec<_>>().join(" "),
        quiet: args.quiet,
    };
    let report = match rehearse::run(&options) {
        Ok(report) => report,
        Err(failed) => {
            eprintln!("seawall: {failed}");
            return Ok(ExitCode::from(failed.exit_code()));
        }
    };
    std::fs::create_dir_all(&args.out)
        .with_context(|| format!("cannot make {}", args.out.display()))?;
    let (html, json) = (
        args.out.join("rehearsal.html"),
        args.out.join("rehearsal.json"),
    );
    report
        .write_html(&html)
        .with_context(|| format!("cannot write {}", html.display()))?;
    std::fs::write(&json, report.to_json())
        .with_context(|| format!("cannot write {}", json.display()))?;
    let junit = args.out.join("rehearsal.junit.xml");
    std::fs::write(&junit, report.to_junit())
        .with_context(|| format!("cannot write {}", junit.display()))?;
    if args.json {
        println!("{}", report.to_json());
    } else {
        println!("{}", report.table());
        println!("report: {}", html.display());
    }
    Ok(ExitCode::from(report.exit_code()))
}
