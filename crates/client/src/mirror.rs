//! A mirror of an index: a copy of its tree, or of a part of it, that nobody has to trust.

use std::fmt;

use url::Url;

use crate::index::{UrlError, base_url};

/// Why something cannot be a mirror.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// A URL that was given cannot be used.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// Neither a base nor a URL of a part.
    #[error("a mirror needs a URL: of its tree, or of its metadata or targets alone")]
    Nowhere,
}

/// Whether a mirror is asked before the index itself or after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Turn {
    /// Before the index's own URLs: a mirror nearby.
    Before,
    /// After them: a mirror to fall back on.
    #[default]
    After,
}

/// Where a copy of an index's metadata, or of its pages and files, or of both is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    metadata: Option<Url>,
    targets: Option<Url>,
    turn: Turn,
}

impl Mirror {
    /// A mirror whose tree is copied to `base`, so that metadata and targets are found at
    /// `base/metadata/` and `base/targets/`. Either can be said to be elsewhere; without a
    /// base it has only what is said.
    ///
    /// # Errors
    ///
    /// [`MirrorError`] for a URL that cannot be used, and when there is none.
    pub fn new(
        base: Option<&str>,
        metadata: Option<&str>,
        targets: Option<&str>,
        turn: Turn,
    ) -> Result<Self, MirrorError> {
        let part = |given: Option<&str>, name: &str| match (given, base) {
            (Some(url), _) => base_url(url).map(Some),
            (None, Some(base)) => {
                let mut url = base_url(base)?;
                let path = format!("{}{name}", url.path());
                url.set_path(&path);
                Ok(Some(url))
            }
            (None, None) => Ok(None),
        };
        let (metadata, targets) = (part(metadata, "metadata/")?, part(targets, "targets/")?);
        if metadata.is_none() && targets.is_none() {
            return Err(MirrorError::Nowhere);
        }
        Ok(Self {
            metadata,
            targets,
            turn,
        })
    }

    /// Where its metadata is, if it has any.
    #[must_use]
    pub fn metadata(&self) -> Option<&Url> {
        self.metadata.as_ref()
    }

    /// Where its pages and files are, if it has any.
    #[must_use]
    pub fn targets(&self) -> Option<&Url> {
        self.targets.as_ref()
    }

    /// Whether it is asked before the index itself.
    #[must_use]
    pub fn turn(&self) -> Turn {
        self.turn
    }

    /// Whether another one has the same URLs.
    #[must_use]
    pub fn is_at(&self, other: &Self) -> bool {
        self.metadata == other.metadata && self.targets == other.targets
    }
}

/// Its base, or where its parts are.
impl fmt::Display for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.metadata, &self.targets) {
            (Some(metadata), Some(targets)) => {
                let base = metadata.as_str().strip_suffix("metadata/");
                match base {
                    Some(base) if targets.as_str().strip_suffix("targets/") == Some(base) => {
                        f.write_str(base)
                    }
                    _ => write!(f, "{metadata} and {targets}"),
                }
            }
            (Some(only), None) | (None, Some(only)) => write!(f, "{only}"),
            (None, None) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn where_the_parts_of_a_mirror_are() {
        let check = |base, metadata, targets, parts: (&str, &str), name: &str| {
            let mirror = Mirror::new(base, metadata, targets, Turn::After).unwrap();
            let text = |url: Option<&Url>| url.map_or("", Url::as_str).to_owned();
            let found = (text(mirror.metadata()), text(mirror.targets()));
            assert_eq!((found.0.as_str(), found.1.as_str()), parts);
            assert_eq!(mirror.to_string(), name);
        };
        let base = Some("http://m.example/pypi");
        let elsewhere = Some("https://cdn.example/t");
        check(
            base,
            None,
            None,
            (
                "http://m.example/pypi/metadata/",
                "http://m.example/pypi/targets/",
            ),
            "http://m.example/pypi/",
        );
        check(
            base,
            None,
            elsewhere,
            ("http://m.example/pypi/metadata/", "https://cdn.example/t/"),
            "http://m.example/pypi/metadata/ and https://cdn.example/t/",
        );
        check(
            None,
            None,
            elsewhere,
            ("", "https://cdn.example/t/"),
            "https://cdn.example/t/",
        );
        assert!(matches!(
            Mirror::new(None, None, None, Turn::After),
            Err(MirrorError::Nowhere)
        ));
        assert!(matches!(
            Mirror::new(Some("ftp://m/"), None, None, Turn::After),
            Err(MirrorError::Url(UrlError::NotHttp { .. }))
        ));
    }
}
