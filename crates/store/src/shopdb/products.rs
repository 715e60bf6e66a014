//! Products: an import is one transaction, a listing is paged by SKU.

use super::{ShopDb, ShopReader};
use crate::error::StoreError;
use crate::limits::PAGE_ROWS_MAX;
use crate::sqlite::{Db, bits, unbits};
use rusqlite::{OptionalExtension, Row, Transaction, TransactionBehavior, params};
use sale::{Currency, Money};
use std::path::{Path, PathBuf};
use wire::catalogue::Product;

const COLUMNS: &str = "sku, title, description, category, price, currency, stock, buyer_limit, \
                       opens_ms, closes_ms, hold_ms, picture, attributes";

/// What an import did, and the catalogue's version after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Upserted {
    pub added: u64,
    pub changed: u64,
    pub unchanged: u64,
    /// Grows by one with each import that added or changed something; never goes back.
    pub catalogue_version: u64,
}

/// One page of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    pub products: Vec<Product>,
    /// The SKU to go on after; `None` on the last page.
    pub next: Option<String>,
}

/// An import under way. Dropped before [`Import::commit`], it leaves no trace.
#[derive(Debug)]
pub struct Import<'a> {
    transaction: Transaction<'a>,
    path: PathBuf,
    done: Upserted,
}

impl ShopDb {
    /// Adds and changes products in one transaction: all or none.
    pub fn upsert(
        &mut self,
        products: impl IntoIterator<Item = Product>,
    ) -> Result<Upserted, StoreError> {
        let mut import = self.import()?;
        for product in products {
            import.put(&product)?;
        }
        import.commit()
    }

    /// Starts an import that is fed one by one, such as by [`wire::catalogue::read`].
    pub fn import(&mut self) -> Result<Import<'_>, StoreError> {
        let path = self.db.path.clone();
        let named = |error| StoreError::of(&path, "starting an import", error);
        let connection = &mut self.db.connection;
        let begun = connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let transaction = begun.map_err(named)?;
        let select = "SELECT version FROM catalogue";
        let version: i64 = transaction
            .query_row(select, [], |row| row.get(0))
            .map_err(named)?;
        let done = Upserted {
            catalogue_version: unbits(version),
            ..Upserted::default()
        };
        Ok(Import {
            transaction,
            path,
            done,
        })
    }

    pub fn catalogue_version(&self) -> Result<u64, StoreError> {
        catalogue_version(&self.db)
    }

    pub fn product(&self, sku: &str) -> Result<Option<Product>, StoreError> {
        product(&self.db, sku)
    }
}

impl ShopReader {
    /// Whoever keeps pages made from products asks this to know when to make them again.
    pub fn catalogue_version(&self) -> Result<u64, StoreError> {
        catalogue_version(&self.db)
    }

    pub fn product(&self, sku: &str) -> Result<Option<Product>, StoreError> {
        product(&self.db, sku)
    }

    /// Up to `limit` (at most [`PAGE_ROWS_MAX`]) products in the order of their SKU.
    pub fn products(&self, after: Option<&str>, limit: usize) -> Result<Page, StoreError> {
        let limit = limit.clamp(1, PAGE_ROWS_MAX);
        let sql = format!("SELECT {COLUMNS} FROM products WHERE sku > ?1 ORDER BY sku LIMIT ?2");
        let query = || {
            let mut statement = self.db.connection.prepare_cached(&sql)?;
            let rows =
                statement.query_map(params![after.unwrap_or(""), limit as i64 + 1], stored)?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        let rows = self.db.done("listing products", query())?;
        let more = rows.len() > limit;
        let products = rows
            .into_iter()
            .take(limit)
            .map(|row| row.checked(&self.db.path))
            .collect::<Result<Vec<_>, _>>()?;
        let next = products
            .last()
            .filter(|_| more)
            .map(|product| product.sku.clone());
        Ok(Page { products, next })
    }

    pub fn product_count(&self) -> Result<u64, StoreError> {
        let count = self
            .db
            .connection
            .query_row("SELECT count(*) FROM products", [], |row| {
                row.get::<_, i64>(0)
            });
        self.db.done("counting products", count).map(unbits)
    }
}

impl Import<'_> {
    pub fn put(&mut self, product: &Product) -> Result<(), StoreError> {
        let found = self.stored(&product.sku)?;
        if found.as_ref() == Some(product) {
            self.done.unchanged += 1;
            return Ok(());
        }
        let version = bits(self.done.catalogue_version) + 1;
        self.write(product, version)
            .map_err(|error| StoreError::of(&self.path, "writing a product", error))?;
        match found {
            Some(_) => self.done.changed += 1,
            None => self.done.added += 1,
        }
        Ok(())
    }

