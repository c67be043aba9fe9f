//! The client workflow of TUF 1.0.34, step by step, against repositories with real keys
//! and real signatures.
//!
//! `repo` builds repositories and their attacks, `client` drives the state machines as a
//! driver would, over a map instead of a network. The other modules hold the cases.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod bins;
mod client;
mod evidence;
mod floors;
mod handovers;
mod keys;
mod looking_back;
mod properties;
mod recovery;
mod repo;
mod roots;
mod search;
mod size;
mod snapshots;
mod target_content;
mod timestamps;
mod top_targets;
mod walk;
