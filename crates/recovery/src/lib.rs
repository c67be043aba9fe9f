//! The day after a break-in: what changed in an index since the last state that is known to be good, and what
//! people decide about each of these changes.
//!
//! ```text
//!  last good state ─┐
//!                   ├─ compared ─▶ Plan ──people decide──▶ Plan ─▶ a ceremony, one snapshot
//!  present state ───┘               │                       ▲
//!                                   └────── plan.json ──────┘
//! ```
//!
//! A [`Plan`] is a file that people read, send to each other and change by hand. It says what is different
//! and never what anything should be: whoever carries it out reads both states again, and verifies them. So
//! somebody who changes the file can choose between what was and what is, and can bring in nothing else.
//!
//! Nothing here opens a file or reads a clock.

mod plan;

pub use plan::{
    Change, ClaimChange, ClaimKeys, ClaimWhat, Decision, FORM, LastGood, MAX_PLAN_LEN, Plan,
    PlanError, Present, ProjectChanges, RoleChange, RoleWhat, Signer, Support, VersionedFile, What,
};
