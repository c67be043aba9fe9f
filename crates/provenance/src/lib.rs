//! Who vouches for a file, besides the index.
//!
//! ```text
//! attestation (PEP 740), sigstore bundle ─▶ Attestation ──┐
//! provenance object (PEP 740) ─▶ Provenance ──────────────┤
//! trusted_root.json ─▶ TrustedRoots ──────────────────────┼─▶ verify(file, sha256, …, now) ─▶ Verified<Attested>
//! file name, SHA-256 ─────────────────────────────────────┘                                    │
//!                                                                                     Identity::matches
//! policy, lock file, an index's word ─▶ Publisher ─────────────────────────────────────────────┘
//!
//! certificate, as people export it ─▶ Certificates ─▶ armoured bytes: kept, signed, served
//!                                          │
//! signature, as it is uploaded ─▶ DetachedSignature ─▶ verify(file, now) ─▶ Verdict
//!                                                      (feature `openpgp`)
//!
//! wheelmark.toml ─▶ Policy ─▶ decide(what is known of a file, now) ─▶ Decision, line by line
//! ```
//!
//! A [`Publisher`] is who is expected, and anybody can write one down; an [`Identity`] is who a
//! certificate proves, and comes out of a verification alone.
//!
//! Bytes and a time go in: nothing here reads a clock, a file or a socket of its own. (The library
//! that checks Sigstore's signatures looks at the clock as well, to refuse what a log dates after
//! now. It can only refuse more by that, never less.)

mod attestation;
mod chain;
mod evidence;
mod first_use;
mod identity;
mod json;
pub mod openpgp;
pub mod policy;
mod provenance;
mod publisher;
mod roots;
mod sigstore;
mod statement;
mod verify;

pub use self::attestation::{
    Attestation, AttestationError, MAX_ATTESTATION_LEN, MAX_ATTESTATIONS, MAX_ATTESTATIONS_LEN,
    MAX_CERTIFICATE_LEN, MAX_CHECKPOINT_LEN, MAX_CHECKPOINT_SIGNATURES, MAX_DEPTH,
    MAX_ENTRY_BODY_LEN, MAX_PROOF_HASHES, MAX_STATEMENT_LEN,
};
pub use self::chain::Chain;
pub use self::evidence::Evidence;
pub use self::first_use::{
    Accepted, AcceptedBy, Before, MAX_REMEMBERED, Remembered, Revoked, Since, Standing,
};
pub use self::identity::{Account, Claims, Identity, Mismatch, Subject};
pub use self::provenance::{AttestationBundle, MAX_BUNDLES, MAX_PROVENANCE_LEN, Provenance};
pub use self::publisher::{
    CircleCi, GitHub, GitLab, Google, Oidc, Publisher, PublisherError, Unknown,
};
pub use self::roots::{
    MAX_ROOTS, MAX_TRUSTED_ROOT_LEN, PUBLIC_GOOD, PUBLIC_GOOD_AS_OF, PUBLIC_GOOD_TUF_ROOT,
    RootError, TrustedRoots,
};
pub use self::sigstore::Flaw;
pub use self::statement::{Predicate, StatementError};
pub use self::verify::{
    Attested, LogEntry, ProvenanceRefusal, Refusal, UploadRefusal, Verified, chain, verify,
    verify_provenance, verify_upload,
};
