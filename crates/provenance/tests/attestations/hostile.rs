//! What holds as evidence and must not be gone by, and what is too much to look at.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};
use wheelmark_provenance::{
    Attestation, MAX_ATTESTATION_LEN, MAX_ATTESTATIONS_LEN, MAX_PROVENANCE_LEN, Predicate,
    Provenance, Publisher, RootError, TrustedRoots, chain,
};
use wheelmark_provenance_testing::{
    KeyKind, Making, PrivateSigstore, Signer, provenance, statement,
};

use crate::subjects::{REAL, Subject, making};

const PUBLISHER: &str = "github:o/r@release.yml";

/// A subject whose one attestation says that, made by that signer in that way.
fn with(
    change: impl FnOnce(PrivateSigstore, &mut Signer, &mut Value, &mut Making) -> PrivateSigstore,
) -> Result<(), String> {
    let (mut subject, sigstore) = Subject::private(PUBLISHER);
    let publisher: Publisher = PUBLISHER.parse().unwrap();
    let mut signer = Signer::of(&publisher, "refs/tags/v1.0");
    let mut said = statement(subject.file.as_str(), &subject.sha256.0, Predicate::Publish);
    let mut making = making();
    let sigstore = change(sigstore, &mut signer, &mut said, &mut making);
    let made = sigstore.attest_statement(&signer, said.to_string().as_bytes(), &making);
    subject.provenance = provenance(&publisher, &[made]);
    subject.verify().map(drop)
}

fn refused(
    change: impl FnOnce(PrivateSigstore, &mut Signer, &mut Value, &mut Making) -> PrivateSigstore,
    because: &str,
) {
    let said = with(change).unwrap_err();
    assert!(said.contains(because), "{said}");
}

#[test]
fn what_is_in_order_is_taken() {
    assert_eq!(with(|sigstore, _, _, _| sigstore), Ok(()));
}

#[test]
fn a_statement_that_was_signed_in_order_can_still_say_something_else() {
    refused(
        |sigstore, _, said, _| {
            let one = said["subject"][0].clone();
            said["subject"].as_array_mut().unwrap().push(one);
            sigstore
        },
        "it is about 2 files",
    );
    refused(
        |sigstore, _, said, _| {
            said["predicateType"] = "https://example.org/vetted/v1".into();
            sigstore
        },
        "`https://example.org/vetted/v1`, which is not taken",
    );
    refused(
        |sigstore, _, said, _| {
            said["subject"][0]["name"] = "demo-1.0-py2-none-any.whl".into();
            sigstore
        },
        "it is about demo-1.0-py2-none-any.whl",
    );
    refused(
        |sigstore, _, said, _| {
            said["subject"][0]["digest"] = json!({"sha512": "00".repeat(64)});
            sigstore
        },
        "does not say the SHA-256",
    );
    refused(
        |sigstore, _, said, _| {
            said["predicate"] = json!({"more": 1});
            sigstore
        },
        "says something besides",
    );
    refused(
        |sigstore, _, said, _| {
            *said = json!("text");
            sigstore
        },
        "not an in-toto statement",
    );
}

#[test]
fn certificates_have_to_be_valid_recorded_and_of_the_right_authority() {
    refused(
        |sigstore, _, _, making| {
            making.integrated = making.certified + SignedDuration::from_mins(11);
            sigstore
        },
        "certificate does not hold",
    );
    refused(
        |sigstore, _, _, making| {
            making.integrated = making.certified - SignedDuration::from_secs(1);
            sigstore
        },
        "certificate does not hold",
    );
    refused(
        |sigstore, _, _, making| {
            making.lifetime = Duration::from_secs(5);
            sigstore
        },
        "certificate does not hold",
    );
    refused(
        |sigstore, _, _, making| {
            making.recorded = false;
            sigstore
        },
        "Signed Certificate Timestamp",
    );
    refused(
        |sigstore, _, _, _| sigstore.with_another_certificate_log(),
        "certificate does not hold",
    );
    refused(
        |sigstore, _, _, _| sigstore.with_another_authority(),
        "certificate does not hold",
    );
    refused(
        |sigstore, _, _, _| sigstore.with_another_log(),
        "which no trusted root knows",
    );
    refused(
        |sigstore, _, _, making| {
            making.key = KeyKind::P384;
            sigstore
        },
        "ECDSA P-256 is needed",
    );
    // All of it in a time that is not yet.
    refused(
        |sigstore, _, _, making| {
            *making = Making::at("2026-01-01T00:00:00Z".parse().unwrap());
            sigstore
        },
        "and now it is 2026-01-01T00:00:00Z",
    );
}

