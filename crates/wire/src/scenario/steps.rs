//! What a buyer does: the keys of steps.
//!
//! It must not know how requests travel or what expressions mean.

use super::limits::{
    BODY_CHARS_MAX, CHECK_NAMES_MAX, EXPR_CHARS_MAX, FIELD_NAMES_MAX, LOOP_TIMES_MAX,
    REDIRECTS_MAX, STATUS_RANGES_MAX, VARIABLE_NAMES_MAX,
};
use crate::gateway::limits::PATH_CHARS_MAX;
use crate::gateway::scalar::{FLAG, HEADER, Kind, NAME, Statuses, list, span, table, text, whole};
use crate::gateway::shape::{Json, Mapping, Need, ScalarOr, Several, Shape, Table, mapping, words};
use std::time::Duration;

const HOUR: u64 = 3_600_000;
const EXPR: Shape = text(EXPR_CHARS_MAX);
const VALUE: Shape = Shape::Scalar(Kind::Lines(EXPR_CHARS_MAX));
const BODY: Shape = Shape::Scalar(Kind::Lines(BODY_CHARS_MAX));
const EXTRACT: Shape = Extract::ITEM;

mapping! {
    /// One step: exactly one of request, think, set, do and feed.
    pub struct Step {
        /// An expression; where it is not true, the step is left out.
        when: Option<String> = EXPR, Need::Optional;
        /// A request; in short `PATH` or `METHOD PATH`.
        request: Option<ScalarOr<String, Request>> =
            Shape::ScalarOr(Kind::Text(PATH_CHARS_MAX), Request::SHAPE), Need::Optional;
        /// A pause; in short how long.
        think: Option<ScalarOr<Duration, Think>> =
            Shape::ScalarOr(Kind::Span(0, 24 * HOUR), Think::SHAPE), Need::Optional;
        /// Variables, and the expressions that they become, in this order.
        set: Option<Table<String>> = table(&EXPR, VARIABLE_NAMES_MAX), Need::Optional;
        /// A block; in short its name.
        r#do: Option<ScalarOr<String, Do>> =
            Shape::ScalarOr(Kind::Name, Do::SHAPE), Need::Optional;
        /// The next row of this feeder into its variables.
        feed: Option<String> = NAME, Need::Optional;
    }

    /// A request. Texts may have expressions in them: `/p/${sku}`; `$$` is a dollar.
    pub struct Request {
        /// Its name in figures and thresholds; method and path where this is absent.
        name: Option<String> = text(64), Need::Optional;
        /// The method.
        method: Method = Method::SHAPE, Need::Or("GET");
        /// Path and query, from the root.
        path: String = text(PATH_CHARS_MAX), Need::Required;
        /// Headers.
        headers: Table<String> = table(&VALUE, FIELD_NAMES_MAX), Need::Optional;
        /// The body as it is.
        body: Option<String> = BODY, Need::Optional;
        /// The body as JSON. A text that is one expression becomes that value with its type:
        /// `{quantity: "${n}"}`.
        json: Option<Json> = Shape::Json, Need::Optional;
        /// The body as a form.
        form: Option<Table<String>> = table(&VALUE, FIELD_NAMES_MAX), Need::Optional;
        /// How long it may take; the target's where this is absent.
        timeout: Option<Duration> = span(1, HOUR), Need::Optional;
        /// How many redirects are followed; the target's where this is absent.
        follow_redirects: Option<u64> = whole(0, REDIRECTS_MAX), Need::Optional;
        /// Statuses that are good, in place of 200-399. 429 and 503 count as refusals unless they
        /// stand here, all others as errors.
        expect: Option<Several<Statuses>> =
            Shape::OneOrList(Kind::Statuses, STATUS_RANGES_MAX), Need::Optional;
        /// What has to be true of a good answer.
        checks: Vec<Check> = list(&Check::ITEM, CHECK_NAMES_MAX), Need::Optional;
        /// Variables, and where in the answer they are found; empty where there is nothing.
        extract: Table<Extract> = table(&EXTRACT, VARIABLE_NAMES_MAX), Need::Optional;
    }

    /// What has to be true of an answer: exactly one of is, contains, header and json.
    pub struct Check {
        /// Its name in figures and thresholds; what it asks where this is absent.
        name: Option<String> = text(64), Need::Optional;
        /// An expression, asked after the extractions; `status` is the answer's.
        is: Option<String> = EXPR, Need::Optional;
        /// A text that the body has somewhere.
        contains: Option<String> = VALUE, Need::Optional;
        /// A header that is there.
        header: Option<String> = HEADER, Need::Optional;
        /// A JSON pointer to a value that is there and not null.
        json: Option<String> = VALUE, Need::Optional;
        /// What the header or the value is.
        equals: Option<String> = VALUE, Need::Optional;
    }

    /// Where a variable is found: exactly one of json, css, header, regex, cookie and status.
    pub struct Extract {
        /// By JSON pointer (RFC 6901), such as `/products/0/sku`.
        json: Option<String> = VALUE, Need::Optional;
        /// By CSS selector: the text of the first element.
        css: Option<String> = EXPR, Need::Optional;
        /// With css: this attribute instead of the text.
        attribute: Option<String> = text(64), Need::Optional;
        /// A header.
        header: Option<String> = HEADER, Need::Optional;
        /// By regular expression: its first group, or all of it.
        regex: Option<String> = EXPR, Need::Optional;
        /// A cookie that the buyer has.
        cookie: Option<String> = text(64), Need::Optional;
        /// The answer's status.
        status: bool = FLAG, Need::Or("false");
    }

    /// A pause between two lengths, all equally likely.
    pub struct Think {
        /// The shortest.
        from: Duration = span(0, 24 * HOUR), Need::Required;
        /// The longest.
        to: Duration = span(0, 24 * HOUR), Need::Required;
    }

    /// A block, once or in a loop.
    pub struct Do {
        /// Its name.
        block: String = NAME, Need::Required;
        /// How often.
        times: Option<u64> = whole(1, LOOP_TIMES_MAX), Need::Optional;
        /// An expression: again as long as it is true.
        r#while: Option<String> = EXPR, Need::Optional;
        /// With while: how often at most.
        most: Option<u64> = whole(1, LOOP_TIMES_MAX), Need::Optional;
    }
}

