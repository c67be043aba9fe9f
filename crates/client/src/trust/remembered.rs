//! Who attests to the projects of an index, as it was seen before: `identities/<project>.json`.

use serde::{Deserialize, Serialize};
use wheelmark_packaging::ProjectName;
use wheelmark_provenance::Remembered;

use super::{Durability, TrustError, TrustedIndex, Under};

/// The version of the file that this program writes and reads.
const FORMAT: u32 = 1;

const FOLDER: &str = "identities";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    format: u32,
    remembered: Remembered,
}

impl TrustedIndex {
    /// What is remembered of who attests to a project; nothing where it was never seen attested.
    ///
    /// # Errors
    ///
    /// When it cannot be read: what was forgotten would be taken for a first use.
    pub fn remembered(&self, project: &ProjectName) -> Result<Remembered, TrustError> {
        let name = file(project);
        let Some(bytes) = self.read(&name)? else {
            return Ok(Remembered::default());
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
        Ok(written.remembered)
    }

    /// Changes what is remembered of a project, as it stands on disk.
    ///
    /// # Errors
    ///
    /// When it cannot be locked, read or written, or trust has ended meanwhile.
    pub async fn remember<T>(
        &self,
        project: &ProjectName,
        change: impl FnOnce(&mut Remembered) -> T,
    ) -> Result<T, TrustError> {
        let _lock = self.lock().await?;
        let before = self.remembered(project)?;
        let mut remembered = before.clone();
        let outcome = change(&mut remembered);
        if remembered != before {
            self.write_remembered(project, remembered)?;
        }
        Ok(outcome)
    }

    /// The same for what was seen under a state of the index. Where that is one from before a recovery
    /// which another process has taken in meanwhile, nothing of it is written down.
    pub(crate) async fn remember_seen<T>(
        &self,
        project: &ProjectName,
        under: Under,
        change: impl FnOnce(&mut Remembered) -> T,
    ) -> Result<T, TrustError> {
        let _lock = self.lock().await?;
        let before = self.remembered(project)?;
        let mut remembered = before.clone();
        let outcome = change(&mut remembered);
        if remembered != before && !self.is_overtaken(under)? {
            self.write_remembered(project, remembered)?;
        }
        Ok(outcome)
    }

    pub(super) fn write_remembered(
        &self,
        project: &ProjectName,
        remembered: Remembered,
    ) -> Result<(), TrustError> {
        let written = Written {
            format: FORMAT,
            remembered,
        };
        let text =
            serde_json::to_vec_pretty(&written).expect("strings and numbers can always be written");
        self.write(&file(project), &text, Durability::Synced)
    }

    /// Everything that is remembered, by project.
    ///
    /// # Errors
    ///
    /// When any of it cannot be read.
    pub fn all_remembered(&self) -> Result<Vec<(ProjectName, Remembered)>, TrustError> {
        let projects = self.attested_projects()?;
        projects
            .into_iter()
            .map(|project| {
                let remembered = self.remembered(&project)?;
                Ok((project, remembered))
            })
            .collect()
    }

    /// The projects of which something is remembered.
    pub(super) fn attested_projects(&self) -> Result<Vec<ProjectName>, TrustError> {
        self.projects_in(FOLDER)
    }
}

fn file(project: &ProjectName) -> String {
    format!("{FOLDER}/{project}.json")
}
