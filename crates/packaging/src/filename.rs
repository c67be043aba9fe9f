//! The file names of wheels and source distributions.
//!
//! A name is split into its parts once, here; what is compared below are the parts. The string
//! itself stays as it was published, because it is what users, lock files and URLs hold.

mod sdist;
mod wheel;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use pep440_rs::Version;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use self::sdist::{SdistFilename, SdistFormat};
pub use self::wheel::{WheelFilename, WheelTag};
use crate::{NameError, ProjectName};

/// Longest accepted file name, in bytes: what common file systems allow.
pub const MAX_FILENAME_LEN: usize = 255;

/// The file name of a wheel or of a source distribution.
///
/// Any name that is accepted consists of ASCII letters, digits, `.`, `_`, `-`, `+` and `!`, and
/// is neither `.` nor `..`: it is a safe single segment of a path on every platform.
///
/// Names from before the present rules (`PyYAML-6.0.tar.gz`, `zope.interface-5.4.0.tar.gz`) are
/// accepted, since they exist and keep their names; [`DistributionFilename::is_normalised`] tells
/// them apart. Equality and order are those of the string.
#[derive(Clone, Debug)]
pub enum DistributionFilename {
    /// A built distribution, `….whl`.
    Wheel(WheelFilename),
    /// A source distribution, `….tar.gz` and older forms.
    Sdist(SdistFilename),
}

/// Why a string is not the file name of a wheel or source distribution.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilenameError {
    /// Longer than [`MAX_FILENAME_LEN`].
    #[error("a file name of {length} bytes is too long, at most {MAX_FILENAME_LEN} are allowed")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// A character that occurs in no part of a distribution's file name.
    #[error("`{}` has a character that a distribution's file name cannot have", filename.escape_debug())]
    Character {
        /// What was given.
        filename: String,
    },
    /// Neither `.whl` nor an ending of source distributions.
    #[error("`{filename}` is neither a wheel nor a source distribution")]
    UnknownKind {
        /// What was given.
        filename: String,
    },
    /// A wheel's name has five parts separated by `-`, or six with a build tag.
    #[error("`{filename}` has {parts} parts separated by `-`, a wheel's name has 5 or 6")]
    WheelParts {
        /// What was given.
        filename: String,
        /// How many parts it has.
        parts: usize,
    },
    /// A build tag begins with a digit.
    #[error("`{filename}` has the build tag `{build}`, which does not begin with a digit")]
    BuildTag {
        /// What was given.
        filename: String,
        /// The part in the build tag's place.
        build: String,
    },
    /// An empty or malformed python, ABI or platform tag.
    #[error("`{filename}` has the malformed tag `{tag}`")]
    Tag {
        /// What was given.
        filename: String,
        /// The malformed tag.
        tag: String,
    },
    /// Nothing in a source distribution's name separates a project from a version.
    #[error("`{filename}` does not have the form NAME-VERSION")]
    NoVersion {
        /// What was given.
        filename: String,
    },
    /// The first part is not a project name.
    #[error("`{filename}` does not begin with a project name")]
    Name {
        /// What was given.
        filename: String,
        /// What is wrong with the name.
        source: NameError,
    },
    /// The version does not follow PEP 440.
    #[error("`{filename}` has the version `{version}`, which PEP 440 does not allow")]
    Version {
        /// What was given.
        filename: String,
        /// The part in the version's place.
        version: String,
    },
    /// The file belongs to another project than the one it was read for.
    #[error("`{filename}` is not a file of the project `{project}`")]
    OtherProject {
        /// What was given.
        filename: String,
        /// The project it was read for.
        project: ProjectName,
    },
}

impl FilenameError {
    /// What to do about it: one sentence, without a full stop.
    pub fn fix(&self) -> &'static str {
        match self {
            FilenameError::TooLong { .. } => "build with a shorter name, version or set of tags",
            FilenameError::UnknownKind { .. } => {
                "upload wheels (.whl) and source distributions (.tar.gz)"
            }
            FilenameError::Character { .. }
            | FilenameError::WheelParts { .. }
            | FilenameError::BuildTag { .. }
            | FilenameError::Tag { .. }
            | FilenameError::NoVersion { .. }
            | FilenameError::Name { .. } => {
                "do not rename files: build it again and upload it under the name that it was built with"
            }
            FilenameError::Version { .. } => {
                "write the version as PEP 440 wants it, such as 1.2.3, and build again"
            }
            FilenameError::OtherProject { .. } => {
                "upload each file for the project that it was built for, under the name that it was built with"
            }
        }
    }
}

