//! Processes that the runner starts beside the shop: services of one's own, and the bank.
//!
//! They are known by name, killed with SIGKILL, started again as they were, and ended with the run.

use super::Processes;
use crate::limits::{DRAIN_MS_MAX, READY_ASK_MS, START_MS_MAX};
use load::Target;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How a process is started, with all placeholders filled.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    pub(crate) name: String,
    /// Empty: somebody else runs it.
    pub(crate) command: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) folder: PathBuf,
    /// Answers with 200 to 399 once it is ready.
    pub(crate) ready: String,
    pub(crate) log: PathBuf,
}

#[derive(Debug)]
pub(crate) struct Process {
    recipe: Recipe,
    child: Option<Child>,
}

impl Process {
    /// Starts it, or finds it running; returns when it is ready.
    pub(crate) fn start(recipe: Recipe) -> Result<Process, String> {
        let mut process = Process {
            recipe,
            child: None,
        };
        process.launch()?;
        Ok(process)
    }

    pub(crate) fn name(&self) -> &str {
        &self.recipe.name
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    fn launch(&mut self) -> Result<(), String> {
        let recipe = &self.recipe;
        if let [program, words @ ..] = recipe.command.as_slice() {
            let at = |error: std::io::Error| format!("{}: {program}: {error}", recipe.name);
            let mut log = File::options();
            let log = log
                .create(true)
                .append(true)
                .open(&recipe.log)
                .map_err(at)?;
            let errors = log.try_clone().map_err(at)?;
            let child = Command::new(program)
                .args(words)
                .envs(recipe.env.iter().map(|(name, value)| (name, value)))
                .current_dir(&recipe.folder)
                .stdin(Stdio::null())
                .stdout(log)
                .stderr(errors)
                .spawn();
            self.child = Some(child.map_err(at)?);
        }
        self.await_ready()
    }

    fn await_ready(&mut self) -> Result<(), String> {
        let ready = self.recipe.ready.clone();
        let (target, path) = split(&ready)?;
        let asked = Instant::now();
        let (most, each) = (
            Duration::from_millis(START_MS_MAX),
            Duration::from_millis(READY_ASK_MS),
        );
        let mut last = String::new();
        while asked.elapsed() < most {
            if let Some(status) = self.ended() {
                let (name, words) = (&self.recipe.name, last_words(&self.recipe.log));
                return Err(format!(
                    "{name} ended by itself ({status}); its last words:\n{words}"
                ));
            }
            match target.get(path, Duration::from_secs(1)) {
                Ok((status, _)) if (200..400).contains(&status.as_u16()) => return Ok(()),
                Ok((status, _)) => last = status.to_string(),
                Err(why) => last = why,
            }
            std::thread::sleep(each);
        }
        let (name, seconds) = (&self.recipe.name, most.as_secs());
        Err(format!("{name} was not ready within {seconds} s: {last}"))
    }

    /// How it ended, if it did without being told to.
    pub(crate) fn ended(&mut self) -> Option<String> {
        let status = self.child.as_mut()?.try_wait().ok()??;
        self.child = None;
        Some(status.to_string())
    }

    pub(crate) fn kill(&mut self) -> Result<(), String> {
        let Some(mut child) = self.child.take() else {
            return Err("it is not running".to_owned());
        };
        let gone = child.kill().and_then(|()| child.wait());
        gone.map(|_| ()).map_err(|error| error.to_string())
    }

    pub(crate) fn again(&mut self) -> Result<(), String> {
        self.launch()
    }

    /// SIGTERM, and SIGKILL for who does not listen.
    pub(crate) fn stop(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let told = pid.is_some_and(|pid| kill_process(pid, Signal::TERM).is_ok());
        let asked = Instant::now();
        while told && asked.elapsed() < Duration::from_millis(DRAIN_MS_MAX / 6) {
            if !matches!(child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(READY_ASK_MS));
        }
        _ = child.kill();
        _ = child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Scheme, host and port as a target, and the path.
fn split(url: &str) -> Result<(Target, &str), String> {
    let host = url.find("://").map_or(0, |at| at + 3);
    let path = url[host..].find('/').map_or(url.len(), |at| host + at);
    let roots = match url.starts_with("https://") {
        true => Some(load::tls(None).map_err(|error| error.to_string())?),
        false => None,
    };
    let target = Target::new(&url[..path], roots).map_err(|error| error.to_string())?;
    let path = if path == url.len() { "/" } else { &url[path..] };
    Ok((target, path))
}

fn last_words(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let lines: Vec<&str> = text.lines().rev().take(12).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

/// All that a run has started.
#[derive(Debug, Default)]
pub(crate) struct Group(pub(crate) Vec<Process>);

impl Group {
    fn named(&mut self, name: &str) -> Result<&mut Process, String> {
        let mut all = self.0.iter_mut();
        let found = all.find(|process| process.name() == name);
        found.ok_or_else(|| format!("there is no process {name}"))
    }

    /// Who ended by itself, and how.
    pub(crate) fn ended(&mut self) -> Option<String> {
        self.0.iter_mut().find_map(|process| {
            let status = process.ended()?;
            Some(format!("{} ended by itself ({status})", process.name()))
        })
    }
}

impl Processes for Group {
    fn pid(&self, name: &str) -> Option<u32> {
        self.0.iter().find(|process| process.name() == name)?.pid()
    }
    fn kill(&mut self, name: &str) -> Result<(), String> {
        self.named(name)?.kill()
    }
    fn start(&mut self, name: &str) -> Result<(), String> {
        self.named(name)?.again()
    }
}
