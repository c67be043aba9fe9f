//! Against a Sigstore of one's own that speaks HTTP, and against services that misbehave.
#![expect(clippy::unwrap_used, reason = "a failed test says where it failed")]

mod hostile;
mod site;
mod whole;
