//! Which names a new project may have.
//!
//! A name that looks like another one, or that Python itself uses, is how people are made to
//! install what they did not mean. Projects that are there keep their names, whatever they are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wheelmark_packaging::ProjectName;
use wheelmark_store::Store;

use super::error::UploadError;
use crate::app::Leeway;

/// New projects whose first files are being taken in, by likeness: of two that look alike and come
/// at the same time, one gets its name.
#[derive(Debug, Default)]
pub(crate) struct NewNames(Mutex<HashMap<String, (ProjectName, usize)>>);

/// Keeps a new name while its first file is taken in.
#[derive(Debug)]
pub(super) struct Kept {
    names: Arc<NewNames>,
    likeness: String,
}

/// Checks the name of a project that is not there yet. What is returned is to be held until it is.
pub(super) async fn check(
    names: &Arc<NewNames>,
    store: &Store,
    leeway: Leeway,
    project: &ProjectName,
) -> Result<Option<Kept>, UploadError> {
    if project.is_standard_library() && !leeway.standard_library_names {
        return Err(UploadError::StandardLibraryName {
            project: project.clone(),
        });
    }
    if leeway.similar_names {
        return Ok(None);
    }
    // Kept first and then looked up: whoever comes between the two sees one or the other.
    let kept = names.keep(project)?;
    match store.project_like(project).await? {
        None => Ok(Some(kept)),
        Some(existing) => Err(similar(project, existing)),
    }
}

fn similar(project: &ProjectName, existing: ProjectName) -> UploadError {
    UploadError::SimilarName {
        project: project.clone(),
        existing,
    }
}

impl NewNames {
    fn keep(self: &Arc<Self>, project: &ProjectName) -> Result<Kept, UploadError> {
        let likeness = project.likeness();
        let mut names = self.lock();
        let (name, count) = names
            .entry(likeness.clone())
            .or_insert_with(|| (project.clone(), 0));
        if name != project {
            return Err(similar(project, name.clone()));
        }
        *count += 1;
        Ok(Kept {
            names: Arc::clone(self),
            likeness,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, (ProjectName, usize)>> {
        // Nothing that could panic happens between two changes of the map.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let mut names = self.names.lock();
        if let Some((_, count)) = names.get_mut(&self.likeness) {
            *count -= 1;
            if *count == 0 {
                names.remove(&self.likeness);
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test says where it failed")]
mod tests {
    use super::*;

    #[test]
    fn of_two_names_that_look_alike_one_is_kept() {
        let names = Arc::new(NewNames::default());
        let [flask, f1ask] = ["flask", "f1ask"].map(|name| name.parse().unwrap());
        let first = names.keep(&flask).unwrap();
        let second = names.keep(&flask).unwrap();
        assert!(matches!(
            names.keep(&f1ask),
            Err(UploadError::SimilarName { .. })
        ));
        drop(first);
        assert!(names.keep(&f1ask).is_err());
        drop(second);
        assert!(names.keep(&f1ask).is_ok());
        assert!(names.keep(&flask).is_ok(), "nothing stays behind");
    }
}
