//! What a target of an index is, told by its path.

use wheelmark_objects::{file_target, page_target, status_target};
use wheelmark_packaging::ProjectName;
use wheelmark_tuf::{RoleName, Sha256, Sha512, TargetInfo, TargetPath};

/// A target that a role lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listed {
    /// A project's page.
    Page {
        /// The project.
        project: ProjectName,
        /// The digest of the page, after which it is named.
        sha256: Sha256,
        /// The one that is listed beside it, or in its place.
        sha512: Option<Sha512>,
        /// Its length in bytes.
        length: u64,
    },
    /// A distribution file.
    File {
        /// The project.
        project: ProjectName,
        /// The file's name.
        filename: String,
        /// The digest of the file.
        sha256: Sha256,
        /// Its length in bytes.
        length: u64,
    },
    /// What the index takes away from a claimed project.
    Status {
        /// The project.
        project: ProjectName,
        /// The digest of the list, after which it is named.
        sha256: Sha256,
        /// Its length in bytes.
        length: u64,
    },
    /// Something that this version does not know, or a path that the tree has no place for.
    Other(TargetPath),
}

/// Whether a role is one by which a project's own people sign.
pub(crate) fn is_of_project(role: &RoleName) -> bool {
    role.as_str().starts_with("project-")
}

impl Listed {
    /// Reads what a role lists under a path.
    #[must_use]
    pub fn of(path: &TargetPath, info: &TargetInfo) -> Self {
        Self::read(path, info).unwrap_or_else(|| Self::Other(path.clone()))
    }

    fn read(path: &TargetPath, info: &TargetInfo) -> Option<Self> {
        let segments: Vec<&str> = path.segments().collect();
        if let &["status", name] = segments.as_slice() {
            let project: ProjectName = name.strip_suffix(".json")?.parse().ok()?;
            let sha256 = info.sha256()?;
            let is_path_of = status_target(&project) == *path;
            return is_path_of.then_some(Self::Status {
                project,
                sha256,
                length: info.length,
            });
        }
        let &[family, project, name] = segments.as_slice() else {
            return None;
        };
        let project: ProjectName = project.parse().ok()?;
        let (sha256, length) = (info.sha256()?, info.length);
        let listed = match family {
            "simple" => Self::Page {
                project: project.clone(),
                sha256,
                sha512: info.hashes.sha512(),
                length,
            },
            "packages" => Self::File {
                project: project.clone(),
                filename: name.to_owned(),
                sha256,
                length,
            },
            _ => return None,
        };
        // Only under the very path that a reader looks for.
        let is_path_of = match family {
            "simple" => page_target(&project) == *path,
            _ => file_target(&project, name).is_ok_and(|target| target == *path),
        };
        is_path_of.then_some(listed)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn a_target_is_what_readers_look_for_under_its_path() {
        let check = |path: &str, expected: &str| {
            let info = TargetInfo::new(3, Sha256::of(b"abc"));
            let found = match Listed::of(&path.parse().unwrap(), &info) {
                Listed::Page { project, .. } => format!("page of {project}"),
                Listed::File {
                    project, filename, ..
                } => format!("{filename} of {project}"),
                Listed::Status { project, .. } => format!("status of {project}"),
                Listed::Other(path) => format!("other {path}"),
            };
            assert_eq!(found, expected);
        };
        check("simple/flask/index.json", "page of flask");
        check("packages/flask/a-1.whl", "a-1.whl of flask");
        check("status/flask.json", "status of flask");
        for other in [
            "simple/Flask/index.json",
            "simple/flask/index.html",
            "simple/index.json",
            "simple/flask/x/index.json",
            "packages/Flask/a-1.whl",
            "packages/flask/.hidden",
            "packages/flask/a-1.whl.metadata",
            "packages/flask/a b.whl",
            "status/Flask.json",
            "status/flask",
            "status/flask/index.json",
            "x",
        ] {
            check(other, &format!("other {other}"));
        }
    }
}
