//! A copy behind a URL.

use bytes::Bytes;
use tokio::runtime::Handle;
use url::Url;
use wheelmark_client::Remote;
use wheelmark_objects::ObjectPath;
use wheelmark_tuf::Sha512Hasher;

use super::{Expected, Place, PlaceError, Standing};

/// Requests at the same time: what browsers and installers allow themselves towards one host, and
/// some more.
const AT_ONCE: usize = 16;

/// What is asked of each file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Whether it is there, and how long it is (`HEAD`).
    Lengths,
    /// All of it.
    Bytes,
}

/// Metadata and targets behind two URLs. Its methods wait for the network: they are to be called
/// from threads that are not the runtime's own.
#[derive(Debug)]
pub struct WebPlace {
    metadata: Url,
    targets: Option<Url>,
    remote: Remote,
    depth: Depth,
    runtime: Handle,
}

impl WebPlace {
    /// The place, as the runtime of the caller reaches it.
    #[must_use]
    pub fn new(metadata: Url, targets: Option<Url>, remote: Remote, depth: Depth) -> Self {
        Self {
            metadata,
            targets,
            remote,
            depth,
            runtime: Handle::current(),
        }
    }

    /// Where an object is; `None` where the place has no objects of its kind.
    fn url_of(&self, path: &ObjectPath) -> Option<Url> {
        let (base, rest) = match path.as_str().split_once('/')? {
            ("metadata", rest) => (&self.metadata, rest),
            ("targets", rest) => (self.targets.as_ref()?, rest),
            _ => return None,
        };
        let mut url = base.clone();
        // Metadata names are encoded already, and the names of other objects need no encoding.
        url.set_path(&format!("{}{rest}", base.path()));
        Some(url)
    }
}

impl Place for WebPlace {
    fn at_once(&self) -> usize {
        AT_ONCE
    }

    fn metadata(&self, name: &str, limit: u64) -> Result<Option<Bytes>, PlaceError> {
        let mut url = self.metadata.clone();
        url.set_path(&format!("{}{name}", self.metadata.path()));
        tracing::debug!(%url, "asking for metadata");
        Ok(self.runtime.block_on(self.remote.get(&url, limit))?)
    }

    fn object(&self, path: &ObjectPath, limit: u64) -> Result<Option<Bytes>, PlaceError> {
        let Some(url) = self.url_of(path) else {
            return Ok(None);
        };
        tracing::debug!(%url, "asking for an object");
        Ok(self.runtime.block_on(self.remote.get(&url, limit))?)
    }

    fn check(&self, path: &ObjectPath, expected: &Expected) -> Result<Standing, PlaceError> {
        let Some(url) = self.url_of(path) else {
            return Ok(Standing::Missing);
        };
        match self.depth {
            Depth::Lengths => {
                let stated = self.runtime.block_on(self.remote.stated_length(&url))?;
                Ok(match (stated, expected.length) {
                    (None, _) => Standing::Missing,
                    (Some(Some(found)), Some(length)) if found != length => {
                        Standing::OtherLength { found }
                    }
                    (Some(Some(_)), Some(_)) => Standing::RightLength,
                    (Some(_), _) => Standing::There,
                })
            }
            Depth::Bytes => {
                let limit = expected.length.unwrap_or(expected.limit);
                let mut sha512 = expected.sha512.map(|listed| (Sha512Hasher::new(), listed));
                let hasher = sha512.as_mut().map(|(hasher, _)| hasher);
                let limit = limit.saturating_add(1);
                let digest = self.remote.digest_beside(&url, limit, hasher);
                let digest = self.runtime.block_on(digest)?;
                let is_other = sha512.is_some_and(|(hasher, listed)| hasher.finish() != listed);
                Ok(match digest {
                    None => Standing::Missing,
                    Some((_, found)) if expected.length.is_some_and(|length| length != found) => {
                        Standing::OtherLength { found }
                    }
                    Some((found, read)) if found == expected.sha256 && is_other => {
                        Standing::OtherSha512 { read }
                    }
                    Some((found, read)) if found == expected.sha256 => Standing::Same { read },
                    Some((found, read)) => Standing::OtherBytes { found, read },
                })
            }
        }
    }

    fn are_one(&self, _: &ObjectPath, _: &ObjectPath) -> bool {
        false
    }

    fn has_plain_names(&self) -> bool {
        false
    }

    fn has_simple(&self) -> bool {
        false
    }
}
