//! Accounts and sign-ins. Passwords are hashed on threads of their own behind a short queue, since
//! one costs as much as two thousand orders; tokens of another issuer are checked on the spot.

use crate::answer::Problem;
use crate::limits;
use crate::session;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use sale::BuyerId;
use serde::Deserialize;
use std::path::Path;
use std::sync::mpsc;
use store::shopdb::{AccountRefused, NewAccount};
use store::{ShopDb, ShopReader};
use tokio::sync::oneshot;
use wire::problem::Code;

/// Another issuer whose signed tokens prove who somebody is.
pub struct Issuer {
    name: String,
    key: DecodingKey,
    validation: Validation,
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Issuer({})", self.name)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    #[error("no such algorithm: {0} (expected HS256, RS256, PS256, ES256 or EdDSA)")]
    Algorithm(String),
    #[error("the key does not fit {algorithm}: {why}")]
    Key { algorithm: String, why: String },
}

#[derive(Debug, Deserialize)]
struct Claims {
    sub: String,
}

impl Issuer {
    /// `key` is the shared secret for HS256 (at least 32 bytes), else a public key in PEM.
    pub fn new(
        issuer: &str,
        audience: &str,
        algorithm: &str,
        key: &[u8],
    ) -> Result<Issuer, IssuerError> {
        let bad = |why: String| IssuerError::Key {
            algorithm: algorithm.to_owned(),
            why,
        };
        let pem = |read: Result<DecodingKey, jsonwebtoken::errors::Error>| {
            read.map_err(|error| bad(error.to_string()))
        };
        let (algorithm, key) = match algorithm {
            "HS256" => {
                let secret = key.trim_ascii();
                if secret.len() < 32 {
                    return Err(bad("a shared secret has at least 32 bytes".to_owned()));
                }
                (Algorithm::HS256, DecodingKey::from_secret(secret))
            }
            "RS256" => (Algorithm::RS256, pem(DecodingKey::from_rsa_pem(key))?),
            "PS256" => (Algorithm::PS256, pem(DecodingKey::from_rsa_pem(key))?),
            "ES256" => (Algorithm::ES256, pem(DecodingKey::from_ec_pem(key))?),
            "EdDSA" => (Algorithm::EdDSA, pem(DecodingKey::from_ed_pem(key))?),
            other => return Err(IssuerError::Algorithm(other.to_owned())),
        };
        let mut validation = Validation::new(algorithm);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.leeway = limits::TOKEN_LEEWAY_S;
        Ok(Issuer {
            name: issuer.to_owned(),
            key,
            validation,
        })
    }

    fn buyer(&self, token: &str) -> Option<BuyerId> {
        let data = jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation).ok()?;
        let subject = data.claims.sub;
        (1..=256)
            .contains(&subject.len())
            .then(|| session::buyer_of_subject(&self.name, &subject))
    }
}

enum Work {
    Create {
        email: String,
        name: String,
        password: String,
        reply: oneshot::Sender<Outcome>,
    },
    SignIn {
        email: String,
        password: String,
        reply: oneshot::Sender<Outcome>,
    },
    Name {
        buyer: BuyerId,
        reply: oneshot::Sender<Option<String>>,
    },
}

type Outcome = Result<BuyerId, Problem>;

/// Whoever knows the accounts.
#[derive(Debug)]
pub struct People {
    queue: mpsc::SyncSender<Work>,
    issuer: Option<Issuer>,
}

fn busy() -> Problem {
    Problem::new(Code::Overloaded).detail("Many people are signing in. Please try again.")
}

