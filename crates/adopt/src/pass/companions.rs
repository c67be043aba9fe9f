//! What stands beside a file in the tree: its core metadata and its chunk list.
//!
//! Both are made of the file, so where the tree has other bytes under their names, whoever has read
//! the file has the right ones.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use bytes::Bytes;
use wheelmark_objects::{ObjectError, ObjectPath};
use wheelmark_store::{Change, Seq};
use wheelmark_tuf::Sha256;

use super::{Pass, PassError};
use crate::content::Prepared;

/// An object beside a file.
struct Companion {
    path: ObjectPath,
    /// The name that installers know, where it has one.
    plain: Option<ObjectPath>,
    bytes: Bytes,
}

impl Pass {
    /// Puts what stands beside these files into the tree. Those come back of which all is there.
    pub(super) async fn place_companions(
        &mut self,
        files: Vec<Prepared>,
    ) -> Result<Vec<Prepared>, PassError> {
        let all = files.iter().flat_map(companions);
        let all: Vec<_> = all.map(|beside| (beside.path, beside.bytes)).collect();
        if all.is_empty() {
            return Ok(files);
        }
        match self.tree.create_all(all).await {
            Ok(_) => return Ok(files),
            Err(ObjectError::Different { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let mut here = Vec::with_capacity(files.len());
        for prepared in files {
            match self
                .mend_companions(&prepared, companions(&prepared))
                .await?
            {
                None => here.push(prepared),
                Some(why) => {
                    let project = prepared.listed.project.clone();
                    let filename = prepared.listed.filename.to_string();
                    self.failed(&project, &filename, why).await?;
                }
            }
        }
        Ok(here)
    }

    /// Sees to it that the tree has what was signed beside a file that is on the index and was read
    /// just now. Why it could not, if so.
    pub(super) async fn demand_companions(
        &mut self,
        prepared: &Prepared,
    ) -> Result<Option<String>, PassError> {
        let (project, filename) = (&prepared.listed.project, prepared.listed.filename.as_str());
        let Some(row) = self.store.file(project, filename).await? else {
            return Ok(None);
        };
        // Another version of this program may have made others than this one would.
        let before = Seq(row.seq.0.saturating_sub(1));
        let brought = self.store.journal_after(before, 1).await?.pop();
        let signed = match brought.map(|row| row.change) {
            Some(Change::FileAdded(file)) => [file.core_metadata_sha256, file.chunks_sha256],
            _ => return Ok(None),
        };
        let mut wanted = companions(prepared);
        wanted.retain(|beside| signed.contains(&beside.path.sha256()));
        self.mend_companions(prepared, wanted).await
    }

    async fn mend_companions(
        &mut self,
        prepared: &Prepared,
        companions: Vec<Companion>,
    ) -> Result<Option<String>, PassError> {
        for Companion { path, plain, bytes } in companions {
            if self.is_sound(&path, None).await {
                continue;
            }
            let good = match written(self.tree.incoming(), &bytes) {
                Ok(good) => good,
                Err(error) => return Ok(Some(format!("{path} cannot be mended: {error}"))),
            };
            // Only what is on the index has a plain name.
            let plain = plain.filter(|plain| self.tree.local_path(plain).exists());
            let mended = self.tree.mend(&self.lock, &path, plain.as_ref(), good);
            mended.await?;
            let place = prepared.listed.shown_place();
            self.report
                .mended(prepared.listed.filename.to_string(), place);
        }
        Ok(None)
    }
}

/// A file's core metadata and chunk list, as objects of their own.
fn companions(prepared: &Prepared) -> Vec<Companion> {
    let (project, filename) = (&prepared.listed.project, prepared.listed.filename.as_str());
    let metadata = prepared.metadata.as_ref().and_then(|bytes| {
        Some(Companion {
            path: ObjectPath::file_metadata(project, &Sha256::of(bytes), filename).ok()?,
            plain: ObjectPath::plain_file_metadata(project, filename).ok(),
            bytes: bytes.clone(),
        })
    });
    let chunks = prepared.hashed.chunks.as_ref().and_then(|bytes| {
        Some(Companion {
            path: ObjectPath::chunks(project, &Sha256::of(bytes), filename).ok()?,
            plain: None,
            bytes: bytes.clone(),
        })
    });
    metadata.into_iter().chain(chunks).collect()
}

/// A file without a name that holds these bytes.
fn written(folder: &Path, bytes: &[u8]) -> io::Result<File> {
    let mut file = tempfile::tempfile_in(folder)?;
    file.write_all(bytes)?;
    Ok(file)
}
