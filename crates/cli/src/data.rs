//! The data directory of an index: what lies where, how it is made, when it is refused.

pub(crate) mod keys;
pub(crate) mod outside;
mod recovering;
pub(crate) mod socket;

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use rand::Rng as _;
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use serde::{Deserialize, Serialize};
use wheelmark_objects::Directory;
use wheelmark_repository::{Bins, Genesis, Lifetimes, OfflineSigners};
use wheelmark_signing::{
    FileKey, NoSuchKey, Phrase, Seat, Signer, create_private_file, generate_seat, seal,
};
use wheelmark_store::{Orders, Store, format_token};
use wheelmark_tuf::Sha256;
use zeroize::Zeroizing;

use self::keys::Places;
pub(crate) use self::keys::{NEXT_ONLINE_KEY, ONLINE_KEY, keys_in};
pub(crate) use self::recovering::{Recovering, as_marked};
use crate::context::Context;
use crate::logging::WithHint as _;

/// The newest form of data directory that this version knows.
const FORMAT: u32 = FORMAT_APART;

/// The form of one that two users have; earlier versions would not find its catalogue.
const FORMAT_APART: u32 = 3;

/// The form of one whose tree lies elsewhere; earlier versions would not find it.
const FORMAT_ELSEWHERE: u32 = 2;

/// The form of one that holds its tree.
const FORMAT_INSIDE: u32 = 1;

/// The first snapshot of a tree that lies elsewhere, until it is there.
const FIRST_TREE: &str = "first-tree";

/// Where the first snapshot is put together in a tree that lies elsewhere.
const FIRST_STAGING: &str = ".wheelmark-first-run";

/// What `sign-tree` remembers of its source, in the data directory.
pub(crate) const SOURCE_MEMORY: &str = "source.sqlite";

/// The folder of offline keys: its name beside the data directory is that one's with this suffix.
const OFFLINE_SUFFIX: &str = "-offline-keys";

/// The folder of offline keys while the first run makes it.
const OFFLINE_INSIDE: &str = "offline-keys";

/// The folder of the operator's journal, which the web process must not be able to open.
pub(crate) const OPERATOR: &str = "operator";

/// The folder of the signing log, which is nobody's but the snapshot process's.
pub(crate) const SIGNING_LOG: &str = "signing-log";

/// The folder of what the web process writes to, where it runs as a user of its own.
pub(crate) const WEB: &str = "web";

/// The folder of releases that wait for signatures.
const STAGED: &str = "staging";

/// The catalogue's file.
const CATALOGUE: &str = "catalogue.sqlite";

/// How the names of directories begin in which a first run works.
const STAGING: &str = ".wheelmark-first-run-";

/// How many custodians the first ceremony makes keys for; all of them must sign (2 of 2).
const CUSTODIANS: usize = 2;

/// A data directory that exists.
#[derive(Debug)]
pub(crate) struct Data {
    directory: PathBuf,
    settings: Settings,
}

/// What `settings.json` in the data directory says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Settings {
    format: u32,
    pub(crate) bins: u32,
    pub(crate) root_fingerprint: Sha256,
    /// Where the tree is, if it is not in the data directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tree: Option<PathBuf>,
    /// Whether web process and snapshot process run as two users.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    apart: bool,
}

impl Data {
    pub(crate) fn tree(&self) -> PathBuf {
        match &self.settings.tree {
            Some(elsewhere) => elsewhere.clone(),
            None => self.directory.join("repository"),
        }
    }

    /// What `sign-tree` remembers of its source.
    pub(crate) fn source(&self) -> PathBuf {
        self.directory.join(SOURCE_MEMORY)
    }

    pub(crate) fn catalogue(&self) -> PathBuf {
        let folder = match self.settings.apart {
            true => self.directory.join(WEB),
            false => self.directory.clone(),
        };
        folder.join(CATALOGUE)
    }

    /// Where releases wait for signatures: beside the catalogue, in the hands of the web process.
    pub(crate) fn staging(&self) -> PathBuf {
        self.catalogue().with_file_name(STAGED)
    }

    /// Whether web process and snapshot process run as two users.
    pub(crate) fn is_apart(&self) -> bool {
        self.settings.apart
    }

