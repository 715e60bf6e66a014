//! `seawall shadow canary`: one marked purchase before a run, and what each hop shows of it. The
//! first question carries nothing that could do harm; only when its mark came back acknowledged
//! does anything get written.

use super::call::{Target, Told};
use super::evidence::Hop;
use super::{Asking, Operator, report, send};
use anyhow::{Context, anyhow};
use clap::Args as ClapArgs;
use gateway::mark::{Marks, RunId};
use host::Exit;
use serde::Serialize;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use wire::report::Verdict;

const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Long enough for a canary, short enough to be useless afterwards.
const MARK_S: u64 = 120;
/// A sandbox may decline; another key is another attempt.
const PAYMENTS_MAX: u32 = 20;
/// Looks at an order whose payment is pending, a tenth of a second apart.
const LOOKS_MAX: u32 = 100;

#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Where buyers come in: the same way as the run's load will take.
    #[arg(long)]
    url: String,
    /// The key that signs marks; mark.key of the data folder unless told otherwise.
    #[arg(long)]
    mark_key_file: Option<PathBuf>,
    #[command(flatten)]
    operator: Operator,
    /// The report as JSON on stdout.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Body {
    url: String,
    run: String,
    /// The marked order, if it came to that.
    order: Option<String>,
    hops: Vec<Hop>,
    /// The lowest level of all hops; 0 if one has no proof.
    level: u8,
}

/// The hops that need a proof before any load.
const HOPS: [&str; 6] = [
    "door",
    "shop",
    "ledger",
    "projection",
    "accounts",
    "payment",
];

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let begun = (Instant::now(), SystemTime::now());
    let state = args.operator.ask("GET", "/operator/shadow", None)?;
    let name = |field: &str| RunId::new(state[field].as_str().unwrap_or_default());
    let (Some(run), Some(probe)) = (name("run"), name("probe")) else {
        eprintln!("seawall: no shadow is open on this instance: seawall shadow open");
        return Ok(Exit::NoVerdict.into());
    };
    let key = args.mark_key_file.clone();
    let key = key.unwrap_or_else(|| args.operator.folder.data.join(crate::door::MARK_KEY));
    let buyer = Buyer {
        target: Target::new(&args.url)?,
        marks: marks(&key)?,
        run: probe,
        session: None,
    };
    let (mut hops, order) = walk(buyer, run, &args.operator)?;
    for hop in HOPS {
        if !hops.iter().any(|found| found.hop == hop) {
            let not = "not looked at: a hop before it has no proof".to_owned();
            hops.push(Hop::new(hop, 0, Err(not)));
        }
    }
    let verdict = match hops.iter().all(|hop| hop.proven) {
        true => Verdict::Holds,
        false => Verdict::Broken,
    };
    let body = Body {
        url: args.url.clone(),
        run: run.as_str().to_owned(),
        order,
        level: hops.iter().map(|hop| hop.level).min().unwrap_or(0),
        hops,
    };
    let report = report(("shadow-canary", run.as_str()), verdict, begun, body)?;
    match args.json {
        true => println!("{}", serde_json::to_string_pretty(&report)?),
        false => show(&report.body),
    }
    Ok(ExitCode::from(report.exit_code))
}

fn show(body: &Body) {
    for hop in &body.hops {
        let told = match hop.proven {
            true => format!("level {}", hop.level),
            false => "NO PROOF".to_owned(),
        };
        println!("{:<11} {told:<9} {}", hop.hop, hop.evidence);
    }
    match body.hops.iter().find(|hop| !hop.proven) {
        None => println!(
            "marks of {} are served by its shadow on this instance",
            body.run
        ),
        Some(hop) => println!("blocked: {} has no proof of isolation", hop.hop),
    }
}

