//! What an index that is not open to everybody is told: a user name and a token.
//!
//! A credential is sent to the place it is for and nowhere else: the scheme, host and port of its
//! index, below the folder that the index lies in (a redirect within that host takes it along); and
//! never in the open, that is over plain http to another machine. It is a header of requests, so it
//! is in no URL, log, report or lock file.
//!
//! Whoever asks for URLs that others have chosen, such as the links of a page, confines its
//! credentials to one origin first ([`Credentials::confined_to`]): netrc has passwords for many hosts.

mod file;
mod netrc;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::HeaderValue;
use url::{Origin, Url};
use zeroize::Zeroizing;

use crate::index::{UrlError, base_url};
use crate::remote::is_loopback;

pub use file::{
    CREDENTIALS_FILE, CredentialsError, Keeping, KeptCredential, forget_credential,
    keep_credential, kept_credentials,
};
pub use netrc::MAX_NETRC_LEN;

/// The user name that goes with every token of a Wheelmark index.
pub const TOKEN_USER: &str = "__token__";

/// A user name and a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// The name, which is no secret.
    pub user: String,
    /// The secret.
    pub secret: Zeroizing<String>,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({:?}, …)", self.user)
    }
}

impl Credential {
    /// As the header of basic authentication (RFC 7617); none where it cannot be one.
    fn header(&self) -> Option<HeaderValue> {
        let plain = Zeroizing::new(format!("{}:{}", self.user, self.secret.as_str()));
        let encoded = Zeroizing::new(format!(
            "Basic {}",
            BASE64_STANDARD.encode(plain.as_bytes())
        ));
        let mut header = HeaderValue::from_str(&encoded).ok()?;
        header.set_sensitive(true);
        Some(header)
    }
}

/// The place that a credential is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Realm {
    origin: Origin,
    folder: String,
}

/// Why nothing can be kept for a URL.
#[derive(Debug, thiserror::Error)]
pub enum RealmError {
    /// It is no index's.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// Everybody on the way could read it.
    #[error("{url} is not https: whoever is on the way would read the token")]
    InTheOpen {
        /// The URL.
        url: Url,
    },
}

impl Realm {
    /// The place of an index, by its simple URL: the folder that `simple/` lies in, where its
    /// metadata and files are too.
    ///
    /// # Errors
    ///
    /// [`RealmError::InTheOpen`] for plain http to another machine.
    pub fn of_index(simple: &str) -> Result<Self, RealmError> {
        let url = base_url(simple)?;
        if !is_closed(&url) {
            return Err(RealmError::InTheOpen { url });
        }
        let path = url.path();
        let folder = path.strip_suffix("simple/").unwrap_or(path);
        // `not-simple/` is a folder of its own.
        let folder = if folder.ends_with('/') { folder } else { path };
        Ok(Self {
            origin: url.origin(),
            folder: folder.to_owned(),
        })
    }

    fn contains(&self, url: &Url) -> bool {
        url.origin() == self.origin && url.path().starts_with(&self.folder)
    }
}

/// Whether nobody on the way can read what is sent.
fn is_closed(url: &Url) -> bool {
    url.scheme() == "https" || is_loopback(url)
}

/// A credential, or how to get it once it is needed.
#[derive(Clone)]
enum Source {
    Known(Credential),
    Asked(Arc<Asked>),
}

struct Asked {
    ask: Box<dyn Fn() -> Option<Credential> + Send + Sync>,
    answer: OnceLock<Option<Credential>>,
}

impl Source {
    fn credential(&self) -> Option<&Credential> {
        match self {
            Self::Known(credential) => Some(credential),
            Self::Asked(asked) => asked.answer.get_or_init(|| (asked.ask)()).as_ref(),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source(…)")
    }
}

/// Whether a request brought a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignIn {
    /// It did.
    Sent,
    /// There is one for the host, which was not sent over plain http.
    Withheld,
    /// None is known.
    Unknown,
}

/// The credentials of a run.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    of_indexes: Vec<(Realm, Source)>,
    /// By host, as netrc has them.
    of_hosts: Vec<(String, Credential)>,
    /// The only origin that they go to, if there is but one.
    confined_to: Option<Origin>,
}

impl Credentials {
    /// Adds the credential of an index.
    pub fn add(&mut self, realm: Realm, credential: Credential) {
        self.of_indexes.push((realm, Source::Known(credential)));
    }

    /// Adds the credential of an index that `ask` knows. It is asked once, and only when something
    /// is fetched from that index; what it does not know is not sent.
    pub fn add_asked(
        &mut self,
        realm: Realm,
        ask: impl Fn() -> Option<Credential> + Send + Sync + 'static,
    ) {
        let asked = Asked {
            ask: Box::new(ask),
            answer: OnceLock::new(),
        };
        self.of_indexes
            .push((realm, Source::Asked(Arc::new(asked))));
    }

