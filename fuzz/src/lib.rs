//! What the fuzz targets share, and what their seeds are made with.
//!
//! A target is a file in `targets/`; `cargo xtask fuzz` builds and runs it, beginning with the
//! inputs in `seeds/<target>/`, which `examples/seeds.rs` writes. Each target states what must hold
//! for any input at all; a panic is a finding.

pub mod archive;
pub mod attested;
pub mod keys;
pub mod repository;
pub mod script;
