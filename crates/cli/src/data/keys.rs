//! The online key: a file in the data directory, one that is named, a credential, or a key on a token;
//! and beside a file the next one, while it takes over.

mod token;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wheelmark_repository::{LogPlace, OnlineKeys};
use wheelmark_signing::{FileKey, OpenKeyError, Signer, TokenUri};

use super::{Data, beside};
use crate::logging::WithHint as _;

/// The online key in the data directory.
pub(crate) const ONLINE_KEY: &str = "online-key";

/// The next one, beside it.
pub(crate) const NEXT_ONLINE_KEY: &str = "online-key.next";

/// How a key in PEM begins.
const PEM_BEGIN: &[u8] = b"-----BEGIN ";

/// The name under which a credential directory (systemd's `LoadCredential=`) holds the online key.
const CREDENTIAL: &str = "wheelmark-online-key";

/// The same of the next one.
const NEXT_CREDENTIAL: &str = "wheelmark-online-key-next";

/// What the next key's file has behind the name of the present one.
const NEXT_SUFFIX: &str = ".next";

/// What a person is told when the online key cannot be had.
const ABOUT_ONLINE_KEY: &str = "the online key signs what is published; it lies in the data directory as `online-key`, or is named with --online-key";

/// Where an online key is.
#[derive(Clone, Debug)]
enum Place {
    File(PathBuf),
    Credential { folder: PathBuf, name: &'static str },
}

/// Where the online key is that signs now.
#[derive(Clone, Debug)]
enum Present {
    At(Place),
    Token(TokenUri),
}

/// Where the online key is and where the next one would be.
#[derive(Clone, Debug)]
pub(super) struct Places {
    present: Present,
    /// None beside a token.
    next: Option<Place>,
}

impl Present {
    fn open(&self, may_make: bool) -> anyhow::Result<Arc<dyn Signer>> {
        match self {
            Self::At(place) => Ok(Arc::new(place.read().hint(ABOUT_ONLINE_KEY)?)),
            Self::Token(uri) => token::open(uri, may_make),
        }
    }

    /// What changes when another key takes this place. A token is opened once.
    fn mark(&self) -> Option<(u64, i64, i64)> {
        match self {
            Self::At(place) => place.mark(),
            Self::Token(_) => None,
        }
    }
}

impl Place {
    fn read(&self) -> Result<FileKey, OpenKeyError> {
        match self {
            Self::File(file) => FileKey::open(file),
            Self::Credential { folder, name } => FileKey::from_credentials(folder, name),
        }
    }

    /// What changes when another key takes this place.
    fn mark(&self) -> Option<(u64, i64, i64)> {
        let path = match self {
            Self::File(file) => file.clone(),
            Self::Credential { folder, name } => folder.join(name),
        };
        let there = fs::metadata(path).ok()?;
        Some((there.ino(), there.mtime(), there.mtime_nsec()))
    }
}

impl Places {
    /// A key that does not lie in the data directory: that of the file that was named, or of a
    /// credential that the service manager hands over.
    pub(super) fn elsewhere(named: Option<&Path>) -> anyhow::Result<Option<Self>> {
        if let Some(named) = named {
            return Ok(Some(match token::named(named)? {
                Some(uri) => Self {
                    present: Present::Token(uri),
                    next: None,
                },
                None => Self::at(named),
            }));
        }
        let Some(folder) = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from) else {
            return Ok(None);
        };
        Ok(folder.join(CREDENTIAL).exists().then(|| Self {
            present: Present::At(Place::Credential {
                folder: folder.clone(),
                name: CREDENTIAL,
            }),
            next: Some(Place::Credential {
                folder,
                name: NEXT_CREDENTIAL,
            }),
        }))
    }

    fn at(file: &Path) -> Self {
        Self {
            present: Present::At(Place::File(file.to_owned())),
            next: Some(Place::File(beside(file, NEXT_SUFFIX))),
        }
    }

    /// The key for a new index, which a token makes if it has none.
    pub(super) fn for_new_index(&self) -> anyhow::Result<Arc<dyn Signer>> {
        self.present.open(true)
    }

    fn open(&self) -> anyhow::Result<OnlineKeys> {
        let present = self.present.open(false)?;
        let next: Option<Arc<dyn Signer>> = match self.next.as_ref().map(Place::read) {
            None | Some(Err(OpenKeyError::Missing { .. })) => None,
            Some(Ok(next)) => Some(Arc::new(next)),
            Some(Err(error)) => {
                return Err(error).hint(
                    "the next online key lies beside the present one; `wheelmark index rotate-online-key` makes it",
                );
            }
        };
        Ok(OnlineKeys::new(present, next))
    }
}

/// The keys in a text, each as a PEM file of its own.
pub(crate) fn keys_in(text: &[u8]) -> Vec<&[u8]> {
    let behind_first = text.windows(PEM_BEGIN.len()).skip(1);
    let second = behind_first
        .zip(1..)
        .find(|(window, _)| *window == PEM_BEGIN);
    match second {
        Some((_, at)) => vec![&text[..at], &text[at..]],
        None => vec![text],
    }
}

impl Data {
    fn places(&self, named: Option<&Path>) -> anyhow::Result<Places> {
        let elsewhere = Places::elsewhere(named)?;
        Ok(elsewhere.unwrap_or_else(|| Places::at(&self.online_key_file())))
    }

    /// Opens the online key, and the next one if it is there: the file that is named, the
    /// credential, or the data directory's own. Whatever they sign is written to the signing log.
    /// Refused while a recovery is under way.
    pub(crate) fn online_keys(&self, named: Option<&Path>) -> anyhow::Result<OnlineKeys> {
        self.demand_not_recovering()?;
        self.online_keys_to_go_back(named)
    }

    /// The same for the one command that publishes a recovery.
    pub(crate) fn online_keys_to_go_back(
        &self,
        named: Option<&Path>,
    ) -> anyhow::Result<OnlineKeys> {
        let keys = self.places(named)?.open()?;
        Ok(keys.logged(LogPlace::new(self.signing_log())))
    }

    /// The files of the online key and of the next one, as the person who gives a command names
    /// them; a credential is a copy that only a service sees.
    pub(crate) fn online_key_files(&self, named: Option<&Path>) -> [PathBuf; 2] {
        let present = named.map_or_else(|| self.online_key_file(), Path::to_owned);
        let next = beside(&present, NEXT_SUFFIX);
        [present, next]
    }

    /// Says whenever it is asked which online keys there are now, for a process that goes on while
    /// they change; nothing where they cannot be read, or are as they were.
    pub(crate) fn watched_online_keys(
        &self,
        named: Option<&Path>,
    ) -> anyhow::Result<impl FnMut() -> Option<OnlineKeys> + Send + Sync + 'static> {
        let places = self.places(named)?;
        let mut seen = None;
        Ok(move || {
            // What is on a token does not change under the process that has opened it.
            if matches!(places.present, Present::Token(_)) {
                return None;
            }
            let next = places.next.as_ref();
            let marks = [places.present.mark(), next.and_then(Place::mark)];
            if seen == Some(marks) {
                return None;
            }
            match places.open() {
                Ok(keys) => {
                    seen = Some(marks);
                    Some(keys)
                }
                Err(error) => {
                    tracing::debug!(
                        error = format!("{error:#}"),
                        "the online keys cannot be read"
                    );
                    None
                }
            }
        })
    }
}
