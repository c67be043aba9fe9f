//! The architecture invariants of ARCHITECTURE.md and the rows of docs/conformance.md,
//! checked against the tree as it is.
//!
//! What cannot be seen in types is looked up here: who depends on whom (`graph`, from
//! `cargo metadata`), what the sources name (`sources`, token by token, so that neither a
//! comment nor a string counts), and whether the conformance table is whole and points at
//! things that exist (`conformance`). Each of the three is also fed a violation, to show
//! that it would complain.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot read the tree has failed"
)]

mod conformance;
mod graph;
mod sources;
mod verified;

use std::path::{Path, PathBuf};

/// The root of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// Fails with every complaint, one to a line.
fn none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n  {}\n", complaints.join("\n  "));
}
