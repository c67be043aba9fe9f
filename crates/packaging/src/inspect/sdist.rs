//! Source distributions: one directory, with `PKG-INFO` in it (PEP 625, PEP 643).

use std::collections::BTreeMap;
use std::io::{BufReader, Read, Seek, SeekFrom};

use aws_lc_rs::digest::{self, Context};

use super::listing::Listing;
use super::zip::{self, Archive};
use super::{ArchivedFile, InspectError, Inspected, TarError, tar};
use crate::{CoreMetadata, MAX_METADATA_LEN, SdistFormat};

/// A new source distribution, as today's rules want it.
pub(super) fn inspect<R: Read + Seek>(reader: &mut R) -> Result<Inspected, InspectError> {
    if zip::could_be_one(reader)? {
        return Err(TarError::AlsoZip.into());
    }
    let contents = Contents::of_tar_gz(reader)?;
    contents.listing.check_case()?;
    let (top, inspected) = contents.metadata()?;
    inspected.metadata.check_rules()?;
    for file in inspected.metadata.license_files() {
        let path = format!("{top}/{file}");
        if !contents.listing.has_file(&path) {
            return Err(InspectError::MissingLicenseFile { path });
        }
    }
    Ok(inspected)
}

/// The metadata of one that exists already.
pub(super) fn core_metadata<R: Read + Seek>(
    reader: &mut R,
    format: SdistFormat,
) -> Result<Option<Inspected>, InspectError> {
    let contents = match format {
        SdistFormat::TarGz => Contents::of_tar_gz(reader)?,
        SdistFormat::Zip => Contents::of_zip(reader)?,
        SdistFormat::TarBz2 | SdistFormat::TarXz => return Ok(None),
    };
    Ok(Some(contents.metadata()?.1))
}

/// What was found in an archive.
struct Contents {
    listing: Listing,
    wanted: BTreeMap<String, Vec<u8>>,
}

impl Contents {
    fn of_tar_gz<R: Read + Seek>(reader: &mut R) -> Result<Contents, InspectError> {
        let tar::Unpacked {
            listing, wanted, ..
        } = unpack_gz(reader, |_| None)?;
        Ok(Contents { listing, wanted })
    }

    fn of_zip<R: Read + Seek>(reader: &mut R) -> Result<Contents, InspectError> {
        let unpacked = Archive::open(reader)?.unpack(limit, |_| None)?;
        Ok(Contents {
            listing: unpacked.listing,
            wanted: unpacked.wanted,
        })
    }

    /// The one directory at the top, and the metadata in it.
    fn metadata(&self) -> Result<(&str, Inspected), InspectError> {
        let mut tops = self
            .listing
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
        let metadata_bytes = self.wanted.get(&path).cloned();
        let metadata_bytes = metadata_bytes.ok_or(InspectError::MissingFile { path })?;
        let inspected = Inspected {
            metadata: CoreMetadata::parse(&metadata_bytes)?,
            metadata_bytes,
        };
        Ok((top, inspected))
    }
}

fn unpack_gz<R: Read + Seek>(
    reader: &mut R,
    hasher: impl Fn(&str) -> Option<Context>,
) -> Result<tar::Unpacked, InspectError> {
    let length = reader.seek(SeekFrom::End(0)).map_err(InspectError::Io)?;
    reader.seek(SeekFrom::Start(0)).map_err(InspectError::Io)?;
    tar::unpack_gz(BufReader::new(reader), length, limit, hasher)
}

/// Every ordinary file of a `.tar.gz`, by its path, with its digest.
pub(super) fn files<R: Read + Seek>(
    reader: &mut R,
) -> Result<BTreeMap<String, ArchivedFile>, InspectError> {
    let unpacked = unpack_gz(reader, |_| Some(Context::new(&digest::SHA256)))?;
    let mut files = BTreeMap::new();
    for (path, length) in unpacked.listing.files() {
        let digest = unpacked.digests.get(path);
        let sha256 = digest.and_then(|digest| digest.as_ref().try_into().ok());
        let sha256 = sha256.ok_or_else(|| InspectError::MissingFile {
            path: path.to_owned(),
        })?;
        files.insert(path.to_owned(), ArchivedFile { sha256, length });
    }
    Ok(files)
}

/// Wants `PKG-INFO` of every directory at the top; there can be one in the end.
fn limit(path: &str) -> Option<u64> {
    match path.split_once('/') {
        Some((_, "PKG-INFO")) => Some(MAX_METADATA_LEN),
        _ => None,
    }
}
