//! Tests of `shopdb`.

use super::*;
use sale::{BuyerId, Currency, Money};
use std::io::BufReader;
use std::path::PathBuf;
use tempfile::TempDir;
use wire::catalogue::{self, Defaults, Format, Product};

fn fresh() -> (TempDir, PathBuf, ShopDb) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.db");
    let shop = ShopDb::open(&path).unwrap();
    (folder, path, shop)
}

fn product(sku: &str) -> Product {
    Product {
        sku: sku.into(),
        title: format!("Title of {sku}"),
        description: "Line one.\nLine two.".into(),
        category: "Kitchen".into(),
        price: Money(2_990),
        currency: Currency::GBP,
        stock: 5,
        buyer_limit: Some(2),
        opens_ms: Some(1_000),
        closes_ms: None,
        hold_ms: 60_000,
        picture: Some("/p.webp".into()),
        attributes: vec![
            ("colour".into(), "red \"and\" blue".into()),
            ("b".into(), "é".into()),
        ],
    }
}

fn account<'a>(buyer: u128, email: &'a str) -> NewAccount<'a> {
    NewAccount {
        buyer: BuyerId(buyer),
        email,
        name: "Ada Lovelace",
        password_hash: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2g",
        created_ms: 77,
    }
}

#[track_caller]
fn check_upsert(shop: &mut ShopDb, products: Vec<Product>, expect: (u64, u64, u64, u64)) {
    let done = shop.upsert(products).unwrap();
    let got = (
        done.added,
        done.changed,
        done.unchanged,
        done.catalogue_version,
    );
    assert_eq!(got, expect, "added, changed, unchanged, version");
    assert_eq!(shop.catalogue_version().unwrap(), done.catalogue_version);
}

#[test]
fn an_import_says_what_it_changed() {
    let (_folder, _, mut shop) = fresh();
    let (a, b) = (product("A"), product("B"));
    check_upsert(&mut shop, vec![a.clone(), b.clone()], (2, 0, 0, 1));
    check_upsert(&mut shop, vec![a.clone(), b.clone()], (0, 0, 2, 1));
    let changed = Product { stock: 6, ..b };
    check_upsert(
        &mut shop,
        vec![a.clone(), changed.clone(), product("C")],
        (1, 1, 1, 2),
    );
    check_upsert(&mut shop, vec![], (0, 0, 0, 2));
    assert_eq!(shop.product("A").unwrap(), Some(a));
    assert_eq!(shop.product("B").unwrap(), Some(changed));
    assert_eq!(shop.product("D").unwrap(), None);
}

#[test]
fn an_import_that_is_dropped_leaves_nothing() {
    let (_folder, path, mut shop) = fresh();
    check_upsert(&mut shop, vec![product("A")], (1, 0, 0, 1));
    let mut import = shop.import().unwrap();
    import.put(&product("B")).unwrap();
    drop(import);
    assert_eq!(shop.product("B").unwrap(), None);
    assert_eq!(
        ShopReader::open(&path)
            .unwrap()
            .catalogue_version()
            .unwrap(),
        1
    );
}

#[test]
fn products_are_listed_by_sku_in_pages() {
    let (_folder, path, mut shop) = fresh();
    shop.upsert((0..25).map(|n| product(&format!("S{n:02}"))))
        .unwrap();
    let reader = ShopReader::open(&path).unwrap();
    let (mut after, mut seen) = (None, Vec::new());
    let mut sizes = Vec::new();
    loop {
        let page = reader.products(after.as_deref(), 10).unwrap();
        sizes.push(page.products.len());
        seen.extend(page.products.into_iter().map(|product| product.sku));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(sizes, [10, 10, 5]);
    assert_eq!(
        seen,
        (0..25).map(|n| format!("S{n:02}")).collect::<Vec<_>>()
    );
    assert_eq!(reader.products(Some("S24"), 10).unwrap().next, None);
    assert_eq!(reader.product_count().unwrap(), 25);
}

#[test]
fn a_stored_value_that_makes_no_sense_is_named() {
    let (_folder, path, mut shop) = fresh();
    shop.upsert([product("A")]).unwrap();
    shop.db
        .connection
        .execute("UPDATE products SET attributes = '{'", [])
        .unwrap();
    let error = ShopReader::open(&path).unwrap().product("A").unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("products holds a value out of range in attributes")
    );
}

#[test]
fn accounts_are_one_per_address_and_buyer() {
    let (_folder, path, mut shop) = fresh();
    let mut check = |buyer, email: &str, expect| {
        assert_eq!(
            shop.create_account(&account(buyer, email)).unwrap(),
            expect,
            "{email}"
        );
    };
    check(1, " Ada@Example.org", Ok(()));
    check(2, "ada@example.ORG ", Err(AccountRefused::EmailTaken));
    check(1, "other@example.org", Err(AccountRefused::BuyerTaken));
    check(2, "ÉLODIE@example.org", Ok(()));
    check(3, "élodie@example.org", Err(AccountRefused::EmailTaken));
    for bad in [
        "",
        "@",
        "a@",
        "@b",
        "no-at",
        "a b@c",
        "a@b\n",
        &"x".repeat(255),
    ] {
        let expect = if bad == "a@b\n" {
            Ok(())
        } else {
            Err(AccountRefused::BadEmail)
        };
        check(9, bad, expect);
    }
    let nameless = NewAccount {
        name: " ",
        ..account(4, "d@example.org")
    };
    assert_eq!(
        shop.create_account(&nameless).unwrap(),
        Err(AccountRefused::BadName)
    );
    let no_hash = NewAccount {
        password_hash: "",
        ..account(4, "d@example.org")
    };
    assert_eq!(
        shop.create_account(&no_hash).unwrap(),
        Err(AccountRefused::BadHash)
    );

    let reader = ShopReader::open(&path).unwrap();
    let found = reader.account_by_email("ADA@example.org").unwrap().unwrap();
    assert_eq!(
        (found.buyer, found.email.as_str()),
        (BuyerId(1), "Ada@Example.org")
    );
    assert_eq!(
        (found.name.as_str(), found.created_ms),
        ("Ada Lovelace", 77)
    );
    assert_eq!(reader.account(BuyerId(1)).unwrap(), Some(found));
    assert_eq!(reader.account(BuyerId(5)).unwrap(), None);
}

