//! What comes with an upload is taken whole, or not at all; and Sigstore's own bundles.

use serde_json::{Value, json};
use wheelmark_provenance::{
    Attestation, Predicate, Provenance, Publisher, UploadRefusal, chain, verify, verify_upload,
};
use wheelmark_provenance_testing::Signer;

use crate::subjects::{REAL, Subject, making};

fn read(attestation: &Value) -> Attestation {
    Attestation::parse(&serde_json::to_vec(attestation).unwrap()).unwrap()
}

#[test]
fn each_attestation_has_to_hold_and_to_be_by_somebody_who_may() {
    let ours = "github:o/r@release.yml";
    let (mut subject, sigstore) = Subject::private(ours);
    let ours: Publisher = ours.parse().unwrap();
    let theirs: Publisher = "github:evil/r@release.yml".parse().unwrap();
    let made = |publisher: &Publisher, predicate| {
        let signer = Signer::of(publisher, "refs/tags/v1.0");
        let (name, digest) = ("demo-1.0-py3-none-any.whl", [7; 32]);
        read(&sigstore.attest(&signer, name, &digest, predicate, &making()))
    };
    let publish = read(subject.attestation());
    let slsa = made(&ours, Predicate::Slsa);
    let other = made(&theirs, Predicate::Slsa);
    let upload = |attestations: &[Attestation], allowed: &[Publisher]| {
        verify_upload(
            &subject.file,
            &subject.sha256,
            attestations,
            allowed,
            &subject.roots,
            subject.now,
        )
    };
    let both = [publish.clone(), slsa.clone()];
    let verified = upload(&both, &[theirs.clone(), ours.clone()]).unwrap();
    let predicates: Vec<Predicate> = verified.iter().map(|one| one.predicate()).collect();
    assert_eq!(predicates, Predicate::ALL);

    assert!(matches!(
        upload(&[], std::slice::from_ref(&ours)),
        Err(UploadRefusal::None)
    ));
    let three = [publish.clone(), slsa.clone(), slsa.clone()];
    assert!(matches!(
        upload(&three, std::slice::from_ref(&ours)),
        Err(UploadRefusal::TooMany { count: 3, most: 2 })
    ));
    let twice = [publish.clone(), publish.clone()];
    assert!(matches!(
        upload(&twice, std::slice::from_ref(&ours)),
        Err(UploadRefusal::Twice {
            predicate: Predicate::Publish
        })
    ));
    for allowed in [&[][..], std::slice::from_ref(&theirs)] {
        let refused = upload(&both, allowed).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "attestation 1 was made by github:o/r@release.yml (refs/tags/v1.0), who may not attest \
             for this project"
        );
    }
    // One of two by somebody else: neither is taken.
    assert!(matches!(
        upload(&[publish.clone(), other], std::slice::from_ref(&ours)),
        Err(UploadRefusal::Publisher { position: 2, .. })
    ));
    // One of two that does not hold: neither is taken.
    let elsewhere = read(Subject::real(REAL[0]).attestation());
    let refused = upload(&[publish.clone(), elsewhere], std::slice::from_ref(&ours)).unwrap_err();
    assert_eq!(
        chain(&refused),
        "attestation 2 proves nothing about this file: it is about \
         abi3info-2024.10.3-py3-none-any.whl, and not about demo-1.0-py3-none-any.whl"
    );
    // What was taken is what is served.
    let object = Provenance::new(ours, both.to_vec()).to_json();
    subject.provenance = serde_json::from_slice(&object).unwrap();
    assert_eq!(subject.verify().unwrap().len(), 2);
}

#[test]
fn a_bundle_of_sigstore_is_an_attestation_as_well() {
    let mut subject = Subject::real(REAL[2]);
    let attestation = subject.attestation().clone();
    let bundle = json!({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {
            "certificate": { "rawBytes": attestation["verification_material"]["certificate"] },
            "tlogEntries": attestation["verification_material"]["transparency_entries"],
            "timestampVerificationData": { "rfc3161Timestamps": [] },
        },
        "dsseEnvelope": {
            "payload": attestation["envelope"]["statement"],
            "payloadType": "application/vnd.in-toto+json",
            "signatures": [{ "sig": attestation["envelope"]["signature"], "keyid": "" }],
        },
    });
    let parse = |bundle: &Value| Attestation::from_bundle(&serde_json::to_vec(bundle).unwrap());
    let read_bundle = parse(&bundle).unwrap();
    assert_eq!(read_bundle, read(&attestation));
    let verified = verify(
        &subject.file,
        &subject.sha256,
        &read_bundle,
        &subject.roots,
        subject.now,
    );
    assert!(verified.is_ok());
    for (path, value) in [
        (
            "/mediaType",
            json!("application/vnd.dev.sigstore.bundle+json;version=0.1"),
        ),
        ("/dsseEnvelope/payloadType", json!("text/plain")),
        ("/dsseEnvelope/signatures", json!([])),
        ("/verificationMaterial/tlogEntries", json!([])),
    ] {
        let mut wrong = bundle.clone();
        *wrong.pointer_mut(path).unwrap() = value;
        assert!(parse(&wrong).is_err(), "{path}");
    }
}
