//! The test issuer: signs the tokens that rehearsal buyers exchange for a session.
//!
//! Passwords cost the shop 26 ms each by design; a flood of buyers comes from a shop that has
//! accounts already, which is what a configured issuer is for.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

#[derive(Clone, Debug)]
pub struct Issuer {
    pub issuer: String,
    pub audience: String,
    key: Vec<u8>,
    /// Seconds since the Unix epoch until which the tokens are good.
    pub expires_s: u64,
}

impl Issuer {
    pub fn new(issuer: &str, audience: &str, key: &[u8], expires_s: u64) -> Issuer {
        let (issuer, audience) = (issuer.to_owned(), audience.to_owned());
        Issuer {
            issuer,
            audience,
            key: key.to_vec(),
            expires_s,
        }
    }

    /// A token of `subject`: JWT with HS256 (RFC 7515, RFC 7519).
    pub fn token(&self, subject: &str) -> String {
        let claims = serde_json::json!({
            "iss": self.issuer, "aud": self.audience, "sub": subject, "exp": self.expires_s,
        });
        let mut token = URL_SAFE_NO_PAD.encode(br#"{"alg":"HS256","typ":"JWT"}"#);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims.to_string(), &mut token);
        let signature = self.sign(token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        token
    }

    fn sign(&self, text: &[u8]) -> Vec<u8> {
        // HMAC takes keys of any length; the error type has no value that could occur.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) else {
            return Vec::new();
        };
        mac.update(text);
        mac.finalize().into_bytes().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_as_the_standard_says() {
        // RFC 7515, appendix A.1: the key and the signature of its example.
        let key = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1\
                   Z9CAow";
        let key = URL_SAFE_NO_PAD.decode(key).unwrap();
        let text = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4\
                    MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let signed = Issuer::new("i", "a", &key, 1).sign(text.as_bytes());
        let expected = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(URL_SAFE_NO_PAD.encode(signed), expected);
    }
}
