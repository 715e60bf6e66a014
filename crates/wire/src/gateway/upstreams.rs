//! What stands behind the door, and the rooms in which people wait before it.

use super::limits::{PEER_NAMES_MAX, ROOM_SEATS_SLOTS_MAX};
use super::scalar::{
    FILE, FLAG, HOST, INSTANT, Instant, Kind, NAME, PATH, RATE, Rate, SHARE, list, span, whole,
};
use super::shape::{Need, Shape, mapping, words};
use std::path::PathBuf;
use std::time::Duration;

const HOURS: u64 = 3_600_000;
const PEER: Shape = Shape::Scalar(Kind::Peer);

words! {
    /// How peers are spoken to.
    pub enum Protocol { Http1 "http1", Http2 "http2", }
}

mapping! {
    /// A pool of peers that answer the same.
    pub struct Upstream {
        /// Its name in routes and metrics.
        name: String = NAME, Need::Required;
        /// Its peers.
        peers: Vec<Peer> = list(&Peer::ITEM, PEER_NAMES_MAX), Need::Required;
        /// How peers are spoken to.
        protocol: Protocol = Protocol::SHAPE, Need::Or("http1");
        /// TLS towards the peers; plain where this is absent.
        tls: Option<UpstreamTls> = UpstreamTls::ITEM, Need::Optional;
        /// Asking peers whether they are well; not where this is absent.
        health: Option<Health> = Health::ITEM, Need::Optional;
        /// Leaving out peers whose requests fail.
        outliers: Outliers = Outliers::ITEM, Need::Optional;
        /// How long a peer that came back gets less.
        slow_start: Duration = span(0, HOURS), Need::Or("0s");
        /// Times at each stage.
        timeouts: UpstreamTimeouts = UpstreamTimeouts::ITEM, Need::Optional;
        /// Connections.
        connections: Connections = Connections::ITEM, Need::Optional;
        /// How often names are looked up again.
        resolve_every: Duration = span(1_000, 24 * HOURS), Need::Or("30s");
        /// When the whole pool is left alone for a while.
        breaker: Breaker = Breaker::ITEM, Need::Optional;
        /// When a request is tried again.
        retry: Retry = Retry::ITEM, Need::Optional;
    }

    /// One place that answers.
    pub struct Peer {
        /// Host and port.
        address: String = PEER, Need::Required;
        /// Its share beside the others.
        weight: u64 = whole(1, 1_000), Need::Or("1");
    }

    /// TLS towards peers.
    pub struct UpstreamTls {
        /// Certificates that are trusted, as PEM; those of the system where this is absent.
        ca_file: Option<PathBuf> = FILE, Need::Optional;
        /// The name that a peer must prove; its host where this is absent.
        server_name: Option<String> = HOST, Need::Optional;
        /// The door's own certificate for peers that ask, as PEM; none where this is absent.
        cert_file: Option<PathBuf> = FILE, Need::Optional;
        /// The key of that certificate, as PEM.
        key_file: Option<PathBuf> = FILE, Need::Optional;
    }

    /// Asking peers whether they are well.
    pub struct Health {
        /// What is asked for; 2xx is well.
        path: String = PATH, Need::Or("/healthz");
        /// How often.
        interval: Duration = span(100, HOURS), Need::Or("2s");
        /// How long an answer may take.
        timeout: Duration = span(10, 60_000), Need::Or("1s");
        /// Good answers in a row that bring a peer back.
        healthy_after: u64 = whole(1, 100), Need::Or("2");
        /// Bad answers in a row that take a peer out.
        unhealthy_after: u64 = whole(1, 100), Need::Or("3");
    }

    /// Leaving out peers whose requests fail.
    pub struct Outliers {
        /// Failures in a row; 0 never leaves one out.
        failures: u64 = whole(0, 10_000), Need::Or("5");
        /// For how long at first; it doubles each time.
        eject: Duration = span(100, HOURS), Need::Or("2s");
        /// The longest.
        eject_max: Duration = span(100, 24 * HOURS), Need::Or("60s");
        /// Share of the peers that may be left out at once.
        eject_share_max: f64 = SHARE, Need::Or("0.5");
    }

    /// Times at each stage.
    pub struct UpstreamTimeouts {
        /// For a connection, TLS included.
        connect: Duration = span(1, 60_000), Need::Or("1s");
        /// From the request to the head of the answer.
        head: Duration = span(1, HOURS), Need::Or("15s");
        /// Between two pieces of a body.
        between_bytes: Duration = span(1, 24 * HOURS), Need::Or("30s");
        /// From the request to the end of the answer.
        total: Duration = span(1, 24 * HOURS), Need::Or("60s");
        /// How long an unused connection is kept; less than the peer keeps it.
        idle: Duration = span(1, HOURS), Need::Or("30s");
    }

    /// Connections to each peer, of all workers together.
    pub struct Connections {
        /// Most at once.
        most: u64 = whole(1, 100_000), Need::Or("256");
        /// Kept when unused.
        idle: u64 = whole(0, 100_000), Need::Or("64");
        /// Requests that may wait for one.
        waiting: u64 = whole(0, 1_000_000), Need::Or("1024");
        /// How long they wait.
        wait: Duration = span(1, 60_000), Need::Or("1s");
    }

    /// When a pool is left alone for a while.
    pub struct Breaker {
        /// Whether it is at all.
        enabled: bool = FLAG, Need::Or("true");
        /// Over which time it is counted.
        window: Duration = span(1_000, 10 * 60_000), Need::Or("10s");
        /// Requests in the window before shares count.
        minimum: u64 = whole(1, 1_000_000), Need::Or("20");
        /// Share of failures that trips it.
        error_share: f64 = SHARE, Need::Or("0.5");
        /// Share of slow answers that trips it.
        slow_share: f64 = SHARE, Need::Or("1");
        /// From when on an answer is slow.
        slow_after: Duration = span(1, HOURS), Need::Or("5s");
        /// Failures in a row that trip it.
        consecutive: u64 = whole(1, 1_000_000), Need::Or("20");
        /// How long it is left alone at first; doubles each time.
        pause: Duration = span(100, HOURS), Need::Or("500ms");
        /// The longest that it is left alone.
        pause_max: Duration = span(100, 24 * HOURS), Need::Or("5s");
        /// Requests at once that try it out afterwards.
        probes: u64 = whole(1, 1_000), Need::Or("3");
        /// Good ones among them until it is used again.
        probes_good: u64 = whole(1, 1_000), Need::Or("5");
        /// From when on such a request counts as lost.
        probe_lost_after: Duration = span(1_000, HOURS), Need::Or("30s");
    }

    /// Trying a request again, at another peer where there is one. Only what is safe is: nothing of
    /// it was sent, or its method changes nothing, or the route says that its key makes it safe.
    pub struct Retry {
        /// Attempts after the first.
        attempts: u64 = whole(0, 5), Need::Or("2");
        /// Whether an answer of 502, 503 or 504 is tried elsewhere.
        bad_status: bool = FLAG, Need::Or("true");
        /// Share of the requests that may be tried again, so that retries do not pile up.
        budget: f64 = SHARE, Need::Or("0.2");
    }

    /// A room in which people wait before a route.
    pub struct WaitingRoom {
        /// Its name in routes, tickets and metrics.
        name: String = NAME, Need::Required;
        /// The sale opens; who registered before is drawn by lot.
        opens_at: Option<Instant> = INSTANT, Need::Optional;
        /// From when on people may register.
        registers_from: Option<Instant> = INSTANT, Need::Optional;
        /// The admitted rate that opens the room by itself.
        open_above: Option<Rate> = RATE, Need::Optional;
        /// The rate below which it closes again.
        close_below: Option<Rate> = RATE, Need::Optional;
        /// How long the rate must be above or below.
        hold: Duration = span(0, HOURS), Need::Or("5s");
        /// How many are let in.
        admit: Rate = RATE, Need::Required;
        /// People inside at once.
        inside: u64 = whole(1, ROOM_SEATS_SLOTS_MAX), Need::Or("100000");
        /// How long one who was let in may stay.
        pass: Duration = span(10_000, 24 * HOURS), Need::Or("10m");
        /// Who does not ask for so long has gone.
        abandoned_after: Duration = span(5_000, HOURS), Need::Or("60s");
        /// Who comes back within this time is next.
        grace: Duration = span(1_000, HOURS), Need::Or("5m");
        /// People waiting at once.
        waiting: u64 = whole(1, ROOM_SEATS_SLOTS_MAX), Need::Or("1000000");
        /// Units that one person may buy, for the odds that the page tells.
        units_per_buyer: u64 = whole(1, 1_000_000), Need::Or("1");
        /// Secrets that sign tickets; the first signs, all of them are accepted. Where this is
        /// absent the instance makes one, which other instances do not have.
        key_files: Vec<PathBuf> = list(&FILE, 4), Need::Optional;
    }
}
