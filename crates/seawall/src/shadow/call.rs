//! One request on a connection of its own, waited for: what the verbs ask doors and operators. It
//! is no load, so it is simple: blocking, HTTP/1.1, read to the end.

use anyhow::{Context, anyhow};
use hyper::Uri;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

/// An answer; a list of four million SKUs is not asked for here.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Where requests go.
pub struct Target {
    host: String,
    port: u16,
    authority: String,
    tls: Option<Arc<ClientConfig>>,
}

#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub headers: &'a [(&'a str, &'a str)],
    pub body: &'a [u8],
}

#[derive(Clone, Debug)]
pub struct Told {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Told {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter();
        let mut found = found.filter(|(other, _)| other.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.as_str())
    }
}

impl Target {
    pub fn new(url: &str) -> anyhow::Result<Target> {
        let uri: Uri = url.parse().with_context(|| format!("{url:?} is no URL"))?;
        let bad = || anyhow!("{url:?}: expected http://HOST[:PORT] or https://HOST[:PORT]");
        let authority = uri.authority().ok_or_else(bad)?;
        let https = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(bad()),
        };
        if uri.path() != "/" || uri.query().is_some() || authority.as_str().contains('@') {
            return Err(bad());
        }
        Ok(Target {
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(if https { 443 } else { 80 }),
            authority: authority.to_string(),
            tls: https.then(|| load::tls(None)).transpose()?,
        })
    }

    /// Connecting, writing and each read take no longer than `within`.
    pub fn ask(&self, asked: &Asked<'_>, within: Duration) -> anyhow::Result<Told> {
        let place = || format!("{} {} on {}", asked.method, asked.path, self.authority);
        self.exchange(asked, within).with_context(place)
    }

    fn exchange(&self, asked: &Asked<'_>, within: Duration) -> anyhow::Result<Told> {
        let mut addresses = (self.host.as_str(), self.port).to_socket_addrs()?;
        let address = addresses.next().ok_or_else(|| anyhow!("no address"))?;
        let tcp = TcpStream::connect_timeout(&address, within)?;
        tcp.set_read_timeout(Some(within))?;
        tcp.set_write_timeout(Some(within))?;
        let out = self.written(asked)?;
        let mut answer = Vec::new();
        match &self.tls {
            None => talk(tcp, &out, &mut answer)?,
            Some(config) => {
                let name = ServerName::try_from(self.host.clone())?;
                let connection = ClientConnection::new(Arc::clone(config), name)?;
                talk(StreamOwned::new(connection, tcp), &out, &mut answer)?;
            }
        }
        read(&answer)
    }

    fn written(&self, asked: &Asked<'_>) -> anyhow::Result<Vec<u8>> {
        let mut head = format!("{} {} HTTP/1.1\r\n", asked.method, asked.path);
        let length = asked.body.len().to_string();
        let own = [
            ("host", self.authority.as_str()),
            ("user-agent", concat!("seawall/", env!("CARGO_PKG_VERSION"))),
            ("connection", "close"),
            ("content-length", &length),
        ];
        for (name, value) in own.iter().chain(asked.headers) {
            anyhow::ensure!(
                !value.contains(['\r', '\n']),
                "{name}: a line end in a header"
            );
            head += &format!("{name}: {value}\r\n");
        }
        head += "\r\n";
        Ok([head.as_bytes(), asked.body].concat())
    }
}

fn talk(mut stream: impl Read + Write, out: &[u8], answer: &mut Vec<u8>) -> anyhow::Result<()> {
    stream.write_all(out)?;
    stream.flush()?;
    let mut limited = stream.take(ANSWER_BYTES_MAX);
    match limited.read_to_end(answer) {
        Ok(_) => Ok(()),
        // Some end TLS without saying so; what is missing shows in the length.
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn read(answer: &[u8]) -> anyhow::Result<Told> {
    let end = answer.windows(4).position(|part| part == b"\r\n\r\n");
    let end = end.ok_or_else(|| anyhow!("the answer has no head"))?;
    let head = std::str::from_utf8(&answer[..end]).context("the head is no text")?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let status = status.and_then(|status| status.parse().ok());
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
    let mut told = Told {
        status: status.ok_or_else(|| anyhow!("the answer has no status"))?,
        headers: headers.collect(),
        body: Vec::new(),
    };
    let rest = &answer[end + 4..];
    let chunked = told.header("transfer-encoding");
    if chunked.is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        told.body = unchunked(rest)?;
        return Ok(told);
    }
    let length = told.header("content-length");
    let length = length.and_then(|length| length.parse().ok());
    let length = length.unwrap_or(rest.len());
    let body = rest.get(..length);
    told.body = body
        .ok_or_else(|| anyhow!("the answer broke off"))?
        .to_vec();
    Ok(told)
}

fn unchunked(mut rest: &[u8]) -> anyhow::Result<Vec<u8>> {
    let (mut body, broke) = (Vec::new(), || anyhow!("the answer broke off"));
    loop {
        let line = rest.windows(2).position(|part| part == b"\r\n");
        let line = line.ok_or_else(broke)?;
        let size = std::str::from_utf8(&rest[..line])?;
        let size = size.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).context("the size of a chunk")?;
        if size == 0 {
            return Ok(body);
        }
        let chunk = rest.get(line + 2..).and_then(|rest| rest.get(..size));
        body.extend_from_slice(chunk.ok_or_else(broke)?);
        rest = rest.get(line + 2 + size + 2..).ok_or_else(broke)?;
    }
}

#[cfg(test)]
mod tests {
    use super::read;

    #[track_caller]
    fn check(answer: &str, wanted: Option<(u16, &str)>) {
        let told = read(answer.as_bytes()).ok();
        let told = told.map(|t| (t.status, String::from_utf8(t.body).unwrap()));
        assert_eq!(told, wanted.map(|(s, b)| (s, b.to_owned())), "{answer:?}");
    }

    #[test]
    fn answers_are_whole_or_none() {
        check("HTTP/1.1 204 No Content\r\n\r\n", Some((204, "")));
        check(
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
            Some((200, "hi")),
        );
        check("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi", None);
        check(
            "HTTP/1.1 200 OK\r\n\r\nto the end",
            Some((200, "to the end")),
        );
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        check(
            &format!("{chunked}2;x=y\r\nhi\r\n1\r\n!\r\n0\r\n\r\n"),
            Some((200, "hi!")),
        );
        for bad in [
            "5\r\nhi",
            "x\r\nhi\r\n",
            "2\r\nhi\r\n",
            "ffffffffffffffff\r\n",
        ] {
            check(&format!("{chunked}{bad}"), None);
        }
        check("HTTP/1.1 200 OK\r\n", None);
        check("nonsense\r\n\r\n", None);
    }
}
