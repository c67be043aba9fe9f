//! Whom a project trusts to upload: what has to stand in an identity token.
//!
//! As a text, which people write and read, and as JSON, which is kept and has the members of PyPI's
//! publisher objects.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use wheelmark_provenance::{CircleCi, GitHub, GitLab, Google, Oidc, Publisher};
use wheelmark_store::UserName;
use wheelmark_tuf::Sha256;

use super::issuers::{CIRCLECI, IssuerKind};

/// Longest part of a publisher's text, in bytes: paths of GitLab projects, the longest, have 255.
const MAX_PART_LEN: usize = 255;

/// Hex digits that tell the users of publishers apart.
const DISTINCT_DIGITS: usize = 32;

/// A publisher.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub enum TrustedPublisher {
    /// A workflow of a repository on GitHub.
    GitHub {
        /// `owner/repository`.
        repository: String,
        /// The file's name below `.github/workflows/`.
        workflow: String,
        /// The environment that its job has to run in, if that matters.
        environment: Option<String>,
    },
    /// A pipeline of a project on GitLab.
    GitLab {
        /// `group/project`, with as many groups as there are.
        repository: String,
        /// The path of the pipeline's file.
        workflow_filepath: String,
        /// The environment that its job has to run in, if that matters.
        environment: Option<String>,
    },
    /// An account for machines on Google Cloud.
    Google {
        /// Its address.
        email: String,
        /// Its number.
        sub: Option<String>,
    },
    /// A pipeline of a project on CircleCI.
    #[serde(rename = "CircleCI")]
    CircleCi {
        /// The project's number.
        project_id: String,
        /// The pipeline definition's number.
        pipeline_definition_id: String,
    },
    /// A project on ActiveState's platform. It attests to nothing.
    ActiveState {
        /// The organisation.
        organization: String,
        /// The project.
        project: String,
        /// The number of whoever publishes.
        actor_id: String,
    },
    /// Whoever an issuer names so.
    #[serde(rename = "OIDC")]
    Oidc {
        /// The subject.
        subject: String,
    },
}

/// A text that is no publisher.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustedPublisherError {
    /// It begins with no kind, and is no subject of an issuer either.
    #[error("`{}` is no publisher", text.escape_debug())]
    Kind {
        /// The text.
        text: String,
    },
    /// It is not written as publishers of its kind are.
    #[error("`{}` is not written as {form}", text.escape_debug())]
    Form {
        /// The text.
        text: String,
        /// How it would be.
        form: &'static str,
    },
}

impl TrustedPublisherError {
    /// What to do about it.
    pub fn fix(&self) -> &'static str {
        match self {
            Self::Kind { .. } => {
                "begin with github:, gitlab:, google:, circleci: or activestate:, or write SUBJECT+ISSUER"
            }
            Self::Form { .. } => {
                "for example github:octo/demo@release.yml#pypi, gitlab:group/demo@.gitlab-ci.yml, google:robot@project.iam.gserviceaccount.com"
            }
        }
    }
}

impl TrustedPublisher {
    /// A publisher, and the issuer that its text names, where it does.
    ///
    /// # Errors
    ///
    /// [`TrustedPublisherError`]
    pub fn with_issuer(text: &str) -> Result<(Self, Option<String>), TrustedPublisherError> {
        let subject = text.rfind("+https://").or_else(|| text.rfind("+http://"));
        match subject {
            Some(at) if is_part(&text[..at]) => {
                let subject = text[..at].to_owned();
                Ok((Self::Oidc { subject }, Some(text[at + 1..].to_owned())))
            }
            _ => Ok((text.parse()?, None)),
        }
    }

    /// The kind of the issuers that vouch for it.
    pub fn issuer_kind(&self) -> IssuerKind {
        match self {
            Self::GitHub { .. } => IssuerKind::GitHub,
            Self::GitLab { .. } => IssuerKind::GitLab,
            Self::Google { .. } => IssuerKind::Google,
            Self::CircleCi { .. } => IssuerKind::CircleCi,
            Self::ActiveState { .. } => IssuerKind::ActiveState,
            Self::Oidc { .. } => IssuerKind::Oidc,
        }
    }

