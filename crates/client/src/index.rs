//! Where an index is: its simple URL, and where its metadata and targets are found.

use url::Url;
use wheelmark_objects::ObjectPath;
use wheelmark_tuf::{Sha256, TargetPath};

use crate::mirror::Mirror;
use crate::remote::is_loopback;

/// Why a URL cannot be an index's.
#[derive(Debug, thiserror::Error)]
pub enum UrlError {
    /// It does not parse.
    #[error("`{url}` is not a URL")]
    NotAUrl {
        /// The text given.
        url: String,
        /// What the parser says.
        #[source]
        source: url::ParseError,
    },
    /// Neither http nor https, or without a host.
    #[error("`{url}` is neither an http nor an https URL")]
    NotHttp {
        /// The URL given.
        url: Url,
    },
    /// A user name or password in the URL.
    #[error("the URL of {host} carries credentials, which would be stored in the open")]
    Credentials {
        /// The URL's host.
        host: String,
    },
    /// A query or a fragment.
    #[error("`{url}` has a query or a fragment, which an index URL cannot have")]
    Query {
        /// The URL given.
        url: Url,
    },
}

/// The three URLs of an index, each ending with `/`, and its mirrors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexUrls {
    simple: Url,
    metadata: Url,
    targets: Url,
    mirrors: Vec<Mirror>,
}

impl IndexUrls {
    /// Reads an index's URLs. Without others, metadata and targets are found at
    /// `../metadata/` and `../targets/` beside the simple URL.
    ///
    /// # Errors
    ///
    /// [`UrlError`] for the first one that cannot be used.
    pub fn new(
        simple: &str,
        metadata: Option<&str>,
        targets: Option<&str>,
    ) -> Result<Self, UrlError> {
        let simple = base_url(simple)?;
        let beside = |given: Option<&str>, path: &str| match given {
            Some(url) => base_url(url),
            None => simple.join(path).map_err(|source| UrlError::NotAUrl {
                url: path.to_owned(),
                source,
            }),
        };
        let metadata = beside(metadata, "../metadata/")?;
        let targets = beside(targets, "../targets/")?;
        Ok(Self {
            simple,
            metadata,
            targets,
            mirrors: Vec::new(),
        })
    }

    /// The same index with these mirrors, which are asked in this order. Those that are not
    /// marked to come before the index itself are asked after it.
    #[must_use]
    pub fn with_mirrors(self, mirrors: Vec<Mirror>) -> Self {
        Self { mirrors, ..self }
    }

    /// The index's mirrors, in the order in which they were added.
    #[must_use]
    pub fn mirrors(&self) -> &[Mirror] {
        &self.mirrors
    }

    /// What installers are given: the simple API's URL. It names the index in the trust store.
    #[must_use]
    pub fn simple(&self) -> &Url {
        &self.simple
    }

    /// Where `timestamp.json` and its like are.
    #[must_use]
    pub fn metadata(&self) -> &Url {
        &self.metadata
    }

    /// Where pages and files are.
    #[must_use]
    pub fn targets(&self) -> &Url {
        &self.targets
    }

    /// Whether everything is fetched over https, so that the servers' names are checked.
    #[must_use]
    pub fn all_https(&self) -> bool {
        self.all().iter().all(|url| url.scheme() == "https")
    }

    /// Whether every URL is https or this machine's own.
    #[must_use]
    pub fn all_https_or_loopback(&self) -> bool {
        self.all()
            .iter()
            .all(|url| url.scheme() == "https" || is_loopback(url))
    }

    fn all(&self) -> [&Url; 3] {
        [&self.simple, &self.metadata, &self.targets]
    }

    /// The URL of a metadata file, given its path below the metadata URL; the path's segments
    /// are percent-encoded already.
    #[must_use]
    pub fn metadata_url(&self, path: &str) -> Url {
        metadata_below(&self.metadata, path)
    }
}

/// Where an object is below any targets URL.
#[derive(Clone, Debug)]
pub(crate) enum Location {
    /// An object of the published tree, below its `targets/`.
    Object(ObjectPath),
    /// A target under its plain name.
    Target(TargetPath),
    /// A file at a URL of its own, of an index that nobody signs.
    At(Url),
}

impl Location {
    /// Its URL below a targets URL.
    pub(crate) fn below(&self, targets: &Url) -> Url {
        if let Self::At(url) = self {
            return url.clone();
        }
        let mut url = targets.clone();
        // Segments that are not encoded yet, none of them `.` or `..`.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty();
            match self {
                Self::Object(path) => {
                    let path = path.as_str();
                    segments.extend(path.strip_prefix("targets/").unwrap_or(path).split('/'));
                }
                Self::Target(path) => {
                    segments.extend(path.segments());
                }
                Self::At(_) => {}
            }
        }
        url
    }
}

