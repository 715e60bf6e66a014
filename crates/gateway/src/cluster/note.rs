//! Notes as text with a MAC: `1 FROM ROUND DEMAND OWNS INSTANCE:HEARD:LOAN,… MAC`, numbers in
//! decimal. HMAC-SHA256 covers the cluster's name, the value's key and the text before the MAC. It
//! must not know how they travel.

use crate::limits::{NOTE_BYTES_MAX, NOTE_LINES_MAX};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use guard::{Line, Note};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt::Write;
use std::str::FromStr;

/// Signs what this instance says, and checks what others do.
#[derive(Clone)]
pub struct Seal {
    mac: Hmac<Sha256>,
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seal").finish_non_exhaustive()
    }
}

impl Seal {
    pub fn new(secret: &[u8], cluster: &str) -> Seal {
        let mut mac = <Hmac<Sha256>>::new_from_slice(secret).expect("HMAC takes any key");
        mac.update(b"seawall note 1\0");
        mac.update(cluster.as_bytes());
        mac.update(b"\0");
        Seal { mac }
    }

    pub fn write(&self, key: &str, note: &Note) -> String {
        let Note {
            from,
            round,
            demand,
            owns,
            lines,
        } = note;
        let mut text = format!("1 {from} {round} {demand} {owns} ");
        for (at, line) in lines.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            // Writing to a string cannot fail.
            let _ = write!(
                text,
                "{comma}{}:{}:{}",
                line.instance, line.heard, line.loan
            );
        }
        let mac = self.over(key, &text).finalize().into_bytes();
        text.push(' ');
        URL_SAFE_NO_PAD.encode_string(mac, &mut text);
        text
    }

    /// `None` for whatever nobody with the key wrote, or makes no sense.
    pub fn read(&self, key: &str, value: &str) -> Option<Note> {
        if value.len() > NOTE_BYTES_MAX {
            return None;
        }
        let (text, mac) = value.rsplit_once(' ')?;
        let mac = URL_SAFE_NO_PAD.decode(mac).ok()?;
        self.over(key, text).verify_slice(&mac).ok()?;
        let mut words = text.split(' ');
        if words.next()? != "1" {
            return None;
        }
        let note = Note {
            from: number(words.next())?,
            round: number(words.next())?,
            demand: number(words.next())?,
            owns: number(words.next())?,
            lines: lines(words.next()?)?,
        };
        words.next().is_none().then_some(note)
    }

    fn over(&self, key: &str, text: &str) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        mac.update(key.as_bytes());
        mac.update(b"\0");
        mac.update(text.as_bytes());
        mac
    }
}

fn number<T: FromStr>(word: Option<&str>) -> Option<T> {
    word?.parse().ok()
}

fn lines(text: &str) -> Option<Vec<Line>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    if text.split(',').count() > NOTE_LINES_MAX {
        return None;
    }
    let line = |text: &str| {
        let mut words = text.split(':');
        let line = Line {
            instance: number(words.next())?,
            heard: number(words.next())?,
            loan: number(words.next())?,
        };
        words.next().is_none().then_some(line)
    };
    text.split(',').map(line).collect()
}
