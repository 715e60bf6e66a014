//! What the pages promise: nothing hostile gets through, nothing is sent twice, nothing is heavy.

use super::*;
use std::io::Read;

const HOSTILE: &str = "<script>alert(1)</script>\" onload='x' & {{ 7*7 }}";

fn site() -> Site {
    Site {
        campaign: "Double Eleven".to_owned(),
        live: "/v1/live".to_owned(),
    }
}

fn card(number: usize) -> Card {
    Card {
        sku: format!("SKU-{number:04}"),
        title: format!("A product with a middling title, number {number}"),
        category: "Kitchen".to_owned(),
        price: Price::new(129_900 + number as i64, "EUR"),
        picture: Some(format!("/pictures/product-{number}.svg")),
        stock: 400,
        free: 128,
        state: SaleState::Open,
        opens_ms: 1_794_355_200_000,
        closes_ms: None,
        buyer_limit: Some(2),
    }
}

fn hall(products: usize) -> HallView {
    HallView {
        site: site(),
        tagline: "Everything counted.".to_owned(),
        state: SaleState::Open,
        opens_ms: 1_794_355_200_000,
        closes_ms: Some(1_794_394_800_000),
        products: (0..products).map(card).collect(),
        total: products as u64,
        page: 1,
        pages: 1,
        look: Look::FULL,
    }
}

fn product() -> ProductView {
    ProductView {
        site: site(),
        card: card(1),
        description: "First paragraph.\n\nSecond paragraph.".to_owned(),
        attributes: vec![("material".to_owned(), "Steel".to_owned())],
        hold_ms: 600_000,
        others: (2..6).map(other).collect(),
        look: Look::FULL,
    }
}

fn other(number: usize) -> Other {
    let card = card(number);
    Other {
        sku: card.sku,
        title: card.title,
        price: card.price,
        picture: card.picture,
    }
}

fn order(status: OrderStatus) -> OrderView {
    OrderView {
        site: site(),
        order: "0000000000001".to_owned(),
        status,
        lines: vec![OrderLine {
            sku: "SKU-1".to_owned(),
            title: "Kettle".to_owned(),
            picture: None,
            quantity: 2,
            returned: 0,
            unit_price: Price::new(6_400, "EUR"),
            sum: Price::new(12_800, "EUR"),
        }],
        total: Price::new(11_700, "EUR"),
        coupon: Some(("ELEVEN".to_owned(), Price::new(1_100, "EUR"))),
        pay_by_ms: 1_794_355_800_000,
        payment: None,
        refund: None,
        channel: "sandbox".to_owned(),
        key: "key-1".to_owned(),
        notice: None,
        server_ms: 1_794_355_200_000,
    }
}

fn sign_in() -> SignInView {
    SignInView {
        site: site(),
        next: "/orders".to_owned(),
        signed_in: None,
        email: String::new(),
        name: String::new(),
        sign_in_error: None,
        create_error: None,
        password_chars_min: 10,
    }
}

fn refusals() -> Vec<Refusal> {
    let coupon = || HOSTILE.to_owned();
    vec![
        Refusal::SoldOut {
            asked: 2,
            left: 1,
            held: 3,
            sold: 396,
        },
        Refusal::SoldOut {
            asked: 1,
            left: 0,
            held: 0,
            sold: 400,
        },
        Refusal::BuyerLimit {
            asked: 2,
            left: 1,
            limit: 2,
        },
        Refusal::NotOpen {
            opens_ms: 1_794_355_200_000,
        },
        Refusal::Closed,
        Refusal::CouponUnknown { coupon: coupon() },
        Refusal::CouponNotEligible {
            coupon: coupon(),
            minimum: Price::new(5_000, "EUR"),
        },
        Refusal::CouponUsed { coupon: coupon() },
        Refusal::CouponExhausted { coupon: coupon() },
        Refusal::UnknownSku,
        Refusal::KeyReused,
        Refusal::NotHeld,
        Refusal::Busy { retry_after_s: 3 },
        Refusal::Unknown,
        Refusal::CrossSite,
        Refusal::NotFound,
        Refusal::Other {
            title: HOSTILE.to_owned(),
            detail: HOSTILE.to_owned(),
        },
    ]
}

