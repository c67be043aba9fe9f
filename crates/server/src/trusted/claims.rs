//! The claims of an identity token, held against what a project trusts.
//!
//! The claims are those that each service documents, and the rules are PyPI's, with two more: the
//! number of a GitLab namespace and of a Google account count as the number of a GitHub account does,
//! so that nobody inherits a project by taking over a name.

use serde_json::Value;

use super::identity_token::Claims;
use super::issuers::IssuerKind;
use super::publisher::TrustedPublisher;

/// Longest number of an account, in bytes.
const MAX_ACCOUNT_LEN: usize = 64;

/// Longest piece of a claim that is told.
const MAX_TOLD: usize = 200;

/// Why a token is not of a publisher, or of nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unlike {
    /// A claim is missing, empty or of another type.
    #[error("the token has no claim `{claim}`")]
    Missing {
        /// Which.
        claim: &'static str,
    },
    /// A claim says something else.
    #[error("the token's `{claim}` is `{}`, and `{}` is expected", found.escape_debug(), expected.escape_debug())]
    Differs {
        /// Which.
        claim: &'static str,
        /// What would be right.
        expected: String,
        /// What it says.
        found: String,
    },
    /// A claim says what is never trusted.
    #[error("the token's `{claim}` is `{}`: {why}", found.escape_debug())]
    Never {
        /// Which.
        claim: &'static str,
        /// What it says.
        found: String,
        /// Why not.
        why: &'static str,
    },
}

/// Where a token comes from, as it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// What finds the publishers that it can be of; see [`TrustedPublisher::place`].
    pub(super) place: String,
    /// The number of its account, where names can change hands.
    pub(super) account: Option<String>,
}

impl Origin {
    /// Reads it from the claims of a kind's tokens.
    pub(super) fn of(kind: IssuerKind, claims: &Claims) -> Result<Origin, Unlike> {
        let (place, account) = match kind {
            IssuerKind::GitHub => (
                need(claims, "repository")?.to_ascii_lowercase(),
                Some(account(claims, "repository_owner_id")?),
            ),
            IssuerKind::GitLab => (
                need(claims, "project_path")?.to_ascii_lowercase(),
                Some(account(claims, "namespace_id")?),
            ),
            IssuerKind::Google => (
                need(claims, "email")?.to_owned(),
                Some(account(claims, "sub")?),
            ),
            IssuerKind::CircleCi => (need(claims, CIRCLECI_PROJECT)?.to_owned(), None),
            IssuerKind::ActiveState => {
                let organization = need(claims, "organization")?;
                (format!("{organization}/{}", need(claims, "project")?), None)
            }
            IssuerKind::Oidc => (need(claims, "sub")?.to_owned(), None),
        };
        Ok(Origin { place, account })
    }
}

const CIRCLECI_PROJECT: &str = "oidc.circleci.com/project-id";

/// Whether a verified token of `issuer` is of a publisher.
pub(super) fn judge(
    publisher: &TrustedPublisher,
    issuer: &str,
    claims: &Claims,
) -> Result<(), Unlike> {
    match publisher {
        TrustedPublisher::GitHub {
            repository,
            workflow,
            environment,
        } => github(claims, repository, workflow, environment.as_deref()),
        TrustedPublisher::GitLab {
            repository,
            workflow_filepath,
            environment,
        } => gitlab(
            claims,
            issuer,
            repository,
            workflow_filepath,
            environment.as_deref(),
        ),
        TrustedPublisher::Google { email, sub } => google(claims, email, sub.as_deref()),
        TrustedPublisher::CircleCi {
            project_id,
            pipeline_definition_id,
        } => circleci(claims, issuer, project_id, pipeline_definition_id),
        TrustedPublisher::ActiveState {
            organization,
            project,
            actor_id,
        } => activestate(claims, organization, project, actor_id),
        TrustedPublisher::Oidc { subject } => same(claims, "sub", subject),
    }
}

fn github(
    claims: &Claims,
    repository: &str,
    workflow: &str,
    environment: Option<&str>,
) -> Result<(), Unlike> {
    same_name(claims, "repository", repository)?;
    let owner = repository.split('/').next().unwrap_or_default();
    same_name(claims, "repository_owner", owner)?;
    let event = need(claims, "event_name")?;
    if event == "pull_request_target" {
        return Err(Unlike::Never {
            claim: "event_name",
            found: event.to_owned(),
            why: "such a workflow runs with the rights of the repository for whoever proposes a change",
        });
    }
    // A workflow of another repository that this one calls is not this one's.
    let at = need(claims, "job_workflow_ref")?;
    let (path, commit) = at.split_once('@').unwrap_or((at, ""));
    let file = path.split_at_checked(repository.len());
    let file =
        file.and_then(|(there, file)| there.eq_ignore_ascii_case(repository).then_some(file));
    let is_at = |claim: &str| claims.text(claim).is_some_and(|of| of == commit);
    if file != Some(format!("/.github/workflows/{workflow}").as_str())
        || !(is_at("ref") || is_at("sha"))
    {
        return Err(Unlike::Differs {
            claim: "job_workflow_ref",
            expected: format!(
                "{repository}/.github/workflows/{workflow}@ and the token's ref or sha"
            ),
            found: told(at),
        });
    }
    // Names of environments on GitHub do not tell upper case from lower case.
    match environment {
        Some(environment) => same_name(claims, "environment", environment),
        None => Ok(()),
    }
}

