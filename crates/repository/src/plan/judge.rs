//! Judges one change against the signed page.
//!
//! The journal was written by others, as a rule by the web process, so every rule that protects
//! what is already signed is kept here, whatever was checked before.

use std::collections::HashMap;

use jiff::Timestamp;
use wheelmark_objects::{Kind, ObjectPath, file_target, page_target};
use wheelmark_packaging::simple::{BoundCertificates, Extra, PageFile, Yanked};
use wheelmark_packaging::{
    DistributionFilename, MAX_REQUIRES_PYTHON_LEN, MAX_SIGNATURE_LEN, ProjectName,
};
use wheelmark_provenance::openpgp::Certificates;
use wheelmark_store::NewFile;
use wheelmark_tuf::{Sha256, TargetPath};

use super::draft::Draft;
use super::entry::yanked_of;
use crate::gather::{objects_of, objects_of_entry, provenance_of};
use crate::journal_writer::{CLOCK_TOLERANCE, JournalWriter};
use crate::state::State;

/// What a new file turns out to be.
pub(super) enum Examined {
    New(DistributionFilename, TargetPath),
    /// One that was removed, as it was signed.
    Back(TargetPath, Box<PageFile>),
    /// One that is there.
    There,
}

/// Judges a new file; the error is why it is refused.
pub(super) fn new_file(
    state: &State,
    writer: JournalWriter,
    file: &NewFile,
    page: &Draft,
    present: &HashMap<ObjectPath, Option<u64>>,
    now: Timestamp,
) -> Result<Examined, String> {
    let filename = DistributionFilename::parse_for(&file.project, &file.filename)
        .map_err(|error| format!("{}: {error}", file.filename))?;
    let target = unclaimed(state, &file.project, &file.filename)?;
    if let Some(known) = page.file(&file.filename) {
        let same = known
            .sha256()
            .is_some_and(|known| *known.as_bytes() == file.sha256.0);
        return if same {
            Ok(Examined::There)
        } else {
            Err(format!(
                "{} is published with another sha256, which never changes",
                file.filename
            ))
        };
    }
    if let Some(why) = page.closed() {
        return Err(why);
    }
    if let Some(removed) = page.removed(&file.filename) {
        let entry = back(writer, file, removed, present)?;
        return Ok(Examined::Back(target, Box::new(entry)));
    }
    writer.to_add(file)?;
    if let Some(requires) = &file.requires_python
        && (requires.len() > MAX_REQUIRES_PYTHON_LEN || requires.contains(char::is_control))
    {
        return Err(format!(
            "the Requires-Python of {} is too long or has control characters",
            file.filename
        ));
    }
    if file.uploaded_at.duration_since(now) > CLOCK_TOLERANCE {
        return Err(format!(
            "{} has an upload time in the future: {}",
            file.filename, file.uploaded_at
        ));
    }
    if let Some(signature) = &file.gpg_signature
        && signature.length > MAX_SIGNATURE_LEN as u64
    {
        return Err(format!(
            "the signature of {} has {} bytes, more than {MAX_SIGNATURE_LEN}",
            file.filename, signature.length
        ));
    }
    for object in objects_of(file) {
        let stated = match object.kind() {
            Kind::File => Some(file.size),
            Kind::Signature => file.gpg_signature.map(|signature| signature.length),
            _ => None,
        };
        match present.get(&object) {
            Some(Some(size)) if stated.is_none_or(|stated| stated == *size) => {}
            Some(Some(size)) => {
                return Err(format!(
                    "{object} has {size} bytes in the tree, not {}",
                    stated.unwrap_or_default()
                ));
            }
            _ => return Err(format!("{} is not in the tree", object.as_str())),
        }
    }
    Ok(Examined::New(filename, target))
}

/// Whether the provenance of a new file can be bound into its page.
pub(super) fn provenance(
    file: &NewFile,
    flaws: &HashMap<ObjectPath, String>,
) -> Result<(), String> {
    if file.provenance_sha256.is_none() {
        return Ok(());
    }
    let path = provenance_of(file)
        .ok_or_else(|| format!("the name of {} is too long for a provenance", file.filename))?;
    flaws.get(&path).map_or(Ok(()), |flaw| Err(flaw.clone()))
}

/// The entry of a removed file that comes back: the one that was signed. Of the row, its SHA-256
/// counts, and whether it is yanked now.
fn back(
    writer: JournalWriter,
    file: &NewFile,
    removed: &PageFile,
    present: &HashMap<ObjectPath, Option<u64>>,
) -> Result<PageFile, String> {
    let filename = &file.filename;
    let had = removed
        .sha256()
        .filter(|had| *had.as_bytes() == file.sha256.0);
    if had.is_none() {
        let had = removed.sha256().map(|had| had.to_string());
        return Err(format!(
            "{filename} was removed, and its name takes the bytes it had alone: sha256 {}",
            had.unwrap_or_default()
        ));
    }
    writer
        .to_published()
        .map_err(|why| format!("{filename} was removed: {why}"))?;
    let yanked = yanked_of(file.yanked.as_deref());
    brought_back(&file.project, removed, yanked, present)
}

/// The entry of a removed file that comes back, if its objects are there.
pub(super) fn brought_back(
    project: &ProjectName,
    removed: &PageFile,
    yanked: Yanked,
    present: &HashMap<ObjectPath, Option<u64>>,
) -> Result<PageFile, String> {
    complete(project, removed, present)?;
    let mut entry = removed.clone();
    entry.yanked = yanked;
    Ok(entry)
}

/// Whether the objects of a file that comes back are there, or which one is not.
pub(super) fn complete(
    project: &ProjectName,
    entry: &PageFile,
    present: &HashMap<ObjectPath, Option<u64>>,
) -> Result<(), String> {
    for object in objects_of_entry(project, entry) {
        // Those of a file that was listed when this snapshot began were not asked for: they are
        // what is published.
        if present.get(&object) == Some(&None) {
            return Err(format!("{} is not in the tree", object.as_str()));
        }
    }
    Ok(())
}

/// Certificates as a page binds them. They are published, so a private key must not be among them,
/// whatever was checked before.
pub(super) fn certificates(text: &str, required: bool) -> Result<BoundCertificates, String> {
    if Certificates::from_armor(text).is_none() {
        return Err("the certificates are not in the form in which they are kept".to_owned());
    }
    Ok(BoundCertificates {
        sha256: Sha256::of(text.as_bytes()).0.into(),
        size: text.len() as u64,
        required,
        extra: Extra::new(),
    })
}

/// The target path of a file that the index's own keys may speak for, or why they may not.
pub(super) fn unclaimed(
    state: &State,
    project: &ProjectName,
    filename: &str,
) -> Result<TargetPath, String> {
    let target = target(project, filename)?;
    if state.claims.own(project, &target) {
        return Err(claimed(project));
    }
    unclaimed_project(state, project)?;
    Ok(target)
}

/// The target path of a file.
pub(super) fn target(project: &ProjectName, filename: &str) -> Result<TargetPath, String> {
    file_target(project, filename)
        .map_err(|_| format!("{} cannot be a target path", filename.escape_debug()))
}

/// Whether the index's own keys may speak for a project, or why they may not.
pub(super) fn unclaimed_project(state: &State, project: &ProjectName) -> Result<(), String> {
    if state.claims.own(project, &page_target(project)) {
        return Err(claimed(project));
    }
    Ok(())
}

fn claimed(project: &ProjectName) -> String {
    format!("{project} is claimed: its own keys must sign this change")
}
