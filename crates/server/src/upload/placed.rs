//! The objects of one upload on their way into the tree.
//!
//! Small ones are kept beside the journal row as well, where the snapshot process finds them after
//! a power failure and writes them again, so that they need no flush of their own.

use bytes::Bytes;
use tempfile::NamedTempFile;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use wheelmark_objects::{Creation, Directory, Kind, ObjectPath};
use wheelmark_store::{FileRow, KeptObject, MAX_KEPT_LEN};

use super::error::UploadError;
use super::note::Note;
use crate::app::Publishing;
use crate::problem::chain;

/// What one upload has brought into the tree.
pub(super) struct Placed {
    tree: Directory,
    keeps: bool,
    created: Vec<ObjectPath>,
    /// Objects that are not on the disk before what is kept with the journal row is.
    pub(super) kept: Vec<KeptObject>,
}

/// Writes down what an upload is about to bring, and gives the objects their names. Each of them is
/// on the disk then, or in what is to be kept. What is returned with it is the note, to be held
/// until the journal row is written.
///
/// All of it is done on one thread: to go back and forth between two costs more than most of it.
pub(super) async fn place(
    publishing: &Publishing,
    note: Note,
    small: Vec<(ObjectPath, Bytes)>,
    large: Option<(ObjectPath, NamedTempFile)>,
) -> Result<(Placed, NamedTempFile), UploadError> {
    let tree = Directory::clone(&publishing.tree).inline();
    let mut placed = Placed {
        tree,
        keeps: publishing.publisher_restores,
        created: Vec::new(),
        kept: Vec::new(),
    };
    let runtime = Handle::current();
    let placing = spawn_blocking(move || {
        let note = note
            .write(placed.tree.incoming())
            .map_err(UploadError::Incoming)?;
        let done = runtime.block_on(placed.place(small, large));
        Ok((placed, note, done))
    });
    let (placed, note, done) = placing.await.unwrap_or(Err(UploadError::Stopped))?;
    match done {
        Ok(()) => Ok((placed, note)),
        Err(error) => {
            placed.take_back().await;
            Err(error)
        }
    }
}

impl Placed {
    async fn place(
        &mut self,
        small: Vec<(ObjectPath, Bytes)>,
        large: Option<(ObjectPath, NamedTempFile)>,
    ) -> Result<(), UploadError> {
        let keeps = self.keeps;
        let (kept, flushed): (Vec<_>, Vec<_>) = small
            .into_iter()
            .partition(|(_, bytes)| keeps && bytes.len() <= MAX_KEPT_LEN);
        if !kept.is_empty() {
            let to_keep = kept.iter().map(|(path, bytes)| KeptObject {
                path: path.as_str().to_owned(),
                bytes: bytes.to_vec(),
            });
            self.kept = to_keep.collect();
            let paths: Vec<ObjectPath> = kept.iter().map(|(path, _)| path.clone()).collect();
            let created = self.tree.replayable()?.create_named(kept).await?;
            self.note(paths, created);
        }
        if !flushed.is_empty() {
            let paths: Vec<ObjectPath> = flushed.iter().map(|(path, _)| path.clone()).collect();
            let created = self.tree.create_all(flushed).await?;
            self.note(paths, created);
        }
        if let Some((path, file)) = large {
            let creation = self.tree.place(&path, file).await?;
            self.note(vec![path], vec![creation]);
        }
        Ok(())
    }

    fn note(&mut self, paths: Vec<ObjectPath>, created: Vec<Creation>) {
        let created = paths.into_iter().zip(created);
        // The others are another upload's: not ours to take back.
        let ours = created.filter(|(_, creation)| *creation == Creation::Created);
        self.created.extend(ours.map(|(path, _)| path));
    }

    /// Removes what this upload created. Nothing refers to it: the journal row comes last, and
    /// the gate keeps out others of the same name. What cannot be removed does no harm.
    pub(super) async fn take_back(self) {
        for path in self.created {
            if let Err(error) = tokio::fs::remove_file(self.tree.local_path(&path)).await {
                tracing::warn!(%path, error = chain(&error), "an unused object stays behind");
            }
        }
    }

    /// Removes what this upload created and the file of another process does not have, which came
    /// first under the same name.
    pub(super) async fn give_way(mut self, row: &FileRow) {
        self.created.retain(|path| match path.kind() {
            Kind::File => path.sha256() != Some(row.sha256),
            Kind::Signature => path.sha256() != row.gpg_signature_sha256,
            Kind::Provenance => path.sha256() != row.provenance_sha256,
            // The row does not name them, and the file may share them.
            _ => false,
        });
        self.take_back().await;
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test says where it failed")]
mod tests {
    use wheelmark_store::{FileState, Seq};
    use wheelmark_tuf::Sha256;

    use super::*;

    #[tokio::test]
    async fn what_another_process_was_faster_with_stays() {
        let (flask, name) = ("flask".parse().unwrap(), "flask-1.0.tar.gz");
        let (ours, theirs) = (Sha256::of(b"ours"), Sha256::of(b"theirs"));
        let left = async |sha256: Sha256, gpg_signature_sha256: Option<Sha256>| {
            let root = tempfile::tempdir().unwrap();
            let tree = Directory::open(root.path()).await.unwrap();
            let objects = [
                ObjectPath::file(&flask, &ours, name).unwrap(),
                ObjectPath::signature(&flask, &ours, name).unwrap(),
                ObjectPath::file_metadata(&flask, &ours, name).unwrap(),
            ];
            let mut placed = Placed {
                tree: tree.clone(),
                keeps: false,
                created: Vec::new(),
                kept: Vec::new(),
            };
            let bytes = Bytes::from_static(b"ours");
            let small = objects.iter().map(|path| (path.clone(), bytes.clone()));
            placed.place(small.collect(), None).await.unwrap();
            let row = FileRow {
                project: flask.clone(),
                filename: name.to_owned(),
                sha256,
                size: 4,
                uploaded_at: jiff::Timestamp::UNIX_EPOCH,
                uploaded_by: "another".to_owned(),
                seq: Seq(1),
                state: FileState::Pending,
                yanked: None,
                back_signed: false,
                gpg_signature_sha256,
                provenance_sha256: None,
            };
            placed.give_way(&row).await;
            objects.map(|path| tree.local_path(&path).exists())
        };
        assert_eq!(left(ours, Some(ours)).await, [true, true, true]);
        assert_eq!(left(ours, Some(theirs)).await, [true, false, true]);
        assert_eq!(left(ours, None).await, [true, false, true]);
        assert_eq!(left(theirs, None).await, [false, false, true]);
    }
}
