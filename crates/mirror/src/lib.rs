//! Copies of a signed index, and what there is to know about them.
//!
//! ```text
//!   client::Upstream ─┐                              ┌─▶ each role, verified, with what it lists
//!                     ├─ RoleSource ─▶ inventory ────┤
//!   LocalTree ────────┘       ▲                      └─▶ end: every role that the snapshot names
//!                             │
//!                         tuf::Walk
//! ```
//!
//! - [`LocalTree`]: a tree in a directory, read as a client reads one over HTTP.
//! - [`inventory`]: every delegated role of a verified state, many at once, none of them kept.
//! - [`survey()`]: the same one after the other, in the order of a search, with what cannot be had.
//! - [`Listed`]: what a target is: a project's page, a file, or something else.
//!
//! Nothing here reads an environment variable or a concrete clock: the binary passes them in.

mod audit;
mod chain;
mod copy;
mod cross_check;
mod distribution;
mod findings;
mod inventory;
mod listed;
mod local;
mod pace;
mod place;
mod progress;
mod scope;
pub mod selection;
mod survey;

pub use audit::{
    Audit, AuditOptions, Counts, Everything, Heads, Scope, Stale, StaleRole, Tally, Unnamed, audit,
    audit_directory,
};
pub use chain::{Broken, Chain, ChainError, follow, root_of_fingerprint};
pub use copy::{
    Blame, Complete, Copy, CopyError, CopyFolder, CopyOptions, EndedRole, GRACE, JOBS, Outcome,
    StateError, Step,
};
pub use cross_check::{
    Checked, Contradiction, CrossCheck, CrossCheckOptions, Position, Proof, Source, cross_check,
};
pub use distribution::{Distribution, SignedAs, Verdict, check_distribution};
pub use findings::{Finding, Trouble};
pub use inventory::{InventoryError, RoleFile, RoleSource, inventory};
pub use listed::Listed;
pub use local::{LocalError, LocalTree};
pub use place::{
    Depth, DirectoryPlace, Expected, Place, PlaceError, Record, RecordError, Standing, WebPlace,
};
pub use progress::{Phase, Progress, Reached};
pub use scope::CopyScope;
pub use selection::Selection;
pub use survey::{Surveyed, Unread, survey};
