//! The repository engine: turns pending changes into a published snapshot.
//!
//! ```text
//! genesis ─▶ tree, version 1
//!
//!            ┌─ signed state (the tree itself, verified)
//! journal ─▶ gather ─▶ plan (pure) ─▶ sign ─▶ record (durable) ─▶ publish, timestamp last ─▶ names
//!                                                  │
//!                                   recover ◀──────┘ after a crash: replays the recorded bytes
//!
//!            publish flushes nothing: records are kept until the file system was flushed
//! ```
//!
//! The engine is not a signing oracle. What it signs next follows from what it signed last and
//! from the journal; the catalogue's rows, which the web process can write, are never read. It
//! refuses to change the hash of a published file name, and it is told who writes the journal
//! ([`JournalWriter`]): a web process adds files and does nothing else. What takes files away,
//! yanks them or sets a project's status comes from the journal of whoever runs the index, which
//! the web process cannot write ([`Engine::open_with_orders`]). Version numbers and signed bytes are
//! committed under a fencing token before any object is written, so that a crash at any point
//! is repaired by writing those same bytes, and no version exists twice with different bytes.
//! The timestamp is written last: until it lands, clients see the old snapshot, whole.
//!
//! How far the journals have been followed stands in the signed timestamp itself
//! (`"_wheelmark":{"journal":N,"orders":M}`), so it moves with the snapshot or not at all.

mod as_clients;
mod catalogued;
mod chain;
mod channel;
mod claims;
mod collect;
mod engine;
mod gather;
mod genesis;
mod going_back;
mod handed;
mod intent;
mod journal_writer;
mod keeping;
mod lifetimes;
mod listed;
mod online;
mod plan;
mod publish;
mod reach;
mod record;
mod recover;
mod roles;
mod settle;
mod signing_log;
mod snapshot_bytes;
mod state;

pub use catalogued::{CataloguedError, catalogued, claim_of};
pub use collect::{
    CollectError, Collected, Counted, Keep, KeepError, LAST_SNAPSHOTS, READER_TIME, Unnamed,
    collect, unnamed_objects,
};
pub use engine::{Engine, OpenError, Phase, Returning, Turn};
pub use gather::objects_of_entry;
pub use genesis::{Genesis, GenesisError, OfflineSigners};
pub use going_back::{FileOf, GoBackError, GoingBack, Kept, Named, Outlook, Present, WentBack};
pub use journal_writer::JournalWriter;
pub use lifetimes::Lifetimes;
pub use listed::targets_of_page;
pub use online::OnlineKeys;
pub use plan::{MAX_REASON_LEN, USUAL_RECOVERY_DELAY};
pub use publish::PublishError;
pub use roles::{
    BinForm, Bins, BinsError, CLAIMED, Family, MOST_BINS, PACKAGES, RECENTLY_CLAIMED, SIMPLE,
    STATUS, USUAL_BINS, project_of_role, project_role,
};
pub use signing_log::{
    Covered, Entry, Flaw, Follows, Head, Line, Lines, LogError, LogPlace, SignedRole, Survey,
    files as log_files,
};
pub use snapshot_bytes::{RoleFile, SnapshotBytes};
pub use state::LoadError;
