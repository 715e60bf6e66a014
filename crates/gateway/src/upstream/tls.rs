//! TLS towards peers: whom a pool trusts, which name a peer must prove, and, where a connection
//! does not come about, what was wrong.
//!
//! Verification cannot be switched off. Files are read when a configuration is loaded, so that a
//! bad one changes nothing. Sessions are kept by the pool for all workers: a peer that was spoken
//! to lately costs no certificate again. It must not know HTTP beyond the protocol's name.

use super::spec::{Address, PoolSpec, Protocol, TlsSpec};
use crate::limits::UPSTREAM_PEM_BYTES_MAX;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{AlertDescription, CertificateError, ClientConfig, Error, RootCertStore};
use sha2::{Digest, Sha256};
use std::fmt;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Why there is no TLS with a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum TlsFault {
    UnknownIssuer = 1,
    Expired,
    NotYetValid,
    WrongName,
    Revoked,
    /// A certificate that is wrong in another way, such as one that is not for servers.
    Certificate,
    /// The peer wants a certificate of ours, or refuses the one that it got.
    Ours,
    /// No version or cipher that both know.
    NothingInCommon,
    /// What came was not TLS.
    NotTls,
    NoHttp2,
    /// The connection ended within the handshake.
    Cut,
}

impl TlsFault {
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            TlsFault::UnknownIssuer => "the peer's certificate comes from nobody who is trusted",
            TlsFault::Expired => "the peer's certificate has expired",
            TlsFault::NotYetValid => "the peer's certificate is not valid yet",
            TlsFault::WrongName => "the peer's certificate is for another name",
            TlsFault::Revoked => "the peer's certificate was revoked",
            TlsFault::Certificate => "the peer's certificate is not acceptable",
            TlsFault::Ours => "the peer wants another certificate of the door, or one at all",
            TlsFault::NothingInCommon => "the peer has no version or cipher of TLS in common",
            TlsFault::NotTls => "the peer does not speak TLS",
            TlsFault::NoHttp2 => "the peer does not speak HTTP/2",
            TlsFault::Cut => "the peer ended the connection within the TLS handshake",
        }
    }

    fn of(error: &io::Error) -> TlsFault {
        // The only way in which the connector tells what TLS found.
        let inner = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<Error>());
        let Some(inner) = inner else {
            return TlsFault::Cut;
        };
        match inner {
            Error::InvalidCertificate(wrong) => TlsFault::of_certificate(wrong),
            Error::AlertReceived(alert) => match alert {
                AlertDescription::HandshakeFailure
                | AlertDescription::ProtocolVersion
                | AlertDescription::InsufficientSecurity
                | AlertDescription::UnrecognisedName => TlsFault::NothingInCommon,
                AlertDescription::NoApplicationProtocol => TlsFault::NoHttp2,
                AlertDescription::CertificateRequired
                | AlertDescription::BadCertificate
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateUnknown
                | AlertDescription::UnknownCA
                | AlertDescription::AccessDenied => TlsFault::Ours,
                _ => TlsFault::Cut,
            },
            Error::PeerIncompatible(_) => TlsFault::NothingInCommon,
            Error::NoApplicationProtocol => TlsFault::NoHttp2,
            Error::InvalidMessage(_) | Error::InappropriateMessage { .. } => TlsFault::NotTls,
            Error::NoCertificatesPresented | Error::UnsupportedNameType => TlsFault::Certificate,
            _ => TlsFault::Cut,
        }
    }

    fn of_certificate(wrong: &CertificateError) -> TlsFault {
        match wrong {
            CertificateError::UnknownIssuer => TlsFault::UnknownIssuer,
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                TlsFault::Expired
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                TlsFault::NotYetValid
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                TlsFault::WrongName
            }
            CertificateError::Revoked => TlsFault::Revoked,
            _ => TlsFault::Certificate,
        }
    }
}

/// What is wrong with a pool's files.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsProblem {
    #[error("{file}: {why}: expected {expected}")]
    File {
        file: String,
        why: String,
        expected: &'static str,
    },
    #[error("the system has no certificates to trust ({why}): expected ca_file")]
    NoRoots { why: String },
    #[error("{0:?} is no name that a certificate can be for: expected server_name")]
    Name(String),
    #[error("{0}")]
    Setup(String),
}

