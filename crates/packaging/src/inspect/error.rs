//! Why a distribution file is refused.

use std::io;

use pep440_rs::Version;

use super::limits::{MAX_ENTRIES, MAX_EXTENDED_HEADER_LEN, MAX_PATH_LEN, MAX_PATHS_LEN};
use crate::{MetadataError, ProjectName, RuleError};

/// Why a distribution file cannot be accepted, or could not be read.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The reader failed; nothing is known about the file.
    #[error("the file could not be read")]
    Io(#[source] io::Error),
    /// A source distribution in a format that is no longer accepted.
    #[error("`{filename}` is in a format that is not accepted any more")]
    UnsupportedFormat {
        /// The file.
        filename: String,
    },
    /// The archive ends too early, its compressed data is damaged, or a checksum is wrong.
    #[error("the archive is damaged or cut short: {what}")]
    Damaged {
        /// What was being read, for people.
        what: String,
    },
    /// Not a zip archive, or one that could be read in two ways.
    #[error("not an acceptable zip archive")]
    Zip(#[from] ZipError),
    /// Not a tar archive, or one that could be read in two ways.
    #[error("not an acceptable tar archive")]
    Tar(#[from] TarError),
    /// It unpacks to more than its own length warrants.
    #[error("the archive unpacks to more than {allowed} bytes, which is too much for its length")]
    TooLarge {
        /// How many bytes would have been accepted.
        allowed: u64,
    },
    /// More entries than [`super::MAX_ENTRIES`].
    #[error("the archive has more than {MAX_ENTRIES} entries")]
    TooManyEntries,
    /// The paths of the archive are longer than [`super::MAX_PATHS_LEN`] together.
    #[error("the paths in the archive have more than {MAX_PATHS_LEN} bytes together")]
    PathsTooLong,
    /// A path that is absolute, leads upwards, is not UTF-8, or means different things on
    /// different systems.
    #[error("the archive has the unsafe path `{}`", path.escape_debug())]
    Path {
        /// The path, made printable.
        path: String,
    },
    /// A path longer than [`super::MAX_PATH_LEN`].
    #[error("the archive has a path of {length} bytes, at most {MAX_PATH_LEN} are allowed")]
    PathTooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// Two entries with one path, or a file where another path needs a directory.
    #[error("the archive has two entries for `{}`", path.escape_debug())]
    Conflict {
        /// The path.
        path: String,
    },
    /// Two files whose paths differ in upper and lower case alone: on Windows and macOS one would be
    /// written over the other.
    #[error("the archive has `{}` and `{}`, which are one file where case does not count", first.escape_debug(), second.escape_debug())]
    Case {
        /// One path.
        first: String,
        /// The other.
        second: String,
    },
    /// A link that leads out of the archive's directory or through another link, or one in a
    /// wheel.
    #[error("the archive has an unsafe link at `{}`", path.escape_debug())]
    Link {
        /// Where the link is.
        path: String,
    },
    /// A device, a pipe or the like.
    #[error("the archive has an entry at `{}` that is neither file, directory nor link", path.escape_debug())]
    Special {
        /// Where it is.
        path: String,
    },
    /// A source distribution has all its files in one directory.
    #[error("the source distribution has `{}` beside its one directory `{}`", path.escape_debug(), top.escape_debug())]
    BesideTop {
        /// The directory of the entries before.
        top: String,
        /// A path outside of it.
        path: String,
    },
    /// A wheel has exactly one `.dist-info` directory, named after project and version.
    #[error("the wheel should have one .dist-info directory, named after the file, and has: {}", found.join(", ").escape_debug())]
    DistInfo {
        /// The directories that are there.
        found: Vec<String>,
    },
    /// A file that every distribution has is missing, or is no ordinary file.
    #[error("the archive has no file `{}`", path.escape_debug())]
    MissingFile {
        /// Where it should be.
        path: String,
    },
    /// A file that is read whole is too long for that.
    #[error("`{}` is longer than {limit} bytes", path.escape_debug())]
    FileTooLong {
        /// The file.
        path: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// The core metadata cannot be read.
    #[error("the core metadata cannot be read")]
    Metadata(#[from] MetadataError),
    /// The core metadata breaks a rule.
    #[error("the core metadata is not valid")]
    Rule(#[from] RuleError),
    /// A file that `License-File` names is not in the archive.
    #[error("License-File names `{}`, and the archive has no such file", path.escape_debug())]
    MissingLicenseFile {
        /// Where it should be.
        path: String,
    },
    /// The metadata is that of another project.
    #[error("the file is named for the project `{filename}`, its metadata is for `{metadata}`")]
    OtherName {
        /// The project of the file name.
        filename: ProjectName,
        /// The project of the metadata.
        metadata: ProjectName,
    },
    /// The metadata is that of another version.
    #[error("the file is named for version {filename}, its metadata is for {metadata}")]
    OtherVersion {
        /// The version of the file name.
        filename: Version,
        /// The version of the metadata.
        metadata: Version,
    },
    /// The `WHEEL` file cannot be read, or is of another major version.
    #[error("the WHEEL file is malformed or not of version 1")]
    WheelFile,
    /// The file name stands for tags that the `Tag` lines of the `WHEEL` file do not have.
    #[error("`{filename}` is named for tags that its WHEEL file does not have: {}", stated.join(", ").escape_debug())]
    Tags {
        /// The file.
        filename: String,
        /// The first of the `Tag` lines.
        stated: Vec<String>,
    },
    /// The wheel's `RECORD` does not describe the wheel.
    #[error("the wheel's RECORD is wrong")]
    Record(#[from] RecordError),
}

/// Why a zip archive is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ZipError {
    /// No end record in the last bytes: it is no zip archive, or has a comment or other bytes
    /// behind it.
    #[error("the file does not end with a zip end record")]
    NoEnd,
    /// The end record, or its ZIP64 form, contradicts itself.
    #[error("the end record is contradictory")]
    End,
    /// The archive is split over several files.
    #[error("the archive is one of several volumes")]
    Volumes,
    /// The central directory is cut short or does not fill its place.
    #[error("the central directory is malformed")]
    Directory,
    /// Encryption, or another feature that a distribution does not need.
    #[error("`{}` uses a feature of zip that is not allowed", path.escape_debug())]
    Feature {
        /// The entry.
        path: String,
    },
    /// Neither stored nor deflated.
    #[error("`{}` uses compression method {method}, only 0 and 8 are allowed", path.escape_debug())]
    Method {
        /// The entry.
        path: String,
        /// The method's number.
        method: u16,
    },
    /// Extra fields are malformed, or name the entry or its size a second time.
    #[error("`{}` has malformed or misleading extra fields", path.escape_debug())]
    Extra {
        /// The entry.
        path: String,
    },
    /// The local header says something else than the central directory.
    #[error("the local header of `{}` contradicts the central directory", path.escape_debug())]
    LocalHeader {
        /// The entry.
        path: String,
    },
    /// Entries overlap, or bytes lie between them that no entry accounts for.
    #[error("bytes at offset {offset} belong to no entry or to two")]
    Layout {
        /// Where that begins.
        offset: u64,
    },
    /// An entry does not unpack to what its header says.
    #[error("`{}` does not unpack to the length and checksum of its header", path.escape_debug())]
    Contents {
        /// The entry.
        path: String,
    },
    /// Length and checksum of an entry stand behind its data: whoever reads from the front has to
    /// guess where the data ends.
    #[error("`{}` has its length and checksum behind its data, in a data descriptor", path.escape_debug())]
    Descriptor {
        /// The entry.
        path: String,
    },
    /// A comment, in which anything can be hidden.
    #[error("`{}` has a comment in the central directory", path.escape_debug())]
    Comment {
        /// The entry.
        path: String,
    },
    /// A file that is a tar archive to some.
    #[error("the file can be read as a tar archive as well")]
    AlsoTar,
}

/// Why a tar archive is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TarError {
    /// A header's checksum is wrong, or a number in it is malformed.
    #[error("entry {entry} has a malformed header")]
    Header {
        /// Its number, from 0, extended headers counted.
        entry: u64,
    },
    /// An extended header is malformed, or says something twice.
    #[error("entry {entry} has a malformed or contradictory extended header")]
    Extended {
        /// The number of the extended header.
        entry: u64,
    },
    /// An extended header longer than [`super::MAX_EXTENDED_HEADER_LEN`].
    #[error(
        "entry {entry} has an extended header of {length} bytes, at most {MAX_EXTENDED_HEADER_LEN} are allowed"
    )]
    ExtendedTooLong {
        /// The number of the extended header.
        entry: u64,
        /// Its length in bytes.
        length: u64,
    },
    /// A sparse file: it would unpack to more than it shows.
    #[error("entry {entry} is a sparse file")]
    Sparse {
        /// Its number.
        entry: u64,
    },
    /// A type of entry that has no business in a distribution.
    #[error("entry {entry} has the unknown type 0x{kind:02x}")]
    Kind {
        /// Its number.
        entry: u64,
        /// The type's code.
        kind: u8,
    },
    /// Something other than zeros behind the end mark, or behind the compressed data.
    #[error("there are bytes behind the end of the archive")]
    Trailing,
    /// A file that is a zip archive to some.
    #[error("the file can be read as a zip archive as well")]
    AlsoZip,
}

/// Why a wheel's `RECORD` does not describe the wheel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// A line that is not three fields.
    #[error("line {line} is not PATH,HASH,SIZE")]
    Malformed {
        /// Its number, from 1.
        line: usize,
    },
    /// A file that is not in the wheel.
    #[error("it lists `{}`, which is not in the wheel", path.escape_debug())]
    Absent {
        /// The file.
        path: String,
    },
    /// A file of the wheel that is not listed.
    #[error("it does not list `{}`", path.escape_debug())]
    Unlisted {
        /// The file.
        path: String,
    },
    /// A file that is listed twice.
    #[error("it lists `{}` twice", path.escape_debug())]
    Twice {
        /// The file.
        path: String,
    },
    /// A file without a digest.
    #[error("it has no digest of `{}`", path.escape_debug())]
    NoDigest {
        /// The file.
        path: String,
    },
    /// A digest that is malformed, or not sha256, sha384 or sha512.
    #[error("its digest `{}` of `{}` is not sha256, sha384 or sha512 in URL-safe base64", stated.escape_debug(), path.escape_debug())]
    DigestForm {
        /// The file.
        path: String,
        /// What is stated.
        stated: String,
    },
    /// A file with other contents than listed.
    #[error("its digest of `{}` is not that of the contents", path.escape_debug())]
    Digest {
        /// The file.
        path: String,
    },
    /// A file of another length than listed.
    #[error("it gives `{}` a length of {listed} bytes, it has {actual}", path.escape_debug())]
    Length {
        /// The file.
        path: String,
        /// The length that is listed.
        listed: u64,
        /// The length that it has.
        actual: u64,
    },
}

impl InspectError {
    /// Sorts a failure of a decoder over the reader: bad data is the file's fault, the rest the
    /// reader's.
    pub(super) fn from_decoder(error: io::Error, what: &str) -> InspectError {
        match error.kind() {
            io::ErrorKind::InvalidData
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::UnexpectedEof => InspectError::Damaged {
                what: what.to_owned(),
            },
            _ => InspectError::Io(error),
        }
    }
}
