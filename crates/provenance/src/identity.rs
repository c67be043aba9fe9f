//! Who a certificate proves: the subject, the issuer that vouched for it, and what the issuer said
//! of the job that ran.

mod matching;

use std::fmt;

use serde::{Serialize, Serializer};

pub use self::matching::Mismatch;
use crate::publisher::{CircleCi, GitHub, GitLab, Google, Oidc, Publisher};

/// Whom GitHub's tokens are from.
const GITHUB_ISSUER: &str = "https://token.actions.githubusercontent.com";
/// Where its repositories are.
const GITHUB: &str = "https://github.com/";
/// Where a repository has its workflows.
const WORKFLOWS: &str = "/.github/workflows/";
/// Whom GitLab's tokens are from.
const GITLAB_ISSUER: &str = "https://gitlab.com";
/// Where its projects are.
const GITLAB: &str = "https://gitlab.com/";
/// Whom Google's tokens are from.
const GOOGLE_ISSUER: &str = "https://accounts.google.com";
/// Whom CircleCI's tokens are from, before the organisation's id.
const CIRCLECI_ISSUER: &str = "https://oidc.circleci.com/org/";
/// What Sigstore's public CA makes the subject of them, before the project's id.
const CIRCLECI: &str = "https://circleci.com/api/v2/projects/";
/// What stands between the project's id and the pipeline's.
const CIRCLECI_PIPELINES: &str = "/pipeline-definitions/";

/// Issuers besides those above that everybody can have a token of, and that Sigstore's public
/// instance takes (Fulcio, its configuration of 2025).
const PUBLIC_ISSUERS: [&str; 7] = [
    "https://github.com/login/oauth",
    "https://oauth2.sigstore.dev/auth",
    "https://login.microsoftonline.com",
    "https://agent.buildkite.com",
    "https://oidc.codefresh.io",
    "https://gitlab.archlinux.org",
    "https://issuer.enforce.dev",
];

/// Whether an issuer is a service that everybody uses.
pub(crate) fn is_of_a_public_service(issuer: &str) -> bool {
    [GITHUB_ISSUER, GITLAB_ISSUER, GOOGLE_ISSUER].contains(&issuer)
        || PUBLIC_ISSUERS.contains(&issuer)
        || issuer.starts_with(CIRCLECI_ISSUER)
        // Those of an organisation on GitHub stand behind a path.
        || issuer
            .strip_prefix(GITHUB_ISSUER)
            .is_some_and(|rest| rest.starts_with('/'))
}

/// The subject of a certificate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A person or a service account, by address.
    Email(String),
    /// A workload, by URI.
    Uri(String),
}

impl Subject {
    /// The address or the URI.
    pub fn as_str(&self) -> &str {
        match self {
            Subject::Email(value) | Subject::Uri(value) => value,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an issuer said of the job that asked for a certificate: the extensions under
/// 1.3.6.1.4.1.57264.1 (Fulcio, *Sigstore OID information*). Each may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Claims {
    /// Where the source is, as a URI (`.12`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The repository's unchanging id (`.15`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository_id: Option<String>,
    /// The repository's owner, as a URI (`.16`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The owner's unchanging id (`.17`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_id: Option<String>,
    /// The ref that was built (`.14`).
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub git_ref: Option<String>,
    /// The commit that was built (`.13`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The workflow or pipeline that ran, as a URI with a ref (`.18`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// The commit that the workflow was taken from (`.19`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow_digest: Option<String>,
    /// The deployment environment (`.23`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// What started the job (`.20`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// The run, as a URI (`.21`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Whether the machine was the provider's or the owner's (`.11`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runner: Option<String>,
    /// Whether the source was public (`.22`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visibility: Option<String>,
    /// The token's own subject (`.24`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_subject: Option<String>,
}

/// A provider's own numbers for a repository and for whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account<'a> {
    /// The owner's.
    pub owner_id: &'a str,
    /// The repository's.
    pub repository_id: &'a str,
}

/// Who made something, as a certificate proves it.
///
/// It comes out of a verification alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    subject: Subject,
    issuer: String,
    claims: Claims,
}

impl Identity {
    pub(crate) fn new(subject: Subject, issuer: String, claims: Claims) -> Identity {
        Identity {
            subject,
            issuer,
            claims,
        }
    }

    /// The certificate's subject.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Who vouched for the subject, as a URL.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// What the issuer said besides.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Whether this is that publisher, by everything that the publisher says.
    ///
    /// GitHub's and GitLab's names are compared without regard to the case of ASCII letters, as
    /// both do it: no two repositories differ by that alone.
    pub fn matches(&self, publisher: &Publisher) -> Result<(), Mismatch> {
        matching::compare(self, publisher)
    }

