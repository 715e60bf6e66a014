//! Every key of the configuration, in the order of the documentation.
//!
//! One table: reading, the environment's names, the flags' names, the messages and
//! docs/configuration.md all come from here, so that none of them can forget one.

/// One setting.
#[derive(Debug)]
pub struct Key {
    /// In the file, nested at the dots.
    pub path: &'static str,
    /// As it would be written; `None` for a setting that may be absent.
    pub default: Option<&'static str>,
    pub expected: &'static str,
    pub about: &'static str,
}

impl Key {
    /// `journal.segment_mib` is `SEAWALL_JOURNAL_SEGMENT_MIB` in the environment.
    #[must_use]
    pub fn env(&self) -> String {
        format!("{ENV_PREFIX}{}", self.path.replace('.', "_").to_uppercase())
    }

    /// `journal.segment_mib` is `--journal-segment-mib` on the command line.
    #[must_use]
    pub fn flag(&self) -> String {
        format!("--{}", self.path.replace(['.', '_'], "-"))
    }
}

pub const ENV_PREFIX: &str = "SEAWALL_";
/// Names the configuration file; a source, not a setting.
pub const ENV_FILE: &str = "SEAWALL_CONFIG";

const fn key(
    path: &'static str,
    default: &'static str,
    expected: &'static str,
    about: &'static str,
) -> Key {
    Key {
        path,
        default: Some(default),
        expected,
        about,
    }
}

const fn optional(path: &'static str, expected: &'static str, about: &'static str) -> Key {
    Key {
        path,
        default: None,
        expected,
        about,
    }
}

const ADDRESS: &str = "an address with a port, such as 127.0.0.1:8080 or [::]:8080; port 0 takes \
    a free one";
const SHARE: &str = "a number from 0 to 1";
const SWITCH: &str = "true or false";
const WINDOW: &str = "a duration from 1s to 3650d, such as 90s, 15m, 24h or 45d";
const TIMEOUT: &str = "milliseconds from 100 to 3600000";
const WORDS: &str = "a text that is not empty";
const FILE: &str = "the path of a file";

pub const KEYS: &[Key] = &[
    key(
        "listen",
        "127.0.0.1:8080",
        ADDRESS,
        "Where the shop listens.",
    ),
    key(
        "admin",
        "127.0.0.1:8081",
        ADDRESS,
        "Where health, metrics and the operators' endpoints listen. Keep it off the internet.",
    ),
    key(
        "workers",
        "auto",
        "auto, or a whole number from 1 to 64",
        "Threads that answer requests. `auto` is half the cores, at least one: the other half is \
         for the thread that decides, its disk, and everything else.",
    ),
    key(
        "pin",
        "true",
        SWITCH,
        "Whether each worker keeps a processor of its own and the thread that decides keeps to the \
         others. Done only where the process may use the whole machine (no CPU quota, no \
         restriction to some processors) and one is left; turn it off beside programs that pin \
         too.",
    ),
    key(
        "data",
        "data",
        "the path of a folder",
        "The data folder; created if it is not there.",
    ),
    key(
        "cell",
        "0",
        "a whole number from 0 to 1023",
        "The number of this cell in a fleet, part of every order id. Fixed once an order was \
         accepted.",
    ),
    key(
        "origins",
        "",
        "web origins such as https://shop.example, as a list or separated by commas",
        "Where the shop's pages are reached from outside. Writes from pages of any other origin \
         are refused. Empty: only the address that the browser itself names as the host.",
    ),
    key(
        "http.connections_max",
        "12000",
        "a whole number from 10 to 1000000",
        "Connections of the shop's listener. At this number the longest idle one is closed for a \
         new one. Each takes a descriptor: see `ulimit -n`.",
    ),
    key(
        "http.header_ms",
        "5000",
        TIMEOUT,
        "From the first byte of a request's head to its last.",
    ),
    key(
        "http.first_byte_ms",
        "10000",
        TIMEOUT,
        "A new connection that sends nothing.",
    ),
    key(
        "http.idle_ms",
        "60000",
        TIMEOUT,
        "A connection between two requests.",
    ),
    key("http.body_ms", "10000", TIMEOUT, "A request's body."),
    key(
        "http.drain_ms",
        "10000",
        TIMEOUT,
        "What is in flight when the process is asked to end gets this long.",
    ),
    key(
        "sessions.hours",
        "24",
        "a whole number from 1 to 8760",
        "How long a buyer stays signed in.",
    ),
    key(
        "sessions.cookie_secure",
        "false",
        SWITCH,
        "Whether the session's cookie is sent over HTTPS only. Set it wherever the shop is \
         reached over HTTPS.",
    ),
    key(
        "journal.segment_mib",
        "64",
        "a whole number from 1 to 1024",
        "Size of a journal file in MiB. Written in advance, so that a sync changes no metadata.",
    ),
    key(
        "journal.reserve_mib",
        "512",
        "a whole number from 1 to 1048576",
        "Free disk space in MiB below which new orders are refused, while reads and payments in \
         flight go on.",
    ),
    key(
        "journal.prune",
        "false",
        SWITCH,
        "Whether old segments are removed behind a verified snapshot. A pruned journal cannot \
         rebuild the whole projection, nor be audited from its first entry: keep a copy first.",
    ),
    key(
        "windows.remember",
        "24h",
        WINDOW,
        "How long the same request id gets the same answer after its order ended.",
    ),
    key(
        "windows.returns",
        "45d",
        WINDOW,
        "How long a paid order stays in memory, ready to be returned.",
    ),
    key(
        "payment.sandbox.delay_ms_median",
        "80",
        "milliseconds from 0 to 60000",
        "The sandbox channel: half of the payments take longer than this.",
    ),
    key(
        "payment.sandbox.decline_share",
        "0.02",
        SHARE,
        "The sandbox channel: share declined.",
    ),
    key(
        "payment.sandbox.unknown_share",
        "0.01",
        SHARE,
        "The sandbox channel: share whose result is not known at first and has to be asked for.",
    ),
    key(
        "payment.sandbox.unavailable_share",
        "0",
        SHARE,
        "The sandbox channel: share of the attempts that find it unavailable.",
    ),
    optional(
        "payment.bank",
        "an address with a port, such as 127.0.0.1:8090",
        "The bank over HTTP (`seawall bank`) that is asked instead of the sandbox in this process.",
    ),
    optional(
        "jwt.issuer",
        WORDS,
        "Sign-in by another shop's accounts: who issues the tokens (`iss`). The four settings of \
         `jwt` come together or not at all.",
    ),
    optional(
        "jwt.audience",
        WORDS,
        "For whom the tokens are issued (`aud`).",
    ),
    optional(
        "jwt.algorithm",
        "one of HS256, RS256, PS256, ES256, EdDSA",
        "How the tokens are signed; no other signature is accepted.",
    ),
    optional(
        "jwt.key_file",
        FILE,
        "The issuer's public key in PEM; of HS256 the shared secret, as it is.",
    ),
    optional(
        "channel_tokens_file",
        FILE,
        "Tokens of sales channels that order on behalf of buyers, one `name token` a line.",
    ),
    key(
        "log.format",
        "text",
        "text or json",
        "How a line of the log looks, on stderr.",
    ),
    key(
        "log.level",
        "info",
        "error, warn, info, debug, trace, or directives such as info,engine=debug",
        "What is logged.",
    ),
];

/// The key of a path, if there is one.
#[must_use]
pub fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}
