//! Seawall: prove that your site survives the sale. The verbs, and which library each one wires up.

mod agent;
mod bank;
mod bench;
mod check;
mod door;
mod faults;
mod gateway;
mod import;
mod inspect;
mod load;
mod metrics;
mod plan;
mod queue;
mod rehearse;
mod report;
mod rls;
mod schema;
mod seed;
mod shadow;
mod traffic;
mod up;

use clap::{Parser, Subcommand};
use host::Exit;
use std::path::PathBuf;
use std::process::ExitCode;

/// Prove that your site survives the sale.
///
/// Data goes to stdout, talk to stderr. Exit codes: 0 good, 99 the verdict is bad, 2 no verdict,
/// 1 failed, 64 wrong usage.
#[derive(Debug, Parser)]
#[command(name = "seawall", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the shop: pages, order API and engine in one process.
    ///
    /// Example: seawall up --campaign examples/double11/campaign.yaml --t0 +60s
    Up(up::Args),
    /// Run the front door alone, in front of services of any kind.
    ///
    /// Example: seawall gateway examples/gateway/services.yaml
    Gateway(gateway::Args),
    /// Bring data in; everything or nothing.
    Import {
        #[command(subcommand)]
        what: import::What,
    },
    /// Check configuration, campaign, gateway, limits and switches files; every problem at once,
    /// nothing is started.
    ///
    /// Example: seawall check --config seawall.yaml examples/double11/campaign.yaml
    /// examples/gateway/shop.yaml
    Check(check::Args),
    /// Print the JSON Schema of gateway.yaml, limits.yaml or switches.yaml.
    ///
    /// Example: seawall schema limits > limits.schema.json
    Schema(schema::Args),
    /// Look at a journal that nobody writes.
    Journal {
        #[command(subcommand)]
        what: inspect::What,
    },
    /// Rebuild what can be rebuilt from the journal.
    Rebuild {
        #[command(subcommand)]
        what: inspect::RebuildWhat,
    },
    /// Flood a shop with buyers, kill it in the middle, audit its books.
    ///
    /// Example: seawall rehearse examples/double11/campaign.yaml
    Rehearse(rehearse::Args),
    /// Send load on any HTTP service, by a plan, and find the highest rate that it holds.
    ///
    /// Example: seawall load find examples/load/any.yaml --slo 'p99<200ms' --slo 'errors<1%'
    Load {
        #[command(subcommand)]
        what: load::What,
    },
    /// Be one of several generators that `seawall load --agents` leads as one.
    ///
    /// Example: seawall agent --token-file agents.token
    Agent(agent::Args),
    /// Break things on purpose, and for a while: a fault proxy that Toxiproxy's clients control,
    /// processes that stand still, disks that are full.
    ///
    /// Example: seawall faults --lease 10s
    Faults(faults::Args),
    /// Show and compare load reports: ours, k6's, JMeter's.
    Report {
        #[command(subcommand)]
        what: report::What,
    },
    /// Plan a sale: from one campaign file to what will come and what must be done.
    Plan {
        #[command(subcommand)]
        what: plan::What,
    },
    /// Look at recorded traffic: access logs, HAR, GoReplay, the gateway's recorder.
    Traffic {
        #[command(subcommand)]
        what: traffic::What,
    },
    /// How much of the recorded production a run or a list of endpoints stands for.
    ///
    /// Exit 0; 99: below --min; 2: nothing could be compared; 64: a file cannot be read.
    ///
    /// Example: seawall coverage production.log rehearsal.log --min 65
    Coverage(traffic::CoverageArgs),
    /// Check the draw of a waiting room, from published files alone.
    Queue {
        #[command(subcommand)]
        what: queue::What,
    },
    /// Run the sandbox bank as a service of its own, for shops whose `payment.bank` names it.
    ///
    /// Example: seawall bank --listen 127.0.0.1:8090
    Bank(bank::Args),
    /// Rehearse on a shop that sells: marked requests have books of their own.
    Shadow {
        #[command(subcommand)]
        what: shadow::What,
    },
    /// What benchmarks need: session tokens for load generators.
    Bench {
        #[command(subcommand)]
        what: bench::What,
    },
}

/// Where the shop keeps everything.
#[derive(Clone, Debug, clap::Args)]
pub struct DataFolder {
    /// The data folder.
    #[arg(long, default_value = "./data")]
    pub data: PathBuf,
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let help = !error.use_stderr();
            // Nobody is left to hear of a closed stdout.
            let _ = error.print();
            return if help {
                Exit::Good.into()
            } else {
                Exit::Usage.into()
            };
        }
    };
    let done = match cli.verb {
        Verb::Up(args) => up::run(&args),
        Verb::Gateway(args) => gateway::run(&args),
        Verb::Import { what } => import::run(&what),
        Verb::Check(args) => check::run(&args),
        Verb::Schema(args) => schema::run(&args),
        Verb::Journal { what } => inspect::run(&what),
        Verb::Rebuild { what } => inspect::rebuild(&what),
        Verb::Rehearse(args) => rehearse::run(&args),
        Verb::Report { what } => report::run(&what),
        Verb::Load { what } => load::run(&what),
        Verb::Agent(args) => agent::run(&args),
        Verb::Faults(args) => faults::run(&args),
        Verb::Plan { what } => plan::run(&what),
        Verb::Traffic { what } => traffic::run(&what),
        Verb::Coverage(args) => traffic::coverage(&args),
        Verb::Queue { what } => queue::run(&what),
        Verb::Bank(args) => bank::run(&args),
        Verb::Shadow { what } => shadow::run(&what),
        Verb::Bench { what } => bench::run(&what),
    };
    match done {
        Ok(exit) => exit,
        Err(error) => {
            eprintln!("seawall: {error:#}");
            Exit::Failed.into()
        }
    }
}
