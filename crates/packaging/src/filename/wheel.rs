//! `NAME-VERSION(-BUILD)?-PYTHON-ABI-PLATFORM.whl` (binary distribution format, *File name
//! convention*; PEP 425 tags).

use std::fmt;

use pep440_rs::Version;

use super::FilenameError;
use crate::ProjectName;

/// The file name of a wheel, in its parts.
#[derive(Clone, Debug)]
pub struct WheelFilename {
    raw: String,
    project: ProjectName,
    version: Version,
    build: Option<String>,
    python: Vec<String>,
    abi: Vec<String>,
    platform: Vec<String>,
}

/// One interpreter, ABI and platform that a wheel is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WheelTag<'a> {
    /// Interpreter and its version, such as `cp313` or `py3`.
    pub python: &'a str,
    /// Binary interface, such as `abi3` or `none`.
    pub abi: &'a str,
    /// Platform, such as `manylinux_2_28_x86_64` or `any`.
    pub platform: &'a str,
}

impl WheelFilename {
    /// The project.
    pub fn project(&self) -> &ProjectName {
        &self.project
    }

    /// The version.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// The file name, exactly as it was given.
    pub fn as_str(&self) -> &str {
        &self.raw
    }

    /// The build tag: digits, and then anything. It breaks ties between wheels of one version.
    pub fn build(&self) -> Option<&str> {
        self.build.as_deref()
    }

    /// The interpreters of the compressed tag set, in the order of the name.
    pub fn python_tags(&self) -> &[String] {
        &self.python
    }

    /// The ABIs of the compressed tag set, in the order of the name.
    pub fn abi_tags(&self) -> &[String] {
        &self.abi
    }

    /// The platforms of the compressed tag set, in the order of the name.
    pub fn platform_tags(&self) -> &[String] {
        &self.platform
    }

    /// Every tag of the set (PEP 425, *Compressed Tag Sets*).
    pub fn tags(&self) -> impl Iterator<Item = WheelTag<'_>> {
        self.python.iter().flat_map(move |python| {
            self.abi.iter().flat_map(move |abi| {
                self.platform.iter().map(move |platform| WheelTag {
                    python,
                    abi,
                    platform,
                })
            })
        })
    }

    pub(super) fn split(raw: &str, stem: &str) -> Result<WheelFilename, FilenameError> {
        let parts: Vec<&str> = stem.split('-').collect();
        let (name, version, build, [python, abi, platform]) = match parts[..] {
            [name, version, python, abi, platform] => {
                (name, version, None, [python, abi, platform])
            }
            [name, version, build, python, abi, platform] => {
                (name, version, Some(build), [python, abi, platform])
            }
            _ => {
                return Err(FilenameError::WheelParts {
                    filename: raw.to_owned(),
                    parts: parts.len(),
                });
            }
        };
        let project = name.parse().map_err(|source| FilenameError::Name {
            filename: raw.to_owned(),
            source,
        })?;
        let version = parse_version(version).ok_or_else(|| FilenameError::Version {
            filename: raw.to_owned(),
            version: version.to_owned(),
        })?;
        if let Some(build) = build
            && !build.starts_with(|c: char| c.is_ascii_digit())
        {
            return Err(FilenameError::BuildTag {
                filename: raw.to_owned(),
                build: build.to_owned(),
            });
        }
        Ok(WheelFilename {
            raw: raw.to_owned(),
            project,
            version,
            build: build.map(str::to_owned),
            python: split_tags(raw, python)?,
            abi: split_tags(raw, abi)?,
            platform: split_tags(raw, platform)?,
        })
    }
}

/// Older tools wrote `_` for every `-` of a version, also where PEP 440 has no `_`.
fn parse_version(raw: &str) -> Option<Version> {
    raw.parse().or_else(|_| raw.replace('_', "-").parse()).ok()
}

fn split_tags(raw: &str, set: &str) -> Result<Vec<String>, FilenameError> {
    let well_formed =
        |tag: &str| !tag.is_empty() && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    set.split('.')
        .map(|tag| {
            if well_formed(tag) {
                Ok(tag.to_owned())
            } else {
                Err(FilenameError::Tag {
                    filename: raw.to_owned(),
                    tag: set.to_owned(),
                })
            }
        })
        .collect()
}

impl fmt::Display for WheelFilename {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.raw)
    }
}

impl fmt::Display for WheelTag<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.python, self.abi, self.platform)
    }
}
