//! How instances of the door find each other, to share the budgets of rules with scope cluster.

use super::limits::SEED_NAMES_MAX;
use super::scalar::{FILE, Kind, NAME, list};
use super::shape::{Need, Shape, mapping, words};
use std::net::SocketAddr;
use std::path::PathBuf;

const PEER: Shape = Shape::Scalar(Kind::Peer);
const SOCKET: Shape = Shape::Scalar(Kind::Socket);

words! {
    /// Whether others use the part of a budget that belongs to an instance they no longer hear.
    pub enum Lost { Reuse "reuse", Reserve "reserve", }
}

mapping! {
    /// The instances that share budgets.
    pub struct Cluster {
        /// Its name; instances talk only to others of the same cluster.
        name: String = NAME, Need::Required;
        /// Address and UDP port on which instances talk; keep it away from the public.
        listen: SocketAddr = SOCKET, Need::Or("127.0.0.1:9902");
        /// Where others reach this instance; `listen` where this is absent.
        advertise: Option<SocketAddr> = SOCKET, Need::Optional;
        /// Instances that are asked for the others; some that are mostly there are enough.
        seeds: Vec<String> = list(&PEER, SEED_NAMES_MAX), Need::Optional;
        /// The instance's name in the others' logs.
        instance: Option<String> = NAME, Need::Optional;
        /// The secret that all of them share: at least 32 bytes.
        key_file: PathBuf = FILE, Need::Required;
        /// Whether others use the part of an instance that they no longer hear.
        lost: Lost = Lost::SHAPE, Need::Or("reuse");
    }
}
