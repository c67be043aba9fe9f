//! Takes away what has no mark.

use serde::Deserialize;
use wheelmark_objects::{Described, Kind, ObjectPath};
use wheelmark_packaging::ProjectName;
use wheelmark_store::LoggedSnapshot;
use wheelmark_tuf::{RoleName, Sha256};

use super::CollectError;
use super::work::{Collection, Site, Work};
use crate::handed::said;
use crate::publish::is_lasting;
use crate::record::role_and_version;
use crate::state::OWN_METADATA_LIMIT;

/// How many objects are taken away at a time: a few milliseconds on a slow disk.
const AT_ONCE: usize = 256;

impl Collection {
    /// Finds the metadata that is to go.
    pub(super) async fn metadata(&mut self, site: &Site<'_>) -> Result<(), CollectError> {
        let there = site.tree.described_beside(&ObjectPath::timestamp()).await?;
        let (snapshots, roles): (Vec<ObjectPath>, Vec<ObjectPath>) = there
            .into_iter()
            .filter(|file| self.may_go(file) && self.is_old_version(&file.path))
            .map(|file| file.path)
            .partition(is_snapshot);
        // The snapshots last: they have to be written down, which takes room on a full disk.
        let batches = snapshots.chunks(AT_ONCE);
        let batches = batches.map(|paths| Work::SweepMetadata(paths.to_vec()));
        self.work.splice(0..0, batches);
        let batches = roles.chunks(AT_ONCE);
        self.work
            .extend(batches.map(|paths| Work::SweepMetadata(paths.to_vec())));
        Ok(())
    }

    /// Whether a file has no mark and is old enough.
    fn may_go(&self, file: &Described) -> bool {
        file.modified < self.before && !self.marks.has(&file.path)
    }

    /// Whether it is an older version of a role that is published. Roots are for good, and what
    /// stands above the published versions is passed over when those are signed.
    fn is_old_version(&self, path: &ObjectPath) -> bool {
        let Some((role, version)) = role_and_version(path.as_str()) else {
            return false;
        };
        let current = self.current.get(&role);
        role != RoleName::root() && current.is_some_and(|current| version < *current)
    }

