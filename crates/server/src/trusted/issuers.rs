//! Who makes identity tokens, and of which kind they are.

use std::fmt;
use std::str::FromStr;

use reqwest::Url;

/// CircleCI has an issuer for each organisation, below this.
pub(super) const CIRCLECI: &str = "https://oidc.circleci.com/org/";

/// What the claims of an issuer's tokens look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IssuerKind {
    /// GitHub Actions.
    GitHub,
    /// GitLab CI.
    GitLab,
    /// Google's accounts for machines.
    Google,
    /// CircleCI.
    CircleCi,
    /// ActiveState's platform.
    ActiveState,
    /// Any other: its subjects are taken as they are.
    Oidc,
}

impl IssuerKind {
    /// All of them.
    pub const ALL: [IssuerKind; 6] = [
        Self::GitHub,
        Self::GitLab,
        Self::Google,
        Self::CircleCi,
        Self::ActiveState,
        Self::Oidc,
    ];

    /// Its word in settings, and in front of publishers.
    pub fn word(self) -> &'static str {
        match self {
            Self::GitHub => "github",
            Self::GitLab => "gitlab",
            Self::Google => "google",
            Self::CircleCi => "circleci",
            Self::ActiveState => "activestate",
            Self::Oidc => "oidc",
        }
    }

    /// The issuer that everybody can use; none where there is not one for all.
    pub fn public_issuer(self) -> Option<&'static str> {
        match self {
            Self::GitHub => Some("https://token.actions.githubusercontent.com"),
            Self::GitLab => Some("https://gitlab.com"),
            Self::Google => Some("https://accounts.google.com"),
            Self::ActiveState => Some("https://platform.activestate.com/api/v1/oauth/oidc"),
            Self::CircleCi | Self::Oidc => None,
        }
    }
}

impl fmt::Display for IssuerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// One issuer: `github`, or `gitlab=https://gitlab.example.org`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    kind: IssuerKind,
    /// `None` is the issuers of CircleCI.
    url: Option<String>,
}

/// A text that names no issuer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssuerError {
    /// A word that is no kind of issuer.
    #[error("`{}` is no kind of issuer: those are github, gitlab, google, circleci, activestate and oidc", word.escape_debug())]
    Kind {
        /// The word.
        word: String,
    },
    /// A kind that has no issuer for everybody.
    #[error("there is not one issuer of this kind for everybody: write {kind}=https://…")]
    NoUrl {
        /// The kind.
        kind: IssuerKind,
    },
    /// No URL, or one that tokens' makers do not have.
    #[error("`{}` is not the https URL of an issuer", url.escape_debug())]
    Url {
        /// What was given.
        url: String,
    },
}

impl Issuer {
    /// What its tokens look like.
    pub fn kind(&self) -> IssuerKind {
        self.kind
    }

    /// Whether it is this one that a token names. Names are compared byte for byte (OpenID Connect
    /// Core 1.0, *ID Token Validation*).
    fn is(&self, issuer: &str) -> bool {
        match &self.url {
            Some(url) => url == issuer,
            None => issuer.strip_prefix(CIRCLECI).is_some_and(|organisation| {
                !organisation.is_empty()
                    && organisation.len() <= 64
                    && organisation
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b == b'-')
            }),
        }
    }
}

impl FromStr for Issuer {
    type Err = IssuerError;

    fn from_str(text: &str) -> Result<Self, IssuerError> {
        let (word, url) = match text.split_once('=') {
            Some((word, url)) => (word.trim(), Some(url.trim())),
            None => (text.trim(), None),
        };
        let kind = IssuerKind::ALL.into_iter().find(|kind| kind.word() == word);
        let kind = kind.ok_or_else(|| IssuerError::Kind {
            word: word.to_owned(),
        })?;
        // A public service is of its kind: by another one, its claims would not be looked at.
        let is_of_another = IssuerKind::ALL
            .into_iter()
            .any(|other| other != kind && url.is_some() && other.public_issuer() == url);
        if let (Some(url), true) = (url, is_of_another) {
            return Err(IssuerError::Url {
                url: url.to_owned(),
            });
        }
        let url = match (url, kind) {
            (Some(url), _) => {
                let fits = is_issuer(url).then(|| url.to_owned());
                Some(fits.ok_or_else(|| IssuerError::Url {
                    url: url.to_owned(),
                })?)
            }
            (None, IssuerKind::CircleCi) => None,
            (None, kind) => {
                let url = kind.public_issuer();
                Some(url.ok_or(IssuerError::NoUrl { kind })?.to_owned())
            }
        };
        Ok(Issuer { kind, url })
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.url {
            Some(url) if self.kind.public_issuer() != Some(url) => {
                write!(f, "{}={url}", self.kind)
            }
            _ => write!(f, "{}", self.kind),
        }
    }
}

