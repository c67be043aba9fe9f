//! The data directory of an index: what lies where, how it is made, when it is refused.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
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
use wheelmark_store::{Store, format_token};
use wheelmark_tuf::Sha256;
use zeroize::Zeroizing;

use crate::context::Context;
use crate::logging::WithHint as _;

/// The form of data directory that this version writes.
const FORMAT: u32 = 1;

/// The name under which a credential directory (systemd's `LoadCredential=`) holds the online key.
const ONLINE_KEY_CREDENTIAL: &str = "wheelmark-online-key";

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
}

/// What only the first run can tell.
pub(crate) struct FirstRun {
    /// Opens the files with the offline keys.
    pub(crate) phrase: Phrase,
}

impl Data {
    pub(crate) fn tree(&self) -> PathBuf {
        self.directory.join("repository")
    }

    pub(crate) fn catalogue(&self) -> PathBuf {
        self.directory.join("catalogue.sqlite")
    }

    pub(crate) fn token(&self) -> PathBuf {
        self.directory.join("token")
    }

    pub(crate) fn root_file(&self) -> PathBuf {
        self.tree().join("metadata").join("1.root.json")
    }

    /// The folder with the offline keys, beside the data directory.
    pub(crate) fn offline_keys(&self) -> PathBuf {
        beside(&self.directory, "-offline-keys")
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
        let settings = serde_json::from_slice(&text).with_context(damaged)?;
        Ok(Some(Self {
            directory,
            settings,
        }))
    }

    /// Makes a new index: keys, first snapshot, upload token. All of it is made under another
    /// name and appears at once, so that an interrupted first run leaves nothing half-made.
    pub(crate) async fn create(
        directory: &Path,
        bins: Bins,
        context: &Context,
    ) -> anyhow::Result<(Self, FirstRun)> {
        let directory = std::path::absolute(directory)?;
        let parent = directory
            .parent()
            .ok_or_else(|| anyhow!("{} cannot hold an index", directory.display()))?;
        fs::create_dir_all(parent)
            .with_context(|| format!("{} cannot be made", parent.display()))?;
        let offline = beside(&directory, "-offline-keys");
        if offline.exists() {
            return Err(anyhow!(
                "{} exists, but the index it belongs to does not",
                offline.display()
            ))
            .hint("move it away (or remove it, if no index was ever published with these keys)");
        }
        let staging = tempfile::Builder::new()
            .prefix(".wheelmark-first-run-")
            .tempdir_in(parent)
            .with_context(|| format!("nothing can be written to {}", parent.display()))?;

        let made = make(staging.path(), bins, context).await?;
        fs::rename(staging.path().join("offline-keys"), &offline)
            .with_context(|| format!("{} cannot be made", offline.display()))?;
        let moved = fs::rename(staging.path().join("data"), &directory)
            .with_context(|| format!("{} cannot be made", directory.display()));
        if let Err(error) = moved {
            // Without its index, the folder of keys is of no use to anyone.
            drop(fs::remove_dir_all(&offline));
            return Err(error);
        }
        sync_directory(parent)?;
        let data = Self::open(&directory)?
            .ok_or_else(|| anyhow!("{} vanished while it was made", directory.display()))?;
        Ok((data, made))
    }

    /// Opens the online key: the file that is named, the credential, or the data directory's own.
    pub(crate) fn online_key(&self, named: Option<&Path>) -> anyhow::Result<Arc<dyn Signer>> {
        let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        let own = self.directory.join("online-key");
        let key = match (named, credentials) {
            (Some(file), _) => FileKey::open(file),
            (None, Some(directory)) if directory.join(ONLINE_KEY_CREDENTIAL).exists() => {
                FileKey::from_credentials(&directory, ONLINE_KEY_CREDENTIAL)
            }
            (None, _) => FileKey::open(&own),
        };
        Ok(Arc::new(key.hint(
            "the online key signs what is published; it lies in the data directory as `online-key`, or is named with --online-key",
        )?))
    }
}

/// Makes `data` and `offline-keys` in a directory that nobody else looks at.
async fn make(staging: &Path, bins: Bins, context: &Context) -> anyhow::Result<FirstRun> {
    let data = staging.join("data");
    let offline = staging.join("offline-keys");
    private_directory(&data)?;
    private_directory(&offline)?;

    let mut random = UnwrapErr(SysRng);
    let online = FileKey::create(&data.join("online-key"), &mut random)?;
    let seats: Vec<Seat> = (0..CUSTODIANS)
        .map(|_| generate_seat(&mut random))
        .collect();
    let phrase = Phrase::generate(&mut random);
    for (i, seat) in seats.iter().enumerate() {
        let name = format!("custodian-{}.age", i + 1);
        write_private(&offline.join(name), &seal(seat, &phrase, None)?)?;
    }

    let tree = Directory::open(&data.join("repository")).await?;
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
    let root_fingerprint = genesis.write(&tree, &signers, &online).await?;

    let store = Store::open(&data.join("catalogue.sqlite")).await?;
    let mut secret = Zeroizing::new([0u8; 32]);
    random.fill_bytes(secret.as_mut_slice());
    let token = Zeroizing::new(format_token(&secret));
    store
        .add_token(
            "first",
            Sha256::of(token.as_bytes()),
            context.clock.now(),
            "made by the first run",
        )
        .await?;
    store.close().await;
    write_private(&data.join("token"), token.as_bytes())?;

    let settings = Settings {
        format: FORMAT,
        bins: bins.count(),
        root_fingerprint,
    };
    let mut text = serde_json::to_vec_pretty(&settings)?;
    text.push(b'\n');
    write_private(&data.join("settings.json"), &text)?;
    sync_directory(&data)?;
    sync_directory(&offline)?;
    Ok(FirstRun { phrase })
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

fn write_private(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    create_private_file(path, bytes)
        .with_context(|| format!("{} cannot be written", path.display()))
}

fn sync_directory(path: &Path) -> anyhow::Result<()> {
    let synced = fs::File::open(path).and_then(|directory| directory.sync_all());
    if let Err(error) = synced {
        bail!("{} cannot be made durable: {error}", path.display());
    }
    Ok(())
}
