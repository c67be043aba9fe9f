//! Who uploads, from where, and what.

use std::sync::{Arc, OnceLock};

use http::request::Parts;
use wheelmark_packaging::ProjectName;
use wheelmark_store::{Bearer, Denied, Scope};

use super::error::UploadError;
use crate::app::Publishing;
use crate::client_address::From;
use crate::problem::chain;

/// Somebody who was let in with an upload.
#[derive(Clone, Debug)]
pub(super) struct Uploader {
    pub(super) bearer: Bearer,
    pub(super) from: From,
    /// What they upload, once that is known.
    file: Arc<OnceLock<(ProjectName, String)>>,
}

impl Uploader {
    /// Who sends a request, if they may upload anything now.
    pub(super) async fn of(publishing: &Publishing, parts: &Parts) -> Result<Self, UploadError> {
        let from = From::of(&parts.extensions);
        let bearer = publishing.door.bearer(&parts.headers, from).await?;
        let uploader = Uploader {
            bearer,
            from,
            file: Arc::default(),
        };
        // Here already, so that nothing is sent for nothing: the rest depends on the project.
        let may = match uploader.bearer.scope() {
            Scope::Read => Err(Denied::ReadOnly.into()),
            Scope::Upload | Scope::UploadTo(_) | Scope::UploadToSeveral(_) | Scope::Admin => {
                let counted = publishing.door.count_upload(&uploader.bearer);
                counted.map_err(UploadError::from)
            }
        };
        match may {
            Ok(()) => Ok(uploader),
            Err(error) => {
                uploader.note_refusal(publishing, &error).await;
                Err(error)
            }
        }
    }

    /// Somebody in whose name what they began is finished.
    pub(super) fn resumed(bearer: Bearer) -> Self {
        Uploader {
            bearer,
            from: From(None),
            file: Arc::default(),
        }
    }

    /// Says what the file is.
    pub(super) fn uploads(&self, project: &ProjectName, filename: &str) {
        // Said once for each upload.
        self.file
            .get_or_init(|| (project.clone(), filename.to_owned()));
    }

    /// Writes down that the file was not taken, if that is for a reason of its own.
    pub(super) async fn note_refusal(&self, publishing: &Publishing, error: &UploadError) {
        if error.is_of_the_index() {
            return;
        }
        let file = self.file.get();
        let file = file.map(|(project, filename)| (project, filename.as_str()));
        let notebook = publishing.door.notebook();
        notebook
            .refused_upload(&self.bearer, file, &chain(error), self.from)
            .await;
    }
}