/// Reads the URL of an index or of a part of it, and gives it its final `/`.
///
/// # Errors
///
/// [`UrlError`] when it cannot be used.
pub(crate) fn base_url(text: &str) -> Result<Url, UrlError> {
    let mut url = Url::parse(text.trim()).map_err(|source| UrlError::NotAUrl {
        url: text.to_owned(),
        source,
    })?;
    if !matches!(url.scheme(), "http" | "https") || url.cannot_be_a_base() {
        return Err(UrlError::NotHttp { url });
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(UrlError::Credentials {
            host: url.host_str().unwrap_or_default().to_owned(),
        });
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(UrlError::Query { url });
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

/// The name of the directory that holds what we trust about an index: its host and path
/// for people, and a hash of its URL so that no two share one.
pub(crate) fn directory_name(simple: &Url) -> String {
    const READABLE: usize = 48;
    const HASHED: usize = 16;
    let mut readable = String::new();
    let port = simple.port().map(|port| port.to_string());
    let parts = [simple.host_str().unwrap_or_default()]
        .into_iter()
        .chain(port.as_deref())
        .chain([simple.path()]);
    for letter in parts.flat_map(|part| part.chars().chain(['-'])) {
        if letter.is_ascii_alphanumeric() || letter == '.' {
            readable.push(letter.to_ascii_lowercase());
        } else if !readable.ends_with('-') {
            readable.push('-');
        }
    }
    readable.truncate(READABLE);
    let readable = readable.trim_matches(['-', '.']);
    let hash = Sha256::of(simple.as_str().as_bytes()).to_string();
    format!("{readable}-{}", &hash[..HASHED])
}

/// The URL of a metadata file below a metadata URL; its name is percent-encoded already.
pub(crate) fn metadata_below(base: &Url, encoded_path: &str) -> Url {
    let mut url = base.clone();
    let path = format!("{}{encoded_path}", base.path());
    url.set_path(&path);
    url
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn metadata_and_targets_are_found_beside_the_simple_url() {
        let check = |simple: &str, metadata: &str, targets: &str| {
            let urls = IndexUrls::new(simple, None, None).unwrap();
            assert_eq!(urls.metadata().as_str(), metadata);
            assert_eq!(urls.targets().as_str(), targets);
        };
        check(
            "https://pkg.example/simple/",
            "https://pkg.example/metadata/",
            "https://pkg.example/targets/",
        );
        check(
            "http://127.0.0.1:8080/team/simple",
            "http://127.0.0.1:8080/team/metadata/",
            "http://127.0.0.1:8080/team/targets/",
        );
    }

    #[test]
    fn urls_that_cannot_be_an_index() {
        assert!(matches!(base_url("pkg"), Err(UrlError::NotAUrl { .. })));
        assert!(matches!(
            base_url("ftp://a/simple/"),
            Err(UrlError::NotHttp { .. })
        ));
        assert!(matches!(
            base_url("https://user:word@a/simple/"),
            Err(UrlError::Credentials { .. })
        ));
        assert!(matches!(
            base_url("https://a/simple/?x=1"),
            Err(UrlError::Query { .. })
        ));
    }

    #[test]
    fn one_directory_for_each_index() {
        let name = |url: &str| directory_name(&base_url(url).unwrap());
        assert_eq!(
            name("https://a.example/simple"),
            name("https://A.example/simple/")
        );
        assert_ne!(
            name("https://a.example/simple/"),
            name("http://a.example/simple/")
        );
        assert_ne!(
            name("https://a.example/b-c/"),
            name("https://a.example/b/c/")
        );
        assert!(name("https://a.example:8443/simple/").starts_with("a.example-8443-simple-"));
    }

    #[test]
    fn metadata_names_stay_encoded_and_targets_become_encoded() {
        let urls = IndexUrls::new("https://a.example/simple/", None, None).unwrap();
        assert_eq!(
            urls.metadata_url("3.project%2Fx.json").as_str(),
            "https://a.example/metadata/3.project%2Fx.json"
        );
        assert_eq!(
            Location::Target("packages/a/ab%2F..?#.whl".parse().unwrap())
                .below(urls.targets())
                .as_str(),
            "https://a.example/targets/packages/a/ab%252F..%3F%23.whl"
        );
    }

    proptest! {
        #[test]
        fn a_target_url_stays_below_the_targets_url(path in "[ -~]{0,40}") {
            let urls = IndexUrls::new("https://a.example/x/simple/", None, None).unwrap();
            if let Ok(path) = path.parse::<TargetPath>() {
                let segments = path.segments().count() + 2;
                let url = Location::Target(path).below(urls.targets());
                prop_assert!(url.as_str().starts_with("https://a.example/x/targets/"), "{url}");
                prop_assert_eq!(url.path_segments().unwrap().count(), segments);
            }
        }

        #[test]
        fn a_directory_name_is_one_plain_segment(path in "[ -~]{0,200}") {
            if let Ok(url) = base_url(&format!("https://a.example/{path}")) {
                let name = directory_name(&url);
                prop_assert!(!name.contains(['/', '\\', '\0', ' ']) && !name.starts_with('.'));
                prop_assert!(name.len() < 80);
            }
        }
    }
}
