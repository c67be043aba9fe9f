//! From a checked form to a row in the journal.

use std::io;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::task::spawn_blocking;
use wheelmark_objects::ObjectPath;
use wheelmark_packaging::{CoreMetadata, DistributionFilename, Inspected, ProjectName, inspect};
use wheelmark_store::{Admission, FileRow, FileSignature, FileState, NewFile, ProjectLimits, Seq};
use wheelmark_tuf::Sha256;

use super::attested;
use super::certified;
use super::check::Claimed;
use super::error::UploadError;
use super::names;
use super::note::Note;
use super::placed::place;
use super::sink::{Body, Content};
use super::staging::{self, StagingError};
use super::uploader::Uploader;
use crate::app::Publishing;

/// What has become of a file that was taken in.
pub(super) enum Recorded {
    /// It stands in the journal here.
    At(Seq),
    /// Its project is claimed: it waits for somebody who signs for it.
    Staged,
}

/// Records a file, unless the same one is recorded already.
///
/// The objects come first and the journal row last: what is in the journal is in the tree.
pub(super) async fn record(
    publishing: &Publishing,
    claimed: Claimed,
    uploader: &Uploader,
) -> Result<Recorded, UploadError> {
    let Claimed {
        project,
        filename,
        content,
        signature,
        attestations,
    } = claimed;
    let sha256 = content.sha256;
    let exists = |existing| UploadError::Exists {
        filename: filename.to_string(),
        existing,
    };
    let gpg_signature = signature.as_ref().map(|signature| FileSignature {
        sha256: Sha256::of(signature.as_bytes()),
        length: signature.as_bytes().len() as u64,
    });
    // Taken here, before the file has any place: a path that the tree refuses costs nothing.
    let blob = ObjectPath::file(&project, &sha256, filename.as_str()).map_err(UploadError::Path)?;

    let _gate = publishing.gates.pass(&project, filename.as_str()).await;
    let now = publishing.clock.now();
    let asking = publishing
        .store
        .demand_uploader(&uploader.bearer, &project, now);
    asking.await?;
    let attestations = attestations.as_deref();
    let provenance = attested::judge(publishing, &project, &filename, sha256, attestations).await?;
    let provenance_sha256 = provenance.as_deref().map(Sha256::of);
    if let Some(row) = publishing.store.file(&project, filename.as_str()).await? {
        if row.sha256 != sha256 {
            return Err(exists(row.sha256));
        }
        match row.state {
            FileState::Pending | FileState::Published => {
                return same(&row, gpg_signature, provenance_sha256).map(Recorded::At);
            }
            FileState::Removed => {
                return Err(UploadError::Removed {
                    filename: filename.to_string(),
                });
            }
        }
    }
    let standing = publishing.store.project_standing(&project).await?;
    // Asked once more by the snapshot process, which decides.
    if !standing.status.status.takes_uploads() {
        return Err(UploadError::Closed {
            project,
            status: standing.status.status,
            reason: standing.status.reason,
        });
    }

    if publishing.store.is_claimed(&project).await? {
        let what = match (&signature, &provenance) {
            (Some(_), _) => Some("an OpenPGP signature"),
            (None, Some(_)) => Some("attestations"),
            (None, None) => None,
        };
        let filename = (&filename, what);
        let limits = standing.limits;
        stage(publishing, &project, filename, content, limits, uploader).await?;
        return Ok(Recorded::Staged);
    }
    check_sum(publishing, &project, standing.limits, &[content.len]).await?;
    let _kept = if standing.is_known {
        None
    } else {
        let (names, store) = (&publishing.new_names, &publishing.store);
        names::check(names, store, publishing.leeway, &project).await?
    };
    let (content, inspected) = look_inside(content, &filename).await?;
    certified::judge(publishing, &project, &content, signature.as_ref()).await?;
    let Content {
        body, len, chunks, ..
    } = content;
    let signature = signature.map(|signature| Bytes::from(signature.into_bytes()));
    check_classifiers(publishing, &inspected, &filename)?;
    // Readers resolve against it without the file, so it has to say what an installer would
    // find: that of a source distribution need not.
    let metadata = match filename {
        DistributionFilename::Wheel(_) => Some(Bytes::from(inspected.metadata_bytes)),
        DistributionFilename::Sdist(_) => None,
    };
    let core_metadata_sha256 = metadata.as_deref().map(Sha256::of);
    let chunks_sha256 = chunks.as_deref().map(Sha256::of);

    let mut small = Vec::new();
    if let (Some(bytes), Some(digest)) = (metadata, &core_metadata_sha256) {
        let path = ObjectPath::file_metadata(&project, digest, filename.as_str());
        small.push((path.map_err(UploadError::Path)?, bytes));
    }
    if let (Some(bytes), Some(digest)) = (chunks, &chunks_sha256) {
        let path = ObjectPath::chunks(&project, digest, filename.as_str());
        small.push((path.map_err(UploadError::Path)?, bytes));
    }
    if let (Some(bytes), Some(FileSignature { sha256, .. })) = (signature, &gpg_signature) {
        let path = ObjectPath::signature(&project, sha256, filename.as_str());
        small.push((path.map_err(UploadError::Path)?, bytes));
    }
    if let (Some(bytes), Some(digest)) = (provenance, &provenance_sha256) {
        let path = ObjectPath::provenance(&project, digest, filename.as_str());
        small.push((path.map_err(UploadError::Path)?, bytes));
    }
    let mut objects: Vec<&ObjectPath> = small.iter().map(|(path, _)| path).collect();
    objects.push(&blob);
    let note = Note {
        project: project.clone(),
        filename: filename.to_string(),
        objects: objects
            .into_iter()
            .map(|path| path.as_str().to_owned())
            .collect(),
    };
    let large = match body {
        Body::Memory(bytes) => {
            small.push((blob, bytes));
            None
        }
        Body::File(file) => Some((blob, file)),
    };
    // The note is held until the row is written, or what was placed is taken back.
    let (placed, _note) = place(publishing, note, small, large).await?;

    let new = NewFile {
        project: project.clone(),
        filename: filename.to_string(),
        sha256,
        size: len,
        uploaded_at: whole_microseconds(publishing.clock.now()),
        requires_python: inspected.metadata.requires_python,
        core_metadata_sha256,
        chunks_sha256,
        gpg_signature,
        provenance_sha256,
        uploaded_by: uploader.bearer.id().to_string(),
        back_signed: false,
        yanked: None,
    };
    let admitting =
        publishing
            .store
            .admit_keeping(new, &placed.kept, &uploader.bearer, uploader.from.0);
    match admitting.await {
        Ok(Admission::Recorded(seq)) => Ok(Recorded::At(seq)),
        // Another process was faster.
        Ok(Admission::Same(seq)) => {
            let Some(row) = publishing.store.file(&project, filename.as_str()).await? else {
                return Ok(Recorded::At(seq));
            };
            placed.give_way(&row).await;
            same(&row, gpg_signature, provenance_sha256).map(Recorded::At)
        }
        Ok(Admission::Different { existing }) => {
            if let Some(row) = publishing.store.file(&project, filename.as_str()).await? {
                placed.give_way(&row).await;
            }
            Err(exists(existing))
        }
        Err(error) => {
            // Whether it was recorded is not certain; the objects go only if it was not.
            if let Ok(None) = publishing.store.file(&project, filename.as_str()).await {
                placed.take_back().await;
            }
            Err(error.into())
        }
    }
}

