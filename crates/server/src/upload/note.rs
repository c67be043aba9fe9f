//! What an upload is about to bring into the tree, written down before it does.
//!
//! The objects of an upload come before its journal row. A process that is killed between the
//! two leaves objects that nothing refers to; its note lies beside its unfinished files, and the
//! next start takes the objects back.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;
use tokio::task::spawn_blocking;
use wheelmark_objects::{Directory, ObjectError, ObjectPath};
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{MAX_PAGE_LEN, ProjectPage};
use wheelmark_store::{Store, StoreError};

/// How the names of notes begin.
const PREFIX: &str = "placing-";

/// Uploads that were cut off could not be taken back.
#[derive(Debug, thiserror::Error)]
pub enum TakeBackError {
    /// The tree could not be read.
    #[error("the tree could not be read")]
    Objects(#[from] ObjectError),
    /// The catalogue could not be read.
    #[error("the catalogue could not be read")]
    Store(#[from] StoreError),
    /// A note or an object could not be read or removed.
    #[error("{} could not be read or removed", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
}

/// What one upload brings into the tree.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    pub(super) project: ProjectName,
    pub(super) filename: String,
    /// Object paths.
    pub(super) objects: Vec<String>,
}

impl Note {
    /// Writes the note down, until the value that is returned is dropped.
    ///
    /// It is not forced to the disk: what it is for is a killed process. After a power cut,
    /// objects may stay behind; they are listed nowhere and do no harm.
    pub(super) fn write(&self, incoming: &Path) -> io::Result<NamedTempFile> {
        let bytes = serde_json::to_vec(self).expect("names and paths always make JSON");
        let mut file = tempfile::Builder::new()
            .prefix(PREFIX)
            .tempfile_in(incoming)?;
        file.write_all(&bytes)?;
        Ok(file)
    }
}

/// Takes back what uploads brought into the tree whose process ended before their journal row
/// was written; says how many uploads those were. To be called before anything is uploaded.
///
/// An object goes only if a note names it *and* the catalogue has no row for its file name *and*
/// the file has no plain name, which it gets when it is published, *and* its project's page does
/// not speak of it: a file that was removed or is withheld has no plain name, and its bytes stay,
/// so that it can come back.
///
/// # Errors
///
/// [`TakeBackError`]; what was not taken back is when this is called again.
pub async fn take_back_cut_off(tree: &Directory, store: &Store) -> Result<usize, TakeBackError> {
    let mut taken = 0;
    for path in tree.abandoned(PREFIX).await? {
        let failed = |source| TakeBackError::Io {
            path: path.clone(),
            source,
        };
        let bytes = tokio::fs::read(&path).await.map_err(failed)?;
        // A note that is cut off itself: its upload had not placed anything.
        let Ok(note) = serde_json::from_slice::<Note>(&bytes) else {
            continue;
        };
        let Ok(plain) = ObjectPath::plain_file(&note.project, &note.filename) else {
            continue;
        };
        if store.file(&note.project, &note.filename).await?.is_some()
            || tree.exists(&plain).await?
            || page_may_speak_of(tree, &note).await?
        {
            continue;
        }
        for object in note.objects {
            let Ok(object) = ObjectPath::from_request(&object) else {
                continue;
            };
            if !object.as_str().starts_with("targets/packages/") {
                continue;
            }
            let path = tree.local_path(&object);
            match tokio::fs::remove_file(&path).await {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(TakeBackError::Io { path, source }),
            }
        }
        taken += 1;
    }
    Ok(taken)
}

/// Whether the project's page lists or withholds the file, or says that it was removed. A page that cannot be
/// read may do either: then nothing of the project is taken back.
///
/// The page is read under the name that the snapshot process gives it before it takes plain names
/// away, so that one of the two always speaks of a published file.
async fn page_may_speak_of(tree: &Directory, note: &Note) -> Result<bool, ObjectError> {
    let path = ObjectPath::simple_json(&note.project);
    let page = match tree.read(&path, MAX_PAGE_LEN as u64).await {
        Ok(Some(page)) => page,
        Ok(None) => return Ok(false),
        Err(ObjectError::TooLarge { .. } | ObjectError::NotPlain { .. }) => return Ok(true),
        Err(error) => return Err(error),
    };
    let read = spawn_blocking(move || ProjectPage::parse(&page)).await;
    Ok(match read {
        Ok(Ok(page)) => {
            let withheld = &page.wheelmark.withheld;
            page.file(&note.filename).is_some()
                || withheld
                    .iter()
                    .any(|file| file.filename.as_str() == note.filename)
                || page.wheelmark.removed.contains_key(&note.filename)
        }
        Ok(Err(_)) | Err(_) => true,
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test says where it failed")]
mod tests {
    use bytes::Bytes;
    use wheelmark_store::NewFile;
    use wheelmark_tuf::Sha256;

    use super::*;

    #[tokio::test]
    async fn only_what_nothing_refers_to_is_taken_back() {
        let home = tempfile::tempdir().unwrap();
        let tree = Directory::open(&home.path().join("tree")).await.unwrap();
        let store = Store::open(&home.path().join("catalogue.sqlite"))
            .await
            .unwrap();
        let project: ProjectName = "flask".parse().unwrap();
        let dead = tree.root().join(".incoming").join("wDEAD");
        std::fs::create_dir(&dead).unwrap();

        // Its page has what was removed and what is withheld, and not what was cut off.
        let page = format!(
            r#"{{"meta":{{"api-version":"1.4"}},"name":"flask","files":[],"versions":[],
            "_wheelmark":{{"removed":{{"flask-3.0-py3-none-any.whl":{{"entry":{{
            "filename":"flask-3.0-py3-none-any.whl","url":"x","size":7,
            "hashes":{{"sha256":"{}"}}}},"removed-at":"2026-11-20T10:00:00Z"}}}},"withheld":[{{
            "filename":"flask-4.0-py3-none-any.whl","url":"x","size":8,
            "hashes":{{"sha256":"{}"}}}}]}}}}"#,
            Sha256::of(b"removed"),
            Sha256::of(b"withheld")
        );
        let page_path = tree.local_path(&ObjectPath::simple_json(&project));
        std::fs::create_dir_all(page_path.parent().unwrap()).unwrap();
        std::fs::write(&page_path, page).unwrap();

        let mut objects = Vec::new();
        let states = ["cut off", "recorded", "published", "removed", "withheld"];
        for (number, state) in states.into_iter().enumerate() {
            let filename = format!("flask-{number}.0-py3-none-any.whl");
            let bytes = Bytes::from(state);
            let sha256 = Sha256::of(&bytes);
            let object = ObjectPath::file(&project, &sha256, &filename).unwrap();
            tree.create(&object, bytes).await.unwrap();
            match state {
                "recorded" => {
                    let file = NewFile {
                        project: project.clone(),
                        filename: filename.clone(),
                        sha256,
                        size: 8,
                        uploaded_at: jiff::Timestamp::UNIX_EPOCH,
                        requires_python: None,
                        core_metadata_sha256: None,
                        chunks_sha256: None,
                        gpg_signature: None,
                        provenance_sha256: None,
                        uploaded_by: "first".to_owned(),
                        back_signed: false,
                        yanked: None,
                    };
                    store.admit(file).await.unwrap();
                }
                "published" => {
                    let plain = ObjectPath::plain_file(&project, &filename).unwrap();
                    tree.link(&object, &plain).await.unwrap();
                }
                _ => {}
            }
            let note = Note {
                project: project.clone(),
                filename,
                objects: vec![
                    object.as_str().to_owned(),
                    "metadata/timestamp.json".to_owned(),
                ],
            };
            let note = serde_json::to_vec(&note).unwrap();
            std::fs::write(dead.join(format!("placing-{number}")), note).unwrap();
            objects.push(object);
        }
        let timestamp = tree.local_path(&ObjectPath::timestamp());
        std::fs::create_dir_all(timestamp.parent().unwrap()).unwrap();
        std::fs::write(&timestamp, "not an upload's").unwrap();
        std::fs::write(dead.join("placing-9"), "{\"project\": \"fl").unwrap();

        assert_eq!(take_back_cut_off(&tree, &store).await.unwrap(), 1);
        assert!(!tree.exists(&objects[0]).await.unwrap());
        assert!(tree.exists(&objects[1]).await.unwrap());
        assert!(tree.exists(&objects[2]).await.unwrap());
        assert!(tree.exists(&objects[3]).await.unwrap());
        assert!(tree.exists(&objects[4]).await.unwrap());
        assert!(timestamp.exists());
    }

    #[tokio::test]
    async fn nothing_is_taken_back_where_the_page_cannot_be_read() {
        let home = tempfile::tempdir().unwrap();
        let tree = Directory::open(&home.path().join("tree")).await.unwrap();
        let store = Store::open(&home.path().join("catalogue.sqlite"))
            .await
            .unwrap();
        let project: ProjectName = "flask".parse().unwrap();
        let filename = "flask-1.0-py3-none-any.whl";
        let object = ObjectPath::file(&project, &Sha256::of(b"x"), filename).unwrap();
        tree.create(&object, Bytes::from_static(b"x"))
            .await
            .unwrap();
        let note = Note {
            project: project.clone(),
            filename: filename.to_owned(),
            objects: vec![object.as_str().to_owned()],
        };
        let dead = tree.root().join(".incoming").join("wDEAD");
        std::fs::create_dir(&dead).unwrap();
        std::fs::write(dead.join("placing-0"), serde_json::to_vec(&note).unwrap()).unwrap();
        let page = tree.local_path(&ObjectPath::simple_json(&project));
        std::fs::create_dir_all(page.parent().unwrap()).unwrap();
        std::fs::write(&page, "{ torn").unwrap();
        assert_eq!(take_back_cut_off(&tree, &store).await.unwrap(), 0);
        assert!(tree.exists(&object).await.unwrap());
        std::fs::remove_file(&page).unwrap();
        assert_eq!(take_back_cut_off(&tree, &store).await.unwrap(), 1);
        assert!(!tree.exists(&object).await.unwrap());
    }

    #[tokio::test]
    async fn a_note_of_the_living_is_left_alone_and_goes_with_its_upload() {
        let home = tempfile::tempdir().unwrap();
        let tree = Directory::open(&home.path().join("tree")).await.unwrap();
        let other = Directory::open(&home.path().join("tree")).await.unwrap();
        let note = Note {
            project: "flask".parse().unwrap(),
            filename: "flask-1.0-py3-none-any.whl".to_owned(),
            objects: Vec::new(),
        };
        let written = note.write(tree.incoming()).unwrap();
        let path = written.path().to_owned();
        let read: Note = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(read, note);
        assert_eq!(other.abandoned(PREFIX).await.unwrap(), [] as [PathBuf; 0]);
        drop(written);
        assert!(!path.exists());
    }
}