impl People {
    pub fn start(shop_db: &Path, issuer: Option<Issuer>) -> Result<People, store::StoreError> {
        let (queue, work) = mpsc::sync_channel(limits::PASSWORD_QUEUE_MAX);
        let work = std::sync::Arc::new(std::sync::Mutex::new(work));
        for number in 0..limits::PASSWORD_THREADS {
            let mut desk = Registrar::open(shop_db)?;
            let work = std::sync::Arc::clone(&work);
            let thread = std::thread::Builder::new().name(format!("passwords-{number}"));
            let run = move || {
                loop {
                    let next = work
                        .lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner)
                        .recv();
                    match next {
                        Ok(next) => desk.serve(next),
                        Err(mpsc::RecvError) => return,
                    }
                }
            };
            // Without threads nobody signs in; the process has larger worries then.
            if let Err(error) = thread.spawn(run) {
                tracing::error!(%error, "no thread for passwords");
            }
        }
        Ok(People { queue, issuer })
    }

    async fn ask<T>(&self, work: impl FnOnce(oneshot::Sender<T>) -> Work) -> Result<T, Problem> {
        let (reply, answer) = oneshot::channel();
        self.queue.try_send(work(reply)).map_err(|_| busy())?;
        answer.await.map_err(|_| busy())
    }

    pub async fn create(&self, email: &str, name: &str, password: &str) -> Outcome {
        check_password(password)?;
        let (email, name, password) = (email.trim().to_owned(), name.trim().to_owned(), password);
        let password = password.to_owned();
        self.ask(|reply| Work::Create {
            email,
            name,
            password,
            reply,
        })
        .await?
    }

    pub async fn sign_in(&self, email: &str, password: &str) -> Outcome {
        if password.len() > limits::PASSWORD_BYTES_MAX {
            return Err(wrong());
        }
        let (email, password) = (email.trim().to_owned(), password.to_owned());
        self.ask(|reply| Work::SignIn {
            email,
            password,
            reply,
        })
        .await?
    }

    /// The buyer whom a token of the configured issuer names.
    pub fn exchange(&self, token: &str) -> Outcome {
        let buyer = self.issuer.as_ref().and_then(|issuer| issuer.buyer(token));
        let detail = "The token is not one of the configured issuer, or has expired.";
        buyer.ok_or_else(|| Problem::new(Code::Unauthenticated).detail(detail))
    }

    /// What to call somebody; `None` for sign-ins of another issuer.
    pub async fn name(&self, buyer: BuyerId) -> Option<String> {
        self.ask(|reply| Work::Name { buyer, reply })
            .await
            .ok()
            .flatten()
    }
}

fn check_password(password: &str) -> Result<(), Problem> {
    let (min, max) = (limits::PASSWORD_CHARS_MIN, limits::PASSWORD_BYTES_MAX);
    if password.chars().count() < min || password.len() > max {
        let detail = format!("A password has {min} characters or more, and at most {max} bytes.");
        return Err(Problem::new(Code::OutOfBounds).detail(detail));
    }
    Ok(())
}

/// The same words for an unknown address and a wrong password.
fn wrong() -> Problem {
    Problem::new(Code::Unauthenticated).detail("E-mail address or password is wrong.")
}

struct Registrar {
    db: ShopDb,
    reader: ShopReader,
    /// Checked when an address is unknown, so that both cases take as long.
    nobody: String,
}

impl Registrar {
    fn open(path: &Path) -> Result<Registrar, store::StoreError> {
        let db = ShopDb::open(path)?;
        let reader = ShopReader::open(path)?;
        let hash = Argon2::default().hash_password(b"nobody has this password");
        let nobody = hash.map(|hash| hash.to_string()).unwrap_or_default();
        Ok(Registrar { db, reader, nobody })
    }

    fn serve(&mut self, work: Work) {
        // Whoever hung up does not hear the answer.
        match work {
            Work::Create {
                email,
                name,
                password,
                reply,
            } => {
                let _ = reply.send(self.create(&email, &name, &password));
            }
            Work::SignIn {
                email,
                password,
                reply,
            } => {
                let _ = reply.send(self.sign_in(&email, &password));
            }
            Work::Name { buyer, reply } => {
                let account = self.reader.account(buyer).ok().flatten();
                let _ = reply.send(account.map(|account| account.name));
            }
        }
    }

