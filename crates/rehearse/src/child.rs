//! The shop as a child process: started, asked whether it answers, killed, started again, drained.
//!
//! The rehearsal is only as good as its kill: SIGKILL, nothing else, and the same data and ports
//! afterwards. Whatever the child says of itself is used to know when to go on, never as proof.

use crate::limits;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How the shop is started.
#[derive(Clone, Debug)]
pub struct Recipe {
    pub seawall: PathBuf,
    pub config: PathBuf,
    pub campaign: PathBuf,
    pub data: PathBuf,
    /// Where the child writes its addresses, and where its words go.
    pub ports_file: PathBuf,
    pub log: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    #[error("{seawall} could not be started: {source}")]
    Start { seawall: PathBuf, source: io::Error },
    #[error("the shop ended by itself ({status}); its last words:\n{words}")]
    Ended { status: String, words: String },
    #[error("the shop did not answer within {seconds} s; its last words:\n{words}")]
    Silent { seconds: u64, words: String },
    #[error("the shop did not end within {seconds} s of SIGTERM")]
    Stuck { seconds: u64 },
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
    #[error("{file}: found {found:?}, expected {{\"listen\":\"IP:PORT\",\"admin\":\"IP:PORT\"}}")]
    Ports { file: PathBuf, found: String },
}

#[derive(Debug)]
pub struct Shop {
    recipe: Recipe,
    process: Option<Child>,
    pub listen: SocketAddr,
    pub admin: SocketAddr,
    /// Made by the shop at its first start.
    pub operator_token: String,
    /// From the start of the process to its first answer.
    pub took: Duration,
}

const ASK_EACH: Duration = Duration::from_millis(2);

impl Shop {
    /// Starts the shop on free ports and waits for its first answer.
    pub fn start(recipe: Recipe) -> Result<Shop, ChildError> {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut shop = Shop {
            recipe,
            process: None,
            listen: any,
            admin: any,
            operator_token: String::new(),
            took: Duration::ZERO,
        };
        shop.launch()?;
        let file = shop.recipe.data.join("operator.token");
        shop.operator_token = std::fs::read_to_string(&file)
            .map_err(|source| ChildError::Io {
                what: file.display().to_string(),
                source,
            })?
            .trim()
            .to_owned();
        Ok(shop)
    }

    /// While it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// Starts it again on the addresses and data that it had.
    pub fn restart(&mut self) -> Result<(), ChildError> {
        self.launch()
    }

    fn launch(&mut self) -> Result<(), ChildError> {
        let io = |what: &str| {
            let what = what.to_owned();
            move |source| ChildError::Io { what, source }
        };
        _ = std::fs::remove_file(&self.recipe.ports_file);
        let mut log = File::options();
        let log = log
            .create(true)
            .append(true)
            .open(&self.recipe.log)
            .map_err(io("the log"))?;
        let errors = log.try_clone().map_err(io("the log"))?;
        let started = Instant::now();
        let recipe = &self.recipe;
        let process = Command::new(&recipe.seawall)
            .arg("up")
            .arg("--config")
            .arg(&recipe.config)
            .arg("--campaign")
            .arg(&recipe.campaign)
            .arg("--data")
            .arg(&recipe.data)
            .args([
                "--listen",
                &self.listen.to_string(),
                "--admin",
                &self.admin.to_string(),
            ])
            .arg("--ports-file")
            .arg(&recipe.ports_file)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .map_err(|source| ChildError::Start {
                seawall: recipe.seawall.clone(),
                source,
            })?;
        self.process = Some(process);
        self.await_answer(started)?;
        self.took = started.elapsed();
        Ok(())
    }

    fn await_answer(&mut self, started: Instant) -> Result<(), ChildError> {
        let most = Duration::from_millis(limits::START_MS_MAX);
        while started.elapsed() < most {
            self.still_runs()?;
            if self.listen.port() == 0 {
                self.read_ports()?;
            }
            if self.listen.port() != 0 && matches!(get(self.listen, "/", None), Ok((200, _))) {
                // The addresses are known by now, or the file is written in a moment.
                if self.admin.port() != 0 {
                    return Ok(());
                }
                self.read_ports()?;
            }
            std::thread::sleep(ASK_EACH);
        }
        Err(ChildError::Silent {
            seconds: most.as_secs(),
            words: self.last_words(),
        })
    }

    fn still_runs(&mut self) -> Result<(), ChildError> {
        let Some(process) = self.process.as_mut() else {
            return Ok(());
        };
        let status = process.try_wait().map_err(|source| ChildError::Io {
            what: "asking for the shop's state".to_owned(),
            source,
        })?;
        match status {
            None => Ok(()),
            Some(status) => {
                self.process = None;
                let words = self.last_words();
                Err(ChildError::Ended {
                    status: status.to_string(),
                    words,
                })
            }
        }
    }

    fn read_ports(&mut self) -> Result<(), ChildError> {
        let Ok(text) = std::fs::read_to_string(&self.recipe.ports_file) else {
            return Ok(());
        };
        let Ok(ports) = serde_json::from_str::<serde_json::Value>(&text) else {
            // Half written; it is read again.
            return Ok(());
        };
        let address = |key: &str| ports.get(key)?.as_str()?.parse::<SocketAddr>().ok();
        let listen = ["listen", "shop", "http"].into_iter().find_map(address);
        match (listen, address("admin")) {
            (Some(listen), Some(admin)) => {
                (self.listen, self.admin) = (listen, admin);
                Ok(())
            }
            _ => Err(ChildError::Ports {
                file: self.recipe.ports_file.clone(),
                found: text,
            }),
        }
    }

