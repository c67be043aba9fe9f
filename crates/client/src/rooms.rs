//! A directory for each run of a command, gone when the run is.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::trust::private_temporary;

/// Why a run got no directory of its own.
#[derive(Debug, thiserror::Error)]
#[error("could not write what this run needs to {}", path.display())]
pub struct RoomError {
    /// Where it was tried.
    path: PathBuf,
    /// What the system says.
    #[source]
    source: io::Error,
}

/// A private directory that lives as long as the run: the caches of installers, and the
/// certificates that they are to trust. What a killed run
/// left behind is removed by the next one.
#[derive(Debug)]
pub struct RunRoom {
    directory: tempfile::TempDir,
    /// Held so that other runs know that this one lives.
    lock: File,
    /// Whether another process removes it.
    is_left: bool,
}

/// What the name of every room begins with.
const PREFIX: &str = "run-";

const LOCK: &str = "lock";

/// Beside the rooms; held while one is made.
const BEGINNING: &str = ".beginning";

impl RunRoom {
    /// Makes the directory below a user's data directory.
    ///
    /// # Errors
    ///
    /// [`RoomError`] when it cannot be made.
    pub fn create(home: &Path) -> Result<Self, RoomError> {
        let runs = home.join("runs");
        let made = (|| {
            fs::create_dir_all(&runs)?;
            // Until this run has locked its room, it looks like one that is over.
            let _beginning = begin_alone(&runs)?;
            remove_dead(&runs);
            let directory = private_temporary(PREFIX, &runs)?;
            let lock = File::create(directory.path().join(LOCK))?;
            lock.lock()?;
            fs::create_dir(directory.path().join("uv-cache"))?;
            Ok(Self {
                directory,
                lock,
                is_left: false,
            })
        })();
        made.map_err(|source| RoomError { path: runs, source })
    }

    /// Where uv keeps its cache during the run.
    #[must_use]
    pub fn uv_cache(&self) -> PathBuf {
        self.directory.path().join("uv-cache")
    }

    /// Where other installers keep theirs.
    #[must_use]
    pub fn caches(&self) -> PathBuf {
        self.directory.path().join("caches")
    }

    /// Where a run keeps configuration files of its own, if it needs any.
    #[must_use]
    pub fn configuration(&self) -> PathBuf {
        self.directory.path().join("configuration")
    }

    /// Writes the certificates that installers are to trust during the run, for those who are
    /// told of them by the variable `name`.
    ///
    /// # Errors
    ///
    /// [`RoomError`] when they cannot be written.
    pub fn write_bundle(&self, name: &str, bundle: &str) -> Result<PathBuf, RoomError> {
        let path = self.directory.path().join(format!("{name}.pem"));
        match fs::write(&path, bundle) {
            Ok(()) => Ok(path),
            Err(source) => Err(RoomError { path, source }),
        }
    }
}

impl RunRoom {
    /// What is to be removed, by whoever holds the lock in the meantime: first what lies in the
    /// room, then the room. Nothing of it is a link that would be followed.
    ///
    /// # Errors
    ///
    /// When the room cannot be read, or the lock not shared.
    pub fn leftovers(&self) -> io::Result<Leftovers> {
        let room = self.directory.path();
        let mut paths = Vec::new();
        for entry in fs::read_dir(room)? {
            let entry = entry?;
            if entry.file_name() != LOCK {
                paths.push(entry.path());
            }
        }
        let is_little = !directories(&self.uv_cache())
            .chain(directories(&self.caches()))
            .any(|bucket| directories(&bucket).next().is_some());
        // Last, and its lock with it: until then it can be seen that it is not in use.
        paths.push(room.to_owned());
        Ok(Leftovers {
            paths,
            lock: self.lock.try_clone()?,
            is_little,
        })
    }

    /// Leaves the room to another process, which removes the [`Leftovers`] and holds their lock
    /// until it ends, however it ends.
    pub fn leave(mut self) {
        self.is_left = true;
        self.directory.disable_cleanup(true);
    }
}

/// What a run leaves to be removed.
#[derive(Debug)]
pub struct Leftovers {
    /// The paths, in order.
    pub paths: Vec<PathBuf>,
    /// The room's lock. While it is open anywhere, no other run removes the room.
    pub lock: File,
    /// Whether no installer has used its cache.
    pub is_little: bool,
}

impl Drop for RunRoom {
    /// Empties the cache with several hands: its thousands of small files would otherwise keep
    /// the person waiting after the command has ended. The directory itself goes with its owner.
    fn drop(&mut self) {
        if self.is_left {
            return;
        }
        let left: Vec<PathBuf> = directories(&self.uv_cache())
            .flat_map(|bucket| directories(&bucket))
            .collect();
        let share = left.len().div_ceil(REMOVERS).max(1);
        std::thread::scope(|scope| {
            for part in left.chunks(share) {
                scope.spawn(move || {
                    for path in part {
                        // What cannot be removed here is left to the removal of the whole.
                        drop(fs::remove_dir_all(path));
                    }
                });
            }
        });
    }
}

/// How many threads empty a cache: they mostly wait for the disk.
const REMOVERS: usize = 4;

/// The directories in a directory; links to others are none.
fn directories(directory: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
}