/// Every page there is, with `text` wherever a stranger's text can stand.
fn every_page(text: &str) -> Vec<String> {
    let text = || text.to_owned();
    let hostile_card = || Card {
        sku: text(),
        title: text(),
        category: text(),
        ..card(1)
    };
    let mut odd_picture = hostile_card();
    odd_picture.picture = Some(text());
    let mut view = hall(2);
    view.products.extend([hostile_card(), odd_picture]);
    view.tagline = text();
    view.site.campaign = text();
    let mut pages = vec![
        render_hall(&view),
        render_product(&ProductView {
            card: hostile_card(),
            description: text(),
            attributes: vec![(text(), text())],
            others: vec![Other {
                sku: text(),
                title: text(),
                picture: Some(text()),
                ..other(2)
            }],
            ..product()
        }),
        render_checkout(&CheckoutView {
            site: site(),
            card: hostile_card(),
            quantity: 2,
            total: Price::new(1, "EUR"),
            hold_ms: 1_000,
            coupon: text(),
            key: text(),
            server_ms: 1,
        }),
        render_orders(&OrdersView {
            site: site(),
            name: text(),
            orders: vec![OrderRow {
                order: "1".to_owned(),
                status: OrderStatus::Held,
                total: Price::new(1, "EUR"),
                summary: text(),
                units: 1,
                pay_by_ms: 1,
            }],
            next: Some(text()),
        }),
        render_sign_in(&SignInView {
            next: text(),
            email: text(),
            name: text(),
            sign_in_error: Some(text()),
            create_error: Some(text()),
            ..sign_in()
        }),
        render_sign_in(&SignInView {
            signed_in: Some(text()),
            ..sign_in()
        }),
    ];
    for status in [
        OrderStatus::Held,
        OrderStatus::Pending,
        OrderStatus::Paid,
        OrderStatus::Expired,
        OrderStatus::Cancelled,
    ] {
        let mut view = order(status);
        view.lines[0].title = text();
        view.lines[0].sku = text();
        view.notice = Some(text());
        view.payment = Some(text());
        view.refund = Some(Price::new(1, &text()));
        view.coupon = Some((text(), Price::new(1, "EUR")));
        pages.push(render_order(&view));
    }
    for why in refusals() {
        let mut view = RefusalView::new(site(), why);
        view.product = Some((text(), text()));
        view.again = Some(Again {
            action: "/checkout".to_owned(),
            fields: vec![("key".to_owned(), text())],
        });
        pages.push(render_refusal(&view));
    }
    pages.push(render_not_found(&site()));
    pages.push(render_busy(&site(), 2, None));
    pages
}

#[test]
fn hostile_text_stays_text() {
    for page in every_page(HOSTILE) {
        let title = page.split("<title>").nth(1).unwrap_or_default();
        let title = title.split("</title>").next().unwrap_or_default();
        assert!(!page.contains("alert(1)</script>"), "{title}");
        assert!(
            !page.contains("onload='x'") && !page.contains("\" onload"),
            "{title}"
        );
        assert!(
            !page.contains("}} &"),
            "an ampersand went through in {title}"
        );
    }
    // The test would see it: the text is on the page, in its harmless form.
    assert!(every_page(HOSTILE)[0].contains("&#60;script&#62;alert(1)"));
}

#[test]
fn pages_fit_the_content_security_policy() {
    for page in every_page("plain") {
        let script = format!(
            "<script type=\"module\" src=\"{}\"></script>",
            assets().script.path
        );
        assert_eq!(page.matches("<script").count(), 1);
        assert!(page.contains(&script));
        for forbidden in [
            "<style",
            " style=",
            "javascript:",
            "http://",
            "https://",
            " onclick",
        ] {
            assert!(!page.contains(forbidden), "{forbidden} in {page}");
        }
        for form in page.split("<form").skip(1) {
            let action = form.split("action=\"").nth(1).unwrap_or_default();
            assert!(
                action.starts_with('/') && !action.starts_with("//"),
                "{form}"
            );
        }
    }
}

#[test]
fn pages_can_be_read_by_everybody() {
    for page in every_page("plain") {
        for wanted in [
            "<html lang=\"en\">",
            "<title>",
            "name=\"viewport\"",
            "<main id=\"main\"",
            "href=\"#main\"",
            "<nav aria-label",
        ] {
            assert!(page.contains(wanted), "{wanted} is missing");
        }
        assert_eq!(page.matches("<h1").count(), 1, "one first heading");
        let images = page.matches("<img").count();
        assert_eq!(
            page.matches(" alt=\"").count(),
            images,
            "an image without a text"
        );
    }
}

