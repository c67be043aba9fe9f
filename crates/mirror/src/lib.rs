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
//! - [`Listed`]: what a target is: a project's page, a file, or something else.
//!
//! Nothing here reads an environment variable or a concrete clock: the binary passes them in.

mod inventory;
mod listed;
mod local;

pub use inventory::{InventoryError, RoleFile, RoleSource, inventory};
pub use listed::Listed;
pub use local::{LocalError, LocalTree};
