//! A private Sigstore, for tests: an authority that certifies whoever it is asked to, a log of
//! certificates, and a transparency log of one entry. [`Services`] is the same over HTTP, as the
//! real ones are: the authority certifies whom identity tokens name, and the log grows.
//!
//! ```text
//! Signer ─▶ Authority: certificate, with the word of the certificate log
//!                │
//! statement ─▶ signature ─▶ Log: promise, tree of one leaf, checkpoint ─▶ PEP 740 attestation
//!
//! PrivateSigstore::trusted_root ─▶ trusted_root.json, which makes all of it hold
//!
//! Services: POST /api/v2/signingCert (Fulcio)   POST, GET /api/v1/log/entries (Rekor)
//! ```
//!
//! What it makes is what Sigstore's public instance makes, and is accepted by every client that is
//! given its `trusted_root.json`. It certifies anybody without a question, keeps its keys in the
//! open, and is of no use outside of tests.
//!
//! It panics where something cannot be made: that is a defect of the test.

mod authority;
mod der;
mod key;
mod log;
mod root;
mod services;
mod signer;
mod sigstore;

pub use self::services::{Issuer, IssuerKind, Services, TestIssuer};
pub use self::signer::Signer;
pub use self::sigstore::{KeyKind, Making, PrivateSigstore, provenance, statement};
