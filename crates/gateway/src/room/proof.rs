//! What is published about a draw, what a ticket-holder gets, and the check that one fits the
//! other.
//!
//! The check trusts nothing but the files it is given, and says of each claim whether it holds. It
//! must not know the room that made them.

use super::draw::{Hash, Inclusion, List, Run, Urn, root_of};
use crate::limits::{ROOM_LIST_BUYERS_MAX, ROOM_PATH_HASHES_MAX};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
pub use guard::room::Buyer;
use serde::{Deserialize, Serialize};

pub const ALGORITHM: &str = "seawall.room.v1";

/// The public record of one draw. It grows: the commitment before registration opens, the root when
/// the list is closed, the secret at last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transcript {
    pub algorithm: String,
    pub room: String,
    /// T0 in seconds since 1970; so are the other instants.
    pub t0: u64,
    #[serde(with = "hex32")]
    pub commitment: Hash,
    pub committed_at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<Closed>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revealed: Option<Revealed>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Closed {
    #[serde(with = "hex32")]
    pub root: Hash,
    pub count: usize,
    pub at: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revealed {
    #[serde(with = "hex32")]
    pub secret: Hash,
    pub at: u64,
}

/// A ticket as its holder keeps it to check the draw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    pub room: String,
    pub t0: u64,
    /// 32 hexadecimal digits.
    pub buyer: String,
    /// 16 hexadecimal digits.
    pub draw: String,
    /// How many drew a smaller number.
    pub rank: u32,
    /// Position in the list.
    pub index: usize,
    pub path: Vec<String>,
}

/// Why a text is no ticket, transcript or list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {why}")]
pub struct Unreadable {
    pub what: &'static str,
    pub why: String,
}

fn unreadable(what: &'static str, why: impl ToString) -> Unreadable {
    Unreadable {
        what,
        why: why.to_string(),
    }
}

impl Transcript {
    pub fn parse(text: &str) -> Result<Transcript, Unreadable> {
        let found: Transcript =
            serde_json::from_str(text).map_err(|error| unreadable("the transcript", error))?;
        if found.algorithm != ALGORITHM {
            let why = format!("algorithm {:?}, expected {ALGORITHM:?}", found.algorithm);
            return Err(unreadable("the transcript", why));
        }
        Ok(found)
    }

    pub fn run(&self) -> Run {
        Run {
            room: self.room.clone(),
            t0_s: self.t0,
        }
    }
}

impl Proof {
    pub fn new(run: &Run, buyer: Buyer, list: &List, urn: &Urn) -> Option<Proof> {
        let (index, rank) = list.find(buyer)?;
        let path = list.prove(index).path;
        Some(Proof {
            room: run.room.clone(),
            t0: run.t0_s,
            buyer: buyer_hex(buyer),
            draw: format!("{:016x}", urn.draw(buyer)),
            rank,
            index,
            path: path.iter().map(|hash| hex(hash)).collect(),
        })
    }

    /// The ticket as JSON, or as the code that the page shows.
    pub fn parse(text: &str) -> Result<Proof, Unreadable> {
        let bad = |why: String| unreadable("the ticket", why);
        let text = text.trim();
        if text.starts_with('{') {
            return serde_json::from_str(text).map_err(|error| bad(error.to_string()));
        }
        let bytes = URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|error| bad(format!("neither JSON nor a ticket code: {error}")))?;
        serde_json::from_slice(&bytes).map_err(|error| bad(format!("in the code: {error}")))
    }

    pub fn code(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }
}

/// A list as it is published: one buyer a line, ascending.
pub fn parse_list(text: &str) -> Result<Vec<Buyer>, Unreadable> {
    let bad = |line: usize, why: &str| unreadable("the list", format!("line {}: {why}", line + 1));
    let mut buyers: Vec<Buyer> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if buyers.len() == ROOM_LIST_BUYERS_MAX {
            return Err(bad(at, "more buyers than a room can hold"));
        }
        let buyer = buyer_of(line).ok_or_else(|| bad(at, "expected 32 hexadecimal digits"))?;
        if buyers.last().is_some_and(|last| *last >= buyer) {
            return Err(bad(at, "expected ascending buyers, each of them once"));
        }
        buyers.push(buyer);
    }
    Ok(buyers)
}

/// One claim and whether it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    pub name: &'static str,
    pub good: bool,
    pub what: String,
}

/// A hash as an argument of a program.
#[derive(Clone, Copy, Debug)]
pub struct Digest(pub Hash);

/// What the holder wrote down before; a transcript that was replaced as a whole fails it.
#[derive(Clone, Debug, Default)]
pub struct Noted {
    pub commitment: Option<Hash>,
    pub root: Option<Hash>,
}

