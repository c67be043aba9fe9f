//! `wheelmark ceremony unpack`: what `wheelmark ceremony backup` kept.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use serde_json::json;
use wheelmark_signing::{Identity, Phrase, Unlock, UnlockError, unlock_bytes};

use super::parcel::{self, MAX_LEN};
use super::signer::{Passphrase, Secrets, secret_in};
use crate::commands::up::print_line;
use crate::logging::WithHint as _;
use crate::published::read_bounded;

/// The longest file, in bytes: what is in it, and some for the encryption.
const MAX_FILE_LEN: u64 = MAX_LEN as u64 + 16 * 1024 * 1024;

/// Open what `wheelmark ceremony backup` made
///
/// Into a directory that is not there yet, which only you can enter: it holds the online key. Any
/// program for the age format opens the file as well: `age --decrypt full.age | tar x`.
///
///   wheelmark ceremony unpack full.age --out /tmp/full
///   wheelmark ceremony unpack night.age --out /tmp/night --identity key.txt
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// The backup
    #[arg(value_name = "FILE")]
    backup: PathBuf,

    /// Where its files are to be: a directory that is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// The identity file of a recipient, in place of the phrase
    #[arg(long, value_name = "FILE", conflicts_with_all = ["passphrase_fd", "passphrase_credential"])]
    identity: Option<PathBuf>,

    #[command(flatten)]
    passphrase: Passphrase,

    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let shown = args.backup.display().to_string();
    if args.out.exists() {
        return Err(anyhow!("{} is there already", args.out.display()))
            .hint("name a directory that is not there: --out DIR");
    }
    let locked = read_bounded(&args.backup, MAX_FILE_LEN)
        .with_context(|| format!("{shown} cannot be read"))?;
    let opened = match &args.identity {
        Some(path) => {
            let text = secret_in(path, "identity")?;
            let cannot = || format!("{} cannot be used", path.display());
            let identity: Identity = text.parse().with_context(cannot)?;
            unlock_bytes(&locked, &Unlock::Identity(&identity), MAX_LEN)
        }
        None => {
            let typed = Secrets::new(&args.passphrase).get("passphrase", &shown)?;
            let phrase = Phrase::parse(&typed).unwrap_or_else(|_| Phrase::chosen(&typed));
            unlock_bytes(&locked, &Unlock::Phrase(&phrase), MAX_LEN)
        }
    };
    let packed = match opened {
        Err(error @ UnlockError::ForRecipient) => Err(error)
            .with_context(|| format!("{shown} stays closed"))
            .hint("name the identity file: --identity FILE"),
        opened => opened.with_context(|| format!("{shown} stays closed")),
    }?;
    let files = parcel::unpack(&packed, &args.out)
        .with_context(|| format!("{shown} is not what `wheelmark ceremony backup` made"))?;
    print_line(&if args.json {
        json!({ "directory": args.out, "files": files }).to_string()
    } else {
        format!(
            "{} files in {}: the online key goes back by\n  install -m 600 {}/online-key DATA/online-key\n\
             remove the directory when it is done",
            files.len(),
            args.out.display(),
            args.out.display()
        )
    })?;
    Ok(ExitCode::SUCCESS)
}
