#![expect(clippy::unwrap_used, reason = "a failed test says where it failed")]

use std::io::{Read, Write as _};
use std::time::{Duration, SystemTime};

use sequoia_openpgp::cert::{CertBuilder, CipherSuite, SubkeyRevocationBuilder};
use sequoia_openpgp::packet::signature::SignatureBuilder;
use sequoia_openpgp::serialize::stream::{Message, Signer};
use sequoia_openpgp::serialize::{Serialize as _, SerializeInto as _};
use sequoia_openpgp::types::{HashAlgorithm, KeyFlags, ReasonForRevocation};

use super::super::armor;
use super::super::standing::{Standing, standing};
use super::*;

/// When the keys of these tests come to be.
const MADE: &str = "2026-01-01T00:00:00Z";
const SIGNED: &str = "2026-02-01T00:00:00Z";
const NOW: &str = "2026-02-01T00:01:00Z";
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn system(text: &str) -> SystemTime {
    at(text).into()
}

/// Somebody who signs with a subkey, as most do.
fn somebody(validity: Option<Duration>) -> Cert {
    let builder = CertBuilder::new()
        .add_userid("Somebody <somebody@example.org>")
        .set_creation_time(system(MADE))
        .set_validity_period(validity)
        .add_signing_subkey();
    builder.generate().unwrap().0
}

fn public(certs: &[&Cert]) -> Certificates {
    let mut data = Vec::new();
    for cert in certs {
        cert.serialize(&mut data).unwrap();
    }
    Certificates::parse(&data).unwrap()
}

/// A detached signature by the signing key of `cert`, whatever its state.
fn sign_as(
    cert: &Cert,
    content: &[u8],
    when: &str,
    typ: SignatureType,
    hash: HashAlgorithm,
) -> Vec<u8> {
    let pair = cert
        .keys()
        .subkeys()
        .next()
        .unwrap()
        .key()
        .clone()
        .parts_into_secret()
        .unwrap()
        .into_keypair()
        .unwrap();
    let mut data = Vec::new();
    let template = SignatureBuilder::new(typ);
    let signer = Signer::with_template(Message::new(&mut data), pair, template).unwrap();
    let signer = signer.hash_algo(hash).unwrap().creation_time(system(when));
    let mut signer = signer.detached().build().unwrap();
    signer.write_all(content).unwrap();
    signer.finalize().unwrap();
    data
}

fn sign(cert: &Cert, content: &[u8], when: &str) -> Vec<u8> {
    sign_as(
        cert,
        content,
        when,
        SignatureType::Binary,
        HashAlgorithm::SHA512,
    )
}

/// A signature as it is uploaded, if it has the shape of one.
fn uploaded(packets: &[u8]) -> Option<DetachedSignature> {
    let text = armor::write(packets).replace("PUBLIC KEY BLOCK", "SIGNATURE");
    DetachedSignature::parse(text.as_bytes()).ok()
}

fn verdict(signature: &[u8], certs: &[&Cert], content: &[u8], now: &str) -> Verdict {
    let signature = uploaded(signature).unwrap();
    verify(&signature, &public(certs), content, at(now)).unwrap()
}

#[track_caller]
fn flaw_of(signature: &[u8], certs: &[&Cert], content: &[u8], now: &str) -> Flaw {
    match verdict(signature, certs, content, now) {
        Verdict::Refused(flaw) => flaw,
        good @ Verdict::Good { .. } => panic!("{good:?}"),
    }
}

fn fingerprint(cert: &Cert) -> Fingerprint {
    Fingerprint::from_bytes(cert.fingerprint().as_bytes())
}

const FILE: &[u8] = b"the bytes\r\nof a file\n";

#[test]
fn a_good_signature_names_its_certificate_its_key_and_its_time() {
    let (other, cert) = (somebody(None), somebody(Some(YEAR)));
    let signature = sign(&cert, FILE, SIGNED);
    let subkey = cert.keys().subkeys().next().unwrap().key().fingerprint();
    let expected = Verdict::Good {
        certificate: fingerprint(&cert),
        key: Fingerprint::from_bytes(subkey.as_bytes()),
        made_at: at(SIGNED),
    };
    assert_eq!(verdict(&signature, &[&other, &cert], FILE, NOW), expected);
    // Ours and sequoia's fingerprints are the same.
    let certificates = public(&[&cert]);
    let ours = certificates.iter().next().unwrap();
    assert_eq!(*ours.fingerprint(), fingerprint(&cert));
}

