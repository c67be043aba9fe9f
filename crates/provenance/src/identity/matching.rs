//! Whether who is proven is who is expected.

use super::{
    CIRCLECI, CIRCLECI_ISSUER, CIRCLECI_PIPELINES, GITHUB, GITHUB_ISSUER, GITLAB, GITLAB_ISSUER,
    GOOGLE_ISSUER, Identity, Subject, WORKFLOWS,
};
use crate::publisher::{CircleCi, GitHub, GitLab, Google, Oidc, Publisher};

/// Why somebody is not the publisher that is expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// Something that the certificate proves is another.
    #[error("its {claim} is {}, and not {expected}", proven.escape_debug())]
    Other {
        /// What: `issuer`, `repository`, `workflow` and so on.
        claim: &'static str,
        /// As the publisher has it.
        expected: String,
        /// As the certificate has it.
        proven: String,
    },
    /// The certificate does not say what is expected.
    #[error("its certificate does not say the {claim}, which has to be {expected}")]
    Unproven {
        /// What: `repository`, `workflow`, `environment` and so on.
        claim: &'static str,
        /// As the publisher has it.
        expected: String,
    },
    /// A kind of publishers whose certificates we do not know.
    #[error("publishers of the kind {} are not known here", kind.escape_debug())]
    UnknownKind {
        /// The kind.
        kind: String,
    },
}

pub(super) fn compare(identity: &Identity, publisher: &Publisher) -> Result<(), Mismatch> {
    match publisher {
        Publisher::GitHub(github) => identity.is_github(github),
        Publisher::GitLab(gitlab) => identity.is_gitlab(gitlab),
        Publisher::Google(google) => identity.is_google(google),
        Publisher::CircleCi(circleci) => identity.is_circleci(circleci),
        Publisher::Oidc(oidc) => identity.is_oidc(oidc),
        Publisher::Unknown(unknown) => Err(Mismatch::UnknownKind {
            kind: unknown.kind().to_owned(),
        }),
    }
}

/// What was expected, in the words of a certificate.
fn other(claim: &'static str, expected: &str, proven: &str) -> Mismatch {
    Mismatch::Other {
        claim,
        expected: expected.to_owned(),
        proven: proven.to_owned(),
    }
}

fn unproven(claim: &'static str, expected: &str) -> Mismatch {
    Mismatch::Unproven {
        claim,
        expected: expected.to_owned(),
    }
}

fn exactly(claim: &'static str, expected: &str, proven: &str) -> Result<(), Mismatch> {
    if expected == proven {
        Ok(())
    } else {
        Err(other(claim, expected, proven))
    }
}

/// Something that may be missing, compared without regard to the case of ASCII letters.
fn alike(claim: &'static str, expected: &str, proven: Option<&str>) -> Result<(), Mismatch> {
    match proven {
        None => Err(unproven(claim, expected)),
        Some(proven) if proven.eq_ignore_ascii_case(expected) => Ok(()),
        Some(proven) => Err(other(claim, expected, proven)),
    }
}

impl Identity {
    fn is_github(&self, github: &GitHub) -> Result<(), Mismatch> {
        exactly("issuer", GITHUB_ISSUER, &self.issuer)?;
        let repository = format!("{GITHUB}{}", github.repository());
        self.is_workflow(&repository, WORKFLOWS, github.workflow())?;
        self.is_trusted_event()?;
        match github.environment() {
            None => Ok(()),
            Some(expected) => alike("environment", expected, self.claims.environment.as_deref()),
        }
    }

    /// A run that a stranger's pull request started, with the repository's own rights: it may have
    /// run the stranger's code. The exchange of tokens refuses it as well.
    fn is_trusted_event(&self) -> Result<(), Mismatch> {
        match self.claims.trigger.as_deref() {
            Some(trigger @ "pull_request_target") => Err(other(
                "trigger",
                "an event of the repository's own",
                trigger,
            )),
            _ => Ok(()),
        }
    }