    /// Says that two users have this directory from now on, and brings the catalogue to the folder
    /// that both write to. Nobody may have it open. Doing it again is right.
    pub(crate) fn set_apart(&mut self) -> anyhow::Result<()> {
        let folder = self.directory.join(WEB);
        if !folder.exists() {
            private_directory(&folder)?;
        }
        if !self.settings.apart {
            self.settings.apart = true;
            self.settings.format = FORMAT_APART;
            let text = serde_json::to_vec_pretty(&self.settings)?;
            let (file, next) = ("settings.json", "settings.json.new");
            fs::remove_file(self.directory.join(next)).or_else(unless_absent)?;
            write_private(&self.directory.join(next), &text)?;
            fs::rename(self.directory.join(next), self.directory.join(file))?;
        }
        for suffix in ["-wal", "-shm", ""] {
            let name = format!("{CATALOGUE}{suffix}");
            fs::rename(self.directory.join(&name), folder.join(&name)).or_else(unless_absent)?;
        }
        sync_directory(&folder)?;
        sync_directory(&self.directory)
    }

    /// Refuses any user but the one whose directory this is: what another one makes in there, the
    /// index could not change.
    pub(crate) fn demand_owner(&self) -> anyhow::Result<()> {
        let owner = fs::metadata(&self.directory)?.uid();
        let own = rustix::process::geteuid().as_raw();
        if owner == own {
            return Ok(());
        }
        Err(anyhow!(
            "{} belongs to the user with number {owner}, and this is number {own}",
            self.directory.display()
        ))
        .hint(format!(
            "run it as that user: sudo -u '#{owner}' wheelmark …"
        ))
    }

    /// The directory itself, absolute.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where web process and snapshot process wake one another.
    pub(crate) fn socket(&self) -> anyhow::Result<socket::SocketPath> {
        Ok(socket::SocketPath::in_directory(&self.directory)?)
    }

    /// Whether there is an operator's journal, which this user can open.
    pub(crate) fn has_orders(&self) -> bool {
        fs::File::open(self.directory.join(OPERATOR).join("orders.sqlite")).is_ok()
    }

    /// Opens the operator's journal, in a folder that is nobody else's; the first time makes it.
    pub(crate) async fn orders(&self) -> anyhow::Result<Orders> {
        let folder = self.directory.join(OPERATOR);
        // Another command may make it at the same moment.
        match private_directory(&folder) {
            Ok(()) => sync_directory(&self.directory)?,
            Err(_) if folder.is_dir() => {}
            Err(error) => return Err(error),
        }
        Ok(Orders::open(&folder.join("orders.sqlite")).await?)
    }

    /// The folder in which stands what the online key has signed.
    pub(crate) fn signing_log(&self) -> PathBuf {
        self.directory.join(SIGNING_LOG)
    }

    /// The online key, where it lies in the data directory.
    pub(crate) fn online_key_file(&self) -> PathBuf {
        self.directory.join(ONLINE_KEY)
    }

    pub(crate) fn token(&self) -> PathBuf {
        self.directory.join("token")
    }

    pub(crate) fn root_file(&self) -> PathBuf {
        self.tree().join("metadata").join("1.root.json")
    }

    /// The folder with the offline keys, beside the data directory.
    pub(crate) fn offline_keys(&self) -> PathBuf {
        beside(&self.directory, OFFLINE_SUFFIX)
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Opens the data directory at `directory`; `None` if there is none yet.
    pub(crate) fn open(directory: &Path) -> anyhow::Result<Option<Self>> {
        let directory = std::path::absolute(directory)?;
        let file = directory.join("settings.json");
        let text = match fs::read(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return match is_free(&directory) {
                    Ok(true) => Ok(None),
                    Ok(false) => Err(anyhow!(
                        "{} is not a Wheelmark data directory and not empty",
                        directory.display()
                    ))
                    .hint("name another directory with --data"),
                    Err(error) => Err(error)
                        .with_context(|| format!("{} cannot be read", directory.display())),
                };
            }
            Err(error) => {
                return Err(error).with_context(|| format!("{} cannot be read", file.display()));
            }
        };
        #[derive(Deserialize)]
        struct Form {
            format: u32,
        }
        let damaged = || format!("{} is damaged", file.display());
        let form: Form = serde_json::from_slice(&text).with_context(damaged)?;
        if form.format > FORMAT {
            return Err(anyhow!(
                "{} was written by a newer version of wheelmark (form {}, this one knows {FORMAT})",
                directory.display(),
                form.format
            ))
            .hint("run that version, or restore a backup made before the upgrade");
        }
        let settings: Settings = serde_json::from_slice(&text).with_context(damaged)?;
        move_offline_keys_out(&directory)?;
        if let Some(tree) = &settings.tree {
            outside::move_first_tree(&directory.join(FIRST_TREE), tree)?;
        }
        Ok(Some(Self {
            directory,
            settings,
        }))
    }