fn gitlab(
    claims: &Claims,
    issuer: &str,
    repository: &str,
    file: &str,
    environment: Option<&str>,
) -> Result<(), Unlike> {
    same_name(claims, "project_path", repository)?;
    // `project_path:group/project:ref_type:branch:ref:main`
    let subject = need(claims, "sub")?;
    let mut parts = subject.split(':');
    let is_project = parts.next() == Some("project_path")
        && parts
            .next()
            .is_some_and(|path| path.eq_ignore_ascii_case(repository));
    if !is_project {
        return Err(Unlike::Differs {
            claim: "sub",
            expected: format!("project_path:{repository}:…"),
            found: told(subject),
        });
    }
    let at = need(claims, "ci_config_ref_uri")?;
    let host = issuer.split_once("://").map_or(issuer, |(_, rest)| rest);
    let front = format!("{}/{repository}//", host.trim_end_matches('/'));
    let (path, commit) = at.split_once('@').unwrap_or((at, ""));
    let path = path.split_at_checked(front.len());
    let path = path.and_then(|(there, path)| there.eq_ignore_ascii_case(&front).then_some(path));
    let is_at = |claim: &str| claims.text(claim).is_some_and(|of| of == commit);
    if path != Some(file) || !(is_at("ref_path") || is_at("sha")) {
        return Err(Unlike::Differs {
            claim: "ci_config_ref_uri",
            expected: format!("{front}{file}@ and the token's ref_path or sha"),
            found: told(at),
        });
    }
    match environment {
        Some(environment) => same(claims, "environment", environment),
        None => Ok(()),
    }
}

fn google(claims: &Claims, email: &str, sub: Option<&str>) -> Result<(), Unlike> {
    same(claims, "email", email)?;
    if claims.get("email_verified") != Some(&Value::Bool(true)) {
        return Err(Unlike::Missing {
            claim: "email_verified",
        });
    }
    match sub {
        Some(sub) => same(claims, "sub", sub),
        None => Ok(()),
    }
}

fn circleci(claims: &Claims, issuer: &str, project: &str, pipeline: &str) -> Result<(), Unlike> {
    same(claims, CIRCLECI_PROJECT, project)?;
    same(claims, "oidc.circleci.com/pipeline-definition-id", pipeline)?;
    let organization = issuer.rsplit('/').next().unwrap_or_default();
    same(claims, "oidc.circleci.com/org-id", organization)?;
    let rerun = "oidc.circleci.com/ssh-rerun";
    if claims.get(rerun) != Some(&Value::Bool(false)) {
        return Err(Unlike::Never {
            claim: rerun,
            found: claims
                .get(rerun)
                .map_or("missing".to_owned(), |value| told(&value.to_string())),
            why: "a person may be at the machine of such a job",
        });
    }
    Ok(())
}

fn activestate(
    claims: &Claims,
    organization: &str,
    project: &str,
    actor: &str,
) -> Result<(), Unlike> {
    same(claims, "organization", organization)?;
    same(claims, "project", project)?;
    same(claims, "actor_id", actor)?;
    same(claims, "builder", "pypi-publisher")?;
    let expected = format!("org:{organization}:project:{project}");
    let subject = need(claims, "sub")?;
    let rest = subject.strip_prefix(&expected);
    if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':')) {
        return Ok(());
    }
    Err(Unlike::Differs {
        claim: "sub",
        expected,
        found: told(subject),
    })
}

fn need<'a>(claims: &'a Claims, claim: &'static str) -> Result<&'a str, Unlike> {
    claims.text(claim).ok_or(Unlike::Missing { claim })
}

/// The number of an account, as a text or a number.
fn account(claims: &Claims, claim: &'static str) -> Result<String, Unlike> {
    let number = match claims.get(claim) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    if (1..=MAX_ACCOUNT_LEN).contains(&number.len()) {
        Ok(number)
    } else {
        Err(Unlike::Missing { claim })
    }
}

fn same(claims: &Claims, claim: &'static str, expected: &str) -> Result<(), Unlike> {
    let found = need(claims, claim)?;
    if found == expected {
        return Ok(());
    }
    Err(differs(claim, expected, found))
}

/// For names in which a service does not tell upper case from lower case.
fn same_name(claims: &Claims, claim: &'static str, expected: &str) -> Result<(), Unlike> {
    let found = need(claims, claim)?;
    if found.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    Err(differs(claim, expected, found))
}

fn differs(claim: &'static str, expected: &str, found: &str) -> Unlike {
    Unlike::Differs {
        claim,
        expected: expected.to_owned(),
        found: told(found),
    }
}

/// The beginning of what a stranger may have chosen.
fn told(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_TOLD)].to_owned()
}

#[cfg(test)]
mod tests;
