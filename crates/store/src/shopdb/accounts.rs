//! Accounts: one per e-mail address, whatever its capitals. The buyer's number is random and
//! given by the caller; it is all that the sale and the projection ever see.

use super::{ShopDb, ShopReader};
use crate::error::StoreError;
use crate::limits::{
    EMAIL_BYTES_MAX, HASH_BYTES_MAX, ISSUER_BYTES_MAX, NAME_BYTES_MAX, SUBJECT_BYTES_MAX,
};
use crate::sqlite::{Db, Wide, bits, unbits};
use rusqlite::{OptionalExtension, Row, TransactionBehavior, params};
use sale::BuyerId;

#[derive(Clone, Copy, Debug)]
pub struct NewAccount<'a> {
    /// Random: nothing about a person can be told from it.
    pub buyer: BuyerId,
    pub email: &'a str,
    pub name: &'a str,
    /// In PHC form, as argon2 writes it; never the password.
    pub password_hash: &'a str,
    pub created_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub buyer: BuyerId,
    /// As it was typed.
    pub email: String,
    pub name: String,
    pub password_hash: String,
    pub created_ms: u64,
}

/// Why an account was not created: answers, not failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountRefused {
    #[error("an account with this e-mail address exists")]
    EmailTaken,
    #[error("this buyer number is in use")]
    BuyerTaken,
    #[error("not an e-mail address of at most {EMAIL_BYTES_MAX} bytes")]
    BadEmail,
    #[error("not a name of 1 to {NAME_BYTES_MAX} bytes without control characters")]
    BadName,
    #[error("not a password hash of 1 to {HASH_BYTES_MAX} bytes")]
    BadHash,
}

/// What [`ShopDb::erase`] found and did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Erased {
    /// There was an account or an identity of this buyer.
    pub found: bool,
    /// The write-ahead log, which may still hold old pages, was emptied too. If a reader was in
    /// the way for long, it was not: [`ShopDb::scrub`] tries again.
    pub scrubbed: bool,
}

impl ShopDb {
    pub fn create_account(
        &mut self,
        new: &NewAccount<'_>,
    ) -> Result<Result<(), AccountRefused>, StoreError> {
        if let Err(refused) = check(new) {
            return Ok(Err(refused));
        }
        let key = email_key(new.email);
        let connection = &mut self.db.connection;
        let mut create = || {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let taken = |sql: &str, value: &dyn rusqlite::ToSql| {
                transaction.prepare_cached(sql)?.exists([value])
            };
            if taken("SELECT 1 FROM accounts WHERE email_key = ?1", &key)? {
                return Ok(Err(AccountRefused::EmailTaken));
            }
            if taken(
                "SELECT 1 FROM accounts WHERE buyer = ?1",
                &Wide::of(new.buyer.0),
            )? {
                return Ok(Err(AccountRefused::BuyerTaken));
            }
            transaction
                .prepare_cached("INSERT INTO accounts VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
                .execute(params![
                    Wide::of(new.buyer.0),
                    new.email.trim(),
                    key,
                    new.name.trim(),
                    new.password_hash,
                    bits(new.created_ms),
                ])?;
            transaction.commit()?;
            Ok(Ok(()))
        };
        let created = create();
        self.db.done("creating an account", created)
    }

    /// The buyer behind another issuer's sign-in: the known one, else `buyer` from now on.
    /// `None` when issuer or subject is empty or too long.
    pub fn buyer_of_identity(
        &mut self,
        issuer: &str,
        subject: &str,
        buyer: BuyerId,
        created_ms: u64,
    ) -> Result<Option<BuyerId>, StoreError> {
        let fits = (1..=ISSUER_BYTES_MAX).contains(&issuer.len())
            && (1..=SUBJECT_BYTES_MAX).contains(&subject.len());
        if !fits {
            return Ok(None);
        }
        let connection = &mut self.db.connection;
        let mut find_or_add = || {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let select = "SELECT buyer FROM identities WHERE issuer = ?1 AND subject = ?2";
            let known: Option<Wide> = transaction
                .prepare_cached(select)?
                .query_row([issuer, subject], |row| row.get(0))
                .optional()?;
            if let Some(known) = known {
                return Ok(BuyerId(known.value()));
            }
            transaction
                .prepare_cached("INSERT INTO identities VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![
                    issuer,
                    subject,
                    Wide::of(buyer.0),
                    bits(created_ms)
                ])?;
            transaction.commit()?;
            Ok(buyer)
        };
        let found = find_or_add();
        self.db.done("looking up an identity", found).map(Some)
    }