    /// Where it is, as tokens say it: what finds it among those of its issuer.
    pub fn place(&self) -> String {
        match self {
            Self::GitHub { repository, .. } | Self::GitLab { repository, .. } => {
                repository.to_ascii_lowercase()
            }
            Self::Google { email, .. } => email.clone(),
            Self::CircleCi { project_id, .. } => project_id.clone(),
            Self::ActiveState {
                organization,
                project,
                ..
            } => format!("{organization}/{project}"),
            Self::Oidc { subject } => subject.clone(),
        }
    }

    /// Whose account it is part of, where it says that; two of one issuer with the same one fall together.
    pub fn owner(&self) -> Option<String> {
        match self {
            Self::GitHub { repository, .. } | Self::GitLab { repository, .. } => {
                let (owner, _) = repository.split_once('/')?;
                Some(owner.to_ascii_lowercase())
            }
            Self::ActiveState { organization, .. } => Some(organization.clone()),
            Self::Google { .. } | Self::CircleCi { .. } | Self::Oidc { .. } => None,
        }
    }

    /// The user that uploads for it: one for each identity and issuer, whatever environment a
    /// project asks for.
    pub fn user(&self, issuer: &str) -> UserName {
        let (mut what, kind) = (self.clone(), self.issuer_kind().word());
        match &mut what {
            Self::GitHub {
                repository,
                environment,
                ..
            }
            | Self::GitLab {
                repository,
                environment,
                ..
            } => {
                repository.make_ascii_lowercase();
                *environment = None;
            }
            Self::Google { sub, .. } => *sub = None,
            Self::CircleCi { .. } | Self::ActiveState { .. } | Self::Oidc { .. } => {}
        }
        let distinct = Sha256::of(format!("{issuer}\n{}", what.to_json()).as_bytes()).to_string();
        let name = format!("{kind}-{}", &distinct[..DISTINCT_DIGITS]);
        name.parse().expect("letters, digits and a dash are a name")
    }

    /// Whom certificates of Sigstore name where they name this publisher; none where they cannot: an
    /// issuer of one's own is not the public one of its kind, whose names are others'.
    pub fn attests_as(&self, issuer: &str) -> Option<Publisher> {
        let is_public = self.issuer_kind().public_issuer() == Some(issuer);
        match self {
            Self::GitHub {
                repository,
                workflow,
                environment,
            } if is_public => {
                let github = GitHub::new(repository, workflow, environment.as_deref());
                github.ok().map(Into::into)
            }
            Self::GitLab {
                repository,
                workflow_filepath,
                environment,
            } if is_public => {
                let gitlab = GitLab::new(repository, workflow_filepath, environment.as_deref());
                gitlab.ok().map(Into::into)
            }
            Self::Google { email, sub } if is_public => {
                Google::new(email, sub.as_deref()).ok().map(Into::into)
            }
            Self::CircleCi {
                project_id,
                pipeline_definition_id,
            } => {
                let organization = issuer.strip_prefix(CIRCLECI)?;
                let pipeline = CircleCi::new(project_id, pipeline_definition_id).ok()?;
                pipeline.of_organization(organization).ok().map(Into::into)
            }
            Self::Oidc { subject } => Oidc::new(subject, issuer).ok().map(Into::into),
            Self::GitHub { .. }
            | Self::GitLab { .. }
            | Self::Google { .. }
            | Self::ActiveState { .. } => None,
        }
    }