#[test]
fn somebody_else_in_order_is_somebody_else() {
    refused(
        |sigstore, signer, _, _| {
            let evil: Publisher = "github:evil/r@release.yml".parse().unwrap();
            *signer = Signer::of(&evil, "refs/tags/v1.0");
            sigstore
        },
        "its repository is https://github.com/evil/r, and not https://github.com/o/r",
    );
    refused(
        |sigstore, signer, _, _| {
            let evil: Publisher = "github:o/r@test.yml".parse().unwrap();
            *signer = Signer::of(&evil, "refs/tags/v1.0");
            sigstore
        },
        "its workflow is",
    );
    refused(
        |sigstore, signer, _, _| {
            *signer = signer.clone().without_issuer();
            sigstore
        },
        "names no issuer",
    );
    refused(
        |sigstore, signer, _, _| {
            *signer = signer.clone().without(12);
            sigstore
        },
        "does not say the repository",
    );
    // The same claims, from an issuer of somebody's own.
    refused(
        |sigstore, signer, _, _| {
            *signer = signer.clone().with_issuer("https://evil.example.org");
            sigstore
        },
        "its issuer is https://evil.example.org",
    );
}

#[test]
fn an_index_may_state_an_environment_that_a_certificate_does_not_have() {
    let (mut subject, _) = Subject::private(PUBLISHER);
    subject.provenance["attestation_bundles"][0]["publisher"]["environment"] = "pypi".into();
    let verified = subject.verify().unwrap();
    // Who asks for it is not content with that.
    let pinned: Publisher = "github:o/r@release.yml#pypi".parse().unwrap();
    assert!(verified[0].identity().matches(&pinned).is_err());
    // One that contradicts the certificate's is refused.
    let (mut subject, _) = Subject::private("github:o/r@release.yml#pypi");
    assert!(subject.verify().is_ok());
    subject.provenance["attestation_bundles"][0]["publisher"]["environment"] = "test".into();
    let said = subject.verify().unwrap_err();
    assert!(
        said.contains("its environment is pypi, and not test"),
        "{said}"
    );
    // A kind that nobody here knows says nothing, for or against.
    subject.provenance["attestation_bundles"][0]["publisher"] = json!({"kind": "Forge"});
    assert!(subject.verify().is_ok());
}

