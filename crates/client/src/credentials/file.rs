//! `credentials.toml`: what `wheelmark login` keeps, in a file that its owner alone can read.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::Zeroizing;

use super::Credential;

/// Its name, in the user's data directory.
pub const CREDENTIALS_FILE: &str = "credentials.toml";

/// What is held while it is changed.
const LOCK: &str = ".lock-credentials";

/// Permissions that others have.
const OTHERS: u32 = 0o077;

/// Why credentials could not be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// A file could not be read or written.
    #[error("could not {doing} {}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Others can read it.
    #[error("{} can be read by other users of this machine", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// It is not what this program writes.
    #[error("{} cannot be understood: {problem}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, without any of its contents.
        problem: String,
    },
}

/// Where a secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keeping {
    /// In the file itself.
    Here(Credential),
    /// With the program `keyring`, under the index's URL and this name.
    Keyring {
        /// The user name.
        user: String,
    },
}

/// What is kept for an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptCredential {
    /// The index's simple URL.
    pub index: Url,
    /// Its credential.
    pub keeping: Keeping,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    #[serde(default)]
    index: Vec<EntryForm>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryForm {
    url: String,
    user: String,
    /// None where the keyring has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<Zeroizing<String>>,
}

/// What is kept in a user's data directory.
///
/// # Errors
///
/// [`CredentialsError::Exposed`] if others can read it.
pub fn kept_credentials(home: &Path) -> Result<Vec<KeptCredential>, CredentialsError> {
    let path = home.join(CREDENTIALS_FILE);
    let entries = read(&path)?.index.into_iter().map(|entry| {
        let index = entry.url.parse().map_err(|_| CredentialsError::Malformed {
            path: path.clone(),
            problem: "an index in it has no URL".to_owned(),
        })?;
        let keeping = match entry.token {
            Some(secret) => Keeping::Here(Credential {
                user: entry.user,
                secret,
            }),
            None => Keeping::Keyring { user: entry.user },
        };
        Ok(KeptCredential { index, keeping })
    });
    entries.collect()
}

/// Keeps a credential, in place of the one that was there.
///
/// # Errors
///
/// As [`kept_credentials`], and when the file cannot be written.
pub fn keep_credential(home: &Path, kept: &KeptCredential) -> Result<(), CredentialsError> {
    change(home, |form| {
        form.index.retain(|entry| entry.url != kept.index.as_str());
        let (user, token) = match &kept.keeping {
            Keeping::Here(credential) => (&credential.user, Some(credential.secret.clone())),
            Keeping::Keyring { user } => (user, None),
        };
        form.index.push(EntryForm {
            url: kept.index.to_string(),
            user: user.clone(),
            token,
        });
    })
}

/// Forgets what is kept for an index, and returns it.
///
/// # Errors
///
/// As [`keep_credential`].
pub fn forget_credential(
    home: &Path,
    index: &Url,
) -> Result<Option<KeptCredential>, CredentialsError> {
    let before = kept_credentials(home)?
        .into_iter()
        .find(|kept| kept.index == *index);
    if before.is_some() {
        change(home, |form| {
            form.index.retain(|entry| entry.url != index.as_str())
        })?;
    }
    Ok(before)
}

fn read(path: &Path) -> Result<Form, CredentialsError> {
    let io = |source| CredentialsError::Io {
        doing: "read",
        path: path.to_owned(),
        source,
    };
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Form::default()),
        Err(error) => return Err(io(error)),
    };
    let mode = file.metadata().map_err(io)?.permissions().mode();
    if mode & OTHERS != 0 {
        return Err(CredentialsError::Exposed {
            path: path.to_owned(),
        });
    }
    let mut text = Zeroizing::new(String::new());
    io::Read::read_to_string(&mut file, &mut text).map_err(io)?;
    // The parser's error may show a line of the file.
    toml::from_str(&text).map_err(|error| CredentialsError::Malformed {
        path: path.to_owned(),
        problem: match error.span() {
            Some(span) => format!("line {}", text[..span.start].lines().count().max(1)),
            None => "it is not of the form that `wheelmark login` writes".to_owned(),
        },
    })
}

