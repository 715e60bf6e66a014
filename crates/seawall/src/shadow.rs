//! `seawall shadow`: rehearsals on a shop that sells. In a running shop the shadow's instance; as
//! verbs, its opening, the canary before a run, the comparison of the books after it, clean-up.

mod call;
mod canary;
mod clean;
mod evidence;
mod instance;
mod leak;
mod metrics;
mod note;
mod probe;

pub use canary::marks;
pub use instance::Rehearsals;
pub use metrics::ShadowMetrics;

use crate::DataFolder;
use anyhow::{Context, anyhow};
use call::{Asked, Target, Told};
use host::Exit;
use serde::Serialize;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};
use wire::report::{Report, VERSION, Verdict};

/// No answer of an operator's endpoint takes longer; opening copies a catalogue.
const OPERATOR_WITHIN: Duration = Duration::from_secs(60);

#[derive(Debug, clap::Subcommand)]
pub enum What {
    /// Open a shadow ledger for a run in a running shop: its catalogue, the units that are free
    /// now, buyers, bank and journal of its own. Marks are refused until a canary was there.
    ///
    /// Example: seawall shadow open --run sale-1 --admin http://127.0.0.1:8081
    Open {
        /// The run's name: letters, digits, '-' and '_'.
        #[arg(long)]
        run: String,
        /// Everything is on sale in the shadow, whatever its terms say.
        #[arg(long)]
        open_now: bool,
        #[command(flatten)]
        operator: Operator,
    },
    /// What the shadow holds at the moment, as JSON.
    Show {
        #[command(flatten)]
        operator: Operator,
    },
    /// End the open shadow; its folder stays.
    Close {
        #[command(flatten)]
        operator: Operator,
    },
    /// Send one marked purchase through and prove at each hop that it landed in the shadow. Exit
    /// 99 names the hop without proof; 2: nothing could be asked.
    ///
    /// Example: seawall shadow canary --url http://127.0.0.1:8080 --admin http://127.0.0.1:8081
    Canary(canary::Args),
    /// Compare the books of both ledgers after a run, and count marked rows in other tables.
    /// Exit 99: something leaked; 2: not everything could be compared.
    ///
    /// Example: seawall shadow leak --run sale-1 --probes probes.yaml
    Leak(leak::Args),
    /// Remove shadows, and say what that removes.
    ///
    /// Example: seawall shadow clean --run sale-1 --admin http://127.0.0.1:8081
    Clean(clean::Args),
}

/// The running shop's operator side.
#[derive(Debug, clap::Args)]
pub struct Operator {
    /// The admin listener.
    #[arg(long, default_value = "http://127.0.0.1:8081")]
    admin: String,
    /// Instead of operator.token in the data folder.
    #[arg(long)]
    token_file: Option<PathBuf>,
    #[command(flatten)]
    folder: DataFolder,
}

impl Operator {
    /// The answer's body; `Err` says which refusal it was.
    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let token = self.token_file.clone();
        let token = token.unwrap_or_else(|| self.folder.data.join("operator.token"));
        let token = std::fs::read_to_string(&token)
            .with_context(|| format!("cannot read the operator's token {}", token.display()))?;
        let told = send(&Asking {
            target: &Target::new(&self.admin)?,
            method,
            path,
            headers: &[("authorization", &format!("Bearer {}", token.trim()))],
            body,
            within: OPERATOR_WITHIN,
        })?;
        let value: Value = serde_json::from_slice(&told.body).unwrap_or_default();
        if (200..300).contains(&told.status) {
            return Ok(value);
        }
        let said = value["detail"].as_str().unwrap_or("no reason was given");
        let code = value["code"].as_str().unwrap_or("no code");
        Err(anyhow!("{method} {path}: {} {code}: {said}", told.status))
    }
}

pub fn run(what: &What) -> anyhow::Result<ExitCode> {
    let path = "/operator/shadow";
    match what {
        What::Open {
            run,
            open_now,
            operator,
        } => {
            let body = json!({"run": run, "open_now": open_now});
            let state = operator.ask("POST", path, Some(&body))?;
            println!("{state}");
            let real = state["real_seq"].as_u64().unwrap_or(0);
            eprintln!("open beside entry {real} of the real journal; next: seawall shadow canary");
        }
        What::Show { operator } => println!("{}", operator.ask("GET", path, None)?),
        What::Close { operator } => println!("{}", operator.ask("DELETE", path, None)?),
        What::Canary(args) => return canary::run(args),
        What::Leak(args) => return leak::run(args),
        What::Clean(args) => return clean::run(args),
    }
    Ok(Exit::Good.into())
}

/// One request that is no load.
struct Asking<'a> {
    target: &'a Target,
    method: &'a str,
    path: &'a str,
    headers: &'a [(&'a str, &'a str)],
    body: Option<&'a Value>,
    within: Duration,
}

fn send(asking: &Asking<'_>) -> anyhow::Result<Told> {
    let body = asking.body.map(Value::to_string).unwrap_or_default();
    let mut headers = asking.headers.to_vec();
    if asking.body.is_some() {
        headers.push(("content-type", "application/json"));
    }
    let asked = Asked {
        method: asking.method,
        path: asking.path,
        headers: &headers,
        body: body.as_bytes(),
    };
    asking.target.ask(&asked, asking.within)
}

/// The one envelope of reports around `body`.
fn report<T: Serialize>(
    (kind, name): (&str, &str),
    verdict: Verdict,
    begun: (Instant, SystemTime),
    body: T,
) -> anyhow::Result<Report<T>> {
    let started = jiff::Timestamp::try_from(begun.1)?;
    Ok(Report {
        version: VERSION,
        kind: kind.to_owned(),
        name: name.to_owned(),
        verdict,
        exit_code: verdict.exit_code(),
        command: std::env::args().collect::<Vec<_>>().join(" "),
        build: rehearse::build(),
        machine: rehearse::machine(),
        started: format!("{started:.0}"),
        seconds: begun.0.elapsed().as_secs_f64(),
        body,
    })
}