/// Keeps a file of a claimed project for those who sign for it, after every check of an upload. With the
/// file comes what a release could not bring, if it came with that.
async fn stage(
    publishing: &Publishing,
    project: &ProjectName,
    (filename, comes_with): (&DistributionFilename, Option<&'static str>),
    content: Content,
    limits: ProjectLimits,
    uploader: &Uploader,
) -> Result<(), UploadError> {
    if publishing.staging.is_none() {
        let project = project.clone();
        return Err(UploadError::Claimed { project });
    }
    if let Some(what) = comes_with {
        let filename = filename.to_string();
        return Err(StagingError::ComesWith { filename, what }.into());
    }
    check_sum(publishing, project, limits, &[content.len]).await?;
    let (content, inspected) = look_inside(content, filename).await?;
    check_classifiers(publishing, &inspected, filename)?;
    staging::take_unsigned(publishing, project, filename, content, uploader).await
}

/// Where the same bytes stand in the journal already, if they came with the signature and the
/// attestations that are sent now, or none are. Another one would change what is signed for a published file, and that is not
/// an upload's to do.
fn same(
    row: &FileRow,
    sent: Option<FileSignature>,
    provenance: Option<Sha256>,
) -> Result<Seq, UploadError> {
    if provenance.is_some() && row.provenance_sha256 != provenance {
        return Err(UploadError::OtherAttestations {
            filename: row.filename.clone(),
            has_some: row.provenance_sha256.is_some(),
        });
    }
    match sent {
        Some(sent) if row.gpg_signature_sha256 != Some(sent.sha256) => {
            Err(UploadError::OtherSignature {
                filename: row.filename.clone(),
                has_one: row.gpg_signature_sha256.is_some(),
            })
        }
        Some(_) | None => Ok(row.seq),
    }
}

/// Whether a file's classifiers are known, where that is asked for.
pub(super) fn check_classifiers(
    publishing: &Publishing,
    inspected: &Inspected,
    filename: &DistributionFilename,
) -> Result<(), UploadError> {
    if publishing.leeway.unknown_classifiers {
        return Ok(());
    }
    let checked = inspected.metadata.check_classifiers();
    checked.map_err(|source| UploadError::Classifier {
        filename: filename.to_string(),
        source,
    })
}

/// Holds the lengths of new files against what their project may have.
pub(super) async fn check_sum(
    publishing: &Publishing,
    project: &ProjectName,
    own: ProjectLimits,
    lens: &[u64],
) -> Result<(), UploadError> {
    let limit = own.file_len.unwrap_or(publishing.limits.file_len);
    if lens.iter().any(|len| *len > limit) {
        return Err(UploadError::FileTooLong { limit });
    }
    let len = lens
        .iter()
        .fold(0, |sum: u64, len| sum.saturating_add(*len));
    let Some(limit) = own.total_len.or(publishing.limits.project_len) else {
        return Ok(());
    };
    let there = publishing.store.project_size(project).await?;
    let would_be = there.saturating_add(len);
    if would_be > limit {
        return Err(UploadError::ProjectTooLarge {
            project: project.clone(),
            would_be,
            limit,
        });
    }
    Ok(())
}

/// Reads the archive from one end to the other.
pub(super) async fn look_inside(
    content: Content,
    filename: &DistributionFilename,
) -> Result<(Content, Inspected), UploadError> {
    let filename = filename.clone();
    let inspecting = spawn_blocking(move || {
        let inspected = match &content.body {
            Body::Memory(bytes) => inspect(io::Cursor::new(bytes), &filename),
            Body::File(file) => {
                let file = file.reopen().map_err(UploadError::Incoming)?;
                inspect(io::BufReader::new(file), &filename)
            }
        };
        let inspected = inspected.map_err(|source| UploadError::Inspect {
            filename: filename.to_string(),
            source,
        })?;
        check_description(&inspected.metadata, &filename)?;
        Ok((content, inspected))
    });
    inspecting.await.unwrap_or(Err(UploadError::Stopped))
}

/// Whether the description can be shown to people.
fn check_description(
    metadata: &CoreMetadata,
    filename: &DistributionFilename,
) -> Result<(), UploadError> {
    // Of which kind it is was looked at with the rest of the metadata.
    let (Some(description), Ok(markup)) = (&metadata.description, metadata.markup()) else {
        return Ok(());
    };
    match wheelmark_readme::render(description, markup) {
        Ok(_) => Ok(()),
        Err(source) => Err(UploadError::Description {
            filename: filename.to_string(),
            source,
        }),
    }
}

/// The time to the microsecond, which is what a page can hold (PEP 700).
fn whole_microseconds(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}
