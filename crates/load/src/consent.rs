//! Consent of a target that is not on this machine.
//!
//! Load on somebody who did not ask for it is an attack. `seawall load token` signs a note for one
//! host, with the highest rate and a day on which it ends; the target serves it at
//! [`WELL_KNOWN`]; a run reads it from there and goes no higher. The key stays with whoever made
//! the note, so nobody else can use it to send load. It must not know how the note is fetched.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use std::net::IpAddr;

/// Where a target serves its note.
pub const WELL_KNOWN: &str = "/.well-known/seawall-load";
/// Of a note: it is three lines.
pub const NOTE_BYTES_MAX: usize = 1_024;
const FIRST: &str = "seawall-load v1";

/// What a target allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consent {
    /// Host and port, as requests name them.
    pub authority: String,
    /// Arrivals a second.
    pub ceiling_per_s: u64,
    /// Seconds of Unix time.
    pub until_s: u64,
}

/// Why a note allows nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("it is no note of `seawall load token`")]
    NoNote,
    #[error("it was not signed with the key of this generator")]
    Forged,
    #[error("it is for another host")]
    Elsewhere,
    #[error("its time is over")]
    Over,
}

impl fmt::Display for Consent {
    /// What is signed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Consent {
            authority,
            ceiling_per_s,
            until_s,
        } = self;
        write!(
            f,
            "{FIRST} {authority} ceiling={ceiling_per_s} until={until_s}"
        )
    }
}

impl Consent {
    /// The note with its signature, one line.
    #[must_use]
    pub fn sign(&self, key: &[u8]) -> String {
        let mac = mac(key, &self.to_string()).finalize().into_bytes();
        format!("{self} mac={}\n", URL_SAFE_NO_PAD.encode(mac))
    }

    /// Reads what a target serves.
    pub fn verify(
        note: &[u8],
        key: &[u8],
        authority: &str,
        now_s: u64,
    ) -> Result<Consent, Refused> {
        let text = std::str::from_utf8(note).map_err(|_| Refused::NoNote)?;
        let (signed, told) = text.trim().rsplit_once(" mac=").ok_or(Refused::NoNote)?;
        let told = URL_SAFE_NO_PAD.decode(told).map_err(|_| Refused::NoNote)?;
        // Compared in constant time.
        mac(key, signed)
            .verify_slice(&told)
            .map_err(|_| Refused::Forged)?;
        let consent = read(signed).ok_or(Refused::NoNote)?;
        if consent.authority != authority {
            return Err(Refused::Elsewhere);
        }
        if now_s >= consent.until_s {
            return Err(Refused::Over);
        }
        Ok(consent)
    }
}

/// Whether an address may be loaded without a note: only this machine.
#[must_use]
pub fn is_own(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

fn read(signed: &str) -> Option<Consent> {
    let mut words = signed.strip_prefix(FIRST)?.strip_prefix(' ')?.split(' ');
    let authority = words.next()?.to_owned();
    let ceiling = words.next()?.strip_prefix("ceiling=")?.parse().ok()?;
    let until = words.next()?.strip_prefix("until=")?.parse().ok()?;
    words.next().is_none().then_some(Consent {
        authority,
        ceiling_per_s: ceiling,
        until_s: until,
    })
}

fn mac(key: &[u8], text: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("an HMAC takes keys of any length");
    mac.update(text.as_bytes());
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_allows_one_host_one_rate_and_one_time() {
        let consent = Consent {
            authority: "shop.example:443".into(),
            ceiling_per_s: 500,
            until_s: 2_000,
        };
        let note = consent.sign(b"key");
        let verify =
            |note: &str, key: &[u8], host, now| Consent::verify(note.as_bytes(), key, host, now);
        assert_eq!(
            verify(&note, b"key", "shop.example:443", 1_999),
            Ok(consent)
        );
        let no = [
            (
                verify(&note, b"key", "shop.example:443", 2_000),
                Refused::Over,
            ),
            (
                verify(&note, b"key", "other.example:443", 0),
                Refused::Elsewhere,
            ),
            (
                verify(&note, b"other", "shop.example:443", 0),
                Refused::Forged,
            ),
            (
                verify("hello", b"key", "shop.example:443", 0),
                Refused::NoNote,
            ),
            (verify("", b"key", "shop.example:443", 0), Refused::NoNote),
            (
                verify("<html> mac=?", b"key", "shop.example:443", 0),
                Refused::NoNote,
            ),
        ];
        for (got, wanted) in no {
            assert_eq!(got.unwrap_err(), wanted);
        }
        let raised = note.replace("ceiling=500", "ceiling=50000");
        let got = verify(&raised, b"key", "shop.example:443", 0);
        assert_eq!(got.unwrap_err(), Refused::Forged);
        // Every single change is noticed.
        for at in 0..note.len() - 1 {
            let mut bytes = note.clone().into_bytes();
            bytes[at] ^= 1;
            assert!(
                Consent::verify(&bytes, b"key", "shop.example:443", 0).is_err(),
                "{at}"
            );
        }
    }

    #[test]
    fn only_this_machine_needs_no_note() {
        for own in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(is_own(own.parse().unwrap()), "{own}");
        }
        for other in [
            "10.0.0.1",
            "192.168.1.1",
            "::",
            "0.0.0.0",
            "8.8.8.8",
            "fe80::1",
        ] {
            assert!(!is_own(other.parse().unwrap()), "{other}");
        }
    }
}
