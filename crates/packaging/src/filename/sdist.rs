//! `NAME-VERSION.tar.gz` (PEP 625), and what came before it.

use std::fmt;

use pep440_rs::Version;

use super::FilenameError;
use crate::ProjectName;

/// The file name of a source distribution, in its parts.
#[derive(Clone, Debug)]
pub struct SdistFilename {
    raw: String,
    project: ProjectName,
    version: Version,
    format: SdistFormat,
}

/// The archive format of a source distribution, by its ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SdistFormat {
    /// `.tar.gz` or `.tgz`; the former is the only one that PEP 625 allows.
    TarGz,
    /// `.zip`.
    Zip,
    /// `.tar.bz2`, `.tbz` or `.tbz2`.
    TarBz2,
    /// `.tar.xz` or `.txz`.
    TarXz,
}

const ENDINGS: [(&str, SdistFormat); 8] = [
    (".tar.gz", SdistFormat::TarGz),
    (".tgz", SdistFormat::TarGz),
    (".zip", SdistFormat::Zip),
    (".tar.bz2", SdistFormat::TarBz2),
    (".tbz", SdistFormat::TarBz2),
    (".tbz2", SdistFormat::TarBz2),
    (".tar.xz", SdistFormat::TarXz),
    (".txz", SdistFormat::TarXz),
];

impl SdistFormat {
    /// The name before the ending, and the format; `None` for any other ending.
    pub(super) fn strip(filename: &str) -> Option<(&str, SdistFormat)> {
        ENDINGS
            .iter()
            .find_map(|&(ending, format)| Some((filename.strip_suffix(ending)?, format)))
    }
}

impl SdistFilename {
    /// The project.
    pub fn project(&self) -> &ProjectName {
        &self.project
    }

    /// The version.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// The archive format.
    pub fn format(&self) -> SdistFormat {
        self.format
    }

    /// The file name, exactly as it was given.
    pub fn as_str(&self) -> &str {
        &self.raw
    }

    /// Takes the last `-` that a version follows.
    pub(super) fn split(
        raw: &str,
        stem: &str,
        format: SdistFormat,
    ) -> Result<SdistFilename, FilenameError> {
        let (first_name, first_version) =
            stem.rsplit_once('-')
                .ok_or_else(|| FilenameError::NoVersion {
                    filename: raw.to_owned(),
                })?;
        let mut splits = stem
            .rmatch_indices('-')
            .map(|(at, _)| (&stem[..at], &stem[at + 1..]));
        let found =
            splits.find_map(|(name, version)| Some((name.parse().ok()?, version.parse().ok()?)));
        match found {
            Some((project, version)) => Ok(SdistFilename {
                raw: raw.to_owned(),
                project,
                version,
                format,
            }),
            None => match first_name.parse::<ProjectName>() {
                Err(source) => Err(FilenameError::Name {
                    filename: raw.to_owned(),
                    source,
                }),
                Ok(_) => Err(FilenameError::Version {
                    filename: raw.to_owned(),
                    version: first_version.to_owned(),
                }),
            },
        }
    }

    /// Takes the `-` that the project's name precedes; `None` if there is none.
    pub(super) fn split_for(
        project: &ProjectName,
        raw: &str,
        stem: &str,
        format: SdistFormat,
    ) -> Result<Option<SdistFilename>, FilenameError> {
        if !stem.contains('-') {
            return Err(FilenameError::NoVersion {
                filename: raw.to_owned(),
            });
        }
        let mut unreadable = None;
        for (at, _) in stem.match_indices('-') {
            let (name, version) = (&stem[..at], &stem[at + 1..]);
            if name.parse::<ProjectName>().as_ref() != Ok(project) {
                continue;
            }
            match version.parse() {
                Ok(version) => {
                    return Ok(Some(SdistFilename {
                        raw: raw.to_owned(),
                        project: project.clone(),
                        version,
                        format,
                    }));
                }
                Err(_) => unreadable = Some(version),
            }
        }
        match unreadable {
            Some(version) => Err(FilenameError::Version {
                filename: raw.to_owned(),
                version: version.to_owned(),
            }),
            None => Ok(None),
        }
    }
}

impl fmt::Display for SdistFilename {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.raw)
    }
}
