//! The language by examples, and by garbage.

use super::*;
use crate::rng::Rng;
use proptest::proptest;

struct Row(Vec<Value>, Rng);

impl Scope for Row {
    fn variable(&self, place: usize) -> &Value {
        &self.0[place]
    }
    fn rng(&mut self) -> &mut Rng {
        &mut self.1
    }
    fn now_ms(&self) -> u64 {
        1_700_000_000_123
    }
}

fn names() -> Vec<String> {
    ["stock", "sku", "empty", "body.id"]
        .map(str::to_owned)
        .into()
}

fn eval(text: &str) -> Value {
    let row = vec![
        Value::Number(3.0),
        Value::text("mug-7"),
        Value::Null,
        Value::text("42"),
    ];
    let expr = Expr::parse(text, &names()[..]).unwrap_or_else(|bad| panic!("{text}: {bad}"));
    expr.value(&mut Row(row, Rng::new(1)))
}

#[test]
fn values() {
    let cases = [
        ("1 + 2 * 3", "7"),
        ("(1 + 2) * 3", "9"),
        ("10 - 3 - 2", "5"),
        ("7 % 4", "3"),
        ("-2 + 5", "3"),
        ("stock > 0 && sku == 'mug-7'", "true"),
        ("stock >= 3", "true"),
        ("stock < 3 || empty == null", "true"),
        ("empty == 0", "false"),
        ("!empty", "true"),
        ("\"/p/\" + sku", "/p/mug-7"),
        ("'n' + 1 + 2", "n12"),
        ("1 + 2 + 'n'", "3n"),
        ("body.id + 0 == 42", "false"),
        ("number(body.id) + 1", "43"),
        ("body.id == 42", "true"),
        ("stock ? 'some' : 'none'", "some"),
        ("empty ? 1 : stock ? 2 : 3", "2"),
        ("length('añb')", "3"),
        ("contains(sku, 'ug')", "true"),
        ("starts_with(sku, 'ug')", "false"),
        ("int(7 / 2)", "3"),
        ("lower('ABC')", "abc"),
        ("now_ms()", "1700000000123"),
        ("empty + 1", ""),
        ("1 / 0", ""),
        ("'a' < 'b'", "true"),
        ("sku && stock", "3"),
        ("1_000_000", "1000000"),
        ("0.25 * 4", "1"),
        ("'it\\'s'", "it's"),
    ];
    for (text, wanted) in cases {
        assert_eq!(eval(text).to_string(), wanted, "{text}");
    }
}

#[test]
fn drawn_values_stay_in_their_bounds() {
    let expr = Expr::parse("random(1, 6)", &names()[..]).unwrap();
    let mut row = Row(Vec::new(), Rng::new(3));
    let mut seen = [0; 7];
    for _ in 0..600 {
        seen[expr.value(&mut row).number().unwrap() as usize] += 1;
    }
    assert!(
        seen[0] == 0 && seen[1..].iter().all(|n| *n > 60),
        "{seen:?}"
    );
    let uuid = eval("uuid()").to_string();
    assert_eq!((uuid.len(), &uuid[14..15]), (36, "4"));
    assert!("89ab".contains(&uuid[19..20]), "{uuid}");
}

#[test]
fn mistakes_say_where() {
    let cases = [
        ("", 0, "expected a value"),
        ("1 +", 3, "expected a value"),
        ("(1", 2, "expected )"),
        ("price > 1", 0, "there is no variable price"),
        ("1 2", 2, "expected an operator"),
        ("'open", 0, "no closing '"),
        ("exec(1)", 0, "there is no function exec"),
        ("random(1)", 0, "random takes 2 values, not 1"),
        ("1.2.3", 0, "is no number"),
        ("a ? 1", 0, "there is no variable a"),
        ("stock ? 1", 9, "expected :"),
    ];
    for (text, at, what) in cases {
        let bad = Expr::parse(text, &names()[..]).unwrap_err();
        assert!(bad.at == at && bad.what.contains(what), "{text}: {bad:?}");
    }
    for deep in ["(", "!", "-"] {
        let text = deep.repeat(400) + "1";
        assert!(Expr::parse(&text, &names()[..]).is_err(), "{deep}");
    }
    assert!(Expr::parse(&"1+".repeat(900), &names()[..]).is_err());
}

proptest! {
    #[test]
    fn whatever_parses_ends_with_a_value(text in "[-a-z0-9 .+*/%()!<>=&|?:,'\"_é]{0,60}") {
        if let Ok(expr) = Expr::parse(&text, &names()[..]) {
            let row = vec![Value::Number(3.0), Value::text("x"), Value::Null, Value::text("42")];
            let _ = expr.value(&mut Row(row, Rng::new(1)));
        }
    }
}
