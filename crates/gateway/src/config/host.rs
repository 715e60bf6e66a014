//! Hosts as routes compare them: without port, in small letters, `*.` for every name below.

/// A host that a route names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostRule {
    Exact(Box<str>),
    /// What names must end in, with its dot.
    Below(Box<str>),
}

impl HostRule {
    #[must_use]
    pub fn new(host: &str) -> HostRule {
        let host = host.to_ascii_lowercase();
        match host.strip_prefix('*') {
            Some(domain) => HostRule::Below(domain.into()),
            None => HostRule::Exact(host.into()),
        }
    }
    /// `host` as [`host_key`] gives it; letters may be of any case.
    #[must_use]
    pub fn fits(&self, host: &str) -> bool {
        match self {
            HostRule::Exact(own) => own.eq_ignore_ascii_case(host),
            HostRule::Below(domain) => {
                let (host, domain) = (host.as_bytes(), domain.as_bytes());
                host.len() > domain.len()
                    && host[host.len() - domain.len()..].eq_ignore_ascii_case(domain)
            }
        }
    }
}

/// The host without its port and the dot that a full name may end in.
#[must_use]
pub fn host_key(host: &str) -> &str {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    name.strip_suffix('.').unwrap_or(name)
}
