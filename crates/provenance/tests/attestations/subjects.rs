//! What the tests are about: a file, its provenance, and who has to be believed.

use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use jiff::Timestamp;
use serde_json::Value;
use wheelmark_packaging::DistributionFilename;
use wheelmark_packaging::simple::Sha256Hex;
use wheelmark_provenance::{
    Attested, Provenance, Publisher, TrustedRoots, Verified, chain, verify_provenance,
};
use wheelmark_provenance_testing::{Making, PrivateSigstore, Signer, provenance};

/// The files in `tests/fixtures`.
pub(crate) const REAL: [&str; 3] = [
    "abi3info-2024.10.3-py3-none-any.whl",
    "abi3info-2024.10.8-py3-none-any.whl",
    "pypi_attestations-0.0.19.tar.gz",
];

/// When the tests take place.
pub(crate) fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

/// A file, what is said of it, and who is believed.
#[derive(Clone)]
pub(crate) struct Subject {
    pub(crate) file: DistributionFilename,
    pub(crate) sha256: Sha256Hex,
    pub(crate) provenance: Value,
    pub(crate) roots: TrustedRoots,
    pub(crate) now: Timestamp,
}

impl Subject {
    pub(crate) fn real(name: &str) -> Subject {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        let bytes = std::fs::read(folder.join(name)).unwrap();
        let provenance = std::fs::read(folder.join(format!("{name}.provenance"))).unwrap();
        Subject {
            file: name.parse().unwrap(),
            sha256: Sha256Hex(digest(&SHA256, &bytes).as_ref().try_into().unwrap()),
            provenance: serde_json::from_slice(&provenance).unwrap(),
            roots: TrustedRoots::public_good().unwrap(),
            now: now(),
        }
    }

    /// Made now, by a job of a publisher.
    pub(crate) fn private(publisher: &str) -> (Subject, PrivateSigstore) {
        let publisher: Publisher = publisher.parse().unwrap();
        let sigstore = PrivateSigstore::new("2025-12-31T00:00:00Z".parse().unwrap());
        let subject = Subject {
            file: "demo-1.0-py3-none-any.whl".parse().unwrap(),
            sha256: Sha256Hex([7; 32]),
            provenance: Value::Null,
            roots: TrustedRoots::empty()
                .with("a Sigstore of our own", sigstore.trusted_root().as_bytes())
                .unwrap(),
            now: now(),
        };
        let made = sigstore.attest(
            &Signer::of(&publisher, "refs/tags/v1.0"),
            subject.file.as_str(),
            &subject.sha256.0,
            wheelmark_provenance::Predicate::Publish,
            &making(),
        );
        let subject = Subject {
            provenance: provenance(&publisher, &[made]),
            ..subject
        };
        (subject, sigstore)
    }

    pub(crate) fn verify(&self) -> Result<Vec<Verified<Attested>>, String> {
        let bytes = serde_json::to_vec(&self.provenance).unwrap();
        let provenance = Provenance::parse(&bytes).map_err(|error| chain(&error))?;
        verify_provenance(&self.file, &self.sha256, &provenance, &self.roots, self.now)
            .map_err(|refusal| chain(&refusal))
    }

    /// Its first attestation.
    pub(crate) fn attestation(&mut self) -> &mut Value {
        &mut self.provenance["attestation_bundles"][0]["attestations"][0]
    }

    /// The log entry of it.
    pub(crate) fn entry(&mut self) -> &mut Value {
        &mut self.attestation()["verification_material"]["transparency_entries"][0]
    }
}

/// An hour before the tests take place.
pub(crate) fn making() -> Making {
    Making::at("2025-12-31T23:00:00Z".parse().unwrap())
}
