#![expect(clippy::unwrap_used, reason = "a failed test says where it failed")]

use super::super::packet::Tag;
use super::*;

/// What GnuPG 2.2 exports of a certificate with one key.
const MAINTAINER: &str = "\
-----BEGIN PGP PUBLIC KEY BLOCK-----

mDMEawHcVxYJKwYBBAHaRw8BAQdAKDgpkYkB9e+yI6FtUTATfi8TLN83eMdeEqPN
UFbA6MS0JUEgTWFpbnRhaW5lciA8bWFpbnRhaW5lckBleGFtcGxlLm9yZz6IkAQT
FggAOBYhBJ4jfXRrRd6Y/iMGF11ld0QTqyUUBQJrAdxXAhsDBQsJCAcCBhUKCQgL
AgQWAgMBAh4BAheAAAoJEF1ld0QTqyUUDUEA/1hNckqm8I3fTEaJURxr+h9reMHc
2PdWdGRIznD5UnU5AP9GChb7B1qzRkB52ccYN5nODtmavWlFCSACgHvIYZikAw==
=ryG9
-----END PGP PUBLIC KEY BLOCK-----
";

const FINGERPRINT: &str = "9E237D746B45DE98FE2306175D65774413AB2514";

/// Packets as they are written, one after the other.
fn packets(packets: &[(Tag, &[u8])]) -> Vec<u8> {
    let mut data = Vec::new();
    for (tag, body) in packets {
        packet::write(*tag, body, &mut data);
    }
    data
}

fn key(number: u8) -> [u8; 3] {
    [4, 0, number]
}

fn parse(data: &[u8]) -> Result<Certificates, CertificatesError> {
    Certificates::parse(data)
}

#[test]
fn what_programs_export_is_read() {
    let certificates = parse(MAINTAINER.as_bytes()).unwrap();
    let one = certificates.iter().next().unwrap();
    assert_eq!(certificates.iter().len(), 1);
    assert_eq!(one.fingerprint().to_string(), FINGERPRINT);
    assert_eq!(
        one.user_ids().collect::<Vec<_>>(),
        ["A Maintainer <maintainer@example.org>"]
    );
    let text = certificates.to_armor().unwrap();
    assert_eq!(Certificates::from_armor(&text), Some(certificates.clone()));
    assert_eq!(
        parse(&certificates.to_bytes()).unwrap(),
        certificates,
        "binary as well"
    );
}

#[test]
fn what_is_said_twice_stands_once() {
    let data = packets(&[
        (Tag::PublicKey, &key(1)),
        (Tag::UserId, b"abc"),
        (Tag::Signature, b"one"),
        (Tag::UserId, b"def"),
        (Tag::UserId, b"abc"),
        (Tag::Signature, b"two"),
        (Tag::PublicSubkey, &key(2)),
        (Tag::PublicSubkey, &key(2)),
        (Tag::Signature, b"three"),
    ]);
    let certificates = parse(&data).unwrap();
    let text = certificates.to_armor().unwrap();
    let read = Certificates::from_armor(&text).unwrap();
    assert_eq!(read, certificates);
    let mut same = certificates.clone();
    let again = same.add(read);
    assert!(again.new.is_empty() && again.updated.is_empty());
    let one = certificates.iter().next().unwrap();
    assert_eq!(one.user_ids().collect::<Vec<_>>(), ["def", "abc"]);
}

#[test]
fn only_the_one_form_is_read_back() {
    let text = parse(MAINTAINER.as_bytes()).unwrap().to_armor().unwrap();
    assert!(Certificates::from_armor(&text).is_some());
    for other in [
        MAINTAINER.to_owned(),
        text.replace("\n\n", "\nComment: hello\n\n"),
        format!("{text}{text}"),
        format!("{text}\n"),
        String::new(),
    ] {
        assert_eq!(Certificates::from_armor(&other), None, "{other}");
    }
}

#[test]
fn a_private_key_is_refused_wherever_it_stands() {
    let secret: &[u8] = &[4, 9, 9];
    for (what, data) in [
        ("first", packets(&[(Tag::Secret, secret)])),
        (
            "behind a certificate",
            packets(&[
                (Tag::PublicKey, &key(1)),
                (Tag::UserId, b"somebody"),
                (Tag::Secret, secret),
            ]),
        ),
        (
            "behind something that would be refused for itself",
            packets(&[
                (Tag::UserId, b"x"),
                (Tag::Other(60), b""),
                (Tag::Secret, secret),
            ]),
        ),
        // A secret subkey (7), in the old form.
        (
            "as a subkey",
            [packets(&[(Tag::PublicKey, &key(1))]), vec![0x9c, 1, 4]].concat(),
        ),
        (
            "in armour",
            b"-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nAQ==\n".to_vec(),
        ),
        (
            "in the armour of a public one",
            armor::write(&packets(&[(Tag::Secret, secret)])).into_bytes(),
        ),
    ] {
        let error = parse(&data).unwrap_err();
        assert!(error.is_private_key(), "{what}: {error}");
    }
}

