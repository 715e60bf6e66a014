//! HAR 1.2, as browsers save it: one JSON document, of which the elements of `log.entries` are
//! taken one by one, so that a large recording is never held whole. A broken entry is refused and
//! the next one is read. The browser is one client. It must not know files.

use crate::error::{ReadError, Why};
use crate::limits::{DEPTH_LEVELS_MAX, HEADERS_MAX, ITEM_BYTES_MAX};
use crate::seen::{Seen, is_method, status};
use crate::time;
use serde::Deserialize;
use std::io::BufRead;

pub(crate) struct Har<R> {
    from: R,
    /// Newlines passed.
    lines: u64,
    item: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Before,
    Inside,
    Over,
}

impl<R: BufRead> Har<R> {
    pub(crate) fn new(from: R) -> Har<R> {
        Har {
            from,
            lines: 0,
            item: Vec::new(),
            state: State::Before,
        }
    }

    fn peek(&mut self) -> Result<Option<u8>, Why> {
        loop {
            match self.from.fill_buf() {
                Ok(bytes) => return Ok(bytes.first().copied()),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Why::Io(error)),
            }
        }
    }

    fn bump(&mut self, byte: u8) {
        self.lines += u64::from(byte == b'\n');
        self.from.consume(1);
    }

    /// The next byte that is no space, not yet consumed.
    fn skip_space(&mut self) -> Result<u8, Why> {
        loop {
            match self.peek()? {
                None => return Err(Why::Cut("a HAR document")),
                Some(byte) if byte.is_ascii_whitespace() => self.bump(byte),
                // The mark of UTF-8 at the start of a file.
                Some(byte @ (0xef | 0xbb | 0xbf)) if self.state == State::Before => self.bump(byte),
                Some(byte) => return Ok(byte),
            }
        }
    }

    fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), Why> {
        if self.skip_space()? != byte {
            return Err(Why::Shape(what));
        }
        self.bump(byte);
        Ok(())
    }

    /// Reads one value into `self.item`, as text; of one that is too long only the end is looked
    /// for.
    fn value(&mut self) -> Result<(), Why> {
        self.item.clear();
        let (mut depth, mut quoted, mut escaped, mut long) = (0_u64, false, false, false);
        self.skip_space()?;
        loop {
            let Some(byte) = self.peek()? else {
                return Err(Why::Cut("a HAR document"));
            };
            let scalar_ends = depth == 0
                && !quoted
                && !self.item.is_empty()
                && (matches!(byte, b',' | b']' | b'}') || byte.is_ascii_whitespace());
            if scalar_ends {
                break;
            }
            self.bump(byte);
            if self.item.len() < ITEM_BYTES_MAX {
                self.item.push(byte);
            } else {
                long = true;
            }
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                b'{' | b'[' if !quoted => depth += 1,
                b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
                _ => continue,
            }
            if depth == 0 && !quoted && matches!(byte, b'"' | b'}' | b']') {
                break;
            }
        }
        if long { Err(Why::LongItem) } else { Ok(()) }
    }

    /// Into the object that comes next, up to the value of the member of this name.
    fn enter(&mut self, name: &str) -> Result<(), Why> {
        self.expect(b'{', "an object with log.entries (HAR)")?;
        loop {
            match self.skip_space()? {
                b',' => self.bump(b','),
                b'"' => {}
                _ => return Err(Why::Shape("log.entries (HAR)")),
            }
            if self.skip_space()? != b'"' {
                return Err(Why::Shape("a member of an object (HAR)"));
            }
            self.value()?;
            let found = serde_json::from_slice::<String>(&self.item).is_ok_and(|key| key == name);
            self.expect(b':', ": behind the name of a member (HAR)")?;
            if found {
                return Ok(());
            }
            match self.value() {
                // What is not asked for may be as long as it likes.
                Ok(()) | Err(Why::LongItem) => {}
                Err(other) => return Err(other),
            }
        }
    }

    fn begin(&mut self) -> Result<(), Why> {
        self.enter("log")?;
        self.enter("entries")?;
        self.expect(b'[', "a list in log.entries (HAR)")
    }

    /// The next entry into `self.item`; `false` after the last one.
    fn entry(&mut self) -> Result<bool, Why> {
        if self.skip_space()? == b',' {
            self.bump(b',');
        }
        if self.skip_space()? == b']' {
            return Ok(false);
        }
        self.value().map(|()| true)
    }
}

