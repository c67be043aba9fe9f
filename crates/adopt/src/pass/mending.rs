//! Whether the tree still has the bytes that were signed, and putting them back from a source
//! that has them.
//!
//! A file that the tree shares with its source by a hard link is damaged by whoever writes to it
//! in place. The source is asked for the right bytes then, whatever it did to them: which ones are
//! right is known.

use std::fs::File;

use wheelmark_objects::{ContentHasher, ObjectError, ObjectPath, Stamp};

use super::{Pass, PassError};
use crate::content::{Body, Prepared};
use crate::known::State;
use crate::listed::Place;

/// How much is read and hashed at a time, in bytes.
const PIECE_LEN: usize = 1024 * 1024;

impl Pass {
    /// Sees to it that the tree has the bytes of a file that was signed and was read just now.
    /// Why it could not, if so.
    pub(super) async fn demand_sound(
        &mut self,
        prepared: &mut Prepared,
        state: State,
    ) -> Result<Option<String>, PassError> {
        let (project, filename) = (&prepared.listed.project, prepared.listed.filename.as_str());
        let Ok(path) = ObjectPath::file(project, &prepared.hashed.sha256, filename) else {
            return Ok(None);
        };
        let Some(good) = self.reopen(prepared) else {
            return Ok(None);
        };
        let good = match good {
            Ok(good) => good,
            Err(why) => return Ok(Some(why)),
        };
        if self.is_sound(&path, Some(&prepared.body)).await {
            return Ok(None);
        }
        // Only what is on the index has a plain name.
        let second = match state {
            State::Signed => ObjectPath::plain_file(project, filename).ok(),
            State::Removed | State::Withdrawn => None,
        };
        let mended = self.tree.mend(&self.lock, &path, second.as_ref(), good);
        match mended.await {
            Ok(()) => {
                let place = prepared.listed.shown_place();
                self.report.mended(filename.to_owned(), place);
                prepared.body = Body::Present;
                Ok(None)
            }
            Err(ObjectError::Different { .. }) => {
                Ok(Some("it was written to after it was read".to_owned()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whether an object has the bytes after which it is named. `read` is where the same bytes were
    /// read just now: the very same file need not be read twice.
    pub(super) async fn is_sound(&self, path: &ObjectPath, read: Option<&Body>) -> bool {
        let Ok(Some(object)) = self.tree.open_object(path).await else {
            return false;
        };
        if let Some(Body::Local(stamp)) = read
            && Stamp::of(&object.file).is_ok_and(|there| there == *stamp)
        {
            return true;
        }
        let hashing = tokio::task::spawn_blocking(move || hash(object.file));
        hashing.await.ok().flatten() == path.sha256()
    }

    /// The bytes that were read, once more; nothing if they are in the tree.
    fn reopen(&self, prepared: &Prepared) -> Option<Result<File, String>> {
        match (&prepared.body, &prepared.listed.place) {
            (Body::Temporary(file), _) => Some(file.reopen().map_err(|error| error.to_string())),
            (Body::Local(_), Place::Local(path)) => {
                let opened = self.source.beneath()?.file(path);
                Some(opened.map_err(|error| error.to_string()))
            }
            (Body::Present | Body::Local(_), _) => None,
        }
    }
}

fn hash(mut file: File) -> Option<wheelmark_tuf::Sha256> {
    let mut hasher = ContentHasher::new();
    let mut buffer = vec![0; PIECE_LEN];
    loop {
        match std::io::Read::read(&mut file, &mut buffer) {
            Ok(0) => return Some(hasher.finish().sha256),
            Ok(read) => hasher.update(&buffer[..read]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}