    /// The same, for the origin of `url` alone.
    #[must_use]
    pub fn confined_to(self, url: &Url) -> Self {
        Self {
            confined_to: Some(url.origin()),
            ..self
        }
    }

    /// Whether something would be sent with requests to `url`; nobody is asked for it yet.
    pub fn has_one_for(&self, url: &Url) -> bool {
        is_closed(url) && (self.of_index(url).is_some() || self.of_host(url).is_some())
    }

    /// Adds what a netrc file has, for hosts that nothing else is known of. A file that is not
    /// there has nothing; its entry `default`, which would be sent to every host, is left out.
    ///
    /// # Errors
    ///
    /// [`CredentialsError`] when it cannot be read.
    pub fn add_netrc(&mut self, path: &Path) -> Result<(), CredentialsError> {
        self.of_hosts.extend(netrc::read(path)?);
        Ok(())
    }

    /// What is sent with a request to `url`: what is kept for the innermost place that it lies in,
    /// else what netrc says of its host.
    pub(crate) fn header_for(&self, url: &Url) -> (Option<HeaderValue>, SignIn) {
        let elsewhere = |confined: &Origin| *confined != url.origin();
        if self.confined_to.as_ref().is_some_and(elsewhere) {
            return (None, SignIn::Unknown);
        }
        if !is_closed(url) {
            let withheld = self.of_host(url).map(|_| SignIn::Withheld);
            return (None, withheld.unwrap_or(SignIn::Unknown));
        }
        let credential = match self.of_index(url) {
            Some(source) => source.credential(),
            None => self.of_host(url),
        };
        match credential.and_then(Credential::header) {
            Some(header) => (Some(header), SignIn::Sent),
            None => (None, SignIn::Unknown),
        }
    }

    fn of_index(&self, url: &Url) -> Option<&Source> {
        let around = self.of_indexes.iter();
        let around = around.filter(|(realm, _)| realm.contains(url));
        let innermost = around.max_by_key(|(realm, _)| realm.folder.len());
        innermost.map(|(_, source)| source)
    }

