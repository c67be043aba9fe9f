//! `poetry.lock`.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Table;

use super::named::{self, Said};
use super::pylock::is_number;
use super::{
    Elsewhere, ElsewhereKind, LockError, LockFile, LockFormat, LockedFile, LockedPackage, read,
};
use crate::{DistributionFilename, ProjectName, Version};

#[derive(Deserialize)]
struct Lock {
    #[serde(default)]
    package: Vec<Package>,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    /// Where versions 1.x have them.
    #[serde(default)]
    files: BTreeMap<String, Vec<File>>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    #[serde(default)]
    files: Vec<File>,
    source: Option<Source>,
}

#[derive(Deserialize)]
struct Source {
    #[serde(rename = "type")]
    kind: String,
    url: String,
}

#[derive(Clone, Deserialize)]
struct File {
    file: String,
    hash: Option<String>,
}

pub(super) fn parse(table: Table) -> Result<LockFile, LockError> {
    let format = LockFormat::Poetry;
    let version = named::format_version(&table, format, "metadata.lock-version")?;
    match version.split_once('.') {
        Some(("1" | "2", minor)) if is_number(minor) => {}
        _ => return Err(LockError::Version { format, version }),
    }
    let mut lock = LockFile::empty(format, Some(version));
    let read: Lock = read(table)?;
    for (number, mut package) in (1..).zip(read.package) {
        let project = named::project(number, &package.name)?;
        if package.files.is_empty() {
            let files = read.metadata.files.get(&package.name);
            let files = files.into_iter().flatten();
            let files = files.filter(|file| file.is_of(&project, &package.version));
            package.files = files.cloned().collect();
        }
        let index = match &package.source {
            None => None,
            Some(source) => match kind(&source.kind) {
                Some(None) => Some(source.url.clone()),
                Some(Some(kind)) => {
                    lock.elsewhere.push(Elsewhere {
                        project: Some(project),
                        kind,
                        place: source.url.clone(),
                    });
                    continue;
                }
                None => {
                    return Err(LockError::Source {
                        package: project.to_string(),
                        source_kind: source.kind.clone(),
                    });
                }
            },
        };
        lock.packages.push(LockedPackage {
            version: Some(named::version(&project, &package.version)?),
            index,
            files: package
                .files
                .into_iter()
                .map(|file| file.locked(&project))
                .collect::<Result<_, _>>()?,
            identities: Vec::new(),
            project,
        });
    }
    Ok(lock)
}

/// `Some(None)`: an index.
fn kind(kind: &str) -> Option<Option<ElsewhereKind>> {
    match kind {
        "legacy" => Some(None),
        "git" => Some(Some(ElsewhereKind::Repository)),
        "url" => Some(Some(ElsewhereKind::Url)),
        "file" => Some(Some(ElsewhereKind::Path)),
        "directory" => Some(Some(ElsewhereKind::Tree)),
        _ => None,
    }
}

impl File {
    /// Whether it can be of this version: two versions of a project may be locked.
    fn is_of(&self, project: &ProjectName, version: &str) -> bool {
        let parsed = DistributionFilename::parse_for(project, &self.file);
        match (parsed, version.parse::<Version>()) {
            (Ok(parsed), Ok(version)) => *parsed.version() == version,
            // Whatever it is, it is told of.
            _ => true,
        }
    }

    fn locked(self, project: &ProjectName) -> Result<LockedFile, LockError> {
        let hashes = named::hashes(project, self.hash.as_deref())?;
        let said = Said {
            name: Some(&self.file),
            ..Said::default()
        };
        said.file(project, hashes)
    }
}
