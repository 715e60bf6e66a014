//! Whom a run trusts: the authorities of a file, or those of the system. Nothing else: a load test
//! on a host whose certificate does not fit would measure somebody else.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why nobody is trusted.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read certificates from {file}: {why}")]
    File { file: PathBuf, why: String },
    #[error("no certificate authority was found in {0}")]
    Empty(String),
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

/// A client that verifies, for [`crate::Target::new`].
pub fn tls(ca_file: Option<&Path>) -> Result<Arc<rustls::ClientConfig>, TlsError> {
    let mut roots = rustls::RootCertStore::empty();
    let place = match ca_file {
        Some(file) => {
            let failed = |why: String| TlsError::File {
                file: file.to_owned(),
                why,
            };
            let found = CertificateDer::pem_file_iter(file).map_err(|e| failed(e.to_string()))?;
            for certificate in found {
                let certificate = certificate.map_err(|error| failed(error.to_string()))?;
                roots.add(certificate)?;
            }
            file.display().to_string()
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
            "the system's folders".to_owned()
        }
    };
    if roots.is_empty() {
        return Err(TlsError::Empty(place));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// A listener with this certificate chain and key, for agents.
pub fn server(cert: &Path, key: &Path) -> Result<Arc<rustls::ServerConfig>, TlsError> {
    let failed = |file: &Path| {
        let file = file.to_owned();
        move |error: rustls::pki_types::pem::Error| TlsError::File {
            file,
            why: error.to_string(),
        }
    };
    let chain = CertificateDer::pem_file_iter(cert).map_err(failed(cert))?;
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(failed(cert))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(failed(key))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(Arc::new(config))
}