    fn of_host(&self, url: &Url) -> Option<&Credential> {
        let host = url.host_str()?;
        let mut hosts = self.of_hosts.iter();
        let found = hosts.find(|(name, _)| name.eq_ignore_ascii_case(host));
        found.map(|(_, credential)| credential)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn credential(secret: &str) -> Credential {
        Credential {
            user: TOKEN_USER.to_owned(),
            secret: Zeroizing::new(secret.to_owned()),
        }
    }

    fn sent(credentials: &Credentials, url: &str) -> Option<String> {
        let (header, sign_in) = credentials.header_for(&url.parse().unwrap());
        assert_eq!(header.is_some(), sign_in == SignIn::Sent);
        let header = header?;
        assert!(header.is_sensitive());
        let encoded = header
            .to_str()
            .unwrap()
            .strip_prefix("Basic ")
            .unwrap()
            .to_owned();
        let plain = String::from_utf8(BASE64_STANDARD.decode(encoded).unwrap()).unwrap();
        Some(plain.strip_prefix("__token__:").unwrap().to_owned())
    }

    #[test]
    fn a_credential_goes_to_its_place_and_nowhere_else() {
        let mut credentials = Credentials::default();
        for (index, secret) in [
            ("https://a.example/team/simple/", "team"),
            ("https://a.example/team/inner/simple", "inner"),
            ("https://b.example:8443/simple/", "b"),
            ("https://c.example/root/pypi/", "c"),
            ("http://127.0.0.1:8458/simple/", "here"),
        ] {
            credentials.add(Realm::of_index(index).unwrap(), credential(secret));
        }
        let check = |url: &str, expected: Option<&str>| {
            assert_eq!(sent(&credentials, url).as_deref(), expected, "{url}");
        };
        check("https://a.example/team/simple/flask/", Some("team"));
        check(
            "https://a.example/team/metadata/timestamp.json",
            Some("team"),
        );
        check("https://A.example:443/team/targets/x", Some("team"));
        check("https://a.example/team/inner/targets/x", Some("inner"));
        check("https://a.example/team", None);
        check("https://a.example/teammate/simple/", None);
        check("https://a.example/other/simple/", None);
        check("https://a.example/team/../other/", None);
        check("https://a.example:8443/team/simple/", None);
        check("http://a.example/team/simple/", None);
        check("https://a.example.evil.example/team/simple/", None);
        check("https://evil.example/team/simple/", None);
        check("https://b.example:8443/anything", Some("b"));
        check("https://b.example/simple/", None);
        check("https://c.example/root/pypi/flask/", Some("c"));
        check("https://c.example/root/", None);
        check(
            "http://127.0.0.1:8458/metadata/timestamp.json",
            Some("here"),
        );
        check("http://127.0.0.1:8459/metadata/timestamp.json", None);
        check("https://127.0.0.1:8458/metadata/timestamp.json", None);
        check("http://localhost:8458/metadata/timestamp.json", None);
    }

    #[test]
    fn nothing_is_kept_for_what_everybody_can_read() {
        let refused = |url: &str| Realm::of_index(url).unwrap_err();
        let open = refused("http://a.example/simple/");
        assert!(matches!(open, RealmError::InTheOpen { .. }), "{open}");
        let with_word = refused("https://u:word@a.example/simple/");
        assert!(matches!(with_word, RealmError::Url(_)));
        assert!(!with_word.to_string().contains("word"), "{with_word}");
        let realm = Realm::of_index("https://a.example/not-simple/").unwrap();
        assert_eq!(realm.folder, "/not-simple/");
    }

    #[test]
    fn what_is_kept_for_an_index_goes_before_netrc() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("netrc");
        std::fs::write(
            &path,
            "machine A.example login __token__ password host\ndefault login __token__ password all",
        )
        .unwrap();
        let mut credentials = Credentials::default();
        credentials.add_netrc(&path).unwrap();
        let realm = Realm::of_index("https://a.example/team/simple/").unwrap();
        credentials.add(realm, credential("team"));
        let check = |url: &str, expected: Option<&str>| {
            assert_eq!(sent(&credentials, url).as_deref(), expected, "{url}");
        };
        check("https://a.example/team/simple/", Some("team"));
        check("https://a.example/other/simple/", Some("host"));
        check("http://a.example/other/simple/", None);
        check("https://b.example/", None);
        let in_the_open = "http://a.example/".parse().unwrap();
        assert_eq!(
            credentials.header_for(&in_the_open),
            (None, SignIn::Withheld)
        );

        // Where others choose the URLs, one origin is all that is signed in to.
        let source = "https://a.example/team/simple/".parse().unwrap();
        let credentials = credentials.confined_to(&source);
        let check = |url: &str, expected: Option<&str>| {
            assert_eq!(sent(&credentials, url).as_deref(), expected, "{url}");
        };
        check("https://a.example/team/files/x", Some("team"));
        check("https://a.example:444/team/files/x", None);
        let elsewhere = "https://c.example/simple/".parse().unwrap();
        let credentials = credentials.confined_to(&elsewhere);
        assert_eq!(sent(&credentials, "https://a.example/team/files/x"), None);
    }

    #[test]
    fn nobody_is_asked_for_what_is_not_needed() {
        use std::sync::atomic::{AtomicU32, Ordering};
        let times = Arc::new(AtomicU32::new(0));
        let counted = times.clone();
        let mut credentials = Credentials::default();
        let realm = |url| Realm::of_index(url).unwrap();
        credentials.add_asked(realm("https://a.example/simple/"), move || {
            counted.fetch_add(1, Ordering::Relaxed);
            Some(credential("asked"))
        });
        credentials.add_asked(realm("https://locked.example/simple/"), || None);
        let a = "https://a.example/simple/";
        assert!(credentials.has_one_for(&a.parse().unwrap()));
        assert_eq!(sent(&credentials, "https://b.example/"), None);
        assert_eq!(sent(&credentials, "https://locked.example/"), None);
        assert_eq!(times.load(Ordering::Relaxed), 0);
        for _ in 0..3 {
            assert_eq!(sent(&credentials, a).as_deref(), Some("asked"));
        }
        assert_eq!(times.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_secret_is_not_shown() {
        let mut credentials = Credentials::default();
        let realm = Realm::of_index("https://a.example/simple/").unwrap();
        credentials.add(realm, credential("wmk_secret"));
        assert!(!format!("{credentials:?}").contains("wmk_secret"));
        let url = "https://a.example/simple/".parse().unwrap();
        let header = credentials.header_for(&url).0.unwrap();
        assert!(!format!("{header:?}").contains("Basic"));
        // Nothing in it becomes another header.
        let mut broken = Credentials::default();
        let realm = Realm::of_index("https://a.example/simple/").unwrap();
        broken.add(realm, credential("a\r\nHost: evil"));
        assert_eq!(
            sent(&broken, "https://a.example/simple/").as_deref(),
            Some("a\r\nHost: evil")
        );
    }
}
