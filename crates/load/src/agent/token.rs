//! The secret that agents and their coordinator have in common. It never travels: each proves to
//! have it with a keyed digest of two fresh numbers, one of each side, so that what was listened to
//! is of no use later. It must not be shown anywhere.

use super::limits::{TOKEN_BYTES_MAX, TOKEN_BYTES_MIN};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use std::io::Read;
use std::path::Path;

/// A secret of agents.
#[derive(Clone)]
pub struct Token(Vec<u8>);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Who proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Agent,
    Coordinator,
}

impl Token {
    /// The first line of a file.
    pub fn read(file: &Path) -> Result<Token, String> {
        let shown = file.display();
        let open = std::fs::File::open(file);
        let open = open.map_err(|error| format!("cannot read the token {shown}: {error}"))?;
        let mut text = Vec::new();
        let read = open.take(TOKEN_BYTES_MAX as u64).read_to_end(&mut text);
        read.map_err(|error| format!("cannot read the token {shown}: {error}"))?;
        let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let secret = line.trim_ascii();
        if secret.len() < TOKEN_BYTES_MIN {
            let found = secret.len();
            return Err(format!(
                "{shown}: found a token of {found} characters, expected at least \
                 {TOKEN_BYTES_MIN}; `openssl rand -hex 32` makes a good one"
            ));
        }
        Ok(Token(secret.to_vec()))
    }

    #[must_use]
    pub fn of(secret: &[u8]) -> Token {
        Token(secret.to_vec())
    }

    /// That `side` has the secret, for these two numbers only.
    #[must_use]
    pub fn proof(&self, side: Side, agents: &str, coordinators: &str) -> String {
        let proof = self.mac(side, agents, coordinators).finalize();
        URL_SAFE_NO_PAD.encode(proof.into_bytes())
    }

    /// Compared in constant time.
    #[must_use]
    pub fn proves(&self, side: Side, agents: &str, coordinators: &str, proof: &str) -> bool {
        let told = URL_SAFE_NO_PAD.decode(proof).unwrap_or_default();
        let mac = self.mac(side, agents, coordinators);
        mac.verify_slice(&told).is_ok()
    }

    fn mac(&self, side: Side, agents: &str, coordinators: &str) -> Hmac<Sha256> {
        let mac = Hmac::<Sha256>::new_from_slice(&self.0);
        let mut mac = mac.expect("an HMAC takes keys of any length");
        let who = match side {
            Side::Agent => "agent",
            Side::Coordinator => "coordinator",
        };
        // Lengths stand before what could move between fields.
        let (first, second) = (agents.len(), coordinators.len());
        let text = format!("seawall-agent v1 {who} {first} {agents} {second} {coordinators}");
        mac.update(text.as_bytes());
        mac
    }
}

/// A number that nobody saw before.
pub fn fresh() -> Result<String, String> {
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes).map_err(|error| format!("no randomness: {error}"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_of_one_secret_one_side_and_two_numbers() {
        let (ours, other) = (
            Token::of(b"a secret of ours"),
            Token::of(b"another secret.."),
        );
        let proof = ours.proof(Side::Agent, "a", "c");
        assert!(ours.proves(Side::Agent, "a", "c", &proof));
        assert!(!other.proves(Side::Agent, "a", "c", &proof));
        assert!(
            !ours.proves(Side::Coordinator, "a", "c", &proof),
            "mirrored"
        );
        assert!(!ours.proves(Side::Agent, "b", "c", &proof), "repeated");
        assert!(!ours.proves(Side::Agent, "a", "d", &proof), "repeated");
        for bad in ["", "?", &proof[1..], &format!("{proof}A")] {
            assert!(!ours.proves(Side::Agent, "a", "c", bad), "{bad:?}");
        }
        assert_eq!(format!("{ours:?}"), "Token(..)");
    }

    #[test]
    fn a_short_or_missing_token_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let read = || Token::read(&file);
        assert!(read().unwrap_err().contains("cannot read"));
        std::fs::write(&file, "short\n").unwrap();
        assert!(read().unwrap_err().contains("expected at least 16"));
        std::fs::write(&file, "0123456789abcdef \nmore\n").unwrap();
        let proof = read().unwrap().proof(Side::Agent, "a", "c");
        assert_eq!(
            proof,
            Token::of(b"0123456789abcdef").proof(Side::Agent, "a", "c")
        );
    }
}