#[test]
fn an_identity_keeps_its_buyer() {
    let (_folder, _, mut shop) = fresh();
    let mut buyer = |issuer, subject, new| {
        shop.buyer_of_identity(issuer, subject, BuyerId(new), 5)
            .unwrap()
            .map(|buyer| buyer.0)
    };
    assert_eq!(buyer("https://id.example", "u1", 11), Some(11));
    assert_eq!(buyer("https://id.example", "u1", 12), Some(11));
    assert_eq!(buyer("https://id.example", "u2", 12), Some(12));
    assert_eq!(buyer("https://other.example", "u1", 13), Some(13));
    assert_eq!(buyer("", "u1", 14), None);
    assert_eq!(buyer("https://id.example", &"u".repeat(256), 14), None);
}

#[test]
fn erasing_leaves_nothing_in_any_file() {
    let (folder, _, mut shop) = fresh();
    // Enough neighbours that pages split and rows move.
    for n in 2..400 {
        let email = format!("person{n}@example.org");
        shop.create_account(&account(n, &email)).unwrap().unwrap();
        if n == 200 {
            let secret = NewAccount {
                name: "Zebedee Quux",
                password_hash: "$argon2id$zebedeehash",
                ..account(1, "Zebedee.Secret@example.net")
            };
            shop.create_account(&secret).unwrap().unwrap();
            let issuer = "https://id.example";
            shop.buyer_of_identity(issuer, "zebedee-subject", BuyerId(1), 5)
                .unwrap();
        }
    }
    let words = [
        "Zebedee",
        "zebedee.secret",
        "Quux",
        "zebedeehash",
        "zebedee-subject",
    ];
    let found = |word: &str| {
        std::fs::read_dir(folder.path()).unwrap().any(|file| {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            bytes
                .windows(word.len())
                .any(|window| window == word.as_bytes())
        })
    };
    for word in words {
        assert!(found(word), "{word} is in a file before");
    }
    let erased = shop.erase(BuyerId(1)).unwrap();
    assert_eq!(
        erased,
        Erased {
            found: true,
            scrubbed: true
        }
    );
    for word in words {
        assert!(!found(word), "{word} is gone");
    }
    assert!(found("person399@example.org"), "the others are there");
    assert_eq!(
        shop.account_by_email("zebedee.secret@example.net").unwrap(),
        None
    );
    assert_eq!(
        shop.erase(BuyerId(1)).unwrap(),
        Erased {
            found: false,
            scrubbed: true
        }
    );
}

#[test]
fn a_reader_in_the_way_of_scrubbing_is_told() {
    let (_folder, path, mut shop) = fresh();
    shop.create_account(&account(1, "a@example.org"))
        .unwrap()
        .unwrap();
    let reader = rusqlite::Connection::open(&path).unwrap();
    reader
        .execute_batch("BEGIN; SELECT count(*) FROM accounts;")
        .unwrap();
    shop.db
        .connection
        .busy_timeout(std::time::Duration::ZERO)
        .unwrap();
    assert_eq!(
        shop.erase(BuyerId(1)).unwrap(),
        Erased {
            found: true,
            scrubbed: false
        }
    );
    reader.execute_batch("COMMIT").unwrap();
    assert!(shop.scrub().unwrap());
}

#[test]
fn the_file_keeps_what_was_committed_and_names_a_lock() {
    let (_folder, path, mut shop) = fresh();
    shop.upsert([product("A")]).unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    shop.db
        .connection
        .busy_timeout(std::time::Duration::ZERO)
        .unwrap();
    let error = shop.upsert([product("B")]).unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    drop(other);
    drop(shop);
    let shop = ShopDb::open(&path).unwrap();
    assert_eq!(shop.product("A").unwrap(), Some(product("A")));
}

/// The real catalogue: 19,406 products, straight from the file into the database and back.
#[test]
fn the_real_products_come_back_as_they_were() {
    let folder = std::env::var_os("SEAWALL_DATA").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    let file = folder.join("icecat-products-19406.jsonl.gz");
    if !file.exists() {
        eprintln!("skipped: no real data at {}", file.display());
        return;
    }
    let open = || {
        let input = BufReader::new(std::fs::File::open(&file).unwrap());
        catalogue::unpacked(input).unwrap()
    };
    let (_folder, path, mut shop) = fresh();
    let mut import = shop.import().unwrap();
    let put = |product: Product| import.put(&product).unwrap();
    catalogue::read(open(), Format::JsonLines, &Defaults::default(), put).unwrap();
    assert_eq!(import.commit().unwrap().added, 19_406);
    let reader = ShopReader::open(&path).unwrap();
    let (mut products, _) =
        catalogue::load(open(), Format::JsonLines, &Defaults::default()).unwrap();
    products.sort_by(|a, b| a.sku.cmp(&b.sku));
    let mut stored = Vec::new();
    let mut after = None;
    loop {
        let page = reader.products(after.as_deref(), 1_000).unwrap();
        stored.extend(page.products);
        match page.next {
            Some(sku) => after = Some(sku),
            None => break,
        }
    }
    assert!(
        stored == products,
        "every field of every product is as it was"
    );
    check_upsert(&mut shop, products, (0, 0, 19_406, 1));
}
