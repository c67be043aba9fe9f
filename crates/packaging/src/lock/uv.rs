//! `uv.lock`.

use serde::Deserialize;
use toml::{Table, Value};

use super::named::{self, Said};
use super::{Elsewhere, ElsewhereKind, LockError, LockFile, LockFormat, LockedPackage, read};
use crate::ProjectName;

/// The version whose meaning is known. Its revisions add members that may be passed over, as
/// uv itself does.
const VERSION: i64 = 1;

#[derive(Deserialize)]
struct Lock {
    // What it was called before uv 0.3.
    #[serde(default, alias = "distribution")]
    package: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: Option<String>,
    source: Table,
    sdist: Option<File>,
    #[serde(default)]
    wheels: Vec<File>,
}

#[derive(Deserialize)]
struct File {
    url: Option<String>,
    path: Option<String>,
    filename: Option<String>,
    hash: Option<String>,
    size: Option<u64>,
}

pub(super) fn parse(table: Table) -> Result<LockFile, LockError> {
    let said = match table.get("version") {
        Some(Value::Integer(VERSION)) => VERSION.to_string(),
        Some(other) => {
            return Err(LockError::Version {
                format: LockFormat::Uv,
                version: other.to_string(),
            });
        }
        None => {
            return Err(LockError::NoVersion {
                format: LockFormat::Uv,
                member: "version",
            });
        }
    };
    let mut lock = LockFile::empty(LockFormat::Uv, Some(said));
    let read: Lock = read(table)?;
    for (number, package) in (1..).zip(read.package) {
        let project = named::project(number, &package.name)?;
        match from(&project, &package.source)? {
            From::Index(index) => lock.packages.push(package.locked(project, index)?),
            From::Elsewhere(kind, place) => lock.elsewhere.push(Elsewhere {
                project: Some(project),
                kind,
                place,
            }),
        }
    }
    Ok(lock)
}

enum From {
    Index(String),
    Elsewhere(ElsewhereKind, String),
}

/// Where a package comes from: its `source` has one of these members.
fn from(project: &ProjectName, source: &Table) -> Result<From, LockError> {
    use ElsewhereKind::{Path, Repository, Tree, Url};
    const KINDS: [(&str, Option<ElsewhereKind>); 7] = [
        ("registry", None),
        ("git", Some(Repository)),
        ("url", Some(Url)),
        ("path", Some(Path)),
        ("directory", Some(Tree)),
        ("editable", Some(Tree)),
        ("virtual", Some(Tree)),
    ];
    let unknown = || LockError::Source {
        package: project.to_string(),
        source_kind: source.keys().cloned().collect::<Vec<_>>().join(", "),
    };
    let mut found = None;
    for (name, kind) in KINDS {
        let Some(place) = source.get(name) else {
            continue;
        };
        let place = place.as_str().ok_or_else(unknown)?.to_owned();
        if found.replace((kind, place)).is_some() {
            return Err(unknown());
        }
    }
    match found {
        Some((None, index)) if is_remote(&index) => Ok(From::Index(index)),
        // A folder of files on this machine.
        Some((None, folder)) => Ok(From::Elsewhere(Path, folder)),
        Some((Some(kind), place)) => Ok(From::Elsewhere(kind, place)),
        None => Err(unknown()),
    }
}

fn is_remote(index: &str) -> bool {
    let scheme = |scheme: &str| {
        let head = index.get(..scheme.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(scheme))
    };
    scheme("https://") || scheme("http://")
}

impl Package {
    fn locked(self, project: ProjectName, index: String) -> Result<LockedPackage, LockError> {
        let version = self.version.ok_or_else(|| LockError::NoPackageVersion {
            package: project.to_string(),
        })?;
        let version = named::version(&project, &version)?;
        let files = self.sdist.into_iter().chain(self.wheels);
        let files = files.map(|file| {
            let hashes = named::hashes(&project, file.hash.as_deref())?;
            let said = Said {
                name: file.filename.as_deref(),
                url: file.url.as_deref(),
                path: file.path.as_deref(),
                size: file.size,
            };
            said.file(&project, hashes)
        });
        let files = files.collect::<Result<_, _>>()?;
        Ok(LockedPackage {
            project,
            version: Some(version),
            index: Some(index),
            files,
            identities: Vec::new(),
        })
    }
}
