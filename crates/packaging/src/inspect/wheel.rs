//! Wheels: one `.dist-info` directory that describes the rest (binary distribution format).

mod contents;
pub(crate) mod record;
mod tags;

use std::io::{Read, Seek};

pub(super) use self::contents::contents;
pub use self::contents::{ContentFile, MAX_SCRIPT_LEN, WheelContents};
use self::record::Record;
use super::limits::{MAX_RECORD_LEN, MAX_WHEEL_LEN};
use super::listing::Listing;
use super::zip::{Archive, Unpacked};
use super::{InspectError, Inspected};
use crate::metadata::headers;
use crate::{CoreMetadata, MAX_METADATA_LEN, ProjectName, Version, WheelFilename};

pub(super) fn inspect<R: Read + Seek>(
    reader: &mut R,
    filename: &WheelFilename,
) -> Result<Inspected, InspectError> {
    let mut archive = Archive::open(reader)?;
    archive.check_new()?;
    let directory = dist_info(archive.listing(), filename)?;
    let path = format!("{directory}/RECORD");
    let record = archive
        .unpack_one(&path, MAX_RECORD_LEN)?
        .ok_or(InspectError::MissingFile { path })?;
    let record = Record::parse(&record)?;
    record.check_listing(&directory, archive.listing())?;
    let limit = |path: &str| match path.strip_prefix(&directory)?.strip_prefix('/')? {
        "METADATA" => Some(MAX_METADATA_LEN),
        "WHEEL" => Some(MAX_WHEEL_LEN),
        _ => None,
    };
    let Unpacked {
        listing,
        mut wanted,
        digests,
    } = archive.unpack(limit, |path| record.hasher(path))?;
    record.check_digests(&digests)?;
    let mut take = |name: &str| {
        let path = format!("{directory}/{name}");
        wanted
            .remove(&path)
            .ok_or(InspectError::MissingFile { path })
    };
    let (metadata_bytes, wheel) = (take("METADATA")?, take("WHEEL")?);
    let metadata = CoreMetadata::parse(&metadata_bytes)?;
    metadata.check_rules()?;
    check_wheel_file(&wheel, filename)?;
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
    let mut archive = Archive::open(reader)?;
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

/// Checks that the `WHEEL` file is of version 1, as installers do, and for the tags of the name.
pub(crate) fn check_wheel_file(bytes: &[u8], filename: &WheelFilename) -> Result<(), InspectError> {
    let text = std::str::from_utf8(bytes).map_err(|_| InspectError::WheelFile)?;
    let (fields, _) = headers::split(text).map_err(|_| InspectError::WheelFile)?;
    let mut versions = fields.iter().filter(|field| field.name == "wheel-version");
    let version = versions
        .next()
        .and_then(|field| field.value.split_once('.'));
    match (version, versions.next()) {
        (Some(("1", _)), None) => tags::check(&fields, filename),
        _ => Err(InspectError::WheelFile),
    }
}

#[cfg(test)]
pub(super) fn tags_for_tests(filename: &str, stated: &[&str]) -> Result<(), InspectError> {
    let fields: Vec<crate::metadata::Field> = stated
        .iter()
        .map(|value| crate::metadata::Field {
            name: "tag".to_owned(),
            value: (*value).to_owned(),
        })
        .collect();
    match filename.parse().map_err(|_| InspectError::WheelFile)? {
        crate::DistributionFilename::Wheel(wheel) => tags::check(&fields, &wheel),
        crate::DistributionFilename::Sdist(_) => Err(InspectError::WheelFile),
    }
}
