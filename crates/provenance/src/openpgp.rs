//! OpenPGP: the certificates of a project, and signatures over its files.
//!
//! What is read of certificates here is only the frame: armour, packets, which of them belong
//! together. That is enough to tell a certificate from a private key, which must never be published, to name it by
//! its fingerprint, and to put what a project registers into one form. It needs no cryptography
//! besides the hash of the fingerprint, so it is there in every build.
//!
//! Whether a signature is good is asked of sequoia, in `verify`, which the cargo feature
//! `openpgp` brings. The frame of a signature is `packaging`'s matter; what that refuses never reaches
//! sequoia.

mod armor;
mod certificate;
mod certificates;
mod fingerprint;
mod packet;
#[cfg(feature = "openpgp")]
mod standing;
mod verdict;
#[cfg(feature = "openpgp")]
mod verify;

pub use armor::{ArmorError, MAX_INPUT_LEN};
pub use certificate::{Certificate, CertificateError};
pub use certificates::{Addition, Certificates, CertificatesError, MAX_CERTIFICATES};
pub use fingerprint::{Fingerprint, FingerprintError};
pub use packet::{MAX_PACKETS, PacketError};
#[cfg(feature = "openpgp")]
pub use standing::{Standing, standing};
pub use verdict::{Flaw, Verdict};
#[cfg(feature = "openpgp")]
pub use verify::verify;

/// Whether this build can verify signatures.
pub const VERIFIES: bool = cfg!(feature = "openpgp");