impl DistributionFilename {
    /// Splits a file name into its parts.
    ///
    /// An old source distribution's name can be read in several ways (`a-1-2.tar.gz`); this takes
    /// the last `-` that a version follows, as PEP 625 does. Where the project is known,
    /// [`DistributionFilename::parse_for`] is exact.
    pub fn parse(filename: &str) -> Result<DistributionFilename, FilenameError> {
        match Kind::of(filename)? {
            Kind::Wheel(stem) => Ok(Self::Wheel(WheelFilename::split(filename, stem)?)),
            Kind::Sdist(stem, format) => {
                Ok(Self::Sdist(SdistFilename::split(filename, stem, format)?))
            }
        }
    }

    /// Splits the name of a file that should belong to `project`.
    ///
    /// # Errors
    ///
    /// [`FilenameError::OtherProject`] if no reading of the name makes it a file of `project`,
    /// [`FilenameError::Version`] if one does, but what remains is no version.
    pub fn parse_for(
        project: &ProjectName,
        filename: &str,
    ) -> Result<DistributionFilename, FilenameError> {
        let other = || FilenameError::OtherProject {
            filename: filename.to_owned(),
            project: project.clone(),
        };
        match Kind::of(filename)? {
            Kind::Wheel(stem) => {
                let wheel = WheelFilename::split(filename, stem)?;
                if wheel.project() == project {
                    Ok(Self::Wheel(wheel))
                } else {
                    Err(other())
                }
            }
            Kind::Sdist(stem, format) => {
                match SdistFilename::split_for(project, filename, stem, format)? {
                    Some(sdist) => Ok(Self::Sdist(sdist)),
                    None => Err(other()),
                }
            }
        }
    }

    /// The project that the file belongs to.
    pub fn project(&self) -> &ProjectName {
        match self {
            Self::Wheel(wheel) => wheel.project(),
            Self::Sdist(sdist) => sdist.project(),
        }
    }

    /// The version that the file is of.
    pub fn version(&self) -> &Version {
        match self {
            Self::Wheel(wheel) => wheel.version(),
            Self::Sdist(sdist) => sdist.version(),
        }
    }

    /// The file name, exactly as it was given.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Wheel(wheel) => wheel.as_str(),
            Self::Sdist(sdist) => sdist.as_str(),
        }
    }

    /// The name as today's rules want it, for the same project, version, tags and format; `None`
    /// for a format that is not written any more.
    pub fn normalised(&self) -> Option<String> {
        let begin = format!("{}-{}", self.project().escaped(), self.version());
        match self {
            Self::Wheel(wheel) => {
                let mut parts = vec![begin];
                parts.extend(wheel.build().map(str::to_owned));
                for tags in [wheel.python_tags(), wheel.abi_tags(), wheel.platform_tags()] {
                    parts.push(tags.join("."));
                }
                Some(format!("{}.whl", parts.join("-")))
            }
            Self::Sdist(sdist) => {
                (sdist.format() == SdistFormat::TarGz).then(|| format!("{begin}.tar.gz"))
            }
        }
    }

    /// Whether name and version are written as today's rules want them in a file name: the name
    /// normalised with `_` for `-`, the version normalised (PEP 625; binary distribution format).
    pub fn is_normalised(&self) -> bool {
        let begin = format!("{}-{}", self.project().escaped(), self.version());
        let rest = self.as_str().strip_prefix(&begin);
        match self {
            Self::Wheel(_) => rest.is_some_and(|rest| rest.starts_with('-')),
            Self::Sdist(_) => rest == Some(".tar.gz"),
        }
    }
}

/// The kind of a file by its ending, with the name before the ending.
enum Kind<'a> {
    Wheel(&'a str),
    Sdist(&'a str, SdistFormat),
}

impl<'a> Kind<'a> {
    fn of(filename: &'a str) -> Result<Kind<'a>, FilenameError> {
        if filename.len() > MAX_FILENAME_LEN {
            return Err(FilenameError::TooLong {
                length: filename.len(),
            });
        }
        let allowed =
            |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'+' | b'!');
        if !filename.bytes().all(allowed) {
            return Err(FilenameError::Character {
                filename: filename.to_owned(),
            });
        }
        if let Some(stem) = filename.strip_suffix(".whl") {
            return Ok(Kind::Wheel(stem));
        }
        match SdistFormat::strip(filename) {
            Some((stem, format)) => Ok(Kind::Sdist(stem, format)),
            None => Err(FilenameError::UnknownKind {
                filename: filename.to_owned(),
            }),
        }
    }
}

impl FromStr for DistributionFilename {
    type Err = FilenameError;

    fn from_str(filename: &str) -> Result<DistributionFilename, FilenameError> {
        DistributionFilename::parse(filename)
    }
}

impl fmt::Display for DistributionFilename {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl AsRef<str> for DistributionFilename {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq for DistributionFilename {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for DistributionFilename {}

impl PartialOrd for DistributionFilename {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for DistributionFilename {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for DistributionFilename {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl Serialize for DistributionFilename {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for DistributionFilename {
    fn deserialize<D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<DistributionFilename, D::Error> {
        DistributionFilename::parse(&String::deserialize(deserializer)?)
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