    /// Makes a new index: keys, first snapshot, upload token. All of it is made under another
    /// name and appears at once, so that an interrupted first run leaves nothing half-made.
    ///
    /// `announce` is told the folder of the offline keys and the phrase that opens them before
    /// the index appears: an index whose phrase nobody has seen must not come to be.
    ///
    /// The tree is in the data directory, or, where `elsewhere` says so, in a directory of its own,
    /// which holds nothing yet. Then nothing is uploaded, and there is no token.
    pub(crate) async fn create(
        directory: &Path,
        elsewhere: Option<&Path>,
        bins: Bins,
        named_online_key: Option<&Path>,
        context: &Context,
        announce: impl FnOnce(&Path, &Phrase),
    ) -> anyhow::Result<Self> {
        let directory = std::path::absolute(directory)?;
        let parent = directory
            .parent()
            .ok_or_else(|| anyhow!("{} cannot hold an index", directory.display()))?;
        fs::create_dir_all(parent)
            .with_context(|| format!("{} cannot be made", parent.display()))?;
        let offline = beside(&directory, OFFLINE_SUFFIX);
        if offline.exists() {
            return Err(anyhow!(
                "{} exists, but the index it belongs to does not",
                offline.display()
            ))
            .hint("move it away (or remove it, if no index was ever published with these keys)");
        }
        let staging = Staging::new(parent)?;
        let made = staging.path().join("data");
        let online = Places::elsewhere(named_online_key)?;
        let online = online.map(|places| places.for_new_index()).transpose()?;
        let phrase = make(&made, elsewhere, bins, online, context).await?;
        announce(&offline, &phrase);
        fs::rename(&made, &directory)
            .with_context(|| format!("{} cannot be made", directory.display()))?;
        sync_directory(parent)?;
        Self::open(&directory)?
            .ok_or_else(|| anyhow!("{} vanished while it was made", directory.display()))
    }
}

/// Makes a data directory, with the folder of offline keys inside it, in a place that nobody else
/// looks at. `online` is the online key, where it is to be kept elsewhere.
async fn make(
    data: &Path,
    elsewhere: Option<&Path>,
    bins: Bins,
    online: Option<Arc<dyn Signer>>,
    context: &Context,
) -> anyhow::Result<Phrase> {
    let offline = data.join(OFFLINE_INSIDE);
    private_directory(data)?;
    private_directory(&offline)?;

    let mut random = UnwrapErr(SysRng);
    let online = match online {
        Some(key) => key,
        None => Arc::new(FileKey::create(&data.join(ONLINE_KEY), &mut random)?),
    };
    let seats: Vec<Seat> = (0..CUSTODIANS)
        .map(|_| generate_seat(&mut random))
        .collect();
    let phrase = Phrase::generate(&mut random);
    for (i, seat) in seats.iter().enumerate() {
        let name = format!("custodian-{}.age", i + 1);
        write_private(&offline.join(name), &seal(seat, &phrase, None)?)?;
    }

    let place = elsewhere.map_or("repository", |_| FIRST_TREE);
    let tree = Directory::open(&data.join(place)).await?;
    let holders = |role: &str| -> Result<Vec<&dyn Signer>, NoSuchKey> {
        seats.iter().map(|seat| seat.signer(role)).collect()
    };
    let signers = OfflineSigners {
        root: holders("root")?,
        targets: holders("targets")?,
        bins: holders("bins")?,
        claimed: holders("claimed")?,
    };
    let genesis = Genesis {
        bins,
        lifetimes: Lifetimes::default(),
        now: context.clock.now(),
    };
    let root_fingerprint = genesis.write(&tree, &signers, &*online).await?;

    let store = Store::open(&data.join("catalogue.sqlite")).await?;
    if elsewhere.is_none() {
        first_token(data, &store, context).await?;
    }
    store.close().await;

    let settings = Settings {
        format: elsewhere.map_or(FORMAT_INSIDE, |_| FORMAT_ELSEWHERE),
        bins: bins.count(),
        root_fingerprint,
        tree: elsewhere.map(Path::to_owned),
        apart: false,
    };
    let mut text = serde_json::to_vec_pretty(&settings)?;
    text.push(b'\n');
    write_private(&data.join("settings.json"), &text)?;
    sync_directory(&offline)?;
    sync_directory(data)?;
    Ok(phrase)
}

