//! What a request must be before a service sees it, whichever version of HTTP it came by.
//!
//! Framing is judged by `framing.rs`; here are the rules about who is asked (RFC 9112, 3.2 and
//! RFC 9113, 8.3): exactly one host, and one that the target does not contradict. After this, the
//! `Host` of a request is the host that it is for, and services need to look nowhere else.
//! It must not know about connections.

use super::framing::{Head, Length};
use crate::limits::TARGET_BYTES_MAX;
use hyper::header::{HOST, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri, Version};

/// Judges a request of HTTP/1; `head` is the second reading of its bytes.
pub(super) fn judge_h1<B>(
    request: &mut Request<B>,
    head: Option<Head>,
    headers_max: usize,
) -> Result<Length, StatusCode> {
    let head = head.ok_or(StatusCode::BAD_REQUEST)?;
    if let Some(status) = head.refused {
        return Err(status);
    }
    if request.headers().len() > headers_max {
        return Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    }
    let hosts_fit = match head.hosts {
        1 => true,
        0 => request.version() == Version::HTTP_10,
        _ => false,
    };
    if !hosts_fit {
        return Err(StatusCode::BAD_REQUEST);
    }
    judge_target(request)?;
    Ok(head.length)
}

/// Judges a request of HTTP/2, whose framing leaves nothing to interpret.
pub(super) fn judge_h2<B>(request: &mut Request<B>, headers_max: usize) -> Result<(), StatusCode> {
    if request.headers().len() > headers_max {
        return Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    }
    if target_bytes(request.uri()) > TARGET_BYTES_MAX {
        return Err(StatusCode::URI_TOO_LONG);
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    let (host, more) = (hosts.next(), hosts.next());
    let fits = match (request.uri().authority(), host) {
        (None, None) => false,
        (Some(authority), Some(host)) => host
            .as_bytes()
            .eq_ignore_ascii_case(authority.as_str().as_bytes()),
        (Some(_), None) | (None, Some(_)) => true,
    };
    if !fits || more.is_some() {
        return Err(StatusCode::BAD_REQUEST);
    }
    judge_target(request)
}

fn target_bytes(uri: &Uri) -> usize {
    uri.path().len() + uri.query().map_or(0, str::len)
}

/// Which forms of target are served (RFC 9112, 3.2), and for which host.
fn judge_target<B>(request: &mut Request<B>) -> Result<(), StatusCode> {
    if request.method() == Method::CONNECT {
        // A front door opens no tunnels to places that the client names.
        return Err(StatusCode::NOT_IMPLEMENTED);
    }
    let uri = request.uri();
    let is_star = uri.path() == "*" && request.method() == Method::OPTIONS;
    if !uri.path().starts_with('/') && !is_star {
        return Err(StatusCode::BAD_REQUEST);
    }
    let Some(authority) = uri.authority() else {
        return Ok(());
    };
    // Without a scheme it is the form of CONNECT. User names in front of a host mislead people.
    let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
    if !is_http || authority.as_str().contains('@') {
        return Err(StatusCode::BAD_REQUEST);
    }
    // The authority wins over a `Host` that differs (RFC 9112, 3.2.2).
    let host = HeaderValue::from_str(authority.as_str()).map_err(|_| StatusCode::BAD_REQUEST)?;
    request.headers_mut().insert(HOST, host);
    Ok(())
}
