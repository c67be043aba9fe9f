//! What the online key signs, written down before anybody sees it.
//!
//! ```text
//! {"entry":7,"previous":"<sha256 of line 6>","signed":{"packages-0a":…,"simple-1f":…,"snapshot":…},…}
//!                                  ▲
//! timestamp 31: "_wheelmark":{"signing-log":{"entry":7,"sha256":"<of line 7>"}}
//!                                  ▼
//! {"entry":8,"previous":"<sha256 of line 7>","signed":{"timestamp":…},"record":…,…}
//! ```
//!
//! Each line names the one before it, so a line stands for everything before it, and the head that
//! a timestamp carries stands for everything that was signed up to that timestamp. Whoever keeps a
//! timestamp, or was sent a line, can say later whether what came before is still what it was.
//!
//! The lines are appended before the turn is recorded, and are part of its record. That is flushed
//! before anything of the turn is written to the tree, so no line needs a flush of its own: what a
//! power failure takes from the file, recovery appends again out of the records, which are kept until
//! the file is flushed as well. Lines that no record has, since recording failed, are flushed before
//! anything is built on them.

mod entry;
mod folder;
mod survey;

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::sync::watch;
use wheelmark_tuf::{KeyId, RoleName, Sha256};

pub(crate) use self::entry::LOGGED;
pub use self::entry::{Entry, Follows, Head, SignedRole};
pub use self::folder::{Line, Lines, files};
pub use self::survey::{Covered, Flaw, Survey};

/// A file that has come to this length is followed by another one, in bytes.
const FULL: u64 = 16 * 1024 * 1024;

/// More roles than this go into the next line: a line has to fit into what others take at once.
const ROLES_IN_A_LINE: usize = 500;

/// The signing log could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} the signing log {}", path.display())]
pub struct LogError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl LogError {
    /// Whether the disk is full.
    pub(crate) fn is_full(&self) -> bool {
        matches!(
            self.source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        )
    }
}

/// Where a signing log is kept.
#[derive(Debug, Clone)]
pub struct LogPlace {
    folder: PathBuf,
    written: Arc<watch::Sender<u64>>,
}

impl LogPlace {
    /// A folder, which is made when it is needed.
    pub fn new(folder: PathBuf) -> Self {
        let written = Arc::new(watch::Sender::new(0));
        Self { folder, written }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Says the number of the last entry whenever lines were written by an engine that was opened
    /// with this place.
    pub fn written(&self) -> watch::Receiver<u64> {
        self.written.subscribe()
    }
}

/// The log of one index, being written. Only whoever holds the lock on the tree has one.
#[derive(Debug)]
pub(crate) struct SigningLog {
    place: LogPlace,
    file: Syncing,
    path: PathBuf,
    length: u64,
    head: Head,
    /// Whether the last entry only says that the log goes on from a timestamp: its digest.
    goes_on_from: Option<Sha256>,
    /// The entries of the last two files.
    seen: BTreeMap<u64, Seen>,
    /// Whether the last lines stand in no record, and may not be on the disk.
    is_unrecorded: bool,
    /// Whether a flush has failed, so that another one alone would prove nothing.
    is_doubtful: bool,
}

/// An entry that is there.
#[derive(Debug, Clone)]
struct Seen {
    sha256: Sha256,
    /// The version of the timestamp that it has.
    timestamp: Option<u64>,
    /// The first entry of its file, and where its line begins.
    file: u64,
    at: u64,
}

/// Flushes the file that is written to, from beside the turns.
#[derive(Debug, Clone)]
pub(crate) struct Syncing(Arc<Mutex<File>>);

impl Syncing {
    /// Flushes everything that was written. What stands in earlier files is on the disk already.
    pub(crate) fn sync(&self) -> io::Result<()> {
        // The lock is not held while the disk works: a turn may be about to write.
        let file = {
            let file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            file.try_clone()?
        };
        file.sync_data()
    }
}

/// What is found in the last files.
struct Found {
    head: Head,
    goes_on_from: Option<Sha256>,
    seen: BTreeMap<u64, Seen>,
    /// Where the last entry of the last file ends.
    sound: u64,
}

impl SigningLog {
    /// Opens the log, and makes the folder if it is not there. What a crash left behind the last
    /// entry is put aside.
    pub(crate) fn open(place: LogPlace) -> Result<Self, LogError> {
        let folder = place.folder();
        make_folder(folder).map_err(|source| error("make", folder, source))?;
        let files = files(folder).map_err(|source| error("read", folder, source))?;
        let found = look_into(&files).map_err(|source| error("read", folder, source))?;
        let path = match files.last() {
            Some((_, path)) => path.clone(),
            None => folder.join(folder::file_name(found.head.number + 1)),
        };
        let open = || -> io::Result<(File, u64)> {
            let file = OpenOptions::new()
                .append(true)
                .read(true)
                .create(true)
                .mode(0o600)
                .open(&path)?;
            if file.metadata()?.len() > found.sound {
                put_aside(&path, found.sound)?;
                file.set_len(found.sound)?;
            }
            file.sync_all()?;
            File::open(folder)?.sync_all()?;
            Ok((file, found.sound))
        };
        let (file, length) = open().map_err(|source| error("open", &path, source))?;
        Ok(Self {
            place,
            file: Syncing(Arc::new(Mutex::new(file))),
            path,
            length,
            head: found.head,
            goes_on_from: found.goes_on_from,
            seen: found.seen,
            is_unrecorded: false,
            is_doubtful: false,
        })
    }