/// Makes the token of a first run, which may do everything, and writes it into the data directory.
pub(crate) async fn first_token(
    data: &Path,
    store: &Store,
    context: &Context,
) -> anyhow::Result<()> {
    let mut secret = Zeroizing::new([0u8; 32]);
    UnwrapErr(SysRng).fill_bytes(secret.as_mut_slice());
    let token = Zeroizing::new(format_token(&secret));
    store
        .add_operator_token(
            "first",
            Sha256::of(token.as_bytes()),
            context.clock.now(),
            "made by the first run",
        )
        .await?;
    write_private(&data.join("token"), token.as_bytes())
}

/// Writes the settings of a data directory that holds its tree.
pub(crate) fn write_settings(
    data: &Path,
    bins: u32,
    root_fingerprint: Sha256,
) -> anyhow::Result<()> {
    let settings = Settings {
        format: FORMAT_INSIDE,
        bins,
        root_fingerprint,
        tree: None,
        apart: false,
    };
    let mut text = serde_json::to_vec_pretty(&settings)?;
    text.push(b'\n');
    write_private(&data.join("settings.json"), &text)
}

/// The directory in which a first run makes everything. It is removed when this is dropped, and
/// by the next first run beside it if the process was killed: it holds keys in the clear.
pub(crate) struct Staging {
    directory: tempfile::TempDir,
    _lock: fs::File,
}

impl Staging {
    pub(crate) fn new(parent: &Path) -> anyhow::Result<Self> {
        let cannot = || format!("nothing can be written to {}", parent.display());
        let make = || -> std::io::Result<Self> {
            let directory = tempfile::Builder::new()
                .prefix(STAGING)
                .tempdir_in(parent)?;
            let lock = fs::File::open(directory.path())?;
            lock.try_lock()?;
            Ok(Self {
                directory,
                _lock: lock,
            })
        };
        let staging = make().with_context(cannot)?;
        for entry in fs::read_dir(parent).with_context(cannot)? {
            let path = entry.with_context(cannot)?.path();
            let left_over = path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(STAGING));
            if left_over && fs::File::open(&path).is_ok_and(|lock| lock.try_lock().is_ok()) {
                fs::remove_dir_all(&path)
                    .with_context(|| format!("{} cannot be removed", path.display()))?;
            }
        }
        Ok(staging)
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// Moves the offline keys out of the data directory, where the first run leaves them so that both
/// appear at once.
fn move_offline_keys_out(directory: &Path) -> anyhow::Result<()> {
    let inside = directory.join(OFFLINE_INSIDE);
    let outside = beside(directory, OFFLINE_SUFFIX);
    if !inside.exists() {
        return Ok(());
    }
    if outside.exists() {
        return Err(anyhow!(
            "{} is to become {}, which exists",
            inside.display(),
            outside.display()
        ))
        .hint("move the one that exists away: it belongs to another index");
    }
    fs::rename(&inside, &outside)
        .with_context(|| format!("{} cannot be made", outside.display()))?;
    sync_directory(directory)?;
    sync_directory(outside.parent().unwrap_or(directory))
}

/// `<path><suffix>`, in the same parent directory.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}

fn is_free(directory: &Path) -> std::io::Result<bool> {
    match fs::read_dir(directory) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

fn private_directory(path: &Path) -> anyhow::Result<()> {
    fs::DirBuilder::new()
        .mode(0o700)
        .create(path)
        .with_context(|| format!("{} cannot be made", path.display()))
}

pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    create_private_file(path, bytes)
        .with_context(|| format!("{} cannot be written", path.display()))
}

fn unless_absent(error: std::io::Error) -> std::io::Result<()> {
    match error.kind() {
        std::io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    }
}

pub(crate) fn sync_directory(path: &Path) -> anyhow::Result<()> {
    let synced = fs::File::open(path).and_then(|directory| directory.sync_all());
    if let Err(error) = synced {
        bail!("{} cannot be made durable: {error}", path.display());
    }
    Ok(())
}
