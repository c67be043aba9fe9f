//! A certificate authority for one run, which can speak for the trusted indexes and for no
//! other host.
//!
//! ```text
//! Authority::new(hosts, now) ─▶ one certificate for each host, and the authority's own
//!                               its private key is destroyed before `new` returns
//! bundle(system roots)       ─▶ what the command is given as its certificate file
//! ```
//!
//! The certificate is handed to one command and installed nowhere. Its name constraints
//! (RFC 5280 §4.2.1.10) permit exactly the hosts that it was made for, so that whoever got at
//! its key, while it lived, could not have signed for others. Since all certificates are made
//! at once, no key that can sign certificates is left when the command starts.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::{SignedDuration, Timestamp};
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    NameConstraints, SanType,
};
use tokio_rustls::rustls;
use tokio_rustls::rustls::crypto::aws_lc_rs as crypto;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use url::Host;
use zeroize::Zeroize as _;

/// How long an authority is good for: longer than any installation, and not so long that one
/// that was copied from a memory is of use to anybody.
pub const AUTHORITY_LIFETIME: SignedDuration = SignedDuration::from_hours(24);

/// After which part of its life a long-running process should make the next one, so that
/// commands which know both are there before the first one ends.
const RENEWED_AFTER: SignedDuration = SignedDuration::from_hours(12);

/// How far before its making an authority is valid: the clocks of a container and its host
/// may differ.
const BACKDATED: SignedDuration = SignedDuration::from_hours(1);

/// The one protocol inside: what the proxy speaks outside, too.
const HTTP_1_1: &[u8] = b"http/1.1";

/// Why an authority could not be made.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A host whose name no certificate can hold.
    #[error("no certificate can be made for {host}")]
    Host {
        /// The host.
        host: String,
        /// What is wrong with it.
        #[source]
        source: rcgen::Error,
    },
    /// A key or a certificate could not be made.
    #[error("a certificate for this run could not be made")]
    Make(#[from] rcgen::Error),
    /// The certificate and its key cannot be used together.
    #[error("the certificate of this run cannot be used")]
    Use(#[from] rustls::Error),
}

/// Certificates for the hosts that the proxy answers for, and what to trust to believe them.
pub struct Authority {
    certificate: CertificateDer<'static>,
    servers: HashMap<Host, Arc<rustls::ServerConfig>>,
    begins: Timestamp,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority")
            .field("hosts", &self.servers.keys().collect::<Vec<_>>())
            .field("begins", &self.begins)
            .finish_non_exhaustive()
    }
}

impl Authority {
    /// Makes an authority for exactly these hosts, and their certificates.
    ///
    /// # Errors
    ///
    /// [`AuthorityError`].
    pub fn new(hosts: &[Host], now: Timestamp) -> Result<Self, AuthorityError> {
        let mut issuing_key = KeyPair::generate()?;
        let params = authority(hosts, now);
        let certificate = params.self_signed(&issuing_key)?.der().clone();
        let issuer = Issuer::from_params(&params, &issuing_key);
        let servers = hosts
            .iter()
            .map(|host| Ok((host.clone(), Arc::new(server(host, &issuer, now)?))))
            .collect::<Result<_, AuthorityError>>();
        drop(issuer);
        issuing_key.zeroize();
        Ok(Self {
            certificate,
            servers: servers?,
            begins: now,
        })
    }

    /// Text for a certificate file: the given roots, in PEM, and this authority. What comes out
    /// can be given to the next authority, so that a command trusts both.
    #[must_use]
    pub fn bundle(&self, roots: &str) -> String {
        let mut bundle = roots.to_owned();
        if !bundle.is_empty() && !bundle.ends_with('\n') {
            bundle.push('\n');
        }
        bundle + &pem(&self.certificate)
    }

    /// The hosts that it speaks for.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.servers.keys()
    }

    /// From when on nobody believes it.
    #[must_use]
    pub fn ends(&self) -> Timestamp {
        after(self.begins, AUTHORITY_LIFETIME)
    }

    /// Since when it is believed.
    #[must_use]
    pub fn starts(&self) -> Timestamp {
        after(self.begins, -BACKDATED)
    }

    /// Whether a process that lives on should make the next one. A clock that went back is a
    /// reason as well.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        let age = now.duration_since(self.begins);
        age >= RENEWED_AFTER || age < -BACKDATED
    }

    /// How to answer as this host, if it is one of those.
    pub(crate) fn server(&self, host: &Host) -> Option<Arc<rustls::ServerConfig>> {
        self.servers.get(host).cloned()
    }
}

