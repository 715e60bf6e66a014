//! Shows every rule of the tidy test a text that breaks it, and one that does not.

use super::*;

#[test]
fn rules_can_fail() {
    let source = |text: &str| Source::new("crates/sale/src/limits.rs", text);
    let long = format!(
        "fn long() {{\n{}}}\n",
        "    step();\n".repeat(FUNCTION_LINES_MAX)
    );
    assert_eq!(too_big(&source(&long)).len(), 1, "a long function");
    assert_eq!(
        too_big(&source(&"\n".repeat(FILE_LINES_MAX + 1))).len(),
        1,
        "a long file"
    );
    assert_eq!(
        too_big(&source(&"x".repeat(LINE_COLUMNS_MAX + 1))).len(),
        1,
        "a long line"
    );
    assert!(no_prologue(&source("use std::fmt;\n")).is_some());

    let words = "fn f() { unsafe {} }\n#[ignore]\nfn g() { todo!() }\n";
    assert_eq!(forbidden(&source(words)).len(), 3);
    let quoted = "// unsafe\nconst A: &str = \"unsafe todo!\"; /* todo!() */ // 'x'\n";
    assert_eq!(
        forbidden(&source(quoted)).len(),
        0,
        "words in comments and strings are free"
    );
    let sleeping =
        "fn f() { thread::sleep(d) }\n#[cfg(test)]\nmod t { fn g() { thread::sleep(d) } }";
    assert_eq!(
        forbidden(&source(sleeping)).len(),
        1,
        "only the one in the test"
    );

    let reaching = "use std::{fmt, fs};\nuse std::time::Duration;\nfn f() { println!() }\n";
    assert_eq!(impure(&source(reaching)).len(), 3);
    let tested = format!("#[cfg(test)]\nmod tests {{\n{reaching}}}\nfn life<'static>() {{}}\n");
    assert_eq!(impure(&source(&tested)).len(), 0, "tests may");

    let bounds = "pub const FAR: u32 = 1;\n/// Bytes.\npub const A: u8 = 1;\nconst B_MS: u8 = 2;\n";
    assert_eq!(without_unit(&source(bounds)).len(), 1);
    documents_can_fail();
}

fn documents_can_fail() {
    let heading = "| crate | kind | may use | what it is |\n|---|---|---|---|\n";
    let sale = || Package {
        name: "sale".to_owned(),
        ours: BTreeSet::from(["wire".to_owned()]),
        theirs: BTreeSet::new(),
    };
    for (rows, expected) in [
        ("| `sale` | pure | wire | rules |\n", 0),
        ("| `sale` | pure | – | rules |\n", 1),
        (
            "| `sale` | shell | wire | rules |\n| `gone` | pure | – | was |\n",
            2,
        ),
        ("", 1),
    ] {
        let table = crate_table(&format!("{heading}{rows}"));
        assert_eq!(differences(&table, &[sale()]).len(), expected, "{rows}");
    }
    let names = "`crates/gone/src` `gone.rs` `gone::Thing` `crates/seawall` `tidy.rs` `/v1/orders`";
    assert_eq!(names_nothing(names, &root(), &BTreeSet::new()).len(), 3);

    let here = root().join("Makefile");
    let text =
        "# A `b_c` d!\n[x](#a-b_c-d) [y](#nope) [z](gone.md) <img src=\"gone.svg\">\n`[c](no)`\n";
    assert_eq!(broken_links("here", text, &here).len(), 3);

    let api = format!(
        "| {} |\n|---|---|---|---|---|\n| `sold_out`, `gone` | 409 | no | `sku` | |\n",
        ERROR_COLUMNS.join(" | ")
    );
    assert_eq!(without_page(&api, "## `sold_out`\n").len(), 1);
    assert_eq!(without_page("", "").len(), 1);

    let one = || vec![problem("a", "is bad")];
    let excuse = |at| {
        [Exception {
            rule: "r",
            at,
            reason: "history",
        }]
    };
    assert_eq!(left("r", one(), &excuse("a")).len(), 0);
    assert_eq!(
        left("r", one(), &excuse("b")).len(),
        2,
        "not excused, and an unneeded exception"
    );
    assert_eq!(left("other", one(), &excuse("a")).len(), 1);
}
