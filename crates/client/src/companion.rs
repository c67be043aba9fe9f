//! What stands beside a distribution file, verified by the project's page: its core metadata and its
//! OpenPGP signature.

use std::sync::Arc;

use bytes::Bytes;
use wheelmark_objects::ObjectPath;
use wheelmark_packaging::simple::PageFile;
use wheelmark_packaging::{MAX_METADATA_LEN, MAX_SIGNATURE_LEN, ProjectName};
use wheelmark_tuf::Sha256;

use crate::file::digest;
use crate::index::Location;
use crate::page::demand;
use crate::reader::Reader;
use crate::refusal::{Failure, Refusal, Subject};
use crate::sources::Wanted;

/// An object that a page speaks of in a file's entry.
struct Companion {
    path: ObjectPath,
    sha256: Sha256,
    wanted: Wanted,
}

impl Reader {
    /// The core metadata of a file (PEP 658), verified by the digest in the page; `None` when
    /// the page has no such file or lists no metadata of it.
    ///
    /// # Errors
    ///
    /// [`Refusal`] as for the file itself.
    pub async fn core_metadata(
        &self,
        project: &ProjectName,
        filename: &str,
    ) -> Result<Option<Bytes>, Arc<Refusal>> {
        if !self.index.is_signed() {
            let limit = MAX_METADATA_LEN;
            return self.unsigned_metadata(project, filename, limit).await;
        }
        let subject = Subject::CoreMetadata(project.clone(), filename.to_owned());
        self.companion(project, filename, subject, |entry| {
            let Some(hashes) = &entry.core_metadata else {
                return Ok(None);
            };
            let sha256 = hashes.sha256().map(digest);
            let sha256 = sha256.ok_or(Failure::Unspecified { lacking: "sha256" })?;
            Ok(Some(Companion {
                path: ObjectPath::file_metadata(project, &sha256, filename)?,
                sha256,
                wanted: Wanted::CoreMetadata {
                    limit: MAX_METADATA_LEN,
                },
            }))
        })
        .await
    }

    /// The OpenPGP signature of a file, as it was uploaded; `None` when the page has no such file,
    /// or says nothing of what its signature is. Whether the signature is good is not looked at.
    ///
    /// # Errors
    ///
    /// [`Refusal`] as for the file itself.
    pub async fn signature(
        &self,
        project: &ProjectName,
        filename: &str,
    ) -> Result<Option<Bytes>, Arc<Refusal>> {
        if !self.index.is_signed() {
            return Ok(None);
        }
        let subject = Subject::Signature(project.clone(), filename.to_owned());
        self.companion(project, filename, subject, |entry| {
            let marks = entry.wheelmark.as_ref();
            let Some(mark) = marks.and_then(|marks| marks.gpg_sig) else {
                return Ok(None);
            };
            let (length, limit) = (mark.length, MAX_SIGNATURE_LEN as u64);
            if length > limit {
                return Err(Failure::FileTooLarge { length, limit });
            }
            let sha256 = digest(mark.sha256);
            Ok(Some(Companion {
                path: ObjectPath::signature(project, &sha256, filename)?,
                sha256,
                wanted: Wanted::File { length },
            }))
        })
        .await
    }

    /// What `listed` finds in the entry of a file.
    async fn companion(
        &self,
        project: &ProjectName,
        filename: &str,
        subject: Subject,
        listed: impl FnOnce(&PageFile) -> Result<Option<Companion>, Failure>,
    ) -> Result<Option<Bytes>, Arc<Refusal>> {
        let view = self.view(|| subject.clone()).await?;
        if let Some(refusal) = view.verdict(&subject) {
            return Err(refusal);
        }
        let Some(page) = self.page_in(&view, project).await? else {
            return Ok(None);
        };
        let Some(entry) = page.page().file(filename) else {
            return Ok(None);
        };
        let fetched = async {
            let Some(companion) = listed(entry)? else {
                return Ok(None);
            };
            let Companion {
                path,
                sha256,
                wanted,
            } = companion;
            let location = Location::Object(path);
            let fetching = self
                .sources
                .object(subject.to_string(), &location, wanted, |bytes| {
                    demand(&bytes, &sha256)?;
                    Ok(bytes)
                });
            fetching.await.map(Some)
        };
        let fetched = fetched.await;
        fetched.map_err(|failure| view.refuse(subject, failure, page.signed_by()))
    }
}
