//! Who has to have attested the files of a lock: what stands in it, or in the file beside it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use wheelmark_packaging::lock::{BESIDE, Beside, LockFile, LockFormat, MAX_LOCK_LEN};
use wheelmark_provenance::policy::{LockedIdentityError, PolicyFile};

use crate::logging::WithHint as _;
use crate::published::read_bounded;

/// Where the identities of a lock file stand that has no place for them itself.
pub(super) fn beside(lock: &Path) -> PathBuf {
    let mut name = lock.as_os_str().to_owned();
    name.push(BESIDE);
    PathBuf::from(name)
}

/// What a lock file asks of the files that it names, itself or by the file beside it; nothing if it
/// asks for nothing. `shown` is what it is called in messages.
pub(crate) fn asked(path: &Path, shown: &str) -> anyhow::Result<Option<PolicyFile>> {
    let name = path.file_name().map(|name| name.to_string_lossy());
    let format = LockFormat::of_name(&name.unwrap_or_default());
    let asks = match format {
        Some(LockFormat::Pylock) => {
            // Reading from a pipe would take it from the command.
            let file = std::fs::metadata(path).and_then(|found| match found.is_file() {
                true => read_bounded(path, MAX_LOCK_LEN as u64),
                false => Err(std::io::Error::other("it is no file")),
            });
            let bytes = file.with_context(|| unusable(shown)).hint(NOT_RUN)?;
            let lock = LockFile::parse(LockFormat::Pylock, &bytes).or_else(|error| {
                let hint = error.fix();
                Err(anyhow::Error::from(error).context(unusable(shown))).hint(hint)
            })?;
            of_nobody(PolicyFile::of_lock(&lock, shown), shown)?
        }
        _ => match read_beside(path)? {
            Some(beside) => {
                let shown = format!("{shown}{BESIDE}");
                of_nobody(PolicyFile::beside_lock(&beside, &shown), &shown)?
            }
            None => return Ok(None),
        },
    };
    Ok(Some(asks).filter(|asks| !asks.rules().is_empty()))
}

/// The file beside a lock file, if there is one.
pub(super) fn read_beside(lock: &Path) -> anyhow::Result<Option<Beside>> {
    let path = beside(lock);
    let shown = path.display().to_string();
    let bytes = match read_bounded(&path, MAX_LOCK_LEN as u64) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(anyhow!(error).context(unusable(&shown))),
    };
    Beside::parse(&bytes).map(Some).or_else(|error| {
        let hint = error.fix();
        Err(anyhow::Error::from(error).context(unusable(&shown))).hint(hint)
    })
}

fn of_nobody(
    asks: Result<PolicyFile, LockedIdentityError>,
    shown: &str,
) -> anyhow::Result<PolicyFile> {
    asks.or_else(|error| {
        Err(anyhow!(error).context(unusable(shown))).hint(
            "an identity is a table with a `kind` and the members of that kind, as docs/attestations.md lists them; `wheelmark lock attest` writes them",
        )
    })
}

fn unusable(shown: &str) -> String {
    format!("{shown} cannot be followed")
}

const NOT_RUN: &str = "what it asks for is not known, so nothing was run";
