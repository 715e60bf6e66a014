//! Certificates by name, and how they are replaced while connections go on.
//!
//! A listener asks for the certificate anew at each handshake, so replacing them all is one
//! pointer; connections that stand keep what they agreed on. Files are read and checked whole,
//! with all problems at once, and a bad set changes nothing. The cryptography is named here and
//! not taken from a process-wide default that somebody else may have set.
//! It must not know about connections.

use crate::limits::{CERTIFICATES_MAX, NAMES_PER_CERTIFICATE_MAX, PEM_BYTES_MAX};
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

/// One certificate and the names it is shown for. Without names, all that stand in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// `shop.example` or `*.shop.example`.
    pub names: Vec<String>,
    /// PEM: the certificate, then those that lead to its root.
    pub cert_file: PathBuf,
    /// PEM: PKCS #8, PKCS #1 or SEC 1.
    pub key_file: PathBuf,
}

/// The oldest version that is spoken; 1.3 is the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oldest {
    Tls12,
    Tls13,
}

/// What a listener needs to speak TLS. Clones share their certificates.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ServerConfig>,
    names: Arc<Names>,
}

impl Tls {
    /// The first certificate is also shown to clients that ask for no name, or an unknown one.
    pub fn load(files: &[CertificateFiles], oldest: Oldest) -> Result<Tls, TlsErrors> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let set = read_all(files, &provider)?;
        let names = Arc::new(Names {
            set: RwLock::new(Arc::new(set)),
            provider: provider.clone(),
        });
        let unusable = |source| TlsErrors(vec![TlsError::Provider { source }]);
        let both = [&rustls::version::TLS13, &rustls::version::TLS12];
        let versions = match oldest {
            Oldest::Tls12 => &both[..],
            Oldest::Tls13 => &both[..1],
        };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .map_err(unusable)?
            .with_no_client_auth()
            .with_cert_resolver(names.clone());
        // Tickets are sealed with a key of this process that changes every few hours: nothing
        // is kept for a client that may come back.
        config.ticketer = aws_lc_rs::Ticketer::new().map_err(unusable)?;
        Ok(Tls {
            config: Arc::new(config),
            names,
        })
    }

    /// Replaces all certificates for handshakes to come, or none.
    pub fn reload(&self, files: &[CertificateFiles]) -> Result<(), TlsErrors> {
        let set = Arc::new(read_all(files, &self.names.provider)?);
        *self
            .names
            .set
            .write()
            .unwrap_or_else(PoisonError::into_inner) = set;
        Ok(())
    }

    pub(crate) fn config(&self, http2: bool) -> Arc<ServerConfig> {
        let mut config = (*self.config).clone();
        if http2 {
            config.alpn_protocols.push(b"h2".to_vec());
        }
        config.alpn_protocols.push(b"http/1.1".to_vec());
        Arc::new(config)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.names.current().by_name.len();
        f.debug_struct("Tls")
            .field("names", &count)
            .finish_non_exhaustive()
    }
}

/// Everything that is wrong with a set of certificates.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct TlsErrors(pub Vec<TlsError>);

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("no certificate is named: expected at least one")]
    None,
    #[error("{found} certificates: expected {CERTIFICATES_MAX} at most")]
    TooMany { found: usize },
    #[error("{}: cannot be read: {source}", file.display())]
    Unreadable { file: PathBuf, source: io::Error },
    #[error("{}: longer than {PEM_BYTES_MAX} bytes: expected PEM", file.display())]
    TooLong { file: PathBuf },
    #[error("{}: no PEM that can be read ({why}): expected {expected}", file.display())]
    NoPem {
        file: PathBuf,
        why: String,
        expected: &'static str,
    },
    #[error("{}: not a certificate that can be served: {why}", file.display())]
    Unusable { file: PathBuf, why: String },
    #[error("{}: not the key of {}", key.display(), cert.display())]
    KeyDiffers { cert: PathBuf, key: PathBuf },
    #[error("`{name}` is not a name to ask for: expected `shop.example` or `*.shop.example`")]
    NotAName { name: String },
    #[error("{} is not for `{name}`: it is for {covers}", file.display())]
    NotFor {
        name: String,
        file: PathBuf,
        covers: String,
    },
    #[error("{} is for no name: expected one", file.display())]
    ForNoName { file: PathBuf },
    #[error("{}: more than {NAMES_PER_CERTIFICATE_MAX} names", file.display())]
    ManyNames { file: PathBuf },
    #[error("`{name}` has two certificates, {} and {}", first.display(), second.display())]
    Twice {
        name: String,
        first: PathBuf,
        second: PathBuf,
    },
    #[error("the cryptography cannot be set up: {source}")]
    Provider { source: rustls::Error },
}

#[derive(Debug)]
struct Set {
    by_name: HashMap<String, Arc<CertifiedKey>>,
    first: Arc<CertifiedKey>,
}

struct Names {
    set: RwLock<Arc<Set>>,
    provider: Arc<CryptoProvider>,
}

impl Names {
    fn current(&self) -> Arc<Set> {
        self.set
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Names")
    }
}

impl ResolvesServerCert for Names {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let set = self.current();
        let found = hello.server_name().and_then(|name| set.find(name));
        Some(found.unwrap_or(&set.first).clone())
    }
}

impl Set {
    fn find(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let name = name.to_ascii_lowercase();
        self.by_name.get(&name).or_else(|| {
            let (_, parent) = name.split_once('.')?;
            self.by_name.get(&format!("*.{parent}"))
        })
    }
}