    fn is_gitlab(&self, gitlab: &GitLab) -> Result<(), Mismatch> {
        exactly("issuer", GITLAB_ISSUER, &self.issuer)?;
        let repository = format!("{GITLAB}{}", gitlab.repository());
        self.is_workflow(&repository, "//", gitlab.workflow_filepath())?;
        // GitLab tells `prod` from `Prod`, and protects one of them.
        match (gitlab.environment(), self.claims.environment.as_deref()) {
            (None, _) => Ok(()),
            (Some(expected), Some(proven)) => exactly("environment", expected, proven),
            (Some(expected), None) => Err(unproven("environment", expected)),
        }
    }

    /// PyPI's rule: the source's repository, and the workflow's file in it at the ref or commit
    /// that was built.
    fn is_workflow(&self, repository: &str, folder: &str, file: &str) -> Result<(), Mismatch> {
        alike("repository", repository, self.claims.repository.as_deref())?;
        let expected = || format!("{repository}{folder}{file} at the ref or commit that was built");
        match self.workflow_in(repository, folder) {
            Some(proven) if proven == file => Ok(()),
            _ => Err(match self.claims.workflow.as_deref() {
                None => unproven("workflow", &expected()),
                Some(proven) => other("workflow", &expected(), proven),
            }),
        }
    }

    /// A subject that names a workflow on the host of the source has to be in that very source:
    /// any repository may call a workflow that is made to be called, and has its name then.
    fn is_of_its_repository(&self) -> Result<(), Mismatch> {
        let (Subject::Uri(subject), Some(repository)) = (&self.subject, &self.claims.repository)
        else {
            return Ok(());
        };
        let host = |uri: &str| {
            let rest = uri.strip_prefix("https://")?;
            Some(rest.split('/').next()?.to_ascii_lowercase())
        };
        let within = subject
            .get(..repository.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(repository))
            && subject[repository.len()..].starts_with('/');
        if within || host(subject) != host(repository) {
            Ok(())
        } else {
            Err(other(
                "repository",
                "the one that the subject is in",
                repository,
            ))
        }
    }

    fn is_google(&self, google: &Google) -> Result<(), Mismatch> {
        exactly("issuer", GOOGLE_ISSUER, &self.issuer)?;
        match &self.subject {
            Subject::Email(email) => exactly("subject", google.email(), email),
            Subject::Uri(uri) => Err(other("subject", google.email(), uri)),
        }
    }

    fn is_circleci(&self, circleci: &CircleCi) -> Result<(), Mismatch> {
        match circleci.organization_id() {
            Some(id) => exactly("issuer", &format!("{CIRCLECI_ISSUER}{id}"), &self.issuer)?,
            None if self.issuer.starts_with(CIRCLECI_ISSUER) => {}
            None => return Err(other("issuer", CIRCLECI_ISSUER, &self.issuer)),
        }
        let subject = format!(
            "{CIRCLECI}{}{CIRCLECI_PIPELINES}{}",
            circleci.project_id(),
            circleci.pipeline_definition_id()
        );
        match &self.subject {
            Subject::Uri(uri) => exactly("subject", &subject, uri)?,
            Subject::Email(email) => return Err(other("subject", &subject, email)),
        }
        if let Some(origin) = circleci.vcs_origin() {
            let proven = self.claims.repository.as_deref();
            let proven = proven.map(|uri| uri.strip_prefix("https://").unwrap_or(uri));
            alike("repository", origin, proven)?;
        }
        match (circleci.vcs_ref(), self.claims.git_ref.as_deref()) {
            (None, _) => Ok(()),
            (Some(expected), Some(proven)) => exactly("ref", expected, proven),
            (Some(expected), None) => Err(unproven("ref", expected)),
        }
    }

    fn is_oidc(&self, oidc: &Oidc) -> Result<(), Mismatch> {
        exactly("issuer", oidc.issuer(), &self.issuer)?;
        self.is_trusted_event()?;
        self.is_of_its_repository()?;
        let proven = self.subject.as_str();
        match (oidc.subject().strip_suffix('*'), &self.subject) {
            // `…@*`: the same up to the ref, and some ref.
            (Some(before), Subject::Uri(uri))
                if uri.strip_prefix(before).is_some_and(|at| !at.is_empty()) =>
            {
                Ok(())
            }
            (Some(_), _) => Err(other("subject", oidc.subject(), proven)),
            (None, _) => exactly("subject", oidc.subject(), proven),
        }
    }
}
