//! `/integrity/<project>/<version>/<file>/provenance` (PEP 740).

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use http::Uri;
use http::header::HeaderMap;
use wheelmark_objects::ObjectPath;
use wheelmark_packaging::simple::MAX_PROVENANCE_LEN;
use wheelmark_packaging::{DistributionFilename, ProjectName, Version};

use crate::app::Reading;
use crate::read_error::ReadError;
use crate::tree::{Label, NO_CACHE, PROVENANCE, answer_found};

const LABEL: Label = Label {
    content_type: PROVENANCE,
    cache_control: NO_CACHE,
    vary: "Accept-Encoding",
};

/// The provenance of a file.
pub(crate) async fn provenance(
    State(reading): State<Reading>,
    raw: Result<Path<(String, String, String)>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ReadError> {
    let absent = || ReadError::Absent {
        path: uri.path().to_owned(),
    };
    let Path((project, version, filename)) = raw.map_err(|_| absent())?;
    let project: ProjectName = project.parse().map_err(|_| absent())?;
    let version: Version = version.parse().map_err(|_| absent())?;
    let file = DistributionFilename::parse_for(&project, &filename).map_err(|_| absent())?;
    if *file.version() != version {
        return Err(absent());
    }
    let path = ObjectPath::plain_provenance(&project, file.as_str()).map_err(|_| absent())?;
    let limit = MAX_PROVENANCE_LEN as u64;
    let found = reading.shelf.get(&reading.tree, &path, limit).await?;
    answer_found(found.ok_or_else(absent)?, &headers, &LABEL).await
}
