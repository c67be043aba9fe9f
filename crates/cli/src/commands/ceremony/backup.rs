//! `wheelmark ceremony backup`: what a new machine needs beside a copy of the tree, encrypted.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use serde_json::json;
use wheelmark_ceremony::Standing;
use wheelmark_signing::{FileKey, Lock, Recipient, Signer as _, lock_bytes};
use wheelmark_tuf::{RoleName, Root};
use zeroize::Zeroizing;

use super::folder::Folder;
use super::parcel::Parcel;
use super::signer::{Passphrase, new_phrase, show_phrase};
use crate::commands::up::print_line;
use crate::context::Context;
use crate::data::{Data, write_private};
use crate::logging::WithHint as _;
use crate::published::{self, read_bounded};

/// No private key in PEM is longer than this, in bytes.
const MAX_KEY_LEN: u64 = 16 * 1024;

/// The longest configuration file, in bytes.
const MAX_SETTINGS_LEN: u64 = 1024 * 1024;

/// Keep the online key and the record of ceremonies, encrypted
///
/// One file in the age format, for a safe. A full one holds the online key, the index's settings,
/// every root and the offline roles as they are published, and the ceremonies that are named. With
/// --online-only it holds the online key and the newest root, for whoever has to bring the index
/// back at night and should have nothing else. Holders' private keys are in neither: they never
/// come here, and `alice.age` is a backup of itself.
///
///   wheelmark ceremony backup march --data /srv/index --out full.age
///   wheelmark ceremony backup --data /srv/index --out night.age --online-only \
///       --recipient age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kudklsejs7g2sfv
///   wheelmark ceremony unpack full.age --out /tmp/full
///
/// Without --recipient a phrase opens it, which is printed once. It is not a backup of the index itself:
/// that is `wheelmark index backup`.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// Directories of ceremonies, to be kept as they are
    #[arg(value_name = "DIR", conflicts_with = "online_only")]
    ceremonies: Vec<PathBuf>,

    /// The data directory of the index
    #[arg(long, value_name = "DIR", default_value = "wheelmark-data")]
    data: PathBuf,

    /// Where the backup is to be; never overwritten
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    /// The online key and the newest root, and nothing else
    #[arg(long)]
    online_only: bool,

    /// Where the online key is, if not in the data directory
    #[arg(long, value_name = "FILE")]
    online_key: Option<PathBuf>,

    /// Encrypt it for somebody (age1…) in place of a phrase; several can each open it
    #[arg(long = "recipient", value_name = "AGE1", conflicts_with_all = ["passphrase_fd", "passphrase_credential"])]
    recipients: Vec<Recipient>,

    #[command(flatten)]
    passphrase: Passphrase,

    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    if args.out.exists() {
        return Err(anyhow!("{} is there already", args.out.display()))
            .hint("a backup is never overwritten: name another file");
    }
    let data = Data::open_existing(&args.data)?;
    let (published, _) = published::read(&data.tree())?;
    let standing = Standing::verify(published).context("what is published is damaged")?;
    let (published, root) = (standing.published(), standing.root());
    let newest = published
        .roots
        .last()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let mut parcel = Parcel::default();
    let key = online_key(args, &data, root)?;
    parcel.add("online-key", &key)?;
    let root_name = RoleName::root();
    if args.online_only {
        parcel.add(&in_published(&root_name, root.version), newest)?;
    } else {
        for (bytes, version) in published.roots.iter().zip(1..) {
            parcel.add(&in_published(&root_name, version), bytes)?;
        }
        for (role, bytes) in &published.roles {
            let version = standing
                .version_and_expiry(role)
                .map(|(version, _)| version);
            parcel.add(&in_published(role, version.unwrap_or_default()), bytes)?;
        }
        for name in ["settings.json", crate::settings::FILE] {
            let path = data.directory().join(name);
            if path.exists() {
                let bytes = read_bounded(&path, MAX_SETTINGS_LEN)
                    .with_context(|| format!("{} cannot be read", path.display()))?;
                parcel.add(name, &bytes)?;
            }
        }
        for directory in &args.ceremonies {
            ceremony(&mut parcel, directory, context)?;
        }
    }
    let names = parcel.names();
    let packed = parcel.finish()?;
    let phrase = match args.recipients.is_empty() {
        true => Some(new_phrase(
            args.passphrase.given()?,
            &mut UnwrapErr(SysRng),
        )?),
        false => None,
    };
    let lock = match &phrase {
        Some((phrase, _)) => Lock::Phrase(phrase),
        None => Lock::Recipients(&args.recipients),
    };
    let locked = lock_bytes(&packed, &lock)?;
    if let Some((phrase, is_chosen)) = &phrase
        && !is_chosen
    {
        // First: no backup is to lie there whose phrase nobody has seen.
        show_phrase(&format!("the backup {}", args.out.display()), phrase)?;
    }
    write_private(&args.out, &locked)?;
    let fingerprint = standing.newest_fingerprint();
    print_line(&if args.json {
        json!({
            "backup": args.out,
            "online_only": args.online_only,
            "files": names,
            "root_version": root.version,
            "root_fingerprint": fingerprint,
        })
        .to_string()
    } else {
        format!(
            "{}: the online key and {}, of the index whose newest root is version {}:\n  {fingerprint}\n\
             try now whether it opens: wheelmark ceremony unpack {} --out DIR",
            args.out.display(),
            match names.len() - 1 {
                1 => "1 other file".to_owned(),
                count => format!("{count} other files"),
            },
            root.version,
            args.out.display()
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

fn in_published(role: &RoleName, version: u64) -> String {
    format!("published/{}", role.versioned_file_name(version))
}

/// The online key that the newest root names: a backup of another one would be found out too late.
/// While a rotation waits to be ended, that is the next one.
fn online_key(args: &Args, data: &Data, root: &Root) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let [present, next] = data.online_key_files(args.online_key.as_deref());
    let is_named = |path: &Path| {
        let key = FileKey::open(path).hint("name where it lies: --online-key FILE")?;
        let named = &root.roles.timestamp.keyids;
        anyhow::Ok(named.contains(key.key().keyid()))
    };
    let path = if is_named(&present)? {
        present
    } else if next.exists() && is_named(&next)? {
        next
    } else {
        return Err(anyhow!(
            "the key in {} is not the online key that the index's newest root names",
            present.display()
        ))
        .hint("name the file that the index signs with: --online-key FILE");
    };
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_KEY_LEN as usize + 1));
    let read = std::fs::File::open(&path).and_then(|file| {
        use std::io::Read as _;
        file.take(MAX_KEY_LEN + 1).read_to_end(&mut bytes)
    });
    read.with_context(|| format!("{} cannot be read", path.display()))?;
    Ok(bytes)
}

/// Everything of a ceremony, which has to be one that is computed as its plan says.
fn ceremony(parcel: &mut Parcel, directory: &Path, context: &Context) -> anyhow::Result<()> {
    let folder = Folder::open(directory)?;
    let id = folder.ceremony(context)?.id();
    for (name, bytes) in folder.contents()? {
        parcel.add(&format!("ceremonies/{id}/{name}"), &bytes)?;
    }
    Ok(())
}
