//! The directory of a recovery: the plan, the last good state, the ceremony.

use std::ffi::OsString;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tempfile::NamedTempFile;
use wheelmark_ceremony::OnlineKey;
use wheelmark_client::demand_guarded;
use wheelmark_recovery::{MAX_PLAN_LEN, Plan};
use wheelmark_tuf::KeyId;

use crate::commands::ceremony::recovery::NEXT_KEY;
use crate::data::sync_directory;
use crate::logging::WithHint as _;
use crate::published::read_bounded;

/// What changed, and what is decided.
const PLAN: &str = "plan.json";

/// How the names of files begin in which a plan is written.
const NEXT_PLAN: &str = ".plan-";

/// The tree of the last good state.
const LAST_GOOD: &str = "last-good";

/// The tree while it is put together.
const NEXT_TREE: &str = ".last-good.part";

/// The ceremony that stands on that tree.
const CEREMONY: &str = "ceremony";

/// How the names of folders begin that hold what was given up.
const ABANDONED: &str = "abandoned-";

/// How much of a key's id stands in a name.
const ID_LEN: usize = 16;

/// The longest file of an online key's public half, in bytes.
const MAX_PUBLIC_LEN: u64 = 64 * 1024;

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
        self.ceremony().exists()
    }

    pub(super) fn ceremony(&self) -> PathBuf {
        self.path.join(CEREMONY)
    }

    /// The next online key that a ceremony here was to bring, by its public half.
    pub(super) fn next_key(&self) -> anyhow::Result<Option<KeyId>> {
        let file = self.path.join(NEXT_KEY);
        let bytes = match read_bounded(&file, MAX_PUBLIC_LEN) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            bytes => bytes.with_context(|| format!("{} cannot be read", file.display()))?,
        };
        let half = OnlineKey::read(&bytes)
            .with_context(|| format!("{} is refused", file.display()))
            .hint(
                "move it away if it is not what `wheelmark recover ceremony` has written there",
            )?;
        Ok(Some(half.key().keyid().clone()))
    }

    /// Where what belongs to a next online key lies once it is given up: the last such place, or the next, where
    /// a ceremony lies in that one already.
    pub(super) fn abandoned(&self, key: &KeyId) -> PathBuf {
        let first = format!("{ABANDONED}{}", short(key));
        let more = (2_u32..).map(|number| self.path.join(format!("{first}-{number}")));
        let mut at = self.path.join(&first);
        for next in more {
            let is_full = self.has_ceremony() && at.join(CEREMONY).exists();
            if !is_full && !next.exists() {
                break;
            }
            at = next;
        }
        at
    }

    /// Moves the ceremony to such a place; where it lies then, if there is one.
    pub(super) fn put_ceremony_aside(&self, aside: &Path) -> anyhow::Result<Option<PathBuf>> {
        self.put_aside(CEREMONY, aside)?;
        let ceremony = aside.join(CEREMONY);
        Ok(ceremony.exists().then_some(ceremony))
    }

    /// Moves the public half of the next online key there, so that another one can be made.
    pub(super) fn put_public_half_aside(&self, aside: &Path) -> anyhow::Result<()> {
        self.put_aside(NEXT_KEY, aside)
    }

    fn put_aside(&self, name: &str, aside: &Path) -> anyhow::Result<()> {
        let from = self.path.join(name);
        if !from.exists() {
            return Ok(());
        }
        let cannot = || format!("{} cannot be moved to {}", from.display(), aside.display());
        fs::create_dir_all(aside).with_context(cannot)?;
        fs::rename(&from, aside.join(name)).with_context(cannot)?;
        sync_directory(aside)?;
        sync_directory(&self.path)
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

    /// Whether anything lies there, where there is no plan, that `recover plan` has not left when it was killed.
    pub(super) fn is_used(&self) -> anyhow::Result<bool> {
        let cannot = || format!("{} cannot be read", self.path.display());
        let entries = match fs::read_dir(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            entries => entries.with_context(cannot)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            names.push(entry.with_context(cannot)?.file_name());
        }
        let is_plan = |name: &OsString| name.to_string_lossy().starts_with(NEXT_PLAN);
        // The tree gets its name when the plan has been written beside it: alone, it may be somebody's copy.
        let has_plan = names.iter().any(is_plan);
        let is_ours =
            |name: &OsString| is_plan(name) || name == NEXT_TREE || has_plan && name == LAST_GOOD;
        Ok(!names.iter().all(is_ours))
    }

    /// Writes the plan, whole or not at all.
    pub(super) fn write(&self, plan: &Plan) -> anyhow::Result<()> {
        self.stage(plan)?.put_in_place()
    }

    /// Writes the plan beside the place where it is to be.
    pub(super) fn stage(&self, plan: &Plan) -> anyhow::Result<Staged> {
        let (file, bytes) = (self.plan_file(), plan.to_json()?);
        let stage = || -> std::io::Result<NamedTempFile> {
            let mut part = tempfile::Builder::new()
                .prefix(NEXT_PLAN)
                .tempfile_in(&self.path)?;
            part.write_all(&bytes)?;
            part.as_file().sync_all()?;
            Ok(part)
        };
        let part = stage().with_context(|| format!("{} cannot be written", file.display()))?;
        Ok(Staged { part, file })
    }
}

/// A plan that is written and has not its name yet.
pub(super) struct Staged {
    part: NamedTempFile,
    file: PathBuf,
}

impl Staged {
    /// Puts it in the place of the one that is there. Durable when this returns.
    pub(super) fn put_in_place(self) -> anyhow::Result<()> {
        let Self { part, file } = self;
        part.persist(&file)
            .map_err(|error| error.error)
            .with_context(|| format!("{} cannot be written", file.display()))?;
        sync_directory(file.parent().unwrap_or(Path::new(".")))
    }
}

/// As much of a key's id as names have: enough to tell it from others.
pub(super) fn short(key: &KeyId) -> String {
    let id = key.as_str().chars();
    id.filter(char::is_ascii_alphanumeric)
        .take(ID_LEN)
        .collect()
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