    /// As it is kept.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("texts always make JSON")
    }

    /// As it was kept; none if a later version of this program kept it.
    pub fn from_json(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

impl FromStr for TrustedPublisher {
    type Err = TrustedPublisherError;

    fn from_str(text: &str) -> Result<Self, TrustedPublisherError> {
        let Some((kind, rest)) = text.split_once(':') else {
            return Err(TrustedPublisherError::Kind {
                text: text.to_owned(),
            });
        };
        let (read, form): (Option<Self>, _) = match kind {
            "github" => (
                github(rest),
                "github:OWNER/REPOSITORY@WORKFLOW.yml, with #ENVIRONMENT behind it if that matters",
            ),
            "gitlab" => (
                gitlab(rest),
                "gitlab:GROUP/PROJECT@PATH.yml, with #ENVIRONMENT behind it if that matters",
            ),
            "google" => (google(rest), "google:ADDRESS"),
            "circleci" => (circleci(rest), "circleci:PROJECT-ID/PIPELINE-DEFINITION-ID"),
            "activestate" => (
                activestate(rest),
                "activestate:ORGANISATION/PROJECT@ACTOR-ID",
            ),
            _ => {
                return Err(TrustedPublisherError::Kind {
                    text: text.to_owned(),
                });
            }
        };
        read.ok_or_else(|| TrustedPublisherError::Form {
            text: text.to_owned(),
            form,
        })
    }
}

impl fmt::Display for TrustedPublisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let environment = |environment: &Option<String>| {
            environment
                .as_ref()
                .map(|name| format!("#{name}"))
                .unwrap_or_default()
        };
        match self {
            Self::GitHub {
                repository,
                workflow,
                environment: job,
            } => write!(f, "github:{repository}@{workflow}{}", environment(job)),
            Self::GitLab {
                repository,
                workflow_filepath,
                environment: job,
            } => write!(
                f,
                "gitlab:{repository}@{workflow_filepath}{}",
                environment(job)
            ),
            Self::Google { email, .. } => write!(f, "google:{email}"),
            Self::CircleCi {
                project_id,
                pipeline_definition_id,
            } => write!(f, "circleci:{project_id}/{pipeline_definition_id}"),
            Self::ActiveState {
                organization,
                project,
                actor_id,
            } => write!(f, "activestate:{organization}/{project}@{actor_id}"),
            Self::Oidc { subject } => f.write_str(subject),
        }
    }
}

/// `REPOSITORY@FILE#ENVIRONMENT`.
fn split(text: &str) -> Option<(&str, &str, Option<String>)> {
    let (text, environment) = match text.split_once('#') {
        Some((text, environment)) if is_part(environment) => (text, Some(environment.to_owned())),
        Some(_) => return None,
        None => (text, None),
    };
    let (repository, file) = text.split_once('@')?;
    let is_file = is_part(file) && !file.contains('@');
    let stem = file
        .strip_suffix(".yml")
        .or_else(|| file.strip_suffix(".yaml"));
    let is_yaml = stem.is_some_and(|stem| !stem.is_empty());
    (is_file && is_yaml).then_some((repository, file, environment))
}

fn github(text: &str) -> Option<TrustedPublisher> {
    let (repository, workflow, environment) = split(text)?;
    let (owner, name) = repository.split_once('/')?;
    (is_word(owner) && is_word(name) && !workflow.contains('/')).then(|| TrustedPublisher::GitHub {
        repository: repository.to_owned(),
        workflow: workflow.to_owned(),
        environment,
    })
}

fn gitlab(text: &str) -> Option<TrustedPublisher> {
    let (repository, file, environment) = split(text)?;
    let is_path = repository.contains('/') && repository.split('/').all(is_word);
    let is_file = file.split('/').all(|part| !part.is_empty() && part != "..");
    (is_path && is_part(repository) && is_file).then(|| TrustedPublisher::GitLab {
        repository: repository.to_owned(),
        workflow_filepath: file.to_owned(),
        environment,
    })
}

fn google(text: &str) -> Option<TrustedPublisher> {
    let (name, host) = text.split_once('@')?;
    let is_address = is_part(text) && !name.is_empty() && !host.is_empty() && !host.contains('@');
    is_address.then(|| TrustedPublisher::Google {
        email: text.to_owned(),
        sub: None,
    })
}

fn circleci(text: &str) -> Option<TrustedPublisher> {
    let (project, pipeline) = text.split_once('/')?;
    (is_word(project) && is_word(pipeline)).then(|| TrustedPublisher::CircleCi {
        project_id: project.to_owned(),
        pipeline_definition_id: pipeline.to_owned(),
    })
}

fn activestate(text: &str) -> Option<TrustedPublisher> {
    let (place, actor) = text.split_once('@')?;
    let (organization, project) = place.split_once('/')?;
    let parts = [organization, project, actor];
    let are_words = parts
        .into_iter()
        .all(|part| is_part(part) && !part.contains(['/', '@', ':']));
    are_words.then(|| TrustedPublisher::ActiveState {
        organization: organization.to_owned(),
        project: project.to_owned(),
        actor_id: actor.to_owned(),
    })
}

/// Anything that stands on one line.
fn is_part(text: &str) -> bool {
    (1..=MAX_PART_LEN).contains(&text.len())
        && !text.chars().any(char::is_control)
        && text.trim() == text
}