/// Door, shop, a purchase, the books, and the run's own mark, until one of them fails.
fn walk(
    mut buyer: Buyer,
    run: RunId,
    operator: &Operator,
) -> anyhow::Result<(Vec<Hop>, Option<String>)> {
    let mut hops = vec![Hop::new("door", 2, door(&buyer)?)];
    if !hops[0].proven {
        return Ok((hops, None));
    }
    hops.push(Hop::new("shop", 3, shop(&mut buyer)?));
    if !hops[1].proven {
        return Ok((hops, None));
    }
    let order = match purchase(&buyer)? {
        Ok(order) => order,
        Err(not) => {
            hops.push(Hop::new("ledger", 0, Err(not)));
            return Ok((hops, None));
        }
    };
    let body = json!({"order": order});
    let attested = operator.ask("POST", "/operator/shadow/attest", Some(&body))?;
    let seen: Vec<Hop> = serde_json::from_value(attested["hops"].clone())
        .context("this version does not understand the instance's evidence")?;
    hops.extend(seen);
    if hops.iter().all(|hop| hop.proven) {
        buyer.run = run;
        let told = buyer.get("/v1/products?limit=1", true)?;
        if !buyer.is_acknowledged(&told) {
            let not = format!(
                "the run's own mark is answered {} unacknowledged",
                told.status
            );
            hops[0] = Hop::new("door", 2, Err(not));
        }
    }
    Ok((hops, Some(order)))
}

/// Good marks come back acknowledged, by either way; all others do not.
fn door(buyer: &Buyer) -> anyhow::Result<Result<String, String>> {
    let path = "/v1/products?limit=1";
    let both = buyer.get(path, true)?;
    if !buyer.is_acknowledged(&both) {
        let (status, code) = (both.status, buyer.code(&both));
        return Ok(Err(format!(
            "a marked request was answered {status}{code} without an acknowledgement: the mark was \
             lost on the way, or the door does not know this key"
        )));
    }
    let mark = buyer.mark(now_s() + MARK_S)?;
    let in_baggage = format!("seawall.mark={mark}");
    let nobody = Marks::of_key(&[0x5a; 32]);
    let forged = nobody.sign(&buyer.run, now_s() + MARK_S);
    let forged = forged.ok_or_else(|| anyhow!("no key"))?;
    let forged = forged.to_str()?.to_owned();
    let expired = buyer.mark(now_s().saturating_sub(1))?;
    let rows: [(&str, &str, &str, bool); 4] = [
        ("in baggage alone", "baggage", &in_baggage, true),
        ("in the fallback header alone", "seawall-mark", &mark, true),
        ("by a foreign key", "seawall-mark", &forged, false),
        ("that is over", "seawall-mark", &expired, false),
    ];
    for (what, name, value, wanted) in rows {
        let told = buyer.ask("GET", path, &[(name, value)], None)?;
        if buyer.is_acknowledged(&told) != wanted {
            let not = if wanted { "not " } else { "" };
            return Ok(Err(format!("a mark {what} was {not}acknowledged")));
        }
    }
    Ok(Ok(
        "marks in baggage and in the fallback header are acknowledged; forged and expired ones are \
         not"
        .to_owned(),
    ))
}

/// An account and a session that the real shop does not know.
fn shop(buyer: &mut Buyer) -> anyhow::Result<Result<String, String>> {
    let mut name = [0; 8];
    getrandom::fill(&mut name).map_err(|error| anyhow!("no randomness: {error}"))?;
    let name = format!("{:016x}", u64::from_le_bytes(name));
    let account = json!({
        "email": format!("canary-{name}@rehearsal.invalid"),
        "name": "Canary",
        "password": format!("canary {name}"),
    });
    let told = buyer.marked("POST", "/v1/accounts", &[], Some(&account))?;
    let session = value(&told)["session"].as_str().map(str::to_owned);
    if told.status != 201 || !buyer.is_acknowledged(&told) || session.is_none() {
        let code = buyer.code(&told);
        return Ok(Err(format!(
            "a marked account was answered {}{code}",
            told.status
        )));
    }
    buyer.session = session;
    let inside = buyer.get("/v1/orders", true)?;
    if inside.status != 200 || !buyer.is_acknowledged(&inside) {
        let code = buyer.code(&inside);
        return Ok(Err(format!(
            "its session was answered {}{code}",
            inside.status
        )));
    }
    let outside = buyer.get("/v1/orders", false)?;
    if outside.status != 401 {
        return Ok(Err(format!(
            "without a mark the same session is answered {}: the real shop knows it",
            outside.status
        )));
    }
    Ok(Ok(
        "a marked account has a session that the shop refuses without a mark".to_owned(),
    ))
}

