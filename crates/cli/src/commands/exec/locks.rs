//! The lock files that a command follows: what they say of who has to have attested its files.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::anyhow;
use wheelmark_client::installer::{Surroundings, locks_of};
use wheelmark_provenance::policy::PolicyFile;

use crate::commands::lock::asked;
use crate::logging::WithHint as _;

/// What the lock files ask that a command names, and those that the person names. Each of them asks
/// something.
pub(super) fn followed(
    command: &[OsString],
    named: &[PathBuf],
    around: &Surroundings<'_>,
) -> anyhow::Result<Vec<PolicyFile>> {
    let mut asks = Vec::new();
    for path in locks_of(command, around) {
        let shown = path.strip_prefix(around.directory).unwrap_or(&path);
        asks.extend(asked(&path, &shown.display().to_string())?);
    }
    for path in named {
        let shown = path.display().to_string();
        let asked = asked(&around.directory.join(path), &shown)?;
        asks.push(
            asked
                .ok_or_else(|| anyhow!("{shown} names nobody who has to have attested anything"))
                .hint("wheelmark lock attest writes who has; without it there is nothing to ask")?,
        );
    }
    Ok(asks)
}
