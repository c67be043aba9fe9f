//! Why bytes are not a lock file that can be followed.

use super::{
    LockFormat, MAX_LOCK_LEN, MAX_LOCKED_FILES, MAX_LOCKED_IDENTITIES, MAX_LOCKED_PACKAGES,
};
use crate::NameError;
use crate::simple::HashError;

/// Why bytes are not a lock file that can be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// Longer than [`MAX_LOCK_LEN`].
    #[error("a lock file of {length} bytes is too long, at most {MAX_LOCK_LEN} are allowed")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// Not UTF-8.
    #[error("it is no text")]
    NotText,
    /// Not TOML.
    #[error("it is not TOML{}: {}", in_line(.line), problem.escape_debug())]
    Toml {
        /// What the parser says.
        problem: String,
        /// The line, from 1, where it is known.
        line: Option<usize>,
    },
    /// A member that is missing, or of another type than it has to be.
    #[error("it has not the form of its kind: {}", problem.escape_debug())]
    Form {
        /// What the parser says.
        problem: String,
    },
    /// It does not say of which version it is.
    #[error("it does not say of which version of {format} it is (`{member}`)")]
    NoVersion {
        /// What it should be.
        format: LockFormat,
        /// Where the version should stand.
        member: &'static str,
    },
    /// A version of the format that is not known: its members could mean anything.
    #[error("it is of version {} of {format}, and {} is what is understood here", version.escape_debug(), format.known_versions())]
    Version {
        /// What it is.
        format: LockFormat,
        /// The version that it says.
        version: String,
    },
    /// More than [`MAX_LOCKED_PACKAGES`].
    #[error("it has {count} packages, at most {MAX_LOCKED_PACKAGES} are allowed")]
    TooManyPackages {
        /// How many it has.
        count: usize,
    },
    /// More than [`MAX_LOCKED_FILES`].
    #[error("it has {count} files, at most {MAX_LOCKED_FILES} are allowed")]
    TooManyFiles {
        /// How many it has.
        count: usize,
    },
    /// A package's name is none.
    #[error("package {number} has a name that is none")]
    Name {
        /// Which package, from 1.
        number: usize,
        /// What is wrong with the name.
        source: NameError,
    },
    /// A package's version is none.
    #[error("{package} has the version `{}`, which PEP 440 does not allow", version.escape_debug())]
    PackageVersion {
        /// The package.
        package: String,
        /// The version that stands there.
        version: String,
    },
    /// A package without a version, though files of an index are locked.
    #[error("{package} comes from an index and has no version")]
    NoPackageVersion {
        /// The package.
        package: String,
    },
    /// The name of a file could be another place.
    #[error("{package} has a file whose name is not the name of one file: `{}`", filename.escape_debug())]
    Filename {
        /// The package.
        package: String,
        /// What stands there.
        filename: String,
    },
    /// A file without anything that names it.
    #[error("{package} has a file without a name and a place")]
    Unnamed {
        /// The package.
        package: String,
    },
    /// A URL that is none.
    #[error("{package} has a file at `{}`, which is no URL", url.escape_debug())]
    Url {
        /// The package.
        package: String,
        /// What stands there.
        url: String,
    },
    /// A digest that is none.
    #[error("{package} has a file with a digest that is none")]
    Hash {
        /// The package.
        package: String,
        /// What is wrong with it.
        source: HashError,
    },
    /// A package of which it cannot be told where it comes from.
    #[error("{package} comes from a place of a kind that is not known: {}", source_kind.escape_debug())]
    Source {
        /// The package.
        package: String,
        /// What stands there.
        source_kind: String,
    },
    /// More than [`MAX_LOCKED_IDENTITIES`].
    #[error(
        "{package} has {count} attestation identities, at most {MAX_LOCKED_IDENTITIES} are allowed"
    )]
    TooManyIdentities {
        /// The package.
        package: String,
        /// How many it has.
        count: usize,
    },
    /// A version of the file beside a lock file that is not known.
    #[error("it is of version {} of files with attestation identities, and 1.0 is what is understood here", version.escape_debug())]
    BesideVersion {
        /// The version that it says.
        version: String,
    },
    /// A project that may be named once and is named twice.
    #[error("{package} is named twice")]
    Twice {
        /// The project.
        package: String,
    },
    /// With other attestation identities it would not be what it was.
    #[error("attestation identities cannot be written into it without a change to the rest of it")]
    NotWritable,
    /// A line of a requirements file that asks for nothing known.
    #[error("`{}` is no requirement and no option", line.escape_debug())]
    Line {
        /// The line, with those that it goes on in.
        line: String,
    },
}

fn in_line(line: &Option<usize>) -> String {
    line.map_or(String::new(), |line| format!(" in line {line}"))
}

impl LockError {
    /// What to do about it: one sentence, without a full stop.
    pub fn fix(&self) -> &'static str {
        match self {
            LockError::Version { .. } | LockError::BesideVersion { .. } => {
                "use a Wheelmark that is new enough for it, or write the lock with a version of its tool that writes the one that is understood"
            }
            LockError::TooLong { .. }
            | LockError::TooManyPackages { .. }
            | LockError::TooManyFiles { .. } => "split it into several, or look at who wrote it",
            LockError::Filename { .. } | LockError::Url { .. } | LockError::Source { .. } => {
                "do not install from it; find out who wrote it, and lock anew"
            }
            LockError::NotWritable => {
                "lock anew with pip or uv, which write a form that can be added to"
            }
            LockError::Line { .. } => {
                "write it as pip has it: `NAME==VERSION --hash=sha256:DIGEST`"
            }
            _ => "lock anew with the tool that it belongs to",
        }
    }
}