    /// Removes name, e-mail address, password hash and identities of a buyer, and every trace of
    /// them from the file. Their orders stay, under a number that leads to nobody.
    pub fn erase(&mut self, buyer: BuyerId) -> Result<Erased, StoreError> {
        let connection = &mut self.db.connection;
        let mut delete = || {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let accounts = transaction
                .execute("DELETE FROM accounts WHERE buyer = ?1", [Wide::of(buyer.0)])?;
            let identities = transaction.execute(
                "DELETE FROM identities WHERE buyer = ?1",
                [Wide::of(buyer.0)],
            )?;
            transaction.commit()?;
            Ok(accounts + identities > 0)
        };
        let deleted = delete();
        let found = self.db.done("erasing an account", deleted)?;
        Ok(Erased {
            found,
            scrubbed: self.scrub()?,
        })
    }

    /// Empties the write-ahead log into the database; `false` if a reader is in the way.
    pub fn scrub(&mut self) -> Result<bool, StoreError> {
        let busy = self
            .db
            .connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0));
        self.db
            .done("emptying the write-ahead log", busy)
            .map(|busy: i64| busy == 0)
    }

    pub fn account_by_email(&self, email: &str) -> Result<Option<Account>, StoreError> {
        account_by_email(&self.db, email)
    }
}

impl ShopReader {
    pub fn account_by_email(&self, email: &str) -> Result<Option<Account>, StoreError> {
        account_by_email(&self.db, email)
    }

    pub fn account(&self, buyer: BuyerId) -> Result<Option<Account>, StoreError> {
        let sql = "SELECT buyer, email, name, password_hash, created_ms FROM accounts
                   WHERE buyer = ?1";
        let query = || {
            let mut statement = self.db.connection.prepare_cached(sql)?;
            statement.query_row([Wide::of(buyer.0)], account).optional()
        };
        self.db.done("reading an account", query())
    }
}

fn account_by_email(db: &Db, email: &str) -> Result<Option<Account>, StoreError> {
    let sql = "SELECT buyer, email, name, password_hash, created_ms FROM accounts
               WHERE email_key = ?1";
    let query = || {
        db.connection
            .prepare_cached(sql)?
            .query_row([email_key(email)], account)
            .optional()
    };
    db.done("reading an account", query())
}

fn account(row: &Row<'_>) -> rusqlite::Result<Account> {
    Ok(Account {
        buyer: BuyerId(row.get::<_, Wide>(0)?.value()),
        email: row.get(1)?,
        name: row.get(2)?,
        password_hash: row.get(3)?,
        created_ms: unbits(row.get(4)?),
    })
}

/// What makes two addresses the same: everything but capitals and surrounding space.
fn email_key(email: &str) -> String {
    email.trim().to_lowercase()
}

/// Only what would break something: whether an address works, only a message to it can tell.
fn check(new: &NewAccount<'_>) -> Result<(), AccountRefused> {
    let email = new.email.trim();
    let parts = email.rsplit_once('@');
    let has_parts = parts.is_some_and(|(person, host)| !person.is_empty() && !host.is_empty());
    let printable = !email.chars().any(|c| c.is_whitespace() || c.is_control());
    if !has_parts || !printable || email.len() > EMAIL_BYTES_MAX {
        return Err(AccountRefused::BadEmail);
    }
    let name = new.name.trim();
    if !(1..=NAME_BYTES_MAX).contains(&name.len()) || name.chars().any(char::is_control) {
        return Err(AccountRefused::BadName);
    }
    if !(1..=HASH_BYTES_MAX).contains(&new.password_hash.len()) {
        return Err(AccountRefused::BadHash);
    }
    Ok(())
}