#[test]
fn what_is_no_certificate_is_refused() {
    let cases: [(Vec<u8>, CertificatesError); 6] = [
        (
            packets(&[(Tag::UserId, b"somebody")]),
            CertificateError::NoKey.into(),
        ),
        (
            packets(&[(Tag::Signature, b"\x04")]),
            CertificateError::NoKey.into(),
        ),
        (
            packets(&[(Tag::PublicKey, &[3, 0])]),
            CertificateError::Version { version: 3 }.into(),
        ),
        (
            packets(&[(Tag::PublicKey, &[])]),
            CertificateError::Key.into(),
        ),
        (
            packets(&[(Tag::PublicKey, &key(1)), (Tag::Other(11), b"data")]),
            CertificateError::Foreign { tag: 11 }.into(),
        ),
        (packets(&[(Tag::Passing, b"PGP")]), CertificatesError::None),
    ];
    for (data, expected) in cases {
        assert_eq!(parse(&data), Err(expected), "{data:x?}");
    }
}

#[test]
fn adding_keeps_what_is_there_and_takes_over_what_is_new() {
    let before = packets(&[
        (Tag::PublicKey, &key(1)),
        (Tag::Signature, b"revoked"),
        (Tag::UserId, b"old name"),
        (Tag::Signature, b"self"),
        (Tag::PublicSubkey, &key(2)),
        (Tag::Signature, b"binding"),
    ]);
    let after = packets(&[
        (Tag::PublicKey, &key(1)),
        (Tag::Signature, b"direct"),
        (Tag::UserId, b"old name"),
        (Tag::Signature, b"self"),
        (Tag::Signature, b"self, longer"),
        (Tag::UserId, b"new name"),
        (Tag::PublicSubkey, &key(3)),
        (Tag::Signature, b"binding 3"),
        (Tag::Passing, b"trust"),
    ]);
    let mut certificates = parse(&before).unwrap();
    let addition = certificates.add(parse(&after).unwrap());
    assert_eq!((addition.new.len(), addition.updated.len()), (0, 1));
    let expected = packets(&[
        (Tag::PublicKey, &key(1)),
        (Tag::Signature, b"revoked"),
        (Tag::Signature, b"direct"),
        (Tag::UserId, b"old name"),
        (Tag::Signature, b"self"),
        (Tag::Signature, b"self, longer"),
        (Tag::UserId, b"new name"),
        (Tag::PublicSubkey, &key(2)),
        (Tag::Signature, b"binding"),
        (Tag::PublicSubkey, &key(3)),
        (Tag::Signature, b"binding 3"),
    ]);
    assert_eq!(certificates.to_bytes(), expected);
    let again = certificates.add(parse(&after).unwrap());
    assert_eq!((again.known.len(), again.updated.len()), (1, 0));
    assert_eq!(certificates.to_bytes(), expected);
}

#[test]
fn the_order_of_certificates_does_not_matter_and_none_stands_twice() {
    let [one, two, three] = [1, 2, 3].map(|number| packets(&[(Tag::PublicKey, &key(number))]));
    let forwards = parse(&[&*one, &*two, &*three, &*two].concat()).unwrap();
    let backwards = parse(&[&*three, &*two, &*one].concat()).unwrap();
    assert_eq!(forwards.to_armor(), backwards.to_armor());
    let fingerprints: Vec<_> = forwards.iter().map(Certificate::fingerprint).collect();
    assert_eq!(fingerprints.len(), 3);
    assert!(fingerprints.is_sorted());
}

#[test]
fn a_certificate_goes_by_its_fingerprint() {
    let mut certificates = parse(MAINTAINER.as_bytes()).unwrap();
    certificates.add(parse(&packets(&[(Tag::PublicKey, &key(1))])).unwrap());
    assert!(certificates.remove(&FINGERPRINT.parse().unwrap()));
    assert!(!certificates.remove(&FINGERPRINT.parse().unwrap()));
    assert_eq!(certificates.iter().len(), 1);
}

#[test]
fn a_project_has_no_more_than_its_limit() {
    let many = |count: usize| {
        let keys = (0..count).map(|number| packets(&[(Tag::PublicKey, &key(number as u8))]));
        parse(&keys.collect::<Vec<_>>().concat()).unwrap()
    };
    assert!(many(MAX_CERTIFICATES).to_armor().is_ok());
    let count = MAX_CERTIFICATES + 1;
    assert_eq!(
        many(count).to_armor(),
        Err(CertificatesError::TooMany { count })
    );
    let long = packets(&[
        (Tag::PublicKey, &key(1)),
        (Tag::Signature, &vec![0; MAX_CERTIFICATES_LEN * 3 / 4]),
    ]);
    assert!(matches!(
        parse(&long).unwrap().to_armor(),
        Err(CertificatesError::TooLong { .. })
    ));
    assert_eq!(
        Certificates::default().to_armor(),
        Err(CertificatesError::None)
    );
}

#[test]
fn names_are_shown_without_what_could_deceive_a_terminal() {
    let id = [b"\x1b[2J\nroot".as_slice(), &[0xff], &[b'x'; 500]].concat();
    let data = packets(&[
        (Tag::PublicKey, &key(1)),
        (Tag::UserId, &id),
        (Tag::UserAttribute, b"picture"),
    ]);
    let certificates = parse(&data).unwrap();
    let shown: Vec<String> = certificates.iter().next().unwrap().user_ids().collect();
    assert_eq!(shown.len(), 1, "a picture is no name");
    assert!(shown[0].starts_with("[2Jroot\u{fffd}xxx"), "{shown:?}");
    assert_eq!(shown[0].chars().count(), 200);
}
