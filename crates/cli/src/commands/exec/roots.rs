//! The certificates that a command trusts besides the run's own: what the system trusts, or
//! what the person told installers to trust instead.

use std::collections::BTreeSet;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use wheelmark_client::pem;

/// Variables by which installers are told of a certificate file. `SSL_CERT_FILE` and
/// `SSL_CERT_DIR` are read where the system's certificates are.
const FILES: [&str; 3] = ["PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"];

/// The certificates, in PEM, each once. What cannot be read is left out with a warning: a
/// command that trusts less fails, and not the other way round.
pub(super) fn trusted() -> String {
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::warn!(%error, "some of the system's certificates could not be read");
    }
    let mut found: BTreeSet<Vec<u8>> = native.certs.iter().map(|der| der.to_vec()).collect();
    for name in FILES {
        let Some(file) = std::env::var_os(name).filter(|file| !file.is_empty()) else {
            continue;
        };
        match CertificateDer::pem_file_iter(&file) {
            Ok(listed) => found.extend(listed.flatten().map(|der| der.to_vec())),
            Err(error) => {
                tracing::warn!(%error, "the certificates that {name} names could not be read");
            }
        }
    }
    found.iter().map(|der| pem(der)).collect()
}
