//! TLS: the certificate that the server shows, and how it is replaced while connections go on.

mod validity;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, InconsistentKeys, ServerConfig};

/// Longest file of certificates or of a key, in bytes: a chain of ten has some twenty thousand.
const MAX_PEM_LEN: u64 = 1024 * 1024;

/// Why there can be no TLS with these files.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file could not be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file is far larger than any certificate or key.
    #[error("{} has more than {MAX_PEM_LEN} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// The file has no certificate.
    #[error("{} holds no certificate: it needs the server's own in PEM, and those that lead to its authority behind it", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The file has no key.
    #[error("{} holds no private key in PEM that is not encrypted", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// The key is of a kind that is not known.
    #[error("the key in {} cannot be used", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: rustls::Error,
    },
    /// The certificate cannot be read.
    #[error("the first certificate in {} cannot be read", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
    },
    /// Certificate and key are of different pairs.
    #[error("the key in {} is not that of the first certificate in {}", key.display(), cert.display())]
    Mismatch {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The TLS library does not have what is asked of it.
    #[error("TLS cannot be set up")]
    Setup(#[source] rustls::Error),
}

/// TLS with a certificate that can be replaced.
#[derive(Clone, Debug)]
pub struct Tls {
    cert: PathBuf,
    key: PathBuf,
    shown: Arc<Shown>,
    acceptor: Acceptor,
}

#[derive(Clone)]
struct Acceptor(TlsAcceptor);

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Acceptor")
    }
}

/// The certificate that new connections get to see.
#[derive(Debug)]
struct Shown(RwLock<Loaded>);

#[derive(Clone, Debug)]
struct Loaded {
    certified: Arc<CertifiedKey>,
    expires: Timestamp,
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.get().certified)
    }
}

impl Shown {
    fn get(&self) -> Loaded {
        // It is replaced whole, so a panic elsewhere leaves it sound.
        let loaded = self.0.read().unwrap_or_else(PoisonError::into_inner);
        loaded.clone()
    }
}

impl Tls {
    /// Reads a chain of certificates, the server's own first, and its key, both in PEM.
    ///
    /// # Errors
    ///
    /// [`TlsError`], which names the file that is wrong.
    pub fn load(cert: &Path, key: &Path) -> Result<Tls, TlsError> {
        let shown = Arc::new(Shown(RwLock::new(load(cert, key)?)));
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&shown) as Arc<dyn ResolvesServerCert>);
        // HTTP/1.1 alone: see `serve`.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Tls {
            cert: cert.to_owned(),
            key: key.to_owned(),
            shown,
            acceptor: Acceptor(TlsAcceptor::from(Arc::new(config))),
        })
    }

    /// Reads the files again; says whether there is another certificate now, which new connections
    /// get to see. Those that are open go on.
    ///
    /// # Errors
    ///
    /// [`TlsError`]; then the certificate of before stays.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let loaded = load(&self.cert, &self.key)?;
        let mut shown = self.shown.0.write().unwrap_or_else(PoisonError::into_inner);
        let changed = shown.certified.cert != loaded.certified.cert;
        *shown = loaded;
        Ok(changed)
    }

    /// When the server's certificate expires.
    pub fn expires(&self) -> Timestamp {
        self.shown.get().expires
    }

    pub(crate) fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor.0
    }
}

fn load(cert: &Path, key: &Path) -> Result<Loaded, TlsError> {
    let pem = read(cert)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty());
    let chain = chain.ok_or_else(|| TlsError::NoCertificate {
        path: cert.to_owned(),
    })?;
    let unreadable = || TlsError::Certificate {
        path: cert.to_owned(),
    };
    let expires = validity::not_after(&chain[0]).ok_or_else(unreadable)?;
    let pem = zeroize::Zeroizing::new(read(key)?);
    let private = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| TlsError::NoKey {
        path: key.to_owned(),
    })?;
    let provider = aws_lc_rs::default_provider();
    let signing = provider.key_provider.load_private_key(private);
    let signing = signing.map_err(|source| TlsError::Key {
        path: key.to_owned(),
        source,
    })?;
    let certified = CertifiedKey::new(chain, signing);
    match certified.keys_match() {
        Ok(()) => {}
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            return Err(TlsError::Mismatch {
                cert: cert.to_owned(),
                key: key.to_owned(),
            });
        }
        Err(_) => return Err(unreadable()),
    }
    Ok(Loaded {
        certified: Arc::new(certified),
        expires,
    })
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    use std::io::Read as _;
    let cannot = |source| TlsError::Read {
        path: path.to_owned(),
        source,
    };
    let file = std::fs::File::open(path).map_err(cannot)?;
    let mut bytes = Vec::new();
    file.take(MAX_PEM_LEN + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot)?;
    if bytes.len() as u64 > MAX_PEM_LEN {
        return Err(TlsError::TooLong {
            path: path.to_owned(),
        });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
