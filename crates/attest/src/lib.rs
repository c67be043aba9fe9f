//! Makes attestations (PEP 740) with a Sigstore: somebody's signed word about one file.
//!
//! ```text
//! identity token ──────────┐
//! a key, made for this run ┴▶ Fulcio: who is it? ─▶ certificate ─┐
//!                                                                 │
//! file name, SHA-256 ─▶ statement ─▶ signature ─▶ Rekor: recorded ┴▶ verify ─▶ Made
//! ```
//!
//! [`Instance`] says whose services are asked. [`Instance::certify`] shows an [`IdentityToken`] and
//! gets a certificate for a key that nobody else ever has; [`Certified::attest`] signs one statement
//! after the other with it and has each recorded. What comes back was verified as any reader verifies
//! it, against roots that the caller trusts: there is no way to a [`Made`] around that.
//!
//! Both services are somebody else's: what they answer has a limit in bytes and in time, and counts
//! for nothing before the verification. The token goes to the authority alone, by https (or on this
//! machine), and never through a redirect.
//!
//! Nothing here looks for a token in the environment, or writes a file. The key, and the numbers that
//! signatures need, are drawn by the cryptographic library itself: a key that its caller could choose
//! would be worth less.

mod certificate;
mod envelope;
mod identity_token;
mod instance;
mod key;
mod log;
mod pem;
mod service;

pub use self::certificate::{CertificateError, MAX_CHAIN};
pub use self::identity_token::{IdentityToken, MAX_TOKEN_LEN, TokenError, job_token};
pub use self::instance::{AttestError, CLOCK_PATIENCE, Certified, Instance, Made};
pub use self::key::KeyError;
pub use self::log::RecordError;
pub use self::service::{MAX_ANSWER_LEN, Patience, ServiceError};
