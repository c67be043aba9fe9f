#![expect(clippy::unwrap_used, reason = "a failed test says where it failed")]

use super::*;

/// A certificate of its own authority, with its key, in two files.
fn made(folder: &Path, name: &str, until: i32) -> (PathBuf, PathBuf) {
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(until, 7, 9);
    let pair = rcgen::KeyPair::generate().unwrap();
    let made = params.self_signed(&pair).unwrap();
    let (cert, key) = (
        folder.join(format!("{name}.pem")),
        folder.join(format!("{name}.key")),
    );
    std::fs::write(&cert, pem("CERTIFICATE", made.der())).unwrap();
    std::fs::write(&key, pem("PRIVATE KEY", &pair.serialize_der())).unwrap();
    (cert, key)
}

fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

#[test]
fn the_end_of_a_certificate_is_read() {
    let folder = tempfile::tempdir().unwrap();
    for (year, expected) in [
        (2031, "2031-07-09T00:00:00Z"),
        (2051, "2051-07-09T00:00:00Z"),
    ] {
        let (cert, key) = made(folder.path(), "a", year);
        let tls = Tls::load(&cert, &key).unwrap();
        assert_eq!(tls.expires(), expected.parse().unwrap());
    }
    for bytes in [
        &b""[..],
        b"\x30",
        b"\x30\x82\xff\xff",
        b"\x30\x02\x30\x00",
        b"\x30\x89",
    ] {
        assert_eq!(validity::not_after(bytes), None);
    }
}

#[test]
fn what_is_wrong_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = made(folder.path(), "a", 2031);
    let (other, other_key) = made(folder.path(), "b", 2031);
    let check = |cert: &Path, key: &Path, expected: &str| {
        let error = Tls::load(cert, key).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(
        &cert,
        &other_key,
        "b.key is not that of the first certificate in",
    );
    check(&key, &key, "a.key holds no certificate");
    check(&cert, &other, "b.pem holds no private key");
    check(&folder.path().join("none"), &key, "none cannot be read");
    let bad = folder.path().join("bad.pem");
    std::fs::write(&bad, pem("CERTIFICATE", b"\x30\x00")).unwrap();
    check(&bad, &key, "bad.pem cannot be read");
}

#[test]
fn another_certificate_is_taken_and_a_bad_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = made(folder.path(), "a", 2031);
    let tls = Tls::load(&cert, &key).unwrap();
    assert!(!tls.reload().unwrap());
    made(folder.path(), "a", 2032);
    assert!(tls.reload().unwrap());
    assert_eq!(tls.expires(), "2032-07-09T00:00:00Z".parse().unwrap());
    std::fs::write(&cert, "").unwrap();
    tls.reload().unwrap_err();
    assert_eq!(tls.expires(), "2032-07-09T00:00:00Z".parse().unwrap());
}
