//! `wheelmark index permissions`: a data directory for two users, of whom one has no keys.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use rustix::fs::{Dir, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use wheelmark_objects::{Directory, LockError};
use wheelmark_store::Store;

use crate::commands::up::print_line;
use crate::data::{Data, SIGNING_LOG, WEB};
use crate::logging::WithHint as _;

/// Give the data directory to two users: one that publishes, and one for the web that has no keys
///
///   wheelmark index permissions --data /var/lib/wheelmark/index
///
/// Run it as root while the index does not run; doing it again is right, and needed after a
/// restore. From then on `wheelmark snapshotter` runs as the one user and `wheelmark serve` as the
/// other; both are in the group. The web's user can read what is published, add uploads, and
/// write to the catalogue. It can read no key and not the operator's journal, and cannot change
/// what is signed for a file. Files that it has uploaded stay its own: it can spoil them, and
/// clients refuse them then. Offline keys are not touched: take them off the machine.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// The user that runs `wheelmark serve`, by name or number
    #[arg(long, value_name = "USER", default_value = "wheelmark-web")]
    web: String,

    /// The user that runs `wheelmark snapshotter`, by name or number
    #[arg(long, value_name = "USER", default_value = "wheelmark")]
    snapshotter: String,

    /// The group that both are in, by name or number
    #[arg(long, value_name = "GROUP", default_value = "wheelmark")]
    group: String,
}

/// Whose everything becomes.
#[derive(Clone, Copy)]
struct Owners {
    user: Uid,
    group: Gid,
}

/// What a folder and the files below it are allowed.
#[derive(Clone, Copy)]
struct Modes {
    folder: u32,
    file: u32,
}

/// Nobody else's.
const PRIVATE: Modes = Modes {
    folder: 0o700,
    file: 0o600,
};

/// What is published.
const PUBLISHED: Modes = Modes {
    folder: 0o755,
    file: 0o644,
};

/// Where the web's user adds files: it can take away and rename its own alone (the sticky bit).
const UPLOADS: Modes = Modes {
    folder: 0o3775,
    file: 0o644,
};

/// What both write.
const SHARED: Modes = Modes {
    folder: 0o2770,
    file: 0o660,
};

/// The data directory itself: the web's user enters it, and makes nothing there.
const DIRECTORY: u32 = 0o2750;

/// What the group reads in there.
const READABLE: u32 = 0o640;

/// The folder of unfinished files: both have one of their own in it.
const INCOMING: u32 = 0o3770;

