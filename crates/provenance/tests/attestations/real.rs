//! What PyPI serves.

use wheelmark_provenance::{Predicate, Provenance, Publisher, TrustedRoots};

use crate::subjects::{REAL, Subject};

#[test]
fn real_attestations_verify() {
    for (name, publisher, index) in [
        (
            REAL[0],
            "github:woodruffw/abi3info@release.yml",
            136_619_283,
        ),
        (
            REAL[1],
            "github:woodruffw/abi3info@release.yml",
            138_157_179,
        ),
        (
            REAL[2],
            "github:trailofbits/pypi-attestations@release.yml",
            153_454_663,
        ),
    ] {
        let verified = Subject::real(name).verify().unwrap();
        let [attested] = &verified[..] else {
            panic!("{verified:?}")
        };
        assert_eq!(attested.predicate(), Predicate::Publish);
        assert_eq!(attested.root(), "Sigstore's public instance");
        assert_eq!(attested.log().index, index);
        let publisher: Publisher = publisher.parse().unwrap();
        assert_eq!(attested.identity().matches(&publisher), Ok(()));
        assert_eq!(
            attested.identity().publisher().without_environment(),
            publisher
        );
        println!(
            "{name}: {}, log entry {index} of {}",
            attested.identity(),
            attested.log().integrated
        );
    }
}

#[test]
fn what_is_read_is_written_alike() {
    for name in REAL {
        let subject = Subject::real(name);
        let bytes = serde_json::to_vec(&subject.provenance).unwrap();
        let read = Provenance::parse(&bytes).unwrap();
        let written = read.to_json();
        assert_eq!(Provenance::parse(&written).unwrap(), read);
        assert_eq!(read.to_json(), written);
        // Its attestations are the same values, however their members are ordered.
        let written: serde_json::Value = serde_json::from_slice(&written).unwrap();
        assert_eq!(
            written["attestation_bundles"][0]["attestations"],
            subject.provenance["attestation_bundles"][0]["attestations"]
        );
    }
}

#[test]
fn nobody_is_believed_without_a_root() {
    let mut subject = Subject::real(REAL[0]);
    subject.roots = TrustedRoots::empty();
    let refused = subject.verify().unwrap_err();
    assert!(refused.contains("which no trusted root knows"), "{refused}");
    let (private, _) = Subject::private("github:o/r@release.yml");
    subject.roots = private.roots.clone();
    assert!(subject.verify().is_err());
}

#[test]
fn a_private_sigstore_and_the_public_one_are_believed_side_by_side() {
    let (private, sigstore) = Subject::private("ci@corp.example+https://id.corp.example");
    let both = TrustedRoots::public_good()
        .unwrap()
        .with("ours", sigstore.trusted_root().as_bytes())
        .unwrap();
    assert_eq!(
        both.names().collect::<Vec<_>>(),
        ["Sigstore's public instance", "ours"]
    );
    let mut real = Subject::real(REAL[2]);
    for subject in [&mut real, &mut private.clone()] {
        subject.roots = both.clone();
        let verified = subject.verify().unwrap();
        println!("{} by {}", verified[0].identity(), verified[0].root());
    }
    let mut alone = private;
    alone.roots = TrustedRoots::public_good().unwrap();
    assert!(alone.verify().is_err());
}

#[test]
fn a_private_sigstore_does_not_speak_for_public_services_beside_the_public_one() {
    for publisher in [
        "github:o/r@release.yml",
        "gitlab:g/p@.gitlab-ci.yml",
        "google:robot@project.iam.gserviceaccount.com",
    ] {
        let (mut subject, sigstore) = Subject::private(publisher);
        assert!(subject.verify().is_ok());
        let root = sigstore.trusted_root();
        let public = || TrustedRoots::public_good().unwrap();
        subject.roots = public().with("ours", root.as_bytes()).unwrap();
        let refused = subject.verify().unwrap_err();
        assert!(
            refused.contains("ours vouches for somebody of https://"),
            "{refused}"
        );
        // Unless it is said that it is fed with their tokens.
        subject.roots = public().with_for_anybody("ours", root.as_bytes()).unwrap();
        assert!(subject.verify().is_ok());
    }
}