#[test]
fn signatures_by_keys_of_every_common_kind_are_verified() {
    for suite in [
        CipherSuite::Cv25519,
        CipherSuite::P256,
        CipherSuite::P384,
        CipherSuite::RSA2k,
    ] {
        let builder = CertBuilder::new()
            .add_userid("Somebody")
            .set_cipher_suite(suite)
            .set_creation_time(system(MADE))
            .add_signing_subkey();
        let cert = builder.generate().unwrap().0;
        let signature = sign(&cert, FILE, SIGNED);
        let good = verdict(&signature, &[&cert], FILE, NOW);
        assert!(matches!(good, Verdict::Good { .. }), "{suite:?}: {good:?}");
        let wrong = flaw_of(&signature, &[&cert], b"other bytes", NOW);
        assert!(matches!(wrong, Flaw::Wrong { .. }), "{suite:?}: {wrong:?}");
    }
}

#[test]
fn a_changed_file_and_a_changed_signature_are_wrong() {
    let cert = somebody(None);
    let signature = sign(&cert, FILE, SIGNED);
    let wrong = Flaw::Wrong {
        certificate: fingerprint(&cert),
    };
    let mut changed = FILE.to_vec();
    changed[0] ^= 1;
    assert_eq!(flaw_of(&signature, &[&cert], &changed, NOW), wrong);
    assert_eq!(flaw_of(&signature, &[&cert], &FILE[1..], NOW), wrong);
    let mut changed = signature.clone();
    *changed.last_mut().unwrap() ^= 1;
    assert_eq!(flaw_of(&changed, &[&cert], FILE, NOW), wrong);
}

#[test]
fn no_changed_bit_of_a_signature_makes_it_good_for_another_file() {
    let cert = somebody(None);
    let signature = sign(&cert, FILE, SIGNED);
    for bit in 0..signature.len() * 8 {
        let mut changed = signature.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let Some(changed) = uploaded(&changed) else {
            continue;
        };
        let verdict = verify(&changed, &public(&[&cert]), &FILE[1..], at(NOW)).unwrap();
        assert!(
            matches!(verdict, Verdict::Refused(_)),
            "bit {bit}: {verdict:?}"
        );
    }
}

#[test]
fn a_signature_by_somebody_else_is_unknown() {
    let (ours, other) = (somebody(None), somebody(None));
    let signature = sign(&other, FILE, SIGNED);
    let subkey = other.keys().subkeys().next().unwrap().key().fingerprint();
    let unknown = Flaw::Unknown {
        issuers: vec![subkey.to_hex()],
    };
    assert_eq!(flaw_of(&signature, &[&ours], FILE, NOW), unknown);
    // Beside a good one it does no harm, and a bad one of ours does.
    let good = sign(&ours, FILE, SIGNED);
    let both = [&*signature, &*good].concat();
    assert!(matches!(
        verdict(&both, &[&ours], FILE, NOW),
        Verdict::Good { .. }
    ));
    let both = [&*good, &*sign(&ours, b"other bytes", SIGNED)].concat();
    assert!(matches!(
        flaw_of(&both, &[&ours], FILE, NOW),
        Flaw::Wrong { .. }
    ));
}

#[test]
fn an_expired_certificate_signs_nothing_new() {
    let cert = somebody(Some(31 * DAY / 2));
    let expired = Flaw::Expired {
        certificate: fingerprint(&cert),
        at: at("2026-01-16T12:00:00Z"),
    };
    let late = sign(&cert, FILE, SIGNED);
    assert_eq!(flaw_of(&late, &[&cert], FILE, NOW), expired);
    // Dated back, by whoever has the key now.
    let early = sign(&cert, FILE, "2026-01-02T00:00:00Z");
    assert_eq!(flaw_of(&early, &[&cert], FILE, NOW), expired);
    assert!(matches!(
        verdict(&early, &[&cert], FILE, "2026-01-02T00:00:00Z"),
        Verdict::Good { .. }
    ));
    assert_eq!(
        standing(&public(&[&cert]), at(NOW)),
        [Standing::Expired {
            at: at("2026-01-16T12:00:00Z")
        }]
    );
}