    pub(super) async fn sweep_metadata(
        &mut self,
        site: &Site<'_>,
        mut paths: Vec<ObjectPath>,
    ) -> Result<(), CollectError> {
        if site.lock.is_some() && paths.iter().any(is_snapshot) {
            match log(site, &paths).await {
                // What is no snapshot at all stays: nobody could tell later what it was.
                Ok(logged) => paths.retain(|path| !is_snapshot(path) || logged.contains(path)),
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "old snapshots stay: they could not be written into the log of snapshots"
                    );
                    self.collected.not_logged = Some(said(&error));
                    paths.retain(|path| !is_snapshot(path));
                }
            }
        }
        self.sweep(site, paths).await
    }

    /// Takes away what a project has too much.
    pub(super) async fn sweep_project(
        &mut self,
        site: &Site<'_>,
        project: &ProjectName,
    ) -> Result<(), CollectError> {
        if self.spared.contains(project) {
            return Ok(());
        }
        let nowhere = Sha256::of(b"");
        let mut going = Vec::new();
        // Any name in a directory will do to name it. A name of one letter is one of a file.
        let pages = ObjectPath::page(project, &nowhere);
        let files = ObjectPath::file(project, &nowhere, "x").ok();
        for folder in [Some(pages), files].into_iter().flatten() {
            let there = match site.tree.described_beside(&folder).await {
                Ok(there) => there.into_iter(),
                // Whoever can write here can put something else into the folder's place.
                Err(error) if is_lasting(&error) => {
                    let folder = folder
                        .as_str()
                        .rsplit_once('/')
                        .map_or("", |(name, _)| name);
                    self.collected.unreadable.push(folder.to_owned());
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let there = there.filter(|file| self.may_go(file));
            going.extend(there.map(|file| file.path));
        }
        if going.is_empty() {
            return Ok(());
        }
        for paths in going.chunks(AT_ONCE) {
            // Whoever uploads such an object once more finds it there, and writes a row.
            self.mark_pending(site).await?;
            if self.coming_back.contains(project) {
                return Ok(());
            }
            let paths = paths.iter().filter(|path| !self.marks.has(path));
            let paths = paths.cloned().collect();
            self.sweep(site, paths).await?;
        }
        Ok(())
    }

    /// Takes away lists of what was taken from projects that no state names any more.
    pub(super) async fn sweep_status(&mut self, site: &Site<'_>) -> Result<(), CollectError> {
        let Some(folder) = status_folder() else {
            return Ok(());
        };
        let there = match site.tree.described_beside(&folder).await {
            Ok(there) => there.into_iter(),
            Err(error) if is_lasting(&error) => {
                self.collected.unreadable.push("targets/status".to_owned());
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let going = there.filter(|file| self.may_go(file)).map(|file| file.path);
        let going = going.collect();
        self.sweep(site, going).await
    }

    async fn sweep(&mut self, site: &Site<'_>, paths: Vec<ObjectPath>) -> Result<(), CollectError> {
        let Some(lock) = site.lock else {
            return self.count(site, &paths).await;
        };
        for paths in paths.chunks(AT_ONCE) {
            let swept = site.tree.sweep(lock, paths.to_vec(), self.before).await?;
            self.collected.refused += swept.refused.len() as u64;
            for (path, bytes) in swept.gone {
                self.add(&path, bytes);
            }
        }
        Ok(())
    }

    /// Counts what would go.
    async fn count(&mut self, site: &Site<'_>, paths: &[ObjectPath]) -> Result<(), CollectError> {
        let mut folder: Option<(&str, Vec<Described>)> = None;
        for path in paths {
            let name = path.as_str().rsplit_once('/').map_or("", |(name, _)| name);
            let there = match &folder {
                Some((known, there)) if *known == name => there,
                _ => {
                    let there = site.tree.described_beside(path).await?;
                    &folder.insert((name, there)).1
                }
            };
            let file = there.binary_search_by(|file| file.path.cmp(path));
            if let Ok(place) = file {
                let bytes = there[place].frees();
                self.add(path, bytes);
            }
        }
        Ok(())
    }

    fn add(&mut self, path: &ObjectPath, bytes: u64) {
        let collected = &mut self.collected;
        let counted = match path.kind() {
            Kind::Metadata if is_snapshot(path) => &mut collected.snapshots,
            Kind::Metadata => &mut collected.roles,
            Kind::Page | Kind::PageBySha512 | Kind::Certificates | Kind::Status => {
                &mut collected.pages
            }
            _ if self.marks.is_of_removed(path) => &mut collected.removed,
            _ => &mut collected.unnamed,
        };
        counted.add(bytes);
    }
}

/// A path in the folder of the lists of what is taken away: any name will do to name it.
pub(super) fn status_folder() -> Option<ObjectPath> {
    let project: ProjectName = "x".parse().ok()?;
    ObjectPath::status(&project, &Sha256::of(b"")).ok()
}

fn is_snapshot(path: &ObjectPath) -> bool {
    role_and_version(path.as_str()).is_some_and(|(role, _)| role == RoleName::snapshot())
}

/// Why a snapshot could not be written into the log.
#[derive(Debug, thiserror::Error)]
enum LogError {
    #[error("the log of snapshots is not open")]
    NotOpen,
    #[error("the log of snapshots could not be written")]
    Store(#[from] wheelmark_store::StoreError),
    #[error("a snapshot could not be read")]
    Objects(#[from] wheelmark_objects::ObjectError),
}

/// Writes the snapshots among `paths` into the log: what is left of them when they are gone. Says
/// which those are.
async fn log(site: &Site<'_>, paths: &[ObjectPath]) -> Result<Vec<ObjectPath>, LogError> {
    let log = site.orders.ok_or(LogError::NotOpen)?;
    let (mut rows, mut logged) = (Vec::new(), Vec::new());
    for path in paths.iter().filter(|path| is_snapshot(path)) {
        let Some(bytes) = site.tree.read(path, OWN_METADATA_LIMIT).await? else {
            continue;
        };
        if let Some(row) = row_of(path, &bytes) {
            rows.push(row);
            logged.push(path.clone());
        }
    }
    log.log_snapshots(&rows).await?;
    Ok(logged)
}

/// As much of a snapshot as is written down.
#[derive(Deserialize)]
struct Envelope {
    signed: Signed,
}

#[derive(Deserialize)]
struct Signed {
    expires: String,
}

/// The row of a snapshot; none for what is no snapshot.
fn row_of(path: &ObjectPath, bytes: &[u8]) -> Option<LoggedSnapshot> {
    let (_, version) = role_and_version(path.as_str())?;
    let envelope: Envelope = serde_json::from_slice(bytes).ok()?;
    Some(LoggedSnapshot {
        version,
        sha256: Sha256::of(bytes),
        length: bytes.len() as u64,
        expires: envelope.signed.expires.parse().ok()?,
    })
}
