//! `seawall queue verify`: whether a ticket was drawn as promised, from files alone. It asks no
//! server, so nobody need believe the one that made them.

use ::gateway::room::proof::{self, Noted, Proof, Transcript, Unreadable};
use anyhow::{Context, anyhow};
use host::Exit;
use serde_json::json;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Bytes of a file that is read: the longest list, 33 a buyer.
const FILE_BYTES_MAX: u64 = 33 * 4_000_000;
/// Characters of a code that is pasted instead of a file name.
const CODE_CHARS_MIN: usize = 100;

#[derive(Debug, clap::Subcommand)]
pub enum What {
    /// Check a ticket of a draw against its published transcript.
    ///
    /// Exit 0: all holds; 99: something does not; 2: the secret is not revealed yet.
    ///
    /// Example: seawall queue verify ticket.json --transcript draw.json --list list.txt
    Verify(Verify),
}

#[derive(Debug, clap::Args)]
pub struct Verify {
    /// The ticket: a file, `-` for stdin, or the code from the page.
    ticket: String,
    /// The public record of the draw: /.seawall/room/{room}/draw
    #[arg(long)]
    transcript: PathBuf,
    /// The whole list: then the rank is checked exactly. /.seawall/room/{room}/draw/list, all
    /// pages.
    #[arg(long)]
    list: Option<PathBuf>,
    /// The commitment as you wrote it down before registration.
    #[arg(long, value_parser = hash)]
    commitment: Option<proof::Digest>,
    /// The root as you wrote it down before the secret was revealed.
    #[arg(long, value_parser = hash)]
    root: Option<proof::Digest>,
    /// Report as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(what: &What) -> anyhow::Result<ExitCode> {
    let What::Verify(args) = what;
    match read_all(args) {
        Ok((ticket, transcript, list)) => Ok(judge(args, &ticket, &transcript, list)),
        Err(error) => {
            if args.json {
                println!(
                    "{}",
                    json!({"verdict": "usage", "problem": format!("{error:#}")})
                );
            }
            eprintln!("seawall: {error:#}");
            Ok(Exit::Usage.into())
        }
    }
}

type Input = (Proof, Transcript, Option<Vec<proof::Buyer>>);

fn read_all(args: &Verify) -> anyhow::Result<Input> {
    let is_code = args.ticket.len() >= CODE_CHARS_MIN && !Path::new(&args.ticket).exists();
    let ticket = match args.ticket.as_str() {
        "-" => read(std::io::stdin(), "stdin")?,
        code if is_code => code.to_owned(),
        path => read_file(Path::new(path))?,
    };
    let ticket = Proof::parse(&ticket)?;
    let path = &args.transcript;
    let found = |error: Unreadable, path: &Path| anyhow!("{}: {error}", path.display());
    let transcript = Transcript::parse(&read_file(path)?).map_err(|error| found(error, path))?;
    let list = match &args.list {
        None => None,
        Some(path) => {
            let list = proof::parse_list(&read_file(path)?);
            Some(list.map_err(|error| found(error, path))?)
        }
    };
    Ok((ticket, transcript, list))
}

fn judge(
    args: &Verify,
    ticket: &Proof,
    transcript: &Transcript,
    list: Option<Vec<proof::Buyer>>,
) -> ExitCode {
    let noted = Noted {
        commitment: args.commitment.map(|noted| noted.0),
        root: args.root.map(|noted| noted.0),
    };
    let is_whole = list.is_some();
    let Some(checks) = proof::verify(ticket, transcript, list, &noted) else {
        if args.json {
            println!(
                "{}",
                json!({"verdict": "none", "problem": "the secret is not revealed"})
            );
        } else {
            println!("no verdict: the secret of this draw is not revealed yet");
        }
        return Exit::NoVerdict.into();
    };
    let good = checks.iter().all(|check| check.good);
    if args.json {
        let verdict = if good { "good" } else { "bad" };
        let report = json!({
            "verdict": verdict, "rank": ticket.rank, "rank_checked": is_whole, "checks": checks,
        });
        println!("{report}");
    } else {
        for check in &checks {
            let mark = if check.good { "good" } else { "BAD " };
            println!("{mark}  {}: {}", check.name, check.what);
        }
        if !is_whole {
            println!("      the rank was not counted: give --list for that");
        }
        println!(
            "{}",
            if good {
                "the draw was fair to this ticket"
            } else {
                "this does not hold"
            }
        );
    }
    if good {
        Exit::Good.into()
    } else {
        Exit::Bad.into()
    }
}

fn read_file(path: &Path) -> anyhow::Result<String> {
    let file = std::fs::File::open(path).with_context(|| path.display().to_string())?;
    read(file, &path.display().to_string())
}

fn read(from: impl Read, name: &str) -> anyhow::Result<String> {
    let mut text = String::new();
    let mut from = from.take(FILE_BYTES_MAX + 1);
    let read = from
        .read_to_string(&mut text)
        .with_context(|| name.to_owned())?;
    if read as u64 > FILE_BYTES_MAX {
        return Err(anyhow!("{name}: more than {FILE_BYTES_MAX} bytes"));
    }
    Ok(text)
}

