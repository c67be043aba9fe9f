//! Names, versions, places and digests, as all formats have them.

use percent_encoding::percent_decode_str;
use toml::Table;
use url::Url;

use super::{FilePlace, LockError, LockFormat, LockedFile};
use crate::simple::Hashes;
use crate::{ProjectName, Version};

/// The version of a format, as it is said at `member`, a path of keys from the top.
pub(super) fn format_version(
    table: &Table,
    format: LockFormat,
    member: &'static str,
) -> Result<String, LockError> {
    let mut keys = member.split('.');
    let first = keys.next().and_then(|key| table.get(key));
    let said = keys.fold(first, |said, key| said.and_then(|it| it.get(key)));
    let said = said.ok_or(LockError::NoVersion { format, member })?;
    let text = said.as_str().map(str::to_owned);
    Ok(text.unwrap_or_else(|| said.to_string()))
}

/// A package's name; `number` counts from 1.
pub(super) fn project(number: usize, name: &str) -> Result<ProjectName, LockError> {
    name.parse()
        .map_err(|source| LockError::Name { number, source })
}

pub(super) fn version(package: &ProjectName, version: &str) -> Result<Version, LockError> {
    version.parse().map_err(|_| LockError::PackageVersion {
        package: package.to_string(),
        version: version.to_owned(),
    })
}

/// A name that is one plain segment, and so cannot lead anywhere.
pub(super) fn filename(package: &ProjectName, name: &str) -> Result<String, LockError> {
    let plain = !name.contains(['/', '\\', ':']) && !name.chars().any(char::is_control);
    if !plain || matches!(name, "" | "." | "..") || name.len() > crate::MAX_FILENAME_LEN {
        return Err(LockError::Filename {
            package: package.to_string(),
            filename: name.to_owned(),
        });
    }
    Ok(name.to_owned())
}

/// The name of the file that a URL leads to.
pub(super) fn of_url(package: &ProjectName, raw: &str) -> Result<String, LockError> {
    let url = Url::parse(raw).ok();
    let last = url
        .as_ref()
        .and_then(|url| url.path_segments()?.next_back());
    let last = last.ok_or_else(|| LockError::Url {
        package: package.to_string(),
        url: raw.to_owned(),
    })?;
    let refused = || LockError::Filename {
        package: package.to_string(),
        filename: last.to_owned(),
    };
    let name = percent_decode_str(last)
        .decode_utf8()
        .map_err(|_| refused())?;
    filename(package, &name)
}

/// The name of the file that a path leads to.
pub(super) fn of_path(package: &ProjectName, path: &str) -> Result<String, LockError> {
    let last = path.rsplit(['/', '\\']).next().unwrap_or(path);
    filename(package, last)
}

/// What stands in a lock file about where a file is.
#[derive(Default)]
pub(super) struct Said<'a> {
    pub(super) name: Option<&'a str>,
    pub(super) url: Option<&'a str>,
    pub(super) path: Option<&'a str>,
    pub(super) size: Option<u64>,
}

impl Said<'_> {
    /// The file, by the name that it is given, or else by where it is. The place's name may be
    /// another: which bytes they are, the digest says.
    pub(super) fn file(
        self,
        package: &ProjectName,
        hashes: Hashes,
    ) -> Result<LockedFile, LockError> {
        let placed = match (self.path, self.url) {
            (Some(path), _) => Some(of_path(package, path)?),
            (None, Some(url)) => Some(of_url(package, url)?),
            (None, None) => None,
        };
        let named = self.name.map(|name| filename(package, name)).transpose()?;
        let name = named.or(placed).ok_or_else(|| LockError::Unnamed {
            package: package.to_string(),
        })?;
        Ok(LockedFile {
            filename: Some(name),
            at: match (self.path, self.url) {
                (Some(path), _) => FilePlace::Path(path.to_owned()),
                (None, Some(url)) => FilePlace::Url(url.to_owned()),
                (None, None) => FilePlace::Index,
            },
            size: self.size,
            hashes,
        })
    }
}

/// Digests in the form `ALGORITHM:DIGEST`, in any case.
pub(super) fn hashes<'a>(
    package: &ProjectName,
    stated: impl IntoIterator<Item = &'a str>,
) -> Result<Hashes, LockError> {
    let mut hashes = Hashes::new();
    for one in stated {
        let (algorithm, digest) = one.split_once(':').unwrap_or(("", one));
        insert(package, &mut hashes, algorithm, digest)?;
    }
    Ok(hashes)
}

pub(super) fn insert(
    package: &ProjectName,
    hashes: &mut Hashes,
    algorithm: &str,
    digest: &str,
) -> Result<(), LockError> {
    let digest = digest.to_ascii_lowercase();
    hashes
        .insert(algorithm, &digest)
        .map_err(|source| LockError::Hash {
            package: package.to_string(),
            source,
        })
}
