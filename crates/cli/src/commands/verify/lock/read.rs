//! Reads a lock file, with the requirements files that it takes in.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use wheelmark_packaging::lock::{
    Elsewhere, ElsewhereKind, LockFile, LockFormat, MAX_LOCK_LEN, MAX_LOCKED_FILES,
    MAX_LOCKED_PACKAGES,
};

use crate::logging::WithHint as _;
use crate::published::read_bounded;

/// Requirements files that are read for one.
const MAX_FILES: usize = 100;

/// Reads a lock file, and those that it takes in, into one; with the paths of all of them.
pub(crate) fn read_lock(
    path: &Path,
    format: LockFormat,
) -> anyhow::Result<(LockFile, Vec<PathBuf>)> {
    let mut lock = read(path, format)?;
    let mut paths = vec![path.to_owned()];
    let root = folder_of(path)?;
    let mut seen = BTreeSet::from([plain(path)]);
    let folder = |path: &Path| path.parent().map(Path::to_owned).unwrap_or_default();
    let mut waiting: Vec<(PathBuf, String)> = named(&folder(path), &mut lock);
    while let Some((from, name)) = waiting.pop() {
        let path = from.join(&name);
        // Who wrote the file is not to choose what of this machine is read and told.
        let outside = path
            .canonicalize()
            .is_ok_and(|path| !path.starts_with(&root));
        if name.contains("://") || outside {
            lock.elsewhere.push(Elsewhere {
                project: None,
                kind: ElsewhereKind::Path,
                place: format!("more requirements at {name}, which were not read"),
            });
            continue;
        }
        if !seen.insert(plain(&path)) {
            continue;
        }
        if seen.len() > MAX_FILES || lock.packages.len() > MAX_LOCKED_PACKAGES {
            return Err(anyhow!(
                "it takes in more than {MAX_FILES} files, or more than {MAX_LOCKED_PACKAGES} packages"
            ));
        }
        let mut more = read(&path, LockFormat::Requirements)?;
        paths.push(path.clone());
        waiting.extend(named(&folder(&path), &mut more));
        let files = |lock: &LockFile| lock.packages.iter().map(|it| it.files.len()).sum::<usize>();
        if files(&lock) + files(&more) > MAX_LOCKED_FILES {
            return Err(anyhow!("it locks more than {MAX_LOCKED_FILES} files"));
        }
        lock.packages.extend(more.packages);
        lock.elsewhere.extend(more.elsewhere);
        lock.indexes.extend(more.indexes);
        lock.notes.extend(more.notes);
    }
    Ok((lock, paths))
}

/// The folder of a file, without links.
fn folder_of(path: &Path) -> anyhow::Result<PathBuf> {
    let whole = path.canonicalize();
    let whole = whole.with_context(|| format!("{} cannot be read", path.display()))?;
    Ok(whole.parent().map(Path::to_owned).unwrap_or_default())
}

fn named(folder: &Path, lock: &mut LockFile) -> Vec<(PathBuf, String)> {
    let names = std::mem::take(&mut lock.includes);
    let names = names.into_iter().map(|name| (folder.to_owned(), name));
    names.collect()
}

/// One name for each file, as far as that can be told.
fn plain(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

fn read(path: &Path, format: LockFormat) -> anyhow::Result<LockFile> {
    let shown = path.display();
    let metadata = std::fs::metadata(path);
    let file = metadata.and_then(|metadata| match metadata.is_file() {
        true => read_bounded(path, MAX_LOCK_LEN as u64),
        false => Err(ErrorKind::IsADirectory.into()),
    });
    let bytes = file.with_context(|| format!("{shown} cannot be read"))?;
    LockFile::parse(format, &bytes).or_else(|error| {
        let hint = error.fix();
        Err(anyhow::Error::from(error).context(format!("{shown} cannot be followed"))).hint(hint)
    })
}
