//! The expression language of scenarios: small, typed at run time, and without loops, so that every
//! expression ends. `stock > 0 && status == 200`, `"/p/" + sku`, `random(1, 6)`.
//!
//! Compiled once to a tree; variables are places in a buyer's row. What cannot be computed (a text
//! times a number, a missing variable in arithmetic) is `null`, which is false: a scenario goes on
//! and its checks say what was missing. It must not know about requests.

use crate::limits::{EXPR_DEPTH_MAX, EXPR_TEXT_BYTES_MAX, TEXT_BYTES_MAX};
use crate::rng::Rng;
use std::fmt;

/// What variables hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    #[default]
    Null,
    Bool(bool),
    Number(f64),
    Text(Box<str>),
}

impl Value {
    #[must_use]
    pub fn text(text: &str) -> Value {
        // A body as a variable would be memory for each buyer.
        let mut end = text.len().min(TEXT_BYTES_MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Value::Text(text[..end].into())
    }
    /// Null, false, zero and the empty text are not.
    #[must_use]
    pub fn is_true(&self) -> bool {
        match self {
            Value::Null => false,
            Value::Bool(is) => *is,
            Value::Number(number) => *number != 0.0,
            Value::Text(text) => !text.is_empty(),
        }
    }
    /// Texts count as numbers if they are written as such.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self {
            Value::Number(number) => Some(*number),
            Value::Text(text) => text.trim().parse().ok().filter(|n: &f64| n.is_finite()),
            Value::Bool(is) => Some(f64::from(u8::from(*is))),
            Value::Null => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => Ok(()),
            Value::Bool(is) => write!(f, "{is}"),
            // Whole numbers have no point: they are ids as often as amounts.
            Value::Number(number) => write!(f, "{number}"),
            Value::Text(text) => f.write_str(text),
        }
    }
}

/// What an expression may ask for.
pub trait Scope {
    fn variable(&self, place: usize) -> &Value;
    fn rng(&mut self) -> &mut Rng;
    fn now_ms(&self) -> u64;
}

/// Where names of variables find their places.
pub trait Names {
    fn place(&self, name: &str) -> Option<usize>;
}

impl Names for [String] {
    fn place(&self, name: &str) -> Option<usize> {
        self.iter().position(|known| known == name)
    }
}