#[test]
fn only_pictures_of_this_site_are_shown() {
    let ours = assets().no_picture.path.as_str();
    for (picture, shown) in [
        (None, ours),
        (Some("https://elsewhere.example/a.jpg"), ours),
        (Some("//elsewhere.example/a.jpg"), ours),
        (Some("a.svg"), ours),
        (Some("/pictures/a.svg"), "/pictures/a.svg"),
    ] {
        let card = Card {
            picture: picture.map(str::to_owned),
            ..card(1)
        };
        let page = render_product(&ProductView { card, ..product() });
        assert!(
            page.contains(&format!("<img src=\"{shown}\"")),
            "{picture:?}"
        );
    }
}

#[test]
fn states_show_what_can_be_done() {
    let page = |state, free| {
        render_product(&ProductView {
            card: Card {
                state,
                free,
                ..card(1)
            },
            ..product()
        })
    };
    for (state, free, button, words) in [
        (
            SaleState::NotOpen,
            1_200,
            "disabled>Not open yet",
            "1,200 in stock",
        ),
        (SaleState::Open, 128, ">Buy now", "128 left"),
        (SaleState::Open, 20, ">Buy now", "Only 20 left"),
        (SaleState::SoldOut, 0, "disabled>Sold out", "Sold out"),
        (
            SaleState::Closed,
            9,
            "disabled>Sale has ended",
            "Sale has ended",
        ),
    ] {
        let page = page(state, free);
        assert!(page.contains(button), "{button}");
        assert!(
            page.contains(&format!("data-say>{words}</span>")),
            "{words}"
        );
        assert_eq!(page.contains("disabled>"), state != SaleState::Open);
    }
}

#[test]
fn quantities_follow_the_limit() {
    let page = |buyer_limit| {
        render_product(&ProductView {
            card: Card {
                buyer_limit,
                ..card(1)
            },
            ..product()
        })
    };
    assert!(page(Some(1)).contains("type=\"hidden\" name=\"quantity\" value=\"1\""));
    assert_eq!(page(Some(3)).matches("<option>").count(), 3);
    assert!(page(Some(50)).contains("max=\"50\""));
    assert!(page(None).contains("max=\"9999\""));
}

#[test]
fn an_order_can_be_paid_only_while_it_is_held() {
    let held = render_order(&order(OrderStatus::Held));
    assert!(held.contains("action=\"/orders/0000000000001/pay\""));
    assert!(held.contains("Pay €117.00") && held.contains("name=\"key\" value=\"key-1\""));
    for status in [
        OrderStatus::Pending,
        OrderStatus::Paid,
        OrderStatus::Expired,
        OrderStatus::Cancelled,
    ] {
        let page = render_order(&order(status));
        assert!(
            !page.contains("/pay\"") && !page.contains("/cancel\""),
            "{status:?}"
        );
        assert_eq!(
            page.contains("http-equiv=\"refresh\""),
            status == OrderStatus::Pending
        );
    }
}

#[test]
fn refusals_say_what_and_what_is_left() {
    let words = |why: Refusal| why.words().lines.join(" ");
    let short = words(Refusal::SoldOut {
        asked: 3,
        left: 1,
        held: 12,
        sold: 1_387,
    });
    assert!(short.contains("asked for 3; 1 left"), "{short}");
    assert!(short.contains("1,387 sold; 12 on hold"), "{short}");
    let limit = words(Refusal::BuyerLimit {
        asked: 2,
        left: 0,
        limit: 2,
    });
    assert!(limit.contains("have 2 already"), "{limit}");
    for why in refusals() {
        let text = words(why.clone()).to_lowercase();
        let tells = [
            "nothing",
            "may have gone through",
            "first sending",
            "link",
            "alert",
        ];
        assert!(
            tells.iter().any(|part| text.contains(part)),
            "{why:?} leaves a buyer guessing"
        );
    }
    let retry = Again {
        action: "/checkout".to_owned(),
        fields: vec![
            ("key".to_owned(), "k1".to_owned()),
            ("sku".to_owned(), "A".to_owned()),
        ],
    };
    let busy = render_busy(&site(), 3, Some(retry));
    assert!(busy.contains("in 3 seconds") && busy.contains("name=\"key\" value=\"k1\""));
}