/// Reads all files, or says everything that is wrong with them.
fn read_all(files: &[CertificateFiles], provider: &CryptoProvider) -> Result<Set, TlsErrors> {
    if files.len() > CERTIFICATES_MAX {
        let found = files.len();
        return Err(TlsErrors(vec![TlsError::TooMany { found }]));
    }
    let mut problems = Vec::new();
    let mut by_name: HashMap<String, (Arc<CertifiedKey>, &Path)> = HashMap::new();
    let mut first = None;
    for of in files {
        let (key, names) = match read_one(of, provider) {
            Ok(read) => read,
            Err(wrong) => {
                problems.extend(wrong);
                continue;
            }
        };
        let key = Arc::new(key);
        first.get_or_insert_with(|| key.clone());
        for name in names {
            if let Some((_, other)) = by_name.get(&name) {
                problems.push(TlsError::Twice {
                    name,
                    first: other.to_path_buf(),
                    second: of.cert_file.clone(),
                });
            } else {
                by_name.insert(name, (key.clone(), &of.cert_file));
            }
        }
    }
    match first {
        Some(first) if problems.is_empty() => Ok(Set {
            by_name: by_name
                .into_iter()
                .map(|(name, (key, _))| (name, key))
                .collect(),
            first,
        }),
        None if problems.is_empty() => Err(TlsErrors(vec![TlsError::None])),
        Some(_) | None => Err(TlsErrors(problems)),
    }
}

type Read1 = Result<(CertifiedKey, Vec<String>), Vec<TlsError>>;

fn read_one(of: &CertificateFiles, provider: &CryptoProvider) -> Read1 {
    let (chain, key) = match (read_chain(&of.cert_file), read_key(&of.key_file)) {
        (Ok(chain), Ok(key)) => (chain, key),
        (chain, key) => return Err(chain.err().into_iter().chain(key.err()).collect()),
    };
    let certified = CertifiedKey::from_der(chain, key, provider).map_err(|error| {
        vec![match error {
            rustls::Error::InconsistentKeys(_) => TlsError::KeyDiffers {
                cert: of.cert_file.clone(),
                key: of.key_file.clone(),
            },
            other => unusable(&of.cert_file, &other),
        }]
    })?;
    let names = names_of(of, &certified)?;
    Ok((certified, names))
}

fn unusable(file: &Path, why: &dyn fmt::Display) -> TlsError {
    TlsError::Unusable {
        file: file.to_owned(),
        why: why.to_string(),
    }
}

/// The names asked for, if the certificate is for all of them; otherwise those in it.
fn names_of(of: &CertificateFiles, certified: &CertifiedKey) -> Result<Vec<String>, Vec<TlsError>> {
    let file = || of.cert_file.clone();
    let leaf = certified
        .end_entity_cert()
        .map_err(|error| vec![unusable(&of.cert_file, &error)])?;
    let leaf = webpki::EndEntityCert::try_from(leaf)
        .map_err(|error| vec![unusable(&of.cert_file, &error)])?;
    let inside: Vec<_> = leaf
        .valid_dns_names()
        .map(str::to_ascii_lowercase)
        .collect();
    if of.names.len().max(inside.len()) > NAMES_PER_CERTIFICATE_MAX {
        return Err(vec![TlsError::ManyNames { file: file() }]);
    }
    if of.names.is_empty() {
        return if inside.is_empty() {
            Err(vec![TlsError::ForNoName { file: file() }])
        } else {
            Ok(inside)
        };
    }
    let mut problems = Vec::new();
    let mut names = Vec::new();
    for name in &of.names {
        let lower = name.to_ascii_lowercase();
        // A wildcard is asked for by any name beneath it.
        let asked = lower
            .strip_prefix("*.")
            .map_or(lower.clone(), |rest| format!("any.{rest}"));
        match ServerName::try_from(asked.as_str()) {
            Ok(ServerName::DnsName(dns)) => {
                let covered = leaf.verify_is_valid_for_subject_name(&ServerName::DnsName(dns));
                if covered.is_err() {
                    problems.push(TlsError::NotFor {
                        name: name.clone(),
                        file: file(),
                        covers: inside.join(", "),
                    });
                }
            }
            Ok(_) | Err(_) => problems.push(TlsError::NotAName { name: name.clone() }),
        }
        names.push(lower);
    }
    if problems.is_empty() {
        Ok(names)
    } else {
        Err(problems)
    }
}

fn read_chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let no_pem = |why: String| TlsError::NoPem {
        file: file.to_owned(),
        why,
        expected: "-----BEGIN CERTIFICATE-----",
    };
    let pem = read_pem(file)?;
    let chain = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| no_pem(error.to_string()))?;
    if chain.is_empty() {
        return Err(no_pem("no certificate in it".to_owned()));
    }
    Ok(chain)
}

fn read_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read_pem(file)?).map_err(|error| TlsError::NoPem {
        file: file.to_owned(),
        why: error.to_string(),
        expected: "-----BEGIN PRIVATE KEY-----",
    })
}

fn read_pem(file: &Path) -> Result<Vec<u8>, TlsError> {
    let mut pem = Vec::new();
    let read = std::fs::File::open(file)
        .and_then(|opened| opened.take(PEM_BYTES_MAX + 1).read_to_end(&mut pem));
    match read {
        Ok(bytes) if bytes as u64 > PEM_BYTES_MAX => Err(TlsError::TooLong {
            file: file.to_owned(),
        }),
        Ok(_) => Ok(pem),
        Err(source) => Err(TlsError::Unreadable {
            file: file.to_owned(),
            source,
        }),
    }
}
