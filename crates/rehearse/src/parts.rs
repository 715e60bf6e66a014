//! The parts of a shop's rehearsal that faults are about: the shop itself, and a bank of its own
//! behind a fault proxy.
//!
//! A shop that does not come back ends the rehearsal; a bank that does not leaves no verdict.

use crate::child::{ChildError, Shop};
use crate::drill::Processes;
use crate::drill::process::{Group, Process, Recipe};
use crate::drill::proxy::{Proxies, Wanted};
use crate::measure::Shared;
use crate::run::{Failed, Kill, Stage, since};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;
use wire::rehearsal::{BANK, SHOP};

/// A bank of its own behind a fault proxy.
pub(crate) struct Bank {
    /// The proxy's address, which the shop is told.
    pub(crate) address: SocketAddr,
    pub(crate) group: Group,
    pub(crate) proxies: Option<Proxies>,
    pub(crate) ledger: PathBuf,
}

impl Bank {
    /// `None`: the shop's payments stay in its own process.
    pub(crate) fn start(stage: &Stage, seawall: &Path) -> Result<Option<Bank>, Failed> {
        let Some(protocol) = stage.drill.as_ref().and_then(|drill| drill.bank) else {
            return Ok(None);
        };
        let ledger = stage.folder.join("bank/sandbox.jsonl");
        let found = std::net::TcpListener::bind(("127.0.0.1", 0));
        let upstream = found.and_then(|found| found.local_addr());
        let upstream = upstream.map_err(Failed::Generator)?;
        let words = [
            seawall.to_string_lossy().into_owned(),
            "bank".to_owned(),
            "--listen".to_owned(),
            upstream.to_string(),
            "--ledger".to_owned(),
            ledger.to_string_lossy().into_owned(),
        ];
        let recipe = Recipe {
            name: BANK.to_owned(),
            command: words
                .into_iter()
                .chain(crate::config::bank_words())
                .collect(),
            env: Vec::new(),
            folder: stage.folder.clone(),
            ready: format!("http://{upstream}/healthz"),
            log: stage.folder.join("bank.log"),
        };
        let process = Process::start(recipe).map_err(Failed::Drill)?;
        let wanted = Wanted {
            name: BANK.to_owned(),
            protocol,
            upstream,
            listen: None,
        };
        let proxies = Proxies::start(seawall, &[wanted]).map_err(Failed::Drill)?;
        let address = proxies.address(BANK);
        let address = address.ok_or_else(|| Failed::Drill("no proxy stands".to_owned()))?;
        Ok(Some(Bank {
            address,
            group: Group(vec![process]),
            proxies: Some(proxies),
            ledger,
        }))
    }
}

/// The parts of a shop's rehearsal that faults are about.
pub(crate) struct Parts<'a> {
    pub(crate) shop: &'a mut Shop,
    pub(crate) bank: Option<&'a mut Group>,
    pub(crate) shared: &'a Shared,
    pub(crate) start: Instant,
    pub(crate) kills: Vec<Kill>,
    pub(crate) killed_us: u64,
    /// The shop did not come back: nothing can be rehearsed any more.
    pub(crate) failed: Option<ChildError>,
}

impl Parts<'_> {
    fn now_us(&self) -> u64 {
        since(self.start)
    }
    fn elsewhere(&mut self) -> Result<&mut Group, String> {
        let group = self.bank.as_deref_mut();
        group.ok_or_else(|| "there is no bank of its own".to_owned())
    }
    fn note<T>(&mut self, done: Result<T, ChildError>) -> Result<T, String> {
        done.map_err(|error| {
            let said = error.to_string();
            self.failed = Some(error);
            said
        })
    }
}

impl Processes for Parts<'_> {
    fn pid(&self, name: &str) -> Option<u32> {
        match name {
            SHOP => self.shop.pid(),
            _ => self.bank.as_ref()?.pid(name),
        }
    }
    fn kill(&mut self, name: &str) -> Result<(), String> {
        if name != SHOP {
            return self.elsewhere()?.kill(name);
        }
        self.killed_us = self.now_us();
        self.shared.killed(self.killed_us);
        let done = self.shop.kill();
        self.note(done)
    }
    fn start(&mut self, name: &str) -> Result<(), String> {
        if name != SHOP {
            return self.elsewhere()?.start(name);
        }
        let done = self.shop.restart();
        self.note(done)?;
        let back_us = self.now_us();
        self.shared.back(back_us);
        self.kills.push(Kill {
            killed_us: self.killed_us,
            back_us,
            restart: self.shop.took,
        });
        Ok(())
    }
}
