//! `pylock.toml` (PEP 751).

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Table;

use super::identities::{self, Members};
use super::named::{self, Said};
use super::{
    Elsewhere, ElsewhereKind, LockError, LockFile, LockFormat, LockedFile, LockedPackage, read,
};
use crate::ProjectName;
use crate::simple::Hashes;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Lock {
    #[serde(default)]
    packages: Vec<Package>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Package {
    name: String,
    version: Option<String>,
    index: Option<String>,
    vcs: Option<Place>,
    directory: Option<Place>,
    archive: Option<Place>,
    sdist: Option<File>,
    #[serde(default)]
    wheels: Vec<File>,
    #[serde(default)]
    attestation_identities: Vec<Members>,
}

#[derive(Deserialize)]
struct Place {
    url: Option<String>,
    path: Option<String>,
}

#[derive(Deserialize)]
struct File {
    name: Option<String>,
    url: Option<String>,
    path: Option<String>,
    size: Option<u64>,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
}

pub(super) fn parse(table: Table, text: &str) -> Result<LockFile, LockError> {
    let format = LockFormat::Pylock;
    let version = named::format_version(&table, format, "lock-version")?;
    let mut lock = LockFile::empty(format, Some(version.clone()));
    match version.split_once('.') {
        Some(("1", "0")) => {}
        // PEP 751: a minor version adds what may be passed over, with a word about it.
        Some(("1", minor)) if is_number(minor) => lock.notes.push(format!(
            "it is of version {version}: what came after 1.0 is not looked at"
        )),
        _ => return Err(LockError::Version { format, version }),
    }
    let read: Lock = read(table)?;
    let mut lines = identities::lines(text, &read.packages, |it| it.attestation_identities.len());
    for (number, package) in (1..).zip(read.packages) {
        let lines = lines.next().unwrap_or_default();
        let project = named::project(number, &package.name)?;
        match package.elsewhere() {
            Some((kind, place)) => {
                if !package.attestation_identities.is_empty() {
                    let attested = package.locked(project.clone(), lines)?;
                    lock.attested_elsewhere.push(attested);
                }
                lock.elsewhere.push(Elsewhere {
                    project: Some(project),
                    kind,
                    place,
                });
            }
            None => lock.packages.push(package.locked(project, lines)?),
        }
    }
    Ok(lock)
}

pub(super) fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl Package {
    /// Where it comes from, if it is not from an index.
    fn elsewhere(&self) -> Option<(ElsewhereKind, String)> {
        let place = |place: &Place| {
            let path = place.path.clone();
            path.or_else(|| place.url.clone()).unwrap_or_default()
        };
        if let Some(vcs) = &self.vcs {
            return Some((ElsewhereKind::Repository, place(vcs)));
        }
        if let Some(directory) = &self.directory {
            return Some((ElsewhereKind::Tree, place(directory)));
        }
        let archive = self.archive.as_ref()?;
        let kind = match archive.path {
            Some(_) => ElsewhereKind::Path,
            None => ElsewhereKind::Url,
        };
        Some((kind, place(archive)))
    }

    fn locked(self, project: ProjectName, lines: Vec<usize>) -> Result<LockedPackage, LockError> {
        let version = self.version.as_deref();
        let version = version
            .map(|version| named::version(&project, version))
            .transpose()?;
        let files = self.sdist.into_iter().chain(self.wheels);
        let files = files.map(|file| file.locked(&project));
        let files = files.collect::<Result<_, _>>()?;
        let identities = identities::all(&project, self.attestation_identities, lines)?;
        Ok(LockedPackage {
            project,
            version,
            index: self.index,
            files,
            identities,
        })
    }
}

impl File {
    fn locked(self, project: &ProjectName) -> Result<LockedFile, LockError> {
        let mut hashes = Hashes::new();
        for (algorithm, digest) in &self.hashes {
            named::insert(project, &mut hashes, algorithm, digest)?;
        }
        let said = Said {
            name: self.name.as_deref(),
            url: self.url.as_deref(),
            path: self.path.as_deref(),
            size: self.size,
        };
        said.file(project, hashes)
    }
}
