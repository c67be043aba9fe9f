//! What tests of several crates stand on: a signed index of the test's own, published into a
//! directory by the real engine, and a web server with the faults that a test wants.
//!
//! ```text
//! Index::new ─▶ keys, first metadata, tree, catalogue ─▶ Index::add ─▶ Index::engine, which publishes
//!                                          │
//!                                     Web::serve ─▶ HTTP, as a mirror would speak it
//! ```
//!
//! Nothing that is shipped depends on it. It panics where something cannot be made: that is a
//! defect of the test.

#![expect(
    clippy::unwrap_used,
    reason = "a failed unwrap is a failed test, and nothing else uses this"
)]

mod clock;
mod index;
mod web;

pub use self::clock::TestClock;
pub use self::index::{Added, Index};
pub use self::web::{At, Fault, Web};