    /// The last entry.
    pub(crate) fn head(&self) -> Head {
        self.head
    }

    /// What flushes it.
    pub(crate) fn syncing(&self) -> Syncing {
        self.file.clone()
    }

    /// The lines that were appended last stand in a record.
    pub(crate) fn recorded(&mut self) {
        self.is_unrecorded = false;
    }

    /// Flushes lines that stand in no record: the next ones are built on them.
    pub(crate) fn flush_unrecorded(&mut self) -> Result<(), LogError> {
        if self.is_unrecorded {
            self.flush()?;
            self.is_unrecorded = false;
        }
        Ok(())
    }

    /// Flushes all of it. After a flush that has failed, the file is written again first.
    pub(crate) fn flush(&mut self) -> Result<(), LogError> {
        if self.is_doubtful {
            self.write_again(self.file_number(), 0)?;
        }
        let synced = self.file.sync();
        self.is_doubtful = synced.is_err();
        synced.map_err(|source| error("flush", &self.path, source))
    }

    /// Takes lines out of the records, as a start and a failed flush ask for: those that are not there
    /// are appended, and those that are there are written again, with everything behind them. What
    /// can be read may be in memory alone, and after a flush that has failed another one would succeed
    /// without having written anything.
    pub(crate) fn restore(&mut self, lines: &[String]) -> Result<(), LogError> {
        let numbers = lines
            .iter()
            .filter_map(|line| Entry::parse(line.as_bytes()))
            .map(|entry| entry.number);
        if let Some(first) = numbers.min()
            && let Some((_, seen)) = self.seen.range(first..).next()
        {
            let (file, at) = (seen.file, seen.at);
            self.write_again(file, at)?;
        }
        self.append(lines)?;
        self.flush()?;
        self.is_unrecorded = false;
        Ok(())
    }

    /// Writes the end of the log again as it is, from a place in one of its files on.
    fn write_again(&self, first: u64, at: u64) -> Result<(), LogError> {
        let again = |path: &Path, at: u64| -> io::Result<()> {
            let bytes = std::fs::read(path)?;
            // Not opened for appending: that would not write where it is told to.
            let file = OpenOptions::new().write(true).open(path)?;
            file.write_all_at(bytes.get(at as usize..).unwrap_or_default(), at)?;
            file.sync_data()
        };
        let folder = self.place.folder();
        let files = files(folder).map_err(|source| error("read", folder, source))?;
        for (number, path) in files.iter().filter(|(number, _)| *number >= first) {
            let at = if *number == first { at } else { 0 };
            again(path, at).map_err(|source| error("write", path, source))?;
        }
        Ok(())
    }

