//! The shape of a file that people write: which keys there are, what each may hold, what it means.
//!
//! One table serves the reader, the JSON Schema and the documents, so that they cannot disagree.
//! The macros here make a type, its table and its reader from one list. It must not know what the
//! keys do.

use super::scalar::{Datum, Kind};
use super::source::Source;
use crate::campaign::tree::Node;

/// What a value may be.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    Scalar(Kind),
    /// At most so many of one shape. Where the key is required, at least one.
    List(&'static Shape, usize),
    /// One value, or a list of at most so many.
    OneOrList(Kind, usize),
    Map(&'static Map),
    /// A mapping with exactly one of these keys.
    OneOf(&'static Map),
    /// The name of a file with this mapping, or the mapping itself.
    FileOr(&'static Map),
    /// A mapping with keys of the writer's choice, at most so many, each with this shape.
    Table(&'static Shape, usize),
    /// The short form, or the mapping.
    ScalarOr(Kind, &'static Map),
    /// Whatever JSON can say.
    Json,
}

#[derive(Clone, Copy, Debug)]
pub struct Map {
    pub about: &'static str,
    pub keys: &'static [Key],
}

#[derive(Clone, Copy, Debug)]
pub struct Key {
    raw: &'static str,
    pub about: &'static str,
    pub shape: Shape,
    pub need: Need,
}

/// What happens where a key is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    Required,
    Optional,
    /// Reads as if this text stood there.
    Or(&'static str),
}

impl Key {
    pub const fn new(raw: &'static str, about: &'static str, shape: Shape, need: Need) -> Key {
        Key {
            raw,
            about,
            shape,
            need,
        }
    }
    /// As it stands in files: fields that are words of Rust carry a prefix.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.raw.strip_prefix("r#").unwrap_or(self.raw)
    }
    #[must_use]
    pub fn about(&self) -> &'static str {
        self.about.trim()
    }
}

/// A type with a table of its keys.
pub trait Mapping: Sized {
    const SHAPE: &'static Map;
    const ITEM: Shape = Shape::Map(Self::SHAPE);
}

/// A type that is one of several keys.
pub trait Choice: Sized {
    const SHAPE: &'static Map;
    const ITEM: Shape = Shape::OneOf(Self::SHAPE);
}

/// A type that can be read from a node.
pub trait Take: Sized {
    /// `None` only if nothing could be read; the source knows why.
    fn take(source: &mut Source, shape: &Shape, node: &Node, path: &str) -> Option<Self>;
    /// The value where the key is absent; `None` where it must be there.
    fn absent(need: Need, shape: &Shape) -> Option<Self>;
}

/// A type that a scalar becomes.
pub trait FromDatum: Sized {
    fn from_datum(datum: Datum) -> Option<Self>;
}

impl<T: FromDatum> Take for T {
    fn take(source: &mut Source, shape: &Shape, node: &Node, path: &str) -> Option<T> {
        let Shape::Scalar(kind) = shape else {
            return None;
        };
        T::from_datum(source.scalar(kind, node, path)?)
    }
    fn absent(need: Need, shape: &Shape) -> Option<T> {
        match (need, shape) {
            (Need::Or(text), Shape::Scalar(kind)) => T::from_datum(kind.parse(text).ok()?),
            _ => None,
        }
    }
}

impl<T: Take> Take for Option<T> {
    fn take(source: &mut Source, shape: &Shape, node: &Node, path: &str) -> Option<Option<T>> {
        // What is wrong was reported; going on without it shows what else is wrong.
        Some(T::take(source, shape, node, path))
    }
    fn absent(_: Need, _: &Shape) -> Option<Option<T>> {
        Some(None)
    }
}

impl<T: Take> Take for Vec<T> {
    fn take(source: &mut Source, shape: &Shape, node: &Node, path: &str) -> Option<Vec<T>> {
        let Shape::List(item, most) = shape else {
            return None;
        };
        let nodes = source.list(node, path, *most)?;
        let items = nodes.iter().enumerate();
        let read = items.filter_map(|(index, node)| {
            let path = format!("{path}[{index}]");
            source.note(&path, node.line);
            T::take(source, item, node, &path)
        });
        Some(read.collect())
    }
    fn absent(need: Need, shape: &Shape) -> Option<Vec<T>> {
        let item = match shape {
            Shape::List(item, _) => item,
            _ => return None,
        };
        match need {
            Need::Or(text) => text
                .split(',')
                .map(|text| T::absent(Need::Or(text.trim()), item))
                .collect(),
            Need::Required => None,
            Need::Optional => Some(Vec::new()),
        }
    }
}

/// One value or several, always read as several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Several<T>(pub Vec<T>);

impl<T: FromDatum> Take for Several<T> {
    fn take(source: &mut Source, shape: &Shape, node: &Node, path: &str) -> Option<Several<T>> {
        let Shape::OneOrList(kind, most) = shape else {
            return None;
        };
        let Some(nodes) = node.items() else {
            let one = T::from_datum(source.scalar(kind, node, path)?)?;
            return Some(Several(vec![one]));
        };
        let mut values = Vec::new();
        if nodes.len() > *most {
            let found = format!("a list of {}", nodes.len());
            source.wrong(path, &found, &format!("at most {most}"));
            return None;
        }
        for (index, node) in nodes.iter().enumerate() {
            let path = format!("{path}[{index}]");
            source.note(&path, node.line);
            values.push(T::from_datum(source.scalar(kind, node, &path)?)?);
        }
        Some(Several(values))
    }
    fn absent(_: Need, _: &Shape) -> Option<Several<T>> {
        None
    }
}

/// A mapping that stands here, or in a file of its own.
#[derive(Clone, Debug, PartialEq)]
pub enum FileOr<T> {
    File(std::path::PathBuf),
    Here(T),
}

impl<T: Take + Mapping> Take for FileOr<T> {
    fn take(source: &mut Source, _: &Shape, node: &Node, path: &str) -> Option<FileOr<T>> {
        if node.entries().is_some() {
            return T::take(source, &T::ITEM, node, path).map(FileOr::Here);
        }
        let Datum::Path(file) = source.scalar(&Kind::File, node, path)? else {
            return None;
        };
        Some(FileOr::File(file))
    }
    fn absent(_: Need, _: &Shape) -> Option<FileOr<T>> {
        None
    }
}

/// Keys of the writer's choice, in the file's order.
#[derive(Clone, Debug, PartialEq)]
pub struct Table<T>(pub Vec<(String, T)>);

impl<T> Table<T> {
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&T> {
        self.iter()
            .find_map(|(other, value)| (other == key).then_some(value))
    }
}

impl<T: Take> Take for Table<T> {
    fn take(source: &mut Source, shape: &Shape, node: &Node, path: &str) -> Option<Table<T>> {
        let Shape::Table(item, most) = shape else {
            return None;
        };
        let Some(entries) = node.entries() else {
            source.wrong(path, &node.shown(), "a mapping");
            return None;
        };
        if entries.len() > *most {
            let found = format!("a mapping of {}", entries.len());
            source.wrong(path, &found, &format!("at most {most}"));
            return None;
        }
        let read = entries.iter().filter_map(|(line, key, node)| {
            let path = super::source::joined(path, key);
            source.note(&path, *line);
            Some((key.clone(), T::take(source, item, node, &path)?))
        });
        Some(Table(read.collect()))
    }
    fn absent(need: Need, _: &Shape) -> Option<Table<T>> {
        (need == Need::Optional).then(|| Table(Vec::new()))
    }
}

/// A short form, or a mapping.
#[derive(Clone, Debug, PartialEq)]
pub enum ScalarOr<S, T> {
    Scalar(S),
    Map(T),
}

impl<S: FromDatum, T: Take + Mapping> Take for ScalarOr<S, T> {
    fn take(source: &mut Source, shape: &Shape, node: &Node, path: &str) -> Option<Self> {
        let Shape::ScalarOr(kind, _) = shape else {
            return None;
        };
        if node.entries().is_some() {
            return T::take(source, &T::ITEM, node, path).map(ScalarOr::Map);
        }
        S::from_datum(source.scalar(kind, node, path)?).map(ScalarOr::Scalar)
    }
    fn absent(_: Need, _: &Shape) -> Option<Self> {
        None
    }
}

/// A value as JSON will have it; numbers and flags are as they are written there.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    Null,
    Plain(String),
    Text(String),
    List(Vec<Json>),
    Map(Vec<(String, Json)>),
}

impl Take for Json {
    fn take(source: &mut Source, _: &Shape, node: &Node, path: &str) -> Option<Json> {
        if let Some(plain) = node.plain() {
            // YAML has infinities, JSON has not.
            if serde_json::from_str::<serde_json::Value>(plain).is_err() {
                source.wrong(path, plain, "a number that JSON has");
                return None;
            }
            return Some(Json::Plain(plain.to_owned()));
        }
        if let Some(nodes) = node.items() {
            let items = nodes.iter().enumerate().map(|(index, node)| {
                let path = format!("{path}[{index}]");
                source.note(&path, node.line);
                Json::take(source, &Shape::Json, node, &path)
            });
            return items.collect::<Option<_>>().map(Json::List);
        }
        if let Some(entries) = node.entries() {
            let entries = entries.iter().map(|(line, key, node)| {
                let path = super::source::joined(path, key);
                source.note(&path, *line);
                Some((key.clone(), Json::take(source, &Shape::Json, node, &path)?))
            });
            return entries.collect::<Option<_>>().map(Json::Map);
        }
        match node.scalar_text() {
            Some(text) => Some(Json::Text(text.to_owned())),
            None => Some(Json::Null),
        }
    }
    fn absent(_: Need, _: &Shape) -> Option<Json> {
        None
    }
}

/// A struct, its table of keys and its reader.
macro_rules! mapping {
    ($(
        $(#[doc = $doc:literal])+
        pub struct $name:ident {
            $( $(#[doc = $about:literal])+ $key:ident : $type:ty = $shape:expr, $need:expr; )*
        }
    )*) => { $(
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            /// Where it stands in its file, such as `routes[2]`.
            pub at: String,
            $( $(#[doc = $about])+ pub $key: $type, )*
        }
        impl $crate::gateway::shape::Mapping for $name {
            const SHAPE: &'static $crate::gateway::shape::Map = &$crate::gateway::shape::Map {
                about: concat!($($doc),+),
                keys: &[$(
                    $crate::gateway::shape::Key::new(
                        stringify!($key), concat!($($about),+), $shape, $need,
                    ),
                )*],
            };
        }
        impl $crate::gateway::shape::Take for $name {
            fn take(
                source: &mut $crate::gateway::source::Source,
                _: &$crate::gateway::shape::Shape,
                node: &$crate::campaign::tree::Node,
                path: &str,
            ) -> Option<Self> {
                use $crate::gateway::shape::Mapping;
                let fields = source.open(node, path, Self::SHAPE)?;
                $( let $key: Option<$type> = fields.take(source, stringify!($key)); )*
                Some($name { at: path.to_owned(), $( $key: $key?, )* })
            }
            fn absent(
                need: $crate::gateway::shape::Need,
                _: &$crate::gateway::shape::Shape,
            ) -> Option<Self> {
                use $crate::gateway::shape::{Mapping, Need};
                if need == Need::Required {
                    return None;
                }
                let mut keys = Self::SHAPE.keys.iter();
                Some($name {
                    at: String::new(),
                    $( $key: keys.next().and_then(|key| {
                        <$type as $crate::gateway::shape::Take>::absent(key.need, &key.shape)
                    })?, )*
                })
            }
        }
    )* };
}

/// An enum that a mapping with exactly one key stands for.
macro_rules! one_of {
    ($(
        $(#[doc = $doc:literal])+
        pub enum $name:ident {
            $( $(#[doc = $about:literal])+ $variant:ident($type:ty) $key:literal = $shape:expr; )*
        }
    )*) => { $(
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq)]
        pub enum $name {
            $( $(#[doc = $about])+ $variant($type), )*
        }
        impl $crate::gateway::shape::Choice for $name {
            const SHAPE: &'static $crate::gateway::shape::Map = &$crate::gateway::shape::Map {
                about: concat!($($doc),+),
                keys: &[$(
                    $crate::gateway::shape::Key::new(
                        $key,
                        concat!($($about),+),
                        $shape,
                        $crate::gateway::shape::Need::Optional,
                    ),
                )*],
            };
        }
        impl $crate::gateway::shape::Take for $name {
            fn take(
                source: &mut $crate::gateway::source::Source,
                _: &$crate::gateway::shape::Shape,
                node: &$crate::campaign::tree::Node,
                path: &str,
            ) -> Option<Self> {
                use $crate::gateway::shape::Choice;
                let fields = source.open(node, path, Self::SHAPE)?;
                let chosen = fields.only(source)?;
                $( if chosen == $key {
                    return fields.take(source, $key).map($name::$variant);
                } )*
                None
            }
            fn absent(
                _: $crate::gateway::shape::Need,
                _: &$crate::gateway::shape::Shape,
            ) -> Option<Self> {
                None
            }
        }
    )* };
}

/// An enum of words.
macro_rules! words {
    ($(
        $(#[doc = $doc:literal])+
        pub enum $name:ident { $( $(#[doc = $about:literal])* $variant:ident $word:literal, )* }
    )*) => { $(
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $( $(#[doc = $about])* $variant, )* }
        impl $name {
            pub const WORDS: &'static [&'static str] = &[$($word),*];
            pub const SHAPE: $crate::gateway::shape::Shape =
                $crate::gateway::shape::Shape::Scalar(
                    $crate::gateway::scalar::Kind::Word(Self::WORDS),
                );
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $( $name::$variant => $word, )* }
            }
        }
        impl $crate::gateway::shape::FromDatum for $name {
            fn from_datum(datum: $crate::gateway::scalar::Datum) -> Option<Self> {
                match datum {
                    $( $crate::gateway::scalar::Datum::Word($word) => Some($name::$variant), )*
                    _ => None,
                }
            }
        }
    )* };
}

pub(crate) use {mapping, one_of, words};