#[test]
fn paging_names_first_last_and_neighbours() {
    let steps = |page, pages| {
        let view = HallView {
            page,
            pages,
            ..hall(1)
        };
        let text = view.steps().into_iter().map(|step| match step {
            Step::Page(page) => page.to_string(),
            Step::Gap => "…".to_owned(),
        });
        text.collect::<Vec<_>>().join(" ")
    };
    for (page, pages, shown) in [
        (1, 1, "1"),
        (1, 2, "1 2"),
        (1, 324, "1 2 … 324"),
        (2, 324, "1 2 3 … 324"),
        (3, 324, "1 2 3 4 … 324"),
        (4, 324, "1 2 3 4 5 … 324"),
        (100, 324, "1 … 99 100 101 … 324"),
        (324, 324, "1 … 323 324"),
        (322, 324, "1 … 321 322 323 324"),
    ] {
        assert_eq!(steps(page, pages), shown, "page {page} of {pages}");
    }
    let page = render_hall(&HallView {
        page: 2,
        pages: 324,
        ..hall(1)
    });
    assert!(page.contains("rel=\"prev\" href=\"/#products\""));
    assert!(page.contains("rel=\"next\" href=\"/?page=3#products\""));
}

#[test]
fn the_best_encoding_that_is_wanted() {
    use Encoding::{Brotli, Gzip, Identity};
    for (header, best) in [
        (None, Identity),
        (Some(""), Identity),
        (Some("gzip"), Gzip),
        (Some("gzip, deflate, br, zstd"), Brotli),
        (Some("br;q=0, gzip"), Gzip),
        (Some("br;q=0.0, gzip;q=0"), Identity),
        (Some("gzip;q=1.0, br;q=0.5"), Gzip),
        (Some("GZIP ; Q=0.3"), Gzip),
        (Some("*"), Brotli),
        (Some("*;q=0"), Identity),
        (Some("*, br;q=0"), Gzip),
        (Some("identity, gzip;q=0.5"), Identity),
        (Some("deflate"), Identity),
        (Some("br;q=nonsense, gzip;q=7"), Identity),
    ] {
        assert_eq!(negotiate(header), best, "{header:?}");
    }
}

fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    let found = answer.1.iter().find(|(key, _)| *key == name)?;
    std::str::from_utf8(&found.1).ok()
}

#[test]
fn answers_are_compressed_tagged_and_repeated_as_304() {
    let html = render_hall(&hall(60));
    let page = Rendered::new(html.clone());
    let plain = respond(&page, None, None);
    assert_eq!((plain.0, &plain.2[..]), (200, html.as_bytes()));
    let gzip = respond(&page, Some("gzip"), None);
    let mut unpacked = String::new();
    flate2::read::GzDecoder::new(&gzip.2[..])
        .read_to_string(&mut unpacked)
        .unwrap();
    assert_eq!(unpacked, html);
    let brotli = respond(&page, Some("br"), None);
    let mut unpacked = Vec::new();
    brotli::Decompressor::new(&brotli.2[..], 4_096)
        .read_to_end(&mut unpacked)
        .unwrap();
    assert_eq!(unpacked, html.as_bytes());

    let mut tags = Vec::new();
    for (answer, accepted, encoding) in [
        (&plain, None, None),
        (&gzip, Some("gzip"), Some("gzip")),
        (&brotli, Some("br"), Some("br")),
    ] {
        assert_eq!(header(answer, "content-encoding"), encoding);
        assert_eq!(header(answer, "vary"), Some("Accept-Encoding"));
        assert_eq!(header(answer, "cache-control"), Some("public, no-cache"));
        assert_eq!(
            header(answer, "content-security-policy"),
            Some(CONTENT_SECURITY_POLICY)
        );
        let tag = header(answer, "etag").unwrap();
        tags.push(tag.to_owned());
        for sent in [
            tag.to_owned(),
            format!("W/{tag}"),
            format!("\"x\", {tag}"),
            "*".to_owned(),
        ] {
            let again = respond(&page, accepted, Some(&sent));
            assert_eq!((again.0, again.2.len()), (304, 0), "{sent}");
            assert_eq!(header(&again, "etag"), Some(tag));
            assert_eq!(header(&again, "content-encoding"), None);
        }
        assert_eq!(respond(&page, accepted, Some("\"other\"")).0, 200);
    }
    tags.dedup();
    assert_eq!(tags.len(), 3, "strong tags differ between encodings");
}

