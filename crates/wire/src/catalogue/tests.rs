//! Tests of `catalogue`.

use super::*;

const SIMPLE: &str = "sku,title,price,currency,stock";

fn load_csv(text: &str) -> Result<(Vec<Product>, Summary), ImportError> {
    load(text.as_bytes(), Format::Csv, &Defaults::default())
}

fn load_json(text: &str) -> Result<(Vec<Product>, Summary), ImportError> {
    load(text.as_bytes(), Format::JsonLines, &Defaults::default())
}

/// One line a product: what a merchandiser would check.
fn told(products: &[Product]) -> Vec<String> {
    let picture = |p: &Product| p.picture.clone().unwrap_or("-".into());
    products
        .iter()
        .map(|p| {
            let attributes: Vec<String> = p
                .attributes
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            format!(
                "{} | {} | {} | {} | {} {} | {} | {} | {}",
                p.sku,
                p.title,
                p.description,
                p.category,
                p.price,
                p.currency,
                p.stock,
                picture(p),
                attributes.join(", ")
            )
        })
        .collect()
}

#[track_caller]
fn problems(result: Result<(Vec<Product>, Summary), ImportError>) -> String {
    match result {
        Err(ImportError::Problems(problems)) => problems.to_string(),
        other => panic!("problems expected: {other:?}"),
    }
}

/// A bad file and all that is said about it.
#[track_caller]
fn check_bad_csv(text: &str, expect: &[&str]) {
    assert_eq!(problems(load_csv(text)), expect.join("\n"));
}

#[track_caller]
fn check_bad_json(text: &str, expect: &[&str]) {
    assert_eq!(problems(load_json(text)), expect.join("\n"));
}

#[test]
fn our_own_columns() {
    let text = "\u{feff}SKU,Title,description,category,price,currency,stock,buyer_limit,opens,\
                closes_ms,hold_s,picture,attr_colour\r\n\
                A-1,\"Kettle, 1.7 l\",\"Boils.\nQuietly.\",Kitchen,29.90,EUR,500,2,\
                2026-11-11T00:00:00+01:00,1794400000000,600,/pictures/a-1.webp,red\r\n\
                \r\n\
                A-2,Toaster,,,15,,,,,,,,\r\n";
    let (products, summary) = load_csv(text).unwrap();
    assert_eq!(
        told(&products),
        [
            "A-1 | Kettle, 1.7 l | Boils.\nQuietly. | Kitchen | 2990 EUR | 500 | \
             /pictures/a-1.webp | colour=red",
            "A-2 | Toaster |  |  | 1500 EUR | 0 | - | ",
        ]
    );
    let first = &products[0];
    assert_eq!(
        (
            first.buyer_limit,
            first.opens_ms,
            first.closes_ms,
            first.hold_ms
        ),
        (
            Some(2),
            Some(1_794_351_600_000),
            Some(1_794_400_000_000),
            600_000
        )
    );
    let second = &products[1];
    assert_eq!(
        (
            second.buyer_limit,
            second.opens_ms,
            second.closes_ms,
            second.hold_ms
        ),
        (None, None, None, limits::HOLD_MS_DEFAULT)
    );
    assert_eq!((summary.products, summary.lines), (2, 5));
    assert_eq!(
        (summary.currency_defaulted, summary.stock_defaulted),
        (1, 1)
    );
}

#[test]
fn options_fill_what_the_file_leaves_out() {
    let defaults = Defaults {
        currency: Currency::GBP,
        stock: 7,
        buyer_limit: Some(3),
        opens_ms: Some(1_000),
        closes_ms: Some(2_000),
        hold_ms: 5_000,
    };
    let (products, _) = load(
        "sku;title;price_minor\nA;Kettle;2990\n".as_bytes(),
        Format::Csv,
        &defaults,
    )
    .unwrap();
    let product = &products[0];
    assert_eq!(
        (product.price, product.currency, product.stock),
        (Money(2_990), Currency::GBP, 7)
    );
    assert_eq!(
        (
            product.buyer_limit,
            product.opens_ms,
            product.closes_ms,
            product.hold_ms
        ),
        (Some(3), Some(1_000), Some(2_000), 5_000)
    );
}

