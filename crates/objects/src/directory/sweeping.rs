//! Taking away what no kept state names, beside uploads that go on.

use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, Dir, FileType, Stat, Timespec, Timestamps, UTIME_NOW};
use rustix::io::Errno;

use super::Tree;
use super::error::ObjectError;
use crate::ObjectPath;

/// An object as the file system describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Its path.
    pub path: ObjectPath,
    /// Its length in bytes.
    pub len: u64,
    /// When its bytes were written.
    pub modified: SystemTime,
    /// How many names lead to it.
    pub names: u64,
}

impl Described {
    /// How many bytes the disk gets back if this name goes: none where another one leads to them.
    #[must_use]
    pub fn frees(&self) -> u64 {
        if self.names > 1 { 0 } else { self.len }
    }
}

/// What a sweep took away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// The objects that went, with the bytes that each gave back to the disk: none where another
    /// name leads to them still.
    pub gone: Vec<(ObjectPath, u64)>,
    /// Those that could not be taken away: they belong to another user, for example.
    pub refused: Vec<ObjectPath>,
}

/// The objects in the directory of `path`, by name.
pub(super) fn describe(tree: &Tree, path: &ObjectPath) -> Result<Vec<Described>, ObjectError> {
    let (folder, _) = path.split();
    let Some(open) = tree.folder(path)? else {
        return Ok(Vec::new());
    };
    let cannot = || ObjectError::os("list", tree.root.join(folder));
    let mut found = Vec::new();
    for entry in Dir::read_from(&open).map_err(cannot())? {
        let entry = entry.map_err(cannot())?;
        let name = entry.file_name().to_string_lossy();
        let Ok(path) = ObjectPath::parse(&format!("{folder}/{name}")) else {
            continue;
        };
        match rustix::fs::statat(&open, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if is_file(&stat) => found.push(described(path, &stat)),
            // No object, or gone meanwhile.
            Ok(_) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(cannot()(errno)),
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(found)
}

/// Takes objects away whose bytes were written before `before`. Their directories stay, for others
/// may be about to place something there. What is not there is gone already.
pub(super) fn sweep(
    tree: &Tree,
    paths: &[ObjectPath],
    before: SystemTime,
) -> Result<Swept, ObjectError> {
    let mut swept = Swept::default();
    for path in paths {
        let Some(folder) = tree.folder(path)? else {
            continue;
        };
        let name = path.split().1;
        let cannot = |action| ObjectError::os(action, tree.root.join(path.as_str()));
        // Once more, and at the last moment: it may have been written anew.
        let stat = match rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if is_file(&stat) && modified(&stat) < before => stat,
            Ok(_) | Err(Errno::NOENT) => continue,
            Err(errno) => return Err(cannot("look at")(errno)),
        };
        match rustix::fs::unlinkat(&folder, name, AtFlags::empty()) {
            Ok(()) => {
                let freed = described(path.clone(), &stat).frees();
                swept.gone.push((path.clone(), freed));
            }
            Err(Errno::NOENT) => {}
            Err(Errno::PERM | Errno::ACCESS) => swept.refused.push(path.clone()),
            Err(errno) => return Err(cannot("remove")(errno)),
        }
    }
    Ok(swept)
}

#[allow(
    clippy::useless_conversion,
    reason = "how wide the number of names is differs between systems"
)]
fn described(path: ObjectPath, stat: &Stat) -> Described {
    Described {
        path,
        len: u64::try_from(stat.st_size).unwrap_or(0),
        modified: modified(stat),
        names: u64::from(stat.st_nlink),
    }
}

/// What the file system says that the time is.
pub(super) fn clock(tree: &Tree) -> Result<SystemTime, ObjectError> {
    let own = tree.incoming.own();
    let cannot = |action| ObjectError::os(action, tree.incoming.path());
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_NOW,
    };
    let times = Timestamps {
        last_access: now,
        last_modification: now,
    };
    // The times of a directory: this works on a full disk as well.
    rustix::fs::futimens(own, &times).map_err(cannot("touch"))?;
    Ok(modified(
        &rustix::fs::fstat(own).map_err(cannot("look at"))?,
    ))
}

fn is_file(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

fn modified(stat: &Stat) -> SystemTime {
    let seconds = stat.st_mtime;
    let after = Duration::from_secs(seconds.unsigned_abs());
    match seconds {
        0.. => SystemTime::UNIX_EPOCH.checked_add(after),
        _ => SystemTime::UNIX_EPOCH.checked_sub(after),
    }
    .unwrap_or(SystemTime::UNIX_EPOCH)
}
