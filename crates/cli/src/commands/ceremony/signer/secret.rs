//! How a passphrase or a PIN is given: never as an argument, which every user of a machine sees.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use rand::CryptoRng;
use wheelmark_signing::Phrase;
use wheelmark_tuf::without_controls;
use zeroize::Zeroizing;

use crate::logging::WithHint as _;

/// The longest passphrase, in bytes.
const MAX_PASSPHRASE_LEN: u64 = 4 * 1024;

/// The fewest characters of a passphrase that somebody chose.
const LEAST_PASSPHRASE: usize = 16;

/// The permissions of group and others.
const NOT_THE_OWNERS: u32 = 0o077;

/// How the passphrase is given.
#[derive(Debug, clap::Args)]
pub(crate) struct Passphrase {
    /// Read the passphrase or PIN from this open file descriptor [default: ask for it on the terminal]
    #[arg(long, value_name = "N")]
    passphrase_fd: Option<u32>,

    /// Read the passphrase or PIN from the credential of this name, in $CREDENTIALS_DIRECTORY
    #[arg(long, value_name = "NAME", conflicts_with = "passphrase_fd")]
    passphrase_credential: Option<String>,
}

impl Passphrase {
    /// Whether it is given by a way that asks nobody.
    pub(crate) fn is_given(&self) -> bool {
        self.passphrase_fd.is_some() || self.passphrase_credential.is_some()
    }

    /// Whether it comes from a descriptor, which every program inherits that is started.
    pub(crate) fn is_inherited(&self) -> bool {
        self.passphrase_fd.is_some()
    }

    /// The passphrase, if it is given by a way that asks nobody.
    pub(crate) fn given(&self) -> anyhow::Result<Option<Zeroizing<String>>> {
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
        let file = File::open(&path);
        read(&path, file, "passphrase").map(Some)
    }
}

/// The secrets that one command needs, each asked for when it is needed.
pub(crate) struct Secrets<'a> {
    passphrase: &'a Passphrase,
    given_for: Option<String>,
}

impl<'a> Secrets<'a> {
    pub(crate) fn new(passphrase: &'a Passphrase) -> Self {
        Self {
            passphrase,
            given_for: None,
        }
    }

    /// Whether something is given, so that nobody is asked.
    pub(crate) fn is_given(&self) -> bool {
        self.passphrase.is_given()
    }

    /// What was given without a question, for the one thing that it can be meant for.
    pub(crate) fn given(&mut self, what: &str) -> anyhow::Result<Option<Zeroizing<String>>> {
        let Some(given) = self.passphrase.given()? else {
            return Ok(None);
        };
        if let Some(before) = &self.given_for {
            return Err(anyhow!(
                "one passphrase was given, and both {before} and {what} want one"
            ))
            .hint("give the PIN of a token by pin-source=FILE in its URI");
        }
        self.given_for = Some(what.to_owned());
        Ok(Some(given))
    }

    /// The passphrase or PIN (`kind`) of `what`, asked for on the terminal where it is not given.
    pub(crate) fn get(&mut self, kind: &str, what: &str) -> anyhow::Result<Zeroizing<String>> {
        use std::io::{IsTerminal as _, Write as _};
        // Looked at first: a descriptor gives what it has only once.
        if self.given_for.is_some() {
            let already = self.given_for.clone().unwrap_or_default();
            return Err(anyhow!(
                "one passphrase was given, and both {already} and {what} want one"
            ))
            .hint("give the PIN of a token by pin-source=FILE in its URI");
        }
        if let Some(given) = self.given(what)? {
            return Ok(given);
        }
        if !std::io::stdin().is_terminal() {
            return Err(anyhow!("nobody can be asked for the {kind} of {what}"))
                .hint("in a script, give it with --passphrase-fd or --passphrase-credential");
        }
        // A label on a token is anybody's text.
        write!(std::io::stderr(), "{kind} of {}: ", without_controls(what))?;
        Ok(Zeroizing::new(console::Term::stderr().read_secure_line()?))
    }
}

/// A phrase for something new: the one that was chosen, or a generated one; and whether it was chosen.
pub(crate) fn new_phrase(
    chosen: Option<Zeroizing<String>>,
    random: &mut dyn CryptoRng,
) -> anyhow::Result<(Phrase, bool)> {
    match chosen {
        Some(chosen) if chosen.chars().count() < LEAST_PASSPHRASE => Err(anyhow!(
            "the passphrase has fewer than {LEAST_PASSPHRASE} characters"
        ))
        .hint(
            "whoever finds the file can guess as often as they like; leave it out, and one is made",
        ),
        // One that was generated is understood as it was typed; any other is taken as it is.
        Some(chosen) => {
            let phrase = Phrase::parse(&chosen).unwrap_or_else(|_| Phrase::chosen(&chosen));
            Ok((phrase, true))
        }
        None => Ok((Phrase::generate(random), false)),
    }
}

/// Shows a generated phrase, for the one time.
pub(crate) fn show_phrase(what: &str, phrase: &Phrase) -> anyhow::Result<()> {
    use std::io::Write as _;
    let told = Zeroizing::new(format!(
        "\nThis phrase opens {what}. It is shown this once and stored nowhere:\n\n  {}\n\n",
        phrase.reveal()
    ));
    std::io::stderr()
        .lock()
        .write_all(told.as_bytes())
        .context("the phrase cannot be shown")
}

/// The secret of a `kind` in a file, which only its owner may read.
pub(crate) fn secret_in(path: &Path, kind: &str) -> anyhow::Result<Zeroizing<String>> {
    let file = File::open(path);
    if let Ok(file) = &file {
        let metadata = file.metadata()?;
        let mode = metadata.permissions().mode() & 0o7777;
        if metadata.is_file() && mode & NOT_THE_OWNERS != 0 {
            return Err(anyhow!(
                "{} is open to others than its owner (mode {mode:04o})",
                path.display()
            ))
            .hint(format!(
                "run `chmod 600` on it, and consider whether the {kind} is still secret"
            ));
        }
    }
    read(path, file, kind)
}

/// The secret of a `kind` that the service manager hands over, which sees to it who may read it.
pub(crate) fn credential_secret(path: &Path, kind: &str) -> anyhow::Result<Zeroizing<String>> {
    read(path, File::open(path), kind)
}

fn read(path: &Path, file: std::io::Result<File>, kind: &str) -> anyhow::Result<Zeroizing<String>> {
    let cannot = || format!("the {kind} cannot be read from {}", path.display());
    // The buffer has its final size at once: growing would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_PASSPHRASE_LEN as usize + 1));
    file.and_then(|file| file.take(MAX_PASSPHRASE_LEN + 1).read_to_end(&mut bytes))
        .with_context(cannot)?;
    if bytes.len() as u64 > MAX_PASSPHRASE_LEN {
        return Err(anyhow!("what was given is no {kind}: it is too long"));
    }
    let text = std::str::from_utf8(&bytes).with_context(cannot)?;
    let text = Zeroizing::new(text.trim_end_matches(['\n', '\r']).to_owned());
    if text.is_empty() {
        return Err(anyhow!("the {kind} that was given is empty"));
    }
    Ok(text)
}
