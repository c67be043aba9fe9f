//! `pdm.lock`.

use serde::Deserialize;
use toml::Table;

use super::named::{self, Said};
use super::requirements::is_archive;
use super::{
    Elsewhere, ElsewhereKind, LockError, LockFile, LockFormat, LockedFile, LockedPackage, read,
};
use crate::ProjectName;

#[derive(Deserialize)]
struct Lock {
    #[serde(default)]
    package: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: Option<String>,
    git: Option<String>,
    hg: Option<String>,
    svn: Option<String>,
    bzr: Option<String>,
    url: Option<String>,
    path: Option<String>,
    #[serde(default)]
    files: Vec<File>,
}

/// By name, or by URL where the lock was made with `static_urls`.
#[derive(Deserialize)]
struct File {
    file: Option<String>,
    url: Option<String>,
    hash: Option<String>,
}

pub(super) fn parse(table: Table) -> Result<LockFile, LockError> {
    let format = LockFormat::Pdm;
    let version = named::format_version(&table, format, "metadata.lock_version")?;
    if version.split('.').next() != Some("4") {
        return Err(LockError::Version { format, version });
    }
    let mut lock = LockFile::empty(format, Some(version));
    let read: Lock = read(table)?;
    for (number, package) in (1..).zip(read.package) {
        // With an extra, a package is listed once more.
        let project = named::project(number, &package.name)?;
        if let Some((kind, place)) = package.elsewhere() {
            lock.elsewhere.push(Elsewhere {
                project: Some(project),
                kind,
                place,
            });
            continue;
        }
        let version = package.version.ok_or_else(|| LockError::NoPackageVersion {
            package: project.to_string(),
        })?;
        lock.packages.push(LockedPackage {
            version: Some(named::version(&project, &version)?),
            index: None,
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

impl Package {
    fn elsewhere(&self) -> Option<(ElsewhereKind, String)> {
        let repositories = [&self.git, &self.hg, &self.svn, &self.bzr];
        if let Some(place) = repositories.into_iter().flatten().next() {
            return Some((ElsewhereKind::Repository, place.clone()));
        }
        if let Some(url) = &self.url {
            return Some((ElsewhereKind::Url, url.clone()));
        }
        let path = self.path.clone()?;
        let kind = if is_archive(&path) {
            ElsewhereKind::Path
        } else {
            ElsewhereKind::Tree
        };
        Some((kind, path))
    }
}

impl File {
    fn locked(self, project: &ProjectName) -> Result<LockedFile, LockError> {
        let hashes = named::hashes(project, self.hash.as_deref())?;
        let said = Said {
            name: self.file.as_deref(),
            url: self.url.as_deref(),
            ..Said::default()
        };
        said.file(project, hashes)
    }
}