/// A name as forges have them.
fn is_word(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    is_part(text) && text.bytes().all(plain) && text != "." && text != ".."
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test says where it failed")]
mod tests {
    use super::*;

    #[test]
    fn publishers_are_written_as_they_are_read() {
        for text in [
            "github:octo/demo@release.yml",
            "github:octo/demo@release.yaml#pypi",
            "gitlab:group/demo@.gitlab-ci.yml",
            "gitlab:group/sub.group/demo@ci/release.yml#prod",
            "google:robot@project.iam.gserviceaccount.com",
            "circleci:0a1b-2c/3d4e-5f",
            "activestate:org/project@00000000-0000",
        ] {
            let publisher: TrustedPublisher = text.parse().unwrap();
            assert_eq!(publisher.to_string(), text);
            let kept = TrustedPublisher::from_json(&publisher.to_json());
            assert_eq!(kept, Some(publisher));
        }
        let (publisher, issuer) =
            TrustedPublisher::with_issuer("repo:a+b/c+https://ci.example.org/x").unwrap();
        assert_eq!(publisher.to_string(), "repo:a+b/c");
        assert_eq!(issuer.as_deref(), Some("https://ci.example.org/x"));
        let kept = r#"{"kind":"GitHub","repository":"o/r","workflow":"w.yml","environment":null}"#;
        assert_eq!(
            "github:o/r@w.yml"
                .parse::<TrustedPublisher>()
                .unwrap()
                .to_json(),
            kept
        );
    }

    #[test]
    fn what_is_no_publisher_is_not_taken_for_one() {
        for text in [
            "",
            "octo/demo",
            "github:",
            "github:octo@release.yml",
            "github:octo/demo",
            "github:octo/demo@release",
            "github:octo/demo@.yml",
            "github:octo/demo/more@release.yml",
            "github:octo/demo@dir/release.yml",
            "github:octo/demo@release.yml#",
            "github:octo/../demo@release.yml",
            "github:octo/demo@a@release.yml",
            "github:octo/de mo@release.yml",
            "gitlab:demo@ci.yml",
            "gitlab:a//b@ci.yml",
            "gitlab:a/b@/ci.yml",
            "gitlab:a/b@x/../ci.yml",
            "google:robot",
            "google:a@b@c",
            "circleci:only",
            "activestate:a/b",
            "bitbucket:a/b@c.yml",
            " +https://x.example",
        ] {
            assert!(TrustedPublisher::with_issuer(text).is_err(), "{text}");
        }
        assert!(TrustedPublisher::with_issuer("github:o/r@w.yml\n").is_err());
    }

    #[test]
    fn one_identity_has_one_user() {
        let user = |text: &str, issuer| text.parse::<TrustedPublisher>().unwrap().user(issuer);
        let (here, there) = ("https://a.example", "https://b.example");
        let one = user("github:octo/demo@release.yml", here);
        assert!(
            one.as_str().starts_with("github-") && one.as_str().len() == 39,
            "{one}"
        );
        assert_eq!(one, user("github:Octo/demo@release.yml#pypi", here));
        assert_ne!(one, user("github:octo/demo@release.yml", there));
        assert_ne!(one, user("github:octo/demo@other.yml", here));
        assert_ne!(one, user("github:octo/demo2@release.yml", here));
    }

    #[test]
    fn issuers_of_ones_own_attest_to_nothing_by_the_names_of_public_ones() {
        let check = |text: &str, issuer: &str, expected: Option<&str>| {
            let publisher: TrustedPublisher = text.parse().unwrap();
            let attests = publisher
                .attests_as(issuer)
                .map(|attests| attests.to_string());
            assert_eq!(attests.as_deref(), expected, "{text} {issuer}");
        };
        let (github, own) = (
            "github:octo/demo@release.yml#pypi",
            "https://git.example.org",
        );
        let public = "https://token.actions.githubusercontent.com";
        check(github, public, Some(github));
        check(github, own, None);
        let gitlab = "gitlab:octo/demo@.gitlab-ci.yml";
        check(gitlab, "https://gitlab.com", Some(gitlab));
        check(gitlab, own, None);
        check("google:robot@project.iam.gserviceaccount.com", own, None);
        let platform = "https://platform.activestate.com/api/v1/oauth/oidc";
        check("activestate:org/project@1", platform, None);
        check(
            "circleci:only/words",
            "https://oidc.circleci.com/org/x",
            None,
        );
    }
}