/// All checks; `None` while the secret is not revealed, because nobody can judge then.
pub fn verify(
    proof: &Proof,
    transcript: &Transcript,
    list: Option<Vec<Buyer>>,
    noted: &Noted,
) -> Option<Vec<Check>> {
    let (closed, revealed) = (transcript.closed.as_ref()?, transcript.revealed.as_ref()?);
    let mut checks = Vec::new();
    let mut check = |name, good, yes: &str, no: String| {
        let what = if good { yes.to_owned() } else { no };
        checks.push(Check { name, good, what });
    };
    let run = transcript.run();
    let same = proof.room == run.room && proof.t0 == run.t0_s;
    let ours = format!("the ticket is of room {:?} at {}", proof.room, proof.t0);
    check("room", same, "ticket and transcript are of one draw", ours);
    let times =
        transcript.committed_at <= run.t0_s && run.t0_s <= closed.at && closed.at <= revealed.at;
    let order = "expected commitment, T0, root and secret in this order".to_owned();
    check(
        "times",
        times,
        "commitment, T0, root, secret came in this order",
        order,
    );
    let kept = run.commitment(&revealed.secret) == transcript.commitment;
    let broken = "the secret is not the one that was committed to".to_owned();
    check(
        "commitment",
        kept,
        "the secret is the one that was committed to",
        broken,
    );
    for (name, noted, found) in [
        ("noted commitment", noted.commitment, transcript.commitment),
        ("noted root", noted.root, closed.root),
    ] {
        if let Some(noted) = noted {
            let other = format!("the transcript says {}", hex(&found));
            check(name, noted == found, "the transcript says the same", other);
        }
    }
    let urn = Urn::new(&revealed.secret);
    let buyer = buyer_of(&proof.buyer);
    let inclusion = inclusion(proof);
    let root = buyer
        .zip(inclusion)
        .and_then(|(b, path)| root_of(b, &path, closed.count));
    let missing = "the root was not made of a list with this buyer at this position".to_owned();
    check(
        "list",
        root == Some(closed.root),
        "the buyer is in the list",
        missing,
    );
    let draw = buyer.map(|buyer| format!("{:016x}", urn.draw(buyer)));
    let other = format!("the draw is {}", draw.as_deref().unwrap_or("not defined"));
    check(
        "draw",
        draw.as_ref() == Some(&proof.draw),
        "the draw is right",
        other,
    );
    let beyond = format!("rank {} of {} buyers", proof.rank, closed.count);
    let within = (proof.rank as usize) < closed.count;
    check("rank", within, "the rank lies within the list", beyond);
    if let Some(buyers) = list {
        let list = List::close(buyers, &urn);
        let same = list.root() == closed.root && list.buyers().len() == closed.count;
        let another = "the list does not have the published root".to_owned();
        check(
            "whole list",
            same,
            "the list has the published root",
            another,
        );
        let rank = buyer
            .and_then(|buyer| list.find(buyer))
            .map(|(_, rank)| rank);
        let other = match rank {
            Some(rank) => format!("{rank} buyers drew a smaller number, not {}", proof.rank),
            None => "the buyer is not in the list".to_owned(),
        };
        check(
            "exact rank",
            rank == Some(proof.rank),
            "exactly so many drew smaller",
            other,
        );
    }
    Some(checks)
}

fn inclusion(proof: &Proof) -> Option<Inclusion> {
    if proof.path.len() > ROOM_PATH_HASHES_MAX {
        return None;
    }
    let path: Option<Vec<Hash>> = proof.path.iter().map(|text| hash_of(text)).collect();
    Some(Inclusion {
        index: proof.index,
        path: path?,
    })
}

pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

pub fn hash_of(text: &str) -> Option<Hash> {
    let digits = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut hash = [0; 32];
    for (at, byte) in hash.iter_mut().enumerate() {
        let pair = text.get(at * 2..at * 2 + 2).filter(|_| digits)?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(hash)
}

pub fn buyer_hex(buyer: Buyer) -> String {
    format!("{:032x}", buyer.0)
}

pub fn buyer_of(text: &str) -> Option<Buyer> {
    let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    u128::from_str_radix(text, 16)
        .ok()
        .filter(|_| digits)
        .map(Buyer)
}

mod hex32 {
    use super::{Hash, hash_of, hex};
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub fn serialize<S: Serializer>(hash: &Hash, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&hex(hash))
    }
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Hash, D::Error> {
        let text = String::deserialize(from)?;
        hash_of(&text).ok_or_else(|| D::Error::custom("expected 64 hexadecimal digits"))
    }
}
