//! The directory of a recovery: the plan, the last good state, the ceremony.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use wheelmark_client::demand_guarded;
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

    /// Whether a path leads to the tree of the last good state that is here.
    pub(super) fn is_last_good(&self, path: &Path) -> bool {
        let own = self.last_good().canonicalize();
        own.is_ok_and(|own| path.canonicalize().is_ok_and(|path| path == own))
    }

    /// Makes the directory, in which nobody else can write.
    pub(super) fn make(&self) -> anyhow::Result<()> {
        let mut folder = fs::DirBuilder::new();
        folder
            .mode(0o700)
            .recursive(true)
            .create(&self.path)
            .with_context(|| format!("{} cannot be made", self.path.display()))?;
        self.demand_own()
    }

    /// Refuses a directory, or a plan, that another user has or could write: what is decided there would be kept
    /// and dropped by the word of whoever that is. Root can write everywhere.
    pub(super) fn demand_own(&self) -> anyhow::Result<()> {
        let owners = [rustix::process::geteuid().as_raw(), 0];
        for path in [self.path.clone(), self.plan_file()] {
            if !path.exists() {
                continue;
            }
            let guarded = demand_guarded(&path, &owners).with_context(|| {
                format!(
                    "what is decided in {} may be somebody else's word",
                    self.path.display()
                )
            });
            guarded.hint(format!(
                "look at what is decided there (`wheelmark recover show`), and take it over with `chmod go-w {}`, or as root with chown; in doubt plan into a new directory",
                path.display()
            ))?;
        }
        Ok(())
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
            fs::File::open(&self.path)?.sync_all()
        };
        write().with_context(|| format!("{} cannot be written", file.display()))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test says where it failed")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn nobody_else_decides() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::at(&place.path().join("recovery"));
        folder.make().unwrap();
        let made = fs::metadata(folder.path()).unwrap().permissions().mode();
        assert_eq!(made & 0o777, 0o700);
        let plan = folder.plan_file();
        fs::write(&plan, "{}").unwrap();
        mode(&plan, 0o644);
        folder.demand_own().unwrap();
        for (path, open) in [(folder.path(), 0o777), (&plan, 0o664), (&plan, 0o646)] {
            let before = fs::metadata(path).unwrap().permissions().mode();
            mode(path, open);
            let refused = format!("{:#}", folder.demand_own().unwrap_err());
            assert!(refused.contains("somebody else's word"), "{refused}");
            assert!(refused.contains("can write it"), "{refused}");
            mode(path, before);
        }
        folder.make().unwrap();
    }
}