#[test]
fn a_shopify_export() {
    let text = "\
Handle,Title,Body (HTML),Vendor,Type,Tags,Published,Option1 Name,Option1 Value,Variant SKU,\
Variant Inventory Qty,Variant Price,Image Src,Image Position,Variant Image,Status
tee,Harbour tee,<p>Soft &amp; light.</p><p>Cotton.</p>,Northsea,Shirts,summer,true,Size,M,T-M,12,\
19.90,https://cdn.example/tee.jpg,1,,active
tee,,,,,,,,L,T-L,-3,19.90,https://cdn.example/tee-back.jpg,2,https://cdn.example/l.jpg,
tee,,,,,,,,,,,,https://cdn.example/tee-side.jpg,3,,
mug,Mug,,Northsea,Kitchen,,true,Title,Default Title,,40,8,,,,active
old,Old mug,,Northsea,Kitchen,,true,Title,Default Title,OLD,1,8,,,,draft
";
    let (products, summary) = load_csv(text).unwrap();
    let tee = "Soft & light.\n\nCotton. | Shirts | 1990 EUR";
    assert_eq!(
        told(&products),
        [
            format!(
                "T-M | Harbour tee – M | {tee} | 12 | https://cdn.example/tee.jpg | \
                 brand=Northsea, Size=M"
            ),
            format!(
                "T-L | Harbour tee – L | {tee} | 0 | https://cdn.example/l.jpg | \
                 brand=Northsea, Size=L"
            ),
            "mug | Mug |  | Kitchen | 800 EUR | 40 | - | brand=Northsea".to_owned(),
        ]
    );
    let notes: Vec<_> = summary.notes.into_iter().collect();
    assert_eq!(
        notes,
        [
            ("rows that only add a picture", 1),
            ("stocks below zero, taken as zero", 1),
            ("variants of products that are not active", 1),
        ]
    );
}

#[test]
fn a_woocommerce_export() {
    let text = "\
ID,Type,SKU,Name,Published,Short description,Description,Date sale price ends,In stock?,Stock,\
Sale price,Regular price,Categories,Images,Attribute 1 name,Attribute 1 value(s)
10,variable,HOOD,Hoodie,1,Warm,,,1,,,,\"Clothing > Hoodies, Sale\",https://w.example/h.jpg,Colour,
11,variation,HOOD-B,Hoodie - Blue,1,Warm\\nand soft,,,1,5,39.5,45,\"Clothing > Hoodies, Sale\",\
\"https://w.example/b.jpg, https://w.example/b2.jpg\",Colour,Blue
12,\"simple, virtual\",,Gift card,1,,<b>For friends</b>,2026-12-01,0,,20,25,,,,
13,simple,HID,Hidden,0,,,,1,1,,1,,,,
";
    let (products, summary) = load_csv(text).unwrap();
    assert_eq!(
        told(&products),
        [
            "HOOD-B | Hoodie - Blue | Warm\nand soft | Hoodies | 3950 EUR | 5 | \
             https://w.example/b.jpg | Colour=Blue",
            "id:12 | Gift card | For friends |  | 2500 EUR | 0 | - | ",
        ]
    );
    let notes: Vec<_> = summary.notes.into_iter().collect();
    assert_eq!(
        notes,
        [
            ("products that are not published", 1),
            ("sale prices with dates of their own, not used", 1),
            (
                "variable, grouped and external products (their variations are products)",
                1
            ),
        ]
    );
}

#[test]
fn our_own_json_lines() {
    let text = concat!(
        r#"{"sku":"A-1","title":"Kettle","price":29.9,"stock":5,"closes":null,"#,
        r#""attributes":{"colour":"red","watts":2200,"cordless":true}}"#,
        "\n\n",
        r#"{"sku":"A-2","title":"Toaster","price_minor":1500,"currency":"JPY","#,
        r#""attr_t_slot_count":"2"}"#,
    );
    let (products, summary) = load_json(text).unwrap();
    assert_eq!(
        told(&products),
        [
            "A-1 | Kettle |  |  | 2990 EUR | 5 | - | colour=red, watts=2200, cordless=yes",
            "A-2 | Toaster |  |  | 1500 JPY | 0 | - | slot count=2",
        ]
    );
    assert_eq!((summary.products, summary.lines), (2, 3));
}

#[test]
fn icecat_json_lines() {
    let text = concat!(
        r#"{"id":"3920564","name":"006R90321","title":"Toner","short_description":"6 per box","#,
        r#""date_released":"2009-12-10T00:00:00Z","supplier":"Xerox","price":4995,"#,
        r#""attr_t_product_type":"Toner","attr_n_quantity_per_pack":6.0,"attr_b_refill":false}"#,
    );
    let (products, _) = load_json(text).unwrap();
    assert_eq!(
        told(&products),
        [
            "3920564 | Toner | 6 per box | Toner | 4995 EUR | 0 | - | model=006R90321, \
          released=2009-12-10, brand=Xerox, quantity per pack=6, refill=no"
        ]
    );
}