pub(super) async fn run(args: &Args, mut data: Data) -> anyhow::Result<ExitCode> {
    data.demand_uploads()?;
    let web = number(&args.web, "/etc/passwd", "user")?;
    let user = number(&args.snapshotter, "/etc/passwd", "user")?;
    let group = number(&args.group, "/etc/group", "group")?;
    if web == user {
        return Err(anyhow!("--web and --snapshotter name the same user"))
            .hint("two users are what this is about: `wheelmark up` runs as one");
    }
    let owners = Owners {
        user: Uid::from_raw(user),
        group: Gid::from_raw(group),
    };
    let tree = Directory::open(&data.tree()).await?;
    let _lock = tree.lock().await.map_err(|error| match error {
        held @ LockError::Held { .. } => anyhow!(held).context("the index runs"),
        other => other.into(),
    })?;
    // Once it is the web's, root does not open it any more: who knows what lies there.
    if !data.is_apart() {
        data.orders().await?.close().await;
        // Without a log beside it, so that it can be moved.
        Store::open(&data.catalogue()).await?.close().await;
        fs::create_dir_all(data.tree().join("targets/packages"))?;
        fs::create_dir_all(data.signing_log())?;
    }
    data.set_apart()?;
    drop(tree);
    give(&data, owners)?;
    print_line(&format!(
        "{} is for two users now:\n  \
         as {}: wheelmark snapshotter --data {1}\n  \
         as {}: wheelmark serve --data {1}",
        data.directory().display(),
        args.snapshotter,
        args.web,
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Sets owners and modes.
fn give(data: &Data, owners: Owners) -> anyhow::Result<()> {
    let directory = Place::open(data.directory())?;
    for name in ["settings.json", "index.toml"] {
        directory.set_file(name, owners, READABLE)?;
    }
    for name in ["online-key", "token"] {
        directory.set_file(name, owners, PRIVATE.file)?;
    }
    // While it takes over.
    let next = data.online_key_files(None)[1].clone();
    if next.symlink_metadata().is_ok() {
        directory.set_file("online-key.next", owners, PRIVATE.file)?;
    }
    directory.folder("operator")?.set_all(owners, PRIVATE)?;
    // A backup of an earlier version has none; then the snapshot process makes it.
    if data.signing_log().symlink_metadata().is_ok() {
        directory.folder(SIGNING_LOG)?.set_all(owners, PRIVATE)?;
    }
    directory.folder(WEB)?.set_all(owners, SHARED)?;
    let tree = Place::open(&data.tree())?;
    tree.set_all(owners, PUBLISHED)?;
    // Whoever can open it can hold it, and keep the snapshot process from starting.
    tree.set_file(".lock", owners, PRIVATE.file)?;
    tree.folder("targets")?
        .folder("packages")?
        .set_all(owners, UPLOADS)?;
    let incoming = tree.folder(".incoming")?;
    incoming.set_all(owners, PRIVATE)?;
    incoming.set(owners, INCOMING)?;
    directory.set(owners, DIRECTORY)
}

/// An open folder. Everything goes through its descriptor, so that no link that somebody puts in
/// the place of a folder leads root elsewhere.
struct Place {
    folder: OwnedFd,
    path: PathBuf,
}

/// How folders and files are opened: themselves, never what a link in their place leads to.
const ITSELF: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC);

impl Place {
    fn open(path: &Path) -> anyhow::Result<Self> {
        let folder = rustix::fs::open(path, ITSELF | OFlags::DIRECTORY, Mode::empty());
        let folder = folder.with_context(|| cannot(path))?;
        let path = path.to_owned();
        Ok(Self { folder, path })
    }

    fn folder(&self, name: &str) -> anyhow::Result<Self> {
        let path = self.path.join(name);
        let flags = ITSELF | OFlags::DIRECTORY;
        let folder = rustix::fs::openat(&self.folder, name, flags, Mode::empty());
        let folder = folder.with_context(|| cannot(&path))?;
        Ok(Self { folder, path })
    }

    /// Sets everything below, and the folder itself. What is neither a folder nor a plain file is
    /// left alone.
    fn set_all(&self, owners: Owners, modes: Modes) -> anyhow::Result<()> {
        self.set(owners, modes.folder)?;
        for entry in Dir::read_from(&self.folder).with_context(|| cannot(&self.path))? {
            let entry = entry.with_context(|| cannot(&self.path))?;
            let name = entry.file_name().to_string_lossy();
            match entry.file_type() {
                _ if name == "." || name == ".." => {}
                FileType::Directory => self.folder(&name)?.set_all(owners, modes)?,
                FileType::RegularFile => self.set_file(&name, owners, modes.file)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Sets the folder itself.
    fn set(&self, owners: Owners, mode: u32) -> anyhow::Result<()> {
        set(&self.folder, &self.path, owners, mode)
    }

    /// Sets a plain file, if it is there.
    fn set_file(&self, name: &str, owners: Owners, mode: u32) -> anyhow::Result<()> {
        let path = self.path.join(name);
        let file = match rustix::fs::openat(&self.folder, name, ITSELF, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(()),
            Err(errno) => return Err(errno).with_context(|| cannot(&path)),
        };
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode);
        match kind {
            FileType::RegularFile => set(&file, &path, owners, mode),
            _ => Err(anyhow!("{} is no plain file", path.display())),
        }
    }
}

/// The owner first: changing it takes the higher bits of a mode away.
fn set(open: &OwnedFd, path: &Path, owners: Owners, mode: u32) -> anyhow::Result<()> {
    rustix::fs::fchown(open, Some(owners.user), Some(owners.group))
        .with_context(|| cannot(path))
        .hint("run this as root")?;
    rustix::fs::fchmod(open, Mode::from_raw_mode(mode)).with_context(|| cannot(path))
}

fn cannot(path: &Path) -> String {
    format!("{} cannot be given to another user", path.display())
}

/// The number of a user or a group, that stands in the third field of a line.
fn number(name: &str, file: &str, what: &str) -> anyhow::Result<u32> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let lines = fs::read_to_string(PathBuf::from(file))?;
    let found = lines.lines().find_map(|line| {
        let mut fields = line.split(':');
        let named = fields.next()? == name;
        named.then(|| fields.nth(1)?.parse().ok()).flatten()
    });
    found
        .ok_or_else(|| anyhow!("there is no {what} {name}"))
        .hint("make it first (systemd-sysusers, useradd --system), or name its number")
}
