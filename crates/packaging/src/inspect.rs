//! What an uploaded file is, by its contents.
//!
//! ```text
//!  zip: end record ▶ central directory ▶ every local header ▶ every byte ┐
//!  tar.gz: every header, every byte, nothing behind the end ─────────────┤▶ listing + wanted files
//!                                                                        ▼
//!             wheel: WHEEL, RECORD, METADATA      sdist: one directory, PKG-INFO
//! ```
//!
//! An archive is refused when two unpackers could see different files in it, when unpacking it
//! could write outside a directory, or when it unpacks to more than its size warrants. To know
//! that, the whole archive is read once, front to back; only the few wanted files are kept.

mod error;
mod fix;
mod limits;
mod listing;
mod path;
mod sdist;
mod tar;
pub(crate) mod wheel;
mod zip;

use std::collections::BTreeMap;
use std::io::{Read, Seek};

pub use self::error::{InspectError, RecordError, TarError, ZipError};
pub(crate) use self::limits::MAX_WHEEL_LEN;
pub use self::limits::{
    MAX_ENTRIES, MAX_EXTENDED_HEADER_LEN, MAX_PATH_LEN, MAX_PATHS_LEN, MAX_RATIO, MAX_RECORD_LEN,
    MAX_UNPACKED, RATIO_FREE,
};
pub use self::wheel::{ContentFile, MAX_SCRIPT_LEN, WheelContents};
use crate::{CoreMetadata, DistributionFilename, SdistFilename, SdistFormat, WheelFilename};

/// What was found in a distribution file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inspected {
    /// Its core metadata; name and version are those of the file name.
    pub metadata: CoreMetadata,
    /// The bytes of its `METADATA` or `PKG-INFO` file.
    pub metadata_bytes: Vec<u8>,
}

/// Reads a whole distribution file that is new here, and returns its core metadata.
///
/// `filename` is the name that it is to be published under; the contents must agree with it.
/// Every digest in a wheel's `RECORD` is recomputed.
///
/// # Errors
///
/// [`InspectError::Io`] if `reader` fails; every other error is a verdict on the file, and
/// [`InspectError::fix`] says what to do about it.
pub fn inspect<R: Read + Seek>(
    mut reader: R,
    filename: &DistributionFilename,
) -> Result<Inspected, InspectError> {
    let inspected = match filename {
        DistributionFilename::Wheel(wheel) => wheel::inspect(&mut reader, wheel)?,
        DistributionFilename::Sdist(sdist) => match sdist.format() {
            SdistFormat::TarGz => sdist::inspect(&mut reader)?,
            SdistFormat::Zip | SdistFormat::TarBz2 | SdistFormat::TarXz => {
                return Err(unsupported(sdist));
            }
        },
    };
    check_names(&inspected.metadata, filename)?;
    Ok(inspected)
}

/// Reads the core metadata of a file that exists already, and nothing else of it.
///
/// What it returns is what every installer finds in it: in a wheel, the archive's headers agree
/// with its directory, and there is one `.dist-info`; name and version are those of the file name.
/// Today's rules for new uploads are not asked for, and the other files of a wheel are not
/// unpacked.
///
/// # Errors
///
/// [`InspectError::Io`] if `reader` fails; every other error says why readers could disagree.
pub fn core_metadata<R: Read + Seek>(
    mut reader: R,
    filename: &DistributionFilename,
) -> Result<Inspected, InspectError> {
    let inspected = match filename {
        DistributionFilename::Wheel(wheel) => wheel::core_metadata(&mut reader, wheel)?,
        DistributionFilename::Sdist(sdist) => {
            let inspected = sdist::core_metadata(&mut reader, sdist.format())?;
            inspected.ok_or_else(|| unsupported(sdist))?
        }
    };
    check_names(&inspected.metadata, filename)?;
    Ok(inspected)
}

/// Reads every file of a wheel: what an installer unpacks from it.
///
/// The archive's headers agree with its directory, and there is one `.dist-info`. What the wheel
/// says of itself in `RECORD` is not asked: the digests are those of the bytes.
///
/// # Errors
///
/// As [`core_metadata`].
pub fn wheel_contents<R: Read + Seek>(
    mut reader: R,
    filename: &WheelFilename,
) -> Result<WheelContents, InspectError> {
    wheel::contents(&mut reader, filename)
}

/// One file of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArchivedFile {
    /// The SHA-256 of its bytes.
    pub sha256: [u8; 32],
    /// How many those are.
    pub length: u64,
}

/// Every ordinary file of a source distribution (`.tar.gz`), by its path in it, with the digest of its
/// bytes. Links and directories are left out.
///
/// # Errors
///
/// As [`core_metadata`]; [`InspectError::UnsupportedFormat`] for other archives.
pub fn sdist_files<R: Read + Seek>(
    mut reader: R,
    filename: &SdistFilename,
) -> Result<BTreeMap<String, ArchivedFile>, InspectError> {
    match filename.format() {
        SdistFormat::TarGz => sdist::files(&mut reader),
        SdistFormat::Zip | SdistFormat::TarBz2 | SdistFormat::TarXz => Err(unsupported(filename)),
    }
}

fn unsupported(sdist: &SdistFilename) -> InspectError {
    InspectError::UnsupportedFormat {
        filename: sdist.as_str().to_owned(),
    }
}

fn check_names(
    metadata: &CoreMetadata,
    filename: &DistributionFilename,
) -> Result<(), InspectError> {
    if metadata.name != *filename.project() {
        return Err(InspectError::OtherName {
            filename: filename.project().clone(),
            metadata: metadata.name.clone(),
        });
    }
    if metadata.version != *filename.version() {
        return Err(InspectError::OtherVersion {
            filename: filename.version().clone(),
            metadata: metadata.version.clone(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
