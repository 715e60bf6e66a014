//! Who is asking: signed sessions, and ids derived from keys. A session is its own proof, so no
//! table is asked on the way to an order.
//!
//! `base64url(version 1 · buyer 16 · expires in seconds 8 · first 16 bytes of HMAC-SHA-256)`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sale::{BuyerId, PaymentRef, RequestId};
use sha2::{Digest, Sha256};

pub const COOKIE: &str = "seawall_session";
const VERSION: u8 = 1;
const BODY_BYTES: usize = 25;
const TAG_BYTES: usize = 16;
const TOKEN_BYTES: usize = BODY_BYTES + TAG_BYTES;
/// Characters of a session: 41 bytes in base 64 without padding.
const TOKEN_CHARS: usize = 55;

/// Signs and checks sessions with one secret.
#[derive(Clone)]
pub struct Sessions {
    mac: Hmac<Sha256>,
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sessions(secret)")
    }
}

impl Sessions {
    pub fn new(secret: &[u8; 32]) -> Sessions {
        let mac = Hmac::new_from_slice(secret).expect("any length is a key");
        Sessions { mac }
    }

    pub fn issue(&self, buyer: BuyerId, expires_ms: u64) -> String {
        let mut bytes = [0; TOKEN_BYTES];
        bytes[0] = VERSION;
        bytes[1..17].copy_from_slice(&buyer.0.to_le_bytes());
        bytes[17..25].copy_from_slice(&(expires_ms / 1_000).to_le_bytes());
        let mut mac = self.mac.clone();
        mac.update(&bytes[..BODY_BYTES]);
        let tag = mac.finalize().into_bytes();
        bytes[BODY_BYTES..].copy_from_slice(&tag[..TAG_BYTES]);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The buyer of a session that is ours and has not expired.
    pub fn buyer(&self, token: &str, now_ms: u64) -> Option<BuyerId> {
        if token.len() != TOKEN_CHARS {
            return None;
        }
        let mut bytes = [0; TOKEN_BYTES + 1];
        let read = URL_SAFE_NO_PAD.decode_slice(token, &mut bytes).ok()?;
        if read != TOKEN_BYTES || bytes[0] != VERSION {
            return None;
        }
        let mut mac = self.mac.clone();
        mac.update(&bytes[..BODY_BYTES]);
        mac.verify_truncated_left(&bytes[BODY_BYTES..TOKEN_BYTES])
            .ok()?;
        let expires_s = u64::from_le_bytes(bytes[17..25].try_into().ok()?);
        let buyer = u128::from_le_bytes(bytes[1..17].try_into().ok()?);
        (now_ms / 1_000 < expires_s).then_some(BuyerId(buyer))
    }
}

fn derive(domain: &[u8], parts: &[&[u8]]) -> u128 {
    let mut hash = Sha256::new();
    hash.update(domain);
    for part in parts {
        hash.update(part);
    }
    let digest: [u8; 32] = hash.finalize().into();
    u128::from_le_bytes(digest[..16].try_into().expect("sixteen of thirty-two"))
}

/// The request id of a buyer's key: nobody else's key can meet it.
pub fn request_id(buyer: BuyerId, key: &str) -> RequestId {
    RequestId(derive(b"order", &[&buyer.0.to_le_bytes(), key.as_bytes()]))
}

/// The request id of an operator's key.
pub fn operator_request_id(key: &str) -> RequestId {
    RequestId(derive(b"operator", &[key.as_bytes()]))
}

/// The payment that a buyer's key means on an order.
pub fn payment_ref(buyer: BuyerId, order: sale::OrderId, key: &str) -> PaymentRef {
    let parts: [&[u8]; 3] = [
        &buyer.0.to_le_bytes(),
        &order.0.to_le_bytes(),
        key.as_bytes(),
    ];
    PaymentRef(derive(b"payment", &parts))
}

/// The buyer behind a subject of another issuer.
pub fn buyer_of_subject(issuer: &str, subject: &str) -> BuyerId {
    let length = (issuer.len() as u64).to_le_bytes();
    BuyerId(derive(
        b"subject",
        &[&length, issuer.as_bytes(), subject.as_bytes()],
    ))
}

/// 1 to 64 visible ASCII characters.
pub fn is_key(key: &str) -> bool {
    (1..=crate::limits::KEY_CHARS_MAX).contains(&key.len())
        && key.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutate::{apply, edits, text};
    use proptest::prelude::*;

    #[test]
    fn only_our_unexpired_sessions_count() {
        let sessions = Sessions::new(&[7; 32]);
        let token = sessions.issue(BuyerId(99), 5_000);
        assert_eq!(token.len(), TOKEN_CHARS);
        assert_eq!(sessions.buyer(&token, 4_999), Some(BuyerId(99)));
        assert_eq!(sessions.buyer(&token, 5_000), None, "expired");
        assert_eq!(
            Sessions::new(&[8; 32]).buyer(&token, 0),
            None,
            "another secret"
        );
        for at in 0..token.len() {
            let mut forged = token.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).unwrap();
            // The last character has two bits that carry nothing; they must be zero.
            assert_eq!(sessions.buyer(&forged, 0), None, "changed at {at}");
        }
        assert_eq!(sessions.buyer("", 0), None);
        assert_eq!(sessions.buyer(&"é".repeat(27), 0), None);
    }

    #[test]
    fn ids_are_apart() {
        let one = request_id(BuyerId(1), "a");
        assert_ne!(one, request_id(BuyerId(2), "a"));
        assert_ne!(one, request_id(BuyerId(1), "b"));
        assert_ne!(buyer_of_subject("a", "bc"), buyer_of_subject("ab", "c"));
        assert!(is_key("a-1") && !is_key("") && !is_key("a b") && !is_key(&"x".repeat(65)));
    }

    proptest! {
        /// Nothing but what we signed is a session, whatever letters it is made of.
        #[test]
        fn any_bytes_are_no_session(
            buyer in any::<u128>(),
            expires_ms in any::<u64>(),
            changes in edits(&["A", "_", "-", "=", "+", "/", " ", "é", "\0"]),
            random in "\\PC{0,60}",
        ) {
            let sessions = Sessions::new(&[7; 32]);
            let token = sessions.issue(BuyerId(buyer), expires_ms);
            let good = (expires_ms >= 1_000).then_some(BuyerId(buyer));
            prop_assert_eq!(sessions.buyer(&token, 0), good);
            let changed = text(&apply(token.as_bytes(), &changes));
            for other in [changed, random, token.to_ascii_lowercase(), format!("{token}=")] {
                prop_assert!(other == token || sessions.buyer(&other, 0).is_none(), "{}", other);
            }
        }

        /// A key is what can stand in a header without another reading, and every letter counts.
        #[test]
        fn any_bytes_are_a_key_or_none(
            one in "[ -~]{0,70}",
            two in "[ -~]{0,70}",
            random in "\\PC{0,70}",
        ) {
            for key in [&one, &two, &random] {
                let plain = key.bytes().all(|byte| (b'!'..=b'~').contains(&byte));
                prop_assert_eq!(is_key(key), plain && (1..=64).contains(&key.len()), "{:?}", key);
            }
            let same = one == two;
            prop_assert_eq!(request_id(BuyerId(1), &one) == request_id(BuyerId(1), &two), same);
            prop_assert_eq!(operator_request_id(&one) == operator_request_id(&two), same);
            prop_assert_ne!(request_id(BuyerId(1), &one), request_id(BuyerId(2), &one));
        }
    }
}
