//! Tickets and passes: who, which place, until when – under a MAC, so that any instance with the
//! keys
//! believes them and no table is asked.
//!
//! `base64url(version 1 · key 1 · run 8 · buyer 16 · number 8 · issued 8 · MAC 16)`, numbers
//! big-endian. The MAC covers a label (ticket or pass), the room's name and all that stands before
//! it. Several keys may be valid at once: the first signs, all are accepted.

use super::draw::{Hash, Run, mac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use guard::room::{Buyer, Place};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

const VERSION: u8 = 1;
const BODY_BYTES: usize = 42;
const TAG_BYTES: usize = 16;
const TOKEN_BYTES: usize = BODY_BYTES + TAG_BYTES;
/// Characters of a token: 58 bytes in base 64 without padding.
pub const TOKEN_CHARS: usize = 78;

/// A place in a room. A registered buyer's ticket has no number, since the draw is secret until the
/// list is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// T0 of the draw in seconds, or zero.
    pub run: u64,
    pub buyer: Buyer,
    /// `None`: by the draw.
    pub place: Option<Place>,
    pub issued_s: u64,
}

/// The right to be inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    pub run: u64,
    pub buyer: Buyer,
    pub expires_s: u64,
    pub issued_s: u64,
}

/// The keys of one room.
#[derive(Clone)]
pub struct Keys {
    room: String,
    signing: Vec<Signing>,
    /// The last key of the list: what must not change while keys rotate hangs on it.
    oldest: Hash,
}

#[derive(Clone)]
struct Signing {
    id: u8,
    ticket: Hmac<Sha256>,
    pass: Hmac<Sha256>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({} secrets)", self.signing.len())
    }
}

/// A key is too short to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKeys {
    #[error("a room needs at least one key")]
    None,
    #[error("a key has {found} bytes, expected 32 to 4096")]
    Length { found: usize },
}

impl Keys {
    /// Keys as their files hold them, newest first.
    pub fn new<K: AsRef<[u8]>>(room: &str, keys: &[K]) -> Result<Keys, BadKeys> {
        let mut signing = Vec::with_capacity(keys.len());
        let mut oldest = None;
        for key in keys {
            let key = key.as_ref();
            if !(32..=4_096).contains(&key.len()) {
                return Err(BadKeys::Length { found: key.len() });
            }
            signing.push(Signing {
                id: mac(key, b"seawall.room.key-id.v1\0", &[])[0],
                ticket: keyed(key, b"seawall.room.ticket.v1\0", room),
                pass: keyed(key, b"seawall.room.pass.v1\0", room),
            });
            oldest = Some(mac(key, b"seawall.room.oldest.v1\0", &[]));
        }
        Ok(Keys {
            room: room.to_owned(),
            signing,
            oldest: oldest.ok_or(BadKeys::None)?,
        })
    }

    /// The buyer as the room knows them; nobody without the key can tell who it is.
    pub fn buyer(&self, who: &str) -> Buyer {
        let length = (self.room.len() as u32).to_be_bytes();
        let parts: [&[u8]; 3] = [&length, self.room.as_bytes(), who.as_bytes()];
        let hash = mac(&self.oldest, b"seawall.room.buyer.v1\0", &parts);
        Buyer(u128::from_be_bytes(first(&hash)))
    }

    /// The secret of a draw: the same on every instance, and told to nobody before its time.
    pub fn secret(&self, run: &Run) -> Hash {
        let length = (run.room.len() as u32).to_be_bytes();
        let t0 = run.t0_s.to_be_bytes();
        let parts: [&[u8]; 3] = [&length, run.room.as_bytes(), &t0];
        mac(&self.oldest, b"seawall.room.draw-secret.v1\0", &parts)
    }

    pub fn ticket(&self, ticket: &Ticket) -> String {
        let number = ticket.place.map_or(0, |place| place.0);
        self.seal(
            |key| &key.ticket,
            ticket.run,
            ticket.buyer,
            number,
            ticket.issued_s,
        )
    }

    pub fn pass(&self, pass: &Pass) -> String {
        self.seal(
            |key| &key.pass,
            pass.run,
            pass.buyer,
            pass.expires_s,
            pass.issued_s,
        )
    }

    /// A ticket of this room that one of the keys signed.
    pub fn read_ticket(&self, token: &str) -> Option<Ticket> {
        let (run, buyer, number, issued_s) = self.open(|key| &key.ticket, token)?;
        Some(Ticket {
            run,
            buyer,
            place: (number != 0).then_some(Place(number)),
            issued_s,
        })
    }

    pub fn read_pass(&self, token: &str) -> Option<Pass> {
        let (run, buyer, expires_s, issued_s) = self.open(|key| &key.pass, token)?;
        Some(Pass {
            run,
            buyer,
            expires_s,
            issued_s,
        })
    }

    fn seal(
        &self,
        which: impl Fn(&Signing) -> &Hmac<Sha256>,
        run: u64,
        buyer: Buyer,
        number: u64,
        at: u64,
    ) -> String {
        let key = &self.signing[0];
        let mut bytes = [0; TOKEN_BYTES];
        bytes[0] = VERSION;
        bytes[1] = key.id;
        bytes[2..10].copy_from_slice(&run.to_be_bytes());
        bytes[10..26].copy_from_slice(&buyer.0.to_be_bytes());
        bytes[26..34].copy_from_slice(&number.to_be_bytes());
        bytes[34..42].copy_from_slice(&at.to_be_bytes());
        let mut mac = which(key).clone();
        mac.update(&bytes[..BODY_BYTES]);
        let tag = mac.finalize().into_bytes();
        bytes[BODY_BYTES..].copy_from_slice(&tag[..TAG_BYTES]);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn open(
        &self,
        which: impl Fn(&Signing) -> &Hmac<Sha256>,
        token: &str,
    ) -> Option<(u64, Buyer, u64, u64)> {
        if token.len() != TOKEN_CHARS {
            return None;
        }
        let mut bytes = [0; TOKEN_BYTES + 2];
        let read = URL_SAFE_NO_PAD.decode_slice(token, &mut bytes).ok()?;
        if read != TOKEN_BYTES || bytes[0] != VERSION {
            return None;
        }
        let (body, tag) = bytes[..TOKEN_BYTES].split_at(BODY_BYTES);
        let is_ours = self
            .signing
            .iter()
            .filter(|key| key.id == body[1])
            .any(|key| {
                let mut mac = which(key).clone();
                mac.update(body);
                mac.verify_truncated_left(tag).is_ok()
            });
        let run = u64::from_be_bytes(first(&body[2..]));
        let buyer = Buyer(u128::from_be_bytes(first(&body[10..])));
        let number = u64::from_be_bytes(first(&body[26..]));
        let at = u64::from_be_bytes(first(&body[34..]));
        is_ours.then_some((run, buyer, number, at))
    }
}

fn keyed(key: &[u8], label: &[u8], room: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::new_from_slice(key).expect("any length is a key");
    mac.update(label);
    mac.update(&(room.len() as u32).to_be_bytes());
    mac.update(room.as_bytes());
    mac
}

/// The first bytes of a slice that has at least so many.
fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[..N]);
    array
}