impl<R: BufRead> Iterator for Har<R> {
    type Item = Result<Seen, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.state == State::Over {
            return None;
        }
        if self.state == State::Before {
            if let Err(why) = self.begin() {
                self.state = State::Over;
                let line = self.lines + 1;
                return Some(Err(ReadError { line, why }));
            }
            self.state = State::Inside;
        }
        // An entry is named by the line on which it begins.
        let _ = self.next_place();
        let line = self.lines + 1;
        match self.entry() {
            Ok(true) => Some(parse(&self.item).map_err(|why| ReadError { line, why })),
            Ok(false) => {
                self.state = State::Over;
                None
            }
            Err(why) => {
                if !matches!(why, Why::LongItem) {
                    self.state = State::Over;
                }
                Some(Err(ReadError { line, why }))
            }
        }
    }
}

impl<R: BufRead> Har<R> {
    /// To the first byte of the next entry, for its line; what is wrong there is told by `entry`.
    fn next_place(&mut self) -> Result<(), Why> {
        if self.skip_space()? == b',' {
            self.bump(b',');
            self.skip_space()?;
        }
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    started_date_time: String,
    time: Option<f64>,
    request: Request,
    response: Option<Response>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    method: String,
    url: String,
    #[serde(default)]
    headers: Vec<Pair>,
    post_data: Option<PostData>,
    body_size: Option<f64>,
}

#[derive(Deserialize)]
struct Pair {
    name: String,
    #[serde(default)]
    value: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PostData {
    mime_type: Option<String>,
    text: Option<String>,
    #[serde(default)]
    params: Option<Vec<Pair>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    status: Option<f64>,
    body_size: Option<f64>,
    content: Option<Content>,
}

#[derive(Deserialize)]
struct Content {
    size: Option<f64>,
}

fn parse(item: &[u8]) -> Result<Seen, Why> {
    const _: () = assert!(DEPTH_LEVELS_MAX == 128, "what serde_json allows");
    let entry: Entry = serde_json::from_slice(item).map_err(Why::Json)?;
    let when = &entry.started_date_time;
    let mut seen = Seen {
        at_us: time::instant(when).ok_or_else(|| Why::Time(Why::excerpt(when)))?,
        client: Some("har".to_owned()),
        duration_us: count(entry.time.map(|ms| ms * 1e3)),
        ..Seen::default()
    };
    let request = entry.request;
    let line = || format!("{} {}", request.method, request.url);
    if !is_method(&request.method) || !seen.set_target(&request.url) {
        return Err(Why::RequestLine(Why::excerpt(&line())));
    }
    seen.method = request.method;
    if request.headers.len() > HEADERS_MAX {
        return Err(Why::Headers);
    }
    // The pseudo-headers of HTTP/2 say again what the request line says.
    let real = request
        .headers
        .into_iter()
        .filter(|pair| !pair.name.starts_with(':'));
    let pairs = real.map(|pair| {
        (
            pair.name.to_ascii_lowercase(),
            pair.value.unwrap_or_default(),
        )
    });
    seen.headers = pairs.collect();
    seen.body = request.post_data.and_then(body);
    let length = seen.body.as_ref().map(|body| body.len() as u64);
    seen.request_bytes = count(request.body_size).or(length);
    if let Some(response) = entry.response {
        seen.status = count(response.status).and_then(status);
        let content = response.content.and_then(|content| count(content.size));
        seen.response_bytes = count(response.body_size).or(content);
    }
    Ok(seen)
}

/// HAR writes -1 for what it does not know.
fn count(number: Option<f64>) -> Option<u64> {
    let number = number.filter(|number| (0.0..9e15).contains(number))?;
    Some(number.round() as u64)
}

/// As it was sent, if it can be told: parts of a multipart form lose their borders.
fn body(data: PostData) -> Option<Vec<u8>> {
    if let Some(text) = data.text.filter(|text| !text.is_empty()) {
        return Some(text.into_bytes());
    }
    let kind = data.mime_type.unwrap_or_default();
    let params = data.params.filter(|params| !params.is_empty())?;
    if !kind.starts_with("application/x-www-form-urlencoded") {
        return None;
    }
    let mut form = form_urlencoded::Serializer::new(String::new());
    for pair in params {
        form.append_pair(&pair.name, pair.value.as_deref().unwrap_or_default());
    }
    Some(form.finish().into_bytes())
}
