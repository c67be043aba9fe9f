//! What the person knows of and takes upon themselves: told all the same, and no part of the
//! verdict.

use std::path::Path;

use wheelmark_packaging::ProjectName;

/// Projects, and paths below a library directory.
pub(super) struct Excepted(Vec<String>);

impl Excepted {
    pub(super) fn of(named: &[String]) -> Self {
        Self(named.to_vec())
    }

    pub(super) fn has_project(&self, project: &ProjectName) -> bool {
        let mut named = self.0.iter();
        named.any(|name| name.parse::<ProjectName>().as_ref() == Ok(project))
    }

    /// A path, whole or with a folder above it; it is written with a `/`, unlike a project.
    pub(super) fn has_path(&self, path: &Path) -> bool {
        self.0.iter().any(|named| {
            let named = named
                .strip_prefix("./")
                .or_else(|| named.contains('/').then_some(named));
            named.is_some_and(|named| path.starts_with(named))
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn projects_by_any_spelling_and_paths_whole() {
        let excepted = Excepted::of(&[
            "My.Own".to_owned(),
            "notes/a.txt".to_owned(),
            "./top.txt".to_owned(),
        ]);
        assert!(excepted.has_project(&"my-own".parse().unwrap()));
        assert!(!excepted.has_project(&"my".parse().unwrap()));
        assert!(excepted.has_path(Path::new("notes/a.txt")));
        assert!(!excepted.has_path(Path::new("notes/a.txt2")));
        assert!(!excepted.has_path(Path::new("notes")));
        assert!(excepted.has_path(Path::new("top.txt")));
        assert!(!excepted.has_path(Path::new("My.Own")));
    }
}
