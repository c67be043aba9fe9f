//! The names under which pages, files and lists of what is taken away are TUF targets.

use wheelmark_packaging::ProjectName;
use wheelmark_tuf::TargetPath;

use crate::PathError;
use crate::path::check_filename;

/// The target path of a project's page: `simple/<project>/index.json`.
pub fn page_target(project: &ProjectName) -> TargetPath {
    #[expect(
        clippy::expect_used,
        reason = "three segments, none empty, `.` or `..`"
    )]
    format!("simple/{project}/index.json")
        .parse()
        .expect("a normalised project name makes a target path")
}

/// The target path of a distribution file: `packages/<project>/<file>`.
///
/// # Errors
///
/// [`PathError`] if the tree cannot hold a file of that name.
pub fn file_target(project: &ProjectName, filename: &str) -> Result<TargetPath, PathError> {
    check_filename(filename)?;
    format!("packages/{project}/{filename}")
        .parse()
        .map_err(|_| PathError::Filename {
            filename: filename.to_owned(),
        })
}

/// The target path of what the index takes away from a claimed project: `status/<project>.json`.
pub fn status_target(project: &ProjectName) -> TargetPath {
    #[expect(clippy::expect_used, reason = "two segments, none empty, `.` or `..`")]
    format!("status/{project}.json")
        .parse()
        .expect("a normalised project name makes a target path")
}
