//! Private keys, and the signatures they make.
//!
//! ```text
//!   online                     in files              in other hands
//!   FileKey::open(path)        alice.age + Phrase    Token    pkcs11:  + PIN
//!   FileKey::from_credentials        │ unseal        Agent    ssh:
//!          │                         ▼               SigningCommand  command:
//!          │                  Seat: root, targets,         │ HeldKey: verifies what it is answered
//!          │                  claimed, bins                │
//!          └────────────────────────┬──────────────────────┘
//!                                   ▼
//!                     &dyn Signer ── sign_role(canonical, signers) ──▶ metadata file
//! ```
//!
//! Nothing here decides what gets signed, and only the snapshot process and ceremonies use it:
//! the web server does not even link it. Secrets are wiped from memory when they are dropped
//! and are shown by nothing; only [`Phrase::reveal`] gives one out, for the one time it is
//! printed. What a token, an agent or a program answers is a signature only if it verifies.

mod agent;
mod command;
mod der;
mod ed25519;
mod file_key;
mod offline;
mod private_file;
mod public_key;
mod signer;
mod token;
mod uri;

pub use self::agent::{Agent, AgentError, AgentKey, Listed, Unusable, WireError};
pub use self::command::{
    COMMAND_PATIENCE, CommandError, CommandKey, LONGEST_COMMAND_PATIENCE, SigningCommand,
};
pub use self::ed25519::Ed25519Key;
pub use self::file_key::{CreateKeyError, FileKey, OpenKeyError};
pub use self::offline::{
    DEFAULT_WORK_FACTOR, Identity, Lock, LockError, MAX_WORK_FACTOR, NoSuchKey, ParseIdentityError,
    ParseRecipientError, Phrase, PhraseError, Recipient, SEAT_KEYS, SealError, Seat, Unlock,
    UnlockError, UnsealError, generate_seat, generate_seat_for, lock_bytes, seal, seal_bytes,
    unlock_bytes, unseal, unseal_bytes,
};
pub use self::private_file::create_private_file;
pub use self::public_key::{Algorithm, PublicKey, PublicKeyError};
pub use self::signer::{HeldKey, SignError, SignRoleError, Signer, sign_role};
pub use self::token::{Modules, Token, TokenError, TokenKey, TokenUri, TokenUriError};
pub use self::uri::{AgentUri, SignerUri, SignerUriError};
