//! The thread on which instances talk: `chitchat` carries the values, once a round they are read
//! and written. If the gossip ends, loans run out by themselves and it is begun again.

use super::note::Seal;
use super::round::{PREFIX, Rounds};
use crate::door::{Door, DoorError};
use crate::limits::{
    GOSSIP_AGAIN_MS, GOSSIP_FORGET_S, GOSSIP_INSTANCES_MAX, GOSSIP_MS, SHARE_ROUND_MS,
};
use chitchat::transport::UdpTransport;
use chitchat::{
    Chitchat, ChitchatConfig, ChitchatHandle, ChitchatId, FailureDetectorConfig, ProtocolVersion,
    spawn_chitchat,
};
use guard::Lost;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::MissedTickBehavior;
use wire::gateway::cluster::{Cluster, Lost as Written};

/// Begins to talk, and ends when the door is no longer there.
pub(crate) fn start(door: &Arc<Door>, written: &Cluster) -> Result<(), DoorError> {
    let failed = |problem: String| DoorError::File {
        file: written.key_file.clone(),
        problem,
    };
    let secret = std::fs::read(&written.key_file).map_err(|error| failed(error.to_string()))?;
    let mut me = [0; 8];
    getrandom::fill(&mut me).map_err(|error| failed(error.to_string()))?;
    let me = u64::from_le_bytes(me);
    let lost = match written.lost {
        Written::Reuse => Lost::Reuse,
        Written::Reserve => Lost::Reserve,
    };
    let seal = Seal::new(secret.trim_ascii(), &written.name);
    let mut talk = Talk {
        door: Arc::downgrade(door),
        written: written.clone(),
        me,
        rounds: Rounds::new(me, lost, seal),
        seen: BTreeMap::new(),
    };
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().map_err(DoorError::Thread)?;
    let (began, begins) = sync_channel(1);
    std::thread::Builder::new()
        .name("cluster".to_owned())
        .spawn(move || runtime.block_on(talk.run(began)))
        .map_err(DoorError::Thread)?;
    let began = begins.recv().unwrap_or_else(|_| Err("it ended".to_owned()));
    began.map_err(DoorError::Cluster)
}

struct Talk {
    door: Weak<Door>,
    written: Cluster,
    me: guard::Instance,
    rounds: Rounds,
    /// The versions of values that were looked at.
    seen: BTreeMap<(ChitchatId, String), u64>,
}

impl Talk {
    async fn run(&mut self, began: SyncSender<Result<(), String>>) {
        let mut began = Some(began);
        loop {
            let gossip = match self.open().await {
                Ok(gossip) => Some(gossip),
                Err(error) => {
                    if let Some(began) = began.take() {
                        // Whoever starts the door is waiting for it.
                        let _ = began.send(Err(error));
                        return;
                    }
                    tracing::error!(error, "no gossip with other instances, trying again");
                    None
                }
            };
            if let Some(began) = began.take() {
                let _ = began.send(Ok(()));
            }
            if !self.rounds(gossip.as_ref()).await {
                return;
            }
        }
    }

    async fn open(&self) -> Result<ChitchatHandle, String> {
        let written = &self.written;
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let name = written.instance.as_deref().unwrap_or("door");
        let address = written.advertise.unwrap_or(written.listen);
        let forget = Duration::from_secs(GOSSIP_FORGET_S);
        let config = ChitchatConfig {
            chitchat_id: ChitchatId::new(
                format!("{name}-{:016x}", self.me),
                since.map_or(0, |since| since.as_millis() as u64),
                address,
            ),
            cluster_id: written.name.clone(),
            gossip_interval: Duration::from_millis(GOSSIP_MS),
            listen_addr: written.listen,
            seed_nodes: written.seeds.clone(),
            failure_detector_config: FailureDetectorConfig {
                initial_interval: Duration::from_millis(GOSSIP_MS * 5),
                dead_node_grace_period: forget,
                ..FailureDetectorConfig::default()
            },
            marked_for_deletion_grace_period: forget,
            catchup_callback: None,
            extra_liveness_predicate: None,
            protocol_version: ProtocolVersion::V0,
        };
        let opened = spawn_chitchat(config, Vec::new(), &UdpTransport).await;
        opened.map_err(|error| format!("{}: {error:#}", written.listen))
    }

    /// Until the gossip ends; false if the door did. Without gossip, for a while.
    async fn rounds(&mut self, gossip: Option<&ChitchatHandle>) -> bool {
        let mut ticks = tokio::time::interval(Duration::from_millis(SHARE_ROUND_MS));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let ended = async {
            match gossip {
                Some(gossip) => drop(gossip.termination_watcher().await),
                None => tokio::time::sleep(Duration::from_millis(GOSSIP_AGAIN_MS)).await,
            }
        };
        tokio::pin!(ended);
        loop {
            tokio::select! {
                () = &mut ended => return true,
                _ = ticks.tick() => {}
            }
            let Some(door) = self.door.upgrade() else {
                return false;
            };
            let values = match gossip {
                Some(gossip) => gossip.with_chitchat(|gossip| self.news(gossip)).await,
                None => Vec::new(),
            };
            let told = self.round(&door, &values);
            if let Some(gossip) = gossip {
                gossip.with_chitchat(|gossip| tell(gossip, &told)).await;
            }
        }
    }

    /// Values that were not there in the round before.
    fn news(&mut self, gossip: &mut Chitchat) -> Vec<(String, String)> {
        let before = std::mem::take(&mut self.seen);
        let mut news = Vec::new();
        let others = gossip.node_states().iter().take(GOSSIP_INSTANCES_MAX);
        for (id, state) in others.filter(|(id, _)| *id != gossip.self_chitchat_id()) {
            let most = crate::limits::SHARED_RULES_MAX;
            for (key, value) in state.iter_prefix(PREFIX).take(most) {
                let place = (id.clone(), key.to_owned());
                if before.get(&place) != Some(&value.version) {
                    news.push((key.to_owned(), value.value.clone()));
                }
                self.seen.insert(place, value.version);
            }
        }
        news
    }

    /// What is told afterwards is in force.
    fn round(&mut self, door: &Door, values: &[(String, String)]) -> Vec<(String, String)> {
        let counts = door.cluster_counts();
        let now = door.clocks().now();
        for (key, value) in values {
            if !self.rounds.receive(key, value, now) {
                counts.rejected.fetch_add(1, Ordering::Relaxed);
            }
        }
        let told = self.rounds.tick(door.shared_budgets(), now);
        door.grant(&told);
        let members = self.rounds.members(now) as u64;
        counts.members.store(members, Ordering::Relaxed);
        told.into_iter()
            .map(|told| (told.key, told.value))
            .collect()
    }
}

/// Replaces what this instance said before; rules that are gone are no longer talked about.
fn tell(gossip: &mut Chitchat, told: &[(String, String)]) {
    let state = gossip.self_node_state();
    let gone = state.iter_prefix(PREFIX).map(|(key, _)| key.to_owned());
    let gone: Vec<String> = gone
        .filter(|key| told.iter().all(|(told, _)| told != key))
        .collect();
    gone.iter().for_each(|key| state.delete(key));
    for (key, value) in told {
        state.set(key, value);
    }
}