    /// Whose numbers the provider gives: they stay when a name is given up and registered anew by
    /// somebody else. `None` where the certificate has none.
    pub fn account(&self) -> Option<Account<'_>> {
        Some(Account {
            owner_id: self.claims.owner_id.as_deref()?,
            repository_id: self.claims.repository_id.as_deref()?,
        })
    }

    /// The publisher that this is: what to keep, to expect the same again.
    ///
    /// It names the environment where the certificate does. What is no known form of a provider's
    /// is kept as subject and issuer, to the letter.
    pub fn publisher(&self) -> Publisher {
        self.github()
            .map(Publisher::from)
            .or_else(|| self.gitlab().map(Publisher::from))
            .or_else(|| self.google().map(Publisher::from))
            .or_else(|| self.circleci().map(Publisher::from))
            .or_else(|| self.workflow_at_any_ref().map(Publisher::from))
            .or_else(|| {
                Oidc::new(self.subject.as_str(), &self.issuer)
                    .ok()
                    .map(Publisher::from)
            })
            .unwrap_or_else(Publisher::unknown)
    }

    /// A workflow of an issuer of one's own: at any ref, as with the public ones, since each release
    /// has another.
    fn workflow_at_any_ref(&self) -> Option<Oidc> {
        let Subject::Uri(uri) = &self.subject else {
            return None;
        };
        self.claims.repository.as_deref()?;
        let git_ref = self.claims.git_ref.as_deref()?;
        let workflow = uri.strip_suffix(git_ref)?.strip_suffix('@')?;
        let oidc = Oidc::new(&format!("{workflow}@*"), &self.issuer).ok()?;
        // Never somebody whom it would not be taken for.
        self.matches(&oidc.clone().into()).ok()?;
        Some(oidc)
    }

    fn github(&self) -> Option<GitHub> {
        let repository = self.claims.repository.as_deref()?;
        if self.issuer != GITHUB_ISSUER {
            return None;
        }
        let workflow = self.workflow_in(repository, WORKFLOWS)?;
        let environment = self.claims.environment.as_deref();
        GitHub::new(repository.strip_prefix(GITHUB)?, workflow, environment).ok()
    }

    fn gitlab(&self) -> Option<GitLab> {
        let repository = self.claims.repository.as_deref()?;
        if self.issuer != GITLAB_ISSUER {
            return None;
        }
        let file = self.workflow_in(repository, "//")?;
        let environment = self.claims.environment.as_deref();
        GitLab::new(repository.strip_prefix(GITLAB)?, file, environment).ok()
    }

    fn google(&self) -> Option<Google> {
        match &self.subject {
            Subject::Email(email) if self.issuer == GOOGLE_ISSUER => Google::new(email, None).ok(),
            _ => None,
        }
    }

    fn circleci(&self) -> Option<CircleCi> {
        let organization = self.issuer.strip_prefix(CIRCLECI_ISSUER)?;
        let Subject::Uri(subject) = &self.subject else {
            return None;
        };
        let (project, pipeline) = subject
            .strip_prefix(CIRCLECI)?
            .split_once(CIRCLECI_PIPELINES)?;
        CircleCi::new(project, pipeline)
            .and_then(|circleci| circleci.of_organization(organization))
            .ok()
    }

    /// The file of the workflow that ran, if it ran at the ref or the commit that was built, and
    /// is where that repository has such files.
    fn workflow_in(&self, repository: &str, folder: &str) -> Option<&str> {
        let claims = &self.claims;
        let workflow = claims.workflow.as_deref()?;
        let file = [&claims.digest, &claims.git_ref]
            .into_iter()
            .flatten()
            .find_map(|at| workflow.strip_suffix(at.as_str())?.strip_suffix('@'))?;
        let place = file.get(..repository.len())?;
        if !place.eq_ignore_ascii_case(repository) {
            return None;
        }
        file.get(repository.len()..)?.strip_prefix(folder)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.publisher())?;
        match &self.claims.git_ref {
            Some(git_ref) => write!(f, " ({git_ref})"),
            None => Ok(()),
        }
    }
}

impl Serialize for Identity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Written<'a> {
            publisher: Publisher,
            subject: &'a str,
            issuer: &'a str,
            claims: &'a Claims,
        }
        Written {
            publisher: self.publisher(),
            subject: self.subject.as_str(),
            issuer: &self.issuer,
            claims: &self.claims,
        }
        .serialize(serializer)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests;
