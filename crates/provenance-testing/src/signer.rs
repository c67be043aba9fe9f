//! Who asks for a certificate, and what the issuer says of them.

use std::collections::BTreeMap;

use wheelmark_provenance::{GitHub, GitLab, Publisher};

/// The commit of every build.
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A person or a job, as an authority would learn of them from a token.
#[derive(Clone, Debug)]
pub struct Signer {
    subject: String,
    issuer: Option<String>,
    claims: BTreeMap<u64, String>,
}

impl Signer {
    /// Anybody: an address or a URI, and who vouches for it.
    pub fn new(subject: &str, issuer: &str) -> Signer {
        Signer {
            subject: subject.to_owned(),
            issuer: Some(issuer.to_owned()),
            claims: BTreeMap::new(),
        }
    }

    /// A job of that publisher, at that ref.
    pub fn of(publisher: &Publisher, git_ref: &str) -> Signer {
        match publisher {
            Publisher::GitHub(github) => Signer::github(github, git_ref),
            Publisher::GitLab(gitlab) => Signer::gitlab(gitlab, git_ref),
            Publisher::Google(google) => Signer::new(google.email(), "https://accounts.google.com"),
            Publisher::CircleCi(circleci) => {
                let organization = circleci.organization_id();
                let organization = organization.unwrap_or("00000000-0000-0000-0000-000000000000");
                let subject = format!(
                    "https://circleci.com/api/v2/projects/{}/pipeline-definitions/{}",
                    circleci.project_id(),
                    circleci.pipeline_definition_id()
                );
                let issuer = format!("https://oidc.circleci.com/org/{organization}");
                let mut signer = Signer::new(&subject, &issuer);
                let at = circleci.vcs_ref().unwrap_or(git_ref);
                signer = signer.claim(14, at);
                if let Some(origin) = circleci.vcs_origin() {
                    signer = signer.claim(12, &format!("https://{origin}"));
                }
                signer
            }
            Publisher::Oidc(oidc) => Signer::new(
                &oidc.subject().replace("@*", &format!("@{git_ref}")),
                oidc.issuer(),
            ),
            other => panic!("nobody can sign as {other}"),
        }
    }

    fn github(github: &GitHub, git_ref: &str) -> Signer {
        let repository = github.repository();
        let uri = format!("https://github.com/{repository}");
        let workflow = format!("{uri}/.github/workflows/{}@{git_ref}", github.workflow());
        let (owner, _) = repository.split_once('/').expect("an owner and a name");
        let signer = Signer::new(&workflow, "https://token.actions.githubusercontent.com")
            .claim(9, &workflow)
            .claim(10, COMMIT)
            .claim(11, "github-hosted")
            .claim(12, &uri)
            .claim(13, COMMIT)
            .claim(14, git_ref)
            .claim(15, "1234")
            .claim(16, &format!("https://github.com/{owner}"))
            .claim(17, "5678")
            .claim(18, &workflow)
            .claim(19, COMMIT)
            .claim(20, "push")
            .claim(21, &format!("{uri}/actions/runs/1/attempts/1"))
            .claim(22, "public");
        signer.somewhere(github.environment())
    }

    fn gitlab(gitlab: &GitLab, git_ref: &str) -> Signer {
        let uri = format!("https://gitlab.com/{}", gitlab.repository());
        let workflow = format!("{uri}//{}@{git_ref}", gitlab.workflow_filepath());
        let signer = Signer::new(&workflow, "https://gitlab.com")
            .claim(9, &workflow)
            .claim(11, "gitlab-hosted")
            .claim(12, &uri)
            .claim(13, COMMIT)
            .claim(14, git_ref)
            .claim(15, "1234")
            .claim(18, &workflow)
            .claim(19, COMMIT)
            .claim(20, "push")
            .claim(22, "public");
        signer.somewhere(gitlab.environment())
    }

    fn somewhere(self, environment: Option<&str>) -> Signer {
        match environment {
            Some(environment) => self.claim(23, environment),
            None => self,
        }
    }

    /// With this in the extension of that number under 1.3.6.1.4.1.57264.1.
    #[must_use]
    pub fn claim(mut self, number: u64, value: &str) -> Signer {
        self.claims.insert(number, value.to_owned());
        self
    }

    /// Without that extension.
    #[must_use]
    pub fn without(mut self, number: u64) -> Signer {
        self.claims.remove(&number);
        self
    }

    /// With somebody else who vouches.
    #[must_use]
    pub fn with_issuer(mut self, issuer: &str) -> Signer {
        self.issuer = Some(issuer.to_owned());
        self
    }

    /// With nobody who vouches.
    #[must_use]
    pub fn without_issuer(mut self) -> Signer {
        self.issuer = None;
        self
    }

    pub(crate) fn subject(&self) -> &str {
        &self.subject
    }

    pub(crate) fn is_email(&self) -> bool {
        !self.subject.contains("://")
    }

    pub(crate) fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    pub(crate) fn claims(&self) -> &BTreeMap<u64, String> {
        &self.claims
    }
}
