//! What verifiers make of the certificates: rustls's own, as uv uses it.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::{ServerName, UnixTime};

use super::*;

fn host(text: &str) -> Host {
    Host::parse(text).unwrap()
}

fn now() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

/// A certificate for `name`, by an authority that is constrained to `permitted`: what could be
/// made with a stolen key.
fn forged(permitted: &[Host], name: &Host) -> (CertificateDer<'static>, CertificateDer<'static>) {
    let key = KeyPair::generate().unwrap();
    let authority = authority(permitted, now());
    let certificate = authority.self_signed(&key).unwrap().der().clone();
    let issuer = Issuer::from_params(&authority, &key);
    let own = KeyPair::generate().unwrap();
    let signed = leaf(name, now()).unwrap().signed_by(&own, &issuer).unwrap();
    (certificate, signed.der().clone())
}

fn verdict(
    (authority, leaf): &(CertificateDer<'static>, CertificateDer<'static>),
    name: &str,
    at: Timestamp,
) -> Result<(), rustls::Error> {
    verdict_by(authority, leaf, &[], name, at)
}

fn verdict_by(
    authority: &CertificateDer<'static>,
    leaf: &CertificateDer<'static>,
    between: &[CertificateDer<'static>],
    name: &str,
    at: Timestamp,
) -> Result<(), rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone()).unwrap();
    let provider = Arc::new(crypto::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .unwrap();
    let seconds = u64::try_from(at.as_second()).unwrap();
    verifier
        .verify_server_cert(
            leaf,
            between,
            &ServerName::try_from(name).unwrap(),
            &[],
            UnixTime::since_unix_epoch(Duration::from_secs(seconds)),
        )
        .map(drop)
}

#[test]
fn what_it_was_made_for_is_believed() {
    for name in ["pkg.example", "localhost", "127.0.0.1", "[::1]"] {
        let host = host(name);
        let made = forged(
            &[
                self::host("other.example"),
                self::host("10.0.0.1"),
                host.clone(),
            ],
            &host,
        );
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        assert_eq!(verdict(&made, bare, now()), Ok(()), "{name}");
        let early = after(now(), -SignedDuration::from_hours(2));
        let late = after(now(), AUTHORITY_LIFETIME + SignedDuration::from_secs(1));
        assert!(verdict(&made, bare, early).is_err());
        assert!(verdict(&made, bare, late).is_err());
    }
}

#[test]
fn no_other_host_is_believed_whoever_signs_for_it() {
    let rows: [(&[&str], &str); 7] = [
        (&["pkg.example"], "evil.example"),
        (&["pkg.example"], "example"),
        (&["pkg.example"], "xpkg.example"),
        (&["pkg.example"], "127.0.0.1"),
        (&["pkg.example"], "[::1]"),
        (&["127.0.0.1"], "pkg.example"),
        (&["127.0.0.1"], "127.0.0.2"),
    ];
    for (permitted, name) in rows {
        let permitted: Vec<Host> = permitted.iter().map(|name| host(name)).collect();
        let made = forged(&permitted, &host(name));
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        let refused = verdict(&made, bare, now()).unwrap_err();
        assert!(
            refused.to_string().contains("NameConstraintViolation"),
            "{name}: {refused}"
        );
    }
    let mixed = [host("pkg.example"), host("127.0.0.1")];
    for name in ["evil.example", "127.0.0.2", "[::1]"] {
        let made = forged(&mixed, &host(name));
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        assert!(verdict(&made, bare, now()).is_err(), "{name}");
    }
}

/// rustls does not look at the path length of what it is told to trust (OpenSSL does); the
/// constraints hold all the same.
#[test]
fn an_authority_between_does_not_help() {
    let key = KeyPair::generate().unwrap();
    let authority = authority(&[host("pkg.example")], now());
    let root = authority.self_signed(&key).unwrap().der().clone();
    let issuer = Issuer::from_params(&authority, &key);
    let between_key = KeyPair::generate().unwrap();
    let mut between = params("between", now());
    between.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    between.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let between_certificate = between.signed_by(&between_key, &issuer).unwrap();
    let between = Issuer::from_params(&between, &between_key);
    let own = KeyPair::generate().unwrap();
    let evil = leaf(&host("evil.example"), now()).unwrap();
    let evil = evil.signed_by(&own, &between).unwrap();
    let refused = verdict_by(
        &root,
        evil.der(),
        &[between_certificate.der().clone()],
        "evil.example",
        now(),
    );
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("NameConstraintViolation")
    );
}

#[test]
fn a_bundle_holds_the_roots_and_one_more() {
    let authority = Authority::new(&[host("pkg.example")], now()).unwrap();
    let next = Authority::new(&[host("pkg.example")], now()).unwrap();
    let roots = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----";
    let bundle = next.bundle(&authority.bundle(roots));
    assert!(bundle.starts_with(roots));
    assert_eq!(bundle.matches("-----BEGIN CERTIFICATE-----\n").count(), 3);
    assert!(bundle.ends_with("-----END CERTIFICATE-----\n"));
    assert!(bundle.lines().all(|line| line.len() <= 64));
}

#[test]
fn it_is_made_anew_in_time() {
    let authority = Authority::new(&[], now()).unwrap();
    assert!(!authority.is_due(now()));
    assert!(!authority.is_due(after(now(), SignedDuration::from_hours(11))));
    assert!(authority.is_due(after(now(), SignedDuration::from_hours(12))));
    assert!(authority.is_due(after(now(), -SignedDuration::from_hours(2))));
    assert!(after(now(), SignedDuration::from_hours(12)) < authority.ends());
}
