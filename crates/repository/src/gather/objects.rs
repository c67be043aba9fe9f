//! The objects that changes need: whether they are in the tree, what their bytes hash to, and which a file has.

use std::collections::hash_map::Entry;
use std::io::Read as _;

use wheelmark_objects::{Directory, ObjectError, ObjectPath};
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{MAX_PROVENANCE_LEN, PageFile};
use wheelmark_provenance::Provenance;
use wheelmark_store::{ListedHashes, NewFile};
use wheelmark_tuf::{Sha256, Sha256Hasher, Sha512, Sha512Hasher};

use crate::listed;
use crate::publish::is_lasting;
use crate::state::LoadError;

use super::Gathered;

/// How much of a file is in memory while it is hashed.
const READ_AT_ONCE: usize = 256 * 1024;

/// The objects that an upload placed in the tree before it was written to the journal.
pub(crate) fn objects_of(file: &NewFile) -> Vec<ObjectPath> {
    let (project, name) = (&file.project, file.filename.as_str());
    let mut objects = Vec::new();
    objects.extend(ObjectPath::file(project, &file.sha256, name).ok());
    if let Some(sha256) = &file.core_metadata_sha256 {
        objects.extend(ObjectPath::file_metadata(project, sha256, name).ok());
    }
    if let Some(sha256) = &file.chunks_sha256 {
        objects.extend(ObjectPath::chunks(project, sha256, name).ok());
    }
    if let Some(signature) = &file.gpg_signature {
        objects.extend(ObjectPath::signature(project, &signature.sha256, name).ok());
    }
    objects.extend(provenance_of(file));
    objects
}

/// The provenance that an upload placed in the tree, if it has one.
pub(crate) fn provenance_of(file: &NewFile) -> Option<ObjectPath> {
    let sha256 = file.provenance_sha256.as_ref()?;
    ObjectPath::provenance(&file.project, sha256, &file.filename).ok()
}

/// The objects of a file that a page lists, or listed.
pub fn objects_of_entry(project: &ProjectName, entry: &PageFile) -> Vec<ObjectPath> {
    let name = entry.filename.as_str();
    let own = |sha256: wheelmark_packaging::simple::Sha256Hex| Sha256(*sha256.as_bytes());
    let core_metadata = entry.core_metadata.as_ref();
    let marks = entry.wheelmark.as_ref();
    let file = entry.sha256().map(own);
    let metadata = core_metadata.and_then(|hashes| hashes.sha256()).map(own);
    let chunks = marks.and_then(|marks| marks.chunks_sha256).map(own);
    let signature = marks.and_then(|marks| marks.gpg_sig);
    let signature = signature.map(|signature| own(signature.sha256));
    let provenance = marks.and_then(|marks| marks.provenance_sha256).map(own);
    let mut objects = Vec::new();
    objects.extend(file.and_then(|digest| ObjectPath::file(project, &digest, name).ok()));
    objects
        .extend(metadata.and_then(|digest| ObjectPath::file_metadata(project, &digest, name).ok()));
    objects.extend(chunks.and_then(|digest| ObjectPath::chunks(project, &digest, name).ok()));
    objects.extend(signature.and_then(|digest| ObjectPath::signature(project, &digest, name).ok()));
    objects
        .extend(provenance.and_then(|digest| ObjectPath::provenance(project, &digest, name).ok()));
    objects
}

/// Looks which of the objects are in the tree.
pub(super) async fn need_objects(
    tree: &Directory,
    gathered: &mut Gathered,
    objects: Vec<ObjectPath>,
) -> Result<(), LoadError> {
    for object in objects {
        if let Entry::Vacant(place) = gathered.present.entry(object) {
            let size = tree.size(place.key()).await?;
            place.insert(size);
        }
    }
    Ok(())
}

/// A file that has to be read before its entry can list what it is to.
pub(crate) fn unread(
    project: &ProjectName,
    entry: &PageFile,
    listed: ListedHashes,
) -> Option<ObjectPath> {
    if !listed.sha512() || listed::sha512_of(entry).is_some() {
        return None;
    }
    let sha256 = Sha256(entry.sha256()?.into());
    ObjectPath::file(project, &sha256, entry.filename.as_str()).ok()
}

/// Reads files for their SHA-512.
pub(super) async fn need_sha512(
    tree: &Directory,
    gathered: &mut Gathered,
    files: impl IntoIterator<Item = ObjectPath>,
) -> Result<(), LoadError> {
    for path in files {
        if !gathered.sha512.contains_key(&path)
            && let Some(sha512) = sha512_of(tree, &path).await?
        {
            gathered.sha512.insert(path, sha512);
        }
    }
    Ok(())
}

/// The SHA-512 of an object, if its bytes have the SHA-256 that it is named after.
pub(crate) async fn sha512_of(
    tree: &Directory,
    path: &ObjectPath,
) -> Result<Option<Sha512>, LoadError> {
    let object = match tree.open_object(path).await {
        Ok(Some(object)) => object,
        Ok(None) => return Ok(None),
        Err(error) if is_lasting(&error) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let hashed = tokio::task::spawn_blocking(move || {
        let mut file = object.file;
        let (mut sha256, mut sha512) = (Sha256Hasher::new(), Sha512Hasher::new());
        let mut piece = vec![0; READ_AT_ONCE];
        loop {
            match file.read(&mut piece)? {
                0 => return Ok((sha256.finish(), sha512.finish())),
                read => {
                    sha256.update(&piece[..read]);
                    sha512.update(&piece[..read]);
                }
            }
        }
    });
    let hashed: std::io::Result<_> = hashed.await.unwrap_or_else(|error| Err(error.into()));
    let (sha256, sha512) = hashed.map_err(|source| LoadError::File {
        path: path.as_str().to_owned(),
        source,
    })?;
    Ok((path.sha256() == Some(sha256)).then_some(sha512))
}

/// What is wrong with a provenance that an upload placed, if anything is; one that is not there is
/// told of with the other objects.
///
/// Who made its attestations is not asked. Whom a project trusts stands in the catalogue, which the
/// web process writes: whoever has taken that over would be believed anyway, and readers go by
/// whom they trust themselves.
pub(super) async fn flaw_of(
    tree: &Directory,
    path: &ObjectPath,
) -> Result<Option<String>, LoadError> {
    let bytes = match tree.read(path, MAX_PROVENANCE_LEN as u64).await {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(None),
        Err(ObjectError::TooLarge { .. } | ObjectError::NotPlain { .. }) => {
            return Ok(Some(format!("{path} is too long, or no file")));
        }
        Err(error) => return Err(error.into()),
    };
    if Some(Sha256::of(&bytes)) != path.sha256() {
        return Ok(Some(format!(
            "{path} is something else than it is named for"
        )));
    }
    Ok(Provenance::parse(&bytes)
        .err()
        .map(|error| format!("{path} is no provenance: {error}")))
}
