//! The day after a break-in: what changed in an index since the last state that is known to be good, and what
//! people decide about each of these changes.
//!
//! ```text
//!  last good state ─▶ State ─┐
//!                            ├─ compare, changes ─▶ Plan ──people decide──▶ Plan ─▶ a ceremony, one snapshot
//!  present state ───▶ State ─┘                       │       (Rule)          ▲
//!                                                    └────── plan.json ──────┘
//! ```
//!
//! A [`Plan`] is a file that people read, send to each other and change by hand. It says what is different
//! and never what anything should be: whoever carries it out reads both states again, and verifies them. So
//! somebody who changes the file can choose between what was and what is, and can bring in nothing else.
//!
//! Nothing here opens a file or reads a clock.

mod changes;
mod compare;
mod plan;
mod rules;
mod state;

pub use changes::{Contents, changes};
pub use compare::{Compared, Differing, compare};
pub use plan::{
    Change, ClaimChange, ClaimKeys, ClaimWhat, Decision, FORM, LastGood, MAX_PLAN_LEN, Plan,
    PlanError, Present, ProjectChanges, RoleChange, RoleWhat, Signer, Support, VersionedFile, What,
};
pub use rules::{Conflict, Rule};
pub use state::{Signed, State};
