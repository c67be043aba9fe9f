//! What a verification comes to.

use jiff::Timestamp;

use super::fingerprint::Fingerprint;

/// What became of a verification.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// A certificate of the project made the signature over exactly these bytes, and could both
    /// when it did and now.
    Good {
        /// The certificate.
        certificate: Fingerprint,
        /// The key in it, which can be the certificate's own.
        key: Fingerprint,
        /// When the signature says that it was made.
        made_at: Timestamp,
    },
    /// It does not hold.
    Refused(Flaw),
}

/// Why a signature does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// None of the certificates made it, as far as it says itself.
    #[error(
        "no certificate of the project made it; it says that the key {} did",
        shown(issuers)
    )]
    Unknown {
        /// The keys that it says made it, as fingerprints or key ids.
        issuers: Vec<String>,
    },
    /// It is not a signature over these bytes: the file is another one, or the signature was
    /// changed.
    #[error("it is no signature of {certificate} over this file: one of the two was changed")]
    Wrong {
        /// The certificate that it names.
        certificate: Fingerprint,
    },
    /// Made later than now, or no longer valid by its own words.
    #[error("it is not valid now: {reason}")]
    NotNow {
        /// In sequoia's words.
        reason: String,
    },
    /// The certificate, or the key in it, had expired when the signature was made, or has since.
    #[error("the certificate {certificate} expired on {at}")]
    Expired {
        /// The certificate.
        certificate: Fingerprint,
        /// When it did.
        at: Timestamp,
    },
    /// The certificate, or the key in it, is revoked.
    #[error("the certificate {certificate}, or its key that signed, is revoked")]
    Revoked {
        /// The certificate.
        certificate: Fingerprint,
    },
    /// The key is in the certificate for something else, as for encryption.
    #[error("the key of {certificate} that signed is not for signing")]
    NotForSigning {
        /// The certificate.
        certificate: Fingerprint,
    },
    /// A signature over text, which holds for files that differ in their line ends.
    #[error("it is a signature over text, and not over these very bytes")]
    OverText,
    /// A form or an algorithm that is not known, not safe any more, or not in order.
    #[error("it cannot be relied on: {reason}")]
    Unreliable {
        /// In sequoia's words.
        reason: String,
    },
}

fn shown(issuers: &[String]) -> String {
    match issuers {
        [] => "of nobody".to_owned(),
        issuers => issuers.join(", "),
    }
}