#[test]
fn bad_csv_is_told_by_line_and_column() {
    let head = SIMPLE;
    check_bad_csv(
        "",
        &["line 1: found an empty file, expected a header row with column names"],
    );
    check_bad_csv(
        head,
        &["line 1: found no product, expected at least one row below the header"],
    );
    check_bad_csv(
        "name,cost\nx,1\n",
        &[
            "line 1, header: found \"name,cost\", expected our columns (sku, title, price, …), or \
           a product export of Shopify (Handle, Title, Variant Price, …) or WooCommerce (SKU, Name, \
           Regular price, …)",
        ],
    );
    check_bad_csv(
        "sku,titel,sku\n",
        &[
            "line 1, header: found \"titel\", expected a known column (docs/catalogue.md lists \
             them) or attr_…",
            "line 1, sku: found the column twice, expected each column once",
            "line 1, header: found no column title, expected sku, title, price",
            "line 1, header: found no column price, expected sku, title, price",
        ],
    );
    check_bad_csv(
        &format!("{head}\nA,Kettle,29.90,EUR\n,,12.345,eur,-1\n"),
        &[
            "line 2: found 4 fields, expected 5 as in the header",
            "line 3, currency: found \"eur\", expected three capital letters, such as EUR",
            "line 3, sku: found nothing, expected a SKU",
            "line 3, title: found nothing, expected a title",
            "line 3, price: found \"12.345\", expected an amount in EUR such as 19.99, without \
             sign or thousands separator",
            "line 3, stock: found \"-1\", expected whole units, 0 to 1000000000",
        ],
    );
    check_bad_csv(
        &format!("{head}\nA,Kettle,1,EUR,1\nB,\"Two\nlines\",1,EUR,1\nA,Again,1,EUR,1\n"),
        &["line 5, sku: found \"A\", expected a SKU once in the file (it is on line 2)"],
    );
    check_bad_csv(
        &format!("{head}\nA,\"Kettle\"x,1,EUR,1\nB,\"never closed,1,EUR,1\nC,x,1,EUR,1\n"),
        &[
            "line 2: found \"x,1,EUR,1\", expected a delimiter after a closing quote (a quote \
             inside is written \"\")",
            "line 3: found a quote that does not close, before \"never closed,1,EUR,1 C,x,1,EUR,1\
             \", expected a closing quote within 1048576 bytes",
        ],
    );
    check_bad_csv(
        "sku,title,price,opens,closes,hold_ms,buyer_limit,picture\n\
         A,Kettle,1,tomorrow,2026-01-01,5,0,javascript:alert(1)\n\
         B,Kettle,1,2026-01-02T00:00:00Z,2026-01-01T00:00:00Z,,,\n",
        &[
            "line 2, opens: found \"tomorrow\", expected an instant with its offset, such as \
             2026-11-11T00:00:00+01:00",
            "line 2, buyer_limit: found \"0\", expected whole units, at least 1; empty for no \
             limit",
            "line 2, closes: found \"2026-01-01\", expected an instant with its offset, such as \
             2026-11-11T00:00:00+01:00",
            "line 2, hold_ms: found \"5\", expected a hold of 100 ms to 604800000 ms",
            "line 2, picture: found \"javascript:alert(1)\", expected an http or https address, or \
             a path on this site",
            "line 3, closes: found \"2026-01-01T00:00:00Z\", expected an instant after the opening",
        ],
    );
    check_bad_csv(
        "sku,title,price,price_minor\nA,Kettle,1,100\nB,Kettle,,1.5\nC,Kettle,,\n",
        &[
            "line 2, price_minor: found \"100\", expected either price or price_minor, not both",
            "line 3, price_minor: found \"1.5\", expected whole minor units of EUR, 0 to \
             1000000000000",
            "line 4, price: found nothing, expected a price",
        ],
    );
    let long_sku = "x".repeat(65);
    check_bad_csv(
        &format!("{head}\n{long_sku},Kettle,1,EUR,1\n"),
        &[&format!(
            "line 2, sku: found \"{long_sku}\", expected 1 to 64 bytes without control characters"
        )],
    );
}

#[test]
fn bytes_that_are_not_utf8_are_told() {
    let text = b"sku,title,price\nA,K\xFCche,1\n";
    let result = load(&text[..], Format::Csv, &Defaults::default());
    assert_eq!(
        problems(result),
        "line 2, column 2: found \"K\u{fffd}che\", expected UTF-8 (save the file as \"CSV UTF-8\")"
    );
}