    /// Appends lines. Those that are there already are passed over; so lines can be appended any
    /// number of times.
    pub(crate) fn append(&mut self, lines: &[String]) -> Result<(), LogError> {
        let mut text = Vec::new();
        let mut added: Vec<(Head, Seen)> = Vec::new();
        let mut goes_on_from = None;
        for line in lines {
            let Some(entry) = Entry::parse(line.as_bytes()) else {
                tracing::error!(line, "a recorded line of the signing log is no entry");
                continue;
            };
            let head = Head::of(entry.number, line.as_bytes());
            if entry.number <= self.head.number {
                let there = self.seen.get(&entry.number).map(|seen| seen.sha256);
                if there != Some(head.sha256) {
                    tracing::error!(
                        entry = entry.number,
                        "the signing log has another entry than was recorded: somebody has \
                         rewritten it (wheelmark index signing-log verify)"
                    );
                }
                continue;
            }
            let before = added.last().map_or(self.head, |(head, _)| *head);
            if entry.previous != before.sha256 {
                tracing::error!(
                    entry = entry.number,
                    last = before.number,
                    "an entry of the signing log does not follow on the last one that is there: some \
                     are lost (wheelmark index signing-log verify)"
                );
            }
            let seen = Seen {
                sha256: head.sha256,
                timestamp: timestamp_in(&entry),
                file: 0,
                at: text.len() as u64,
            };
            text.extend_from_slice(line.as_bytes());
            text.push(b'\n');
            goes_on_from = entry.follows.map(|follows| follows.sha256);
            added.push((head, seen));
        }
        let (Some((first, _)), Some((last, _))) = (added.first(), added.last()) else {
            return Ok(());
        };
        let (first, last) = (first.number, *last);
        if self.length >= FULL {
            self.begin_file(first)?;
        }
        let written = self.write(&text);
        written.map_err(|source| error("append to", &self.path, source))?;
        let (file, length) = (self.file_number(), self.length);
        let added = added.into_iter().map(|(head, seen)| {
            let at = seen.at + length;
            (head.number, Seen { file, at, ..seen })
        });
        self.seen.extend(added);
        self.length += text.len() as u64;
        self.head = last;
        self.goes_on_from = goes_on_from;
        self.is_unrecorded = true;
        self.place.written.send_replace(last.number);
        Ok(())
    }

    /// Writes behind the last entry, in one piece, so that a process that is killed leaves all of it or
    /// a part of its end.
    fn write(&self, text: &[u8]) -> io::Result<()> {
        let mut file = self.file.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A part that an earlier try left and could not take back.
        if file.metadata()?.len() != self.length {
            file.set_len(self.length)?;
        }
        let written = file.write_all(text);
        if written.is_err() {
            let undone = file.set_len(self.length);
            tracing::debug!(?undone, "what was written of it is taken back");
        }
        written
    }

    /// The number in the name of the file that is written to.
    fn file_number(&self) -> u64 {
        let name = self.path.file_stem().and_then(|name| name.to_str());
        name.and_then(|name| name.parse().ok()).unwrap_or(0)
    }

    /// Sees to it that the log goes on from what is published: where it does not have the entry
    /// that the published timestamp carries, it says so, and from which timestamp it goes on.
    pub(crate) fn stand_on(
        &mut self,
        version: u64,
        sha256: Sha256,
        carried: Option<Head>,
        now: Timestamp,
    ) -> Result<(), LogError> {
        if self.goes_on_from == Some(sha256) {
            return Ok(());
        }
        let there = carried.and_then(|head| self.seen.get(&head.number));
        let lost = match (carried, there) {
            (Some(head), Some(seen)) if seen.sha256 == head.sha256 => {
                // The timestamp's own entry comes behind the one that it carries.
                let mut behind = self.seen.range(head.number + 1..);
                if behind.any(|(_, seen)| seen.timestamp == Some(version)) {
                    return Ok(());
                }
                Some(Head {
                    number: head.number + 1,
                    ..Head::NONE
                })
            }
            (carried, _) => carried,
        };
        if carried.is_some() || self.head.number > 0 {
            tracing::warn!(
                timestamp = version,
                "the signing log does not have what the published timestamp says that it has: \
                 entries are lost, or were taken away; it goes on from here"
            );
        }
        // Behind all that was ever given out, so that no number stands for two entries.
        let number = carried.map_or(0, |head| head.number + 1);
        let before = Head {
            number: self.head.number.max(number),
            ..self.head
        };
        let mut entry = Entry::behind(before, now);
        entry.follows = Some(Follows {
            version,
            sha256,
            lost,
        });
        self.append(&[entry.to_line()])?;
        self.flush_unrecorded()
    }

