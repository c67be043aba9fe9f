//! The certificates that a command trusts besides the run's own: for each program those that it
//! would trust without us.

use std::collections::BTreeSet;
use std::ffi::OsString;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use wheelmark_client::pem;

/// A variable by which programs are told of a certificate file, and those from which they take
/// one without us: the first that is set. Where none is, it is the system's certificates, which
/// `SSL_CERT_FILE` and `SSL_CERT_DIR` can replace.
type Told = (&'static str, &'static [&'static str]);

const VARIABLES: [Told; 4] = [
    ("SSL_CERT_FILE", &[]),
    ("CURL_CA_BUNDLE", &["CURL_CA_BUNDLE"]),
    (
        "REQUESTS_CA_BUNDLE",
        &["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"],
    ),
    (
        "PIP_CERT",
        &["PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"],
    ),
];

/// For each variable the certificates, in PEM, each once. What cannot be read is left out with a
/// warning: a command that trusts less fails, and not the other way round.
pub(super) fn trusted() -> [(&'static str, String); 4] {
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::warn!(%error, "some of the system's certificates could not be read");
    }
    let native = text(native.certs);
    let variable = |name: &str| std::env::var_os(name);
    VARIABLES.map(|told| {
        let named = named(told, &variable);
        (told.0, named.map_or_else(|| native.clone(), read))
    })
}

/// The variable that counts, and the file that it names.
fn named(
    (_, names): Told,
    variable: &dyn Fn(&str) -> Option<OsString>,
) -> Option<(&'static str, OsString)> {
    let set = |name| Some((name, variable(name).filter(|file| !file.is_empty())?));
    names.iter().copied().find_map(set)
}

fn read((name, file): (&str, OsString)) -> String {
    match CertificateDer::pem_file_iter(&file) {
        Ok(listed) => text(listed.flatten()),
        Err(error) => {
            tracing::warn!(%error, "the certificates that {name} names could not be read");
            String::new()
        }
    }
}

fn text(certificates: impl IntoIterator<Item = CertificateDer<'static>>) -> String {
    let found: BTreeSet<Vec<u8>> = certificates.into_iter().map(|der| der.to_vec()).collect();
    found.iter().map(|der| pem(der)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_program_is_given_what_it_would_read() {
        let check = |set: &[(&str, &str)], expected: [Option<&str>; 4]| {
            let variable = |wanted: &str| {
                let row = set.iter().find(|(name, _)| *name == wanted);
                row.map(|(_, value)| OsString::from(value))
            };
            let files = VARIABLES.map(|told| named(told, &variable).map(|(_, file)| file));
            assert_eq!(
                files,
                expected.map(|file| file.map(OsString::from)),
                "{set:?}"
            );
        };
        check(&[], [None; 4]);
        check(&[("PIP_CERT", "p")], [None, None, None, Some("p")]);
        check(&[("PIP_CERT", "")], [None; 4]);
        let requests = ("REQUESTS_CA_BUNDLE", "r");
        check(&[requests], [None, None, Some("r"), Some("r")]);
        check(
            &[requests, ("PIP_CERT", "p")],
            [None, None, Some("r"), Some("p")],
        );
        let curl = ("CURL_CA_BUNDLE", "c");
        check(&[curl], [None, Some("c"), Some("c"), Some("c")]);
        check(&[curl, requests], [None, Some("c"), Some("r"), Some("r")]);
    }
}