    fn create(&mut self, email: &str, name: &str, password: &str) -> Outcome {
        let hash = Argon2::default().hash_password(password.as_bytes());
        let Ok(hash) = hash.map(|hash| hash.to_string()) else {
            return Err(failed("hashing"));
        };
        let buyer = random_buyer().ok_or_else(|| failed("no randomness"))?;
        let created_ms = jiff::Timestamp::now().as_millisecond().max(0) as u64;
        let account = NewAccount {
            buyer,
            email,
            name,
            password_hash: &hash,
            created_ms,
        };
        match self.db.create_account(&account) {
            Ok(Ok(())) => Ok(buyer),
            Ok(Err(AccountRefused::EmailTaken)) => Err(Problem::new(Code::Exists)
                .detail("An account with this e-mail address exists. Sign in instead.")),
            Ok(Err(refused)) => {
                Err(Problem::new(Code::OutOfBounds).detail(format!("This is {refused}.")))
            }
            Err(error) => Err(failed(&error.to_string())),
        }
    }

    fn sign_in(&mut self, email: &str, password: &str) -> Outcome {
        let account = match self.db.account_by_email(email) {
            Ok(account) => account,
            Err(error) => return Err(failed(&error.to_string())),
        };
        let hash = account
            .as_ref()
            .map_or(&self.nobody, |account| &account.password_hash);
        let Ok(hash) = PasswordHash::new(hash) else {
            return Err(failed("a malformed hash"));
        };
        let right = Argon2::default()
            .verify_password(password.as_bytes(), &hash)
            .is_ok();
        account
            .filter(|_| right)
            .map(|account| account.buyer)
            .ok_or_else(wrong)
    }
}

fn failed(why: &str) -> Problem {
    tracing::error!(why, "accounts");
    Problem::new(Code::Overloaded).detail("Signing in does not work at the moment.")
}

fn random_buyer() -> Option<BuyerId> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).ok()?;
    Some(BuyerId(u128::from_le_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::{EncodingKey, Header, encode};
    use serde_json::json;

    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

    #[test]
    fn only_tokens_of_the_issuer_count() {
        let issuer = Issuer::new("test", "shop", "HS256", SECRET).unwrap();
        let sign = |claims: serde_json::Value, secret: &[u8]| {
            encode(
                &Header::default(),
                &claims,
                &EncodingKey::from_secret(secret),
            )
            .unwrap()
        };
        let future = jiff::Timestamp::now().as_second() + 600;
        let claims = |iss: &str, aud: &str, exp: i64| {
            let sub = "anna";
            json!({"iss": iss, "aud": aud, "exp": exp, "sub": sub})
        };
        let good = sign(claims("test", "shop", future), SECRET);
        assert_eq!(
            issuer.buyer(&good),
            Some(session::buyer_of_subject("test", "anna"))
        );
        let past = jiff::Timestamp::now().as_second() - 600;
        let rows = [
            ("other issuer", sign(claims("evil", "shop", future), SECRET)),
            (
                "other audience",
                sign(claims("test", "bank", future), SECRET),
            ),
            ("expired", sign(claims("test", "shop", past), SECRET)),
            (
                "other secret",
                sign(claims("test", "shop", future), &[9; 32]),
            ),
            (
                "no expiry",
                sign(json!({"iss": "test", "aud": "shop", "sub": "a"}), SECRET),
            ),
            ("garbage", "a.b.c".to_owned()),
        ];
        for (what, token) in rows {
            assert_eq!(issuer.buyer(&token), None, "{what}");
        }
        assert!(Issuer::new("t", "s", "HS256", b"short").is_err());
        assert!(Issuer::new("t", "s", "none", SECRET).is_err());
        assert!(Issuer::new("t", "s", "RS256", SECRET).is_err());
    }
}
