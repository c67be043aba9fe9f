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

/// How the line of the mark begins that names the next online key.
const KEY_LINE: &str = "Its next online key: ";

/// The longest mark that is read, in bytes: above that of the longest path.
const MAX_MARK_LEN: u64 = 64 * 1024;

/// What the mark says.
#[derive(Debug)]
pub(crate) struct Recovering {
    /// For people: where the recovery is.
    pub(crate) text: String,
    /// The next online key of that recovery.
    pub(crate) key: Option<KeyId>,
}

impl Data {
    fn recovering_mark(&self) -> PathBuf {
        self.directory().join(MARK)
    }

    /// Marks that a recovery has begun in a folder, with this next online key, in words for whoever finds the
    /// file. A mark that is there is replaced at once, so that there is always one.
    pub(crate) fn begin_recovering(&self, folder: &Path, key: &KeyId) -> anyhow::Result<()> {
        let folder = std::path::absolute(folder)?.display().to_string();
        let text = format!(
            "A recovery of this index has begun in {}. Until it is published, nothing else is.\n{KEY_LINE}{}\n",
            without_controls(&folder),
            key.as_str()
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
        let key = text.lines().find_map(|line| line.strip_prefix(KEY_LINE));
        let key = key.map(|key| KeyId::from(key.trim().to_owned()));
        let text = without_controls(text.lines().next().unwrap_or_default());
        Ok(Some(Recovering { text, key }))
    }

    /// Takes the mark away, if it is there. Durable when this returns.
    pub(crate) fn end_recovering(&self) -> anyhow::Result<()> {
        let mark = self.recovering_mark();
        fs::remove_file(&mark)
            .or_else(unless_absent)
            .with_context(|| format!("{} cannot be removed", mark.display()))?;
        sync_directory(self.directory())
    }

    /// Refuses where a recovery has begun. What cannot be looked at may be there.
    pub(super) fn demand_not_recovering(&self) -> anyhow::Result<()> {
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