/// A compiled expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr(Node);

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Constant(Value),
    Variable(usize),
    Not(Box<Node>),
    Negative(Box<Node>),
    Two(Two, Box<(Node, Node)>),
    Choice(Box<(Node, Node, Node)>),
    Call(Function, Vec<Node>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Two {
    Or,
    And,
    Equal,
    Unequal,
    Less,
    AtMost,
    Greater,
    AtLeast,
    Plus,
    Minus,
    Times,
    Over,
    Rest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Function {
    Contains,
    Int,
    Length,
    Lower,
    NowMs,
    Number,
    Random,
    StartsWith,
    Text,
    Uuid,
}

/// Name, parameters, function.
const FUNCTIONS: &[(&str, usize, Function)] = &[
    ("contains", 2, Function::Contains),
    ("int", 1, Function::Int),
    ("length", 1, Function::Length),
    ("lower", 1, Function::Lower),
    ("now_ms", 0, Function::NowMs),
    ("number", 1, Function::Number),
    ("random", 2, Function::Random),
    ("starts_with", 2, Function::StartsWith),
    ("text", 1, Function::Text),
    ("uuid", 0, Function::Uuid),
];

/// Why a text is no expression: where (a byte of it) and what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at character {}: {what}", at + 1)]
pub struct BadExpr {
    pub at: usize,
    pub what: String,
}

impl Expr {
    pub fn parse(text: &str, names: &(impl Names + ?Sized)) -> Result<Expr, BadExpr> {
        let mut parser = Parser {
            text,
            at: 0,
            depth: 0,
            names,
        };
        if text.len() > EXPR_TEXT_BYTES_MAX {
            return parser.no(format!("longer than {EXPR_TEXT_BYTES_MAX} bytes"));
        }
        let node = parser.choice()?;
        parser.blank();
        if parser.at < text.len() {
            return parser.no("expected an operator or the end");
        }
        Ok(Expr(node))
    }

    #[must_use]
    pub fn constant(value: Value) -> Expr {
        Expr(Node::Constant(value))
    }

    pub fn value(&self, scope: &mut impl Scope) -> Value {
        value(&self.0, scope)
    }

    pub fn is_true(&self, scope: &mut impl Scope) -> bool {
        self.value(scope).is_true()
    }
}

fn value(node: &Node, scope: &mut impl Scope) -> Value {
    match node {
        Node::Constant(constant) => constant.clone(),
        Node::Variable(place) => scope.variable(*place).clone(),
        Node::Not(of) => Value::Bool(!value(of, scope).is_true()),
        Node::Negative(of) => numeric(value(of, scope).number().map(|number| -number)),
        Node::Choice(parts) => match value(&parts.0, scope).is_true() {
            true => value(&parts.1, scope),
            false => value(&parts.2, scope),
        },
        Node::Two(Two::Or, sides) => match value(&sides.0, scope) {
            left if left.is_true() => left,
            _ => value(&sides.1, scope),
        },
        Node::Two(Two::And, sides) => match value(&sides.0, scope) {
            left if left.is_true() => value(&sides.1, scope),
            left => left,
        },
        Node::Two(two, sides) => {
            let (left, right) = (value(&sides.0, scope), value(&sides.1, scope));
            both(*two, &left, &right)
        }
        Node::Call(function, of) => call(*function, of, scope),
    }
}

fn numeric(number: Option<f64>) -> Value {
    number
        .filter(|number| number.is_finite())
        .map_or(Value::Null, Value::Number)
}

fn both(two: Two, left: &Value, right: &Value) -> Value {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let numbers = || Some((left.number()?, right.number()?));
    let ordered = || match (left, right) {
        (Value::Text(left), Value::Text(right)) => Some(left.cmp(right)),
        _ => numbers().and_then(|(left, right)| left.partial_cmp(&right)),
    };
    let equal = || match (left, right) {
        (Value::Null, Value::Null) => true,
        (Value::Null, _) | (_, Value::Null) => false,
        (Value::Text(left), Value::Text(right)) => left == right,
        _ => numbers().is_some_and(|(left, right)| left == right),
    };
    let is = |wanted: &[std::cmp::Ordering]| {
        Value::Bool(ordered().is_some_and(|order| wanted.contains(&order)))
    };
    match two {
        Two::Equal => Value::Bool(equal()),
        Two::Unequal => Value::Bool(!equal()),
        Two::Less => is(&[Less]),
        Two::AtMost => is(&[Less, Equal]),
        Two::Greater => is(&[Greater]),
        Two::AtLeast => is(&[Greater, Equal]),
        Two::Plus if matches!(left, Value::Text(_)) || matches!(right, Value::Text(_)) => {
            Value::text(&format!("{left}{right}"))
        }
        Two::Plus => numeric(numbers().map(|(left, right)| left + right)),
        Two::Minus => numeric(numbers().map(|(left, right)| left - right)),
        Two::Times => numeric(numbers().map(|(left, right)| left * right)),
        Two::Over => numeric(numbers().map(|(left, right)| left / right)),
        Two::Rest => numeric(numbers().map(|(left, right)| left % right)),
        Two::Or | Two::And => unreachable!("they look at their right side only if they must"),
    }
}

fn call(function: Function, of: &[Node], scope: &mut impl Scope) -> Value {
    let mut given = of.iter().map(|node| value(node, scope));
    let mut next = || given.next().unwrap_or_default();
    match function {
        Function::Contains => {
            let (whole, part) = (next().to_string(), next().to_string());
            Value::Bool(whole.contains(&part))
        }
        Function::StartsWith => {
            let (whole, part) = (next().to_string(), next().to_string());
            Value::Bool(whole.starts_with(&part))
        }
        Function::Int => numeric(next().number().map(f64::trunc)),
        Function::Number => numeric(next().number()),
        Function::Length => Value::Number(next().to_string().chars().count() as f64),
        Function::Lower => Value::text(&next().to_string().to_lowercase()),
        Function::Text => Value::text(&next().to_string()),
        Function::Random => {
            let (low, high) = (next().number(), next().number());
            drop(given);
            let (Some(low), Some(high)) = (low, high) else {
                return Value::Null;
            };
            let span = (high - low).max(0.0) as u64;
            Value::Number(low.trunc() + scope.rng().between(0, span) as f64)
        }
        Function::NowMs => {
            drop(given);
            Value::Number(scope.now_ms() as f64)
        }
        Function::Uuid => {
            drop(given);
            let (high, low) = (scope.rng().draw(), scope.rng().draw());
            // Version 4, variant 1 (RFC 9562).
            let (high, low) = (high & !0xF000 | 0x4000, low & (u64::MAX >> 2) | 1 << 63);
            Value::text(&format!(
                "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
                high >> 32,
                high >> 16 & 0xFFFF,
                high & 0xFFFF,
                low >> 48,
                low & 0xFFFF_FFFF_FFFF
            ))
        }
    }
}

struct Parser<'a, N: ?Sized> {
    text: &'a str,
    at: usize,
    depth: usize,
    names: &'a N,
}

/// By how tightly they bind; of two that begin alike the longer one first.
const LEVELS: &[&[(&str, Two)]] = &[
    &[("||", Two::Or)],
    &[("&&", Two::And)],
    &[("==", Two::Equal), ("!=", Two::Unequal)],
    &[
        ("<=", Two::AtMost),
        (">=", Two::AtLeast),
        ("<", Two::Less),
        (">", Two::Greater),
    ],
    &[("+", Two::Plus), ("-", Two::Minus)],
    &[("*", Two::Times), ("/", Two::Over), ("%", Two::Rest)],
];

impl<N: Names + ?Sized> Parser<'_, N> {
    fn no<T>(&self, what: impl Into<String>) -> Result<T, BadExpr> {
        Err(BadExpr {
            at: self.at,
            what: what.into(),
        })
    }
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }
    fn blank(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }
    fn takes(&mut self, token: &str) -> bool {
        self.blank();
        let is = self.rest().starts_with(token);
        self.at += if is { token.len() } else { 0 };
        is
    }

    fn choice(&mut self) -> Result<Node, BadExpr> {
        self.depth += 1;
        if self.depth > EXPR_DEPTH_MAX {
            return self.no(format!("nested deeper than {EXPR_DEPTH_MAX}"));
        }
        let condition = self.level(0)?;
        let node = if self.takes("?") {
            let then = self.choice()?;
            if !self.takes(":") {
                return self.no("expected : and what it is otherwise");
            }
            Node::Choice(Box::new((condition, then, self.choice()?)))
        } else {
            condition
        };
        self.depth -= 1;
        Ok(node)
    }

    fn level(&mut self, level: usize) -> Result<Node, BadExpr> {
        let Some(operators) = LEVELS.get(level) else {
            return self.one();
        };
        let mut left = self.level(level + 1)?;
        let mut count = 0;
        while let Some((_, two)) = operators.iter().find(|(token, _)| self.takes(token)) {
            count += 1;
            // The tree leans left: as deep as the row is long.
            if count > EXPR_DEPTH_MAX {
                return self.no(format!("more than {EXPR_DEPTH_MAX} operators in a row"));
            }
            let right = self.level(level + 1)?;
            left = Node::Two(*two, Box::new((left, right)));
        }
        Ok(left)
    }

    fn one(&mut self) -> Result<Node, BadExpr> {
        self.depth += 1;
        if self.depth > EXPR_DEPTH_MAX {
            return self.no(format!("nested deeper than {EXPR_DEPTH_MAX}"));
        }
        let node = self.simple()?;
        self.depth -= 1;
        Ok(node)
    }

    fn simple(&mut self) -> Result<Node, BadExpr> {
        if self.takes("!") {
            return Ok(Node::Not(Box::new(self.one()?)));
        }
        if self.takes("-") {
            return Ok(Node::Negative(Box::new(self.one()?)));
        }
        if self.takes("(") {
            let node = self.choice()?;
            return match self.takes(")") {
                true => Ok(node),
                false => self.no("expected )"),
            };
        }
        self.blank();
        match self.rest().chars().next() {
            Some(quote @ ('"' | '\'')) => self.quoted(quote),
            Some(digit) if digit.is_ascii_digit() => self.number(),
            Some(letter) if letter.is_ascii_alphabetic() || letter == '_' => self.name(),
            _ => self.no("expected a value, a variable, a function or ("),
        }
    }

    fn quoted(&mut self, quote: char) -> Result<Node, BadExpr> {
        let mut out = String::new();
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((at, char)) = chars.next() {
            match char {
                _ if char == quote => {
                    self.at += at + 1;
                    return Ok(Node::Constant(Value::text(&out)));
                }
                '\\' => match chars.next() {
                    Some((_, 'n')) => out.push('\n'),
                    Some((_, 't')) => out.push('\t'),
                    Some((_, other)) => out.push(other),
                    None => break,
                },
                _ => out.push(char),
            }
        }
        self.no(format!("the text has no closing {quote}"))
    }

    fn number(&mut self) -> Result<Node, BadExpr> {
        let digits = |c: char| c.is_ascii_digit() || c == '.' || c == '_';
        let end = self.rest().find(|c| !digits(c));
        let text = &self.rest()[..end.unwrap_or(self.rest().len())];
        let Ok(number) = text.replace('_', "").parse::<f64>() else {
            return self.no(format!("{text:?} is no number"));
        };
        self.at += text.len();
        Ok(Node::Constant(Value::Number(number)))
    }

    fn name(&mut self) -> Result<Node, BadExpr> {
        let part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        let end = self.rest().find(|c| !part(c));
        let name = self.rest()[..end.unwrap_or(self.rest().len())].to_owned();
        let constant = match name.as_str() {
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            "null" => Some(Value::Null),
            _ => None,
        };
        if let Some(constant) = constant {
            self.at += name.len();
            return Ok(Node::Constant(constant));
        }
        let begin = self.at;
        self.at += name.len();
        if self.takes("(") {
            return self.arguments(&name, begin);
        }
        match self.names.place(&name) {
            Some(place) => Ok(Node::Variable(place)),
            None => {
                self.at = begin;
                self.no(format!("there is no variable {name}"))
            }
        }
    }

    fn arguments(&mut self, name: &str, begin: usize) -> Result<Node, BadExpr> {
        let found = FUNCTIONS.iter().find(|(known, ..)| *known == name);
        let Some((_, wanted, function)) = found else {
            self.at = begin;
            let known: Vec<&str> = FUNCTIONS.iter().map(|(known, ..)| *known).collect();
            return self.no(format!(
                "there is no function {name}, but {}",
                known.join(", ")
            ));
        };
        let mut given = Vec::new();
        if !self.takes(")") {
            loop {
                given.push(self.choice()?);
                if self.takes(")") {
                    break;
                }
                if !self.takes(",") {
                    return self.no("expected , or )");
                }
            }
        }
        if given.len() != *wanted {
            self.at = begin;
            let count = given.len();
            return self.no(format!("{name} takes {wanted} values, not {count}"));
        }
        Ok(Node::Call(*function, given))
    }
}

#[cfg(test)]
mod tests;
