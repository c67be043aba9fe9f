//! Source distributions: one directory, with `PKG-INFO` in it (PEP 625, PEP 643).

use std::collections::BTreeMap;
use std::io::{BufReader, Read, Seek, SeekFrom};

use super::listing::Listing;
use super::zip::Archive;
use super::{InspectError, Inspected, tar};
use crate::{CoreMetadata, MAX_METADATA_LEN};

pub(super) fn inspect_tar_gz<R: Read + Seek>(reader: &mut R) -> Result<Inspected, InspectError> {
    let length = reader.seek(SeekFrom::End(0)).map_err(InspectError::Io)?;
    reader.seek(SeekFrom::Start(0)).map_err(InspectError::Io)?;
    let unpacked = tar::unpack_gz(BufReader::new(reader), length, limit)?;
    finish(&unpacked.listing, unpacked.wanted)
}

pub(super) fn inspect_zip<R: Read + Seek>(reader: &mut R) -> Result<Inspected, InspectError> {
    let (listing, wanted) = Archive::open(reader)?.unpack(limit)?;
    finish(&listing, wanted)
}

/// Wants `PKG-INFO` of every directory at the top; there can be one in the end.
fn limit(path: &str) -> Option<u64> {
    match path.split_once('/') {
        Some((_, "PKG-INFO")) => Some(MAX_METADATA_LEN),
        _ => None,
    }
}

fn finish(
    listing: &Listing,
    mut wanted: BTreeMap<String, Vec<u8>>,
) -> Result<Inspected, InspectError> {
    let mut tops = listing
        .paths()
        .map(|path| path.split_once('/').map_or(path, |(top, _)| top));
    let top = tops.next().ok_or_else(|| InspectError::MissingFile {
        path: "PKG-INFO".to_owned(),
    })?;
    if let Some(path) = tops.find(|other| *other != top) {
        return Err(InspectError::BesideTop {
            top: top.to_owned(),
            path: path.to_owned(),
        });
    }
    let path = format!("{top}/PKG-INFO");
    let metadata_bytes = wanted
        .remove(&path)
        .ok_or(InspectError::MissingFile { path })?;
    let metadata = CoreMetadata::parse(&metadata_bytes)?;
    metadata.check_rules()?;
    for file in metadata.license_files() {
        let path = format!("{top}/{file}");
        if !listing.has_file(&path) {
            return Err(InspectError::MissingLicenseFile { path });
        }
    }
    Ok(Inspected {
        metadata,
        metadata_bytes,
    })
}
