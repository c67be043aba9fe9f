//! Who is expected to publish a file: publishers in the sense of PEP 740.
//!
//! A publisher is what a person writes into a policy, what a lock file records
//! (`attestation-identities` of PEP 751) and what an index states in a provenance object. All of
//! that is somebody's word; [`crate::Identity::matches`] compares it with what a certificate
//! proves.

mod kinds;
mod spelling;
mod wire;

pub use self::kinds::{CircleCi, GitHub, GitLab, Google, Oidc, Unknown};

/// Somebody, or something, that publishes.
///
/// It is read from and written to JSON and TOML as PEP 740's publisher objects are, which are also
/// the `attestation-identities` of a lock file, and has a short spelling for people, which
/// [`std::fmt::Display`] writes and [`std::str::FromStr`] reads:
///
/// ```text
/// github:OWNER/REPOSITORY@WORKFLOW[#ENVIRONMENT]     github:pallets/flask@publish.yaml
/// gitlab:GROUP/PROJECT@FILE[#ENVIRONMENT]            gitlab:group/sub/project@.gitlab-ci.yml
/// google:EMAIL[#SUB]                                 google:robot@project.iam.gserviceaccount.com
/// circleci:[ORGANISATION/]PROJECT/PIPELINE[@ORIGIN][#REF]
/// SUBJECT+ISSUER                                     alice@example.org+https://accounts.example.org
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Publisher {
    /// A workflow of a repository on GitHub.
    GitHub(GitHub),
    /// A pipeline of a project on GitLab.
    GitLab(GitLab),
    /// A service account, or a person, of Google.
    Google(Google),
    /// A pipeline of CircleCI.
    CircleCi(CircleCi),
    /// A subject of any other OpenID Connect issuer.
    Oidc(Oidc),
    /// A kind that another index knows and we do not: it can be read and shown, and matches
    /// nobody.
    Unknown(Unknown),
}

/// Why something does not name a publisher.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublisherError {
    /// A spelling that begins like none of those that are known.
    #[error("`{}` does not name a publisher", given.escape_debug())]
    Spelling {
        /// What was given.
        given: String,
    },
    /// One of the parts cannot be that.
    #[error("`{}` is not {what}", given.escape_debug())]
    Part {
        /// What it should be.
        what: &'static str,
        /// What was given.
        given: String,
    },
    /// A publisher object without what its kind needs.
    #[error("a publisher of the kind {kind} needs `{member}`")]
    Missing {
        /// The kind.
        kind: &'static str,
        /// What is missing.
        member: &'static str,
    },
}

impl PublisherError {
    /// What to write instead.
    pub fn hint(&self) -> &'static str {
        "a publisher is written as github:OWNER/REPOSITORY@WORKFLOW, gitlab:GROUP/PROJECT@FILE, \
         google:EMAIL, circleci:PROJECT/PIPELINE or SUBJECT+ISSUER"
    }
}

impl Publisher {
    /// The kind, as publisher objects name it.
    pub fn kind(&self) -> &str {
        match self {
            Publisher::GitHub(_) => GitHub::KIND,
            Publisher::GitLab(_) => GitLab::KIND,
            Publisher::Google(_) => Google::KIND,
            Publisher::CircleCi(_) => CircleCi::KIND,
            Publisher::Oidc(_) => Oidc::KIND,
            Publisher::Unknown(unknown) => unknown.kind(),
        }
    }

    /// Nobody that we know how to write down.
    pub(crate) fn unknown() -> Publisher {
        Publisher::Unknown(Unknown::nobody())
    }

    /// The same in any environment.
    #[must_use]
    pub fn without_environment(&self) -> Publisher {
        match self {
            Publisher::GitHub(github) => github.without_environment().into(),
            Publisher::GitLab(gitlab) => gitlab.without_environment().into(),
            other => other.clone(),
        }
    }
}
