//! The directory of a recovery: the plan, the last good state, the ceremony.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use wheelmark_recovery::{MAX_PLAN_LEN, Plan};

use crate::logging::WithHint as _;
use crate::published::read_bounded;

/// What changed, and what is decided.
const PLAN: &str = "plan.json";

/// The tree of the last good state.
const LAST_GOOD: &str = "last-good";

/// The tree while it is put together.
const NEXT_TREE: &str = ".last-good.part";

/// The ceremony that stands on that tree.
const CEREMONY: &str = "ceremony";

/// The directory of a recovery.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub(super) fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn plan_file(&self) -> PathBuf {
        self.path.join(PLAN)
    }

    pub(super) fn last_good(&self) -> PathBuf {
        self.path.join(LAST_GOOD)
    }

    /// Where the tree is put together: nothing takes it for one.
    pub(super) fn next_tree(&self) -> PathBuf {
        self.path.join(NEXT_TREE)
    }

    pub(super) fn has_ceremony(&self) -> bool {
        self.path.join(CEREMONY).exists()
    }

    /// The plan; none where there is no recovery yet.
    pub(super) fn earlier(&self) -> anyhow::Result<Option<Plan>> {
        let file = self.plan_file();
        let bytes = match read_bounded(&file, MAX_PLAN_LEN) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            bytes => bytes.with_context(|| format!("{} cannot be read", file.display()))?,
        };
        let plan = Plan::from_json(&bytes);
        plan.map(Some)
            .with_context(|| format!("{} cannot be used", file.display()))
            .hint("put right what was changed by hand, or move the file away and plan again: what was decided goes with it")
    }

    /// The plan of a recovery that is there.
    pub(super) fn plan(&self) -> anyhow::Result<Plan> {
        self.earlier()?
            .with_context(|| format!("there is no recovery in {}", self.path.display()))
            .hint("wheelmark recover plan --last-good … -o DIR makes one")
    }

    /// Writes the plan, whole or not at all.
    pub(super) fn write(&self, plan: &Plan) -> anyhow::Result<()> {
        let (file, bytes) = (self.plan_file(), plan.to_json()?);
        let write = || -> std::io::Result<()> {
            let mut part = tempfile::NamedTempFile::new_in(&self.path)?;
            part.write_all(&bytes)?;
            part.as_file().sync_all()?;
            part.persist(&file).map_err(|error| error.error)?;
            std::fs::File::open(&self.path)?.sync_all()
        };
        write().with_context(|| format!("{} cannot be written", file.display()))
    }
}