/// The issuers that are looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Issuers(pub Vec<Issuer>);

impl Issuers {
    /// The kind of the issuer that a token names, if its tokens are looked at.
    pub fn kind_of(&self, issuer: &str) -> Option<IssuerKind> {
        let found = self.0.iter().find(|known| known.is(issuer));
        found.map(Issuer::kind)
    }
}

/// Whether a URL can be that of an issuer: https, or on this machine, which is what tests and trials
/// have.
fn is_issuer(url: &str) -> bool {
    let Ok(parsed) = url.parse::<Url>() else {
        return false;
    };
    let plain = parsed.query().is_none()
        && parsed.fragment().is_none()
        && parsed.username().is_empty()
        && parsed.password().is_none();
    plain && parsed.has_host() && is_safe(&parsed)
}

/// Whether what comes from there comes from whom it names: by https, or from this machine.
pub(super) fn is_safe(url: &Url) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url))
}

/// Whether a URL leads to this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    // As it is written: no name is looked up.
    match url.host_str() {
        Some("localhost" | "[::1]") => true,
        Some(host) => host
            .parse::<std::net::Ipv4Addr>()
            .is_ok_and(|address| address.is_loopback()),
        None => false,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test says where it failed")]
mod tests {
    use super::*;

    #[test]
    fn issuers_are_named_by_their_kind_or_by_their_url_as_well() {
        let check = |text: &str, names: &[&str], others: &[&str]| {
            let issuer: Issuer = text.parse().unwrap();
            assert_eq!(issuer.to_string(), text);
            for name in names {
                assert!(issuer.is(name), "{text} {name}");
            }
            for name in others {
                assert!(!issuer.is(name), "{text} {name}");
            }
        };
        let github = "https://token.actions.githubusercontent.com";
        check(
            "github",
            &[github],
            &["https://github.com", "", &format!("{github}/")],
        );
        check(
            "google",
            &["https://accounts.google.com"],
            &["accounts.google.com"],
        );
        let own = "https://gitlab.example.org";
        check(
            &format!("gitlab={own}"),
            &[own],
            &["https://gitlab.com", "http://gitlab.example.org"],
        );
        check(
            "oidc=http://127.0.0.1:8080/ci",
            &["http://127.0.0.1:8080/ci"],
            &["http://127.0.0.1:8080"],
        );
        check(
            "circleci",
            &["https://oidc.circleci.com/org/0a1b-2c"],
            &[
                "https://oidc.circleci.com/org/",
                "https://oidc.circleci.com/org/a/b",
                "https://oidc.circleci.com",
            ],
        );
    }

    #[test]
    fn what_is_no_issuer_is_not_taken_for_one() {
        let refused = |text: &str| text.parse::<Issuer>().unwrap_err();
        assert!(matches!(refused("GitHub"), IssuerError::Kind { .. }));
        assert!(matches!(refused(""), IssuerError::Kind { .. }));
        assert!(matches!(refused("oidc"), IssuerError::NoUrl { .. }));
        let github = "oidc=https://token.actions.githubusercontent.com";
        assert!(matches!(refused(github), IssuerError::Url { .. }));
        for url in [
            "http://gitlab.example.org",
            "http://127.0.0.1.example.org",
            "https://a@gitlab.example.org",
            "https://gitlab.example.org/?x",
            "gitlab.example.org",
            "file:///etc/passwd",
            "",
        ] {
            let error = refused(&format!("gitlab={url}"));
            assert!(matches!(error, IssuerError::Url { .. }), "{url}");
        }
    }
}