#[test]
fn bad_json_is_told_by_line_and_field() {
    check_bad_json(
        "",
        &["line 0: found no product, expected one JSON object a line"],
    );
    check_bad_json(
        "{\"sku\":\"A\",\n[1]\n{\"sku\":\"A\",\"sku\":\"B\"}\n",
        &[
            "line 1, column 11: found \",\" (EOF while parsing a value), expected one JSON object \
             in UTF-8",
            "line 2, column 1: found \"[1]\" (invalid type: sequence, expected an object), \
             expected one JSON object in UTF-8",
            "line 3, column 21: found \"}\" (field `sku` twice), expected one JSON object in UTF-8",
        ],
    );
    check_bad_json(
        "{\"sku\":\"A\",\"title\":[\"x\"],\"price\":1,\"colour\":\"red\"}\n\
         {\"sku\":\"B\",\"title\":\"x\",\"price\":\"1\",\"attributes\":{\"size\":{}}}\n\
         {\"sku\":\"C\",\"title\":\"x\",\"price\":1e300}\n",
        &[
            "line 1, title: found \"[\"x\"]\", expected a text, a number, or null",
            "line 1, colour: found an unknown field, expected a known field: sku, title, price or \
             price_minor, … (docs/catalogue.md)",
            "line 2, attributes.size: found \"{}\", expected a text, a number, or null",
            "line 3, price: found \"1e+300\", expected an amount in EUR such as 19.99, without \
             sign or thousands separator",
        ],
    );
}

#[test]
fn the_fiftieth_problem_is_told_and_the_rest_counted() {
    let rows: String = (0..60).map(|n| format!("S{n},x,free\n")).collect();
    let told = problems(load_csv(&format!("sku,title,price\n{rows}")));
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 51);
    assert!(lines[49].starts_with("line 51, price"), "{}", lines[49]);
    assert_eq!(lines[50], "and 10 more");
}

#[test]
fn nothing_is_handed_on_after_the_first_problem() {
    let mut seen = Vec::new();
    let text = "sku,title,price\nA,x,1\nB,x,free\nC,x,1\n";
    let result = read(text.as_bytes(), Format::Csv, &Defaults::default(), |p| {
        seen.push(p.sku)
    });
    assert!(result.is_err());
    assert_eq!(seen, ["A"]);
}

#[test]
fn a_line_that_is_too_long_is_told_and_skipped() {
    let long = "y".repeat(limits::LINE_BYTES_MAX + 10);
    let told = problems(load_csv(&format!(
        "sku,title,price\nA,{long},1\nB,x,free\n"
    )));
    assert_eq!(
        told.lines()
            .map(|line| line.split(':').next().unwrap())
            .collect::<Vec<_>>(),
        ["line 2", "line 3, price"]
    );
    let quote = format!(
        "sku,title,price\nA,\"{}",
        "y\n".repeat(limits::LINE_BYTES_MAX)
    );
    assert!(problems(load_csv(&quote)).starts_with("line 2: found a quote that does not close"));
}

#[test]
fn gzip_is_unpacked_and_plain_text_passes() {
    use std::io::Write;
    let text = "sku,title,price\nA,x,1\n";
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(text.as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    for bytes in [text.as_bytes(), &packed] {
        let (products, _) =
            load(unpacked(bytes).unwrap(), Format::Csv, &Defaults::default()).unwrap();
        assert_eq!(products.len(), 1);
    }
    let cut = &packed[..packed.len() - 6];
    let error = load(unpacked(cut).unwrap(), Format::Csv, &Defaults::default()).unwrap_err();
    assert!(
        matches!(error, ImportError::Read { line: 2, .. }),
        "{error}"
    );
}

#[test]
fn formats_are_told_by_name() {
    for (name, expect) in [
        ("shop.csv", Some(Format::Csv)),
        ("SHOP.CSV.GZ", Some(Format::Csv)),
        ("shop.tsv", Some(Format::Csv)),
        ("shop.jsonl.gz", Some(Format::JsonLines)),
        ("shop.ndjson", Some(Format::JsonLines)),
        ("shop.xlsx", None),
        ("csv", None),
    ] {
        assert_eq!(Format::of_name(name), expect, "{name}");
    }
}

/// The real catalogue: 19,406 products, read where the data is.
#[test]
fn the_real_products_are_all_good() {
    let folder = std::env::var_os("SEAWALL_DATA").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        std::path::PathBuf::from,
    );
    let path = folder.join("icecat-products-19406.jsonl.gz");
    let Ok(file) = std::fs::File::open(&path) else {
        eprintln!("skipped: no real data at {}", path.display());
        return;
    };
    let input = unpacked(io::BufReader::new(file)).unwrap();
    let (products, summary) = load(input, Format::JsonLines, &Defaults::default()).unwrap();
    assert_eq!((products.len(), summary.lines), (19_406, 19_406));
    let toner = products
        .iter()
        .find(|product| product.sku == "3920564")
        .unwrap();
    assert_eq!(
        toner.title,
        "Xerox 006R90321 toner cartridge Original Black 6 pc(s)"
    );
    assert_eq!(toner.price, Money(4_995));
    assert!(
        toner
            .attributes
            .contains(&("black toner page yield".into(), "23000".into()))
    );
}
