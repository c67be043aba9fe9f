//! Judges one change against the signed page.
//!
//! The journal was written by the web process, so every rule that protects what is already signed
//! is kept here, whatever was checked before.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use wheelmark_objects::{ObjectPath, file_target, page_target};
use wheelmark_packaging::{DistributionFilename, MAX_REQUIRES_PYTHON_LEN, ProjectName};
use wheelmark_store::NewFile;
use wheelmark_tuf::TargetPath;

use super::Decision;
use super::draft::Draft;
use crate::gather::objects_of;
use crate::state::State;

/// How far in the future an upload's time may lie (PEP 480 allows ten minutes between the
/// clocks of signer and index).
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_mins(10);

/// What a new file turns out to be.
pub(super) enum Examined {
    New(DistributionFilename, TargetPath),
    Decided(Decision),
}

/// Judges a new file.
pub(super) fn new_file(
    state: &State,
    file: &NewFile,
    page: &Draft,
    present: &HashMap<ObjectPath, Option<u64>>,
    now: Timestamp,
) -> Examined {
    let refuse = |why: String| Examined::Decided(Decision::Refused(why));
    let filename = match DistributionFilename::parse_for(&file.project, &file.filename) {
        Ok(filename) => filename,
        Err(error) => return refuse(format!("{}: {error}", file.filename)),
    };
    if let Some(requires) = &file.requires_python
        && (requires.len() > MAX_REQUIRES_PYTHON_LEN || requires.contains(char::is_control))
    {
        return refuse(format!(
            "the Requires-Python of {} is too long or has control characters",
            file.filename
        ));
    }
    let target = match unclaimed(state, &file.project, &file.filename) {
        Ok(target) => target,
        Err(why) => return refuse(why),
    };
    if let Some(known) = page.file(&file.filename) {
        let same = known
            .hashes
            .sha256()
            .is_some_and(|known| *known.as_bytes() == file.sha256.0);
        return if same {
            Examined::Decided(Decision::Published)
        } else {
            refuse(format!(
                "{} is published with another sha256, which never changes",
                file.filename
            ))
        };
    }
    if let Some(removed) = page.removed(&file.filename)
        && *removed.as_bytes() != file.sha256.0
    {
        return refuse(format!(
            "{} was removed, and its name takes the bytes it had alone: sha256 {removed}",
            file.filename
        ));
    }
    if file.uploaded_at.duration_since(now) > CLOCK_TOLERANCE {
        return refuse(format!(
            "{} has an upload time in the future: {}",
            file.filename, file.uploaded_at
        ));
    }
    for object in objects_of(file) {
        match present.get(&object) {
            Some(Some(size)) => {
                let is_file = ObjectPath::file(&file.project, &file.sha256, &file.filename)
                    .is_ok_and(|path| path == object);
                if is_file && *size != file.size {
                    return refuse(format!(
                        "{} has {size} bytes in the tree, not {}",
                        file.filename, file.size
                    ));
                }
            }
            _ => return refuse(format!("{} is not in the tree", object.as_str())),
        }
    }
    Examined::New(filename, target)
}

/// The target path of a file that the index's own keys may speak for, or why they may not.
pub(super) fn unclaimed(
    state: &State,
    project: &ProjectName,
    filename: &str,
) -> Result<TargetPath, String> {
    let target = file_target(project, filename)
        .map_err(|_| format!("{} cannot be a target path", filename.escape_debug()))?;
    if state.is_claimed(&page_target(project)) || state.is_claimed(&target) {
        return Err(format!(
            "{project} is claimed: its own keys must sign this change"
        ));
    }
    Ok(target)
}
