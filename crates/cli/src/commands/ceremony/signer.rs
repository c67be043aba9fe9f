//! Where a holder's private keys are, and how they are opened.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, anyhow};
use wheelmark_signing::{Phrase, Seat, Signer, UnsealError, unseal};
use zeroize::Zeroizing;

use crate::logging::WithHint as _;
use crate::published::read_bounded;

/// The longest file of keys, in bytes.
const MAX_FILE_LEN: u64 = 1024 * 1024;

/// The longest passphrase, in bytes.
const MAX_PASSPHRASE_LEN: u64 = 4 * 1024;

/// Private keys, named by a URI.
#[derive(Clone, Debug)]
pub(super) enum SignerUri {
    /// `file:PATH`: a file in the age format, under a passphrase.
    File(PathBuf),
}

impl FromStr for SignerUri {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(PathBuf::from(path))),
            Some((scheme @ ("pkcs11" | "ssh" | "command" | "ram"), _)) => Err(format!(
                "this version cannot sign with `{scheme}:`, only with file:PATH"
            )),
            _ => Err("a signer is named as file:PATH, such as file:custodian-1.age".to_owned()),
        }
    }
}

/// How the passphrase is given. It is never an argument: those are seen by every user of a machine.
#[derive(Debug, clap::Args)]
pub(super) struct Passphrase {
    /// Read the passphrase from this open file descriptor [default: ask for it on the terminal]
    #[arg(long, value_name = "N")]
    passphrase_fd: Option<u32>,

    /// Read the passphrase from the credential of this name, in $CREDENTIALS_DIRECTORY
    #[arg(long, value_name = "NAME", conflicts_with = "passphrase_fd")]
    passphrase_credential: Option<String>,
}

impl Passphrase {
    /// The passphrase, if it is given by a way that asks nobody.
    pub(super) fn given(&self) -> anyhow::Result<Option<Zeroizing<String>>> {
        let path = match (&self.passphrase_fd, &self.passphrase_credential) {
            (None, None) => return Ok(None),
            (Some(number), _) => PathBuf::from(format!("/dev/fd/{number}")),
            (None, Some(name)) => {
                let folder = std::env::var_os("CREDENTIALS_DIRECTORY").context(
                    "there is no credential directory: CREDENTIALS_DIRECTORY is not set",
                )?;
                if name.is_empty() || name.contains('/') || name == "." || name == ".." {
                    return Err(anyhow!("`{name}` is not the name of a credential"));
                }
                Path::new(&folder).join(name)
            }
        };
        let cannot = || format!("the passphrase cannot be read from {}", path.display());
        // The buffer has its final size at once: growing would leave copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_PASSPHRASE_LEN as usize + 1));
        File::open(&path)
            .and_then(|file| file.take(MAX_PASSPHRASE_LEN + 1).read_to_end(&mut bytes))
            .with_context(cannot)?;
        if bytes.len() as u64 > MAX_PASSPHRASE_LEN {
            return Err(anyhow!("what was given is no passphrase: it is too long"));
        }
        let text = std::str::from_utf8(&bytes).with_context(cannot)?;
        let text = Zeroizing::new(text.trim_end_matches(['\n', '\r']).to_owned());
        if text.is_empty() {
            return Err(anyhow!("the passphrase that was given is empty"));
        }
        Ok(Some(text))
    }

    /// The passphrase for `what`, asked for on the terminal where it is not given otherwise.
    fn get(&self, what: &Path) -> anyhow::Result<Zeroizing<String>> {
        use std::io::{IsTerminal as _, Write as _};
        if let Some(given) = self.given()? {
            return Ok(given);
        }
        if !std::io::stdin().is_terminal() {
            return Err(anyhow!(
                "nobody can be asked for the passphrase of {}",
                what.display()
            ))
            .hint("in a script, give it with --passphrase-fd or --passphrase-credential");
        }
        write!(std::io::stderr(), "passphrase of {}: ", what.display())?;
        Ok(Zeroizing::new(console::Term::stderr().read_secure_line()?))
    }
}

/// The opened keys of one holder.
pub(super) struct Opened {
    seat: Seat,
}

impl Opened {
    /// Opens the keys that a URI names.
    pub(super) fn open(uri: &SignerUri, passphrase: &Passphrase) -> anyhow::Result<Self> {
        let SignerUri::File(path) = uri;
        let sealed = read_bounded(path, MAX_FILE_LEN)
            .with_context(|| format!("{} cannot be read", path.display()))
            .hint("name the file of your keys: --signer file:PATH")?;
        let typed = passphrase.get(path)?;
        // One that was generated is understood as it was typed; any other is taken as it is.
        let phrase = Phrase::parse(&typed).unwrap_or_else(|_| Phrase::chosen(&typed));
        let seat = match unseal(&sealed, &phrase) {
            Err(error @ UnsealError::WrongPhrase) => Err(error)
                .with_context(|| format!("{} stays closed", path.display()))
                .hint("try it once more; nothing was signed"),
            other => other.with_context(|| format!("{} cannot be opened", path.display())),
        }?;
        Ok(Self { seat })
    }

    /// Every key.
    pub(super) fn signers(&self) -> impl Iterator<Item = &dyn Signer> {
        self.seat
            .names()
            .filter_map(|name| self.seat.signer(name).ok())
    }
}