/// One unit of whatever is on sale, paid.
fn purchase(buyer: &Buyer) -> anyhow::Result<Result<String, String>> {
    let listed = value(&buyer.get("/v1/products?limit=200", true)?);
    let listed = listed["products"].as_array().cloned().unwrap_or_default();
    let open = listed.iter().find(|product| product["state"] == "open");
    let Some(sku) = open.and_then(|product| product["sku"].as_str()) else {
        return Ok(Err(
            "nothing is on sale in the shadow: open it with --open-now".to_owned(),
        ));
    };
    let lines = json!({"lines": [{"sku": sku, "quantity": 1}]});
    let key = [("idempotency-key", "canary")];
    let told = buyer.marked("POST", "/v1/orders", &key, Some(&lines))?;
    let held = value(&told);
    let Some(order) = held["order"]
        .as_str()
        .filter(|_| buyer.is_acknowledged(&told))
    else {
        let code = buyer.code(&told);
        return Ok(Err(format!(
            "a marked order was answered {}{code}",
            told.status
        )));
    };
    let path = format!("/v1/orders/{order}");
    let amount = json!({"amount": held["total"]});
    for attempt in 0..PAYMENTS_MAX {
        let key = format!("canary-{attempt}");
        let key = [("idempotency-key", key.as_str())];
        let told = buyer.marked("POST", &format!("{path}/payment"), &key, Some(&amount))?;
        if told.status == 402 {
            continue;
        }
        for _ in 0..LOOKS_MAX {
            let seen = value(&buyer.get(&path, true)?);
            if seen["status"] == "paid" {
                return Ok(Ok(order.to_owned()));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    Ok(Err(format!("{order} could not be paid in the sandbox")))
}

/// Somebody whose requests are marked.
struct Buyer {
    target: Target,
    marks: Marks,
    run: RunId,
    session: Option<String>,
}

impl Buyer {
    fn mark(&self, until_s: u64) -> anyhow::Result<String> {
        let mark = self.marks.sign(&self.run, until_s);
        let mark = mark.ok_or_else(|| anyhow!("no key signs marks"))?;
        Ok(mark.to_str()?.to_owned())
    }

    fn get(&self, path: &str, marked: bool) -> anyhow::Result<Told> {
        match marked {
            true => self.marked("GET", path, &[], None),
            false => self.ask("GET", path, &[], None),
        }
    }

    fn marked(
        &self,
        method: &str,
        path: &str,
        more: &[(&str, &str)],
        body: Option<&Value>,
    ) -> anyhow::Result<Told> {
        let mark = self.mark(now_s() + MARK_S)?;
        let baggage = format!("seawall.mark={mark}");
        let mut headers = vec![("seawall-mark", mark.as_str()), ("baggage", &baggage)];
        headers.extend_from_slice(more);
        self.ask(method, path, &headers, body)
    }

    fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> anyhow::Result<Told> {
        let session = self.session.as_ref().map(|s| format!("Bearer {s}"));
        let mut headers = headers.to_vec();
        if let Some(session) = &session {
            headers.push(("authorization", session));
        }
        send(&Asking {
            target: &self.target,
            method,
            path,
            headers: &headers,
            body,
            within: ANSWER_WITHIN,
        })
    }

    fn is_acknowledged(&self, told: &Told) -> bool {
        let wanted = self.marks.acknowledgement(&self.run);
        let seen = told.header("seawall-shadow");
        wanted.is_some_and(|wanted| Some(wanted.as_bytes()) == seen.map(str::as_bytes))
    }

    fn code(&self, told: &Told) -> String {
        let said = value(told);
        let code = said["code"].as_str();
        code.map_or(String::new(), |code| format!(" {code}"))
    }
}

fn value(told: &Told) -> Value {
    serde_json::from_slice(&told.body).unwrap_or_default()
}

/// The key of a file, for whoever signs.
pub fn marks(file: &std::path::Path) -> anyhow::Result<Marks> {
    let settings = wire::gateway::listeners::Mark {
        key_files: vec![file.to_owned()],
        at: String::new(),
    };
    Marks::read(&settings).map_err(|error| anyhow!("the key of marks: {error}"))
}

fn now_s() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}