    /// Goes on in a new file. What stands in the one before is on the disk then.
    fn begin_file(&mut self, first: u64) -> Result<(), LogError> {
        let path = self.place.folder().join(folder::file_name(first));
        let begin = || -> io::Result<File> {
            self.file.sync()?;
            // An earlier try may have made it, and nothing else.
            let file = OpenOptions::new()
                .append(true)
                .read(true)
                .create(true)
                .mode(0o600)
                .open(&path)?;
            if file.metadata()?.len() > 0 {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            File::open(self.place.folder())?.sync_all()?;
            Ok(file)
        };
        let file = begin().map_err(|source| error("begin", &path, source))?;
        *self.file.0.lock().unwrap_or_else(PoisonError::into_inner) = file;
        self.path = path;
        self.length = 0;
        // Published timestamps carry one of the last entries.
        let recent = self.seen.len().saturating_sub(RECENT);
        self.seen = std::mem::take(&mut self.seen)
            .into_iter()
            .skip(recent)
            .collect();
        Ok(())
    }
}

/// How many entries stay in memory when a file is full.
const RECENT: usize = 10_000;

fn error(action: &'static str, path: &Path, source: io::Error) -> LogError {
    LogError {
        action,
        path: path.to_owned(),
        source,
    }
}

/// For its owner alone.
fn make_folder(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => File::open(folder.parent().unwrap_or(folder))?.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Reads the last two files: which entries are there, and which is the last one.
fn look_into(files: &[(u64, PathBuf)]) -> io::Result<Found> {
    let mut found = Found {
        head: Head::NONE,
        goes_on_from: None,
        seen: BTreeMap::new(),
        sound: 0,
    };
    for (first, path) in &files[files.len().saturating_sub(2)..] {
        found.sound = 0;
        let mut lines = Lines::of(path)?;
        loop {
            let begins = lines.at();
            let Some(line) = lines.next() else { break };
            let line = line?;
            let (Some(head), Some(entry)) = (line.head(), &line.entry) else {
                continue;
            };
            let seen = Seen {
                sha256: head.sha256,
                timestamp: timestamp_in(entry),
                file: *first,
                at: begins,
            };
            found.seen.insert(head.number, seen);
            found.head = head;
            found.goes_on_from = entry.follows.map(|follows| follows.sha256);
            found.sound = lines.at();
        }
    }
    Ok(found)
}

/// The version of the timestamp that an entry has.
fn timestamp_in(entry: &Entry) -> Option<u64> {
    let signed = entry.signed.get(&RoleName::timestamp())?;
    Some(signed.version)
}

/// Keeps what stands behind the last entry: an append-only log throws nothing away.
fn put_aside(path: &Path, sound: u64) -> io::Result<()> {
    let bytes = std::fs::read(path)?;
    let rest = bytes.get(sound as usize..).unwrap_or_default();
    if rest.iter().all(|byte| *byte == 0) {
        return Ok(());
    }
    let name = path.with_extension(format!("cut-at-{sound}"));
    tracing::warn!(
        file = %name.display(),
        bytes = rest.len(),
        "the signing log ends in the middle of an entry, as after a crash; the rest is put aside"
    );
    std::fs::write(name, rest)
}

/// The entries of a turn while it is signed: one before the timestamp, which carries it, and one
/// with the timestamp and the seal.
#[derive(Debug)]
pub(crate) struct Logging {
    head: Head,
    entry: Entry,
    lines: Vec<String>,
}

impl Logging {
    /// What `keys` sign from now on, behind `head`.
    pub(crate) fn behind(
        head: Head,
        keys: impl IntoIterator<Item = KeyId>,
        now: Timestamp,
    ) -> Self {
        let mut entry = Entry::behind(head, now);
        entry.keys.extend(keys);
        Self {
            head,
            entry,
            lines: Vec::new(),
        }
    }

    /// A role is signed, as these bytes.
    pub(crate) fn role(&mut self, role: &RoleName, version: u64, signed: &[u8]) {
        if self.entry.signed.len() >= ROLES_IN_A_LINE {
            self.end_entry();
        }
        let sha256 = Sha256::of(signed);
        let signed = SignedRole { version, sha256 };
        self.entry.signed.insert(role.clone(), signed);
    }

    /// A record with this digest is sealed.
    pub(crate) fn record(&mut self, sha256: Sha256) {
        self.entry.record = Some(sha256);
    }

    /// Ends the entry, if anything was signed since the last one; the head then.
    pub(crate) fn end_entry(&mut self) -> Head {
        if self.entry.signed.is_empty() && self.entry.record.is_none() {
            return self.head;
        }
        let line = self.entry.to_line();
        self.head = Head::of(self.entry.number, line.as_bytes());
        self.lines.push(line);
        let keys = std::mem::take(&mut self.entry.keys);
        self.entry = Entry::behind(self.head, self.entry.time);
        self.entry.keys = keys;
        self.head
    }

    /// All lines.
    pub(crate) fn finish(mut self) -> Vec<String> {
        self.end_entry();
        self.lines
    }
}

#[cfg(test)]
mod tests;