fn hash(text: &str) -> Result<proof::Digest, String> {
    let hash = proof::hash_of(text).ok_or("expected 64 hexadecimal digits")?;
    Ok(proof::Digest(hash))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::gateway::room::draw::{List, Run, Urn};
    use clap::Parser;
    use std::fs;
    use std::process::Termination;

    #[derive(Parser)]
    struct Cli {
        #[command(subcommand)]
        what: What,
    }

    /// A draw of ten in a folder; the exit code of a check there.
    struct Draw {
        folder: tempfile::TempDir,
    }

    impl Draw {
        fn new() -> Draw {
            let run = Run {
                room: "main".to_owned(),
                t0_s: 1_000,
            };
            let urn = Urn::new(&[3; 32]);
            let buyers = (1..=10).map(|n| proof::Buyer(n << 100)).collect();
            let list = List::close(buyers, &urn);
            let ticket = Proof::new(&run, proof::Buyer(4 << 100), &list, &urn).unwrap();
            let transcript = json!({
                "algorithm": proof::ALGORITHM, "room": "main", "t0": 1_000, "committed_at": 5,
                "commitment": proof::hex(&run.commitment(&[3; 32])),
                "closed": {"root": proof::hex(&list.root()), "count": 10, "at": 1_000},
                "revealed": {"secret": proof::hex(&[3; 32]), "at": 1_060},
            });
            let names: Vec<_> = list
                .buyers()
                .iter()
                .map(|b| proof::buyer_hex(*b) + "\n")
                .collect();
            let draw = Draw {
                folder: tempfile::tempdir().unwrap(),
            };
            draw.put("ticket", &serde_json::to_string(&ticket).unwrap());
            draw.put("code", &ticket.code());
            draw.put("transcript", &transcript.to_string());
            draw.put("list", &names.concat());
            draw
        }
        fn path(&self, name: &str) -> String {
            self.folder.path().join(name).display().to_string()
        }
        fn put(&self, name: &str, text: &str) {
            fs::write(self.path(name), text).unwrap();
        }
        fn change(&self, name: &str, from: &str, to: &str) {
            let text = fs::read_to_string(self.path(name)).unwrap();
            assert!(text.contains(from), "{text}");
            self.put(name, &text.replacen(from, to, 1));
        }
        fn verify(&self, ticket: &str, more: &[&str]) -> ExitCode {
            let transcript = self.path("transcript");
            let args = ["seawall", "verify", ticket, "--transcript", &transcript];
            let cli = Cli::try_parse_from(args.iter().chain(more)).unwrap();
            run(&cli.what).unwrap()
        }
        #[track_caller]
        fn expect(&self, exit: Exit, more: &[&str]) {
            assert_eq!(self.verify(&self.path("ticket"), more), exit.report());
        }
    }

    #[test]
    fn a_fair_draw_is_good_from_file_and_code_with_and_without_list() {
        let draw = Draw::new();
        draw.expect(Exit::Good, &[]);
        draw.expect(Exit::Good, &["--list", &draw.path("list"), "--json"]);
        let code = fs::read_to_string(draw.path("code")).unwrap();
        assert_eq!(draw.verify(&code, &[]), Exit::Good.report());
    }

    #[test]
    fn manipulations_are_bad() {
        let draw = Draw::new();
        draw.change("transcript", "\"secret\":\"03", "\"secret\":\"04");
        draw.expect(Exit::Bad, &[]);
        let draw = Draw::new();
        let ticket = fs::read_to_string(draw.path("ticket")).unwrap();
        let rank = serde_json::from_str::<Proof>(&ticket).unwrap().rank;
        let (from, to) = (
            format!("\"rank\":{rank}"),
            format!("\"rank\":{}", (rank + 1) % 10),
        );
        draw.change("ticket", &from, &to);
        draw.expect(Exit::Bad, &["--list", &draw.path("list")]);
        let draw = Draw::new();
        draw.change("list", "000000a0", "000000b0");
        draw.expect(Exit::Bad, &["--list", &draw.path("list")]);
        let draw = Draw::new();
        draw.expect(Exit::Bad, &["--root", &"0".repeat(64)]);
        draw.expect(Exit::Bad, &["--commitment", &"0".repeat(64), "--json"]);
    }

    #[test]
    fn no_secret_no_verdict_and_bad_files_are_usage() {
        let draw = Draw::new();
        draw.expect(Exit::Usage, &["--list", &draw.path("ticket")]);
        draw.expect(Exit::Usage, &["--list", &draw.path("nothing"), "--json"]);
        assert_eq!(draw.verify(&draw.path("list"), &[]), Exit::Usage.report());
        assert_eq!(draw.verify("nothing", &[]), Exit::Usage.report());
        draw.change("transcript", "\"revealed\"", "\"x\"");
        draw.expect(Exit::Usage, &[]);
        let draw = Draw::new();
        let text = fs::read_to_string(draw.path("transcript")).unwrap();
        let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
        json.as_object_mut().unwrap().remove("revealed");
        draw.put("transcript", &json.to_string());
        draw.expect(Exit::NoVerdict, &[]);
        draw.expect(Exit::NoVerdict, &["--json"]);
    }
}
