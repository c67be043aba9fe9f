//! Who signs for the projects of an index, as it was seen before: `claims/<project>.json`.

use std::fs;

use serde::{Deserialize, Serialize};
use wheelmark_packaging::ProjectName;

use super::{Durability, TrustError, TrustedIndex, Under, io};
use crate::claims::SeenClaim;

/// The version of the file that this program writes and reads.
const FORMAT: u32 = 1;

const FOLDER: &str = "claims";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    format: u32,
    claim: SeenClaim,
}

impl TrustedIndex {
    /// What is remembered of who signs for a project; none where the index did whenever it was seen.
    ///
    /// # Errors
    ///
    /// When it cannot be read: what was forgotten would be taken for a first look.
    pub fn seen_claim(&self, project: &ProjectName) -> Result<Option<SeenClaim>, TrustError> {
        let name = file(project);
        let Some(bytes) = self.read(&name)? else {
            return Ok(None);
        };
        let damaged = |problem: String| TrustError::Record {
            path: self.directory().join(&name),
            problem,
        };
        let written: Written =
            serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if written.format != FORMAT {
            let problem = format!(
                "its format is {}, and this program knows {FORMAT}",
                written.format
            );
            return Err(damaged(problem));
        }
        Ok(Some(written.claim))
    }

    /// Remembers who signs for a project, in place of what was remembered before. What another
    /// process has seen meanwhile, and is higher, stays.
    ///
    /// # Errors
    ///
    /// When it cannot be locked, read or written, or trust has ended meanwhile.
    pub async fn remember_claim(
        &self,
        project: &ProjectName,
        claim: SeenClaim,
    ) -> Result<(), TrustError> {
        let _lock = self.lock().await?;
        self.keep_claim(project, claim)
    }

    /// The same for what was found under a state of the index, unless that is one from before a recovery
    /// which another process has taken in meanwhile.
    pub(crate) async fn remember_found(
        &self,
        project: &ProjectName,
        claim: SeenClaim,
        under: Under,
    ) -> Result<(), TrustError> {
        let _lock = self.lock().await?;
        match self.is_overtaken(under)? {
            true => Ok(()),
            false => self.keep_claim(project, claim),
        }
    }

    /// Forgets a claim of before a recovery that was found to have ended by it.
    pub(crate) async fn forget_gone(
        &self,
        project: &ProjectName,
        under: Under,
    ) -> Result<(), TrustError> {
        let _lock = self.lock().await?;
        let known = self.seen_claim(project)?;
        let is_of_before = known.is_some_and(|known| known.recovered.is_some());
        if is_of_before && !self.is_overtaken(under)? {
            self.drop_claim(project)?;
        }
        Ok(())
    }

    fn keep_claim(&self, project: &ProjectName, claim: SeenClaim) -> Result<(), TrustError> {
        // What an offline key has said meanwhile is not taken back by what was seen before, nor is a
        // handover to other keys. What a person says of keys counts for more than what was seen.
        let is_newer = |known: &SeenClaim| {
            // What was seen before a recovery is no measure for what comes after it.
            if known.recovered.is_some() {
                return false;
            }
            let is_as_good = known.sealed >= claim.sealed && known.by_hand >= claim.by_hand;
            (known.sealed && !claim.sealed) || (is_as_good && known.version > claim.version)
        };
        if self.seen_claim(project)?.as_ref().is_some_and(is_newer) {
            return Ok(());
        }
        self.put_claim(project, claim)
    }

    /// Writes it down, whatever was remembered before.
    pub(super) fn put_claim(
        &self,
        project: &ProjectName,
        claim: SeenClaim,
    ) -> Result<(), TrustError> {
        let written = Written {
            format: FORMAT,
            claim,
        };
        let text =
            serde_json::to_vec_pretty(&written).expect("strings and numbers can always be written");
        self.write(&file(project), &text, Durability::Synced)
    }

    /// Forgets who signs for a project, because a person says so; whether something was remembered.
    ///
    /// # Errors
    ///
    /// When it cannot be locked or removed.
    pub async fn forget_claim(&self, project: &ProjectName) -> Result<bool, TrustError> {
        let _lock = self.lock().await?;
        self.drop_claim(project)
    }

    pub(super) fn drop_claim(&self, project: &ProjectName) -> Result<bool, TrustError> {
        let path = self.directory().join(file(project));
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(io("remove", &path, error)),
        }
    }

    /// Everything that is remembered, by project.
    ///
    /// # Errors
    ///
    /// When any of it cannot be read.
    pub fn seen_claims(&self) -> Result<Vec<(ProjectName, SeenClaim)>, TrustError> {
        let projects = self.claimed_projects()?;
        let mut claims = Vec::with_capacity(projects.len());
        for project in projects {
            if let Some(claim) = self.seen_claim(&project)? {
                claims.push((project, claim));
            }
        }
        Ok(claims)
    }

    /// The projects of which it is remembered who signs for them.
    pub(super) fn claimed_projects(&self) -> Result<Vec<ProjectName>, TrustError> {
        self.projects_in(FOLDER)
    }

    /// The projects that have a file in a folder of the index's directory, in their order.
    pub(super) fn projects_in(&self, folder: &str) -> Result<Vec<ProjectName>, TrustError> {
        let folder = self.directory().join(folder);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(io("read", &folder, error)),
        };
        let mut projects = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| io("read", &folder, error))?;
            let name = entry.file_name();
            let name = name.to_str().and_then(|name| name.strip_suffix(".json"));
            projects.extend(name.and_then(|name| name.parse::<ProjectName>().ok()));
        }
        projects.sort();
        Ok(projects)
    }
}

fn file(project: &ProjectName) -> String {
    format!("{FOLDER}/{project}.json")
}
