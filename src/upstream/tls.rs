//! The files that TLS to a service's endpoints is spoken with.
//!
//! They are read when the service's upstream is made, and looked at again whenever the table is published: what was
//! renewed is used from then on.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use pingora::protocols::tls::CaType;
use pingora::utils::tls::{CertKey, WrappedX509, parse_x509};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::model::service::UpstreamTls;

/// What is spoken with.
#[derive(Debug)]
pub(super) struct TlsFiles {
    pub(super) ca: Option<Arc<CaType>>,
    pub(super) client: Option<Arc<CertKey>>,
    /// Differs where anything of it differs: connections are not shared between those that do.
    pub(super) group: u64,
    stamps: Vec<(PathBuf, Option<Stamp>)>,
}

/// When a file was changed, and how long it is.
type Stamp = (SystemTime, u64);

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("tls.{key}: `{path}` {problem}")]
pub(super) struct TlsFileError {
    key: &'static str,
    path: PathBuf,
    problem: String,
}

impl TlsFiles {
    /// Reads them.
    ///
    /// # Errors
    /// The first that cannot be read, or is not what it should be.
    pub(super) fn read(config: &UpstreamTls) -> Result<Self, TlsFileError> {
        let mut group = DefaultHasher::new();
        config.verify.hash(&mut group);
        let ca = config.ca_file.as_deref().map(|path| certificates("ca_file", path)).transpose()?;
        let client = match &config.client {
            Some((cert, key)) => Some((certificates("client_cert", cert)?, private_key(key)?)),
            None => None,
        };
        (&ca, &client).hash(&mut group);
        let is_own = config.ca_file.is_some() || config.client.is_some() || !config.verify;
        Ok(Self {
            ca: ca.map(|list| list.into_iter().map(|der| WrappedX509::new(der, parse_x509)).collect()),
            client: client.map(|(chain, key)| Arc::new(CertKey::new(chain, key))),
            group: if is_own { group.finish() } else { 0 },
            stamps: stamps(config),
        })
    }

    /// Whether the files of `config` are as they were when these were read.
    pub(super) fn are_current(&self, config: &UpstreamTls) -> bool {
        self.stamps == stamps(config)
    }
}

fn stamps(config: &UpstreamTls) -> Vec<(PathBuf, Option<Stamp>)> {
    let client = config.client.iter().flat_map(|(cert, key)| [cert, key]);
    let stamp = |path: &PathBuf| {
        let meta = fs::metadata(path).ok()?;
        Some((meta.modified().ok()?, meta.len()))
    };
    config.ca_file.iter().chain(client).map(|path| (path.clone(), stamp(path))).collect()
}

/// The certificates of a PEM file, in its order; at least one.
fn certificates(key: &'static str, path: &Path) -> Result<Vec<Vec<u8>>, TlsFileError> {
    let failed = |problem: String| TlsFileError { key, path: path.to_owned(), problem };
    let bytes = fs::read(path).map_err(|error| failed(format!("cannot be read: {error}")))?;
    let list: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let list = list.map_err(|error| failed(format!("is not PEM: {error}; accepted: certificates in PEM")))?;
    if list.is_empty() {
        return Err(failed("holds no certificate; accepted: certificates in PEM".to_owned()));
    }
    for (index, certificate) in list.iter().enumerate() {
        // Looked at here, for Pingora takes for granted that it is one.
        let parsed = X509Certificate::from_der(certificate);
        parsed.map_err(|error| failed(format!("holds no X.509 certificate in place {index}: {error}")))?;
    }
    Ok(list.into_iter().map(|certificate| certificate.to_vec()).collect())
}

fn private_key(path: &Path) -> Result<Vec<u8>, TlsFileError> {
    let failed = |problem| TlsFileError { key: "client_key", path: path.to_owned(), problem };
    let bytes = fs::read(path).map_err(|error| failed(format!("cannot be read: {error}")))?;
    // What the parser says of it is not repeated: it may quote what it found.
    let key = PrivateKeyDer::from_pem_slice(&bytes)
        .map_err(|_| failed("holds no private key; accepted: PKCS #8, PKCS #1 or SEC 1 in PEM".to_owned()))?;
    Ok(key.secret_der().to_vec())
}