/// What all workers need to speak TLS with the peers of one pool.
pub(crate) struct TlsPool {
    connector: TlsConnector,
    http2: bool,
    /// By the places of the peers.
    names: Box<[ServerName<'static>]>,
    /// The last fault of each, so that it is told once and not at each request.
    told: Box<[AtomicU8]>,
    /// Of all that was read: other certificates in the same files are another pool.
    digest: [u8; 32],
}

impl fmt::Debug for TlsPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsPool")
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

impl TlsPool {
    pub fn new(pool: &PoolSpec, spec: &TlsSpec) -> Result<Self, TlsProblem> {
        let mut digest = Sha256::new();
        let roots = match &spec.ca_file {
            Some(file) => roots_of(file, &mut digest)?,
            None => roots_of_system(&mut digest)?,
        };
        let setup = |error: Error| TlsProblem::Setup(error.to_string());
        let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)
            .map_err(setup)?
            .with_root_certificates(roots);
        let mut config = match &spec.client {
            None => config.with_no_client_auth(),
            Some(ours) => {
                let chain = chain(&ours.cert_file, &mut digest)?;
                let key = key(&ours.key_file, &mut digest)?;
                let with = config.with_client_auth_cert(chain, key);
                with.map_err(|error| TlsProblem::File {
                    file: ours.key_file.display().to_string(),
                    why: error.to_string(),
                    expected: "the key of the certificate beside it",
                })?
            }
        };
        let http2 = pool.protocol == Protocol::Http2;
        let protocol: &[u8] = if http2 { b"h2" } else { b"http/1.1" };
        config.alpn_protocols = vec![protocol.to_vec()];
        let names = pool.peers.iter().map(|peer| {
            let named = match (&spec.server_name, &peer.address) {
                (Some(name), _) | (None, Address::Name { host: name, .. }) => name,
                (None, Address::Fixed(addr)) => return Ok(ServerName::from(addr.ip())),
            };
            let name = named.trim_start_matches('[').trim_end_matches(']');
            ServerName::try_from(name.to_owned()).map_err(|_| TlsProblem::Name(named.clone()))
        });
        Ok(TlsPool {
            connector: TlsConnector::from(Arc::new(config)),
            http2,
            names: names.collect::<Result<_, _>>()?,
            told: pool.peers.iter().map(|_| AtomicU8::new(0)).collect(),
            digest: digest.finalize().into(),
        })
    }

    /// Whether the files say the same.
    pub fn is_same(&self, other: &TlsPool) -> bool {
        self.digest == other.digest
    }

    /// The handshake with the peer at this place, called `peer` in the log.
    pub async fn shake(
        &self,
        place: usize,
        peer: &str,
        tcp: TcpStream,
    ) -> Result<Box<TlsStream<TcpStream>>, TlsFault> {
        let name = self.names[place].clone();
        let (fault, detail) = match self.connector.connect(name, tcp).await {
            Ok(stream) if !self.http2 || stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
                if self.told[place].load(Relaxed) != 0 && self.told[place].swap(0, Relaxed) != 0 {
                    tracing::info!(peer, "TLS with the peer works again");
                }
                return Ok(Box::new(stream));
            }
            Ok(_) => (TlsFault::NoHttp2, String::new()),
            Err(error) => (TlsFault::of(&error), error.to_string()),
        };
        if self.told[place].swap(fault as u8, Relaxed) != fault as u8 {
            tracing::warn!(peer, detail, "no TLS with the peer: {}", fault.text());
        }
        Err(fault)
    }
}

const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----";

fn roots_of(file: &Path, digest: &mut Sha256) -> Result<RootCertStore, TlsProblem> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(file, digest)? {
        roots
            .add(certificate)
            .map_err(|error| wrong(file, error, "certificates of issuers"))?;
    }
    Ok(roots)
}

fn roots_of_system(digest: &mut Sha256) -> Result<RootCertStore, TlsProblem> {
    let found = rustls_native_certs::load_native_certs();
    for certificate in &found.certs {
        digest.update(certificate);
    }
    let mut roots = RootCertStore::empty();
    // Of the hundreds of a system some are always too old to be understood.
    let (good, _) = roots.add_parsable_certificates(found.certs);
    if good == 0 {
        let why = found.errors.first();
        let why = why.map_or("none was found".to_owned(), ToString::to_string);
        return Err(TlsProblem::NoRoots { why });
    }
    Ok(roots)
}

fn chain(file: &Path, digest: &mut Sha256) -> Result<Vec<CertificateDer<'static>>, TlsProblem> {
    let pem = read(file, digest, CERTIFICATE)?;
    let chain = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| wrong(file, error, CERTIFICATE))?;
    if chain.is_empty() {
        return Err(wrong(file, "no certificate in it", CERTIFICATE));
    }
    Ok(chain)
}

fn key(file: &Path, digest: &mut Sha256) -> Result<PrivateKeyDer<'static>, TlsProblem> {
    let expected = "-----BEGIN PRIVATE KEY-----";
    let pem = read(file, digest, expected)?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| wrong(file, error, expected))
}

fn read(file: &Path, digest: &mut Sha256, expected: &'static str) -> Result<Vec<u8>, TlsProblem> {
    let mut pem = Vec::new();
    std::fs::File::open(file)
        .and_then(|opened| {
            let most = UPSTREAM_PEM_BYTES_MAX + 1;
            opened.take(most).read_to_end(&mut pem)
        })
        .map_err(|error| wrong(file, error, expected))?;
    if pem.len() as u64 > UPSTREAM_PEM_BYTES_MAX {
        let why = format!("longer than {UPSTREAM_PEM_BYTES_MAX} bytes");
        return Err(wrong(file, why, expected));
    }
    digest.update((pem.len() as u64).to_be_bytes());
    digest.update(&pem);
    Ok(pem)
}

fn wrong(file: &Path, why: impl fmt::Display, expected: &'static str) -> TlsProblem {
    TlsProblem::File {
        file: file.display().to_string(),
        why: why.to_string(),
        expected,
    }
}
