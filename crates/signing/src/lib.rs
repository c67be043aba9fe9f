//! Private keys, and the signatures they make.
//!
//! ```text
//!   online                                    offline
//!   FileKey::open(path)                       custodian-1.age + Phrase
//!   FileKey::from_credentials(dir, name)            │ unseal
//!          │                                        ▼
//!          │                                  Seat: root, targets, bins, claimed
//!          └───────────────┬────────────────────────┘
//!                          ▼
//!                     &dyn Signer ── sign_role(canonical, signers) ──▶ metadata file
//! ```
//!
//! Nothing here decides what gets signed, and only the snapshot process and ceremonies use it:
//! the web server does not even link it. Secrets are wiped from memory when they are dropped
//! and are shown by nothing; only [`Phrase::reveal`] gives one out, for the one time it is
//! printed.

mod ed25519;
mod file_key;
mod offline;
mod private_file;
mod signer;

pub use self::ed25519::Ed25519Key;
pub use self::file_key::{CreateKeyError, FileKey, OpenKeyError};
pub use self::offline::{
    DEFAULT_WORK_FACTOR, MAX_WORK_FACTOR, NoSuchKey, Phrase, PhraseError, SEAT_KEYS, SealError,
    Seat, UnsealError, generate_seat, seal, seal_bytes, unseal, unseal_bytes,
};
pub use self::private_file::create_private_file;
pub use self::signer::{SignError, SignRoleError, Signer, sign_role};