#[test]
fn a_revoked_certificate_signs_nothing() {
    let cert = somebody(None);
    let signature = sign(&cert, FILE, SIGNED);
    let mut signer = cert
        .primary_key()
        .key()
        .clone()
        .parts_into_secret()
        .unwrap()
        .into_keypair()
        .unwrap();
    for (reason, when) in [
        (ReasonForRevocation::KeyCompromised, "2026-02-01T00:00:30Z"),
        (ReasonForRevocation::KeyRetired, "2026-02-01T00:00:30Z"),
    ] {
        let revocation = sequoia_openpgp::cert::CertRevocationBuilder::new()
            .set_signature_creation_time(system(when))
            .unwrap()
            .set_reason_for_revocation(reason, b"")
            .unwrap()
            .build(&mut signer, &cert, None)
            .unwrap();
        let revoked = cert.clone().insert_packets(revocation).unwrap().0;
        assert_eq!(
            flaw_of(&signature, &[&revoked], FILE, NOW),
            Flaw::Revoked {
                certificate: fingerprint(&cert)
            },
            "{reason}"
        );
        assert_eq!(standing(&public(&[&revoked]), at(NOW)), [Standing::Revoked]);
    }
}

#[test]
fn a_revoked_subkey_signs_nothing() {
    let cert = somebody(None);
    let signature = sign(&cert, FILE, SIGNED);
    let mut signer = cert
        .primary_key()
        .key()
        .clone()
        .parts_into_secret()
        .unwrap()
        .into_keypair()
        .unwrap();
    let subkey = cert.keys().subkeys().next().unwrap();
    let revocation = SubkeyRevocationBuilder::new()
        .set_signature_creation_time(system("2026-02-01T00:00:30Z"))
        .unwrap()
        .set_reason_for_revocation(ReasonForRevocation::KeyRetired, b"")
        .unwrap()
        .build(&mut signer, &cert, subkey.key(), None)
        .unwrap();
    let revoked = cert.clone().insert_packets(revocation).unwrap().0;
    assert_eq!(
        flaw_of(&signature, &[&revoked], FILE, NOW),
        Flaw::Revoked {
            certificate: fingerprint(&cert)
        }
    );
    assert_eq!(
        standing(&public(&[&revoked]), at(NOW)),
        [Standing::NoSigningKey]
    );
}

#[test]
fn a_key_for_something_else_signs_nothing() {
    let builder = CertBuilder::new()
        .add_userid("Somebody")
        .set_creation_time(system(MADE))
        .add_subkey(KeyFlags::empty().set_authentication(), None, None);
    let cert = builder.generate().unwrap().0;
    let signature = sign(&cert, FILE, SIGNED);
    assert_eq!(
        flaw_of(&signature, &[&cert], FILE, NOW),
        Flaw::NotForSigning {
            certificate: fingerprint(&cert)
        }
    );
}

#[test]
fn a_signature_from_the_future_waits_until_the_clocks_can_agree() {
    let cert = somebody(None);
    let within = sign(&cert, FILE, "2026-02-01T00:10:00Z");
    assert!(matches!(
        verdict(&within, &[&cert], FILE, NOW),
        Verdict::Good { .. }
    ));
    let beyond = sign(&cert, FILE, "2026-02-01T00:12:00Z");
    assert!(matches!(
        flaw_of(&beyond, &[&cert], FILE, NOW),
        Flaw::NotNow { .. }
    ));
}

#[test]
fn a_signature_over_text_is_not_one_over_bytes() {
    let cert = somebody(None);
    let signature = sign_as(
        &cert,
        FILE,
        SIGNED,
        SignatureType::Text,
        HashAlgorithm::SHA512,
    );
    assert_eq!(flaw_of(&signature, &[&cert], FILE, NOW), Flaw::OverText);
}

