//! What an uploader can do about a file that is refused.
//!
//! The error says which rule was broken; the fix is one sentence, without a full stop.

use super::{InspectError, RecordError, TarError, ZipError};

/// For archives that no packaging tool writes.
const BUILD_AGAIN: &str = "build the file again with a current tool, such as `python -m build`, and upload it as it was built";

impl InspectError {
    /// What to do about it.
    pub fn fix(&self) -> &'static str {
        match self {
            InspectError::Io(_) => "upload the file again",
            InspectError::UnsupportedFormat { .. } => {
                "build the source distribution as .tar.gz (PEP 625), which `python -m build --sdist` does"
            }
            InspectError::Damaged { .. } => {
                "the file is not whole: build it again and upload it as it was built"
            }
            InspectError::Zip(error) => error.fix(),
            InspectError::Tar(error) => error.fix(),
            InspectError::TooLarge { .. } => {
                "leave out what compresses this well (blank data, generated files), or let the program make it"
            }
            InspectError::TooManyEntries | InspectError::PathsTooLong => {
                "leave out what users do not need, or put data into one archive inside"
            }
            InspectError::Path { .. } => {
                "name files by relative paths with `/`, without `..`, `\\` and control characters"
            }
            InspectError::PathTooLong { .. } => "give files and directories shorter names",
            InspectError::Conflict { .. } => {
                "have every path once; look for files that are packaged twice"
            }
            InspectError::Case { .. } => "rename one of the two files",
            InspectError::Link { .. } => {
                "put the file itself in the link's place, or link to a file inside the archive"
            }
            InspectError::Special { .. } => {
                "leave it out: package files, directories and links alone"
            }
            InspectError::BesideTop { .. } => {
                "put everything into the one directory NAME-VERSION (PEP 625)"
            }
            InspectError::DistInfo { .. } => {
                "have one directory NAME-VERSION.dist-info, that of this project and version; look for a vendored one at the top"
            }
            InspectError::MissingFile { .. } | InspectError::FileTooLong { .. } => BUILD_AGAIN,
            InspectError::Metadata(error) => error.fix(),
            InspectError::Rule(error) => error.fix(),
            InspectError::MissingLicenseFile { .. } => {
                "package the licence file, or take it out of `license-files` (PEP 639)"
            }
            InspectError::OtherName { .. } | InspectError::OtherVersion { .. } => {
                "do not rename files: build with the name and version that you want to publish"
            }
            InspectError::WheelFile => BUILD_AGAIN,
            InspectError::Tags { .. } => {
                "do not rename wheels: build for the tags that you want, or change both with `wheel tags`"
            }
            InspectError::Record(error) => error.fix(),
        }
    }
}

impl ZipError {
    /// What to do about it.
    pub fn fix(&self) -> &'static str {
        match self {
            ZipError::NoEnd => {
                "a wheel is a zip archive with nothing behind it and without a comment: build it again and upload it as it was built"
            }
            ZipError::Descriptor { .. } => {
                "write the archive to a file that can be sought in, not to a pipe; or repack it with `wheel unpack` and `wheel pack`"
            }
            ZipError::Method { .. } => "compress with deflate, or not at all",
            ZipError::AlsoTar => "publish what is one kind of archive to everybody",
            ZipError::End
            | ZipError::Volumes
            | ZipError::Directory
            | ZipError::Feature { .. }
            | ZipError::Extra { .. }
            | ZipError::LocalHeader { .. }
            | ZipError::Layout { .. }
            | ZipError::Contents { .. }
            | ZipError::Comment { .. } => {
                "unpackers would disagree about it: repack the wheel with `wheel unpack` and `wheel pack`"
            }
        }
    }
}

impl TarError {
    /// What to do about it.
    pub fn fix(&self) -> &'static str {
        match self {
            TarError::Sparse { .. } => "archive the file without holes: `tar` without --sparse",
            TarError::Kind { .. } => "leave it out: package files, directories and links alone",
            TarError::Trailing => "write one archive, compressed once, with nothing behind its end",
            TarError::AlsoZip => {
                "publish what is one kind of archive to everybody: do not store a zip file uncompressed at the end"
            }
            TarError::Header { .. }
            | TarError::Extended { .. }
            | TarError::ExtendedTooLong { .. } => {
                "unpackers would disagree about it: build it again with a current tool, such as `python -m build --sdist`"
            }
        }
    }
}

impl RecordError {
    /// What to do about it.
    pub fn fix(&self) -> &'static str {
        match self {
            RecordError::DigestForm { .. } => {
                "state sha256 digests: `wheel unpack` and `wheel pack` write RECORD anew"
            }
            RecordError::Malformed { .. }
            | RecordError::Absent { .. }
            | RecordError::Unlisted { .. }
            | RecordError::Twice { .. }
            | RecordError::NoDigest { .. }
            | RecordError::Digest { .. }
            | RecordError::Length { .. } => {
                "RECORD must describe the files as they are, also after a change: `wheel unpack` and `wheel pack` write it anew"
            }
        }
    }
}