/// Keeps other runs from looking for dead rooms and from beginning their own.
fn begin_alone(runs: &Path) -> io::Result<File> {
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(runs.join(BEGINNING))?;
    lock.lock()?;
    Ok(lock)
}

/// Removes what runs left behind that did not end by themselves.
fn remove_dead(runs: &Path) {
    let Ok(entries) = fs::read_dir(runs) else {
        return;
    };
    for entry in entries.flatten() {
        let is_room = entry.file_name().to_string_lossy().starts_with(PREFIX);
        if !is_room {
            continue;
        }
        match File::open(entry.path().join(LOCK)) {
            Ok(lock) => match lock.try_lock() {
                Ok(()) => remove(&entry.path()),
                Err(TryLockError::WouldBlock | TryLockError::Error(_)) => {}
            },
            // No other run is beginning now, so this one has been ended: its lock goes before
            // the rest. If somebody is at it still, we are two.
            Err(error) if error.kind() == io::ErrorKind::NotFound => remove(&entry.path()),
            Err(_) => {}
        }
    }
}

fn remove(room: &Path) {
    match fs::remove_dir_all(room) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, "what an earlier run left behind could not be removed");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn rooms(home: &Path) -> usize {
        fs::read_dir(home.join("runs"))
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().file_name() != BEGINNING)
            .count()
    }

    #[test]
    fn one_run_begins_at_a_time() {
        let home = tempfile::tempdir().unwrap();
        drop(RunRoom::create(home.path()).unwrap());
        let other = begin_alone(&home.path().join("runs")).unwrap();
        let begun = std::thread::scope(|scope| {
            let run = scope.spawn(|| RunRoom::create(home.path()).unwrap());
            std::thread::sleep(std::time::Duration::from_millis(100));
            assert_eq!(rooms(home.path()), 0, "no room while another run looks");
            assert!(!run.is_finished());
            drop(other);
            run.join().unwrap()
        });
        assert!(begun.uv_cache().is_dir());
    }

    #[cfg(unix)]
    #[test]
    fn what_a_cache_links_to_stays() {
        let home = tempfile::tempdir().unwrap();
        let elsewhere = home.path().join("elsewhere/inside");
        fs::create_dir_all(&elsewhere).unwrap();
        let room = RunRoom::create(home.path()).unwrap();
        let link = |name: &str, to: &Path| {
            let at = room.uv_cache().join(name);
            fs::create_dir_all(at.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(to, at).unwrap();
        };
        link("bucket", home.path().join("elsewhere").as_path());
        link("other/entry", &elsewhere);
        fs::create_dir_all(room.uv_cache().join("other/archive/a")).unwrap();
        drop(room);
        assert!(elsewhere.is_dir());
        assert_eq!(rooms(home.path()), 0);
    }

    #[test]
    fn a_room_that_is_left_is_nobodys_until_its_remover_has_ended() {
        let home = tempfile::tempdir().unwrap();
        let room = RunRoom::create(home.path()).unwrap();
        assert!(room.leftovers().unwrap().is_little);
        fs::create_dir_all(room.uv_cache().join("archive/a")).unwrap();
        fs::write(room.uv_cache().join("archive/a/b"), "").unwrap();
        let left = room.leftovers().unwrap();
        assert!(!left.is_little);
        let (last, before) = left.paths.split_last().unwrap();
        assert!(before.iter().all(|path| path.parent() == Some(last)));
        assert_eq!(before, [room.uv_cache()]);
        room.leave();
        // The remover is at work: nobody else is, in the same room.
        drop(RunRoom::create(home.path()).unwrap());
        assert!(last.join("uv-cache/archive/a/b").exists());
        // It was killed: the next run does its work.
        drop(left.lock);
        drop(RunRoom::create(home.path()).unwrap());
        assert_eq!(rooms(home.path()), 0);
    }

    #[test]
    fn a_room_goes_with_its_run_and_the_dead_are_removed() {
        let home = tempfile::tempdir().unwrap();
        let count = || rooms(home.path());
        let first = RunRoom::create(home.path()).unwrap();
        assert!(first.uv_cache().is_dir());
        let second = RunRoom::create(home.path()).unwrap();
        assert_eq!(count(), 2, "a living run keeps its room");
        drop(second);
        assert_eq!(count(), 1);
        // A run that was killed: its room stays, its lock does not.
        let left = home.path().join("runs/run-killed");
        fs::create_dir(&left).unwrap();
        fs::write(left.join(LOCK), "").unwrap();
        drop(first);
        let third = RunRoom::create(home.path()).unwrap();
        assert!(!left.exists());
        drop(third);
        assert_eq!(count(), 0);
    }

    #[test]
    fn a_room_that_has_lost_its_lock_is_nobodys() {
        let home = tempfile::tempdir().unwrap();
        let alive = RunRoom::create(home.path()).unwrap();
        // Its remover was killed between the lock and the room, or something was written then.
        let left = home.path().join("runs/run-left/uv-cache/late");
        fs::create_dir_all(&left).unwrap();
        let kept = home.path().join("runs/other");
        fs::create_dir(&kept).unwrap();
        drop(RunRoom::create(home.path()).unwrap());
        assert!(!left.exists());
        assert!(kept.exists(), "no room");
        assert!(alive.uv_cache().is_dir());
        assert_eq!(rooms(home.path()), 2);
    }
}
