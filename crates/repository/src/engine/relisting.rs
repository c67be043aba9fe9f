//! The change of the hashes that are listed: the pages that do not list them yet, some in each turn.

use std::collections::{BTreeSet, HashMap};

use wheelmark_objects::ObjectPath;
use wheelmark_packaging::ProjectName;
use wheelmark_store::{Change, ListedHashes};
use wheelmark_tuf::Sha512;

use super::Engine;
use crate::channel::{Channel, Pending};
use crate::gather::{Gathered, need_project, sha512_of, unread};
use crate::publish::PublishError;

/// The most projects whose pages one turn renders anew: uploads wait for it.
const PROJECTS_AT_ONCE: usize = 256;

/// The most bytes of files that one turn reads for it, but for a file that is larger.
const BYTES_AT_ONCE: u64 = 128 * 1024 * 1024;

/// What is known of the change that goes on.
#[derive(Debug, Default)]
pub(super) struct Relisting {
    /// Of projects that were not gone through to the end; none of a file that is missing or altered.
    sha512: HashMap<ObjectPath, Option<Sha512>>,
    /// Projects that cannot be brought up to it, as far as this process knows.
    stuck: BTreeSet<ProjectName>,
    /// To which hashes that applies.
    listed: ListedHashes,
}

impl Relisting {
    /// Takes note of projects whose pages do not list what they are to, although it was `tried`.
    pub(super) fn tried(&mut self, tried: &[ProjectName], conforming: &[(ProjectName, bool)]) {
        let done = conforming.iter().filter(|(_, conforms)| *conforms);
        let done: BTreeSet<&ProjectName> = done.map(|(project, _)| project).collect();
        for project in tried {
            if !done.contains(project) && self.stuck.insert(project.clone()) {
                tracing::error!(
                    %project,
                    "the page of this project cannot list the hashes that it is to: a file is missing \
                     or altered (`wheelmark index audit`), or the page is full"
                );
            }
        }
    }

    /// Forgets what it was about, where something else is asked for.
    pub(super) fn start_over(&mut self, listed: ListedHashes) {
        *self = Self {
            listed,
            ..Self::default()
        };
    }
}

impl Engine {
    /// Whether there are pages that do not list the hashes that they are to, and may yet.
    pub fn is_relisting(&self) -> bool {
        let stuck = match self.relisting.listed == self.state.listed {
            true => &self.relisting.stuck,
            false => &BTreeSet::new(),
        };
        self.state
            .behind
            .keys()
            .any(|project| !stuck.contains(project))
    }

    /// Goes through all projects once more, so that names by SHA-512 come back that were lost.
    pub fn relist_all(&mut self) {
        self.state.all_behind();
    }

    /// How many projects do not list the hashes that they are to.
    pub fn projects_behind(&self) -> usize {
        self.state.behind.len()
    }

    /// Gathers what some projects need whose pages are to list other hashes, and reads their files
    /// where that takes it. None where `rows` change what is to be listed.
    pub(super) async fn gather_relisted(
        &mut self,
        gathered: &mut Gathered,
    ) -> Result<(), PublishError> {
        let listed = self.state.listed;
        if self.relisting.listed != listed {
            self.relisting.start_over(listed);
        }
        // What the web process writes asks for nothing of this kind.
        let is_asked = |row: &Pending| {
            row.place.channel == Channel::Orders && matches!(row.change, Change::HashesSet { .. })
        };
        if gathered.rows.iter().any(is_asked) {
            // Whoever asks once more may have mended something.
            self.relisting.stuck.clear();
            return Ok(());
        }
        let mut left = BYTES_AT_ONCE;
        let behind = self.state.behind.keys();
        let behind = behind.filter(|project| !self.relisting.stuck.contains(project));
        let behind: Vec<ProjectName> = behind.take(PROJECTS_AT_ONCE).cloned().collect();
        for project in behind {
            match need_project(&self.state, &self.tree, gathered, &project).await {
                Ok(()) => {}
                Err(error) if error.is_lasting() => {
                    let error: &dyn std::error::Error = &error;
                    tracing::error!(%project, error, "the index's own state is damaged");
                    self.relisting.stuck.insert(project);
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
            let page = gathered.pages.get(&project);
            let files = page
                .map(|(page, _)| page.files.iter())
                .into_iter()
                .flatten();
            let files = files.filter_map(|file| {
                let size = file.size.unwrap_or_default();
                Some((unread(&project, file, listed)?, size))
            });
            let files: Vec<(ObjectPath, u64)> = files.collect();
            for (path, size) in &files {
                if self.relisting.sha512.contains_key(path) || gathered.sha512.contains_key(path) {
                    continue;
                }
                if left == 0 {
                    return Ok(());
                }
                // One that is altered or missing is told of when the page is rendered without it.
                let sha512 = sha512_of(&self.tree, path).await?;
                if sha512.is_some() {
                    left = left.saturating_sub((*size).max(1));
                }
                self.relisting.sha512.insert(path.clone(), sha512);
            }
            for (path, _) in files {
                if let Some(Some(sha512)) = self.relisting.sha512.remove(&path) {
                    gathered.sha512.insert(path, sha512);
                }
            }
            gathered.relist.push(project);
        }
        Ok(())
    }
}