    /// Makes it count; synced to disk on return.
    pub fn commit(self) -> Result<Upserted, StoreError> {
        let Import {
            transaction,
            path,
            mut done,
        } = self;
        let named = |error| StoreError::of(&path, "committing an import", error);
        if done.added + done.changed > 0 {
            done.catalogue_version += 1;
            let update = "UPDATE catalogue SET version = ?1";
            transaction
                .execute(update, [bits(done.catalogue_version)])
                .map_err(named)?;
        }
        transaction.commit().map_err(named)?;
        Ok(done)
    }

    fn stored(&self, sku: &str) -> Result<Option<Product>, StoreError> {
        let found = select(&self.transaction, sku);
        let found =
            found.map_err(|error| StoreError::of(&self.path, "reading a product", error))?;
        found.map(|row| row.checked(&self.path)).transpose()
    }

    fn write(&self, product: &Product, version: i64) -> rusqlite::Result<()> {
        let sql = format!(
            "INSERT OR REPLACE INTO products ({COLUMNS}, version)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"
        );
        let attributes = serde_json::Value::from_iter(
            product
                .attributes
                .iter()
                .map(|(name, value)| vec![name.as_str(), value.as_str()]),
        );
        self.transaction.prepare_cached(&sql)?.execute(params![
            product.sku,
            product.title,
            product.description,
            product.category,
            product.price.0,
            product.currency.as_str(),
            product.stock,
            product.buyer_limit,
            product.opens_ms.map(bits),
            product.closes_ms.map(bits),
            bits(product.hold_ms),
            product.picture,
            attributes.to_string(),
            version,
        ])?;
        Ok(())
    }
}

fn catalogue_version(db: &Db) -> Result<u64, StoreError> {
    let version = db
        .connection
        .query_row("SELECT version FROM catalogue", [], |row| {
            row.get::<_, i64>(0)
        });
    db.done("reading the catalogue's version", version)
        .map(unbits)
}

fn product(db: &Db, sku: &str) -> Result<Option<Product>, StoreError> {
    let found = db.done("reading a product", select(&db.connection, sku))?;
    found.map(|row| row.checked(&db.path)).transpose()
}

fn select(connection: &rusqlite::Connection, sku: &str) -> rusqlite::Result<Option<Stored>> {
    let sql = format!("SELECT {COLUMNS} FROM products WHERE sku = ?1");
    connection
        .prepare_cached(&sql)?
        .query_row([sku], stored)
        .optional()
}

/// A row whose texts are not yet understood.
struct Stored {
    product: Product,
    currency: String,
    attributes: String,
}

fn stored(row: &Row<'_>) -> rusqlite::Result<Stored> {
    let instant = |column| row.get::<_, Option<i64>>(column).map(|at| at.map(unbits));
    let product = Product {
        sku: row.get(0)?,
        title: row.get(1)?,
        description: row.get(2)?,
        category: row.get(3)?,
        price: Money(row.get(4)?),
        currency: Currency::EUR,
        stock: row.get(6)?,
        buyer_limit: row.get(7)?,
        opens_ms: instant(8)?,
        closes_ms: instant(9)?,
        hold_ms: unbits(row.get(10)?),
        picture: row.get(11)?,
        attributes: Vec::new(),
    };
    Ok(Stored {
        product,
        currency: row.get(5)?,
        attributes: row.get(12)?,
    })
}

impl Stored {
    fn checked(self, path: &Path) -> Result<Product, StoreError> {
        let bad = |column| StoreError::BadValue {
            path: path.to_path_buf(),
            table: "products",
            column,
        };
        let currency = Currency::new(&self.currency).ok_or_else(|| bad("currency"))?;
        let attributes = serde_json::from_str(&self.attributes).map_err(|_| bad("attributes"))?;
        Ok(Product {
            currency,
            attributes,
            ..self.product
        })
    }
}