words! {
    /// A method of HTTP.
    pub enum Method {
        Get "GET",
        Head "HEAD",
        Post "POST",
        Put "PUT",
        Patch "PATCH",
        Delete "DELETE",
        Options "OPTIONS",
    }
}

impl Method {
    /// `PATH` or `METHOD PATH`.
    #[must_use]
    pub fn of_short(text: &str) -> (Option<Method>, &str) {
        let Some((word, path)) = text.split_once(' ') else {
            return (Some(Method::Get), text);
        };
        let found = Method::ALL.iter().find(|method| method.as_str() == word);
        (found.copied(), path.trim())
    }

    const ALL: [Method; 7] = [
        Method::Get,
        Method::Head,
        Method::Post,
        Method::Put,
        Method::Patch,
        Method::Delete,
        Method::Options,
    ];
}

impl Request {
    /// As the short form means it.
    #[must_use]
    pub fn of_short(text: &str, at: &str) -> Option<Request> {
        let (method, path) = Method::of_short(text);
        Some(Request {
            at: at.to_owned(),
            name: None,
            method: method?,
            path: path.to_owned(),
            headers: Table(Vec::new()),
            body: None,
            json: None,
            form: None,
            timeout: None,
            follow_redirects: None,
            expect: None,
            checks: Vec::new(),
            extract: Table(Vec::new()),
        })
    }

    /// Its name in figures.
    #[must_use]
    pub fn shown_name(&self) -> String {
        let written = || format!("{} {}", self.method.as_str(), self.path);
        self.name.clone().unwrap_or_else(written)
    }
}