/// A certificate in PEM (RFC 7468).
#[must_use]
pub fn pem(certificate: &[u8]) -> String {
    const WIDTH: usize = 64;
    let mut text = "-----BEGIN CERTIFICATE-----\n".to_owned();
    let encoded = BASE64_STANDARD.encode(certificate);
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(WIDTH));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text + "-----END CERTIFICATE-----\n"
}

/// An authority that may sign for these servers, but make no other authority.
fn authority(hosts: &[Host], now: Timestamp) -> CertificateParams {
    let mut params = params("Wheelmark, for one run", now);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.name_constraints = Some(only(hosts));
    params
}

fn params(name: &str, now: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let at = |time: Timestamp| {
        let seconds = u64::try_from(time.as_second()).unwrap_or(0);
        epoch + std::time::Duration::from_secs(seconds)
    };
    params.not_before = at(after(now, -BACKDATED));
    params.not_after = at(after(now, AUTHORITY_LIFETIME));
    params.use_authority_key_identifier_extension = true;
    params
}

fn after(time: Timestamp, span: SignedDuration) -> Timestamp {
    time.saturating_add(span).unwrap_or(time)
}

/// The constraints that permit these hosts and nothing else. A kind of name that no
/// constraint mentions would be free: what is not permitted as a kind is excluded as one.
fn only(hosts: &[Host]) -> NameConstraints {
    let permitted_subtrees: Vec<_> = hosts
        .iter()
        .map(|host| match host {
            Host::Domain(name) => GeneralSubtree::DnsName(name.clone()),
            Host::Ipv4(ip) => {
                GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix(ip.octets(), 32))
            }
            Host::Ipv6(ip) => {
                GeneralSubtree::IpAddress(CidrSubnet::from_v6_prefix(ip.octets(), 128))
            }
        })
        .collect();
    let mut excluded_subtrees = Vec::new();
    if !hosts.iter().any(|host| matches!(host, Host::Domain(_))) {
        excluded_subtrees.push(GeneralSubtree::DnsName(String::new()));
    }
    if hosts.iter().all(|host| matches!(host, Host::Domain(_))) {
        excluded_subtrees.push(GeneralSubtree::IpAddress(CidrSubnet::V4([0; 4], [0; 4])));
        excluded_subtrees.push(GeneralSubtree::IpAddress(CidrSubnet::V6([0; 16], [0; 16])));
    }
    NameConstraints {
        permitted_subtrees,
        excluded_subtrees,
    }
}

/// What a server needs to answer as this host.
fn server(
    host: &Host,
    issuer: &Issuer<'_, &KeyPair>,
    now: Timestamp,
) -> Result<rustls::ServerConfig, AuthorityError> {
    let mut key = KeyPair::generate()?;
    let certificate = leaf(host, now)?.signed_by(&key, issuer)?;
    let mut encoded = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    key.zeroize();
    let signing = crypto::sign::any_supported_type(&encoded);
    encoded.zeroize();
    let key = CertifiedKey::new(vec![certificate.der().clone()], signing?);
    let provider = Arc::new(crypto::default_provider());
    let mut server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(OneHost {
            host: host.clone(),
            key: Arc::new(key),
        }));
    server.alpn_protocols = vec![HTTP_1_1.to_vec()];
    Ok(server)
}

fn leaf(host: &Host, now: Timestamp) -> Result<CertificateParams, AuthorityError> {
    let name = match host {
        Host::Domain(name) => {
            let source = |source| AuthorityError::Host {
                host: name.clone(),
                source,
            };
            SanType::DnsName(Ia5String::try_from(name.as_str()).map_err(source)?)
        }
        Host::Ipv4(ip) => SanType::IpAddress(IpAddr::V4(*ip)),
        Host::Ipv6(ip) => SanType::IpAddress(IpAddr::V6(*ip)),
    };
    let mut params = params("Wheelmark, in place of a trusted index", now);
    params.subject_alt_names = vec![name];
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}

/// The certificate of one host, for whoever asks for that host or names none.
#[derive(Debug)]
struct OneHost {
    host: Host,
    key: Arc<CertifiedKey>,
}

impl ResolvesServerCert for OneHost {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let ours = match (&self.host, hello.server_name()) {
            (_, None) => true,
            (Host::Domain(name), Some(asked)) => name.eq_ignore_ascii_case(asked),
            // Addresses are not named there (RFC 6066 §3).
            (Host::Ipv4(_) | Host::Ipv6(_), Some(_)) => false,
        };
        ours.then(|| self.key.clone())
    }
}

#[cfg(test)]
mod tests;