#[test]
fn a_tag_changes_with_the_content_only() {
    let first = Rendered::new(render_hall(&hall(3)));
    let again = Rendered::new(render_hall(&hall(3)));
    assert_eq!(first.etag, again.etag);
    let mut sold = hall(3);
    sold.products[0].free -= 1;
    assert_ne!(Rendered::new(render_hall(&sold)).etag, first.etag);
}

#[test]
fn personal_pages_are_never_stored_or_compressed() {
    let answer = personal(200, render_order(&order(OrderStatus::Held)));
    assert_eq!(header(&answer, "cache-control"), Some("private, no-store"));
    assert_eq!(header(&answer, "content-encoding"), None);
    assert_eq!(header(&answer, "x-content-type-options"), Some("nosniff"));
}

#[test]
fn assets_carry_the_hash_of_their_content() {
    let assets = assets();
    for asset in [
        &assets.css,
        &assets.script,
        &assets.icon,
        &assets.no_picture,
    ] {
        let hash = rendered::hash16(&asset.file.identity);
        assert!(asset.path.starts_with("/assets/") && asset.path.contains(&hash));
        let file = assets
            .get(&asset.path)
            .expect("an asset is found under its name");
        let answer = respond(file, Some("br"), None);
        let kept = header(&answer, "cache-control").unwrap_or_default();
        assert!(kept.contains("immutable"), "{kept}");
    }
    assert!(assets.get("/assets/app.0000000000000000.css").is_none());
    assert!(assets.get("/assets/app.css").is_none());
    let page = render_hall(&hall(1));
    assert!(page.contains(&assets.css.path) && page.contains(&assets.script.path));
}

#[test]
fn pages_are_light() {
    let wire = |file: &Rendered| respond(file, Some("gzip"), None).2.len();
    let shared = wire(&assets().css.file) + wire(&assets().script.file);
    let pages = [
        Rendered::new(render_hall(&hall(60))),
        Rendered::new(render_product(&product())),
    ];
    for page in &pages {
        let all = wire(page) + shared;
        assert!(all <= limits::PAGE_WIRE_BYTES_MAX, "{all} bytes");
        println!("{} bytes with gzip, {shared} of them style and script", all);
    }
    let script = assets().script.file.identity.len();
    assert!(
        script <= limits::SCRIPT_BYTES_MAX,
        "{script} bytes of script"
    );
}

fn looks(look: Look) -> [String; 2] {
    let hall = HallView { look, ..hall(3) };
    let product = ProductView { look, ..product() };
    [render_hall(&hall), render_product(&product)]
}

#[test]
fn what_is_switched_off_is_left_out() {
    let old = "stock shown may be old";
    for page in looks(Look::FULL) {
        assert!(page.contains("data-live=") && page.contains("data-count") && !page.contains(old));
    }
    let still = Look {
        live: false,
        ..Look::FULL
    };
    for page in looks(still) {
        assert!(!page.contains("data-live=") && !page.contains("data-count"));
        assert!(page.contains(old) && page.contains("<img") && page.contains("<script"));
    }
    let plain = Look {
        rich: false,
        live: false,
    };
    for page in looks(plain) {
        for gone in ["<img", "<script", "data-live=", "data-count"] {
            assert!(!page.contains(gone), "{gone}");
        }
        assert!(page.contains(old) && page.contains("href=\"/p/SKU-0002\""));
    }
    // Buying needs neither.
    let [_, product] = looks(plain);
    assert!(product.contains("<form action=\"/checkout\" method=\"get\" data-buy>"));
}

#[test]
fn others_of_the_category_are_shown_without_claims_about_their_stock() {
    let page = render_product(&product());
    let (_, row) = page.split_once("More in Kitchen").expect("the row");
    let (row, _) = row.split_once("</section>").unwrap();
    assert_eq!(row.matches("<li").count(), limits::OTHERS_MAX);
    for word in ["left", "in stock", "Sold out", "data-sku"] {
        assert!(!row.contains(word), "{word}");
    }
    let alone = ProductView {
        others: Vec::new(),
        ..product()
    };
    assert!(!render_product(&alone).contains("More in"));
}
