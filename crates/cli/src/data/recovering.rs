//! The mark of a recovery that has begun: until it is published, nothing else is.
//!
//! The next online key must not sign what a thief has brought in: whoever kept that could show it to new
//! clients under the next root. So from the ceremony of a recovery on, no process takes up the online
//! keys, but for the command that publishes the recovery.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};

use super::{Data, write_private};
use crate::logging::WithHint as _;

/// In the data directory, from `recover ceremony` to `recover publish`.
const MARK: &str = "recovering";

impl Data {
    fn recovering_mark(&self) -> PathBuf {
        self.directory().join(MARK)
    }

    /// Marks that a recovery has begun in a folder, in words for whoever finds the file.
    pub(crate) fn begin_recovering(&self, folder: &Path) -> anyhow::Result<()> {
        self.end_recovering()?;
        let text = format!(
            "A recovery of this index has begun in {}. Until it is published, nothing else is.\n",
            folder.display()
        );
        write_private(&self.recovering_mark(), text.as_bytes())
    }

    /// Takes the mark away, if it is there.
    pub(crate) fn end_recovering(&self) -> anyhow::Result<()> {
        let mark = self.recovering_mark();
        match fs::remove_file(&mark) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("{} cannot be removed", mark.display()))
            }
            _ => Ok(()),
        }
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
            "`wheelmark recover publish` ends it (docs/recovery.md). To give it up, break its ceremony off (`wheelmark ceremony abort`), move the next online key away, and remove {}",
            mark.display()
        ))
    }
}
