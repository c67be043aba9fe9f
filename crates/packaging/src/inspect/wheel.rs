//! Wheels: one `.dist-info` directory that describes the rest (binary distribution format).

mod record;

use std::io::{Read, Seek};

use super::limits::{MAX_RECORD_LEN, MAX_WHEEL_LEN};
use super::listing::Listing;
use super::zip::Archive;
use super::{InspectError, Inspected};
use crate::metadata::headers;
use crate::{CoreMetadata, MAX_METADATA_LEN, ProjectName, Version, WheelFilename};

pub(super) fn inspect<R: Read + Seek>(
    reader: &mut R,
    filename: &WheelFilename,
) -> Result<Inspected, InspectError> {
    let archive = Archive::open(reader)?;
    let directory = dist_info(archive.listing(), filename)?;
    let (listing, mut wanted) =
        archive.unpack(
            |path| match path.strip_prefix(&directory)?.strip_prefix('/')? {
                "METADATA" => Some(MAX_METADATA_LEN),
                "RECORD" => Some(MAX_RECORD_LEN),
                "WHEEL" => Some(MAX_WHEEL_LEN),
                _ => None,
            },
        )?;
    let mut take = |name: &str| {
        let path = format!("{directory}/{name}");
        wanted
            .remove(&path)
            .ok_or(InspectError::MissingFile { path })
    };
    let (metadata_bytes, record, wheel) = (take("METADATA")?, take("RECORD")?, take("WHEEL")?);
    let metadata = CoreMetadata::parse(&metadata_bytes)?;
    metadata.check_rules()?;
    check_version(&wheel)?;
    record::check(&record, &directory, &listing)?;
    for file in metadata.license_files() {
        let path = format!("{directory}/licenses/{file}");
        if !listing.has_file(&path) {
            return Err(InspectError::MissingLicenseFile { path });
        }
    }
    Ok(Inspected {
        metadata,
        metadata_bytes,
    })
}

/// `METADATA` alone.
pub(super) fn core_metadata<R: Read + Seek>(
    reader: &mut R,
    filename: &WheelFilename,
) -> Result<Inspected, InspectError> {
    let archive = Archive::open(reader)?;
    let path = format!("{}/METADATA", dist_info(archive.listing(), filename)?);
    let metadata_bytes = archive
        .unpack_one(&path, MAX_METADATA_LEN)?
        .ok_or(InspectError::MissingFile { path })?;
    Ok(Inspected {
        metadata: CoreMetadata::parse(&metadata_bytes)?,
        metadata_bytes,
    })
}

/// The one directory at the top that ends with `.dist-info`, which is named after the file's
/// project and version, though older tools did not spell both as in the file name.
fn dist_info(listing: &Listing, filename: &WheelFilename) -> Result<String, InspectError> {
    let tops = listing
        .paths()
        .map(|path| path.split_once('/').map_or(path, |(top, _)| top));
    let mut found: Vec<String> = tops
        .filter(|top| top.ends_with(".dist-info"))
        .map(str::to_owned)
        .collect();
    found.dedup();
    match found.as_slice() {
        [one] if is_of(one, filename) => Ok(one.clone()),
        _ => {
            found.truncate(8);
            Err(InspectError::DistInfo { found })
        }
    }
}

fn is_of(directory: &str, filename: &WheelFilename) -> bool {
    let parts = directory
        .strip_suffix(".dist-info")
        .and_then(|stem| stem.split_once('-'));
    parts.is_some_and(|(name, version)| {
        let version = version
            .parse::<Version>()
            .or_else(|_| version.replace('_', "-").parse());
        name.parse::<ProjectName>().as_ref() == Ok(filename.project())
            && version.as_ref() == Ok(filename.version())
    })
}

/// Checks that the `WHEEL` file is of version 1, as installers do.
///
/// Its tags are not compared with those of the file name: well-known projects publish wheels that
/// were renamed after they were built, and no installer looks.
fn check_version(bytes: &[u8]) -> Result<(), InspectError> {
    let text = std::str::from_utf8(bytes).map_err(|_| InspectError::WheelFile)?;
    let (fields, _) = headers::split(text).map_err(|_| InspectError::WheelFile)?;
    let mut versions = fields.iter().filter(|field| field.name == "wheel-version");
    let version = versions
        .next()
        .and_then(|field| field.value.split_once('.'));
    match (version, versions.next()) {
        (Some(("1", _)), None) => Ok(()),
        _ => Err(InspectError::WheelFile),
    }
}
