//! The catalogue, the journal and the lease: what the write side remembers.
//!
//! ```text
//!   server ── admit ──▶ ┌─────────┐ ── journal_after ──▶ snapshot process
//!                       │  store  │ ◀─ record_intent ─── (under a fence)
//!   server ◀── wait ─── └─────────┘ ◀─ complete_intent ─ (under a fence)
//! ```
//!
//! The web process only appends: [`Store::admit_from`] writes a file's row and its journal row in
//! one transaction, which survives a kill at once, and a power loss as soon as its snapshot is
//! recorded, which is before anybody is told that it was published;
//! [`Store::remove`] and [`Store::set_yanked`] append that a file is to go or to be yanked, and
//! the catalogue follows when that is published: for an index without a web process. Where there
//! is one, whoever runs the index asks for such things in a journal of its own, [`Orders`], which
//! the web process cannot write to. The snapshot process reads the journals in order, records what it is about to publish
//! ([`Store::record_intent`]) before it writes a single object, and afterwards records what
//! became of each journal row ([`Store::complete_intent`]). The record stays until what it is about
//! is on the disk, so that nothing of that has to be flushed by itself. A snapshot process that was
//! paused and replaced holds a dead [`Fence`] and can record nothing more.
//!
//! The web process also asks here who somebody is ([`Store::check_token`]) and whether they may
//! ([`Store::admit_from`]), and writes down what was done ([`Store::audit`]). Whoever runs the
//! index says who its users are and whose projects are whose, while it runs, and which machines of
//! others upload for them ([`Store::add_publisher`], [`Store::exchange`]).
//!
//! Nothing here is trusted by the snapshot process: it checks every row against its own last
//! signed state. The rows are the web process's word, no more.
//!
//! The backend is SQLite with a write-ahead log. A commit is flushed to the disk before it returns,
//! except those of an upload's way, which stand in the log before the intent that they lead to: one
//! flush makes all of them durable. Waiting
//! (for a journal row, for an outcome) is woken inside one process, and between processes through a
//! socket; it falls back to slow polling.

mod access;
mod admission;
mod audit;
mod authority;
mod catalogue;
mod certificates;
mod connections;
mod database;
mod error;
mod intent;
mod journal;
mod kept;
mod lease;
mod orders;
mod outcome;
mod project;
mod publisher;
mod putting_right;
mod rebuilding;
mod recovery;
mod release;
mod role;
mod serial;
mod signals;
mod sqlite;
mod text;
mod token;
mod user;
mod wake;
mod withdrawal;

pub use access::Access;
pub use admission::Admission;
pub use audit::{Actor, AuditAction, AuditEntry, AuditRow, MAX_AUDIT_TEXT_LEN};
pub use authority::{AdmitError, Denied};
pub use catalogue::{FileRow, FileSignature, FileState, NewFile};
pub use certificates::ProjectCertificates;
pub use database::copy_database;
pub use error::{OpenError, StoreError};
pub use intent::{Intent, IntentError, IntentId, RecordedIntent, Settlement};
pub use journal::{Change, JournalRow, ListedHashes, Seq};
pub use kept::{KeptObject, KeptPlace, MAX_KEPT_LEN};
pub use lease::Fence;
pub use orders::{CollectionState, HandedIn, LoggedSnapshot, Orders, TakenBack};
pub use outcome::Outcome;
pub use project::{LimitedProject, ProjectLimits, ProjectStanding};
pub use publisher::{
    Exchange, ExchangeError, Exchanged, MintedToken, NewPublisher, Passed, Pending, PublisherError,
    PublisherRow, UploadedFile,
};
pub use rebuilding::{RebuildError, Rebuilding, RebuiltClaim, RebuiltProject};
pub use recovery::NewRecovery;
pub use release::{
    ClaimedKey, MAX_CLAIMS_PER_USER, MAX_RELEASE_METADATA_LEN, MAX_RELEASE_PAGE_LEN, NewClaim,
    NewKeys, ReleaseDenied, ReleaseError, ReleaseParts, ReleasedBy, SignedRelease,
};
pub use role::{Member, Role, RoleError};
pub use sqlite::{Durability, Store};
pub use token::{
    Bearer, Checked, Ended, LAST_USED_STEP, NewToken, Scope, TOKEN_PREFIX, TokenError, TokenId,
    TokenRow, format_token,
};
pub use user::{MAX_USER_NAME_LEN, UserError, UserName, UserNameError, UserRow};