#[test]
fn what_is_too_much_is_refused_before_it_is_parsed() {
    let said = |error: wheelmark_provenance::AttestationError| chain(&error);
    let deep = "[".repeat(10_000);
    assert!(said(Attestation::parse(deep.as_bytes()).unwrap_err()).contains("32 deep"));
    let deep = format!("{}{}", r#"{"a":"#.repeat(33), "}".repeat(33));
    assert!(said(Provenance::parse(deep.as_bytes()).unwrap_err()).contains("32 deep"));
    for (length, parsed) in [
        (MAX_ATTESTATION_LEN, Attestation::parse as fn(&[u8]) -> _),
        (MAX_ATTESTATION_LEN, Attestation::from_bundle),
    ] {
        let long = vec![b' '; length + 1];
        assert!(said(parsed(&long).unwrap_err()).contains("too many"));
    }
    let long = vec![b' '; MAX_ATTESTATIONS_LEN + 1];
    assert!(said(Attestation::parse_list(&long).unwrap_err()).contains("too many"));
    let long = vec![b' '; MAX_PROVENANCE_LEN + 1];
    assert!(said(Provenance::parse(&long).unwrap_err()).contains("too many"));

    let mut subject = Subject::real(REAL[0]);
    let one = subject.attestation().clone();
    let list = |count: usize| serde_json::to_vec(&vec![&one; count]).unwrap();
    assert_eq!(Attestation::parse_list(&list(1)).unwrap().len(), 1);
    assert!(said(Attestation::parse_list(b"[]").unwrap_err()).contains("no attestation"));
    let three = said(Attestation::parse_list(&list(3)).unwrap_err());
    assert!(three.contains("3 attestations, at most 2"), "{three}");
    let many = said(Attestation::parse_list(&list(10_000)).unwrap_err());
    assert!(many.contains("bytes are too many"), "{many}");
    // Bundles within the bytes, and above their number.
    let bundle = subject.provenance["attestation_bundles"][0].clone();
    subject.provenance["attestation_bundles"] = vec![bundle; 5].into();
    let five = subject.verify().unwrap_err();
    assert!(five.contains("5 publishers, at most 4"), "{five}");
}

#[test]
fn parts_are_bounded_one_by_one() {
    let large = |bytes: usize| Value::from("A".repeat(bytes / 3 * 4));
    let mut subject = Subject::real(REAL[0]);
    for (path, bytes, said) in [
        (
            "/envelope/statement",
            66_000,
            "its statement has 66000 bytes",
        ),
        (
            "/verification_material/certificate",
            9_000,
            "its certificate has 9000 bytes",
        ),
        (
            "/verification_material/transparency_entries/0/canonicalizedBody",
            25_002,
            "its log entry has 25002 bytes",
        ),
    ] {
        let mut attestation = subject.attestation().clone();
        *attestation.pointer_mut(path).unwrap() = large(bytes);
        let bytes = serde_json::to_vec(&attestation).unwrap();
        let refused = chain(&Attestation::parse(&bytes).unwrap_err());
        assert!(refused.contains(said), "{refused}");
    }
    let hash = subject.entry()["inclusionProof"]["rootHash"].clone();
    subject.entry()["inclusionProof"]["hashes"] = vec![hash; 64].into();
    let refused = subject.verify().unwrap_err();
    assert!(refused.contains("64 hashes, at most 63"), "{refused}");
    let mut subject = Subject::real(REAL[0]);
    let checkpoint = &mut subject.entry()["inclusionProof"]["checkpoint"]["envelope"];
    let text = checkpoint.as_str().unwrap().to_owned();
    let (_, signatures) = text.split_once("\n\n").unwrap();
    *checkpoint = format!("{text}{}", signatures.repeat(16)).into();
    let refused = subject.verify().unwrap_err();
    assert!(refused.contains("too many signatures"), "{refused}");
}

#[test]
fn a_trusted_root_that_cannot_be_one_is_refused() {
    let sigstore = PrivateSigstore::new("2025-12-31T00:00:00Z".parse().unwrap());
    let root: Value = serde_json::from_str(&sigstore.trusted_root()).unwrap();
    let read =
        |root: &Value| TrustedRoots::empty().with("ours", &serde_json::to_vec(root).unwrap());
    assert!(read(&root).is_ok());
    for (member, what) in [
        ("tlogs", "transparency log"),
        ("ctlogs", "certificate log"),
        ("certificateAuthorities", "certificate authority"),
    ] {
        let mut without = root.clone();
        without[member] = json!([]);
        let refused = read(&without).unwrap_err();
        assert_eq!(
            refused.to_string(),
            format!("it names no {what}, and an attestation needs one")
        );
    }
    for wrong in [json!({}), json!([]), json!({"tlogs": 5}), Value::Null] {
        assert!(matches!(
            read(&wrong).unwrap_err(),
            RootError::Unusable { .. }
        ));
    }
    let mut twice = root.clone();
    let log = twice["tlogs"][0].clone();
    twice["tlogs"].as_array_mut().unwrap().push(log);
    assert!(read(&twice).is_err());
    assert!(TrustedRoots::empty().with("x", b"{").is_err());
    assert!(
        TrustedRoots::empty()
            .with("x", &vec![b' '; 2 << 20])
            .is_err()
    );
    let mut many = TrustedRoots::empty();
    for _ in 0..16 {
        many = many
            .with("ours", sigstore.trusted_root().as_bytes())
            .unwrap();
    }
    assert!(matches!(
        many.with("ours", sigstore.trusted_root().as_bytes()),
        Err(RootError::TooMany { most: 16 })
    ));
}