/// Changes the file under a lock. It is replaced in one step, by one that never was anybody
/// else's to read.
fn change(home: &Path, change: impl FnOnce(&mut Form)) -> Result<(), CredentialsError> {
    let path = home.join(CREDENTIALS_FILE);
    let io = |source| CredentialsError::Io {
        doing: "write",
        path: path.clone(),
        source,
    };
    fs::create_dir_all(home).map_err(io)?;
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(home.join(LOCK))
        .map_err(io)?;
    lock.lock().map_err(io)?;
    let mut form = read(&path)?;
    change(&mut form);
    let text = Zeroizing::new(
        toml::to_string(&form).map_err(|_| CredentialsError::Malformed {
            path: path.clone(),
            problem: "it has no textual form".to_owned(),
        })?,
    );
    // Mode 0600 from the moment it exists.
    let mut file = tempfile::NamedTempFile::new_in(home).map_err(io)?;
    file.write_all(text.as_bytes()).map_err(io)?;
    file.as_file().sync_all().map_err(io)?;
    file.persist(&path).map_err(|error| io(error.error))?;
    File::open(home)
        .and_then(|folder| folder.sync_all())
        .map_err(io)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn here(index: &str, secret: &str) -> KeptCredential {
        KeptCredential {
            index: index.parse().unwrap(),
            keeping: Keeping::Here(Credential {
                user: "__token__".to_owned(),
                secret: Zeroizing::new(secret.to_owned()),
            }),
        }
    }

    #[test]
    fn what_is_kept_comes_back_and_goes() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("home");
        assert_eq!(kept_credentials(&home).unwrap(), []);
        let one = here("https://a.example/simple/", "wmk_1\"\n'''");
        let two = KeptCredential {
            index: "https://b.example/simple/".parse().unwrap(),
            keeping: Keeping::Keyring {
                user: "bob".to_owned(),
            },
        };
        keep_credential(&home, &here("https://a.example/simple/", "before")).unwrap();
        keep_credential(&home, &two).unwrap();
        keep_credential(&home, &one).unwrap();
        assert_eq!(kept_credentials(&home).unwrap(), [two.clone(), one.clone()]);
        let mode = fs::metadata(home.join(CREDENTIALS_FILE)).unwrap();
        assert_eq!(mode.permissions().mode() & 0o777, 0o600);

        assert_eq!(
            forget_credential(&home, &one.index).unwrap(),
            Some(one.clone())
        );
        assert_eq!(forget_credential(&home, &one.index).unwrap(), None);
        assert_eq!(kept_credentials(&home).unwrap(), [two]);
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let home = tempfile::tempdir().unwrap();
        keep_credential(home.path(), &here("https://a.example/simple/", "x")).unwrap();
        let path = home.path().join(CREDENTIALS_FILE);
        for mode in [0o640, 0o604, 0o660] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let refused = kept_credentials(home.path()).unwrap_err();
            assert!(
                matches!(refused, CredentialsError::Exposed { .. }),
                "{refused}"
            );
        }
    }

    #[test]
    fn an_error_shows_nothing_of_the_file() {
        let home = tempfile::tempdir().unwrap();
        keep_credential(home.path(), &here("https://a.example/simple/", "x")).unwrap();
        let path = home.path().join(CREDENTIALS_FILE);
        for text in [
            "[[index]]\nurl = \"https://a.example/\"\nuser = \"u\"\ntoken = wmk_secret",
            "token = \"wmk_secret\"",
            "[[index]]\nurl = \"wmk_secret\"\nuser = \"u\"",
        ] {
            fs::write(&path, text).unwrap();
            let refused = kept_credentials(home.path()).unwrap_err();
            let all = format!("{refused} {refused:?}");
            assert!(!all.contains("wmk_secret"), "{all}");
        }
    }
}
