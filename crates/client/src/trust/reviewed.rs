//! What somebody on this machine has looked through before others sign it: `reviewed/<project>.json`.
//!
//! It is known by the digest of what is signed, so that nobody signs anything else than what they saw.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wheelmark_packaging::ProjectName;
use wheelmark_tuf::Sha256;

use super::{Durability, TrustError, TrustedIndex};

/// The version of the file that this program writes and reads.
const FORMAT: u32 = 1;

const FOLDER: &str = "reviewed";

/// How many of a project are remembered, the latest.
const MOST: usize = 32;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    format: u32,
    reviewed: Vec<Reviewed>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reviewed {
    /// The SHA-256 of the canonical form of what is signed.
    id: Sha256,
    /// The version of the project's role that it would be.
    version: u64,
    at: String,
}

impl TrustedIndex {
    /// Whether somebody has looked through what is signed under this digest, on this machine.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn was_reviewed(&self, project: &ProjectName, id: &Sha256) -> Result<bool, TrustError> {
        let reviewed = self.reviewed(project)?;
        Ok(reviewed.iter().any(|known| known.id == *id))
    }

    /// Remembers that somebody has, in place of what was looked through before for the same version of the
    /// project's role: what somebody did not want is not signed later.
    ///
    /// # Errors
    ///
    /// When it cannot be locked, read or written, or trust has ended meanwhile.
    pub async fn remember_review(
        &self,
        project: &ProjectName,
        id: &Sha256,
        version: u64,
        at: Timestamp,
    ) -> Result<(), TrustError> {
        let _lock = self.lock().await?;
        let mut reviewed = self.reviewed(project)?;
        reviewed.retain(|known| known.id != *id && known.version != version);
        reviewed.push(Reviewed {
            id: *id,
            version,
            at: at.to_string(),
        });
        let from = reviewed.len().saturating_sub(MOST);
        let written = Written {
            format: FORMAT,
            reviewed: reviewed.split_off(from),
        };
        let text =
            serde_json::to_vec_pretty(&written).expect("strings and numbers can always be written");
        self.write(&file(project), &text, Durability::Synced)
    }

    fn reviewed(&self, project: &ProjectName) -> Result<Vec<Reviewed>, TrustError> {
        let name = file(project);
        let Some(bytes) = self.read(&name)? else {
            return Ok(Vec::new());
        };
        let damaged = |problem: String| TrustError::Record {
            path: self.directory().join(&name),
            problem,
        };
        let written: Written =
            serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        match written.format {
            FORMAT => Ok(written.reviewed),
            other => Err(damaged(format!(
                "its format is {other}, and this program knows {FORMAT}"
            ))),
        }
    }
}

fn file(project: &ProjectName) -> String {
    format!("{FOLDER}/{project}.json")
}
