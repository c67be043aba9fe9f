//! Files that PyPI serves, and the attestations that it serves for them.

use std::sync::LazyLock;

use jiff::Timestamp;
use wheelmark_packaging::DistributionFilename;
use wheelmark_packaging::simple::Sha256Hex;
use wheelmark_provenance::{Attestation, Provenance};

/// One file, and what is attested of it.
pub struct Attested {
    /// Its name.
    pub name: DistributionFilename,
    /// Its digest.
    pub sha256: Sha256Hex,
    /// What is attested of it.
    pub attestation: Attestation,
    /// The provenance object, as it is served.
    pub provenance: &'static [u8],
}

/// Name, digest and provenance of each.
const FILES: [(&str, &str, &[u8]); 2] = [
    (
        "abi3info-2024.10.3-py3-none-any.whl",
        "01577e2314093011854ec7e888dc3fd25e19031bc121a8c394430da06e1fd4dc",
        include_bytes!(
            "../../crates/provenance/tests/fixtures/abi3info-2024.10.3-py3-none-any.whl.provenance"
        ),
    ),
    (
        "pypi_attestations-0.0.19.tar.gz",
        "9bb1add04b1b4e182be6b0b80931593f7a291eb49d69b4fd728a5d4cbcdc4bd3",
        include_bytes!(
            "../../crates/provenance/tests/fixtures/pypi_attestations-0.0.19.tar.gz.provenance"
        ),
    ),
];

/// The files that are known.
pub fn files() -> &'static [Attested] {
    static KNOWN: LazyLock<Vec<Attested>> = LazyLock::new(|| {
        let known = FILES.iter().map(|(name, sha256, provenance)| Attested {
            name: name.parse().expect("a file's name"),
            sha256: sha256.parse().expect("a digest"),
            attestation: Provenance::parse(provenance)
                .expect("what PyPI serves")
                .bundles()[0]
                .attestations[0]
                .clone(),
            provenance,
        });
        known.collect()
    });
    &KNOWN
}

/// A time after all of them.
pub fn now() -> Timestamp {
    Timestamp::from_second(1_767_225_600).expect("a time")
}
