//! The mark of a recovery that has begun: until it is published or given up, nothing else is published.
//!
//! The next online key must not sign what a thief has brought in: whoever kept that could show it to new
//! clients under the next root. So from the ceremony of a recovery on, no process takes up the online
//! keys, but for the command that publishes the recovery. The mark is there before that key is.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use wheelmark_tuf::{KeyId, without_controls};

use super::{Data, beside, sync_directory, unless_absent, write_private};
use crate::logging::WithHint as _;
use crate::published::read_bounded;

/// In the data directory, from `recover ceremony` to `recover publish`.
const MARK: &str = "recovering";

/// What the mark's file has behind its name while it is written.
const PART_SUFFIX: &str = ".new";

/// How the lines of the mark begin that say which recovery it is, by what its ceremony makes.
const FOLDER_LINE: &str = "Its folder: ";
const KEY_LINE: &str = "Its next online key: ";
const KEY_FILE_LINE: &str = "In the file: ";

/// The longest mark that is read, in bytes: above that of the longest path.
const MAX_MARK_LEN: u64 = 64 * 1024;

/// What the mark says.
#[derive(Debug)]
pub(crate) struct Recovering {
    /// Where the recovery is, as far as a line says it.
    pub(crate) folder: String,
    /// The next online key of that recovery.
    pub(crate) key: KeyId,
    /// Where that key was made.
    pub(crate) key_file: PathBuf,
}

/// A path as a line of the mark has it.
pub(crate) fn as_marked(path: &Path) -> std::io::Result<String> {
    let path = std::path::absolute(path)?.display().to_string();
    Ok(without_controls(&path))
}

impl Data {
    fn recovering_mark(&self) -> PathBuf {
        self.directory().join(MARK)
    }

    /// Marks that a recovery has begun in a folder, with this next online key, in words for whoever finds the
    /// file. A mark that is there is replaced at once, so that there is always one.
    pub(crate) fn begin_recovering(
        &self,
        folder: &Path,
        key: &KeyId,
        key_file: &Path,
    ) -> anyhow::Result<()> {
        let text = format!(
            "A recovery of this index has begun. Until it is published or given up, nothing else is published.\n\
             {FOLDER_LINE}{}\n{KEY_LINE}{}\n{KEY_FILE_LINE}{}\n",
            as_marked(folder)?,
            key.as_str(),
            as_marked(key_file)?
        );
        let mark = self.recovering_mark();
        let part = beside(&mark, PART_SUFFIX);
        let cannot = || format!("{} cannot be written", mark.display());
        fs::remove_file(&part)
            .or_else(unless_absent)
            .with_context(cannot)?;
        write_private(&part, text.as_bytes())?;
        fs::rename(&part, &mark).with_context(cannot)?;
        sync_directory(self.directory())
    }

    /// What the mark says, if a recovery has begun.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub(crate) fn recovering(&self) -> anyhow::Result<Option<Recovering>> {
        let mark = self.recovering_mark();
        let bytes = match read_bounded(&mark, MAX_MARK_LEN) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            bytes => bytes.with_context(|| format!("{} cannot be read", mark.display()))?,
        };
        let text = String::from_utf8_lossy(&bytes);
        let line = |name: &str| {
            let found = text.lines().find_map(|line| line.strip_prefix(name));
            found.unwrap_or_default().to_owned()
        };
        Ok(Some(Recovering {
            folder: without_controls(&line(FOLDER_LINE)),
            key: KeyId::from(line(KEY_LINE)),
            key_file: PathBuf::from(line(KEY_FILE_LINE)),
        }))
    }

    /// Takes the mark away, if it is there. Durable when this returns.
    pub(crate) fn end_recovering(&self) -> anyhow::Result<()> {
        let mark = self.recovering_mark();
        fs::remove_file(&mark)
            .or_else(unless_absent)
            .with_context(|| format!("{} cannot be removed", mark.display()))?;
        sync_directory(self.directory())
    }

    /// Refuses where a recovery has begun. What cannot be looked at may be there. Nor is anything put down then for
    /// a later start: the recovery would refuse it, with all that waits.
    pub(crate) fn demand_not_recovering(&self) -> anyhow::Result<()> {
        let mark = self.recovering_mark();
        if matches!(mark.try_exists(), Ok(false)) {
            return Ok(());
        }
        Err(anyhow!(
            "a recovery of this index has begun, and nothing else is published before it"
        ))
        .hint(format!(
            "`wheelmark recover publish` ends it, and `wheelmark recover abandon` gives it up (docs/recovery.md); {} says where it is",
            mark.display()
        ))
    }
}