#[test]
fn a_broken_hash_is_not_relied_on() {
    let cert = somebody(None);
    let signature = sign_as(
        &cert,
        FILE,
        SIGNED,
        SignatureType::Binary,
        HashAlgorithm::SHA1,
    );
    assert!(matches!(
        flaw_of(&signature, &[&cert], FILE, NOW),
        Flaw::Unreliable { .. }
    ));
}

#[test]
fn what_is_no_signature_inside_is_not_relied_on() {
    let cert = somebody(None);
    let bodies: [&[u8]; 4] = [
        &[4, 0],
        &[3, 5, 0],
        &[6, 0, 1],
        &[4, 0, 1, 8, 0, 0, 0, 0, 1, 2, 0, 1],
    ];
    for body in bodies {
        let mut data = vec![0xc2, body.len() as u8];
        data.extend(body);
        assert!(matches!(
            flaw_of(&data, &[&cert], FILE, NOW),
            Flaw::Unreliable { .. }
        ));
    }
}

#[test]
fn nothing_is_good_without_certificates() {
    let cert = somebody(None);
    let signature = uploaded(&sign(&cert, FILE, SIGNED)).unwrap();
    let none = Certificates::default();
    let verdict = verify(&signature, &none, FILE, at(NOW)).unwrap();
    assert!(matches!(verdict, Verdict::Refused(Flaw::Unknown { .. })));
}

/// A file that can be read once, and counts the most that was asked for at a time.
struct Large {
    left: u64,
    most: usize,
}

impl Read for Large {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.most = self.most.max(to.len());
        let len = to
            .len()
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        to[..len].fill(7);
        self.left -= len as u64;
        Ok(len)
    }
}

#[test]
fn a_large_file_is_read_in_pieces() {
    const LEN: u64 = 64 * 1024 * 1024;
    let cert = somebody(None);
    let signature = sign(&cert, &vec![7; LEN as usize], SIGNED);
    let signature = uploaded(&signature).unwrap();
    let mut file = Large { left: LEN, most: 0 };
    let verdict = verify(&signature, &public(&[&cert]), &mut file, at(NOW)).unwrap();
    assert!(matches!(verdict, Verdict::Good { .. }), "{verdict:?}");
    assert!(file.most <= 1024 * 1024, "{} bytes at once", file.most);
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_and_no_verdict() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    let cert = somebody(None);
    let signature = uploaded(&sign(&cert, FILE, SIGNED)).unwrap();
    assert!(verify(&signature, &public(&[&cert]), Broken, at(NOW)).is_err());
}

#[test]
fn private_keys_are_refused_as_sequoia_writes_them() {
    let cert = somebody(None);
    let mut data = Vec::new();
    cert.as_tsk().serialize(&mut data).unwrap();
    assert!(Certificates::parse(&data).unwrap_err().is_private_key());
    let text = cert.as_tsk().armored().to_vec().unwrap();
    assert!(Certificates::parse(&text).unwrap_err().is_private_key());
}

#[test]
fn the_standing_of_a_certificate_is_the_one_of_its_longest_signing_key() {
    let builder = CertBuilder::new()
        .add_userid("Somebody")
        .set_creation_time(system(MADE))
        .set_validity_period(YEAR)
        .add_subkey(KeyFlags::empty().set_signing(), 60 * DAY, None)
        .add_subkey(KeyFlags::empty().set_signing(), 90 * DAY, None)
        .add_subkey(KeyFlags::empty().set_storage_encryption(), 120 * DAY, None);
    let cert = builder.generate().unwrap().0;
    let certificates = public(&[&cert, &somebody(None)]);
    let mut seen = standing(&certificates, at(NOW));
    seen.sort_by_key(|standing| *standing == Standing::Signs { until: None });
    assert_eq!(
        seen,
        [
            Standing::Signs {
                until: Some(at("2026-04-01T00:00:00Z"))
            },
            Standing::Signs { until: None },
        ]
    );
    assert_eq!(
        standing(&certificates, at("2026-05-01T00:00:00Z"))
            .iter()
            .filter(|standing| **standing == Standing::NoSigningKey)
            .count(),
        1
    );
}
