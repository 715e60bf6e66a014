//! The one shape into which every format is read: a request as somebody saw it. What a format does
//! not say is `None`. It must not know any format.

/// One recorded request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// When the request began, in microseconds since 1970, as exactly as the format says it.
    pub at_us: u64,
    /// Who asked: an address, a hash, whatever the recording has. Opaque.
    pub client: Option<String>,
    pub method: String,
    /// Path and query, beginning with `/` (or `*`).
    pub target: String,
    pub host: Option<String>,
    pub status: Option<u16>,
    /// Bytes of the request's body.
    pub request_bytes: Option<u64>,
    /// Bytes of the answer's body.
    pub response_bytes: Option<u64>,
    pub duration_us: Option<u64>,
    /// Names in small letters, in the order of the recording; a log has few or none.
    pub headers: Vec<(String, String)>,
    pub body: Option<Vec<u8>>,
}

impl Seen {
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.target.split_once('?').map(|(_, query)| query)
    }

    /// The first header of this name, which is in small letters.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Bytes that it holds, about: for bounds on many of them.
    #[must_use]
    pub fn weight(&self) -> usize {
        let texts = [&self.client, &self.host].map(|text| text.as_ref().map_or(0, String::len));
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| name.len() + value.len() + 48);
        size_of::<Seen>()
            + texts.iter().sum::<usize>()
            + self.method.len()
            + self.target.len()
            + headers.sum::<usize>()
            + self.body.as_ref().map_or(0, Vec::len)
    }

    /// Sets target and host from what stood in a request line or a log: a path, or a whole URL. A
    /// host that is known already stays. `false` if it is neither.
    pub(crate) fn set_target(&mut self, target: &str) -> bool {
        if target.starts_with('/') || target == "*" {
            target.clone_into(&mut self.target);
            return true;
        }
        let lower = target.get(..8).unwrap_or(target).to_ascii_lowercase();
        let start = ["http://", "https://"]
            .into_iter()
            .find(|scheme| lower.starts_with(scheme));
        let Some(rest) = start.and_then(|scheme| target.get(scheme.len()..)) else {
            return false;
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let host = authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host);
        if host.is_empty() {
            return false;
        }
        self.host.get_or_insert_with(|| host.to_owned());
        let rest = rest.split('#').next().unwrap_or_default();
        self.target = if rest.starts_with('/') {
            rest.to_owned()
        } else {
            format!("/{rest}")
        };
        true
    }
}

/// A method as HTTP spells one: a token, not too long.
pub(crate) fn is_method(text: &str) -> bool {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    (1..=32).contains(&text.len()) && text.bytes().all(token)
}

/// A status that HTTP has.
pub(crate) fn status(number: u64) -> Option<u16> {
    u16::try_from(number)
        .ok()
        .filter(|status| (100..=999).contains(status))
}