    /// SIGKILL. When this returns the process is gone.
    pub fn kill(&mut self) -> Result<(), ChildError> {
        let Some(mut process) = self.process.take() else {
            return Ok(());
        };
        let gone = process.kill().and_then(|()| process.wait());
        gone.map(|_| ()).map_err(|source| ChildError::Io {
            what: "SIGKILL".to_owned(),
            source,
        })
    }

    /// SIGTERM, then waits for the shop to end by itself.
    pub fn drain(&mut self) -> Result<(), ChildError> {
        let io = |source| ChildError::Io {
            what: "SIGTERM".to_owned(),
            source,
        };
        let Some(mut process) = self.process.take() else {
            return Err(io(io::Error::other("the shop is not running")));
        };
        let pid = i32::try_from(process.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            kill_process(pid, Signal::TERM).map_err(|error| io(error.into()))?;
        }
        let asked = Instant::now();
        let most = Duration::from_millis(limits::DRAIN_MS_MAX);
        while asked.elapsed() < most {
            if let Some(status) = process.try_wait().map_err(io)? {
                let (status, words) = (status, self.last_words());
                return match status.success() {
                    true => Ok(()),
                    false => Err(ChildError::Ended {
                        status: status.to_string(),
                        words,
                    }),
                };
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.process = Some(process);
        Err(ChildError::Stuck {
            seconds: most.as_secs(),
        })
    }

    /// Waits until no unit is held and no payment is open any more, by the operator's books.
    /// `false` when time ran out. A shop that lies here is found out by the audit of its journal.
    pub fn settle(&mut self) -> Result<bool, ChildError> {
        let asked = Instant::now();
        let most = Duration::from_millis(limits::SETTLE_MS_MAX);
        while asked.elapsed() < most {
            self.still_runs()?;
            let token = Some(self.operator_token.as_str());
            if let Ok((200, body)) = get(self.admin, "/operator/books", token)
                && let Ok(books) = serde_json::from_slice::<serde_json::Value>(&body)
                && held_units(&books) == Some(0)
                && books.get("payments_open").is_none_or(|open| open == 0)
            {
                return Ok(true);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(false)
    }

    fn last_words(&self) -> String {
        let text = std::fs::read(&self.recipe.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let lines: Vec<&str> = text.lines().rev().take(12).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        // A rehearsal that fails half-way leaves no shop behind; nobody is left to be told.
        _ = self.kill();
    }
}

/// All units held, wherever the answer has a number called `held`; `None` if it has none.
fn held_units(books: &serde_json::Value) -> Option<u64> {
    match books {
        serde_json::Value::Object(fields) => {
            let own = fields.get("held").and_then(serde_json::Value::as_u64);
            own.or_else(|| fields.values().filter_map(held_units).reduce(|a, b| a + b))
        }
        serde_json::Value::Array(items) => items.iter().filter_map(held_units).reduce(|a, b| a + b),
        _ => None,
    }
}

/// One plain request on its own connection: status and body.
pub fn get(address: SocketAddr, path: &str, token: Option<&str>) -> io::Result<(u16, Vec<u8>)> {
    let second = Duration::from_secs(1);
    let mut stream = TcpStream::connect_timeout(&address, second)?;
    stream.set_read_timeout(Some(second * 5))?;
    let authorization = token
        .map(|token| format!("Authorization: Bearer {token}\r\n"))
        .unwrap_or_default();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\n{authorization}Connection: close\r\n\r\n"
    )?;
    let mut input = Vec::new();
    stream
        .take(limits::ANSWER_BYTES_MAX as u64)
        .read_to_end(&mut input)?;
    crate::client::whole(&input)
        .map(|answer| (answer.status, answer.body))
        .ok_or_else(|| io::Error::other("no whole HTTP answer"))
}

/// The file at `path`, written whole.
pub fn write(path: &Path, text: &str) -> Result<(), ChildError> {
    let what = || format!("writing {}", path.display());
    std::fs::write(path, text).map_err(|source| ChildError::Io {
        what: what(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_units_are_found_in_any_shape_of_books() {
        let rows = [
            (
                r#"{"skus":[{"sku":"A","held":2},{"sku":"B","held":3}]}"#,
                Some(5),
            ),
            (r#"{"held":7,"skus":[{"held":2}]}"#, Some(7)),
            (r#"{"skus":{"A":{"held":0}}}"#, Some(0)),
            (r#"{"skus":[]}"#, None),
        ];
        for (text, expected) in rows {
            assert_eq!(
                held_units(&serde_json::from_str(text).unwrap()),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn a_shop_that_cannot_start_says_so_with_its_last_words() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let script = at("seawall");
        std::fs::write(&script, "#!/bin/sh\necho port in use >&2\nexit 1\n").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&script, mode).unwrap();
        let recipe = Recipe {
            seawall: script,
            config: at("config"),
            campaign: at("campaign"),
            data: at("data"),
            ports_file: at("ports"),
            log: at("log"),
        };
        let error = Shop::start(recipe).map(|_| ()).unwrap_err().to_string();
        assert!(
            error.contains("exit status: 1") && error.contains("port in use"),
            "{error}"
        );
    }
}
